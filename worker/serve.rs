//! One session: the daemon's messages in, a job at a time, the answers out.
//!
//! A single-threaded loop over poll(2). While more output waits than the reader takes, the job's
//! pipes are left alone, so the job waits too. The end of stdin is the end of everything: the job is
//! told to terminate, killed a second later, and the lane freed by our own end. Writing sources and
//! sending files is done in place, because nothing else can happen in a session meanwhile.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rch::sys::fd::{self, Watch};
use rch::time;
use rch::wire::worker::{Base, Fault, FromWorker, Keep, Put, Resync, Run, ToWorker};
use rch::wire::{PREAMBLE, PROTOCOL, VERSION};

use crate::confine::Means;
use crate::durable::Syncing;
use crate::fault::{Done, Sentence, Wrong};
use crate::flow::{self, HIGH_WATER, Input, Output};
use crate::lane::{self, Lane};
use crate::packages::Installing;
use crate::running::Running;
use crate::stock::Stock;
use crate::tree::Incoming;
use crate::{outputs, packages, probe, program, registry, run, sweep};

/// Where a session stands.
#[derive(Debug)]
enum Phase {
    /// Nothing has been said yet.
    Hello,
    /// No lane is held.
    Idle,
    /// A lane is held but not what the daemon believes; all but `Resync` and `Close` is ignored.
    Stale,
    /// A lane is held and may be written to, run in and read from.
    Open,
    Running(Box<Running>),
    /// Something failed and was said; all but `Close` is ignored.
    Broken,
}

struct Session {
    phase: Phase,
    out: Output,
    means: Result<Means, String>,
    lane: Option<Lane>,
    incoming: Option<Incoming>,
    /// What the last job's daemon wants of lanes.
    keep: Option<Keep>,
    syncing: Syncing,
    stock: Stock,
}

/// Serves one session and answers when it is over.
///
/// # Errors
/// What made the session end other than its end of file.
pub fn serve(namespaces: bool) -> Done<()> {
    let (mut input, out) = flow::take().wrong(|| "cannot take the standard streams")?;
    let means = if namespaces {
        crate::confine::find()
    } else {
        Err("switched off by '--no-namespace'".into())
    };
    let mut session = Session {
        phase: Phase::Hello,
        out,
        means,
        lane: None,
        incoming: None,
        keep: None,
        syncing: Syncing::default(),
        stock: Stock::default(),
    };
    let ended = session.turn_until_end(&mut input);
    session.end();
    if let Err(wrong) = &ended {
        session.out.put(&wrong.clone().message());
    }
    // Best effort: the reader may be gone, and must not hold us up.
    let _ = session.out.flush();
    ended
}

/// The daemon pings every 30 seconds. One that has not been heard for three times as long is gone,
/// though no link has said so, and what it wanted must not run and hold its lane for ever.
const LONELY: Duration = Duration::from_secs(100);

impl Session {
    fn turn_until_end(&mut self, input: &mut Input) -> Done<()> {
        let mut heard = Instant::now();
        loop {
            let ready = self.wait(input).wrong(|| "cannot wait")?;
            if ready[0] {
                heard = Instant::now();
            } else if heard.elapsed() >= LONELY {
                return Ok(());
            }
            if ready[1] {
                self.out.flush().wrong(|| "cannot write to the session")?;
            }
            if ready[0] && !input.fill() {
                return Ok(());
            }
            if ready[0] {
                input.drain(|frame| self.take(ToWorker::decode(frame)?))?;
            }
            self.hear(&ready[2..])?;
            self.enforce()?;
            if self.out.pending() > 0 {
                self.out.flush().wrong(|| "cannot write to the session")?;
            }
        }
    }

    /// Which of these is ready: input, output, the job's stdout, stderr, report.
    fn wait(&self, input: &Input) -> std::io::Result<[bool; 5]> {
        let room = self.out.pending() < HIGH_WATER;
        let mut watches = vec![
            Watch {
                fd: input.as_fd(),
                read: true,
                write: false,
            },
            Watch {
                fd: self.out.as_fd(),
                read: false,
                write: self.out.pending() > 0,
            },
        ];
        let mut places = vec![0, 1];
        if let Phase::Running(r) = &self.phase {
            let fds = [Some(&r.job.out), r.job.err.as_ref(), Some(&r.job.report)];
            for (i, fd) in fds.into_iter().enumerate() {
                if let Some(fd) = fd.filter(|_| r.open[i] && (room || i == 2)) {
                    watches.push(Watch {
                        fd: fd.as_fd(),
                        read: true,
                        write: false,
                    });
                    places.push(i + 2);
                }
            }
        }
        let mut ready = [false; 5];
        for (place, found) in places.into_iter().zip(fd::poll(&watches, Some(LONELY))?) {
            ready[place] = found.readable || found.writable;
        }
        Ok(ready)
    }

