//! What each lane of each worker holds, on disk: one file per lane with the manifest's id in front.
//!
//! Only the ids are kept in memory; a manifest of a hundred thousand files is read by the crew, and only
//! if the digest behind the id says that there is a difference. Written by temporary file and rename, so that what is there is whole; a
//! record that is lost costs a repair of the lane, nothing else. Files survive the daemon.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use crate::error::{Error, Result};
use crate::ids::{Family, JobId, LaneKey, ManifestId, WorkerId};
use crate::manifest::Manifest;
use crate::temp;

/// A record that was not replaced for so long is of a worker that has left the fleet, or has no such lane
/// any more: workers keep them for days.
const KEPT: Duration = Duration::from_hours(90 * 24);

/// A lane as this daemon last left it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    pub key: LaneKey,
    pub number: u16,
    pub holds: ManifestId,
    /// The job that has it now.
    pub busy: Option<JobId>,
    /// The job that had it last.
    last: JobId,
}

#[derive(Debug)]
pub struct Lanebook {
    dir: PathBuf,
    /// By worker and project.
    lanes: HashMap<(WorkerId, Family), Vec<Lane>>,
    pens: u64,
    written: Arc<Written>,
}

/// A lane's record, to be read by the crew once all that was to be written has been.
#[derive(Debug, Clone)]
pub struct Record {
    path: PathBuf,
    written: Arc<Written>,
}

/// Writes one record once, on whichever thread. Pens are numbered in the order in which they were taken:
/// the crew may be late with one, and must not put an older record in the place of a newer.
#[derive(Debug)]
pub struct Pen {
    record: Record,
    number: u64,
}

/// What becomes of the records on the crew's threads.
#[derive(Debug, Default)]
struct Written {
    records: Mutex<HashMap<PathBuf, Writing>>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Writing {
    /// Pens that were taken and not yet put back.
    pens: u32,
    /// The latest that wrote.
    last: u64,
}

impl Written {
    fn lock(&self) -> MutexGuard<'_, HashMap<PathBuf, Writing>> {
        self.records.lock().expect("BUG: a pen's thread panicked")
    }
}

impl Lanebook {
    /// Reads the ids of all records in `dir`. Unreadable ones do not count.
    pub fn open(dir: PathBuf) -> Lanebook {
        let mut book = Lanebook {
            dir,
            lanes: HashMap::new(),
            pens: 0,
            written: Arc::default(),
        };
        temp::clear(&book.dir, temp::NEW);
        temp::clear(&memories(&book.dir), temp::NEW);
        let files = fs::read_dir(&book.dir).into_iter().flatten().flatten();
        // The one used last comes last, as `kin` takes it.
        let mut files: Vec<(Option<SystemTime>, PathBuf)> = files
            .map(|f| (f.metadata().and_then(|m| m.modified()).ok(), f.path()))
            .collect();
        files.sort();
        let limit = SystemTime::now() - KEPT;
        for (written, path) in files {
            if written.is_some_and(|t| t < limit) && path.is_file() {
                let _ = fs::remove_file(memory(&path));
                let _ = fs::remove_file(path);
                continue;
            }
            if let Some((worker, key, number)) = parse(&path)
                && let Some(Head { holds, .. }) = Head::read(&path)
            {
                let lane = Lane {
                    key,
                    number,
                    holds,
                    busy: None,
                    last: JobId(0),
                };
                book.lanes
                    .entry((worker, key.family()))
                    .or_default()
                    .push(lane);
            }
        }
        book
    }

    /// Every lane of the project on the worker, whatever its other roots.
    fn family(&self, worker: &WorkerId, key: LaneKey) -> &[Lane] {
        let found = self.lanes.get(&(worker.clone(), key.family()));
        found.map_or(&[], Vec::as_slice)
    }

    /// Every lane of the project, wherever it is and whatever its other roots.
    pub fn everywhere(&self, key: LaneKey) -> Vec<(WorkerId, LaneKey, u16)> {
        let families = self.lanes.iter();
        let of_project = families.filter(|((_, family), _)| *family == key.family());
        of_project
            .flat_map(|((worker, _), lanes)| {
                lanes.iter().map(|l| (worker.clone(), l.key, l.number))
            })
            .collect()
    }

