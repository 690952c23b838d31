//! The table of every setting: the parser, `rch config`, the manual and the tests all read it.
//!
//! A row names the key, its type with default and range, where it may stand, and a line for
//! people; the two functions that move it in and out of `Config` are made by the macro, so a
//! row and a field cannot drift apart without a compile error.

use std::path::PathBuf;

use super::{Config, Each, Kind, Retention, Value};

/// One row.
#[derive(Clone, Copy)]
pub struct Key {
    pub section: &'static str,
    pub name: &'static str,
    pub kind: Kind,
    pub scope: Scope,
    /// One sentence without its full stop.
    pub doc: &'static str,
    pub(super) put: fn(&mut Config, &Value),
}

/// Which files may hold a key. A project's file comes with the code, perhaps a stranger's: it must
/// not be able to loosen what the user decided about this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    Anywhere,
    UserOnly,
}

impl Key {
    /// `section.name`, as `rch config get` takes it.
    pub fn path(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }

    pub fn find(path: &str) -> Option<&'static Key> {
        let (section, name) = path.split_once('.')?;
        KEYS.iter().find(|k| k.section == section && k.name == name)
    }

    pub fn is(&self, path: &str) -> bool {
        path.split_once('.') == Some((self.section, self.name))
    }
}

/// Takes a checked value into a field of `Config`. The checks in `Kind` come first, so a number
/// always fits; what cannot happen clamps rather than panics, because the hook runs this.
trait Field {
    fn take(value: &Value) -> Self;
}

impl Field for bool {
    fn take(value: &Value) -> bool {
        matches!(value, Value::Bool(true))
    }
}

impl Field for i64 {
    fn take(value: &Value) -> i64 {
        match value {
            Value::Int(i) => *i,
            _ => 0,
        }
    }
}

impl Field for u64 {
    fn take(value: &Value) -> u64 {
        u64::try_from(i64::take(value)).unwrap_or(0)
    }
}

impl Field for u32 {
    fn take(value: &Value) -> u32 {
        u32::try_from(i64::take(value)).unwrap_or(u32::MAX)
    }
}

impl Field for i32 {
    fn take(value: &Value) -> i32 {
        i32::try_from(i64::take(value)).unwrap_or(0)
    }
}

impl Field for f64 {
    fn take(value: &Value) -> f64 {
        match value {
            Value::Float(f) => *f,
            _ => 0.0,
        }
    }
}

impl Field for String {
    fn take(value: &Value) -> String {
        match value {
            Value::Text(t) => t.clone(),
            _ => String::new(),
        }
    }
}

impl Field for Retention {
    fn take(value: &Value) -> Retention {
        match value {
            Value::Text(t) if t == "ephemeral" => Retention::Ephemeral,
            _ => Retention::Lane,
        }
    }
}

impl Field for PathBuf {
    /// The default socket lies in the cache directory, wherever that is.
    fn take(value: &Value) -> PathBuf {
        let text = String::take(value);
        match text.strip_prefix("~/.cache/rch/") {
            Some(rest) => crate::paths::cache_dir().join(rest),
            None => crate::paths::expand(&text),
        }
    }
}

impl Field for Vec<String> {
    fn take(value: &Value) -> Vec<String> {
        match value {
            Value::List(l) => l.clone(),
            _ => vec![],
        }
    }
}

macro_rules! keys {
    ($($section:ident . $name:ident: $kind:expr, $scope:ident, $doc:literal;)*) => {
        /// Every setting, in the order of the manual.
        pub static KEYS: &[Key] = &[$(Key {
            section: stringify!($section),
            name: stringify!($name),
            kind: $kind,
            scope: Scope::$scope,
            doc: $doc,
            put: |config, value| config.$section.$name = Field::take(value),
        }),*];
    };
}

const fn int(default: i64, min: i64, max: i64) -> Kind {
    Kind::Int { default, min, max }
}