    /// Acts on one message. What goes wrong with a job is said and leaves the session usable.
    fn take(&mut self, message: ToWorker) -> Done<()> {
        match (&mut self.phase, message) {
            (
                Phase::Hello,
                ToWorker::Hello {
                    protocol, version, ..
                },
            ) => self.greet(protocol, &version),
            (Phase::Hello, _) => Err(Wrong::protocol("the first message must be a greeting")),
            (_, ToWorker::Ping) => self.pong(),
            (_, ToWorker::Close) => self.close(),
            (Phase::Running(r), ToWorker::Signal(n)) => {
                r.job.signal(n);
                Ok(())
            }
            (Phase::Running(r), ToWorker::Hangup(stream)) => r
                .job
                .hangup(stream)
                .wrong(|| "cannot close the job's output"),
            // These crossed the job's end on the way.
            (_, ToWorker::Signal(_) | ToWorker::Hangup(_)) | (Phase::Broken, _) => Ok(()),
            (Phase::Stale, m) if !matches!(m, ToWorker::Resync(_) | ToWorker::Open(_)) => Ok(()),
            (_, message) => self.work(message).or_else(|wrong| self.give_up(wrong)),
        }
    }

    fn close(&mut self) -> Done<()> {
        self.end();
        self.phase = Phase::Idle;
        self.out.put(&FromWorker::Closed);
        // The daemon need not wait for what we do on our own account.
        self.out.flush().wrong(|| "cannot write to the session")?;
        self.syncing.want();
        if let Some(keep) = self.keep {
            sweep::sweep(keep);
        }
        self.tell_stock();
        Ok(())
    }

    fn pong(&mut self) -> Done<()> {
        let busy = self.out.pending() > 0 || matches!(self.phase, Phase::Running(_));
        self.out.put(&FromWorker::Pong { now: time::now() });
        // Behind a job's output nothing may be waited for: the next word may be to stop it.
        if busy {
            return Ok(());
        }
        // The daemon measures how long an answer takes.
        self.out.flush().wrong(|| "cannot write to the session")?;
        self.tell_stock();
        if matches!(self.phase, Phase::Idle) {
            self.syncing.begin();
        }
        Ok(())
    }

    fn tell_stock(&mut self) {
        if let Some(news) = self.stock.news() {
            self.out.put(&news);
        }
    }

    fn give_up(&mut self, wrong: Wrong) -> Done<()> {
        if wrong.fault == Fault::Protocol {
            return Err(wrong);
        }
        self.out.put(&wrong.message());
        self.incoming = None;
        self.phase = Phase::Broken;
        Ok(())
    }

    fn greet(&mut self, protocol: u16, version: &str) -> Done<()> {
        self.out.raw(PREAMBLE);
        if protocol != PROTOCOL {
            let text = format!(
                "rch-wkr {VERSION} speaks protocol {PROTOCOL}, rchd {version} speaks {protocol}"
            );
            return Err(Wrong::new(Fault::Version, text));
        }
        self.out.put(&FromWorker::Ready {
            protocol: PROTOCOL,
            version: VERSION.into(),
            now: time::now(),
            facts: probe::facts(self.means.as_ref().err()),
        });
        self.phase = Phase::Idle;
        Ok(())
    }

