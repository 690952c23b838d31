//! The hook as a process: documents in, answers out, and what it touches on the way.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const RCH: &str = env!("CARGO_BIN_EXE_rch");

/// A home of its own, removed at the end.
struct Home(PathBuf);

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn home(name: &str) -> Home {
    let dir = std::env::temp_dir().join(format!("rch-hook-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(dir.join("project/.claude")).unwrap();
    fs::create_dir_all(dir.join(".claude")).unwrap();
    Home(dir)
}

impl Home {
    fn rch(&self, args: &[&str]) -> Command {
        let mut cmd = Command::new(RCH);
        self.at_home(&mut cmd).args(args);
        cmd
    }

    fn at_home<'a>(&self, cmd: &'a mut Command) -> &'a mut Command {
        cmd.env_clear()
            .env("HOME", &self.0)
            .env("PATH", "/usr/bin:/bin")
            .current_dir(self.0.join("project"))
    }

    fn hook(&self, document: &[u8]) -> Output {
        feed(&mut self.rch(&[]), document)
    }

    /// Claude Code's document for `command`.
    fn document(&self, command: &str) -> String {
        serde_json::json!({
            "hook_event_name": "PreToolUse", "tool_name": "Bash", "cwd": self.0.join("project"),
            "permission_mode": "default", "tool_input": {"command": command, "timeout": 9000},
        })
        .to_string()
    }

    /// The answer to it.
    fn claude(&self, command: &str) -> String {
        said(self.hook(self.document(command).as_bytes()))
    }

    /// The answer when a process called `claude` with these arguments runs `script` around the hook.
    fn started_with(&self, script: &str, args: &[&str]) -> String {
        let mut client = Command::new("/bin/bash");
        self.at_home(std::os::unix::process::CommandExt::arg0(
            &mut client,
            "claude",
        ))
        .args(["-c", &script.replace("rch", RCH), "claude"])
        .args(args);
        said(feed(&mut client, self.document("cargo test").as_bytes()))
    }

    fn settings(&self, text: &str) {
        fs::write(self.0.join(".claude/settings.json"), text).unwrap();
    }
}

fn said(out: Output) -> String {
    assert!(out.status.success() && out.stderr.is_empty(), "{out:?}");
    String::from_utf8(out.stdout).unwrap()
}

