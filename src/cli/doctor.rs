//! `rch doctor`: why nothing goes remote, step by step from the files to the workers.
//!
//! Each step is OK or has a remedy. A step that cannot be looked at, because an earlier one failed,
//! is left out rather than guessed. Nothing is changed, save that the daemon is started.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value as Json, json};

use super::out::{Done, Ink, Look, clean};
use super::parse::Call;
use super::{Outcome, config as config_command, link, workers};
use crate::client::{Daemon, beside_us};
use crate::config::vars::is_on;
use crate::config::{Config, Transport, Worker};
use crate::wire::client::Ask;
use crate::wire::status::Probe;

/// What was found at one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub step: String,
    pub verdict: Verdict,
    pub text: String,
    pub hint: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Ok,
    /// It works, and could work better.
    Note,
    /// Nothing goes remote, or not to this worker.
    Wrong,
}

fn ok(step: &str, text: impl Into<String>) -> Finding {
    Finding {
        step: step.into(),
        verdict: Verdict::Ok,
        text: text.into(),
        hint: String::new(),
    }
}

fn note(step: &str, text: impl Into<String>, hint: impl Into<String>) -> Finding {
    Finding {
        verdict: Verdict::Note,
        hint: hint.into(),
        ..ok(step, text)
    }
}

fn wrong(step: &str, text: impl Into<String>, hint: impl Into<String>) -> Finding {
    Finding {
        verdict: Verdict::Wrong,
        ..note(step, text, hint)
    }
}

pub fn main(call: &Call) -> Outcome {
    let look = Look::here(&call.given);
    let findings = examine(&look);
    let well = findings.iter().all(|f| f.verdict != Verdict::Wrong);
    let text = report(&look, &findings);
    Ok(Done::new(text, data(&findings)).answer(well))
}

fn data(findings: &[Finding]) -> Json {
    let one = |f: &Finding| {
        let verdict = match f.verdict {
            Verdict::Ok => "ok",
            Verdict::Note => "note",
            Verdict::Wrong => "wrong",
        };
        json!({ "step": f.step, "verdict": verdict, "text": f.text, "hint": f.hint })
    };
    findings.iter().map(one).collect()
}

/// The findings as lines, and a sentence at the end.
pub fn report(look: &Look, findings: &[Finding]) -> String {
    let mut out = String::new();
    for f in findings {
        let (word, ink) = match f.verdict {
            Verdict::Ok => ("ok   ", Ink::Good),
            Verdict::Note => ("note ", Ink::Warn),
            Verdict::Wrong => ("WRONG", Ink::Bad),
        };
        out.push_str(&format!(
            "{} {:13} {}\n",
            look.paint(ink, word),
            f.step,
            f.text
        ));
        if !f.hint.is_empty() {
            out.push_str(&look.hint("      ", &f.hint));
        }
    }
    let wrongs = findings
        .iter()
        .filter(|f| f.verdict == Verdict::Wrong)
        .count();
    out.push_str(&match wrongs {
        0 => "\nNothing stands in the way of remote jobs.\n".to_string(),
        n => format!(
            "\n{} to set right.\n",
            super::status::count(n as u64, "thing")
        ),
    });
    out
}

fn examine(look: &Look) -> Vec<Finding> {
    let quiet = Look {
        quiet: true,
        ..*look
    };
    let config = link::settings(&quiet);
    let mut found = files();
    found.extend(switches(&config, &|name| std::env::var(name).ok()));
    found.extend(programs());
    found.extend(disk());
    found.extend(sandbox(&documents()));
    match crate::config::workers() {
        Ok(fleet) => {
            found.extend(fleet_shape(&fleet));
            found.extend(daemon_and_workers(&config, &fleet));
        }
        Err(_) => found.push(wrong(
            "workers",
            "workers.toml has mistakes, so there is no fleet",
            "'rch config validate' shows them",
        )),
    }
    found
}

