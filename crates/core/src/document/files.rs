//! Finding and reading the files. Nothing here knows what is in them.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use crate::diagnostic::{Diagnostic, SourceId, Sources, Span};

/// Bytes of a file that is read; a larger one is no document.
const LARGEST: u64 = 4 << 20;
/// Folders inside each other, at most.
const DEEPEST: usize = 32;
/// Files of one run, at most.
const MOST_FILES: usize = 10_000;
/// The configuration's file name.
pub(crate) const CONFIG_NAME: &str = "cluster-config.yaml";

/// A folder of this name has fragments for `include`, and no documents.
const INCLUDES: &str = "includes";

/// A file to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File {
    /// The file.
    pub(crate) path: PathBuf,
    /// Its name as the user knows it.
    pub(crate) shown: String,
}

/// Searches files and folders for documents.
pub(crate) struct Search<'p> {
    working_dir: &'p Path,
    seen: BTreeSet<PathBuf>,
    /// Documents met, those seen before among them.
    met: usize,
    /// What was found, in the order of the paths and sorted inside folders.
    pub(crate) files: Vec<File>,
    /// What could not be searched.
    pub(crate) problems: Vec<Diagnostic>,
}

impl<'p> Search<'p> {
    /// Relative paths begin at `working_dir`.
    pub(crate) fn new(working_dir: &'p Path) -> Self {
        Self { working_dir, seen: BTreeSet::new(), met: 0, files: Vec::new(), problems: Vec::new() }
    }

    /// Adds a file, or all documents of a folder.
    pub(crate) fn add(&mut self, path: &Path) {
        let full = self.working_dir.join(path);
        // The working directory itself needs no name in front of what is in it.
        let shown = path.strip_prefix(".").unwrap_or(path);
        match fs::metadata(&full) {
            Err(error) => {
                let problem = cannot_read(&path.display().to_string(), &error);
                self.problems.push(problem.help("name a document or a folder of documents"));
            }
            Ok(metadata) if metadata.is_dir() => {
                let (met, problems) = (self.met, self.problems.len());
                let new = self.folder(&full, shown, 0);
                if new && self.met == met && self.problems.len() == problems {
                    let message = format!("no documents in folder {}", named(shown).display());
                    self.problems.push(
                        Diagnostic::error("no-documents", message)
                            .help("documents end in .yaml or .yml; `pvx init` writes a first one"),
                    );
                }
            }
            Ok(_) => self.file(full, shown),
        }
    }

    fn file(&mut self, path: PathBuf, shown: &Path) {
        self.met += 1;
        // The same file named twice is one document; so is one behind a symbolic link.
        let identity = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
        if self.files.len() < MOST_FILES && self.seen.insert(identity) {
            self.files.push(File { path, shown: shown.display().to_string() });
        }
    }

    /// False when the folder was searched before.
    fn folder(&mut self, path: &Path, shown: &Path, depth: usize) -> bool {
        // A folder seen before is a symbolic link in a circle, or a path given twice.
        let identity = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if depth > DEEPEST || !self.seen.insert(identity) {
            return false;
        }
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) => {
                self.problems.push(cannot_read(&shown.display().to_string(), &error));
                return true;
            }
        };
        let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
        names.sort();
        for name in names {
            let text = name.to_string_lossy();
            if text.starts_with('.') {
                continue;
            }
            let (inner, shown) = (path.join(&name), shown.join(&name));
            if inner.is_dir() {
                if text != "state" && text != INCLUDES {
                    self.folder(&inner, &shown, depth + 1);
                }
            } else if text.ends_with(".yaml") || text.ends_with(".yml") {
                self.file(inner, &shown);
            }
        }
        true
    }
}

/// The working directory has no name of its own.
fn named(shown: &Path) -> &Path {
    if shown.as_os_str().is_empty() { Path::new(".") } else { shown }
}

