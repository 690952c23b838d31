//! What to do when a worker cannot be reached: ssh's and the shell's own words, and the remedy where
//! one is known.
//!
//! The remedies are general; whoever knows the worker makes them exact, in a line to be pasted.

use super::copy;
use crate::config::{Transport, Worker};
use crate::error::Error;
use crate::plan::ssh::REMOTE_PROGRAM;
use crate::shell::quoted;
use crate::sys::process::Exit;

/// There is no `rch-wkr`.
pub const COPY: &str = "copy rch-wkr to ~/.local/bin on the worker";
/// There is one of another version.
pub const COPY_AGAIN: &str = "copy the rch-wkr of this version to the worker";
/// Its host key is not known here, and nobody can be asked.
const ACCEPT: &str = "connect once by hand with ssh to accept the host's key";
/// Its host key is another than it was.
const CHANGED: &str = "if that is as it should be, 'ssh-keygen -R HOST' forgets the old one";
/// It lies there, and may not be run.
const MODE: &str = "chmod 755 .local/bin/rch-wkr on the worker";
/// It lies there, and cannot be run.
const FORMAT: &str = "copy the rch-wkr that was built for the worker's processor";
/// It was started, and says nothing.
pub const TRY: &str = "run 'rch-wkr --version' there by hand: it has to answer at once";
/// Nobody answers there.
const REACH: &str = "check host and port; 'ssh' to it by hand tells more";
const LOGIN: &str = "check user, identity_file and the worker's authorized_keys";

/// An error of what ssh or the worker's shell `said`.
pub fn explain(said: &str) -> Error {
    let said = &without_banner(said);
    if let Some(key) = open_key(said) {
        let text = format!("ssh refuses the key '{key}': others can read it");
        let hint = format!("chmod 600 {}", quoted(key));
        return Error::new(text).hint(hint);
    }
    let hint = if let Some(hint) = program(said) {
        hint
    } else if said.contains("IDENTIFICATION HAS CHANGED") {
        return Error::new("ssh refuses the host's key: it is another than before").hint(CHANGED);
    } else if said.contains("Host key verification failed") {
        ACCEPT
    } else if said.contains("Permission denied") {
        LOGIN
    } else if UNREACHED.iter().any(|words| said.contains(words)) {
        REACH
    } else {
        return Error::new(said);
    };
    Error::new(said).hint(hint)
}

/// What ssh says where nobody answers; ssh(1) takes the words from the C library.
const UNREACHED: [&str; 5] = [
    "Connection refused",
    "Connection timed out",
    "No route to host",
    "Network is unreachable",
    "Could not resolve hostname",
];

/// What the shell there says of `rch-wkr`, before it can say anything itself.
fn program(said: &str) -> Option<&'static str> {
    // By its path: a host or a user may be called so. zsh names it at the end, the others before.
    let about_it = |part: &&str| part.contains("/rch-wkr: ") || part.ends_with("/rch-wkr");
    let part = said.split("; ").find(about_it)?.to_lowercase();
    match () {
        () if part.contains("not found") || part.contains("no such file") => Some(COPY),
        () if part.contains("permission denied") => Some(MODE),
        () if part.contains("exec format error") || part.contains("cannot execute") => Some(FORMAT),
        () => None,
    }
}

/// What was started in `rch-wkr`'s place ended, and has not said a word. If it was killed, ssh ends as
/// if it had failed itself.
pub fn mute(exit: Option<Exit>) -> Error {
    let how = match exit {
        None | Some(Exit::Code(SSH_FAILED)) => {
            return Error::new("the connection was closed").hint(TRY);
        }
        Some(Exit::Code(status)) => format!("with status {status}"),
        Some(Exit::Signal(number)) => format!("by signal {number}"),
    };
    Error::new(format!("rch-wkr there ended {how} and without a greeting")).hint(COPY_AGAIN)
}

/// ssh's own failure, ssh(1).
const SSH_FAILED: u8 = 255;

