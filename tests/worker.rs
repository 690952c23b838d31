//! `rch-wkr serve` as the daemon sees it: the real program over pipes, real cargo, gcc and make.
//!
//! Each test has a home of its own. The projects stand at paths that do not exist on this machine,
//! so a test that passes has really seen them through the job's own view.

#[path = "common/mod.rs"]
mod common;

#[path = "worker/kit.rs"]
mod kit;

#[path = "worker/death.rs"]
mod death;

#[path = "worker/fences.rs"]
mod fences;

#[path = "worker/jobs.rs"]
mod jobs;

#[path = "worker/repair.rs"]
mod repair;

#[path = "worker/stream.rs"]
mod stream;

#[path = "worker/sync.rs"]
mod sync;
