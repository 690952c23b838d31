//! Files: opening strictly beneath a directory, times without following links, free space.
//!
//! Whatever another machine names is opened through `openat2` with `RESOLVE_BENEATH` and
//! `RESOLVE_NO_SYMLINKS`, so that a link swapped in between two calls leads nowhere.

use std::ffi::{CStr, CString, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::check;
use crate::time::Stamp;

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

/// Opens `path` (relative) beneath `dir`, never through a symbolic link anywhere on the way, nor out
/// of `dir`: openat2(2) with `RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS`, Linux 5.6.
fn open_beneath(dir: impl AsFd, path: &Path, flags: i32, mode: u32) -> io::Result<OwnedFd> {
    let path = c_path(path)?;
    // SAFETY: `open_how` is plain data, for which zero is a valid value.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = (flags | libc::O_CLOEXEC) as u64;
    how.mode = u64::from(mode);
    how.resolve = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_SYMLINKS;
    // SAFETY: the path is a C string, `how` is live and its size is given.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_openat2,
            dir.as_fd().as_raw_fd(),
            path.as_ptr(),
            &raw const how,
            size_of::<libc::open_how>(),
        )
    };
    let fd = check(fd as libc::c_int)?;
    // SAFETY: the kernel has just given us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A directory beneath `dir`.
pub fn open_dir(dir: impl AsFd, path: &Path) -> io::Result<OwnedFd> {
    open_beneath(dir, path, libc::O_DIRECTORY | libc::O_RDONLY, 0)
}

/// An existing file beneath `dir`, for reading; a FIFO does not block, a terminal is not adopted.
pub fn open_file(dir: impl AsFd, path: &Path) -> io::Result<OwnedFd> {
    open_beneath(
        dir,
        path,
        libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY,
        0,
    )
}

/// A new file directly in or beneath `dir`, to be written and read; an existing one is an error.
pub fn create_file(dir: impl AsFd, path: &Path, mode: u32) -> io::Result<OwnedFd> {
    open_beneath(dir, path, libc::O_RDWR | libc::O_CREAT | libc::O_EXCL, mode)
}

/// A new file on the file system of `dir`, to be written and read, which has no name (open(2),
/// `O_TMPFILE`): with its last descriptor it is gone. Not every file system can do it.
pub fn create_unnamed(dir: impl AsFd, mode: u32) -> io::Result<OwnedFd> {
    open_beneath(dir, Path::new("."), libc::O_RDWR | libc::O_TMPFILE, mode)
}

/// Gives a file that has none the name `name` in `dir`; an existing one is an error.
pub fn link_unnamed(file: impl AsFd, dir: impl AsFd, name: &Path) -> io::Result<()> {
    let file = format!("/proc/self/fd/{}", file.as_fd().as_raw_fd());
    let (file, name) = (c_path(Path::new(&file))?, c_path(name)?);
    let dir = dir.as_fd().as_raw_fd();
    let flags = libc::AT_SYMLINK_FOLLOW;
    // SAFETY: both are C strings.
    let done = unsafe { libc::linkat(libc::AT_FDCWD, file.as_ptr(), dir, name.as_ptr(), flags) };
    check(done).map(|_| ())
}

pub fn mkdirat(dir: impl AsFd, name: &Path, mode: u32) -> io::Result<()> {
    let name = c_path(name)?;
    // SAFETY: `name` is a C string.
    check(unsafe { libc::mkdirat(dir.as_fd().as_raw_fd(), name.as_ptr(), mode) }).map(|_| ())
}

pub fn symlinkat(target: &Path, dir: impl AsFd, name: &Path) -> io::Result<()> {
    let (target, name) = (c_path(target)?, c_path(name)?);
    // SAFETY: both are C strings.
    check(unsafe { libc::symlinkat(target.as_ptr(), dir.as_fd().as_raw_fd(), name.as_ptr()) })
        .map(|_| ())
}

/// Where a symbolic link points to.
pub fn readlinkat(dir: impl AsFd, name: &Path) -> io::Result<PathBuf> {
    let name = c_path(name)?;
    let mut target = vec![0; libc::PATH_MAX as usize];
    // SAFETY: `name` is a C string, `target` a live buffer of the given length.
    let len = unsafe {
        libc::readlinkat(
            dir.as_fd().as_raw_fd(),
            name.as_ptr(),
            target.as_mut_ptr().cast(),
            target.len(),
        )
    };
    let len = usize::try_from(len).map_err(|_| io::Error::last_os_error())?;
    target.truncate(len);
    Ok(OsString::from_vec(target).into())
}

/// Whether this process may read the file; asked, not tried.
pub fn check_readable(dir: impl AsFd, name: &Path) -> io::Result<()> {
    let name = c_path(name)?;
    let dir = dir.as_fd().as_raw_fd();
    // SAFETY: `name` is a C string.
    check(unsafe { libc::faccessat(dir, name.as_ptr(), libc::R_OK, 0) }).map(|_| ())
}

/// Renames within one directory.
pub fn renameat(dir: impl AsFd, from: &Path, to: &Path) -> io::Result<()> {
    let (from, to) = (c_path(from)?, c_path(to)?);
    let dir = dir.as_fd().as_raw_fd();
    // SAFETY: both are C strings.
    check(unsafe { libc::renameat(dir, from.as_ptr(), dir, to.as_ptr()) }).map(|_| ())
}

/// Removes a file or, with `is_dir`, an empty directory.
pub fn unlinkat(dir: impl AsFd, name: &Path, is_dir: bool) -> io::Result<()> {
    let name = c_path(name)?;
    let flags = if is_dir { libc::AT_REMOVEDIR } else { 0 };
    // SAFETY: `name` is a C string.
    check(unsafe { libc::unlinkat(dir.as_fd().as_raw_fd(), name.as_ptr(), flags) }).map(|_| ())
}

