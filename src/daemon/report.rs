//! How it all stands: the structs of `wire::status`, filled.
//!
//! Nothing is decided here. The rows are made when somebody asks; only a finished job's is kept,
//! because the job itself is gone by then.

use super::explain::terms;
use super::jobs::{Job, report_command};
use super::{Daemon, survey};
use crate::config::Transport;
use crate::error::Error;
use crate::ids::{SessionId, WorkerId};
use crate::job::Stage;
use crate::plan::remedy::{self, COPY_AGAIN};
use crate::session::State;
use crate::sys::process::{Exit, getpid};
use crate::time::millis;
use crate::wire::status;
use crate::wire::worker::Facts;

/// Bytes that the rows of jobs may take in an answer, which is one frame.
const ROOM: usize = crate::wire::MAX_BODY / 2;

impl Daemon {
    pub(super) fn status(&mut self) -> status::Status {
        let mut jobs: Vec<status::Job> = self
            .jobs
            .values()
            .filter(|j| !j.stage().is_over())
            .map(|j| self.job_row(j))
            .collect();
        jobs.extend(self.recent.iter().cloned());
        status::Status {
            daemon: status::Daemon {
                pid: getpid().0,
                version: crate::wire::VERSION.into(),
                socket: self.socket.display().to_string(),
                uptime_ms: millis(self.started.elapsed()),
                // Whoever asks is none that waits for something else.
                clients: u32::try_from(self.clients.len().saturating_sub(1)).unwrap_or(0),
                rss_kib: rss_kib(),
            },
            workers: (0..self.workers.len())
                .map(|at| self.worker_row(at))
                .collect(),
            jobs: fit(jobs, ROOM),
            totals: self.totals(),
        }
    }

    fn totals(&self) -> status::Totals {
        let mut totals = self.totals.clone();
        totals.local_reasons = self.local_reasons.list();
        totals
    }

    fn worker_row(&mut self, at: usize) -> status::Worker {
        let now = self.now;
        let sessions = self.sessions.values();
        let id = self.workers[at].id().clone();
        let sessions = sessions
            .filter(|s| s.worker == id && s.state() != State::Dead)
            .count();
        let assumed = self.assumed_speed();
        let lanes = u32::try_from(self.lanes.count(&id)).unwrap_or(u32::MAX);
        let worker = &mut self.workers[at];
        let (state, reason) = worker.state(now);
        status::Worker {
            id: id.to_string(),
            transport: transport(&worker.conf.transport).into(),
            address: address(&worker.conf),
            state: state.into(),
            reason,
            retry_ms: worker.retry(now).map(millis),
            slots_total: worker.slots.total(),
            slots_used: worker.slots.used(),
            sessions: u32::try_from(sessions).unwrap_or(0),
            lanes,
            latency_ms: latency_ms(worker.latency.unwrap_or_default()),
            speed: worker.speed.unwrap_or(assumed),
            priority: worker.conf.priority,
            tags: worker.conf.tags.clone(),
            jobs_done: worker.done,
            failures: worker.failures,
        }
    }

    pub(super) fn job_row(&self, job: &Job) -> status::Job {
        let attempt = job.attempt.as_ref();
        status::Job {
            id: job.id.0,
            state: job.stage().name().into(),
            command: report_command(&job.exec),
            cwd: job.exec.cwd.display().to_string(),
            agent: job.agent.clone(),
            kind: job
                .survey
                .as_ref()
                .map_or("", |s| survey::kind_name(s.accepted.kind))
                .into(),
            worker: attempt.map_or(String::new(), |a| a.worker.to_string()),
            lane: attempt.and_then(|a| a.lane).map_or(0, u32::from),
            slots: attempt.map_or(0, |a| a.lease.slots()),
            status: job.exit.map(Exit::status),
            signal: signal(job),
            reason: self.reason(job),
            started: job.started,
            elapsed_ms: millis(self.now.duration_since(job.begun)),
            sync_ms: job.moved.sync_ms,
            remote_ms: job.moved.remote_ms,
            sent_bytes: job.moved.sent_bytes,
            sent_files: job.moved.sent_files,
            returned_bytes: job.moved.back_bytes,
            returned_files: job.moved.back_files,
            subscribers: u32::try_from(job.subscribers.len()).unwrap_or(0),
            wish: job.survey.as_ref().map_or(0, |_| job.wish()),
            candidates: terms(&job.seen),
        }
    }

