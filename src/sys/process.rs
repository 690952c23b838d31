//! Processes: identity, death with the parent, signals to groups, reaping, pidfds.
//!
//! A child made here has default signals and leads its own group, so that one `killpg` ends all of
//! it, and it dies with its maker unless it is the daemon.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::check;

/// A process id that is known to be alive or unreaped: held as `Option<Pid>`, `None` once reaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pid(pub i32);

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Code(u8),
    Signal(u8),
}

impl Exit {
    /// Of the number that `wait4` tells.
    fn from_wait(status: i32) -> Exit {
        if libc::WIFSIGNALED(status) {
            Exit::Signal(libc::WTERMSIG(status) as u8)
        } else {
            Exit::Code(libc::WEXITSTATUS(status) as u8)
        }
    }

    pub fn success(self) -> bool {
        self == Exit::Code(0)
    }

    /// As a shell reports it: the code, or 128 + signal.
    pub fn status(self) -> i32 {
        match self {
            Exit::Code(c) => i32::from(c),
            Exit::Signal(s) => 128 + i32::from(s),
        }
    }
}

/// What a child used, as `wait4` tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    pub user_ms: u64,
    pub system_ms: u64,
    pub max_rss_kib: u64,
}

pub fn getuid() -> u32 {
    // SAFETY: getuid cannot fail and touches no memory.
    unsafe { libc::getuid() }
}

pub fn getgid() -> u32 {
    // SAFETY: as above.
    unsafe { libc::getgid() }
}

pub fn getpid() -> Pid {
    // SAFETY: as above.
    Pid(unsafe { libc::getpid() })
}

pub fn getppid() -> Pid {
    // SAFETY: as above.
    Pid(unsafe { libc::getppid() })
}

/// Sets the mask for files this process makes and answers the old one.
pub fn umask(mask: u32) -> u32 {
    // SAFETY: umask cannot fail and touches no memory.
    unsafe { libc::umask(mask) }
}

/// Signals one process.
pub fn kill(pid: Pid, signal: i32) -> io::Result<()> {
    // SAFETY: kill touches no memory of ours.
    check(unsafe { libc::kill(pid.0, signal) }).map(|_| ())
}

/// Signals the process group that `leader` leads.
pub fn killpg(leader: Pid, signal: i32) -> io::Result<()> {
    // SAFETY: as above.
    check(unsafe { libc::kill(-leader.0, signal) }).map(|_| ())
}

/// Reaps one child that has ended, any of ours; `None` if none has. Not for a process whose threads
/// wait for children of their own.
pub fn wait_any() -> io::Result<Option<(Pid, Exit, Usage)>> {
    wait(Pid(-1), libc::WNOHANG)
}

/// Reaps this child if it has ended.
pub fn try_wait(pid: Pid) -> io::Result<Option<Exit>> {
    Ok(wait(pid, libc::WNOHANG)?.map(|(_, exit, _)| exit))
}

/// Waits for this child to end.
pub fn wait_for(pid: Pid) -> io::Result<(Exit, Usage)> {
    loop {
        match wait(pid, 0) {
            Ok(Some((_, exit, usage))) => return Ok((exit, usage)),
            Ok(None) => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

fn wait(pid: Pid, flags: i32) -> io::Result<Option<(Pid, Exit, Usage)>> {
    let mut status = 0;
    // SAFETY: `rusage` is plain data, for which zero is a valid value.
    let mut ru: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live locals.
    let got = unsafe { libc::wait4(pid.0, &mut status, flags, &mut ru) };
    match check(got) {
        Ok(0) => return Ok(None),
        Ok(_) => {}
        Err(e) if e.raw_os_error() == Some(libc::ECHILD) && flags & libc::WNOHANG != 0 => {
            return Ok(None);
        }
        Err(e) => return Err(e),
    }
    let exit = Exit::from_wait(status);
    let ms = |t: libc::timeval| t.tv_sec as u64 * 1000 + t.tv_usec as u64 / 1000;
    let usage = Usage {
        user_ms: ms(ru.ru_utime),
        system_ms: ms(ru.ru_stime),
        max_rss_kib: ru.ru_maxrss as u64,
    };
    Ok(Some((Pid(got), exit, usage)))
}

/// Leaves the session and group we were started in and leads new ones.
pub fn setsid() {
    // SAFETY: setsid touches no memory; it fails only for a group's leader, who leads already.
    unsafe { libc::setsid() };
}

/// Makes orphaned descendants children of this process instead of init's.
pub fn set_child_subreaper() -> io::Result<()> {
    // SAFETY: this prctl takes one integer.
    check(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }).map(|_| ())
}

/// Asks the kernel to send `signal` to this process when the thread that made it ends.
pub fn set_pdeathsig(signal: i32) -> io::Result<()> {
    // SAFETY: this prctl takes one integer.
    check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal, 0, 0, 0) }).map(|_| ())
}

