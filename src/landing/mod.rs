//! Puts a job's files in their place at home, trusting nothing that the worker says.
//!
//! Only files that were asked for are taken, at the size that was announced. Each is written beside
//! its place under a temporary name and renamed over it, so that nobody sees half a file, a running
//! program keeps its inode, and what is hard-linked to an old file does not change with it. All
//! paths are opened beneath a root and never through a link (see `place`).
//!
//! A file is kept as it is here, and that is told, if it is a source that the job must not touch, if
//! it changed here since the job's snapshot (see `others`), or if its name alone could make a program here do the
//! worker's will. A program that this machine could not load is an error: the job then runs here.
//!
//! Times come home in our clock: of what the job changed never before the snapshot, or make would
//! think the product older than its source; never in the future, or cargo would rebuild for ever.
//! A product that the job found made keeps its age, or cargo would think what uses it outdated.

mod others;
mod place;

use std::collections::HashMap;
use std::path::{Component, Path};
use std::sync::Arc;

use crate::bytes::Malformed;
use crate::error::{Error, Result};
use crate::exclude::{Rules, secret};
use crate::manifest::{Entry, Manifest};
use crate::paths;
use crate::products;
use crate::roots::Project;
use crate::time::{self, Stamp};
use crate::wire;
use crate::wire::patch::{self, Digest};
use crate::wire::worker::{self, FromWorker, Name, Produced, Put};

pub use others::Others;
use place::{Old, Places, Temp};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Landed {
    pub written: Vec<(Name, Entry)>,
    /// Files that stay as they are here, each with the reason.
    pub kept: Vec<(Name, String)>,
}

impl Landed {
    /// What the job wrote over sources, or beside them: the lane holds that too. Without it make's
    /// objects would be sent back to the lane as changed sources, and all that depends on them be made
    /// anew. Of no use after cargo, whose sources are restored.
    pub fn sources(&self, rules: &Rules, project: &Project) -> Vec<(Name, Entry)> {
        let synced = |(name, _): &&(Name, Entry)| rules.covers(project, name);
        self.written.iter().filter(synced).cloned().collect()
    }
}

/// A file that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    pub file: Produced,
    /// The hash of the version here, if the worker may send a patch of it.
    pub had: Option<u64>,
}

/// The file whose content is arriving.
#[derive(Debug)]
struct Arriving {
    put: Put,
    /// `Produced::changed`.
    changed: bool,
    size: u64,
    left: u64,
    /// What patches refer to.
    old: Option<Old>,
    /// Of a file that is worth a patch the next time.
    hash: Option<Digest>,
    /// `None`: it is not wanted, its bytes are dropped.
    temp: Option<Temp>,
}

#[derive(Debug)]
pub struct Landing {
    places: Places,
    base: Arc<Manifest>,
    offset: Stamp,
    allow_sources: bool,
    foreign: bool,
    /// Sources that the job's own tool may write.
    reports: Vec<Name>,
    others: Others,
    /// Asked for and not arrived yet.
    expected: HashMap<Name, Chosen>,
    arriving: Option<Arriving>,
    landed: Landed,
    /// The last piece of a patch, kept for its pages.
    piece: Vec<u8>,
    /// Versions that were replaced. With the last of its names a large file takes milliseconds to go,
    /// for which nobody need wait: they are closed with this.
    spent: Vec<Old>,
}

/// More open files than that are not kept.
const MOST_SPENT: usize = 16;

impl Landing {
    /// `base` is what was synced when the job began; `clock_offset_ns` the worker's clock minus
    /// ours. `allow_sources` lets the job's files replace sources that did not change since (make
    /// and compilers write where they like).
    pub fn new(
        project: &Project,
        base: Arc<Manifest>,
        clock_offset_ns: i64,
        allow_sources: bool,
    ) -> Landing {
        Landing {
            places: Places::new(project),
            base,
            offset: clock_offset_ns,
            allow_sources,
            foreign: false,
            reports: vec![],
            others: Others::default(),
            expected: HashMap::new(),
            arriving: None,
            landed: Landed::default(),
            piece: vec![],
            spent: vec![],
        }
    }

    /// The job builds for another kind of machine: its programs need not run here.
    #[must_use]
    pub fn foreign(mut self, foreign: bool) -> Landing {
        self.foreign = foreign;
        self
    }

    /// Files that the job's own tool writes, though one of the name was sent.
    #[must_use]
    pub fn reports(mut self, reports: Vec<Name>) -> Landing {
        self.reports = reports;
        self
    }

    /// What other jobs bring to this tree.
    #[must_use]
    pub fn beside(mut self, others: Others) -> Landing {
        self.others = others;
        self
    }

    /// The files that were asked for; no other is taken.
    pub fn expect(&mut self, files: &[Chosen]) {
        let asked = files.iter().map(|c| (c.file.name.clone(), c.clone()));
        self.expected.extend(asked);
    }

