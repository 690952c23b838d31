//! What the user's own rules say about the original command (Gemini CLI).
//!
//! The client has judged the original by its policies before it calls us, and may check the rewritten
//! text against its lists again. So what is excluded or asked about stays excluded here too; and where
//! `tools.core` names single commands, a rewritten one would be refused unless `rch exec` is among
//! them. `tools.allowed` only spares a question that has been asked by then.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::permissions::{Decision, catches};
use super::rules::{Rule, Rules};
use super::settings::{listed, load, text};
use crate::paths;

/// Where the machine's owner imposes settings.
const SYSTEM: &str = "/etc/gemini-cli";

/// Decides by all lists and policies in force in `cwd`.
pub fn decide(command: &str, cwd: &Path) -> Decision {
    let project =
        std::env::var_os("GEMINI_PROJECT_DIR").map_or_else(|| cwd.to_path_buf(), PathBuf::from);
    let user = paths::home().join(".gemini");
    match gather(Path::new(SYSTEM), &user, &project.join(".gemini")) {
        Some(rules) => by_rules(command, &rules),
        None => Decision::Silence("settings or policies of the client that cannot be understood"),
    }
}

/// The lists, as rules: `allow` holds what `tools.core` names.
fn gather(system: &Path, user: &Path, project: &Path) -> Option<Rules> {
    let mut rules = Rules::default();
    let named = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let files = [
        named("GEMINI_CLI_SYSTEM_DEFAULTS_PATH")
            .unwrap_or_else(|| system.join("system-defaults.json")),
        named("GEMINI_CLI_SYSTEM_SETTINGS_PATH").unwrap_or_else(|| system.join("settings.json")),
        user.join("settings.json"),
        project.join("settings.json"),
    ];
    for file in &files {
        add(&load(file)?, &mut rules)?;
    }
    for dir in [system, user, project] {
        for file in listed(&dir.join("policies"), b".toml")? {
            policy(&text(&file)?, &mut rules.deny);
        }
    }
    Some(rules)
}

fn add(settings: &Value, rules: &mut Rules) -> Option<()> {
    let list = |new: &str, old: &str| -> Option<Vec<Rule>> {
        let lists = [settings.pointer(new), settings.get(old)];
        let mut found = Vec::new();
        for list in lists.into_iter().flatten() {
            found.extend(
                list.as_array()?
                    .iter()
                    .filter_map(Value::as_str)
                    .filter_map(entry),
            );
        }
        Some(found)
    };
    // Policies in other places than the usual ones.
    if settings.get("policyPaths").is_some() || settings.get("adminPolicyPaths").is_some() {
        return None;
    }
    rules.deny.extend(list("/tools/exclude", "excludeTools")?);
    rules.allow.extend(list("/tools/core", "coreTools")?);
    Some(())
}

/// `run_shell_command`, or `run_shell_command(BEGINNING)`; `None` for another tool.
fn entry(text: &str) -> Option<Rule> {
    let text = text.trim();
    let rest = text
        .strip_prefix("run_shell_command")
        .or_else(|| text.strip_prefix("ShellTool"))?;
    match rest.strip_prefix('(').and_then(|r| r.strip_suffix(')')) {
        None => rest.is_empty().then_some(Rule::Everything),
        Some(beginning) => Some(Rule::beginning(
            beginning.trim_end_matches(['*', ':']).trim().to_owned(),
        )),
    }
}

/// What a policy file denies or asks about. Its `[[rule]]` tables are read by line; one that forbids
/// something and is not plainly about the beginning of a command counts for every command.
pub fn policy(text: &str, deny: &mut Vec<Rule>) {
    let lines = text.lines().filter(|l| !l.trim_start().starts_with('#'));
    let text = lines.collect::<Vec<_>>().join("\n");
    for table in text.split("[[rule]]") {
        if !table.contains("deny") && !table.contains("ask_user") {
            continue;
        }
        let of = |key: &str| setting(table, key);
        let ours = |tools: &str| tools.contains("run_shell_command") || tools.contains('*');
        if of("toolName").is_some_and(|tools| !ours(tools)) {
            continue;
        }
        match of("commandPrefix").map(strings).filter(|s| !s.is_empty()) {
            Some(beginnings) => deny.extend(beginnings.into_iter().map(Rule::beginning)),
            None => deny.push(Rule::Everything),
        }
    }
}

/// The value of `key`: up to the line's end, or to the end of a list.
fn setting<'a>(table: &'a str, key: &str) -> Option<&'a str> {
    let mut rest = table;
    loop {
        let at = rest.find(key)?;
        let (before, after) = rest.split_at_checked(at)?;
        rest = after.get(key.len()..)?;
        let value = rest.trim_start().strip_prefix('=');
        if let Some(value) = value.filter(|_| before.ends_with('\n') || before.trim().is_empty()) {
            let end = if value.trim_start().starts_with('[') {
                ']'
            } else {
                '\n'
            };
            return Some(value.split(end).next().unwrap_or(value));
        }
    }
}

