//! Any words (separated by NUL, the first byte of each choosing its shape): a verdict on open words
//! holds for what they may become.
#![no_main]

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use libfuzzer_sys::fuzz_target;
use rch::classify;
use rch::shell::{Shape, Word};

fuzz_target!(|bytes: &[u8]| {
    let words: Vec<Word<'_>> = bytes
        .split(|&b| b == 0)
        .map(|w| {
            let (shape, text) = match w.split_first() {
                Some((b'$', text)) => (Shape::One, text),
                Some((b'*', text)) => (Shape::Some, text),
                Some((b'#', text)) => (Shape::Number, text),
                Some((b'!', text)) => (Shape::Any, text),
                _ => (Shape::Fixed, w),
            };
            Word { shape, ..Word::fixed(text) }
        })
        .collect();
    if classify::judge(&words).is_err() {
        return;
    }
    for value in ["", "--help", "-n", "install", "help", "x=y", "7"] {
        let argv: Vec<OsString> = words
            .iter()
            .filter(|w| w.shape != Shape::Any)
            .map(|w| {
                let more: &[u8] = match w.shape {
                    Shape::Fixed => b"",
                    Shape::Number => b"8",
                    _ => value.as_bytes(),
                };
                OsString::from_vec([&*w.text, more].concat())
            })
            .collect();
        assert!(classify::argv(&argv).is_ok(), "{argv:?}");
    }
});
