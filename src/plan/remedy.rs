//! What to do when a worker cannot be reached: ssh's and the shell's own words, and the remedy where
//! one is known.
//!
//! The remedies are general; whoever knows the worker makes them exact, in a line to be pasted.

use super::copy;
use crate::config::{Transport, Worker};
use crate::error::Error;

/// There is no `rch-wkr`.
pub const COPY: &str = "copy rch-wkr to ~/.local/bin on the worker";
/// There is one of another version.
pub const COPY_AGAIN: &str = "copy the rch-wkr of this version to the worker";
/// Its host key is not known here, and nobody can be asked.
const ACCEPT: &str = "connect once by hand with ssh to accept the host's key";
/// Its host key is another than it was.
const CHANGED: &str = "its host key has changed: if that is as it should be, 'ssh-keygen -R HOST' forgets the old one";
const LOGIN: &str = "check user, identity_file and the worker's authorized_keys";

/// An error of what ssh or the worker's shell `said`.
pub fn explain(said: &str) -> Error {
    let hint = if said.contains("rch-wkr")
        && (said.contains("not found") || said.contains("No such file"))
    {
        COPY
    } else if said.contains("IDENTIFICATION HAS CHANGED") {
        CHANGED
    } else if said.contains("Host key verification failed") {
        ACCEPT
    } else if said.contains("Permission denied") {
        LOGIN
    } else {
        return Error::new(said);
    };
    Error::new(said).hint(hint)
}

/// The same `hint` for this very worker. `program` is the `rch-wkr` of this version, if it was found.
pub fn exact(hint: &str, worker: &Worker, program: Option<&std::path::Path>) -> String {
    let ssh = worker.transport == Transport::Ssh;
    match (hint, program) {
        (COPY | COPY_AGAIN, Some(program)) => copy::line(worker, program, hint == COPY_AGAIN),
        (ACCEPT, _) if ssh => format!(
            "'{}' once by hand, to accept the host's key",
            copy::there(worker, "true")
        ),
        _ => hint.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ssh_says_has_its_remedy() {
        let hint = |said: &str| explain(said).remedy().map(str::to_string);
        for (said, part) in [
            ("Host key verification failed.", "accept the host's key"),
            (
                "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @; Host key verification failed.",
                "ssh-keygen -R",
            ),
            ("ci@css: Permission denied (publickey).", "authorized_keys"),
            ("sh: 1: exec: .local/bin/rch-wkr: not found", COPY),
        ] {
            assert!(hint(said).is_some_and(|h| h.contains(part)), "{said}");
        }
        assert_eq!(hint("connection refused"), None);
    }
}
