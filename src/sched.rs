//! Which worker a job goes to, and who waits. Pure: facts in, a choice with its reasons out.
//!
//! The score is speed × share of free slots × 1.5 for an idle warm lane × priority. Everything a
//! candidate is refused for is kept as a word, because "why did it not go there" is what people ask.

mod wanted;

use std::cmp::Reverse;
use std::time::Instant;

use crate::ids::{JobId, WorkerId};

pub use wanted::{Names, Wanted};

/// What warmth is worth.
const WARM: f64 = 1.5;
/// A speed like this machine's.
const UNMEASURED: f64 = 50.0;

/// A worker as the scheduler sees it, at one moment.
#[derive(Debug, Clone)]
pub struct Candidate {
    pub id: WorkerId,
    /// Empty if jobs may go there, else why not (`drained`, `circuit open`, `no rustc like ours`, …).
    pub refusal: String,
    /// 0 to 100.
    pub speed: f64,
    pub free: u32,
    pub total: u32,
    pub warm: bool,
    /// 100 is neutral.
    pub priority: u32,
    /// Its place among `general.preferred_workers`, if it is one of them.
    pub preferred: Option<usize>,
    /// Why it has nothing to give though its slots are not in use; empty if that is not so.
    pub held: String,
}

impl Candidate {
    pub fn score(&self) -> f64 {
        let share = f64::from(self.free) / f64::from(self.total.max(1));
        let warmth = if self.warm { WARM } else { 1.0 };
        self.speed * share * warmth * f64::from(self.priority) / 100.0
    }

    /// How many slots a job that wishes for `wish` would get: all of it, or what the worker has.
    pub fn grant(&self, wish: u32) -> u32 {
        wish.min(self.total).max(1)
    }
}

/// The speed of a worker that was never measured, by those of its fellows: that of the best, so that
/// it gets tried. Nobody measured: as fast as this machine.
pub fn assumed(measured: impl Iterator<Item = f64>) -> f64 {
    measured.reduce(f64::max).unwrap_or(UNMEASURED)
}

#[derive(Debug, Clone, PartialEq)]
pub enum Choice {
    /// The place of the chosen candidate, and the slots the job gets.
    Go(usize, u32),
    /// Some could take it, but all are busy.
    Busy,
    /// None will: each with its reason.
    Nowhere(String),
}

/// The best candidate for a job that wishes for `wish` slots: preferred ones in their order, then by score;
/// among equals the one that stands first in the configuration.
pub fn choose(candidates: &[Candidate], wish: u32) -> Choice {
    let fit = candidates
        .iter()
        .enumerate()
        .filter(|(_, c)| c.refusal.is_empty());
    let able = fit.clone().filter(|(_, c)| c.free >= c.grant(wish));
    let best = able.reduce(|a, b| {
        let rank = |c: &Candidate| (Reverse(c.preferred.unwrap_or(usize::MAX)), c.score());
        let better = rank(b.1) > rank(a.1);
        if better { b } else { a }
    });
    match best {
        Some((i, c)) => Choice::Go(i, c.grant(wish)),
        None if fit.count() > 0 => Choice::Busy,
        None => Choice::Nowhere(reasons(candidates)),
    }
}

/// Why a job waits that wishes for `wish` slots: by the worker that has most to give.
pub fn lacking(candidates: &[Candidate], wish: u32) -> String {
    let fit: Vec<&Candidate> = candidates.iter().filter(|c| c.refusal.is_empty()).collect();
    let Some(best) = fit.iter().rev().max_by_key(|c| c.free) else {
        return String::new();
    };
    if best.free == 0 && fit.len() > 1 {
        return format!("no slot is free on {} workers", fit.len());
    }
    if !best.held.is_empty() {
        return format!("{} {}", best.id, best.held);
    }
    let wanted = best.grant(wish);
    format!(
        "{} of {} slots free on {}, {wanted} wanted",
        best.free, best.total, best.id
    )
}

