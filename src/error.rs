//! The one error type: a sentence for a person, and perhaps a remedy.
//!
//! It knows no module and no kind of failure: code that must tell failures apart uses an enum of
//! its own (an expected outcome is not an error). The grammar is fixed so that every message reads
//! alike: lower case, no full stop, what failed, the subject in single quotes, the cause last, as
//! in `cannot open '/x/y.toml': permission denied`; the remedy stands on a `hint:` line of its own.

use std::fmt;
use std::io;
use std::path::Path;

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    text: String,
    hint: Option<String>,
}

impl Error {
    pub fn new(text: impl Into<String>) -> Error {
        Error {
            text: text.into(),
            hint: None,
        }
    }

    /// A failed system call: `what` says what we were doing, without the cause.
    pub fn os(what: impl fmt::Display, err: &io::Error) -> Error {
        Error::new(format!("{what}: {}", cause(err)))
    }

    /// `cannot VERB 'PATH': cause`.
    pub fn path(verb: &str, path: &Path, err: &io::Error) -> Error {
        Error::os(format_args!("cannot {verb} '{}'", path.display()), err)
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Error {
        self.hint = Some(hint.into());
        self
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn remedy(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

/// The cause as the C library words it, in lower case and without Rust's `(os error N)`.
pub fn cause(err: &io::Error) -> String {
    let text = err.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::from("unknown error"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_grammar() {
        let err = io::Error::from_raw_os_error(13);
        let err = Error::path("open", Path::new("/x/y.toml"), &err).hint("check its mode");
        assert_eq!(
            err.to_string(),
            "cannot open '/x/y.toml': permission denied\nhint: check its mode"
        );
    }
}
