//! From the text of a script to its commands.

use super::syntax::{Assign, Node, Part, Redirect, Target, Value, Word};

/// How deep commands may be nested.
const DEPTH: usize = 50;

/// Parses a script; the error is what bash says after `bash: -c: `.
pub(super) fn parse(text: &str) -> Result<Node, String> {
    let mut parser = Parser::over(text);
    let list = parser.list(&[])?;
    match parser.peek() {
        None => Ok(list),
        Some(other) => Err(format!("syntax error near unexpected token `{other}'")),
    }
}

/// Words that begin or end a compound command.
const RESERVED: &[&str] = &[
    "if", "then", "elif", "else", "fi", "for", "while", "until", "do", "done", "case", "esac", "{",
    "}", "!", "function",
];

pub(super) struct Parser {
    pub(super) chars: Vec<char>,
    pub(super) at: usize,
    /// Here-documents whose text follows after the line: delimiter, tabs stripped.
    heredocs: Vec<(String, bool)>,
    depth: usize,
}

impl Parser {
    pub(super) fn over(text: &str) -> Self {
        Self { chars: text.chars().collect(), at: 0, heredocs: Vec::new(), depth: 0 }
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    pub(super) fn ahead(&self, offset: usize) -> Option<char> {
        self.chars.get(self.at + offset).copied()
    }

    pub(super) fn bump(&mut self) -> Option<char> {
        let found = self.peek();
        self.at += 1;
        found
    }

    fn eat(&mut self, text: &str) -> bool {
        let fits = text.chars().enumerate().all(|(at, wanted)| self.ahead(at) == Some(wanted));
        if fits {
            self.at += text.chars().count();
        }
        fits
    }

    /// Blanks, comments and continued lines.
    fn blanks(&mut self) {
        loop {
            match self.peek() {
                Some(' ' | '\t' | '\r') => self.at += 1,
                Some('\\') if self.ahead(1) == Some('\n') => self.at += 2,
                Some('#') => {
                    while self.peek().is_some_and(|found| found != '\n') {
                        self.at += 1;
                    }
                }
                _ => return,
            }
        }
    }

    fn newlines(&mut self) {
        loop {
            self.blanks();
            if self.peek() != Some('\n') {
                return;
            }
            self.at += 1;
            self.skip_heredocs();
        }
    }

    /// Texts of here-documents were taken when their word was read: jump over them.
    fn skip_heredocs(&mut self) {
        for (delimiter, tabs) in std::mem::take(&mut self.heredocs) {
            self.heredoc_text(&delimiter, tabs);
        }
    }

    /// The lines up to the delimiter, from here on.
    fn heredoc_text(&mut self, delimiter: &str, tabs: bool) -> String {
        let mut text = String::new();
        while self.at < self.chars.len() {
            let mut line = String::new();
            while let Some(found) = self.bump() {
                if found == '\n' {
                    break;
                }
                line.push(found);
            }
            let bare = if tabs { line.trim_start_matches('\t') } else { &line };
            if bare == delimiter {
                break;
            }
            text.push_str(bare);
            text.push('\n');
        }
        text
    }

    /// The reserved word that comes next, if any.
    fn reserved(&mut self) -> Option<&'static str> {
        self.blanks();
        RESERVED.iter().copied().find(|word| {
            let length = word.chars().count();
            let same = word.chars().enumerate().all(|(at, wanted)| self.ahead(at) == Some(wanted));
            let next = self.ahead(length);
            same && next.is_none_or(|next| next.is_whitespace() || ";&|()<>".contains(next))
        })
    }

    fn expect(&mut self, word: &str) -> Result<(), String> {
        self.newlines();
        if self.reserved() == Some(word) {
            self.at += word.len();
            return Ok(());
        }
        Err(self.unexpected())
    }

    fn unexpected(&self) -> String {
        match self.peek() {
            None => "syntax error: unexpected end of file".to_owned(),
            Some('\n') => "syntax error near unexpected token `newline'".to_owned(),
            Some(_) => {
                let rest = self.chars.get(self.at..).unwrap_or_default();
                let token: String = rest.iter().take_while(|c| !c.is_whitespace()).collect();
                format!("syntax error near unexpected token `{token}'")
            }
        }
    }

