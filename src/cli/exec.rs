//! `rch exec`: the agent's process. It owns the terminal, the exit status, the signals and the
//! local fallback.
//!
//! Whatever goes wrong on the way to a worker ends in the same place: `local`, which becomes the
//! real tool by exec and says why in one line. What may run at all is the classifier's word alone,
//! so that a permission rule which allows `rch exec` allows nothing more.

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::classify;
use crate::client::{Daemon, GREETING};
use crate::config::Config;
use crate::error::cause;
use crate::sys::fd::{Watch, poll, same_file};
use crate::sys::process::{self, Exit};
use crate::sys::signal::{self, Signals};
use crate::wire::client::{Exec, FromDaemon, ToDaemon};

/// A daemon that says nothing for so long, not even that a job goes on, is hung.
const SILENCE: Duration = Duration::from_secs(30);

/// After a signal was passed on, how long the remote command may take to end.
const FAREWELL: Duration = Duration::from_secs(2);

/// Signals that a user or an agent stops a command with.
const FORWARDED: [i32; 4] = [
    signal::SIGINT,
    signal::SIGTERM,
    signal::SIGHUP,
    signal::SIGQUIT,
];

/// Statuses of our own; all others are the command's.
pub const USAGE: i32 = 120;
pub const NOT_COMPILE: i32 = 121;
pub const NO_REMOTE: i32 = 122;
const NOT_FOUND: i32 = 127;

/// Runs the command line `rch exec [--] ARGV…`, given from ARGV's place on.
pub fn main(args: &[OsString]) -> i32 {
    let argv = match args.first() {
        Some(first) if first == "--" => &args[1..],
        _ => args,
    };
    if argv.is_empty() {
        say("exec: a command is missing");
        return USAGE;
    }
    if let Err(refusal) = classify::argv(argv) {
        say(&format!(
            "exec: '{}' is not sent away: {refusal}",
            argv[0].display()
        ));
        say("hint: run it without 'rch exec'");
        return NOT_COMPILE;
    }
    Run::new(argv).go()
}

/// One command on its way.
struct Run<'a> {
    argv: &'a [OsString],
    cwd: PathBuf,
    require_remote: bool,
}

/// How the remote attempt ended.
enum Ending {
    Exit(Exit),
    /// Run it here; said aloud unless the user asked for it.
    Local {
        reason: String,
        quiet: bool,
    },
    /// `cargo run`: the program was built there and runs here.
    RunHere {
        argv: Vec<OsString>,
        env: Vec<(OsString, OsString)>,
    },
    /// The user stopped it and the remote side did not follow in time.
    Stopped(i32),
}

impl<'a> Run<'a> {
    fn new(argv: &'a [OsString]) -> Run<'a> {
        Run {
            argv,
            cwd: cwd(),
            require_remote: flag("RCH_REQUIRE_REMOTE"),
        }
    }

    fn go(&self) -> i32 {
        if let Some(reason) = self.stays() {
            return self.local(reason, true);
        }
        match self.remote() {
            Ending::Exit(exit) => leave(exit),
            Ending::Local { reason, quiet } => self.local(&reason, quiet),
            Ending::RunHere { argv, env } => exec(&argv, &env),
            Ending::Stopped(signal) => leave(Exit::Signal(u8::try_from(signal).unwrap_or(15))),
        }
    }

    /// Whether the user's own settings keep it here, found without asking the daemon.
    fn stays(&self) -> Option<&'static str> {
        if flag("RCH_BYPASS") || flag("RCH_LOCAL_ONLY") {
            return Some("the environment says so");
        }
        let (config, _) = self.config();
        if !config.general.enabled {
            return Some("rch is disabled here");
        }
        config.general.force_local.then_some("force_local is set")
    }

    fn config(&self) -> (Config, Vec<crate::config::Complaint>) {
        Config::load(&self.cwd, |name| std::env::var(name).ok())
    }

