//! A piece of a file, told as a difference to an older version that both ends have.
//!
//! zstd calls it patch-from: the old content is the dictionary of the new. Here it is done piece by
//! piece, each against the old content around the same place, so that memory does not grow with the
//! file. A linker that moves what follows a changed function moves it by far less than the slack.
//!
//! A body is 0, the XXH3 of the piece and where the old version has the same bytes, or 1 and a zstd
//! frame (RFC 8878) with its checksum. Either way an end whose old version is not the other's finds
//! out. Most pieces are only moved, and neither end has to compress those.

use std::io;
use std::ops::Range;

use xxhash_rust::xxh3::xxh3_64;
use zstd::zstd_safe::{CCtx, CParameter, DCtx, compress_bound};

use crate::bytes::{self, Hash, Malformed, Parsed, Reader, Writer};

/// New content in one message; the last piece of a file may be shorter.
pub const PIECE: usize = 512 << 10;

/// How far before and after its old place content is looked for.
const SLACK: u64 = 512 << 10;

/// Covers a piece and what it may refer to.
const WINDOW_LOG: u32 = 22;

/// zstd sizes its table of places by the piece, and would have forgotten the old content's beginning
/// by its end: one slot for each place that it notes (every third).
const HASH_LOG: u32 = 19;

/// So much of a piece is looked for in the old version, to see whether all of it has moved there.
const NEEDLE: usize = 64;

/// Files below this size are sent whole: the old version would cost more than it saves.
pub const MIN_SIZE: u64 = 1 << 20;

/// What tells versions of a file apart: the XXH3 of the XXH3s of its pieces, so that each end hashes
/// every byte once.
#[derive(Debug, Default)]
pub struct Digest {
    whole: Hash,
    piece: Hash,
    filled: usize,
}

impl Digest {
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, rest) = bytes.split_at(bytes.len().min(PIECE - self.filled));
            self.piece.update(now);
            self.filled += now.len();
            bytes = rest;
            if self.filled == PIECE {
                self.end_piece();
            }
        }
    }

    /// A whole piece, or the last, of which the hash is known.
    pub fn piece(&mut self, hash: u64) {
        self.whole.update(&hash.to_le_bytes());
    }

    fn end_piece(&mut self) {
        let piece = std::mem::take(&mut self.piece);
        self.filled = 0;
        self.piece(piece.digest());
    }

    pub fn finish(mut self) -> u64 {
        if self.filled > 0 {
            self.end_piece();
        }
        self.whole.digest()
    }
}

/// Which bytes of an old version of `old_len` bytes the piece at `offset` may refer to.
fn window(old_len: u64, offset: u64) -> Range<u64> {
    let end = (offset + PIECE as u64 + SLACK).min(old_len);
    offset.saturating_sub(SLACK).min(end)..end
}

/// Reads bytes of the old version, instead of what the buffer held. Buffers are kept from piece to
/// piece: fresh pages cost more than what is done with them.
pub type Read<'a> = &'a mut dyn FnMut(Range<u64>, &mut Vec<u8>) -> io::Result<()>;

/// Makes the bodies for one file.
pub struct Maker {
    old_len: u64,
    /// How far the last piece had moved.
    shift: i64,
    old: Vec<u8>,
}

impl Maker {
    pub fn new(old_len: u64) -> Maker {
        Maker {
            old_len,
            shift: 0,
            old: vec![],
        }
    }

    /// The body for `piece`, which stands at `offset` and has this XXH3.
    ///
    /// # Errors
    /// Of `read`.
    pub fn body(
        &mut self,
        read: Read<'_>,
        (offset, piece, hash): (u64, &[u8], u64),
        level: i32,
    ) -> io::Result<Vec<u8>> {
        if let Some(at) = offset.checked_add_signed(self.shift)
            && self.stands(read, at, piece)?
        {
            return Ok(moved(hash, at));
        }
        let range = window(self.old_len, offset);
        read(range.clone(), &mut self.old)?;
        let old = &self.old;
        let needle = piece.get(..NEEDLE);
        let found = needle.and_then(|needle| memchr::memmem::find(old, needle));
        if let Some(found) = found.filter(|f| old[*f..].starts_with(piece)) {
            let at = range.start + found as u64;
            self.shift = at as i64 - offset as i64;
            return Ok(moved(hash, at));
        }
        Ok(packed(old, piece, level))
    }

    fn stands(&mut self, read: Read<'_>, at: u64, piece: &[u8]) -> io::Result<bool> {
        let end = at + piece.len() as u64;
        if end > self.old_len {
            return Ok(false);
        }
        read(at..end, &mut self.old)?;
        Ok(bytes::same(&self.old, piece))
    }
}

fn moved(hash: u64, at: u64) -> Vec<u8> {
    let mut w = Writer::default();
    w.u8(0).u64(hash).u64(at);
    w.0
}

