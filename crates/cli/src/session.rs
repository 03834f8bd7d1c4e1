//! What most commands begin with: documents are read and checked, the cluster is asked, a plan is
//! made.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use pvx_core::address::Address;
use pvx_core::desired::Desired;
use pvx_core::diagnostic::{Diagnostic, has_errors};
use pvx_core::document::{self, Given, LoadOptions, Loaded};
use pvx_core::live::{Inventory, Snapshot};
use pvx_core::plan::{Intent, Plan};
use pvx_core::planner::{self, Input, Options, Ownership};
use pvx_core::policy::{self, Policy};
use pvx_core::preflight::{self, Access, Questions};
use pvx_core::provider::Reader;
use pvx_core::read;
use pvx_core::state::{Folder, Journal, Memory};
use pvx_provider_pve::guest::Qemu;
use secrecy::SecretString;

use crate::args::{Format, Global};
use crate::cluster::{self, Connected};
use crate::exit::CliError;
use crate::output;
use crate::view;

impl Global {
    /// Where local state is kept.
    pub(crate) fn state_root(&self, root: &Path) -> PathBuf {
        self.state.clone().unwrap_or_else(|| root.join("state"))
    }
}

/// Reads the documents. Warnings are shown; errors end the command.
pub(crate) fn load(global: &Global, paths: &[PathBuf]) -> Result<Loaded, CliError> {
    checked(global, load_unchecked(global, paths))
}

/// The same, and explains where the values of one guest are from.
pub(crate) fn load_explained(
    global: &Global,
    paths: &[PathBuf],
    address: &Address,
) -> Result<Loaded, CliError> {
    checked(global, load_for(global, paths, Some(address)))
}

/// Warnings are shown; errors end the command.
pub(crate) fn checked(global: &Global, loaded: Loaded) -> Result<Loaded, CliError> {
    if has_errors(&loaded.diagnostics) {
        return Err(CliError::Documents {
            diagnostics: loaded.diagnostics,
            sources: loaded.sources,
        });
    }
    if global.format != Format::Json {
        output::errors(&view::diagnostics::render(&loaded.diagnostics, &loaded.sources));
    }
    Ok(loaded)
}

/// Reads the documents if there are any: nobody has to write one to look at a cluster.
fn load_if_any(global: &Global, paths: &[PathBuf]) -> Result<Loaded, CliError> {
    let mut loaded = load_unchecked(global, paths);
    if paths.is_empty() && loaded.diagnostics.iter().all(|d| d.code == "no-documents") {
        loaded.diagnostics.clear();
        return Ok(loaded);
    }
    load(global, paths)
}

/// Reads the documents, with whatever is wrong with them.
pub(crate) fn load_unchecked(global: &Global, paths: &[PathBuf]) -> Loaded {
    load_for(global, paths, None)
}

fn load_for(global: &Global, paths: &[PathBuf], explain: Option<&Address>) -> Loaded {
    let options = |paths| LoadOptions { explain: explain.cloned(), ..load_options(global, paths) };
    if !paths.is_empty() {
        return document::load(&options(paths.to_vec()));
    }
    let config = document::load_config(&options(Vec::new()));
    load_usual(&config.root, options)
}

/// Reads the documents of a plan that was saved: `paths` begin at `root`.
pub(crate) fn load_below(global: &Global, root: &Path, paths: &[String]) -> Loaded {
    let options = |paths| load_options(global, paths);
    if paths.is_empty() {
        return load_usual(root, options);
    }
    document::load(&options(paths.iter().map(|path| root.join(path)).collect()))
}

/// Reads the folders of documents that need not be named.
fn load_usual(root: &Path, options: impl Fn(Vec<PathBuf>) -> LoadOptions) -> Loaded {
    let usual = ["clusters", "vms"].map(|name| root.join(name));
    let mut there: Vec<PathBuf> = usual.into_iter().filter(|path| path.is_dir()).collect();
    if there.is_empty() {
        there.push(root.to_owned());
    }
    let folders = there.len();
    let mut loaded = document::load(&options(there));
    // One of the two may be empty.
    let is_empty = |d: &Diagnostic| d.code == "no-documents";
    if loaded.diagnostics.iter().filter(|d| is_empty(d)).count() < folders {
        loaded.diagnostics.retain(|d| !is_empty(d));
    }
    loaded
}

