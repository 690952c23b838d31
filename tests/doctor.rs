//! `rch doctor` on a real home: all well, and each thing that keeps work here, found by its remedy.

mod common;

use common::home::{Home, shared_key};
use common::sshd::{Oddities, Sshd};
use common::{script, write};
use serde_json::Value;

/// What it finds: (step, verdict, text, hint), and its exit status.
fn examine(home: &Home) -> (Vec<[String; 4]>, Option<i32>) {
    let output = home.rch(&["--json", "doctor"]).output().unwrap();
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |f: &Value, key: &str| f[key].as_str().unwrap().to_string();
    let found = json["data"].as_array().unwrap().iter();
    let found = found.map(|f| ["step", "verdict", "text", "hint"].map(|k| text(f, k)));
    (found.collect(), output.status.code())
}

/// The finding at a step that is not well, or else the first there.
fn at<'a>(found: &'a [[String; 4]], step: &str) -> &'a [String; 4] {
    let mut here = found.iter().filter(|f| f[0] == step);
    let worst = here.clone().find(|f| f[1] != "ok");
    let any = worst.or_else(|| here.next());
    any.unwrap_or_else(|| panic!("no step '{step}' in {found:?}"))
}

#[test]
fn a_real_build_proves_that_a_worker_works() {
    let home = Home::new("doctor-well");
    let (found, status) = examine(&home);
    assert_eq!(status, Some(0), "{found:?}");
    let trial = at(&found, "trial local");
    assert_eq!(trial[1], "ok", "{trial:?}");
    assert!(
        trial[2].contains("ran there, and its program here"),
        "{trial:?}"
    );
    assert_eq!(home.status().totals.remote, 1);
    assert_eq!(at(&found, "rewrite")[1], "ok");
    assert_eq!(at(&found, "hook")[1], "note");
    assert!(!home.path().join(".cache/rch/doctor").exists());
    // An empty folder says of no agent that it is used.
    std::fs::create_dir_all(home.path().join(".codex")).unwrap();
    let mask = ["hook", "install", "--masquerade"];
    let installed = home.rch(&mask).output().unwrap();
    assert!(installed.status.success(), "{installed:?}");
    let (found, _) = examine(&home);
    let hook = at(&found, "hook");
    assert!(
        hook[1] == "ok" && hook[2].contains("links named as compilers"),
        "{hook:?}"
    );
    let installed = home.rch(&["hook", "install"]).output().unwrap();
    assert!(installed.status.success(), "{installed:?}");
    let (found, _) = examine(&home);
    let hook = at(&found, "hook");
    assert!(
        hook[1] == "ok" && hook[2].contains(".claude/settings.json"),
        "{hook:?}"
    );
    let quiet = home.rch(&["--quiet", "doctor"]).output().unwrap();
    assert_eq!((quiet.stdout.len(), quiet.status.code()), (0, Some(0)));
}

