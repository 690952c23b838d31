//! What a power cut leaves of a worker, seen from home. A test cannot cut the power; it can end every
//! process there, have the kernel name another boot, and spoil what need not have reached the disk.

mod common;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use common::compare::{Outcome, outcome};
use common::home::{Home, shared_key};
use common::sshd::{Oddities, Sshd};
use common::{sample_crate, wait_for, write};

fn start(name: &str) -> (Sshd, Home) {
    let odd = Oddities {
        reboots: true,
        ..Oddities::default()
    };
    let worker = Sshd::odd("css", &shared_key(), &odd);
    let home = Home::with(name, &[&worker], 4);
    sample_crate(&home.project);
    write(
        &home.project.join("Cargo.toml"),
        "[package]\nname = \"sample\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\n[dependencies]\ndep = { path = \"dep\" }\n\n[workspace]\n",
    );
    write(
        &home.project.join("dep/Cargo.toml"),
        "[package]\nname = \"dep\"\nversion = \"0.1.0\"\nedition = \"2021\"\n",
    );
    write(&home.project.join("dep/src/lib.rs"), "pub fn f() {}\n");
    (worker, home)
}

fn binary(path: &Path) -> bool {
    !path.starts_with("target") || path.ends_with("debug/sample")
}

fn remote(home: &Home) -> Outcome {
    let argv = ["cargo", "build"];
    let output = home.exec(&argv);
    assert!(output.status.success(), "{}", home.story(&argv, &output));
    outcome(output, &home.project, &binary)
}

/// A build from nothing, here and in the same place.
fn local(home: &Home) -> Outcome {
    fs::remove_dir_all(home.project.join("target")).unwrap();
    let output = home.command("cargo").arg("build").output().unwrap();
    outcome(output, &home.project, &binary)
}

/// The worker's only lane, once it is given back.
fn lane(worker: &Sshd) -> PathBuf {
    let lanes = worker.home().join(".cache/rch/lanes");
    let mut all = fs::read_dir(lanes).unwrap().flatten();
    let project = all.find(|e| !e.file_name().as_encoded_bytes().starts_with(b"."));
    let lane = project.expect("a project").path().join("0");
    wait_for("the lane to be given back", || {
        let state = fs::read_to_string(lane.join("state")).unwrap_or_default();
        state.contains("clean true").then_some(())
    });
    lane
}

/// Cuts every compiled library in half; sizes aside, all of them look as before.
fn tear(lane: &Path) -> usize {
    let deps = fs::read_dir(lane.join("root0/target/debug/deps")).unwrap();
    let libs = deps.flatten().map(|e| e.path());
    let libs = libs.filter(|p| p.extension().is_some_and(|e| e == "rlib" || e == "rmeta"));
    libs.map(|path| {
        let file = File::options().write(true).open(path).unwrap();
        let meta = file.metadata().unwrap();
        file.set_len(meta.len() / 2).unwrap();
        file.set_modified(meta.modified().unwrap()).unwrap();
    })
    .count()
}

/// The lane was clean, so what cargo had built in it was used: half a library, of which the compiler
/// said that it was none.
#[test]
fn what_a_power_cut_tore_is_made_anew() {
    let (worker, home) = start("torn");
    remote(&home);
    let lane = lane(&worker);
    // It comes before the worker has been idle for long enough.
    let _ = fs::remove_file(lane.join("durable"));
    worker.reboot();
    assert!(tear(&lane) > 1);
    // It would draw jobs that find nothing there.
    wait_for("the daemon to forget the lane", || {
        home.log().contains("is gone").then_some(())
    });
    write(
        &home.project.join("src/main.rs"),
        "fn main() {\n    dep::f();\n    println!(\"{}\", sample::place());\n}\n",
    );
    let there = remote(&home);
    assert_eq!(there, local(&home));
    assert_eq!(home.status().totals.remote, 2);
}

/// What had reached the disk is used after it, and nothing is built twice.
#[test]
fn what_was_on_the_disk_is_as_good_as_before() {
    let (worker, home) = start("whole");
    remote(&home);
    let lane = lane(&worker);
    // As if the lane had stood for so long: the ping behind the next greeting finds it.
    home.stop();
    let long_ago = SystemTime::now() - Duration::from_secs(60);
    let state = File::options().append(true).open(lane.join("state"));
    state.unwrap().set_modified(long_ago).unwrap();
    let started = home.rch(&["daemon", "start"]).output().unwrap();
    assert!(started.status.success(), "{started:?}");
    wait_for("the lane to be synced", || {
        let note = fs::read_to_string(lane.join("durable"));
        note.is_ok_and(|note| note.ends_with('\n')).then_some(())
    });
    worker.reboot();
    let again = remote(&home);
    assert!(!home.log().contains("is gone"), "{}", home.log());
    assert!(!again.stderr.contains("Compiling"), "{}", again.stderr);
    assert_eq!(again.files, local(&home).files);
    assert_eq!(home.status().totals.remote, 1);
}
