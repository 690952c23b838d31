//! The bytes of a text: position, blanks, comments, and single words with their quotes.
//!
//! It moves over bytes and knows words, not commands; where one byte is not understood it says so, and
//! the whole text is left alone. Bytes that mean nothing are stepped over in runs, found by a table: byte
//! by byte, a long command line costs three times as much.

use std::borrow::Cow;

use super::parse::Parser;
use super::word::{Shape, Word};
use super::{Left, Shape::Fixed};

/// Ends a word.
const META: u8 = 1;
/// Means something within a word.
const SPECIAL: u8 = 2;
/// Means something within double quotes.
const QUOTED: u8 = 4;
/// Never stands in a text that is read.
pub(super) const CONTROL: u8 = 8;

static CLASSES: [u8; 256] = classes();

#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "only the compiler runs it"
)]
const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut b = 0;
    while b < 256 {
        table[b] = match b as u8 {
            b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')' => META,
            b'"' | b'\\' | b'$' | b'`' => SPECIAL | QUOTED,
            b'\'' | b'*' | b'?' | b'[' | b'{' | b'~' => SPECIAL,
            0..b' ' | 0x7f => CONTROL,
            _ => 0,
        };
        b += 1;
    }
    table
}

/// Whether `b` is of one of `classes`.
#[inline(always)]
pub(super) fn is(b: u8, classes: u8) -> bool {
    CLASSES
        .get(usize::from(b))
        .is_some_and(|c| c & classes != 0)
}

pub(super) fn is_meta(b: u8) -> bool {
    is(b, META)
}

/// A word in the making. The value stays borrowed as long as the source spells it.
pub(super) struct Draft {
    start: usize,
    /// Set once the value differs from the source's bytes.
    owned: Option<Vec<u8>>,
    /// Length of the certain beginning while it is still borrowed.
    plain: usize,
    pub(super) shape: Shape,
    tail: bool,
}

impl Draft {
    pub(super) fn new(start: usize) -> Draft {
        Draft {
            start,
            owned: None,
            plain: 0,
            shape: Fixed,
            tail: false,
        }
    }

    /// Appends bytes of certain value.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        match (self.shape, &mut self.owned) {
            _ if bytes.is_empty() => {}
            (Fixed, Some(text)) => text.extend_from_slice(bytes),
            (Fixed, None) => self.plain = self.plain.saturating_add(bytes.len()),
            (Shape::Number, _) => {
                self.shape = Shape::One;
                self.tail = true;
            }
            (_, _) => self.tail = true,
        }
    }

    /// From here on the value is no longer spelt by the source.
    pub(super) fn unplain(&mut self, src: &[u8]) {
        if self.owned.is_none() {
            let end = self.start.saturating_add(self.plain);
            self.owned = Some(src.get(self.start..end).unwrap_or(b"").to_vec());
        }
    }

    /// Something of shape `part` follows.
    pub(super) fn open(&mut self, part: Shape) {
        self.shape = match (self.shape, part) {
            (Fixed, part) => part,
            (old, Fixed) => old,
            (Shape::Number, Shape::Number) => Shape::Number,
            (old, part) => old.max(part).max(Shape::One),
        };
    }
}

impl<'a> Parser<'a> {
    #[inline(always)]
    pub(super) fn peek(&self) -> Option<u8> {
        self.src.get(self.pos).copied()
    }

    pub(super) fn peek_at(&self, ahead: usize) -> Option<u8> {
        self.src.get(self.pos.saturating_add(ahead)).copied()
    }

