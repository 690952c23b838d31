//! Packages in a lane: `bun install` before a bun command, if the lockfile is not the last one's.
//!
//! It runs as a job does, in the job's own world and with the lane's lock held, and is started by us
//! alone: the daemon says for which lockfile, never with which words. What was there is cleared
//! first, because bun leaves what it does not need any more. A stamp beside the packages says what
//! they are; it goes with them, and comes after them.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rch::exclude::TEMP_PREFIX;
use rch::paths;
use rch::time;
use rch::wire::worker::{Collect, Fault, Install, Run};

use crate::fault::{Done, Sentence, Wrong};
use crate::lane::Lane;
use crate::tree::Tree;

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
    let held = || -> Option<Vec<u8>> {
        let (tree, path) = stamp(lane, install)?;
        let file = File::from(tree.open_file(&path).ok()?);
        let mut id = Vec::new();
        file.take(64).read_to_end(&mut id).ok()?;
        Some(id)
    };
    held().is_some_and(|id| id == install.id)
}

/// The stamp's place. A job may have put anything there: it is never written through a link.
fn stamp<'a>(lane: &'a Lane, install: &Install) -> Option<(&'a Tree, PathBuf)> {
    let (root, below) = lane.locate(install.modules.first()?)?;
    let name = format!("{TEMP_PREFIX}packages");
    Some((&lane.trees[root], below.join(name)))
}

/// Takes away what is there, and answers what makes it anew.
pub fn begin(lane: &Lane, install: &Install, run: &Run) -> Done<Run> {
    // First what says that they are whole: a kill in between must not leave it beside half of them.
    // Where it cannot be removed there is none, or they cannot be either.
    if let Some((tree, stamp)) = stamp(lane, install) {
        let _ = tree.clear(&stamp);
    }
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
    let Some((tree, path)) = stamp(lane, install) else {
        return;
    };
    let size = install.id.len() as u64;
    let _ = tree
        .begin(&path, size, 0o644, time::now())
        .and_then(|mut file| file.write(&install.id).and_then(|()| file.finish()));
}
