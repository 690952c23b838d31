//! The files below one root of a lane: writing, removing, and telling products from sources.
//!
//! A job has run in there, so nothing found is trusted: every step goes through descriptors beneath
//! the root, never through a symbolic link. A file is written under a temporary name and renamed, so
//! that a hard link cargo made to the old one keeps the old content. It knows nothing of lanes,
//! stamps or the protocol's order.

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rch::bytes::Hash;
use rch::sys::fs as sys;
use rch::sys::fs::Stat;
use rch::time::{self, Stamp};
use rch::wire::CHUNK;
use rch::wire::worker::Kind;

/// How every CACHEDIR.TAG begins (Cache Directory Tagging Specification).
const CACHEDIR: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55";

/// The name a file has until it is whole. A session writes one at a time; in the registry's cache
/// several sessions may be at work.
fn partial() -> PathBuf {
    format!(".rch-partial-{}", std::process::id()).into()
}

/// One root's directory, held open.
#[derive(Debug)]
pub struct Tree(OwnedFd);

/// A file on its way in.
#[derive(Debug)]
pub struct Incoming {
    dir: OwnedFd,
    name: PathBuf,
    file: File,
    left: u64,
    mode: u32,
    mtime: Stamp,
    steady: bool,
}

impl Tree {
    pub fn open(path: &Path) -> io::Result<Tree> {
        Ok(Tree(File::open(path)?.into()))
    }

    /// Begins a file of `size` bytes, to be finished by `Incoming::finish`.
    pub fn begin(&self, path: &Path, size: u64, mode: u32, mtime: Stamp) -> io::Result<Incoming> {
        let (dir, name) = self.parent(path)?;
        let partial = &partial();
        remove(&dir, partial)?;
        let file = File::from(sys::create_file(&dir, partial, 0o600)?);
        Ok(Incoming {
            dir,
            name,
            file,
            left: size,
            mode: mode & 0o777,
            mtime,
            steady: false,
        })
    }

    /// Makes a directory, or corrects the mode of the one there. We can always write in it ourselves.
    pub fn put_dir(&self, path: &Path, mode: u32) -> io::Result<()> {
        let (dir, name) = self.parent(path)?;
        let fd = enter(&dir, &name)?;
        File::from(fd).set_permissions(Permissions::from_mode(mode & 0o777 | 0o700))
    }

    pub fn put_symlink(&self, path: &Path, target: &Path, mtime: Stamp) -> io::Result<()> {
        let (dir, name) = self.parent(path)?;
        let partial = &partial();
        remove(&dir, partial)?;
        sys::symlinkat(target, &dir, partial)?;
        sys::set_mtime(&dir, partial, mtime)?;
        replace(&dir, partial, &name)
    }

