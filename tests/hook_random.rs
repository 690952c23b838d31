//! Random inputs with fixed seeds: the short form of the fuzz targets, and two properties.
//!
//! One: whatever the shell makes of an open word, the judge's verdict stands (else `rch exec` would
//! refuse what the hook sent). Two: nothing outside the accepted commands is ever sent, over a large
//! body of everyday commands.

use std::ffi::OsString;

use rch::classify::{self, names, text};
use rch::hook::{document, rewrite, worth_reading};
use rch::shell::{Shape, Word};

struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below.max(1) as u64) as usize
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.roll(from.len())]
    }
}

fn corpus() -> Vec<String> {
    let lines = include_str!("corpus/commands")
        .lines()
        .filter(|l| !l.starts_with("//"));
    lines
        .map(|l| l.replace('»', "").replace('⏎', "\n"))
        .collect()
}

/// Cuts, doubles, swaps and overwrites.
fn mutate(dice: &mut Dice, text: &mut Vec<u8>, other: &[u8]) {
    const NASTY: &[u8] = b"'\"`$(){}[];&|<>\\ \n\t#!*?~=@\0\x80\xff-cargo make";
    for _ in 0..=dice.roll(4) {
        let at = dice.roll(text.len() + 1);
        match dice.roll(4) {
            0 => text.insert(at, *dice.pick(NASTY)),
            1 if at < text.len() => {
                text.remove(at);
            }
            2 => text.truncate(at),
            _ => {
                let from = dice.roll(other.len());
                let piece = other[from..].iter().copied().take(12);
                text.splice(at..at, piece);
            }
        }
    }
}

#[test]
fn any_text_is_read_without_panic_and_rewritten_by_insertion() {
    let corpus = corpus();
    let mut dice = Dice(7);
    for _ in 0..60_000 {
        let mut bytes = dice.pick(&corpus).clone().into_bytes();
        let other = dice.pick(&corpus).clone();
        mutate(&mut dice, &mut bytes, other.as_bytes());
        let Ok(reading) = text::read(&bytes, 0.0) else {
            continue;
        };
        let Ok(command) = std::str::from_utf8(&bytes) else {
            continue;
        };
        let places = reading.places();
        let written =
            rewrite::insert(command, &places, "/r/rch").expect("places are between characters");
        assert!(places.is_sorted_by(|a, b| a < b), "{command:?}");
        assert_eq!(
            written.len(),
            command.len() + places.len() * "/r/rch exec -- ".len()
        );
        // What has been rewritten is not rewritten again.
        let again = text::read(written.as_bytes(), 0.0).expect("still understood");
        assert_eq!(again.places(), [0usize; 0], "{written:?}");
    }
}

#[test]
fn any_document_is_read_without_panic() {
    let seeds: Vec<String> = [
        r#"{"hook_event_name":"PreToolUse","tool_name":"Bash","tool_input":{"command":"cargo build","timeout":1}}"#,
        r#"{"tool":"Bash","input":{"command":"cd a \u0026\u0026 make \"x\"","x":[1,{"a":null}]}}"#,
        r#"{"hook_event_name":"BeforeTool","tool_name":"run_shell_command","tool_input":{"command":"make"}}"#,
    ]
    .map(String::from)
    .into();
    let mut dice = Dice(11);
    for _ in 0..60_000 {
        let mut bytes = dice.pick(&seeds).clone().into_bytes();
        let other = dice.pick(&seeds).clone();
        mutate(&mut dice, &mut bytes, other.as_bytes());
        let _ = worth_reading(&bytes);
        let Some(document) = document::read(&bytes) else {
            continue;
        };
        let input = document
            .input_with("a \"b\"\n")
            .expect("the command stands in the input");
        let value: serde_json::Value = serde_json::from_str(&input).expect("still JSON");
        assert_eq!(value["command"], "a \"b\"\n");
    }
}

/// What a variable may hold that somebody means ill with.
const VALUES: &[&str] = &[
    "",
    "x",
    "1",
    "16",
    "-",
    "--",
    "--help",
    "-h",
    "-n",
    "-v",
    "help",
    "list",
    "install",
    "clean",
    "fmt",
    "--fix",
    "-E",
    "@x",
    "+nightly",
    "=",
    "=x",
    "a=b",
    "MAKEFLAGS=n",
    "--version",
    "-t",
    "--print",
    "native",
    "/x",
    "src/a.c",
    ".c",
];

fn expansions(word: &Word<'_>, dice: &mut Dice) -> Vec<Vec<u8>> {
    let with = |value: &str| [&*word.text, value.as_bytes()].concat();
    let tail = if word.tail { "/t" } else { "" };
    match word.shape {
        Shape::Fixed => vec![word.text.to_vec()],
        Shape::Number => vec![with(["0", "7", "64"][dice.roll(3)])],
        Shape::One => vec![with(&format!("{}{tail}", dice.pick(VALUES)))],
        Shape::Some => (0..=dice.roll(3))
            .map(|_| with(dice.pick::<&str>(VALUES)))
            .collect(),
        Shape::Any => (0..dice.roll(4))
            .map(|_| dice.pick(VALUES).as_bytes().to_vec())
            .collect(),
    }
}

