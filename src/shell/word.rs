//! One word of a shell command, as far as its value is known before the shell runs.
//!
//! The hook decides before expansion, `rch exec` after it, and the two must not disagree: a word
//! therefore says how much of its value is certain. Text in quotes without `$` is certain to the
//! last byte; `-j"$N"` is certainly one word that begins with `-j`; `src/*.c` is one or more words
//! that begin with `src/`; a bare `$FLAGS` may be anything, including nothing.

use std::borrow::Cow;

/// What the shell may still do to a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shape {
    /// `text` is the value.
    Fixed,
    /// One word: `text`, then decimal digits (`-j$(nproc)`).
    Number,
    /// One word that begins with `text`.
    One,
    /// One or more words, each beginning with `text` (a glob, braces).
    Some,
    /// Any number of any words.
    Any,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word<'a> {
    /// Where the word stands in the source: bytes `start..end`.
    pub start: usize,
    pub end: usize,
    /// The value after quote removal, or the part of it that is certain.
    pub text: Cow<'a, [u8]>,
    pub shape: Shape,
    /// For `One`: certain text follows the open part, so that there is more than `text`.
    pub tail: bool,
}

impl<'a> Word<'a> {
    /// A word whose value is known, as in an argument vector.
    pub fn fixed(text: &'a [u8]) -> Word<'a> {
        Word {
            start: 0,
            end: text.len(),
            text: Cow::Borrowed(text),
            shape: Shape::Fixed,
            tail: false,
        }
    }

    /// The value, if it is certain.
    pub fn value(&self) -> Option<&[u8]> {
        (self.shape == Shape::Fixed).then_some(&*self.text)
    }

    /// Whether the source spells the value as it is, without quotes or escapes.
    pub fn is_plain(&self) -> bool {
        self.shape == Shape::Fixed && matches!(self.text, Cow::Borrowed(_))
    }
}

/// A word as a shell must read it: as it is, or in single quotes.
pub fn quoted(word: &str) -> String {
    let safe = |b: u8| b.is_ascii_alphanumeric() || b"/._-+@%:,".contains(&b);
    if !word.is_empty() && word.bytes().all(safe) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}
