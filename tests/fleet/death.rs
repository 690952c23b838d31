//! `kill -9`, at random moments, of everything that has a part in a job. Whatever dies, the agent gets
//! the right status and the right file, nothing is left running, and the next job is fine.
//!
//! A moment is a stage that the job has been seen at, and a few questions to the daemon more; both
//! follow from a seed, which a failure prints. A short form always; `RCH_TEST_LONG=1` for the long
//! one.

use std::io::Read;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::Child;

use crate::common::home::Home;
use crate::common::{wait_for, write};
use crate::kit::{Fleet, REMOTE, Random, fleet, make, of_home, signal, text};

const SHORT: u32 = 15;
const LONG: u32 = 200;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Victim {
    /// The sshd process that serves the connection.
    Connection,
    Worker,
    Daemon,
    Client,
}

const VICTIMS: [Victim; 4] = [
    Victim::Connection,
    Victim::Worker,
    Victim::Daemon,
    Victim::Client,
];

/// Stages in their order; a job that is past the one that is awaited is there too.
const STAGES: [&str; 7] = [
    "",
    "scanning",
    "queued",
    "connecting",
    "syncing",
    "running",
    "returning",
];
/// Questions to the daemon behind that, at most.
const QUESTIONS: usize = 12;

#[derive(Debug, Clone, Copy)]
struct Moment {
    stage: usize,
    questions: usize,
}

impl Moment {
    fn random(random: &mut Random) -> Moment {
        Moment {
            stage: random.below(STAGES.len()),
            questions: random.below(QUESTIONS),
        }
    }

    /// Waits for it; the end of the client is the last that can be waited for.
    fn await_(self, fleet: &Fleet, client: &mut Child) {
        let name = STAGES[self.stage];
        wait_for(&format!("a job that is {name}"), || {
            let states: Vec<String> = fleet.status().jobs.into_iter().map(|j| j.state).collect();
            let stage = |s: &String| STAGES.iter().position(|n| n == s);
            let there = states.iter().filter_map(stage).any(|at| at >= self.stage);
            let over = client.try_wait().unwrap().is_some();
            (self.stage == 0 || there || over).then_some(())
        });
        (0..self.questions).for_each(|_| drop(fleet.status()));
    }
}

/// A round's job: copies its input to its output, taking a while.
fn lay_out(fleet: &Fleet, round: u32) -> (PathBuf, PathBuf, String) {
    let dir = &fleet.home.project;
    let content = format!("round {round}\n");
    write(
        &dir.join("Makefile"),
        "out: in\n\t@echo one; sleep 0.1; cat in > out; sleep 0.1; echo two\n",
    );
    write(&dir.join("in"), &content);
    (dir.clone(), dir.join("out"), content)
}

fn kill(fleet: &Fleet, victim: Victim, which: usize, client: u32) {
    let daemon = |line: &str| line.contains("/rchd ");
    let of_worker = |name: &str| {
        let all = fleet.workers[which % fleet.workers.len()].processes();
        all.into_iter()
            .filter(|(_, line)| line.contains(name))
            .map(|(pid, _)| pid)
            .collect()
    };
    let pids: Vec<i32> = match victim {
        Victim::Connection => of_worker("sshd"),
        Victim::Worker => of_worker("rch-wkr"),
        Victim::Daemon => of_home(&fleet.home)
            .into_iter()
            .filter(|(_, line)| daemon(line))
            .map(|(pid, _)| pid)
            .collect(),
        Victim::Client => vec![i32::try_from(client).unwrap()],
    };
    pids.into_iter().for_each(|pid| signal(pid, "9"));
}

fn round(fleet: &Fleet, n: u32, random: &mut Random) -> Victim {
    let (dir, out, content) = lay_out(fleet, n);
    let victim = VICTIMS[random.below(VICTIMS.len())];
    let (which, moment) = (random.below(fleet.workers.len()), Moment::random(random));
    let mut client = make(&fleet.home, &dir, &[]);
    moment.await_(fleet, &mut client);
    kill(fleet, victim, which, client.id());
    let output = client.wait_with_output().unwrap();
    let at = format!("round {n}: {victim:?} of w{which} at {moment:?}");
    let story = || format!("{at}\n{}", fleet.home.story(&["make"], &output));
    if victim != Victim::Client {
        assert_eq!(output.status.code(), Some(0), "{}", story());
        // A daemon that dies when the products stand already leaves make nothing to do.
        let ends = ["one\ntwo\n", "make: 'out' is up to date.\n"];
        let stdout = text(&output.stdout);
        assert!(ends.iter().any(|end| stdout.ends_with(end)), "{}", story());
        assert_eq!(
            std::fs::read_to_string(&out).unwrap_or_default(),
            content,
            "{}",
            story()
        );
    }
    victim
}

