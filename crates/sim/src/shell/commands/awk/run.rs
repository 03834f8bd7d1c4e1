//! Running programs of awk.

use std::collections::BTreeMap;

use regex::Regex;

use super::super::printf;
use super::parse::{Expr, Pattern, Program, Statement};
use super::value::{Value, shown};

/// How a statement ends.
enum Flow {
    On,
    Next,
    Exit,
    Break,
    Continue,
}

/// The most statements and expressions that a program runs.
const STEPS: u64 = 20_000_000;
/// The most characters that it writes or keeps in one text.
const LENGTH: usize = 64 << 20;

/// A running program.
pub(super) struct Machine<'a> {
    program: &'a Program,
    variables: BTreeMap<String, Value>,
    arrays: BTreeMap<String, BTreeMap<String, Value>>,
    line: String,
    fields: Vec<String>,
    inside: Vec<bool>,
    regexes: BTreeMap<String, Regex>,
    status: i32,
    steps: u64,
    pub(super) out: String,
    pub(super) err: String,
}

type Got<T> = Result<T, String>;

impl<'a> Machine<'a> {
    pub(super) fn new(
        program: &'a Program,
        separator: Option<String>,
        assigned: Vec<(String, String)>,
    ) -> Self {
        let text = |text: &str| Value::Text(text.to_owned());
        let mut variables: BTreeMap<String, Value> = assigned
            .into_iter()
            .map(|(name, value)| (name, Value::Input(printf::unescape(&value))))
            .collect();
        for (name, value) in [("OFS", " "), ("ORS", "\n"), ("SUBSEP", "\u{1c}")] {
            variables.entry(name.to_owned()).or_insert_with(|| text(value));
        }
        let separator = match separator.as_deref() {
            Some("t") => "\t".to_owned(),
            Some(other) => printf::unescape(other),
            None => " ".to_owned(),
        };
        variables.entry("FS".to_owned()).or_insert(Value::Text(separator));
        variables.insert("NR".to_owned(), Value::Number(0.0));
        Self {
            program,
            variables,
            arrays: BTreeMap::new(),
            line: String::new(),
            fields: Vec::new(),
            inside: vec![false; program.0.len()],
            regexes: BTreeMap::new(),
            status: 0,
            steps: 0,
            out: String::new(),
            err: String::new(),
        }
    }

    /// Runs on an input; the exit status.
    pub(super) fn run(&mut self, input: &str) -> Got<i32> {
        let program = self.program;
        let mut ended = false;
        for (pattern, body) in &program.0 {
            if let (Pattern::Begin, Some(body), false) = (pattern, body, ended) {
                ended = matches!(self.block(body)?, Flow::Exit);
            }
        }
        if !ended && program.reads_input() {
            for (number, line) in (1u32..).zip(input.lines()) {
                self.variables.insert("NR".to_owned(), Value::Number(f64::from(number)));
                self.variables.insert("FNR".to_owned(), Value::Number(f64::from(number)));
                self.set_line(line.to_owned())?;
                if matches!(self.rules()?, Flow::Exit) {
                    break;
                }
            }
        }
        for (pattern, body) in &program.0 {
            if let (Pattern::End, Some(body)) = (pattern, body)
                && !ended
            {
                ended = matches!(self.block(body)?, Flow::Exit);
            }
        }
        Ok(self.status)
    }

    fn rules(&mut self) -> Got<Flow> {
        let program = self.program;
        for (at, (pattern, body)) in program.0.iter().enumerate() {
            let fits = match pattern {
                Pattern::Begin | Pattern::End => false,
                Pattern::Always => true,
                Pattern::When(condition) => self.value(condition)?.holds(),
                Pattern::Between(first, last) => {
                    let was = self.inside.get(at).copied().unwrap_or(false);
                    let now = was || self.value(first)?.holds();
                    let stays = now && !self.value(last)?.holds();
                    if let Some(inside) = self.inside.get_mut(at) {
                        *inside = stays;
                    }
                    now
                }
            };
            if !fits {
                continue;
            }
            let flow = match body {
                Some(body) => self.block(body)?,
                None => {
                    let line = self.line.clone();
                    self.write(&format!("{line}\n"), false)?;
                    Flow::On
                }
            };
            match flow {
                Flow::Next => return Ok(Flow::Next),
                Flow::Exit => return Ok(Flow::Exit),
                _ => {}
            }
        }
        Ok(Flow::On)
    }

