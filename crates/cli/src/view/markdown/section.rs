//! The parts of the comment, top to bottom.

use super::super::count;
use super::super::review::{Attribute, FindingRow, Guest, HeldRow, PolicyRow, Review};
use super::detail::{Detail, dearest};
use super::escape::{block, clipped, code, marker, prose, sentence};

/// Rows that are shown without folding.
const OPEN_ROWS: usize = 40;
/// Guests whose attributes are shown without folding.
const OPEN_GUESTS: usize = 5;

/// The whole comment in one step of detail.
pub(super) fn all(review: &Review, detail: &Detail) -> String {
    let mut left = Vec::new();
    let parts = [
        head(review, detail),
        findings(review, detail, &mut left),
        table(&review.guests, detail, &mut left),
        attributes(&review.guests, detail, &mut left),
        held(&review.held, detail, &mut left),
        policy(&review.policy, detail, &mut left),
        notes(&review.notes, detail, &mut left),
        left_out(&left),
    ];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join("\n")
}

fn head(review: &Review, detail: &Detail) -> String {
    let cluster = code(&clipped(&review.cluster, detail.value));
    let what = match review.intent {
        "destroy" => "destroy on",
        _ => "plan for",
    };
    let mut text = format!(
        "<!-- pvx-plan cluster={} intent={} -->\n### pvx {what} {cluster}: {}\n\n",
        marker(&review.cluster),
        review.intent,
        review.verdict
    );
    if review.blocked {
        text.push_str("**This plan cannot be applied.**\n\n");
    }
    if let Some(cost) = review.dearest.as_ref().filter(|_| !review.empty) {
        text.push_str(&format!("Dearest effect: **{}** ({})\n\n", cost.word, cost.meaning));
    }
    if !review.tally.is_empty() {
        text.push_str(&format!("{}\n\n", review.tally.join(" · ")));
    }
    let shown = review.profiles.iter().take(detail.findings.min(20));
    let mut profiles: Vec<String> = shown
        .map(|p| {
            let key = code(&clipped(&p.key, detail.value));
            format!("{key} {}, {} exist", count(p.wanted, "guest"), p.existing)
        })
        .collect();
    let more = review.profiles.len() - profiles.len();
    if more > 0 {
        profiles.push(format!("{more} more profiles"));
    }
    profiles.push(review.nodes.clone());
    format!("{text}{}\n", profiles.join(" · "))
}

fn findings(review: &Review, detail: &Detail, left: &mut Vec<String>) -> String {
    if review.findings.is_empty() {
        return String::new();
    }
    // Problems come first, so what is cut off weighs least.
    let shown = take(&review.findings, detail.findings);
    note_left(left, review.findings.len() - shown.len(), "finding");
    let list: String = shown.iter().map(|row| finding(row, detail)).collect();
    format!("#### Problems and warnings\n\n{list}")
}

fn finding(row: &FindingRow, detail: &Detail) -> String {
    let message = prose(&clipped(&row.message, detail.sentence));
    let who = match row.guests.as_str() {
        "" => String::new(),
        guests => format!("{}: ", prose(&clipped(guests, detail.sentence))),
    };
    let place = row
        .position
        .as_deref()
        .map(|place| format!(" — {}", code(&clipped(place, detail.sentence))));
    let mut text = format!("- **{}** {who}{message}{}\n", row.weight, place.unwrap_or_default());
    if let Some(help) = &row.help {
        text.push_str(&format!("  - help: {}\n", sentence(&clipped(help, detail.sentence))));
    }
    if let Some(commands) = &row.commands {
        let commands = clipped(commands, detail.sentence);
        let lines: Vec<String> = commands.lines().map(str::to_owned).collect();
        text.push_str(&format!("\n{}\n", indented(&block("sh", &lines))));
    }
    text
}

/// Part of the item of a list that is in an item itself.
fn indented(block: &str) -> String {
    block.lines().map(|line| format!("    {line}\n")).collect()
}

