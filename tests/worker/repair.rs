//! Lanes of which nobody knows what they hold, and what they keep while they are put right.

use std::fs;
use std::os::unix::fs::MetadataExt;

use rch::wire::patch;
use rch::wire::worker::{Base, FromWorker, Held, Keep, Kind, Put, ToWorker, Want};
use xxhash_rust::xxh3::xxh3_64;

use crate::kit::{HOME, KEEP, Place, job, name};

fn held<'a>(all: &'a [Held], path: &str) -> Option<&'a Held> {
    all.iter().find(|h| h.name == name(path))
}

/// A connection was lost in the middle of a sync, and all that had been built was thrown away: the
/// lane was emptied and filled anew, with new times. It can say what it holds.
#[test]
fn a_lane_that_nobody_knows_says_what_it_holds() {
    let place = Place::new("list");
    let mut s = place.session();
    let (_, _, root) = s.open(HOME, None);
    s.put("src/a", "1");
    s.put(
        "target/CACHEDIR.TAG",
        "Signature: 8a477f597d28d172789f06886806bc55\n",
    );
    s.put("target/debug/kept", "1");
    s.send(&ToWorker::Put(Put {
        name: name("l"),
        mode: 0o777,
        mtime: 0,
        steady: false,
        kind: Kind::Symlink { target: "a".into() },
    }));
    s.hang_up();
    let mut s = place.session();
    let before = fs::metadata(root.join("src/a")).unwrap().mtime_nsec();
    assert_eq!(s.open(HOME, None).1, Base::Stale);
    let all = s.list();
    let a = held(&all, "src/a").unwrap();
    assert_eq!(a.kind, Kind::File { size: 1 });
    assert_eq!((a.mode, a.hash), (0o644, xxh3_64(b"1")));
    assert_eq!(held(&all, "src").unwrap().kind, Kind::Dir);
    let to_a = Kind::Symlink { target: "a".into() };
    assert_eq!(held(&all, "l").unwrap().kind, to_a);
    assert_eq!(all.len(), 3, "{all:?}");
    s.put("Makefile", "all:\n\t@cat src/a\n");
    s.commit(2);
    assert_eq!(s.run(job(&["make"])).ok().out(), "1");
    assert!(root.join("target/debug/kept").exists());
    let after = fs::metadata(root.join("src/a")).unwrap().mtime_nsec();
    assert_eq!(before, after, "what was not sent keeps its age");
}

/// `chmod +x` made cargo build everything again there, but not here: the file had been sent anew,
/// and dated anew.
#[test]
fn a_file_that_was_not_modified_keeps_its_age() {
    let place = Place::new("steady");
    let mut s = place.session();
    let (_, _, root) = s.open(HOME, None);
    s.put("a", "1");
    s.put("b", "1");
    let mtime = |file: &str| fs::metadata(root.join(file)).unwrap().modified().unwrap();
    s.put("Makefile", "all:\n");
    s.commit(1);
    s.run(job(&["make"])).ok();
    let before = [mtime("a"), mtime("b")];
    for (path, content) in [("a", "1"), ("b", "2")] {
        s.send(&ToWorker::Put(Put {
            name: name(path),
            mode: 0o755,
            mtime: rch::time::now(),
            steady: true,
            kind: Kind::File { size: 1 },
        }));
        s.send(&ToWorker::Data(content.into()));
    }
    s.commit(2);
    assert_eq!(mtime("a"), before[0]);
    assert!(mtime("b") > before[1], "its content is new after all");
    assert_eq!(fs::read(root.join("b")).unwrap(), b"2");
    for file in ["a", "b"] {
        assert_eq!(fs::metadata(root.join(file)).unwrap().mode() & 0o777, 0o755);
    }
}

