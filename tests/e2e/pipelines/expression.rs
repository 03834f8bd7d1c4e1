//! Conditions, as far as the files use them: comparisons of values and texts, `&&`, `||`, `!`, the
//! status functions of Actions. Anything else fails the test.

/// What a name in a condition stands for.
pub(crate) trait Names {
    /// The value of `github.ref` or of `$CI_COMMIT_BRANCH`; panics on a name that is not known.
    fn value(&self, name: &str) -> String;
    /// The value of `always()`.
    fn call(&self, function: &str) -> bool;
}

/// Whether the condition holds.
pub(crate) fn holds(condition: &str, names: &dyn Names) -> bool {
    let tokens = tokens(condition);
    let mut reader = Reader { tokens: &tokens, at: 0, names, condition };
    let value = reader.either();
    assert_eq!(reader.at, tokens.len(), "not understood: {condition}");
    truth(&value)
}

/// Only a text that is not empty, and not the word false, is true.
fn truth(value: &str) -> bool {
    !value.is_empty() && value != "false"
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Text(String),
    Name(String),
    Call(String),
    Sign(&'static str),
}

const SIGNS: &[&str] = &["==", "!=", "&&", "||", "!", "(", ")"];

fn tokens(condition: &str) -> Vec<Token> {
    let mut rest = condition.trim_start();
    let mut found = Vec::new();
    while let Some(first) = rest.chars().next() {
        let length = if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            found.push(Token::Sign(sign));
            sign.len()
        } else if first == '\'' || first == '"' {
            let end = rest[1..].find(first).unwrap_or_else(|| panic!("no end: {condition}"));
            found.push(Token::Text(rest[1..=end].to_owned()));
            end + 2
        } else {
            let word = |c: char| c.is_ascii_alphanumeric() || "_.-$".contains(c);
            let end = rest.find(|c| !word(c)).unwrap_or(rest.len());
            assert!(end > 0, "not understood: {condition}");
            let call = rest[end..].starts_with("()");
            let name = rest[..end].to_owned();
            found.push(if call { Token::Call(name) } else { Token::Name(name) });
            end + if call { 2 } else { 0 }
        };
        rest = rest[length..].trim_start();
    }
    found
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
    names: &'a dyn Names,
    condition: &'a str,
}

impl Reader<'_> {
    fn sign(&mut self, sign: &'static str) -> bool {
        let found = self.tokens.get(self.at) == Some(&Token::Sign(sign));
        self.at += usize::from(found);
        found
    }

    fn either(&mut self) -> String {
        let mut value = self.both();
        while self.sign("||") {
            let other = self.both();
            value = (truth(&value) || truth(&other)).to_string();
        }
        value
    }

    fn both(&mut self) -> String {
        let mut value = self.compared();
        while self.sign("&&") {
            let other = self.compared();
            value = (truth(&value) && truth(&other)).to_string();
        }
        value
    }

    fn compared(&mut self) -> String {
        let value = self.single();
        if self.sign("==") {
            return (value == self.single()).to_string();
        }
        if self.sign("!=") {
            return (value != self.single()).to_string();
        }
        value
    }

    fn single(&mut self) -> String {
        if self.sign("!") {
            return (!truth(&self.single())).to_string();
        }
        if self.sign("(") {
            let value = self.either();
            assert!(self.sign(")"), "not understood: {}", self.condition);
            return value;
        }
        let token = self.tokens.get(self.at);
        self.at += 1;
        match token {
            Some(Token::Text(text)) => text.clone(),
            Some(Token::Name(name)) => self.names.value(name),
            Some(Token::Call(name)) => self.names.call(name).to_string(),
            _ => panic!("not understood: {}", self.condition),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Names, holds};

    struct Fixed;

    impl Names for Fixed {
        fn value(&self, name: &str) -> String {
            match name {
                "github.ref" | "$BRANCH" => "main".to_owned(),
                "$EMPTY" => String::new(),
                _ => panic!("{name} is not known"),
            }
        }

        fn call(&self, function: &str) -> bool {
            function == "always"
        }
    }

    #[test]
    fn conditions_of_the_files() {
        for (condition, expected) in [
            ("github.ref == 'main'", true),
            ("github.ref != 'main'", false),
            ("!cancelled()", true),
            ("always() && github.ref == 'x'", false),
            ("$BRANCH == $EMPTY || $BRANCH == \"main\"", true),
            ("($EMPTY || $BRANCH) && $EMPTY", false),
        ] {
            assert_eq!(holds(condition, &Fixed), expected, "{condition}");
        }
    }

    #[test]
    #[should_panic(expected = "not understood")]
    fn what_is_not_known_is_not_skipped() {
        holds("contains(github.ref, 'x')", &Fixed);
    }
}
