//! What the daemon writes, and what a lane says it holds.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use rch::ids::{LaneKey, ManifestId};
use rch::wire::worker::{Base, Fault, FromWorker, Kind, Name, Put, Resync, ToWorker};

use crate::common::wait_for;
use crate::kit::{HOME, KEEP, Place, Session, job, name};

fn holds(id: u8) -> Option<(u16, ManifestId)> {
    Some((0, ManifestId([id; 16])))
}

/// A lane keeps what was committed, and only that: another manifest, or none, means repair.
#[test]
fn a_lane_holds_what_was_committed() {
    let place = Place::new("holds");
    let mut s = place.session();
    s.open(HOME, None);
    s.put("a", "1");
    s.commit(1);
    s.close();
    assert_eq!(s.open(HOME, holds(1)).1, Base::Holds);
    s.put("a", "2");
    // Not committed: the connection is lost in the middle.
    s.hang_up();
    let mut s = place.session();
    assert_eq!(s.open(HOME, holds(1)).1, Base::Stale);
    s.close();
    assert_eq!(s.open(HOME, None).1, Base::Stale);
}

/// What was sent along with a wrong guess must not reach the tree.
#[test]
fn a_stale_lane_ignores_everything_until_resync() {
    let place = Place::new("stale");
    let mut s = place.session();
    let (_, _, root) = s.open(HOME, None);
    s.put("Makefile", "all:\n\t@echo old\n");
    s.put("left", "1");
    s.put(
        "target/CACHEDIR.TAG",
        "Signature: 8a477f597d28d172789f06886806bc55\n",
    );
    s.put("target/debug/kept", "1");
    s.commit(1);
    s.close();
    assert_eq!(s.open(HOME, holds(9)).1, Base::Stale);
    s.put("left", "2");
    s.send(&ToWorker::Delete(name("Makefile")));
    s.send(&ToWorker::Commit(ManifestId([2; 16])));
    s.send(&ToWorker::Run(job(&["make"])));
    s.send(&ToWorker::Ping);
    assert!(matches!(s.next(), FromWorker::Pong { .. }));
    assert_eq!(fs::read(root.join("left")).unwrap(), b"1");
    s.send(&ToWorker::Resync(Resync::Wipe));
    s.put("Makefile", "all:\n\t@echo new\n");
    s.commit(3);
    assert_eq!(s.run(job(&["make"])).ok().out(), "new\n");
    assert!(!root.join("left").exists());
    assert!(root.join("target/debug/kept").exists());
}

/// rsync wrote, outside our sight: what it dated in the past or the future is corrected.
#[test]
fn what_rsync_brought_gets_honest_times() {
    let place = Place::new("rsync");
    let mut s = place.session();
    let (_, base, root) = s.open(HOME, None);
    assert_eq!(base, Base::New);
    let date = |file: &str, secs: u64| {
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(secs);
        let f = fs::File::options()
            .append(true)
            .create(true)
            .open(root.join(file))
            .unwrap();
        f.set_modified(time).unwrap();
    };
    let (past, future) = (1_000_000_000, 9_000_000_000);
    fs::write(root.join("Makefile"), "x: y\n\tcp y x\n").unwrap();
    fs::write(root.join("y"), "").unwrap();
    date("y", past);
    date("Makefile", future);
    s.send(&ToWorker::Resync(Resync::Adopt));
    s.commit(1);
    let mtime = |file: &str| fs::metadata(root.join(file)).unwrap().mtime() as u64;
    assert_eq!(mtime("y"), past);
    assert!(mtime("Makefile") < future);
    s.run(job(&["make"])).ok();
    s.close();
    // A job has run: what rsync touches now must look newer than that.
    assert_eq!(s.open(HOME, None).1, Base::Stale);
    date("y", past);
    s.send(&ToWorker::Resync(Resync::Adopt));
    s.commit(2);
    assert_eq!(s.run(job(&["make"])).ok().out(), "cp y x\n");
}

