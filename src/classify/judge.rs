//! One command's words against the rules: find the row, walk the flags, judge operands and targets.
//!
//! It sees words as the lexer left them, so that an argument that the shell has yet to expand is
//! judged as what it is, unknown, and decides only where nothing it could become would matter.

use std::ffi::OsString;

use super::flags::{self, Flag, Given, Item, Walk};
use super::table::{NEVER, Operands, ROWS, Rest, Row};
use super::targets::{self, Target};
use super::{Accepted, Facts, Kind, Refusal, Tool, Why, cc, facts, is, names, tables};
use crate::shell::{Shape, Word};

/// Judges the words of one simple command, without assignments and redirections in front.
///
/// # Errors
/// Why it must not be sent away.
pub fn judge(words: &[Word<'_>]) -> Result<Accepted, Refusal> {
    let (first, args) = words
        .split_first()
        .ok_or_else(|| Refusal::new(Why::NotCompile, b""))?;
    let name = first
        .value()
        .ok_or_else(|| Refusal::new(Why::Unfixed, &first.text))?;
    if memchr::memchr(b'/', name).is_some() {
        return Err(Refusal::new(Why::Path, name));
    }
    let tool = names::tool(name).ok_or_else(|| Refusal::new(Why::NotCompile, name))?;
    let mut facts = Facts::default();
    let (row, args) = find_row(tool, args, &mut facts)?;
    let mut judged = Judged {
        row,
        kind: row.kind,
        confidence: row.confidence,
        facts,
    };
    match tool {
        Tool::Cc => judged.kind = cc::judge(args, &mut judged.facts)?,
        _ => judged.walk(&mut Walk::new(args, row.flags))?,
    }
    judged.finish(name)
}

/// Flags that a tool takes before its subcommand.
fn global_flags(tool: Tool) -> &'static [&'static [Flag]] {
    match tool {
        Tool::Cargo => &[tables::cargo::COMMON],
        Tool::Bun => &[tables::bun::COMMON],
        _ => &[],
    }
}

/// The row of a command and its words after the subcommand.
fn find_row<'a>(
    tool: Tool,
    args: &'a [Word<'a>],
    facts: &mut Facts,
) -> Result<(&'static Row, &'a [Word<'a>]), Refusal> {
    let rows = || ROWS.iter().filter(move |r| r.tool == tool);
    if let Some(row) = rows().find(|r| r.names.is_empty()) {
        return Ok((row, toolchain(tool, args, facts)?));
    }
    let mut walk = Walk::new(toolchain(tool, args, facts)?, global_flags(tool));
    if matches!(tool, Tool::Cmake) {
        // Its subcommand looks like an option.
        return subcommand(tool, walk.word(), walk.rest(), facts);
    }
    loop {
        match walk.item()? {
            Some(Item::Option(given)) => flags::apply(given, facts)?,
            Some(Item::Operand(word)) => return subcommand(tool, Some(word), walk.rest(), facts),
            Some(Item::End) | None => return subcommand(tool, None, walk.rest(), facts),
        }
    }
}

/// Takes a `+toolchain` off the front.
fn toolchain<'a>(
    tool: Tool,
    args: &'a [Word<'a>],
    facts: &mut Facts,
) -> Result<&'a [Word<'a>], Refusal> {
    let Some((first, rest)) = args.split_first() else {
        return Ok(args);
    };
    match (&*first.text, first.shape) {
        _ if !matches!(tool, Tool::Cargo | Tool::Rustc) => Ok(args),
        ([b'+', name @ ..], Shape::Fixed | Shape::One | Shape::Number) => {
            facts.toolchain = Some(facts::os(name));
            Ok(rest)
        }
        _ => Ok(args),
    }
}

