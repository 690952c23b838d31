//! Files beneath roots: made under a temporary name, renamed into place.
//!
//! The only part of a landing that touches the disk. A root is opened once, as the user spells it;
//! from there on every path is resolved by `openat2` beneath it, without following any link, so a
//! tree that changes under us can lead nowhere else.

use std::fs::{File, Permissions};
use std::io::{self, Read, Write};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::elf;
use crate::error::{Error, Result};
use crate::exclude::TEMP_PREFIX;
use crate::manifest::{Entry, Kind};
use crate::roots::{Cargo, Project, Root};
use crate::sys::fs as beneath;
use crate::temp;
use crate::time::{self, Stamp};
use crate::wire::patch;
use crate::wire::worker::Name;

/// Files below this size are not worth a question about free space.
const LARGE: u64 = 1 << 20;

/// What cargo writes into a target directory that it makes.
const TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55
# This file is a cache directory tag created by cargo.
# For information about cache directory tags see https://bford.info/cachedir/
";

/// What compilers write begins with one of these: ELF, an archive, wasm.
const MAGICS: [&[u8]; 3] = [b"\x7fELF", b"!<arch>\n", b"\0asm"];

/// A file that is about to be replaced.
#[derive(Debug)]
pub(super) struct Old {
    file: File,
    pub(super) size: u64,
}

impl Old {
    pub(super) fn read(&self, range: &Range<u64>, bytes: &mut Vec<u8>) -> io::Result<()> {
        bytes.resize((range.end - range.start) as usize, 0);
        self.file.read_exact_at(bytes, range.start)
    }
}

#[derive(Debug)]
pub(super) struct Places {
    roots: Vec<Root>,
    /// Directories that get cargo's tag when they are made. On the worker such a root was there
    /// before cargo, which then makes none.
    tagged: Vec<PathBuf>,
    dirs: Vec<Option<Arc<OwnedFd>>>,
    /// The directory used last: products come directory by directory.
    last: Option<(u8, PathBuf, Arc<OwnedFd>)>,
}

impl Places {
    pub(super) fn new(project: &Project) -> Places {
        Places {
            dirs: project.roots.iter().map(|_| None).collect(),
            roots: project.roots.clone(),
            tagged: project.cargo.iter().flat_map(cache_dirs).collect(),
            last: None,
        }
    }

    /// For people's eyes, and to be compared with; never to be opened. The worker may have named a
    /// root that there is not.
    pub(super) fn full(&self, name: &Name) -> PathBuf {
        match self.roots.get(usize::from(name.root)) {
            Some(root) => root.path.join(&name.path),
            None => name.path.clone(),
        }
    }

    pub(super) fn is_inside(&self, path: &Path) -> bool {
        self.roots.iter().any(|r| path.starts_with(&r.path))
    }

    /// Whether the root is a directory of which single files were sent (`.cargo` above the project,
    /// say): nothing comes home into it.
    pub(super) fn is_of_named_files(&self, name: &Name) -> bool {
        let root = self.roots.get(usize::from(name.root));
        root.and_then(|r| r.only.as_ref())
            .is_some_and(|only| !only.is_empty())
    }

    /// What stands there now.
    pub(super) fn stat(&mut self, name: &Name) -> Option<Entry> {
        let dir = self.parent(name, false).ok()?;
        entry(&dir, last_part(name)).ok()
    }

    /// Whether what stands there looks like something a compiler wrote.
    pub(super) fn is_product(&mut self, name: &Name) -> bool {
        if name.path.extension().is_some_and(|e| e == "d") {
            return true;
        }
        let mut head = Vec::new();
        let opened = self
            .parent(name, false)
            .and_then(|dir| beneath::open_file(&dir, last_part(name)));
        opened.is_ok_and(|fd| File::from(fd).take(8).read_to_end(&mut head).is_ok())
            && MAGICS.iter().any(|magic| head.starts_with(magic))
    }