    fn write(&mut self, text: &str, error: bool) -> Got<()> {
        let to = if error { &mut self.err } else { &mut self.out };
        if to.len() > LENGTH {
            return Err("output too long".to_owned());
        }
        to.push_str(text);
        Ok(())
    }

    fn step(&mut self) -> Got<()> {
        self.steps += 1;
        if self.steps > STEPS { Err("too many steps".to_owned()) } else { Ok(()) }
    }

    fn named(&self, name: &str) -> String {
        self.variables.get(name).map(Value::text).unwrap_or_default()
    }

    fn set_line(&mut self, line: String) -> Got<()> {
        let separator = self.named("FS");
        self.fields = self.parts(&line, &separator)?;
        self.line = line;
        self.count_fields();
        Ok(())
    }

    fn count_fields(&mut self) {
        let count = u32::try_from(self.fields.len()).unwrap_or(u32::MAX);
        self.variables.insert("NF".to_owned(), Value::Number(f64::from(count)));
    }

    /// A text split by a separator as `FS` gives it.
    fn parts(&mut self, text: &str, separator: &str) -> Got<Vec<String>> {
        if separator == " " {
            return Ok(text.split_whitespace().map(str::to_owned).collect());
        }
        if text.is_empty() {
            return Ok(Vec::new());
        }
        if separator.is_empty() {
            return Ok(text.chars().map(String::from).collect());
        }
        let one = separator.chars().count() == 1 && separator != "\\";
        if one {
            return Ok(text.split(separator).map(str::to_owned).collect());
        }
        Ok(self.regex(separator)?.split(text).map(str::to_owned).collect())
    }

    fn regex(&mut self, pattern: &str) -> Got<Regex> {
        if let Some(known) = self.regexes.get(pattern) {
            return Ok(known.clone());
        }
        let regex = Regex::new(pattern)
            .map_err(|_| format!("regular expression compile failed\n{pattern}"))?;
        self.regexes.insert(pattern.to_owned(), regex.clone());
        Ok(regex)
    }

    /// The regular expression that an operand is.
    fn pattern(&mut self, expr: &Expr) -> Got<Regex> {
        let text = match expr {
            Expr::Regex(text) => text.clone(),
            other => self.value(other)?.text(),
        };
        self.regex(&text)
    }

    fn block(&mut self, body: &[Statement]) -> Got<Flow> {
        for statement in body {
            match self.statement(statement)? {
                Flow::On => {}
                other => return Ok(other),
            }
        }
        Ok(Flow::On)
    }

    fn statement(&mut self, statement: &Statement) -> Got<Flow> {
        self.step()?;
        match statement {
            Statement::Print(values, error) => {
                let mut texts = Vec::new();
                for value in values {
                    texts.push(self.value(value)?.text());
                }
                let text = if values.is_empty() {
                    self.line.clone()
                } else {
                    texts.join(&self.named("OFS"))
                };
                let end = self.named("ORS");
                self.write(&format!("{text}{end}"), *error)?;
            }
            Statement::Printf(values, error) => {
                let text = self.formatted(values)?;
                self.write(&text, *error)?;
            }
            Statement::Expr(expr) => {
                self.value(expr)?;
            }
            Statement::If(condition, yes, no) => {
                let holds = self.value(condition)?.holds();
                return self.block(if holds { yes } else { no });
            }
            Statement::While(condition, body) => {
                return self.repeat(Some(condition), None, body);
            }
            Statement::For(first, condition, step, body) => {
                if let Some(first) = first {
                    self.value(first)?;
                }
                return self.repeat(condition.as_ref(), step.as_ref(), body);
            }
            Statement::Each(key, array, body) => {
                let keys: Vec<String> = self
                    .arrays
                    .get(array)
                    .map(|all| all.keys().cloned().collect())
                    .unwrap_or_default();
                for found in keys {
                    self.variables.insert(key.clone(), Value::Input(found));
                    match self.block(body)? {
                        Flow::On | Flow::Continue => {}
                        Flow::Break => break,
                        other => return Ok(other),
                    }
                }
            }
            Statement::Delete(array, keys) => {
                if keys.is_empty() {
                    self.arrays.remove(array);
                } else {
                    let key = self.key(keys)?;
                    if let Some(all) = self.arrays.get_mut(array) {
                        all.remove(&key);
                    }
                }
            }
            Statement::Next => return Ok(Flow::Next),
            Statement::Break => return Ok(Flow::Break),
            Statement::Continue => return Ok(Flow::Continue),
            Statement::Exit(code) => {
                if let Some(code) = code {
                    self.status = self.value(code)?.number() as i32 & 0xff;
                }
                return Ok(Flow::Exit);
            }
        }
        Ok(Flow::On)
    }

