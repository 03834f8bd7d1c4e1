//! Progress while a plan is carried out: bars on a terminal, plain lines otherwise. One reader of
//! the executor's events.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use pvx_core::execute::Event;
use pvx_core::plan::{Action, ActionId, ActionKind, Plan};

use super::units;
use crate::args::Format;
use crate::output;

/// How often bars move by themselves.
const TICK: Duration = Duration::from_millis(120);

/// Shows what runs.
pub(crate) struct Progress<'a> {
    plan: &'a Plan,
    bars: Option<(MultiProgress, ProgressBar)>,
    running: Mutex<BTreeMap<ActionId, (Instant, Option<ProgressBar>)>>,
}

impl<'a> Progress<'a> {
    /// Bars when standard error is a terminal.
    pub(crate) fn new(plan: &'a Plan, format: Format) -> Self {
        let wanted = output::is_interactive() && format == Format::Human;
        let bars = wanted.then(|| {
            let all = MultiProgress::new();
            let total = ProgressBar::new(plan.actions.len() as u64);
            total.set_style(style("  {bar:30} {pos}/{len} actions · {elapsed}"));
            total.enable_steady_tick(TICK);
            (all.clone(), all.add(total))
        });
        Self { plan, bars, running: Mutex::new(BTreeMap::new()) }
    }

    /// One event.
    pub(crate) fn event(&self, event: &Event) {
        match event {
            Event::Started { action } => self.started(*action),
            Event::Task { .. } | Event::Held { .. } | Event::Bound { .. } => {}
            Event::Looking { action, why } => self.say(*action, "looks", &format!("({why})")),
            Event::Found { action, what } => self.say(*action, "found", what),
            Event::Waiting { action, why } => self.say(*action, "waits", &format!("({why})")),
            Event::Finished { action, warnings: 0 } => self.ended(*action, "done", ""),
            Event::Finished { action, warnings } => {
                self.ended(*action, "done", &format!("({warnings} warnings in its log)"));
            }
            Event::Failed { action, error } => self.ended(*action, "FAILED", &error.message),
            Event::Skipped { action, because } => {
                self.say(*action, "skipped", &format!("({} failed)", self.describe(*because)));
            }
        }
    }

    /// Takes the bars away.
    pub(crate) fn finish(&self) {
        if let Some((all, total)) = &self.bars {
            for (_, bar) in self.lock().values() {
                bar.iter().for_each(ProgressBar::finish_and_clear);
            }
            total.finish_and_clear();
            // Bars that cannot be cleared were not drawn.
            let _ = all.clear();
        }
    }

    /// Says a line without disturbing the bars.
    pub(crate) fn announcer(&self) -> impl Fn(&str) + Send + 'static {
        let all = self.bars.as_ref().map(|(all, _)| all.clone());
        move |line| print(all.as_ref(), line)
    }

    fn started(&self, id: ActionId) {
        let bar = self.bars.as_ref().map(|(all, total)| {
            let bar = all.insert_before(total, ProgressBar::new_spinner());
            bar.set_style(style("  {spinner} {msg} {elapsed}"));
            bar.set_message(self.describe(id));
            bar.enable_steady_tick(TICK);
            bar
        });
        self.lock().insert(id, (Instant::now(), bar));
    }

    fn ended(&self, id: ActionId, word: &str, more: &str) {
        let began = self.lock().remove(&id);
        if let Some((_, Some(bar))) = &began {
            bar.finish_and_clear();
        }
        if let Some((_, total)) = &self.bars {
            total.inc(1);
        }
        let took = began.map(|(at, _)| units::seconds(at.elapsed())).unwrap_or_default();
        self.say(id, word, &format!("{took} {more}"));
    }

    fn say(&self, id: ActionId, word: &str, more: &str) {
        let line = format!("{word:7} {}  {more}", self.describe(id));
        print(self.bars.as_ref().map(|(all, _)| all), line.trim_end());
    }

    fn describe(&self, id: ActionId) -> String {
        self.plan.actions.get(id).map_or_else(|| id.to_string(), describe)
    }

    fn lock(
        &self,
    ) -> std::sync::MutexGuard<'_, BTreeMap<ActionId, (Instant, Option<ProgressBar>)>> {
        self.running.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn print(bars: Option<&MultiProgress>, line: &str) {
    match bars {
        // A terminal that is gone shows nothing.
        Some(all) => drop(all.println(line)),
        None => output::errors(&format!("{line}\n")),
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn describe(action: &Action) -> String {
    let what = match &action.kind {
        ActionKind::Clone { source, .. } => format!("clone {source} → {}", action.vmid),
        ActionKind::Migrate { target, .. } => format!("migrate {} → {target}", action.vmid),
        ActionKind::Resize { disk, size } => {
            format!("resize {} {disk} to {}", action.vmid, units::bytes(*size))
        }
        other => format!("{} {}", other.verb(), action.vmid),
    };
    format!("{}  {what} on {}", action.address, action.node)
}
