//! Configuration: typed values with defaults, from files and the environment.

use std::path::{Path, PathBuf};

use crate::ids::WorkerId;

/// All settings of rch-config(5), resolved for one working directory.
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

#[derive(Debug, Clone, PartialEq)]
pub struct General {
    /// False if any of the files or `RCH_ENABLED` says so.
    pub enabled: bool,
    pub log_level: String,
    pub socket_path: PathBuf,
    pub force_local: bool,
    pub force_remote: bool,
    pub preferred_workers: Vec<String>,
    /// 0: half the cores.
    pub local_slots: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Hook {
    /// `rewrite` or `inline`.
    pub mode: String,
    /// `respect` or `allow`.
    pub permissions: String,
}

#[derive(Debug, Clone, PartialEq)]
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

#[derive(Debug, Clone, PartialEq)]
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

#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// `realtime`, `buffered` or `summary`.
    pub stream_mode: String,
    pub preserve_colors: bool,
    pub max_latency_ms: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Environment {
    pub allowlist: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    pub channel: String,
    pub require_signature: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct WorkerDefaults {
    /// `lane` or `ephemeral`.
    pub retention: String,
    pub max_age_hours: u64,
    pub min_free_gb: u64,
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

impl Default for Config {
    fn default() -> Config {
        Config {
            general: General {
                enabled: true,
                log_level: "info".into(),
                socket_path: crate::paths::cache_dir().join("rch.sock"),
                force_local: false,
                force_remote: false,
                preferred_workers: vec![],
                local_slots: 0,
            },
            hook: Hook {
                mode: "rewrite".into(),
                permissions: "respect".into(),
            },
            compilation: Compilation {
                confidence_threshold: 0.85,
                min_local_time_ms: 2000,
                remote_speedup_threshold: 1.2,
                build_slots: 4,
                test_slots: 8,
                check_slots: 2,
                queue_timeout_ms: 30_000,
                build_timeout_secs: 1800,
                test_timeout_secs: 3600,
                local_kinds: vec![],
            },
            transfer: Transfer {
                compression_level: 3,
                exclude_patterns: vec![],
                include_patterns: vec![],
                artifacts: "final".into(),
                root: "repo".into(),
                max_transfer_mb: 2048,
                ssh_server_alive_interval_secs: 5,
                ssh_control_persist_secs: 600,
            },
            output: Output {
                stream_mode: "realtime".into(),
                preserve_colors: true,
                max_latency_ms: 50,
            },
            environment: Environment { allowlist: vec![] },
            update: Update {
                channel: "stable".into(),
                require_signature: false,
            },
            worker: WorkerDefaults {
                retention: "lane".into(),
                max_age_hours: 72,
                min_free_gb: 10,
            },
        }
    }
}

/// Something wrong in a configuration file: `path:line:column: text`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint(pub String);

impl Config {
    /// The settings in force in `cwd`, and what was wrong on the way; a broken file counts as absent.
    /// `env` answers an environment variable (the daemon asks for a client's, not its own).
    pub fn load(cwd: &Path, env: impl Fn(&str) -> Option<String>) -> (Config, Vec<Complaint>) {
        let _ = (cwd, env("RCH_ENABLED"));
        (Config::default(), vec![])
    }
}

/// The fleet of workers.toml; without the file, this machine through the `local` transport.
///
/// # Errors
/// Every complaint about the file; then nothing of it is used.
pub fn workers() -> Result<Vec<Worker>, Vec<Complaint>> {
    Ok(vec![Worker {
        id: WorkerId::new("local"),
        transport: Transport::Local,
        host: String::new(),
        user: String::new(),
        port: 0,
        identity_file: None,
        total_slots: 0,
        priority: 100,
        tags: vec![],
        ssh_options: vec![],
        enabled: true,
    }])
}
