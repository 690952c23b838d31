//! The bytes of the messages between daemon and worker, as rch-protocol(7) describes them. A kind's
//! number is never used again for another message.

use super::{
    Base, Collect, Facts, Fault, FromWorker, Held, Install, Keep, Kind, Name, Open, Present,
    Produced, Products, Program, Put, Resync, Run, Setting, ToWorker, Want,
};
use std::ffi::{OsStr, OsString};

use crate::bytes::{Malformed, Parsed, Reader, Writer};
use crate::ids::{LaneKey, ManifestId};
use crate::sys::process::{Exit, Usage};
use crate::wire::{self, Frame};

fn put_name(w: &mut Writer, name: &Name) {
    w.u8(name.root).path(&name.path);
}

/// What the kernel takes (PATH_MAX).
const LONGEST_NAME: usize = 4096;

/// As long as a name in a directory may be.
const LONGEST_PART: usize = 255;

fn name(r: &mut Reader<'_>) -> Parsed<Name> {
    let name = Name {
        root: r.u8()?,
        path: r.path()?,
    };
    let fits = name.path.as_os_str().len() <= LONGEST_NAME;
    if fits && crate::paths::is_plain(&name.path) {
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
    w.option(run.toolchain.as_ref(), |w, p| {
        w.path(p);
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
        toolchain: r.option(Reader::path)?,
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
                w.option(o.like.as_ref(), |w, (key, n)| { w.raw(&key.0).u16(*n); });
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
                like: r.option(|r| Ok((LaneKey(array(r)?), r.u16()?)))?,
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
            FromWorker::Present(s) => frame!(out, 19, w => {
                w.u8(s.root).path(&s.dir);
                w.list(&s.names, |w, (name, is_dir)| {
                    w.bytes(name.as_encoded_bytes()).flag(*is_dir);
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
                    w.u32(f.mode).i64(f.mtime).u64(f.hash);
                    put_kind(w, &f.kind);
                });
            }),
            FromWorker::Lacks(all) => frame!(out, 17, w => w.list(all, |w, p| { w.path(p); })),
            FromWorker::Patch(b) => wire::put(out, 16, |out| out.extend_from_slice(b)),
            FromWorker::Program(p) => frame!(out, 18, w => put_program(&mut w, p)),
            FromWorker::Lanes(lanes) => frame!(out, 20, w => {
                w.list(lanes, |w, (key, number)| {
                    w.raw(&key.0).u16(*number);
                });
            }),
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
                        mtime: r.i64()?,
                        hash: r.u64()?,
                        kind: kind(r)?,
                    })
                })?,
            },
            16 => FromWorker::Patch(r.rest().to_vec()),
            17 => FromWorker::Lacks(r.list(Reader::path)?),
            18 => FromWorker::Program(get_program(&mut r)?),
            19 => FromWorker::Present(Present {
                root: r.u8()?,
                dir: fitting(r.path()?, LONGEST_NAME)?,
                names: r.list(|r| Ok((fitting(r.os()?, LONGEST_PART)?, r.flag()?)))?,
            }),
            20 => FromWorker::Lanes(r.list(|r| Ok((LaneKey(array(r)?), r.u16()?)))?),
            _ => return Err(Malformed),
        };
        r.end()?;
        Ok(message)
    }
}

fn fitting<T: AsRef<OsStr>>(text: T, longest: usize) -> Parsed<T> {
    (text.as_ref().len() <= longest)
        .then_some(text)
        .ok_or(Malformed)
}

fn array(r: &mut Reader<'_>) -> Parsed<[u8; 16]> {
    r.raw(16)?.try_into().map_err(|_| Malformed)
}

/// An exit is two bytes: 0 and the code, or 1 and the signal.
pub(in crate::wire) fn put_exit(w: &mut Writer, exit: Exit) {
    match exit {
        Exit::Code(c) => w.u8(0).u8(c),
        Exit::Signal(s) => w.u8(1).u8(s),
    };
}

pub(in crate::wire) fn get_exit(r: &mut Reader<'_>) -> Parsed<Exit> {
    match (r.u8()?, r.u8()?) {
        (0, c) => Ok(Exit::Code(c)),
        (1, s) => Ok(Exit::Signal(s)),
        _ => Err(Malformed),
    }
}
