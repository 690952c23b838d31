//! Puts a job's files in their place at home, trusting nothing that the worker says.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::manifest::{Entry, Manifest};
use crate::roots::Project;
use crate::wire::worker::{Name, Produced};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Landed {
    pub written: Vec<(Name, Entry)>,
    /// Files that stay as they are here, each with the reason.
    pub kept: Vec<(Name, String)>,
}

#[derive(Debug)]
pub struct Landing {}

impl Landing {
    /// `base` is what was synced when the job began; `allow_sources` lets the job's files replace
    /// sources that did not change since (make and compilers write where they like).
    pub fn new(
        project: &Project,
        base: Arc<Manifest>,
        clock_offset_ns: i64,
        allow_sources: bool,
    ) -> Landing {
        let _ = (project, base, clock_offset_ns, allow_sources);
        Landing {}
    }

    /// The files that were asked for; no other is taken.
    pub fn expect(&mut self, files: &[Produced]) {
        let _ = files;
    }

    /// Takes a run of whole frames that hold `File` and `Data` messages.
    ///
    /// # Errors
    /// A worker that sends what it must not, a full disk. Files that landed before stay.
    pub fn take(&mut self, bytes: &[u8]) -> Result<()> {
        let _ = bytes;
        Err(Error::new("not implemented"))
    }

    /// # Errors
    /// A file that is incomplete or was not sent at all.
    pub fn finish(self) -> Result<Landed> {
        Err(Error::new("not implemented"))
    }
}

/// What stands in a file's place here now.
pub fn look(project: &Project, name: &Name) -> Option<Entry> {
    let _ = (project, name);
    None
}
