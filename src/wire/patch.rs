//! A piece of a file, told as a difference to an older version that both ends have.
//!
//! zstd calls it patch-from: the old content is the dictionary of the new. Here it is done piece by
//! piece, each against the old content around the same place, so that memory does not grow with the
//! file. A linker that moves what follows a changed function moves it by far less than the slack.
//!
//! A body is 0 and the XXH3 of a piece that is the same as before, or 1 and a zstd frame (RFC 8878)
//! with its checksum. Either way an end whose old version is not the other's finds out.

use std::ops::Range;

use xxhash_rust::xxh3::xxh3_64;
use zstd::zstd_safe::{CCtx, CParameter, DCtx};

use crate::bytes::{Malformed, Parsed};

/// New content in one message; the last piece of a file may be shorter.
pub const PIECE: usize = 512 << 10;

/// How far before and after its old place content is looked for.
const SLACK: u64 = 512 << 10;

/// Covers a piece and what it may refer to.
const WINDOW_LOG: u32 = 22;

/// zstd sizes its table of places by the piece, and would have forgotten the old content's beginning
/// by its end: one slot for each place that it notes (every third).
const HASH_LOG: u32 = 19;

/// Files below this size are sent whole: the old version would cost more than it saves.
pub const MIN_SIZE: u64 = 1 << 20;

/// Which bytes of an old version of `old_len` bytes the piece at `offset` may refer to.
pub fn window(old_len: u64, offset: u64) -> Range<u64> {
    let end = (offset + PIECE as u64 + SLACK).min(old_len);
    offset.saturating_sub(SLACK).min(end)..end
}

/// The body for `piece`, which stands at `offset`; `old` is what `window` names.
pub fn make(old: &[u8], range: &Range<u64>, offset: u64, piece: &[u8], level: i32) -> Vec<u8> {
    let at = offset.saturating_sub(range.start) as usize;
    if old.get(at..at + piece.len()) == Some(piece) {
        let mut body = vec![0];
        body.extend_from_slice(&xxh3_64(piece).to_le_bytes());
        return body;
    }
    let mut packed = Vec::with_capacity(zstd::zstd_safe::compress_bound(piece.len()));
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

/// The piece of `len` bytes at `offset` that `body` tells of.
///
/// # Errors
/// `Malformed` for anything `make` did not write, or not from this old version.
pub fn apply(
    old: &[u8],
    range: &Range<u64>,
    offset: u64,
    body: &[u8],
    len: usize,
) -> Parsed<Vec<u8>> {
    match body.split_first() {
        Some((0, hash)) => {
            let at = offset.saturating_sub(range.start) as usize;
            let piece = at.checked_add(len).and_then(|end| old.get(at..end));
            let piece = piece.filter(|p| xxh3_64(p).to_le_bytes() == hash);
            piece.map(<[u8]>::to_vec).ok_or(Malformed)
        }
        Some((1, packed)) => {
            let mut piece = Vec::with_capacity(len);
            let mut context = DCtx::create();
            context.ref_prefix(old).map_err(|_| Malformed)?;
            context
                .decompress(&mut piece, packed)
                .map_err(|_| Malformed)?;
            (piece.len() == len).then_some(piece).ok_or(Malformed)
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

    /// Sends `new` to an end that has `old` and answers the bytes it took.
    fn send(old: &[u8], new: &[u8]) -> usize {
        let (mut sent, mut got) = (0, Vec::new());
        for (i, piece) in new.chunks(PIECE).enumerate() {
            let offset = (i * PIECE) as u64;
            let range = window(old.len() as u64, offset);
            let part = &old[range.start as usize..range.end as usize];
            let body = make(part, &range, offset, piece, 1);
            assert!(body.len() <= crate::wire::MAX_BODY);
            sent += body.len();
            got.extend(apply(part, &range, offset, &body, piece.len()).unwrap());
        }
        assert!(got == new);
        sent
    }

    #[test]
    fn what_has_moved_a_little_costs_next_to_nothing() {
        let old = noise(3 * PIECE + 1000);
        let mut new = old.clone();
        new.splice(PIECE + 7..PIECE + 9, *b"a longer function");
        assert!(send(&old, &new) < 2000);
        assert_eq!(send(&old, &old), 4 * 9);
        assert!(send(&old[..5], &new) > 3 * PIECE);
        assert!(send(&old, &new[..PIECE / 2]) < 100);
    }

    #[test]
    fn another_old_version_is_found_out() {
        let (old, range) = (noise(PIECE), window(PIECE as u64, 0));
        let mut other = old.clone();
        other[500] ^= 1;
        let mut new = old.clone();
        new[4000] ^= 1;
        for new in [&old, &new] {
            let body = make(&old, &range, 0, new, 3);
            assert!(apply(&old, &range, 0, &body, PIECE).as_ref() == Ok(new));
            assert_eq!(apply(&other, &range, 0, &body, PIECE), Err(Malformed));
            assert_eq!(apply(&old, &range, 0, &body, PIECE - 1), Err(Malformed));
        }
        assert_eq!(apply(&old, &range, 0, &[], 0), Err(Malformed));
        assert_eq!(apply(&old, &range, 0, &[1, 2, 3], 4), Err(Malformed));
    }
}