    /// Takes a run of whole frames that hold `File`, `Data` and `Fetched` messages.
    ///
    /// # Errors
    /// A worker that sends what it must not, a full disk, a program that does not fit this machine.
    /// Files that landed before stay.
    pub fn take(&mut self, bytes: &[u8]) -> Result<()> {
        let used = wire::each_frame(bytes, |frame| {
            let message = FromWorker::decode(frame).map_err(Broken::from)?;
            self.message(message).map_err(Broken)
        });
        match used {
            Ok(used) if used == bytes.len() => Ok(()),
            Ok(_) => Err(Broken::from(Malformed).0),
            Err(Broken(error)) => Err(error),
        }
    }

    /// What has landed. It can wait until the landing itself is dropped.
    ///
    /// # Errors
    /// A file that is incomplete or was not sent at all.
    pub fn finish(&mut self) -> Result<Landed> {
        let unfinished = self.arriving.iter().map(|a| &a.put.name);
        match unfinished.chain(self.expected.keys()).min() {
            None => Ok(std::mem::take(&mut self.landed)),
            Some(name) => Err(self.wrong("did not send", name)),
        }
    }

    fn message(&mut self, message: FromWorker) -> Result<()> {
        match message {
            FromWorker::File(put) => self.begin(put),
            FromWorker::Data(data) => self.data(&data),
            FromWorker::Patch(body) => self.patch(&body),
            FromWorker::Fetched { missing } => match missing.first() {
                None => Ok(()),
                Some(name) => Err(self.wrong("could not send", name)),
            },
            _ => Err(Error::new("the worker sent something else than files")),
        }
    }

    fn begin(&mut self, put: Put) -> Result<()> {
        if let Some(arriving) = &self.arriving {
            return Err(self.wrong("sent too little of", &arriving.put.name));
        }
        let Some(asked) = self.expected.remove(&put.name) else {
            return Err(self.wrong("sent, unasked,", &put.name));
        };
        let reason = self.reason_to_keep(&asked.file);
        match put.kind.clone() {
            worker::Kind::File { size } if size != asked.file.size => {
                Err(self.wrong("announced another size for", &put.name))
            }
            worker::Kind::File { .. } => self.begin_file(put, &asked, reason),
            _ if reason.is_some() => {
                self.keep(put.name, reason);
                Ok(())
            }
            worker::Kind::Dir => self.places.dir(&put.name),
            worker::Kind::Symlink { target } => self.link(&put.name, &target),
        }
    }

    fn begin_file(&mut self, put: Put, asked: &Chosen, reason: Option<String>) -> Result<()> {
        let size = asked.file.size;
        let temp = match reason {
            Some(_) => None,
            None => Some(self.places.create(&put.name, size)?),
        };
        let old = asked.had.and_then(|_| self.places.old(&put.name));
        if reason.is_some() {
            self.keep(put.name.clone(), reason);
        }
        let arriving = Arriving {
            put,
            changed: asked.file.changed,
            size,
            left: size,
            old,
            hash: (size >= patch::MIN_SIZE).then(Digest::default),
            temp,
        };
        if size == 0 {
            return self.settle(arriving);
        }
        self.arriving = Some(arriving);
        Ok(())
    }

    fn data(&mut self, data: &[u8]) -> Result<()> {
        self.content(data, None)
    }

    /// `hash` is that of a whole piece.
    fn content(&mut self, data: &[u8], hash: Option<u64>) -> Result<()> {
        if data.is_empty() {
            return Ok(());
        }
        let Some(mut arriving) = self.arriving.take() else {
            return Err(Error::new("the worker sent content of no file"));
        };
        let Some(left) = arriving.left.checked_sub(data.len() as u64) else {
            return Err(self.wrong("sent too much of", &arriving.put.name));
        };
        arriving.left = left;
        match (&mut arriving.hash, hash) {
            (Some(digest), Some(hash)) => digest.piece(hash),
            (Some(digest), None) => digest.update(data),
            (None, _) => {}
        }
        if let Some(temp) = &mut arriving.temp {
            temp.write(data)?;
        }
        if left == 0 {
            return self.settle(arriving);
        }
        self.arriving = Some(arriving);
        Ok(())
    }

    /// The next piece, told by what differs from the version here.
    fn patch(&mut self, body: &[u8]) -> Result<()> {
        let Some(arriving) = &self.arriving else {
            return Err(Error::new("the worker sent content of no file"));
        };
        let mut piece = std::mem::take(&mut self.piece);
        let offset = arriving.size - arriving.left;
        let len = arriving.left.min(patch::PIECE as u64) as usize;
        let hash = arriving.old.as_ref().and_then(|old| {
            let place = (old.size, offset, len);
            patch::apply(&mut |r, b| old.read(&r, b), place, body, &mut piece).ok()
        });
        let Some(hash) = hash else {
            return Err(self.wrong("sent a patch that does not fit", &arriving.put.name));
        };
        let done = self.content(&piece, Some(hash));
        self.piece = piece;
        done
    }

