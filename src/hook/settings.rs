//! Where Claude Code's rules stand: managed, user, project and local settings, and its command line.
//!
//! A file that cannot be read or parsed means that the rules are not known, and then nothing is
//! rewritten. Of the settings that an organisation's server sends, the client keeps a copy in its own
//! folder; whether that is still in force cannot be told from here, so it can only forbid.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::invocation::{self, Invocation};
use super::rules::{Rule, Rules};
use crate::paths;

/// Settings that the machine's owner imposes: one file, and parts in a folder beside it.
pub const MANAGED: &str = "/etc/claude-code";

/// Claude Code's own folder.
pub fn claude_dir() -> PathBuf {
    let set = std::env::var_os("CLAUDE_CONFIG_DIR").filter(|d| !d.is_empty());
    set.map_or_else(|| paths::home().join(".claude"), PathBuf::from)
}

/// All rules in force for a session in `project`; `None` if a file is there that cannot be understood.
pub fn gather(project: &Path) -> Option<Rules> {
    let started = invocation::of_client();
    gather_from(Path::new(MANAGED), &claude_dir(), project, started)
}

fn gather_from(
    managed: &Path,
    user: &Path,
    project: &Path,
    mut started: Invocation,
) -> Option<Rules> {
    let mut rules = Rules::default();
    let mut alone = false;
    for file in managed_files(managed)? {
        let settings = load(&file)?;
        alone |= settings.get("allowManagedPermissionRulesOnly") == Some(&Value::Bool(true));
        add(&settings, &mut rules)?;
    }
    let mut more = Rules::default();
    add(&load(&user.join("remote-settings.json"))?, &mut more)?;
    more.allow.clear();
    rules.append(more);
    let mut more = Rules::default();
    for (source, file) in [
        ("user", user.join("settings.json")),
        ("project", project.join(".claude/settings.json")),
        ("local", project.join(".claude/settings.local.json")),
    ] {
        if started.reads(source) {
            add(&load(&file)?, &mut more)?;
        }
    }
    if let Some(given) = &started.settings {
        add(&given_settings(given, &started)?, &mut more)?;
    }
    more.allow.append(&mut started.allow);
    more.deny.append(&mut started.deny);
    if alone {
        more.allow.clear();
        more.ask.clear();
    }
    rules.append(more);
    Some(rules)
}

/// `managed-settings.json`, then `managed-settings.d/*.json` in their order.
fn managed_files(dir: &Path) -> Option<Vec<PathBuf>> {
    let mut files = vec![dir.join("managed-settings.json")];
    files.append(&mut listed(&dir.join("managed-settings.d"), b".json")?);
    Some(files)
}

/// The files in `dir` with this suffix that are not hidden; an absent folder has none.
pub fn listed(dir: &Path, suffix: &[u8]) -> Option<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if absent(&e) => return Some(Vec::new()),
        Err(_) => return None,
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.ok()?;
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        if name.ends_with(suffix) && !name.starts_with(b".") {
            files.push(entry.path());
        }
    }
    files.sort();
    Some(files)
}

/// A text file; an absent one is empty.
pub fn text(file: &Path) -> Option<String> {
    match std::fs::read_to_string(file) {
        Err(e) if absent(&e) => Some(String::new()),
        text => text.ok(),
    }
}

/// What `--settings` gave: JSON, or a file that must be there.
fn given_settings(given: &str, started: &Invocation) -> Option<Value> {
    if given.trim_start().starts_with('{') {
        return serde_json::from_str(given).ok();
    }
    let bytes = std::fs::read(started.path(given)).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn absent(e: &std::io::Error) -> bool {
    matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// A settings file; an absent one is empty.
pub fn load(path: &Path) -> Option<Value> {
    match std::fs::read(path) {
        Ok(bytes) if bytes.trim_ascii().is_empty() => Some(Value::Null),
        Ok(bytes) => serde_json::from_slice(&bytes).ok(),
        Err(e) if absent(&e) => Some(Value::Null),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    /// How many rules allow, ask and deny.
    fn counts(at: &Scratch, line: &str) -> Option<(usize, usize, usize)> {
        let (managed, user) = (at.dir("etc"), at.dir("home"));
        let started = invocation::read(line.replace(' ', "\0").as_bytes());
        let rules = gather_from(&managed, &user, &at.dir("project"), started)?;
        Some((rules.allow.len(), rules.ask.len(), rules.deny.len()))
    }

    const DENY: &str = r#"{"permissions":{"deny":["Bash(cargo:*)"]}}"#;
    const ASK: &str = r#"{"permissions":{"ask":["Bash(cargo:*)"]}}"#;
    const ALLOW: &str = r#"{"permissions":{"allow":["Bash(cargo:*)"]}}"#;

    #[test]
    fn managed_settings_have_parts() {
        let at = Scratch::new();
        assert_eq!(counts(&at, "claude"), Some((0, 0, 0)));
        at.file("etc/managed-settings.json", ALLOW);
        at.file("etc/managed-settings.d/10-a.json", DENY);
        at.file("etc/managed-settings.d/20-b.json", ASK);
        at.file("etc/managed-settings.d/.hidden.json", "{ not json");
        at.file("etc/managed-settings.d/notes.txt", "not json");
        assert_eq!(counts(&at, "claude"), Some((1, 1, 1)));
        at.file("etc/managed-settings.d/30-c.json", "{ not json");
        assert_eq!(counts(&at, "claude"), None);
        let looped = Scratch::new();
        looped.link("etc/managed-settings.d", "managed-settings.d");
        assert_eq!(counts(&looped, "claude"), None);
    }

    #[test]
    fn managed_rules_may_be_the_only_ones() {
        let at = Scratch::new();
        at.file("home/settings.json", ALLOW);
        at.file("project/.claude/settings.json", ASK);
        let line = "claude --allowedTools Bash";
        assert_eq!(counts(&at, line), Some((2, 1, 0)));
        at.file(
            "etc/managed-settings.d/a.json",
            r#"{"allowManagedPermissionRulesOnly":true}"#,
        );
        assert_eq!(counts(&at, line), Some((0, 0, 0)));
    }

    #[test]
    fn a_servers_settings_only_forbid() {
        let at = Scratch::new();
        at.file(
            "home/remote-settings.json",
            r#"{"permissions":{"allow":["Bash"],"deny":["Bash(cargo:*)"]}}"#,
        );
        assert_eq!(counts(&at, "claude"), Some((0, 0, 1)));
    }

    #[test]
    fn sources_that_are_not_read_do_not_count() {
        let at = Scratch::new();
        at.file("home/settings.json", ALLOW);
        at.file("project/.claude/settings.json", ALLOW);
        at.file("project/.claude/settings.local.json", "{ not json");
        assert_eq!(counts(&at, "claude"), None);
        let line = "claude --setting-sources user,project";
        assert_eq!(counts(&at, line), Some((2, 0, 0)));
        let line = "claude --setting-sources=";
        assert_eq!(counts(&at, line), Some((0, 0, 0)));
    }

    #[test]
    fn settings_on_the_command_line() {
        let at = Scratch::new();
        let file = at.file("given.json", ASK);
        let line = format!("claude --settings {}", file.display());
        assert_eq!(counts(&at, &line), Some((0, 1, 0)));
        assert_eq!(
            counts(&at, &format!("claude --settings {DENY}")),
            Some((0, 0, 1))
        );
        assert_eq!(counts(&at, "claude --settings /nowhere.json"), None);
        assert_eq!(counts(&at, "claude --settings={"), None);
    }
}
