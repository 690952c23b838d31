//! What this machine is: processors, memory, and the compilers in the versions that matter.
//!
//! A tool's identity costs a process to ask, so answers are kept in `~/.cache/rch/tools` under the
//! program's path, size and modification time; with a warm cache nothing is started.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rch::bytes::{Parsed, Reader, Writer};
use rch::paths;
use rch::sys::fs::free_bytes;
use rch::wire::worker::Facts;

use crate::lane::lanes_dir;
use crate::task::{rustup_home, search_path};

/// (tool, the arguments that make it tell its version, whether `-dumpmachine` tells more).
const TOOLS: [(&str, &[&str], bool); 12] = [
    ("gcc", &["--version"], true),
    ("g++", &["--version"], true),
    ("cc", &["--version"], true),
    ("c++", &["--version"], true),
    ("clang", &["--version"], true),
    ("clang++", &["--version"], true),
    ("make", &["--version"], false),
    ("ninja", &["--version"], false),
    ("cmake", &["--version"], false),
    ("meson", &["--version"], false),
    ("bun", &["--version"], false),
    ("node", &["--version"], false),
];

pub fn facts(no_namespace: Option<&String>) -> Facts {
    let mut cache = Cache::load();
    let path = search_path();
    let mut tools = toolchains(&mut cache, &path);
    for (tool, args, machine) in TOOLS {
        if let Some(program) = find(tool, &path) {
            let identity = cache.identity(&program, |p| version(p, args, machine));
            tools.push((tool.into(), identity));
        }
    }
    let rsync = find("rsync", &path)
        .map(|p| cache.identity(&p, |p| version(p, &["--version"], false)))
        .unwrap_or_default();
    cache.save();
    tools.retain(|(_, identity)| !identity.is_empty());
    Facts {
        os: std::env::consts::OS.into(),
        arch: std::env::consts::ARCH.into(),
        cpu: rch::sys::cpu::kind(),
        cpus: std::thread::available_parallelism().map_or(1, |n| n.get() as u32),
        memory_mib: memory_mib(),
        free_mib: free_mib(),
        no_namespace: no_namespace.cloned().unwrap_or_default(),
        rsync: rsync.split_whitespace().nth(2).unwrap_or_default().into(),
        tools,
    }
}

/// Every toolchain rustup has, or the one rustc there is without it.
fn toolchains(cache: &mut Cache, path: &OsStr) -> Vec<(String, String)> {
    let mut found: Vec<(String, PathBuf)> = fs::read_dir(rustup_home().join("toolchains"))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|e| {
            Some((
                e.file_name().into_string().ok()?,
                e.path().join("bin/rustc"),
            ))
        })
        .map(|(name, rustc)| (format!("rustc {name}"), rustc))
        .filter(|(_, rustc)| rustc.exists())
        .collect();
    found.sort();
    if found.is_empty() {
        found.extend(find("rustc", path).map(|p| (String::from("rustc"), p)));
    }
    found
        .into_iter()
        .map(|(name, rustc)| {
            let identity = cache.identity(&rustc, |p| ask(p, &["-vV"]).unwrap_or_default());
            (name, identity)
        })
        .collect()
}

fn find(tool: &str, path: &OsStr) -> Option<PathBuf> {
    crate::run::find_program(&tool.into(), path).ok()
}

/// The first line, and the target on a second.
fn version(program: &Path, args: &[&str], machine: bool) -> String {
    let said = ask(program, args).unwrap_or_default();
    let mut text = String::from(said.lines().next().unwrap_or_default());
    if machine && let Some(target) = ask(program, &["-dumpmachine"]) {
        text = format!("{text}\n{}", target.trim());
    }
    text
}

fn ask(program: &Path, args: &[&str]) -> Option<String> {
    let out = Command::new(program)
        .args(args)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(out.stdout).ok()?;
    out.status.success().then_some(text)
}

fn memory_mib() -> u64 {
    let info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = info.lines().find_map(|l| l.strip_prefix("MemTotal:"));
    total
        .and_then(|l| l.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok())
        .map_or(0, |kib| kib / 1024)
}

fn free_mib() -> u64 {
    let dir = lanes_dir();
    let there = dir.ancestors().find(|d| d.exists());
    there
        .and_then(|d| free_bytes(d).ok())
        .map_or(0, |b| b >> 20)
}

/// A program as it is on disk: path, size, modification time.
type Key = (Vec<u8>, u64, i64, i64);

struct Cache {
    known: HashMap<Key, String>,
    /// What was asked for in this process; the rest is dropped at `save`.
    used: Vec<(Key, String)>,
    changed: bool,
}

impl Cache {
    fn file() -> PathBuf {
        paths::cache_dir().join("tools")
    }

    fn load() -> Cache {
        let bytes = fs::read(Cache::file()).unwrap_or_default();
        Cache {
            known: parse(&bytes).unwrap_or_default().into_iter().collect(),
            used: Vec::new(),
            changed: false,
        }
    }

    fn identity(&mut self, program: &Path, ask: impl FnOnce(&Path) -> String) -> String {
        let Ok(meta) = fs::metadata(program) else {
            return String::new();
        };
        let path = program.as_os_str().as_encoded_bytes().to_vec();
        let key = (path, meta.len(), meta.mtime(), meta.mtime_nsec());
        let identity = match self.known.get(&key) {
            Some(known) => known.clone(),
            None => {
                self.changed = true;
                ask(program)
            }
        };
        self.used.push((key, identity.clone()));
        identity
    }

    /// A cache that cannot be written costs time, nothing else.
    fn save(&self) {
        if !self.changed {
            return;
        }
        let mut w = Writer::default();
        w.list(&self.used, |w, ((path, size, secs, nanos), identity)| {
            w.bytes(path)
                .u64(*size)
                .i64(*secs)
                .i64(*nanos)
                .str(identity);
        });
        let (file, new) = (
            Cache::file(),
            Cache::file().with_extension(format!("{}", std::process::id())),
        );
        let _ = fs::create_dir_all(paths::cache_dir());
        if fs::write(&new, &w.0)
            .and_then(|()| fs::rename(&new, &file))
            .is_err()
        {
            let _ = fs::remove_file(&new);
        }
    }
}

fn parse(bytes: &[u8]) -> Parsed<Vec<(Key, String)>> {
    let mut r = Reader::new(bytes);
    r.list(|r| Ok(((r.vec()?, r.u64()?, r.i64()?, r.i64()?), r.str()?)))
}
