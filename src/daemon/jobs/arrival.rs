//! How a command becomes a job that waits for a worker: looked into, shared with its twin, kept here
//! if it is not worth a worker, else queued.

use std::sync::Arc;
use std::time::Duration;

use super::Job;
use crate::daemon::survey::{self, Survey};
use crate::daemon::{Daemon, Report};
use crate::dedup;
use crate::error::{Error, Result};
use crate::history::Terms;
use crate::ids::{ClientId, JobId};
use crate::job::Stage;
use crate::plan::env;
use crate::sched::{Priority, Waiting};
use crate::spool::{self, Spool};
use crate::wire::client::Exec;

/// Of so many jobs one has old records cleared away.
const RECORDED: u32 = 50;

impl Daemon {
    /// A client wants a command run.
    pub(in crate::daemon) fn submit(
        &mut self,
        client: Option<ClientId>,
        exec: Exec,
        agent: String,
    ) -> Result<JobId> {
        let id = self.next_job();
        let spool = Spool::create(&self.cache.join("jobs"), id)
            .map_err(|e| Error::os("cannot record output", &e))?;
        self.clear_records();
        let mut job = Job::new(id, Arc::new(exec), agent, spool, self.now);
        job.subscribers.extend(client);
        self.jobs.insert(id, job);
        self.look_into(id);
        Ok(id)
    }

    /// Now and then, old records go.
    fn clear_records(&mut self) {
        self.recorded += 1;
        if self.recorded < RECORDED {
            return;
        }
        self.recorded = 0;
        let dir = self.cache.join("jobs");
        self.crew.submit(move || {
            spool::sweep(&dir);
            Report::Nothing
        });
    }

    /// Has the crew find out what there is to know of the job, as soon as nobody writes into its tree.
    pub(super) fn look_into(&mut self, id: JobId) {
        self.unlooked.push(id);
        self.look_into_waiting();
    }

    pub(in crate::daemon) fn look_into_waiting(&mut self) {
        for id in std::mem::take(&mut self.unlooked) {
            self.survey(id);
        }
    }

    fn survey(&mut self, id: JobId) {
        let Some(job) = self.jobs.get(&id) else {
            return;
        };
        let exec = job.exec.clone();
        if self.is_landing_astray(&exec.cwd) {
            return self.unlooked.push(id);
        }
        let known = self.known.clone();
        let client_id = self.client_id.clone();
        let uninstallable = self.keep.uninstallable().to_vec();
        self.crew.submit(move || {
            let survey = survey::survey(&exec, &client_id, &known, &uninstallable);
            Report::Surveyed(id, Box::new(survey))
        });
    }

    pub(in crate::daemon) fn surveyed(&mut self, id: JobId, survey: Result<Survey>) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        if job.stage.is_over() {
            return self.bury(id);
        }
        match survey {
            Err(error) => self.local(id, error.text()),
            Ok(survey) => match self.twin(&survey) {
                Some(twin) => self.join(id, twin),
                None => self.enqueue(id, survey),
            },
        }
    }

    fn enqueue(&mut self, id: JobId, survey: Survey) {
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

    /// Why measurements say that it is not worth a worker. Whoever insists on one is not asked.
    fn stays(&mut self, id: JobId) -> Option<String> {
        let job = self.jobs.get_mut(&id)?;
        let survey = job.survey.as_ref()?;
        let insists = survey.config.general.force_remote
            || survey.wanted.forced.is_some()
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
        spool::share(&self.cache.join("jobs"), twin, id);
        self.event(format_args!("job {id}: the same as {twin}, shared"));
    }
}
