//! Days of work in one test (SAFE-5): agents edit, build, break, mend and give up, each in a project of
//! its own; a troublemaker meanwhile takes workers, links and the daemon away from them. Each step is
//! compared with a local run of the same tree, and whenever all have paused nothing may be left over.
//!
//! Counted in rounds, not in seconds, so that a slow machine sees as much: the short form has `SHORT`
//! of them, `RCH_TEST_SOAK=HOURS` goes on for so long (24 is the real one). In most rounds the daemon
//! must stay the same process, or a leak would end with it before it is seen. What happens follows from a
//! seed, but for the order in which threads get on; `RCH_TEST_SEED` gives another.

#![allow(clippy::print_stderr)]

mod agent;
mod project;
mod sound;
mod trouble;

use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::kit::{Fleet, Random, fleet};
use agent::Agent;
use project::{Project, Tool};
use sound::Watch;

/// The daemon stays in the first, and dies in the last.
const SHORT: u64 = 6;
/// Of so many rounds one may end the daemon.
const MORTAL: u64 = 60;
/// Of each agent, in a round.
const STEPS: u32 = 5;
const WORKERS: usize = 4;
const TOOLS: [Tool; 4] = [Tool::Cargo, Tool::Make, Tool::Cargo, Tool::Make];

/// Jobs are short here, and go all the same; two at once fill a worker.
const CONFIG: &str = "[general]\nforce_remote = true\n[compilation]\nbuild_slots = 2\ntest_slots = 2\ncheck_slots = 1\nqueue_timeout_ms = 20000\n";

/// How far the agents of a round have come.
#[derive(Default)]
struct Progress(Mutex<Counts>, Condvar);

#[derive(Default, Clone, Copy)]
struct Counts {
    steps: u32,
    at_work: usize,
}

impl Progress {
    fn change(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.0.lock().unwrap());
        self.1.notify_all();
    }

    /// Waits for so many steps more; false if nobody is at work any more.
    fn await_steps(&self, more: usize) -> bool {
        let counts = self.0.lock().unwrap();
        let until = counts.steps as usize + more;
        let early = |c: &mut Counts| c.at_work > 0 && (c.steps as usize) < until;
        self.1.wait_while(counts, early).unwrap().at_work > 0
    }
}

/// Tells the others, in an agent's death too, that it takes no more steps.
struct AtWork<'a>(&'a Progress);

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.0.change(|c| c.at_work -= 1);
    }
}

fn round(fleet: &Fleet, agents: &mut [Agent], random: &mut Random, mortal: bool) {
    let progress = Progress::default();
    progress.change(|c| c.at_work = agents.len());
    std::thread::scope(|scope| {
        for agent in agents {
            let at_work = AtWork(&progress);
            scope.spawn(move || {
                for _ in 0..STEPS {
                    agent.step(fleet);
                    at_work.0.change(|c| c.steps += 1);
                }
            });
        }
        scope.spawn(|| trouble::make(fleet, &progress, random, mortal));
    });
}

/// How long the long form takes.
fn length() -> Option<Duration> {
    let hours = std::env::var("RCH_TEST_SOAK").ok()?;
    let hours: f64 = hours.parse().expect("RCH_TEST_SOAK is a number of hours");
    Some(Duration::from_secs_f64(hours * 3600.0))
}

/// Not 0.
fn seed() -> u64 {
    let given = std::env::var("RCH_TEST_SEED").ok();
    given.map_or(0x50a7_5eed, |s| {
        s.parse().expect("RCH_TEST_SEED is a number")
    }) | 1
}

#[test]
fn soak() {
    let (length, seed) = (length(), seed());
    eprintln!("RCH_TEST_SEED={seed}");
    let fleet = fleet("soak", WORKERS, 4, CONFIG);
    let dir = fleet.home.path();
    let mut agents: Vec<Agent> = (0..)
        .zip(TOOLS)
        .map(|(n, tool)| Agent::new(n, Project::new(&dir, n, tool), seed))
        .collect();
    let mut random = Random(seed.rotate_left(32));
    let mut watch = Watch::default();
    fleet.all_up();
    watch.look(&fleet, &agents, false);
    let begun = Instant::now();
    let mut rounds = 0;
    loop {
        let mortal = match length {
            None => rounds + 1 == SHORT,
            Some(_) => rounds % MORTAL == MORTAL - 1,
        };
        round(&fleet, &mut agents, &mut random, mortal);
        watch.look(&fleet, &agents, mortal);
        rounds += 1;
        if length.map_or(rounds == SHORT, |length| begun.elapsed() >= length) {
            break;
        }
    }
    watch.end(&fleet, &agents, length.is_some());
}
