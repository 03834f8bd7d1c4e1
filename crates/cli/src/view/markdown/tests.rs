//! What the comment says, how long it is, and that no text becomes markup.

use proptest::prelude::*;
use pulldown_cmark::{Event, Options, Parser, Tag};

use super::super::review::samples;
use super::*;

#[test]
fn every_kind_of_change() {
    insta::assert_snapshot!(render(&samples::every_kind(), None));
}

#[test]
fn plain_words_stay_plain() {
    for (text, wanted) in [
        (
            "shared has 31 GiB free, 40 GiB are promised",
            "shared has 31 GiB free, 40 GiB are promised",
        ),
        ("look at clusters/k3s.yaml.", "look at `clusters/k3s.yaml`."),
        ("10.0.4.12/24 of k3s/w01 (1012): 50%", "10.0.4.12/24 of k3s/w01 (1012): 50%"),
        ("ask @bob about #12 (deadbeef)", "ask `@bob` about `#12` (`deadbeef`)"),
        ("evil.example 'www.x' ABC-1", "`evil.example` 'www.x' `ABC-1`"),
        ("1. first", "`1`. first"),
    ] {
        assert_eq!(super::escape::prose(text), wanted);
    }
}

#[test]
fn nothing_to_do() {
    insta::assert_snapshot!(render(&samples::empty(), None));
}

#[test]
fn thirty_guests_are_told_in_full() {
    let text = render(&samples::thirty(), None);
    assert!(text.len() < LIMIT && !text.contains("Left out"), "{}", text.len());
    assert_eq!(text.matches("agent").count(), 17);
}

#[test]
fn thousands_fit_and_what_is_left_out_is_said() {
    for number in [400, 2000] {
        let text = render(&samples::many(number), None);
        assert!(text.len() < LIMIT, "{number}: {}", text.len());
        assert!(text.contains("Left out") && text.contains("`pvx plan` shows everything"));
        // The dearest stay.
        assert!(text.contains("k3s/worker09"), "{text}");
    }
}

/// All text of the comment, and everything in it that is not text.
fn parsed(text: &str) -> (String, Vec<String>) {
    let (mut words, mut markup) = (String::new(), Vec::new());
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_MATH;
    for event in Parser::new_ext(text, options | Options::ENABLE_FOOTNOTES) {
        match event {
            Event::Text(text) | Event::Code(text) => words.push_str(&text),
            Event::SoftBreak | Event::HardBreak => words.push('\n'),
            Event::Html(html) | Event::InlineHtml(html) => markup.push(html.trim().to_owned()),
            Event::Start(tag @ (Tag::Link { .. } | Tag::Image { .. })) => {
                markup.push(format!("{tag:?}"));
            }
            Event::Start(Tag::Strikethrough | Tag::Emphasis) => markup.push("emphasis".to_owned()),
            Event::InlineMath(text) | Event::DisplayMath(text) => markup.push(text.to_string()),
            Event::Start(_) | Event::End(_) => words.push('\u{1}'),
            _ => markup.push(format!("{event:?}")),
        }
    }
    (words, markup)
}

const OURS: [&str; 2] = ["<details><summary>", "</details>"];

fn is_ours(markup: &str) -> bool {
    markup.starts_with("<!-- pvx-plan cluster=") && markup.ends_with("-->")
        || OURS.iter().any(|ours| markup.starts_with(ours) && markup.matches('<').count() <= 3)
}

