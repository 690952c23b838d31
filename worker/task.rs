//! From the daemon's `Run` to what is started: program, environment, view.
//!
//! With namespaces every path is the home path and nothing is touched. Without, the home paths of
//! the roots in the working directory, the arguments and the environment are replaced by the lane's
//! own, and replaced back in the output.

use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rch::paths;
use rch::wire::worker::Run;

use crate::confine::View;
use crate::fault::{Done, Sentence};
use crate::lane::{Lane, lanes_dir};
use crate::program;
use crate::remap::Remap;
use crate::run::{Spec, find_program};

/// Searched after the worker's own PATH: a session's is bare.
const SYSTEM: [&str; 3] = ["/usr/local/bin", "/usr/bin", "/bin"];

/// Below the home directory, searched before the system's.
const HOMES: [&str; 3] = [".cargo/bin", ".bun/bin", ".local/bin"];

/// The worker's own CARGO_HOME.
pub fn cargo_home() -> PathBuf {
    env::var_os("CARGO_HOME").map_or_else(|| paths::home().join(".cargo"), PathBuf::from)
}

/// The worker's own RUSTUP_HOME.
pub fn rustup_home() -> PathBuf {
    env::var_os("RUSTUP_HOME").map_or_else(|| paths::home().join(".rustup"), PathBuf::from)
}

/// The PATH jobs get.
pub fn search_path() -> OsString {
    let own = env::var_os("PATH").unwrap_or_default();
    let mut dirs: Vec<PathBuf> = Vec::new();
    let all = env::split_paths(&own)
        .filter(|d| d.is_absolute() && !SYSTEM.iter().any(|s| d == Path::new(s)))
        .chain([cargo_home().join("bin")])
        .chain(HOMES.map(|d| paths::home().join(d)))
        .chain(SYSTEM.map(PathBuf::from));
    for dir in all {
        if !dirs.contains(&dir) {
            dirs.push(dir);
        }
    }
    env::join_paths(dirs).unwrap_or(own)
}

/// # Errors
/// `NoTool` if the program is not installed.
pub fn prepare(lane: &Lane, run: &Run, confined: bool) -> Done<(View, Spec, Remap)> {
    let mut env = environment(lane, run, confined);
    let runner = match run.runner.as_slice() {
        [] => None,
        variables => Some(set_runner(lane, variables, &mut env)?),
    };
    let unseen = runner.as_deref().map(program::unseen);
    let path = lookup(&env, "PATH").to_os_string();
    let program = find_program(&run.argv[0], &path)?;
    for name in &run.needs {
        find_program(&name.into(), &path)?;
    }
    let dirs = lane.dirs();
    let mut spec = Spec {
        program,
        argv: run.argv.clone(),
        cwd: run.cwd.clone(),
        env: Vec::new(),
        merged: run.merged,
        mark: 0,
    };
    if confined {
        spec.env = env;
        return Ok((view(lane, run, &dirs)?, spec, Remap::new(unseen)));
    }
    let there = Remap::new(lane.homes.iter().cloned().zip(dirs.iter().cloned()));
    let swap = |s: &OsStr| OsString::from_vec(there.all(s.as_bytes()));
    spec.cwd = swap(run.cwd.as_os_str()).into();
    spec.argv.iter_mut().for_each(|a| *a = swap(a));
    env.iter_mut().for_each(|(_, v)| *v = swap(v));
    spec.env = env;
    let back = dirs.into_iter().zip(lane.homes.iter().cloned());
    let back = Remap::new(back.chain(unseen));
    Ok((View::default(), spec, back))
}

fn view(lane: &Lane, run: &Run, dirs: &[PathBuf]) -> Done<View> {
    let own = cargo_home();
    // A machine whose cargo is the distribution's has none until the first job.
    let _ = std::fs::create_dir_all(&own);
    let mut view = View::common(&own);
    if let Some(at) = run.cargo_home.as_ref().filter(|at| **at != own) {
        view.show_cargo(&own, at);
    }
    for (dir, home) in dirs.iter().zip(&lane.homes) {
        view.show(dir, home);
    }
    if let Some(toolchain) = toolchain(lane, run) {
        toolchain.show(&mut view);
    }
    view.cargo_home = run.cargo_home.clone().unwrap_or_else(|| own.clone());
    view.cargo_config.clone_from(&run.cargo_config);
    // What cargo shares between its runs has to be there before it is shown.
    for dir in ["registry", "git"] {
        let dir = own.join(dir);
        std::fs::create_dir_all(&dir).wrong(|| format!("cannot create '{}'", dir.display()))?;
    }
    for file in [".package-cache", ".package-cache-mutate"] {
        let file = own.join(file);
        let mut options = std::fs::File::options();
        let opened = options.append(true).create(true).open(&file);
        opened.wrong(|| format!("cannot create '{}'", file.display()))?;
    }
    Ok(view)
}

