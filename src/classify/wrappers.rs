//! Commands that run another command: which word is the one that counts.
//!
//! Each has its own options, so that `timeout -k 5 300 cargo test` is seen through and `nice -n 10`
//! does not end at `10`. A wrapper that would print the inserted words (`time -v`, `timeout -v`),
//! clear the environment, fork into the background or only ask a question is not seen through.

use super::flags::{Act, Flag, Given, Item, Takes, Walk};
use super::table::flag;
use super::{Refusal, Why, is};
use crate::shell::{Shape, Word};
use Act::{Plain, Veto};
use Takes::{Attached, Nothing, Value};
use Why::{Daemon, Query, Unknown};

#[derive(Debug)]
pub struct Wrapper {
    pub name: &'static str,
    /// A program of its own, so that `/usr/bin/NAME` is the same.
    program: bool,
    flags: &'static [&'static [Flag]],
    /// Operands before the command.
    operands: usize,
}

const fn wrapper(
    name: &'static str,
    program: bool,
    operands: usize,
    flags: &'static [&'static [Flag]],
) -> Wrapper {
    Wrapper {
        name,
        program,
        flags,
        operands,
    }
}

const VERBOSE: Flag = flag(&["-v", "--verbose"], Nothing, Veto(Unknown));

pub const WRAPPERS: &[Wrapper] = &[
    wrapper(
        "timeout",
        true,
        1,
        &[&[
            flag(&["-s", "--signal", "-k", "--kill-after"], Value, Plain),
            flag(
                &["-f", "--foreground", "-p", "--preserve-status"],
                Nothing,
                Plain,
            ),
            VERBOSE,
        ]],
    ),
    wrapper(
        "time",
        true,
        0,
        &[&[
            flag(
                &["-p", "--portability", "-a", "--append", "-q", "--quiet"],
                Nothing,
                Plain,
            ),
            flag(&["-o", "--output", "-f", "--format"], Value, Plain),
            VERBOSE,
        ]],
    ),
    wrapper(
        "nice",
        true,
        0,
        &[&[
            flag(&["-n", "--adjustment"], Value, Plain),
            flag(
                &["-0", "-1", "-2", "-3", "-4", "-5", "-6", "-7", "-8", "-9"],
                Attached,
                Plain,
            ),
        ]],
    ),
    wrapper(
        "ionice",
        true,
        0,
        &[&[
            flag(&["-c", "--class", "-n", "--classdata"], Value, Plain),
            flag(&["-t", "--ignore"], Nothing, Plain),
            flag(
                &["-p", "--pid", "-P", "--pgid", "-u", "--uid"],
                Value,
                Veto(Query),
            ),
        ]],
    ),
    wrapper("nohup", true, 0, &[]),
    wrapper(
        "stdbuf",
        true,
        0,
        &[&[flag(
            &["-i", "--input", "-o", "--output", "-e", "--error"],
            Value,
            Plain,
        )]],
    ),
    wrapper(
        "env",
        true,
        0,
        &[&[
            flag(&["-u", "--unset", "-C", "--chdir"], Value, Plain),
            flag(
                &["-i", "--ignore-environment", "-0", "--null"],
                Nothing,
                Veto(Unknown),
            ),
            flag(&["-S", "--split-string"], Value, Veto(Unknown)),
            flag(&["-v", "--debug"], Nothing, Veto(Unknown)),
        ]],
    ),
    wrapper(
        "command",
        false,
        0,
        &[&[flag(&["-v", "-V", "-p"], Nothing, Veto(Query))]],
    ),
    wrapper(
        "exec",
        false,
        0,
        &[&[flag(&["-c", "-l", "-a"], Nothing, Veto(Unknown))]],
    ),
    wrapper(
        "setsid",
        true,
        0,
        &[&[
            flag(&["-w", "--wait", "-c", "--ctty"], Nothing, Plain),
            flag(&["-f", "--fork"], Nothing, Veto(Daemon)),
        ]],
    ),
    wrapper(
        "taskset",
        true,
        1,
        &[&[
            flag(&["-a", "--all-tasks", "-c", "--cpu-list"], Nothing, Plain),
            flag(&["-p", "--pid"], Nothing, Veto(Query)),
        ]],
    ),
    // `rustup run TOOLCHAIN`: the subcommand is checked apart.
    wrapper("rustup", true, 2, &[&[]]),
];

