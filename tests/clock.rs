//! A worker whose clock is an hour off: no edit is missed, and nothing is built for ever.
//!
//! The worker's programs get their time from a library that shifts the clock and all file times, so
//! that to them, and to what they tell us, the whole machine is an hour away.

mod common;

use std::path::Path;
use std::process::Command;

use common::home::{Home, shared_key};
use common::sshd::Sshd;
use common::{sample_crate, write};

/// What a build tool is told, and how its answers are known.
struct Tool {
    argv: &'static [&'static str],
    lay: fn(&Path, u32),
    /// The file whose edit must be noticed, laid out anew by `lay`.
    program: &'static str,
    /// Says that something was built.
    busy: &'static str,
}

fn crate_of(dir: &Path, n: u32) {
    if !dir.join("Cargo.toml").exists() {
        sample_crate(dir);
    }
    let text = format!("fn main() {{\n    println!(\"{n}\");\n}}\n");
    write(&dir.join("src/main.rs"), &text);
}

fn c_of(dir: &Path, n: u32) {
    if !dir.join("a.c").exists() {
        let main = "#include <stdio.h>\nint n(void);\nint main(void) { printf(\"%d\\n\", n()); }\n";
        write(&dir.join("a.c"), main);
        let makefile = "prog: a.o b.o\n\tcc -o $@ $^\n%.o: %.c\n\tcc -c -o $@ $<\n";
        write(&dir.join("Makefile"), makefile);
        let ninja = "rule cc\n  command = cc -c $in -o $out\nrule link\n  command = cc $in -o $out\nbuild o/a.o: cc a.c\nbuild o/b.o: cc b.c\nbuild program: link o/a.o o/b.o\ndefault program\n";
        write(&dir.join("build.ninja"), ninja);
    }
    write(
        &dir.join("b.c"),
        &format!("int n(void) {{ return {n}; }}\n"),
    );
}

const TOOLS: [Tool; 3] = [
    Tool {
        argv: &["cargo", "build"],
        lay: crate_of,
        program: "target/debug/sample",
        busy: "Compiling",
    },
    Tool {
        argv: &["make"],
        lay: c_of,
        program: "prog",
        busy: "cc -",
    },
    Tool {
        argv: &["ninja", "-v"],
        lay: c_of,
        program: "program",
        busy: "cc -",
    },
];

/// Builds, remotely or here; answers what the program then says and whether anything was built.
fn build(home: &Home, tool: &Tool, remote: bool) -> (String, bool) {
    let output = if remote {
        home.exec(tool.argv)
    } else {
        let mut cmd = home.command(tool.argv[0]);
        cmd.args(&tool.argv[1..]).output().unwrap()
    };
    assert!(
        output.status.success(),
        "{}",
        home.story(tool.argv, &output)
    );
    let said = [&output.stdout[..], &output.stderr].concat();
    let busy = String::from_utf8_lossy(&said).contains(tool.busy);
    let program = home.project.join(tool.program);
    let ran = Command::new(program).output().unwrap();
    (String::from_utf8(ran.stdout).unwrap(), busy)
}

fn an_hour_off(skew: i64) {
    let worker = Sshd::start("css", &shared_key());
    worker.shift(skew);
    let mut home = Home::with("clock", &[&worker], 4);
    for (at, tool) in TOOLS.iter().enumerate() {
        home.project = home.path().join(format!("p{at}"));
        std::fs::create_dir_all(&home.project).unwrap();
        (tool.lay)(&home.project, 1);
        let what = |step: &str| format!("{:?}, {skew} s off: {step}", tool.argv);
        let again = |step: &str, n: u32| {
            let (said, busy) = build(&home, tool, true);
            assert_eq!(said, format!("{n}\n"), "{}", what(step));
            assert!(!busy, "{}", what(&format!("{step}, and nothing to do")));
        };
        assert_eq!(build(&home, tool, true).0, "1\n", "{}", what("first"));
        again("unchanged", 1);
        // Of the same size, in the same second or the next.
        for n in 2..5 {
            (tool.lay)(&home.project, n);
            let (said, busy) = build(&home, tool, true);
            assert_eq!((said, busy), (format!("{n}\n"), true), "{}", what("edited"));
            again("unchanged", n);
        }
        if tool.argv[0] != "make" {
            continue;
        }
        // What came home has a time of this clock: the same tool here finds nothing to do, and
        // misses no edit.
        assert!(!build(&home, tool, false).1, "{}", what("here"));
        (tool.lay)(&home.project, 6);
        assert_eq!(
            build(&home, tool, false),
            ("6\n".into(), true),
            "{}",
            what("here, edited")
        );
        assert_eq!(build(&home, tool, true).0, "6\n", "{}", what("there again"));
    }
}

#[test]
fn a_worker_on_time() {
    an_hour_off(0);
}

#[test]
fn a_worker_an_hour_ahead() {
    an_hour_off(3600);
}

#[test]
fn a_worker_an_hour_behind() {
    an_hour_off(-3600);
}
