//! `rchd`, the workstation's daemon; see rchd(8).

fn main() {
    std::process::exit(rch::daemon::main());
}
