use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use super::*;
use crate::config::Config;
use crate::exclude::Rules;
use crate::roots::Root;
use crate::scan;
use crate::scratch::Scratch;
use crate::wire::worker::Kind;

fn name(path: &str) -> Name {
    Name {
        root: 0,
        path: path.into(),
    }
}

fn produced(path: &str, size: usize, changed: bool) -> Chosen {
    let file = Produced {
        name: name(path),
        size: size as u64,
        mtime: 0,
        mode: 0o644,
        changed,
    };
    Chosen { file, had: None }
}

fn base(scratch: &Scratch) -> Arc<Manifest> {
    let project = scratch.project();
    let rules = Rules::new(&project, &Config::default().transfer).unwrap();
    Arc::new(scan::scan(&project, &rules, 1).unwrap())
}

/// The bytes a worker sends for one file.
fn sent(path: &str, mode: u32, mtime: Stamp, text: &[u8]) -> Vec<u8> {
    let mut out = vec![];
    let size = text.len() as u64;
    FromWorker::File(Put {
        name: name(path),
        mode,
        mtime,
        steady: false,
        kind: Kind::File { size },
    })
    .encode(&mut out);
    for piece in text.chunks(wire::CHUNK) {
        FromWorker::Data(piece.to_vec()).encode(&mut out);
    }
    out
}

fn sent_link(path: &str, target: &str) -> Vec<u8> {
    let mut out = vec![];
    let kind = Kind::Symlink {
        target: target.into(),
    };
    FromWorker::File(Put {
        name: name(path),
        mode: 0o777,
        mtime: 0,
        steady: false,
        kind,
    })
    .encode(&mut out);
    out
}

/// Lands one file with `text` at `path`, as a job of make would (`sources`) or one of cargo.
fn land(
    scratch: &Scratch,
    base: &Arc<Manifest>,
    sources: bool,
    path: &str,
    changed: bool,
    text: &[u8],
) -> Result<Landed> {
    let mut landing = Landing::new(&scratch.project(), base.clone(), 0, sources);
    landing.expect(&[produced(path, text.len(), changed)]);
    landing.take(&sent(path, 0o644, 0, text))?;
    landing.finish()
}

fn read(scratch: &Scratch, path: &str) -> String {
    std::fs::read_to_string(scratch.0.join(path)).unwrap()
}

/// Every name below the scratch directory.
fn listing(scratch: &Scratch) -> Vec<PathBuf> {
    let (mut found, mut dirs) = (vec![], vec![scratch.0.clone()]);
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                dirs.push(entry.path());
            }
            found.push(entry.path().strip_prefix(&scratch.0).unwrap().to_path_buf());
        }
    }
    found.sort();
    found
}

#[test]
fn files_land_with_mode_and_time() {
    let scratch = Scratch::new();
    let (base, offset) = (base(&scratch), 3_600_000_000_000);
    let mut landing = Landing::new(&scratch.project(), base.clone(), offset, false);
    landing.expect(&[
        produced("target/debug/app", 600_000, false),
        produced("empty", 0, true),
    ]);
    let text = vec![7; 600_000];
    // The worker's clock went on while it built; ours must not be overtaken.
    let worker_now = time::now() + offset + 60_000_000_000;
    let mut run = vec![];
    wire::pack(
        &mut run,
        &sent("target/debug/app", 0o6755, worker_now, &text),
        1,
    );
    run.extend(sent(
        "empty",
        0o600,
        worker_now - 1_000_000_000_000_000,
        b"",
    ));
    landing.take(&run).unwrap();
    let landed = landing.finish().unwrap();
    assert_eq!((landed.written.len(), landed.kept.len()), (2, 0));
    let meta = std::fs::metadata(scratch.0.join("target/debug/app")).unwrap();
    assert_eq!(
        (meta.permissions().mode() & 0o7777, meta.len()),
        (0o755, 600_000)
    );
    let app = time::stamp(meta.modified().unwrap());
    assert!(
        app >= base.taken() && app <= time::now(),
        "neither stale nor in the future"
    );
    // Older than the snapshot on the worker: at home it is as old as the snapshot.
    let empty = std::fs::metadata(scratch.0.join("empty")).unwrap();
    assert_eq!(time::stamp(empty.modified().unwrap()), base.taken());
    assert_eq!(landed.written[0].1.size, 600_000);
}

