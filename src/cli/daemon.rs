//! `rch daemon …`: starting, stopping and watching rchd.
//!
//! `start` answers when the daemon does; `stop` when the process has gone, by its pidfd, so that a
//! `start` right behind it finds no leftover.

use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::json;

use super::grid::fold;
use super::jobs::said;
use super::out::{self, Done, Fail, Format, Look, clean, print};
use super::parse::Call;
use super::{Outcome, link, status};
use crate::client::{self, Daemon, Unreachable};
use crate::error::{Error, Result};
use crate::sys::fd::poll;
use crate::sys::process;
use crate::sys::signal::SIGTERM;
use crate::sys::socket::peer;
use crate::wire::client::Ask;
use crate::wire::status::Status;

/// How often `--follow` looks for new lines.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// How much of a log's end is read for `--tail`.
const TAIL: u64 = 4 << 20;
/// How often a daemon that was asked to leave is looked for.
const GONE: Duration = Duration::from_millis(20);
/// How long a daemon may take to leave.
const FAREWELL: Duration = Duration::from_secs(10);

/// Where the daemon writes its log when it runs in the background.
pub fn log_file() -> PathBuf {
    crate::paths::cache_dir().join("rchd.log")
}

pub fn start(call: &Call) -> Outcome {
    let look = Look::here(&call.given);
    let socket = link::settings(&look).general.socket_path;
    let (mut daemon, new) = match Daemon::connect(&socket) {
        Ok(daemon) => (daemon, false),
        Err(Unreachable::Absent) => {
            let daemon = client::start(&socket).map_err(|why| link::unreachable(&why))?;
            (daemon, true)
        }
        Err(why) => return Err(link::unreachable(&why)),
    };
    let status: Status = link::ask(&mut daemon, &Ask::Status)?;
    // It says so in its log alone, and runs without them.
    out::warn(&look, &crate::config::workers().err().unwrap_or_default());
    let word = if new {
        "started"
    } else {
        "was running already"
    };
    let text = format!(
        "rchd {} {word} (pid {})\n",
        clean(&status.daemon.version),
        status.daemon.pid
    );
    Ok(Done::new(
        said(&look, &text),
        json!({ "started": new, "daemon": status.daemon }),
    ))
}

pub fn stop(call: &Call) -> Outcome {
    let look = Look::here(&call.given);
    let stopped = leave(&look)?;
    let text = if stopped {
        "rchd stopped\n"
    } else {
        "rchd was not running\n"
    };
    Ok(Done::new(said(&look, text), json!({ "stopped": stopped })))
}

/// Asks the daemon to leave and waits until it has; false if there was none.
fn leave(look: &Look) -> std::result::Result<bool, Fail> {
    let mut daemon = match link::connect(look) {
        Ok(daemon) => daemon,
        Err(fail) if fail.code == "daemon_absent" => return Ok(false),
        Err(fail) => return Err(fail),
    };
    daemon.ask(&Ask::Stop).map_err(link::silent)?;
    // It answers or not; when the connection ends, it is about to leave.
    while daemon.next(FAREWELL).is_ok() {}
    if daemon.is_deaf() {
        dismiss(&daemon);
    }
    let until = Instant::now() + FAREWELL;
    while Instant::now() < until {
        match link::connect(look) {
            Err(fail) if fail.code == "daemon_absent" => return Ok(true),
            _ => poll(&[], Some(GONE)).map_err(|e| Fail::system(Error::os("cannot wait", &e)))?,
        };
    }
    Err(link::silent(Error::new("rchd does not stop")))
}

/// One that an update has left behind hears no word of ours, but signals it knows.
fn dismiss(daemon: &Daemon) {
    let Ok(peer) = peer(daemon) else { return };
    let name = std::fs::read(format!("/proc/{}/comm", peer.pid.0)).unwrap_or_default();
    // A supervisor may have made the socket.
    if name == b"rchd\n" {
        let _ = process::kill(peer.pid, SIGTERM);
    }
}

pub fn restart(call: &Call) -> Outcome {
    leave(&Look::here(&call.given))?;
    start(call)
}

