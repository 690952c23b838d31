//! Sessions: opened as they are wanted, heard, ended when nobody needs them.
//!
//! A worker always has one, so that its facts are known and a job need not wait for a login; more are
//! opened when jobs wait for them.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::client;
use crate::config::Transport;
use crate::daemon::{Daemon, Key};
use crate::error::{Error, Result};
use crate::ids::{SessionId, WorkerId};
use crate::master;
use crate::session::{Incoming, Session, State};
use crate::wire::worker::FromWorker;

/// How many connections may be in the making at once, to all workers together.
const CONNECTS: usize = 4;
/// What a login would give a worker here. The rest of our environment is that of whoever happened to
/// start us, secrets included, and none of a job's business.
const LOGIN: [&str; 10] = [
    "CARGO_HOME",
    "HOME",
    "LANG",
    "LOGNAME",
    "PATH",
    "RUSTUP_HOME",
    "SHELL",
    "TMPDIR",
    "USER",
    "XDG_CACHE_HOME",
];

impl Daemon {
    /// Opens sessions until the worker has one, and one for each job that waits for it.
    pub(super) fn open_wanted(&mut self, at: usize) {
        let worker = &self.workers[at];
        let id = worker.conf.id.clone();
        if !worker.conf.enabled || worker.leaving {
            return;
        }
        if worker
            .down
            .as_ref()
            .is_some_and(|(_, until)| *until > self.now)
        {
            return;
        }
        let of_worker =
            |s: &&Session| s.worker == id && s.state() != State::Dead && !s.is_retired();
        let all = self.sessions.values().filter(of_worker).count();
        let free = self
            .sessions
            .values()
            .filter(of_worker)
            .filter(|s| matches!(s.state(), State::Connecting | State::Ready | State::Closing))
            .count();
        let waiting = self.jobs.values().filter(|j| j.waits_for(&id)).count();
        if (all == 0 || waiting > free) && self.connecting() < CONNECTS {
            self.open(at);
        }
    }

    fn connecting(&self) -> usize {
        let sessions = self
            .sessions
            .values()
            .filter(|s| s.state() == State::Connecting)
            .count();
        let masters = self.workers.iter().flat_map(|w| &w.masters);
        sessions
            + masters
                .filter(|(_, m)| matches!(m.state(), master::State::Connecting(_)))
                .count()
    }

    fn open(&mut self, at: usize) {
        let worker = &self.workers[at];
        let id = worker.conf.id.clone();
        let opened = match &worker.conf.transport {
            Transport::Local => {
                local_command().and_then(|mut cmd| self.start(&id, &mut cmd).map(|_| ()))
            }
            Transport::Command(prefix) => {
                let mut cmd = Command::new(&prefix[0]);
                cmd.args(&prefix[1..])
                    .args(["sh", "-c", "exec ~/.local/bin/rch-wkr serve"]);
                self.start(&id, &mut cmd).map(|_| ())
            }
            Transport::Ssh => self.open_ssh(at),
        };
        if let Err(error) = opened {
            self.cannot_connect(&id, &error);
        }
    }

    pub(super) fn start(&mut self, worker: &WorkerId, cmd: &mut Command) -> Result<SessionId> {
        let mut session = Session::start(worker.clone(), cmd, &self.client_id, self.now)?;
        let id = SessionId(self.number());
        let (rd, wr) = session.conn().ends();
        let watched = self.poller.add(rd, Key::Session(id)).and_then(|_| {
            wr.map_or(Ok(()), |wr| {
                self.poller.add(wr, Key::Session(id)).map(|_| ())
            })
        });
        watched.map_err(|e| Error::os("cannot watch a session", &e))?;
        let stderr = self.poller.add(&*session.child(), Key::SessionErr(id));
        stderr.map_err(|e| Error::os("cannot watch a session", &e))?;
        self.sessions.insert(id, session);
        Ok(id)
    }

