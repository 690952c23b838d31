//! `rch classify 'COMMAND'`: the five tiers, what each took, and the verdict.
//!
//! In the order of their numbers. The hook itself sieves by keyword first, on the raw document. What is
//! found is a `Walk`; it can be read as lines by people and as data by machines. What the hook would
//! rewrite, and `rch exec` then keep here because of a variable, stays: that is what one wants to know.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStringExt;
use std::time::Instant;

use serde_json::{Value, json};

use super::rewrite;
use crate::classify::kept::{self, Lookup};
use crate::classify::text::{self, Reading, Stays};
use crate::classify::{Accepted, keywords};
use crate::shell::{self, Script};

/// A command's way through the tiers.
#[derive(Debug, Default)]
pub struct Walk {
    tiers: Vec<Tier>,
    /// The compile words of the text, in its order.
    words: Vec<Word>,
    /// The command as the agent's shell would get it; `None` if the hook leaves it alone.
    pub rewritten: Option<String>,
}

#[derive(Debug)]
struct Tier {
    number: u32,
    name: &'static str,
    micros: f64,
    said: String,
}

#[derive(Debug)]
struct Word {
    at: usize,
    goes: bool,
    said: String,
}

impl Walk {
    /// Whether any of it goes.
    pub fn goes(&self) -> bool {
        self.rewritten.is_some() && self.words.iter().any(|w| w.goes)
    }

    fn tier(&mut self, number: u32, name: &'static str, since: Instant, said: impl Into<String>) {
        self.tiers.push(Tier {
            number,
            name,
            micros: since.elapsed().as_secs_f64() * 1e6,
            said: said.into(),
        });
    }

    /// A line for each tier, and one for each compile word.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for t in &self.tiers {
            let (number, name, micros, said) = (t.number, t.name, t.micros, &t.said);
            let _ = writeln!(out, "tier {number}  {name:<10} {micros:>7.1} us  {said}");
        }
        for word in &self.words {
            let _ = writeln!(out, "        at byte {:<4} {}", word.at, word.said);
        }
        out
    }

    pub fn data(&self) -> Value {
        let tier = |t: &Tier| json!({ "tier": t.number, "name": t.name, "us": rounded(t.micros), "said": t.said });
        let word = |w: &Word| json!({ "at": w.at, "goes": w.goes, "said": w.said });
        json!({
            "goes": self.goes(),
            "tiers": self.tiers.iter().map(tier).collect::<Vec<_>>(),
            "words": self.words.iter().map(word).collect::<Vec<_>>(),
            "rewritten": self.rewritten,
        })
    }
}

/// To tenths, as people are shown it.
fn rounded(micros: f64) -> f64 {
    (micros * 10.0).round() / 10.0
}

/// Walks one command through the tiers. `var` is the environment in which it would be run.
pub fn walk(command: &str, threshold: f64, var: Lookup<'_>) -> Walk {
    let mut walk = Walk::default();
    let start = Instant::now();
    if command.trim().is_empty() {
        walk.tier(0, "content", start, "stays: no content");
        return walk;
    }
    walk.tier(0, "content", start, "a shell command");
    let start = Instant::now();
    let script = match crate::shell::parse(command.as_bytes()) {
        Ok(script) => script,
        Err(left) => {
            walk.tier(1, "structure", start, format!("stays: {}", left.text()));
            return walk;
        }
    };
    walk.tier(1, "structure", start, "understood");
    let start = Instant::now();
    if !keywords::mentioned(command.as_bytes()) {
        walk.tier(2, "keywords", start, "stays: no tool is named");
        return walk;
    }
    walk.tier(2, "keywords", start, "a tool may be named");
    let start = Instant::now();
    let reading = match text::read(command.as_bytes(), threshold) {
        Ok(reading) => reading,
        Err(alone) => {
            walk.tier(3, "never", start, format!("stays: {}", alone.text()));
            return walk;
        }
    };
    walk.tier(3, "never", start, "nothing forbids it as a whole");
    let places = reading.places();
    walk.words = words(&reading, &script, var);
    let goes = walk.words.iter().filter(|w| w.goes).count();
    let said = match (walk.words.len(), goes) {
        (0, _) => "stays: no command of it is a tool".into(),
        (1, 0) => "its one command stays".into(),
        (1, _) => "its one command goes".into(),
        (all, goes) => format!("{goes} of {all} commands go"),
    };
    walk.tier(4, "match", start, said);
    walk.rewritten = rewrite::insert(command, &places, "rch").filter(|_| !places.is_empty());
    walk
}

