//! The command line: what people type, and what they see.
//!
//! `table` names every command and flag, `parse` reads an argument vector by it, `out` decides how
//! things look. A command is a function from a `Call` to a `Done` or a `Fail`; only `out::finish`
//! prints, save for what streams (logs, `--watch`). What a view shows is a pure function of the
//! daemon's own structs, so that it is tested without a daemon. This module knows no policy.

pub mod agents;
pub mod compilers;
pub mod complete;
pub mod config;
pub mod daemon;
pub mod data;
pub mod doctor;
pub mod exec;
pub mod grid;
pub mod help;
pub mod hooks;
pub mod jobs;
pub mod link;
pub mod machine;
pub mod out;
pub mod parse;
pub mod probe;
pub mod status;
pub mod table;
pub mod trial;
pub mod watch;
pub mod workers;

use std::ffi::OsString;

use serde_json::json;

use crate::config::vars::VARS;
use crate::error::Error;
use crate::{exit, hook};

use out::{Done, Fail, Look};
use parse::{Given, Wanted};

pub type Outcome = Result<Done, Fail>;

/// Runs `rch` with its arguments (the program's name first) and answers the exit status.
pub fn main(args: Vec<OsString>) -> i32 {
    if let Some(status) = hook::masquerade::called(&args) {
        return status;
    }
    if let Err(why) = out::fill_descriptors() {
        out::complain(&Error::new(why));
        return exit::FAILED;
    }
    let mut given = Given::default();
    let args = args.get(1..).unwrap_or_default();
    match parse::parse(args, &mut given) {
        Ok(Wanted::Raw(run, given, args)) => run(&given, &args),
        Ok(Wanted::Call(call)) => run(&call),
        Ok(Wanted::Help(words)) => {
            let look = Look::here(&given);
            out::finish(&look, "help", help::show(&look, &words))
        }
        Ok(Wanted::Version) => {
            let done = Done::new(format!("rch {VERSION}\n"), json!({ "version": VERSION }));
            out::finish(&Look::here(&given), "version", Ok(done))
        }
        Err(error) => {
            let fail = Err(Fail::usage(error));
            out::finish(&Look::here(&given), &parse::named(args), fail)
        }
    }
}

use crate::wire::VERSION;

fn run(call: &parse::Call) -> i32 {
    let table::Run::Own(command) = call.command.run else {
        unreachable!("BUG: a raw command was parsed");
    };
    let look = Look::here(&call.given);
    let outcome = in_order(call)
        .and_then(|()| at_home(call))
        .and_then(|()| command(call));
    out::finish(&look, &call.command.name(), outcome)
}

/// A program that asked for a format by the environment must not get another one. What explains
/// settings explains that, too.
fn in_order(call: &parse::Call) -> Result<(), Fail> {
    let flags = call.given.has("format") || call.given.has("json");
    if flags || matches!(call.command.words, ["doctor"] | ["config", "validate"]) {
        return Ok(());
    }
    let name = out::FORMAT_VARIABLE;
    let row = VARS.iter().find(|v| v.name == name);
    let value = std::env::var(name).unwrap_or_default();
    let fault = row.and_then(|row| row.fault(&value));
    match fault {
        Some(fault) => Err(Fail::usage(Error::new(fault))),
        None => Ok(()),
    }
}

/// Commands that need no file of the user's.
const ANYWHERE: [&str; 2] = ["classify", "completions"];

/// What is the user's would else be looked for, and left, wherever the command is called.
fn at_home(call: &parse::Call) -> Result<(), Fail> {
    let home = crate::paths::home();
    if home.is_absolute() || ANYWHERE.contains(&call.command.words[0]) {
        return Ok(());
    }
    let error = Error::new(match home.as_os_str().is_empty() {
        true => "'HOME' is not set".into(),
        false => format!("'HOME' is '{}', which is not absolute", home.display()),
    });
    Err(Fail::system(error.hint("set it to your home directory")))
}
