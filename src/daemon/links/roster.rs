//! Who belongs to the fleet: a new configuration put in force under running jobs.
//!
//! A worker that stays keeps its jobs, its slots and what is known of it. One that is removed takes no
//! more jobs and goes with its last; one that is reached otherwise from now on keeps its old
//! connections until the jobs on them have ended.

use super::Worker;
use crate::config;
use crate::daemon::Daemon;
use crate::ids::{JobId, WorkerId};
use crate::job::Stage;
use crate::sched;

impl Daemon {
    pub(in crate::daemon) fn worker(&mut self, id: &WorkerId) -> Option<&mut Worker> {
        self.workers.iter_mut().find(|w| w.id() == id)
    }

    /// What a worker that was never measured is taken for.
    pub(in crate::daemon) fn assumed_speed(&self) -> f64 {
        sched::assumed(self.workers.iter().filter_map(|w| w.speed))
    }

    /// Puts a new configuration in force; jobs on workers that stay are not disturbed.
    pub(in crate::daemon) fn set_workers(&mut self, confs: Vec<config::Worker>) {
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
        let syncing = |j: &crate::daemon::jobs::Job| {
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

    pub(super) fn drop_departed(&mut self) {
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
}
