//! `rch-wkr serve` as the daemon sees it: the real program over pipes, real cargo, gcc and make.
//!
//! Each test has a home of its own. The projects stand at paths that do not exist on this machine,
//! so a test that passes has really seen them through the job's own view.

#[path = "worker/kit.rs"]
mod kit;

#[path = "worker/jobs.rs"]
mod jobs;
