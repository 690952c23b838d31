//! Completions for bash, zsh and fish, from the table of commands.
//!
//! The scripts are static: a shell that completes never starts rch, except for worker ids, which
//! only `rch workers list` knows.

use std::fmt::Write;

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
        "bash" => bash(),
        "zsh" => zsh(),
        "fish" => fish(),
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

/// Everything that may stand behind a command's words.
fn words(command: &Command) -> String {
    let flags = command.flags.iter().chain(GLOBAL);
    let mut words: Vec<String> = flags.map(|f| format!("--{}", f.long)).collect();
    match command.operands.what {
        What::Key => words.extend(KEYS.iter().map(|k| k.path())),
        What::Shell => words.extend(SHELLS.map(String::from)),
        What::Worker | What::Nothing | What::Command => {}
    }
    words.join(" ")
}

/// Flags whose value is one of a few words, each once.
fn choices() -> Vec<&'static Flag> {
    let mut found: Vec<&Flag> = vec![];
    let all = COMMANDS.iter().flat_map(|c| c.flags).chain(GLOBAL);
    for flag in all.filter(|f| !f.choices.is_empty()) {
        if found.iter().all(|f| f.long != flag.long) {
            found.push(flag);
        }
    }
    found
}

/// The words that have commands below them.
fn groups() -> Vec<&'static str> {
    let mut groups: Vec<&str> = vec![];
    for command in COMMANDS.iter().filter(|c| c.words.len() > 1) {
        if !groups.contains(&command.words[0]) {
            groups.push(command.words[0]);
        }
    }
    groups
}

const IDS: &str = r#"$(rch workers list --json 2>/dev/null | sed -n 's/^ *"id": "\(.*\)",$/\1/p')"#;

fn bash() -> String {
    let mut out = String::from(
        "# bash completion for rch, made by 'rch completions bash'.\n_rch() {\n\
         \x20   local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words= i c=\n\
         \x20   COMPREPLY=()\n    case $prev in\n",
    );
    for flag in choices() {
        let _ = writeln!(
            out,
            "        --{}) COMPREPLY=($(compgen -W '{}' -- \"$cur\")); return ;;",
            flag.long,
            flag.choices.join(" ")
        );
    }
    out.push_str(
        "    esac\n    for ((i = 1; i < COMP_CWORD; i++)); do\n        case ${COMP_WORDS[i]} in\n\
         \x20           -*) ;;\n            *) c+=\"${c:+ }${COMP_WORDS[i]}\" ;;\n        esac\n    done\n\
         \x20   case $c in\n",
    );
    let _ = writeln!(
        out,
        "        '') words='{} help' ;;",
        next_words(&[]).join(" ")
    );
    for group in groups() {
        let below = next_words(&[group.to_string()]).join(" ");
        let _ = writeln!(out, "        '{group}') words='{below}' ;;");
    }
    out.push_str("        exec*) COMPREPLY=($(compgen -c -- \"$cur\")); return ;;\n");
    for command in COMMANDS.iter().filter(|c| c.words != ["exec"]) {
        let ids = if command.operands.what == What::Worker {
            IDS
        } else {
            ""
        };
        let _ = writeln!(
            out,
            "        '{}'*) words=\"{}{}{ids}\" ;;",
            command.name(),
            words(command),
            if ids.is_empty() { "" } else { " " }
        );
    }
    out.push_str(
        "    esac\n    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n}\ncomplete -F _rch rch\n",
    );
    out
}

/// zsh runs bash's function through its own emulation, which every zsh brings.
fn zsh() -> String {
    let script = bash();
    let body = script.split_once('\n').map_or("", |(_, body)| body);
    format!(
        "#compdef rch\n# zsh completion for rch, made by 'rch completions zsh'.\n\
         autoload -U +X bashcompinit && bashcompinit\n{body}"
    )
}

fn fish() -> String {
    let mut out = String::from(
        "# fish completion for rch, made by 'rch completions fish'.\ncomplete -c rch -f\n",
    );
    for flag in GLOBAL {
        let _ = writeln!(out, "complete -c rch{}", fish_flag(flag));
    }
    for word in next_words(&[]) {
        let about = COMMANDS
            .iter()
            .find(|c| c.words == [word])
            .map_or("", |c| c.about);
        let _ = writeln!(
            out,
            "complete -c rch -n __fish_use_subcommand -a {word} -d '{}'",
            quoted(about)
        );
    }
    for command in COMMANDS {
        fish_command(&mut out, command);
    }
    out
}

fn fish_command(out: &mut String, command: &Command) {
    let mut when = format!("__fish_seen_subcommand_from {}", command.words[0]);
    if let Some(second) = command.words.get(1) {
        let below = next_words(&[command.words[0].to_string()]).join(" ");
        let _ = writeln!(
            out,
            "complete -c rch -n '{when}; and not __fish_seen_subcommand_from {below}' -a {second} -d '{}'",
            quoted(command.about)
        );
        let _ = write!(when, "; and __fish_seen_subcommand_from {second}");
    }
    for flag in command.flags {
        let _ = writeln!(out, "complete -c rch -n '{when}'{}", fish_flag(flag));
    }
    let operands = match command.operands.what {
        What::Worker => {
            "(rch workers list --json 2>/dev/null | string match -rg \\'\"id\": \"(.*)\"\\')".into()
        }
        What::Key => KEYS.iter().map(|k| k.path()).collect::<Vec<_>>().join(" "),
        What::Shell => SHELLS.join(" "),
        What::Command => "(__fish_complete_command)".into(),
        What::Nothing => return,
    };
    let _ = writeln!(out, "complete -c rch -n '{when}' -a '{operands}'");
}

fn fish_flag(flag: &Flag) -> String {
    let mut out = format!(" -l {}", flag.long);
    if let Some(short) = flag.short {
        let _ = write!(out, " -s {short}");
    }
    if flag.value.is_some() {
        let _ = write!(out, " -x");
    }
    if !flag.choices.is_empty() {
        let _ = write!(out, " -a '{}'", flag.choices.join(" "));
    }
    let _ = write!(out, " -d '{}'", quoted(flag.help));
    out
}

fn quoted(text: &str) -> String {
    text.replace('\'', "\\'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_and_flag_is_in_every_script() {
        for script in [bash(), zsh(), fish()] {
            for command in COMMANDS {
                assert!(command.words.iter().all(|w| script.contains(w)));
                for flag in command
                    .flags
                    .iter()
                    .chain(GLOBAL)
                    .filter(|_| command.words != ["exec"])
                {
                    assert!(script.contains(flag.long), "--{}", flag.long);
                }
            }
        }
    }
}
