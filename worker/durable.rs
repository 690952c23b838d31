//! Which lanes would survive a power cut: those of which everything has reached the disk.
//!
//! Nobody waits for that. When the daemon's ping finds a session idle, a child of ours syncs what has
//! stood for a while and notes in each lane which state it was (`durable`). Whatever writes to the lane
//! replaces that state first, and then the note is of none. The new state is not synced for that, which
//! would cost each job a disk's latency: file systems bring names to the disk in the order in which they
//! were made (ext4, xfs, btrfs), so where a new name survives, so does it. What that leaves open are the
//! seconds in which a lane is taken up again and a tool writes into old files in place, or syncs by itself.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rch::sys::fd;
use rch::sys::fs::syncfs;
use rch::sys::namespace::{Spaces, fork_into};
use rch::sys::process::{self, Pid};
use rch::sys::signal::SIGKILL;
use rch::time::{self, Stamp};

use crate::lane::lanes_dir;
use crate::state::State;
use crate::sweep::lanes;

/// How long a lane has not been written to. The kernel begins to write by itself after as long
/// (`vm.dirty_expire_centisecs`), so that there is little left to do, and a lane that is used once a
/// minute is not synced between.
const QUIET: Stamp = 30_000_000_000;

/// The note, in the lane's directory.
pub const NOTE: &str = "durable";

/// Whether all that the lane held when it got its present state has reached the disk.
pub fn is_durable(lane: &Path) -> bool {
    let note = fs::read_to_string(lane.join(NOTE));
    note.is_ok_and(|note| identity(lane).is_ok_and(|identity| note == identity))
}

/// Of the lane's present state. No two states have the same, before and after a restart of the machine.
pub fn identity(lane: &Path) -> io::Result<String> {
    let state = fs::metadata(lane.join("state"))?;
    let (ino, secs, nanos) = (state.ino(), state.ctime(), state.ctime_nsec());
    Ok(format!("{ino} {secs}.{nanos:09}\n"))
}

/// Notes that the state of this identity has reached the disk with all that it speaks of.
pub fn note(lane: &Path, identity: &str) -> io::Result<()> {
    fs::write(lane.join(NOTE), identity)
}

/// A session's part in it.
#[derive(Debug)]
pub struct Syncing {
    /// Lanes may have been written to.
    wanted: bool,
    /// `Some` until reaped.
    child: Option<Pid>,
}

impl Default for Syncing {
    /// Other sessions may have ended before it was time.
    fn default() -> Syncing {
        Syncing {
            wanted: true,
            child: None,
        }
    }
}

impl Syncing {
    /// A lane has been given back.
    pub fn want(&mut self) {
        self.wanted = true;
    }

    /// Begins what is due, if nothing is going on.
    pub fn begin(&mut self) {
        if let Some(child) = self.child {
            match process::try_wait(child) {
                Ok(None) => return,
                Ok(Some(exit)) => self.wanted |= !exit.success(),
                Err(_) => {}
            }
            self.child = None;
        }
        if !std::mem::take(&mut self.wanted) {
            return;
        }
        let (due, young) = due();
        self.wanted = young;
        if !due.is_empty() {
            self.child = fork_into(Spaces::default(), || i32::from(sync(&due).is_err())).ok();
            self.wanted |= self.child.is_none();
        }
    }
}

/// Idle lanes, each with its state's identity, and whether others may follow.
fn due() -> (Vec<(PathBuf, String)>, bool) {
    let (mut due, mut young) = (vec![], false);
    for (used, lane) in lanes() {
        if time::now() - used < QUIET {
            young = true;
            continue;
        }
        // Which state it is comes first: one that is replaced while we look is not noted.
        let Ok(identity) = identity(&lane) else {
            continue;
        };
        let is_clean = |state: Option<State>| state.is_some_and(|s| s.clean);
        if !is_durable(&lane) && State::load(&lane).is_ok_and(is_clean) {
            due.push((lane, identity));
        }
    }
    (due, young)
}

/// The child's life.
fn sync(due: &[(PathBuf, String)]) -> io::Result<()> {
    // The session's pipes end with the session.
    fd::close_except(&[]);
    fd::silence()?;
    process::set_pdeathsig(SIGKILL)?;
    // One for all sessions: a sync is of the whole file system, and whoever comes second finds the notes.
    let lock = File::create(lanes_dir().join(".syncing"))?;
    if lock.try_lock().is_err() {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    syncfs(File::open(lanes_dir())?)?;
    for (lane, identity) in due {
        // One that has been collected meanwhile needs none.
        let _ = note(lane, identity);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_note_is_of_one_state_alone() {
        let lane = std::env::temp_dir().join(format!("rch-durable-{}", std::process::id()));
        fs::create_dir_all(&lane).unwrap();
        let state = State {
            clean: true,
            ..State::default()
        };
        state.save(&lane).unwrap();
        assert!(!is_durable(&lane));
        let noted = identity(&lane).unwrap();
        note(&lane, &noted).unwrap();
        assert!(is_durable(&lane));
        // A note that was cut off itself.
        note(&lane, &noted[..noted.len() - 1]).unwrap();
        assert!(!is_durable(&lane));
        note(&lane, &noted).unwrap();
        state.save(&lane).unwrap();
        assert!(!is_durable(&lane), "the same words, at another time");
        fs::remove_dir_all(lane).unwrap();
    }
}
