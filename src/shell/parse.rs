//! The grammar: lists, pipelines, simple commands and their redirections.
//!
//! Recursive descent over the bytes, with a depth limit. What a command's standard input is matters
//! here, because a build that is fed data stays: `fed` is inherited by everything inside a compound
//! command, from a pipe before it or a redirection after it.

use super::scan::{Draft, is_meta};
use super::word::{Shape, Word};
use super::{DEEPEST, LONGEST, Left};

/// One simple command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Simple<'a> {
    /// The assignments in front.
    pub assigns: Vec<Word<'a>>,
    /// The command word and its arguments; empty for mere assignments or redirections.
    pub words: Vec<Word<'a>>,
    /// Standard input is a pipe or a redirection.
    pub fed: bool,
    /// It has a redirection of its own.
    pub redirected: bool,
    /// One of its redirections may write a file.
    pub writes: bool,
    /// It stands in a function's body: nobody knows when that runs.
    pub inert: bool,
}

/// A whole text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script<'a> {
    /// Every simple command, in the order of their ends.
    pub commands: Vec<Simple<'a>>,
    /// Names of the functions the text defines.
    pub functions: Vec<&'a [u8]>,
    /// One simple command and no operator, redirection or substitution at all.
    pub simple: bool,
}

pub(super) struct Parser<'a> {
    pub(super) src: &'a [u8],
    pub(super) pos: usize,
    pub(super) out: Vec<Simple<'a>>,
    pub(super) functions: Vec<&'a [u8]>,
    depth: u32,
    fed: bool,
    pub(super) inert: bool,
    /// Something other than a simple command was seen.
    pub(super) compound: bool,
}

/// Reads a text.
///
/// # Errors
/// Why it must be left alone.
pub fn parse(src: &[u8]) -> Result<Script<'_>, Left> {
    if src.len() > LONGEST {
        return Err(Left::TooBig);
    }
    let control = |b: &u8| (*b < b' ' && !matches!(b, b'\t' | b'\n')) || *b == 0x7f;
    if let Some(at) = src.iter().position(control) {
        return Err(Left::Odd(at));
    }
    let mut parser = Parser {
        src,
        pos: 0,
        out: Vec::new(),
        functions: Vec::new(),
        depth: 0,
        fed: false,
        inert: false,
        compound: false,
    };
    parser.lines();
    if parser.pos < src.len() {
        parser.list()?;
    }
    if parser.pos < src.len() {
        return parser.odd();
    }
    let simple = !parser.compound && parser.out.len() == 1;
    Ok(Script {
        commands: parser.out,
        functions: parser.functions,
        simple,
    })
}

/// Reserved words that end a list.
const ENDS: &[&[u8]] = &[
    b"then", b"do", b"done", b"fi", b"elif", b"else", b"esac", b"}",
];
/// Words that only mean something elsewhere in the grammar, or begin what is not handled.
const STRAY: &[&[u8]] = &[b"in", b"select", b"coproc", b"]]", b"!", b"{"];

impl<'a> Parser<'a> {
    pub(super) fn scratch(&self) -> Draft {
        Draft::new(self.pos)
    }

    /// Runs `body` one level deeper.
    pub(super) fn nested<T>(
        &mut self,
        body: impl FnOnce(&mut Self) -> Result<T, Left>,
    ) -> Result<T, Left> {
        if self.depth >= DEEPEST {
            return Err(Left::TooBig);
        }
        let fed = self.fed;
        self.compound = true;
        self.depth = self.depth.saturating_add(1);
        let result = body(self);
        self.depth = self.depth.saturating_sub(1);
        self.fed = fed;
        result
    }

    fn at_list_end(&self) -> bool {
        match self.peek() {
            None | Some(b')') => true,
            Some(b';') => matches!(self.peek_at(1), Some(b';' | b'&')),
            Some(_) => ENDS.contains(&self.raw()),
        }
    }

    /// Commands up to what ends a list, which is left standing; at least one.
    pub(super) fn list(&mut self) -> Result<(), Left> {
        self.lines();
        if self.at_list_end() {
            return self.odd();
        }
        while !self.at_list_end() {
            self.and_or()?;
            self.blanks();
            match (self.peek(), self.peek_at(1)) {
                (None | Some(b')'), _) | (Some(b';'), Some(b';' | b'&')) => break,
                (Some(b';' | b'\n'), _) => {
                    self.compound |= self.peek() == Some(b';');
                    self.bump(1);
                    self.lines();
                }
                (Some(b'&'), _) => return Err(Left::Background),
                _ => return self.odd(),
            }
        }
        Ok(())
    }

    fn and_or(&mut self) -> Result<(), Left> {
        self.pipeline()?;
        while self.eat(b"&&") || self.eat(b"||") {
            self.compound = true;
            self.lines();
            self.pipeline()?;
        }
        Ok(())
    }

    fn pipeline(&mut self) -> Result<(), Left> {
        self.prefixes()?;
        let fed = self.fed;
        self.command()?;
        self.blanks();
        while self.peek() == Some(b'|') && self.peek_at(1) != Some(b'|') {
            self.compound = true;
            self.bump(1);
            self.eat(b"&");
            self.lines();
            self.fed = true;
            self.command()?;
            self.blanks();
        }
        self.fed = fed;
        Ok(())
    }

    /// `!` and `time [-p]` before a pipeline.
    fn prefixes(&mut self) -> Result<(), Left> {
        loop {
            self.blanks();
            if self.reserved(b"time") {
                self.compound = true;
                self.blanks();
                let next = self.raw();
                if next == b"-p" {
                    self.bump(2);
                } else if next.first().is_none_or(|&b| b == b'-') {
                    return self.odd();
                }
            } else if self.reserved(b"!") {
                self.compound = true;
            } else {
                return Ok(());
            }
        }
    }

