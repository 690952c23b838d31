//! One child process and the pipe of its complaints.
//!
//! A child is finished on the second of two events, its stderr at end of file and its body reaped,
//! in either order; a grace timer stands in for the first, because a background process of its own
//! may hold the pipe for ever. What it says on stderr is kept, bounded, for the error text. It does
//! not know what the child is for.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::poll::Ready;
use crate::sys::process::{self, Exit, Pid};
use crate::sys::{fd, signal};

/// How much of a child's stderr is worth keeping: its beginning.
const KEEP: usize = 4096;

/// How long a reaped child's stderr may stay open, held by somebody else.
const GRACE: Duration = Duration::from_millis(500);

/// How long a child may take over a SIGTERM.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Neither reaped nor silent.
    Running,
    /// stderr is at its end; not reaped.
    Drained,
    /// Reaped; stderr still open, until the given moment.
    Reaped(Exit, Instant),
    Done(Exit),
}

#[derive(Debug)]
pub struct Child {
    /// `None` once reaped: the only way to signal it.
    pid: Option<Pid>,
    stderr: OwnedFd,
    readable: bool,
    said: Vec<u8>,
    state: State,
    /// When SIGKILL follows the SIGTERM that was sent.
    kill_at: Option<Instant>,
}

/// The pipes to a child's stdin and from its stdout, non-blocking.
#[derive(Debug)]
pub struct Pipes {
    pub stdin: OwnedFd,
    pub stdout: OwnedFd,
}

impl Child {
    /// Starts `cmd` in a process group of its own, to die with us, all three standard streams piped.
    ///
    /// # Errors
    /// The program cannot be started or descriptors have run out.
    pub fn spawn(cmd: &mut Command) -> io::Result<(Child, Pipes)> {
        process::detach(cmd)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = cmd.spawn()?;
        let missing = || io::Error::other("BUG: a pipe is missing");
        let stdin = OwnedFd::from(child.stdin.take().ok_or_else(missing)?);
        let stdout = OwnedFd::from(child.stdout.take().ok_or_else(missing)?);
        let stderr = OwnedFd::from(child.stderr.take().ok_or_else(missing)?);
        for end in [&stdin, &stdout, &stderr] {
            fd::set_nonblocking(end, true)?;
        }
        let pid = Some(Pid(i32::try_from(child.id()).map_err(io::Error::other)?));
        let child = Child {
            pid,
            stderr,
            readable: true,
            said: vec![],
            state: State::Running,
            kill_at: None,
        };
        Ok((child, Pipes { stdin, stdout }))
    }

    pub fn note(&mut self, ready: Ready) {
        self.readable |= ready.readable;
    }

    pub fn pid(&self) -> Option<Pid> {
        self.pid
    }

    /// Reads stderr, reaps, escalates: whatever is due. Call it on every turn of the loop.
    pub fn tend(&mut self, now: Instant) {
        self.listen();
        self.reap(now);
        if let State::Reaped(exit, until) = self.state
            && now >= until
        {
            self.state = State::Done(exit);
        }
        if self.kill_at.is_some_and(|at| now >= at) {
            self.kill_at = None;
            self.signal(signal::SIGKILL);
        }
    }

