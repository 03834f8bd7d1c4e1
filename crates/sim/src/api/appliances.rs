//! `/nodes/{node}/aplinfo`: templates of containers to download (`PVE::APLInfo`). A few of those
//! that a node knows without ever having asked for the list.

use serde_json::{Value, json};

use super::call::{Call, Reply};
use super::endpoint::{Endpoint, required};
use super::permission::Permission;
use super::refusal::Refusal;
use crate::guest::format::{Format, Kind};
use crate::storage::activate::enabled;
use crate::work::{Work, download::Download};

const PATH: &str = "/nodes/{node}/aplinfo";
const SOURCE: &str = "http://download.proxmox.com/images";

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get(PATH, index),
    Endpoint::post(PATH, download)
        .may(Permission::All("/storage/{storage}", &["Datastore.AllocateTemplate"]))
        .with(&[
            required("storage", Kind::Format(Format::StorageId)),
            required("template", Kind::Text { max: 255 }),
        ]),
];

struct Appliance {
    package: &'static str,
    version: &'static str,
    os: &'static str,
    file: &'static str,
    infopage: &'static str,
    headline: &'static str,
    description: &'static str,
    md5: &'static str,
    sha512: &'static str,
}

const LISTS: &str = "https://pve.proxmox.com/wiki/Linux_Container#pct_supported_distributions";
const APPLIANCES: &[Appliance] = &[
    Appliance {
        package: "alpine-3.23-default",
        version: "20260116",
        os: "alpine",
        file: "alpine-3.23-default_20260116_amd64.tar.xz",
        infopage: "https://linuxcontainers.org",
        headline: "LXC default image for alpine 3.23 (20260116)",
        description: "",
        md5: "2538c3bc2ca5215cc0392383f838d643",
        sha512: "d6835836b59888d8bb3971668820483a246cfa46e992f62209464b6faabd6a223f4132bc0aa86675603223b6646edf4fc33b8b6e80673e1b31183fac191baee4",
    },
    Appliance {
        package: "debian-12-standard",
        version: "12.12-1",
        os: "debian-12",
        file: "debian-12-standard_12.12-1_amd64.tar.zst",
        infopage: LISTS,
        headline: "Debian 12 Bookworm (standard)",
        description: "A small Debian Bookworm system including all standard packages.",
        md5: "4e5a0a7183b6c8ca6867489820961e88",
        sha512: "50c85eaaece677a3ebe01cc909b83872e9da2a22c29ae652838afce71e83222fdf40f6accecd7d52b180e912fc1f85ecdf7b3fc4d3027da4d865e509a9e76597",
    },
    Appliance {
        package: "debian-13-standard",
        version: "13.6-1",
        os: "debian-13",
        file: "debian-13-standard_13.6-1_amd64.tar.zst",
        infopage: LISTS,
        headline: "Debian 13 Trixie (standard)",
        description: "A small Debian Trixie system including all standard packages.",
        md5: "a6148ff6f0d60e643a6e5f33497cecea",
        sha512: "4c0c27ca6ceab5ef0b84db57825a00f26157ef1854bafe97297813e1cbe8ecb8cc9c453cab6b3b0efe1ba193a50c47ece1e41d950e411b8730b835b71e9e754b",
    },
];

fn index(_: &mut Call<'_>) -> Result<Reply, Refusal> {
    let items = APPLIANCES.iter().map(|known| {
        json!({
            "package": known.package, "version": known.version, "type": "lxc", "os": known.os,
            "section": "system", "architecture": "amd64", "infopage": known.infopage,
            "maintainer": "Proxmox Support Team <support@proxmox.com>", "template": known.file,
            "headline": known.headline, "description": known.description, "source": SOURCE,
            "location": location(known), "md5sum": known.md5, "sha512sum": known.sha512,
        })
    });
    Ok(items.collect::<Value>().into())
}

fn location(appliance: &Appliance) -> String {
    format!("{SOURCE}/system/{}", appliance.file)
}

fn download(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let (node, id) = (call.node(), call.params.get("storage").unwrap_or_default().to_owned());
    let wanted = call.params.get("template").unwrap_or_default();
    let Some(found) = APPLIANCES.iter().find(|known| known.file == wanted) else {
        return Err(Refusal::param("template", "no such template"));
    };
    if !enabled(call.world, &id, &node)?.holds("vztmpl") {
        return Err(Refusal::die(format!("storage '{id}' does not support templates")));
    }
    let work = Download {
        url: location(found),
        volid: format!("{id}:vztmpl/{}", found.file),
        content: "vztmpl".to_owned(),
        checksum: Some(("sha512".to_owned(), found.sha512.to_owned())),
        verify: true,
        ..Download::default()
    };
    Ok(call.fork(&node, "download", found.file, Work::Download(Box::new(work))))
}
