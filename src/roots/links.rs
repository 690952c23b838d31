//! Symbolic links that lead out of all roots: where they lead must come along, or a build on the
//! worker finds nothing there.
//!
//! They are seen only when a tree has been walked, so they are a second step after `find`. A link to
//! the system's own directories, to nothing, into a hidden directory of the home (credentials live
//! there, and caches) or to what is too wide to send is left as it is.

use std::path::{Path, PathBuf};

use super::{Project, Search, is_system};
use crate::error::Result;
use crate::manifest::{Kind, Manifest};
use crate::paths;

/// Adds roots for the links of `manifest` (a walk of `project`); whether there were any, so that the
/// walk must be done anew.
///
/// # Errors
/// More roots than can be numbered.
pub fn widen(project: &mut Project, manifest: &Manifest, home: &Path) -> Result<bool> {
    let leaving = leaving(project, manifest);
    if leaving.is_empty() {
        return Ok(false);
    }
    let mut search = Search {
        home: home.to_path_buf(),
        cargo_home: project.cargo_home.clone(),
        needs: project.needs.clone(),
        cargo_config: None,
        narrow: true,
        roots: project.roots.clone(),
    };
    for place in leaving {
        search.follow(&place)?;
    }
    let more = search.roots != project.roots;
    search.roots[1..].sort_by(|a, b| a.path.cmp(&b.path));
    project.roots = search.roots;
    Ok(more)
}

/// Where the links lead that lead out of all roots.
fn leaving(project: &Project, manifest: &Manifest) -> Vec<PathBuf> {
    let ends = manifest
        .iter()
        .filter_map(|(name, entry)| match &entry.kind {
            Kind::Symlink(target) => {
                let place = project.place(name);
                Some(paths::normal(&place.parent()?.join(target)))
            }
            _ => None,
        });
    ends.filter(|end| !project.syncs(end)).collect()
}

impl Search {
    fn follow(&mut self, end: &Path) -> Result<()> {
        let Ok(meta) = end.metadata() else {
            return Ok(());
        };
        let dir = if meta.is_dir() {
            Some(end)
        } else {
            end.parent()
        };
        let Some(dir) = dir.filter(|dir| self.may_follow(dir)) else {
            return Ok(());
        };
        match end.file_name() {
            Some(name) if meta.is_file() => self.add_only(dir, vec![name.into()]),
            _ if meta.is_dir() => self.add(dir),
            _ => Ok(()),
        }
    }

    fn may_follow(&self, dir: &Path) -> bool {
        let hidden = |rest: &Path| {
            rest.iter()
                .next()
                .is_some_and(|n| n.as_encoded_bytes()[0] == b'.')
        };
        let around = self.roots.iter().any(|r| r.path.starts_with(dir));
        !around
            && !is_system(dir)
            && self.too_wide(dir).is_none()
            && !dir.strip_prefix(&self.home).is_ok_and(hidden)
    }
}
