//! The main job over real parts: hook text to artifact, through a real sshd, against a local run.

mod common;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use common::compare::{compare, compare_with};
use common::home::{Home, exists, shared_key};
use common::sshd::{Oddities, Sshd};
use common::{sample_crate, wait_for, write};

/// What `cargo build` leaves that a person uses: not cargo's own bookkeeping.
fn products(path: &Path) -> bool {
    let text = path.to_string_lossy();
    !text.starts_with("target/") || text == "target/debug/sample"
}

fn start(name: &str) -> (Sshd, Home) {
    let worker = Sshd::start("css", &shared_key());
    let home = Home::with(name, &[&worker], 4);
    (worker, home)
}

/// `cargo build` on another machine: same output, status, Cargo.lock and binary, byte for byte, and
/// the binary knows the paths of a local build.
#[test]
fn a_build_is_a_local_build() {
    let (_worker, home) = start("build");
    compare(&home, &sample_crate, &["cargo", "build"], &products);
    let said = home.command("target/debug/sample").output().unwrap();
    let here = home.project.display().to_string();
    assert_eq!(
        String::from_utf8_lossy(&said.stdout),
        format!("{here} src/lib.rs {here}\n")
    );
    let panic = home
        .command("target/debug/sample")
        .arg("x")
        .output()
        .unwrap();
    assert!(
        String::from_utf8_lossy(&panic.stderr).contains("src/main.rs:4:9"),
        "{panic:?}"
    );
    assert_eq!(home.status().totals.remote, 1);
}

#[test]
fn failing_tests_and_compile_errors_come_back_as_they_are() {
    let (worker, home) = start("failing");
    let failed = compare_with(
        &home,
        &sample_crate,
        &["cargo", "test"],
        &products,
        &[("FAIL", "1")],
    );
    assert_eq!(failed.code, Some(101));
    assert!(failed.stdout.contains("asked to"), "{}", failed.stdout);
    let broken = |dir: &Path| {
        sample_crate(dir);
        write(
            &dir.join("src/main.rs"),
            "fn main() { let x: u8 = \"no\"; }\n",
        );
    };
    let failed = compare(&home, &broken, &["cargo", "build"], &products);
    assert_eq!(failed.code, Some(101));
    assert!(failed.stderr.contains("mismatched types"));
    let status = home.status();
    assert_eq!(
        (status.totals.remote, status.workers[0].failures),
        (2, 0),
        "the worker is not to blame"
    );
    nothing_left(&worker);
}

fn c_project(dir: &Path) {
    write(
        &dir.join("Makefile"),
        "prog: a.o b.o\n\tcc -o $@ $^\n%.o: %.c h.h\n\tcc -g -c -o $@ $<\n",
    );
    write(&dir.join("h.h"), "int twice(int);\n");
    write(
        &dir.join("a.c"),
        "#include <stdio.h>\n#include \"h.h\"\nint main(void) { printf(\"%d %s\\n\", twice(21), __FILE__); return 0; }\n",
    );
    write(
        &dir.join("b.c"),
        "#include \"h.h\"\nint twice(int n) { return 2 * n; }\n",
    );
}

#[test]
fn make_and_gcc_bring_home_every_file_they_made() {
    let (_worker, home) = start("make");
    let all = |_: &Path| true;
    compare(&home, &c_project, &["make"], &all);
    assert_eq!(home.command("./prog").output().unwrap().stdout, b"42 a.c\n");
    compare(
        &home,
        &c_project,
        &["gcc", "-g", "-c", "a.c", "-o", "out.o"],
        &all,
    );
    // Nothing left to do, here as there.
    home.command("make").output().unwrap();
    let again = home.exec(&["make"]);
    assert_eq!(
        String::from_utf8_lossy(&again.stdout),
        "make: 'prog' is up to date.\n"
    );
    write(
        &home.project.join("b.c"),
        "#include \"h.h\"\nint twice(int n) { return n + n + 1; }\n",
    );
    let edited = home.exec(&["make"]);
    assert_eq!(
        String::from_utf8_lossy(&edited.stdout),
        "cc -g -c -o b.o b.c\ncc -o prog a.o b.o\n"
    );
    assert_eq!(home.command("./prog").output().unwrap().stdout, b"43 a.c\n");
}

