//! The end of a `cargo run`: the worker has told what cargo would run, and it runs at home.
//!
//! Only a build that succeeded and whose program stands here ends so. Whatever is not as it must be
//! makes the clients call cargo themselves, who find nothing lost but time.

use super::Job;
use crate::daemon::{Daemon, survey};
use crate::error::{Error, Result};
use crate::ids::JobId;
use crate::plan::program::{self, Here};
use crate::sys::process::Exit;
use crate::wire::client::FromDaemon;
use crate::wire::worker::Program;

impl Job {
    /// The last word to its clients.
    pub(in crate::daemon) fn verdict(&self) -> FromDaemon {
        match &self.here {
            Some(Here { argv, env }) => FromDaemon::RunHere {
                argv: argv.clone(),
                env: env.clone(),
            },
            None => FromDaemon::Exited(self.exit.unwrap_or(Exit::Code(0))),
        }
    }

    /// How long it takes here says nothing about a build: the program runs as long as it likes.
    pub(in crate::daemon) fn runs_here(&self) -> bool {
        self.survey.as_ref().is_some_and(|s| s.runs.is_some())
    }

    /// What its clients are to run; `None` if there is nothing to run.
    pub(super) fn to_run(&self, exit: Exit) -> Result<Option<Here>> {
        let (Some(survey), Some(attempt)) = (&self.survey, &self.attempt) else {
            return Ok(None);
        };
        let Some(runs) = survey.runs.as_ref().filter(|_| exit.success()) else {
            return Ok(None);
        };
        let silent = || Error::new("the worker does not say what cargo would run");
        let program = attempt.program.as_ref().ok_or_else(silent)?;
        if let Some(name) = attempt.kept.first() {
            let text = format!("'{}' was kept as it is here", name.path.display());
            return Err(Error::new(text));
        }
        let given = survey::given(&self.exec);
        program::check(
            program,
            given,
            &survey.collect,
            &survey.project,
            &attempt.produced,
        )?;
        let cargo_home = &survey.project.cargo_home;
        Ok(Some(program::here(
            program,
            given,
            &runs.sysroot,
            cargo_home,
        )))
    }
}

impl Daemon {
    /// Enters what cargo would run, and what is to come home for its sake.
    pub(super) fn program(&mut self, id: JobId, program: Program) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        let (Some(survey), Some(attempt)) = (&mut job.survey, &mut job.attempt) else {
            return;
        };
        let cargo = survey.project.cargo.as_ref();
        let made = cargo.and_then(|cargo| program::build_output(&program, cargo));
        // A second attempt may say it again.
        let made = made.filter(|made| !survey.collect.products.contains(made));
        survey.collect.products.extend(made);
        attempt.program = Some(program);
    }
}
