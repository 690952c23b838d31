//! One try of a job on one worker: its slots, its session, what the worker says of it.
//!
//! An attempt begins with a lease and ends in `ends`. It may run on only while its number is the
//! job's present one, which is how late answers of the crew are told from timely ones.

use super::{Attempt, millis, report_command};
use crate::classify::Tool;
use crate::daemon::transfer::Transfer;
use crate::daemon::{Daemon, survey};
use crate::ids::{JobId, ManifestId, WorkerId};
use crate::job::Stage;
use crate::plan::{parallel, trouble};
use crate::sys::process::Exit;
use crate::wire::client::FromDaemon;
use crate::wire::worker::{Fault, FromWorker, Run, ToWorker};

impl Daemon {
    pub(super) fn assign(&mut self, id: JobId, worker: &WorkerId, slots: u32) {
        let Some(lease) = self.worker(worker).and_then(|w| w.slots.reserve(slots)) else {
            return;
        };
        self.queue.remove(id);
        let (number, now) = (self.number(), self.now);
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        let manifest = job
            .survey
            .as_ref()
            .expect("BUG: queued without a survey")
            .manifest
            .clone();
        job.stage.advance(Stage::Connecting);
        job.attempt = Some(Attempt {
            number,
            begun: now,
            worker: worker.clone(),
            lease,
            session: None,
            lane: None,
            base: None,
            manifest,
            holds: ManifestId([0; 16]),
            transfer: Transfer::Idle,
            exit: None,
            produced: vec![],
            kept: vec![],
            program: None,
            cleaned: vec![],
            fetches: 0,
            until: None,
            timed_out: false,
            kill_at: None,
            killed: false,
            stopped_by: None,
            tail: vec![],
        });
        let command = report_command(&job.exec);
        self.event(format_args!(
            "job {id}: {command} on {worker} ({slots} slots)"
        ));
    }

    /// Whatever is due: sessions for those that wait, feeds that can go on, limits that are reached.
    pub(in crate::daemon) fn tend_jobs(&mut self) {
        let ids: Vec<JobId> = self.jobs.keys().copied().collect();
        for id in ids {
            self.begin_if_ready(id);
            self.tend_transfer(id);
            self.enforce(id);
        }
    }

    pub(super) fn begin_if_ready(&mut self, id: JobId) {
        let Some(job) = self
            .jobs
            .get_mut(&id)
            .filter(|j| j.stage == Stage::Connecting)
        else {
            return;
        };
        let worker = job
            .attempt
            .as_ref()
            .expect("BUG: connecting to nobody")
            .worker
            .clone();
        let Some(session) = self.idle_session(&worker) else {
            return;
        };
        let now = self.now;
        self.sessions
            .get_mut(&session)
            .expect("BUG: just found")
            .take(id, now);
        let job = self.jobs.get_mut(&id).expect("BUG: just seen");
        job.stage.advance(Stage::Syncing);
        job.attempt.as_mut().expect("BUG: just seen").session = Some(session);
        self.begin_sync(id);
    }

    /// What a worker says about its job.
    pub(in crate::daemon) fn message(&mut self, id: JobId, message: FromWorker) {
        match message {
            FromWorker::Lane {
                number,
                base,
                roots,
            } => self.lane(id, number, base, &roots),
            FromWorker::Started => {
                self.cleaned(id);
                self.running(id);
            }
            FromWorker::Stdout(bytes) => {
                self.remember_end(id, 1, &bytes);
                self.output(id, &FromDaemon::Stdout(bytes));
            }
            FromWorker::Stderr(bytes) => {
                self.remember_end(id, 2, &bytes);
                self.output(id, &FromDaemon::Stderr(bytes));
            }
            FromWorker::Program(program) => self.program(id, program),
            FromWorker::Exited { exit, wall_ms, .. } => self.exited(id, exit, wall_ms),
            FromWorker::Produced { files, last } => self.produced(id, files, last),
            FromWorker::Fetched { missing } => self.fetched(id, &missing),
            FromWorker::Lacks(crates) => self.lacks(id, crates),
            FromWorker::Holds { files, last } => self.holds(id, files, last),
            FromWorker::Failed { fault, text } => self.failed(id, fault, &text),
            FromWorker::Committed | FromWorker::Pong { .. } | FromWorker::Closed => {}
            FromWorker::Ready { .. }
            | FromWorker::File(_)
            | FromWorker::Data(_)
            | FromWorker::Patch(_) => {
                self.failed(id, Fault::Protocol, "an unexpected message");
            }
        }
    }