/// A running program keeps its inode, and a hard link to the old file its content.
#[test]
fn an_old_product_is_replaced_not_changed() {
    let scratch = Scratch::new();
    let old = scratch.file("target/debug/app", "old");
    std::fs::create_dir_all(scratch.0.join("keep")).unwrap();
    std::fs::hard_link(&old, scratch.0.join("keep/copy")).unwrap();
    let base = Arc::new(Manifest::default());
    land(&scratch, &base, false, "target/debug/app", false, b"new").unwrap();
    assert_eq!(read(&scratch, "target/debug/app"), "new");
    assert_eq!(read(&scratch, "keep/copy"), "old");
    assert_eq!(
        std::fs::metadata(scratch.0.join("keep/copy"))
            .unwrap()
            .nlink(),
        1
    );
}

#[test]
fn sources_are_not_overwritten_by_cargo() {
    let scratch = Scratch::new();
    for path in ["src/lib.rs", "Cargo.lock", "main.o"] {
        scratch.file(path, "mine");
    }
    let base = base(&scratch);
    for changed in [true, false] {
        let landed = land(&scratch, &base, false, "src/lib.rs", changed, b"theirs").unwrap();
        assert_eq!(
            landed.kept,
            [(name("src/lib.rs"), "it is a source".to_string())]
        );
    }
    assert_eq!(read(&scratch, "src/lib.rs"), "mine");
    assert_eq!(
        land(&scratch, &base, false, "Cargo.lock", true, b"theirs")
            .unwrap()
            .written
            .len(),
        1
    );
    assert_eq!(read(&scratch, "Cargo.lock"), "theirs");
    assert_eq!(
        land(&scratch, &base, true, "main.o", true, b"theirs")
            .unwrap()
            .written
            .len(),
        1
    );
    assert_eq!(read(&scratch, "main.o"), "theirs");
}

/// The agent goes on editing while the job runs.
#[test]
fn what_changed_here_meanwhile_is_kept() {
    let scratch = Scratch::new();
    scratch.file("main.o", "old");
    scratch.file("Cargo.lock", "old");
    let base = base(&scratch);
    scratch.file("main.o", "edited");
    scratch.file("Cargo.lock", "edited");
    scratch.file("made", "here, since");
    for path in ["main.o", "Cargo.lock", "made"] {
        let before = read(&scratch, path);
        let landed = land(&scratch, &base, true, path, true, b"theirs").unwrap();
        assert_eq!((landed.written.len(), landed.kept.len()), (0, 1), "{path}");
        assert_eq!(read(&scratch, path), before);
    }
}

/// It changed between the first byte and the last.
#[test]
fn what_changes_while_it_arrives_is_kept() {
    let scratch = Scratch::new();
    scratch.file("main.o", "old");
    let mut landing = Landing::new(&scratch.project(), base(&scratch), 0, true);
    landing.expect(&[produced("main.o", 6, true)]);
    let bytes = sent("main.o", 0o644, 0, b"theirs");
    let (_, head) = wire::split(&bytes).unwrap().unwrap();
    landing.take(&bytes[..head]).unwrap();
    scratch.file("main.o", "edited");
    landing.take(&bytes[head..]).unwrap();
    assert_eq!(landing.finish().unwrap().kept.len(), 1);
    assert_eq!(read(&scratch, "main.o"), "edited");
    assert_eq!(listing(&scratch), [PathBuf::from("main.o")]);
}