pub(crate) fn load_options(global: &Global, paths: Vec<PathBuf>) -> LoadOptions {
    LoadOptions {
        paths,
        config: global.config.clone(),
        working_dir: PathBuf::from("."),
        home: std::env::var_os("HOME").map(PathBuf::from),
        fallback_scope: global.sim.then(cluster::lab_scope),
        variables: given(global),
        explain: None,
    }
}

/// Values of variables: of the command line, of files and of the environment.
fn given(global: &Global) -> Given {
    let flags = global.variables.iter().map(|v| (v.name.clone(), v.value.clone()));
    let environment = std::env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok().filter(|name| name.starts_with("PVX_VAR_"))?;
        Some((name, SecretString::from(value.into_string().ok()?)))
    });
    Given {
        flags: flags.collect(),
        files: global.variable_files.clone(),
        environment: environment.collect(),
    }
}

/// Documents and a cluster.
pub(crate) struct Session<'a> {
    pub(crate) global: &'a Global,
    pub(crate) loaded: Loaded,
    pub(crate) connected: Connected,
    /// Guests that may be made anew: what they are made from is read too.
    replace: Vec<String>,
    /// Another token that is to carry the plan out.
    applying: Option<String>,
}

/// What a plan was made from.
pub(crate) struct Reading {
    pub(crate) snapshot: Snapshot,
    pub(crate) memory: Memory,
}

impl<'a> Session<'a> {
    /// Reads documents and connects.
    pub(crate) async fn open(global: &'a Global, paths: &[PathBuf]) -> Result<Self, CliError> {
        Self::with(global, load(global, paths)?).await
    }

    /// The same, and without documents too.
    pub(crate) async fn open_if_any(
        global: &'a Global,
        paths: &[PathBuf],
    ) -> Result<Self, CliError> {
        Self::with(global, load_if_any(global, paths)?).await
    }

    /// Connects, for documents that were read.
    pub(crate) async fn with(global: &'a Global, loaded: Loaded) -> Result<Self, CliError> {
        let config = loaded.config.as_ref();
        let connected = cluster::connect(global, config, &loaded.root).await?;
        Ok(Self { global, loaded, connected, replace: Vec::new(), applying: None })
    }

    /// The same for a run that may make these guests anew.
    pub(crate) fn replacing(self, addresses: &[String]) -> Self {
        Self { replace: addresses.to_vec(), ..self }
    }

    /// The same for a plan that another token is to carry out.
    pub(crate) fn applied_by(self, token: Option<&String>) -> Self {
        Self { applying: token.filter(|token| !token.is_empty()).cloned(), ..self }
    }

    pub(crate) fn desired(&self) -> &Desired {
        &self.loaded.desired
    }

    /// Keys of the documents' profiles, and of those that guests were moved out of: what is
    /// remembered is kept under them.
    pub(crate) fn profiles(&self) -> BTreeSet<String> {
        self.desired().state_keys()
    }

    /// The state folder of a cluster.
    pub(crate) fn folder(&self, inventory: &Inventory) -> Folder {
        Folder::new(&self.global.state_root(&self.loaded.root), &inventory.cluster)
    }

    /// The cluster as a whole.
    pub(crate) async fn inventory(&self) -> Result<Inventory, CliError> {
        Ok(self.connected.cluster.inventory().await?)
    }

    /// Everything a plan depends on.
    pub(crate) async fn read(&self, inventory: Inventory) -> Result<Reading, CliError> {
        let memory = self.memory(&inventory)?;
        let reader = &self.connected.cluster;
        let snapshot =
            read::snapshot(reader, inventory, self.desired(), &memory, &Qemu, &self.replace)
                .await?;
        Ok(Reading { snapshot, memory })
    }

