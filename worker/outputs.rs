//! What a lane holds and what a job left: listing it, and sending the files the daemon asks for.
//!
//! Both stream: a list or a file of any size passes through one bounded buffer, at the pace of the
//! reader. A file is opened beneath its root without following links, and its size taken anew,
//! because nothing forbids it to change after it was listed.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rch::sys::fs::{Stat, fstat, is_absent};
use rch::time::Stamp;
use rch::wire::worker::{
    Collect, FromWorker, Held, Kind, Name, Present, Produced, Products, Put, Want,
};
use rch::wire::{CHUNK, patch};
use xxhash_rust::xxh3::xxh3_64;

use crate::fault::{Done, Sentence};
use crate::flow::{HIGH_WATER, LEVEL, Output};
use crate::lane::Lane;
use crate::tree::{Seen, Tree};

/// Files listed for one job; what is more is not a build's output.
const MOST_FILES: usize = 1_000_000;

/// Bytes of names in one `Produced` message, well below `MAX_BODY` whatever the last name's length.
const LIST: usize = 256 << 10;

/// Names in one `Present` message; none is longer than 255 bytes.
const NAMES: usize = 4096;

/// Collects `Produced` entries and sends them in messages of a fair size.
struct List<'a> {
    out: &'a mut Output,
    files: Vec<Produced>,
    bytes: usize,
    count: usize,
}

impl List<'_> {
    fn count(&mut self, more: usize) -> io::Result<()> {
        self.count += more;
        match self.count > MOST_FILES {
            true => Err(io::Error::other(format!(
                "the job left more than {MOST_FILES} files"
            ))),
            false => Ok(()),
        }
    }

    fn add(&mut self, file: Produced) -> io::Result<()> {
        self.count(1)?;
        self.bytes += file.name.path.as_os_str().len() + 32;
        self.files.push(file);
        if self.bytes > LIST {
            self.send(false)?;
        }
        Ok(())
    }

    /// Says what stands in a directory, in messages of a fair size.
    fn present(&mut self, root: usize, tree: &Tree, dir: &Path) -> io::Result<()> {
        let names = match tree.names(dir) {
            // Something has taken it away meanwhile: its own directory says so.
            Err(e) if is_absent(&e) => return Ok(()),
            names => names?,
        };
        self.count(names.len())?;
        // Of an emptied directory nothing is what is to be said.
        for part in names
            .chunks(NAMES)
            .chain(names.is_empty().then_some(&[][..]))
        {
            self.out.put(&FromWorker::Present(Present {
                root: root as u8,
                dir: dir.into(),
                names: part.to_vec(),
            }));
            self.out.flush_below(HIGH_WATER)?;
        }
        Ok(())
    }

    fn send(&mut self, last: bool) -> io::Result<()> {
        let files = std::mem::take(&mut self.files);
        self.bytes = 0;
        self.out.put(&FromWorker::Produced { files, last });
        self.out.flush_below(HIGH_WATER)
    }
}

/// Lists what changed in the roots since `mark`, and what lies in the product directories.
pub fn list(lane: &Lane, collect: &Collect, mark: Stamp, out: &mut Output) -> Done<()> {
    let mut list = List {
        out,
        files: Vec::new(),
        bytes: 0,
        count: 0,
    };
    let listed = (|| {
        if collect.changed {
            for (root, tree) in lane.trees.iter().enumerate() {
                changed(root, tree, mark, &mut list)?;
            }
        }
        for products in &collect.products {
            in_dir(lane, products, &mut list)?;
        }
        list.send(true)
    })();
    listed.wrong(|| "cannot list what the job made")
}

/// What is new or changed, and what stands where something was created or removed.
fn changed(root: usize, tree: &Tree, mark: Stamp, list: &mut List<'_>) -> io::Result<()> {
    let mut dirs = vec![];
    if tree.ctime()? > mark {
        dirs.push(PathBuf::new());
    }
    tree.walk(&mut |seen| {
        if seen.stat.ctime > mark {
            match seen.stat.is_dir() {
                true => dirs.push(seen.path.into()),
                false => list.add(produced(root, &seen, seen.path, true))?,
            }
        }
        Ok(())
    })?;
    dirs.iter()
        .try_for_each(|dir| list.present(root, tree, dir))
}

