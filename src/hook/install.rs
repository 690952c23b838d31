//! Our entry in an agent's settings file: put in, taken out, looked for.
//!
//! The file is someone else's. All else in it is kept as it is written; it is written to a
//! temporary file and renamed, through a symbolic link to where that points; what it was before our
//! entry came stays beside it as `….rch-backup`; and if somebody writes it meanwhile, we begin anew.
//! Taking the entry out gives back what was before: the very bytes, or no file. Our own entry is known
//! by its exact program path and by nothing else.

use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::rewrite::quoted;
use super::settings::claude_dir;
use super::splice;
use crate::error::{Error, Result};
use crate::paths;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Agent {
    #[default]
    Claude,
    Codex,
    Gemini,
}

impl Agent {
    pub const NAMES: [&str; 3] = ["claude", "codex", "gemini"];

    pub fn parse(name: &str) -> Option<Agent> {
        match name {
            "claude" => Some(Agent::Claude),
            "codex" => Some(Agent::Codex),
            "gemini" => Some(Agent::Gemini),
            _ => None,
        }
    }

    /// The settings file, in the user's home or in the project at the working directory.
    pub fn file(self, project: bool) -> PathBuf {
        let base = |dir: &str| {
            if project {
                PathBuf::from(dir)
            } else {
                paths::home().join(dir)
            }
        };
        match self {
            Agent::Claude if project => PathBuf::from(".claude/settings.json"),
            Agent::Claude => claude_dir().join("settings.json"),
            Agent::Codex => base(".codex").join("hooks.json"),
            Agent::Gemini => base(".gemini").join("settings.json"),
        }
    }

    fn event(self) -> &'static str {
        match self {
            Agent::Claude | Agent::Codex => "PreToolUse",
            Agent::Gemini => "BeforeTool",
        }
    }

    fn group(self, rch: &str) -> Value {
        match self {
            Agent::Claude => json!({"matcher": "Bash", "hooks": [
                {"type": "command", "command": rch, "args": [], "timeout": 10}]}),
            Agent::Codex => json!({"matcher": "Bash", "hooks": [
                {"type": "command", "command": quoted(rch), "timeout": 10}]}),
            Agent::Gemini => json!({"matcher": "run_shell_command", "hooks": [
                {"type": "command", "name": "rch", "command": quoted(rch), "timeout": 10_000}]}),
        }
    }
}

/// The SessionStart entry that puts the masquerade folder into PATH.
fn session_group(rch: &str) -> Value {
    json!({"hooks": [{"type": "command", "command": rch, "args": ["hook", "session-start"], "timeout": 10}]})
}

/// What to do to a settings file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit {
    Install { masquerade: bool },
    Uninstall,
}

/// Edits `settings` in memory.
///
/// # Errors
/// A part that is not of the shape the agent documents.
pub fn edit(settings: &mut Value, agent: Agent, rch: &str, edit: Edit) -> Result<()> {
    let shape = |what: &str| {
        Error::new(format!("'{what}' is not of the expected shape"))
            .hint("mend it, or move it away")
    };
    let root = settings
        .as_object_mut()
        .ok_or_else(|| Error::new("not a JSON object").hint("mend it, or move it away"))?;
    let wanted = match edit {
        Edit::Install { masquerade: true } => Some(("SessionStart", session_group(rch))),
        Edit::Install { masquerade: false } => Some((agent.event(), agent.group(rch))),
        Edit::Uninstall => None,
    };
    if wanted.is_none() && !root.contains_key("hooks") {
        return Ok(());
    }
    let hooks = root
        .entry("hooks")
        .or_insert_with(|| Value::Object(Map::new()));
    let hooks = hooks.as_object_mut().ok_or_else(|| shape("hooks"))?;
    if let Some((event, group)) = wanted {
        let list = hooks.entry(event).or_insert_with(|| json!([]));
        let list = list.as_array_mut().ok_or_else(|| shape(event))?;
        if !list.iter().any(|g| has_own(g, rch)) {
            list.push(group);
        }
        return Ok(());
    }
    for event in [agent.event(), "SessionStart"] {
        if let Some(list) = hooks.get_mut(event).and_then(Value::as_array_mut) {
            remove_own(list, rch);
            if list.is_empty() {
                hooks.shift_remove(event);
            }
        }
    }
    if hooks.is_empty() {
        root.shift_remove("hooks");
    }
    Ok(())
}