fn files() -> Vec<Finding> {
    let faults = config_command::faults();
    if faults.is_empty() {
        return vec![ok("files", "the configuration has no fault")];
    }
    let each = |fault: &crate::config::Complaint| {
        let (text, hint) = fault.parts();
        note("files", text, hint.unwrap_or("correct it"))
    };
    faults.iter().map(each).collect()
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
    if workers::old_rsync(version) {
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
    let home = crate::paths::home();
    let user = std::env::var_os("CLAUDE_CONFIG_DIR").map_or(home.join(".claude"), Into::into);
    let files = [
        user.join("settings.json"),
        ".claude/settings.json".into(),
        ".claude/settings.local.json".into(),
    ];
    let read = |path: &std::path::PathBuf| {
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

fn fleet_shape(fleet: &[Worker]) -> Vec<Finding> {
    let enabled = fleet.iter().filter(|w| w.enabled).count();
    if enabled == 0 {
        let hint = "'rch workers add ID USER@HOST' adds one";
        return vec![wrong("workers", "no worker is enabled", hint)];
    }
    if fleet.iter().all(|w| w.transport == Transport::Local) {
        let hint = "'rch workers add ID USER@HOST' adds a real one";
        return vec![note("workers", "this machine is the only worker", hint)];
    }
    vec![ok(
        "workers",
        format!("{enabled} of {} enabled", fleet.len()),
    )]
}

fn daemon_and_workers(config: &Config, fleet: &[Worker]) -> Vec<Finding> {
    let socket = &config.general.socket_path;
    let mut found = socket_modes(socket);
    let mut daemon = match Daemon::connect_or_start(socket) {
        Ok(daemon) => daemon,
        Err(why) => {
            let fail = link::unreachable(&why);
            let hint = fail
                .error
                .remedy()
                .unwrap_or("'rchd' in a terminal shows what it says");
            found.push(wrong("daemon", fail.error.text(), hint));
            return found;
        }
    };
    let mut probes: Vec<Probe> = vec![];
    let ids: Vec<String> = fleet
        .iter()
        .filter(|w| w.enabled)
        .map(|w| w.id.to_string())
        .collect();
    let ask = Ask::Probe { workers: ids };
    match link::ask_all(&mut daemon, &ask, link::PROBE, |p| probes.push(p)) {
        Ok(()) => found.push(ok(
            "daemon",
            format!("it answers on '{}'", socket.display()),
        )),
        Err(fail) => found.push(wrong(
            "daemon",
            fail.error.text(),
            fail.error.remedy().unwrap_or(""),
        )),
    }
    found.extend(probes.iter().flat_map(probed));
    found
}

/// The folder of the socket belongs to the user alone, or anyone could pose as the daemon.
fn socket_modes(socket: &Path) -> Vec<Finding> {
    use std::os::unix::fs::PermissionsExt;
    let Some((dir, meta)) = socket.parent().and_then(|d| Some((d, d.metadata().ok()?))) else {
        return vec![];
    };
    let mode = meta.permissions().mode() & 0o777;
    if mode & 0o022 == 0 {
        return vec![];
    }
    let text = format!(
        "'{}' can be written by others (mode {mode:04o})",
        dir.display()
    );
    vec![wrong(
        "socket",
        text,
        format!("chmod 700 '{}'", dir.display()),
    )]
}

/// What a probe says of one worker.
pub fn probed(p: &Probe) -> Vec<Finding> {
    let step = format!("worker {}", clean(&p.id));
    if !p.ok {
        let hint = if p.hint.is_empty() {
            "try 'ssh' to it by hand"
        } else {
            &p.hint
        };
        return vec![wrong(&step, clean(&p.error), clean(hint))];
    }
    let tools = if p.tools.is_empty() {
        "no compiler found".into()
    } else {
        clean(&p.tools.join(", "))
    };
    let mut found = vec![ok(&step, tools)];
    if p.tools.is_empty() {
        found[0] = wrong(
            &step,
            "no compiler was found there",
            "install the toolchain that this machine has",
        );
    }
    for (text, hint) in workers::imperfections(p) {
        found.push(note(&step, text, hint));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_worker_that_works_badly_is_noted() {
        let probe = Probe {
            id: "a".into(),
            ok: true,
            tools: vec!["rust 1.95.0".into()],
            version: crate::wire::VERSION.into(),
            rsync: "3.2.7".into(),
            clock_offset_ms: -3_600_000.0,
            free_mib: 100,
            ..Probe::default()
        };
        let found = probed(&probe);
        assert_eq!(found.len(), 5, "{found:?}");
        assert!(
            found[1..]
                .iter()
                .all(|f| f.verdict == Verdict::Note && !f.hint.is_empty())
        );
    }
}
