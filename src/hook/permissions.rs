//! What the user's own rules say about the original command (Claude Code).
//!
//! The client matches its rules against the rewritten text only, which none of them was written for;
//! so they are applied here, as the client would have: deny beats ask beats allow. Where we read a
//! rule differently than the client might, the difference is on the careful side: denials match
//! widely and anywhere, permissions narrowly and only if every part of the command has one. A file
//! that cannot be understood means silence.

use std::path::{Path, PathBuf};

use super::rules::{Part, Rule, Rules};
use crate::shell::{self, Script, Shape, Simple};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Leave the command alone, for this reason.
    Silence(&'static str),
    Ask,
    Allow,
    /// No rule: the client decides.
    None,
}

/// Decides by all rules in force in `cwd`.
pub fn decide(command: &str, cwd: &Path, mode: Option<&str>) -> Decision {
    let project =
        std::env::var_os("CLAUDE_PROJECT_DIR").map_or_else(|| cwd.to_path_buf(), PathBuf::from);
    let Some(rules) = super::settings::gather(&project) else {
        return Decision::Silence("a settings file that cannot be understood");
    };
    by_rules(command, &rules, mode)
}

/// As `decide`, by these rules.
pub fn by_rules(command: &str, rules: &Rules, mode: Option<&str>) -> Decision {
    if rules.sandboxed {
        return Decision::Silence("the client's sandbox forbids our socket");
    }
    let Ok(script) = shell::parse(command.as_bytes()) else {
        return Decision::Silence("not understood");
    };
    let parts = parts(command, &script);
    let any = |list: &[Rule]| caught(list, command, &parts);
    if any(&rules.deny) {
        return Decision::Silence("a deny rule matches");
    }
    if any(&rules.ask) {
        return Decision::Ask;
    }
    if mode == Some("bypassPermissions") {
        return Decision::None;
    }
    let allowed = |p: &Part<'_>| rules.allow.iter().any(|r| r.permits(p));
    let whole = rules.allow.contains(&Rule::Everything);
    let each = parts
        .iter()
        .all(|p| (!p.writes && allowed(p)) || is_harmless(p));
    // What stands in backticks is not among the parts.
    let hidden = command.contains('`');
    if whole || (each && !hidden && parts.iter().any(allowed)) {
        Decision::Allow
    } else {
        Decision::None
    }
}

fn parts<'a>(command: &'a str, script: &'a Script<'a>) -> Vec<Part<'a>> {
    let each = script.commands.iter();
    each.map(|c| part(command, script, c)).collect()
}

fn caught(list: &[Rule], command: &str, parts: &[Part<'_>]) -> bool {
    list.iter()
        .any(|r| r.covers_text(command) || parts.iter().any(|p| r.catches(p)))
}

/// Whether any of the rules is about any part of `command`; also if it cannot be understood.
pub fn catches(list: &[Rule], command: &str) -> bool {
    let Ok(script) = shell::parse(command.as_bytes()) else {
        return true;
    };
    caught(list, command, &parts(command, &script))
}

fn part<'a>(command: &'a str, script: &'a Script<'a>, simple: &Simple) -> Part<'a> {
    let (assigns, words) = (script.assigns(simple), script.words(simple));
    let all = || assigns.iter().chain(words);
    let start = all().map(|w| w.start).min().unwrap_or(0);
    let end = all().map(|w| w.end).max().unwrap_or(start);
    Part {
        text: command.get(start..end).unwrap_or(""),
        words,
        assigns,
        source: command,
        writes: simple.writes,
    }
}

/// What the client itself lets pass without a rule beside an allowed command: changing into a folder
/// below, and filters of output that name no file elsewhere.
fn is_harmless(part: &Part<'_>) -> bool {
    const FILTERS: &[&[u8]] = &[
        b"tail", b"head", b"grep", b"wc", b"cut", b"tr", b"uniq", b"cat", b"echo", b"pwd", b"ls",
        b"true", b"false",
    ];
    let Some((first, args)) = part.words.split_first() else {
        return false;
    };
    let Some(name) = first.value() else {
        return false;
    };
    let stays_here = |text: &[u8]| {
        !text.starts_with(b"/")
            && !text.starts_with(b"~")
            && !text.split(|&b| b == b'/').any(|p| p == b"..")
    };
    let here = args
        .iter()
        .all(|w| w.shape == Shape::Fixed && stays_here(&w.text));
    let known = name == b"cd" && args.len() == 1 && !args.iter().any(|w| w.text.starts_with(b"-"));
    !part.writes && part.assigns.is_empty() && here && (known || FILTERS.contains(&name))
}
