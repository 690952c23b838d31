//! A job's output as the agent gets it, on disk: written once, read by every subscriber at its own pace.
//!
//! The file holds `FromDaemon` frames exactly as they go to a client, so that catching up is
//! copying bytes and a slow client costs a file offset, not memory. `rch logs` reads the same file
//! later. It is unlinked by `sweep` only, never by the job.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::ids::JobId;
use crate::wire::client::FromDaemon;

/// Records are kept so long,
const AGE: Duration = Duration::from_secs(72 * 3600);
/// at most so many,
pub const KEPT: usize = 1000;
/// and of no more than so many bytes together.
const KEPT_BYTES: u64 = 1 << 30;

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

/// Makes the record of `job` that of `other` as well, whose own is empty. Who asks for it reads the same.
pub fn share(dir: &Path, job: JobId, other: JobId) {
    let _ = std::fs::remove_file(path(dir, other));
    let _ = std::fs::hard_link(path(dir, job), path(dir, other));
}

/// Removes records that are too old, and of the others the oldest as long as they are too many or too
/// large. Failures are for the next sweep. A job that still writes loses the name of its record, no more.
pub fn sweep(dir: &Path) {
    keep(dir, KEPT, KEPT_BYTES);
}

fn keep(dir: &Path, most: usize, bytes: u64) {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut records: Vec<(SystemTime, u64, PathBuf)> = entries
        .map(|e| (e.path(), e.metadata()))
        .filter(|(path, _)| path.extension().is_some_and(|e| e == "out"))
        .filter_map(|(path, meta)| {
            Some((meta.as_ref().ok()?.modified().ok()?, meta.ok()?.len(), path))
        })
        .collect();
    records.sort_unstable_by(|a, b| b.cmp(a));
    let limit = SystemTime::now() - AGE;
    let mut total = 0;
    for (at, (written, len, path)) in records.iter().enumerate() {
        total += len;
        // The last one is what people ask for, however large.
        if at >= most || *written < limit || (total > bytes && at > 0) {
            let _ = std::fs::remove_file(path);
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

    /// Records went by age alone, and only when a daemon began: one that lived on, or a few jobs with
    /// endless output, filled the disk.
    #[test]
    fn records_are_neither_many_nor_large() {
        let dir = std::env::temp_dir().join(format!("rch-sweep-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let make = |n: u64, len: u64, age: u64| {
            let file = File::create(path(&dir, JobId(n))).unwrap();
            file.set_len(len).unwrap();
            let then = SystemTime::now() - Duration::from_secs(age);
            file.set_modified(then).unwrap();
        };
        let left = || -> Vec<u64> {
            let all = (1..10).filter(|n| path(&dir, JobId(*n)).exists());
            all.collect()
        };
        for n in 1..=5 {
            make(n, 10, 100 - n);
        }
        make(6, 10, AGE.as_secs() + 1);
        keep(&dir, 10, 1000);
        assert_eq!(left(), [1, 2, 3, 4, 5]);
        keep(&dir, 4, 1000);
        assert_eq!(left(), [2, 3, 4, 5]);
        keep(&dir, 4, 25);
        assert_eq!(left(), [4, 5]);
        make(7, 1000, 0);
        keep(&dir, 4, 25);
        assert_eq!(left(), [7]);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
