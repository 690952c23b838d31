//! rch, the remote compilation helper.

#[macro_use]
pub mod log;
pub mod bytes;
pub mod child;
pub mod classify;
pub mod config;
pub mod conn;
pub mod crew;
pub mod error;
pub mod fleet;
pub mod ids;
pub mod job;
pub mod paths;
pub mod poll;
pub mod sched;
pub mod spool;
pub mod sys;
pub mod time;
pub mod wire;
