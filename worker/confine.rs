//! The world a job sees: this machine read-only, its lane's roots at their home paths, and a few
//! writable places.
//!
//! A new root in memory gets every entry of `/` bound into it. Where a home path's parents do not
//! exist here they are made in memory; a real directory that lacks the next step is covered by a copy
//! of itself in memory whose entries are bound one by one (a graft), one that we may not enter by an
//! empty one, so nothing is ever created on this machine's own disk. The old root is then taken away. Where
//! the kernel forbids all this, `find` says why, and jobs run in the lane's own directory.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rch::error::cause;
use rch::paths;
use rch::sys::namespace::{self, Spaces};
use rch::sys::process::{getgid, getuid, wait_for};

use crate::fault::{Done, Sentence};
use crate::lane::lanes_dir;

/// Where the old root stands until it is taken away.
const OLD: &str = "/.rch-old";

/// A directory with more entries than this is not worth grafting.
const MOST_ENTRIES: usize = 4096;

/// Caches of tools, below the home directory.
const CACHES: [&str; 4] = [
    ".cache/ccache",
    ".ccache",
    ".cache/sccache",
    ".bun/install/cache",
];

/// Anyone may write here, and so may a job.
const SCRATCH: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];

/// What a job's world holds beside this machine.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// (where it is, where it shall appear), to be written to.
    pub places: Vec<(PathBuf, PathBuf)>,
    /// (where it is, where it shall appear), not to be written to.
    pub fixed: Vec<(PathBuf, PathBuf)>,
    /// The job's CARGO_HOME, and the text of its configuration. What stands in it is this machine's
    /// own, the directory itself is not: a configuration of this machine would steer the job.
    pub cargo_home: PathBuf,
    pub cargo_config: Option<Vec<u8>>,
}

impl View {
    /// The writable places every job has beside scratch space: the caches of tools.
    pub fn common(cargo_home: &Path) -> View {
        let mut view = View::default();
        for cache in CACHES {
            let dir = paths::home().join(cache);
            view.show(&dir, &dir);
        }
        view.show_cargo(cargo_home, cargo_home);
        view
    }

    /// Shows `from`, if it exists, writable at `at`.
    pub fn show(&mut self, from: &Path, at: &Path) {
        if let Ok(real) = from.canonicalize() {
            self.places.push((real, at.into()));
        }
    }

    /// A CARGO_HOME: its registry and git caches are written to; what later runs by itself is not.
    pub fn show_cargo(&mut self, from: &Path, at: &Path) {
        self.show(from, at);
        for name in ["bin", "env"] {
            self.show_fixed(&from.join(name), &at.join(name));
        }
    }

    /// Shows `from`, if it exists, at `at`, and nothing can be written there.
    pub fn show_fixed(&mut self, from: &Path, at: &Path) {
        if let Ok(real) = from.canonicalize() {
            self.fixed.push((real, at.into()));
        }
    }
}

/// How a child of ours gets a world of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Means {
    pub spaces: Spaces,
    /// Who we are outside; inside a new user namespace the kernel no longer says.
    uid: u32,
    gid: u32,
}

/// The namespaces this machine allows us, tried once in a child.
///
/// # Errors
/// Why none of the combinations works.
pub fn find() -> Result<Means, String> {
    let all = Spaces {
        user: false,
        mount: true,
        pid: true,
    };
    let privileged = [all, Spaces { pid: false, ..all }];
    let mut tries = privileged.map(|s| Spaces { user: true, ..s }).to_vec();
    if getuid() == 0 {
        tries.splice(0..0, privileged);
    }
    let mut why = String::new();
    for spaces in tries {
        let means = Means {
            spaces,
            uid: getuid(),
            gid: getgid(),
        };
        match attempt(means) {
            Ok(()) => return Ok(means),
            Err(text) => why = text,
        }
    }
    Err(why)
}

