//! Takes jobs from stage to stage: surveyed, queued, given to a worker, run, finished or lost.
//!
//! Every way out ends in `finish`, `local` or `cancelled`; each gives slots and session back. A job
//! that a worker lost is queued once more, elsewhere, before its clients are told to run it
//! themselves. What comes from an earlier attempt is recognised by the attempt's number.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::survey::{self, Survey};
use super::transfer::Transfer;
use super::{Daemon, RECENT, Report};
use crate::error::Result;
use crate::fleet::Lease;
use crate::history::{Task, Terms};
use crate::ids::{ClientId, JobId, ManifestId, SessionId, WorkerId};
use crate::job::{Outcome, Stage, Tries};
use crate::manifest::Manifest;
use crate::plan::{env, parallel};
use crate::poll::Ready;
use crate::sched::{self, Candidate, Choice, Desk, Priority, Waiting};
use crate::spool::Spool;
use crate::sys::process::Exit;
use crate::sys::signal;
use crate::time::{self, Stamp};
use crate::wire::client::{Exec, FromDaemon};
use crate::wire::status;
use crate::wire::worker::{Fault, FromWorker, Produced, Run, ToWorker};

/// From the request to end to the order to.
const PATIENCE: Duration = Duration::from_millis(1000);
/// From the order to the end of the session.
const RESIGNATION: Duration = Duration::from_millis(500);
/// The status of a job that took too long, as timeout(1) has it.
const TIMED_OUT: u8 = 124;

pub(super) struct Job {
    pub(super) id: JobId,
    stage: Stage,
    pub(super) exec: Arc<Exec>,
    pub(super) agent: String,
    pub(super) subscribers: Vec<ClientId>,
    pub(super) survey: Option<Survey>,
    pub(super) spool: Spool,
    pub(super) attempt: Option<Attempt>,
    tries: Tries,
    pub(super) reason: String,
    /// It stays because the user's own terms say so; nobody need be told.
    pub(super) quiet: bool,
    pub(super) exit: Option<Exit>,
    pub(super) begun: Instant,
    pub(super) started: Stamp,
    pub(super) moved: Moved,
    /// Why it waits, for people.
    pub(super) waits: String,
    /// It measures a worker, nobody's agent waits for it.
    pub(super) bench: Option<super::bench::Measure>,
}

/// What a job moved, for people.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Moved {
    pub(super) sent_files: u32,
    pub(super) sent_bytes: u64,
    /// Content sent and to be sent, before compression; `None` until a difference is known.
    pub(super) content: Option<(u64, u64)>,
    pub(super) back_files: u32,
    pub(super) back_bytes: u64,
    pub(super) remote_ms: u64,
}

/// One try on one worker.
pub(super) struct Attempt {
    /// Tells late reports of the crew from present ones.
    pub(super) number: u64,
    begun: Instant,
    pub(super) worker: WorkerId,
    pub(super) lease: Lease,
    pub(super) session: Option<SessionId>,
    pub(super) lane: Option<u16>,
    /// What the lane was believed to hold when the job began.
    pub(super) base: Option<ManifestId>,
    /// What it holds, or will when the feed is through.
    pub(super) manifest: Arc<Manifest>,
    pub(super) holds: ManifestId,
    pub(super) transfer: Transfer,
    pub(super) exit: Option<Exit>,
    pub(super) produced: Vec<Produced>,
    /// `Fetch` messages that are not answered yet.
    pub(super) fetches: usize,
    /// When the command must have ended.
    until: Option<Instant>,
    timed_out: bool,
    /// What follows if it does not end: SIGKILL, then the end of the session.
    kill_at: Option<Instant>,
    killed: bool,
    /// The first signal that a client passed on.
    stopped_by: Option<u8>,
}

impl Job {
    pub(super) fn stage(&self) -> Stage {
        self.stage
    }

    /// Whether it has slots on the worker and no session yet.
    pub(super) fn waits_for(&self, worker: &WorkerId) -> bool {
        self.stage == Stage::Connecting
            && self.attempt.as_ref().is_some_and(|a| a.worker == *worker)
    }

