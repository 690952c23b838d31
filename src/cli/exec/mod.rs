//! `rch exec`: the agent's process. It owns the terminal, the exit status, the signals and the
//! local fallback.
//!
//! Whatever goes wrong on the way to a worker ends in the same place: `local`, which becomes the
//! real tool by exec and says why in one line. What may run at all is the classifier's word alone,
//! so that a permission rule which allows `rch exec` allows nothing more.

mod ansi;
mod origin;
mod plan;
mod progress;
mod pump;
mod sink;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::grid::bytes;
use super::out::{self, Fail, Look, clean};
use super::parse::Given;
use super::status::count;
use crate::classify::{self, Kind, Refusal, kept};
use crate::client::Daemon;
use crate::config::Config;
use crate::config::vars::is_on;
use crate::error::{Error, cause};
use crate::exit;
use crate::sys::fd::{self, same_file};
use crate::sys::process::{self, Exit};
use crate::sys::signal::{self, Signals};
use crate::sys::tty;
use crate::time;
use crate::wire::client::{Exec, ToDaemon};
use crate::wire::status::Job;

use progress::Line;
use pump::{Ending, Pump};
use sink::Sink;

/// Signals that a user or an agent stops a command with.
const FORWARDED: [i32; 4] = [
    signal::SIGINT,
    signal::SIGTERM,
    signal::SIGHUP,
    signal::SIGQUIT,
];

/// Runs what stands behind `rch exec [FLAG…] [--]`.
pub fn main(given: &Given, argv: &[OsString]) -> i32 {
    if argv.is_empty() {
        let error = Error::new("'rch exec' needs a command");
        let fail = Fail::usage(error.hint("'rch exec --help' explains it"));
        return out::finish(&Look::here(given), "exec", Err(fail));
    }
    let kind = match classify::argv(argv) {
        Ok(accepted) => accepted.kind,
        Err(refusal) => return refuse(given, argv, &refusal),
    };
    Run::new(argv, kind, given).go()
}

fn refuse(given: &Given, argv: &[OsString], refusal: &Refusal) -> i32 {
    let (first, word) = (argv[0].display(), refusal.word.as_str());
    // No other words of it: one may be a password.
    let (name, named) = match argv.get(1) {
        Some(second) if second == word => (format!("{first} {word}"), true),
        _ => (first.to_string(), argv[0] == word),
    };
    // What is named already need not be named again.
    let why = match named {
        true => refusal.why.text().into(),
        false => refusal.to_string(),
    };
    let text = format!("'{}' is not sent away: {why}", clean(&name));
    let error = Error::new(text).hint("run it without 'rch exec'");
    let fail = Fail::new(exit::NOT_COMPILE, "usage", error);
    out::finish(&Look::here(given), "exec", Err(fail))
}

/// One command on its way.
struct Run<'a> {
    argv: &'a [OsString],
    kind: Kind,
    cwd: PathBuf,
    config: Config,
    look: Look,
    require_remote: bool,
    dry_run: bool,
}

impl<'a> Run<'a> {
    fn new(argv: &'a [OsString], kind: Kind, given: &Given) -> Run<'a> {
        let cwd = origin::cwd();
        let (config, complaints) = Config::load(&cwd, |name| std::env::var(name).ok());
        let look = look(given);
        // The others are the daemon's reason not to send anything.
        for complaint in complaints.iter().filter(|c| c.harmless && look.verbose) {
            say(&format!("warning: {}", complaint.text));
        }
        Run {
            argv,
            kind,
            cwd,
            config,
            look,
            require_remote: flag("RCH_REQUIRE_REMOTE"),
            dry_run: flag("RCH_DRY_RUN"),
        }
    }

    fn go(&self) -> i32 {
        if self.dry_run {
            plan::tiers(self.argv, self.config.compilation.confidence_threshold);
        }
        if let Some(reason) = self.stays() {
            return self.local(reason, true);
        }
        match self.remote() {
            Ending::Exit(exit, job) => {
                if let Some(job) = job.filter(|_| self.look.verbose) {
                    account(&job);
                }
                leave(exit)
            }
            Ending::Local { reason, quiet } => self.local(&reason, quiet),
            Ending::Unanswered(reason) => self.local(&reason, false),
            Ending::RunHere { argv, env } => {
                let error = become_program(&argv, &env);
                let program = argv[0].display();
                self.local(&format!("cannot run '{program}': {}", cause(&error)), false)
            }
            Ending::Unwritten(error) => {
                say(error.text());
                exit::FAILED
            }
            Ending::Stopped(signal) => leave(Exit::Signal(u8::try_from(signal).unwrap_or(15))),
        }
    }

    /// Whether the user's own settings keep it here, or how it was called, found without asking the daemon.
    fn stays(&self) -> Option<&'static str> {
        if flag("RCH_BYPASS") || flag("RCH_LOCAL_ONLY") {
            return Some("the environment says so");
        }
        if !self.config.general.enabled {
            return Some("rch is disabled here");
        }
        // What stands in its place is ours (`out::fill_descriptors`) and goes when the tool is
        // executed, which then has it closed as the agent meant it.
        if fd::is_cloexec(io::stdout()) || fd::is_cloexec(io::stderr()) {
            return Some("an output stream is closed");
        }
        // A program that `cargo run` starts is started here, with what is its own.
        if self.kind != Kind::Run && fd::has_input(io::stdin()) {
            return Some("its standard input is data");
        }
        if kept::updates(self.kind, &|name| std::env::var_os(name)).is_some() {
            return Some("it is to change sources");
        }
        self.config
            .general
            .force_local
            .then_some("force_local is set")
    }

