//! Walks a project's roots into a manifest, in parallel.
//!
//! A few threads share one stack of directories; each lists one at a time and puts what it finds on
//! a list of its own. Per directory that costs an open, two getdents and a close, per entry one
//! statx relative to the directory. What the rules keep at home is dropped before it is looked at,
//! and its directories are never opened. Sockets, pipes and devices are no sources and are left out.
//!
//! The walk is no snapshot: what vanishes in between is left out, what changes is found by the feed.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard};

use crate::config;
use crate::error::{Error, Result};
use crate::exclude::{Rules, Verdict, secret};
use crate::manifest::{self, Entry, Kind, Manifest};
use crate::roots::{Project, Root, links};
use crate::sys::fs::{Stat, coarse_now};
use crate::time::{self, Stamp};
use crate::wire::worker::Name;

type Found = Vec<(Name, Entry)>;

type Listed = Vec<(OsString, DirEntry)>;

/// What stands in the roots of `project` now, as far as `rules` let it travel.
///
/// # Errors
/// A directory or file that cannot be read, by name.
pub fn scan(project: &Project, rules: &Rules, threads: usize) -> Result<Manifest> {
    let walk = Walk::new(project, rules);
    let mut found = named(project, walk.started)?;
    let parts = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(|| walk.work())).collect();
        let mut parts = vec![walk.work()];
        parts.extend(
            others
                .into_iter()
                .map(|t| t.join().expect("BUG: a scan thread panicked")),
        );
        parts
    });
    for part in parts {
        found.append(&mut part?);
    }
    Ok(Manifest::new(found, walk.started))
}

/// How often links may lead to further roots in which there are further links.
const MAX_ROUNDS: usize = 8;

/// As `scan`, with the roots that links lead to added to `project`. `home` is the user's home
/// directory.
///
/// # Errors
/// As `scan`, and from the rules.
pub fn tree(
    project: &mut Project,
    config: &config::Transfer,
    home: &Path,
    threads: usize,
) -> Result<(Manifest, Rules)> {
    for _ in 0..MAX_ROUNDS {
        let rules = Rules::new(project, config)?;
        let manifest = scan(project, &rules, threads)?;
        if !links::widen(project, &manifest, home)? {
            return Ok((manifest, rules));
        }
    }
    Err(Error::new(
        "links lead from one directory to the next without an end",
    ))
}

/// A directory that waits for its turn.
#[derive(Debug)]
struct Dir {
    root: usize,
    /// Empty for the root itself.
    path: PathBuf,
    /// Its own entry; `None` for a root.
    entry: Option<Entry>,
    /// What the rules say about it: never `Skip`.
    verdict: Verdict,
}

#[derive(Debug, Default)]
struct Waiting {
    dirs: Vec<Dir>,
    /// Threads that are in a directory and may add others.
    busy: usize,
    /// Somebody failed: everybody stops.
    stop: bool,
}

struct Walk<'a> {
    roots: &'a [Root],
    rules: &'a Rules,
    started: Stamp,
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

impl<'a> Walk<'a> {
    fn new(project: &'a Project, rules: &'a Rules) -> Walk<'a> {
        let whole = project
            .roots
            .iter()
            .enumerate()
            .filter(|(_, r)| r.only.is_none());
        let dirs = whole.map(|(root, _)| Dir {
            root,
            path: PathBuf::new(),
            entry: None,
            verdict: Verdict::Take,
        });
        Walk {
            roots: &project.roots,
            rules,
            // By the clock of what it looks at: what is made after it must not seem older.
            started: coarse_now(),
            waiting: Mutex::new(Waiting {
                dirs: dirs.collect(),
                ..Waiting::default()
            }),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("BUG: a scan thread panicked")
    }

    /// One thread's share.
    fn work(&self) -> Result<Found> {
        let mut found = Found::new();
        while let Some(dir) = self.next() {
            let mut below = Vec::new();
            let outcome = self.visit(dir, &mut found, &mut below);
            self.done(below, outcome.is_err());
            outcome?;
        }
        // Each its own part at the same time: what is left to do is a merge.
        found.sort_by(|a, b| manifest::order(&a.0, &b.0));
        Ok(found)
    }

    /// A directory to visit; `None` once no thread can add another.
    fn next(&self) -> Option<Dir> {
        let mut waiting = self.lock();
        loop {
            if waiting.stop {
                return None;
            }
            if let Some(dir) = waiting.dirs.pop() {
                waiting.busy += 1;
                return Some(dir);
            }
            if waiting.busy == 0 {
                return None;
            }
            waiting = self
                .changed
                .wait(waiting)
                .expect("BUG: a scan thread panicked");
        }
    }

    fn done(&self, mut below: Vec<Dir>, failed: bool) {
        let mut waiting = self.lock();
        waiting.dirs.append(&mut below);
        waiting.busy -= 1;
        waiting.stop |= failed;
        if waiting.dirs.len() > 1 || waiting.busy == 0 || waiting.stop {
            self.changed.notify_all();
        }
    }

    fn visit(&self, dir: Dir, found: &mut Found, below: &mut Vec<Dir>) -> Result<()> {
        let full = self.roots[dir.root].path.join(&dir.path);
        let Some(entries) = list(&full, dir.entry.is_none())? else {
            return Ok(());
        };
        let mut dir = dir;
        if dir.verdict == Verdict::Take && self.is_target(&dir, &full, &entries) {
            if !self.rules.reaches_into(dir.root, &dir.path) {
                return Ok(());
            }
            dir.verdict = Verdict::OnlyIncluded;
        }
        for (name, entry) in &entries {
            self.take(&dir, &full.join(name), name, entry, found, below)?;
        }
        let name = name_of(dir.root, dir.path);
        found.extend(dir.entry.map(|entry| (name, entry)));
        Ok(())
    }

