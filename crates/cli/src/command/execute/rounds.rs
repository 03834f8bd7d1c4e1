//! A plan that could not be carried out to its end is made again from what is there now, and what
//! still means the same goes on without a question.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use pvx_core::address::Address;
use pvx_core::desired::VmidRequest;
use pvx_core::execute::{Became, History, Report, Rounds, Stop};
use pvx_core::plan::again::{Again, Scope, again};
use pvx_core::plan::saved::check;
use pvx_core::plan::{Action, ActionId, Change, Plan, Verb};
use pvx_core::planner::{Options, Seat};
use pvx_core::provider::ErrorClass;
use pvx_core::state::{Folder, Histories, Record, StateError};
use pvx_provider_pve::Cluster;

use super::carry_out::{Told, carry_out, patience};
use super::work::Work;
use super::{locked, settle};
use crate::args::RunOptions;
use crate::events::Watch;
use crate::exit::CliError;
use crate::output;
use crate::secrets;
use crate::session::Session;
use crate::view;

/// Rounds at most, the first included.
const MOST: usize = 6;

/// Many times as many VMIDs as in the round before are left to whoever took some.
const AHEAD: u32 = 3;

/// What did not answer, or was locked, gets a moment before the next round.
const PAUSE: Duration = Duration::from_secs(2);

/// A command at work.
pub(super) struct Rounder<'a> {
    pub(super) session: &'a Session<'a>,
    pub(super) run: &'a RunOptions,
    pub(super) work: &'a Work<'a>,
    pub(super) options: &'a Options,
    pub(super) folder: Folder,
    pub(super) watch: &'a Watch,
    /// When the time of the whole run is over.
    pub(super) ends: Option<Instant>,
}

impl Rounder<'_> {
    /// Carries the plan out, in as many rounds as it takes and are allowed.
    ///
    /// # Errors
    /// When the first round cannot begin. What is wrong with a later one is said, and ends the run.
    pub(super) async fn carry_out(
        &self,
        agreed: Plan,
        writer: &Cluster,
        histories: &mut Histories,
    ) -> Result<Rounds, CliError> {
        let told = Told::of(self.run, self.ends);
        let report = carry_out(self.session, writer, &told, &agreed, histories, self.watch).await;
        let patience = Instant::now() + Duration::from_secs(self.run.task_timeout);
        let deadline = self.ends.map_or(patience, |ends| ends.min(patience));
        let mut stop = self.watch.stop();
        let mut worked = !report.done.is_empty();
        let mut tried = agreed.clone();
        let mut rounds = Rounds::new(agreed, report);
        while rounds.count < MOST && Instant::now() < deadline && *stop.borrow() == Stop::Go {
            let next = tokio::select! {
                next = self.next(&mut rounds, histories) => next,
                Ok(_) = stop.wait_for(|stop| *stop != Stop::Go) => {
                    output::errors(&view::note("stopped: it is not planned again"));
                    break;
                }
            };
            let Some(next) = next.unwrap_or_else(|error| self.stopped(&error)) else { break };
            if !worked && check::same(&next, &tried) {
                break;
            }
            let mut history = Numbered { histories, offset: rounds.offset() };
            let report = match self.once_more(&next, &mut history).await {
                Ok(report) => report,
                Err(error) => {
                    self.stopped(&error);
                    break;
                }
            };
            worked = !report.done.is_empty();
            rounds.add(&next, report);
            tried = next;
        }
        Ok(rounds)
    }

    async fn once_more(&self, next: &Plan, history: &mut Numbered<'_>) -> Result<Report, CliError> {
        let writer = secrets::writer(self.session, next).await?;
        let told = Told::of(self.run, self.ends);
        Ok(carry_out(self.session, &writer, &told, next, history, self.watch).await)
    }

    /// The plan of the next round; none when there is nothing to go on with.
    async fn next(
        &self,
        rounds: &mut Rounds,
        histories: &mut Histories,
    ) -> Result<Option<Plan>, CliError> {
        if rounds.meant().is_empty() {
            return Ok(None);
        }
        if let Some(pause) = pause(rounds) {
            tokio::time::sleep(pause).await;
        }
        self.settle(rounds, histories).await?;
        let meant = rounds.meant();
        if meant.is_empty() {
            return Ok(None);
        }
        output::errors(&view::note("the cluster changed meanwhile: it is read and planned again"));
        let options = self.options_now(rounds);
        let session = self.session;
        let reading = locked::read(session, self.run, session.inventory().await?, &options).await?;
        let next = session.plan(&reading, self.work.intent(), &options).await?;
        let there = reading.snapshot.inventory.guests.keys().copied().collect();
        let scope = Scope { open_vmids: self.open_vmids(&meant), meant, there };
        let again = again(&rounds.plan, &next, &scope);
        tell(&again);
        rounds.left.extend(again.left.clone());
        let plan = again.plan;
        if !plan.is_blocked() {
            again.done.iter().for_each(|address| rounds.nothing_left(address));
        }
        if let Some(error) = plan.is_blocked().then(|| first_error(&plan)).flatten() {
            output::errors(&view::note(&format!("it goes no further: {error}")));
            return Ok(None);
        }
        Ok((!plan.is_empty()).then_some(plan))
    }

    /// What a round could not tell is looked at once more; what stays unknown is left alone.
    async fn settle(&self, rounds: &mut Rounds, histories: &mut Histories) -> Result<(), CliError> {
        // Another profile's journal may still be that of the last run, with numbers of its own.
        let unknown = |open: &Action| {
            let ours = rounds.plan.actions.get(open.id).is_some_and(|action| {
                (&action.address, action.vmid, action.kind.verb())
                    == (&open.address, open.vmid, open.kind.verb())
            });
            let error = rounds.report.failed.get(&open.id);
            ours && error.is_some_and(|error| error.class == ErrorClass::OutcomeUnknown)
        };
        let open = settle::open(self.session, &self.folder)?;
        let open = open.into_iter().filter(|(_, open)| unknown(&open.action)).collect();
        for (_, open, became) in settle::settle(self.session, &patience(self.run), open).await {
            let (id, address) = (open.action.id, &open.action.address);
            match became {
                Became::Unknown(_) => {
                    let why = "what became of its last change cannot be told".to_owned();
                    rounds.left.insert(address.clone(), why);
                    continue;
                }
                Became::Done => rounds.settle(id),
                Became::Nothing | Became::Failed(_) => {}
            }
            let change = rounds.plan.changes.iter().find(|change| change.address == *address);
            if let Some(change) = change {
                let ok = became == Became::Done;
                histories.record(change, &Record::End { action: id.0, ok })?;
            }
        }
        Ok(())
    }

    /// New guests keep their VMIDs and nodes as far as they are to be had, and what was removed to be
    /// made anew is not removed again.
    fn options_now(&self, rounds: &Rounds) -> Options {
        let agreed = &rounds.plan;
        let mut options = self.options.clone();
        let new = agreed.changes.iter().filter(|c| matches!(c.verb, Verb::Create | Verb::Replace));
        let seat = |c: &Change| Seat { vmid: c.vmid, node: c.node.clone() };
        options.seats.extend(new.map(|change| (change.address.clone(), seat(change))));
        options.replace.retain(|replaced| {
            let change = agreed.changes.iter().find(|c| c.address.to_string() == *replaced);
            change.is_none_or(|change| !rounds.is_removed(&change.address))
        });
        let lost = rounds.taken();
        // The next one, at first. Who takes one after the other is left behind: further ahead in each
        // round.
        let again = u32::try_from(rounds.count).unwrap_or(u32::MAX).saturating_sub(1);
        let ahead = if again == 0 { 0 } else { AHEAD.saturating_pow(again) };
        let near = |vmid: &u32| vmid.saturating_add(1)..=vmid.saturating_add(ahead);
        options.avoided.extend(lost.iter().flat_map(near));
        options.taken.extend(lost);
        options
    }

    /// A saved plan says its VMIDs, and somebody may have agreed to just these.
    fn open_vmids(&self, meant: &BTreeSet<Address>) -> BTreeSet<Address> {
        if matches!(self.work, Work::Saved { .. }) {
            return BTreeSet::new();
        }
        let open = self.session.desired().guests().filter(|g| g.vmid == VmidRequest::Auto);
        open.map(|guest| &guest.address).filter(|a| meant.contains(a)).cloned().collect()
    }

    fn stopped(&self, error: &CliError) -> Option<Plan> {
        output::errors(&view::note(&format!("it goes no further: {}", error.text())));
        None
    }
}

