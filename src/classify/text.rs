//! A whole shell text: where `rch exec -- ` goes.
//!
//! Each simple command is judged on its own, behind its wrappers. The text is left alone as a whole
//! when something in it changes how the shell reads or shows the rest: aliases, options such as
//! `set -x` (which prints every command as run), another IFS, a function called like a tool, a bare
//! `exec` redirection.

use super::{Accepted, Refusal, Why, above, harmless, judge, names, wrappers};
use crate::shell::{self, Left, Script, Simple, Word};

/// Why a text is left alone as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Alone {
    Shell(Left),
    /// The named thing changes what the rest means.
    Changed(&'static str),
}

impl Alone {
    pub fn text(&self) -> &'static str {
        match self {
            Alone::Shell(left) => left.text(),
            Alone::Changed(what) => what,
        }
    }
}

/// Why one command of a text stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stays {
    Refused(Refusal),
    /// Its standard input is data.
    Fed,
    /// It is in a function's body.
    Inert,
    /// Its name is written with quotes or escapes.
    Quoted,
}

/// A command that names one of our tools, or hides behind a wrapper.
#[derive(Debug)]
pub struct Found {
    /// Where its command word begins.
    pub at: usize,
    pub verdict: Result<Accepted, Stays>,
}

#[derive(Debug)]
pub struct Reading {
    pub found: Vec<Found>,
    /// The text is one simple command without any operator.
    pub simple: bool,
}

impl Reading {
    /// The places to insert at, ascending.
    pub fn places(&self) -> Vec<usize> {
        let sent = self.found.iter().filter(|f| f.verdict.is_ok());
        let mut places: Vec<usize> = sent.map(|f| f.at).collect();
        places.sort_unstable();
        places
    }
}

/// Reads a shell text and judges every command in it.
///
/// # Errors
/// Why the text is left alone.
pub fn read(src: &[u8], threshold: f64) -> Result<Reading, Alone> {
    let script = shell::parse(src).map_err(Alone::Shell)?;
    if let Some(what) = harmless::change(src, &script) {
        return Err(Alone::Changed(what));
    }
    Ok(reading(&script, threshold))
}

fn reading(script: &Script<'_>, threshold: f64) -> Reading {
    let found = script.commands.iter();
    let found = found.filter_map(|c| find(script, c, threshold));
    Reading {
        found: found.collect(),
        simple: script.simple,
    }
}

fn find(script: &Script<'_>, command: &Simple, threshold: f64) -> Option<Found> {
    let outer = script.words(command);
    let words = match wrappers::unwrap(outer) {
        Ok(words) => words,
        Err(refusal) => return Some(refused(outer.first()?, Stays::Refused(refusal))),
    };
    let first = words.first()?;
    let name = first.value()?;
    let tool = names::tool(name.rsplit(|&b| b == b'/').next().unwrap_or(name));
    tool?;
    let verdict = verdict(command, script.assigns(command), words, threshold);
    Some(Found {
        at: first.start,
        verdict,
    })
}

fn refused(word: &Word<'_>, stays: Stays) -> Found {
    Found {
        at: word.start,
        verdict: Err(stays),
    }
}

fn verdict(
    command: &Simple,
    assigns: &[Word<'_>],
    words: &[Word<'_>],
    threshold: f64,
) -> Result<Accepted, Stays> {
    if command.inert {
        return Err(Stays::Inert);
    }
    if command.fed {
        return Err(Stays::Fed);
    }
    let first = words.first().filter(|w| w.is_plain());
    let Some(first) = first else {
        return Err(Stays::Quoted);
    };
    let bad = |a: &&Word<'_>| !wrappers::harmless_assignment(a);
    if let Some(bad) = assigns.iter().find(bad) {
        return Err(Stays::Refused(Refusal::new(Why::Unknown, &bad.text)));
    }
    judge(words)
        .and_then(|accepted| above(accepted, threshold, &first.text))
        .map_err(Stays::Refused)
}
