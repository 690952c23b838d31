//! Choosing among sixty-four workers: the scheduler's whole step for one waiting job, from the facts of
//! each worker to the decision.
//!
//! A function of the library, so it is not the static binary that is timed but this program, which is
//! optimised less.

use std::hint::black_box;
use std::time::Instant;

use rch::fleet::{Circuit, Health, Slots};
use rch::ids::{JobId, WorkerId};
use rch::sched::{self, Candidate, Choice, Desk};

use super::{median, row};

const WORKERS: u32 = 64;
const ROUNDS: usize = 51;
const CHOICES: u32 = 200;

struct Worker {
    id: WorkerId,
    slots: std::sync::Arc<Slots>,
    health: Health,
}

struct Fleet {
    workers: Vec<Worker>,
    now: Instant,
    went: u64,
}

impl Desk for Fleet {
    fn look(&mut self, _: JobId) -> Option<(Vec<Candidate>, u32)> {
        let now = self.now;
        let candidate = |w: &mut Worker| Candidate {
            id: w.id.clone(),
            refusal: match w.health.circuit(now) {
                Circuit::Open { .. } => format!("paused after failures ({})", w.health.reason()),
                _ => String::new(),
            },
            speed: 50.0 + f64::from(w.slots.used()),
            free: w.slots.free(),
            total: w.slots.total(),
            warm: w.slots.total() % 7 == 0,
            priority: 100,
            preferred: None,
            held: String::new(),
        };
        Some((self.workers.iter_mut().map(candidate).collect(), 4))
    }

    fn decide(&mut self, _: JobId, candidates: &[Candidate], choice: Choice) {
        let Choice::Go(at, slots) = choice else {
            panic!("somebody is free: {choice:?}")
        };
        let chosen = self.workers[at].slots.reserve(slots);
        self.went += u64::from(black_box(chosen).is_some());
        black_box(candidates);
    }
}

pub fn run() {
    let now = Instant::now();
    let mut fleet = Fleet {
        workers: (0..WORKERS).map(|n| worker(n, now)).collect(),
        now,
        went: 0,
    };
    let waiting = [JobId(1)];
    let round = |fleet: &mut Fleet| {
        let begun = Instant::now();
        (0..CHOICES).for_each(|_| sched::dispatch(&waiting, fleet));
        begun.elapsed().as_secs_f64() * 1e6 / f64::from(CHOICES)
    };
    let all = (0..ROUNDS).map(|_| round(&mut fleet)).collect();
    assert_eq!(fleet.went, ROUNDS as u64 * u64::from(CHOICES));
    row(
        "choice among 64 workers, us",
        median(all),
        20.0,
        &format!("median of {ROUNDS} x {CHOICES}"),
    );
}

/// Some are busy, some paused, and no two alike.
fn worker(n: u32, now: Instant) -> Worker {
    let mut health = Health::default();
    if n % 9 == 0 {
        (0..3).for_each(|s| {
            health.failure(
                now - std::time::Duration::from_secs(30 - 10 * s),
                "it was lost",
            );
        });
    }
    Worker {
        id: WorkerId::new(&format!("builder-{n}.example.org")),
        slots: Slots::new(8 + n % 24),
        health,
    }
}
