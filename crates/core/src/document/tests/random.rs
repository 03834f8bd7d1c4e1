//! No input makes `load` panic, hang or point outside a text.

use proptest::prelude::*;

use super::lab::{CONFIG, Lab, PROFILE};
use super::reuse::{LAYERED, SERVER};
use crate::diagnostic::Rendered;

/// Loads and renders everything, and checks that every place is inside its text.
fn survives(lab: &Lab) {
    let loaded = lab.load(&["."]);
    lab.render(&loaded);
    for label in loaded.diagnostics.iter().flat_map(|problem| &problem.labels) {
        let text = loaded.sources.text(label.span.source);
        let start = label.span.start as usize;
        let inside = text.get(start..start + label.span.len as usize);
        assert!(inside.is_some(), "{label:?} in {text:?}");
    }
    for problem in &loaded.diagnostics {
        assert!(!Rendered::new(problem, &loaded.sources).to_string().is_empty());
    }
}

/// Words that documents are made of, and what breaks them.
const WORDS: [&str; 56] = [
    "include: parts.yaml\n",
    "include",
    "variables: ",
    "for_each: ",
    "start_ip: ",
    "moved: ",
    "defaults: ",
    "placement: ",
    "type: ",
    "'{var.a}'",
    "\"{index:03}\"",
    "'{10.0.0.1+index}'",
    "{name}",
    "{{",
    "}}",
    "sensitive: true",
    "name",
    "nodes",
    "count",
    "cores",
    "disks",
    "scsi1",
    "net0",
    "networks",
    "assignments",
    "vmid",
    "ip",
    "tags",
    "talos",
    "0",
    "-1",
    "1e999",
    "auto",
    "1000",
    "999999999999999999999",
    "~",
    "{",
    "}",
    "[",
    "]",
    ": ",
    ", ",
    "- ",
    "\n",
    "\n  ",
    "&a ",
    "*a",
    "<<: ",
    "'",
    "\"",
    "|\n",
    "!!int ",
    "---\n",
    "\t",
    "é",
    "\u{feff}",
];

/// Some text with parts cut out, doubled, or replaced by [`WORDS`].
fn mutated(text: &'static str) -> impl Strategy<Value = String> {
    let change = (0..text.len(), 0..20_usize, prop::sample::select(WORDS.to_vec()), 0..3_u8);
    prop::collection::vec(change, 1..6).prop_map(move |changes| {
        let mut text = text.to_owned();
        for (at, len, word, kind) in changes {
            let at = at.min(text.len());
            let end = (at + len).min(text.len());
            // The texts are ASCII until a word is put in; then a change may fall inside one.
            let (Some(before), Some(cut), Some(after)) =
                (text.get(..at), text.get(at..end), text.get(end..))
            else {
                continue;
            };
            text = match kind {
                0 => format!("{before}{after}"),
                1 => format!("{before}{cut}{cut}{after}"),
                _ => format!("{before}{word}{after}"),
            };
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let lab = Lab::new();
        lab.write("a.yaml", &bytes).write("cluster-config.yaml", &bytes);
        survives(&lab);
    }

    #[test]
    fn arbitrary_words(words in prop::collection::vec(prop::sample::select(WORDS.to_vec()), 0..60)) {
        let lab = Lab::new();
        lab.write("a.yaml", words.concat());
        survives(&lab);
    }

    #[test]
    fn mutated_profiles(text in mutated(PROFILE)) {
        let lab = Lab::new();
        lab.write("k3s.yaml", text);
        survives(&lab);
    }

    #[test]
    fn mutated_layers(text in mutated(LAYERED), part in mutated(SERVER)) {
        let lab = Lab::new();
        lab.write("web.yaml", text).write("parts/server.yaml", part);
        survives(&lab);
    }

    #[test]
    fn mutated_configurations(text in mutated(CONFIG)) {
        let lab = Lab::new();
        lab.write("cluster-config.yaml", text).write("k3s.yaml", PROFILE);
        survives(&lab);
    }
}