#[test]
fn files_links_and_directories_replace_each_other() {
    let place = Place::new("replace");
    let outside = place.0.join("outside");
    fs::create_dir(&outside).unwrap();
    let mut s = place.session();
    let (_, _, root) = s.open(HOME, None);
    let put = |path: &str, kind| {
        ToWorker::Put(Put {
            name: name(path),
            mode: 0o755,
            mtime: 0,
            steady: false,
            kind,
        })
    };
    s.put("a/b/c", "deep");
    s.put("a", "now a file");
    s.put("d", "now a directory's parent");
    s.put("d/e", "1");
    s.send(&put(
        "l",
        Kind::Symlink {
            target: outside.clone(),
        },
    ));
    s.put("l/f", "must not go through the link");
    s.send(&put(
        "m",
        Kind::Symlink {
            target: "../x".into(),
        },
    ));
    s.send(&put("empty", Kind::Dir));
    s.put_at("tool", "#!/bin/sh\n", 0o755, 5);
    s.put_at("ro", "r", 0o444, 5);
    s.put_at("ro", "replaced", 0o444, 6);
    s.commit(1);
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap();
    assert_eq!(read("a"), "now a file");
    assert_eq!(read("d/e"), "1");
    assert_eq!(read("l/f"), "must not go through the link");
    assert_eq!(read("ro"), "replaced");
    assert!(!outside.join("f").exists());
    assert_eq!(fs::read_link(root.join("m")).unwrap(), Path::new("../x"));
    assert!(root.join("empty").is_dir());
    let mode = |p: &str| fs::metadata(root.join(p)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("tool"), mode("ro")), (0o755, 0o444));
    // Deletions: a file, a link (not what it points to), a directory, and what is not there.
    symlink(&outside, root.join("n")).unwrap();
    for path in ["a", "n", "d", "gone", "gone/too"] {
        s.send(&ToWorker::Delete(name(path)));
    }
    s.commit(2);
    assert!(!root.join("a").exists() && !root.join("d").exists());
    assert!(root.join("n").symlink_metadata().is_err() && outside.exists());
}

#[test]
fn odd_names_arrive_as_they_are() {
    let place = Place::new("odd");
    let mut s = place.session();
    let (_, _, root) = s.open(HOME, None);
    let odd: [&[u8]; 6] = [
        b"new\nline",
        b"#hash",
        b"\xff\xfe",
        b" ",
        b"-rf",
        b"a'b\"c$(d)",
    ];
    for bytes in odd {
        s.put(Path::new("dir").join(OsStr::from_bytes(bytes)), bytes);
    }
    s.commit(1);
    for bytes in odd {
        let path = root.join("dir").join(OsStr::from_bytes(bytes));
        assert_eq!(fs::read(path).unwrap(), bytes);
    }
    let names: Vec<Name> = odd
        .iter()
        .map(|b| name(Path::new("dir").join(OsStr::from_bytes(b))))
        .collect();
    let (files, missing) = s.fetch(&names);
    assert_eq!((files.len(), missing.len()), (6, 0));
}

/// A path that climbs out ends the session with a word, and nothing is written.
#[test]
fn hostile_names_are_refused() {
    for path in ["../evil", "/evil", "a/../../evil", "a//b", "."] {
        let place = Place::new("hostile");
        let mut s = place.session();
        let (_, _, root) = s.open(HOME, None);
        // Without content: the session may be over before another write.
        s.put(path, "");
        let FromWorker::Failed { fault, .. } = s.next() else {
            panic!("'{path}' was accepted")
        };
        assert_eq!(fault, Fault::Protocol);
        assert!(s.maybe_next().is_none());
        assert!(!root.join("../evil").exists() && fs::read_dir(&root).unwrap().next().is_none());
    }
}

/// Two sessions never share a lane; the second gets another.
#[test]
fn a_lane_has_one_holder() {
    let place = Place::new("two");
    let (mut a, mut b) = (place.session(), place.session());
    assert_eq!(a.open(HOME, None).0, 0);
    assert_eq!(b.open(HOME, None).0, 1);
    a.close();
    let mut c = place.session();
    assert_eq!(c.open(HOME, None).0, 0);
}

/// The session of a daemon that was restarted still had the lane for a moment, and the next job built
/// everything anew in another one.
#[test]
fn a_lane_that_is_being_left_is_waited_for() {
    let place = Place::new("leaving");
    let (mut old, mut new) = (place.session(), place.session());
    old.open(HOME, None);
    old.put("a", "a");
    old.commit(1);
    let read = |pid: u32| fs::read_to_string(format!("/proc/{pid}/io")).unwrap();
    let before = read(new.child.id());
    new.ask(HOME, holds(1), KEEP);
    wait_for("it is asked", || {
        (read(new.child.id()) != before).then_some(())
    });
    old.hang_up();
    let (number, base, _) = new.lane();
    assert_eq!((number, base), (0, Base::Holds));
}

