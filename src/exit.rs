//! Exit statuses of our own, all of them: a table for the programs, the manual and the tests.
//!
//! Everything else that `rch exec` ends with is the command's own status, or 128 + its signal.

pub const USAGE: i32 = 120;
pub const NOT_COMPILE: i32 = 121;
pub const NOT_REMOTE: i32 = 122;
pub const INTERNAL: i32 = 123;
pub const TIMED_OUT: i32 = 124;
pub const NOT_FOUND: i32 = 127;

/// Status and meaning.
pub const STATUSES: &[(i32, &str)] = &[
    (USAGE, "the command line was wrong"),
    (NOT_COMPILE, "the command is not one that may be sent away"),
    (
        NOT_REMOTE,
        "RCH_REQUIRE_REMOTE is set and no worker could do it",
    ),
    (INTERNAL, "rch itself failed"),
    (TIMED_OUT, "the job reached its time limit"),
    (NOT_FOUND, "the tool was not found"),
];

/// Whether a status says that the command has not been run remotely.
pub fn is_infrastructure(status: i32) -> bool {
    matches!(
        status,
        USAGE | NOT_COMPILE | NOT_REMOTE | INTERNAL | NOT_FOUND
    )
}
