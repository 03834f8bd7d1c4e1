//! The command line, as clap reads it.

mod schema;
mod sim;
mod state;

pub(crate) use schema::{SchemaKind, SchemaOptions};
pub(crate) use sim::{NodeOff, ServeOptions, SimCommand, SimOptions, Switch};
pub(crate) use state::{LockOptions, StateCommand, StateOptions};

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Parser, Subcommand, ValueEnum};
use jiff::{SignedDuration, Span, SpanRelativeTo};
use pvx_core::desired::ApplyChanges;
use pvx_core::plan::Intent;
use pvx_core::planner::Options;
use secrecy::SecretString;

use crate::events::WatchOptions;

/// A declarative reconciler for Proxmox VE: YAML in, plan out, apply, and nothing when nothing
/// changed.
#[derive(Debug, Parser)]
#[command(name = "pvx", version, propagate_version = false, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 done or nothing to do · 1 error, nothing was changed · \
    2 changes are planned (plan --detailed-exitcode) · 3 carried out in part · \
    4 refused: not confirmed, or another pvx is at work · 5 refused: a saved plan that does not hold any more · \
    130 stopped by Ctrl-C")]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Human,
    /// For programs.
    Json,
    /// For a comment on a merge request (plan).
    Markdown,
    /// For a browser, one file (plan).
    Html,
    /// A picture (graph, and its default).
    Svg,
    /// For Graphviz (graph).
    Dot,
    /// For Mermaid (graph).
    Mermaid,
}

/// Options of every command.
#[derive(Debug, clap::Args)]
pub(crate) struct Global {
    /// The cluster configuration [default: cluster-config.yaml, searched upwards]
    #[arg(long, global = true, value_name = "FILE", env = "PVX_CONFIG", hide_env_values = true)]
    pub(crate) config: Option<PathBuf>,
    /// Where local state is kept [default: `state` beside the configuration]
    #[arg(long, global = true, value_name = "DIR", env = "PVX_STATE", hide_env_values = true)]
    pub(crate) state: Option<PathBuf>,
    /// How data is printed
    #[arg(long, global = true, value_enum, default_value_t = Format::Human, value_name = "FORMAT")]
    pub(crate) format: Format,
    /// Work on the embedded simulator; its cluster is kept in `state/sim` between runs
    #[arg(long, global = true, env = "PVX_SIM", hide_env_values = true)]
    pub(crate) sim: bool,
    /// How many times faster than real the simulator's tasks run; 0: at once
    #[arg(long, global = true, value_name = "N", default_value_t = 20.0, hide = true)]
    pub(crate) sim_speed: f64,
    /// Value of a variable of the documents; repeatable
    #[arg(long = "var", global = true, value_name = "NAME=VALUE", value_parser = variable)]
    pub(crate) variables: Vec<Variable>,
    /// File with values of variables, a YAML mapping; repeatable, the last wins. Without a value
    /// of either kind: the environment's PVX_VAR_NAME, then the default
    #[arg(long = "var-file", global = true, value_name = "FILE")]
    pub(crate) variable_files: Vec<PathBuf>,
    /// Say more: -v counts requests, -vv logs them, -vvv with parameters
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

/// The value of a variable, which may be a secret: it has no Debug.
#[derive(Clone)]
pub(crate) struct Variable {
    pub(crate) name: String,
    pub(crate) value: SecretString,
}

impl std::fmt::Debug for Variable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Variable({})", self.name)
    }
}

fn variable(text: &str) -> Result<Variable, String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => {
            Ok(Variable { name: name.to_owned(), value: SecretString::from(value) })
        }
        _ => Err("expected NAME=VALUE, such as cores=4".to_owned()),
    }
}

