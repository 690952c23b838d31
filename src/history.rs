//! What commands took, here and there, and whether it is worth sending one away. Pure; the daemon
//! keeps it on disk.
//!
//! A time tells what the command takes only if it had something to do and came to a good end. So a run
//! counts if it succeeded and met other sources than the same command's last run on that side: a
//! no-op build of 30 ms is none, nor is one that a typing error ended. Of those that count the
//! longest of the last few stands for the command, because an edit of a comment is a run too; and
//! before there are enough of them nothing is called fast. Both sides are measured alike.
//!
//! Once a job of the project has run elsewhere, this machine's products are no longer those of its
//! sources, and a local run would have to build all that it missed: a tree that was not built here
//! is not fast. So local times count only while the project's last run was here. A command that was
//! wrongly kept is measured again, which corrects itself.

use std::collections::{HashMap, HashSet, VecDeque};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::time::Stamp;

/// How many commands are remembered: those used last.
const REMEMBERED: usize = 1000;
/// Of how many runs the longest stands for the command.
const LAST: usize = 8;
/// How many must have been measured here before it may be called fast,
const ENOUGH: usize = 3;
/// and how many where failures may be among them: before 6.15 Linux does not tell how a process that is
/// no child ended. A failure stops early; that all of so many did is not likely.
const ENOUGH_UNSURE: usize = LAST;

/// Which command of which project; digests, because command lines may hold secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Task {
    project: u64,
    command: u64,
    /// What it meets; no part of what it is.
    sources: u64,
}

impl Task {
    /// `words` are the command's, with whatever else makes it another one (its directory, say);
    /// `sources` tells the tree it
    /// meets from another: what else makes a run another one (its environment, say) is no edit.
    pub fn new<'a>(project: &[u8], words: impl Iterator<Item = &'a [u8]>, sources: &[u8]) -> Task {
        let mut text = Vec::new();
        for word in words {
            text.extend_from_slice(&(word.len() as u64).to_le_bytes());
            text.extend_from_slice(word);
        }
        let project = xxh3_64(project);
        text.extend_from_slice(&project.to_le_bytes());
        Task {
            project,
            command: xxh3_64(&text),
            sources: xxh3_64(sources),
        }
    }
}

/// The runs of a command on one side.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Runs {
    /// What the last one that succeeded met.
    met: Option<u64>,
    /// Milliseconds of those that count, the newest last.
    took: VecDeque<u64>,
    /// Of one it was not known whether it succeeded.
    #[serde(default)]
    unsure: bool,
}

impl Runs {
    /// Enters one that succeeded; true if it counts. The first one known may have found all done.
    fn enter(&mut self, sources: u64, ms: u64) -> bool {
        let worked = self.met.replace(sources).is_some_and(|met| met != sources);
        if worked {
            self.took.push_back(ms);
            self.took.drain(..self.took.len().saturating_sub(LAST));
        }
        worked
    }

    /// What the command takes, as far as `enough` runs tell.
    fn time(&self, enough: usize) -> Option<u64> {
        (self.took.len() >= enough).then(|| self.took.iter().copied().max())?
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Times {
    project: u64,
    here: Runs,
    there: Runs,
    used: Stamp,
}

/// What the user wants weighed.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// Shorter than this is not worth it.
    pub min_local_ms: u64,
    /// How many times faster a worker must have been.
    pub speedup: f64,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    times: HashMap<u64, Times>,
    /// Projects whose last run was here.
    built_here: HashSet<u64>,
}

impl History {
    /// What `encode` made; anything else counts as nothing.
    pub fn decode(text: &[u8]) -> History {
        serde_json::from_slice(text).unwrap_or_default()
    }

    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("BUG: a history that JSON cannot hold")
    }

    /// It ran here. `good`: whether it succeeded, where that is known.
    pub fn ran_here(&mut self, task: Task, ms: u64, good: Option<bool>, now: Stamp) {
        if good == Some(false) {
            return;
        }
        self.built_here.insert(task.project);
        let here = &mut self.times(task, now).here;
        here.unsure |= good.is_none();
        here.enter(task.sources, ms);
        self.forget_old();
    }

