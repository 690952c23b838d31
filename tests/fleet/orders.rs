//! What people order: drain, enable, add, remove, edit, measure.

use std::os::unix::process::ExitStatusExt;
use std::process::Output;

use crate::common::home::{Home, shared_key};
use crate::common::sshd::Sshd;
use crate::common::{wait_for, write};
use crate::kit::{
    Fleet, PATIENT, REMOTE, begun, configure, fleet, jobs, make, said, text, up, waiting,
};

fn order(home: &Home, args: &[&str]) -> Output {
    let output = home.rch(args).output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{args:?}: {said}\n{}",
        home.log()
    );
    output
}

fn state(fleet: &Fleet, id: &str) -> String {
    let status = fleet.status();
    let found = status.workers.iter().find(|w| w.id == id);
    found.map_or("absent".into(), |w| w.state.clone())
}

fn run(fleet: &Fleet) -> Output {
    write(&fleet.home.project.join("Makefile"), "all:\n\t@echo made\n");
    make(&fleet.home, &fleet.home.project, &[REMOTE])
        .wait_with_output()
        .unwrap()
}

/// Drained is drained: over health checks, a reload and a new daemon, until somebody says otherwise.
/// The job that runs is let end.
#[test]
fn a_drain_lasts_until_it_is_undone() {
    let fleet = fleet("drain", 1, 4, PATIENT);
    fleet.all_up();
    let dir = fleet.home.project.join("waits");
    waiting(&dir);
    let running = make(&fleet.home, &dir, &[REMOTE]);
    jobs(&fleet.home, "running", 1);
    order(&fleet.home, &["workers", "drain", "w0"]);
    assert_eq!(state(&fleet, "w0"), "drained");
    assert_eq!(run(&fleet).status.code(), Some(122));
    fleet.go();
    said(
        &fleet.home,
        &running.wait_with_output().unwrap(),
        "begun\nover\n",
    );
    order(&fleet.home, &["workers", "probe", "w0"]);
    order(&fleet.home, &["daemon", "reload"]);
    assert_eq!(state(&fleet, "w0"), "drained");
    fleet.home.stop();
    order(&fleet.home, &["daemon", "start"]);
    assert_eq!(state(&fleet, "w0"), "drained");
    let refused = run(&fleet);
    assert_eq!(refused.status.code(), Some(122));
    assert!(text(&refused.stderr).contains("w0: drained"), "{refused:?}");
    order(&fleet.home, &["workers", "enable", "w0"]);
    said(&fleet.home, &run(&fleet), "made\n");
    fleet.home.stop();
    order(&fleet.home, &["daemon", "start"]);
    said(&fleet.home, &run(&fleet), "made\n");
    let unknown = fleet
        .home
        .rch(&["workers", "drain", "w9"])
        .output()
        .unwrap();
    assert_ne!(unknown.status.code(), Some(0));
}

/// The fleet changes under a running daemon: one is added, one edited, one removed while a job of
/// its runs; nonsense in either file changes nothing, an unknown key is only a warning.
#[test]
fn the_fleet_changes_while_it_runs() {
    let fleet = fleet("reload", 1, 4, PATIENT);
    fleet.all_up();
    let file = fleet.home.path().join(".config/rch/workers.toml");
    let first = std::fs::read_to_string(&file).unwrap();
    let reload = || order(&fleet.home, &["daemon", "reload"]);
    let other = Sshd::start("other", &shared_key());
    let both = format!("{first}{}", other.entry(&shared_key(), 2));
    write(&file, &both);
    reload();
    up(&fleet.home, 2);
    write(
        &file,
        &both.replace("total_slots = 4", "total_slots = 3\nnonsense = 1"),
    );
    reload();
    assert_eq!(fleet.status().workers[0].slots_total, 3);
    write(&file, "[[workers]]\nid = \"-x\"\nhost = \"a;b\"\n");
    let _ = fleet.home.rch(&["daemon", "reload"]).output().unwrap();
    let known: Vec<String> = fleet.status().workers.into_iter().map(|w| w.id).collect();
    assert_eq!(known, ["w0", "other"]);
    assert!(
        fleet.home.log().contains("workers.toml:2:"),
        "{}",
        fleet.home.log()
    );
    // The same worker is another machine now; the job on the old one ends there, new ones go to the new.
    let elsewhere = Sshd::start("elsewhere", &shared_key());
    write(&elsewhere.home().join("who"), "elsewhere\n");
    let dir = fleet.home.project.join("stays");
    waiting(&dir);
    let env = [REMOTE, ("RCH_WORKER", "w0")];
    let stays = make(&fleet.home, &dir, &env);
    jobs(&fleet.home, "running", 1);
    let port = |n: u16| format!("port = {n}");
    write(
        &file,
        &both.replace(&port(fleet.workers[0].port), &port(elsewhere.port)),
    );
    reload();
    let dir = fleet.home.project.join("goes");
    // The old job holds its slots until it ends, wherever it is.
    write(
        &dir.join(".rch/config.toml"),
        "[compilation]\nbuild_slots = 1\n",
    );
    write(&dir.join("Makefile"), "all:\n\t@cat /home/builder/who\n");
    said(
        &fleet.home,
        &make(&fleet.home, &dir, &env).wait_with_output().unwrap(),
        "elsewhere\n",
    );
    fleet.go();
    said(
        &fleet.home,
        &stays.wait_with_output().unwrap(),
        "begun\nover\n",
    );
    std::fs::remove_file(fleet.workers[0].home().join("go")).unwrap();
    write(&file, &both);
    reload();
    // An unknown key takes effect from nothing else; broken text takes nothing away.
    configure(
        &fleet.home,
        "[compilation]\nqueue_timeout_ms = 600000\nxyzzy = 1\n[general]\nlog_level = \"debug\"\n",
    );
    reload();
    configure(&fleet.home, "[compilation\n");
    let _ = fleet.home.rch(&["daemon", "reload"]).output().unwrap();
    // Removed while it runs: its job ends well, and then it is gone.
    waiting(&fleet.home.project);
    configure(&fleet.home, PATIENT);
    let env = [REMOTE, ("RCH_WORKER", "w0")];
    let running = make(&fleet.home, &fleet.home.project, &env);
    jobs(&fleet.home, "running", 1);
    write(&file, &other.entry(&shared_key(), 2));
    reload();
    fleet.go();
    said(
        &fleet.home,
        &running.wait_with_output().unwrap(),
        "begun\nover\n",
    );
    wait_for("the removed worker to go", || {
        (state(&fleet, "w0") == "absent").then_some(())
    });
    said(&fleet.home, &run(&fleet), "made\n");
    assert_eq!(fleet.status().jobs[0].worker, "other");
}

