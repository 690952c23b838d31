//! The scheduler's pure parts, driven as the daemon drives them, by thousands of random jobs on workers
//! that die, come back, are drained, shrink and grow. Nothing here waits; time is a number.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rch::dedup::{self, Flight, Key};
use rch::fleet::{Circuit, Health, Lease, Slots};
use rch::ids::{JobId, WorkerId};
use rch::job::{Outcome, Stage, Tries};
use rch::sched::{self, Candidate, Choice, Desk, Priority, Queue, Waiting};

const PATIENCE: Duration = Duration::from_secs(30);

/// xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % n
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

struct Worker {
    id: WorkerId,
    slots: Arc<Slots>,
    health: Health,
    drained: bool,
    dead: bool,
    /// Takes jobs and loses them.
    sick: bool,
    /// Reserved, as the test counts it.
    used: u32,
    /// Failures in a row, a second apart at least, and the last of them, as the test counts them.
    row: (u32, Option<Instant>),
    /// When they were three, for somebody who was trusted until then.
    opened: Option<Instant>,
}

impl Worker {
    fn failed(&mut self, now: Instant) {
        let trusted = self.health.circuit(now) == Circuit::Closed;
        let (count, last) = self.row;
        if last.is_none_or(|at| now >= at + Duration::from_secs(1)) {
            self.row = (count + 1, Some(now));
            if trusted && count + 1 == 3 {
                self.opened = Some(now);
            }
        }
        self.health.failure(now, "died");
    }

    fn succeeded(&mut self, now: Instant) {
        (self.row.0, self.opened) = (0, None);
        self.health.success(now);
    }
}

struct Job {
    stage: Stage,
    /// Project and snapshot: what makes two jobs one.
    of: (u64, u64),
    key: Key,
    wish: u32,
    priority: Priority,
    clients: u32,
    queued_at: Instant,
    lease: Option<(usize, Lease)>,
    tries: Tries,
    /// Workers that lost it, as the test counts them.
    lost_on: Vec<usize>,
}

struct World {
    random: Random,
    now: Instant,
    workers: Vec<Worker>,
    jobs: BTreeMap<JobId, Job>,
    queue: Queue,
    snapshots: [u64; 8],
    next: u64,
    clients: u64,
    served: u64,
    left: u64,
    outcomes: [u64; 3],
    /// Of the present dispatch: who was passed over, and who might have taken them.
    passed: Vec<(Priority, HashSet<WorkerId>)>,
}

impl World {
    fn new(seed: u64, workers: u64) -> World {
        let mut random = Random(seed | 1);
        let workers = (0..workers)
            .map(|n| Worker {
                id: WorkerId::new(&format!("w{n}")),
                slots: Slots::new(1 + random.below(16) as u32),
                health: Health::default(),
                drained: false,
                dead: false,
                sick: false,
                used: 0,
                row: (0, None),
                opened: None,
            })
            .collect();
        World {
            random,
            now: Instant::now(),
            workers,
            jobs: BTreeMap::new(),
            queue: Queue::default(),
            snapshots: [0; 8],
            next: 0,
            clients: 0,
            served: 0,
            left: 0,
            outcomes: [0; 3],
            passed: vec![],
        }
    }

    fn arrive(&mut self) {
        self.clients += 1;
        let project = self.random.below(8);
        if self.random.chance(30) {
            self.snapshots[project as usize] += 1;
        }
        let of = (project, self.snapshots[project as usize]);
        let key = (u128::from(of.0) << 64 | u128::from(of.1)).to_le_bytes();
        let priority = match self.random.below(10) {
            0 => Priority::High,
            1 => Priority::Low,
            _ => Priority::Normal,
        };
        let flights = self.jobs.iter().map(|(id, job)| Flight {
            job: *id,
            stage: job.stage,
            key: Some(&job.key),
            stopped: false,
        });
        if let Some(id) = dedup::twin(&key, flights) {
            let twin = self.jobs.get_mut(&id).unwrap();
            assert_eq!(twin.of, of, "another snapshot was joined");
            twin.clients += 1;
            self.queue.promote(id, priority);
            if let Some(w) = self.queue.iter().find(|w| w.job == id) {
                self.jobs.get_mut(&id).unwrap().priority = w.priority;
            }
            return;
        }
        self.next += 1;
        let id = JobId(self.next);
        let mut stage = Stage::Scanning;
        stage.advance(Stage::Queued);
        let job = Job {
            stage,
            of,
            key,
            wish: 1 + self.random.below(12) as u32,
            priority,
            clients: 1,
            queued_at: self.now,
            lease: None,
            tries: Tries::default(),
            lost_on: vec![],
        };
        self.jobs.insert(id, job);
        self.enqueue(id);
    }

