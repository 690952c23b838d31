//! The README, done as it says: on an empty home, with a worker that has never heard of rch.
//!
//! Every line of its shell blocks is run, in order, by a shell. `css.example.org` is a real sshd, found
//! through an ssh configuration as a person's own would have it; the few lines that are not run, or
//! not as they stand, are named here with the reason.

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use common::home::{Home, shared_key};
use common::sshd::{Oddities, Sshd};
use common::{bin, sample_crate, write};

/// Built already, or a test of their own.
const NOT_RUN: [&str; 3] = ["cargo build --release", "scripts/demo", "scripts/test"];

/// These go on until they are interrupted.
const ENDLESS: [&str; 2] = ["--watch", "--follow"];

fn readme() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap()
}

/// The lines of all shell blocks, without comments.
fn lines() -> Vec<String> {
    let readme = readme();
    let blocks = readme.split("```sh\n").skip(1);
    let lines = blocks.flat_map(|b| b.split("```").next().unwrap().lines());
    let bare = lines.map(|l| l.split(" #").next().unwrap().trim_end().to_string());
    bare.filter(|l| !l.is_empty()).collect()
}

/// ssh and scp take the home from the password file, so they are told where its configuration is.
fn ssh_by_name(home: &Home, worker: &Sshd) {
    let config = home.path().join(".ssh/config");
    let text = format!(
        "Host css.example.org\n HostName 127.0.0.1\n Port {}\n IdentityFile {}\n StrictHostKeyChecking no\n UserKnownHostsFile /dev/null\n LogLevel ERROR\n",
        worker.port,
        home.key().display()
    );
    write(&config, &text);
    for name in ["ssh", "scp"] {
        let place = home.path().join("wrap").join(name);
        let text = format!(
            "#!/bin/sh\nexec /usr/bin/{name} -F {} \"$@\"\n",
            config.display()
        );
        write(&place, &text);
        std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// Runs a line as a person's shell would.
fn type_in(home: &Home, line: &str) -> Output {
    let here = home.path();
    let mut path = format!("{}/wrap:{}/.local/bin:", here.display(), here.display());
    path.push_str(&std::env::var("PATH").unwrap());
    let mut cmd: Command = home.command("bash");
    cmd.env("PATH", path).args(["--norc", "-c", line]);
    cmd.stdin(Stdio::null()).output().unwrap()
}

#[test]
fn every_command_of_the_readme_works() {
    let odd = Oddities {
        bare: true,
        ..Oddities::default()
    };
    let worker = Sshd::odd("css", &shared_key(), &odd);
    let home = Home::new("readme");
    sample_crate(&home.project);
    ssh_by_name(&home, &worker);
    let mut ran = vec![];
    for line in lines() {
        if NOT_RUN.iter().any(|n| line.starts_with(n)) {
            continue;
        }
        let mut real = line.clone();
        for name in ["rch", "rchd", "rch-wkr"] {
            let built = bin(name).display().to_string();
            real = replace_word(&real, &format!("target/release/{name}"), &built);
        }
        if line.contains("j17") {
            let status = home.status();
            let job = status.jobs.iter().find(|j| j.state == "done");
            let job = job.expect("a job has run");
            real = line.replace("j17", &format!("j{}", job.id));
        }
        let endless = ENDLESS.iter().any(|e| line.contains(e));
        if endless {
            // Interrupted, one ends well and the other as tail(1) does.
            real = format!(
                "timeout --preserve-status --signal=INT 2 {real}; s=$?; [ $s = 0 ] || [ $s = 130 ]"
            );
        }
        let output = type_in(&home, &real);
        let said = format!(
            "{real}\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(
            output.status.success(),
            "{:?}: {said}\n{}",
            output.status,
            home.log()
        );
        ran.push((line, said));
    }
    let said = |part: &str| {
        let found = ran.iter().find(|(line, _)| line.contains(part));
        &found
            .unwrap_or_else(|| panic!("'{part}' is not in the README"))
            .1
    };
    assert!(said("workers probe css").contains("css: OK (latency "));
    assert!(said("-v exec -- cargo build").contains(" ran on css, lane 0, with "));
    assert!(said("rch classify").contains("rch exec -- cargo test 2>&1 | tail -50"));
    assert!(said("rch doctor").contains("ran there, and its program here"));
    assert!(said("RCH_DRY_RUN=1").contains("rch: it would go to css\n"));
    assert!(said("rch logs").contains("Finished"));
    assert!(home.project.join("target/debug/sample").exists());
    assert!(ran.len() >= 20, "only {} lines were found", ran.len());
}

/// Replaces `word` where it stands alone.
fn replace_word(line: &str, word: &str, by: &str) -> String {
    let one = |w: &str| {
        if w == word {
            by.to_string()
        } else {
            w.to_string()
        }
    };
    line.split(' ').map(one).collect::<Vec<_>>().join(" ")
}

/// What the README shows of `-v` has (tests/views.rs compares its pages) the form that the programs give it.
#[test]
fn the_transcripts_have_todays_form() {
    let readme = readme();
    for part in [
        "ran on css, lane 0, with 4 slots",
        "s of it the command's own; there ",
    ] {
        assert!(readme.contains(part), "{part}");
    }
}

/// It named an older toolchain than the one that is needed.
#[test]
fn the_toolchain_it_asks_for_is_the_one_that_is_needed() {
    let needed = env!("CARGO_PKG_RUST_VERSION");
    let said = format!("A Rust toolchain of {needed} or newer");
    assert!(readme().contains(&said), "{said}");
}
