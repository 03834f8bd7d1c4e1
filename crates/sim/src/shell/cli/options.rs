//! Options and positional arguments (`PVE::JSONSchema::get_options` over Getopt::Long).

use std::collections::BTreeMap;

use super::table::Style;
use crate::api::refusal::Refusal;
use crate::guest::format::{Kind, check, parse_bool};

/// An option that a command takes.
pub(super) struct Known {
    pub(super) name: String,
    pub(super) flag: bool,
    pub(super) optional: bool,
    /// Its value may be left out: it is asked for then.
    pub(super) asked: bool,
    /// Values of repetitions are joined with this; without one the last counts.
    pub(super) joined: Option<char>,
}

impl Known {
    pub(super) fn new(name: &str, kind: Kind, required: bool) -> Self {
        let joined =
            LISTS.contains(&name).then_some(',').or(ARRAYS.contains(&name).then_some('\0'));
        Self {
            name: name.to_owned(),
            flag: matches!(kind, Kind::Bool),
            optional: !required,
            asked: false,
            joined,
        }
    }
}

/// Parameters whose format is a list.
const LISTS: &[&str] = &[
    "content",
    "delete",
    "groups",
    "idlist",
    "nodes",
    "privs",
    "revert",
    "roles",
    "storages",
    "tags",
    "tokens",
    "users",
    "vms",
    "resources",
];
/// Parameters that are arrays.
const ARRAYS: &[&str] = &["command", "extra-args"];

/// The options of a result that is printed (`$standard_output_options`).
pub(super) const FORMAT: &[(&str, bool)] = &[
    ("output-format", false),
    ("noheader", true),
    ("noborder", true),
    ("quiet", true),
    ("human-readable", true),
];

const FORMATS: &[&str] = &["text", "json", "json-pretty", "yaml"];

/// How a result is to be printed.
#[derive(Clone, Debug)]
pub(super) struct OutputFormat {
    pub(super) format: String,
    pub(super) header: bool,
    pub(super) border: bool,
    pub(super) quiet: bool,
    pub(super) human: bool,
}

impl OutputFormat {
    pub(super) fn style(&self) -> Style {
        Style { header: self.header, border: self.border, human: self.human }
    }
}

/// What was given.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    pub(super) values: BTreeMap<String, String>,
    pub(super) extra: Vec<String>,
}

impl Parsed {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.get(name).and_then(parse_bool).unwrap_or(false)
    }

    pub(super) fn take_format(&mut self) -> Result<OutputFormat, Refusal> {
        let mut flag = |name: &str| self.values.remove(name).is_some_and(|value| value == "1");
        let (header, border, quiet) = (!flag("noheader"), !flag("noborder"), flag("quiet"));
        let human = self.values.remove("human-readable").is_none_or(|value| value == "1");
        let format = self.values.remove("output-format").unwrap_or_else(|| "text".to_owned());
        check(Kind::Enum(FORMATS), "output-format", &format)
            .map_err(|error| Refusal::param("output-format", error))?;
        Ok(OutputFormat { format, header, border, quiet, human })
    }
}

/// The option that a name or the beginning of one means.
fn find<'a>(known: &'a [Known], name: &str) -> Result<&'a Known, String> {
    // `ignore_case` of Getopt::Long.
    let lower = name.to_lowercase();
    if let Some(exact) = known.iter().find(|known| known.name.eq_ignore_ascii_case(name)) {
        return Ok(exact);
    }
    let mut hits: Vec<&Known> =
        known.iter().filter(|known| known.name.to_lowercase().starts_with(&lower)).collect();
    hits.sort_by(|a, b| a.name.cmp(&b.name));
    match hits.as_slice() {
        [] => Err(format!("Unknown option: {lower}\n")),
        [only] => Ok(only),
        many => {
            let names: Vec<&str> = many.iter().map(|known| known.name.as_str()).collect();
            Err(format!("Option {lower} is ambiguous ({})\n", names.join(", ")))
        }
    }
}

