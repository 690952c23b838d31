//! The shape of the house: imports point down, every file has a head, unsafe stays behind its fence,
//! dependencies are named where they belong.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Modules by floor, as the map in `src/lib.rs` has them. `worker` stands for `worker/`.
const FLOORS: &[(u8, &[&str])] = &[
    (
        0,
        &[
            "sys", "error", "bytes", "ids", "temp", "time", "log", "nearest", "exit",
        ],
    ),
    (
        1,
        &[
            "wire", "paths", "config", "shell", "classify", "roots", "exclude", "manifest", "elf",
        ],
    ),
    (
        2,
        &[
            "job", "fleet", "sched", "dedup", "plan", "products", "history",
        ],
    ),
    (
        3,
        &[
            "poll",
            "conn",
            "child",
            "session",
            "master",
            "crew",
            "spool",
            "lanebook",
            "scan",
            "feed",
            "landing",
            "toolchain",
            "client",
        ],
    ),
    (4, &["hook", "cli", "daemon", "bin", "lib"]),
];

/// Where a dependency may be named.
const DEPENDENCIES: &[(&str, &[&str])] = &[
    ("mio", &["src/poll.rs"]),
    ("libc", &["src/sys/"]),
    ("crossbeam_channel", &["src/crew.rs"]),
    ("lexopt", &["src/cli/"]),
    ("loom", &["src/fleet/slots.rs"]),
    ("toml_edit", &["src/config/", "src/roots/"]),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every source file but those that hold tests alone, which may use what they like.
fn sources() -> Vec<(PathBuf, String)> {
    let mut found = vec![];
    for top in ["src", "worker"] {
        walk(&root().join(top), &mut found);
    }
    assert!(found.len() > 30, "the sources were not found");
    found.retain(|(path, _)| !path.ends_with("tests.rs") && !path.ends_with("scratch.rs"));
    found.sort();
    found
}

fn walk(dir: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            found.push((path.strip_prefix(root()).unwrap().into(), text));
        }
    }
}

/// The first part of a path below `src`, without `.rs`.
fn module(path: &Path) -> String {
    let mut parts = path
        .components()
        .map(|c| c.as_os_str().to_string_lossy().into_owned());
    let top = parts.next().unwrap();
    if top == "worker" {
        top
    } else {
        parts.next().unwrap().trim_end_matches(".rs").to_owned()
    }
}

fn floor(module: &str) -> Option<u8> {
    FLOORS
        .iter()
        .find(|(_, names)| names.contains(&module))
        .map(|(n, _)| *n)
}

/// Modules named by `crate::` or `rch::` in code (not in comments).
fn imports(text: &str) -> Vec<String> {
    let text = text
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or_default();
    let mut found = vec![];
    for line in text
        .lines()
        .map(str::trim_start)
        .filter(|l| !l.starts_with("//"))
    {
        for start in ["crate::", "rch::"] {
            for (at, _) in line.match_indices(start) {
                let before = line[..at].chars().next_back();
                if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':' || c == '$') {
                    continue;
                }
                let name: String = line[at + start.len()..]
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect();
                found.push(name);
            }
        }
    }
    found
}

#[test]
fn imports_point_down() {
    let mut wrong = vec![];
    for (path, text) in sources() {
        let from = module(&path);
        let level = if from == "worker" {
            1
        } else {
            floor(&from).unwrap_or_else(|| panic!("{from} has no floor"))
        };
        for name in imports(&text) {
            let Some(to) = floor(&name) else { continue };
            if to > level {
                wrong.push(format!(
                    "{} (floor {level}) names {name} (floor {to})",
                    path.display()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Two modules that need each other are one module, or one of them is in the wrong place.
#[test]
fn modules_of_one_floor_do_not_need_each_other() {
    let mut needs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (path, text) in sources() {
        let from = module(&path);
        let names = imports(&text)
            .into_iter()
            .filter(|n| *n != from && floor(n).is_some());
        needs.entry(from.clone()).or_default().extend(names);
    }
    let mut wrong = vec![];
    for (from, to) in &needs {
        for name in to {
            if from < name && needs.get(name).is_some_and(|back| back.contains(from)) {
                wrong.push(format!("{from} and {name} name each other"));
            }
        }
    }
    wrong.dedup();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_opens_with_what_it_is() {
    for (path, text) in sources() {
        let head = text.lines().take_while(|l| l.starts_with("//!")).count();
        assert!(head >= 1, "{} has no head", path.display());
        if text.lines().count() > 60 {
            assert!(head >= 2, "the head of {} says too little", path.display());
        }
    }
}

#[test]
fn unsafe_stays_behind_its_fence() {
    for (path, text) in sources() {
        if path.starts_with("src/sys") {
            continue;
        }
        for line in text.lines().filter(|l| !l.trim_start().starts_with("//")) {
            let bare = line.replace("unsafe_code", "");
            assert!(!bare.contains("unsafe"), "{}: {line}", path.display());
        }
    }
}

#[test]
fn every_unsafe_block_says_why() {
    for (path, text) in sources() {
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let code = line.trim_start();
            if code.starts_with("//")
                || !(code.contains("unsafe {") || code.starts_with("unsafe impl"))
            {
                continue;
            }
            let above = lines[at.saturating_sub(6)..at].join("\n");
            assert!(
                above.contains("SAFETY:"),
                "{}:{}: no SAFETY line",
                path.display(),
                at + 1
            );
        }
    }
}

#[test]
fn dependencies_are_named_where_they_belong() {
    for (path, text) in sources() {
        for (name, places) in DEPENDENCIES {
            let used = text
                .lines()
                .filter(|l| !l.trim_start().starts_with("//"))
                .any(|l| {
                    l.match_indices(&format!("{name}::")).any(|(at, _)| {
                        !l[..at]
                            .chars()
                            .next_back()
                            .is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
                    })
                });
            let place = path.to_string_lossy();
            assert!(
                !used || places.iter().any(|p| place.starts_with(p)),
                "{place} names {name}"
            );
        }
    }
}

#[test]
fn every_dependency_has_its_reason() {
    let text = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let start = lines.iter().position(|l| *l == "[dependencies]").unwrap();
    for (at, line) in lines.iter().enumerate().skip(start + 1) {
        if line.starts_with('[') {
            break;
        }
        if line.contains('=') {
            assert!(lines[at - 1].starts_with('#'), "'{line}' has no reason");
        }
    }
}

/// The tree's top holds what it must and nothing else.
#[test]
fn the_top_level_is_tidy() {
    let allowed = [
        ".ci",
        ".git",
        ".gitignore",
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE",
        "README.md",
        "man",
        "scripts",
        "src",
        "target",
        "tests",
        "worker",
    ];
    for entry in std::fs::read_dir(root()).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        assert!(
            allowed.contains(&name.as_str()),
            "'{name}' at the top level"
        );
    }
}
