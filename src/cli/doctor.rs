//! `rch doctor`: why nothing goes remote, step by step from the files to the workers.
//!
//! Each step is OK or has a remedy. A step that cannot be looked at, because an earlier one failed,
//! is left out rather than guessed. Nothing is changed, save that the daemon is started and that
//! each worker keeps the tree of a tiny project.

use std::path::Path;

use serde_json::{Value as Json, json};

use super::grid::fold;
use super::out::{Done, Fail, Ink, Look, clean};
use super::parse::Call;
use super::{Outcome, agents, compilers, config as config_command, link, machine, probe, trial};
use crate::client::Daemon;
use crate::config::{Complaint, Config, Transport, Worker, objections};
use crate::wire;
use crate::wire::client::Ask;
use crate::wire::status::{Probe, Status};

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
    let mut findings = examine(&look);
    let well = findings.iter().all(|f| f.verdict != Verdict::Wrong);
    let data = data(&findings);
    let text = match (look.quiet, well) {
        (true, true) => String::new(),
        (quiet, _) => {
            findings.retain(|f| !quiet || f.verdict == Verdict::Wrong);
            report(&look, &findings)
        }
    };
    Ok(Done::new(text, data).answer(well))
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

/// Where a finding's text begins.
const COLUMN: usize = 20;

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
            fold(&f.text, COLUMN, COLUMN, look.width)
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
    found.extend(agents::examine(&config));
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
    let (faults, workers) = config_command::in_files();
    let keeping = config_command::keeping();
    let weighed = |f: &Complaint| match keeping.contains(f) {
        true => fault(Verdict::Wrong, f),
        false => fault(Verdict::Note, f),
    };
    let mut found: Vec<Finding> = faults.iter().map(weighed).collect();
    for worker in &workers {
        let used = worker.enabled && worker.transport == Transport::Ssh;
        let verdict = if used { Verdict::Wrong } else { Verdict::Note };
        found.extend(objections::key_fault(worker).map(|f| fault(verdict, &f)));
    }
    if found.is_empty() {
        found.push(ok("files", "the configuration has no fault"));
    }
    found
}

fn fault(verdict: Verdict, fault: &Complaint) -> Finding {
    let (text, hint) = fault.parts();
    let otherwise = match verdict {
        Verdict::Wrong => "correct it; until then every command runs here",
        _ => "correct it",
    };
    Finding {
        verdict,
        ..note("files", text, hint.unwrap_or(otherwise))
    }
}

