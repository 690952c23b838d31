//! Keeps workers reachable: ssh masters, the pool of sessions, and what is known of each worker.
//!
//! A worker always has one session, so that its facts are known and a job need not wait for a login;
//! more are opened when jobs wait for them. Connecting is limited (sshd drops the fifth of a
//! burst), failing is followed by a growing pause, and nothing here ever waits.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::keep::Keep;
use super::{Daemon, Key};
use crate::client;
use crate::config::{self, Transport};
use crate::error::{Error, Result};
use crate::fleet::{Circuit, Health, ONE_CAUSE, Slots};
use crate::ids::{JobId, SessionId, WorkerId};
use crate::job::Stage;
use crate::master::{self, Master};
use crate::plan::ssh;
use crate::roots::needs::Needs;
use crate::session::{Incoming, Session, State};
use crate::sys::cpu;
use crate::toolchain::Identity;
use crate::wire::worker::Facts;

/// How many connections may be in the making at once, to all workers together.
const CONNECTS: usize = 4;
/// First pause after a failed connection; doubled each time.
const PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// A second loss of a standing connection within this is no accident.
const AGAIN: Duration = Duration::from_secs(5);
/// A program that was missing may have been installed after this.
const INSTALLS: Duration = Duration::from_secs(600);
/// A speed for a worker that was never measured: good enough to be tried.
const UNMEASURED: f64 = 50.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct MasterId(pub(super) u64);

pub(super) struct Worker {
    pub(super) conf: config::Worker,
    pub(super) slots: std::sync::Arc<Slots>,
    pub(super) health: Health,
    pub(super) drained: bool,
    /// Since its last greeting; empty before the first.
    pub(super) facts: Option<Facts>,
    pub(super) version: String,
    pub(super) latency: Duration,
    pub(super) speed: f64,
    pub(super) done: u64,
    pub(super) failures: u64,
    /// Why it cannot be reached, when to try again, and the pause that led there.
    down: Option<(String, Instant, Duration)>,
    masters: Vec<(MasterId, Master)>,
    /// Masters to where it was, as long as jobs use them.
    retired: Vec<(MasterId, Master)>,
    /// When an idle session last went without being asked to.
    lost: Option<Instant>,
    /// Removed from the configuration; goes when its last job has.
    leaving: bool,
    /// Programs that jobs needed and did not find there: when that was, and its word on it.
    pub(super) without: HashMap<Vec<String>, (Instant, String)>,
}

impl Worker {
    fn new(conf: config::Worker, keep: &Keep) -> Worker {
        Worker {
            slots: Slots::new(conf.total_slots),
            health: Health::default(),
            drained: keep.is_drained(conf.id.as_str()),
            speed: keep.speed(conf.id.as_str()).unwrap_or(UNMEASURED),
            conf,
            facts: None,
            without: HashMap::new(),
            version: String::new(),
            latency: Duration::ZERO,
            done: 0,
            failures: 0,
            down: None,
            lost: None,
            masters: vec![],
            retired: vec![],
            leaving: false,
        }
    }

    /// An edited entry: what it says is tried at once, over connections made as it says.
    /// True if it is another machine now, or the same one reached otherwise.
    fn take(&mut self, conf: config::Worker) -> bool {
        if self.conf != conf {
            self.down = None;
        }
        let moved = !self.conf.same_place(&conf);
        if moved {
            self.facts = None;
            self.retired.append(&mut self.masters);
        }
        self.conf = conf;
        moved
    }

    fn all_masters(&mut self) -> impl Iterator<Item = &mut (MasterId, Master)> {
        self.masters.iter_mut().chain(&mut self.retired)
    }

    pub(super) fn id(&self) -> &WorkerId {
        &self.conf.id
    }

