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

/// Whether `path` is one that no worker may ever write: what git, cargo, rch or an agent would obey.
pub fn is_guarded(path: &Path) -> bool {
    const DIRS: [&str; 6] = [".git", ".cargo", ".rch", ".claude", ".codex", ".gemini"];
    const FILES: [&str; 4] = [
        ".envrc",
        ".rchignore",
        "rust-toolchain",
        "rust-toolchain.toml",
    ];
    let named = |names: &[&str], part: &std::ffi::OsStr| names.iter().any(|n| part == *n);
    path.iter().any(|part| named(&DIRS, part)) || path.file_name().is_some_and(|n| named(&FILES, n))
}

/// Cargo.lock is the one source that cargo itself writes.
pub fn is_lock_file(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == "Cargo.lock")
}
