//! `cargo run`: built there, run here. When that can be, and what is run with which environment.
//!
//! On the worker cargo tells what it would run and what it would set for it; here the worker's
//! places are turned into ours. What a worker says is checked as far as it can be: the program is one
//! that came home from its own target directory, and the arguments are the user's own words.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::classify::Accepted;
use crate::error::{Error, Result};
use crate::paths;
use crate::plan::env;
use crate::products;
use crate::roots::{Cargo, Project};
use crate::wire::worker::{Collect, Produced, Products, Program, Setting};

type Vars = [(OsString, OsString)];

/// A command as its client gave it.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    pub argv: &'a [OsString],
    pub cwd: &'a Path,
    pub env: &'a Vars,
}

/// What is run here, and what is set for it beside the client's own environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Here {
    pub argv: Vec<OsString>,
    pub env: Vec<(OsString, OsString)>,
}

/// The variables in which cargo looks for a runner, for the machine that `rustc` (the text of `rustc
/// -vV`) is of.
///
/// # Errors
/// Why cargo has to run it from here.
pub fn runner_variables(
    given: Given<'_>,
    accepted: &Accepted,
    project: &Project,
    rustc: &str,
) -> Result<Vec<OsString>> {
    let refuse = |why: &str| Err(Error::new(format!("'cargo run' {why}")));
    let configured = project.cargo.as_ref().is_some_and(|c| c.runner);
    if configured || given.env.iter().any(|(name, _)| is_runner(name)) {
        return refuse("has a runner configured");
    }
    if accepted.facts.directory.is_some() {
        return refuse("with -C starts elsewhere");
    }
    if very_verbose(given.argv) {
        return refuse("with -vv shows the environment");
    }
    if products::is_foreign(project) {
        return refuse("builds for another machine");
    }
    let host = rustc.lines().find_map(|line| line.strip_prefix("host: "));
    let targets = project.cargo.as_ref().map_or(&[][..], |c| &c.targets);
    let triples = targets.iter().map(String::as_str).chain(host);
    Ok(triples.map(variable).collect())
}

fn is_runner(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.starts_with(b"CARGO_TARGET_") && name.ends_with(b"_RUNNER")
}

/// As the Cargo book has it ("Environment variables" of its "Configuration").
fn variable(triple: &str) -> OsString {
    let triple = triple.to_ascii_uppercase().replace(['-', '.'], "_");
    format!("CARGO_TARGET_{triple}_RUNNER").into()
}

fn very_verbose(argv: &[OsString]) -> bool {
    let words = argv.iter().take_while(|w| *w != "--");
    let letters = words.map(|w| match w.to_str() {
        Some("-v" | "--verbose") => 1,
        Some("-vv" | "-vvv") => 2,
        _ => 0,
    });
    letters.sum::<u32>() > 1
}

/// Files in the program's own build script's directory come home too: it may read them when it runs.
pub fn build_output(program: &Program, cargo: &Cargo) -> Option<Products> {
    let out = program.env.iter().find(|s| s.name == "OUT_DIR")?;
    let dir = PathBuf::from(&out.value);
    dir.starts_with(&cargo.target_dir)
        .then_some(Products { dir, deep: true })
}

/// Whether the program and the libraries that were built with it are among what came home.
///
/// # Errors
/// Names the one that is not.
pub fn check(
    program: &Program,
    given: Given<'_>,
    collect: &Collect,
    project: &Project,
    produced: &[Produced],
) -> Result<()> {
    let file = program.argv.first().map(|p| given.cwd.join(p));
    let file = file.ok_or_else(|| Error::new("the worker names no program"))?;
    let built = |path: &&PathBuf| project.holds(path);
    let libraries = program.libraries.iter().filter(built);
    for path in std::iter::once(&file).chain(libraries) {
        let path = paths::normal(path);
        if !products::comes_home(&path, collect, project, produced) {
            let text = format!("it needs '{}', which is not a product", path.display());
            return Err(Error::new(text));
        }
    }
    let arguments = program.argv.get(1..).unwrap_or_default();
    if !given.argv.ends_with(arguments) {
        return Err(Error::new("the worker names other arguments"));
    }
    Ok(())
}