    fn enqueue(&mut self, id: JobId) {
        let job = self.jobs.get_mut(&id).unwrap();
        job.queued_at = self.now;
        self.queue.push(Waiting {
            job: id,
            priority: job.priority,
            until: self.now + PATIENCE,
        });
    }

    fn end(&mut self, id: JobId, outcome: Outcome) {
        self.queue.remove(id);
        let mut job = self.jobs.remove(&id).unwrap();
        job.stage.advance(Stage::Done(outcome));
        self.give_back(&mut job);
        self.outcomes[outcome as usize] += 1;
        self.served += u64::from(job.clients);
    }

    fn give_back(&mut self, job: &mut Job) {
        if let Some((at, lease)) = job.lease.take() {
            self.workers[at].used -= lease.slots();
        }
    }

    fn lose(&mut self, id: JobId) {
        let mut job = self.jobs.remove(&id).unwrap();
        let at = job.lease.as_ref().unwrap().0;
        self.workers[at].failed(self.now);
        job.lost_on.push(at);
        assert!(job.lost_on.len() <= 2, "{id} is tried for ever");
        self.give_back(&mut job);
        let again = job.tries.again_after(&self.workers[at].id.clone());
        job.stage.advance(if again {
            Stage::Queued
        } else {
            Stage::Done(Outcome::Local)
        });
        if again {
            self.jobs.insert(id, job);
            self.enqueue(id);
        } else {
            self.outcomes[Outcome::Local as usize] += 1;
            self.served += u64::from(job.clients);
        }
    }

    /// One thing happens to a worker.
    fn shake(&mut self) {
        let at = self.random.below(self.workers.len() as u64) as usize;
        match self.random.below(11) {
            0 => {
                self.workers[at].dead = true;
                let its = |j: &Job| j.lease.as_ref().is_some_and(|(w, _)| *w == at);
                let lost: Vec<JobId> = self
                    .jobs
                    .iter()
                    .filter(|(_, j)| its(j))
                    .map(|(id, _)| *id)
                    .collect();
                lost.into_iter().for_each(|id| self.lose(id));
            }
            1..=3 => self.workers[at].dead = false,
            4 => self.workers[at].drained = true,
            5 | 6 => self.workers[at].drained = false,
            7 => self.workers[at].sick = true,
            8 | 9 => self.workers[at].sick = false,
            _ => self.workers[at]
                .slots
                .set_total(1 + self.random.below(16) as u32),
        }
    }

    /// Running jobs go on, one stage at a time.
    fn work(&mut self) {
        let ids: Vec<JobId> = self.jobs.keys().copied().collect();
        for id in ids {
            let (step, leaves) = (self.random.chance(40), self.random.chance(1));
            let job = self.jobs.get_mut(&id).unwrap();
            if leaves {
                job.clients -= 1;
                self.left += 1;
                if job.clients == 0 {
                    self.end(id, Outcome::Cancelled);
                }
                continue;
            }
            if !step {
                continue;
            }
            match job.stage {
                Stage::Connecting => job.stage.advance(Stage::Syncing),
                Stage::Syncing => {
                    job.stage.advance(Stage::Running);
                    let at = job.lease.as_ref().unwrap().0;
                    if self.workers[at].sick {
                        self.lose(id);
                    }
                }
                Stage::Running => job.stage.advance(Stage::Returning),
                Stage::Returning => {
                    let at = job.lease.as_ref().unwrap().0;
                    self.workers[at].succeeded(self.now);
                    self.end(id, Outcome::Remote);
                }
                _ => {}
            }
        }
    }

    fn turn(&mut self) {
        self.now += Duration::from_millis(self.random.below(1500));
        self.work();
        while let Some(id) = self.queue.expired(self.now) {
            self.end(id, Outcome::Local);
        }
        self.passed.clear();
        let waiting = self.queue.jobs();
        sched::dispatch(&waiting, self);
        self.check();
    }

