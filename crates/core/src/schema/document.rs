//! What stands in documents beside the keys of [`KEYS`](super::KEYS): the tables that the
//! reference and the JSON schemas are written from. A test holds them against what is decoded.

use super::Shape;

/// What a value of a document looks like.
#[derive(Debug, Clone, Copy)]
pub enum Form {
    /// A text, and what it looks like: `name`, `address`.
    Text(&'static str),
    /// A value as a key of the table has it.
    Shape(Shape),
    /// A size such as `40G`; a bare number counts in this unit.
    Size(&'static str),
    /// A list; a single value counts as a list of one.
    List(&'static Form),
    /// A mapping of known keys.
    Mapping(&'static Mapping),
    /// A mapping whose keys are the document's own: what they look like (as a pattern), and what is
    /// under them.
    Named(&'static str, &'static str, &'static Form),
    /// One of several.
    Either(&'static [Form]),
}

/// A mapping of known keys.
#[derive(Debug)]
pub struct Mapping {
    /// What it is called in errors: `a node group`.
    pub title: &'static str,
    /// A sentence or two for the reference.
    pub about: &'static str,
    /// Its keys.
    pub fields: &'static [Field],
    /// May the keys of a VM stand in it, too?
    pub vm: bool,
}

/// One key of a mapping.
#[derive(Debug)]
pub struct Field {
    /// The key.
    pub name: &'static str,
    /// What is under it.
    pub form: Form,
    /// Must it be there?
    pub required: bool,
    /// What holds without it, in words.
    pub default: &'static str,
    /// One sentence without a full stop.
    pub about: &'static str,
    /// What a change of it costs a running guest.
    pub effect: Effect,
    /// The privilege that a change needs, on `/vms/{vmid}` unless it says where.
    pub privilege: &'static str,
}

/// What a change of a field costs a running guest.
#[derive(Debug, Clone, Copy)]
pub enum Effect {
    /// Nothing of its own: it is about documents, or its own keys say.
    None,
    /// What a change of this config key (`tags`), or of one of its properties (`net0.macaddr`), costs.
    Of(&'static str),
    /// This, in words.
    Words(&'static str),
}

pub(super) const fn field(name: &'static str, form: Form, about: &'static str) -> Field {
    Field { name, form, required: false, default: "", about, effect: Effect::None, privilege: "" }
}

impl Field {
    pub(super) const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    pub(super) const fn default(self, default: &'static str) -> Self {
        Self { default, ..self }
    }

    /// A change is one of this config key, or of this property (`net0.macaddr`).
    pub(super) const fn changes(self, key: &'static str, privilege: &'static str) -> Self {
        Self { effect: Effect::Of(key), privilege, ..self }
    }

    /// What a change does, in words.
    pub(super) const fn costs(self, words: &'static str, privilege: &'static str) -> Self {
        Self { effect: Effect::Words(words), privilege, ..self }
    }
}

/// The kinds of documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `cluster-config.yaml`
    Config,
    /// A cluster profile.
    Cluster,
    /// A standalone VM.
    Vm,
    /// A file of rules that `policy.files` names.
    Policy,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Config, Self::Cluster, Self::Vm, Self::Policy];

    /// The word for it on the command line, and in the names of schema files.
    pub fn word(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Cluster => "cluster",
            Self::Vm => "vm",
            Self::Policy => "policy",
        }
    }

    /// Its outermost mapping.
    pub fn mapping(self) -> &'static Mapping {
        match self {
            Self::Config => &super::documents::CONFIG,
            Self::Cluster => &super::documents::PROFILE,
            Self::Vm => &super::documents::STANDALONE,
            Self::Policy => &super::documents::POLICY_FILE,
        }
    }
}