    fn work(&mut self, message: ToWorker) -> Done<()> {
        match (&self.phase, message) {
            (Phase::Idle, ToWorker::Open(open)) => self.open(&open),
            (Phase::Idle, ToWorker::Crates(crates)) => {
                let lacks = registry::lacks(crates);
                self.out.put(&FromWorker::Lacks(lacks));
                Ok(())
            }
            (Phase::Idle, ToWorker::Put(put)) => {
                self.incoming = registry::begin(&put)?;
                self.finish()
            }
            (Phase::Idle, ToWorker::Data(data)) => self.data(&data),
            (Phase::Stale | Phase::Open, ToWorker::Resync(how)) => self.resync(how),
            (Phase::Open, ToWorker::Put(put)) => self.put(put),
            (Phase::Open, ToWorker::Data(data)) => self.data(&data),
            (Phase::Open, ToWorker::Delete(name)) => {
                let lane = self.writable()?;
                lane.tree(name.root)?
                    .delete(&name.path)
                    .map_err(|e| source(&name.path, &e))
            }
            (Phase::Open, ToWorker::Clean(dir)) => {
                let lane = self.writable()?;
                lane.locate(&dir).map_or(Ok(()), |(root, below)| {
                    lane.trees[root]
                        .clear(&below)
                        .wrong(|| format!("cannot clean '{}'", dir.display()))
                })
            }
            (Phase::Open, ToWorker::Commit(id)) => {
                self.writable()?.commit(id)?;
                self.out.put(&FromWorker::Committed);
                Ok(())
            }
            (Phase::Open, ToWorker::Run(run)) => self.run(run),
            (Phase::Open, ToWorker::Fetch(wants)) => {
                let lane = self.lane.as_ref().expect("BUG: open without a lane");
                outputs::fetch(lane, &wants, &mut self.out)
            }
            (phase, message) => Err(Wrong::protocol(format!(
                "unexpected {} while {}",
                word(&message),
                word(phase)
            ))),
        }
    }

    fn open(&mut self, open: &rch::wire::worker::Open) -> Done<()> {
        self.keep = Some(open.keep);
        let lane = lane::open(open)?;
        self.out.put(&FromWorker::Lane {
            number: lane.number,
            base: lane.base,
            roots: lane.dirs(),
        });
        // A daemon that named a base may have sent its difference already, whatever is here.
        self.phase = match lane.base {
            Base::New if open.base.is_none() => Phase::Open,
            Base::Stale | Base::New => Phase::Stale,
            Base::Holds => Phase::Open,
        };
        self.lane = Some(lane);
        Ok(())
    }

    fn resync(&mut self, how: Resync) -> Done<()> {
        let lane = self.writable()?;
        match how {
            Resync::Adopt => lane.adopt()?,
            Resync::Wipe => lane.wipe()?,
            Resync::List => {
                let lane = self.lane.as_ref().expect("BUG: just written to");
                outputs::holds(lane, &mut self.out)?;
            }
        }
        self.phase = Phase::Open;
        Ok(())
    }

    /// The lane, marked as being written to; no file may be on its way in.
    fn writable(&mut self) -> Done<&mut Lane> {
        if self.incoming.is_some() {
            return Err(Wrong::protocol("a file is not complete"));
        }
        let lane = self.lane.as_mut().expect("BUG: open without a lane");
        lane.soil()?;
        Ok(lane)
    }

    fn put(&mut self, put: Put) -> Done<()> {
        use rch::wire::worker::Kind;
        let lane = self.writable()?;
        let (tree, mtime) = (lane.tree(put.name.root)?, lane.mtime(put.mtime));
        let path = &put.name.path;
        let done = match &put.kind {
            Kind::Dir => tree.put_dir(path, put.mode),
            Kind::Symlink { target } => tree.put_symlink(path, target, mtime),
            Kind::File { size } => tree
                .begin(path, *size, put.mode, mtime)
                .map(|file| self.incoming = Some(file.steady(put.steady))),
        };
        done.map_err(|e| source(path, &e))?;
        self.finish()
    }

    fn data(&mut self, data: &[u8]) -> Done<()> {
        let Some(file) = &mut self.incoming else {
            return Err(Wrong::protocol("content without a file"));
        };
        file.write(data).wrong(|| "cannot write a source")?;
        self.finish()
    }

    /// Gives the incoming file its name once its last byte is there.
    fn finish(&mut self) -> Done<()> {
        match self.incoming.take_if(|f| f.left() == 0) {
            Some(file) => file.finish().wrong(|| "cannot write a source"),
            None => Ok(()),
        }
    }

    fn run(&mut self, run: Run) -> Done<()> {
        rch::classify::argv(&run.argv)
            .map_err(|why| Wrong::new(Fault::Refused, why.to_string()))?;
        let lane = self.lane.as_mut().expect("BUG: open without a lane");
        if !lane.is_clean() {
            return Err(Wrong::protocol("the lane was not committed"));
        }
        match &run.install {
            Some(install) if !packages::are_there(lane, install) => {
                let first = packages::begin(lane, install, &run)?;
                self.start(first, Some(Installing::new(run)))
            }
            _ => self.start(run, None),
        }
    }

