//! One configuration file: from text to settings with their lines, and complaints with positions.
//!
//! Whatever a file holds, reading it succeeds: a syntax error makes it count as absent, a wrong
//! value leaves that key to the next file. Only `rch config validate` turns complaints into
//! failure.

use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;

use toml_edit::{Document, Item, Key as TomlKey, TableLike};

use super::keys::{KEYS, Key, SECTIONS, Scope};
use super::{Complaint, Value};
use crate::error::cause;
use crate::nearest::nearest;

/// A configuration file longer than this is something else by mistake.
const MAX_FILE: u64 = 1 << 20;

/// A key's value in a file.
#[derive(Clone)]
pub struct Setting {
    pub key: &'static Key,
    pub value: Value,
    /// Counted from 1.
    pub line: usize,
}

/// A file's text; `None` if there is no such file.
///
/// # Errors
/// A complaint if there is one but it cannot be read.
pub fn text(path: &Path) -> Result<Option<String>, Complaint> {
    // Without a home there are no files of the user's: the working directory must not stand in for it.
    if !path.is_absolute() {
        return Ok(None);
    }
    let read = || {
        let mut text = String::new();
        let file = std::fs::File::open(path)?;
        file.take(MAX_FILE + 1).read_to_string(&mut text)?;
        io::Result::Ok(text)
    };
    let fail = |why: &str| {
        Err(Complaint::new(format!(
            "cannot read '{}': {why}",
            path.display()
        )))
    };
    match read() {
        Ok(text) if text.len() as u64 > MAX_FILE => fail("more than 1 MB long"),
        Ok(text) => Ok(Some(text)),
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(e) if e.kind() == io::ErrorKind::InvalidData => fail("not UTF-8 text"),
        Err(e) => fail(&cause(&e)),
    }
}

/// Makes complaints about places in one file.
#[derive(Clone, Copy)]
pub struct Places<'a> {
    pub path: &'a Path,
    pub text: &'a str,
}

impl Places<'_> {
    /// Line and column of a byte offset, counted from 1, columns in characters.
    pub fn at(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let lines = before.matches('\n').count();
        let last = before.rsplit('\n').next().unwrap_or(before);
        (
            lines.saturating_add(1),
            last.chars().count().saturating_add(1),
        )
    }

    /// `path:line:column: text`, with a remedy on a line of its own.
    pub fn complain(
        &self,
        span: Option<Range<usize>>,
        text: &str,
        hint: Option<&str>,
    ) -> Complaint {
        let (line, column) = self.at(span.map_or(0, |s| s.start));
        let mut all = format!("{}:{line}:{column}: {text}", self.path.display());
        if let Some(hint) = hint {
            all.push_str("\nhint: ");
            all.push_str(hint);
        }
        Complaint::new(all)
    }

    /// # Errors
    /// The syntax error, as a complaint.
    pub fn parse(&self) -> Result<Document<String>, Complaint> {
        Document::parse(self.text.to_string()).map_err(|e| {
            let first = e.message().lines().next().unwrap_or("not TOML");
            let text = first.trim().replace('`', "'");
            self.complain(e.span(), &text, None)
        })
    }
}

/// Reads `text` as a file of the given kind: `Scope::Anywhere` for a project's, `UserOnly` for the
/// user's own.
pub fn read(path: &Path, text: &str, from: Scope) -> (Vec<Setting>, Vec<Complaint>) {
    let places = Places { path, text };
    let mut found = Found {
        places,
        from,
        settings: vec![],
        complaints: vec![],
    };
    match places.parse() {
        Ok(document) => found.root(document.as_table()),
        Err(complaint) => found.complaints.push(complaint),
    }
    (found.settings, found.complaints)
}

struct Found<'a> {
    places: Places<'a>,
    from: Scope,
    settings: Vec<Setting>,
    complaints: Vec<Complaint>,
}