/// The quoted strings in a value; none if any of them has escapes.
fn strings(value: &str) -> Vec<String> {
    if value.contains('\\') {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut rest = value;
    while let Some(at) = rest.find(['"', '\'']) {
        let (_, quoted) = rest.split_at(at);
        let quote = if quoted.starts_with('"') { '"' } else { '\'' };
        let mut parts = quoted.splitn(3, quote).skip(1);
        let (Some(text), Some(after)) = (parts.next(), parts.next()) else {
            return Vec::new();
        };
        found.push(text.to_owned());
        rest = after;
    }
    found
}

fn by_rules(command: &str, rules: &Rules) -> Decision {
    if catches(&rules.deny, command) {
        return Decision::Silence("a rule of the client forbids it or asks first");
    }
    let single = |r: &Rule| matches!(r, Rule::Pattern { .. });
    let ours = |r: &Rule| matches!(r, Rule::Pattern { text, .. } if text.ends_with("rch exec") || text.ends_with("rch exec --"));
    let core = &rules.allow;
    if core.iter().any(single) && !core.contains(&Rule::Everything) && !core.iter().any(ours) {
        return Decision::Silence(
            "the client runs single commands only, and 'rch exec' is none of them",
        );
    }
    Decision::None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    /// Whether anything is said about `command`; `None` if the files are not understood.
    fn speaks(at: &Scratch, command: &str) -> Option<bool> {
        let dirs = ["etc", "home", "project"].map(|d| at.0.join(d));
        let rules = gather(&dirs[0], &dirs[1], &dirs[2])?;
        Some(by_rules(command, &rules) == Decision::None)
    }

    #[test]
    fn lists_hold_for_the_original() {
        let at = Scratch::new();
        assert_eq!(speaks(&at, "cargo build"), Some(true));
        for (settings, expected) in [
            (
                r#"{"tools":{"exclude":["run_shell_command(cargo)"]}}"#,
                false,
            ),
            (r#"{"excludeTools":["ShellTool(cargo test)"]}"#, false),
            (
                r#"{"tools":{"exclude":["run_shell_command(rm -rf)","write_file"]}}"#,
                true,
            ),
            (r#"{"tools":{"core":["run_shell_command(cargo)"]}}"#, false),
            (
                r#"{"tools":{"core":["run_shell_command(cargo)","run_shell_command(/x/rch exec)"]}}"#,
                true,
            ),
            (
                r#"{"tools":{"core":["run_shell_command","run_shell_command(git)"]}}"#,
                true,
            ),
            (r#"{"coreTools":["ReadFileTool"]}"#, true),
            (r#"{"tools":{"allowed":["run_shell_command(git)"]}}"#, true),
        ] {
            for place in [
                "home/settings.json",
                "project/settings.json",
                "etc/settings.json",
            ] {
                let file = at.file(place, settings);
                let command = "cd a && CI=1 cargo test 2>&1 | tail";
                assert_eq!(speaks(&at, command), Some(expected), "{place} {settings}");
                std::fs::remove_file(file).unwrap();
            }
        }
        for odd in [
            "{ // comment\n}",
            r#"{"tools":{"exclude":"x"}}"#,
            r#"{"policyPaths":[]}"#,
        ] {
            at.file("home/settings.json", odd);
            assert_eq!(speaks(&at, "make"), None, "{odd}");
        }
    }

    #[test]
    fn policies_hold_for_the_original() {
        let at = Scratch::new();
        for (policy, expected) in [
            (
                "[[rule]]\ntoolName = \"run_shell_command\"\ncommandPrefix = \"cargo\"\ndecision = \"allow\"\n",
                true,
            ),
            (
                "[[rule]]\ntoolName = \"run_shell_command\"\ncommandPrefix = [\n \"git\",\n 'cargo',\n]\ndecision = \"ask_user\"\n",
                false,
            ),
            (
                "[[rule]]\ntoolName = \"run_shell_command\"\ncommandPrefix = \"rm\" # never\ndecision = \"deny\"\n",
                true,
            ),
            (
                "# decision = \"deny\"\n[[rule]]\ntoolName = \"write_file\"\ndecision = \"deny\"\n",
                true,
            ),
            (
                "[[rule]]\ntoolName = [\"run_shell_command\"]\ncommandRegex = \"^x\"\ndecision = \"deny\"\n",
                false,
            ),
            ("[[rule]]\ntoolName = \"*\"\ndecision = \"deny\"\n", false),
            (
                "[[rule]]\ncommandPrefix = \"c\\u0061rgo\"\ndecision = \"deny\"\n",
                false,
            ),
            (
                "rule = [{toolName = \"run_shell_command\", decision = \"deny\"}]\n",
                false,
            ),
        ] {
            for place in ["home", "project", "etc"] {
                let file = at.file(format!("{place}/policies/a.toml"), policy);
                assert_eq!(
                    speaks(&at, "cargo build"),
                    Some(expected),
                    "{place} {policy}"
                );
                std::fs::remove_file(file).unwrap();
            }
        }
    }
}