    fn start(&mut self, run: Run, installing: Option<Installing>) -> Done<()> {
        let lane = self.lane.as_mut().expect("BUG: open without a lane");
        let means = self.means.as_ref().ok().copied();
        let (view, mut spec, remap) = crate::task::prepare(lane, &run, means.is_some())?;
        // A job that was killed may have left one.
        let _ = lane.trees[0].delete(&program::note());
        spec.mark = lane.start()?;
        let job = run::start(means, &view, &spec, &lane.lock)?;
        self.phase = Phase::Running(Box::new(Running {
            open: [true, job.err.is_some(), true],
            job,
            collect: run.collect,
            mark: spec.mark,
            report: Vec::new(),
            verdict: None,
            remap: [remap.clone(), remap],
            installing,
            told: (!run.runner.is_empty()).then_some(spec.env),
        }));
        Ok(())
    }

    /// Reads what the job wrote and the warden reports.
    fn hear(&mut self, ready: &[bool]) -> Done<()> {
        let Phase::Running(running) = &mut self.phase else {
            return Ok(());
        };
        // The warden's report first: it says `Started` before the job can say anything.
        for (stream, _) in ready.iter().enumerate().rev().filter(|(_, ready)| **ready) {
            running.read(stream, &mut self.out)?;
        }
        if running.open != [false; 3] {
            return Ok(());
        }
        match self.finish_job() {
            Ok(()) => Ok(()),
            Err(wrong) => self.give_up(wrong),
        }
    }

    /// Ends an install that takes too long. Its lane is dirty then, and repaired by the next job.
    fn enforce(&mut self) -> Done<()> {
        let Phase::Running(running) = &mut self.phase else {
            return Ok(());
        };
        let late = |i: &&Installing| Instant::now() >= i.until;
        let Some(wrong) = running
            .installing
            .as_ref()
            .filter(late)
            .map(Installing::too_long)
        else {
            return Ok(());
        };
        running.terminate();
        self.give_up(wrong)
    }

    /// Every stream is at its end, so the warden has ended or is about to.
    fn finish_job(&mut self) -> Done<()> {
        let Phase::Running(mut running) = std::mem::replace(&mut self.phase, Phase::Open) else {
            return Ok(());
        };
        running.job.end();
        let lane = self.lane.as_mut().expect("BUG: a job without a lane");
        lane.end()?;
        if let Some(installing) = running.installing.take() {
            return self.installed(installing, running.verdict.as_ref());
        }
        match running.verdict {
            Some(FromWorker::Exited { exit, .. }) if !exit.success() && lane.is_full() => {
                Err(Wrong::new(Fault::DiskFull, "the disk is full there"))
            }
            Some(exited @ FromWorker::Exited { .. }) => {
                let told = running.told.as_ref();
                let told = told.and_then(|env| program::take(lane, env, &running.remap[0]));
                if let Some(program) = told {
                    running
                        .collect
                        .products
                        .extend(program::build_output(&program));
                    self.out.put(&FromWorker::Program(program));
                }
                self.out.put(&exited);
                outputs::list(lane, &running.collect, running.mark, &mut self.out)
            }
            Some(FromWorker::Failed { fault, text }) => Err(Wrong::new(fault, text)),
            _ => Err(Wrong::new(Fault::System, "the job's warden was killed")),
        }
    }

    /// The packages are there, or are not: the command, or why it cannot be.
    fn installed(&mut self, installing: Installing, verdict: Option<&FromWorker>) -> Done<()> {
        let lane = self.lane.as_mut().expect("BUG: a job without a lane");
        match verdict {
            Some(FromWorker::Exited { exit, .. }) if exit.success() => {
                let install = installing.then.install.as_ref();
                packages::end(lane, install.expect("BUG: nothing to install"));
                self.start(installing.then, None)
            }
            _ => Err(installing.failed()),
        }
    }

    /// Ends what is going on and gives the lane back.
    fn end(&mut self) {
        if let Phase::Running(running) = &mut self.phase {
            running.terminate();
        }
        self.phase = Phase::Broken;
        self.incoming = None;
        // What cannot be removed now is found by the next job of this lane.
        let _ = self.lane.take().map(Lane::leave);
    }
}

fn source(path: &std::path::Path, err: &std::io::Error) -> Wrong {
    let wrong = Wrong::os(format_args!("cannot write '{}'", path.display()), err);
    Wrong {
        fault: match wrong.fault {
            Fault::System => Fault::Source,
            other => other,
        },
        ..wrong
    }
}

/// The variant's name in lower case, for errors.
fn word(value: &impl std::fmt::Debug) -> String {
    let text = format!("{value:?}");
    let end = text.find(|c: char| !c.is_alphanumeric());
    text[..end.unwrap_or(text.len())].to_lowercase()
}
