//! Decides which commands are sent away.

use std::ffi::OsString;

/// The program family a command word names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    Cargo,
    Rustc,
    Bun,
    /// gcc, g++, clang, clang++, cc, c++ and their versioned and prefixed names.
    Cc,
    Make,
    Ninja,
    Cmake,
    Meson,
}

/// What a command does, as far as slots, timeouts and products depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Build,
    Check,
    Test,
    /// Built remotely, run here.
    Run,
    Doc,
}

/// A command that may be sent away.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Accepted {
    pub tool: Tool,
    pub kind: Kind,
    /// 0 to 1; see the table's head for what the levels stand for.
    pub confidence: f32,
}

/// Judges one simple command's argument vector (no shell involved).
///
/// # Errors
/// The reason, in words, why it stays.
pub fn argv(argv: &[OsString]) -> Result<Accepted, String> {
    let word = |i: usize| argv.get(i).and_then(|a| a.to_str()).unwrap_or("");
    let accept = |tool, kind| {
        Ok(Accepted {
            tool,
            kind,
            confidence: 0.95,
        })
    };
    match (word(0), word(1)) {
        ("cargo", "build" | "b") => accept(Tool::Cargo, Kind::Build),
        ("cargo", "check" | "c" | "clippy") => accept(Tool::Cargo, Kind::Check),
        ("cargo", "test" | "t") => accept(Tool::Cargo, Kind::Test),
        ("make", _) => accept(Tool::Make, Kind::Build),
        ("gcc" | "cc", _) => accept(Tool::Cc, Kind::Build),
        _ => Err("not a compile command".into()),
    }
}