    fn remote(&self) -> Ending {
        let (config, _) = self.config();
        let local = |reason: String| Ending::Local {
            reason,
            quiet: false,
        };
        let mut daemon = match Daemon::connect_or_start(&config.general.socket_path) {
            Ok(daemon) => daemon,
            Err(why) => return local(why.reason()),
        };
        // Those that our parent had ignored stay ignored (`nohup`), as they would for the tool.
        let caught: Vec<i32> = FORWARDED
            .into_iter()
            .filter(|&s| !signal::is_ignored(s))
            .collect();
        let signals = match Signals::new(&caught) {
            Ok(signals) => signals,
            Err(e) => return local(format!("cannot watch signals: {}", cause(&e))),
        };
        // A reader that closes the pipe must end the remote command, not us before it.
        signal::ignore(signal::SIGPIPE);
        let ending = match daemon.send(&ToDaemon::Exec(Box::new(self.request()))) {
            Ok(()) => Pump {
                daemon: &mut daemon,
                signals: &signals,
                stopped: None,
                greeted: false,
            }
            .run(),
            Err(e) => local(e.text().into()),
        };
        signal::restore_pipe();
        signal::unblock_all();
        ending
    }

    fn request(&self) -> Exec {
        Exec {
            argv: self.argv.to_vec(),
            cwd: self.cwd.clone(),
            env: std::env::vars_os().collect(),
            own: own_variables(),
            tty: (io::stdout().is_terminal(), io::stderr().is_terminal()),
            merged: same_file(io::stdout(), io::stderr()),
            require_remote: self.require_remote,
        }
    }

    fn local(&self, reason: &str, quiet: bool) -> i32 {
        if self.require_remote {
            say(&format!("cannot run remotely: {reason}"));
            return NO_REMOTE;
        }
        if !quiet || flag("RCH_VERBOSE") {
            say(&format!("running locally: {reason}"));
        }
        exec(self.argv, &[])
    }
}

/// Carries bytes, signals and the end from the daemon to our own descriptors.
struct Pump<'a> {
    daemon: &'a mut Daemon,
    signals: &'a Signals,
    /// The first signal that was passed on, and until when its effect is awaited.
    stopped: Option<(i32, Instant)>,
    greeted: bool,
}