/// How a real cluster is reached.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Connection {
    /// API address, HOST or HOST:PORT; repeat it for fallbacks [default: cluster.nodes[].host]
    #[arg(
        long,
        global = true,
        value_name = "HOST",
        env = "PVX_ENDPOINT",
        hide_env_values = true,
        value_delimiter = ','
    )]
    pub(crate) endpoint: Vec<String>,
    /// File with the API token: id and secret on two lines, or `user@realm!name=secret`.
    /// Without it: the environment's PVX_TOKEN, then credentials.pass_path
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "PVX_TOKEN_FILE",
        hide_env_values = true
    )]
    pub(crate) token_file: Option<PathBuf>,
    /// CA certificate (PEM) that signs the nodes' certificates; Proxmox's own is
    /// /etc/pve/pve-root-ca.pem
    #[arg(long, global = true, value_name = "FILE", env = "PVX_CA_FILE", hide_env_values = true)]
    pub(crate) ca_file: Option<PathBuf>,
    /// SHA-256 fingerprint of a node's certificate; repeat it for every node
    #[arg(
        long,
        global = true,
        value_name = "SHA256",
        env = "PVX_FINGERPRINT",
        hide_env_values = true,
        value_delimiter = ','
    )]
    pub(crate) fingerprint: Vec<String>,
    /// Accept any certificate: whoever answers gets the token
    #[arg(long, global = true, env = "PVX_INSECURE", hide_env_values = true)]
    pub(crate) insecure: bool,
    /// Login for SSH to the nodes [default: credentials.ssh_user, then root]
    #[arg(long, global = true, value_name = "USER", env = "PVX_SSH_USER", hide_env_values = true)]
    pub(crate) ssh_user: Option<String>,
    /// Private key for SSH to the nodes [default: what ssh takes by itself]
    #[arg(long, global = true, value_name = "FILE", env = "PVX_SSH_KEY", hide_env_values = true)]
    pub(crate) ssh_key: Option<PathBuf>,
    /// Host keys of the nodes [default: the known_hosts that ssh reads]
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "PVX_SSH_KNOWN_HOSTS",
        hide_env_values = true
    )]
    pub(crate) ssh_known_hosts: Option<PathBuf>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a cluster-config.yaml and a first profile
    Init(InitOptions),
    /// Check documents without asking the cluster
    Validate(Documents),
    /// Show what apply would do
    Plan(PlanOptions),
    /// Make the cluster as the documents say
    Apply(ApplyOptions),
    /// Remove every guest that the documents own, and nothing else
    Destroy(DestroyOptions),
    /// Show what the token must be allowed for what apply would do
    Privileges(PrivilegesOptions),
    /// Show the guests of the documents and where they run
    Status(Documents),
    /// Show one guest, documents and cluster side by side, or a saved plan
    Show(ShowOptions),
    /// Draw the actions of the plan, and what waits for what
    Graph(GraphOptions),
    /// List or print the JSON schemas, or the reference of all keys
    Schema(SchemaOptions),
    /// Look at what is remembered here, at locks and journals, and mend them
    State(StateOptions),
    /// The embedded simulator
    Sim(SimOptions),
    /// Print the version
    Version,
    /// Print a completion script for a shell
    Completions(CompletionsOptions),
}

/// Which documents.
#[derive(Debug, clap::Args)]
pub(crate) struct Documents {
    /// Files or folders of documents [default: `clusters` and `vms` beside the configuration]
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
}

/// Which documents, or a plan that was made of them.
#[derive(Debug, clap::Args)]
pub(crate) struct DocumentsOrPlan {
    /// Files or folders of documents [default: `clusters` and `vms` beside the configuration], or
    /// a plan that was saved with `pvx plan --out`
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
}

/// `pvx init`
#[derive(Debug, clap::Args)]
pub(crate) struct InitOptions {
    /// Folder to write into
    #[arg(default_value = ".")]
    pub(crate) folder: PathBuf,
}

/// Which plan is made, by the commands that carry none out.
#[derive(Debug, clap::Args)]
pub(crate) struct Planned {
    /// Only this guest (k3s/worker02) or profile (k3s); repeatable
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) target: Vec<String>,
    #[command(flatten)]
    pub(crate) anew: AnewOptions,
    #[command(flatten)]
    pub(crate) apply_changes: ApplyChangesOption,
    /// The plan of the removal instead
    #[arg(long)]
    pub(crate) destroy: bool,
    /// With --destroy: kept disks go too
    #[arg(long, requires = "destroy")]
    pub(crate) erase_kept: bool,
}

impl Planned {
    pub(crate) fn intent(&self) -> Intent {
        if self.destroy { Intent::Destroy } else { Intent::Apply }
    }

    /// Adds what is said to what else the user says.
    pub(crate) fn to(&self, options: Options) -> Options {
        Options {
            targets: self.target.clone(),
            replace: self.anew.replace.clone(),
            erase_kept: self.erase_kept,
            apply_changes: self.apply_changes.apply_changes.unwrap_or(Allowed::Live).into(),
            ..options
        }
    }

    /// Is anything said at all?
    pub(crate) fn is_said(&self) -> bool {
        self.destroy
            || !self.target.is_empty()
            || !self.anew.replace.is_empty()
            || self.apply_changes.apply_changes.is_some()
    }
}

