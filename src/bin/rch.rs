//! `rch`: the hook and the command line.
fn main() {}
