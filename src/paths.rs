//! Where things lie on this machine, and what a path may look like.
//!
//! All of rch's own state is below two folders, `~/.config/rch` and `~/.cache/rch` (the XDG base
//! directories, when set). Nothing here touches the disk.

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::arithmetic_side_effects
    )
)]
use std::path::{Component, Path, PathBuf};

/// Whether `path` is relative, not empty, and holds nothing but names: no `..`, no `.`, no root, no
/// NUL. Only such a path may come from another machine.
pub fn is_plain(path: &Path) -> bool {
    let bytes = path.as_os_str().as_encoded_bytes();
    !bytes.is_empty()
        && !bytes.contains(&0)
        && bytes
            .split(|&b| b == b'/')
            .all(|part| !matches!(part, b"" | b"." | b".."))
}

/// Bytes that a socket's path may have: `sun_path` of unix(7), without its final NUL.
pub const MAX_SOCKET: usize = 107;

/// Resolves `.` and `..` by their spelling, as a shell's `cd -L` does; `path` must be absolute.
pub fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            part => out.push(part),
        }
    }
    out
}

fn env_dir(var: &str, fallback: &str) -> PathBuf {
    match std::env::var_os(var).filter(|v| Path::new(v).is_absolute()) {
        Some(dir) => dir.into(),
        None => home().join(fallback),
    }
}

/// `$HOME`; not absolute for a process without one, and then nothing is to be looked for or left there.
pub fn home() -> PathBuf {
    std::env::var_os("HOME").unwrap_or_default().into()
}

/// `~/.config/rch`.
pub fn config_dir() -> PathBuf {
    env_dir("XDG_CONFIG_HOME", ".config").join("rch")
}

/// `~/.cache/rch`: socket, log, recorded output, lanes.
pub fn cache_dir() -> PathBuf {
    env_dir("XDG_CACHE_HOME", ".cache").join("rch")
}

/// A leading `~/` stands for the home directory.
pub fn expand(path: &str) -> PathBuf {
    match path.strip_prefix("~/") {
        Some(rest) => home().join(rest),
        None => path.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_paths_are_plain() {
        for good in ["a", "a/b", "a..b", "...", " ", "#x"] {
            assert!(is_plain(Path::new(good)), "{good}");
        }
        for bad in ["", "/", "/a", "a//b", "a/", "./a", "a/..", "..", "a\0b"] {
            assert!(!is_plain(Path::new(bad)), "{bad}");
        }
    }

    #[test]
    fn normal_resolves_by_spelling() {
        assert_eq!(normal(Path::new("/a/./b/../c")), Path::new("/a/c"));
        assert_eq!(normal(Path::new("/../a")), Path::new("/a"));
    }
}
