//! The cheap sieve in front of the shell lexer: could this text name one of our tools at all?
//!
//! Every accepted command's word contains one of these; nothing else is promised. Nine scans with
//! vector instructions over a command line cost less than reading its first word.

use memchr::memmem;

const KEYWORDS: &[&[u8]] = &[
    b"cargo", b"make", b"rustc", b"cc", b"bun", b"ninja", b"clang", b"++", b"meson",
];

/// False if no tool of ours is named anywhere in `text`.
pub fn mentioned(text: &[u8]) -> bool {
    KEYWORDS.iter().any(|k| memmem::find(text, k).is_some())
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