fn subcommand<'a>(
    tool: Tool,
    word: Option<&'a Word<'a>>,
    rest: &'a [Word<'a>],
    facts: &mut Facts,
) -> Result<(&'static Row, &'a [Word<'a>]), Refusal> {
    let word = word.ok_or_else(|| Refusal::new(Why::Query, b"no subcommand"))?;
    let name = word
        .value()
        .ok_or_else(|| Refusal::new(Why::Unfixed, &word.text))?;
    let second = rest.first().and_then(Word::value).unwrap_or(b"");
    for row in ROWS.iter().filter(|r| r.tool == tool) {
        for &known in row.names {
            let (one, two) = known.split_once(' ').unwrap_or((known, ""));
            if !is(name, one) || (!two.is_empty() && !is(second, two)) {
                continue;
            }
            facts.subcommand = row.names.first().copied().unwrap_or("");
            let skip = usize::from(!two.is_empty());
            return Ok((row, rest.get(skip..).unwrap_or(&[])));
        }
    }
    let never = NEVER
        .iter()
        .find(|(t, names, _)| *t == tool && names.iter().any(|n| is(name, n)));
    Err(Refusal::new(never.map_or(Why::NotCompile, |n| n.2), name))
}

/// A verdict in the making.
struct Judged {
    row: &'static Row,
    kind: Kind,
    confidence: f32,
    facts: Facts,
}

impl Judged {
    fn walk(&mut self, walk: &mut Walk<'_>) -> Result<(), Refusal> {
        while let Some(item) = walk.item()? {
            match item {
                Item::Option(given) => self.option(given)?,
                Item::Operand(word) if self.row.operands == Operands::Program => {
                    self.facts.operands.push(facts::os(&word.text));
                    return Ok(());
                }
                Item::Operand(word) => self.operand(word)?,
                Item::End => return self.rest(walk),
            }
        }
        Ok(())
    }

    fn option(&mut self, given: Given<'_>) -> Result<(), Refusal> {
        flags::apply(given, &mut self.facts)?;
        if let (flags::Act::Target, Some(v)) = (given.flag.act, given.value) {
            if !v.whole {
                return Err(Refusal::new(Why::Unfixed, v.text));
            }
            self.target(v.text)?;
        }
        Ok(())
    }

    fn operand(&mut self, word: &Word<'_>) -> Result<(), Refusal> {
        let text = &*word.text;
        let refuse = |why| Err(Refusal::new(why, text));
        match self.row.operands {
            Operands::Refuse | Operands::Program => return refuse(Why::Unknown),
            Operands::Filters => {}
            Operands::Inputs if text == b"-" => return refuse(Why::Stdin),
            Operands::Inputs if text.starts_with(b"@") => return refuse(Why::Unknown),
            Operands::Inputs if text.starts_with(b"+") => return refuse(Why::Unknown),
            Operands::Inputs => {}
            Operands::Directory if self.facts.directory.is_some() => {
                // Further targets of `--target a b`, or nonsense.
                let name = word
                    .value()
                    .ok_or_else(|| Refusal::new(Why::Unfixed, text))?;
                if self.facts.operands.is_empty() {
                    return refuse(Why::Unknown);
                }
                self.target(name)?;
            }
            Operands::Directory if word.shape >= Shape::Some => return refuse(Why::Unfixed),
            Operands::Directory => {
                self.facts.directory = Some(facts::os(text));
                return Ok(());
            }
            Operands::Targets => self.make_word(word)?,
        }
        self.facts.operands.push(facts::os(text));
        Ok(())
    }

    /// A word of make's: `NAME=value`, or a target.
    fn make_word(&mut self, word: &Word<'_>) -> Result<(), Refusal> {
        let text = &*word.text;
        if self.row.tool == Tool::Make
            && let Some(at) = memchr::memchr(b'=', text)
        {
            let name = text.get(..at).unwrap_or(b"");
            let name = name
                .strip_suffix(b"+")
                .or_else(|| name.strip_suffix(b":"))
                .unwrap_or(name);
            return match name {
                b"MAKEFLAGS" | b"GNUMAKEFLAGS" | b"MFLAGS" | b"SHELL" => {
                    Err(Refusal::new(Why::Unknown, text))
                }
                _ => Ok(()),
            };
        }
        let name = word
            .value()
            .ok_or_else(|| Refusal::new(Why::Unfixed, text))?;
        self.target(name)
    }

    fn target(&mut self, name: &[u8]) -> Result<(), Refusal> {
        match targets::target(name) {
            Target::Known(Kind::Test) => self.kind = Kind::Test,
            Target::Known(_) => {}
            Target::Unknown => self.facts.unsure = true,
            Target::Never(why) => return Err(Refusal::new(why, name)),
        }
        Ok(())
    }

    /// What follows `--`.
    fn rest(&mut self, walk: &mut Walk<'_>) -> Result<(), Refusal> {
        match self.row.rest {
            Rest::Anything => return Ok(()),
            Rest::Operands => {
                while let Some(word) = walk.word() {
                    if word.shape == Shape::Any
                        || (word.text.is_empty() && word.shape != Shape::Fixed)
                    {
                        return Err(Refusal::new(Why::Unfixed, &word.text));
                    }
                    self.operand(word)?;
                }
            }
            Rest::Native => {
                let mut inner =
                    Walk::new(walk.rest(), &[tables::native::MAKE, tables::native::NINJA]);
                while let Some(item) = inner.item()? {
                    match item {
                        Item::Option(given) => self.native(given)?,
                        Item::Operand(word) => self.make_word(word)?,
                        Item::End => return Err(Refusal::new(Why::Unknown, b"--")),
                    }
                }
            }
        }
        Ok(())
    }

    /// A flag for the build system beneath cmake, which may be either: only those alike in both.
    fn native(&mut self, given: Given<'_>) -> Result<(), Refusal> {
        match given.flag.names.first().copied().unwrap_or("") {
            "-j" => flags::apply(given, &mut self.facts),
            "-k" | "-l" | "-i" | "-B" | "-w" | "-d" | "-O" => Ok(()),
            _ => Err(Refusal::new(Why::Unknown, given.name.as_bytes())),
        }
    }

    fn finish(mut self, name: &[u8]) -> Result<Accepted, Refusal> {
        if self.row.operands == Operands::Inputs && self.facts.operands.is_empty() {
            return Err(Refusal::new(Why::Query, name));
        }
        if self.row.tool == Tool::Cmake && self.facts.directory.is_none() && !self.facts.unsure {
            return Err(Refusal::new(Why::Query, name));
        }
        let foreign = |t: &OsString| !t.as_encoded_bytes().windows(7).any(|w| w == b"-linux-");
        if self.facts.unsure || self.facts.triples.iter().any(foreign) {
            self.confidence = 0.70;
        }
        Ok(Accepted {
            tool: self.row.tool,
            kind: self.kind,
            confidence: self.confidence,
            facts: self.facts,
        })
    }
}
