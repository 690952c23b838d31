//! `rch`, the hook and the command line; see rch(1).

#![no_main]
#![allow(unsafe_code, reason = "the macro defines the C runtime's `main`")]

#[global_allocator]
static MEMORY: rch::sys::arena::Arena = rch::sys::arena::Arena::new();

rch::c_main!(rch::hook::early, rch::cli::main);
