//! CPU types (`PVE::QemuServer::CPUConfig`).

use super::property::Values;

/// The models that QEMU knows, on x86 and ARM, in the order of the error that lists them.
#[rustfmt::skip]
pub(crate) const REPORTED: &[&str] = &[
    "486", "a64fx", "athlon", "Broadwell", "Broadwell-IBRS", "Broadwell-noTSX",
    "Broadwell-noTSX-IBRS", "Cascadelake-Server", "Cascadelake-Server-noTSX",
    "Cascadelake-Server-v2", "Cascadelake-Server-v4", "Cascadelake-Server-v5", "ClearwaterForest",
    "Conroe", "Cooperlake", "Cooperlake-v2", "core2duo", "coreduo", "cortex-a35", "cortex-a53",
    "cortex-a55", "cortex-a57", "cortex-a710", "cortex-a72", "cortex-a76", "EPYC", "EPYC-Genoa",
    "EPYC-Genoa-v2", "EPYC-IBPB", "EPYC-Milan", "EPYC-Milan-v2", "EPYC-Milan-v3", "EPYC-Rome",
    "EPYC-Rome-v2", "EPYC-Rome-v3", "EPYC-Rome-v4", "EPYC-Rome-v5", "EPYC-Turin", "EPYC-v3",
    "EPYC-v4", "EPYC-v5", "GraniteRapids", "GraniteRapids-v2", "GraniteRapids-v3", "Haswell",
    "Haswell-IBRS", "Haswell-noTSX", "Haswell-noTSX-IBRS", "host", "Icelake-Client",
    "Icelake-Client-noTSX", "Icelake-Server", "Icelake-Server-noTSX", "Icelake-Server-v3",
    "Icelake-Server-v4", "Icelake-Server-v5", "Icelake-Server-v6", "Icelake-Server-v7",
    "IvyBridge", "IvyBridge-IBRS", "KnightsMill", "kvm32", "kvm64", "max", "Nehalem",
    "Nehalem-IBRS", "neoverse-n1", "neoverse-n2", "neoverse-v1", "Opteron_G1", "Opteron_G2",
    "Opteron_G3", "Opteron_G4", "Opteron_G5", "Penryn", "pentium", "pentium2", "pentium3",
    "phenom", "qemu32", "qemu64", "SandyBridge", "SandyBridge-IBRS", "SapphireRapids",
    "SapphireRapids-v2", "SapphireRapids-v3", "SapphireRapids-v4", "SierraForest",
    "SierraForest-v2", "SierraForest-v3", "Skylake-Client", "Skylake-Client-IBRS",
    "Skylake-Client-noTSX-IBRS", "Skylake-Client-v4", "Skylake-Server", "Skylake-Server-IBRS",
    "Skylake-Server-noTSX-IBRS", "Skylake-Server-v4", "Skylake-Server-v5", "Westmere",
    "Westmere-IBRS",
];

/// Models that Proxmox VE makes of them.
const BUILT_IN: &[&str] = &["x86-64-v2", "x86-64-v2-AES", "x86-64-v3", "x86-64-v4"];

/// The flags that a guest may have of its own.
const FLAGS: &[&str] = &[
    "aes",
    "amd-no-ssb",
    "amd-ssbd",
    "hv-evmcs",
    "hv-tlbflush",
    "ibpb",
    "md-clear",
    "nested-virt",
    "pcid",
    "pdpe1gb",
    "spec-ctrl",
    "ssbd",
    "virt-ssbd",
];

/// `validate_vm_cpu_conf`: the type is known, the flags are few, and nothing is reported for
/// another model. Custom models (`custom-NAME`) are not simulated: there are none.
pub(crate) fn check(values: &Values) -> Result<(), String> {
    let name = values.get("cputype").unwrap_or_default();
    if matches!(name, "" | "0") {
        return Err("CPU is missing cputype".to_owned());
    }
    if let Some(custom) = name.strip_prefix("custom-") {
        return Err(format!("Custom cputype '{custom}' not found"));
    }
    if !REPORTED.contains(&name) && !BUILT_IN.contains(&name) {
        return Err(format!(
            "Built-in cputype '{name}' is not defined (missing 'custom-' prefix?)"
        ));
    }
    let known =
        |flag: &str| flag.strip_prefix(['+', '-']).is_some_and(|flag| FLAGS.contains(&flag));
    if values.get("flags").is_some_and(|flags| !flags.split(';').all(known)) {
        return Err(format!("VM-specific CPU flags must be a subset of: {}", FLAGS.join(", ")));
    }
    if values.get("reported-model").is_some() {
        return Err("Property 'reported-model' not allowed in VM-specific CPU config.".to_owned());
    }
    Ok(())
}
