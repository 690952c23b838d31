//! Any bytes as either side of both protocols may send them: read without panic, and what was understood
//! is said again in the same words.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rch::bytes::{Malformed, Parsed};
use rch::wire::client::{FromDaemon, ToDaemon};
use rch::wire::worker::{FromWorker, ToWorker};
use rch::wire::{Frame, each_frame, patch, split};

/// `decode` and `encode` are of one type.
fn again<T: PartialEq + std::fmt::Debug>(
    frame: Frame<'_>,
    decode: impl Fn(Frame<'_>) -> Parsed<T>,
    encode: impl Fn(&T, &mut Vec<u8>),
) {
    let Ok(message) = decode(frame) else { return };
    let mut out = vec![];
    encode(&message, &mut out);
    let (frame, len) = split(&out).expect("not too long").expect("whole");
    assert_eq!(len, out.len());
    assert_eq!(decode(frame).as_ref(), Ok(&message));
}

fuzz_target!(|bytes: &[u8]| {
    let _ = each_frame::<Malformed>(bytes, |frame| {
        again(frame, ToWorker::decode, ToWorker::encode);
        again(frame, FromWorker::decode, FromWorker::encode);
        again(frame, ToDaemon::decode, ToDaemon::encode);
        // A float need not equal itself: only that it can be read is looked at.
        let _ = FromDaemon::decode(frame);
        Ok(())
    });
    let old = vec![7; 4096];
    let mut read = |range: std::ops::Range<u64>, piece: &mut Vec<u8>| {
        piece.clear();
        piece.extend_from_slice(&old[range.start as usize..range.end as usize]);
        Ok(())
    };
    let mut piece = vec![];
    let _ = patch::apply(&mut read, (old.len() as u64, 1024, 1024), bytes, &mut piece);
    assert!(piece.len() <= old.len());
});
