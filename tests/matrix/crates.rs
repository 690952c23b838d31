//! A crate that has everything cargo can make of one, and cargo's commands on it.

use std::path::Path;

use crate::common::write;
use crate::pair::{Keep, Pair, ground};

const MANIFEST: &str = r#"[package]
name = "kit"
version = "0.1.0"
edition = "2021"

[lib]
crate-type = ["rlib", "cdylib", "staticlib"]

[[bench]]
name = "speed"
harness = false

[profile.dist]
inherits = "release"
debug = 1

[workspace]
"#;

const LIB: &str = r#"//! A kit.

/// Twice.
///
/// ```
/// assert_eq!(kit::twice(2), 4);
/// ```
///
/// ```should_panic
/// panic!("{}", kit::twice(3));
/// ```
#[no_mangle]
pub extern "C" fn twice(n: i32) -> i32 {
    n + n
}

pub fn built_in() -> (&'static str, &'static str) {
    (env!("BUILT_IN"), file!())
}

#[cfg(test)]
mod tests {
    #[test]
    fn doubles() {
        assert_eq!(super::twice(4), 8);
    }

    #[test]
    fn fails_if_asked() {
        eprintln!("asked");
        assert!(std::env::var_os("FAIL").is_none(), "was asked to fail");
    }
}
"#;

const SNAPSHOT: &str = r#"
#[test]
fn writes_a_snapshot() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots/new");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("kit.snap"), format!("{}\n", kit::twice(21))).unwrap();
    std::os::unix::fs::symlink("kit.snap", dir.join("latest")).unwrap();
}

#[test]
fn knows_its_place() {
    assert_eq!(std::env::current_dir().unwrap().to_str(), Some(env!("CARGO_MANIFEST_DIR")));
    let said = std::process::Command::new(env!("CARGO_BIN_EXE_kit")).output().unwrap();
    assert!(said.status.success());
}
"#;

pub fn kit(dir: &Path) {
    write(&dir.join("Cargo.toml"), MANIFEST);
    write(&dir.join("src/lib.rs"), LIB);
    write(
        &dir.join("src/main.rs"),
        "fn main() {\n    println!(\"{:?}\", kit::built_in());\n}\n",
    );
    write(
        &dir.join("build.rs"),
        "fn main() {\n    println!(\"cargo:rustc-env=BUILT_IN={}\", std::env::var(\"OUT_DIR\").unwrap());\n    println!(\"cargo:warning=a word from the build script\");\n}\n",
    );
    write(
        &dir.join("examples/show.rs"),
        "fn main() {\n    println!(\"{}\", kit::twice(1));\n}\n",
    );
    write(
        &dir.join("benches/speed.rs"),
        "fn main() {\n    println!(\"fast\");\n}\n",
    );
    write(&dir.join("tests/snapshot.rs"), SNAPSHOT);
}

/// A library of several kinds: cargo names any of them in its `.d`, another in every run.
const ANY: &[&str] = &["libkit.d"];

fn pair<'a>(lay: &'a dyn Fn(&Path), argv: &'a [&'a str]) -> Pair<'a> {
    Pair {
        ignore: ANY,
        ..Pair::new(lay, argv)
    }
}

fn with_main(text: &'static str) -> impl Fn(&Path) {
    move |dir| {
        kit(dir);
        write(&dir.join("src/main.rs"), text);
    }
}

#[test]
fn builds_of_a_crate() {
    let mut ground = ground("build");
    let built = ground.pair(&pair(&kit, &["cargo", "build"]));
    for product in ["kit", "libkit.so", "libkit.a", "libkit.rlib", "kit.d"] {
        let place = Path::new("target/debug").join(product);
        assert!(built.files.contains_key(&place), "{product}");
    }
    assert!(built.files.contains_key(Path::new("Cargo.lock")));
    ground.pair(&pair(&kit, &["cargo", "build", "--release"]));
    ground.pair(&pair(&kit, &["cargo", "b", "--profile", "dist"]));
    let examples = ground.pair(&pair(&kit, &["cargo", "build", "--examples"]));
    assert!(
        examples
            .files
            .contains_key(Path::new("target/debug/examples/show"))
    );
    let target = ["cargo", "build", "--target", "x86_64-unknown-linux-gnu"];
    ground.pair(&pair(&kit, &target));
    ground.pair(&pair(&kit, &["cargo", "build", "--target-dir", "out"]));
    ground.pair(&Pair {
        env: &[("CARGO_TARGET_DIR", "../elsewhere")],
        cwd: "sub/kit",
        ..pair(&|top| kit(&top.join("sub/kit")), &["cargo", "build"])
    });
    ground.pair(&Pair {
        env: &[("RUSTFLAGS", "--cfg odd -C debuginfo=1")],
        ..pair(&kit, &["cargo", "build", "--lib"])
    });
    let last = ["cargo", "rustc", "--bin", "kit", "--", "-C", "opt-level=1"];
    ground.pair(&pair(&kit, &last));
}

