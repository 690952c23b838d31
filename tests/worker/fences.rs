//! What a session refuses, and what a job cannot reach.

use std::fs;
use std::process::Command;

use rch::sys::process::{Exit, getuid};
use rch::wire::worker::{Fault, FromWorker, Resync, ToWorker};
use rch::wire::{self, PROTOCOL};

use crate::kit::{HOME, Place, Session, job};

#[test]
fn another_protocol_is_told_both_numbers() {
    let place = Place::new("version");
    let mut s = Session::raw(place.command().arg("serve"));
    s.send(&ToWorker::Hello {
        protocol: 77,
        version: "9.9".into(),
        now: 0,
        client: "test".into(),
    });
    s.preamble();
    let FromWorker::Failed { fault, text } = s.next() else {
        panic!()
    };
    assert_eq!(fault, Fault::Version);
    let want = format!(
        "rch-wkr {} speaks protocol {PROTOCOL}, rchd 9.9 speaks 77",
        wire::VERSION
    );
    assert_eq!(text, want);
    assert!(s.maybe_next().is_none());
}

#[test]
fn only_compile_commands_run() {
    let place = Place::new("refused");
    let mut s = place.session();
    let (_, _, root) = s.open(HOME, None);
    s.put("keep", "1");
    s.commit(1);
    for argv in [&["rm", "keep"][..], &["sh", "-c", "rm keep"], &[]] {
        let (fault, _) = s.run(job(argv)).failed.unwrap();
        assert_eq!(fault, Fault::Refused);
        assert!(root.join("keep").exists());
        // The session goes on.
        s.close();
        s.open(HOME, Some((0, rch::ids::ManifestId([1; 16]))));
    }
}

#[test]
fn a_missing_tool_is_said_to_be_missing() {
    let place = Place::new("notool");
    let mut s = place.session();
    s.open(HOME, None);
    s.commit(1);
    let mut run = job(&["make"]);
    run.env.push(("PATH".into(), "/nowhere".into()));
    let (fault, text) = s.run(run).failed.unwrap();
    assert_eq!(fault, Fault::NoTool);
    assert_eq!(text, "'make' is not installed on the worker");
}

/// A job sees this machine but writes only in its lane, in scratch space and in tool caches.
#[test]
fn a_job_cannot_write_elsewhere() {
    let place = Place::new("fence");
    let mut s = place.session();
    s.open(HOME, None);
    let attempt = |path: &str| {
        format!("\t@touch {path}/rch-fence 2>/dev/null && echo wrote {path} || true\n")
    };
    let mut text = String::from("all:\n");
    for dir in [
        ".",
        "/",
        "/usr",
        "/etc",
        "/nonexistent-home",
        "/root",
        "/home",
        "/var",
        "/proc/sys/kernel",
    ] {
        text.push_str(&attempt(dir));
    }
    text.push_str("\t@mount -o remount,rw / 2>/dev/null && echo remounted || true\n");
    text.push_str("\t@touch /tmp/rch-fence-$$PPID && rm /tmp/rch-fence-$$PPID && echo scratch\n");
    // Root could write these by being root alone; the value is what stands there.
    text.push_str("\t@f=/proc/sys/kernel/core_pattern; cat $$f > v; cat v 2>/dev/null >$$f && echo set || true\n");
    s.put("Makefile", text);
    s.commit(1);
    assert_eq!(s.run(job(&["make"])).ok().out(), "wrote .\nscratch\n");
    assert!(!fs::exists("/nonexistent-home").unwrap());
}

/// Where the kernel forbids namespaces the job still runs, and its words still name the home path.
#[test]
fn without_namespaces_paths_are_mapped() {
    let place = Place::new("mapped");
    let mut s = Session::start(place.command().args(["serve", "--no-namespace"]));
    assert!(!s.facts.no_namespace.is_empty());
    s.open(HOME, None);
    s.put(
        "sub/Makefile",
        "all:\n\t@pwd; echo $(X) >&2; cat here; exit 3\n",
    );
    s.commit(1);
    let mut run = job(&["make", "-C", &format!("{HOME}/sub")]);
    run.argv.push(format!("X={HOME}/x.c").into());
    let done = s.run(run);
    let want = format!("make: Entering directory '{HOME}/sub'\n{HOME}/sub\n");
    assert!(done.out().starts_with(&want), "{}", done.out());
    assert!(
        done.err().starts_with(&format!("{HOME}/x.c\n")),
        "{}",
        done.err()
    );
    assert_eq!(done.exit, Some(Exit::Code(2)));
}

/// The usual worker: an account without privileges. Only root can become one for a test.
#[test]
fn an_unprivileged_user_has_it_all() {
    if getuid() != 0 {
        return;
    }
    let place = Place::new("user");
    let bin = place.0.join("rch-wkr");
    fs::copy(env!("CARGO_BIN_EXE_rch-wkr"), &bin).unwrap();
    std::os::unix::fs::chown(&place.0, Some(20001), Some(20001)).unwrap();
    let mut cmd = Command::new("setpriv");
    cmd.args(["--reuid=20001", "--regid=20001", "--clear-groups", "--"])
        .arg(&bin)
        .env_clear()
        .env("HOME", &place.0)
        .env("PATH", "/usr/bin:/bin")
        .current_dir("/");
    let mut s = Session::start(cmd.arg("serve"));
    assert_eq!(s.facts.no_namespace, "");
    // The home path's parent exists but is not ours: /usr/local must be grafted.
    for home in [
        HOME,
        "/usr/local/rch-test/deep/proj",
        "/tmp/rch-test-home/proj",
    ] {
        s.open(home, None);
        s.send(&ToWorker::Resync(Resync::Wipe));
        s.put(
            "Makefile",
            "prog: main.c\n\t@gcc -g -o prog main.c && ./prog; id -u; ls -d /usr/local/bin\n",
        );
        s.put(
            "main.c",
            "#include <stdio.h>\nint main(void) { puts(__FILE__); return 0; }\n",
        );
        s.commit(1);
        let mut run = job(&["make"]);
        run.cwd = home.into();
        assert_eq!(s.run(run).ok().out(), "main.c\n20001\n/usr/local/bin\n");
        s.close();
    }
    assert!(!fs::exists("/usr/local/rch-test").unwrap());
    assert!(!fs::exists("/tmp/rch-test-home").unwrap());
}

/// A full disk is told apart: the job goes elsewhere, the session lives. Only root can make one.
#[test]
fn a_full_disk_is_called_so() {
    if getuid() != 0 {
        return;
    }
    let place = Place::new("full");
    let mut cmd = place.command();
    let program = cmd.get_program().to_os_string();
    let mut small = Command::new("unshare");
    small
        .args([
            "-m",
            "sh",
            "-c",
            "mount -t tmpfs -o size=512k t \"$0\" && exec \"$1\" serve",
        ])
        .args([place.0.as_os_str(), &program])
        .envs(
            cmd.arg("serve")
                .get_envs()
                .filter_map(|(k, v)| Some((k, v?))),
        );
    let mut s = Session::start(&mut small);
    s.open(HOME, None);
    s.put("big", vec![1; 2 << 20]);
    let FromWorker::Failed { fault, text } = s.next() else {
        panic!()
    };
    assert_eq!(fault, Fault::DiskFull, "{text}");
    s.close();
    s.open(HOME, None);
    s.send(&ToWorker::Resync(Resync::Wipe));
    s.put("small", "1");
    s.commit(1);
}
