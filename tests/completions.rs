//! Completions in the shells themselves: loaded as a user loads them, and asked as by the TAB key.
//!
//! They were once only read for their syntax. zsh's then offered nothing on the first TAB of a session,
//! and none of them saw past the value of a flag.

mod common;

use std::path::PathBuf;
use std::process::Command;

use common::home::Home;
use common::terminal::Terminal;
use common::write;

/// What is typed, what stands there after TAB, and what is listed below if that is not all.
const CASES: [(&str, &str, &[&str]); 16] = [
    ("rch sta", "rch status ", &[]),
    ("rch wor", "rch workers ", &[]),
    ("rch workers b", "rch workers benchmark ", &[]),
    (
        "rch --color never workers pr",
        "rch --color never workers probe ",
        &[],
    ),
    ("rch --format=t", "rch --format=toon ", &[]),
    ("rch status --wa", "rch status --watch ", &[]),
    ("rch config get hook.m", "rch config get hook.mode ", &[]),
    ("rch workers probe ", "rch workers probe local ", &[]),
    ("rch workers drain ", "rch workers drain local ", &[]),
    // One is enough of a worker.
    (
        "rch workers drain local lo",
        "rch workers drain local lo",
        &[],
    ),
    ("rch logs ", "rch logs j1 ", &[]),
    (
        "rch masquerade install /us",
        "rch masquerade install /usr/",
        &[],
    ),
    (
        "rch exec -- mandb-of-rch",
        "rch exec -- mandb-of-rch-tests ",
        &[],
    ),
    ("rch exec -- make -f Ru", "rch exec -- make -f Rules ", &[]),
    (
        "rch hook ",
        "rch hook ",
        &["install", "uninstall", "status", "test"],
    ),
    (
        "rch hook install --agent ",
        "rch hook install --agent ",
        &["claude", "codex", "gemini"],
    ),
];

/// A home in which rch, a command of a name of its own and a file can be completed.
fn home(shell: &str) -> (Home, PathBuf) {
    let home = Home::new(&format!("complete-{shell}"));
    common::script(&home.path().join("bin/mandb-of-rch-tests"), "#!/bin/sh\n");
    std::os::unix::fs::symlink(common::bin("rch"), home.path().join("bin/rch")).unwrap();
    write(&home.project.join("Rules"), "");
    let job = home.rch(&["exec", "--", "make", "-f", "Rules"]).output();
    assert_eq!(job.unwrap().status.code(), Some(2), "no rule");
    let output = home.rch(&["completions", shell]).output().unwrap();
    let script = home.path().join("_rch");
    std::fs::write(&script, output.stdout).unwrap();
    (home, script)
}

/// Starts the shell of a script of ours.
fn shell(home: &Home, program: &str, args: &[&str]) -> Command {
    let path = std::env::var("PATH").unwrap();
    let mut cmd = home.command(program);
    cmd.env("PATH", format!("{}/bin:{path}", home.path().display()))
        .env("TERM", "xterm")
        .args(args);
    cmd
}

fn said(mut cmd: Command) -> String {
    let output = cmd.output().unwrap_or_else(|e| panic!("{cmd:?}: {e}"));
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
    String::from_utf8(output.stdout).unwrap()
}

/// bash splits words at `=`, too; what completes the last of them is told without what stands before.
#[test]
fn bash_completes() {
    let (home, script) = home("bash");
    for (typed, after, listed) in CASES {
        let words = typed.replace('=', " = ");
        let ask = format!(
            "set -f; source '{}'; COMP_WORDS=({words}{}); COMP_CWORD=$((${{#COMP_WORDS[@]}}-1)); _rch; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            script.display(),
            if typed.ends_with(' ') { "''" } else { "" }
        );
        let found = said(shell(&home, "bash", &["-c", &ask]));
        let found: Vec<&str> = found.lines().collect();
        match listed {
            [] if after == typed => assert_eq!(found, [""], "{typed}"),
            [] => {
                let last = after.trim_end().rsplit([' ', '=']).next().unwrap();
                assert_eq!(found, [last.trim_end_matches('/')], "{typed}");
            }
            listed => assert_eq!(found, listed, "{typed}"),
        }
    }
}

#[test]
fn fish_completes() {
    let (home, script) = home("fish");
    for (typed, after, listed) in CASES {
        let ask = format!("source '{}'; complete -C'{typed}'", script.display());
        let found = said(shell(&home, "fish", &["-c", &ask]));
        // Each line is a word and, behind a tab, what it means.
        let mut found: Vec<&str> = found
            .lines()
            .map(|l| l.split('\t').next().unwrap())
            .collect();
        found.sort_unstable();
        match listed {
            [] if after == typed => assert!(found.is_empty(), "{typed}: {found:?}"),
            [] => {
                let last = after.trim_end().rsplit(' ').next().unwrap();
                assert_eq!(found, [last], "{typed}");
            }
            listed => {
                let mut listed = listed.to_vec();
                listed.sort_unstable();
                assert_eq!(found, listed, "{typed}");
            }
        }
    }
    let about = said(shell(
        &home,
        "fish",
        &[
            "-c",
            &format!("source '{}'; complete -C'rch workers dr'", script.display()),
        ],
    ));
    assert_eq!(about, "drain\tKeep new jobs off a worker\n");
}

/// zsh at a terminal, with the completions in `fpath`, or read by `source`. Ctrl-X shows the line as it
/// stands and begins a new one.
fn zsh(home: &Home, script: &std::path::Path, load: &str) -> Terminal {
    let mut zsh = Terminal::start(&shell(home, "zsh", &[]), "zsh -f -i");
    let load = load.replace("DIR", &script.parent().unwrap().display().to_string());
    zsh.keys(&format!(
        "PS1=; show() {{ print -r -- \"<$BUFFER>\"; BUFFER= }}; zle -N show; bindkey '^X' show; autoload -U compinit; {load}; echo rea''dy\n"
    ));
    zsh.until("ready", 1);
    zsh
}

/// What TAB makes of the line, and all that the terminal was sent meanwhile.
fn complete(zsh: &mut Terminal, typed: &str) -> (String, String) {
    zsh.keys(&format!("{typed}\t\x18"));
    let shown = zsh.until(">", 1);
    let line = &shown[shown.rfind('<').unwrap() + 1..shown.len() - 1];
    (line.to_string(), shown.clone())
}

#[test]
fn zsh_completes_from_the_first_tab_on() {
    let (home, script) = home("zsh");
    for load in [
        "fpath=(DIR $fpath); compinit -u -D",
        "compinit -u -D; source DIR/_rch",
    ] {
        let mut zsh = zsh(&home, &script, load);
        for (typed, after, listed) in CASES {
            let (line, shown) = complete(&mut zsh, typed);
            assert_eq!(line, after, "{typed}, {load}");
            assert!(listed.iter().all(|l| shown.contains(l)), "{typed}: {shown}");
        }
        let (_, shown) = complete(&mut zsh, "rch workers ");
        assert!(
            shown.contains("drain      -- Keep new jobs off a worker"),
            "{shown}"
        );
    }
}
