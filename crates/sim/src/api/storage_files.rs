//! Files that come to a storage: upload, `download-url`, `query-url-metadata`.

use serde_json::{Value, json};

use super::call::{Call, Reply};
use super::endpoint::{Endpoint, optional, required};
use super::permission::Permission;
use super::refusal::Refusal;
use super::storage::answering_node;
use crate::fetch::{self, Outcome, Source, Url};
use crate::guest::format::Kind;
use crate::server::fetch::{Asker, Fetch};
use crate::storage::activate::{active, enabled};
use crate::storage::filename::{self, Target};
use crate::storage::hash::ALGORITHMS;
use crate::storage::options::FILE_CONTENT;
use crate::work::{Work, download::Download, upload::Upload};
use crate::world::lock::LockName;
use crate::world::storage::Storage;

/// The path that takes multipart forms.
pub(crate) const UPLOAD: &str = "/nodes/{node}/storage/{storage}/upload";

const NAME: Kind = Kind::Text { max: 255 };
const URL: Kind = Kind::Check(is_url);

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::post(UPLOAD, upload)
        .may(Permission::All("/storage/{storage}", &["Datastore.AllocateTemplate"]))
        .with(&[
            required("content", FILE_CONTENT),
            required("filename", NAME),
            optional("checksum", Kind::TEXT).requires("checksum-algorithm"),
            optional("checksum-algorithm", Kind::Enum(ALGORITHMS)).requires("checksum"),
            optional("tmpfilename", Kind::Check(is_temporary)),
        ]),
    Endpoint::post("/nodes/{node}/storage/{storage}/download-url", download)
        .may(Permission::All("/storage/{storage}", &["Datastore.AllocateTemplate"]))
        .with(&[
            required("url", URL),
            required("content", FILE_CONTENT),
            required("filename", NAME),
            optional("checksum", Kind::TEXT).requires("checksum-algorithm"),
            optional("checksum-algorithm", Kind::Enum(ALGORITHMS)).requires("checksum"),
            optional("compression", Kind::Enum(&["gz", "lzo", "zst", "bz2"])),
            optional("verify-certificates", Kind::Bool),
        ]),
    Endpoint::get("/nodes/{node}/query-url-metadata", query)
        .with(&[required("url", URL), optional("verify-certificates", Kind::Bool)]),
    Endpoint::get("/nodes/{node}/storage/{storage}/import-metadata", import_metadata)
        .with(&[required("volume", Kind::TEXT)]),
];

fn is_url(value: &str) -> Result<(), String> {
    if value.starts_with("http://") || value.starts_with("https://") {
        return Ok(());
    }
    Err("value does not match the regex pattern".to_owned())
}

