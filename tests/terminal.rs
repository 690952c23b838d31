//! `rch exec` as a person sees it: on a terminal, with its flags, output modes and a dry run; and
//! `rch status --watch`.
//!
//! The terminal is a real one, made by script(1); what it would show is worked out from the bytes. The
//! worker is this machine (the local transport), because what is looked at is the client. A job that
//! has to last waits for a file that the test makes when it has seen enough.

mod common;

use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use common::home::Home;
use common::terminal::Terminal;
use common::write;

/// Waits for the file `go`, and makes `out`.
fn project(home: &Home, go: &str) {
    let makefile = format!(
        "out: in\n\t@echo starting\n\t@until [ -e {go} ]; do sleep 0.05; done\n\tcp in out\n"
    );
    write(&home.project.join("Makefile"), &makefile);
    write(&home.project.join("in"), "1\n");
}

fn fast(home: &Home) {
    project(home, "/dev/null");
}

/// A file that jobs of the local worker see too: they share `/tmp`.
struct Go(PathBuf);

impl Go {
    fn new(name: &str) -> Go {
        let path = std::env::temp_dir().join(format!("rch-go-{name}-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        Go(path)
    }
}

impl Drop for Go {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The command's standard streams are a terminal of 80 columns.
fn on_terminal(home: &Home, line: &str) -> Child {
    let rch = common::bin("rch").display().to_string();
    let like = home.rch(&[]);
    let mut cmd = Command::new("script");
    cmd.env_clear();
    for (name, value) in like.get_envs() {
        cmd.env(name, value.unwrap_or_default());
    }
    cmd.env("TERM", "xterm")
        .args([
            "-qefc",
            &line.replace("rch ", &format!("{rch} ")),
            "/dev/null",
        ])
        .current_dir(&home.project)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    cmd.spawn().expect("script(1) of util-linux is installed")
}

/// Reads what the terminal is sent until it holds `text`, or to the end for `None`.
fn read(child: &mut Child, seen: &mut Vec<u8>, text: Option<&str>) {
    let out = child.stdout.as_mut().unwrap();
    let mut buf = [0; 4096];
    loop {
        if text.is_some_and(|t| String::from_utf8_lossy(seen).contains(t)) {
            return;
        }
        match out.read(&mut buf) {
            Ok(n) if n > 0 => seen.extend_from_slice(&buf[..n]),
            _ if text.is_none() => return,
            _ => panic!("ended without {text:?}: {}", String::from_utf8_lossy(seen)),
        }
    }
}

/// The lines that stand on the terminal in the end.
fn screen(bytes: &[u8]) -> Vec<String> {
    let mut lines = vec![Vec::<char>::new()];
    let mut column = 0;
    let text = String::from_utf8_lossy(bytes).replace("\x1b[K", "\u{1}");
    for c in text.chars() {
        let line = lines.last_mut().unwrap();
        match c {
            '\r' => column = 0,
            '\n' => {
                lines.push(vec![]);
                column = 0;
            }
            '\u{1}' => line.truncate(column),
            c => {
                if column < line.len() {
                    line[column] = c;
                } else {
                    line.push(c);
                }
                column += 1;
            }
        }
    }
    let whole = lines.into_iter().map(|l| l.into_iter().collect());
    whole.filter(|l: &String| !l.is_empty()).collect()
}

/// The line is drawn while the job is silent, and nothing of it is left in the end.
#[test]
fn the_progress_line_shows_and_vanishes() {
    let home = Home::new("progress");
    let go = Go::new("progress");
    project(&home, go.0.to_str().unwrap());
    let makefile = home.project.join("Makefile");
    let text = std::fs::read_to_string(&makefile).unwrap();
    // It ends in silence: no output of the job takes the line away.
    write(&makefile, &text.replace("\tcp", "\t@cp"));
    let mut child = on_terminal(&home, "rch exec -- make");
    let mut seen = vec![];
    read(&mut child, &mut seen, Some("Running on local…  ("));
    write(&go.0, "");
    read(&mut child, &mut seen, None);
    assert!(child.wait().unwrap().success());
    let text = String::from_utf8_lossy(&seen).into_owned();
    assert_eq!(screen(&seen), ["starting"], "{text:?}");
    assert!(home.project.join("out").exists());
}

/// Dumb terminals and people who want quiet get no line; the job's end is as quiet.
#[test]
fn no_line_where_none_is_wanted() {
    let home = Home::new("noline");
    for line in [
        "rch -q exec -- make",
        "rch exec -q make",
        "env TERM=dumb rch exec -- make",
    ] {
        let go = Go::new("noline");
        let _ = std::fs::remove_file(home.project.join("out"));
        project(&home, go.0.to_str().unwrap());
        let mut child = on_terminal(&home, line);
        let mut seen = vec![];
        read(&mut child, &mut seen, Some("starting"));
        // When a second client, on a terminal that may be drawn on, has its line, the lull after which
        // one is drawn has passed for the first.
        let mut other = on_terminal(&home, "rch exec -- make");
        read(&mut other, &mut vec![], Some("…"));
        write(&go.0, "");
        read(&mut child, &mut seen, None);
        read(&mut other, &mut vec![], None);
        for mut child in [child, other] {
            assert!(child.wait().unwrap().success());
        }
        let text = String::from_utf8_lossy(&seen);
        assert_eq!(text, "starting\r\ncp in out\r\n", "{line}");
    }
}

fn run(home: &Home, args: &[&str], env: &[(&str, &str)]) -> (String, String, Option<i32>) {
    let _ = std::fs::remove_file(home.project.join("out"));
    let mut cmd: Command = home.rch(args);
    let Output {
        status,
        stdout,
        stderr,
    } = cmd.envs(env.iter().copied()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(stdout), text(stderr), status.code())
}

const SAID: &str = "starting\ncp in out\n";

#[test]
fn off_a_terminal_nothing_is_added_unless_asked_for() {
    let home = Home::new("verbose");
    fast(&home);
    let plain = run(&home, &["exec", "--", "make"], &[]);
    assert_eq!(plain, (SAID.into(), String::new(), Some(0)));
    for (args, env) in [
        (&["-v", "exec", "--", "make"][..], &[][..]),
        (&["exec", "--", "make"], &[("RCH_VERBOSE", "1")]),
    ] {
        let (out, err, status) = run(&home, args, env);
        assert_eq!((out.as_str(), status), (SAID, Some(0)));
        let lines: Vec<&str> = err.lines().collect();
        assert!(lines[0].starts_with("rch: job j"), "{err}");
        assert!(lines[0].contains(" ran on local, lane "), "{err}");
        assert!(lines[1].contains(" in all, "), "{err}");
        assert!(lines[1].contains("back 1 file ("), "{err}");
        assert_eq!(lines.len(), 2, "{err}");
    }
}

/// A fallback is one line on stderr; a person may switch even that off, and then it runs all the same.
#[test]
fn quiet_says_nothing_of_a_fallback() {
    let home = Home::new("quiet");
    fast(&home);
    let nobody = [("RCH_WORKER", "nobody")];
    let (out, err, status) = run(&home, &["exec", "--", "make"], &nobody);
    assert_eq!((out.as_str(), status), (SAID, Some(0)));
    assert_eq!(
        err,
        "rch: running locally: RCH_WORKER names 'nobody', and there is no such worker\n"
    );
    let quiet = run(&home, &["-q", "exec", "--", "make"], &nobody);
    assert_eq!(quiet, (SAID.into(), String::new(), Some(0)));
}

#[test]
fn output_comes_as_the_user_wants_it() {
    let home = Home::new("modes");
    let text = "all:\n\t@for i in $$(seq 100); do echo line $$i; done; printf '\\033[31mred\\033[0m\\n'; false\n";
    write(&home.project.join("Makefile"), text);
    let exec = ["exec", "--", "make"];
    let (plain, err, status) = run(&home, &exec, &[]);
    assert_eq!((plain.lines().count(), status), (101, Some(2)));
    assert!(plain.ends_with("\x1b[31mred\x1b[0m\n"));
    let buffered = run(&home, &exec, &[("RCH_STREAM_MODE", "buffered")]);
    assert_eq!(buffered, (plain.clone(), err, Some(2)));
    let (out, err, status) = run(&home, &exec, &[("RCH_STREAM_MODE", "summary")]);
    assert_eq!(status, Some(2));
    // Which of two pipes is read first is chance: make's last word may stand among the others.
    let (shown, last) = (
        out.lines().count() + err.lines().count() - 1,
        "line 100\n\x1b[31mred",
    );
    assert!(shown == 20 && out.contains(last), "{out}{err}");
    assert!(
        err.starts_with("rch: 82 lines are left out; 'rch logs j"),
        "{err}"
    );
    write(
        &home.path().join(".config/rch/config.toml"),
        "[output]\npreserve_colors = false\n",
    );
    let (out, _, _) = run(&home, &exec, &[]);
    assert!(out.ends_with("\nline 100\nred\n"), "{out}");
}

/// `cargo run` in colour, and a program that has the terminal to itself.
#[test]
fn a_program_that_is_run_has_the_terminal() {
    let home = Home::new("tty-run");
    common::sample_crate(&home.project);
    let asks = "use std::io::IsTerminal;\nfn main() {\n    println!(\"{} {}\", std::io::stdout().is_terminal(), std::io::stderr().is_terminal());\n}\n";
    write(&home.project.join("src/main.rs"), asks);
    let line = "RCH_REQUIRE_REMOTE=1 rch exec -- cargo run -- x";
    let mut child = on_terminal(&home, line);
    let mut seen = vec![];
    read(&mut child, &mut seen, None);
    assert!(child.wait().unwrap().success());
    let text = String::from_utf8_lossy(&seen);
    let running = "\x1b[1m\x1b[92m     Running\x1b[0m `target/debug/sample x`\r\n";
    assert!(
        text.ends_with(&format!("{running}true true\r\n")),
        "{text:?}"
    );
    assert_eq!(home.status().totals.remote, 1);
}

/// All that the terminal is sent, and the line's status.
fn shown(home: &Home, line: &str) -> (String, Option<i32>) {
    let mut child = on_terminal(home, line);
    let mut seen = vec![];
    read(&mut child, &mut seen, None);
    let status = child.wait().unwrap().code();
    (String::from_utf8_lossy(&seen).into_owned(), status)
}

/// gcc and clang know no variable for it and see a pipe on the worker: on a terminal they had no colours.
#[test]
fn a_compiler_colours_as_it_does_here() {
    let home = Home::new("tty-colours");
    let bad = "int main(int c, char **v) {\n    int x = \"a\";\n    return y;\n}\n";
    write(&home.project.join("bad.c"), bad);
    write(&home.project.join("bad.cc"), bad);
    write(
        &home.project.join("bad.rs"),
        "fn main() {\n    let x = y;\n}\n",
    );
    let compilers = [
        "gcc -Wall -c bad.c",
        "g++ -g -Wall -c bad.cc",
        "gcc -fno-diagnostics-color -c bad.c",
        "gcc -fdiagnostics-color=auto -c bad.c",
        "clang -Wall -c bad.c",
        "clang -g -frecord-command-line -fno-color-diagnostics -c bad.c",
        "rustc bad.rs",
        "rustc --color never bad.rs",
    ];
    let usual = "TERM=xterm-256color";
    let environments = [
        usual,
        "TERM=xterm",
        "TERM=dumb",
        "NO_COLOR=1",
        "GCC_COLORS=",
    ];
    let pairs = environments
        .iter()
        .flat_map(|e| compilers.iter().map(move |c| (e, c)));
    let mut remote = 0;
    for (env, command) in pairs {
        // gcc's links name their flag in debug information, and are left out there.
        if command.contains(" -g ") && *env != "TERM=xterm" {
            continue;
        }
        let here = shown(&home, &format!("env {env} {command}"));
        let colours = !["never", "-fno-"].iter().any(|w| command.contains(w));
        if *env == usual {
            assert_eq!(here.0.contains("\x1b["), colours, "{command}: {here:?}");
        }
        let line = format!("env {env} RCH_REQUIRE_REMOTE=1 rch -q exec -- {command}");
        assert_eq!(shown(&home, &line), here, "{env} {command}");
        remote += 1;
    }
    assert_eq!(home.status().totals.remote, remote);
    write(
        &home.path().join(".config/rch/config.toml"),
        "[output]\npreserve_colors = false\n",
    );
    let (plain, _) = shown(&home, "rch -q exec -- gcc -c bad.c");
    assert!(
        plain.contains("error") && !plain.contains('\x1b'),
        "{plain:?}"
    );
}

/// The flags that make colours are in no product.
#[test]
fn what_is_made_on_a_terminal_is_what_is_made_off_it() {
    let home = Home::new("tty-products");
    let source = "static int one(void) { return 1; }\nint main(void) { return one(); }\n";
    write(&home.project.join("a.c"), source);
    for command in [
        "gcc -g -frecord-gcc-switches -c a.c -o a.o",
        "gcc -g3 -O2 -c a.c -o a.o",
        "gcc a.c -o a.o",
        "gcc -S -fverbose-asm a.c -o a.o",
        "clang -g -frecord-gcc-switches -c a.c -o a.o",
        "clang -g -grecord-command-line -c a.c -o a.o",
        "clang -g -c a.c -o a.o",
    ] {
        let product = home.project.join("a.o");
        let made = |line: &str| {
            let (said, status) = shown(&home, &format!("env TERM=xterm-256color {line}"));
            assert_eq!(status, Some(0), "{line}: {said}");
            let bytes = std::fs::read(&product).unwrap();
            std::fs::remove_file(&product).unwrap();
            bytes
        };
        let here = made(command);
        let there = made(&format!("RCH_REQUIRE_REMOTE=1 rch -q exec -- {command}"));
        assert!(here == there, "{command}");
    }
}

#[test]
fn a_dry_run_says_what_would_happen_and_runs_here() {
    let home = Home::new("dry");
    fast(&home);
    let dry = [("RCH_DRY_RUN", "1")];
    let (out, err, status) = run(&home, &["exec", "--", "make"], &dry);
    assert_eq!((out.as_str(), status), (SAID, Some(0)));
    let here = home.project.display();
    for part in [
        "rch: tier 4  match",
        &format!("rch: a build in {here}, 4 slots wanted, cc "),
        "rch: worker local: score ",
        ", chosen\n",
        "rch: it would go to local\n",
        "rch: to send, the whole project: 2 files, ",
        &format!("rch:   {here}/Makefile\n"),
        "rch: running locally: RCH_DRY_RUN is set\n",
    ] {
        assert!(err.contains(part), "{part:?} in {err}");
    }
    assert_eq!(home.status().totals.remote, 0);
    // Measured here often enough, on other sources each time.
    for n in 0..4 {
        write(&home.project.join("edit"), &n.to_string());
        run(&home, &["exec", "--", "make"], &dry);
    }
    let (_, err, _) = run(&home, &["exec", "--", "make"], &dry);
    let short = "rch: it would stay: too short for compilation.min_local_time_ms (";
    assert!(err.contains(short), "{err}");
    write(
        &home.path().join(".config/rch/config.toml"),
        "[compilation]\nmin_local_time_ms = 0\nremote_speedup_threshold = 0.0\n",
    );
    run(&home, &["exec", "--", "make"], &[]);
    let (_, err, _) = run(&home, &["exec", "--", "make"], &dry);
    assert!(err.contains(", warm), chosen\n"), "{err}");
    let refused = [("RCH_DRY_RUN", "1"), ("RCH_WORKER", "nobody")];
    let (_, err, _) = run(&home, &["exec", "--", "make"], &refused);
    assert!(
        err.contains("rch: worker local: refused: RCH_WORKER names another\n"),
        "{err}"
    );
    let nobody = "rch: RCH_WORKER names 'nobody', and there is no such worker\nrch: no worker can";
    assert!(err.contains(nobody), "{err}");
}

/// On a terminal: drawn in place on the alternate screen, and what ends it leaves the terminal as it was.
/// Ctrl-\ and Ctrl-Z once left a hidden cursor on a strange screen.
#[test]
fn watch_leaves_the_terminal_clean() {
    const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
    const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";
    let home = Home::new("watch");
    let started = home.rch(&["daemon", "start"]).output().unwrap();
    assert!(started.status.success(), "{started:?}");
    let mut like = home.rch(&[]);
    like.env("RCH", common::bin("rch")).env("PS1", "$ ");
    let mut typed = Terminal::start(&like, "bash --norc --noprofile -i");
    for key in ["\x03", "\x1c", "q"] {
        typed.keys("$RCH status --watch; echo status $?\n");
        typed.until(ENTER, 1);
        let pages = typed.until("\x1b[H", 2);
        assert!(
            !pages.contains("\n\n"),
            "every line end of a page clears its line: {pages:?}"
        );
        typed.keys(key);
        typed.until(LEAVE, 1);
        typed.until("status 0", 1);
    }
    typed.keys("$RCH status --watch\n");
    typed.until(ENTER, 1);
    typed.keys("\x1a");
    typed.until(LEAVE, 1);
    typed.until("Stopped", 1);
    typed.keys("fg\n");
    typed.until(ENTER, 1);
    typed.until("\x1b[H", 2);
    typed.keys("xq");
    typed.until(LEAVE, 1);
    typed.keys("stty -a\n");
    typed.until(" icanon ", 1);
    typed.until(" echo ", 1);
}

/// Output that cannot be written is a failure here, and was a success there.
#[test]
fn output_that_is_lost_is_no_success() {
    let home = Home::new("lost-output");
    write(&home.project.join("Makefile"), "all:\n\t@echo said\n");
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full");
    let mut here = home.command("make");
    assert!(!here.stdout(full().unwrap()).status().unwrap().success());
    let mut there = home.rch(&["exec", "--", "make"]);
    there.env("RCH_REQUIRE_REMOTE", "1").stdout(full().unwrap());
    let output = there.stderr(Stdio::piped()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let why = "rch: cannot write to standard output: no space left on device\n";
    assert_eq!((said.as_ref(), output.status.code()), (why, Some(123)));
}

/// A tool whose output is closed fails; sent away, it wrote into nothing and succeeded.
#[test]
fn closed_streams_are_as_closed_as_here() {
    let home = Home::new("closed");
    write(&home.project.join("Makefile"), "all:\n\t@echo said\n");
    let rch = common::bin("rch");
    for closed in [">&-", "2>&-", "<&-", ">&- 2>&-"] {
        let run = |prefix: &str| {
            let script = format!("{prefix}make {closed}");
            let output = home.command("sh").args(["-c", &script]).output().unwrap();
            (output.stdout, output.status.code(), output.stderr)
        };
        assert_eq!(
            run(&format!("{} exec -- ", rch.display())),
            run(""),
            "{closed}"
        );
    }
    let script = format!("{} exec -- make >&-", rch.display());
    let mut refused = home.command("sh");
    refused.args(["-c", &script]).env("RCH_REQUIRE_REMOTE", "1");
    let output = refused.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let why = "rch: cannot run remotely: an output stream is closed\n";
    assert_eq!((said.as_ref(), output.status.code()), (why, Some(122)));
}
