//! The compilers of this machine against a worker's, for `rch doctor`.
//!
//! A job goes only where the same compiler is, to the text that it says of itself. What is compared
//! here is what people see of it, name and version, for the tools that this directory's commands would
//! use: a toolchain file or an override counts.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

use super::doctor::{Finding, note, ok, wrong};
use super::out::clean;
use super::probe;
use crate::classify;
use crate::config::Worker;
use crate::error::Error;
use crate::plan::copy;
use crate::toolchain::{Identity, Known, Place};
use crate::wire::status::Probe;

/// One command for each compiler that a worker must share, and what is asked for its version.
const SAMPLES: [(&[&str], &str); 3] = [
    (&["cargo", "build"], "rustc"),
    (&["cc", "-c", "a.c"], "cc"),
    (&["bun", "test"], "bun"),
];

/// The tools here, as `probe` names a worker's (`rust 1.95.0`), and those that do not tell their version.
pub fn here() -> (Vec<String>, Vec<Finding>) {
    let env: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    let cwd = std::env::current_dir().unwrap_or_default();
    let place = Place {
        cwd: &cwd,
        env: &env,
    };
    let (known, mut found, mut mute) = (Known::default(), vec![], vec![]);
    for (argv, tool) in SAMPLES.into_iter().filter(|(_, tool)| is_here(tool)) {
        let argv: Vec<OsString> = argv.iter().map(OsString::from).collect();
        let Ok(accepted) = classify::argv(&argv) else {
            continue;
        };
        match known.identities(&accepted, &argv, place) {
            Ok(identities) => found.extend(identities.iter().map(named)),
            Err(error) => mute.push(untold(tool, &error)),
        }
    }
    (probe::tools(&found), mute)
}

/// None of its commands goes anywhere from here.
fn untold(tool: &str, error: &Error) -> Finding {
    let call = match tool {
        "rustc" => "rustc -vV".into(),
        tool => format!("{tool} --version"),
    };
    let otherwise = format!("'{call}' in this directory shows it whole");
    let hint = error.remedy().unwrap_or(&otherwise);
    wrong("tools here", clean(error.text()), clean(hint))
}

fn named(identity: &Identity) -> String {
    let line = identity.text.lines().next().unwrap_or_default();
    match line.strip_prefix("rustc ") {
        Some(rest) => format!("rust {rest}"),
        None if line.starts_with(&identity.tool) => line.into(),
        None => format!("{} {line}", identity.tool),
    }
}

/// Which of the tools `here` the worker lacks.
pub fn compared(here: &[String], probe: &Probe, worker: Option<&Worker>) -> Vec<Finding> {
    let step = format!("tools {}", clean(&probe.id));
    let there = probe::tools(&probe.tools);
    let missing: Vec<&String> = here.iter().filter(|t| !there.contains(t)).collect();
    if here.is_empty() {
        return vec![];
    }
    if missing.is_empty() {
        return vec![ok(&step, format!("the same there: {}", here.join(", ")))];
    }
    let each = |tool: &&String| {
        let text = format!("{tool} of this machine is not there");
        match tool.strip_prefix("rust ") {
            Some(version) => wrong(&step, text, bring_rust(version, worker)),
            None => note(&step, text, "install it there, in this very version"),
        }
    };
    missing.iter().map(each).collect()
}

/// The command line that installs a toolchain on a worker.
fn bring_rust(version: &str, worker: Option<&Worker>) -> String {
    let released = version.split('.').all(|n| n.parse::<u32>().is_ok());
    let name = match released {
        true => version.to_string(),
        // A nightly's version does not tell its day; rustup's name for it does, if it was given one.
        false => active().unwrap_or_else(|| "NAME".into()),
    };
    let install = format!(".cargo/bin/rustup toolchain install {name}");
    worker.map_or(install.clone(), |w| copy::there(w, &install))
}

/// rustup's name for the toolchain that is in force here.
fn active() -> Option<String> {
    let mut rustup = Command::new("rustup");
    rustup
        .args(["show", "active-toolchain"])
        .env("RUSTUP_AUTO_INSTALL", "0");
    let output = rustup.stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(clean(text.split_whitespace().next()?))
}

/// Whether a program of this name can be run.
pub fn is_here(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir: std::path::PathBuf| Path::is_file(&dir.join(tool)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::Verdict;

    #[test]
    fn what_a_worker_lacks_is_named_with_the_command_that_brings_it() {
        let here = ["rust 1.95.0".to_string(), "cc 12.2.0".to_string()];
        let mut probe = Probe {
            id: "css".into(),
            ok: true,
            tools: vec!["rust 1.95.0".into(), "cc (Debian 12.2.0-14) 12.2.0".into()],
            ..Probe::default()
        };
        let found = compared(&here, &probe, None);
        assert_eq!((found.len(), found[0].verdict), (1, Verdict::Ok));
        probe.tools = vec!["rust 1.94.0".into()];
        let found = compared(&here, &probe, None);
        let verdicts: Vec<Verdict> = found.iter().map(|f| f.verdict).collect();
        assert_eq!(verdicts, [Verdict::Wrong, Verdict::Note]);
        assert_eq!(found[0].text, "rust 1.95.0 of this machine is not there");
        assert_eq!(found[0].hint, ".cargo/bin/rustup toolchain install 1.95.0");
    }
}
