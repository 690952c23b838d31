//! `rch`, the hook and the command line; see rch(1).

#![no_main]
// The macro defines the C `main`, which Rust counts as unsafe; its code stands in `sys::start`.
#![allow(unsafe_code)]

fn no_hook() {}

rch::c_main!(no_hook, rch::cli::main);
