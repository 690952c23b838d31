//! What comes home after a job: which directories the worker lists, and which of the listed files
//! are wanted. Pure; the command's words and cargo's settings decide.
//!
//! cargo's products lie in a few known directories, which the worker lists whether or not the job
//! changed them: a lane may hold a product that never came home (another lane's turn, a deleted
//! file). What did come home is remembered by the worker's own size and time, so that a build in
//! which nothing happened fetches nothing. Every other tool writes where it likes, so every file
//! that its job changed is wanted.

mod memory;

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::classify::{Accepted, Kind, Tool};
use crate::config;
use crate::manifest::{Entry, Manifest};
use crate::paths;
use crate::roots::packages::MODULES;
use crate::roots::words::Words;
use crate::roots::{Cargo, Env, Project};
use crate::wire::worker::{Collect, Name, Present, Produced, Products};

pub use memory::Memory;

/// A worker that lists more files than this is not believed.
pub const MAX_LISTED: usize = 1_000_000;

/// What the worker shall list after the job.
pub fn collect(
    accepted: &Accepted,
    argv: &[OsString],
    _cwd: &Path,
    _env: Env<'_>,
    project: &Project,
    config: &config::Transfer,
) -> Collect {
    let mut products = match (&project.cargo, accepted.tool) {
        (Some(cargo), Tool::Cargo) => {
            let words = Words::of_cargo(argv);
            let wanted = wanted(accepted.kind, &words);
            let mut dirs = if config.artifacts == "full" && wanted != Wanted::Nothing {
                whole(cargo)
            } else {
                of_cargo(wanted, &words, cargo)
            };
            // The report whose place cargo prints.
            let timings = cargo.target_dir.join("cargo-timings");
            dirs.extend(asks_for_timings(argv).then_some(deep(timings)));
            dirs
        }
        _ => vec![],
    };
    // The worker lists what lies in a root; a directory elsewhere has been given one by `roots`.
    products.retain(|p| project.holds(&p.dir));
    Collect {
        changed: true,
        products,
    }
}

fn asks_for_timings(argv: &[OsString]) -> bool {
    let mut own = argv.iter().take_while(|word| *word != "--");
    own.any(|word| {
        let word = word.as_encoded_bytes();
        word == b"--timings" || word.starts_with(b"--timings=")
    })
}

/// `transfer.artifacts = "full"`: everything, so that a local build finds itself fresh.
fn whole(cargo: &Cargo) -> Vec<Products> {
    let dirs = [Some(&cargo.target_dir), cargo.build_dir.as_ref()];
    let all = dirs.into_iter().flatten().cloned().map(deep);
    all.chain(cargo.artifact_dir.clone().map(flat)).collect()
}

fn flat(dir: PathBuf) -> Products {
    Products { dir, deep: false }
}

fn deep(dir: PathBuf) -> Products {
    Products { dir, deep: true }
}

/// Reports that a subcommand leaves in the target directory, beside the profiles.
const REPORTS: [(&str, &str); 2] = [("bench", "criterion"), ("nextest", "nextest")];

fn of_cargo(wanted: Wanted, words: &Words, cargo: &Cargo) -> Vec<Products> {
    let reports = REPORTS
        .iter()
        .filter(|(subcommand, _)| words.subcommand == *subcommand);
    let mut found: Vec<Products> = reports
        .map(|(_, dir)| deep(cargo.target_dir.join(dir)))
        .collect();
    if wanted != Wanted::Nothing {
        found.push(flat(cargo.target_dir.clone()));
        // A triple's directory has a tag of its own.
        found.extend(triples(cargo).map(flat));
        found.extend(cargo.artifact_dir.clone().map(flat));
    }
    for base in bases(cargo) {
        let profile = base.join(profile_dir(words));
        match wanted {
            Wanted::Nothing => {}
            Wanted::Docs => found.push(deep(base.join("doc"))),
            Wanted::Final => found.extend([flat(profile.join("examples")), flat(profile)]),
            Wanted::Executables => {
                found.push(flat(test_dir(&profile, cargo)));
                found.extend([flat(profile.join("examples")), flat(profile)]);
            }
        }
    }
    found
}

/// The directories that hold the profiles: one for each target, or the target directory itself.
fn bases(cargo: &Cargo) -> Vec<PathBuf> {
    if cargo.targets.is_empty() {
        return vec![cargo.target_dir.clone()];
    }
    triples(cargo).collect()
}

fn triples(cargo: &Cargo) -> impl Iterator<Item = PathBuf> {
    cargo
        .targets
        .iter()
        .map(|t| cargo.target_dir.join(triple(t)))
}

/// Where cargo leaves the executables of tests: with `build.build-dir` they are not final.
fn test_dir(profile: &Path, cargo: &Cargo) -> PathBuf {
    let moved = |build: &PathBuf| Some(build.join(profile.strip_prefix(&cargo.target_dir).ok()?));
    let moved = cargo.build_dir.as_ref().and_then(moved);
    moved.as_deref().unwrap_or(profile).join("deps")
}