/// The second job is a difference: one changed file, one new, one gone.
#[test]
fn an_edit_a_new_file_and_a_deletion_arrive() {
    let (_worker, home) = start("edit");
    sample_crate(&home.project);
    write(&home.project.join("src/extra.rs"), "pub const N: u8 = 1;\n");
    assert!(home.exec(&["cargo", "build"]).status.success());
    std::fs::remove_file(home.project.join("src/extra.rs")).unwrap();
    write(&home.project.join("src/more.rs"), "pub const M: u8 = 2;\n");
    write(
        &home.project.join("src/main.rs"),
        "mod more;\nfn main() { println!(\"{}\", more::M); }\n",
    );
    let output = home.exec(&["cargo", "build"]);
    assert!(
        output.status.success(),
        "{}",
        home.story(&["cargo", "build"], &output)
    );
    assert_eq!(
        home.command("target/debug/sample").output().unwrap().stdout,
        b"2\n"
    );
    let job = &home.status().jobs[0];
    assert!(job.sent_files <= 4, "{job:?}");
    write(
        &home.project.join("src/main.rs"),
        "mod extra;\nfn main() { println!(\"{}\", extra::N); }\n",
    );
    let output = home.exec(&["cargo", "build"]);
    assert!(
        !output.status.success(),
        "the deleted module was still there"
    );
}

/// `2>&1 | tail` must show lines in the order in which they were written.
#[test]
fn one_pipe_keeps_the_order_of_both_streams() {
    let (_worker, home) = start("order");
    write(
        &home.project.join("Makefile"),
        "all:\n\t@for i in 1 2 3 4 5 6 7 8; do echo out $$i; echo err $$i >&2; done\n",
    );
    let rch = env!("CARGO_BIN_EXE_rch");
    let output = home
        .command("sh")
        .args(["-c", &format!("{rch} exec -- make 2>&1 | cat")])
        .output()
        .unwrap();
    let expected: String = (1..=8).map(|i| format!("out {i}\nerr {i}\n")).collect();
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
}

/// `make | head -1`: the command writes into a pipe that nobody reads, and ends of it.
#[test]
fn a_reader_that_closes_the_pipe_ends_the_remote_command() {
    let (worker, home) = start("closed-pipe");
    write(&home.project.join("Makefile"), "all:\n\t@yes there\n");
    let rch = env!("CARGO_BIN_EXE_rch");
    let script = format!("RCH_REQUIRE_REMOTE=1 {rch} exec -- make | head -1");
    let output = home.command("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(
        output.stdout,
        b"there\n",
        "{}",
        home.story(&["make"], &output)
    );
    nothing_left(&worker);
}

/// A project whose job waits on a worker and ends at once at home.
fn waits_there(dir: &Path) {
    write(
        &dir.join("Makefile"),
        "all:\n\t@echo begun\n\t@if [ -d /home/builder ]; then (setsid sleep 1000 &) ; sleep 1000; fi\n\t@echo done > out\n",
    );
}

