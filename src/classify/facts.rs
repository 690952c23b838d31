//! What an accepted command's words tell about it: where it works, where its products go.
//!
//! Only what stands on the command line; defaults, configuration files and the environment are for
//! the daemon to add. A path is as it was given: relative to the command's own working directory.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use super::flags::{Act, Value};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The canonical subcommand (`build` for `cargo b`, `nextest run`); empty for tools without.
    pub subcommand: &'static str,
    /// `+nightly`, without the plus.
    pub toolchain: Option<OsString>,
    /// `--profile`'s name, or `release` for `-r`; `None` for the subcommand's default.
    pub profile: Option<OsString>,
    /// Every `--target` of cargo and rustc.
    pub triples: Vec<OsString>,
    /// `--manifest-path`; the makefile or build file of `-f`.
    pub manifest: Option<OsString>,
    /// `-C`, or the directory after cmake's `--build`.
    pub directory: Option<OsString>,
    pub target_dir: Option<OsString>,
    /// `--artifact-dir`, `--out-dir`.
    pub out_dir: Option<OsString>,
    /// `-o`.
    pub outputs: Vec<OsString>,
    /// `-c`, `-S`: one object per input, not a linked program.
    pub compile_only: bool,
    pub no_run: bool,
    /// `-j N`; `Some(0)` for a `-j` without a number.
    pub jobs: Option<u32>,
    /// Operands: source files, build targets, test filters.
    pub operands: Vec<OsString>,
    /// Tuned to the CPU it is compiled on (`-march=native`, `-C target-cpu=native`).
    pub native: bool,
    /// A flag that may not mean what we think; lowers the confidence.
    pub unsure: bool,
}

pub fn os(text: &[u8]) -> OsString {
    OsString::from_vec(text.to_vec())
}

/// The number of `-j N`: nonsense counts as none given.
fn count(text: &[u8]) -> u32 {
    let text = std::str::from_utf8(text).ok();
    text.and_then(|t| t.parse().ok()).unwrap_or(0)
}

impl Facts {
    /// Enters a flag. A value that is not certain yet is noted as far as it is: the hook does not
    /// look at facts, and `rch exec` has whole ones.
    pub(super) fn note(&mut self, act: Act, value: Option<Value<'_>>) {
        let text = value.map(|v| v.text);
        let owned = || text.map(os);
        if text.is_some_and(|t| t.ends_with(b"target-cpu=native")) {
            self.native = true;
        }
        match act {
            Act::Plain | Act::NotHelp | Act::Veto(_) => {}
            Act::Unsure => self.unsure = true,
            Act::Jobs => self.jobs = Some(text.map_or(0, count)),
            Act::Release => self.profile = Some("release".into()),
            Act::Profile => self.profile = owned(),
            Act::Triple => self.triples.extend(owned()),
            Act::TargetDir => self.target_dir = owned(),
            Act::OutDir => self.out_dir = owned(),
            Act::Manifest => self.manifest = owned(),
            Act::Directory => self.directory = owned(),
            Act::Output => self.outputs.extend(owned()),
            Act::NoRun => self.no_run = true,
            Act::Target => self.operands.extend(owned()),
        }
    }

    /// The directory below the target directory (and triple) that cargo puts this build's products in.
    pub fn profile_dir(&self) -> OsString {
        match self.profile.as_ref().and_then(|p| p.to_str()) {
            Some("dev" | "test") => "debug".into(),
            Some("bench") => "release".into(),
            Some(name) => name.into(),
            None if self.subcommand == "bench" => "release".into(),
            None => "debug".into(),
        }
    }
}
