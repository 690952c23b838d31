//! Where a command comes from: its directory as the shell spells it, and the variables that the
//! command line itself set, as against those the shell was started with.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::sys::process;

/// The working directory as the shell spells it, if that is the truth.
pub(super) fn cwd() -> PathBuf {
    let real = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    match std::env::var_os("PWD").map(PathBuf::from) {
        Some(pwd) if pwd.is_absolute() && same_place(&pwd, &real) => pwd,
        _ => real,
    }
}

fn same_place(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (a.metadata(), b.metadata()) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

/// Programs that stand between a shell and us without changing the environment they were given.
const WRAPPERS: &[&str] = &[
    "env", "ionice", "nice", "nohup", "setsid", "stdbuf", "taskset", "time", "timeout",
];

/// Names of variables that are not as the shell was started with: set in front of the command, or
/// exported in the same command line. Wrappers (`timeout`) got theirs from the same line.
pub(super) fn own_variables() -> Vec<OsString> {
    let Some(initial) = shell_environment() else {
        return vec![];
    };
    let had = |name: &OsStr, value: &OsStr| {
        initial.split(|&b| b == 0).any(|entry| {
            entry
                .strip_prefix(name.as_encoded_bytes())
                .and_then(|e| e.strip_prefix(b"="))
                == Some(value.as_encoded_bytes())
        })
    };
    std::env::vars_os()
        .filter(|(name, value)| !had(name, value))
        .map(|(name, _)| name)
        .collect()
}

/// The environment that the nearest ancestor which is no wrapper was started with.
fn shell_environment() -> Option<Vec<u8>> {
    let mut pid = process::getppid().0;
    for _ in 0..8 {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (head, tail) = stat.rsplit_once(')')?;
        let name = head.split_once('(')?.1;
        if !WRAPPERS.contains(&name) {
            return std::fs::read(format!("/proc/{pid}/environ")).ok();
        }
        pid = tail.split_whitespace().nth(1)?.parse().ok()?;
    }
    None
}
