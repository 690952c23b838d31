//! Which value wins: environment over project over user over default, and where each came from.
//!
//! `Config` is what programs use; `Settings` is what `rch config show --sources` shows. Both come
//! from the same walk, so that the explanation cannot differ from the effect.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::file::{self, Setting};
use super::keys::{KEYS, Key, Scope};
use super::vars::{VARS, Var};
use super::{Complaint, Config, Kind, Value};
use crate::paths::MAX_SOCKET;
use crate::sys::process::getuid;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Default,
    User { path: PathBuf, line: usize },
    Project { path: PathBuf, line: usize },
    Env(&'static str),
}

/// As people read it: `default`, `RCH_COMPRESSION`, `/home/u/.config/rch/config.toml:3`.
impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Source::Default => f.write_str("default"),
            Source::User { path, line } | Source::Project { path, line } => {
                write!(f, "{}:{line}", path.display())
            }
            Source::Env(name) => write!(f, "environment {name}"),
        }
    }
}

/// One key as it is in force.
pub struct Resolved {
    pub key: &'static Key,
    pub value: Value,
    pub source: Source,
}

/// Every setting in force in one place, in the order of `KEYS`.
pub struct Settings {
    pub all: Vec<Resolved>,
    pub complaints: Vec<Complaint>,
    /// The project's file, if there is one.
    pub project: Option<PathBuf>,
}

/// `~/.config/rch/config.toml`.
pub fn user_file() -> PathBuf {
    crate::paths::config_dir().join("config.toml")
}

/// The nearest `.rch/config.toml`, from `cwd` upward.
pub fn project_file(cwd: &Path) -> Option<PathBuf> {
    cwd.ancestors()
        .map(|dir| dir.join(".rch/config.toml"))
        .find(|path| path.symlink_metadata().is_ok())
}

/// Resolves every setting for `cwd` with the user's file at `user`.
pub fn settings(user: &Path, cwd: &Path, env: impl Fn(&str) -> Option<String>) -> Settings {
    let mut settings = Settings {
        all: KEYS.iter().map(default).collect(),
        complaints: vec![],
        project: project_file(cwd),
    };
    settings.file(user, Scope::UserOnly);
    if let Some(path) = settings.project.clone() {
        match stranger(&path) {
            Some(complaint) => settings.complaints.push(complaint),
            None => settings.file(&path, Scope::Anywhere),
        }
    }
    settings.environment(env);
    settings
}

fn default(key: &'static Key) -> Resolved {
    Resolved {
        key,
        value: key.kind.default(),
        source: Source::Default,
    }
}

/// Keys that decide whether anything travels: what a variable was to say of them is not guessed.
const KEEPING: [&str; 2] = ["general.enabled", "general.force_local"];

/// A project file that another user owns is not obeyed: anyone can make `/tmp/.rch`.
fn stranger(path: &Path) -> Option<Complaint> {
    let owner = path.metadata().ok()?.uid();
    (owner != getuid() && owner != 0).then(|| {
        Complaint::new(format!(
            "ignoring '{}': it belongs to another user",
            path.display()
        ))
    })
}

impl Settings {
    fn file(&mut self, path: &Path, from: Scope) {
        let (settings, complaints) = match file::text(path) {
            Ok(Some(text)) => file::read(path, &text, from),
            Ok(None) => return,
            Err(complaint) => (vec![], vec![complaint]),
        };
        self.complaints.extend(complaints);
        for setting in settings {
            self.take(path, from, setting);
        }
    }

    fn take(&mut self, path: &Path, from: Scope, setting: Setting) {
        let Setting { key, value, line } = setting;
        let path = path.to_path_buf();
        let source = match from {
            Scope::UserOnly => Source::User { path, line },
            Scope::Anywhere => Source::Project { path, line },
        };
        self.set(key, value, source);
    }

    fn set(&mut self, key: &Key, value: Value, source: Source) {
        let Some(slot) = self.all.iter_mut().find(|r| std::ptr::eq(r.key, key)) else {
            return;
        };
        slot.value = match (
            &key.kind,
            std::mem::replace(&mut slot.value, Value::Int(0)),
            value,
        ) {
            (Kind::List { adds: true, .. }, Value::List(mut have), Value::List(more)) => {
                have.extend(more);
                Value::List(have)
            }
            (_, _, value) => value,
        };
        slot.source = source;
    }

    fn environment(&mut self, env: impl Fn(&str) -> Option<String>) {
        for key in KEYS {
            let Some(var) = Var::of(&key.path()) else {
                continue;
            };
            match env(var.name).map(|text| key.kind.parse(&text)) {
                Some(Ok(value)) => self.set(key, value, Source::Env(var.name)),
                Some(Err(why)) => {
                    let text = format!("bad value for '{}': {why}", var.name);
                    self.complaints.push(Complaint {
                        text,
                        harmless: !KEEPING.contains(&var.key),
                    });
                }
                None => {}
            }
        }
        for var in VARS.iter().filter(|v| !v.words.is_empty()) {
            let fault = env(var.name).and_then(|value| var.fault(&value));
            self.complaints.extend(fault.map(Complaint::harmless));
        }
    }

