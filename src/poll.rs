//! Readiness of many descriptors at once; the only file that names mio.
//!
//! Edge-triggered below, level-triggered above: a descriptor is registered once, for both
//! directions, and its owner remembers "readable" and "writable" until a call says `WouldBlock`. So
//! interest is never changed and never forgotten. Tokens are never used twice; an event for a
//! descriptor that has gone finds no key and is dropped, which makes stale events harmless.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};

pub use crate::sys::fd::Ready;

/// How many events one turn of the loop takes at most.
const EVENTS: usize = 256;

const WAKE: Token = Token(0);

/// `K` names the owner of a descriptor.
pub struct Poller<K> {
    poll: Poll,
    events: Events,
    keys: HashMap<Token, K>,
    /// The registration of each descriptor. One whose number is given out again has been closed, and
    /// goes: there are never more than descriptors.
    numbers: HashMap<RawFd, Token>,
    waker: Arc<Waker>,
    next: usize,
}

/// Proof of a registration; give it back to `forget`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registered(Token);

/// Makes the loop turn from another thread. Cheap to clone.
#[derive(Clone)]
pub struct Wake(Arc<Waker>);

impl Wake {
    pub fn wake(&self) {
        // It fails only if the poll is gone, and then nobody needs waking.
        let _ = self.0.wake();
    }
}

impl<K: Copy> Poller<K> {
    /// # Errors
    /// The system is out of descriptors.
    pub fn new() -> io::Result<Poller<K>> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        Ok(Poller {
            poll,
            events: Events::with_capacity(EVENTS),
            keys: HashMap::new(),
            numbers: HashMap::new(),
            waker,
            next: 1,
        })
    }

    pub fn waker(&self) -> Wake {
        Wake(self.waker.clone())
    }

    /// Watches `fd`, both ways, until `forget` or until it is closed.
    ///
    /// # Errors
    /// `fd` cannot be watched (a plain file) or the system is out of memory.
    pub fn add(&mut self, fd: impl AsFd, key: K) -> io::Result<Registered> {
        let token = Token(self.next);
        self.next += 1;
        let raw = fd.as_fd().as_raw_fd();
        let both = Interest::READABLE | Interest::WRITABLE;
        self.poll
            .registry()
            .register(&mut SourceFd(&raw), token, both)?;
        self.keys.insert(token, key);
        if let Some(closed) = self.numbers.insert(raw, token) {
            self.keys.remove(&closed);
        }
        Ok(Registered(token))
    }

    /// Stops reporting a registration. The kernel's side ends when the descriptor is closed.
    pub fn forget(&mut self, registered: Registered) {
        self.keys.remove(&registered.0);
    }

    /// Waits for events, at most `timeout`, and hands each to `each`. Being woken is no event.
    ///
    /// # Errors
    /// epoll itself failed, which is our bug.
    pub fn wait(
        &mut self,
        timeout: Option<Duration>,
        mut each: impl FnMut(K, Ready),
    ) -> io::Result<()> {
        match self.poll.poll(&mut self.events, timeout) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        for event in &self.events {
            if let Some(&key) = self.keys.get(&event.token()) {
                let gone = event.is_error();
                each(
                    key,
                    Ready {
                        readable: event.is_readable() || event.is_read_closed() || gone,
                        writable: event.is_writable() || event.is_write_closed() || gone,
                    },
                );
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::fd;

    #[test]
    fn a_forgotten_descriptor_is_silent() {
        let mut poller = Poller::new().unwrap();
        let (a, b) = fd::pipe().unwrap();
        let reg = poller.add(&a, 'a').unwrap();
        fd::write(&b, b"x").unwrap();
        let mut seen = vec![];
        poller
            .wait(None, |k, r| seen.push((k, r.readable)))
            .unwrap();
        assert_eq!(seen, [('a', true)]);
        poller.forget(reg);
        fd::write(&b, b"x").unwrap();
        poller.waker().wake();
        poller.wait(None, |k, _| panic!("BUG: {k}")).unwrap();
    }

    /// A daemon that has served a million clients knows no more keys than one that has just begun.
    #[test]
    fn closed_descriptors_leave_nothing_behind() {
        let mut poller = Poller::new().unwrap();
        for n in 0..1000 {
            let (a, _b) = fd::pipe().unwrap();
            poller.add(&a, n).unwrap();
        }
        assert!(poller.keys.len() < 100, "{} keys", poller.keys.len());
        let (a, b) = fd::pipe().unwrap();
        poller.add(&a, -1).unwrap();
        fd::write(&b, b"x").unwrap();
        let mut seen = vec![];
        poller.wait(None, |k, _| seen.push(k)).unwrap();
        assert_eq!(seen, [-1]);
    }
}
