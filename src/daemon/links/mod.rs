//! Keeps workers reachable: ssh masters, the pool of sessions, and what is known of each worker.
//!
//! Connecting is limited (sshd drops the fifth of a burst), failing is followed by a growing pause,
//! and nothing here ever waits. The rooms: `worker` is one of them and whether it takes jobs,
//! `roster` who belongs to the fleet, `masters` and `sessions` the connections, `health` what becomes
//! of a worker when one comes or goes.

mod health;
mod masters;
mod roster;
mod sessions;
mod worker;

use crate::session::{Session, State};

use super::Daemon;

pub(super) use worker::Worker;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct MasterId(pub(super) u64);

impl Session {
    pub(super) fn has_work(&self) -> bool {
        self.state() != State::Dead && self.wants_turn()
    }
}

impl Daemon {
    /// Masters and sessions: reaps, gives up, opens what is wanted.
    pub(super) fn tend_links(&mut self) {
        let now = self.now;
        for at in 0..self.workers.len() {
            self.tend_masters(at);
        }
        for session in self.sessions.values_mut() {
            session.tend(now);
        }
        self.sessions.retain(|_, s| !s.is_gone());
        for at in 0..self.workers.len() {
            self.open_wanted(at);
        }
        self.end_surplus();
        self.drop_departed();
    }
}