/// `cluster-config.yaml` in `folder` or the nearest folder above that has one.
pub(crate) fn config_above(folder: &Path) -> Option<PathBuf> {
    let config = |folder: &Path| {
        folder.ancestors().map(|folder| folder.join(CONFIG_NAME)).find(|path| path.is_file())
    };
    // The folder above `a/..` is not `a`.
    let climbs = folder.components().any(|part| part == Component::ParentDir);
    let near = if climbs { None } else { config(folder) };
    // A relative path ends at the working directory; there are folders above that.
    near.or_else(|| config(&fs::canonicalize(named(folder)).ok()?))
}

/// A path as the user would write it: relative to `working_dir` when inside it.
pub(crate) fn shown(path: &Path, working_dir: &Path) -> String {
    path.strip_prefix(working_dir).unwrap_or(path).display().to_string()
}

/// Reads a text and keeps it in `sources`; a byte order mark is dropped.
///
/// # Errors
/// When it cannot be read, is too large, or is no text.
pub(crate) fn read(file: &File, sources: &mut Sources) -> Result<SourceId, Diagnostic> {
    let bytes = read_bytes(&file.path, &file.shown)?;
    let sha256 = crate::plan::saved::sha256(&bytes);
    match String::from_utf8(bytes) {
        Ok(text) => {
            let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
            let source = sources.add(file.shown.clone(), text);
            sources.read_from(source, file.path.clone(), sha256);
            Ok(source)
        }
        Err(error) => {
            let valid = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes().get(..valid).unwrap_or_default());
            let start = u32::try_from(text.len()).unwrap_or(u32::MAX);
            let source =
                sources.add(file.shown.clone(), format!("{text}{}", char::REPLACEMENT_CHARACTER));
            let len = u32::try_from(char::REPLACEMENT_CHARACTER.len_utf8()).unwrap_or(1);
            Err(Diagnostic::error("not-text", format!("{} is not a UTF-8 text", file.shown))
                .at(Span { source, start, len }, "this byte is no text")
                .help("documents are YAML texts in UTF-8"))
        }
    }
}

fn read_bytes(path: &Path, shown: &str) -> Result<Vec<u8>, Diagnostic> {
    let metadata = fs::metadata(path).map_err(|error| cannot_read(shown, &error))?;
    if !metadata.is_file() {
        return Err(Diagnostic::error("cannot-read", format!("{shown} is not a regular file"))
            .help("name a document or a folder of documents"));
    }
    if metadata.len() > LARGEST {
        return Err(too_large(shown, metadata.len()));
    }
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
        .map_err(|error| cannot_read(shown, &error))?;
    if bytes.len() as u64 > LARGEST {
        return Err(too_large(shown, bytes.len() as u64));
    }
    Ok(bytes)
}

/// A small text that is no document, such as a file of SSH keys.
///
/// # Errors
/// The reason in a few words.
pub(crate) fn read_small(path: &Path, largest: u64) -> Result<String, String> {
    let metadata = fs::metadata(path).map_err(|error| reason(&error))?;
    if !metadata.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    if metadata.len() > largest {
        return Err(format!("it is larger than {} KiB", largest >> 10));
    }
    let mut text = String::new();
    fs::File::open(path)
        .and_then(|file| file.take(largest).read_to_string(&mut text))
        .map_err(|error| reason(&error))?;
    Ok(text)
}

fn too_large(shown: &str, bytes: u64) -> Diagnostic {
    let size = super::size::format(bytes >> 20 << 20);
    Diagnostic::error("too-large", format!("{shown} is too large to be a document: {size}"))
        .help(format!("documents are at most {}", super::size::format(LARGEST)))
}

fn cannot_read(shown: &str, error: &std::io::Error) -> Diagnostic {
    Diagnostic::error("cannot-read", format!("cannot read {shown}: {}", reason(error)))
}

/// The reason without the operating system's number.
pub(crate) fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file or folder".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        std::io::ErrorKind::InvalidData => "it is not a UTF-8 text".to_owned(),
        _ => error.to_string(),
    }
}
