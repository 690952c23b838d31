//! `rch hook …`, `rch masquerade …` and `rch classify`: what the hook's own verbs have done or found,
//! for people and for machines.
//!
//! The work is `hook`'s. `hook session-start` is not here: an agent calls it, and takes what it prints
//! for words to its model.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::jobs::said;
use super::out::{Done, Fail, Look};
use super::parse::Call;
use super::status::count;
use super::{Outcome, link};
use crate::classify::names;
use crate::error::Error;
use crate::hook::answer::Answer;
use crate::hook::install::Agent;
use crate::hook::masquerade::{self, Links};
use crate::hook::verbs::{self, Settled, Tested};
use crate::hook::walk::walk;
use crate::shell::quoted;

/// Agents by the names that `--agent` takes.
const AGENTS: [(&str, Agent); 3] = [
    ("claude", Agent::Claude),
    ("codex", Agent::Codex),
    ("gemini", Agent::Gemini),
];

fn agent(call: &Call) -> (&'static str, Agent) {
    let named = call.given.value("agent").unwrap_or("claude");
    let found = AGENTS.iter().find(|(name, _)| *name == named);
    *found.expect("BUG: the table allows an agent that we do not know")
}

pub fn install(call: &Call) -> Outcome {
    let look = Look::here(&call.given);
    let ((name, agent), project) = (agent(call), call.given.has("project"));
    let masks = call.given.has("masquerade");
    if masks && agent != Agent::Claude {
        let error = Error::new("'--masquerade' is for Claude Code alone");
        let hint = "elsewhere 'rch masquerade install', and put its folder into PATH yourself";
        return Err(Fail::usage(error.hint(hint)));
    }
    let links = match masks {
        true => Some(masquerade::install(&masquerade::default_dir()).map_err(Fail::system)?),
        false => None,
    };
    let settled = verbs::install(agent, project, masks).map_err(Fail::config)?;
    let mut text = links.as_ref().map_or(String::new(), linked);
    text.push_str(&settings(&settled, "installed in", "is already in"));
    for note in notes(agent, &settled) {
        text.push_str(&format!("note: {note}\n"));
    }
    let mut data = json!({
        "agent": name, "file": shown(&settled.file), "changed": settled.changed,
        "notes": notes(agent, &settled),
    });
    if let Some(links) = links {
        data["links"] = json!({ "dir": shown(&links.dir), "count": links.count });
    }
    Ok(Done::new(said(&look, &text), data))
}

fn settings(settled: &Settled, changed: &str, not: &str) -> String {
    let what = if settled.changed { changed } else { not };
    format!("rch's hook: {what} '{}'\n", settled.file.display())
}

/// What the user has to know besides.
fn notes(agent: Agent, settled: &Settled) -> Vec<String> {
    let rival = |other: &String| {
        format!("'{other}' sees the same commands; if it rewrites them too, the last one wins")
    };
    let mut notes: Vec<String> = settled.rivals.iter().map(rival).collect();
    if agent == Agent::Codex {
        notes
            .push("Codex skips hooks until they are trusted; confirm this one when it asks".into());
    }
    notes
}

pub fn uninstall(call: &Call) -> Outcome {
    let look = Look::here(&call.given);
    let (name, agent) = agent(call);
    let settled = verbs::uninstall(agent, call.given.has("project")).map_err(Fail::config)?;
    let mut text = settings(&settled, "removed from", "was not in");
    let links = masquerade::status(&masquerade::default_dir()).map_err(Fail::system)?;
    if agent == Agent::Claude && links.count > 0 {
        let left = count(links.count as u64, "link");
        let hint = format!(
            "{left} in '{}' stay; 'rch masquerade uninstall' removes them",
            links.dir.display()
        );
        text.push_str(&look.hint("", &hint));
    }
    let data = json!({ "agent": name, "file": shown(&settled.file), "changed": settled.changed });
    Ok(Done::new(said(&look, &text), data))
}

