//! From an argument vector to a command of the table with its flags.
//!
//! Global flags may stand anywhere, save behind the first word of what a raw command is given, so that
//! `rch exec cargo build -q` keeps its `-q`. A word that fits nothing is answered with the
//! nearest that does.

use std::ffi::OsString;

use lexopt::{Arg, Parser};

use super::table::{COMMANDS, Command, Flag, GLOBAL, RawRun, Run};
use crate::error::Error;
use crate::nearest::nearest;

/// What the user wants.
pub enum Wanted {
    Call(Call),
    /// Our own flags, and another program's words.
    Raw(RawRun, Given, Vec<OsString>),
    /// Help for the words given; empty for all.
    Help(Vec<String>),
    Version,
}

/// A command with its flags and operands.
pub struct Call {
    pub command: &'static Command,
    pub given: Given,
    pub operands: Vec<OsString>,
}

/// The flags that were given, in order, by their long names.
#[derive(Debug, Default, Clone)]
pub struct Given(pub Vec<(&'static str, String)>);

impl Given {
    pub fn has(&self, long: &str) -> bool {
        self.0.iter().any(|(name, _)| *name == long)
    }

    /// The last value, as in most programs.
    pub fn value(&self, long: &str) -> Option<&str> {
        self.values(long).last()
    }

    pub fn values<'a>(&'a self, long: &str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(name, _)| *name == long)
            .map(|(_, value)| value.as_str())
    }
}

impl Call {
    /// An operand as text.
    pub fn operand(&self, at: usize) -> Option<&str> {
        self.operands.get(at).and_then(|o| o.to_str())
    }
}

/// Reads the arguments (without the program's name). The flags seen so far are left in `given` even
/// on error, because they say how the error is to be shown.
///
/// # Errors
/// A usage error, with the remedy.
pub fn parse(args: &[OsString], given: &mut Given) -> Result<Wanted, Error> {
    let mut parser = Parser::from_args(args.iter().cloned());
    let mut words: Vec<String> = vec![];
    while let Some(arg) = parser.next().map_err(usage)? {
        match arg {
            Arg::Value(word) => words.push(text(word)?),
            arg => flag(GLOBAL, "rch", arg.into_owned_flag(), &mut parser, given)?,
        }
        match command(&words)? {
            Some(_) if given.has("help") => break,
            Some(command) => return rest(command, parser, std::mem::take(given), given),
            None => {}
        }
    }
    if given.has("version") {
        return Ok(Wanted::Version);
    }
    if given.has("help") || words.is_empty() || words[0] == "help" {
        words.retain(|w| w != "help");
        return Ok(Wanted::Help(words));
    }
    Err(incomplete(&words))
}

/// A flag without its value.
enum Name {
    Short(char),
    Long(String),
}

trait IntoName {
    fn into_owned_flag(self) -> Name;
}

impl IntoName for Arg<'_> {
    fn into_owned_flag(self) -> Name {
        match self {
            Arg::Short(c) => Name::Short(c),
            Arg::Long(name) => Name::Long(name.to_string()),
            Arg::Value(_) => unreachable!("BUG: a value is no flag"),
        }
    }
}

/// The command that the words name in full; `None` if more words must come.
fn command(words: &[String]) -> Result<Option<&'static Command>, Error> {
    let Some(last) = words.last() else {
        return Ok(None);
    };
    if words[0] == "help" {
        return Ok(None);
    }
    let mut candidates = COMMANDS
        .iter()
        .filter(|c| c.words.iter().zip(words).all(|(a, b)| a == b) && c.words.len() >= words.len())
        .peekable();
    match candidates.peek() {
        Some(c) if c.words.len() == words.len() => Ok(Some(c)),
        Some(_) => Ok(None),
        None => Err(unknown(words, last)),
    }
}

