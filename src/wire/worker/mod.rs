//! What `rchd` and `rch-wkr serve` say to each other over one ssh session.
//!
//! The daemon speaks first (`Hello`), the worker answers `PREAMBLE` and `Ready`. A job is then
//! `Open`, any number of `Put`/`Data`/`Delete`, `Commit`, `Run`, all written without waiting. If the
//! lane does not hold the base manifest, the worker answers `Lane` with `Base::Stale` and ignores
//! everything up to `Resync`; it then says what the lane holds (`Holds`), and the daemon sends the
//! difference to that. After `Exited` and
//! the `Produced` list the daemon may `Fetch` files, and `Close` gives the lane back.
//!
//! Paths of files are relative to a root; a root is named by its place in `Open::roots`.

mod code;

use std::ffi::OsString;
use std::path::PathBuf;

use crate::ids::{LaneKey, ManifestId};
use crate::sys::process::{Exit, Usage};
use crate::time::Stamp;

pub(super) use code::{get_exit, put_exit};

/// More roots than any project has path dependencies in repositories of their own; their numbers travel in
/// a byte.
pub const MAX_ROOTS: usize = 200;

/// More lanes than a worker keeps; with more than that it does not say which.
pub const MAX_LANES: usize = 10_000;

/// A file's place: which root, and the path beneath it (relative, never empty, no `.` or `..`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    pub root: u8,
    pub path: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// `size` bytes follow in `Data` messages.
    File {
        size: u64,
    },
    Dir,
    Symlink {
        target: PathBuf,
    },
}

/// A file, directory or link; for a file its content follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    pub name: Name,
    /// Permission bits only (0o7777).
    pub mode: u32,
    /// In the receiver's clock.
    pub mtime: Stamp,
    /// Not modified since the lane was last told of it: if its content is the one there, it keeps its age.
    pub steady: bool,
    pub kind: Kind,
}

/// What a lane holds in one place, for a daemon that does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    pub name: Name,
    /// Permission bits only (0o7777).
    pub mode: u32,
    /// By the worker's clock.
    pub mtime: Stamp,
    pub kind: Kind,
    /// XXH3 (64 bits) of a file's content; 0 for anything else.
    pub hash: u64,
}

/// How a lane that holds something else than the daemon believed goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resync {
    /// rsync has written to it: what it brought is to be dated as our own writes would be.
    Adopt,
    /// It is to be emptied of everything but products.
    Wipe,
    /// It stays as it is, and the worker says what that is.
    List,
}

/// How long a lane is kept (`[worker]` of the configuration).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Nothing of the sources outlives the job.
    pub ephemeral: bool,
    /// A lane unused for so long goes.
    pub max_age_secs: u64,
    /// With less free than this, the lanes longest unused go.
    pub min_free_mib: u64,
}

/// A file to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    pub name: Name,
    /// XXH3 of the version that was sent last and still stands at home: a patch of it will do.
    pub had: Option<u64>,
}

/// Asks for a lane of this project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    pub key: LaneKey,
    /// The project's name, for people who look at the lanes folder.
    pub project: String,
    /// Where each root stands at home, and therefore in the job's namespace. The project itself is first.
    pub roots: Vec<PathBuf>,
    /// What the daemon believes the lane it used last holds, and that lane's number.
    pub base: Option<(u16, ManifestId)>,
    /// A lane of the same project with other roots: a new lane may start as a copy of it.
    pub like: Option<(LaneKey, u16)>,
    pub keep: Keep,
}

/// A product directory at home: all files directly in it are listed after the job (and all below, if
/// `deep`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Products {
    pub dir: PathBuf,
    pub deep: bool,
}

/// What to list after the job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collect {
    /// Every file in the roots that the job created or changed, cargo's target directories aside.
    pub changed: bool,
    pub products: Vec<Products>,
}

/// Packages that bun installs in the lane before the command, unless they are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Install {
    /// Where the lockfile is: absolute, as at home.
    pub dir: PathBuf,
    /// Equal ids stand for equal packages.
    pub id: [u8; 16],
    /// bun's layout: a store with links into it, or everything as far up as it can be.
    pub isolated: bool,
    /// Every `node_modules` that may come of it, the lockfile's own first.
    pub modules: Vec<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    pub argv: Vec<OsString>,
    /// Absolute, as at home.
    pub cwd: PathBuf,
    /// Set on top of the worker's own environment.
    pub env: Vec<(OsString, OsString)>,
    /// stdout and stderr are one pipe at home (`2>&1`), so they are one here, and keep their order.
    pub merged: bool,
    /// Where CARGO_HOME stands at home; the worker's own appears there.
    pub cargo_home: Option<PathBuf>,
    /// What stands there as `config.toml`, instead of the worker's own.
    pub cargo_config: Option<Vec<u8>>,
    /// Where rustup has the toolchain at home (`RUSTUP_HOME/toolchains/NAME`); the worker's, which
    /// RUSTUP_TOOLCHAIN names, appears there.
    pub toolchain: Option<PathBuf>,
    /// Programs without which the command cannot be run: names, or absolute paths.
    pub needs: Vec<String>,
    pub collect: Collect,
    /// Not empty for `cargo run`: variables in which cargo looks for a runner. The worker gives it
    /// one that starts nothing and tells what would have been started (`Program`).
    pub runner: Vec<OsString>,
    pub install: Option<Install>,
}

