//! Names and types of an expression, as far as they are known without a cluster. What is not known
//! is left to the evaluation; what is wrong is told where it is written.

use cel::Program;
use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr, LiteralValue, SelectExpr};

use super::Each;
use super::compile::Slip;
use super::names::{self, CHANGE, FUNCTIONS, GUEST, NAMESPACES, Type, WORDS};
use crate::document::nearest;

/// What is known of an expression.
pub(super) struct Inferred {
    /// What it gives.
    pub(super) of: Type,
    /// Loops over guests or changes inside each other.
    pub(super) loops: u32,
    pub(super) slips: Vec<Slip>,
}

/// Looks at the expression of a rule.
pub(super) fn infer(program: &Program, text: &str, each: Each) -> Inferred {
    let variables = names::variables(each).into_iter();
    let scope = variables.map(|(name, form)| (name.to_owned(), form.of())).collect();
    let mut walk = Walk { program, text, scope, depth: 0, loops: 0, slips: Vec::new() };
    let of = walk.of(program.expression());
    Inferred { of, loops: walk.loops, slips: walk.slips }
}

struct Walk<'p> {
    program: &'p Program,
    text: &'p str,
    scope: Vec<(String, Type)>,
    /// Loops over guests or changes around what is looked at.
    depth: u32,
    loops: u32,
    slips: Vec<Slip>,
}