    /// The command line and everything else it needs, for a worker that holds its files.
    pub(in crate::daemon) fn run_message(&mut self, id: JobId) -> Option<Run> {
        let job = self.jobs.get(&id)?;
        let (survey, attempt) = (job.survey.as_ref()?, job.attempt.as_ref()?);
        let worker = self.workers.iter().find(|w| *w.id() == attempt.worker)?;
        let mut env = survey.env.clone();
        let pinned = survey
            .identities
            .iter()
            .find(|i| i.tool == "rustc")
            .and_then(|i| worker.toolchain(i));
        if let Some(name) = pinned.filter(|name| !name.is_empty()) {
            env.retain(|(k, _)| k != "RUSTUP_TOOLCHAIN");
            env.push(("RUSTUP_TOOLCHAIN".into(), name.into()));
        }
        let needs = &survey.project.needs;
        for (name, value) in &needs.env {
            env.retain(|(k, _)| k != name);
            env.push((name.into(), value.into()));
        }
        for cache in &needs.dropped {
            info!("job {id}: left out '{cache}', a cache that its lane does not need");
        }
        let slots = attempt.lease.slots();
        parallel::environment(&mut env, &survey.accepted, slots);
        Some(Run {
            argv: parallel::argv(&job.exec.argv, &survey.accepted, slots),
            cwd: job.exec.cwd.clone(),
            env,
            merged: job.exec.merged,
            cargo_home: Some(survey::cargo_home(&survey.project)),
            cargo_config: survey.project.cargo_config.clone().map(String::into_bytes),
            needs: survey.project.needs.programs.clone(),
            collect: survey.collect.clone(),
            runner: survey.runs.as_ref().map_or(vec![], |r| r.variables.clone()),
            install: survey.install.clone(),
        })
    }

    pub(super) fn running(&mut self, id: JobId) {
        let now = self.now;
        let Some(job) = self.jobs.get_mut(&id).filter(|j| j.stage == Stage::Syncing) else {
            return;
        };
        job.stage.advance(Stage::Running);
        job.moved.sync_ms = millis(now.duration_since(job.begun));
        let timeout = job.survey.as_ref().and_then(|s| s.timeout);
        if let Some(attempt) = &mut job.attempt {
            attempt.until = timeout.map(|t| now + t);
        }
    }

    pub(super) fn output(&mut self, id: JobId, message: &FromDaemon) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        if let Err(e) = job.spool.append(message) {
            let text = format!("cannot record output: {}", crate::error::cause(&e));
            self.local(id, &text);
        }
    }

    /// Keeps the end of what cargo says on stderr, for `trouble`.
    fn remember_end(&mut self, id: JobId, stream: u8, bytes: &[u8]) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        let (Some(survey), Some(attempt)) = (&job.survey, &mut job.attempt) else {
            return;
        };
        let stderr = stream == 2 || job.exec.merged;
        if survey.accepted.tool == Tool::Cargo && stderr {
            let from = bytes.len().saturating_sub(trouble::TAIL);
            attempt.tail.extend_from_slice(&bytes[from..]);
            let over = attempt.tail.len().saturating_sub(trouble::TAIL);
            attempt.tail.drain(..over);
        }
    }

    pub(super) fn exited(&mut self, id: JobId, exit: Exit, wall_ms: u64) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        job.moved.remote_ms = wall_ms;
        match job.stage {
            Stage::Running => job.stage.advance(Stage::Returning),
            Stage::Cancelling => {}
            stage => return self.failed(id, Fault::Protocol, &format!("an exit while {stage}")),
        }
        let Some(attempt) = &mut job.attempt else {
            return;
        };
        attempt.exit = Some(exit);
        attempt.until = None;
        attempt.kill_at = None;
        if attempt.stopped_by.is_none()
            && let Some(why) = trouble::of_surroundings(exit, &attempt.tail)
        {
            let worker = attempt.worker.clone();
            self.seeded.remove(&worker);
            self.lose(id, &format!("worker {worker}: {why}"), false);
        }
    }

    /// Sends to the session of a job, if it has one.
    pub(in crate::daemon) fn send(&mut self, id: JobId, message: &ToWorker) {
        let session = self
            .jobs
            .get(&id)
            .and_then(|j| j.attempt.as_ref())
            .and_then(|a| a.session);
        if let Some(session) = session.and_then(|s| self.sessions.get_mut(&s)) {
            session.send(message);
        }
    }
}
