//! What people do by hand: rsync and ssh over one shared master, which we are measured against.

use std::path::Path;
use std::process::{Command, Stdio};

use super::common::home::{Home, shared_key};
use super::common::sshd::Sshd;

/// A shared master to a worker, opened by the first use and closed with this.
pub struct ByHand {
    /// The command line, for a shell and for rsync's `-e`.
    pub ssh: String,
}

pub const HOST: &str = "builder@127.0.0.1";

impl ByHand {
    pub fn new(home: &Home, worker: &Sshd) -> ByHand {
        let control = home.path().join("ctl");
        ByHand {
            ssh: format!(
                "ssh -q -p {} -i {} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes -o ControlMaster=auto -o ControlPersist=60 -o ControlPath={}",
                worker.port,
                shared_key().display(),
                control.display()
            ),
        }
    }

    /// `rsync -a FLAGS FROM TO`, which must succeed.
    pub fn rsync(&self, flags: &[&str], from: &str, to: &str) {
        let mut cmd = Command::new("rsync");
        cmd.args(["-a", "-e", &self.ssh]).args(flags);
        assert!(cmd.args([from, to]).status().unwrap().success());
    }

    /// The project into the worker's `byhand`, as it is.
    pub fn push(&self, project: &Path, flags: &[&str]) {
        let flags = [&["--delete"], flags].concat();
        self.rsync(
            &flags,
            &format!("{}/", project.display()),
            &format!("{HOST}:byhand/"),
        );
    }
}

impl Drop for ByHand {
    fn drop(&mut self) {
        let _ = Command::new("sh")
            .args(["-c", &format!("{} -O exit {HOST}", self.ssh)])
            .stderr(Stdio::null())
            .status();
    }
}