fn table(guests: &[Guest], detail: &Detail, left: &mut Vec<String>) -> String {
    let shown = dearest(guests, detail.rows, |guest| guest.cost.dearness);
    note_left(left, guests.len() - shown.len(), "guest");
    if shown.is_empty() {
        return String::new();
    }
    let rows: String = shown.iter().map(|guest| row(guest, detail)).collect();
    let table =
        format!("|   | Guest | VMID | Node | What | Effect |\n|---|---|---:|---|---|---|\n{rows}");
    let title = count(guests.len(), "guest");
    folded("Changes", &title, &table, shown.len() > OPEN_ROWS)
}

fn row(guest: &Guest, detail: &Detail) -> String {
    let what = guest.what.iter().map(|part| prose(&clipped(part, detail.sentence)));
    let mut what: Vec<String> = what.collect();
    if matches!(guest.verb, "destroy" | "power") {
        what.push(prose(&clipped(&guest.reason, detail.sentence)));
    }
    // A name longer than this is no name that Proxmox takes.
    what.extend(paths(guest));
    format!(
        "| {} | {} | {} | {} | {} {} | {} |\n",
        code(guest.sign),
        code(&clipped(&guest.address, detail.value)),
        guest.vmid,
        code(&clipped(&guest.node, detail.value)),
        guest.verb,
        clip_parts(&what, detail),
        guest.cost.word
    )
}

/// The attributes that change, by name.
fn paths(guest: &Guest) -> Option<String> {
    const FEW: usize = 4;
    let names = guest.attributes.iter().take(FEW).map(|a| code(&clipped(&a.path, 24)));
    let mut names: Vec<String> = names.collect();
    if guest.attributes.len() > FEW {
        names.push(format!("{} more", guest.attributes.len() - FEW));
    }
    (!names.is_empty()).then(|| names.join(", "))
}

/// Facts of a guest; a short text has fewer of them.
fn clip_parts(parts: &[String], detail: &Detail) -> String {
    let most = (detail.value / 8).max(2);
    parts.iter().take(most).cloned().collect::<Vec<_>>().join(" · ")
}

fn attributes(guests: &[Guest], detail: &Detail, left: &mut Vec<String>) -> String {
    let with: Vec<&Guest> = guests.iter().filter(|guest| !guest.attributes.is_empty()).collect();
    let shown = dearest(&with, detail.attributes, |guest| guest.cost.dearness);
    let more = with.len() - shown.len();
    if more > 0 {
        left.push(format!("before and after of {}", count(more, "guest")));
    }
    if shown.is_empty() {
        return String::new();
    }
    let one = |guest: &&&Guest| {
        let address = code(&clipped(&guest.address, detail.value));
        format!("{address}\n\n{}", attribute_table(&guest.attributes, detail))
    };
    let text: Vec<String> = shown.iter().map(one).collect();
    let title = count(shown.len(), "guest");
    folded("Before and after", &title, &text.join("\n"), shown.len() > OPEN_GUESTS)
}

fn attribute_table(list: &[Attribute], detail: &Detail) -> String {
    let mut text = "| Attribute | Before | After | Effect |\n|---|---|---|---|\n".to_owned();
    let mut blocks = String::new();
    for attribute in list {
        let path = code(&clipped(&attribute.path, detail.value));
        let value = |value: &Option<String>| match value {
            _ if !attribute.lines.is_empty() => "see below".to_owned(),
            Some(value) => code(&clipped(value, detail.value)),
            None => "unset".to_owned(),
        };
        let why = match attribute.why.as_str() {
            "" => String::new(),
            why => format!(": {}", prose(&clipped(why, detail.sentence))),
        };
        text.push_str(&format!(
            "| {path} | {} | {} | {}{why} |\n",
            value(&attribute.before),
            value(&attribute.after),
            attribute.cost.word
        ));
        if !attribute.lines.is_empty() {
            blocks.push_str(&format!("\n{path}\n\n{}", diff(attribute, detail)));
        }
    }
    text + &blocks
}

