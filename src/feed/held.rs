//! What a lane holds that nobody remembers: its own list of files and hashes, compared with what
//! stands here.
//!
//! The answer is a manifest of the lane, so that the ordinary difference to it repairs the lane. A
//! file that the lane already has keeps its age there, and with it all that was built from it; of
//! rsync, which this replaces, the same could not be had without a second look at every file. One that
//! was touched here since is younger than what the lane has, and goes again.

use crate::manifest::{Entry, Kind, Manifest};
use crate::roots::Project;
use crate::time::Stamp;
use crate::wire::worker::{self, Held, Name};

use super::Reader;

/// What the lane holds, as a manifest from which `manifest` can be reached: an entry is `manifest`'s
/// own where the lane has the same, and one that differs from it where not. `offset` is the worker's
/// clock minus ours; `products` says that there may be products among the files (make and compilers
/// write where they like).
pub fn known(
    project: &Project,
    manifest: &Manifest,
    held: Vec<Held>,
    offset: Stamp,
    products: bool,
) -> Manifest {
    let mut reader = Reader::new(project.roots.clone());
    let mut entries: Vec<(Name, Entry)> = held
        .into_iter()
        .map(|h| {
            let entry = manifest
                .get(&h.name)
                .filter(|e| is_same(&h, e, &mut reader) && !is_touched(&h, e, offset));
            let entry = entry
                .cloned()
                .unwrap_or_else(|| Entry::unlike_any(kind(&h.kind)));
            (h.name, entry)
        })
        .collect();
    if products {
        keep_order(manifest, &mut entries);
    }
    Manifest::new(entries, manifest.taken())
}

fn is_same(held: &Held, entry: &Entry, reader: &mut Reader) -> bool {
    match (&held.kind, &entry.kind) {
        // A lane's directories can always be written to.
        (worker::Kind::Dir, Kind::Dir) => held.mode == entry.mode & 0o777 | 0o700,
        (worker::Kind::Symlink { target }, Kind::Symlink(here)) => target == here,
        (worker::Kind::File { size }, Kind::File) => {
            *size == entry.size
                && held.mode == entry.mode & 0o777
                && reader.hash(&held.name).is_ok_and(|hash| hash == held.hash)
        }
        _ => false,
    }
}

/// How well clocks are known of each other. Less would send what nobody has touched, more would take what
/// somebody has for old.
const DOUBT: Stamp = 10_000_000;

/// Whether the file was touched here since the lane got it: what is written to a lane is never dated
/// before the file here. By either clock, because rsync leaves our times as they are.
fn is_touched(held: &Held, entry: &Entry, offset: Stamp) -> bool {
    let here = entry.mtime.min(entry.mtime.saturating_add(offset));
    entry.is_file() && here > held.mtime.saturating_add(DOUBT)
}

fn kind(kind: &worker::Kind) -> Kind {
    match kind {
        worker::Kind::File { .. } => Kind::File,
        worker::Kind::Dir => Kind::Dir,
        worker::Kind::Symlink { .. } => Kind::Symlink("".into()),
    }
}

/// What is sent is dated now. What is younger than that at home must not look older there, or make
/// would take an object that was put back for one that is up to date: it is sent as well.
fn keep_order(manifest: &Manifest, entries: &mut [(Name, Entry)]) {
    let held: std::collections::HashSet<&Name> = entries
        .iter()
        .filter(|(_, e)| e.mode != u32::MAX)
        .map(|(name, _)| name)
        .collect();
    let sent = manifest
        .iter()
        .filter(|(n, e)| e.is_file() && !held.contains(n));
    let Some(oldest) = sent.map(|(_, e)| e.mtime).min() else {
        return;
    };
    for (_, entry) in entries.iter_mut() {
        if entry.is_file() && entry.mtime > oldest {
            *entry = Entry::unlike_any(Kind::File);
        }
    }
}