    /// An idle lane whose contents are known.
    pub fn idle(&self, worker: &WorkerId, key: LaneKey) -> Option<&Lane> {
        let mut family = self.family(worker, key).iter();
        family.find(|l| l.key == key && l.busy.is_none())
    }

    /// The idle lane used last of the same project with other roots, of which a new lane can be made.
    pub fn kin(&self, worker: &WorkerId, key: LaneKey) -> Option<&Lane> {
        let family = self.family(worker, key).iter();
        let idle = family.filter(|l| l.key != key && l.busy.is_none());
        idle.max_by_key(|lane| lane.last)
    }

    /// Whether a job would find most of what it needs.
    pub fn is_warm(&self, worker: &WorkerId, key: LaneKey) -> bool {
        let mut family = self.family(worker, key).iter();
        family.any(|lane| lane.busy.is_none())
    }

    /// How many lanes there are known.
    pub fn count(&self, worker: &WorkerId) -> usize {
        let there = self.lanes.iter().filter(|((w, _), _)| w == worker);
        there.map(|(_, lanes)| lanes.len()).sum()
    }

    /// Idle lanes that the worker has no more, if `there` are all that it has.
    pub fn gone(&self, worker: &WorkerId, there: &[(LaneKey, u16)]) -> Vec<(LaneKey, u16)> {
        let there: HashSet<&(LaneKey, u16)> = there.iter().collect();
        let of_worker = self.lanes.iter().filter(|((w, _), _)| w == worker);
        let idle = of_worker.flat_map(|(_, lanes)| lanes.iter().filter(|l| l.busy.is_none()));
        idle.map(|lane| (lane.key, lane.number))
            .filter(|place| !there.contains(place))
            .collect()
    }

    /// Marks the lane as a job's own.
    pub fn take(&mut self, worker: &WorkerId, key: LaneKey, number: u16, job: JobId) {
        if let Some(lane) = self.lane(worker, key, number) {
            lane.busy = Some(job);
            lane.last = job;
        }
    }

    /// The lane now holds `holds`, and a job has it.
    pub fn set(
        &mut self,
        worker: &WorkerId,
        key: LaneKey,
        number: u16,
        holds: ManifestId,
        job: JobId,
    ) {
        let now = Lane {
            key,
            number,
            holds,
            busy: Some(job),
            last: job,
        };
        match self.lane(worker, key, number) {
            Some(lane) => *lane = now,
            None => {
                let lanes = self.lanes.entry((worker.clone(), key.family()));
                lanes.or_default().push(now);
            }
        }
    }

    /// A job is done with its lanes.
    pub fn free(&mut self, job: JobId) {
        for lane in self
            .lanes
            .values_mut()
            .flatten()
            .filter(|l| l.busy == Some(job))
        {
            lane.busy = None;
        }
    }

    /// What the lane holds is not known any more.
    pub fn forget(&mut self, worker: &WorkerId, key: LaneKey, number: u16) {
        if let Some(lanes) = self.lanes.get_mut(&(worker.clone(), key.family())) {
            lanes.retain(|l| (l.key, l.number) != (key, number));
        }
        let record = self.path(worker, key, number);
        // No pen that is out may bring it back.
        self.pens += 1;
        if let Some(writing) = self.written.lock().get_mut(&record) {
            writing.last = self.pens;
        }
        let _ = fs::remove_file(memory(&record));
        let _ = fs::remove_file(record);
    }

    fn lane(&mut self, worker: &WorkerId, key: LaneKey, number: u16) -> Option<&mut Lane> {
        let lanes = self.lanes.get_mut(&(worker.clone(), key.family()))?;
        lanes
            .iter_mut()
            .find(|l| (l.key, l.number) == (key, number))
    }

    pub fn record(&self, worker: &WorkerId, key: LaneKey, number: u16) -> Record {
        Record {
            path: self.path(worker, key, number),
            written: self.written.clone(),
        }
    }