    /// Empty if jobs may go there, else the reason.
    pub(super) fn refusal(&mut self, now: Instant) -> String {
        if !self.conf.enabled {
            return "disabled".into();
        }
        if self.drained || self.leaving {
            return "drained".into();
        }
        if let Some((why, ..)) = &self.down {
            return why.clone();
        }
        match self.health.circuit(now) {
            Circuit::Open { .. } => format!("paused after failures ({})", self.health.reason()),
            _ => String::new(),
        }
    }

    /// Whether it has the one job already that it may have until it has proved itself. That is a
    /// reason to wait, not to run locally.
    pub(super) fn on_trial(&mut self, now: Instant) -> bool {
        matches!(self.health.circuit(now), Circuit::HalfOpen { .. }) && self.slots.used() > 0
    }

    /// Empty if it has the same compilers, else what it lacks. Nothing is refused before its facts
    /// are known.
    pub(super) fn lacks(&self, identities: &[Identity], needs: &Needs, now: Instant) -> String {
        let Some(facts) = &self.facts else {
            return String::new();
        };
        if (facts.os.as_str(), facts.arch.as_str())
            != (std::env::consts::OS, std::env::consts::ARCH)
        {
            return format!("is {} {}", facts.os, facts.arch);
        }
        if needs.native && facts.cpu != cpu::kind() {
            return "has another processor, and the build is for this one alone".into();
        }
        match self.without.get(&needs.programs) {
            Some((since, why)) if now < *since + INSTALLS => return why.clone(),
            _ => {}
        }
        let missing = identities.iter().find(|i| self.toolchain(i).is_none());
        missing.map_or(String::new(), |i| {
            let first = i.text.lines().next().unwrap_or_default();
            format!("has no {} like ours ({first})", i.tool)
        })
    }

    /// The worker's own name of the same tool: `rustc NAME` gives NAME, others the empty string.
    pub(super) fn toolchain(&self, identity: &Identity) -> Option<&str> {
        let tools = &self.facts.as_ref()?.tools;
        let same = tools
            .iter()
            .filter(|(_, text)| text.trim_end() == identity.text);
        same.filter_map(|(name, _)| {
            let (tool, rest) = name.split_once(' ').unwrap_or((name, ""));
            (tool == identity.tool).then_some(rest)
        })
        .next()
    }

    pub(super) fn is_down(&self) -> bool {
        self.down.is_some()
    }

    /// Ends the pause after a failed connection.
    pub(super) fn retry_now(&mut self, now: Instant) {
        if let Some((_, until, _)) = &mut self.down {
            *until = now;
        }
    }

    /// A control socket that sessions can go through now.
    fn ready_master(&self) -> Option<&Master> {
        self.masters
            .iter()
            .map(|(_, m)| m)
            .find(|m| m.state() == master::State::Ready)
    }

    /// `now` is the present turn's: what is not after it has been seen to.
    pub(super) fn deadline(&self, now: Instant) -> Option<Instant> {
        let all = self.masters.iter().chain(&self.retired);
        let masters = all.filter_map(|(_, m)| m.deadline());
        let retry = self
            .down
            .as_ref()
            .map(|(_, at, _)| *at)
            .filter(|at| self.conf.enabled && *at > now);
        masters.chain(retry).min()
    }
}

impl Session {
    pub(super) fn has_work(&self) -> bool {
        self.state() != State::Dead && self.wants_turn()
    }
}

impl Daemon {
    pub(super) fn worker(&mut self, id: &WorkerId) -> Option<&mut Worker> {
        self.workers.iter_mut().find(|w| w.id() == id)
    }