struct Begun {
    child: std::process::Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

/// Starts `make` and waits until it runs on the worker.
fn begin(home: &Home) -> Begun {
    waits_there(&home.project);
    let mut cmd = home.rch(&["exec", "--", "make"]);
    let mut child = cmd
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    assert_eq!(first, "begun", "output is live");
    Begun { child, lines }
}

fn nothing_left(worker: &Sshd) {
    wait_for("the end of the job's processes", || {
        worker.leftovers().is_empty().then_some(())
    });
}

/// The agent got a correct local build, and one line that says why.
fn ran_locally(home: &Home, mut begun: Begun, why: &str) {
    let rest: Vec<String> = begun.lines.by_ref().map_while(Result::ok).collect();
    let output = begun.child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{stderr}\n{}", home.log());
    assert_eq!(rest, ["begun"], "{stderr}");
    assert!(exists(&home.project.join("out")));
    let ours: Vec<&str> = stderr
        .lines()
        .filter(|l| l.starts_with("rch: running locally"))
        .collect();
    assert_eq!(ours.len(), 1, "{stderr}");
    assert!(stderr.contains(why), "{stderr}");
}

#[test]
fn a_worker_killed_in_mid_build_costs_a_line_and_nothing_else() {
    let (worker, home) = start("kill-worker");
    let begun = begin(&home);
    for (pid, line) in worker.processes() {
        if line.contains("rch-wkr") {
            let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
        }
    }
    ran_locally(&home, begun, "css was lost");
    nothing_left(&worker);
}

#[test]
fn a_daemon_killed_in_mid_build_costs_a_line_and_nothing_else() {
    let (worker, home) = start("kill-daemon");
    let begun = begin(&home);
    Command::new("kill")
        .args(["-9", &home.daemon_pid().to_string()])
        .status()
        .unwrap();
    ran_locally(&home, begun, "rchd");
    nothing_left(&worker);
    // The next command starts a daemon and goes remote again.
    sample_crate(&home.project);
    assert!(home.exec(&["cargo", "build"]).status.success());
}

#[test]
fn a_client_killed_in_mid_build_leaves_nothing_running() {
    let (worker, home) = start("kill-client");
    let mut begun = begin(&home);
    begun.child.kill().unwrap();
    begun.child.wait().unwrap();
    nothing_left(&worker);
    wait_for("the slots", || {
        (home.status().workers[0].slots_used == 0).then_some(())
    });
    assert_eq!(home.status().totals.cancelled, 1);
}

/// Ctrl-C reaches the remote command, and the agent sees a command that died of it.
#[test]
fn a_signal_ends_the_remote_command() {
    use std::os::unix::process::ExitStatusExt;
    let (worker, home) = start("signal");
    let mut begun = begin(&home);
    Command::new("kill")
        .args(["-INT", &begun.child.id().to_string()])
        .status()
        .unwrap();
    let status = begun.child.wait().unwrap();
    // make turns a SIGINT into its own death by it, or into a failure if it came between two lines.
    assert!(
        status.signal() == Some(2) || status.code() == Some(2),
        "{status:?}"
    );
    nothing_left(&worker);
    assert!(
        !exists(&home.project.join("out")),
        "it was not started again"
    );
}

/// Runs a build that must end well at home and say why in one line.
fn falls_back(home: &Home, env: &[(&str, &str)], why: &str) {
    sample_crate(&home.project);
    let output = home
        .rch(&["exec", "--", "cargo", "build"])
        .envs(env.iter().copied())
        .output()
        .unwrap();
    let story = home.story(&["cargo", "build"], &output);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{story}");
    assert!(exists(&home.project.join("target/debug/sample")));
    let ours: Vec<&str> = stderr.lines().filter(|l| l.starts_with("rch:")).collect();
    assert_eq!(ours.len(), 1, "{story}");
    assert!(
        ours[0].starts_with("rch: running locally: ") && ours[0].contains(why),
        "{story}"
    );
}

#[test]
fn an_unknown_worker_means_local() {
    let (_worker, home) = start("unknown");
    falls_back(&home, &[("RCH_WORKER", "nobody")], "RCH_WORKER");
}

/// A file with a mistake was dropped whole, and what it kept here was sent away.
#[test]
fn a_broken_configuration_sends_nothing() {
    let (_worker, home) = start("broken-config");
    let text = "[transfer]\nexclude_patterns = [\"private/**\"]\nbroken\n";
    write(&home.path().join(".config/rch/config.toml"), text);
    falls_back(&home, &[], "config.toml:3:");
}

/// What stays cargo's own business from beginning to end, with the reason said.
#[test]
fn a_run_that_is_not_understood_stays() {
    let (_worker, home) = start("run-stays");
    let stays = |argv: &[&str], why: &str| {
        let output = home.rch(&["exec", "--"]).args(argv).output().unwrap();
        let story = home.story(argv, &output);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{story}");
        assert!(stderr.contains("rch: running locally: "), "{story}");
        assert!(stderr.contains(why), "{story}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    sample_crate(&home.project);
    stays(&["cargo", "run", "-vv"], "with -vv");
    let config = home.project.join(".cargo/config.toml");
    write(
        &config,
        "[target.'cfg(unix)']\nrunner = [\"echo\", \"ran\"]\n",
    );
    let said = stays(&["cargo", "run"], "a runner configured");
    assert_eq!(said, "ran target/debug/sample\n");
    std::fs::remove_file(config).unwrap();
}

/// The daemon would make its folders somewhere else than we look for them.
#[test]
fn a_relative_home_starts_no_daemon() {
    let (_worker, home) = start("relative");
    falls_back(&home, &[("HOME", "relative")], "is not absolute");
    assert!(!exists(&home.project.join("relative/.cache/rch/rch.sock")));
}

#[test]
fn a_wrong_key_means_local() {
    let (worker, home) = start("key");
    let other = common::Dir::new("otherkey");
    let key = common::sshd::key(other.path());
    write(
        &home.path().join(".config/rch/workers.toml"),
        &worker.entry(&key, 4),
    );
    falls_back(&home, &[], "Permission denied");
}

#[test]
fn an_unreachable_host_means_local() {
    let (worker, home) = start("unreachable");
    drop(worker);
    falls_back(&home, &[], "Connection refused");
}

#[test]
fn a_worker_without_rch_wkr_means_local() {
    let odd = Oddities {
        bare: true,
        ..Oddities::default()
    };
    let worker = Sshd::odd("css", &shared_key(), &odd);
    let home = Home::with("bare", &[&worker], 4);
    falls_back(&home, &[], "rch-wkr");
}

#[test]
fn another_protocol_version_means_local_and_names_both() {
    let (worker, home) = start("version");
    // A worker program that greets, in our format, with protocol 77.
    let script = "#!/bin/sh\nprintf '\\000rchwkr\\n'\nprintf '\\071\\000\\000\\000\\001\\115\\000\\003\\000\\000\\0009.9'\nprintf '\\000%.0s' $(seq 48)\nexec cat >/dev/null\n";
    write(&worker.home().join(".local/bin/rch-wkr"), script);
    falls_back(&home, &[], "rch-wkr 9.9 speaks protocol 77");
}

#[test]
fn a_bashrc_that_prints_is_not_heard() {
    let odd = Oddities {
        bashrc: "echo Welcome to the machine; printf 'motd\\0rch\\n'; echo oops >&2\n".into(),
        ..Oddities::default()
    };
    let worker = Sshd::odd("css", &shared_key(), &odd);
    let home = Home::with("bashrc", &[&worker], 4);
    compare(&home, &sample_crate, &["cargo", "build"], &products);
}

#[test]
fn a_full_disk_on_the_worker_means_local() {
    let odd = Oddities {
        home_mib: Some(2),
        ..Oddities::default()
    };
    let worker = Sshd::odd("css", &shared_key(), &odd);
    let home = Home::with("full", &[&worker], 4);
    sample_crate(&home.project);
    let noise: Vec<u8> = (0..8u32 << 20)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    std::fs::write(home.project.join("large.bin"), noise).unwrap();
    falls_back(&home, &[], "no space left on device");
}

/// The tree fits, what is made of it does not: that was passed on as the command's own failure. Make
/// removes what it could not finish, so that there is room again when the command has ended.
#[test]
fn a_disk_that_fills_up_during_the_build_means_local() {
    let odd = Oddities {
        home_mib: Some(2),
        ..Oddities::default()
    };
    let worker = Sshd::odd("css", &shared_key(), &odd);
    let home = Home::with("filled", &[&worker], 4);
    let makefile = ".DELETE_ON_ERROR:\nlarge:\n\thead -c 4000000 /dev/zero > $@\n";
    write(&home.project.join("Makefile"), makefile);
    let output = home.rch(&["exec", "--", "make"]).output().unwrap();
    let story = home.story(&["make"], &output);
    assert!(output.status.success(), "{story}");
    let large = std::fs::metadata(home.project.join("large")).unwrap();
    assert_eq!(large.len(), 4_000_000, "{story}");
    let stderr = String::from_utf8_lossy(&output.stderr);
    let why = "rch: running locally: worker css: the disk is full there\n";
    assert!(stderr.contains(why), "{story}");
}

/// A project that is worth rsync, with names that rsync treats in ways of its own.
fn large(dir: &Path) {
    write(
        &dir.join("Makefile"),
        "all:\n\t@find . -type f ! -name made | LC_ALL=C sort | xargs -d '\\n' md5sum\n\t@ls -l run empty | cut -c1-10; readlink link; echo done > made\n",
    );
    let noise: Vec<u8> = (0..40u32 << 20)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    std::fs::write(dir.join("large.bin"), noise).unwrap();
    for name in ["#hash", ";semi", "-dash", "with space", "deep/er/x"] {
        write(&dir.join(name), name);
    }
    std::fs::create_dir(dir.join("empty")).unwrap();
    write(&dir.join("run"), "#!/bin/sh\n");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(dir.join("run"), mode).unwrap();
    std::os::unix::fs::symlink("deep/er/x", dir.join("link")).unwrap();
}

/// The first copy goes by rsync, whole: what the channel carries is next to nothing.
#[test]
fn a_large_first_copy_goes_by_rsync() {
    let (_worker, home) = start("rsync");
    compare(&home, &large, &["make"], &|_: &Path| true);
    let job = home.status().jobs.pop().unwrap();
    assert!(job.sent_bytes < 1 << 20, "{job:?}\n{}", home.log());
}

/// Without rsync here the same project arrives by the channel.
#[test]
fn without_rsync_all_goes_by_the_channel() {
    let worker = Sshd::start("css", &shared_key());
    let home = Home::with("no-rsync", &[&worker], 4);
    let tools = home.path().join("tools");
    std::fs::create_dir_all(&tools).unwrap();
    for tool in ["ssh", "make", "cc", "sh"] {
        let found = std::env::split_paths(&std::env::var_os("PATH").unwrap())
            .map(|dir| dir.join(tool))
            .find(|p| p.exists())
            .unwrap();
        std::os::unix::fs::symlink(found, tools.join(tool)).unwrap();
    }
    large(&home.project);
    let output = home
        .rch(&["exec", "--", "make"])
        .env("PATH", &tools)
        .env("RCH_REQUIRE_REMOTE", "1")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        home.story(&["make"], &output)
    );
    let local = home.command("make").output().unwrap();
    assert_eq!(output.stdout, local.stdout);
    let job = home.status().jobs.pop().unwrap();
    assert!(job.sent_bytes > 1 << 20, "{job:?}");
}

/// Several jobs at once on several workers, each with its own output.
#[test]
fn several_jobs_run_at_once_on_several_workers() {
    let workers: Vec<Sshd> = ["a", "b"]
        .iter()
        .map(|id| Sshd::start(id, &shared_key()))
        .collect();
    let home = Home::with("several", &workers.iter().collect::<Vec<_>>(), 2);
    let children: Vec<_> = (0..4)
        .map(|n| {
            let dir = home.project.join(format!("p{n}"));
            write(
                &dir.join("Makefile"),
                &format!("all:\n\t@echo job {n}; pwd; hostname > made\n"),
            );
            let mut cmd = home.rch(&["exec", "--", "make"]);
            cmd.current_dir(&dir)
                .env("RCH_REQUIRE_REMOTE", "1")
                .stdout(Stdio::piped())
                .stderr(Stdio::piped());
            (n, dir, cmd.spawn().unwrap())
        })
        .collect();
    for (n, dir, child) in children {
        let output = child.wait_with_output().unwrap();
        let story = home.story(&["make"], &output);
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            format!("job {n}\n{}\n", dir.display()),
            "{story}"
        );
        assert!(exists(&dir.join("made")), "{story}");
    }
    assert_eq!(home.status().totals.remote, 4);
}

/// Twenty clients find no daemon: one is started.
#[test]
fn twenty_clients_start_one_daemon() {
    let (_worker, home) = start("twenty");
    write(&home.project.join("Makefile"), "all:\n\t@echo made\n");
    let children: Vec<_> = (0..20)
        .map(|_| {
            let mut cmd = home.rch(&["exec", "--", "make"]);
            cmd.stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            output.stdout,
            b"made\n",
            "{}",
            home.story(&["make"], &output)
        );
    }
    let started = home
        .log()
        .lines()
        .filter(|l| l.contains("listening on"))
        .count();
    assert_eq!(started, 1, "{}", home.log());
}

/// The embedded worker needs no sshd, no rsync and no configuration.
#[test]
fn the_local_transport_needs_nothing() {
    let home = Home::new("local");
    compare(&home, &sample_crate, &["cargo", "build"], &products);
    assert_eq!(home.status().totals.remote, 1);
}
