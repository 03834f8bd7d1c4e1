//! A source text made fit for a terminal: long lines cut around what is pointed at, and control
//! characters, which could rewrite the screen, replaced.

/// Bytes of a line that is shown whole.
const LONGEST: usize = 200;
/// Bytes shown before what is pointed at, in a longer line.
const BEFORE: usize = 60;
/// Stands for what is cut away.
const CUT: char = '…';

/// `text` fit to be shown, and `points` (byte offsets into it) moved along.
pub(super) fn excerpt(text: &str, points: &[usize]) -> (String, Vec<usize>) {
    let text = printable(text);
    if text.lines().all(|line| line.len() <= LONGEST) {
        return (text, points.to_vec());
    }
    let mut out = String::new();
    let mut moved = points.to_vec();
    let mut begin = 0;
    for line in text.split_inclusive('\n') {
        let end = begin + line.len();
        let last = end == text.len();
        let here = |point: usize| (begin..end).contains(&point) || (last && point >= end);
        let content = line.strip_suffix('\n').unwrap_or(line);
        let first = points.iter().copied().filter(|point| here(*point)).min();
        let window = Window::around(content, first.map_or(0, |point| point - begin));
        let shown_at = out.len() + if window.start > 0 { CUT.len_utf8() } else { 0 };
        for (point, moved) in points.iter().zip(&mut moved) {
            if here(*point) {
                *moved = shown_at + (point - begin).clamp(window.start, window.end) - window.start;
            }
        }
        window.push(content, &mut out);
        if line.ends_with('\n') {
            out.push('\n');
        }
        begin = end;
    }
    (out, moved)
}

/// The part of a line that is shown.
struct Window {
    start: usize,
    end: usize,
}

impl Window {
    fn around(line: &str, point: usize) -> Self {
        if line.len() <= LONGEST {
            return Self { start: 0, end: line.len() };
        }
        let boundary = |mut at: usize| {
            at = at.min(line.len());
            while !line.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let start = boundary(point.min(line.len()).saturating_sub(BEFORE));
        Self { start, end: boundary(start + LONGEST) }
    }

    fn push(&self, line: &str, out: &mut String) {
        if self.start > 0 {
            out.push(CUT);
        }
        out.push_str(line.get(self.start..self.end).unwrap_or_default());
        if self.end < line.len() {
            out.push(CUT);
        }
    }
}

/// Control characters replaced by as many bytes of something harmless.
fn printable(text: &str) -> String {
    let harmless = |c: char| !c.is_control() || c == '\n' || c == '\t';
    if text.chars().all(harmless) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\r' => out.push(' '),
            c if harmless(c) => out.push(c),
            c => (0..c.len_utf8()).for_each(|_| out.push('?')),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn short_lines_stay() {
        let text = "a: 1\nb: é\n";
        assert_eq!(excerpt(text, &[3, 99]), (text.to_owned(), vec![3, 99]));
    }

    #[test]
    fn a_long_line_is_cut_around_the_point() {
        let text = format!("a: 1\nb: {}X{}\nc: 2", "é".repeat(300), "y".repeat(300));
        let point = text.find('X').unwrap();
        let (shown, points) = excerpt(&text, &[point, 0, text.len()]);
        assert_eq!(&shown[points[0]..=points[0]], "X");
        assert_eq!((points[1], points[2]), (0, shown.len()));
        assert!(shown.lines().all(|line| line.len() <= LONGEST + 6), "{shown}");
        assert_eq!(shown.lines().count(), 3);
    }

    #[test]
    fn escapes_do_not_reach_the_terminal() {
        assert_eq!(excerpt("a\u{1b}[2J\u{85}b\r\n", &[]).0, "a?[2J??b \n");
    }

    proptest! {
        #[test]
        fn points_stay_inside_on_boundaries(
            text in "[a-zé\n\u{1b}]{0,900}",
            points in prop::collection::vec(0_usize..2000, 0..4),
        ) {
            let points: Vec<usize> = points
                .into_iter()
                .map(|point| (0..=point.min(text.len())).rev().find(|p| text.is_char_boundary(*p)).unwrap())
                .collect();
            let (shown, moved) = excerpt(&text, &points);
            for point in moved {
                prop_assert!(shown.is_char_boundary(point), "{point} in {shown:?}");
            }
            prop_assert_eq!(shown.matches('\n').count(), text.matches('\n').count());
        }
    }
}
