//! `rch hook install|uninstall|status|test`, and what the SessionStart hook calls.
//!
//! People call these by hand, so here errors are told and answers have a shape; the hook itself does
//! neither. What they look like on a terminal is `cli::hooks`'s business.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::answer::{Answer, answer};
use super::install::{self, Agent, Edit};
use super::walk::{Walk, walk};
use super::{document, masquerade, rewrite};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::exit;

const SAMPLE: &str = r#"{"hook_event_name":"PreToolUse","tool_name":"Bash","cwd":"/","tool_input":{"command":"cd app && cargo test 2>&1 | tail -50","timeout":300000}}"#;

/// A settings file after `install` or `uninstall`.
#[derive(Debug)]
pub struct Settled {
    pub file: PathBuf,
    pub changed: bool,
    /// Other hooks in it that see the same commands.
    pub rivals: Vec<String>,
}

fn own_path() -> Result<String> {
    let exe = std::fs::read_link("/proc/self/exe")
        .map_err(|e| Error::os("cannot find the running program", &e))?;
    exe.into_os_string()
        .into_string()
        .map_err(|_| Error::new("the program's path is not UTF-8"))
}

/// Puts our hook into the agent's settings, or with `masquerade` the one that changes PATH.
///
/// # Errors
/// The file cannot be read, understood or written; then it is as it was.
pub fn install(agent: Agent, project: bool, masquerade: bool) -> Result<Settled> {
    let rch = own_path()?;
    let file = agent.file(project);
    let changed = install::change(&file, agent, &rch, Edit::Install { masquerade })?;
    let (_, rivals) = install::look(&install::load(&file)?.1, agent, &rch);
    Ok(Settled {
        file,
        changed,
        rivals,
    })
}

/// Takes our hooks out again.
///
/// # Errors
/// As `install`.
pub fn uninstall(agent: Agent, project: bool) -> Result<Settled> {
    let file = agent.file(project);
    let changed = install::change(&file, agent, &own_path()?, Edit::Uninstall)?;
    Ok(Settled {
        file,
        changed,
        rivals: vec![],
    })
}

/// What an agent's settings file holds of ours.
#[derive(Debug)]
pub struct Found {
    pub file: PathBuf,
    /// `installed`, `masquerade`, `not installed`, `no settings file`, `unreadable`.
    pub state: &'static str,
    /// Why it is unreadable.
    pub fault: Option<Error>,
}

/// What an agent's settings file has to do with us.
///
/// # Errors
/// Our own path is not to be found.
pub fn status(agent: Agent, project: bool) -> Result<Found> {
    let rch = own_path()?;
    let file = agent.file(project);
    let (state, fault) = match install::load(&file) {
        Ok((None, _)) => ("no settings file", None),
        Ok((_, value)) if install::look(&value, agent, &rch).0 => ("installed", None),
        Ok((_, value)) if install::masks(&value, &rch) => ("masquerade", None),
        Ok(_) => ("not installed", None),
        Err(fault) => ("unreadable", Some(fault)),
    };
    Ok(Found { file, state, fault })
}

/// A document's walk through the hook.
#[derive(Debug)]
pub struct Tested {
    /// The command and its tiers; `None` if the document is no shell tool's.
    pub walked: Option<(String, Walk)>,
    pub answer: Answer,
}

/// Walks a document from stdin, or a sample if that is a terminal or empty.
///
/// # Errors
/// It cannot be read.
pub fn test() -> Result<Tested> {
    let mut bytes = Vec::new();
    if !crate::sys::start::isatty(0) {
        let read = std::io::stdin().take(10 << 20).read_to_end(&mut bytes);
        read.map_err(|e| Error::os("cannot read the document", &e))?;
    }
    if bytes.trim_ascii().is_empty() {
        bytes = SAMPLE.into();
    }
    let walked = document::read(&bytes).map(|document| {
        let cwd = document.cwd.as_deref().unwrap_or("/");
        let (config, _) = Config::load(Path::new(cwd), |name| std::env::var(name).ok());
        let walk = walk(
            &document.command,
            config.compilation.confidence_threshold,
            &|name| std::env::var_os(name),
        );
        (document.command.to_string(), walk)
    });
    Ok(Tested {
        walked,
        answer: answer(&bytes),
    })
}

/// `rch hook session-start`, called by Claude Code when a session starts. What it printed would reach
/// the model, so it prints nothing.
pub fn session_start() -> i32 {
    match put_into_path() {
        Ok(()) => exit::OK,
        Err(err) => {
            let _ = writeln!(std::io::stderr(), "rch: {err}");
            exit::FAILED
        }
    }
}

/// Puts the masquerade folder first in the session's PATH.
fn put_into_path() -> Result<()> {
    let Some(file) = std::env::var_os("CLAUDE_ENV_FILE") else {
        return Ok(());
    };
    let file = Path::new(&file);
    let dir = masquerade::default_dir();
    let dir = dir
        .to_str()
        .ok_or_else(|| Error::new("the folder's path is not UTF-8"))?;
    let line = format!("export PATH={}:\"$PATH\"\n", rewrite::quoted(dir));
    let open = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(file);
    open.and_then(|mut f| f.write_all(line.as_bytes()))
        .map_err(|e| Error::path("write", file, &e))
}