/// A lane nobody has used for days goes; one in use stays, however old its state looks. Daemons went on
/// choosing the worker for the one that was gone: now every session says which there are.
#[test]
fn old_lanes_are_collected_but_never_used_ones() {
    let place = Place::new("sweep");
    let (mut a, mut b, mut c) = (place.session(), place.session(), place.session());
    let lanes = [
        a.open(HOME, None).2,
        b.open(HOME, None).2,
        c.open(HOME, None).2,
    ];
    // It is said behind an answer, which the next one follows.
    let told = |session: &mut Session| {
        for _ in 0..2 {
            session.send(&ToWorker::Ping);
            session.next();
        }
        let mut lanes = session.lanes.clone();
        lanes.sort_by_key(|(_, number)| *number);
        (session.told, lanes)
    };
    for session in [&mut b, &mut c] {
        let (times, lanes) = told(session);
        assert_eq!((times, lanes.len()), (1, 3));
    }
    let past = std::time::SystemTime::now() - std::time::Duration::from_secs(73 * 3600);
    for root in &lanes[..2] {
        let state = root.parent().unwrap().join("state");
        let file = fs::File::options().append(true).open(state).unwrap();
        file.set_modified(past).unwrap();
    }
    // The first is given back, the second is not; the third's return is the occasion.
    a.hang_up();
    c.close();
    wait_for("the end of the old lane", || {
        (!lanes[0].exists()).then_some(())
    });
    let key = LaneKey([7; 16]);
    for session in [&mut c, &mut b] {
        assert_eq!(told(session), (2, vec![(key, 1), (key, 2)]));
    }
    assert!(lanes[1].exists() && lanes[2].exists());
    b.put("still", "here");
    b.commit(1);
}

/// What was built was never synced, and after a power cut nobody could tell which of it was whole.
#[test]
fn an_idle_lane_reaches_the_disk_once_it_has_stood_for_a_while() {
    let place = Place::new("durable");
    let mut s = place.session();
    // What the first one began is seen behind the second.
    let ping = |s: &mut Session| {
        for _ in 0..2 {
            s.send(&ToWorker::Ping);
            let answer = s.next();
            assert!(matches!(answer, FromWorker::Pong { .. }), "{answer:?}");
        }
    };
    let root = s.open(HOME, None).2;
    s.put("a", "1");
    s.commit(1);
    s.close();
    let lane = root.parent().unwrap();
    let date = |time: std::time::SystemTime| {
        let state = fs::File::options().append(true).open(lane.join("state"));
        state.unwrap().set_modified(time).unwrap();
    };
    let minute = std::time::Duration::from_secs(60);
    let age = || date(std::time::SystemTime::now() - minute);
    let note = || fs::read_to_string(lane.join("durable")).unwrap_or_default();
    // It may be written to again at any moment, however slow this machine is.
    date(std::time::SystemTime::now() + minute);
    ping(&mut s);
    assert!(!s.has_children() && note().is_empty());
    age();
    ping(&mut s);
    wait_for("the note", || note().ends_with('\n').then_some(()));
    let first = note();
    // Another session finds it done, and none of its business while somebody writes there.
    let mut other = place.session();
    ping(&mut other);
    assert!(!other.has_children() && note() == first);
    assert_eq!(s.open(HOME, holds(1)).1, Base::Holds);
    s.put("a", "2");
    ping(&mut s);
    age();
    let mut other = place.session();
    ping(&mut other);
    assert!(!other.has_children() && note() == first);
    s.commit(2);
    s.close();
    age();
    ping(&mut s);
    wait_for("the next note", || {
        (note() != first && note().ends_with('\n')).then_some(())
    });
}

/// A crate that a power cut had emptied counted as one that is there, and was never sent again.
#[test]
fn an_empty_crate_is_none() {
    let place = Place::new("crates");
    let home = place.0.join("cargo");
    let names = ["a-1.0.0", "b-1.0.0", "c-1.0.0"];
    let path = |name: &str| Path::new("registry/cache/r").join(format!("{name}.crate"));
    fs::create_dir_all(home.join("registry/cache/r")).unwrap();
    fs::write(home.join(path(names[0])), "content").unwrap();
    fs::write(home.join(path(names[1])), "").unwrap();
    let mut s = Session::start(place.command().env("CARGO_HOME", &home).arg("serve"));
    s.send(&ToWorker::Crates(names.map(path).to_vec()));
    let lacks = names[1..].iter().copied().map(path).collect();
    assert_eq!(s.next(), FromWorker::Lacks(lacks));
}
