//! How jobs end: finished, lost and tried again, sent home, cancelled.
//!
//! Every way out passes through `release` and `settle`, which give lane, session and slots back; a
//! way that forgot one of them would lose it for good.

use std::time::Duration;

use super::shown::clip;
use crate::daemon::transfer::Transfer;
use crate::daemon::{Daemon, RECENT};
use crate::ids::JobId;
use crate::job::{Outcome, Stage};
use crate::sched::Waiting;
use crate::sys::process::Exit;
use crate::time;
use crate::wire::status;
use crate::wire::worker::Fault;

/// The status of a job that took too long, as timeout(1) has it.
const TIMED_OUT: u8 = 124;

impl Daemon {
    /// Everything has arrived: the job ends as its command did.
    pub(in crate::daemon) fn finish(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        let Some(attempt) = &job.attempt else { return };
        let mut exit = attempt.exit.unwrap_or(Exit::Code(0));
        if job.stage == Stage::Cancelling && !attempt.timed_out {
            return self.cancelled(id);
        }
        if attempt.killed && exit == Exit::Signal(9) {
            // Our own impatience; what the user did was this.
            exit = Exit::Signal(attempt.stopped_by.unwrap_or(9));
        }
        if attempt.timed_out {
            exit = Exit::Code(TIMED_OUT);
            let limit = job
                .survey
                .as_ref()
                .and_then(|s| s.timeout)
                .unwrap_or_default();
            job.note(format!(
                "stopped after {}, the limit for its kind",
                time::human(limit)
            ));
            job.stage = Stage::Returning;
        }
        match job.to_run(exit) {
            Ok(here) => job.here = here,
            Err(error) => return self.local(id, error.text()),
        }
        job.exit = Some(exit);
        job.stage.advance(Stage::Done(Outcome::Remote));
        self.measured(id);
        let now = self.now;
        let Some(job) = self.jobs.get(&id) else {
            return;
        };
        let (worker, elapsed) = (job.worker().cloned(), job.begun.elapsed());
        if let Some(worker) = worker.and_then(|w| self.worker(&w)) {
            worker.done += 1;
            worker.health.success(now);
        }
        self.event(format_args!(
            "job {id}: status {} after {}",
            exit.status(),
            time::human(elapsed)
        ));
        self.release(id, true);
        self.settle(id);
    }

    /// A job has run to its end on a worker: that is a time, and perhaps time saved.
    pub(super) fn measured(&mut self, id: JobId) {
        let job = &self.jobs[&id];
        let (Some(task), Some(attempt)) = (job.task(), &job.attempt) else {
            return;
        };
        if attempt.stopped_by.is_some() || attempt.timed_out || job.bench.is_some() {
            return;
        }
        let took = time::millis(self.now.duration_since(attempt.begun));
        let good = job.exit.is_some_and(Exit::success);
        let saved = self.keep.history.ran_there(task, took, good, time::now());
        self.totals.saved_ms += saved.unwrap_or(0);
        self.keep.changed(self.now);
    }

    /// The worker could not do its part. Another one is tried, then the clients.
    pub(in crate::daemon) fn lose(&mut self, id: JobId, reason: &str, blame: bool) {
        let now = self.now;
        let Some(job) = self.jobs.get_mut(&id).filter(|j| !j.stage.is_over()) else {
            return;
        };
        if job.stage == Stage::Cancelling {
            let timed_out = job.attempt.as_ref().is_some_and(|a| a.timed_out);
            return if timed_out {
                self.finish(id)
            } else {
                self.cancelled(id)
            };
        }
        let Some(attempt) = &job.attempt else {
            return self.local(id, reason);
        };
        let worker = attempt.worker.clone();
        let again = job.tries.again_after(&worker);
        if blame && let Some(worker) = self.worker(&worker) {
            worker.failures += 1;
            worker.health.failure(now, reason);
        }
        self.release(id, false);
        if !again {
            return self.local(id, reason);
        }
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        if !job.spool.is_empty() {
            job.note(format!(
                "{reason}; starting again elsewhere, what was shown so far is void"
            ));
        }
        job.stage.advance(Stage::Queued);
        reason.clone_into(&mut job.reason);
        let survey = job.survey.as_ref().expect("BUG: lost without a survey");
        let until = now + Duration::from_millis(survey.config.compilation.queue_timeout_ms);
        self.queue.push(Waiting {
            job: id,
            priority: survey.priority,
            until,
        });
    }

