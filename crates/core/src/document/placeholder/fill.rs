//! The second pass: what depends on the guest.

use super::super::yaml::{Kind, Node};
use super::address::after;
use super::read::{plain, settled};
use super::{Piece, Place, Word};
use crate::diagnostic::{Diagnostic, Span};

/// What is known of a guest. What is `None` is not known yet, or never.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Context<'c> {
    /// From 1.
    pub(crate) index: Option<u32>,
    pub(crate) name: Option<&'c str>,
    pub(crate) profile: Option<&'c str>,
    pub(crate) group: Option<&'c str>,
    pub(crate) each: Option<&'c str>,
    pub(crate) cluster: Option<&'c str>,
    pub(crate) vmid: Option<u32>,
    pub(crate) node: Option<&'c str>,
}

impl Context<'_> {
    /// What stands for `place`; none when it is not known.
    fn text(&self, place: &Place) -> Result<Option<String>, String> {
        let word = |text: Option<&str>| Ok(text.map(str::to_owned));
        match place {
            // Filled in by the first pass.
            Place::Var(_) => Ok(None),
            Place::Index { add, width } => {
                let Some(index) = self.index else { return Ok(None) };
                let sum = i64::from(index) + add;
                if sum < 0 {
                    return Err(format!("{place} is less than 0 for guest {index}"));
                }
                Ok(Some(format!("{sum:0width$}", width = *width)))
            }
            Place::Address(base) => {
                let Some(index) = self.index else { return Ok(None) };
                let Some(ip) = after(*base, u64::from(index)) else {
                    return Err(format!("there is no address {index} after {base}"));
                };
                Ok(Some(ip.to_string()))
            }
            Place::Word(Word::Name) => word(self.name),
            Place::Word(Word::Profile) => word(self.profile),
            Place::Word(Word::Group) => word(self.group),
            Place::Word(Word::Each) => word(self.each),
            Place::Word(Word::Cluster) => word(self.cluster),
            Place::Word(Word::Vmid) => Ok(self.vmid.map(|vmid| vmid.to_string())),
            Place::Word(Word::Node) => word(self.node),
        }
    }
}

/// Fills in what is known and leaves the rest.
pub(crate) fn fill_known(node: &mut Node, context: &Context<'_>, problems: &mut Vec<Diagnostic>) {
    each(node, &mut |pieces, span| settled(known(pieces, context, span, problems)));
}

/// Fills in everything. A `{node}` that is not known stays as it stands: the plan knows it. Any
/// other is a problem.
pub(crate) fn fill(node: &mut Node, context: &Context<'_>, problems: &mut Vec<Diagnostic>) {
    each(node, &mut |pieces, span| {
        let pieces = known(pieces, context, span, problems);
        for piece in &pieces {
            if let Piece::Place(place) = piece
                && *place != Place::Word(Word::Node)
            {
                problems.push(no_value(place, span));
            }
        }
        plain(super::written(&pieces))
    });
}

fn each(node: &mut Node, change: &mut impl FnMut(Vec<Piece>, Span) -> Kind) {
    let span = node.span;
    match &mut node.kind {
        Kind::Map(entries) => entries.iter_mut().for_each(|entry| each(&mut entry.value, change)),
        Kind::Seq(items) => items.iter_mut().for_each(|item| each(item, change)),
        Kind::Template(pieces) => {
            let pieces = std::mem::take(pieces);
            node.kind = change(pieces, span);
        }
        _ => {}
    }
}

fn known(
    pieces: Vec<Piece>,
    context: &Context<'_>,
    span: Span,
    problems: &mut Vec<Diagnostic>,
) -> Vec<Piece> {
    let fill = |piece| {
        let Piece::Place(place) = piece else { return piece };
        match context.text(&place) {
            Ok(Some(text)) => Piece::Text(text),
            Ok(None) => Piece::Place(place),
            Err(why) => {
                problems.push(
                    Diagnostic::error("bad-placeholder", "a placeholder counts too far")
                        .at(span, why),
                );
                Piece::Text(String::new())
            }
        }
    };
    pieces.into_iter().map(fill).collect()
}

fn no_value(place: &Place, span: Span) -> Diagnostic {
    let (why, help) = match place {
        Place::Word(Word::Each) => {
            ("only guests of 'for_each' have it", "use {index}, or write 'for_each' for 'count'")
        }
        Place::Word(Word::Vmid) => (
            "the VMID is not known before the guest is there",
            "give a fixed vmid or start_vmid, or use {name}",
        ),
        Place::Word(Word::Cluster) => {
            ("no cluster.name is said", "name the cluster in cluster-config.yaml")
        }
        Place::Word(Word::Profile | Word::Group) => {
            ("a standalone VM is in no profile", "use {name}")
        }
        Place::Word(Word::Name) => ("the name cannot have itself in it", "use {index} or {each}"),
        Place::Index { .. } | Place::Address(_) => {
            ("only guests that are counted have a number", "give 'count' or 'for_each'")
        }
        Place::Var(_) | Place::Word(Word::Node) => ("not known", "give it"),
    };
    Diagnostic::error("no-value", format!("{place} has no value here")).at(span, why).help(help)
}