#[test]
fn secrets_and_guarded_names_are_never_written() {
    let scratch = Scratch::new();
    scratch.file(".env", "mine");
    let base = base(&scratch);
    for path in [
        ".env",
        ".git/hooks/post-checkout",
        ".cargo/config.toml",
        "a/.claude/settings.json",
        ".envrc",
    ] {
        let landed = land(&scratch, &base, true, path, true, b"theirs").unwrap();
        assert_eq!((landed.written.len(), landed.kept.len()), (0, 1), "{path}");
    }
    assert_eq!(listing(&scratch), [PathBuf::from(".env")]);
    assert_eq!(read(&scratch, ".env"), "mine");
}

/// Whatever a hostile worker sends is an error, and leaves nothing behind.
#[test]
fn a_lying_worker_is_refused() {
    let outside = Scratch::new();
    let scratch = Scratch::new();
    scratch.link("door", &outside.0);
    let asked = ["a", "door/x", "b/c"].map(|p| produced(p, 3, true));
    let data = |bytes: &[u8]| {
        let mut out = vec![];
        FromWorker::Data(bytes.to_vec()).encode(&mut out);
        out
    };
    let mut climbing = sent("aa/bb", 0o644, 0, b"xyz");
    let at = memchr::memmem::find(&climbing, b"aa/bb").unwrap();
    climbing[at..at + 5].copy_from_slice(b"../bb");
    let mut absolute = climbing.clone();
    absolute[at..at + 5].copy_from_slice(b"/tmpx");
    let mut other_root = sent("a", 0o644, 0, b"xyz");
    other_root[5] = 9;
    let lies: [(&str, Vec<u8>); 14] = [
        ("unasked", sent("z", 0o644, 0, b"xyz")),
        (
            "twice",
            [sent("a", 0o644, 0, b"xyz"), sent("a", 0o644, 0, b"xyz")].concat(),
        ),
        ("longer than announced", sent("a", 0o644, 0, b"xyzz")),
        (
            "more data",
            [sent("a", 0o644, 0, b"xyz"), data(b"!")].concat(),
        ),
        ("data of no file", data(b"xyz")),
        (
            "cut short by the next",
            [
                sent("a", 0o644, 0, b"xyz")[..sent("a", 0o644, 0, b"").len()].to_vec(),
                sent("b/c", 0o644, 0, b"xyz"),
            ]
            .concat(),
        ),
        ("through a link", sent("door/x", 0o644, 0, b"xyz")),
        ("climbing", climbing),
        ("absolute", absolute),
        ("another root", other_root),
        ("a link out", sent_link("a", "../x")),
        ("a link out by a detour", sent_link("b/c", "../b/../../x")),
        ("an absolute link", sent_link("a", "/etc/passwd")),
        ("half a frame", sent("a", 0o644, 0, b"xyz")[..12].to_vec()),
    ];
    for (lie, bytes) in lies {
        let mut landing = Landing::new(&scratch.project(), Arc::new(Manifest::default()), 0, true);
        landing.expect(&asked);
        assert!(landing.take(&bytes).is_err(), "{lie}");
        drop(landing);
        for left in listing(&scratch) {
            let text = left.to_string_lossy().into_owned();
            assert!(
                ["a", "b", "door"].contains(&text.as_str()),
                "{lie} leaves {text}"
            );
        }
        assert!(listing(&outside).is_empty(), "{lie}");
        let _ = std::fs::remove_file(scratch.0.join("a"));
    }
}