/// `pvx plan`
#[derive(Debug, clap::Args)]
pub(crate) struct PlanOptions {
    #[command(flatten)]
    pub(crate) documents: Documents,
    #[command(flatten)]
    pub(crate) planned: Planned,
    #[command(flatten)]
    pub(crate) shutdown: ShutdownOptions,
    /// Save the plan in this file, for `pvx apply FILE`
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// With --out: how long the saved plan is good for (30m, 24h, 7d)
    #[arg(long, value_name = "TIME", default_value = "24h", requires = "out")]
    pub(crate) expires: Lifetime,
    /// The token that is to carry the plan out, when another one plans (pvx@pve!apply): its
    /// privileges are checked. Asking for them needs Sys.Audit on /access
    #[arg(
        long,
        value_name = "ID",
        env = "PVX_APPLY_TOKEN",
        hide_env_values = true,
        value_parser = token_id_or_none
    )]
    pub(crate) apply_token: Option<String>,
    /// Exit with 2 when there are changes
    #[arg(long)]
    pub(crate) detailed_exitcode: bool,
    #[command(flatten)]
    pub(crate) policy: PolicyOptions,
}

/// What plan, apply and destroy share.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct PolicyOptions {
    /// Refuse when more guests would be destroyed or replaced; `policy.max_destroy` may allow fewer
    #[arg(long, value_name = "N")]
    pub(crate) max_destroy: Option<u32>,
    /// Members that someone made templates may go: with destroy, or with --replace
    #[arg(long)]
    pub(crate) include_templates: bool,
    /// Make changes outside the policy's windows, for this reason; the plan records it
    #[arg(long, value_name = "REASON", value_parser = reason)]
    pub(crate) ignore_window: Option<String>,
}

fn reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err("a reason is a few words on one line".to_owned());
    }
    Ok(text.to_owned())
}

impl PolicyOptions {
    /// Adds them to what else the user says.
    pub(crate) fn to(&self, options: Options) -> Options {
        Options {
            max_destroy: self.max_destroy,
            include_templates: self.include_templates,
            ignore_window: self.ignore_window.clone(),
            ..options
        }
    }
}

/// `pvx graph`
#[derive(Debug, clap::Args)]
pub(crate) struct GraphOptions {
    #[command(flatten)]
    pub(crate) documents: DocumentsOrPlan,
    #[command(flatten)]
    pub(crate) planned: Planned,
}

/// `pvx privileges`
#[derive(Debug, clap::Args)]
pub(crate) struct PrivilegesOptions {
    #[command(flatten)]
    pub(crate) documents: Documents,
    #[command(flatten)]
    pub(crate) planned: Planned,
    /// Print the `pveum` commands that give exactly that, to be run as root on a node
    #[arg(long)]
    pub(crate) pveum: bool,
    /// Another token than the one that asks: the commands are for that one
    #[arg(long, value_name = "USER@REALM!NAME", requires = "pveum", value_parser = token_id)]
    pub(crate) token: Option<String>,
}

/// A variable of the environment that is set and empty names none.
fn token_id_or_none(text: &str) -> Result<String, String> {
    if text.is_empty() { Ok(String::new()) } else { token_id(text) }
}

/// The shape of a token's id; it goes into a shell's quotes.
fn token_id(text: &str) -> Result<String, String> {
    let word = |part: &str| {
        let known = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        !part.is_empty() && part.chars().all(known)
    };
    let id = text.split_once('!').filter(|(user, name)| {
        let realm = user.split_once('@');
        word(name) && realm.is_some_and(|(user, realm)| word(user) && word(realm))
    });
    id.map(|_| text.to_owned())
        .ok_or_else(|| "expected USER@REALM!NAME, such as pvx@pve!cli".to_owned())
}

/// What may happen to running guests.
#[derive(Debug, clap::Args)]
pub(crate) struct ApplyChangesOption {
    /// What may happen now to running guests whose documents do not say [default: live]
    #[arg(long, value_name = "WHAT", value_enum)]
    pub(crate) apply_changes: Option<Allowed>,
}

/// How guests are shut down.
#[derive(Debug, clap::Args)]
pub(crate) struct ShutdownOptions {
    /// Seconds that a guest has to shut down [default: 120]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) shutdown_timeout: Option<u32>,
    /// Fail when a guest does not shut down in time, instead of stopping it
    #[arg(long)]
    pub(crate) no_force_stop: bool,
}

