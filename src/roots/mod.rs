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

pub mod links;
pub mod lock;
pub mod manifests;
pub mod needs;
pub mod packages;
pub mod settings;
pub mod words;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::config;
use crate::error::{Error, Result};
use crate::paths;
use crate::wire::worker::MAX_ROOTS;
use crate::wire::worker::Name;

use needs::Needs;
use settings::Settings;
use words::Words;

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
    /// Something else starts what `cargo run` runs (`target.….runner`).
    pub runner: bool,
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
    pub needs: Needs,
    /// The text of CARGO_HOME's own configuration, without what is secret in it.
    pub cargo_config: Option<String>,
    /// `node_modules` travels like any other directory.
    pub sends_packages: bool,
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

    /// Whether `path` is a root or lies beneath one.
    pub fn holds(&self, path: &Path) -> bool {
        self.roots.iter().any(|r| path.starts_with(&r.path))
    }

    /// Whether what stands at `path` is synced, as far as roots go.
    fn syncs(&self, path: &Path) -> bool {
        self.roots
            .iter()
            .any(|root| match (path.strip_prefix(&root.path), &root.only) {
                (Ok(_), None) => true,
                (Ok(rest), Some(only)) => only.iter().any(|file| file == rest),
                (Err(_), _) => false,
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
/// Why it cannot be sent: a root that is too wide, or a target directory that holds the sources.
pub fn find(
    cwd: &Path,
    argv: &[OsString],
    env: Env<'_>,
    config: &config::Transfer,
) -> Result<Project> {
    let home = home(env);
    let cargo_home = env("CARGO_HOME").filter(|v| !v.is_empty());
    let mut search = Search {
        cargo_home: cargo_home.map_or_else(|| home.join(".cargo"), PathBuf::from),
        home,
        narrow: config.root == "cwd",
        roots: vec![],
        needs: needs::of(argv, env),
        cargo_config: None,
    };
    search.add(&search.project_root(cwd))?;
    let cargo = if argv.first().is_some_and(|word| word == "cargo") {
        search.cargo(cwd, &Words::of_cargo(argv), env)?
    } else {
        search.other(cwd, argv)?;
        None
    };
    let mut roots = search.roots;
    // In one order, whatever order directories are listed in: lanes are known by their roots.
    roots[1..].sort_by(|a, b| a.path.cmp(&b.path));
    let name = roots[0].path.file_name().unwrap_or_default();
    Ok(Project {
        name: name.to_string_lossy().into_owned(),
        cargo_home: search.cargo_home,
        needs: search.needs,
        cargo_config: search.cargo_config,
        cargo,
        sends_packages: false,
        roots,
    })
}

/// Roots on the way to a project.
#[derive(Debug)]
struct Search {
    home: PathBuf,
    cargo_home: PathBuf,
    /// Repositories are not taken whole (`transfer.root = "cwd"`).
    narrow: bool,
    roots: Vec<Root>,
    needs: Needs,
    cargo_config: Option<String>,
}

/// Directories that belong to the system: what a compiler's words or a link name in them is there on
/// a worker too. A project may still lie in one (`/usr/src/app`).
const SYSTEM: [&str; 16] = [
    "/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/nix", "/opt", "/proc", "/run",
    "/sbin", "/sys", "/usr", "/var/lib", "/snap",
];

/// Too wide themselves, though a project may well lie in them.
const EVERYBODYS: [&str; 6] = ["/home", "/mnt", "/srv", "/tmp", "/var", "/var/tmp"];

impl Search {
    /// The repository around `cwd`, else the workspace, else `cwd` itself.
    fn project_root(&self, cwd: &Path) -> PathBuf {
        if self.narrow {
            cwd.to_path_buf()
        } else {
            self.promote(cwd)
        }
    }

    /// A directory's own project: a crate may read anything in its repository.
    fn promote(&self, dir: &Path) -> PathBuf {
        let top = git_top(dir).filter(|top| !self.narrow && self.too_wide(top).is_none());
        top.or_else(|| {
            let package = manifests::package_dir(dir)?;
            let whole = manifests::workspace_dir(&package);
            let around = if dir.starts_with(&whole) {
                whole
            } else {
                package
            };
            self.too_wide(&around).is_none().then_some(around)
        })
        .unwrap_or_else(|| dir.to_path_buf())
    }

    fn too_wide(&self, dir: &Path) -> Option<&'static str> {
        if dir == Path::new("/") {
            Some("is the whole machine")
        } else if self.home.starts_with(dir) {
            Some("is or holds the home directory")
        } else if EVERYBODYS
            .iter()
            .chain(&SYSTEM)
            .any(|d| dir == Path::new(d))
        {
            Some("belongs to the system")
        } else {
            None
        }
    }

    /// Adds a whole root, unless one holds it already; those that lie in it go.
    fn add(&mut self, dir: &Path) -> Result<()> {
        if self.holds(dir) {
            return Ok(());
        }
        if let Some(reason) = self.too_wide(dir) {
            return Err(
                Error::new(format!("cannot send '{}': it {reason}", dir.display()))
                    .hint("work in a directory of its own, or run 'git init' in it"),
            );
        }
        // The outer one takes the place of the first it swallows: the project stays first.
        let inner = |r: &Root| r.path.starts_with(dir);
        let at = self.roots.iter().position(|r| r.only.is_none() && inner(r));
        let at = at.unwrap_or(self.roots.len());
        let before = self.roots[..at].iter().filter(|r| inner(r)).count();
        self.roots.retain(|r| !inner(r));
        self.roots
            .insert(at - before, Root::whole(dir.to_path_buf()));
        self.check_count()
    }

    fn holds(&self, path: &Path) -> bool {
        let mut whole = self.roots.iter().filter(|r| r.only.is_none());
        whole.any(|r| path.starts_with(&r.path))
    }

    /// Adds a root of which only `files` are synced.
    fn add_only(&mut self, dir: &Path, files: Vec<PathBuf>) -> Result<()> {
        if self.holds(dir) {
            return Ok(());
        }
        match self.roots.iter_mut().find(|r| r.path == dir) {
            Some(root) => root.only.get_or_insert_default().extend(files),
            None => self.roots.push(Root {
                path: dir.to_path_buf(),
                only: Some(files),
            }),
        }
        self.check_count()
    }

    fn check_count(&self) -> Result<()> {
        if self.roots.len() > MAX_ROOTS {
            let text = format!("more than {MAX_ROOTS} directories outside the project");
            return Err(Error::new(text));
        }
        Ok(())
    }

    /// Whatever a cargo command needs beside the project.
    fn cargo(&mut self, cwd: &Path, words: &Words, env: Env<'_>) -> Result<Option<Cargo>> {
        let cwd = normal_join(cwd, words.chdir.as_deref());
        let settings = Settings::load(&cwd, &self.cargo_home, &words.configs);
        for file in &settings.files {
            let (dir, name) = (
                file.parent().unwrap_or(file),
                file.file_name().unwrap_or_default(),
            );
            self.add_only(dir, vec![name.into()])?;
        }
        let package = match &words.manifest_path {
            Some(path) => paths::normal(&cwd.join(path))
                .parent()
                .map(Path::to_path_buf),
            None => manifests::package_dir(&cwd),
        };
        let Some(package) = package else {
            return Ok(None);
        };
        let workspace = manifests::workspace_dir(&package);
        let mut start = settings.outside();
        start.push(package);
        for dir in manifests::reach(&workspace, start) {
            self.reach(&dir)?;
        }
        let cargo = cargo_dirs(workspace, &cwd, words, &settings, env);
        self.target(&cargo)?;
        needs::of_cargo(&mut self.needs, &settings, &cargo, env);
        self.cargo_config = settings.of_home();
        Ok(Some(cargo))
    }

    /// A directory that a manifest or another tool names.
    fn reach(&mut self, dir: &Path) -> Result<()> {
        if self.holds(dir) || !dir.is_dir() {
            return Ok(());
        }
        self.add(&self.promote(dir))
    }

    /// Products must have a root to come home into.
    fn target(&mut self, cargo: &Cargo) -> Result<()> {
        let dirs = [
            Some(&cargo.target_dir),
            cargo.build_dir.as_ref(),
            cargo.artifact_dir.as_ref(),
        ];
        for dir in dirs.into_iter().flatten() {
            if cargo.workspace.starts_with(dir) && cargo.artifact_dir.as_ref() != Some(dir) {
                return Err(Error::new(format!(
                    "cannot send a project whose target directory '{}' holds its sources",
                    dir.display()
                )));
            }
            if self.too_wide(dir).is_some_and(|_| !self.holds(dir)) {
                return Err(Error::new(format!(
                    "cannot build into '{}' from afar",
                    dir.display()
                )));
            }
            self.add_only(dir, vec![])?;
        }
        Ok(())
    }

    /// Whatever another tool's words name: `make -C ../x`, `gcc /elsewhere/a.c -I ../include`.
    fn other(&mut self, cwd: &Path, argv: &[OsString]) -> Result<()> {
        let named = words::Named::of(argv);
        for path in named.read {
            let path = paths::normal(&cwd.join(path));
            let dir = if path.is_dir() {
                Some(path.as_path())
            } else {
                path.parent()
            };
            if let Some(dir) = dir.filter(|dir| !is_system(dir)) {
                self.reach(dir)?;
                self.cmake_source(dir)?;
            }
        }
        for path in named.written {
            self.written(&paths::normal(&cwd.join(path)))?;
        }
        Ok(())
    }

    /// A product outside the project has a root to come home into; what else lies beside it is nobody's
    /// business.
    fn written(&mut self, path: &Path) -> Result<()> {
        let dir = match path.is_dir() {
            true => path,
            false => path.parent().unwrap_or(path),
        };
        if self.holds(path) {
            return Ok(());
        }
        if is_system(dir) || !dir.is_dir() || self.too_wide(dir).is_some() {
            let text = format!("it writes to '{}', outside the project", path.display());
            return Err(Error::new(text));
        }
        self.add_only(dir, vec![])
    }

    /// A build tree of cmake knows where its sources are.
    fn cmake_source(&mut self, build: &Path) -> Result<()> {
        const KEY: &str = "CMAKE_HOME_DIRECTORY:INTERNAL=";
        let Ok(cache) = std::fs::read_to_string(build.join("CMakeCache.txt")) else {
            return Ok(());
        };
        let dir = cache.lines().find_map(|line| line.strip_prefix(KEY));
        dir.map_or(Ok(()), |dir| self.reach(&paths::normal(Path::new(dir))))
    }
}

fn is_system(dir: &Path) -> bool {
    SYSTEM.iter().any(|d| dir.starts_with(d))
}

fn normal_join(cwd: &Path, dir: Option<&Path>) -> PathBuf {
    dir.map_or_else(|| cwd.to_path_buf(), |d| paths::normal(&cwd.join(d)))
}

fn cargo_dirs(
    workspace: PathBuf,
    cwd: &Path,
    words: &Words,
    settings: &Settings,
    env: Env<'_>,
) -> Cargo {
    let given = |dir: &Option<PathBuf>| dir.as_ref().map(|d| paths::normal(&cwd.join(d)));
    let target_vars = ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR"];
    let target_dir = given(&words.target_dir)
        .or_else(|| settings.build_dir("target-dir", &target_vars, cwd, env))
        .unwrap_or_else(|| workspace.join("target"));
    let build_dir = settings.build_dir("build-dir", &["CARGO_BUILD_BUILD_DIR"], cwd, env);
    let artifact_dir = given(&words.artifact_dir)
        .or_else(|| settings.build_dir("artifact-dir", &["CARGO_BUILD_ARTIFACT_DIR"], cwd, env));
    Cargo {
        target_dir: real(target_dir),
        build_dir: build_dir.and_then(|dir| expand(&dir, &workspace)),
        targets: if words.targets.is_empty() {
            settings.targets(env)
        } else {
            words.targets.clone()
        },
        artifact_dir,
        runner: settings.has_runner(),
        workspace,
    }
}

/// Where a target directory that is a link really is: products are never written through a link.
fn real(dir: PathBuf) -> PathBuf {
    let is_link = dir.symlink_metadata().is_ok_and(|m| m.is_symlink());
    let real = is_link.then(|| dir.canonicalize().ok()).flatten();
    real.unwrap_or(dir)
}

/// Fills in the templates of `build.build-dir`; `None` if one cannot be known here. Nothing comes
/// home from there then.
fn expand(dir: &Path, workspace: &Path) -> Option<PathBuf> {
    let text = dir.to_str()?;
    let at = text.find("{workspace-root}");
    let text = at.map_or(text.to_string(), |at| {
        format!(
            "{}{}",
            workspace.display(),
            &text[at + "{workspace-root}".len()..]
        )
    });
    (!text.contains('{')).then(|| paths::normal(Path::new(&text)))
}

fn home(env: Env<'_>) -> PathBuf {
    let home = env("HOME").filter(|v| Path::new(v).is_absolute());
    home.map_or_else(paths::home, PathBuf::from)
}

/// The nearest directory that holds `.git` (a directory, or a worktree's or submodule's file).
pub fn git_top(from: &Path) -> Option<PathBuf> {
    let mut above = from.ancestors();
    above
        .find(|dir| dir.join(".git").exists())
        .map(Path::to_path_buf)
}

#[cfg(test)]
mod tests;