    /// VMIDs of the guests that the documents own, by mark and identity alone.
    pub(crate) async fn members(&self, cluster: &str) -> Result<BTreeMap<Address, u32>, CliError> {
        let inventory = self.inventory().await?;
        if inventory.cluster != cluster {
            return Err(CliError::with_help(
                format!("this is cluster {}, and the state is of {cluster}", inventory.cluster),
                "reach the other one (--endpoint, --config)",
            ));
        }
        let memory = Memory::default();
        let reader = &self.connected.cluster;
        let snapshot =
            read::snapshot(reader, inventory, self.desired(), &memory, &Qemu, &[]).await?;
        let (reading, options) = (Reading { snapshot, memory }, Options::default());
        let ownership = Ownership::of(&self.input(&reading, &options));
        Ok(ownership.owned().map(|(address, vmid)| (address.clone(), vmid)).collect())
    }

    /// What is remembered: what was applied, and at which VMIDs a run that was cut off was working.
    fn memory(&self, inventory: &Inventory) -> Result<Memory, CliError> {
        let folder = self.folder(inventory);
        let profiles = self.profiles();
        let mut memory = folder.load(profiles.iter().map(String::as_str))?;
        for profile in &profiles {
            for open in Journal::unfinished(&folder, profile)? {
                memory.suppose(open.action.address, open.action.vmid);
            }
        }
        Ok(memory)
    }

    /// The plan for what was read, with all that would make it fail.
    pub(crate) async fn plan(
        &self,
        reading: &Reading,
        intent: Intent,
        options: &Options,
    ) -> Result<Plan, CliError> {
        let mut plan = self.draft(reading, intent, options);
        let input = self.input(reading, options);
        let mut questions = preflight::questions(&plan, &input);
        if questions.permissions {
            questions.applying.clone_from(&self.applying);
        }
        if !questions.is_empty() {
            let answers = self.connected.cluster.preflight(&questions).await?;
            preflight::check(&mut plan, &input, &answers);
        }
        let none = Policy::default();
        let policy = self.loaded.config.as_ref().map_or(&none, |config| &config.policy);
        policy::check(&mut plan, &input, policy, Timestamp::now());
        Ok(plan)
    }

    /// The plan for what was read, with the privileges that it needs, and what is known of the
    /// token's own.
    pub(crate) async fn privileges(
        &self,
        reading: &Reading,
        intent: Intent,
        options: &Options,
    ) -> Result<(Plan, Access), CliError> {
        let mut plan = self.draft(reading, intent, options);
        let input = self.input(reading, options);
        let Questions { vmids, paths, .. } = preflight::questions(&plan, &input);
        let questions = Questions { permissions: true, vmids, paths, ..Questions::default() };
        let access = self.connected.cluster.preflight(&questions).await?.access;
        plan.privileges = preflight::needed_privileges(&plan, &input, &access);
        Ok((plan, access))
    }

    /// The plan for what was read, and nothing else is asked.
    pub(crate) fn draft(&self, reading: &Reading, intent: Intent, options: &Options) -> Plan {
        let input = self.input(reading, options);
        match intent {
            Intent::Apply | Intent::Undo => planner::apply(&input),
            Intent::Destroy => planner::destroy(&input),
        }
    }

    /// The planner's view of what was read.
    pub(crate) fn input<'b>(&'b self, reading: &'b Reading, options: &'b Options) -> Input<'b> {
        Input {
            desired: self.desired(),
            snapshot: &reading.snapshot,
            memory: &reading.memory,
            kind: &Qemu,
            options,
            sources: &self.loaded.sources,
        }
    }

    /// Says what it cost, when asked, and ends the simulator.
    pub(crate) async fn close(self) {
        if self.global.verbose > 0 {
            let stats = self.connected.cluster.client().stats();
            output::errors(&view::requests(stats));
        }
        self.connected.close().await;
    }
}
