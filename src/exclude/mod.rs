//! Which files never travel: build products, secrets, and what the user names.
//!
//! A pattern is a glob over bytes: `*` and `?` stay within a name, `**` crosses directories, `[…]`
//! and `{…,…}` choose. Without a slash (a trailing one aside) it is matched against the last name,
//! with one against the whole path beneath the root; a trailing slash means directories only. That
//! is how .gitignore reads them, except that `!` is a letter. `include_patterns` win over all else.
//! They reach into a directory that is skipped only if they name the way to it (`target/x/*.bin`
//! does, `*.bin` does not): otherwise every build product would have to be walked.
//!
//! A cargo target directory is known by what cargo leaves in it, never by its name: a source
//! directory called `target` or `build` is a source directory.

pub mod secret;

use std::path::{Path, PathBuf};

use crate::config;
use crate::config::glob;
use crate::error::{Error, Result};
use crate::roots::Project;
use crate::wire::worker::Name;

/// Temporary files of our own landings begin with this. One that a crash left is not a source.
pub const TEMP_PREFIX: &str = ".rch-tmp-";

/// A longer .rchignore is a mistake.
const MAX_IGNORE: u64 = 1 << 20;

const BUILT_IN: [&str; 2] = ["*.rlib", "*.rmeta"];

/// Unless the project sends its packages.
const PACKAGES: &str = "node_modules/";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Take,
    /// The user's includes name it: taken, and its own files are judged as usual.
    Forced,
    /// A directory that stays, but for what the user's includes name in it.
    OnlyIncluded,
    Skip,
}

/// What a pattern's text is compared with. Most are no more than a name or an ending, and every entry
/// of a large tree is compared with all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Shape {
    Name(Vec<u8>),
    /// `*` and this.
    Ending(Vec<u8>),
    /// A glob for the last name.
    Last(Vec<u8>),
    /// A glob for the whole path.
    Whole(Vec<u8>),
}

/// One line of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    shape: Shape,
    dir_only: bool,
}

/// An entry's path and its last name, as bytes.
#[derive(Debug, Clone, Copy)]
struct Subject<'a> {
    whole: &'a [u8],
    last: &'a [u8],
    is_dir: bool,
}

impl<'a> Subject<'a> {
    fn new(path: &'a Path, is_dir: bool) -> Subject<'a> {
        let whole = path.as_os_str().as_encoded_bytes();
        let start = memchr::memrchr(b'/', whole).map_or(0, |at| at + 1);
        Subject {
            whole,
            last: &whole[start..],
            is_dir,
        }
    }
}

impl Pattern {
    /// `None` for a blank one.
    fn new(text: &str) -> Option<Pattern> {
        let text = text.trim();
        let (text, dir_only) = match text.strip_suffix('/') {
            Some(text) => (text, true),
            None => (text, false),
        };
        let bare = text.strip_prefix('/').unwrap_or(text);
        // To the glob library a leading `!` turns the pattern round.
        let glob = match bare.strip_prefix('!') {
            Some(rest) => format!("\\!{rest}"),
            None => bare.to_string(),
        };
        let shape = Pattern::shape(glob, text.contains('/'));
        (!bare.is_empty()).then_some(Pattern { shape, dir_only })
    }

    fn shape(glob: String, anchored: bool) -> Shape {
        const SPECIAL: [char; 6] = ['*', '?', '[', '{', '\\', ']'];
        let ending = glob
            .strip_prefix('*')
            .filter(|rest| !rest.contains(SPECIAL));
        match ending {
            _ if anchored => Shape::Whole(glob.into()),
            Some(ending) => Shape::Ending(ending.into()),
            None if glob.contains(SPECIAL) => Shape::Last(glob.into()),
            None => Shape::Name(glob.into()),
        }
    }

    fn matches(&self, subject: Subject<'_>) -> bool {
        let fits = match &self.shape {
            Shape::Name(name) => subject.last == *name,
            Shape::Ending(ending) => subject.last.ends_with(ending),
            Shape::Last(glob) => fast_glob::glob_match(glob, subject.last),
            Shape::Whole(glob) => fast_glob::glob_match(glob, subject.whole),
        };
        fits && (subject.is_dir || !self.dir_only)
    }

    /// Whether it may match something below `dir`, because its first parts match `dir`'s.
    fn reaches_into(&self, dir: &Path) -> bool {
        let Shape::Whole(glob) = &self.shape else {
            return false;
        };
        let mut parts = glob.split(|&b| b == b'/');
        dir.iter().all(|name| {
            let part = parts.next().unwrap_or_default();
            part != b"**" && fast_glob::glob_match(part, name.as_encoded_bytes())
        })
    }
}

fn patterns<S: AsRef<str>>(texts: impl IntoIterator<Item = S>) -> Vec<Pattern> {
    let texts = texts.into_iter();
    texts.filter_map(|t| Pattern::new(t.as_ref())).collect()
}

/// The rules for one project.
#[derive(Debug, Clone)]
pub struct Rules {
    excludes: Vec<Pattern>,
    includes: Vec<Pattern>,
    /// Each root's own .rchignore.
    ignores: Vec<Vec<Pattern>>,
    /// Target directories that cargo's configuration or the command names, as (root, path).
    targets: Vec<(usize, PathBuf)>,
}

impl Rules {
    /// # Errors
    /// An `.rchignore` that is there but cannot be read, or a line in it that is no glob.
    pub fn new(project: &Project, config: &config::Transfer) -> Result<Rules> {
        let packages = (!project.sends_packages).then_some(PACKAGES);
        let built_in = BUILT_IN.into_iter().chain(packages).map(String::from);
        let roots = project.roots.iter();
        Ok(Rules {
            excludes: patterns(built_in.chain(config.exclude_patterns.iter().cloned())),
            includes: patterns(&config.include_patterns),
            ignores: roots.map(|r| ignore_file(&r.path)).collect::<Result<_>>()?,
            targets: targets(project),
        })
    }