    /// Commands up to one of the words, or the end.
    fn list(&mut self, ends: &[&str]) -> Result<Node, String> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err("syntax error: nested too deep".to_owned());
        }
        let mut nodes = Vec::new();
        loop {
            self.newlines();
            let at_end = self.peek().is_none_or(|next| next == ')' || next == ';')
                || self.reserved().is_some_and(|word| ends.contains(&word));
            if at_end {
                break;
            }
            nodes.push(self.and_or()?);
            self.blanks();
            match self.peek() {
                Some(';') if self.ahead(1) == Some(';') => break,
                Some(';' | '&') => self.at += 1,
                Some('\n') | None => {}
                Some(')') => break,
                // Right after `fi`, `done`, `}` and their like a reserved word needs no separator.
                Some(_) if self.reserved().is_some_and(|word| ends.contains(&word)) => break,
                Some(_) => return Err(self.unexpected()),
            }
        }
        self.depth -= 1;
        Ok(Node::List(nodes))
    }

    fn and_or(&mut self) -> Result<Node, String> {
        let mut left = self.pipeline()?;
        loop {
            self.blanks();
            if self.eat("&&") {
                self.newlines();
                left = Node::And(Box::new(left), Box::new(self.pipeline()?));
            } else if self.eat("||") {
                self.newlines();
                left = Node::Or(Box::new(left), Box::new(self.pipeline()?));
            } else {
                return Ok(left);
            }
        }
    }

    fn pipeline(&mut self) -> Result<Node, String> {
        let mut not = false;
        while self.reserved() == Some("!") {
            self.at += 1;
            not = !not;
        }
        let mut parts = vec![self.command()?];
        loop {
            self.blanks();
            if self.peek() != Some('|') || self.ahead(1) == Some('|') {
                break;
            }
            self.at += 1;
            if self.peek() == Some('&') {
                self.at += 1;
                if let Some(last) = parts.pop() {
                    let both = vec![Redirect { from: 2, to: Target::Same(1) }];
                    parts.push(Node::Redirected(Box::new(last), both));
                }
            }
            self.newlines();
            parts.push(self.command()?);
        }
        if parts.len() == 1 && !not {
            return parts.pop().ok_or_else(|| self.unexpected());
        }
        Ok(Node::Pipe { parts, not })
    }

    fn command(&mut self) -> Result<Node, String> {
        let node = match self.reserved() {
            Some("if") => self.if_node()?,
            Some("for") => self.for_node()?,
            Some(word @ ("while" | "until")) => {
                self.at += word.len();
                let condition = self.list(&["do"])?;
                let body = self.body()?;
                Node::While(Box::new(condition), Box::new(body), word == "until")
            }
            Some("case") => self.case_node()?,
            Some("function") => return self.function_node(),
            Some("{") => {
                self.at += 1;
                let list = self.list(&["}"])?;
                self.expect("}")?;
                list
            }
            Some(_) => return Err(self.unexpected()),
            None if self.eat("((") => Node::Arithmetic(self.arithmetic()?),
            None if self.double_bracket() => Node::Test(self.test_words()?),
            None if self.peek() == Some('(') => {
                self.at += 1;
                let list = self.list(&[])?;
                self.blanks();
                if !self.eat(")") {
                    return Err(self.unexpected());
                }
                Node::Subshell(Box::new(list))
            }
            None => return self.simple(),
        };
        let mut redirects = Vec::new();
        while let Some(redirect) = self.redirect()? {
            redirects.push(redirect);
        }
        if redirects.is_empty() {
            return Ok(node);
        }
        Ok(Node::Redirected(Box::new(node), redirects))
    }

    fn body(&mut self) -> Result<Node, String> {
        self.expect("do")?;
        let body = self.list(&["done"])?;
        self.expect("done")?;
        Ok(body)
    }

    fn if_node(&mut self) -> Result<Node, String> {
        self.at += 2;
        let mut arms = Vec::new();
        let mut other = None;
        loop {
            let condition = self.list(&["then"])?;
            self.expect("then")?;
            arms.push((condition, self.list(&["elif", "else", "fi"])?));
            match self.reserved() {
                Some("elif") => self.at += 4,
                Some("else") => {
                    self.at += 4;
                    other = Some(Box::new(self.list(&["fi"])?));
                    break;
                }
                _ => break,
            }
        }
        self.expect("fi")?;
        Ok(Node::If(arms, other))
    }

    fn for_node(&mut self) -> Result<Node, String> {
        self.at += 3;
        self.blanks();
        if self.eat("((") {
            let text = self.arithmetic()?;
            let mut parts = text.split(';').map(str::to_owned);
            let mut part = || parts.next().unwrap_or_default();
            let parts = [part(), part(), part()];
            self.blanks();
            self.eat(";");
            return Ok(Node::Count(parts, Box::new(self.body()?)));
        }
        let name = self.name();
        if name.is_empty() {
            return Err(self.unexpected());
        }
        self.newlines();
        let mut words = None;
        if self.eat("in") {
            let mut found = Vec::new();
            loop {
                self.blanks();
                match self.word()? {
                    Some(word) => found.push(word),
                    None => break,
                }
            }
            words = Some(found);
        }
        self.blanks();
        if self.peek() == Some(';') {
            self.at += 1;
        }
        let body = self.body()?;
        Ok(Node::For(name, words, Box::new(body)))
    }

    /// The text up to `))`.
    fn arithmetic(&mut self) -> Result<String, String> {
        let text = self.balanced('(', ')')?;
        if self.eat(")") { Ok(text) } else { Err(self.unexpected()) }
    }

    /// `function NAME [()]` and its body.
    fn function_node(&mut self) -> Result<Node, String> {
        self.at += "function".len();
        self.blanks();
        let word = self.word()?.ok_or_else(|| self.unexpected())?;
        let [Part::Text(name)] = word.as_slice() else { return Err(self.unexpected()) };
        self.blanks();
        self.eat("()");
        self.newlines();
        Ok(Node::Function(name.clone(), Box::new(self.command()?)))
    }

    fn double_bracket(&mut self) -> bool {
        let found = self.peek() == Some('[')
            && self.ahead(1) == Some('[')
            && self.ahead(2).is_none_or(char::is_whitespace);
        self.at += if found { 2 } else { 0 };
        found
    }

    /// The words up to `]]`; the operators among them are texts.
    fn test_words(&mut self) -> Result<Vec<Word>, String> {
        let mut words: Vec<Word> = Vec::new();
        loop {
            self.newlines();
            if let Some(operator) =
                ["&&", "||", "(", ")", "<", ">"].into_iter().find(|operator| self.eat(operator))
            {
                words.push(vec![Part::Text(operator.to_owned())]);
                continue;
            }
            let word = match words.last().map(Vec::as_slice) {
                Some([Part::Text(operator)]) if operator == "=~" => Some(self.expression()?),
                _ => self.word()?,
            };
            let word = word.ok_or_else(|| self.unexpected())?;
            if word == [Part::Text("]]".to_owned())] {
                return Ok(words);
            }
            words.push(word);
        }
    }

    /// A regular expression: up to a blank, whatever it holds.
    fn expression(&mut self) -> Result<Word, String> {
        let start = self.at;
        while self.peek().is_some_and(|found| !found.is_whitespace()) {
            self.at += 1;
        }
        let text: String = self.chars.get(start..self.at).unwrap_or_default().iter().collect();
        let quoted = ['"', '\'']
            .into_iter()
            .find_map(|quote| text.strip_prefix(quote).and_then(|text| text.strip_suffix(quote)));
        Self::in_quotes(quoted.unwrap_or(&text))
    }

    fn case_node(&mut self) -> Result<Node, String> {
        self.at += 4;
        self.blanks();
        let word = self.word()?.ok_or_else(|| self.unexpected())?;
        self.newlines();
        if !self.eat("in") {
            return Err(self.unexpected());
        }
        let mut arms = Vec::new();
        loop {
            self.newlines();
            if self.reserved() == Some("esac") {
                self.at += 4;
                return Ok(Node::Case(word, arms));
            }
            self.eat("(");
            let mut patterns = Vec::new();
            loop {
                self.blanks();
                patterns.push(self.word()?.ok_or_else(|| self.unexpected())?);
                self.blanks();
                if !self.eat("|") {
                    break;
                }
            }
            if !self.eat(")") {
                return Err(self.unexpected());
            }
            arms.push((patterns, self.list(&["esac"])?));
            self.eat(";;");
        }
    }

    /// The characters of a name.
    pub(super) fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(found) = self.peek() {
            let fits = found == '_'
                || if name.is_empty() {
                    found.is_ascii_alphabetic()
                } else {
                    found.is_ascii_alphanumeric()
                };
            if !fits {
                break;
            }
            name.push(found);
            self.at += 1;
        }
        name
    }

    fn simple(&mut self) -> Result<Node, String> {
        let (mut assign, mut words, mut redirects) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            self.blanks();
            if let Some(redirect) = self.redirect()? {
                redirects.push(redirect);
                continue;
            }
            if words.is_empty()
                && let Some(found) = self.assignment()?
            {
                assign.push(found);
                continue;
            }
            match self.word()? {
                Some(word) => words.push(word),
                None => break,
            }
            if let Some(name) = self.function_name(&words, &assign) {
                self.newlines();
                let body = self.command()?;
                return Ok(Node::Function(name, Box::new(body)));
            }
        }
        if assign.is_empty() && words.is_empty() && redirects.is_empty() {
            return Err(self.unexpected());
        }
        Ok(Node::Simple { assign, words, redirects })
    }

    /// `name ()` begins a function.
    fn function_name(&mut self, words: &[Word], assign: &[Assign]) -> Option<String> {
        let [word] = words else { return None };
        let [Part::Text(name)] = word.as_slice() else { return None };
        let start = self.at;
        self.blanks();
        if assign.is_empty() && self.eat("()") {
            return Some(name.clone());
        }
        self.at = start;
        None
    }

    /// `name=value` before a command.
    fn assignment(&mut self) -> Result<Option<Assign>, String> {
        let start = self.at;
        let name = self.name();
        let item =
            if !name.is_empty() && self.eat("[") { self.balanced('[', ']').ok() } else { None };
        let append = self.eat("+");
        if name.is_empty() || !self.eat("=") {
            self.at = start;
            return Ok(None);
        }
        let value = match item {
            Some(item) => Value::Item(item, self.word()?.unwrap_or_default()),
            None if self.eat("(") => Value::List(self.items()?),
            None => Value::Text(self.word()?.unwrap_or_default()),
        };
        Ok(Some(Assign { name, append, value }))
    }

    /// The words of a list up to its `)`.
    fn items(&mut self) -> Result<Vec<Word>, String> {
        let mut items = Vec::new();
        loop {
            self.newlines();
            if self.eat(")") {
                return Ok(items);
            }
            items.push(self.word()?.ok_or_else(|| self.unexpected())?);
        }
    }

    fn redirect(&mut self) -> Result<Option<Redirect>, String> {
        self.blanks();
        if self.peek() == Some('<') && self.ahead(1) == Some('(') {
            return Ok(None);
        }
        let start = self.at;
        let digit = self.peek().filter(char::is_ascii_digit);
        if digit.is_some() {
            self.at += 1;
        }
        let both = digit.is_none() && self.peek() == Some('&') && self.ahead(1) == Some('>');
        if both {
            self.at += 1;
        }
        let number = digit.and_then(|digit| digit.to_digit(10)).and_then(|n| u8::try_from(n).ok());
        let to = if self.eat("<<<") {
            let mut word = self.target()?;
            word.push(Part::Quoted("\n".to_owned()));
            return Ok(Some(Redirect { from: 0, to: Target::Here(word) }));
        } else if self.eat("<<") {
            return self.heredoc().map(Some);
        } else if self.eat(">>") {
            Target::Append(self.target()?)
        } else if self.eat(">&") {
            match self.bump() {
                Some(digit) if digit.is_ascii_digit() => {
                    Target::Same(u8::try_from(digit.to_digit(10).unwrap_or(1)).unwrap_or(1))
                }
                _ => return Err(self.unexpected()),
            }
        } else if self.eat(">|") || self.eat(">") {
            Target::Write(self.target()?)
        } else if self.eat("<") {
            return Ok(Some(Redirect { from: 0, to: Target::Read(self.target()?) }));
        } else {
            self.at = start;
            return Ok(None);
        };
        let from = if both { 9 } else { number.unwrap_or(1) };
        Ok(Some(Redirect { from, to }))
    }

    fn target(&mut self) -> Result<Word, String> {
        self.blanks();
        self.word()?.ok_or_else(|| self.unexpected())
    }

    /// `<<EOF`: the text is taken from below the line at once.
    fn heredoc(&mut self) -> Result<Redirect, String> {
        let tabs = self.eat("-");
        let word = self.target()?;
        let quoted = word.iter().any(|part| matches!(part, Part::Quoted(_)));
        let delimiter: String = word
            .iter()
            .map(|part| match part {
                Part::Text(text) | Part::Quoted(text) => text.as_str(),
                _ => "",
            })
            .collect();
        let here = self.at;
        while self.peek().is_some_and(|found| found != '\n') {
            self.at += 1;
        }
        self.at += 1;
        for (earlier, tabs) in self.heredocs.clone() {
            self.heredoc_text(&earlier, tabs);
        }
        let text = self.heredoc_text(&delimiter, tabs);
        self.at = here;
        self.heredocs.push((delimiter, tabs));
        let word = if quoted { vec![Part::Quoted(text)] } else { Self::in_quotes(&text)? };
        Ok(Redirect { from: 0, to: Target::Here(word) })
    }
}
