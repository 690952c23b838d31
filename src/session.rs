//! One `rch-wkr serve` and the pipes to it: its greeting, its liveness, its messages.
//!
//! Whatever carries it, ssh, a command or nothing, a session is a child whose stdin and stdout
//! speak the worker protocol. It does not know what a job is beyond the id it is busy with, and
//! decides nothing: it reports what arrived. Every state has a deadline; a session that misses one
//! is dead, and its death kills at most one job.

mod clock;

use std::process::Command;
use std::time::{Duration, Instant};

use clock::Clock;

use crate::child::Child;
use crate::conn::Conn;
use crate::error::Error;
use crate::ids::{JobId, WorkerId};
use crate::plan::remedy::{COPY_AGAIN, TRY, explain, mute};
use crate::poll::Ready;
use crate::time::{self, Stamp};
use crate::wire::worker::{Facts, FromWorker, ToWorker};
use crate::wire::{self, MAX_NOISE, PACK, PREAMBLE};

/// From the start of the child to its `Ready`.
const CONNECT: Duration = Duration::from_secs(15);
/// How often a peer is asked for a sign of life, which is one of ours for it.
const PING: Duration = Duration::from_secs(30);
/// Silence after a ping that means death.
const SILENCE: Duration = Duration::from_secs(20);
/// Between the end of the pipes and that of the child, which may still say why.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long a lane may take to be given back.
const CLOSE: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Started; has not said `Ready`.
    Connecting,
    /// Idle, in the pool.
    Ready,
    /// Serves this job.
    Busy(JobId),
    /// `Close` has been sent; `Closed` has not come.
    Closing,
    /// The child is going or gone.
    Dead,
}

/// What came from the worker.
#[derive(Debug)]
pub enum Incoming {
    /// It has greeted; facts and clock are known now.
    Greeted,
    Message(FromWorker),
    /// Whole frames of file content, for the landing.
    Files(Vec<u8>),
    /// The session is dead, for this reason. Comes once.
    Lost(Error),
}

#[derive(Debug)]
pub struct Session {
    pub worker: WorkerId,
    /// The master it goes through, if it does.
    carrier: Option<u64>,
    child: Child,
    conn: Conn,
    state: State,
    greeted: bool,
    /// The worker's side of the pipes has closed.
    hung_up: bool,
    /// It ended because nothing came from the worker any more.
    silent: bool,
    /// When it was greeted, or asked last for a sign of life.
    asked_at: Instant,
    /// The greeting or ping that is not answered yet, if its answer takes a round trip and no more.
    asked: Option<(Instant, Stamp)>,
    facts: Facts,
    version: String,
    clock: Clock,
    /// One round trip, once a ping has been answered: the greeting's time holds a login and the
    /// look at the machine.
    latency: Option<Duration>,
    /// When the ping was sent that nothing has followed yet.
    pinged: Option<Instant>,
    /// How much had been written, and since when it is no more.
    progress: (u64, Instant),
    /// When the present state must have ended.
    deadline: Option<Instant>,
    idle_since: Instant,
    /// Its worker is now reached in another way: it serves its job and no other.
    retired: bool,
}

