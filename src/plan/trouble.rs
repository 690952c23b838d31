//! What cargo and rustup say when not the code but the machine's surroundings failed: a registry that
//! cannot be reached, a toolchain that is not whole.
//!
//! The only place that reads a tool's text. The list is short, each row begins a line, and such a
//! command has compiled nothing yet: to run it elsewhere shows what is true there. A compile error or
//! a failing test is never in it.

use crate::sys::process::Exit;

/// How much of a job's last output is looked at.
pub const TAIL: usize = 16 << 10;

/// (how a line begins, what must stand somewhere behind it, what it means). From cargo 1.60 to 1.95
/// and rustup 1.25 to 1.28.
const ROWS: [(&str, &str, &str); 9] = [
    ("error: failed to download ", "", REGISTRY),
    ("error: failed to get ", "nable to update ", REGISTRY),
    (
        "error: failed to get ",
        "failed to query replaced source",
        REGISTRY,
    ),
    ("error: failed to load source for dependency", "", REGISTRY),
    ("error: Unable to update ", "", REGISTRY),
    ("error: failed to fetch ", "", REGISTRY),
    ("error: toolchain '", "is not installed", TOOLCHAIN),
    ("error: could not download file from", "", TOOLCHAIN),
    (
        "error: the '",
        "is not installed for the toolchain",
        TOOLCHAIN,
    ),
];

const REGISTRY: &str = "cargo cannot reach a registry there";
const TOOLCHAIN: &str = "its rust toolchain is not complete";

/// Why a command of cargo that ended with `exit` has to be run elsewhere, going by its last output.
pub fn of_surroundings(exit: Exit, tail: &[u8]) -> Option<&'static str> {
    if !matches!(exit, Exit::Code(1 | 101)) {
        return None;
    }
    let text = plain(tail);
    // What ended the command is the last error that it told.
    let last = text.rfind("\nerror: ").map_or(0, |at| at + 1);
    let text = &text[last..];
    let row = ROWS
        .iter()
        .find(|(begin, behind, _)| text.starts_with(begin) && text.contains(behind));
    row.map(|(_, _, why)| *why)
}

/// Without escape sequences for colour (ECMA-48, "SGR").
fn plain(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut parts = text.split("\x1b[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| c.is_ascii_alphabetic());
        plain.push_str(end.map_or("", |at| &part[at + 1..]));
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unreachable_registry_is_no_compile_error() {
        let offline = "    Updating crates.io index\nwarning: spurious network error\n\
             error: failed to get `serde` as a dependency of package `app v0.1.0 (/w/app)`\n\n\
             Caused by:\n  failed to load source for dependency `serde`\n\n\
             Caused by:\n  unable to update registry `crates-io`\n\n\
             Caused by:\n  download of config.json failed\n";
        let failed = Exit::Code(101);
        assert_eq!(of_surroundings(failed, offline.as_bytes()), Some(REGISTRY));
        assert_eq!(of_surroundings(Exit::Code(0), offline.as_bytes()), None);
        let colour = "\x1b[1m\x1b[91merror\x1b[0m: failed to download `libc v0.2.1`\n";
        assert_eq!(of_surroundings(failed, colour.as_bytes()), Some(REGISTRY));
        let rustup = "error: the 'cargo-clippy' binary, normally provided by the 'clippy' component, is not installed for the toolchain 'x'\n";
        assert_eq!(
            of_surroundings(Exit::Code(1), rustup.as_bytes()),
            Some(TOOLCHAIN)
        );
    }

    #[test]
    fn errors_of_the_code_are_its_own() {
        for own in [
            "error[E0308]: mismatched types\nerror: could not compile `app` (bin \"app\") due to 1 previous error\n",
            "error: test failed, to rerun pass `--lib`\n",
            "error: failed to download x, said my own program\nerror: test failed, to rerun pass `--lib`\n",
            "error: failed to parse manifest at `/w/Cargo.toml`\n",
            "thread 'x' panicked: error: failed to download\n",
            "",
        ] {
            assert_eq!(
                of_surroundings(Exit::Code(101), own.as_bytes()),
                None,
                "{own}"
            );
        }
    }
}
