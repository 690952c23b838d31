//! The packages that a bun command finds in `node_modules`, and how a worker comes by them.
//!
//! What a local command would find is what counts. If that is what the lockfile says, bun installs
//! the same on the worker, far cheaper than sending a hundred thousand files. Anything else (no
//! `bun.lock`, another package manager's tree, a version that is not the locked one, a linked
//! package) travels like a source. It is judged by names and versions: what somebody edited inside an
//! installed package is not seen.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};
use xxhash_rust::xxh3::Xxh3;

use crate::error::{Error, Result};
use crate::paths;
use crate::wire::worker::Install;

/// Where packages stand, beside a package.json.
pub const MODULES: &str = "node_modules";

const LOCK: &str = "bun.lock";

/// Of an isolated install: every package once, under its name and version.
const STORE: &str = ".bun";

/// What a bun command needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packages {
    /// Nothing that is not a source.
    None,
    /// What the lockfile says.
    Locked(Install),
    /// The packages themselves; why.
    Sent(String),
}

/// The text form of the lockfile, as far as it matters (bun.sh/docs, "Lockfile").
#[derive(Debug, Default, Deserialize)]
struct Lock {
    #[serde(default)]
    workspaces: Map<String, Value>,
    #[serde(default)]
    packages: Map<String, Value>,
    #[serde(default, rename = "patchedDependencies")]
    patched: Map<String, Value>,
}

/// What a command called in `dir` needs of a project whose package.json files stand in `holders`, all
/// beneath `top`. `bun` is its version.
///
/// # Errors
/// Packages are asked for and none are installed here: what bun says then is for it to say here.
pub fn find(top: &Path, dir: &Path, holders: &[PathBuf], bun: &str) -> Result<Packages> {
    let sent = |why: String| Ok(Packages::Sent(why));
    let installed = holders.iter().map(|dir| dir.join(MODULES));
    let installed: Vec<PathBuf> = installed.filter(|modules| modules.is_dir()).collect();
    let mut above = dir.ancestors().take_while(|dir| dir.starts_with(top));
    if installed.is_empty() {
        return match above.find(|dir| asks_for_packages(dir)) {
            Some(_) => Err(Error::new("its packages are not installed here")),
            None => Ok(Packages::None),
        };
    }
    let Some(at) = above.find(|dir| dir.join(LOCK).is_file()) else {
        return sent(format!("there is no {LOCK}"));
    };
    let Some(lock) = read(&at.join(LOCK)) else {
        return sent(format!("{LOCK} cannot be read"));
    };
    let install = lock.install(at, bun);
    if let Some(other) = installed.iter().find(|i| !install.modules.contains(i)) {
        let text = format!("'{}' is another's than {LOCK}'s", other.display());
        return sent(text);
    }
    match lock.differs(&at.join(MODULES)) {
        Some(name) => sent(format!("'{name}' is not here as {LOCK} says")),
        None => Ok(Packages::Locked(install)),
    }
}

/// Files of the environment in `dir`, which bun reads by itself and which hold secrets.
pub fn env_files(dir: &Path) -> Vec<PathBuf> {
    let named = |name: &String| name == ".env" || name.starts_with(".env.");
    let files = names(dir).into_iter().filter(named);
    let files = files.filter(|name| name != ".env.example");
    files.map(|name| dir.join(name)).collect()
}

fn asks_for_packages(dir: &Path) -> bool {
    let text = fs::read(dir.join("package.json")).unwrap_or_default();
    let json: Value = serde_json::from_slice(&text).unwrap_or_default();
    let asked = ["dependencies", "devDependencies", "optionalDependencies"];
    let table = |key: &&str| json.get(key).and_then(Value::as_object);
    asked.iter().filter_map(table).any(|t| !t.is_empty())
}

fn read(path: &Path) -> Option<Lock> {
    let text = fs::read_to_string(path).ok()?;
    serde_json::from_str(&strict(&text)).ok()
}

/// JSON without the commas that bun leaves before a closing bracket.
fn strict(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in text.char_indices() {
        let closes = || text[at + 1..].trim_start().starts_with(['}', ']']);
        match c {
            ',' if !quoted && closes() => continue,
            '"' if !escaped => quoted = !quoted,
            _ => {}
        }
        escaped = c == '\\' && !escaped;
        out.push(c);
    }
    out
}