/// The job after a death is like any other.
fn next_job(fleet: &Fleet, n: u32) {
    let (dir, out, _) = lay_out(fleet, n);
    let content = format!("after {n}\n");
    write(&dir.join("in"), &content);
    let output = make(&fleet.home, &dir, &[]).wait_with_output().unwrap();
    let story = || fleet.home.story(&["make"], &output);
    assert_eq!(output.status.code(), Some(0), "{}", story());
    assert_eq!(
        std::fs::read_to_string(&out).unwrap(),
        content,
        "{}",
        story()
    );
    // A daemon that was dying took the job's question with it; then it was a local one, and a new
    // daemon is still to be started.
    let started = fleet.home.rch(&["daemon", "start"]).output().unwrap();
    assert!(started.status.success(), "{started:?}");
    fleet.quiet();
}

#[test]
fn kill_nine_at_random_moments() {
    let long = std::env::var_os("RCH_TEST_LONG").is_some();
    let rounds = if long { LONG } else { SHORT };
    let config = "[general]\nforce_remote = true\n[compilation]\nbuild_slots = 2\n";
    let fleet = fleet("deaths", 4, 4, config);
    fleet.all_up();
    let mut random = Random(0x5eed);
    let mut deaths = [0; VICTIMS.len()];
    for n in 0..rounds {
        let victim = round(&fleet, n, &mut random);
        deaths[VICTIMS.iter().position(|v| *v == victim).unwrap()] += 1;
        next_job(&fleet, n);
        let panicked = fleet.home.log().contains("BUG");
        assert!(!panicked, "round {n}: {}", fleet.home.log());
    }
    // Every worker still takes jobs, in a lane that is free.
    for worker in &fleet.workers {
        let (dir, out, content) = lay_out(&fleet, rounds);
        let _ = std::fs::remove_file(&out);
        let env = [REMOTE, ("RCH_WORKER", worker.id.as_str())];
        wait_for("a worker to be trusted again", || {
            let output = make(&fleet.home, &dir, &env).wait_with_output().unwrap();
            output.status.success().then_some(())
        });
        assert_eq!(std::fs::read_to_string(&out).unwrap(), content);
        let lanes = lanes(worker.home().join(".cache/rch/lanes"));
        assert!((1..=3).contains(&lanes), "{} has {lanes} lanes", worker.id);
    }
    assert!(deaths.iter().all(|d| *d > 0), "{deaths:?} of {VICTIMS:?}");
    fleet.home.stop();
    wait_for("the last of our processes here", || {
        of_home(&fleet.home).is_empty().then_some(())
    });
}

fn lanes(dir: PathBuf) -> usize {
    let projects = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let numbers =
        projects.flat_map(|p| std::fs::read_dir(p.path()).into_iter().flatten().flatten());
    numbers.filter(|n| n.path().is_dir()).count()
}

/// A command that came as the daemon was leaving ran here; the next one a moment later went away.
#[test]
fn a_daemon_about_to_leave_costs_no_command_its_worker() {
    let home = Home::new("leaving");
    write(&home.project.join("Makefile"), "all:\n\t@echo made\n");
    let socket = home.path().join(".cache/rch/rch.sock");
    std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
    let listener = UnixListener::bind(&socket).unwrap();
    let leaving = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        // As much as is surely there: its greeting, and the beginning of the command.
        client.read_exact(&mut [0; 200]).unwrap();
        drop(listener);
    });
    let mut make = home.rch(&["exec", "--", "make"]);
    let output = make.env("RCH_REQUIRE_REMOTE", "1").output().unwrap();
    leaving.join().unwrap();
    assert_eq!(output.stdout, b"made\n", "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    assert_eq!(home.status().totals.remote, 1);
}
