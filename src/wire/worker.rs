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

use std::ffi::OsString;
use std::path::PathBuf;

use crate::bytes::{Malformed, Parsed, Reader, Writer};
use crate::ids::{LaneKey, ManifestId};
use crate::sys::process::{Exit, Usage};
use crate::time::Stamp;
use crate::wire::{self, Frame};

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
}

fn put_name(w: &mut Writer, name: &Name) {
    w.u8(name.root).path(&name.path);
}

fn name(r: &mut Reader<'_>) -> Parsed<Name> {
    let name = Name {
        root: r.u8()?,
        path: r.path()?,
    };
    if crate::paths::is_plain(&name.path) {
        Ok(name)
    } else {
        Err(Malformed)
    }
}

fn put_put(w: &mut Writer, put: &Put) {
    put_name(w, &put.name);
    w.u32(put.mode).i64(put.mtime).flag(put.steady);
    put_kind(w, &put.kind);
}

fn get_put(r: &mut Reader<'_>) -> Parsed<Put> {
    Ok(Put {
        name: name(r)?,
        mode: r.u32()? & 0o7777,
        mtime: r.i64()?,
        steady: r.flag()?,
        kind: kind(r)?,
    })
}

fn put_kind(w: &mut Writer, kind: &Kind) {
    match kind {
        Kind::File { size } => w.u8(0).u64(*size),
        Kind::Dir => w.u8(1),
        Kind::Symlink { target } => w.u8(2).path(target),
    };
}

fn kind(r: &mut Reader<'_>) -> Parsed<Kind> {
    match r.u8()? {
        0 => Ok(Kind::File { size: r.u64()? }),
        1 => Ok(Kind::Dir),
        2 => Ok(Kind::Symlink { target: r.path()? }),
        _ => Err(Malformed),
    }
}

fn put_run(w: &mut Writer, run: &Run) {
    put_words(w, &run.argv);
    w.path(&run.cwd);
    w.list(&run.env, |w, (k, v)| {
        w.bytes(k.as_encoded_bytes()).bytes(v.as_encoded_bytes());
    });
    w.flag(run.merged);
    w.option(run.cargo_home.as_ref(), |w, p| {
        w.path(p);
    });
    w.option(run.cargo_config.as_ref(), |w, text| {
        w.bytes(text);
    });
    w.list(&run.needs, |w, name| {
        w.str(name);
    });
    w.flag(run.collect.changed);
    w.list(&run.collect.products, |w, p| {
        w.path(&p.dir).flag(p.deep);
    });
    put_words(w, &run.runner);
    w.option(run.install.as_ref(), |w, i| {
        w.path(&i.dir).raw(&i.id).flag(i.isolated);
        w.list(&i.modules, |w, p| {
            w.path(p);
        });
    });
}

fn put_words(w: &mut Writer, words: &[OsString]) {
    w.list(words, |w, word| {
        w.bytes(word.as_encoded_bytes());
    });
}

fn put_program(w: &mut Writer, program: &Program) {
    put_words(w, &program.argv);
    w.list(&program.env, |w, s| {
        w.bytes(s.name.as_encoded_bytes())
            .bytes(s.value.as_encoded_bytes())
            .flag(s.front);
    });
    w.list(&program.libraries, |w, p| {
        w.path(p);
    });
}

fn get_program(r: &mut Reader<'_>) -> Parsed<Program> {
    Ok(Program {
        argv: r.list(Reader::os)?,
        env: r.list(|r| {
            Ok(Setting {
                name: r.os()?,
                value: r.os()?,
                front: r.flag()?,
            })
        })?,
        libraries: r.list(Reader::path)?,
    })
}

fn get_run(r: &mut Reader<'_>) -> Parsed<Run> {
    Ok(Run {
        argv: r.list(Reader::os)?,
        cwd: r.path()?,
        env: r.list(|r| Ok((r.os()?, r.os()?)))?,
        merged: r.flag()?,
        cargo_home: r.option(Reader::path)?,
        cargo_config: r.option(|r| r.bytes().map(<[u8]>::to_vec))?,
        needs: r.list(Reader::str)?,
        collect: Collect {
            changed: r.flag()?,
            products: r.list(|r| {
                Ok(Products {
                    dir: r.path()?,
                    deep: r.flag()?,
                })
            })?,
        },
        runner: r.list(Reader::os)?,
        install: r.option(|r| {
            Ok(Install {
                dir: r.path()?,
                id: array(r)?,
                isolated: r.flag()?,
                modules: r.list(Reader::path)?,
            })
        })?,
    })
}

