//! Jobs from beginning to end.

use rch::sys::process::Exit;
use rch::wire::worker::{Base, Products};

use crate::kit::{HOME, Place, job, name};

const MANIFEST: &str = "[package]\nname = \"tiny\"\nversion = \"0.1.0\"\nedition = \"2024\"\n";
const MAIN: &str = "fn main() { println!(\"{} {}\", env!(\"CARGO_MANIFEST_DIR\"), file!()); }\n";

/// The whole point: what cargo builds here is what it would have built at home.
#[test]
fn cargo_builds_at_the_home_path() {
    let place = Place::new("cargo");
    let mut s = place.session();
    assert_eq!(s.facts.no_namespace, "");
    let (number, base, _) = s.open(HOME, None);
    assert_eq!((number, base), (0, Base::New));
    s.put("Cargo.toml", MANIFEST);
    s.put("src/main.rs", MAIN);
    s.commit(1);
    let mut run = job(&["cargo", "build", "--offline"]);
    run.cargo_home = Some("/nonexistent-home/alice/.cargo".into());
    run.collect.products.push(Products {
        dir: format!("{HOME}/target/debug").into(),
        deep: false,
    });
    let done = s.run(run).ok();
    assert!(
        done.err()
            .contains(&format!("Compiling tiny v0.1.0 ({HOME})")),
        "{}",
        done.err()
    );
    assert_eq!(done.paths(true), ["Cargo.lock"]);
    let products = done.paths(false);
    assert!(
        products.contains(&"target/debug/tiny".into()),
        "{products:?}"
    );
    let (files, missing) = s.fetch(&[name("target/debug/tiny"), name("gone")]);
    assert_eq!(missing, [name("gone")]);
    let (put, program) = &files[std::path::Path::new("target/debug/tiny")];
    assert_eq!(put.mode, 0o755);
    let here = place.0.join("tiny");
    std::fs::write(&here, program).unwrap();
    std::fs::set_permissions(&here, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let said = std::process::Command::new(&here).output().unwrap().stdout;
    assert_eq!(
        String::from_utf8(said).unwrap(),
        format!("{HOME} src/main.rs\n")
    );
    s.close();
}

#[test]
fn make_and_gcc_bring_what_they_made() {
    let place = Place::new("make");
    let mut s = place.session();
    s.open(HOME, None);
    s.put(
        "Makefile",
        "prog: main.c sub/x.h\n\tgcc -o $@ main.c\n\t@echo built in $(CURDIR)\n",
    );
    s.put(
        "main.c",
        "#include \"sub/x.h\"\nint main(void) { return X; }\n",
    );
    s.put("sub/x.h", "#define X 3\n");
    s.commit(1);
    let done = s.run(job(&["make"])).ok();
    assert_eq!(done.out(), format!("gcc -o prog main.c\nbuilt in {HOME}\n"));
    assert_eq!(done.paths(true), ["prog"]);
    // An edit made now must look newer than what was just built, whatever time it carries.
    s.put_at("sub/x.h", "#define X 4\n", 0o644, 1);
    s.commit(2);
    let done = s.run(job(&["make"])).ok();
    assert!(done.out().contains("gcc -o prog"), "{}", done.out());
    s.commit(3);
    let done = s.run(job(&["make"])).ok();
    assert!(done.out().contains("up to date"), "{}", done.out());
    assert_eq!(done.paths(true), [""; 0]);
    let mut wrong = job(&["make", "nothing"]);
    wrong.merged = true;
    s.commit(3);
    let done = s.run(wrong);
    assert_eq!(
        (done.exit, done.err()),
        (Some(Exit::Code(2)), String::new())
    );
    assert!(
        done.out().contains("No rule to make target"),
        "{}",
        done.out()
    );
}
