//! `rch doctor` on a real home: all well, and each thing that keeps work here, found by its remedy.

mod common;

use common::home::Home;
use common::write;
use serde_json::Value;

/// What it finds: (step, verdict, text, hint), and its exit status.
fn examine(home: &Home) -> (Vec<[String; 4]>, Option<i32>) {
    let output = home.rch(&["--json", "doctor"]).output().unwrap();
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |f: &Value, key: &str| f[key].as_str().unwrap().to_string();
    let found = json["data"].as_array().unwrap().iter();
    let found = found.map(|f| ["step", "verdict", "text", "hint"].map(|k| text(f, k)));
    (found.collect(), output.status.code())
}

/// The finding at a step that is not well, or else the first there.
fn at<'a>(found: &'a [[String; 4]], step: &str) -> &'a [String; 4] {
    let mut here = found.iter().filter(|f| f[0] == step);
    let worst = here.clone().find(|f| f[1] != "ok");
    let any = worst.or_else(|| here.next());
    any.unwrap_or_else(|| panic!("no step '{step}' in {found:?}"))
}

#[test]
fn a_real_build_proves_that_a_worker_works() {
    let home = Home::new("doctor-well");
    let (found, status) = examine(&home);
    assert_eq!(status, Some(0), "{found:?}");
    let trial = at(&found, "trial local");
    assert_eq!(trial[1], "ok", "{trial:?}");
    assert!(
        trial[2].contains("ran there, and its program here"),
        "{trial:?}"
    );
    assert_eq!(home.status().totals.remote, 1);
    assert_eq!(at(&found, "rewrite")[1], "ok");
    assert_eq!(at(&found, "hook")[1], "note");
    assert!(!home.path().join(".cache/rch/doctor").exists());
    let installed = home.rch(&["hook", "install"]).output().unwrap();
    assert!(installed.status.success(), "{installed:?}");
    let (found, _) = examine(&home);
    let hook = at(&found, "hook");
    assert!(
        hook[1] == "ok" && hook[2].contains(".claude/settings.json"),
        "{hook:?}"
    );
}

#[test]
fn what_keeps_work_here_is_found_with_its_remedy() {
    let home = Home::new("doctor-ill");
    let config = home.path().join(".config/rch/config.toml");
    write(&config, "[compilation]\nlocal_kinds = [\"build\"]\n");
    let (found, status) = examine(&home);
    let trial = at(&found, "trial local");
    assert_eq!((trial[1].as_str(), status), ("wrong", Some(1)), "{found:?}");
    assert!(trial[2].contains("compilation.local_kinds"), "{trial:?}");
    assert!(
        trial[3].contains("rch config set compilation.local_kinds"),
        "{trial:?}"
    );
    std::fs::remove_file(&config).unwrap();

    let drained = home.rch(&["workers", "drain", "local"]).output().unwrap();
    assert!(drained.status.success(), "{drained:?}");
    let (found, _) = examine(&home);
    let trial = at(&found, "trial local");
    assert_eq!(
        (trial[1].as_str(), trial[3].as_str()),
        ("note", "rch workers enable local")
    );

    let settings = home.path().join(".claude/settings.json");
    write(
        &settings,
        "{\"permissions\":{\"deny\":[\"Bash(cargo build:*)\"]},\"sandbox\":{\"enabled\":true}}",
    );
    let (found, status) = examine(&home);
    assert_eq!(status, Some(1));
    assert_eq!(at(&found, "rewrite")[1], "wrong");
    assert!(at(&found, "sandbox")[3].contains("allowAllUnixSockets"));
    let hook = at(&found, "hook");
    assert_eq!(hook[3], "rch hook install --agent claude");
    write(&settings, "{broken");
    assert_eq!(at(&examine(&home).0, "hook")[1], "wrong");
}
