//! What `rch doctor` says of the agents: is the hook in their settings, does it answer, and which
//! rules on an agent's own command line count.

use std::path::Path;

use super::doctor::{Finding, note, ok, wrong};
use super::out::clean;
use crate::config::Config;
use crate::hook::answer::{Answer, answer};
use crate::hook::install::{self, Agent};
use crate::sys::process;

const AGENTS: [(&str, &str, Agent); 3] = [
    ("claude", "Claude Code", Agent::Claude),
    ("codex", "Codex", Agent::Codex),
    ("gemini", "Gemini CLI", Agent::Gemini),
];

pub fn examine(config: &Config) -> Vec<Finding> {
    let mut found: Vec<Finding> = AGENTS.iter().filter_map(|a| installed(*a)).collect();
    if found.is_empty() {
        let hint = "rch hook install --agent claude; others are codex and gemini";
        found.push(note("hook", "no agent has rch's hook", hint));
    }
    found.push(match config.hook.mode.as_str() {
        // To ask the hook would be to run the job.
        "inline" => ok(
            "rewrite",
            "hook.mode is inline: the hook runs the job itself",
        ),
        _ => rewrites(),
    });
    found.extend(command_line_rules());
    found
}

/// Whether our hook is in the settings of an agent that is used here.
fn installed((name, title, agent): (&str, &str, Agent)) -> Option<Finding> {
    let rch = std::fs::read_link("/proc/self/exe").ok()?;
    let files = [agent.file(false), agent.file(true)];
    let used = files[0].parent().is_some_and(holds_something);
    let (mut others, mut masked) = (vec![], None);
    for file in &files {
        let settings = match install::load(file) {
            Ok((_, settings)) => settings,
            Err(error) => {
                let hint = "mend the file; the hook is silent until it can be read";
                return Some(wrong("hook", error.text(), hint));
            }
        };
        let (own, rest) = install::look(&settings, agent, &rch.to_string_lossy());
        others.extend(rest);
        if own {
            let text = format!("{title} calls it, by '{}'", file.display());
            return Some(rival(text, &others));
        }
        if masked.is_none() && install::masks(&settings, &rch.to_string_lossy()) {
            masked = Some(file);
        }
    }
    if let Some(file) = masked {
        let text = format!(
            "{title}'s sessions put links named as compilers into PATH, by '{}'",
            file.display()
        );
        return Some(ok("hook", text));
    }
    // Another rch than this one: moved, or a second installation.
    let stale = others
        .iter()
        .find(|o| o.trim_matches('\'').ends_with("/rch"));
    if let Some(other) = stale {
        let text = format!("{title} calls another rch: {}", clean(other));
        let hint =
            format!("'rch hook install --agent {name}' names this one; take the other out by hand");
        return Some(wrong("hook", text, hint));
    }
    used.then(|| {
        let text = format!("{title} is used here without rch's hook");
        note("hook", text, format!("rch hook install --agent {name}"))
    })
}

/// An agent that is used leaves files in its folder; an empty one may be anybody's.
fn holds_something(dir: &Path) -> bool {
    std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some())
}

/// A second hook that sees the same commands may rewrite them too.
fn rival(text: String, others: &[String]) -> Finding {
    match others.first() {
        None => ok("hook", text),
        Some(other) => {
            let text = format!("{text}, and '{}' sees the same commands", clean(other));
            note(
                "hook",
                text,
                "if it rewrites commands too, the last one wins: take one out",
            )
        }
    }
}

/// Gives the hook a document as an agent would here.
fn rewrites() -> Finding {
    let cwd = std::env::current_dir().unwrap_or_default();
    let document = serde_json::json!({
        "hook_event_name": "PreToolUse", "tool_name": "Bash", "cwd": cwd.to_string_lossy(),
        "tool_input": { "command": "cargo build" },
    });
    match answer(document.to_string().as_bytes()) {
        Answer::Say(said) if said.contains("\"permissionDecision\":\"allow\"") => ok(
            "rewrite",
            "'cargo build' becomes 'rch exec -- cargo build', and your rules allow it",
        ),
        Answer::Say(said) if said.contains("\"permissionDecision\":\"ask\"") => ok(
            "rewrite",
            "'cargo build' becomes 'rch exec -- cargo build', and your rules ask first",
        ),
        Answer::Say(_) => ok(
            "rewrite",
            "'cargo build' becomes 'rch exec -- cargo build'; no rule of yours names it, so the agent decides",
        ),
        Answer::Silence(why) => wrong(
            "rewrite",
            format!("the hook leaves 'cargo build' alone: {}", clean(&why)),
            "'rch hook test' shows its way through the tiers; rules stand in the agent's settings",
        ),
    }
}

/// Rules that an agent above us was started with. They count like those in its settings.
fn command_line_rules() -> Vec<Finding> {
    let mut pid = process::getppid().0;
    for _ in 0..16 {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let given = |name: &str| {
            line.split(|&b| b == 0)
                .any(|a| a.starts_with(name.as_bytes()))
        };
        if [
            "--allowedTools",
            "--allowed-tools",
            "--disallowedTools",
            "--disallowed-tools",
        ]
        .iter()
        .any(|n| given(n))
        {
            let rules = crate::hook::invocation::read(&line);
            let text = format!(
                "process {pid} was started with {} and {} on its command line, which the hook obeys",
                super::status::count(rules.allow.len() as u64, "allowing rule"),
                super::status::count(rules.deny.len() as u64, "denying rule"),
            );
            return vec![ok("rules", text)];
        }
        let above = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let above = above
            .rsplit_once(')')
            .and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok());
        match above {
            Some(next) if next > 1 => pid = next,
            _ => break,
        }
    }
    vec![]
}
