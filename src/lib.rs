//! rch, the remote compilation helper.

#[macro_use]
pub mod log;
pub mod bytes;
pub mod classify;
pub mod config;
pub mod elf;
pub mod error;
pub mod exclude;
pub mod feed;
pub mod ids;
pub mod landing;
pub mod manifest;
pub mod paths;
pub mod products;
pub mod roots;
pub mod scan;
#[cfg(test)]
pub mod scratch;
pub mod sys;
pub mod time;
pub mod wire;
