use super::parse::parse;
use super::syntax::Node;

#[test]
fn scripts_that_are_none_are_refused() {
    for (script, part) in [
        ("echo 'a", "matching `''"),
        ("if true; then", "unexpected end of file"),
        ("| x", "unexpected token `|'"),
        ("a && ", "unexpected end of file"),
        ("( a", "unexpected end of file"),
        ("a )", "unexpected token `)'"),
        ("for in x; do", "unexpected"),
        ("echo ${x", "matching `}'"),
        ("a ;; b", "unexpected token `;'"),
    ] {
        let error = parse(script).unwrap_err();
        assert!(error.contains(part), "{script}: {error}");
    }
    assert!(parse(&"(".repeat(10_000)).is_err());
    assert!(parse(&"{ ".repeat(10_000)).is_err());
}

#[test]
fn reserved_words_follow_each_other_without_separator() {
    for script in [
        "f(){ if a; then b; else c; fi }; f",
        "{ { a; } }",
        "if { a; } then b; fi",
        "for x in 1; do if a; then b; fi done",
        "{ (a) }",
    ] {
        assert!(parse(script).is_ok(), "{script}: {:?}", parse(script));
    }
    // Behind the words of a command it is a word.
    assert!(parse("{ echo fi }").is_err());
    assert!(parse("(a) b").is_err());
}

#[test]
fn empty_scripts_do_nothing() {
    for script in ["", "\n\n", "# only a comment", "  \t"] {
        assert_eq!(parse(script), Ok(Node::List(Vec::new())), "{script:?}");
    }
}

proptest::proptest! {
    #[test]
    fn no_script_panics(script in "[a-z $(){}`'\"\\\\|&;<>\n=#!*?-]{0,80}") {
        let _ = parse(&script);
    }

    #[test]
    fn no_words_of_a_sed_script_panic(text in "\\PC{0,40}", pattern in "[a-c*?\\[\\]!-]{0,12}") {
        let _ = super::pattern::fits(&pattern, &text);
        let _ = super::pattern::strip(&text, &pattern, true, false);
        let _ = super::arithmetic::value(&text, &|_| None);
    }

    #[test]
    fn no_image_panics(bytes in proptest::collection::vec(0u8.., 0..200)) {
        let mut image = b"QFI\xfb".to_vec();
        image.extend(bytes);
        let _ = super::fs::image::probe(&image);
    }
}
