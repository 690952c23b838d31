//! What a lane's `state` file says: which manifest the tree holds, and whether to believe it.
//!
//! A few lines of text, replaced by rename. It need not be synced to disk: after a crash of the
//! machine the boot id differs, and of a lane of another boot no source is believed without a look at
//! it, and no product unless the lane was clean and on the disk (`durable`).

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::LazyLock;

use rch::ids::ManifestId;
use rch::time::Stamp;

use crate::durable;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    pub manifest: Option<ManifestId>,
    /// Nothing has been written since `manifest` was committed.
    pub clean: bool,
    /// A job has run here.
    pub ran: bool,
    /// When the last job ended.
    pub ended: Stamp,
}

impl State {
    /// `None` if there is no state, or none that counts: it cannot be read, or is of another boot and
    /// the lane may be half on the disk. Whatever stands in that lane is worth nothing.
    pub fn load(dir: &Path) -> io::Result<Option<State>> {
        let text = match fs::read_to_string(dir.join("state")) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            // Zeros and the like are what a power cut leaves.
            Err(e) if e.kind() == io::ErrorKind::InvalidData => return Ok(None),
            text => text?,
        };
        let state = parse(&text).and_then(|(boot, state)| {
            let is_present = boot == *BOOT;
            let survived = is_present || (state.clean && durable::is_durable(dir));
            survived.then_some(State {
                clean: state.clean && is_present,
                ..state
            })
        });
        Ok(state)
    }

    /// Replaces the file and answers its change time: the file system's own clock, now.
    pub fn save(&self, dir: &Path) -> io::Result<Stamp> {
        let (new, path) = (dir.join("state.new"), dir.join("state"));
        fs::write(&new, self.text(&BOOT))?;
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

/// The boot that it is of, and what it says.
fn parse(text: &str) -> Option<(&str, State)> {
    let mut lines = text.lines();
    let mut field = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
    let boot = field("boot")?;
    let state = State {
        manifest: unhex(field("manifest")?),
        clean: field("clean")?.parse().ok()?,
        ran: field("ran")?.parse().ok()?,
        ended: field("ended")?.parse().ok()?,
    };
    Some((boot, state))
}

fn unhex(text: &str) -> Option<ManifestId> {
    u128::from_str_radix(text, 16)
        .ok()
        .filter(|_| text.len() == 32)
        .map(|n| ManifestId(n.to_be_bytes()))
}

/// Names this boot of the machine (random(4)), which no process outlives; empty if the kernel does not
/// say.
static BOOT: LazyLock<String> = LazyLock::new(|| {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim().into()
});

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(name: &str) -> std::path::PathBuf {
        let dir = std::env::temp_dir().join(format!("rch-state-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    #[test]
    fn survives_the_way_there_and_back() {
        let dir = lane("there");
        let state = State {
            manifest: Some(ManifestId([7; 16])),
            clean: true,
            ran: true,
            ended: 5,
        };
        assert_eq!(State::load(&dir).unwrap(), None);
        state.save(&dir).unwrap();
        assert_eq!(State::load(&dir).unwrap().as_ref(), Some(&state));
        assert!(state.holds(Some(ManifestId([7; 16]))));
        assert!(!state.holds(None));
        fs::remove_dir_all(dir).unwrap();
    }

    /// Of a lane that was clean the products were believed after a power cut, though they were half on
    /// the disk.
    #[test]
    fn of_another_boot_only_what_was_clean_and_on_the_disk_counts() {
        let dir = lane("boot");
        let clean = State {
            clean: true,
            ran: true,
            ..State::default()
        };
        let stand = |state: &State, durable: bool| {
            fs::write(dir.join("state"), state.text("another")).unwrap();
            let _ = fs::remove_file(dir.join(durable::NOTE));
            if durable {
                durable::note(&dir, &durable::identity(&dir).unwrap()).unwrap();
            }
            State::load(&dir).unwrap()
        };
        let in_doubt = State {
            clean: false,
            ..clean
        };
        assert_eq!(stand(&clean, false), None);
        assert_eq!(stand(&clean, true), Some(in_doubt.clone()));
        assert_eq!(stand(&in_doubt, true), None);
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_state_that_was_cut_off_does_not_count() {
        let dir = lane("cut");
        let whole = State::default().text(&BOOT);
        for cut in 0..whole.len() - 2 {
            fs::write(dir.join("state"), &whole[..cut]).unwrap();
            assert_eq!(State::load(&dir).unwrap(), None, "{cut}");
        }
        fs::write(dir.join("state"), [0xff; 9]).unwrap();
        assert_eq!(State::load(&dir).unwrap(), None);
        fs::remove_dir_all(dir).unwrap();
    }
}
