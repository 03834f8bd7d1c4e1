//! What is said of a run on standard error.

use std::sync::Arc;
use std::time::Duration;

use pvx_core::execute::course::{Course, Round};
use pvx_core::execute::{Event, Stop};
use tokio::sync::Notify;

use super::clock;
use crate::output;
use crate::view::live;
use crate::view::plain::{self, Detail};

/// Who reads standard error.
#[derive(Debug, Clone)]
pub(super) enum Reader {
    /// A person at a terminal; told when there is something new to draw.
    Terminal(Arc<Notify>),
    /// A log that has times of its own, or needs none.
    Lines,
    /// A log that is told everything, with times.
    Stamped,
}

impl Reader {
    pub(super) fn begins(&self, course: &Course, round: &Round) {
        match self {
            Self::Terminal(changed) => changed.notify_one(),
            Self::Lines => {}
            Self::Stamped => self.say(&plain::begins(course, round)),
        }
    }

    pub(super) fn event(&self, round: &Round, now: Duration, event: &Event) {
        match self {
            Self::Terminal(changed) => {
                let text = live::lasting(round, now, event);
                if !text.is_empty() {
                    output::errors(&text);
                }
                changed.notify_one();
            }
            Self::Lines => self.lines(plain::lines(round, now, event, Detail::Ends)),
            Self::Stamped => self.lines(plain::lines(round, now, event, Detail::All)),
        }
    }

    pub(super) fn stopping(&self, course: &Course, stop: Stop) {
        match self {
            Self::Terminal(changed) => changed.notify_one(),
            Self::Lines | Self::Stamped => self.say(&plain::stopping(course, stop)),
        }
    }

    fn lines(&self, lines: Vec<String>) {
        lines.iter().for_each(|line| self.say(line));
    }

    fn say(&self, line: &str) {
        match self {
            Self::Stamped => output::errors(&format!("{}  {line}\n", clock::stamp())),
            _ => output::errors(&format!("{line}\n")),
        }
    }
}
