//! Who waits, how long, and what becomes of those who waited in vain.

use std::path::PathBuf;

use crate::common::write;
use crate::kit::{
    Fleet, PATIENT, REMOTE, configure, fleet, jobs, make, said, signal, text, waiting,
};

fn dir(fleet: &Fleet, name: &str) -> PathBuf {
    let dir = fleet.home.project.join(name);
    waiting(&dir);
    dir
}

/// One slot: what runs first is what was asked for first, but for priority.
#[test]
fn priority_first_then_arrival() {
    let fleet = fleet("order", 1, 1, PATIENT);
    fleet.all_up();
    let mut children = vec![make(&fleet.home, &dir(&fleet, "now"), &[REMOTE])];
    jobs(&fleet.home, "running", 1);
    let others = [
        ("low", "low"),
        ("one", "normal"),
        ("two", "normal"),
        ("urgent", "high"),
    ];
    for (n, (name, priority)) in others.into_iter().enumerate() {
        let env = [REMOTE, ("RCH_PRIORITY", priority)];
        children.push(make(&fleet.home, &dir(&fleet, name), &env));
        let queued = jobs(&fleet.home, "queued", n + 1);
        let reason = &queued[0].reason;
        assert!(
            reason.starts_with("all workers are busy, place "),
            "{reason}"
        );
    }
    fleet.go();
    for child in children {
        said(
            &fleet.home,
            &child.wait_with_output().unwrap(),
            "begun\nover\n",
        );
    }
    let done = fleet.status().jobs;
    let mut order: Vec<&str> = done
        .iter()
        .map(|j| j.cwd.rsplit('/').next().unwrap())
        .collect();
    order.reverse();
    assert_eq!(order, ["now", "urgent", "one", "two", "low"]);
    assert!(done.iter().all(|j| j.reason.is_empty()), "{done:?}");
}

/// A wait has its end, and the end is a local run that says why; a client that goes while it waits
/// leaves the queue at once.
#[test]
fn a_wait_is_bounded_and_ends_with_its_client() {
    let fleet = fleet("wait", 1, 1, PATIENT);
    fleet.all_up();
    let first = make(&fleet.home, &dir(&fleet, "first"), &[REMOTE]);
    jobs(&fleet.home, "running", 1);
    let mut gone = make(&fleet.home, &dir(&fleet, "gone"), &[REMOTE]);
    jobs(&fleet.home, "queued", 1);
    gone.kill().unwrap();
    gone.wait().unwrap();
    jobs(&fleet.home, "queued", 0);
    let late = dir(&fleet, "late");
    write(
        &late.join(".rch/config.toml"),
        "[compilation]\nqueue_timeout_ms = 200\n",
    );
    let local = make(&fleet.home, &late, &[]).wait_with_output().unwrap();
    said(&fleet.home, &local, "begun\nover\n");
    assert_eq!(
        text(&local.stderr),
        "rch: running locally: no worker had free slots within 0.2s\n"
    );
    let refused = make(&fleet.home, &late, &[REMOTE])
        .wait_with_output()
        .unwrap();
    assert_eq!(
        refused.status.code(),
        Some(122),
        "{}",
        text(&refused.stderr)
    );
    fleet.go();
    said(
        &fleet.home,
        &first.wait_with_output().unwrap(),
        "begun\nover\n",
    );
    fleet.quiet();
}

