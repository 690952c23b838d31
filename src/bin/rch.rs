//! `rch`: the hook and the command line.

fn main() {
    std::process::exit(rch::cli::main(std::env::args_os().collect()));
}