#[test]
fn what_keeps_work_here_is_found_with_its_remedy() {
    let home = Home::new("doctor-ill");
    let config = home.path().join(".config/rch/config.toml");
    write(&config, "[compilation]\nlocal_kinds = [\"build\"]\n");
    let (found, status) = examine(&home);
    let trial = at(&found, "trial local");
    assert_eq!((trial[1].as_str(), status), ("wrong", Some(1)), "{found:?}");
    assert!(trial[2].contains("compilation.local_kinds"), "{trial:?}");
    assert!(
        trial[3].contains("rch config set compilation.local_kinds"),
        "{trial:?}"
    );
    // It was told like a matter of taste, and the trial's hint led elsewhere.
    write(&config, "[compilation]\nbuild_slots = \"four\"\n");
    let (found, _) = examine(&home);
    let place = format!("{}:2:", config.display());
    for step in ["files", "trial local"] {
        let broken = at(&found, step);
        assert_eq!(broken[1], "wrong", "{broken:?}");
        assert!(broken[2].starts_with(&place), "{broken:?}");
        assert!(broken[3].starts_with("correct it; "), "{broken:?}");
    }
    write(&config, "[compilation]\nbiuld_slots = 4\n");
    let (found, status) = examine(&home);
    assert_eq!(at(&found, "files")[1], "note");
    assert_eq!(status, Some(0), "{found:?}");
    std::fs::remove_file(&config).unwrap();

    let drained = home.rch(&["workers", "drain", "local"]).output().unwrap();
    assert!(drained.status.success(), "{drained:?}");
    // It once said that nothing stands in the way.
    let (found, status) = examine(&home);
    assert_eq!(status, Some(1));
    let drained = found.iter().find(|f| f[1] == "wrong").unwrap();
    assert!(drained[2].contains("is drained"), "{drained:?}");
    assert_eq!(drained[3], "rch workers enable local");
    let enabled = home.rch(&["workers", "enable", "local"]).output().unwrap();
    assert!(enabled.status.success(), "{enabled:?}");

    let settings = home.path().join(".claude/settings.json");
    write(
        &settings,
        "{\"permissions\":{\"deny\":[\"Bash(cargo build:*)\"]},\"sandbox\":{\"enabled\":true}}",
    );
    let (found, status) = examine(&home);
    assert_eq!(status, Some(1));
    assert_eq!(at(&found, "rewrite")[1], "wrong");
    assert!(at(&found, "sandbox")[3].contains("allowAllUnixSockets"));
    let hook = at(&found, "hook");
    assert_eq!(hook[3], "rch hook install --agent claude");
    write(&settings, "{broken");
    assert_eq!(at(&examine(&home).0, "hook")[1], "wrong");
}

fn fleet(home: &Home, text: &str) {
    write(&home.path().join(".config/rch/workers.toml"), text);
}

/// A fleet of which nobody may be used is the commonest reason of all, and was reported as fine.
#[test]
fn a_fleet_that_takes_nothing_is_wrong() {
    let home = Home::new("doctor-idle");
    fleet(
        &home,
        "[[workers]]\nid = \"css\"\nhost = \"192.0.2.1\"\nenabled = false\n",
    );
    let (found, status) = examine(&home);
    let workers = at(&found, "workers");
    assert_eq!((workers[1].as_str(), status), ("wrong", Some(1)));
    assert!(
        workers[3].starts_with("enabled = true for 'css' in '"),
        "{workers:?}"
    );
    // One that is drained beside one that is not keeps nothing from going.
    fleet(
        &home,
        "[[workers]]\nid = \"a\"\ntransport = \"local\"\n[[workers]]\nid = \"b\"\ntransport = \"local\"\n",
    );
    for args in [["daemon", "reload"].as_slice(), &["workers", "drain", "b"]] {
        let done = home.rch(args).output().unwrap();
        assert!(done.status.success(), "{done:?}");
    }
    let (found, status) = examine(&home);
    assert_eq!(status, Some(0), "{found:?}");
    let trial = at(&found, "trial b");
    assert_eq!(
        (trial[1].as_str(), trial[3].as_str()),
        ("note", "rch workers enable b")
    );
}

/// The order is that of a job's way, and each step is there though nothing is wrong with it.
#[test]
fn every_step_of_the_way_is_looked_at_in_its_order() {
    let home = Home::new("doctor-steps");
    let (found, _) = examine(&home);
    let steps = [
        "files",
        "hook",
        "rewrite",
        "settings",
        "programs",
        "socket",
        "daemon",
        "worker local",
        "tools local",
        "trial local",
    ];
    let at = |step: &&str| found.iter().position(|f| f[0] == **step);
    let places: Vec<Option<usize>> = steps.iter().map(at).collect();
    assert!(
        places.iter().all(Option::is_some) && places.is_sorted(),
        "{found:?}"
    );
}

#[test]
fn what_loosens_or_doubles_the_daemon_is_found() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new("doctor-loose");
    let mode = |path: &std::path::Path, mode| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(path, mode).unwrap();
    };
    let started = home.rch(&["daemon", "start"]).output().unwrap();
    assert!(started.status.success(), "{started:?}");
    let second = home.path().join("second.sock");
    let mut rchd = home.command(common::bin("rchd").to_str().unwrap());
    let mut rchd = rchd
        .arg("--socket")
        .arg(&second)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    common::wait_for("a second daemon", || second.exists().then_some(()));
    mode(&home.path().join(".cache/rch"), 0o777);
    let (found, _) = examine(&home);
    rchd.kill().unwrap();
    rchd.wait().unwrap();
    let socket = at(&found, "socket");
    assert_eq!(socket[1], "wrong");
    assert!(socket[3].starts_with("chmod 700 "), "{socket:?}");
    let daemon = at(&found, "daemon");
    assert_eq!(daemon[3], format!("kill {}", rchd.id()), "{daemon:?}");
}

