//! A long life of one project: edits of every kind, and a build after each, on a worker and here.
//!
//! Two trees go through the same edits, each in the same second: one is built through rch, one by
//! cargo and make directly. After each step both must have said the same, and the programs that
//! stand there must do the same, or something stale was used.

mod common;

use std::collections::BTreeSet;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::compare::steady;
use common::home::{Home, shared_key};
use common::sshd::Sshd;
use common::write;

/// xorshift: the same edits in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides as u64) as usize
    }
}

const MAIN: &str = r#"mod list;

fn main() {
    println!("{:?}", list::all());
    println!("{}", include_str!("../data/text.txt"));
    println!("{}", sample::built());
}
"#;

const BUILD: &str = r#"use std::os::unix::fs::PermissionsExt;

fn main() {
    println!("cargo:rerun-if-changed=data");
    println!("cargo:rerun-if-changed=build.rs");
    let mut seen = vec![];
    for entry in std::fs::read_dir("data").unwrap() {
        let entry = entry.unwrap();
        let mode = entry.path().symlink_metadata().unwrap().permissions().mode();
        let link = std::fs::read_link(entry.path()).ok();
        seen.push(format!("{:?} {mode:o} {link:?}", entry.file_name()));
    }
    seen.sort();
    println!("cargo:rustc-env=SEEN={}", seen.join(", "));
}
"#;

const MAKEFILE: &str = r#"OBJECTS = $(patsubst %.c,%.o,$(sort $(wildcard c/*.c)))
prog: $(OBJECTS)
	cc -o $@ $^
%.o: %.c c/common.h
	cc -Ic -c -o $@ $<
"#;

/// The tree as it is before the first edit. The names of modules and of C files are in use.
struct Life {
    dice: Dice,
    modules: BTreeSet<u32>,
    objects: BTreeSet<u32>,
    data: BTreeSet<String>,
    step: u32,
}

fn begin(dir: &Path) {
    write(
        &dir.join("Cargo.toml"),
        "[package]\nname = \"sample\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\n[workspace]\n",
    );
    write(&dir.join("build.rs"), BUILD);
    write(
        &dir.join("src/lib.rs"),
        "pub fn built() -> &'static str {\n    env!(\"SEEN\")\n}\n",
    );
    write(&dir.join("src/main.rs"), MAIN);
    write(&dir.join("data/text.txt"), "text 0\n");
    write(&dir.join("Makefile"), MAKEFILE);
    write(&dir.join("c/common.h"), "#define COMMON 0\n");
    write(&dir.join(".gitignore"), "target\n*.o\nprog\nCargo.lock\n");
    write(&dir.join("src/list.rs"), &list(&BTreeSet::new()));
    write(&dir.join("c/main.c"), &c_main(&BTreeSet::new()));
}

fn list(modules: &BTreeSet<u32>) -> String {
    let mods: String = modules
        .iter()
        .map(|n| format!("#[path = \"m{n}.rs\"]\nmod m{n};\n"))
        .collect();
    let all: String = modules.iter().map(|n| format!("m{n}::N, ")).collect();
    format!("{mods}pub fn all() -> Vec<u32> {{\n    vec![{all}]\n}}\n")
}

fn c_main(objects: &BTreeSet<u32>) -> String {
    let heads: String = objects
        .iter()
        .map(|n| format!("int f{n}(void);\n"))
        .collect();
    let calls: String = objects
        .iter()
        .map(|n| format!("    printf(\"%d \", f{n}());\n"))
        .collect();
    format!(
        "#include <stdio.h>\n#include \"common.h\"\n{heads}int main(void) {{\n{calls}    printf(\"%d\\n\", COMMON);\n    return 0;\n}}\n"
    )
}

/// One edit, as a list of things to do, the same in each tree.
enum Do {
    Write(String, String),
    Remove(String),
    Rename(String, String),
    Mode(String, u32),
    Link(String, String),
    Touch(String),
}

