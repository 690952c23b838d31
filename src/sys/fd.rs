//! Descriptors: pipes, blocking modes, readiness for the single-threaded worker, identity.
//!
//! The event loop of the daemon has mio; the worker and the client wait for three or four descriptors
//! and have `poll` from here.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use super::check;

/// A pipe, close-on-exec at both ends: (read end, write end).
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: `ends` has room for the two descriptors the call writes.
    check(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) })?;
    // SAFETY: the kernel has just given us these two, nobody else owns them.
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

pub fn set_nonblocking(fd: impl AsFd, on: bool) -> io::Result<()> {
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: F_GETFL and F_SETFL touch no memory of ours.
    let flags = check(unsafe { libc::fcntl(fd, libc::F_GETFL) })?;
    let flags = if on {
        flags | libc::O_NONBLOCK
    } else {
        flags & !libc::O_NONBLOCK
    };
    // SAFETY: as above.
    check(unsafe { libc::fcntl(fd, libc::F_SETFL, flags) }).map(|_| ())
}

pub fn set_cloexec(fd: impl AsFd, on: bool) -> io::Result<()> {
    let flag = if on { libc::FD_CLOEXEC } else { 0 };
    // SAFETY: F_SETFD touches no memory of ours.
    check(unsafe { libc::fcntl(fd.as_fd().as_raw_fd(), libc::F_SETFD, flag) }).map(|_| ())
}

/// Whether it closes when a program is executed. A stream that our parent gave us never does.
pub fn is_cloexec(fd: impl AsFd) -> bool {
    // SAFETY: F_GETFD touches no memory of ours.
    let flags = unsafe { libc::fcntl(fd.as_fd().as_raw_fd(), libc::F_GETFD) };
    flags != -1 && flags & libc::FD_CLOEXEC != 0
}

/// Makes the number `to` another name of `from` (dup2(2)); what `to` named is closed. For the standard
/// streams, which nobody owns.
pub fn dup2(from: impl AsFd, to: Stream) -> io::Result<()> {
    // SAFETY: dup2 touches no memory of ours; 0, 1 and 2 are not owned by any `OwnedFd`.
    check(unsafe { libc::dup2(from.as_fd().as_raw_fd(), to as RawFd) }).map(|_| ())
}

/// A standard stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum Stream {
    In,
    Out,
    Err,
}

