use super::*;
use crate::scratch::Dice;

fn name(path: &str) -> Name {
    Name {
        root: 0,
        path: path.into(),
    }
}

fn stat(mode: u32, ctime: Stamp) -> Stat {
    Stat {
        mode,
        size: 3,
        mtime: 5,
        ctime,
        ino: 7,
        dev: 1,
        nlink: 1,
    }
}

const SECOND: Stamp = 1_000_000_000;

fn file(ctime: Stamp) -> Entry {
    Entry::new(Kind::File, &stat(0o644, ctime), 100 * SECOND)
}

fn manifest(entries: &[(&str, Entry)]) -> Manifest {
    let named = entries.iter().map(|(p, e)| (name(p), e.clone()));
    Manifest::new(named.collect(), 100 * SECOND)
}

fn dir() -> Entry {
    Entry::new(Kind::Dir, &stat(0o755, 0), 100 * SECOND)
}

/// A file saved twice within one tick of the kernel's clock looks the same both times.
#[test]
fn what_changed_just_before_the_look_counts_as_different() {
    let (calm, racy) = (file(90 * SECOND), file(100 * SECOND - 1));
    let ahead = file(100 * SECOND + RACY);
    assert!(!calm.racy && racy.racy && ahead.racy);
    // A clock set back by an hour makes nothing racy for an hour.
    assert!(!file(3700 * SECOND).racy);
    let now = manifest(&[("calm", calm.clone()), ("racy", calm.clone())]);
    let before = manifest(&[
        ("calm", calm.clone()),
        ("racy", Entry { racy: true, ..calm }),
    ]);
    assert_eq!(before.changes(&now).puts, [name("racy")]);
    assert_eq!(before.changes(&now).deletes, []);
    assert_eq!(now.changes(&before), Changes::default());
    assert_eq!(now.digest(), before.digest());
}

#[test]
fn every_stat_of_a_file_counts_but_of_a_directory_only_the_mode() {
    let old = file(0);
    let others = [
        Entry {
            mode: 0o755,
            ..old.clone()
        },
        Entry {
            size: 4,
            ..old.clone()
        },
        Entry {
            mtime: 6,
            ..old.clone()
        },
        Entry {
            ctime: 6,
            ..old.clone()
        },
        Entry {
            ino: 6,
            ..old.clone()
        },
    ];
    for other in others {
        let (a, b) = (manifest(&[("f", old.clone())]), manifest(&[("f", other)]));
        assert_eq!(a.changes(&b).puts, [name("f")]);
        assert_ne!(a.digest(), b.digest());
    }
    let moved = Entry {
        mtime: 9,
        ctime: 9,
        ino: 9,
        size: 9,
        ..dir()
    };
    let (a, b) = (manifest(&[("d", dir())]), manifest(&[("d", moved)]));
    assert!(a.changes(&b).is_empty() && a.digest() == b.digest());
    let closed = manifest(&[(
        "d",
        Entry {
            mode: 0o700,
            ..dir()
        },
    )]);
    assert_eq!(a.changes(&closed).puts, [name("d")]);
}

#[test]
fn a_change_of_type_is_a_delete_and_a_put() {
    let tree = manifest(&[("a", dir()), ("a/b", file(0)), ("a.c", file(0))]);
    let flat = manifest(&[("a", file(0)), ("a.c", file(0))]);
    let changes = tree.changes(&flat);
    assert_eq!(changes.deletes, [name("a/b"), name("a")]);
    assert_eq!(changes.puts, [name("a")]);
    let changes = flat.changes(&tree);
    assert_eq!(changes.deletes, [name("a")]);
    assert_eq!(changes.puts, [name("a"), name("a/b")]);
    let link = |target: &str| Entry {
        kind: Kind::Symlink(target.into()),
        ..file(0)
    };
    let (one, two) = (manifest(&[("l", link("x"))]), manifest(&[("l", link("y"))]));
    assert_eq!(
        one.changes(&two),
        Changes {
            puts: vec![name("l")],
            deletes: vec![]
        }
    );
}

#[test]
fn the_order_is_that_of_components() {
    let mut dice = Dice::new(1);
    let pieces = ["a", "b", ".", "/", "-", "\n", "0", "é"];
    let mut names: Vec<Name> = vec![];
    while names.len() < 400 {
        let text: String = (0..1 + dice.roll(6))
            .map(|_| pieces[dice.roll(pieces.len())])
            .collect();
        if crate::paths::is_plain(Path::new(&text)) {
            names.push(name(&text));
        }
    }
    for pair in names.windows(2) {
        assert_eq!(order(&pair[0], &pair[1]), pair[0].cmp(&pair[1]), "{pair:?}");
    }
}

#[test]
fn updates_replace_add_and_take_away() {
    let old = manifest(&[
        ("a", file(0)),
        ("d", dir()),
        ("d/x", file(0)),
        ("d.x", file(0)),
    ]);
    let fresh = [(name("a"), file(1)), (name("b"), file(1))];
    let new = old.updated(&fresh, &[name("d")]);
    assert_eq!(
        new,
        manifest(&[("a", file(1)), ("b", file(1)), ("d.x", file(0))])
    );
    assert_eq!(
        (new.get(&name("b")), new.get(&name("d"))),
        (Some(&file(1)), None)
    );
    assert_eq!(new.total_bytes(), 9);
}

#[test]
fn a_damaged_record_is_malformed_never_a_panic() {
    let link = Entry {
        kind: Kind::Symlink("to".into()),
        ..file(0)
    };
    let good = manifest(&[("a", file(0)), ("b", link), ("c", dir())]).encode();
    assert!(Manifest::decode(&good).is_ok());
    let mut dice = Dice::new(2);
    for _ in 0..5000 {
        let mut bytes = good.clone();
        let at = dice.roll(bytes.len());
        bytes[at] = dice.roll(256) as u8;
        bytes.truncate(dice.roll(2 * bytes.len()).min(bytes.len()));
        if let Ok(read) = Manifest::decode(&bytes) {
            assert!(read.iter().all(|(n, _)| crate::paths::is_plain(&n.path)));
        }
    }
    let twice = [&good[..], b"x"].concat();
    assert_eq!(Manifest::decode(&twice), Err(Malformed));
}
