//! `/nodes/{node}/capabilities/qemu`: processor models and machine types of QEMU 10.2.

use serde_json::{Value, json};

use super::call::{Call, Reply};
use super::endpoint::{Endpoint, Param, optional};
use super::permission::Permission;
use super::refusal::Refusal;
use crate::guest::format::Kind;

const ARCH: &[Param] = &[optional("arch", Kind::Enum(&["x86_64", "aarch64"]))];

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/nodes/{node}/capabilities/qemu/cpu", models).with(ARCH),
    Endpoint::get("/nodes/{node}/capabilities/qemu/machines", machines).with(ARCH),
    Endpoint::get("/nodes/{node}/capabilities/qemu/migration", |_| {
        Ok(json!({ "has-dbus-vmstate": true }).into())
    })
    .may(Permission::All("/nodes/{node}", &["Sys.Audit"])),
];

/// Models by vendor (`PVE::QemuServer::CPUConfig`).
const MODELS: &[(&str, &[&str])] = &[
    (
        "GenuineIntel",
        &[
            "486",
            "Broadwell",
            "Broadwell-IBRS",
            "Broadwell-noTSX",
            "Broadwell-noTSX-IBRS",
            "Cascadelake-Server",
            "Cascadelake-Server-noTSX",
            "Cascadelake-Server-v2",
            "Cascadelake-Server-v4",
            "Cascadelake-Server-v5",
            "Conroe",
            "Cooperlake",
            "Cooperlake-v2",
            "GraniteRapids",
            "Haswell",
            "Haswell-IBRS",
            "Haswell-noTSX",
            "Haswell-noTSX-IBRS",
            "Icelake-Server",
            "Icelake-Server-noTSX",
            "Icelake-Server-v3",
            "Icelake-Server-v4",
            "Icelake-Server-v5",
            "Icelake-Server-v6",
            "IvyBridge",
            "IvyBridge-IBRS",
            "KnightsMill",
            "Nehalem",
            "Nehalem-IBRS",
            "Penryn",
            "SandyBridge",
            "SandyBridge-IBRS",
            "SapphireRapids",
            "SapphireRapids-v2",
            "Skylake-Client",
            "Skylake-Client-IBRS",
            "Skylake-Client-noTSX-IBRS",
            "Skylake-Client-v4",
            "Skylake-Server",
            "Skylake-Server-IBRS",
            "Skylake-Server-noTSX-IBRS",
            "Skylake-Server-v4",
            "Skylake-Server-v5",
            "Westmere",
            "Westmere-IBRS",
            "core2duo",
            "coreduo",
            "pentium",
            "pentium2",
            "pentium3",
        ],
    ),
    (
        "AuthenticAMD",
        &[
            "EPYC",
            "EPYC-Genoa",
            "EPYC-IBPB",
            "EPYC-Milan",
            "EPYC-Milan-v2",
            "EPYC-Rome",
            "EPYC-Rome-v2",
            "EPYC-Rome-v3",
            "EPYC-Rome-v4",
            "EPYC-v3",
            "EPYC-v4",
            "Opteron_G1",
            "Opteron_G2",
            "Opteron_G3",
            "Opteron_G4",
            "Opteron_G5",
            "athlon",
            "phenom",
        ],
    ),
    ("default", &["host", "kvm32", "kvm64", "max", "qemu32", "qemu64"]),
];

/// Models that Proxmox VE defines itself, as sets of flags.
const ABSTRACT: &[&str] = &["x86-64-v2", "x86-64-v2-AES", "x86-64-v3", "x86-64-v4"];

fn models(_: &mut Call<'_>) -> Result<Reply, Refusal> {
    let mut list = Vec::new();
    for (vendor, names) in MODELS {
        for name in *names {
            list.push(json!({ "name": name, "custom": 0, "vendor": vendor }));
        }
    }
    for name in ABSTRACT {
        list.push(json!({ "name": name, "custom": 0, "abstract": 1, "vendor": "default" }));
    }
    Ok(Value::Array(list).into())
}

/// Versions that QEMU 10.2 still has, the newest first.
const VERSIONS: &[&str] = &[
    "10.2", "10.1", "10.0", "9.2", "9.1", "9.0", "8.2", "8.1", "8.0", "7.2", "7.1", "7.0", "6.2",
    "6.1", "6.0", "5.2", "5.1", "5.0", "4.2",
];

/// Revisions of a version that Proxmox VE made (`PVE_MACHINE_VERSION` of
/// PVE::QemuServer::Machine).
const REVISIONS: &[(&str, &str)] = &[
    ("10.0", "Set host_mtu vNIC option even with default value for migration compat."),
    ("9.2", "Disables S3/S4 power states by default."),
];

fn machines(_: &mut Call<'_>) -> Result<Reply, Refusal> {
    let mut list = Vec::new();
    for version in VERSIONS {
        let revision = REVISIONS.iter().find(|(revised, _)| revised == version);
        for (family, kind) in [("pc-i440fx", "i440fx"), ("pc-q35", "q35")] {
            if let Some((_, changes)) = revision {
                let version = format!("{version}+pve1");
                let id = format!("{family}-{version}");
                list.push(
                    json!({ "id": id, "type": kind, "version": version, "changes": changes }),
                );
            }
            let id = format!("{family}-{version}");
            list.push(json!({ "id": id, "type": kind, "version": version }));
        }
    }
    Ok(Value::Array(list).into())
}
