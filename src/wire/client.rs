//! What `rch` and `rchd` say to each other over the Unix socket.
//!
//! The client speaks first with `Hello`; a daemon of another protocol version answers its own number
//! and closes. Then either one `Exec`, whose answer is a stream that ends with `Exited` or `Local`,
//! or one `Ask`, whose answer is one `Answer` (or several, ended by `End`, for what streams).
//! Questions and answers are JSON, because people's `--json` shows them; a job's bytes are not.

use std::ffi::OsString;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::bytes::{Malformed, Parsed, Reader, Writer};
use crate::sys::process::Exit;
use crate::wire::worker::{get_exit, put_exit};
use crate::wire::{self, Frame};

/// What the length of a string takes.
const PREFIX: usize = 4;
/// Bytes of a reason or an error that are told.
const TOLD: usize = 16 << 10;

/// How errors begin that say that what was named does not exist.
pub const NO_JOB: &str = "no job '";
pub const NO_WORKER: &str = "no worker '";

/// One compile command, as the agent's shell started it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exec {
    pub argv: Vec<OsString>,
    pub cwd: PathBuf,
    /// The whole environment; the daemon picks what may travel.
    pub env: Vec<(OsString, OsString)>,
    /// Names of the variables that the command itself set (`RUST_BACKTRACE=1 cargo test`).
    pub own: Vec<OsString>,
    /// Whether stdout and stderr are terminals.
    pub tty: (bool, bool),
    /// stdout and stderr are one and the same pipe, file or terminal.
    pub merged: bool,
    /// `RCH_REQUIRE_REMOTE`: `Local` is never wanted.
    pub require_remote: bool,
}