fn packed(old: &[u8], piece: &[u8], level: i32) -> Vec<u8> {
    let mut packed = Vec::with_capacity(compress_bound(piece.len()));
    let mut context = CCtx::create();
    let set = [
        CParameter::CompressionLevel(level),
        CParameter::WindowLog(WINDOW_LOG),
        CParameter::HashLog(HASH_LOG),
        CParameter::ChecksumFlag(true),
    ]
    .into_iter()
    .try_for_each(|p| context.set_parameter(p).map(drop));
    set.and_then(|()| context.ref_prefix(old).map(drop))
        .and_then(|()| context.compress2(&mut packed, piece).map(drop))
        .expect("BUG: zstd refuses to compress");
    packed.insert(0, 1);
    packed
}

/// Puts the piece of `len` bytes at `offset` that `body` tells of into `piece`, and answers its hash;
/// `old_len` is the length of the old version.
///
/// # Errors
/// `Malformed` for anything a `Maker` did not write, or not from this old version.
pub fn apply(
    read: Read<'_>,
    (old_len, offset, len): (u64, u64, usize),
    body: &[u8],
    piece: &mut Vec<u8>,
) -> Parsed<u64> {
    match body.split_first() {
        Some((0, rest)) => {
            let mut r = Reader::new(rest);
            let (hash, at) = (r.u64()?, r.u64()?);
            r.end()?;
            let end = at.checked_add(len as u64).filter(|end| *end <= old_len);
            read(at..end.ok_or(Malformed)?, piece).map_err(|_| Malformed)?;
            (xxh3_64(piece) == hash).then_some(hash).ok_or(Malformed)
        }
        Some((1, packed)) => {
            let mut old = vec![];
            read(window(old_len, offset), &mut old).map_err(|_| Malformed)?;
            piece.clear();
            piece.reserve(len);
            let mut context = DCtx::create();
            context.ref_prefix(&old).map_err(|_| Malformed)?;
            context.decompress(piece, packed).map_err(|_| Malformed)?;
            let whole = piece.len() == len;
            whole.then(|| xxh3_64(piece)).ok_or(Malformed)
        }
        _ => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that do not compress.
    fn noise(len: usize) -> Vec<u8> {
        let mut state = 1u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        };
        (0..len).map(|_| next()).collect()
    }

    fn reader(old: &[u8]) -> impl FnMut(Range<u64>, &mut Vec<u8>) -> io::Result<()> {
        move |range, buf| {
            *buf = old[range.start as usize..range.end as usize].to_vec();
            Ok(())
        }
    }

    fn applied(old: &[u8], place: (u64, u64, usize), body: &[u8]) -> Parsed<(Vec<u8>, u64)> {
        let mut piece = vec![7];
        let hash = apply(&mut reader(old), place, body, &mut piece)?;
        Ok((piece, hash))
    }

    /// Sends `new` to an end that has `old` and answers the bytes it took.
    fn send(old: &[u8], new: &[u8]) -> usize {
        let (mut sent, mut got) = (0, Vec::new());
        let mut maker = Maker::new(old.len() as u64);
        let (mut whole, mut streamed) = (Digest::default(), Digest::default());
        for (i, piece) in new.chunks(PIECE).enumerate() {
            let offset = (i * PIECE) as u64;
            let given = (offset, piece, xxh3_64(piece));
            let body = maker.body(&mut reader(old), given, 1).unwrap();
            assert!(body.len() <= crate::wire::MAX_BODY);
            sent += body.len();
            let place = (old.len() as u64, offset, piece.len());
            let (piece, hash) = applied(old, place, &body).unwrap();
            got.extend(piece);
            whole.piece(hash);
        }
        assert!(got == new);
        for part in new.chunks(100_000) {
            streamed.update(part);
        }
        assert_eq!(whole.finish(), streamed.finish());
        sent
    }

    #[test]
    fn what_has_moved_a_little_costs_next_to_nothing() {
        let old = noise(3 * PIECE + 1000);
        let mut new = old.clone();
        new.splice(PIECE + 7..PIECE + 9, *b"a longer function");
        assert!(send(&old, &new) < 2000);
        assert_eq!(send(&old, &old), 4 * 17);
        assert!(send(&old[..5], &new) > 3 * PIECE);
        assert!(send(&old, &new[..PIECE / 2]) < 100);
    }

    #[test]
    fn another_old_version_is_found_out() {
        let old = noise(PIECE);
        let mut other = old.clone();
        other[500] ^= 1;
        let mut new = old.clone();
        new[4000] ^= 1;
        let place = (PIECE as u64, 0, PIECE);
        for new in [&old, &new] {
            let given = (0, &new[..], xxh3_64(new));
            let body = Maker::new(PIECE as u64).body(&mut reader(&old), given, 3);
            let body = body.unwrap();
            let apply = |old: &[u8], place| applied(old, place, &body);
            assert!(apply(&old, place).is_ok_and(|(piece, _)| piece == **new));
            assert_eq!(apply(&other, place), Err(Malformed));
            assert_eq!(apply(&old, (PIECE as u64, 0, PIECE - 1)), Err(Malformed));
        }
        let mut far = vec![0];
        far.extend([0xff; 16]);
        for body in [&[][..], &[1, 2, 3], &[0, 1], &far] {
            assert_eq!(applied(&old, place, body), Err(Malformed));
        }
    }
}
