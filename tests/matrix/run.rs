//! `cargo run`: built there and run here, where the program has the agent's own stdin, directory and
//! environment, and what it prints and how it ends is its own.

use std::path::Path;

use crate::common::write;
use crate::pair::{Ground, Keep, Pair, ground};

/// Tells everything that a run gives a program, reads its stdin, and ends as its first word says.
const TELL: &str = r#"use std::io::Read;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    println!("{args:?} in {}", std::env::current_dir().unwrap().display());
    let mut vars: Vec<(String, String)> = std::env::vars().collect();
    vars.sort();
    // Of this test, and which of rustup's ways led to the toolchain.
    vars.retain(|(name, _)| !name.starts_with("RCH_") && name != "RUSTUP_TOOLCHAIN_SOURCE");
    vars.iter().for_each(|(name, value)| println!("{name}={value}"));
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).unwrap();
    eprintln!("read {text:?}");
    match args.get(1).map(String::as_str) {
        Some("exit") => std::process::exit(3),
        Some("abort") => std::process::abort(),
        Some("panic") => panic!("asked to"),
        Some("data") => println!("{:?}", std::fs::read_to_string(concat!(env!("OUT_DIR"), "/data"))),
        _ => {}
    }
}
"#;

const BUILD: &str = r#"fn main() {
    println!("cargo:rustc-env=FROM_BUILD=built");
    println!("cargo:rerun-if-changed=build.rs");
    let dir = std::env::var("OUT_DIR").unwrap();
    std::fs::write(format!("{dir}/data"), "made by the build").unwrap();
    println!("cargo:rustc-link-search=native={dir}");
}
"#;

fn tell(dir: &Path) {
    write(
        &dir.join("Cargo.toml"),
        "[package]\nname = \"tell\"\nversion = \"1.2.3\"\nedition = \"2021\"\ndescription = \"a b\"\ndefault-run = \"tell\"\n\n[features]\nloud = []\n\n[workspace]\nmembers = [\"member\"]\n",
    );
    write(&dir.join("build.rs"), BUILD);
    write(&dir.join("src/main.rs"), TELL);
    write(
        &dir.join("src/bin/other.rs"),
        "fn main() {\n    println!(\"other {}\", cfg!(feature = \"loud\"));\n}\n",
    );
    write(&dir.join("examples/show.rs"), TELL);
    write(
        &dir.join("member/Cargo.toml"),
        "[package]\nname = \"member\"\nversion = \"0.1.0\"\nedition = \"2021\"\n",
    );
    write(&dir.join("member/src/main.rs"), TELL);
}

fn run<'a>(argv: &'a [&'a str]) -> Pair<'a> {
    Pair::new(&tell, argv)
}

#[test]
fn programs_run_as_if_built_here() {
    let mut ground = ground("run");
    let told = ground.pair(&Pair {
        stdin: "a line\n",
        env: &[("LD_LIBRARY_PATH", "/mine"), ("MINE", "a b")],
        ..run(&["cargo", "run", "--", "a b", "--release", "$x"])
    });
    assert!(
        told.stderr
            .contains("Running `target/debug/tell 'a b' --release '$x'`")
    );
    assert!(told.stdout.contains("FROM_BUILD=built"), "{}", told.stdout);
    assert!(told.stdout.contains(":/mine\n"), "{}", told.stdout);
    assert!(told.stderr.contains("read \"a line\\n\""));
    assert_eq!(ground.pair(&run(&["cargo", "run", "exit"])).code, Some(3));
    assert_eq!(
        ground.pair(&run(&["cargo", "run", "abort"])).signal,
        Some(6)
    );
    assert_eq!(ground.pair(&run(&["cargo", "r", "panic"])).code, Some(101));
    let data = ground.pair(&Pair {
        ignore: &["output", "root-output", "invoked.timestamp"],
        ..run(&["cargo", "run", "-q", "--", "data"])
    });
    assert!(
        data.stdout.contains("Ok(\"made by the build\")"),
        "{}",
        data.stdout
    );
    assert!(data.stderr.starts_with("read"), "{}", data.stderr);
    ground.pair(&Pair {
        merged: true,
        ..run(&["cargo", "run", "--release", "x"])
    });
}

#[test]
fn cargo_chooses_the_program() {
    let mut ground = ground("choice");
    ground.pair(&run(&["cargo", "run", "--example", "show", "--", "-v"]));
    ground.pair(&run(&["cargo", "run", "--bin", "other", "-F", "loud"]));
    ground.pair(&run(&["cargo", "run", "-p", "member"]));
    let beside = ["cargo", "run", "--manifest-path", "../Cargo.toml"];
    let below = Pair {
        cwd: "member",
        ..run(&beside)
    };
    ground.pair(&below);
    ground.pair(&Pair {
        cwd: "member",
        ..run(&["cargo", "run"])
    });
    let target = ["cargo", "run", "--target", "x86_64-unknown-linux-gnu"];
    ground.pair(&run(&target));
    ground.pair(&Pair {
        env: &[("CARGO_TARGET_DIR", "elsewhere")],
        ..run(&["cargo", "run", "--message-format", "json"])
    });
}

/// A program whose library is found by what cargo sets for it.
#[test]
fn a_program_finds_its_library() {
    let mut ground = ground("library");
    let lay = |dir: &Path| {
        write(
            &dir.join("Cargo.toml"),
            "[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\n[dependencies]\npart = { path = \"part\" }\n\n[workspace]\n",
        );
        write(
            &dir.join("part/Cargo.toml"),
            "[package]\nname = \"part\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\n[lib]\ncrate-type = [\"dylib\"]\n",
        );
        write(
            &dir.join("part/src/lib.rs"),
            "pub fn n() -> u8 {\n    7\n}\n",
        );
        write(
            &dir.join("src/main.rs"),
            "fn main() {\n    println!(\"{}\", part::n());\n}\n",
        );
    };
    let ran = ground.pair(&Pair::new(&lay, &["cargo", "run", "-q"]));
    assert_eq!(ran.stdout, "7");
    assert!(ran.files.contains_key(Path::new("target/debug/libpart.so")));
}

fn fails(ground: &mut Ground, lay: &dyn Fn(&Path), argv: &[&str]) {
    let failed = ground.pair(&Pair {
        keep: Keep::Tree,
        ..Pair::new(lay, argv)
    });
    assert_eq!(failed.code, Some(101), "{}", failed.stderr);
    assert!(!failed.stderr.contains("Running"), "{}", failed.stderr);
}

/// What cargo does not run, with cargo's words and status.
#[test]
fn what_cannot_be_run_is_not() {
    let mut ground = ground("unrun");
    let broken = |dir: &Path| {
        tell(dir);
        write(&dir.join("src/main.rs"), "fn main() {\n    nothing();\n}\n");
    };
    fails(&mut ground, &broken, &["cargo", "run"]);
    let unchosen = |dir: &Path| {
        tell(dir);
        let text = std::fs::read_to_string(dir.join("Cargo.toml")).unwrap();
        write(
            &dir.join("Cargo.toml"),
            &text.replace("default-run = \"tell\"\n", ""),
        );
    };
    fails(&mut ground, &unchosen, &["cargo", "run"]);
    fails(&mut ground, &tell, &["cargo", "run", "--bin", "tall"]);
    fails(&mut ground, &tell, &["cargo", "run", "--example"]);
}
