//! rch, the remote compilation helper.

#[macro_use]
pub mod log;
pub mod bytes;
pub mod child;
pub mod classify;
pub mod cli;
pub mod client;
pub mod config;
pub mod conn;
pub mod crew;
pub mod daemon;
pub mod elf;
pub mod error;
pub mod exclude;
pub mod feed;
pub mod fleet;
pub mod ids;
pub mod job;
pub mod landing;
pub mod lanebook;
pub mod manifest;
pub mod master;
pub mod nearest;
pub mod paths;
pub mod plan;
pub mod poll;
pub mod products;
pub mod roots;
pub mod scan;
pub mod sched;
pub mod session;
pub mod spool;
pub mod sys;
pub mod time;
pub mod toolchain;
pub mod wire;
