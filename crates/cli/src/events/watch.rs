//! One run as those see it who watch.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use pvx_core::execute::course::{Course, Summary};
use pvx_core::execute::stream::{self, Body, Ended, Ending, Frame, Header, InShort, Trouble};
use pvx_core::execute::{Estimates, Event, Limits, Outcome, Sink, Stop};
use pvx_core::plan::Plan;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

use super::WatchOptions;
use super::clock;
use super::file::EventFile;
use super::readers::Reader;
use crate::args::Format;
use crate::exit::{CliError, Code};
use crate::output::{self, frame};
use crate::signals;
use crate::view::live;

/// A frame is drawn again so often at most.
const SOONEST: Duration = Duration::from_millis(100);

/// Clocks move so often.
const LATEST: Duration = Duration::from_secs(1);

/// Those who watch a run.
#[derive(Clone)]
pub(crate) struct Watch(Arc<Shared>);

/// What the executor, the drawing of frames and the command have in common.
struct Shared {
    reader: Reader,
    file: Option<EventFile>,
    run: Mutex<Run>,
    stop: OnceLock<watch::Receiver<Stop>>,
}

/// What is known of the run.
struct Run {
    course: Course,
    /// When the first plan began.
    began: Option<Instant>,
    /// How long it took, when it is over.
    took: Option<Duration>,
    /// Is a plan carried out right now?
    busy: bool,
    /// Who draws the frame.
    drawer: Option<AbortHandle>,
    /// The first line, until it is written.
    header: Option<Header>,
    blocked: bool,
    conclusion: Option<Conclusion>,
    /// Tasks by action: those of later plans are numbered on.
    tasks: BTreeMap<u32, String>,
    /// The number of the current plan's first action, and of the next one's.
    numbers: (u32, u32),
}

/// What became of a run that began.
#[derive(Debug, Clone)]
pub(crate) struct Conclusion {
    /// In one word.
    pub(crate) outcome: Outcome,
    /// Is everything as the documents say? Absent when nobody looked.
    pub(crate) converged: Option<bool>,
    /// Tasks that were left running.
    pub(crate) still_running: Vec<String>,
}

impl Watch {
    /// Before anything is changed: a file that cannot be written is an error here.
    pub(crate) fn open(options: &WatchOptions, format: Format) -> Result<Self, CliError> {
        let reader = match (options.plain, format) {
            (true, _) => Reader::Stamped,
            (false, Format::Human) if output::can_redraw() => Reader::Terminal(Arc::default()),
            _ => Reader::Lines,
        };
        let file = options.events.as_deref().map(EventFile::create).transpose()?;
        let run = Run {
            course: Course::default(),
            began: None,
            took: None,
            busy: false,
            drawer: None,
            header: None,
            blocked: false,
            conclusion: None,
            tasks: BTreeMap::new(),
            numbers: (0, 0),
        };
        let watch =
            Self(Arc::new(Shared { reader, file, run: Mutex::new(run), stop: OnceLock::new() }));
        Ok(watch)
    }

    /// The plan is made; nothing is begun.
    pub(crate) fn planned(&self, plan: &Plan) {
        let mut run = self.run();
        run.blocked = plan.is_blocked();
        run.header = Some(header(plan, &Estimates::default()));
    }

    /// A plan is about to be carried out: the first, or one that was made because the world moved.
    pub(crate) fn begins(&self, plan: &Plan, limits: &Limits, estimates: &Estimates) {
        let mut run = self.run();
        let began = *run.began.get_or_insert_with(Instant::now);
        run.course.round(began.elapsed(), plan, limits, estimates);
        run.busy = true;
        let first = run.numbers.1;
        let actions = u32::try_from(plan.actions.len()).unwrap_or(u32::MAX);
        run.numbers = (first, first.saturating_add(actions));
        let Some(round) = run.course.current() else { return };
        self.0.reader.begins(&run.course, round);
        if let Some(file) = &self.0.file {
            let frame = match round.number {
                1 => Frame::Run(Box::new(header(plan, estimates))),
                _ => Frame::Round { plan: InShort::new(plan, estimates) },
            };
            file.write(round.number, Body::Run(frame));
        }
        run.header = None;
        if let Reader::Terminal(changed) = &self.0.reader {
            let drawer = tokio::spawn(draw(Arc::downgrade(&self.0), changed.clone()));
            run.drawer = Some(drawer.abort_handle());
        }
    }

    /// The plan has been carried out, as far as it was: the frame goes.
    pub(crate) fn rests(&self) {
        let mut run = self.run();
        run.busy = false;
        run.took = run.began.map(|began| began.elapsed());
        if let Some(drawer) = run.drawer.take() {
            drawer.abort();
        }
        if matches!(self.0.reader, Reader::Terminal(_)) {
            frame::show(Vec::new());
        }
    }

