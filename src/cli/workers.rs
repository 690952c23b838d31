//! `rch workers …`: the fleet, asked and changed.
//!
//! `add` and `remove` edit workers.toml and need no daemon; a running one is told to read it again.

use std::path::Path;

use serde_json::json;

use super::grid::{Cell, Row, draw};
use super::jobs::said;
use super::out::{Done, Fail, Ink, Look, clean, warn};
use super::parse::Call;
use super::{Outcome, link, status};
use crate::config::edit::{self, NewWorker, NotAdded};
use crate::config::workers::{self as fleet, WORKER_KEYS};
use crate::config::{Complaint, Kind, Value, Worker};
use crate::error::Error;
use crate::nearest::nearest;
use crate::wire::client::{Ask, NO_WORKER};
use crate::wire::status::Status;

/// With a daemon as it sees them, without one as they stand in the file.
pub fn list(call: &Call) -> Outcome {
    let look = Look::here(&call.given);
    match link::connect(&look) {
        Ok(mut daemon) => {
            let status: Status = link::ask(&mut daemon, &Ask::Status)?;
            let text = status::workers(&look, &status.workers);
            Ok(Done::new(text, json!(status.workers)))
        }
        Err(fail) if fail.code == "daemon_absent" => configured(&look),
        Err(fail) => Err(fail),
    }
}

fn configured(look: &Look) -> Outcome {
    let workers = known()?;
    let rows: Vec<Row> = workers
        .iter()
        .map(|w| Row {
            cells: vec![
                Cell::new(clean(w.id.as_str())).ink(Ink::Bold),
                Cell::new(if w.enabled { "" } else { "disabled" }).ink(Ink::Dim),
                Cell::new(address(w)),
            ],
            below: String::new(),
        })
        .collect();
    let mut text = look.heading("Workers");
    text.push_str(&draw(look, &rows, &[2, 0]));
    text.push_str("rchd is not running, so this is all there is to tell\n");
    text.push_str(&look.hint("", "'rch workers probe' starts it and connects to them"));
    let entry =
        |w: &Worker| json!({ "id": w.id.as_str(), "enabled": w.enabled, "address": address(w) });
    let data: Vec<_> = workers.iter().map(entry).collect();
    Ok(Done::new(text, json!(data)))
}

fn address(w: &Worker) -> String {
    use crate::config::Transport;
    match &w.transport {
        Transport::Local => "this machine".into(),
        Transport::Command(argv) => clean(&argv.join(" ")),
        Transport::Ssh => {
            let user = if w.user.is_empty() {
                String::new()
            } else {
                format!("{}@", w.user)
            };
            let port = if w.port == 0 {
                String::new()
            } else {
                format!(":{}", w.port)
            };
            format!("{user}{}{port}", w.host)
        }
    }
}

/// The fleet of the file.
///
/// # Errors
/// The first of its mistakes.
pub fn known() -> Result<Vec<Worker>, Fail> {
    crate::config::workers().map_err(|complaints| {
        let (text, _) = complaints[0].parts();
        Fail::config(Error::new(text).hint("'rch config validate' shows everything that is wrong"))
    })
}

/// The ids that were named, each of which must exist; none for all.
pub fn named(call: &Call) -> Result<Vec<String>, Fail> {
    let ids: Vec<String> = (0..)
        .map_while(|i| call.operand(i))
        .map(String::from)
        .collect();
    if ids.is_empty() {
        return Ok(ids);
    }
    if call.given.has("all") {
        return Err(Fail::usage(Error::new(
            "'--all' and a worker's id exclude each other",
        )));
    }
    let workers = known()?;
    ids.iter().try_for_each(|id| exists(&workers, id))?;
    Ok(ids)
}

