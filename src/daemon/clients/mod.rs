//! Talks to clients: agents that wait for a job, people who ask.
//!
//! A client of a job is a cursor in the job's record: it is given bytes when it has room for them,
//! and its answer when the record is at its end. One that does not read costs nothing, and one that
//! is gone gives up its share of the job. The rooms: `asked` answers people, `serve` writes to all,
//! `local` sees to those that run their command themselves.

mod agent;
mod asked;
mod local;
mod serve;

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use super::{Daemon, Key};
use crate::bytes::Malformed;
use crate::conn::Conn;
use crate::error::Error;
use crate::ids::{ClientId, JobId, WorkerId};
use crate::job::Stage;
use crate::spool::Spool;
use crate::sys::process::{Pid, getuid};
use crate::sys::socket;
use crate::wire::client::{Exec, FromDaemon, ToDaemon};
use crate::wire::worker::ToWorker;
use crate::wire::{self, status};

use local::Homeward;
pub(super) use local::LocalRun;

/// How often a waiting client is told that its job goes on.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);
/// How often a progress line's figures change, at most.
const FRAME: Duration = Duration::from_millis(100);
/// More clients than this are turned away, and run locally.
const CLIENTS: usize = 1000;

pub(super) struct Client {
    pub(super) conn: Conn,
    pid: Pid,
    require_remote: bool,
    greeted: bool,
    doing: Doing,
    /// Its stderr is a terminal, where people see a progress line.
    terminal: bool,
    /// The stage that it was last told of.
    stage: Option<Stage>,
    told: Instant,
    /// It has its answer; the connection ends when that is written.
    done: bool,
}

enum Doing {
    Nothing,
    /// Waits for a job; how far in its record.
    Job {
        id: JobId,
        at: u64,
    },
    /// Is to run it itself, and waits for a local slot, at most until the given moment.
    Local {
        home: Homeward,
        until: Instant,
    },
    /// Reads the record of a finished job.
    Record {
        spool: Spool,
        at: u64,
        /// What is told behind it.
        end: FromDaemon,
    },
    /// Waits for workers to be measured.
    Benchmark {
        left: Vec<WorkerId>,
    },
    /// Waits for workers to answer.
    Probe {
        left: Vec<WorkerId>,
        until: Instant,
    },
}

impl Client {
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.doing {
            // One that does not read is heard of when it reads again.
            _ if self.done || self.conn.backlog() > 0 => None,
            Doing::Job { .. } => Some(self.told + SIGN_OF_LIFE),
            Doing::Local { until, .. } => Some(until.min(self.told + SIGN_OF_LIFE)),
            Doing::Probe { until, .. } => Some(until),
            _ => None,
        }
    }

    /// Whether it is to be told that its job is at `stage`.
    fn wants(&self, stage: Stage, now: Instant) -> bool {
        let since = now.saturating_duration_since(self.told);
        let moving = matches!(stage, Stage::Syncing | Stage::Returning);
        let news = self.stage != Some(stage) || (moving && since >= FRAME);
        self.conn.backlog() == 0 && (since >= SIGN_OF_LIFE || (self.terminal && news))
    }
}

