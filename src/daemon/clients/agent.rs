//! Who asked, for people who look at `rch status`.
//!
//! Agents that name their session do so in the environment; of others the program above the shell is
//! told, which `/proc` knows as long as it lives.

use crate::sys::process::Pid;
use crate::wire::client::Exec;

/// Who asked: the agent's own session id, else the program above the shell.
pub(super) fn name(exec: &Exec, pid: Pid) -> String {
    const IDS: [&str; 3] = [
        "CLAUDE_CODE_SESSION_ID",
        "CODEX_SESSION_ID",
        "GEMINI_SESSION_ID",
    ];
    let var = |name: &&str| {
        crate::plan::env::get(&exec.env, name)?
            .to_str()
            .map(str::to_owned)
    };
    if let Some(id) = IDS.iter().find_map(var) {
        return id;
    }
    let parent = |pid: i32| -> Option<(String, i32)> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (head, tail) = stat.rsplit_once(')')?;
        Some((
            head.split_once('(')?.1.to_owned(),
            tail.split_whitespace().nth(1)?.parse().ok()?,
        ))
    };
    let Some((_, shell)) = parent(pid.0) else {
        return String::new();
    };
    let Some((name, _)) = parent(shell) else {
        return String::new();
    };
    format!("{name}[{shell}]")
}