impl ShutdownOptions {
    /// The planner's options with these.
    pub(crate) fn chosen(&self) -> Options {
        let usual = Options::default();
        Options {
            shutdown_timeout: self.shutdown_timeout.unwrap_or(usual.shutdown_timeout),
            force_stop: !self.no_force_stop,
            ..usual
        }
    }
}

/// How long a saved plan is good for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lifetime(pub(crate) SignedDuration);

impl FromStr for Lifetime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const LONGEST: SignedDuration = SignedDuration::from_hours(365 * 24);
        let wrong = || "expected a time such as 30m, 24h or 7d, a year at most".to_owned();
        let span: Span = text.parse().map_err(|_| wrong())?;
        let length = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| wrong())?;
        let sound = length >= SignedDuration::from_secs(1) && length <= LONGEST;
        sound.then_some(Self(length)).ok_or_else(wrong)
    }
}

/// `apply_changes`, as the command line spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Allowed {
    /// What takes effect at once; the rest is written and waits for the next cold boot
    Live,
    /// A reboot, or a stop and a start, where a change needs it
    Reboot,
    /// Nothing that the guest could notice; the rest is held back
    Manual,
}

impl From<Allowed> for ApplyChanges {
    fn from(allowed: Allowed) -> Self {
        match allowed {
            Allowed::Live => Self::Live,
            Allowed::Reboot => Self::Reboot,
            Allowed::Manual => Self::Manual,
        }
    }
}

/// What apply and destroy share.
#[derive(Debug, clap::Args)]
pub(crate) struct RunOptions {
    /// Only this guest (k3s/worker02) or profile (k3s); repeatable
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) target: Vec<String>,
    /// Do not ask
    #[arg(long, short = 'y')]
    pub(crate) yes: bool,
    /// Actions in flight at most; else `apply.parallel` of the configuration, else 256
    #[arg(long, value_name = "N")]
    pub(crate) parallel: Option<usize>,
    /// Seconds for the whole run: then nothing more is begun, and what runs is waited for
    #[arg(long, value_name = "SECONDS")]
    pub(crate) timeout: Option<u64>,
    /// Seconds that one task may take
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    pub(crate) task_timeout: u64,
    /// Seconds to wait for guests that another task has locked
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) lock_timeout: u64,
    /// Seconds that a request whose answer was lost may still wait in a node's queue
    #[arg(long, value_name = "SECONDS", default_value_t = 30, hide = true)]
    pub(crate) queue_timeout: u64,
    #[command(flatten)]
    pub(crate) lock: LockOptions,
    #[command(flatten)]
    pub(crate) shutdown: ShutdownOptions,
    #[command(flatten)]
    pub(crate) policy: PolicyOptions,
    #[command(flatten)]
    pub(crate) watch: WatchOptions,
}

/// What plan and apply share.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct AnewOptions {
    /// Remove this guest and make it anew (k3s/worker02); repeatable. Disks with `keep: true`
    /// outlive it, all others are lost
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) replace: Vec<String>,
}

/// `pvx apply`
#[derive(Debug, clap::Args)]
pub(crate) struct ApplyOptions {
    #[command(flatten)]
    pub(crate) documents: DocumentsOrPlan,
    #[command(flatten)]
    pub(crate) run: RunOptions,
    #[command(flatten)]
    pub(crate) anew: AnewOptions,
    #[command(flatten)]
    pub(crate) apply_changes: ApplyChangesOption,
    /// When something fails, take back what this run changed, as far as there is a way back
    #[arg(long)]
    pub(crate) rollback_on_failure: bool,
}

/// `pvx destroy`
#[derive(Debug, clap::Args)]
pub(crate) struct DestroyOptions {
    #[command(flatten)]
    pub(crate) documents: Documents,
    #[command(flatten)]
    pub(crate) run: RunOptions,
    /// Remove kept disks too: those of the guests, and those kept from before
    #[arg(long)]
    pub(crate) erase_kept: bool,
}

/// `pvx show`
#[derive(Debug, clap::Args)]
pub(crate) struct ShowOptions {
    /// The guest: k3s/worker02, vm/gitea; or the file of a saved plan
    #[arg(value_name = "ADDRESS|FILE")]
    pub(crate) address: String,
    /// Say which file and line each value is from; asks no cluster
    #[arg(long)]
    pub(crate) explain: bool,
    #[command(flatten)]
    pub(crate) documents: Documents,
}

/// `pvx completions`
#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsOptions {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}
