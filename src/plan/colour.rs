//! Colour as the local command would show it on a terminal, for tools that see a pipe on the worker.
//!
//! Cargo, bun and their like are told by variables. gcc, clang and rustc know none, so a flag tells
//! them when they are called directly; what `make` or `ninja` start sees the pipe, for which there is
//! no cure short of a terminal there. Whether the local one would colour is each compiler's own rule,
//! read off what it does: gcc does not mind NO_COLOR, clang since 17 does. Where a flag would be
//! recorded in a product it is left out: files come before colours.

use std::ffi::{OsStr, OsString};

use crate::classify::{Accepted, Tool};
use crate::plan::env::{get, set_default};

type Environment = [(OsString, OsString)];

/// Variables for a job whose stderr at home is a terminal. One that the agent set is not overruled.
pub fn environment(env: &mut Vec<(OsString, OsString)>) {
    let others = terminal(env).is_some() && get(env, "NO_COLOR").is_none();
    if rust_colours(env) {
        set_default(env, "CARGO_TERM_COLOR", "always");
        set_default(env, "CLICOLOR_FORCE", "1");
    }
    if others {
        set_default(env, "FORCE_COLOR", "1");
    }
}

/// Flags that make a compiler say it as on the terminal that stderr is at home. `compiler` is what it
/// says of itself, `env` the whole environment there.
pub fn flags(
    accepted: &Accepted,
    argv: &[OsString],
    compiler: &str,
    env: &Environment,
) -> Vec<&'static str> {
    match (accepted.tool, family(compiler)) {
        (Tool::Rustc, _) if rust_colours(env) && !begins(argv, &["--color", "--json"]) => {
            vec!["--color=always"]
        }
        (Tool::Cc, Some(family)) if family.colours(env) && !begins(argv, RECORDS) => {
            let mut flags = vec![ALWAYS];
            if family.links(env) && !begins(argv, RECORDS_MORE) {
                flags.push("-fdiagnostics-urls=always");
            }
            flags
        }
        _ => vec![],
    }
}

const ALWAYS: &str = "-fdiagnostics-color=always";

/// Beginnings of flags by which a product names the flags it was made with.
const RECORDS: &[&str] = &["-frecord-", "-grecord-", "-gen-cdb-"];

/// As `RECORDS`: gcc's debug information, and its assembler text, name the flag for links, though not
/// the one for colours.
const RECORDS_MORE: &[&str] = &["-g", "-fverbose-asm", "--verbose-asm", "-save-temps", "-Q"];

fn begins(argv: &[OsString], beginnings: &[&str]) -> bool {
    let word = |word: &OsString| {
        let word = word.as_encoded_bytes();
        beginnings.iter().any(|b| word.starts_with(b.as_bytes()))
    };
    argv.iter().skip(1).any(word)
}

/// Puts the flags where the command's own, which stand behind them, prevail.
pub fn argv(argv: &mut Vec<OsString>, flags: &[&str]) {
    if flags.contains(&ALWAYS) {
        // What the terminal decides at home the pipe would decide there.
        let auto = argv.iter_mut().filter(|w| *w == "-fdiagnostics-color=auto");
        auto.for_each(|word| *word = ALWAYS.into());
    }
    let names_toolchain = |word: &OsString| word.as_encoded_bytes().starts_with(b"+");
    let at = 1 + usize::from(argv.get(1).is_some_and(names_toolchain));
    argv.splice(at..at, flags.iter().map(OsString::from));
}

/// Who made a C compiler, and its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Gcc(u32, u32),
    Clang(u32),
}

/// By what it says of itself: `Debian clang version 14.0.6`, `cc (Debian 12.2.0-14) 12.2.0`.
fn family(text: &str) -> Option<Family> {
    let line = text.lines().next()?;
    if let Some((_, version)) = line.split_once("clang version ") {
        return numbers(version).map(|(major, _)| Family::Clang(major));
    }
    // What stands in parentheses, and in others within, is the packager's.
    let closed = |head: &str| head.matches('(').count() == head.matches(')').count() + 1;
    let mut ends = line.match_indices(") ");
    let (at, end) = ends.find(|(at, _)| closed(&line[..*at]))?;
    let (major, minor) = numbers(&line[at + end.len()..])?;
    Some(Family::Gcc(major, minor))
}

fn numbers(text: &str) -> Option<(u32, u32)> {
    let (major, rest) = text.split_once('.')?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    Some((major.parse().ok()?, digits.parse().ok()?))
}