    pub(super) fn takes_files(&self) -> bool {
        self.attempt
            .as_ref()
            .is_none_or(|a| a.transfer.takes_files())
    }

    pub(super) fn note_rsync(&mut self, ready: Ready) {
        if let Some(attempt) = &mut self.attempt {
            attempt.transfer.note_rsync(ready);
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let attempt = self.attempt.as_ref()?;
        [attempt.until, attempt.kill_at, attempt.transfer.deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    /// The attempt of that number, if it is still the present one.
    pub(super) fn current(&mut self, number: u64) -> Option<&mut Attempt> {
        self.attempt.as_mut().filter(|a| a.number == number)
    }

    /// What it is measured as; `None` before it is known what it is.
    pub(super) fn task(&self) -> Option<Task> {
        let project = &self.survey.as_ref()?.project;
        let root = project.roots.first()?.path.as_os_str().as_encoded_bytes();
        let cwd = self.exec.cwd.as_os_str().as_encoded_bytes();
        let argv = self.exec.argv.iter().map(|a| a.as_encoded_bytes());
        Some(Task::new(root, std::iter::once(cwd).chain(argv)))
    }

    /// Slots it would like: the number the command itself gives, else what its kind gets.
    fn wish(&self) -> u32 {
        let survey = self.survey.as_ref();
        let own = survey
            .and_then(|s| s.accepted.facts.jobs)
            .filter(|&n| n > 0);
        own.or(survey.map(|s| s.wish)).unwrap_or(1)
    }

    /// Records a line for every client.
    pub(super) fn note(&mut self, text: String) {
        // A record that cannot be written is found by the next output, which matters more.
        let _ = self.spool.append(&FromDaemon::Note(text));
    }

    /// For people who wait; `place` is that in the queue, from 1.
    pub(super) fn phase(&self, place: usize) -> status::Phase {
        let worker = self
            .attempt
            .as_ref()
            .map_or(String::new(), |a| a.worker.to_string());
        match self.stage {
            Stage::Scanning => status::Phase::Scanning,
            Stage::Queued => status::Phase::Queued {
                place: u32::try_from(place).unwrap_or(u32::MAX),
                reason: self.waits.clone(),
            },
            Stage::Connecting | Stage::Syncing => {
                let whole = || self.survey.as_ref().map_or(0, |s| s.manifest.total_bytes());
                let (done, total) = self.moved.content.unwrap_or_else(|| (0, whole()));
                status::Phase::Syncing {
                    worker,
                    done,
                    total,
                }
            }
            Stage::Running | Stage::Cancelling => status::Phase::Running { worker },
            Stage::Returning | Stage::Done(_) => {
                let done = self.moved.back_bytes;
                status::Phase::Returning {
                    worker,
                    files: self.moved.back_files,
                    done,
                    total: 0,
                }
            }
        }
    }
}

impl Daemon {
    /// A client wants a command run.
    pub(super) fn submit(
        &mut self,
        client: Option<ClientId>,
        exec: Exec,
        agent: String,
    ) -> Result<JobId> {
        let id = JobId(self.number());
        let spool = Spool::create(&self.cache.join("jobs"), id)
            .map_err(|e| crate::error::Error::os("cannot record output", &e))?;
        let exec = Arc::new(exec);
        let job = Job {
            id,
            stage: Stage::Scanning,
            exec: exec.clone(),
            agent,
            subscribers: client.into_iter().collect(),
            survey: None,
            spool,
            attempt: None,
            tries: Tries::default(),
            reason: String::new(),
            quiet: false,
            exit: None,
            begun: self.now,
            started: time::now(),
            moved: Moved::default(),
            waits: String::new(),
            bench: None,
        };
        self.jobs.insert(id, job);
        let (client_id, known) = (self.client_id.clone(), self.known.clone());
        self.crew.submit(move || {
            Report::Surveyed(id, Box::new(survey::survey(&exec, &client_id, &known)))
        });
        Ok(id)
    }

    pub(super) fn surveyed(&mut self, id: JobId, survey: Result<Survey>) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        if job.stage.is_over() {
            return self.bury(id);
        }
        match survey {
            Err(error) => self.local(id, error.text()),
            Ok(survey) => {
                if let Some(twin) = self.twin(&survey) {
                    return self.join(id, twin);
                }
                let Some(job) = self.jobs.get_mut(&id) else {
                    return;
                };
                let timeout = Duration::from_millis(survey.config.compilation.queue_timeout_ms);
                let priority = survey.priority;
                job.survey = Some(survey);
                if let Some(why) = self.stays(id) {
                    return self.local(id, &why);
                }
                let Some(job) = self.jobs.get_mut(&id) else {
                    return;
                };
                job.stage.advance(Stage::Queued);
                let until = self.now + timeout;
                self.queue.push(Waiting {
                    job: id,
                    priority,
                    until,
                });
            }
        }
    }

    /// Why measurements say that it is not worth a worker. Whoever insists on one is not asked.
    fn stays(&mut self, id: JobId) -> Option<String> {
        let job = self.jobs.get_mut(&id)?;
        let survey = job.survey.as_ref()?;
        let insists = survey.config.general.force_remote
            || survey.forced.is_some()
            || job.exec.require_remote
            || job.subscribers.is_empty()
            || survey.dry_run;
        if insists {
            return None;
        }
        let terms = Terms {
            min_local_ms: survey.config.compilation.min_local_time_ms,
            speedup: survey.config.compilation.remote_speedup_threshold,
        };
        let why = self.keep.history.keeps(job.task()?, terms)?;
        job.quiet = true;
        Some(why)
    }

    /// A job in flight whose result will be this one's too.
    fn twin(&self, survey: &Survey) -> Option<JobId> {
        // One that somebody has stopped ends of it, which is not what others asked for.
        let stopped = |j: &Job| j.attempt.as_ref().is_some_and(|a| a.stopped_by.is_some());
        let live = |j: &&Job| j.stage.may_be_joined() && !stopped(j);
        let same = |j: &&Job| j.survey.as_ref().is_some_and(|s| s.key == survey.key);
        self.jobs.values().filter(live).find(same).map(|j| j.id)
    }

    /// The clients of a job wait for its twin instead, and read its record from the beginning.
    fn join(&mut self, id: JobId, twin: JobId) {
        let Some(job) = self.jobs.remove(&id) else {
            return;
        };
        for client in &job.subscribers {
            self.redirect(*client, twin);
        }
        self.totals.deduplicated += job.subscribers.len() as u64;
        let priority = Priority::parse(
            env::get(&job.exec.env, "RCH_PRIORITY")
                .and_then(|v| v.to_str())
                .unwrap_or_default(),
        );
        self.queue.promote(twin, priority);
        if let Some(twin) = self.jobs.get_mut(&twin) {
            twin.subscribers.extend(job.subscribers);
        }
        self.event(format_args!("job {id}: the same as {twin}, shared"));
    }

    pub(super) fn start_queued(&mut self) {
        if !self.queue.is_empty() {
            sched::dispatch(&self.queue.jobs(), self);
        }
    }

    pub(super) fn candidates(&mut self, id: JobId) -> Vec<Candidate> {
        let Some(job) = self.jobs.get(&id) else {
            return vec![];
        };
        let Some(survey) = &job.survey else {
            return vec![];
        };
        let now = self.now;
        let mut out = Vec::with_capacity(self.workers.len());
        for worker in &mut self.workers {
            let name = worker.id().clone();
            let mut refusal = worker.refusal(now);
            if refusal.is_empty() {
                refusal = unwanted(survey, &worker.conf.tags, name.as_str(), &job.tries);
            }
            if refusal.is_empty() {
                refusal = worker.lacks(&survey.identities);
            }
            // A worker that has not greeted yet may turn out to be another kind of machine.
            let free = if worker.on_trial(now) || worker.facts.is_none() {
                0
            } else {
                worker.slots.free()
            };
            out.push(Candidate {
                refusal,
                speed: worker.speed,
                free,
                total: worker.slots.total(),
                warm: self.lanes.idle(&name, survey.lane).is_some(),
                priority: worker.conf.priority,
                preferred: survey
                    .config
                    .general
                    .preferred_workers
                    .iter()
                    .any(|p| p == name.as_str()),
                id: name,
            });
        }
        out
    }

    fn assign(&mut self, id: JobId, worker: &WorkerId, slots: u32) {
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
            fetches: 0,
            until: None,
            timed_out: false,
            kill_at: None,
            killed: false,
            stopped_by: None,
        });
        let command = report_command(&job.exec);
        self.event(format_args!(
            "job {id}: {command} on {worker} ({slots} slots)"
        ));
    }

