//! Pairs of project and command, each run on a worker and then here, in the same place, and compared
//! byte for byte: stdout, stderr, status, and every file that is left.
//!
//! A test runs a group of pairs on one worker, each in a directory of its own, so that each finds a
//! cold lane as the local run finds no target directory. The groups run side by side.

mod common;

#[path = "matrix/pair.rs"]
mod pair;

#[path = "matrix/crates.rs"]
mod crates;

#[path = "matrix/workspace.rs"]
mod workspace;

#[path = "matrix/run.rs"]
mod run;

#[path = "matrix/bun.rs"]
mod bun;

#[path = "matrix/c.rs"]
mod c;

#[path = "matrix/names.rs"]
mod names;