fn is_temporary(value: &str) -> Result<(), String> {
    let hex = value.strip_prefix("/var/tmp/pveupload-");
    let fits = |hex: &str| {
        !hex.is_empty()
            && hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    if hex.is_some_and(fits) {
        return Ok(());
    }
    Err("value does not match the regex pattern".to_owned())
}

fn text(call: &Call<'_>, name: &str) -> String {
    call.params.get(name).unwrap_or_default().to_owned()
}

fn checksum(call: &Call<'_>) -> Option<(String, String)> {
    let algorithm = call.params.get("checksum-algorithm")?;
    Some((algorithm.to_owned(), text(call, "checksum")))
}

fn target(storage: &Storage, content: &str, name: &str) -> Result<Target, Refusal> {
    let found = filename::target(storage, content, name);
    found.map_err(|(parameter, text)| Refusal::param(parameter, text))
}

fn upload(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let (node, id) = (call.node(), text(call, "storage"));
    let storage = enabled(call.world, &id, &node)?;
    if storage.path.is_none() {
        return Err(Refusal::die(format!(
            "can't upload to storage type '{}'",
            storage.kind.name()
        )));
    }
    let content = text(call, "content");
    let source = text(call, "tmpfilename");
    if source.is_empty() {
        return Err(Refusal::die("missing temporary file name"));
    }
    let Some(file) = call.world.uploads.get(&source).cloned() else {
        return Err(Refusal::die(format!("temporary file '{source}' does not exist")));
    };
    let target = target(storage, &content, &text(call, "filename"))?;
    if !storage.holds(&content) {
        return Err(Refusal::die(format!("storage '{id}' does not support '{content}' content")));
    }
    active(call.world, &id, &node)?;
    let volid = format!("{id}:{content}/{}", target.filename);
    let work = Upload {
        source,
        file,
        target: node,
        volid,
        content,
        format: target.format,
        checksum: checksum(call),
        copying: false,
    };
    // The node that took the request runs the worker.
    let here = answering_node(call);
    Ok(call.fork(&here, "imgcopy", "", Work::Upload(Box::new(work))))
}

/// `Sys.Audit` and `Sys.Modify` on `/`, or `Sys.AccessNetwork` on the node.
fn may_fetch(call: &Call<'_>) -> Result<(), Refusal> {
    let node = format!("/nodes/{}", call.node());
    let old = call.require("/", &["Sys.Audit", "Sys.Modify"]);
    if old.is_ok() || call.require(&node, &["Sys.AccessNetwork"]).is_ok() {
        return Ok(());
    }
    // Of alternatives that all fail the text names none.
    Err(Refusal::permission(""))
}

fn download(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    may_fetch(call)?;
    let (node, id) = (call.node(), text(call, "storage"));
    let storage = enabled(call.world, &id, &node)?;
    if storage.path.is_none() {
        let kind = storage.kind.name();
        let error = format!("can't upload to storage type '{kind}', not a file based storage!");
        return Err(Refusal::die(error));
    }
    let content = text(call, "content");
    if !storage.holds(&content) {
        let error = format!("storage '{id}' is not configured for content-type '{content}'");
        return Err(Refusal::die(error));
    }
    let target = target(storage, &content, &text(call, "filename"))?;
    active(call.world, &id, &node)?;
    let work = Download {
        url: text(call, "url"),
        volid: format!("{id}:{content}/{}", target.filename),
        content,
        format: target.format,
        checksum: checksum(call).filter(|(_, sum)| !sum.is_empty()),
        compression: call.params.get("compression").map(str::to_owned),
        verify: call.params.flag("verify-certificates").unwrap_or(true),
        ..Download::default()
    };
    let task = encode(&target.filename);
    Ok(call.fork(&node, "download", &task, Work::Download(Box::new(work))))
}

/// `PVE::Tools::encode_text`: nothing that would break a UPID.
fn encode(name: &str) -> String {
    name.bytes()
        .map(|byte| match byte {
            b'%' | b':' | b'\n' | b'\r' => format!("%{byte:02X}"),
            other => char::from(other).to_string(),
        })
        .collect()
}

fn query(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    may_fetch(call)?;
    let url = text(call, "url");
    let outcome = match call.world.heads.get(&url) {
        Some(Some(outcome)) => outcome.clone(),
        Some(None) => return Err(waiting(url)),
        None => match fetch::plan(call.world, &url, call.moment.seconds(), "").0 {
            Source::Known { outcome, .. } => *outcome,
            Source::Loopback => {
                let verify = call.params.flag("verify-certificates").unwrap_or(true);
                let fetch = Fetch { url: url.clone(), verify, algorithm: None, asker: Asker::Head };
                call.world.heads.insert(url.clone(), None);
                call.world.fetches.push(fetch);
                return Err(waiting(url));
            }
        },
    };
    call.world.heads.remove(&url);
    metadata(&url, &outcome)
}

/// The request is tried again when the URL answered.
fn waiting(url: String) -> Refusal {
    Refusal::Blocked { lock: LockName::Url(url), wait_ms: 30_000, before: String::new() }
}

fn metadata(url: &str, outcome: &Outcome) -> Result<Reply, Refusal> {
    let Some(file) = &outcome.file else {
        return Err(Refusal::die(format!("invalid server response: '{}'", refused(url, outcome))));
    };
    let last = url.split('?').next().and_then(|path| path.rsplit('/').next());
    let name = outcome.filename.as_deref().or(last).filter(|name| !name.is_empty());
    let kind = outcome.mimetype.split(';').next().unwrap_or_default();
    let mut item = serde_json::Map::new();
    if let Some(name) = name {
        item.insert("filename".to_owned(), json!(name));
    }
    if file.size > 0 {
        item.insert("size".to_owned(), json!(file.size));
    }
    if !kind.is_empty() {
        item.insert("mimetype".to_owned(), json!(kind));
    }
    Ok(Value::Object(item).into())
}

/// The status line that `LWP::UserAgent` makes of an error.
fn refused(url: &str, outcome: &Outcome) -> String {
    let error = outcome.error.clone().unwrap_or_default();
    if let Some((_, rest)) = error.split_once(" ERROR ") {
        return rest.trim_end_matches('.').replacen(':', "", 1);
    }
    let place = Url::parse(url).map(|url| format!("{}:{}", url.host, url.port)).unwrap_or_default();
    let why = match () {
        () if error.contains("refused") => "Connection refused",
        () if error.contains("No route") => "No route to host",
        () if error.contains("certificate") => "certificate verify failed",
        () => "Name or service not known",
    };
    format!("500 Can't connect to {place} ({why})")
}

/// What an archive holds is not kept: there is nothing to tell.
fn import_metadata(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let volid = format!("{}:{}", text(call, "storage"), text(call, "volume"));
    let parsed = super::storage_content::check_volume_access(call, None, &volid)?;
    if parsed.content != "import" {
        return Err(Refusal::die(format!("invalid content type '{}'", parsed.content)));
    }
    if !matches!(parsed.format.as_str(), "ova" | "ovf") {
        return Err(Refusal::die("invalid format"));
    }
    let path = call.world.path_of(&volid)?;
    if call.world.volume(&call.node(), &volid).is_none() {
        let error = match parsed.format.as_str() {
            "ovf" => format!("can't open '{path}' - No such file or directory"),
            _ => format!(
                "command 'tar -xO --wildcards '--occurrence=1' -f {path} '*.ovf'' failed: exit code 2"
            ),
        };
        return Err(Refusal::die(error));
    }
    Err(Refusal::die("the simulator keeps no archive's description"))
}
