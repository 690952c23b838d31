//! Which compiler a command means on this machine, in words that can be compared with a worker's.
//!
//! A worker is compatible if it has the same compiler, by its own text (`rustc -vV`, `gcc
//! --version`), because that text is hashed into every artifact. Asking costs a process (and
//! rustup's proxy another), so answers are kept by everything that they depend on: the program's
//! file, the nearest toolchain file, rustup's settings, the override in the environment. To ask is not
//! to install: a toolchain that is missing here is the local command's to bring, in front of its user.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::SystemTime;

use crate::classify::{Accepted, Kind, Tool};
use crate::error::{Error, Result};
use crate::plan::env;
use crate::shell::quoted;

/// A tool's name as the worker's facts name it (`rustc`, `gcc`, …) and its identity.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    pub tool: String,
    pub text: String,
}

/// Everything an answer depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Question {
    program: PathBuf,
    args: Vec<OsString>,
    override_: Option<OsString>,
    files: Vec<(PathBuf, SystemTime)>,
}

/// How many answers are kept: a toolchain file that was edited is another question. With more of them
/// all are asked again, which costs a process each.
const ANSWERS: usize = 1000;

/// Answers that were given; shared by the crew's threads.
#[derive(Debug, Default)]
pub struct Known(Mutex<HashMap<Question, String>>);

/// Where and with what a command is called.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    pub cwd: &'a Path,
    pub env: &'a [(OsString, OsString)],
}

impl Place<'_> {
    fn var(&self, name: &str) -> Option<&OsStr> {
        self.env
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_os_str())
    }

    /// Where rustup keeps its toolchains and settings.
    pub fn rustup_home(&self) -> PathBuf {
        let named = self.var("RUSTUP_HOME").filter(|home| !home.is_empty());
        let home = || Path::new(self.var("HOME").unwrap_or_default()).join(".rustup");
        named.map_or_else(home, PathBuf::from)
    }

    fn find(&self, program: &OsStr) -> Option<PathBuf> {
        let path = self.var("PATH")?;
        std::env::split_paths(path)
            .map(|dir| dir.join(program))
            .find(|p| p.is_file())
    }
}

impl Known {
    /// The identities that a worker must share to take the command.
    ///
    /// # Errors
    /// The tool is not here: the local command must say so itself.
    pub fn identities(
        &self,
        accepted: &Accepted,
        argv: &[OsString],
        place: Place<'_>,
    ) -> Result<Vec<Identity>> {
        match accepted.tool {
            Tool::Cargo | Tool::Rustc => Ok(vec![self.rustc(argv, place)?]),
            Tool::Cc => {
                let name = argv[0].to_string_lossy().into_owned();
                Ok(vec![self.compiler(&name, place)?])
            }
            // What these call is theirs to find; the usual compiler must be the same.
            Tool::Make | Tool::Ninja | Tool::Cmake | Tool::Meson => {
                Ok(self.compiler("cc", place).into_iter().collect())
            }
            Tool::Bun => {
                let mut found = vec![self.version("bun", &["--version"], place)?];
                // A script's tools run by node where there is one, else by bun.
                if accepted.kind == Kind::Check {
                    found.extend(self.version("node", &["--version"], place));
                }
                Ok(found)
            }
        }
    }

    /// Where the toolchain that a cargo or rustc command means is installed here.
    ///
    /// # Errors
    /// rustc does not say.
    pub fn sysroot(&self, argv: &[OsString], place: Place<'_>) -> Result<PathBuf> {
        let args = ["--print", "sysroot"].map(OsString::from);
        let text = self.ask("rustc", with_toolchain(argv, args), place)?;
        Ok(text.trim().into())
    }

    fn rustc(&self, argv: &[OsString], place: Place<'_>) -> Result<Identity> {
        let args = with_toolchain(argv, ["-vV".into()]);
        Ok(Identity {
            tool: "rustc".into(),
            text: self.ask("rustc", args, place)?,
        })
    }

    /// What a C compiler says of itself, and the machine it compiles for on a second line.
    fn compiler(&self, tool: &str, place: Place<'_>) -> Result<Identity> {
        let mut identity = self.version(tool, &["--version"], place)?;
        let machine = self.ask(tool, vec!["-dumpmachine".into()], place)?;
        identity.text = format!("{}\n{}", identity.text, machine.trim());
        Ok(identity)
    }

    /// The first line of what the tool says of itself.
    fn version(&self, tool: &str, args: &[&str], place: Place<'_>) -> Result<Identity> {
        let text = self.ask(tool, args.iter().map(OsString::from).collect(), place)?;
        let line = text.lines().next().unwrap_or_default().to_owned();
        Ok(Identity {
            tool: tool.into(),
            text: line,
        })
    }

    fn ask(&self, tool: &str, args: Vec<OsString>, place: Place<'_>) -> Result<String> {
        let missing = || Error::new(format!("'{tool}' is not installed here"));
        let program = place.find(OsStr::new(tool)).ok_or_else(missing)?;
        let question = Question {
            files: depends_on(&program, place),
            override_: place.var("RUSTUP_TOOLCHAIN").map(OsStr::to_os_string),
            program,
            args,
        };
        if let Some(known) = self
            .0
            .lock()
            .ok()
            .and_then(|known| known.get(&question).cloned())
        {
            return Ok(known);
        }
        let text = run(&question, place)?;
        if let Ok(mut known) = self.0.lock() {
            if known.len() >= ANSWERS {
                known.clear();
            }
            known.insert(question, text.clone());
        }
        Ok(text)
    }
}

