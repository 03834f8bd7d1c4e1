//! Scripts of requests against the world `truth`, without sockets: time stands still unless
//! something is waited for.

#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests, each file uses a part"
)]

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use pvx_sim::World;
use pvx_sim::direct::{Ask, Direct, Told};
use serde_json::Value;

/// When the scripts begin, in milliseconds since the epoch.
pub const START_MS: i64 = 1_800_000_000_000;
pub const ROOT: &str = "PVEAPIToken=root@pam!lab=11111111-2222-4333-8444-000000000001";

pub struct Script {
    pub direct: Direct,
    /// The `Authorization` of whoever calls, or a user who is logged in.
    pub caller: String,
    /// What paths stand below that do not begin with a slash.
    pub below: &'static str,
}

impl Script {
    /// A script about one guest, or about the guests of a node.
    pub fn below(below: &'static str) -> Self {
        let direct = Direct::new(World::truth(), START_MS);
        Self { direct, caller: ROOT.to_owned(), below }
    }

    /// `METHOD path key=value …`, where `~` stands for a space and `^` for a line end; a name
    /// alone has no value.
    pub fn call(&mut self, line: &str) -> (Told, Value) {
        let mut words = line.split(' ');
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let path = match path.strip_prefix('/') {
            Some(_) => path.to_owned(),
            None => format!("{}/{path}", self.below),
        };
        let form: Vec<String> = words.map(pair).collect();
        let (path, form) = (path.trim_end_matches('/'), form.join("&"));
        let body = matches!(method, "POST" | "PUT");
        let query = !body && !form.is_empty();
        let token = self.caller.starts_with("PVEAPIToken").then(|| self.caller.clone());
        let ticket = token.is_none().then(|| self.direct.ticket(&self.caller));
        let (cookie, csrf) = ticket.unzip();
        let told = self.direct.ask(&Ask {
            method: method.to_owned(),
            target: if query { format!("{path}?{form}") } else { path.to_owned() },
            authorization: token,
            cookie: cookie.map(|text| {
                format!("PVEAuthCookie={}", utf8_percent_encode(&text, NON_ALPHANUMERIC))
            }),
            csrf,
            content_type: "application/x-www-form-urlencoded".to_owned(),
            body: if body { form.into_bytes() } else { Vec::new() },
        });
        let body = serde_json::from_slice(&told.body).unwrap_or(Value::Null);
        (told, body)
    }

    /// The UPID of what was begun, which has not gone on yet.
    pub fn begin(&mut self, line: &str) -> String {
        self.data(line).as_str().unwrap().to_owned()
    }

    /// The exit status of a task, once it has one.
    pub fn exit(&mut self, upid: &str) -> String {
        for _ in 0..20_000 {
            let task = self.direct.world().tasks().find(|task| task.upid == upid);
            if let Some(exit) = task.and_then(|task| task.exit()) {
                return exit.to_owned();
            }
            self.direct.advance(20);
        }
        panic!("{upid} does not end");
    }

    /// How a task ended; `done` without one; of a refused parameter its error, else the message.
    pub fn outcome(&mut self, line: &str) -> String {
        let (told, body) = self.call(line);
        if let Some(errors) = body["errors"].as_object() {
            let each = errors.iter();
            let each = each.map(|(key, text)| format!("{key}: {}", text.as_str().unwrap()));
            return each.collect::<Vec<_>>().join("; ");
        }
        if told.status != 200 {
            return body["message"].as_str().unwrap_or(&told.reason).trim_end().to_owned();
        }
        match body["data"].as_str().filter(|text| text.starts_with("UPID:")) {
            Some(upid) => self.exit(upid),
            None => "done".to_owned(),
        }
    }

    /// Each call comes to what is expected.
    pub fn play(&mut self, script: &[(&str, &str)]) {
        for (line, expected) in script {
            assert_eq!(self.outcome(line), *expected, "{line}");
        }
    }

    pub fn data(&mut self, line: &str) -> Value {
        let (told, body) = self.call(line);
        assert_eq!(told.status, 200, "{line}: {told:?}");
        body["data"].clone()
    }
}

fn pair(word: &str) -> String {
    let Some((key, value)) = word.split_once('=') else { return word.to_owned() };
    let value = value.replace('~', " ").replace('^', "\n");
    format!("{key}={}", utf8_percent_encode(&value, NON_ALPHANUMERIC))
}
