//! Clients that run their command themselves: each with a local slot, so that fifteen fallbacks at
//! once do not melt the workstation, and with a note of what it took.
//!
//! The slot belongs to the process, watched by a pidfd: it becomes the tool by exec and stays the
//! same process, and its end is the slot's, however it comes.

use std::os::fd::OwnedFd;
use std::time::Instant;

use super::{Doing, SIGN_OF_LIFE};
use crate::daemon::{Daemon, Key};
use crate::fleet::Lease;
use crate::history::Task;
use crate::ids::ClientId;
use crate::sys::process::{Exit, Pid, pidfd_exit, pidfd_open};
use crate::time;
use crate::wire::client::FromDaemon;
use crate::wire::status;

/// Why a client runs its command itself, and what that tells when it has.
#[derive(Clone)]
pub(super) struct Homeward {
    pub(super) reason: String,
    pub(super) quiet: bool,
    pub(super) task: Option<Task>,
}

/// A process that runs a command here, and its slot.
pub(in crate::daemon) struct LocalRun {
    /// Keeps it watched.
    fd: OwnedFd,
    /// Until it has ended.
    lease: Option<Lease>,
    task: Option<Task>,
    since: Instant,
    /// Milliseconds, once it has ended.
    took: u64,
}

impl Daemon {
    /// Sends the client home with a local slot, or without one when it has waited long enough, so
    /// that fifteen fallbacks at once do not melt the workstation.
    pub(super) fn go_local(&mut self, id: ClientId, home: Homeward, until: Instant) {
        let now = self.now;
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        let lease = if client.require_remote {
            None
        } else {
            self.local_slots.reserve(1)
        };
        if lease.is_none() && !client.require_remote && now < until {
            if now >= client.told + SIGN_OF_LIFE {
                client.told = now;
                let reason = "all local slots are taken".into();
                FromDaemon::Progress(status::Phase::Queued { place: 0, reason })
                    .encode(client.conn.out());
            }
            client.doing = Doing::Local { home, until };
            return;
        }
        let pid = client.pid;
        if let Some(lease) = lease {
            self.hold(pid, lease, home.task);
        }
        let (reason, quiet) = (home.reason, home.quiet);
        self.tell(id, &FromDaemon::Local { reason, quiet });
    }

    /// The slot is the process's until it ends; it becomes the tool by exec and stays the same one.
    fn hold(&mut self, pid: Pid, lease: Lease, task: Option<Task>) {
        let Ok(fd) = pidfd_open(pid) else { return };
        let id = self.number();
        if self.poller.add(&fd, Key::Local(id)).is_ok() {
            let run = LocalRun {
                fd,
                lease: Some(lease),
                task,
                since: self.now,
                took: 0,
            };
            self.locals.insert(id, run);
        }
    }

    /// A process that ran a command here has ended; its slot is free, and what it took is known. How
    /// it ended is known when its parent has fetched it, which is the next event.
    pub(in crate::daemon) fn local_ended(&mut self, id: u64) {
        let now = Instant::now();
        let Some(run) = self.locals.get_mut(&id) else {
            return;
        };
        let took = time::millis(now.duration_since(run.since));
        let first = run.lease.take().is_some();
        let exit = match pidfd_exit(&run.fd) {
            Ok(None) if first => {
                run.took = took;
                return;
            }
            Ok(exit) => exit,
            Err(_) => None,
        };
        let took = if first { took } else { run.took };
        let task = run.task;
        self.locals.remove(&id);
        if let Some(task) = task {
            let good = exit.map(Exit::success);
            self.keep.history.ran_here(task, took, good, time::now());
            self.keep.changed(now);
        }
    }
}
