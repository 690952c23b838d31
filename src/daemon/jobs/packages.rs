//! A worker that cannot install what a lockfile names: the packages travel instead, from now on.
//!
//! The job goes back to its first stage, because with its packages the project is another tree, for
//! another lane. The lockfile is remembered, so that no later job tries what has failed.

use crate::daemon::{Daemon, survey};
use crate::ids::JobId;
use crate::job::Stage;

impl Daemon {
    /// True if the job goes on without the worker's installing anything.
    pub(super) fn send_packages(&mut self, id: JobId, why: &str) -> bool {
        let Some(job) = self.jobs.get_mut(&id) else {
            return false;
        };
        let install = job.survey.as_ref().and_then(|s| s.install.as_ref());
        let Some(packages) = install
            .filter(|_| job.stage == Stage::Syncing && !job.packages_failed)
            .map(|i| survey::hex(&i.id))
        else {
            return false;
        };
        job.packages_failed = true;
        job.note(format!("{why}; node_modules is sent instead"));
        // Forgotten at the end of the daemon, they are tried once more.
        if let Err(e) = self.keep.set_uninstallable(packages) {
            warn!("{}", e.text());
        }
        self.release(id, true);
        if let Some(job) = self.jobs.get_mut(&id) {
            job.stage.advance(Stage::Scanning);
            job.survey = None;
        }
        self.look_into(id);
        true
    }
}