impl Exec {
    /// Whether a frame has no room for it, here or, with what is added, on the way to a worker.
    pub fn is_too_long(&self) -> bool {
        let args = self.argv.iter().chain(&self.own).map(|a| a.len() + PREFIX);
        let env = self.env.iter();
        let env = env.map(|(k, v)| k.len() + v.len() + 2 * PREFIX);
        args.chain(env).sum::<usize>() > wire::MAX_BODY / 2
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToDaemon {
    Hello {
        protocol: u16,
        version: String,
    },
    Exec(Box<Exec>),
    Signal(u8),
    Ask(Ask),
    /// Nobody reads stdout (1) or stderr (2) any more.
    Hangup(u8),
}

/// What people ask. A new question is a new variant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// Answered by `status::Status`.
    Status,
    /// Open a session to each (all, if empty) and tell what was found: one `status::Probe` each, then `End`.
    Probe {
        workers: Vec<String>,
    },
    /// Finish nothing, start nothing, leave.
    Stop,
    /// Read the configuration again.
    Reload,
    /// Recorded output of a job, as `Stdout`/`Stderr` frames and then `Exited`.
    Logs {
        job: u64,
    },
    Cancel {
        job: u64,
    },
    /// Keep new jobs off a worker, or let them on again; lasts over restarts.
    Drain {
        worker: String,
        on: bool,
    },
    /// Measure each (all, if empty): one `status::Benchmark` each, then `End`.
    Benchmark {
        workers: Vec<String>,
        /// The environment of whoever asks, in which the compilation runs; empty: the daemon's.
        #[serde(default)]
        env: Vec<(String, String)>,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub enum FromDaemon {
    Hello {
        protocol: u16,
        version: String,
    },
    Stdout(Vec<u8>),
    Stderr(Vec<u8>),
    /// The job is done and its products are in place.
    Exited(Exit),
    /// Run it here. `reason` is for one stderr line; `quiet` when the user asked for it to be so.
    Local {
        reason: String,
        quiet: bool,
    },
    /// One line the agent must see (a retry, a file kept).
    Note(String),
    /// What is going on, for a terminal's progress line.
    Progress(status::Phase),
    /// JSON.
    Answer(Vec<u8>),
    End,
    /// The question could not be answered.
    Error {
        text: String,
        hint: String,
    },
    /// One line for the record alone (a cache left out): of no use to the agent.
    Remark(String),
    /// Run this program here, with this environment added: what `cargo run` ends with.
    RunHere {
        argv: Vec<OsString>,
        env: Vec<(OsString, OsString)>,
    },
}

use crate::wire::status;

fn put_args(w: &mut Writer, args: &[OsString]) {
    w.list(args, |w, a| {
        w.bytes(a.as_encoded_bytes());
    });
}

fn put_env(w: &mut Writer, env: &[(OsString, OsString)]) {
    w.list(env, |w, (k, v)| {
        w.bytes(k.as_encoded_bytes()).bytes(v.as_encoded_bytes());
    });
}

fn get_env(r: &mut Reader<'_>) -> Parsed<Vec<(OsString, OsString)>> {
    r.list(|r| Ok((r.os()?, r.os()?)))
}

fn put_json<T: Serialize>(out: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(out, value).expect("BUG: a message that JSON cannot hold");
}

fn get_json<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Parsed<T> {
    serde_json::from_slice(body).map_err(|_| Malformed)
}

impl ToDaemon {
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            ToDaemon::Hello { protocol, version } => frame(out, 1, |w| {
                w.u16(*protocol).str(version);
            }),
            ToDaemon::Exec(e) => frame(out, 2, |w| {
                put_args(w, &e.argv);
                w.path(&e.cwd);
                put_env(w, &e.env);
                put_args(w, &e.own);
                w.flag(e.tty.0)
                    .flag(e.tty.1)
                    .flag(e.merged)
                    .flag(e.require_remote);
            }),
            ToDaemon::Signal(s) => frame(out, 3, |w| {
                w.u8(*s);
            }),
            ToDaemon::Ask(ask) => wire::put(out, 4, |out| put_json(out, ask)),
            ToDaemon::Hangup(stream) => frame(out, 5, |w| {
                w.u8(*stream);
            }),
        }
    }

    /// # Errors
    /// `Malformed` for an unknown kind or a body that does not fit it.
    pub fn decode(frame: Frame<'_>) -> Parsed<ToDaemon> {
        let mut r = Reader::new(frame.body);
        let message = match frame.kind {
            1 => ToDaemon::Hello {
                protocol: r.u16()?,
                version: r.str()?,
            },
            2 => ToDaemon::Exec(Box::new(Exec {
                argv: r.list(Reader::os)?,
                cwd: r.path()?,
                env: get_env(&mut r)?,
                own: r.list(Reader::os)?,
                tty: (r.flag()?, r.flag()?),
                merged: r.flag()?,
                require_remote: r.flag()?,
            })),
            3 => ToDaemon::Signal(r.u8()?),
            4 => ToDaemon::Ask(get_json(r.rest())?),
            5 => ToDaemon::Hangup(r.u8()?),
            _ => return Err(Malformed),
        };
        r.end()?;
        Ok(message)
    }
}

impl FromDaemon {
    /// An answer in JSON.
    pub fn answer<T: Serialize>(value: &T) -> FromDaemon {
        let mut out = Vec::new();
        put_json(&mut out, value);
        if out.len() > wire::MAX_BODY {
            return FromDaemon::Error {
                text: format!("the answer has {} bytes, which is too long", out.len()),
                hint: String::new(),
            };
        }
        FromDaemon::Answer(out)
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            FromDaemon::Hello { protocol, version } => frame(out, 1, |w| {
                w.u16(*protocol).str(version);
            }),
            FromDaemon::Stdout(b) => wire::put(out, 2, |out| out.extend_from_slice(b)),
            FromDaemon::Stderr(b) => wire::put(out, 3, |out| out.extend_from_slice(b)),
            FromDaemon::Exited(exit) => frame(out, 4, |w| put_exit(w, *exit)),
            FromDaemon::Local { reason, quiet } => frame(out, 5, |w| {
                w.str(some(reason)).flag(*quiet);
            }),
            FromDaemon::Note(text) => frame(out, 6, |w| {
                w.str(some(text));
            }),
            FromDaemon::Progress(phase) => wire::put(out, 7, |out| put_json(out, phase)),
            FromDaemon::Answer(json) => wire::put(out, 8, |out| out.extend_from_slice(json)),
            FromDaemon::End => wire::put(out, 9, |_| {}),
            FromDaemon::Error { text, hint } => frame(out, 10, |w| {
                w.str(some(text)).str(some(hint));
            }),
            FromDaemon::RunHere { argv, env } => frame(out, 11, |w| {
                put_args(w, argv);
                put_env(w, env);
            }),
            FromDaemon::Remark(text) => frame(out, 12, |w| {
                w.str(some(text));
            }),
        }
    }