impl Family {
    fn colours(self, env: &Environment) -> bool {
        match self {
            // An empty or other GCC_COLORS travels, and gcc follows it.
            Family::Gcc(major, minor) => (major, minor) >= (4, 9) && terminal(env).is_some(),
            Family::Clang(major) => {
                terminal(env).is_some_and(is_known) && !(major >= 17 && is_filled(env, "NO_COLOR"))
            }
        }
    }

    /// Whether the names of warnings are links to their description.
    fn links(self, env: &Environment) -> bool {
        let colorterm = get(env, "COLORTERM");
        let garbles = |t: &OsStr| t == "xfce4-terminal" || t == "gnome-terminal";
        let plain = |t: &OsStr| t == "xterm" || t == "linux";
        let wished = ["GCC_URLS", "TERM_URLS"]
            .iter()
            .any(|name| get(env, name).is_some());
        let can = match colorterm {
            Some(name) => !garbles(name),
            None => wished || !terminal(env).is_some_and(plain),
        };
        can && matches!(self, Family::Gcc(10.., _))
    }
}

/// Whether cargo and rustc would.
fn rust_colours(env: &Environment) -> bool {
    let off = get(env, "CLICOLOR").is_some_and(|v| v == "0");
    terminal(env).is_some() && !off && !is_filled(env, "NO_COLOR")
}

/// The terminal's kind, unless it shows no colours.
fn terminal(env: &Environment) -> Option<&OsStr> {
    get(env, "TERM").filter(|term| *term != "dumb")
}

/// Whether LLVM takes a terminal of this kind for one with colours, with terminfo or without.
fn is_known(term: &OsStr) -> bool {
    let Some(term) = term.to_str() else {
        return false;
    };
    let families = ["screen", "xterm", "rxvt"];
    ["ansi", "cygwin", "linux"].contains(&term)
        || families.iter().any(|f| term.starts_with(f))
        || term.ends_with("color")
}

