//! Inline mode, for clients that do not take a rewritten command: the hook runs the job itself.
//!
//! The job goes through `rch exec` in a process of its own, with no local fallback. What came back
//! is told to the agent as the reason for denying the local run; when nothing could be done
//! remotely the hook is silent and the command runs locally.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::document::Dialect;
use crate::exit;

/// What became of a job.
#[derive(Debug, PartialEq, Eq)]
pub enum InlineOutcome {
    /// It ran remotely; stdout and stderr in one.
    Done { status: i32, output: Vec<u8> },
    /// It did not, and has to run locally.
    NotPossible(String),
}

/// Longest output in an answer: clients cut reasons at about 10,000 characters themselves.
const LONGEST: usize = 9_000;

/// Runs `argv` in `cwd` on a worker.
pub fn run_inline(argv: &[&[u8]], cwd: &Path) -> InlineOutcome {
    let argv = argv.iter().map(|a| OsStr::from_bytes(a));
    let child = Command::new("/proc/self/exe")
        .args(["exec", "--"])
        .args(argv)
        .current_dir(cwd)
        .env("RCH_REQUIRE_REMOTE", "1")
        .stdin(Stdio::null())
        .output();
    let output = match child {
        Ok(output) => output,
        Err(e) => return InlineOutcome::NotPossible(crate::error::cause(&e)),
    };
    let signal = std::os::unix::process::ExitStatusExt::signal(&output.status);
    let status = output
        .status
        .code()
        .or(signal.map(|s| s.saturating_add(128)))
        .unwrap_or(exit::FAILED);
    if exit::is_infrastructure(status) {
        return InlineOutcome::NotPossible(format!("'rch exec' ended with {status}"));
    }
    let mut both = output.stdout;
    both.extend_from_slice(&output.stderr);
    InlineOutcome::Done {
        status,
        output: both,
    }
}

/// The answer that tells the agent what happened.
pub fn denial(dialect: Dialect, status: i32, output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let verb = if status == 0 { "succeeded" } else { "failed" };
    let reason = format!(
        "The command was run on a build machine and {verb} with exit status {status}; do not run it again unless something changed. Its output:\n{}",
        shortened(&text)
    );
    let reason = serde_json::Value::from(reason);
    match dialect {
        Dialect::Gemini => format!(r#"{{"decision":"deny","reason":{reason}}}"#),
        _ => format!(
            r#"{{"hookSpecificOutput":{{"hookEventName":"PreToolUse","permissionDecision":"deny","permissionDecisionReason":{reason}}}}}"#
        ),
    }
}

/// The end of a long text: errors and summaries stand there.
fn shortened(text: &str) -> String {
    let from = text.len().saturating_sub(LONGEST);
    match (from..text.len())
        .find(|&at| text.is_char_boundary(at))
        .and_then(|at| text.get(at..))
    {
        Some(tail) if from > 0 => format!("[the first {from} bytes are left out]\n{tail}"),
        _ => text.to_owned(),
    }
}
