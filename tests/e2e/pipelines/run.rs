//! What a pipeline came to.

use std::collections::BTreeMap;

/// How a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Success,
    Failure,
    Skipped,
    /// For somebody who approves.
    Waits,
}

#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) state: State,
    /// Exit code of the script that failed, or 0.
    pub(crate) code: i32,
    pub(crate) log: String,
    pub(crate) outputs: BTreeMap<String, String>,
}

impl Job {
    pub(crate) fn unstarted(state: State) -> Self {
        Self { state, code: 0, log: String::new(), outputs: BTreeMap::new() }
    }

    /// Expects how it ended, and shows its log when it is otherwise.
    #[track_caller]
    pub(crate) fn expect(&self, state: State, code: i32) -> &Self {
        assert_eq!((self.state, self.code), (state, code), "\n{}", self.log);
        self
    }
}

/// Something that happened on the forge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// Request 1 was opened or pushed to.
    Request,
    /// `main` went forward.
    Push,
    /// The nightly schedule.
    Schedule,
    /// Somebody started a workflow, with values of its inputs.
    Dispatch(BTreeMap<String, String>),
}

impl Event {
    /// As GitHub and Forgejo name it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Request => "pull_request",
            Self::Push => "push",
            Self::Schedule => "schedule",
            Self::Dispatch(_) => "workflow_dispatch",
        }
    }
}
