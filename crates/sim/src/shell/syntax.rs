//! What a script is made of.

/// A part of a word.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part {
    /// As it stands; may be a pattern of file names.
    Text(String),
    /// From quotes or an escape: never split, never a pattern.
    Quoted(String),
    /// `$name`, `${name…}`: the text between the braces.
    Variable { text: String, quoted: bool },
    /// `$(…)` or back-quotes.
    Command { script: String, quoted: bool },
    /// `$((…))`.
    Arithmetic(String),
    /// `<(…)`: the name of a file that holds what the script prints.
    Process(String),
}

pub(super) type Word = Vec<Part>;

/// What a variable is set to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Text(Word),
    /// `name=(…)`.
    List(Vec<Word>),
    /// `name[…]=`.
    Item(String, Word),
}

/// `name=value`, or `name+=value`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Assign {
    pub(super) name: String,
    pub(super) append: bool,
    pub(super) value: Value,
}

/// Where a redirection leads.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Target {
    /// `> file`.
    Write(Word),
    /// `>> file`.
    Append(Word),
    /// `< file`.
    Read(Word),
    /// `2>&1`.
    Same(u8),
    /// `<<EOF` or `<<<`, the text ready.
    Here(Word),
}

/// A redirection of a file descriptor.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Redirect {
    pub(super) from: u8,
    pub(super) to: Target,
}

/// A command or a composition of commands.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Simple {
        assign: Vec<Assign>,
        words: Vec<Word>,
        redirects: Vec<Redirect>,
    },
    Pipe {
        parts: Vec<Node>,
        not: bool,
    },
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    List(Vec<Node>),
    /// Conditions with their bodies, and what else.
    If(Vec<(Node, Node)>, Option<Box<Node>>),
    For(String, Option<Vec<Word>>, Box<Node>),
    /// `for ((…; …; …))`.
    Count([String; 3], Box<Node>),
    /// `((…))`.
    Arithmetic(String),
    /// `[[ … ]]`.
    Test(Vec<Word>),
    /// `while`, or `until` when the flag is set.
    While(Box<Node>, Box<Node>, bool),
    Case(Word, Vec<(Vec<Word>, Node)>),
    Function(String, Box<Node>),
    Subshell(Box<Node>),
    /// A compound command with redirections of its own.
    Redirected(Box<Node>, Vec<Redirect>),
}
