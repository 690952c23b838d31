//! `rch doctor` on a real home: all well, and each thing that keeps work here, found by its remedy.

mod common;

use common::home::Home;
use common::write;
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
    let installed = home.rch(&["hook", "install"]).output().unwrap();
    assert!(installed.status.success(), "{installed:?}");
    let (found, _) = examine(&home);
    let hook = at(&found, "hook");
    assert!(
        hook[1] == "ok" && hook[2].contains(".claude/settings.json"),
        "{hook:?}"
    );
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
    let key = home.path().join("key");
    write(&key, "");
    mode(&key, 0o644);
    let local = "[[workers]]\nid = \"local\"\ntransport = \"local\"\n";
    fleet(
        &home,
        &format!("{local}identity_file = \"{}\"\n", key.display()),
    );
    let started = home.rch(&["daemon", "start"]).output().unwrap();
    assert!(started.status.success(), "{started:?}");
    mode(&home.path().join(".cache/rch"), 0o777);
    let second = home.path().join("second.sock");
    let mut rchd = home.command(common::bin("rchd").to_str().unwrap());
    let mut rchd = rchd
        .arg("--socket")
        .arg(&second)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    common::wait_for("a second daemon", || second.exists().then_some(()));
    let (found, _) = examine(&home);
    rchd.kill().unwrap();
    rchd.wait().unwrap();
    let files = at(&found, "files");
    assert!(
        files[2].contains("is open to others (mode 0644)"),
        "{files:?}"
    );
    assert!(files[3].starts_with("chmod 600 "), "{files:?}");
    let socket = at(&found, "socket");
    assert_eq!(socket[1], "wrong");
    assert!(socket[3].starts_with("chmod 700 "), "{socket:?}");
    let daemon = at(&found, "daemon");
    assert_eq!(daemon[3], format!("kill {}", rchd.id()), "{daemon:?}");
}

/// The compiler of this machine decides where jobs go: a worker without it is named, with the command
/// that brings it.
#[test]
fn a_toolchain_that_a_worker_lacks_is_named() {
    let home = Home::new("doctor-tools");
    let started = home.rch(&["daemon", "start"]).output().unwrap();
    assert!(started.status.success(), "{started:?}");
    let rustc = home.path().join("bin/rustc");
    write(
        &rustc,
        "#!/bin/sh\necho 'rustc 1.2.3 (abcdef 2015-08-03)'\n",
    );
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&rustc, open).unwrap();
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
