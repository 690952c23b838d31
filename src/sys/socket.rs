//! What std's Unix sockets lack: who is at the other end, and sockets handed over by a supervisor.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use super::check;
use super::process::{Pid, getpid};

/// Who connected, as the kernel vouches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    pub pid: Pid,
    pub uid: u32,
}

/// `SO_PEERCRED` of a connected Unix socket (unix(7)).
pub fn peer(socket: impl AsFd) -> io::Result<Peer> {
    let mut cred = libc::ucred {
        pid: 0,
        uid: 0,
        gid: 0,
    };
    let mut len = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: `cred` and `len` are live and of matching size.
    check(unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut cred).cast(),
            &mut len,
        )
    })?;
    Ok(Peer {
        pid: Pid(cred.pid),
        uid: cred.uid,
    })
}

/// The first socket a supervisor passed us (sd_listen_fds(3)): descriptor 3 when `LISTEN_PID` is
/// ours and `LISTEN_FDS` is at least one.
pub fn listen_fd() -> Option<OwnedFd> {
    let var = |name| std::env::var(name).ok()?.parse::<i32>().ok();
    if var("LISTEN_PID")? != getpid().0 || var("LISTEN_FDS")? < 1 {
        return None;
    }
    // SAFETY: the protocol hands descriptor 3 to the process whose pid is named, which is us.
    Some(unsafe { OwnedFd::from_raw_fd(3) })
}
