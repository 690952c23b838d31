//! Commands whose rows stand in the table and whose code does not exist yet. They say so.
//!
//! Each gets its arguments from its second word on: `rch hook install --project` is `hook(["install",
//! "--project"])`, `rch classify 'make'` is `classify(["make"])`.

use std::ffi::OsString;

use super::{exit, out};
use crate::error::Error;

pub fn hook(_: &[OsString]) -> i32 {
    missing("hook")
}

pub fn masquerade(_: &[OsString]) -> i32 {
    missing("masquerade")
}

pub fn classify(_: &[OsString]) -> i32 {
    missing("classify")
}

fn missing(name: &str) -> i32 {
    out::complain(&Error::new(format!("'rch {name}' is not implemented")));
    exit::FAILED
}
