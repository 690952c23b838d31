//! `rch classify 'COMMAND'`: the five tiers, what each took, and the verdict.
//!
//! In the order of their numbers. The hook itself sieves by keyword first, on the raw document.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Instant;

use super::rewrite;
use crate::classify::text::{self, Stays};
use crate::classify::{Accepted, keywords};
use crate::config::Config;
use crate::exit;

/// The walk of one command through the tiers, in words; and whether any of it goes.
pub fn walk(command: &str, threshold: f64) -> (String, bool) {
    let mut out = String::new();
    let mut tier = |number: u32, name: &str, since: Instant, said: &str| {
        let _ = writeln!(
            out,
            "tier {number}  {name:<10} {:>7.1} us  {said}",
            since.elapsed().as_secs_f64() * 1e6
        );
    };
    let start = Instant::now();
    if command.trim().is_empty() {
        tier(0, "content", start, "stays: no content");
        return (out, false);
    }
    tier(0, "content", start, "a shell command");
    let start = Instant::now();
    if let Err(left) = crate::shell::parse(command.as_bytes()) {
        tier(1, "structure", start, &format!("stays: {}", left.text()));
        return (out, false);
    }
    tier(1, "structure", start, "understood");
    let start = Instant::now();
    let mentioned = keywords::mentioned(command.as_bytes());
    tier(
        2,
        "keywords",
        start,
        if mentioned {
            "a tool may be named"
        } else {
            "stays: no tool is named"
        },
    );
    if !mentioned {
        return (out, false);
    }
    let start = Instant::now();
    let reading = match text::read(command.as_bytes(), threshold) {
        Ok(reading) => reading,
        Err(alone) => {
            tier(3, "never", start, &format!("stays: {}", alone.text()));
            return (out, false);
        }
    };
    tier(3, "never", start, "nothing forbids it as a whole");
    tier(
        4,
        "match",
        start,
        &format!(
            "{} of {} commands go",
            reading.places().len(),
            reading.found.len()
        ),
    );
    for found in &reading.found {
        let _ = writeln!(
            out,
            "        at byte {:<4} {}",
            found.at,
            verdict(&found.verdict)
        );
    }
    let places = reading.places();
    if let Some(text) = rewrite::insert(command, &places, "rch").filter(|_| !places.is_empty()) {
        let _ = writeln!(out, "rewritten: {text}");
    }
    (out, !places.is_empty())
}

fn verdict(verdict: &Result<Accepted, Stays>) -> String {
    match verdict {
        Ok(a) => format!(
            "goes: {:?} {:?}, confidence {:.2}",
            a.tool, a.kind, a.confidence
        ),
        Err(Stays::Refused(refusal)) => format!("stays: {refusal}"),
        Err(Stays::Fed) => "stays: its standard input is data".into(),
        Err(Stays::Inert) => "stays: in a function's body".into(),
        Err(Stays::Quoted) => "stays: its name is quoted".into(),
    }
}

/// `rch classify 'COMMAND'`; exit status 0 if something goes, 1 if all stays.
pub fn command(args: &[OsString]) -> i32 {
    let [text] = args else {
        let _ = writeln!(
            std::io::stderr(),
            "rch: 'classify' takes one command, in quotes"
        );
        return exit::USAGE;
    };
    let cwd = std::env::current_dir().unwrap_or_default();
    let (config, _) = Config::load(&cwd, |name| std::env::var(name).ok());
    let (walk, goes) = walk(
        &text.to_string_lossy(),
        config.compilation.confidence_threshold,
    );
    let _ = std::io::stdout().write_all(walk.as_bytes());
    i32::from(!goes)
}
