//! Signals as one more readable descriptor.
//!
//! signalfd(2) rather than handlers: nothing runs between two instructions of ours, and a signal is
//! read in the loop's own order.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::check;

pub use libc::{
    SIGCHLD, SIGHUP, SIGINT, SIGKILL, SIGPIPE, SIGQUIT, SIGSTOP, SIGTERM, SIGTSTP, SIGUSR1,
    SIGWINCH,
};

/// Blocks a set of signals for the process and reads them from a descriptor (signalfd(2)).
#[derive(Debug)]
pub struct Signals(OwnedFd);

impl Signals {
    /// Call before any thread is started: threads inherit the blocked set.
    pub fn new(signals: &[i32]) -> io::Result<Signals> {
        let set = set_of(signals);
        // SAFETY: `set` is an initialised sigset; the old one is not wanted.
        let rc = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()) };
        if rc != 0 {
            return Err(io::Error::from_raw_os_error(rc));
        }
        // SAFETY: `set` is live; -1 asks for a new descriptor.
        let fd =
            check(unsafe { libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) })?;
        // SAFETY: the kernel has just given us this descriptor.
        Ok(Signals(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// The next pending signal's number, or `None` when there is none.
    pub fn next(&self) -> Option<i32> {
        // SAFETY: plain data, for which zero is a valid value.
        let mut info: libc::signalfd_siginfo = unsafe { std::mem::zeroed() };
        let size = size_of::<libc::signalfd_siginfo>();
        // SAFETY: the buffer is live and of the size given.
        let n = unsafe { libc::read(self.0.as_raw_fd(), (&raw mut info).cast(), size) };
        (n == size as isize).then_some(info.ssi_signo as i32)
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Signals {
    fn as_raw_fd(&self) -> i32 {
        self.0.as_raw_fd()
    }
}

fn set_of(signals: &[i32]) -> libc::sigset_t {
    // SAFETY: sigemptyset initialises the set before anything reads it.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        for &s in signals {
            libc::sigaddset(&mut set, s);
        }
        set
    }
}

/// Ignores a signal (an ignored one stays ignored across exec).
pub fn ignore(signal: i32) {
    // SAFETY: SIG_IGN is a valid disposition.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

/// SIGPIPE's default again, which `ignore` took away.
pub fn restore_pipe() {
    // SAFETY: SIG_DFL is a valid disposition.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

/// Whether `signal` was set to be ignored by whoever started us (`nohup`).
pub fn is_ignored(signal: i32) -> bool {
    // SAFETY: plain data, for which zero is a valid value; a null new action only asks.
    unsafe {
        let mut old: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &mut old) == 0
            && old.sa_sigaction == libc::SIG_IGN
    }
}

/// Every signal's default disposition, none blocked. Async-signal-safe.
pub fn restore_defaults() {
    // SAFETY: SIG_DFL is valid for every number; those that refuse (SIGKILL, SIGSTOP) answer an error.
    unsafe {
        for s in 1..32 {
            libc::signal(s, libc::SIG_DFL);
        }
        let empty = set_of(&[]);
        libc::sigprocmask(libc::SIG_SETMASK, &empty, std::ptr::null_mut());
    }
}

/// Lets the signals that `Signals::new` took be delivered again (before an exec).
pub fn unblock_all() {
    let empty = set_of(&[]);
    // SAFETY: `empty` is an initialised set.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &empty, std::ptr::null_mut()) };
}