    /// For the record of a lane as it is now. Its work must be given to the crew at once: what reads
    /// the record waits for it.
    pub fn pen(&mut self, worker: &WorkerId, key: LaneKey, number: u16) -> Pen {
        self.pens += 1;
        let record = self.record(worker, key, number);
        let mut records = self.written.lock();
        records.entry(record.path.clone()).or_default().pens += 1;
        drop(records);
        Pen {
            record,
            number: self.pens,
        }
    }

    /// Where the record of a lane lies.
    pub fn path(&self, worker: &WorkerId, key: LaneKey, number: u16) -> PathBuf {
        self.dir.join(format!("{key}-{number}@{worker}"))
    }
}

/// Where what came home from a lane is remembered, given its record.
pub fn memory(record: &Path) -> PathBuf {
    let dir = memories(record.parent().unwrap_or(Path::new("/")));
    dir.join(record.file_name().unwrap_or_default())
}

/// Where they lie, given where the records do.
fn memories(records: &Path) -> PathBuf {
    records.join("home")
}

fn parse(path: &Path) -> Option<(WorkerId, LaneKey, u16)> {
    let (lane, worker) = path.file_name()?.to_str()?.split_once('@')?;
    let (key, number) = lane.split_once('-')?;
    let key = LaneKey::parse(key)?;
    Some((WorkerId::new(worker), key, number.parse().ok()?))
}

/// What a record begins with.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    holds: ManifestId,
    /// The manifest's, whose entries follow.
    digest: [u8; 16],
    /// Whether a tree of the same digest is beyond doubt the same: no entry is racy.
    settled: bool,
}

impl Head {
    const LEN: usize = 33;

    fn encode(&self) -> Vec<u8> {
        [&self.holds.0[..], &self.digest, &[u8::from(self.settled)]].concat()
    }

    fn decode(bytes: &[u8]) -> Option<Head> {
        let (holds, rest) = bytes.split_first_chunk()?;
        let (digest, rest) = rest.split_first_chunk()?;
        Some(Head {
            holds: ManifestId(*holds),
            digest: *digest,
            settled: *rest.first()? == 1,
        })
    }

    fn read(path: &Path) -> Option<Head> {
        let mut bytes = [0; Head::LEN];
        fs::File::open(path).ok()?.read_exact(&mut bytes).ok()?;
        Head::decode(&bytes)
    }
}

impl Record {
    /// When no pen is out any more.
    fn at_rest(&self) -> &Path {
        let busy = |records: &mut HashMap<PathBuf, Writing>| {
            records.get(&self.path).is_some_and(|w| w.pens > 0)
        };
        let waited = self.written.changed.wait_while(self.written.lock(), busy);
        drop(waited.expect("BUG: a pen's thread panicked"));
        &self.path
    }

    /// Whether it is the one named and its lane holds just what a manifest with this digest says. A
    /// large tree of which nothing changed need not be read for that.
    pub fn is_settled(&self, holds: ManifestId, digest: [u8; 16]) -> bool {
        let settled = Head {
            holds,
            digest,
            settled: true,
        };
        Head::read(self.at_rest()) == Some(settled)
    }

    /// Its manifest, if it is the one named.
    ///
    /// # Errors
    /// It is not, or cannot be read: the lane must be repaired.
    pub fn load(&self, holds: ManifestId) -> Result<Manifest> {
        self.at_rest();
        self.peek(holds)
    }

    /// As `load`, of what stands there now: whoever only tells about it need not wait for a pen.
    ///
    /// # Errors
    /// As `load`, and it may only be late.
    pub fn peek(&self, holds: ManifestId) -> Result<Manifest> {
        let path = &self.path;
        let bytes = fs::read(path).map_err(|e| Error::path("read", path, &e))?;
        let garbled = || {
            Error::new(format!(
                "'{}' is not the record of this lane",
                path.display()
            ))
        };
        let (head, manifest) = bytes.split_at_checked(Head::LEN).ok_or_else(garbled)?;
        if Head::decode(head).is_none_or(|head| head.holds != holds) {
            return Err(garbled());
        }
        Manifest::decode(manifest).map_err(|_| garbled())
    }
}