    /// It ran there. `ms` as the agent saw it: with the way there and back, without a wait for slots.
    /// Answers how much longer it takes here, if this run can be compared.
    pub fn ran_there(&mut self, task: Task, ms: u64, good: bool, now: Stamp) -> Option<i64> {
        self.built_here.remove(&task.project);
        if !good {
            return None;
        }
        let times = self.times(task, now);
        let counts = times.there.enter(task.sources, ms);
        let here = times.here.time(1).filter(|_| counts);
        self.forget_old();
        here.map(|here| here as i64 - ms as i64)
    }

    /// Why the command had better stay; `None`: send it.
    pub fn keeps(&self, task: Task, terms: Terms) -> Option<String> {
        let times = self.times.get(&task.command)?;
        let enough = if times.here.unsure {
            ENOUGH_UNSURE
        } else {
            ENOUGH
        };
        let here = times.here.time(enough);
        let here = here.filter(|_| self.built_here.contains(&task.project))?;
        if here < terms.min_local_ms {
            return Some(format!(
                "too short for compilation.min_local_time_ms ({here} ms here)"
            ));
        }
        let there = times.there.time(1)?;
        let slow = here as f64 / there.max(1) as f64 >= terms.speedup;
        (!slow).then(|| {
            format!(
                "no faster there than compilation.remote_speedup_threshold asks for ({here} ms here, {there} ms there)"
            )
        })
    }

    fn times(&mut self, task: Task, now: Stamp) -> &mut Times {
        let times = self.times.entry(task.command).or_default();
        times.project = task.project;
        times.used = now;
        times
    }