/// A toolchain of this machine that jobs see where it is at home: cargo prints its path, and hands it
/// to build scripts.
struct Toolchain<'a> {
    own: PathBuf,
    at: &'a Path,
    /// rustup's home at home, and what the toolchain is called there.
    home: &'a Path,
    name: &'a OsStr,
}

/// `None`: it stays where it is. It is shown for the sake of how things look, and must not hide what a
/// job needs.
fn toolchain<'a>(lane: &Lane, run: &'a Run) -> Option<Toolchain<'a>> {
    let at = run.toolchain.as_deref()?;
    let home = at.parent()?.parent()?;
    let named = lookup(&run.env, "RUSTUP_TOOLCHAIN");
    let own = rustup_home().join("toolchains").join(named);
    let path = search_path();
    let needed = lane.homes.iter().cloned().chain(run.cargo_home.clone());
    let mut needed = needed
        .chain([cargo_home(), lanes_dir()])
        .chain(env::current_exe().ok())
        .chain(env::split_paths(&path));
    let hides = needed.any(|dir| dir.starts_with(home) || home.starts_with(dir));
    (!hides && !named.is_empty() && own.is_dir()).then_some(Toolchain {
        own,
        at,
        home,
        name: at.file_name()?,
    })
}

impl Toolchain<'_> {
    fn show(&self, view: &mut View) {
        let own_home = rustup_home();
        if self.home != own_home {
            view.show_fixed(&own_home, self.home);
        }
        if self.own.file_name() != Some(self.name) {
            view.show_fixed(&self.own, self.at);
        }
    }
}

/// The worker's environment without what belongs to the session, and the command's own on top.
fn environment(lane: &Lane, run: &Run, confined: bool) -> Vec<(OsString, OsString)> {
    let foreign = |k: &OsStr| {
        let k = k.as_bytes();
        k.starts_with(b"RCH_") || k.starts_with(b"SSH_")
    };
    let mut env: Vec<(OsString, OsString)> = env::vars_os().filter(|(k, _)| !foreign(k)).collect();
    set(&mut env, "PATH".into(), search_path());
    set(&mut env, "RUSTUP_HOME".into(), rustup_home().into());
    if let Some(home) = run.cargo_home.as_ref().filter(|_| confined) {
        set(&mut env, "CARGO_HOME".into(), home.into());
    }
    for (k, v) in &run.env {
        set(&mut env, k.clone(), v.clone());
    }
    if let Some(toolchain) = toolchain(lane, run).filter(|_| confined) {
        set(&mut env, "RUSTUP_HOME".into(), toolchain.home.into());
        set(&mut env, "RUSTUP_TOOLCHAIN".into(), toolchain.name.into());
    }
    // As every shell has it, and many a Makefile asks for it.
    set(&mut env, "PWD".into(), run.cwd.clone().into());
    // A tool that is a link to `rch` (masquerade) must not send a part of this job away again.
    set(&mut env, "RCH_BYPASS".into(), "1".into());
    env
}

/// Makes us the runner, under every name that cargo may look for one.
fn set_runner(
    lane: &Lane,
    variables: &[OsString],
    env: &mut Vec<(OsString, OsString)>,
) -> Done<String> {
    let runner = program::runner(lane)?;
    for variable in variables {
        set(env, variable.clone(), (&runner).into());
    }
    let note = lane.homes[0].join(program::note());
    set(env, program::PLACE.into(), note.into());
    Ok(runner)
}

fn set(env: &mut Vec<(OsString, OsString)>, key: OsString, value: OsString) {
    env.retain(|(k, _)| *k != key);
    env.push((key, value));
}

fn lookup<'a>(env: &'a [(OsString, OsString)], key: &str) -> &'a OsStr {
    env.iter()
        .find(|(k, _)| k == key)
        .map_or(OsStr::new(""), |(_, v)| v)
}
