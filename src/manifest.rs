//! What a tree holds at one moment: every name with its kind, mode, size, times and inode.
//!
//! A manifest knows no content. Two are compared by what `stat` says, as git compares its index:
//! size, mode, mtime, ctime and inode together catch an edit within the same second, of the same
//! size, or with its mtime put back. What they cannot catch is a second edit within one tick of the
//! kernel's clock, so an entry that changed just before it was looked at is *racy* and counts as
//! different the next time, unless its content is read again and found to be what was sent (`feed`). Of directories only the mode counts (their times change with every
//! entry, and follow on the worker by themselves), of links only the target.
//!
//! Entries are sorted by name, component by component, so that a directory stands before all it
//! holds. That order is what `Changes` relies on.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

use crate::bytes::{Malformed, Parsed, Reader, Writer};
use crate::sys::fs::Stat;
use crate::time::Stamp;
use crate::wire::worker::Name;

/// First bytes of an encoded manifest; the last one counts its versions.
const MAGIC: &[u8; 8] = b"rchmnf\0\x02";

/// How long before it is looked at a change makes an entry racy: well above the tick of file times
/// (4 to 10 ms on common kernels).
const RACY: Stamp = 50_000_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    File,
    Dir,
    /// To where, as it is written in the link.
    Symlink(PathBuf),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub kind: Kind,
    /// Permission bits only (0o7777).
    pub mode: u32,
    pub size: u64,
    pub mtime: Stamp,
    pub ctime: Stamp,
    pub ino: u64,
    /// Changed so shortly before it was looked at that a later change may not show.
    pub racy: bool,
    /// Of the content that was sent, if the entry is racy; 0: not known.
    pub hash: u64,
}

impl Entry {
    /// `seen` is when the look began.
    pub fn new(kind: Kind, stat: &Stat, seen: Stamp) -> Entry {
        Entry {
            kind,
            mode: stat.mode & 0o7777,
            size: stat.size,
            mtime: stat.mtime,
            ctime: stat.ctime,
            ino: stat.ino,
            racy: is_racy(stat.ctime, seen),
            hash: 0,
        }
    }

    /// One that no look at a tree could give.
    pub fn unlike_any(kind: Kind) -> Entry {
        Entry {
            kind,
            mode: u32::MAX,
            size: 0,
            mtime: Stamp::MIN,
            ctime: Stamp::MIN,
            ino: 0,
            racy: false,
            hash: 0,
        }
    }

    /// Whether nothing that a build could see differs, going by what `stat` says.
    pub fn same(&self, other: &Entry) -> bool {
        self.kind == other.kind
            && match self.kind {
                Kind::File => self.stats() == other.stats(),
                Kind::Dir => self.mode == other.mode,
                Kind::Symlink(_) => true,
            }
    }

    fn stats(&self) -> (u32, u64, Stamp, Stamp, u64) {
        (self.mode, self.size, self.mtime, self.ctime, self.ino)
    }

    pub fn is_dir(&self) -> bool {
        self.kind == Kind::Dir
    }

    pub fn is_file(&self) -> bool {
        self.kind == Kind::File
    }
}

/// A time of change far in the future (a clock was set back) is not racy: the next change would
/// bring another. Otherwise such a file would be sent with every job.
fn is_racy(ctime: Stamp, seen: Stamp) -> bool {
    ctime >= seen.saturating_sub(RACY) && ctime <= seen.saturating_add(60_000_000_000)
}

/// What must be done to one tree to make it another. `deletes` first, in their order (a directory
/// after all it held), then `puts` (a directory before all it holds).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    pub puts: Vec<Name>,
    pub deletes: Vec<Name>,
}