impl Pen {
    /// Replaces the record, unless a later pen has.
    ///
    /// # Errors
    /// The disk is full, say; the old record is then gone too, because it is no longer true.
    pub fn store(self, holds: ManifestId, manifest: &Manifest) -> Result<()> {
        let head = Head {
            holds,
            digest: manifest.digest(),
            settled: manifest.racy() == 0,
        };
        let mut bytes = head.encode();
        bytes.extend_from_slice(&manifest.encode());
        replace(&self.record.path, &bytes, |rename| {
            // Held for a moment only: the daemon's loop takes pens.
            let mut records = self.record.written.lock();
            let writing = records.entry(self.record.path.clone()).or_default();
            if writing.last > self.number {
                return Ok(());
            }
            writing.last = self.number;
            rename()
        })
    }
}

impl Drop for Pen {
    fn drop(&mut self) {
        let mut records = self.record.written.lock();
        if let Some(writing) = records.get_mut(&self.record.path) {
            writing.pens -= 1;
            // Whoever takes the next has a higher number than all of these.
            if writing.pens == 0 {
                records.remove(&self.record.path);
            }
        }
        self.record.written.changed.notify_all();
    }
}

/// Replaces what is remembered of a lane.
///
/// # Errors
/// As `store`.
pub fn remember(record: &Path, bytes: &[u8]) -> Result<()> {
    replace(&memory(record), bytes, |rename| rename())
}

