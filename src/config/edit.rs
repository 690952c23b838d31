//! Changing a configuration file as a careful person would: comments, order and everything else
//! stay, the new file is complete before it takes the old one's place, and a link stays a link.
//!
//! A file that cannot be parsed is not touched. The result is parsed again before it is written: an
//! edit that would break the file is a bug here, not in the file.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, value};

use super::keys::{KEYS, Key, SECTIONS};
use super::{Complaint, Value, file};
use crate::error::{Error, Result};

const LEFT_ALONE: &str = "correct the file first; it was left as it is";

/// Sets one key of a config.toml, making the file if there is none. A commented-out default is
/// replaced where it stands.
///
/// # Errors
/// If the file cannot be read, parsed or written.
pub fn set(path: &Path, key: &Key, new: &Value) -> Result<()> {
    let text = current(path)?;
    let text = uncomment(&text, key);
    let mut document = parse(path, &text)?;
    let table = section(&mut document, key.section)?;
    match table.get_mut(key.name).and_then(Item::as_value_mut) {
        Some(old) => {
            let decor = old.decor().clone();
            *old = new.toml();
            *old.decor_mut() = decor;
        }
        None => {
            table.insert(key.name, value(new.toml()));
        }
    }
    replace(path, &document.to_string())
}

/// Takes one key out of a config.toml, with its line; false if it is not there. In a file that `init`
/// made the line becomes the commented-out default that it was.
///
/// # Errors
/// If the file cannot be read, parsed or written, or the key shares its line.
pub fn unset(path: &Path, key: &Key) -> Result<bool> {
    let text = current(path)?;
    let places = file::Places { path, text: &text };
    let document = places
        .parse()
        .map_err(|c| Error::new(c.text).hint(LEFT_ALONE))?;
    let section = document.get(key.section).and_then(Item::as_table_like);
    let found = section.and_then(|s| s.get_key_value(key.name));
    // 'enabled = false' above all sections.
    let bare = || {
        document
            .get_key_value(key.name)
            .filter(|_| key.is("general.enabled"))
    };
    let Some((name, item)) = found.or_else(bare) else {
        return Ok(false);
    };
    let span = name.span().zip(item.span());
    let lines = span.and_then(|(name, item)| lines_of(&text, name.start, item.end));
    let Some((before, after)) = lines else {
        let text = format!("'{}' does not stand on lines of its own", key.path());
        return Err(Error::new(text).hint("edit the file by hand"));
    };
    let explained = before.ends_with(&explanation(key));
    let line = if explained {
        commented(key)
    } else {
        String::new()
    };
    replace(path, &format!("{before}{line}{after}"))?;
    Ok(true)
}

/// What stands before and behind the lines that hold `start..end` and nothing else but a comment.
fn lines_of(text: &str, start: usize, end: usize) -> Option<(&str, &str)> {
    let (before, after) = (text.get(..start)?, text.get(end..)?);
    let (above, indent) = before.split_at(before.rfind('\n').map_or(0, |at| at.saturating_add(1)));
    let (rest, below) = after.split_at(
        after
            .find('\n')
            .map_or(after.len(), |at| at.saturating_add(1)),
    );
    let rest = rest.trim();
    let alone = indent.trim().is_empty() && (rest.is_empty() || rest.starts_with('#'));
    alone.then_some((above, below))
}

fn section<'a>(document: &'a mut DocumentMut, name: &str) -> Result<&'a mut Table> {
    let item = document
        .entry(name)
        .or_insert_with(|| Item::Table(Table::new()));
    item.as_table_mut().ok_or_else(|| {
        Error::new(format!("'{name}' is not written as a table [{name}]"))
            .hint("edit the file by hand")
    })
}

