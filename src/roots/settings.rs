//! Cargo's own configuration (the Cargo book, "Configuration"), as far as it names directories.
//!
//! Cargo merges `.cargo/config.toml` of every directory from its own upward, then the one of
//! CARGO_HOME; nearer wins. Above the files stand `CARGO_*` variables, above those `--config`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use toml_edit::{DocumentMut, Item};

use super::Env;
use crate::paths;

/// One configuration, and the directory its relative paths start from.
#[derive(Debug, Clone)]
struct Layer {
    base: PathBuf,
    doc: DocumentMut,
}

/// All that applies to one command, the strongest first.
#[derive(Debug, Clone)]
pub struct Settings {
    layers: Vec<Layer>,
    home: Option<DocumentMut>,
    /// The files that were read, CARGO_HOME's aside.
    pub files: Vec<PathBuf>,
}

impl Settings {
    pub fn load(cwd: &Path, cargo_home: &Path, configs: &[OsString]) -> Settings {
        let mut settings = Settings {
            layers: configs.iter().rev().filter_map(|c| given(cwd, c)).collect(),
            home: None,
            files: vec![],
        };
        for dir in cwd.ancestors().map(|dir| dir.join(".cargo")) {
            if dir != cargo_home
                && let Some(file) = file_in(&dir)
            {
                settings.layers.extend(layer(&file));
                settings.files.push(file);
            }
        }
        let last = file_in(cargo_home);
        let last = last.as_deref().and_then(layer);
        settings.home = last.as_ref().map(|l| l.doc.clone());
        settings.layers.extend(last);
        settings
    }

    /// `section.key` of the strongest layer that has it, with that layer's base directory.
    fn get(&self, section: &str, key: &str) -> Option<(&Path, &Item)> {
        let layers = self.layers.iter();
        let mut found =
            layers.filter_map(|l| Some((l.base.as_path(), l.doc.get(section)?.get(key)?)));
        found.next()
    }

    /// `section.key` of the strongest layer that has it, as text.
    pub fn text(&self, section: &str, key: &str) -> Option<String> {
        self.get(section, key)?.1.as_str().map(String::from)
    }

    /// Every `linker` of `[target.*]`.
    pub fn linkers(&self) -> Vec<String> {
        let linkers = self.targets_of("linker");
        linkers
            .filter_map(|i| i.as_str().map(String::from))
            .collect()
    }

    /// Every `rustflags` of `[build]` and `[target.*]`, one word or several a line.
    pub fn rustflags(&self) -> Vec<String> {
        let build = self.get("build", "rustflags").map(|(_, item)| item);
        self.targets_of("rustflags")
            .chain(build)
            .flat_map(texts)
            .collect()
    }

    fn targets_of<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a Item> {
        let all = self.layers.iter().flat_map(|l| tables(l.doc.get("target")));
        all.filter_map(move |t| t.get(key))
    }

    /// CARGO_HOME's own configuration, without what is secret in it. `None`: there is none.
    pub fn of_home(&self) -> Option<String> {
        let mut doc = self.home.clone()?;
        let registries = doc.get_mut("registries").and_then(Item::as_table_like_mut);
        for (_, registry) in registries.into_iter().flat_map(|t| t.iter_mut()) {
            hide(registry);
        }
        for section in ["registry", "http"] {
            doc.get_mut(section).map(hide);
        }
        Some(doc.to_string())
    }

    /// A directory of `[build]`: from the variable (relative to `cwd`), else from the files.
    pub fn build_dir(
        &self,
        key: &str,
        variables: &[&str],
        cwd: &Path,
        env: Env<'_>,
    ) -> Option<PathBuf> {
        let given = variables
            .iter()
            .find_map(|v| env(v))
            .filter(|v| !v.is_empty());
        match given {
            Some(dir) => Some(paths::normal(&cwd.join(dir))),
            None => {
                let (base, item) = self.get("build", key)?;
                let text = item.as_str().or_else(|| item.get("path")?.as_str())?;
                Some(paths::normal(&base.join(text)))
            }
        }
    }

    /// `build.target`: one or several triples.
    pub fn targets(&self, env: Env<'_>) -> Vec<String> {
        if let Some(target) = env("CARGO_BUILD_TARGET").filter(|t| !t.is_empty()) {
            return vec![target.to_string_lossy().into_owned()];
        }
        match self.get("build", "target") {
            Some((_, item)) => texts(item),
            None => vec![],
        }
    }

