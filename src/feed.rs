//! Turns a difference between manifests into the messages that bring a lane up to date.
//!
//! A feed is asked for one piece after the other and never holds more than a piece, whatever the
//! size of the files; the daemon asks again when the session has taken the last one. It travels
//! between the daemon and its crew, so it owns all it needs.
//!
//! Files may change while they are read. Each is looked at before and after; one that changed is
//! sent again, whole, after the others, and what was sent in the end is told in `Fed`, so that the
//! daemon's manifest holds what the lane holds. The receiver is always given exactly as many bytes
//! as were announced: a file that shrank is filled up with zeros, and its second sending puts that
//! right.
//!
//! A file that counts as changed only because it was racy is read first, and not sent if its content
//! is what was sent before: sent anew it would be dated anew, and be built anew for nothing.

pub mod held;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use crate::bytes::Hash;
use crate::error::{Error, Result};
use crate::manifest::{Changes, Entry, Kind, Manifest};
use crate::roots::{Project, Root};
use crate::sys::fs as beneath;
use crate::time::{self, Stamp};
use crate::wire::worker::{self, Name, Put, ToWorker};
use crate::wire::{CHUNK, pack};

/// How often a file is sent before it is given up.
const TRIES: u8 = 6;

/// What was sent in the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fed {
    /// Entries that differ from the manifest's, as they were sent: for `Manifest::updated`.
    pub fresh: Vec<(Name, Entry)>,
    /// What vanished in the meantime.
    pub gone: Vec<Name>,
    /// Entries put.
    pub files: u32,
    /// Content, before compression.
    pub bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Call again.
    More,
    /// Nothing more; not to be called again.
    Done(Fed),
}

#[derive(Debug)]
struct Waiting {
    name: Name,
    tries: u8,
    /// Not modified since the lane was told of it, though something else about it is new.
    steady: bool,
}

/// The file that is being read.
#[derive(Debug)]
struct Open {
    waiting: Waiting,
    file: File,
    /// As it was announced.
    entry: Entry,
    left: u64,
    /// `Some` iff the entry is racy.
    hash: Option<Hash>,
}

/// Opens files beneath the roots.
#[derive(Debug)]
struct Reader {
    roots: Vec<Root>,
    /// Opened when first needed; one for each of `roots`.
    dirs: Vec<Option<OwnedFd>>,
}

impl Reader {
    fn new(roots: Vec<Root>) -> Reader {
        Reader {
            dirs: roots.iter().map(|_| None).collect(),
            roots,
        }
    }

    fn open(&mut self, name: &Name) -> io::Result<File> {
        let number = usize::from(name.root);
        let Some(root) = self.roots.get(number) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        if root.only.is_some() {
            // Named one by one, and perhaps links to where they really are.
            return File::open(self.place(name));
        }
        let dir = match &mut self.dirs[number] {
            Some(dir) => dir,
            empty => empty.insert(File::open(&root.path)?.into()),
        };
        beneath::open_file(dir, &name.path).map(File::from)
    }

    /// XXH3 of its content.
    fn hash(&mut self, name: &Name) -> io::Result<u64> {
        let mut file = self.open(name)?;
        let (mut hash, mut piece) = (Hash::default(), vec![0; 64 << 10]);
        loop {
            match file.read(&mut piece)? {
                0 => return Ok(hash.digest()),
                n => hash.update(&piece[..n]),
            }
        }
    }

    fn place(&self, name: &Name) -> PathBuf {
        self.roots[usize::from(name.root)].path.join(&name.path)
    }
}

#[derive(Debug)]
pub struct Feed {
    reader: Reader,
    manifest: Arc<Manifest>,
    deletes: std::vec::IntoIter<Name>,
    puts: VecDeque<Waiting>,
    open: Option<Open>,
    offset: Stamp,
    level: i32,
    fed: Fed,
    /// Content that was to be sent at first.
    total: u64,
}

