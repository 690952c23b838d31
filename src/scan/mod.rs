//! A project's roots as a manifest.
//!
//! Most roots are walked (`walk`); of some only the files that they name are looked at. Sockets, pipes and
//! devices are no sources and are left out.
//!
//! A scan is no snapshot: what vanishes in between is left out, what changes is found by the feed.

mod walk;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::config;
use crate::error::{Error, Result};
use crate::exclude::{Rules, secret};
use crate::manifest::{Entry, Kind, Manifest};
use crate::roots::{Project, Root, links};
use crate::sys::fs::{Stat, coarse_now};
use crate::time::{self, Stamp};
use crate::wire::worker::Name;

type Found = Vec<(Name, Entry)>;

/// What stands in the roots of `project` now, as far as `rules` let it travel.
///
/// # Errors
/// A directory or file that cannot be read, by name.
pub fn scan(project: &Project, rules: &Rules, threads: usize) -> Result<Manifest> {
    // By the clock of what is looked at: what is made after it must not seem older.
    let started = coarse_now();
    let mut found = walk::walk(project, rules, started, threads)?;
    found.append(&mut named(project, started)?);
    Ok(Manifest::new(found, started))
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

fn name_of(root: usize, path: PathBuf) -> Name {
    let root = u8::try_from(root).expect("BUG: more than 256 roots");
    Name { root, path }
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
            !secret::is_secret(&full, &|| full.clone())
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
