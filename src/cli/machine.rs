//! What this machine itself has to say to `rch doctor`: switches that keep work here, programs that
//! are missing or old, a full disk, an agent's sandbox.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value as Json;

use super::doctor::{Finding, note, ok, wrong};
use super::out::clean;
use super::probe;
use crate::client::beside_us;
use crate::config::Config;
use crate::config::vars::is_on;
use crate::hook::settings::{MANAGED, claude_dir};

/// Every step that needs nobody else.
pub fn examine(config: &Config) -> Vec<Finding> {
    let mut found = switches(config, &|name| std::env::var(name).ok());
    found.extend(programs());
    found.extend(disk());
    found.extend(sandbox(&documents()));
    found
}

/// Settings and variables that keep every command here.
pub fn switches(config: &Config, env: &dyn Fn(&str) -> Option<String>) -> Vec<Finding> {
    let on = |name: &str| is_on(env(name).as_deref());
    let mut found = vec![];
    if !config.general.enabled {
        let hint = "'rch config show --sources' tells which file or variable says so";
        found.push(wrong("settings", "rch is switched off here", hint));
    }
    if config.general.force_local {
        let hint = "'rch config set general.force_local false', or unset RCH_LOCAL_ONLY";
        found.push(wrong(
            "settings",
            "force_local keeps every command here",
            hint,
        ));
    }
    for name in ["RCH_BYPASS", "RCH_DRY_RUN"] {
        if on(name) {
            found.push(wrong(
                "environment",
                format!("{name} is set"),
                format!("unset {name}"),
            ));
        }
    }
    if !config.compilation.local_kinds.is_empty() {
        let kinds = config.compilation.local_kinds.join(", ");
        let hint = "that is compilation.local_kinds, if it is not meant to be";
        found.push(note(
            "settings",
            format!("commands of these kinds stay here: {kinds}"),
            hint,
        ));
    }
    if env("CLAUDE_CODE_RESTRICT_PERSONAL_CONFIG").is_some() {
        let hint = "the hook says nothing under it; ask whoever set it";
        found.push(wrong(
            "environment",
            "CLAUDE_CODE_RESTRICT_PERSONAL_CONFIG is set",
            hint,
        ));
    }
    if found.is_empty() {
        found.push(ok(
            "settings",
            "commands may be sent away from this directory",
        ));
    }
    found
}

/// What must be installed on this machine.
fn programs() -> Vec<Finding> {
    let mut found = vec![];
    match beside_us("rchd") {
        Ok(_) => found.push(ok("programs", "rchd stands beside rch")),
        Err(e) => found.push(wrong(
            "programs",
            e.text(),
            "install rch, rchd and rch-wkr into one folder",
        )),
    }
    match first_line("ssh", &["-V"]) {
        Some(version) => found.push(ok("ssh", version)),
        None => found.push(note(
            "ssh",
            "there is no ssh here",
            "install the OpenSSH client",
        )),
    }
    match first_line("rsync", &["--version"]) {
        Some(version) => found.push(rsync(&version)),
        None => found.push(note(
            "rsync",
            "there is no rsync here: first copies are slower",
            "install rsync",
        )),
    }
    found
}

/// `rsync  version 3.2.7  protocol version 31`.
fn rsync(line: &str) -> Finding {
    let mut words = line.split_whitespace().skip_while(|w| *w != "version");
    let version = words.nth(1).unwrap_or_default();
    if probe::old_rsync(version) {
        let hint = "install rsync 3.4.0 or newer here";
        return note(
            "rsync",
            format!("rsync {version} here has known holes"),
            hint,
        );
    }
    ok(
        "rsync",
        line.split_whitespace().collect::<Vec<_>>().join(" "),
    )
}

/// Least free space for manifests, recorded output and what comes back.
const LEAST_FREE: u64 = 1 << 30;

