//! The command line of `rch-wkr`, and what people read.
//!
//! `serve` alone is what the daemon calls; the rest is for the person who sets a worker up.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use rch::wire::worker::Facts;
use rch::wire::{PROTOCOL, VERSION};

use crate::{confine, probe, program, serve};

const HELP: &str = "\
usage: rch-wkr serve
       rch-wkr probe

The worker's side of rch, the remote compilation helper.

  serve           serve one session on the standard streams; rchd starts this over ssh
  probe           print what this machine offers

  -h, --help      print this text
  -V, --version   print the version
";

/// Hidden, for tests: `serve` and `probe` behave as where the kernel forbids namespaces.
const NO_NAMESPACE: &str = "--no-namespace";

/// A command line that makes no sense.
const USAGE: u8 = 2;

pub fn main(args: Vec<OsString>) -> ExitCode {
    if args.first().is_some_and(|word| word == program::WORD) {
        program::record(args.into_iter().skip(1).collect());
        return ExitCode::SUCCESS;
    }
    let words: Vec<&str> = args.iter().filter_map(|a| a.to_str()).collect();
    if words.len() != args.len() {
        return wrong_usage("an argument is not text");
    }
    let namespaces = !words.contains(&NO_NAMESPACE);
    let words: Vec<&str> = words.into_iter().filter(|w| *w != NO_NAMESPACE).collect();
    match words.as_slice() {
        ["serve"] => served(namespaces),
        ["probe"] => {
            let means = if namespaces {
                confine::find().map(|_| ())
            } else {
                Err(format!("switched off by '{NO_NAMESPACE}'"))
            };
            say(&describe(&probe::facts(means.as_ref().err())))
        }
        ["-h" | "--help"] => say(HELP),
        ["-V" | "--version"] => say(&format!("rch-wkr {VERSION} (protocol {PROTOCOL})\n")),
        [] => wrong_usage("no command given"),
        [other, ..] => wrong_usage(&format!("unknown command '{other}'")),
    }
}

fn served(namespaces: bool) -> ExitCode {
    match serve::serve(namespaces) {
        Ok(()) => ExitCode::SUCCESS,
        Err(wrong) => {
            let _ = writeln!(io::stderr(), "rch-wkr: {}", wrong.text);
            ExitCode::FAILURE
        }
    }
}

fn wrong_usage(text: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "rch-wkr: {text}\nhint: see 'rch-wkr --help'");
    ExitCode::from(USAGE)
}

/// A reader that has gone has read enough.
fn say(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}

fn describe(facts: &Facts) -> String {
    let or_none = |s: &str| String::from(if s.is_empty() { "none" } else { s });
    let paths = match facts.no_namespace.as_str() {
        "" => String::from("identical to home"),
        why => format!("mapped in output ({why})"),
    };
    let mut text = format!(
        "machine     {} {}, {} processors, {} MiB memory\ndisk        {} MiB free for lanes\npaths       {paths}\nrsync       {}\n",
        facts.os,
        facts.arch,
        facts.cpus,
        facts.memory_mib,
        facts.free_mib,
        or_none(&facts.rsync),
    );
    for (name, identity) in &facts.tools {
        let line = identity.lines().next().unwrap_or_default();
        text.push_str(&format!("{name:11} {line}\n"));
    }
    text
}