fn attempt(means: Means) -> Result<(), String> {
    let (mut ours, theirs) = io::pipe().map_err(|e| cause(&e))?;
    let pid = namespace::fork_into(means.spaces, || match enter(means, &View::default()) {
        Ok(()) => 0,
        Err(wrong) => {
            let _ = (&theirs).write_all(wrong.text.as_bytes());
            1
        }
    });
    let pid = pid.map_err(|e| format!("cannot create a namespace: {}", cause(&e)))?;
    drop(theirs);
    let mut text = String::new();
    let _ = ours.read_to_string(&mut text);
    match wait_for(pid) {
        Ok((exit, _)) if exit.success() => Ok(()),
        _ => Err(text),
    }
}

/// Makes the calling process, just forked into `means.spaces`, see `view`.
pub fn enter(means: Means, view: &View) -> Done<()> {
    if means.spaces.user {
        map_ids(means).wrong(|| "cannot map the user into a namespace")?;
    }
    let stage = lanes_dir().join(".stage");
    fs::create_dir_all(&stage).wrong(|| format!("cannot create '{}'", stage.display()))?;
    new_root(&stage).wrong(|| "cannot make a root for the job")?;
    fill_root(means.spaces.pid).wrong(|| "cannot fill the root for the job")?;
    let mut world = World::default();
    world.cover("/").wrong(|| "cannot look at the root")?;
    world.show_scratch().wrong(|| "cannot show scratch space")?;
    let mut places = view.places.clone();
    // A root inside a root goes on top of it.
    places.sort_by_key(|(_, at)| at.components().count());
    for (from, at) in &places {
        world
            .place(from, at)
            .wrong(|| format!("cannot show '{}'", at.display()))?;
        world.places.push(at.clone());
    }
    for (from, at) in &view.fixed {
        world
            .place(from, at)
            .wrong(|| format!("cannot show '{}'", at.display()))?;
    }
    if view.cargo_home.is_dir() {
        World::cargo_home(view).wrong(|| format!("cannot show '{}'", view.cargo_home.display()))?;
    }
    for (_, at) in &view.fixed {
        namespace::set_read_only(at, true)
            .wrong(|| format!("cannot protect '{}'", at.display()))?;
    }
    world.leave_old().wrong(|| "cannot leave the old root")?;
    namespace::set_no_new_privs().wrong(|| "cannot renounce privileges")?;
    namespace::drop_escapes();
    Ok(())
}

/// We stay who we are: git and ssh-keygen look at owners.
fn map_ids(means: Means) -> io::Result<()> {
    let Means { uid, gid, .. } = means;
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("{uid} {uid} 1"))?;
    fs::write("/proc/self/gid_map", format!("{gid} {gid} 1"))
}

fn new_root(stage: &Path) -> io::Result<()> {
    namespace::make_private()?;
    namespace::mount_tmpfs(stage)?;
    let old = stage.join(&OLD[1..]);
    fs::create_dir(&old)?;
    namespace::pivot_root(stage, &old)?;
    std::env::set_current_dir("/")
}

/// Shows every entry of the old root, read-only; `/proc` anew if the processes are new.
fn fill_root(new_pids: bool) -> io::Result<()> {
    for entry in fs::read_dir(OLD)? {
        let name = entry?.file_name();
        let at = Path::new("/").join(&name);
        if name == "proc" {
            show_proc(new_pids, &at)?;
        } else if mirror(&Path::new(OLD).join(name), &at)? {
            namespace::set_read_only(&at, true)?;
        }
    }
    Ok(())
}

/// A process may write about itself; the kernel's settings, which root could write, are protected.
fn show_proc(new_pids: bool, at: &Path) -> io::Result<()> {
    fs::create_dir(at)?;
    if new_pids {
        namespace::mount_proc(at)?;
    } else {
        namespace::bind(&old(at), at)?;
    }
    for setting in ["sys", "sysrq-trigger", "irq", "bus"].map(|s| at.join(s)) {
        if setting.exists() {
            namespace::bind(&setting, &setting)?;
            namespace::set_read_only(&setting, true)?;
        }
    }
    Ok(())
}

/// Makes `at` look like `from`; answers whether it is a mount (a link is copied).
fn mirror(from: &Path, at: &Path) -> io::Result<bool> {
    let kind = fs::symlink_metadata(from)?.file_type();
    if kind.is_symlink() {
        std::os::unix::fs::symlink(fs::read_link(from)?, at)?;
        return Ok(false);
    }
    if kind.is_dir() {
        fs::create_dir(at)?;
    } else {
        File::create(at)?;
    }
    namespace::bind(from, at).map(|()| true)
}

