//! What `rch status` and its kin look like, as whole pages.
//!
//! Each page, at 80 and 120 columns, in ASCII and in colour, is compared with a file in tests/views, byte
//! for byte. After a change that is meant, `RCH_UPDATE_VIEWS=1 cargo test --test views` writes the files
//! anew; the diff is for a person to look at. No daemon is needed: views are pure functions.

use std::path::PathBuf;

use rch::cli::doctor::{self, Finding, Verdict};
use rch::cli::out::{Format, Look};
use rch::cli::probe::{benchmarked, probed};
use rch::cli::status::{Parts, page};
use rch::wire::VERSION;
use rch::wire::status::{Benchmark, Daemon, Job, Probe, Status, Totals, Worker};

const PLAIN: Look = Look {
    format: Format::People,
    color: false,
    ascii: false,
    width: 80,
    terminal: false,
    quiet: false,
    verbose: false,
};

const ALL: Parts = Parts {
    workers: false,
    jobs: false,
    stats: false,
};

/// Compares a view, in every look, with its file.
fn compare(name: &str, view: &dyn Fn(&Look) -> String) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/views/{name}.txt"));
    let narrow = view(&PLAIN);
    let mut text = format!("# 80 columns\n{narrow}");
    fits(&PLAIN, &narrow);
    let (wide, ascii, color) = (
        Look {
            width: 120,
            ..PLAIN
        },
        Look {
            ascii: true,
            ..PLAIN
        },
        Look {
            color: true,
            ..PLAIN
        },
    );
    for (title, look) in [("120 columns", wide), ("ASCII", ascii), ("colour", color)] {
        let other = view(&look);
        let same = if other == narrow {
            "(the same)\n"
        } else {
            &other
        };
        text.push_str(&format!("# {title}\n{same}"));
        if look.color {
            assert_eq!(bare(&other), narrow, "colour adds nothing but itself");
        } else {
            fits(&look, &other);
            assert!(!other.contains('\x1b') && !other.contains('\x07'));
        }
        assert!(!look.ascii || other.is_ascii(), "{other}");
    }
    // The version is not what a view is about.
    let text = text.replace(VERSION, "0.0.0");
    if std::env::var_os("RCH_UPDATE_VIEWS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let want = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        text == want,
        "{} differs; now it is:\n{text}",
        path.display()
    );
}

/// No line is wider than asked for, and none ends in blanks.
fn fits(look: &Look, text: &str) {
    for line in text.lines() {
        assert!(line.chars().count() <= look.width, "too wide: {line}");
        assert_eq!(line.trim_end(), line, "ends in blanks");
    }
}

/// Without its escape sequences.
fn bare(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\x1b') {
        out.push_str(before);
        rest = after.split_once('m').unwrap().1;
    }
    out + rest
}

fn daemon() -> Daemon {
    Daemon {
        pid: 4711,
        version: VERSION.into(),
        socket: "/home/ada/.cache/rch/rch.sock".into(),
        uptime_ms: 7_380_000,
        clients: 3,
        rss_kib: 4200,
    }
}

fn worker(id: &str, state: &str, used: u32, total: u32) -> Worker {
    Worker {
        id: id.into(),
        transport: "ssh".into(),
        address: format!("builder@{id}.example.org"),
        state: state.into(),
        slots_used: used,
        slots_total: total,
        sessions: 2,
        lanes: 3,
        jobs_done: 41,
        failures: 1,
        latency_ms: 12.4,
        speed: 87.0,
        priority: 100,
        ..Worker::default()
    }
}

fn job(id: u64, state: &str, command: &str) -> Job {
    Job {
        id,
        state: state.into(),
        command: command.into(),
        cwd: "/home/ada/app".into(),
        agent: "claude 8812".into(),
        kind: "build".into(),
        elapsed_ms: 12_300,
        subscribers: 1,
        ..Job::default()
    }
}

