//! `rch hook install|uninstall|status|test`, and what the SessionStart hook calls.
//!
//! People call these by hand, so here errors are printed and statuses mean something; the hook itself
//! does neither.

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::path::Path;

use super::answer::{Answer, answer};
use super::install::{self, Agent, Edit};
use super::{document, masquerade, rewrite, walk};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::exit;
use crate::nearest::nearest;

const USAGE: &str = "usage: rch hook install|uninstall|status|test [--agent claude|codex|gemini] [--project] [--masquerade]";
const SAMPLE: &str = r#"{"hook_event_name":"PreToolUse","tool_name":"Bash","cwd":"/","tool_input":{"command":"cd app && cargo test 2>&1 | tail -50","timeout":300000}}"#;

/// Options of the verbs.
#[derive(Default)]
struct Options {
    agent: Agent,
    project: bool,
    masquerade: bool,
}

fn options(args: &[OsString]) -> Result<Options> {
    let mut options = Options::default();
    let mut args = args.iter().map(|a| a.to_string_lossy());
    while let Some(arg) = args.next() {
        match &*arg {
            "--agent" => {
                let missing = || Error::new("'--agent' needs a value").hint(choices());
                options.agent = agent(&args.next().ok_or_else(missing)?)?;
            }
            "--project" => options.project = true,
            "--masquerade" => options.masquerade = true,
            other => match other.strip_prefix("--agent=") {
                Some(name) => options.agent = agent(name)?,
                None => return Err(unknown(other)),
            },
        }
    }
    if options.masquerade && options.agent != Agent::Claude {
        return Err(Error::new("'--masquerade' is for Claude Code alone")
            .hint("elsewhere put the folder into PATH yourself"));
    }
    Ok(options)
}

fn agent(name: &str) -> Result<Agent> {
    Agent::parse(name).ok_or_else(|| {
        let error = Error::new(format!("bad value '{name}' for '--agent'"));
        match nearest(name, Agent::NAMES) {
            Some(near) => error.hint(format!("did you mean '{near}'?")),
            None => error.hint(choices()),
        }
    })
}

fn choices() -> String {
    format!("one of {}", Agent::NAMES.join(", "))
}

fn unknown(arg: &str) -> Error {
    const FLAGS: [&str; 3] = ["agent", "project", "masquerade"];
    if !arg.starts_with('-') {
        return Error::new(format!("unexpected '{arg}'")).hint(USAGE);
    }
    let name = arg.split('=').next().unwrap_or(arg);
    let error = Error::new(format!("unknown flag '{name}'"));
    match nearest(name.trim_start_matches('-'), FLAGS) {
        Some(near) => error.hint(format!("did you mean '--{near}'?")),
        None => error.hint(USAGE),
    }
}

/// Runs `rch hook ARGS`.
pub fn command(args: &[OsString]) -> i32 {
    let rest = args.get(1..).unwrap_or(&[]);
    let verb = args.first().and_then(|a| a.to_str());
    let options = match options(rest) {
        Err(err) if matches!(verb, Some("install" | "uninstall" | "status")) => {
            let _ = writeln!(std::io::stderr(), "rch: {err}");
            return exit::USAGE;
        }
        Err(_) => Options::default(),
        Ok(options) => options,
    };
    let done = match verb {
        Some("install") => install(&options),
        Some("uninstall") => uninstall(&options),
        Some("status") => status(&options),
        Some("test") => test(),
        Some("session-start") => session_start(),
        _ => {
            let _ = writeln!(std::io::stderr(), "{USAGE}");
            return exit::USAGE;
        }
    };
    match done {
        Ok(text) => {
            let _ = std::io::stdout().write_all(text.as_bytes());
            0
        }
        Err(err) => {
            let _ = writeln!(std::io::stderr(), "rch: {err}");
            exit::FAILED
        }
    }
}

fn own_path() -> Result<String> {
    let exe = std::fs::read_link("/proc/self/exe")
        .map_err(|e| Error::os("cannot find the running program", &e))?;
    exe.into_os_string()
        .into_string()
        .map_err(|_| Error::new("the program's path is not UTF-8"))
}

fn install(o: &Options) -> Result<String> {
    let rch = own_path()?;
    let file = o.agent.file(o.project);
    let mut said = String::new();
    if o.masquerade {
        said = masquerade::install(&masquerade::default_dir())?;
    }
    let changed = install::change(
        &file,
        o.agent,
        &rch,
        Edit::Install {
            masquerade: o.masquerade,
        },
    )?;
    let what = if changed {
        "installed in"
    } else {
        "already installed in"
    };
    said.push_str(&format!("{what} {}\n", file.display()));
    let (_, others) = install::look(&install::load(&file)?.1, o.agent, &rch);
    for other in others {
        said.push_str(&format!(
            "note: '{other}' sees the same commands; if it rewrites them too, the last one wins\n"
        ));
    }
    if o.agent == Agent::Codex {
        said.push_str(
            "note: Codex skips hooks until they are trusted; confirm this one when it asks\n",
        );
    }
    Ok(said)
}

fn uninstall(o: &Options) -> Result<String> {
    let file = o.agent.file(o.project);
    let changed = install::change(&file, o.agent, &own_path()?, Edit::Uninstall)?;
    let what = if changed {
        "removed from"
    } else {
        "was not in"
    };
    Ok(format!("{what} {}\n", file.display()))
}

fn status(o: &Options) -> Result<String> {
    let rch = own_path()?;
    let mut out = String::new();
    for (name, agent) in [
        ("claude", Agent::Claude),
        ("codex", Agent::Codex),
        ("gemini", Agent::Gemini),
    ] {
        let file = agent.file(o.project);
        let state = match install::load(&file) {
            Ok((None, _)) => "no settings file".to_owned(),
            Ok((_, value)) if install::look(&value, agent, &rch).0 => "installed".to_owned(),
            Ok(_) => "not installed".to_owned(),
            Err(err) => err.text().to_owned(),
        };
        out.push_str(&format!("{name:<8} {state:<18} {}\n", file.display()));
    }
    Ok(out)
}

/// `rch hook test`: a document from stdin (a sample, if that is a terminal or empty), its walk and its answer.
fn test() -> Result<String> {
    let mut bytes = Vec::new();
    if !crate::sys::start::isatty(0) {
        let read = std::io::stdin().take(10 << 20).read_to_end(&mut bytes);
        read.map_err(|e| Error::os("cannot read the document", &e))?;
    }
    if bytes.trim_ascii().is_empty() {
        bytes = SAMPLE.into();
    }
    let mut out = String::new();
    match document::read(&bytes) {
        Some(document) => {
            let cwd = document.cwd.as_deref().unwrap_or("/");
            let (config, _) = Config::load(Path::new(cwd), |name| std::env::var(name).ok());
            out.push_str(&format!("command: {}\n", document.command));
            out.push_str(&walk::walk(&document.command, config.compilation.confidence_threshold).0);
        }
        None => out.push_str("tier 0  stays: not a shell tool's document\n"),
    }
    match answer(&bytes) {
        Answer::Say(json) => out.push_str(&format!("answer: {json}\n")),
        Answer::Silence(why) => out.push_str(&format!("answer: none ({why})\n")),
    }
    Ok(out)
}

/// Called by Claude Code when a session starts: puts the masquerade folder first in PATH.
fn session_start() -> Result<String> {
    let Some(file) = std::env::var_os("CLAUDE_ENV_FILE") else {
        return Ok(String::new());
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
        .map_err(|e| Error::path("write", file, &e))?;
    Ok(String::new())
}
