//! The rewrite against bash itself: with harmless stand-ins for the tools, the original text and the
//! rewritten one must print the same, end alike and leave the same files, and `bash -n` must think the
//! same of both.
//!
//! Texts come from the corpus and from a generator with a fixed seed that glues fragments together,
//! sensible or not. Only texts in which something was inserted are run.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use rch::classify::text;
use rch::hook::rewrite;

/// Prints its name, words and part of its environment; fails if told `foo`.
const TOOL: &str = r#"#!/bin/bash
trap '' PIPE
echo "${0##*/} says $# words" >&2
echo "<${0##*/}>" "${#}" "$@" "A=$A B=$B X=$X RB=$RUST_BACKTRACE PWD=${PWD##*/}" 2>/dev/null
case "$*" in *foo*) exit 101;; esac
exit 0
"#;
const RCH: &str = "#!/bin/bash\n[ \"$1 $2\" = 'exec --' ] || exit 99\nshift 2\nexec \"$@\"\n";
const TOOLS: &[&str] = &[
    "cargo",
    "rustc",
    "bun",
    "gcc",
    "g++",
    "clang",
    "cc",
    "c++",
    "make",
    "gmake",
    "ninja",
    "cmake",
    "meson",
    "git",
    "gcc-12",
    "g++-13",
    "clang++-15",
    "x86_64-linux-gnu-gcc",
    "aarch64-linux-gnu-g++-12",
    "musl-gcc",
];
/// Real programs that harm nothing here.
const REAL: &[&str] = &[
    "cat", "head", "tail", "grep", "wc", "tee", "ls", "env", "nice", "timeout", "nohup", "stdbuf",
    "setsid", "taskset", "ionice", "true", "false", "nproc", "bash",
];

/// A folder that is removed at the end, with the stand-ins in `bin`.
struct Place(PathBuf);

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn script(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn place(name: &str) -> Place {
    let root = std::env::temp_dir().join(format!("rch-shell-{name}-{}", std::process::id()));
    let bin = root.join("bin");
    fs::create_dir_all(&bin).unwrap();
    for tool in TOOLS {
        script(&bin.join(tool), TOOL);
    }
    script(&bin.join("rch"), RCH);
    script(&bin.join("rustup"), "#!/bin/bash\nshift 2\nexec \"$@\"\n");
    script(&bin.join("date"), "#!/bin/bash\necho today\n");
    // A loop that waits for success is ended here.
    script(&bin.join("sleep"), "#!/bin/bash\nkill -TERM $PPID\n");
    for real in REAL {
        let found = ["/usr/bin", "/bin"]
            .iter()
            .map(|d| Path::new(d).join(real))
            .find(|p| p.exists());
        if let Some(found) = found {
            symlink(found, bin.join(real)).unwrap();
        }
    }
    Place(root)
}

/// stdout, stderr, status, and every file left behind.
type Outcome = (String, String, Option<i32>, Vec<(String, String)>);

fn run(place: &Place, text: &str, check_only: bool) -> Outcome {
    let work = place.0.join("work");
    let _ = fs::remove_dir_all(&work);
    for dir in ["app", "my app", "sub", "x", "a", "src", "home"] {
        fs::create_dir_all(work.join(dir)).unwrap();
    }
    for file in ["Cargo.toml", "src/a.c", "src/b.c"] {
        fs::write(work.join(file), "x").unwrap();
    }
    let mut bash = Command::new("/bin/bash");
    bash.args(if check_only {
        &["-n", "-c"][..]
    } else {
        &["-c"]
    });
    let out = bash
        .arg(text)
        .current_dir(&work)
        .env_clear()
        .env("PATH", place.0.join("bin"))
        .env("HOME", work.join("home"))
        .env("TIMEFORMAT", "timed")
        .env("x", "a")
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let text = |b: Vec<u8>| String::from_utf8_lossy(&b).into_owned();
    // Both ends of a pipeline complain when they like, within each other's lines too.
    let mut complaints: Vec<char> = text(out.stderr).chars().collect();
    complaints.sort();
    (
        text(out.stdout),
        complaints.into_iter().collect(),
        out.status.code(),
        files(&work),
    )
}

fn files(dir: &Path) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().path())
        .flat_map(|p| {
            if p.is_dir() {
                files(&p)
            } else {
                vec![(
                    p.display().to_string(),
                    fs::read_to_string(&p).unwrap_or_default(),
                )]
            }
        })
        .collect();
    all.sort();
    all
}

