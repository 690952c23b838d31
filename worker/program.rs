//! `cargo run` on a worker: everything but the run.
//!
//! cargo chooses the program and makes its environment, and only cargo knows how, so cargo is asked:
//! this program is its runner (`target.….runner`), which starts nothing but writes down what it was
//! to start. `serve` reads the note when cargo has ended, and the program runs at home. The note lies
//! in the lane under a name that no sync knows.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rch::elf;
use rch::exclude::TEMP_PREFIX;
use rch::wire::worker::{Fault, FromWorker, Products, Program, Setting};
use rch::wire::{self, MAX_BODY};

use crate::fault::{Done, Wrong};
use crate::lane::Lane;
use crate::remap::Remap;

/// Our own word for being a runner, as in `rch-wkr program target/debug/app`.
pub const WORD: &str = "program";

/// Where the note goes.
pub const PLACE: &str = "RCH_PROGRAM";

/// Search paths, in front of which cargo and rustup put something.
const SEARCHED: [&str; 2] = ["LD_LIBRARY_PATH", "PATH"];

/// Variables that say nothing about the program: ours, and what any process start changes.
const OURS: [&str; 4] = [PLACE, "RCH_BYPASS", "_", "PWD"];

/// The note's name beneath the first root.
pub fn note() -> PathBuf {
    PathBuf::from(format!("{TEMP_PREFIX}{WORD}"))
}

/// The runner in cargo's words, which splits them at blanks and prints them.
///
/// # Errors
/// `NoTool` if this program cannot be named so, or lies where the job's world has the project.
pub fn runner(lane: &Lane) -> Done<String> {
    let own = env::current_exe().ok();
    let own = own.as_deref().and_then(Path::to_str).unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    let hidden = lane
        .homes
        .iter()
        .any(|home| Path::new(own).starts_with(home));
    if own.is_empty() || hidden || !own.chars().all(plain) {
        let text = format!("'{own}' cannot be cargo's runner");
        return Err(Wrong::new(Fault::NoTool, text));
    }
    Ok(format!("{own} {WORD}"))
}

/// What takes the runner's words out of cargo's `Running` line.
pub fn unseen(runner: &str) -> (PathBuf, PathBuf) {
    (format!("{runner} ").into(), PathBuf::new())
}

/// Notes the command line that cargo gives its runner. A note that cannot be written is missed by
/// `serve`; whatever we said would be taken for cargo's words.
pub fn record(argv: Vec<OsString>) {
    let env = env::vars_os();
    let set = |(name, value)| Setting {
        name,
        value,
        front: false,
    };
    let program = Program {
        libraries: libraries(argv.first()),
        argv,
        env: env.map(set).collect(),
    };
    let mut frame = Vec::new();
    FromWorker::Program(program).encode(&mut frame);
    if let Some(path) = env::var_os(PLACE) {
        let _ = File::create_new(path).and_then(|mut file| file.write_all(&frame));
    }
}

/// Shared libraries that the program needs, and those in turn, as far as `LD_LIBRARY_PATH` has them.
fn libraries(program: Option<&OsString>) -> Vec<PathBuf> {
    let path = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let dirs: Vec<PathBuf> = env::split_paths(&path).collect();
    let mut found: Vec<PathBuf> = Vec::new();
    let mut left: Vec<PathBuf> = program.map(PathBuf::from).into_iter().collect();
    while let Some(file) = left.pop() {
        for name in elf::needed(&file) {
            let mut places = dirs.iter().map(|dir| dir.join(&name));
            if let Some(place) = places.find(|p| p.exists())
                && !found.contains(&place)
            {
                left.push(place.clone());
                found.push(place);
            }
        }
    }
    found
}

/// Takes the note that a job with the environment `before` has left: what of its environment cargo
/// made, and every path as at home. `None`: cargo came to start nothing.
pub fn take(lane: &Lane, before: &[(OsString, OsString)], home: &Remap) -> Option<Program> {
    let tree = lane.trees.first()?;
    let frame = read(tree.open_file(&note()).ok()?.into());
    let _ = tree.delete(&note());
    let frame = frame.ok()?;
    let (frame, _) = wire::split(&frame).ok()??;
    let FromWorker::Program(mut program) = FromWorker::decode(frame).ok()? else {
        return None;
    };
    let back = |text: &OsStr| OsStr::from_bytes(&home.all(text.as_bytes())).to_os_string();
    program.argv.iter_mut().for_each(|a| *a = back(a));
    let at_home = |path: &PathBuf| back(path.as_os_str()).into();
    program.libraries = program.libraries.iter().map(at_home).collect();
    let made = program.env.into_iter().filter_map(|s| change(s, before));
    program.env = made
        .map(|s| Setting {
            value: back(&s.value),
            ..s
        })
        .collect();
    Some(program)
}

fn read(file: File) -> io::Result<Vec<u8>> {
    let mut frame = Vec::new();
    file.take(MAX_BODY as u64).read_to_end(&mut frame)?;
    Ok(frame)
}

/// What was made of a variable; `None` if nothing was.
fn change(mut now: Setting, before: &[(OsString, OsString)]) -> Option<Setting> {
    let is = |name: &str| now.name == name;
    let old = before.iter().find(|(name, _)| *name == now.name);
    let old = old.map(|(_, value)| value.as_bytes());
    let runner = now.name.as_bytes().ends_with(b"_RUNNER");
    if OURS.iter().any(|o| is(o)) || runner || old == Some(now.value.as_bytes()) {
        return None;
    }
    if SEARCHED.iter().any(|s| is(s)) {
        now.front = true;
        if let Some(old) = old.filter(|old| !old.is_empty()) {
            let front = now.value.as_bytes().strip_suffix(old)?;
            now.value = OsStr::from_bytes(front.strip_suffix(b":")?).to_os_string();
        }
    }
    Some(now)
}

/// A program may read at run time what its own build script made.
pub fn build_output(program: &Program) -> Option<Products> {
    let out = program.env.iter().find(|s| s.name == "OUT_DIR")?;
    Some(Products {
        dir: PathBuf::from(&out.value),
        deep: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(name: &str, now: &str, old: Option<&str>) -> Option<(String, bool)> {
        let before: Vec<(OsString, OsString)> =
            old.map(|o| (name.into(), o.into())).into_iter().collect();
        let setting = Setting {
            name: name.into(),
            value: now.into(),
            front: false,
        };
        let made = change(setting, &before)?;
        Some((made.value.into_string().unwrap(), made.front))
    }

    #[test]
    fn what_cargo_made_is_told_from_what_was_there() {
        let whole = |text: &str| Some((text.to_owned(), false));
        let front = |text: &str| Some((text.to_owned(), true));
        assert_eq!(changed("FOO", "bar", None), whole("bar"));
        assert_eq!(changed("FOO", "bar", Some("baz")), whole("bar"));
        assert_eq!(changed("FOO", "bar", Some("bar")), None);
        assert_eq!(changed("RCH_PROGRAM", "x", None), None);
        assert_eq!(changed("CARGO_TARGET_X_RUNNER", "x", None), None);
        assert_eq!(changed("LD_LIBRARY_PATH", "/t:/l", Some("/l")), front("/t"));
        assert_eq!(changed("LD_LIBRARY_PATH", "/t:/s", None), front("/t:/s"));
        assert_eq!(changed("PATH", "/c:/bin", Some("/bin")), front("/c"));
        assert_eq!(changed("PATH", "/bin:/c", Some("/bin")), None);
    }
}
