//! Takes jobs from stage to stage: surveyed, queued, given to a worker, run, finished or lost.
//!
//! Every way out ends in `finish`, `local` or `cancelled`; each gives slots and session back. A job
//! that a worker lost is queued once more, elsewhere, before its clients are told to run it
//! themselves. What comes from an earlier attempt is recognised by the attempt's number. The rooms:
//! `job` is one of them, `arrival` how it gets into the queue, `choice` how it leaves it, `attempt`
//! one try on a worker, `heard` what the worker says meanwhile, `packages` and `program` what bun and
//! `cargo run` want besides, `stops` how it is stopped, `ends` every way out, `shown` its words for people.

mod arrival;
mod attempt;
mod choice;
mod ends;
mod heard;
mod job;
mod packages;
mod program;
mod shown;
mod stops;

pub(super) use attempt::Attempt;
pub(super) use job::Job;
pub(super) use shown::report_command;
