//! The cheap sieve in front of the shell lexer: could this text name one of our tools at all?
//!
//! Every accepted command's word contains one of these at the end of a run of letters and digits
//! (`success` and `bundle` do not); nothing else is promised. One pass, byte by
//! byte: a vector search would first ask the processor what it can (`cpuid`), which traps in a virtual
//! machine; six such questions were measured at a fifth of a whole process's life. A table of pairs
//! finds where a keyword could begin, so that ordinary text is one look-up a byte.

const KEYWORDS: &[&[u8]] = &[
    b"cargo", b"make", b"rustc", b"cc", b"bun", b"ninja", b"clang", b"g++", b"c++", b"meson",
];

/// For a first byte, the second bytes that may follow: a bit for each, by their low five bits.
static PAIRS: [u32; 256] = pairs();

#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "only the compiler runs it"
)]
const fn pairs() -> [u32; 256] {
    let mut table = [0; 256];
    let mut k = 0;
    while k < KEYWORDS.len() {
        table[KEYWORDS[k][0] as usize] |= bit(KEYWORDS[k][1]);
        k += 1;
    }
    table
}

const fn bit(b: u8) -> u32 {
    1 << (b & 31)
}

/// False if no tool of ours is named anywhere in `text`.
pub fn mentioned(text: &[u8]) -> bool {
    let mut before = 0;
    for (at, &b) in text.iter().enumerate() {
        if before & bit(b) != 0 {
            let here = text.get(at.saturating_sub(1)..).unwrap_or(&[]);
            if KEYWORDS.iter().any(|k| begins(here, k)) {
                return true;
            }
        }
        before = PAIRS.get(usize::from(b)).copied().unwrap_or(0);
    }
    false
}

fn begins(here: &[u8], keyword: &[u8]) -> bool {
    let goes_on = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    here.strip_prefix(keyword)
        .is_some_and(|after| !after.first().is_some_and(goes_on))
}

/// The part of `text` behind the first `needle`, found without a question to the processor.
pub fn behind<'a>(text: &'a [u8], needle: &[u8]) -> Option<&'a [u8]> {
    let (first, more) = needle.split_first()?;
    let mut rest = text;
    loop {
        let at = rest.iter().position(|b| b == first)?;
        rest = rest.get(at.saturating_add(1)..)?;
        if let Some(after) = rest.strip_prefix(more) {
            return Some(after);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify::names;

    #[test]
    fn every_tool_is_caught() {
        for name in names::LINKS {
            assert!(mentioned(name.as_bytes()), "{name}");
        }
        assert!(mentioned(b"x86_64-linux-gnu-g++-12"));
        for other in [
            "git status && ls -la | head",
            "grep success access.log; bundle exec rake; cat makefile; i++; cc1",
        ] {
            assert!(!mentioned(other.as_bytes()), "{other}");
        }
        for ours in [
            "a cccc cc",
            "ninja-build",
            "gmake\\nls",
            "clang++-15",
            "(g++)",
        ] {
            assert!(mentioned(ours.as_bytes()), "{ours}");
        }
    }
}