    /// The version that stands there, to be patched.
    pub(super) fn old(&mut self, name: &Name) -> Option<Old> {
        let dir = self.parent(name, false).ok()?;
        let file = beneath::open_file(&dir, last_part(name)).ok()?;
        let size = beneath::fstat(&file).ok()?.size;
        Some(Old {
            file: file.into(),
            size,
        })
    }

    pub(super) fn create(&mut self, name: &Name, size: u64) -> Result<Temp> {
        let full = self.full(name);
        let fail = |e: &io::Error| Error::path("write", &full, e);
        let dir = self.parent(name, true).map_err(|e| fail(&e))?;
        let root = &self.roots[usize::from(name.root)].path;
        if size > LARGE && beneath::free_bytes(root).is_ok_and(|free| free < size) {
            return Err(fail(&io::Error::from(io::ErrorKind::StorageFull)));
        }
        let (file, temp) = new_file(&dir).map_err(|e| fail(&e))?;
        if size >= patch::MIN_SIZE {
            // Written faster then. Where that cannot be had the writing says so.
            let _ = beneath::fallocate(&file, size);
        }
        Ok(Temp {
            dir,
            temp,
            name: last_part(name).to_path_buf(),
            file: File::from(file),
            full,
        })
    }

    pub(super) fn link(&mut self, name: &Name, target: &Path) -> Result<Entry> {
        let full = self.full(name);
        let mut make = || -> io::Result<Entry> {
            let (dir, temp) = (self.parent(name, true)?, temp_name());
            beneath::symlinkat(target, &dir, &temp)?;
            beneath::renameat(&dir, &temp, last_part(name))
                .inspect_err(|_| drop(beneath::unlinkat(&dir, &temp, false)))?;
            let mut made = entry(&dir, last_part(name))?;
            made.kind = Kind::Symlink(target.to_path_buf());
            Ok(made)
        };
        make().map_err(|e| Error::path("write", &full, &e))
    }

    pub(super) fn dir(&mut self, name: &Name) -> Result<()> {
        let made = self
            .root(name.root)
            .and_then(|root| make_dirs(&root, &name.path));
        made.map(drop)
            .map_err(|e| Error::path("create", &self.full(name), &e))
    }

    /// The directory that holds `name`, made if it is missing and `create`.
    fn parent(&mut self, name: &Name, create: bool) -> io::Result<Arc<OwnedFd>> {
        let above = name.path.parent().unwrap_or(Path::new(""));
        match &self.last {
            Some((root, path, dir)) if *root == name.root && path == above => {
                return Ok(dir.clone());
            }
            _ => {}
        }
        let root = self.root(name.root)?;
        let dir = if above.as_os_str().is_empty() {
            root
        } else if create {
            Arc::new(make_dirs(&root, above)?)
        } else {
            Arc::new(beneath::open_dir(&root, above)?)
        };
        self.last = Some((name.root, above.to_path_buf(), dir.clone()));
        Ok(dir)
    }

    fn root(&mut self, number: u8) -> io::Result<Arc<OwnedFd>> {
        let number = usize::from(number);
        let root = self.roots.get(number).ok_or(io::ErrorKind::NotFound)?;
        if let Some(dir) = &self.dirs[number] {
            return Ok(dir.clone());
        }
        if root.only.as_ref().is_some_and(Vec::is_empty) {
            make_root(&root.path, self.tagged.contains(&root.path))?;
        }
        let dir = Arc::new(OwnedFd::from(File::open(&root.path)?));
        Ok(self.dirs[number].insert(dir).clone())
    }
}

fn cache_dirs(cargo: &Cargo) -> impl Iterator<Item = PathBuf> {
    let build = cargo.build_dir.clone();
    [cargo.target_dir.clone()].into_iter().chain(build)
}

fn make_root(path: &Path, tagged: bool) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(path)?;
    if tagged {
        std::fs::write(path.join("CACHEDIR.TAG"), TAG)?;
    }
    Ok(())
}