/// One of everything that a page can hold.
fn busy() -> Status {
    let mut down = worker("old", "down", 0, 8);
    down.reason = "cannot connect: connection refused; next try in 24.0s".into();
    let mut tagged = worker("spare", "drained", 0, 32);
    tagged.tags = vec!["big".into(), "avx512".into()];
    tagged.priority = 50;
    let mut running = job(17, "running", "cargo build --release");
    (running.worker, running.sent_bytes, running.subscribers) = ("css".into(), 182_000_000, 3);
    let mut queued = job(
        18,
        "queued",
        "cargo test --workspace --all-features -- --nocapture a_very_long_test_name",
    );
    queued.reason = "1 of 4 slots free on css, 2 wanted; place 1 of 1".into();
    let mut good = job(16, "done", "cargo check");
    (
        good.worker,
        good.status,
        good.sent_bytes,
        good.returned_bytes,
    ) = ("css".into(), Some(0), 4_100, 1_234_567);
    let mut bad = job(15, "done", "cargo test");
    (bad.worker, bad.status) = ("css".into(), Some(101));
    let mut here = job(14, "local", "make -j8");
    here.reason = "no worker has gcc 12.2.0".into();
    (here.elapsed_ms, here.sent_bytes, here.worker) = (40, 12_000, "css".into());
    let mut stopped = job(13, "done", "ninja");
    (stopped.worker, stopped.status, stopped.signal) = ("css".into(), Some(130), Some(2));
    let mut crashed = job(11, "done", "cargo test");
    (crashed.worker, crashed.status, crashed.signal) = ("css".into(), Some(139), Some(11));
    Status {
        daemon: daemon(),
        workers: vec![
            worker("css", "up", 12, 32),
            down,
            tagged,
            worker("new", "unknown", 0, 0),
            worker("off", "disabled", 0, 0),
        ],
        jobs: vec![
            running,
            queued,
            good,
            bad,
            here,
            stopped,
            job(12, "cancelled", "cargo build"),
            crashed,
        ],
        totals: Totals {
            remote: 123,
            local: 4,
            deduplicated: 2,
            cancelled: 1,
            local_reasons: vec![
                ("no worker had enough free slots within 30.0s".into(), 3),
                ("no worker has gcc 12.2.0".into(), 1),
            ],
            sent_bytes: 12_300_000,
            returned_bytes: 3_400_000_000,
            saved_ms: 4_320_000,
        },
    }
}

#[test]
fn a_busy_day() {
    compare("busy", &|look| page(look, &busy(), ALL));
}

#[test]
fn parts_of_a_page() {
    let workers = Parts {
        workers: true,
        ..ALL
    };
    compare("part-workers", &|look| page(look, &busy(), workers));
    let rest = Parts {
        jobs: true,
        stats: true,
        ..ALL
    };
    compare("part-jobs-stats", &|look| page(look, &busy(), rest));
    let nothing = Status::default();
    let jobs = Parts { jobs: true, ..ALL };
    compare("part-jobs-none", &|look| page(look, &nothing, jobs));
}

/// The README shows pages as they are, folded lines and all.
#[test]
fn the_pages_of_the_readme() {
    let readme = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let mut status = busy();
    let mut running = status.jobs.remove(0);
    running.subscribers = 3;
    (status.jobs, status.totals.local_reasons) = (vec![running], vec![]);
    (status.totals.cancelled, status.totals.local) = (0, 0);
    status.workers = vec![
        worker("css", "up", 12, 32),
        worker("spare", "drained", 0, 32),
    ];
    let probe = Probe {
        id: "css".into(),
        ok: true,
        latency_ms: 12.3,
        slots: 32,
        paths_identical: true,
        free_mib: 1 << 20,
        version: VERSION.into(),
        tools: ["rust 1.95.0", "gcc 12.2.0", "make 4.3", "cmake 3.25.1"]
            .map(String::from)
            .into(),
        ..Probe::default()
    };
    for text in [page(&PLAIN, &status, ALL), probed(&PLAIN, &probe)] {
        assert!(readme.contains(&text), "not in the README:\n{text}");
    }
}

#[test]
fn an_empty_fleet() {
    let status = Status {
        daemon: daemon(),
        ..Status::default()
    };
    compare("empty", &|look| page(look, &status, ALL));
}