/// The child of `cmd` leads its own session and group, has every signal at its default and none
/// blocked, and dies by SIGKILL if we do.
pub fn detach(cmd: &mut Command) -> &mut Command {
    let parent = getpid();
    // SAFETY: between fork and exec only async-signal-safe calls are made: setsid, prctl, getppid,
    // _exit, signal and sigprocmask.
    unsafe {
        cmd.pre_exec(move || {
            libc::setsid();
            super::signal::restore_defaults();
            set_pdeathsig(libc::SIGKILL)?;
            if getppid() != parent {
                libc::_exit(1);
            }
            Ok(())
        })
    }
}

/// As `detach`, for a daemon: it outlives us, and holds nothing of ours open. A descriptor that an
/// agent's shell left open would otherwise keep the agent waiting for its end.
pub fn daemonize(cmd: &mut Command) -> &mut Command {
    // SAFETY: setsid, signal, sigprocmask and close_range are async-signal-safe. The descriptors are
    // marked, not closed, because std waits for one of them to close on exec.
    unsafe {
        cmd.pre_exec(|| {
            libc::setsid();
            super::signal::restore_defaults();
            libc::syscall(
                libc::SYS_close_range,
                3,
                u32::MAX,
                libc::CLOSE_RANGE_CLOEXEC,
            );
            Ok(())
        })
    }
}

/// A descriptor that becomes readable when `pid` ends, whoever its parent is.
pub fn pidfd_open(pid: Pid) -> io::Result<OwnedFd> {
    // SAFETY: the call takes two integers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.0, 0) };
    let fd = check(fd as libc::c_int)?;
    // SAFETY: the kernel has just given us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `struct pidfd_info` of linux/pidfd.h, as far as its first version goes.
#[repr(C)]
#[derive(Default)]
struct PidfdInfo {
    mask: u64,
    cgroup: u64,
    ids: [u32; 11],
    exit_code: i32,
}

/// `PIDFD_GET_INFO`: `_IOWR(0xFF, 11, struct pidfd_info)`.
const PIDFD_GET_INFO: libc::Ioctl = 0xc040_ff0bu32 as libc::Ioctl;
const PIDFD_INFO_EXIT: u64 = 1 << 3;

/// How the process behind a pidfd ended, whoever its parent is; `None` before it is reaped.
///
/// # Errors
/// The kernel does not tell (it does since Linux 6.15).
pub fn pidfd_exit(fd: &OwnedFd) -> io::Result<Option<Exit>> {
    let mut info = PidfdInfo {
        mask: PIDFD_INFO_EXIT,
        ..PidfdInfo::default()
    };
    // SAFETY: the kernel writes at most the size that the request's number names, which is that of
    // the struct.
    let rc = unsafe { libc::ioctl(fd.as_raw_fd(), PIDFD_GET_INFO, &raw mut info) };
    check(rc)?;
    Ok((info.mask & PIDFD_INFO_EXIT != 0).then(|| Exit::from_wait(info.exit_code)))
}

/// Sends `signal` to the process behind a pidfd.
pub fn pidfd_send_signal(fd: &OwnedFd, signal: i32) -> io::Result<()> {
    // SAFETY: a null siginfo is allowed.
    let rc = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            fd.as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    check(rc as libc::c_int).map(|_| ())
}

/// Ends this process by `signal` itself, so that whoever waits for it sees what the remote command
/// did; without a core file, which would be of the wrong program. Returns if the signal does not kill.
pub fn die_by(signal: i32) {
    let none = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: plain calls on integers and one live struct.
    unsafe {
        libc::setrlimit(libc::RLIMIT_CORE, &none);
        super::signal::restore_defaults();
        libc::raise(signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_reads_as_a_shell_reports_it() {
        assert_eq!(Exit::Code(101).status(), 101);
        assert_eq!(Exit::Signal(9).status(), 137);
        assert!(Exit::Code(0).success());
    }

    /// As a kernel says it that cannot tell: an error, and no end that never was.
    #[test]
    fn a_kernel_that_knows_no_exits_is_no_success() {
        let null = std::fs::File::open("/dev/null").unwrap();
        let error = pidfd_exit(&null.into()).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOTTY));
    }

    /// Asked of the kernel, not of the process that was reaped: as of one that is no child of ours.
    #[test]
    fn a_pidfd_tells_how_its_process_ended() {
        for (script, exit) in [("exit 7", Exit::Code(7)), ("kill -9 $$", Exit::Signal(9))] {
            let mut child = Command::new("sh").args(["-c", script]).spawn().unwrap();
            let fd = pidfd_open(Pid(child.id() as i32)).unwrap();
            child.wait().unwrap();
            match pidfd_exit(&fd) {
                Ok(told) => assert_eq!(told, Some(exit)),
                // Older than 6.15.
                Err(e) => assert!(e.raw_os_error().is_some(), "{e}"),
            }
        }
    }
}