/// Opens `path` beneath `root`, making what is missing of it.
fn make_dirs(root: &OwnedFd, path: &Path) -> io::Result<OwnedFd> {
    match beneath::open_dir(root, path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        opened => return opened,
    }
    let name = path
        .file_name()
        .map(Path::new)
        .ok_or(io::ErrorKind::InvalidInput)?;
    let made = match path.parent().filter(|p| !p.as_os_str().is_empty()) {
        Some(above) => beneath::mkdirat(make_dirs(root, above)?, name, 0o777),
        None => beneath::mkdirat(root, name, 0o777),
    };
    match made {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
        _ => beneath::open_dir(root, path),
    }
}

fn last_part(name: &Name) -> &Path {
    name.path.file_name().map_or(&name.path, Path::new)
}

/// A file that vanishes with us, should we be killed; or one with a name, where that cannot be had.
fn new_file(dir: &OwnedFd) -> io::Result<(OwnedFd, Option<PathBuf>)> {
    if let Ok(file) = beneath::create_unnamed(dir, 0o600) {
        return Ok((file, None));
    }
    let temp = temp_name();
    let file = beneath::create_file(dir, &temp, 0o600)?;
    Ok((file, Some(temp)))
}

fn temp_name() -> PathBuf {
    temp::name(TEMP_PREFIX).into()
}

fn entry(dir: &OwnedFd, name: &Path) -> io::Result<Entry> {
    let stat = beneath::lstatat(dir, name)?;
    let kind = if stat.is_dir() {
        Kind::Dir
    } else if stat.is_symlink() {
        Kind::Symlink(beneath::readlinkat(dir, name)?)
    } else {
        Kind::File
    };
    Ok(Entry::new(kind, &stat, time::now()))
}

/// A file that has not got its name yet; removed with its owner unless it gets it.
#[derive(Debug)]
pub(super) struct Temp {
    dir: Arc<OwnedFd>,
    /// Its name until then, if it has one.
    temp: Option<PathBuf>,
    name: PathBuf,
    file: File,
    /// For people's eyes.
    full: PathBuf,
}

impl Temp {
    pub(super) fn write(&mut self, data: &[u8]) -> Result<()> {
        self.file.write_all(data).map_err(|e| self.failed(&e))
    }

    /// Why this machine could not load it.
    pub(super) fn misfit(&self) -> Result<Option<String>> {
        elf::misfit(&self.file).map_err(|e| self.failed(&e))
    }

    /// Of `mode` only what a compiler may give: no setuid, nothing for the world to write.
    pub(super) fn place(mut self, mode: u32, mtime: Stamp) -> Result<Entry> {
        let named = self
            .file
            .set_permissions(Permissions::from_mode(mode & 0o775))
            .and_then(|()| self.file.set_modified(time::system(mtime)))
            .and_then(|()| self.take_name());
        named.map_err(|e| self.failed(&e))?;
        let entry = entry(&self.dir, &self.name).map_err(|e| self.failed(&e))?;
        // Its time was set by us, so any later write shows in it, however soon it comes.
        Ok(Entry {
            racy: false,
            ..entry
        })
    }

    /// Takes the place of whatever has the name.
    fn take_name(&mut self) -> io::Result<()> {
        if self.temp.is_none() {
            match beneath::link_unnamed(&self.file, &self.dir, &self.name) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                done => return done,
            }
            let temp = temp_name();
            beneath::link_unnamed(&self.file, &self.dir, &temp)?;
            self.temp = Some(temp);
        }
        let temp = self.temp.take().expect("BUG: just given one");
        beneath::renameat(&self.dir, &temp, &self.name).inspect_err(|_| self.temp = Some(temp))
    }

    fn failed(&self, err: &io::Error) -> Error {
        Error::path("write", &self.full, err)
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        if let Some(temp) = &self.temp {
            let _ = beneath::unlinkat(&self.dir, temp, false);
        }
    }
}
