//! What stands in `data` of the envelope, by command: the manual's table, which the tests compare with
//! the page and with what the commands print.
//!
//! Within one `api_version` a row is added, never taken out.

/// The `data` of some commands.
#[derive(Debug)]
pub struct Shape {
    pub commands: &'static [&'static str],
    /// Its outermost form, without a full stop.
    pub form: &'static str,
    /// Each field by its path from there, `[]` for every element of an array, with what it means.
    pub fields: &'static [(&'static str, &'static str)],
}

const fn shape(
    commands: &'static [&'static str],
    form: &'static str,
    fields: &'static [(&'static str, &'static str)],
) -> Shape {
    Shape {
        commands,
        form,
        fields,
    }
}

const WALK: &[(&str, &str)] = &[
    ("goes", "Whether it would be sent away"),
    ("tiers[].tier", "0 to 4"),
    ("tiers[].name", "What the tier looks at"),
    ("tiers[].us", "Microseconds it took"),
    ("tiers[].said", "What it found"),
    ("words[].at", "Where a command begins, in bytes"),
    ("words[].goes", "Whether that one goes"),
    ("words[].said", "Why, or why not"),
    (
        "rewritten",
        "The text that takes its place; null if none does",
    ),
    ("command", "The text that was judged"),
];

pub static SHAPES: &[Shape] = &[
    shape(
        &["status"],
        "An object; with --watch one document follows another",
        &[
            ("daemon", "As in daemon status"),
            ("workers[]", "As in workers list"),
            (
                "jobs[].id",
                "A number; logs and cancel take it with a j before it or without",
            ),
            ("jobs[].state", "One of the states below"),
            ("jobs[].command", "As it would be typed"),
            ("jobs[].cwd", "Its directory"),
            (
                "jobs[].agent",
                "Session id, or program and pid, of who asked",
            ),
            ("jobs[].kind", "build, check, test, run or doc"),
            ("jobs[].worker", "Empty until one is chosen"),
            ("jobs[].lane", "The number of the tree it has there"),
            ("jobs[].slots", "How many it holds"),
            ("jobs[].wish", "How many it would have liked"),
            ("jobs[].status", "As a shell tells it; null before its end"),
            ("jobs[].signal", "What ended it; null if that was no signal"),
            ("jobs[].reason", "Why it waits, or why it ran here"),
            ("jobs[].started", "When it came"),
            ("jobs[].elapsed_ms", "From then to its end, or until now"),
            ("jobs[].sync_ms", "From then until the command began there"),
            ("jobs[].remote_ms", "What the command itself took there"),
            ("jobs[].sent_bytes", "What went there, as it travelled"),
            ("jobs[].sent_files", "How many files that was"),
            ("jobs[].returned_bytes", "What came home, as it travelled"),
            ("jobs[].returned_files", "How many files that was"),
            ("jobs[].subscribers", "How many clients share it"),
            ("jobs[].candidates[].id", "A worker that it was chosen from"),
            (
                "jobs[].candidates[].refusal",
                "Why it cannot go there; empty if it can",
            ),
            ("jobs[].candidates[].score", "The greatest is chosen"),
            ("jobs[].candidates[].speed", "0 to 100"),
            ("jobs[].candidates[].free", "Free slots"),
            ("jobs[].candidates[].total", "All slots"),
            ("jobs[].candidates[].priority", "Percent"),
            (
                "jobs[].candidates[].warm",
                "An idle tree of the project is there",
            ),
            (
                "jobs[].candidates[].preferred",
                "preferred_workers names it",
            ),
            ("totals.remote", "Jobs that ended on a worker"),
            ("totals.local", "Jobs that ran here"),
            ("totals.deduplicated", "Clients that shared another's job"),
            ("totals.cancelled", "Jobs that were cancelled"),
            (
                "totals.local_reasons[][]",
                "A reason to run here, and how often",
            ),
            ("totals.sent_bytes", "What went to workers"),
            ("totals.returned_bytes", "What came home"),
            (
                "totals.saved_ms",
                "Time saved where a command was measured here and there",
            ),
        ],
    ),
    shape(
        &["daemon status"],
        "An object",
        &[
            ("pid", "Of rchd"),
            ("version", "Of rchd"),
            ("socket", "Where it listens"),
            ("uptime_ms", "Since it started"),
            ("clients", "Connections besides the one that asks"),
            ("rss_kib", "Memory in use, in KiB"),
        ],
    ),
    shape(
        &["daemon start", "daemon restart"],
        "An object",
        &[
            ("started", "False if it was running already"),
            ("daemon", "As in daemon status"),
        ],
    ),
    shape(
        &["daemon stop"],
        "An object",
        &[("stopped", "False if none was running")],
    ),
    shape(&["daemon reload"], "An object", &[("reloaded", "True")]),
    shape(
        &["daemon logs"],
        "An object",
        &[("file", "The log"), ("lines[]", "Its last lines")],
    ),
    shape(
        &["workers list"],
        "An array; without a daemon only id, enabled and address are known",
        &[
            ("[].id", "Its name"),
            ("[].transport", "ssh, local or command"),
            ("[].address", "USER@HOST:PORT; empty where there is none"),
            ("[].enabled", "As workers.toml says; only without a daemon"),
            ("[].state", "One of the states below"),
            ("[].reason", "Why it is not up"),
            (
                "[].retry_ms",
                "When it is tried again; null if it is not down",
            ),
            ("[].slots_total", "How many it has"),
            ("[].slots_used", "How many are taken"),
            ("[].sessions", "Connections of rch-wkr that stand"),
            ("[].lanes", "Trees of projects that it holds"),
            ("[].latency_ms", "One round trip; 0 before it is measured"),
            (
                "[].speed",
                "0 to 100; of one that was not measured, that of the best",
            ),
            ("[].priority", "Percent"),
            ("[].tags[]", "Words for RCH_WORKERS"),
            ("[].jobs_done", "Since the daemon started"),
            ("[].failures", "Times it could not do its part"),
        ],
    ),
    shape(
        &["workers probe"],
        "An array",
        &[
            ("[].id", "Of the worker"),
            ("[].ok", "Whether it can be used"),
            ("[].error", "Why not"),
            ("[].hint", "What to do about it"),
            ("[].latency_ms", "One round trip"),
            ("[].slots", "How many it offers"),
            ("[].cpus", "How many it has"),
            ("[].version", "Of its rch-wkr"),
            (
                "[].tools[]",
                "A tool's name and version (rust 1.95.0), or its name and the first line of what it says of itself",
            ),
            (
                "[].paths_identical",
                "Whether jobs see the project at its own path",
            ),
            ("[].no_namespace", "Why they do not"),
            ("[].rsync", "Its version; empty if there is none"),
            ("[].free_mib", "Free on the disk of its trees, in MiB"),
            ("[].clock_offset_ms", "Its clock minus this one"),
        ],
    ),
    shape(
        &["workers benchmark"],
        "An array",
        &[
            ("[].id", "Of the worker"),
            ("[].ok", "Whether it was measured"),
            ("[].error", "Why not"),
            ("[].speed", "0 to 100; 50 is as fast as here"),
            ("[].local_ms", "What the measurement took here"),
            ("[].remote_ms", "And there"),
        ],
    ),
    shape(
        &["workers drain", "workers enable"],
        "An object",
        &[("id", "Of the worker"), ("drained", "Whether it now is")],
    ),
    shape(
        &["workers add", "workers remove"],
        "An object",
        &[
            ("id", "Of the worker"),
            ("file", "The file that was changed"),
        ],
    ),
    shape(
        &["logs"],
        "An object",
        &[
            ("job", "Its number"),
            ("stdout", "What it printed"),
            ("stderr", "And to standard error"),
            ("notes[]", "What rch said to its client"),
            ("status", "As a shell tells it; null if it has none"),
        ],
    ),
    shape(&["cancel"], "An object", &[("job", "Its number")]),
    shape(
        &["config show"],
        "An object for each section, in it each setting by name: its value, or with --sources",
        &[
            ("*.*.value", "Its value"),
            ("*.*.source", "default, environment NAME, or PATH:LINE"),
        ],
    ),
    shape(
        &["config init"],
        "An object",
        &[("file", "The file that was written")],
    ),
    shape(
        &["config validate"],
        "An object",
        &[
            ("files[]", "Those that were read"),
            ("faults[].message", "What is wrong, behind its place"),
            (
                "faults[].hint",
                "What to do about it; null if that is plain",
            ),
        ],
    ),
    shape(
        &["config get", "config set", "config unset"],
        "An object",
        &[
            ("key", "SECTION.NAME"),
            ("value", "In force, or written"),
            ("source", "Where it comes from; not of set"),
            ("file", "The file that was changed; not of get"),
            ("changed", "False if it was not in the file; of unset alone"),
        ],
    ),
    shape(
        &["hook install", "hook uninstall"],
        "An object",
        &[
            ("agent", "claude, codex or gemini"),
            ("file", "Its settings"),
            ("changed", "False if nothing had to be"),
            ("notes[]", "What to know besides; of install alone"),
            ("links.dir", "With --masquerade, the folder of links"),
            ("links.count", "How many there are"),
        ],
    ),
    shape(
        &["hook status"],
        "An array",
        &[
            ("[].agent", "claude, codex or gemini"),
            (
                "[].state",
                "installed, masquerade, not installed, no settings file or unreadable",
            ),
            ("[].file", "Its settings"),
            ("[].fault", "Why they cannot be read; null if they can"),
        ],
    ),
    shape(
        &["hook test"],
        "An object",
        &[
            (
                "command",
                "The text in the document; absent if that is no shell tool's",
            ),
            ("walk", "As in classify"),
            ("answer", "What the agent would get; null for nothing"),
            ("silent", "Why it would get nothing; absent if it would not"),
        ],
    ),
    shape(
        &[
            "masquerade install",
            "masquerade uninstall",
            "masquerade status",
        ],
        "An object",
        &[
            ("dir", "The folder"),
            ("count", "Links that are there, or were made or removed"),
            ("of", "How many there may be"),
            ("first_in_path", "Whether the folder comes first"),
        ],
    ),
    shape(&["classify"], "An object", WALK),
    shape(
        &["doctor"],
        "An array, in the order of the way",
        &[
            ("[].step", "What was looked at"),
            ("[].verdict", "ok, note or wrong"),
            ("[].text", "What was found"),
            ("[].hint", "What to do about it"),
        ],
    ),
    shape(
        &["completions"],
        "An object",
        &[("shell", "As asked for"), ("script", "For it to read")],
    ),
];