/// What of a target directory comes home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Nothing,
    /// Binaries, libraries, `.d` files, examples.
    Final,
    /// Those, and the executables of tests and benchmarks.
    Executables,
    Docs,
}

fn wanted(kind: Kind, words: &Words) -> Wanted {
    match (kind, words.subcommand.as_str()) {
        (_, "doc" | "d" | "rustdoc") | (Kind::Doc, _) => Wanted::Docs,
        (_, "test" | "t" | "bench" | "nextest") | (Kind::Test, _) => {
            if words.no_run {
                Wanted::Executables
            } else {
                Wanted::Nothing
            }
        }
        (Kind::Check, _) => Wanted::Nothing,
        (Kind::Build | Kind::Run, _) => Wanted::Final,
    }
}

/// The directory that cargo gives a profile (the Cargo book, "Profiles").
fn profile_dir(words: &Words) -> &str {
    match words.profile.as_deref() {
        Some("dev" | "test") => "debug",
        Some("bench") => "release",
        Some(named) => named,
        None if words.subcommand == "bench" => "release",
        None => "debug",
    }
}

/// A target may be a file (`my-target.json`): then the directory is called after it.
fn triple(target: &str) -> String {
    let path = Path::new(target);
    match path.extension() {
        Some(e) if e == "json" => path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        _ => target.to_string(),
    }
}

/// Whether the command builds for another kind of machine than this one.
pub fn is_foreign(project: &Project) -> bool {
    let mine = |target: &String| target.starts_with(std::env::consts::ARCH);
    project
        .cargo
        .as_ref()
        .is_some_and(|c| !c.targets.iter().all(mine))
}

/// Whether the job's files may replace sources (make and compilers write where they like; cargo and
/// bun do not).
pub fn may_write_sources(accepted: &Accepted) -> bool {
    !matches!(accepted.tool, Tool::Cargo | Tool::Bun)
}

/// Those of `produced` that shall be fetched. `base` is what was synced; `home` says what stands in
/// a file's place here now.
pub fn choose(
    accepted: &Accepted,
    collect: &Collect,
    project: &Project,
    produced: &[Produced],
    base: &Manifest,
    memory: &Memory,
    home: impl Fn(&Name) -> Option<Entry>,
) -> Vec<Produced> {
    let wanted = |p: &&Produced| {
        usize::from(p.name.root) < project.roots.len()
            && !is_guarded(&p.name.path)
            && if p.changed {
                is_wanted_change(accepted, p, base, project)
            } else {
                is_wanted_product(collect, p, project)
            }
            && !home(&p.name).is_some_and(|here| memory.holds(p, &here))
    };
    // A file may be listed twice, as changed and as a product: the second stands for both.
    let mut chosen: Vec<Produced> = produced.iter().filter(wanted).cloned().collect();
    chosen.sort_by(|a, b| a.name.cmp(&b.name).then(a.changed.cmp(&b.changed)));
    chosen.dedup_by(|later, first| later.name == first.name);
    chosen
}

/// Whether the file at `path` is a product that the worker has: it is here, or on its way.
pub fn comes_home(
    path: &Path,
    collect: &Collect,
    project: &Project,
    produced: &[Produced],
) -> bool {
    let name = project.locate(path);
    let listed = produced.iter().filter(|p| !p.changed);
    let mut same = listed.filter(|p| name.as_ref() == Some(&p.name));
    same.any(|p| !is_guarded(&p.name.path) && is_wanted_product(collect, p, project))
}

/// Names with whether they are directories, by the directory that holds them.
type Standing<'a> = HashMap<(u8, &'a Path), HashMap<&'a OsStr, bool>>;

fn standing(present: &[Present]) -> Standing<'_> {
    let mut there = Standing::new();
    for dir in present {
        let names = dir.names.iter().map(|(name, is_dir)| (&**name, *is_dir));
        there.entry((dir.root, &dir.dir)).or_default().extend(names);
    }
    there
}

/// Sources that stand no more where the job created or removed something, or as another kind of thing.
/// Of a directory that is gone the directory is named, and perhaps what was in it.
pub fn gone(present: &[Present], sources: &Manifest) -> Vec<Name> {
    let there = standing(present);
    if there.is_empty() {
        return vec![];
    }
    // Entries of one directory follow each other.
    let mut last = (u8::MAX, Path::new(""), None);
    let mut gone = vec![];
    for (name, entry) in sources.iter() {
        let parent = name.path.parent().unwrap_or(Path::new(""));
        if (last.0, last.1) != (name.root, parent) {
            last = (name.root, parent, there.get(&(name.root, parent)));
        }
        let file = name.path.file_name().unwrap_or_default();
        if last
            .2
            .is_some_and(|names| names.get(file) != Some(&entry.is_dir()))
        {
            gone.push(name.clone());
        }
    }
    gone
}