/// Whoever made the folder, a daemon closes it; a folder that the user named for the socket it leaves.
#[test]
fn the_daemon_closes_its_folder_to_others() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new("doctor-closed");
    let [ours, named] = [".cache/rch", "named"].map(|dir| home.path().join(dir));
    for dir in [&ours, &named] {
        std::fs::create_dir_all(dir).unwrap();
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let config = home.path().join(".config/rch/config.toml");
    let socket = named.join("s");
    write(
        &config,
        &format!("[general]\nsocket_path = \"{}\"\n", socket.display()),
    );
    let started = home.rch(&["daemon", "start"]).output().unwrap();
    assert!(started.status.success(), "{started:?}");
    let mode = |dir: &std::path::Path| dir.metadata().unwrap().permissions().mode() & 0o777;
    let modes = (mode(&ours), mode(&named));
    // It listens where the home does not look for it at its end.
    let stopped = home.rch(&["daemon", "stop"]).output().unwrap();
    assert!(stopped.status.success(), "{stopped:?}");
    assert_eq!(modes, (0o700, 0o755));
}

/// ssh refuses a key that others may read, and no job would go; that was told like a matter of taste.
#[test]
fn a_key_that_ssh_refuses_is_wrong_until_its_remedy_is_done() {
    let worker = Sshd::start("css", &shared_key());
    let home = Home::new("doctor-key");
    let key = home.path().join("a key");
    std::fs::copy(shared_key(), &key).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(&key, mode).unwrap();
    fleet(&home, &worker.entry(&key, 4));
    let (found, status) = examine(&home);
    let files = at(&found, "files");
    assert_eq!((files[1].as_str(), status), ("wrong", Some(1)), "{found:?}");
    assert!(
        files[2].contains("(mode 0644); ssh refuses it"),
        "{files:?}"
    );
    assert_eq!(at(&found, "worker css")[1], "wrong", "ssh refuses it, too");
    let remedy = home.command("sh").args(["-c", &files[3]]).status();
    assert!(remedy.unwrap().success(), "{files:?}");
    // Where nothing uses the key, its mode is no hindrance.
    let (found, status) = examine(&home);
    assert_eq!(status, Some(0), "{found:?}");
    assert_eq!(at(&found, "files")[1], "ok");
}

/// A copy that went wrong was "the connection was closed", and one that may not be run a matter of keys.
#[test]
fn a_program_there_that_is_not_ours_has_a_remedy_of_its_own() {
    let worker = Sshd::start("css", &shared_key());
    let home = Home::with("doctor-program", &[&worker], 4);
    let program = worker.home().join(".local/bin/rch-wkr");
    let real = std::fs::read(&program).unwrap();
    let probe = || {
        let output = home.rch(&["--json", "workers", "probe"]).output().unwrap();
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        let text = |key: &str| json["data"][0][key].as_str().unwrap().to_string();
        (text("error"), text("hint"))
    };
    let probed = |text: &[u8]| {
        // One that runs cannot be written over.
        let new = program.with_extension("new");
        script(&new, "");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(&new, &program).unwrap();
        probe()
    };
    let copies = |hint: &str| hint.starts_with("scp ") && hint.contains(" && ssh ");
    let (error, hint) = probed(b"#!/bin/sh\nexit 3\n");
    assert_eq!(
        error,
        "rch-wkr there ended with status 3 and without a greeting"
    );
    assert!(copies(&hint), "{hint}");
    let (error, hint) = probed(b"#!/bin/sh\nkill -9 $$\n");
    assert_eq!(error, "the connection was closed");
    assert!(hint.ends_with(" .local/bin/rch-wkr --version"), "{hint}");
    let (error, hint) = probed(b"#!/bin/sh\nhead -c 1000000 /dev/zero; sleep 60\n");
    assert_eq!(error, "the worker does not speak our protocol");
    assert!(copies(&hint), "{hint}");
    let (error, hint) = probed(b"\x7fELF of no processor");
    assert!(
        error.to_lowercase().contains("exec format error"),
        "{error}"
    );
    assert!(hint.contains("built for the worker's processor"), "{hint}");
    let (error, hint) = probed(b"#!/bin/sh\n[ \"$1\" = --version ] || sleep 60\n");
    assert!(error.contains("did not answer within"), "{error}");
    let line = hint.split_once(": ssh ").expect(&hint).1;
    assert!(line.ends_with(" .local/bin/rch-wkr --version"), "{hint}");

    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(&program, mode).unwrap();
    let (_, hint) = probe();
    assert!(hint.ends_with(" chmod 755 .local/bin/rch-wkr"), "{hint}");
    std::fs::write(&program, &real).unwrap();
    // Written by the test, not by the worker's user.
    std::os::unix::fs::chown(&program, Some(worker.uid), None).unwrap();
    let remedy = home.command("sh").args(["-c", &hint]).status();
    assert!(remedy.unwrap().success(), "{hint}");
    let probed = home.rch(&["workers", "probe"]).output().unwrap();
    assert!(probed.status.success(), "{probed:?}");
}

