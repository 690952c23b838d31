//! rch, the remote compilation helper.

#[macro_use]
pub mod log;
pub mod bytes;
pub mod classify;
pub mod cli;
pub mod config;
pub mod error;
pub mod exit;
pub mod hook;
pub mod ids;
pub mod paths;
pub mod shell;
pub mod sys;
pub mod time;
pub mod wire;
