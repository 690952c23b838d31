//! One job's process: starting it, and the warden that outlives nothing.
//!
//! `serve` forks a warden into the job's namespaces; the warden builds the job's world, starts the
//! program in a session of its own, reaps, and reports in the protocol's own frames on a pipe. It
//! holds the read end of a lifeline: a byte is a signal for the job's group, end of file means that
//! `serve` is gone, and then everything is killed. As process 1 of a pid namespace it need only end
//! for the kernel to do that; otherwise it adopts orphans (a subreaper) and kills until none is left.
//! It keeps the lane's lock open, so that a lane is never free while a job writes in it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rch::sys::fd::{self, Watch};
use rch::sys::fs::coarse_now;
use rch::sys::namespace::{self, Spaces};
use rch::sys::process::{self, Exit, Pid, Usage};
use rch::sys::signal::{self, Signals};
use rch::time::Stamp;
use rch::wire::worker::{Fault, FromWorker};

use crate::confine::{self, Means, View};
use crate::fault::{Done, Sentence, Wrong};

/// Milliseconds: more than a tick of the slowest usual clock (100 Hz).
const TICKS: u32 = 15;

/// What to start, all of it as the job sees it.
#[derive(Debug)]
pub struct Spec {
    pub program: PathBuf,
    pub argv: Vec<OsString>,
    pub cwd: PathBuf,
    pub env: Vec<(OsString, OsString)>,
    /// One pipe for stdout and stderr.
    pub merged: bool,
    /// When the lane was marked dirty: nothing of the job may be dated as early.
    pub mark: Stamp,
}

/// `serve`'s ends of a running job. Dropping it kills the job.
#[derive(Debug)]
pub struct Job {
    /// `Some` until reaped.
    warden: Option<Pid>,
    lifeline: Option<OwnedFd>,
    /// Frames from the warden.
    pub report: OwnedFd,
    pub out: OwnedFd,
    /// `None` if merged into `out`.
    pub err: Option<OwnedFd>,
}

/// Starts a job. Whatever goes wrong in the warden comes as a `Failed` frame on `report`.
pub fn start(means: Option<Means>, view: &View, spec: &Spec, lock: &File) -> Done<Job> {
    let pipe = || fd::pipe().wrong(|| "cannot make a pipe");
    let (line_in, lifeline) = pipe()?;
    let (report, report_in) = pipe()?;
    let (out, out_in) = pipe()?;
    let (err, err_in) = if spec.merged {
        let twin = out_in.try_clone().wrong(|| "cannot make a pipe")?;
        (None, twin)
    } else {
        let (err, err_in) = pipe()?;
        (Some(err), err_in)
    };
    let spaces = means.map_or(Spaces::default(), |m| m.spaces);
    let warden = namespace::fork_into(spaces, || {
        fd::close_except(&[
            line_in.as_fd(),
            report_in.as_fd(),
            out_in.as_fd(),
            err_in.as_fd(),
            lock.as_fd(),
        ]);
        let report = Report(&report_in);
        if let Err(wrong) = watch(means, view, spec, &line_in, &report, (out_in, err_in)) {
            report.send(&wrong.message());
        }
        0
    })
    .wrong(|| "cannot fork")?;
    Ok(Job {
        warden: Some(warden),
        lifeline: Some(lifeline),
        report,
        out,
        err,
    })
}

impl Job {
    /// Closes our end of a stream that nobody reads, so that the job notices as it would at home.
    pub fn hangup(&mut self, stream: u8) -> std::io::Result<()> {
        let nothing: OwnedFd = File::open("/dev/null")?.into();
        match &mut self.err {
            Some(err) if stream == 2 => *err = nothing,
            _ => self.out = nothing,
        }
        Ok(())
    }

    /// Signals the job's process group, if it still runs.
    pub fn signal(&self, signal: u8) {
        if let Some(line) = &self.lifeline {
            let _ = fd::write(line, &[signal]);
        }
    }

    /// Kills all of it and waits until nothing is left. Also the way to reap one that has ended.
    pub fn end(&mut self) {
        self.lifeline = None;
        if let Some(warden) = self.warden.take() {
            let _ = process::wait_for(warden);
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.end();
    }
}

struct Report<'a>(&'a OwnedFd);

