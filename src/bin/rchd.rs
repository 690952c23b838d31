//! `rchd`: the daemon.
fn main() {}