fn unknown(words: &[String], last: &str) -> Error {
    let before = &words[..words.len() - 1];
    let error = Error::new(format!("unknown command '{}'", words.join(" ")));
    let group = before.join(" ");
    match nearest(last, next_words(before)) {
        Some(near) => error.hint(format!("did you mean 'rch {}'?", join(&group, near))),
        None if group.is_empty() => error.hint("'rch --help' lists the commands"),
        None => error.hint(format!("'rch {group} --help' lists its commands")),
    }
}

fn incomplete(words: &[String]) -> Error {
    let group = words.join(" ");
    let next: Vec<&str> = next_words(words);
    Error::new(format!("'rch {group}' needs a command")).hint(format!("one of {}", next.join(", ")))
}

/// The words that a person may type behind `before`, each once.
pub fn next_words(before: &[String]) -> Vec<&'static str> {
    let mut next: Vec<&str> = vec![];
    for command in COMMANDS.iter().filter(|c| c.is_for_people()) {
        let fits = command.words.iter().zip(before).all(|(a, b)| a == b);
        if let (true, Some(word)) = (fits, command.words.get(before.len()))
            && !next.contains(word)
        {
            next.push(word);
        }
    }
    next
}

fn join(group: &str, word: &str) -> String {
    if group.is_empty() {
        word.into()
    } else {
        format!("{group} {word}")
    }
}

/// What stands behind a command's words.
fn rest(
    command: &'static Command,
    mut parser: Parser,
    mut given: Given,
    seen: &mut Given,
) -> Result<Wanted, Error> {
    if let Run::Raw(run) = command.run {
        let argv = raw(command, &mut parser, &mut given);
        *seen = given.clone();
        let argv = argv?;
        return Ok(match about_itself(command, &given) {
            Some(wanted) => wanted,
            None => Wanted::Raw(run, given, argv),
        });
    }
    let name = format!("rch {}", command.name());
    let mut operands = vec![];
    let outcome = loop {
        match parser.next().map_err(usage) {
            Err(e) => break Err(e),
            Ok(None) => break Ok(()),
            Ok(Some(Arg::Value(value))) => operands.push(value),
            Ok(Some(arg)) => {
                let arg = arg.into_owned_flag();
                let read = flag(command.flags, &name, arg, &mut parser, &mut given);
                if let Err(e) = read {
                    break Err(e);
                }
            }
        }
    };
    *seen = given.clone();
    if let Some(wanted) = about_itself(command, &given) {
        return Ok(wanted);
    }
    outcome?;
    count(command, &name, &operands)?;
    Ok(Wanted::Call(Call {
        command,
        given,
        operands,
    }))
}

/// The words of `args` that name a command, or the beginning of one, for an error that has no call.
pub fn named(args: &[OsString]) -> String {
    let mut words: Vec<String> = vec![];
    let all = args.iter().filter_map(|a| a.to_str());
    for word in all.filter(|a| !a.starts_with('-')) {
        if !next_words(&words).contains(&word) {
            break;
        }
        words.push(word.into());
    }
    words.join(" ")
}

/// Whether it is not to be run, but to be told of.
fn about_itself(command: &Command, given: &Given) -> Option<Wanted> {
    if given.has("help") {
        let words = command.words.iter().map(|w| w.to_string()).collect();
        return Some(Wanted::Help(words));
    }
    given.has("version").then_some(Wanted::Version)
}

/// Takes our own flags; what is left begins with the first word that is none, or behind `--`.
fn raw(
    command: &'static Command,
    parser: &mut Parser,
    given: &mut Given,
) -> Result<Vec<OsString>, Error> {
    let name = format!("rch {}", command.name());
    loop {
        // `None` amid flags that are written together, as in `-qv`.
        if let Some(mut ahead) = parser.try_raw_args() {
            let flag = ahead
                .peek()
                .is_some_and(|a| a.as_encoded_bytes().starts_with(b"-") && a != "-");
            if flag && ahead.peek().is_some_and(|a| a == "--") {
                ahead.next();
                return Ok(ahead.collect());
            }
            if !flag {
                return Ok(ahead.collect());
            }
        }
        match parser.next().map_err(usage)? {
            Some(Arg::Value(_)) | None => return Ok(vec![]),
            Some(arg) => flag(&[], &name, arg.into_owned_flag(), parser, given)?,
        }
    }
}

