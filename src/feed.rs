//! Turns a difference between manifests into the messages that bring a lane up to date.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::manifest::{Changes, Entry, Manifest};
use crate::roots::Project;
use crate::wire::worker::Name;

/// What was sent in the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fed {
    /// Entries that changed while they were sent, as they were sent: for `Manifest::updated`.
    pub fresh: Vec<(Name, Entry)>,
    /// What vanished in the meantime.
    pub gone: Vec<Name>,
    /// Entries put.
    pub files: u32,
    /// Content, before compression.
    pub bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Call again.
    More,
    /// Nothing more; not to be called again.
    Done(Fed),
}

#[derive(Debug)]
pub struct Feed {}

impl Feed {
    /// `clock_offset_ns` is the worker's clock minus ours; `level` is zstd's.
    pub fn new(
        project: &Project,
        manifest: Arc<Manifest>,
        changes: Changes,
        clock_offset_ns: i64,
        level: i32,
    ) -> Feed {
        let _ = (project, manifest, changes, clock_offset_ns, level);
        Feed {}
    }

    /// Appends the next messages (about `wire::CHUNK` of content) to `out`, as one `PACK`.
    ///
    /// # Errors
    /// A file that cannot be read, or that does not stop changing.
    pub fn next(&mut self, out: &mut Vec<u8>) -> Result<Step> {
        let _ = out;
        Err(Error::new("not implemented"))
    }
}
