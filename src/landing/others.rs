//! What other jobs have brought home lately, so that it is not taken for the user's own.
//!
//! Two jobs may build one product of one tree, with an edit between them. The first that lands changes a
//! file which the other knows from its snapshot: the product of the newer sources is to stand there at
//! last, whichever lands first.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::manifest::Entry;
use crate::time::Stamp;

/// Files that are remembered. With more all are forgotten, and count as the user's.
const MOST: usize = 20_000;

/// Each with the snapshot that it was built from, by when that was taken.
#[derive(Debug, Clone, Default)]
pub struct Others(Arc<Mutex<HashMap<PathBuf, (Entry, Stamp)>>>);

impl Others {
    /// This was written there, from sources of that time.
    pub fn note(&self, path: PathBuf, entry: Entry, taken: Stamp) {
        let mut files = self.lock();
        if files.len() >= MOST {
            files.clear();
        }
        files.insert(path, (entry, taken));
    }

    /// When the sources were taken from which what stands there was built; `None` if no job brought it.
    pub fn taken(&self, path: &Path, here: &Entry) -> Option<Stamp> {
        let files = self.lock();
        let (entry, taken) = files.get(path)?;
        entry.same(here).then_some(*taken)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PathBuf, (Entry, Stamp)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
