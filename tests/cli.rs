//! The real `rch` on a fresh home: what a person can do wrong, and what they see.
//!
//! Each test has a home of its own below the build's own temporary directory. Where a daemon is needed, the
//! test starts its own and stops it by `rch daemon stop`.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

struct Home(PathBuf);

impl Home {
    fn new(name: &str) -> Home {
        let dir = std::env::temp_dir().join(format!("rch-cli-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(dir.join("work")).unwrap();
        Home(dir)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rch"));
        command
            .args(args)
            .env_clear()
            .env("HOME", &self.0)
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .current_dir(self.0.join("work"))
            .stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Ran {
        Ran::of(self.command(args).output().unwrap())
    }

    fn write(&self, path: &str, text: &str) -> PathBuf {
        let path = self.0.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = self.command(&["daemon", "stop"]).output();
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

#[derive(Debug)]
struct Ran {
    out: String,
    err: String,
    status: Option<i32>,
}

impl Ran {
    fn of(output: Output) -> Ran {
        Ran {
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
            status: output.status.code(),
        }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

/// Every text of a usage error, in the grammar, with the status that says so.
#[test]
fn usage_errors_say_what_and_the_remedy() {
    let home = Home::new("usage");
    let cases: &[(&[&str], &str)] = &[
        (
            &["statsu"],
            "rch: unknown command 'statsu'\nhint: did you mean 'rch status'?\n",
        ),
        (
            &["status", "--wach"],
            "rch: unknown flag '--wach'\nhint: did you mean '--watch'?\n",
        ),
        (
            &["daemon", "logs", "--tail"],
            "rch: '--tail' needs a value, N\n",
        ),
        (
            &["daemon", "logs", "--tail", "x"],
            "rch: '--tail' needs a number, not 'x'\n",
        ),
        (
            &["--format", "xml", "status"],
            "rch: bad value 'xml' for '--format'\nhint: one of json, toon\n",
        ),
        (
            &["logs"],
            "rch: 'rch logs' needs JOB\nhint: 'rch logs --help' explains it\n",
        ),
        (
            &["logs", "seven"],
            "rch: 'seven' is no job\nhint: jobs are named j1, j2, …; 'rch status --jobs' lists them\n",
        ),
        (
            &["workers"],
            "rch: 'rch workers' needs a command\nhint: one of list, probe, benchmark, drain, enable, add, remove\n",
        ),
        (
            &["workers", "probe", "nobody"],
            "rch: no worker 'nobody'\nhint: 'rch workers list' names them\n",
        ),
        (
            &["workers", "probe", "lcal"],
            "rch: no worker 'lcal'\nhint: did you mean 'local'?\n",
        ),
        (
            &["config", "get", "hook.moed"],
            "rch: unknown key 'hook.moed'\nhint: did you mean 'hook.mode'?\n",
        ),
        (
            &["config", "get", "build_slots"],
            "rch: unknown key 'build_slots'\nhint: did you mean 'compilation.build_slots'?\n",
        ),
        (
            &["config", "set", "hook.mode", "both"],
            "rch: bad value for 'hook.mode': expected \"rewrite\" or \"inline\", found 'both'\n",
        ),
        (
            &["config", "set", "--project", "hook.mode", "inline"],
            "rch: 'hook.mode' cannot be set by a project\nhint: leave out '--project'\n",
        ),
        (
            &["completions", "tcsh"],
            "rch: no completions for 'tcsh'\nhint: there are bash, zsh and fish\n",
        ),
        (
            &["help", "satus"],
            "rch: unknown command 'satus'\nhint: did you mean 'rch status'?\n",
        ),
    ];
    for (args, text) in cases {
        let ran = home.run(args);
        assert_eq!(ran.err, *text, "{args:?}");
        assert_eq!((ran.out.as_str(), ran.status), ("", Some(120)), "{args:?}");
    }
}

#[test]
fn errors_are_data_too() {
    let home = Home::new("data");
    let ran = home.run(&["--json", "status", "--nope"]);
    assert_eq!((ran.err.as_str(), ran.status), ("", Some(120)));
    let json = ran.json();
    assert_eq!(json["api_version"], "1");
    assert_eq!(json["success"], false);
    assert_eq!(json["error"]["code"], "usage");
    assert_eq!(json["error"]["message"], "unknown flag '--nope'");
    let ran = home.run(&["status", "--json"]);
    assert_eq!(
        (ran.json()["error"]["code"].as_str(), ran.status),
        (Some("daemon_absent"), Some(1))
    );
    let toon = home.run(&["status", "--format", "toon"]);
    let back: Value = toon_format::decode_default(toon.out.trim_end()).unwrap();
    assert_eq!(back, ran.json());
}

/// A broken file must not break anything: the defaults are in force and the fault is named.
#[test]
fn broken_configuration_is_a_warning_everywhere_but_in_validate() {
    let home = Home::new("broken");
    let path = home.write(".config/rch/config.toml", "[general\nenabled = true\n");
    let ran = home.run(&["config", "get", "general.enabled"]);
    assert_eq!((ran.out.as_str(), ran.status), ("true\n", Some(0)));
    let place = format!("rch: warning: {}:1:9:", path.display());
    assert!(ran.err.starts_with(&place), "{ran:?}");
    let ran = home.run(&["config", "validate"]);
    assert_eq!(ran.status, Some(1));
    assert!(
        ran.out.starts_with(&format!("{}:1:9:", path.display())),
        "{ran:?}"
    );
    let ran = home.run(&["config", "set", "general.enabled", "false"]);
    assert_eq!(ran.status, Some(123));
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        "[general\nenabled = true\n"
    );
}

#[test]
fn validate_finds_faults_in_every_file() {
    let home = Home::new("validate");
    home.write(
        ".config/rch/config.toml",
        "[general]\npreferred_workers = [\"cs\"]\nforce_local = true\n",
    );
    home.write(
        "work/.rch/config.toml",
        "[general]\nforce_remote = true\nlog_level = \"debug\"\n",
    );
    let key = home.write("key", "not a key");
    let fleet = format!(
        "[[workers]]\nid = \"css\"\nhost = \"h\"\nidentity_file = \"{}\"\ntga = []\n",
        key.display()
    );
    home.write(".config/rch/workers.toml", &fleet);
    let ran = home.run(&["config", "validate"]);
    assert_eq!(ran.status, Some(1));
    for part in [
        "work/.rch/config.toml:3:1: 'general.log_level' cannot be set by a project",
        "'general.force_local' and 'general.force_remote' are both true",
        "names 'cs', which is not in workers.toml\nhint: did you mean 'css'?",
        "workers.toml:5:1: unknown key 'tga'",
        "is open to others (mode 0644); ssh refuses it\nhint: chmod 600",
    ] {
        assert!(ran.out.contains(part), "{part} is not in {}", ran.out);
    }
    let json = home.run(&["config", "validate", "--json"]).json();
    assert_eq!(json["data"]["faults"].as_array().unwrap().len(), 5);
}

#[test]
fn settings_are_written_kept_and_explained() {
    let home = Home::new("settings");
    assert_eq!(home.run(&["config", "init"]).status, Some(0));
    assert_eq!(home.run(&["config", "init"]).status, Some(123));
    assert_eq!(home.run(&["config", "validate"]).status, Some(0));
    let ran = home.run(&["config", "set", "transfer.artifacts", "full"]);
    assert!(
        ran.out.starts_with("transfer.artifacts = \"full\" in '"),
        "{ran:?}"
    );
    assert_eq!(
        home.run(&["config", "get", "transfer.artifacts"]).out,
        "full\n"
    );
    let ran = home.run(&["config", "set", "--project", "transfer.artifacts", "final"]);
    assert_eq!(ran.status, Some(0), "{ran:?}");
    let shown = home.run(&["config", "show", "--sources"]).out;
    let line = shown.lines().find(|l| l.starts_with("artifacts")).unwrap();
    assert!(line.contains("work/.rch/config.toml:2"), "{line}");
    // The user's file is changed, the project's stays above it: said at once.
    let ran = home.run(&["config", "set", "transfer.artifacts", "full"]);
    assert!(
        ran.out
            .contains("hint: another value is in force here, from "),
        "{ran:?}"
    );
    let mut command = home.command(&["config", "show", "--json"]);
    let json = Ran::of(command.env("RCH_COMPRESSION", "9").output().unwrap()).json();
    assert_eq!(json["data"]["transfer"]["compression_level"], 9);
}

#[test]
fn an_unwritable_home_is_an_error_and_nothing_else() {
    let home = Home::new("unwritable");
    // Root may write anywhere, so the obstacle is a file in the directory's place.
    home.write(".config", "");
    let ran = home.run(&["config", "init"]);
    assert_eq!(ran.status, Some(123));
    assert!(ran.err.starts_with("rch: cannot create '"), "{ran:?}");
    let ran = home.run(&["workers", "add", "css", "host"]);
    assert_eq!(ran.status, Some(123));
    assert_eq!(home.run(&["config", "get", "hook.mode"]).out, "rewrite\n");
}

/// With stdout closed, descriptor 1 would be the next thing opened: the daemon's socket, say.
#[test]
fn closed_and_broken_stdout_are_quiet() {
    let home = Home::new("closed");
    let shell = |line: &str| {
        let mut command = Command::new("bash");
        command
            .args(["-c", line])
            .env("RCH", env!("CARGO_BIN_EXE_rch"))
            .env("HOME", &home.0);
        Ran::of(command.output().unwrap())
    };
    let ran = shell("\"$RCH\" config show >&-; echo $?");
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("0\n", ""));
    let ran = shell("set -o pipefail; \"$RCH\" --help | true; echo ${PIPESTATUS[0]}");
    assert!(matches!(ran.out.as_str(), "0\n" | "141\n"), "{ran:?}");
    assert_eq!(ran.err, "");
    let ran = shell("\"$RCH\" config show >/dev/full; echo $?");
    assert_eq!(ran.out, "123\n");
    assert_eq!(
        ran.err,
        "rch: cannot write to standard output: no space left on device\n"
    );
    let ran = shell("\"$RCH\" statsu 2>&-; echo $?");
    assert_eq!(ran.out, "120\n");
}

#[test]
fn workers_come_and_go_without_a_daemon() {
    let home = Home::new("workers");
    let ran = home.run(&[
        "workers",
        "add",
        "css",
        "builder@css.example.org:2222",
        "--tags",
        "big",
        "--tags",
        "fast",
        "--total-slots",
        "32",
    ]);
    assert_eq!(ran.status, Some(0), "{ran:?}");
    let text = std::fs::read_to_string(home.0.join(".config/rch/workers.toml")).unwrap();
    assert_eq!(
        text,
        "[[workers]]\nid = \"css\"\nhost = \"css.example.org\"\nuser = \"builder\"\nport = 2222\ntotal_slots = 32\ntags = [\"big\", \"fast\"]\n"
    );
    assert!(
        home.run(&["workers", "list"])
            .out
            .contains("css  builder@css.example.org:2222\n")
    );
    let ran = home.run(&["workers", "add", "css", "other"]);
    assert!(ran.err.contains("worker 'css' is there already"), "{ran:?}");
    let ran = home.run(&["workers", "add", "bad", "-oProxyCommand=x"]);
    assert_eq!(ran.status, Some(120), "{ran:?}");
    let ran = home.run(&["workers", "add", "bad", "--", "-oProxyCommand=x"]);
    assert!(ran.err.contains("it begins with '-'"), "{ran:?}");
    let ran = home.run(&["workers", "remove", "cs"]);
    assert!(ran.err.ends_with("hint: did you mean 'css'?\n"), "{ran:?}");
    let ran = home.run(&["workers", "remove", "css"]);
    assert!(
        ran.out.ends_with("this machine is the only worker\n"),
        "{ran:?}"
    );
    // As before the first: this machine is there again.
    assert!(!home.0.join(".config/rch/workers.toml").exists());
    let ran = home.run(&["workers", "list"]);
    assert!(ran.out.contains("local  this machine\n"), "{ran:?}");
    let ran = home.run(&["workers", "remove", "local"]);
    assert!(
        ran.err.ends_with("so this machine is the only one\n"),
        "{ran:?}"
    );
    assert!(
        !home.0.join(".cache/rch/rch.sock").exists(),
        "no daemon was needed"
    );
}

#[test]
fn the_daemon_is_started_asked_and_stopped() {
    let home = Home::new("daemon");
    let ran = home.run(&["daemon", "status"]);
    assert_eq!(
        ran.err,
        "rch: rchd is not running\nhint: the next job starts it, as does 'rch daemon start'\n"
    );
    assert_eq!(ran.status, Some(1));
    let ran = home.run(&["daemon", "start", "--json"]);
    assert_eq!(ran.json()["data"]["started"], true, "{ran:?}");
    let ran = home.run(&["daemon", "start", "--json"]);
    assert_eq!(ran.json()["data"]["started"], false, "{ran:?}");
    let ran = home.run(&["status"]);
    assert!(
        ran.out.starts_with("rchd ") && ran.out.contains("\nWorkers\n"),
        "{ran:?}"
    );
    assert!(ran.out.is_ascii(), "no locale, no UTF-8: {}", ran.out);
    assert_eq!(home.run(&["daemon", "reload"]).status, Some(0));
    let ran = home.run(&["cancel", "j99"]);
    assert_eq!(
        (ran.err.lines().next(), ran.status),
        (Some("rch: no job 'j99'"), Some(120))
    );
    assert!(home.run(&["daemon", "logs", "-n", "1"]).out.lines().count() <= 1);
    assert_eq!(home.run(&["daemon", "stop"]).out, "rchd stopped\n");
    assert_eq!(home.run(&["daemon", "stop"]).out, "rchd was not running\n");
    assert!(home.run(&["daemon", "logs"]).out.contains("listening on"));
}

/// What a person reads of jobs: numbers without gaps, how each ended, and nothing that is not so.
#[test]
fn jobs_are_told_as_they_went() {
    use std::io::{BufRead, BufReader};
    let home = Home::new("jobs");
    // The recipe does not die at once: make itself stumbles, here as there, over a child that is gone
    // before its own signal has come.
    home.write(
        "work/Makefile",
        "all:\n\t@echo made\nslow:\n\t@trap 'exit 130' INT; echo begun; while :; do sleep 0.1; done\n",
    );
    for _ in 0..2 {
        let ran = home.run(&["exec", "--", "make"]);
        assert_eq!(
            (ran.out.as_str(), ran.status),
            ("made\n", Some(0)),
            "{ran:?}"
        );
        home.run(&["status"]);
    }
    let mut slow = home
        .command(&["exec", "--", "make", "slow"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = BufReader::new(slow.stdout.take().unwrap()).lines().next();
    assert_eq!(begun.unwrap().unwrap(), "begun");
    let kill = Command::new("kill")
        .args(["-INT", &slow.id().to_string()])
        .status();
    assert!(kill.unwrap().success());
    assert!(!slow.wait().unwrap().success());
    let mut nobody = home.command(&["exec", "--", "make"]);
    let ran = Ran::of(nobody.env("RCH_WORKER", "nobody").output().unwrap());
    assert_eq!(ran.out, "made\n", "{ran:?}");
    let json = home.run(&["status", "--json"]).json();
    let jobs = json["data"]["jobs"].as_array().unwrap();
    let ids: Vec<_> = jobs.iter().map(|j| j["id"].as_u64().unwrap()).collect();
    assert_eq!(ids, [4, 3, 2, 1]);
    assert_eq!(json["data"]["workers"][0]["lanes"], 1, "{json}");
    assert_eq!(
        (&jobs[1]["signal"], &jobs[1]["state"]),
        (&2.into(), &"done".into())
    );
    assert!(jobs[2]["signal"].is_null(), "{json}");
    let logs = home.run(&["--json", "logs", "j3"]).json();
    assert_eq!(logs["data"]["status"], 130, "{logs}");
    let ran = home.run(&["status", "--jobs"]);
    let rows: Vec<Vec<&str>> = ran
        .out
        .lines()
        .map(|l| l.split_whitespace().collect())
        .collect();
    assert_eq!(rows[1], ["j4", "run", "here", "make"], "{ran:?}");
    assert_eq!(rows[3][..2], ["j3", "interrupted"], "{ran:?}");
}

/// "0 of 0 commands go", and no word of why.
#[test]
fn what_no_rule_knows_stays_for_a_reason() {
    let home = Home::new("classify");
    for (command, status, reasons) in [
        (
            "bash -c 'cargo build'",
            1,
            &[
                "its one command stays",
                "at byte 0    stays: 'bash' is no tool",
            ][..],
        ),
        (
            "sudo make && make",
            0,
            &[
                "1 of 2 commands go",
                "at byte 0    stays: 'sudo' is no tool",
                "at byte 13   goes",
            ],
        ),
        (
            "echo make; cargo fmt",
            1,
            &[
                "0 of 2 commands go",
                "'echo' is no tool",
                "at byte 11   stays",
            ],
        ),
        ("CC=gcc", 1, &["stays: no command of it is a tool"]),
    ] {
        let ran = home.run(&["classify", command]);
        assert_eq!(ran.status, Some(status), "{ran:?}");
        for reason in reasons {
            assert!(ran.out.contains(reason), "{command}: {ran:?}");
        }
    }
}

/// It was told to go, and `rch exec` ran it here because of a variable.
#[test]
fn what_a_variable_keeps_here_stays() {
    let home = Home::new("classify-kept");
    let sources = "because UPDATE_EXPECT has tests change sources";
    for (command, status, reasons) in [
        (
            "UPDATE_EXPECT=1 cargo test",
            1,
            &[
                "its one command stays",
                "at byte 16   stays: 'rch exec' runs it here",
                sources,
            ][..],
        ),
        ("export UPDATE_EXPECT=1; cargo test", 1, &[sources]),
        (
            "env UPDATE_EXPECT=1 cargo test; cargo build",
            0,
            &[
                "1 of 2 commands go",
                "at byte 20   stays",
                sources,
                "at byte 32   goes",
            ],
        ),
        ("UPDATE_EXPECT=0 cargo test", 0, &["its one command goes"]),
        ("UPDATE_EXPECT=1 cargo build", 0, &["its one command goes"]),
        (
            "UPDATE_EXPECT=1 make; cargo test",
            0,
            &["2 of 2 commands go"],
        ),
        (
            "RCH_LOCAL_ONLY=1 make",
            1,
            &["because RCH_LOCAL_ONLY is set"],
        ),
        ("RCH_BYPASS=1 make", 1, &["because RCH_BYPASS is set"]),
        ("RCH_ENABLED=false make", 1, &["because RCH_ENABLED is off"]),
    ] {
        let ran = home.run(&["classify", command]);
        assert_eq!(ran.status, Some(status), "{ran:?}");
        for reason in reasons {
            assert!(ran.out.contains(reason), "{command}: {ran:?}");
        }
        // What the hook does is another question, and is answered as well.
        assert!(ran.out.contains("\nrewritten: "), "{command}: {ran:?}");
    }
    let mut set = home.command(&["--json", "classify", "cargo test"]);
    let ran = Ran::of(set.env("INSTA_UPDATE", "always").output().unwrap());
    let data = &ran.json()["data"];
    assert_eq!(
        (&data["goes"], ran.status),
        (&false.into(), Some(1)),
        "{data}"
    );
    assert_eq!(data["rewritten"], "rch exec -- cargo test");
}

/// A worker was measured with the compiler of whoever had started the daemon.
#[test]
fn a_benchmark_is_run_in_the_askers_environment() {
    let home = Home::new("benchmark");
    assert_eq!(home.run(&["daemon", "start"]).status, Some(0));
    let mut bare = home.command(&["workers", "benchmark"]);
    let ran = Ran::of(bare.env("PATH", "/nowhere").output().unwrap());
    assert!(
        ran.out.contains("there is no C compiler here") && ran.out.contains("hint: install gcc"),
        "{ran:?}"
    );
    assert_eq!(ran.status, Some(1));
}

#[test]
fn what_is_measured_is_no_command_of_anybodys() {
    let home = Home::new("benchmark-totals");
    assert_eq!(home.run(&["workers", "benchmark"]).status, Some(0));
    let json = home.run(&["status", "--json"]).out;
    let status: Value = serde_json::from_str(&json).unwrap();
    let (jobs, totals) = (&status["data"]["jobs"], &status["data"]["totals"]);
    assert_eq!(jobs[0]["state"], "done", "{json}");
    assert_eq!(
        (&totals["remote"], &totals["sent_bytes"]),
        (&0.into(), &0.into())
    );
    // Who asks is none that waits.
    assert_eq!(status["data"]["daemon"]["clients"], 0);
}

/// Three links were made before the program that is called as one of them was found.
#[test]
fn a_masquerade_that_cannot_be_whole_is_not_begun() {
    let home = Home::new("masquerade-whole");
    let dir = home.0.join("links");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("make"), "").unwrap();
    let made = home.run(&["masquerade", "install", dir.to_str().unwrap()]);
    assert_eq!(made.status, Some(123), "{made:?}");
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1);
}

#[test]
fn masquerade_status_answers_by_its_status() {
    let home = Home::new("masks");
    let dir = home.0.join(".local/share/rch/bin");
    let status = |path: String| {
        let mut command = home.command(&["masquerade", "status"]);
        command.env("PATH", path).status().unwrap().code()
    };
    let path = || std::env::var("PATH").unwrap();
    let first = || format!("{}:{}", dir.display(), path());
    assert_eq!(status(first()), Some(1), "there are no links");
    assert_eq!(home.run(&["masquerade", "install"]).status, Some(0));
    assert_eq!(status(path()), Some(1));
    let ran = home.run(&["masquerade", "status"]);
    assert!(
        ran.out.contains("not first in PATH\nhint: export PATH="),
        "{ran:?}"
    );
    assert_eq!(status(first()), Some(0));
    std::fs::remove_file(dir.join("make")).unwrap();
    assert_eq!(status(first()), Some(1), "one is missing");
    let ran = home.run(&["masquerade", "status"]);
    assert!(
        ran.out
            .ends_with("hint: 'rch masquerade install' makes them\n"),
        "{ran:?}"
    );
}

/// `--watch` on a pipe: page after page until the reader has had enough.
#[test]
fn watch_is_plain_on_a_pipe() {
    use std::io::{BufRead, BufReader};
    let home = Home::new("watch");
    assert_eq!(home.run(&["daemon", "start"]).status, Some(0));
    let mut child = home
        .command(&["status", "--watch"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let heads = lines
        .map_while(Result::ok)
        .inspect(|l| assert!(!l.contains('\x1b')));
    assert_eq!(heads.filter(|l| l.starts_with("rchd ")).take(2).count(), 2);
    // The pipe is closed now: the next page ends it.
    let status = child.wait().unwrap();
    assert!(status.success() || std::os::unix::process::ExitStatusExt::signal(&status) == Some(13));
}

#[test]
fn a_machine_format_is_alone_on_stdout() {
    let home = Home::new("machine");
    let all: &[&[&str]] = &[
        &["config", "show"],
        &["config", "validate"],
        &["workers", "list"],
        &["daemon", "stop"],
        &["completions", "fish"],
        &["--version"],
        &["--help"],
        &["help", "workers", "add"],
    ];
    for args in all {
        let mut with: Vec<&str> = args.to_vec();
        with.push("--json");
        let json = home.run(&with).json();
        assert_eq!(json["success"], true, "{args:?}");
        let mut command = home.command(args);
        let toon = Ran::of(command.env("TOON_DEFAULT_FORMAT", "toon").output().unwrap());
        let back: Value = toon_format::decode_default(toon.out.trim_end()).unwrap();
        assert_eq!(back, json, "{args:?}");
    }
}

/// Not a test: what the next one starts under the name of a daemon. It greets in another protocol, as
/// one that an update has left behind, and ends by a signal alone.
#[test]
#[ignore = "it poses as a daemon"]
fn pose_as_an_older_daemon() {
    use std::io::{Read, Write};
    let socket = std::env::var_os("OLD_SOCKET").expect("started by a test");
    let listener = std::os::unix::net::UnixListener::bind(socket).unwrap();
    writeln!(std::io::stdout(), "listening").unwrap();
    for client in listener.incoming() {
        let mut client = client.unwrap();
        let mut hello = vec![];
        let (protocol, version) = (rch::wire::PROTOCOL - 1, "0.0.9".into());
        rch::wire::client::FromDaemon::Hello { protocol, version }.encode(&mut hello);
        let _ = client.write_all(&hello);
        let _ = client.shutdown(std::net::Shutdown::Write);
        let _ = client.read_to_end(&mut vec![]);
    }
}

/// After an update that changed the protocol the remedy that was named did nothing for ten seconds, and
/// every command ran here until somebody found the old daemon by its pid.
#[test]
fn a_daemon_of_an_older_protocol_can_be_stopped() {
    use std::io::{BufRead, BufReader};
    let home = Home::new("older");
    let socket = home.0.join(".cache/rch/rch.sock");
    std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
    let program = home.0.join("rchd");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let mut old = Command::new(program)
        .args([
            "--exact",
            "pose_as_an_older_daemon",
            "--ignored",
            "--nocapture",
        ])
        .env("OLD_SOCKET", &socket)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(old.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|l| l.contains("listening")));
    let ran = home.run(&["status"]);
    assert!(ran.err.contains(" speaks protocol "), "{ran:?}");
    assert!(ran.err.ends_with("hint: rch daemon restart\n"), "{ran:?}");
    let ran = home.run(&["daemon", "restart"]);
    assert_eq!(ran.status, Some(0), "{ran:?}");
    assert!(!old.wait().unwrap().success(), "it was ended");
    assert_eq!(home.run(&["status"]).status, Some(0));
}
