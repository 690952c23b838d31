//! One worker: what the configuration says of it, what it said itself, and whether jobs may go there.
//!
//! Why they may not is one word from one place, whatever the cause; `rch status`, the choice and the
//! answer to "why did it not go there" all read it here.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::time::{Duration, Instant};

use super::MasterId;
use crate::config;
use crate::daemon::keep::Keep;
use crate::fleet::{Backoff, Circuit, Health, Slots};
use crate::ids::WorkerId;
use crate::master::Master;
use crate::roots::needs::Needs;
use crate::sys::cpu;
use crate::toolchain::Identity;
use crate::wire::worker::Facts;

/// A program that was missing may have been installed after this.
const INSTALLS: Duration = Duration::from_secs(600);

pub(in crate::daemon) struct Worker {
    pub(in crate::daemon) conf: config::Worker,
    pub(in crate::daemon) slots: std::sync::Arc<Slots>,
    pub(in crate::daemon) health: Health,
    pub(in crate::daemon) drained: bool,
    /// Since its last greeting; empty before the first.
    pub(in crate::daemon) facts: Option<Facts>,
    pub(in crate::daemon) version: String,
    /// One round trip, once it is measured.
    pub(in crate::daemon) latency: Option<Duration>,
    /// As measured by the benchmark; `None` before that.
    pub(in crate::daemon) speed: Option<f64>,
    pub(in crate::daemon) done: u64,
    pub(in crate::daemon) failures: u64,
    /// Why it cannot be reached, and when to try again.
    pub(super) down: Option<(String, Instant)>,
    pub(super) backoff: Backoff,
    pub(super) masters: Vec<(MasterId, Master)>,
    /// Masters to where it was, as long as jobs use them.
    pub(super) retired: Vec<(MasterId, Master)>,
    /// When an idle session last went without being asked to.
    pub(super) lost: Option<Instant>,
    /// Removed from the configuration; goes when its last job has.
    pub(in crate::daemon) leaving: bool,
    pub(in crate::daemon) without: Without,
}

/// Programs that jobs needed and did not find there: when that was, and the worker's word on it.
#[derive(Debug, Default)]
pub(in crate::daemon) struct Without(HashMap<Vec<String>, (Instant, String)>);

impl Without {
    /// A job needed one of these. What may have been installed since is forgotten.
    pub(in crate::daemon) fn note(&mut self, programs: Vec<String>, why: String, now: Instant) {
        self.0.retain(|_, (since, _)| now < *since + INSTALLS);
        self.0.insert(programs, (now, why));
    }

    fn why(&self, programs: &[String], now: Instant) -> Option<&str> {
        let (since, why) = self.0.get(programs)?;
        (now < *since + INSTALLS).then_some(why)
    }
}

impl Worker {
    pub(super) fn new(conf: config::Worker, keep: &Keep) -> Worker {
        Worker {
            slots: Slots::new(conf.total_slots),
            health: Health::default(),
            drained: keep.is_drained(conf.id.as_str()),
            speed: keep.speed(conf.id.as_str()),
            conf,
            facts: None,
            without: Without::default(),
            version: String::new(),
            latency: None,
            done: 0,
            failures: 0,
            down: None,
            backoff: Backoff::default(),
            lost: None,
            masters: vec![],
            retired: vec![],
            leaving: false,
        }
    }

    /// An edited entry: what it says is tried at once, over connections made as it says.
    /// True if it is another machine now, or the same one reached otherwise.
    pub(super) fn take(&mut self, conf: config::Worker) -> bool {
        if self.conf != conf {
            self.down = None;
            self.backoff.forget();
        }
        let moved = !self.conf.same_place(&conf);
        if moved {
            self.facts = None;
            self.latency = None;
            self.retired.append(&mut self.masters);
        }
        self.conf = conf;
        moved
    }

    pub(super) fn all_masters(&mut self) -> impl Iterator<Item = &mut (MasterId, Master)> {
        self.masters.iter_mut().chain(&mut self.retired)
    }

    pub(in crate::daemon) fn id(&self) -> &WorkerId {
        &self.conf.id
    }

    /// Empty if jobs may go there, else the reason.
    pub(in crate::daemon) fn refusal(&mut self, now: Instant) -> String {
        if !self.conf.enabled {
            return "disabled".into();
        }
        if self.drained || self.leaving {
            return "drained".into();
        }
        if let Some((why, _)) = &self.down {
            return why.clone();
        }
        match self.health.circuit(now) {
            Circuit::Open { .. } => format!("paused after failures ({})", self.health.reason()),
            _ => String::new(),
        }
    }

    /// How it stands, in a word of `wire::status`, and why it is not up.
    pub(in crate::daemon) fn state(&mut self, now: Instant) -> (&'static str, String) {
        let reason = self.refusal(now);
        let state = match self.health.circuit(now) {
            _ if !self.conf.enabled => "disabled",
            _ if self.drained => "drained",
            _ if self.facts.is_none() && reason.is_empty() => "unknown",
            Circuit::Open { .. } => "down",
            _ if self.down.is_some() => "down",
            Circuit::HalfOpen { .. } => {
                let why = format!(
                    "one job at a time after failures ({})",
                    self.health.reason()
                );
                return ("trial", why);
            }
            Circuit::Closed => "up",
        };
        (state, reason)
    }