/// Parses arguments; the error is what stands before the usage line.
pub(super) fn parse(known: &[Known], places: &[&str], words: &[String]) -> Result<Parsed, String> {
    let mut parsed = Parsed::default();
    let mut left: Vec<String> = Vec::new();
    let mut complaints = String::new();
    let mut rest = words.iter().peekable();
    while let Some(word) = rest.next() {
        if word == "--" {
            left.extend(rest.cloned());
            break;
        }
        let name = word.strip_prefix("--").or_else(|| word.strip_prefix('-'));
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            left.push(word.clone());
            continue;
        };
        let (name, given) = name.split_once('=').map_or((name, None), |(n, v)| (n, Some(v)));
        let option = match find(known, name) {
            Ok(option) => option,
            Err(complaint) => {
                complaints.push_str(&complaint);
                continue;
            }
        };
        let value = match given {
            Some(value) => value.to_owned(),
            None if option.flag || option.asked => {
                // A flag takes the next word when that is no option.
                let next = rest.next_if(|next| !next.starts_with('-') || next.as_str() == "-");
                next.cloned().unwrap_or_default()
            }
            None => match rest.next() {
                Some(value) => value.clone(),
                None => {
                    complaints.push_str(&format!("Option {name} requires an argument\n"));
                    continue;
                }
            },
        };
        add(&mut parsed, option, value);
    }
    if !complaints.is_empty() {
        return Err(format!("{complaints}400 unable to parse option\n"));
    }
    place(&mut parsed, known, places, left)?;
    for option in known.iter().filter(|option| option.flag) {
        let Some(value) = parsed.values.get_mut(&option.name) else { continue };
        let flag = if value.is_empty() { Some(true) } else { parse_bool(value) };
        let flag = flag.ok_or_else(|| "400 unable to parse boolean option\n".to_owned())?;
        *value = u8::from(flag).to_string();
    }
    Ok(parsed)
}

fn add(parsed: &mut Parsed, option: &Known, value: String) {
    match (option.joined, parsed.values.get_mut(&option.name)) {
        (Some(mark), Some(old)) => {
            old.push(mark);
            old.push_str(&value);
        }
        _ => {
            parsed.values.insert(option.name.clone(), value);
        }
    }
}

/// Gives positional arguments their names.
fn place(
    parsed: &mut Parsed,
    known: &[Known],
    places: &[&str],
    left: Vec<String>,
) -> Result<(), String> {
    let mut left = left.into_iter();
    for name in places {
        if *name == "extra-args" {
            parsed.extra = left.collect();
            return Ok(());
        }
        match left.next() {
            Some(value) => {
                parsed.values.insert((*name).to_owned(), value);
            }
            None => {
                let optional = known.iter().any(|option| option.name == *name && option.optional);
                if !optional {
                    return Err("400 not enough arguments\n".to_owned());
                }
            }
        }
    }
    if left.next().is_some() {
        return Err("400 too many arguments\n".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Vec<Known> {
        vec![
            Known::new("vmid", Kind::TEXT, true),
            Known::new("purge", Kind::Bool, false),
            Known::new("name", Kind::TEXT, false),
            Known::new("net0", Kind::TEXT, false),
            Known::new("delete", Kind::TEXT, false),
            Known::new("storage", Kind::TEXT, false),
            Known::new("forceStop", Kind::Bool, false),
        ]
    }

    fn parsed(line: &str) -> Result<String, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let parsed = parse(&known(), &["vmid"], &words)?;
        let pairs = parsed.values.iter().map(|(name, value)| format!("{name}={value}"));
        Ok(pairs.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn options_in_all_their_spellings() {
        for (line, wanted) in [
            ("100", "vmid=100"),
            ("100 --name a -net0 b", "name=a net0=b vmid=100"),
            ("--name=a=b 100", "name=a=b vmid=100"),
            ("100 --purge", "purge=1 vmid=100"),
            ("100 --purge 0 --nam x", "name=x purge=0 vmid=100"),
            ("100 --purge --name x", "name=x purge=1 vmid=100"),
            ("100 --delete a --delete b", "delete=a,b vmid=100"),
            ("100 --name a --name b", "name=b vmid=100"),
            ("100 --name -x", "name=-x vmid=100"),
            ("100 --forceStop 1", "forceStop=1 vmid=100"),
            ("100 --FORCE", "forceStop=1 vmid=100"),
        ] {
            assert_eq!(parsed(line).as_deref(), Ok(wanted), "{line}");
        }
    }

    #[test]
    fn wrong_options() {
        for (line, wanted) in [
            ("", "400 not enough arguments\n"),
            ("1 2", "400 too many arguments\n"),
            ("1 --foo 2", "Unknown option: foo\n400 unable to parse option\n"),
            ("1 --n x", "Option n is ambiguous (name, net0)\n400 unable to parse option\n"),
            ("1 --name", "Option name requires an argument\n400 unable to parse option\n"),
            ("1 --purge maybe", "400 unable to parse boolean option\n"),
        ] {
            assert_eq!(parsed(line).as_ref().map_err(String::as_str), Err(wanted), "{line}");
        }
    }
}