/// A speed is measured by compiling there what is compiled here, lasts, and decides.
#[test]
fn workers_are_measured() {
    let fleet = fleet("bench", 2, 4, PATIENT);
    fleet.all_up();
    let output = order(&fleet.home, &["--json", "workers", "benchmark", "--all"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let all = json["data"].as_array().unwrap();
    assert_eq!(all.len(), 2, "{json}");
    for one in all {
        assert_eq!(one["ok"], true, "{json}");
        assert!(
            one["local_ms"].as_f64().unwrap() > 0.0 && one["remote_ms"].as_f64().unwrap() > 0.0
        );
    }
    let speeds = |fleet: &Fleet| -> Vec<(String, f64)> {
        let all = fleet.status().workers;
        all.into_iter().map(|w| (w.id, w.speed)).collect()
    };
    let before = speeds(&fleet);
    assert!(
        before.iter().all(|(_, s)| (1.0..=100.0).contains(s)),
        "{before:?}"
    );
    let kept = fleet.home.path().join(".cache/rch/fleet.json");
    let kept = std::fs::read_to_string(kept).unwrap();
    assert!(kept.contains("w0") && kept.contains("w1"), "{kept}");
    fleet.home.stop();
    order(&fleet.home, &["daemon", "start"]);
    assert_eq!(speeds(&fleet), before);
    fleet.all_up();
    order(&fleet.home, &["workers", "drain", "w1"]);
    let output = fleet
        .home
        .rch(&["--json", "workers", "benchmark", "w1"])
        .output()
        .unwrap();
    assert_ne!(output.status.code(), Some(0), "{}", text(&output.stdout));
    assert!(
        text(&output.stdout).contains("drained"),
        "{}",
        text(&output.stdout)
    );
}

/// A job runs with what it was given: `-j` of another machine is lowered, a small wish is kept.
#[test]
fn a_job_runs_with_its_slots() {
    let fleet = fleet("slots", 1, 3, &format!("{PATIENT}build_slots = 2\n"));
    // What make tells its children about itself.
    write(
        &fleet.home.project.join("Makefile"),
        "all:\n\t@echo $(filter -j%,$(MAKEFLAGS))\n",
    );
    let flags = |argv: &[&str]| {
        let output = fleet.home.exec(argv);
        let slots = fleet.status().jobs[0].slots;
        (text(&output.stdout).trim().to_owned(), slots)
    };
    assert_eq!(flags(&["make"]), (String::new(), 2));
    assert_eq!(flags(&["make", "-j64"]), ("-j3".into(), 3));
    assert_eq!(flags(&["make", "-j", "2"]), ("-j2".into(), 2));
    assert_eq!(flags(&["make", "-j"]), ("-j2".into(), 2));
}

/// Whoever waits for a job that is cancelled is told so, and nothing of it is left there.
#[test]
fn a_cancelled_job_is_over_for_everybody() {
    let fleet = fleet("cancel", 1, 4, PATIENT);
    waiting(&fleet.home.project);
    let mut clients = [0, 1].map(|_| make(&fleet.home, &fleet.home.project, &[REMOTE]));
    clients.iter_mut().for_each(begun);
    let id = format!("j{}", jobs(&fleet.home, "running", 1)[0].id);
    let cancelled = fleet.home.rch(&["cancel", &id]).output().unwrap();
    assert!(cancelled.status.success(), "{cancelled:?}");
    for client in clients {
        let output = client.wait_with_output().unwrap();
        assert_eq!(output.status.signal(), Some(15), "{output:?}");
        assert_eq!(
            text(&output.stderr),
            "rch: job j1 was stopped by 'rch cancel'\n"
        );
    }
    fleet.quiet();
    let row = fleet.status().jobs.remove(0);
    assert_eq!(
        (format!("j{}", row.id), row.state.as_str()),
        (id.clone(), "cancelled")
    );
    let again = fleet.home.rch(&["cancel", &id]).output().unwrap();
    let over = format!("rch: job '{id}' is over already\n");
    assert!(text(&again.stderr).starts_with(&over), "{again:?}");
}
