//! One tree over another: mappings are merged key by key, lists and single values replaced, tags
//! united. Every node keeps its own place, so the result knows where each value is from.

use super::yaml::{Entry, Kind, Node};

/// Lays `higher` over `lower`.
///
/// A key with nothing after it takes a lower value away; where there is no lower value it stays as
/// it is, because a slot with nothing after it is a device without properties. Of a key that
/// `higher` has twice the first counts: the second is reported where documents are read.
pub(crate) fn overlay(lower: &mut Node, higher: &Node) {
    if matches!((&lower.kind, &higher.kind), (Kind::Map(_), Kind::Map(_))) {
        entries(lower, higher, &mut Vec::new());
    } else {
        *lower = higher.clone();
    }
}

/// Lays `layers` over each other, the lowest first.
pub(crate) fn fold<'n>(mut lowest: Node, layers: impl IntoIterator<Item = &'n Node>) -> Node {
    layers.into_iter().for_each(|layer| overlay(&mut lowest, layer));
    lowest
}

fn entries<'h>(lower: &mut Node, higher: &'h Node, path: &mut Vec<&'h str>) {
    for (index, entry) in higher.entries().iter().enumerate() {
        let key = entry.key.value.as_str();
        if higher.entries().iter().take(index).any(|before| before.key.value == key) {
            continue;
        }
        path.push(key);
        let there = lower.entries().iter().position(|below| below.key.value == key);
        match there {
            None => lower.push(entry.clone()),
            Some(at) => replace(lower, at, entry, path),
        }
        path.pop();
    }
}

fn replace<'h>(below: &mut Node, at: usize, above: &'h Entry, path: &mut Vec<&'h str>) {
    let Some(there) = below.entries_mut().get_mut(at) else { return };
    if above.value.kind == Kind::Null && there.value.kind != Kind::Null {
        below.remove(&above.key.value);
        return;
    }
    match (is_map(&there.value), is_map(&above.value), shorthand(path)) {
        (true, true, _) => entries(&mut there.value, &above.value, path),
        (true, false, Some(long)) => there.value.set(long, above.value.clone()),
        (false, true, Some(long)) if there.value.kind != Kind::Null => {
            let mut written_out = Node::mapping(there.value.span);
            written_out.set(long, there.value.clone());
            entries(&mut written_out, &above.value, path);
            there.value = written_out;
        }
        _ if path == &["tags"] => there.value = union(&there.value, &above.value),
        _ => *there = above.clone(),
    }
}

fn is_map(node: &Node) -> bool {
    matches!(node.kind, Kind::Map(_))
}

/// The key that a single value stands for where a mapping may be written: `scsi1: 40G` is
/// `scsi1: {size: 40G}`. A short form over a long one changes that key alone.
fn shorthand(path: &[&str]) -> Option<&'static str> {
    match path {
        ["disks", _] => Some("size"),
        ["networks", _] => Some("bridge"),
        ["cloudinit", "ipconfig", _] => Some("ip"),
        ["cpu"] => Some("cputype"),
        ["agent"] => Some("enabled"),
        ["machine"] => Some("type"),
        _ => None,
    }
}

/// Items of both lists, the higher first, so that their place is the most specific one; a single
/// value is a list of one.
fn union(lower: &Node, higher: &Node) -> Node {
    let mut items: Vec<Node> = list(higher).to_vec();
    for item in list(lower) {
        if !items.iter().any(|there| there.kind == item.kind) {
            items.push(item.clone());
        }
    }
    Node { span: higher.span, kind: Kind::Seq(items) }
}