/// Who did not answer, or had a lock, may need a moment.
fn pause(rounds: &Rounds) -> Option<Duration> {
    let needs = |class: ErrorClass| matches!(class, ErrorClass::Busy | ErrorClass::Unreachable);
    rounds.report.failed.values().any(|error| needs(error.class)).then_some(PAUSE)
}

fn tell(again: &Again) {
    for (address, (before, now)) in &again.renumbered {
        let text = format!(
            "{address}: VMID {before} was taken by another client meanwhile; it becomes {now}"
        );
        output::errors(&view::note(&text));
    }
    for (address, why) in &again.left {
        output::errors(&view::note(&format!("{address} is left alone: {why}")));
    }
}

fn first_error(plan: &Plan) -> Option<String> {
    let error = plan.findings.iter().find(|f| f.weight == pvx_core::plan::Weight::Error);
    error.map(|finding| finding.message.clone())
}

/// The journal numbers the actions of all rounds on.
pub(super) struct Numbered<'a> {
    pub(super) histories: &'a mut Histories,
    pub(super) offset: u32,
}

impl History for Numbered<'_> {
    fn begins(&mut self, plan: &Plan, change: &Change) -> Result<(), StateError> {
        self.histories.begins(plan, change)
    }

    fn record(&mut self, change: &Change, record: &Record) -> Result<(), StateError> {
        let on = |id: u32| id.saturating_add(self.offset);
        let record = match record.clone() {
            Record::Begin { mut action, at } => {
                action.id = ActionId(on(action.id.0));
                Record::Begin { action, at }
            }
            Record::Task { action, upid } => Record::Task { action: on(action), upid },
            Record::End { action, ok } => Record::End { action: on(action), ok },
            Record::Closed => Record::Closed,
        };
        self.histories.record(change, &record)
    }

    fn settled(&mut self, plan: &Plan, change: &Change) -> Result<(), StateError> {
        self.histories.settled(plan, change)
    }
}