    /// Whatever is due: sessions for those that wait, feeds that can go on, limits that are reached.
    pub(super) fn tend_jobs(&mut self) {
        let ids: Vec<JobId> = self.jobs.keys().copied().collect();
        for id in ids {
            self.begin_if_ready(id);
            self.tend_transfer(id);
            self.enforce(id);
        }
    }

    fn begin_if_ready(&mut self, id: JobId) {
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
    pub(super) fn message(&mut self, id: JobId, message: FromWorker) {
        match message {
            FromWorker::Lane {
                number,
                base,
                roots,
            } => self.lane(id, number, base, &roots),
            FromWorker::Started => self.running(id),
            FromWorker::Stdout(bytes) => self.output(id, &FromDaemon::Stdout(bytes)),
            FromWorker::Stderr(bytes) => self.output(id, &FromDaemon::Stderr(bytes)),
            FromWorker::Exited { exit, wall_ms, .. } => self.exited(id, exit, wall_ms),
            FromWorker::Produced { files, last } => self.produced(id, files, last),
            FromWorker::Fetched { missing } => self.fetched(id, &missing),
            FromWorker::Failed { fault, text } => self.failed(id, fault, &text),
            FromWorker::Committed | FromWorker::Pong { .. } | FromWorker::Closed => {}
            FromWorker::Ready { .. } | FromWorker::File(_) | FromWorker::Data(_) => {
                self.failed(id, Fault::Protocol, "an unexpected message");
            }
        }
    }

    /// The command line and everything else it needs, for a worker that holds its files.
    pub(super) fn run_message(&mut self, id: JobId) -> Option<Run> {
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
        let slots = attempt.lease.slots();
        parallel::environment(&mut env, &survey.accepted, slots);
        Some(Run {
            argv: parallel::argv(&job.exec.argv, &survey.accepted, slots),
            cwd: job.exec.cwd.clone(),
            env,
            merged: job.exec.merged,
            cargo_home: Some(survey::cargo_home(&survey.project)),
            collect: survey.collect.clone(),
        })
    }

    fn running(&mut self, id: JobId) {
        let now = self.now;
        let Some(job) = self.jobs.get_mut(&id).filter(|j| j.stage == Stage::Syncing) else {
            return;
        };
        job.stage.advance(Stage::Running);
        let timeout = job.survey.as_ref().and_then(|s| s.timeout);
        if let Some(attempt) = &mut job.attempt {
            attempt.until = timeout.map(|t| now + t);
        }
    }

    fn output(&mut self, id: JobId, message: &FromDaemon) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        if let Err(e) = job.spool.append(message) {
            let text = format!("cannot record output: {}", crate::error::cause(&e));
            self.local(id, &text);
        }
    }

