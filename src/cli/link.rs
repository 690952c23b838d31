//! Questions to the daemon, and what the command line makes of its answers.
//!
//! Every question has a deadline, and a daemon that is down is an answer with a hint, not an error
//! of the command line.

use std::path::PathBuf;
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::out::{self, Fail, Look};
use crate::client::{Daemon, Unreachable};
use crate::config::Config;
use crate::error::Error;
use crate::exit;
use crate::wire::client::{Ask, FromDaemon, NO_JOB, NO_WORKER};

/// For an answer that the daemon has at hand.
pub const PROMPT: Duration = Duration::from_secs(5);
/// For one that needs a worker to be connected.
pub const PROBE: Duration = Duration::from_secs(60);
/// For one that needs something compiled.
pub const BENCHMARK: Duration = Duration::from_secs(600);

/// The settings in force here; what is wrong with them is said on stderr.
pub fn settings(look: &Look) -> Config {
    let cwd = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    let (config, complaints) = Config::load(&cwd, |name| std::env::var(name).ok());
    out::warn(look, &complaints);
    config
}

/// The running daemon.
///
/// # Errors
/// There is none, or it cannot be reached.
pub fn connect(look: &Look) -> Result<Daemon, Fail> {
    let socket = settings(look).general.socket_path;
    out::mention(look, &format!("asking rchd at '{}'", socket.display()));
    Daemon::connect(&socket).map_err(|why| unreachable(&why))
}

/// The running daemon, or a new one.
///
/// # Errors
/// It cannot be started or reached.
pub fn connect_or_start(look: &Look) -> Result<Daemon, Fail> {
    let socket = settings(look).general.socket_path;
    Daemon::connect_or_start(&socket).map_err(|why| unreachable(&why))
}

pub fn unreachable(why: &Unreachable) -> Fail {
    let error = Error::new(why.reason());
    match why {
        Unreachable::Absent => Fail::new(
            exit::NO,
            "daemon_absent",
            error.hint("the next job starts it, as does 'rch daemon start'"),
        ),
        Unreachable::Forbidden => Fail::new(
            exit::FAILED,
            "daemon_unreachable",
            error.hint("allow the socket in the sandbox's settings, or run rch outside of it"),
        ),
        Unreachable::Failed(e) => Fail::new(exit::FAILED, "daemon_unreachable", e.clone()),
    }
}

pub fn silent(error: Error) -> Fail {
    let hint = "'rch daemon logs' may tell why, 'rch daemon restart' helps";
    let error = match error.remedy() {
        Some(_) => error,
        None => error.hint(hint),
    };
    Fail::new(exit::FAILED, "daemon_unreachable", error)
}

fn refused(text: String, hint: String) -> Fail {
    let error = Error::new(text);
    let error = if hint.is_empty() {
        error
    } else {
        error.hint(hint)
    };
    if [NO_JOB, NO_WORKER]
        .iter()
        .any(|w| error.text().starts_with(w))
    {
        return Fail::absent(error);
    }
    Fail::new(exit::FAILED, "daemon_refused", error)
}

/// Asks a question that has one answer.
///
/// # Errors
/// The daemon refuses, is silent, or answers something else.
pub fn ask<T: DeserializeOwned>(daemon: &mut Daemon, ask: &Ask) -> Result<T, Fail> {
    daemon.ask(ask).map_err(silent)?;
    match daemon.next(PROMPT).map_err(silent)? {
        FromDaemon::Answer(json) => read(&json),
        FromDaemon::Error { text, hint } => Err(refused(text, hint)),
        _ => Err(odd()),
    }
}

/// Asks for several answers; `each` sees every one as it comes.
///
/// # Errors
/// As `ask`.
pub fn ask_all<T: DeserializeOwned>(
    daemon: &mut Daemon,
    ask: &Ask,
    patience: Duration,
    mut each: impl FnMut(T),
) -> Result<(), Fail> {
    daemon.ask(ask).map_err(silent)?;
    loop {
        match daemon.next(patience).map_err(silent)? {
            FromDaemon::Answer(json) => each(read(&json)?),
            FromDaemon::End => return Ok(()),
            FromDaemon::Error { text, hint } => return Err(refused(text, hint)),
            _ => return Err(odd()),
        }
    }
}

/// Asks for something to be done; any answer but an error means that it was.
///
/// # Errors
/// As `ask`.
pub fn order(daemon: &mut Daemon, ask: &Ask) -> Result<(), Fail> {
    daemon.ask(ask).map_err(silent)?;
    match daemon.next(PROMPT).map_err(silent)? {
        FromDaemon::Error { text, hint } => Err(refused(text, hint)),
        _ => Ok(()),
    }
}

/// A message of a stream (a job's recorded output), or what went wrong.
///
/// # Errors
/// As `ask`.
pub fn streamed(daemon: &mut Daemon) -> Result<FromDaemon, Fail> {
    match daemon.next(PROBE).map_err(silent)? {
        FromDaemon::Error { text, hint } => Err(refused(text, hint)),
        message => Ok(message),
    }
}

fn read<T: DeserializeOwned>(json: &[u8]) -> Result<T, Fail> {
    serde_json::from_slice(json).map_err(|_| odd())
}

fn odd() -> Fail {
    silent(Error::new("rchd gave an answer of another kind"))
}
