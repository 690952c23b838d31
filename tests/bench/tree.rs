//! A hundred thousand files of which none has changed: what finding that out costs, until the command
//! begins on the worker, against rsync's no-op over a shared ssh master. The whole job is told beside
//! it: behind the command the worker looks through the tree once more, for what it made.

use super::byhand::ByHand;
use super::common::home::{Home, shared_key};
use super::common::sshd::Sshd;
use super::common::write;
use super::{median, ms, row, timed};

const FILES: usize = 100_000;
const ROUNDS: usize = 7;

pub fn run() {
    let worker = Sshd::start("css", &shared_key());
    let home = Home::with("tree", &[&worker], 4);
    for dir in 0..FILES / 100 {
        let dir = home
            .project
            .join(format!("d{:02}/e{:02}", dir / 50, dir % 50));
        std::fs::create_dir_all(&dir).unwrap();
        for file in 0..100 {
            std::fs::write(dir.join(format!("f{file:02}.c")), b"int x;\n").unwrap();
        }
    }
    write(&home.project.join("Makefile"), "all:\n\t@true\n");
    let byhand = ByHand::new(&home, &worker);
    let rsync = || byhand.push(&home.project, &[]);
    let ours = || {
        let out = home.exec(&["make"]);
        assert!(out.status.success(), "{}", home.story(&["make"], &out));
    };
    rsync();
    ours();
    ours();
    let (mut a, mut b, mut whole) = (vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        whole.push(ms(timed(ours)));
        let jobs = home.status().jobs;
        a.push(jobs.iter().max_by_key(|j| j.id).unwrap().sync_ms as f64);
        b.push(ms(timed(rsync)));
    }
    let (a, b, whole) = (median(a), median(b), median(whole));
    row(
        "100 k files unchanged, sync / rsync no-op",
        a / b,
        0.3,
        &format!("{a:.0} ms / {b:.0} ms, the whole job {whole:.0} ms, median of {ROUNDS}"),
    );
}