fn count(command: &Command, name: &str, operands: &[OsString]) -> Result<(), Error> {
    let wanted = command.operands;
    if operands.len() < wanted.min {
        // Those that are there belong to what it is about.
        let given = operands.iter().map(|o| format!(" {}", o.display()));
        let given = given.collect::<String>();
        let words: Vec<&str> = wanted.shown.split(' ').collect();
        let missing = words.get(operands.len()..).unwrap_or_default().join(" ");
        let error = Error::new(format!("'{name}{given}' needs {missing}"));
        return Err(error.hint(format!("'{name} --help' explains it")));
    }
    if operands.len() > wanted.max {
        let extra = operands[wanted.max].display();
        let error = Error::new(format!("'{name}' does not take '{extra}'"));
        let quoted = wanted.shown.starts_with('\'');
        return Err(match quoted {
            true => error.hint("put the command into quotes, as one argument"),
            false => error.hint(format!("'{name} --help' shows what it takes")),
        });
    }
    operands
        .iter()
        .try_for_each(|o| text(o.clone()).map(|_| ()))
}

fn text(arg: OsString) -> Result<String, Error> {
    arg.into_string()
        .map_err(|a| Error::new(format!("'{}' is not UTF-8", a.display())))
}

/// Takes one flag, and its value, among `flags` and the global ones.
fn flag(
    flags: &'static [Flag],
    name: &str,
    arg: Name,
    parser: &mut Parser,
    given: &mut Given,
) -> Result<(), Error> {
    let all = || flags.iter().chain(GLOBAL);
    // Behind a short flag stands the next one, as in `-qv`.
    let long = matches!(arg, Name::Long(_));
    let (found, shown) = match arg {
        Name::Short(c) => (all().find(|f| f.short == Some(c)), format!("-{c}")),
        Name::Long(l) => (all().find(|f| f.long == l), format!("--{l}")),
    };
    let Some(flag) = found else {
        let near = nearest(shown.trim_start_matches('-'), all().map(|f| f.long));
        let hint = match near {
            Some(near) if shown.len() > 2 => format!("did you mean '--{near}'?"),
            _ => format!("'{name} --help' shows the flags"),
        };
        return Err(Error::new(format!("unknown flag '{shown}'")).hint(hint));
    };
    let value = match flag.value {
        Some(what) => value(flag, what, parser)?,
        None if long && parser.optional_value().is_some() => {
            return Err(Error::new(format!("'--{}' takes no value", flag.long)));
        }
        None => String::new(),
    };
    given.0.push((flag.long, value));
    Ok(())
}

fn value(flag: &Flag, what: &str, parser: &mut Parser) -> Result<String, Error> {
    let value = parser
        .value()
        .map_err(|_| Error::new(format!("'--{}' needs a value, {what}", flag.long)))?;
    let value = text(value)?;
    if flag.choices.is_empty() || flag.choices.contains(&value.as_str()) {
        return Ok(value);
    }
    let error = Error::new(format!("bad value '{value}' for '--{}'", flag.long));
    Err(match nearest(&value, flag.choices.iter().copied()) {
        Some(near) => error.hint(format!("did you mean '{near}'?")),
        None => error.hint(format!("one of {}", flag.choices.join(", "))),
    })
}

