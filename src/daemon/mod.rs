//! The daemon: one thread, one loop, and everything that is known.
//!
//! Each turn of the loop waits once and then works through what is there in a written order:
//! signals and children, sessions, clients, the crew's results, timers, new connections, queued
//! work. Nothing here blocks: what could, goes to the crew. The rooms: `survey` finds out what a
//! command needs (on the crew), `links` keeps workers reachable, `jobs` takes a job from stage to
//! stage, `transfer` moves its files, `clients` talks to agents and people, `report` says how it
//! all stands.

mod bench;
mod clean;
mod clients;
mod explain;
mod home;
mod jobs;
mod keep;
mod links;
mod reasons;
mod report;
mod start;
mod survey;
mod transfer;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::Config;
use crate::crew::Crew;
use crate::error::{Error, Result};
use crate::fleet::Slots;
use crate::ids::{ClientId, JobId, SessionId, WorkerId};
use crate::lanebook::Lanebook;
use crate::poll::{Poller, Ready};
use crate::sched::Queue;
use crate::session::Session;
use crate::sys::signal::{self, Signals};
use crate::toolchain::Known;
use crate::wire::client::FromDaemon;
use crate::wire::status;

pub use start::main;

use clients::Client;
use jobs::Job;
use links::{MasterId, Worker};

/// How many finished jobs `rch status` can tell about.
const RECENT: usize = 100;
/// For what the crew still writes when the daemon is told to end; whoever waits for that is a person.
const LAST_WRITES: Duration = Duration::from_secs(5);

/// Who owns a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Listener,
    Signals,
    Client(ClientId),
    /// Either pipe of a session.
    Session(SessionId),
    SessionErr(SessionId),
    Master(MasterId),
    MasterErr(MasterId),
    /// A job's rsync.
    Rsync(JobId),
    /// A process that runs a command here.
    Local(u64),
}

/// What the crew has done.
enum Report {
    Surveyed(JobId, Box<Result<survey::Survey>>),
    Crates(JobId, u64, Box<Result<transfer::Crates>>),
    Fed(JobId, u64, Box<Result<transfer::Fed>>),
    /// What is to come home, and which sources the job removed.
    Chosen(JobId, u64, transfer::Chosen),
    Landed(JobId, u64, Box<Result<transfer::Landed>>),
    Rescanned(JobId, u64, Box<Result<transfer::Rescan>>),
    Planned(JobId, Box<status::Plan>),
    /// This machine has run the benchmark.
    Measured(Result<bench::Here>),
    /// Nothing anybody waits for.
    Nothing,
}

struct Daemon {
    cache: PathBuf,
    socket: PathBuf,
    /// The socket's file is ours and stands.
    linked: bool,
    config: Config,
    started: Instant,
    now: Instant,
    client_id: String,
    poller: Poller<Key>,
    crew: Crew<Report>,
    signals: Signals,
    listener: UnixListener,
    incoming: bool,
    clients: BTreeMap<ClientId, Client>,
    sessions: BTreeMap<SessionId, Session>,
    workers: Vec<Worker>,
    jobs: BTreeMap<JobId, Job>,
    queue: Queue,
    /// What the crew is writing products of: jobs and their attempts, and in which project.
    landings: HashMap<(JobId, u64), PathBuf>,
    /// Which files here are what jobs brought.
    others: crate::landing::Others,
    /// Jobs that are looked into when none of those is astray in their project.
    unlooked: Vec<JobId>,
    lanes: Lanebook,
    home: home::Home,
    seeded: transfer::Seeded,
    known: Arc<Known>,
    recent: VecDeque<status::Job>,
    totals: status::Totals,
    /// The first mistake in workers.toml, which has not been taken therefore.
    fleet_fault: String,
    local_reasons: reasons::Reasons,
    /// For commands that run here after all, and the processes that hold them.
    local_slots: Arc<Slots>,
    locals: HashMap<u64, clients::LocalRun>,
    keep: keep::Keep,
    /// What the benchmark took here; `None`: not measured yet.
    bench_here: Option<bench::Here>,
    /// Workers to be measured as soon as this machine is.
    bench_waits: Vec<WorkerId>,
    next_id: u64,
    next_job: u64,
    /// Jobs that were recorded since records were cleared away.
    recorded: u32,
    /// Leave as soon as every client has been told.
    leaving: bool,
    /// Who asked for that, and hears when all is written.
    dismissed_by: Vec<ClientId>,
    /// The next turn does not wait.
    again: bool,
    /// Events go to stdout too (`rchd` in the foreground).
    foreground: bool,
}

