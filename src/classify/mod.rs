//! Decides which commands are sent away.
//!
//! One judge for three callers: the hook, which sees words before the shell expands them; `rch exec`,
//! which sees them after; and `rch-wkr`, which runs nothing else. Because the judge accepts an open
//! word only where every expansion would be accepted too, what the hook sends is never refused later.
//! The rules are data (`table`, `tables`, `targets`, `wrappers`); this file only walks them. Nothing
//! here opens a file: whether a worker can do the job is not the classifier's business.

mod cc;
pub mod facts;
pub mod flags;
mod harmless;
pub mod keywords;
pub mod names;
pub mod table;
mod tables;
mod targets;
pub mod text;
pub mod wrappers;

use std::ffi::OsString;
use std::fmt;

pub use facts::Facts;

use crate::shell::{Shape, Word};
use flags::{Flag, Item, Walk};
use table::{NEVER, Operands, ROWS, Rest, Row};
use targets::Target;

/// The program family a command word names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    Cargo,
    Rustc,
    Bun,
    /// gcc, g++, clang, clang++, cc, c++ and their versioned and prefixed names.
    Cc,
    Make,
    Ninja,
    Cmake,
    Meson,
}

/// What a command does, as far as slots, timeouts and products depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Build,
    Check,
    Test,
    /// Built remotely, run here.
    Run,
    Doc,
}

/// A command that may be sent away.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    pub tool: Tool,
    pub kind: Kind,
    /// 0 to 1; see the head of `table` for what the levels stand for.
    pub confidence: f32,
    pub facts: Facts,
}

/// Why a command stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// No tool of ours, or a subcommand that does not compile.
    NotCompile,
    /// Edits sources, products or the machine.
    Mutates,
    /// Asks something: help, version, a listing, a dry run.
    Query,
    /// Runs until stopped, looking for changes.
    Watch,
    /// Interactive, or starts something that stays.
    Daemon,
    /// Reads its source from standard input.
    Stdin,
    /// A flag or word that no rule knows.
    Unknown,
    /// What it means depends on an expansion.
    Unfixed,
    /// Named by a path: it means that very program.
    Path,
    /// Accepted, but with less confidence than the threshold.
    Unsure,
}

impl Why {
    /// For people, with the word it is about.
    pub fn text(self) -> &'static str {
        match self {
            Why::NotCompile => "not a compile command",
            Why::Mutates => "changes sources or the machine",
            Why::Query => "only asks a question",
            Why::Watch => "watches for changes",
            Why::Daemon => "interactive, or leaves something running",
            Why::Stdin => "reads its source from standard input",
            Why::Unknown => "no rule knows this",
            Why::Unfixed => "depends on an expansion by the shell",
            Why::Path => "named by a path, which means that very program",
            Why::Unsure => "less certain than the threshold",
        }
    }
}

/// Why, and the word that decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub why: Why,
    pub word: String,
}

impl Refusal {
    pub fn new(why: Why, word: &[u8]) -> Refusal {
        let word = String::from_utf8_lossy(word.get(..80).unwrap_or(word)).into_owned();
        Refusal { why, word }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: '{}'", self.why.text(), self.word.escape_debug())
    }
}

/// Judges one simple command's argument vector (no shell involved).
///
/// # Errors
/// Why it must not be sent away.
pub fn argv(argv: &[OsString]) -> Result<Accepted, Refusal> {
    let words: Vec<Word<'_>> = argv
        .iter()
        .map(|a| Word::fixed(a.as_encoded_bytes()))
        .collect();
    judge(&words)
}

/// As `argv`, refusing what is less certain than `threshold`.
///
/// # Errors
/// Why it must not be sent away.
pub fn confident(args: &[OsString], threshold: f64) -> Result<Accepted, Refusal> {
    let accepted = argv(args)?;
    let word = args
        .first()
        .map_or(b"".as_slice(), |a| a.as_encoded_bytes());
    above(accepted, threshold, word)
}