fn diff(attribute: &Attribute, detail: &Detail) -> String {
    let most = (detail.value / 8).max(3);
    let shown = attribute.lines.iter().take(most);
    let mut lines: Vec<String> =
        shown.map(|line| format!("{} {}", line.sign, clipped(&line.text, detail.value))).collect();
    let more = attribute.lines.len() - lines.len();
    if more > 0 {
        lines.push(format!("  … {}", count(more, "more line")));
    }
    block("diff", &lines)
}

fn held(list: &[HeldRow], detail: &Detail, left: &mut Vec<String>) -> String {
    let shown = take(list, detail.findings);
    if list.len() > shown.len() {
        left.push(format!("what is held back of {}", count(list.len() - shown.len(), "guest")));
    }
    if shown.is_empty() {
        return String::new();
    }
    let one = |row: &HeldRow| {
        let name = code(&clipped(&row.address, detail.value));
        let list = match detail.attributes {
            0 => format!(": {}\n", count(row.attributes.len(), "attribute")),
            _ => format!("\n\n{}", attribute_table(&row.attributes, detail)),
        };
        format!("{name} ({}) {}{list}", row.vmid, code(row.mode))
    };
    let text: Vec<String> = shown.iter().map(one).collect();
    folded(
        "Held back, not written now",
        &count(list.len(), "guest"),
        &text.join("\n"),
        shown.len() > OPEN_GUESTS,
    )
}

fn policy(list: &[PolicyRow], detail: &Detail, left: &mut Vec<String>) -> String {
    let shown = take(list, detail.findings);
    if list.len() > shown.len() {
        left.push(count(list.len() - shown.len(), "rule") + " of the policy");
    }
    if shown.is_empty() {
        return String::new();
    }
    let one = |row: &PolicyRow| {
        let place = row.position.as_deref().map(|place| code(&clipped(place, detail.sentence)));
        let note = row.reason.as_deref().map(|reason| prose(&clipped(reason, detail.sentence)));
        let more: Vec<String> = note.into_iter().chain(place).collect();
        format!(
            "| {} | {} | {} |\n",
            code(&clipped(&row.name, detail.value)),
            row.result,
            more.join(" — ")
        )
    };
    let rows: String = shown.iter().map(one).collect();
    let table = format!("| Rule | Result | |\n|---|---|---|\n{rows}");
    folded("Policy", &count(list.len(), "rule"), &table, shown.len() > OPEN_ROWS)
}

fn notes(list: &[FindingRow], detail: &Detail, left: &mut Vec<String>) -> String {
    let shown = take(list, detail.findings);
    note_left(left, list.len() - shown.len(), "note");
    if shown.is_empty() {
        return String::new();
    }
    let text: String = shown.iter().map(|row| finding(row, detail)).collect();
    folded("Not done, and worth knowing", &count(list.len(), "note"), &text, true)
}

/// A part of the comment; a long one is folded away. `title` and `size` are our own words.
fn folded(title: &str, size: &str, body: &str, long: bool) -> String {
    match long {
        false => format!("#### {title}\n\n{body}"),
        true => format!("<details><summary>{title}: {size}</summary>\n\n{body}\n</details>\n"),
    }
}

fn take<T>(list: &[T], most: usize) -> &[T] {
    list.get(..most).unwrap_or(list)
}

fn note_left(left: &mut Vec<String>, number: usize, noun: &str) {
    if number > 0 {
        left.push(count(number, noun));
    }
}

fn left_out(left: &[String]) -> String {
    if left.is_empty() {
        return String::new();
    }
    format!(
        "Left out, so that this fits into a comment: {}. `pvx plan` shows everything, and so does the \
         report of `pvx plan --format html`.\n",
        left.join(", ")
    )
}
