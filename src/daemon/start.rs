//! How `rchd` comes to life: arguments, folders, the socket, the first sessions.
//!
//! What may fail does so before `listening on` is said: whoever started us reads that line, or our last
//! words on stderr. After it nothing is printed; the log has the rest.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::keep::Keep;
use super::{Daemon, Key};
use crate::client;
use crate::config::{self, Complaint, Config};
use crate::crew::Crew;
use crate::error::{Error, Result};
use crate::fleet::Slots;
use crate::lanebook::Lanebook;
use crate::log::{self, Level};
use crate::paths;
use crate::poll::Poller;
use crate::spool;
use crate::sys::signal::{self, Signals};
use crate::sys::{fd, socket};
use crate::toolchain::Known;
use crate::wire::{VERSION, status};

const HELP: &str = "\
usage: rchd [--socket PATH] [--background]

The daemon of rch. It stays in the foreground, says what happens on stdout, and
ends on SIGINT or SIGTERM; SIGHUP reads the configuration again.

  --socket PATH   listen there instead of where the configuration says
  --background    say nothing but one byte on stdout when listening; log to the file
  -h, --help      show this
  -V, --version   show the version
";

/// A log of more bytes than this is put aside when a daemon starts.
const LONG_LOG: u64 = 16 << 20;

struct Options {
    socket: Option<PathBuf>,
    background: bool,
}

/// Runs `rchd` and answers its exit status.
pub fn main() -> i32 {
    let said = match options(std::env::args_os().skip(1)) {
        Ok(Ok(options)) => match run(&options) {
            Ok(()) => return 0,
            Err(e) => e,
        },
        Ok(Err(text)) => {
            let _ = io::stdout().write_all(text.as_bytes());
            return 0;
        }
        Err(e) => e,
    };
    let _ = writeln!(io::stderr(), "rchd: {said}");
    1
}

/// Options, or a text to print instead of running.
fn options(args: impl Iterator<Item = OsString>) -> Result<std::result::Result<Options, String>> {
    let mut options = Options {
        socket: None,
        background: false,
    };
    let mut args = args;
    while let Some(arg) = args.next() {
        match arg.to_str() {
            Some("--background") => options.background = true,
            Some("--socket") => {
                let value = args
                    .next()
                    .ok_or_else(|| Error::new("'--socket' needs a path"))?;
                options.socket = Some(value.into());
            }
            Some("-h" | "--help") => return Ok(Err(HELP.into())),
            Some("-V" | "--version") => return Ok(Err(format!("rchd {VERSION}\n"))),
            _ => {
                return Err(Error::new(format!("unknown argument '{}'", arg.display()))
                    .hint("'rchd --help' shows what it takes"));
            }
        }
    }
    Ok(Ok(options))
}

fn run(options: &Options) -> Result<()> {
    let watched = [
        signal::SIGTERM,
        signal::SIGINT,
        signal::SIGHUP,
        signal::SIGCHLD,
    ];
    let signals = Signals::new(&watched).map_err(|e| Error::os("cannot watch signals", &e))?;
    let cache = paths::cache_dir();
    let (config, complaints) = Config::load(Path::new("/"), |name| std::env::var(name).ok());
    let socket_path = options
        .socket
        .clone()
        .unwrap_or_else(|| config.general.socket_path.clone());
    client::socket_dir(&cache.join("x"))?;
    close_to_others(&cache)?;
    open_log(&cache, &config)?;
    for complaint in complaints {
        warn!("{}", complaint.text);
    }
    let listener = listen(&socket_path)?;
    spool::sweep(&cache.join("jobs"));
    let mut daemon = build(options, cache, socket_path, config, signals, listener)?;
    daemon.clear_controls();
    let _ = daemon.reload_workers();
    daemon.announce(options.background);
    daemon.run()
}

fn build(
    options: &Options,
    cache: PathBuf,
    socket: PathBuf,
    config: Config,
    signals: Signals,
    listener: UnixListener,
) -> Result<Daemon> {
    let failed = |e: io::Error| Error::os("cannot set up the event loop", &e);
    let mut poller = Poller::new().map_err(failed)?;
    poller.add(&listener, Key::Listener).map_err(failed)?;
    poller.add(&signals, Key::Signals).map_err(failed)?;
    let threads = std::thread::available_parallelism().map_or(2, |n| n.get().clamp(2, 8));
    let crew = Crew::new(threads, &poller.waker()).map_err(failed)?;
    let local_slots = local_slots(&config);
    let next_job = spool::last(&cache.join("jobs"));
    Ok(Daemon {
        lanes: Lanebook::open(cache.join("manifests")),
        client_id: client_id(&cache)?,
        keep: Keep::read(&cache),
        cache,
        socket,
        linked: true,
        config,
        started: Instant::now(),
        now: Instant::now(),
        poller,
        crew,
        signals,
        listener,
        incoming: true,
        clients: BTreeMap::new(),
        sessions: BTreeMap::new(),
        workers: vec![],
        jobs: BTreeMap::new(),
        queue: crate::sched::Queue::default(),
        landings: HashMap::new(),
        others: crate::landing::Others::default(),
        unlooked: vec![],
        home: crate::daemon::home::Home::default(),
        seeded: crate::daemon::transfer::Seeded::default(),
        known: Arc::new(Known::default()),
        recent: VecDeque::new(),
        totals: status::Totals::default(),
        fleet_fault: String::new(),
        local_reasons: super::reasons::Reasons::default(),
        local_slots: Slots::new(local_slots),
        locals: HashMap::new(),
        bench_here: None,
        bench_waits: vec![],
        next_id: 0,
        next_job,
        recorded: 0,
        leaving: false,
        dismissed_by: vec![],
        again: false,
        foreground: !options.background,
    })
}

