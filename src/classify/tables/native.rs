//! Flags of rustc and of the build systems: make (GNU), ninja, `cmake --build`, `meson compile`.
//!
//! Only flags that take a value or veto need a row: a flag that is in no row stops the judgement, so
//! that a new one is local until somebody has read what it does.

use crate::classify::Why::{Mutates, Query};
use crate::classify::flags::Act::{
    Directory, Jobs, Manifest, NotHelp, OutDir, Output, Plain, Target, Triple, Unsure, Veto,
};
use crate::classify::flags::Flag;
use crate::classify::flags::Takes::{Attached, Count, Nothing, Value};
use crate::classify::table::flag;

pub const RUSTC: &[Flag] = &[
    flag(&["-o"], Value, Output),
    flag(&["--out-dir"], Value, OutDir),
    flag(&["--target"], Value, Triple),
    flag(&["-C", "--codegen"], Value, NotHelp),
    flag(&["-Z"], Value, NotHelp),
    flag(
        &[
            "-A", "--allow", "-W", "--warn", "-D", "--deny", "-F", "--forbid",
        ],
        Value,
        NotHelp,
    ),
    flag(&["--cap-lints", "--force-warn"], Value, NotHelp),
    flag(&["--emit"], Value, Unsure),
    flag(&["--crate-type", "--crate-name", "--edition"], Value, Plain),
    flag(
        &["-L", "-l", "--extern", "--cfg", "--check-cfg", "--sysroot"],
        Value,
        Plain,
    ),
    flag(
        &["--error-format", "--json", "--color", "--diagnostic-width"],
        Value,
        Plain,
    ),
    flag(&["--remap-path-prefix"], Value, Plain),
    flag(&["-g", "-O", "--test"], Nothing, Plain),
    flag(&["-v", "--verbose"], Nothing, Plain),
    flag(&["-h", "--help", "-V", "--version"], Nothing, Veto(Query)),
    flag(&["--print", "--explain"], Value, Veto(Query)),
];

pub const MAKE: &[Flag] = &[
    flag(&["-C", "--directory"], Value, Directory),
    flag(&["-f", "--file", "--makefile"], Value, Manifest),
    flag(&["-j", "--jobs"], Count, Jobs),
    flag(&["-l", "--load-average", "--max-load"], Count, Plain),
    flag(&["-O", "--output-sync"], Attached, Plain),
    flag(&["-I", "--include-dir"], Value, Plain),
    flag(&["-o", "--old-file", "--assume-old"], Value, Unsure),
    flag(
        &["-W", "--what-if", "--new-file", "--assume-new"],
        Value,
        Unsure,
    ),
    flag(
        &["-k", "--keep-going", "-S", "--no-keep-going", "--stop"],
        Nothing,
        Plain,
    ),
    flag(
        &["-i", "--ignore-errors", "-s", "--silent", "--quiet"],
        Nothing,
        Plain,
    ),
    flag(&["-B", "--always-make", "-b", "-m"], Nothing, Plain),
    flag(
        &["-r", "--no-builtin-rules", "-R", "--no-builtin-variables"],
        Nothing,
        Plain,
    ),
    flag(
        &["-w", "--print-directory", "--no-print-directory"],
        Nothing,
        Plain,
    ),
    flag(
        &[
            "-e",
            "--environment-overrides",
            "-L",
            "--check-symlink-times",
        ],
        Nothing,
        Plain,
    ),
    flag(
        &["--warn-undefined-variables", "--trace", "-d"],
        Nothing,
        Plain,
    ),
    flag(&["--debug"], Attached, Plain),
    flag(&["--no-silent"], Nothing, Plain),
    flag(
        &["-n", "--just-print", "--dry-run", "--recon"],
        Nothing,
        Veto(Query),
    ),
    flag(
        &["-p", "--print-data-base", "-q", "--question"],
        Nothing,
        Veto(Query),
    ),
    flag(&["-h", "--help", "-v", "--version"], Nothing, Veto(Query)),
    flag(&["-t", "--touch"], Nothing, Veto(Mutates)),
    flag(&["-E", "--eval"], Value, Veto(Mutates)),
];

pub const NINJA: &[Flag] = &[
    flag(&["-C"], Value, Directory),
    flag(&["-f"], Value, Manifest),
    flag(&["-j"], Value, Jobs),
    flag(&["-k", "-l", "-w"], Value, Plain),
    flag(&["-d"], Value, NotHelp),
    flag(&["-v", "--verbose", "--quiet"], Nothing, Plain),
    flag(&["-n", "-h", "--help", "--version"], Nothing, Veto(Query)),
    flag(&["-t"], Value, Veto(Query)),
];

/// After `--build`.
pub const CMAKE: &[Flag] = &[
    flag(&["-j", "--parallel"], Count, Jobs),
    flag(&["-t", "--target"], Value, Target),
    flag(&["--config"], Value, Plain),
    flag(&["--preset"], Value, Unsure),
    flag(&["--clean-first"], Nothing, Unsure),
    flag(&["-v", "--verbose", "--use-stderr"], Nothing, Plain),
    flag(
        &["--list-presets", "-h", "--help", "--version"],
        Nothing,
        Veto(Query),
    ),
];

pub const MESON: &[Flag] = &[
    flag(&["-C"], Value, Directory),
    flag(&["-j", "--jobs"], Value, Jobs),
    flag(&["-l", "--load-average"], Value, Plain),
    flag(&["-v", "--verbose"], Nothing, Plain),
    flag(
        &["--ninja-args", "--vs-args", "--xcode-args"],
        Value,
        Unsure,
    ),
    flag(&["--clean"], Nothing, Veto(Mutates)),
    flag(&["-h", "--help"], Nothing, Veto(Query)),
];