/// Fifteen agents whose only worker is gone do not melt the workstation.
#[test]
fn fallbacks_take_local_slots() {
    let fleet = fleet(
        "storm",
        1,
        4,
        &format!("[general]\nlocal_slots = 2\n{PATIENT}"),
    );
    let sshd = fleet.workers[0].port.to_string();
    let file = fleet.home.path().join(".config/rch/workers.toml");
    let entry = std::fs::read_to_string(&file).unwrap();
    // Nobody listens there.
    write(&file, &entry.replace(&sshd, "1"));
    let log = fleet.home.path().join("log");
    let children: Vec<_> = (0..15)
        .map(|n| {
            let dir = fleet.home.project.join(format!("p{n}"));
            let log = log.display();
            let lines = format!("all:\n\t@echo + >> {log}; sleep 0.1; echo - >> {log}\n");
            write(&dir.join("Makefile"), &lines);
            make(&fleet.home, &dir, &[])
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        said(&fleet.home, &output, "");
        let stderr = text(&output.stderr);
        assert!(stderr.starts_with("rch: running locally: "), "{stderr}");
    }
    let (mut now, mut most) = (0, 0);
    for line in std::fs::read_to_string(&log).unwrap().lines() {
        now += if line == "+" { 1 } else { -1 };
        most = most.max(now);
    }
    assert_eq!((now, most), (0, 2));
    assert_eq!(fleet.status().totals.local, 15);
}

/// A job that takes longer than its kind may is ended, says so, and has timeout(1)'s status.
#[test]
fn a_job_that_takes_too_long_is_ended() {
    let fleet = fleet("timeout", 1, 4, "[compilation]\nbuild_timeout_secs = 1\n");
    waiting(&fleet.home.project);
    let output = make(&fleet.home, &fleet.home.project, &[REMOTE])
        .wait_with_output()
        .unwrap();
    let story = fleet.home.story(&["make"], &output);
    assert_eq!(output.status.code(), Some(124), "{story}");
    assert_eq!(text(&output.stdout), "begun\n", "{story}");
    let stderr = text(&output.stderr);
    let note = "rch: stopped after 1.0s, the limit for its kind\n";
    assert!(stderr.contains(note), "{story}");
    fleet.quiet();
    assert_eq!(fleet.status().workers[0].failures, 0, "nobody is to blame");
    // The one that ignores the request to end is ended all the same.
    write(
        &fleet.home.project.join("Makefile"),
        "all:\n\t@trap '' TERM INT; echo begun; while :; do sleep 0.1; done\n",
    );
    let output = make(&fleet.home, &fleet.home.project, &[REMOTE])
        .wait_with_output()
        .unwrap();
    assert_eq!(output.status.code(), Some(124), "{}", fleet.home.log());
    fleet.quiet();
}

/// What a command takes here is learnt from its fallbacks; short ones stay, quietly, as long as the
/// tree is built here.
#[test]
fn short_commands_stay_while_the_tree_is_built_here() {
    let fleet = fleet("history", 1, 4, PATIENT);
    fleet.all_up();
    write(&fleet.home.project.join("Makefile"), "all:\n\t@echo made\n");
    let run = |env: &[(&str, &str)]| {
        let output = make(&fleet.home, &fleet.home.project, env)
            .wait_with_output()
            .unwrap();
        said(&fleet.home, &output, "made\n");
        text(&output.stderr)
    };
    assert_eq!(run(&[]), "", "never measured: it goes");
    assert_eq!(fleet.status().totals.remote, 1);
    fleet
        .home
        .rch(&["workers", "drain", "w0"])
        .output()
        .unwrap();
    assert!(run(&[]).starts_with("rch: running locally: "));
    fleet
        .home
        .rch(&["workers", "enable", "w0"])
        .output()
        .unwrap();
    assert_eq!(run(&[]), "");
    let totals = fleet.status().totals;
    assert_eq!((totals.remote, totals.local), (1, 2), "{totals:?}");
    let why = &totals
        .local_reasons
        .iter()
        .map(|(r, _)| r.as_str())
        .collect::<String>();
    assert!(why.contains("min_local_time_ms"), "{why}");
    // What is known outlives the daemon, and whoever insists on a worker gets one.
    let pid = fleet.home.daemon_pid();
    fleet.home.stop();
    signal(pid, "0");
    assert_eq!(run(&[]), "");
    assert_eq!(fleet.status().totals.local, 1);
    assert_eq!(run(&[REMOTE]), "");
    assert_eq!(
        run(&[]),
        "",
        "built elsewhere since: a local run would not be short"
    );
    let totals = fleet.status().totals;
    assert_eq!((totals.remote, totals.local), (2, 1), "{totals:?}");
    configure(&fleet.home, "[general]\nforce_remote = true\n");
}
