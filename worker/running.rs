//! A job as its session sees it: streams that end one by one, and the warden's last word.
//!
//! A job is over when all its streams are: the warden has ended then or is about to, and every byte
//! of output has been passed on before the verdict is.

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rch::bytes::Malformed;
use rch::sys::fd::{self, Watch};
use rch::sys::signal;
use rch::time::Stamp;
use rch::wire;
use rch::wire::worker::{Collect, FromWorker};

use crate::fault::Done;
use crate::flow::{Output, READ};
use crate::packages::Installing;
use crate::remap::Remap;
use crate::run;

/// Between the request to terminate and the kill.
const GRACE: Duration = Duration::from_millis(800);

#[derive(Debug)]
pub struct Running {
    pub job: run::Job,
    pub collect: Collect,
    /// What changes after this, the job changed.
    pub mark: Stamp,
    /// Which streams are still open: stdout, stderr, report.
    pub open: [bool; 3],
    pub report: Vec<u8>,
    /// What the warden said last, held back until the output has been sent.
    pub verdict: Option<FromWorker>,
    pub remap: [Remap; 2],
    /// `Some` iff it is told what would be run: the environment it was started with.
    pub told: Option<Vec<(OsString, OsString)>>,
    /// `Some` iff this is not the command itself yet.
    pub installing: Option<Installing>,
}

impl Running {
    /// Passes on what one of the streams (stdout, stderr, report) has.
    pub fn read(&mut self, stream: usize, out: &mut Output) -> Done<()> {
        let fd = match stream {
            0 => &self.job.out,
            1 => self.job.err.as_ref().expect("BUG: a merged stream is read"),
            _ => &self.job.report,
        };
        let mut chunk = vec![0; READ];
        let n = match fd::read(fd, &mut chunk) {
            Ok(n) => n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => return Ok(()),
            Err(_) => 0,
        };
        chunk.truncate(n);
        self.open[stream] = n > 0;
        if stream == 2 {
            return self.report(&chunk, out);
        }
        let text = if n > 0 {
            self.remap[stream].push(&chunk)
        } else {
            self.remap[stream].rest()
        };
        if let Some(installing) = &mut self.installing {
            installing.hear(&text);
            return Ok(());
        }
        match (text.is_empty(), stream) {
            (true, _) => {}
            (false, 0) => out.put(&FromWorker::Stdout(text)),
            (false, _) => out.put(&FromWorker::Stderr(text)),
        }
        Ok(())
    }

    fn report(&mut self, bytes: &[u8], out: &mut Output) -> Done<()> {
        self.report.extend_from_slice(bytes);
        let (verdict, silent) = (&mut self.verdict, self.installing.is_some());
        let used = wire::each_frame(&self.report, |frame| -> Result<(), Malformed> {
            match FromWorker::decode(frame)? {
                FromWorker::Started if silent => {}
                FromWorker::Started => out.put(&FromWorker::Started),
                other => *verdict = Some(other),
            }
            Ok(())
        })?;
        self.report.drain(..used);
        Ok(())
    }

    /// Asks the job to end, and sees to it that it does.
    pub fn terminate(&mut self) {
        self.job.signal(signal::SIGTERM as u8);
        let until = Instant::now() + GRACE;
        while self.open[2] && self.verdict.is_none() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            self.skim(left);
        }
        self.job.end();
    }

    /// Reads and drops what comes, so that a job that says goodbye is not stuck on a full pipe.
    fn skim(&mut self, most: Duration) {
        let fds = [
            Some(&self.job.out),
            self.job.err.as_ref(),
            Some(&self.job.report),
        ];
        let watched: Vec<_> = (0..3)
            .filter_map(|i| fds[i].filter(|_| self.open[i]).map(|fd| (i, fd)))
            .collect();
        let watches: Vec<_> = watched
            .iter()
            .map(|(_, fd)| Watch {
                fd: fd.as_fd(),
                read: true,
                write: false,
            })
            .collect();
        let ready = fd::poll(&watches, Some(most)).unwrap_or_default();
        for ((stream, fd), ready) in watched.into_iter().zip(ready) {
            if ready.readable {
                let mut chunk = [0; 4096];
                let n = fd::read(fd, &mut chunk).unwrap_or(0);
                // The report's end means as much as its words.
                self.open[stream] = n > 0 && (stream != 2 || !is_exit(&chunk[..n]));
            }
        }
    }
}

fn is_exit(report: &[u8]) -> bool {
    let mut exited = false;
    let _ = wire::each_frame(report, |f| -> Result<(), Malformed> {
        exited |= matches!(FromWorker::decode(f)?, FromWorker::Exited { .. });
        Ok(())
    });
    exited
}
