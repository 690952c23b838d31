use std::os::unix::ffi::OsStrExt;

use super::*;
use crate::config::Config;
use crate::scratch::Scratch;

fn scan_with(scratch: &Scratch, project: &Project, include: &[&str]) -> Vec<String> {
    let mut config = Config::default().transfer;
    config.include_patterns = include.iter().map(ToString::to_string).collect();
    let rules = Rules::new(project, &config).unwrap();
    let manifest = scan(project, &rules, 2).unwrap();
    assert!(!scratch.0.as_os_str().is_empty());
    let text = |(name, entry): &(Name, Entry)| {
        let slash = if entry.is_dir() { "/" } else { "" };
        format!("{}:{}{slash}", name.root, name.path.display())
    };
    manifest.iter().map(text).collect()
}

const TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n# This file is a cache directory tag created by cargo.\n";

#[test]
fn kinds_and_odd_names_are_told() {
    let scratch = Scratch::new();
    scratch.file("a/b\nc", "x");
    scratch.file(std::ffi::OsStr::from_bytes(b"\xff"), "x");
    scratch.dir("empty");
    scratch.link("l", "nowhere");
    scratch.link("d", "a");
    let project = scratch.project();
    let found = scan_with(&scratch, &project, &[]);
    assert_eq!(
        found,
        ["0:a/", "0:a/b\nc", "0:d", "0:empty/", "0:l", "0:\u{fffd}"]
    );
}

/// A file that is not readable for all was opened to see whether it is for us; a pipe that had taken its
/// place meanwhile was waited for, and the crew's thread with it.
#[test]
fn what_became_a_pipe_is_not_waited_for() {
    let scratch = Scratch::new();
    scratch.file("secret", "x");
    let file = scratch.0.join("secret");
    let closed = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&file, closed).unwrap();
    let dir = std::fs::File::open(&scratch.0).unwrap();
    let stat = crate::sys::fs::lstatat(&dir, Path::new("secret")).unwrap();
    std::fs::remove_file(&file).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&file).status();
    assert!(made.unwrap().success());
    let full = || file.clone();
    walk::check_readable(&full, &dir, Path::new("secret"), &stat).unwrap();
    let gone = walk::check_readable(&full, &dir, Path::new("gone"), &stat);
    assert!(gone.is_ok(), "what has gone is no objection");
}

/// A pipe in the tree would make a reader wait for ever.
#[test]
fn sockets_are_left_out() {
    let scratch = Scratch::new();
    let _socket = std::os::unix::net::UnixListener::bind(scratch.0.join("s")).unwrap();
    assert!(scan_with(&scratch, &scratch.project(), &[]).is_empty());
}

#[test]
fn target_directories_are_known_by_their_content() {
    let scratch = Scratch::new();
    scratch.file("Cargo.toml", "");
    scratch.file("out/CACHEDIR.TAG", TAG);
    scratch.file("out/debug/app", "");
    scratch.file("target/.rustc_info.json", "");
    scratch.file("sub/target/mod.rs", "");
    scratch.file("sub/Cargo.toml", "");
    scratch.file("cache/CACHEDIR.TAG", TAG.replace("cargo", "pytest"));
    scratch.file("build/gen.rs", "");
    let found = scan_with(&scratch, &scratch.project(), &[]);
    let kept = [
        "build/",
        "build/gen.rs",
        "cache/",
        "cache/CACHEDIR.TAG",
        "sub/",
        "sub/Cargo.toml",
        "sub/target/",
        "sub/target/mod.rs",
    ];
    let mut expected: Vec<String> = kept.iter().map(|p| format!("0:{p}")).collect();
    expected.insert(0, "0:Cargo.toml".into());
    assert_eq!(found, expected);
}

/// The directory that the command builds into stays, even before cargo has marked it.
#[test]
fn the_configured_target_directory_stays() {
    let scratch = Scratch::new();
    scratch.file("bld/x", "");
    scratch.file("src/x", "");
    let mut project = scratch.project();
    project.cargo = Some(crate::roots::Cargo {
        workspace: scratch.0.clone(),
        target_dir: scratch.0.join("bld"),
        build_dir: None,
        targets: vec![],
        artifact_dir: None,
        runner: false,
    });
    assert_eq!(scan_with(&scratch, &project, &[]), ["0:src/", "0:src/x"]);
}

