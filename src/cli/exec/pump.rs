//! Carries bytes, signals and the end from the daemon to our own descriptors.
//!
//! What is written when is `sink`'s decision, what the progress line says is `progress`'s; here is
//! the loop that waits for the daemon, for signals and for the two of them. A daemon that is silent
//! for too long is hung; a user who stopped the command is not answered by starting it again.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::progress::Line;
use super::sink::{Piece, Sink};
use super::{plan, say};
use crate::client::{Daemon, GREETING};
use crate::error::Error;
use crate::sys::fd::{Watch, poll, write_all};
use crate::sys::process::Exit;
use crate::sys::signal::{SIGPIPE, Signals};
use crate::wire::client::{FromDaemon, ToDaemon};
use crate::wire::status::{Job, Phase};

/// A daemon that says nothing for so long, not even that a job goes on, is hung.
const SILENCE: Duration = Duration::from_secs(30);

/// After a signal was passed on, how long the remote command may take to end.
const FAREWELL: Duration = Duration::from_secs(2);

/// How the remote attempt ended.
pub(super) enum Ending {
    /// As the command did; with the daemon's record of it.
    Exit(Exit, Option<Box<Job>>),
    /// Run it here; said aloud unless the user asked for it.
    Local { reason: String, quiet: bool },
    /// `cargo run`: the program was built there and runs here.
    RunHere {
        argv: Vec<OsString>,
        env: Vec<(OsString, OsString)>,
    },
    /// The daemon went without a word on the command: it was about to leave, and another can be asked.
    Unanswered(String),
    /// It succeeded, and not all of its output could be written.
    Unwritten(Error),
    /// The user stopped it and the remote side did not follow in time.
    Stopped(i32),
}

fn is_hangup(exit: Exit) -> bool {
    matches!(exit, Exit::Signal(number) if i32::from(number) == SIGPIPE)
}

impl Ending {
    /// As long as nobody has stopped it, with a line that says why.
    pub(super) fn local(reason: String) -> Ending {
        let quiet = false;
        Ending::Local { reason, quiet }
    }
}

pub(super) struct Pump<'a> {
    daemon: &'a mut Daemon,
    signals: &'a Signals,
    sink: Sink,
    line: Line,
    /// The first signal that was passed on, and until when its effect is awaited.
    stopped: Option<(i32, Instant)>,
    /// When the daemon last said something of the command; `None` before.
    heard: Option<Instant>,
    begun: Instant,
    /// What the daemon recorded of the job, once it is over.
    job: Option<Box<Job>>,
    /// Why output was lost, where that is not a reader's wish.
    lost: Option<Error>,
}

