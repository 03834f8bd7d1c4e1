//! `$((…))` with whole numbers.

/// The value of an expression; none where it is no expression.
pub(super) fn value(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Option<i64> {
    let mut parser = Parser { text: text.as_bytes(), at: 0, variable, depth: 0 };
    let found = parser.level(0)?;
    parser.blanks();
    (parser.at == parser.text.len()).then_some(found)
}

/// What an expression sets, and its value: `n = …`, `n += …`, `n++` and the like, or any other.
pub(super) fn assigned(
    text: &str,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Option<(i64, Option<(String, i64)>)> {
    let text = text.trim();
    let is_name = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && name.chars().all(|found| found.is_ascii_alphanumeric() || found == '_')
    };
    for (operator, step) in [("++", 1), ("--", -1)] {
        let after = text.strip_suffix(operator).map(str::trim).filter(|name| is_name(name));
        let before = text.strip_prefix(operator).map(str::trim).filter(|name| is_name(name));
        if let Some(name) = after.or(before) {
            let old = value(name, variable)?;
            let new = old.checked_add(step)?;
            let told = if after.is_some() { old } else { new };
            return Some((told, Some((name.to_owned(), new))));
        }
    }
    if let Some((left, right)) = text.split_once('=')
        && !right.starts_with('=')
    {
        let operator = left.chars().last().filter(|last| "+-*/%".contains(*last));
        let name = left.strip_suffix(|last| Some(last) == operator).unwrap_or(left).trim();
        if is_name(name) {
            let right = value(right, variable)?;
            let new = match operator {
                Some(operator) => apply(&operator.to_string(), value(name, variable)?, right)?,
                None => right,
            };
            return Some((new, Some((name.to_owned(), new))));
        }
    }
    value(text, variable).map(|value| (value, None))
}

/// Operators, weakest first.
const LEVELS: &[&[&str]] =
    &[&["||"], &["&&"], &["==", "!="], &["<=", ">=", "<", ">"], &["+", "-"], &["*", "/", "%"]];

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    variable: &'a dyn Fn(&str) -> Option<String>,
    depth: u32,
}

impl Parser<'_> {
    fn blanks(&mut self) {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
    }

    fn eat(&mut self, word: &str) -> bool {
        self.blanks();
        let fits = self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word.as_bytes()));
        if fits {
            self.at += word.len();
        }
        fits
    }

    fn level(&mut self, level: usize) -> Option<i64> {
        let Some(operators) = LEVELS.get(level) else { return self.atom() };
        let mut left = self.level(level + 1)?;
        while let Some(operator) = operators.iter().find(|operator| self.eat(operator)) {
            let right = self.level(level + 1)?;
            left = apply(operator, left, right)?;
        }
        Some(left)
    }

    fn atom(&mut self) -> Option<i64> {
        self.depth += 1;
        if self.depth > 200 {
            return None;
        }
        if self.eat("(") {
            let inside = self.level(0)?;
            return self.eat(")").then_some(inside);
        }
        if self.eat("-") {
            return self.atom()?.checked_neg();
        }
        if self.eat("!") {
            return Some(i64::from(self.atom()? == 0));
        }
        self.eat("$");
        let rest = self.text.get(self.at..)?;
        let length = rest.iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
        let word = std::str::from_utf8(rest.get(..length)?).ok()?;
        self.at += length;
        if word.is_empty() {
            return None;
        }
        if word.starts_with(|first: char| first.is_ascii_digit()) {
            return match word.strip_prefix("0x") {
                Some(hex) => i64::from_str_radix(hex, 16).ok(),
                None => word.parse().ok(),
            };
        }
        let text = (self.variable)(word).unwrap_or_default();
        if text.trim().is_empty() { Some(0) } else { text.trim().parse().ok() }
    }
}

fn apply(operator: &str, left: i64, right: i64) -> Option<i64> {
    match operator {
        "+" => left.checked_add(right),
        "-" => left.checked_sub(right),
        "*" => left.checked_mul(right),
        "/" => left.checked_div(right),
        "%" => left.checked_rem(right),
        "==" => Some(i64::from(left == right)),
        "!=" => Some(i64::from(left != right)),
        "<" => Some(i64::from(left < right)),
        ">" => Some(i64::from(left > right)),
        "<=" => Some(i64::from(left <= right)),
        ">=" => Some(i64::from(left >= right)),
        "&&" => Some(i64::from(left != 0 && right != 0)),
        "||" => Some(i64::from(left != 0 || right != 0)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{assigned, value};

    #[test]
    fn assignments() {
        let known = |name: &str| (name == "n").then(|| "7".to_owned());
        let set = |value: i64| Some(("n".to_owned(), value));
        for (text, wanted) in [
            ("n = 2", Some((2, set(2)))),
            ("n += 2", Some((9, set(9)))),
            ("n++", Some((7, set(8)))),
            ("--n", Some((6, set(6)))),
            ("n == 7", Some((1, None))),
            ("n <= 7", Some((1, None))),
            ("n =", None),
        ] {
            assert_eq!(assigned(text, &known), wanted, "{text}");
        }
    }

    #[test]
    fn expressions() {
        let known = |name: &str| (name == "n").then(|| "7".to_owned());
        for (text, wanted) in [
            ("1 + 2 * 3", Some(7)),
            ("(1+2)*3", Some(9)),
            ("n % 4 - 1", Some(2)),
            ("$n > 3 && n < 8", Some(1)),
            ("1/0", None),
            ("", None),
            ("1 +", None),
            ("-n", Some(-7)),
            ("unset + 1", Some(1)),
        ] {
            assert_eq!(value(text, &known), wanted, "{text}");
        }
    }
}