    fn exited(&mut self, id: JobId, exit: Exit, wall_ms: u64) {
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
    }

    /// Everything has arrived: the job ends as its command did.
    pub(super) fn finish(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        let Some(attempt) = &job.attempt else { return };
        let mut exit = attempt.exit.unwrap_or(Exit::Code(0));
        if job.stage == Stage::Cancelling && !attempt.timed_out {
            return self.cancelled(id);
        }
        if attempt.killed && exit == Exit::Signal(9) {
            // Our own impatience; what the user did was this.
            exit = Exit::Signal(attempt.stopped_by.unwrap_or(9));
        }
        if attempt.timed_out {
            exit = Exit::Code(TIMED_OUT);
            let limit = job
                .survey
                .as_ref()
                .and_then(|s| s.timeout)
                .unwrap_or_default();
            job.note(format!(
                "stopped after {}, the limit for its kind",
                time::human(limit)
            ));
            job.stage = Stage::Returning;
        }
        job.exit = Some(exit);
        job.stage.advance(Stage::Done(Outcome::Remote));
        self.totals.remote += 1;
        self.measured(id);
        let now = self.now;
        let Some(job) = self.jobs.get(&id) else {
            return;
        };
        let (worker, elapsed) = (attempt_worker(job), job.begun.elapsed());
        if let Some(worker) = self.worker(&worker) {
            worker.done += 1;
            worker.health.success(now);
        }
        self.event(format_args!(
            "job {id}: status {} after {}",
            exit.status(),
            time::human(elapsed)
        ));
        self.release(id, true);
        self.settle(id);
    }