/// Turns `# key = …` below the key's section into `key = …`, so that a value set by command lands
/// beside its own explanation in a file that `init` made.
fn uncomment(text: &str, key: &Key) -> String {
    let mut inside = false;
    let mut done = false;
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim();
        if trimmed.starts_with('[') {
            inside = trimmed == format!("[{}]", key.section);
        }
        if inside && !done && assigns(trimmed, key.name) {
            return text.to_string();
        }
        match trimmed.strip_prefix("# ") {
            Some(rest) if inside && !done && assigns(rest, key.name) => {
                done = true;
                out.push_str(rest);
                out.push('\n');
            }
            _ => out.push_str(line),
        }
    }
    // A comment that only looked like a setting must not break the file.
    if done && out.parse::<DocumentMut>().is_ok() {
        out
    } else {
        text.to_string()
    }
}

fn assigns(line: &str, name: &str) -> bool {
    line.strip_prefix(name)
        .is_some_and(|rest| rest.trim_start().starts_with('='))
}

/// A worker to be added, as text for each key in `WORKER_KEYS` that is set.
pub type NewWorker = Vec<(&'static str, Value)>;

/// Why a worker was not added.
#[derive(Debug)]
pub enum NotAdded {
    /// The file is wrong already, or cannot be changed.
    File(Error),
    /// The file would be wrong with it.
    Worker(Error),
}

/// Appends a `[[workers]]` table; the result is checked as a whole before it is written.
///
/// # Errors
/// By what is at fault; then the file is as it was.
pub fn add_worker(path: &Path, worker: &NewWorker) -> std::result::Result<(), NotAdded> {
    let text = current(path).map_err(NotAdded::File)?;
    let mut document = parse(path, &text).map_err(NotAdded::File)?;
    let mut table = Table::new();
    for (name, new) in worker {
        table.insert(name, value(new.toml()));
    }
    let tables = workers(&mut document).map_err(NotAdded::File)?;
    tables.push(table);
    if let Some(fault) = fault(path, &text) {
        return Err(NotAdded::File(error(fault.parts().0, &fault)));
    }
    let text = document.to_string();
    // Its place is in a file that nobody has seen.
    if let Some(fault) = fault(path, &text) {
        return Err(NotAdded::Worker(error(fault.bare(), &fault)));
    }
    replace(path, &text).map_err(NotAdded::File)
}

/// Takes a worker out. A file in which nothing is left then goes as well.
///
/// # Errors
/// If there is no such worker, or the file cannot be parsed or written.
pub fn remove_worker(path: &Path, id: &str) -> Result<()> {
    let mut document = parse(path, &current(path)?)?;
    let tables = workers(&mut document)?;
    let at = tables
        .iter()
        .position(|t| t.get("id").and_then(Item::as_str) == Some(id))
        .ok_or_else(|| Error::new(format!("no worker '{id}' in '{}'", path.display())))?;
    let header = header(tables, at);
    tables.remove(at);
    if tables.is_empty() {
        document.remove("workers");
    }
    keep(&mut document, at, &header);
    let text = document.to_string();
    if text.trim().is_empty() && !path.is_symlink() {
        return fs::remove_file(path).map_err(|e| Error::path("remove", path, &e));
    }
    replace(path, &text)
}

/// What stands above a worker's own comment, set off by an empty line: it is about the file.
fn header(tables: &ArrayOfTables, at: usize) -> String {
    let above = tables.get(at).and_then(|t| t.decor().prefix()?.as_str());
    match above.and_then(|text| text.rsplit_once("\n\n")) {
        Some((header, _)) if !header.trim().is_empty() => format!("{header}\n\n"),
        _ => String::new(),
    }
}

/// Puts `header` above what now stands at `at`, or at the end.
fn keep(document: &mut DocumentMut, at: usize, header: &str) {
    let tables = document
        .get_mut("workers")
        .and_then(Item::as_array_of_tables_mut);
    match tables.and_then(|t| t.get_mut(at)) {
        Some(next) => {
            let own = next
                .decor()
                .prefix()
                .and_then(|p| p.as_str())
                .unwrap_or_default();
            let own = format!("{header}{}", own.trim_start_matches('\n'));
            next.decor_mut().set_prefix(own);
        }
        None => {
            let own = document.trailing().as_str().unwrap_or_default();
            document.set_trailing(format!("{header}{own}"));
        }
    }
}

fn workers(document: &mut DocumentMut) -> Result<&mut ArrayOfTables> {
    document
        .entry("workers")
        .or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()))
        .as_array_of_tables_mut()
        .ok_or_else(|| {
            Error::new("'workers' is not written as [[workers]] tables")
                .hint("edit the file by hand")
        })
}