/// A variable that cargo sets for a program it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    pub name: OsString,
    pub value: OsString,
    /// A search path: what the variable held before stands behind, after a colon.
    pub front: bool,
}

/// What `cargo run` would have started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Program {
    pub argv: Vec<OsString>,
    pub env: Vec<Setting>,
    /// Shared libraries that it needs and that were found by `LD_LIBRARY_PATH`.
    pub libraries: Vec<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToWorker {
    Hello {
        protocol: u16,
        version: String,
        now: Stamp,
        client: String,
    },
    Open(Open),
    Resync(Resync),
    Put(Put),
    Data(Vec<u8>),
    Delete(Name),
    Commit(ManifestId),
    Run(Run),
    Signal(u8),
    Fetch(Vec<Want>),
    /// The job is over; the lane is free.
    Close,
    Ping,
    /// Nobody reads the job's stdout (1) or stderr (2) any more: close the pipe's reading end.
    Hangup(u8),
    /// Which of these crates (paths below a CARGO_HOME) does the registry cache there lack? Comes before
    /// `Open`, and so do those that are sent then, as files of root 0.
    Crates(Vec<PathBuf>),
    /// Remove this target directory (absolute, as at home) with all in it: it is gone at home.
    Clean(PathBuf),
}

/// What the lane holds, seen from the base manifest of `Open`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// Exactly the base.
    Holds,
    /// Nothing: a new lane, in which no job ever ran.
    New,
    /// Something else.
    Stale,
}

/// Why a job could not be done here, none of it the job's own fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Fault {
    /// The daemon broke the protocol.
    Protocol = 1,
    /// The classifier does not accept the command.
    Refused,
    /// The program is not installed here.
    NoTool,
    DiskFull,
    /// Any other failed system call.
    System,
    Version,
    /// A source could not be written as asked.
    Source,
    /// `bun install` did not succeed.
    Install,
}

impl Fault {
    const ALL: [Fault; 8] = [
        Fault::Protocol,
        Fault::Refused,
        Fault::NoTool,
        Fault::DiskFull,
        Fault::System,
        Fault::Version,
        Fault::Source,
        Fault::Install,
    ];
}

/// What this machine is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    pub os: String,
    pub arch: String,
    /// The kind of processor, and what it can do, in few letters: equal for machines that run each
    /// other's `-march=native`.
    pub cpu: String,
    pub cpus: u32,
    pub memory_mib: u64,
    pub free_mib: u64,
    /// Empty if jobs see the project at its home path; otherwise why not.
    pub no_namespace: String,
    /// rsync's version, empty if there is none.
    pub rsync: String,
    /// Toolchains and compilers: (name, identity), e.g. (`rustc stable-x86_64-…`, the text of `rustc -vV`).
    pub tools: Vec<(String, String)>,
}

/// A file the job made or left, as it stands on the worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Produced {
    pub name: Name,
    pub size: u64,
    pub mtime: Stamp,
    pub mode: u32,
    /// Listed as changed in the tree, rather than as lying in a product directory.
    pub changed: bool,
}

/// Names in a directory of a lane after the job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    pub root: u8,
    /// Empty for the root itself.
    pub dir: PathBuf,
    /// Each with whether it is a directory.
    pub names: Vec<(OsString, bool)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromWorker {
    Ready {
        protocol: u16,
        version: String,
        now: Stamp,
        facts: Facts,
    },
    /// Answers `Open`: which lane, what it holds, and where its roots are, relative to the login directory
    /// or absolute, for rsync.
    Lane {
        number: u16,
        base: Base,
        roots: Vec<PathBuf>,
    },
    Committed,
    /// The job's process has been started.
    Started,
    Stdout(Vec<u8>),
    Stderr(Vec<u8>),
    Exited {
        exit: Exit,
        usage: Usage,
        wall_ms: u64,
    },
    /// May come several times; `last` ends the list.
    Produced {
        files: Vec<Produced>,
        last: bool,
    },
    /// Comes before the last `Produced` for each directory in which the job created or removed something,
    /// several times for a large one: what stands there now.
    Present(Present),
    File(Put),
    Data(Vec<u8>),
    /// Every file of `Fetch` has been sent; the ones that could not be read are named. Never packed,
    /// so that the daemon sees it without looking into packs.
    Fetched {
        missing: Vec<Name>,
    },
    /// The lane has been given back.
    Closed,
    Failed {
        fault: Fault,
        text: String,
    },
    Pong {
        now: Stamp,
    },
    /// Answers `Resync::List`: all that the lane holds but what lies in product directories.
    Holds {
        files: Vec<Held>,
        last: bool,
    },
    /// Answers `Crates`.
    Lacks(Vec<PathBuf>),
    /// The next piece of a file, made of the version that is still at home (`wire::patch`).
    Patch(Vec<u8>),
    /// Comes before `Exited`.
    Program(Program),
    /// All lanes that hold anything; comes unasked, behind the first `Pong` and whenever some have been
    /// collected. A daemon that remembers others need not.
    Lanes(Vec<(LaneKey, u16)>),
}

#[cfg(test)]
mod tests;
