//! ssh masters: started, watched, ended, and found by who goes through them.
//!
//! Eight sessions at most go through one; the ninth would silently be a connection of its own. One
//! that nobody goes through is kept for a while, as ssh's ControlPersist does it. One that belongs to
//! where a worker was before an edit is let live while jobs use it.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{MasterId, Worker};
use crate::client;
use crate::daemon::{Daemon, Key};
use crate::error::{Error, Result};
use crate::ids::JobId;
use crate::master::{self, Master};
use crate::plan::ssh;
use crate::sys::process::{getpid, getuid};
use crate::temp;

/// Control sockets' names begin with it, and go on like those of temporary files.
const CONTROL: &str = "m";

/// Whoever could write where control sockets stand could put a connection of his own in our place.
fn check_ours(dir: &Path) -> Result<()> {
    let meta = dir
        .symlink_metadata()
        .map_err(|e| Error::path("look at", dir, &e))?;
    if meta.is_dir() && meta.uid() == getuid() && meta.mode() & 0o022 == 0 {
        return Ok(());
    }
    let text = format!(
        "others may write in '{}', where ssh's sockets go",
        dir.display()
    );
    Err(Error::new(text).hint(format!("rm -r '{0}', or chmod 700 '{0}'", dir.display())))
}

impl Daemon {
    pub(in crate::daemon) fn with_master(&mut self, id: MasterId, act: impl FnOnce(&mut Master)) {
        let mut masters = self.workers.iter_mut().flat_map(Worker::all_masters);
        if let Some((_, master)) = masters.find(|(m, _)| *m == id) {
            act(master);
        }
    }

    /// A session through it died of silence. If no other lives there, nothing tells that the master
    /// does, and the next session would wait in vain as well: it makes way for a new one.
    pub(super) fn end_hung(&mut self, id: MasterId) {
        let now = self.now;
        if !self.sessions.values().any(|s| s.carrier() == Some(id.0)) {
            self.with_master(id, |master| master.end(now));
        }
    }

    pub(super) fn tend_masters(&mut self, at: usize) {
        let (now, keep) = (self.now, self.persistence());
        let worker = &mut self.workers[at];
        let used = |id: &MasterId| self.sessions.values().any(|s| s.carrier() == Some(id.0));
        let mut failure = None;
        for (id, master) in &mut worker.masters {
            let stood = master.state() == master::State::Ready;
            if let Err(e) = master.tend(now) {
                failure = Some((e, stood));
            }
            master.note_use(used(id), keep, now);
        }
        worker.masters.retain(|(_, m)| !m.is_gone());
        for (id, master) in &mut worker.retired {
            // Its end is no news about where the worker is now.
            let _ = master.tend(now);
            if !used(id) && master.state() != master::State::Dead {
                master.end(now);
            }
        }
        worker.retired.retain(|(_, m)| !m.is_gone());
        let id = worker.conf.id.clone();
        match failure {
            Some((error, true)) => self.idle_lost(&id, &error),
            Some((error, false)) => self.cannot_connect(&id, &error),
            None => {}
        }
    }

    /// A session through a master that has room, or a master.
    pub(super) fn open_ssh(&mut self, at: usize) -> Result<()> {
        let worker = &self.workers[at];
        let id = worker.conf.id.clone();
        let load = |m: MasterId| {
            self.sessions
                .values()
                .filter(|s| s.carrier() == Some(m.0))
                .count()
        };
        let mut ready = worker
            .masters
            .iter()
            .filter(|(_, m)| m.state() == master::State::Ready);
        if let Some((carrier, master)) = ready.find(|(m, _)| load(*m) < ssh::SESSIONS_PER_MASTER) {
            let mut cmd = Command::new("ssh");
            cmd.args(ssh::session(&worker.conf, master.control()));
            let carrier = *carrier;
            let session = self.start(&id, &mut cmd)?;
            self.sessions
                .get_mut(&session)
                .expect("BUG: just started")
                .carried_by(carrier.0);
            return Ok(());
        }
        let connecting = |m: &Master| matches!(m.state(), master::State::Connecting(_));
        if worker.masters.iter().any(|(_, m)| connecting(m)) {
            return Ok(());
        }
        let number = MasterId(self.number());
        let control = self.control_path(number)?;
        let worker = &self.workers[at];
        let alive = self.config.transfer.ssh_server_alive_interval_secs;
        let master = Master::start(
            &ssh::master(&worker.conf, &control, alive),
            &control,
            self.now,
        )?;
        let watched = self
            .poller
            .add(&master.pipes().stdout, Key::Master(number))
            .and_then(|_| self.poller.add(master.child(), Key::MasterErr(number)));
        watched.map_err(|e| Error::os("cannot watch ssh", &e))?;
        self.workers[at].masters.push((number, master));
        Ok(())
    }

    /// A short path for a control socket, in a folder of ours.
    fn control_path(&self, id: MasterId) -> Result<PathBuf> {
        let name = format!("{CONTROL}{}-{}", getpid().0, id.0);
        let [dir, shorter] = self.control_dirs();
        let short = |dir: &Path| dir.as_os_str().len() + name.len() < ssh::CONTROL_PATH_MAX;
        let dir = if short(&dir) { dir } else { shorter };
        client::socket_dir(&dir.join(&name))?;
        check_ours(&dir)?;
        Ok(dir.join(name))
    }

    fn control_dirs(&self) -> [PathBuf; 2] {
        let shorter = format!("rch-{}", getuid());
        [self.cache.join("ssh"), std::env::temp_dir().join(shorter)]
    }

    /// Removes the control sockets of daemons that were killed: their masters died with them.
    pub(in crate::daemon) fn clear_controls(&self) {
        for dir in self
            .control_dirs()
            .iter()
            .filter(|dir| check_ours(dir).is_ok())
        {
            temp::clear(dir, CONTROL);
        }
    }

    /// The control socket of the connection that carries a job; `None` if its worker is not reached by ssh.
    pub(in crate::daemon) fn control_socket(&self, id: JobId) -> Option<PathBuf> {
        let attempt = self.jobs.get(&id)?.attempt.as_ref()?;
        let carrier = self.sessions.get(&attempt.session?)?.carrier()?;
        let worker = self.workers.iter().find(|w| *w.id() == attempt.worker)?;
        let mut masters = worker.masters.iter();
        let (_, master) = masters.find(|(m, _)| m.0 == carrier)?;
        Some(master.control().to_path_buf())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn sockets_go_where_only_we_write() {
        let top = Scratch::new();
        let dir = top.0.join("ssh");
        client::socket_dir(&dir.join("m1-2")).unwrap();
        assert!(check_ours(&dir).is_ok());
        symlink(&dir, top.0.join("link")).unwrap();
        let text = check_ours(&top.0.join("link")).unwrap_err();
        assert!(text.text().starts_with("others may write in '"));
        set_permissions(&dir, Permissions::from_mode(0o777)).unwrap();
        assert!(check_ours(&dir).is_err());
        // Another user's, however closed.
        std::os::unix::fs::chown(&dir, Some(4711), None).unwrap();
        set_permissions(&dir, Permissions::from_mode(0o700)).unwrap();
        assert!(check_ours(&dir).is_err());
    }
}