    #[inline(always)]
    pub(super) fn rest(&self) -> &'a [u8] {
        self.src.get(self.pos..).unwrap_or(b"")
    }

    #[inline(always)]
    pub(super) fn bump(&mut self, by: usize) {
        self.pos = self.pos.saturating_add(by).min(self.src.len());
    }

    pub(super) fn odd<T>(&self) -> Result<T, Left> {
        Err(Left::Odd(self.pos))
    }

    /// Whether `text` stands here. Mostly the first byte tells, without a call.
    #[inline(always)]
    fn stands(&self, text: &[u8]) -> bool {
        self.peek() == text.first().copied() && self.rest().starts_with(text)
    }

    /// Steps over `text` if it stands here.
    #[inline(always)]
    pub(super) fn eat(&mut self, text: &[u8]) -> bool {
        let there = self.stands(text);
        if there {
            self.bump(text.len());
        }
        there
    }

    /// # Errors
    /// `Odd` if `text` does not stand here.
    pub(super) fn expect(&mut self, text: &[u8]) -> Result<(), Left> {
        if self.eat(text) { Ok(()) } else { self.odd() }
    }

    /// Blanks, continued lines, and a comment up to its newline.
    pub(super) fn blanks(&mut self) {
        loop {
            match self.peek() {
                Some(b' ' | b'\t') => self.bump(1),
                Some(b'\\') if self.peek_at(1) == Some(b'\n') => self.bump(2),
                Some(b'#') => {
                    let rest = self.rest();
                    let line = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
                    self.bump(line);
                }
                _ => return,
            }
        }
    }

    pub(super) fn lines(&mut self) {
        self.blanks();
        while self.eat(b"\n") {
            self.blanks();
        }
    }

    /// The run of bytes here up to the next one of `classes`.
    fn run(&self, classes: u8) -> &'a [u8] {
        let rest = self.rest();
        let end = rest.iter().position(|&b| is(b, classes));
        rest.get(..end.unwrap_or(rest.len())).unwrap_or(b"")
    }

    /// The run of bytes here up to the next blank or operator, as it is spelt.
    pub(super) fn raw(&self) -> &'a [u8] {
        self.run(META)
    }

    /// Steps over the reserved word `name`.
    #[inline(always)]
    pub(super) fn reserved(&mut self, name: &[u8]) -> bool {
        let there = self.stands(name) && self.peek_at(name.len()).is_none_or(is_meta);
        if there {
            self.bump(name.len());
        }
        there
    }

    /// Reads the word that begins here.
    ///
    /// # Errors
    /// `Odd` if none does, or for what is not understood within it.
    pub(super) fn word(&mut self) -> Result<Word<'a>, Left> {
        let start = self.pos;
        let mut draft = Draft::new(start);
        loop {
            let run = self.run(META | SPECIAL);
            draft.push(run);
            self.bump(run.len());
            let Some(b) = self.peek().filter(|&b| !is_meta(b)) else {
                break;
            };
            match b {
                b'\'' => self.single(&mut draft)?,
                b'"' => self.double(&mut draft)?,
                b'\\' => self.escape(&mut draft)?,
                b'$' => self.dollar(&mut draft, false)?,
                b'`' => self.backtick(&mut draft, false)?,
                b'~' => {
                    self.bump(1);
                    draft.push(b"~");
                    draft.open(Shape::One);
                }
                // A glob or braces.
                _ => {
                    self.bump(1);
                    draft.open(Shape::Some);
                }
            }
        }
        if self.pos == start {
            return self.odd();
        }
        Ok(self.finish(draft))
    }

    fn finish(&self, draft: Draft) -> Word<'a> {
        let end = draft.start.saturating_add(draft.plain);
        let text = match draft.owned {
            Some(text) => Cow::Owned(text),
            None => Cow::Borrowed(self.src.get(draft.start..end).unwrap_or(b"")),
        };
        Word {
            start: draft.start,
            end: self.pos,
            text,
            shape: draft.shape,
            tail: draft.tail,
        }
    }

    fn escape(&mut self, draft: &mut Draft) -> Result<(), Left> {
        draft.unplain(self.src);
        match self.peek_at(1) {
            None => return self.odd(),
            Some(b'\n') => {}
            Some(b) => draft.push(&[b]),
        }
        self.bump(2);
        Ok(())
    }

    pub(super) fn single(&mut self, draft: &mut Draft) -> Result<(), Left> {
        draft.unplain(self.src);
        self.bump(1);
        let rest = self.rest();
        let Some(len) = memchr::memchr(b'\'', rest) else {
            return self.odd();
        };
        draft.push(rest.get(..len).unwrap_or(b""));
        self.bump(len.saturating_add(1));
        Ok(())
    }

    pub(super) fn double(&mut self, draft: &mut Draft) -> Result<(), Left> {
        draft.unplain(self.src);
        self.bump(1);
        loop {
            let run = self.run(QUOTED);
            draft.push(run);
            self.bump(run.len());
            match (self.peek(), self.peek_at(1)) {
                (None, _) => return self.odd(),
                (Some(b'"'), _) => {
                    self.bump(1);
                    return Ok(());
                }
                (Some(b'$'), _) => self.dollar(draft, true)?,
                (Some(b'`'), _) => self.backtick(draft, true)?,
                (Some(b'\\'), Some(b'\n')) => self.bump(2),
                (Some(b'\\'), Some(b @ (b'$' | b'`' | b'"' | b'\\'))) => {
                    draft.push(&[b]);
                    self.bump(2);
                }
                (Some(b), _) => {
                    draft.push(&[b]);
                    self.bump(1);
                }
            }
        }
    }
}
