//! Workers that hang, links that swallow, output without end, readers that do not read.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use rch::client::Daemon;
use rch::wire::client::{Exec, FromDaemon, ToDaemon};
use rch::wire::status::Phase;

use crate::common::home::{Home, shared_key};
use crate::common::sshd::Sshd;
use crate::common::{wait_for, write};
use crate::kit::{
    PATIENT, REMOTE, begun, configure, fleet, go, jobs, make, nothing_left, said, signal, text, up,
    waiting,
};

/// A worker whose programs are frozen says nothing, and its kernel goes on taking bytes: only our own
/// deadlines find it. The job goes to another one.
#[test]
fn a_frozen_worker_is_found_out() {
    let fleet = fleet("frozen", 2, 4, PATIENT);
    fleet.all_up();
    waiting(&fleet.home.project);
    let mut client = make(&fleet.home, &fleet.home.project, &[REMOTE]);
    begun(&mut client);
    let chosen = jobs(&fleet.home, "running", 1)[0].worker.clone();
    let (ill, well) = match chosen.as_str() {
        "w0" => (&fleet.workers[0], &fleet.workers[1]),
        _ => (&fleet.workers[1], &fleet.workers[0]),
    };
    let frozen: Vec<i32> = ill
        .processes()
        .into_iter()
        .filter(|(_, line)| line.contains("rch-wkr"))
        .map(|(pid, _)| pid)
        .collect();
    frozen.iter().for_each(|pid| signal(*pid, "STOP"));
    go(well);
    let output = client.wait_with_output().unwrap();
    said(&fleet.home, &output, "begun\nover\n");
    let stderr = text(&output.stderr);
    assert!(
        stderr.contains("has fallen silent; starting again elsewhere"),
        "{stderr}"
    );
    assert_eq!(fleet.status().jobs[0].worker, well.id);
    frozen.iter().for_each(|pid| signal(*pid, "CONT"));
    fleet.quiet();
}

/// A command line or environment of more than a megabyte was more than a frame holds, and `rch exec`
/// aborted.
#[test]
fn what_is_too_long_to_send_runs_here() {
    let fleet = fleet("long", 1, 4, PATIENT);
    fleet.all_up();
    write(&fleet.home.project.join("Makefile"), "all:\n\t@echo made\n");
    let run = |vars: usize| {
        let mut cmd = fleet.home.rch(&["exec", "--", "make"]);
        cmd.envs((0..vars).map(|n| (format!("LONG{n}"), "x".repeat(100_000))));
        cmd.output().unwrap()
    };
    let output = run(13);
    said(&fleet.home, &output, "made\n");
    let stderr = text(&output.stderr);
    assert!(stderr.contains("too long to be sent away"), "{stderr}");
    // What is not too long arrives.
    said(&fleet.home, &run(4), "made\n");
    assert_eq!(fleet.status().totals.remote, 1);
}

/// Forwards to a worker until it is told to swallow everything and say nothing.
struct Link {
    port: u16,
    hole: Arc<Hole>,
}

#[derive(Default)]
struct Hole(Mutex<bool>, Condvar);

impl Hole {
    fn set(&self, swallows: bool) {
        *self.0.lock().unwrap() = swallows;
        self.1.notify_all();
    }

    fn swallows(&self) -> bool {
        *self.0.lock().unwrap()
    }

    fn until_well(&self) {
        let open = self.0.lock().unwrap();
        drop(self.1.wait_while(open, |swallows| *swallows).unwrap());
    }
}

fn link(to: u16) -> Link {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let hole = Arc::new(Hole::default());
    let shared = hole.clone();
    std::thread::spawn(move || {
        for near in listener.incoming().map_while(Result::ok) {
            let Ok(far) = TcpStream::connect(("127.0.0.1", to)) else {
                continue;
            };
            let ends = [(near.try_clone(), far.try_clone()), (Ok(far), Ok(near))];
            for (from, to) in ends {
                let (from, to, hole) = (from.unwrap(), to.unwrap(), shared.clone());
                std::thread::spawn(move || forward(from, to, &hole));
            }
        }
    });
    Link { port, hole }
}

fn forward(mut from: TcpStream, mut to: TcpStream, hole: &Hole) {
    let mut buf = [0; 1 << 16];
    while let Ok(n) = from.read(&mut buf) {
        let swallowed = hole.swallows();
        if n == 0 || (!swallowed && to.write_all(&buf[..n]).is_err()) {
            break;
        }
    }
    // The end of a connection is swallowed too, until the link is well again.
    hole.until_well();
    let _ = to.shutdown(std::net::Shutdown::Both);
}

