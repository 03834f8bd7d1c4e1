//! The way from paths to [`Loaded`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::check::{self, Documents};
use super::claims;
use super::config::ClusterConfig;
use super::decode::cloudinit::ssh_key;
use super::decode::config::Folders;
use super::decode::fields::MOST_PROBLEMS;
use super::decode::kind::{self, Kind};
use super::decode::{config, profile, standalone, value};
use super::explain::Explanation;
use super::files::{self, File, Search};
use super::include::{self, Includes};
use super::resolve::Resolver;
use super::templates;
use super::variable::{self, Given, Scope as Variables, Values};
use super::{placeholder, policy, yaml};
use crate::address::Address;
use crate::desired::{Desired, Scope};
use crate::diagnostic::{Diagnostic, SourceId, Sources, Span};
use crate::plan::saved::Variable;

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
    /// Values of variables.
    pub variables: Given,
    /// A guest whose values are explained in [`Loaded::explanation`].
    pub explain: Option<Address>,
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
    /// Variables whose values are from outside the documents.
    pub variables: BTreeMap<String, Variable>,
    /// Where the values of [`LoadOptions::explain`] are from, when the documents have it.
    pub explanation: Option<Explanation>,
}

/// Reads, decodes, resolves and checks all documents. Whatever is wrong is in
/// [`Loaded::diagnostics`].
///
/// `defaults` of the configuration fill in what documents leave out. A clone keeps its template's
/// hardware: `bios`, `machine`, the SCSI controller and the EFI disk are defaults only of guests
/// with empty disks.
pub fn load(options: &LoadOptions) -> Loaded {
    let mut search = Search::new(&options.working_dir);
    if options.paths.is_empty() {
        search.add(Path::new(""));
    }
    options.paths.iter().for_each(|path| search.add(path));
    let (mut loaded, mut run) = begin(options, &search.files);
    loaded.diagnostics.append(&mut search.problems);
    let documents = read_documents(&search.files, &mut run, &mut loaded);
    run.values.undeclared(&mut loaded.diagnostics);
    resolve(&documents, options.explain.as_ref(), &mut loaded);
    let mut problems = templates::attach(
        &mut loaded.desired,
        &mut loaded.sources,
        &options.working_dir,
        options.home.as_deref(),
    );
    loaded.diagnostics.append(&mut problems);
    variable::tell(&mut loaded.diagnostics, &run.scopes, &loaded.sources);
    loaded.variables = variable::outside(&run.scopes);
    let beside = claims::neighbours(&options.working_dir, &options.paths, &search.files);
    loaded.desired.claimed = claimed(&beside, &mut run, &loaded);
    finish(loaded)
}

/// What reading documents needs beside the files.
struct Run {
    values: Values,
    includes: Includes,
    /// The variables that each document sees.
    scopes: Vec<(SourceId, Arc<Variables>)>,
}

/// What documents beside the named ones claim. They are not part of the run: what is wrong with
/// them is said when they are named.
fn claimed(beside: &[File], run: &mut Run, loaded: &Loaded) -> BTreeSet<u32> {
    let mut aside = Loaded {
        config: loaded.config.clone(),
        desired: Desired { scope: loaded.desired.scope.clone(), ..Desired::default() },
        ..Loaded::default()
    };
    let documents = read_documents(beside, run, &mut aside);
    resolve(&documents, None, &mut aside);
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
    let (mut loaded, run) = begin(options, &places);
    variable::tell(&mut loaded.diagnostics, &run.scopes, &loaded.sources);
    finish(loaded)
}

