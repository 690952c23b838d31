//! What lanes keep, forget and take up again, seen from home. The worker is the embedded one, so that
//! a test can look into its lanes, and spoil them.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use common::home::Home;
use common::{sample_crate, wait_for, write};
use rch::sys::process::Pid;
use rch::sys::signal::SIGKILL;
use rch::wire::status::Job;

/// What `rch exec` printed on stderr, of a command that must succeed remotely.
fn remote(home: &Home, argv: &[&str]) -> String {
    let output = home.exec(argv);
    assert!(output.status.success(), "{}", home.story(argv, &output));
    String::from_utf8(output.stderr).unwrap() + &String::from_utf8_lossy(&output.stdout)
}

fn last(home: &Home) -> Job {
    let jobs = home.status().jobs.into_iter();
    jobs.max_by_key(|job| job.id).expect("a job")
}

fn lane(home: &Home) -> PathBuf {
    let lanes = home.path().join(".cache/rch/lanes");
    let mut projects: Vec<PathBuf> = fs::read_dir(lanes)
        .unwrap()
        .flatten()
        .map(|e| e.path().join("0"))
        .filter(|lane| lane.join("root0").is_dir())
        .collect();
    projects.pop().expect("a lane")
}

/// The lane of the project of that name.
fn lane_of(home: &Home, name: &str) -> Option<PathBuf> {
    let lanes = fs::read_dir(home.path().join(".cache/rch/lanes")).unwrap();
    let mut found = lanes
        .flatten()
        .filter(|e| e.file_name().to_string_lossy().starts_with(name));
    found.next().map(|e| e.path().join("0"))
}

/// Waits until the worker has given the lane back, which it does behind the job's end; answers what
/// it has written of it.
fn settled(lane: &Path) -> String {
    wait_for("the lane to be given back", || {
        let state = fs::read_to_string(lane.join("state")).unwrap_or_default();
        state.contains("clean true").then_some(state)
    })
}

/// As a worker leaves it that was killed while it wrote.
fn soil(lane: &Path) {
    let dirty = settled(lane).replace("clean true", "clean false");
    fs::write(lane.join("state"), dirty).unwrap();
}

/// A crate with a dependency of its own, which takes the time.
fn two_crates(dir: &Path) {
    sample_crate(dir);
    write(
        &dir.join("Cargo.toml"),
        "[package]\nname = \"sample\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\n[dependencies]\ndep = { path = \"dep\" }\n\n[workspace]\n",
    );
    write(
        &dir.join("dep/Cargo.toml"),
        "[package]\nname = \"dep\"\nversion = \"0.1.0\"\nedition = \"2021\"\n",
    );
    write(&dir.join("dep/src/lib.rs"), "pub fn f() {}\n");
}

/// A lane whose state nobody believed was emptied, and everything was built anew.
#[test]
fn a_lane_in_doubt_is_put_right_and_keeps_what_was_built() {
    let home = Home::new("doubt");
    two_crates(&home.project);
    // The dependency is younger than what will have to be sent again.
    let dep = fs::File::open(home.project.join("dep/src/lib.rs")).unwrap();
    dep.set_modified(std::time::SystemTime::now()).unwrap();
    assert!(remote(&home, &["cargo", "build"]).contains("Compiling dep"));
    soil(&lane(&home));
    // Of what the lane holds, one file is another one and one is not ours.
    let root = lane(&home).join("root0");
    write(&root.join("src/main.rs"), "fn main() { half");
    write(&root.join("src/bin/left.rs"), "fn main() { nonsense");
    let again = remote(&home, &["cargo", "build"]);
    assert!(!again.contains("Compiling dep"), "{again}");
    assert!(!root.join("src/bin").exists());
    let said = home.command("target/debug/sample").output().unwrap();
    assert!(said.status.success());
    // A daemon that has forgotten what its lanes hold finds the same.
    home.stop();
    fs::remove_dir_all(home.path().join(".cache/rch/manifests")).unwrap();
    let again = remote(&home, &["cargo", "build"]);
    assert!(!again.contains("Compiling"), "{again}");
}

