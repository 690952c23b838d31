//! What the daemon knows that must outlive it: who is drained, how fast workers are, what commands took.
//!
//! Two small JSON files in the cache directory, each replaced by rename. What people order is
//! written before they are answered; measurements are written a while after they change, by the
//! crew, and at the end. A file that cannot be read counts as none.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::history::History;
use crate::temp;

/// How long measurements may be unwritten.
const DELAY: Duration = Duration::from_secs(10);

/// How many lockfiles are remembered to be no use on workers.
const REMEMBERED: usize = 200;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Standing {
    #[serde(default)]
    drained: BTreeSet<String>,
    /// 0 to 100, by worker.
    #[serde(default)]
    speeds: BTreeMap<String, f64>,
    /// Packages (their ids in hex) that some worker could not install; the latest last.
    #[serde(default)]
    uninstallable: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Keep {
    dir: PathBuf,
    standing: Standing,
    pub(super) history: History,
    /// When the history must be written.
    due: Option<Instant>,
}

impl Keep {
    pub(super) fn read(dir: &Path) -> Keep {
        temp::clear(dir, temp::NEW);
        let file = |name: &str| std::fs::read(dir.join(name)).unwrap_or_default();
        Keep {
            standing: serde_json::from_slice(&file("fleet.json")).unwrap_or_default(),
            history: History::decode(&file("history.json")),
            dir: dir.into(),
            due: None,
        }
    }

    pub(super) fn is_drained(&self, worker: &str) -> bool {
        self.standing.drained.contains(worker)
    }

    /// As measured by the benchmark.
    pub(super) fn speed(&self, worker: &str) -> Option<f64> {
        self.standing.speeds.get(worker).copied()
    }

    /// # Errors
    /// It could not be written, so it will not last.
    pub(super) fn drain(&mut self, worker: &str, on: bool) -> Result<()> {
        if on {
            self.standing.drained.insert(worker.into());
        } else {
            self.standing.drained.remove(worker);
        }
        self.stand()
    }

    /// # Errors
    /// As `drain`.
    pub(super) fn set_speed(&mut self, worker: &str, speed: f64) -> Result<()> {
        self.standing.speeds.insert(worker.into(), speed);
        self.stand()
    }

    /// Packages that travel, because a worker could not install them.
    pub(super) fn uninstallable(&self) -> &[String] {
        &self.standing.uninstallable
    }

    /// # Errors
    /// As `drain`.
    pub(super) fn set_uninstallable(&mut self, packages: String) -> Result<()> {
        let list = &mut self.standing.uninstallable;
        list.push(packages);
        let old = list.len().saturating_sub(REMEMBERED);
        list.drain(..old);
        self.stand()
    }

    fn stand(&self) -> Result<()> {
        let text = serde_json::to_vec(&self.standing).expect("BUG: no JSON for it");
        replace(&self.dir.join("fleet.json"), &text)
    }

    /// The history has changed.
    pub(super) fn changed(&mut self, now: Instant) {
        self.due.get_or_insert(now + DELAY);
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.due
    }

    /// What the crew is to write now, if it is time.
    pub(super) fn due(&mut self, now: Instant) -> Option<impl FnOnce() + Send + 'static> {
        self.due.take_if(|at| now >= *at)?;
        let (path, text) = (self.dir.join("history.json"), self.history.encode());
        Some(move || complain(replace(&path, &text)))
    }

    /// Writes what is not written yet.
    pub(super) fn write(&mut self) {
        if self.due.take().is_some() {
            complain(replace(
                &self.dir.join("history.json"),
                &self.history.encode(),
            ));
        }
    }
}

fn complain(done: Result<()>) {
    if let Err(e) = done {
        warn!("{}", e.text());
    }
}

fn replace(path: &Path, text: &[u8]) -> Result<()> {
    let temp = path.with_file_name(temp::name(temp::NEW));
    let done = std::fs::write(&temp, text).and_then(|()| std::fs::rename(&temp, path));
    // Of no use to anybody if it has not got its name.
    let _ = std::fs::remove_file(&temp);
    done.map_err(|e| Error::path("write", path, &e))
}