impl Daemon {
    pub(super) fn accept(&mut self) {
        while self.incoming {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    if let Err(e) = self.admit(stream.into()) {
                        warn!("a client was turned away: {}", e.text());
                    }
                }
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => self.incoming = false,
            }
        }
    }

    fn admit(&mut self, socket: OwnedFd) -> Result<(), Error> {
        let failed = |e| Error::os("cannot serve it", &e);
        let peer = socket::peer(&socket).map_err(failed)?;
        if peer.uid != getuid() {
            return Err(Error::new(format!("it belongs to user {}", peer.uid)));
        }
        if self.clients.len() >= CLIENTS {
            return Err(Error::new("too many clients"));
        }
        crate::sys::fd::set_nonblocking(&socket, true).map_err(failed)?;
        let id = ClientId(self.number());
        self.poller.add(&socket, Key::Client(id)).map_err(failed)?;
        let conn = Conn::new(socket.try_clone().map_err(failed)?, socket);
        let client = Client {
            conn,
            pid: peer.pid,
            require_remote: false,
            greeted: false,
            doing: Doing::Nothing,
            terminal: false,
            stage: None,
            told: self.now,
            done: false,
        };
        self.clients.insert(id, client);
        Ok(())
    }

    pub(super) fn hear_clients(&mut self) {
        let ids: Vec<ClientId> = self.clients.keys().copied().collect();
        for id in ids {
            self.hear_client(id);
        }
    }

    fn hear_client(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        client.conn.fill();
        loop {
            let Some(client) = self.clients.get_mut(&id) else {
                return;
            };
            let message = match client.conn.frame() {
                Ok(Some(taken)) => ToDaemon::decode(taken.get()),
                Ok(None) => break,
                Err(malformed) => Err(malformed),
            };
            match message {
                Ok(message) => self.client_message(id, message),
                Err(Malformed) => {
                    warn!("a client does not speak our protocol");
                    return self.client_gone(id);
                }
            }
        }
        if self.clients.get(&id).is_some_and(|c| c.conn.is_over()) {
            self.client_gone(id);
        }
    }

    fn client_message(&mut self, id: ClientId, message: ToDaemon) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        match message {
            ToDaemon::Hello { protocol, .. } => {
                let hello = FromDaemon::Hello {
                    protocol: wire::PROTOCOL,
                    version: wire::VERSION.into(),
                };
                hello.encode(client.conn.out());
                client.greeted = protocol == wire::PROTOCOL;
                client.done = !client.greeted;
            }
            _ if !client.greeted => {}
            ToDaemon::Exec(exec) => self.exec(id, *exec),
            ToDaemon::Ask(ask) => self.ask(id, ask),
            ToDaemon::Signal(number) => {
                if let Doing::Job { id: job, .. } = client.doing {
                    self.client_signal(job, id, number);
                }
            }
            ToDaemon::Hangup(stream) => {
                if let Doing::Job { id: job, .. } = client.doing
                    && self
                        .jobs
                        .get(&job)
                        .is_some_and(|j| j.subscribers.len() == 1)
                {
                    self.send(job, &ToWorker::Hangup(stream));
                }
            }
        }
    }

    fn exec(&mut self, id: ClientId, exec: Exec) {
        let Some(client) = self.clients.get(&id) else {
            return;
        };
        let agent = agent::name(&exec, client.pid);
        let (require_remote, terminal) = (exec.require_remote, exec.tty.1);
        match self.submit(Some(id), exec, agent) {
            Ok(job) => {
                let now = self.now;
                let Some(client) = self.clients.get_mut(&id) else {
                    return;
                };
                client.doing = Doing::Job { id: job, at: 0 };
                client.require_remote = require_remote;
                client.terminal = terminal;
                client.stage = Some(Stage::Scanning);
                client.told = now;
                FromDaemon::Progress(status::Phase::Scanning).encode(client.conn.out());
            }
            Err(error) => self.tell(
                id,
                &FromDaemon::Local {
                    reason: error.text().into(),
                    quiet: false,
                },
            ),
        }
    }

    /// The client reads another job's record, from its beginning.
    pub(super) fn redirect(&mut self, id: ClientId, job: JobId) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.doing = Doing::Job { id: job, at: 0 };
        }
    }

    /// The last word to a client. A job that all have heard out is let go.
    pub(super) fn tell(&mut self, id: ClientId, message: &FromDaemon) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        message.encode(client.conn.out());
        client.done = true;
        if let Doing::Job { id: job, .. } = std::mem::replace(&mut client.doing, Doing::Nothing) {
            self.unsubscribe(job, id);
        }
    }

    fn client_gone(&mut self, id: ClientId) {
        let Some(client) = self.clients.remove(&id) else {
            return;
        };
        let Doing::Job { id: job, .. } = client.doing else {
            return;
        };
        let Some(found) = self.jobs.get_mut(&job) else {
            return;
        };
        found.subscribers.retain(|c| *c != id);
        if found.subscribers.is_empty() {
            self.cancel(job);
            self.bury(job);
        }
    }
}
