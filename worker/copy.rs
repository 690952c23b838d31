//! A new lane made of an idle one of the same project, products and all, so that it starts warm.
//!
//! `copy_file_range` shares the blocks where the file system can (btrfs, xfs) and copies them where it
//! cannot. It is made beside the lane's roots and put in their place when it is whole, so that nothing
//! of one that was cut short is ever believed; and it is a kindness, given up when it takes too long or
//! too much.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, FileTimes, Permissions};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rch::sys::fs::{free_bytes, set_mtime};
use rch::time;

use crate::lane::take;
use crate::state::State;
use crate::tree::Tree;

/// For all of it: the session answers nobody meanwhile, and whoever wants the original waits for it no
/// longer than this (`lane`).
const PATIENCE: Duration = Duration::from_millis(1500);

/// Between two looks at the time and the room that is left.
const PIECE: u64 = 64 << 20;

/// Where a copy is made, in the lane that it is for.
const UNFINISHED: &str = "copy";

/// What stays of a lane that is emptied: it is still locked, and without a state that counts until there
/// is a new one.
const OURS: [&str; 2] = ["lock", "state"];

/// Which roots a lane holds, in its directory.
const HOMES: &str = "homes";

/// Empties a lane without a state that counts, and notes where its roots stand at home.
pub fn begin(lane: &Path, homes: &[PathBuf]) -> io::Result<()> {
    let tree = Tree::open(lane)?;
    for (name, _) in tree.names(Path::new(""))? {
        if !OURS.iter().any(|ours| name == *ours) {
            tree.clear(Path::new(&name))?;
        }
    }
    let homes = homes.iter().map(|h| h.as_os_str().as_bytes());
    fs::write(lane.join(HOMES), homes.collect::<Vec<_>>().join(&0))
}

/// Fills the new lane with what `from` holds of its roots, and answers its state; `None` if `from` is in
/// use or in doubt.
///
/// # Errors
/// The lane is as new as before.
pub fn fill(
    lane: &Path,
    homes: &[PathBuf],
    from: &Path,
    min_free: u64,
) -> io::Result<Option<State>> {
    if !from.join("state").exists() {
        return Ok(None);
    }
    let Some(_lock) = take(from)? else {
        return Ok(None);
    };
    let Some(theirs) = State::load(from)?.filter(|state| state.clean) else {
        return Ok(None);
    };
    let unfinished = lane.join(UNFINISHED);
    let made = copy_roots(&unfinished, homes, from, min_free);
    let placed = made.and_then(|roots| {
        let state = State {
            manifest: None,
            clean: false,
            ..theirs
        };
        // From here on the lane is one in doubt.
        state.save(lane)?;
        for root in roots {
            fs::rename(unfinished.join(&root), lane.join(&root))?;
        }
        Ok(Some(state))
    });
    let _ = clear_away(lane);
    placed
}

/// Removes what was copied and not put in place, closed directories and all.
fn clear_away(lane: &Path) -> io::Result<()> {
    match lane.join(UNFINISHED).exists() {
        true => Tree::open(lane)?.clear(Path::new(UNFINISHED)),
        false => Ok(()),
    }
}

/// The names of the roots that were copied.
fn copy_roots(to: &Path, homes: &[PathBuf], from: &Path, min_free: u64) -> io::Result<Vec<String>> {
    let theirs = fs::read(from.join(HOMES))?;
    let theirs = theirs.split(|b| *b == 0);
    let theirs: Vec<PathBuf> = theirs
        .map(|home| std::ffi::OsString::from_vec(home.to_vec()).into())
        .collect();
    fs::create_dir(to)?;
    let mut copy = Copy {
        until: Instant::now() + PATIENCE,
        min_free,
        unseen: PIECE,
        links: HashMap::new(),
    };
    let mut made = vec![];
    for (number, home) in homes.iter().enumerate() {
        if let Some(place) = theirs.iter().position(|h| h == home) {
            let name = format!("root{number}");
            copy.tree(&from.join(format!("root{place}")), &to.join(&name))?;
            made.push(name);
        }
    }
    Ok(made)
}

struct Copy {
    until: Instant,
    /// Bytes that must stay free.
    min_free: u64,
    /// Bytes copied since the last look at the room that is left.
    unseen: u64,
    /// Files with several names, by device and inode.
    links: HashMap<(u64, u64), PathBuf>,
}

impl Copy {
    fn tree(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let mut made = vec![];
        let mut waiting = vec![(from.to_path_buf(), to.to_path_buf())];
        while let Some((from, to)) = waiting.pop() {
            DirBuilder::new().mode(0o700).create(&to)?;
            let dir = File::open(&to)?;
            for entry in fs::read_dir(&from)? {
                let entry = entry?;
                let (there, here) = (entry.path(), to.join(entry.file_name()));
                let (kind, meta) = (entry.file_type()?, entry.metadata()?);
                if kind.is_dir() {
                    waiting.push((there, here));
                } else if kind.is_symlink() {
                    std::os::unix::fs::symlink(fs::read_link(&there)?, &here)?;
                    let mtime = time::stamp(meta.modified()?);
                    set_mtime(&dir, Path::new(&entry.file_name()), mtime)?;
                } else if kind.is_file() {
                    self.file(&there, &here, &meta)?;
                }
            }
            made.push((fs::metadata(&from)?, to));
        }
        // Only now: filling a directory changes its time, and may be against its mode.
        for (meta, dir) in made.into_iter().rev() {
            File::open(&dir)?.set_modified(meta.modified()?)?;
            fs::set_permissions(&dir, meta.permissions())?;
        }
        Ok(())
    }

