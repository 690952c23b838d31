//! Measures workers: one and the same small compilation, here and on each, as an ordinary job.
//!
//! The speed is what the score multiplies with: 50 for a worker as fast as this machine, 100 for one
//! that is twice as fast or more. The job takes every step that others take, and the command is one
//! that any worker accepts; only the time of the command itself counts. One worker after the other
//! may be busy with agents' jobs meanwhile, so a figure is the better of two runs.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{Daemon, Report};
use crate::error::{Error, Result};
use crate::ids::{ClientId, JobId, WorkerId};
use crate::job::{Outcome, Stage};
use crate::wire::client::Exec;
use crate::wire::status;

/// How often each machine compiles it.
const RUNS: u32 = 2;
/// Functions in the source: about a second's work.
const FUNCTIONS: u32 = 400;

/// What it took here, and the command that was measured.
#[derive(Debug, Clone)]
pub(super) struct Here {
    argv: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    ms: u64,
}

/// A measurement under way, in the job that makes it.
#[derive(Debug, Clone)]
pub(super) struct Measure {
    worker: WorkerId,
    /// Runs that follow this one.
    left: u32,
    /// The best so far.
    best: Option<u64>,
}

impl Daemon {
    pub(super) fn benchmark_asked(
        &mut self,
        id: ClientId,
        names: &[String],
        env: Vec<(String, String)>,
    ) {
        let Some(left) = self.named(id, names) else {
            return;
        };
        self.waits_for_benchmark(id, left.clone());
        self.bench_waits.extend(left);
        let dir = self.cache.join("bench");
        let env = surroundings(env);
        self.crew.submit(move || Report::Measured(here(&dir, env)));
    }

    /// This machine is measured; now the workers.
    pub(super) fn measured_here(&mut self, here: Result<Here>) {
        let waits = std::mem::take(&mut self.bench_waits);
        match here {
            Ok(here) => {
                self.bench_here = Some(here);
                for worker in waits {
                    let measure = Measure {
                        worker,
                        left: RUNS - 1,
                        best: None,
                    };
                    self.measure(measure);
                }
            }
            Err(e) => {
                for worker in waits {
                    self.not_measured(&worker, e.text());
                }
            }
        }
    }

    fn measure(&mut self, measure: Measure) {
        let Some(here) = self.bench_here.clone() else {
            return;
        };
        let mut env = here.env;
        env.push(("RCH_WORKER".into(), measure.worker.as_str().into()));
        // Two workers' jobs must not be taken for one.
        let mark = format!("-DRUN{}", measure.left);
        let mut argv = here.argv;
        argv.insert(1, mark.into());
        argv.insert(1, format!("-DON_{}", hex(measure.worker.as_str())).into());
        let exec = Exec {
            argv,
            cwd: self.cache.join("bench"),
            env,
            own: vec![],
            tty: (false, false),
            merged: false,
            require_remote: true,
        };
        let worker = measure.worker.clone();
        match self.submit(None, exec, "rch workers benchmark".into()) {
            Ok(id) => {
                if let Some(job) = self.jobs.get_mut(&id) {
                    job.bench = Some(measure);
                }
            }
            Err(e) => self.not_measured(&worker, e.text()),
        }
    }

    /// A job is over; if it was a measurement, its result is told or the next run begins.
    pub(super) fn bench_ended(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        let Some(mut measure) = job.bench.take() else {
            return;
        };
        let good = job.exit.is_some_and(crate::sys::process::Exit::success);
        if job.stage() != Stage::Done(Outcome::Remote) || !good {
            let why = match job.reason.as_str() {
                "" => "the compiler failed there".to_owned(),
                reason => reason.to_owned(),
            };
            return self.not_measured(&measure.worker, &why);
        }
        let took = job.moved.remote_ms.max(1);
        let best = measure.best.map_or(took, |b| b.min(took));
        if measure.left > 0 {
            measure.left -= 1;
            measure.best = Some(best);
            return self.measure(measure);
        }
        self.benchmarked(&measure.worker, best);
    }

