//! Called under a tool's name: for agents and people without hooks, as with ccache and distcc.
//!
//! Links named `cargo`, `make`, … stand in a folder that comes first in PATH. Called through one, we
//! judge our own arguments and either become `rch exec`, or the real tool: the first of that name
//! along PATH that is not this very program. `RCH_MASQUERADE` marks everything beneath, where we step
//! aside at once: so no loop is possible, and a local build's own compiler calls stay local.

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::answer::set;
use crate::classify::{self, names};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::{exit, paths};

const GUARD: &str = "RCH_MASQUERADE";

/// Tools that write down where they found the others: they are to find the real ones, as the path of our
/// links means nothing on a worker, nor here after an uninstall.
const RECORDS: [&str; 2] = ["cmake", "meson"];

/// If the program was called by a tool's name: does what that tool would, and answers the status.
pub fn called(args: &[OsString]) -> Option<i32> {
    let name = Path::new(args.first()?).file_name()?;
    names::tool(name.as_encoded_bytes())?;
    let rest = args.get(1..).unwrap_or(&[]);
    let aside = set(GUARD) || set("RCH_BYPASS") || set("RCH_LOCAL_ONLY");
    if !aside && goes(name, rest) {
        return Some(become_exec(name, rest));
    }
    Some(become_real(name, rest))
}

fn goes(name: &OsStr, rest: &[OsString]) -> bool {
    let cwd = std::env::current_dir().unwrap_or_default();
    let (config, _) = Config::load(&cwd, |name| std::env::var(name).ok());
    let mut argv = vec![name.to_os_string()];
    argv.extend_from_slice(rest);
    config.general.enabled
        && classify::confident(&argv, config.compilation.confidence_threshold).is_ok()
}

fn become_exec(name: &OsStr, rest: &[OsString]) -> i32 {
    let err = Command::new("/proc/self/exe")
        .arg0("rch")
        .args(["exec", "--"])
        .arg(name)
        .args(rest)
        .env(GUARD, "1")
        .exec();
    complain(&Error::os("cannot start 'rch exec'", &err));
    become_real(name, rest)
}

fn become_real(name: &OsStr, rest: &[OsString]) -> i32 {
    let Some(real) = real_tool(name) else {
        let text = format!("cannot find the real '{}' in PATH", name.to_string_lossy());
        complain(&Error::new(text));
        return exit::NOT_FOUND;
    };
    // By its whole path: gcc looks along PATH for its own name to find its parts, and would find us.
    let mut real_one = Command::new(&real);
    real_one.args(rest).env(GUARD, "1");
    if RECORDS.iter().any(|tool| name == *tool)
        && let Some(path) = path_without_us(name)
    {
        real_one.env("PATH", path);
    }
    let err = real_one.exec();
    complain(&Error::path("run", &real, &err));
    exit::FAILED
}

fn complain(err: &Error) {
    let _ = writeln!(std::io::stderr(), "rch: {err}");
}

/// PATH without the folders in which `name` is one of our links.
fn path_without_us(name: &OsStr) -> Option<OsString> {
    let us = std::fs::metadata("/proc/self/exe").ok()?;
    let path = std::env::var_os("PATH")?;
    let is_ours = |dir: &PathBuf| {
        std::fs::metadata(dir.join(name)).is_ok_and(|m| (m.dev(), m.ino()) == (us.dev(), us.ino()))
    };
    std::env::join_paths(std::env::split_paths(&path).filter(|dir| !is_ours(dir))).ok()
}

/// The first program called `name` along PATH that is not us.
pub fn real_tool(name: &OsStr) -> Option<PathBuf> {
    let us = std::fs::metadata("/proc/self/exe").ok()?;
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|candidate| {
            std::fs::metadata(candidate).is_ok_and(|m| {
                m.is_file()
                    && m.permissions().mode() & 0o111 != 0
                    && (m.dev(), m.ino()) != (us.dev(), us.ino())
            })
        })
}

/// Where the links stand unless told otherwise.
pub fn default_dir() -> PathBuf {
    paths::home().join(".local/share/rch/bin")
}

/// A folder of links.
#[derive(Debug)]
pub struct Links {
    pub dir: PathBuf,
    /// Those that are ours, or that were made or removed.
    pub count: usize,
    /// The folder comes first in PATH.
    pub first: bool,
}

impl Links {
    fn new(dir: &Path, count: usize) -> Links {
        let path = std::env::var_os("PATH").unwrap_or_default();
        Links {
            dir: dir.into(),
            count,
            first: std::env::split_paths(&path)
                .next()
                .is_some_and(|d| d == dir),
        }
    }
}

fn own_path() -> Result<PathBuf> {
    std::fs::read_link("/proc/self/exe")
        .map_err(|e| Error::os("cannot find the running program", &e))
}

fn is_ours(link: &Path, rch: &Path) -> bool {
    std::fs::read_link(link).is_ok_and(|to| to == rch)
}

fn absolute(dir: &Path) -> Result<PathBuf> {
    std::path::absolute(dir).map_err(|e| Error::path("resolve", dir, &e))
}

/// Makes the links.
///
/// # Errors
/// Something else stands in the way, or the folder cannot be written; in the first case nothing is made.
pub fn install(dir: &Path) -> Result<Links> {
    let (rch, dir) = (own_path()?, absolute(dir)?);
    std::fs::create_dir_all(&dir).map_err(|e| Error::path("create", &dir, &e))?;
    let links = names::LINKS.iter().map(|name| dir.join(name));
    let missing: Vec<PathBuf> = links.filter(|link| !is_ours(link, &rch)).collect();
    // A dangling link is what an older installation of ours left behind.
    let (there, _): (Vec<&PathBuf>, Vec<_>) = missing.iter().partition(|link| link.exists());
    if let Some(other) = there.first() {
        let text = format!("'{}' is there already, and is not ours", other.display());
        return Err(Error::new(text).hint("move it away, or name another folder"));
    }
    for link in &missing {
        if link.is_symlink() {
            std::fs::remove_file(link).map_err(|e| Error::path("remove", link, &e))?;
        }
        std::os::unix::fs::symlink(&rch, link).map_err(|e| Error::path("link", link, &e))?;
    }
    Ok(Links::new(&dir, names::LINKS.len()))
}

/// Removes the links, and the folder if nothing else is in it.
///
/// # Errors
/// One cannot be removed.
pub fn uninstall(dir: &Path) -> Result<Links> {
    let (rch, dir) = (own_path()?, absolute(dir)?);
    let ours = names::LINKS.iter().map(|n| dir.join(n));
    let ours: Vec<PathBuf> = ours.filter(|l| is_ours(l, &rch)).collect();
    for link in &ours {
        std::fs::remove_file(link).map_err(|e| Error::path("remove", link, &e))?;
    }
    let _ = std::fs::remove_dir(&dir);
    Ok(Links::new(&dir, ours.len()))
}

/// # Errors
/// Our own path is not to be found.
pub fn status(dir: &Path) -> Result<Links> {
    let (rch, dir) = (own_path()?, absolute(dir)?);
    let ours = |name: &&&str| is_ours(&dir.join(name), &rch);
    Ok(Links::new(&dir, names::LINKS.iter().filter(ours).count()))
}