    fn file(&mut self, from: &Path, to: &Path, meta: &fs::Metadata) -> io::Result<()> {
        let id = (meta.dev(), meta.ino());
        if meta.nlink() > 1 {
            if let Some(first) = self.links.get(&id) {
                return fs::hard_link(first, to);
            }
            self.links.insert(id, to.into());
        }
        let (source, mut target) = (File::open(from)?, new_file(to)?);
        loop {
            self.look(to)?;
            let copied = io::copy(&mut (&source).take(PIECE), &mut target)?;
            self.unseen += copied;
            if copied < PIECE {
                break;
            }
        }
        target.set_permissions(Permissions::from_mode(meta.mode() & 0o7777))?;
        target.set_times(FileTimes::new().set_modified(meta.modified()?))
    }

    /// Whether to go on.
    fn look(&mut self, at: &Path) -> io::Result<()> {
        if Instant::now() >= self.until {
            return Err(io::ErrorKind::TimedOut.into());
        }
        if self.unseen >= PIECE {
            self.unseen = 0;
            if free_bytes(at)? < self.min_free {
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        Ok(())
    }
}

fn new_file(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn homes(names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(PathBuf::from).collect()
    }

    /// A lane with a tree of every kind of thing, below a folder that is the test's own.
    fn original(name: &str, clean: bool) -> (PathBuf, PathBuf) {
        let top = std::env::temp_dir().join(format!("rch-copy-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&top);
        let (from, new) = (top.join("0"), top.join("1"));
        let root = from.join("root1");
        fs::create_dir_all(&from).unwrap();
        begin(&from, &homes(&["/p", "/q"])).unwrap();
        fs::create_dir_all(root.join("closed")).unwrap();
        fs::create_dir_all(&new).unwrap();
        fs::write(root.join("closed/a"), "content").unwrap();
        fs::hard_link(root.join("closed/a"), root.join("b")).unwrap();
        std::os::unix::fs::symlink("b", root.join("link")).unwrap();
        for (path, mode) in [("b", 0o640), ("closed", 0o555)] {
            let old = time::system(1_000_000_007);
            File::open(root.join(path))
                .unwrap()
                .set_modified(old)
                .unwrap();
            fs::set_permissions(root.join(path), Permissions::from_mode(mode)).unwrap();
        }
        let state = State {
            clean,
            ran: true,
            ended: 5,
            ..State::default()
        };
        state.save(&from).unwrap();
        (from, new)
    }

    fn look(path: &Path) -> (u32, i64, i64, u64) {
        let meta = fs::symlink_metadata(path).unwrap();
        (meta.mode(), meta.mtime(), meta.mtime_nsec(), meta.size())
    }

    #[test]
    fn a_copy_is_as_its_original_but_in_doubt() {
        let (from, new) = original("same", true);
        let state = fill(&new, &homes(&["/r", "/q"]), &from, 0)
            .unwrap()
            .unwrap();
        assert_eq!((state.clean, state.ran, state.ended), (false, true, 5));
        assert_eq!(State::load(&new).unwrap(), Some(state));
        let root = new.join("root1");
        for name in ["b", "closed", "closed/a", "link"] {
            assert_eq!(look(&root.join(name)), look(&from.join("root1").join(name)));
        }
        assert_eq!(fs::read(root.join("b")).unwrap(), b"content");
        let ino = |name: &str| fs::metadata(root.join(name)).unwrap().ino();
        assert_eq!(ino("b"), ino("closed/a"));
        assert_ne!(ino("b"), fs::metadata(from.join("root1/b")).unwrap().ino());
        assert!(!new.join("root0").exists() && !new.join(UNFINISHED).exists());
        fs::remove_dir_all(new.parent().unwrap()).unwrap();
    }

    #[test]
    fn what_is_in_use_or_in_doubt_is_not_copied_and_nothing_half() {
        let (from, new) = original("doubt", false);
        let all = homes(&["/p", "/q"]);
        assert_eq!(fill(&new, &all, &from, 0).unwrap(), None);
        fs::remove_dir_all(new.parent().unwrap()).unwrap();
        let (from, new) = original("use", true);
        let lock = take(&from).unwrap();
        assert_eq!(fill(&new, &all, &from, 0).unwrap(), None);
        drop(lock);
        let nothing = |new: &Path| fs::read_dir(new).unwrap().next().is_none();
        // There is no `root0` to copy: the whole is given up.
        assert!(fill(&new, &all, &from, 0).is_err());
        assert!(nothing(&new));
        // What a crash left in the middle goes, and what a power cut left of a lane.
        for name in [UNFINISHED, "root0", "sent"] {
            fs::create_dir(new.join(name)).unwrap();
        }
        fs::write(new.join("lock"), "").unwrap();
        begin(&new, &all).unwrap();
        let left = fs::read_dir(&new).unwrap().flatten();
        let mut left: Vec<_> = left.map(|e| e.file_name()).collect();
        left.sort();
        assert_eq!(left, [HOMES, "lock"]);
        fs::remove_dir_all(new.parent().unwrap()).unwrap();
    }
}