fn usage(e: lexopt::Error) -> Error {
    Error::new(e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Wanted, Error> {
        let args: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        parse(&args, &mut Given::default())
    }

    fn error(line: &str) -> String {
        match parsed(line) {
            Err(e) => e.to_string(),
            Ok(_) => panic!("'{line}' was accepted"),
        }
    }

    #[test]
    fn slips_are_answered_with_what_was_meant() {
        let cases = [
            (
                "statsu",
                "unknown command 'statsu'\nhint: did you mean 'rch status'?",
            ),
            (
                "workers prob",
                "unknown command 'workers prob'\nhint: did you mean 'rch workers probe'?",
            ),
            (
                "xyzzy",
                "unknown command 'xyzzy'\nhint: 'rch --help' lists the commands",
            ),
            (
                "status --wach",
                "unknown flag '--wach'\nhint: did you mean '--watch'?",
            ),
            (
                "status -x",
                "unknown flag '-x'\nhint: 'rch status --help' shows the flags",
            ),
            (
                "--jsn status",
                "unknown flag '--jsn'\nhint: did you mean '--json'?",
            ),
            ("status --color", "'--color' needs a value, WHEN"),
            (
                "status --color=allways",
                "bad value 'allways' for '--color'\nhint: did you mean 'always'?",
            ),
            ("status --watch=1", "'--watch' takes no value"),
            (
                "status now",
                "'rch status' does not take 'now'\nhint: 'rch status --help' shows what it takes",
            ),
            (
                "logs",
                "'rch logs' needs JOB\nhint: 'rch logs --help' explains it",
            ),
            (
                "daemon",
                "'rch daemon' needs a command\nhint: one of start, stop, restart, status, reload, logs",
            ),
        ];
        for (line, text) in cases {
            assert_eq!(error(line), text);
        }
    }

    #[test]
    fn an_error_is_of_the_command_that_was_named() {
        for (line, name) in [
            ("--json workers probe --nope", "workers probe"),
            ("workers xyzzy --json", "workers"),
            ("--json xyzzy", ""),
            ("logs j1 j2", "logs"),
        ] {
            let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            assert_eq!(named(&args), name, "{line}");
        }
    }

    #[test]
    fn global_flags_stand_anywhere() {
        for line in [
            "--json workers list",
            "workers --json list",
            "workers list --json",
        ] {
            let Ok(Wanted::Call(call)) = parsed(line) else {
                panic!("{line}");
            };
            assert!(call.given.has("json"));
            assert_eq!(call.command.words, ["workers", "list"]);
        }
    }

    #[test]
    fn a_raw_command_keeps_every_byte_behind_its_first_word() {
        for (line, ours, theirs) in [
            (
                "-v exec -- cargo build -q --json",
                "verbose",
                "cargo build -q --json",
            ),
            ("exec -qv make -- -v", "quiet verbose", "make -- -v"),
            (
                "exec --format json --color=never make",
                "format color",
                "make",
            ),
            ("exec -q -- -x", "quiet", "-x"),
            ("exec", "", ""),
        ] {
            let Ok(Wanted::Raw(_, given, args)) = parsed(line) else {
                panic!("{line}");
            };
            let flags: Vec<&str> = given.0.iter().map(|(name, _)| *name).collect();
            assert_eq!(flags.join(" "), ours, "{line}");
            let words: Vec<_> = args.iter().map(|a| a.to_str().unwrap()).collect();
            assert_eq!(words.join(" "), theirs, "{line}");
        }
        assert!(error("exec -j4 make").starts_with("unknown flag '-j'"));
    }

    #[test]
    fn help_is_found_however_it_is_asked_for() {
        for line in [
            "--help workers probe",
            "workers probe -h",
            "help workers probe",
            "workers probe --nope --help",
        ] {
            match parsed(line) {
                Ok(Wanted::Help(words)) => assert_eq!(words, ["workers", "probe"], "{line}"),
                // A flag that does not exist is said first: help would hide it.
                Err(e) => assert!(e.text().contains("--nope")),
                Ok(_) => panic!("{line}"),
            }
        }
        assert!(matches!(parsed("status -qvh"), Ok(Wanted::Help(w)) if w == ["status"]));
        assert!(matches!(parsed(""), Ok(Wanted::Help(w)) if w.is_empty()));
        for line in ["exec --help", "exec -q -h", "-v exec --help -- make"] {
            assert!(matches!(parsed(line), Ok(Wanted::Help(w)) if w == ["exec"]));
        }
        assert!(matches!(parsed("exec make --help"), Ok(Wanted::Raw(..))));
    }
}
