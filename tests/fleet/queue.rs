//! Who waits, how long, and what becomes of those who waited in vain.

use std::path::{Path, PathBuf};
use std::process::Output;

use crate::common::write;
use crate::kit::{Fleet, PATIENT, REMOTE, configure, fleet, jobs, make, said, text, waiting};

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
            reason.starts_with("0 of 1 slots free on w0, 1 wanted; place "),
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
        "rch: running locally: no worker had enough free slots within 0.2s\n"
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

/// Fifteen agents whose only worker is gone do not melt the workstation. How many may run here is what
/// the configuration says now, not what it said when the daemon began.
#[test]
fn fallbacks_take_local_slots() {
    let fleet = fleet("storm", 1, 4, "");
    let sshd = fleet.workers[0].port.to_string();
    let file = fleet.home.path().join(".config/rch/workers.toml");
    let entry = std::fs::read_to_string(&file).unwrap();
    // Nobody listens there.
    write(&file, &entry.replace(&sshd, "1"));
    for (local_slots, what) in [(5, "start"), (2, "reload")] {
        let config = format!("[general]\nlocal_slots = {local_slots}\n{PATIENT}");
        configure(&fleet.home, &config);
        let output = fleet.home.rch(&["daemon", what]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
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
    let fleet = fleet("timeout", 1, 4, "[compilation]\nbuild_timeout_secs = 3\n");
    waiting(&fleet.home.project);
    let output = make(&fleet.home, &fleet.home.project, &[REMOTE])
        .wait_with_output()
        .unwrap();
    let story = fleet.home.story(&["make"], &output);
    assert_eq!(output.status.code(), Some(124), "{story}");
    assert_eq!(text(&output.stdout), "begun\n", "{story}");
    let stderr = text(&output.stderr);
    let note = "rch: stopped after 3.0s, the limit for its kind\n";
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

/// Runs `make` on sources that no run has met yet.
fn edited(fleet: &Fleet, dir: &Path, env: &[(&str, &str)]) -> Output {
    let edit = dir.join("in");
    let text = std::fs::read_to_string(&edit).unwrap_or_default();
    write(&edit, &(text + "edit\n"));
    let output = make(&fleet.home, dir, env).wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        fleet.home.story(&["make"], &output)
    );
    output
}

fn order(fleet: &Fleet, what: &str) {
    let output = fleet.home.rch(&["workers", what, "w0"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// What a command takes here is learnt from its fallbacks; short ones stay, quietly, as long as the
/// tree is built here.
#[test]
fn short_commands_stay_while_the_tree_is_built_here() {
    // Short is what takes less than a minute, however busy the machine.
    let config = format!("{PATIENT}min_local_time_ms = 60000\n");
    let fleet = fleet("history", 1, 4, &config);
    fleet.all_up();
    let dir = fleet.home.project.clone();
    write(&dir.join("Makefile"), "all:\n\t@echo made\n");
    let run = |env: &[(&str, &str)]| text(&edited(&fleet, &dir, env).stderr);
    let totals = || {
        let totals = fleet.status().totals;
        (totals.remote, totals.local)
    };
    assert_eq!(run(&[]), "", "never measured: it goes");
    assert_eq!(totals(), (1, 0));
    order(&fleet, "drain");
    for _ in 0..4 {
        assert!(run(&[]).starts_with("rch: running locally: "));
    }
    order(&fleet, "enable");
    assert_eq!(run(&[]), "");
    assert_eq!(totals(), (1, 5));
    let why = fleet.status().totals.local_reasons;
    let short = |(reason, _): &(String, u64)| reason.contains("min_local_time_ms");
    assert!(why.iter().any(short), "{why:?}");
    // What is known outlives the daemon, and whoever insists on a worker gets one.
    fleet.home.stop();
    assert_eq!(run(&[]), "");
    assert_eq!(totals(), (0, 1));
    assert_eq!(run(&[REMOTE]), "");
    assert_eq!(
        run(&[]),
        "",
        "built elsewhere since: a local run would not be short"
    );
    assert_eq!(totals(), (2, 1));
}

/// A `make` that found all done was over at once, and the next one, with much to do, stayed for it.
/// Another environment is no edit: with it there was nothing to do either.
#[test]
fn a_local_run_with_nothing_to_do_keeps_no_real_one_here() {
    let config = format!("{PATIENT}min_local_time_ms = 400\n");
    let fleet = fleet("no-op", 1, 4, &config);
    fleet.all_up();
    let dir = fleet.home.project.clone();
    write(&dir.join("Makefile"), "out: in\n\t@sleep 0.5; cp in out\n");
    let nothing = |n: u32| {
        let flags = format!("-O{n}");
        let output = make(&fleet.home, &dir, &[("CFLAGS", &flags)]);
        let output = output.wait_with_output().unwrap();
        assert_eq!(text(&output.stdout), "make: 'out' is up to date.\n");
    };
    order(&fleet, "drain");
    for _ in 0..4 {
        edited(&fleet, &dir, &[]);
    }
    (0..10).for_each(nothing);
    order(&fleet, "enable");
    edited(&fleet, &dir, &[]);
    let totals = fleet.status().totals;
    assert_eq!((totals.remote, totals.local), (1, 14), "{totals:?}");
}

/// Everybody who asks why a job went where it did is shown what the choice was made from.
#[test]
fn the_terms_of_a_choice_are_shown() {
    let fleet = fleet("terms", 2, 4, PATIENT);
    fleet.all_up();
    order(&fleet, "drain");
    let dir = dir(&fleet, "now");
    let first = make(&fleet.home, &dir, &[REMOTE]);
    jobs(&fleet.home, "running", 1);
    let waits = make(&fleet.home, &self::dir(&fleet, "waits"), &[REMOTE]);
    let told = |id: u64, id_of: &str| {
        let all = fleet.status().jobs;
        let job = all.into_iter().find(|j| j.id == id).unwrap();
        let found = job.candidates.into_iter().find(|c| c.id == id_of);
        found.unwrap_or_else(|| panic!("{id_of} is no candidate"))
    };
    let running = jobs(&fleet.home, "running", 1)[0].id;
    let queued = jobs(&fleet.home, "queued", 1)[0].id;
    let shown = |args: &[&str]| {
        let output = fleet.home.rch(args).output().unwrap();
        text(&output.stdout)
    };
    assert_eq!(told(running, "w0").refusal, "drained");
    let w1 = told(running, "w1");
    assert_eq!((w1.refusal.as_str(), w1.free, w1.total), ("", 4, 4));
    assert_eq!((w1.speed, w1.score, w1.warm), (50.0, 50.0, false));
    assert_eq!(
        (told(queued, "w1").free, told(queued, "w1").score),
        (0, 0.0)
    );
    let page = shown(&["status", "--jobs", "-v"]);
    for line in [
        "    w0: refused: drained\n",
        "    w1: score 50.0 (speed 50, 4/4 slots free), chosen\n",
        "    w1: score 0.0 (speed 50, 0/4 slots free)\n",
    ] {
        assert!(page.contains(line), "{line} in {page}");
    }
    let plain = shown(&["status", "--jobs"]);
    assert!(!plain.contains("refused"), "{plain}");
    fleet.go();
    for child in [first, waits] {
        said(
            &fleet.home,
            &child.wait_with_output().unwrap(),
            "begun\nover\n",
        );
    }
    // And when they are over; now the lane is warm for the one that ran there.
    let json: serde_json::Value =
        serde_json::from_str(&shown(&["--json", "status", "--jobs"])).unwrap();
    let over = &json["data"]["jobs"][1];
    assert_eq!(over["candidates"][0]["refusal"], "drained", "{json}");
    assert_eq!(over["candidates"][1]["score"], 50.0, "{json}");
    let again = make(&fleet.home, &dir, &[REMOTE]);
    said(
        &fleet.home,
        &again.wait_with_output().unwrap(),
        "begun\nover\n",
    );
    let newest = fleet.status().jobs[0].id;
    assert_eq!(
        (told(newest, "w1").warm, told(newest, "w1").score),
        (true, 75.0)
    );
}
