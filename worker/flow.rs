//! The session's two ends: frames in from stdin, frames out to stdout, both bounded.
//!
//! Before anything else the standard streams are replaced, so that nothing this process or a library
//! prints can stand between two frames: stdin becomes `/dev/null`, stdout a second stderr.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rch::bytes::Malformed;
use rch::sys::fd::{self, Stream, Watch};
use rch::wire::worker::FromWorker;
use rch::wire::{self, CHUNK, Frame};

/// zstd's fastest level for what goes home: products are large and wait for nothing else, and the next
/// two levels take twice the time for a tenth of the size.
pub const LEVEL: i32 = 1;

/// Beyond this much unsent output nothing more is read from the job.
pub const HIGH_WATER: usize = 1 << 20;

/// How much is read at a time.
pub const READ: usize = 64 << 10;

#[derive(Debug)]
pub struct Input {
    fd: OwnedFd,
    buf: Vec<u8>,
}

#[derive(Debug)]
pub struct Output {
    fd: OwnedFd,
    buf: Vec<u8>,
    /// How much of `buf` has been sent.
    at: usize,
}

/// Takes the standard streams for the session.
pub fn take() -> io::Result<(Input, Output)> {
    let input = io::stdin().as_fd().try_clone_to_owned()?;
    let output = io::stdout().as_fd().try_clone_to_owned()?;
    fd::dup2(File::open("/dev/null")?, Stream::In)?;
    fd::dup2(io::stderr(), Stream::Out)?;
    fd::set_nonblocking(&output, true)?;
    Ok((Input::new(input), Output::new(output)))
}

impl Input {
    pub fn new(fd: OwnedFd) -> Input {
        Input {
            fd,
            buf: Vec::new(),
        }
    }

    /// Reads what is there; false at end of file or on an error, which are the same to us.
    pub fn fill(&mut self) -> bool {
        match fd::read_more(&self.fd, &mut self.buf, READ) {
            Ok(n) => n > 0,
            Err(e) => matches!(
                e.kind(),
                io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock
            ),
        }
    }

    /// Hands every whole frame to `each`.
    pub fn drain<E: From<Malformed>>(
        &mut self,
        each: impl FnMut(Frame<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let buf = std::mem::take(&mut self.buf);
        let used = wire::each_frame(&buf, each)?;
        self.buf = buf;
        self.buf.drain(..used);
        if self.buf.is_empty() {
            self.buf.shrink_to(READ);
        }
        Ok(())
    }
}

impl AsFd for Input {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Output {
    pub fn new(fd: OwnedFd) -> Output {
        Output {
            fd,
            buf: Vec::new(),
            at: 0,
        }
    }

    pub fn raw(&mut self, bytes: &[u8]) {
        self.buf.extend_from_slice(bytes);
    }

    pub fn put(&mut self, message: &FromWorker) {
        message.encode(&mut self.buf);
    }

    /// Whole frames as one compressed pack.
    pub fn pack(&mut self, frames: &[u8]) {
        wire::pack(&mut self.buf, frames, LEVEL);
    }

    pub fn pending(&self) -> usize {
        self.buf.len() - self.at
    }

    /// Sends what the pipe takes.
    ///
    /// # Errors
    /// The session is over.
    pub fn flush(&mut self) -> io::Result<()> {
        while self.pending() > 0 {
            match fd::write(&self.fd, &self.buf[self.at..]) {
                Ok(n) => self.at += n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        if self.at >= CHUNK || self.pending() == 0 {
            self.buf.drain(..self.at);
            self.at = 0;
        }
        if self.buf.is_empty() {
            self.buf.shrink_to(READ);
        }
        Ok(())
    }

    /// Sends until no more than `most` bytes are left, however long the reader takes.
    ///
    /// # Errors
    /// The session is over.
    pub fn flush_below(&mut self, most: usize) -> io::Result<()> {
        self.flush()?;
        while self.pending() > most {
            let wait = Watch {
                fd: self.fd.as_fd(),
                read: false,
                write: true,
            };
            fd::poll(&[wait], None)?;
            self.flush()?;
        }
        Ok(())
    }
}

impl AsFd for Output {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