fn fleet_shape(fleet: &[Worker]) -> Vec<Finding> {
    let enabled = fleet.iter().filter(|w| w.enabled).count();
    if let (0, Some(first)) = (enabled, fleet.first()) {
        return vec![disabled(first)];
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

/// None is put to use.
fn disabled(first: &Worker) -> Finding {
    let file = crate::config::workers::file();
    let text = "every worker is disabled, so all commands run here";
    let hint = format!("enabled = true for '{}' in '{}'", first.id, file.display());
    wrong("workers", text, hint)
}

/// Workers that are kept from new jobs by hand: no news if some are left.
fn drained(status: &Status) -> Vec<Finding> {
    let enabled = status.workers.iter().filter(|w| w.state != "disabled");
    let (drained, others): (Vec<_>, Vec<_>) = enabled.partition(|w| w.state == "drained");
    match drained.first() {
        Some(first) if others.is_empty() => {
            let text = "every enabled worker is drained, so all commands run here";
            let hint = format!("rch workers enable {}", clean(&first.id));
            vec![wrong("workers", text, hint)]
        }
        _ => vec![],
    }
}

fn daemon_and_workers(config: &Config, fleet: &[Worker]) -> Vec<Finding> {
    let socket = &config.general.socket_path;
    let mut found = vec![];
    let connected = Daemon::connect_or_start(socket);
    found.extend(socket_modes(socket));
    let mut daemon = match connected {
        Ok(daemon) => daemon,
        Err(why) => {
            let fail = link::unreachable(&why);
            let hint = match fail.error.remedy() {
                Some(hint) => hint,
                None if fail.error.text().ends_with("permission denied") => {
                    "make it yours, or let general.socket_path name another place"
                }
                None => "'rchd' in a terminal shows what it says",
            };
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
    // To name none would be to ask all.
    let asked = match ids.is_empty() {
        true => Ok(()),
        false => {
            let ask = Ask::Probe { workers: ids };
            link::ask_all(&mut daemon, &ask, link::PROBE, |p| probes.push(p))
        }
    };
    match asked {
        Ok(()) => found.extend(answering(socket)),
        Err(fail) => found.push(wrong(
            "daemon",
            fail.error.text(),
            fail.error.remedy().unwrap_or(""),
        )),
    }
    let usable = probes.iter().filter(|p| p.ok).map(|p| p.id.clone());
    let usable: Vec<String> = usable.collect();
    let (here, mute) = compilers::here();
    found.extend(mute);
    for probe in &probes {
        found.extend(probed(probe));
        let worker = fleet.iter().find(|w| w.id.as_str() == probe.id);
        if probe.ok && !probe.tools.is_empty() {
            found.extend(compilers::compared(&here, probe, worker));
        }
    }
    found.extend(trial::on(&usable));
    found
}

/// What the daemon says of itself and of the fleet.
fn answering(socket: &Path) -> Vec<Finding> {
    let status: Result<Status, Fail> = Daemon::connect(socket)
        .map_err(|why| link::unreachable(&why))
        .and_then(|mut daemon| link::ask(&mut daemon, &Ask::Status));
    match status {
        Ok(status) => {
            let mut found = vec![version(socket, &status.daemon)];
            found.extend(drained(&status));
            found
        }
        Err(fail) => {
            let text = format!("it does not tell its version: {}", fail.error.text());
            vec![wrong("daemon", text, "rch daemon restart")]
        }
    }
}

/// Whether the daemon that answers is of this version, and the only one.
fn version(socket: &Path, daemon: &wire::status::Daemon) -> Finding {
    if daemon.version != crate::wire::VERSION {
        let text = format!(
            "rchd {} runs, rch is {}",
            clean(&daemon.version),
            crate::wire::VERSION
        );
        return wrong("daemon", text, "rch daemon restart");
    }
    if let Some(pid) = second_daemon(daemon.pid) {
        let text = format!(
            "rchd answers (pid {}), and a second one runs (pid {pid})",
            daemon.pid
        );
        return note("daemon", text, format!("kill {pid}"));
    }
    ok(
        "daemon",
        format!("rchd {} answers on '{}'", daemon.version, socket.display()),
    )
}

/// Another rchd of this home, left behind when the socket's place was changed, say.
fn second_daemon(first: i32) -> Option<i32> {
    let home = format!("HOME={}", crate::paths::home().display());
    let ours = |pid: &i32| {
        let read = |what: &str| std::fs::read(format!("/proc/{pid}/{what}")).unwrap_or_default();
        let here = |env: Vec<u8>| env.split(|&b| b == 0).any(|v| v == home.as_bytes());
        *pid != first && read("comm") == b"rchd\n" && here(read("environ"))
    };
    let all = std::fs::read_dir("/proc").ok()?.flatten();
    all.filter_map(|e| e.file_name().to_str()?.parse().ok())
        .find(ours)
}

/// The folder of the socket belongs to the user alone, or anyone could pose as the daemon.
fn socket_modes(socket: &Path) -> Vec<Finding> {
    use std::os::unix::fs::PermissionsExt;
    let Some((dir, meta)) = socket.parent().and_then(|d| Some((d, d.metadata().ok()?))) else {
        return vec![];
    };
    let mode = meta.permissions().mode() & 0o777;
    if mode & 0o022 == 0 {
        let text = format!("nobody else can write to '{}'", dir.display());
        return vec![ok("socket", text)];
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