#[test]
fn tests_of_a_crate() {
    let mut ground = ground("test");
    let tree = |argv| Pair {
        keep: Keep::Tree,
        ..pair(&kit, argv)
    };
    let tested = ground.pair(&tree(&["cargo", "test"]));
    assert!(tested.stdout.contains("Doc-tests") || tested.stderr.contains("Doc-tests"));
    let snapshot = Path::new("tests/snapshots/new/kit.snap");
    assert_eq!(tested.files[snapshot].1, b"42\n");
    let failed = ground.pair(&Pair {
        env: &[("FAIL", "1"), ("RUST_BACKTRACE", "1")],
        ..tree(&["cargo", "test", "--no-fail-fast"])
    });
    assert_eq!(failed.code, Some(101));
    assert!(failed.stdout.contains("was asked to fail"));
    ground.pair(&tree(&["cargo", "test", "--doc"]));
    ground.pair(&tree(&["cargo", "test", "doubles", "--", "--nocapture"]));
    ground.pair(&Pair {
        merged: true,
        ..tree(&["cargo", "test", "--lib"])
    });
    let dies = |dir: &Path| {
        kit(dir);
        write(
            &dir.join("tests/snapshot.rs"),
            "#[test]\nfn dies() {\n    std::process::abort();\n}\n",
        );
    };
    ground.pair(&Pair {
        keep: Keep::Tree,
        ..pair(&dies, &["cargo", "test", "--test", "snapshot"])
    });
    for argv in [
        &["cargo", "test", "--no-run"][..],
        &["cargo", "bench", "--no-run"],
    ] {
        ground.pair(&Pair {
            keep: Keep::Executables,
            ..pair(&kit, argv)
        });
    }
}

#[test]
fn checks_and_complaints() {
    let mut ground = ground("check");
    let check = |lay, argv| Pair {
        keep: Keep::Tree,
        ..pair(lay, argv)
    };
    ground.pair(&check(&kit, &["cargo", "check", "--all-targets"]));
    ground.pair(&check(&kit, &["cargo", "clippy", "--lib"]));
    ground.pair(&pair(&kit, &["cargo", "doc"]));
    let broken = with_main("fn main() {\n    let n: u8 = \"no\";\n}\n");
    let failed = ground.pair(&check(&broken, &["cargo", "build"]));
    assert_eq!(failed.code, Some(101));
    let unused = with_main("fn unused() {}\n\nfn main() {\n    let n = 1;\n}\n");
    ground.pair(&pair(&unused, &["cargo", "build"]));
    ground.pair(&Pair {
        merged: true,
        ..check(&broken, &["cargo", "check"])
    });
    let json = ["cargo", "check", "--lib", "--message-format", "json"];
    ground.pair(&check(&kit, &json));
    // What cargo itself has to say.
    ground.pair(&check(&kit, &["cargo", "build", "--locked"]));
    ground.pair(&check(&kit, &["cargo", "build", "--bin", "kid"]));
    let bad = |dir: &Path| {
        kit(dir);
        write(&dir.join("Cargo.toml"), "[package]\nname = kit\n");
    };
    ground.pair(&check(&bad, &["cargo", "build"]));
}

/// Compilers called by themselves.
#[test]
fn rustc_alone() {
    let mut ground = ground("rustc");
    let lay = |dir: &Path| {
        write(
            &dir.join("main.rs"),
            "mod part;\nfn main() {\n    println!(\"{} {}\", part::N, file!());\n}\n",
        );
        write(&dir.join("part.rs"), "pub const N: u8 = 1;\n");
    };
    ground.pair(&pair(&lay, &["rustc", "main.rs"]));
    let args = [
        "rustc",
        "-g",
        "--crate-type",
        "lib",
        "part.rs",
        "-o",
        "p.rlib",
    ];
    ground.pair(&pair(&lay, &args));
}
