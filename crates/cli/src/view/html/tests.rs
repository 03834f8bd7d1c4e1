//! The page: what it says, that it fetches nothing, and that no text becomes markup.

use super::super::review::samples;
use super::*;

fn page(plan: &Plan) -> String {
    render(plan, None).unwrap()
}

#[test]
fn every_kind_of_change() {
    insta::assert_snapshot!(page(&samples::every_kind()));
}

#[test]
fn nothing_to_do() {
    let text = page(&samples::empty());
    assert!(text.contains("<h1>no changes: the cluster is as the documents say</h1>"), "{text}");
    assert!(!text.contains("<svg") && !text.contains("Dearest"), "{text}");
}

/// They are there to be copied.
#[test]
fn commands_stand_on_lines_of_their_own() {
    let mut plan = samples::empty();
    let help = "as root on a node:\npveum role add a\npveum acl modify / --roles a";
    plan.findings = vec![pvx_core::plan::Finding::error("denied", "no").help(help)];
    let text = page(&plan);
    assert!(
        text.contains(">pveum role add a\npveum acl modify &#x2f; --roles a\n</pre>"),
        "{text}"
    );
    assert!(text.contains("as root on a node:</p>"), "{text}");
}

#[test]
fn nothing_is_fetched_and_nothing_runs() {
    for plan in [samples::every_kind(), samples::hostile("https://evil.example/x.js")] {
        let text = page(&plan);
        let all = tags(&text);
        for banned in ["script", "link", "img", "iframe", "object", "form", "a", "use", "image"] {
            assert!(!all.iter().any(|tag| tag == banned), "{banned}");
        }
        for banned in [" src=", " href=", "url(", "@import", " style=", " onload"] {
            assert!(!text.contains(banned), "{banned}");
        }
        assert!(text.contains("content=\"default-src 'none'; style-src 'unsafe-inline'"));
    }
}

/// The names of all elements, opened and closed, in order.
fn tags(text: &str) -> Vec<String> {
    let name = |part: &str| -> String {
        part.chars().take_while(|c| c.is_alphanumeric() || *c == '/' || *c == '!').collect()
    };
    text.split('<').skip(1).map(name).collect()
}

#[test]
fn texts_stay_texts() {
    let usual = tags(&page(&samples::hostile("usual")));
    for text in [
        "<script>alert(1)</script>",
        "</pre></code></style></svg>",
        "\"><img src=x onerror=alert(1)>",
        "' onmouseover='x",
        "&lt;b&gt;",
        "{{ 7 * 7 }}{% raw %}",
        "]]><!--",
        "\u{202e}\u{0}",
    ] {
        let page = page(&samples::hostile(text));
        assert_eq!(tags(&page), usual, "{text}");
        assert!(!page.contains('\u{202e}') && !page.contains('\u{0}'));
    }
    let page = page(&samples::hostile("&lt;b&gt; {{ 7 * 7 }}"));
    assert!(page.contains("&amp;lt;b&amp;gt; {{ 7 * 7 }}"), "escaped once");
}

#[test]
fn headings_and_tables_can_be_read_aloud() {
    let text = page(&samples::thirty());
    assert!(text.contains("<html lang=\"en\">") && text.contains("<title>21 to create"));
    assert_eq!(text.matches("<h1>").count(), 1);
    assert_eq!(text.matches("<table").count(), text.matches("<thead").count());
    for section in ["findings", "summary", "changes", "graph", "held", "notes"] {
        assert!(text.contains(&format!("aria-labelledby=\"{section}\"")), "{section}");
    }
}

#[test]
fn thousands_are_a_page_too() {
    let text = page(&samples::many(2000));
    assert_eq!(text.matches("<h3>").count(), 2000 + 11);
    assert!(text.len() < 8 << 20, "{}", text.len());
}

/// Colours of text on their ground, in both schemes: at least 4.5 to 1.
#[test]
fn colours_contrast() {
    for style in [STYLE, include_str!("../graph/graph.css")] {
        for scheme in style.split("@media").take(2) {
            let colour = |name: &str| colour(scheme, name);
            for name in ["ink", "faint"] {
                let ground = colour("soft").or(colour("lane")).unwrap();
                for ground in [colour("page").unwrap(), ground] {
                    assert!(contrast(colour(name).unwrap(), ground) >= 4.5, "{name} {scheme}");
                }
            }
            for name in ["good", "wait", "move", "warn", "bad"] {
                let (ink, ground) = (colour(name).unwrap(), colour(&format!("{name}-in")).unwrap());
                assert!(contrast(ink, ground) >= 4.5, "{name} {scheme}");
                assert!(contrast(colour("ink").unwrap(), ground) >= 4.5, "{name} {scheme}");
            }
        }
    }
}

fn colour(style: &str, name: &str) -> Option<[f64; 3]> {
    let (_, rest) = style.split_once(&format!("--{name}:#"))?;
    let hex: String = rest.chars().take_while(char::is_ascii_hexdigit).collect();
    let hex = if hex.len() == 3 { hex.chars().flat_map(|c| [c, c]).collect() } else { hex };
    let part = |at: usize| f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0;
    Some([part(0), part(2), part(4)])
}

/// As WCAG 2 defines it.
fn contrast(a: [f64; 3], b: [f64; 3]) -> f64 {
    let light = |c: [f64; 3]| {
        let [r, g, b] =
            c.map(|v| if v <= 0.040_45 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) });
        0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05
    };
    let (a, b) = (light(a), light(b));
    a.max(b) / a.min(b)
}
