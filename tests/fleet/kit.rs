//! What the fleet's tests share: jobs that wait for a word, clients, and a look at everything alive.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use rch::wire::status::{Job, Status, Worker};

pub use crate::common::home::PATIENT;
use crate::common::home::{Home, shared_key};
use crate::common::sshd::Sshd;
use crate::common::{wait_for, write};

pub struct Fleet {
    // Dropped first: the daemon ends before its workers.
    pub home: Home,
    pub workers: Vec<Sshd>,
}

/// Workers `w0`, `w1`, … with `slots` each, and a home that has them all and `config`.
pub fn fleet(name: &str, count: usize, slots: u32, config: &str) -> Fleet {
    let workers: Vec<Sshd> = (0..count)
        .map(|n| Sshd::start(&format!("w{n}"), &shared_key()))
        .collect();
    let home = Home::with(name, &workers.iter().collect::<Vec<_>>(), slots);
    configure(&home, config);
    Fleet { home, workers }
}

pub fn configure(home: &Home, config: &str) {
    write(&home.path().join(".config/rch/config.toml"), config);
}

impl Fleet {
    pub fn status(&self) -> Status {
        self.home.status()
    }

    /// Lets jobs made by `waiting` end, on every worker.
    pub fn go(&self) {
        self.workers.iter().for_each(go);
    }

    pub fn all_up(&self) {
        up(&self.home, self.workers.len());
    }

    /// No job's process anywhere, no slot taken.
    pub fn quiet(&self) {
        for worker in &self.workers {
            nothing_left(worker);
        }
        wait_for("every slot to be free", || {
            let status = self.status();
            let used: u32 = status.workers.iter().map(|w| w.slots_used).sum();
            (used == 0).then_some(())
        });
    }
}

pub fn up(home: &Home, count: usize) {
    let started = home.rch(&["daemon", "start"]).output().unwrap();
    assert!(started.status.success(), "{started:?}");
    wait_for("workers that are up", || {
        let up = |s: &Status| s.workers.iter().filter(|w| w.state == "up").count();
        (up(&home.status()) == count).then_some(())
    });
}

/// Waits until the only worker is in this state, and answers its row.
pub fn stands(home: &Home, state: &str) -> Worker {
    wait_for(&format!("a worker that is {state}"), || {
        let worker = home.status().workers.remove(0);
        (worker.state == state).then_some(worker)
    })
}

pub fn go(worker: &Sshd) {
    write(&worker.home().join("go"), "");
}

pub fn nothing_left(worker: &Sshd) {
    wait_for("the end of the job's processes", || {
        worker.leftovers().is_empty().then_some(())
    });
}

/// A project whose job says `begun`, waits on a worker until `go`, and says `over`; nowhere else does it wait.
pub fn waiting(dir: &Path) {
    write(
        &dir.join("Makefile"),
        "all:\n\t@echo begun\n\t@if [ -d /home/builder ]; then while [ ! -e /home/builder/go ]; do sleep 0.05; done; fi\n\t@echo over\n",
    );
}

/// Starts `rch exec -- make` in `dir`.
pub fn make(home: &Home, dir: &Path, env: &[(&str, &str)]) -> Child {
    let mut cmd = home.rch(&["exec", "--", "make"]);
    cmd.current_dir(dir)
        .envs(env.iter().copied())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    cmd.spawn().unwrap()
}

/// Waits until the agent has the first line of a job made by `waiting`; what it has had is not read
/// again. A job that runs may not have said it yet.
pub fn begun(client: &mut Child) {
    let mut line = [0; b"begun\n".len()];
    client
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut line)
        .unwrap();
    assert_eq!(text(&line), "begun\n");
}

pub const REMOTE: (&str, &str) = ("RCH_REQUIRE_REMOTE", "1");

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// It ran on a worker to a good end, and said this.
pub fn said(home: &Home, output: &Output, stdout: &str) {
    let story = home.story(&["make"], output);
    assert_eq!(text(&output.stdout), stdout, "{story}");
    assert_eq!(output.status.code(), Some(0), "{story}");
}

/// Waits until so many jobs are in this state, and answers them.
pub fn jobs(home: &Home, state: &str, count: usize) -> Vec<Job> {
    wait_for(&format!("{count} jobs {state}"), || {
        let all = home.status().jobs;
        let found: Vec<Job> = all.into_iter().filter(|j| j.state == state).collect();
        (found.len() == count).then_some(found)
    })
}

/// Signals one process. A group is for `killpg`: kill(1) takes a number with a minus for an option, and
/// then ends whatever it may.
pub fn signal(pid: i32, name: &str) {
    assert!(pid > 1, "{pid} is no process of ours");
    let _ = Command::new("kill")
        .args([&format!("-{name}"), &pid.to_string()])
        .stderr(Stdio::null())
        .status();
}

/// Processes here whose command line names a path of this home.
pub fn of_home(home: &Home) -> Vec<(i32, String)> {
    let mark = home.path().display().to_string();
    let mut found = vec![];
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else {
            continue;
        };
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = text(&line).replace('\0', " ");
        if line.contains(&mark) {
            found.push((pid, line));
        }
    }
    found
}

/// xorshift64*: what a seed, which must not be 0, leads to.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % n
    }
}
