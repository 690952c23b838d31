//! Nothing left over: looked for whenever all agents have paused, and counted where it can be.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rch::exclude::TEMP_PREFIX;

use super::agent::Agent;
use crate::common::sshd::Sshd;
use crate::common::wait_for;
use crate::kit::{Fleet, REMOTE, go, make, of_home, text, waiting};

/// The budget of an idle daemon is 5 MB, of a small static program. Ours here is neither: 5 MB are its
/// code as far as it has run, and the C library's allocator keeps 15 MB of the busiest moment, spread
/// over the crew's arenas. It reaches that within the first round; what goes on growing passes this.
const RSS_KIB: u64 = 6 * (5 << 10);

/// Records that the daemon keeps, with some that are newer than its last look.
const RECORDS: usize = 2 * rch::spool::KEPT;

/// More than the jobs that can run at once for one project.
const LANES: usize = 4;

#[derive(Default)]
pub struct Watch {
    /// The daemon of the last look.
    daemon: i32,
    /// What an idle one has open beside its links.
    open: Vec<String>,
}

impl Watch {
    /// `mortal`: the daemon may be another one than at the last look.
    pub fn look(&mut self, fleet: &Fleet, agents: &[Agent], mortal: bool) {
        let started = fleet.home.rch(&["daemon", "start"]).output().unwrap();
        assert!(started.status.success(), "{started:?}");
        fleet.quiet();
        self.daemon(fleet, mortal);
        links(fleet);
        self.descriptors();
        fleet.workers.iter().for_each(locks);
        files(fleet, agents);
    }

    fn daemon(&mut self, fleet: &Fleet, mortal: bool) {
        let status = fleet.status();
        let pid = status.daemon.pid;
        let log = fleet.home.log();
        let same = self.daemon == 0 || self.daemon == pid;
        assert!(same || mortal, "the daemon has died\n{log}");
        assert!(!log.contains("BUG"), "{log}");
        self.daemon = pid;
        let over = ["done", "failed", "local", "cancelled"];
        for job in &status.jobs {
            assert!(over.contains(&job.state.as_str()), "{job:?}");
        }
        let rss = status.daemon.rss_kib;
        assert!(rss < RSS_KIB, "an idle daemon has {rss} KiB");
    }

    /// An idle daemon has just as much open as it had at first, and three pipes to each ssh.
    fn descriptors(&mut self) {
        let (pid, known) = (self.daemon, &self.open);
        let (pipes, others) = settled("only what an idle daemon has open", || {
            let (pipes, others): (Vec<_>, Vec<_>) =
                open(pid).into_iter().partition(|n| n == "pipe");
            let links = children(pid).len();
            let fits = pipes.len() == 3 * links && (known.is_empty() || *known == others);
            let seen = format!("{} pipes to {links} children, {others:?}", pipes.len());
            fits.then_some((pipes.len(), others)).ok_or(seen)
        });
        assert!(pipes > 0);
        self.open = others;
    }

    /// All are taken back, and all ends with the daemon.
    pub fn end(&mut self, fleet: &Fleet, agents: &[Agent], long: bool) {
        for worker in fleet.workers.iter().filter(|_| long) {
            works_again(fleet, worker);
        }
        fleet.home.stop();
        wait_for("the last of our processes here", || {
            of_home(&fleet.home).is_empty().then_some(())
        });
        for worker in &fleet.workers {
            wait_for("the last of our processes there", || {
                worker.processes().is_empty().then_some(())
            });
            locks(worker);
        }
        files(fleet, agents);
    }
}

/// As `wait_for`; says what was seen last if it never comes.
fn settled<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    struct Seen(String);
    impl Drop for Seen {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("seen last: {}", self.0);
            }
        }
    }
    let mut last = Seen(String::new());
    wait_for(what, || look().map_err(|seen| last.0 = seen).ok())
}

/// The longest pause after failures is five minutes.
fn works_again(fleet: &Fleet, worker: &Sshd) {
    let dir = fleet.home.project.join(&worker.id);
    waiting(&dir);
    go(worker);
    let env = [REMOTE, ("RCH_WORKER", worker.id.as_str())];
    let try_it = || {
        wait_for("the end of the pause", || {
            let all = fleet.status().workers.into_iter();
            let mut ours = all.filter(|w| w.id == worker.id);
            ours.any(|w| w.retry_ms.is_none_or(|ms| ms < 100_000))
                .then_some(())
        });
        let output = make(&fleet.home, &dir, &env).wait_with_output().unwrap();
        output.status.success().then_some(text(&output.stdout))
    };
    assert_eq!(
        wait_for("a worker to be trusted again", try_it),
        "begun\nover\n"
    );
}

