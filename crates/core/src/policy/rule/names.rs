//! What an expression may speak of: variables, their fields, functions. The table is what
//! expressions are checked against, and docs/how-to/policy.md lists it.

use super::Each;

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Type {
    /// Not known before it is evaluated.
    Any,
    Bool,
    Int,
    Double,
    Text,
    /// A text that is one of these.
    Word(&'static [&'static str]),
    List(Box<Type>),
    /// Its keys are texts.
    Map(Box<Type>),
    Record(&'static Record),
}

impl Type {
    /// In the words of an error.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Any => "a value".to_owned(),
            Self::Bool => "true or false".to_owned(),
            Self::Int | Self::Double => "a number".to_owned(),
            Self::Text | Self::Word(_) => "a text".to_owned(),
            Self::List(_) => "a list".to_owned(),
            Self::Map(_) => "a mapping".to_owned(),
            Self::Record(record) => record.title.to_owned(),
        }
    }

    /// May a value of this type equal one of the other?
    pub(super) fn fits(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) | (_, Self::Any) => true,
            (Self::Int | Self::Double, Self::Int | Self::Double) => true,
            (Self::Text | Self::Word(_), Self::Text | Self::Word(_)) => true,
            (Self::List(a), Self::List(b)) | (Self::Map(a), Self::Map(b)) => a.fits(b),
            (Self::Record(a), Self::Record(b)) => std::ptr::eq(*a, *b),
            (Self::Record(_), Self::Map(_)) | (Self::Map(_), Self::Record(_)) => true,
            _ => self == other,
        }
    }
}

/// What a field holds, as a constant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Form {
    Bool,
    Int,
    Text,
    Word(&'static [&'static str]),
    Texts,
    TextByName,
    Record(&'static Record),
    Records(&'static Record),
    RecordByName(&'static Record),
}

impl Form {
    pub(super) fn of(self) -> Type {
        match self {
            Self::Bool => Type::Bool,
            Self::Int => Type::Int,
            Self::Text => Type::Text,
            Self::Word(words) => Type::Word(words),
            Self::Texts => Type::List(Box::new(Type::Text)),
            Self::TextByName => Type::Map(Box::new(Type::Text)),
            Self::Record(record) => Type::Record(record),
            Self::Records(record) => Type::List(Box::new(Type::Record(record))),
            Self::RecordByName(record) => Type::Map(Box::new(Type::Record(record))),
        }
    }
}

/// A value with named fields, all of which are always there.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) title: &'static str,
    pub(super) fields: &'static [(&'static str, Form)],
}

