//! For tests: a directory that goes away with its owner, and trees in it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::roots::{Project, Root};

#[derive(Debug)]
pub struct Scratch(pub PathBuf);

impl Default for Scratch {
    fn default() -> Scratch {
        Scratch::new()
    }
}

impl Scratch {
    pub fn new() -> Scratch {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("rch-test-{}-{number}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        Scratch(dir.canonicalize().unwrap())
    }

    /// Writes a file, with the directories above it.
    pub fn file(&self, path: impl AsRef<Path>, text: impl AsRef<[u8]>) -> PathBuf {
        let full = self.0.join(path);
        std::fs::create_dir_all(full.parent().unwrap()).unwrap();
        std::fs::write(&full, text).unwrap();
        full
    }

    pub fn dir(&self, path: impl AsRef<Path>) -> PathBuf {
        let full = self.0.join(path);
        std::fs::create_dir_all(&full).unwrap();
        full
    }

    pub fn link(&self, path: impl AsRef<Path>, target: impl AsRef<Path>) {
        let full = self.0.join(path);
        std::fs::create_dir_all(full.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, full).unwrap();
    }

    /// This directory as a project's only root.
    pub fn project(&self) -> Project {
        Project {
            name: "p".into(),
            roots: vec![Root::whole(self.0.clone())],
            cargo_home: "/nowhere".into(),
            cargo: None,
            needs: Default::default(),
            cargo_config: None,
            sends_packages: false,
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Numbers that look random and are the same in every run (xorshift64*).
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// From 0 to `sides - 1`.
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize) % sides
    }
}