/// What it finds where this is the only worker.
fn odd_worker(name: &str, worker: &Sshd) -> (Vec<[String; 4]>, Option<i32>) {
    examine(&Home::with(&format!("doctor-{name}"), &[worker], 4))
}

#[test]
fn a_worker_with_a_wrong_clock_is_noted() {
    let worker = Sshd::start("css", &shared_key());
    worker.shift(-3600);
    let (found, status) = odd_worker("clock", &worker);
    let clock = at(&found, "worker css");
    let (text, hint) = (&clock[2], &clock[3]);
    let behind = text.starts_with("its clock is ") && text.ends_with(" behind");
    assert!(behind && clock[1] == "note", "{found:?}");
    assert_eq!(hint, "run an NTP client there");
    assert_eq!(
        (at(&found, "trial css")[1].as_str(), status),
        ("ok", Some(0))
    );
}

#[test]
fn a_worker_with_an_old_rsync_is_noted() {
    let worker = Sshd::start("css", &shared_key());
    let rsync = "#!/bin/sh\necho 'rsync  version 3.1.2  protocol version 31'\n";
    script(&worker.home().join("old/rsync"), rsync);
    worker.wrap("export PATH=/home/builder/old:$PATH", "$real");
    let (found, status) = odd_worker("rsync", &worker);
    let rsync = at(&found, "worker css");
    assert_eq!(rsync[1], "note", "{found:?}");
    assert_eq!(rsync[2], "rsync 3.1.2 there has known holes");
    assert_eq!(rsync[3], "install rsync 3.4.0 or newer on the worker");
    assert_eq!(status, Some(0));
}

/// As where the sysctl user.max_user_namespaces is 0: in a namespace of its own it can be.
#[test]
fn a_worker_that_forbids_namespaces_is_noted() {
    let worker = Sshd::start("css", &shared_key());
    worker.wrap(
        "",
        "unshare --user --map-current-user --keep-caps sh -c 'echo 0 >/proc/sys/user/max_user_namespaces && exec setpriv --inh-caps=-all --ambient-caps=-all --bounding-set=-all \"$@\"' sh $real",
    );
    let (found, status) = odd_worker("spaces", &worker);
    let spaces = at(&found, "worker css");
    assert_eq!(spaces[1], "note", "{found:?}");
    assert!(spaces[2].starts_with("jobs do not see the project at its own path: "));
    assert!(spaces[3].contains("user namespaces"), "{spaces:?}");
    assert_eq!(
        (at(&found, "trial css")[1].as_str(), status),
        ("ok", Some(0))
    );
}

