//! A real, tiny job on each worker, for `rch doctor`: the only proof that jobs get there and back.
//!
//! It goes the way of every job, through `rch exec` in a process of its own, from a project made for
//! it in the cache directory: the tree is sent, the compiler runs, the product comes home and is
//! run here. What `rch exec` says when it cannot is what the finding says.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use super::compilers::is_here;
use super::doctor::{Finding, note, ok, wrong};
use super::out::clean;
use super::probe;
use crate::error::{Error, cause};
use crate::exit;
use crate::paths::cache_dir;
use crate::shell::quoted;

/// Variables that would keep the trial here, or send it elsewhere.
const STEERING: [&str; 8] = [
    "RCH_BYPASS",
    "RCH_DRY_RUN",
    "RCH_LOCAL_ONLY",
    "RCH_VERBOSE",
    "RCH_WORKERS",
    "RCH_STREAM_MODE",
    "CARGO_TARGET_DIR",
    "CARGO_BUILD_TARGET",
];

/// What the trial builds, by the compiler that is here.
struct Trial {
    argv: &'static [&'static str],
    files: &'static [(&'static str, &'static str)],
    product: &'static str,
}

const CARGO: Trial = Trial {
    argv: &["cargo", "build", "--offline"],
    files: &[
        (
            "Cargo.toml",
            "[package]\nname = \"trial\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\n[workspace]\n",
        ),
        (
            "src/main.rs",
            "fn main() {\n    println!(\"{}\", env!(\"CARGO_MANIFEST_DIR\"));\n}\n",
        ),
    ],
    product: "target/debug/trial",
};

const CC: Trial = Trial {
    argv: &["cc", "-o", "trial", "trial.c"],
    files: &[(
        "trial.c",
        "#include <stdio.h>\nint main(void) { puts(__FILE__); return 0; }\n",
    )],
    product: "trial",
};

/// Runs one on each of these workers.
pub fn on(workers: &[String]) -> Vec<Finding> {
    let dir = cache_dir().join("doctor");
    let found = prepare(&dir).map(|(lock, trial)| {
        let found = workers.iter().map(|id| one(id, &dir, &trial)).collect();
        let _ = fs::remove_dir_all(&dir);
        drop(lock);
        found
    });
    match found {
        Ok(found) => found,
        Err(error) => {
            let hint = error.remedy().unwrap_or("see to it that it can be written");
            vec![wrong("trial", error.text(), hint)]
        }
    }
}

/// The project, for one doctor at a time.
fn prepare(dir: &Path) -> Result<(fs::File, Trial), Error> {
    let failed = |path: &Path, e: &std::io::Error| Error::path("write", path, e);
    let lock = dir.with_extension("lock");
    fs::create_dir_all(dir).map_err(|e| failed(dir, &e))?;
    let file = fs::File::create(&lock).map_err(|e| failed(&lock, &e))?;
    file.lock().map_err(|e| failed(&lock, &e))?;
    let trial = match (is_here("cargo"), is_here("cc")) {
        (true, _) => CARGO,
        (false, true) => CC,
        _ => return Err(Error::new("there is no compiler here").hint("install one")),
    };
    for (name, text) in trial.files {
        let path = dir.join(name);
        let parent = path.parent().unwrap_or(dir);
        fs::create_dir_all(parent).map_err(|e| failed(parent, &e))?;
        fs::write(&path, text).map_err(|e| failed(&path, &e))?;
    }
    Ok((file, trial))
}

fn one(id: &str, dir: &Path, trial: &Trial) -> Finding {
    let step = format!("trial {}", clean(id));
    let product = dir.join(trial.product);
    let _ = fs::remove_file(&product);
    let begun = Instant::now();
    let output = match run(id, dir, trial) {
        Ok(output) => output,
        Err(e) => {
            return wrong(
                &step,
                format!("cannot run 'rch exec': {}", cause(&e)),
                "install rch anew",
            );
        }
    };
    let took = crate::time::human(begun.elapsed());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    match output.status.code() {
        Some(0) => arrived(&step, &product, trial, &took),
        Some(exit::NO_REMOTE) => refused(&step, id, &said),
        code => {
            let status = code.unwrap_or(128 + output.status.signal().unwrap_or(0));
            let last = said.lines().rfind(|l| !l.trim().is_empty()).unwrap_or("");
            let text = format!(
                "'{}' there ended with status {status}: {}",
                trial.argv.join(" "),
                clean(last)
            );
            let hint = format!(
                "RCH_WORKER={} rch exec -- {} in a project of yours shows it whole",
                quoted(id),
                trial.argv.join(" ")
            );
            wrong(&step, text, hint)
        }
    }
}

fn run(id: &str, dir: &Path, trial: &Trial) -> std::io::Result<Output> {
    let mut cmd = Command::new("/proc/self/exe");
    cmd.args(["--quiet", "exec", "--"]).args(trial.argv);
    for name in STEERING {
        cmd.env_remove(name);
    }
    cmd.env("RCH_WORKER", id)
        .env("RCH_REQUIRE_REMOTE", "1")
        .env("RCH_ENABLED", "true")
        .env("PWD", dir)
        .current_dir(dir)
        .stdin(Stdio::null())
        .output()
}

/// The program must be here and run here.
fn arrived(step: &str, product: &PathBuf, trial: &Trial, took: &str) -> Finding {
    let ran = Command::new(product).stdin(Stdio::null()).output();
    match ran {
        Ok(output) if output.status.success() => ok(
            step,
            format!(
                "'{}' ran there, and its program here ({took})",
                trial.argv.join(" ")
            ),
        ),
        Ok(output) => {
            let text = format!(
                "the program that was built there does not run here: {}",
                output.status
            );
            wrong(
                step,
                text,
                "compare the processors and C libraries of both machines",
            )
        }
        Err(e) => {
            let text = format!("the build left no program here: {}", cause(&e));
            wrong(
                step,
                text,
                "'rch logs' of the last job in 'rch status --jobs' shows what it said",
            )
        }
    }
}

/// The words of `cannot run remotely: css: drained, old: RCH_WORKER names another`.
fn refused(step: &str, id: &str, said: &str) -> Finding {
    let reason = said
        .lines()
        .find_map(|l| l.strip_prefix("rch: cannot run remotely: "));
    let reason = reason.unwrap_or(said.trim());
    let parts = reason
        .split(", ")
        .filter(|p| !p.ends_with(": RCH_WORKER names another"));
    let parts: Vec<&str> = parts
        .map(|p| p.strip_prefix(&format!("{id}: ")).unwrap_or(p))
        .collect();
    let text = clean(&parts.join(", "));
    if text == "drained" {
        return note(
            step,
            "it is drained: no job goes there",
            format!("rch workers enable {id}"),
        );
    }
    let hint = probe::remedy(id, &text);
    let hint = hint.unwrap_or_else(|| "'rch daemon logs' tells what happened before".into());
    wrong(step, text, hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::Verdict;

    #[test]
    fn a_refusal_is_told_without_the_other_workers() {
        let said = "rch: cannot run remotely: css: has no rustc like ours (rustc 1.95.0), old: RCH_WORKER names another\n";
        let found = refused("trial css", "css", said);
        assert_eq!(found.text, "has no rustc like ours (rustc 1.95.0)");
        assert!(found.hint.starts_with("the same version must be there"));
        let found = refused(
            "trial css",
            "css",
            "rch: cannot run remotely: css: drained\n",
        );
        assert_eq!(
            (found.verdict, found.hint.as_str()),
            (Verdict::Note, "rch workers enable css")
        );
    }
}
