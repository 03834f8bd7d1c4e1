//! What a run that failed takes back: guests whose making failed where documents say so
//! (`on_failure: destroy`), or everything (`--rollback-on-failure`).

use std::time::Instant;

use pvx_core::desired::OnFailure;
use pvx_core::execute::{Report, Stop};
use pvx_core::live::Snapshot;
use pvx_core::plan::{ActionId, Intent, Plan};
use pvx_core::provider::Reader;
use pvx_core::state::Histories;
use pvx_core::undo::{self, Round, Scope};
use pvx_provider_pve::Cluster;
use pvx_provider_pve::guest::Qemu;

use super::carry_out::{Told, carry_out};
use super::rounds::Numbered;
use crate::args::{Format, RunOptions};
use crate::events::Watch;
use crate::exit::CliError;
use crate::output;
use crate::session::{Reading, Session};
use crate::view;

/// A run, as far as it came.
pub(super) struct Ended<'a> {
    pub(super) session: &'a Session<'a>,
    pub(super) writer: &'a Cluster,
    pub(super) run: &'a RunOptions,
    /// `--rollback-on-failure`
    pub(super) rollback: bool,
    /// What the first plan was made from.
    pub(super) before: &'a Reading,
    /// What was carried out, in order.
    pub(super) rounds: &'a [Round<'a>],
    /// The journal numbers the actions of an undo on, from here.
    pub(super) offset: u32,
    pub(super) watch: &'a Watch,
    /// When the time of the whole run is over.
    pub(super) ends: Option<Instant>,
}

/// What was taken back.
pub(crate) struct Undone {
    /// Its findings say what was not.
    pub(crate) plan: Plan,
    pub(crate) report: Report,
    /// Its actions are numbered on from here.
    pub(super) offset: u32,
}

impl Undone {
    /// The number that an action of it has in the whole run.
    pub(crate) fn number(&self, id: ActionId) -> ActionId {
        ActionId(id.0.saturating_add(self.offset))
    }

    /// Is every outcome known?
    pub(super) fn all_known(undone: Option<&Self>) -> bool {
        undone.is_none_or(|undone| super::carry_out::all_known(&undone.report))
    }
}

/// Takes back what is to be taken back; nothing after a run that succeeded or was stopped.
pub(super) async fn after_failure(ended: &Ended<'_>, histories: &mut Histories) -> Option<Undone> {
    let scope = scope(ended)?;
    let stopped =
        |of: &Round<'_>| !(of.report.abandoned.is_empty() && of.report.unstarted.is_empty());
    let told_to = *ended.watch.stop().borrow() != Stop::Go;
    if told_to || ended.rounds.iter().any(stopped) {
        output::errors(&view::note("the run was stopped, so nothing is taken back"));
        return None;
    }
    let plan = match make(ended, scope).await {
        Ok(plan) => plan,
        Err(error) => {
            let text = format!("nothing is taken back: {}", error.text());
            output::errors(&view::problem(&text, Some("`pvx plan` shows what is left to do")));
            return None;
        }
    };
    if ended.session.global.format == Format::Human {
        output::text(&view::undo(&plan, &ended.session.loaded.sources));
    }
    let report = match plan.is_blocked() || plan.is_empty() {
        true => Report::default(),
        false => {
            let mut history = Numbered { histories, offset: ended.offset };
            let (writer, told) = (ended.writer, Told::of(ended.run, ended.ends));
            carry_out(ended.session, writer, &told, &plan, &mut history, ended.watch).await
        }
    };
    Some(Undone { plan, report, offset: ended.offset })
}

/// What is to be taken back, if anything.
fn scope(ended: &Ended<'_>) -> Option<Scope> {
    let last = ended.rounds.last()?;
    if last.report.failed.is_empty() || last.plan.intent != Intent::Apply {
        return None;
    }
    let failed = |of: &Round<'_>| {
        let mut destroys = of.plan.changes.iter().filter(|c| c.on_failure == OnFailure::Destroy);
        destroys.any(|change| change.actions.iter().any(|id| of.report.failed.contains_key(id)))
    };
    match ended.rollback {
        true => Some(Scope::Everything),
        false => ended.rounds.iter().any(failed).then_some(Scope::FailedCreates),
    }
}

/// The plan, from what is there now.
async fn make(ended: &Ended<'_>, scope: Scope) -> Result<Plan, CliError> {
    let reader = &ended.session.connected.cluster;
    let before = &ended.before.snapshot;
    let inventory = ended.session.inventory().await?;
    let wanted = undo::guests(ended.rounds, &inventory);
    let guests = reader.guests(&wanted, true).await?;
    let ha = match before.ha {
        Some(_) => Some(reader.ha().await?),
        None => None,
    };
    let guests = guests.into_iter().map(|guest| (guest.vmid, guest)).collect();
    let now = Snapshot { inventory, guests, ha, ..Snapshot::default() };
    let timeout = ended.run.shutdown.chosen().shutdown_timeout;
    Ok(undo::undo(&undo::Input {
        rounds: ended.rounds,
        before,
        now: &now,
        memory: &ended.before.memory,
        kind: &Qemu,
        scope,
        shutdown_timeout: timeout,
    }))
}