impl Changes {
    pub fn is_empty(&self) -> bool {
        self.puts.is_empty() && self.deletes.is_empty()
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    entries: Vec<(Name, Entry)>,
    /// When the look at the tree began; no part of the digest.
    taken: Stamp,
}

impl Manifest {
    /// Of entries in any order; of two with one name the later stays.
    pub fn new(mut entries: Vec<(Name, Entry)>, taken: Stamp) -> Manifest {
        if entries.is_sorted_by(|a, b| order(&a.0, &b.0).is_lt()) {
            return Manifest { entries, taken };
        }
        entries.sort_by(|a, b| order(&a.0, &b.0));
        entries.dedup_by(|later, kept| {
            let twin = order(&later.0, &kept.0).is_eq();
            if twin {
                std::mem::swap(later, kept);
            }
            twin
        });
        Manifest { entries, taken }
    }

    pub fn taken(&self) -> Stamp {
        self.taken
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn iter(&self) -> std::slice::Iter<'_, (Name, Entry)> {
        self.entries.iter()
    }

    pub fn get(&self, name: &Name) -> Option<&Entry> {
        let found = self.entries.binary_search_by(|(n, _)| order(n, name));
        found.ok().map(|i| &self.entries[i].1)
    }

    /// How many entries may have changed unseen.
    pub fn racy(&self) -> usize {
        self.iter().filter(|(_, entry)| entry.racy).count()
    }

    /// Content of all files together.
    pub fn total_bytes(&self) -> u64 {
        let files = self.iter().filter(|(_, e)| e.is_file());
        files.map(|(_, e)| e.size).sum()
    }

    /// This manifest with `fresh` entries put in and `gone` ones (and all below them) taken out.
    #[must_use]
    pub fn updated(&self, fresh: &[(Name, Entry)], gone: &[Name]) -> Manifest {
        let gone: HashSet<(u8, &Path)> = gone.iter().map(|n| (n.root, &*n.path)).collect();
        let is_gone = |name: &Name| {
            let mut above = name.path.ancestors();
            !gone.is_empty() && above.any(|path| gone.contains(&(name.root, path)))
        };
        let kept = self.iter().filter(|(n, _)| !is_gone(n));
        Manifest::new(kept.chain(fresh).cloned().collect(), self.taken)
    }

    /// Tells trees apart, without looking at content: equal digests mean that `changes` finds
    /// nothing, racy entries aside.
    pub fn digest(&self) -> [u8; 16] {
        let mut hash = Xxh3::new();
        let mut line = Writer::default();
        for (name, entry) in self.iter() {
            line.0.clear();
            put_name(&mut line, name);
            put_identity(&mut line, entry);
            hash.update(&line.0);
        }
        hash.digest128().to_le_bytes()
    }

    /// What turns a tree that holds `self` into one that holds `new`. An entry that changes its
    /// type is deleted and put.
    pub fn changes(&self, new: &Manifest) -> Changes {
        let mut changes = Changes::default();
        let (mut old, mut now) = (self.iter().peekable(), new.iter().peekable());
        loop {
            let side = match (old.peek(), now.peek()) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(a), Some(b)) => order(&a.0, &b.0),
            };
            let was = if side.is_le() { old.next() } else { None };
            let is = if side.is_ge() { now.next() } else { None };
            changes.note(was, is);
        }
        changes.deletes.reverse();
        changes
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer(MAGIC.to_vec());
        w.i64(self.taken);
        w.list(&self.entries, |w, (name, entry)| {
            put_name(w, name);
            put_kind(w, &entry.kind);
            put_stats(w, entry);
            w.flag(entry.racy).u64(entry.hash);
        });
        w.0
    }

    /// # Errors
    /// `Malformed` for anything that `encode` did not write.
    pub fn decode(bytes: &[u8]) -> Parsed<Manifest> {
        let mut r = Reader::new(bytes);
        if r.raw(MAGIC.len())? != MAGIC {
            return Err(Malformed);
        }
        let taken = r.i64()?;
        let entries = r.list(|r| Ok((get_name(r)?, get_entry(r)?)))?;
        r.end()?;
        let sorted = entries.is_sorted_by(|a, b| order(&a.0, &b.0).is_lt());
        sorted
            .then_some(Manifest { entries, taken })
            .ok_or(Malformed)
    }
}