    /// # Errors
    /// As `ToDaemon::decode`.
    pub fn decode(frame: Frame<'_>) -> Parsed<FromDaemon> {
        let mut r = Reader::new(frame.body);
        let message = match frame.kind {
            1 => FromDaemon::Hello {
                protocol: r.u16()?,
                version: r.str()?,
            },
            2 => FromDaemon::Stdout(r.rest().to_vec()),
            3 => FromDaemon::Stderr(r.rest().to_vec()),
            4 => FromDaemon::Exited(get_exit(&mut r)?),
            5 => FromDaemon::Local {
                reason: r.str()?,
                quiet: r.flag()?,
            },
            6 => FromDaemon::Note(r.str()?),
            7 => FromDaemon::Progress(get_json(r.rest())?),
            8 => FromDaemon::Answer(r.rest().to_vec()),
            9 => FromDaemon::End,
            10 => FromDaemon::Error {
                text: r.str()?,
                hint: r.str()?,
            },
            11 => FromDaemon::RunHere {
                argv: r.list(Reader::os)?,
                env: get_env(&mut r)?,
            },
            12 => FromDaemon::Remark(r.str()?),
            _ => return Err(Malformed),
        };
        r.end()?;
        Ok(message)
    }
}

/// As much of a text as is ever told; some of them are a worker's, who may say what it likes.
fn some(text: &str) -> &str {
    &text[..text.floor_char_boundary(TOLD)]
}

fn frame(out: &mut Vec<u8>, kind: u8, body: impl FnOnce(&mut Writer)) {
    let mut w = Writer::default();
    body(&mut w);
    wire::put(out, kind, |out| out.extend_from_slice(&w.0));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_survives_the_way_there_and_back() {
        let exec = Exec {
            argv: vec!["make".into(), "a b".into()],
            cwd: "/w".into(),
            env: vec![("A".into(), "é\n".into())],
            own: vec!["A".into()],
            tty: (true, false),
            merged: false,
            require_remote: true,
        };
        let to = [
            ToDaemon::Hello {
                protocol: 1,
                version: "0".into(),
            },
            ToDaemon::Exec(Box::new(exec)),
            ToDaemon::Signal(15),
            ToDaemon::Hangup(1),
            ToDaemon::Ask(Ask::Probe {
                workers: vec!["css".into()],
            }),
        ];
        for message in to {
            wire::travels(&message, ToDaemon::encode, ToDaemon::decode);
        }
        let from = [
            FromDaemon::Hello {
                protocol: 1,
                version: "0".into(),
            },
            FromDaemon::Stdout(b"x".to_vec()),
            FromDaemon::Stderr(vec![]),
            FromDaemon::Exited(Exit::Code(101)),
            FromDaemon::Local {
                reason: "r".into(),
                quiet: false,
            },
            FromDaemon::Note("n".into()),
            FromDaemon::Remark("r".into()),
            FromDaemon::Progress(status::Phase::Queued {
                place: 2,
                reason: "busy".into(),
            }),
            FromDaemon::answer(&3),
            FromDaemon::End,
            FromDaemon::Error {
                text: "t".into(),
                hint: String::new(),
            },
            FromDaemon::RunHere {
                argv: vec!["./a".into()],
                env: vec![],
            },
        ];
        for message in from {
            wire::travels(&message, FromDaemon::encode, FromDaemon::decode);
        }
    }

    /// A worker's complaint of a megabyte, with a few words in front, was more than a frame holds, and
    /// the daemon's end.
    #[test]
    fn what_others_said_always_fits_into_a_frame() {
        let long = "é".repeat(wire::MAX_BODY);
        for message in [
            FromDaemon::Note(long.clone()),
            FromDaemon::Local {
                reason: long.clone(),
                quiet: false,
            },
            FromDaemon::Error {
                text: long.clone(),
                hint: long.clone(),
            },
            FromDaemon::answer(&long),
        ] {
            let mut out = vec![];
            message.encode(&mut out);
            let (frame, _) = wire::split(&out).unwrap().unwrap();
            assert!(FromDaemon::decode(frame).is_ok());
        }
    }
}
