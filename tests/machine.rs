//! Machine output of every command of the table: one envelope on stdout and nothing else, whether it went
//! well or not; and help for each of them.
//!
//! `hook`, `masquerade` and `classify` once took `--json` for an argument of theirs.

mod common;

use std::process::Output;

use common::home::Home;
use rch::cli::data::SHAPES;
use rch::cli::out::ERROR_CODES;
use rch::cli::table::{COMMANDS, Command, What};
use rch::wire::status;
use serde_json::{Value, json};

/// What stands behind the command's words, so that it goes well.
fn operands(command: &Command) -> Vec<&'static str> {
    match (command.words, command.operands.what) {
        (["workers", "add"], _) => vec!["css", "builder@192.0.2.1"],
        (["workers", "remove"], _) => vec!["css"],
        (["config", "set"], _) => vec!["transfer.artifacts", "full"],
        (["logs" | "cancel"], _) => vec!["j1"],
        // Half a minute of compiling would show no more.
        (["workers", "benchmark"], _) => vec!["nobody"],
        (["classify"], _) => vec!["cargo build"],
        (_, What::Worker) if command.operands.min > 0 => vec!["local"],
        (_, What::Key) => vec!["hook.mode"],
        (_, What::Shell) => vec!["fish"],
        _ => vec![],
    }
}

/// Those that say nothing of their own on stdout: it belongs to the job, or to an agent.
const SILENT: [&[&str]; 2] = [&["exec"], &["hook", "session-start"]];

fn envelope(text: &[u8], toon: bool) -> Value {
    let text = std::str::from_utf8(text).unwrap();
    let value: Value = match toon {
        true => toon_format::decode_default(text.trim_end()).unwrap(),
        false => serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}")),
    };
    let error = &value["error"];
    assert_eq!(value["api_version"], "1", "{text}");
    match value["data"].is_null() && !error.is_null() {
        true => {
            assert_eq!(value["success"], false, "{text}");
            let code = error["code"].as_str().unwrap();
            assert!(ERROR_CODES.iter().any(|(c, _)| *c == code), "{text}");
            assert!(!error["message"].as_str().unwrap().is_empty(), "{text}");
        }
        false => assert!(error.is_null() && value["success"].is_boolean(), "{text}"),
    }
    value
}

fn run(home: &Home, flags: &[&str], command: &Command, rest: &[&str]) -> Output {
    let mut cmd = home.rch(flags);
    cmd.args(command.words).args(rest);
    cmd.output().unwrap()
}

#[test]
fn every_command_gives_one_envelope_and_nothing_else() {
    let home = Home::new("machine");
    for command in COMMANDS.iter().filter(|c| !SILENT.contains(&c.words)) {
        for (flags, toon) in [(["--json", "-v"], false), (["--format=toon", "-q"], true)] {
            let output = run(&home, &flags, command, &operands(command));
            let value = envelope(&output.stdout, toon);
            let (name, said) = (command.name(), String::from_utf8_lossy(&output.stderr));
            assert_eq!(value["command"], name.as_str());
            told(&name, &value["data"]);
            assert_eq!(
                value["success"] == true,
                output.status.code() == Some(0),
                "{name}"
            );
            // With --verbose people may read on stderr what is being done; an error is data.
            let quiet = said
                .lines()
                .all(|l| l.starts_with("rch: asking rchd at ") || l.ends_with(" is measured"));
            assert!(quiet, "{name}: {said}");
            assert!(
                !said.contains('\x1b') && !output.stdout.contains(&0x1b),
                "{name}"
            );
        }
    }
}

/// Every path to a value that is there.
fn paths(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            let dot = if at.is_empty() { "" } else { "." };
            for (name, value) in fields {
                paths(value, &format!("{at}{dot}{name}"), found);
            }
        }
        Value::Array(all) => all
            .iter()
            .for_each(|value| paths(value, &format!("{at}[]"), found)),
        _ if !at.is_empty() => found.push(at.into()),
        _ => {}
    }
}

/// The paths that the manual knows of a command, those of others it refers to among them.
fn known(command: &str) -> Vec<String> {
    let shape = SHAPES.iter().find(|s| s.commands.contains(&command));
    let shape = shape.unwrap_or_else(|| panic!("no shape of '{command}'"));
    let mut all = vec![];
    for (field, doc) in shape.fields {
        match doc.strip_prefix("As in ") {
            Some(other) => all.extend(known(other).iter().map(
                |inner| match inner.strip_prefix("[]") {
                    Some(inner) => format!("{field}{inner}"),
                    None => format!("{field}.{inner}"),
                },
            )),
            None => all.push((*field).to_string()),
        }
    }
    all
}