    fn repeat(
        &mut self,
        condition: Option<&Expr>,
        after: Option<&Expr>,
        body: &[Statement],
    ) -> Got<Flow> {
        loop {
            self.step()?;
            if let Some(condition) = condition
                && !self.value(condition)?.holds()
            {
                return Ok(Flow::On);
            }
            match self.block(body)? {
                Flow::On | Flow::Continue => {}
                Flow::Break => return Ok(Flow::On),
                other => return Ok(other),
            }
            if let Some(after) = after {
                self.value(after)?;
            }
        }
    }

    fn formatted(&mut self, values: &[Expr]) -> Got<String> {
        let mut texts = Vec::new();
        for value in values {
            texts.push(self.value(value)?);
        }
        let Some((format, rest)) = texts.split_first() else {
            return Err("not enough arguments passed to sprintf(\"\")".to_owned());
        };
        Ok(printf::awk(&format.text(), rest.iter().map(|value| (value.text(), value.number()))))
    }

    fn key(&mut self, keys: &[Expr]) -> Got<String> {
        let mut parts = Vec::new();
        for key in keys {
            parts.push(self.value(key)?.text());
        }
        Ok(parts.join(&self.named("SUBSEP")))
    }

    fn field(&self, at: f64) -> Value {
        if at < 1.0 {
            return Value::Input(self.line.clone());
        }
        match self.fields.get(at as usize - 1) {
            Some(text) => Value::Input(text.clone()),
            None => Value::Nothing,
        }
    }

    fn assign(&mut self, target: &Expr, value: Value) -> Got<Value> {
        match target {
            Expr::Variable(name) => {
                self.variables.insert(name.clone(), value.clone());
                if name == "NF" {
                    let count = value.number().clamp(0.0, 10_000.0) as usize;
                    self.fields.resize(count, String::new());
                    self.line = self.fields.join(&self.named("OFS"));
                }
            }
            Expr::Element(array, keys) => {
                let key = self.key(keys)?;
                self.arrays.entry(array.clone()).or_default().insert(key, value.clone());
            }
            Expr::Field(at) => {
                let at = self.value(at)?.number();
                if !(0.0..=10_000.0).contains(&at) {
                    return Err(format!("bad field index {}", shown(at)));
                }
                if at < 1.0 {
                    self.set_line(value.text())?;
                } else {
                    let at = at as usize;
                    if self.fields.len() < at {
                        self.fields.resize(at, String::new());
                    }
                    if let Some(field) = self.fields.get_mut(at - 1) {
                        *field = value.text();
                    }
                    self.line = self.fields.join(&self.named("OFS"));
                    self.count_fields();
                }
            }
            _ => return Err("assignment to what is no variable".to_owned()),
        }
        Ok(value)
    }