const fn word(default: &'static str, allowed: &'static [&'static str]) -> Kind {
    Kind::Word { default, allowed }
}

const LIST: Kind = Kind::List {
    each: Each::Any,
    adds: false,
};

const fn globs(adds: bool) -> Kind {
    let each = Each::Glob;
    Kind::List { each, adds }
}

/// A day, for timeouts that people may set as long as they like.
const DAY: i64 = 86_400;

keys! {
    general.enabled: Kind::Bool(true), Anywhere,
        "Whether any command is sent away; a bare 'enabled = false' at the top of a project's file means the same";
    general.log_level: word("info", &["error", "warn", "info", "debug"]), UserOnly,
        "How much the daemon writes to its log";
    general.socket_path: Kind::Path("~/.cache/rch/rch.sock"), UserOnly,
        "Where the daemon listens";
    general.force_local: Kind::Bool(false), Anywhere,
        "Run every command on this machine";
    general.force_remote: Kind::Bool(false), Anywhere,
        "Send commands away even where measurements say it is not worth it";
    general.preferred_workers: LIST, Anywhere,
        "Workers to try first, by id, in this order";
    general.local_slots: int(0, 0, 4096), UserOnly,
        "How many fallbacks may run on this machine at once; 0 is half its CPUs";

    hook.mode: word("rewrite", &["rewrite", "inline"]), UserOnly,
        "Rewrite the agent's command text, or run the job inside the hook for clients that cannot be rewritten";
    hook.permissions: word("respect", &["respect", "allow"]), UserOnly,
        "Apply the user's own permission rules to the original command, or allow every rewrite";

    compilation.confidence_threshold: Kind::Float { default: 0.85, min: 0.0, max: 1.0 }, Anywhere,
        "How sure the classifier must be before a command is sent away";
    compilation.min_local_time_ms: int(2000, 0, DAY * 1000), Anywhere,
        "Commands measured to be shorter than this here stay here";
    compilation.remote_speedup_threshold: Kind::Float { default: 1.2, min: 0.0, max: 1000.0 }, Anywhere,
        "How many times faster a worker must have been for a command to go there";
    compilation.build_slots: int(4, 1, 4096), Anywhere,
        "Slots a build takes";
    compilation.test_slots: int(8, 1, 4096), Anywhere,
        "Slots a test run takes";
    compilation.check_slots: int(2, 1, 4096), Anywhere,
        "Slots a check takes";
    compilation.queue_timeout_ms: int(30_000, 0, DAY * 1000), Anywhere,
        "How long a command waits for a free worker before it runs here";
    compilation.build_timeout_secs: int(1800, 0, 7 * DAY), Anywhere,
        "When a build is ended; 0 is never";
    compilation.test_timeout_secs: int(3600, 0, 7 * DAY), Anywhere,
        "When a test run is ended; 0 is never";
    compilation.local_kinds: Kind::List { each: Each::OneOf(&["build", "check", "test", "run", "doc"]), adds: false }, Anywhere,
        "Kinds of commands that stay, for a project whose tests need this machine, say";

    transfer.compression_level: int(3, 1, 19), Anywhere,
        "The zstd level for what travels";
    transfer.exclude_patterns: globs(true), Anywhere,
        "Files that do not travel, besides the built-in list; a project's patterns add to the user's";
    transfer.include_patterns: globs(false), Anywhere,
        "Files that travel although an exclude pattern names them";
    transfer.artifacts: word("final", &["final", "full"]), Anywhere,
        "What a build brings back: its products, or the whole target directory";
    transfer.root: word("repo", &["repo", "cwd"]), Anywhere,
        "What counts as the project: the enclosing repository, or the working directory alone";
    transfer.max_transfer_mb: int(2048, 1, 1 << 20), Anywhere,
        "The largest project, in MB, that is sent away";
    transfer.ssh_server_alive_interval_secs: int(5, 1, 3600), UserOnly,
        "How often an ssh connection is checked for life";
    transfer.ssh_control_persist_secs: int(600, 0, 7 * DAY), UserOnly,
        "How long an idle connection is kept, besides the one that each worker always has; 0 is for ever";

    output.stream_mode: word("realtime", &["realtime", "buffered", "summary"]), Anywhere,
        "Pass output on as it comes, all at the end, or only its end";
    output.preserve_colors: Kind::Bool(true), Anywhere,
        "Keep the colours of compilers on a terminal";
    output.max_latency_ms: int(50, 0, 10_000), Anywhere,
        "How long output may be held back to be sent in larger pieces";

    environment.allowlist: LIST, Anywhere,
        "Further environment variables that travel with a job, by name";

    update.channel: word("stable", &["stable", "beta", "nightly"]), UserOnly,
        "Which releases 'rch update' looks at";
    update.require_signature: Kind::Bool(false), UserOnly,
        "Refuse a release without a valid signature";

    worker.retention: word("lane", &["lane", "ephemeral"]), Anywhere,
        "Keep a project's tree on a worker between jobs, or wipe its sources after each";
    worker.max_age_hours: int(72, 1, 24 * 3650), UserOnly,
        "When an unused tree on a worker is removed";
    worker.min_free_gb: int(10, 0, 1 << 20), UserOnly,
        "How much disk a worker must keep free; older trees go first";
}

/// The sections, in order, each with a line for people.
pub const SECTIONS: &[(&str, &str)] = &[
    ("general", "rch as a whole"),
    ("hook", "The agent's hook"),
    (
        "compilation",
        "Which commands go, and how much of a worker they take",
    ),
    ("transfer", "Files there and back"),
    ("output", "What a job prints"),
    ("environment", "What a job's environment holds"),
    ("update", "New releases of rch"),
    ("worker", "What a worker keeps"),
];
