//! Reads shell text: words, and which simple commands stand where.

pub mod word;

pub use word::{Shape, Word};
