//! Sharing and memory: sixteen identical builds against one, and what `rchd` holds when idle and
//! with sixty-four jobs streaming.

use std::process::{Child, Stdio};

use super::common::home::{Home, shared_key};
use super::common::sshd::Sshd;
use super::common::{sample_crate, wait_for, write};
use super::{median, ms, row, timed};

const ROUNDS: usize = 5;

pub fn run() {
    sharing();
    memory();
}

fn spawn(home: &Home, argv: &[&str]) -> Child {
    let mut cmd = home.rch(&["exec", "--"]);
    cmd.args(argv)
        .env("RCH_REQUIRE_REMOTE", "1")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    cmd.spawn().unwrap()
}

fn sharing() {
    let worker = Sshd::start("css", &shared_key());
    let home = Home::with("sharing", &[&worker], 4);
    sample_crate(&home.project);
    let round = |count: usize, n: usize| {
        write(
            &home.project.join("src/main.rs"),
            &format!("fn main() {{ println!(\"{{}} {n} {count}\", sample::place()); }}\n"),
        );
        ms(timed(|| {
            let children: Vec<Child> = (0..count)
                .map(|_| spawn(&home, &["cargo", "build"]))
                .collect();
            for mut child in children {
                assert!(child.wait().unwrap().success());
            }
        }))
    };
    round(1, 99);
    let (mut one, mut many) = (vec![], vec![]);
    for n in 0..ROUNDS {
        one.push(round(1, n));
        many.push(round(16, n));
    }
    let (one, many) = (median(one), median(many));
    row(
        "16 identical builds at once / one",
        many / one,
        1.15,
        &format!("{many:.0} ms / {one:.0} ms"),
    );
    let remote = home.status().totals.remote as usize;
    assert_eq!(remote, 1 + 2 * ROUNDS, "each round is one execution");
}

fn memory() {
    let worker = Sshd::start("css", &shared_key());
    let home = Home::with("memory", &[&worker], 64);
    write(
        &home.project.join("Makefile"),
        "all:\n\t@while [ ! -e stop ]; do seq 1000; sleep 0.05; done\n",
    );
    let mut first = spawn(&home, &["make", "-n"]);
    let _ = first.wait();
    write(
        &home.path().join(".config/rch/config.toml"),
        "[compilation]\nbuild_slots = 1\n",
    );
    home.rch(&["daemon", "start"]).output().unwrap();
    wait_for("the worker", || {
        home.status()
            .workers
            .first()
            .is_some_and(|w| w.state == "up")
            .then_some(())
    });
    let idle = home.status().daemon.rss_kib as f64 / 1024.0;
    row("rchd idle, MiB", idle, 5.0, "");
    let children: Vec<Child> = (0..64)
        .map(|n| spawn(&home, &["make", &format!("N={n}")]))
        .collect();
    let peak = wait_for("64 running jobs", || {
        let status = home.status();
        (status.jobs.iter().filter(|j| j.state == "running").count() == 64)
            .then_some(status.daemon.rss_kib as f64 / 1024.0)
    });
    row("rchd with 64 jobs streaming, MiB", peak, 32.0, "");
    for mut child in children {
        let _ = child.kill();
        let _ = child.wait();
    }
}