impl Feed {
    /// `clock_offset_ns` is the worker's clock minus ours; `level` is zstd's.
    pub fn new(
        project: &Project,
        manifest: Arc<Manifest>,
        changes: Changes,
        clock_offset_ns: i64,
        level: i32,
    ) -> Feed {
        let waiting = |name| Waiting {
            name,
            tries: 0,
            steady: false,
        };
        let mut puts = changes.puts;
        // Directories first, then by age: a lane in which jobs have run dates what it is given anew,
        // and what is older here must be older there (make compares products with sources).
        puts.sort_by_cached_key(|name| {
            let entry = manifest.get(name).filter(|e| !e.is_dir());
            entry.map_or(Stamp::MIN, |e| e.mtime)
        });
        let files = puts.iter().filter_map(|name| manifest.get(name));
        let total = files.filter(|e| e.is_file()).map(|e| e.size).sum();
        Feed {
            reader: Reader::new(project.roots.clone()),
            manifest,
            deletes: changes.deletes.into_iter(),
            puts: puts.into_iter().map(waiting).collect(),
            open: None,
            offset: clock_offset_ns,
            level,
            fed: Fed::default(),
            total,
        }
    }

    /// Content sent and to be sent, before compression.
    pub fn progress(&self) -> (u64, u64) {
        (self.fed.bytes, self.total)
    }

    /// Takes out what is as `base` has it, though `base` could not be sure, and marks what was not
    /// modified since. To be called before `next`; answers whether nothing is left.
    pub fn calm(&mut self, base: &Manifest) -> bool {
        // What was beyond doubt once, and is the same, is so still.
        let manifest = self.manifest.clone();
        let racy = manifest.iter().filter(|(_, new)| new.racy);
        let sure = racy.filter_map(|(name, new)| {
            let old = base.get(name).filter(|old| !old.racy && old.same(new))?;
            Some((name.clone(), old.clone()))
        });
        self.fed.fresh.extend(sure);
        let puts = std::mem::take(&mut self.puts);
        self.puts = puts
            .into_iter()
            .filter(|w| !self.is_calm(&w.name, base))
            .collect();
        for waiting in &mut self.puts {
            waiting.steady = is_steady(&waiting.name, base, &manifest);
        }
        self.puts.is_empty() && self.deletes.as_slice().is_empty()
    }

    fn is_calm(&mut self, name: &Name, base: &Manifest) -> bool {
        let (Some(old), Some(new)) = (base.get(name), self.manifest.get(name)) else {
            return false;
        };
        let doubtful = old.racy && old.hash != 0 && new.is_file() && old.same(new);
        if !doubtful || self.reader.hash(name).ok() != Some(old.hash) {
            return false;
        }
        // Read long enough after its last change, it needs no hash any more.
        if self.manifest.get(name).is_some_and(|new| new.racy) {
            let (name, entry) = (name.clone(), old.clone());
            self.fed.fresh.push((name, entry));
        }
        true
    }

    /// What has been sent, or found to be there, until now.
    pub fn fed(&self) -> &Fed {
        &self.fed
    }

    /// Appends the next messages (about `wire::CHUNK` of content) to `out`, as one `PACK`.
    ///
    /// # Errors
    /// A file that cannot be read, or that does not stop changing.
    pub fn next(&mut self, out: &mut Vec<u8>) -> Result<Step> {
        let mut frames = Vec::with_capacity(CHUNK + 4096);
        let mut more = true;
        while more && frames.len() < CHUNK {
            more = self.step(&mut frames)?;
        }
        if !frames.is_empty() {
            pack(out, &frames, self.level);
        }
        if more {
            Ok(Step::More)
        } else {
            Ok(Step::Done(std::mem::take(&mut self.fed)))
        }
    }

