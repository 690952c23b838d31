//! What a worker says of its job while it has it.
//!
//! What is no answer to a transfer ends here; a message that does not fit the job's stage is the
//! worker's fault, and costs it the job.

use crate::classify::Tool;
use crate::daemon::Daemon;
use crate::ids::JobId;
use crate::job::Stage;
use crate::plan::trouble;
use crate::sys::process::Exit;
use crate::wire::client::FromDaemon;
use crate::wire::worker::{Fault, FromWorker, ToWorker};

impl Daemon {
    /// What a worker says about its job.
    pub(in crate::daemon) fn message(&mut self, id: JobId, message: FromWorker) {
        match message {
            FromWorker::Lane {
                number,
                base,
                roots,
            } => self.lane(id, number, base, &roots),
            FromWorker::Started => {
                self.cleaned(id);
                self.running(id);
            }
            FromWorker::Stdout(bytes) => {
                self.remember_end(id, 1, &bytes);
                self.output(id, &FromDaemon::Stdout(bytes));
            }
            FromWorker::Stderr(bytes) => {
                self.remember_end(id, 2, &bytes);
                self.output(id, &FromDaemon::Stderr(bytes));
            }
            FromWorker::Program(program) => self.program(id, program),
            FromWorker::Exited { exit, wall_ms, .. } => self.exited(id, exit, wall_ms),
            FromWorker::Produced { files, last } => self.produced(id, files, last),
            FromWorker::Present(present) => self.present(id, present),
            FromWorker::Fetched { missing } => self.fetched(id, &missing),
            FromWorker::Lacks(crates) => self.lacks(id, crates),
            FromWorker::Holds { files, last } => self.holds(id, files, last),
            FromWorker::Failed { fault, text } => self.failed(id, fault, &text),
            FromWorker::Committed
            | FromWorker::Pong { .. }
            | FromWorker::Closed
            | FromWorker::Lanes(_) => {}
            FromWorker::Ready { .. }
            | FromWorker::File(_)
            | FromWorker::Data(_)
            | FromWorker::Patch(_) => {
                self.failed(id, Fault::Protocol, "an unexpected message");
            }
        }
    }

    pub(super) fn output(&mut self, id: JobId, message: &FromDaemon) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        if let Err(e) = job.spool.append(message) {
            let text = format!("cannot record output: {}", crate::error::cause(&e));
            self.local(id, &text);
        }
    }

    /// Keeps the end of what cargo says on stderr, for `trouble`.
    fn remember_end(&mut self, id: JobId, stream: u8, bytes: &[u8]) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        let (Some(survey), Some(attempt)) = (&job.survey, &mut job.attempt) else {
            return;
        };
        let stderr = stream == 2 || job.exec.merged;
        if survey.accepted.tool == Tool::Cargo && stderr {
            let from = bytes.len().saturating_sub(trouble::TAIL);
            attempt.tail.extend_from_slice(&bytes[from..]);
            let over = attempt.tail.len().saturating_sub(trouble::TAIL);
            attempt.tail.drain(..over);
        }
    }

    pub(super) fn exited(&mut self, id: JobId, exit: Exit, wall_ms: u64) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        job.moved.remote_ms = wall_ms;
        match job.stage {
            Stage::Running => job.stage.advance(Stage::Returning),
            Stage::Cancelling => {}
            stage => return self.failed(id, Fault::Protocol, &format!("an exit while {stage}")),
        }
        let Some(attempt) = &mut job.attempt else {
            return;
        };
        attempt.exit = Some(exit);
        attempt.until = None;
        attempt.kill_at = None;
        if attempt.stopped_by.is_none()
            && let Some(why) = trouble::of_surroundings(exit, &attempt.tail)
        {
            let worker = attempt.worker.clone();
            self.seeded.forget(&worker);
            self.lose(id, &format!("worker {worker}: {why}"), false);
        }
    }

    /// Sends to the session of a job, if it has one.
    pub(in crate::daemon) fn send(&mut self, id: JobId, message: &ToWorker) {
        let session = self
            .jobs
            .get(&id)
            .and_then(|j| j.attempt.as_ref())
            .and_then(|a| a.session);
        if let Some(session) = session.and_then(|s| self.sessions.get_mut(&s)) {
            session.send(message);
        }
    }
}
