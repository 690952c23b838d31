//! What the daemon tells people: plain structs, the same in memory, on the wire and in `--json`.
//!
//! Times are milliseconds, sizes bytes, stamps nanoseconds since 1970 UTC. Fields are added, never
//! renamed or removed, within one `api_version`.

use serde::{Deserialize, Serialize};

/// Where a job is in its life, as far as a waiting person cares.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "phase")]
pub enum Phase {
    Scanning,
    Queued {
        place: u32,
        reason: String,
    },
    Syncing {
        worker: String,
        done: u64,
        total: u64,
    },
    Running {
        worker: String,
    },
    Returning {
        worker: String,
        files: u32,
        done: u64,
        total: u64,
    },
    /// The job has run to its end on a worker: what it was and moved.
    Over(Box<Job>),
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub daemon: Daemon,
    pub workers: Vec<Worker>,
    /// Active and queued first, then recent ones, newest first.
    pub jobs: Vec<Job>,
    pub totals: Totals,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Daemon {
    pub pid: i32,
    pub version: String,
    pub socket: String,
    pub uptime_ms: u64,
    pub clients: u32,
    pub rss_kib: u64,
}

/// Every `Worker::state`, with what it means.
pub const WORKER_STATES: &[(&str, &str)] = &[
    ("unknown", "It has not been connected to yet"),
    ("up", "Jobs go there"),
    (
        "trial",
        "It has failed before and gets one job at a time, until two have succeeded",
    ),
    (
        "down",
        "It cannot be reached, or has failed too often; it is tried again after a pause that grows",
    ),
    ("drained", "It was kept from new jobs by rch workers drain"),
    ("disabled", "workers.toml says enabled = false"),
];

/// Every `Job::state`, with what it means.
pub const JOB_STATES: &[(&str, &str)] = &[
    ("scanning", "Its project, files and compiler are looked for"),
    ("queued", "It waits for free slots"),
    (
        "connecting",
        "It has slots, and waits for a session with the worker",
    ),
    ("syncing", "Its files are on the way"),
    ("running", "The command runs on the worker"),
    ("returning", "The command has ended; its products come home"),
    (
        "cancelling",
        "Nobody wants it any more, and the worker is being told",
    ),
    (
        "done",
        "It ran on a worker to its end, good or bad: status tells which, and signal what stopped it",
    ),
    (
        "local",
        "It ran here, or its client was told to run it; reason tells why",
    ),
    ("cancelled", "It was cancelled before its end"),
];

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Worker {
    pub id: String,
    /// `ssh`, `local`, `command`.
    pub transport: String,
    /// `user@host:port` for people; empty for local.
    pub address: String,
    /// One of `WORKER_STATES`.
    pub state: String,
    /// Why it is not up; empty if it is.
    pub reason: String,
    /// If it is down: when it will be tried again, from now.
    #[serde(default)]
    pub retry_ms: Option<u64>,
    pub slots_total: u32,
    pub slots_used: u32,
    pub sessions: u32,
    /// Trees of this workstation's projects that it is believed to hold.
    #[serde(default)]
    pub lanes: u32,
    /// One round trip on a session that stands; 0 before it is measured.
    pub latency_ms: f64,
    /// 0 to 100.
    pub speed: f64,
    pub priority: u32,
    pub tags: Vec<String>,
    pub jobs_done: u64,
    pub failures: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Job {
    pub id: u64,
    /// One of `JOB_STATES`.
    pub state: String,
    pub command: String,
    pub cwd: String,
    /// Session id or program and pid of the agent that asked.
    pub agent: String,
    pub kind: String,
    /// Empty until one is chosen.
    pub worker: String,
    pub lane: u32,
    pub slots: u32,
    /// As a shell reports it; absent while unfinished.
    pub status: Option<i32>,
    /// The signal that ended it, from its client or not; absent if it ended by itself.
    #[serde(default)]
    pub signal: Option<u8>,
    pub reason: String,
    /// Nanoseconds since 1970.
    pub started: i64,
    /// From the request to the end, or until now. Of a job in state `local`: until it was sent home.
    pub elapsed_ms: u64,
    /// From the request until the command began on the worker.
    #[serde(default)]
    pub sync_ms: u64,
    /// Time the command itself took on the worker.
    pub remote_ms: u64,
    pub sent_bytes: u64,
    pub sent_files: u32,
    pub returned_bytes: u64,
    pub returned_files: u32,
    /// How many clients share this execution.
    pub subscribers: u32,
    /// Slots it would have liked.
    #[serde(default)]
    pub wish: u32,
    /// What the last choice of a worker was made from; empty before it, and where the answer had no
    /// room for it.
    #[serde(default)]
    pub candidates: Vec<PlanWorker>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    pub remote: u64,
    pub local: u64,
    pub deduplicated: u64,
    pub cancelled: u64,
    /// Why jobs ran locally, and how often, most frequent first.
    pub local_reasons: Vec<(String, u64)>,
    pub sent_bytes: u64,
    pub returned_bytes: u64,
    /// Measured local time of the same command minus the remote job's, summed where both are known.
    pub saved_ms: i64,
}

/// What would happen to a command, for `RCH_DRY_RUN`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub kind: String,
    /// The project and what it needs outside itself.
    pub roots: Vec<String>,
    /// The compilers that a worker must have.
    pub tools: Vec<String>,
    /// Slots it would like.
    pub wish: u32,
    pub workers: Vec<PlanWorker>,
    /// Names that it asks for and no worker has; empty if there are none.
    #[serde(default)]
    pub amiss: String,
    /// What was measured, if that keeps it here.
    pub stays: String,
    /// The worker it would go to; empty: none can take it now.
    pub chosen: String,
    /// Some could take it if they were not busy.
    pub busy: bool,
    /// No lane there holds the project yet.
    pub whole: bool,
    pub files: u32,
    /// Content of those files.
    pub bytes: u64,
    pub deletes: u32,
    /// The first of those files.
    pub names: Vec<String>,
}

/// A worker as the choice sees it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PlanWorker {
    pub id: String,
    /// Why the command cannot go there; empty if it can.
    pub refusal: String,
    pub score: f64,
    pub speed: f64,
    pub free: u32,
    pub total: u32,
    pub priority: u32,
    /// An idle lane there holds the project.
    pub warm: bool,
    pub preferred: bool,
}

/// One worker's answer to `rch workers probe`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    pub id: String,
    pub ok: bool,
    /// Why not; empty if ok.
    pub error: String,
    /// The remedy; with `ok`, how to give the worker an `rch-wkr` of our version.
    pub hint: String,
    pub latency_ms: f64,
    pub slots: u32,
    pub cpus: u32,
    pub version: String,
    /// A line for each: `rust 1.95.0`, `gcc (Debian 12.2.0-14) 12.2.0 x86_64-linux-gnu`, …
    pub tools: Vec<String>,
    pub paths_identical: bool,
    /// Why paths are not identical.
    pub no_namespace: String,
    pub rsync: String,
    pub free_mib: u64,
    /// The worker's clock minus ours.
    pub clock_offset_ms: f64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Benchmark {
    pub id: String,
    pub ok: bool,
    pub error: String,
    /// 0 to 100.
    pub speed: f64,
    pub local_ms: f64,
    pub remote_ms: f64,
}