    /// Appends one message or a few; false if there was none left.
    fn step(&mut self, out: &mut Vec<u8>) -> Result<bool> {
        if let Some(open) = self.open.take() {
            self.read(open, out)?;
        } else if let Some(name) = self.deletes.next() {
            ToWorker::Delete(name).encode(out);
        } else if let Some(waiting) = self.puts.pop_front() {
            self.begin(waiting, out)?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn begin(&mut self, waiting: Waiting, out: &mut Vec<u8>) -> Result<()> {
        let known = self.manifest.get(&waiting.name);
        match known.expect("BUG: a change that the manifest does not know") {
            entry if !entry.is_file() => {
                let entry = entry.clone();
                self.announce(&waiting.name, &entry, false, out);
                Ok(())
            }
            _ => self.begin_file(waiting, out),
        }
    }

    fn begin_file(&mut self, waiting: Waiting, out: &mut Vec<u8>) -> Result<()> {
        let seen = time::now();
        let file = match self.reader.open(&waiting.name) {
            Ok(file) => file,
            Err(e) if is_gone(&e) => return self.vanished(waiting.name, out),
            Err(e) => return Err(Error::path("read", &self.reader.place(&waiting.name), &e)),
        };
        let stat = beneath::fstat(&file)
            .map_err(|e| Error::path("read", &self.reader.place(&waiting.name), &e))?;
        if !stat.is_file() {
            return self.vanished(waiting.name, out);
        }
        let entry = Entry::new(Kind::File, &stat, seen);
        let as_scanned = self.manifest.get(&waiting.name).map(|e| e.mtime) == Some(entry.mtime);
        self.announce(&waiting.name, &entry, waiting.steady && as_scanned, out);
        self.read(
            Open {
                waiting,
                file,
                left: entry.size,
                hash: entry.racy.then(Hash::default),
                entry,
            },
            out,
        )
    }

    fn announce(&mut self, name: &Name, entry: &Entry, steady: bool, out: &mut Vec<u8>) {
        self.fed.files += 1;
        let kind = match &entry.kind {
            Kind::File => worker::Kind::File { size: entry.size },
            Kind::Dir => worker::Kind::Dir,
            Kind::Symlink(target) => worker::Kind::Symlink {
                target: target.clone(),
            },
        };
        let put = Put {
            name: name.clone(),
            mode: entry.mode,
            mtime: entry.mtime.saturating_add(self.offset),
            steady,
            kind,
        };
        ToWorker::Put(put).encode(out);
    }

    /// Sends the next piece of the open file, and settles it after the last.
    fn read(&mut self, mut open: Open, out: &mut Vec<u8>) -> Result<()> {
        let room = CHUNK.saturating_sub(out.len()).clamp(4096, CHUNK) as u64;
        let want = open.left.min(room);
        if want > 0 {
            let mut data = Vec::with_capacity(want as usize);
            let read = (&mut open.file).take(want).read_to_end(&mut data);
            read.map_err(|e| Error::path("read", &self.reader.place(&open.waiting.name), &e))?;
            data.resize(want as usize, 0);
            if let Some(hash) = &mut open.hash {
                hash.update(&data);
            }
            self.fed.bytes += want;
            open.left -= want;
            ToWorker::Data(data).encode(out);
        }
        if open.left > 0 {
            self.open = Some(open);
            return Ok(());
        }
        self.settle(open)
    }

    /// The whole file has been sent: if it changed meanwhile, it is sent again.
    fn settle(&mut self, open: Open) -> Result<()> {
        let (waiting, mut entry) = (open.waiting, open.entry);
        let after = beneath::fstat(&open.file)
            .map_err(|e| Error::path("read", &self.reader.place(&waiting.name), &e))?;
        if !entry.same(&Entry::new(Kind::File, &after, 0)) {
            return self.again(waiting);
        }
        entry.hash = open.hash.map_or(0, |hash| hash.digest());
        if self.manifest.get(&waiting.name) != Some(&entry) {
            self.fed.fresh.push((waiting.name, entry));
        }
        Ok(())
    }

    fn again(&mut self, waiting: Waiting) -> Result<()> {
        let Waiting { name, tries, .. } = waiting;
        if tries + 1 == TRIES {
            let place = self.reader.place(&name);
            return Err(
                Error::new(format!("'{}' does not stop changing", place.display()))
                    .hint("a line in .rchignore keeps it out of the sync"),
            );
        }
        self.puts.push_back(Waiting {
            name,
            tries: tries + 1,
            steady: false,
        });
        Ok(())
    }

    /// It is no file any more: the lane must not keep an older one.
    fn vanished(&mut self, name: Name, out: &mut Vec<u8>) -> Result<()> {
        ToWorker::Delete(name.clone()).encode(out);
        self.fed.gone.push(name);
        Ok(())
    }
}

/// cargo and make go by a file's time of modification alone, and so does what they built.
fn is_steady(name: &Name, base: &Manifest, manifest: &Manifest) -> bool {
    match (base.get(name), manifest.get(name)) {
        (Some(old), Some(new)) => {
            old.is_file() && new.is_file() && (old.mtime, old.size) == (new.mtime, new.size)
        }
        _ => false,
    }
}

/// Removed, or something else stands there or on the way there (a link is not followed).
fn is_gone(err: &io::Error) -> bool {
    /// What opening a socket answers, and what a link answers.
    const ENXIO: i32 = 6;
    const ELOOP: i32 = 40;
    matches!(
        err.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    ) || matches!(err.raw_os_error(), Some(ENXIO | ELOOP))
}

#[cfg(test)]
mod tests;