impl Report<'_> {
    /// Short enough to be written whole or, with `serve` gone, not at all.
    fn send(&self, message: &FromWorker) {
        let mut frame = Vec::new();
        message.encode(&mut frame);
        let _ = fd::write(self.0, &frame);
    }
}

/// The warden's life.
fn watch(
    means: Option<Means>,
    view: &View,
    spec: &Spec,
    line: &OwnedFd,
    report: &Report<'_>,
    streams: (OwnedFd, OwnedFd),
) -> Done<()> {
    process::setsid();
    let signals = Signals::new(&[signal::SIGCHLD]).wrong(|| "cannot watch for children")?;
    let alone = means.is_some_and(|m| m.spaces.pid);
    if alone {
        // The kernel takes the rest of the namespace with us.
        process::set_pdeathsig(signal::SIGKILL).wrong(|| "cannot bind the job to its session")?;
    } else {
        process::set_child_subreaper().wrong(|| "cannot adopt orphans")?;
    }
    if let Some(means) = means {
        confine::enter(means, view)?;
    }
    pass(spec.mark);
    let begun = Instant::now();
    let job = launch(spec, streams)?;
    report.send(&FromWorker::Started);
    let ended = follow(job, line, &signals);
    if !alone {
        kill_all(&signals);
    }
    if let Some((exit, usage)) = ended {
        report.send(&FromWorker::Exited {
            exit,
            usage,
            wall_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        });
    }
    Ok(())
}

/// Lets the file system's clock move past `mark`, so that what the job writes is dated later. Usually
/// making the world has taken long enough.
fn pass(mark: Stamp) {
    for _ in 0..TICKS {
        if coarse_now() > mark {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn launch(spec: &Spec, (out, err): (OwnedFd, OwnedFd)) -> Done<Pid> {
    let mut cmd = Command::new(&spec.program);
    cmd.args(spec.argv.iter().skip(1))
        .arg0(spec.argv.first().map_or(spec.program.as_os_str(), |a| a))
        .current_dir(&spec.cwd)
        .env_clear()
        .envs(spec.env.iter().map(|(k, v)| (k, v)))
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err);
    let child = process::detach(&mut cmd).spawn().wrong(|| {
        format!(
            "cannot start '{}' in '{}'",
            spec.program.display(),
            spec.cwd.display()
        )
    })?;
    Ok(Pid(child.id() as i32))
}

/// Until the job has ended (how) or the lifeline has (`None`).
fn follow(job: Pid, line: &OwnedFd, signals: &Signals) -> Option<(Exit, Usage)> {
    let read = |fd| Watch {
        fd,
        read: true,
        write: false,
    };
    loop {
        let ready = fd::poll(&[read(line.as_fd()), read(signals.as_fd())], None).ok()?;
        if ready[1].readable {
            while signals.next().is_some() {}
            while let Ok(Some((pid, exit, usage))) = process::wait_any() {
                if pid == job {
                    return Some((exit, usage));
                }
            }
        }
        if ready[0].readable {
            let mut byte = [0];
            match fd::read(line, &mut byte) {
                Ok(1) => {
                    let _ = process::killpg(job, i32::from(byte[0]));
                }
                _ => return None,
            }
        }
    }
}

/// Kills children until there are none; orphans of the killed become children in turn.
fn kill_all(signals: &Signals) {
    loop {
        let children = fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
        for pid in children.split_whitespace().filter_map(|p| p.parse().ok()) {
            let _ = process::kill(Pid(pid), signal::SIGKILL);
        }
        if children.is_empty() {
            return;
        }
        let wait = Watch {
            fd: signals.as_fd(),
            read: true,
            write: false,
        };
        let _ = fd::poll(&[wait], Some(Duration::from_millis(100)));
        while signals.next().is_some() {}
        while let Ok(Some(_)) = process::wait_any() {}
    }
}

/// Where `name` is found on `path`, as execvp(3) searches.
pub fn find_program(name: &OsString, path: &std::ffi::OsStr) -> Done<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let runs = |p: &PathBuf| {
        fs::metadata(p).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
    };
    let found = if Path::new(name).is_absolute() {
        Some(PathBuf::from(name)).filter(runs)
    } else {
        std::env::split_paths(path).map(|d| d.join(name)).find(runs)
    };
    found.ok_or_else(|| {
        let name = Path::new(name).display();
        Wrong::new(
            Fault::NoTool,
            format!("'{name}' is not installed on the worker"),
        )
    })
}