/// Questions for the toolchain that `argv` names, if it names one (`cargo +nightly`).
fn with_toolchain<const N: usize>(argv: &[OsString], args: [OsString; N]) -> Vec<OsString> {
    let plus = argv.get(1).filter(|word| is_toolchain(word));
    plus.cloned().into_iter().chain(args).collect()
}

/// Takes the word out that names a toolchain, if there is one.
pub fn take_word(argv: &mut Vec<OsString>) {
    if argv.get(1).is_some_and(|word| is_toolchain(word)) {
        argv.remove(1);
    }
}

fn is_toolchain(word: &OsStr) -> bool {
    word.as_encoded_bytes().first() == Some(&b'+')
}

/// Files whose change may change the answer.
fn depends_on(program: &Path, place: Place<'_>) -> Vec<(PathBuf, SystemTime)> {
    let rustup = place.rustup_home();
    let above = place.cwd.ancestors();
    let files = above.flat_map(|dir| [dir.join("rust-toolchain.toml"), dir.join("rust-toolchain")]);
    let files = [program.to_path_buf(), rustup.join("settings.toml")]
        .into_iter()
        .chain(files);
    files
        .filter_map(|f| Some((f.metadata().ok()?.modified().ok()?, f)))
        .map(|(t, f)| (f, t))
        .collect()
}

fn run(question: &Question, place: Place<'_>) -> Result<String> {
    let output = Command::new(&question.program)
        .args(&question.args)
        .current_dir(place.cwd)
        .env_clear()
        .envs(place.env.iter().cloned())
        // A translated text would match no worker's.
        .env("LC_ALL", "C")
        .env("RUSTUP_AUTO_INSTALL", "0")
        .env("RUSTUP_TERM_COLOR", "never")
        .stdin(Stdio::null())
        .output()
        .map_err(|e| Error::path("run", &question.program, &e))?;
    if !output.status.success() {
        return Err(untold(&question.program, &output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout)
        .trim_end()
        .to_owned())
}

/// Why it does not answer, by what it `said`, and the remedy where one is known.
fn untold(program: &Path, said: &[u8]) -> Error {
    let text = format!("'{}' does not tell its version", program.display());
    let Some(cause) = first_error(said) else {
        return Error::new(text);
    };
    let error = Error::new(format!("{text}: {cause}"));
    match missing(&cause) {
        Some(name) if is_released(name) => {
            error.hint(format!("rustup toolchain install {}", quoted(name)))
        }
        Some(name) => error.hint(format!("rustup toolchain link {} DIRECTORY", quoted(name))),
        None => error,
    }
}

/// The most of an error that is passed on, in characters.
const CAUSE: usize = 200;

/// The first error that rustup tells, unless there is a password in it.
fn first_error(said: &[u8]) -> Option<String> {
    let said = String::from_utf8_lossy(said);
    let line = said.lines().find_map(|l| l.strip_prefix("error: "))?;
    let plain = line.chars().filter(|c| !c.is_control());
    let cause: String = plain.take(CAUSE).collect();
    (!env::holds_password(line.as_ref())).then_some(cause)
}

/// The toolchain that is not here: "toolchain 'NAME' is not installed", "custom toolchain 'NAME'
/// specified in override file 'PATH' is not installed" (rustup 1.25 to 1.29).
fn missing(cause: &str) -> Option<&str> {
    let (_, rest) = cause.split_once("toolchain '")?;
    let (name, rest) = rest.split_once('\'')?;
    rest.ends_with(" is not installed").then_some(name)
}

/// Whether rustup can fetch it, as against one that somebody built.
fn is_released(name: &str) -> bool {
    let channels = ["stable", "beta", "nightly"];
    channels.iter().any(|c| name.starts_with(c)) || name.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rustup_says_is_passed_on_with_its_remedy() {
        let long = format!("error: {}\n", "x".repeat(500));
        let cut = "x".repeat(CAUSE);
        for (said, cause, remedy) in [
            (
                "info: syncing\nerror: toolchain '1.2.3-x86_64' is not installed\nhelp: run it\n",
                ": toolchain '1.2.3-x86_64' is not installed",
                Some("rustup toolchain install 1.2.3-x86_64"),
            ),
            (
                "error: custom toolchain 'a b' specified in override file '/p/rust-toolchain' is not installed\n",
                ": custom toolchain 'a b' specified in override file '/p/rust-toolchain' is not installed",
                Some("rustup toolchain link 'a b' DIRECTORY"),
            ),
            (
                "error: the path '/no\x1bwhere' has no bin/ directory",
                ": the path '/nowhere' has no bin/ directory",
                None,
            ),
            (&long, &format!(": {cut}"), None),
            ("error: cannot fetch https://me:secret@host/", "", None),
            ("Segmentation fault", "", None),
        ] {
            let error = untold(Path::new("/bin/rustc"), said.as_bytes());
            let text = format!("'/bin/rustc' does not tell its version{cause}");
            assert_eq!(error.text(), text);
            assert_eq!(error.remedy(), remedy, "{said}");
        }
    }
}
