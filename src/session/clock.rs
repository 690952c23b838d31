//! The worker's clock against ours, from its answers.
//!
//! An answer tells the difference to within half of the time it took: a worker that was busy for three
//! seconds before it answered is off by up to one and a half. So the quickest answer is believed,
//! until one comes that cannot be reconciled with it: then a clock was set, or has gone its own way.

use std::time::Duration;

use crate::time::Stamp;

/// As the best answer has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Answer {
    /// The worker's clock minus ours, if both ways took the same time.
    offset: Stamp,
    took: Stamp,
}

#[derive(Debug, Default)]
pub(super) struct Clock {
    /// `None` before the first answer.
    best: Option<Answer>,
}

impl Clock {
    /// The worker's clock minus ours.
    pub(super) fn offset(&self) -> Stamp {
        self.best.map_or(0, |best| best.offset)
    }

    /// It was asked at `sent` of our clock, and its own said `theirs` at some time while that took so long.
    pub(super) fn heard(&mut self, sent: Stamp, theirs: Stamp, took: Duration) {
        let took = Stamp::try_from(took.as_nanos()).unwrap_or(Stamp::MAX);
        let offset = theirs.saturating_sub(sent.saturating_add(took / 2));
        let answer = Answer { offset, took };
        let worse = |best: Answer| best.took < took && best.agrees(answer);
        if !self.best.is_some_and(worse) {
            self.best = Some(answer);
        }
    }
}

impl Answer {
    /// Whether one difference of the clocks explains both.
    fn agrees(self, other: Answer) -> bool {
        let apart = self.offset.abs_diff(other.offset);
        apart <= (self.took / 2).unsigned_abs() + (other.took / 2).unsigned_abs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Stamp = 1_000_000;

    /// Asked at `sent`, the worker looks at its clock after `there`, and the answer is back after `took`; all
    /// in milliseconds, and its clock `ahead` of ours.
    fn ask(clock: &mut Clock, sent: i64, ahead: i64, there: i64, took: u64) {
        let theirs = (sent + there + ahead) * MS;
        clock.heard(sent * MS, theirs, Duration::from_millis(took));
    }

    /// The answer to a ping that waited for the worker's sweep put its clock seconds ahead, and with it
    /// the times of all that came home.
    #[test]
    fn a_late_answer_does_not_move_the_clock() {
        let mut clock = Clock::default();
        assert_eq!(clock.offset(), 0);
        // The greeting, behind a login.
        ask(&mut clock, 0, 500, 4990, 5000);
        assert_eq!(clock.offset(), 2990 * MS);
        ask(&mut clock, 5000, 500, 1, 2);
        assert_eq!(clock.offset(), 500 * MS);
        ask(&mut clock, 35_000, 500, 2999, 3000);
        assert_eq!(clock.offset(), 500 * MS);
        ask(&mut clock, 65_000, 500, 3, 4);
        assert_eq!(clock.offset(), 500 * MS);
    }

    #[test]
    fn a_clock_that_was_set_is_believed() {
        let mut clock = Clock::default();
        ask(&mut clock, 0, 500, 1, 2);
        ask(&mut clock, 30_000, 3_600_000, 5, 10);
        assert_eq!(clock.offset(), 3_600_000 * MS);
        ask(&mut clock, 60_000, 0, 1500, 3000);
        assert_eq!(clock.offset(), 0);
    }
}
