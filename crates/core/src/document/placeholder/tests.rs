use proptest::prelude::*;

use super::*;
use crate::diagnostic::{SourceId, Span};
use crate::document::yaml::{Kind, Node};

fn filled(text: &str, context: &Context<'_>) -> Result<String, String> {
    let span = Span { source: SourceId(0), start: 0, len: 0 };
    let kind = match parse(text) {
        Ok(None) => Kind::Text(text.to_owned()),
        Ok(Some(pieces)) => Kind::Template(pieces),
        Err(slip) => return Err(format!("{} → {}", slip.written, slip.meant)),
    };
    let mut node = Node { span, kind };
    let mut problems = Vec::new();
    fill(&mut node, context, &mut problems);
    match problems.first() {
        Some(problem) => Err(problem.message.clone()),
        None => Ok(match node.kind {
            Kind::Number(text) => format!("number {text}"),
            _ => node.scalar().unwrap(),
        }),
    }
}

#[test]
fn texts() {
    let context = Context {
        index: Some(7),
        name: Some("worker07"),
        vmid: Some(1007),
        cluster: Some("{name}"),
        ..Context::default()
    };
    for (text, expected) in [
        ("plain", "plain"),
        ("{index}", "number 7"),
        ("{index:03}", "007"),
        ("{index+10}", "number 17"),
        ("{index-7}", "number 0"),
        ("{index+93:04}", "0100"),
        ("a{index}b{index:02}", "a7b07"),
        ("1{index}", "number 17"),
        ("{10.0.0.60+index}/24", "10.0.0.67/24"),
        ("{10.0.0.255+index}", "10.0.1.6"),
        ("{fd00::ff+index}/64", "fd00::106/64"),
        ("{vmid}", "number 1007"),
        ("on {node} is {name}", "on {node} is worker07"),
        ("{cluster}", "{name}"),
        ("{{name}}", "{name}"),
        ("{{{name}}}", "{worker07}"),
        ("{\"a\": {\"b\": 1}}", "{\"a\": {\"b\": 1}}"),
        ("{{ jinja }} {% if x %}", "{{ jinja }} {% if x %}"),
        ("{foobar}", "{foobar}"),
        ("{", "{"),
        ("{}", "{}"),
        ("{name", "{name"),
        ("}{name}{", "}worker07{"),
    ] {
        assert_eq!(filled(text, &context).as_deref(), Ok(expected), "{text}");
    }
    for (text, expected) in [
        ("{indx}", "{indx} → {index}, {index+10} or {index:03}"),
        ("{index:3}", "{index:3} → {index}, {index+10} or {index:03}"),
        ("{nam}", "{nam} → {name}"),
        ("{vars.x}", "{vars.x} → {var.NAME}"),
        ("{each}", "{each} has no value here"),
        ("{255.255.255.255+index}", "a placeholder counts too far"),
        ("{index-8}", "a placeholder counts too far"),
    ] {
        assert_eq!(filled(text, &context), Err(expected.to_owned()), "{text}");
    }
}

#[test]
fn placeholders_are_written_as_they_are_read() {
    for text in ["{var.a_b}", "{index}", "{index+10:03}", "{index-1}", "{fd00::+index}", "{each}"] {
        let pieces = parse(text).unwrap().unwrap();
        assert_eq!(written(&pieces), text);
    }
}

proptest! {
    #[test]
    fn no_text_makes_trouble(text in "[{}a-z0-9.:+é\n-]{0,40}|\\PC{0,20}", index in any::<u32>()) {
        let context = Context { index: Some(index), name: Some("{x}"), ..Context::default() };
        let _ = filled(&text, &context);
        if let Ok(Some(pieces)) = parse(&text) {
            // What was read and written is read the same again.
            let again = parse(&written(&pieces));
            prop_assert!(again.is_ok() || text.contains("{{"), "{again:?}");
        }
    }

    #[test]
    fn texts_without_braces_stay(text in "[^{}]{0,40}") {
        prop_assert_eq!(parse(&text), Ok(None));
    }
}