/// No value of documents or clusters is anything but text.
fn check(text: &str) {
    let comment = render(&samples::hostile(text), None);
    assert!(comment.len() < LIMIT);
    let (words, markup) = parsed(&comment);
    assert!(markup.iter().all(|m| is_ours(m)), "{text:?}: {markup:#?}\n{comment}");
    let value = super::escape::code(text);
    let (back, _) = parsed(&format!("| a |\n|---|\n| {value} |\n"));
    let visible = visible(text);
    let wanted = if visible.is_empty() { "(empty)" } else { &visible };
    assert_eq!(
        back.trim_matches('\u{1}').trim_start_matches("a\u{1}\u{1}\u{1}\u{1}"),
        wanted,
        "{value}"
    );
    let sentence = super::escape::prose(text);
    let (back, markup) = parsed(&format!("- {sentence}"));
    let plain = text.split(char::is_whitespace).filter(|w| !w.is_empty()).map(super::visible);
    let plain = plain.collect::<Vec<_>>().join(" ");
    assert_eq!((back.trim_matches('\u{1}'), markup.len()), (plain.as_str(), 0), "{sentence}");
    let bare = |text: &str| text.replace(['`', ' '], "");
    for ours in [text.to_owned(), format!("see `{text}`, or {text}"), format!("(`a`{text})")] {
        let sentence = super::escape::sentence(&ours);
        let (back, markup) = parsed(&format!("- {sentence}"));
        let wanted = ours.split(char::is_whitespace).map(super::visible).collect::<String>();
        let back = back.trim_matches('\u{1}');
        assert_eq!((bare(back), markup.len()), (bare(&wanted), 0), "{sentence}");
    }
    if text.chars().count() < 20 {
        assert!(words.contains(&visible), "{words}");
    }
}

#[test]
fn a_way_out_keeps_its_commands() {
    for (text, shown) in [
        (
            "see `pvesm status --storage a`, then (`plan`)?",
            "see `pvesm status --storage a`, then (`plan`)?",
        ),
        ("did you mean vmbr0? set `x", "did you mean vmbr0? set `` `x ``"),
    ] {
        assert_eq!(super::escape::sentence(text), shown);
    }
    let mut plan = samples::empty();
    let help = "as root on a node:\npveum role add a\npveum acl modify / --roles a";
    plan.findings = vec![pvx_core::plan::Finding::error("denied", "no").help(help)];
    let comment = render(&plan, None);
    let (_, after) = comment.split_once("help: ").unwrap();
    insta::assert_snapshot!(after.split("\n#").next().unwrap(), @r"
        as root on a node:

            ```sh
            pveum role add a
            pveum acl modify / --roles a
            ```
        ");
}

#[test]
fn texts_that_are_up_to_no_good() {
    for text in [
        "a|b",
        "a\\|b",
        "|",
        "||",
        "`",
        "``a`",
        "a`|`b",
        "\\",
        "a\\",
        "line\nline",
        "\r\n",
        "  ",
        "",
        " a ",
        "` |",
        "<img src=x onerror=alert(1)>",
        "</details>",
        "<!-- x",
        "-->",
        "&lt;b&gt;",
        "@alice",
        "@org/team",
        "#12",
        "!34",
        "a/b#5",
        "GH-12",
        "ABC-123",
        "deadbeef",
        "0123456789abcdef",
        "https://evil.example/x",
        "www.evil.example",
        "mail@evil.example",
        "[a](https://evil.example)",
        "![a](b)",
        "[a]: b",
        "[^1]",
        "**b**",
        "_b_",
        "~~b~~",
        "$x$",
        "$`x`$",
        "1. one",
        "- one",
        "+",
        "# head",
        "> quote",
        "---",
        "===",
        "```",
        "~~~",
        ":smile:",
        "/close",
        "a\u{202e}b",
        "\u{200b}",
        "\u{0}",
        "\u{85}",
        "{{ x }}",
        "<script>alert(1)</script>",
        "'\"",
        "\u{2028}x",
        "\t- x",
        "1)",
        "é→漢字",
        "*",
        "    code",
    ] {
        check(text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_comes_back_the_same(text in "\\PC{0,24}|[|`\\\\<>&@#!\\[\\]()*_~$ \\n\\r:/.a-f0-9-]{0,40}") {
        check(&text);
    }
}

proptest! {
    // Each makes hundreds of guests.
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_plan_fits(number in 0_u32..400, text in "[|`\\\\<&a ]{0,3000}") {
        let mut plan = samples::many(number);
        for change in &mut plan.changes {
            text.clone_into(&mut change.reason);
            change.node.clone_from(&text);
            for attribute in &mut change.attributes {
                attribute.before = Some(text.clone());
                attribute.path.clone_from(&text);
            }
        }
        for finding in &mut plan.findings {
            finding.message.push_str(&text);
            finding.help = Some(text.clone());
        }
        plan.cluster.clone_from(&text);
        prop_assert!(render(&plan, None).len() < LIMIT);
    }
}