/// Whether the entry is not there, or something on the way to it is a link or not a directory.
pub fn is_absent(err: &io::Error) -> bool {
    matches!(
        err.raw_os_error(),
        Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP)
    )
}

/// What a directory entry is, without following it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// File type and permission bits (inode(7)).
    pub mode: u32,
    pub size: u64,
    pub mtime: Stamp,
    pub ctime: Stamp,
    pub ino: u64,
    pub dev: u64,
    pub nlink: u64,
}

impl Stat {
    pub fn is_dir(&self) -> bool {
        self.mode & libc::S_IFMT == libc::S_IFDIR
    }

    pub fn is_file(&self) -> bool {
        self.mode & libc::S_IFMT == libc::S_IFREG
    }

    pub fn is_symlink(&self) -> bool {
        self.mode & libc::S_IFMT == libc::S_IFLNK
    }
}

impl From<&std::fs::Metadata> for Stat {
    fn from(meta: &std::fs::Metadata) -> Stat {
        let ns = |s: i64, n: i64| s.saturating_mul(1_000_000_000).saturating_add(n);
        Stat {
            mode: meta.mode(),
            size: meta.size(),
            mtime: ns(meta.mtime(), meta.mtime_nsec()),
            ctime: ns(meta.ctime(), meta.ctime_nsec()),
            ino: meta.ino(),
            dev: meta.dev(),
            nlink: meta.nlink(),
        }
    }
}

fn stat_of(st: &libc::stat) -> Stat {
    let ns = |s: i64, n: i64| s.saturating_mul(1_000_000_000).saturating_add(n);
    Stat {
        mode: st.st_mode,
        size: st.st_size as u64,
        mtime: ns(st.st_mtime, st.st_mtime_nsec),
        ctime: ns(st.st_ctime, st.st_ctime_nsec),
        ino: st.st_ino,
        dev: st.st_dev,
        nlink: st.st_nlink,
    }
}

pub fn lstatat(dir: impl AsFd, name: &Path) -> io::Result<Stat> {
    lstatat_c(dir, &c_path(name)?)
}

/// As `lstatat`, for a name that is a C string already.
pub(super) fn lstatat_c(dir: impl AsFd, name: &CStr) -> io::Result<Stat> {
    // SAFETY: `stat` is plain data, for which zero is a valid value.
    let mut st: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: `name` is a C string, `st` is live.
    check(unsafe {
        libc::fstatat(
            dir.as_fd().as_raw_fd(),
            name.as_ptr(),
            &mut st,
            libc::AT_SYMLINK_NOFOLLOW,
        )
    })?;
    Ok(stat_of(&st))
}

pub fn fstat(fd: impl AsFd) -> io::Result<Stat> {
    // SAFETY: as in `lstatat`.
    let mut st: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: `st` is live.
    check(unsafe { libc::fstat(fd.as_fd().as_raw_fd(), &mut st) })?;
    Ok(stat_of(&st))
}

/// Sets the modification time of an entry without following it; the access time stays.
pub fn set_mtime(dir: impl AsFd, name: &Path, mtime: Stamp) -> io::Result<()> {
    let name = c_path(name)?;
    let times = [
        libc::timespec {
            tv_sec: 0,
            tv_nsec: libc::UTIME_OMIT,
        },
        libc::timespec {
            tv_sec: mtime.div_euclid(1_000_000_000),
            tv_nsec: mtime.rem_euclid(1_000_000_000),
        },
    ];
    // SAFETY: `name` is a C string, `times` holds the two entries the call reads.
    check(unsafe {
        libc::utimensat(
            dir.as_fd().as_raw_fd(),
            name.as_ptr(),
            times.as_ptr(),
            libc::AT_SYMLINK_NOFOLLOW,
        )
    })
    .map(|_| ())
}

/// Brings everything on the file system of `file` to the disk, and waits for that: syncfs(2).
pub fn syncfs(file: impl AsFd) -> io::Result<()> {
    // SAFETY: syncfs touches no memory.
    check(unsafe { libc::syncfs(file.as_fd().as_raw_fd()) }).map(|_| ())
}

/// Sets room aside for a file of `size` bytes, and makes it that long: fallocate(2).
pub fn fallocate(file: impl AsFd, size: u64) -> io::Result<()> {
    let size = i64::try_from(size).map_err(|_| io::ErrorKind::FileTooLarge)?;
    // SAFETY: fallocate touches no memory of ours.
    check(unsafe { libc::fallocate(file.as_fd().as_raw_fd(), 0, 0, size) }).map(|_| ())
}

/// The clock that file systems stamp changes with: it stands still for up to 10 ms.
pub fn coarse_now() -> Stamp {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` is live; this clock always exists.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME_COARSE, &mut now) };
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

/// Bytes an unprivileged user may still write on the filesystem of `path`.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    space(path).map(|(free, _)| free)
}

/// As `free_bytes`, and how many bytes the filesystem has in all.
pub fn space(path: &Path) -> io::Result<(u64, u64)> {
    let path = c_path(path)?;
    // SAFETY: `statvfs` is plain data, for which zero is a valid value.
    let mut st: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: `path` is a C string, `st` is live.
    check(unsafe { libc::statvfs(path.as_ptr(), &mut st) })?;
    let bytes = |blocks: u64| blocks.saturating_mul(st.f_frsize);
    Ok((bytes(st.f_bavail), bytes(st.f_blocks)))
}
