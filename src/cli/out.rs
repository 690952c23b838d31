//! How things look and where they go: people's text or one machine envelope, colour or none.
//!
//! Decisions are pure functions of flags, environment and terminal, made once in `Look::new`.
//! Printing cannot panic: what cannot be written because nobody reads is a quiet success, anything
//! else is an error for the caller to report on the other stream.

use std::io::{self, IsTerminal, Write};

use serde_json::{Value, json};

use super::parse::Given;
use crate::config::Complaint;
use crate::config::vars::is_on;
use crate::error::{Error, cause};
use crate::exit;

/// What a command has to say.
#[derive(Debug, Default)]
pub struct Done {
    /// For people; ends with a newline unless it is empty.
    pub text: String,
    /// For machines.
    pub data: Value,
    pub status: i32,
}

impl Done {
    pub fn new(text: impl Into<String>, data: Value) -> Done {
        Done {
            text: text.into(),
            data,
            status: exit::OK,
        }
    }

    /// With the status that says "yes" or "no".
    #[must_use]
    pub fn answer(mut self, yes: bool) -> Done {
        self.status = if yes { exit::OK } else { exit::NO };
        self
    }
}

/// Why a command has nothing to say.
#[derive(Debug)]
pub struct Fail {
    pub status: i32,
    /// A word that programs can rely on; `ERROR_CODES` has them all.
    pub code: &'static str,
    pub error: Error,
}

/// Every `error.code` of the envelope, with what it means.
pub static ERROR_CODES: &[(&str, &str)] = &[
    ("usage", "The command line is wrong"),
    ("daemon_absent", "No daemon is running"),
    (
        "daemon_unreachable",
        "There is a daemon, but it cannot be reached or does not answer",
    ),
    ("daemon_refused", "The daemon cannot do what was asked"),
    (
        "config",
        "A configuration file is wrong or cannot be changed",
    ),
    ("not_found", "What was named does not exist"),
    ("system", "Something else failed"),
];

impl Fail {
    pub fn new(status: i32, code: &'static str, error: Error) -> Fail {
        debug_assert!(ERROR_CODES.iter().any(|(c, _)| *c == code));
        Fail {
            status,
            code,
            error,
        }
    }

    pub fn config(error: Error) -> Fail {
        Fail::new(exit::FAILED, "config", error)
    }

    pub fn system(error: Error) -> Fail {
        Fail::new(exit::FAILED, "system", error)
    }

    /// What was named does not exist.
    pub fn absent(error: Error) -> Fail {
        Fail::new(exit::USAGE, "not_found", error)
    }

    pub fn usage(error: Error) -> Fail {
        Fail::new(exit::USAGE, "usage", error)
    }
}

/// For whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    People,
    Json,
    Toon,
}

/// How text for people looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    pub format: Format,
    pub color: bool,
    /// Nothing but ASCII.
    pub ascii: bool,
    pub width: usize,
    /// stdout is a terminal that can be drawn on.
    pub terminal: bool,
    pub quiet: bool,
    pub verbose: bool,
}

/// The colours there are; each has a meaning in words beside it, always.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    Plain,
    Bold,
    Dim,
    Good,
    Warn,
    Bad,
}

impl Look {
    /// From the flags, the environment, and the terminal's width if stdout is one.
    pub fn new(given: &Given, env: &dyn Fn(&str) -> Option<String>, tty: Option<usize>) -> Look {
        let dumb = env("TERM").is_some_and(|t| t == "dumb");
        let columns = env("COLUMNS").and_then(|c| c.parse().ok());
        Look {
            format: format(given, env),
            color: color(given, env, tty.is_some()),
            ascii: !utf8(env),
            width: columns.or(tty).unwrap_or(80).clamp(40, 400),
            terminal: tty.is_some() && !dumb,
            quiet: given.has("quiet"),
            verbose: given.has("verbose") || is_on(env("RCH_VERBOSE").as_deref()),
        }
    }

    /// For this process.
    pub fn here(given: &Given) -> Look {
        let stdout = io::stdout();
        let tty = stdout.is_terminal().then(|| {
            let size = crate::sys::tty::winsize(&stdout);
            size.map_or(80, |(columns, _)| usize::from(columns))
        });
        Look::new(given, &|name| std::env::var(name).ok(), tty)
    }