    fn benchmarked(&mut self, id: &WorkerId, remote_ms: u64) {
        let local_ms = self.bench_here.as_ref().map_or(1, |h| h.ms.max(1));
        let speed = speed(local_ms, remote_ms);
        if let Some(worker) = self.worker(id) {
            worker.speed = Some(speed);
        }
        if let Err(e) = self.keep.set_speed(id.as_str(), speed) {
            warn!("{}", e.text());
        }
        self.event(format_args!("worker {id}: speed {speed:.0}"));
        let result = status::Benchmark {
            id: id.to_string(),
            ok: true,
            error: String::new(),
            speed,
            local_ms: local_ms as f64,
            remote_ms: remote_ms as f64,
        };
        self.benchmark_result(id, &result);
    }

    fn not_measured(&mut self, id: &WorkerId, why: &str) {
        let result = status::Benchmark {
            id: id.to_string(),
            error: why.into(),
            ..status::Benchmark::default()
        };
        self.benchmark_result(id, &result);
    }
}

/// 50 for as fast as here, 100 for twice as fast and more, never 0.
fn speed(local_ms: u64, remote_ms: u64) -> f64 {
    (50.0 * local_ms as f64 / remote_ms as f64)
        .round()
        .clamp(1.0, 100.0)
}

fn hex(text: &str) -> String {
    text.bytes().map(|b| format!("{b:02x}")).collect()
}

/// The environment for both compilations: the client's, as for any job; what steers rch is not in it.
fn surroundings(client: Vec<(String, String)>) -> Vec<(OsString, OsString)> {
    let client = client.into_iter().map(|(k, v)| (k.into(), v.into()));
    let mut env: Vec<(OsString, OsString)> = client.collect();
    if env.is_empty() {
        env = std::env::vars_os().collect();
    }
    env.retain(|(k, _)| !k.to_string_lossy().starts_with("RCH_"));
    env
}

/// Runs the compilation on this machine, with the first compiler there is. Runs on the crew.
fn here(dir: &Path, env: Vec<(OsString, OsString)>) -> Result<Here> {
    // A project of its own, even if the home directory is one.
    let mark = dir.join(".git");
    std::fs::create_dir_all(&mark).map_err(|e| Error::path("make", &mark, &e))?;
    let source = dir.join("bench.c");
    std::fs::write(&source, text()).map_err(|e| Error::path("write", &source, &e))?;
    for compiler in ["gcc", "clang", "cc"] {
        let argv: Vec<OsString> = [compiler, "-O2", "-c", "bench.c", "-o", "bench.o"]
            .map(OsString::from)
            .to_vec();
        let times: Option<Vec<Duration>> = (0..RUNS).map(|_| timed(&argv, &env, dir)).collect();
        if let Some(best) = times.and_then(|t| t.into_iter().min()) {
            return Ok(Here {
                argv,
                env,
                ms: crate::time::millis(best),
            });
        }
    }
    Err(Error::new("there is no C compiler here to measure with").hint("install gcc"))
}

fn timed(argv: &[OsString], env: &[(OsString, OsString)], dir: &Path) -> Option<Duration> {
    let begun = Instant::now();
    let status = Command::new(&argv[0])
        .args(&argv[1..])
        .env_clear()
        .envs(env.iter().cloned())
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.ok()?.success().then(|| begun.elapsed())
}

/// A source that an optimiser has something to do with.
fn text() -> String {
    let function = |n: u32| {
        format!(
            "int f{n}(int *a, int n) {{\n  int s = {n};\n  for (int i = 0; i < n; i++) {{\n    for (int j = i; j < n; j += {}) s += a[i] * a[j] % {} ^ (s << {});\n    switch (s & 7) {{ case 0: s -= a[i]; break; case 3: s ^= i; break; case 5: a[i] = s; }}\n  }}\n  return s;\n}}\n",
            n % 7 + 1,
            n % 11 + 2,
            n % 5 + 1
        )
    };
    (0..FUNCTIONS).map(function).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_speed_is_relative_to_this_machine() {
        assert!((speed(1000, 1000) - 50.0).abs() < 1e-9);
        assert!((speed(1000, 500) - 100.0).abs() < 1e-9);
        assert!((speed(1000, 100) - 100.0).abs() < 1e-9);
        assert!((speed(1000, 2000) - 25.0).abs() < 1e-9);
        assert!((speed(1, 1_000_000) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn the_command_is_one_that_workers_accept() {
        let argv = [
            "gcc",
            "-DON_6363",
            "-DRUN1",
            "-O2",
            "-c",
            "bench.c",
            "-o",
            "bench.o",
        ];
        assert!(crate::classify::argv(&argv.map(OsString::from)).is_ok());
    }
}