    /// The worker says why it cannot.
    pub(in crate::daemon) fn failed(&mut self, id: JobId, fault: Fault, text: &str) {
        let Some(job) = self.jobs.get(&id) else {
            return;
        };
        let worker = job
            .attempt
            .as_ref()
            .map_or(String::new(), |a| a.worker.to_string());
        if fault == Fault::NoTool {
            self.note_missing(id, text);
        }
        let text = &clip(text);
        let blame = matches!(fault, Fault::Protocol | Fault::System | Fault::DiskFull);
        self.event(format_args!("job {id}: worker {worker}: {text}"));
        if fault == Fault::Install && self.send_packages(id, &format!("worker {worker}: {text}")) {
            return;
        }
        self.lose(id, &format!("worker {worker}: {text}"), blame);
    }

    /// Jobs that need the same programs are not sent there again, until it connects anew.
    fn note_missing(&mut self, id: JobId, text: &str) {
        let now = self.now;
        let Some(job) = self.jobs.get(&id) else {
            return;
        };
        let (Some(survey), Some(attempt)) = (&job.survey, &job.attempt) else {
            return;
        };
        let (programs, worker) = (
            survey.project.needs.programs.clone(),
            attempt.worker.clone(),
        );
        if let Some(worker) = self.worker(&worker).filter(|_| !programs.is_empty()) {
            worker.without.note(programs, clip(text), now);
        }
    }

    /// The clients run it themselves.
    pub(in crate::daemon) fn local(&mut self, id: JobId, reason: &str) {
        let Some(job) = self.jobs.get_mut(&id).filter(|j| !j.stage.is_over()) else {
            return;
        };
        let reason = match (&job.reason, reason) {
            // Nowhere else to go: the first loss is what the agent should read.
            (first, _) if !first.is_empty() => first.clone(),
            (_, reason) => reason.to_owned(),
        };
        job.stage.advance(Stage::Done(Outcome::Local));
        job.reason.clone_from(&reason);
        self.queue.remove(id);
        self.event(format_args!("job {id}: local: {reason}"));
        self.release(id, false);
        self.settle(id);
    }

    pub(super) fn cancelled(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id).filter(|j| !j.stage.is_over()) else {
            return;
        };
        let ended = job.attempt.as_ref().is_some_and(|a| a.exit.is_some());
        let stopped_by = job.attempt.as_ref().and_then(|a| a.stopped_by);
        job.exit = Some(Exit::Signal(stopped_by.unwrap_or(15)));
        job.stage.advance(Stage::Done(Outcome::Cancelled));
        self.queue.remove(id);
        self.event(format_args!("job {id}: cancelled"));
        self.release(id, ended);
        self.settle(id);
    }

    /// Gives slots, lane and session back. A session whose job has not ended is ended: its worker
    /// kills what it runs. An attempt of a job that goes on is over here, with its slots and its
    /// number; that of a job that does not is kept for the row in `rch status`.
    pub(super) fn release(&mut self, id: JobId, ended: bool) {
        let now = self.now;
        self.lanes.free(id);
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        let Some(attempt) = &mut job.attempt else {
            return;
        };
        attempt.transfer = Transfer::Idle;
        let session = attempt.session.take();
        if !job.stage.is_over() {
            job.attempt = None;
        }
        if let Some(session) = session.and_then(|s| self.sessions.get_mut(&s)) {
            match session.state() {
                crate::session::State::Busy(_) if ended => session.release(now),
                crate::session::State::Dead => {}
                _ => session.end(now),
            }
        }
    }

    /// A job is over: its slots are free from now on, its record is kept, its clients are told.
    pub(super) fn settle(&mut self, id: JobId) {
        let row = self.job_row(&self.jobs[&id]);
        self.count(id, &row);
        self.bench_ended(id);
        self.recent.push_front(row);
        self.recent.truncate(RECENT);
        if let Some(job) = self.jobs.get_mut(&id) {
            job.attempt = None;
        }
        self.bury(id);
    }

    /// Adds a job that is over to what came of all; a measurement is nobody's command.
    fn count(&mut self, id: JobId, row: &status::Job) {
        let job = &self.jobs[&id];
        if job.bench.is_some() {
            return;
        }
        match job.stage {
            Stage::Done(Outcome::Local) => {
                self.totals.local += 1;
                self.local_reasons.count(&job.reason);
            }
            Stage::Done(Outcome::Cancelled) => self.totals.cancelled += 1,
            Stage::Done(Outcome::Remote) => self.totals.remote += 1,
            stage => unreachable!("BUG: a job that is {} is over", stage.name()),
        }
        self.totals.sent_bytes += row.sent_bytes;
        self.totals.returned_bytes += row.returned_bytes;
    }

    /// Forgets a job that is over and that no client reads any more.
    pub(in crate::daemon) fn bury(&mut self, id: JobId) {
        if self
            .jobs
            .get(&id)
            .is_some_and(|j| j.stage.is_over() && j.subscribers.is_empty())
        {
            self.jobs.remove(&id);
        }
    }
}