pub fn status(call: &Call) -> Outcome {
    let wanted = call.given.value("agent");
    let agents = AGENTS
        .iter()
        .filter(|(name, _)| wanted.is_none_or(|w| w == *name));
    let (mut text, mut data, mut well) = (String::new(), vec![], true);
    for (name, agent) in agents {
        let found = verbs::status(*agent, call.given.has("project")).map_err(Fail::system)?;
        let file = found.file.display();
        text.push_str(&format!("{name:<8} {:<18} {file}\n", found.state));
        if let Some(fault) = &found.fault {
            well = false;
            text.push_str(&format!("    {}\n", fault.text()));
        }
        let fault = found.fault.as_ref().map(Error::text);
        data.push(json!({
            "agent": name, "state": found.state, "file": shown(&found.file), "fault": fault,
        }));
    }
    Ok(Done::new(text, json!(data)).answer(well))
}

pub fn test(_call: &Call) -> Outcome {
    let Tested { walked, answer } = verbs::test().map_err(Fail::system)?;
    let (mut text, mut data) = (String::new(), json!({}));
    match &walked {
        Some((command, walk)) => {
            text.push_str(&format!("command: {command}\n{}", walk.text()));
            (data["command"], data["walk"]) = (json!(command), walk.data());
        }
        None => text.push_str("tier 0  stays: not a shell tool's document\n"),
    }
    match answer {
        Answer::Say(json) => {
            text.push_str(&format!("answer: {json}\n"));
            data["answer"] = serde_json::from_str(&json).unwrap_or(Value::String(json));
        }
        Answer::Silence(why) => {
            text.push_str(&format!("answer: none ({why})\n"));
            (data["answer"], data["silent"]) = (Value::Null, why.into());
        }
    }
    Ok(Done::new(text, data))
}

pub fn classify(call: &Call) -> Outcome {
    let look = Look::here(&call.given);
    let threshold = link::settings(&look).compilation.confidence_threshold;
    let command = call.operand(0).unwrap_or_default();
    let walk = walk(command, threshold, &|name| std::env::var_os(name));
    let mut text = walk.text();
    if let Some(rewritten) = &walk.rewritten {
        text.push_str(&format!("rewritten: {rewritten}\n"));
    }
    let mut data = walk.data();
    data["command"] = command.into();
    Ok(Done::new(said(&look, &text), data).answer(walk.goes()))
}

/// The folder that the command is about.
fn folder(call: &Call) -> PathBuf {
    call.operand(0)
        .map_or_else(masquerade::default_dir, PathBuf::from)
}

pub fn mask(call: &Call) -> Outcome {
    let links = masquerade::install(&folder(call)).map_err(Fail::system)?;
    Ok(masked(call, &links, &linked(&links)))
}

pub fn unmask(call: &Call) -> Outcome {
    let links = masquerade::uninstall(&folder(call)).map_err(Fail::system)?;
    let text = format!(
        "{} removed from '{}'\n",
        count(links.count as u64, "link"),
        links.dir.display()
    );
    Ok(masked(call, &links, &text))
}

pub fn masks(call: &Call) -> Outcome {
    let links = masquerade::status(&folder(call)).map_err(Fail::system)?;
    let place = if links.first {
        "first in PATH"
    } else {
        "not first in PATH"
    };
    let mut text = format!(
        "{} of {} links in '{}', {place}\n",
        links.count,
        names::LINKS.len(),
        links.dir.display()
    );
    let look = Look::here(&call.given);
    if links.count < names::LINKS.len() {
        let dir = call
            .operand(0)
            .map_or(String::new(), |d| format!(" {}", quoted(d)));
        text.push_str(&look.hint("", &format!("'rch masquerade install{dir}' makes them")));
    } else if !links.first {
        text.push_str(&look.hint("", &put_first(&links)));
    }
    let all = links.count == names::LINKS.len();
    Ok(masked(call, &links, &text).answer(links.first && all))
}

fn masked(call: &Call, links: &Links, text: &str) -> Done {
    let look = Look::here(&call.given);
    let data = json!({
        "dir": shown(&links.dir), "count": links.count, "of": names::LINKS.len(),
        "first_in_path": links.first,
    });
    Done::new(said(&look, text), data)
}

/// What was made, and what is left to do.
fn linked(links: &Links) -> String {
    let dir = links.dir.display();
    let made = format!("{} in '{dir}'\n", count(links.count as u64, "link"));
    match links.first {
        true => made,
        false => format!("{made}put it first: {}\n", put_first(links)),
    }
}

fn put_first(links: &Links) -> String {
    format!("export PATH=\"{}:$PATH\"", links.dir.display())
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