    fn value(&mut self, expr: &Expr) -> Got<Value> {
        self.step()?;
        Ok(match expr {
            Expr::Number(number) => Value::Number(*number),
            Expr::Text(text) => Value::Text(text.clone()),
            Expr::Regex(text) => self.regex(text)?.is_match(&self.line).into(),
            Expr::Variable(name) => self.variables.get(name).cloned().unwrap_or_default(),
            Expr::Field(at) => {
                let at = self.value(at)?.number();
                if at < 0.0 {
                    return Err(format!("bad field index {}", shown(at)));
                }
                self.field(at)
            }
            Expr::Element(array, keys) => {
                let key = self.key(keys)?;
                self.arrays.entry(array.clone()).or_default().entry(key).or_default().clone()
            }
            Expr::Group(inner) => self.value(inner)?,
            Expr::Unary(sign, inner) => {
                let value = self.value(inner)?;
                match sign {
                    '!' => (!value.holds()).into(),
                    '-' => Value::Number(-value.number()),
                    _ => Value::Number(value.number()),
                }
            }
            Expr::Binary(sign, left, right) => self.binary(sign, left, right)?,
            Expr::In(keys, array) => {
                let key = self.key(keys)?;
                self.arrays.get(array).is_some_and(|all| all.contains_key(&key)).into()
            }
            Expr::Choice(condition, yes, no) => {
                let holds = self.value(condition)?.holds();
                self.value(if holds { yes } else { no })?
            }
            Expr::Assign(operator, target, value) => {
                let value = match operator {
                    Some(operator) => self.binary(operator, target, value)?,
                    None => self.value(value)?,
                };
                self.assign(target, value)?
            }
            Expr::Step(by, old, target) => {
                let before = self.value(target)?.number();
                let after = self.assign(target, Value::Number(before + by))?;
                if *old { Value::Number(before) } else { after }
            }
            Expr::Call(name, arguments) => self.call(name, arguments)?,
        })
    }

    fn binary(&mut self, sign: &str, left: &Expr, right: &Expr) -> Got<Value> {
        use std::cmp::Ordering::{Equal, Greater, Less};
        match sign {
            "&&" => {
                let holds = self.value(left)?.holds() && self.value(right)?.holds();
                return Ok(holds.into());
            }
            "||" => {
                let holds = self.value(left)?.holds() || self.value(right)?.holds();
                return Ok(holds.into());
            }
            "~" | "!~" => {
                let text = self.value(left)?.text();
                let fits = self.pattern(right)?.is_match(&text);
                return Ok((fits == (sign == "~")).into());
            }
            _ => {}
        }
        let (a, b) = (self.value(left)?, self.value(right)?);
        let order = |wanted: &[std::cmp::Ordering]| Value::from(wanted.contains(&a.compare(&b)));
        let (x, y) = (a.number(), b.number());
        Ok(match sign {
            " " => {
                let (first, second) = (a.text(), b.text());
                if first.len() + second.len() > LENGTH {
                    return Err("text too long".to_owned());
                }
                Value::Text(first + &second)
            }
            "==" => order(&[Equal]),
            "!=" => order(&[Less, Greater]),
            "<" => order(&[Less]),
            "<=" => order(&[Less, Equal]),
            ">" => order(&[Greater]),
            ">=" => order(&[Greater, Equal]),
            "+" => Value::Number(x + y),
            "-" => Value::Number(x - y),
            "*" => Value::Number(x * y),
            "^" => Value::Number(x.powf(y)),
            _ if y == 0.0 => return Err("division by zero".to_owned()),
            "/" => Value::Number(x / y),
            _ => Value::Number(x % y),
        })
    }

