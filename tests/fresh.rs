//! What stands at home after a build, and what builds that follow make of it.

mod common;

use common::home::{Home, exists, shared_key};
use common::sshd::Sshd;
use common::{sample_crate, write};

fn start(name: &str) -> (Sshd, Home) {
    let worker = Sshd::start("css", &shared_key());
    let home = Home::with(name, &[&worker], 4);
    sample_crate(&home.project);
    (worker, home)
}

/// stderr of the same command, run here.
fn local(home: &Home, argv: &[&str]) -> String {
    let output = home.command(argv[0]).args(&argv[1..]).output().unwrap();
    assert!(output.status.success(), "{}", home.story(argv, &output));
    String::from_utf8(output.stderr).unwrap()
}

fn remote(home: &Home, argv: &[&str]) -> String {
    let output = home.exec(argv);
    assert!(output.status.success(), "{}", home.story(argv, &output));
    String::from_utf8(output.stderr).unwrap()
}

/// With the whole target directory at home, a local build finds itself fresh, and one that follows an
/// edit compiles; so does the next remote one.
#[test]
fn a_local_build_after_a_full_remote_one_compiles_nothing() {
    let (_worker, home) = start("full");
    write(
        &home.project.join(".rch/config.toml"),
        "[transfer]\nartifacts = \"full\"\n",
    );
    // Of a build script that does not say what it reads, cargo records the newest time in the
    // package, to the nanosecond, and the worker's times are its own.
    write(
        &home.project.join("build.rs"),
        "fn main() {\n    println!(\"cargo:rerun-if-changed=build.rs\");\n    println!(\"cargo:rustc-env=BUILT_IN=\");\n}\n",
    );
    for argv in [&["cargo", "build"][..], &["cargo", "build", "--release"]] {
        let there = remote(&home, argv);
        assert!(there.contains("Compiling sample"), "{there}");
        let here = local(&home, argv);
        assert!(!here.contains("Compiling"), "{here}");
    }
    write(
        &home.project.join("src/main.rs"),
        "fn main() {\n    println!(\"2\");\n}\n",
    );
    assert!(remote(&home, &["cargo", "build"]).contains("Compiling"));
    let here = local(&home, &["cargo", "build"]);
    assert!(!here.contains("Compiling"), "{here}");
    write(
        &home.project.join("src/main.rs"),
        "fn main() {\n    println!(\"3\");\n}\n",
    );
    assert!(local(&home, &["cargo", "build"]).contains("Compiling"));
    assert!(remote(&home, &["cargo", "build"]).contains("Compiling"));
    let said = home.command("target/debug/sample").output().unwrap();
    assert_eq!(said.stdout, b"3\n");
}

/// What somebody removed here comes back, though on the worker nothing was left to do.
#[test]
fn a_removed_product_comes_back() {
    let (_worker, home) = start("removed");
    let binary = home.project.join("target/debug/sample");
    remote(&home, &["cargo", "build"]);
    std::fs::remove_file(&binary).unwrap();
    remote(&home, &["cargo", "build"]);
    assert!(exists(&binary));
    write(&binary, "#!/bin/sh\necho not what cargo made\n");
    remote(&home, &["cargo", "build"]);
    assert_ne!(std::fs::read(&binary).unwrap()[..2], *b"#!");
}

/// `cargo clean` stays here, and the lane kept what it cleaned: a program that no manifest named any
/// more came home with the next build, which said that there was nothing to compile.
#[test]
fn after_a_clean_everything_is_built_anew() {
    let (_worker, home) = start("clean");
    let extra = home.project.join("src/bin/extra.rs");
    write(&extra, "fn main() {}\n");
    remote(&home, &["cargo", "build"]);
    assert!(exists(&home.project.join("target/debug/extra")));
    std::fs::remove_file(&extra).unwrap();
    local(&home, &["cargo", "clean"]);
    let there = remote(&home, &["cargo", "build"]);
    assert!(there.contains("Compiling sample"), "{there}");
    assert!(exists(&home.project.join("target/debug/sample")));
    assert!(!exists(&home.project.join("target/debug/extra")));
    let again = remote(&home, &["cargo", "build"]);
    assert!(!again.contains("Compiling"), "{again}");
}
