//! Much output, large files, slow readers: all of it through a bounded buffer.

use crate::common::wait_for;
use crate::kit::{HOME, Place, job, name, rests, rss_kib};
use rch::wire::worker::{FromWorker, ToWorker, Want};

/// Room for the buffers, the program itself and an unoptimised build; far below what is streamed.
const MOST_KIB: u64 = 16 << 10;

/// Ten times more than any buffer holds, on one line, while nobody reads.
#[test]
fn a_slow_reader_makes_the_job_wait() {
    let place = Place::new("slow");
    let mut s = place.session();
    s.open(HOME, None);
    s.put(
        "Makefile",
        "all:\n\t@head -c 60000000 /dev/zero; touch end\n",
    );
    s.commit(1);
    s.send(&ToWorker::Run(job(&["make"])));
    assert_eq!(s.next(), FromWorker::Started);
    assert!(matches!(s.next(), FromWorker::Stdout(_)));
    // The worker must come to rest with the job unfinished.
    wait_for("the rest of worker and job", || {
        rests(s.child.id(), "head").then_some(())
    });
    let kib = rss_kib(s.child.id());
    assert!(kib < MOST_KIB, "{kib} KiB");
    let done = s.outcome().ok();
    assert!(done.stdout.len() > 59_000_000);
    assert_eq!(done.paths(true), ["end"]);
}

#[test]
fn a_large_file_comes_back_whole() {
    let place = Place::new("large");
    let mut s = place.session();
    s.open(HOME, None);
    s.put(
        "Makefile",
        "big:\n\t@head -c 52428800 /dev/urandom > big; sha256sum big\n",
    );
    s.commit(1);
    let said = s.run(job(&["make"])).ok().out();
    s.send(&ToWorker::Fetch(vec![Want {
        name: name("big"),
        had: None,
    }]));
    let mut most = 0;
    let mut content = Vec::new();
    loop {
        match s.next() {
            FromWorker::File(put) => assert_eq!(put.name, name("big")),
            FromWorker::Data(data) => {
                most = most.max(rss_kib(s.child.id()));
                content.extend(data);
            }
            FromWorker::Fetched { missing } => break assert!(missing.is_empty()),
            other => panic!("{other:?}"),
        }
    }
    assert!(most < MOST_KIB, "{most} KiB");
    let here = place.0.join("big");
    std::fs::write(&here, &content).unwrap();
    let sum = std::process::Command::new("sha256sum")
        .arg("big")
        .current_dir(&place.0)
        .output();
    assert_eq!(String::from_utf8(sum.unwrap().stdout).unwrap(), said);
    assert_eq!(content.len(), 50 << 20);
}

/// The budget of an idle worker, after it has had something to do.
#[test]
fn an_idle_worker_is_small() {
    let place = Place::new("idle");
    let mut s = place.session();
    s.open(HOME, None);
    s.put("big", vec![7; 3 << 20]);
    s.commit(1);
    s.close();
    let kib = rss_kib(s.child.id());
    assert!(
        kib <= if cfg!(debug_assertions) { 8192 } else { 4096 },
        "{kib} KiB"
    );
}