    /// How long a connection is kept that nobody uses; `None` is for ever, as with ssh's ControlPersist.
    pub(super) fn persistence(&self) -> Option<Duration> {
        let secs = self.config.transfer.ssh_control_persist_secs;
        (secs > 0).then(|| Duration::from_secs(secs))
    }

    /// Ends idle sessions that have been kept for long enough.
    pub(super) fn end_surplus(&mut self) {
        let now = self.now;
        for (id, until) in self.surplus() {
            if now >= until {
                self.sessions.get_mut(&id).expect("BUG: just seen").end(now);
            }
        }
    }

    /// When the next one is to be ended.
    pub(in crate::daemon) fn surplus_deadline(&self) -> Option<Instant> {
        let all = self.surplus().into_iter();
        all.map(|(_, until)| until).min()
    }

    /// Idle sessions and until when each is kept: all but the last that had a job, which stays where its
    /// worker is in use.
    fn surplus(&self) -> Vec<(SessionId, Instant)> {
        let Some(keep) = self.persistence() else {
            return vec![];
        };
        let mut surplus = vec![];
        for worker in &self.workers {
            let idle = |s: &Session| s.worker == worker.conf.id && s.state() == State::Ready;
            let mut idle: Vec<(SessionId, Instant)> = self
                .sessions
                .iter()
                .filter(|(_, s)| idle(s))
                .map(|(id, s)| (*id, s.idle_since()))
                .collect();
            idle.sort_unstable_by_key(|(_, since)| *since);
            if worker.conf.enabled {
                idle.pop();
            }
            surplus.extend(idle.into_iter().map(|(id, since)| (id, since + keep)));
        }
        surplus
    }

    /// An idle session of the worker.
    pub(in crate::daemon) fn idle_session(&self, worker: &WorkerId) -> Option<SessionId> {
        let mut all = self.sessions.iter();
        all.find(|(_, s)| s.worker == *worker && s.state() == State::Ready)
            .map(|(id, _)| *id)
    }

    /// Reads every session as far as its job can take it.
    pub(in crate::daemon) fn hear_sessions(&mut self) {
        let ids: Vec<SessionId> = self.sessions.keys().copied().collect();
        for id in ids {
            self.hear_session(id);
        }
    }

    fn hear_session(&mut self, id: SessionId) {
        // One read's worth per turn, so that no session starves another.
        if let Some(session) = self.sessions.get_mut(&id) {
            session.conn().fill();
        }
        loop {
            let Some(session) = self.sessions.get(&id) else {
                return;
            };
            let was = session.state();
            let job = match was {
                State::Busy(job) => Some(job),
                _ => None,
            };
            let files = job
                .and_then(|j| self.jobs.get(&j))
                .is_none_or(|j| j.takes_files());
            let now = self.now;
            let Some(session) = self.sessions.get_mut(&id) else {
                return;
            };
            let Some(incoming) = session.next(now, files) else {
                return;
            };
            match incoming {
                Incoming::Greeted => self.greeted(id),
                Incoming::Lost(error) => self.session_lost(id, (was, job), &error),
                Incoming::Message(FromWorker::Pong { .. }) => self.sign_of_life(id),
                Incoming::Message(FromWorker::Lanes(there)) => self.lanes_there(id, &there),
                Incoming::Message(message) => match job {
                    Some(job) => self.message(job, message),
                    None => self.sign_of_life(id),
                },
                Incoming::Files(bytes) => {
                    if let Some(job) = job {
                        self.files(job, bytes);
                    }
                }
            }
        }
    }
}

fn local_command() -> Result<Command> {
    let mut cmd = Command::new(client::beside_us("rch-wkr")?);
    let login = LOGIN
        .iter()
        .filter_map(|name| Some((name, std::env::var_os(name)?)));
    cmd.arg("serve")
        .current_dir(crate::paths::home())
        .env_clear()
        .envs(login);
    Ok(cmd)
}
