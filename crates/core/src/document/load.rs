//! The way from paths to [`Loaded`].

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::check::{self, Documents};
use super::claims;
use super::config::ClusterConfig;
use super::decode::cloudinit::ssh_key;
use super::decode::config::Folders;
use super::decode::fields::MOST_PROBLEMS;
use super::decode::kind::{self, Kind};
use super::decode::{config, profile, standalone, value};
use super::files::{self, File, Search};
use super::resolve::Resolver;
use super::templates;
use super::yaml;
use crate::desired::{Desired, Scope};
use crate::diagnostic::{Diagnostic, SourceId, Sources, Span};

/// Bytes of the file of SSH keys.
const LARGEST_KEYS: u64 = 64 << 10;

/// Where things are read from; handed in, never taken from the environment.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// Files and folders. A folder is searched with the folders in it, in sorted order, for
    /// `*.yaml` and `*.yml`; what is hidden, or named `state`, is left out. No paths at all mean
    /// the working directory.
    pub paths: Vec<PathBuf>,
    /// The configuration, when the user names one; else `cluster-config.yaml` is looked for
    /// upwards from the documents, then from the working directory.
    pub config: Option<PathBuf>,
    /// Where relative paths begin.
    pub working_dir: PathBuf,
    /// What `~` stands for in the configuration.
    pub home: Option<PathBuf>,
    /// What is known of the cluster when no configuration is found: the simulator's world.
    pub fallback_scope: Option<Scope>,
}

/// What was read.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// What the documents ask for. With errors in `diagnostics` it is incomplete and only good
    /// for looking at.
    pub desired: Desired,
    /// The configuration, when there is one.
    pub config: Option<ClusterConfig>,
    /// The folder of `cluster-config.yaml`, else the working directory: `state` lives there.
    pub root: PathBuf,
    /// The texts that were read.
    pub sources: Sources,
    /// Errors and warnings of all files, sorted by file and place.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads, decodes, resolves and checks all documents. Whatever is wrong is in
/// [`Loaded::diagnostics`].
///
/// `defaults` of the configuration fill in what documents leave out: for clones only `storage`,
/// `network_bridge`, `cpu` and `guest_agent`, because a clone keeps its template's hardware; for
/// guests with empty disks also `bios`, `machine`, `scsi_controller` and
/// `efidisk_pre_enrolled_keys`.
pub fn load(options: &LoadOptions) -> Loaded {
    let mut search = Search::new(&options.working_dir);
    if options.paths.is_empty() {
        search.add(Path::new(""));
    }
    options.paths.iter().for_each(|path| search.add(path));
    let mut loaded = begin(options, &search.files);
    loaded.diagnostics.append(&mut search.problems);
    let documents = read_documents(&search.files, &mut loaded);
    resolve(&documents, &mut loaded);
    let mut problems = templates::attach(
        &mut loaded.desired,
        &mut loaded.sources,
        &options.working_dir,
        options.home.as_deref(),
    );
    loaded.diagnostics.append(&mut problems);
    let beside = claims::neighbours(&options.working_dir, &options.paths, &search.files);
    loaded.desired.claimed = claimed(&beside, &loaded);
    finish(loaded)
}

/// What documents beside the named ones claim. They are not part of the run: what is wrong with
/// them is said when they are named.
fn claimed(beside: &[File], loaded: &Loaded) -> BTreeSet<u32> {
    let mut aside = Loaded {
        config: loaded.config.clone(),
        desired: Desired { scope: loaded.desired.scope.clone(), ..Desired::default() },
        ..Loaded::default()
    };
    let documents = read_documents(beside, &mut aside);
    resolve(&documents, &mut aside);
    claims::of(&aside.desired.profiles, &loaded.desired)
}

/// Reads the configuration alone, for commands without documents; `paths` only say where to look
/// for it.
pub fn load_config(options: &LoadOptions) -> Loaded {
    let places: Vec<File> = options
        .paths
        .iter()
        .map(|path| File {
            path: options.working_dir.join(path),
            shown: path.display().to_string(),
        })
        .collect();
    finish(begin(options, &places))
}

