//! An agent: edits, runs something, and looks whether that went as it would have without rch.

use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use rch::sys::process::{Pid, killpg};
use rch::sys::signal::{SIGINT, SIGTERM};

use super::project::{Project, Tool};
use crate::common::compare::steady;
use crate::common::wait_for;
use crate::kit::{Fleet, Random, text};

/// So many of an agent's last doings are told by a failure.
const TOLD: usize = 12;

pub struct Agent {
    number: u64,
    pub project: Project,
    random: Random,
    /// What it did last.
    doings: Vec<String>,
}

/// Ends whatever it is sent to.
const SIGKILL: i32 = 9;

type Argv = &'static [&'static str];

impl Agent {
    pub fn new(number: u64, project: Project, seed: u64) -> Agent {
        Agent {
            number,
            project,
            random: Random(seed.wrapping_add(number << 8)),
            doings: vec![],
        }
    }

    pub fn step(&mut self, fleet: &Fleet) {
        for _ in 0..=self.random.below(2) {
            let edit = self.project.edit(&mut self.random);
            self.note(edit);
        }
        let (argv, makes) = self.project.command(&mut self.random);
        match self.random.below(10) {
            0..6 => self.plain(fleet, argv, makes, 1),
            6 => self.plain(fleet, argv, makes, 2),
            7 | 8 => self.cancelled(fleet, argv),
            _ => self.unread(fleet, argv),
        }
    }

    fn note(&mut self, doing: String) {
        self.doings.push(doing);
        let old = self.doings.len().saturating_sub(TOLD);
        self.doings.drain(..old);
    }

    fn command(&self, fleet: &Fleet, argv: Argv) -> Command {
        let mut cmd = fleet.home.rch(&["exec", "--"]);
        cmd.args(argv)
            .current_dir(&self.project.far)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        cmd
    }

    fn story(&self, fleet: &Fleet, argv: Argv, far: &Output, near: Option<&Output>) -> String {
        let near = near.map_or(String::new(), |o| format!("locally: {o:?}\n"));
        format!(
            "agent {}, in '{}'\ndid {:#?}\n{near}{}",
            self.number,
            self.project.far.display(),
            self.doings,
            fleet.home.story(argv, far)
        )
    }

    /// As many clients at once as `count`, each of which must be told what a local run tells.
    fn plain(&mut self, fleet: &Fleet, argv: Argv, makes: bool, count: usize) {
        self.note(format!("{count} x {argv:?}"));
        let spawn = |_| self.command(fleet, argv).spawn().unwrap();
        let clients: Vec<Child> = (0..count).map(spawn).collect();
        let fars: Vec<Output> = clients
            .into_iter()
            .map(|c| c.wait_with_output().unwrap())
            .collect();
        // Two makes in one tree are at odds without rch too.
        if count > 1 && fars.iter().any(fell_back) && self.half_made() {
            return;
        }
        let mut local = fleet.home.command(argv[0]);
        let near = local.args(&argv[1..]).current_dir(&self.project.near);
        let near = near.output().unwrap();
        for far in &fars {
            let story = || self.story(fleet, argv, far, Some(&near));
            assert_eq!(far.status.code(), near.status.code(), "{}", story());
            let (said, wanted) = (self.said(far), self.said(&near));
            // Behind a notice: what was begun elsewhere begins anew.
            let again = fell_back(far) && said.ends_with(&wanted);
            assert!(said == wanted || again, "{said:?}\n{wanted:?}\n{}", story());
            assert_eq!(errors(far), errors(&near), "{}", story());
            if makes && near.status.success() {
                let run = |dir: &Path| {
                    let ran = Command::new(self.project.program(dir)).output();
                    ran.map(|o| (o.status.code(), text(&o.stdout))).ok()
                };
                let (ran, wanted) = (run(&self.project.far), run(&self.project.near));
                assert_eq!(ran, wanted, "{}", story());
            }
        }
    }

    /// What it says on stdout, wherever it was built.
    fn said(&self, output: &Output) -> String {
        let mut text = steady(&output.stdout);
        for dir in [&self.project.far, &self.project.near] {
            text = text.replace(&dir.display().to_string(), "HERE");
        }
        text
    }

    /// A client that is stopped at some moment of its job: it ends, and never as one that is done well
    /// unless it is.
    fn cancelled(&mut self, fleet: &Fleet, argv: Argv) {
        let number = [SIGINT, SIGTERM, SIGKILL][self.random.below(3)];
        self.note(format!("{argv:?}, stopped by signal {number}"));
        let client = self.command(fleet, argv).spawn().unwrap();
        // Each takes as long as an answer of the daemon.
        for _ in 0..self.random.below(40) {
            let _ = fleet.home.rch(&["daemon", "status"]).output();
        }
        let pid = i32::try_from(client.id()).unwrap();
        assert!(pid > 1);
        killpg(Pid(pid), number).unwrap();
        let output = client.wait_with_output().unwrap();
        let fits = match (output.status.signal(), output.status.code()) {
            (Some(number), _) => [2, 9, 15].contains(&number),
            // As cargo, make or their shell say it, or as they end without it.
            (_, code) => [0, 1, 2, 101, 130, 137, 143].contains(&code.unwrap()),
        };
        assert!(fits, "{}", self.story(fleet, argv, &output, None));
        self.left(pid);
        if fell_back(&output) {
            self.half_made();
        }
        if output.status.success() && argv[0] == "make" {
            self.plain(fleet, argv, true, 1);
        }
    }

    /// A reader that closes: nobody hears, and the client ends all the same.
    fn unread(&mut self, fleet: &Fleet, argv: Argv) {
        self.note(format!("{argv:?}, unread"));
        let mut client = self.command(fleet, argv).spawn().unwrap();
        let mut stdout = client.stdout.take().unwrap();
        if self.random.below(2) == 0 {
            let _ = stdout.read(&mut [0; 8]);
        }
        drop(stdout);
        let pid = i32::try_from(client.id()).unwrap();
        let output = client.wait_with_output().unwrap();
        self.left(pid);
        if fell_back(&output) {
            self.half_made();
        }
    }

    /// Waits until all that the client became or started here has ended.
    fn left(&self, leader: i32) {
        wait_for("the end of the client's processes", || {
            let asked = Command::new("pgrep")
                .args(["-g", &leader.to_string()])
                .output();
            asked.unwrap().stdout.is_empty().then_some(())
        });
    }

    /// What was stopped here may have left half a product, which only `make` does not notice; true if so.
    fn half_made(&self) -> bool {
        if self.project.tool == Tool::Make {
            self.project.clean();
        }
        self.project.tool == Tool::Make
    }
}

/// Whether it ran here after all, or elsewhere again.
fn fell_back(output: &Output) -> bool {
    text(&output.stderr).lines().any(|l| l.starts_with("rch: "))
}

/// The compiler's errors.
fn errors(output: &Output) -> Vec<String> {
    let stderr = text(&output.stderr);
    let mut lines: Vec<String> = stderr
        .lines()
        .filter(|l| l.starts_with("error") || l.contains(" error: "))
        .map(str::to_owned)
        .collect();
    lines.sort();
    lines.dedup();
    lines
}