fn put_facts(w: &mut Writer, f: &Facts) {
    w.str(&f.os)
        .str(&f.arch)
        .str(&f.cpu)
        .u32(f.cpus)
        .u64(f.memory_mib)
        .u64(f.free_mib);
    w.str(&f.no_namespace).str(&f.rsync);
    w.list(&f.tools, |w, (name, identity)| {
        w.str(name).str(identity);
    });
}

fn get_facts(r: &mut Reader<'_>) -> Parsed<Facts> {
    Ok(Facts {
        os: r.str()?,
        arch: r.str()?,
        cpu: r.str()?,
        cpus: r.u32()?,
        memory_mib: r.u64()?,
        free_mib: r.u64()?,
        no_namespace: r.str()?,
        rsync: r.str()?,
        tools: r.list(|r| Ok((r.str()?, r.str()?)))?,
    })
}

/// Writes a message as one frame.
macro_rules! frame {
    ($out:expr, $kind:expr, $w:ident => $body:expr) => {{
        let mut $w = Writer::default();
        let _ = $body;
        wire::put($out, $kind, |out| out.extend_from_slice(&$w.0));
    }};
}

impl ToWorker {
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            ToWorker::Hello {
                protocol,
                version,
                now,
                client,
            } => {
                frame!(out, 1, w => w.u16(*protocol).str(version).i64(*now).str(client));
            }
            ToWorker::Open(o) => frame!(out, 2, w => {
                w.raw(&o.key.0).str(&o.project);
                w.list(&o.roots, |w, p| { w.path(p); });
                w.option(o.base.as_ref(), |w, (n, id)| { w.u16(*n).raw(&id.0); });
                w.flag(o.keep.ephemeral).u64(o.keep.max_age_secs).u64(o.keep.min_free_mib);
            }),
            ToWorker::Resync(how) => frame!(out, 3, w => w.u8(*how as u8)),
            ToWorker::Put(p) => frame!(out, 4, w => put_put(&mut w, p)),
            ToWorker::Data(d) => wire::put(out, 5, |out| out.extend_from_slice(d)),
            ToWorker::Delete(n) => frame!(out, 6, w => put_name(&mut w, n)),
            ToWorker::Commit(id) => frame!(out, 7, w => w.raw(&id.0)),
            ToWorker::Run(run) => frame!(out, 8, w => put_run(&mut w, run)),
            ToWorker::Signal(s) => frame!(out, 9, w => w.u8(*s)),
            ToWorker::Fetch(wants) => frame!(out, 10, w => w.list(wants, |w, want| {
                put_name(w, &want.name);
                w.option(want.had.as_ref(), |w, hash| { w.u64(*hash); });
            })),
            ToWorker::Close => frame!(out, 11, w => &mut w),
            ToWorker::Ping => frame!(out, 12, w => &mut w),
            ToWorker::Hangup(stream) => frame!(out, 13, w => w.u8(*stream)),
            ToWorker::Clean(dir) => frame!(out, 14, w => w.path(dir)),
            ToWorker::Crates(all) => frame!(out, 15, w => w.list(all, |w, p| { w.path(p); })),
        }
    }

    /// # Errors
    /// `Malformed` for an unknown kind, a body that does not fit it, or a path that is not plain.
    pub fn decode(frame: Frame<'_>) -> Parsed<ToWorker> {
        let mut r = Reader::new(frame.body);
        let message = match frame.kind {
            1 => ToWorker::Hello {
                protocol: r.u16()?,
                version: r.str()?,
                now: r.i64()?,
                client: r.str()?,
            },
            2 => ToWorker::Open(Open {
                key: LaneKey(array(&mut r)?),
                project: r.str()?,
                roots: r.list(Reader::path)?,
                base: r.option(|r| Ok((r.u16()?, ManifestId(array(r)?))))?,
                keep: Keep {
                    ephemeral: r.flag()?,
                    max_age_secs: r.u64()?,
                    min_free_mib: r.u64()?,
                },
            }),
            3 => ToWorker::Resync(match r.u8()? {
                0 => Resync::Adopt,
                1 => Resync::Wipe,
                2 => Resync::List,
                _ => return Err(Malformed),
            }),
            4 => ToWorker::Put(get_put(&mut r)?),
            5 => ToWorker::Data(r.rest().to_vec()),
            6 => ToWorker::Delete(name(&mut r)?),
            7 => ToWorker::Commit(ManifestId(array(&mut r)?)),
            8 => ToWorker::Run(get_run(&mut r)?),
            9 => ToWorker::Signal(r.u8()?),
            10 => ToWorker::Fetch(r.list(|r| {
                Ok(Want {
                    name: name(r)?,
                    had: r.option(Reader::u64)?,
                })
            })?),
            11 => ToWorker::Close,
            12 => ToWorker::Ping,
            13 => ToWorker::Hangup(r.u8()?),
            14 => ToWorker::Clean(r.path()?),
            15 => ToWorker::Crates(r.list(Reader::path)?),
            _ => return Err(Malformed),
        };
        r.end()?;
        Ok(message)
    }
}

