//! How long classification takes; run by the benchmark, which knows the budgets. Nothing is asserted.
//!
//! What names no tool ends in the sieve; a text that names one, in vain or not, is read whole and counts
//! as a compile command.

use std::fmt::Write as _;
use std::hint::black_box;
use std::io::Write as _;
use std::time::Instant;

use rch::classify::{keywords, text};

/// The time of one call in microseconds: the fastest tenth, since what else the machine does only adds.
fn fastest(mut call: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..2001)
        .map(|_| {
            let start = Instant::now();
            call();
            start.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 10]
}

/// As the hook does: the sieve, then the lexer and the judge.
fn classify(command: &str) {
    if keywords::mentioned(black_box(command).as_bytes()) {
        let _ = black_box(text::read(command.as_bytes(), 0.85));
    }
}

#[test]
#[ignore = "measures; run by scripts/bench.d/hook"]
fn classification() {
    let other = "git status && grep -rn 'needle' src | head -20; ".repeat(42);
    let vain = "git log --grep 'cargo test' && ls -la src/cc | head; ".repeat(38);
    let mut many = String::from("cd app && cargo test");
    while many.len() < 2000 {
        let _ = write!(many, " -p crate-{}", many.len());
    }
    let mixed = "cd x && cargo build --release 2>&1 | tail -5; echo \"$x done\"; ".repeat(32);
    let mut out = String::new();
    for (name, command, budget) in [
        ("classification,_non-compile,_2_kB", &other, 5),
        ("classification,_a_tool_named_in_vain,_2_kB", &vain, 50),
        ("classification,_compile,_one_command_of_2_kB", &many, 50),
        ("classification,_compile,_32_builds_in_2_kB", &mixed, 50),
    ] {
        let _ = writeln!(out, "{name} {:.2} {budget}", fastest(|| classify(command)));
    }
    let _ = std::io::stdout().write_all(out.as_bytes());
}
