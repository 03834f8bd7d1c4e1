//! What a terminal shows while a plan is carried out: a frame that is drawn over itself, and the
//! lines that stay. The frame is a pure function of the course, the time and the size.

mod lasting;
mod row;
mod running;
mod status;
#[cfg(test)]
mod tests;
mod waiting;

pub(crate) use lasting::lasting;
pub(super) use row::flat;

use std::time::Duration;

use pvx_core::execute::course::Course;

use row::Row;

/// Columns and rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    /// Columns that a line has at most.
    pub(crate) width: usize,
    /// Rows of the terminal. The frame leaves some of them to the lines that stay.
    pub(crate) height: usize,
}

impl Size {
    /// Rows that the frame has at most.
    fn rows(self) -> usize {
        match self.height {
            0..=12 => self.height.saturating_sub(1),
            height => height - 4,
        }
    }
}

/// The frame `now`, so long after the run began: lines without their ends, none wider than `width`,
/// never as many as `height`. None when nothing is carried out.
pub(crate) fn frame(course: &Course, now: Duration, size: Size) -> Vec<String> {
    let Some(round) = course.current() else { return Vec::new() };
    let status = status::rows(course, round, now, size);
    let room = size.rows().saturating_sub(status.len());
    let mut waiting = waiting::rows(course, round);
    waiting.truncate(match room {
        0..6 => 0,
        6..14 => 2,
        _ => 4,
    });
    let running = running::rows(round, now, room - waiting.len());
    let all = running.into_iter().chain(waiting).chain(status);
    all.take(size.rows()).map(|row| row.fit(size.width)).collect()
}

/// A heading over rows.
fn heading(text: &str) -> Row {
    Row::default().bold(text)
}