    /// What becomes of the entry at `path` beneath root number `root`, whose place is `full`; few have
    /// to be asked for it.
    pub fn judge(
        &self,
        root: usize,
        path: &Path,
        is_dir: bool,
        full: &dyn Fn() -> PathBuf,
    ) -> Verdict {
        let subject = Subject::new(path, is_dir);
        if self.includes.iter().any(|p| p.matches(subject)) {
            Verdict::Forced
        } else if !self.excluded(root, path, subject, full) {
            Verdict::Take
        } else if is_dir && self.reaches_into(root, path) {
            Verdict::OnlyIncluded
        } else {
            Verdict::Skip
        }
    }

    /// Whether a walk of `project` would find the file `name`.
    pub fn covers(&self, project: &Project, name: &Name) -> bool {
        let root = usize::from(name.root);
        name.path
            .ancestors()
            .filter(|a| !a.as_os_str().is_empty())
            .all(|path| {
                let (full, is_dir) = (project.roots[root].path.join(path), path != name.path);
                match self.judge(root, path, is_dir, &|| full.clone()) {
                    Verdict::Take => {
                        !is_dir || !self.is_target_dir(&full, |n| full.join(n).exists())
                    }
                    Verdict::Forced => true,
                    Verdict::OnlyIncluded | Verdict::Skip => false,
                }
            })
    }

    fn excluded(
        &self,
        root: usize,
        path: &Path,
        subject: Subject<'_>,
        full: &dyn Fn() -> PathBuf,
    ) -> bool {
        let ignores = self.ignores.get(root).into_iter().flatten();
        let named = self
            .excludes
            .iter()
            .chain(ignores)
            .any(|p| p.matches(subject));
        named
            || if subject.is_dir {
                self.targets.iter().any(|(r, t)| *r == root && t == path)
                    || is_git_store(path, subject)
            } else {
                subject.last.starts_with(TEMP_PREFIX.as_bytes()) || secret::is_secret(path, full)
            }
    }

    /// Whether an include names something below this directory.
    pub fn reaches_into(&self, _root: usize, dir: &Path) -> bool {
        self.includes.iter().any(|p| p.reaches_into(dir))
    }

    /// Whether the directory at `full`, which `holds` names, is one that cargo builds into.
    pub fn is_target_dir(&self, full: &Path, holds: impl Fn(&str) -> bool) -> bool {
        if holds("CACHEDIR.TAG") && is_cargo_tag(&full.join("CACHEDIR.TAG")) {
            return true;
        }
        let beside = || full.parent().is_some_and(|p| p.join("Cargo.toml").exists());
        let named = full.file_name().is_some_and(|n| n == "target");
        // A crate of that name has its own Cargo.toml.
        named && !holds("Cargo.toml") && holds(".rustc_info.json") && beside()
    }
}

/// Object databases: large, and useless without the rest of git.
fn is_git_store(dir: &Path, subject: Subject<'_>) -> bool {
    let mut parts = dir.iter().skip_while(|p| *p != ".git").skip(1);
    let within = ["objects", "modules", "lfs"];
    subject.last == b"objects"
        && parts
            .next()
            .is_some_and(|first| within.iter().any(|w| first == *w))
}

/// Whether a CACHEDIR.TAG is cargo's own (<https://bford.info/cachedir/> gives the first line). Other
/// programs' caches may be what a test reads.
fn is_cargo_tag(path: &Path) -> bool {
    let head = secret::head(path, 256);
    head.starts_with(b"Signature: 8a477f597d28d172789f06886806bc55")
        && memchr::memmem::find(&head, b"cargo").is_some()
}

fn targets(project: &Project) -> Vec<(usize, PathBuf)> {
    let dirs = project
        .cargo
        .iter()
        .flat_map(|c| [Some(&c.target_dir), c.build_dir.as_ref()]);
    let beneath = dirs.flatten().filter_map(|dir| project.locate(dir));
    beneath
        .map(|name| (usize::from(name.root), name.path))
        .collect()
}

/// What a root's own .rchignore says; nothing if it has none.
///
/// # Errors
/// It cannot be read, or a line in it is no glob.
pub fn ignore_file(root: &Path) -> Result<Vec<Pattern>> {
    let path = root.join(".rchignore");
    let text = match std::fs::metadata(&path) {
        Err(_) => return Ok(vec![]),
        Ok(meta) if meta.len() > MAX_IGNORE => {
            return Err(Error::new(format!(
                "cannot read '{}': too long",
                path.display()
            )));
        }
        Ok(_) => std::fs::read(&path).map_err(|e| Error::path("read", &path, &e))?,
    };
    let text = String::from_utf8_lossy(&text);
    let lines = (1..).zip(text.lines());
    let lines: Vec<(u32, &str)> = lines
        .filter(|(_, line)| !line.trim_start().starts_with('#'))
        .collect();
    for (number, line) in &lines {
        if let Some(why) = glob::fault(line.trim()) {
            let (place, line) = (path.display(), line.trim());
            let text = format!("{place}:{number}:1: '{line}' is no glob: {why}");
            return Err(Error::new(text));
        }
    }
    Ok(patterns(lines.iter().map(|(_, line)| line)))
}

#[cfg(test)]
mod tests;