pub fn status(call: &Call) -> Outcome {
    let look = Look::here(&call.given);
    let mut daemon = link::connect(&look)?;
    let status: Status = link::ask(&mut daemon, &Ask::Status)?;
    let mut text = status::daemon(&look, &status.daemon, &status.workers);
    text.push_str(&format!(
        "listening on '{}'\n",
        clean(&status.daemon.socket)
    ));
    Ok(Done::new(said(&look, &text), json!(status.daemon)))
}

pub fn reload(call: &Call) -> Outcome {
    let look = Look::here(&call.given);
    // What is wrong with a file is the daemon's answer.
    let quiet = Look {
        quiet: true,
        ..look
    };
    let mut daemon = link::connect(&quiet)?;
    link::order(&mut daemon, &Ask::Reload)?;
    Ok(Done::new(
        said(&look, "rchd has read its configuration\n"),
        json!({ "reloaded": true }),
    ))
}

pub fn logs(call: &Call) -> Outcome {
    let look = Look::here(&call.given);
    let lines = match call.given.value("tail") {
        Some(n) => n
            .parse()
            .map_err(|_| Fail::usage(Error::new(format!("'--tail' needs a number, not '{n}'"))))?,
        None => 50,
    };
    let mut log = Log::open().map_err(|e| Fail::new(crate::exit::FAILED, "not_found", e))?;
    let text = last_lines(&log.tail().map_err(Fail::system)?, lines);
    if look.format != Format::People {
        let lines: Vec<&str> = text.lines().collect();
        return Ok(Done::new(
            "",
            json!({ "file": log.path.display().to_string(), "lines": lines }),
        ));
    }
    let text = shown(&look, &text);
    if !call.given.has("follow") {
        return Ok(Done::new(text, json!(null)));
    }
    let mut read = print(text.as_bytes())?;
    while read {
        poll(&[], Some(LOOK_AGAIN)).map_err(|e| Fail::system(Error::os("cannot wait", &e)))?;
        let more = log.more().map_err(Fail::system)?;
        read = print(shown(&look, &String::from_utf8_lossy(&more)).as_bytes())?;
    }
    Ok(Done::default())
}

/// The log for who looks at it: on a terminal its lines are folded, elsewhere they are as they are.
fn shown(look: &Look, text: &str) -> String {
    if !look.terminal {
        return text.into();
    }
    let line = |line: &str| match line.strip_suffix('\n') {
        Some(line) => format!("{}\n", fold(line, 0, 4, look.width)),
        None => line.into(),
    };
    text.split_inclusive('\n').map(line).collect()
}

/// The daemon's log, read from where we are.
struct Log {
    path: PathBuf,
    file: std::fs::File,
    at: u64,
}

impl Log {
    fn open() -> Result<Log> {
        let path = log_file();
        let file = std::fs::File::open(&path).map_err(|e| {
            Error::path("open", &path, &e).hint("a daemon that runs in the background writes it")
        })?;
        Ok(Log { path, file, at: 0 })
    }

    fn tail(&mut self) -> Result<String> {
        let len = self.file.metadata().map_or(0, |m| m.len());
        self.at = len.saturating_sub(TAIL);
        let bytes = self.more()?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// What has been written since; from the start again if the file was cut or replaced.
    fn more(&mut self) -> Result<Vec<u8>> {
        use std::os::unix::fs::MetadataExt;
        let ino = |m: std::io::Result<std::fs::Metadata>| m.map(|m| m.ino()).ok();
        let here = ino(self.file.metadata());
        if let Ok(file) = std::fs::File::open(&self.path)
            && (ino(file.metadata()) != here || file.metadata().is_ok_and(|m| m.len() < self.at))
        {
            (self.file, self.at) = (file, 0);
        }
        let mut bytes = vec![];
        self.file
            .seek(SeekFrom::Start(self.at))
            .and_then(|_| self.file.by_ref().take(TAIL).read_to_end(&mut bytes))
            .map_err(|e| Error::path("read", &self.path, &e))?;
        self.at += bytes.len() as u64;
        Ok(bytes)
    }
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(count);
    lines[from..].iter().map(|l| format!("{l}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_whole() {
        assert_eq!(last_lines("a\nb\nc\n", 2), "b\nc\n");
        assert_eq!(last_lines("a\nb", 5), "a\nb\n");
        assert_eq!(last_lines("a\n", 0), "");
    }
}