/// Finds and reads the configuration.
fn begin(options: &LoadOptions, files: &[File]) -> (Loaded, Run) {
    let mut loaded = Loaded { root: options.working_dir.clone(), ..Loaded::default() };
    let found = find_config(options, files, &mut loaded.diagnostics);
    let values = Values::read(
        &options.variables,
        &options.working_dir,
        &mut loaded.sources,
        &mut loaded.diagnostics,
    );
    let includes = Includes::new(found.as_deref().map(parent));
    let mut run = Run { values, includes, scopes: Vec::new() };
    if let Some(path) = found {
        read_config(&path, options, &mut run, &mut loaded);
        // Of a configuration that is not YAML nothing is known, the range least of all.
        let unknown = || Scope { vms: config::ANY_VMID, ..Scope::default() };
        loaded.desired.scope = loaded.config.as_ref().map_or_else(unknown, ClusterConfig::scope);
    } else if let Some(scope) = &options.fallback_scope {
        loaded.desired.scope = scope.clone();
    }
    (loaded, run)
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
    // Two ways to the same file are one configuration.
    let found: BTreeMap<PathBuf, PathBuf> = folders
        .into_iter()
        .filter_map(files::config_above)
        .map(|path| (std::fs::canonicalize(&path).unwrap_or_else(|_| path.clone()), path))
        .collect();
    if let [first, second, ..] = found.values().collect::<Vec<_>>().as_slice() {
        let show = |path: &Path| files::shown(path, &options.working_dir);
        let message = format!("two configurations: {} and {}", show(first), show(second));
        problems.push(
            Diagnostic::error("two-configurations", message)
                .help("name the documents of one cluster, or choose one with --config"),
        );
    }
    found.into_values().next().or_else(|| files::config_above(&options.working_dir))
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

fn read_config(path: &Path, options: &LoadOptions, run: &mut Run, loaded: &mut Loaded) {
    loaded.root = parent(path).to_owned();
    let shown = match &options.config {
        Some(given) => given.display().to_string(),
        None => files::shown(path, &options.working_dir),
    };
    let file = File { path: path.to_owned(), shown };
    let Some((source, mut nodes)) = read_nodes(&file, loaded) else { return };
    if let Some(second) = nodes.get(1) {
        loaded.diagnostics.push(
            Diagnostic::error("not-a-document", "a configuration is a single YAML document")
                .at(second.span, "a second one begins here"),
        );
    }
    let folders = Folders { here: parent(path), home: options.home.as_deref() };
    let mut problems = Vec::new();
    if let Some(node) = nodes.first_mut() {
        // Braces of expressions are no placeholders.
        let policy = node.remove("policy");
        let none = Variables::default();
        let scope = Arc::new(complete(node, &file, &none, run, loaded, &mut problems));
        run.scopes.push((source, Arc::clone(&scope)));
        if let Some(policy) = policy {
            node.push(policy);
        }
        let mut config = config::read(node, path, &folders, &scope, &mut problems);
        let (dir, sources) = (&options.working_dir, &mut loaded.sources);
        policy::complete(&mut config, dir, sources, &mut problems);
        loaded.config = Some(config);
    }
    keep_problems(problems, source, loaded);
}

/// Reads what a document includes, gives its variables their values and fills them in. `outer`
/// are the variables that it sees beside its own.
fn complete(
    node: &mut yaml::Node,
    file: &File,
    outer: &Variables,
    run: &mut Run,
    loaded: &mut Loaded,
    problems: &mut Vec<Diagnostic>,
) -> Variables {
    let included = run.includes.splice(node, file, &mut loaded.sources, problems);
    let mut scope = outer.clone();
    for variables in included {
        variable::declare(&variables, &mut scope, &mut run.values, problems);
    }
    if let Some(own) = node.remove("variables") {
        variable::declare(&own.value, &mut scope, &mut run.values, problems);
    }
    placeholder::read_texts(node, &scope, &loaded.sources, problems);
    scope
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

/// One YAML document, before anyone knows what it is.
struct Raw<'f> {
    file: &'f File,
    source: SourceId,
    /// The file's name without its ending, when the document is alone in it.
    stem: Option<String>,
    node: yaml::Node,
    scope: Arc<Variables>,
    problems: Vec<Diagnostic>,
}

fn read_documents(found: &[File], run: &mut Run, loaded: &mut Loaded) -> Documents {
    let before = loaded.diagnostics.len();
    let mut met = 0;
    let mut raw = Vec::new();
    let mut unread = Vec::new();
    for file in found {
        let known = loaded.config.as_ref().is_some_and(|config| {
            let rules = &config.policy_files;
            let real = (!rules.is_empty()).then(|| policy::real(&file.path));
            config.path == file.path
                || rules.iter().any(|rules| Some(&rules.value) == real.as_ref())
        });
        let named = file.path.file_name().is_some_and(|name| name == files::CONFIG_NAME);
        if known || named || run.values.has(&file.path) {
            continue;
        }
        met += 1;
        let said = loaded.diagnostics.len();
        raw.extend(read_raw(file, run, loaded));
        unread.push((file, loaded.diagnostics.split_off(said)));
    }
    // What a document includes is none itself; which files those are is known only now.
    raw.retain(|raw| !run.includes.has(&raw.file.path));
    unread.retain(|(file, _)| !run.includes.has(&file.path));
    loaded.diagnostics.extend(unread.into_iter().flat_map(|(_, problems)| problems));
    let mut documents = Documents::default();
    for raw in raw {
        read_document(raw, &mut documents, loaded);
    }
    if met == 0 && !found.is_empty() && loaded.diagnostics.len() == before {
        loaded.diagnostics.push(
            Diagnostic::error("no-documents", "there is only the configuration, and no document")
                .help("name a cluster profile, a VM spec, or a folder of them"),
        );
    }
    documents
}

/// The documents of a file, with what they include and with their variables.
fn read_raw<'f>(file: &'f File, run: &mut Run, loaded: &mut Loaded) -> Vec<Raw<'f>> {
    let Some((source, nodes)) = read_nodes(file, loaded) else { return Vec::new() };
    let stem = file.path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    // Only a file of one document can have its name.
    let stem = stem.filter(|_| nodes.len() == 1);
    let outer =
        loaded.config.as_ref().map(|config| Arc::clone(&config.variables)).unwrap_or_default();
    let mut raw = Vec::new();
    for mut node in nodes {
        let mut problems = Vec::new();
        let declares = node.get("variables").is_some() || has_includes(&node);
        let own = complete(&mut node, file, &outer, run, loaded, &mut problems);
        let scope = if declares { Arc::new(own) } else { Arc::clone(&outer) };
        run.scopes.push((source, Arc::clone(&scope)));
        raw.push(Raw { file, source, stem: stem.clone(), node, scope, problems });
    }
    raw
}

