//! Any text: read without panic, rewritten by insertion, and never rewritten twice.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rch::classify::text;
use rch::hook::rewrite;

fuzz_target!(|bytes: &[u8]| {
    let Ok(reading) = text::read(bytes, 0.0) else { return };
    let Ok(command) = std::str::from_utf8(bytes) else { return };
    let places = reading.places();
    let written = rewrite::insert(command, &places, "/r/rch").expect("places are between characters");
    assert_eq!(written.len(), command.len() + places.len() * "/r/rch exec -- ".len());
    // A longer text may be too long to be read again.
    if let Ok(again) = text::read(written.as_bytes(), 0.0) {
        assert!(again.places().is_empty());
    }
});
