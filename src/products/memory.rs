//! What came home from one lane before, so that it need not come again.
//!
//! A file is known by the worker's size and time of it and by what stood here afterwards. What is
//! remembered survives the daemon (`encode`). To lose it costs a transfer, and where a `cargo clean` here
//! is still to be passed on, that.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::bytes::{Malformed, Parsed, Reader, Writer};
use crate::manifest::{Entry, Manifest};
use crate::roots::Project;
use crate::time::Stamp;
use crate::wire::worker::{Name, Produced};

/// So many names are remembered that the last job did not list. Tools that put a hash into each name
/// (bundlers, incremental compilers) would make no end of them; one takes some hundred bytes.
const SPARE: usize = 10_000;

/// What came home before: the worker's size and time of it, and what stood here then.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    held: HashMap<Name, (u64, Stamp, Entry)>,
    /// Directories that were cleaned here and not yet there.
    unclean: Vec<PathBuf>,
}

impl Memory {
    /// `written` is what a landing wrote of `chosen`.
    pub fn note(&mut self, chosen: &[Produced], written: &[(Name, Entry)]) {
        let theirs: HashMap<&Name, &Produced> = chosen.iter().map(|p| (&p.name, p)).collect();
        for (name, entry) in written {
            if let Some(p) = theirs.get(name) {
                self.held
                    .insert(name.clone(), (p.size, p.mtime, entry.clone()));
            }
        }
        self.forget_old(&theirs, SPARE);
    }

    /// With more than `spare` names that are not `listed`, the older ones of them go, half of what may
    /// stay: not one after the other, job by job.
    fn forget_old(&mut self, listed: &HashMap<&Name, &Produced>, spare: usize) {
        if self.held.len() <= listed.len() + spare {
            return;
        }
        let held = self.held.iter();
        let others = held.filter(|(name, _)| !listed.contains_key(name));
        let mut times: Vec<Stamp> = others.map(|(_, (_, mtime, _))| *mtime).collect();
        times.sort_unstable_by(|a, b| b.cmp(a));
        let Some(oldest) = times.get(spare / 2).copied() else {
            return;
        };
        self.held
            .retain(|name, (_, mtime, _)| *mtime > oldest || listed.contains_key(name));
    }

    /// For the disk.
    pub fn encode(&self) -> Vec<u8> {
        let entries = self
            .held
            .iter()
            .map(|(n, (_, _, e))| (n.clone(), e.clone()));
        let entries = Manifest::new(entries.collect(), 0);
        let theirs: Vec<(u64, Stamp)> = entries
            .iter()
            .map(|(name, _)| (self.held[name].0, self.held[name].1))
            .collect();
        let mut w = Writer::default();
        w.bytes(&entries.encode());
        w.list(&theirs, |w, (size, mtime)| {
            w.u64(*size).i64(*mtime);
        });
        w.list(&self.unclean, |w, dir| {
            w.path(dir);
        });
        w.0
    }

    /// # Errors
    /// `Malformed` for anything that `encode` did not write.
    pub fn decode(bytes: &[u8]) -> Parsed<Memory> {
        let mut r = Reader::new(bytes);
        let entries = Manifest::decode(r.bytes()?)?;
        let theirs = r.list(|r| Ok((r.u64()?, r.i64()?)))?;
        let unclean = r.list(Reader::path)?;
        r.end()?;
        if theirs.len() != entries.len() {
            return Err(Malformed);
        }
        let held = entries.iter().zip(theirs);
        Ok(Memory {
            held: held
                .map(|((name, entry), (size, mtime))| (name.clone(), (size, mtime, entry.clone())))
                .collect(),
            unclean,
        })
    }

    /// Of a lane of which nothing here is known any more.
    pub fn forgotten(unclean: Vec<PathBuf>) -> Memory {
        Memory {
            unclean,
            ..Memory::default()
        }
    }

    /// What is true as well of a copy of the lane with other roots, the project's own aside.
    #[must_use]
    pub fn of_copy(mut self) -> Memory {
        self.held.retain(|name, _| name.root == 0);
        self
    }

    pub fn unclean(&self) -> &[PathBuf] {
        &self.unclean
    }

    /// Whether anything in `dir` came home.
    pub fn knows(&self, project: &Project, dir: &Path) -> bool {
        let inside = |name: &Name| {
            usize::from(name.root) < project.roots.len() && project.place(name).starts_with(dir)
        };
        self.held.keys().any(inside)
    }

    /// The hash of what came from there, if it still stands here: a patch of it will do.
    pub fn base_of_patch(&self, name: &Name, here: &Entry) -> Option<u64> {
        let (_, _, entry) = self.held.get(name)?;
        (entry.hash != 0 && entry.same(here)).then_some(entry.hash)
    }

    /// Whether the file here is still the one that came from there.
    pub(super) fn holds(&self, theirs: &Produced, here: &Entry) -> bool {
        self.held
            .get(&theirs.name)
            .is_some_and(|(size, mtime, entry)| {
                (*size, *mtime) == (theirs.size, theirs.mtime) && entry.same(here)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Kind;

    /// A bundler's outputs, each with a hash in its name, made the record longer with every job.
    #[test]
    fn names_that_no_job_lists_any_more_have_an_end() {
        let name = |n: usize| Name {
            root: 0,
            path: format!("dist/{n}.js").into(),
        };
        let entry = Entry::unlike_any(Kind::File);
        let mut memory = Memory::default();
        let main = Produced {
            name: name(usize::MAX),
            size: 1,
            mtime: 1,
            mode: 0o644,
            changed: false,
        };
        let mut most = 0;
        for job in 0..4 * SPARE {
            let listed = [
                main.clone(),
                Produced {
                    name: name(job),
                    mtime: job as Stamp + 2,
                    changed: true,
                    ..main.clone()
                },
            ];
            let written = listed.iter().map(|p| (p.name.clone(), entry.clone()));
            memory.note(&listed, &written.collect::<Vec<_>>());
            most = most.max(memory.held.len());
        }
        assert_eq!(most, SPARE + 2);
        // It is the oldest, but there.
        assert!(memory.held.contains_key(&main.name));
        assert!(memory.held.contains_key(&name(4 * SPARE - 1)));
        assert!(!memory.held.contains_key(&name(0)));
    }

    #[test]
    fn survives_the_way_to_the_disk_and_back() {
        let name = |path: &str| Name {
            root: 0,
            path: path.into(),
        };
        let entry = |ino| Entry {
            kind: Kind::File,
            mode: 0o755,
            size: 5,
            mtime: 6,
            ctime: 7,
            ino,
            racy: false,
            hash: 8,
        };
        let mut memory = Memory::forgotten(vec!["/p/target".into()]);
        memory.held.insert(name("b"), (1, 2, entry(1)));
        memory.held.insert(name("a"), (3, 4, entry(2)));
        let bytes = memory.encode();
        assert_eq!(Memory::decode(&bytes).as_ref(), Ok(&memory));
        for cut in 0..bytes.len() {
            assert!(Memory::decode(&bytes[..cut]).is_err());
        }
        let here = entry(1);
        assert_eq!(memory.base_of_patch(&name("b"), &here), Some(8));
        assert_eq!(memory.base_of_patch(&name("b"), &entry(9)), None);
    }
}
