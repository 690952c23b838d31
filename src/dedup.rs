//! Which jobs are one: identical commands in flight are run once. Pure.
//!
//! The key holds all that a result depends on (roots, directory, words, environment, compilers, the
//! tree's manifest), so equal keys mean equal results. A job may be joined as long as its result will
//! be there for somebody who comes now, and nobody has stopped it: one that was stopped ends of that,
//! which is not what others asked for.

use crate::ids::JobId;
use crate::job::Stage;

/// Equal keys mean equal results.
pub type Key = [u8; 16];

/// A job as whoever comes later sees it.
#[derive(Debug, Clone, Copy)]
pub struct Flight<'a> {
    pub job: JobId,
    pub stage: Stage,
    /// `None` before it is known what it is.
    pub key: Option<&'a Key>,
    /// A client has passed a signal on.
    pub stopped: bool,
}

/// The job whose result will be that of a new one with this key.
pub fn twin<'a>(key: &Key, mut flights: impl Iterator<Item = Flight<'a>>) -> Option<JobId> {
    let same = |f: &Flight<'_>| f.key == Some(key) && f.stage.may_be_joined() && !f.stopped;
    flights.find(same).map(|f| f.job)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Outcome;

    #[test]
    fn only_what_will_have_the_same_result_is_joined() {
        let (key, other) = ([1; 16], [2; 16]);
        let flight = Flight {
            job: JobId(1),
            stage: Stage::Running,
            key: Some(&key),
            stopped: false,
        };
        let found = |f: Flight<'_>| twin(&key, [f].into_iter()).is_some();
        assert!(found(flight));
        let other = Some(&other);
        assert!(!found(Flight {
            key: other,
            ..flight
        }));
        assert!(!found(Flight {
            key: None,
            ..flight
        }));
        let stopped = true;
        assert!(!found(Flight { stopped, ..flight }));
        for stage in [Stage::Cancelling, Stage::Done(Outcome::Remote)] {
            assert!(!found(Flight { stage, ..flight }));
        }
    }
}