fn exists(workers: &[Worker], id: &str) -> Result<(), Fail> {
    if workers.iter().any(|w| w.id.as_str() == id) {
        return Ok(());
    }
    let error = Error::new(format!("no worker '{id}'"));
    let near = nearest(id, workers.iter().map(|w| w.id.as_str()));
    Err(Fail::absent(match near {
        Some(near) => error.hint(format!("did you mean '{near}'?")),
        None => error.hint("'rch workers list' names them"),
    }))
}

pub fn drain(call: &Call) -> Outcome {
    switch(call, true)
}

pub fn enable(call: &Call) -> Outcome {
    switch(call, false)
}

fn switch(call: &Call, on: bool) -> Outcome {
    let look = Look::here(&call.given);
    let worker = call.operand(0).unwrap_or_default().to_string();
    exists(&known()?, &worker)?;
    let mut daemon = link::connect_or_start(&look)?;
    let ask = Ask::Drain {
        worker: worker.clone(),
        on,
    };
    link::order(&mut daemon, &ask)?;
    let what = if on {
        "takes no new jobs"
    } else {
        "takes jobs again"
    };
    let mut text = format!("{worker} {what}\n");
    if on {
        text.push_str(&look.hint("", &format!("'rch workers enable {worker}' undoes it")));
    }
    Ok(Done::new(
        said(&look, &text),
        json!({ "id": worker, "drained": on }),
    ))
}

pub fn add(call: &Call) -> Outcome {
    let look = Look::here(&call.given);
    let worker = new_worker(call)?;
    let path = fleet::file();
    let id = call.operand(0).unwrap_or_default();
    unless_there(&path, id)?;
    edit::add_worker(&path, &worker).map_err(|why| match why {
        NotAdded::File(error) => Fail::config(error),
        NotAdded::Worker(error) => Fail::usage(error),
    })?;
    reload(&look);
    let mut text = format!("added '{id}' to '{}'\n", path.display());
    text.push_str(&look.hint("", &format!("'rch workers probe {id}' tries it")));
    let file = path.display().to_string();
    Ok(Done::new(
        said(&look, &text),
        json!({ "id": id, "file": file }),
    ))
}

/// The worker that stands for a file without any may be written down.
fn unless_there(path: &Path, id: &str) -> Result<(), Fail> {
    let there = |w: &crate::config::Worker| w.id.as_str() == id;
    if !fleet::written(path).workers.iter().any(there) {
        return Ok(());
    }
    let error = Error::new(format!("worker '{id}' is there already"));
    let hint = format!(
        "edit '{}', or 'rch workers remove {id}' first",
        path.display()
    );
    Err(Fail::usage(error.hint(hint)))
}

fn new_worker(call: &Call) -> Result<NewWorker, Fail> {
    let mut worker: NewWorker = vec![(
        "id",
        Value::Text(call.operand(0).unwrap_or_default().into()),
    )];
    match call.operand(1) {
        Some(place) => worker.extend(place_parts(place)?),
        None => homeless(call)?,
    }
    for key in WORKER_KEYS {
        let flag = key.name.replace('_', "-");
        let values: Vec<&str> = call.given.values(&flag).collect();
        let value = match (&values[..], key.kind) {
            ([], _) => continue,
            (all, Kind::List { .. }) => Value::List(all.iter().map(|v| v.to_string()).collect()),
            // Of the working directory, as the shell that completed it meant it.
            ([.., last], Kind::Path(_)) if !last.starts_with("~/") => {
                let cwd = std::env::current_dir().unwrap_or_default();
                Value::Text(cwd.join(last).display().to_string())
            }
            ([.., last], kind) => kind.parse(last).map_err(|why| {
                Fail::usage(Error::new(format!("bad value for '--{flag}': {why}")))
            })?,
        };
        worker.push((key.name, value));
    }
    Ok(worker)
}

