//! What an answer must be like, whatever was asked.

use pvx_sim::direct::Told;

pub(crate) fn judge(target: &str, told: &Told) -> Result<(), String> {
    // A fault may have closed the connection.
    if told.status == 0 {
        return Ok(());
    }
    if !(200..600).contains(&told.status) {
        return Err(format!("status {}", told.status));
    }
    if told.reason.chars().any(|letter| letter == '\n') {
        return Err(format!("reason {:?}", told.reason));
    }
    let text = String::from_utf8(told.body.clone()).map_err(|_| "body is no UTF-8".to_owned())?;
    if told.reason.contains("simulator:") || text.contains("simulator:") {
        return Err("an error of our own making".to_owned());
    }
    // An error of the HTTP layer has its text as body, and a log is downloaded as a file.
    let error = told.status >= 400 && text.trim_end().starts_with(told.reason.trim_end());
    let file = told.status == 200 && target.contains("/log?");
    let plain = error || file;
    if !text.is_empty() && !plain {
        let body: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| format!("body: {error}: {text}"))?;
        let Some(data) = body.get("data") else { return Err(format!("no data: {text}")) };
        if let Some(upid) = data.as_str().filter(|data| data.starts_with("UPID:"))
            && told.status == 200
            && !is_upid(upid)
        {
            return Err(format!("no UPID: {upid}"));
        }
    }
    if told.status == 200 && text.is_empty() && !file {
        return Err("200 without a body".to_owned());
    }
    Ok(())
}

/// `PVE::Tools::upid_decode`.
fn is_upid(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    let [_, node, pid, pstart, start, kind, id, user, ""] = parts.as_slice() else { return false };
    let hex = |text: &str, lengths: &[usize]| {
        lengths.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let bare = |text: &str| !text.chars().any(char::is_whitespace);
    let word = |text: &str| bare(text) && !text.is_empty();
    word(node)
        && hex(pid, &[8])
        && hex(pstart, &[8, 9])
        && hex(start, &[8])
        && word(kind)
        && bare(id)
        && word(user)
}

/// Text of an error with what varies taken out.
pub(crate) fn pattern(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars().take(110) {
        let letter = if letter.is_ascii_digit() { '9' } else { letter };
        if !(letter == '9' && out.ends_with('9')) {
            out.push(letter);
        }
    }
    out
}