    fn listen(&mut self) {
        let mut buf = [0; 4096];
        while self.readable {
            match fd::read(&self.stderr, &mut buf) {
                Ok(n) if n > 0 => {
                    let room = KEEP - self.said.len();
                    self.said.extend_from_slice(&buf[..n.min(room)]);
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.readable = false,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => {
                    self.readable = false;
                    self.state = match self.state {
                        State::Running => State::Drained,
                        State::Reaped(exit, _) => State::Done(exit),
                        state => state,
                    };
                }
            }
        }
    }

    fn reap(&mut self, now: Instant) {
        let Some(pid) = self.pid else { return };
        let Ok(Some(exit)) = process::try_wait(pid) else {
            return;
        };
        self.pid = None;
        self.kill_at = None;
        self.state = match self.state {
            State::Running => State::Reaped(exit, now + GRACE),
            _ => State::Done(exit),
        };
    }

    /// How it ended, once it is finished.
    pub fn ended(&self) -> Option<Exit> {
        match self.state {
            State::Done(exit) => Some(exit),
            _ => None,
        }
    }

    /// Its last words, on one line, for an error text.
    pub fn said(&self) -> String {
        let text = String::from_utf8_lossy(&self.said);
        let lines: Vec<&str> = text
            .lines()
            .map(str::trim)
            .filter(|l| !l.is_empty())
            .collect();
        lines
            .join("; ")
            .chars()
            .filter(|c| !c.is_control())
            .collect()
    }

    /// Asks it to end, and makes it end if it does not listen.
    pub fn end(&mut self, now: Instant) {
        if self.pid.is_some() && self.kill_at.is_none() {
            self.signal(signal::SIGTERM);
            self.kill_at = Some(now + PATIENCE);
        }
    }

    pub fn kill(&mut self) {
        self.signal(signal::SIGKILL);
    }

    fn signal(&self, number: i32) {
        if let Some(pid) = self.pid {
            // It may just have ended; then there is nothing to signal.
            let _ = process::killpg(pid, number);
        }
    }

    /// When `tend` has something to do though nothing happens.
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Reaped(_, until) => Some(until),
            _ => self.kill_at,
        }
    }
}

impl AsFd for Child {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stderr.as_fd()
    }
}

impl Drop for Child {
    /// A child that nobody looks after any more must not go on.
    fn drop(&mut self) {
        if let Some(pid) = self.pid {
            self.signal(signal::SIGKILL);
            let _ = process::wait_for(pid);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::poll::Poller;

    fn finish(child: &mut Child) -> Exit {
        let mut poller = Poller::new().unwrap();
        poller.add(&*child, ()).unwrap();
        loop {
            child.tend(Instant::now());
            if let Some(exit) = child.ended() {
                return exit;
            }
            let mut ready = Ready::default();
            poller
                .wait(Some(Duration::from_millis(20)), |(), r| ready = r)
                .unwrap();
            child.note(ready);
        }
    }

    #[test]
    fn both_events_finish_it_and_its_words_are_kept() {
        let mut cmd = Command::new("sh");
        let (mut child, _pipes) =
            Child::spawn(cmd.args(["-c", "echo oh >&2; echo no >&2; exit 3"])).unwrap();
        assert_eq!(finish(&mut child), Exit::Code(3));
        assert_eq!(child.said(), "oh; no");
    }

    /// A background ssh master kept the pipe of whoever started it, and waiting for end of file
    /// waited for ever.
    #[test]
    fn a_grandchild_that_holds_the_pipe_does_not_hold_us() {
        let mut cmd = Command::new("sh");
        let (mut child, pipes) =
            Child::spawn(cmd.args(["-c", "sleep 1000 & echo $!; exit 0"])).unwrap();
        assert_eq!(finish(&mut child), Exit::Code(0));
        let mut text = [0; 16];
        let n = fd::read(&pipes.stdout, &mut text).unwrap();
        let pid = String::from_utf8_lossy(&text[..n]).trim().parse().unwrap();
        process::kill(Pid(pid), signal::SIGKILL).unwrap();
    }

    #[test]
    fn one_that_ignores_the_request_is_killed() {
        let mut cmd = Command::new("sh");
        let script = "trap '' TERM; echo ready; while :; do read x; done";
        let (mut child, pipes) = Child::spawn(cmd.args(["-c", script])).unwrap();
        let mut poller = Poller::new().unwrap();
        poller.add(&pipes.stdout, ()).unwrap();
        poller.wait(None, |(), _| {}).unwrap();
        child.end(Instant::now());
        assert_eq!(finish(&mut child), Exit::Signal(9));
    }
}
