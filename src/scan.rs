//! Walks a project's roots into a manifest, in parallel.

use crate::error::{Error, Result};
use crate::exclude::Rules;
use crate::manifest::Manifest;
use crate::roots::Project;

/// What stands in the roots of `project` now, as far as `rules` let it travel.
///
/// # Errors
/// A directory or file that cannot be read, by name.
pub fn scan(project: &Project, rules: &Rules, threads: usize) -> Result<Manifest> {
    let _ = (project, rules, threads);
    Err(Error::new("not implemented"))
}
