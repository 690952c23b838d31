//! Decides which commands are sent away.
//!
//! One judge for three callers: the hook, which sees words before the shell expands them; `rch exec`,
//! which sees them after; and `rch-wkr`, which runs nothing else. Because the judge accepts an open
//! word only where every expansion would be accepted too, what the hook sends is never refused later.
//! The rules are data (`table`, `tables`, `targets`, `wrappers`); `judge` only walks them. Nothing
//! here opens a file: whether a worker can do the job is not the classifier's business.

// What the hook runs cannot panic.
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::unreachable,
        clippy::arithmetic_side_effects
    )
)]

mod cc;
pub mod facts;
pub mod flags;
mod harmless;
mod judge;
pub mod kept;
pub mod keywords;
pub mod names;
pub mod table;
mod tables;
mod targets;
pub mod text;
pub mod wrappers;

use std::ffi::OsString;
use std::fmt;

pub use facts::Facts;
pub use judge::judge;

use crate::shell::Word;

/// The program family a command word names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    Cargo,
    Rustc,
    Bun,
    /// gcc, g++, clang, clang++, cc, c++ and their versioned and prefixed names.
    Cc,
    Make,
    Ninja,
    Cmake,
    Meson,
}

/// What a command does, as far as slots, timeouts and products depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Build,
    Check,
    Test,
    /// Built remotely, run here.
    Run,
    Doc,
}

/// A command that may be sent away.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    pub tool: Tool,
    pub kind: Kind,
    /// 0 to 1; see the head of `table` for what the levels stand for.
    pub confidence: f32,
    pub facts: Facts,
}

/// Why a command stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// No tool of ours, or a subcommand that does not compile.
    NotCompile,
    /// Edits sources, products or the machine.
    Mutates,
    /// Asks something: help, version, a listing, a dry run.
    Query,
    /// Runs until stopped, looking for changes.
    Watch,
    /// Interactive, or starts something that stays.
    Daemon,
    /// Reads its source from standard input.
    Stdin,
    /// A flag or word that no rule knows.
    Unknown,
    /// What it means depends on an expansion.
    Unfixed,
    /// Named by a path: it means that very program.
    Path,
    /// Accepted, but with less confidence than the threshold.
    Unsure,
}

impl Why {
    /// For people, with the word it is about.
    pub fn text(self) -> &'static str {
        match self {
            Why::NotCompile => "not a compile command",
            Why::Mutates => "changes sources or the machine",
            Why::Query => "only asks a question",
            Why::Watch => "watches for changes",
            Why::Daemon => "interactive, or leaves something running",
            Why::Stdin => "reads its source from standard input",
            Why::Unknown => "no rule knows this",
            Why::Unfixed => "depends on an expansion by the shell",
            Why::Path => "named by a path, which means that very program",
            Why::Unsure => "less certain than the threshold",
        }
    }
}

/// Why, and the word that decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub why: Why,
    pub word: String,
}

impl Refusal {
    pub fn new(why: Why, word: &[u8]) -> Refusal {
        let word = String::from_utf8_lossy(word.get(..80).unwrap_or(word)).into_owned();
        Refusal { why, word }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: '{}'", self.why.text(), self.word.escape_debug())
    }
}

/// Whether `text` is `name`. The lengths are compared here, not in a call: tables are walked by this.
#[inline(always)]
fn is(text: &[u8], name: &str) -> bool {
    text.len() == name.len() && text == name.as_bytes()
}

/// Judges one simple command's argument vector (no shell involved).
///
/// # Errors
/// Why it must not be sent away.
pub fn argv(argv: &[OsString]) -> Result<Accepted, Refusal> {
    let words: Vec<Word<'_>> = argv
        .iter()
        .map(|a| Word::fixed(a.as_encoded_bytes()))
        .collect();
    judge(&words)
}

/// As `argv`, refusing what is less certain than `threshold`.
///
/// # Errors
/// Why it must not be sent away.
pub fn confident(args: &[OsString], threshold: f64) -> Result<Accepted, Refusal> {
    let accepted = argv(args)?;
    let word = args
        .first()
        .map_or(b"".as_slice(), |a| a.as_encoded_bytes());
    above(accepted, threshold, word)
}