/// Of `.cargo` above the project one file had been sent, and a worker could put `config` beside it,
/// which cargo here would have obeyed.
#[test]
fn a_directory_of_single_files_takes_nothing_home() {
    let (scratch, above) = (Scratch::new(), Scratch::new());
    above.file("config.toml", "");
    let mut project = scratch.project();
    project.roots.push(Root {
        path: above.0.clone(),
        only: Some(vec!["config.toml".into()]),
    });
    for (path, sources) in [("config", true), ("config", false), ("config.toml", true)] {
        let mut landing = Landing::new(&project, Arc::new(Manifest::default()), 0, sources);
        let mut asked = produced(path, 1, true);
        asked.file.name.root = 1;
        landing.expect(&[asked]);
        let mut bytes = vec![];
        FromWorker::File(Put {
            name: Name {
                root: 1,
                path: path.into(),
            },
            mode: 0o644,
            mtime: 0,
            steady: false,
            kind: Kind::File { size: 1 },
        })
        .encode(&mut bytes);
        FromWorker::Data(b"x".to_vec()).encode(&mut bytes);
        landing.take(&bytes).unwrap();
        assert_eq!(landing.finish().unwrap().kept.len(), 1, "{path}");
    }
    assert_eq!(std::fs::read(above.0.join("config.toml")).unwrap(), b"");
    assert!(!above.0.join("config").exists());
}

#[test]
fn what_was_not_sent_is_missed() {
    let scratch = Scratch::new();
    let mut landing = Landing::new(&scratch.project(), Arc::new(Manifest::default()), 0, false);
    landing.expect(&[produced("target/debug/app", 3, false)]);
    let mut missing = vec![];
    FromWorker::Fetched {
        missing: vec![name("target/debug/app")],
    }
    .encode(&mut missing);
    assert!(
        landing
            .take(&missing)
            .unwrap_err()
            .text()
            .contains("could not send")
    );
    assert!(
        landing
            .finish()
            .unwrap_err()
            .text()
            .contains("did not send")
    );
}

/// Between the check and the write, a directory becomes a link.
#[test]
fn a_swapped_directory_leads_nowhere() {
    let (scratch, outside) = (Scratch::new(), Scratch::new());
    scratch.dir("d/e");
    let mut landing = Landing::new(&scratch.project(), Arc::new(Manifest::default()), 0, true);
    landing.expect(&[produced("d/e/f", 3, true), produced("d/g", 3, true)]);
    let bytes = sent("d/e/f", 0o644, 0, b"xyz");
    let (_, head) = wire::split(&bytes).unwrap().unwrap();
    landing.take(&bytes[..head]).unwrap();
    std::fs::rename(scratch.0.join("d"), scratch.0.join("old")).unwrap();
    scratch.link("d", &outside.0);
    // It lands in the directory that was opened, wherever that is now, or fails; never elsewhere.
    let _ = landing.take(&bytes[head..]);
    assert!(landing.take(&sent("d/g", 0o644, 0, b"xyz")).is_err());
    assert!(listing(&outside).is_empty());
}

#[test]
fn links_and_directories_within_the_project_land() {
    let scratch = Scratch::new();
    let mut landing = Landing::new(&scratch.project(), Arc::new(Manifest::default()), 0, true);
    landing.expect(&[
        produced("lib/libx.so", 0, true),
        produced("out/deep", 0, true),
    ]);
    landing
        .take(&sent_link("lib/libx.so", "../lib/libx.so.1"))
        .unwrap();
    let mut dir = vec![];
    FromWorker::File(Put {
        name: name("out/deep"),
        mode: 0o755,
        mtime: 0,
        steady: false,
        kind: Kind::Dir,
    })
    .encode(&mut dir);
    landing.take(&dir).unwrap();
    landing.finish().unwrap();
    let target = std::fs::read_link(scratch.0.join("lib/libx.so")).unwrap();
    assert_eq!(target, PathBuf::from("../lib/libx.so.1"));
    assert!(scratch.0.join("out/deep").is_dir());
}

/// A binary for another machine would only fail later, in the agent's hands.
#[test]
fn a_program_of_another_machine_is_an_error() {
    let scratch = Scratch::new();
    let mut text = std::fs::read("/bin/true").unwrap();
    text[18] = 40;
    let base = Arc::new(Manifest::default());
    let error = land(&scratch, &base, false, "target/debug/app", false, &text).unwrap_err();
    assert!(error.text().contains("another kind of machine"), "{error}");
    assert_eq!(listing(&scratch).len(), 2, "nothing but the directories");
    let mut landing = Landing::new(&scratch.project(), base, 0, false).foreign(true);
    landing.expect(&[produced("target/debug/app", text.len(), false)]);
    landing
        .take(&sent("target/debug/app", 0o755, 0, &text))
        .unwrap();
    assert_eq!(landing.finish().unwrap().written.len(), 1);
}