#[test]
fn no_expansion_changes_a_verdict() {
    let corpus: Vec<String> = corpus()
        .into_iter()
        .filter(|c| !c.contains(['\'', '"', '$', '|', ';', '&']))
        .collect();
    let mut dice = Dice(13);
    let mut accepted = 0u32;
    for _ in 0..200_000 {
        let command = dice.pick(&corpus).clone();
        let mut words: Vec<Word<'_>> = command
            .split_whitespace()
            .map(|w| Word::fixed(w.as_bytes()))
            .collect();
        for _ in 0..=dice.roll(2) {
            let at = dice.roll(words.len());
            let Some(word) = words.get_mut(at) else {
                continue;
            };
            let cut = dice.roll(word.text.len() + 1);
            word.text = word.text[..cut].to_vec().into();
            word.shape = *dice.pick(&[
                Shape::Number,
                Shape::One,
                Shape::One,
                Shape::Some,
                Shape::Any,
            ]);
            word.tail = word.shape == Shape::One && dice.roll(3) == 0;
        }
        if classify::judge(&words).is_err() {
            continue;
        }
        accepted += 1;
        for _ in 0..4 {
            let argv: Vec<OsString> = words
                .iter()
                .flat_map(|w| expansions(w, &mut dice))
                .map(|w| OsString::from(String::from_utf8(w).unwrap()))
                .collect();
            let after = classify::argv(&argv);
            assert!(
                after.is_ok(),
                "{command}\nwords {words:?}\nargv {argv:?}\n{after:?}"
            );
        }
    }
    assert!(accepted > 5_000, "only {accepted} accepted");
}

/// Everyday commands that have nothing to do with us, in every combination with words of ours.
#[test]
fn nothing_else_is_ever_sent() {
    const PROGRAMS: &[&str] = &[
        "git",
        "ls",
        "cat",
        "grep -r",
        "rg",
        "find .",
        "sed -i s/a/b/",
        "awk",
        "cp",
        "mv",
        "rm -f",
        "mkdir -p",
        "touch",
        "chmod +x",
        "head",
        "tail -f",
        "less",
        "vim",
        "code",
        "curl",
        "wget",
        "ssh host",
        "scp",
        "rsync -a",
        "tar xf",
        "zip",
        "docker run x",
        "docker compose",
        "kubectl exec p --",
        "helm",
        "terraform",
        "python",
        "python3 -m",
        "pip install",
        "uv run",
        "poetry run",
        "node",
        "npm run",
        "npx",
        "yarn",
        "pnpm",
        "deno",
        "go",
        "gofmt",
        "java -jar",
        "mvn",
        "gradle",
        "ruby",
        "bundle exec",
        "php",
        "perl",
        "psql -c",
        "sqlite3",
        "redis-cli",
        "systemctl",
        "journalctl",
        "apt-get install",
        "brew install",
        "sudo",
        "su -c",
        "man",
        "which",
        "type",
        "echo",
        "printf",
        "export",
        "source",
        "xargs",
        "watch",
        "entr",
        "just",
        "task",
        "bazel",
        "buck2",
        "ctest",
        "cpack",
        "ccmake",
        "rustup",
        "rustfmt",
        "cargo-fmt",
        "bunx",
        "clang-format",
        "ar rcs",
        "ld",
        "strip",
        "objdump -d",
        "gdb --args",
        "strace",
        "perf record",
        "valgrind",
        "tmux send-keys",
        "screen -dm",
        "bash -c",
        "sh",
        "eval",
        "test -f",
        "[",
    ];
    const WORDS: &[&str] = &[
        "cargo build",
        "cargo test",
        "make",
        "make all",
        "gcc a.c",
        "ninja",
        "cmake --build .",
        "rustc a.rs",
        "bun test",
        "'cargo build'",
        "\"make test\"",
        "Makefile",
        "Cargo.toml",
        "--cargo",
        "cargo",
        "target/debug/make",
        "./make",
        "$(echo make)",
        "CC=gcc",
        "clang.txt",
    ];
    const FRAMES: &[&str] = &[
        "@",
        "cd x && @ 2>&1 | tail",
        "(@)",
        "timeout 5 @",
        "env A=1 @",
        "if @; then :; fi",
        "x=$(@)",
        "X=1 @",
        "@ # make",
    ];
    let mut count = 0u32;
    for (program, word, frame) in PROGRAMS.iter().flat_map(|p| {
        WORDS
            .iter()
            .flat_map(move |w| FRAMES.iter().map(move |f| (p, w, f)))
    }) {
        let command = frame.replace('@', &format!("{program} {word}"));
        let places =
            text::read(command.as_bytes(), 0.0).map_or_else(|_| Vec::new(), |r| r.places());
        assert!(places.is_empty(), "{command}");
        count += 1;
    }
    for sub in [
        "fmt",
        "fix",
        "clean",
        "install x",
        "add x",
        "update",
        "publish",
        "new x",
        "run-script",
        "--help",
        "-V",
        "-n",
    ] {
        for tool in names::LINKS
            .iter()
            .filter(|t| !matches!((**t, sub), ("make" | "ninja", "run-script")))
        {
            if classify::names::tool(tool.as_bytes()) == Some(classify::Tool::Cc)
                && !sub.starts_with('-')
                || *tool == "rustc"
            {
                continue; // names of files to a compiler
            }
            for frame in FRAMES {
                let command = frame.replace('@', &format!("{tool} {sub}"));
                let places = text::read(command.as_bytes(), 0.85)
                    .map_or_else(|_| Vec::new(), |r| r.places());
                assert!(places.is_empty(), "{command}");
                count += 1;
            }
        }
    }
    assert!(count > 15_000, "{count}");
}