    fn call(&mut self, name: &str, arguments: &[Expr]) -> Got<Value> {
        let argument = |at: usize| arguments.get(at);
        let number = |count: usize| Value::Number(f64::from(u32::try_from(count).unwrap_or(0)));
        if let ("length", Some(Expr::Variable(name))) = (name, argument(0))
            && let Some(array) = self.arrays.get(name)
        {
            return Ok(number(array.len()));
        }
        match name {
            "sub" | "gsub" => return self.substitute(name == "gsub", arguments),
            "split" => return self.split(arguments),
            "match" => {
                let (Some(text), Some(pattern)) = (argument(0), argument(1)) else {
                    return Err("wrong number of arguments in call to match".to_owned());
                };
                let text = self.value(text)?.text();
                let found = self.pattern(pattern)?.find(&text).map(|found| found.range());
                let chars = |end: usize| text.get(..end).unwrap_or_default().chars().count();
                let (start, length) = match found {
                    Some(range) => {
                        (chars(range.start) + 1, Some(chars(range.end) - chars(range.start)))
                    }
                    None => (0, None),
                };
                let length = length.map_or(Value::Number(-1.0), number);
                self.variables.insert("RSTART".to_owned(), number(start));
                self.variables.insert("RLENGTH".to_owned(), length);
                return Ok(number(start));
            }
            "sprintf" => return self.formatted(arguments).map(Value::Text),
            _ => {}
        }
        let mut values = Vec::new();
        for argument in arguments {
            values.push(self.value(argument)?);
        }
        let text = |at: usize| values.get(at).map(Value::text).unwrap_or_default();
        let value = |at: usize| values.get(at).map(Value::number).unwrap_or_default();
        Ok(match name {
            "length" if values.is_empty() => number(self.line.chars().count()),
            "length" => number(text(0).chars().count()),
            "toupper" => Value::Text(text(0).to_uppercase()),
            "tolower" => Value::Text(text(0).to_lowercase()),
            "int" => Value::Number(value(0).trunc()),
            "sqrt" => Value::Number(value(0).sqrt()),
            "index" => {
                let (whole, part) = (text(0), text(1));
                let before = whole.find(&part).and_then(|at| whole.get(..at));
                number(before.map_or(0, |before| before.chars().count() + 1))
            }
            "substr" => {
                let start = value(1).round();
                let end = if values.len() > 2 { start + value(2).round() } else { f64::MAX };
                let whole = text(0);
                let kept = whole
                    .chars()
                    .zip(1u32..)
                    .filter(|(_, at)| f64::from(*at) >= start && f64::from(*at) < end);
                Value::Text(kept.map(|(found, _)| found).collect())
            }
            _ => Value::Number(0.0),
        })
    }

    fn substitute(&mut self, all: bool, arguments: &[Expr]) -> Got<Value> {
        let (Some(pattern), Some(new)) = (arguments.first(), arguments.get(1)) else {
            return Err("wrong number of arguments in call to sub".to_owned());
        };
        let whole = Expr::Field(Box::new(Expr::Number(0.0)));
        let target = arguments.get(2).unwrap_or(&whole);
        let regex = self.pattern(pattern)?;
        let new = self.value(new)?.text();
        let text = self.value(target)?.text();
        let count = if all {
            regex.find_iter(&text).count()
        } else {
            regex.find_iter(&text).take(1).count()
        };
        if count > 0 {
            let with = |found: &regex::Captures<'_>| {
                let whole = found.get(0).map(|found| found.as_str()).unwrap_or_default();
                new.replace("\\&", "\u{0}").replace('&', whole).replace('\u{0}', "&")
            };
            let replaced = regex.replacen(&text, usize::from(!all), with).into_owned();
            if replaced.len() > LENGTH {
                return Err("text too long".to_owned());
            }
            self.assign(target, Value::Text(replaced))?;
        }
        Ok(Value::Number(f64::from(u32::try_from(count).unwrap_or(0))))
    }

    fn split(&mut self, arguments: &[Expr]) -> Got<Value> {
        let (Some(text), Some(Expr::Variable(array))) = (arguments.first(), arguments.get(1))
        else {
            return Err("wrong number of arguments in call to split".to_owned());
        };
        let text = self.value(text)?.text();
        let separator = match arguments.get(2) {
            Some(Expr::Regex(text)) => text.clone(),
            Some(other) => self.value(other)?.text(),
            None => self.named("FS"),
        };
        let parts = self.parts(&text, &separator)?;
        let count = parts.len();
        let numbered = (1usize..).zip(parts).map(|(at, part)| (at.to_string(), Value::Input(part)));
        self.arrays.insert(array.clone(), numbered.collect());
        Ok(Value::Number(f64::from(u32::try_from(count).unwrap_or(0))))
    }
}
