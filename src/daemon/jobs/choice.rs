//! Which worker a queued job gets: the fleet as `sched` sees it, and what follows from its choice.
//!
//! Why a job does not go to a worker has three sources, asked in this order: what the command wishes,
//! how the worker stands, what the job needs.

use std::time::Instant;

use super::Job;
use crate::daemon::survey::Survey;
use crate::daemon::{Daemon, Worker};
use crate::ids::JobId;
use crate::job::Tries;
use crate::sched::{self, Candidate, Choice, Desk, Names};

impl Daemon {
    pub(in crate::daemon) fn start_queued(&mut self) {
        if !self.queue.is_empty() {
            sched::dispatch(&self.queue.jobs(), self);
        }
    }

    pub(in crate::daemon) fn candidates(&mut self, id: JobId) -> Vec<Candidate> {
        let Some(job) = self.jobs.get(&id) else {
            return vec![];
        };
        let Some(survey) = &job.survey else {
            return vec![];
        };
        let (now, assumed) = (self.now, self.assumed_speed());
        let mut out = Vec::with_capacity(self.workers.len());
        for worker in &mut self.workers {
            let id = worker.id().clone();
            // A worker that has not greeted yet may turn out to be another kind of machine.
            let held = if worker.facts.is_none() {
                "is not connected yet"
            } else if worker.on_trial(now) {
                "is on trial, with one job at a time"
            } else {
                ""
            };
            let free = if held.is_empty() {
                worker.slots.free()
            } else {
                0
            };
            let preferred = &survey.config.general.preferred_workers;
            out.push(Candidate {
                refusal: refusal(worker, survey, &job.tries, now),
                speed: worker.speed.unwrap_or(assumed),
                free,
                total: worker.slots.total(),
                warm: self.lanes.is_warm(&id, survey.lane),
                priority: worker.conf.priority,
                preferred: preferred.iter().position(|p| p == id.as_str()),
                held: held.into(),
                id,
            });
        }
        out
    }

    /// The names by which commands ask for workers.
    pub(in crate::daemon) fn names(&self) -> Vec<Names<'_>> {
        let workers = self.workers.iter().filter(|w| !w.leaving);
        workers
            .map(|w| (w.id().as_str(), w.conf.tags.as_slice()))
            .collect()
    }

    fn nowhere(&mut self, id: JobId, reasons: String) {
        self.queue.remove(id);
        let survey = self.jobs.get(&id).and_then(|j| j.survey.as_ref());
        let why = match survey {
            // Without a fleet of before it is the reason; with one it would be another's.
            _ if self.workers.is_empty() && !self.fleet_fault.is_empty() => {
                self.fleet_fault.clone()
            }
            Some(survey) => survey.wanted.nowhere(reasons, &self.names()),
            None => reasons,
        };
        self.local(id, &why);
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
                    job.waits = sched::lacking(candidates, job.wish());
                }
            }
            Choice::Nowhere(reasons) => self.nowhere(id, reasons),
        }
    }
}

/// Why the job does not go to this worker; empty if it may.
fn refusal(worker: &mut Worker, survey: &Survey, tries: &Tries, now: Instant) -> String {
    let unwanted = survey
        .wanted
        .refusal((worker.conf.id.as_str(), &worker.conf.tags));
    if !unwanted.is_empty() {
        return unwanted.into();
    }
    let refusal = worker.refusal(now);
    if !refusal.is_empty() {
        return refusal;
    }
    if tries.failed_on(worker.id().as_str()) {
        return "has just lost this job".into();
    }
    worker.lacks(&survey.identities, &survey.project.needs, now)
}