    /// Removes a file, or a directory with all in it but products; what is not there is no error.
    pub fn delete(&self, path: &Path) -> io::Result<()> {
        let (parent, name) = split(path);
        match sys::open_dir(&self.0, parent) {
            Ok(dir) => prune(&dir, name).map(|_| ()),
            Err(e) if sys::is_absent(&e) => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// Removes whatever stands at `path`, products and all; of the root itself, what is in it.
    pub fn clear(&self, path: &Path) -> io::Result<()> {
        if path == Path::new("") {
            let mut names = entries(&self.0)?.into_iter();
            return names.try_for_each(|name| remove(&self.0, &name));
        }
        let (parent, name) = split(path);
        match sys::open_dir(&self.0, parent) {
            Ok(dir) => remove(&dir, name),
            Err(e) if sys::is_absent(&e) => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// Removes everything but products.
    pub fn wipe(&self) -> io::Result<()> {
        entries(&self.0)?
            .iter()
            .try_for_each(|name| prune(&self.0, name).map(|_| ()))
    }

    /// Hands every source file, link and directory with its place to `each`, looking into no product
    /// directory.
    pub fn walk(&self, each: &mut dyn FnMut(Seen<'_>) -> io::Result<()>) -> io::Result<()> {
        walk(&self.0, Path::new(""), &is_skipped, each)
    }

    /// What stands here, product directories aside: files with the XXH3 of their content, links and
    /// directories.
    pub fn list(
        &self,
        each: &mut dyn FnMut(PathBuf, Stat, Kind, u64) -> io::Result<()>,
    ) -> io::Result<()> {
        list(&self.0, Path::new(""), each)
    }

    /// What stands in a directory, and which of it are directories.
    pub fn names(&self, path: &Path) -> io::Result<Vec<(OsString, bool)>> {
        let dir = self.dir(path)?;
        let all = entries(&dir)?.into_iter();
        let named = all.filter_map(|name| {
            let stat = sys::lstatat(&dir, &name).ok()?;
            Some((name.into(), stat.is_dir()))
        });
        Ok(named.collect())
    }

    /// When something was last created in the root itself, or removed from it.
    pub fn ctime(&self) -> io::Result<Stamp> {
        Ok(sys::fstat(&self.0)?.ctime)
    }

    /// The root itself, if `path` is empty.
    fn dir(&self, path: &Path) -> io::Result<OwnedFd> {
        match path.as_os_str().is_empty() {
            true => self.0.try_clone(),
            false => sys::open_dir(&self.0, path),
        }
    }

    /// As `walk`, for one directory, whatever it is: its own files, or with `deep` all below it.
    /// A directory that does not exist is empty.
    pub fn walk_dir(
        &self,
        path: &Path,
        deep: bool,
        each: &mut dyn FnMut(Seen<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        match self.dir(path) {
            Ok(dir) => walk(&dir, path, &|_, _| !deep, each),
            Err(e) if sys::is_absent(&e) => Ok(()),
            Err(e) => Err(e),
        }
    }

    pub fn open_file(&self, path: &Path) -> io::Result<OwnedFd> {
        sys::open_file(&self.0, path)
    }

    pub fn lstat(&self, path: &Path) -> io::Result<Stat> {
        let (parent, name) = split(path);
        sys::lstatat(sys::open_dir(&self.0, parent)?, name)
    }

    pub fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        let (parent, name) = split(path);
        let dir = sys::open_dir(&self.0, parent)?;
        fs::read_link(by_fd(&dir).join(name))
    }

    /// The directory that holds `path`, made where missing; a file or link in its way is replaced.
    fn parent(&self, path: &Path) -> io::Result<(OwnedFd, PathBuf)> {
        let (parent, name) = split(path);
        let dir = match sys::open_dir(&self.0, parent) {
            Ok(dir) => dir,
            Err(e) if sys::is_absent(&e) => {
                parent.iter().try_fold(self.0.try_clone()?, |dir, part| {
                    enter(&dir, Path::new(part))
                })?
            }
            Err(e) => return Err(e),
        };
        Ok((dir, name.into()))
    }
}

impl Incoming {
    /// If what stands there has the same content, it keeps its age.
    pub fn steady(mut self, steady: bool) -> Incoming {
        self.steady = steady;
        self
    }

    /// # Errors
    /// `InvalidInput` if more comes than was announced.
    pub fn write(&mut self, data: &[u8]) -> io::Result<()> {
        self.left = self
            .left
            .checked_sub(data.len() as u64)
            .ok_or(io::ErrorKind::InvalidInput)?;
        self.file.write_all(data)
    }

    pub fn left(&self) -> u64 {
        self.left
    }

    /// Gives the file its mode, time and name.
    pub fn finish(self) -> io::Result<()> {
        let mode = Permissions::from_mode(self.mode);
        if self.steady
            && let Ok(there) = sys::open_file(&self.dir, &self.name)
            && same_content(&File::from(there.try_clone()?), &self.file)?
        {
            return File::from(there).set_permissions(mode);
        }
        self.file.set_permissions(mode)?;
        self.file.set_modified(time::system(self.mtime))?;
        replace(&self.dir, &partial(), &self.name)
    }
}

fn same_content(a: &File, b: &File) -> io::Result<bool> {
    use std::os::unix::fs::FileExt;
    if sys::fstat(a)?.size != sys::fstat(b)?.size {
        return Ok(false);
    }
    let (mut one, mut other) = (vec![0; CHUNK], vec![0; CHUNK]);
    let mut at = 0;
    loop {
        let n = a.read_at(&mut one, at)?;
        if n == 0 {
            return Ok(true);
        }
        b.read_exact_at(&mut other[..n], at)?;
        if one[..n] != other[..n] {
            return Ok(false);
        }
        at += n as u64;
    }
}

impl Drop for Incoming {
    /// A file that was not finished leaves nothing; a finished one has another name by now.
    fn drop(&mut self) {
        let _ = sys::unlinkat(&self.dir, &partial(), false);
    }
}

/// One entry that a walk met; `dir` and `name` reach it, `path` is its place beneath the root.
#[derive(Debug)]
pub struct Seen<'a> {
    pub dir: &'a OwnedFd,
    pub name: &'a Path,
    pub path: &'a Path,
    pub stat: Stat,
}

type Skip<'a> = &'a dyn Fn(&OwnedFd, &Path) -> bool;

fn walk(
    dir: &OwnedFd,
    at: &Path,
    skip: Skip<'_>,
    each: &mut dyn FnMut(Seen<'_>) -> io::Result<()>,
) -> io::Result<()> {
    for name in entries(dir)? {
        // What vanishes while we look was never there.
        let Ok(stat) = sys::lstatat(dir, &name) else {
            continue;
        };
        let path = at.join(&name);
        let seen = Seen {
            dir,
            name: &name,
            path: &path,
            stat,
        };
        if seen.stat.is_dir() {
            if let Ok(below) = sys::open_dir(dir, &name)
                && !skip(&below, &path)
            {
                each(seen)?;
                walk(&below, &path, skip, each)?;
            }
        } else if seen.stat.is_file() || seen.stat.is_symlink() {
            each(seen)?;
        }
    }
    Ok(())
}

fn list(
    dir: &OwnedFd,
    at: &Path,
    each: &mut dyn FnMut(PathBuf, Stat, Kind, u64) -> io::Result<()>,
) -> io::Result<()> {
    for name in entries(dir)? {
        let (path, stat) = (at.join(&name), sys::lstatat(dir, &name)?);
        if stat.is_symlink() {
            let target = fs::read_link(by_fd(dir).join(&name))?;
            each(path, stat, Kind::Symlink { target }, 0)?;
        } else if stat.is_dir() {
            let below = sys::open_dir(dir, &name)?;
            if !is_product(&below, &path) {
                each(path.clone(), stat, Kind::Dir, 0)?;
                list(&below, &path, each)?;
            }
        } else if stat.is_file() {
            // What we cannot read is not what was sent.
            let read = sys::open_file(dir, &name).and_then(|file| hash(file.into()));
            let hash = read.unwrap_or(0);
            each(path, stat, Kind::File { size: stat.size }, hash)?;
        } else {
            // No source is a device or a socket, and no job needs the last one's.
            remove(dir, &name)?;
        }
    }
    Ok(())
}

/// XXH3 (64 bits) of all that can be read.
pub fn hash(mut file: File) -> io::Result<u64> {
    let (mut hash, mut piece) = (Hash::default(), vec![0; CHUNK]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hash.digest()),
            n => hash.update(&piece[..n]),
        }
    }
}

fn is_skipped(dir: &OwnedFd, path: &Path) -> bool {
    path.ends_with(".git/objects") || is_product(dir, path)
}

/// Whether a directory holds products, which outlive a wipe: cargo's target directories and
/// node_modules.
fn is_product(dir: &OwnedFd, path: &Path) -> bool {
    path.ends_with("node_modules") || is_cargo_target(dir)
}

fn is_cargo_target(dir: &OwnedFd) -> bool {
    let mut head = [0; CACHEDIR.len()];
    sys::open_file(dir, Path::new("CACHEDIR.TAG"))
        .and_then(|f| io::Read::read_exact(&mut File::from(f), &mut head))
        .is_ok_and(|()| head == *CACHEDIR)
}

/// Opens the directory `name`, made if missing; anything else of that name gives way to it.
fn enter(dir: &OwnedFd, name: &Path) -> io::Result<OwnedFd> {
    match sys::open_dir(dir, name) {
        Err(e) if sys::is_absent(&e) => {
            remove(dir, name)?;
            sys::mkdirat(dir, name, 0o777)?;
            sys::open_dir(dir, name)
        }
        other => other,
    }
}

/// Renames `from` over `to`, whatever `to` is.
fn replace(dir: &OwnedFd, from: &Path, to: &Path) -> io::Result<()> {
    if sys::lstatat(dir, to).is_ok_and(|s| s.is_dir()) {
        remove(dir, to)?;
    }
    sys::renameat(dir, from, to)
}

/// Removes an entry and everything below it.
fn remove(dir: &OwnedFd, name: &Path) -> io::Result<()> {
    clear(dir, name, &|_, _| false).map(|_| ())
}

/// Removes an entry and everything below it but products; answers whether it is gone.
fn prune(dir: &OwnedFd, name: &Path) -> io::Result<bool> {
    clear(dir, name, &is_product)
}

fn clear(dir: &OwnedFd, name: &Path, keep: Skip<'_>) -> io::Result<bool> {
    let stat = match sys::lstatat(dir, name) {
        Ok(stat) => stat,
        Err(e) if sys::is_absent(&e) => return Ok(true),
        Err(e) => return Err(e),
    };
    if !stat.is_dir() {
        return sys::unlinkat(dir, name, false).map(|()| true);
    }
    let below = sys::open_dir(dir, name)?;
    if keep(&below, name) {
        return Ok(false);
    }
    let mut empty = true;
    for entry in entries(&below)? {
        empty &= clear(&below, &entry, keep)?;
    }
    if empty {
        sys::unlinkat(dir, name, true)?;
    }
    Ok(empty)
}

/// The names in a directory.
fn entries(dir: &OwnedFd) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(by_fd(dir))?
        .map(|e| Ok(e?.file_name().into()))
        .collect()
}

/// A path to what a descriptor has open (proc(5)).
fn by_fd(dir: &OwnedFd) -> PathBuf {
    format!("/proc/self/fd/{}", dir.as_fd().as_raw_fd()).into()
}

/// The directory part, `.` if there is none, and the name.
fn split(path: &Path) -> (&Path, &Path) {
    let name = Path::new(path.file_name().expect("BUG: a path without a name"));
    match path.parent() {
        Some(dir) if dir != Path::new("") => (dir, name),
        _ => (Path::new("."), name),
    }
}