    fn remote(&self) -> Ending {
        let mut daemon = match self.daemon() {
            Ok(daemon) => daemon,
            Err(ending) => return ending,
        };
        // Those that our parent had ignored stay ignored (`nohup`), as they would for the tool.
        let caught: Vec<i32> = FORWARDED
            .into_iter()
            .filter(|&s| !signal::is_ignored(s))
            .collect();
        let signals = match Signals::new(&caught) {
            Ok(signals) => signals,
            Err(e) => return Ending::local(format!("cannot watch signals: {}", cause(&e))),
        };
        // A reader that closes the pipe must end the remote command, not us before it.
        signal::ignore(signal::SIGPIPE);
        let mut ending = self.ask(&mut daemon, &signals);
        if let Ending::Unanswered(_) = ending {
            ending = match self.daemon() {
                Ok(mut next) => self.ask(&mut next, &signals),
                Err(ending) => ending,
            };
        }
        signal::restore_pipe();
        signal::unblock_all();
        ending
    }

    fn daemon(&self) -> Result<Daemon, Ending> {
        Daemon::connect_or_start(&self.config.general.socket_path)
            .map_err(|why| Ending::local(why.reason()))
    }

    /// Hands the command over and waits for its end.
    fn ask(&self, daemon: &mut Daemon, signals: &Signals) -> Ending {
        match daemon.send(&ToDaemon::Exec(Box::new(self.request()))) {
            Ok(()) => {
                let (sink, line) = (Sink::new(&self.config.output), Line::new(self.look));
                Pump::new(daemon, signals, sink, line).run()
            }
            Err(e) => Ending::Unanswered(e.text().into()),
        }
    }

    fn request(&self) -> Exec {
        Exec {
            argv: self.argv.to_vec(),
            cwd: self.cwd.clone(),
            env: std::env::vars_os().collect(),
            own: origin::own_variables(),
            tty: (io::stdout().is_terminal(), io::stderr().is_terminal()),
            merged: same_file(io::stdout(), io::stderr()),
            require_remote: self.require_remote,
        }
    }

    /// Runs it here. A line says why, unless the user asked for it to be so or wants no lines.
    fn local(&self, reason: &str, expected: bool) -> i32 {
        if self.require_remote {
            say(&format!("cannot run remotely: {reason}"));
            return exit::NO_REMOTE;
        }
        if self.look.verbose || self.dry_run || !(expected || self.look.quiet) {
            say(&format!("running locally: {reason}"));
        }
        exec(self.argv)
    }
}

/// How our own lines on stderr look.
fn look(given: &Given) -> Look {
    let columns = io::stderr().is_terminal().then(|| {
        let size = tty::winsize(io::stderr());
        size.map_or(80, |(columns, _)| usize::from(columns))
    });
    Look::new(given, &|name| std::env::var(name).ok(), columns)
}

/// `--verbose`: where a job ran, how long it took, and what it moved.
fn account(job: &Job) {
    say(&format!(
        "job j{} ran on {}, lane {}, with {}",
        job.id,
        clean(&job.worker),
        job.lane,
        count(u64::from(job.slots), "slot")
    ));
    let span = |ms| time::human(Duration::from_millis(ms));
    say(&format!(
        "{} in all, {} of it the command's own; there {} ({}), back {} ({})",
        span(job.elapsed_ms),
        span(job.remote_ms),
        count(u64::from(job.sent_files), "file"),
        bytes(job.sent_bytes),
        count(u64::from(job.returned_files), "file"),
        bytes(job.returned_bytes),
    ));
}

/// Ends as the command did: with its code, or by its signal.
fn leave(exit: Exit) -> i32 {
    if let Exit::Signal(number) = exit {
        process::die_by(i32::from(number));
    }
    exit.status()
}

/// Returns only if that cannot be.
fn become_program(argv: &[OsString], env: &[(OsString, OsString)]) -> io::Error {
    Command::new(&argv[0])
        .args(&argv[1..])
        .envs(env.iter().cloned())
        .exec()
}

/// Becomes the tool. Returns only if there is none.
fn exec(argv: &[OsString]) -> i32 {
    let error = become_program(argv, &[]);
    say(&format!(
        "cannot run '{}': {}",
        argv[0].display(),
        cause(&error)
    ));
    if error.kind() == io::ErrorKind::NotFound {
        exit::NOT_FOUND
    } else {
        exit::CANNOT_RUN
    }
}

/// One line on stderr, from us rather than from the command. A closed stderr is nobody's loss.
fn say(text: &str) {
    let _ = writeln!(io::stderr(), "rch: {text}");
}

fn flag(name: &str) -> bool {
    is_on(std::env::var(name).ok().as_deref())
}