/// Writes a file beside `path`, which `place` then may let take its name.
fn replace(
    path: &Path,
    bytes: &[u8],
    place: impl FnOnce(&dyn Fn() -> io::Result<()>) -> io::Result<()>,
) -> Result<()> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    // Two of the crew may be at it, and a name that is no record's is passed over by `open`.
    let temp = dir.join(temp::name(temp::NEW));
    let written = fs::create_dir_all(dir).and_then(|()| fs::write(&temp, bytes));
    let placed = written.and_then(|()| place(&|| fs::rename(&temp, path)));
    let _ = fs::remove_file(&temp);
    placed.map_err(|e| {
        let _ = fs::remove_file(path);
        Error::path("write", path, &e)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives_the_daemon_and_names_what_it_is() {
        let dir = std::env::temp_dir().join(format!("rch-lanebook-{}", std::process::id()));
        let (worker, key) = (WorkerId::new("css-1"), LaneKey([7; 16]));
        let mut book = Lanebook::open(dir.clone());
        let record = book.record(&worker, key, 3);
        let (early, late) = (book.pen(&worker, key, 3), book.pen(&worker, key, 3));
        let (first, second) = (ManifestId([1; 16]), ManifestId([2; 16]));
        late.store(first, &Manifest::default()).unwrap();
        // Whoever reads waits for the pen that is still out, which is too late to write anything.
        assert!(record.peek(first).is_ok() && record.peek(second).is_err());
        let reader = std::thread::spawn({
            let record = record.clone();
            move || record.load(first).is_ok()
        });
        early.store(second, &Manifest::default()).unwrap();
        assert!(reader.join().unwrap());
        book.set(&worker, key, 3, ManifestId([1; 16]), JobId(1));
        assert_eq!(book.idle(&worker, key), None);
        book.free(JobId(1));
        let reopened = Lanebook::open(dir.clone());
        let known = |book: &Lanebook| book.idle(&worker, key).map(|l| (l.number, l.holds));
        assert_eq!(known(&reopened), known(&book));
        assert_eq!(known(&book), Some((3, first)));
        let digest = Manifest::default().digest();
        assert!(record.is_settled(first, digest));
        assert!(!record.is_settled(second, digest));
        assert!(!record.is_settled(first, [0; 16]));
        assert!(record.load(second).is_err());
        // Nothing is kept of pens that are back, however many lanes there were.
        assert!(book.written.lock().is_empty());
        let out = book.pen(&worker, key, 3);
        book.forget(&worker, key, 3);
        out.store(first, &Manifest::default()).unwrap();
        assert_eq!(known(&Lanebook::open(dir.clone())), None);
        assert!(book.written.lock().is_empty());
        fs::remove_dir_all(dir).unwrap();
    }

    /// Of workers that had been removed, records lay there and were read at every start, for ever.
    #[test]
    fn a_record_of_long_ago_is_forgotten() {
        let dir = std::env::temp_dir().join(format!("rch-ago-{}", std::process::id()));
        let (worker, key) = (WorkerId::new("css-1"), LaneKey([7; 16]));
        let mut book = Lanebook::open(dir.clone());
        for (number, age) in [(0, KEPT / 2), (1, KEPT * 2)] {
            let pen = book.pen(&worker, key, number);
            pen.store(ManifestId([1; 16]), &Manifest::default())
                .unwrap();
            let path = book.path(&worker, key, number);
            remember(&path, b"").unwrap();
            let record = fs::File::open(path).unwrap();
            record.set_modified(SystemTime::now() - age).unwrap();
        }
        let known = Lanebook::open(dir.clone()).everywhere(key);
        assert_eq!(known, [(worker.clone(), key, 0)]);
        let left = |dir: &Path| fs::read_dir(dir).unwrap().count();
        assert_eq!((left(&dir), left(&memories(&dir))), (2, 1));
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_copy_is_made_of_the_lane_used_last_with_other_roots() {
        let dir = std::env::temp_dir().join(format!("rch-kin-{}", std::process::id()));
        let worker = WorkerId::new("css-1");
        let key = |family, others| {
            let mut key = [family; 16];
            key[8..].fill(others);
            LaneKey(key)
        };
        let mut book = Lanebook::open(dir);
        let id = ManifestId([1; 16]);
        for (job, key) in [
            (1, key(1, 1)),
            (3, key(1, 2)),
            (2, key(1, 3)),
            (4, key(2, 4)),
        ] {
            book.set(&worker, key, 0, id, JobId(job));
        }
        let of = |book: &Lanebook, others| book.kin(&worker, key(1, others)).map(|l| l.key);
        assert_eq!(of(&book, 9), None);
        (1..5).for_each(|job| book.free(JobId(job)));
        assert_eq!(of(&book, 9), Some(key(1, 2)));
        assert_eq!(of(&book, 2), Some(key(1, 3)));
        assert_eq!(of(&book, 1), Some(key(1, 2)));
        assert!(book.is_warm(&worker, key(1, 9)) && !book.is_warm(&worker, key(3, 1)));
    }

    /// A worker whose lane had been collected was preferred for it for ever.
    #[test]
    fn a_lane_that_the_worker_has_no_more_is_not_warm() {
        let dir = std::env::temp_dir().join(format!("rch-gone-{}", std::process::id()));
        let (here, other) = (WorkerId::new("css-1"), WorkerId::new("css-2"));
        let key = |n| LaneKey([n; 16]);
        let mut book = Lanebook::open(dir);
        let id = ManifestId([1; 16]);
        for (worker, n, number, job) in [
            (&here, 1, 0, 1),
            (&here, 1, 1, 2),
            (&here, 2, 0, 1),
            (&here, 3, 0, 3),
            (&other, 2, 0, 1),
        ] {
            book.set(worker, key(n), number, id, JobId(job));
        }
        (1..3).for_each(|job| book.free(JobId(job)));
        let there = [(key(1), 0), (key(9), 0)];
        let mut gone = book.gone(&here, &there);
        gone.sort_by_key(|(key, _)| key.0);
        // One that a job has is younger than the list, perhaps.
        assert_eq!(gone, [(key(1), 1), (key(2), 0)]);
        for (key, number) in gone {
            book.forget(&here, key, number);
        }
        assert!(book.is_warm(&here, key(1)) && book.is_warm(&other, key(2)));
        assert!(!book.is_warm(&here, key(2)));
        assert_eq!(book.idle(&here, key(1)).map(|l| l.number), Some(0));
    }
}
