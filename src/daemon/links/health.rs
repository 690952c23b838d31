//! What becomes of a worker when a connection comes or goes.
//!
//! A worker that cannot be reached is left alone for a pause that grows; a connection that stood and
//! broke is made again at once, unless that has just happened. Jobs that wait are told either way.

use std::time::Duration;

use super::MasterId;
use crate::daemon::Daemon;
use crate::error::Error;
use crate::fleet::ONE_CAUSE;
use crate::ids::{JobId, LaneKey, SessionId, WorkerId};
use crate::session::State;

/// A second loss of a standing connection within this is no accident.
const AGAIN: Duration = Duration::from_secs(5);

impl Daemon {
    /// The worker could not be reached: it is left alone for a while, and jobs do not wait for it.
    pub(super) fn cannot_connect(&mut self, id: &WorkerId, error: &Error) {
        let now = self.now;
        let waiting: Vec<JobId> = self
            .jobs
            .iter()
            .filter(|(_, j)| j.waits_for(id))
            .map(|(id, _)| *id)
            .collect();
        let Some(worker) = self.worker(id) else {
            return;
        };
        let until = worker.backoff.failed(now);
        worker.down = Some((format!("cannot be reached ({})", error.text()), until));
        worker.failures += 1;
        self.event(format_args!("worker {id}: {}", error.text()));
        for job in waiting {
            self.lose(
                job,
                &format!("worker {id} cannot be reached: {}", error.text()),
                true,
            );
        }
        self.probe_failed(id, error);
    }

    /// A connection that stood has gone: another one is made at once, unless that has just happened.
    /// Jobs that wait for a session there go on waiting.
    pub(super) fn idle_lost(&mut self, name: &WorkerId, error: &Error) {
        let now = self.now;
        let Some(worker) = self.worker(name) else {
            return;
        };
        match worker.lost.map(|at| now.duration_since(at)) {
            // A master and its sessions go together.
            Some(since) if since < ONE_CAUSE => return,
            Some(since) if since < AGAIN => return self.cannot_connect(name, error),
            _ => worker.lost = Some(now),
        }
        self.event(format_args!(
            "worker {name}: {}; connecting again",
            error.text()
        ));
    }

    pub(super) fn greeted(&mut self, id: SessionId) {
        let now = self.now;
        let session = &self.sessions[&id];
        let (name, facts) = (session.worker.clone(), session.facts().clone());
        let version = session.version().to_owned();
        let Some(worker) = self.worker(&name) else {
            return;
        };
        let news = worker.facts.is_none() || worker.down.is_some();
        if worker.conf.total_slots == 0 {
            worker.slots.set_total(facts.cpus);
        }
        worker.facts = Some(facts);
        worker.version = version;
        worker.down = None;
        worker.backoff.connected(now);
        if news {
            let slots = worker.slots.total();
            self.event(format_args!("worker {name}: online ({slots} slots)"));
            self.tally();
        }
    }

    /// The worker has these lanes. What is remembered of others would draw jobs to it that find
    /// nothing there.
    pub(super) fn lanes_there(&mut self, id: SessionId, there: &[(LaneKey, u16)]) {
        let worker = self.sessions[&id].worker.clone();
        for (key, number) in self.lanes.gone(&worker, there) {
            self.event(format_args!("worker {worker}: lane {key}-{number} is gone"));
            self.lanes.forget(&worker, key, number);
            self.home.remove(&(worker.clone(), key, number));
        }
    }

    fn tally(&self) {
        let up = self
            .workers
            .iter()
            .filter(|w| w.facts.is_some() && w.down.is_none());
        let (count, slots) = up.fold((0, 0), |(n, s), w| (n + 1, s + w.slots.total()));
        let s = if count == 1 { "" } else { "s" };
        self.event(format_args!("{count} worker{s} online ({slots} slots)"));
    }

    /// A pong, or a lane given back.
    pub(super) fn sign_of_life(&mut self, id: SessionId) {
        let (name, latency) = (
            self.sessions[&id].worker.clone(),
            self.sessions[&id].latency(),
        );
        if let Some(worker) = self.worker(&name) {
            worker.latency = latency.or(worker.latency);
        }
        self.probe_answered(id);
    }

    pub(super) fn session_lost(
        &mut self,
        id: SessionId,
        (was, job): (State, Option<JobId>),
        error: &Error,
    ) {
        let name = self.sessions[&id].worker.clone();
        if let Some(carrier) = self.sessions[&id].silent_carrier() {
            self.end_hung(MasterId(carrier));
        }
        match job {
            Some(job) => {
                self.event(format_args!(
                    "worker {name}: lost in job {job}: {}",
                    error.text()
                ));
                self.lose(
                    job,
                    &format!("worker {name} was lost: {}", error.text()),
                    true,
                );
            }
            None if was == State::Connecting => self.cannot_connect(&name, error),
            None => self.idle_lost(&name, error),
        }
    }
}
