//! The table of every environment variable rch reads, for the loader, the manual and the tests.
//!
//! Those with a key stand above every file; the others steer one call, or belong to conventions
//! older than rch.

use super::value::quoted;

/// One row.
#[derive(Debug, Clone, Copy)]
pub struct Var {
    pub name: &'static str,
    /// The key it overrides (`section.name`); empty if it has none.
    pub key: &'static str,
    /// What it may be, where that is a short list and no key tells it.
    pub words: &'static [&'static str],
    /// One sentence without its full stop.
    pub doc: &'static str,
}

impl Var {
    /// The variable that overrides a key.
    pub fn of(key: &str) -> Option<&'static Var> {
        VARS.iter().find(|v| v.key == key)
    }

    /// What is wrong with a value of a variable that has no key.
    pub fn fault(&self, value: &str) -> Option<String> {
        let known = |w: &&str| w.eq_ignore_ascii_case(value);
        let free = self.words.is_empty() || value.is_empty();
        (!free && !self.words.iter().any(known)).then(|| {
            format!(
                "bad value for '{}': expected {}, found '{value}'",
                self.name,
                quoted(self.words, " or ")
            )
        })
    }
}

const fn over(name: &'static str, key: &'static str, doc: &'static str) -> Var {
    let words = &[];
    Var {
        name,
        key,
        words,
        doc,
    }
}

const fn var(name: &'static str, doc: &'static str) -> Var {
    word(name, &[], doc)
}

const fn word(name: &'static str, words: &'static [&'static str], doc: &'static str) -> Var {
    let key = "";
    Var {
        name,
        key,
        words,
        doc,
    }
}

pub const VARS: &[Var] = &[
    over(
        "RCH_ENABLED",
        "general.enabled",
        "Whether any command is sent away",
    ),
    over(
        "RCH_LOCAL_ONLY",
        "general.force_local",
        "Run everything on this machine",
    ),
    over(
        "RCH_LOG_LEVEL",
        "general.log_level",
        "How much the daemon logs",
    ),
    over(
        "RCH_COMPRESSION",
        "transfer.compression_level",
        "The zstd level for what travels",
    ),
    over(
        "RCH_SSH_SERVER_ALIVE_INTERVAL_SECS",
        "transfer.ssh_server_alive_interval_secs",
        "How often an ssh connection is checked for life",
    ),
    over(
        "RCH_SSH_CONTROL_PERSIST_SECS",
        "transfer.ssh_control_persist_secs",
        "How long an idle connection is kept",
    ),
    over(
        "RCH_STREAM_MODE",
        "output.stream_mode",
        "How output is passed on",
    ),
    over(
        "RCH_ENV_ALLOWLIST",
        "environment.allowlist",
        "Further variables that travel with a job, by name, separated by commas",
    ),
    var(
        "RCH_BYPASS",
        "If set and not 0, rch leaves at its first instruction, or runs the command here",
    ),
    var(
        "RCH_DRY_RUN",
        "If set and not 0, say on stderr what would be done, and run the command here",
    ),
    var(
        "RCH_REQUIRE_REMOTE",
        "If set and not 0, never run a command here; exit 122 instead",
    ),
    var(
        "RCH_WORKER",
        "Send the command to this worker, or run it here if it cannot take it",
    ),
    var(
        "RCH_WORKERS",
        "Choose among these workers only, by id, separated by commas",
    ),
    word(
        "RCH_PRIORITY",
        &["high", "normal", "low"],
        "A command's place in the queue: high, normal or low",
    ),
    var(
        "RCH_VERBOSE",
        "If set and not 0, say on stderr what is being done, as --verbose does",
    ),
    word(
        "RCH_OUTPUT_FORMAT",
        &["json", "toon"],
        "Machine output for every command: json or toon, as --format does",
    ),
    var(
        "TOON_DEFAULT_FORMAT",
        "As RCH_OUTPUT_FORMAT, which wins, for all programs that speak TOON",
    ),
    var(
        "RCH_NO_UPDATE_CHECK",
        "If set and not 0, never look for new releases",
    ),
    var(
        "NO_COLOR",
        "If set and not empty, no colour unless --color asks for it",
    ),
    var(
        "CLICOLOR_FORCE",
        "If set and not 0, colour even where stdout is no terminal",
    ),
    var("FORCE_COLOR", "As CLICOLOR_FORCE"),
    var("TERM", "If 'dumb', no colour and no redrawing"),
    var("COLUMNS", "The width of tables, where it is set"),
    var(
        "LC_ALL",
        "With LC_CTYPE and LANG: tables are drawn in ASCII unless the locale says UTF-8",
    ),
    var("LC_CTYPE", "As LC_ALL"),
    var("LANG", "As LC_ALL"),
    var("HOME", "Where everything else is found"),
    var(
        "XDG_CONFIG_HOME",
        "In place of ~/.config, if it is an absolute path",
    ),
    var(
        "XDG_CACHE_HOME",
        "In place of ~/.cache, if it is an absolute path",
    ),
];

/// Whether a switch such as `RCH_DRY_RUN` is on: set, not empty, and not a word for no.
pub fn is_on(value: Option<&str>) -> bool {
    value.is_some_and(|v| !v.is_empty() && super::value::truth(v) != Some(false))
}