/// What to run here; `sysroot` is where the toolchain of the command is installed.
pub fn here(program: &Program, given: Given<'_>, sysroot: &Path, cargo_home: &Path) -> Here {
    let theirs = program.env.iter().find(|s| s.name == "CARGO");
    let theirs = theirs.and_then(|s| s.value.to_str()?.strip_suffix("/bin/cargo"));
    let ours = sysroot.to_str().unwrap_or_default();
    let mut made: Vec<(OsString, OsString)> = vec![];
    let by_rustup = program.env.iter().any(|s| s.name == "RUST_RECURSION_COUNT");
    if by_rustup {
        made.extend(rustup(given.env, sysroot, cargo_home));
    }
    for setting in program.env.iter().filter(|s| !is_rustups(&s.name)) {
        let value = match theirs {
            Some(theirs) if is_place(&setting.name) => moved(&setting.value, theirs, ours),
            _ => setting.value.clone(),
        };
        made.extend(joined(setting, value, given.env));
    }
    Here {
        argv: program.argv.clone(),
        env: made,
    }
}

/// Variables whose values lie in the toolchain.
fn is_place(name: &OsStr) -> bool {
    name == "CARGO" || name == "LD_LIBRARY_PATH"
}

/// Variables by which rustup knows itself, and what it says of a worker.
fn is_rustups(name: &OsStr) -> bool {
    ["RUSTUP_TOOLCHAIN", "RUSTUP_TOOLCHAIN_SOURCE", "RUSTUP_HOME"]
        .iter()
        .any(|n| name == *n)
}

/// What rustup sets before it becomes cargo.
fn rustup(env: &Vars, sysroot: &Path, cargo_home: &Path) -> Vec<(OsString, OsString)> {
    let mut made = vec![];
    let toolchains = sysroot.parent().filter(|dir| dir.ends_with("toolchains"));
    if let (Some(toolchains), Some(name)) = (toolchains, sysroot.file_name()) {
        made.push(("RUSTUP_TOOLCHAIN".into(), name.into()));
        let home = toolchains.parent().unwrap_or(toolchains);
        env::set_default(&mut made, "RUSTUP_HOME", &home.to_string_lossy());
    }
    made.push(("CARGO_HOME".into(), cargo_home.into()));
    // Those that the client has are the ones that rustup went by.
    made.retain(|(k, _)| k == "RUSTUP_TOOLCHAIN" || !env.iter().any(|(name, _)| name == k));
    made
}

/// A list of paths with those in one toolchain replaced by those in the other.
fn moved(value: &OsStr, from: &str, to: &str) -> OsString {
    let Some(text) = value.to_str() else {
        return value.to_os_string();
    };
    let part = |part: &str| match part.strip_prefix(from) {
        Some(rest) if rest.starts_with('/') => format!("{to}{rest}"),
        _ => part.to_owned(),
    };
    text.split(':')
        .map(part)
        .collect::<Vec<_>>()
        .join(":")
        .into()
}