fn is_own(hook: &Value, rch: &str) -> bool {
    let command = hook.get("command").and_then(Value::as_str);
    command.is_some_and(|c| c == rch || c == quoted(rch))
}

fn has_own(group: &Value, rch: &str) -> bool {
    let hooks = group.get("hooks").and_then(Value::as_array);
    hooks.is_some_and(|h| h.iter().any(|h| is_own(h, rch)))
}

/// Takes our hooks out of every group, and groups that held nothing else.
fn remove_own(groups: &mut Vec<Value>, rch: &str) {
    groups.retain_mut(|group| {
        let Some(hooks) = group.get_mut("hooks").and_then(Value::as_array_mut) else {
            return true;
        };
        let before = hooks.len();
        hooks.retain(|h| !is_own(h, rch));
        before == hooks.len() || !hooks.is_empty()
    });
}

/// Whether our entry is in `settings`, and other hooks that see the same commands.
pub fn look(settings: &Value, agent: Agent, rch: &str) -> (bool, Vec<String>) {
    let groups = settings
        .pointer(&format!("/hooks/{}", agent.event()))
        .and_then(Value::as_array);
    let hooks = groups
        .into_iter()
        .flatten()
        .filter_map(|g| g.get("hooks").and_then(Value::as_array))
        .flatten();
    let (own, others): (Vec<_>, Vec<_>) = hooks.partition(|h| is_own(h, rch));
    let command = |h: &&Value| h.get("command").and_then(Value::as_str).map(str::to_owned);
    (!own.is_empty(), others.iter().filter_map(command).collect())
}

/// Whether `settings` have our entry that puts the masquerade folder into PATH.
pub fn masks(settings: &Value, rch: &str) -> bool {
    let groups = settings.pointer("/hooks/SessionStart");
    let mut groups = groups.and_then(Value::as_array).into_iter().flatten();
    groups.any(|group| has_own(group, rch))
}

/// A settings file's bytes and value; an absent or empty one is an empty object.
///
/// # Errors
/// It cannot be read, or is not JSON.
pub fn load(file: &Path) -> Result<(Option<Vec<u8>>, Value)> {
    let bytes = match std::fs::read(file) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok((None, json!({}))),
        Err(e) => return Err(Error::path("read", file, &e)),
    };
    if bytes.trim_ascii().is_empty() {
        return Ok((Some(bytes), json!({})));
    }
    let value = serde_json::from_slice(&bytes).map_err(|e| {
        Error::new(format!(
            "{}:{}:{}: not valid JSON",
            file.display(),
            e.line(),
            e.column()
        ))
        .hint("the file has not been touched; mend it and try again")
    })?;
    Ok((Some(bytes), value))
}

/// An edit of one agent's file.
struct Change<'a> {
    agent: Agent,
    rch: &'a str,
    what: Edit,
}

/// What becomes of a file.
enum Next {
    Changed(String),
    /// It is what it was before us, and its backup goes.
    Restored(Vec<u8>),
    /// Before us there was none.
    Gone,
}