/// Whether a new directory holds what is not listed as new: it was elsewhere before, and what is in it
/// is as old as it was there.
pub fn is_unlisted(present: &[Present], produced: &[Produced], sources: &Manifest) -> bool {
    let listed: HashSet<(u8, &Path)> = produced
        .iter()
        .map(|p| (p.name.root, &*p.name.path))
        .collect();
    let there = standing(present);
    let is_new = |root: u8, dir: &Path| {
        let path = dir.to_path_buf();
        !dir.as_os_str().is_empty() && sources.get(&Name { root, path }).is_none()
    };
    let new = there.iter().filter(|((root, dir), _)| is_new(*root, dir));
    new.into_iter().any(|((root, dir), names)| {
        names.iter().any(|(name, is_dir)| {
            let path = dir.join(name);
            match is_dir {
                true => !there.contains_key(&(*root, &*path)),
                false => !listed.contains(&(*root, &*path)),
            }
        })
    })
}

/// A file in the tree that the job made or changed.
fn is_wanted_change(accepted: &Accepted, p: &Produced, base: &Manifest, project: &Project) -> bool {
    let in_target = project.cargo.as_ref().is_some_and(|c| {
        let place = project.place(&p.name);
        place.starts_with(&c.target_dir)
            || c.build_dir.as_ref().is_some_and(|b| place.starts_with(b))
    });
    let source = base.get(&p.name).is_some();
    let writes = || may_write_sources(accepted) || is_lock_file(&p.name.path);
    !in_target
        && !is_package(accepted, p)
        && (!source || writes() || is_report(accepted, p, project))
}

/// What a bun command leaves in `node_modules` (a cache, say) is the worker's own.
fn is_package(accepted: &Accepted, p: &Produced) -> bool {
    accepted.tool == Tool::Bun && p.name.path.iter().any(|part| part == MODULES)
}

/// Whether bun itself writes the file, each time anew: snapshots, coverage, the report that the
/// command names. An older one is a source like any other when it is sent.
pub fn is_report(accepted: &Accepted, p: &Produced, project: &Project) -> bool {
    if accepted.tool != Tool::Bun {
        return false;
    }
    let place = project.place(&p.name);
    let snapshot = || {
        let beside = place.parent().is_some_and(|d| d.ends_with("__snapshots__"));
        beside && place.extension().is_some_and(|e| e == "snap")
    };
    let named = |output: &OsString| {
        let output = paths::normal(Path::new(output));
        place.ends_with(output.strip_prefix("..").unwrap_or(&output))
    };
    let coverage = || place.file_name().is_some_and(|n| n == "lcov.info");
    snapshot() || coverage() || accepted.facts.outputs.iter().any(named)
}

/// A file in one of the directories that were asked for: the worker's word is not enough.
fn is_wanted_product(collect: &Collect, p: &Produced, project: &Project) -> bool {
    let place = project.place(&p.name);
    let asked = collect.products.iter().find(|asked| {
        let above = place.parent().is_some_and(|dir| dir == asked.dir);
        above || (asked.deep && place.starts_with(&asked.dir))
    });
    let name = place.file_name().unwrap_or_default().as_encoded_bytes();
    asked.is_some_and(|asked| {
        asked.deep && !is_cargos_own(name) || is_final(&asked.dir, name, p.mode, project)
    })
}

/// Whether a file directly in a product directory is a product.
fn is_final(dir: &Path, name: &[u8], mode: u32, project: &Project) -> bool {
    let is_top = |c: &Cargo| c.target_dir == dir || triples(c).any(|triple| triple == dir);
    if project.cargo.as_ref().is_some_and(is_top) {
        // So that backups, and we, know the directory for what it is.
        name == b"CACHEDIR.TAG"
    } else if dir.ends_with("deps") {
        // Of intermediate files only executables: no library, no `.d`.
        mode & 0o111 != 0 && !name.contains(&b'.')
    } else {
        !is_cargos_own(name)
    }
}

/// What cargo keeps in a product directory for itself.
fn is_cargos_own(name: &[u8]) -> bool {
    matches!(
        name,
        b".cargo-lock" | b".cargo-build-lock" | b".cargo-artifact-lock"
    )
}

/// Whether `path` is one that no worker may ever write: what git, cargo, rch or an agent would obey.
pub fn is_guarded(path: &Path) -> bool {
    const DIRS: [&str; 6] = [".git", ".cargo", ".rch", ".claude", ".codex", ".gemini"];
    const FILES: [&str; 4] = [
        ".envrc",
        ".rchignore",
        "rust-toolchain",
        "rust-toolchain.toml",
    ];
    let named = |names: &[&str], part: &std::ffi::OsStr| names.iter().any(|n| part == *n);
    path.iter().any(|part| named(&DIRS, part)) || path.file_name().is_some_and(|n| named(&FILES, n))
}

/// Cargo.lock is the one source that cargo itself writes.
pub fn is_lock_file(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == "Cargo.lock")
}

#[cfg(test)]
mod tests;
