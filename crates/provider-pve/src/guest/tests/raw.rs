//! Keys and properties that pvx knows nothing of.

use pvx_core::desired::GuestSpec;

use super::{attributes, compare, line, live, spec};

fn raw(entries: &[(&str, &str)]) -> GuestSpec {
    spec(|s| s.raw.extend(entries.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))))
}

#[test]
fn as_text() {
    const TDX: (&str, &str) = ("intel-tdx", "tdx,attestation=1");
    const NET: (&str, &str) = ("net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0,future=1");
    type Pairs<'a> = &'a [(&'a str, &'a str)];
    let table: [(Pairs<'_>, &[&str], Pairs<'_>, &str); 9] = [
        (&[TDX], &[], &[], "intel-tdx=tdx,attestation=1"),
        (&[TDX], &[], &[TDX], ""),
        // Nobody knows what it means: another spelling is another value.
        (&[TDX], &[], &[("intel-tdx", "attestation=1,tdx")], "intel-tdx=tdx,attestation=1"),
        (&[("net0.future", "1")], &[], &[NET], ""),
        (
            &[("net0.future", "2")],
            &[],
            &[NET],
            "net0=virtio=BC:24:11:00:00:01,bridge=vmbr0,future=2",
        ),
        (&[("net0.future", "1")], &[], &[], "Error:raw-property"),
        (&[], &["raw.intel-tdx"], &[TDX], "-intel-tdx"),
        (&[], &["raw.net0.future"], &[NET], "net0=virtio=BC:24:11:00:00:01,bridge=vmbr0"),
        (&[], &[], &[TDX, NET], ""),
    ];
    for (wanted, before, stored, expected) in table {
        let comparison = compare(&raw(wanted), before, &live(stored));
        assert_eq!(line(&comparison), expected, "{wanted:?} {before:?} {stored:?}");
    }
}

#[test]
fn on_top_of_what_is_written_anyway() {
    let mut both = raw(&[("cpu.future", "x")]);
    both.set_property("cpu", "cputype", "host");
    let comparison = compare(&both, &[], &live(&[("cpu", "kvm64")]));
    assert_eq!(line(&comparison), "cpu=host,future=x");
    assert_eq!(attributes(&comparison), ["cpu kvm64 → host", "raw.cpu.future ∅ → x"]);
}