impl Change<'_> {
    fn apply(&self, value: &mut Value) -> Result<()> {
        edit(value, self.agent, self.rch, self.what)
    }

    /// Whether anything of ours is in a file.
    fn has_own(&self, value: &Value) -> bool {
        let groups = |event| {
            value
                .pointer(&format!("/hooks/{event}"))
                .and_then(Value::as_array)
        };
        [self.agent.event(), "SessionStart"]
            .into_iter()
            .filter_map(groups)
            .flatten()
            .any(|group| has_own(group, self.rch))
    }

    /// Whether `now` is what installing, in one of its ways, made of a file.
    fn is_installed(&self, was: &[u8], old: &Value, now: Option<&[u8]>) -> bool {
        let ways: [&[bool]; 4] = [&[false], &[true], &[false, true], &[true, false]];
        let made = |way: &&[bool]| -> Option<String> {
            let (mut text, mut value) = (String::from_utf8_lossy(was).into_owned(), old.clone());
            for masquerade in *way {
                let what = Edit::Install {
                    masquerade: *masquerade,
                };
                edit(&mut value, self.agent, self.rch, what).ok()?;
                text = splice::toward(&text, &value);
            }
            Some(text)
        };
        let mut made = ways.iter().filter_map(made);
        made.any(|text| Some(text.as_bytes()) == now)
    }

    /// How a file gets from `before` to `value`.
    fn next(&self, file: &Path, before: Option<&[u8]>, value: &Value) -> Next {
        if self.what == Edit::Uninstall {
            match load(&backup(file)) {
                Ok((Some(was), old))
                    if !self.has_own(&old) && self.is_installed(&was, &old, before) =>
                {
                    return Next::Restored(was);
                }
                Ok((None, _)) if *value == json!({}) => return Next::Gone,
                _ => {}
            }
        }
        let text = String::from_utf8_lossy(before.unwrap_or(b""));
        Next::Changed(splice::toward(&text, value))
    }
}

/// What a file was before our entry came.
fn backup(file: &Path) -> PathBuf {
    beside(file, ".rch-backup")
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_os_string();
    name.push(suffix);
    PathBuf::from(name)
}

/// Edits the file. Answers whether anything changed.
///
/// # Errors
/// The file cannot be read, understood or written; then it is as it was.
pub fn change(file: &Path, agent: Agent, rch: &str, what: Edit) -> Result<bool> {
    let target = match std::fs::canonicalize(file) {
        Ok(target) => target,
        Err(_) if file.is_symlink() => {
            return Err(Error::new(format!(
                "'{}' is a link that leads nowhere",
                file.display()
            )));
        }
        Err(_) => file.to_path_buf(),
    };
    let named = |e: Error| {
        let err = Error::new(format!("{}: {}", file.display(), e.text()));
        e.remedy().map_or(err.clone(), |hint| err.hint(hint))
    };
    let change = Change { agent, rch, what };
    rewrite(&target, &change, |value| change.apply(value).map_err(named))
}

/// Reads, edits, writes; begins anew when somebody else has written between.
fn rewrite(
    file: &Path,
    change: &Change,
    mut edit: impl FnMut(&mut Value) -> Result<()>,
) -> Result<bool> {
    for _ in 0..5 {
        let (before, mut value) = load(file)?;
        let old = value.clone();
        edit(&mut value)?;
        if old == value {
            return Ok(false);
        }
        let next = change.next(file, before.as_deref(), &value);
        let first = !change.has_own(&old);
        if replace(file, before.as_deref(), &next, first)? {
            return Ok(true);
        }
    }
    Err(Error::new(format!("'{}' keeps changing", file.display()))
        .hint("close the agent and try again"))
}

/// Writes a file that nobody may read who may not read the one it stands for, not even while it is written.
fn write_as(path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<()> {
    if let Err(e) = std::fs::remove_file(path)
        && e.kind() != ErrorKind::NotFound
    {
        return Err(e);
    }
    let mut options = std::fs::File::options();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.set_permissions(std::fs::Permissions::from_mode(mode))?;
    file.sync_all()
}

/// Puts `next` in the place of `before`, which is kept if our entry is the `first`; false if the file
/// is no longer that.
fn replace(file: &Path, before: Option<&[u8]>, next: &Next, first: bool) -> Result<bool> {
    let dir = file.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(dir).map_err(|e| Error::path("create", dir, &e))?;
    let mut mode = 0o600;
    if let Some(before) = before {
        let meta = match std::fs::metadata(file) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(false),
            meta => meta.map_err(|e| Error::path("read", file, &e))?,
        };
        mode = meta.permissions().mode() & 0o777;
        if mode & 0o200 == 0 {
            return Err(
                Error::new(format!("'{}' is read-only", file.display())).hint("chmod u+w it first")
            );
        }
        if first {
            let backup = backup(file);
            write_as(&backup, before, mode).map_err(|e| Error::path("write", &backup, &e))?;
        }
    }
    let text = match next {
        Next::Changed(text) => text.as_bytes(),
        Next::Restored(bytes) => bytes,
        Next::Gone => b"",
    };
    let new = beside(file, &format!(".rch-new.{}", std::process::id()));
    let written = write_as(&new, text, mode);
    if let Err(e) = written {
        let _ = std::fs::remove_file(&new);
        return Err(Error::path("write", &new, &e));
    }
    // Somebody may have written it since we read it.
    if std::fs::read(file).ok().as_deref() != before {
        let _ = std::fs::remove_file(&new);
        return Ok(false);
    }
    settle(file, &new, next).map_err(|e| Error::path("replace", file, &e))?;
    Ok(true)
}

