//! What commands took, here and there, and whether it is worth sending one away. Pure; the daemon
//! keeps it on disk.
//!
//! A time measured here tells what a command takes in the tree as it was then. Once a job of the
//! project has run elsewhere, this machine's products are no longer those of its sources, and a local
//! run would have to build all that it missed: a tree that was not built here is not fast. So local
//! times count only while the project's last run was here. They are of any exit status (the daemon
//! cannot know it), which corrects itself: a command that was wrongly kept is measured again.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::time::Stamp;

/// How many commands are remembered: those used last.
const REMEMBERED: usize = 1000;

/// Which command of which project; digests, because command lines may hold secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Task {
    project: u64,
    command: u64,
}

impl Task {
    /// `words` are the command's, with whatever else makes it another one (its directory, say).
    pub fn new<'a>(project: &[u8], words: impl Iterator<Item = &'a [u8]>) -> Task {
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
        }
    }
}

/// Milliseconds, of the last run of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Times {
    project: u64,
    here: Option<u64>,
    there: Option<u64>,
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

    pub fn ran_here(&mut self, task: Task, ms: u64, now: Stamp) {
        self.built_here.insert(task.project);
        self.times(task, now).here = Some(ms);
        self.forget_old();
    }

    /// `ms` as the agent saw it: with the way there and back, without a wait for slots.
    pub fn ran_there(&mut self, task: Task, ms: u64, now: Stamp) {
        self.built_here.remove(&task.project);
        self.times(task, now).there = Some(ms);
        self.forget_old();
    }

    /// What it took here when it last ran here.
    pub fn here(&self, task: Task) -> Option<u64> {
        self.times.get(&task.command)?.here
    }

    /// Why the command had better stay; `None`: send it.
    pub fn keeps(&self, task: Task, terms: Terms) -> Option<String> {
        let times = self.times.get(&task.command)?;
        let here = times
            .here
            .filter(|_| self.built_here.contains(&task.project))?;
        if here < terms.min_local_ms {
            return Some(format!(
                "too short for compilation.min_local_time_ms ({here} ms here)"
            ));
        }
        let there = times.there?;
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

    fn task(project: &str, command: &str) -> Task {
        Task::new(project.as_bytes(), command.split(' ').map(str::as_bytes))
    }

    #[test]
    fn what_was_never_measured_is_sent() {
        let mut h = History::default();
        let t = task("/p", "cargo build");
        assert_eq!(h.keeps(t, TERMS), None);
        h.ran_there(t, 10, 0);
        assert_eq!(h.keeps(t, TERMS), None);
    }

    #[test]
    fn short_commands_stay_and_long_ones_only_where_workers_are_no_faster() {
        let mut h = History::default();
        let t = task("/p", "cargo build");
        h.ran_here(t, 1999, 0);
        assert!(h.keeps(t, TERMS).unwrap().contains("1999 ms"));
        h.ran_here(t, 6000, 1);
        assert_eq!(h.keeps(t, TERMS), None, "no worker was tried yet");
        h.ran_there(t, 5001, 2);
        h.ran_here(t, 6000, 3);
        assert!(h.keeps(t, TERMS).unwrap().contains("5001 ms"));
        h.ran_there(t, 5000, 4);
        h.ran_here(t, 6000, 5);
        assert_eq!(h.keeps(t, TERMS), None);
        assert_eq!(h.keeps(task("/p", "cargo test"), TERMS), None);
        assert_eq!(h.keeps(task("/q", "cargo build"), TERMS), None);
    }

    /// The last local build was quick because all was built; since then the project is built
    /// elsewhere, and the next local one would not be quick at all.
    #[test]
    fn a_tree_that_was_not_built_here_is_not_fast() {
        let mut h = History::default();
        let (build, test) = (task("/p", "cargo build"), task("/p", "cargo test"));
        h.ran_here(build, 100, 0);
        h.ran_there(test, 9000, 1);
        assert_eq!(h.keeps(build, TERMS), None);
        h.ran_here(test, 9000, 2);
        assert!(h.keeps(build, TERMS).is_some());
    }

    #[test]
    fn it_survives_and_stays_small() {
        let mut h = History::default();
        for n in 0..REMEMBERED + 50 {
            h.ran_here(task(&format!("/{n}"), "make"), 1, n as Stamp);
        }
        assert_eq!(
            (h.times.len(), h.built_here.len()),
            (REMEMBERED, REMEMBERED)
        );
        assert_eq!(h.here(task("/0", "make")), None);
        assert_eq!(h.here(task("/1049", "make")), Some(1));
        assert_eq!(History::decode(&h.encode()), h);
        assert_eq!(History::decode(b"{nonsense"), History::default());
    }

    #[test]
    fn words_are_not_run_together() {
        assert_ne!(task("/p", "make ab c"), task("/p", "make a bc"));
    }
}