    /// A job has run to its end on a worker: that is a time, and perhaps time saved.
    fn measured(&mut self, id: JobId) {
        let job = &self.jobs[&id];
        let (Some(task), Some(attempt)) = (job.task(), &job.attempt) else {
            return;
        };
        if attempt.stopped_by.is_some() || attempt.timed_out || job.bench.is_some() {
            return;
        }
        let took = millis(self.now.duration_since(attempt.begun));
        if let Some(here) = self.keep.history.here(task) {
            self.totals.saved_ms += here as i64 - took as i64;
        }
        self.keep.history.ran_there(task, took, time::now());
        self.keep.changed(self.now);
    }

    /// The worker could not do its part. Another one is tried, then the clients.
    pub(super) fn lose(&mut self, id: JobId, reason: &str, blame: bool) {
        let now = self.now;
        let Some(job) = self.jobs.get_mut(&id).filter(|j| !j.stage.is_over()) else {
            return;
        };
        if job.stage == Stage::Cancelling {
            let timed_out = job.attempt.as_ref().is_some_and(|a| a.timed_out);
            return if timed_out {
                self.finish(id)
            } else {
                self.cancelled(id)
            };
        }
        let Some(attempt) = &job.attempt else {
            return self.local(id, reason);
        };
        let worker = attempt.worker.clone();
        let again = job.tries.again_after(&worker);
        if blame && let Some(worker) = self.worker(&worker) {
            worker.failures += 1;
            worker.health.failure(now, reason);
        }
        self.release(id, false);
        if !again {
            return self.local(id, reason);
        }
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        if !job.spool.is_empty() {
            job.note(format!(
                "{reason}; starting again elsewhere, what was shown so far is void"
            ));
        }
        job.stage.advance(Stage::Queued);
        reason.clone_into(&mut job.reason);
        let survey = job.survey.as_ref().expect("BUG: lost without a survey");
        let until = now + Duration::from_millis(survey.config.compilation.queue_timeout_ms);
        self.queue.push(Waiting {
            job: id,
            priority: survey.priority,
            until,
        });
    }

    /// The worker says why it cannot.
    pub(super) fn failed(&mut self, id: JobId, fault: Fault, text: &str) {
        let Some(job) = self.jobs.get(&id) else {
            return;
        };
        let worker = job
            .attempt
            .as_ref()
            .map_or(String::new(), |a| a.worker.to_string());
        let blame = matches!(fault, Fault::Protocol | Fault::System | Fault::DiskFull);
        self.event(format_args!("job {id}: worker {worker}: {text}"));
        self.lose(id, &format!("worker {worker}: {text}"), blame);
    }

