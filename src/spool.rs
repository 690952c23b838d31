//! A job's output as the agent gets it, on disk: written once, read by every subscriber at its own pace.
//!
//! The file holds `FromDaemon` frames exactly as they go to a client, so that catching up is
//! copying bytes and a slow client costs a file offset, not memory. `rch logs` reads the same file
//! later. It is unlinked only by age (`sweep`), never by the job.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::ids::JobId;
use crate::wire::client::FromDaemon;

/// How much one subscriber is given at a time.
const STEP: usize = 64 << 10;

#[derive(Debug)]
pub struct Spool {
    file: File,
    len: u64,
    scratch: Vec<u8>,
}

/// Where the recorded output of `job` lies.
pub fn path(dir: &Path, job: JobId) -> PathBuf {
    dir.join(format!("{job}.out"))
}

/// The highest number of a job with a record, or 0: the next daemon goes on behind it, or people would
/// be shown another job's output under a number they know.
pub fn last(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let number = |name: OsString| -> Option<u64> {
        let name = name.to_str()?.strip_suffix(".out")?;
        name.strip_prefix('j')?.parse().ok()
    };
    let numbers = entries.filter_map(|e| number(e.file_name()));
    numbers.max().unwrap_or(0)
}

impl Spool {
    /// Starts the record of `job` in `dir`, in place of an older one of that number.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn create(dir: &Path, job: JobId) -> io::Result<Spool> {
        std::fs::create_dir_all(dir)?;
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600);
        Ok(Spool {
            file: options.open(path(dir, job))?,
            len: 0,
            scratch: Vec::new(),
        })
    }

    /// Opens a finished record.
    ///
    /// # Errors
    /// There is none.
    pub fn open(dir: &Path, job: JobId) -> io::Result<Spool> {
        let file = File::open(path(dir, job))?;
        let len = file.metadata()?.len();
        Ok(Spool {
            file,
            len,
            scratch: Vec::new(),
        })
    }

    /// Bytes recorded; always at the end of a whole frame.
    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// # Errors
    /// The disk is full, say; the record then ends before `message`.
    pub fn append(&mut self, message: &FromDaemon) -> io::Result<()> {
        self.scratch.clear();
        message.encode(&mut self.scratch);
        self.file.write_all_at(&self.scratch, self.len)?;
        self.len += self.scratch.len() as u64;
        Ok(())
    }

    /// Copies what stands at `at` to the end of `out`, a step at most, and answers how much that was.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(&self, at: u64, out: &mut Vec<u8>) -> io::Result<u64> {
        let want = STEP.min(usize::try_from(self.len.saturating_sub(at)).unwrap_or(STEP));
        let start = out.len();
        out.resize(start + want, 0);
        let got = self.file.read_at(&mut out[start..], at);
        out.truncate(start + *got.as_ref().unwrap_or(&0));
        got.map(|n| n as u64)
    }
}

/// Removes records older than `age`. Failures are for the next sweep.
pub fn sweep(dir: &Path, age: Duration) {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return;
    };
    let limit = SystemTime::now() - age;
    for entry in entries.flatten() {
        let old = entry
            .metadata()
            .and_then(|m| m.modified())
            .is_ok_and(|t| t < limit);
        if old && entry.path().extension().is_some_and(|e| e == "out") {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_readers_read_the_same_at_their_own_pace() {
        let dir = std::env::temp_dir().join(format!("rch-spool-{}", std::process::id()));
        let mut spool = Spool::create(&dir, JobId(1)).unwrap();
        let (mut fast, mut slow) = (Vec::new(), Vec::new());
        for n in 0..50u8 {
            spool.append(&FromDaemon::Stdout(vec![n; 5000])).unwrap();
            spool.read(fast.len() as u64, &mut fast).unwrap();
        }
        while (slow.len() as u64) < spool.len() {
            assert!(spool.read(slow.len() as u64, &mut slow).unwrap() <= STEP as u64);
        }
        assert_eq!(fast, slow);
        Spool::create(&dir, JobId(12)).unwrap();
        assert_eq!((last(&dir), last(&dir.join("nowhere"))), (12, 0));
        assert_eq!(Spool::open(&dir, JobId(1)).unwrap().len(), spool.len());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