impl Daemon {
    /// A number for the next client, session, attempt or the like; they share one sequence.
    fn number(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Jobs have their own, because people read it.
    fn next_job(&mut self) -> JobId {
        self.next_job += 1;
        JobId(self.next_job)
    }

    fn run(&mut self) -> Result<()> {
        while !self.leaving {
            self.turn()?;
        }
        self.leave();
        Ok(())
    }

    fn turn(&mut self) -> Result<()> {
        self.wait()?;
        self.now = Instant::now();
        self.hear_signals();
        self.tend_links();
        self.tend_jobs();
        self.hear_sessions();
        self.hear_clients();
        self.again = false;
        while let Some(report) = self.crew.result() {
            // What it makes possible may already lie in a buffer, where no event announces it.
            self.again = true;
            self.take(report);
        }
        self.expire();
        self.accept();
        self.start_queued();
        self.write_all();
        Ok(())
    }

    fn wait(&mut self) -> Result<()> {
        let timeout = if self.has_work() {
            Some(Duration::ZERO)
        } else {
            self.deadline()
                .map(|at| at.saturating_duration_since(Instant::now()))
        };
        let mut events: Vec<(Key, Ready)> = Vec::new();
        self.poller
            .wait(timeout, |key, ready| events.push((key, ready)))
            .map_err(|e| Error::os("cannot wait for events", &e))?;
        for (key, ready) in events {
            self.note(key, ready);
        }
        Ok(())
    }

    /// Remembers what is ready; nothing is done about it yet.
    fn note(&mut self, key: Key, ready: Ready) {
        match key {
            Key::Listener => self.incoming = true,
            Key::Signals => {}
            Key::Client(id) => {
                if let Some(client) = self.clients.get_mut(&id) {
                    client.conn.note(ready);
                }
            }
            Key::Session(id) => {
                if let Some(session) = self.sessions.get_mut(&id) {
                    session.note_output(ready);
                }
            }
            Key::SessionErr(id) => {
                if let Some(session) = self.sessions.get_mut(&id) {
                    session.note_stderr(ready);
                }
            }
            Key::Master(id) => self.with_master(id, |m| m.note_output(ready)),
            Key::MasterErr(id) => self.with_master(id, |m| m.note_stderr(ready)),
            // A pidfd is readable when its process has ended.
            Key::Local(id) if ready.readable => {
                self.local_ended(id);
            }
            Key::Local(_) => {}
            Key::Rsync(id) => {
                if let Some(job) = self.jobs.get_mut(&id) {
                    job.note_rsync(ready);
                }
            }
        }
    }

    fn hear_signals(&mut self) {
        while let Some(number) = self.signals.next() {
            match number {
                signal::SIGHUP => {
                    let _ = self.reload();
                }
                signal::SIGCHLD => {}
                _ => self.leaving = true,
            }
        }
    }

    fn take(&mut self, report: Report) {
        match report {
            Report::Surveyed(id, survey) => self.surveyed(id, *survey),
            Report::Crates(id, attempt, crates) => self.crates(id, attempt, *crates),
            Report::Fed(id, attempt, fed) => self.fed(id, attempt, *fed),
            Report::Chosen(id, attempt, chosen) => self.chosen(id, attempt, chosen),
            Report::Landed(id, attempt, landed) => self.landed(id, attempt, *landed),
            Report::Rescanned(id, attempt, rescan) => self.rescanned(id, attempt, *rescan),
            Report::Planned(id, plan) => self.planned(id, &plan),
            Report::Measured(here) => self.measured_here(here),
            Report::Nothing => {}
        }
    }

    /// Whether there is work that no event will announce.
    fn has_work(&self) -> bool {
        self.incoming
            || self.again
            || self.clients.values().any(|c| c.conn.has_work())
            || self.sessions.values().any(|s| s.has_work())
    }

    /// When something is due though nothing happens.
    fn deadline(&self) -> Option<Instant> {
        let sessions = self.sessions.values().filter_map(Session::next_deadline);
        // One that is being tried is past its time, and nothing is due.
        let workers = self.workers.iter().filter_map(|w| w.deadline(self.now));
        let jobs = self.jobs.values().filter_map(Job::deadline);
        let clients = self.clients.values().filter_map(Client::deadline);
        sessions
            .chain(workers)
            .chain(jobs)
            .chain(clients)
            .chain(self.surplus_deadline())
            .chain(self.queue.deadline())
            .chain(self.keep.deadline())
            .min()
    }

    fn expire(&mut self) {
        while let Some(id) = self.queue.expired(self.now) {
            let survey = self.jobs.get(&id).and_then(|j| j.survey.as_ref());
            let wait = survey.map_or(0, |s| s.config.compilation.queue_timeout_ms);
            let wait = crate::time::human(Duration::from_millis(wait));
            self.local(
                id,
                &format!("no worker had enough free slots within {wait}"),
            );
        }
        if let Some(write) = self.keep.due(self.now) {
            self.crew.submit(move || {
                write();
                Report::Nothing
            });
        }
    }

    fn event(&self, text: std::fmt::Arguments<'_>) {
        info!("{text}");
        if self.foreground {
            use std::io::Write;
            let _ = writeln!(std::io::stdout(), "{text}");
        }
    }

    /// Takes the socket away, once: what stands there later is the next daemon's.
    fn unlink(&mut self) {
        if std::mem::take(&mut self.linked) {
            let _ = std::fs::remove_file(&self.socket);
        }
    }

    fn leave(&mut self) {
        self.event(format_args!("stopping"));
        self.unlink();
        let ids: Vec<JobId> = self.jobs.keys().copied().collect();
        for id in ids {
            self.local(id, "rchd was stopped");
        }
        self.farewell();
        self.keep.write();
        // What is known of the lanes is written there.
        self.crew.finish(Instant::now() + LAST_WRITES);
        let sessions = std::mem::take(&mut self.sessions);
        // Their pipes close here, and the workers end what they run.
        drop(sessions);
        self.workers.clear();
        // Whoever has the answer may start another daemon, which finds neither this one nor its files
        // half written.
        for client in std::mem::take(&mut self.dismissed_by) {
            self.tell(client, &FromDaemon::End);
        }
        self.farewell();
    }
}
