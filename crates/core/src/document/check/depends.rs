//! `depends_on` of standalone VMs: addresses that are there, and no circles.

use std::collections::{BTreeMap, BTreeSet};

use super::super::nearest::nearest;
use super::Documents;
use crate::desired::Desired;
use crate::diagnostic::Diagnostic;

/// Unknown guests for which a known one of nearly that name is looked for, which means comparing
/// with all of them.
const MOST_NEAREST: usize = 50;

pub(super) fn check(documents: &Documents, desired: &Desired, problems: &mut Vec<Diagnostic>) {
    let known: BTreeSet<String> = desired.guests().map(|guest| guest.address.to_string()).collect();
    let own = |name: &str| format!("{}/{name}", crate::address::STANDALONE);
    let mut edges: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut unknown = 0;
    for vm in &documents.standalone {
        for wanted in &vm.depends_on {
            let address = wanted.value.to_string();
            if !known.contains(&address) {
                unknown += 1;
                let known = known.iter().filter(|_| unknown <= MOST_NEAREST);
                let label = nearest(&address, known.map(String::as_str))
                    .map_or_else(|| "not known".to_owned(), |a| format!("did you mean '{a}'?"));
                problems.push(
                    Diagnostic::error(
                        "unknown-guest",
                        format!("no document has the guest {address}"),
                    )
                    .at(wanted.span, label)
                    .help("name the file that has it as well"),
                );
            }
            edges.entry(own(&vm.name.value)).or_default().push(address);
        }
    }
    let edges: BTreeMap<&str, Vec<&str>> = edges
        .iter()
        .map(|(from, to)| (from.as_str(), to.iter().map(String::as_str).collect()))
        .collect();
    let Some(circle) = super::circle(&edges) else { return };
    let text = circle.iter().chain(circle.first()).copied().collect::<Vec<_>>().join(" → ");
    let mut problem =
        Diagnostic::error("dependency-cycle", format!("guests wait for each other: {text}"))
            .help("take out one of the depends_on");
    for vm in &documents.standalone {
        let in_circle = |address: &str| circle.contains(&address);
        if !in_circle(&own(&vm.name.value)) {
            continue;
        }
        let mut wanted = vm.depends_on.iter();
        if let Some(wanted) = wanted.find(|wanted| in_circle(&wanted.value.to_string())) {
            problem = problem.at(wanted.span, format!("{} waits here", vm.name.value));
        }
    }
    problems.push(problem);
}