fn is_filled(env: &Environment, name: &str) -> bool {
    get(env, name).is_some_and(|v| !v.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify;

    const GCC: &str = "gcc (Debian 12.2.0-14+deb12u1) 12.2.0\nx86_64-linux-gnu";
    const CLANG: &str = "Debian clang version 14.0.6\nx86_64-pc-linux-gnu";

    fn set(env: &str) -> Vec<(OsString, OsString)> {
        let pairs = env.split_whitespace().map(|p| p.split_once('=').unwrap());
        pairs.map(|(k, v)| (k.into(), v.into())).collect()
    }

    /// The command as the worker runs it.
    fn made(command: &str, text: &str, env: &str) -> String {
        let mut words: Vec<OsString> = command.split(' ').map(OsString::from).collect();
        let accepted = classify::argv(&words).unwrap_or_else(|e| panic!("{command}: {e}"));
        let flags = flags(&accepted, &words, text, &set(env));
        argv(&mut words, &flags);
        words.join(OsStr::new(" ")).into_string().unwrap()
    }

    #[test]
    fn versions_are_read_whoever_packed_the_compiler() {
        for (text, expected) in [
            (GCC, Some(Family::Gcc(12, 2))),
            (
                "gcc (GCC) 4.8.5 20150623 (Red Hat 4.8.5-44)",
                Some(Family::Gcc(4, 8)),
            ),
            (
                "c++ (crosstool-NG (mine) 1.25) 9.4.0",
                Some(Family::Gcc(9, 4)),
            ),
            (CLANG, Some(Family::Clang(14))),
            (
                "Ubuntu clang version 18.1.3 (1ubuntu1)",
                Some(Family::Clang(18)),
            ),
            ("tcc version 0.9.27 (x86_64 Linux)", None),
            ("", None),
        ] {
            assert_eq!(family(text), expected, "{text}");
        }
    }

    #[test]
    fn compilers_colour_where_they_would_at_home() {
        let old = "gcc (GCC) 4.8.5 20150623 (Red Hat 4.8.5-44)";
        let young = "clang version 18.1.3";
        for (command, text, env, coloured) in [
            ("gcc -c a.c", GCC, "TERM=xterm", true),
            ("gcc -c a.c", GCC, "TERM=xterm NO_COLOR=1", true),
            ("gcc -c a.c", GCC, "TERM=", true),
            ("gcc -c a.c", GCC, "TERM=dumb", false),
            ("gcc -c a.c", GCC, "", false),
            ("gcc -c a.c", old, "TERM=xterm", false),
            ("gcc -frecord-gcc-switches -c a.c", GCC, "TERM=xterm", false),
            ("clang -c a.c", CLANG, "TERM=tmux-256color", true),
            ("clang -c a.c", CLANG, "TERM=xterm NO_COLOR=1", true),
            ("clang -c a.c", young, "TERM=xterm NO_COLOR=1", false),
            ("clang -c a.c", young, "TERM=xterm NO_COLOR=", true),
            ("clang -c a.c", CLANG, "TERM=vt100", false),
            ("clang -c a.c", CLANG, "TERM=", false),
            (
                "clang -grecord-command-line -c a.c",
                CLANG,
                "TERM=xterm",
                false,
            ),
            ("cc -c a.c", "tcc version 0.9.27", "TERM=xterm", false),
            ("rustc a.rs", "", "TERM=xterm NO_COLOR=", true),
            ("rustc a.rs", "", "TERM=xterm NO_COLOR=1", false),
            ("rustc a.rs", "", "TERM=xterm CLICOLOR=0", false),
            ("rustc a.rs", "", "TERM=dumb", false),
            ("rustc --color never a.rs", "", "TERM=xterm", false),
            ("rustc --json=artifacts a.rs", "", "TERM=xterm", false),
            ("make", GCC, "TERM=xterm", false),
            ("cargo build", "", "TERM=xterm", false),
        ] {
            let changed = made(command, text, env) != command;
            assert_eq!(changed, coloured, "{env} {command}, {text}");
        }
    }

    #[test]
    fn flags_stand_where_the_commands_own_prevail() {
        for (command, text, expected) in [
            (
                "gcc -fno-diagnostics-color -c a.c",
                GCC,
                "gcc -fdiagnostics-color=always -fno-diagnostics-color -c a.c",
            ),
            (
                "clang -fdiagnostics-color=auto -c a.c",
                CLANG,
                "clang -fdiagnostics-color=always -fdiagnostics-color=always -c a.c",
            ),
            ("rustc a.rs", "", "rustc --color=always a.rs"),
            (
                "rustc +nightly a.rs",
                "",
                "rustc +nightly --color=always a.rs",
            ),
        ] {
            assert_eq!(made(command, text, "TERM=xterm"), expected);
        }
    }

    #[test]
    fn links_are_made_where_gcc_would_and_no_product_names_the_flag() {
        let nine = "gcc (Ubuntu 9.4.0-1ubuntu1~20.04.2) 9.4.0";
        for (command, text, env, links) in [
            ("gcc -c a.c", GCC, "TERM=xterm-256color", true),
            ("gcc -c a.c", nine, "TERM=xterm-256color", false),
            ("clang -c a.c", CLANG, "TERM=xterm-256color", false),
            ("gcc -c a.c", GCC, "TERM=xterm", false),
            ("gcc -c a.c", GCC, "TERM=xterm COLORTERM=truecolor", true),
            ("gcc -c a.c", GCC, "TERM=linux GCC_URLS=st", true),
            (
                "gcc -c a.c",
                GCC,
                "TERM=screen COLORTERM=gnome-terminal GCC_URLS=st",
                false,
            ),
            ("gcc -ggdb -c a.c", GCC, "TERM=xterm-256color", false),
            (
                "gcc -S -fverbose-asm a.c",
                GCC,
                "TERM=xterm-256color",
                false,
            ),
        ] {
            let made = made(command, text, env);
            let found = made.contains("-fdiagnostics-urls=always");
            assert_eq!(found, links, "{env} {command}, {text}");
        }
    }

    #[test]
    fn variables_follow_the_terminal() {
        let mut env = set("TERM=xterm CARGO_TERM_COLOR=never");
        environment(&mut env);
        assert_eq!(get(&env, "CARGO_TERM_COLOR"), Some(OsStr::new("never")));
        assert_eq!(get(&env, "CLICOLOR_FORCE"), Some(OsStr::new("1")));
        let added = |given: &str| {
            let mut env = set(given);
            environment(&mut env);
            env.len() - set(given).len()
        };
        for none in ["TERM=dumb", "", "TERM=xterm NO_COLOR=1"] {
            assert_eq!(added(none), 0, "{none}");
        }
        assert_eq!(added("TERM=xterm"), 3);
        assert_eq!(added("TERM=xterm CLICOLOR=0"), 1, "not cargo");
    }
}
