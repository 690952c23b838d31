use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;
use crate::config::Config;
use crate::exclude::Rules;
use crate::scan;
use crate::scratch::{Dice, Scratch};
use crate::wire;

/// What a lane does, without a disk: the messages applied to a tree in memory, strictly.
#[derive(Debug, Default)]
struct Lane {
    tree: BTreeMap<Name, (u32, Stamp, Held)>,
    open: Option<(Name, u64)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Held {
    File(Vec<u8>),
    Dir,
    Link(PathBuf),
}

impl Lane {
    fn take(&mut self, bytes: &[u8]) {
        let used = wire::each_frame(bytes, |frame| {
            self.message(ToWorker::decode(frame)?);
            crate::bytes::Parsed::Ok(())
        });
        assert_eq!(used, Ok(bytes.len()));
    }

    fn message(&mut self, message: ToWorker) {
        match message {
            ToWorker::Put(put) => self.put(put),
            ToWorker::Data(data) => {
                let (name, left) = self.open.as_mut().expect("data of no file");
                *left = left.checked_sub(data.len() as u64).expect("too much data");
                let Some((_, _, Held::File(held))) = self.tree.get_mut(name) else {
                    panic!("data of no file");
                };
                held.extend(data);
            }
            ToWorker::Delete(name) => {
                self.complete();
                let below = |n: &Name| n.root == name.root && n.path.starts_with(&name.path);
                self.tree.retain(|n, _| !below(n));
            }
            other => panic!("{other:?}"),
        }
    }

    fn put(&mut self, put: Put) {
        self.complete();
        if let Some(above) = put.name.path.parent().filter(|p| !p.as_os_str().is_empty()) {
            let above = Name {
                root: put.name.root,
                path: above.into(),
            };
            let dir = self.tree.get(&above);
            assert!(
                matches!(dir, Some((_, _, Held::Dir))),
                "{:?} has no directory",
                put.name
            );
        }
        let held = match put.kind {
            worker::Kind::File { size } => {
                self.open = Some((put.name.clone(), size));
                Held::File(vec![])
            }
            worker::Kind::Dir => Held::Dir,
            worker::Kind::Symlink { target } => Held::Link(target),
        };
        let before = self
            .tree
            .insert(put.name.clone(), (put.mode, put.mtime, held.clone()));
        if let Some((_, _, before)) = before {
            let same = std::mem::discriminant(&before) == std::mem::discriminant(&held);
            assert!(same, "{:?} changed its type without a delete", put.name);
        }
    }

    fn complete(&mut self) {
        let left = self.open.take().map_or(0, |(_, left)| left);
        assert_eq!(left, 0, "a file is incomplete");
    }

