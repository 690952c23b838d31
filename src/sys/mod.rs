//! The only unsafe code: thin wrappers around system calls the standard library does not offer.
//!
//! A wrapper keeps the system call's own name, takes owned or borrowed file descriptors, turns -1
//! into `io::Error`, and holds no policy. Every block says why it is sound.

#![allow(unsafe_code)]

pub mod arena;
pub mod cpu;
pub mod dir;
pub mod fd;
pub mod fs;
pub mod namespace;
pub mod process;
pub mod signal;
pub mod socket;
pub mod start;
pub mod tty;
#[cfg(all(panic = "abort", target_env = "musl"))]
mod unwind;

use std::io;

/// The C convention: -1 means "see errno".
fn check(rc: libc::c_int) -> io::Result<libc::c_int> {
    if rc == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(rc)
    }
}