    /// How long until it is tried again, if it is put to use and down.
    pub(in crate::daemon) fn retry(&mut self, now: Instant) -> Option<Duration> {
        if !self.conf.enabled || self.drained || self.leaving {
            return None;
        }
        let link = self.down.as_ref().map(|(_, until)| *until);
        let circuit = match self.health.circuit(now) {
            Circuit::Open { until, .. } => Some(until),
            _ => None,
        };
        let last = link.into_iter().chain(circuit).max()?;
        Some(last.saturating_duration_since(now))
    }

    /// Whether it has the one job already that it may have until it has proved itself. That is a
    /// reason to wait, not to run locally.
    pub(in crate::daemon) fn on_trial(&mut self, now: Instant) -> bool {
        matches!(self.health.circuit(now), Circuit::HalfOpen { .. }) && self.slots.used() > 0
    }

    /// Empty if it has the same compilers, else what it lacks. Nothing is refused before its facts
    /// are known.
    pub(in crate::daemon) fn lacks(
        &self,
        identities: &[Identity],
        needs: &Needs,
        now: Instant,
    ) -> String {
        let Some(facts) = &self.facts else {
            return String::new();
        };
        if (facts.os.as_str(), facts.arch.as_str())
            != (std::env::consts::OS, std::env::consts::ARCH)
        {
            return format!("is {} {}", facts.os, facts.arch);
        }
        if needs.native && facts.cpu != cpu::kind() {
            return "has another processor, and the build is for this one alone".into();
        }
        if let Some(why) = self.without.why(&needs.programs, now) {
            return why.into();
        }
        let missing = identities
            .iter()
            .find(|i| self.toolchain(i, OsStr::new("")).is_none());
        missing.map_or(String::new(), |i| {
            let first = i.text.lines().next().unwrap_or_default();
            format!("has no {} like ours ({first})", i.tool)
        })
    }

    /// The worker's own name of the same tool: `rustc NAME` gives NAME, others the empty string. Of
    /// toolchains with one compiler the one that is called as at home is meant: what is installed
    /// beside the compiler may differ.
    pub(in crate::daemon) fn toolchain(&self, identity: &Identity, home: &OsStr) -> Option<&str> {
        same_tool(&self.facts.as_ref()?.tools, identity, home)
    }

    /// Ends the pause after a failed connection.
    pub(in crate::daemon) fn retry_now(&mut self, now: Instant) {
        if let Some((_, until)) = &mut self.down {
            *until = now;
        }
    }

    /// `now` is the present turn's: what is not after it has been seen to.
    pub(in crate::daemon) fn deadline(&self, now: Instant) -> Option<Instant> {
        let all = self.masters.iter().chain(&self.retired);
        let masters = all.filter_map(|(_, m)| m.deadline());
        let retry = self
            .down
            .as_ref()
            .map(|(_, at)| *at)
            .filter(|at| self.conf.enabled && *at > now);
        masters.chain(retry).min()
    }
}

fn same_tool<'a>(
    tools: &'a [(String, String)],
    identity: &Identity,
    home: &OsStr,
) -> Option<&'a str> {
    let same = tools
        .iter()
        .filter(|(_, text)| text.trim_end() == identity.text);
    let mut names = same.filter_map(|(name, _)| {
        let (tool, rest) = name.split_once(' ').unwrap_or((name, ""));
        (tool == identity.tool).then_some(rest)
    });
    let first = names.clone().next();
    names.find(|name| *name == home).or(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every project with other needs was an entry for as long as the worker's connections stood.
    #[test]
    fn what_is_missing_there_is_forgotten_when_it_may_have_come() {
        let (mut without, start) = (Without::default(), Instant::now());
        let needs = |n: u32| vec![format!("tool-{n}")];
        for n in 0..1000 {
            let now = start + INSTALLS / 10 * n;
            without.note(needs(n), format!("no {n}"), now);
            assert_eq!(without.why(&needs(n), now), Some(&*format!("no {n}")));
            assert!(without.0.len() <= 10);
            assert_eq!(without.why(&needs(n), now + INSTALLS), None);
        }
    }

    /// The other one of two with the same compiler had no standard library for the target.
    #[test]
    fn of_equal_toolchains_the_one_called_as_at_home_is_meant() {
        let tool = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        let tools = [
            tool("gcc", "14"),
            tool("rustc 1.95.0", "r\n"),
            tool("rustc nightly", "n\n"),
            tool("rustc stable", "r\n"),
        ];
        let identity = |tool: &str, text: &str| Identity {
            tool: tool.into(),
            text: text.into(),
        };
        let named = |i: &Identity, home| same_tool(&tools, i, OsStr::new(home)).map(str::to_owned);
        let rustc = identity("rustc", "r");
        assert_eq!(named(&rustc, "stable").as_deref(), Some("stable"));
        assert_eq!(named(&rustc, "mine").as_deref(), Some("1.95.0"));
        assert_eq!(named(&identity("rustc", "x"), "stable"), None);
        assert_eq!(named(&identity("gcc", "14"), "").as_deref(), Some(""));
    }
}
