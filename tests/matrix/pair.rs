//! One pair: a project laid out, a command, where it is called, and which files count.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::common::compare::{Outcome, outcome};
use crate::common::home::{Home, shared_key};
use crate::common::sshd::Sshd;

/// What is compared of the files that a run leaves.
#[derive(Clone, Copy)]
pub enum Keep {
    /// All of the tree, and of target directories what is final: what comes home after a build.
    Final,
    /// Those, and the executables of tests and benchmarks.
    Executables,
    /// Nothing of target directories: what comes home after a check or a test.
    Tree,
}

pub struct Pair<'a> {
    pub lay: &'a dyn Fn(&Path),
    pub argv: &'a [&'a str],
    /// Below the pair's own directory.
    pub cwd: &'a str,
    pub env: &'a [(&'a str, &'a str)],
    pub keep: Keep,
    /// What the command may read.
    pub stdin: &'a str,
    /// With `2>&1`.
    pub merged: bool,
    /// Run here, before the command, in both cases.
    pub before: &'a [&'a str],
    /// Names of files that differ between any two runs.
    pub ignore: &'a [&'a str],
}

/// A group's worker and home.
pub struct Ground {
    _worker: Sshd,
    home: Home,
    name: &'static str,
    count: usize,
}

pub fn ground(name: &'static str) -> Ground {
    let worker = Sshd::start("css", &shared_key());
    let home = Home::with(&format!("matrix-{name}"), &[&worker], 4);
    Ground {
        _worker: worker,
        home,
        name,
        count: 0,
    }
}

impl Pair<'_> {
    pub fn new<'a>(lay: &'a dyn Fn(&Path), argv: &'a [&'a str]) -> Pair<'a> {
        Pair {
            lay,
            argv,
            cwd: "",
            env: &[],
            keep: Keep::Final,
            stdin: "",
            merged: false,
            before: &[],
            ignore: &[],
        }
    }

    fn counts(&self, path: &Path) -> bool {
        let ignored = |name: &std::ffi::OsStr| self.ignore.iter().any(|i| name == *i);
        !path.file_name().is_some_and(ignored) && self.keep.counts(path)
    }
}

impl Ground {
    /// Runs the pair remotely, then locally, compares, and answers the remote outcome.
    pub fn pair(&mut self, pair: &Pair<'_>) -> Outcome {
        self.count += 1;
        let top = self
            .home
            .path()
            .join(format!("{}{}", self.name, self.count));
        let mut sides = vec![];
        let mut story = String::new();
        for remote in [true, false] {
            let _ = std::fs::remove_dir_all(&top);
            std::fs::create_dir_all(top.join(pair.cwd)).unwrap();
            (pair.lay)(&top);
            if let [program, args @ ..] = pair.before {
                let done = self
                    .home
                    .command(program)
                    .args(args)
                    .current_dir(top.join(pair.cwd))
                    .output()
                    .unwrap();
                assert!(done.status.success(), "{:?}: {done:?}", pair.before);
            }
            self.home.project = top.clone();
            let output = self.run(pair, &top.join(pair.cwd), remote);
            story += &self.home.story(pair.argv, &output);
            assert!(
                !remote || output.status.code() != Some(122),
                "was refused\n{story}"
            );
            sides.push(outcome(output, &top, &|path| pair.counts(path)));
        }
        let (local, remote) = (sides.pop().unwrap(), sides.pop().unwrap());
        equal(&remote, &local, &story);
        remote
    }

    fn run(&self, pair: &Pair<'_>, cwd: &Path, remote: bool) -> Output {
        let rch = crate::common::bin("rch");
        let mut argv: Vec<&str> = vec![];
        if remote {
            argv.extend([rch.to_str().unwrap(), "exec", "--"]);
        }
        argv.extend(pair.argv);
        let mut cmd: Command;
        if pair.merged {
            cmd = self.home.command("sh");
            cmd.args(["-c", "exec \"$@\" 2>&1", "sh"]).args(argv);
        } else {
            cmd = self.home.command(argv[0]);
            cmd.args(&argv[1..]);
        }
        cmd.current_dir(cwd).envs(pair.env.iter().copied());
        if remote {
            cmd.env("RCH_REQUIRE_REMOTE", "1");
        }
        let stdin = self.home.path().join("stdin");
        std::fs::write(&stdin, pair.stdin).unwrap();
        cmd.stdin(std::fs::File::open(stdin).unwrap());
        cmd.output().unwrap()
    }
}

impl Keep {
    fn counts(self, path: &Path) -> bool {
        let parts: Vec<&str> = path.iter().filter_map(|p| p.to_str()).collect();
        // The directories that pairs build into.
        let target = parts
            .iter()
            .position(|p| ["target", "out", "elsewhere"].contains(p));
        let Some(at) = target else {
            return true;
        };
        let below = &parts[at + 1..];
        let own = |p: &&str| ["build", "incremental", ".fingerprint", "tmp"].contains(p);
        let name = *parts.last().unwrap();
        match self {
            Keep::Tree => false,
            _ if below.iter().any(own) => false,
            Keep::Executables if below.contains(&"deps") => !name.contains('.'),
            _ => {
                !below.contains(&"deps")
                    && ![".cargo-lock", ".rustc_info.json", ".cargo-build-lock"].contains(&name)
                    && name != ".cargo-artifact-lock"
                    && name != ".rustdoc_fingerprint.json"
            }
        }
    }
}

fn equal(remote: &Outcome, local: &Outcome, story: &str) {
    assert_eq!(remote.stdout, local.stdout, "stdout\n{story}");
    assert_eq!(remote.stderr, local.stderr, "stderr\n{story}");
    assert_eq!(
        (remote.code, remote.signal),
        (local.code, local.signal),
        "status\n{story}"
    );
    let list = |o: &Outcome| -> Vec<(PathBuf, String)> {
        let what = |(mode, content): &(u32, Vec<u8>)| format!("{mode:o} {}", content.len());
        o.files.iter().map(|(p, f)| (p.clone(), what(f))).collect()
    };
    assert_eq!(list(remote), list(local), "files: mode and size\n{story}");
    for (path, file) in &remote.files {
        assert!(
            steady_archive(&file.1) == steady_archive(&local.files[path].1),
            "'{}' differs\n{story}",
            path.display()
        );
    }
}

/// rustc calls an archive's members by a random word, `NAME.WORD.rcgu.o`, different in every run.
fn steady_archive(content: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    const TAIL: &[u8] = b".rcgu.o";
    if !content.starts_with(b"!<arch>\n") {
        return content.into();
    }
    let mut steady = content.to_vec();
    for at in 0..content.len().saturating_sub(TAIL.len()) {
        if content[at..].starts_with(TAIL) {
            let word = content[..at].iter().rposition(|b| *b == b'.').unwrap_or(at);
            steady[word..at].fill(b'*');
        }
    }
    steady.into()
}