    /// Puts a new configuration in force; jobs on workers that stay are not disturbed.
    pub(super) fn set_workers(&mut self, confs: Vec<config::Worker>) {
        for worker in &mut self.workers {
            worker.leaving = !confs.iter().any(|c| c.id == worker.conf.id);
        }
        let mut moved = vec![];
        for conf in confs {
            match self.workers.iter_mut().find(|w| w.conf.id == conf.id) {
                Some(worker) => {
                    let cpus = worker.facts.as_ref().map_or(0, |f| f.cpus);
                    worker.slots.set_total(if conf.total_slots == 0 {
                        cpus
                    } else {
                        conf.total_slots
                    });
                    if worker.take(conf) {
                        moved.push(worker.conf.id.clone());
                    }
                }
                None => self.workers.push(Worker::new(conf, &self.keep)),
            }
        }
        moved.iter().for_each(|id| self.leave_place(id));
        self.drop_departed();
    }

    /// The worker is reached otherwise from now on. Jobs that run end where they are; one whose
    /// files are on the way begins again.
    fn leave_place(&mut self, id: &WorkerId) {
        let now = self.now;
        let syncing = |j: &super::jobs::Job| {
            j.stage() == Stage::Syncing && j.attempt.as_ref().is_some_and(|a| a.worker == *id)
        };
        let jobs: Vec<JobId> = self
            .jobs
            .values()
            .filter(|j| syncing(j))
            .map(|j| j.id)
            .collect();
        for job in jobs {
            self.lose(job, &format!("worker {id} was moved"), false);
        }
        for session in self.sessions.values_mut().filter(|s| s.worker == *id) {
            session.retire(now);
        }
    }

    fn drop_departed(&mut self) {
        let now = self.now;
        let leaving: Vec<WorkerId> = self
            .workers
            .iter()
            .filter(|w| w.leaving && w.slots.used() == 0)
            .map(|w| w.id().clone())
            .collect();
        for session in self
            .sessions
            .values_mut()
            .filter(|s| leaving.contains(&s.worker))
        {
            session.end(now);
        }
        self.workers.retain(|w| !leaving.contains(w.id()));
    }

    pub(super) fn with_master(&mut self, id: MasterId, act: impl FnOnce(&mut Master)) {
        let mut masters = self.workers.iter_mut().flat_map(Worker::all_masters);
        if let Some((_, master)) = masters.find(|(m, _)| *m == id) {
            act(master);
        }
    }

    /// Masters and sessions: reaps, gives up, opens what is wanted.
    pub(super) fn tend_links(&mut self) {
        let now = self.now;
        for at in 0..self.workers.len() {
            self.tend_masters(at);
        }
        for session in self.sessions.values_mut() {
            session.tend(now);
        }
        self.sessions.retain(|_, s| !s.is_gone());
        for at in 0..self.workers.len() {
            self.open_wanted(at);
        }
        self.end_surplus();
        self.drop_departed();
    }

    fn tend_masters(&mut self, at: usize) {
        let now = self.now;
        let worker = &mut self.workers[at];
        let mut failure = None;
        for (_, master) in &mut worker.masters {
            let stood = master.state() == master::State::Ready;
            if let Err(e) = master.tend(now) {
                failure = Some((e, stood));
            }
        }
        worker.masters.retain(|(_, m)| !m.is_gone());
        for (id, master) in &mut worker.retired {
            // Its end is no news about where the worker is now.
            let _ = master.tend(now);
            let used = self.sessions.values().any(|s| s.carrier() == Some(id.0));
            if !used && master.state() != master::State::Dead {
                master.end(now);
            }
        }
        worker.retired.retain(|(_, m)| !m.is_gone());
        let id = worker.conf.id.clone();
        match failure {
            Some((error, true)) => self.idle_lost(&id, &error),
            Some((error, false)) => self.cannot_connect(&id, &error),
            None => {}
        }
    }

