//! Before a lane is opened: crates that Cargo.lock names and the worker lacks, from this machine's own
//! registry cache. So a worker without a network builds, and private registries need no credentials
//! there.
//!
//! It is asked once for each worker and lock file; while the lock stands, nothing is said or waited for.
//! A crate that is not here either is left to cargo there.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::Transfer;
use crate::conn::BACKLOG;
use crate::daemon::{Daemon, Report};
use crate::error::Result;
use crate::feed::{Feed, Step};
use crate::ids::{JobId, WorkerId};
use crate::manifest::Manifest;
use crate::roots::needs::Needs;
use crate::roots::{Project, Root, lock};
use crate::scan;
use crate::time;
use crate::wire::worker::{Name, ToWorker};

/// Lock files that are remembered for each worker: an edited one is another. With more of them all are
/// asked about anew, which costs a round trip each.
const LOCKS: usize = 1000;

/// What the crew found, or packed.
pub(in crate::daemon) enum Crates {
    Here(Vec<PathBuf>),
    Packed(Box<Feed>, Vec<u8>),
    Done(Vec<u8>),
}

/// Lock files, by their stamps, whose crates each worker has.
#[derive(Debug, Default)]
pub(in crate::daemon) struct Seeded(HashMap<WorkerId, HashSet<u64>>);

impl Seeded {
    fn knows(&self, worker: &WorkerId, stamp: u64) -> bool {
        self.0.get(worker).is_some_and(|k| k.contains(&stamp))
    }

    fn note(&mut self, worker: WorkerId, stamp: u64) {
        let known = self.0.entry(worker).or_default();
        if known.len() >= LOCKS {
            known.clear();
        }
        known.insert(stamp);
    }

    /// The worker is asked again.
    pub(in crate::daemon) fn forget(&mut self, worker: &WorkerId) {
        self.0.remove(worker);
    }
}

impl Daemon {
    /// The session is there. What the worker's registry lacks goes first.
    pub(in crate::daemon) fn begin_sync(&mut self, id: JobId) {
        let Some((lock, cargo_home)) = self.lock_of(id).filter(|_| !self.is_seeded(id)) else {
            return self.open_lane(id);
        };
        let attempt = self.attempt(id);
        attempt.transfer = Transfer::Seeding(None);
        let number = attempt.number;
        self.crew.submit(move || {
            let here = Crates::Here(lock::cached(&cargo_home, &lock));
            Report::Crates(id, number, Box::new(Ok(here)))
        });
    }

    fn lock_of(&self, id: JobId) -> Option<(PathBuf, PathBuf)> {
        let survey = self.jobs.get(&id)?.survey.as_ref()?;
        let cargo = survey.project.cargo.as_ref()?;
        let lock = cargo.workspace.join("Cargo.lock");
        Some((lock, survey.project.cargo_home.clone()))
    }

    /// The lock file as it is now, by what `stat` says. `None`: there is none.
    fn stamp(&self, id: JobId) -> Option<u64> {
        let survey = self.jobs.get(&id)?.survey.as_ref()?;
        let cargo = survey.project.cargo.as_ref()?;
        let name = survey.project.locate(&cargo.workspace.join("Cargo.lock"))?;
        let entry = survey.manifest.get(&name)?;
        let text = format!("{:?}", (cargo, entry.ino, entry.mtime, entry.size));
        Some(xxh3_64(text.as_bytes()))
    }

    fn is_seeded(&self, id: JobId) -> bool {
        let worker = self.jobs.get(&id).and_then(|j| j.attempt.as_ref());
        let stamp = self.stamp(id);
        stamp.is_none_or(|stamp| worker.is_some_and(|a| self.seeded.knows(&a.worker, stamp)))
    }

