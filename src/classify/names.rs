//! From a program's name to the tool it is: exact names, and the compilers' versioned and prefixed ones.
//!
//! A program named by a path is not looked at here: it means that very file, and stays.

use super::{Tool, is};

const EXACT: &[(&str, Tool)] = &[
    ("cargo", Tool::Cargo),
    ("rustc", Tool::Rustc),
    ("bun", Tool::Bun),
    ("make", Tool::Make),
    ("gmake", Tool::Make),
    ("ninja", Tool::Ninja),
    ("ninja-build", Tool::Ninja),
    ("cmake", Tool::Cmake),
    ("meson", Tool::Meson),
];

const COMPILERS: &[&str] = &["gcc", "g++", "clang", "clang++", "cc", "c++"];

/// The names `rch masquerade` makes links for.
pub const LINKS: &[&str] = &[
    "cargo", "rustc", "bun", "gcc", "g++", "clang", "clang++", "cc", "c++", "make", "ninja",
    "cmake", "meson",
];

/// What program `name` (no slash in it) is.
pub fn tool(name: &[u8]) -> Option<Tool> {
    let exact = EXACT.iter().find(|(n, _)| is(name, n));
    match exact {
        Some((_, tool)) => Some(*tool),
        None => is_compiler(name).then_some(Tool::Cc),
    }
}

/// `gcc`, `gcc-12`, `clang++-15.0`, `x86_64-linux-gnu-g++`, `arm-none-eabi-gcc-13`; not `gcc-ar`, not
/// `clang-format`.
fn is_compiler(name: &[u8]) -> bool {
    if !matches!(name, [.., b'c' | b'g' | b'+' | b'.' | b'0'..=b'9']) {
        return false;
    }
    let name = without_version(name);
    COMPILERS
        .iter()
        .any(|c| match name.strip_suffix(c.as_bytes()) {
            Some(b"") => true,
            Some([prefix @ .., b'-']) => is_triple(prefix),
            _ => false,
        })
}

fn without_version(name: &[u8]) -> &[u8] {
    match memchr::memrchr(b'-', name).and_then(|at| name.split_at_checked(at)) {
        Some((stem, [_, version @ ..]))
            if version.first().is_some_and(u8::is_ascii_digit)
                && version.iter().all(|b| b.is_ascii_digit() || *b == b'.') =>
        {
            stem
        }
        _ => name,
    }
}

/// Two to four parts of letters, digits and underscores, the first beginning with a letter; `musl-gcc`
/// and its like have one.
fn is_triple(prefix: &[u8]) -> bool {
    let part = |p: &[u8]| {
        !p.is_empty()
            && p.iter()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.'))
    };
    let parts = prefix.split(|&b| b == b'-');
    prefix == b"musl"
        || (prefix.contains(&b'-') && parts.clone().count() <= 4 && parts.clone().all(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compilers_have_many_names_and_neighbours() {
        for name in [
            "gcc",
            "gcc-12",
            "clang++-15",
            "clang-15.0.1",
            "x86_64-linux-gnu-gcc",
            "arm-none-eabi-g++-13",
            "musl-gcc",
            "x86_64-w64-mingw32-c++",
        ] {
            assert_eq!(tool(name.as_bytes()), Some(Tool::Cc), "{name}");
        }
        for name in [
            "gcc-ar",
            "gcc-nm-12",
            "clang-format",
            "clang-tidy-15",
            "cpp",
            "cc1",
            "distcc",
            "ccache",
            "gcc-",
            "-gcc",
            "a--gcc",
            "ccache-gcc",
            "xgcc",
            "clang-",
        ] {
            assert_eq!(tool(name.as_bytes()), None, "{name}");
        }
    }
}