impl Do {
    fn run(&self, dir: &Path) {
        match self {
            Do::Write(path, text) => write(&dir.join(path), text),
            Do::Remove(path) => std::fs::remove_file(dir.join(path)).unwrap(),
            Do::Rename(from, to) => std::fs::rename(dir.join(from), dir.join(to)).unwrap(),
            Do::Mode(path, mode) => {
                let mode = std::fs::Permissions::from_mode(*mode);
                std::fs::set_permissions(dir.join(path), mode).unwrap();
            }
            Do::Link(path, target) => symlink(target, dir.join(path)).unwrap(),
            Do::Touch(path) => {
                let file = std::fs::File::options().append(true).open(dir.join(path));
                let now = std::time::SystemTime::now();
                file.unwrap().set_modified(now).unwrap();
            }
        }
    }
}

fn git(dir: &Path, args: &[&str]) {
    let done = Command::new("git")
        .args([
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@example.org",
            "-c",
            "commit.gpgsign=false",
        ])
        .args(args)
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(done.status.success(), "git {args:?}: {done:?}");
}

impl Life {
    fn pick(&mut self, from: &BTreeSet<u32>) -> Option<u32> {
        let at = self.dice.roll(from.len().max(1));
        from.iter().nth(at).copied()
    }

    fn module(&self, n: u32) -> Do {
        // Of one length, whatever the step: size alone must never tell.
        Do::Write(
            format!("src/m{n}.rs"),
            format!("pub const N: u32 = {};\n", 10_000 + self.step),
        )
    }

    fn object(&self, n: u32) -> Do {
        let text = format!("int f{n}(void) {{ return {}; }}\n", 10_000 + self.step);
        Do::Write(format!("c/f{n}.c"), text)
    }

    fn lists(&self) -> [Do; 2] {
        [
            Do::Write("src/list.rs".into(), list(&self.modules)),
            Do::Write("c/main.c".into(), c_main(&self.objects)),
        ]
    }

    fn next(&mut self) -> (&'static str, Vec<Do>) {
        self.step += 1;
        let (modules, objects) = (self.modules.clone(), self.objects.clone());
        match self.dice.roll(13) {
            0 | 1 => {
                let n = self.step;
                self.modules.insert(n);
                self.objects.insert(n);
                let mut all = vec![self.module(n), self.object(n)];
                all.extend(self.lists());
                ("create", all)
            }
            2 | 3 => match (self.pick(&modules), self.pick(&objects)) {
                (Some(m), Some(o)) => ("edit of one size", vec![self.module(m), self.object(o)]),
                _ => ("nothing", vec![]),
            },
            4 => match self.pick(&modules) {
                Some(n) => {
                    self.modules.remove(&n);
                    self.objects.remove(&n);
                    let mut all: Vec<Do> = self.lists().into();
                    all.push(Do::Remove(format!("src/m{n}.rs")));
                    all.push(Do::Remove(format!("c/f{n}.c")));
                    ("delete", all)
                }
                None => ("nothing", vec![]),
            },
            5 => match self.pick(&modules) {
                Some(n) => {
                    let to = 1000 + self.step;
                    self.modules.remove(&n);
                    self.modules.insert(to);
                    let [lists, _] = self.lists();
                    let rename = Do::Rename(format!("src/m{n}.rs"), format!("src/m{to}.rs"));
                    // Only the module has moved; its twin in C stays.
                    self.objects.remove(&n);
                    let gone = Do::Remove(format!("c/f{n}.c"));
                    self.objects.insert(to);
                    let object = self.object(to);
                    let [_, c] = self.lists();
                    ("rename", vec![rename, lists, gone, object, c])
                }
                None => ("nothing", vec![]),
            },
            6 => {
                let mode = [0o644, 0o755, 0o600][self.dice.roll(3)];
                let path = "data/text.txt".to_string();
                // A mode alone is sent with the file, which the worker then dates anew: one build
                // more than here.
                ("chmod", vec![Do::Mode(path.clone(), mode), Do::Touch(path)])
            }
            7 => {
                let name = format!("link{}", self.step);
                let target = ["text.txt", "nowhere", "../src"][self.dice.roll(3)];
                self.data.insert(name.clone());
                (
                    "symlink",
                    vec![Do::Link(format!("data/{name}"), target.into())],
                )
            }
            8 => match self.data.pop_first() {
                Some(name) => ("unlink", vec![Do::Remove(format!("data/{name}"))]),
                None => ("nothing", vec![]),
            },
            9 => {
                let text = format!("#define COMMON {}\n", 10_000 + self.step);
                ("header", vec![Do::Write("c/common.h".into(), text)])
            }
            10 => {
                let path = ["src/main.rs", "src/lib.rs", "c/common.h", "data/text.txt"];
                ("touch", vec![Do::Touch(path[self.dice.roll(4)].into())])
            }
            11 => {
                let text = format!("text {}\n", 10_000 + self.step);
                ("data", vec![Do::Write("data/text.txt".into(), text)])
            }
            _ => ("checkout back and forth", vec![]),
        }
    }
}

