//! Whether a worker can be trusted, over a real one: the circuit breaker, the heartbeat of a session
//! with nothing to do, and what a round trip takes.
//!
//! The pauses are the product's own and are waited for, beside other tests: what they are to a tenth
//! of a second is for `fleet::health` to test, which is given the time.

use std::process::Child;

use rch::wire::status::Worker;

use crate::common::home::{Home, shared_key};
use crate::common::sshd::{Oddities, Sshd};
use crate::common::{wait_for, write};
use crate::kit::{
    Fleet, PATIENT, REMOTE, begun, fleet, go, jobs, make, of_home, said, signal, stands, text, up,
    waiting,
};

/// Starts a job in a folder of its own, so that it is not another one's twin.
fn start(fleet: &Fleet, name: &str) -> Child {
    let dir = fleet.home.project.join(name);
    waiting(&dir);
    make(&fleet.home, &dir, &[REMOTE])
}

/// Processes of the worker's user and of the daemon that lets it in.
fn signal_all(fleet: &Fleet, which: &str, name: &str) {
    for (pid, line) in fleet.workers[0].processes() {
        if line.contains(which) {
            signal(pid, name);
        }
    }
}

/// A worker that loses its program in each job: three times in a row, and it is left alone, with the
/// reason and the time of the next try in sight. Then one job at a time may try, and two that go
/// well end the matter.
#[test]
fn a_worker_that_fails_is_paused_tried_and_trusted_again() {
    let fleet = fleet("circuit", 1, 8, PATIENT);
    fleet.all_up();
    let mut lost = 0;
    // Losses within a second have one cause and count once; a quick machine sees many of them.
    wait_for("the end of the trust", || {
        let mut client = start(&fleet, "lost");
        begun(&mut client);
        signal_all(&fleet, "rch-wkr", "9");
        let output = client.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(122), "{output:?}");
        lost += 1;
        (stands_now(&fleet).state == "down").then_some(())
    });
    assert!(lost >= 3, "down after {lost} losses");
    let worker = stands_now(&fleet);
    assert_eq!(
        worker.reason,
        "paused after failures (worker w0 was lost: the connection was closed)"
    );
    assert!(worker.retry_ms.is_some_and(|ms| ms <= 30_000), "{worker:?}");
    let mut status = fleet.home.rch(&["status", "--workers"]);
    // Wide enough for a line of it to be a line.
    let shown = status.env("COLUMNS", "200").output().unwrap();
    let shown = text(&shown.stdout);
    assert!(shown.contains("w0  down"), "{shown}");
    assert!(shown.contains("was closed); tried again in "), "{shown}");
    let refused = start(&fleet, "refused").wait_with_output().unwrap();
    assert_eq!(refused.status.code(), Some(122), "{refused:?}");
    let why = "rch: cannot run remotely: w0: paused after failures (worker w0 was lost: ";
    assert!(text(&refused.stderr).starts_with(why), "{refused:?}");
    assert_eq!(fleet.status().totals.remote, 0);

    let tried = stands(&fleet.home, "trial");
    assert!(
        tried
            .reason
            .starts_with("one job at a time after failures (")
    );
    assert_eq!(tried.retry_ms, None);
    let shown = fleet.home.rch(&["status"]).output().unwrap();
    let shown = text(&shown.stdout);
    assert!(shown.contains("w0  on trial"), "{shown}");
    assert!(shown.contains("1 of 1 worker online"), "{shown}");
    let mut first = start(&fleet, "first");
    begun(&mut first);
    go(&fleet.workers[0]);
    said(&fleet.home, &first.wait_with_output().unwrap(), "over\n");
    std::fs::remove_file(fleet.workers[0].home().join("go")).unwrap();
    assert_eq!(stands_now(&fleet).state, "trial", "one is no proof");
    let mut second = start(&fleet, "second");
    begun(&mut second);
    let third = start(&fleet, "third");
    let waits = jobs(&fleet.home, "queued", 1).remove(0);
    assert_eq!(
        waits.reason,
        "w0 is on trial, with one job at a time; place 1 of 1"
    );
    assert_eq!(jobs(&fleet.home, "running", 1).len(), 1);
    go(&fleet.workers[0]);
    said(&fleet.home, &second.wait_with_output().unwrap(), "over\n");
    said(
        &fleet.home,
        &third.wait_with_output().unwrap(),
        "begun\nover\n",
    );
    let well = stands(&fleet.home, "up");
    assert_eq!((well.reason.as_str(), well.jobs_done), ("", 3));
}

fn stands_now(fleet: &Fleet) -> Worker {
    fleet.status().workers.remove(0)
}

