//! Expansions: `$x`, `${…}`, `$(…)`, `$((…))`, backticks, `$'…'`.
//!
//! Commands inside `$(…)` are read like any others, within double quotes too, since that is code and
//! not text. Those in backticks are stepped over: their escapes would have to be undone first. A
//! number from `nproc`, arithmetic or `$#` is known to be one word of digits.

use super::Left;
use super::parse::Parser;
use super::scan::Draft;
use super::word::{Shape, Word};

/// How an expansion counts in a word, by whether double quotes surround it.
fn part(quoted: bool) -> Shape {
    if quoted { Shape::One } else { Shape::Any }
}

impl<'a> Parser<'a> {
    /// What begins with `$`.
    pub(super) fn dollar(&mut self, draft: &mut Draft, quoted: bool) -> Result<(), Left> {
        match self.peek_at(1) {
            Some(b'(') if self.peek_at(2) == Some(b'(') => {
                draft.unplain(self.src);
                self.bump(3);
                self.arithmetic()?;
                // Arithmetic may be negative; only a leading minus would matter.
                draft.open(Shape::One);
            }
            Some(b'(') => {
                draft.unplain(self.src);
                self.bump(2);
                let number = self.substitution()?;
                draft.open(if number { Shape::Number } else { part(quoted) });
            }
            Some(b'{') => {
                draft.unplain(self.src);
                self.bump(2);
                let many = self.parameter(quoted)?;
                draft.open(if many { Shape::Any } else { part(quoted) });
            }
            Some(b'[') => return self.odd(),
            Some(b'\'') if !quoted => self.ansi(draft)?,
            Some(b'"') if !quoted => {
                draft.unplain(self.src);
                draft.open(Shape::One);
                self.bump(1);
                self.double(draft)?;
            }
            Some(b) => self.variable(b, draft, quoted),
            None => self.literal(draft),
        }
        Ok(())
    }

    fn literal(&mut self, draft: &mut Draft) {
        self.bump(1);
        draft.push(b"$");
    }

    /// `$name`, `$1`, `$?` and their like, or a lone `$`.
    fn variable(&mut self, b: u8, draft: &mut Draft, quoted: bool) {
        let name = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        match b {
            b'@' => draft.open(Shape::Any),
            b'#' | b'?' | b'$' => draft.open(Shape::Number),
            b'*' | b'-' | b'!' | b'0'..=b'9' => draft.open(part(quoted)),
            _ if name(b) => {
                self.bump(1);
                while self.peek().is_some_and(name) {
                    self.bump(1);
                }
                draft.unplain(self.src);
                draft.open(part(quoted));
                return;
            }
            _ => return self.literal(draft),
        }
        draft.unplain(self.src);
        self.bump(2);
    }

    /// `$'…'`: literal unless it holds escapes, which are not decoded.
    fn ansi(&mut self, draft: &mut Draft) -> Result<(), Left> {
        draft.unplain(self.src);
        self.bump(2);
        loop {
            match self.peek() {
                None => return self.odd(),
                Some(b'\'') => {
                    self.bump(1);
                    return Ok(());
                }
                Some(b'\\') => {
                    self.bump(2);
                    draft.open(Shape::One);
                }
                Some(b) => {
                    self.bump(1);
                    draft.push(&[b]);
                }
            }
        }
    }

    pub(super) fn backtick(&mut self, draft: &mut Draft, quoted: bool) -> Result<(), Left> {
        draft.unplain(self.src);
        self.bump(1);
        let start = self.pos;
        loop {
            match self.peek() {
                None => return self.odd(),
                Some(b'\\') => self.bump(2),
                Some(b'`') => break,
                Some(_) => self.bump(1),
            }
        }
        let inner = self.src.get(start..self.pos).unwrap_or(b"");
        self.bump(1);
        let number = inner == b"nproc";
        draft.open(if number { Shape::Number } else { part(quoted) });
        Ok(())
    }

    /// The inside of `$(`; true if it surely prints one number.
    fn substitution(&mut self) -> Result<bool, Left> {
        let before = self.out.len();
        self.nested(|p| {
            p.list()?;
            p.expect(b")")
        })?;
        let Some([only]) = self.out.get(before..) else {
            return Ok(false);
        };
        let words = only.words(&self.words);
        let name = words.first().and_then(Word::value);
        Ok(name == Some(b"nproc")
            && !only.redirected
            && words.iter().all(|w| w.shape <= Shape::Number))
    }

    /// The inside of `$((` or `((`, up to and with `))`.
    pub(super) fn arithmetic(&mut self) -> Result<(), Left> {
        let mut scratch = self.scratch();
        let mut depth = 0u32;
        loop {
            match self.peek() {
                None | Some(b'\'' | b'"' | b'\\' | b'`' | b';' | b'{') => return self.odd(),
                Some(b'$') => self.dollar(&mut scratch, true)?,
                Some(b'(') => {
                    depth = depth.saturating_add(1);
                    self.bump(1);
                }
                Some(b')') if depth > 0 => {
                    depth = depth.saturating_sub(1);
                    self.bump(1);
                }
                Some(b')') => return self.expect(b"))"),
                Some(_) => self.bump(1),
            }
        }
    }

    /// The inside of `${`, up to and with `}`; true if it may become several words even in quotes.
    fn parameter(&mut self, quoted: bool) -> Result<bool, Left> {
        let mut scratch = self.scratch();
        if matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'|' | b'}')) {
            return self.odd();
        }
        let mut many = self.peek() == Some(b'!');
        loop {
            match self.peek() {
                None | Some(b'{' | b'(' | b'<' | b'>') => return self.odd(),
                Some(b'}') => {
                    self.bump(1);
                    return Ok(many);
                }
                Some(b'$') if matches!(self.peek_at(1), Some(b'\'' | b'"')) => return self.odd(),
                Some(b'$') => self.dollar(&mut scratch, true)?,
                Some(b'\'' | b'"') if quoted => return self.odd(),
                Some(b'\'') => self.single(&mut scratch)?,
                Some(b'"') => self.double(&mut scratch)?,
                Some(b'`') => self.backtick(&mut scratch, true)?,
                Some(b'\\') => self.bump(2),
                Some(b) => {
                    many |= b == b'@';
                    self.bump(1);
                }
            }
        }
    }
}
