//! Terminals: how wide they are, and who may write to them.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

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

/// Whether our process group is the one that the terminal behind `fd` belongs to at the moment.
pub fn is_foreground(fd: impl AsFd) -> bool {
    // SAFETY: neither call touches memory of ours; -1 equals no group.
    unsafe { libc::tcgetpgrp(fd.as_fd().as_raw_fd()) == libc::getpgrp() }
}