/// Nothing ends, nothing answers, and no job is there to miss it: the sign of life that an idle
/// session is asked for finds it out. ssh's own keepalive is too rare here to be first.
#[test]
fn an_idle_worker_that_freezes_is_found_out_and_comes_back() {
    let fleet = fleet("frost", 1, 4, SELDOM);
    fleet.all_up();
    fleet.workers[0].freeze(true);
    let worker = stands(&fleet.home, "down");
    assert!(
        worker.reason.starts_with("cannot be reached ("),
        "{worker:?}"
    );
    assert!(worker.retry_ms.is_some(), "{worker:?}");
    let shown = fleet.home.rch(&["status"]).output().unwrap();
    let shown = text(&shown.stdout);
    assert!(shown.contains("cannot be reached ("), "{shown}");
    assert!(shown.contains("0 of 1 worker online"), "{shown}");
    let log = fleet.home.log();
    assert!(
        log.contains("worker w0: the worker has fallen silent; connecting again"),
        "{log}"
    );
    fleet.workers[0].freeze(false);
    assert_eq!(stands(&fleet.home, "up").reason, "");
    go(&fleet.workers[0]);
    let output = start(&fleet, "after").wait_with_output().unwrap();
    said(&fleet.home, &output, "begun\nover\n");
}

/// An ssh master that hangs answers neither its sessions nor its own keepalive, and every later
/// session waited for it in vain: the worker was down until somebody killed it by hand.
#[test]
fn a_hung_master_is_replaced() {
    let fleet = fleet("hung", 1, 4, SELDOM);
    fleet.all_up();
    let masters = || {
        let mut all = of_home(&fleet.home);
        all.retain(|(_, line)| line.contains("ServerAliveInterval"));
        all
    };
    let hung = masters();
    assert_eq!(hung.len(), 1, "{hung:?}");
    signal(hung[0].0, "STOP");
    // Asks for a sign of life now rather than in half a minute.
    let asked = fleet
        .home
        .rch(&["workers", "probe", "w0"])
        .output()
        .unwrap();
    assert_ne!(asked.status.code(), Some(0), "{asked:?}");
    wait_for("another master", || {
        let now = masters();
        (now.len() == 1 && now[0].0 != hung[0].0).then_some(())
    });
    stands(&fleet.home, "up");
    go(&fleet.workers[0]);
    let output = start(&fleet, "after").wait_with_output().unwrap();
    said(&fleet.home, &output, "begun\nover\n");
}

/// The commonest fault of a new worker, and nothing was said of what to do.
#[test]
fn a_host_key_that_nobody_knows_has_a_remedy() {
    let fleet = fleet("hostkey", 1, 4, "");
    let file = fleet.home.path().join(".config/rch/workers.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let strict = text.replace("StrictHostKeyChecking=no", "StrictHostKeyChecking=yes");
    write(&file, &strict);
    let asked = fleet.home.rch(&["workers", "probe"]).output().unwrap();
    let said = String::from_utf8(asked.stdout).unwrap();
    assert_eq!(asked.status.code(), Some(1), "{said}");
    assert!(said.contains("Host key verification failed"), "{said}");
    // The line has quotes of its own, and none around it.
    let start = "hint: to accept the host's key, once by hand: ssh -p ";
    let line = said.split_once(start).expect(&said).1;
    assert!(line.ends_with("builder@127.0.0.1 true\n"), "{said}");
}

const SELDOM: &str = "[transfer]\nssh_server_alive_interval_secs = 3600\n";

/// What a login takes there, far longer than any round trip on this machine.
const LOGIN_SECS: f64 = 4.0;

/// What is shown as latency was the time of a login and of the look at the worker's compilers: a
/// round trip to this machine took more than half a second.
#[test]
fn the_latency_is_that_of_a_round_trip() {
    let slow = Oddities {
        bashrc: format!("sleep {LOGIN_SECS}\n"),
        ..Oddities::default()
    };
    let worker = Sshd::odd("w0", &shared_key(), &slow);
    let home = Home::with("latency", &[&worker], 4);
    up(&home, 1);
    let probed = home
        .rch(&["--json", "workers", "probe", "w0"])
        .output()
        .unwrap();
    let probed: serde_json::Value = serde_json::from_slice(&probed.stdout).unwrap();
    let probed = probed["data"][0]["latency_ms"].as_f64().unwrap();
    let measured = wait_for("a measured latency", || {
        let ms = home.status().workers[0].latency_ms;
        (ms > 0.0).then_some(ms)
    });
    for ms in [probed, measured] {
        assert!(ms > 0.0 && ms < LOGIN_SECS * 1000.0, "{ms} ms");
    }
}