/// Without a host, it must be said how else it is reached.
fn homeless(call: &Call) -> Result<(), Fail> {
    let id = call.operand(0).unwrap_or_default();
    match call.given.value("transport").unwrap_or("ssh") {
        "ssh" => {
            let error = Error::new(format!("worker '{id}' has no host"));
            let hint = format!("'rch workers add {id} USER@HOST', or '--transport local'");
            Err(Fail::usage(error.hint(hint)))
        }
        "command" if !call.given.has("command") => {
            let error = Error::new("'--transport command' needs '--command'");
            let hint = "each of its words by itself: --command docker --command exec …";
            Err(Fail::usage(error.hint(hint)))
        }
        _ => Ok(()),
    }
}

/// `[USER@]HOST[:PORT]`, where a host in brackets may hold colons.
fn place_parts(place: &str) -> Result<NewWorker, Fail> {
    let mut parts: NewWorker = vec![];
    let (user, rest) = match place.rsplit_once('@') {
        Some((user, rest)) => (Some(user), rest),
        None => (None, place),
    };
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if host.ends_with(']') || !host.contains(':') => (host, Some(port)),
        _ => (rest, None),
    };
    parts.push(("host", Value::Text(host.trim_matches(['[', ']']).into())));
    if let Some(user) = user {
        parts.push(("user", Value::Text(user.into())));
    }
    if let Some(port) = port {
        let number: u16 = port.parse().map_err(|_| {
            let error = Error::new(format!("'{port}' is no port"));
            Fail::usage(error.hint("a port is a number from 1 to 65535"))
        })?;
        parts.push(("port", Value::Int(i64::from(number))));
    }
    Ok(parts)
}

pub fn remove(call: &Call) -> Outcome {
    let look = Look::here(&call.given);
    let id = call.operand(0).unwrap_or_default();
    let path = fleet::file();
    let written = fleet::written(&path).workers;
    edit::remove_worker(&path, id).map_err(|e| {
        if !e.text().starts_with(NO_WORKER) {
            return Fail::config(e);
        }
        let near = nearest(id, written.iter().map(|w| w.id.as_str()));
        let hint = match near {
            Some(near) => format!("did you mean '{near}'?"),
            None if written.is_empty() => {
                "it names no worker, so this machine is the only one".into()
            }
            None => "'rch workers list' names those there are".into(),
        };
        Fail::absent(e.hint(hint))
    })?;
    reload(&look);
    let file = path.display().to_string();
    let mut text = format!("removed '{id}' from '{file}'\n");
    if written.len() == 1 {
        text.push_str("no other is in it, so this machine is the only worker\n");
    }
    Ok(Done::new(
        said(&look, &text),
        json!({ "id": id, "file": file }),
    ))
}

/// Lets a running daemon know; without one there is nobody to tell.
pub fn reload(look: &Look) {
    let quiet = Look {
        quiet: true,
        ..*look
    };
    let told = link::connect(&quiet).and_then(|mut daemon| link::order(&mut daemon, &Ask::Reload));
    match told {
        Err(fail) if fail.code == "daemon_absent" => {}
        Err(fail) if !look.quiet => {
            let fault = format!("rchd has not taken it: {}", fail.error);
            warn(look, &[Complaint::new(fault)]);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_taken_apart() {
        let parts = |place: &str| {
            let parts = place_parts(place).unwrap();
            let shown: Vec<String> = parts.iter().map(|(k, v)| format!("{k}={v}")).collect();
            shown.join(" ")
        };
        assert_eq!(parts("h"), "host=\"h\"");
        assert_eq!(parts("u@h:22"), "host=\"h\" user=\"u\" port=22");
        assert_eq!(parts("[::1]:22"), "host=\"::1\" port=22");
        assert_eq!(parts("fe80::1"), "host=\"fe80::1\"");
        assert!(place_parts("h:x").is_err());
    }

    #[test]
    fn every_flag_of_add_is_a_key() {
        let command = crate::cli::table::COMMANDS
            .iter()
            .find(|c| c.words == ["workers", "add"])
            .unwrap();
        for flag in command.flags {
            let name = flag.long.replace('-', "_");
            assert!(WORKER_KEYS.iter().any(|k| k.name == name), "{name}");
        }
    }
}