    #[expect(
        clippy::expect_used,
        reason = "a bug of ours; the hook asks for no key"
    )]
    pub fn get(&self, key: &Key) -> &Resolved {
        self.all
            .iter()
            .find(|r| std::ptr::eq(r.key, key))
            .expect("BUG: a key outside the table")
    }

    pub fn config(&self) -> Config {
        let mut config = Config::blank();
        for resolved in &self.all {
            (resolved.key.put)(&mut config, &resolved.value);
        }
        config
    }

    /// What the values contradict among themselves; for `validate`.
    pub fn contradictions(&self) -> Vec<Complaint> {
        let config = self.config();
        let mut out = vec![];
        if config.general.force_local && config.general.force_remote {
            let text = "'general.force_local' and 'general.force_remote' are both true";
            out.push(self.about(
                "general.force_remote",
                &format!("{text}\nhint: force_local wins; remove one"),
            ));
        }
        let socket = config.general.socket_path.as_os_str().len();
        if socket > MAX_SOCKET {
            out.push(self.about(
                "general.socket_path",
                &format!(
                    "'general.socket_path' is {socket} bytes long, the kernel takes {MAX_SOCKET}\n\
                     hint: choose a shorter path"
                ),
            ));
        }
        if !config.general.socket_path.is_absolute() {
            out.push(self.about(
                "general.socket_path",
                "'general.socket_path' is not absolute\nhint: let it begin with '/' or '~/'",
            ));
        }
        out
    }

    /// What would be wrong with `value` for `key`, which is right by itself.
    pub fn against(mut self, key: &'static Key, value: Value) -> Option<Complaint> {
        let before = self.contradictions();
        self.set(key, value, Source::Default);
        let mut after = self.contradictions().into_iter();
        after.find(|c| !before.contains(c) && c.bare().contains(&format!("'{}' is", key.path())))
    }

    /// A complaint about a key's value, with the place where that stands.
    #[expect(
        clippy::expect_used,
        reason = "a bug of ours; the hook complains of nothing"
    )]
    pub fn about(&self, path: &str, text: &str) -> Complaint {
        let key = Key::find(path).expect("BUG: a key outside the table");
        Complaint::new(match &self.get(key).source {
            Source::User { path, line } | Source::Project { path, line } => {
                format!("{}:{line}: {text}", path.display())
            }
            Source::Default | Source::Env(_) => text.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A home and a project in a directory of this test's own.
    fn place(name: &str, user: &str, project: &str) -> (PathBuf, PathBuf) {
        let root = std::env::temp_dir().join(format!("rch-layers-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        let cwd = root.join("p/deep/er");
        fs::create_dir_all(root.join("p/.rch")).unwrap();
        fs::create_dir_all(&cwd).unwrap();
        fs::write(root.join("config.toml"), user).unwrap();
        fs::write(root.join("p/.rch/config.toml"), project).unwrap();
        (root, cwd)
    }

    fn no_env(_: &str) -> Option<String> {
        None
    }

    #[test]
    fn environment_over_project_over_user_over_default() {
        let (root, cwd) = place(
            "order",
            "[transfer]\ncompression_level = 5\nartifacts = \"full\"\nmax_transfer_mb = 9\n",
            "[transfer]\ncompression_level = 6\nmax_transfer_mb = 10\n",
        );
        let env = |name: &str| (name == "RCH_COMPRESSION").then(|| "7".to_string());
        let settings = settings(&root.join("config.toml"), &cwd, env);
        let of = |path: &str| {
            let r = settings.get(Key::find(path).unwrap());
            (r.value.to_string(), r.source.to_string())
        };
        assert_eq!(settings.complaints, []);
        assert_eq!(
            of("transfer.compression_level"),
            ("7".into(), "environment RCH_COMPRESSION".into())
        );
        let project = root.join("p/.rch/config.toml");
        assert_eq!(
            of("transfer.max_transfer_mb"),
            ("10".into(), format!("{}:3", project.display()))
        );
        assert_eq!(of("transfer.artifacts").0, "\"full\"");
        assert_eq!(of("transfer.root"), ("\"repo\"".into(), "default".into()));
        assert_eq!(settings.config().transfer.compression_level, 7);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_project_adds_excludes_and_cannot_take_any_away() {
        let (root, cwd) = place(
            "adds",
            "[transfer]\nexclude_patterns = [\"secret/\"]\ninclude_patterns = [\"a\"]\n",
            "[transfer]\nexclude_patterns = [\"big/\"]\ninclude_patterns = []\n",
        );
        let config = settings(&root.join("config.toml"), &cwd, no_env).config();
        assert_eq!(config.transfer.exclude_patterns, ["secret/", "big/"]);
        assert!(config.transfer.include_patterns.is_empty());
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_project_is_switched_off_by_one_line() {
        let (root, cwd) = place("off", "", "enabled = false\n");
        let user = root.join("config.toml");
        assert!(!settings(&user, &cwd, no_env).config().general.enabled);
        let env = |name: &str| (name == "RCH_ENABLED").then(|| "1".to_string());
        assert!(settings(&user, &cwd, env).config().general.enabled);
        assert!(settings(&user, &root, no_env).config().general.enabled);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_broken_file_counts_as_absent_and_is_complained_about() {
        let (root, cwd) = place(
            "broken",
            "[general\n",
            "[transfer]\ncompression_level = 99\n",
        );
        let settings = settings(&root.join("config.toml"), &cwd, no_env);
        assert_eq!(settings.complaints.len(), 2);
        assert_eq!(settings.config(), Config::default());
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn every_variable_with_a_key_is_honoured() {
        for var in crate::config::vars::VARS
            .iter()
            .filter(|v| !v.key.is_empty())
        {
            let key = Key::find(var.key).unwrap_or_else(|| panic!("no key {}", var.key));
            let text = match key.kind {
                Kind::Bool(b) => (!b).to_string(),
                Kind::Int { default, .. } => (default + 1).to_string(),
                Kind::Word { allowed, .. } => allowed[allowed.len() - 1].to_string(),
                _ => "X,Y".to_string(),
            };
            let env = |name: &str| (name == var.name).then(|| text.clone());
            let got = settings(Path::new("/nonexistent"), Path::new("/"), env);
            assert_eq!(got.get(key).source, Source::Env(var.name));
            assert_ne!(got.config(), Config::default(), "{}", var.name);
        }
    }
}