#[test]
fn random_bytes_are_no_panic() {
    let scratch = Scratch::new();
    let mut dice = crate::scratch::Dice::new(3);
    let asked = ["a", "b/c"].map(|p| produced(p, 3, true));
    let good = [sent("a", 0o644, 0, b"xyz"), sent_link("b/c", "x")].concat();
    for _ in 0..5000 {
        let mut bytes = good.clone();
        for _ in 0..1 + dice.roll(4) {
            let at = dice.roll(bytes.len());
            bytes[at] = dice.roll(256) as u8;
        }
        let mut landing = Landing::new(&scratch.project(), Arc::new(Manifest::default()), 0, true);
        landing.expect(&asked);
        let _ = landing.take(&bytes);
        let _ = landing.finish();
    }
    let allowed = |p: &PathBuf| ["a", "b", "b/c"].iter().any(|a| p.as_os_str() == *a);
    assert!(
        listing(&scratch).iter().all(allowed),
        "{:?}",
        listing(&scratch)
    );
}

/// make's objects came home; the next job must not send them to the lane that made them.
#[test]
fn what_a_lane_made_is_not_sent_back() {
    let scratch = Scratch::new();
    scratch.file("main.c", "int main;");
    let project = scratch.project();
    let rules = Rules::new(&project, &Config::default().transfer).unwrap();
    let base = base(&scratch);
    let mut landing = Landing::new(&project, base.clone(), 0, true);
    landing.expect(&["main.o", "x.rlib"].map(|p| produced(p, 3, true)));
    landing.take(&sent("main.o", 0o644, 0, b"obj")).unwrap();
    landing.take(&sent("x.rlib", 0o644, 0, b"lib")).unwrap();
    let sources = landing.finish().unwrap().sources(&rules, &project);
    let held = base.updated(&sources, &[]);
    let changes = held.changes(&scan::scan(&project, &rules, 1).unwrap());
    assert!(!changes.puts.contains(&name("main.o")), "{changes:?}");
    assert_eq!(changes.deletes, []);
    assert!(held.get(&name("x.rlib")).is_none(), "never synced");
}

/// Memory does not depend on a file's size: for people, alone, with
/// `cargo test landing -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn a_gigabyte_passes() {
    use crate::feed::{Feed, Step};
    use crate::wire::worker::ToWorker;
    let (here, there) = (Scratch::new(), Scratch::new());
    let big = std::fs::File::create(here.0.join("big")).unwrap();
    big.set_len(1 << 30).unwrap();
    let now = base(&here);
    let changes = Manifest::default().changes(&now);
    let mut feed = Feed::new(&here.project(), now, changes, 0, 1);
    let mut landing = Landing::new(&there.project(), Arc::default(), 0, true);
    landing.expect(&[produced("big", 1 << 30, true)]);
    let mut step = Step::More;
    while step == Step::More {
        let (mut sent, mut run) = (vec![], vec![]);
        step = feed.next(&mut sent).unwrap();
        let turned = wire::each_frame(&sent, |frame| {
            match ToWorker::decode(frame)? {
                ToWorker::Put(put) => FromWorker::File(put).encode(&mut run),
                ToWorker::Data(data) => FromWorker::Data(data).encode(&mut run),
                other => panic!("{other:?}"),
            }
            crate::bytes::Parsed::Ok(())
        });
        assert_eq!(turned, Ok(sent.len()));
        landing.take(&run).unwrap();
    }
    assert_eq!(landing.finish().unwrap().written.len(), 1);
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find(|l| l.starts_with("VmHWM")).unwrap();
    std::io::Write::write_all(&mut std::io::stderr(), format!("{peak}\n").as_bytes()).unwrap();
}
