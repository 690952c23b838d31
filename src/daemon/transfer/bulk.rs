//! rsync fills a new lane of a large project, one root after the other.
//!
//! What changed while it ran is found by a second look at the tree, and goes the ordinary way.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use super::Transfer;
use crate::child::{Child, Pipes};
use crate::conn::Conn;
use crate::daemon::survey::SCANNERS;
use crate::daemon::{Daemon, Key, Report};
use crate::error::{Error, Result};
use crate::ids::{JobId, WorkerId};
use crate::manifest::Manifest;
use crate::plan::rsync;
use crate::poll::Ready;
use crate::scan;
use crate::wire::worker::{Base, Resync, ToWorker};

/// From this much content on, rsync fills a new lane.
const BULK: u64 = 32 << 20;

/// A running rsync and the list of names it reads.
pub(in crate::daemon) struct Rsync {
    child: Child,
    list: Conn,
    /// Roots still to do, after this one.
    left: Vec<(usize, PathBuf)>,
}

impl Rsync {
    pub(super) fn note(&mut self, ready: Ready) {
        self.child.note(ready);
        self.list.note(ready);
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.child.deadline()
    }
}

/// A second look after rsync: what changed while it ran.
pub(in crate::daemon) struct Rescan {
    manifest: Arc<Manifest>,
    before: Arc<Manifest>,
}

impl Daemon {
    /// Whether rsync is worth it and possible on both sides.
    pub(super) fn bulk(&self, id: JobId, worker: &WorkerId, base: Base) -> bool {
        let large = self.jobs[&id]
            .survey
            .as_ref()
            .is_some_and(|s| s.manifest.total_bytes() >= BULK);
        let facts = self
            .workers
            .iter()
            .find(|w| w.id() == worker)
            .and_then(|w| w.facts.as_ref());
        large
            && base == Base::New
            && facts.is_some_and(|f| !f.rsync.is_empty())
            && self.control_socket(id).is_some()
            && have_rsync()
    }

    pub(super) fn tend_rsync(&mut self, id: JobId) {
        let now = self.now;
        let Transfer::Rsync(rsync) = &mut self.attempt(id).transfer else {
            return;
        };
        rsync.list.flush();
        if rsync.list.backlog() == 0 {
            rsync.list.close_output();
        }
        rsync.child.tend(now);
        if rsync.child.ended().is_some() {
            self.rsync_ended(id);
        }
    }

    /// One rsync per root, one after the other.
    pub(super) fn start_rsync(&mut self, id: JobId, mut left: Vec<(usize, PathBuf)>) {
        if left.is_empty() {
            return self.rescan(id);
        }
        let (root, lane) = left.remove(0);
        match self.spawn_rsync(id, root, &lane) {
            Ok((child, list)) => {
                self.attempt(id).transfer = Transfer::Rsync(Box::new(Rsync { child, list, left }));
            }
            Err(error) => {
                warn!("job {id}: {}", error.text());
                self.feed_all(id, None);
            }
        }
    }

    fn spawn_rsync(&mut self, id: JobId, root: usize, lane: &Path) -> Result<(Child, Conn)> {
        let job = &self.jobs[&id];
        let (survey, attempt) = match (&job.survey, &job.attempt) {
            (Some(survey), Some(attempt)) => (survey, attempt),
            _ => return Err(Error::new("BUG: rsync for no job")),
        };
        let control = self
            .control_socket(id)
            .ok_or_else(|| Error::new("no connection"))?;
        let worker = self.workers.iter().find(|w| *w.id() == attempt.worker);
        let worker = worker.ok_or_else(|| Error::new("the worker is gone"))?;
        let home = &survey.project.roots[root].path;
        let mut cmd = Command::new("rsync");
        cmd.args(rsync::push(&worker.conf, &control, home, lane, false));
        let (child, Pipes { stdin, stdout }) =
            Child::spawn(&mut cmd).map_err(|e| Error::os("cannot start 'rsync'", &e))?;
        let mut list = Conn::new(stdout, stdin);
        for (name, _) in attempt
            .manifest
            .iter()
            .filter(|(n, _)| usize::from(n.root) == root)
        {
            list.out().extend_from_slice(b"./");
            list.out()
                .extend_from_slice(name.path.as_os_str().as_encoded_bytes());
            list.out().push(0);
        }
        let (rd, wr) = list.ends();
        let failed = |e| Error::os("cannot watch rsync", &e);
        self.poller.add(rd, Key::Rsync(id)).map_err(failed)?;
        if let Some(wr) = wr {
            self.poller.add(wr, Key::Rsync(id)).map_err(failed)?;
        }
        self.poller.add(&child, Key::Rsync(id)).map_err(failed)?;
        Ok((child, list))
    }

    fn rsync_ended(&mut self, id: JobId) {
        let attempt = self.attempt(id);
        let Transfer::Rsync(rsync) = std::mem::replace(&mut attempt.transfer, Transfer::Idle)
        else {
            return;
        };
        // 24: files vanished while it ran, which the second look finds.
        match rsync.child.ended().map(crate::sys::process::Exit::status) {
            Some(0 | 24) => self.start_rsync(id, rsync.left),
            status => {
                let said = rsync.child.said();
                let status = status.unwrap_or(-1);
                self.lose(
                    id,
                    &format!("rsync failed with status {status}: {said}"),
                    true,
                );
            }
        }
    }

    /// The tree may have changed while rsync read it.
    fn rescan(&mut self, id: JobId) {
        self.send(id, &ToWorker::Resync(Resync::Adopt));
        let job = &self.jobs[&id];
        let (Some(survey), Some(attempt)) = (&job.survey, &job.attempt) else {
            return;
        };
        let (project, rules) = (survey.project.clone(), survey.rules.clone());
        let (before, number) = (attempt.manifest.clone(), attempt.number);
        self.crew.submit(move || {
            let rescan = scan::scan(&project, &rules, SCANNERS).map(|manifest| Rescan {
                manifest: Arc::new(manifest),
                before,
            });
            Report::Rescanned(id, number, Box::new(rescan))
        });
    }

    pub(in crate::daemon) fn rescanned(&mut self, id: JobId, number: u64, rescan: Result<Rescan>) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        let Some(attempt) = job.current(number) else {
            return;
        };
        match rescan {
            Ok(rescan) => {
                attempt.manifest = rescan.manifest;
                self.feed_all(id, Some(rescan.before));
            }
            Err(error) => self.local(id, error.text()),
        }
    }
}

fn have_rsync() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join("rsync").is_file())
}
