//! Every command and flag, in one table: the parser, `--help`, completions, the manual and the
//! tests read it.
//!
//! A row with `Run::Own` is parsed by its flags. A row with `Run::Raw` gets what follows our own flags as
//! it came, because it stands for another program (`exec`) or is called by one.

use std::ffi::OsString;

use super::parse::{Call, Given};
use super::{Outcome, complete, config, daemon, doctor, exec, hooks, jobs, probe, status, workers};

/// One flag.
#[derive(Debug, Clone, Copy)]
pub struct Flag {
    pub long: &'static str,
    pub short: Option<char>,
    /// What its value is called; `None` for a switch.
    pub value: Option<&'static str>,
    /// What its value may be; empty if that is not a short list.
    pub choices: &'static [&'static str],
    pub help: &'static str,
}

/// What stands behind the command's words.
#[derive(Debug, Clone, Copy)]
pub struct Operands {
    /// As help shows it.
    pub shown: &'static str,
    pub min: usize,
    pub max: usize,
    pub what: What,
}

/// What a shell can offer in an operand's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Nothing,
    Worker,
    Job,
    Folder,
    Key,
    Command,
    Shell,
}

/// Our own flags, the other program's words; answers the exit status.
pub type RawRun = fn(&Given, &[OsString]) -> i32;

#[derive(Clone, Copy)]
pub enum Run {
    Own(fn(&Call) -> Outcome),
    Raw(RawRun),
}

/// One command.
pub struct Command {
    /// `["workers", "probe"]`.
    pub words: &'static [&'static str],
    pub operands: Operands,
    /// One line without its full stop.
    pub about: &'static str,
    /// A paragraph or two more, for `--help`; may be empty.
    pub more: &'static str,
    pub flags: &'static [Flag],
    /// Command lines, each with what it does.
    pub examples: &'static [(&'static str, &'static str)],
    pub run: Run,
}

impl Command {
    pub fn name(&self) -> String {
        self.words.join(" ")
    }

    /// Programs call the others.
    pub fn is_for_people(&self) -> bool {
        !self.examples.is_empty()
    }
}

const fn switch(long: &'static str, help: &'static str) -> Flag {
    Flag {
        long,
        short: None,
        value: None,
        choices: &[],
        help,
    }
}

const fn valued(long: &'static str, value: &'static str, help: &'static str) -> Flag {
    Flag {
        long,
        short: None,
        value: Some(value),
        choices: &[],
        help,
    }
}

const fn operands(shown: &'static str, min: usize, max: usize, what: What) -> Operands {
    Operands {
        shown,
        min,
        max,
        what,
    }
}

const NONE: Operands = operands("", 0, 0, What::Nothing);
const JOB: Operands = operands("JOB", 1, 1, What::Job);
const FOLDER: Operands = operands("[DIR]", 0, 1, What::Folder);
const WORKER: Operands = operands("ID", 1, 1, What::Worker);
const WORKERS: Operands = operands("[ID...]", 0, usize::MAX, What::Worker);

/// Flags of every command.
pub static GLOBAL: &[Flag] = &[
    Flag {
        short: Some('v'),
        ..switch("verbose", "Say more of what is being done")
    },
    Flag {
        short: Some('q'),
        ..switch("quiet", "Say nothing but errors")
    },
    switch("json", "Machine output; short for --format json"),
    Flag {
        choices: &["json", "toon"],
        ..valued("format", "FORMAT", "Machine output, in JSON or TOON")
    },
    Flag {
        choices: &["auto", "always", "never"],
        ..valued("color", "WHEN", "Use colour: auto, always or never")
    },
    Flag {
        short: Some('h'),
        ..switch("help", "Show help")
    },
    Flag {
        short: Some('V'),
        ..switch("version", "Show the version")
    },
];

