//! `rch-wkr`: the worker's side.
//!
//! `rch-wkr serve` speaks rch's protocol on its standard streams and is what `rchd` starts over ssh;
//! as a forced command in `authorized_keys` it serves whatever was asked for. `probe` tells a person
//! what the daemon would be told. `main` decides the exit status and nothing else.

#![forbid(unsafe_code)]

mod confine;
mod copy;
mod durable;
mod fault;
mod flow;
mod lane;
mod outputs;
mod packages;
mod probe;
mod program;
mod registry;
mod remap;
mod run;
mod running;
mod serve;
mod state;
mod stock;
mod sweep;
mod task;
mod tree;
mod usage;

use std::process::ExitCode;

fn main() -> ExitCode {
    usage::main(std::env::args_os().skip(1).collect())
}