    fn check(&self) {
        for worker in &self.workers {
            assert_eq!(worker.slots.used(), worker.used, "slots and leases differ");
        }
        for (id, job) in &self.jobs {
            let queued = job.stage == Stage::Queued;
            assert_eq!(queued, self.queue.place(*id) > 0, "{id} is {}", job.stage);
            assert_eq!(job.lease.is_none(), queued, "{id} is {}", job.stage);
            assert!(
                !queued || self.now < job.queued_at + PATIENCE,
                "{id} waits too long"
            );
        }
        assert_eq!(
            self.queue.len(),
            self.jobs
                .values()
                .filter(|j| j.stage == Stage::Queued)
                .count()
        );
        let live: Vec<_> = self.jobs.values().map(|j| j.of).collect();
        let distinct: HashSet<_> = live.iter().collect();
        assert_eq!(distinct.len(), live.len(), "the same thing runs twice");
    }
}

impl Desk for World {
    fn look(&mut self, id: JobId) -> Option<(Vec<Candidate>, u32)> {
        let (job, now) = (self.jobs.get(&id)?, self.now);
        let candidate = |w: &mut Worker| {
            let circuit = w.health.circuit(now);
            let refused = w.dead
                || w.drained
                || matches!(circuit, Circuit::Open { .. })
                || job.tries.failed_on(w.id.as_str());
            let trial = matches!(circuit, Circuit::HalfOpen { .. }) && w.slots.used() > 0;
            Candidate {
                id: w.id.clone(),
                refusal: if refused { "no".into() } else { String::new() },
                speed: 50.0,
                free: if trial { 0 } else { w.slots.free() },
                total: w.slots.total(),
                warm: false,
                priority: 100,
                preferred: None,
                held: String::new(),
            }
        };
        Some((self.workers.iter_mut().map(candidate).collect(), job.wish))
    }

    fn decide(&mut self, id: JobId, candidates: &[Candidate], choice: Choice) {
        let job = self.jobs.get_mut(&id).unwrap();
        match choice {
            Choice::Go(at, slots) => {
                let worker = &mut self.workers[at];
                assert!(!worker.drained && !worker.dead, "a job for {}", worker.id);
                assert!(!job.lost_on.contains(&at), "{id} back to {}", worker.id);
                let pause = Duration::from_secs(30);
                let trusted = worker.opened.is_none_or(|at| self.now >= at + pause);
                assert!(trusted, "{} has just failed three times", worker.id);
                assert!(
                    slots >= 1 && slots <= worker.slots.free(),
                    "more than there is"
                );
                for (priority, wanted) in &self.passed {
                    assert!(*priority <= job.priority, "out of order");
                    assert!(
                        !wanted.contains(&worker.id),
                        "{id} overtook on {}",
                        worker.id
                    );
                }
                let lease = worker.slots.reserve(slots).expect("slots that were free");
                worker.used += slots;
                job.lease = Some((at, lease));
                job.stage.advance(Stage::Connecting);
                self.queue.remove(id);
            }
            Choice::Busy => {
                let fit = candidates.iter().filter(|c| c.refusal.is_empty());
                self.passed
                    .push((job.priority, fit.map(|c| c.id.clone()).collect()));
            }
            Choice::Nowhere(_) => self.end(id, Outcome::Local),
        }
    }
}

#[test]
fn nothing_is_lost_overtaken_or_given_twice() {
    let mut outcomes = [0; 3];
    for seed in 1..=40 {
        let mut world = World::new(seed * 0x9e37_79b9, 1 + seed % 7);
        for _ in 0..600 {
            while world.random.chance(45) {
                world.arrive();
            }
            if world.random.chance(10) {
                world.shake();
            }
            world.turn();
        }
        // Nobody new comes; everybody is served within a bounded number of turns.
        for _ in 0..400 {
            world.turn();
        }
        assert!(
            world.jobs.is_empty(),
            "seed {seed}: {} jobs never ended",
            world.jobs.len()
        );
        assert_eq!(
            world.served + world.left,
            world.clients,
            "seed {seed}: a client was lost"
        );
        assert!(
            world.workers.iter().all(|w| w.slots.used() == 0),
            "seed {seed}"
        );
        for (sum, n) in outcomes.iter_mut().zip(world.outcomes) {
            *sum += n;
        }
    }
    // The run means something only if all of it happens.
    assert!(outcomes.iter().all(|n| *n > 100), "{outcomes:?}");
    assert!(outcomes.iter().sum::<u64>() > 5000, "{outcomes:?}");
}