    pub fn paint(&self, ink: Ink, text: &str) -> String {
        let code = match ink {
            Ink::Bold => "1",
            Ink::Dim => "2",
            Ink::Good => "32",
            Ink::Warn => "33",
            Ink::Bad => "31",
            Ink::Plain => "",
        };
        if !self.color || code.is_empty() || text.is_empty() {
            return text.into();
        }
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    /// A line with the remedy of the one above.
    pub fn hint(&self, indent: &str, text: &str) -> String {
        format!("{indent}{} {text}\n", self.paint(Ink::Dim, "hint:"))
    }

    /// A section's name on a line of its own.
    pub fn heading(&self, text: &str) -> String {
        format!("{}\n", self.paint(Ink::Bold, text))
    }
}

/// Our own; the other one is that of all programs which speak TOON.
pub const FORMAT_VARIABLE: &str = "RCH_OUTPUT_FORMAT";

fn format(given: &Given, env: &dyn Fn(&str) -> Option<String>) -> Format {
    let known = |name: &str| match name.to_ascii_lowercase().as_str() {
        "json" => Some(Format::Json),
        "toon" => Some(Format::Toon),
        _ => None,
    };
    if let Some(format) = given.value("format").and_then(known) {
        return format;
    }
    if given.has("json") {
        return Format::Json;
    }
    [FORMAT_VARIABLE, "TOON_DEFAULT_FORMAT"]
        .iter()
        .find_map(|name| env(name).as_deref().and_then(known))
        .unwrap_or(Format::People)
}

/// <https://no-color.org> and <https://bixense.com/clicolors>: a flag wins, then NO_COLOR, then force.
fn color(given: &Given, env: &dyn Fn(&str) -> Option<String>, tty: bool) -> bool {
    let forced = |name: &str| is_on(env(name).as_deref());
    match given.value("color") {
        Some("always") => true,
        Some("never") => false,
        _ if env("NO_COLOR").is_some_and(|v| !v.is_empty()) => false,
        _ if forced("CLICOLOR_FORCE") || forced("FORCE_COLOR") => true,
        _ => tty && env("TERM").is_some_and(|t| t != "dumb"),
    }
}

/// The locale as the C library finds it; without one it is ASCII.
fn utf8(env: &dyn Fn(&str) -> Option<String>) -> bool {
    ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .find_map(|name| env(name).filter(|v| !v.is_empty()))
        .is_some_and(|v| {
            let v = v.to_ascii_lowercase();
            v.contains("utf-8") || v.contains("utf8")
        })
}

/// Shows what a command did and answers the exit status.
pub fn finish(look: &Look, command: &str, outcome: Result<Done, Fail>) -> i32 {
    let (text, status) = match (look.format, outcome) {
        (Format::People, Ok(done)) => (done.text, done.status),
        (Format::People, Err(fail)) => {
            complain(&fail.error);
            return fail.status;
        }
        (format, Ok(done)) => {
            let envelope = json!({
                "api_version": "1", "command": command,
                "success": done.status == exit::OK, "data": done.data,
            });
            (machine(format, &envelope), done.status)
        }
        (format, Err(fail)) => {
            let envelope = json!({
                "api_version": "1", "command": command, "success": false,
                "error": {
                    "code": fail.code, "message": fail.error.text(), "hint": fail.error.remedy(),
                },
            });
            (machine(format, &envelope), fail.status)
        }
    };
    match print(text.as_bytes()) {
        Ok(_) => status,
        Err(fail) => {
            complain(&fail.error);
            fail.status
        }
    }
}

/// A document of the envelope's kind, with its final newline.
pub fn machine(format: Format, value: &Value) -> String {
    let text = match format {
        Format::Toon => toon_format::encode_default(value).map_err(|e| e.to_string()),
        _ => serde_json::to_string_pretty(value).map_err(|e| e.to_string()),
    };
    let mut text = text.expect("BUG: a status that cannot be written down");
    text.push('\n');
    text
}

/// Writes to stdout; false if nobody reads any more, which is the end of whatever goes on.
///
/// # Errors
/// It cannot be written, for another reason than that.
pub fn print(bytes: &[u8]) -> Result<bool, Fail> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(e) => Err(Fail::system(Error::os(
            "cannot write to standard output",
            &e,
        ))),
    }
}

/// `rch: what failed` and its remedy, on stderr. A closed stderr is nobody's loss.
pub fn complain(error: &Error) {
    let _ = writeln!(io::stderr(), "rch: {error}");
}

