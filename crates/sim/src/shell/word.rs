//! Words: quotes, escapes, and what begins with a dollar.

use super::parse::Parser;
use super::syntax::{Part, Word};

fn push(word: &mut Word, text: char, quoted: bool) {
    match (word.last_mut(), quoted) {
        (Some(Part::Text(last)), false) | (Some(Part::Quoted(last)), true) => last.push(text),
        (_, false) => word.push(Part::Text(text.to_string())),
        (_, true) => word.push(Part::Quoted(text.to_string())),
    }
}

impl Parser {
    /// The text of a here-document: as between double quotes, with quotes as they are.
    pub(super) fn in_quotes(text: &str) -> Result<Word, String> {
        let mut parser = Self::over(text);
        let mut word = Word::new();
        while let Some(found) = parser.peek() {
            parser.quoted_char(&mut word, found, false)?;
        }
        Ok(word)
    }

    /// A word, or none where something else begins.
    pub(super) fn word(&mut self) -> Result<Option<Word>, String> {
        let mut word = Word::new();
        while let Some(found) = self.peek() {
            match found {
                '<' if self.ahead(1) == Some('(') => {
                    self.at += 2;
                    let script = self.balanced('(', ')')?;
                    word.push(Part::Process(script));
                }
                ' ' | '\t' | '\r' | '\n' | ';' | '&' | '|' | '(' | ')' | '<' | '>' => break,
                '\'' => {
                    self.at += 1;
                    self.single(&mut word)?;
                }
                '"' => {
                    self.at += 1;
                    self.double(&mut word)?;
                }
                '\\' => {
                    self.at += 1;
                    match self.bump() {
                        Some('\n') | None => {}
                        Some(escaped) => push(&mut word, escaped, true),
                    }
                }
                '$' if self.ahead(1) == Some('\'') => {
                    self.at += 2;
                    self.ansi(&mut word)?;
                }
                '$' | '`' => self.dollar(&mut word, false)?,
                _ => {
                    self.at += 1;
                    push(&mut word, found, false);
                }
            }
        }
        Ok((!word.is_empty()).then_some(word))
    }

    fn single(&mut self, word: &mut Word) -> Result<(), String> {
        let mut text = String::new();
        loop {
            match self.bump() {
                Some('\'') => break,
                Some(found) => text.push(found),
                None => return Err(unclosed('\'')),
            }
        }
        word.push(Part::Quoted(text));
        Ok(())
    }

    /// `$'…'`.
    fn ansi(&mut self, word: &mut Word) -> Result<(), String> {
        let mut text = String::new();
        loop {
            match self.bump() {
                Some('\'') => break,
                Some('\\') => match self.bump() {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some('r') => text.push('\r'),
                    Some(found) => text.push(found),
                    None => return Err(unclosed('\'')),
                },
                Some(found) => text.push(found),
                None => return Err(unclosed('\'')),
            }
        }
        word.push(Part::Quoted(text));
        Ok(())
    }

    fn double(&mut self, word: &mut Word) -> Result<(), String> {
        word.push(Part::Quoted(String::new()));
        loop {
            match self.peek() {
                None => return Err(unclosed('"')),
                Some('"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(found) => self.quoted_char(word, found, true)?,
            }
        }
    }

    fn quoted_char(&mut self, word: &mut Word, found: char, quotes: bool) -> Result<(), String> {
        match found {
            '\\' => {
                self.at += 1;
                match self.bump() {
                    Some('\n') => {}
                    Some(next @ ('$' | '`' | '\\')) => push(word, next, true),
                    Some('"') if quotes => push(word, '"', true),
                    Some(next) => {
                        push(word, '\\', true);
                        push(word, next, true);
                    }
                    None => push(word, '\\', true),
                }
            }
            '$' | '`' => self.dollar(word, true)?,
            _ => {
                self.at += 1;
                push(word, found, true);
            }
        }
        Ok(())
    }

    /// What begins with a dollar or a back-quote.
    fn dollar(&mut self, word: &mut Word, quoted: bool) -> Result<(), String> {
        if self.bump() == Some('`') {
            let mut script = String::new();
            loop {
                match self.bump() {
                    Some('`') => break,
                    Some('\\') if matches!(self.peek(), Some('`' | '\\' | '$')) => {
                        script.extend(self.bump());
                    }
                    Some(found) => script.push(found),
                    None => return Err(unclosed('`')),
                }
            }
            word.push(Part::Command { script, quoted });
            return Ok(());
        }
        match self.peek() {
            Some('(') if self.ahead(1) == Some('(') => {
                self.at += 2;
                let text = self.balanced('(', ')')?;
                if self.bump() != Some(')') {
                    return Err(unclosed(')'));
                }
                word.push(Part::Arithmetic(text));
            }
            Some('(') => {
                self.at += 1;
                let script = self.balanced('(', ')')?;
                word.push(Part::Command { script, quoted });
            }
            Some('{') => {
                self.at += 1;
                let text = self.balanced('{', '}')?;
                word.push(Part::Variable { text, quoted });
            }
            Some(special) if "?$#@*!-0123456789".contains(special) => {
                self.at += 1;
                word.push(Part::Variable { text: special.to_string(), quoted });
            }
            _ => {
                let text = self.name();
                if text.is_empty() {
                    push(word, '$', quoted);
                } else {
                    word.push(Part::Variable { text, quoted });
                }
            }
        }
        Ok(())
    }

    /// The text up to the closing character; quotes inside are respected.
    pub(super) fn balanced(&mut self, open: char, close: char) -> Result<String, String> {
        let (mut text, mut depth, mut quote) = (String::new(), 1usize, None);
        while let Some(found) = self.bump() {
            match (quote, found) {
                (Some('\''), '\'') | (Some('"'), '"') => quote = None,
                (_, '\\') if quote != Some('\'') => {
                    text.push(found);
                    text.extend(self.bump());
                    continue;
                }
                (None, '\'' | '"') => quote = Some(found),
                (None, found) if found == open => depth += 1,
                (None, found) if found == close => {
                    depth -= 1;
                    if depth == 0 {
                        return Ok(text);
                    }
                }
                _ => {}
            }
            text.push(found);
        }
        Err(unclosed(close))
    }
}

fn unclosed(quote: char) -> String {
    format!("unexpected EOF while looking for matching `{quote}'")
}
