//! What a run is for: documents, or a plan that was saved.

use std::path::Path;

use pvx_core::plan::Intent;
use pvx_core::plan::saved::Saved;
use pvx_core::planner::Options;
use pvx_core::state::Folder;

use crate::args::RunOptions;
use crate::saved::{self, Stage};

/// What is to be done.
pub(in crate::command) enum Work<'a> {
    /// What the documents say.
    Documents {
        /// What is said to one command alone.
        wishes: Options,
        /// Apply or destroy.
        intent: Intent,
    },
    /// A plan that was saved.
    Saved {
        /// Its file.
        path: &'a Path,
        /// What is in it.
        saved: &'a Saved,
    },
}

impl Work<'_> {
    pub(super) fn intent(&self) -> Intent {
        match self {
            Self::Documents { intent, .. } => *intent,
            Self::Saved { saved, .. } => saved.plan.intent,
        }
    }

    pub(super) fn options(&self, run: &RunOptions) -> Options {
        match self {
            Self::Documents { wishes, .. } => planner_options(run, wishes.clone()),
            Self::Saved { saved, .. } => saved_options(run, saved),
        }
    }

    /// A saved plan that is applied once more is told how far it came.
    pub(super) fn remember(&self, folder: &Folder, stage: Stage) {
        if let Self::Saved { saved, .. } = self {
            saved::remember(folder, saved, stage, saved::now());
        }
    }
}

/// What both commands say, and what is said to one of them alone.
fn planner_options(run: &RunOptions, wishes: Options) -> Options {
    let chosen = run.shutdown.chosen();
    let options = Options {
        targets: run.target.clone(),
        shutdown_timeout: chosen.shutdown_timeout,
        force_stop: chosen.force_stop,
        applying: true,
        ..wishes
    };
    run.policy.to(options)
}

/// What the plan was made with; when it is carried out, policy can be told more.
fn saved_options(run: &RunOptions, saved: &Saved) -> Options {
    let made_with = &saved.options;
    let fewest = [made_with.max_destroy, run.policy.max_destroy].into_iter().flatten().min();
    let now = run.policy.ignore_window.as_ref();
    Options {
        applying: true,
        max_destroy: fewest,
        ignore_window: now.or(made_with.ignore_window.as_ref()).cloned(),
        seats: saved.seats(),
        ..made_with.clone()
    }
}