    /// Ctrl-C and SIGTERM from the first call on; the same for all plans of the run.
    pub(crate) fn stop(&self) -> watch::Receiver<Stop> {
        let listen = || {
            let watch = self.clone();
            signals::listen(move |stop| watch.stopping(stop))
        };
        self.0.stop.get_or_init(listen).clone()
    }

    fn stopping(&self, stop: Stop) {
        let mut run = self.run();
        if !run.busy {
            return;
        }
        run.course.stopping(stop);
        self.0.reader.stopping(&run.course, stop);
        let round = run.course.current().map_or(0, |round| round.number);
        if let Some(file) = &self.0.file {
            file.write(round, Body::Run(Frame::Stopping { how: stop }));
        }
    }

    /// What the run came to; absent when nothing was begun.
    pub(crate) fn summary(&self) -> Option<Summary> {
        let run = self.run();
        let now = run.took.or_else(|| run.began.map(|began| began.elapsed()))?;
        Some(run.course.summary(now))
    }

    /// The task of an action of the last plan.
    pub(crate) fn upid(&self, action: pvx_core::plan::ActionId) -> Option<String> {
        self.run().tasks.get(&action.0).cloned()
    }

    /// What became of the run, for its last line.
    pub(crate) fn concludes(&self, conclusion: Conclusion) {
        self.run().conclusion = Some(conclusion);
    }

    /// The last line, whatever became of the command.
    pub(crate) fn close(&self, result: &Result<Code, CliError>) {
        let summary = self.summary();
        let mut run = self.run();
        let Some(file) = &self.0.file else { return };
        let round = run.course.current().map_or(0, |round| round.number);
        if let Some(header) = run.header.take() {
            file.write(round, Body::Run(Frame::Run(Box::new(header))));
        }
        let ended = ended(&run, result, summary);
        file.write(round, Body::Run(Frame::Ended(Box::new(ended))));
    }

    fn run(&self) -> MutexGuard<'_, Run> {
        self.0.run()
    }
}

impl Sink for Watch {
    fn event(&self, event: &Event) {
        let mut run = self.run();
        let now = run.began.map(|began| began.elapsed()).unwrap_or_default();
        run.course.event(now, event);
        if let Event::Task { action, upid } = event {
            let number = run.numbers.0.saturating_add(action.0);
            run.tasks.insert(number, upid.clone());
        }
        let Some(round) = run.course.current() else { return };
        self.0.reader.event(round, now, event);
        if let Some(file) = &self.0.file {
            file.write(round.number, Body::Action(event.clone()));
        }
    }
}

impl Shared {
    fn run(&self) -> MutexGuard<'_, Run> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Draws the frame; false when there is nothing to draw any more.
    fn draw(&self) -> bool {
        let run = self.run();
        if !run.busy {
            return false;
        }
        let now = run.began.map(|began| began.elapsed()).unwrap_or_default();
        // Under the lock, so that no frame appears after the last one was taken away.
        frame::show(live::frame(&run.course, now, frame::size()));
        true
    }
}

/// Draws when something happened, when a second is over, and when the terminal has another size.
async fn draw(shared: std::sync::Weak<Shared>, changed: Arc<Notify>) {
    let mut resized = signal(SignalKind::window_change()).ok();
    loop {
        let resize = async {
            match resized.as_mut() {
                Some(resized) => resized.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = changed.notified() => {}
            () = tokio::time::sleep(LATEST) => {}
            _ = resize => frame::redraw(),
        }
        match shared.upgrade() {
            Some(shared) if shared.draw() => {}
            _ => return,
        }
        tokio::time::sleep(SOONEST).await;
    }
}

fn header(plan: &Plan, estimates: &Estimates) -> Header {
    Header {
        schema: stream::VERSION,
        pvx: env!("CARGO_PKG_VERSION").to_owned(),
        run: clock::run_name(),
        cluster: plan.cluster.clone(),
        intent: plan.intent,
        profiles: plan.profiles.iter().map(|profile| profile.key.clone()).collect(),
        plan: InShort::new(plan, estimates),
    }
}

fn ended(run: &Run, result: &Result<Code, CliError>, summary: Option<Summary>) -> Ended {
    let conclusion = run.conclusion.as_ref();
    let ending = match (conclusion, result) {
        (Some(conclusion), _) => conclusion.outcome.into(),
        (None, _) if run.blocked => Ending::Blocked,
        (None, Ok(Code::Success)) => Ending::Unchanged,
        (None, Err(CliError::Refused { .. } | CliError::Stale { .. })) => Ending::Refused,
        (None, _) => Ending::Error,
    };
    let (code, error) = match result {
        Ok(code) => (*code, None),
        Err(error) => {
            let trouble = Trouble { message: error.text(), help: error.help() };
            (error.code(), Some(trouble))
        }
    };
    Ended {
        result: ending,
        exit_code: code.number(),
        converged: conclusion.and_then(|conclusion| conclusion.converged),
        error,
        still_running: conclusion.map(|c| c.still_running.clone()).unwrap_or_default(),
        summary,
    }
}