    fn command(&mut self) -> Result<(), Left> {
        self.blanks();
        let before = self.out.len();
        if !self.compound_command()? {
            return self.simple();
        }
        self.compound = true;
        // `done < file` feeds all that is inside.
        let mut seen = Seen::default();
        self.blanks();
        while self.redirection(&mut seen)? {
            self.blanks();
        }
        for inside in self.out.iter_mut().skip(before) {
            inside.fed |= seen.fed;
            inside.writes |= seen.writes;
        }
        Ok(())
    }

    fn simple(&mut self) -> Result<(), Left> {
        let mut simple = Simple {
            assigns: Vec::new(),
            words: Vec::new(),
            fed: self.fed,
            redirected: false,
            writes: false,
            inert: self.inert,
        };
        let raw = self.raw();
        // A name continued on the next line could be a reserved word.
        if ENDS.contains(&raw) || STRAY.contains(&raw) || raw.ends_with(b"\\") {
            return self.odd();
        }
        loop {
            self.blanks();
            let mut seen = Seen::default();
            if self.redirection(&mut seen)? {
                simple.fed |= seen.fed;
                simple.writes |= seen.writes;
                simple.redirected = true;
                self.compound = true;
                continue;
            }
            match self.peek() {
                None | Some(b'\n' | b';' | b'&' | b'|' | b')') => break,
                Some(b'(') => return self.function(&simple),
                Some(_) => self.argument(&mut simple)?,
            }
        }
        if simple.words.is_empty() && simple.assigns.is_empty() && !simple.redirected {
            return self.odd();
        }
        self.out.push(simple);
        Ok(())
    }

    /// One assignment or word.
    fn argument(&mut self, simple: &mut Simple<'a>) -> Result<(), Left> {
        let raw = self.raw();
        if !simple.words.is_empty() || !is_assignment(raw) {
            simple.words.push(self.word()?);
            return Ok(());
        }
        let word = self.word()?;
        if self.peek() == Some(b'(') {
            if !raw.ends_with(b"=") {
                return self.odd();
            }
            self.array()?;
        }
        simple.assigns.push(word);
        Ok(())
    }

    /// `(word word …)` after `name=`.
    fn array(&mut self) -> Result<(), Left> {
        self.compound = true;
        self.bump(1);
        loop {
            self.lines();
            if self.eat(b")") {
                return Ok(());
            }
            self.word()?;
        }
    }

    /// `name() body`, whose `(` stands here.
    fn function(&mut self, simple: &Simple<'a>) -> Result<(), Left> {
        let [name] = simple.words.as_slice() else {
            return self.odd();
        };
        if !simple.assigns.is_empty() || simple.redirected || !name.is_plain() {
            return self.odd();
        }
        self.bump(1);
        self.blanks();
        self.expect(b")")?;
        let name = self.src.get(name.start..name.end).unwrap_or(b"");
        self.body(name)
    }

    /// One redirection, if one stands here.
    ///
    /// # Errors
    /// `HereDocument`, or `Odd` for forms that are not handled.
    fn redirection(&mut self, seen: &mut Seen) -> Result<bool, Left> {
        let digits = self
            .rest()
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .count();
        let (op, next) = (self.peek_at(digits), self.peek_at(digits.saturating_add(1)));
        let both = digits == 0 && op == Some(b'&') && next == Some(b'>');
        if !(both || matches!(op, Some(b'<' | b'>'))) {
            return Ok(false);
        }
        let zero = digits > 0 && self.rest().iter().take(digits).all(|&b| b == b'0');
        self.bump(digits);
        seen.fed |= op == Some(b'<') || zero;
        let from = self.pos;
        if both {
            let _ = self.eat(b"&>>") || self.eat(b"&>");
        } else if self.rest().starts_with(b"<<") && !self.rest().starts_with(b"<<<") {
            return Err(Left::HereDocument);
        } else {
            const OPERATORS: [&[u8]; 8] = [b"<<<", b"<&", b"<>", b">>", b">&", b">|", b"<", b">"];
            let _ = OPERATORS.iter().any(|op| self.eat(op));
        }
        self.blanks();
        if self.peek().is_none_or(is_meta) {
            // Also `<(…)` and `>(…)`.
            return self.odd();
        }
        let operator = self.src.get(from..self.pos).unwrap_or(b"").trim_ascii_end();
        let target = self.word()?;
        let duplicate =
            operator == b">&" && target.text.iter().all(|b| b.is_ascii_digit() || *b == b'-');
        let reads = matches!(operator, b"<" | b"<&" | b"<<<");
        let certain = target.shape == Shape::Fixed;
        seen.writes |= !(certain && (reads || duplicate || &*target.text == b"/dev/null"));
        Ok(true)
    }
}

/// What redirections do to a command.
#[derive(Default)]
struct Seen {
    /// Standard input is something else.
    fed: bool,
    writes: bool,
}

/// `name=…`, `name+=…`, `name[…]=…`, with the name spelt plainly.
fn is_assignment(raw: &[u8]) -> bool {
    let name = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    let len = raw.iter().take_while(|b| name(b)).count();
    let starts = raw.first().is_some_and(|b| !b.is_ascii_digit()) && len > 0;
    let (_, after) = raw.split_at_checked(len).unwrap_or((raw, b""));
    starts
        && match after {
            [b'=', ..] | [b'+', b'=', ..] => true,
            [b'[', index @ ..] => {
                index.windows(2).any(|w| w == b"]=") || index.windows(3).any(|w| w == b"]+=")
            }
            _ => false,
        }
}

impl Simple<'_> {
    /// Whether any word may become something else than it looks.
    pub fn is_open(&self) -> bool {
        self.words.iter().any(|w| w.shape != Shape::Fixed)
    }
}
