//! What goes wrong on a worker: a `Fault` for the daemon's decision and a sentence for people.
//!
//! A full disk is told apart from every other failed system call, because the daemon then takes the
//! job elsewhere and tries this worker again later.

use std::fmt;
use std::io;
use std::path::Path;

use rch::bytes::Malformed;
use rch::error::cause;
use rch::sys::fs::space;
use rch::wire::worker::{Fault, FromWorker};

/// Bytes. A command that fails with less than this to write on has most likely failed for want of it;
/// compilers word that in many ways, and remove what they could not finish, which is no more than this.
const NEXT_TO_NOTHING: u64 = 64 << 20;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    pub fault: Fault,
    pub text: String,
}

pub type Done<T> = Result<T, Wrong>;

impl Wrong {
    pub fn new(fault: Fault, text: impl Into<String>) -> Wrong {
        Wrong {
            fault,
            text: text.into(),
        }
    }

    /// A failed system call: `what` says what we were doing, without the cause.
    pub fn os(what: impl fmt::Display, err: &io::Error) -> Wrong {
        let fault = match err.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Fault::DiskFull,
            _ => Fault::System,
        };
        Wrong::new(fault, format!("{what}: {}", cause(err)))
    }

    pub fn protocol(text: impl Into<String>) -> Wrong {
        Wrong::new(Fault::Protocol, text)
    }

    pub fn message(self) -> FromWorker {
        FromWorker::Failed {
            fault: self.fault,
            text: self.text,
        }
    }
}

/// Whether a disk that a job writes to is as good as full: its lane's, or that of `/tmp`.
pub fn is_full(lane: &Path, tmp: &Path) -> bool {
    let lane = space(lane).is_ok_and(|(free, _)| free < NEXT_TO_NOTHING);
    lane || space(tmp).is_ok_and(|(free, whole)| is_little(free, whole))
}

/// A `/tmp` that never had much more (one in memory, say) is full when most of it is used.
fn is_little(free: u64, whole: u64) -> bool {
    free < NEXT_TO_NOTHING.min(whole / 2)
}

impl From<Malformed> for Wrong {
    fn from(_: Malformed) -> Wrong {
        Wrong::protocol("malformed message")
    }
}

/// `.wrong(|| …)` gives a failed system call its sentence.
pub trait Sentence<T> {
    fn wrong<D: fmt::Display>(self, what: impl FnOnce() -> D) -> Done<T>;
}

impl<T> Sentence<T> for io::Result<T> {
    fn wrong<D: fmt::Display>(self, what: impl FnOnce() -> D) -> Done<T> {
        self.map_err(|e| Wrong::os(what(), &e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_tmp_that_is_free_is_not_full() {
        let mib = |n: u64| n << 20;
        for (free, whole, little) in [
            (mib(63), mib(100_000), true),
            (mib(65), mib(100_000), false),
            (mib(40), mib(40), false),
            (mib(21), mib(40), false),
            (mib(19), mib(40), true),
            (0, mib(40), true),
            (0, 0, false),
        ] {
            assert_eq!(is_little(free, whole), little, "{free} of {whole}");
        }
    }
}
