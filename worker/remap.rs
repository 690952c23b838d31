//! Replacing paths in a stream of bytes, for workers that cannot show a project at its home path.
//!
//! A path is replaced only where it is a whole path or the beginning of one (`/a/b` in `/a/b/c` and
//! in `/a/b:3`, not in `/a/bc`). A match may be cut by the chunks in which output comes, so the end
//! of a chunk that could become one is held back; a test compares every cut with none.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

#[derive(Debug, Clone)]
pub struct Remap {
    /// (what is found, what takes its place); the longest first.
    pairs: Vec<(Vec<u8>, Vec<u8>)>,
    held: Vec<u8>,
}

impl Remap {
    pub fn new(pairs: impl IntoIterator<Item = (PathBuf, PathBuf)>) -> Remap {
        let bytes = |p: PathBuf| p.as_os_str().as_bytes().to_vec();
        let mut pairs: Vec<_> = pairs
            .into_iter()
            .map(|(from, to)| (bytes(from), bytes(to)))
            .collect();
        pairs.sort_by_key(|(from, _)| std::cmp::Reverse(from.len()));
        Remap {
            pairs,
            held: Vec::new(),
        }
    }

    /// What can be passed on now that `chunk` has come.
    pub fn push(&mut self, chunk: &[u8]) -> Vec<u8> {
        if self.pairs.is_empty() {
            return chunk.to_vec();
        }
        let mut text = std::mem::take(&mut self.held);
        text.extend_from_slice(chunk);
        let mut out = Vec::with_capacity(text.len());
        let used = self.replace(&text, &mut out, false);
        self.held = text[used..].to_vec();
        out
    }

    /// What was held back, at the end of the stream.
    pub fn rest(&mut self) -> Vec<u8> {
        let text = std::mem::take(&mut self.held);
        self.all(&text)
    }

    /// Replaces in a text that is whole.
    pub fn all(&self, text: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len());
        self.replace(text, &mut out, true);
        out
    }

    /// Answers how much of `text` was dealt with: all of it if `whole`.
    fn replace(&self, text: &[u8], out: &mut Vec<u8>, whole: bool) -> usize {
        let mut at = 0;
        while at < text.len() {
            let left = &text[at..];
            let found = self.pairs.iter().find(|(from, _)| left.starts_with(from));
            match found.map(|(from, to)| (from.len(), to, left.get(from.len()))) {
                Some((len, to, next)) if ended(&left[..len], next) => {
                    if next.is_none() && !whole {
                        return at;
                    }
                    out.extend_from_slice(to);
                    at += len;
                }
                _ if !whole && self.may_begin(left) => return at,
                _ => {
                    out.push(text[at]);
                    at += 1;
                }
            }
        }
        at
    }

    /// Whether `end` is the beginning of something to be found.
    fn may_begin(&self, end: &[u8]) -> bool {
        self.pairs
            .iter()
            .any(|(from, _)| from.len() > end.len() && from.starts_with(end))
    }
}

/// Whether what was found is whole: a path, before this byte, or words up to a blank.
fn ended(found: &[u8], next: Option<&u8>) -> bool {
    found.ends_with(b" ") || next.is_none_or(|b| !continues(*b))
}

/// Whether a name goes on with this byte.
fn continues(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte >= 0x80 || matches!(byte, b'_' | b'-' | b'+' | b'.' | b'@')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remap() -> Remap {
        Remap::new([
            ("/l/0/root0".into(), "/home/a/p".into()),
            ("/l/0/root1".into(), "/home/a/dep".into()),
        ])
    }

    #[test]
    fn every_cut_gives_what_no_cut_gives() {
        let text = b"error: /l/0/root0/src/x.rs:3 (/l/0/root1) /l/0/root01 //l/0/root0";
        let want = b"error: /home/a/p/src/x.rs:3 (/home/a/dep) /l/0/root01 //home/a/p";
        assert_eq!(remap().all(text), want);
        for cut in 0..text.len() {
            for cut2 in cut..text.len() {
                let mut remap = remap();
                let mut out = remap.push(&text[..cut]);
                out.extend(remap.push(&text[cut..cut2]));
                out.extend(remap.push(&text[cut2..]));
                out.extend(remap.rest());
                assert_eq!(out, want, "{cut} {cut2}");
            }
        }
    }

    #[test]
    fn words_go_whatever_follows() {
        let remap = Remap::new([("/b/wkr run ".into(), PathBuf::new())]);
        assert_eq!(remap.all(b"`/b/wkr run target/a`"), b"`target/a`");
    }

    #[test]
    fn nothing_is_held_without_need() {
        assert_eq!(remap().push(b"Compiling p v0.1.0"), b"Compiling p v0.1.0");
    }
}
