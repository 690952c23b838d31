//! What the user's own rules say about the original command (Codex).
//!
//! Codex judges the rewritten text by its rules, and none of them was written for that. A rule that
//! forbids or asks would be passed by: then nothing is rewritten, for an `ask` of ours is ignored
//! there. A rule that allows would no longer apply, and the command would be asked about, or shut
//! into the sandbox where it cannot reach the daemon: so nothing is rewritten either, unless another
//! rule allows `rch exec`.

use std::path::{Path, PathBuf};

use super::permissions::{Decision, catches};
use super::rules::{Rule, Rules};
use super::settings::{listed, text};
use super::starlark;
use crate::paths;

/// Where the machine's owner imposes rules.
const SYSTEM: &str = "/etc/codex";

fn codex_dir() -> PathBuf {
    let set = std::env::var_os("CODEX_HOME").filter(|d| !d.is_empty());
    set.map_or_else(|| paths::home().join(".codex"), PathBuf::from)
}

/// Decides by all rules in force in `cwd`.
pub fn decide(command: &str, cwd: &Path, mode: Option<&str>) -> Decision {
    match gather(Path::new(SYSTEM), &codex_dir(), cwd) {
        Some(rules) => by_rules(command, &rules, mode),
        None => Decision::Silence("rules of the client that cannot be understood"),
    }
}

fn gather(system: &Path, user: &Path, cwd: &Path) -> Option<Rules> {
    let mut rules = Rules::default();
    // Rules in there have another form, and nobody can overrule them.
    if text(&system.join("requirements.toml"))?.contains("prefix_rules") {
        return None;
    }
    let projects = cwd.ancestors().map(|dir| dir.join(".codex"));
    for dir in [system.to_path_buf(), user.to_path_buf()]
        .into_iter()
        .chain(projects)
    {
        for file in listed(&dir.join("rules"), b".rules")? {
            rules.append(starlark::read(&text(&file)?)?);
        }
    }
    Some(rules)
}

fn by_rules(command: &str, rules: &Rules, mode: Option<&str>) -> Decision {
    if catches(&rules.deny, command) || catches(&rules.ask, command) {
        return Decision::Silence("a rule of the client forbids it or asks first");
    }
    // Without a sandbox and without questions no rule needs to allow anything.
    let free = mode == Some("bypassPermissions");
    if !free && catches(&rules.allow, command) && !rules.allow.iter().any(allows_us) {
        return Decision::Silence("a rule of the client allows it, and none allows 'rch exec'");
    }
    if free {
        Decision::Allow
    } else {
        Decision::None
    }
}

/// Whether a rule is about `rch exec`, by whatever path.
fn allows_us(rule: &Rule) -> bool {
    let Rule::Pattern { text, .. } = rule else {
        return true;
    };
    let (program, rest) = text.split_once(' ').unwrap_or((text, ""));
    program.rsplit('/').next() == Some("rch") && matches!(rest, "" | "exec" | "exec --")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    fn say(at: &Scratch, command: &str, mode: Option<&str>) -> &'static str {
        let (system, user) = (at.0.join("etc"), at.0.join("home"));
        match gather(&system, &user, &at.0.join("project/sub")) {
            None => "not understood",
            Some(rules) => match by_rules(command, &rules, mode) {
                Decision::Silence(_) => "silence",
                Decision::Allow => "allow",
                Decision::Ask => "ask",
                Decision::None => "none",
            },
        }
    }

    #[test]
    fn a_rewrite_passes_no_rule_by() {
        let at = Scratch::new();
        let rule = |decision: &str| {
            format!(
                "prefix_rule(pattern=[\"cargo\", [\"test\", \"t\"]], decision=\"{decision}\")\n"
            )
        };
        assert_eq!(say(&at, "cargo test", None), "none");
        assert_eq!(say(&at, "cargo test", Some("bypassPermissions")), "allow");
        for (place, decision) in [
            ("home/rules/default.rules", "forbidden"),
            ("etc/rules/a.rules", "prompt"),
            ("project/.codex/rules/x.rules", "forbidden"),
        ] {
            let file = at.file(place, rule(decision));
            for command in ["cargo test x", "cd a && X=1 timeout 9 cargo t 2>&1 | tail"] {
                assert_eq!(
                    say(&at, command, Some("bypassPermissions")),
                    "silence",
                    "{place}"
                );
            }
            assert_eq!(say(&at, "cargo build", None), "none");
            std::fs::remove_file(file).unwrap();
        }
        let allow = at.file("home/rules/default.rules", rule("allow"));
        assert_eq!(say(&at, "cargo test", None), "silence");
        assert_eq!(say(&at, "cargo test", Some("bypassPermissions")), "allow");
        assert_eq!(say(&at, "cargo build", None), "none");
        let us = "prefix_rule(pattern=[\"/opt/rch\", \"exec\"], decision=\"allow\")";
        std::fs::write(allow, rule("allow") + us).unwrap();
        assert_eq!(say(&at, "cargo test", None), "none");
    }

    #[test]
    fn rules_that_are_not_understood_forbid() {
        let at = Scratch::new();
        let file = at.file("home/rules/a.rules", "for x in y: pass");
        assert_eq!(say(&at, "make", None), "not understood");
        std::fs::remove_file(file).unwrap();
        at.file("home/rules/a.txt", "for x in y: pass");
        assert_eq!(say(&at, "make", None), "none");
        at.file("etc/requirements.toml", "[rules]\nprefix_rules = []\n");
        assert_eq!(say(&at, "make", None), "not understood");
    }
}