/// The first thing that makes a fleet unusable.
fn fault(path: &Path, text: &str) -> Option<Complaint> {
    super::workers::parse(path, text).errors.into_iter().next()
}

fn error(text: &str, fault: &Complaint) -> Error {
    match fault.parts().1 {
        Some(hint) => Error::new(text).hint(hint),
        None => Error::new(text),
    }
}

fn current(path: &Path) -> Result<String> {
    let text = file::text(path).map_err(|c| Error::new(c.text))?;
    Ok(text.unwrap_or_default())
}

fn parse(path: &Path, text: &str) -> Result<DocumentMut> {
    file::Places { path, text }
        .parse()
        .map(|document| document.into_mut())
        .map_err(|c| Error::new(c.text).hint(LEFT_ALONE))
}

/// Writes a file as a whole or not at all: a temporary file in the same directory, then a rename.
/// A symbolic link keeps pointing where it did; an existing file keeps its mode.
///
/// # Errors
/// If any step fails; then the old file stands and no temporary one is left.
pub fn replace(path: &Path, text: &str) -> Result<()> {
    let target = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let dir = target.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(dir).map_err(|e| Error::path("create", dir, &e))?;
    let temporary = temporary(&target);
    let written = fs::File::create_new(&temporary).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        if let Ok(meta) = target.metadata() {
            file.set_permissions(meta.permissions())?;
        }
        file.sync_all()?;
        fs::rename(&temporary, &target)
    });
    written.map_err(|e| {
        let _ = fs::remove_file(&temporary);
        Error::path("write", path, &e)
    })
}

fn temporary(target: &Path) -> PathBuf {
    let mut name = target.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.tmp", std::process::id()));
    target.with_file_name(name)
}

/// The text of a new config.toml: every key commented out at its default, with what it means.
pub fn template() -> String {
    let mut out = String::from(
        "# Settings of rch; rch-config(5) explains them. Every line that is commented out shows a default.\n",
    );
    for (section, doc) in SECTIONS {
        out.push_str(&format!("\n# {doc}.\n[{section}]\n"));
        for key in KEYS.iter().filter(|k| k.section == *section) {
            out.push('\n');
            out.push_str(&explanation(key));
            out.push_str(&commented(key));
        }
    }
    out
}

/// The line above a key, in a file that `init` made.
fn explanation(key: &Key) -> String {
    format!("# {}: {}.\n", key.doc, key.kind.expects())
}

