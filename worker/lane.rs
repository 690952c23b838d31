//! A lane: one project's tree and build products on this worker, for one job at a time.
//!
//! `lanes/<project>-<key>/<n>/` holds `root0`…, `state` and `lock`. The lock is an flock, which dies
//! with the processes that hold it (the job's warden among them), so no lane is lost to a crash. The
//! state says which manifest the tree holds; it is marked dirty before anything is written and clean
//! when the daemon commits it, after the feed and once more when what the job made is home. Whatever
//! is interrupted leaves a lane that says it needs repair. One that a power cut may have left half on
//! the disk is emptied, products and all: nothing tells them from whole ones.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rch::ids::{LaneKey, ManifestId};
use rch::paths;
use rch::time::{self, Stamp};
use rch::wire::worker::{Base, MAX_ROOTS, Name, Open};
use xxhash_rust::xxh3::xxh3_64;

use crate::copy;
use crate::fault::{self, Done, Sentence, Wrong};
use crate::state::State;
use crate::tree::Tree;

/// More lanes than any worker has slots for one project.
const MOST_LANES: u16 = 256;

/// As long as the processes of a job that is ended may take (EXEC-4).
const LEAVING: Duration = Duration::from_secs(2);

/// How often a lock is tried meanwhile: the kernel wakes nobody who also wants to give up in time.
const LOOK: Duration = Duration::from_millis(5);

/// A lane that is ours until this value is dropped.
#[derive(Debug)]
pub struct Lane {
    pub number: u16,
    dir: PathBuf,
    /// Nothing of the sources shall outlive the job.
    pub ephemeral: bool,
    /// Where each root stands at home, in the order of `Open`.
    pub homes: Vec<PathBuf>,
    pub trees: Vec<Tree>,
    state: State,
    /// What the daemon was told.
    pub base: Base,
    /// The state file's change time when the lane was last marked dirty: what changed later changed after.
    pub mark: Stamp,
    /// The file dated last: what the daemon dated it, and what was made of that.
    dated: std::cell::Cell<(Stamp, Stamp)>,
    pub lock: File,
}

pub fn lanes_dir() -> PathBuf {
    paths::cache_dir().join("lanes")
}

/// Takes the lane that suits `open` best: the one it names if that is or becomes free, else the one used last, else a new one.
pub fn open(open: &Open) -> Done<Lane> {
    check_homes(&open.roots)?;
    let project = lanes_dir().join(folder(&open.project, open.key));
    fs::create_dir_all(&project).wrong(|| format!("cannot create '{}'", project.display()))?;
    let wanted = open.base.map(|b| b.0);
    for number in candidates(&project, wanted) {
        let dir = project.join(number.to_string());
        let lock = match wanted == Some(number) {
            true => take_soon(&dir),
            false => take(&dir),
        };
        let lock = lock.wrong(|| format!("cannot lock lane '{}'", dir.display()))?;
        if let Some(lock) = lock {
            return Lane::settle(number, dir, lock, open);
        }
    }
    Err(Wrong::new(
        rch::wire::worker::Fault::System,
        format!("all {MOST_LANES} lanes of '{}' are in use", open.project),
    ))
}

fn check_homes(homes: &[PathBuf]) -> Done<()> {
    let fits = |p: &PathBuf| p.is_absolute() && paths::normal(p) == *p && p.parent().is_some();
    if homes.is_empty() || homes.len() > MAX_ROOTS || !homes.iter().all(fits) {
        return Err(Wrong::protocol("roots must be absolute, plain and few"));
    }
    Ok(())
}

/// The folder of a project's lanes: its name for people, its key for us.
fn folder(project: &str, key: LaneKey) -> String {
    let tame = |c: char| match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' => c,
        _ => '_',
    };
    let name: String = project.chars().take(40).map(tame).collect();
    format!("{name}-{key}")
}

/// Lane numbers in the order in which to try them.
fn candidates(project: &Path, wanted: Option<u16>) -> Vec<u16> {
    let mut there: Vec<(Stamp, u16)> = fs::read_dir(project)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|e| {
            let number = e.file_name().to_str()?.parse().ok()?;
            Some((last_use(&e.path()), number))
        })
        .collect();
    there.sort_unstable_by(|a, b| b.cmp(a));
    let known: Vec<u16> = there.into_iter().map(|(_, n)| n).collect();
    let new = (0..MOST_LANES).filter(|n| !known.contains(n));
    let first = wanted.filter(|n| known.contains(n));
    first
        .into_iter()
        .chain(known.iter().copied().filter(|n| Some(*n) != first))
        .chain(new)
        .collect()
}

