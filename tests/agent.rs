//! The agent's ways in, whole: a hook document and the shell that runs what it answers, the inline
//! hook, and the folder of compiler names.

mod common;

use std::io::Write;
use std::process::{Command, Output, Stdio};

use common::home::{Home, exists};
use common::{bin, sample_crate, write};
use serde_json::Value;

/// Feeds a document to the hook, as a client does.
fn hook(home: &Home, document: &Value) -> Output {
    let mut cmd = home.command(bin("rch").to_str().unwrap());
    let mut child = cmd
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(document.to_string().as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (output.status.code(), output.stderr.len()),
        (Some(0), 0),
        "{output:?}"
    );
    output
}

fn document(home: &Home, command: &str) -> Value {
    serde_json::json!({
        "hook_event_name": "PreToolUse",
        "tool_name": "Bash",
        "cwd": home.project,
        "permission_mode": "bypassPermissions",
        "tool_input": { "command": command, "timeout": 120_000, "description": "as agents write it" },
    })
}

fn shell(home: &Home, command: &str) -> Output {
    home.command("bash")
        .args(["-c", command])
        .env("RCH_REQUIRE_REMOTE", "1")
        .output()
        .unwrap()
}

/// What most agents type: a directory, a build, both streams in one pipe, a filter.
#[test]
fn a_rewritten_command_does_what_the_original_did() {
    let home = Home::new("agent");
    sample_crate(&home.project.join("app"));
    let command = "cd app && RUST_BACKTRACE=1 timeout 300 cargo test 2>&1 | tail -50; echo status ${PIPESTATUS[0]}";
    let answer: Value =
        serde_json::from_slice(&hook(&home, &document(&home, command)).stdout).unwrap();
    let input = &answer["hookSpecificOutput"]["updatedInput"];
    assert_eq!(input["timeout"], 120_000);
    assert_eq!(input["description"], "as agents write it");
    let rewritten = input["command"].as_str().unwrap();
    let inserted = format!("{} exec -- ", bin("rch").display());
    assert_eq!(rewritten.replace(&inserted, ""), command);
    let remote = shell(&home, rewritten);
    assert_eq!(
        home.status().totals.remote,
        1,
        "{}",
        home.story(&[rewritten], &remote)
    );
    std::fs::remove_dir_all(home.project.join("app")).unwrap();
    sample_crate(&home.project.join("app"));
    let local = shell(&home, command);
    let steady = common::compare::steady;
    assert_eq!(steady(&remote.stdout), steady(&local.stdout));
    assert_eq!(remote.status.code(), local.status.code());
    assert!(String::from_utf8_lossy(&remote.stdout).ends_with("status 0\n"));
}

/// `RUST_BACKTRACE=1` in front reaches the tests, a variable of the shell at large does not.
#[test]
fn what_the_command_sets_itself_travels() {
    let home = Home::new("own-env");
    write(
        &home.project.join("Makefile"),
        "all:\n\t@echo \"[$$MINE] [$$THEIRS] [$$MY_TOKEN]\"\n",
    );
    let rch = bin("rch");
    // With a command behind it, or the shell becomes `timeout` and what it was given looks like its own.
    let script = format!(
        "MINE=1 MY_TOKEN=x timeout 60 {} exec -- make; true",
        rch.display()
    );
    let output = home
        .command("bash")
        .args(["-c", &script])
        .env("THEIRS", "2")
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "[1] [] []\n",
        "{}",
        home.story(&["make"], &output)
    );
}

#[test]
fn an_inline_hook_runs_the_job_and_tells_what_came() {
    let home = Home::new("inline");
    sample_crate(&home.project);
    write(
        &home.path().join(".config/rch/config.toml"),
        "[hook]\nmode = \"inline\"\npermissions = \"allow\"\n",
    );
    let said =
        |command: &str| String::from_utf8(hook(&home, &document(&home, command)).stdout).unwrap();
    let answer: Value = serde_json::from_str(&said("cargo build")).unwrap();
    let answer = &answer["hookSpecificOutput"];
    assert_eq!(answer["permissionDecision"], "deny");
    let reason = answer["permissionDecisionReason"].as_str().unwrap();
    assert!(
        reason.contains("exit status 0") && reason.contains("Compiling sample"),
        "{reason}"
    );
    assert!(exists(&home.project.join("target/debug/sample")));
    // A compile error would be one here too: running it again would not help.
    write(
        &home.project.join("src/main.rs"),
        "fn main() { nonsense }\n",
    );
    let answer = said("cargo build");
    assert!(
        answer.contains("exit status 101") && answer.contains("nonsense"),
        "{answer}"
    );
    // Compound commands stay with the agent's shell.
    assert_eq!(said("cd . && cargo build"), "");
    // No worker: silence, and the command runs locally.
    home.stop();
    nobody(&home);
    assert_eq!(said("cargo build"), "");
}

