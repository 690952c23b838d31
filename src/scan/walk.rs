//! The walk through whole roots, in parallel.
//!
//! A few threads share one stack of directories; each lists one at a time, in the order of names, and
//! keeps what it found as that directory's *page*. Put behind one another as they refer to each other,
//! the pages are the manifest in its own order, and nothing has to be sorted by whole paths. Per
//! directory that costs an open, two getdents and a close, per entry one fstatat relative to the
//! directory and one allocation. What the rules keep at home is dropped before it is looked at, and
//! its directories are never opened.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard};

use super::{Found, is_gone, name_of, unreadable};
use crate::error::Result;
use crate::exclude::{Rules, Verdict};
use crate::manifest::{Entry, Kind};
use crate::roots::{Project, Root};
use crate::sys::dir::{self, Dirent, Listing};
use crate::sys::fs::{self as beneath, Stat};
use crate::time::Stamp;
use crate::wire::worker::Name;

/// What stands in all roots of which no single files are named, sorted by name.
pub(super) fn walk(
    project: &Project,
    rules: &Rules,
    started: Stamp,
    threads: usize,
) -> Result<Found> {
    let walk = Walk::new(project, rules, started);
    let pages = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(|| walk.work())).collect();
        let mut pages = walk.work()?;
        for other in others {
            pages.append(&mut other.join().expect("BUG: a scan thread panicked")?);
        }
        Ok(pages)
    })?;
    let Waiting { roots, made, .. } = *walk.lock();
    let mut book: Vec<Option<Page>> = (0..made).map(|_| None).collect();
    for (place, page) in pages {
        book[place] = Some(page);
    }
    let mut found = Found::new();
    (0..roots).for_each(|root| unfold(&mut book, root, &mut found));
    Ok(found)
}

/// What one directory holds.
struct Page {
    /// The directory's own entry; `None` for a root.
    own: Option<(Name, Entry)>,
    /// In the order of names.
    lines: Vec<Line>,
    /// The place of the first directory below; the others follow.
    below: usize,
}

enum Line {
    Leaf(Name, Entry),
    /// A directory, by its number below this one.
    Below(usize),
}

/// Appends a page with all that hangs on it; nothing if the directory has none, because it vanished or
/// is not taken. Without recursion: paths may be deeper than a thread's stack.
fn unfold(book: &mut [Option<Page>], place: usize, found: &mut Found) {
    let mut open = vec![];
    turn(book, place, &mut open, found);
    while let Some((lines, below)) = open.last_mut() {
        match lines.next() {
            Some(Line::Leaf(name, entry)) => found.push((name, entry)),
            Some(Line::Below(number)) => {
                let place = *below + number;
                turn(book, place, &mut open, found);
            }
            None => drop(open.pop()),
        }
    }
}

/// Opens a page.
fn turn(
    book: &mut [Option<Page>],
    place: usize,
    open: &mut Vec<(std::vec::IntoIter<Line>, usize)>,
    found: &mut Found,
) {
    if let Some(page) = book[place].take() {
        found.extend(page.own);
        open.push((page.lines.into_iter(), page.below));
    }
}

/// A directory that waits for its turn.
struct Dir {
    root: usize,
    /// Empty for the root itself.
    path: PathBuf,
    /// Its own entry; `None` for a root.
    entry: Option<Entry>,
    /// What the rules say about it: never `Skip`.
    verdict: Verdict,
    /// Of its page in the book.
    place: usize,
}

struct Waiting {
    dirs: Vec<Dir>,
    /// How many places of pages have been given away; those of the roots come first.
    made: usize,
    roots: usize,
    /// Threads that are in a directory and may add others.
    busy: usize,
    /// Somebody failed: everybody stops.
    stop: bool,
}

struct Walk<'a> {
    roots: &'a [Root],
    rules: &'a Rules,
    started: Stamp,
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