/// The line of a key that is at its default there.
fn commented(key: &Key) -> String {
    format!("# {} = {}\n", key.name, key.kind.default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys::Scope;

    fn place(name: &str, text: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("rch-edit-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("c.toml"), text).unwrap();
        dir.join("c.toml")
    }

    fn after(path: &Path, key: &str, text: &str) -> String {
        let key = Key::find(key).unwrap();
        set(path, key, &key.kind.parse(text).unwrap()).unwrap();
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn set_keeps_comments_and_order() {
        let path = place(
            "keep",
            "# mine\n[transfer] # t\ncompression_level = 3 # fast\n\n[general]\nenabled = true\n",
        );
        assert_eq!(
            after(&path, "transfer.compression_level", "9"),
            "# mine\n[transfer] # t\ncompression_level = 9 # fast\n\n[general]\nenabled = true\n"
        );
        assert!(after(&path, "hook.mode", "inline").ends_with("\n[hook]\nmode = \"inline\"\n"));
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

    #[test]
    fn the_template_is_valid_and_set_fills_it_in_place() {
        let text = template();
        let (settings, complaints) = file::read(Path::new("/c"), &text, Scope::UserOnly);
        assert!(settings.is_empty() && complaints.is_empty());
        let path = place("template", &text);
        let now = after(&path, "compilation.test_slots", "16");
        let changed: Vec<_> = text
            .lines()
            .zip(now.lines())
            .filter(|(a, b)| a != b)
            .collect();
        assert_eq!(changed, [("# test_slots = 8", "test_slots = 16")]);
        // With every line uncommented it is the default configuration.
        let bare: String = text.lines().map(uncommented).collect();
        let (settings, complaints) = file::read(Path::new("/c"), &bare, Scope::UserOnly);
        assert_eq!((settings.len(), complaints.len()), (KEYS.len(), 0));
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

    #[test]
    fn unset_undoes_set_and_nothing_else() {
        let without = |path: &Path, key: &str| {
            let gone = unset(path, Key::find(key).unwrap());
            (gone, fs::read_to_string(path).unwrap())
        };
        let (text, key) = (template(), "transfer.exclude_patterns");
        let path = place("unset", &text);
        assert_eq!(without(&path, key), (Ok(false), text.clone()));
        after(&path, key, "*.{o,a},b");
        assert_eq!(without(&path, key), (Ok(true), text));
        fs::write(
            &path,
            "# mine\n[general]\n# about it\n  enabled = true # why\n# more\n[transfer]\nexclude_patterns = [\n  \"a\",\n]",
        )
        .unwrap();
        let (gone, text) = without(&path, "general.enabled");
        assert_eq!(gone, Ok(true));
        assert!(text.starts_with("# mine\n[general]\n# about it\n# more\n[transfer]\n"));
        let (gone, text) = without(&path, key);
        assert_eq!(gone, Ok(true));
        assert!(text.ends_with("# more\n[transfer]\n"), "{text}");
        fs::write(&path, "enabled = false\n[hook]\n").unwrap();
        let bare = without(&path, "general.enabled");
        assert_eq!(bare, (Ok(true), "[hook]\n".into()));
        for shared in ["general = { enabled = true }\n", "general.enabled = true\n"] {
            fs::write(&path, shared).unwrap();
            let (gone, text) = without(&path, "general.enabled");
            assert!(gone.is_err() && text == shared, "{gone:?}");
        }
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

    fn uncommented(line: &str) -> String {
        let name = |rest: &str| KEYS.iter().any(|k| assigns(rest, k.name));
        match line.strip_prefix("# ") {
            Some(rest) if name(rest) => format!("{rest}\n"),
            _ => format!("{line}\n"),
        }
    }

    #[test]
    fn a_broken_file_is_left_alone() {
        let path = place("broken", "[general\n");
        let key = Key::find("general.enabled").unwrap();
        assert!(set(&path, key, &Value::Bool(false)).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "[general\n");
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

    #[test]
    fn workers_come_and_go_beside_comments() {
        let start = "# the fleet\n[[workers]]\nid = \"a\" # first\nhost = \"h\"\n";
        let path = place("workers", start);
        let new = vec![
            ("id", Value::Text("b".into())),
            ("host", Value::Text("i".into())),
        ];
        add_worker(&path, &new).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(
            text,
            format!("{start}\n[[workers]]\nid = \"b\"\nhost = \"i\"\n")
        );
        let twice = add_worker(&path, &new).unwrap_err();
        let said = "worker 'b' is there twice";
        assert!(matches!(twice, NotAdded::Worker(e) if e.text() == said));
        remove_worker(&path, "b").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), start);
        assert!(remove_worker(&path, "b").is_err());
        // The comment was the worker's, so nothing is left.
        remove_worker(&path, "a").unwrap();
        assert!(!path.exists());
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

    #[test]
    fn a_files_own_comment_outlives_its_workers() {
        let (head, worker) = ("# the fleet\n\n", |id: &str| {
            format!("# {id}\n[[workers]]\nid = \"{id}\"\nhost = \"h\"\n")
        });
        let path = place("head", &format!("{head}{}\n{}", worker("a"), worker("b")));
        remove_worker(&path, "a").unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, format!("{head}{}", worker("b")));
        remove_worker(&path, "b").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), head);
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

    #[test]
    fn a_link_stays_a_link() {
        let path = place("link", "");
        let link = path.with_file_name("l.toml");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        after(&link, "general.enabled", "no");
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "[general]\nenabled = false\n"
        );
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }
}
