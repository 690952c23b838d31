//! The packages of a bun project: installed in the lane where they are the lockfile's, sent where they
//! are not or cannot be installed, and nowhere else than the workstation has them.
//!
//! A worker without a registry is one whose bun refuses to install.

mod common;

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::home::{Home, shared_key};
use common::sshd::Sshd;
use common::write;

fn start(name: &str) -> (Sshd, Home) {
    let worker = Sshd::start("css", &shared_key());
    let home = Home::with(name, &[&worker], 4);
    project(&home.project);
    install(&home);
    (worker, home)
}

/// A test that tells what it finds of a package.
fn project(dir: &Path) {
    write(
        &dir.join("package.json"),
        r#"{ "name": "whole", "dependencies": { "part": "file:./part.tgz" } }"#,
    );
    let source = dir.join("package");
    write(
        &source.join("package.json"),
        r#"{ "name": "part", "version": "7.0.0", "main": "index.js" }"#,
    );
    write(&source.join("index.js"), "exports.n = 7;\n");
    let done = Command::new("tar")
        .args(["-czf", "part.tgz", "package"])
        .current_dir(dir)
        .status();
    assert!(done.unwrap().success());
    std::fs::remove_dir_all(source).unwrap();
    write(
        &dir.join("n.test.ts"),
        "import { test } from \"bun:test\";\nimport { n } from \"part\";\ntest(\"n\", () => {\n  console.log(\"n is\", n);\n});\n",
    );
}

fn install(home: &Home) {
    let done = home.command("bun").arg("install").output().unwrap();
    assert!(done.status.success(), "{done:?}");
}

fn tested(home: &Home) -> Output {
    let output = home.exec(&["bun", "test"]);
    let story = home.story(&["bun", "test"], &output);
    assert!(output.status.success(), "{story}");
    output
}

fn says(output: &Output, what: &str) {
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(out.contains(what), "{output:?}");
}

/// A file of the project in every lane that has it.
fn in_lanes(worker: &Sshd, file: &str) -> Vec<PathBuf> {
    let below = |dir: PathBuf| {
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        entries.map(|e| e.path())
    };
    let projects = below(worker.home().join(".cache/rch/lanes"));
    let lanes = projects.flat_map(below).map(|lane| lane.join("root0"));
    lanes
        .map(|root| root.join(file))
        .filter(|f| f.exists())
        .collect()
}

fn stamp(worker: &Sshd) -> (u64, Vec<u8>) {
    let stamps = in_lanes(worker, "node_modules/.rch-tmp-packages");
    assert_eq!(stamps.len(), 1);
    let inode = stamps[0].metadata().unwrap().ino();
    (inode, std::fs::read(&stamps[0]).unwrap())
}

#[test]
fn packages_are_installed_there_when_the_lockfile_changes() {
    let (worker, home) = start("packages");
    says(&tested(&home), "n is 7");
    let first = stamp(&worker);
    assert_eq!(home.status().jobs[0].sent_files, 4, "no package was sent");
    write(&home.project.join("more.test.ts"), "");
    says(&tested(&home), "n is 7");
    assert_eq!(stamp(&worker), first, "nothing was to install");
    let manifest = home.project.join("package.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    write(
        &manifest,
        &text.replace("\"part\":", "\"again\":\"file:./part.tgz\",\"part\":"),
    );
    install(&home);
    says(&tested(&home), "n is 7");
    assert_ne!(stamp(&worker).1, first.1);
    assert_eq!(in_lanes(&worker, "node_modules/again/index.js").len(), 1);
}

#[test]
fn what_cannot_be_installed_is_sent_and_not_tried_again() {
    let (worker, home) = start("packages-fail");
    let real = Command::new("sh")
        .args(["-c", "command -v bun"])
        .output()
        .unwrap();
    let real = String::from_utf8(real.stdout).unwrap();
    let bun = worker.home().join(".bun/bin/bun");
    write(
        &bun,
        &format!(
            "#!/bin/sh\n[ \"$1\" != install ] || {{ echo 'error: no registry' >&2; exit 1; }}\nexec {} \"$@\"\n",
            real.trim()
        ),
    );
    std::fs::set_permissions(&bun, std::fs::Permissions::from_mode(0o755)).unwrap();
    let first = tested(&home);
    says(&first, "n is 7");
    let said = String::from_utf8_lossy(&first.stderr).into_owned();
    let line =
        "rch: worker css: 'bun install' failed: error: no registry; node_modules is sent instead\n";
    assert!(said.starts_with(line), "{said}");
    write(&home.project.join("more.test.ts"), "");
    home.stop();
    let second = tested(&home);
    says(&second, "n is 7");
    assert!(!String::from_utf8_lossy(&second.stderr).contains("rch:"));
    assert_eq!(home.log().matches("'bun install' failed").count(), 1);
    assert_eq!(home.status().workers[0].failures, 0, "it is not to blame");
}

/// What the workstation has counts, not what the lockfile says.
#[test]
fn packages_that_are_not_the_lockfiles_are_sent() {
    let (worker, home) = start("packages-odd");
    let part = home
        .project
        .join("node_modules/part")
        .canonicalize()
        .unwrap();
    std::fs::remove_dir_all(&part).unwrap();
    write(&part.join("index.js"), "exports.n = 8;\n");
    write(&home.project.join("node_modules/unlocked/index.js"), "");
    write(
        &home.project.join(".npmrc"),
        "//registry.example/:_authToken=secret\n",
    );
    says(&tested(&home), "n is 8");
    assert_eq!(
        in_lanes(&worker, "node_modules/.rch-tmp-packages"),
        [""; 0].map(PathBuf::from)
    );
    assert_eq!(in_lanes(&worker, ".npmrc"), [""; 0].map(PathBuf::from));
    assert_eq!(in_lanes(&worker, "n.test.ts").len(), 1);
}

#[test]
fn a_project_that_would_behave_otherwise_there_stays() {
    let (_worker, home) = start("packages-stay");
    let stays = |why: &str| {
        let args = ["exec", "--", "bun", "test"];
        let output = home.rch(&args).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.starts_with("rch: running locally: "), "{said}");
        assert!(said.contains(why), "{said}");
    };
    write(&home.project.join(".env"), "KEY=secret\n");
    stays(".env', which stays here");
    std::fs::remove_file(home.project.join(".env")).unwrap();
    std::fs::remove_dir_all(home.project.join("node_modules")).unwrap();
    stays("its packages are not installed here");
}
