//! Completions for bash, zsh and fish, from the table of commands.
//!
//! The scripts are static: a shell that completes never starts rch, except for the ids of workers and
//! jobs, which only the daemon knows. Each finds the words that are neither flags nor values of flags,
//! and offers what may follow them; behind `exec` another command's own completion takes over.

mod bash;
mod fish;
mod zsh;

use serde_json::json;

use super::Outcome;
use super::out::{Done, Fail};
use super::parse::{Call, next_words};
use super::table::{COMMANDS, Command, Flag, GLOBAL, What};
use crate::config::KEYS;
use crate::error::Error;
use crate::nearest::nearest;

const SHELLS: [&str; 3] = ["bash", "zsh", "fish"];

pub fn main(call: &Call) -> Outcome {
    let shell = call.operand(0).unwrap_or_default();
    let text = match shell {
        "bash" => bash::script(),
        "zsh" => zsh::script(),
        "fish" => fish::script(),
        _ => return Err(unknown(shell)),
    };
    Ok(Done::new(
        text.clone(),
        json!({ "shell": shell, "script": text }),
    ))
}

fn unknown(shell: &str) -> Fail {
    let error = Error::new(format!("no completions for '{shell}'"));
    Fail::usage(match nearest(shell, SHELLS) {
        Some(near) => error.hint(format!("did you mean '{near}'?")),
        None => error.hint("there are bash, zsh and fish"),
    })
}

/// Commands that people type.
fn commands() -> impl Iterator<Item = &'static Command> {
    COMMANDS.iter().filter(|c| c.is_for_people())
}

/// What may follow these words, each with what it does: a group's commands stand for it.
fn next(before: &[&str]) -> Vec<(&'static str, String)> {
    let before: Vec<String> = before.iter().map(ToString::to_string).collect();
    let about = |word: &&'static str| {
        let path = [&before[..], &[(*word).to_string()]].concat();
        let command = commands().find(|c| c.words == path);
        let below = || next_words(&path).join(", ");
        (*word, command.map_or_else(below, |c| c.about.into()))
    };
    let words = next_words(&before);
    words.iter().map(about).collect()
}

/// The words that have commands below them.
fn groups() -> Vec<&'static str> {
    let first = next_words(&[]).into_iter();
    first
        .filter(|w| !next_words(&[(*w).into()]).is_empty())
        .collect()
}

/// Flags that take a value, each once.
fn valued() -> Vec<&'static Flag> {
    let mut found: Vec<&Flag> = vec![];
    let all = COMMANDS.iter().flat_map(|c| c.flags).chain(GLOBAL);
    for flag in all.filter(|f| f.value.is_some()) {
        if found.iter().all(|f| f.long != flag.long) {
            found.push(flag);
        }
    }
    found
}

/// A flag as it is typed: `--tail`, `-n`.
fn spellings(flag: &Flag) -> Vec<String> {
    let short = flag.short.map(|c| format!("-{c}"));
    short
        .into_iter()
        .chain([format!("--{}", flag.long)])
        .collect()
}

/// Whether only the first operand is of the kind that can be offered.
fn only_first(command: &Command) -> bool {
    command.operands.max < usize::MAX
}

/// The operands that are known beforehand.
fn operands(command: &Command) -> Vec<String> {
    match command.operands.what {
        What::Key => KEYS.iter().map(|k| k.path()).collect(),
        What::Shell => SHELLS.map(String::from).into(),
        _ => vec![],
    }
}

/// A command line that tells the operands which only the daemon knows.
fn asked(command: &Command) -> Option<&'static str> {
    match command.operands.what {
        What::Worker => {
            Some(r#"rch workers list --json 2>/dev/null | sed -n 's/^ *"id": "\(.*\)",$/\1/p'"#)
        }
        What::Job => {
            Some(r#"rch status --jobs --json 2>/dev/null | sed -n 's/^ *"id": \([0-9]*\),$/j\1/p'"#)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_and_flag_is_in_every_script() {
        for script in [bash::script(), zsh::script(), fish::script()] {
            for command in commands() {
                assert!(command.words.iter().all(|w| script.contains(w)));
                for flag in command.flags.iter().chain(GLOBAL) {
                    assert!(script.contains(flag.long), "--{}", flag.long);
                }
            }
            assert!(!script.contains("session-start"), "it is not for people");
        }
    }
}