/// Closes every descriptor but the standard streams and `keep`. For a fresh fork, which must not hold
/// the other ends of its parent's pipes open, and never drops its parent's owners.
pub fn close_except(keep: &[BorrowedFd<'_>]) {
    let mut keep: Vec<u32> = keep.iter().map(|f| f.as_raw_fd() as u32).collect();
    keep.sort_unstable();
    let mut from = 3;
    for fd in keep.into_iter().chain([u32::MAX]) {
        if fd > from {
            // SAFETY: close_range touches no memory of ours; see the doc comment about owners.
            unsafe { libc::syscall(libc::SYS_close_range, from, fd - 1, 0) };
        }
        from = fd.saturating_add(1).max(from);
    }
}

/// Points stdin, stdout and stderr at `/dev/null`.
pub fn silence() -> io::Result<()> {
    let null = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    for standard in 0..3 {
        // SAFETY: dup2 touches no memory; the standard descriptors are nobody's property.
        check(unsafe { libc::dup2(null.as_raw_fd(), standard) })?;
    }
    Ok(())
}

/// Takes over a descriptor that this process was started with (a listening socket, say).
///
/// # Safety
/// Nothing else in the process may own or use `fd`.
pub unsafe fn adopt(fd: RawFd) -> OwnedFd {
    // SAFETY: the caller promises ownership.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

pub fn read(fd: impl AsFd, buf: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the pointer and length are those of a live, writable slice.
    let n = unsafe { libc::read(fd.as_fd().as_raw_fd(), buf.as_mut_ptr().cast(), buf.len()) };
    usize::try_from(n).map_err(|_| io::Error::last_os_error())
}

/// As `read`, behind what `buf` holds, of which at most `most` bytes more: into memory that need not be
/// filled before.
pub fn read_more(fd: impl AsFd, buf: &mut Vec<u8>, most: usize) -> io::Result<usize> {
    buf.reserve(most);
    let room = &mut buf.spare_capacity_mut()[..most];
    // SAFETY: the pointer and length are those of a live, writable slice.
    let n = unsafe { libc::read(fd.as_fd().as_raw_fd(), room.as_mut_ptr().cast(), room.len()) };
    let n = usize::try_from(n).map_err(|_| io::Error::last_os_error())?;
    // SAFETY: the kernel has just written so many bytes behind the old ones.
    unsafe { buf.set_len(buf.len() + n) };
    Ok(n)
}

pub fn write(fd: impl AsFd, buf: &[u8]) -> io::Result<usize> {
    // SAFETY: the pointer and length are those of a live slice.
    let n = unsafe { libc::write(fd.as_fd().as_raw_fd(), buf.as_ptr().cast(), buf.len()) };
    usize::try_from(n).map_err(|_| io::Error::last_os_error())
}

/// Writes all of it, however long the reader takes: also where somebody else who has the descriptor has
/// made it non-blocking, which is then so for us.
pub fn write_all(fd: impl AsFd, mut buf: &[u8]) -> io::Result<()> {
    while !buf.is_empty() {
        match write(&fd, buf) {
            Ok(n) => buf = &buf[n..],
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                let room = Watch {
                    fd: fd.as_fd(),
                    read: false,
                    write: true,
                };
                poll(&[room], None)?;
            }
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Whether something stands in a pipe, socket or file that a reader would get now; of a terminal or a
/// device it is not known, and the answer is no.
pub fn has_input(fd: impl AsFd) -> bool {
    let raw = fd.as_fd().as_raw_fd();
    let Ok(stat) = super::fs::fstat(&fd) else {
        return false;
    };
    if stat.is_file() {
        // SAFETY: lseek touches no memory of ours.
        let at = unsafe { libc::lseek(raw, 0, libc::SEEK_CUR) };
        return u64::try_from(at).is_ok_and(|at| at < stat.size);
    }
    let mut waiting: libc::c_int = 0;
    let is_stream = matches!(stat.mode & libc::S_IFMT, libc::S_IFIFO | libc::S_IFSOCK);
    // SAFETY: `waiting` is live, and what FIONREAD writes.
    is_stream && unsafe { libc::ioctl(raw, libc::FIONREAD, &raw mut waiting) } == 0 && waiting > 0
}

/// One descriptor to wait for, and what was found.
#[derive(Debug)]
pub struct Watch<'a> {
    pub fd: BorrowedFd<'a>,
    pub read: bool,
    pub write: bool,
}

/// What `poll` found about one descriptor. `readable` includes end of file and errors: the next
/// read tells which.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ready {
    pub readable: bool,
    pub writable: bool,
}

/// Waits until one of `watches` is ready or `timeout` has passed (None: for ever); a signal ends
/// the wait early with nothing ready. The answers stand in the order of `watches`.
pub fn poll(watches: &[Watch<'_>], timeout: Option<Duration>) -> io::Result<Vec<Ready>> {
    let mut fds: Vec<libc::pollfd> = watches
        .iter()
        .map(|w| libc::pollfd {
            fd: w.fd.as_raw_fd(),
            events: if w.read { libc::POLLIN } else { 0 } | if w.write { libc::POLLOUT } else { 0 },
            revents: 0,
        })
        .collect();
    // Rounded up, so that a deadline has passed when the wait for it ends.
    let ms = timeout.map_or(-1, |t| {
        i32::try_from(t.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
    });
    // SAFETY: `fds` is a live array of its own length.
    match check(unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, ms) }) {
        Ok(_) => {}
        Err(e) if e.kind() == io::ErrorKind::Interrupted => {
            return Ok(vec![Ready::default(); fds.len()]);
        }
        Err(e) => return Err(e),
    }
    let gone = libc::POLLERR | libc::POLLHUP | libc::POLLNVAL;
    Ok(fds
        .iter()
        .zip(watches)
        .map(|(f, w)| Ready {
            readable: (w.read && f.revents & libc::POLLIN != 0) || f.revents & gone != 0,
            writable: w.write && f.revents & (libc::POLLOUT | gone) != 0,
        })
        .collect())
}

/// Whether two descriptors are the same pipe, file or terminal (`2>&1`).
pub fn same_file(a: impl AsFd, b: impl AsFd) -> bool {
    match (fstat(a.as_fd()), fstat(b.as_fd())) {
        (Ok(a), Ok(b)) => (a.st_dev, a.st_ino, a.st_rdev) == (b.st_dev, b.st_ino, b.st_rdev),
        _ => false,
    }
}

fn fstat(fd: BorrowedFd<'_>) -> io::Result<libc::stat> {
    // SAFETY: `stat` is plain data, for which zero is a valid value.
    let mut st: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: `st` is live and writable.
    check(unsafe { libc::fstat(fd.as_raw_fd(), &mut st) })?;
    Ok(st)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poll_tells_readable_from_quiet() {
        let (a, b) = pipe().unwrap();
        let (quiet, _keep) = pipe().unwrap();
        assert_eq!(write(&b, b"x").unwrap(), 1);
        let watch = |fd| Watch {
            fd,
            read: true,
            write: false,
        };
        let ready = poll(&[watch(quiet.as_fd()), watch(a.as_fd())], None).unwrap();
        assert_eq!(
            ready.iter().map(|r| r.readable).collect::<Vec<_>>(),
            [false, true]
        );
    }

    #[test]
    fn same_file_knows_a_pipe_from_its_twin() {
        let (_a, b) = pipe().unwrap();
        let (_c, d) = pipe().unwrap();
        assert!(same_file(&b, b.try_clone().unwrap()));
        assert!(!same_file(&b, &d));
    }

    #[test]
    fn input_is_what_a_reader_would_get() {
        let (read_end, write_end) = pipe().unwrap();
        assert!(!has_input(&read_end));
        write(&write_end, b"x").unwrap();
        assert!(has_input(&read_end));
        read(&read_end, &mut [0; 8]).unwrap();
        drop(write_end);
        assert!(!has_input(&read_end));
        assert!(!has_input(std::fs::File::open("/dev/zero").unwrap()));
        let file = std::fs::File::open(file!()).unwrap();
        assert!(has_input(&file));
        std::io::copy(&mut &file, &mut std::io::sink()).unwrap();
        assert!(!has_input(&file));
    }

    /// Standard output is non-blocking when the agent's own loop has made it so, and more than a pipe
    /// takes was an error then.
    #[test]
    fn a_full_pipe_is_waited_for() {
        let (read_end, write_end) = pipe().unwrap();
        set_nonblocking(&write_end, true).unwrap();
        let text = vec![7; 1 << 20];
        let reader = std::thread::spawn(move || {
            let mut got = vec![];
            while read_more(&read_end, &mut got, 1 << 16).unwrap() > 0 {}
            got
        });
        write_all(&write_end, &text).unwrap();
        drop(write_end);
        assert!(reader.join().unwrap() == text);
        let (closed, write_end) = pipe().unwrap();
        drop(closed);
        let gone = write_all(&write_end, b"x").unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::BrokenPipe);
    }
}
