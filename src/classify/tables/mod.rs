//! The flags of every tool we know, as data: names, how a value is given, what it means to us.
//!
//! Read off the tools' own `--help` and manuals. What is not here keeps a command at home.

pub mod bun;
pub mod cargo;
pub mod cc;
pub mod native;
