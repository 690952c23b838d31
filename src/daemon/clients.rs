//! Talks to clients: agents that wait for a job, people who ask.
//!
//! A client of a job is a cursor in the job's record: it is given bytes when it has room for them,
//! and its answer when the record is at its end. One that does not read costs nothing, and one that
//! is gone gives up its share of the job.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use super::jobs::millis;
use super::{Daemon, Key};
use crate::bytes::Malformed;
use crate::conn::Conn;
use crate::error::Error;
use crate::fleet::Lease;
use crate::history::Task;
use crate::ids::{ClientId, JobId, WorkerId};
use crate::job::{Outcome, Stage};
use crate::spool::Spool;
use crate::sys::process::{Exit, Pid, getuid, pidfd_open};
use crate::sys::socket;
use crate::time;
use crate::wire::client::{Ask, Exec, FromDaemon, ToDaemon};
use crate::wire::worker::ToWorker;
use crate::wire::{self, status};

/// How much may wait for a client before its record is read on.
const AHEAD: usize = 64 << 10;
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

/// Why a client runs its command itself, and what that tells when it has.
#[derive(Clone)]
struct Homeward {
    reason: String,
    quiet: bool,
    task: Option<Task>,
}

/// A process that runs a command here, and its slot.
pub(super) struct LocalRun {
    /// Keeps it watched.
    _fd: OwnedFd,
    _lease: Lease,
    task: Option<Task>,
    since: Instant,
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
        let agent = agent(&exec, client.pid);
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

    fn ask(&mut self, id: ClientId, ask: Ask) {
        match ask {
            Ask::Status => {
                let status = self.status();
                self.tell(id, &FromDaemon::answer(&status));
            }
            Ask::Stop => {
                // Whoever has the answer may start another daemon, and must not find this one.
                self.unlink();
                self.tell(id, &FromDaemon::End);
                self.leaving = true;
            }
            Ask::Reload => {
                self.reload();
                self.tell(id, &FromDaemon::End);
            }
            Ask::Logs { job } => self.show_record(id, JobId(job)),
            Ask::Cancel { job } => self.cancel_asked(id, JobId(job)),
            Ask::Drain { worker, on } => self.drain_asked(id, &worker, on),
            Ask::Probe { workers } => self.probe_asked(id, &workers),
            Ask::Benchmark { workers } => self.benchmark_asked(id, &workers),
        }
    }

    pub(super) fn refuse(&mut self, id: ClientId, text: &str, hint: &str) {
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
                if let Some(client) = self.clients.get_mut(&id) {
                    client.doing = Doing::Record { spool, at: 0 };
                }
            }
            Err(_) => self.refuse(
                id,
                &format!("no output of job '{job}' is kept"),
                "'rch status --jobs' lists those there are",
            ),
        }
    }

    fn cancel_asked(&mut self, id: ClientId, job: JobId) {
        let Some(found) = self.jobs.get_mut(&job).filter(|j| !j.stage().is_over()) else {
            return self.refuse(
                id,
                &format!("job '{job}' is not active"),
                "'rch status --jobs' lists those there are",
            );
        };
        for client in std::mem::take(&mut found.subscribers) {
            self.tell(client, &FromDaemon::Exited(Exit::Signal(15)));
        }
        self.cancel(job);
        self.tell(id, &FromDaemon::End);
    }

    fn drain_asked(&mut self, id: ClientId, name: &str, on: bool) {
        let Some(worker) = self.workers.iter_mut().find(|w| w.id().as_str() == name) else {
            return self.refuse(
                id,
                &format!("unknown worker '{name}'"),
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
    pub(super) fn named(&mut self, id: ClientId, names: &[String]) -> Option<Vec<WorkerId>> {
        let known = |n: &&String| self.workers.iter().any(|w| w.id().as_str() == n.as_str());
        if let Some(name) = names.iter().find(|n| !known(n)) {
            self.refuse(
                id,
                &format!("unknown worker '{name}'"),
                "'rch workers list' names them",
            );
            return None;
        }
        let wanted =
            |w: &&super::Worker| names.is_empty() || names.iter().any(|n| n == w.id().as_str());
        let workers = self.workers.iter().filter(wanted);
        Some(workers.map(|w| w.id().clone()).collect())
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
    pub(super) fn probe_result(&mut self, worker: &WorkerId, probe: &status::Probe) {
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
    pub(super) fn benchmark_result(&mut self, worker: &WorkerId, result: &status::Benchmark) {
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

    pub(super) fn waits_for_benchmark(&mut self, id: ClientId, left: Vec<WorkerId>) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.doing = Doing::Benchmark { left };
        }
    }

    /// The client reads another job's record, from its beginning.
    pub(super) fn redirect(&mut self, id: ClientId, job: JobId) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.doing = Doing::Job { id: job, at: 0 };
        }
    }

    /// The last word to a client.
    pub(super) fn tell(&mut self, id: ClientId, message: &FromDaemon) {
        if let Some(client) = self.clients.get_mut(&id) {
            message.encode(client.conn.out());
            client.doing = Doing::Nothing;
            client.done = true;
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

    /// Gives every client what it has room for, and writes what can be written.
    pub(super) fn write_all(&mut self) {
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
            Doing::Record { spool, at } => {
                copy(spool, at, &mut client.conn);
                if *at == spool.len() {
                    self.tell(id, &FromDaemon::End);
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
                if let Some(row) = row.cloned() {
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

    /// Sends the client home with a local slot, or without one when it has waited long enough, so
    /// that fifteen fallbacks at once do not melt the workstation.
    fn go_local(&mut self, id: ClientId, home: Homeward, until: Instant) {
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
                _fd: fd,
                _lease: lease,
                task,
                since: self.now,
            };
            self.locals.insert(id, run);
        }
    }

    /// A process that ran a command here has ended; its slot is free, and what it took is known.
    pub(super) fn local_ended(&mut self, id: u64) {
        let Some(run) = self.locals.remove(&id) else {
            return;
        };
        if let Some(task) = run.task {
            let now = Instant::now();
            let took = millis(now.duration_since(run.since));
            self.keep.history.ran_here(task, took, time::now());
            self.keep.changed(now);
        }
    }

    fn unsubscribe(&mut self, job: JobId, client: ClientId) {
        if let Some(found) = self.jobs.get_mut(&job) {
            found.subscribers.retain(|c| *c != client);
        }
        self.bury(job);
    }

    /// Lets every client have its last word, as far as it reads without being waited for.
    pub(super) fn farewell(&mut self) {
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

/// Who asked: the agent's own session id, else the program above the shell.
fn agent(exec: &Exec, pid: Pid) -> String {
    const IDS: [&str; 3] = [
        "CLAUDE_CODE_SESSION_ID",
        "CODEX_SESSION_ID",
        "GEMINI_SESSION_ID",
    ];
    let var = |name: &&str| {
        crate::plan::env::get(&exec.env, name)?
            .to_str()
            .map(str::to_owned)
    };
    if let Some(id) = IDS.iter().find_map(var) {
        return id;
    }
    let parent = |pid: i32| -> Option<(String, i32)> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (head, tail) = stat.rsplit_once(')')?;
        Some((
            head.split_once('(')?.1.to_owned(),
            tail.split_whitespace().nth(1)?.parse().ok()?,
        ))
    };
    let Some((_, shell)) = parent(pid.0) else {
        return String::new();
    };
    let Some((name, _)) = parent(shell) else {
        return String::new();
    };
    format!("{name}[{shell}]")
}