/// The last step: `new` has what is to stand in `file`.
fn settle(file: &Path, new: &Path, next: &Next) -> std::io::Result<()> {
    if matches!(next, Next::Gone) {
        std::fs::remove_file(new)?;
        std::fs::remove_file(file)?;
        // A folder that we made for it; one that holds anything else is refused.
        let _ = file.parent().map(std::fs::remove_dir);
        return Ok(());
    }
    std::fs::rename(new, file)?;
    if matches!(next, Next::Restored(_)) {
        // Its text is in the file now.
        let _ = std::fs::remove_file(backup(file));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    const RCH: &str = "/opt/rch";
    const INSTALL: Edit = Edit::Install { masquerade: false };

    const CHANGE: Change = Change {
        agent: Agent::Claude,
        rch: RCH,
        what: INSTALL,
    };

    fn ours(value: &mut Value) -> Result<()> {
        CHANGE.apply(value)
    }

    /// The agent itself writes its settings, and may do so between our reading and our renaming.
    #[test]
    fn an_edit_in_between_is_not_lost() {
        let at = Scratch::new();
        let file = at.file("settings.json", r#"{"model":"a"}"#);
        let mut tries = 0;
        let changed = rewrite(&file, &CHANGE, |value| {
            tries += 1;
            if tries == 1 {
                std::fs::write(&file, r#"{"model":"b","theirs":1}"#).unwrap();
            }
            ours(value)
        });
        assert!(changed.unwrap());
        let (_, value) = load(&file).unwrap();
        assert_eq!(
            (tries, &value["model"], &value["theirs"]),
            (2, &json!("b"), &json!(1))
        );
        assert!(look(&value, Agent::Claude, RCH).0);
    }

    #[test]
    fn a_file_that_appears_or_goes_in_between_is_read_again() {
        let at = Scratch::new();
        let file = at.0.join("settings.json");
        let mut tries = 0;
        let changed = rewrite(&file, &CHANGE, |value| {
            tries += 1;
            match tries {
                1 => std::fs::write(&file, r#"{"theirs":1}"#).unwrap(),
                2 => std::fs::remove_file(&file).unwrap(),
                _ => {}
            }
            ours(value)
        });
        assert!(changed.unwrap());
        let (_, value) = load(&file).unwrap();
        assert_eq!(tries, 3);
        assert!(value["theirs"].is_null() && look(&value, Agent::Claude, RCH).0);
    }

    #[test]
    fn a_file_that_keeps_changing_is_left_alone() {
        let at = Scratch::new();
        let file = at.file("settings.json", "{}");
        let mut tries = 0;
        let changed = rewrite(&file, &CHANGE, |value| {
            tries += 1;
            std::fs::write(&file, format!(r#"{{"n":{tries}}}"#)).unwrap();
            ours(value)
        });
        assert!(changed.unwrap_err().text().ends_with("keeps changing"));
        assert_eq!(
            std::fs::read_to_string(&file).unwrap(),
            format!(r#"{{"n":{tries}}}"#)
        );
        let left: Vec<_> = std::fs::read_dir(&at.0)
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .filter(|n| n.to_string_lossy().contains("rch-new"))
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}