/// The worker's tree stands at the home path; the twin's is a neighbour of the same length, so that
/// only that one letter differs in what is said.
struct Twins {
    home: Home,
    far: PathBuf,
    near: PathBuf,
}

impl Twins {
    fn both(&self, act: &dyn Fn(&Path)) {
        act(&self.far);
        act(&self.near);
    }

    /// Builds both, compares what was said and what stands there.
    fn build(&self, argv: &[&str], programs: &[&str], when: &str) {
        let mut cmd = self.home.rch(&["exec", "--"]);
        cmd.args(argv)
            .env("RCH_REQUIRE_REMOTE", "1")
            .current_dir(&self.far);
        let far = cmd.output().unwrap();
        let mut cmd = self.home.command(argv[0]);
        let near = cmd
            .args(&argv[1..])
            .current_dir(&self.near)
            .output()
            .unwrap();
        let story = || format!("{when}: {}", self.home.story(argv, &far));
        let said = |o: &Output, dir: &Path| {
            let place = dir.display().to_string();
            let text = [steady(&o.stdout), steady(&o.stderr)].join("\n--\n");
            (o.status.code(), text.replace(&place, "HERE"))
        };
        assert_eq!(
            said(&far, &self.far),
            said(&near, &self.near),
            "{}",
            story()
        );
        for program in programs {
            let run = |dir: &Path| {
                Command::new(dir.join(program))
                    .output()
                    .map(|o| o.stdout)
                    .ok()
            };
            assert_eq!(run(&self.far), run(&self.near), "{program} {}", story());
        }
    }

    fn build_all(&self, when: &str) {
        self.build(&["cargo", "build"], &["target/debug/sample"], when);
        self.build(&["make"], &["prog"], when);
    }
}

#[test]
fn a_long_life_of_edits() {
    let worker = Sshd::start("css", &shared_key());
    let home = Home::with("life", &[&worker], 4);
    let steps = if std::env::var_os("RCH_TEST_LONG").is_some() {
        300
    } else {
        40
    };
    let twins = Twins {
        far: home.path().join("proj-a"),
        near: home.path().join("proj-b"),
        home,
    };
    twins.both(&|dir| {
        std::fs::create_dir_all(dir).unwrap();
        begin(dir);
        git(dir, &["init", "-q", "-b", "main"]);
        git(dir, &["add", "."]);
        git(dir, &["commit", "-q", "-m", "0"]);
    });
    let mut life = Life {
        dice: Dice(0x9e37_79b9_7f4a_7c15),
        modules: BTreeSet::new(),
        objects: BTreeSet::new(),
        data: BTreeSet::new(),
        step: 0,
    };
    twins.build_all("at first");
    for step in 1..=steps {
        let (kind, acts) = life.next();
        let when = format!("step {step}, {kind}");
        twins.both(&|dir| acts.iter().for_each(|act| act.run(dir)));
        if kind == "checkout back and forth" {
            twins.both(&|dir| {
                git(dir, &["add", "-A"]);
                git(dir, &["commit", "-q", "--allow-empty", "-m", "later"]);
                git(dir, &["checkout", "-q", "HEAD~1"]);
            });
            twins.build_all(&format!("{when}, back"));
            twins.both(&|dir| git(dir, &["checkout", "-q", "main"]));
        }
        twins.build_all(&when);
    }
}