    /// All of it is here: give it its mode, its time and its name.
    fn settle(&mut self, arriving: Arriving) -> Result<()> {
        let Arriving {
            put,
            temp,
            changed,
            hash,
            old,
            ..
        } = arriving;
        self.spent.extend(old);
        self.spent.truncate(MOST_SPENT);
        let Some(temp) = temp else {
            return Ok(());
        };
        if !self.foreign
            && let Some(misfit) = temp.misfit()?
        {
            let place = self.places.full(&put.name);
            return Err(Error::new(format!(
                "'{}' came back as {misfit}",
                place.display()
            )));
        }
        // Again, just before the old file goes: a build may take long to come home.
        if let Some(reason) = self.local_change(&put.name, changed) {
            self.keep(put.name, Some(reason));
            return Ok(());
        }
        let mut entry = temp.place(put.mode, self.local_time(put.mtime, changed))?;
        entry.hash = hash.map_or(0, Digest::finish);
        self.wrote(put.name, entry);
        Ok(())
    }

    fn link(&mut self, name: &Name, target: &Path) -> Result<()> {
        if !self.stays_inside(name, target) {
            return Err(self.wrong("sent a link that leads out of the project,", name));
        }
        let entry = self.places.link(name, target)?;
        self.wrote(name.clone(), entry);
        Ok(())
    }

    fn wrote(&mut self, name: Name, entry: Entry) {
        let place = self.places.full(&name);
        self.others.note(place, entry.clone(), self.base.taken());
        self.landed.written.push((name, entry));
    }

    /// A link may climb only at its beginning, where the way up is known to be no link itself.
    fn stays_inside(&self, name: &Name, target: &Path) -> bool {
        let place = self.places.full(name);
        let mut parts = target.components().peekable();
        if parts.peek() == Some(&Component::RootDir) {
            parts.next();
        } else {
            while parts
                .next_if(|p| matches!(p, Component::ParentDir | Component::CurDir))
                .is_some()
            {}
        }
        let whole = place.parent().unwrap_or(&place).join(target);
        parts.all(|p| matches!(p, Component::Normal(_)))
            && self.places.is_inside(&paths::normal(&whole))
    }

    fn local_time(&self, worker: Stamp, changed: bool) -> Stamp {
        let mine = worker.saturating_sub(self.offset);
        let earliest = if changed { self.base.taken() } else { 0 };
        mine.max(earliest).min(time::now())
    }

    /// Why the file here stays as it is.
    fn reason_to_keep(&mut self, asked: &Produced) -> Option<String> {
        let name = &asked.name;
        if products::is_guarded(&name.path) || self.places.is_of_named_files(name) {
            return Some("no worker may write there".into());
        }
        if self.places.stat(name)?.is_dir() {
            return Some("a directory stands there".into());
        }
        let trusted =
            self.allow_sources || products::is_lock_file(&name.path) || self.reports.contains(name);
        let reason = match self.base.get(name) {
            // A product directory may be one that is synced (`--artifact-dir out`): then what a
            // compiler wrote there is no source.
            Some(_) if !trusted && (asked.changed || !self.places.is_product(name)) => {
                Some("it is a source")
            }
            None if asked.changed && secret::is_secret_name(&name.path) => Some("it is a secret"),
            None if asked.changed && !trusted => Some("it was there before"),
            _ => None,
        };
        let reason = reason.map(String::from);
        reason.or_else(|| self.local_change(name, asked.changed))
    }

    /// Whether the file here is not the one of the snapshot any more. A file in a product directory
    /// has no owner but the last build.
    fn local_change(&mut self, name: &Name, in_tree: bool) -> Option<String> {
        let here = self.places.stat(name)?;
        let changed = match self.base.get(name) {
            Some(base) => !base.same(&here),
            None => in_tree && here.ctime >= self.base.taken(),
        };
        if !changed {
            return None;
        }
        match self.others.taken(&self.places.full(name), &here) {
            Some(taken) if taken <= self.base.taken() => None,
            Some(_) => Some("a job with newer sources has built it".into()),
            None => Some("it changed here while the job ran".into()),
        }
    }

    fn keep(&mut self, name: Name, reason: Option<String>) {
        self.landed.kept.push((name, reason.unwrap_or_default()));
    }

    fn wrong(&self, verb: &str, name: &Name) -> Error {
        let place = self.places.full(name);
        Error::new(format!("the worker {verb} '{}'", place.display()))
    }
}

/// Lets `Malformed` and `Error` leave a frame's closure by the same door.
struct Broken(Error);

impl From<Malformed> for Broken {
    fn from(_: Malformed) -> Broken {
        Broken(Error::new("the worker sent a broken message"))
    }
}

#[cfg(test)]
mod tests;
