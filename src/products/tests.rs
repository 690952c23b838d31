use super::*;
use crate::config::Config;
use crate::roots::Root;

fn project(targets: &[&str]) -> Project {
    Project {
        name: "p".into(),
        roots: vec![Root::whole("/p".into())],
        cargo_home: "/h/.cargo".into(),
        needs: Default::default(),
        cargo_config: None,
        cargo: Some(Cargo {
            workspace: "/p".into(),
            target_dir: "/p/target".into(),
            build_dir: None,
            targets: targets.iter().map(ToString::to_string).collect(),
            artifact_dir: None,
            runner: false,
        }),
        sends_packages: false,
    }
}

fn accepted(tool: Tool, kind: Kind) -> Accepted {
    Accepted {
        tool,
        kind,
        confidence: 1.0,
        facts: Default::default(),
    }
}

/// The directories that are listed, beneath the target directory; `…` after deep ones.
fn listed(kind: Kind, command: &str, project: &Project) -> Vec<String> {
    let argv: Vec<OsString> = command.split(' ').map(OsString::from).collect();
    let config = Config::default().transfer;
    let env = |_: &str| None;
    let collect = collect(
        &accepted(Tool::Cargo, kind),
        &argv,
        Path::new("/p"),
        &env,
        project,
        &config,
    );
    let text = |p: &Products| {
        let dir = p.dir.strip_prefix("/p/target").unwrap_or(&p.dir).display();
        format!("{dir}{}", if p.deep { "…" } else { "" })
    };
    let mut dirs: Vec<_> = collect
        .products
        .iter()
        .map(text)
        .filter(|d| !d.is_empty())
        .collect();
    dirs.sort();
    dirs
}

#[test]
fn the_directories_of_each_kind() {
    let here = project(&[]);
    let table: [(Kind, &str, &[&str]); 14] = [
        (Kind::Check, "cargo check --timings", &["cargo-timings…"]),
        (Kind::Build, "cargo build", &["debug", "debug/examples"]),
        (Kind::Build, "cargo b -r", &["release", "release/examples"]),
        (
            Kind::Build,
            "cargo build --profile dev",
            &["debug", "debug/examples"],
        ),
        (
            Kind::Build,
            "cargo build --profile=fast",
            &["fast", "fast/examples"],
        ),
        (
            Kind::Build,
            "cargo rustc --release",
            &["release", "release/examples"],
        ),
        (Kind::Run, "cargo run", &["debug", "debug/examples"]),
        (Kind::Check, "cargo check", &[]),
        (Kind::Check, "cargo clippy", &[]),
        (Kind::Test, "cargo test", &[]),
        (
            Kind::Test,
            "cargo test --no-run",
            &["debug", "debug/deps", "debug/examples"],
        ),
        (Kind::Test, "cargo bench", &["criterion…"]),
        (
            Kind::Test,
            "cargo bench --no-run",
            &["criterion…", "release", "release/deps", "release/examples"],
        ),
        (Kind::Doc, "cargo doc", &["doc…"]),
    ];
    for (kind, command, dirs) in table {
        assert_eq!(listed(kind, command, &here), dirs, "{command}");
    }
    let there = project(&["x86_64-unknown-linux-musl", "conf/mine.json"]);
    assert_eq!(
        listed(Kind::Build, "cargo build", &there),
        [
            "mine",
            "mine/debug",
            "mine/debug/examples",
            "x86_64-unknown-linux-musl",
            "x86_64-unknown-linux-musl/debug",
            "x86_64-unknown-linux-musl/debug/examples"
        ]
    );
}

fn produced(path: &str, changed: bool) -> Produced {
    Produced {
        name: Name {
            root: 0,
            path: path.into(),
        },
        size: 3,
        mtime: 7,
        mode: 0o755,
        changed,
    }
}

fn entry() -> Entry {
    Entry {
        kind: crate::manifest::Kind::File,
        mode: 0o755,
        size: 3,
        mtime: 1,
        ctime: 1,
        ino: 1,
        racy: false,
        hash: 0,
    }
}

/// What is fetched of `files` after `command`; `src/lib.rs` and `Cargo.lock` are sources.
fn fetched(tool: Tool, kind: Kind, command: &str, files: &[Produced]) -> Vec<String> {
    let argv: Vec<OsString> = command.split(' ').map(OsString::from).collect();
    let (project, accepted) = (project(&[]), accepted(tool, kind));
    let env = |_: &str| None;
    let collect = collect(
        &accepted,
        &argv,
        Path::new("/p"),
        &env,
        &project,
        &Config::default().transfer,
    );
    let sources = ["src/lib.rs", "Cargo.lock"].map(|p| (produced(p, true).name, entry()));
    let base = Manifest::new(sources.to_vec(), 0);
    let chosen = choose(
        &accepted,
        &collect,
        &project,
        files,
        &base,
        &Memory::default(),
        |_| None,
    );
    chosen
        .iter()
        .map(|p| p.name.path.display().to_string())
        .collect()
}

