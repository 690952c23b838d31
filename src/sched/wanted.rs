//! Which workers a job may go to at all: what `RCH_WORKER` and `RCH_WORKERS` name. Pure.
//!
//! A name that nobody has refuses every worker, or none if another name fits. What it costs is a
//! worker, and what it is is a slip of the finger, so it is told as what it is, with the name that
//! was meant.

use crate::nearest::nearest;

/// Why a job does not go to a worker where `RCH_WORKER` names one.
pub const ANOTHER: &str = "RCH_WORKER names another";

/// What the environment of a command asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// `RCH_WORKER`: the id of the only one.
    pub forced: Option<String>,
    /// `RCH_WORKERS`: ids or tags; empty: all.
    pub pool: Vec<String>,
}

/// A worker's names: its id and its tags.
pub type Names<'a> = (&'a str, &'a [String]);

impl Wanted {
    /// Takes the values of both variables.
    pub fn parse(forced: &str, pool: &str) -> Wanted {
        let words = pool.split([',', ' ']).filter(|w| !w.is_empty());
        Wanted {
            forced: Some(forced.to_owned()).filter(|w| !w.is_empty()),
            pool: words.map(str::to_owned).collect(),
        }
    }

    /// Why the job does not go to a worker of these names; empty if it may.
    pub fn refusal(&self, worker: Names<'_>) -> &'static str {
        if self.forced.as_ref().is_some_and(|f| f != worker.0) {
            return ANOTHER;
        }
        if !self.pool.is_empty() && !self.pool.iter().any(|word| has(worker, word)) {
            return "not in RCH_WORKERS";
        }
        ""
    }

    /// Names that no worker of the fleet has; `None` if there is no such name.
    pub fn amiss(&self, fleet: &[Names<'_>]) -> Option<String> {
        let forced = self.forced.iter().filter_map(|id| {
            let ids = || fleet.iter().map(|(id, _)| *id);
            let known = ids().any(|known| known == id);
            (!known).then(|| unknown("RCH_WORKER", id, "worker", ids()))
        });
        let pool = self.pool.iter().filter_map(|word| {
            let known = fleet.iter().any(|worker| has(*worker, word));
            let tags = fleet.iter().flat_map(|(_, tags)| tags.iter());
            let all = fleet.iter().map(|(id, _)| *id);
            let all = all.chain(tags.map(String::as_str));
            (!known).then(|| unknown("RCH_WORKERS", word, "worker or tag", all))
        });
        let all: Vec<String> = forced.chain(pool).collect();
        (!all.is_empty()).then(|| all.join(", "))
    }

    /// Why the job goes nowhere, given the reasons of each worker: a name that nobody has says more
    /// than that each worker is another.
    pub fn nowhere(&self, reasons: String, fleet: &[Names<'_>]) -> String {
        let fits = fleet.iter().any(|worker| self.refusal(*worker).is_empty());
        match self.amiss(fleet) {
            Some(amiss) if fits => format!("{reasons}, {amiss}"),
            Some(amiss) if !fleet.is_empty() => amiss,
            _ => reasons,
        }
    }
}

fn has((id, tags): Names<'_>, word: &str) -> bool {
    id == word || tags.iter().any(|tag| tag == word)
}

fn unknown<'a>(
    variable: &str,
    word: &str,
    what: &str,
    known: impl Iterator<Item = &'a str>,
) -> String {
    let near =
        nearest(word, known).map_or(String::new(), |near| format!(" (did you mean '{near}'?)"));
    format!("{variable} names '{word}', and there is no such {what}{near}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a fleet of `css` and `fmd`, which has the tag `big`, where each is refused.
    fn told(forced: &str, pool: &str) -> String {
        let tags = ["big".to_owned()];
        let fleet: [Names<'_>; 2] = [("css", &[]), ("fmd", &tags)];
        Wanted::parse(forced, pool).nowhere("css: drained, fmd: drained".into(), &fleet)
    }

    #[test]
    fn one_named_worker_and_a_pool_refuse_the_others() {
        let tags = ["big".to_owned()];
        let refusal = |forced, pool| Wanted::parse(forced, pool).refusal(("css", &tags));
        assert_eq!(refusal("", ""), "");
        assert_eq!(refusal("css", "big"), "");
        assert_eq!(refusal("", "old, css"), "");
        assert_eq!(refusal("fmd", ""), "RCH_WORKER names another");
        assert_eq!(refusal("css", "old"), "not in RCH_WORKERS");
    }

    /// A slip in RCH_WORKER read as "css: RCH_WORKER names another, fmd: RCH_WORKER names another".
    #[test]
    fn a_name_that_nobody_has_is_told_with_the_one_that_was_meant() {
        assert_eq!(
            told("csss", ""),
            "RCH_WORKER names 'csss', and there is no such worker (did you mean 'css'?)"
        );
        assert_eq!(
            told("elsewhere", ""),
            "RCH_WORKER names 'elsewhere', and there is no such worker"
        );
        let none = ", and there is no such worker or tag";
        assert_eq!(
            told("", "bgi old"),
            format!(
                "RCH_WORKERS names 'bgi'{none} (did you mean 'big'?), RCH_WORKERS names 'old'{none}"
            )
        );
        assert_eq!(
            told("", "big,old"),
            format!("css: drained, fmd: drained, RCH_WORKERS names 'old'{none}")
        );
        assert_eq!(told("css", "big"), "css: drained, fmd: drained");
        let wanted = Wanted::parse("css", "");
        assert_eq!(wanted.nowhere("no workers".into(), &[]), "no workers");
    }
}
