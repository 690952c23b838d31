//! Packages in a lane: `bun install` before a bun command, if the lockfile is not the last one's.
//!
//! It runs as a job does, in the job's own world and with the lane's lock held, and is started by us
//! alone: the daemon says for which lockfile, never with which words. What was there is cleared
//! first, because bun leaves what it does not need any more. A stamp beside the packages says what
//! they are; it goes with them, and comes after them.

use std::time::{Duration, Instant};

use rch::exclude::TEMP_PREFIX;
use rch::paths;
use rch::wire::worker::{Collect, Fault, Install, Run};

use crate::fault::{Done, Sentence, Wrong};
use crate::lane::Lane;

/// A registry that is only slow has answered by then; beside the packages themselves nothing is
/// waited for longer.
const LIMIT: Duration = Duration::from_secs(300);

/// How much of what bun says is kept.
const SAID: usize = 4096;

/// An install that is going on, and what comes after it.
#[derive(Debug)]
pub struct Installing {
    pub then: Run,
    pub until: Instant,
    /// The end of what bun said.
    said: Vec<u8>,
}

impl Installing {
    pub fn new(then: Run) -> Installing {
        Installing {
            then,
            until: Instant::now() + LIMIT,
            said: Vec::new(),
        }
    }

    pub fn hear(&mut self, text: &[u8]) {
        self.said.extend_from_slice(text);
        let old = self.said.len().saturating_sub(SAID);
        self.said.drain(..old);
    }

    /// What there is to say of one that did not succeed.
    pub fn failed(&self) -> Wrong {
        let said = String::from_utf8_lossy(&self.said);
        let mut lines = said.lines().map(str::trim);
        let why = lines.rfind(|l| l.starts_with("error"));
        let why = why.unwrap_or("no error was shown");
        Wrong::new(Fault::Install, format!("'bun install' failed: {why}"))
    }

    pub fn too_long(&self) -> Wrong {
        let text = format!("'bun install' took more than {} s", LIMIT.as_secs());
        Wrong::new(Fault::Install, text)
    }
}

/// Whether the lane holds the packages already.
pub fn are_there(lane: &Lane, install: &Install) -> bool {
    stamp(lane, install).is_some_and(|path| {
        let there = std::fs::symlink_metadata(&path).is_ok_and(|m| m.is_file());
        there && std::fs::read(path).is_ok_and(|id| id == install.id)
    })
}

/// The stamp's place on this machine's own disk.
fn stamp(lane: &Lane, install: &Install) -> Option<std::path::PathBuf> {
    let (root, below) = lane.locate(install.modules.first()?)?;
    let dirs = lane.dirs();
    Some(
        dirs.get(root)?
            .join(below)
            .join(format!("{TEMP_PREFIX}packages")),
    )
}

/// Takes away what is there, and answers what makes it anew.
pub fn begin(lane: &Lane, install: &Install, run: &Run) -> Done<Run> {
    for dir in &install.modules {
        if let Some((root, below)) = lane
            .locate(dir)
            .filter(|(_, below)| !below.as_os_str().is_empty())
        {
            lane.trees[root]
                .clear(&below)
                .wrong(|| format!("cannot clear '{}'", dir.display()))?;
        }
    }
    // The job's world shows bun's cache only if there is one.
    let _ = std::fs::create_dir_all(paths::home().join(".bun/install/cache"));
    let linker = if install.isolated {
        "isolated"
    } else {
        "hoisted"
    };
    let argv = ["bun", "install", "--frozen-lockfile", "--linker", linker];
    Ok(Run {
        argv: argv.map(Into::into).to_vec(),
        cwd: install.dir.clone(),
        merged: true,
        collect: Collect::default(),
        runner: vec![],
        install: None,
        ..run.clone()
    })
}

/// The packages are there. A stamp that cannot be written costs another install.
pub fn end(lane: &Lane, install: &Install) {
    if let Some(path) = stamp(lane, install) {
        let _ = std::fs::remove_file(&path);
        let _ = std::fs::write(path, install.id);
    }
}