fn list(node: &Node) -> &[Node] {
    match &node.kind {
        Kind::Seq(items) => items,
        Kind::Null => &[],
        _ => std::slice::from_ref(node),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::diagnostic::{SourceId, Span};
    use crate::document::yaml;

    fn tree(text: &str) -> Node {
        yaml::parse(SourceId(0), text).unwrap().remove(0)
    }

    /// A tree as text without places, keys sorted.
    fn shown(node: &Node) -> String {
        match &node.kind {
            Kind::Map(entries) => {
                let mut parts: Vec<String> = entries
                    .iter()
                    .map(|entry| format!("{}: {}", entry.key.value, shown(&entry.value)))
                    .collect();
                parts.sort();
                format!("{{{}}}", parts.join(", "))
            }
            Kind::Seq(items) => {
                format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", "))
            }
            _ => node.scalar().unwrap_or_else(|| "~".to_owned()),
        }
    }

    #[test]
    fn layers_over_each_other() {
        for (lower, higher, expected) in [
            ("{cores: 1, memory: 2}", "{cores: 4}", "{cores: 4, memory: 2}"),
            ("{cores: 1}", "{cores: }", "{}"),
            ("{cores: 1}", "{networks: {net1: }}", "{cores: 1, networks: {net1: ~}}"),
            ("{networks: {net1: vmbr0}}", "{networks: {net1: }}", "{networks: {}}"),
            ("{tags: [a, b]}", "{tags: [b, c]}", "{tags: [b, c, a]}"),
            ("{tags: a}", "{tags: }", "{}"),
            ("{a: [1, 2]}", "{a: [3]}", "{a: [3]}"),
            (
                "{disks: {scsi1: {size: 40G, ssd: true}}}",
                "{disks: {scsi1: 60G}}",
                "{disks: {scsi1: {size: 60G, ssd: true}}}",
            ),
            (
                "{networks: {net0: vmbr0, net1: vmbr1}}",
                "{networks: {net0: {tag: 20}}}",
                "{networks: {net0: {bridge: vmbr0, tag: 20}, net1: vmbr1}}",
            ),
            ("{a: {b: 1}}", "{a: 2}", "{a: 2}"),
            ("{a: 2}", "{a: {b: 1}}", "{a: {b: 1}}"),
            ("{a: 1}", "{a: 2, a: 3}", "{a: 2}"),
        ] {
            let merged = fold(tree(lower), [&tree(higher)]);
            assert_eq!(shown(&merged), expected, "{higher} over {lower}");
        }
    }

    #[test]
    fn places_are_those_of_the_winning_layer() {
        let lower = yaml::parse(SourceId(1), "{a: 1, b: 2}").unwrap().remove(0);
        let merged = fold(lower, [&tree("{b: 3}")]);
        let source = |key: &str| merged.get(key).unwrap().span.source;
        assert_eq!((source("a"), source("b")), (SourceId(1), SourceId(0)));
    }

    /// Mappings in every layer have the same keys with values of the same kind, as documents of
    /// one schema do.
    fn layer() -> impl Strategy<Value = Node> {
        let span = Span { source: SourceId(0), start: 0, len: 0 };
        let value = (0..5_u8).prop_map(move |n| Node { span, kind: Kind::Number(n.to_string()) });
        let inner = prop::collection::btree_map("[xyz]", value.clone(), 0..3);
        let tags = prop::collection::btree_set("[a-d]", 0..3);
        let single = prop::collection::btree_map("[pqr]", value, 0..3);
        let maps = prop::collection::btree_map("[fgh]", inner, 0..3);
        (single, maps, tags).prop_map(move |(single, maps, tags)| {
            let mut node = Node::mapping(span);
            single.into_iter().for_each(|(key, value)| node.set(&key, value));
            for (key, inner) in maps {
                let mut map = Node::mapping(span);
                inner.into_iter().for_each(|(key, value)| map.set(&key, value));
                node.set(&key, map);
            }
            let tags = tags.into_iter().map(|tag| Node::text(tag, span)).collect();
            node.set("tags", Node { span, kind: Kind::Seq(tags) });
            node
        })
    }

    proptest! {
        #[test]
        fn merging_is_associative(a in layer(), b in layer(), c in layer()) {
            let left = fold(fold(a.clone(), [&b]), [&c]);
            let right = fold(a, [&fold(b, [&c])]);
            prop_assert_eq!(shown(&left), shown(&right));
        }

        #[test]
        fn the_same_layer_twice_is_the_layer(a in layer(), b in layer()) {
            prop_assert_eq!(shown(&fold(a.clone(), [&a])), shown(&a));
            let once = fold(a, [&b]);
            prop_assert_eq!(shown(&fold(once.clone(), [&b])), shown(&once));
        }
    }
}