/// Every command that is a tool or mentions one, in the order of the text.
fn words(reading: &Reading, script: &Script<'_>, var: Lookup<'_>) -> Vec<Word> {
    let judged = reading.found.iter().map(|found| {
        let accepted = found.verdict.as_ref().ok();
        let kept = accepted.and_then(|a| kept(script, found.at, a, var));
        Word {
            at: found.at,
            goes: accepted.is_some() && kept.is_none(),
            said: kept.unwrap_or_else(|| verdict(&found.verdict)),
        }
    });
    let mut words: Vec<Word> = judged.collect();
    for command in &script.commands {
        let all = script.words(command);
        let mine = |at: usize| all.iter().any(|w| w.start == at);
        let names = all.iter().any(|w| keywords::mentioned(&w.text));
        if let (Some(first), true) = (all.first(), names)
            && !words.iter().any(|w| mine(w.at))
        {
            let name = String::from_utf8_lossy(&first.text);
            words.push(Word {
                at: first.start,
                goes: false,
                said: format!(
                    "stays: '{}' is no tool of rch's, whatever it runs",
                    name.escape_debug()
                ),
            });
        }
    }
    words.sort_by_key(|w| w.at);
    words
}

/// Why the command whose name stands at `at` would be run here after all.
fn kept(script: &Script<'_>, at: usize, accepted: &Accepted, var: Lookup<'_>) -> Option<String> {
    let set = assignments(script, at);
    let var = |name: &str| {
        let here = set.iter().rev().find_map(|word| value(word, name));
        here.map_or_else(|| var(name), |v| Some(OsString::from_vec(v.to_vec())))
    };
    let why = kept::why(accepted.kind, &var)?;
    Some(format!("stays: 'rch exec' runs it here, because {why}"))
}

/// Words by which the text sets variables for the command at `at`: exported before, in front of it, or
/// for `env`. Among them are others.
fn assignments<'s, 'a>(script: &'s Script<'a>, at: usize) -> Vec<&'s shell::Word<'a>> {
    let mut found = vec![];
    for command in &script.commands {
        let words = script.words(command);
        if let Some(tool) = words.iter().position(|w| w.start == at) {
            found.extend(script.assigns(command));
            found.extend(words.iter().take(tool));
            break;
        }
        if words.first().and_then(shell::Word::value) == Some(b"export") {
            found.extend(words);
        }
    }
    found
}

/// What the word sets the variable to, as far as it is certain.
fn value<'w>(word: &'w shell::Word<'_>, name: &str) -> Option<&'w [u8]> {
    let rest = word.text.strip_prefix(name.as_bytes())?;
    rest.strip_prefix(b"+").unwrap_or(rest).strip_prefix(b"=")
}

fn verdict(verdict: &Result<Accepted, Stays>) -> String {
    match verdict {
        Ok(a) => {
            let tool = format!("{:?} {}", a.tool, a.facts.subcommand).to_lowercase();
            let kind = format!("{:?}", a.kind).to_lowercase();
            format!(
                "goes: {}, kind {kind}, confidence {:.2}",
                tool.trim_end(),
                a.confidence
            )
        }
        Err(Stays::Refused(refusal)) => format!("stays: {refusal}"),
        Err(Stays::Fed) => "stays: its standard input is data".into(),
        Err(Stays::Inert) => "stays: in a function's body".into(),
        Err(Stays::Quoted) => "stays: its name is quoted".into(),
    }
}