#[test]
fn includes_are_fetched_out_of_what_stays() {
    let scratch = Scratch::new();
    scratch.file("target/CACHEDIR.TAG", TAG);
    scratch.file("target/data/a.bin", "");
    scratch.file("target/data/b.txt", "");
    scratch.file("target/debug/app", "");
    scratch.file("node_modules/x/y", "");
    let found = scan_with(
        &scratch,
        &scratch.project(),
        &["target/data/*.bin", "node_modules"],
    );
    let expected = [
        "node_modules/",
        "node_modules/x/",
        "node_modules/x/y",
        "target/",
        "target/data/",
        "target/data/a.bin",
    ];
    assert_eq!(found, expected.map(|p| format!("0:{p}")));
}

#[test]
fn roots_may_sync_single_files_or_none() {
    let (scratch, other) = (Scratch::new(), Scratch::new());
    scratch.file("src/x", "");
    other.file(".cargo/config.toml", "");
    other.file(".cargo/credentials", "");
    let mut project = scratch.project();
    let root = |only: &[&str]| Root {
        path: other.0.clone(),
        only: Some(only.iter().map(PathBuf::from).collect()),
    };
    project
        .roots
        .extend([root(&[".cargo/config.toml", "missing"]), root(&[])]);
    let found = scan_with(&scratch, &project, &[]);
    assert_eq!(
        found,
        ["0:src/", "0:src/x", "1:.cargo/", "1:.cargo/config.toml"]
    );
}

#[test]
fn a_missing_root_is_an_error() {
    let scratch = Scratch::new();
    let mut project = scratch.project();
    project.roots.push(Root::whole(scratch.0.join("gone")));
    let rules = Rules::new(&project, &Config::default().transfer).unwrap();
    let error = scan(&project, &rules, 3).unwrap_err();
    assert!(error.text().contains("gone"), "{error}");
}

#[test]
fn secrets_are_known_by_what_they_hold() {
    let scratch = Scratch::new();
    scratch.file("id_work", "-----BEGIN OPENSSH PRIVATE KEY-----\nabc");
    scratch.file("id_map", "def id(): pass");
    scratch.file("a/.npmrc", "//registry.npmjs.org/:_authToken=abc");
    scratch.file("b/.npmrc", "save-exact=true");
    scratch.file(
        ".git/config",
        "[remote \"o\"]\n\turl = https://me:word@host/x\n",
    );
    scratch.file(
        "s/.git/config",
        "[remote \"o\"]\n\turl = ssh://git@host/x\n",
    );
    let found = scan_with(&scratch, &scratch.project(), &[]);
    let expected = [
        ".git/",
        "a/",
        "b/",
        "b/.npmrc",
        "id_map",
        "s/",
        "s/.git/",
        "s/.git/config",
    ];
    assert_eq!(found, expected.map(|p| format!("0:{p}")));
}

/// How long a large tree takes: for people, `cargo test --release scan -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn a_hundred_thousand_files() {
    let scratch = Scratch::new();
    for dir in 0..5000 {
        for file in 0..20 {
            scratch.file(format!("d{}/s{}/f{file}", dir / 50, dir % 50), "text");
        }
    }
    let project = scratch.project();
    let rules = Rules::new(&project, &Config::default().transfer).unwrap();
    for threads in [1, 2, 2, 4] {
        let start = std::time::Instant::now();
        let manifest = scan(&project, &rules, threads).unwrap();
        let scanned = start.elapsed();
        let changes = manifest.changes(&manifest.clone()).puts.len();
        let (compared, encoded) = (start.elapsed(), manifest.encode().len());
        let digest = manifest.digest();
        let line = format!(
            "{threads} {} {scanned:?} {compared:?} {changes} {encoded} {digest:?}\n",
            manifest.len()
        );
        std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes()).unwrap();
    }
}

/// Or a large tree would be sorted by whole paths after all, unnoticed.
#[test]
fn a_walk_finds_things_in_the_manifests_order() {
    let scratch = Scratch::new();
    for path in ["a/x/y", "a/x.c", "a.c/z", "a-b", "a0", "B/b/c", "B-/q", "b"] {
        scratch.file(path, "");
    }
    let project = scratch.project();
    let rules = Rules::new(&project, &Config::default().transfer).unwrap();
    let found = walk::walk(&project, &rules, time::now(), 2).unwrap();
    let order = |a: &(Name, Entry), b: &(Name, Entry)| crate::manifest::order(&a.0, &b.0).is_lt();
    assert_eq!(found.len(), 14);
    assert!(found.is_sorted_by(order), "{found:?}");
}
