//! Terminals: how wide they are, who may write to them, and keys without a line's end.
//!
//! What is changed about one is changed by a value, and undone when that goes.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use super::check;

/// Columns and rows of the terminal behind `fd`; `None` if it is none or does not say.
pub fn winsize(fd: impl AsFd) -> Option<(u16, u16)> {
    let mut size = libc::winsize {
        ws_row: 0,
        ws_col: 0,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: TIOCGWINSZ writes one `winsize`, which is live.
    let rc: io::Result<_> =
        check(unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), libc::TIOCGWINSZ, &mut size) });
    (rc.is_ok() && size.ws_col > 0).then_some((size.ws_col, size.ws_row))
}

/// A terminal that hands over each key as it is pressed, without showing it; signals by key go on.
/// As it was once this goes.
#[derive(Debug)]
pub struct Keys<F: AsFd> {
    fd: F,
    before: libc::termios,
}

impl<F: AsFd> Keys<F> {
    /// `None` if `fd` is no terminal, or belongs to another process group at the moment.
    pub fn take(fd: F) -> Option<Keys<F>> {
        if !is_foreground(&fd) {
            return None;
        }
        // SAFETY: a termios is plain numbers, for which zero is a value.
        let mut before: libc::termios = unsafe { std::mem::zeroed() };
        let raw = fd.as_fd().as_raw_fd();
        // SAFETY: tcgetattr writes one termios, which is live.
        check(unsafe { libc::tcgetattr(raw, &mut before) }).ok()?;
        let mut each = before;
        each.c_lflag &= !(libc::ICANON | libc::ECHO);
        each.c_cc[libc::VMIN] = 1;
        each.c_cc[libc::VTIME] = 0;
        // SAFETY: tcsetattr reads one termios, which is live.
        check(unsafe { libc::tcsetattr(raw, libc::TCSANOW, &each) }).ok()?;
        Some(Keys { fd, before })
    }
}

impl<F: AsFd> AsFd for Keys<F> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl<F: AsFd> Drop for Keys<F> {
    fn drop(&mut self) {
        // A process behind would be stopped for it, and whoever is in front has its own settings.
        if !is_foreground(&self.fd) {
            return;
        }
        // SAFETY: tcsetattr reads one termios, which is live. Nobody is left to tell of a failure.
        unsafe { libc::tcsetattr(self.fd.as_fd().as_raw_fd(), libc::TCSANOW, &self.before) };
    }
}

/// Whether our process group is the one that the terminal behind `fd` belongs to at the moment.
pub fn is_foreground(fd: impl AsFd) -> bool {
    // SAFETY: neither call touches memory of ours; -1 equals no group.
    unsafe { libc::tcgetpgrp(fd.as_fd().as_raw_fd()) == libc::getpgrp() }
}
