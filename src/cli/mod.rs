//! The command line.

pub mod exec;

use std::ffi::OsString;

/// Runs `rch` with its arguments (the program's name first) and answers the exit status.
pub fn main(args: Vec<OsString>) -> i32 {
    match args.get(1).and_then(|a| a.to_str()) {
        Some("exec") => exec::main(&args[2..]),
        _ => exec::USAGE,
    }
}
