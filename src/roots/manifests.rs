//! Follows Cargo.toml files (the Cargo book, "The Manifest Format") to every directory they name.
//!
//! Cargo loads all members of a workspace for any build, and the manifests of all path dependencies,
//! so all of them are followed, breadth first. A manifest that is missing or broken is passed over:
//! cargo will say so in its own words.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use toml_edit::{DocumentMut, Item};

use super::settings::{path_of, tables};
use crate::paths;

const DEPENDENCIES: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

/// A workspace of more directories than this is not walked to its end.
const MAX_MANIFESTS: usize = 20_000;

/// The nearest directory from `dir` upward that holds a Cargo.toml.
pub fn package_dir(dir: &Path) -> Option<PathBuf> {
    let mut above = dir.ancestors();
    above
        .find(|d| d.join("Cargo.toml").is_file())
        .map(Path::to_path_buf)
}

/// The directory of the workspace that the package in `package` belongs to: its own, if it is none's
/// member.
pub fn workspace_dir(package: &Path) -> PathBuf {
    let own = parse(package);
    let named = own
        .as_ref()
        .and_then(|doc| doc.get("package")?.get("workspace")?.as_str());
    if let Some(dir) = named {
        return paths::normal(&package.join(dir));
    }
    if own.is_some_and(|doc| doc.get("workspace").is_some()) {
        return package.to_path_buf();
    }
    let above = package.ancestors().skip(1);
    let claims = |dir: &&Path| parse(dir).is_some_and(|doc| claims(&doc, dir, package));
    above
        .into_iter()
        .find(claims)
        .unwrap_or(package)
        .to_path_buf()
}

/// Whether the workspace in `dir` takes the package in: cargo takes every one below, but for those
/// it excludes.
fn claims(doc: &DocumentMut, dir: &Path, package: &Path) -> bool {
    doc.get("workspace").is_some_and(|workspace| {
        let mut excluded = strings(workspace.get("exclude"));
        !excluded.any(|e| package.starts_with(paths::normal(&dir.join(e))))
    })
}

/// Every package directory that a build of the workspace in `start` loads, and every other directory
/// that one of its manifests names; `start` is among them.
pub fn reach(start: &Path, more: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut queue = more;
    queue.push(start.to_path_buf());
    let mut seen = HashSet::new();
    let mut order = Vec::new();
    while let Some(dir) = queue.pop() {
        if order.len() == MAX_MANIFESTS || !seen.insert(dir.clone()) {
            continue;
        }
        if let Some(doc) = parse_relevant(&dir) {
            queue.extend(named(&doc, &dir));
            // Below the first workspace all inherit from it, or from one that lies in it.
            if !dir.starts_with(start) {
                queue.extend(inherited(&doc, &dir));
            }
        }
        order.push(dir);
    }
    order
}

/// The directories that one manifest names.
fn named(doc: &DocumentMut, dir: &Path) -> Vec<PathBuf> {
    let workspace = doc.get("workspace");
    let of = |table: &Item| -> Vec<String> {
        let groups = DEPENDENCIES.iter().flat_map(|key| tables(table.get(key)));
        groups.filter_map(path_of).map(String::from).collect()
    };
    let mut found = of(doc.as_item());
    found.extend(tables(doc.get("target")).flat_map(of));
    found.extend(workspace.into_iter().flat_map(of));
    found.extend(
        tables(doc.get("patch"))
            .flat_map(|t| tables(Some(t)))
            .filter_map(path_of)
            .map(String::from),
    );
    found.extend(
        tables(doc.get("replace"))
            .filter_map(path_of)
            .map(String::from),
    );
    let mut dirs: Vec<PathBuf> = found.iter().map(|p| paths::normal(&dir.join(p))).collect();
    dirs.extend(sources(doc, dir));
    for pattern in strings(workspace.and_then(|w| w.get("members"))) {
        dirs.extend(members(dir, pattern));
    }
    dirs
}

/// Directories of targets whose source lies elsewhere than in the package (`path = "../x/main.rs"`).
fn sources(doc: &DocumentMut, dir: &Path) -> Vec<PathBuf> {
    let many = ["bin", "example", "test", "bench"]
        .iter()
        .filter_map(|key| doc.get(key));
    let listed = many.filter_map(Item::as_array_of_tables).flatten();
    let listed = listed.filter_map(|t| t.get("path")?.as_str());
    let lib = doc.get("lib").and_then(path_of);
    let build = doc.get("package").and_then(|p| p.get("build")?.as_str());
    let files = listed
        .chain(lib)
        .chain(build)
        .map(|p| paths::normal(&dir.join(p)));
    let away = files.filter(|file| !file.starts_with(dir));
    away.filter_map(|file| file.parent().map(Path::to_path_buf))
        .collect()
}

/// The workspace a package takes `workspace = true` values from.
fn inherited(doc: &DocumentMut, dir: &Path) -> Option<PathBuf> {
    doc.get("package")?;
    let root = workspace_dir(dir);
    (root != dir).then_some(root)
}

/// The directories that a member pattern matches.
fn members(dir: &Path, pattern: &str) -> Vec<PathBuf> {
    let mut found = vec![dir.to_path_buf()];
    for part in Path::new(pattern) {
        let part = part.to_string_lossy();
        if part.contains(['*', '?', '[']) {
            found = found.iter().flat_map(|d| matching(d, &part)).collect();
        } else {
            found.iter_mut().for_each(|d| d.push(&*part));
        }
    }
    found.iter().map(|d| paths::normal(d)).collect()
}

fn matching(dir: &Path, glob: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let fits = |name: &std::ffi::OsStr| fast_glob::glob_match(glob, name.as_encoded_bytes());
    entries
        .filter(|e| fits(&e.file_name()))
        .map(|e| e.path())
        .collect()
}

fn strings(item: Option<&Item>) -> impl Iterator<Item = &str> {
    let list = item.and_then(Item::as_array);
    list.into_iter()
        .flat_map(|l| l.iter())
        .filter_map(|v| v.as_str())
}

fn parse(dir: &Path) -> Option<DocumentMut> {
    std::fs::read_to_string(dir.join("Cargo.toml"))
        .ok()?
        .parse()
        .ok()
}

/// As `parse`, but passes over a manifest without any word that leads elsewhere: most of a large
/// workspace's.
fn parse_relevant(dir: &Path) -> Option<DocumentMut> {
    let text = std::fs::read_to_string(dir.join("Cargo.toml")).ok()?;
    let has = |word: &str| memchr::memmem::find(text.as_bytes(), word.as_bytes()).is_some();
    (has("path") || has("workspace") || has("build")).then(|| text.parse().ok())?
}
