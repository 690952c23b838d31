//! What there is to know about a command before a worker is chosen, found out on the crew.
//!
//! Configuration of its directory, its project's roots and files, the compiler it means, what its
//! products will be, and the key by which an identical command in flight is recognised. All of it
//! is read when the command runs, not when the hook saw it.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use xxhash_rust::xxh3::Xxh3;

use crate::classify::{self, Accepted, Kind, Tool};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::exclude::Rules;
use crate::ids::LaneKey;
use crate::manifest::Manifest;
use crate::paths;
use crate::plan::{colour, env, program};
use crate::products;
use crate::roots::packages::{self, Packages};
use crate::roots::{self, Project};
use crate::scan;
use crate::sched::{Priority, Wanted};
use crate::toolchain::{Identity, Known, Place};
use crate::wire::client::Exec;
use crate::wire::worker::{Collect, Install, Name};

/// How many threads walk a tree.
pub(super) const SCANNERS: usize = 2;

pub(super) struct Survey {
    pub(super) config: Config,
    pub(super) accepted: Accepted,
    pub(super) project: Arc<Project>,
    pub(super) rules: Arc<Rules>,
    pub(super) manifest: Arc<Manifest>,
    pub(super) identities: Vec<Identity>,
    pub(super) collect: Collect,
    /// `Some` iff it is `cargo run`.
    pub(super) runs: Option<Runs>,
    /// Packages to be in the lane; `None`: what it needs travels.
    pub(super) install: Option<Install>,
    /// Where the toolchain is installed here, if it is rustup's.
    pub(super) toolchain: Option<PathBuf>,
    /// Target directories that do not exist here.
    pub(super) absent: Vec<PathBuf>,
    pub(super) env: Vec<(OsString, OsString)>,
    /// What its compiler is told beyond the command's own words.
    pub(super) flags: Vec<&'static str>,
    pub(super) lane: LaneKey,
    /// Equal keys mean equal results.
    pub(super) key: [u8; 16],
    /// The manifest's digest: another one after an edit, and only then.
    pub(super) sources: [u8; 16],
    pub(super) priority: Priority,
    pub(super) wanted: Wanted,
    /// `RCH_DRY_RUN`: only say what would happen.
    pub(super) dry_run: bool,
    /// Slots it would like.
    pub(super) wish: u32,
    /// `None`: it may run for ever.
    pub(super) timeout: Option<Duration>,
}

impl Survey {
    /// What rustup calls the toolchain here.
    pub(super) fn toolchain_name(&self) -> &OsStr {
        let name = self.toolchain.as_deref().and_then(Path::file_name);
        name.unwrap_or_default()
    }
}

/// What the way home of `cargo run` needs.
pub(super) struct Runs {
    /// Where cargo looks for a runner.
    pub(super) variables: Vec<OsString>,
    pub(super) sysroot: PathBuf,
}

/// Finds out. Runs on the crew.
///
/// # Errors
/// Why the command has to run locally.
pub(super) fn survey(
    exec: &Exec,
    client: &str,
    known: &Known,
    uninstallable: &[String],
) -> Result<Survey> {
    let var = |name: &str| env::get(&exec.env, name).map(OsStr::to_os_string);
    let text = |name: &str| var(name).and_then(|v| v.into_string().ok());
    let (config, complaints) = Config::load(&exec.cwd, text);
    // What a broken file was to keep here, or to leave out, is not known: nothing is sent.
    if let Some(complaint) = complaints.iter().find(|c| !c.harmless) {
        return Err(Error::new(complaint.parts().0));
    }
    let accepted = classify::argv(&exec.argv).map_err(|refusal| Error::new(refusal.to_string()))?;
    stays(&config, &accepted)?;
    let place = Place {
        cwd: &exec.cwd,
        env: &exec.env,
    };
    let identities = known.identities(&accepted, &exec.argv, place)?;
    let toolchain = toolchain(exec, &accepted, known, place)?;
    let mut project = roots::find(&exec.cwd, &exec.argv, &var, &config.transfer)?;
    let runs = match accepted.kind {
        Kind::Run => Some(runs(exec, &accepted, &project, &identities, known)?),
        _ => None,
    };
    let home = PathBuf::from(var("HOME").unwrap_or_default());
    let (mut manifest, mut rules) = scan::tree(&mut project, &config.transfer, &home, SCANNERS)?;
    let mut install = packages(exec, &accepted, &project, &manifest, &identities)?;
    if let Packages::Locked(locked) = &install
        && uninstallable.contains(&hex(&locked.id))
    {
        install = Packages::Sent("they cannot be installed on a worker".into());
    }
    if let Packages::Sent(why) = &install {
        debug!("'{}' sends its packages: {why}", project.name);
        project.sends_packages = true;
        (manifest, rules) = scan::tree(&mut project, &config.transfer, &home, SCANNERS)?;
    }
    too_large(&manifest, config.transfer.max_transfer_mb)?;
    let collect = products::collect(
        &accepted,
        &exec.argv,
        &exec.cwd,
        &var,
        &project,
        &config.transfer,
    );
    let travelling = job_env(exec, &config);
    let flags = flags(exec, &config, &accepted, &identities);
    let absent = absent(&project);
    let sources = manifest.digest();
    Ok(Survey {
        key: key(exec, &project, &sources, &identities, &travelling, &flags),
        sources,
        lane: lane(client, &project),
        priority: Priority::parse(&text("RCH_PRIORITY").unwrap_or_default()),
        wanted: Wanted::parse(
            &text("RCH_WORKER").unwrap_or_default(),
            &text("RCH_WORKERS").unwrap_or_default(),
        ),
        dry_run: dry_run(exec),
        wish: wish(&accepted, &config),
        timeout: timeout(&accepted, &config),
        env: travelling,
        flags,
        project: Arc::new(project),
        rules: Arc::new(rules),
        manifest: Arc::new(manifest),
        config,
        accepted,
        identities,
        collect,
        runs,
        install: match install {
            Packages::Locked(install) => Some(install),
            Packages::None | Packages::Sent(_) => None,
        },
        absent,
        toolchain,
    })
}

