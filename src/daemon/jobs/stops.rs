//! How jobs are stopped: by a client that goes or passes a signal on, by `rch cancel`, by a limit.
//!
//! A command is asked, then killed, then its session is ended, which the worker answers by killing all
//! that it runs: nothing here waits for a worker that does not answer.

use std::time::Duration;

use crate::daemon::Daemon;
use crate::ids::{ClientId, JobId};
use crate::job::Stage;
use crate::sys::process::Exit;
use crate::sys::signal;
use crate::wire::client::FromDaemon;
use crate::wire::worker::ToWorker;

/// From the request to end to the order to.
const PATIENCE: Duration = Duration::from_millis(1000);
/// From the order to the end of the session.
const RESIGNATION: Duration = Duration::from_millis(500);
impl Daemon {
    /// Nobody wants it any more.
    pub(in crate::daemon) fn cancel(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id).filter(|j| !j.stage.is_over()) else {
            return;
        };
        match job.stage {
            Stage::Running => {
                job.stage.advance(Stage::Cancelling);
                self.stop(id, signal::SIGTERM);
            }
            Stage::Cancelling => {}
            _ => self.cancelled(id),
        }
    }

    /// Signals the remote command, and sees to it that it ends.
    pub(super) fn stop(&mut self, id: JobId, number: i32) {
        let now = self.now;
        self.send(id, &ToWorker::Signal(u8::try_from(number).unwrap_or(15)));
        if let Some(attempt) = self.jobs.get_mut(&id).and_then(|j| j.attempt.as_mut()) {
            attempt.kill_at.get_or_insert(now + PATIENCE);
        }
    }

    /// A client passes on a signal it got. Others that wait for the same job are not stopped.
    pub(in crate::daemon) fn client_signal(&mut self, id: JobId, client: ClientId, number: u8) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        let exit = Exit::Signal(number);
        if job.subscribers.len() > 1 || !matches!(job.stage, Stage::Running) {
            job.subscribers.retain(|c| *c != client);
            let nobody = job.subscribers.is_empty();
            self.tell(client, &FromDaemon::Exited(exit));
            if nobody {
                self.cancel(id);
            }
            return;
        }
        if let Some(attempt) = &mut job.attempt {
            attempt.stopped_by.get_or_insert(number);
        }
        self.stop(id, i32::from(number));
    }

    /// Time limits: of the job, and of its patience with a signal.
    pub(super) fn enforce(&mut self, id: JobId) {
        let now = self.now;
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        let Some(attempt) = &mut job.attempt else {
            return;
        };
        if attempt.until.is_some_and(|at| now >= at) {
            attempt.until = None;
            // One that is being stopped already ends soon enough.
            if job.stage == Stage::Running {
                attempt.timed_out = true;
                job.stage.advance(Stage::Cancelling);
                return self.stop(id, signal::SIGTERM);
            }
        }
        let Some(attempt) = self.jobs.get_mut(&id).and_then(|j| j.attempt.as_mut()) else {
            return;
        };
        if attempt.kill_at.is_some_and(|at| now >= at) {
            if attempt.killed {
                attempt.kill_at = None;
                attempt.exit = Some(Exit::Signal(9));
                let timed_out = attempt.timed_out;
                return if timed_out {
                    self.finish(id)
                } else {
                    self.cancelled(id)
                };
            }
            attempt.killed = true;
            attempt.kill_at = Some(now + RESIGNATION);
            self.send(id, &ToWorker::Signal(9));
        }
    }
}
