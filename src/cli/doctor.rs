//! `rch doctor`: why nothing goes remote, step by step from the files to the workers.
//!
//! Each step is OK or has a remedy. A step that cannot be looked at, because an earlier one failed,
//! is left out rather than guessed. Nothing is changed, save that the daemon is started.

use std::path::Path;

use serde_json::{Value as Json, json};

use super::out::{Done, Ink, Look, clean};
use super::parse::Call;
use super::{Outcome, config as config_command, link, machine, probe};
use crate::client::Daemon;
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

pub(super) fn ok(step: &str, text: impl Into<String>) -> Finding {
    Finding {
        step: step.into(),
        verdict: Verdict::Ok,
        text: text.into(),
        hint: String::new(),
    }
}

pub(super) fn note(step: &str, text: impl Into<String>, hint: impl Into<String>) -> Finding {
    Finding {
        verdict: Verdict::Note,
        hint: hint.into(),
        ..ok(step, text)
    }
}

pub(super) fn wrong(step: &str, text: impl Into<String>, hint: impl Into<String>) -> Finding {
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
    found.extend(machine::examine(&config));
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
        probe::tools(&p.tools).join(", ")
    };
    let mut found = vec![ok(&step, tools)];
    if p.tools.is_empty() {
        found[0] = wrong(
            &step,
            "no compiler was found there",
            "install the toolchain that this machine has",
        );
    }
    for (text, hint) in probe::imperfections(p) {
        found.push(note(&step, text, hint));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

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
