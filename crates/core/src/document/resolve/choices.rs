//! Keys of the merged tree that are about a guest and not in its configuration: `placement`,
//! `apply_changes`, `prevent_destroy` and `on_failure`.

use super::super::decode::value;
use super::super::yaml::{Kind, Node};
use crate::desired::{ApplyChanges, OnFailure, Placement};
use crate::diagnostic::{Diagnostic, Span, Spanned};

/// What the documents choose.
#[derive(Debug, Clone, Default)]
pub(super) struct Choices {
    placement: Option<Spanned<Word>>,
    pub(super) apply_changes: Option<Spanned<ApplyChanges>>,
    pub(super) prevent_destroy: Option<Spanned<bool>>,
    pub(super) on_failure: Option<Spanned<OnFailure>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Spread,
    Pack,
    Pinned,
}

impl Choices {
    /// Takes them out of the tree.
    pub(super) fn take(tree: &mut Node, problems: &mut Vec<Diagnostic>) -> Self {
        let mut word = |key: &str, known: &[&str]| {
            let node = tree.remove(key)?.value;
            let said = node.kind != Kind::Null;
            if said { value::word(&node, key, known, problems) } else { None }
        };
        let placement = word("placement", &["spread", "pack", "pinned"]);
        let changes = word("apply_changes", &["live", "reboot", "manual"]);
        let failure = word("on_failure", &["keep", "destroy"]);
        let prevent = tree.remove("prevent_destroy").map(|entry| entry.value);
        let prevent = prevent.filter(|node| node.kind != Kind::Null);
        Self {
            placement: placement.map(|word| {
                word.map(|word| match word.as_str() {
                    "pack" => Word::Pack,
                    "pinned" => Word::Pinned,
                    _ => Word::Spread,
                })
            }),
            apply_changes: changes.map(|word| {
                word.map(|word| match word.as_str() {
                    "reboot" => ApplyChanges::Reboot,
                    "manual" => ApplyChanges::Manual,
                    _ => ApplyChanges::Live,
                })
            }),
            prevent_destroy: prevent
                .and_then(|node| value::boolean(&node, "prevent_destroy", problems)),
            on_failure: failure.map(|word| {
                word.map(|word| match word.as_str() {
                    "destroy" => OnFailure::Destroy,
                    _ => OnFailure::Keep,
                })
            }),
        }
    }

    /// Where the guest goes, and whether it is kept there. A node that is named wins.
    pub(super) fn placement(
        &self,
        node: Option<&Spanned<String>>,
        problems: &mut Vec<Diagnostic>,
    ) -> (Placement, bool) {
        let word = self.placement.as_ref().map(|word| word.value);
        match (node, word) {
            (Some(node), word) => (Placement::Node(node.value.clone()), word == Some(Word::Pinned)),
            (None, Some(Word::Pack)) => (Placement::Pack, false),
            (None, Some(Word::Pinned)) => {
                problems.extend(self.at().map(|span| {
                    Diagnostic::error("missing-key", "'placement: pinned' needs 'node'")
                        .at(span, "a guest here has no node to be kept on")
                        .help("name a node, or choose 'spread' or 'pack'")
                }));
                (Placement::Spread, false)
            }
            _ => (Placement::Spread, false),
        }
    }

    /// Where `placement` is said.
    pub(super) fn at(&self) -> Option<Span> {
        self.placement.as_ref().map(|word| word.span)
    }
}
