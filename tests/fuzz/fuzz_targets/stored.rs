//! Any bytes in the place of what was stored, or of a program that came home: read without panic, and what
//! was understood is stored in the same bytes again.
#![no_main]

use std::fs::File;
use std::io::{Seek, Write};

use libfuzzer_sys::fuzz_target;
use rch::elf;
use rch::history::History;
use rch::manifest::Manifest;
use rch::products::Memory;
use rch::roots::lock;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(manifest) = Manifest::decode(bytes) {
        assert_eq!(Manifest::decode(&manifest.encode()), Ok(manifest));
    }
    if let Ok(memory) = Memory::decode(bytes) {
        assert_eq!(Memory::decode(&memory.encode()), Ok(memory));
    }
    let _ = History::decode(bytes).encode();
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = lock::packages(text);
    }
    let path = std::env::temp_dir().join(format!("rch-fuzz-elf-{}", std::process::id()));
    let mut program = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&path)
        .unwrap();
    program
        .write_all(bytes)
        .and_then(|()| program.rewind())
        .unwrap();
    let _ = elf::misfit(&program);
    let _ = elf::needed(&path);
});
