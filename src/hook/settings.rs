//! Where Claude Code's rules stand: managed, user, project and local settings, and its command line.
//!
//! A file that cannot be read or parsed means that the rules are not known, and then nothing is
//! rewritten.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::rules::{Rule, Rules};
use crate::paths;
use crate::sys::process;

/// What an administrator has settled for Claude Code.
pub const MANAGED: &str = "/etc/claude-code/managed-settings.json";

/// Claude Code's own folder.
pub fn claude_dir() -> PathBuf {
    let set = std::env::var_os("CLAUDE_CONFIG_DIR").filter(|d| !d.is_empty());
    set.map_or_else(|| paths::home().join(".claude"), PathBuf::from)
}

/// All rules in force for a session in `project`; `None` if a file is there that cannot be understood.
pub fn gather(project: &Path) -> Option<Rules> {
    let mut rules = Rules::default();
    let managed = load(Path::new(MANAGED))?;
    let alone = managed.get("allowManagedPermissionRulesOnly") == Some(&Value::Bool(true));
    add(&managed, &mut rules)?;
    let files = [
        claude_dir().join("settings.json"),
        project.join(".claude/settings.json"),
        project.join(".claude/settings.local.json"),
    ];
    for file in &files {
        let settings = load(file)?;
        let mut more = Rules::default();
        add(&settings, &mut more)?;
        rules.sandboxed |= more.sandboxed;
        rules.deny.append(&mut more.deny);
        rules.ask.append(&mut more.ask);
        if !alone {
            rules.allow.append(&mut more.allow);
        }
    }
    let line = std::fs::read(format!("/proc/{}/cmdline", process::getppid().0)).unwrap_or_default();
    let mut given = from_command_line(&line);
    rules.deny.append(&mut given.deny);
    if !alone {
        rules.allow.append(&mut given.allow);
    }
    Some(rules)
}

/// A settings file; an absent one is empty.
fn load(path: &Path) -> Option<Value> {
    match std::fs::read(path) {
        Ok(bytes) if bytes.trim_ascii().is_empty() => Some(Value::Null),
        Ok(bytes) => serde_json::from_slice(&bytes).ok(),
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Some(Value::Null)
        }
        Err(_) => None,
    }
}

fn add(settings: &Value, rules: &mut Rules) -> Option<()> {
    let permissions = settings.get("permissions");
    let list = |name: &str| -> Option<Vec<Rule>> {
        let Some(list) = permissions.and_then(|p| p.get(name)) else {
            return Some(Vec::new());
        };
        Some(
            list.as_array()?
                .iter()
                .filter_map(Value::as_str)
                .filter_map(Rule::parse)
                .collect(),
        )
    };
    rules.deny.extend(list("deny")?);
    rules.ask.extend(list("ask")?);
    rules.allow.extend(list("allow")?);
    rules.sandboxed |= is_sandboxed(settings.get("sandbox"));
    Some(())
}

/// Whether the sandbox is on and nothing lets `rch exec` out of it.
fn is_sandboxed(sandbox: Option<&Value>) -> bool {
    let Some(sandbox) = sandbox else { return false };
    let on = |path: &str| sandbox.pointer(path) == Some(&Value::Bool(true));
    let excluded = sandbox.get("excludedCommands").and_then(Value::as_array);
    let ours = |v: &Value| v.as_str().is_some_and(|s| s.contains("rch exec"));
    on("/enabled")
        && !on("/network/allowAllUnixSockets")
        && !on("/allowAllUnixSockets")
        && !excluded.is_some_and(|e| e.iter().any(ours))
}

/// The rules of `--allowedTools` and `--disallowedTools` in a NUL-separated command line.
pub fn from_command_line(line: &[u8]) -> Rules {
    let mut rules = Rules::default();
    let mut into: Option<bool> = None;
    for arg in line.split(|&b| b == 0) {
        let arg = String::from_utf8_lossy(arg);
        let (name, value) = match arg.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name, Some(value)),
            _ => (&*arg, None),
        };
        match name {
            "--allowedTools" | "--allowed-tools" => into = Some(true),
            "--disallowedTools" | "--disallowed-tools" => into = Some(false),
            _ if arg.starts_with('-') => {
                into = None;
                continue;
            }
            _ => {}
        }
        let text = if name.starts_with("--") {
            value.unwrap_or("")
        } else {
            &*arg
        };
        match into {
            Some(true) => rules.allow.extend(split(text)),
            Some(false) => rules.deny.extend(split(text)),
            None => {}
        }
    }
    rules
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