fn has_includes(node: &yaml::Node) -> bool {
    let mut found = false;
    node.walk(&mut |node| found |= node.get(include::INCLUDE).is_some());
    found
}

fn read_document(raw: Raw<'_>, documents: &mut Documents, loaded: &mut Loaded) {
    let Raw { source, stem, node, scope, mut problems, .. } = raw;
    let cluster = loaded.config.as_ref().and_then(|config| config.cluster.name.as_ref());
    let cluster = cluster.map(|name| name.value.as_str());
    match kind::of(&node) {
        Ok(Kind::Profile) => {
            let profile = profile::read(&node, stem.as_deref(), &scope, &mut problems);
            documents.profiles.extend(profile);
        }
        Ok(Kind::Standalone) => {
            let specs = standalone::read(&node, cluster, &scope, &mut problems);
            documents.standalone.extend(specs);
        }
        Ok(Kind::Config) => {}
        Err(problem) => problems.push(problem),
    }
    keep_problems(problems, source, loaded);
}

/// Keeps the problems of one document, and no more than anyone reads. A document that is read for
/// several guests has each problem once.
fn keep_problems(mut problems: Vec<Diagnostic>, source: SourceId, loaded: &mut Loaded) {
    redact(&problems, &mut loaded.sources);
    let mut said = BTreeSet::new();
    problems.retain(|problem| {
        let span = problem.labels.first().map(|label| label.span);
        said.insert((span, problem.code, problem.message.clone()))
    });
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

/// Overwrites secrets in texts before any of them is shown.
fn redact(problems: &[Diagnostic], sources: &mut Sources) {
    for problem in problems.iter().filter(|problem| problem.code == value::SECRET) {
        problem.labels.iter().for_each(|label| sources.redact(label.span));
    }
}

fn resolve(documents: &Documents, explain: Option<&Address>, loaded: &mut Loaded) {
    let ssh_keys = read_ssh_keys(loaded);
    let config = loaded.config.as_ref();
    let mut resolver = Resolver::new(config, ssh_keys, &loaded.sources, &loaded.diagnostics);
    resolver.explain = explain;
    let mut found = Vec::new();
    for document in &documents.profiles {
        let mut problems = Vec::new();
        loaded.desired.profiles.push(resolver.profile(document, &mut problems));
        found.push((document.name.span.source, problems));
    }
    for document in &documents.standalone {
        let mut problems = Vec::new();
        loaded.desired.profiles.push(resolver.standalone(document, &mut problems));
        found.push((document.name.span.source, problems));
    }
    loaded.explanation = resolver.explanation.take();
    loaded.desired.profiles.sort_by_key(|profile| profile.span);
    for (source, problems) in found {
        keep_problems(problems, source, loaded);
    }
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