/// When the lane was last written to, or 0.
pub fn last_use(dir: &Path) -> Stamp {
    fs::metadata(dir.join("state"))
        .and_then(|m| m.modified())
        .map_or(0, time::stamp)
}

/// The lane's lock, made with its directory if missing; `None` if someone has it.
pub fn take(dir: &Path) -> io::Result<Option<File>> {
    loop {
        fs::create_dir_all(dir)?;
        let path = dir.join("lock");
        let lock = match File::create(&path) {
            Ok(lock) => lock,
            // The collector took the whole folder away just now.
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            Err(e) => return Err(e),
        };
        match lock.try_lock() {
            Ok(()) if is_same(&lock, &path) => return Ok(Some(lock)),
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Ok(None),
            Err(fs::TryLockError::Error(e)) => return Err(e),
        }
    }
}

/// As `take`, of a lane that the daemon believes idle: whoever has it is on its way out (the session of
/// a daemon that was restarted, say), and is waited for rather than building everything anew elsewhere.
fn take_soon(dir: &Path) -> io::Result<Option<File>> {
    let until = Instant::now() + LEAVING;
    loop {
        let taken = take(dir)?;
        if taken.is_some() || Instant::now() > until {
            return Ok(taken);
        }
        std::thread::sleep(LOOK);
    }
}

/// What the new lane begins with, if there is one of which it can be a copy.
fn copied(dir: &Path, open: &Open) -> Option<State> {
    let (key, number) = open.like?;
    let like = lanes_dir()
        .join(folder(&open.project, key))
        .join(number.to_string());
    let min_free = open.keep.min_free_mib << 20;
    // One that cannot be is built from nothing.
    copy::fill(dir, &open.roots, &like, min_free).ok().flatten()
}

/// What a version that was sent is called: its digest, and the time of its last write.
fn mark(meta: &fs::Metadata, digest: u64) -> String {
    format!("{digest:016x}-{}-{}", meta.mtime(), meta.mtime_nsec())
}

