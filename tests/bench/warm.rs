//! A warm one-line edit of a real crate with its dependencies: `rch exec` against the script that
//! people write by hand, `rsync && ssh cargo build && rsync` over a shared ssh master. The remote
//! compile's own time is taken off both, so what is compared is what each adds.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::byhand::{ByHand, HOST};
use super::common::home::{Home, shared_key};
use super::common::sshd::Sshd;
use super::common::write;
use super::{median, ms, row, timed};

const ROUNDS: usize = 21;

/// globset has five dependencies; all it names is vendored into the project, so that neither side
/// needs a network.
fn project(home: &Home) -> PathBuf {
    let fetch = home.path().join("fetch");
    write(
        &fetch.join("Cargo.toml"),
        "[package]\nname = \"fetch\"\nversion = \"0.0.0\"\nedition = \"2021\"\n[lib]\npath = \"lib.rs\"\n[dependencies]\nglobset = \"0.4\"\n",
    );
    write(&fetch.join("lib.rs"), "");
    vendor(&fetch);
    let project = home.project.clone();
    succeed(
        Command::new("cp")
            .arg("-a")
            .arg(fetch.join("vendor/globset/."))
            .arg(&project),
    );
    let manifest = std::fs::read_to_string(project.join("Cargo.toml")).unwrap();
    write(
        &project.join("Cargo.toml"),
        &format!("{manifest}\n[workspace]\nexclude = [\"vendor\"]\n"),
    );
    let _ = std::fs::remove_file(project.join("Cargo.lock"));
    vendor(&project);
    write(
        &project.join(".cargo/config.toml"),
        "[source.crates-io]\nreplace-with = \"vendored\"\n[source.vendored]\ndirectory = \"vendor\"\n",
    );
    project
}

/// With the tester's own cargo home, which may reach a registry.
fn vendor(dir: &Path) {
    succeed(
        Command::new("cargo")
            .args(["vendor", "--quiet"])
            .current_dir(dir)
            .stdout(Stdio::null()),
    );
}

fn succeed(cmd: &mut Command) {
    let out = cmd.output().unwrap();
    assert!(
        out.status.success(),
        "{cmd:?}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
}

/// The whole script; answers the remote compile's own milliseconds.
fn script(home: &Home, byhand: &ByHand) -> f64 {
    let (dir, ssh) = (home.project.display(), &byhand.ssh);
    let script = format!(
        "rsync -a --delete --exclude target -e '{ssh}' {dir}/ {HOST}:byhand/ && \
             {ssh} {HOST} 'cd byhand && a=$(date +%s%N) && ~/.cargo/bin/cargo build --offline -q && b=$(date +%s%N) && echo $((b - a))' && \
             rsync -a -e '{ssh}' {HOST}:byhand/target/debug/libglobset.rlib {dir}/byhand.rlib"
    );
    let out = home.command("sh").args(["-c", &script]).output().unwrap();
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    String::from_utf8_lossy(&out.stdout)
        .trim()
        .parse::<f64>()
        .unwrap()
        / 1e6
}

fn edit(project: &Path, n: usize) {
    let path = project.join("src/lib.rs");
    let text = std::fs::read_to_string(&path).unwrap();
    let text = text.split("\n// edit").next().unwrap();
    write(
        &path,
        &format!("{text}\n// edit {n}\n/// Edited.\npub fn edited() -> usize {{ {n} }}\n"),
    );
}

pub fn run_once(home: &Home) -> (f64, f64) {
    let total = timed(|| {
        let out = home.exec(&["cargo", "build", "--offline", "-q"]);
        assert!(out.status.success(), "{}", home.story(&[], &out));
    });
    (ms(total), home.status().jobs[0].remote_ms as f64)
}

pub fn run() {
    let worker = Sshd::start("css", &shared_key());
    let home = Home::with("bench", &[&worker], 4);
    let project = project(&home);
    write(&project.join(".rchignore"), "byhand.rlib\n");
    let byhand = ByHand::new(&home, &worker);
    run_once(&home);
    script(&home, &byhand);
    let (mut ours, mut theirs) = (vec![], vec![]);
    for n in 0..ROUNDS {
        edit(&project, n);
        let (total, compile) = run_once(&home);
        ours.push(total - compile);
        let mut compile = 0.0;
        let total = timed(|| compile = script(&home, &byhand));
        theirs.push(ms(total) - compile);
    }
    let (ours, theirs) = (median(ours), median(theirs));
    row(
        "warm one-line edit, overhead / by hand",
        ours / theirs,
        0.5,
        &format!("{ours:.1} ms / {theirs:.1} ms, median of {ROUNDS}"),
    );
}