/// Finds and reads the configuration.
fn begin(options: &LoadOptions, files: &[File]) -> Loaded {
    let mut loaded = Loaded { root: options.working_dir.clone(), ..Loaded::default() };
    if let Some(path) = find_config(options, files, &mut loaded.diagnostics) {
        read_config(&path, options, &mut loaded);
        // Of a configuration that is not YAML nothing is known, the range least of all.
        let unknown = || Scope { vms: config::ANY_VMID, ..Scope::default() };
        loaded.desired.scope = loaded.config.as_ref().map_or_else(unknown, ClusterConfig::scope);
    } else if let Some(scope) = &options.fallback_scope {
        loaded.desired.scope = scope.clone();
    }
    loaded
}

/// Where the configuration is. Documents of two clusters in one run are a mistake: everything
/// would be planned against one of them.
fn find_config(
    options: &LoadOptions,
    files: &[File],
    problems: &mut Vec<Diagnostic>,
) -> Option<PathBuf> {
    if let Some(path) = &options.config {
        return Some(options.working_dir.join(path));
    }
    let folders: BTreeSet<&Path> = files
        .iter()
        .map(|file| if file.path.is_dir() { file.path.as_path() } else { parent(&file.path) })
        .collect();
    let found: BTreeSet<PathBuf> = folders.into_iter().filter_map(files::config_above).collect();
    if let [first, second, ..] = found.iter().collect::<Vec<_>>().as_slice() {
        let show = |path: &Path| files::shown(path, &options.working_dir);
        let message = format!("two configurations: {} and {}", show(first), show(second));
        problems.push(
            Diagnostic::error("two-configurations", message)
                .help("name the documents of one cluster, or choose one with --config"),
        );
    }
    found.into_iter().next().or_else(|| files::config_above(&options.working_dir))
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

fn read_config(path: &Path, options: &LoadOptions, loaded: &mut Loaded) {
    loaded.root = parent(path).to_owned();
    let shown = match &options.config {
        Some(given) => given.display().to_string(),
        None => files::shown(path, &options.working_dir),
    };
    let file = File { path: path.to_owned(), shown };
    let Some((source, nodes)) = read_nodes(&file, loaded) else { return };
    if let Some(second) = nodes.get(1) {
        loaded.diagnostics.push(
            Diagnostic::error("not-a-document", "a configuration is a single YAML document")
                .at(second.span, "a second one begins here"),
        );
    }
    let folders = Folders { here: parent(path), home: options.home.as_deref() };
    let mut problems = Vec::new();
    loaded.config = nodes.first().map(|node| config::read(node, path, &folders, &mut problems));
    keep_problems(problems, source, loaded);
}

/// The YAML documents of a file; none is a problem.
fn read_nodes(file: &File, loaded: &mut Loaded) -> Option<(SourceId, Vec<yaml::Node>)> {
    let source = match files::read(file, &mut loaded.sources) {
        Ok(source) => source,
        Err(problem) => {
            loaded.diagnostics.push(problem);
            return None;
        }
    };
    match yaml::parse(source, &loaded.sources.text(source)) {
        Ok(nodes) if nodes.is_empty() => {
            let start = Span { source, start: 0, len: 0 };
            loaded.diagnostics.push(
                Diagnostic::error("empty-file", format!("{} has no document in it", file.shown))
                    .at(start, "only comments and white space")
                    .help("write a document, or remove the file"),
            );
            None
        }
        Ok(nodes) => Some((source, nodes)),
        Err(problem) => {
            loaded.diagnostics.push(problem);
            None
        }
    }
}

fn read_documents(found: &[File], loaded: &mut Loaded) -> Documents {
    let mut documents = Documents::default();
    let mut met = 0;
    let before = loaded.diagnostics.len();
    for file in found {
        let known = loaded.config.as_ref().is_some_and(|config| config.path == file.path);
        if known || file.path.file_name().is_some_and(|name| name == files::CONFIG_NAME) {
            continue;
        }
        met += 1;
        let Some((source, nodes)) = read_nodes(file, loaded) else { continue };
        let stem = file.path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        // Only a file of one document can have its name.
        let stem = stem.as_deref().filter(|_| nodes.len() == 1);
        for node in &nodes {
            let mut problems = Vec::new();
            match kind::of(node) {
                Ok(Kind::Profile) => {
                    documents.profiles.extend(profile::read(node, stem, &mut problems));
                }
                Ok(Kind::Standalone) => {
                    documents.standalone.extend(standalone::read(node, &mut problems));
                }
                Ok(Kind::Config) => {}
                Err(problem) => problems.push(problem),
            }
            keep_problems(problems, source, loaded);
        }
    }
    if met == 0 && !found.is_empty() && loaded.diagnostics.len() == before {
        loaded.diagnostics.push(
            Diagnostic::error("no-documents", "there is only the configuration, and no document")
                .help("name a cluster profile, a VM spec, or a folder of them"),
        );
    }
    documents
}

/// Keeps the problems of one document, and no more than anyone reads.
fn keep_problems(mut problems: Vec<Diagnostic>, source: SourceId, loaded: &mut Loaded) {
    for problem in problems.iter().filter(|problem| problem.code == value::SECRET) {
        problem.labels.iter().for_each(|label| loaded.sources.redact(label.span));
    }
    let more = problems.len().saturating_sub(MOST_PROBLEMS);
    problems.truncate(MOST_PROBLEMS);
    loaded.diagnostics.append(&mut problems);
    if more > 0 {
        let name = loaded.sources.name(source);
        let message = format!("{name} has {more} problems more");
        loaded
            .diagnostics
            .push(Diagnostic::error("too-many", message).help("mend those that are shown first"));
    }
}

fn resolve(documents: &Documents, loaded: &mut Loaded) {
    let ssh_keys = read_ssh_keys(loaded);
    let mut resolver = Resolver::new(loaded.config.as_ref(), ssh_keys);
    let mut problems = Vec::new();
    for document in &documents.profiles {
        loaded.desired.profiles.push(resolver.profile(document, &mut problems));
    }
    for document in &documents.standalone {
        loaded.desired.profiles.push(resolver.standalone(document, &mut problems));
    }
    loaded.desired.profiles.sort_by_key(|profile| profile.span);
    loaded.diagnostics.append(&mut problems);
    loaded.diagnostics.append(&mut check::all(documents, &loaded.desired));
}

/// The public keys of `cloudinit.ssh_keys_source`. What cannot be read is a warning: guests get
/// no keys.
fn read_ssh_keys(loaded: &mut Loaded) -> Option<String> {
    let source = loaded.config.as_ref()?.cloudinit.ssh_keys_source.clone()?;
    let warning = |why: String| {
        Diagnostic::warning("ssh-keys", "guests get no SSH keys")
            .at(source.span, why)
            .help("name a file of OpenSSH public keys, such as ~/.ssh/id_ed25519.pub")
    };
    let text = match files::read_small(&source.value, LARGEST_KEYS) {
        Ok(text) => text,
        Err(why) => {
            loaded.diagnostics.push(warning(format!("cannot read it: {why}")));
            return None;
        }
    };
    let lines =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    match lines.map(ssh_key).collect::<Result<Vec<_>, _>>() {
        Ok(keys) if keys.is_empty() => {
            loaded.diagnostics.push(warning("there is no key in it".to_owned()));
            None
        }
        Ok(keys) => Some(keys.join("\n")),
        Err(why) => {
            loaded.diagnostics.push(warning(why));
            None
        }
    }
}

/// Sorts the problems by file and place; those without a place come first.
fn finish(mut loaded: Loaded) -> Loaded {
    loaded.diagnostics.sort_by_key(|problem| {
        problem.labels.first().map(|label| (label.span.source, label.span.start))
    });
    loaded
}
