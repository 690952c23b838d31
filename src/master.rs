//! An ssh master: one authenticated connection that carries up to eight sessions.
//!
//! A child of our own that stays in the foreground (ControlPersist masters belong to nobody and
//! hold the stderr of whoever started them). It says `ready` on stdout when its socket may be used.
//! A hung master answers nothing, not even `ssh -O check`; the sessions' own deadlines find that,
//! and the cure is the same as for every end: kill by pid, unlink the socket.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::child::{Child, Pipes};
use crate::error::Error;
use crate::plan::remedy::explain;
use crate::poll::Ready;
use crate::sys::fd;

/// From start to `ready`: ConnectTimeout covers the TCP part, the rest is authentication.
const CONNECT: Duration = Duration::from_secs(15);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Until when it must be ready.
    Connecting(Instant),
    Ready,
    Dead,
}

#[derive(Debug)]
pub struct Master {
    control: PathBuf,
    child: Child,
    pipes: Pipes,
    state: State,
    readable: bool,
    /// Until when it is kept; `None` while it is used.
    until: Option<Instant>,
}

impl Master {
    /// Starts ssh with `args`, which name `control` as the socket.
    ///
    /// # Errors
    /// There is no ssh.
    pub fn start(
        args: &[std::ffi::OsString],
        control: &Path,
        now: Instant,
    ) -> Result<Master, Error> {
        // One left by a daemon that was killed would be taken for ours.
        let _ = std::fs::remove_file(control);
        let mut cmd = Command::new("ssh");
        let (child, pipes) =
            Child::spawn(cmd.args(args)).map_err(|e| Error::os("cannot start 'ssh'", &e))?;
        let state = State::Connecting(now + CONNECT);
        Ok(Master {
            control: control.into(),
            child,
            pipes,
            state,
            readable: false,
            until: None,
        })
    }

    pub fn control(&self) -> &Path {
        &self.control
    }

    pub fn state(&self) -> State {
        self.state
    }

    pub fn child(&self) -> &Child {
        &self.child
    }

    pub fn pipes(&self) -> &Pipes {
        &self.pipes
    }

    pub fn note_output(&mut self, ready: Ready) {
        self.readable |= ready.readable;
    }

    pub fn note_stderr(&mut self, ready: Ready) {
        self.child.note(ready);
    }

    /// Whatever is due. An error is the reason of its death, and comes once.
    ///
    /// # Errors
    /// It could not connect, or its connection has ended.
    pub fn tend(&mut self, now: Instant) -> Result<(), Error> {
        self.child.tend(now);
        if self.state == State::Dead {
            return Ok(());
        }
        if let State::Connecting(until) = self.state {
            let mut buf = [0; 64];
            if self.readable && fd::read(&self.pipes.stdout, &mut buf).is_ok_and(|n| n > 0) {
                self.state = State::Ready;
            } else if now >= until {
                self.end(now);
                return Err(Error::new(format!(
                    "no connection within {} seconds",
                    CONNECT.as_secs()
                )));
            }
        }
        if self.child.ended().is_some() {
            let said = self.child.said();
            self.end(now);
            return Err(match said.as_str() {
                "" => Error::new("ssh ended"),
                said => explain(said),
            });
        }
        Ok(())
    }

    /// Ends it when nobody has gone through it for as long as it is kept (`None`: for ever).
    pub fn note_use(&mut self, used: bool, keep: Option<Duration>, now: Instant) {
        let vacant = !used && self.state == State::Ready;
        self.until = keep
            .filter(|_| vacant)
            .map(|keep| self.until.unwrap_or(now + keep));
        if self.until.is_some_and(|until| now >= until) {
            self.end(now);
        }
    }

    pub fn end(&mut self, now: Instant) {
        self.until = None;
        self.state = State::Dead;
        self.child.end(now);
        let _ = std::fs::remove_file(&self.control);
    }

    /// True once it is reaped; it may be dropped.
    pub fn is_gone(&self) -> bool {
        self.state == State::Dead && self.child.ended().is_some()
    }

    pub fn deadline(&self) -> Option<Instant> {
        let connect = match self.state {
            State::Connecting(until) => Some(until),
            _ => None,
        };
        let all = [connect, self.until, self.child.deadline()];
        all.into_iter().flatten().min()
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.control);
    }
}