/// Where rustup has the toolchain of a cargo or rustc command.
fn toolchain(
    exec: &Exec,
    accepted: &Accepted,
    known: &Known,
    place: Place<'_>,
) -> Result<Option<PathBuf>> {
    if !matches!(accepted.tool, Tool::Cargo | Tool::Rustc) {
        return Ok(None);
    }
    let sysroot = known.sysroot(&exec.argv, place)?;
    let toolchains = place.rustup_home().join("toolchains").canonicalize();
    let is_rustups = toolchains.is_ok_and(|dir| sysroot.parent() == Some(&dir));
    Ok(Some(sysroot).filter(|_| is_rustups))
}

fn dry_run(exec: &Exec) -> bool {
    let value = env::get(&exec.env, "RCH_DRY_RUN").and_then(OsStr::to_str);
    crate::config::vars::is_on(value)
}

fn absent(project: &Project) -> Vec<PathBuf> {
    let dirs = project.cargo.iter();
    dirs.flat_map(|c| c.build_dir.iter().chain([&c.target_dir]))
        .filter(|dir| !dir.exists())
        .cloned()
        .collect()
}

fn stays(config: &Config, accepted: &Accepted) -> Result<()> {
    let kind = kind_name(accepted.kind);
    if config.compilation.local_kinds.iter().any(|k| k == kind) {
        return Err(Error::new(format!(
            "'{kind}' is in compilation.local_kinds"
        )));
    }
    Ok(())
}

fn runs(
    exec: &Exec,
    accepted: &Accepted,
    project: &Project,
    identities: &[Identity],
    known: &Known,
) -> Result<Runs> {
    let rustc = identities.first().map_or("", |i| i.text.as_str());
    let place = Place {
        cwd: &exec.cwd,
        env: &exec.env,
    };
    Ok(Runs {
        variables: program::runner_variables(given(exec), accepted, project, rustc)?,
        sysroot: known.sysroot(&exec.argv, place)?,
    })
}

/// What of `node_modules` the command needs.
fn packages(
    exec: &Exec,
    accepted: &Accepted,
    project: &Project,
    manifest: &Manifest,
    identities: &[Identity],
) -> Result<Packages> {
    if accepted.tool != Tool::Bun {
        return Ok(Packages::None);
    }
    let is_holder = |name: &Name| name.path.file_name().is_some_and(|n| n == "package.json");
    let holders = manifest
        .iter()
        .map(|(name, _)| name)
        .filter(|n| is_holder(n));
    let holders: Vec<PathBuf> = holders
        .filter_map(|name| Some(project.place(name).parent()?.to_path_buf()))
        .collect();
    let there = accepted.facts.directory.as_ref();
    let dir = there.map_or_else(|| exec.cwd.clone(), |d| paths::normal(&exec.cwd.join(d)));
    let travels = |file: &PathBuf| {
        let name = project.locate(file);
        name.is_some_and(|name| manifest.get(&name).is_some())
    };
    if let Some(kept) = packages::env_files(&dir).iter().find(|f| !travels(f)) {
        let text = format!("bun reads '{}', which stays here", kept.display());
        return Err(Error::new(text).hint("transfer.include_patterns lets it travel"));
    }
    let bun = identities.first().map_or("", |i| i.text.as_str());
    packages::find(&project.roots[0].path, &dir, &holders, bun)
}

