//! Names of files that have not got theirs yet: whose making they are, and which of that maker's.
//!
//! The maker is in the name because two daemons may write in one directory, and because what a killed
//! one has left can be told from what another is just writing.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::sys::process::{self, Pid};

/// What rch's own files are called before they take their names begins with it.
pub const NEW: &str = ".new";

/// A name that nobody else has: `prefix`, this process, and a number.
pub fn name(prefix: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{prefix}{}-{number}", process::getpid().0)
}

/// Removes from `dir` what processes that are no more have left. For one that has just begun and has made
/// none there: of its own number it was another.
pub fn clear(dir: &Path, prefix: &str) {
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten();
    for file in files.filter(|f| is_leftover(prefix, &f.file_name())) {
        let _ = std::fs::remove_file(file.path());
    }
}

fn is_leftover(prefix: &str, name: &OsStr) -> bool {
    let rest = name.to_str().and_then(|n| n.strip_prefix(prefix));
    let maker = rest.and_then(|r| r.split_once('-')?.0.parse().ok());
    maker.is_some_and(|pid: i32| pid > 0 && (Pid(pid) == process::getpid() || is_gone(Pid(pid))))
}

/// One that its parent has not fetched yet has gone too.
fn is_gone(pid: Pid) -> bool {
    // Its name is in parentheses, and may hold any; proc_pid_stat(5).
    let state = |stat: String| {
        stat.rsplit(") ")
            .next()
            .is_some_and(|s| s.starts_with(['Z', 'X']))
    };
    match std::fs::read_to_string(format!("/proc/{}/stat", pid.0)) {
        Ok(stat) => state(stat),
        Err(e) => matches!(e.kind(), ErrorKind::NotFound),
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::sys::fd::{Watch, poll};

    #[test]
    fn names_differ_and_tell_whether_their_maker_lives() {
        assert_ne!(name(NEW), name(NEW));
        let mut child = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let of = |pid: u32| format!(".new{pid}-7");
        let left = |name: &str| is_leftover(NEW, OsStr::new(name));
        assert!(!left(&of(child.id())));
        child.kill().unwrap();
        // Not fetched, and fetched.
        let ended = process::pidfd_open(Pid(child.id() as i32)).unwrap();
        let watch = Watch {
            fd: ended.as_fd(),
            read: true,
            write: false,
        };
        poll(&[watch], None).unwrap();
        assert!(left(&of(child.id())));
        child.wait().unwrap();
        assert!(left(&of(child.id())));
        assert!(left(&name(NEW)));
        for other in [
            "", ".new", ".new-1", ".new0-1", ".newx-1", ".new-5-1", "new5-1",
        ] {
            assert!(!left(other), "{other}");
        }
    }
}
