//! Many at once, and identical ones once.

use rch::wire::status::Totals;

use crate::common::{wait_for, write};
use crate::kit::{PATIENT, REMOTE, begun, fleet, go, jobs, make, said, text, waiting};

/// Four times as many jobs as slots, and none ends before all are there: each runs once, remotely,
/// with its own output; no worker is ever given more than it has; and the daemon stays small.
#[test]
fn sixty_four_jobs_at_once() {
    let fleet = fleet("many", 4, 4, &format!("{PATIENT}build_slots = 1\n"));
    fleet.all_up();
    let children: Vec<_> = (0..64)
        .map(|n| {
            let dir = fleet.home.project.join(format!("p{n}"));
            waiting(&dir);
            let makefile = dir.join("Makefile");
            let waits = std::fs::read_to_string(&makefile).unwrap();
            let more = format!("\t@echo job {n}; pwd; echo {n} > made\n");
            write(&makefile, &(waits + &more));
            (n, dir.clone(), make(&fleet.home, &dir, &[REMOTE]))
        })
        .collect();
    jobs(&fleet.home, "queued", 48);
    assert_eq!(jobs(&fleet.home, "running", 16).len(), 16);
    fleet.go();
    wait_for("the last job", || {
        let status = fleet.status();
        for worker in &status.workers {
            assert!(worker.slots_used <= worker.slots_total, "{worker:?}");
        }
        assert!(
            status.daemon.rss_kib < 32 << 10,
            "{}",
            status.daemon.rss_kib
        );
        (status.totals.remote == 64).then_some(())
    });
    for (n, dir, child) in children {
        let output = child.wait_with_output().unwrap();
        said(
            &fleet.home,
            &output,
            &format!("begun\nover\njob {n}\n{}\n", dir.display()),
        );
        let made = std::fs::read_to_string(dir.join("made")).unwrap();
        assert_eq!(made, format!("{n}\n"));
    }
    let status = fleet.status();
    assert!(status.workers.iter().all(|w| w.jobs_done > 0), "{status:?}");
    assert!(
        status.jobs.iter().all(|j| j.reason.is_empty()),
        "{status:?}"
    );
    assert!(status.totals.sent_bytes > 0 && status.totals.returned_bytes > 0);
    fleet.quiet();
}

fn shared(totals: &Totals, count: u64) -> Option<()> {
    (totals.deduplicated == count).then_some(())
}

/// Sixteen agents ask for the same: the worker does it once, and each has all of the output, its
/// status and its files.
#[test]
fn sixteen_identical_builds_are_one() {
    let fleet = fleet("same", 1, 4, PATIENT);
    fleet.all_up();
    waiting(&fleet.home.project);
    let more = "\t@echo to stderr >&2\n\t@echo x > made\n\t@exit 3\n";
    let makefile = fleet.home.project.join("Makefile");
    let first = std::fs::read_to_string(&makefile).unwrap();
    write(&makefile, &(first + more));
    let children: Vec<_> = (0..16)
        .map(|_| make(&fleet.home, &fleet.home.project, &[REMOTE]))
        .collect();
    wait_for("fifteen to join", || shared(&fleet.status().totals, 15));
    assert_eq!(jobs(&fleet.home, "running", 1)[0].subscribers, 16);
    fleet.go();
    for child in children {
        let output = child.wait_with_output().unwrap();
        let story = fleet.home.story(&["make"], &output);
        assert_eq!(output.status.code(), Some(2), "{story}");
        assert_eq!(text(&output.stdout), "begun\nover\n", "{story}");
        let stderr = text(&output.stderr);
        assert!(stderr.starts_with("to stderr\n"), "{story}");
        assert!(stderr.contains("Error 3"), "{story}");
    }
    assert_eq!(fleet.status().totals.remote, 1);
    assert_eq!(fleet.status().workers[0].jobs_done, 1);
    // Whichever number an agent has read somewhere: it is the one job's record.
    for number in 1..=16 {
        let mut logs = fleet.home.rch(&["logs", &number.to_string()]);
        assert_eq!(text(&logs.output().unwrap().stdout), "begun\nover\n");
    }
    fleet.quiet();
}

