//! A program of fifty megabytes in which one function changes: its way home, from the end of the
//! remote link to the end of `rch exec`, against rsync's pull of the same file over a shared master.

use super::byhand::{ByHand, HOST};
use super::common::home::{Home, shared_key};
use super::common::sshd::Sshd;
use super::common::write;
use super::{median, ms, row, timed};

const ROUNDS: usize = 7;
const SIZE: usize = 50 << 20;

/// What looks like code to a compressor: words that come again, and much that does not.
fn bulk() -> Vec<u8> {
    let mut state = 1u64;
    let mut out = Vec::with_capacity(SIZE);
    while out.len() < SIZE {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        out.extend_from_slice(&state.to_le_bytes()[4..]);
        out.extend_from_slice(&((state >> 60) as u32).to_le_bytes());
    }
    out
}

fn edit(home: &Home, n: usize) {
    let lines: String = (0..=n)
        .map(|i| format!("    puts(\"{i} of {n}\");\n"))
        .collect();
    write(
        &home.project.join("main.c"),
        &format!(
            "#include <stdio.h>\nextern char bulk[];\nint main(void) {{\n{lines}    return bulk[0];\n}}\n"
        ),
    );
}

pub fn run() {
    let worker = Sshd::start("css", &shared_key());
    let home = Home::with("large", &[&worker], 4);
    std::fs::write(home.project.join("bulk"), bulk()).unwrap();
    write(
        &home.project.join("bulk.s"),
        ".section .rodata\n.globl bulk\nbulk: .incbin \"bulk\"\n.section .note.GNU-stack,\"\",@progbits\n",
    );
    write(
        &home.project.join("Makefile"),
        "prog: main.o bulk.o\n\t@gcc -o prog main.o bulk.o\nmain.o: main.c\n\t@gcc -g -c main.c\nbulk.o: bulk.s bulk\n\t@gcc -c bulk.s\n",
    );
    let byhand = ByHand::new(&home, &worker);
    let copy = home.path().join("copy");
    let lane = format!("{HOST}:.cache/rch/lanes/proj-*/0/root0/prog");
    // Its quick check would pass over a program of the same size made in the same second.
    let rsync = || byhand.rsync(&["--ignore-times"], &lane, &copy.display().to_string());
    let job = || {
        let out = home.exec(&["make"]);
        assert!(out.status.success(), "{}", home.story(&["make"], &out));
    };
    edit(&home, 0);
    job();
    rsync();
    let (mut ours, mut theirs) = (vec![], vec![]);
    for n in 1..=ROUNDS {
        edit(&home, n);
        let total = ms(timed(job));
        let jobs = home.status().jobs;
        let last = jobs.iter().max_by_key(|j| j.id).unwrap();
        ours.push(total - (last.sync_ms + last.remote_ms) as f64);
        theirs.push(ms(timed(rsync)));
    }
    let same = std::fs::read(&copy).unwrap() == std::fs::read(home.project.join("prog")).unwrap();
    assert!(same, "both brought the same program home");
    let (a, b) = (median(ours), median(theirs));
    row(
        "50 MB program, one function / rsync's pull",
        a / b,
        0.5,
        &format!("{a:.0} ms / {b:.0} ms, median of {ROUNDS}"),
    );
}
