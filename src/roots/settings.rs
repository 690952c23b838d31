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
    /// The files that were read, CARGO_HOME's aside.
    pub files: Vec<PathBuf>,
}

impl Settings {
    pub fn load(cwd: &Path, cargo_home: &Path, configs: &[OsString]) -> Settings {
        let mut settings = Settings {
            layers: configs.iter().rev().filter_map(|c| given(cwd, c)).collect(),
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
        settings.layers.extend(last.as_deref().and_then(layer));
        settings
    }

    /// `section.key` of the strongest layer that has it, with that layer's base directory.
    fn get(&self, section: &str, key: &str) -> Option<(&Path, &Item)> {
        let layers = self.layers.iter();
        let mut found =
            layers.filter_map(|l| Some((l.base.as_path(), l.doc.get(section)?.get(key)?)));
        found.next()
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