/// Whatever a command can end with is told, and nothing runs that the user would have been asked about.
#[test]
fn an_inline_hook_tells_every_end_and_keeps_the_users_rules() {
    let home = Home::new("inline-rules");
    let makefile = "all:\n\t@echo made\nlib:\n\t@exit 3\nbin:\n\t@kill -9 $$PPID\n";
    write(&home.project.join("Makefile"), makefile);
    let config = home.path().join(".config/rch/config.toml");
    write(&config, "[hook]\nmode = \"inline\"\n");
    let settings = home.project.join(".claude/settings.json");
    let said = |command: &str, mode: &str| {
        let mut document = document(&home, command);
        document["permission_mode"] = mode.into();
        let answer = hook(&home, &document).stdout;
        let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
        let answer = &answer["hookSpecificOutput"];
        let text = |key: &str| answer[key].as_str().unwrap_or_default().to_owned();
        (text("permissionDecision"), text("permissionDecisionReason"))
    };
    let silence = (String::new(), String::new());
    let ran = |command: &str, mode: &str, status: i32| {
        let (decision, reason) = said(command, mode);
        assert_eq!(decision, "deny", "{command}");
        let told = format!("exit status {status};");
        assert!(reason.contains(&told), "{command}: {reason}");
    };
    let remote = || home.status().totals.remote;
    // Nobody is asked anything in this mode, so nothing has to be allowed.
    ran("make", "bypassPermissions", 0);
    ran("make lib", "bypassPermissions", 2);
    ran("make bin", "bypassPermissions", 137);
    assert_eq!(remote(), 3);
    // Here the client would ask, so it must be let ask.
    assert_eq!(said("make", "default"), silence);
    write(&settings, r#"{"permissions":{"allow":["Bash(make:*)"]}}"#);
    ran("make", "default", 0);
    let rules = r#"{"permissions":{"allow":["Bash(make:*)"],"ask":["Bash(make lib)"],"deny":["Bash(make bin)"]}}"#;
    write(&settings, rules);
    for command in ["make lib", "make bin"] {
        for mode in ["default", "bypassPermissions"] {
            assert_eq!(said(command, mode), silence, "{command} {mode}");
        }
    }
    assert_eq!(remote(), 4);
}

#[test]
fn a_tool_called_by_its_name_goes_away_and_other_uses_of_it_stay() {
    let home = Home::new("masquerade");
    sample_crate(&home.project);
    let links = home.path().join("links");
    let made = home
        .rch(&["masquerade", "install", links.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let path = format!("{}:{}", links.display(), std::env::var("PATH").unwrap());
    let call = |program: &str, args: &[&str]| -> Output {
        let mut cmd = Command::new(links.join(program));
        // The tester's own CARGO_TARGET_DIR would be a root of the job, and hide what the links lead to.
        cmd.env_clear();
        for (key, value) in home.command("true").get_envs() {
            if let Some(value) = value {
                cmd.env(key, value);
            }
        }
        cmd.args(args)
            .env("PATH", &path)
            .current_dir(&home.project)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    };
    let output = call("cargo", &["build"]);
    assert!(
        output.status.success(),
        "{}",
        home.story(&["cargo build"], &output)
    );
    assert_eq!(home.status().totals.remote, 1);
    // A query is the real tool's business, found past our own links.
    let version = call("cargo", &["--version"]);
    assert!(
        String::from_utf8_lossy(&version.stdout).starts_with("cargo "),
        "{version:?}"
    );
    // A fallback finds the real tool too, and not us again.
    home.stop();
    nobody(&home);
    write(&home.project.join("src/main.rs"), "fn main() {}\n");
    let output = call("cargo", &["build"]);
    assert!(
        output.status.success(),
        "{}",
        home.story(&["cargo build"], &output)
    );
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("rch: running locally"),
        "{output:?}"
    );
}

/// A fleet of which nobody may be used.
fn nobody(home: &Home) {
    let text = "[[workers]]\nid = \"local\"\ntransport = \"local\"\nenabled = false\n";
    write(&home.path().join(".config/rch/workers.toml"), text);
}
