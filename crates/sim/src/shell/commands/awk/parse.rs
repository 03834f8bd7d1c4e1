//! Programs of awk, read into a tree.

use super::super::printf::unescape;

/// An expression.
#[derive(Clone, Debug)]
pub(super) enum Expr {
    Number(f64),
    Text(String),
    Regex(String),
    Variable(String),
    Field(Box<Expr>),
    Element(String, Vec<Expr>),
    Group(Box<Expr>),
    Unary(char, Box<Expr>),
    Binary(&'static str, Box<Expr>, Box<Expr>),
    In(Vec<Expr>, String),
    Choice(Box<Expr>, Box<Expr>, Box<Expr>),
    /// `=` alone or with an operator before it.
    Assign(Option<&'static str>, Box<Expr>, Box<Expr>),
    /// By how much, and whether the old value counts.
    Step(f64, bool, Box<Expr>),
    Call(String, Vec<Expr>),
}

/// A statement.
#[derive(Clone, Debug)]
pub(super) enum Statement {
    Print(Vec<Expr>, bool),
    Printf(Vec<Expr>, bool),
    Expr(Expr),
    If(Expr, Vec<Statement>, Vec<Statement>),
    While(Expr, Vec<Statement>),
    For(Option<Expr>, Option<Expr>, Option<Expr>, Vec<Statement>),
    Each(String, String, Vec<Statement>),
    Delete(String, Vec<Expr>),
    Next,
    Exit(Option<Expr>),
    Break,
    Continue,
}

/// When a rule is for a line.
#[derive(Clone, Debug)]
pub(super) enum Pattern {
    Begin,
    End,
    Always,
    When(Expr),
    Between(Expr, Expr),
}

/// A program.
#[derive(Clone, Debug, Default)]
pub(super) struct Program(pub(super) Vec<(Pattern, Option<Vec<Statement>>)>);

impl Program {
    /// Whether there is more than `BEGIN`.
    pub(super) fn reads_input(&self) -> bool {
        self.0.iter().any(|(pattern, _)| !matches!(pattern, Pattern::Begin))
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Number(f64),
    Text(String),
    Regex(String),
    Name(String),
    /// A name with `(` right behind it.
    Call(String),
    Sign(&'static str),
    Line,
}

const SIGNS: &[&str] = &[
    "&&", "||", "++", "--", "+=", "-=", "*=", "/=", "%=", "^=", "==", "<=", ">=", "!=", "!~", "**",
    "{", "}", "(", ")", "[", "]", ";", ",", "+", "-", "*", "/", "%", "^", "!", ">", "<", "|", "?",
    ":", "~", "$", "=",
];
const FUNCTIONS: &[&str] = &[
    "length", "substr", "index", "split", "sub", "gsub", "match", "toupper", "tolower", "sprintf",
    "int", "sqrt", "rand", "srand", "systime",
];
/// How deep expressions and blocks may nest.
const DEPTH: usize = 60;

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut out: Vec<Token> = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let divides = matches!(
            out.last(),
            Some(Token::Number(_) | Token::Text(_) | Token::Name(_) | Token::Sign(")" | "]" | "$"))
        );
        if first == '\n' {
            out.push(Token::Line);
            rest = rest.get(1..).unwrap_or_default();
        } else if first.is_whitespace() {
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
        } else if let Some(after) = rest.strip_prefix("\\\n") {
            rest = after;
        } else if first == '#' {
            rest = rest.find('\n').and_then(|at| rest.get(at..)).unwrap_or_default();
        } else if first == '"' || (first == '/' && !divides) {
            let body = rest.get(1..).unwrap_or_default();
            let end = closing(body, first).ok_or("end of file")?;
            let inner = body.get(..end).unwrap_or_default();
            out.push(match first {
                '"' => Token::Text(unescape(inner)),
                _ => Token::Regex(inner.replace("\\/", "/")),
            });
            rest = body.get(end + 1..).unwrap_or_default();
        } else if first.is_ascii_digit() || first == '.' {
            let whole = number(rest);
            out.push(Token::Number(whole.parse().map_err(|_| whole.to_owned())?));
            rest = rest.get(whole.len()..).unwrap_or_default();
        } else if first.is_ascii_alphabetic() || first == '_' {
            let end = rest
                .find(|found: char| !found.is_ascii_alphanumeric() && found != '_')
                .unwrap_or(rest.len());
            let (name, after) = rest.split_at(end);
            let call = after.starts_with('(');
            let name = name.to_owned();
            out.push(if call { Token::Call(name) } else { Token::Name(name) });
            rest = after;
        } else {
            let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
            let sign = sign.ok_or_else(|| first.to_string())?;
            out.push(Token::Sign(sign));
            rest = rest.get(sign.len()..).unwrap_or_default();
        }
    }
    Ok(out)
}

fn closing(body: &str, mark: char) -> Option<usize> {
    let mut escaped = false;
    for (at, found) in body.char_indices() {
        match found {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '\n' => return None,
            found if found == mark => return Some(at),
            _ => {}
        }
    }
    None
}

fn number(text: &str) -> &str {
    let digits = |text: &str| {
        text.find(|found: char| !found.is_ascii_digit() && found != '.').unwrap_or(text.len())
    };
    let end = digits(text);
    let after = text.get(end..).unwrap_or_default();
    if let Some(power) = after.strip_prefix(['e', 'E']) {
        let sign = usize::from(power.starts_with(['+', '-']));
        let length = digits(power.get(sign..).unwrap_or_default());
        if length > 0 {
            return text.get(..end + 1 + sign + length).unwrap_or_default();
        }
    }
    text.get(..end).unwrap_or_default()
}

/// Reads a program; the error is what the parser stood at.
pub(super) fn parse(text: &str) -> Result<Program, String> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0, depth: 0 };
    let mut program = Program::default();
    loop {
        parser.skip_lines();
        if parser.at >= parser.tokens.len() {
            return Ok(program);
        }
        program.0.push(parser.rule()?);
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

type Read<T> = Result<T, String>;

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn is(&self, sign: &str) -> bool {
        matches!(self.peek(), Some(Token::Sign(found)) if *found == sign)
    }

    fn word(&self, name: &str) -> bool {
        matches!(self.peek(), Some(Token::Name(found) | Token::Call(found)) if found == name)
    }

    fn takes(&mut self, sign: &str) -> bool {
        let found = self.is(sign);
        self.at += usize::from(found);
        found
    }

    fn takes_word(&mut self, name: &str) -> bool {
        let found = self.word(name);
        self.at += usize::from(found);
        found
    }

    fn wants(&mut self, sign: &str) -> Read<()> {
        if self.takes(sign) { Ok(()) } else { Err(self.near()) }
    }

    fn near(&self) -> String {
        match self.peek() {
            None => "end of file".to_owned(),
            Some(Token::Number(number)) => number.to_string(),
            Some(Token::Text(text)) => format!("\"{text}\""),
            Some(Token::Regex(text)) => format!("/{text}/"),
            Some(Token::Name(text) | Token::Call(text)) => text.clone(),
            Some(Token::Sign(sign)) => (*sign).to_owned(),
            Some(Token::Line) => "end of line".to_owned(),
        }
    }

    fn skip_lines(&mut self) {
        while matches!(self.peek(), Some(Token::Line | Token::Sign(";"))) {
            self.at += 1;
        }
    }

    fn newlines(&mut self) {
        while matches!(self.peek(), Some(Token::Line)) {
            self.at += 1;
        }
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<T> {
        self.depth += 1;
        let result = if self.depth > DEPTH { Err(self.near()) } else { read(self) };
        self.depth -= 1;
        result
    }

    fn rule(&mut self) -> Read<(Pattern, Option<Vec<Statement>>)> {
        let pattern = if self.takes_word("BEGIN") {
            Pattern::Begin
        } else if self.takes_word("END") {
            Pattern::End
        } else if self.is("{") {
            Pattern::Always
        } else {
            let first = self.expr()?;
            if self.takes(",") {
                Pattern::Between(first, self.expr()?)
            } else {
                Pattern::When(first)
            }
        };
        let body = if self.is("{") { Some(self.block()?) } else { None };
        if body.is_none() && matches!(pattern, Pattern::Begin | Pattern::End) {
            return Err(self.near());
        }
        Ok((pattern, body))
    }

    /// `{ … }`, or one statement.
    fn block(&mut self) -> Read<Vec<Statement>> {
        self.deeper(|parser| {
            parser.newlines();
            if !parser.takes("{") {
                if parser.takes(";") {
                    return Ok(Vec::new());
                }
                let one = parser.statement()?;
                parser.end_of_statement()?;
                return Ok(vec![one]);
            }
            let mut all = Vec::new();
            loop {
                parser.skip_lines();
                if parser.takes("}") {
                    return Ok(all);
                }
                if parser.is("{") {
                    all.extend(parser.block()?);
                    continue;
                }
                all.push(parser.statement()?);
                parser.end_of_statement()?;
            }
        })
    }

    fn end_of_statement(&mut self) -> Read<()> {
        match self.peek() {
            None | Some(Token::Sign("}")) => Ok(()),
            Some(Token::Line | Token::Sign(";")) => {
                self.at += 1;
                Ok(())
            }
            // After a block nothing is needed.
            _ if self
                .at
                .checked_sub(1)
                .and_then(|at| self.tokens.get(at))
                .is_some_and(|token| matches!(token, Token::Sign("}" | ";") | Token::Line)) =>
            {
                Ok(())
            }
            _ => Err(self.near()),
        }
    }

    fn statement(&mut self) -> Read<Statement> {
        self.deeper(Self::one)
    }

    fn one(&mut self) -> Read<Statement> {
        let Some(Token::Name(name) | Token::Call(name)) = self.peek().cloned() else {
            return self.expr().map(Statement::Expr);
        };
        match name.as_str() {
            "print" | "printf" => {
                self.at += 1;
                let mut values = self.print_list()?;
                // One pair of brackets around all is no more than that.
                if let [Expr::Call(name, inner)] = values.as_mut_slice()
                    && name.is_empty()
                {
                    values = std::mem::take(inner);
                }
                let error = self.goes_to_error()?;
                Ok(match name.as_str() {
                    "print" => Statement::Print(values, error),
                    _ => Statement::Printf(values, error),
                })
            }
            "if" => {
                self.at += 1;
                let condition = self.bracketed()?;
                let yes = self.block()?;
                let before = self.at;
                self.skip_lines();
                if self.takes_word("else") {
                    return Ok(Statement::If(condition, yes, self.block()?));
                }
                self.at = before;
                Ok(Statement::If(condition, yes, Vec::new()))
            }
            "while" => {
                self.at += 1;
                let condition = self.bracketed()?;
                Ok(Statement::While(condition, self.block()?))
            }
            "for" => {
                self.at += 1;
                self.for_loop()
            }
            "delete" => {
                self.at += 1;
                let Some(Token::Name(name)) = self.peek().cloned() else { return Err(self.near()) };
                self.at += 1;
                let keys = if self.takes("[") { self.list("]")? } else { Vec::new() };
                Ok(Statement::Delete(name, keys))
            }
            "next" | "break" | "continue" => {
                self.at += 1;
                Ok(match name.as_str() {
                    "next" => Statement::Next,
                    "break" => Statement::Break,
                    _ => Statement::Continue,
                })
            }
            "exit" => {
                self.at += 1;
                let bare = matches!(self.peek(), None | Some(Token::Line | Token::Sign(";" | "}")));
                Ok(Statement::Exit(if bare { None } else { Some(self.expr()?) }))
            }
            _ => self.expr().map(Statement::Expr),
        }
    }

    /// What `print` prints; `>` ends it.
    fn print_list(&mut self) -> Read<Vec<Expr>> {
        if matches!(self.peek(), None | Some(Token::Line | Token::Sign(";" | "}" | ">"))) {
            return Ok(Vec::new());
        }
        if self.is("(") {
            // `print (a, b)` or `print (a) b`.
            let before = self.at;
            self.at += 1;
            let inner = self.list(")")?;
            let ends =
                matches!(self.peek(), None | Some(Token::Line | Token::Sign(";" | "}" | ">")));
            if ends {
                return Ok(vec![Expr::Call(String::new(), inner)]);
            }
            self.at = before;
        }
        let mut all = vec![self.no_redirect()?];
        while self.takes(",") {
            self.newlines();
            all.push(self.no_redirect()?);
        }
        Ok(all)
    }

    fn no_redirect(&mut self) -> Read<Expr> {
        self.deeper(|parser| parser.ternary(true))
    }

    /// `> "/dev/stderr"`; other files are not written.
    fn goes_to_error(&mut self) -> Read<bool> {
        if !self.takes(">") {
            return Ok(false);
        }
        match self.peek() {
            Some(Token::Text(file)) if file == "/dev/stderr" => {
                self.at += 1;
                Ok(true)
            }
            _ => Err(self.near()),
        }
    }

    fn bracketed(&mut self) -> Read<Expr> {
        self.wants("(")?;
        let expr = self.expr()?;
        self.wants(")")?;
        Ok(expr)
    }

    fn for_loop(&mut self) -> Read<Statement> {
        self.wants("(")?;
        if let (Some(Token::Name(key)), Some(Token::Name(word)), Some(Token::Name(array))) = (
            self.tokens.get(self.at).cloned(),
            self.tokens.get(self.at + 1).cloned(),
            self.tokens.get(self.at + 2).cloned(),
        ) && word == "in"
        {
            self.at += 3;
            self.wants(")")?;
            return Ok(Statement::Each(key, array, self.block()?));
        }
        let part = |parser: &mut Self, end: &str| -> Read<Option<Expr>> {
            if parser.takes(end) {
                return Ok(None);
            }
            let expr = parser.expr()?;
            parser.wants(end)?;
            Ok(Some(expr))
        };
        let (first, condition) = (part(self, ";")?, part(self, ";")?);
        let step = part(self, ")")?;
        Ok(Statement::For(first, condition, step, self.block()?))
    }

    fn list(&mut self, end: &str) -> Read<Vec<Expr>> {
        let mut all = Vec::new();
        if self.takes(end) {
            return Ok(all);
        }
        loop {
            self.newlines();
            all.push(self.expr()?);
            if self.takes(end) {
                return Ok(all);
            }
            self.wants(",")?;
        }
    }

    fn expr(&mut self) -> Read<Expr> {
        self.deeper(|parser| parser.ternary(false))
    }

    /// Assignments and `a ? b : c`.
    fn ternary(&mut self, print: bool) -> Read<Expr> {
        let left = self.binary(0, print)?;
        for (sign, operator) in [
            ("=", None),
            ("+=", Some("+")),
            ("-=", Some("-")),
            ("*=", Some("*")),
            ("/=", Some("/")),
            ("%=", Some("%")),
            ("^=", Some("^")),
        ] {
            if self.is(sign) {
                if !matches!(left, Expr::Variable(_) | Expr::Field(_) | Expr::Element(..)) {
                    return Err(self.near());
                }
                self.at += 1;
                let value = self.deeper(|parser| parser.ternary(print))?;
                return Ok(Expr::Assign(operator, Box::new(left), Box::new(value)));
            }
        }
        if !self.takes("?") {
            return Ok(left);
        }
        let yes = self.deeper(|parser| parser.ternary(print))?;
        self.wants(":")?;
        let no = self.deeper(|parser| parser.ternary(print))?;
        Ok(Expr::Choice(Box::new(left), Box::new(yes), Box::new(no)))
    }

    /// Operators by how tightly they bind, the loosest first.
    fn binary(&mut self, level: usize, print: bool) -> Read<Expr> {
        const LEVELS: &[&[&str]] = &[
            &["||"],
            &["&&"],
            &["in"],
            &["~", "!~"],
            &["==", "!=", "<", "<=", ">", ">="],
            &[" "],
            &["+", "-"],
            &["*", "/", "%"],
        ];
        let Some(signs) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.binary(level + 1, print)?;
        loop {
            if level == 2 {
                if !self.takes_word("in") {
                    return Ok(left);
                }
                let Some(Token::Name(array)) = self.peek().cloned() else {
                    return Err(self.near());
                };
                self.at += 1;
                left = Expr::In(vec![left], array);
                continue;
            }
            let found = if level == 5 {
                self.starts_operand().then_some(" ")
            } else {
                signs.iter().copied().find(|sign| self.is(sign) && !(print && *sign == ">"))
            };
            let Some(sign) = found else { return Ok(left) };
            if sign != " " {
                self.at += 1;
                self.newlines();
            }
            let right = self.binary(level + 1, print)?;
            left = Expr::Binary(sign, Box::new(left), Box::new(right));
        }
    }

    /// Whether a value follows: then it is joined to the one before.
    fn starts_operand(&self) -> bool {
        match self.peek() {
            Some(Token::Number(_) | Token::Text(_) | Token::Call(_)) => true,
            Some(Token::Name(name)) => name != "in",
            Some(Token::Sign(sign)) => {
                ["(", "$", "!", "-", "++", "--"].contains(sign) && {
                    // `a - b` and `a !~ b` were taken before; `a -1` is a difference.
                    *sign != "-" && *sign != "!"
                }
            }
            _ => false,
        }
    }

    fn unary(&mut self) -> Read<Expr> {
        for sign in ["!", "-", "+"] {
            if self.takes(sign) {
                let inner = self.deeper(Self::unary)?;
                let mark = sign.chars().next().unwrap_or('!');
                return Ok(Expr::Unary(mark, Box::new(inner)));
            }
        }
        let base = self.postfix()?;
        if self.takes("^") || self.takes("**") {
            let power = self.deeper(Self::unary)?;
            return Ok(Expr::Binary("^", Box::new(base), Box::new(power)));
        }
        Ok(base)
    }

    fn postfix(&mut self) -> Read<Expr> {
        for (sign, by) in [("++", 1.0), ("--", -1.0)] {
            if self.takes(sign) {
                let target = self.deeper(Self::primary)?;
                return Ok(Expr::Step(by, false, Box::new(target)));
            }
        }
        let value = self.deeper(Self::primary)?;
        if matches!(value, Expr::Variable(_) | Expr::Field(_) | Expr::Element(..)) {
            for (sign, by) in [("++", 1.0), ("--", -1.0)] {
                if self.takes(sign) {
                    return Ok(Expr::Step(by, true, Box::new(value)));
                }
            }
        }
        Ok(value)
    }

    fn primary(&mut self) -> Read<Expr> {
        let Some(token) = self.peek().cloned() else { return Err(self.near()) };
        self.at += 1;
        Ok(match token {
            Token::Number(number) => Expr::Number(number),
            Token::Text(text) => Expr::Text(text),
            Token::Regex(text) => Expr::Regex(text),
            Token::Sign("$") => {
                let at = if self.is("-") { self.unary()? } else { self.deeper(Self::primary)? };
                Expr::Field(Box::new(at))
            }
            Token::Sign("(") => {
                let mut all = self.list(")")?;
                if self.takes_word("in") {
                    let Some(Token::Name(array)) = self.peek().cloned() else {
                        return Err(self.near());
                    };
                    self.at += 1;
                    return Ok(Expr::In(all, array));
                }
                match (all.pop(), all.is_empty()) {
                    (Some(only), true) => Expr::Group(Box::new(only)),
                    _ => return Err(self.near()),
                }
            }
            Token::Call(name) if FUNCTIONS.contains(&name.as_str()) => {
                self.wants("(")?;
                Expr::Call(name, self.list(")")?)
            }
            Token::Name(name) if name == "length" => Expr::Call(name, Vec::new()),
            Token::Name(name) if self.takes("[") => Expr::Element(name, self.list("]")?),
            // `x (y)` joins, `x(y)` would call a function that is not there.
            Token::Name(name) => Expr::Variable(name),
            _ => {
                self.at -= 1;
                return Err(self.near());
            }
        })
    }
}