/// What a process has open, by kind or name.
fn open(pid: i32) -> Vec<String> {
    let all = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let name = |path: PathBuf| {
        let text = path.display().to_string();
        let kind = text
            .split_once(":[")
            .filter(|(kind, _)| *kind != "anon_inode");
        kind.map_or(text.clone(), |(kind, _)| kind.to_owned())
    };
    let mut names: Vec<String> = all
        .filter_map(|e| fs::read_link(e.path()).ok().map(name))
        .collect();
    names.sort();
    names
}

fn children(pid: i32) -> Vec<i32> {
    let mut all = vec![];
    for task in fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten() {
        let list = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        all.extend(
            list.split_whitespace()
                .filter_map(|p| p.parse::<i32>().ok()),
        );
    }
    all
}

/// The daemon and its ssh are all that is left here; a worker's sshd and rch-wkr are as many as the
/// daemon knows of.
fn links(fleet: &Fleet) {
    let count = |all: &[(i32, String)], what: &str| {
        all.iter().filter(|(_, line)| line.contains(what)).count()
    };
    settled("nothing but links", || {
        let status = fleet.status();
        let here = of_home(&fleet.home);
        let ssh = here.iter().filter(|(_, l)| l.starts_with("ssh ")).count();
        let mut seen = vec![];
        let mut fits = here.len() == ssh + 1 && count(&here, "/rchd ") == 1;
        for (worker, row) in fleet.workers.iter().zip(&status.workers) {
            let there = worker.processes();
            seen.push((row.sessions, there.clone()));
            let port = format!("-p{} ", worker.port);
            let masters = here
                .iter()
                .filter(|(_, l)| l.contains(" -M ") && l.contains(&port));
            fits &= count(&there, "rch-wkr") == row.sessions as usize;
            fits &= count(&there, "sshd") == masters.count();
        }
        fits.then_some(()).ok_or(format!("{here:#?}\n{seen:#?}"))
    });
    let sockets = fleet.home.path().join(".cache/rch/ssh");
    let masters = || count(&of_home(&fleet.home), " -M ");
    wait_for("control sockets of masters that live", || {
        (names(&sockets).len() <= masters()).then_some(())
    });
}

/// No lane is locked, and there are not many.
fn locks(worker: &Sshd) {
    let projects = worker.home().join(".cache/rch/lanes");
    for project in list(&projects) {
        let lanes = list(&project);
        assert!(lanes.len() <= LANES, "{lanes:?}");
        for lane in lanes {
            // Whoever clears away old lanes holds one for a moment.
            wait_for("a lane to be free", || {
                let lock = File::open(lane.join("lock")).ok()?;
                lock.try_lock().is_ok().then_some(())
            });
        }
    }
}

/// No temporary file, wherever we write; and no more records than are kept.
fn files(fleet: &Fleet, agents: &[Agent]) {
    let cache = fleet.home.path().join(".cache/rch");
    let there = fleet.workers.iter().map(|w| w.home().join(".cache/rch"));
    let dirs = agents.iter().map(|a| a.project.far.clone());
    for dir in dirs.chain(there).chain([cache.clone()]) {
        settled("no temporary files", || {
            let temp = temporary(&dir);
            temp.is_empty().then_some(()).ok_or(format!("{temp:?}"))
        });
    }
    let records = names(&cache.join("jobs")).len();
    assert!(records <= RECORDS, "{records} records");
}

fn temporary(dir: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    for path in list(dir) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !path.is_symlink() {
            found.extend(temporary(&path));
        }
        if name.starts_with(TEMP_PREFIX) || name.contains(".new") || name.ends_with(".tmp") {
            found.push(path);
        }
    }
    found
}

fn names(dir: &Path) -> Vec<String> {
    let all = list(dir).into_iter();
    all.map(|p| p.file_name().unwrap().to_string_lossy().into_owned())
        .collect()
}

fn list(dir: &Path) -> Vec<PathBuf> {
    let all = fs::read_dir(dir).into_iter().flatten().flatten();
    all.map(|e| e.path()).collect()
}
