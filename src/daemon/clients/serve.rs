//! Gives each client what it has room for: its job's record as it grows, and its answer at the end.
//!
//! A slow client is a place in a file; nothing is kept for it and nobody waits for it.

use std::time::Duration;

use super::Doing;
use super::local::Homeward;
use crate::conn::Conn;
use crate::daemon::Daemon;
use crate::error::Error;
use crate::ids::{ClientId, JobId};
use crate::job::{Outcome, Stage};
use crate::spool::Spool;
use crate::sys::process::Exit;
use crate::wire::client::FromDaemon;
use crate::wire::status;

/// How much may wait for a client before its record is read on.
const AHEAD: usize = 64 << 10;

impl Daemon {
    /// Gives every client what it has room for, and writes what can be written.
    pub(in crate::daemon) fn write_all(&mut self) {
        let ids: Vec<ClientId> = self.clients.keys().copied().collect();
        for id in ids {
            self.serve(id);
            let Some(client) = self.clients.get_mut(&id) else {
                continue;
            };
            client.conn.flush();
            if client.done && client.conn.backlog() == 0 {
                self.client_gone(id);
            }
        }
        for session in self.sessions.values_mut() {
            session.conn().flush();
        }
    }

    fn serve(&mut self, id: ClientId) {
        let now = self.now;
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        match &mut client.doing {
            Doing::Job { id: job, at } => {
                let Some(job) = self.jobs.get(job) else {
                    return;
                };
                if copy(&job.spool, at, &mut client.conn) {
                    client.told = now;
                }
                if *at == job.spool.len() {
                    self.caught_up(id);
                }
            }
            Doing::Record { spool, at, end } => {
                copy(spool, at, &mut client.conn);
                if *at == spool.len() {
                    let end = end.clone();
                    self.tell(id, &end);
                }
            }
            Doing::Local { home, until } => {
                let (home, until) = (home.clone(), *until);
                self.go_local(id, home, until);
            }
            Doing::Probe { left, until } if now >= *until => {
                for worker in left.clone() {
                    self.probe_failed(&worker, &Error::new("no answer within 20 seconds"));
                }
            }
            Doing::Probe { .. } | Doing::Benchmark { .. } | Doing::Nothing => {}
        }
    }

    /// The client has everything its job has said so far.
    fn caught_up(&mut self, id: ClientId) {
        let now = self.now;
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        let Doing::Job { id: job, .. } = client.doing else {
            return;
        };
        let Some(job) = self.jobs.get_mut(&job) else {
            return;
        };
        match job.stage() {
            Stage::Done(Outcome::Remote) => {
                let verdict = job.verdict();
                let row = self.recent.iter().find(|row| row.id == job.id.0);
                if let Some(mut row) = row.cloned() {
                    row.candidates.clear();
                    FromDaemon::Progress(status::Phase::Over(Box::new(row)))
                        .encode(client.conn.out());
                }
                self.tell(id, &verdict);
            }
            Stage::Done(Outcome::Cancelled) => {
                let exit = job.exit.unwrap_or(Exit::Signal(15));
                self.tell(id, &FromDaemon::Exited(exit));
            }
            Stage::Done(Outcome::Local) => {
                let home = Homeward {
                    reason: job.reason.clone(),
                    quiet: job.quiet,
                    task: job.task().filter(|_| !job.runs_here()),
                };
                let job = job.id;
                self.unsubscribe(job, id);
                let until = now + Duration::from_millis(self.config.compilation.queue_timeout_ms);
                self.go_local(id, home, until);
            }
            stage if client.wants(stage, now) => {
                client.told = now;
                client.stage = Some(stage);
                let place = self.queue.place(job.id);
                FromDaemon::Progress(job.phase(place)).encode(client.conn.out());
            }
            _ => {}
        }
    }

    pub(super) fn unsubscribe(&mut self, job: JobId, client: ClientId) {
        if let Some(found) = self.jobs.get_mut(&job) {
            found.subscribers.retain(|c| *c != client);
        }
        self.bury(job);
    }

    /// Lets every client have its last word, as far as it reads without being waited for.
    pub(in crate::daemon) fn farewell(&mut self) {
        self.write_all();
    }
}

/// Copies the record from `at` on, as far as the client has room. True if there was something.
fn copy(spool: &Spool, at: &mut u64, conn: &mut Conn) -> bool {
    let before = *at;
    while conn.backlog() < AHEAD && *at < spool.len() {
        match spool.read(*at, conn.out()) {
            Ok(0) | Err(_) => break,
            Ok(n) => *at += n,
        }
    }
    *at > before
}