impl Session {
    /// Starts `cmd` and greets whatever answers.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn start(
        worker: WorkerId,
        cmd: &mut Command,
        client: &str,
        now: Instant,
    ) -> Result<Session, Error> {
        let (child, pipes) = Child::spawn(cmd).map_err(|e| {
            Error::os(
                format_args!("cannot start '{}'", cmd.get_program().to_string_lossy()),
                &e,
            )
        })?;
        let mut conn = Conn::new(pipes.stdout, pipes.stdin);
        let stamp = time::now();
        ToWorker::Hello {
            protocol: wire::PROTOCOL,
            version: wire::VERSION.into(),
            now: stamp,
            client: client.into(),
        }
        .encode(conn.out());
        Ok(Session {
            worker,
            carrier: None,
            child,
            conn,
            state: State::Connecting,
            greeted: false,
            hung_up: false,
            silent: false,
            asked_at: now,
            asked: Some((now, stamp)),
            facts: Facts::default(),
            version: String::new(),
            clock: Clock::default(),
            latency: None,
            pinged: None,
            progress: (0, now),
            deadline: Some(now + CONNECT),
            idle_since: now,
            retired: false,
        })
    }

    pub fn carried_by(&mut self, master: u64) {
        self.carrier = Some(master);
    }

    /// The master whose room it takes, as long as it lives.
    pub fn carrier(&self) -> Option<u64> {
        self.carrier.filter(|_| self.state != State::Dead)
    }

    /// The master it went through, if it died of silence: that may be the master's.
    pub fn silent_carrier(&self) -> Option<u64> {
        self.carrier.filter(|_| self.silent)
    }

    pub fn state(&self) -> State {
        self.state
    }

    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    pub fn version(&self) -> &str {
        &self.version
    }

    /// The worker's clock minus ours.
    pub fn offset(&self) -> Stamp {
        self.clock.offset()
    }

    /// One round trip; `None` before a ping has been answered.
    pub fn latency(&self) -> Option<Duration> {
        self.latency
    }

    pub fn idle_since(&self) -> Instant {
        self.idle_since
    }

    pub fn conn(&mut self) -> &mut Conn {
        &mut self.conn
    }

    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    pub fn send(&mut self, message: &ToWorker) {
        message.encode(self.conn.out());
    }

    pub fn note_output(&mut self, ready: Ready) {
        self.conn.note(ready);
    }

    pub fn note_stderr(&mut self, ready: Ready) {
        self.child.note(ready);
    }

    /// Makes every transition of the state, and sets the deadline that goes with it.
    fn become_(&mut self, next: State, now: Instant) {
        let legal = match (self.state, next) {
            (State::Connecting | State::Closing, State::Ready)
            | (State::Ready, State::Busy(_))
            | (State::Busy(_), State::Closing) => true,
            (old, State::Dead) => old != State::Dead,
            _ => false,
        };
        assert!(
            legal,
            "BUG: a session cannot go from {:?} to {next:?}",
            self.state
        );
        self.state = next;
        self.idle_since = now;
        self.deadline = (next == State::Closing).then(|| now + CLOSE);
    }

    /// Takes the session for a job.
    pub fn take(&mut self, job: JobId, now: Instant) {
        self.become_(State::Busy(job), now);
    }

    /// Gives the lane back; the session is idle when the worker has said so.
    pub fn release(&mut self, now: Instant) {
        self.send(&ToWorker::Close);
        self.become_(State::Closing, now);
    }

    /// Ends it: the worker sees its stdin close, and what does not listen is killed.
    pub fn end(&mut self, now: Instant) {
        if self.state != State::Dead {
            self.become_(State::Dead, now);
        }
        self.conn.close_output();
        self.child.end(now);
    }

    /// Lets it serve its job, if it has one, and no other.
    pub fn retire(&mut self, now: Instant) {
        self.retired = true;
        if !matches!(self.state, State::Busy(_) | State::Closing) {
            self.end(now);
        }
    }

    pub fn is_retired(&self) -> bool {
        self.retired
    }

    /// The next thing that arrived, if any. `files` says whether file content is wanted now.
    pub fn next(&mut self, now: Instant, files: bool) -> Option<Incoming> {
        if self.state == State::Dead {
            return None;
        }
        match self.read(now, files) {
            Ok(Some(incoming)) => Some(incoming),
            Ok(None) if self.is_lost(now) => Some(self.lost(now)),
            Ok(None) => None,
            Err(error) => {
                self.end(now);
                Some(Incoming::Lost(error))
            }
        }
    }

    fn read(&mut self, now: Instant, files: bool) -> Result<Option<Incoming>, Error> {
        let met = self.greeted;
        let garbled = || {
            let error = Error::new("the worker does not speak our protocol");
            if met { error } else { error.hint(COPY_AGAIN) }
        };
        if !self.greeted {
            self.greeted = self
                .conn
                .skip_to(PREAMBLE, MAX_NOISE)
                .map_err(|_| garbled())?;
            if !self.greeted {
                return Ok(None);
            }
        }
        let Some((frame, _)) = wire::split(self.conn.unread()).map_err(|_| garbled())? else {
            return Ok(None);
        };
        self.pinged = None;
        let is_file = matches!(
            frame.kind,
            PACK | FromWorker::FILE | FromWorker::DATA | FromWorker::PATCH
        );
        if is_file && !files {
            return Ok(None);
        }
        let taken = self
            .conn
            .frame()
            .map_err(|_| garbled())?
            .expect("BUG: the frame was whole");
        if is_file {
            return Ok(Some(Incoming::Files(taken.raw().to_vec())));
        }
        let message = FromWorker::decode(taken.get()).map_err(|_| garbled())?;
        drop(taken);
        self.digest(message, now).map(Some)
    }

    /// Looks at what concerns the session itself.
    fn digest(&mut self, message: FromWorker, now: Instant) -> Result<Incoming, Error> {
        match message {
            FromWorker::Ready {
                protocol,
                version,
                now: theirs,
                facts,
            } => {
                if protocol != wire::PROTOCOL || self.state != State::Connecting {
                    return Err(version_error(&version, protocol));
                }
                self.answered(theirs, now);
                self.facts = facts;
                self.version = version;
                self.become_(State::Ready, now);
                self.ping(now);
                Ok(Incoming::Greeted)
            }
            // What it says instead of a greeting.
            FromWorker::Failed { text, .. } if self.state == State::Connecting => {
                Err(Error::new(text))
            }
            FromWorker::Pong { now: theirs } => {
                if let Some(took) = self.answered(theirs, now) {
                    self.latency = Some(took);
                }
                Ok(Incoming::Message(FromWorker::Pong { now: theirs }))
            }
            FromWorker::Closed if self.state == State::Closing => {
                self.become_(State::Ready, now);
                Ok(Incoming::Message(FromWorker::Closed))
            }
            message => Ok(Incoming::Message(message)),
        }
    }

    /// Takes the worker's clock from its answer, and tells how long that took.
    fn answered(&mut self, theirs: Stamp, now: Instant) -> Option<Duration> {
        let (sent, stamp) = self.asked.take()?;
        let took = now.duration_since(sent);
        self.clock.heard(stamp, theirs, took);
        Some(took)
    }

    /// Asks for a sign of life, unless one is awaited.
    pub fn ping(&mut self, now: Instant) {
        if self.pinged.is_some() {
            return;
        }
        // Behind a job's output the answer tells of life and of nothing else.
        self.asked = (self.state == State::Ready).then(|| (now, time::now()));
        self.asked_at = now;
        self.pinged = Some(now);
        self.send(&ToWorker::Ping);
    }

    /// Whether it is over. The pipes close first and the reason follows on stderr, so the child is
    /// given a moment to end by itself.
    fn is_lost(&mut self, now: Instant) -> bool {
        if self.conn.is_over() && !self.hung_up {
            self.hung_up = true;
            self.conn.close_output();
            self.deadline = Some(now + LAST_WORDS);
        }
        self.child.ended().is_some()
            || self.deadline.is_some_and(|at| now >= at)
            || self.silent_from().is_some_and(|at| now >= at)
    }

    /// When an unanswered ping means death. While what was sent before it still moves, however
    /// slowly, there is life.
    fn silent_from(&self) -> Option<Instant> {
        let pinged = self.pinged?;
        Some(pinged.max(self.progress.1) + SILENCE)
    }

    fn lost(&mut self, now: Instant) -> Incoming {
        let said = self.child.said();
        let closed = self.hung_up || self.child.ended().is_some();
        self.silent = !closed;
        self.end(now);
        let met = !self.version.is_empty();
        Incoming::Lost(match (closed, said.as_str()) {
            (true, "") if met => Error::new("the connection was closed"),
            (true, "") => mute(self.child.ended()),
            (true, said) => explain(said),
            (false, _) if !met => {
                let text = format!(
                    "rch-wkr there did not answer within {} seconds",
                    CONNECT.as_secs()
                );
                Error::new(text).hint(TRY)
            }
            (false, _) => Error::new("the worker has fallen silent"),
        })
    }

    /// What is due though nothing happens: reaping, escalation, pings.
    pub fn tend(&mut self, now: Instant) {
        self.child.tend(now);
        if self.retired && self.state == State::Ready {
            self.end(now);
        }
        if self.conn.written() > self.progress.0 {
            self.progress = (self.conn.written(), now);
        }
        let talks = matches!(self.state, State::Ready | State::Busy(_) | State::Closing);
        if talks && self.pinged.is_none() && now >= self.asked_at + PING {
            self.ping(now);
        }
    }

    /// Whether a turn of the loop would move bytes without a new event.
    pub fn wants_turn(&self) -> bool {
        self.conn.has_work()
    }

    /// True once the child is reaped; the session may be dropped.
    pub fn is_gone(&self) -> bool {
        self.state == State::Dead && self.child.ended().is_some()
    }

    /// When `tend` or `next` has something to do though nothing happens.
    pub fn next_deadline(&self) -> Option<Instant> {
        let alive = self.state != State::Dead;
        let ping = self.silent_from().unwrap_or(self.asked_at + PING);
        let ping = (alive && self.state != State::Connecting).then_some(ping);
        let state = self.deadline.filter(|_| alive);
        [self.child.deadline(), ping, state]
            .into_iter()
            .flatten()
            .min()
    }
}

fn version_error(version: &str, protocol: u16) -> Error {
    Error::new(format!(
        "rch-wkr {version} speaks protocol {protocol}, rchd {} speaks {}",
        wire::VERSION,
        wire::PROTOCOL
    ))
    .hint(COPY_AGAIN)
}