fn in_dir(lane: &Lane, products: &Products, list: &mut List<'_>) -> io::Result<()> {
    let Some((root, below)) = lane.locate(&products.dir) else {
        return Ok(());
    };
    lane.trees[root].walk_dir(
        &below,
        products.deep,
        &mut |seen| match seen.stat.is_dir() {
            true => Ok(()),
            false => list.add(produced(root, &seen, seen.path, false)),
        },
    )
}

fn produced(root: usize, seen: &Seen<'_>, path: &Path, changed: bool) -> Produced {
    Produced {
        name: Name {
            root: root as u8,
            path: path.into(),
        },
        size: seen.stat.size,
        mtime: seen.stat.mtime,
        mode: seen.stat.mode & 0o7777,
        changed,
    }
}

/// Lists all that the lane holds, products aside, with its content's hash.
pub fn holds(lane: &Lane, out: &mut Output) -> Done<()> {
    let (mut files, mut bytes) = (Vec::new(), 0);
    let mut each = |held: Held| -> io::Result<()> {
        bytes += held.name.path.as_os_str().len() + 64;
        files.push(held);
        if bytes > LIST {
            bytes = 0;
            let files = std::mem::take(&mut files);
            out.put(&FromWorker::Holds { files, last: false });
            out.flush_below(HIGH_WATER)?;
        }
        Ok(())
    };
    for (root, tree) in lane.trees.iter().enumerate() {
        tree.list(&mut |path, stat, kind, hash| {
            let root = root as u8;
            each(Held {
                name: Name { root, path },
                mode: stat.mode & 0o7777,
                mtime: stat.mtime,
                kind,
                hash,
            })
        })
        .wrong(|| "cannot list what the lane holds")?;
    }
    out.put(&FromWorker::Holds { files, last: true });
    Ok(())
}

/// Sends each file with its content, then says which could not be read.
pub fn fetch(lane: &Lane, wants: &[Want], out: &mut Output) -> Done<()> {
    let mut pack = Pack {
        out,
        frames: vec![],
        spent: vec![],
    };
    let mut missing = Vec::new();
    for want in wants {
        let name = &want.name;
        let sent = match lane.tree(name.root).and_then(|t| {
            open(t, &name.path).wrong(|| format!("cannot read '{}'", name.path.display()))
        }) {
            Ok(Source::Link(put)) => pack.put(&FromWorker::File(put.named(name))),
            Ok(Source::File(file, stat)) => send_file(lane, want, file, &stat, &mut pack),
            Err(_) => {
                missing.push(name.clone());
                continue;
            }
        };
        sent.wrong(|| format!("cannot send '{}'", name.path.display()))?;
    }
    pack.send().wrong(|| "cannot send files")?;
    // In the open: whoever passes packs on unread must see the end.
    pack.out.put(&FromWorker::Fetched { missing });
    pack.out.flush().wrong(|| "cannot write to the session")
}

enum Source {
    File(File, Stat),
    Link(Link),
}

struct Link {
    stat: Stat,
    target: std::path::PathBuf,
}

impl Link {
    fn named(self, name: &Name) -> Put {
        put(
            name,
            &self.stat,
            Kind::Symlink {
                target: self.target,
            },
        )
    }
}

fn put(name: &Name, stat: &Stat, kind: Kind) -> Put {
    Put {
        name: name.clone(),
        mode: stat.mode & 0o7777,
        mtime: stat.mtime,
        steady: false,
        kind,
    }
}

fn open(tree: &Tree, path: &Path) -> io::Result<Source> {
    let stat = tree.lstat(path)?;
    if stat.is_symlink() {
        let target = tree.read_link(path)?;
        return Ok(Source::Link(Link { stat, target }));
    }
    let file = tree.open_file(path)?;
    let stat = fstat(&file)?;
    if !stat.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(Source::File(file.into(), stat))
}