/// Whoever knows the workers and moves the jobs, for `dispatch`.
pub trait Desk {
    /// The workers as they are now for this job, and the slots it wishes for; `None`: it waits no more.
    fn look(&mut self, job: JobId) -> Option<(Vec<Candidate>, u32)>;
    /// What has been decided about it. After `Go` the slots of that worker are taken.
    fn decide(&mut self, job: JobId, candidates: &[Candidate], choice: Choice);
}

/// Gives slots to as many waiting jobs as there are slots, in their order. A worker that an earlier
/// job waits for is not given to a later one, or a job that wishes for much would wait for ever.
pub fn dispatch(waiting: &[JobId], desk: &mut impl Desk) {
    let mut reserved: Vec<(WorkerId, JobId)> = vec![];
    for &job in waiting {
        let Some((mut candidates, wish)) = desk.look(job) else {
            continue;
        };
        for candidate in &mut candidates {
            if let Some((_, by)) = reserved.iter().find(|(id, _)| *id == candidate.id) {
                if candidate.free > 0 {
                    candidate.held = format!("keeps its free slots for {by}");
                }
                candidate.free = 0;
            }
        }
        let choice = choose(&candidates, wish);
        if choice == Choice::Busy {
            let fit = candidates.iter().filter(|c| c.refusal.is_empty());
            reserved.extend(fit.map(|c| (c.id.clone(), job)));
        }
        desk.decide(job, &candidates, choice);
    }
}

fn reasons(candidates: &[Candidate]) -> String {
    if candidates.is_empty() {
        return "no workers are configured".into();
    }
    // One that was not asked for says nothing of why the other cannot.
    let asked = |c: &&Candidate| c.refusal != wanted::ANOTHER;
    let any = candidates.iter().any(|c| asked(&c));
    let told = candidates.iter().filter(|c| !any || asked(c));
    let each: Vec<String> = told.map(|c| format!("{}: {}", c.id, c.refusal)).collect();
    each.join(", ")
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    High,
    Normal,
    Low,
}

