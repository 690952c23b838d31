//! Reads shell text as bash would, just far enough to know which simple commands stand where.
//!
//! The result is a flat list of simple commands with the byte positions of their words; nothing is
//! ever printed back from it, because re-rendering text is how others broke `2>&1`. It never guesses:
//! a construct that is not understood completely, a here-document, a job in the background or text
//! that bash would reject makes `parse` answer `Left`, and the whole text is left alone. It is
//! stricter than bash in places (`if (x) then`), never laxer where it matters. Not known here: what
//! any command does, aliases, functions from elsewhere.

// What the hook runs cannot panic.
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::unreachable,
        clippy::arithmetic_side_effects
    )
)]

mod compound;
mod expand;
mod parse;
mod scan;
pub mod word;

pub use parse::{Script, Simple, parse};
pub use word::{Shape, Word, quoted};

/// Longest text that is read; agents' clients ask about longer ones anyway.
pub const LONGEST: usize = 64 << 10;

/// Nesting beyond which text is left alone.
pub const DEEPEST: u32 = 40;

/// Why a text is left alone as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// `&`: a job in the background.
    Background,
    HereDocument,
    /// Something at this byte that the lexer does not fully understand.
    Odd(usize),
    /// Longer than `LONGEST` or nested deeper than `DEEPEST`.
    TooBig,
}

impl Left {
    pub fn text(self) -> &'static str {
        match self {
            Left::Background => "a command in the background",
            Left::HereDocument => "a here-document",
            Left::Odd(_) => "shell text that is not fully understood",
            Left::TooBig => "too long or too deeply nested",
        }
    }
}
