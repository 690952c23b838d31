//! What comes home after a job: which directories the worker lists, and which of the listed files
//! are wanted. Pure; the command's words and cargo's settings decide.

use std::ffi::OsString;
use std::path::Path;

use crate::classify::Accepted;
use crate::config;
use crate::manifest::{Entry, Manifest};
use crate::roots::{Env, Project};
use crate::wire::worker::{Collect, Name, Produced};

/// What the worker shall list after the job.
pub fn collect(
    accepted: &Accepted,
    argv: &[OsString],
    cwd: &Path,
    env: Env<'_>,
    project: &Project,
    config: &config::Transfer,
) -> Collect {
    let _ = (accepted, argv, cwd, env, project, config);
    Collect::default()
}

/// Those of `produced` that shall be fetched. `base` is what was synced; `home` says what stands in
/// a file's place here now.
pub fn choose(
    accepted: &Accepted,
    collect: &Collect,
    project: &Project,
    produced: &[Produced],
    base: &Manifest,
    home: impl Fn(&Name) -> Option<Entry>,
) -> Vec<Produced> {
    let _ = (accepted, collect, project, base, home);
    produced.to_vec()
}