    /// Why it waits, while it does; else why it is not where it was to be.
    fn reason(&self, job: &Job) -> String {
        let queued = job.stage() == Stage::Queued && !job.waits.is_empty();
        if job.reason.is_empty() && queued {
            let (place, of) = (self.queue.place(job.id), self.queue.len());
            return format!("{}; place {place} of {of}", job.waits);
        }
        job.reason.clone()
    }

    /// Asks a worker for a sign of life: an idle session is pinged; one that is busy is sign enough;
    /// else the session that is opened next will answer.
    pub(super) fn probe(&mut self, worker: &WorkerId) {
        let now = self.now;
        if let Some(id) = self.idle_session(worker) {
            self.sessions
                .get_mut(&id)
                .expect("BUG: just found")
                .ping(now);
            return;
        }
        let busy = |s: &crate::session::Session| matches!(s.state(), State::Busy(_));
        let found = self
            .sessions
            .iter()
            .find(|(_, s)| s.worker == *worker && busy(s));
        if let Some(id) = found.map(|(id, _)| *id) {
            self.probe_answered(id);
        } else if let Some(worker) = self.worker(worker) {
            worker.retry_now(now);
        }
    }

    pub(super) fn probe_answered(&mut self, id: SessionId) {
        let session = &self.sessions[&id];
        let name = session.worker.clone();
        let offset_ms = (session.offset() as f64 / 1e6).round();
        let Some(worker) = self.workers.iter().find(|w| *w.id() == name) else {
            return;
        };
        // One that has greeted and is not measured yet answers a ping next.
        let (Some(facts), Some(latency)) = (&worker.facts, worker.latency) else {
            return;
        };
        let hint = match worker.version == crate::wire::VERSION {
            true => String::new(),
            false => self.remedy(&name, COPY_AGAIN),
        };
        let probe = status::Probe {
            id: name.to_string(),
            ok: true,
            error: String::new(),
            hint,
            latency_ms: latency_ms(latency),
            slots: worker.slots.total(),
            cpus: facts.cpus,
            version: worker.version.clone(),
            tools: tools(facts),
            paths_identical: facts.no_namespace.is_empty(),
            no_namespace: facts.no_namespace.clone(),
            rsync: facts.rsync.clone(),
            free_mib: facts.free_mib,
            clock_offset_ms: offset_ms,
        };
        self.probe_result(&name, &probe);
    }

    /// A general remedy becomes a line for this worker.
    fn remedy(&self, worker: &WorkerId, hint: &str) -> String {
        let found = self.workers.iter().find(|w| w.id() == worker);
        let program = crate::client::beside_us("rch-wkr").ok();
        found.map_or(hint.into(), |w| {
            remedy::exact(hint, &w.conf, program.as_deref())
        })
    }

    pub(super) fn probe_failed(&mut self, worker: &WorkerId, error: &Error) {
        let probe = status::Probe {
            id: worker.to_string(),
            error: error.text().into(),
            hint: self.remedy(worker, error.remedy().unwrap_or_default()),
            ..status::Probe::default()
        };
        self.probe_result(worker, &probe);
    }
}

/// What ended a job that did not end by itself: what its client got, else what its command died by.
fn signal(job: &Job) -> Option<u8> {
    let exit = job.exit?;
    let passed_on = job.attempt.as_ref().and_then(|a| a.stopped_by);
    match exit {
        _ if exit.success() => None,
        Exit::Signal(died_by) => passed_on.or(Some(died_by)),
        Exit::Code(_) => passed_on,
    }
}

