//! Mount, user and pid namespaces (namespaces(7), user_namespaces(7), mount_namespaces(7)), and the
//! fork that enters them.
//!
//! `fork_into` is a plain fork when asked for no namespace. It refuses to run in a process with more
//! than one thread, which is what makes arbitrary code between fork and exec sound.

use std::ffi::{CStr, CString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::check;
use super::process::Pid;

/// Which new namespaces a child begins in. A user namespace is what lets a process without
/// privileges have the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spaces {
    pub user: bool,
    pub mount: bool,
    pub pid: bool,
}

/// Forks; the child runs `child` in the new namespaces and ends with the status it answers, without
/// running any destructor of ours. With `pid` it is process 1 of its namespace, and whatever it
/// leaves behind dies with it.
///
/// # Errors
/// `EBUSY` if this process has other threads, or what clone(2) says.
pub fn fork_into(spaces: Spaces, child: impl FnOnce() -> i32) -> io::Result<Pid> {
    if std::fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::from_raw_os_error(libc::EBUSY));
    }
    let mut flags = libc::SIGCHLD;
    for (wanted, flag) in [
        (spaces.user, libc::CLONE_NEWUSER),
        (spaces.mount, libc::CLONE_NEWNS),
        (spaces.pid, libc::CLONE_NEWPID),
    ] {
        flags |= if wanted { flag } else { 0 };
    }
    // SAFETY: without CLONE_VM and with a null stack this is fork(2): the child goes on with a copy
    // of everything. There is one thread, so no lock can be held by a thread the child lacks.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
    match check(pid as libc::c_int)? {
        0 => {
            let status = child();
            // SAFETY: _exit does not return.
            unsafe { libc::_exit(status) }
        }
        pid => Ok(Pid(pid)),
    }
}

fn c_str(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

fn mount(from: &Path, at: &Path, kind: &CStr, flags: libc::c_ulong, data: &CStr) -> io::Result<()> {
    let (from, at) = (c_str(from)?, c_str(at)?);
    // SAFETY: all five are C strings or integers that live across the call.
    check(unsafe {
        libc::mount(
            from.as_ptr(),
            at.as_ptr(),
            kind.as_ptr(),
            flags,
            data.as_ptr().cast(),
        )
    })
    .map(|_| ())
}

/// No mount made from here on is seen in the namespace we came from, nor the other way round.
pub fn make_private() -> io::Result<()> {
    let (none, root) = (Path::new("none"), Path::new("/"));
    mount(none, root, c"", libc::MS_REC | libc::MS_PRIVATE, c"")
}

/// Shows `from`, and what is mounted below it, at `at` too.
pub fn bind(from: &Path, at: &Path) -> io::Result<()> {
    mount(from, at, c"", libc::MS_BIND | libc::MS_REC, c"")
}

/// An empty file system in memory.
pub fn mount_tmpfs(at: &Path) -> io::Result<()> {
    let flags = libc::MS_NOSUID | libc::MS_NODEV;
    mount(Path::new("tmpfs"), at, c"tmpfs", flags, c"mode=0755")
}

/// The processes of this pid namespace.
pub fn mount_proc(at: &Path) -> io::Result<()> {
    let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    mount(Path::new("proc"), at, c"proc", flags, c"")
}

/// Makes the mount at `at` (and all below it, if `deep`) read-only: mount_setattr(2), Linux 5.12.
pub fn set_read_only(at: &Path, deep: bool) -> io::Result<()> {
    let at = c_str(at)?;
    let attr = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_RDONLY,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    // SAFETY: the path is a C string, `attr` is live and its size is given.
    let rc = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            at.as_ptr(),
            if deep { libc::AT_RECURSIVE } else { 0 },
            &raw const attr,
            size_of::<libc::mount_attr>(),
        )
    };
    check(rc as libc::c_int).map(|_| ())
}

/// Makes the mount point `new` the root and shows the old root at `old`, a directory below it.
pub fn pivot_root(new: &Path, old: &Path) -> io::Result<()> {
    let (new, old) = (c_str(new)?, c_str(old)?);
    // SAFETY: both are C strings.
    let rc = unsafe { libc::syscall(libc::SYS_pivot_root, new.as_ptr(), old.as_ptr()) };
    check(rc as libc::c_int).map(|_| ())
}

/// Takes the mount at `at` and all below it out of sight; it ends when its last user does.
pub fn detach(at: &Path) -> io::Result<()> {
    let at = c_str(at)?;
    // SAFETY: a C string and an integer.
    check(unsafe { libc::umount2(at.as_ptr(), libc::MNT_DETACH) }).map(|_| ())
}

/// No exec gains privileges from here on (set-user-id programs run as we do).
pub fn set_no_new_privs() -> io::Result<()> {
    // SAFETY: this prctl takes integers.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }).map(|_| ())
}

/// Capabilities (linux/capability.h) with which a root job could undo its confinement: reading by
/// file handle, kernel modules, raw I/O, tracing outsiders, mounting, reboot, the clock, device nodes.
const ESCAPES: [libc::c_ulong; 8] = [2, 16, 17, 19, 21, 22, 25, 27];

/// Takes from this process and all it starts the capabilities named in `ESCAPES`; a no-op without
/// privileges. It works at the next exec.
pub fn drop_escapes() {
    for cap in ESCAPES {
        // SAFETY: this prctl takes integers; a refusal means we do not have the capability.
        unsafe { libc::prctl(libc::PR_CAPBSET_DROP, cap, 0, 0, 0) };
    }
}