impl Pump<'_> {
    fn run(&mut self) -> Ending {
        let mut readable = false;
        loop {
            match self.daemon.poll(readable) {
                Ok(Some(message)) => {
                    readable = false;
                    self.greeted = true;
                    if let Some(ending) = self.take(message) {
                        return ending;
                    }
                    continue;
                }
                Ok(None) => {}
                Err(e) => return self.lost(e.text()),
            }
            let patience = match (self.stopped, self.greeted) {
                (Some((_, until)), _) => until.saturating_duration_since(Instant::now()),
                (None, true) => SILENCE,
                (None, false) => GREETING,
            };
            let watch = |fd| Watch {
                fd,
                read: true,
                write: false,
            };
            let begun = Instant::now();
            let Ok(ready) = poll(
                &[watch(self.daemon.as_fd()), watch(self.signals.as_fd())],
                Some(patience),
            ) else {
                return self.lost("cannot wait");
            };
            readable = ready[0].readable;
            while let Some(number) = self.signals.next() {
                self.stop(number);
            }
            let quiet = !readable && !ready[1].readable;
            if quiet && begun.elapsed() >= patience {
                return self.lost("rchd does not answer");
            }
        }
    }

    fn take(&mut self, message: FromDaemon) -> Option<Ending> {
        match message {
            FromDaemon::Stdout(bytes) => self.put(1, &bytes),
            FromDaemon::Stderr(bytes) => self.put(2, &bytes),
            FromDaemon::Note(text) => say(&text),
            FromDaemon::Exited(exit) => return Some(Ending::Exit(exit)),
            FromDaemon::Local { reason, quiet } => return Some(self.unless_stopped(reason, quiet)),
            FromDaemon::RunHere { argv, env } => return Some(Ending::RunHere { argv, env }),
            FromDaemon::Error { text, .. } => return Some(self.lost(&text)),
            FromDaemon::Hello { .. }
            | FromDaemon::Progress(_)
            | FromDaemon::Answer(_)
            | FromDaemon::End => {}
        }
        None
    }

    fn put(&mut self, stream: u8, bytes: &[u8]) {
        let done = if stream == 1 {
            io::stdout().write_all(bytes)
        } else {
            io::stderr().write_all(bytes)
        };
        let done = if stream == 1 {
            done.and_then(|()| io::stdout().flush())
        } else {
            done
        };
        if done.is_err() {
            // The remote command's own pipe is closed, so that it notices as it would here.
            let _ = self.daemon.send(&ToDaemon::Hangup(stream));
        }
    }

    fn stop(&mut self, number: i32) {
        let _ = self
            .daemon
            .send(&ToDaemon::Signal(u8::try_from(number).unwrap_or(15)));
        self.stopped
            .get_or_insert((number, Instant::now() + FAREWELL));
    }

    fn lost(&self, reason: &str) -> Ending {
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

/// Ends as the command did: with its code, or by its signal.
fn leave(exit: Exit) -> i32 {
    if let Exit::Signal(number) = exit {
        process::die_by(i32::from(number));
    }
    exit.status()
}

/// Becomes the program. Returns only if there is none.
fn exec(argv: &[OsString], env: &[(OsString, OsString)]) -> i32 {
    let error = Command::new(&argv[0])
        .args(&argv[1..])
        .envs(env.iter().cloned())
        .exec();
    say(&format!(
        "cannot run '{}': {}",
        argv[0].display(),
        cause(&error)
    ));
    if error.kind() == io::ErrorKind::NotFound {
        NOT_FOUND
    } else {
        126
    }
}

/// One line on stderr, from us rather than from the command. A closed stderr is nobody's loss.
fn say(text: &str) {
    let _ = writeln!(io::stderr(), "rch: {text}");
}

fn flag(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|v| !v.is_empty() && v != "0" && v != "false")
}

/// The working directory as the shell spells it, if that is the truth.
fn cwd() -> PathBuf {
    let real = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    match std::env::var_os("PWD").map(PathBuf::from) {
        Some(pwd) if pwd.is_absolute() && same_place(&pwd, &real) => pwd,
        _ => real,
    }
}

fn same_place(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (a.metadata(), b.metadata()) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

/// Programs that stand between a shell and us without changing the environment they were given.
const WRAPPERS: &[&str] = &[
    "env", "ionice", "nice", "nohup", "setsid", "stdbuf", "taskset", "time", "timeout",
];

/// Names of variables that are not as the shell was started with: set in front of the command, or
/// exported in the same command line. Wrappers (`timeout`) got theirs from the same line.
fn own_variables() -> Vec<OsString> {
    let Some(initial) = shell_environment() else {
        return vec![];
    };
    let had = |name: &OsStr, value: &OsStr| {
        initial.split(|&b| b == 0).any(|entry| {
            entry
                .strip_prefix(name.as_encoded_bytes())
                .and_then(|e| e.strip_prefix(b"="))
                == Some(value.as_encoded_bytes())
        })
    };
    std::env::vars_os()
        .filter(|(name, value)| !had(name, value))
        .map(|(name, _)| name)
        .collect()
}

/// The environment that the nearest ancestor which is no wrapper was started with.
fn shell_environment() -> Option<Vec<u8>> {
    let mut pid = process::getppid().0;
    for _ in 0..8 {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (head, tail) = stat.rsplit_once(')')?;
        let name = head.split_once('(')?.1;
        if !WRAPPERS.contains(&name) {
            return std::fs::read(format!("/proc/{pid}/environ")).ok();
        }
        pid = tail.split_whitespace().nth(1)?.parse().ok()?;
    }
    None
}
