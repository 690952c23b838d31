//! The grammar: lists, pipelines, simple commands and their redirections.
//!
//! Recursive descent over the bytes, with a depth limit. What a command's standard input is matters
//! here, because a build that is fed data stays: `fed` is inherited by everything inside a compound
//! command, from a pipe before it or a redirection after it. All words of a text stand in one vector
//! and commands are ranges of it: a vector each was half of the time that reading took, spent by the
//! kernel on mapping memory.

use super::scan::{CONTROL, Draft, is, is_meta};
use super::word::{Shape, Word};
use super::{DEEPEST, LONGEST, Left};

/// One simple command; its words are the script's to give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Simple {
    /// Where its assignments, and then its words, begin among all words; and where they end.
    assigns: usize,
    first: usize,
    end: usize,
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
    pub commands: Vec<Simple>,
    words: Vec<Word<'a>>,
    /// Names of the functions the text defines.
    pub functions: Vec<&'a [u8]>,
    /// One simple command and no operator, redirection or substitution at all.
    pub simple: bool,
}

impl Simple {
    pub(super) fn words<'s, 'a>(&self, all: &'s [Word<'a>]) -> &'s [Word<'a>] {
        all.get(self.first..self.end).unwrap_or(&[])
    }
}

impl<'a> Script<'a> {
    /// The command word and its arguments; empty for mere assignments or redirections.
    pub fn words(&self, command: &Simple) -> &[Word<'a>] {
        command.words(&self.words)
    }

    /// The assignments in front.
    pub fn assigns(&self, command: &Simple) -> &[Word<'a>] {
        let range = command.assigns..command.first;
        self.words.get(range).unwrap_or(&[])
    }
}

pub(super) struct Parser<'a> {
    pub(super) src: &'a [u8],
    pub(super) pos: usize,
    pub(super) out: Vec<Simple>,
    /// Words of the commands in `out`.
    pub(super) words: Vec<Word<'a>>,
    /// Words of commands that are not complete yet, the innermost last.
    pending: Vec<Word<'a>>,
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
    if let Some(at) = src.iter().position(|&b| is(b, CONTROL)) {
        return Err(Left::Odd(at));
    }
    let mut parser = Parser {
        src,
        pos: 0,
        // Somewhat more than texts usually need; memory that is not touched costs nothing.
        out: Vec::with_capacity((src.len() / 12).saturating_add(1)),
        words: Vec::with_capacity((src.len() / 5).saturating_add(1)),
        pending: Vec::new(),
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
        words: parser.words,
        functions: parser.functions,
        simple,
    })
}

/// Reserved words that end a list.
fn ends_list(raw: &[u8]) -> bool {
    matches!(
        raw,
        b"then" | b"do" | b"done" | b"fi" | b"elif" | b"else" | b"esac" | b"}"
    )
}

/// Words that only mean something elsewhere in the grammar, or begin what is not handled.
fn is_stray(raw: &[u8]) -> bool {
    matches!(raw, b"in" | b"select" | b"coproc" | b"]]" | b"!" | b"{")
}

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
            Some(b't' | b'd' | b'f' | b'e' | b'}') => ends_list(self.raw()),
            Some(_) => false,
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
        // Until it is complete, places among the pending words.
        let assigns = self.pending.len();
        let mut simple = Simple {
            assigns,
            first: assigns,
            end: assigns,
            fed: self.fed,
            redirected: false,
            writes: false,
            inert: self.inert,
        };
        let raw = self.raw();
        // A name continued on the next line could be a reserved word.
        if ends_list(raw) || is_stray(raw) || raw.ends_with(b"\\") {
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
        if simple.end == simple.assigns && !simple.redirected {
            return self.odd();
        }
        self.complete(simple);
        Ok(())
    }

    /// Moves a command's words to their final place.
    fn complete(&mut self, simple: Simple) {
        let base = self.words.len();
        let moved = |at: usize| at.saturating_sub(simple.assigns).saturating_add(base);
        self.words.extend(self.pending.drain(simple.assigns..));
        self.out.push(Simple {
            assigns: base,
            first: moved(simple.first),
            end: moved(simple.end),
            ..simple
        });
    }

    /// One assignment or word.
    fn argument(&mut self, simple: &mut Simple) -> Result<(), Left> {
        let raw = self.raw();
        let assignment = simple.first == simple.end && is_assignment(raw);
        let word = self.word()?;
        if assignment && self.peek() == Some(b'(') {
            if !raw.ends_with(b"=") {
                return self.odd();
            }
            self.array()?;
        }
        self.pending.push(word);
        simple.end = self.pending.len();
        if assignment {
            simple.first = simple.end;
        }
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
    fn function(&mut self, simple: &Simple) -> Result<(), Left> {
        let Some([name]) = self.pending.get(simple.assigns..) else {
            return self.odd();
        };
        if simple.assigns != simple.first || simple.redirected || !name.is_plain() {
            return self.odd();
        }
        let name = self.src.get(name.start..name.end).unwrap_or(b"");
        self.pending.truncate(simple.assigns);
        self.bump(1);
        self.blanks();
        self.expect(b")")?;
        self.body(name)
    }

    /// One redirection, if one stands here.
    ///
    /// # Errors
    /// `HereDocument`, or `Odd` for forms that are not handled.
    fn redirection(&mut self, seen: &mut Seen) -> Result<bool, Left> {
        if !matches!(self.peek(), Some(b'<' | b'>' | b'&' | b'0'..=b'9')) {
            return Ok(false);
        }
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
