//! Patterns of file names: `*`, `?`, `[a-z]`.

/// Whether a text fits a pattern.
pub(super) fn fits(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    matches(&pattern, &text)
}

/// Iterative, so that many stars cost no more than the product of the lengths.
fn matches(pattern: &[char], text: &[char]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        let step = match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
                continue;
            }
            Some('?') => Some(1),
            Some('[') => class(pattern.get(p..).unwrap_or_default(), text.get(t).copied()),
            Some('\\') => (pattern.get(p + 1) == text.get(t)).then_some(2),
            found => (found == text.get(t)).then_some(1),
        };
        match (step, star) {
            (Some(step), _) => {
                p += step;
                t += 1;
            }
            (None, Some((at, from))) => {
                p = at + 1;
                t = from + 1;
                star = Some((at, from + 1));
            }
            (None, None) => return false,
        }
    }
    pattern.get(p..).unwrap_or_default().iter().all(|rest| *rest == '*')
}

/// How long the class at the start of a pattern is, when it holds the character.
fn class(pattern: &[char], found: Option<char>) -> Option<usize> {
    let found = found?;
    let not = matches!(pattern.get(1), Some('!' | '^'));
    let start = if not { 2 } else { 1 };
    let end = pattern.iter().skip(start + 1).position(|next| *next == ']')? + start + 1;
    let inside = pattern.get(start..end)?;
    let mut holds = false;
    let mut at = 0;
    while let Some(low) = inside.get(at) {
        match (inside.get(at + 1), inside.get(at + 2)) {
            (Some('-'), Some(high)) => {
                holds |= (*low..=*high).contains(&found);
                at += 3;
            }
            _ => {
                holds |= *low == found;
                at += 1;
            }
        }
    }
    (holds != not).then_some(end + 1)
}

/// Whether a text holds a pattern at all.
pub(super) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// Removes the shortest or longest part that fits from one end.
pub(super) fn strip(text: &str, pattern: &str, front: bool, longest: bool) -> String {
    let mut cuts: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    cuts.push(text.len());
    if front == longest {
        cuts.reverse();
    }
    for cut in cuts {
        let (left, right) = text.split_at(cut);
        if front && fits(pattern, left) {
            return right.to_owned();
        }
        if !front && fits(pattern, right) {
            return left.to_owned();
        }
    }
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, wanted) in [
            ("*.yaml", "a.yaml", true),
            ("*.yaml", "a.yml", false),
            ("?b*", "abc", true),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaa", false),
            ("", "", true),
            ("[", "[", false),
        ] {
            assert_eq!(fits(pattern, text), wanted, "{pattern} {text}");
        }
    }

    #[test]
    fn ends_are_stripped() {
        assert_eq!(strip("a/b/c.tar.gz", "*/", true, true), "c.tar.gz");
        assert_eq!(strip("a/b/c.tar.gz", "*/", true, false), "b/c.tar.gz");
        assert_eq!(strip("c.tar.gz", ".*", false, false), "c.tar");
        assert_eq!(strip("c.tar.gz", ".*", false, true), "c");
        assert_eq!(strip("abc", "x", false, true), "abc");
    }
}
