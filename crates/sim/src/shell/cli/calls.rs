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
        let asked = match (method, template) {
            (Method::Put, "/access/password")
            | (Method::Post, "/nodes/{node}/qemu/{vmid}/agent/set-user-password") => {
                let given = values.get("password").is_some_and(|password| !password.is_empty());
                (!given).then_some("password")
            }
            _ => values.get("cipassword").is_some_and(String::is_empty).then_some("cipassword"),
        };
        if let Some(name) = asked {
            let password = typed_twice(io).await?;
            values.insert(name.to_owned(), password);
        }
        // What the command line says is not taken.
        if (method, template) == (Method::Post, "/access/ticket") {
            values.insert("password".to_owned(), typed(io).await?);
        }
        Ok(())
    }
}

/// A password from standard input (`PVE::PTY::read_password` without a terminal).
async fn typed(io: &Io) -> Result<String, Refusal> {
    let line = io.stdin.lock().await.line().await;
    let line = line.ok_or_else(|| Refusal::die("EOF while reading password"))?;
    Ok(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned())
}

async fn typed_twice(io: &Io) -> Result<String, Refusal> {
    let (first, second) = (typed(io).await?, typed(io).await?);
    if first == second { Ok(first) } else { Err(Refusal::die("passwords do not match")) }
}
