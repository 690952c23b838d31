//! What a worker's entry must not be: a name that ssh would take for an option or a shell for a
//! command, a transport without its address, a key that ssh will refuse.
//!
//! Key files are only looked at by `advice`, for people: a key on a stick that is not plugged in
//! must not take the other workers away.

use std::os::unix::fs::MetadataExt;

use super::workers::Entry;
use super::{Complaint, Worker};
use crate::shell::quoted;
use crate::sys::process::getuid;

/// The key at fault, the sentence, the remedy.
pub(super) type Objection = (&'static str, String, Option<String>);

/// What each value by itself allows but a worker does not.
pub(super) fn of(entry: &Entry<'_>) -> Vec<Objection> {
    let mut out = vec![];
    let mut object = |name, text: String, hint: Option<&str>| {
        out.push((name, text, hint.map(String::from)));
    };
    let (id, host, user) = (entry.text("id"), entry.text("host"), entry.text("user"));
    match name_fault(&id, "._-") {
        Some(_) if id.is_empty() => object(
            "id",
            "a worker without an 'id'".into(),
            Some("add id = \"…\", a name of its own"),
        ),
        Some(why) => object("id", format!("bad worker id '{}': {why}", shown(&id)), None),
        None => {}
    }
    let transport = entry.text("transport");
    if transport == "ssh" && host.is_empty() {
        object(
            "host",
            format!("worker '{}' has no 'host'", shown(&id)),
            Some("add host = \"…\", or transport = \"local\""),
        );
    }
    if transport == "command" && entry.list("command").iter().all(String::is_empty) {
        object(
            "command",
            format!("worker '{}' has no 'command'", shown(&id)),
            Some("add command = [\"docker\", \"exec\", \"-i\", \"name\"], say"),
        );
    }
    if let (false, Some(why)) = (host.is_empty(), name_fault(&host, "._-:%[]")) {
        let hint = host
            .contains('@')
            .then_some("the part before '@' belongs in 'user'");
        object("host", format!("bad host '{}': {why}", shown(&host)), hint);
    }
    if let (false, Some(why)) = (user.is_empty(), name_fault(&user, "._-+@")) {
        object("user", format!("bad user '{}': {why}", shown(&user)), None);
    }
    for tag in entry.list("tags") {
        if let Some(why) = name_fault(&tag, "._-") {
            object("tags", format!("bad tag '{}': {why}", shown(&tag)), None);
        }
    }
    for option in entry.list("ssh_options") {
        if let Some(why) = option_fault(&option) {
            object(
                "ssh_options",
                format!("bad ssh option '{}': {why}", shown(&option)),
                Some("write \"Name=value\", or a flag such as \"-4\""),
            );
        }
    }
    out
}

/// Why `name` could be taken for an option, or would mean something to a shell or a terminal.
fn name_fault(name: &str, also: &str) -> Option<String> {
    if name.is_empty() {
        return Some("it is empty".into());
    }
    if name.starts_with('-') {
        return Some("it begins with '-'".into());
    }
    if name.len() > 253 {
        return Some("it is longer than 253 bytes".into());
    }
    let odd = name
        .chars()
        .find(|c| !c.is_alphanumeric() && !also.contains(*c))?;
    Some(format!("it holds '{}'", odd.escape_default()))
}

/// The file is the user's own, so any option of ssh's is theirs to use; only what cannot be one is
/// refused.
fn option_fault(option: &str) -> Option<&'static str> {
    if option.chars().any(char::is_control) {
        Some("it holds a control character")
    } else if !option.starts_with('-') && !option.contains('=') {
        Some("it is not of the form Name=value")
    } else {
        None
    }
}

/// Foreign text in a message: control characters escaped, not too long.
fn shown(text: &str) -> String {
    text.chars()
        .take(64)
        .flat_map(|c| {
            let escaped: Vec<char> = if c.is_control() {
                c.escape_default().collect()
            } else {
                vec![c]
            };
            escaped
        })
        .collect()
}

/// What the disk says about a fleet: keys that are missing, or that ssh will refuse to use.
pub fn advice(workers: &[Worker]) -> Vec<Complaint> {
    workers.iter().filter_map(key_fault).collect()
}

/// Why ssh cannot use the worker's key.
pub fn key_fault(worker: &Worker) -> Option<Complaint> {
    let path = worker.identity_file.as_ref()?;
    let (id, shown) = (&worker.id, path.display());
    let about = |text: &str, hint: String| {
        Some(Complaint::new(format!(
            "worker '{id}': key '{shown}' {text}\nhint: {hint}"
        )))
    };
    match path.metadata() {
        Err(e) => about(
            &format!("cannot be read: {}", crate::error::cause(&e)),
            "correct identity_file, or make the key with ssh-keygen(1)".into(),
        ),
        Ok(meta) if !meta.is_file() => about("is not a file", "correct identity_file".into()),
        // What belongs to another, root say, ssh takes as it is.
        Ok(meta) if meta.uid() == getuid() && meta.mode() & 0o077 != 0 => about(
            &format!(
                "is open to others (mode {:04o}); ssh refuses it",
                meta.mode() & 0o7777
            ),
            format!("chmod 600 {}", quoted(&shown.to_string())),
        ),
        Ok(_) => None,
    }
}
