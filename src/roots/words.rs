//! What the words of a command say about directories: cargo's options, and those of other tools.
//!
//! Only options that decide where something lies are known here; whether the command may be sent at
//! all is the classifier's business. Paths are as written, relative to the command's directory.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The options of cargo that matter, each with the field it fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opt {
    Chdir,
    ManifestPath,
    TargetDir,
    Target,
    Profile,
    ArtifactDir,
    Config,
    /// Takes a value that says nothing about directories.
    Other,
}

const OPTIONS: [(&str, Opt); 22] = [
    ("-C", Opt::Chdir),
    ("--manifest-path", Opt::ManifestPath),
    ("--target-dir", Opt::TargetDir),
    ("--target", Opt::Target),
    ("--profile", Opt::Profile),
    ("--cargo-profile", Opt::Profile),
    ("--artifact-dir", Opt::ArtifactDir),
    ("--out-dir", Opt::ArtifactDir),
    ("--config", Opt::Config),
    ("-Z", Opt::Other),
    ("--color", Opt::Other),
    ("--features", Opt::Other),
    ("-F", Opt::Other),
    ("--package", Opt::Other),
    ("-p", Opt::Other),
    ("--bin", Opt::Other),
    ("--example", Opt::Other),
    ("--test", Opt::Other),
    ("--bench", Opt::Other),
    ("--message-format", Opt::Other),
    ("--exclude", Opt::Other),
    ("--jobs", Opt::Other),
];

/// The words of one cargo command, up to `--`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words {
    pub subcommand: String,
    pub chdir: Option<PathBuf>,
    pub manifest_path: Option<PathBuf>,
    pub target_dir: Option<PathBuf>,
    pub targets: Vec<String>,
    /// `--profile`, or `release` for `--release`.
    pub profile: Option<String>,
    pub artifact_dir: Option<PathBuf>,
    pub configs: Vec<OsString>,
    pub no_run: bool,
}

impl Words {
    pub fn of_cargo(argv: &[OsString]) -> Words {
        let mut words = Words::default();
        let mut rest = argv.iter().skip(1).take_while(|w| *w != "--");
        while let Some(word) = rest.next() {
            let for_program = words.runs() && !word.as_bytes().starts_with(b"-");
            if for_program {
                break;
            } else if let Some((option, value)) = option(word) {
                let value = value.or_else(|| rest.next().cloned());
                words.set(option, value.unwrap_or_default());
            } else {
                words.plain(&word.to_string_lossy());
            }
        }
        words
    }

    /// Whether what is no option is for the program that cargo runs, with all that follows.
    fn runs(&self) -> bool {
        matches!(self.subcommand.as_str(), "run" | "r")
    }

    fn plain(&mut self, word: &str) {
        match word {
            "--release" | "-r" => self.profile = Some("release".into()),
            "--no-run" => self.no_run = true,
            word if word.starts_with(['-', '+']) || !self.subcommand.is_empty() => {}
            word => self.subcommand = word.into(),
        }
    }

    fn set(&mut self, option: Opt, value: OsString) {
        let text = || value.to_string_lossy().into_owned();
        match option {
            Opt::Chdir => self.chdir = Some(value.into()),
            Opt::ManifestPath => self.manifest_path = Some(value.into()),
            Opt::TargetDir => self.target_dir = Some(value.into()),
            Opt::Target => self.targets.push(text()),
            Opt::Profile => self.profile = Some(text()),
            Opt::ArtifactDir => self.artifact_dir = Some(value.into()),
            Opt::Config => self.configs.push(value),
            Opt::Other => {}
        }
    }
}

/// The option a word begins with, and its value if that is in the same word.
fn option(word: &OsStr) -> Option<(Opt, Option<OsString>)> {
    let bytes = word.as_bytes();
    OPTIONS.iter().find_map(|(name, option)| {
        let rest = bytes.strip_prefix(name.as_bytes())?;
        let value = match rest {
            [] => None,
            [b'=', value @ ..] => Some(value),
            value if name.len() == 2 => Some(value),
            _ => return None,
        };
        Some((*option, value.map(|v| OsStr::from_bytes(v).to_os_string())))
    })
}

/// Options of make, ninja, meson, cmake and C compilers that are followed by a directory or a file;
/// the value may be in the same word.
const PATHS: [&str; 13] = [
    "-C",
    "--directory",
    "-f",
    "-o",
    "-I",
    "-L",
    "-isystem",
    "-iquote",
    "-include",
    "--build",
    "-B",
    "-idirafter",
    "--out-dir",
];

/// Of these, the ones that are followed by what is written.
const OUTPUTS: [&str; 2] = ["-o", "--out-dir"];

/// Every path that the words of another tool than cargo name.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Named {
    pub read: Vec<PathBuf>,
    pub written: Vec<PathBuf>,
}

impl Named {
    pub fn of(argv: &[OsString]) -> Named {
        let mut named = Named::default();
        let mut rest = argv.iter().skip(1);
        while let Some(word) = rest.next() {
            let bytes = word.as_bytes();
            let option = PATHS
                .iter()
                .find_map(|name| Some((*name, bytes.strip_prefix(name.as_bytes())?)));
            let (name, value) = match option {
                Some((name, [])) => (name, rest.next().map(PathBuf::from)),
                Some((name, [b'=', value @ ..] | value)) => {
                    (name, Some(Path::new(OsStr::from_bytes(value)).into()))
                }
                None if bytes.starts_with(b"-") => continue,
                None => ("", Some(word.into())),
            };
            match OUTPUTS.contains(&name) {
                true => named.written.extend(value),
                false => named.read.extend(value),
            }
        }
        named
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn cargos_words() {
        let words = Words::of_cargo(&argv(
            "cargo +nightly -C sub --config a.b=1 test --release --target=x86_64-unknown-linux-musl \
             --target-dir out -F no-run --no-run --manifest-path ../Cargo.toml -- --target nope",
        ));
        assert_eq!(words.subcommand, "test");
        assert_eq!(words.chdir, Some("sub".into()));
        assert_eq!(words.profile.as_deref(), Some("release"));
        assert_eq!(words.targets, ["x86_64-unknown-linux-musl"]);
        assert_eq!(words.target_dir, Some("out".into()));
        assert_eq!(words.manifest_path, Some("../Cargo.toml".into()));
        assert_eq!(words.configs, ["a.b=1"]);
        assert!(words.no_run);
    }

    #[test]
    fn a_programs_words_are_not_cargos() {
        let words = Words::of_cargo(&argv("cargo run --bin a --profile x b --release"));
        assert_eq!(words.profile.as_deref(), Some("x"));
    }

    /// `--test` takes a value, and `--tests` is another word.
    #[test]
    fn an_options_value_is_no_subcommand() {
        let words = Words::of_cargo(&argv(
            "cargo --color never build --tests -p foo --bin check",
        ));
        assert_eq!((words.subcommand.as_str(), words.no_run), ("build", false));
    }

    #[test]
    fn other_tools_paths() {
        let named = Named::of(&argv("gcc -O2 -I../inc -I inc2 -o /x/out a.c -L=lib"));
        assert_eq!(
            named.read,
            ["../inc", "inc2", "a.c", "lib"].map(PathBuf::from)
        );
        assert_eq!(named.written, [PathBuf::from("/x/out")]);
        assert_eq!(
            Named::of(&argv("rustc a.rs --out-dir=d -oe")).written,
            ["d", "e"].map(PathBuf::from)
        );
        let paths = Named::of(&argv("make -C sub -j4 all")).read;
        assert_eq!(paths, ["sub", "all"].map(PathBuf::from));
    }
}
