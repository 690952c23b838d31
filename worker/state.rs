//! What a lane's `state` file says: which manifest the tree holds, and whether to believe it.
//!
//! A few lines of text, replaced by rename. It need not be synced to disk: after a crash of the
//! machine the boot id differs, and a lane of another boot is never believed.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rch::ids::ManifestId;
use rch::time::Stamp;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    pub manifest: Option<ManifestId>,
    /// Nothing has been written since `manifest` was committed.
    pub clean: bool,
    /// A job has run here.
    pub ran: bool,
    /// When the last job ended.
    pub ended: Stamp,
    /// Written when the machine went down: what it was doing may be half on disk.
    pub torn: bool,
}

impl State {
    /// `None` if there is no state: a new lane. One that cannot be read or is of another boot is dirty.
    pub fn load(dir: &Path) -> io::Result<Option<State>> {
        match fs::read_to_string(dir.join("state")) {
            Ok(text) => Ok(Some(parse(&text, &boot_id()).unwrap_or(State {
                ran: true,
                torn: true,
                ..State::default()
            }))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Replaces the file and answers its change time: the file system's own clock, now.
    pub fn save(&self, dir: &Path) -> io::Result<Stamp> {
        let (new, path) = (dir.join("state.new"), dir.join("state"));
        fs::write(&new, self.text(&boot_id()))?;
        fs::rename(&new, &path)?;
        let meta = fs::metadata(&path)?;
        Ok(meta.ctime() * 1_000_000_000 + meta.ctime_nsec())
    }

    pub fn holds(&self, base: Option<ManifestId>) -> bool {
        self.clean && base.is_some() && self.manifest == base
    }

    fn text(&self, boot: &str) -> String {
        let manifest = self.manifest.map_or(String::from("-"), |m| m.to_string());
        let State {
            clean, ran, ended, ..
        } = self;
        format!("boot {boot}\nmanifest {manifest}\nclean {clean}\nran {ran}\nended {ended}\n")
    }
}

fn parse(text: &str, boot: &str) -> Option<State> {
    let mut lines = text.lines();
    let mut field = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
    let same_boot = field("boot")? == boot;
    let manifest = field("manifest")?;
    let clean: bool = field("clean")?.parse().ok()?;
    Some(State {
        manifest: unhex(manifest),
        clean: clean && same_boot,
        torn: !clean && !same_boot,
        ran: field("ran")?.parse().ok()?,
        ended: field("ended")?.parse().ok()?,
    })
}

fn unhex(text: &str) -> Option<ManifestId> {
    u128::from_str_radix(text, 16)
        .ok()
        .filter(|_| text.len() == 32)
        .map(|n| ManifestId(n.to_be_bytes()))
}

/// Names this boot of the machine (random(4)); empty if the kernel does not say.
fn boot_id() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_the_way_there_and_back_but_not_a_reboot() {
        let state = State {
            manifest: Some(ManifestId([7; 16])),
            clean: true,
            ran: true,
            ended: 5,
            torn: false,
        };
        let text = state.text("b1");
        assert_eq!(parse(&text, "b1"), Some(state.clone()));
        let later = parse(&text, "b2").unwrap();
        assert!(!later.clean && !later.torn);
        let dirty = state.text("b1").replace("clean true", "clean false");
        assert!(!parse(&dirty, "b1").unwrap().torn);
        assert!(parse(&dirty, "b2").unwrap().torn);
        assert!(state.holds(Some(ManifestId([7; 16]))));
        assert!(!state.holds(None));
    }

    #[test]
    fn a_torn_state_is_not_believed() {
        assert_eq!(parse("boot b1\nmanifest -\ncle", "b1"), None);
        assert_eq!(parse("", "b1"), None);
    }
}