    /// The clients run it themselves.
    pub(super) fn local(&mut self, id: JobId, reason: &str) {
        let Some(job) = self.jobs.get_mut(&id).filter(|j| !j.stage.is_over()) else {
            return;
        };
        let reason = match (&job.reason, reason) {
            // Nowhere else to go: the first loss is what the agent should read.
            (first, _) if !first.is_empty() => first.clone(),
            (_, reason) => reason.to_owned(),
        };
        job.stage.advance(Stage::Done(Outcome::Local));
        job.reason.clone_from(&reason);
        self.queue.remove(id);
        self.totals.local += 1;
        *self.local_reasons.entry(reason.clone()).or_default() += 1;
        self.event(format_args!("job {id}: local: {reason}"));
        self.release(id, false);
        self.settle(id);
    }

    /// Nobody wants it any more.
    pub(super) fn cancel(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id).filter(|j| !j.stage.is_over()) else {
            return;
        };
        match job.stage {
            Stage::Running => {
                job.stage.advance(Stage::Cancelling);
                self.stop(id, signal::SIGTERM);
            }
            Stage::Cancelling => {}
            _ => self.cancelled(id),
        }
    }

    fn cancelled(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id).filter(|j| !j.stage.is_over()) else {
            return;
        };
        let ended = job.attempt.as_ref().is_some_and(|a| a.exit.is_some());
        let stopped_by = job.attempt.as_ref().and_then(|a| a.stopped_by);
        job.exit = Some(Exit::Signal(stopped_by.unwrap_or(15)));
        job.stage.advance(Stage::Done(Outcome::Cancelled));
        self.queue.remove(id);
        self.totals.cancelled += 1;
        self.event(format_args!("job {id}: cancelled"));
        self.release(id, ended);
        self.settle(id);
    }

    /// Signals the remote command, and sees to it that it ends.
    fn stop(&mut self, id: JobId, number: i32) {
        let now = self.now;
        self.send(id, &ToWorker::Signal(u8::try_from(number).unwrap_or(15)));
        if let Some(attempt) = self.jobs.get_mut(&id).and_then(|j| j.attempt.as_mut()) {
            attempt.kill_at.get_or_insert(now + PATIENCE);
        }
    }

    /// A client passes on a signal it got. Others that wait for the same job are not stopped.
    pub(super) fn client_signal(&mut self, id: JobId, client: ClientId, number: u8) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        let exit = Exit::Signal(number);
        if job.subscribers.len() > 1 || !matches!(job.stage, Stage::Running) {
            job.subscribers.retain(|c| *c != client);
            let nobody = job.subscribers.is_empty();
            self.tell(client, &FromDaemon::Exited(exit));
            if nobody {
                self.cancel(id);
            }
            return;
        }
        if let Some(attempt) = &mut job.attempt {
            attempt.stopped_by.get_or_insert(number);
        }
        self.stop(id, i32::from(number));
    }

    /// Time limits: of the job, and of its patience with a signal.
    fn enforce(&mut self, id: JobId) {
        let now = self.now;
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        let Some(attempt) = &mut job.attempt else {
            return;
        };
        if attempt.until.is_some_and(|at| now >= at) {
            attempt.until = None;
            // One that is being stopped already ends soon enough.
            if job.stage == Stage::Running {
                attempt.timed_out = true;
                job.stage.advance(Stage::Cancelling);
                return self.stop(id, signal::SIGTERM);
            }
        }
        let Some(attempt) = self.jobs.get_mut(&id).and_then(|j| j.attempt.as_mut()) else {
            return;
        };
        if attempt.kill_at.is_some_and(|at| now >= at) {
            if attempt.killed {
                attempt.kill_at = None;
                attempt.exit = Some(Exit::Signal(9));
                let timed_out = attempt.timed_out;
                return if timed_out {
                    self.finish(id)
                } else {
                    self.cancelled(id)
                };
            }
            attempt.killed = true;
            attempt.kill_at = Some(now + RESIGNATION);
            self.send(id, &ToWorker::Signal(9));
        }
    }

    /// Sends to the session of a job, if it has one.
    pub(super) fn send(&mut self, id: JobId, message: &ToWorker) {
        let session = self
            .jobs
            .get(&id)
            .and_then(|j| j.attempt.as_ref())
            .and_then(|a| a.session);
        if let Some(session) = session.and_then(|s| self.sessions.get_mut(&s)) {
            session.send(message);
        }
    }

    /// Gives slots, lane and session back. A session whose job has not ended is ended: its worker
    /// kills what it runs. An attempt of a job that goes on is over here, with its slots and its
    /// number; that of a job that does not is kept for the row in `rch status`.
    fn release(&mut self, id: JobId, ended: bool) {
        let now = self.now;
        self.lanes.free(id);
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        let Some(attempt) = &mut job.attempt else {
            return;
        };
        attempt.transfer = Transfer::Idle;
        let session = attempt.session.take();
        if !job.stage.is_over() {
            job.attempt = None;
        }
        if let Some(session) = session.and_then(|s| self.sessions.get_mut(&s)) {
            match session.state() {
                crate::session::State::Busy(_) if ended => session.release(now),
                crate::session::State::Dead => {}
                _ => session.end(now),
            }
        }
    }

    /// A job is over: its slots are free from now on, its record is kept, its clients are told.
    fn settle(&mut self, id: JobId) {
        let row = self.job_row(&self.jobs[&id]);
        self.totals.sent_bytes += row.sent_bytes;
        self.totals.returned_bytes += row.returned_bytes;
        self.bench_ended(id);
        self.recent.push_front(row);
        self.recent.truncate(RECENT);
        if let Some(job) = self.jobs.get_mut(&id) {
            job.attempt = None;
        }
        self.bury(id);
    }

    /// Forgets a job that is over and that no client reads any more.
    pub(super) fn bury(&mut self, id: JobId) {
        if self
            .jobs
            .get(&id)
            .is_some_and(|j| j.stage.is_over() && j.subscribers.is_empty())
        {
            self.jobs.remove(&id);
        }
    }
}