/// The wrapper that `name` calls.
pub fn find(name: &[u8]) -> Option<&'static Wrapper> {
    let path = name.starts_with(b"/");
    let name = match path {
        true => name
            .strip_prefix(b"/usr/bin/".as_slice())
            .or_else(|| name.strip_prefix(b"/bin/".as_slice()))?,
        false => name,
    };
    WRAPPERS
        .iter()
        .find(|w| is(name, w.name) && (w.program || !path))
}

/// The words of the command inside all wrappers.
///
/// # Errors
/// A wrapper's words that cannot be seen through.
pub fn unwrap<'a>(mut words: &'a [Word<'a>]) -> Result<&'a [Word<'a>], Refusal> {
    while let Some((first, rest)) = words.split_first()
        && let Some(wrapper) = first.value().and_then(find)
    {
        words = wrapper.inside(rest)?;
    }
    Ok(words)
}

impl Wrapper {
    fn inside<'a>(&self, words: &'a [Word<'a>]) -> Result<&'a [Word<'a>], Refusal> {
        let mut walk = Walk::new(words, self.flags);
        let mut operands = 0;
        loop {
            let before = walk.rest();
            match walk.item()? {
                Some(Item::Option(Given { flag, name, value })) => {
                    if let Veto(why) = flag.act {
                        return Err(Refusal::new(why, name.as_bytes()));
                    }
                    // `%C` in time's format is the command's own text.
                    let shown = |v: &[u8]| memchr::memmem::find(v, b"%C").is_some();
                    if flag.names.contains(&"--format")
                        && value.is_none_or(|v| !v.whole || shown(v.text))
                    {
                        return Err(Refusal::new(Unknown, self.name.as_bytes()));
                    }
                }
                Some(Item::Operand(word)) if operands == self.operands => {
                    match self.assignment(word)? {
                        true => {}
                        false => return Ok(before),
                    }
                }
                Some(Item::Operand(word)) => {
                    if word.shape >= Shape::Some || !self.takes(operands, word) {
                        return Err(Refusal::new(Why::NotCompile, self.name.as_bytes()));
                    }
                    operands = operands.saturating_add(1);
                }
                Some(Item::End) => {}
                None => return Ok(&[]),
            }
        }
    }

    fn takes(&self, place: usize, word: &Word<'_>) -> bool {
        self.name != "rustup" || place > 0 || word.value() == Some(b"run")
    }

    /// Whether `word` is one of env's assignments.
    fn assignment(&self, word: &Word<'_>) -> Result<bool, Refusal> {
        let refuse = || Err(Refusal::new(Unknown, &word.text));
        match &*word.text {
            _ if self.name != "env" => Ok(false),
            b"-" => refuse(),
            text if memchr::memchr(b'=', text).is_none() => Ok(false),
            _ if word.shape >= Shape::Some || !harmless_assignment(word) => refuse(),
            _ => Ok(true),
        }
    }
}

/// False for a variable that turns a build into something else.
pub fn harmless_assignment(word: &Word<'_>) -> bool {
    let at = memchr::memchr(b'=', &word.text).unwrap_or(0);
    let (name, value) = word.text.split_at_checked(at).unwrap_or((b"", b""));
    match name.strip_suffix(b"+").unwrap_or(name) {
        b"MAKEFLAGS" | b"GNUMAKEFLAGS" | b"MFLAGS" => {
            let value = value.strip_prefix(b"=").unwrap_or(value);
            let value = value.strip_prefix(b"-").unwrap_or(value);
            let jobs = value.strip_prefix(b"j").unwrap_or(b"?");
            word.shape <= Shape::Number && jobs.iter().all(u8::is_ascii_digit)
        }
        b"LD_PRELOAD" | b"BASH_ENV" | b"IFS" => false,
        _ => true,
    }
}
