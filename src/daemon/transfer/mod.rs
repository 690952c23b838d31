//! Moves a job's files: there before it runs, back after it.
//!
//! `there` writes the difference to what the lane holds to the session without waiting for answers,
//! as `order` has the crew make it; `crates` sends what the worker's registry
//! lacks; `bulk` fills a new lane of a large project by rsync first; `back` brings home what
//! the job made. Here stand what they share: where a job's files are at any moment.

mod back;
mod bulk;
mod crates;
mod order;
mod there;

use std::time::Instant;

use super::Daemon;
use crate::feed::Feed;
use crate::ids::JobId;
use crate::landing::Landing;
use crate::poll::Ready;
use crate::wire::worker::Held;

pub(super) use back::{Chosen, Landed, remember};
pub(super) use bulk::Rescan;
pub(super) use crates::{Crates, Seeded};
pub(super) use order::Fed;

/// File content that may wait for the crew.
const PENDING: usize = 1 << 20;

/// Where a job's files are.
pub(super) enum Transfer {
    /// Nothing moves.
    Idle,
    /// Crates go to the worker's registry: the crew or the worker is at it, or the link has not taken
    /// what was packed last.
    Seeding(Option<Box<Feed>>),
    /// The crew prepares what is sent next.
    Preparing,
    /// Prepared further than the link takes.
    Waiting(Box<Feed>),
    /// The worker says what the lane holds.
    Listing(Vec<Held>),
    /// rsync fills the lane.
    Rsync(Box<bulk::Rsync>),
    /// `landing` is `None` while the crew has it.
    Landing {
        landing: Option<Box<Landing>>,
        pending: Vec<u8>,
        fetched: bool,
    },
}

impl Transfer {
    pub(super) fn takes_files(&self) -> bool {
        match self {
            Transfer::Landing { pending, .. } => pending.len() < PENDING,
            _ => true,
        }
    }

    pub(super) fn note_rsync(&mut self, ready: Ready) {
        if let Transfer::Rsync(rsync) = self {
            rsync.note(ready);
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Transfer::Rsync(rsync) => rsync.deadline(),
            _ => None,
        }
    }
}

impl Daemon {
    /// Whatever moves by itself.
    pub(super) fn tend_transfer(&mut self, id: JobId) {
        let Some(attempt) = self.jobs.get_mut(&id).and_then(|j| j.attempt.as_mut()) else {
            return;
        };
        match &attempt.transfer {
            Transfer::Seeding(Some(_)) => self.seed_on(id),
            Transfer::Waiting(_) => self.feed_on(id),
            Transfer::Rsync(_) => self.tend_rsync(id),
            _ => {}
        }
    }

    fn attempt(&mut self, id: JobId) -> &mut super::jobs::Attempt {
        let job = self
            .jobs
            .get_mut(&id)
            .expect("BUG: a transfer without a job");
        job.attempt
            .as_mut()
            .expect("BUG: a transfer without an attempt")
    }
}