impl Found<'_> {
    fn root(&mut self, table: &dyn TableLike) {
        for (name, item) in table.iter() {
            let key = table.key(name);
            let known = SECTIONS.iter().any(|(section, _)| *section == name);
            match item.as_table_like() {
                Some(inner) if known => self.section(name, inner),
                _ if name == "enabled" => self.value("general", name, key, item),
                _ => self.unknown_section(name, key, known, item),
            }
        }
    }

    fn section(&mut self, section: &str, table: &dyn TableLike) {
        for (name, item) in table.iter() {
            self.value(section, name, table.key(name), item);
        }
    }

    fn value(&mut self, section: &str, name: &str, at: Option<&TomlKey>, item: &Item) {
        let Some(key) = KEYS.iter().find(|k| (k.section, k.name) == (section, name)) else {
            return self.unknown_key(section, name, at);
        };
        let span = at.and_then(TomlKey::span);
        if key.scope == Scope::UserOnly && self.from == Scope::Anywhere {
            let text = format!("'{}' cannot be set by a project", key.path());
            return self.complain(span, &text, Some("set it in the user's own config.toml"));
        }
        match key.kind.read(item) {
            Ok(value) => self.settings.push(Setting {
                key,
                value,
                line: self.places.at(span.map_or(0, |s| s.start)).0,
            }),
            Err(why) => {
                let text = format!("bad value for '{}': {why}", key.path());
                self.complain(item.span().or(span), &text, None);
            }
        }
    }

    fn unknown_key(&mut self, section: &str, name: &str, at: Option<&TomlKey>) {
        let here = KEYS.iter().filter(|k| k.section == section).map(|k| k.name);
        let elsewhere = KEYS.iter().find(|k| k.name == name);
        let hint = match (nearest(name, here), elsewhere) {
            (_, Some(key)) => Some(format!("'{name}' belongs in [{}]", key.section)),
            (Some(near), None) => Some(format!("did you mean '{near}'?")),
            (None, None) => Some("'rch config show' lists the keys".into()),
        };
        let text = format!("unknown key '{section}.{name}'");
        self.unknown(at.and_then(TomlKey::span), &text, hint.as_deref());
    }

    fn unknown_section(&mut self, name: &str, at: Option<&TomlKey>, known: bool, item: &Item) {
        let sections = SECTIONS.iter().map(|(section, _)| *section);
        let owner = KEYS.iter().find(|k| k.name == name);
        let (text, hint) = match (known, item.is_table_like(), owner) {
            (true, _, _) => (
                format!("'{name}' is a section, not a key"),
                Some(format!("write [{name}] on a line of its own")),
            ),
            (_, true, _) => (
                format!("unknown section '{name}'"),
                nearest(name, sections).map(|near| format!("did you mean [{near}]?")),
            ),
            (_, false, Some(key)) => (
                format!("unknown key '{name}'"),
                Some(format!("'{name}' belongs in [{}]", key.section)),
            ),
            (_, false, None) => (
                format!("unknown key '{name}'"),
                nearest(name, KEYS.iter().map(|k| k.name))
                    .and_then(|near| KEYS.iter().find(|k| k.name == near))
                    .map(|key| format!("did you mean '{}' in [{}]?", key.name, key.section))
                    .or(Some("'rch config show' lists the keys".into())),
            ),
        };
        // A table written by its header has no key span of its own worth pointing at in some
        // positions; the item's is as good.
        let span = at.and_then(TomlKey::span).or(item.span());
        match known {
            true => self.complain(span, &text, hint.as_deref()),
            false => self.unknown(span, &text, hint.as_deref()),
        }
    }

    /// A name that nobody knows.
    fn unknown(&mut self, span: Option<Range<usize>>, text: &str, hint: Option<&str>) {
        let complaint = self.places.complain(span, text, hint);
        self.complaints.push(Complaint {
            harmless: true,
            ..complaint
        });
    }

    fn complain(&mut self, span: Option<Range<usize>>, text: &str, hint: Option<&str>) {
        self.complaints.push(self.places.complain(span, text, hint));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(text: &str, from: Scope) -> Vec<String> {
        let (_, complaints) = read(Path::new("/c.toml"), text, from);
        complaints.into_iter().map(|c| c.text).collect()
    }

    /// With a relative home, what lies in the working directory was read as the user's own.
    #[test]
    fn no_file_is_looked_for_where_the_process_happens_to_be() {
        assert_eq!(text(Path::new("Cargo.toml")), Ok(None));
        let here = std::env::current_dir().unwrap().join("Cargo.toml");
        assert!(text(&here).unwrap().is_some());
    }

    #[test]
    fn every_mistake_is_placed_and_has_its_remedy() {
        let cases = [
            (
                "[general]\nenabeld = true\n",
                "/c.toml:2:1: unknown key 'general.enabeld'\nhint: did you mean 'enabled'?",
            ),
            (
                "\n[genral]\n",
                "/c.toml:2:2: unknown section 'genral'\nhint: did you mean [general]?",
            ),
            (
                "force_local = true\n",
                "/c.toml:1:1: unknown key 'force_local'\nhint: 'force_local' belongs in [general]",
            ),
            (
                "[hook]\nforce_local = true\n",
                "/c.toml:2:1: unknown key 'hook.force_local'\nhint: 'force_local' belongs in [general]",
            ),
            (
                "[hook]\nmode = \"both\"\n",
                "/c.toml:2:8: bad value for 'hook.mode': expected \"rewrite\" or \"inline\", found 'both'",
            ),
            (
                "[compilation]\n  build_slots = \"four\"\n",
                "/c.toml:2:17: bad value for 'compilation.build_slots': expected an integer from 1 to 4096, found a string",
            ),
            (
                "hook = 3\n",
                "/c.toml:1:1: 'hook' is a section, not a key\nhint: write [hook] on a line of its own",
            ),
            (
                "xyzzy = 1\n",
                "/c.toml:1:1: unknown key 'xyzzy'\nhint: 'rch config show' lists the keys",
            ),
        ];
        for (text, complaint) in cases {
            assert_eq!(complaints(text, Scope::UserOnly), [complaint], "{text}");
        }
    }

    #[test]
    fn syntax_errors_are_placed() {
        let found = complaints("[general]\nenabled = \n", Scope::UserOnly);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("/c.toml:2:1"), "{found:?}");
    }

    /// A file is a stranger's as soon as the project is: cut, doubled and bent in ten thousand ways it
    /// must yield settings or complaints, each with a place inside the file.
    #[test]
    fn no_bytes_bring_the_reader_down() {
        let base = "enabled = true\n[general]\nlocal_slots = 3 # é\n[transfer]\nroot = 'cwd'\nexclude_patterns = [\"a\", 'b']\n\
                    [[workers]]\nid = \"x\"\nhost = \"h\"\nport = 22\n[hook]\nmode = \"rewrite\"\n";
        let odd = [
            "[", "]]", "\"", "'''", "=", "\n", "{", "\u{1b}", "é", "9e9", "-", ".", "#", "\\u",
        ];
        let mut seed = 0x2545_f491_4f6c_dd1d_u64;
        let mut random = move |below: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed % below as u64) as usize
        };
        for _ in 0..10_000 {
            let mut text: Vec<char> = base.chars().collect();
            for _ in 0..=random(6) {
                let at = random(text.len());
                match random(3) {
                    0 => drop(text.remove(at)),
                    1 => drop(text.splice(at..at, odd[random(odd.len())].chars())),
                    _ => text.truncate(at.max(1)),
                }
                if text.is_empty() {
                    text.push(' ');
                }
            }
            let text: String = text.into_iter().collect();
            let lines = text.matches('\n').count() + 1;
            for complaint in complaints(&text, Scope::Anywhere) {
                let line = complaint.split(':').nth(1).and_then(|l| l.parse().ok());
                assert!(
                    line.is_some_and(|l: usize| (1..=lines).contains(&l)),
                    "{complaint}"
                );
            }
            let _ = crate::config::workers::parse(Path::new("/w"), &text);
        }
        for text in ["[".repeat(100_000), format!("a = {}", "[".repeat(100_000))] {
            assert_eq!(complaints(&text, Scope::Anywhere).len(), 1);
        }
    }

    #[test]
    fn a_project_cannot_loosen_what_the_user_decided() {
        let text = "enabled = false\n[hook]\npermissions = \"allow\"\n";
        let (settings, complaints) = read(Path::new("/p"), text, Scope::Anywhere);
        assert_eq!(settings.len(), 1);
        assert!(settings[0].key.is("general.enabled"));
        assert_eq!(
            complaints[0].text,
            "/p:3:1: 'hook.permissions' cannot be set by a project\nhint: set it in the user's own config.toml"
        );
    }
}