/// Of a disk with nothing left on it no word was said, and the compiler that could not write was taken
/// for one that refused the program.
#[test]
fn a_worker_whose_disk_is_full_is_wrong() {
    let odd = Oddities {
        home_mib: Some(1),
        ..Oddities::default()
    };
    let worker = Sshd::odd("css", &shared_key(), &odd);
    let (found, status) = odd_worker("disk", &worker);
    let disk = at(&found, "worker css");
    assert!(disk[2].ends_with(" free on its disk"), "{found:?}");
    assert_eq!(disk[3], "free some space there");
    let trial = at(&found, "trial css");
    assert_eq!((trial[1].as_str(), status), ("wrong", Some(1)), "{found:?}");
    assert_eq!(trial[3], "free some space there", "{found:?}");
}

/// The compiler of this machine decides where jobs go: a worker without it is named, with the command
/// that brings it.
#[test]
fn a_toolchain_that_a_worker_lacks_is_named() {
    let home = Home::new("doctor-tools");
    let started = home.rch(&["daemon", "start"]).output().unwrap();
    assert!(started.status.success(), "{started:?}");
    let rustc = home.path().join("bin/rustc");
    script(
        &rustc,
        "#!/bin/sh\necho 'rustc 1.2.3 (abcdef 2015-08-03)'\n",
    );
    let mut doctor = home.rch(&["--json", "doctor"]);
    let path = std::env::var("PATH").unwrap();
    let bin = rustc.parent().unwrap().display().to_string();
    let output = doctor
        .env("PATH", format!("{bin}:{path}"))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("rust 1.2.3 of this machine is not there"),
        "{text}"
    );
    assert!(
        text.contains(".cargo/bin/rustup toolchain install 1.2.3"),
        "{text}"
    );
    assert_eq!(output.status.code(), Some(1));
}

/// That a toolchain file names one which is not here was told by nobody: a job that stayed for it gave no
/// cause, and everything was well by the doctor. To ask must not install it: nobody would see that.
#[test]
fn a_toolchain_that_is_missing_here_is_named_with_the_command_that_brings_it() {
    let home = Home::new("doctor-missing");
    common::sample_crate(&home.project);
    let file = home.project.join("rust-toolchain.toml");
    write(&file, "[toolchain]\nchannel = \"1.2.3\"\n");
    let here = |args: &[&str]| {
        let mut rch = home.rch(args);
        rch.env("RUSTUP_DIST_SERVER", "http://127.0.0.1:9")
            .env("RCH_REQUIRE_REMOTE", "1");
        rch.output().unwrap()
    };
    let job = here(&["exec", "--", "cargo", "build"]);
    let said = String::from_utf8(job.stderr).unwrap();
    let cause = |text: &str| {
        let begins = text.contains("/rustc' does not tell its version: toolchain '1.2.3-");
        begins && text.ends_with("' is not installed")
    };
    assert!(
        said.lines().count() == 1 && cause(said.trim_end()),
        "{said}"
    );
    let doctor = here(&["--json", "doctor"]);
    let json: Value = serde_json::from_slice(&doctor.stdout).unwrap();
    let step = |f: &&Value| f["step"] == "tools here";
    let mut findings = json["data"].as_array().unwrap().iter();
    let found = findings.find(step).unwrap_or_else(|| panic!("{json}"));
    assert_eq!(found["verdict"], "wrong");
    assert!(cause(found["text"].as_str().unwrap()), "{found}");
    let remedy = found["hint"].as_str().unwrap();
    assert!(
        remedy.starts_with("rustup toolchain install 1.2.3-"),
        "{found}"
    );
    assert_eq!(doctor.status.code(), Some(1));
    // It was this directory's matter alone.
    std::fs::remove_file(&file).unwrap();
    let (found, status) = examine(&home);
    assert_eq!(status, Some(0), "{found:?}");
}

/// In inline mode the hook runs the job itself, and the doctor asked the hook: a build began in whatever
/// directory it was called.
#[test]
fn it_builds_nothing_in_the_project() {
    let home = Home::new("doctor-inline");
    common::sample_crate(&home.project);
    let config = home.path().join(".config/rch/config.toml");
    write(
        &config,
        "[hook]\nmode = \"inline\"\npermissions = \"allow\"\n",
    );
    let (found, _) = examine(&home);
    assert_eq!(at(&found, "rewrite")[1], "ok");
    assert!(!home.project.join("target").exists());
}
