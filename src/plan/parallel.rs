//! A job runs with as many processes as it has slots: the words and variables that say so.
//!
//! `-j$(nproc)` was expanded by the agent's shell on another machine and would melt a worker that
//! has other jobs, so a number above the slots is lowered, and `-j` without one gets one. A tool that
//! is parallel by itself (ninja) is told its share; one that is not (make) is left as it is, because
//! the order of its output would change.

use std::ffi::{OsStr, OsString};

use crate::classify::{Accepted, Kind, Tool};
use crate::plan::env;

/// The command line for a job with `slots`.
pub fn argv(argv: &[OsString], accepted: &Accepted, slots: u32) -> Vec<OsString> {
    let mut out = argv.to_vec();
    match (accepted.facts.jobs, accepted.tool) {
        (Some(n), _) if n == 0 || n > slots => lower(&mut out, accepted, slots),
        (None, Tool::Ninja) => out.insert(1, format!("-j{slots}").into()),
        (None, Tool::Meson) => out.extend(["-j".into(), slots.to_string().into()]),
        _ => {}
    }
    out
}

/// Adds the variables that say it; those that are set stay, if they ask for no more.
pub fn environment(env: &mut Vec<(OsString, OsString)>, accepted: &Accepted, slots: u32) {
    let mut at_most = |name: &str, slots: u32| {
        let more = |v: &OsStr| {
            v.to_str()
                .and_then(|v| v.parse().ok())
                .is_none_or(|n: u32| n > slots)
        };
        if env::get(env, name).is_some_and(more) {
            env.retain(|(k, _)| k != name);
        }
        env::set_default(env, name, &slots.to_string());
    };
    if accepted.tool != Tool::Cargo {
        return;
    }
    at_most("CARGO_BUILD_JOBS", slots);
    if accepted.kind == Kind::Test && env::get(env, "RUST_TEST_THREADS").is_none() {
        // One thread is a mode of its own, in which tests run otherwise than they would at home.
        env::set_default(env, "RUST_TEST_THREADS", &slots.max(2).to_string());
    }
}

/// Rewrites every `-j` before `--`.
fn lower(argv: &mut [OsString], accepted: &Accepted, slots: u32) {
    let long: &[&str] = match accepted.tool {
        Tool::Cmake => &["--parallel"],
        Tool::Cargo if accepted.facts.subcommand == "nextest run" => &["--build-jobs"],
        _ => &["--jobs"],
    };
    let number = slots.to_string();
    let mut at = 1;
    while at < argv.len() && argv[at] != "--" {
        let text = argv[at].to_string_lossy().into_owned();
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text.as_str(), None),
        };
        if long.contains(&name) && value.is_some() {
            argv[at] = format!("{name}={number}").into();
        } else if long.contains(&text.as_str()) || text == "-j" {
            if argv.get(at + 1).is_some_and(is_number) {
                at += 1;
                argv[at] = number.clone().into();
            } else {
                argv[at] = joined(&text, &number).into();
            }
        } else if let Some(letters) = cluster(&text) {
            argv[at] = format!("{letters}{number}").into();
        }
        at += 1;
    }
}

fn joined(flag: &str, number: &str) -> String {
    if flag == "-j" {
        format!("-j{number}")
    } else {
        format!("{flag}={number}")
    }
}

fn is_number(word: &OsString) -> bool {
    word.to_str()
        .is_some_and(|w| !w.is_empty() && w.bytes().all(|b| b.is_ascii_digit()))
}

/// Letters of flags without values, which may stand before a `j` in one word.
const PLAIN: &str = "bBdeikLpqrRsStvw";

/// `-kj` of `-kj16`: letters up to a `j` that ends them but for digits.
fn cluster(text: &str) -> Option<&str> {
    let letters = text.trim_end_matches(|c: char| c.is_ascii_digit());
    let letters = letters.strip_suffix('=').unwrap_or(letters);
    let flags = letters.strip_prefix('-')?.strip_suffix('j')?;
    flags.chars().all(|c| PLAIN.contains(c)).then_some(letters)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify;

    fn with(command: &str, slots: u32) -> String {
        let words: Vec<OsString> = command.split(' ').map(OsString::from).collect();
        let accepted = classify::argv(&words).unwrap_or_else(|e| panic!("{command}: {e}"));
        let out = argv(&words, &accepted, slots);
        let out: Vec<_> = out.iter().map(|w| w.to_str().unwrap()).collect();
        out.join(" ")
    }

    #[test]
    fn more_than_the_slots_is_lowered_and_less_is_not() {
        for (given, made) in [
            ("make -j64", "make -j4"),
            ("make -j 64 all", "make -j 4 all"),
            ("make -j", "make -j4"),
            ("make -j all", "make -j4 all"),
            ("make -kj64", "make -kj4"),
            ("make -Cobj -j64", "make -Cobj -j4"),
            ("make --jobs=64", "make --jobs=4"),
            ("make -j3", "make -j3"),
            ("make", "make"),
            ("cargo build -j 64", "cargo build -j 4"),
            ("cargo build --jobs 64", "cargo build --jobs 4"),
            ("cargo test -j64 -- -j64", "cargo test -j4 -- -j64"),
            (
                "cmake --build . --parallel 64",
                "cmake --build . --parallel 4",
            ),
            ("cmake --build . --parallel", "cmake --build . --parallel=4"),
            ("cmake --build . -j64", "cmake --build . -j4"),
            ("ninja -j64 -C out", "ninja -j4 -C out"),
            ("ninja -C out", "ninja -j4 -C out"),
        ] {
            assert_eq!(with(given, 4), made, "{given}");
        }
    }

    #[test]
    fn variables_ask_for_the_slots_at_most() {
        let words: Vec<OsString> = ["cargo", "test"].map(OsString::from).to_vec();
        let accepted = classify::argv(&words).unwrap();
        let made = |set: &[(&str, &str)], slots| {
            let mut env: Vec<_> = set.iter().map(|(k, v)| (k.into(), v.into())).collect();
            environment(&mut env, &accepted, slots);
            ["CARGO_BUILD_JOBS", "RUST_TEST_THREADS"]
                .map(|name| env::get(&env, name).unwrap().to_str().unwrap().to_owned())
        };
        assert_eq!(made(&[], 8), ["8", "8"]);
        assert_eq!(made(&[], 1), ["1", "2"]);
        assert_eq!(made(&[("CARGO_BUILD_JOBS", "64")], 8), ["8", "8"]);
        assert_eq!(
            made(&[("CARGO_BUILD_JOBS", "2"), ("RUST_TEST_THREADS", "1")], 8),
            ["2", "1"]
        );
    }
}
