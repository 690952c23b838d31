//! rch, the remote compilation helper.

#[macro_use]
pub mod log;
pub mod bytes;
pub mod classify;
pub mod config;
pub mod error;
pub mod ids;
pub mod paths;
pub mod shell;
pub mod sys;
pub mod time;
pub mod wire;