/// The variable as it shall be; `None` if it is so already.
fn joined(setting: &Setting, mut value: OsString, env: &Vars) -> Option<(OsString, OsString)> {
    let own = env::get(env, setting.name.to_str()?).filter(|own| !own.is_empty());
    if let Some(own) = own.filter(|_| setting.front) {
        // rustup adds its folder only where it is missing.
        if setting.name == "PATH" && std::env::split_paths(own).any(|dir| dir == *value) {
            return None;
        }
        value.push(":");
        value.push(own);
    }
    Some((setting.name.clone(), value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify;
    use crate::roots::Root;
    use crate::wire::worker::Name;

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    fn project(target: &[&str]) -> Project {
        Project {
            name: "p".into(),
            roots: vec![Root::whole("/p".into())],
            needs: Default::default(),
            cargo_config: None,
            cargo_home: "/h/.cargo".into(),
            cargo: Some(Cargo {
                workspace: "/p".into(),
                target_dir: "/p/target".into(),
                build_dir: None,
                targets: target.iter().map(ToString::to_string).collect(),
                artifact_dir: None,
                runner: false,
            }),
            sends_packages: false,
        }
    }

    fn variables(command: &str, project: &Project, env: &Vars) -> Result<Vec<OsString>> {
        let argv = words(command);
        let given = Given {
            argv: &argv,
            cwd: Path::new("/p"),
            env,
        };
        let accepted = classify::argv(&argv).unwrap();
        let rustc = "rustc 1.95.0\nhost: x86_64-unknown-linux-gnu\n";
        runner_variables(given, &accepted, project, rustc)
    }

    #[test]
    fn cargo_is_asked_where_it_starts_programs_itself() {
        let host = "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER";
        assert_eq!(variables("cargo run", &project(&[]), &[]).unwrap(), [host]);
        let mut configured = project(&[]);
        configured.cargo.as_mut().unwrap().runner = true;
        assert!(variables("cargo run", &configured, &[]).is_err());
        let env = [(host.into(), "qemu".into())];
        assert!(variables("cargo run", &project(&[]), &env).is_err());
        for kept in ["cargo -C x run", "cargo run -vv", "cargo -v run -v"] {
            assert!(variables(kept, &project(&[]), &[]).is_err(), "{kept}");
        }
        assert!(variables("cargo run -v -- -v", &project(&[]), &[]).is_ok());
        assert!(variables("cargo run", &project(&["wasm32-wasip1"]), &[]).is_err());
    }

    fn program(argv: &str, env: &[(&str, &str, bool)], libraries: &[&str]) -> Program {
        let set = |(name, value, front): &(&str, &str, bool)| Setting {
            name: name.into(),
            value: value.into(),
            front: *front,
        };
        Program {
            argv: words(argv),
            env: env.iter().map(set).collect(),
            libraries: libraries.iter().map(PathBuf::from).collect(),
        }
    }

    /// A stale program of ours must not stand in for the one that was built.
    #[test]
    fn only_what_came_home_is_run() {
        let argv = words("cargo run -- a");
        let given = Given {
            argv: &argv,
            cwd: Path::new("/p/sub"),
            env: &[],
        };
        let collect = Collect {
            changed: true,
            products: vec![Products {
                dir: "/p/target/debug".into(),
                deep: false,
            }],
        };
        let product = |path: &str| Produced {
            name: Name {
                root: 0,
                path: path.into(),
            },
            size: 1,
            mtime: 0,
            mode: 0o755,
            changed: false,
        };
        let produced = [product("target/debug/app"), product("target/debug/l.so")];
        let check = |argv: &str, libraries: &[&str]| {
            let program = program(argv, &[], libraries);
            check(&program, given, &collect, &project(&[]), &produced).is_ok()
        };
        assert!(check("../target/debug/app a", &[]));
        assert!(check(
            "/p/target/debug/app",
            &["/p/target/debug/l.so", "/usr/lib/x.so"]
        ));
        assert!(!check(
            "/p/target/debug/app",
            &["/p/target/debug/deps/l.so"]
        ));
        assert!(!check("../target/debug/app b", &[]));
        assert!(!check("target/debug/app a", &[]));
        assert!(!check("../target/debug/other a", &[]));
        assert!(!check("/bin/rm a", &[]));
    }

    #[test]
    fn the_workers_places_become_ours() {
        let env = [
            ("CARGO", "/w/.rustup/toolchains/t1/bin/cargo", false),
            (
                "LD_LIBRARY_PATH",
                "/p/target/debug:/w/.rustup/toolchains/t1/lib:/w/.rustup/toolchains/t12/lib",
                true,
            ),
            ("PATH", "/h/.cargo/bin", true),
            ("FOO", "/w/.rustup/toolchains/t1/lib", false),
            ("RUST_RECURSION_COUNT", "1", false),
            ("RUSTUP_TOOLCHAIN_SOURCE", "env", false),
        ];
        let own = [
            ("LD_LIBRARY_PATH".into(), "/mine".into()),
            ("PATH".into(), "/bin:/h/.cargo/bin".into()),
        ];
        let given = Given {
            argv: &[],
            cwd: Path::new("/p"),
            env: &own,
        };
        let sysroot = Path::new("/h/.rustup/toolchains/stable");
        let here = here(
            &program("target/debug/a x", &env, &[]),
            given,
            sysroot,
            Path::new("/h/.cargo"),
        );
        assert_eq!(here.argv, ["target/debug/a", "x"]);
        let value = |name: &str| env::get(&here.env, name).and_then(OsStr::to_str);
        assert_eq!(
            value("CARGO"),
            Some("/h/.rustup/toolchains/stable/bin/cargo")
        );
        assert_eq!(
            value("LD_LIBRARY_PATH"),
            Some(
                "/p/target/debug:/h/.rustup/toolchains/stable/lib:/w/.rustup/toolchains/t12/lib:/mine"
            )
        );
        assert_eq!(value("FOO"), Some("/w/.rustup/toolchains/t1/lib"));
        assert_eq!(
            (value("PATH"), value("RUSTUP_TOOLCHAIN_SOURCE")),
            (None, None)
        );
        assert_eq!(value("RUSTUP_TOOLCHAIN"), Some("stable"));
        assert_eq!(value("RUSTUP_HOME"), Some("/h/.rustup"));
        assert_eq!(value("CARGO_HOME"), Some("/h/.cargo"));
    }
}
