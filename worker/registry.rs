//! The registry cache in this machine's CARGO_HOME, as far as the daemon fills it.
//!
//! Only crates and what an index says of them, in their places, as whole files: cargo takes what it
//! finds there without asking a server. Nothing else below CARGO_HOME can be named.

use std::fs;
use std::path::{Path, PathBuf};

use rch::time;
use rch::wire::worker::{Kind, Put};

use crate::fault::{Done, Sentence, Wrong};
use crate::task::cargo_home;
use crate::tree::{Incoming, Tree};

/// Those that are not here. An empty one is what a power cut leaves of a new file.
pub fn lacks(mut crates: Vec<PathBuf>) -> Vec<PathBuf> {
    let home = cargo_home();
    let is_here = |path: &Path| {
        fs::metadata(home.join(path)).is_ok_and(|meta| meta.is_file() && meta.len() > 0)
    };
    crates.retain(|path| is_ours(path) && !is_here(path));
    crates
}

/// Begins a file.
pub fn begin(put: &Put) -> Done<Option<Incoming>> {
    let (path, Kind::File { size }) = (&put.name.path, &put.kind) else {
        return Err(Wrong::protocol("a registry holds files alone"));
    };
    if !is_ours(path) {
        return Err(Wrong::protocol("no place in a registry's cache"));
    }
    let home = cargo_home();
    let what = || format!("cannot write '{}'", home.join(path).display());
    fs::create_dir_all(&home).wrong(what)?;
    let tree = Tree::open(&home).wrong(what)?;
    let mtime = put.mtime.min(time::now());
    tree.begin(path, *size, put.mode, mtime)
        .wrong(what)
        .map(Some)
}

fn is_ours(path: &Path) -> bool {
    let beneath = ["registry/cache", "registry/index"];
    beneath.iter().any(|dir| path.starts_with(dir))
        && path
            .components()
            .all(|c| matches!(c, std::path::Component::Normal(_)))
}
