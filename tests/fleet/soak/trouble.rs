//! What happens to a fleet: orders, restarts, and everything that dies or hangs.

use super::Progress;
use crate::common::write;
use crate::kit::{Fleet, Random, of_home, signal, text};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    Drain,
    /// With other slots.
    Reload,
    /// The sshd processes of its user.
    Connection,
    Worker,
    /// The whole machine stands still for a while.
    Freeze,
    /// All that follows ends the daemon.
    Restart,
    Daemon,
}

const TROUBLES: [Trouble; 7] = [
    Trouble::Drain,
    Trouble::Reload,
    Trouble::Connection,
    Trouble::Worker,
    Trouble::Freeze,
    Trouble::Restart,
    Trouble::Daemon,
];

/// How many of them leave the daemon alone.
const HARMLESS: usize = 5;

/// Goes on until nobody is at work any more, and leaves all as it was.
pub fn make(fleet: &Fleet, progress: &Progress, random: &mut Random, mortal: bool) {
    if mortal {
        strike(fleet, progress, random, Trouble::Daemon);
    }
    while progress.await_steps(1 + random.below(3)) {
        let kinds = if mortal { TROUBLES.len() } else { HARMLESS };
        let trouble = TROUBLES[random.below(kinds)];
        strike(fleet, progress, random, trouble);
    }
}

fn strike(fleet: &Fleet, progress: &Progress, random: &mut Random, trouble: Trouble) {
    let worker = &fleet.workers[random.below(fleet.workers.len())];
    let wait = |random: &mut Random| progress.await_steps(1 + random.below(3));
    let kill_there = |name: &str| {
        let all = worker.processes().into_iter();
        all.filter(|(_, line)| line.contains(name))
            .for_each(|(pid, _)| signal(pid, "9"));
    };
    match trouble {
        Trouble::Drain => {
            order(fleet, &["workers", "drain", &worker.id]);
            wait(random);
            order(fleet, &["workers", "enable", &worker.id]);
        }
        Trouble::Reload => {
            let file = fleet.home.path().join(".config/rch/workers.toml");
            let before = std::fs::read_to_string(&file).unwrap();
            let slots = format!("total_slots = {}", 1 + random.below(4));
            write(&file, &before.replacen("total_slots = 4", &slots, 2));
            order(fleet, &["daemon", "reload"]);
            wait(random);
            write(&file, &before);
            order(fleet, &["daemon", "reload"]);
        }
        Trouble::Connection => kill_there("sshd"),
        Trouble::Worker => kill_there("rch-wkr"),
        Trouble::Freeze => {
            worker.freeze(true);
            wait(random);
            worker.freeze(false);
        }
        Trouble::Restart => order(fleet, &["daemon", "restart"]),
        Trouble::Daemon => {
            let all = of_home(&fleet.home).into_iter();
            all.filter(|(_, line)| line.contains("/rchd "))
                .for_each(|(pid, _)| signal(pid, "9"));
        }
    }
}

fn order(fleet: &Fleet, args: &[&str]) {
    // The daemon may have been killed just before.
    let output = fleet.home.rch(&["daemon", "start"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let output = fleet.home.rch(args).output().unwrap();
    let said = text(&output.stderr);
    assert!(
        output.status.success(),
        "{args:?}: {said}\n{}",
        fleet.home.log()
    );
}