fn disk() -> Vec<Finding> {
    let cache = crate::paths::cache_dir();
    let there = cache.ancestors().find(|dir| dir.is_dir());
    let Some(free) = there.and_then(|dir| crate::sys::fs::free_bytes(dir).ok()) else {
        return vec![];
    };
    if free >= LEAST_FREE {
        return vec![];
    }
    let text = format!(
        "{} free for '{}'",
        super::grid::bytes(free),
        cache.display()
    );
    vec![note("disk", text, "free some space on that filesystem")]
}

/// Settings files of Claude Code that count here, as far as they can be read.
fn documents() -> Vec<(String, Json)> {
    let files = [
        Path::new(MANAGED).join("managed-settings.json"),
        claude_dir().join("settings.json"),
        ".claude/settings.json".into(),
        ".claude/settings.local.json".into(),
    ];
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).ok()?;
        Some((
            path.display().to_string(),
            serde_json::from_str(&text).ok()?,
        ))
    };
    files.iter().filter_map(read).collect()
}

/// An agent's sandbox lets no command reach the daemon's socket unless told to.
pub fn sandbox(documents: &[(String, Json)]) -> Vec<Finding> {
    let on = documents
        .iter()
        .find(|(_, d)| d["sandbox"]["enabled"] == true);
    let open = documents.iter().any(|(_, d)| {
        let excluded = d["sandbox"]["excludedCommands"].as_array();
        let ours = |c: &Json| c.as_str().is_some_and(|c| c.contains("rch exec"));
        d["sandbox"]["network"]["allowAllUnixSockets"] == true
            || excluded.is_some_and(|list| list.iter().any(ours))
    });
    match on {
        Some((path, _)) if !open => {
            let text =
                format!("the sandbox that '{path}' switches on keeps rchd's socket out of reach");
            let hint =
                "set sandbox.network.allowAllUnixSockets there, or exclude 'rch exec *' from it";
            vec![wrong("sandbox", text, hint)]
        }
        _ => vec![],
    }
}

/// What a program says first about itself.
fn first_line(program: &str, args: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null());
    let output = command.output().ok()?;
    let all = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&all);
    Some(clean(text.lines().next()?.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::Verdict;

    #[test]
    fn every_switch_that_keeps_work_here_is_named_with_its_remedy() {
        let mut config = Config::default();
        config.general.enabled = false;
        config.general.force_local = true;
        let env = |name: &str| (name == "RCH_BYPASS").then(|| "1".to_string());
        let found = switches(&config, &env);
        assert_eq!(found.len(), 3);
        assert!(
            found
                .iter()
                .all(|f| f.verdict == Verdict::Wrong && !f.hint.is_empty())
        );
        let none = switches(&Config::default(), &|_| None);
        assert_eq!(none.len(), 1);
        assert_eq!(none[0].verdict, Verdict::Ok);
    }

    #[test]
    fn a_sandbox_without_a_way_out_is_wrong() {
        let with = |text: &str| {
            let document = serde_json::from_str(text).unwrap();
            sandbox(&[("s.json".into(), document)]).len()
        };
        assert_eq!(with(r#"{"sandbox":{"enabled":true}}"#), 1);
        assert_eq!(with(r#"{"sandbox":{"enabled":false}}"#), 0);
        assert_eq!(with("[]"), 0);
        let open = r#"{"sandbox":{"enabled":true,"network":{"allowAllUnixSockets":true}}}"#;
        assert_eq!(with(open), 0);
        let excluded = r#"{"sandbox":{"enabled":true,"excludedCommands":["/x/rch exec *"]}}"#;
        assert_eq!(with(excluded), 0);
    }

    #[test]
    fn an_old_rsync_is_noted_and_a_new_one_is_not() {
        let old = rsync("rsync  version 3.2.7  protocol version 31");
        assert_eq!(
            (old.verdict, old.text.as_str()),
            (Verdict::Note, "rsync 3.2.7 here has known holes")
        );
        assert_eq!(
            rsync("rsync  version 3.5.0  protocol version 32").verdict,
            Verdict::Ok
        );
    }
}
