//! The way from a command to the daemon: connect, start it if need be, exchange frames.
//!
//! Blocking, with a deadline on everything but a job's own run. Twenty clients that find no daemon
//! start one: each takes the lock beside the socket, and whoever gets it second finds the first
//! one's daemon. The lock belongs to the kernel, so a client that dies holds nobody up. Failing to
//! reach a daemon is an expected outcome here (`Unreachable`), because an agent's build goes on.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::paths;
use crate::sys::fd::{self, Watch};
use crate::sys::process;
use crate::wire::client::{Ask, FromDaemon, ToDaemon};
use crate::wire::{self, MAX_BODY};

/// How long a daemon may take to accept, or to come up.
const START: Duration = Duration::from_secs(5);
/// How long a daemon may take to answer a greeting.
pub const GREETING: Duration = Duration::from_secs(3);
const READ: usize = 64 << 10;

/// Why there is no daemon to talk to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unreachable {
    /// Nobody listens.
    Absent,
    /// The socket may not be used from here (an agent's sandbox).
    Forbidden,
    /// It was started, and is not there; or it is there, and not in order.
    Failed(Error),
}

impl Unreachable {
    /// For the one stderr line of a fallback.
    pub fn reason(&self) -> String {
        match self {
            Unreachable::Absent => "rchd is not running".into(),
            Unreachable::Forbidden => "this process may not use rchd's socket (a sandbox?)".into(),
            Unreachable::Failed(e) => e.text().into(),
        }
    }
}

#[derive(Debug)]
pub struct Daemon {
    stream: UnixStream,
    input: Vec<u8>,
    start: usize,
    /// It has greeted in another protocol, and listens to nothing.
    deaf: bool,
}

impl Daemon {
    /// Connects to a running daemon.
    ///
    /// # Errors
    /// `Unreachable`, by kind.
    pub fn connect(socket: &Path) -> Result<Daemon, Unreachable> {
        // A home that is not absolute would mean another place to each of us.
        if !socket.is_absolute() {
            let text = format!("the socket's path '{}' is not absolute", socket.display());
            let hint = match paths::home().is_absolute() {
                true => "let general.socket_path begin with '/' or '~/'",
                false => "set HOME to an absolute path",
            };
            return Err(Unreachable::Failed(Error::new(text).hint(hint)));
        }
        let long = socket.as_os_str().len();
        if long > paths::MAX_SOCKET {
            let text = format!(
                "the socket's path is {long} bytes long, the kernel takes {}",
                paths::MAX_SOCKET
            );
            let hint = "'rch config set general.socket_path PATH' takes a shorter one";
            return Err(Unreachable::Failed(Error::new(text).hint(hint)));
        }
        // Where others may write, another's socket may stand in the daemon's place.
        let owner = socket.metadata().map_or(None, |m| Some(m.uid()));
        if owner.is_some_and(|uid| uid != process::getuid()) {
            let text = format!("the socket '{}' belongs to another user", socket.display());
            let hint = "'rch config set general.socket_path PATH' takes one in a folder of yours";
            return Err(Unreachable::Failed(Error::new(text).hint(hint)));
        }
        let stream = UnixStream::connect(socket).map_err(|e| match e.raw_os_error() {
            Some(libc_errno::ENOENT | libc_errno::ECONNREFUSED) => Unreachable::Absent,
            Some(libc_errno::EPERM | libc_errno::EACCES) => Unreachable::Forbidden,
            _ => Unreachable::Failed(Error::path("connect to", socket, &e)),
        })?;
        let mut daemon = Daemon {
            stream,
            input: Vec::new(),
            start: 0,
            deaf: false,
        };
        let hello = ToDaemon::Hello {
            protocol: wire::PROTOCOL,
            version: wire::VERSION.into(),
        };
        daemon.send(&hello).map_err(Unreachable::Failed)?;
        Ok(daemon)
    }

    /// Connects, starting the daemon if there is none.
    ///
    /// # Errors
    /// As `connect`; never `Absent`.
    pub fn connect_or_start(socket: &Path) -> Result<Daemon, Unreachable> {
        match Daemon::connect(socket) {
            Err(Unreachable::Absent) => start(socket),
            other => other,
        }
    }

    /// Whether it is of a version that speaks another protocol, and so can be told nothing.
    pub fn is_deaf(&self) -> bool {
        self.deaf
    }

    /// # Errors
    /// The daemon is gone, or the command line is longer than a message may be.
    pub fn send(&mut self, message: &ToDaemon) -> Result<(), Error> {
        if let ToDaemon::Exec(exec) = message
            && exec.is_too_long()
        {
            let text = "the command line and its environment are too long to be sent away";
            return Err(Error::new(text));
        }
        let mut out = Vec::new();
        message.encode(&mut out);
        self.stream
            .write_all(&out)
            .map_err(|e| Error::os("cannot write to rchd", &e))
    }

    /// # Errors
    /// The daemon is gone.
    pub fn ask(&mut self, ask: &Ask) -> Result<(), Error> {
        self.send(&ToDaemon::Ask(ask.clone()))
    }

    /// The next message that is already here, or `None`; reads once if `readable`.
    ///
    /// # Errors
    /// The daemon is gone or speaks another protocol.
    pub fn poll(&mut self, readable: bool) -> Result<Option<FromDaemon>, Error> {
        if let Some(message) = self.take()? {
            return Ok(Some(message));
        }
        if !readable {
            return Ok(None);
        }
        let len = self.input.len();
        self.input.resize(len + READ, 0);
        let got = self.stream.read(&mut self.input[len..]);
        self.input.truncate(len + *got.as_ref().unwrap_or(&0));
        match got {
            Ok(0) => Err(Error::new("rchd closed the connection")),
            Ok(_) => self.take(),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(None),
            Err(e) => Err(Error::os("cannot read from rchd", &e)),
        }
    }