    /// Opens sessions until the worker has one, and one for each job that waits for it.
    fn open_wanted(&mut self, at: usize) {
        let worker = &self.workers[at];
        let id = worker.conf.id.clone();
        if !worker.conf.enabled || worker.leaving {
            return;
        }
        if worker
            .down
            .as_ref()
            .is_some_and(|(_, until, _)| *until > self.now)
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

    /// A session through a master that has room, or a master.
    fn open_ssh(&mut self, at: usize) -> Result<()> {
        let worker = &self.workers[at];
        let id = worker.conf.id.clone();
        let load = |m: MasterId| {
            self.sessions
                .values()
                .filter(|s| s.carrier() == Some(m.0))
                .count()
        };
        let mut ready = worker
            .masters
            .iter()
            .filter(|(_, m)| m.state() == master::State::Ready);
        if let Some((carrier, master)) = ready.find(|(m, _)| load(*m) < ssh::SESSIONS_PER_MASTER) {
            let mut cmd = Command::new("ssh");
            cmd.args(ssh::session(&worker.conf, master.control()));
            let carrier = *carrier;
            let session = self.start(&id, &mut cmd)?;
            self.sessions
                .get_mut(&session)
                .expect("BUG: just started")
                .carried_by(carrier.0);
            return Ok(());
        }
        let connecting = |m: &Master| matches!(m.state(), master::State::Connecting(_));
        if worker.masters.iter().any(|(_, m)| connecting(m)) {
            return Ok(());
        }
        let number = MasterId(self.number());
        let control = self.control_path(number)?;
        let worker = &self.workers[at];
        let alive = self.config.transfer.ssh_server_alive_interval_secs;
        let master = Master::start(
            &ssh::master(&worker.conf, &control, alive),
            &control,
            self.now,
        )?;
        let watched = self
            .poller
            .add(&master.pipes().stdout, Key::Master(number))
            .and_then(|_| self.poller.add(master.child(), Key::MasterErr(number)));
        watched.map_err(|e| Error::os("cannot watch ssh", &e))?;
        self.workers[at].masters.push((number, master));
        Ok(())
    }

    fn start(&mut self, worker: &WorkerId, cmd: &mut Command) -> Result<SessionId> {
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

    /// A short path for a control socket, in a folder of ours.
    fn control_path(&self, id: MasterId) -> Result<PathBuf> {
        let name = format!("m{}-{}", std::process::id(), id.0);
        let dir = self.cache.join("ssh");
        let short = |dir: &Path| dir.as_os_str().len() + name.len() < ssh::CONTROL_PATH_MAX;
        let dir = if short(&dir) {
            dir
        } else {
            std::env::temp_dir().join(format!("rch-{}", crate::sys::process::getuid()))
        };
        client::socket_dir(&dir.join(&name))?;
        Ok(dir.join(name))
    }

    /// The worker could not be reached: it is left alone for a while, and jobs do not wait for it.
    fn cannot_connect(&mut self, id: &WorkerId, error: &Error) {
        let now = self.now;
        let waiting: Vec<JobId> = self
            .jobs
            .iter()
            .filter(|(_, j)| j.waits_for(id))
            .map(|(id, _)| *id)
            .collect();
        let Some(worker) = self.worker(id) else {
            return;
        };
        let pause = worker
            .down
            .as_ref()
            .map_or(PAUSE, |(_, _, p)| (*p * 2).min(LONGEST_PAUSE));
        worker.down = Some((
            format!("cannot be reached ({})", error.text()),
            now + pause,
            pause,
        ));
        worker.failures += 1;
        self.event(format_args!("worker {id}: {}", error.text()));
        for job in waiting {
            self.lose(
                job,
                &format!("worker {id} cannot be reached: {}", error.text()),
                true,
            );
        }
        self.probe_failed(id, error);
    }

    /// Sessions that nobody needs: all but one idle one per worker, after a while.
    fn end_surplus(&mut self) {
        let now = self.now;
        let keep = Duration::from_secs(self.config.transfer.ssh_control_persist_secs);
        let old: Vec<SessionId> = self
            .sessions
            .iter()
            .filter(|(_, s)| s.state() == State::Ready && now >= s.idle_since() + keep)
            .map(|(id, _)| *id)
            .collect();
        for id in old {
            let worker = self.sessions[&id].worker.clone();
            let idle = |s: &&Session| s.worker == worker && s.state() == State::Ready;
            if self.sessions.values().filter(idle).count() > 1 {
                self.sessions.get_mut(&id).expect("BUG: just seen").end(now);
            }
        }
    }

    /// An idle session of the worker.
    pub(super) fn idle_session(&self, worker: &WorkerId) -> Option<SessionId> {
        let mut all = self.sessions.iter();
        all.find(|(_, s)| s.worker == *worker && s.state() == State::Ready)
            .map(|(id, _)| *id)
    }

    /// The control socket for an rsync to the worker; `None` if it is not reached by ssh.
    pub(super) fn control_socket(&self, worker: &WorkerId) -> Option<PathBuf> {
        let worker = self.workers.iter().find(|w| w.id() == worker)?;
        worker.ready_master().map(|m| m.control().to_path_buf())
    }

    /// Reads every session as far as its job can take it.
    pub(super) fn hear_sessions(&mut self) {
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
                Incoming::Message(message) => match job {
                    Some(job) => self.message(job, message),
                    None => self.heard_idle(id),
                },
                Incoming::Files(bytes) => {
                    if let Some(job) = job {
                        self.files(job, bytes);
                    }
                }
            }
        }
    }