impl<'a> Pump<'a> {
    pub(super) fn new(
        daemon: &'a mut Daemon,
        signals: &'a Signals,
        sink: Sink,
        line: Line,
    ) -> Pump<'a> {
        Pump {
            daemon,
            signals,
            sink,
            line,
            stopped: None,
            heard: None,
            begun: Instant::now(),
            job: None,
            lost: None,
        }
    }

    pub(super) fn run(mut self) -> Ending {
        let ending = self.pump();
        self.line.clear();
        // What was held back of a job that starts again here would be shown twice.
        let void = matches!(ending, Ending::Local { .. } | Ending::Unanswered(_));
        let rest = self.sink.end(void);
        if rest.omitted > 0 {
            let whole = self.job.as_ref().map_or(String::new(), |j| {
                format!("; 'rch logs j{}' shows them", j.id)
            });
            say(&format!("{} lines are left out{whole}", rest.omitted));
        }
        self.write(&rest.pieces);
        match (ending, self.lost) {
            // The pipe that was closed there stands for the disk that is full here.
            (Ending::Exit(exit, _), Some(error)) if exit.success() || is_hangup(exit) => {
                Ending::Unwritten(error)
            }
            (ending, _) => ending,
        }
    }

    fn pump(&mut self) -> Ending {
        let mut readable = false;
        loop {
            match self.daemon.poll(readable) {
                Ok(Some(message)) => {
                    readable = false;
                    self.heard = Some(Instant::now());
                    if let Some(ending) = self.take(message) {
                        return ending;
                    }
                    continue;
                }
                Ok(None) => {}
                Err(e) if self.heard.is_none() && self.stopped.is_none() => {
                    return Ending::Unanswered(e.text().into());
                }
                Err(e) => return self.silent(e.text()),
            }
            let now = Instant::now();
            let due = self.sink.due(now);
            self.write(&due);
            self.line.tick(now);
            let limit = self.limit();
            let wake = [self.sink.deadline(), self.line.deadline(now)];
            let wake = wake.into_iter().flatten().fold(limit, Instant::min);
            let patience = wake.saturating_duration_since(Instant::now());
            let ready = match self.wait(patience) {
                Ok(ready) => ready,
                Err(_) => return self.silent("cannot wait"),
            };
            readable = ready;
            while let Some(number) = self.signals.next() {
                self.stop(number);
            }
            // Looked at after the wait: a process that was suspended finds the daemon's words then.
            if !readable && Instant::now() >= self.limit() {
                return self.silent("rchd does not answer");
            }
        }
    }

    /// Waits for the daemon or a signal; true if the daemon has said something.
    fn wait(&self, patience: Duration) -> io::Result<bool> {
        let watch = |fd| Watch {
            fd,
            read: true,
            write: false,
        };
        let both = [watch(self.daemon.as_fd()), watch(self.signals.as_fd())];
        Ok(poll(&both, Some(patience))?[0].readable)
    }

    /// When the daemon counts as lost if nothing happens.
    fn limit(&self) -> Instant {
        match (self.stopped, self.heard) {
            (Some((_, until)), _) => until,
            (None, Some(heard)) => heard + SILENCE,
            (None, None) => self.begun + GREETING,
        }
    }

    fn take(&mut self, message: FromDaemon) -> Option<Ending> {
        match message {
            FromDaemon::Stdout(bytes) => self.put(1, bytes),
            FromDaemon::Stderr(bytes) => self.put(2, bytes),
            FromDaemon::Note(text) => self.say(&text),
            FromDaemon::Exited(exit) => return Some(Ending::Exit(exit, self.job.clone())),
            FromDaemon::Local { reason, quiet } => return Some(self.unless_stopped(reason, quiet)),
            FromDaemon::RunHere { argv, env } => return Some(Ending::RunHere { argv, env }),
            FromDaemon::Error { text, .. } => return Some(self.silent(&text)),
            FromDaemon::Progress(Phase::Over(job)) => self.job = Some(job),
            FromDaemon::Progress(phase) => self.line.phase(phase, Instant::now()),
            FromDaemon::Answer(json) => {
                self.line.clear();
                plan::show(&json);
            }
            FromDaemon::Hello { .. } | FromDaemon::End | FromDaemon::Remark(_) => {}
        }
        None
    }

    fn put(&mut self, stream: u8, bytes: Vec<u8>) {
        let pieces = self.sink.put(stream, bytes, Instant::now());
        self.write(&pieces);
    }

    fn say(&mut self, text: &str) {
        let held = self.sink.flush();
        self.write(&held);
        self.line.clear();
        say(text);
    }

    fn write(&mut self, pieces: &[Piece]) {
        for Piece { stream, bytes } in pieces {
            self.line.make_room(*stream, bytes);
            let done = match stream {
                1 => write_all(io::stdout(), bytes),
                _ => write_all(io::stderr(), bytes),
            };
            if let Err(error) = done {
                // The remote command's own pipe is closed, so that it notices as it would here.
                let _ = self.daemon.send(&ToDaemon::Hangup(*stream));
                self.note_loss(*stream, &error);
            }
        }
    }

    /// A full disk, say. A command that ran here would have failed; one that was done before it could
    /// notice must not seem to have succeeded.
    fn note_loss(&mut self, stream: u8, error: &io::Error) {
        let name = if stream == 1 { "output" } else { "error" };
        if error.kind() != io::ErrorKind::BrokenPipe {
            let what = format!("cannot write to standard {name}");
            self.lost.get_or_insert(Error::os(what, error));
        }
    }

    fn stop(&mut self, number: i32) {
        let _ = self
            .daemon
            .send(&ToDaemon::Signal(u8::try_from(number).unwrap_or(15)));
        self.stopped
            .get_or_insert((number, Instant::now() + FAREWELL));
    }

    fn silent(&self, reason: &str) -> Ending {
        self.unless_stopped(reason.into(), false)
    }

    /// A command that the user stopped is not started again.
    fn unless_stopped(&self, reason: String, quiet: bool) -> Ending {
        match self.stopped {
            Some((number, _)) => Ending::Stopped(number),
            None => Ending::Local { reason, quiet },
        }
    }
}