/// An object that a killed make left half-written, or that is older than its source at home, must not
/// be taken for one that is up to date.
#[test]
fn a_lane_in_doubt_keeps_the_order_of_times() {
    let home = Home::new("order");
    write(
        &home.project.join("Makefile"),
        "prog: x.o\n\tcc -o prog x.o\nx.o: x.c\n\tcc -c x.c\n",
    );
    write(&home.project.join("x.c"), "int main(void) { return 1; }\n");
    remote(&home, &["make"]);
    write(&home.project.join("x.c"), "int main(void) { return 2; }\n");
    remote(&home, &["make"]);
    // The object that came home first comes back, older than its source, as from a backup.
    let object = fs::File::open(home.project.join("x.o")).unwrap();
    object.set_modified(std::time::UNIX_EPOCH).unwrap();
    soil(&lane(&home));
    fs::write(lane(&home).join("root0/x.o"), "half").unwrap();
    let said = remote(&home, &["make"]);
    assert!(said.contains("cc -c x.c"), "{said}");
    let prog = home.command("./prog").status().unwrap();
    assert_eq!(prog.code(), Some(2));
}

/// Makes the crate depend on a new one that stands beside it, and so on another set of directories.
fn depend_on(home: &Home, name: &str) {
    let manifest = home.project.join("Cargo.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    let line = format!("[dependencies]\n{name} = {{ path = \"../{name}\" }}");
    write(&manifest, &text.replace("[dependencies]", &line));
    let beside = home.project.with_file_name(name);
    write(
        &beside.join("Cargo.toml"),
        &format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2021\"\n"),
    );
    write(&beside.join("src/lib.rs"), "pub fn g() {}\n");
}

/// With another directory to be synced a project has another lane, and everything was built anew in it.
#[test]
fn a_new_lane_starts_from_an_idle_one_of_the_project() {
    let home = Home::new("kin");
    two_crates(&home.project);
    remote(&home, &["cargo", "build"]);
    settled(&lane(&home));
    depend_on(&home, "first");
    let said = remote(&home, &["cargo", "build"]);
    assert!(said.contains("Compiling first"), "{said}");
    assert!(!said.contains("Compiling dep"), "{said}");
    // What is in a root beside the project's own is as old in the copy.
    depend_on(&home, "second");
    let said = remote(&home, &["cargo", "build"]);
    assert!(!said.contains("Compiling first"), "{said}");
    assert!(!said.contains("Compiling dep"), "{said}");
    let lanes = fs::read_dir(home.path().join(".cache/rch/lanes")).unwrap();
    let lanes = lanes.flatten().map(|e| e.path().join("0"));
    let lanes: Vec<PathBuf> = lanes.filter(|lane| lane.join("root0").is_dir()).collect();
    assert_eq!(lanes.len(), 3, "{lanes:?}");
    assert!(lanes.iter().all(|lane| !lane.join("copy").exists()));
    // `cargo clean` is one for all of them.
    fs::remove_dir_all(home.project.join("target")).unwrap();
    depend_on(&home, "third");
    let said = remote(&home, &["cargo", "build"]);
    assert!(said.contains("Compiling first"), "{said}");
    assert!(said.contains("Compiling dep"), "{said}");
    // Also for the one that was left: its roots are those of the first command again.
    let manifest = home.project.join("Cargo.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    write(
        &manifest,
        &text.replace("third = { path = \"../third\" }\n", ""),
    );
    let said = remote(&home, &["cargo", "build"]);
    assert!(said.contains("Compiling first"), "{said}");
    let program = home.command("target/debug/sample").status().unwrap();
    assert!(program.success());
}

/// `chmod` changes nothing that cargo looks at, here or there.
#[test]
fn a_change_of_mode_builds_nothing() {
    let home = Home::new("mode");
    two_crates(&home.project);
    remote(&home, &["cargo", "build"]);
    let lib = home.project.join("src/lib.rs");
    fs::set_permissions(&lib, fs::Permissions::from_mode(0o755)).unwrap();
    let again = remote(&home, &["cargo", "build"]);
    assert!(!again.contains("Compiling"), "{again}");
    let there = lane(&home).join("root0/src/lib.rs");
    assert_eq!(
        fs::metadata(there).unwrap().permissions().mode() & 0o777,
        0o755
    );
}

/// The next daemon fetched all products again, and after a clean it brought home what was cleaned.
#[test]
fn what_came_home_is_remembered_by_the_next_daemon() {
    let home = Home::new("remembered");
    two_crates(&home.project);
    remote(&home, &["cargo", "build"]);
    home.stop();
    remote(&home, &["cargo", "build"]);
    let job = last(&home);
    // cargo writes its `.d` files anew each time.
    assert!(job.returned_bytes < 1000, "{job:?}");
    home.stop();
    fs::remove_dir_all(home.project.join("target")).unwrap();
    let clean = remote(&home, &["cargo", "build"]);
    assert!(clean.contains("Compiling dep"), "{clean}");
}

#[test]
fn an_ephemeral_lane_holds_no_source_between_jobs() {
    let home = Home::new("ephemeral");
    two_crates(&home.project);
    write(
        &home.path().join(".config/rch/config.toml"),
        "[worker]\nretention = \"ephemeral\"\n",
    );
    for _ in 0..2 {
        remote(&home, &["cargo", "build"]);
        // The lane is given back behind the job's end.
        wait_for("the lane's emptying", || {
            (!lane(&home).join("root0/src").exists()).then_some(())
        });
        assert!(lane(&home).join("root0/target/debug/sample").exists());
        let said = home.command("target/debug/sample").output().unwrap();
        assert!(said.status.success());
    }
}

/// A large program of which a few bytes changed comes home as a few bytes.
#[test]
fn a_large_product_comes_home_as_a_patch() {
    let home = Home::new("patch");
    let noise: Vec<u8> = (0..1_500_000u32)
        .flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    fs::write(home.project.join("noise"), noise).unwrap();
    write(
        &home.project.join("Makefile"),
        "large: head noise\n\tcat head noise > new && mv new large\n",
    );
    write(&home.project.join("head"), "1");
    remote(&home, &["make"]);
    let first = last(&home).returned_bytes;
    write(&home.project.join("head"), "another head");
    remote(&home, &["make"]);
    let second = last(&home).returned_bytes;
    assert!(second < first / 50, "{second} after {first}");
    let large = fs::read(home.project.join("large")).unwrap();
    assert!(large == fs::read(lane(&home).join("root0/large")).unwrap());
    assert!(large.starts_with(b"another head"));
    // Somebody's own file in its place is no version that the worker knows.
    write(&home.project.join("large"), "mine");
    write(&home.project.join("head"), "a third head");
    remote(&home, &["make"]);
    let large = fs::read(home.project.join("large")).unwrap();
    assert!(large == fs::read(lane(&home).join("root0/large")).unwrap());
}

/// A lane that nobody used for two hours goes when its age or the want of space says so, and not
/// before. With it goes what is remembered of it here, for which the worker would be preferred.
#[test]
fn lanes_are_kept_as_long_as_the_user_says() {
    let home = Home::new("kept");
    let config = home.path().join(".config/rch/config.toml");
    let other = home.project.with_file_name("other");
    write(&other.join("Makefile"), "all:\n\t@:\n");
    for (settings, goes) in [
        ("max_age_hours = 3\nmin_free_gb = 0\n", false),
        ("max_age_hours = 1\nmin_free_gb = 0\n", true),
        ("max_age_hours = 72\nmin_free_gb = 1000000\n", true),
    ] {
        home.stop();
        write(&config, &format!("[worker]\n{settings}"));
        write(&home.project.join("Makefile"), "all:\n\t@:\n");
        remote(&home, &["make"]);
        settled(&lane_of(&home, "proj-").unwrap());
        home.stop();
        let lanes = home.path().join(".cache/rch/lanes");
        let lane = lane_of(&home, "proj-").unwrap();
        let state = fs::File::open(lane.join("state")).unwrap();
        let ago = std::time::SystemTime::now() - std::time::Duration::from_secs(2 * 3600);
        state.set_modified(ago).unwrap();
        let swept = lanes.join(".swept");
        let _ = fs::remove_file(&swept);
        let mut make = home.rch(&["exec", "--", "make"]);
        let made = make.current_dir(&other).env("RCH_REQUIRE_REMOTE", "1");
        assert!(made.status().unwrap().success());
        wait_for("the end of the sweep", || swept.exists().then_some(()));
        assert_eq!(lane_of(&home, "proj-").is_none(), goes, "{settings}");
        let records = || fs::read_dir(home.path().join(".cache/rch/manifests")).unwrap();
        let count = || records().flatten().filter(|e| e.path().is_file()).count();
        wait_for("the records of what is there alone", || {
            (count() == if goes { 1 } else { 2 }).then_some(())
        });
    }
}

/// A file that was edited just before a job was read again by every later one, and so was the record of
/// the whole lane.
#[test]
fn what_was_doubtful_is_looked_at_once_more_and_then_known() {
    let home = Home::new("settles");
    write(&home.project.join("Makefile"), "all:\n\t@cat head\n");
    write(&home.project.join("head"), "first");
    assert_eq!(remote(&home, &["make"]), "first");
    write(&home.project.join("head"), "edited");
    assert_eq!(remote(&home, &["make"]), "edited");
    let records = home.path().join(".cache/rch/manifests");
    wait_for("a record without a doubt", || {
        assert_eq!(remote(&home, &["make"]), "edited");
        let mut all = fs::read_dir(&records).unwrap().flatten();
        let record = all.find(|e| e.path().is_file()).unwrap();
        // Behind two digests of sixteen bytes.
        let settled = fs::read(record.path()).unwrap()[32];
        (settled == 1).then_some(())
    });
}

/// All that lay beside a product outside the project was sent along, however private.
#[test]
fn what_lies_beside_a_product_stays_here() {
    let home = Home::new("beside");
    write(
        &home.project.join("main.c"),
        "int main(void) { return 0; }\n",
    );
    let elsewhere = home.project.with_file_name("elsewhere");
    write(&elsewhere.join("private"), "mine");
    let product = elsewhere.join("main.o");
    for _ in 0..2 {
        remote(
            &home,
            &["gcc", "-c", "main.c", "-o", product.to_str().unwrap()],
        );
        assert_eq!(&fs::read(&product).unwrap()[..4], b"\x7fELF");
        let sent = lane(&home).join("root1");
        let there: Vec<_> = fs::read_dir(sent).unwrap().flatten().collect();
        assert!(there.iter().all(|e| e.file_name() == "main.o"), "{there:?}");
        fs::remove_file(&product).unwrap();
        write(
            &home.project.join("main.c"),
            "int main(void) { return 1; }\n",
        );
    }
    assert_eq!(fs::read(elsewhere.join("private")).unwrap(), b"mine");
}

/// What a test writes over a source stays there: the record says so, as nothing here shows it.
#[test]
fn a_source_that_a_test_writes_stays_and_is_told() {
    let home = Home::new("golden");
    sample_crate(&home.project);
    write(&home.project.join("tests/golden.txt"), "old");
    write(
        &home.project.join("tests/golden.rs"),
        "#[test]\nfn update() { std::fs::write(\"tests/golden.txt\", \"new\").unwrap(); }\n",
    );
    for _ in 0..2 {
        remote(&home, &["cargo", "test", "--test", "golden"]);
        let kept = fs::read_to_string(home.project.join("tests/golden.txt")).unwrap();
        assert_eq!(kept, "old");
        let job = last(&home).id.to_string();
        let logs = home.rch(&["logs", &job]).output().unwrap();
        let logs = String::from_utf8(logs.stderr).unwrap();
        let line = "rch: 'tests/golden.txt' was written by the job, and is a source: it stays as it is here\n";
        assert!(logs.contains(line), "{logs}");
    }
    // The next daemon's numbers are others, or its records would take the place of these.
    let before = last(&home).id;
    home.stop();
    remote(&home, &["cargo", "test", "--test", "golden"]);
    assert!(last(&home).id > before);
}

/// A test that removed a fixture found it missing the next time, as nothing here had changed.
#[test]
fn a_source_that_a_test_removes_is_there_again() {
    let home = Home::new("removed");
    sample_crate(&home.project);
    write(&home.project.join("tests/data/one/a.txt"), "a");
    write(&home.project.join("tests/data/b.txt"), "b");
    write(&home.project.join("tests/data/c.txt"), "c");
    write(
        &home.project.join("tests/take.rs"),
        "use std::fs;\n#[test]\nfn take() {\n    fs::remove_dir_all(\"tests/data/one\").unwrap();\n    fs::remove_file(\"tests/data/b.txt\").unwrap();\n    fs::remove_file(\"tests/data/c.txt\").unwrap();\n    fs::create_dir(\"tests/data/c.txt\").unwrap();\n}\n",
    );
    for _ in 0..2 {
        remote(&home, &["cargo", "test", "--test", "take"]);
        for (name, text) in [("one/a.txt", "a"), ("b.txt", "b"), ("c.txt", "c")] {
            let kept = fs::read_to_string(home.project.join("tests/data").join(name));
            assert_eq!(kept.unwrap(), text);
        }
        let job = last(&home).id.to_string();
        let logs = home.rch(&["logs", &job]).output().unwrap();
        let logs = String::from_utf8(logs.stderr).unwrap();
        for name in ["one", "b.txt", "c.txt"] {
            let line = format!(
                "rch: 'tests/data/{name}' was removed by the job, and is a source: it stays as it is here\n"
            );
            assert!(logs.contains(&line), "{logs}");
        }
    }
}

/// An interrupted make removes what it was making. What stands here of it was sent again, younger than its
/// source there, and the next make took it for new.
#[test]
fn a_product_that_make_removes_is_made_anew() {
    let home = Home::new("interrupted");
    write(
        &home.project.join("Makefile"),
        "prog: x.o\n\tcc -o prog x.o\nx.o: x.c\n\tcc -c x.c\nhalf: x.c\n\trm x.o; false\n",
    );
    write(&home.project.join("x.c"), "int main(void) { return 1; }\n");
    remote(&home, &["make"]);
    write(&home.project.join("x.c"), "int main(void) { return 2; }\n");
    assert_eq!(home.exec(&["make", "half"]).status.code(), Some(2));
    let said = remote(&home, &["make"]);
    assert!(said.contains("cc -c x.c"), "{said}");
    let prog = home.command("./prog").status().unwrap();
    assert_eq!(prog.code(), Some(2));
}

/// What stood in the lane, and nowhere else, steered every later job.
#[test]
fn a_file_that_no_worker_may_bring_home_does_not_stay_there() {
    let home = Home::new("stray");
    sample_crate(&home.project);
    write(
        &home.project.join("tests/stray.rs"),
        "use std::fs;\n#[test]\nfn stray() {\n    assert!(!std::path::Path::new(\".cargo/config.toml\").exists());\n    fs::create_dir_all(\".cargo\").unwrap();\n    fs::write(\".cargo/config.toml\", \"[env]\\nA = \\\"b\\\"\\n\").unwrap();\n}\n",
    );
    for _ in 0..2 {
        remote(&home, &["cargo", "test", "--test", "stray"]);
        assert!(!home.project.join(".cargo").exists());
        let job = last(&home).id.to_string();
        let logs = home.rch(&["logs", &job]).output().unwrap();
        let logs = String::from_utf8(logs.stderr).unwrap();
        let line =
            "rch: '.cargo/config.toml' was made by the job, and may not come from a worker\n";
        assert!(logs.contains(line), "{logs}");
    }
}

/// Tests that are told to write their expectations anew did so where nobody saw it.
#[test]
fn tests_that_are_to_change_sources_run_here() {
    let home = Home::new("bless");
    sample_crate(&home.project);
    write(&home.project.join("tests/golden.txt"), "old");
    write(
        &home.project.join("tests/golden.rs"),
        "#[test]\nfn update() { std::fs::write(\"tests/golden.txt\", \"new\").unwrap(); }\n",
    );
    let argv = ["exec", "--", "cargo", "test", "--test", "golden"];
    let mut test = home.rch(&argv);
    let output = test.env("UPDATE_EXPECT", "1").output().unwrap();
    assert!(output.status.success(), "{}", home.story(&argv, &output));
    let golden = fs::read_to_string(home.project.join("tests/golden.txt"));
    assert_eq!(golden.unwrap(), "new");
}

/// As with the hook: what is fed to a build is data, and a worker's build had none.
#[test]
fn a_build_that_is_fed_runs_here() {
    use std::io::Write;
    let home = Home::new("fed");
    write(&home.project.join("Makefile"), "all:\n\t@cat\n");
    write(&home.project.join("data"), "from a file\n");
    let file = fs::File::open(home.project.join("data")).unwrap();
    let mut make = home.rch(&["exec", "--", "make"]);
    assert_eq!(make.stdin(file).output().unwrap().stdout, b"from a file\n");
    let (read_end, mut write_end) = std::io::pipe().unwrap();
    write_end.write_all(b"from a pipe\n").unwrap();
    drop(write_end);
    let mut make = home.rch(&["exec", "--", "make"]);
    assert_eq!(
        make.stdin(read_end).output().unwrap().stdout,
        b"from a pipe\n"
    );
    // One that is open and says nothing is what agents have.
    let (read_end, _write_end) = std::io::pipe().unwrap();
    write(&home.project.join("Makefile"), "all:\n\t@echo there\n");
    let mut make = home.rch(&["exec", "--", "make"]);
    let make = make.env("RCH_REQUIRE_REMOTE", "1").stdin(read_end);
    assert_eq!(make.output().unwrap().stdout, b"there\n");
    assert_eq!(home.status().jobs.len(), 1);
}

/// A `make` whose large program is on its way home.
fn on_the_way_home(home: &Home) -> std::process::Child {
    write(
        &home.project.join("Makefile"),
        "app: in\n\t@head -c 400000000 /dev/urandom > app\n",
    );
    write(&home.project.join("in"), "1");
    let started = home.rch(&["daemon", "start"]).status().unwrap();
    assert!(started.success());
    let mut client = home.rch(&["exec", "--", "make"]);
    let client = client.env("RCH_REQUIRE_REMOTE", "1").spawn().unwrap();
    wait_for("the way home", || {
        let jobs = home.status().jobs;
        jobs.iter().any(|j| j.returned_bytes > 0).then_some(())
    });
    client
}

/// The agent was stopped while the program came home. The next `make` had nothing to do in that lane, and
/// the program never came.
#[test]
fn what_was_not_brought_home_is_made_or_brought_by_the_next_job() {
    let home = Home::new("stopped");
    let mut client = on_the_way_home(&home);
    client.kill().unwrap();
    client.wait().unwrap();
    wait_for("the job's end", || {
        let jobs = home.status().jobs;
        jobs.iter().all(|j| j.state != "returning").then_some(())
    });
    assert!(!home.project.join("app").exists(), "it was too fast for us");
    remote(&home, &["make"]);
    assert!(home.project.join("app").exists());
}

/// As above, but the daemon was killed: the next one believed its record, and so did the worker.
#[test]
fn a_lane_whose_daemon_was_killed_before_its_record_is_in_doubt() {
    let home = Home::new("killed");
    let mut client = on_the_way_home(&home);
    let daemon = Pid(home.daemon_pid());
    rch::sys::process::kill(daemon, SIGKILL).unwrap();
    let ended = client.wait().unwrap();
    assert!(!ended.success(), "it was too fast for us");
    // Its connections are closed one after the other, the listening socket perhaps last.
    wait_for("the socket's end", || {
        std::os::unix::net::UnixStream::connect(home.socket()).err()
    });
    // What it was writing had no name yet.
    let left = fs::read_dir(&home.project).unwrap().flatten();
    let mut left: Vec<_> = left.map(|e| e.file_name()).collect();
    left.sort();
    assert_eq!(left, ["Makefile", "in"]);
    remote(&home, &["make"]);
    assert!(home.project.join("app").exists());
}

/// Two workers of one home share its lanes, and so does a daemon that was killed with its next one: what
/// was touched meanwhile has the content that the lane holds, and make took its products for made.
#[test]
fn a_touch_is_not_lost_where_nobody_knows_what_a_lane_holds() {
    let home = Home::new("touched");
    write(
        &home.path().join(".config/rch/workers.toml"),
        "[[workers]]\nid = \"a\"\ntransport = \"local\"\n[[workers]]\nid = \"b\"\ntransport = \"local\"\n",
    );
    write(
        &home.project.join("Makefile"),
        "out: in\n\t@cp in out; echo made\n",
    );
    write(&home.project.join("in"), "1");
    let source = fs::File::options()
        .append(true)
        .open(home.project.join("in"));
    let source = source.unwrap();
    let make = |worker: &str| {
        let mut make = home.rch(&["exec", "--", "make"]);
        make.env("RCH_REQUIRE_REMOTE", "1")
            .env("RCH_WORKER", worker);
        String::from_utf8(make.output().unwrap().stdout).unwrap()
    };
    assert_eq!(make("a"), "made\n");
    // Each is dated behind what was made, in a past that both clocks agree on.
    for worker in ["b", "a", "b"] {
        source.set_modified(std::time::SystemTime::now()).unwrap();
        assert_eq!(make(worker), "made\n", "{worker}");
        assert_eq!(make(worker), "make: 'out' is up to date.\n", "{worker}");
    }
    assert_eq!(make("a"), "make: 'out' is up to date.\n");
}
