//! Every exit status of rch's own, in one table: the code, the manual and the tests read it.
//!
//! A job's own status is passed on untouched by `rch exec`; ours stand at 120 and above, where
//! compilers and test runners do not go, except for the two that mean "yes" and "no".

/// One row.
#[derive(Debug, Clone, Copy)]
pub struct Exit {
    pub status: i32,
    /// One sentence without its full stop.
    pub doc: &'static str,
}

pub const OK: i32 = 0;
pub const NO: i32 = 1;
pub const USAGE: i32 = 120;
pub const NOT_COMPILE: i32 = 121;
pub const NO_REMOTE: i32 = 122;
pub const FAILED: i32 = 123;
pub const TIMEOUT: i32 = 124;
pub const CANNOT_RUN: i32 = 126;
pub const NOT_FOUND: i32 = 127;

pub static EXITS: &[Exit] = &[
    Exit {
        status: OK,
        doc: "All is well",
    },
    Exit {
        status: NO,
        doc: "The question was answered, and the answer is no: a worker failed its probe, a file is not valid, the daemon is not running",
    },
    Exit {
        status: USAGE,
        doc: "The command line is wrong, or names a worker, job or setting that does not exist",
    },
    Exit {
        status: NOT_COMPILE,
        doc: "rch exec was given something other than a compile command",
    },
    Exit {
        status: NO_REMOTE,
        doc: "RCH_REQUIRE_REMOTE is set and the command could not be run remotely",
    },
    Exit {
        status: FAILED,
        doc: "Something failed that should have worked: a file that cannot be written, a daemon that does not answer",
    },
    Exit {
        status: TIMEOUT,
        doc: "The job ran into its time limit and was ended",
    },
    Exit {
        status: CANNOT_RUN,
        doc: "The command was to be run here and could not be",
    },
    Exit {
        status: NOT_FOUND,
        doc: "The command was to be run here and is not installed",
    },
];

/// Whether a status says that the command has not been run remotely.
pub fn is_infrastructure(status: i32) -> bool {
    matches!(
        status,
        USAGE | NOT_COMPILE | NO_REMOTE | FAILED | CANNOT_RUN | NOT_FOUND
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_distinct_and_in_order() {
        for (i, exit) in EXITS.iter().enumerate() {
            assert!(EXITS[..i].iter().all(|e| e.status < exit.status));
        }
    }
}