pub(crate) fn above(accepted: Accepted, threshold: f64, word: &[u8]) -> Result<Accepted, Refusal> {
    // Half a thousandth of play: 0.85 as f32 and as f64 are not the same number.
    if f64::from(accepted.confidence) + 0.0005 < threshold {
        return Err(Refusal::new(Why::Unsure, word));
    }
    Ok(accepted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Accepted, Refusal> {
        let args: Vec<OsString> = text.split(' ').map(OsString::from).collect();
        argv(&args)
    }

    #[test]
    fn accepts_what_compiles() {
        for text in [
            "cargo build",
            "cargo +nightly -v b -r -j8 -p a --bin=x",
            "cargo nextest run -E test(a) -P ci",
            "cargo test a::b --release -- --nocapture --help",
            "cargo run --release -- --help",
            "cargo clippy --all-targets -- -D warnings",
            "rustc +1.80 -O -Copt-level=3 a.rs -o a",
            "gcc -c -O2 -Wall -Iinc a.c -o a.o",
            "make -kj8 CC=clang check",
            "ninja -C build all",
            "cmake --build build -j 8 --target all -- -k",
            "meson compile -C b",
            "bun test --timeout 5000 a.test.ts",
        ] {
            let accepted = of(text).unwrap_or_else(|r| panic!("{text}: {r}"));
            assert!(accepted.confidence >= 0.85, "{text}");
        }
    }

    #[test]
    fn a_run_is_a_run_whatever_the_program_is_told() {
        for text in [
            "cargo run",
            "cargo r --bin x -- test --help",
            "cargo +nightly run -q --example a build",
        ] {
            assert_eq!(of(text).unwrap().kind, Kind::Run, "{text}");
        }
    }

    #[test]
    fn keeps_what_does_not() {
        for (text, why) in [
            ("cargo fmt", Why::Mutates),
            ("cargo clippy --fix", Why::Mutates),
            ("cargo build -p --help", Why::Query),
            ("cargo nextest list", Why::NotCompile),
            ("cargo", Why::Query),
            ("cargo build --frobnicate", Why::Unknown),
            ("cargo doc --open", Why::Daemon),
            ("/usr/bin/cargo build", Why::Path),
            ("rustc --print cfg", Why::Query),
            ("rustc -C help a.rs", Why::Query),
            ("rustc -", Why::Stdin),
            ("gcc -v", Why::Query),
            ("gcc -x c -", Why::Stdin),
            ("gcc @args", Why::Unknown),
            ("make -n", Why::Query),
            ("make -kn", Why::Query),
            ("make install", Why::Mutates),
            ("make -j 4 docker-build", Why::Mutates),
            ("make MAKEFLAGS=n", Why::Unknown),
            ("ninja -t clean", Why::Query),
            ("cmake -B build", Why::NotCompile),
            ("cmake --build b --target install", Why::Mutates),
            ("bun run build", Why::Mutates),
            ("bun test --watch", Why::Watch),
            ("meson setup b", Why::Mutates),
            ("go build", Why::NotCompile),
        ] {
            assert_eq!(of(text).map(|_| ()).map_err(|r| r.why), Err(why), "{text}");
        }
    }

    /// `make -v` was said to ask a question by `-h`, the first name of the row they share.
    #[test]
    fn the_word_that_decides_is_the_one_that_was_given() {
        for (text, word) in [
            ("make -v", "-v"),
            ("make -sv", "-v"),
            ("make --recon", "--recon"),
            ("cargo -V build", "-V"),
            ("cargo build --help", "--help"),
            ("ninja -C b -t clean", "-t"),
            ("cmake --build b -- --touch", "--touch"),
        ] {
            assert_eq!(of(text).unwrap_err().word, word, "{text}");
        }
    }

    #[test]
    fn the_threshold_tells_the_known_from_the_invented() {
        let args: Vec<OsString> = vec!["make".into(), "frobnicate".into()];
        assert_eq!(confident(&args, 0.85).unwrap_err().why, Why::Unsure);
        assert!(confident(&args, 0.70).is_ok());
        assert!(confident(&["make".into()], 0.85).is_ok());
        assert!(confident(&["make".into()], 0.92).is_err());
    }

    #[test]
    fn tells_where_products_go() {
        let facts = of("cargo test --target-dir t --profile=fast --target x86_64-unknown-linux-musl --no-run -j 3")
            .unwrap()
            .facts;
        assert_eq!(facts.subcommand, "test");
        assert_eq!(facts.target_dir, Some("t".into()));
        assert_eq!(facts.profile_dir(), "fast");
        assert_eq!(facts.triples, ["x86_64-unknown-linux-musl"]);
        assert_eq!((facts.no_run, facts.jobs), (true, Some(3)));
        let facts = of("cc -c -march=native -oa.o a.c").unwrap().facts;
        assert_eq!(facts.outputs, ["a.o"]);
        assert!(facts.compile_only && facts.native);
    }
}
