//! The budgets of transport and fleet, each a ratio of two things measured in this one run.
//!
//! A row is `name  measured  budget  ok|OVER`, and the figures behind it. Rounds of both sides
//! alternate, so that whatever else the machine does falls on both; medians are compared. Run by
//! `scripts/bench`, which builds the static binaries and names them in `RCH_TEST_BIN`.

#![allow(clippy::print_stdout)]

#[path = "../common/mod.rs"]
mod common;

mod byhand;
mod choice;
mod delta;
mod fleet;
mod large;
mod link;
mod tree;
mod warm;

use std::time::{Duration, Instant};

fn main() {
    if std::env::args().any(|a| a == "--list") {
        return;
    }
    let only = std::env::var("RCH_BENCH_ONLY").unwrap_or_default();
    let parts: [(&str, fn()); 7] = [
        ("warm", warm::run),
        ("link", link::run),
        ("large", large::run),
        ("tree", tree::run),
        ("delta", delta::run),
        ("choice", choice::run),
        ("fleet", fleet::run),
    ];
    for (name, part) in parts {
        if only.is_empty() || only == name {
            part();
        }
    }
}

/// Prints one row.
fn row(name: &str, measured: f64, budget: f64, figures: &str) {
    let verdict = if measured <= budget { "ok" } else { "OVER" };
    println!("{name:<44} {measured:>8.3} {budget:>8.3}  {verdict:<4}  {figures}");
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

fn timed(act: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    act();
    begun.elapsed()
}

fn ms(d: Duration) -> f64 {
    d.as_secs_f64() * 1000.0
}