/// What has been made of the job's world so far.
#[derive(Debug, Default)]
struct World {
    /// Directories that are ours and in memory, with their devices.
    grafts: Vec<(PathBuf, u64)>,
    /// Where places are shown that a job may write to: what is made in them is its own.
    places: Vec<PathBuf>,
}

impl World {
    fn show_scratch(&mut self) -> io::Result<()> {
        for dir in SCRATCH.map(Path::new) {
            if fs::metadata(dir).is_ok() {
                namespace::bind(&old(dir), dir)?;
            }
        }
        Ok(())
    }

    /// Shows `from` (a path in the old root) at `at`, making the way there.
    fn place(&mut self, from: &Path, at: &Path) -> io::Result<()> {
        let mut way = PathBuf::from("/");
        for part in at.iter().skip(1) {
            let parent = way.clone();
            way.push(part);
            match fs::metadata(&way) {
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::NotFound => self.step(&parent, &way)?,
                Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
                    self.veil(&parent)?;
                    fs::create_dir(&way)?;
                }
                Err(e) => return Err(e),
            }
        }
        namespace::bind(&old(from), at)
    }

    /// Covers the job's CARGO_HOME with one that has the job's configuration.
    fn cargo_home(view: &View) -> io::Result<()> {
        let at = &view.cargo_home;
        graft(
            at,
            &["config", "config.toml", "credentials", "credentials.toml"],
        )?;
        if let Some(text) = &view.cargo_config {
            fs::write(at.join("config.toml"), text)?;
        }
        Ok(())
    }

    /// Makes the directory `way` in `parent`: at once where that is ours, else after a graft.
    fn step(&mut self, parent: &Path, way: &Path) -> io::Result<()> {
        let dev = fs::metadata(parent)?.dev();
        let ours = self.grafts.iter().any(|(_, d)| *d == dev)
            || self.places.iter().any(|at| parent.starts_with(at));
        if !ours {
            graft(parent, &[])?;
            self.cover(parent)?;
        }
        fs::create_dir(way)
    }

    /// Covers a directory that we may not enter (root's home, somebody else's): a job sees none of it
    /// anyway.
    fn veil(&mut self, dir: &Path) -> io::Result<()> {
        namespace::mount_tmpfs(dir)?;
        fs::set_permissions(dir, fs::Permissions::from_mode(0o755))?;
        self.cover(dir)
    }

    fn cover(&mut self, dir: impl AsRef<Path>) -> io::Result<()> {
        let dev = fs::metadata(&dir)?.dev();
        self.grafts.push((dir.as_ref().into(), dev));
        Ok(())
    }

    fn leave_old(&self) -> io::Result<()> {
        namespace::detach(Path::new(OLD))?;
        fs::remove_dir(OLD)?;
        self.grafts
            .iter()
            .filter(|(dir, _)| !SCRATCH.iter().any(|s| dir.starts_with(s)))
            .try_for_each(|(dir, _)| namespace::set_read_only(dir, false))
    }
}

/// Where a path of this machine is found while the job's world is being made.
fn old(path: &Path) -> PathBuf {
    Path::new(OLD).join(path.strip_prefix("/").unwrap_or(path))
}

/// Covers `dir` with a directory in memory that has the same entries, those called as in `but` aside.
fn graft(dir: &Path, but: &[&str]) -> io::Result<()> {
    let held = File::open(dir)?;
    let mode = held.metadata()?.permissions();
    let below = PathBuf::from(format!("/proc/self/fd/{}", held.as_raw_fd()));
    let names: Vec<_> = fs::read_dir(&below)?
        .map(|e| e.map(|e| e.file_name()))
        .collect::<io::Result<_>>()?;
    if names.len() > MOST_ENTRIES {
        let text = format!("'{}' has too many entries", dir.display());
        return Err(io::Error::other(text));
    }
    namespace::mount_tmpfs(dir)?;
    for name in names.into_iter().filter(|n| !but.iter().any(|b| n == b)) {
        match mirror(&below.join(&name), &dir.join(&name)) {
            // Scratch files come and go.
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    fs::set_permissions(dir, mode)
}