pub(super) fn hex(id: &[u8; 16]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn given(exec: &Exec) -> program::Given<'_> {
    program::Given {
        argv: &exec.argv,
        cwd: &exec.cwd,
        env: &exec.env,
    }
}

pub(super) fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Build => "build",
        Kind::Check => "check",
        Kind::Test => "test",
        Kind::Run => "run",
        Kind::Doc => "doc",
    }
}

fn too_large(manifest: &Manifest, limit_mb: u64) -> Result<()> {
    let mb = manifest.total_bytes() >> 20;
    if mb > limit_mb {
        let text = format!(
            "the project holds more than transfer.max_transfer_mb allows ({mb} MB, {limit_mb} MB)"
        );
        return Err(Error::new(text).hint("exclude what a build does not need, in .rchignore"));
    }
    Ok(())
}

fn job_env(exec: &Exec, config: &Config) -> Vec<(OsString, OsString)> {
    let mut travelling = env::travelling(&exec.env, &exec.own, &config.environment.allowlist);
    if has_colours(exec, config) {
        colour::environment(&mut travelling);
    }
    travelling
}

fn flags(
    exec: &Exec,
    config: &Config,
    accepted: &Accepted,
    identities: &[Identity],
) -> Vec<&'static str> {
    let compiler = identities.first().map_or("", |i| i.text.as_str());
    match has_colours(exec, config) {
        true => colour::flags(accepted, &exec.argv, compiler, &exec.env),
        false => vec![],
    }
}

/// Whether it is shown on a terminal. A tool judges by its stderr where it can.
fn has_colours(exec: &Exec, config: &Config) -> bool {
    exec.tty.1 && config.output.preserve_colors
}

fn wish(accepted: &Accepted, config: &Config) -> u32 {
    match accepted.kind {
        Kind::Test => config.compilation.test_slots,
        Kind::Check => config.compilation.check_slots,
        Kind::Build | Kind::Run | Kind::Doc => config.compilation.build_slots,
    }
}

fn timeout(accepted: &Accepted, config: &Config) -> Option<Duration> {
    let secs = match accepted.kind {
        Kind::Test => config.compilation.test_timeout_secs,
        _ => config.compilation.build_timeout_secs,
    };
    (secs > 0).then(|| Duration::from_secs(secs))
}

fn lane(client: &str, project: &Project) -> LaneKey {
    let (mut own, mut others) = (Xxh3::new(), Xxh3::new());
    own.update(client.as_bytes());
    field(&mut own, project.roots[0].path.as_os_str());
    // A lane in which some were installed would hold others beside those that are sent.
    if project.sends_packages {
        own.update(b"packages");
    }
    for root in &project.roots[1..] {
        field(&mut others, root.path.as_os_str());
    }
    let mut key = [0; 16];
    key[..8].copy_from_slice(&own.digest().to_le_bytes());
    key[8..].copy_from_slice(&others.digest().to_le_bytes());
    LaneKey(key)
}

fn key(
    exec: &Exec,
    project: &Project,
    sources: &[u8],
    identities: &[Identity],
    env: &[(OsString, OsString)],
    flags: &[&str],
) -> [u8; 16] {
    let mut hash = Xxh3::new();
    let roots: Vec<&Path> = project.roots.iter().map(|r| r.path.as_path()).collect();
    roots.iter().for_each(|r| field(&mut hash, r.as_os_str()));
    field(&mut hash, exec.cwd.as_os_str());
    exec.argv.iter().for_each(|a| field(&mut hash, a));
    flags.iter().for_each(|f| field(&mut hash, OsStr::new(f)));
    env.iter().for_each(|(k, v)| {
        field(&mut hash, k);
        field(&mut hash, v);
    });
    identities
        .iter()
        .for_each(|i| field(&mut hash, OsStr::new(&i.text)));
    hash.update(&[
        u8::from(exec.tty.0),
        u8::from(exec.tty.1),
        u8::from(exec.merged),
        u8::from(dry_run(exec)),
    ]);
    hash.update(sources);
    hash.digest128().to_le_bytes()
}

/// With its length, so that ("ab", "c") is not ("a", "bc").
fn field(hash: &mut Xxh3, value: &OsStr) {
    hash.update(&(value.len() as u64).to_le_bytes());
    hash.update(value.as_encoded_bytes());
}

/// Where a path of the home directory's cargo stands, for the job's CARGO_HOME.
pub(super) fn cargo_home(project: &Project) -> PathBuf {
    project.cargo_home.clone()
}