impl Walk<'_> {
    fn of(&mut self, node: &IdedExpr) -> Type {
        match &node.expr {
            Expr::Literal(literal) => of_literal(literal),
            Expr::Ident(name) => self.ident(node, name),
            Expr::Select(select) => self.select(node, select),
            Expr::Call(call) => self.call(node, call),
            Expr::Comprehension(loops) => self.comprehension(loops),
            Expr::List(list) => {
                let of: Vec<Type> = list.elements.iter().map(|item| self.of(item)).collect();
                Type::List(Box::new(common(of)))
            }
            Expr::Map(map) => {
                for entry in &map.entries {
                    self.entry(&entry.expr);
                }
                Type::Any
            }
            Expr::Struct(_) | Expr::Unspecified => {
                self.slip(node, 0, 1, "this is no value that rules know".to_owned(), None);
                Type::Any
            }
        }
    }

    fn entry(&mut self, entry: &cel::common::ast::EntryExpr) {
        match entry {
            cel::common::ast::EntryExpr::StructField(field) => drop(self.of(&field.value)),
            cel::common::ast::EntryExpr::MapEntry(entry) => {
                self.of(&entry.key);
                self.of(&entry.value);
            }
        }
    }

    fn ident(&mut self, node: &IdedExpr, name: &str) -> Type {
        if let Some((_, of)) = self.scope.iter().rev().find(|(known, _)| known == name) {
            return of.clone();
        }
        if !WORDS.contains(&name) {
            let known: Vec<&str> = self.scope.iter().map(|(name, _)| name.as_str()).collect();
            let text = match nearest(name, known.iter().copied()) {
                Some(near) => format!("did you mean '{near}'?"),
                None => format!("there is no variable '{name}' here"),
            };
            let help = format!("known here: {}", known.join(", "));
            self.slip(node, 0, name.len(), text, Some(help));
        }
        Type::Any
    }

    fn select(&mut self, node: &IdedExpr, select: &SelectExpr) -> Type {
        let of = self.of(&select.operand);
        let field = select.field.as_str();
        let found = match &of {
            Type::Any => Type::Any,
            Type::Map(of) => (**of).clone(),
            Type::Record(record) => record.get(field).unwrap_or_else(|| {
                let known: Vec<&str> = record.fields.iter().map(|(name, _)| *name).collect();
                let text = match nearest(field, known.iter().copied()) {
                    Some(near) => format!("did you mean '{near}'?"),
                    None => format!("{} has no '{field}'", record.title),
                };
                let help = format!("{} has: {}", record.title, known.join(", "));
                self.slip_at_field(node, field, text, Some(help));
                Type::Any
            }),
            other => {
                let text = format!("{} has no '{field}'", other.words());
                self.slip_at_field(node, field, text, None);
                Type::Any
            }
        };
        if select.test { Type::Bool } else { found }
    }

    fn call(&mut self, node: &IdedExpr, call: &CallExpr) -> Type {
        let space = call.target.as_ref().and_then(|target| match &target.expr {
            Expr::Ident(name) if NAMESPACES.contains(&name.as_str()) => Some(name),
            _ => None,
        });
        let target = match &call.target {
            Some(target) if space.is_none() => Some(self.of(target)),
            _ => None,
        };
        let of: Vec<Type> = call.args.iter().map(|argument| self.of(argument)).collect();
        match (call.func_name.as_str(), of.as_slice()) {
            ("_&&_" | "_||_" | "!_", sides) => {
                for (side, argument) in sides.iter().zip(&call.args) {
                    if !side.fits(&Type::Bool) {
                        let text = format!("this is {}, not true or false", side.words());
                        self.slip(argument, 0, 1, text, None);
                    }
                }
                Type::Bool
            }
            ("_==_" | "_!=_" | "_<_" | "_<=_" | "_>_" | "_>=_", [left, right]) => {
                if !left.fits(right) {
                    let text = format!("{} is compared with {}", left.words(), right.words());
                    self.slip(node, 0, 2, text, None);
                }
                if let [one, other] = call.args.as_slice() {
                    self.word(left, other);
                    self.word(right, one);
                }
                Type::Bool
            }
            ("@in" | "_in_" | "in", [item, list]) => {
                let items = match list {
                    Type::List(of) => (**of).clone(),
                    Type::Map(_) | Type::Record(_) => Type::Text,
                    _ => Type::Any,
                };
                if !item.fits(&items) {
                    let text =
                        format!("{} is looked for where each is {}", item.words(), items.words());
                    self.slip(node, 0, 2, text, None);
                }
                if let Some(Expr::List(list)) = call.args.get(1).map(|list| &list.expr) {
                    list.elements.iter().for_each(|element| self.word(item, element));
                }
                Type::Bool
            }
            ("_?_:_", [_, one, other]) => common(vec![one.clone(), other.clone()]),
            ("_+_", [left, right]) => match left {
                Type::List(of) if **of == Type::Any => right.clone(),
                left => left.clone(),
            },
            ("_-_" | "_*_" | "_/_" | "_%_" | "-_", [first, ..]) => first.clone(),
            ("_[_]", [Type::List(of) | Type::Map(of), _]) => (**of).clone(),
            (name, _) => self.function(node, name, target, &of),
        }
    }

    /// What is compared with one of a few words is one of them, or the rule never holds.
    fn word(&mut self, of: &Type, node: &IdedExpr) {
        let (Type::Word(words), Expr::Literal(LiteralValue::String(text))) = (of, &node.expr)
        else {
            return;
        };
        let text: &str = text;
        if words.contains(&text) {
            return;
        }
        let said = match nearest(text, words.iter().copied()) {
            Some(near) => format!("it is never that; did you mean '{near}'?"),
            None => "it is never that".to_owned(),
        };
        let help = format!("it is one of: {}", words.join(", "));
        self.slip(node, 0, text.len() + 2, said, Some(help));
    }

    fn function(
        &mut self,
        node: &IdedExpr,
        name: &str,
        target: Option<Type>,
        arguments: &[Type],
    ) -> Type {
        // Operators, and what macros make of a call (`math.@max`).
        if name.starts_with(['_', '!', '-']) || name.contains('@') {
            return Type::Any;
        }
        let Some((_, gives)) = FUNCTIONS.iter().find(|(known, _)| *known == name) else {
            let known = FUNCTIONS.iter().map(|(name, _)| *name);
            let macros = ["has", "all", "exists", "exists_one", "map", "filter"];
            let text = match nearest(name, known.chain(macros)) {
                Some(near) if near != name => format!("did you mean '{near}'?"),
                Some(_) => format!("'{name}' is not called like this"),
                None => format!("there is no function '{name}'"),
            };
            self.slip(node, 0, 1, text, None);
            return Type::Any;
        };
        let of_texts = ["startsWith", "endsWith", "matches", "split", "lowerAscii", "trim"];
        if of_texts.contains(&name)
            && let Some(of) = target.as_ref().or(arguments.first()).filter(|t| !t.fits(&Type::Text))
        {
            let text = format!("'{name}' is about texts, and this is {}", of.words());
            self.slip(node, 0, 1, text, None);
        }
        match gives {
            Some(form) => form.of(),
            None => match (name, target) {
                ("reverse" | "slice" | "distinct" | "sort", Some(of)) => of,
                _ => Type::Any,
            },
        }
    }

    fn comprehension(&mut self, loops: &ComprehensionExpr) -> Type {
        let range = self.of(&loops.iter_range);
        let item = match range {
            Type::List(of) => *of,
            Type::Map(_) | Type::Record(_) => Type::Text,
            _ => Type::Any,
        };
        // A list of disks is short, one of guests is not.
        let long = match &item {
            Type::Record(record) => std::ptr::eq(*record, &GUEST) || std::ptr::eq(*record, &CHANGE),
            Type::Any => true,
            _ => false,
        };
        let before = self.scope.len();
        let start = self.of(&loops.accu_init);
        self.depth += u32::from(long);
        self.loops = self.loops.max(self.depth);
        self.scope.push((loops.iter_var.clone(), item));
        self.scope.extend(loops.iter_var2.clone().map(|name| (name, Type::Any)));
        self.scope.push((loops.accu_var.clone(), start));
        self.of(&loops.loop_cond);
        let step = self.of(&loops.loop_step);
        self.scope.pop();
        self.scope.push((loops.accu_var.clone(), step));
        let result = self.of(&loops.result);
        self.scope.truncate(before);
        self.depth -= u32::from(long);
        result
    }

    /// Something is wrong `skip` bytes behind the place of a node.
    fn slip(
        &mut self,
        node: &IdedExpr,
        skip: usize,
        len: usize,
        text: String,
        help: Option<String>,
    ) {
        let start = self.program.source_info().offset_for(node.id);
        let start = start.and_then(|(start, _)| usize::try_from(start).ok());
        let start = start.unwrap_or(0) + skip;
        self.slips.push(Slip { start, len, text, help });
    }

    /// The same, at the name behind the dot.
    fn slip_at_field(&mut self, node: &IdedExpr, field: &str, text: String, help: Option<String>) {
        let dot = self.program.source_info().offset_for(node.id);
        let dot = dot.and_then(|(start, _)| usize::try_from(start).ok()).unwrap_or(0);
        let behind = self.text.get(dot..).and_then(|rest| rest.find(field));
        let start = dot + behind.unwrap_or(0);
        self.slips.push(Slip { start, len: field.len(), text, help });
    }
}

fn of_literal(literal: &LiteralValue) -> Type {
    match literal {
        LiteralValue::Boolean(_) => Type::Bool,
        LiteralValue::Int(_) => Type::Int,
        LiteralValue::Double(_) => Type::Double,
        LiteralValue::String(_) => Type::Text,
        LiteralValue::UInt(_) | LiteralValue::Bytes(_) | LiteralValue::Null => Type::Any,
    }
}

/// The type of all of them, when they have one.
fn common(of: Vec<Type>) -> Type {
    let mut rest = of.into_iter();
    let Some(first) = rest.next() else { return Type::Any };
    rest.fold(first, |known, next| match (&known, &next) {
        (Type::List(of), Type::List(_)) if **of == Type::Any => next,
        (Type::List(_), Type::List(of)) if **of == Type::Any => known,
        _ if known == next => known,
        _ => Type::Any,
    })
}