impl FromWorker {
    /// Kinds of the frames that carry files; they go to the landing undecoded.
    pub const FILE: u8 = 9;
    pub const DATA: u8 = 10;
    pub const PATCH: u8 = 16;

    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            FromWorker::Ready {
                protocol,
                version,
                now,
                facts,
            } => frame!(out, 1, w => {
                w.u16(*protocol).str(version).i64(*now);
                put_facts(&mut w, facts);
            }),
            FromWorker::Lane {
                number,
                base,
                roots,
            } => frame!(out, 2, w => {
                w.u16(*number).u8(*base as u8);
                w.list(roots, |w, p| { w.path(p); });
            }),
            FromWorker::Committed => frame!(out, 3, w => &mut w),
            FromWorker::Started => frame!(out, 4, w => &mut w),
            FromWorker::Stdout(b) => wire::put(out, 5, |out| out.extend_from_slice(b)),
            FromWorker::Stderr(b) => wire::put(out, 6, |out| out.extend_from_slice(b)),
            FromWorker::Exited {
                exit,
                usage,
                wall_ms,
            } => frame!(out, 7, w => {
                put_exit(&mut w, *exit);
                w.u64(usage.user_ms).u64(usage.system_ms).u64(usage.max_rss_kib).u64(*wall_ms);
            }),
            FromWorker::Produced { files, last } => frame!(out, 8, w => {
                w.flag(*last);
                w.list(files, |w, f| {
                    put_name(w, &f.name);
                    w.u64(f.size).i64(f.mtime).u32(f.mode).flag(f.changed);
                });
            }),
            FromWorker::File(p) => frame!(out, 9, w => put_put(&mut w, p)),
            FromWorker::Data(d) => wire::put(out, 10, |out| out.extend_from_slice(d)),
            FromWorker::Fetched { missing } => frame!(out, 11, w => w.list(missing, put_name)),
            FromWorker::Closed => frame!(out, 12, w => &mut w),
            FromWorker::Failed { fault, text } => {
                frame!(out, 13, w => w.u8(*fault as u8).str(text))
            }
            FromWorker::Pong { now } => frame!(out, 14, w => w.i64(*now)),
            FromWorker::Holds { files, last } => frame!(out, 15, w => {
                w.flag(*last);
                w.list(files, |w, f| {
                    put_name(w, &f.name);
                    w.u32(f.mode).u64(f.hash);
                    put_kind(w, &f.kind);
                });
            }),
            FromWorker::Lacks(all) => frame!(out, 17, w => w.list(all, |w, p| { w.path(p); })),
            FromWorker::Patch(b) => wire::put(out, 16, |out| out.extend_from_slice(b)),
            FromWorker::Program(p) => frame!(out, 18, w => put_program(&mut w, p)),
        }
    }

    /// # Errors
    /// As `ToWorker::decode`.
    pub fn decode(frame: Frame<'_>) -> Parsed<FromWorker> {
        let mut r = Reader::new(frame.body);
        let message = match frame.kind {
            1 => {
                let (protocol, version) = (r.u16()?, r.str()?);
                if protocol != wire::PROTOCOL {
                    // Only these two fields are the same in every version.
                    return Ok(FromWorker::Ready {
                        protocol,
                        version,
                        now: 0,
                        facts: Facts::default(),
                    });
                }
                FromWorker::Ready {
                    protocol,
                    version,
                    now: r.i64()?,
                    facts: get_facts(&mut r)?,
                }
            }
            2 => FromWorker::Lane {
                number: r.u16()?,
                base: match r.u8()? {
                    0 => Base::Holds,
                    1 => Base::New,
                    2 => Base::Stale,
                    _ => return Err(Malformed),
                },
                roots: r.list(Reader::path)?,
            },
            3 => FromWorker::Committed,
            4 => FromWorker::Started,
            5 => FromWorker::Stdout(r.rest().to_vec()),
            6 => FromWorker::Stderr(r.rest().to_vec()),
            7 => FromWorker::Exited {
                exit: get_exit(&mut r)?,
                usage: Usage {
                    user_ms: r.u64()?,
                    system_ms: r.u64()?,
                    max_rss_kib: r.u64()?,
                },
                wall_ms: r.u64()?,
            },
            8 => FromWorker::Produced {
                last: r.flag()?,
                files: r.list(|r| {
                    Ok(Produced {
                        name: name(r)?,
                        size: r.u64()?,
                        mtime: r.i64()?,
                        mode: r.u32()? & 0o7777,
                        changed: r.flag()?,
                    })
                })?,
            },
            9 => FromWorker::File(get_put(&mut r)?),
            10 => FromWorker::Data(r.rest().to_vec()),
            11 => FromWorker::Fetched {
                missing: r.list(name)?,
            },
            12 => FromWorker::Closed,
            13 => {
                let (code, text) = (r.u8()?, r.str()?);
                let fault = Fault::ALL
                    .into_iter()
                    .find(|f| *f as u8 == code)
                    .ok_or(Malformed)?;
                FromWorker::Failed { fault, text }
            }
            14 => FromWorker::Pong { now: r.i64()? },
            15 => FromWorker::Holds {
                last: r.flag()?,
                files: r.list(|r| {
                    Ok(Held {
                        name: name(r)?,
                        mode: r.u32()? & 0o7777,
                        hash: r.u64()?,
                        kind: kind(r)?,
                    })
                })?,
            },
            16 => FromWorker::Patch(r.rest().to_vec()),
            17 => FromWorker::Lacks(r.list(Reader::path)?),
            18 => FromWorker::Program(get_program(&mut r)?),
            _ => return Err(Malformed),
        };
        r.end()?;
        Ok(message)
    }
}