/// With `worker.retention = "ephemeral"` nothing of the sources is left when the job is over, however
/// it ends; what was built stays.
#[test]
fn an_ephemeral_lane_forgets_its_sources() {
    let place = Place::new("ephemeral");
    let keep = Keep {
        ephemeral: true,
        ..KEEP
    };
    for polite in [true, false] {
        let mut s = place.session();
        let (_, _, root) = s.open_for(HOME, None, keep);
        s.list();
        s.put("secret.c", "int x;");
        s.put("Makefile", "all:\n\t@cat secret.c\n");
        s.put(
            "target/CACHEDIR.TAG",
            "Signature: 8a477f597d28d172789f06886806bc55\n",
        );
        s.commit(1);
        assert_eq!(s.run(job(&["make"])).ok().out(), "int x;");
        assert!(root.join("secret.c").exists());
        if polite {
            s.close();
        }
        s.hang_up();
        assert!(!root.join("secret.c").exists());
        assert!(root.join("target/CACHEDIR.TAG").exists());
    }
}

/// Fetches `prog`, of which the version `old` is at home, and answers it with the bytes it took.
fn fetch(s: &mut crate::kit::Session, old: &[u8], had: Option<u64>) -> (Vec<u8>, usize) {
    s.send(&ToWorker::Fetch(vec![Want {
        name: name("prog"),
        had,
    }]));
    let (mut got, mut sent) = (vec![], 0);
    let mut size = 0;
    loop {
        match s.next() {
            FromWorker::File(put) => {
                let Kind::File { size: whole } = put.kind else {
                    panic!()
                };
                size = whole as usize;
            }
            FromWorker::Data(data) => {
                sent += data.len();
                got.extend(data);
            }
            FromWorker::Patch(body) => {
                sent += body.len();
                let at = got.len() as u64;
                let len = (size - got.len()).min(patch::PIECE);
                let mut read = |r: std::ops::Range<u64>, b: &mut Vec<u8>| {
                    *b = old[r.start as usize..r.end as usize].to_vec();
                    Ok(())
                };
                let (place, mut piece) = ((old.len() as u64, at, len), vec![]);
                patch::apply(&mut read, place, &body, &mut piece).unwrap();
                got.extend(piece);
            }
            FromWorker::Fetched { missing } => {
                assert_eq!(missing, []);
                return (got, sent);
            }
            other => panic!("{other:?}"),
        }
    }
}

fn digest(content: &[u8]) -> u64 {
    let mut digest = patch::Digest::default();
    digest.update(content);
    digest.finish()
}

/// A program of 50 MB in which one function changed came home whole.
#[test]
fn a_large_product_comes_as_a_patch_of_its_predecessor() {
    let place = Place::new("patch");
    let mut s = place.session();
    let (_, _, root) = s.open(HOME, None);
    let body: Vec<u8> = (0..3_000_000u32)
        .flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    s.put(
        "Makefile",
        "prog: seed body\n\t@cat seed body > prog.new && mv prog.new prog\n",
    );
    s.put("body", &body);
    s.put("seed", "1");
    s.commit(1);
    s.run(job(&["make"])).ok();
    let (first, _) = fetch(&mut s, &[], None);
    assert!(first == fs::read(root.join("prog")).unwrap());
    s.put("seed", "a longer seed");
    s.commit(2);
    s.run(job(&["make"])).ok();
    let new = fs::read(root.join("prog")).unwrap();
    let (second, sent) = fetch(&mut s, &first, Some(digest(&first)));
    assert!(second == new);
    assert!(sent < first.len() / 50, "{sent} bytes for a few");
    // One that home does not have, and one that was spoilt through a link to it.
    assert!(fetch(&mut s, &[], Some(1)).0 == new);
    let mut spoilt = fs::OpenOptions::new();
    let file = spoilt.write(true).open(root.join("prog")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"other", 1000).unwrap();
    let now = fs::read(root.join("prog")).unwrap();
    assert!(fetch(&mut s, &new, Some(digest(&new))).0 == now);
}