#[test]
fn cargo_brings_products_and_new_files_but_no_source() {
    let files = [
        produced("target/debug/app", false),
        produced("target/debug/app.d", false),
        produced("target/debug/.cargo-lock", false),
        produced("target/debug/deps/app-1", false),
        produced("target/CACHEDIR.TAG", false),
        produced("target/.rustc_info.json", false),
        produced("src/lib.rs", true),
        produced("src/lib.rs", false),
        produced("Cargo.lock", true),
        produced("snapshots/new.snap", true),
        produced("target/debug/sneaky", true),
        produced(".git/hooks/post-checkout", true),
        produced(".cargo/config.toml", true),
    ];
    assert_eq!(
        fetched(Tool::Cargo, Kind::Build, "cargo build", &files),
        [
            "Cargo.lock",
            "snapshots/new.snap",
            "target/CACHEDIR.TAG",
            "target/debug/app",
            "target/debug/app.d"
        ]
    );
    assert_eq!(
        fetched(Tool::Cargo, Kind::Test, "cargo test", &files),
        ["Cargo.lock", "snapshots/new.snap"]
    );
}

#[test]
fn executables_of_tests_come_home_for_no_run() {
    let mut library = produced("target/debug/deps/libx.so", false);
    library.mode = 0o755;
    let mut info = produced("target/debug/deps/x", false);
    info.mode = 0o644;
    let files = [produced("target/debug/deps/t-12", false), library, info];
    let fetched = fetched(Tool::Cargo, Kind::Test, "cargo test --no-run", &files);
    assert_eq!(fetched, ["target/debug/deps/t-12"]);
}

/// Reports of an earlier run were sent as sources, and are stale.
#[test]
fn bun_writes_its_reports_anew() {
    let files = [
        produced("src/lib.rs", true),
        produced("out/junit.xml", true),
        produced("coverage/lcov.info", true),
        produced("src/__snapshots__/a.test.ts.snap", true),
        produced("src/a.snap", true),
        produced("node_modules/x/cache", true),
        produced("new.txt", true),
    ];
    let sent: Vec<(Name, Entry)> = files[..5]
        .iter()
        .map(|f| (f.name.clone(), entry()))
        .collect();
    let base = Manifest::new(sent, 0);
    let chosen = |tool| -> Vec<PathBuf> {
        let mut accepted = accepted(tool, Kind::Test);
        accepted.facts.outputs = vec!["./out/junit.xml".into()];
        let collect = Collect {
            changed: true,
            products: vec![],
        };
        let memory = Memory::default();
        let none = |_: &Name| None;
        let chosen = choose(
            &accepted,
            &collect,
            &project(&[]),
            &files,
            &base,
            &memory,
            none,
        );
        chosen.into_iter().map(|f| f.name.path).collect()
    };
    let reports = [
        "coverage/lcov.info",
        "new.txt",
        "out/junit.xml",
        "src/__snapshots__/a.test.ts.snap",
    ];
    assert_eq!(chosen(Tool::Bun), reports.map(PathBuf::from));
    assert_eq!(chosen(Tool::Cargo).len(), 2);
}

#[test]
fn make_brings_all_it_changed() {
    let files = [
        produced("main.o", true),
        produced("src/lib.rs", true),
        produced("x/.git/config", true),
    ];
    assert_eq!(
        fetched(Tool::Make, Kind::Build, "make", &files),
        ["main.o", "src/lib.rs"]
    );
}

#[test]
fn what_is_home_already_is_not_fetched() {
    let (project, accepted) = (project(&[]), accepted(Tool::Make, Kind::Build));
    let collect = Collect {
        changed: true,
        products: vec![],
    };
    let files = [produced("a.o", true)];
    let mut memory = Memory::default();
    let choose = |memory: &Memory, here: Option<Entry>| {
        choose(
            &accepted,
            &collect,
            &project,
            &files,
            &Manifest::default(),
            memory,
            |_| here.clone(),
        )
        .len()
    };
    assert_eq!(choose(&memory, Some(entry())), 1);
    memory.note(&files, &[(files[0].name.clone(), entry())]);
    assert_eq!(choose(&memory, Some(entry())), 0);
    assert_eq!(choose(&memory, None), 1);
    let edited = Entry {
        mtime: 2,
        ..entry()
    };
    assert_eq!(choose(&memory, Some(edited)), 1);
}

#[test]
fn what_stands_tells_what_is_gone_and_what_came_from_elsewhere() {
    let name = |path: &str| Name {
        root: 0,
        path: path.into(),
    };
    let source = |path: &str, kind: crate::manifest::Kind| (name(path), Entry::unlike_any(kind));
    use crate::manifest::Kind::{Dir, File};
    let sources = Manifest::new(
        vec![
            source("a", Dir),
            source("a/1", File),
            source("a/2", File),
            source("b", Dir),
            source("b/3", File),
            source("c", File),
        ],
        0,
    );
    let present = |dir: &str, names: &[(&str, bool)]| Present {
        root: 0,
        dir: dir.into(),
        names: names.iter().map(|(n, d)| (n.into(), *d)).collect(),
    };
    // `b` is gone, `c` a directory; of `a` nothing was said.
    let all = [present("", &[("a", true)]), present("", &[("c", true)])];
    assert_eq!(gone(&all, &sources), [name("b"), name("c")]);
    let all = [present("a", &[("2", false), ("new", false)])];
    assert_eq!(gone(&all, &sources), [name("a/1")]);
    assert!(gone(&[], &sources).is_empty());
    // A new directory with a new file is one; `b` under another name is not.
    let made = [produced("d/new", true)];
    let new = [present("", &[("d", true)]), present("d", &[("new", false)])];
    assert!(!is_unlisted(&new, &made, &sources));
    let moved = [present("", &[("d", true)]), present("d", &[("3", false)])];
    assert!(is_unlisted(&moved, &made, &sources));
    let deep = [present("d", &[("below", true)])];
    assert!(is_unlisted(&deep, &made, &sources));
    assert!(!is_unlisted(&all, &[], &sources));
}
