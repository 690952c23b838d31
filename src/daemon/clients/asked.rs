//! What people ask of the daemon: how it stands, a job's output or end, workers drained, probed,
//! measured.
//!
//! Each question is answered here or leaves its client waiting for workers; what they say is brought
//! to whoever waits for it.

use std::time::Duration;

use super::Doing;
use crate::daemon::{Daemon, Worker};
use crate::ids::{ClientId, JobId, WorkerId};
use crate::spool::Spool;
use crate::sys::process::Exit;
use crate::wire::client::{Ask, FromDaemon, NO_JOB, NO_WORKER};
use crate::wire::status;

/// What becomes of a broken file.
const OLD_IN_FORCE: &str =
    "what was in force stays so; 'rch config validate' shows everything that is wrong";

impl Daemon {
    pub(super) fn ask(&mut self, id: ClientId, ask: Ask) {
        match ask {
            Ask::Status => {
                let status = self.status();
                self.tell(id, &FromDaemon::answer(&status));
            }
            Ask::Stop => {
                self.dismissed_by.push(id);
                self.leaving = true;
            }
            Ask::Reload => match self.reload().first() {
                Some(complaint) => self.refuse(id, complaint.parts().0, OLD_IN_FORCE),
                None => self.tell(id, &FromDaemon::End),
            },
            Ask::Logs { job } => self.show_record(id, JobId(job)),
            Ask::Cancel { job } => self.cancel_asked(id, JobId(job)),
            Ask::Drain { worker, on } => self.drain_asked(id, &worker, on),
            Ask::Probe { workers } => self.probe_asked(id, &workers),
            Ask::Benchmark { workers, env } => self.benchmark_asked(id, &workers, env),
        }
    }

    pub(in crate::daemon) fn refuse(&mut self, id: ClientId, text: &str, hint: &str) {
        self.tell(
            id,
            &FromDaemon::Error {
                text: text.into(),
                hint: hint.into(),
            },
        );
    }

    fn show_record(&mut self, id: ClientId, job: JobId) {
        match Spool::open(&self.cache.join("jobs"), job) {
            Ok(spool) => {
                // How it ended, as long as that is remembered.
                let row = self.recent.iter().find(|row| row.id == job.0);
                let status = row.and_then(|row| u8::try_from(row.status?).ok());
                let end = status.map_or(FromDaemon::End, |s| FromDaemon::Exited(Exit::Code(s)));
                if let Some(client) = self.clients.get_mut(&id) {
                    client.doing = Doing::Record { spool, at: 0, end };
                }
            }
            Err(_) => self.refuse(
                id,
                &format!("{NO_JOB}{job}' of which output is kept"),
                "'rch status --jobs' lists those there are",
            ),
        }
    }

    fn cancel_asked(&mut self, id: ClientId, job: JobId) {
        let known = self.recent.iter().any(|row| row.id == job.0);
        let Some(found) = self.jobs.get_mut(&job).filter(|j| !j.stage().is_over()) else {
            let text = match known {
                true => format!("job '{job}' is over already"),
                false => format!("{NO_JOB}{job}'"),
            };
            return self.refuse(id, &text, "'rch status --jobs' lists those there are");
        };
        let why = format!("job {job} was stopped by 'rch cancel'");
        for client in std::mem::take(&mut found.subscribers) {
            self.tell(client, &FromDaemon::Note(why.clone()));
            self.tell(client, &FromDaemon::Exited(Exit::Signal(15)));
        }
        self.cancel(job);
        self.tell(id, &FromDaemon::End);
    }

    fn drain_asked(&mut self, id: ClientId, name: &str, on: bool) {
        let Some(worker) = self.workers.iter_mut().find(|w| w.id().as_str() == name) else {
            return self.refuse(
                id,
                &format!("{NO_WORKER}{name}'"),
                "'rch workers list' names them",
            );
        };
        worker.drained = on;
        match self.keep.drain(name, on) {
            Ok(()) => self.tell(id, &FromDaemon::End),
            Err(e) => self.refuse(id, &format!("it will not last: {}", e.text()), ""),
        }
    }

    /// The workers of these names, or all; one that there is not is an answer to the client.
    pub(in crate::daemon) fn named(
        &mut self,
        id: ClientId,
        names: &[String],
    ) -> Option<Vec<WorkerId>> {
        let known = |n: &&String| self.workers.iter().any(|w| w.id().as_str() == n.as_str());
        if let Some(name) = names.iter().find(|n| !known(n)) {
            self.refuse(
                id,
                &format!("{NO_WORKER}{name}'"),
                "'rch workers list' names them",
            );
            return None;
        }
        let wanted = |w: &&Worker| names.is_empty() || names.iter().any(|n| n == w.id().as_str());
        let workers = self.workers.iter().filter(wanted);
        let ids: Vec<WorkerId> = workers.map(|w| w.id().clone()).collect();
        // Nobody's answer would be the last. A fleet is empty only for a mistake in its file.
        if ids.is_empty() {
            let hint = "'rch config validate' shows what is wrong with workers.toml";
            self.refuse(id, "there is no worker", hint);
            return None;
        }
        Some(ids)
    }

    fn probe_asked(&mut self, id: ClientId, names: &[String]) {
        let Some(left) = self.named(id, names) else {
            return;
        };
        let until = self.now + Duration::from_secs(20);
        if let Some(client) = self.clients.get_mut(&id) {
            client.doing = Doing::Probe {
                left: left.clone(),
                until,
            };
        }
        for worker in &left {
            self.probe(worker);
        }
    }

    /// Tells everybody who waits for this worker's answer, and ends those that have all.
    pub(in crate::daemon) fn probe_result(&mut self, worker: &WorkerId, probe: &status::Probe) {
        for client in self.clients.values_mut() {
            let Doing::Probe { left, .. } = &mut client.doing else {
                continue;
            };
            let before = left.len();
            left.retain(|w| w != worker);
            if left.len() < before {
                FromDaemon::answer(probe).encode(client.conn.out());
            }
            if left.is_empty() {
                FromDaemon::End.encode(client.conn.out());
                client.doing = Doing::Nothing;
                client.done = true;
            }
        }
    }

    /// As `probe_result`, for a worker that has been measured or cannot be.
    pub(in crate::daemon) fn benchmark_result(
        &mut self,
        worker: &WorkerId,
        result: &status::Benchmark,
    ) {
        for client in self.clients.values_mut() {
            let Doing::Benchmark { left } = &mut client.doing else {
                continue;
            };
            let before = left.len();
            left.retain(|w| w != worker);
            if left.len() < before {
                FromDaemon::answer(result).encode(client.conn.out());
            }
            if left.is_empty() {
                FromDaemon::End.encode(client.conn.out());
                client.doing = Doing::Nothing;
                client.done = true;
            }
        }
    }

    pub(in crate::daemon) fn waits_for_benchmark(&mut self, id: ClientId, left: Vec<WorkerId>) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.doing = Doing::Benchmark { left };
        }
    }
}
