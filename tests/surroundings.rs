//! What the environment and cargo's configuration at home mean for a job elsewhere.

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use common::compare::compare_with;
use common::home::{Home, shared_key};
use common::sshd::{Oddities, Sshd};
use common::{sample_crate, write};

fn start(name: &str) -> (Sshd, Home) {
    let worker = Sshd::start("css", &shared_key());
    let home = Home::with(name, &[&worker], 4);
    (worker, home)
}

fn binary(path: &Path) -> bool {
    let text = path.to_string_lossy();
    !text.starts_with("target/") || text == "target/debug/sample"
}

/// A program that hands its arguments on to rustc.
fn wrapper(home: &Home) -> PathBuf {
    let path = home.path().join("bin/wrap");
    write(&path, "#!/bin/sh\nexec \"$@\"\n");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// The configuration in the user's CARGO_HOME steers the build as it does here; the worker's own
/// does not, and is there unchanged afterwards.
#[test]
fn the_users_cargo_configuration_is_the_jobs() {
    let (worker, home) = start("cargo-home");
    write(
        &home.path().join(".cargo/config.toml"),
        "[env]\nGREETING = \"from home\"\n[registry]\ntoken = \"s3cret\"\n",
    );
    let theirs = worker.home().join(".cargo/config.toml");
    write(
        &theirs,
        "[env]\nGREETING = \"from the worker\"\nOTHER = \"x\"\n",
    );
    let lay = |dir: &Path| {
        sample_crate(dir);
        write(
            &dir.join("src/main.rs"),
            "fn main() { println!(\"{} {:?}\", env!(\"GREETING\"), option_env!(\"OTHER\")) }\n",
        );
    };
    let done = compare_with(&home, &lay, &["cargo", "build"], &binary, &[]);
    assert_eq!(done.code, Some(0));
    let said = home.command("target/debug/sample").output().unwrap();
    assert_eq!(said.stdout, b"from home None\n");
    assert!(std::fs::read_to_string(&theirs).unwrap().contains("worker"));
}

/// Where root's home held the CARGO_HOME here, every job of a worker whose user may not enter its own
/// root's home stayed at home.
#[test]
fn a_path_below_a_closed_directory_of_the_worker_is_shown() {
    let (_worker, home) = start("closed");
    sample_crate(&home.project);
    let mut build = home.rch(&["exec", "--", "cargo", "build"]);
    build.env("CARGO_HOME", "/root/.rch-nobody/cargo");
    let output = build.env("RCH_REQUIRE_REMOTE", "1").output().unwrap();
    let story = home.story(&["cargo", "build"], &output);
    assert_eq!(output.status.code(), Some(0), "{story}");
}

/// A cache that the project names is not there, and nobody misses it.
#[test]
fn a_cache_in_front_of_rustc_is_left_out() {
    let (_worker, home) = start("cache");
    sample_crate(&home.project);
    write(
        &home.project.join(".cargo/config.toml"),
        "[build]\nrustc-wrapper = \"sccache\"\n",
    );
    for variables in [&[][..], &[("RUSTC_WRAPPER", "/opt/bin/sccache")]] {
        let output = home
            .rch(&["exec", "--", "cargo", "build"])
            .env("RCH_REQUIRE_REMOTE", "1")
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        let story = home.story(&["cargo"], &output);
        assert!(output.status.success(), "{story}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("sccache"), "of no use to the agent: {story}");
        let job = home.status().jobs[0].id.to_string();
        let logs = home.rch(&["logs", &job]).output().unwrap();
        let logs = String::from_utf8_lossy(&logs.stderr).into_owned();
        assert!(logs.starts_with("rch: left out '"), "{logs}");
        assert!(logs.contains("sccache', a cache that"), "{logs}");
        assert!(logs.ends_with(&*said), "{logs}");
    }
}

/// A wrapper that does something is not left out: where it is missing, the job does not go.
#[test]
fn a_worker_without_the_wrapper_is_not_compatible() {
    let (_worker, home) = start("wrapper");
    sample_crate(&home.project);
    let wrapper = wrapper(&home);
    write(
        &home.path().join(".config/rch/config.toml"),
        "[compilation]\nmin_local_time_ms = 0\n",
    );
    let build = || {
        let output = home
            .rch(&["exec", "--", "cargo", "build"])
            .env("RUSTC_WRAPPER", &wrapper)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            home.story(&["cargo"], &output)
        );
        String::from_utf8(output.stderr).unwrap()
    };
    let why = format!("'{}' is not installed on the worker", wrapper.display());
    for _ in 0..2 {
        let said = build();
        assert!(said.contains(&why), "{said}");
        assert!(said.contains("rch: running locally: "), "{said}");
    }
    assert_eq!(home.status().totals.remote, 0);
    // Asked once, remembered then: the second job was not even sent.
    let log = home.log();
    assert_eq!(log.matches(" on css (").count(), 1, "{log}");
}

/// What is built for this very processor may go to another machine with the same one.
#[test]
fn a_native_build_goes_to_the_same_processor() {
    let (_worker, home) = start("native");
    let flags = [("RUSTFLAGS", "-C target-cpu=native")];
    let done = compare_with(&home, &sample_crate, &["cargo", "build"], &binary, &flags);
    assert_eq!(done.code, Some(0));
    assert_eq!(home.status().totals.remote, 1);
}

/// Its program would have died here of an instruction that this processor does not know.
#[test]
fn a_native_build_does_not_go_to_another_processor() {
    let odd = Oddities {
        other_cpu: true,
        ..Oddities::default()
    };
    let worker = Sshd::odd("css", &shared_key(), &odd);
    let home = Home::with("other-cpu", &[&worker], 4);
    sample_crate(&home.project);
    let build = |flags: &str| {
        let mut build = home.rch(&["exec", "--", "cargo", "build"]);
        let build = build.env("RUSTFLAGS", flags).env("RCH_REQUIRE_REMOTE", "1");
        let output = build.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), said)
    };
    let (status, said) = build("-C target-cpu=native");
    assert_eq!(status, Some(122), "{said}");
    assert!(said.contains("css: has another processor"), "{said}");
    assert_eq!(build("").0, Some(0));
}