/// As many rows as there is room for, those in front first; the terms of a choice before a row goes.
fn fit(jobs: Vec<status::Job>, room: usize) -> Vec<status::Job> {
    let size = |job: &status::Job| serde_json::to_vec(job).map_or(0, |text| text.len() + 1);
    let mut left = room;
    let mut kept = vec![];
    for mut job in jobs {
        let mut needs = size(&job);
        // Half of it is for the rows themselves.
        if needs > left.saturating_sub(room / 2) {
            job.candidates.clear();
            needs = size(&job);
        }
        let Some(rest) = left.checked_sub(needs) else {
            break;
        };
        left = rest;
        kept.push(job);
    }
    kept
}

/// `rust 1.95.0` for a rustc's text, else the first line of what the tool says, behind its name.
fn tools(facts: &Facts) -> Vec<String> {
    let mut all: Vec<String> = vec![];
    for (name, text) in &facts.tools {
        let first = text.lines().next().unwrap_or_default();
        let tool = match first.strip_prefix("rustc ") {
            Some(rest) => format!("rust {}", rest.split(' ').next().unwrap_or_default()),
            None if first.starts_with(name.as_str()) => first.into(),
            None => format!("{name} {first}"),
        };
        if !all.contains(&tool) {
            all.push(tool);
        }
    }
    all
}

/// To the microsecond.
fn latency_ms(latency: std::time::Duration) -> f64 {
    (latency.as_secs_f64() * 1e6).round() / 1e3
}

fn transport(transport: &Transport) -> &'static str {
    match transport {
        Transport::Ssh => "ssh",
        Transport::Local => "local",
        Transport::Command(_) => "command",
    }
}

fn address(conf: &crate::config::Worker) -> String {
    if conf.transport != Transport::Ssh {
        return String::new();
    }
    let user = if conf.user.is_empty() {
        String::new()
    } else {
        format!("{}@", conf.user)
    };
    let port = if conf.port == 0 {
        String::new()
    } else {
        format!(":{}", conf.port)
    };
    format!("{user}{}{port}", conf.host)
}

fn rss_kib() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm
        .split(' ')
        .nth(1)
        .and_then(|p| p.parse().ok())
        .unwrap_or(0);
    pages * 4
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(id: u64, workers: usize) -> status::Job {
        let one = status::PlanWorker {
            refusal: "has no rustc like ours (rustc 1.95.0 (59807616e 2026-04-14))".into(),
            ..status::PlanWorker::default()
        };
        status::Job {
            id,
            command: "cargo build".into(),
            candidates: vec![one; workers],
            ..status::Job::default()
        }
    }

    /// Compilers say who they are in several lines, and machines read one.
    #[test]
    fn a_tool_is_one_line() {
        let tools_of = |all: &[(&str, &str)]| {
            let own = |(n, t): &(&str, &str)| (n.to_string(), t.to_string());
            let facts = Facts {
                tools: all.iter().map(own).collect(),
                ..Facts::default()
            };
            tools(&facts)
        };
        assert_eq!(
            tools_of(&[
                ("rustc stable", "rustc 1.95.0 (59807616e)\nbinary: rustc\n"),
                ("rustc 1.95.0", "rustc 1.95.0 (59807616e)\nbinary: rustc\n"),
                ("clang", "Debian clang version 14.0.6\nTarget: x86_64\n"),
            ]),
            ["rust 1.95.0", "clang Debian clang version 14.0.6"]
        );
    }

    /// Sixty-four workers and a thousand jobs were more than a frame holds, and the daemon's end.
    #[test]
    fn rows_that_do_not_fit_are_left_out_terms_first() {
        let few: Vec<status::Job> = (0..10).map(|n| job(n, 4)).collect();
        assert_eq!(fit(few.clone(), ROOM), few);
        let many: Vec<status::Job> = (0..5000).map(|n| job(n, 64)).collect();
        let kept = fit(many, ROOM);
        assert!(serde_json::to_vec(&kept).unwrap().len() < ROOM + 2);
        assert!(kept.len() > 300, "{}", kept.len());
        assert_eq!(kept[0].candidates.len(), 64);
        assert!(kept.last().unwrap().candidates.is_empty());
        assert!((0..).zip(&kept).all(|(n, j)| j.id == n), "the newest");
    }
}