impl Lock {
    /// Directories with a package.json of this lockfile; the lockfile's own first.
    fn members(&self, at: &Path) -> Vec<PathBuf> {
        let mut members = vec![at.to_path_buf()];
        let others = self.workspaces.keys().filter(|path| !path.is_empty());
        members.extend(others.map(|path| paths::normal(&at.join(path))));
        members
    }

    fn install(&self, at: &Path, bun: &str) -> Install {
        let members = self.members(at);
        let named = [LOCK, "bunfig.toml", ".npmrc"].map(|name| at.join(name));
        let manifests = members.iter().map(|dir| dir.join("package.json"));
        let patches = self.patched.values().filter_map(Value::as_str);
        let patches = patches.map(|path| at.join(path));
        let isolated = at.join(MODULES).join(STORE).is_dir();
        let mut hash = Xxh3::new();
        hash.update(bun.as_bytes());
        hash.update(&[u8::from(isolated)]);
        for path in named.into_iter().chain(manifests).chain(patches) {
            let content = fs::read(&path).unwrap_or_default();
            hash.update(path.as_os_str().as_encoded_bytes());
            hash.update(&(content.len() as u64).to_le_bytes());
            hash.update(&content);
        }
        Install {
            dir: at.to_path_buf(),
            id: hash.digest128().to_le_bytes(),
            isolated,
            modules: members.iter().map(|dir| dir.join(MODULES)).collect(),
        }
    }

    /// The first package that `modules` lacks or has otherwise, or has too many.
    fn differs(&self, modules: &Path) -> Option<String> {
        let store = names(&modules.join(STORE));
        let wrong = |(key, entry): &(&String, &Value)| !is_here(key, entry, modules, &store);
        if let Some((key, _)) = self.packages.iter().find(wrong) {
            return Some(key.clone());
        }
        let unknown = |name: &String| !self.packages.contains_key(name);
        top_level(modules).into_iter().find(unknown)
    }
}

/// Whether a package of the lockfile is installed, as far as this kind of machine gets it.
fn is_here(key: &str, entry: &Value, modules: &Path, store: &BTreeSet<String>) -> bool {
    let Some((name, from)) = entry.get(0).and_then(Value::as_str).and_then(split) else {
        return false;
    };
    if from.starts_with("workspace:") || from.starts_with("root:") {
        return true;
    }
    if from.starts_with("link:") {
        return false;
    }
    let of_a_kind = |meta: &Value| meta.get("os").or(meta.get("cpu")).is_some();
    let may_lack = entry.as_array().is_some_and(|e| e.iter().any(of_a_kind));
    let place = modules.join(nested(key));
    let version = from.starts_with(|c: char| c.is_ascii_digit());
    let stored = format!(
        "{}@{}",
        name.replace('/', "+"),
        if version { from } else { "" }
    );
    let in_store = store.range(stored.clone()..).next().is_some_and(|first| {
        first
            .strip_prefix(&stored)
            .is_some_and(|rest| !version || rest.is_empty() || rest.starts_with('+'))
    });
    in_store
        || match fs::read(place.join("package.json")) {
            Ok(text) => !version || version_of(&text).as_deref() == Some(from),
            Err(_) => may_lack,
        }
}

/// `name@from`, where the name may begin with an `@` of its own.
fn split(text: &str) -> Option<(&str, &str)> {
    let at = text.char_indices().skip(1).find(|(_, c)| *c == '@')?.0;
    Some((&text[..at], &text[at + 1..]))
}

fn version_of(package: &[u8]) -> Option<String> {
    let json: Value = serde_json::from_slice(package).ok()?;
    Some(json.get("version")?.as_str()?.to_owned())
}

/// Where the package of the key `a/@s/b` is: `a/node_modules/@s/b`.
fn nested(key: &str) -> PathBuf {
    let mut path = PathBuf::new();
    let mut in_scope = false;
    for part in key.split('/') {
        if !path.as_os_str().is_empty() && !in_scope {
            path.push(MODULES);
        }
        in_scope = part.starts_with('@');
        path.push(part);
    }
    path
}

/// Names of packages directly in `modules`.
fn top_level(modules: &Path) -> Vec<String> {
    let mut found = vec![];
    for name in names(modules) {
        if name.starts_with('@') {
            let below = names(&modules.join(&name));
            found.extend(below.iter().map(|package| format!("{name}/{package}")));
        } else if !name.starts_with('.') {
            found.push(name);
        }
    }
    found
}

