//! Which directories a command needs: the project, and what its manifests point to outside it.
//!
//! The project is the git toplevel around the command's directory, else the cargo workspace, else
//! the directory itself. Beyond it go path dependencies, `[patch]` and `[replace]` paths, and the
//! `.cargo/config.toml` of ancestors, found by reading manifests here rather than by asking
//! `cargo metadata`, which would cost more than the whole sync. Whatever lies outside is promoted to
//! its own project root, because a crate's build may read anything in its repository.
//!
//! Paths keep the spelling that the shell's cwd has: cargo and rustc print that one, not what the
//! symbolic links on the way resolve to.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::config;
use crate::error::{Error, Result};
use crate::wire::worker::Name;

/// Answers an environment variable of the client.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<OsString>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// Absolute, as the command's own directory spells it.
    pub path: PathBuf,
    /// `Some`: only these files (relative) are synced, none if empty; the root is there so that
    /// products may come home into it.
    pub only: Option<Vec<PathBuf>>,
}

impl Root {
    pub fn whole(path: PathBuf) -> Root {
        Root { path, only: None }
    }
}

/// What cargo's configuration says about where a build of this project puts its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cargo {
    /// The directory of the workspace's own Cargo.toml.
    pub workspace: PathBuf,
    pub target_dir: PathBuf,
    /// `build.build-dir`, where cargo keeps what is not final, if that is another directory.
    pub build_dir: Option<PathBuf>,
    /// `build.target`, in the words that name directories; empty: the host.
    pub targets: Vec<String>,
    /// `build.artifact-dir`.
    pub artifact_dir: Option<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// For people: the last part of the first root.
    pub name: String,
    /// The project itself first; none lies inside another, unsynced ones aside.
    pub roots: Vec<Root>,
    pub cargo_home: PathBuf,
    /// `Some` iff a Cargo.toml was found for the command.
    pub cargo: Option<Cargo>,
}

impl Project {
    /// Which root `path` (absolute) lies beneath, and where there: the innermost root counts.
    /// `None` for a root itself, and outside all.
    pub fn locate(&self, path: &Path) -> Option<Name> {
        let beneath = |(number, root): (usize, &Root)| {
            let rest = path.strip_prefix(&root.path).ok()?;
            Some((root.path.as_os_str().len(), number, rest))
        };
        let (_, number, rest) = self.roots.iter().enumerate().filter_map(beneath).max()?;
        let root = u8::try_from(number).ok()?;
        crate::paths::is_plain(rest).then(|| Name {
            root,
            path: rest.to_path_buf(),
        })
    }

    /// Where a file stands here.
    pub fn place(&self, name: &Name) -> PathBuf {
        self.roots[usize::from(name.root)].path.join(&name.path)
    }
}

/// The roots that `argv`, called in `cwd`, needs.
///
/// # Errors
/// Why it cannot be sent: a root that is the home directory or `/`, an unreadable manifest.
pub fn find(
    cwd: &Path,
    argv: &[OsString],
    env: Env<'_>,
    config: &config::Transfer,
) -> Result<Project> {
    let _ = (argv, config);
    let home = home(env);
    let root = git_top(cwd).unwrap_or_else(|| cwd.to_path_buf());
    if root == Path::new("/") || root == home {
        return Err(Error::new(format!(
            "'{}' is too wide for a project",
            root.display()
        )));
    }
    let name = root.file_name().unwrap_or(OsStr::new("project"));
    Ok(Project {
        name: name.to_string_lossy().into_owned(),
        cargo_home: env("CARGO_HOME").map_or_else(|| home.join(".cargo"), PathBuf::from),
        roots: vec![Root::whole(root)],
        cargo: None,
    })
}

fn home(env: Env<'_>) -> PathBuf {
    env("HOME").map_or_else(crate::paths::home, PathBuf::from)
}

/// The nearest directory that holds `.git` (a directory, or a worktree's or submodule's file).
fn git_top(from: &Path) -> Option<PathBuf> {
    let mut above = from.ancestors();
    above
        .find(|dir| dir.join(".git").exists())
        .map(Path::to_path_buf)
}
