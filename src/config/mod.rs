//! Configuration: typed values with defaults, from files and the environment.
//!
//! `keys` and `vars` are the tables everything here reads; `file` turns one file into settings with
//! positions, `layers` decides which of them wins, `workers` reads the fleet, `edit` changes a file
//! and keeps its comments. A broken file never breaks anything: what is wrong becomes a
//! `Complaint`, and the next source, at last the default, is used instead.

// What the hook runs cannot panic.
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::unreachable,
        clippy::arithmetic_side_effects
    )
)]

pub mod edit;
pub mod file;
pub mod glob;
pub mod keys;
pub mod layers;
pub mod objections;
pub mod value;
pub mod vars;
pub mod workers;

use std::path::{Path, PathBuf};

use crate::ids::WorkerId;

pub use keys::{KEYS, Key};
pub use layers::{Settings, Source};
pub use value::{Each, Kind, Value};

/// All settings of rch-config(5), resolved for one working directory. `keys::KEYS` says what each means.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub general: General,
    pub hook: Hook,
    pub compilation: Compilation,
    pub transfer: Transfer,
    pub output: Output,
    pub environment: Environment,
    pub update: Update,
    pub worker: WorkerDefaults,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct General {
    pub enabled: bool,
    pub log_level: String,
    pub socket_path: PathBuf,
    pub force_local: bool,
    pub force_remote: bool,
    pub preferred_workers: Vec<String>,
    /// 0: half the cores.
    pub local_slots: u32,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Hook {
    /// `rewrite` or `inline`.
    pub mode: String,
    /// `respect` or `allow`.
    pub permissions: String,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Compilation {
    pub confidence_threshold: f64,
    pub min_local_time_ms: u64,
    pub remote_speedup_threshold: f64,
    pub build_slots: u32,
    pub test_slots: u32,
    pub check_slots: u32,
    pub queue_timeout_ms: u64,
    /// 0: none.
    pub build_timeout_secs: u64,
    pub test_timeout_secs: u64,
    pub local_kinds: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Transfer {
    pub compression_level: i32,
    pub exclude_patterns: Vec<String>,
    pub include_patterns: Vec<String>,
    /// `final` or `full`.
    pub artifacts: String,
    /// `repo` or `cwd`.
    pub root: String,
    pub max_transfer_mb: u64,
    pub ssh_server_alive_interval_secs: u64,
    pub ssh_control_persist_secs: u64,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Output {
    /// `realtime`, `buffered` or `summary`.
    pub stream_mode: String,
    pub preserve_colors: bool,
    pub max_latency_ms: u64,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Environment {
    pub allowlist: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Update {
    pub channel: String,
    pub require_signature: bool,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct WorkerDefaults {
    pub retention: Retention,
    pub max_age_hours: u64,
    pub min_free_gb: u64,
}

/// What becomes of a lane after a job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Retention {
    /// It is kept, and the next job there goes on from it.
    #[default]
    Lane,
    /// Its sources are wiped.
    Ephemeral,
}

/// How a worker is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    Ssh,
    Local,
    /// An argv prefix that gives a shell on a node.
    Command(Vec<String>),
}

/// One `[[workers]]` of workers.toml.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worker {
    pub id: WorkerId,
    pub transport: Transport,
    pub host: String,
    /// Empty: ssh decides.
    pub user: String,
    /// 0: ssh decides.
    pub port: u16,
    pub identity_file: Option<PathBuf>,
    /// 0: as many as the worker has CPUs.
    pub total_slots: u32,
    /// 100 is neutral.
    pub priority: u32,
    pub tags: Vec<String>,
    pub ssh_options: Vec<String>,
    pub enabled: bool,
}

impl Worker {
    /// Whether a connection made for one serves the other.
    pub fn same_place(&self, other: &Worker) -> bool {
        let place = |w: &Worker| {
            let ssh = (w.host.clone(), w.user.clone(), w.port);
            let how = (w.identity_file.clone(), w.ssh_options.clone());
            (w.transport.clone(), ssh, how)
        };
        place(self) == place(other)
    }
}

impl Default for Config {
    /// What the table's defaults say.
    fn default() -> Config {
        let mut config = Config::blank();
        for key in KEYS {
            (key.put)(&mut config, &key.kind.default());
        }
        config
    }
}

/// Something wrong in a configuration file: `path:line:column: text`, perhaps with a second line
/// `hint: remedy`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    pub text: String,
    /// Whether nothing travels because of it that was meant to stay: all that stands beside a name
    /// which nobody knows is as it was meant.
    pub harmless: bool,
}

impl Complaint {
    pub fn new(text: impl Into<String>) -> Complaint {
        Complaint {
            text: text.into(),
            harmless: false,
        }
    }

    pub fn harmless(text: impl Into<String>) -> Complaint {
        Complaint {
            text: text.into(),
            harmless: true,
        }
    }

    /// Line and column, if it begins with `path:line:column:`.
    pub fn place(&self) -> Option<(usize, usize)> {
        let (place, _) = self.text.split_once(": ")?;
        let mut numbers = place.rsplit(':');
        let column = numbers.next()?.parse().ok()?;
        Some((numbers.next()?.parse().ok()?, column))
    }

    /// The sentence without the place it is about.
    pub fn bare(&self) -> &str {
        let (text, _) = self.parts();
        match (self.place(), text.split_once(": ")) {
            (Some(_), Some((_, rest))) => rest,
            _ => text,
        }
    }

    /// The sentence and the remedy.
    pub fn parts(&self) -> (&str, Option<&str>) {
        match self.text.split_once("\nhint: ") {
            Some((text, hint)) => (text, Some(hint)),
            None => (&self.text, None),
        }
    }
}

impl Config {
    /// The settings in force in `cwd`, and what was wrong on the way; a broken file counts as absent.
    /// `env` answers an environment variable (the daemon asks for a client's, not its own).
    pub fn load(cwd: &Path, env: impl Fn(&str) -> Option<String>) -> (Config, Vec<Complaint>) {
        let settings = layers::settings(&layers::user_file(), cwd, env);
        (settings.config(), settings.complaints)
    }

    /// No setting at all; only for a loop over the table to fill.
    fn blank() -> Config {
        Config {
            general: General::default(),
            hook: Hook::default(),
            compilation: Compilation::default(),
            transfer: Transfer::default(),
            output: Output::default(),
            environment: Environment::default(),
            update: Update::default(),
            worker: WorkerDefaults::default(),
        }
    }
}

/// The fleet of workers.toml; without a worker in it, this machine through the `local` transport.
///
/// # Errors
/// Every complaint about the file; then nothing of it is used.
pub fn workers() -> Result<Vec<Worker>, Vec<Complaint>> {
    let fleet = workers::read(&workers::file());
    if fleet.errors.is_empty() {
        Ok(fleet.workers)
    } else {
        Err(fleet.errors)
    }
}