/// Whether `path` still names the file we locked.
fn is_same(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

impl Lane {
    fn settle(number: u16, dir: PathBuf, lock: File, open: &Open) -> Done<Lane> {
        let what = || format!("cannot open lane '{}'", dir.display());
        let mut found = State::load(&dir).wrong(what)?;
        if found.is_none() {
            // Only now may another state be written: what is cut short here is done again.
            copy::begin(&dir, &open.roots).wrong(what)?;
            found = copied(&dir, open);
        }
        let base = match &found {
            None => Base::New,
            Some(s) if s.holds(open.base.map(|b| b.1)) => Base::Holds,
            Some(_) => Base::Stale,
        };
        let roots = (0..open.roots.len()).map(|i| dir.join(format!("root{i}")));
        let trees = roots
            .map(|root| fs::create_dir_all(&root).and_then(|()| Tree::open(&root)))
            .collect::<io::Result<_>>()
            .wrong(what)?;
        let mut lane = Lane {
            number,
            dir,
            ephemeral: open.keep.ephemeral,
            homes: open.roots.clone(),
            trees,
            state: found.unwrap_or_default(),
            base,
            mark: 0,
            lock,
            dated: std::cell::Cell::default(),
        };
        // rsync writes without asking us again.
        if base != Base::Holds {
            lane.soil()?;
        }
        Ok(lane)
    }

    /// Gives the lane back, without its sources where they are not to outlive a job.
    pub fn leave(mut self) -> Done<()> {
        if self.ephemeral {
            self.soil()?;
            self.wipe()?;
        }
        Ok(())
    }

    /// Removes every source.
    pub fn wipe(&self) -> Done<()> {
        let mut trees = self.trees.iter();
        trees
            .try_for_each(Tree::wipe)
            .wrong(|| format!("cannot empty lane '{}'", self.dir.display()))
    }

    /// Where the roots are, for rsync and for binding.
    pub fn dirs(&self) -> Vec<PathBuf> {
        (0..self.homes.len())
            .map(|i| self.dir.join(format!("root{i}")))
            .collect()
    }

    pub fn tree(&self, root: u8) -> Done<&Tree> {
        self.trees
            .get(usize::from(root))
            .ok_or_else(|| Wrong::protocol(format!("no root {root}")))
    }

    /// Which root holds the home path `dir`, and where beneath it (empty for the root itself).
    pub fn locate(&self, dir: &Path) -> Option<(usize, PathBuf)> {
        let dir = paths::normal(dir);
        let beneath = |home: &PathBuf| dir.strip_prefix(home).ok().map(Path::to_path_buf);
        let found = self.homes.iter().enumerate();
        found
            .filter_map(|(i, home)| Some((home.as_os_str().len(), i, beneath(home)?)))
            .max()
            .map(|(_, i, below)| (i, below))
    }

    /// To be called before anything is written.
    pub fn soil(&mut self) -> Done<()> {
        if self.state.clean || self.mark == 0 {
            self.state.clean = false;
            self.save()?;
        }
        Ok(())
    }

    /// The tree is exactly `id`.
    pub fn commit(&mut self, id: ManifestId) -> Done<()> {
        self.state.manifest = Some(id);
        self.state.clean = true;
        self.save()
    }

    /// A job begins: what changes after this stamp, it changed.
    pub fn start(&mut self) -> Done<Stamp> {
        self.state.ran = true;
        self.state.clean = false;
        self.save()?;
        Ok(self.mark)
    }

    /// A job has ended and nothing of it is left. The lane stays dirty until the daemon, which knows
    /// what it brought home, commits it.
    pub fn end(&mut self) -> Done<()> {
        self.state.ended = time::now().max(self.state.ended);
        self.save()
    }

    /// Whether there is no room for what a job makes.
    pub fn is_full(&self) -> bool {
        fault::is_full(&self.dir, Path::new("/tmp"))
    }

    /// Whether a commit stands, without which there is nothing to run.
    pub fn is_clean(&self) -> bool {
        self.state.clean
    }

    /// The time to put on a file that is written now and that the daemon dates `given`. Where a job has
    /// run, what is new must look newer than anything that job made, and keep its order: the daemon
    /// sends by age, and equal ages stay equal. Else nothing may lie in the future.
    pub fn mtime(&self, given: Stamp) -> Stamp {
        let now = time::now();
        if !self.state.ran {
            return given.min(now);
        }
        let (last_given, last) = self.dated.get();
        let mtime = if given == last_given && last > self.state.ended {
            last
        } else {
            now.max(self.state.ended + 1).max(last + 1)
        };
        self.dated.set((given, mtime));
        mtime
    }

    /// Gives what rsync has written since `Open` the times our own writes would have.
    pub fn adopt(&mut self) -> Done<()> {
        for tree in &self.trees {
            tree.walk(&mut |seen| {
                let mtime = self.mtime(seen.stat.mtime);
                let written = self.state.ran && seen.stat.ctime >= self.mark;
                if !seen.stat.is_dir() && (written || seen.stat.mtime > mtime) {
                    rch::sys::fs::set_mtime(seen.dir, seen.name, mtime)?;
                }
                Ok(())
            })
            .wrong(|| format!("cannot date the files of '{}'", self.dir.display()))?;
        }
        Ok(())
    }

    /// The version of a product that was sent last, if it was the one with this hash.
    pub fn sent(&self, name: &Name, hash: u64) -> Option<File> {
        let mut links = fs::read_dir(self.sent_place(name)).ok()?.flatten();
        let link = links.next()?;
        let file = File::open(link.path()).ok()?;
        // It may be the very file that a job has written to in place; then its time is another.
        let kept = mark(&file.metadata().ok()?, hash);
        (*link.file_name() == *kept).then_some(file)
    }

    /// Keeps the product `name`, which was read from `file` and has this hash, for a patch of its
    /// successor. A link costs nothing until the product is made anew.
    pub fn remember(&self, name: &Name, file: &File, hash: u64) -> io::Result<()> {
        let (place, number) = (self.sent_place(name), usize::from(name.root));
        let _ = fs::remove_dir_all(&place);
        fs::create_dir_all(&place)?;
        let link = place.join(mark(&file.metadata()?, hash));
        fs::hard_link(
            self.dir.join(format!("root{number}")).join(&name.path),
            &link,
        )?;
        // A job may have put something else in its place, or a link on the way there.
        let (ours, theirs) = (file.metadata()?, fs::symlink_metadata(&link)?);
        if (ours.dev(), ours.ino()) != (theirs.dev(), theirs.ino()) {
            fs::remove_file(&link)?;
        }
        Ok(())
    }

    /// A folder with what was last sent of `name`.
    fn sent_place(&self, name: &Name) -> PathBuf {
        let path = xxh3_64(name.path.as_os_str().as_encoded_bytes());
        self.dir
            .join("sent")
            .join(format!("{}-{path:016x}", name.root))
    }

    fn save(&mut self) -> Done<()> {
        self.mark = self
            .state
            .save(&self.dir)
            .wrong(|| format!("cannot write the state of '{}'", self.dir.display()))?;
        Ok(())
    }
}
