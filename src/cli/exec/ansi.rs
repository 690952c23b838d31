//! Takes escape sequences out of a stream of text, as ECMA-48 shapes them.
//!
//! A sequence may be cut anywhere between two pieces, so the state outlives a call. What begins like
//! a sequence and is none ends at the first byte that cannot belong to it, so that a stray escape
//! never swallows what follows.

/// Where in a sequence the text stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// In none.
    #[default]
    Text,
    /// Behind ESC.
    Escape,
    /// Behind `ESC [`: parameters until a final byte.
    Control,
    /// Behind `ESC ]` and its like: text until BEL or `ESC \`.
    Command,
    /// Behind ESC and an intermediate byte, such as `ESC (`: one more.
    Charset,
}

#[derive(Debug, Default)]
pub(super) struct Strip(State);

impl Strip {
    /// The text without its sequences.
    pub(super) fn strip(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len());
        for &byte in bytes {
            let (next, shown) = step(self.0, byte);
            self.0 = next;
            if shown {
                out.push(byte);
            }
        }
        out
    }
}

/// The state behind a byte, and whether the byte is text.
fn step(state: State, byte: u8) -> (State, bool) {
    use State::{Charset, Command, Control, Escape, Text};
    match (state, byte) {
        (_, 0x1b) => (Escape, false),
        (Text, _) => (Text, true),
        (Escape, b'[') => (Control, false),
        (Escape, b']' | b'P' | b'X' | b'^' | b'_') => (Command, false),
        (Escape, 0x20..=0x2f) => (Charset, false),
        (Escape | Charset, 0x30..=0x7e) => (Text, false),
        (Control, 0x20..=0x3f) => (Control, false),
        (Control, 0x40..=0x7e) => (Text, false),
        (Command, 0x07) => (Text, false),
        (Command, b'\n') => (Text, true),
        (Command, _) => (Command, false),
        (Escape | Charset | Control, _) => (Text, true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_go_and_text_stays_wherever_it_is_cut() {
        let text = b"\x1b[1m\x1b[38;5;9merror\x1b[0m: \x1b]8;;http://x\x1b\\link\x1b]8;;\x07 \x1b(Bend\x1b\nnext\x1b[31\nlast\xc3\xa9";
        let want = b"error: link end\nnext\nlast\xc3\xa9";
        assert_eq!(Strip::default().strip(text), want);
        for cut in 0..text.len() {
            let mut strip = Strip::default();
            let mut got = strip.strip(&text[..cut]);
            got.extend(strip.strip(&text[cut..]));
            assert_eq!(got, want, "cut at {cut}");
        }
    }
}