fn array(r: &mut Reader<'_>) -> Parsed<[u8; 16]> {
    r.raw(16)?.try_into().map_err(|_| Malformed)
}

/// An exit is two bytes: 0 and the code, or 1 and the signal.
pub(super) fn put_exit(w: &mut Writer, exit: Exit) {
    match exit {
        Exit::Code(c) => w.u8(0).u8(c),
        Exit::Signal(s) => w.u8(1).u8(s),
    };
}

pub(super) fn get_exit(r: &mut Reader<'_>) -> Parsed<Exit> {
    match (r.u8()?, r.u8()?) {
        (0, c) => Ok(Exit::Code(c)),
        (1, s) => Ok(Exit::Signal(s)),
        _ => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> Name {
        Name {
            root: 0,
            path: path.into(),
        }
    }

    #[test]
    fn every_message_survives_the_way_there_and_back() {
        let put = |kind| Put {
            name: file("a/b"),
            mode: 0o755,
            mtime: -3,
            steady: true,
            kind,
        };
        let to = [
            ToWorker::Hello {
                protocol: 1,
                version: "v".into(),
                now: 5,
                client: "c".into(),
            },
            ToWorker::Open(Open {
                key: LaneKey([1; 16]),
                project: "p".into(),
                roots: vec!["/a".into()],
                base: Some((2, ManifestId([2; 16]))),
                keep: Keep {
                    ephemeral: true,
                    max_age_secs: 5,
                    min_free_mib: 6,
                },
            }),
            ToWorker::Resync(Resync::List),
            ToWorker::Put(put(Kind::File { size: 3 })),
            ToWorker::Put(put(Kind::Dir)),
            ToWorker::Put(put(Kind::Symlink {
                target: "../x".into(),
            })),
            ToWorker::Data(b"abc".to_vec()),
            ToWorker::Delete(file("odd\nname")),
            ToWorker::Commit(ManifestId([3; 16])),
            ToWorker::Run(Run {
                argv: vec!["cargo".into(), "build".into()],
                cwd: "/a".into(),
                env: vec![("K".into(), "v".into())],
                merged: true,
                cargo_home: Some("/h".into()),
                cargo_config: Some(b"c".to_vec()),
                needs: vec!["mold".into()],
                collect: Collect {
                    changed: true,
                    products: vec![Products {
                        dir: "/a/target/debug".into(),
                        deep: false,
                    }],
                },
                runner: vec!["CARGO_TARGET_X_RUNNER".into()],
                install: Some(Install {
                    dir: "/a".into(),
                    id: [4; 16],
                    isolated: true,
                    modules: vec!["/a/node_modules".into()],
                }),
            }),
            ToWorker::Signal(2),
            ToWorker::Fetch(vec![Want {
                name: file("t"),
                had: Some(7),
            }]),
            ToWorker::Close,
            ToWorker::Ping,
            ToWorker::Hangup(1),
            ToWorker::Clean("/w/target".into()),
            ToWorker::Crates(vec!["registry/cache/r/a-1.0.0.crate".into()]),
        ];
        for message in to {
            let mut out = Vec::new();
            message.encode(&mut out);
            let (frame, len) = wire::split(&out).unwrap().unwrap();
            assert_eq!((ToWorker::decode(frame), len), (Ok(message), out.len()));
        }
        let from = [
            FromWorker::Ready {
                protocol: wire::PROTOCOL,
                version: "v".into(),
                now: 1,
                facts: Facts {
                    tools: vec![("a".into(), "b".into())],
                    ..Facts::default()
                },
            },
            FromWorker::Lane {
                number: 1,
                base: Base::Stale,
                roots: vec!["x".into()],
            },
            FromWorker::Committed,
            FromWorker::Started,
            FromWorker::Stdout(b"o".to_vec()),
            FromWorker::Stderr(b"e".to_vec()),
            FromWorker::Exited {
                exit: Exit::Signal(9),
                usage: Usage::default(),
                wall_ms: 4,
            },
            FromWorker::Produced {
                files: vec![Produced {
                    name: file("t"),
                    size: 1,
                    mtime: 2,
                    mode: 0o644,
                    changed: true,
                }],
                last: true,
            },
            FromWorker::File(put(Kind::File { size: 0 })),
            FromWorker::Data(vec![]),
            FromWorker::Fetched {
                missing: vec![file("t")],
            },
            FromWorker::Closed,
            FromWorker::Failed {
                fault: Fault::NoTool,
                text: "t".into(),
            },
            FromWorker::Pong { now: 9 },
            FromWorker::Holds {
                files: vec![Held {
                    name: file("t"),
                    mode: 0o644,
                    kind: Kind::File { size: 4 },
                    hash: 5,
                }],
                last: true,
            },
            FromWorker::Patch(vec![1]),
            FromWorker::Lacks(vec!["x".into()]),
            FromWorker::Program(Program {
                argv: vec!["target/debug/a".into()],
                env: vec![Setting {
                    name: "LD_LIBRARY_PATH".into(),
                    value: "/a".into(),
                    front: true,
                }],
                libraries: vec!["/a/b.so".into()],
            }),
        ];
        for message in from {
            let mut out = Vec::new();
            message.encode(&mut out);
            let (frame, _) = wire::split(&out).unwrap().unwrap();
            assert_eq!(FromWorker::decode(frame), Ok(message));
        }
    }

    #[test]
    fn a_path_that_climbs_is_malformed() {
        for path in ["../x", "/etc/passwd", "a/../b", "", "."] {
            let mut out = Vec::new();
            FromWorker::Fetched {
                missing: vec![file(path)],
            }
            .encode(&mut out);
            let (frame, _) = wire::split(&out).unwrap().unwrap();
            assert_eq!(FromWorker::decode(frame), Err(Malformed), "{path}");
        }
    }
}