impl<'a> Walk<'a> {
    fn new(project: &'a Project, rules: &'a Rules, started: Stamp) -> Walk<'a> {
        let all = project.roots.iter().enumerate();
        let whole = all.filter(|(_, r)| r.only.is_none());
        let dirs: Vec<Dir> = whole
            .enumerate()
            .map(|(place, (root, _))| Dir {
                root,
                path: PathBuf::new(),
                entry: None,
                verdict: Verdict::Take,
                place,
            })
            .collect();
        Walk {
            roots: &project.roots,
            rules,
            started,
            waiting: Mutex::new(Waiting {
                made: dirs.len(),
                roots: dirs.len(),
                dirs,
                busy: 0,
                stop: false,
            }),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("BUG: a scan thread panicked")
    }

    /// One thread's share: pages with their places.
    fn work(&self) -> Result<Vec<(usize, Page)>> {
        let (mut pages, mut listing) = (vec![], Listing::default());
        while let Some(dir) = self.next() {
            let mut below = vec![];
            let place = dir.place;
            let page = self.visit(dir, &mut listing, &mut below);
            let first = self.done(below, page.is_err());
            if let Some(page) = page? {
                pages.push((
                    place,
                    Page {
                        below: first,
                        ..page
                    },
                ));
            }
        }
        Ok(pages)
    }

    /// A directory to visit; `None` once no thread can add another.
    fn next(&self) -> Option<Dir> {
        let mut waiting = self.lock();
        loop {
            if waiting.stop {
                return None;
            }
            if let Some(dir) = waiting.dirs.pop() {
                waiting.busy += 1;
                return Some(dir);
            }
            if waiting.busy == 0 {
                return None;
            }
            waiting = self
                .changed
                .wait(waiting)
                .expect("BUG: a scan thread panicked");
        }
    }

    /// Gives the directories below one that was visited their places, and answers the first.
    fn done(&self, below: Vec<Dir>, failed: bool) -> usize {
        let mut waiting = self.lock();
        let first = waiting.made;
        waiting.made += below.len();
        let placed = below.into_iter().zip(first..);
        let placed = placed.map(|(dir, place)| Dir { place, ..dir });
        waiting.dirs.extend(placed);
        waiting.busy -= 1;
        waiting.stop |= failed;
        if waiting.dirs.len() > 1 || waiting.busy == 0 || waiting.stop {
            self.changed.notify_all();
        }
        first
    }

    /// The directory's page; `None` if it is not there any more, or not taken.
    fn visit(
        &self,
        mut dir: Dir,
        listing: &mut Listing,
        below: &mut Vec<Dir>,
    ) -> Result<Option<Page>> {
        let full = self.roots[dir.root].path.join(&dir.path);
        let Some(open) = list(&full, dir.entry.is_none(), listing)? else {
            return Ok(None);
        };
        let mut entries: Vec<Dirent<'_>> = listing.iter().collect();
        entries.sort_unstable_by_key(Dirent::name);
        if dir.verdict == Verdict::Take && self.is_target(&dir, &full, &entries) {
            if !self.rules.reaches_into(dir.root, &dir.path) {
                return Ok(None);
            }
            dir.verdict = Verdict::OnlyIncluded;
        }
        let mut lines = Vec::with_capacity(entries.len());
        for entry in &entries {
            lines.extend(self.line(&dir, &full, &open, entry, below)?);
        }
        let name = name_of(dir.root, dir.path);
        Ok(Some(Page {
            own: dir.entry.map(|entry| (name, entry)),
            lines,
            below: 0,
        }))
    }

