//! What the commands change of their arguments before they call the API (`param_mapping`).

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::super::Shell;
use super::super::io::Io;
use super::options::Parsed;
use crate::api::endpoint::Method;
use crate::api::refusal::Refusal;

/// What `URI::Escape` leaves as it is.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'!')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

impl Shell {
    pub(super) async fn prepare(
        &self,
        method: Method,
        template: &str,
        parsed: &mut Parsed,
        io: &Io,
    ) -> Result<(), Refusal> {
        let values = &mut parsed.values;
        if template.contains("/qemu")
            && template != "/nodes/{node}/qemu/{vmid}/pending"
            && let Some(file) = values.get("sshkeys").cloned()
        {
            let path = self.path(&file);
            let text = self
                .fs(|fs| fs.read(&path))
                .map_err(|errno| Refusal::die(format!("can't open '{file}' - {}", errno.text())))?;
            let text = String::from_utf8_lossy(&text.0).into_owned();
            let encoded = utf8_percent_encode(&text, UNRESERVED).to_string();
            values.insert("sshkeys".to_owned(), encoded);
        }
        if template == "/nodes/{node}/storage/{storage}/content/{*volume}"
            && !values.contains_key("storage")
        {
            let volume = values.get("volume").cloned().unwrap_or_default();
            let Some((storage, _)) = volume.split_once(':') else {
                return Err(Refusal::param("volume", "invalid format - unable to parse volume ID"));
            };
            values.insert("storage".to_owned(), storage.to_owned());
        }
        if template == "/access/permissions"
            && let Some(token) = values.remove("tokenid")
        {
            let user = values.get("userid").cloned().unwrap_or_default();
            values.insert("userid".to_owned(), format!("{user}!{token}"));
        }
        if template == "/access/password"
            && method == Method::Put
            && !values.contains_key("password")
        {
            let password = self.typed_password(io).await?;
            values.insert("password".to_owned(), password);
        }
        Ok(())
    }

    /// Asks twice for a password.
    async fn typed_password(&self, io: &Io) -> Result<String, Refusal> {
        let mut lines = Vec::new();
        for prompt in ["Enter new password: ", "Retype new password: "] {
            io.out.text(prompt);
            let line = io.stdin.lock().await.line().await.unwrap_or_default();
            io.out.text("\n");
            lines.push(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned());
        }
        match lines.as_slice() {
            [first, second] if first == second => Ok(first.clone()),
            _ => Err(Refusal::die("Passwords do not match.")),
        }
    }
}
