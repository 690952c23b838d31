//! The two wire protocols: frames, messages, versions. Pure: bytes in, values out.
//!
//! Both sockets speak the same frames: a length (u32, little-endian, counting what follows the
//! kind), a kind (u8), and the body. `client` holds the messages between `rch` and `rchd`, `worker`
//! those between `rchd` and `rch-wkr serve`, `status` what the daemon tells people. The manual page
//! rch-protocol(7) describes the same bytes for humans.
//!
//! A `PACK` frame stands for the frames inside it, compressed together with zstd (RFC 8878): ten
//! small files share one window, and no message needs to know about compression.

pub mod client;
pub mod patch;
pub mod status;
pub mod worker;

use crate::bytes::{Malformed, Parsed};

/// Both protocols count versions together; either side names both numbers when they differ.
pub const PROTOCOL: u16 = 5;

/// What `--version` says, and what the two ends of a session compare.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Largest body of a frame. Big enough for a manifest chunk, small enough to bound every buffer.
pub const MAX_BODY: usize = 1 << 20;

/// How much file content goes into one `Data` message, and about how much a `PACK` holds unpacked.
pub const CHUNK: usize = 256 << 10;

/// Bytes before the body: length and kind.
pub const HEAD: usize = 5;

/// A worker says this before its first frame, so that whatever a login shell prints can be skipped.
pub const PREAMBLE: &[u8; 8] = b"\0rchwkr\n";

/// How much noise a login shell may print before the preamble.
pub const MAX_NOISE: usize = 64 << 10;

/// The kind of a frame that holds compressed frames.
pub const PACK: u8 = 0x7f;

/// One message as it stands on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    pub kind: u8,
    pub body: &'a [u8],
}

/// Appends a frame; `body` writes the body in place.
pub fn put(out: &mut Vec<u8>, kind: u8, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0, 0, 0, 0, kind]);
    body(out);
    let len = out.len() - start - HEAD;
    assert!(len <= MAX_BODY, "BUG: a frame of {len} bytes");
    out[start..start + 4].copy_from_slice(&(len as u32).to_le_bytes());
}

/// The first whole frame of `bytes` and how many bytes it takes; `None` if more must arrive.
///
/// # Errors
/// `Malformed` if the frame is longer than `MAX_BODY`.
pub fn split(bytes: &[u8]) -> Parsed<Option<(Frame<'_>, usize)>> {
    let Some((head, rest)) = bytes.split_at_checked(HEAD) else {
        return Ok(None);
    };
    let len = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
    if len > MAX_BODY {
        return Err(Malformed);
    }
    Ok(rest.get(..len).map(|body| {
        (
            Frame {
                kind: head[4],
                body,
            },
            HEAD + len,
        )
    }))
}

/// Appends `frames` (whole frames, at most `MAX_BODY` bytes) as one `PACK` at zstd `level`.
pub fn pack(out: &mut Vec<u8>, frames: &[u8], level: i32) {
    let packed = zstd::bulk::compress(frames, level).expect("BUG: zstd refuses to compress");
    put(out, PACK, |out| out.extend_from_slice(&packed));
}

/// The frames that a `PACK`'s body holds.
///
/// # Errors
/// `Malformed` if the body is not zstd or holds more than `MAX_BODY` bytes.
pub fn unpack(body: &[u8]) -> Parsed<Vec<u8>> {
    zstd::bulk::decompress(body, MAX_BODY).map_err(|_| Malformed)
}

/// Hands every message in `bytes` to `each`, looking into packs (one level), and answers how many
/// bytes were consumed; the rest is the beginning of a frame.
///
/// # Errors
/// `Malformed` from the bytes, or whatever `each` answers.
pub fn each_frame<E: From<Malformed>>(
    bytes: &[u8],
    mut each: impl FnMut(Frame<'_>) -> Result<(), E>,
) -> Result<usize, E> {
    let mut used = 0;
    while let Some((frame, len)) = split(&bytes[used..])? {
        used += len;
        if frame.kind != PACK {
            each(frame)?;
            continue;
        }
        let inner = unpack(frame.body)?;
        let mut at = 0;
        while let Some((frame, len)) = split(&inner[at..])? {
            at += len;
            each(frame)?;
        }
        if at != inner.len() {
            return Err(Malformed.into());
        }
    }
    Ok(used)
}

/// For tests: a message survives the way there and back. Damaged on the way, cut anywhere or one byte
/// changed, it is malformed, or another message that survives it; nothing panics, and nothing asks for
/// memory that its bytes do not fill.
#[cfg(test)]
fn travels<M: PartialEq + std::fmt::Debug>(
    message: &M,
    encode: impl Fn(&M, &mut Vec<u8>),
    decode: impl Fn(Frame<'_>) -> Parsed<M>,
) {
    let encoded = |message: &M| {
        let mut out = Vec::new();
        encode(message, &mut out);
        out
    };
    let decoded = |bytes: &[u8]| {
        let found = split(bytes)?;
        found.map(|(frame, _)| decode(frame)).transpose()
    };
    let mut bytes = encoded(message);
    assert_eq!(decoded(&bytes).unwrap().as_ref(), Some(message));
    for end in 0..bytes.len() {
        assert!(!matches!(decoded(&bytes[..end]), Ok(Some(_))));
    }
    for at in 0..bytes.len() {
        for change in 1..=255 {
            bytes[at] ^= change;
            if let Ok(Some(other)) = decoded(&bytes) {
                assert_eq!(decoded(&encoded(&other)), Ok(Some(other)));
            }
            bytes[at] ^= change;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_arrive_whole_whatever_the_cuts() {
        let mut wire = Vec::new();
        put(&mut wire, 3, |b| b.extend_from_slice(b"hello"));
        let mut inner = Vec::new();
        put(&mut inner, 4, |_| {});
        put(&mut inner, 5, |b| b.extend_from_slice(&[9; 1000]));
        pack(&mut wire, &inner, 3);
        for cut in 0..wire.len() {
            let mut seen = Vec::new();
            let mut take = |f: Frame<'_>| -> Parsed<()> {
                seen.push((f.kind, f.body.len()));
                Ok(())
            };
            let used = each_frame(&wire[..cut], &mut take).unwrap();
            each_frame(&wire[used..], &mut take).unwrap();
            assert_eq!(seen, [(3, 5), (4, 0), (5, 1000)]);
        }
    }

    #[test]
    fn a_frame_over_the_limit_is_refused_from_its_head() {
        assert_eq!(split(&[1, 0, 16, 0, 1]), Err(Malformed));
        assert_eq!(split(&[0, 0, 16, 0, 1]), Ok(None));
    }

    #[test]
    fn a_bomb_in_a_pack_is_refused() {
        let mut wire = Vec::new();
        let bomb = zstd::bulk::compress(&vec![0; MAX_BODY + 1], 3).unwrap();
        put(&mut wire, PACK, |b| b.extend_from_slice(&bomb));
        assert_eq!(each_frame(&wire, |_| Parsed::Ok(())), Err(Malformed));
    }
}