impl Priority {
    /// `RCH_PRIORITY`; anything unknown is normal.
    pub fn parse(text: &str) -> Priority {
        match text {
            "high" => Priority::High,
            "low" => Priority::Low,
            _ => Priority::Normal,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    pub job: JobId,
    pub priority: Priority,
    /// After this the job runs locally.
    pub until: Instant,
}

/// Jobs that wait for slots: by priority, and in order of arrival within one.
#[derive(Debug, Default)]
pub struct Queue(Vec<Waiting>);

impl Queue {
    pub fn push(&mut self, waiting: Waiting) {
        let at = self.0.partition_point(|w| w.priority <= waiting.priority);
        self.0.insert(at, waiting);
    }

    pub fn remove(&mut self, job: JobId) {
        self.0.retain(|w| w.job != job);
    }

    /// Somebody with a higher claim waits for the same job.
    pub fn promote(&mut self, job: JobId, priority: Priority) {
        let Some(at) = self.0.iter().position(|w| w.job == job) else {
            return;
        };
        if priority < self.0[at].priority {
            let waiting = self.0.remove(at);
            self.push(Waiting {
                priority,
                ..waiting
            });
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Waiting> {
        self.0.iter()
    }

    /// All of them, in their order.
    pub fn jobs(&self) -> Vec<JobId> {
        self.0.iter().map(|w| w.job).collect()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many stand before `job`, plus one; 0 if it does not wait.
    pub fn place(&self, job: JobId) -> usize {
        self.0
            .iter()
            .position(|w| w.job == job)
            .map_or(0, |i| i + 1)
    }

    /// Takes out one whose time is up.
    pub fn expired(&mut self, now: Instant) -> Option<JobId> {
        let at = self.0.iter().position(|w| w.until <= now)?;
        Some(self.0.remove(at).job)
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.0.iter().map(|w| w.until).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(id: &str, speed: f64, free: u32, total: u32) -> Candidate {
        Candidate {
            id: WorkerId::new(id),
            refusal: String::new(),
            speed,
            free,
            total,
            warm: false,
            priority: 100,
            preferred: None,
            held: String::new(),
        }
    }

    /// "All workers are busy" was said of one that was half free.
    #[test]
    fn who_waits_is_told_for_what() {
        let said = |fleet: &[Candidate]| lacking(fleet, 2);
        let mut down = worker("down", 50.0, 8, 8);
        down.refusal = "disabled".into();
        let css = worker("css", 50.0, 1, 4);
        assert_eq!(
            said(&[down.clone(), css.clone()]),
            "1 of 4 slots free on css, 2 wanted"
        );
        let full = worker("full", 50.0, 0, 1);
        assert_eq!(
            said(&[full.clone(), css]),
            "1 of 4 slots free on css, 2 wanted"
        );
        assert_eq!(
            said(&[down, full.clone()]),
            "0 of 1 slots free on full, 1 wanted"
        );
        assert_eq!(
            said(&[full.clone(), full.clone()]),
            "no slot is free on 2 workers"
        );
        let kept = Candidate {
            held: "keeps its free slots for j1".into(),
            ..full
        };
        assert_eq!(said(&[kept]), "full keeps its free slots for j1");
    }

    #[test]
    fn the_score_is_the_documented_product() {
        let mut c = worker("a", 80.0, 4, 8);
        assert!((c.score() - 40.0).abs() < 1e-9);
        c.warm = true;
        c.priority = 50;
        assert!((c.score() - 30.0).abs() < 1e-9);
    }

    #[test]
    fn best_score_wins_preference_first_and_a_small_worker_gives_what_it_has() {
        let mut fleet = [
            worker("a", 50.0, 8, 8),
            worker("b", 90.0, 8, 8),
            worker("c", 99.0, 1, 8),
        ];
        assert_eq!(choose(&fleet, 4), Choice::Go(1, 4));
        fleet[0].preferred = Some(1);
        assert_eq!(choose(&fleet, 4), Choice::Go(0, 4));
        fleet[2].preferred = Some(0);
        assert_eq!(choose(&fleet, 1), Choice::Go(2, 1), "as they are listed");
        assert_eq!(choose(&fleet, 4), Choice::Go(0, 4), "the first is full");
        assert_eq!(choose(&[worker("tiny", 1.0, 2, 2)], 8), Choice::Go(0, 2));
    }

    #[test]
    fn a_new_worker_is_taken_for_the_best() {
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} {b}");
        near(assumed([].into_iter()), 50.0);
        near(assumed([20.0, 80.0, 30.0].into_iter()), 80.0);
        near(assumed([20.0].into_iter()), 20.0);
    }

    #[test]
    fn busy_is_not_nowhere() {
        let mut fleet = [worker("a", 50.0, 1, 8), worker("b", 50.0, 8, 8)];
        fleet[1].refusal = "drained".into();
        assert_eq!(choose(&fleet, 4), Choice::Busy);
        fleet[0].refusal = "circuit open".into();
        assert_eq!(
            choose(&fleet, 4),
            Choice::Nowhere("a: circuit open, b: drained".into())
        );
        // Of one that was named the other's word was the noise.
        fleet[1].refusal = wanted::ANOTHER.into();
        assert_eq!(choose(&fleet, 4), Choice::Nowhere("a: circuit open".into()));
        assert_eq!(
            choose(&[], 1),
            Choice::Nowhere("no workers are configured".into())
        );
    }

    #[test]
    fn the_queue_keeps_priority_then_arrival() {
        let t = Instant::now();
        let mut q = Queue::default();
        for (n, priority) in [
            (1, Priority::Normal),
            (2, Priority::Low),
            (3, Priority::High),
            (4, Priority::Normal),
        ] {
            q.push(Waiting {
                job: JobId(n),
                priority,
                until: t,
            });
        }
        assert_eq!(q.iter().map(|w| w.job.0).collect::<Vec<_>>(), [3, 1, 4, 2]);
        assert_eq!(q.place(JobId(4)), 3);
        assert_eq!(q.expired(t), Some(JobId(3)));
        q.promote(JobId(2), Priority::High);
        q.promote(JobId(1), Priority::Low);
        assert_eq!(q.iter().map(|w| w.job.0).collect::<Vec<_>>(), [2, 1, 4]);
        q.remove(JobId(1));
        assert_eq!(q.len(), 2);
    }
}
