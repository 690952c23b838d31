//! The cheap sieve in front of the shell lexer: could this text name one of our tools at all?
//!
//! Every accepted command's word contains one of these; nothing else is promised. One pass, byte by
//! byte: a vector search would first ask the processor what it can (`cpuid`), which traps in a virtual
//! machine; six such questions were measured at a fifth of a whole process's life.

const KEYWORDS: &[&[u8]] = &[
    b"cargo", b"make", b"rustc", b"cc", b"bun", b"ninja", b"clang", b"++", b"meson",
];

/// False if no tool of ours is named anywhere in `text`.
pub fn mentioned(text: &[u8]) -> bool {
    let starts = |b: &u8| matches!(b, b'c' | b'm' | b'r' | b'b' | b'n' | b'+');
    let mut rest = text;
    while let Some(at) = rest.iter().position(starts) {
        let Some(here) = rest.get(at..) else {
            return false;
        };
        if KEYWORDS.iter().any(|k| here.starts_with(k)) {
            return true;
        }
        rest = here.get(1..).unwrap_or(&[]);
    }
    false
}

/// The part of `text` behind the first `needle`, found without a question to the processor.
pub fn behind<'a>(text: &'a [u8], needle: &[u8]) -> Option<&'a [u8]> {
    let at = text
        .windows(needle.len().max(1))
        .position(|w| w == needle)?;
    text.get(at.saturating_add(needle.len())..)
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
        assert!(!mentioned(b"git status && ls -la | head"));
    }
}
