//! How the agent's client was started: rules and settings on its own command line.
//!
//! Clients tell their hooks nothing of it, but the command line of the process above us stands in
//! `/proc`. It is read as Claude Code's option parser (commander) reads it: an option that takes
//! values takes the next word whatever it looks like, a list goes on until something begins with a
//! hyphen, `--option=value` is never a list, `--` ends the options. A rule that merely stands in the
//! prompt is none. Shells between the client and us are looked through.

use std::path::{Path, PathBuf};

use super::rules::Rule;
use crate::sys::process;

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Invocation {
    pub allow: Vec<Rule>,
    pub deny: Vec<Rule>,
    /// `--settings`: JSON, or the name of a file.
    pub settings: Option<String>,
    /// `--setting-sources`, with commas; `None` for all of them.
    sources: Option<String>,
    /// The client's working directory.
    dir: PathBuf,
}

#[derive(Clone, Copy)]
enum Given {
    Allow,
    Deny,
    Settings,
    Sources,
}

fn given(name: &str) -> Option<Given> {
    match name {
        "--allowedTools" | "--allowed-tools" => Some(Given::Allow),
        "--disallowedTools" | "--disallowed-tools" => Some(Given::Deny),
        "--settings" => Some(Given::Settings),
        "--setting-sources" => Some(Given::Sources),
        _ => None,
    }
}

/// The client's invocation; an empty one if there is none to be seen.
pub fn of_client() -> Invocation {
    let mut pid = process::getppid().0;
    for _ in 0..4 {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if !is_shell(&line) {
            let mut found = read(&line);
            found.dir = format!("/proc/{pid}/cwd").into();
            return found;
        }
        let Some(above) = parent(pid) else { break };
        pid = above;
    }
    Invocation::default()
}

fn is_shell(line: &[u8]) -> bool {
    let program = line.split(|&b| b == 0).next().unwrap_or(b"");
    let name = program.rsplit(|&b| b == b'/').next().unwrap_or(b"");
    matches!(
        name.strip_prefix(b"-").unwrap_or(name),
        b"sh" | b"bash" | b"dash" | b"zsh" | b"fish"
    )
}

fn parent(pid: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Behind the program's name, which may hold anything: the state and the parent.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Reads a command line whose words end in NUL.
pub fn read(line: &[u8]) -> Invocation {
    let mut found = Invocation::default();
    let mut list = None;
    let mut words = line.split(|&b| b == 0).map(String::from_utf8_lossy);
    while let Some(word) = words.next() {
        if word == "--" {
            break;
        }
        if !word.starts_with('-') || word.len() == 1 {
            if let Some(into) = list {
                found.take(into, &word);
            }
            continue;
        }
        let (name, attached) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (&*word, None),
        };
        list = None;
        let Some(into) = given(name) else { continue };
        match attached {
            Some(value) => found.take(into, value),
            None => {
                found.take(into, &words.next().unwrap_or_default());
                list = matches!(into, Given::Allow | Given::Deny).then_some(into);
            }
        }
    }
    found
}

impl Invocation {
    fn take(&mut self, into: Given, value: &str) {
        match into {
            Given::Allow => self.allow.extend(split(value)),
            Given::Deny => self.deny.extend(split(value)),
            Given::Settings => self.settings = Some(value.to_owned()),
            Given::Sources => self.sources = Some(value.to_owned()),
        }
    }

    /// Whether the settings called `source` are in force.
    pub fn reads(&self, source: &str) -> bool {
        let named = |list: &String| list.split(',').any(|s| s.trim() == source);
        self.sources.as_ref().is_none_or(named)
    }

    /// A path as the client means it.
    pub fn path(&self, path: &str) -> PathBuf {
        self.dir.join(Path::new(path))
    }
}

/// A list with commas or blanks between rules, but not inside their parentheses.
fn split(text: &str) -> Vec<Rule> {
    let mut depth = 0u32;
    let parts = text.split(|c| {
        match c {
            '(' => depth = depth.saturating_add(1),
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && matches!(c, ',' | ' ')
    });
    parts.filter_map(Rule::parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &[&str]) -> Invocation {
        read(words.join("\0").as_bytes())
    }

    fn rules(texts: &[&str]) -> Vec<Rule> {
        texts.iter().filter_map(|t| Rule::parse(t)).collect()
    }

    #[test]
    fn lists_go_on_until_an_option() {
        let found = of(&[
            "claude",
            "--allowedTools",
            "Bash(cargo test:*),Read Bash(git log:*)",
            "Bash(make)",
            "-p",
            "Bash(rm:*)",
            "--disallowed-tools",
            "Bash(cargo run:*)",
        ]);
        assert_eq!(
            found.allow,
            rules(&["Bash(cargo test:*)", "Bash(git log:*)", "Bash(make)"])
        );
        assert_eq!(found.deny, rules(&["Bash(cargo run:*)"]));
    }

    /// A prompt may say anything; only options give rules.
    #[test]
    fn a_prompt_allows_nothing() {
        for words in [
            &["claude", "--allowed-tools=Read", "Bash"][..],
            &["claude", "--", "--allowedTools", "Bash"],
            &["claude", "-p", "Bash(cargo:*)"],
            &["claude", "-p", "--allowedTools Bash"],
        ] {
            assert_eq!(of(words).allow, [], "{words:?}");
        }
    }

    #[test]
    fn settings_and_their_sources() {
        let found = of(&[
            "claude",
            "--settings",
            "a.json",
            "--setting-sources=user, local",
        ]);
        assert_eq!(found.settings.as_deref(), Some("a.json"));
        assert!(found.reads("user") && found.reads("local") && !found.reads("project"));
        assert!(of(&["claude"]).reads("project"));
        assert_eq!(of(&["claude", "--settings"]).settings.as_deref(), Some(""));
    }
}
