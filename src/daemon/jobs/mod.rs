//! Takes jobs from stage to stage: surveyed, queued, given to a worker, run, finished or lost.
//!
//! Every way out ends in `finish`, `local` or `cancelled`; each gives slots and session back. A job
//! that a worker lost is queued once more, elsewhere, before its clients are told to run it
//! themselves. What comes from an earlier attempt is recognised by the attempt's number.

mod attempt;
mod ends;
mod packages;
mod program;

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Daemon;
use super::survey::Survey;
use super::transfer::Transfer;
use crate::dedup::{self, Flight};
use crate::error::Result;
use crate::fleet::Lease;
use crate::history::{Task, Terms};
use crate::ids::{ClientId, JobId, LaneKey, ManifestId, SessionId, WorkerId};
use crate::job::{Stage, Tries};
use crate::manifest::Manifest;
use crate::plan::env;
use crate::plan::program::Here;
use crate::poll::Ready;
use crate::sched::{self, Candidate, Choice, Desk, Priority, Waiting};
use crate::spool::Spool;
use crate::sys::process::Exit;
use crate::time::{self, Stamp};
use crate::wire::client::{Exec, FromDaemon};
use crate::wire::status;
use crate::wire::worker::{Name, Produced, Program};

/// Characters of a command or of a worker's complaint that are shown and kept.
const SHOWN: usize = 500;

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
    /// A worker could not install its packages: that is no reason any more to look into it again.
    packages_failed: bool,
    /// `Some` once it is known what its clients run now that it is built.
    here: Option<Here>,
    pub(super) begun: Instant,
    pub(super) started: Stamp,
    pub(super) moved: Moved,
    /// Why it waits, for people.
    pub(super) waits: String,
    /// The workers as the last choice saw them.
    pub(super) seen: Vec<Candidate>,
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
    pub(super) sync_ms: u64,
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
    /// Products that did not come home because something newer stands here.
    pub(super) kept: Vec<Name>,
    /// What cargo would run, if it was asked.
    program: Option<Program>,
    /// Directories that the lane was told to clean before the job.
    pub(super) cleaned: Vec<std::path::PathBuf>,
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
    /// The end of what cargo said on stderr.
    tail: Vec<u8>,
}

impl Job {
    pub(super) fn stage(&self) -> Stage {
        self.stage
    }

    /// The lane it has.
    pub(super) fn place(&self) -> Option<(WorkerId, LaneKey, u16)> {
        let (survey, attempt) = (self.survey.as_ref()?, self.attempt.as_ref()?);
        Some((attempt.worker.clone(), survey.lane, attempt.lane?))
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
        let survey = self.survey.as_ref()?;
        let root = survey
            .project
            .roots
            .first()?
            .path
            .as_os_str()
            .as_encoded_bytes();
        let cwd = self.exec.cwd.as_os_str().as_encoded_bytes();
        let argv = self.exec.argv.iter().map(|a| a.as_encoded_bytes());
        let words = std::iter::once(cwd).chain(argv);
        // The key holds the manifest's digest, which costs something to make a second time.
        let (sources, _) = survey.key.split_at(8);
        let sources = u64::from_le_bytes(sources.try_into().expect("BUG: eight bytes"));
        Some(Task::new(root, words, sources))
    }

    /// Slots it would like: the number the command itself gives, else what its kind gets.
    pub(super) fn wish(&self) -> u32 {
        let survey = self.survey.as_ref();
        let own = survey
            .and_then(|s| s.accepted.facts.jobs)
            .filter(|&n| n > 0);
        own.or(survey.map(|s| s.wish)).unwrap_or(1)
    }

    fn flight(&self) -> Flight<'_> {
        let stopped = self.attempt.as_ref().and_then(|a| a.stopped_by);
        Flight {
            job: self.id,
            stage: self.stage,
            key: self.survey.as_ref().map(|s| &s.key),
            stopped: stopped.is_some(),
        }
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
            here: None,
            packages_failed: false,
            begun: self.now,
            started: time::now(),
            moved: Moved::default(),
            waits: String::new(),
            seen: vec![],
            bench: None,
        };
        self.jobs.insert(id, job);
        self.look_into(id);
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
                let (priority, dry_run) = (survey.priority, survey.dry_run);
                job.survey = Some(survey);
                let stays = self.stays(id);
                if let Some(why) = stays.as_ref().filter(|_| !dry_run) {
                    return self.local(id, why);
                }
                let Some(job) = self.jobs.get_mut(&id) else {
                    return;
                };
                // Told with all that would have been done without it.
                job.reason = stays.unwrap_or_default();
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
            || job.subscribers.is_empty();
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
        dedup::twin(&survey.key, self.jobs.values().map(Job::flight))
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
        let (now, assumed) = (self.now, self.assumed_speed());
        let mut out = Vec::with_capacity(self.workers.len());
        for worker in &mut self.workers {
            let name = worker.id().clone();
            let mut refusal = worker.refusal(now);
            if refusal.is_empty() {
                refusal = unwanted(survey, &worker.conf.tags, name.as_str(), &job.tries);
            }
            if refusal.is_empty() {
                refusal = worker.lacks(&survey.identities, &survey.project.needs, now);
            }
            // A worker that has not greeted yet may turn out to be another kind of machine.
            let free = if worker.on_trial(now) || worker.facts.is_none() {
                0
            } else {
                worker.slots.free()
            };
            out.push(Candidate {
                refusal,
                speed: worker.speed.unwrap_or(assumed),
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
        if let Some(job) = self.jobs.get_mut(&id) {
            job.seen = candidates.to_vec();
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
                let why = self.unknown_worker(id).unwrap_or(why);
                self.local(id, &why);
            }
        }
    }
}

impl Daemon {
    /// RCH_WORKER with a name that nobody has is one mistake, not a refusal by each of the others.
    fn unknown_worker(&self, id: JobId) -> Option<String> {
        let survey = self.jobs.get(&id)?.survey.as_ref()?;
        let name = survey.forced.as_ref()?;
        let known = self.workers.iter().any(|w| w.id().as_str() == name);
        (!known).then(|| {
            format!(
                "RCH_WORKER names '{}', which is no worker",
                name.escape_debug()
            )
        })
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

/// The command on one line, for people; a very long one in part.
pub(super) fn report_command(exec: &Exec) -> String {
    let mut line = String::new();
    for word in &exec.argv {
        // Four bytes make a character, at most.
        if line.len() > 4 * SHOWN {
            break;
        }
        let space = if line.is_empty() { "" } else { " " };
        line.push_str(space);
        line.push_str(&word.to_string_lossy());
    }
    let line: String = line
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    clip(&line)
}

/// What is kept of a text that others made, for people.
pub(super) fn clip(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_command_is_shown_in_part_and_on_one_line() {
        let exec = |argv: Vec<&str>| Exec {
            argv: argv.into_iter().map(Into::into).collect(),
            cwd: "/".into(),
            env: vec![],
            own: vec![],
            tty: (false, false),
            merged: false,
            require_remote: false,
        };
        assert_eq!(report_command(&exec(vec!["make", "a\tb\n"])), "make a b ");
        let long = report_command(&exec(vec!["é"; 100_000]));
        assert_eq!(long.chars().count(), SHOWN + 1);
        assert!(long.ends_with('…'), "{long}");
    }
}