#[test]
fn one_worker_and_an_older_daemon() {
    let mut status = Status {
        daemon: daemon(),
        workers: vec![worker("local", "up", 1, 4)],
        ..Status::default()
    };
    status.workers[0].transport = "local".into();
    status.workers[0].address.clear();
    status.workers[0].latency_ms = 0.31;
    status.daemon.version = "0.0.9".into();
    status.totals.saved_ms = -1500;
    compare("one", &|look| page(look, &status, ALL));
}

#[test]
fn forty_workers() {
    let workers: Vec<Worker> = (0..40)
        .map(|i| worker(&format!("node{i:02}"), "up", i % 33, 32))
        .collect();
    let status = Status {
        daemon: daemon(),
        workers,
        ..Status::default()
    };
    compare("forty", &|look| page(look, &status, ALL));
}

#[test]
fn long_names_and_hostile_text() {
    let id = "a-worker-with-a-name-that-somebody-thought-was-a-good-idea-at-the-time.example.org";
    let mut long = worker(id, "up", 3, 8);
    long.latency_ms = 1234.5;
    let mut job = job(1_234_567, "running", "cargo test \x1b[2J\x07\nnever --mind");
    (job.worker, job.agent) = (id.into(), "\x1b]0;title\x07".into());
    let status = Status {
        daemon: daemon(),
        workers: vec![long],
        jobs: vec![job],
        ..Status::default()
    };
    compare("long", &|look| page(look, &status, ALL));
}

#[test]
fn probes_and_benchmarks() {
    let good = Probe {
        id: "css".into(),
        ok: true,
        latency_ms: 12.2,
        slots: 32,
        cpus: 16,
        tools: [
            "rust 1.87.0",
            "rust 1.95.0",
            "bun 1.2.0",
            "gcc 12.2.0",
            "clang 14.0.6",
        ]
        .map(String::from)
        .into(),
        paths_identical: true,
        rsync: "3.4.1".into(),
        free_mib: 200_000,
        version: VERSION.into(),
        ..Probe::default()
    };
    let poor = Probe {
        id: "old".into(),
        paths_identical: false,
        no_namespace: "AppArmor forbids user namespaces".into(),
        rsync: String::new(),
        free_mib: 900,
        clock_offset_ms: 3_600_000.0,
        version: "0.0.1".into(),
        ..good.clone()
    };
    let bad = Probe {
        id: "gone".into(),
        error: "ssh: connect to host gone port 22: connection refused".into(),
        hint: "is sshd running there?".into(),
        ..Probe::default()
    };
    compare("probe", &|look| {
        let verbose = Look {
            verbose: true,
            ..*look
        };
        let all = [&good, &poor, &bad].map(|p| probed(look, p)).concat();
        all + &probed(&verbose, &good)
    });
    let fast = Benchmark {
        id: "css".into(),
        ok: true,
        speed: 87.0,
        local_ms: 4000.0,
        remote_ms: 1600.0,
        ..Benchmark::default()
    };
    let none = Benchmark {
        id: "gone".into(),
        error: "it is down".into(),
        ..Benchmark::default()
    };
    let drained = Benchmark {
        error: "drained".into(),
        ..none.clone()
    };
    let all = [&fast, &none, &drained];
    compare("benchmark", &|look| {
        all.map(|b| benchmarked(look, b)).concat()
    });
}

#[test]
fn a_doctor_report() {
    let finding = |step: &str, verdict, text: &str, hint: &str| Finding {
        step: step.into(),
        verdict,
        text: text.into(),
        hint: hint.into(),
    };
    let findings = [
        finding("files", Verdict::Ok, "the configuration has no fault", ""),
        finding(
            "rsync",
            Verdict::Note,
            "there is no rsync here: first copies are slower",
            "install rsync",
        ),
        finding(
            "worker css",
            Verdict::Wrong,
            "permission denied (publickey)",
            "ssh-copy-id builder@css",
        ),
    ];
    compare("doctor", &|look| doctor::report(look, &findings));
    compare("doctor-well", &|look| doctor::report(look, &findings[..2]));
}