/// The decision that an answer carries.
fn decision(answer: &str) -> &'static str {
    match answer {
        "" => "silence",
        a if a.contains(r#""permissionDecision":"allow""#) => "allow",
        a if a.contains(r#""permissionDecision":"ask""#) => "ask",
        a if a.contains(r#""permissionDecision":"deny""#) => "deny",
        _ => "none",
    }
}

fn feed(cmd: &mut Command, bytes: &[u8]) -> Output {
    let mut child = cmd
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may leave without reading everything.
    let _ = child.stdin.take().unwrap().write_all(bytes);
    child.wait_with_output().unwrap()
}

/// Anything at all on stdin: exit 0 and silence.
#[test]
fn bad_input_is_answered_by_silence() {
    let home = home("bad");
    let deep = format!(
        r#"{{"tool_name":"Bash","tool_input":{{"command":"cargo build","x":{}}}}}"#,
        "[".repeat(100_000)
    );
    let huge = format!(
        r#"{{"tool_name":"Bash","tool_input":{{"command":"cargo build","x":"{}"}}}}"#,
        "y".repeat(11 << 20)
    );
    let cases: &[&[u8]] = &[
        b"", b"{", b"null", b"[]", b"cargo build", b"\"command\" cargo", b"\xff\xfe\"command\"cargo",
        br#"{"tool_name":"Bash","tool_input":{"command":42}}cargo"#,
        br#"{"tool_name":"Bash","tool_input":{"command":["cargo","build"]}}"#,
        br#"{"tool_name":"Bash","tool_input":"command cargo"}"#,
        br#"{"tool_name":"Bash","tool_input":{"command":"cargo build","command":"ls"}}"#,
        br#"{"tool_name":"Write","tool_input":{"command":"cargo build"}}"#,
        br#"{"hook_event_name":"PostToolUse","tool_name":"Bash","tool_input":{"command":"cargo build"}}"#,
        br#"{"tool_name":"Bash","tool_input":{"command":"cargo build \ud800"}}"#,
        br#"{"tool_name":"Bash","tool_input":{"command":"cargo build\u0000"}}"#,
        br#"{"tool_name":"Bash","tool_input":{"command":"cargo build"}"#,
        deep.as_bytes(),
        huge.as_bytes(),
    ];
    for case in cases {
        let out = home.hook(case);
        let shown = String::from_utf8_lossy(case.get(..100).unwrap_or(case)).into_owned();
        assert_eq!(
            (out.status.code(), out.stdout.len(), out.stderr.len()),
            (Some(0), 0, 0),
            "{shown}"
        );
    }
}

#[test]
fn every_field_is_kept_and_only_the_command_changes() {
    let home = home("fields");
    let input = "{\"description\":\"B\\u00fcild\", \"timeout\" : 1.50e3,\"x\":{\"command\":1},\"command\":\"cd a\\t&& cargo build 2>&1\",\"run_in_background\":true}";
    let document = format!("{{\"tool\":\"Bash\",\"input\":{input}}}");
    let out = String::from_utf8(home.hook(document.as_bytes()).stdout).unwrap();
    let expected = input.replace("cargo build", &format!("{RCH} exec -- cargo build"));
    assert_eq!(
        out,
        format!(
            "{{\"hookSpecificOutput\":{{\"hookEventName\":\"PreToolUse\",\"updatedInput\":{expected}}}}}"
        )
    );
}

/// Clients match rules against the rewritten text only; the user's rules were written for the original.
#[test]
fn the_users_rules_are_applied_to_the_original() {
    let home = home("rules");
    for (rules, command, expected) in [
        (
            r#"{"allow":["Bash(cargo test:*)"]}"#,
            "cargo test x",
            "allow",
        ),
        (
            r#"{"allow":["Bash(cargo test:*)"]}"#,
            "cd app && RUST_BACKTRACE=1 timeout 9 cargo test 2>&1 | tail -5",
            "allow",
        ),
        (
            r#"{"allow":["Bash(cargo test:*)"]}"#,
            "cargo test && rm -rf x",
            "none",
        ),
        (
            r#"{"allow":["Bash(cargo test:*)"]}"#,
            "cargo test > x",
            "none",
        ),
        (
            r#"{"allow":["Bash(cargo test:*)"]}"#,
            "echo `rm x`; cargo test",
            "none",
        ),
        (
            r#"{"allow":["Bash(cargo test:*)"]}"#,
            "RUSTFLAGS=x cargo test",
            "none",
        ),
        (
            r#"{"allow":["Bash(cargo test:*)"]}"#,
            "env A=1 cargo test",
            "none",
        ),
        (
            r#"{"allow":["Bash(cargo test:*)"]}"#,
            "cd /etc && cargo test",
            "none",
        ),
        (r#"{"allow":["Bash(cargo b:*)"]}"#, "cargo build", "none"),
        (r#"{"allow":["Bash"]}"#, "make && rm x", "allow"),
        (
            r#"{"allow":["Bash(cargo *)"],"ask":["Bash(cargo test:*)"]}"#,
            "cargo test",
            "ask",
        ),
        (
            r#"{"allow":["Bash"],"deny":["Bash(cargo test:*)"]}"#,
            "X=1 env Y=2 cargo test",
            "silence",
        ),
        (
            r#"{"allow":["Bash"],"deny":["Bash(rm:*)"]}"#,
            "cargo build; rm -r x",
            "silence",
        ),
        (
            r#"{"deny":["Bash(git:*)","Read(x)"]}"#,
            "cargo build",
            "none",
        ),
    ] {
        home.settings(&format!("{{\"permissions\":{rules}}}"));
        let answer = home.claude(command);
        assert_eq!(decision(&answer), expected, "{rules} {command}: {answer}");
    }
    home.settings("{ not json");
    assert_eq!(home.claude("cargo build"), "");
    home.settings(r#"{"sandbox":{"enabled":true}}"#);
    assert_eq!(home.claude("cargo build"), "");
    home.settings("");
    fs::write(
        home.0.join("project/.claude/settings.local.json"),
        r#"{"permissions":{"deny":["Bash(cargo:*)"]}}"#,
    )
    .unwrap();
    assert_eq!(home.claude("cargo build"), "");
}

/// Rules that stand in no file: the client's own arguments, also past a shell that it called us by.
#[test]
fn rules_on_the_clients_own_command_line_count() {
    let home = home("started");
    let ask = r#"{"permissions":{"ask":["Bash(cargo *)"]}}"#;
    fs::write(home.0.join("project/given.json"), ask).unwrap();
    for (args, expected) in [
        (&["-p", "do it"][..], "none"),
        (&["--allowedTools", "Read", "Bash(cargo test:*)"], "allow"),
        (&["--allowed-tools=Bash(cargo test *)"], "allow"),
        (&["--allowedTools", "Bash(cargo build:*)"], "none"),
        (&["--", "--allowedTools", "Bash"], "none"),
        (&["--allowedTools=Read", "Bash"], "none"),
        (&["--disallowedTools", "Bash(cargo:*)"], "silence"),
        (&["--disallowed-tools=Read,Bash(cargo test)"], "silence"),
        (
            &[
                "--allowedTools",
                "Bash",
                "--disallowedTools",
                "Bash(cargo *)",
            ],
            "silence",
        ),
        (&["--settings", ask], "ask"),
        (&["--settings=given.json", "--allowedTools", "Bash"], "ask"),
        (&["--settings", "nowhere.json"], "silence"),
        (&["--settings", r#"{"permissions":"#], "silence"),
        (
            &[
                "--settings",
                r#"{"permissions":{"deny":["Bash(cargo:*)"]}}"#,
            ],
            "silence",
        ),
        (
            &[
                "--settings",
                r#"{"permissions":{"allow":["Bash(cargo:*)"]}}"#,
            ],
            "allow",
        ),
    ] {
        for script in ["rch; exit", "sh -c 'rch; :'; exit"] {
            let answer = home.started_with(script, args);
            assert_eq!(decision(&answer), expected, "{script} {args:?}: {answer}");
        }
    }
    home.settings(r#"{"permissions":{"deny":["Bash(cargo:*)"]}}"#);
    let answer = home.started_with("rch; exit", &["--setting-sources", "project"]);
    assert_eq!(decision(&answer), "none", "{answer}");
}

/// Codex needs `allow` to take a rewrite and ignores `ask`; Gemini has a form of its own. Neither may
/// pass a rule by that its user wrote for the original.
#[test]
fn codex_and_gemini_keep_their_rules() {
    let home = home("others");
    let answer = |extra: &str, tool: &str| {
        said(home.hook(
            format!(
                r#"{{{extra},"tool_name":"{tool}","cwd":"{}/project","tool_input":{{"command":"cd a && cargo test"}}}}"#,
                home.0.display()
            )
            .as_bytes(),
        ))
    };
    let codex = || answer(r#""hook_event_name":"PreToolUse","turn_id":"0""#, "Bash");
    let gemini = || answer(r#""hook_event_name":"BeforeTool""#, "run_shell_command");
    let command = format!(r#"{{"command":"cd a && {RCH} exec -- cargo test"}}"#);
    assert_eq!(
        codex(),
        format!(
            r#"{{"hookSpecificOutput":{{"hookEventName":"PreToolUse","permissionDecision":"allow","updatedInput":{command}}}}}"#
        )
    );
    assert_eq!(
        gemini(),
        format!(
            r#"{{"decision":"allow","hookSpecificOutput":{{"hookEventName":"BeforeTool","tool_input":{command}}}}}"#
        )
    );
    for (file, text) in [
        (
            ".codex/rules/default.rules",
            r#"prefix_rule(pattern=["cargo", "test"], decision="prompt")"#,
        ),
        ("project/.codex/rules/a.rules", "import os"),
        (
            ".gemini/settings.json",
            r#"{"tools":{"exclude":["run_shell_command(cargo test)"]}}"#,
        ),
        (
            "project/.gemini/policies/a.toml",
            "[[rule]]\ntoolName = \"run_shell_command\"\ncommandPrefix = \"cargo\"\ndecision = \"deny\"\n",
        ),
    ] {
        let path = home.0.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        let (asked, other) = match file.contains("codex") {
            true => (codex(), gemini()),
            false => (gemini(), codex()),
        };
        assert_eq!((asked.as_str(), other.is_empty()), ("", false), "{file}");
        fs::remove_file(path).unwrap();
    }
}

/// What the hook opens, by strace: nothing for other commands, settings and /proc/…/cmdline for ours.
#[test]
fn opens_no_file_but_settings() {
    if Command::new("strace").arg("-V").output().is_err() {
        return;
    }
    let home = home("strace");
    home.settings("{}");
    let opened = |kind: &str, command: &str| {
        let trace = home.0.join("trace");
        let mut cmd = Command::new("strace");
        home.at_home(&mut cmd)
            .args(["-f", "-e", "trace=file,network,process", "-o"])
            .arg(&trace)
            .arg(RCH);
        let document = format!(
            r#"{{{kind},"cwd":"{}/project","tool_input":{{"command":"{command}"}}}}"#,
            home.0.display()
        );
        assert!(feed(&mut cmd, document.as_bytes()).status.success());
        let trace = fs::read_to_string(trace).unwrap();
        // By the call's own name: a path may hold any of these words.
        let name = |l: &str| l.split('(').next().unwrap_or_default().to_owned();
        let calls = trace.lines().filter(|l| {
            ["open", "stat", "access", "socket", "clone", "fork"]
                .iter()
                .any(|c| name(l).contains(c))
        });
        // What the dynamic loader of a debug build opens is not ours.
        let ours = calls.filter(|l| {
            // std asks once whether the kernel knows statx, with no path at all.
            ![
                "/lib/",
                "/etc/ld.so",
                "\"\"",
                "+++",
                "/proc/self/maps",
                "statx(0, NULL",
            ]
            .iter()
            .any(|x| l.contains(x))
        });
        ours.map(str::to_owned).collect::<Vec<_>>()
    };
    let claude = r#""tool_name":"Bash""#;
    let codex = r#""tool_name":"Bash","turn_id":"0""#;
    let gemini = r#""tool_name":"run_shell_command","hook_event_name":"BeforeTool""#;
    let kinds = [claude, codex, gemini];
    for kind in kinds {
        assert_eq!(opened(kind, "git status && ls -la"), Vec::<String>::new());
    }
    for call in kinds.iter().flat_map(|kind| opened(kind, "cargo build")) {
        let settings = [
            ".codex/rules",
            "/etc/codex/",
            "/policies",
            "/etc/gemini-cli/",
            "settings",
            "/stat",
            ".config/rch",
            ".rch/",
            "/cmdline",
            RCH,
            "cgroup",
        ];
        assert!(settings.iter().any(|s| call.contains(s)), "{call}");
    }
}

const OTHERS: &str = r#"{
    "z": 1,
    "hooks": {
        "Stop": [],
        "PreToolUse": [
            {"matcher": "Bash", "hooks": [{"type": "command", "command": "/opt/x/rch exec"}]}
        ]
    },
    "a": [true, null, 1.50]
}
"#;

#[test]
fn install_keeps_everything_else() {
    let home = home("install");
    let file = home.0.join(".claude/settings.json");
    home.settings(OTHERS);
    let real = home.0.join("real.json");
    fs::rename(&file, &real).unwrap();
    symlink(&real, &file).unwrap();
    for _ in 0..2 {
        assert!(home.rch(&["hook", "install"]).status().unwrap().success());
    }
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(text.matches(&format!("\"{RCH}\"")).count(), 1, "{text}");
    let order =
        ["\"z\"", "\"Stop\"", "/opt/x/rch exec", RCH, "\"a\""].map(|k| text.find(k).unwrap());
    assert!(order.is_sorted(), "{text}");
    assert!(file.is_symlink() && text.contains("\n    \"z\""));
    assert_eq!(
        fs::read_to_string(home.0.join("real.json.rch-backup")).unwrap(),
        OTHERS
    );
    let entry = format!(
        ",\n            {{\n                \"matcher\": \"Bash\",\n                \"hooks\": [\n                    {{\n                        \"type\": \"command\",\n                        \"command\": \"{RCH}\",\n                        \"args\": [],\n                        \"timeout\": 10\n                    }}\n                ]\n            }}"
    );
    assert_eq!(text.replace(&entry, ""), OTHERS, "all else is as it was");
    assert!(home.rch(&["hook", "uninstall"]).status().unwrap().success());
    assert_eq!(fs::read_to_string(&file).unwrap(), OTHERS);
    assert!(file.is_symlink() && !home.0.join("real.json.rch-backup").exists());
}

/// What install has done, uninstall undoes, to the byte and the file.
#[test]
fn uninstall_gives_back_what_was() {
    let home = home("undo");
    let files = |dir: &str| -> Vec<_> {
        let all = fs::read_dir(home.0.join(dir)).unwrap();
        all.map(|e| e.unwrap().file_name()).collect()
    };
    let run = |args: &[&str]| {
        let done = home.rch(&["hook"]).args(args).output().unwrap();
        assert!(done.status.success(), "{done:?}");
    };
    for (agent, dir) in [
        ("claude", ".claude"),
        ("codex", ".codex"),
        ("gemini", ".gemini"),
    ] {
        run(&["install", "--agent", agent]);
        assert_eq!(files(dir).len(), 1, "there was nothing to keep");
        run(&["uninstall", "--agent", agent]);
        // A folder left empty made doctor believe that the agent is used here.
        assert!(!home.0.join(dir).exists(), "{agent}: {:?}", files(dir));
    }
    let theirs = home.0.join(".codex/config.toml");
    fs::create_dir(home.0.join(".codex")).unwrap();
    fs::write(&theirs, "").unwrap();
    run(&["install", "--agent", "codex"]);
    run(&["uninstall", "--agent", "codex"]);
    assert!(theirs.exists());
    fs::create_dir(home.0.join(".claude")).unwrap();
    let file = home.0.join(".claude/settings.json");
    for was in [
        "",
        "{ }",
        "{\"hooks\": {}, \"b\":[1,2]}",
        "{\n\t\"hooks\": {\"PreToolUse\": [ ]}\n}\n\n",
        "{\"a\":\r\n1}",
    ] {
        home.settings(was);
        run(&["install"]);
        run(&["install", "--masquerade"]);
        run(&["uninstall"]);
        assert_eq!(fs::read_to_string(&file).unwrap(), was);
        assert_eq!(files(".claude").len(), 1, "{was}: {:?}", files(".claude"));
    }
    // What was changed in between stays; what was before is still beside it.
    home.settings("{\"a\": [1]}");
    run(&["install"]);
    let text = fs::read_to_string(&file).unwrap();
    home.settings(&text.replace("[1]", "[1,2]"));
    run(&["uninstall"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "{\"a\": [1,2]}");
    assert_eq!(files(".claude").len(), 2);
}

#[test]
fn install_refuses_what_it_cannot_keep() {
    let home = home("refuse");
    let file = home.0.join(".claude/settings.json");
    for bad in [
        "{ // comment\n}",
        "[]",
        r#"{"hooks":[]}"#,
        r#"{"hooks":{"PreToolUse":{}}}"#,
    ] {
        home.settings(bad);
        let out = home.rch(&["hook", "install"]).output().unwrap();
        assert_eq!(out.status.code(), Some(123), "{bad}");
        assert!(
            String::from_utf8_lossy(&out.stderr).contains("settings.json"),
            "{out:?}"
        );
        assert_eq!(fs::read_to_string(&file).unwrap(), bad);
    }
    home.settings("{}");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).unwrap();
    assert_eq!(
        home.rch(&["hook", "install"]).status().unwrap().code(),
        Some(123)
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), "{}");
}

/// What is in the way of the file is said, and stays.
#[test]
fn install_says_what_is_in_its_way() {
    let home = home("way");
    let file = home.0.join(".claude/settings.json");
    let complaint = || {
        let out = home.rch(&["hook", "install"]).output().unwrap();
        assert_eq!(out.status.code(), Some(123), "{out:?}");
        String::from_utf8(out.stderr).unwrap()
    };
    symlink(home.0.join("nowhere.json"), &file).unwrap();
    assert_eq!(
        complaint(),
        format!("rch: '{}' is a link that leads nowhere\n", file.display())
    );
    assert!(file.is_symlink() && !home.0.join("nowhere.json").exists());
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    assert_eq!(
        complaint(),
        format!("rch: cannot read '{}': is a directory\n", file.display())
    );
}

#[test]
fn a_slip_in_a_flag_is_told_with_the_nearest() {
    let home = home("slip");
    for (args, expected) in [
        (
            &["install", "--agent", "foo"][..],
            "bad value 'foo' for '--agent'\nhint: one of claude, codex, gemini\n",
        ),
        (
            &["status", "--agent=claud"],
            "bad value 'claud' for '--agent'\nhint: did you mean 'claude'?\n",
        ),
        (
            &["uninstall", "--agent"],
            "'--agent' needs a value, AGENT\n",
        ),
        (
            &["install", "--projct"],
            "unknown flag '--projct'\nhint: did you mean '--project'?\n",
        ),
    ] {
        let out = home.rch(&["hook"]).args(args).output().unwrap();
        assert_eq!(out.status.code(), Some(120), "{args:?}");
        let said = String::from_utf8(out.stderr).unwrap();
        assert_eq!(said, format!("rch: {expected}"), "{args:?}");
    }
    assert!(!home.0.join(".claude/settings.json").exists());
    let out = home.rch(&["masquerade", "install", "--dir"]).output();
    assert_eq!(out.unwrap().status.code(), Some(120));
    assert!(!home.0.join("project/--dir").exists());
}

#[test]
fn install_knows_three_agents() {
    let home = home("agents");
    for (agent, file, event) in [
        ("claude", ".claude/settings.json", "PreToolUse"),
        ("codex", ".codex/hooks.json", "PreToolUse"),
        ("gemini", ".gemini/settings.json", "BeforeTool"),
    ] {
        assert!(
            home.rch(&["hook", "install", "--agent", agent])
                .status()
                .unwrap()
                .success()
        );
        let text = fs::read_to_string(home.0.join(file)).unwrap();
        assert!(text.contains(event) && text.contains(RCH), "{text}");
    }
    let out = home.rch(&["hook", "status"]).output().unwrap();
    assert_eq!(
        String::from_utf8(out.stdout)
            .unwrap()
            .matches(" installed ")
            .count(),
        3
    );
}

fn tool(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A link that finds itself further down PATH must not run itself for ever.
#[test]
fn masquerade_finds_the_real_tool_past_its_links() {
    let home = home("masq");
    let dirs = ["one", "two", "real"].map(|d| home.0.join(d));
    for dir in &dirs[..2] {
        assert!(
            home.rch(&["masquerade", "install", dir.to_str().unwrap()])
                .status()
                .unwrap()
                .success()
        );
    }
    // The real make calls make again, as makefiles do.
    tool(
        &dirs[2].join("make"),
        "#!/bin/sh\necho \"real make $*\"\n[ \"$1\" = again ] || make again\nexit 3\n",
    );
    let path = format!(
        "{}:{}:{}:/usr/bin:/bin",
        dirs[0].display(),
        dirs[1].display(),
        dirs[2].display()
    );
    let mut make = Command::new(dirs[0].join("make"));
    let out = home
        .at_home(&mut make)
        .env("PATH", path)
        .arg("-n")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8(out.stdout).unwrap(),
        "real make -n\nreal make again\n"
    );
    assert_eq!(out.status.code(), Some(3));
    let mut none = Command::new(dirs[0].join("meson"));
    let out = home
        .at_home(&mut none)
        .env("PATH", &dirs[0])
        .arg("setup")
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(127));
    let gone = home
        .rch(&["masquerade", "uninstall", dirs[1].to_str().unwrap()])
        .status()
        .unwrap();
    assert!(gone.success() && !dirs[1].exists());
}

/// cmake writes down where it found the compiler: that was a link of ours, which no worker has, nor this
/// machine after an uninstall.
#[test]
fn cmake_finds_no_link_of_ours() {
    let home = home("cmake");
    let links = home.0.join("links");
    let made = home.rch(&["masquerade", "install", links.to_str().unwrap()]);
    assert!({ made }.status().unwrap().success());
    let project = home.0.join("c");
    fs::create_dir_all(&project).unwrap();
    let lists = "cmake_minimum_required(VERSION 3.16)\nproject(c C)\n";
    fs::write(project.join("CMakeLists.txt"), lists).unwrap();
    let mut cmake = Command::new(links.join("cmake"));
    let out = home
        .at_home(&mut cmake)
        .env("PATH", format!("{}:/usr/bin:/bin", links.display()))
        .args(["-B", "build", "-G", "Ninja"])
        .current_dir(&project)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(out.status.success(), "{out:?}");
    let cache = fs::read_to_string(project.join("build/CMakeCache.txt")).unwrap();
    assert!(cache.contains("CMAKE_C_COMPILER:"), "{cache}");
    assert!(!cache.contains(links.to_str().unwrap()), "{cache}");
}

#[test]
fn a_session_gets_the_masquerade_folder_in_its_path() {
    let home = home("session");
    assert!(
        home.rch(&["hook", "install", "--masquerade"])
            .status()
            .unwrap()
            .success()
    );
    let text = fs::read_to_string(home.0.join(".claude/settings.json")).unwrap();
    assert!(
        text.contains("SessionStart")
            && text.contains("session-start")
            && !text.contains("PreToolUse"),
        "{text}"
    );
    // It said that nothing is installed.
    let status = said(home.rch(&["hook", "status"]).output().unwrap());
    assert!(status.starts_with("claude   masquerade  "), "{status}");
    let env = home.0.join("env");
    assert!(
        home.rch(&["hook", "session-start"])
            .env("CLAUDE_ENV_FILE", &env)
            .status()
            .unwrap()
            .success()
    );
    let line = fs::read_to_string(env).unwrap();
    assert!(
        line.starts_with("export PATH=") && line.contains(".local/share/rch/bin:\"$PATH\""),
        "{line}"
    );
    assert!(home.0.join(".local/share/rch/bin/cargo").is_symlink());
}