impl Changes {
    /// One name, as it was and as it is; at least one of them is there.
    fn note(&mut self, was: Option<&(Name, Entry)>, is: Option<&(Name, Entry)>) {
        match (was, is) {
            (Some((_, old)), Some((_, new))) if old.same(new) && !stale(old, new) => {}
            (was, is) => {
                let retyped = match (was, is) {
                    (Some((_, old)), Some((_, new))) => {
                        std::mem::discriminant(&old.kind) != std::mem::discriminant(&new.kind)
                    }
                    (was, _) => was.is_some(),
                };
                let gone = was.filter(|_| retyped);
                self.deletes.extend(gone.map(|(name, _)| name.clone()));
                self.puts.extend(is.map(|(name, _)| name.clone()));
            }
        }
    }
}

/// Whether a file that looks the same may have changed unseen.
fn stale(old: &Entry, new: &Entry) -> bool {
    old.racy && new.is_file()
}

/// Compares names as `Name`'s own order does (component by component), but by bytes.
pub fn order(a: &Name, b: &Name) -> Ordering {
    a.root
        .cmp(&b.root)
        .then_with(|| order_paths(&a.path, &b.path))
}

fn order_paths(a: &Path, b: &Path) -> Ordering {
    let (a, b) = (
        a.as_os_str().as_encoded_bytes(),
        b.as_os_str().as_encoded_bytes(),
    );
    // Neighbours share long beginnings: eight bytes at a time as far as they go.
    let chunks = a.chunks_exact(8).zip(b.chunks_exact(8));
    let same = 8 * chunks.take_while(|(x, y)| x == y).count();
    let (a, b) = (&a[same..], &b[same..]);
    match a.iter().zip(b).find(|(x, y)| x != y) {
        None => a.len().cmp(&b.len()),
        // A separator ends a component and so stands before every other byte.
        Some((b'/', _)) => Ordering::Less,
        Some((_, b'/')) => Ordering::Greater,
        Some((x, y)) => x.cmp(y),
    }
}

fn put_name(w: &mut Writer, name: &Name) {
    w.u8(name.root).path(&name.path);
}

fn get_name(r: &mut Reader<'_>) -> Parsed<Name> {
    let (root, path) = (r.u8()?, r.path()?);
    let plain = crate::paths::is_plain(&path);
    plain.then_some(Name { root, path }).ok_or(Malformed)
}

fn put_kind(w: &mut Writer, kind: &Kind) {
    match kind {
        Kind::File => w.u8(0),
        Kind::Dir => w.u8(1),
        Kind::Symlink(target) => w.u8(2).path(target),
    };
}

fn get_kind(r: &mut Reader<'_>) -> Parsed<Kind> {
    match r.u8()? {
        0 => Ok(Kind::File),
        1 => Ok(Kind::Dir),
        2 => Ok(Kind::Symlink(r.path()?)),
        _ => Err(Malformed),
    }
}

fn put_stats(w: &mut Writer, e: &Entry) {
    w.u32(e.mode)
        .u64(e.size)
        .i64(e.mtime)
        .i64(e.ctime)
        .u64(e.ino);
}

/// Exactly what `same` compares.
fn put_identity(w: &mut Writer, entry: &Entry) {
    put_kind(w, &entry.kind);
    match entry.kind {
        Kind::File => put_stats(w, entry),
        Kind::Dir => {
            w.u32(entry.mode);
        }
        Kind::Symlink(_) => {}
    }
}

fn get_entry(r: &mut Reader<'_>) -> Parsed<Entry> {
    Ok(Entry {
        kind: get_kind(r)?,
        mode: r.u32()?,
        size: r.u64()?,
        mtime: r.i64()?,
        ctime: r.i64()?,
        ino: r.u64()?,
        racy: r.flag()?,
        hash: r.u64()?,
    })
}

#[cfg(test)]
mod tests;