fn names(dir: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let names = entries.filter_map(|e| e.file_name().into_string().ok());
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    const LOCKED: &str = r#"{
  "lockfileVersion": 2,
  "workspaces": { "": { "name": "r", }, "pkg/m": { "name": "m", }, },
  "packages": {
    "m": ["m@workspace:pkg/m"],
    "odd,}": ["odd,}@1.0.0", "", {}, "sha512-x"],
    "@s/a": ["@s/a@1.2.3", "", {}, "sha512-x"],
    "@s/a/b": ["b@2.0.0", "", {}, "sha512-x"],
    "mac": ["mac@1.0.0", "", { "os": "darwin" }, "sha512-x"],
    "dep": ["dep@file:vendor/dep", {}],
  }
}"#;

    fn project() -> Scratch {
        let scratch = Scratch::new();
        scratch.file("bun.lock", LOCKED.as_bytes());
        scratch.file("package.json", b"{}");
        scratch.file("pkg/m/package.json", br#"{"dependencies":{"b":"2"}}"#);
        for (place, version) in [
            ("@s/a", "1.2.3"),
            ("@s/a/node_modules/b", "2.0.0"),
            ("odd,}", "1.0.0"),
            ("dep", "7"),
        ] {
            let text = format!(r#"{{"version":"{version}"}}"#);
            scratch.file(
                format!("node_modules/{place}/package.json"),
                text.as_bytes(),
            );
        }
        scratch.link("node_modules/m", "../pkg/m");
        scratch.file("node_modules/.bin/x", b"");
        scratch
    }

    fn found(scratch: &Scratch, dir: &str) -> Result<Packages> {
        let top = &scratch.0;
        let holders = ["", "pkg/m", "other"].map(|dir| paths::normal(&top.join(dir)));
        find(top, &paths::normal(&top.join(dir)), &holders, "1.4.5")
    }

    fn locked(scratch: &Scratch) -> Install {
        match found(scratch, "pkg/m").unwrap() {
            Packages::Locked(install) => install,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_the_lockfile_says_is_installed() {
        let scratch = project();
        let install = locked(&scratch);
        let modules = ["node_modules", "pkg/m/node_modules"].map(|m| scratch.0.join(m));
        assert_eq!(
            (install.dir, install.modules),
            (scratch.0.clone(), modules.to_vec())
        );
        let id = install.id;
        scratch.file("src/x.ts", b"");
        assert_eq!(locked(&scratch).id, id);
        scratch.file("pkg/m/package.json", b"{}");
        assert_ne!(locked(&scratch).id, id);
    }

    #[test]
    fn an_isolated_install_is_known_too() {
        let scratch = project();
        fs::remove_dir_all(scratch.0.join("node_modules/@s")).unwrap();
        scratch.file("node_modules/.bun/@s+a@1.2.3+0123/x", b"");
        assert!(matches!(found(&scratch, ""), Ok(Packages::Sent(_))));
        scratch.file("node_modules/.bun/b@2.0.0/x", b"");
        locked(&scratch);
    }

    #[test]
    fn anything_else_is_sent() {
        let sent = |change: &dyn Fn(&Scratch)| {
            let scratch = project();
            change(&scratch);
            assert!(matches!(found(&scratch, ""), Ok(Packages::Sent(_))));
        };
        let package = |place: &'static str| {
            move |s: &Scratch| {
                s.file(format!("{place}/package.json"), br#"{"version":"9.9.9"}"#);
            }
        };
        sent(&package("node_modules/@s/a"));
        sent(&package("node_modules/more"));
        sent(&package("other/node_modules/x"));
        sent(&|s| fs::remove_dir_all(s.0.join("node_modules/dep")).unwrap());
        sent(&|s| fs::remove_file(s.0.join("bun.lock")).unwrap());
        sent(&|s| drop(s.file("bun.lock", b"{")));
    }

    #[test]
    fn a_project_whose_packages_are_missing_stays() {
        let scratch = project();
        fs::remove_dir_all(scratch.0.join("node_modules")).unwrap();
        assert!(found(&scratch, "pkg/m").is_err());
        assert_eq!(found(&scratch, "").unwrap(), Packages::None);
    }
}
