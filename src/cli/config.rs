//! `rch config …`: what is in force, why, and changing it.
//!
//! Reading and writing are `config`'s; here is what people see of them.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value as Json, json};

use super::Outcome;
use super::jobs::said;
use super::out::{Done, Fail, Ink, Look, warn};
use super::parse::Call;
use crate::config::keys::{KEYS, Key, SECTIONS, Scope};
use crate::config::layers::{self, Settings};
use crate::config::workers as fleet;
use crate::config::{Complaint, Source, Worker, edit, objections};
use crate::error::Error;
use crate::exclude;
use crate::nearest::nearest;
use crate::roots;

fn cwd() -> PathBuf {
    std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"))
}

fn settings() -> Settings {
    layers::settings(&layers::user_file(), &cwd(), |name| {
        std::env::var(name).ok()
    })
}

pub fn show(call: &Call) -> Outcome {
    let look = Look::here(&call.given);
    let settings = settings();
    warn(&look, &settings.complaints);
    let sources = call.given.has("sources");
    let mut text = String::new();
    let mut data = Map::new();
    for (section, _) in SECTIONS {
        let mut inner = Map::new();
        let head = look.paint(Ink::Bold, &format!("[{section}]"));
        let _ = writeln!(text, "{}{head}", if text.is_empty() { "" } else { "\n" });
        for r in settings.all.iter().filter(|r| r.key.section == *section) {
            let line = format!("{} = {}", r.key.name, r.value);
            if sources {
                let source = look.paint(Ink::Dim, &format!("# {}", r.source));
                let _ = writeln!(text, "{line:40}  {source}");
                let entry = json!({ "value": r.value.json(), "source": r.source.to_string() });
                inner.insert(r.key.name.into(), entry);
            } else {
                let _ = writeln!(text, "{line}");
                inner.insert(r.key.name.into(), r.value.json());
            }
        }
        data.insert((*section).into(), Json::Object(inner));
    }
    Ok(Done::new(text, Json::Object(data)))
}

/// The file that `init` and `set` write.
fn target(call: &Call) -> PathBuf {
    if call.given.has("project") {
        layers::project_file(&cwd()).unwrap_or_else(|| cwd().join(".rch/config.toml"))
    } else {
        layers::user_file()
    }
}

pub fn init(call: &Call) -> Outcome {
    let look = Look::here(&call.given);
    let path = target(call);
    let shown = path.display().to_string();
    if path.symlink_metadata().is_ok() {
        let error = Error::new(format!("'{shown}' is there already"));
        return Err(Fail::config(
            error.hint("'rch config set KEY VALUE' changes it"),
        ));
    }
    edit::replace(&path, &edit::template()).map_err(Fail::config)?;
    Ok(Done::new(
        said(&look, &format!("wrote '{shown}'\n")),
        json!({ "file": shown }),
    ))
}

/// Everything that is wrong anywhere.
fn faults() -> Vec<Complaint> {
    let (mut out, workers) = in_files();
    out.extend(objections::advice(&workers));
    out
}

/// What is wrong with the text of the files, and the workers they name nonetheless.
pub fn in_files() -> (Vec<Complaint>, Vec<Worker>) {
    let settings = settings();
    let fleet = fleet::read(&fleet::file());
    let mut all = settings.contradictions();
    all.extend(strangers(&settings, &fleet.workers));
    all.extend(ignore_file());
    let mut out = settings.complaints;
    out.extend(all);
    let mut fleet_faults = [fleet.errors, fleet.warnings].concat();
    fleet_faults.sort_by_key(Complaint::place);
    out.extend(fleet_faults);
    (out, fleet.workers)
}

/// The .rchignore of the repository, or of this directory. What a command needs besides is not looked
/// for: that takes the command.
fn ignore_file() -> Option<Complaint> {
    let root = roots::git_top(&cwd()).unwrap_or_else(cwd);
    let fault = exclude::ignore_file(&root).err()?;
    Some(Complaint::new(fault.to_string()))
}

/// Those because of which every command here stays here: what a broken file was to say is not known.
pub fn keeping() -> Vec<Complaint> {
    let mut all = settings().complaints;
    all.retain(|c| !c.harmless);
    all
}

/// Preferred workers that do not exist.
fn strangers(settings: &Settings, workers: &[Worker]) -> Vec<Complaint> {
    let ids = || workers.iter().map(|w| w.id.as_str());
    let config = settings.config();
    let unknown = config
        .general
        .preferred_workers
        .iter()
        .filter(|p| ids().all(|id| id != p.as_str()));
    unknown
        .map(|p| {
            let hint = match nearest(p, ids()) {
                Some(near) => format!("did you mean '{near}'?"),
                None => "'rch workers list' names those there are".into(),
            };
            settings.about(
                "general.preferred_workers",
                &format!("'general.preferred_workers' names '{p}', which is not in workers.toml\nhint: {hint}"),
            )
        })
        .collect()
}