    fn greeted(&mut self, id: SessionId) {
        let session = &self.sessions[&id];
        let (name, facts) = (session.worker.clone(), session.facts().clone());
        let (version, latency) = (session.version().to_owned(), session.latency());
        let Some(worker) = self.worker(&name) else {
            return;
        };
        let news = worker.facts.is_none() || worker.down.is_some();
        if worker.conf.total_slots == 0 {
            worker.slots.set_total(facts.cpus);
        }
        worker.facts = Some(facts);
        worker.version = version;
        worker.latency = latency;
        worker.down = None;
        if news {
            let slots = worker.slots.total();
            self.event(format_args!("worker {name}: online ({slots} slots)"));
            self.tally();
        }
    }

    fn tally(&self) {
        let up = self
            .workers
            .iter()
            .filter(|w| w.facts.is_some() && w.down.is_none());
        let (count, slots) = up.fold((0, 0), |(n, s), w| (n + 1, s + w.slots.total()));
        let s = if count == 1 { "" } else { "s" };
        self.event(format_args!("{count} worker{s} online ({slots} slots)"));
    }

    /// A pong, or a lane given back.
    fn heard_idle(&mut self, id: SessionId) {
        let (name, latency) = (
            self.sessions[&id].worker.clone(),
            self.sessions[&id].latency(),
        );
        if let Some(worker) = self.worker(&name) {
            worker.latency = latency;
        }
        self.probe_answered(id);
    }

    fn session_lost(&mut self, id: SessionId, (was, job): (State, Option<JobId>), error: &Error) {
        let name = self.sessions[&id].worker.clone();
        match job {
            Some(job) => {
                self.event(format_args!(
                    "worker {name}: lost in job {job}: {}",
                    error.text()
                ));
                self.lose(
                    job,
                    &format!("worker {name} was lost: {}", error.text()),
                    true,
                );
            }
            None if was == State::Connecting => self.cannot_connect(&name, error),
            None => self.idle_lost(&name, error),
        }
    }
}

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
    /// A connection that stood has gone: another one is made at once, unless that has just happened.
    /// Jobs that wait for a session there go on waiting.
    fn idle_lost(&mut self, name: &WorkerId, error: &Error) {
        let now = self.now;
        let Some(worker) = self.worker(name) else {
            return;
        };
        match worker.lost.map(|at| now.duration_since(at)) {
            // A master and its sessions go together.
            Some(since) if since < ONE_CAUSE => return,
            Some(since) if since < AGAIN => return self.cannot_connect(name, error),
            _ => worker.lost = Some(now),
        }
        self.event(format_args!(
            "worker {name}: {}; connecting again",
            error.text()
        ));
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
