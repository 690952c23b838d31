//! What the hook answers, from the document to the last byte on stdout.
//!
//! Every way out that is not a rewrite is the empty answer: the client goes on as it would without us.

use std::path::{Path, PathBuf};

use super::document::{self, Dialect, Document};
use super::inline::{self, InlineOutcome};
use super::permissions::{self, Decision};
use super::rewrite;
use super::{codex, gemini};
use crate::classify::text::{self, Reading};
use crate::config::Config;
use crate::sys::fd;

/// What is said about one document, and why nothing is.
#[derive(Debug)]
pub enum Answer {
    Silence(String),
    Say(String),
}

/// Answers on stdout, or not at all.
pub fn print(bytes: &[u8]) {
    match answer(bytes) {
        Answer::Say(text) => write_all(1, &text),
        Answer::Silence(why) if set("RCH_VERBOSE") => {
            write_all(2, &format!("rch: left alone: {why}\n"))
        }
        Answer::Silence(_) => {}
    }
}

/// Writes all of it, or as much as can be written.
fn write_all(to: u8, text: &str) {
    let mut left = text.as_bytes();
    while !left.is_empty() {
        let wrote = match to {
            1 => fd::write(std::io::stdout(), left),
            _ => fd::write(std::io::stderr(), left),
        };
        match wrote {
            Ok(n) if n > 0 => left = left.get(n..).unwrap_or(b""),
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            _ => return,
        }
    }
}

/// Whether a switch in the environment is on.
pub fn set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|v| !v.is_empty() && v != "0" && v != "false")
}

fn silence(why: impl Into<String>) -> Answer {
    Answer::Silence(why.into())
}

/// Decides about one document.
pub fn answer(bytes: &[u8]) -> Answer {
    for switch in [
        "RCH_BYPASS",
        "RCH_LOCAL_ONLY",
        "CLAUDE_CODE_RESTRICT_PERSONAL_CONFIG",
    ] {
        if set(switch) {
            return silence(format!("{switch} is set"));
        }
    }
    let Some(document) = document::read(bytes) else {
        return silence("not a shell command");
    };
    // A cheap look with nothing refused for its confidence, before any file is opened.
    let reading = match text::read(document.command.as_bytes(), 0.0) {
        Ok(reading) if !reading.places().is_empty() => reading,
        Ok(_) => return silence("no compile command"),
        Err(alone) => return silence(alone.text()),
    };
    let cwd = document
        .cwd
        .as_deref()
        .map_or_else(PathBuf::new, PathBuf::from);
    let (config, _) = Config::load(&cwd, |name| std::env::var(name).ok());
    if !config.general.enabled {
        return silence("disabled by the configuration");
    }
    let reading = match text::read(
        document.command.as_bytes(),
        config.compilation.confidence_threshold,
    ) {
        Ok(sure) if !sure.places().is_empty() => sure,
        _ => return silence(format!("{} unsure", reading.places().len())),
    };
    decide(&document, &reading, &config, &cwd)
}

fn decide(document: &Document<'_>, reading: &Reading, config: &Config, cwd: &Path) -> Answer {
    let (command, mode) = (&*document.command, document.permission_mode.as_deref());
    let decision = match document.dialect {
        _ if config.hook.permissions == "allow" => Decision::Allow,
        Dialect::Claude => permissions::decide(command, cwd, mode),
        Dialect::Codex => codex::decide(command, cwd, mode),
        Dialect::Gemini => gemini::decide(command, cwd),
    };
    if let Decision::Silence(why) = decision {
        return silence(why);
    }
    if config.hook.mode == "inline" {
        return inline(document, reading, &decision, cwd);
    }
    let rch = std::fs::read_link("/proc/self/exe")
        .ok()
        .filter(|p| p.exists());
    let Some(rch) = rch.as_deref().and_then(Path::to_str) else {
        return silence("the running program has been removed or has an odd name");
    };
    rewritten(document, reading, &decision, &rewrite::quoted(rch))
        .map_or_else(|| silence("internal error"), Answer::Say)
}

/// The answer that carries the rewritten command.
fn rewritten(
    document: &Document<'_>,
    reading: &Reading,
    decision: &Decision,
    rch: &str,
) -> Option<String> {
    let command = rewrite::insert(&document.command, &reading.places(), rch)?;
    let input = document.input_with(&command)?;
    let decision = match (document.dialect, decision) {
        (Dialect::Gemini, _) => {
            return Some(format!(
                r#"{{"decision":"allow","hookSpecificOutput":{{"hookEventName":"BeforeTool","tool_input":{input}}}}}"#
            ));
        }
        (Dialect::Codex, _) | (_, Decision::Allow) => r#""permissionDecision":"allow","#,
        (_, Decision::Ask) => r#""permissionDecision":"ask","#,
        _ => "",
    };
    Some(format!(
        r#"{{"hookSpecificOutput":{{"hookEventName":"PreToolUse",{decision}"updatedInput":{input}}}}}"#
    ))
}

/// Runs the job here and now, where the user's rules let it run without asking.
fn inline(document: &Document<'_>, reading: &Reading, decision: &Decision, cwd: &Path) -> Answer {
    let [found] = reading.found.as_slice() else {
        return silence("more than one command");
    };
    let free = document.permission_mode.as_deref() == Some("bypassPermissions");
    let allowed = *decision == Decision::Allow || (free && *decision == Decision::None);
    if !reading.simple || found.at != 0 || !allowed {
        return silence("inline mode runs only simple commands that a rule allows");
    }
    let script = crate::shell::parse(document.command.as_bytes()).ok();
    let words = script
        .as_ref()
        .and_then(|s| rewrite::values(s.words(s.commands.first()?)));
    let Some(words) = words else {
        return silence("words that the shell would expand");
    };
    match inline::run_inline(&words, cwd) {
        InlineOutcome::Done { status, output } => {
            Answer::Say(inline::denial(document.dialect, status, &output))
        }
        InlineOutcome::NotPossible(why) => silence(why),
    }
}