pub fn validate(call: &Call) -> Outcome {
    let look = Look::here(&call.given);
    let files: Vec<String> = files().iter().map(|p| p.display().to_string()).collect();
    let faults = faults();
    let mut text = String::new();
    for fault in &faults {
        let (what, hint) = fault.parts();
        let _ = writeln!(text, "{what}");
        if let Some(hint) = hint {
            text.push_str(&look.hint("", hint));
        }
    }
    if faults.is_empty() {
        text = said(
            &look,
            &match &files[..] {
                [] => "no configuration file; the defaults are in force\n".into(),
                files => format!("{}: no fault\n", files.join(", ")),
            },
        );
    }
    let listed: Vec<Json> = faults
        .iter()
        .map(|f| json!({ "message": f.parts().0, "hint": f.parts().1 }))
        .collect();
    let done = Done::new(text, json!({ "files": files, "faults": listed }));
    Ok(done.answer(faults.is_empty()))
}

fn files() -> Vec<PathBuf> {
    let project = layers::project_file(&cwd());
    let all = [Some(layers::user_file()), project, Some(fleet::file())];
    all.into_iter()
        .flatten()
        .filter(|p: &PathBuf| Path::exists(p))
        .collect()
}

fn key(call: &Call) -> Result<&'static Key, Fail> {
    let name = call.operand(0).unwrap_or_default();
    if let Some(key) = Key::find(name) {
        return Ok(key);
    }
    let error = Error::new(format!("unknown key '{name}'"));
    let paths: Vec<String> = KEYS.iter().map(Key::path).collect();
    let bare = KEYS.iter().find(|k| k.name == name).map(Key::path);
    let near = bare.or_else(|| nearest(name, paths.iter().map(String::as_str)).map(String::from));
    Err(Fail::absent(match near {
        Some(near) => error.hint(format!("did you mean '{near}'?")),
        None => error.hint("'rch config show' lists the keys"),
    }))
}

pub fn get(call: &Call) -> Outcome {
    let look = Look::here(&call.given);
    let key = key(call)?;
    let settings = settings();
    warn(&look, &settings.complaints);
    let found = settings.get(key);
    let plain = found.value.plain();
    let text = if plain.is_empty() {
        plain
    } else {
        format!("{plain}\n")
    };
    let source = found.source.to_string();
    let data = json!({ "key": key.path(), "value": found.value.json(), "source": source });
    Ok(Done::new(text, data))
}

pub fn set(call: &Call) -> Outcome {
    let look = Look::here(&call.given);
    let key = key(call)?;
    if call.given.has("project") && key.scope == Scope::UserOnly {
        let error = Error::new(format!("'{}' cannot be set by a project", key.path()));
        return Err(Fail::usage(error.hint("leave out '--project'")));
    }
    let text = call.operand(1).unwrap_or_default();
    let value = key
        .kind
        .parse(text)
        .map_err(|why| Fail::usage(Error::new(format!("bad value for '{}': {why}", key.path()))))?;
    if let Some(fault) = settings().against(key, value.clone()) {
        let (text, hint) = fault.parts();
        return Err(Fail::usage(Error::new(text).hint(hint.unwrap_or_default())));
    }
    let path = target(call);
    edit::set(&path, key, &value).map_err(Fail::config)?;
    super::workers::reload(&look);
    let mut text = format!("{} = {value} in '{}'\n", key.path(), path.display());
    text.push_str(&overruled(&look, key, &path));
    let file = path.display().to_string();
    Ok(Done::new(
        said(&look, &text),
        json!({ "key": key.path(), "value": value.json(), "file": file }),
    ))
}

pub fn unset(call: &Call) -> Outcome {
    let look = Look::here(&call.given);
    let (key, path) = (key(call)?, target(call));
    let there = edit::unset(&path, key).map_err(Fail::config)?;
    super::workers::reload(&look);
    let (name, file) = (key.path(), path.display().to_string());
    let settings = settings();
    let now = settings.get(key);
    let what = if there { "taken out of" } else { "is not in" };
    let text = format!(
        "{name} {what} '{file}'; in force is {}, from {}\n",
        now.value, now.source
    );
    let data = json!({
        "key": name, "changed": there, "value": now.value.json(),
        "source": now.source.to_string(), "file": file,
    });
    Ok(Done::new(said(&look, &text), data))
}

/// Says so if another source stands above the file that was just changed.
fn overruled(look: &Look, key: &Key, path: &Path) -> String {
    match &settings().get(key).source {
        Source::User { path: p, .. } | Source::Project { path: p, .. } if p == path => {
            String::new()
        }
        other => look.hint("", &format!("another value is in force here, from {other}")),
    }
}