impl Daemon {
    /// Whoever started us is told that we listen.
    fn announce(&self, background: bool) {
        info!("rchd {VERSION} listening on {}", self.socket.display());
        let mut out = io::stdout();
        if background {
            let _ = out.write_all(b"\n").and_then(|()| out.flush());
            // From here on nobody listens, and whoever started us must not wait for our end.
            if let Err(e) = fd::silence() {
                warn!("cannot let go of stdout and stderr: {e}");
            }
        } else {
            let _ = writeln!(out, "listening on {}", self.socket.display());
        }
    }

    /// Reads the configuration again; what is broken stays as it was. Answers what is wrong.
    pub(super) fn reload(&mut self) -> Vec<Complaint> {
        let (config, mut complaints) =
            Config::load(Path::new("/"), |name| std::env::var(name).ok());
        for complaint in &complaints {
            warn!("{}", complaint.text);
        }
        // A name that nobody knows takes nothing away; anything else may have.
        complaints.retain(|c| !c.harmless);
        if complaints.is_empty() {
            self.local_slots.set_total(local_slots(&config));
            self.config = config;
        }
        complaints.extend(self.reload_workers());
        complaints
    }

    pub(super) fn reload_workers(&mut self) -> Vec<Complaint> {
        let complaints = match config::workers() {
            Ok(workers) => {
                self.set_workers(workers);
                self.fleet_fault.clear();
                vec![]
            }
            Err(complaints) => complaints,
        };
        for complaint in &complaints {
            warn!("{}", complaint.text);
        }
        if let Some(first) = complaints.first() {
            first.parts().0.clone_into(&mut self.fleet_fault);
        }
        complaints
    }
}

/// How many commands may run here at once.
fn local_slots(config: &Config) -> u32 {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    match config.general.local_slots {
        0 => u32::try_from(cores / 2).unwrap_or(1).max(1),
        n => n,
    }
}

/// What jobs printed and the default socket are the user's alone. Whoever made the folder before us, or
/// a careless umask, may have left it open.
fn close_to_others(cache: &Path) -> Result<()> {
    let wide = |m: std::fs::Metadata| m.permissions().mode() & 0o077 != 0;
    if !cache.metadata().is_ok_and(wide) {
        return Ok(());
    }
    let only_us = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(cache, only_us).map_err(|e| Error::path("protect", cache, &e))
}

fn open_log(cache: &Path, config: &Config) -> Result<()> {
    let level = Level::parse(&config.general.log_level).unwrap_or(Level::Info);
    let path = cache.join("rchd.log");
    if path.metadata().is_ok_and(|m| m.len() > LONG_LOG) {
        // It is only a log: where it cannot be moved away, it goes on.
        let _ = std::fs::rename(&path, cache.join("rchd.log.old"));
    }
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o600);
    let file = options
        .open(&path)
        .map_err(|e| Error::path("open", &path, &e))?;
    log::open(Box::new(file), level);
    Ok(())
}

/// The supervisor's socket, or a new one. A socket file that nobody listens on is a leftover.
fn listen(path: &Path) -> Result<UnixListener> {
    if let Some(fd) = socket::listen_fd() {
        return adopt(fd);
    }
    client::socket_dir(path)?;
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(Error::new(format!(
            "another rchd listens on '{}'",
            path.display()
        )));
    }
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path).map_err(|e| Error::path("listen on", path, &e))?;
    let only_us = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(path, only_us).map_err(|e| Error::path("protect", path, &e))?;
    listener
        .set_nonblocking(true)
        .map_err(|e| Error::path("listen on", path, &e))?;
    Ok(listener)
}

fn adopt(fd: OwnedFd) -> Result<UnixListener> {
    fd::set_nonblocking(&fd, true)
        .and_then(|()| fd::set_cloexec(&fd, true))
        .map_err(|e| Error::os("cannot use the supervisor's socket", &e))?;
    Ok(UnixListener::from(fd))
}

/// Sixteen random bytes in hex, made once per home: tells this workstation's lanes from another's.
fn client_id(cache: &Path) -> Result<String> {
    let path = cache.join("client-id");
    if let Ok(id) = std::fs::read_to_string(&path)
        && id.len() == 32
    {
        return Ok(id);
    }
    let id = crate::ids::ManifestId(random()?).to_string();
    std::fs::write(&path, &id).map_err(|e| Error::path("write", &path, &e))?;
    Ok(id)
}

/// Sixteen random bytes.
pub(super) fn random() -> Result<[u8; 16]> {
    let path = Path::new("/dev/urandom");
    let mut bytes = [0; 16];
    let read = File::open(path).and_then(|mut f| f.read_exact(&mut bytes));
    read.map_err(|e| Error::path("read", path, &e))?;
    Ok(bytes)
}
