//! The workstation of a test: an empty home with rch in it, and a project.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use rch::client::Daemon;
use rch::wire::client::{Ask, FromDaemon};
use rch::wire::status::Status;

use super::sshd::{Sshd, home_of, key};
use super::{Dir, write};

/// Jobs that wait at all wait for long.
pub const PATIENT: &str = "[compilation]\nqueue_timeout_ms = 600000\n";

pub struct Home {
    dir: Dir,
    pub project: PathBuf,
}

impl Home {
    pub fn new(name: &str) -> Home {
        let dir = Dir::new(name);
        let project = dir.path().join("home/alice/proj");
        std::fs::create_dir_all(&project).unwrap();
        std::fs::create_dir_all(dir.path().join("home/alice/.cargo")).unwrap();
        Home { dir, project }
    }

    /// A home whose fleet is these workers, `slots` each. Jobs wait for them as long as a login takes
    /// on a busy machine.
    pub fn with(name: &str, workers: &[&Sshd], slots: u32) -> Home {
        let home = Home::new(name);
        write(&home.path().join(".config/rch/config.toml"), PATIENT);
        home.fleet(workers, slots);
        home
    }

    pub fn fleet(&self, workers: &[&Sshd], slots: u32) {
        let entries: String = workers
            .iter()
            .map(|w| w.entry(&self.key(), slots))
            .collect();
        write(&self.path().join(".config/rch/workers.toml"), &entries);
    }

    pub fn key(&self) -> PathBuf {
        shared_key()
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().join("home/alice")
    }

    pub fn socket(&self) -> PathBuf {
        self.path().join(".cache/rch/rch.sock")
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path().join(".cache/rch/rchd.log")).unwrap_or_default()
    }

    /// A command with this home's environment, and nothing of the tester's but PATH and toolchain.
    pub fn command(&self, program: &str) -> Command {
        let mut cmd = Command::new(program);
        cmd.env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.path())
            .env("RUSTUP_HOME", home_of("RUSTUP_HOME", ".rustup"))
            .env("CARGO_HOME", self.path().join(".cargo"))
            .env("LANG", "C.UTF-8")
            .current_dir(&self.project)
            .stdin(Stdio::null());
        cmd
    }

    pub fn rch(&self, args: &[&str]) -> Command {
        let mut cmd = self.command(super::bin("rch").to_str().unwrap());
        cmd.args(args);
        cmd
    }

    /// `rch exec -- ARGV`, which must not fall back.
    pub fn exec(&self, argv: &[&str]) -> Output {
        let output = self
            .rch(&["exec", "--"])
            .args(argv)
            .env("RCH_REQUIRE_REMOTE", "1")
            .output()
            .unwrap();
        assert_ne!(
            output.status.code(),
            Some(122),
            "{}",
            self.story(argv, &output)
        );
        output
    }

    /// What a failing test tells.
    pub fn story(&self, argv: &[&str], output: &Output) -> String {
        let list = Command::new("ls")
            .args(["-laR", "--ignore=target"])
            .arg(&self.project)
            .output()
            .unwrap();
        format!(
            "command: {argv:?}\ncwd: {}\nstatus: {:?} signal {:?}\nstdout: {}\nstderr: {}\nlog: {}\nlisting: {}",
            self.project.display(),
            output.status.code(),
            output.status.signal(),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
            self.log(),
            String::from_utf8_lossy(&list.stdout),
        )
    }

    pub fn status(&self) -> Status {
        let mut daemon = Daemon::connect(&self.socket()).expect("rchd runs");
        daemon.ask(&Ask::Status).unwrap();
        match daemon.next(Duration::from_secs(180)).unwrap() {
            FromDaemon::Answer(json) => serde_json::from_slice(&json).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    pub fn daemon_pid(&self) -> i32 {
        self.status().daemon.pid
    }

    pub fn stop(&self) {
        if let Ok(mut daemon) = Daemon::connect(&self.socket()) {
            let _ = daemon.ask(&Ask::Stop);
            while daemon.next(Duration::from_secs(180)).is_ok() {}
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.stop();
        if std::thread::panicking() {
            eprintln!("kept: {}\n{}", self.dir.path().display(), self.log());
        }
    }
}

/// One login key for all tests of a program.
pub fn shared_key() -> PathBuf {
    use std::sync::OnceLock;
    static KEY: OnceLock<(PathBuf, Dir)> = OnceLock::new();
    KEY.get_or_init(|| {
        let dir = Dir::new("key");
        (key(dir.path()), dir)
    })
    .0
    .clone()
}

pub fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
