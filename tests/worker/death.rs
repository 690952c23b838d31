//! However a job or its session ends, nothing of it is left.

use rch::ids::ManifestId;
use rch::sys::process::Exit;
use rch::wire::worker::{Base, FromWorker, ToWorker};

use crate::common::wait_for;
use crate::kit::{HOME, Place, Session, job, rests, runs};

/// A job that has a grandchild in a session of its own, deaf to SIGTERM.
fn sleeper(s: &mut Session, word: &str) {
    s.open(HOME, None);
    s.put(
        "Makefile",
        format!("all:\n\t@trap '' TERM; setsid sleep {word} & sleep {word}\n"),
    );
    s.commit(1);
    s.send(&ToWorker::Run(job(&["make"])));
    assert_eq!(s.next(), FromWorker::Started);
    wait_for("the job to sleep", || runs(word).then_some(()));
}

fn word(n: u32) -> String {
    format!("{}{n}", 1_000_000 + std::process::id())
}

fn eof_kills(flag: Option<&str>, word: &str) {
    let place = Place::new("eof");
    let mut s = Session::start(place.command().arg("serve").args(flag));
    sleeper(&mut s, word);
    assert!(s.hang_up().success());
    assert!(!runs(word));
    let mut s = place.session();
    let base = Some((0, ManifestId([1; 16])));
    assert_eq!((0, Base::Stale), {
        let l = s.open(HOME, base);
        (l.0, l.1)
    });
}

#[test]
fn end_of_input_kills_everything() {
    eof_kills(None, &word(1));
}

#[test]
fn end_of_input_kills_everything_without_namespaces() {
    eof_kills(Some("--no-namespace"), &word(2));
}

fn kill_nine(flag: Option<&str>, word: &str) {
    let place = Place::new("kill9");
    let mut s = Session::start(place.command().arg("serve").args(flag));
    sleeper(&mut s, word);
    s.child.kill().unwrap();
    s.child.wait().unwrap();
    wait_for("the end of the job's processes", || {
        (!runs(word)).then_some(())
    });
    let mut s = place.session();
    let mut taken = (9, Base::New);
    wait_for("the lane to be free", || {
        let (number, base, _) = s.open(HOME, Some((0, ManifestId([1; 16]))));
        s.close();
        taken = (number, base);
        (number == 0).then_some(())
    });
    assert_eq!(taken, (0, Base::Stale));
}

#[test]
fn killing_the_worker_leaves_no_orphan_and_a_dirty_lane() {
    kill_nine(None, &word(3));
}

#[test]
fn killing_the_worker_leaves_no_orphan_without_namespaces() {
    kill_nine(Some("--no-namespace"), &word(4));
}

/// Ctrl-C: the job dies of it, the session lives, the lane stays clean.
#[test]
fn a_signal_reaches_the_job() {
    let place = Place::new("signal");
    let mut s = place.session();
    s.open(HOME, None);
    let word = word(5);
    s.put("Makefile", format!("all:\n\t@echo go; sleep {word}\n"));
    s.commit(1);
    s.send(&ToWorker::Run(job(&["make"])));
    assert_eq!(s.next(), FromWorker::Started);
    assert_eq!(s.next(), FromWorker::Stdout(b"go\n".to_vec()));
    // make itself must be past its own fork, or it mistakes the signal's time.
    let pid = s.child.id();
    wait_for("all to sleep", || rests(pid, "sleep").then_some(()));
    s.send(&ToWorker::Signal(2));
    let done = s.outcome();
    // make dies of it, or of its recipe's death if it hears of that first.
    let died = [Exit::Signal(2), Exit::Code(2)].map(Some);
    assert!(died.contains(&done.exit), "{:?}: {}", done.exit, done.err());
    assert!(!runs(&word));
    s.commit(1);
    s.close();
    assert_eq!(s.open(HOME, Some((0, ManifestId([1; 16])))).1, Base::Holds);
}

/// What a job made is not home yet, and its daemon may be killed before it is.
#[test]
fn a_lane_is_in_doubt_until_its_daemon_has_brought_all_home() {
    let place = Place::new("doubt");
    let mut s = place.session();
    s.open(HOME, None);
    s.put("Makefile", "all:\n\t@echo done\n");
    s.commit(1);
    s.run(job(&["make"])).ok();
    drop(s);
    let mut s = place.session();
    let base = Some((0, ManifestId([1; 16])));
    assert_eq!(s.open(HOME, base).1, Base::Stale);
}

/// A background process must not keep a job that has ended from ending.
#[test]
fn what_a_job_leaves_behind_ends_with_it() {
    let place = Place::new("leaves");
    let mut s = place.session();
    s.open(HOME, None);
    let word = word(6);
    s.put(
        "Makefile",
        format!("all:\n\t@setsid sleep {word} & echo done\n"),
    );
    s.commit(1);
    assert_eq!(s.run(job(&["make"])).ok().out(), "done\n");
    assert!(!runs(&word));
}

#[test]
fn close_ends_a_running_job() {
    let place = Place::new("close");
    let mut s = place.session();
    let word = word(7);
    sleeper(&mut s, &word);
    s.close();
    assert!(!runs(&word));
    s.open(HOME, None);
}