const ALL: Flag = switch("all", "Every worker; the same as naming none");
const AGENT: Flag = Flag {
    choices: &["claude", "codex", "gemini"],
    ..valued("agent", "AGENT", "Whose settings: claude, codex or gemini")
};
const PROJECT: Flag = switch("project", "The project's settings rather than the user's");

macro_rules! commands {
    ($([$($word:literal),*] $operands:expr, $about:literal, $more:literal, [$($flag:expr),*], [$($example:expr),*], $run:expr;)*) => {
        /// Every command, in the order of help and manual.
        pub static COMMANDS: &[Command] = &[$(Command {
            words: &[$($word),*],
            operands: $operands,
            about: $about,
            more: $more,
            flags: &[$($flag),*],
            examples: &[$($example),*],
            run: $run,
        }),*];
    };
}

commands! {
    ["status"] NONE,
        "Show the daemon, the workers and the jobs",
        "Without a flag, a page with everything that matters now. Several of the first three flags show several parts. With --verbose a job also says what its worker was chosen from: the score of each and its terms, or why it was refused.",
        [switch("workers", "Only the workers, in full"), switch("jobs", "Only the jobs, in full"),
         switch("stats", "Only the totals"), switch("watch", "Show it again every second until interrupted")],
        [("rch status", "what is going on"), ("rch status --watch", "the same, live"),
         ("rch status --json", "the same, for a program")],
        Run::Own(status::main);
    ["exec"] operands("[--] COMMAND [ARG...]", 1, usize::MAX, What::Command),
        "Run a compile command on a worker, as if it ran here",
        "The hook puts this in front of an agent's compile commands. Output, exit status and files are those of a local run; whatever goes wrong on the way, the command runs here instead. On a terminal a line tells how far it is. With --verbose it is said afterwards where the command ran, how long it took and what was moved; with --quiet not even that it runs here. These flags stand before the command.",
        [],
        [("rch exec -- cargo build --release", "build on a worker"),
         ("rch -v exec -- make -j8", "and say where it ran"),
         ("RCH_DRY_RUN=1 rch exec -- cargo build", "say what would happen, and build here"),
         ("RCH_WORKER=css rch exec -- cargo test", "choose the worker")],
        Run::Raw(exec::main);
    ["logs"] JOB,
        "Show what a job printed",
        "The job's stdout and stderr, each on its own stream. Job numbers stand in 'rch status'.",
        [], [("rch logs j17", "the output of job 17")],
        Run::Own(jobs::logs);
    ["cancel"] JOB,
        "Stop a job",
        "", [], [("rch cancel j17", "stop job 17")],
        Run::Own(jobs::cancel);
    ["daemon", "start"] NONE,
        "Start the daemon; returns when it answers",
        "There is seldom a need: the first job starts it.", [], [("rch daemon start", "before the first job, say")],
        Run::Own(daemon::start);
    ["daemon", "stop"] NONE,
        "Stop the daemon; jobs in flight run locally instead",
        "", [], [("rch daemon stop", "until the next job")],
        Run::Own(daemon::stop);
    ["daemon", "restart"] NONE,
        "Stop the daemon and start it again",
        "", [], [("rch daemon restart", "after an update of rch")],
        Run::Own(daemon::restart);
    ["daemon", "status"] NONE,
        "Show whether the daemon runs",
        "Exits 1 if it does not.", [], [("rch daemon status --quiet || echo down", "for a script")],
        Run::Own(daemon::status);
    ["daemon", "reload"] NONE,
        "Have the daemon read its configuration again",
        "A file with mistakes changes nothing: the first of them is shown, and the status is 123.", [], [("rch daemon reload", "after a change by hand")],
        Run::Own(daemon::reload);
    ["daemon", "logs"] NONE,
        "Show the daemon's log",
        "", [Flag { short: Some('n'), ..valued("tail", "N", "Only the last N lines; 50 unless given") },
             Flag { short: Some('f'), ..switch("follow", "Go on with new lines as they come") }],
        [("rch daemon logs -n 20 -f", "watch the daemon")],
        Run::Own(daemon::logs);
    ["workers", "list"] NONE,
        "Show the workers and how they are",
        "", [], [("rch workers list", "who is there"), ("rch workers list --json", "the same, for a program")],
        Run::Own(workers::list);
    ["workers", "probe"] WORKERS,
        "Connect to workers and tell what is found",
        "Exits 0 only if every probe is OK, so that a timer can use it.",
        [ALL, switch("latency", "Only the time a round trip takes")],
        [("rch workers probe css", "one worker"), ("rch workers probe --all --json", "all, for a program")],
        Run::Own(probe::probe);
    ["workers", "benchmark"] WORKERS,
        "Measure how fast workers are",
        "The speed, 0 to 100, has its part in the choice of a worker.",
        [ALL], [("rch workers benchmark --all", "after a worker was added")],
        Run::Own(probe::benchmark);
    ["workers", "drain"] WORKER,
        "Keep new jobs off a worker",
        "Jobs that run there go on. It lasts until 'rch workers enable'.", [], [("rch workers drain css", "before it is rebooted")],
        Run::Own(workers::drain);
    ["workers", "enable"] WORKER,
        "Let new jobs on a drained worker again",
        "", [], [("rch workers enable css", "when it is back")],
        Run::Own(workers::enable);
    ["workers", "add"] operands("ID [[USER@]HOST[:PORT]]", 1, 2, What::Nothing),
        "Add a worker to workers.toml",
        "Comments and order in the file are kept. rch-config(5) explains the keys behind the flags.",
        [Flag { choices: &["ssh", "local", "command"], ..valued("transport", "KIND", "How it is reached: ssh, local or command") },
         valued("identity-file", "FILE", "Private key"),
         valued("ssh-options", "OPTION", "An option for ssh, 'Name=value'; may be given again"),
         valued("command", "PROGRAM", "For the command transport: a word of the command; may be given again"),
         valued("total-slots", "N", "How many slots it offers"),
         valued("priority", "PERCENT", "Its weight in the choice; 100 is neutral"),
         valued("tags", "TAG", "A tag; may be given again")],
        [("rch workers add css builder@css.example.org", "by ssh"),
         ("rch workers add node --transport command --command srun", "through Slurm")],
        Run::Own(workers::add);
    ["workers", "remove"] WORKER,
        "Take a worker out of workers.toml",
        "Without any other, this machine is the only worker again.", [], [("rch workers remove css", "for good")],
        Run::Own(workers::remove);
    ["config", "show"] NONE,
        "Show the settings in force in this directory",
        "", [switch("sources", "Say where each comes from")],
        [("rch config show --sources", "why is it so?")],
        Run::Own(config::show);
    ["config", "init"] NONE,
        "Write a config.toml with every setting explained",
        "An existing file is left alone.",
        [PROJECT], [("rch config init", "the user's"), ("rch config init --project", "for this project")],
        Run::Own(config::init);
    ["config", "validate"] NONE,
        "Check every configuration file",
        "Exits 1 if something is wrong; each mistake is shown with its place.",
        [], [("rch config validate", "after a change by hand")],
        Run::Own(config::validate);
    ["config", "get"] operands("KEY", 1, 1, What::Key),
        "Print one setting",
        "", [], [("rch config get compilation.build_slots", "just the number")],
        Run::Own(config::get);
    ["config", "set"] operands("KEY VALUE", 2, 2, What::Key),
        "Change one setting in config.toml",
        "Comments and order in the file are kept. A list is written with commas.",
        [PROJECT],
        [("rch config set transfer.artifacts full", "bring back the whole target directory")],
        Run::Own(config::set);
    ["config", "unset"] operands("KEY", 1, 1, What::Key),
        "Take one setting out of config.toml",
        "Comments and order in the file are kept; what is in force then is said.",
        [PROJECT],
        [("rch config unset transfer.artifacts", "its default again")],
        Run::Own(config::unset);
    ["hook", "install"] NONE,
        "Put rch's hook into an agent's settings",
        "All else in the file stays as it is written.", [AGENT, PROJECT, switch("masquerade", "A folder of compiler names in PATH instead of rewriting")],
        [("rch hook install", "for Claude Code"), ("rch hook install --agent codex", "for Codex")],
        Run::Own(hooks::install);
    ["hook", "uninstall"] NONE,
        "Take rch's hook out again",
        "The file is then what it was, or gone if there was none.", [AGENT, PROJECT], [("rch hook uninstall", "from Claude Code")],
        Run::Own(hooks::uninstall);
    ["hook", "status"] NONE,
        "Show where the hook is installed",
        "Exits 1 if an agent's settings cannot be read.", [AGENT, PROJECT], [("rch hook status", "for every agent")],
        Run::Own(hooks::status);
    ["hook", "test"] NONE,
        "Show what the hook would answer to a document on stdin",
        "", [], [("rch hook test", "with a sample"), ("rch hook test < document.json", "with an agent's own")],
        Run::Own(hooks::test);
    ["hook", "session-start"] NONE,
        "What an agent's session runs first with --masquerade",
        "Not for people.", [], [],
        Run::Raw(|_, _| crate::hook::verbs::session_start());
    ["masquerade", "install"] FOLDER,
        "Make links named as compilers, to be put first in PATH",
        "", [], [("rch masquerade install", "in ~/.local/share/rch/bin")],
        Run::Own(hooks::mask);
    ["masquerade", "uninstall"] FOLDER,
        "Remove those links",
        "", [], [("rch masquerade uninstall", "from the same place")],
        Run::Own(hooks::unmask);
    ["masquerade", "status"] FOLDER,
        "Show whether those links come first in PATH",
        "Exits 1 if they do not, or if one is missing.", [], [("rch masquerade status", "is it in PATH?")],
        Run::Own(hooks::masks);
    ["classify"] operands("'COMMAND'", 1, 1, What::Nothing),
        "Show whether a command would be sent away, and why",
        "Exits 1 if nothing of it would be. What the hook rewrites, but a variable keeps here, stays.", [], [("rch classify 'cargo build 2>&1 | tail'", "the walk through the tiers")],
        Run::Own(hooks::classify);
    ["doctor"] NONE,
        "Find out why nothing goes remote",
        "Every step from the configuration to the workers, each OK or with its remedy. Exits 1 if one is not.",
        [], [("rch doctor", "after installation, and whenever something stays here")],
        Run::Own(doctor::main);
    ["completions"] operands("bash|zsh|fish", 1, 1, What::Shell),
        "Print completions for a shell",
        "", [],
        [("rch completions bash > ~/.local/share/bash-completion/completions/rch", "for bash"),
         ("rch completions zsh > ~/.zfunc/_rch", "for zsh"),
         ("rch completions fish > ~/.config/fish/completions/rch.fish", "for fish")],
        Run::Own(complete::main);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_well_formed() {
        for (i, command) in COMMANDS.iter().enumerate() {
            let name = command.name();
            assert!(COMMANDS[..i].iter().all(|c| c.words != command.words));
            assert!(!command.about.ends_with('.'), "{name}");
            assert!(command.about.len() <= 60, "{name}");
            let for_people = command.more != "Not for people.";
            assert_eq!(command.is_for_people(), for_people, "{name}");
            for (line, _) in command.examples {
                // Global flags may stand in between.
                let words = line.split(' ').filter(|w| !w.starts_with('-'));
                let bare = words.collect::<Vec<_>>().join(" ");
                assert!(bare.contains(&format!("rch {name}")), "{line}");
            }
            for flag in command.flags {
                assert!(GLOBAL.iter().all(|g| g.long != flag.long), "{name}");
                assert!(!flag.help.ends_with('.'), "--{}", flag.long);
            }
        }
    }
}