    /// Whether any target has a runner. Which one is meant, where several could be, is not asked.
    pub fn has_runner(&self) -> bool {
        let targets = self.layers.iter().flat_map(|l| tables(l.doc.get("target")));
        targets.into_iter().any(|t| t.get("runner").is_some())
    }

    /// Directories that the files point to: overrides, patches, vendored sources.
    pub fn outside(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for Layer { base, doc } in &self.layers {
            let paths = doc.get("paths").map(texts).unwrap_or_default();
            let patches = tables(doc.get("patch"))
                .flat_map(|t| tables(Some(t)))
                .filter_map(path_of);
            let vendored = tables(doc.get("source")).filter_map(|t| {
                t.get("directory")
                    .or_else(|| t.get("local-registry"))?
                    .as_str()
            });
            let all = paths
                .iter()
                .map(String::as_str)
                .chain(patches)
                .chain(vendored);
            found.extend(all.map(|p| paths::normal(&base.join(p))));
        }
        found
    }
}

/// Takes out what gives access: tokens, and a proxy that a password is written in.
fn hide(item: &mut Item) {
    let Some(table) = item.as_table_like_mut() else {
        return;
    };
    for key in ["token", "secret-key", "credential-provider"] {
        table.remove(key);
    }
    let with_password = |i: &Item| i.as_str().is_some_and(|text| text.contains('@'));
    if table.get("proxy").is_some_and(with_password) {
        table.remove("proxy");
    }
}

fn texts(item: &Item) -> Vec<String> {
    match (item.as_str(), item.as_array()) {
        (Some(one), _) => vec![one.into()],
        (_, Some(list)) => list
            .iter()
            .filter_map(|v| v.as_str())
            .map(String::from)
            .collect(),
        _ => vec![],
    }
}

/// The values of a table.
pub(super) fn tables(item: Option<&Item>) -> impl Iterator<Item = &Item> {
    let table = item.and_then(Item::as_table_like);
    table
        .into_iter()
        .flat_map(|t| t.iter().map(|(_, item)| item))
}

/// `path` of a dependency.
pub(super) fn path_of(item: &Item) -> Option<&str> {
    item.get("path")?.as_str()
}

/// Of the two names the older one wins, as in cargo.
fn file_in(dir: &Path) -> Option<PathBuf> {
    let mut both = ["config", "config.toml"].iter().map(|name| dir.join(name));
    both.find(|path| path.is_file())
}

/// A file that cannot be read or parsed counts as empty: cargo will say what is wrong with it.
fn layer(file: &Path) -> Option<Layer> {
    Some(Layer {
        base: file.parent()?.parent()?.to_path_buf(),
        doc: std::fs::read_to_string(file).ok()?.parse().ok()?,
    })
}

/// `--config`: a file, or `key = value`.
fn given(cwd: &Path, config: &OsString) -> Option<Layer> {
    let text = config.to_str()?;
    let file = cwd.join(text);
    if file.is_file() {
        return Some(Layer {
            base: file.parent()?.to_path_buf(),
            doc: std::fs::read_to_string(&file).ok()?.parse().ok()?,
        });
    }
    Some(Layer {
        base: cwd.to_path_buf(),
        doc: text.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn what_travels_of_the_homes_configuration_holds_no_secret() {
        let scratch = Scratch::new();
        scratch.file(
            "config.toml",
            "[build]\nrustc-wrapper = \"wrap\" # ours\n[registry]\ntoken = \"s3cret\"\n\
             [registries.mine]\nindex = \"sparse+https://x/\"\ntoken = \"s3cret\"\n\
             [http]\nproxy = \"me:s3cret@proxy:80\"\ntimeout = 5\n\
             [target.'cfg(unix)']\nlinker = \"clang\"\nrustflags = [\"-C\", \"link-arg=-fuse-ld=lld\"]\n",
        );
        let home = scratch.0.clone();
        let settings = Settings::load(Path::new("/nowhere"), &home, &[]);
        let text = settings.of_home().unwrap();
        assert!(
            !text.contains("s3cret") && !text.contains("proxy"),
            "{text}"
        );
        assert!(text.contains("rustc-wrapper = \"wrap\" # ours"), "{text}");
        assert!(text.contains("index = ") && text.contains("timeout = 5"));
        assert_eq!(settings.linkers(), ["clang"]);
        assert_eq!(settings.rustflags(), ["-C", "link-arg=-fuse-ld=lld"]);
        let none = Settings::load(Path::new("/nowhere"), Path::new("/nowhere"), &[]);
        assert_eq!(none.of_home(), None);
    }
}