    pub(in crate::daemon) fn crates(&mut self, id: JobId, number: u64, crates: Result<Crates>) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        if job.current(number).is_none() {
            return;
        }
        match crates {
            Ok(Crates::Here(here)) if here.is_empty() => self.seeded(id),
            Ok(Crates::Here(here)) => self.send(id, &ToWorker::Crates(here)),
            Ok(Crates::Packed(feed, bytes)) => {
                self.put_on_wire(id, &bytes);
                self.attempt(id).transfer = Transfer::Seeding(Some(feed));
                self.seed_on(id);
            }
            Ok(Crates::Done(bytes)) => {
                self.put_on_wire(id, &bytes);
                self.seeded(id);
            }
            // One that has just been removed here: cargo there may find it elsewhere.
            Err(error) => {
                warn!("job {id}: {}", error.text());
                self.seeded(id);
            }
        }
    }

    fn put_on_wire(&mut self, id: JobId, bytes: &[u8]) {
        let session = self.attempt(id).session;
        if let Some(session) = session.and_then(|s| self.sessions.get_mut(&s)) {
            session.conn().out().extend_from_slice(bytes);
        }
        if let Some(job) = self.jobs.get_mut(&id) {
            job.moved.sent_bytes += bytes.len() as u64;
        }
    }

    /// The worker says which crates it lacks.
    pub(in crate::daemon) fn lacks(&mut self, id: JobId, crates: Vec<PathBuf>) {
        let Some((_, cargo_home)) = self.lock_of(id) else {
            return;
        };
        let Some(attempt) = self.jobs.get_mut(&id).and_then(|j| j.attempt.as_mut()) else {
            return;
        };
        if !matches!(attempt.transfer, Transfer::Seeding(None)) {
            return;
        }
        if crates.is_empty() {
            return self.seeded(id);
        }
        let number = attempt.number;
        let level = self.config.transfer.compression_level;
        self.crew.submit(move || {
            let packed = pack(Box::new(feed(&cargo_home, &crates, level)));
            Report::Crates(id, number, Box::new(packed))
        });
    }

    /// Lets the crew go on as soon as the link has taken most of what was prepared.
    pub(in crate::daemon) fn seed_on(&mut self, id: JobId) {
        let Some(attempt) = self.jobs.get_mut(&id).and_then(|j| j.attempt.as_mut()) else {
            return;
        };
        let Transfer::Seeding(waiting) = &mut attempt.transfer else {
            return;
        };
        let session = attempt.session.and_then(|s| self.sessions.get_mut(&s));
        if session.is_none_or(|s| s.conn().backlog() > BACKLOG) {
            return;
        }
        if let Some(feed) = waiting.take() {
            let number = attempt.number;
            self.crew
                .submit(move || Report::Crates(id, number, Box::new(pack(feed))));
        }
    }

    fn seeded(&mut self, id: JobId) {
        let worker = self.attempt(id).worker.clone();
        if let Some(stamp) = self.stamp(id) {
            self.seeded.note(worker, stamp);
        }
        self.attempt(id).transfer = Transfer::Idle;
        self.open_lane(id);
    }
}

/// The crates as files of a root that is the CARGO_HOME, each behind what the index says of it. Only
/// what was cached for this lock file is sent, whatever the worker asks for.
fn feed(cargo_home: &Path, crates: &[PathBuf], level: i32) -> Feed {
    let project = Project {
        name: "registry".into(),
        roots: vec![Root::whole(cargo_home.to_path_buf())],
        cargo_home: cargo_home.to_path_buf(),
        cargo: None,
        needs: Needs::default(),
        cargo_config: None,
        sends_packages: false,
    };
    let is_crate = |path: &&PathBuf| {
        path.starts_with("registry/cache") && path.extension().is_some_and(|e| e == "crate")
    };
    let crates = crates.iter().filter(is_crate);
    let files = crates.flat_map(|krate| {
        let beside = lock::beside(krate).into_iter();
        beside.chain([krate.clone()])
    });
    let name = |path| Name { root: 0, path };
    let entries = files.map(name).filter_map(|name| {
        let entry = scan::at(&project, &name).filter(crate::manifest::Entry::is_file)?;
        Some((name, entry))
    });
    let manifest = Arc::new(Manifest::new(entries.collect(), time::now()));
    let changes = Manifest::default().changes(&manifest);
    Feed::new(&project, manifest, changes, 0, level)
}

/// The next of a feed. Runs on the crew.
fn pack(mut feed: Box<Feed>) -> Result<Crates> {
    let mut bytes = Vec::new();
    Ok(match feed.next(&mut bytes)? {
        Step::More => Crates::Packed(feed, bytes),
        Step::Done(_) => Crates::Done(bytes),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each edit of each lock file was one more for the daemon's life.
    #[test]
    fn lock_files_that_are_remembered_have_an_end() {
        let (mut seeded, worker) = (Seeded::default(), WorkerId::new("css"));
        for stamp in 0..3 * LOCKS as u64 {
            seeded.note(worker.clone(), stamp);
            assert!(seeded.knows(&worker, stamp));
            assert!(seeded.0[&worker].len() <= LOCKS);
        }
        seeded.forget(&worker);
        assert!(!seeded.knows(&worker, 3 * LOCKS as u64 - 1));
    }
}
