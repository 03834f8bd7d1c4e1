//! Schedules of jobs: their format, and what they come to.

use serde_json::{Value, json};

use super::call::{Call, Reply};
use super::endpoint::{Endpoint, optional, required};
use super::refusal::Refusal;
use crate::calendar::Calendar;
use crate::guest::format::Kind;

pub(crate) const ENDPOINTS: &[Endpoint] =
    &[Endpoint::get("/cluster/jobs/schedule-analyze", analyze).with(&[
        required("schedule", EVENT),
        optional("starttime", Kind::INT),
        optional("iterations", Kind::between(1, 100)),
    ])];

/// `pve-calendar-event` with its length.
pub(crate) const EVENT: Kind = Kind::Check(event);

fn event(value: &str) -> Result<(), String> {
    Calendar::parse(value).map_err(|error| format!("invalid format - {error}\n"))?;
    if value.chars().count() > 128 {
        return Err("value may only be 128 characters long".to_owned());
    }
    Ok(())
}

/// The next times, as numbers and as text.
fn analyze(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let calendar = Calendar::parse(call.params.get("schedule").unwrap_or_default())?;
    let mut last = call.params.int("starttime").unwrap_or(call.moment.seconds());
    let mut items = Vec::new();
    for _ in 0..call.params.int("iterations").unwrap_or(10) {
        let Some(next) = calendar.next(last) else { break };
        let time = jiff::Timestamp::from_second(next).unwrap_or_default();
        let text = time.strftime("%a %b %e %H:%M:%S %Y").to_string();
        items.push(json!({ "timestamp": next, "utc": text }));
        last = next;
    }
    Ok(Value::Array(items).into())
}
