//! What end-to-end tests stand on: workers that are other machines, homes that are empty, and a
//! comparison of remote with local runs.
//!
//! Nothing here is a fake. A worker is a real sshd in namespaces of its own (mounts, processes), with
//! its own user, home and /tmp, in which the project's path does not exist.

#![allow(dead_code, clippy::print_stdout, clippy::print_stderr)]

pub mod compare;
pub mod home;
pub mod sshd;
pub mod terminal;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A folder of the test's own. It is removed at the end unless the test has failed.
pub struct Dir(PathBuf);

impl Dir {
    pub fn new(name: &str) -> Dir {
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("rch-{name}-{}-{n}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Dir(dir)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

/// One of our programs: from the folder that `RCH_TEST_BIN` names (the static release, for the
/// benchmark), else as cargo has just built it.
pub fn bin(name: &str) -> PathBuf {
    let built = Path::new(env!("CARGO_BIN_EXE_rch"));
    match std::env::var_os("RCH_TEST_BIN") {
        Some(dir) => Path::new(&dir).join(name),
        None => built.with_file_name(name),
    }
}

/// Writes a file and the folders above it.
pub fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// Writes a file that can be run.
pub fn script(path: &Path, text: &str) {
    write(path, text);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(path, mode).unwrap();
}

/// Waits until `found` answers something; three minutes at most, for a machine that does much else.
pub fn wait_for<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let until = std::time::Instant::now() + std::time::Duration::from_secs(180);
    loop {
        if let Some(value) = found() {
            return value;
        }
        assert!(
            std::time::Instant::now() < until,
            "{what} did not happen in time"
        );
        // Polled with a bound: what is awaited here announces itself nowhere.
        std::thread::park_timeout(std::time::Duration::from_millis(10));
    }
}

/// A small crate whose output depends on where it was built and in which state.
pub fn sample_crate(dir: &Path) {
    write(
        &dir.join("Cargo.toml"),
        "[package]\nname = \"sample\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\n[workspace]\n",
    );
    write(
        &dir.join("build.rs"),
        "fn main() { println!(\"cargo:rustc-env=BUILT_IN={}\", std::env::current_dir().unwrap().display()); }\n",
    );
    write(
        &dir.join("src/lib.rs"),
        "pub fn place() -> String {\n    format!(\"{} {} {}\", env!(\"CARGO_MANIFEST_DIR\"), file!(), env!(\"BUILT_IN\"))\n}\n\n#[test]\nfn passes() {}\n\n#[test]\nfn fails_if_asked() {\n    if std::env::var_os(\"FAIL\").is_some() {\n        panic!(\"asked to\");\n    }\n}\n",
    );
    write(
        &dir.join("src/main.rs"),
        "fn main() {\n    println!(\"{}\", sample::place());\n    if std::env::args().count() > 1 {\n        panic!(\"at a place\");\n    }\n}\n",
    );
}