/// An edit between two equal commands makes them two.
#[test]
fn a_source_edit_in_between_is_another_job() {
    let fleet = fleet("edit", 1, 8, PATIENT);
    fleet.all_up();
    waiting(&fleet.home.project);
    let first = make(&fleet.home, &fleet.home.project, &[REMOTE]);
    jobs(&fleet.home, "running", 1);
    let makefile = fleet.home.project.join("Makefile");
    let edited = std::fs::read_to_string(&makefile)
        .unwrap()
        .replace("over", "edited");
    write(&makefile, &edited);
    let second = make(&fleet.home, &fleet.home.project, &[REMOTE]);
    jobs(&fleet.home, "running", 2);
    fleet.go();
    said(
        &fleet.home,
        &first.wait_with_output().unwrap(),
        "begun\nover\n",
    );
    said(
        &fleet.home,
        &second.wait_with_output().unwrap(),
        "begun\nedited\n",
    );
    assert_eq!(fleet.status().totals.deduplicated, 0);
}

/// Whoever came first may die; a late one reads from the beginning.
#[test]
fn the_first_clients_death_is_not_the_others() {
    let fleet = fleet("first", 1, 4, PATIENT);
    fleet.all_up();
    waiting(&fleet.home.project);
    let mut first = make(&fleet.home, &fleet.home.project, &[REMOTE]);
    jobs(&fleet.home, "running", 1);
    let second = make(&fleet.home, &fleet.home.project, &[REMOTE]);
    wait_for("the second to join", || shared(&fleet.status().totals, 1));
    first.kill().unwrap();
    first.wait().unwrap();
    wait_for("the first to be missed", || {
        (jobs(&fleet.home, "running", 1)[0].subscribers == 1).then_some(())
    });
    go(&fleet.workers[0]);
    said(
        &fleet.home,
        &second.wait_with_output().unwrap(),
        "begun\nover\n",
    );
    let totals = fleet.status().totals;
    assert_eq!((totals.remote, totals.cancelled), (1, 0));
}

/// Of two builds of one tree with an edit between them the older one's product stayed, if it came first:
/// it was taken for a change of the user's.
#[test]
fn the_product_of_the_newer_sources_stands_there_at_last() {
    let fleet = fleet("others", 1, 8, "");
    let project = &fleet.home.project;
    write(
        &project.join("Makefile"),
        "out: in\n\t@v=`cat in`; echo begun; if [ -d /home/builder ]; then while [ ! -e /home/builder/go-$$v ]; do sleep 0.05; done; fi; echo $$v >out\n",
    );
    let built = || std::fs::read_to_string(project.join("out")).unwrap();
    for (first, second) in [("old1", "new1"), ("new2", "old2")] {
        let mut clients = vec![];
        let mut sources = [first, second];
        // The one with the older sources is started first, whichever lands first.
        sources.sort_unstable_by_key(|v| v.starts_with("new"));
        for version in sources {
            write(&project.join("in"), version);
            let mut client = make(&fleet.home, project, &[REMOTE]);
            begun(&mut client);
            clients.push((version, client));
        }
        for version in [first, second] {
            write(&fleet.workers[0].home().join(format!("go-{version}")), "");
            let at = clients.iter().position(|(v, _)| *v == version).unwrap();
            let output = clients.remove(at).1.wait_with_output().unwrap();
            assert!(output.status.success(), "{output:?}");
            let said = text(&output.stderr);
            let late = version == "old2";
            assert_eq!(said.contains("newer sources"), late, "{version}: {said}");
            assert_eq!(said.is_empty(), !late, "{version}: {said}");
        }
        assert!(
            built().starts_with("new"),
            "{first} came first: {}",
            built()
        );
    }
}