/// Every value that a command gave is in the manual.
fn told(command: &str, data: &Value) {
    let (known, mut found) = (known(command), vec![]);
    paths(data, "", &mut found);
    let fits = |path: &str, field: &str| {
        let (path, field): (Vec<&str>, Vec<&str>) =
            (path.split('.').collect(), field.split('.').collect());
        // What an agent gets is the agent's own.
        let own = field == ["answer"] && path.first() == field.first();
        let same = |(p, f): (&&str, &&str)| *f == "*" || p == f;
        own || (path.len() == field.len() && path.iter().zip(&field).all(same))
    };
    for path in found {
        // Settings are values by themselves, or lists, without their sources.
        let setting =
            command == "config show" && !path.ends_with("value") && !path.contains(".source");
        let is_known = known.iter().any(|field| fits(&path, field));
        assert!(
            setting || path.contains(".value[]") || is_known,
            "{command}: '{path}' is not in the manual"
        );
    }
}

/// And what is in the manual is there: of the daemon's own structs, whatever they hold at the moment.
#[test]
fn every_field_of_the_manual_is_one() {
    let job = status::Job {
        candidates: vec![status::PlanWorker::default()],
        ..status::Job::default()
    };
    let status = status::Status {
        jobs: vec![job],
        totals: status::Totals {
            local_reasons: vec![("x".into(), 1)],
            ..status::Totals::default()
        },
        workers: vec![status::Worker {
            tags: vec!["x".into()],
            ..status::Worker::default()
        }],
        ..status::Status::default()
    };
    let probe = status::Probe {
        tools: vec!["x".into()],
        ..status::Probe::default()
    };
    for (command, data) in [
        ("status", json!(status)),
        ("workers probe", json!([probe])),
        ("workers benchmark", json!([status::Benchmark::default()])),
    ] {
        told(command, &data);
        let mut found = vec![];
        paths(&data, "", &mut found);
        for field in known(command) {
            // That one is told where there is no daemon.
            let offline = field == "workers[].enabled";
            assert!(offline || found.contains(&field), "{command}: {field}");
        }
    }
}

/// A mistake on the command line is data too, wherever the flag stands.
#[test]
fn every_command_has_its_errors_as_data() {
    let home = Home::new("machine-errors");
    for command in COMMANDS {
        for rest in [["--json", "--xyzzy"], ["--xyzzy", "--format=json"]] {
            // What follows a mistake is not read.
            let before = if rest[0] == "--xyzzy" {
                ["--json"].as_slice()
            } else {
                &[]
            };
            let output = run(&home, before, command, &rest);
            let value = envelope(&output.stdout, false);
            assert_eq!(value["error"]["code"], "usage", "{}", command.name());
            let said = value["error"]["message"].as_str().unwrap();
            assert_eq!(said, "unknown flag '--xyzzy'");
            assert_eq!(output.status.code(), Some(120));
            assert!(output.stderr.is_empty(), "{output:?}");
        }
    }
    let refused = home
        .rch(&["--json", "exec", "--", "cargo", "fmt"])
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(121));
    let value = envelope(&refused.stdout, false);
    assert!(
        value["error"]["message"]
            .as_str()
            .unwrap()
            .contains("is not sent away")
    );
}

#[test]
fn every_command_has_help_with_an_example() {
    let home = Home::new("machine-help");
    for command in COMMANDS {
        for flag in ["-h", "--help"] {
            let output = run(&home, &[], command, &[flag]);
            let text = String::from_utf8(output.stdout).unwrap();
            let name = command.name();
            assert!(
                text.starts_with(&format!("{}.\n", command.about)),
                "{name}: {text}"
            );
            assert_eq!(text.contains("\nExamples\n"), !command.examples.is_empty());
            assert!(
                output.status.success() && output.stderr.is_empty(),
                "{name}"
            );
        }
        let json = run(&home, &["--json"], command, &["--help"]);
        assert!(envelope(&json.stdout, false)["data"].is_string());
    }
}

/// A machine format asked for by a variable does not change what a job or an agent's session gets.
#[test]
fn streams_that_are_not_ours_stay_as_they_are() {
    let home = Home::new("machine-streams");
    common::write(&home.project.join("Makefile"), "all:\n\t@echo made\n");
    for name in ["RCH_OUTPUT_FORMAT", "TOON_DEFAULT_FORMAT"] {
        let mut make = home.rch(&["exec", "--", "make"]);
        let made = make.env(name, "json").output().unwrap();
        assert_eq!(made.stdout, b"made\n", "{made:?}");
        let mut start = home.rch(&["hook", "session-start"]);
        let file = home.path().join("env");
        let started = start.env(name, "json").env("CLAUDE_ENV_FILE", &file);
        let started = started.output().unwrap();
        assert!(started.stdout.is_empty() && started.status.success());
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("export PATH="), "{text}");
    }
}
