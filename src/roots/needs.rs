//! What a command needs on a worker beside its compilers: the programs that the environment or
//! cargo's configuration puts in their way, and this machine's own kind of processor.
//!
//! A wrapper that is a pure cache is left out instead: what it saves here, a warm lane saves there.

use std::ffi::OsString;
use std::path::Path;

use super::settings::Settings;
use super::{Cargo, Env};

/// Wrappers whose absence changes nothing but time.
const CACHES: [&str; 4] = ["sccache", "ccache", "cachepot", "icecc"];

/// Variables that name a program which must be there.
const PROGRAMS: [&str; 8] = [
    "AR",
    "CC",
    "CXX",
    "HOST_CC",
    "LD",
    "RUSTC",
    "RUSTDOC",
    "TARGET_CC",
];

/// Variables with flags for compilers.
const FLAGS: [&str; 6] = [
    "CARGO_BUILD_RUSTFLAGS",
    "CFLAGS",
    "CPPFLAGS",
    "CXXFLAGS",
    "LDFLAGS",
    "RUSTFLAGS",
];

/// (the variables, the key of `[build]`) of cargo's two wrappers.
const WRAPPERS: [([&str; 2], &str); 2] = [
    (
        ["RUSTC_WRAPPER", "CARGO_BUILD_RUSTC_WRAPPER"],
        "rustc-wrapper",
    ),
    (
        [
            "RUSTC_WORKSPACE_WRAPPER",
            "CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER",
        ],
        "rustc-workspace-wrapper",
    ),
];

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// Names, to be found in PATH, or absolute paths.
    pub programs: Vec<String>,
    /// Variables to be set for the job: wrappers that it has, or that are left out.
    pub env: Vec<(&'static str, String)>,
    /// Caches that were left out.
    pub dropped: Vec<String>,
    /// What is built runs on processors like this one alone.
    pub native: bool,
}

/// Of any command.
pub fn of(argv: &[OsString], env: Env<'_>) -> Needs {
    let mut needs = Needs::default();
    let text = |name: &str| env(name).map(|v| v.to_string_lossy().into_owned());
    for value in PROGRAMS.iter().filter_map(|name| text(name)) {
        // A compiler may have a cache in front, and flags behind.
        let mut words = value.split_whitespace();
        needs.programs.extend(words.next().map(str::to_owned));
    }
    let flags = FLAGS.iter().filter_map(|name| text(name));
    let encoded = text("CARGO_ENCODED_RUSTFLAGS").map(|f| f.replace('\x1f', " "));
    let given = argv.iter().map(|a| a.to_string_lossy().into_owned());
    for flags in flags.chain(encoded).chain(given) {
        needs.flags(&flags);
    }
    needs
}

/// Of a command of cargo: what its configuration says as well.
pub fn of_cargo(needs: &mut Needs, settings: &Settings, cargo: &Cargo, env: Env<'_>) {
    for (variables, key) in WRAPPERS {
        let given = variables.iter().find_map(|name| env(name));
        let given = given.map(|v| v.to_string_lossy().into_owned());
        let Some(wrapper) = given.or_else(|| settings.text("build", key)) else {
            continue;
        };
        if wrapper.is_empty() {
            continue;
        }
        if is_cache(&wrapper) {
            needs.dropped.push(wrapper);
            // The empty value switches a configured one off (the Cargo book, "Configuration").
            needs.env.push((variables[0], String::new()));
        } else {
            needs.env.push((variables[0], wrapper.clone()));
            needs.programs.push(wrapper);
        }
    }
    needs.programs.extend(settings.linkers());
    for flags in settings.rustflags() {
        needs.flags(&flags);
    }
    let variables = cargo.targets.iter().map(|t| linker_variable(t));
    let here = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    for name in variables.chain([linker_variable(&here)]) {
        let linker = env(&name).filter(|v| !v.is_empty());
        let linker = linker.map(|v| v.to_string_lossy().into_owned());
        needs.programs.extend(linker);
    }
    needs.programs.sort();
    needs.programs.dedup();
}

fn linker_variable(target: &str) -> String {
    let name = target.to_uppercase().replace(['-', '.'], "_");
    format!("CARGO_TARGET_{name}_LINKER")
}

fn is_cache(program: &str) -> bool {
    let name = Path::new(program).file_name().unwrap_or_default();
    CACHES.iter().any(|cache| name == *cache)
}

impl Needs {
    /// Looks for a linker and a kind of processor in flags.
    fn flags(&mut self, flags: &str) {
        for word in flags.split_whitespace() {
            let word = word.strip_prefix("-C").unwrap_or(word);
            let word = word.strip_prefix("link-arg=").unwrap_or(word);
            let word = word.strip_prefix("link-args=").unwrap_or(word);
            if let Some(linker) = word.strip_prefix("-fuse-ld=") {
                self.programs.push(match linker.strip_prefix('/') {
                    Some(_) => linker.to_owned(),
                    None if linker == "mold" => linker.to_owned(),
                    None => format!("ld.{linker}"),
                });
            } else if let Some(linker) = word.strip_prefix("linker=") {
                self.programs.push(linker.to_owned());
            }
            let native = ["target-cpu=native", "-march=native", "-mcpu=native"];
            self.native |= native.contains(&word) || word == "-mtune=native";
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(argv: &[&str], variables: &[(&str, &str)]) -> Needs {
        let argv: Vec<OsString> = argv.iter().map(OsString::from).collect();
        let env = |name: &str| {
            let found = variables.iter().find(|(n, _)| *n == name);
            found.map(|(_, v)| OsString::from(v))
        };
        of(&argv, &env)
    }

    #[test]
    fn flags_name_linkers_and_processors() {
        let found = needs(
            &["cargo", "build"],
            &[("RUSTFLAGS", "-Clink-arg=-fuse-ld=lld -C target-cpu=native")],
        );
        assert_eq!(found.programs, ["ld.lld"]);
        assert!(found.native);
        let found = needs(&["gcc", "-fuse-ld=mold", "-march=x86-64", "a.c"], &[]);
        assert_eq!((found.programs, found.native), (vec!["mold".into()], false));
        assert!(needs(&["gcc", "-march=native", "a.c"], &[]).native);
        assert!(needs(&["make"], &[("CFLAGS", "-O2 -march=native")]).native);
        let found = needs(&["make"], &[("CC", "clang-15 -m64"), ("LD", "")]);
        assert_eq!(found.programs, ["clang-15"]);
        assert_eq!(needs(&["cargo", "test"], &[]), Needs::default());
    }
}
