//! Command lines and environments, decided from facts alone: how ssh and rsync are called, and what
//! a job's environment is. Also what a tool's last words mean. Nothing here is started or read.

pub mod colour;
pub mod copy;
pub mod env;
pub mod parallel;
pub mod program;
pub mod remedy;
pub mod rsync;
pub mod ssh;
pub mod trouble;