    /// Waits for the next message, at most `patience`.
    ///
    /// # Errors
    /// The daemon is gone, silent, or speaks another protocol.
    pub fn next(&mut self, patience: Duration) -> Result<FromDaemon, Error> {
        let until = Instant::now() + patience;
        let mut readable = false;
        loop {
            if let Some(message) = self.poll(readable)? {
                return Ok(message);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::new("rchd does not answer"));
            }
            let watch = Watch {
                fd: self.stream.as_fd(),
                read: true,
                write: false,
            };
            let ready = fd::poll(&[watch], Some(left))
                .map_err(|e| Error::os("cannot wait for rchd", &e))?;
            readable = ready[0].readable;
        }
    }

    fn take(&mut self) -> Result<Option<FromDaemon>, Error> {
        let garbled = |_| Error::new("rchd does not speak our protocol");
        let Some((frame, used)) = wire::split(&self.input[self.start..]).map_err(garbled)? else {
            self.input.drain(..self.start);
            self.start = 0;
            return Ok(None);
        };
        let message = FromDaemon::decode(frame);
        self.start += used;
        match message.map_err(garbled)? {
            FromDaemon::Hello { protocol, .. } if protocol == wire::PROTOCOL => self.take(),
            FromDaemon::Hello { protocol, version } => {
                self.deaf = true;
                let (ours, number) = (wire::VERSION, wire::PROTOCOL);
                let text = format!(
                    "rchd {version} speaks protocol {protocol}, rch {ours} speaks {number}"
                );
                Err(Error::new(text).hint("rch daemon restart"))
            }
            message => Ok(Some(message)),
        }
    }
}

impl AsFd for Daemon {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

// The four causes that decide what happens next; std has no names for two of them.
mod libc_errno {
    pub(super) const EPERM: i32 = 1;
    pub(super) const ENOENT: i32 = 2;
    pub(super) const EACCES: i32 = 13;
    pub(super) const ECONNREFUSED: i32 = 111;
}

/// Makes the folder of the socket, for this user alone.
///
/// # Errors
/// It cannot be made.
pub fn socket_dir(socket: &Path) -> Result<PathBuf, Error> {
    let dir = socket.parent().unwrap_or(Path::new("/")).to_path_buf();
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder
        .create(&dir)
        .map_err(|e| Error::path("create", &dir, &e))?;
    Ok(dir)
}

/// Starts `rchd` beside our own program, unless another client has just done so, and connects.
///
/// # Errors
/// `Unreachable`, never `Absent`.
pub fn start(socket: &Path) -> Result<Daemon, Unreachable> {
    let failed = |e: Error| Unreachable::Failed(e);
    socket_dir(socket).map_err(failed)?;
    let lock_path = socket.with_extension("lock");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    let lock = options
        .open(&lock_path)
        .map_err(|e| failed(Error::path("open", &lock_path, &e)))?;
    lock.lock()
        .map_err(|e| failed(Error::path("lock", &lock_path, &e)))?;
    match Daemon::connect(socket) {
        Err(Unreachable::Absent) => {}
        other => return other,
    }
    spawn(socket).map_err(failed)?;
    match Daemon::connect(socket) {
        Err(Unreachable::Absent) => Err(failed(Error::new("rchd was started and is not there"))),
        other => other,
    }
}

/// Starts the daemon and waits until it says on its stdout that it listens. What it says on stderr
/// before that is the reason it does not.
fn spawn(socket: &Path) -> Result<(), Error> {
    let program = beside_us("rchd")?;
    let mut cmd = Command::new(&program);
    cmd.arg("--background")
        .arg("--socket")
        .arg(socket)
        .current_dir("/");
    process::daemonize(&mut cmd)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = cmd
        .spawn()
        .map_err(|e| Error::path("start", &program, &e))?;
    let (Some(mut out), Some(mut err)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(Error::new("BUG: no pipe to rchd"));
    };
    let watch = Watch {
        fd: out.as_fd(),
        read: true,
        write: false,
    };
    let ready =
        fd::poll(&[watch], Some(START)).map_err(|e| Error::os("cannot wait for rchd", &e))?;
    if !ready[0].readable {
        return Err(Error::new(format!(
            "rchd did not come up within {} seconds",
            START.as_secs()
        )));
    }
    let mut said = String::new();
    if out.read(&mut [0]).is_ok_and(|n| n == 1) {
        return Ok(());
    }
    // The reason is a line or two; the pipe ends with the process.
    let _ = err.by_ref().take(MAX_BODY as u64).read_to_string(&mut said);
    let _ = child.wait();
    let said = said.trim().trim_start_matches("rchd: ");
    Err(Error::new(if said.is_empty() {
        "rchd ended at once".into()
    } else {
        format!("rchd: {said}")
    }))
}

/// A program of ours in the folder of the running one.
///
/// # Errors
/// There is none.
pub fn beside_us(name: &str) -> Result<PathBuf, Error> {
    let us = std::env::current_exe().map_err(|e| Error::os("cannot find our own program", &e))?;
    let path = us.with_file_name(name);
    match path.metadata() {
        Ok(_) => Ok(path),
        Err(e) => {
            Err(Error::path("find", &path, &e).hint("rch, rchd and rch-wkr belong into one folder"))
        }
    }
}
