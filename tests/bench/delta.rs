//! A large difference to a lane that is known (a branch was changed): two thousand files, forty
//! megabytes. It rides the job's channel; rsync over a shared master is what it is measured against.

use super::byhand::ByHand;
use super::common::home::{Home, shared_key};
use super::common::sshd::Sshd;
use super::common::write;
use super::{median, ms, row, timed};

const FILES: usize = 2000;
const SIZE: usize = 20 << 10;
const ROUNDS: usize = 7;

/// Text that compresses as sources do, new in every round.
fn change(home: &Home, round: usize) {
    for file in 0..FILES {
        let mut state = (round * FILES + file) as u64;
        let mut text = String::with_capacity(SIZE + 64);
        while text.len() < SIZE {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            text += &format!("static int value_{} = {};\n", state >> 48, state >> 40);
        }
        write(
            &home.project.join(format!("d{}/f{file}.c", file % 40)),
            &text,
        );
    }
}

pub fn run() {
    let worker = Sshd::start("css", &shared_key());
    let home = Home::with("delta", &[&worker], 4);
    write(&home.project.join("Makefile"), "all:\n\t@true\n");
    let byhand = ByHand::new(&home, &worker);
    let ours = || {
        let out = home.exec(&["make"]);
        assert!(out.status.success(), "{}", home.story(&["make"], &out));
        let jobs = home.status().jobs;
        jobs.iter().max_by_key(|j| j.id).unwrap().sync_ms as f64
    };
    change(&home, 0);
    ours();
    byhand.push(&home.project, &[]);
    let (mut a, mut b) = (vec![], vec![]);
    for round in 1..=ROUNDS {
        change(&home, round);
        a.push(ours());
        b.push(ms(timed(|| byhand.push(&home.project, &["-z"]))));
    }
    let (a, b) = (median(a), median(b));
    row(
        "2000 changed files, 40 MB, sync / rsync -z",
        a / b,
        1.0,
        &format!("{a:.0} ms / {b:.0} ms, median of {ROUNDS}"),
    );
}