impl Desk for Daemon {
    fn look(&mut self, id: JobId) -> Option<(Vec<Candidate>, u32)> {
        let Some(job) = self.jobs.get(&id) else {
            self.queue.remove(id);
            return None;
        };
        let wish = job.wish();
        Some((self.candidates(id), wish))
    }

    fn decide(&mut self, id: JobId, candidates: &[Candidate], choice: Choice) {
        let asks = |j: &Job| j.survey.as_ref().is_some_and(|s| s.dry_run);
        if self.jobs.get(&id).is_some_and(asks) {
            return self.explain(id, candidates, &choice);
        }
        match choice {
            Choice::Go(at, slots) => self.assign(id, &candidates[at].id, slots),
            Choice::Busy => {
                if let Some(job) = self.jobs.get_mut(&id) {
                    job.waits = "all workers are busy".into();
                }
            }
            Choice::Nowhere(why) => {
                self.queue.remove(id);
                self.local(id, &why);
            }
        }
    }
}

pub(super) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn attempt_worker(job: &Job) -> WorkerId {
    job.attempt
        .as_ref()
        .map_or_else(|| WorkerId::new(""), |a| a.worker.clone())
}

/// Why this job does not go to a worker that others may go to; empty if it may.
fn unwanted(survey: &Survey, tags: &[String], name: &str, tries: &Tries) -> String {
    if tries.failed_on(name) {
        return "has just lost this job".into();
    }
    if survey.forced.as_ref().is_some_and(|f| f != name) {
        return "RCH_WORKER names another".into();
    }
    let in_pool = |p: &String| p == name || tags.contains(p);
    if !survey.pool.is_empty() && !survey.pool.iter().any(in_pool) {
        return "not in RCH_WORKERS".into();
    }
    String::new()
}

/// The command on one line, for people.
pub(super) fn report_command(exec: &Exec) -> String {
    let words: Vec<_> = exec.argv.iter().map(|a| a.to_string_lossy()).collect();
    words
        .join(" ")
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}
