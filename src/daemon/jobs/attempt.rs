//! One try of a job on one worker: its slots, its session, what it is to do there.
//!
//! An attempt begins with a lease and ends in `ends`. It may run on only while its number is the
//! job's present one, which is how late answers of the crew are told from timely ones.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use super::report_command;
use crate::daemon::transfer::Transfer;
use crate::daemon::{Daemon, survey};
use crate::exclude::Rules;
use crate::fleet::Lease;
use crate::ids::{JobId, LaneKey, ManifestId, SessionId, WorkerId};
use crate::job::Stage;
use crate::landing::Landed;
use crate::manifest::Manifest;
use crate::plan::{colour, parallel};
use crate::products;
use crate::roots::Project;
use crate::sys::process::Exit;
use crate::time::millis;
use crate::toolchain;
use crate::wire::worker::{Name, Present, Produced, Program, Run};

/// One try on one worker.
pub(in crate::daemon) struct Attempt {
    /// Tells late reports of the crew from present ones.
    pub(in crate::daemon) number: u64,
    pub(super) begun: Instant,
    pub(in crate::daemon) worker: WorkerId,
    pub(in crate::daemon) lease: Lease,
    pub(in crate::daemon) session: Option<SessionId>,
    pub(in crate::daemon) lane: Option<u16>,
    /// The worker has said which lane it is.
    pub(in crate::daemon) heard: bool,
    /// What the lane was believed to hold when the job began.
    pub(in crate::daemon) base: Option<ManifestId>,
    /// A lane of which a new one may be made.
    pub(in crate::daemon) like: Option<(LaneKey, u16)>,
    /// What it holds, or will when the feed is through.
    pub(in crate::daemon) manifest: Arc<Manifest>,
    pub(in crate::daemon) holds: ManifestId,
    pub(in crate::daemon) transfer: Transfer,
    pub(in crate::daemon) exit: Option<Exit>,
    pub(in crate::daemon) produced: Vec<Produced>,
    /// What stands in the directories that it changed, by the worker's word.
    pub(in crate::daemon) present: Vec<Present>,
    /// How many names that are, and directories.
    pub(in crate::daemon) listed: usize,
    /// Sources that it removed.
    pub(in crate::daemon) gone: Vec<Name>,
    /// It left more than was listed: the next job asks what the lane holds.
    pub(in crate::daemon) in_doubt: bool,
    /// Products that did not come home because something newer stands here.
    pub(in crate::daemon) kept: Vec<Name>,
    /// What cargo would run, if it was asked.
    pub(super) program: Option<Program>,
    /// Directories that the lane was told to clean before the job.
    pub(in crate::daemon) cleaned: Vec<PathBuf>,
    /// `Fetch` messages that are not answered yet.
    pub(in crate::daemon) fetches: usize,
    /// When the command must have ended.
    pub(super) until: Option<Instant>,
    pub(super) timed_out: bool,
    /// What follows if it does not end: SIGKILL, then the end of the session.
    pub(super) kill_at: Option<Instant>,
    pub(super) killed: bool,
    /// The first signal that a client passed on.
    pub(in crate::daemon) stopped_by: Option<u8>,
    /// The end of what cargo said on stderr.
    pub(super) tail: Vec<u8>,
}

impl Attempt {
    fn new(
        number: u64,
        worker: WorkerId,
        lease: Lease,
        manifest: Arc<Manifest>,
        now: Instant,
    ) -> Attempt {
        Attempt {
            number,
            begun: now,
            worker,
            lease,
            session: None,
            lane: None,
            heard: false,
            base: None,
            like: None,
            manifest,
            holds: ManifestId([0; 16]),
            transfer: Transfer::Idle,
            exit: None,
            produced: vec![],
            present: vec![],
            listed: 0,
            gone: vec![],
            in_doubt: false,
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
        }
    }

    /// Files that the job made where a source would be taken from, and that no worker may bring home:
    /// they would steer the next job.
    pub(in crate::daemon) fn stray(&self, rules: &Rules, project: &Project) -> Vec<Name> {
        let made = self.produced.iter().filter(|p| p.changed).map(|p| &p.name);
        made.filter(|name| products::is_guarded(&name.path))
            .filter(|name| self.manifest.get(name).is_none() && rules.covers(project, name))
            .cloned()
            .collect()
    }

    /// Sources that the job wrote and that did not come home: they are sent again the next time.
    pub(in crate::daemon) fn spoilt(&self, landed: &Landed) -> Vec<Name> {
        let landed: HashSet<&Name> = landed.written.iter().map(|(n, _)| n).collect();
        let sources = self.produced.iter().map(|p| (&p.name, p.changed));
        sources
            .filter(|(name, changed)| *changed && self.manifest.get(name).is_some())
            .filter(|(name, _)| !landed.contains(name))
            .map(|(name, _)| name.clone())
            .collect()
    }
}

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
        job.attempt = Some(Attempt::new(number, worker.clone(), lease, manifest, now));
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
            .and_then(|i| worker.toolchain(i, survey.toolchain_name()));
        let slots = attempt.lease.slots();
        let mut argv = parallel::argv(&job.exec.argv, &survey.accepted, slots);
        if let Some(name) = pinned.filter(|name| !name.is_empty()) {
            env.retain(|(k, _)| k != "RUSTUP_TOOLCHAIN");
            env.push(("RUSTUP_TOOLCHAIN".into(), name.into()));
            // `+stable` is another one there.
            toolchain::take_word(&mut argv);
        }
        colour::argv(&mut argv, &survey.flags);
        let needs = &survey.project.needs;
        for (name, value) in &needs.env {
            env.retain(|(k, _)| k != name);
            env.push((name.into(), value.into()));
        }
        parallel::environment(&mut env, &survey.accepted, slots);
        Some(Run {
            argv,
            cwd: job.exec.cwd.clone(),
            env,
            merged: job.exec.merged,
            cargo_home: Some(survey::cargo_home(&survey.project)),
            cargo_config: survey.project.cargo_config.clone().map(String::into_bytes),
            toolchain: survey.toolchain.clone(),
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
}