pub(crate) fn above(accepted: Accepted, threshold: f64, word: &[u8]) -> Result<Accepted, Refusal> {
    // Half a thousandth of play: 0.85 as f32 and as f64 are not the same number.
    if f64::from(accepted.confidence) + 0.0005 < threshold {
        return Err(Refusal::new(Why::Unsure, word));
    }
    Ok(accepted)
}

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
            Some(Item::Option(flag, value)) => flags::apply(flag, value, facts)?,
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
            if one.as_bytes() != name || (!two.is_empty() && two.as_bytes() != second) {
                continue;
            }
            facts.subcommand = row.names.first().copied().unwrap_or("");
            let skip = usize::from(!two.is_empty());
            return Ok((row, rest.get(skip..).unwrap_or(&[])));
        }
    }
    let never = NEVER
        .iter()
        .find(|(t, names, _)| *t == tool && names.iter().any(|n| n.as_bytes() == name));
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
                Item::Option(flag, value) => self.option(flag, value)?,
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

    fn option(
        &mut self,
        flag: &'static Flag,
        value: Option<flags::Value<'_>>,
    ) -> Result<(), Refusal> {
        flags::apply(flag, value, &mut self.facts)?;
        if let (flags::Act::Target, Some(v)) = (flag.act, value) {
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
                        Item::Option(flag, value) => self.native(flag, value)?,
                        Item::Operand(word) => self.make_word(word)?,
                        Item::End => return Err(Refusal::new(Why::Unknown, b"--")),
                    }
                }
            }
        }
        Ok(())
    }

    /// A flag for the build system beneath cmake, which may be either: only those alike in both.
    fn native(
        &mut self,
        flag: &'static Flag,
        value: Option<flags::Value<'_>>,
    ) -> Result<(), Refusal> {
        let name = flag.names.first().copied().unwrap_or("");
        match name {
            "-j" => flags::apply(flag, value, &mut self.facts),
            "-k" | "-l" | "-i" | "-B" | "-w" | "-d" | "-O" => Ok(()),
            _ => Err(Refusal::new(Why::Unknown, name.as_bytes())),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Accepted, Refusal> {
        let args: Vec<OsString> = text.split(' ').map(OsString::from).collect();
        argv(&args)
    }

    #[test]
    fn accepts_what_compiles() {
        for text in [
            "cargo build",
            "cargo +nightly -v b -r -j8 -p a --bin=x",
            "cargo nextest run -E test(a) -P ci",
            "cargo test a::b --release -- --nocapture --help",
            "cargo run --release -- --help",
            "cargo clippy --all-targets -- -D warnings",
            "rustc +1.80 -O -Copt-level=3 a.rs -o a",
            "gcc -c -O2 -Wall -Iinc a.c -o a.o",
            "make -kj8 CC=clang check",
            "ninja -C build all",
            "cmake --build build -j 8 --target all -- -k",
            "meson compile -C b",
            "bun test --timeout 5000 a.test.ts",
        ] {
            let accepted = of(text).unwrap_or_else(|r| panic!("{text}: {r}"));
            assert!(accepted.confidence >= 0.85, "{text}");
        }
    }

    #[test]
    fn keeps_what_does_not() {
        for (text, why) in [
            ("cargo fmt", Why::Mutates),
            ("cargo clippy --fix", Why::Mutates),
            ("cargo build -p --help", Why::Query),
            ("cargo nextest list", Why::NotCompile),
            ("cargo", Why::Query),
            ("cargo build --frobnicate", Why::Unknown),
            ("cargo doc --open", Why::Daemon),
            ("/usr/bin/cargo build", Why::Path),
            ("rustc --print cfg", Why::Query),
            ("rustc -C help a.rs", Why::Query),
            ("rustc -", Why::Stdin),
            ("gcc -v", Why::Query),
            ("gcc -x c -", Why::Stdin),
            ("gcc @args", Why::Unknown),
            ("make -n", Why::Query),
            ("make -kn", Why::Query),
            ("make install", Why::Mutates),
            ("make -j 4 docker-build", Why::Mutates),
            ("make MAKEFLAGS=n", Why::Unknown),
            ("ninja -t clean", Why::Query),
            ("cmake -B build", Why::NotCompile),
            ("cmake --build b --target install", Why::Mutates),
            ("bun run build", Why::Mutates),
            ("bun test --watch", Why::Watch),
            ("meson setup b", Why::Mutates),
            ("go build", Why::NotCompile),
        ] {
            assert_eq!(of(text).map(|_| ()).map_err(|r| r.why), Err(why), "{text}");
        }
    }

    #[test]
    fn the_threshold_tells_the_known_from_the_invented() {
        let args: Vec<OsString> = vec!["make".into(), "frobnicate".into()];
        assert_eq!(confident(&args, 0.85).unwrap_err().why, Why::Unsure);
        assert!(confident(&args, 0.70).is_ok());
        assert!(confident(&["make".into()], 0.85).is_ok());
        assert!(confident(&["make".into()], 0.92).is_err());
    }

    #[test]
    fn tells_where_products_go() {
        let facts = of("cargo test --target-dir t --profile=fast --target x86_64-unknown-linux-musl --no-run -j 3")
            .unwrap()
            .facts;
        assert_eq!(facts.subcommand, "test");
        assert_eq!(facts.target_dir, Some("t".into()));
        assert_eq!(facts.profile_dir(), "fast");
        assert_eq!(facts.triples, ["x86_64-unknown-linux-musl"]);
        assert_eq!((facts.no_run, facts.jobs), (true, Some(3)));
        let facts = of("cc -c -march=native -oa.o a.c").unwrap().facts;
        assert_eq!(facts.outputs, ["a.o"]);
        assert!(facts.compile_only && facts.native);
    }
}
