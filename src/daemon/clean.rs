//! `cargo clean` at home: lanes that brought products home have to be cleaned as well.
//!
//! A clean is known by a target directory that is gone, though products came home into it. The next
//! job's lane is told before the job, the project's other lanes before theirs.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Daemon, transfer};
use crate::ids::JobId;
use crate::products::Memory;
use crate::wire::worker::ToWorker;

impl Daemon {
    /// Tells the job's lane which directories to empty; answers whether there were any.
    pub(super) fn send_clean(&mut self, id: JobId) -> bool {
        let job = self.jobs.get_mut(&id).expect("BUG: a clean without a job");
        let (Some(survey), Some(attempt)) = (&job.survey, &mut job.attempt) else {
            return false;
        };
        let place = (
            attempt.worker.clone(),
            survey.lane,
            attempt.lane.unwrap_or(0),
        );
        let Some(memory) = self.home.get(&place) else {
            return false;
        };
        let absent = survey.absent.iter();
        let known = absent.filter(|dir| memory.knows(&survey.project, dir));
        attempt.cleaned = memory.unclean().iter().chain(known).cloned().collect();
        let dirs = attempt.cleaned.clone();
        for dir in &dirs {
            self.send(id, &ToWorker::Clean(dir.clone()));
        }
        !dirs.is_empty()
    }

    /// The job runs, so its lane has been cleaned if it was told to be.
    pub(super) fn cleaned(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        let (Some(survey), Some(attempt)) = (&job.survey, &mut job.attempt) else {
            return;
        };
        let dirs: Vec<PathBuf> = std::mem::take(&mut attempt.cleaned);
        if dirs.is_empty() {
            return;
        }
        let here = (attempt.worker.clone(), survey.lane, attempt.lane);
        for (worker, key, lane) in self.lanes.everywhere(survey.lane) {
            let own = (&worker, key, Some(lane)) == (&here.0, here.1, here.2);
            let unclean = if own { vec![] } else { dirs.clone() };
            let memory = Arc::new(Memory::forgotten(unclean));
            let record = self.lanes.path(&worker, key, lane);
            self.home.set((worker, key, lane), memory.clone());
            self.crew
                .submit(move || transfer::remember(&record, &memory));
        }
    }
}