/// Checks one text; true if anything was inserted.
fn check(place: &Place, command: &str) -> bool {
    let places = text::read(command.as_bytes(), 0.85).map_or_else(|_| Vec::new(), |r| r.places());
    if places.is_empty() {
        return false;
    }
    let rch = place.0.join("bin/rch").display().to_string();
    let insertion = format!("{rch} exec -- ");
    let rewritten = rewrite::insert(command, &places, &rch).unwrap();
    assert_eq!(
        rewritten.replace(&insertion, ""),
        command,
        "more than insertions"
    );
    for check_only in [true, false] {
        let (before, after) = (
            run(place, command, check_only),
            run(place, &rewritten, check_only),
        );
        assert_eq!(
            before, after,
            "\ncommand: {command}\nrewritten: {rewritten}\nbash -n: {check_only}"
        );
    }
    true
}

#[test]
fn the_corpus_runs_the_same() {
    let place = place("corpus");
    let texts = include_str!("corpus/commands")
        .lines()
        .filter(|l| l.contains('»'));
    for line in texts {
        let command = line.replace('»', "").replace('⏎', "\n");
        // What measures says something else in every run.
        if !command.contains("time -p") && !command.contains("/usr/bin/time") {
            assert!(check(&place, &command), "{command}");
        }
    }
}

/// A small generator (xorshift): the same texts in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below as u64) as usize
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.roll(from.len())]
    }
}

const PIECES: &[&str] = &[
    "cargo build",
    "cargo test foo",
    "make -j4",
    "gcc -c src/a.c",
    "ninja -C sub",
    "cargo",
    "make",
    "build",
    "timeout 5",
    "env A=1",
    "nice",
    "X=1",
    "A='b c'",
    "cd app",
    "cd nowhere",
    "echo hi",
    "echo \"a b\"",
    "echo 'it'\\''s'",
    "true",
    "false",
    "ls",
    "cat",
    "\"$x\"",
    "$x",
    "${x:-y}",
    "$(echo z)",
    "$((1+1))",
    "-j$(nproc)",
    "-- --nocapture",
    "--release",
];
const GLUE: &[&str] = &[
    " && ",
    " || ",
    "; ",
    " | cat",
    " 2>&1",
    " > log",
    " 2>/dev/null",
    "\n",
    " ",
    "  ",
    " | tail -2; ",
    " \\\n",
    " # c\n",
    " { ",
    " }",
    " ( ",
    " )",
    "; }",
    "if ",
    "; then ",
    "; fi",
    "for i in 1 2; do ",
    "; done",
    "! ",
    "$(",
    ")",
    "\"$(",
    ")\"",
    "case $x in a) ",
    " ;; esac",
    "time ",
    "'",
    "\"",
    "`",
    " >> log",
    " |& cat",
    "[[ -f x ]] && ",
    "(( 1 )) && ",
    "f() { ",
];

fn random_text(dice: &mut Dice) -> String {
    const WHOLE: &[&str] = &[
        "@",
        "( @ )",
        "{ @; }",
        "if @; then @; else @; fi",
        "for i in 1 2; do @; done",
        "x=$(@)",
        "echo \"$(@)\"",
        "@ | @",
        "@ && @",
        "@ || @",
        "@; @",
        "@\n@",
        "case $x in a) @;; *) @;; esac",
        "! @",
        "@ 2>&1 | tail -3",
        "time @",
        "f() { @; }; f; @",
        "[[ $x == a ]] && @",
        "while @; do break; done",
        "@ > log; cat log",
        "X=2 @",
    ];
    let mut text = String::from("@");
    for _ in 0..dice.roll(4) + 1 {
        text = text.replacen('@', dice.pick(WHOLE), 1);
    }
    while text.contains('@') {
        let piece = match dice.roll(4) {
            1 | 2 => dice.pick(&PIECES[..5]).to_owned(),
            0 => format!("{} {}", dice.pick(PIECES), dice.pick(PIECES)),
            _ => dice.pick(PIECES).to_owned(),
        };
        text = text.replacen('@', &piece, 1);
    }
    // Now and then something that does not belong there.
    for _ in 0..dice.roll(5).saturating_sub(2) {
        let at = dice.roll(text.len() + 1);
        text.insert_str(at, dice.pick(GLUE));
    }
    text
}

#[test]
fn glued_texts_run_the_same() {
    let place = place("glued");
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let rounds = std::env::var("RCH_TEST_ROUNDS")
        .ok()
        .and_then(|r| r.parse().ok())
        .unwrap_or(150);
    let ran = (0..rounds)
        .filter(|_| check(&place, &random_text(&mut dice)))
        .count();
    assert!(
        ran > rounds / 8,
        "only {ran} of {rounds} texts had anything to insert"
    );
}
