//! One job: whose it is, how far it has come, what it has moved.
//!
//! What happens to it is decided in the rooms beside this one; here it only answers what it is, as
//! the queue, the history and waiting people see it.

use std::sync::Arc;
use std::time::Instant;

use super::Attempt;
use crate::daemon::bench::Measure;
use crate::daemon::survey::Survey;
use crate::dedup::Flight;
use crate::history::Task;
use crate::ids::{ClientId, JobId, LaneKey, WorkerId};
use crate::job::{Stage, Tries};
use crate::plan::program::Here;
use crate::poll::Ready;
use crate::sched::Candidate;
use crate::spool::Spool;
use crate::sys::process::Exit;
use crate::time::{self, Stamp};
use crate::wire::client::{Exec, FromDaemon};
use crate::wire::status;

pub(in crate::daemon) struct Job {
    pub(in crate::daemon) id: JobId,
    pub(super) stage: Stage,
    pub(in crate::daemon) exec: Arc<Exec>,
    pub(in crate::daemon) agent: String,
    pub(in crate::daemon) subscribers: Vec<ClientId>,
    pub(in crate::daemon) survey: Option<Survey>,
    pub(in crate::daemon) spool: Spool,
    pub(in crate::daemon) attempt: Option<Attempt>,
    pub(super) tries: Tries,
    pub(in crate::daemon) reason: String,
    /// It stays because the user's own terms say so; nobody need be told.
    pub(in crate::daemon) quiet: bool,
    pub(in crate::daemon) exit: Option<Exit>,
    /// A worker could not install its packages: that is no reason any more to look into it again.
    pub(super) packages_failed: bool,
    /// `Some` once it is known what its clients run now that it is built.
    pub(super) here: Option<Here>,
    pub(in crate::daemon) begun: Instant,
    pub(in crate::daemon) started: Stamp,
    pub(in crate::daemon) moved: Moved,
    /// Why it waits, for people.
    pub(in crate::daemon) waits: String,
    /// The workers as the last choice saw them.
    pub(in crate::daemon) seen: Vec<Candidate>,
    /// It measures a worker, nobody's agent waits for it.
    pub(in crate::daemon) bench: Option<Measure>,
}

/// What a job moved, for people.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::daemon) struct Moved {
    pub(in crate::daemon) sent_files: u32,
    pub(in crate::daemon) sent_bytes: u64,
    /// Content sent and to be sent, before compression; `None` until a difference is known.
    pub(in crate::daemon) content: Option<(u64, u64)>,
    pub(in crate::daemon) back_files: u32,
    pub(in crate::daemon) back_bytes: u64,
    pub(in crate::daemon) sync_ms: u64,
    pub(in crate::daemon) remote_ms: u64,
}
impl Job {
    /// A client has just asked for it.
    pub(super) fn new(
        id: JobId,
        exec: Arc<Exec>,
        agent: String,
        spool: Spool,
        now: Instant,
    ) -> Job {
        Job {
            id,
            stage: Stage::Scanning,
            exec,
            agent,
            subscribers: vec![],
            survey: None,
            spool,
            attempt: None,
            tries: Tries::default(),
            reason: String::new(),
            quiet: false,
            exit: None,
            packages_failed: false,
            here: None,
            begun: now,
            started: time::now(),
            moved: Moved::default(),
            waits: String::new(),
            seen: vec![],
            bench: None,
        }
    }

    /// The one that has it now.
    pub(in crate::daemon) fn worker(&self) -> Option<&WorkerId> {
        self.attempt.as_ref().map(|a| &a.worker)
    }

    pub(in crate::daemon) fn stage(&self) -> Stage {
        self.stage
    }

    /// The lane it has.
    pub(in crate::daemon) fn place(&self) -> Option<(WorkerId, LaneKey, u16)> {
        let (survey, attempt) = (self.survey.as_ref()?, self.attempt.as_ref()?);
        Some((attempt.worker.clone(), survey.lane, attempt.lane?))
    }

    /// Whether it has slots on the worker and no session yet.
    pub(in crate::daemon) fn waits_for(&self, worker: &WorkerId) -> bool {
        self.stage == Stage::Connecting && self.worker() == Some(worker)
    }

    pub(in crate::daemon) fn takes_files(&self) -> bool {
        self.attempt
            .as_ref()
            .is_none_or(|a| a.transfer.takes_files())
    }

    pub(in crate::daemon) fn note_rsync(&mut self, ready: Ready) {
        if let Some(attempt) = &mut self.attempt {
            attempt.transfer.note_rsync(ready);
        }
    }

    pub(in crate::daemon) fn deadline(&self) -> Option<Instant> {
        let attempt = self.attempt.as_ref()?;
        [attempt.until, attempt.kill_at, attempt.transfer.deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    /// The attempt of that number, if it is still the present one.
    pub(in crate::daemon) fn current(&mut self, number: u64) -> Option<&mut Attempt> {
        self.attempt.as_mut().filter(|a| a.number == number)
    }

    /// What it is measured as; `None` before it is known what it is.
    pub(in crate::daemon) fn task(&self) -> Option<Task> {
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
        Some(Task::new(root, words, &survey.sources))
    }

    /// Slots it would like: the number the command itself gives, else what its kind gets.
    pub(in crate::daemon) fn wish(&self) -> u32 {
        let survey = self.survey.as_ref();
        let own = survey
            .and_then(|s| s.accepted.facts.jobs)
            .filter(|&n| n > 0);
        own.or(survey.map(|s| s.wish)).unwrap_or(1)
    }

    pub(super) fn flight(&self) -> Flight<'_> {
        let stopped = self.attempt.as_ref().and_then(|a| a.stopped_by);
        Flight {
            job: self.id,
            stage: self.stage,
            key: self.survey.as_ref().map(|s| &s.key),
            stopped: stopped.is_some(),
        }
    }

    /// Tells which caches the command goes without.
    pub(in crate::daemon) fn remark_dropped(&mut self) {
        let survey = self.survey.iter();
        let dropped: Vec<String> = survey
            .flat_map(|s| s.project.needs.dropped.clone())
            .collect();
        for cache in dropped {
            self.remark(format!(
                "left out '{cache}', a cache that its lane does not need"
            ));
        }
    }

    /// Records a line that no client shows but `rch logs`.
    pub(in crate::daemon) fn remark(&mut self, text: String) {
        let _ = self.spool.append(&FromDaemon::Remark(text));
    }

    /// Records a line for every client.
    pub(in crate::daemon) fn note(&mut self, text: String) {
        // A record that cannot be written is found by the next output, which matters more.
        let _ = self.spool.append(&FromDaemon::Note(text));
    }

    /// For people who wait; `place` is that in the queue, from 1.
    pub(in crate::daemon) fn phase(&self, place: usize) -> status::Phase {
        let worker = self.worker().map_or(String::new(), WorkerId::to_string);
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