fn with_one_toolchain(name: &str) -> (Sshd, Home) {
    let odd = Oddities {
        toolchain: Some("pinned".into()),
        ..Oddities::default()
    };
    let worker = Sshd::odd("css", &shared_key(), &odd);
    let home = Home::with(name, &[&worker], 4);
    (worker, home)
}

/// `+stable` may be any other version on a worker, or none; the same compiler is what counts.
#[test]
fn a_toolchain_is_known_by_what_it_is() {
    let (worker, home) = with_one_toolchain("plus");
    worker.wrap("set -- \"$@\" --no-namespace", "$real");
    let argv = ["cargo", "+stable", "build"];
    // What was built in another place names that place.
    let sources = |path: &Path| !path.starts_with("target");
    let done = compare_with(&home, &sample_crate, &argv, &sources, &[]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
}

/// As some installers lay it out: showing rustup's home would have hidden cargo's.
#[test]
fn a_cargo_home_in_rustups_is_not_hidden() {
    let (_worker, home) = start("within");
    sample_crate(&home.project);
    let output = home.command("rustc").args(["--print", "sysroot"]).output();
    let sysroot = String::from_utf8(output.unwrap().stdout).unwrap();
    let rustup = Path::new(sysroot.trim()).ancestors().nth(2).unwrap();
    let mut build = home.rch(&["exec", "--", "cargo", "build"]);
    build.env("CARGO_HOME", rustup.join("rch-nobody"));
    let output = build.env("RCH_REQUIRE_REMOTE", "1").output().unwrap();
    let story = home.story(&["cargo", "build"], &output);
    assert_eq!(output.status.code(), Some(0), "{story}");
    assert!(!rustup.join("rch-nobody").exists());
}

/// cargo prints where the compiler is, and build scripts get to know it; on a worker it is elsewhere, and
/// may have another name.
#[test]
fn the_toolchain_is_where_it_is_at_home() {
    let (_worker, home) = with_one_toolchain("toolchain");
    let lay = |dir: &Path| {
        sample_crate(dir);
        write(
            &dir.join("build.rs"),
            "fn main() {\n    println!(\"cargo:rustc-env=BUILT_IN=x\");\n    for name in [\"CARGO\", \"RUSTUP_HOME\", \"RUSTUP_TOOLCHAIN\"] {\n        println!(\"cargo:warning={name} {:?}\", std::env::var(name));\n    }\n}\n",
        );
    };
    for argv in [
        &["cargo", "build", "-v"][..],
        &["cargo", "+stable", "build", "-v"],
    ] {
        let done = compare_with(&home, &lay, argv, &binary, &[]);
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        assert!(done.stderr.contains("toolchains/"), "{}", done.stderr);
        assert!(!done.stderr.contains("pinned"), "{}", done.stderr);
    }
}

/// Every shell says where it is, and many a Makefile asks; over ssh that was the login directory.
#[test]
fn a_job_is_told_where_it_is() {
    let (_worker, home) = start("pwd");
    let lay = |dir: &Path| write(&dir.join("Makefile"), "all:\n\t@echo $(PWD) $$PWD\n");
    let pwd = home.project.to_str().unwrap().to_owned();
    let done = compare_with(&home, &lay, &["make"], &binary, &[("PWD", &pwd)]);
    assert_eq!(done.stdout, format!("{pwd} {pwd}"));
}
