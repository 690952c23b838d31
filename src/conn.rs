//! A byte stream with frames on it: two buffers around one or two non-blocking descriptors.
//!
//! It serves both sockets: the Unix socket of a client (one descriptor) and the pipes of a session
//! (two). It knows frames but no message. Nothing here waits, and neither buffer can grow without
//! end: `fill` stops while a full read's worth of input is unread, and writers look at `backlog`
//! before they add more.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::bytes::{Malformed, Parsed};
use crate::poll::Ready;
use crate::sys::fd;
use crate::wire::{self, Frame};

/// Input that may lie unread: one largest frame and a read's worth.
const INPUT_LIMIT: usize = wire::MAX_BODY + wire::HEAD + READ;
const READ: usize = 64 << 10;

/// A writer that sees more than this waiting should hold back.
pub const BACKLOG: usize = 512 << 10;

#[derive(Debug)]
pub struct Conn {
    rd: OwnedFd,
    /// None once closed from our side.
    wr: Option<OwnedFd>,
    input: Buffer,
    output: Buffer,
    readable: bool,
    writable: bool,
    /// Bytes written so far.
    written: u64,
    /// The peer has closed, or reading failed; what is in `input` may still be taken.
    eof: bool,
}

impl Conn {
    /// Both descriptors must be non-blocking.
    pub fn new(rd: OwnedFd, wr: OwnedFd) -> Conn {
        Conn {
            rd,
            wr: Some(wr),
            input: Buffer::default(),
            output: Buffer::default(),
            readable: true,
            writable: true,
            written: 0,
            eof: false,
        }
    }

    pub fn note(&mut self, ready: Ready) {
        self.readable |= ready.readable;
        self.writable |= ready.writable;
    }

    /// Reads what is there, at most one read's worth. True if there may be more.
    pub fn fill(&mut self) -> bool {
        if !self.readable || self.eof || self.input.len() >= INPUT_LIMIT {
            return false;
        }
        let got = fd::read_more(&self.rd, self.input.tail(), READ);
        self.input.settle();
        match got {
            Ok(0) => self.eof = true,
            Ok(n) => return n == READ,
            Err(e) => match e.kind() {
                io::ErrorKind::WouldBlock => self.readable = false,
                io::ErrorKind::Interrupted => return true,
                _ => self.eof = true,
            },
        }
        false
    }

    /// Writes what can be written. A peer that is gone takes the output with it.
    pub fn flush(&mut self) {
        while self.writable && self.output.len() > 0 {
            let Some(wr) = &self.wr else { break };
            match fd::write(wr, self.output.bytes()) {
                Ok(n) => {
                    self.written += n as u64;
                    self.output.take(n);
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.writable = false,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.wr = None;
                    self.output = Buffer::default();
                }
            }
        }
    }

    /// The next frame, packed or not; `None` until one is whole.
    ///
    /// # Errors
    /// `Malformed`: the peer does not speak our protocol.
    pub fn frame(&mut self) -> Parsed<Option<Taken<'_>>> {
        match wire::split(self.input.bytes())? {
            Some((_, used)) => Ok(Some(Taken {
                input: &mut self.input,
                used,
            })),
            None => Ok(None),
        }
    }

    /// Skips everything before `mark` and the mark itself. True once that has happened.
    ///
    /// # Errors
    /// `Malformed` if more than `limit` bytes came before it.
    pub fn skip_to(&mut self, mark: &[u8], limit: usize) -> Parsed<bool> {
        let bytes = self.input.bytes();
        match memchr::memmem::find(bytes, mark) {
            Some(at) if at <= limit => self.input.take(at + mark.len()),
            None if bytes.len() <= limit + mark.len() => return Ok(false),
            _ => return Err(Malformed),
        }
        Ok(true)
    }

    /// Bytes read and not taken yet (what a peer said before it failed to speak our protocol).
    pub fn unread(&self) -> &[u8] {
        self.input.bytes()
    }

    /// Where to append messages.
    pub fn out(&mut self) -> &mut Vec<u8> {
        self.output.tail()
    }

    /// Bytes still to be written.
    pub fn backlog(&self) -> usize {
        self.output.len()
    }

    /// Bytes the peer's end of the pipe has taken so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Nothing more will come: the peer closed and every whole frame has been taken.
    pub fn is_over(&self) -> bool {
        self.eof && !matches!(wire::split(self.input.bytes()), Ok(Some(_)))
    }

    /// Whether a call to `fill` would do something without a new event.
    pub fn has_work(&self) -> bool {
        (self.readable && !self.eof && self.input.len() < INPUT_LIMIT)
            || (self.writable && self.wr.is_some() && self.output.len() > 0)
    }

    /// The descriptors, for whoever watches them.
    pub fn ends(&self) -> (BorrowedFd<'_>, Option<BorrowedFd<'_>>) {
        (self.rd.as_fd(), self.wr.as_ref().map(AsFd::as_fd))
    }

    /// Closes our writing side, which a session's peer reads as its end.
    pub fn close_output(&mut self) {
        self.wr = None;
    }
}

