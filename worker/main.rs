//! `rch-wkr`: the worker's side.
fn main() {}