    fn forget_old(&mut self) {
        if self.times.len() <= REMEMBERED {
            return;
        }
        let oldest = self.times.iter().min_by_key(|(_, t)| t.used);
        if let Some(command) = oldest.map(|(c, _)| *c) {
            self.times.remove(&command);
        }
        let known: HashSet<u64> = self.times.values().map(|t| t.project).collect();
        self.built_here.retain(|p| known.contains(p));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms {
        min_local_ms: 2000,
        speedup: 1.2,
    };

    fn task(project: &str, command: &str, sources: u64) -> Task {
        let words = command.split(' ').map(str::as_bytes);
        Task::new(project.as_bytes(), words, &sources.to_le_bytes())
    }

    fn build(sources: u64) -> Task {
        task("/p", "cargo build", sources)
    }

    /// What is said of the next build after these: where, on which sources, how long, and how it ended.
    fn told(runs: &[(&str, u64, u64, bool)]) -> Option<String> {
        let mut h = History::default();
        for &(side, sources, ms, good) in runs {
            match side {
                "here" => h.ran_here(build(sources), ms, Some(good), 0),
                _ => drop(h.ran_there(build(sources), ms, good, 0)),
            }
        }
        h.keeps(build(99), TERMS)
    }

    /// Successful local runs of that long, each on other sources.
    fn here(times: &[u64]) -> Vec<(&'static str, u64, u64, bool)> {
        let first = [("here", 0, 1, true)].into_iter();
        let rest = times.iter().zip(1..).map(|(&ms, n)| ("here", n, ms, true));
        first.chain(rest).collect()
    }

    #[test]
    fn what_was_not_measured_enough_is_sent() {
        assert_eq!(told(&[]), None);
        assert_eq!(
            told(&[("there", 1, 10, true), ("there", 2, 10, true)]),
            None
        );
        assert_eq!(told(&here(&[5, 5])), None);
        assert!(told(&here(&[5, 5, 5])).is_some());
    }

    #[test]
    fn short_commands_stay_and_long_ones_only_where_workers_are_no_faster() {
        assert!(told(&here(&[9, 1999, 9])).unwrap().contains("1999 ms"));
        assert_eq!(told(&here(&[9, 2000, 9])), None, "no worker was tried yet");
        let both = |ms| {
            let mut runs = here(&[6000; 3]);
            runs.splice(0..0, [("there", 50, 1, true), ("there", 51, ms, true)]);
            told(&runs)
        };
        assert!(both(5001).unwrap().contains("5001 ms"));
        assert_eq!(both(5000), None);
    }

    #[test]
    fn another_command_and_another_project_are_not_this_one() {
        let mut h = History::default();
        (0..5).for_each(|n| h.ran_here(build(n), 5, Some(true), 0));
        assert!(h.keeps(build(9), TERMS).is_some());
        assert_eq!(h.keeps(task("/p", "cargo test", 9), TERMS), None);
        assert_eq!(h.keeps(task("/q", "cargo build", 9), TERMS), None);
        assert_ne!(task("/p", "make ab c", 0), task("/p", "make a bc", 0));
    }

    /// A local `cargo build` that found all done took 30 ms; the next one, of an edited source, stayed
    /// for it and took a minute.
    #[test]
    fn a_run_that_had_nothing_to_do_makes_nothing_fast() {
        let mut runs = vec![("here", 1, 60_000, true)];
        runs.extend([("here", 1, 30, true); 20]);
        assert_eq!(told(&runs), None, "one real build, and nobody saw it begin");
        let mut runs = here(&[60_000, 60_000, 60_000]);
        runs.extend([("here", 3, 30, true); 20]);
        assert_eq!(told(&runs), None);
        // Edits that needed no compiling, up to the limit of what is remembered.
        let mut times = vec![60_000; 3];
        times.extend([30; LAST - 1]);
        assert_eq!(told(&here(&times)), None);
        times.push(30);
        assert!(told(&here(&times)).is_some(), "long ago");
    }

    /// A build that fails at the first line is over in no time.
    #[test]
    fn a_run_that_failed_says_nothing() {
        let mut runs = here(&[60_000]);
        runs.extend((10..20).map(|n| ("here", n, 300, false)));
        assert_eq!(told(&runs), None);
        let mut runs = here(&[6000; 3]);
        runs.splice(0..0, [("there", 50, 1, true), ("there", 51, 9000, true)]);
        runs.insert(2, ("there", 52, 10, false));
        assert!(told(&runs).unwrap().contains("9000 ms"));
        // Where the status is not known, some of them may have failed.
        let mut h = History::default();
        (0..LAST as u64).for_each(|n| h.ran_here(build(n), 5, None, 0));
        assert_eq!(h.keeps(build(99), TERMS), None);
        h.ran_here(build(50), 5, None, 0);
        assert!(h.keeps(build(99), TERMS).is_some());
    }

    /// The last local build was quick; since then the project is built elsewhere, and the next local
    /// one would not be quick at all.
    #[test]
    fn a_tree_that_was_not_built_here_is_not_fast() {
        let mut h = History::default();
        let test = task("/p", "cargo test", 7);
        (0..5).for_each(|n| h.ran_here(build(n), 100, Some(true), 0));
        h.ran_there(test, 9000, false, 1);
        assert_eq!(h.keeps(build(9), TERMS), None);
        h.ran_here(test, 9000, Some(false), 2);
        assert_eq!(
            h.keeps(build(9), TERMS),
            None,
            "a broken build builds nothing"
        );
        h.ran_here(test, 9000, Some(true), 3);
        assert!(h.keeps(build(9), TERMS).is_some());
    }

    #[test]
    fn time_is_saved_where_like_is_compared_with_like() {
        let mut h = History::default();
        h.ran_here(build(1), 1, Some(true), 0);
        h.ran_here(build(2), 9000, Some(true), 0);
        assert_eq!(h.ran_there(build(2), 1000, true, 0), None, "the first");
        assert_eq!(h.ran_there(build(3), 2000, true, 0), Some(7000));
        assert_eq!(h.ran_there(build(3), 10, true, 0), None, "nothing to do");
        assert_eq!(h.ran_there(build(4), 10, false, 0), None, "failed");
    }

    #[test]
    fn it_survives_and_stays_small() {
        let mut h = History::default();
        for n in 0..REMEMBERED + 50 {
            let task = |s| task(&format!("/{n}"), "make", s);
            (0..20).for_each(|s| h.ran_here(task(s), 1, Some(true), n as Stamp));
        }
        assert_eq!(
            (h.times.len(), h.built_here.len()),
            (REMEMBERED, REMEMBERED)
        );
        assert_eq!(h.keeps(task("/0", "make", 0), TERMS), None);
        assert!(h.keeps(task("/1049", "make", 0), TERMS).is_some());
        assert!(h.times.values().all(|t| t.here.took.len() == LAST));
        assert_eq!(History::decode(&h.encode()), h);
        assert_eq!(History::decode(b"{nonsense"), History::default());
    }
}
