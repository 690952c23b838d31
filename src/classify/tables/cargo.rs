//! cargo's flags, by the groups its own help shows; nextest's besides.
//!
//! Source: `cargo help COMMAND` of cargo 1.95. A flag in no row means that the command stays.

use crate::classify::Why::{Daemon, Mutates, Query};
use crate::classify::flags::Act::{
    Directory, Jobs, Manifest, NoRun, NotHelp, OutDir, Plain, Profile, Release, TargetDir, Triple,
    Veto,
};
use crate::classify::flags::Flag;
use crate::classify::flags::Takes::{Attached, Maybe, Nothing, Value};
use crate::classify::table::flag;

/// Valid before and after the subcommand.
pub const COMMON: &[Flag] = &[
    flag(&["-v", "--verbose"], Nothing, Plain),
    flag(&["-q", "--quiet"], Nothing, Plain),
    flag(&["--color"], Value, Plain),
    flag(&["--locked"], Nothing, Plain),
    flag(&["--offline"], Nothing, Plain),
    flag(&["--frozen"], Nothing, Plain),
    flag(&["--config"], Value, Plain),
    flag(&["-C"], Value, Directory),
    flag(&["-Z"], Value, NotHelp),
    flag(&["-h", "--help"], Nothing, Veto(Query)),
    flag(&["-V", "--version"], Nothing, Veto(Query)),
    flag(&["--list"], Nothing, Veto(Query)),
    flag(&["--explain"], Value, Veto(Query)),
];

pub const SELECT: &[Flag] = &[
    flag(&["-p", "--package"], Maybe, Plain),
    flag(&["--workspace", "--all"], Nothing, Plain),
    flag(&["--exclude"], Maybe, Plain),
    flag(&["--lib"], Nothing, Plain),
    flag(&["--bins"], Nothing, Plain),
    flag(&["--bin"], Maybe, Plain),
    flag(&["--examples"], Nothing, Plain),
    flag(&["--example"], Maybe, Plain),
    flag(&["--tests"], Nothing, Plain),
    flag(&["--test"], Maybe, Plain),
    flag(&["--benches"], Nothing, Plain),
    flag(&["--bench"], Maybe, Plain),
    flag(&["--all-targets"], Nothing, Plain),
    flag(&["-F", "--features"], Value, Plain),
    flag(&["--all-features"], Nothing, Plain),
    flag(&["--no-default-features"], Nothing, Plain),
];

pub const COMPILE: &[Flag] = &[
    flag(&["-r", "--release"], Nothing, Release),
    flag(&["--profile"], Value, Profile),
    flag(&["-j", "--jobs"], Value, Jobs),
    flag(&["--keep-going"], Nothing, Plain),
    flag(&["--target"], Maybe, Triple),
    flag(&["--target-dir"], Value, TargetDir),
    flag(&["--artifact-dir", "--out-dir"], Value, OutDir),
    flag(&["--manifest-path"], Value, Manifest),
    flag(&["--lockfile-path"], Value, Plain),
    flag(&["--message-format"], Value, Plain),
    flag(&["--ignore-rust-version"], Nothing, Plain),
    flag(&["--future-incompat-report"], Nothing, Plain),
    flag(&["--timings"], Attached, Plain),
    flag(&["--build-plan", "--unit-graph"], Nothing, Veto(Query)),
];

pub const TEST: &[Flag] = &[
    flag(&["--no-run"], Nothing, NoRun),
    flag(&["--no-fail-fast"], Nothing, Plain),
    flag(&["--doc"], Nothing, Plain),
];

pub const DOC: &[Flag] = &[
    flag(&["--open"], Nothing, Veto(Daemon)),
    flag(&["--no-deps"], Nothing, Plain),
    flag(&["--document-private-items"], Nothing, Plain),
];

pub const CLIPPY: &[Flag] = &[
    flag(
        &[
            "--fix",
            "--allow-dirty",
            "--allow-staged",
            "--allow-no-vcs",
            "--broken-code",
        ],
        Nothing,
        Veto(Mutates),
    ),
    flag(&["--no-deps"], Nothing, Plain),
];

pub const RUSTC: &[Flag] = &[
    flag(&["--print"], Value, Veto(Query)),
    flag(&["--crate-type"], Value, Plain),
];

/// Comes before cargo's own tables: some letters mean other things.
pub const NEXTEST: &[Flag] = &[
    flag(&["-E", "--filterset", "--filter-expr"], Value, Plain),
    flag(&["-P", "--profile"], Value, Plain),
    flag(&["--cargo-profile"], Value, Profile),
    flag(&["-j", "--test-threads", "--jobs"], Value, Plain),
    flag(&["--build-jobs"], Value, Jobs),
    flag(&["--ignore-default-filter"], Nothing, Plain),
    flag(&["--run-ignored"], Value, Plain),
    flag(&["--partition"], Value, Plain),
    flag(&["--retries"], Value, Plain),
    flag(&["--no-run"], Nothing, NoRun),
    flag(
        &["--fail-fast", "--ff", "--no-fail-fast", "--nff"],
        Nothing,
        Plain,
    ),
    flag(&["--max-fail"], Value, Plain),
    flag(&["--no-capture", "--nocapture"], Nothing, Plain),
    flag(&["--no-tests"], Value, Plain),
    flag(&["--failure-output", "--success-output"], Value, Plain),
    flag(&["--status-level", "--final-status-level"], Value, Plain),
    flag(&["--show-progress"], Value, Plain),
    flag(
        &[
            "--hide-progress-bar",
            "--no-input-handler",
            "--no-output-indent",
        ],
        Nothing,
        Plain,
    ),
    flag(&["--config-file", "--tool-config-file"], Value, Plain),
    flag(
        &["--cargo-message-format", "--message-format-version"],
        Value,
        Plain,
    ),
    flag(&["--cargo-quiet", "--cargo-verbose"], Nothing, Plain),
    flag(
        &["--debugger", "--tracer", "--archive-file", "--rerun"],
        Value,
        Veto(Daemon),
    ),
];