    /// The same as what stands on disk, below `root`.
    fn check(&mut self, root: &Path) {
        self.complete();
        let mut disk = BTreeMap::new();
        walk(root, Path::new(""), &mut disk);
        let lane = self
            .tree
            .iter()
            .map(|(n, (mode, _, held))| (n.clone(), (*mode, held.clone())));
        assert_eq!(lane.collect::<BTreeMap<_, _>>(), disk);
    }
}

fn walk(root: &Path, below: &Path, out: &mut BTreeMap<Name, (u32, Held)>) {
    for entry in std::fs::read_dir(root.join(below)).unwrap() {
        let path = below.join(entry.unwrap().file_name());
        let full = root.join(&path);
        let meta = full.symlink_metadata().unwrap();
        let held = if meta.is_symlink() {
            Held::Link(full.read_link().unwrap())
        } else if meta.is_dir() {
            walk(root, &path, out);
            Held::Dir
        } else {
            Held::File(std::fs::read(&full).unwrap())
        };
        out.insert(
            Name { root: 0, path },
            (meta.permissions().mode() & 0o7777, held),
        );
    }
}

fn scanned(scratch: &Scratch) -> Manifest {
    let project = scratch.project();
    let rules = Rules::new(&project, &Config::default().transfer).unwrap();
    scan::scan(&project, &rules, 2).unwrap()
}

/// Brings `lane`, which holds `held`, up to date; what it holds then.
fn sync(scratch: &Scratch, lane: &mut Lane, held: &Manifest) -> (Manifest, Fed) {
    let now = Arc::new(scanned(scratch));
    let changes = held.changes(&now);
    let mut feed = Feed::new(&scratch.project(), now.clone(), changes, 0, 1);
    let fed = drain(&mut feed, lane);
    (now.updated(&fed.fresh, &fed.gone), fed)
}

fn drain(feed: &mut Feed, lane: &mut Lane) -> Fed {
    loop {
        let mut out = vec![];
        let step = feed.next(&mut out).unwrap();
        lane.take(&out);
        if let Step::Done(fed) = step {
            return fed;
        }
    }
}

const NAMES: [&[u8]; 10] = [
    b"a",
    b"b.rs",
    b"#x",
    b";y",
    b"-z",
    b"new\nline",
    b"\xff\xfe",
    b" ",
    b"a.b",
    b"a-b",
];

fn some_path(dice: &mut Dice) -> PathBuf {
    let parts = 1 + dice.roll(3);
    let name = |_| std::ffi::OsStr::from_bytes(NAMES[dice.roll(NAMES.len())]);
    (0..parts).map(name).collect()
}

/// One random change to the tree; many of them fail (no such file), which is fine.
fn edit(dice: &mut Dice, root: &Path) {
    use std::fs;
    let (path, other) = (root.join(some_path(dice)), root.join(some_path(dice)));
    let size = [0, 1, 7, 7, 5000, 300_000][dice.roll(6)];
    let text: Vec<u8> = (0..size).map(|_| dice.roll(256) as u8).collect();
    let _ = match dice.roll(11) {
        0..4 => {
            let _ = fs::create_dir_all(path.parent().unwrap());
            fs::write(&path, text)
        }
        4 => fs::remove_file(&path),
        5 => fs::remove_dir_all(&path),
        6 => fs::rename(&path, &other),
        7 => std::os::unix::fs::symlink(some_path(dice), &path),
        8 => fs::create_dir_all(&path),
        9 => fs::set_permissions(
            &path,
            fs::Permissions::from_mode([0o644, 0o755, 0o700][dice.roll(3)]),
        ),
        // A same-size edit with its time put back.
        _ => fs::metadata(&path).and_then(|meta| {
            let before = meta.modified()?;
            fs::write(&path, &text[..text.len().min(meta.len() as usize)])?;
            fs::File::options()
                .write(true)
                .open(&path)?
                .set_modified(before)
        }),
    };
}

#[test]
fn any_edits_arrive() {
    for seed in 0..6 {
        let (scratch, mut dice) = (Scratch::new(), Dice::new(seed));
        let (mut lane, mut held) = (Lane::default(), Manifest::default());
        for _ in 0..60 {
            for _ in 0..dice.roll(8) {
                edit(&mut dice, &scratch.0);
            }
            held = sync(&scratch, &mut lane, &held).0;
            lane.check(&scratch.0);
            let stored = Manifest::decode(&held.encode()).unwrap();
            assert_eq!((&stored, stored.digest()), (&held, held.digest()));
        }
    }
}

#[test]
fn an_unchanged_tree_sends_nothing() {
    let scratch = Scratch::new();
    let file = scratch.file("a/b", "text");
    let long_ago = time::system(1_600_000_000_000_000_000);
    std::fs::File::options()
        .write(true)
        .open(file)
        .unwrap()
        .set_modified(long_ago)
        .unwrap();
    let mut lane = Lane::default();
    // Until the file is old enough not to be racy; every round sends it once more.
    let mut held = Manifest::default();
    for _ in 0..10_000 {
        let (now, fed) = sync(&scratch, &mut lane, &held);
        held = now;
        if fed == Fed::default() {
            return;
        }
    }
    panic!("the file is sent for ever");
}

/// An agent saves a file again while it is on its way.
#[test]
fn a_file_that_changes_on_its_way_is_sent_again() {
    let scratch = Scratch::new();
    let path = scratch.file("big", vec![1; 3 * CHUNK]);
    scratch.file("gone", "x");
    let now = Arc::new(scanned(&scratch));
    let changes = Manifest::default().changes(&now);
    let mut feed = Feed::new(&scratch.project(), now.clone(), changes, 0, 1);
    let (mut lane, mut out) = (Lane::default(), vec![]);
    assert_eq!(feed.next(&mut out), Ok(Step::More));
    std::fs::write(&path, vec![2; CHUNK / 2]).unwrap();
    std::fs::remove_file(scratch.0.join("gone")).unwrap();
    lane.take(&out);
    let fed = drain(&mut feed, &mut lane);
    lane.check(&scratch.0);
    assert_eq!((fed.fresh.len(), fed.gone.len()), (1, 1));
    assert_eq!(fed.fresh[0].1.size, CHUNK as u64 / 2);
}

#[test]
fn a_file_that_never_rests_is_given_up() {
    let scratch = Scratch::new();
    let path = scratch.file("log", vec![1; 2 * CHUNK]);
    let now = Arc::new(scanned(&scratch));
    let changes = Manifest::default().changes(&now);
    let mut feed = Feed::new(&scratch.project(), now, changes, 0, 1);
    for round in 0..100 {
        std::fs::write(&path, vec![1; 2 * CHUNK + round]).unwrap();
        match feed.next(&mut vec![]) {
            Ok(step) => assert_eq!(step, Step::More),
            Err(e) => return assert!(e.text().contains("does not stop changing")),
        }
    }
    panic!("sent for ever");
}

/// Between scan and feed a file became a link to something secret: it must not be followed.
#[test]
fn a_file_that_became_a_link_is_not_followed() {
    let (scratch, outside) = (Scratch::new(), Scratch::new());
    scratch.file("d/f", "harmless");
    outside.file("f", "secret");
    let now = Arc::new(scanned(&scratch));
    std::fs::remove_dir_all(scratch.0.join("d")).unwrap();
    scratch.link("d", &outside.0);
    let changes = Manifest::default().changes(&now);
    let mut lane = Lane::default();
    let fed = drain(
        &mut Feed::new(&scratch.project(), now, changes, 0, 1),
        &mut lane,
    );
    assert_eq!(fed.gone.len(), 1);
    assert!(
        !lane
            .tree
            .values()
            .any(|(_, _, held)| matches!(held, Held::File(_)))
    );
}

#[test]
fn times_are_given_in_the_workers_clock() {
    let scratch = Scratch::new();
    scratch.file("f", "x");
    let now = Arc::new(scanned(&scratch));
    let changes = Manifest::default().changes(&now);
    let mut lane = Lane::default();
    drain(
        &mut Feed::new(&scratch.project(), now.clone(), changes, -5_000, 1),
        &mut lane,
    );
    let (name, entry) = now.iter().next().unwrap();
    assert_eq!(lane.tree[name].1, entry.mtime - 5_000);
}

/// A piece is bounded, however large or many the files are.
#[test]
fn a_piece_is_small() {
    let scratch = Scratch::new();
    scratch.file("big", vec![3; 20 * CHUNK]);
    for i in 0..3000 {
        scratch.file(format!("many/{i}"), [i as u8; 300]);
    }
    let now = Arc::new(scanned(&scratch));
    let changes = Manifest::default().changes(&now);
    let mut feed = Feed::new(&scratch.project(), now, changes, 0, 1);
    let mut lane = Lane::default();
    loop {
        let mut out = vec![];
        let step = feed.next(&mut out).unwrap();
        assert!(out.len() < CHUNK + 8192, "{}", out.len());
        lane.take(&out);
        if step != Step::More {
            return lane.check(&scratch.0);
        }
    }
}

/// `sed -i … && cargo build && cargo build`: the file changed just before the first sync, which could
/// not know whether it would change again. The second sync sent it once more, the worker dated it
/// anew, and cargo built anew what nobody had touched.
#[test]
fn a_file_that_might_have_changed_is_read_before_it_is_sent_again() {
    let scratch = Scratch::new();
    let path = scratch.file("a", "text");
    let sent = Entry {
        racy: true,
        hash: xxhash_rust::xxh3::xxh3_64(b"text"),
        ..scanned(&scratch).iter().next().unwrap().1.clone()
    };
    let name = scanned(&scratch).iter().next().unwrap().0.clone();
    let held = Manifest::new(vec![(name.clone(), sent.clone())], 0);
    let feed = |held: &Manifest| {
        let now = Arc::new(Manifest::new(
            vec![(
                name.clone(),
                Entry {
                    hash: 0,
                    ..sent.clone()
                },
            )],
            1,
        ));
        let changes = held.changes(&now);
        assert_eq!(changes.puts, std::slice::from_ref(&name));
        let mut feed = Feed::new(&scratch.project(), now, changes, 0, 1);
        (feed.calm(held), feed)
    };
    let (calm, mut fed) = feed(&held);
    assert!(calm, "it is what was sent");
    // The doubt remains, and with it the means to settle it.
    let Ok(Step::Done(done)) = fed.next(&mut vec![]) else {
        panic!("nothing was to be sent")
    };
    assert_eq!(done.fresh, [(name.clone(), sent.clone())]);
    std::fs::write(&path, "next").unwrap();
    assert!(
        !feed(&held).0,
        "it did change, though stat(2) does not show it"
    );
}

/// `make && make` after an edit: the first brought its objects home, and the second's look came so
/// soon after that it thought them racy, though the landing had been sure. The third sent them.
#[test]
fn what_was_beyond_doubt_stays_so() {
    let scratch = Scratch::new();
    scratch.file("a.o", "object");
    let (name, new) = scanned(&scratch).iter().next().unwrap().clone();
    let (new, old) = (
        Entry {
            racy: true,
            ..new.clone()
        },
        Entry { racy: false, ..new },
    );
    let held = Manifest::new(vec![(name.clone(), old.clone())], 0);
    let now = Arc::new(Manifest::new(vec![(name.clone(), new)], 1));
    let changes = held.changes(&now);
    let mut feed = Feed::new(&scratch.project(), now, changes, 0, 1);
    assert!(feed.calm(&held));
    let Ok(Step::Done(done)) = feed.next(&mut vec![]) else {
        panic!("nothing was to be sent")
    };
    assert_eq!(done.fresh, [(name, old)]);
}