/// A configuration file's faults, where they are no more than warnings.
pub fn warn(look: &Look, complaints: &[Complaint]) {
    if look.quiet {
        return;
    }
    for complaint in complaints {
        let _ = writeln!(io::stderr(), "rch: warning: {}", complaint.text);
    }
}

/// One line on stderr while something goes on, for `--verbose`.
pub fn mention(look: &Look, text: &str) {
    if look.verbose {
        let _ = writeln!(io::stderr(), "rch: {text}");
    }
}

/// Opens what is missing of descriptors 0 to 2 on /dev/null. Without this the daemon's socket could
/// become descriptor 1 of a process that was started with stdout closed, and get its output.
pub fn fill_descriptors() -> Result<(), String> {
    use std::os::fd::{AsRawFd, IntoRawFd};
    loop {
        let null = std::fs::File::options()
            .read(true)
            .write(true)
            .open("/dev/null")
            .map_err(|e| format!("cannot open '/dev/null': {}", cause(&e)))?;
        if null.as_raw_fd() > 2 {
            return Ok(());
        }
        let _ = null.into_raw_fd();
    }
}

/// Text from elsewhere, fit for a terminal: no control character gets through.
pub fn clean(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\t' => ' ',
            c if c.is_control() => '?',
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(flags: &[(&'static str, &str)], env: &[(&str, &str)], tty: bool) -> Look {
        let given = Given(flags.iter().map(|(k, v)| (*k, v.to_string())).collect());
        let answer = |name: &str| {
            let found = env.iter().find(|(k, _)| *k == name);
            found.map(|(_, v)| v.to_string())
        };
        Look::new(&given, &answer, tty.then_some(100))
    }

    #[test]
    fn colour_follows_flag_then_no_color_then_force_then_terminal() {
        let term = ("TERM", "xterm");
        assert!(look(&[], &[term], true).color);
        assert!(!look(&[], &[term], false).color);
        assert!(!look(&[], &[("TERM", "dumb")], true).color);
        assert!(!look(&[], &[term, ("NO_COLOR", "1")], true).color);
        assert!(look(&[], &[term, ("NO_COLOR", "")], true).color);
        assert!(look(&[], &[("CLICOLOR_FORCE", "1")], false).color);
        assert!(look(&[], &[("FORCE_COLOR", "1")], false).color);
        assert!(!look(&[], &[("FORCE_COLOR", "0")], false).color);
        assert!(!look(&[], &[("FORCE_COLOR", "1"), ("NO_COLOR", "1")], false).color);
        assert!(look(&[("color", "always")], &[("NO_COLOR", "1")], false).color);
        assert!(!look(&[("color", "never")], &[("FORCE_COLOR", "1")], true).color);
    }

    #[test]
    fn format_follows_flags_then_environment() {
        let format = |flags: &[_], env: &[_]| look(flags, env, false).format;
        let (ours, theirs) = (
            ("RCH_OUTPUT_FORMAT", "json"),
            ("TOON_DEFAULT_FORMAT", "toon"),
        );
        assert_eq!(format(&[], &[]), Format::People);
        assert_eq!(format(&[], &[theirs]), Format::Toon);
        assert_eq!(format(&[], &[theirs, ours]), Format::Json);
        assert_eq!(format(&[("json", "")], &[theirs]), Format::Json);
        assert_eq!(format(&[("format", "toon")], &[ours]), Format::Toon);
        assert_eq!(format(&[], &[("RCH_OUTPUT_FORMAT", "xml")]), Format::People);
    }

    #[test]
    fn the_locale_asks_for_ascii() {
        assert!(look(&[], &[], true).ascii);
        assert!(look(&[], &[("LANG", "en_GB.UTF-8"), ("LC_ALL", "C")], true).ascii);
        assert!(!look(&[], &[("LANG", "C.utf8"), ("LC_ALL", "")], true).ascii);
    }

    #[test]
    fn toon_holds_the_same_data() {
        let value =
            json!({"a": [{"id": 1, "x": "p, q"}, {"id": 2, "x": ""}], "n": null, "t": "- \"é\n"});
        let text = machine(Format::Toon, &value);
        let back: Value = toon_format::decode_default(text.trim_end()).unwrap();
        assert_eq!(back, value);
    }

    #[test]
    fn nothing_from_elsewhere_reaches_the_terminal_raw() {
        assert_eq!(clean("a\x1b[31m\nb\u{9b}"), "a?[31m b?");
    }
}
