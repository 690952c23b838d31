//! bun's flags for the two subcommands that go.
//!
//! `test` and `typecheck` alone; everything else bun does edits the project or talks to the network.

use crate::classify::Why::{Daemon, Mutates, Query, Watch};
use crate::classify::flags::Act::{Directory, Output, Plain, Veto};
use crate::classify::flags::Flag;
use crate::classify::flags::Takes::{Attached, Nothing, Value};
use crate::classify::table::flag;

/// Valid before the subcommand too.
pub const COMMON: &[Flag] = &[
    flag(&["--cwd"], Value, Directory),
    flag(&["--silent", "--smol", "--bun", "-b"], Nothing, Plain),
    flag(&["--config", "-c"], Attached, Plain),
    flag(&["--env-file"], Attached, Plain),
    flag(
        &["-h", "--help", "-v", "--version", "--revision"],
        Nothing,
        Veto(Query),
    ),
    flag(&["--watch", "--hot"], Nothing, Veto(Watch)),
    flag(
        &["--inspect", "--inspect-wait", "--inspect-brk"],
        Attached,
        Veto(Daemon),
    ),
];

pub const TEST: &[Flag] = &[
    flag(&["-u", "--update-snapshots"], Nothing, Veto(Mutates)),
    flag(&["--watch", "--hot"], Nothing, Veto(Watch)),
    flag(
        &["--inspect", "--inspect-wait", "--inspect-brk"],
        Attached,
        Veto(Daemon),
    ),
    flag(&["-h", "--help"], Nothing, Veto(Query)),
    flag(&["--timeout"], Value, Plain),
    flag(&["--rerun-each"], Value, Plain),
    flag(&["-t", "--test-name-pattern"], Value, Plain),
    flag(&["--bail"], Attached, Plain),
    flag(
        &[
            "--only",
            "--todo",
            "--coverage",
            "--concurrent",
            "--randomize",
        ],
        Nothing,
        Plain,
    ),
    flag(
        &["--pass-with-no-tests", "--dots", "--only-failures"],
        Nothing,
        Plain,
    ),
    flag(&["--coverage-reporter", "--coverage-dir"], Value, Plain),
    flag(&["--seed", "--max-concurrency"], Value, Plain),
    flag(&["--reporter"], Value, Plain),
    flag(&["--reporter-outfile"], Value, Output),
    flag(&["-r", "--preload", "--import", "--require"], Value, Plain),
    flag(
        &["-d", "--define", "--conditions", "--tsconfig-override"],
        Value,
        Plain,
    ),
    flag(&["--cwd"], Value, Directory),
    flag(&["--silent", "--smol", "--bun", "-b"], Nothing, Plain),
    flag(&["--config", "-c", "--env-file"], Attached, Plain),
];