/// Sends exactly the announced size: a file that shrinks meanwhile is filled up with zeros, which the
/// daemon's own check of the copy must find, as it must find one that was merely rewritten.
fn send_file(
    lane: &Lane,
    want: &Want,
    mut file: File,
    stat: &Stat,
    pack: &mut Pack<'_>,
) -> io::Result<()> {
    let (size, name) = (stat.size, &want.name);
    pack.put(&FromWorker::File(put(name, stat, Kind::File { size })))?;
    if size >= patch::MIN_SIZE && !lane.ephemeral {
        return send_large(lane, want, &file, size, pack);
    }
    let mut left = size;
    while left > 0 {
        let want = left.min(CHUNK as u64);
        let mut chunk = Vec::with_capacity(want as usize);
        (&mut file).take(want).read_to_end(&mut chunk)?;
        chunk.resize(want as usize, 0);
        pack.put(&FromWorker::Data(chunk))?;
        left -= want;
    }
    Ok(())
}

/// Sends a file that is worth remembering, as a patch if the version sent before is still here and
/// at home.
fn send_large(
    lane: &Lane,
    want: &Want,
    file: &File,
    size: u64,
    pack: &mut Pack<'_>,
) -> io::Result<()> {
    let old = want.had.and_then(|hash| lane.sent(&want.name, hash));
    let old_len = old.as_ref().map_or(Ok(0), |f| fstat(f).map(|s| s.size))?;
    let mut maker = patch::Maker::new(old_len);
    let (mut digest, mut offset) = (patch::Digest::default(), 0);
    let mut piece = vec![];
    while offset < size {
        let end = (offset + patch::PIECE as u64).min(size);
        read_at(file, offset..end, &mut piece)?;
        let hash = xxh3_64(&piece);
        digest.piece(hash);
        if let Some(old) = &old {
            let mut read = |r: Range<u64>, b: &mut Vec<u8>| read_at(old, r, b);
            let body = maker.body(&mut read, (offset, &piece, hash), LEVEL)?;
            // Before it, in their order, what is still waiting to be packed.
            pack.send()?;
            pack.out.put(&FromWorker::Patch(body));
        } else {
            for chunk in piece.chunks(CHUNK) {
                pack.put(&FromWorker::Data(chunk.to_vec()))?;
            }
        }
        offset = end;
    }
    // A link that cannot be made costs the next transfer, nothing else.
    let _ = lane.remember(&want.name, file, digest.finish());
    pack.spend(old);
    Ok(())
}

/// All of `range`, filled up with zeros where the file has become shorter.
fn read_at(file: &File, range: Range<u64>, bytes: &mut Vec<u8>) -> io::Result<()> {
    bytes.resize((range.end - range.start) as usize, 0);
    let mut done = 0;
    while done < bytes.len() {
        match file.read_at(&mut bytes[done..], range.start + done as u64)? {
            0 => break,
            n => done += n,
        }
    }
    bytes[done..].fill(0);
    Ok(())
}

/// Frames on their way into a `PACK`.
struct Pack<'a> {
    out: &'a mut Output,
    frames: Vec<u8>,
    /// Versions that were replaced. With the last of its names a large file takes milliseconds to go,
    /// for which nobody need wait: they are closed behind the last message.
    spent: Vec<File>,
}

/// More open files than that are not kept.
const MOST_SPENT: usize = 16;

impl Pack<'_> {
    fn spend(&mut self, old: Option<File>) {
        self.spent.extend(old);
        self.spent.truncate(MOST_SPENT);
    }

    fn put(&mut self, message: &FromWorker) -> io::Result<()> {
        message.encode(&mut self.frames);
        if self.frames.len() >= CHUNK {
            self.send()?;
        }
        Ok(())
    }

    fn send(&mut self) -> io::Result<()> {
        if !self.frames.is_empty() {
            self.out.pack(&self.frames);
            self.frames.clear();
        }
        self.out.flush_below(HIGH_WATER)
    }
}