/// Without the frame of `@` that ssh draws around a warning, and what it says of a host that is new;
/// lines are joined by `; `.
fn without_banner(said: &str) -> String {
    let parts = said.split("; ").filter_map(|part| {
        let text = part.trim_matches(|c| c == '@' || c == ' ');
        let known = part.starts_with("Warning: Permanently added ");
        (!text.is_empty() && !known).then_some(if part.starts_with('@') { text } else { part })
    });
    parts.collect::<Vec<_>>().join("; ")
}

/// The key that ssh does not use because others can read it: "Permissions 0644 for 'PATH' are too open."
fn open_key(said: &str) -> Option<&str> {
    let part = said
        .split("; ")
        .find(|p| p.starts_with("Permissions ") && p.ends_with(" are too open."))?;
    let (_, rest) = part.split_once(" for '")?;
    rest.strip_suffix("' are too open.")
}

/// The same `hint` for this very worker. `program` is the `rch-wkr` of this version, if it was found.
pub fn exact(hint: &str, worker: &Worker, program: Option<&std::path::Path>) -> String {
    let ssh = worker.transport == Transport::Ssh;
    let away = worker.transport != Transport::Local;
    match (hint, program) {
        (COPY | COPY_AGAIN, Some(program)) => copy::line(worker, program, hint == COPY_AGAIN),
        // Without quotes around: the line has its own.
        (ACCEPT, _) if ssh => format!(
            "to accept the host's key, once by hand: {}",
            copy::there(worker, "true")
        ),
        (MODE, _) if away => copy::there(worker, &format!("chmod 755 {REMOTE_PROGRAM}")),
        (REACH, _) if ssh => format!(
            "check host and port; this tells more: {}",
            copy::there(worker, "true")
        ),
        (TRY, _) if away => format!(
            "it has to answer at once: {}",
            copy::there(worker, &format!("{REMOTE_PROGRAM} --version"))
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
            // It was taken for a login that is refused.
            ("sh: 1: exec: .local/bin/rch-wkr: Permission denied", MODE),
            ("sh: 1: exec: .local/bin/rch-wkr: Exec format error", FORMAT),
            (
                "ssh: connect to host css port 22: Connection refused",
                REACH,
            ),
            (
                "Warning: Permanently added 'css' (ED25519) to the list of known hosts.; ci@css: Permission denied (publickey).",
                LOGIN,
            ),
            ("zsh:1: permission denied: .local/bin/rch-wkr", MODE),
            ("zsh:1: no such file or directory: .local/bin/rch-wkr", COPY),
            ("ci@rch-wkr-1: Permission denied (publickey).", LOGIN),
            ("rch-wkr: Permission denied (publickey).", LOGIN),
        ] {
            assert!(hint(said).is_some_and(|h| h.contains(part)), "{said}");
        }
        assert_eq!(hint("connection refused"), None);
    }

    /// It was six hundred characters, and the sentence that matters was in none of the hints.
    #[test]
    fn a_banner_says_what_it_frames() {
        let frame = "@".repeat(59);
        let key = format!(
            "{frame}; @         WARNING: UNPROTECTED PRIVATE KEY FILE!          @; {frame}; \
             Permissions 0644 for '/home/a b/key' are too open.; \
             It is required that your private key files are NOT accessible by others.; \
             This private key will be ignored.; Load key \"/home/a b/key\": bad permissions; \
             ci@css: Permission denied (publickey)."
        );
        let error = explain(&key);
        assert_eq!(
            error.text(),
            "ssh refuses the key '/home/a b/key': others can read it"
        );
        assert_eq!(error.remedy(), Some("chmod 600 '/home/a b/key'"));
        let changed = format!(
            "{frame}; @    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @; {frame}; \
             IT IS POSSIBLE; Host key verification failed."
        );
        let error = explain(&changed);
        assert_eq!(error.remedy(), Some(CHANGED));
        assert!(error.text().len() < 80, "{error}");
        let other = format!("{frame}; @   WARNING: SOMETHING NEW!   @; {frame}; see ssh(1)");
        assert_eq!(
            explain(&other).text(),
            "WARNING: SOMETHING NEW!; see ssh(1)"
        );
    }
}