    fn is_target(&self, dir: &Dir, full: &Path, entries: &[Dirent<'_>]) -> bool {
        let holds = |name: &str| entries.iter().any(|e| e.name() == name);
        dir.entry.is_some() && self.rules.is_target_dir(full, holds)
    }

    fn line(
        &self,
        dir: &Dir,
        full: &Path,
        open: &File,
        entry: &Dirent<'_>,
        below: &mut Vec<Dir>,
    ) -> Result<Option<Line>> {
        let path = join(&dir.path, entry);
        let full = || full.join(entry.name());
        let is_dir = is_dir(entry, open);
        let verdict = self.verdict(dir, &path, is_dir, &full);
        if verdict == Verdict::Skip {
            return Ok(None);
        }
        let Some(seen) = look(&full, open, entry, self.started)? else {
            return Ok(None);
        };
        if !seen.is_dir() {
            return Ok(Some(Line::Leaf(name_of(dir.root, path), seen)));
        }
        below.push(Dir {
            root: dir.root,
            path,
            entry: Some(seen),
            verdict,
            place: 0,
        });
        Ok(Some(Line::Below(below.len() - 1)))
    }

    fn verdict(&self, dir: &Dir, path: &Path, is_dir: bool, full: &dyn Fn() -> PathBuf) -> Verdict {
        match self.rules.judge(dir.root, path, is_dir, full) {
            Verdict::Take if dir.verdict == Verdict::OnlyIncluded => {
                let on_the_way = is_dir && self.rules.reaches_into(dir.root, path);
                match on_the_way {
                    true => Verdict::OnlyIncluded,
                    false => Verdict::Skip,
                }
            }
            verdict => verdict,
        }
    }
}

/// `dir.join(name)` with as much memory as it needs, since it is kept.
fn join(dir: &Path, entry: &Dirent<'_>) -> PathBuf {
    let name = entry.name();
    let mut path = PathBuf::with_capacity(dir.as_os_str().len() + 1 + name.len());
    path.push(dir);
    path.push(name);
    path
}

fn is_dir(entry: &Dirent<'_>, open: &File) -> bool {
    let look = || entry.stat(open).is_ok_and(|s| s.is_dir());
    entry.is_dir().unwrap_or_else(look)
}

/// Reads the names in a directory; `None` if it vanished, unless it `must` be there.
fn list(path: &Path, must: bool, listing: &mut Listing) -> Result<Option<File>> {
    // One that has become a link since it was looked at leads elsewhere; a root may be one.
    let listed = dir::open(path, must).and_then(|open| {
        listing.read(&open)?;
        Ok(open)
    });
    match listed {
        Err(e) if is_gone(&e) && !must => Ok(None),
        listed => listed.map(Some).map_err(|e| unreadable(path, &e)),
    }
}

/// What an entry is; `None` if it vanished or is nothing that can be copied.
fn look(
    full: &dyn Fn() -> PathBuf,
    open: &File,
    entry: &Dirent<'_>,
    seen: Stamp,
) -> Result<Option<Entry>> {
    let stat = match entry.stat(open) {
        Err(e) if is_gone(&e) => return Ok(None),
        stat => stat.map_err(|e| unreadable(&full(), &e))?,
    };
    let kind = if stat.is_file() {
        check_readable(full, open, Path::new(entry.name()), &stat)?;
        Kind::File
    } else if stat.is_dir() {
        Kind::Dir
    } else if stat.is_symlink() {
        match beneath::readlinkat(open, Path::new(entry.name())) {
            Ok(target) => Kind::Symlink(target),
            // Replaced since the look: the next scan sees what it has become.
            Err(_) => return Ok(None),
        }
    } else {
        return Ok(None);
    };
    Ok(Some(Entry::new(kind, &stat, seen)))
}

/// Asks only of what its mode makes doubtful: nearly every source is readable for all. It is not opened,
/// for it may have become a pipe since, and that would be waited for.
pub(super) fn check_readable(
    full: &dyn Fn() -> PathBuf,
    dir: &File,
    name: &Path,
    stat: &Stat,
) -> Result<()> {
    if stat.mode & 0o444 == 0o444 {
        return Ok(());
    }
    match beneath::check_readable(dir, name) {
        Err(e) if !is_gone(&e) => Err(unreadable(&full(), &e)),
        _ => Ok(()),
    }
}