/// A link that swallows everything costs the job a line, the next one a line, and no more than that;
/// when it is well again, so is the worker.
#[test]
fn a_black_hole_is_found_out() {
    let worker = Sshd::start("css", &shared_key());
    let link = link(worker.port);
    let home = Home::new("hole");
    let entry = worker.entry(&shared_key(), 4);
    let entry = entry.replace(
        &format!("port = {}", worker.port),
        &format!("port = {}", link.port),
    );
    write(&home.path().join(".config/rch/workers.toml"), &entry);
    configure(
        &home,
        "[general]\nforce_remote = true\n[transfer]\nssh_server_alive_interval_secs = 1\n",
    );
    up(&home, 1);
    waiting(&home.project);
    let mut client = make(&home, &home.project, &[]);
    begun(&mut client);
    link.hole.set(true);
    let output = client.wait_with_output().unwrap();
    said(&home, &output, "begun\nover\n");
    assert!(
        text(&output.stderr).contains("rch: running locally: worker css"),
        "{}",
        text(&output.stderr)
    );
    let output = make(&home, &home.project, &[]).wait_with_output().unwrap();
    said(&home, &output, "begun\nover\n");
    link.hole.set(false);
    nothing_left(&worker);
    go(&worker);
    up(&home, 1);
    wait_for("a job over the link", || {
        let output = make(&home, &home.project, &[REMOTE])
            .wait_with_output()
            .unwrap();
        output.status.success().then_some(())
    });
}

/// The agent's own loop had made the pipe non-blocking, which is then so for everybody who has it: when
/// it was full the client took that for a lost reader and failed.
#[test]
fn a_full_pipe_that_does_not_block_is_waited_for() {
    const SIZE: usize = 4 << 20;
    let fleet = fleet("nonblocking", 1, 4, PATIENT);
    fleet.all_up();
    let makefile = format!("all:\n\t@yes 0123456789abcdef | head -c {SIZE}\n");
    write(&fleet.home.project.join("Makefile"), &makefile);
    let (mut read_end, write_end) = std::io::pipe().unwrap();
    rch::sys::fd::set_nonblocking(&write_end, true).unwrap();
    let mut cmd = fleet.home.rch(&["exec", "--", "make"]);
    let mut client = cmd.envs([REMOTE]).stdout(write_end).spawn().unwrap();
    // Or our own end of it would never close.
    drop(cmd);
    jobs(&fleet.home, "done", 1);
    let mut got = vec![];
    read_end.read_to_end(&mut got).unwrap();
    assert_eq!(got.len(), SIZE);
    assert_eq!(client.wait().unwrap().code(), Some(0));
}

/// 100 MB of output, and a client that does not read them: the daemon neither grows nor spins, the
/// job ends, and the client has every byte when it reads at last.
#[test]
fn a_client_that_stops_reading_costs_nothing() {
    const SIZE: usize = 100 << 20;
    let fleet = fleet("deluge", 1, 4, PATIENT);
    fleet.all_up();
    let makefile = format!("all:\n\t@yes 0123456789abcdef | head -c {SIZE}\n");
    write(&fleet.home.project.join("Makefile"), &makefile);
    let mut client = make(&fleet.home, &fleet.home.project, &[REMOTE]);
    let mut most = 0;
    wait_for("the end of the job", || {
        let status = fleet.status();
        most = most.max(status.daemon.rss_kib);
        status.jobs.iter().any(|j| j.state == "done").then_some(())
    });
    assert!(most < 32 << 10, "{most} KiB");
    let pid = fleet.home.daemon_pid();
    // It once span when a sign of life was due to the one that does not read. Another client, whose
    // job waits, is given two of them meanwhile, and what lies between costs nothing.
    let waits = fleet.home.project.join("waits");
    waiting(&waits);
    let mut other = subscribe(&fleet.home, &waits);
    sign_of_life(&mut other);
    let before = cpu_ticks(pid);
    sign_of_life(&mut other);
    let used = cpu_ticks(pid) - before;
    assert!(used < 100, "{used} ticks of CPU for nothing");
    fleet.go();
    let mut got = 0;
    let mut buf = vec![0; 1 << 20];
    let mut stdout = client.stdout.take().unwrap();
    while let Ok(n) = stdout.read(&mut buf) {
        if n == 0 {
            break;
        }
        got += n;
    }
    assert_eq!(got, SIZE);
    assert!(client.wait().unwrap().success());
    fleet.quiet();
}

/// A client of the daemon's own protocol, with a job in `dir`.
fn subscribe(home: &Home, dir: &Path) -> Daemon {
    let mut daemon = Daemon::connect(&home.socket()).unwrap();
    let env = [
        ("PATH", std::env::var_os("PATH").unwrap()),
        ("HOME", home.path().into()),
    ];
    let exec = Exec {
        argv: vec!["make".into()],
        cwd: dir.into(),
        env: env.map(|(k, v)| (k.into(), v)).into(),
        own: vec![],
        tty: (false, false),
        merged: false,
        require_remote: true,
    };
    daemon.send(&ToDaemon::Exec(Box::new(exec))).unwrap();
    while !matches!(next(&mut daemon), FromDaemon::Stdout(_)) {}
    daemon
}

/// The daemon says that the job goes on, because nothing else has been said for a while.
fn sign_of_life(daemon: &mut Daemon) {
    while !matches!(next(daemon), FromDaemon::Progress(Phase::Running { .. })) {}
}

fn next(daemon: &mut Daemon) -> FromDaemon {
    daemon.next(Duration::from_secs(180)).unwrap()
}

/// What a process has used of the processor, in hundredths of a second.
fn cpu_ticks(pid: i32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = |n: usize| fields[n].parse::<u64>().unwrap();
    ticks(11) + ticks(12)
}