/// A whole frame at the front of the input; it is consumed when this is dropped.
#[derive(Debug)]
pub struct Taken<'a> {
    input: &'a mut Buffer,
    used: usize,
}

impl Taken<'_> {
    pub fn get(&self) -> Frame<'_> {
        let bytes = &self.input.bytes()[..self.used];
        Frame {
            kind: bytes[4],
            body: &bytes[wire::HEAD..],
        }
    }

    /// The frame with its head, as it came.
    pub fn raw(&self) -> &[u8] {
        &self.input.bytes()[..self.used]
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.input.take(self.used);
    }
}

/// A vector whose front is consumed. Memory is given back when it runs empty.
#[derive(Debug, Default)]
struct Buffer {
    bytes: Vec<u8>,
    start: usize,
}

impl Buffer {
    fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    fn take(&mut self, n: usize) {
        self.start += n;
        self.settle();
    }

    /// Gives memory back when all has been taken.
    fn settle(&mut self) {
        if self.start == self.bytes.len() {
            self.start = 0;
            self.bytes.clear();
            self.bytes.shrink_to(READ);
        }
    }

    fn tail(&mut self) -> &mut Vec<u8> {
        if self.start > READ {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        &mut self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    fn pair() -> (Conn, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let rd: OwnedFd = ours.into();
        (Conn::new(rd.try_clone().unwrap(), rd), theirs)
    }

    fn ready() -> Ready {
        Ready {
            readable: true,
            writable: true,
        }
    }

    #[test]
    fn a_frame_arrives_whole_when_it_comes_byte_by_byte() {
        let (mut conn, mut peer) = pair();
        let mut wire = Vec::new();
        wire::put(&mut wire, 9, |b| b.extend_from_slice(b"hey"));
        for &byte in &wire {
            assert!(conn.frame().unwrap().is_none());
            peer.write_all(&[byte]).unwrap();
            conn.note(ready());
            conn.fill();
        }
        let taken = conn.frame().unwrap().unwrap();
        assert_eq!(
            taken.get(),
            Frame {
                kind: 9,
                body: b"hey"
            }
        );
        drop(taken);
        assert!(conn.frame().unwrap().is_none());
    }

    #[test]
    fn a_peer_gone_in_mid_message_is_over_and_two_in_one_read_are_two() {
        let (mut conn, mut peer) = pair();
        let mut wire = Vec::new();
        wire::put(&mut wire, 1, |_| {});
        wire::put(&mut wire, 2, |_| {});
        wire.extend_from_slice(&[9, 0, 0]);
        peer.write_all(&wire).unwrap();
        drop(peer);
        while conn.fill() || !conn.eof {}
        assert_eq!(conn.frame().unwrap().map(|t| t.get().kind), Some(1));
        assert!(!conn.is_over());
        assert_eq!(conn.frame().unwrap().map(|t| t.get().kind), Some(2));
        assert!(conn.is_over());
    }

    #[test]
    fn input_is_bounded_when_nobody_takes_it() {
        let (mut conn, mut peer) = pair();
        peer.set_nonblocking(true).unwrap();
        let chunk = vec![1u8; 1 << 16];
        let mut sent = 0;
        while sent < 64 << 20 {
            let wrote = peer.write(&chunk).unwrap_or(0);
            sent += wrote;
            conn.note(ready());
            if !conn.fill() && wrote == 0 {
                break;
            }
        }
        assert!(sent < 4 << 20, "{sent}");
    }

    #[test]
    fn noise_before_the_mark_is_skipped_up_to_its_limit() {
        let (mut conn, mut peer) = pair();
        peer.write_all(b"Welcome!\n\0rch").unwrap();
        conn.fill();
        assert_eq!(conn.skip_to(wire::PREAMBLE, 100), Ok(false));
        peer.write_all(b"wkr\nrest").unwrap();
        conn.note(ready());
        conn.fill();
        assert_eq!(conn.skip_to(wire::PREAMBLE, 100), Ok(true));
        assert_eq!(conn.unread(), b"rest");
        peer.write_all(&[b'x'; 200]).unwrap();
        conn.note(ready());
        conn.fill();
        assert_eq!(conn.skip_to(wire::PREAMBLE, 100), Err(Malformed));
    }
}
