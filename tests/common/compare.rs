//! The habit that finds most bugs: every remote run is compared with a local run of the same command
//! in the same place, byte for byte.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use super::home::Home;

/// What a run left behind.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    pub stdout: String,
    pub stderr: String,
    pub code: Option<i32>,
    pub signal: Option<i32>,
    /// Path → (mode, content), content of files that `skip` does not name.
    pub files: BTreeMap<PathBuf, (u32, Vec<u8>)>,
}

/// Files in `dir` for which `keep` says yes.
pub fn files(dir: &Path, keep: &dyn Fn(&Path) -> bool) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    walk(dir, dir, keep, &mut found);
    found
}

fn walk(
    top: &Path,
    dir: &Path,
    keep: &dyn Fn(&Path) -> bool,
    found: &mut BTreeMap<PathBuf, (u32, Vec<u8>)>,
) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let meta = path.symlink_metadata().unwrap();
        if meta.is_dir() {
            walk(top, &path, keep, found);
        } else if keep(path.strip_prefix(top).unwrap()) {
            let content = if meta.is_symlink() {
                std::fs::read_link(&path)
                    .unwrap()
                    .into_os_string()
                    .into_encoded_bytes()
            } else {
                std::fs::read(&path).unwrap()
            };
            found.insert(
                path.strip_prefix(top).unwrap().into(),
                (meta.permissions().mode() & 0o7777, content),
            );
        }
    }
}

pub fn outcome(output: Output, dir: &Path, keep: &dyn Fn(&Path) -> bool) -> Outcome {
    Outcome {
        stdout: steady(&output.stdout),
        stderr: steady(&output.stderr),
        code: output.status.code(),
        signal: output.status.signal(),
        files: files(dir, keep),
    }
}

/// Text without what differs between any two runs: durations, and the order of a parallel build's
/// progress lines and of parallel tests' results.
pub fn steady(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let mut lines: Vec<String> = text.lines().map(duration_free).collect();
    let parallel = |l: &String| {
        let l = l.trim_start();
        l.starts_with("Compiling ") || l.starts_with("Checking ") || l.starts_with("test ")
    };
    let mut at = 0;
    while at < lines.len() {
        let end = lines[at..]
            .iter()
            .position(|l| !parallel(l))
            .map_or(lines.len(), |n| at + n);
        lines[at..end].sort();
        at = end + 1;
    }
    lines.join("\n")
}

/// `[0.52ms]` at the end of bun's lines, which stands there only if it is not too short.
fn span_free(line: &str) -> &str {
    let head = line.strip_suffix("ms]").and_then(|l| l.rsplit_once(" ["));
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    head.filter(|(_, span)| number(span))
        .map_or(line, |(head, _)| head)
}

/// `in 0.52s` and `finished in 1m 02s` become `in TIME`; the number of a panicking thread goes.
fn duration_free(line: &str) -> String {
    let line = span_free(line);
    if let Some((head, tail)) = line
        .strip_prefix("thread '")
        .and_then(|l| l.split_once("' ("))
    {
        let tail = tail.trim_start_matches(|c: char| c.is_ascii_digit());
        return format!("thread '{head}' (N{tail}");
    }
    match line.rfind(" in ") {
        Some(at) if line[at + 4..].starts_with(|c: char| c.is_ascii_digit()) => {
            format!("{} in TIME", &line[..at])
        }
        _ => line.to_owned(),
    }
}

/// Runs the command remotely in a fresh project, then locally in the same place, and compares. `make`
/// lays the project out; `keep` says which files count.
pub fn compare(
    home: &Home,
    make: &dyn Fn(&Path),
    argv: &[&str],
    keep: &dyn Fn(&Path) -> bool,
) -> Outcome {
    compare_with(home, make, argv, keep, &[])
}

pub fn compare_with(
    home: &Home,
    make: &dyn Fn(&Path),
    argv: &[&str],
    keep: &dyn Fn(&Path) -> bool,
    env: &[(&str, &str)],
) -> Outcome {
    fresh(home, make);
    let mut cmd = home.rch(&["exec", "--"]);
    cmd.args(argv)
        .envs(env.iter().copied())
        .env("RCH_REQUIRE_REMOTE", "1");
    let output = cmd.output().unwrap();
    assert_ne!(
        output.status.code(),
        Some(122),
        "{}",
        home.story(argv, &output)
    );
    let story = home.story(argv, &output);
    let remote = outcome(output, &home.project, keep);
    fresh(home, make);
    let output = home
        .command(argv[0])
        .args(&argv[1..])
        .envs(env.iter().copied())
        .output()
        .unwrap();
    let local = outcome(output, &home.project, keep);
    assert_eq!(remote.stdout, local.stdout, "stdout of {argv:?}\n{story}");
    assert_eq!(remote.stderr, local.stderr, "stderr of {argv:?}\n{story}");
    assert_eq!(
        (remote.code, remote.signal),
        (local.code, local.signal),
        "status of {argv:?}\n{story}"
    );
    let names = |o: &Outcome| {
        o.files
            .iter()
            .map(|(p, (m, c))| (p.clone(), *m, c.len()))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(&remote),
        names(&local),
        "files (path, mode, size) of {argv:?}\n{story}"
    );
    for (path, (_, content)) in &remote.files {
        assert!(
            *content == local.files[path].1,
            "'{}' differs after {argv:?}\n{story}",
            path.display()
        );
    }
    remote
}

fn fresh(home: &Home, make: &dyn Fn(&Path)) {
    std::fs::remove_dir_all(&home.project).unwrap();
    std::fs::create_dir_all(&home.project).unwrap();
    make(&home.project);
}
