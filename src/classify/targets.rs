//! Names of build targets: those that by convention only build or test, those that do more, the rest.
//!
//! A make target runs whatever its makefile says. A few names mean the same everywhere; a file with a
//! compiler's suffix is what it says; everything else is the project's own invention.

use super::{Kind, Why};

/// How a target is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    Known(Kind),
    Unknown,
    Never(Why),
}

const BUILDS: &[&str] = &[
    "all",
    "build",
    "build-all",
    "compile",
    "debug",
    "lib",
    "libs",
    "library",
    "bin",
    "bins",
    "binaries",
    "default",
    "everything",
    "objs",
    "objects",
    "static",
    "shared",
    "all-debug",
    "all-release",
    "modules",
    "vmlinux",
    "bzImage",
    "programs",
    "tests-build",
    "build-tests",
    "build_tests",
];
const TESTS: &[&str] = &[
    "test",
    "tests",
    "check",
    "unittest",
    "unittests",
    "unit-test",
    "unit-tests",
    "test-unit",
    "unit",
    "check-all",
    "test-all",
    "testall",
    "ctest",
    "runtests",
    "run-tests",
    "run_tests",
];
const SUFFIXES: &[&str] = &[
    ".o", ".obj", ".a", ".so", ".lo", ".la", ".ko", ".elf", ".s", ".i",
];

/// Words that, as a whole or as a part between `-`, `_`, `.`, `:` or `/`, make a target stay.
const NEVER: &[(&[&str], Why)] = &[
    (
        &[
            "install",
            "uninstall",
            "reinstall",
            "clean",
            "distclean",
            "realclean",
            "mrproper",
            "clobber",
            "purge",
            "reset",
            "deploy",
            "publish",
            "upload",
            "push",
            "release",
            "dist",
            "distcheck",
            "sync",
            "fmt",
            "format",
            "fix",
            "autofix",
            "tidy",
            "generate",
            "gen",
            "regen",
            "codegen",
            "update",
            "upgrade",
            "bump",
            "vendor",
            "setup",
            "init",
            "deps",
            "bootstrap",
            "config",
            "configure",
            "menuconfig",
            "oldconfig",
            "defconfig",
            "nconfig",
            "xconfig",
            "savedefconfig",
            "migrate",
            "docker",
            "image",
            "tag",
            "commit",
            "edit_cache",
            "rebuild_cache",
            "edit",
            "rebuild",
            "flash",
            "download",
            "fetch",
            "package",
            "rpm",
            "deb",
            "up",
            "down",
            "rm",
            "remove",
            "delete",
            "snapshot",
            "bless",
            "link",
        ],
        Why::Mutates,
    ),
    (
        &[
            "run", "serve", "server", "start", "stop", "restart", "dev", "shell", "repl", "gdb",
            "debugger", "daemon", "open", "demo",
        ],
        Why::Daemon,
    ),
    (&["watch", "live"], Why::Watch),
    (
        &[
            "help", "list", "version", "print", "info", "targets", "usage",
        ],
        Why::Query,
    ),
];

pub fn target(name: &[u8]) -> Target {
    let is = |names: &[&str]| names.iter().any(|n| n.as_bytes() == name);
    if is(TESTS) {
        return Target::Known(Kind::Test);
    }
    if is(BUILDS) {
        return Target::Known(Kind::Build);
    }
    let parts = || name.split(|b| matches!(b, b'-' | b'_' | b'.' | b':' | b'/' | b'%'));
    for (names, why) in NEVER {
        let never = |part: &[u8]| names.iter().any(|n| n.as_bytes() == part);
        if never(name) || parts().any(never) {
            return Target::Never(*why);
        }
    }
    if SUFFIXES
        .iter()
        .any(|s| name.len() > s.len() && name.ends_with(s.as_bytes()))
    {
        return Target::Known(Kind::Build);
    }
    Target::Unknown
}