impl PartialEq for Record {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Record {
    pub(super) fn get(&self, name: &str) -> Option<Type> {
        self.fields.iter().find(|(known, _)| *known == name).map(|(_, form)| form.of())
    }
}

use Form::{Bool, Int, Record as One, RecordByName, Records, Text, TextByName, Texts, Word};

const VERBS: Form = Word(&["create", "change", "migrate", "power", "replace", "destroy"]);
const EFFECTS: Form = Word(&[
    "live",
    "create",
    "start",
    "pending",
    "move",
    "migrate",
    "reboot",
    "offline",
    "stop",
    "replace",
    "destroy",
    "data_loss",
]);
const WEEKDAYS: Form = Word(&["mon", "tue", "wed", "thu", "fri", "sat", "sun"]);

pub(super) static DISK: Record = Record {
    title: "a disk",
    fields: &[("slot", Text), ("size", Int), ("storage", Text), ("keep", Bool)],
};

pub(super) static NETWORK: Record = Record {
    title: "a network",
    fields: &[
        ("slot", Text),
        ("bridge", Text),
        ("model", Text),
        ("tag", Int),
        ("firewall", Bool),
        ("mac", Text),
    ],
};

pub(super) static GUEST: Record = Record {
    title: "a guest",
    fields: &[
        ("address", Text),
        ("name", Text),
        ("profile", Text),
        ("group", Text),
        ("vmid", Int),
        ("node", Text),
        ("exists", Bool),
        ("template", Text),
        ("cores", Int),
        ("memory", Int),
        ("disk", Int),
        ("tags", Texts),
        ("pool", Text),
        ("power", Word(&["running", "stopped", "unmanaged"])),
        ("ha", Bool),
        ("onboot", Bool),
        ("protection", Bool),
        ("prevent_destroy", Bool),
        ("disks", Records(&DISK)),
        ("networks", Records(&NETWORK)),
        ("config", TextByName),
    ],
};

pub(super) static ATTRIBUTE: Record = Record {
    title: "an attribute",
    fields: &[("path", Text), ("before", Text), ("after", Text), ("effect", EFFECTS)],
};

pub(super) static CHANGE: Record = Record {
    title: "a change",
    fields: &[
        ("address", Text),
        ("name", Text),
        ("profile", Text),
        ("verb", VERBS),
        ("effect", EFFECTS),
        ("vmid", Int),
        ("node", Text),
        ("target", Text),
        ("running", Bool),
        ("lost", Int),
        ("tags", Texts),
        ("attributes", Records(&ATTRIBUTE)),
    ],
};

pub(super) static POOL: Record = Record {
    title: "a pool",
    fields: &[("guests", Int), ("cores", Int), ("memory", Int), ("disk", Int)],
};

pub(super) static PLAN: Record = Record {
    title: "the plan",
    fields: &[
        ("cluster", Text),
        ("intent", Word(&["apply", "destroy"])),
        ("create", Int),
        ("change", Int),
        ("migrate", Int),
        ("power", Int),
        ("reboot", Int),
        ("replace", Int),
        ("destroy", Int),
        ("guests", Records(&GUEST)),
        ("changes", Records(&CHANGE)),
        ("pools", RecordByName(&POOL)),
    ],
};

pub(super) static NOW: Record = Record {
    title: "now",
    fields: &[
        ("weekday", WEEKDAYS),
        ("hour", Int),
        ("minute", Int),
        ("year", Int),
        ("month", Int),
        ("day", Int),
        ("date", Text),
        ("time", Text),
        ("time_zone", Text),
    ],
};

/// The variables of a rule.
pub(super) fn variables(each: Each) -> Vec<(&'static str, Form)> {
    let own = match each {
        Each::Guest => Some(("guest", One(&GUEST))),
        Each::Change => Some(("change", One(&CHANGE))),
        Each::Plan => None,
    };
    own.into_iter().chain([("plan", One(&PLAN)), ("now", One(&NOW))]).collect()
}

/// Functions that are not operators, with what they give; `None`: it depends.
pub(super) const FUNCTIONS: [(&str, Option<Form>); 32] = [
    ("size", Some(Int)),
    ("contains", Some(Bool)),
    ("startsWith", Some(Bool)),
    ("endsWith", Some(Bool)),
    ("matches", Some(Bool)),
    ("string", Some(Text)),
    ("int", Some(Int)),
    ("double", None),
    ("bool", Some(Bool)),
    ("type", None),
    ("dyn", None),
    ("sum", Some(Int)),
    ("charAt", Some(Text)),
    ("indexOf", Some(Int)),
    ("lastIndexOf", Some(Int)),
    ("join", Some(Text)),
    ("lowerAscii", Some(Text)),
    ("upperAscii", Some(Text)),
    ("trim", Some(Text)),
    ("replace", Some(Text)),
    ("split", Some(Texts)),
    ("substring", Some(Text)),
    ("reverse", None),
    ("slice", None),
    ("flatten", None),
    ("distinct", None),
    ("sort", None),
    ("range", None),
    ("greatest", None),
    ("least", None),
    ("abs", None),
    ("ceil", None),
];

/// What stands before a function's name (`math.greatest`).
pub(super) const NAMESPACES: [&str; 3] = ["math", "lists", "strings"];

/// Macros and types, which expressions name as well.
pub(super) const WORDS: [&str; 12] = [
    "int",
    "uint",
    "double",
    "bool",
    "string",
    "bytes",
    "list",
    "map",
    "null_type",
    "type",
    "has",
    "dyn",
];
