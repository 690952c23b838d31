//! A worker that is reached by neither ssh nor as a child of this machine: any command that gives a
//! shell on a node.

use std::os::unix::fs::PermissionsExt;

use crate::common::home::Home;
use crate::common::{bin, wait_for, write};
use crate::kit::{REMOTE, make, said, signal, text};

/// A node with a home of its own, and the program that goes there, as `docker exec` would.
fn node(home: &Home, script: &str) {
    let node = home.path().join("node");
    std::fs::create_dir_all(node.join(".local/bin")).unwrap();
    std::fs::copy(bin("rch-wkr"), node.join(".local/bin/rch-wkr")).unwrap();
    let enter = home.path().join("enter");
    write(&enter, script);
    std::fs::set_permissions(&enter, std::fs::Permissions::from_mode(0o755)).unwrap();
    let entry = format!(
        "[[workers]]\nid = \"pod\"\ntransport = \"command\"\ncommand = [\"{}\", \"exec\", \"-i\", \"pod\"]\ntotal_slots = 2\n",
        enter.display()
    );
    write(&home.path().join(".config/rch/workers.toml"), &entry);
}

const ENTER: &str = "#!/bin/sh\n[ \"$1 $2 $3\" = 'exec -i pod' ] || exit 9\nshift 3\ncd \"$HOME/node\" || exit 9\nexec env -i HOME=\"$HOME/node\" PATH=/usr/local/bin:/usr/bin:/bin \"$@\"\n";

#[test]
fn a_command_that_enters_a_node_is_a_worker() {
    let home = Home::new("command");
    node(&home, ENTER);
    write(
        &home.project.join("Makefile"),
        "all:\n\t@echo $$HOME; pwd; echo 1 > made\n",
    );
    let output = make(&home, &home.project, &[REMOTE])
        .wait_with_output()
        .unwrap();
    let (inside, here) = (home.path().join("node"), home.project.display());
    said(&home, &output, &format!("{}\n{here}\n", inside.display()));
    assert!(home.project.join("made").exists());
    let worker = &home.status().workers[0];
    assert_eq!(
        (worker.transport.as_str(), worker.jobs_done),
        ("command", 1)
    );
}

/// It noisily says things first, dies, and comes back: as with ssh.
#[test]
fn a_noisy_node_that_dies_is_survived() {
    let home = Home::new("noisy");
    node(
        &home,
        &ENTER.replace(
            "shift 3",
            "shift 3; echo Defaulted container to pod; echo warn >&2",
        ),
    );
    write(&home.project.join("Makefile"), "all:\n\t@echo made\n");
    said(
        &home,
        &make(&home, &home.project, &[REMOTE])
            .wait_with_output()
            .unwrap(),
        "made\n",
    );
    for (pid, line) in crate::kit::of_home(&home) {
        if line.contains("rch-wkr") {
            signal(pid, "9");
        }
    }
    wait_for("another session", || {
        let output = make(&home, &home.project, &[REMOTE])
            .wait_with_output()
            .unwrap();
        (text(&output.stdout) == "made\n").then_some(())
    });
}