    fn is_target(&self, dir: &Dir, full: &Path, entries: &Listed) -> bool {
        let holds = |name: &str| entries.iter().any(|(n, _)| n == name);
        dir.entry.is_some() && self.rules.is_target_dir(full, holds)
    }

    fn take(
        &self,
        dir: &Dir,
        full: &Path,
        name: &OsStr,
        entry: &DirEntry,
        found: &mut Found,
        below: &mut Vec<Dir>,
    ) -> Result<()> {
        let path = dir.path.join(name);
        let is_dir = entry.file_type().is_ok_and(|t| t.is_dir());
        let mut verdict = self.rules.judge(dir.root, &path, is_dir, full);
        if dir.verdict == Verdict::OnlyIncluded && verdict == Verdict::Take {
            let on_the_way = is_dir && self.rules.reaches_into(dir.root, &path);
            verdict = if on_the_way {
                Verdict::OnlyIncluded
            } else {
                Verdict::Skip
            };
        }
        if verdict == Verdict::Skip {
            return Ok(());
        }
        match look(full, entry, self.started)? {
            Some(seen) if seen.is_dir() => below.push(Dir {
                root: dir.root,
                path,
                entry: Some(seen),
                verdict,
            }),
            Some(seen) => found.push((name_of(dir.root, path), seen)),
            None => {}
        }
        Ok(())
    }
}

fn name_of(root: usize, path: PathBuf) -> Name {
    let root = u8::try_from(root).expect("BUG: more than 256 roots");
    Name { root, path }
}

/// The entries of a directory; `None` if it vanished, unless it `must` be there.
fn list(dir: &Path, must: bool) -> Result<Option<Listed>> {
    let entries = match fs::read_dir(dir) {
        Err(e) if is_gone(&e) && !must => return Ok(None),
        entries => entries,
    };
    let named = |e: io::Result<DirEntry>| e.map(|e| (e.file_name(), e));
    let listed = entries.and_then(|entries| entries.map(named).collect::<io::Result<Listed>>());
    listed.map(Some).map_err(|e| unreadable(dir, &e))
}

/// What an entry is; `None` if it vanished or is nothing that can be copied.
fn look(full: &Path, entry: &DirEntry, seen: Stamp) -> Result<Option<Entry>> {
    let meta = match entry.metadata() {
        Err(e) if is_gone(&e) => return Ok(None),
        meta => meta.map_err(|e| unreadable(full, &e))?,
    };
    let kind = if meta.is_file() {
        check_readable(full, &meta)?;
        Kind::File
    } else if meta.is_dir() {
        Kind::Dir
    } else if meta.is_symlink() {
        match fs::read_link(full) {
            Ok(target) => Kind::Symlink(target),
            // Replaced since the look: the next scan sees what it has become.
            Err(_) => return Ok(None),
        }
    } else {
        return Ok(None);
    };
    Ok(Some(Entry::new(kind, &Stat::from(&meta), seen)))
}

/// What stands under a name here now; `None` if there is nothing that could be synced.
pub fn at(project: &Project, name: &Name) -> Option<Entry> {
    let path = project
        .roots
        .get(usize::from(name.root))?
        .path
        .join(&name.path);
    let meta = path.symlink_metadata().ok()?;
    let kind = if meta.is_file() {
        Kind::File
    } else if meta.is_dir() {
        Kind::Dir
    } else {
        Kind::Symlink(fs::read_link(&path).ok()?)
    };
    Some(Entry::new(kind, &Stat::from(&meta), time::now()))
}

/// Opens only what its mode makes doubtful: nearly every source is readable for all.
fn check_readable(full: &Path, meta: &Metadata) -> Result<()> {
    if meta.mode() & 0o444 == 0o444 {
        return Ok(());
    }
    match fs::File::open(full) {
        Err(e) if !is_gone(&e) => Err(unreadable(full, &e)),
        _ => Ok(()),
    }
}

fn unreadable(path: &Path, err: &io::Error) -> Error {
    Error::path("read", path, err).hint("a line in .rchignore keeps it out of the sync")
}

fn is_gone(err: &io::Error) -> bool {
    // A directory above it may have become a file.
    matches!(
        err.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// The files of roots that sync only what they name, and the directories above those.
fn named(project: &Project, seen: Stamp) -> Result<Found> {
    let mut found = Found::new();
    for (number, root) in project.roots.iter().enumerate() {
        let is_open = |file: &&PathBuf| {
            let full = root.path.join(file);
            !secret::is_secret(&full, &full)
        };
        for file in root.only.iter().flatten().filter(is_open) {
            for path in file.ancestors().filter(|a| !a.as_os_str().is_empty()) {
                let entry = stat_named(root, path, seen)?;
                found.extend(entry.map(|e| (name_of(number, path.into()), e)));
            }
        }
    }
    Ok(found)
}

/// Links are followed: the file was asked for, wherever it lies.
fn stat_named(root: &Root, path: &Path, seen: Stamp) -> Result<Option<Entry>> {
    let full = root.path.join(path);
    let meta = match fs::metadata(&full) {
        Err(e) if is_gone(&e) => return Ok(None),
        meta => meta.map_err(|e| unreadable(&full, &e))?,
    };
    let kind = if meta.is_dir() { Kind::Dir } else { Kind::File };
    Ok(Some(Entry::new(kind, &Stat::from(&meta), seen)))
}

#[cfg(test)]
mod tests;
