//! A job's life as one enum and one function that makes every transition.
//!
//! It holds no data of the job: what a stage needs travels in the daemon's own struct. What is here
//! is which stage may follow which, so that a forgotten case is a panic in a test and not a slot
//! that never comes back.

use std::fmt;

use crate::ids::WorkerId;

/// How many workers are tried before the clients are.
const ATTEMPTS: usize = 2;

/// Workers that had the job and lost it.
#[derive(Debug, Clone, Default)]
pub struct Tries(Vec<WorkerId>);

impl Tries {
    /// Enters a loss. True if another worker is to be tried.
    pub fn again_after(&mut self, worker: &WorkerId) -> bool {
        self.0.push(worker.clone());
        self.0.len() < ATTEMPTS
    }

    pub fn failed_on(&self, worker: &str) -> bool {
        self.0.iter().any(|w| w.as_str() == worker)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The crew finds the project, its files and its compiler.
    Scanning,
    /// Waits for slots.
    Queued,
    /// Has slots on a worker; waits for a session there.
    Connecting,
    /// Its files are on the way.
    Syncing,
    /// The command runs on the worker.
    Running,
    /// The command has ended; its products come home.
    Returning,
    /// Nobody wants it any more; the worker is being told.
    Cancelling,
    /// Over, one way or another.
    Done(Outcome),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Ran on a worker to its own end, good or bad.
    Remote,
    /// Its clients run it themselves.
    Local,
    /// Nobody waited for it.
    Cancelled,
}

impl Stage {
    /// Moves on to `next`.
    ///
    /// # Panics
    /// With BUG if `next` cannot follow.
    pub fn advance(&mut self, next: Stage) {
        assert!(
            self.may_become(next),
            "BUG: a job cannot go from {self} to {next}"
        );
        *self = next;
    }

    fn may_become(self, next: Stage) -> bool {
        use Stage::{Cancelling, Connecting, Done, Queued, Returning, Running, Scanning, Syncing};
        match (self, next) {
            // What the lane was to hold cannot be made there, and is looked for here.
            (Syncing, Scanning) => true,
            (Done(_), _) | (_, Scanning) => false,
            (Scanning, Queued)
            | (Queued, Connecting)
            | (Connecting, Syncing)
            | (Syncing, Running)
            | (Running, Returning)
            // Another worker is tried after one has failed.
            | (Connecting | Syncing | Running | Returning, Queued) => true,
            (Syncing | Running | Returning, Cancelling) => true,
            (Returning, Done(Outcome::Remote)) => true,
            (_, Done(Outcome::Local)) => true,
            (_, Done(Outcome::Cancelled)) => true,
            _ => false,
        }
    }

    pub fn is_over(self) -> bool {
        matches!(self, Stage::Done(_))
    }

    /// Whether the result will be there for somebody who comes now.
    pub fn may_be_joined(self) -> bool {
        !self.is_over() && self != Stage::Cancelling
    }

    /// The words of `rch status`.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Scanning => "scanning",
            Stage::Queued => "queued",
            Stage::Connecting => "connecting",
            Stage::Syncing => "syncing",
            Stage::Running => "running",
            Stage::Returning => "returning",
            Stage::Cancelling => "cancelling",
            Stage::Done(Outcome::Remote) => "done",
            Stage::Done(Outcome::Local) => "local",
            Stage::Done(Outcome::Cancelled) => "cancelled",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_life_and_one_with_a_retry() {
        let mut s = Stage::Scanning;
        for next in [
            Stage::Queued,
            Stage::Connecting,
            Stage::Syncing,
            Stage::Scanning,
            Stage::Queued,
            Stage::Connecting,
            Stage::Syncing,
            Stage::Running,
            Stage::Queued,
            Stage::Connecting,
            Stage::Syncing,
            Stage::Running,
            Stage::Returning,
            Stage::Done(Outcome::Remote),
        ] {
            s.advance(next);
        }
        assert!(s.is_over());
    }

    #[test]
    #[should_panic(expected = "BUG: a job cannot go from done to queued")]
    fn the_dead_stay_dead() {
        Stage::Done(Outcome::Remote).advance(Stage::Queued);
    }

    #[test]
    fn local_is_possible_from_everywhere() {
        use Stage::*;
        for mut s in [
            Scanning, Queued, Connecting, Syncing, Running, Returning, Cancelling,
        ] {
            s.advance(Done(Outcome::Local));
        }
    }
}
