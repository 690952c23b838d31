//! The command line's dispatcher.

use std::ffi::OsString;
use std::io::Write as _;

use crate::{exit, hook};

/// Runs the command that `args` (with the program's name in front) names.
pub fn main(args: Vec<OsString>) -> i32 {
    if let Some(status) = hook::masquerade::called(&args) {
        return status;
    }
    let rest = args.get(2..).unwrap_or(&[]);
    match args.get(1).and_then(|a| a.to_str()) {
        None => {
            let _ = writeln!(std::io::stdout(), "usage: rch hook|classify|masquerade …");
            0
        }
        Some("hook") => hook::command(rest),
        Some("classify") => hook::walk::command(rest),
        Some("masquerade") => hook::masquerade::command(rest),
        Some(other) => {
            let _ = writeln!(std::io::stderr(), "rch: '{other}' is not implemented");
            exit::USAGE
        }
    }
}
