//! What URLs answer: images that a node can "download" without a network.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::World;
use super::storage::Volume;

/// The answer of a URL.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UrlAnswer {
    /// Bytes of the file.
    pub size: u64,
    /// Virtual size in bytes of the disk in it; 0 when it is none, or a raw one.
    #[serde(default)]
    pub virtual_size: u64,
    /// `qcow2`, `raw` or `vmdk`, when it holds a disk; else empty.
    #[serde(default)]
    pub format: String,
    /// Checksums by algorithm (`sha256`), lower-case hex.
    #[serde(default)]
    pub checksums: BTreeMap<String, String>,
    /// A guest that boots from it answers the power button and runs the guest agent.
    #[serde(default)]
    pub bootable: bool,
    /// `Content-Type`; `application/octet-stream` when empty.
    #[serde(default)]
    pub mimetype: String,
    /// Status other than 200, for a URL that refuses.
    #[serde(default)]
    pub status: u16,
}

impl World {
    /// Says what a URL answers, to `download-url` and `query-url-metadata`.
    pub fn set_url(&mut self, url: &str, answer: UrlAnswer) {
        self.urls.insert(url.to_owned(), answer);
    }

    /// The images that people fetch first. Their checksums change with every build: none is named,
    /// so that any is taken.
    pub(crate) fn usual_urls(&mut self) {
        const MIB: u64 = 1 << 20;
        let image = |size: u64, virtual_size: u64| UrlAnswer {
            size: size * MIB,
            virtual_size: virtual_size * MIB,
            format: "qcow2".to_owned(),
            bootable: true,
            ..UrlAnswer::default()
        };
        let debian = "https://cloud.debian.org/images/cloud";
        let ubuntu = "https://cloud-images.ubuntu.com";
        let talos = "https://factory.talos.dev/image/376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba";
        let urls = [
            (
                format!("{debian}/trixie/latest/debian-13-genericcloud-amd64.qcow2"),
                image(330, 3072),
            ),
            (format!("{debian}/trixie/latest/debian-13-generic-amd64.qcow2"), image(410, 3072)),
            (
                format!("{debian}/bookworm/latest/debian-12-genericcloud-amd64.qcow2"),
                image(330, 3072),
            ),
            (format!("{debian}/bookworm/latest/debian-12-generic-amd64.qcow2"), image(420, 3072)),
            (format!("{ubuntu}/noble/current/noble-server-cloudimg-amd64.img"), image(600, 3584)),
            (format!("{ubuntu}/jammy/current/jammy-server-cloudimg-amd64.img"), image(650, 2252)),
            (format!("{talos}/v1.11.0/nocloud-amd64.qcow2"), image(110, 4500)),
        ];
        for (url, answer) in urls {
            self.set_url(&url, answer);
        }
        let iso = UrlAnswer { size: 780 * MIB, ..UrlAnswer::default() };
        let cd = "https://cdimage.debian.org/debian-cd/current/amd64/iso-cd";
        self.set_url(&format!("{cd}/debian-13.1.0-amd64-netinst.iso"), iso);
    }

    /// Whether the bytes of a file are those of an image that is known to boot: by a checksum that
    /// a URL or another file of the world has.
    pub(crate) fn known_bootable(&self, volume: &Volume) -> bool {
        let same = |other: &BTreeMap<String, String>| {
            volume.checksums.iter().any(|(name, sum)| other.get(name) == Some(sum))
        };
        let by_url = self.urls.values().any(|url| url.bootable && same(&url.checksums));
        by_url
            || self
                .volumes
                .values()
                .flat_map(BTreeMap::values)
                .any(|other| other.bootable && other.content == "import" && same(&other.checksums))
    }
}
