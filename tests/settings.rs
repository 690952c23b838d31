//! Every setting and every variable, from the tables: it can be set, it wins over what stands below it, and
//! it does what it says.
//!
//! What a setting does is seen in a dry run wherever that shows it, with tools that do nothing in the
//! place of compilers; `ELSEWHERE` names the tests that show the rest.

mod common;

use std::os::unix::fs::PermissionsExt;

use common::home::{Home, shared_key};
use common::sshd::Sshd;
use common::write;
use rch::config::keys::{KEYS, Key, Scope};
use rch::config::vars::VARS;
use rch::config::{Each, Kind, Value};

/// Another value than the default, as it is typed.
fn other(key: &Key) -> String {
    match key.kind {
        Kind::Bool(default) => (!default).to_string(),
        Kind::Int { default, max, .. } => match default == max {
            true => (default - 1).to_string(),
            false => (default + 1).to_string(),
        },
        Kind::Float { .. } => "0.5".into(),
        Kind::Word { default, allowed } => {
            let found = allowed.iter().find(|w| **w != default);
            found
                .expect("a word with one choice is no setting")
                .to_string()
        }
        Kind::Path(_) => "/somewhere/else".into(),
        Kind::List { each, .. } => match each {
            Each::OneOf([first, second, ..]) => format!("{first},{second}"),
            _ => "a,b".into(),
        },
    }
}

fn said(home: &Home, args: &[&str], env: &[(&str, &str)]) -> String {
    let mut cmd = home.rch(args);
    let output = cmd.envs(env.iter().copied()).output().unwrap();
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The lines of a value, as `config get` prints it.
fn plain(key: &Key, typed: &str) -> String {
    let value = key.kind.parse(typed).unwrap();
    match value {
        Value::List(_) => typed.replace(',', "\n") + "\n",
        other => other.plain() + "\n",
    }
}

#[test]
fn every_key_is_set_in_its_place_and_nothing_else_changes() {
    let home = Home::new("keys");
    said(&home, &["config", "init"], &[]);
    let file = home.path().join(".config/rch/config.toml");
    // What the file looks like is the user's.
    let text = std::fs::read_to_string(&file).unwrap();
    write(&file, &format!("# mine\n{text}# the end\n"));
    for key in KEYS {
        let before = std::fs::read_to_string(&file).unwrap();
        let (path, value) = (key.path(), other(key));
        said(&home, &["config", "set", &path, &value], &[]);
        let after = std::fs::read_to_string(&file).unwrap();
        let changed = before.lines().zip(after.lines()).filter(|(a, b)| a != b);
        assert_eq!(
            (changed.count(), before.lines().count()),
            (1, after.lines().count()),
            "{path}"
        );
        // Where the daemon would be looked for has moved.
        if key.kind != Kind::Path("~/.cache/rch/rch.sock") {
            assert_eq!(
                said(&home, &["config", "get", &path], &[]),
                plain(key, &value),
                "{path}"
            );
        }
        let json = said(&home, &["--json", "config", "get", &path], &[]);
        assert!(
            json.contains(&format!("{}:", file.display())),
            "{path}: {json}"
        );
    }
    // Each by itself is in order, and these three are not so together.
    for (key, value) in [
        ("general.force_remote", "false"),
        ("general.preferred_workers", ""),
    ] {
        said(&home, &["config", "set", key, value], &[]);
    }
    assert_eq!(said(&home, &["config", "validate", "-q"], &[]), "");
}

/// What a project may decide stands above the user's file, and what it may not is refused.
#[test]
fn every_key_of_a_project_stands_above_the_users() {
    let home = Home::new("project-keys");
    for key in KEYS {
        let (path, value) = (key.path(), other(key));
        let mut set = home.rch(&["config", "set", "--project", &path, &value]);
        let status = set.output().unwrap().status.code();
        let may = key.scope == Scope::Anywhere;
        assert_eq!(status, Some(if may { 0 } else { 120 }), "{path}");
        if may {
            assert_eq!(
                said(&home, &["config", "get", &path], &[]),
                plain(key, &value),
                "{path}"
            );
        }
    }
}

#[test]
fn every_variable_of_a_key_stands_above_every_file() {
    let home = Home::new("variables");
    for var in VARS.iter().filter(|v| !v.key.is_empty()) {
        let key = Key::find(var.key).unwrap();
        let value = other(key);
        let env = [(var.name, value.as_str())];
        let got = said(&home, &["config", "get", var.key], &env);
        assert_eq!(got, plain(key, &value), "{}", var.name);
        let shown = said(&home, &["config", "show", "--sources"], &env);
        assert!(
            shown.contains(&format!("# environment {}\n", var.name)),
            "{shown}"
        );
    }
}

#[test]
fn the_base_directories_are_where_the_variables_say() {
    let home = Home::new("xdg");
    let (config, cache) = (home.path().join("c"), home.path().join("k"));
    let env = [
        ("XDG_CONFIG_HOME", config.to_str().unwrap()),
        ("XDG_CACHE_HOME", cache.to_str().unwrap()),
    ];
    said(&home, &["config", "init"], &env);
    assert!(config.join("rch/config.toml").exists());
    said(&home, &["daemon", "start"], &env);
    assert!(cache.join("rch/rch.sock").exists());
    said(&home, &["daemon", "stop"], &env);
    // A path that is not absolute is none.
    said(
        &home,
        &["config", "init"],
        &[("XDG_CONFIG_HOME", "relative")],
    );
    assert!(home.path().join(".config/rch/config.toml").exists());
}

/// A setting or a variable, the command, and what a dry run says of it then but not otherwise.
struct Effect {
    key: &'static str,
    value: &'static str,
    command: &'static str,
    said: &'static str,
}

const fn effect(
    key: &'static str,
    value: &'static str,
    command: &'static str,
    said: &'static str,
) -> Effect {
    Effect {
        key,
        value,
        command,
        said,
    }
}

const EFFECTS: &[Effect] = &[
    effect(
        "general.enabled",
        "false",
        "make",
        "running locally: rch is disabled here",
    ),
    effect(
        "general.force_local",
        "true",
        "make",
        "running locally: force_local is set",
    ),
    effect("general.preferred_workers", "local", "make", ", preferred)"),
    effect(
        "compilation.confidence_threshold",
        "0.99",
        "cargo test",
        "its one command stays",
    ),
    effect("compilation.build_slots", "3", "make", "3 slots wanted"),
    effect(
        "compilation.test_slots",
        "5",
        "cargo test",
        "5 slots wanted",
    ),
    effect(
        "compilation.check_slots",
        "1",
        "cargo check",
        "1 slot wanted",
    ),
    effect(
        "compilation.local_kinds",
        "build",
        "make",
        "'build' is in compilation.local_kinds",
    ),
    effect(
        "transfer.exclude_patterns",
        "more/",
        "make",
        "to send, the whole project: 3 files",
    ),
    effect("transfer.include_patterns", ".env", "make", "/.env\n"),
    effect("transfer.root", "cwd", "make", "/proj/more, 4 slots wanted"),
    effect(
        "transfer.max_transfer_mb",
        "1",
        "make",
        "transfer.max_transfer_mb allows (",
    ),
    effect(
        "RCH_ENABLED",
        "0",
        "make",
        "running locally: rch is disabled here",
    ),
    effect(
        "RCH_LOCAL_ONLY",
        "1",
        "make",
        "running locally: the environment says so",
    ),
    effect(
        "RCH_BYPASS",
        "1",
        "make",
        "running locally: the environment says so",
    ),
    effect(
        "RCH_WORKER",
        "other",
        "make",
        "refused: RCH_WORKER names another",
    ),
    effect(
        "RCH_WORKERS",
        "other",
        "make",
        "refused: not in RCH_WORKERS",
    ),
];

/// Settings and variables whose effect other tests show: the file, and a word in it.
const ELSEWHERE: &[(&str, &str, &str)] = &[
    ("general.log_level", "tests/fleet/orders.rs", "log_level = "),
    ("general.socket_path", "tests/errors.rs", "socket_path = "),
    ("general.force_remote", "tests/settings.rs", "insists"),
    (
        "general.local_slots",
        "tests/fleet/queue.rs",
        "local_slots = {local_slots}",
    ),
    ("hook.mode", "tests/agent.rs", "inline"),
    ("hook.permissions", "tests/hook_process.rs", "permissions"),
    (
        "compilation.min_local_time_ms",
        "tests/terminal.rs",
        "min_local_time_ms = 0",
    ),
    (
        "compilation.remote_speedup_threshold",
        "src/history.rs",
        "speedup: 1.2",
    ),
    (
        "compilation.queue_timeout_ms",
        "tests/fleet/queue.rs",
        "queue_timeout_ms = 200",
    ),
    (
        "compilation.build_timeout_secs",
        "tests/fleet/queue.rs",
        "build_timeout_secs = ",
    ),
    (
        "compilation.test_timeout_secs",
        "tests/settings.rs",
        "test_timeout_secs = 1",
    ),
    (
        "transfer.compression_level",
        "tests/settings.rs",
        "RCH_COMPRESSION",
    ),
    ("transfer.artifacts", "tests/fresh.rs", "artifacts = "),
    (
        "transfer.ssh_server_alive_interval_secs",
        "src/plan/ssh.rs",
        "ServerAliveInterval=5",
    ),
    (
        "transfer.ssh_control_persist_secs",
        "tests/settings.rs",
        "ssh_control_persist_secs = 1",
    ),
    ("output.stream_mode", "tests/terminal.rs", "RCH_STREAM_MODE"),
    (
        "output.preserve_colors",
        "tests/terminal.rs",
        "preserve_colors = false",
    ),
    (
        "output.max_latency_ms",
        "src/cli/exec/sink.rs",
        "a_piece_alone_never_waits",
    ),
    ("environment.allowlist", "tests/settings.rs", "allowlist = "),
    ("worker.retention", "tests/lanes.rs", "retention = "),
    (
        "worker.max_age_hours",
        "tests/lanes.rs",
        "max_age_hours = 1",
    ),
    (
        "worker.min_free_gb",
        "tests/lanes.rs",
        "min_free_gb = 1000000",
    ),
    ("RCH_DRY_RUN", "tests/terminal.rs", "RCH_DRY_RUN"),
    (
        "RCH_REQUIRE_REMOTE",
        "tests/errors.rs",
        "RCH_REQUIRE_REMOTE=1",
    ),
    ("RCH_PRIORITY", "tests/fleet/queue.rs", "RCH_PRIORITY"),
    ("RCH_VERBOSE", "tests/terminal.rs", "RCH_VERBOSE"),
    ("RCH_OUTPUT_FORMAT", "tests/machine.rs", "RCH_OUTPUT_FORMAT"),
    (
        "TOON_DEFAULT_FORMAT",
        "tests/machine.rs",
        "TOON_DEFAULT_FORMAT",
    ),
    ("NO_COLOR", "src/cli/out.rs", "(\"NO_COLOR\", \"1\")"),
    (
        "CLICOLOR_FORCE",
        "src/cli/out.rs",
        "(\"CLICOLOR_FORCE\", \"1\")",
    ),
    ("FORCE_COLOR", "src/cli/out.rs", "(\"FORCE_COLOR\", \"1\")"),
    ("TERM", "src/cli/out.rs", "(\"TERM\", \"dumb\")"),
    ("COLUMNS", "tests/settings.rs", "(\"COLUMNS\", \"120\")"),
    ("LC_ALL", "src/cli/out.rs", "(\"LC_ALL\", \"C\")"),
    (
        "LC_CTYPE",
        "tests/settings.rs",
        "(\"LC_CTYPE\", \"C.UTF-8\")",
    ),
    ("LANG", "src/cli/out.rs", "(\"LANG\", \"C.utf8\")"),
    ("HOME", "tests/errors.rs", "HOME=here"),
    ("XDG_CONFIG_HOME", "tests/settings.rs", "XDG_CONFIG_HOME"),
    ("XDG_CACHE_HOME", "tests/settings.rs", "XDG_CACHE_HOME"),
];

/// Read and checked, and without effect so far; rch-config(5) says so, and its test holds that.
fn has_no_effect(name: &str) -> bool {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("man/rch-config.5");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, rest) = page.split_once("BEGIN not yet").unwrap();
    let (listed, _) = rest.split_once("END not yet").unwrap();
    listed.contains(&format!(" {name} "))
}

#[test]
fn no_setting_and_no_variable_is_without_a_test() {
    let source = |path: &str| {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    };
    // What a variable does is what its key does, which another test here shows.
    let variables = VARS.iter().filter(|v| v.key.is_empty());
    let names = KEYS
        .iter()
        .map(Key::path)
        .chain(variables.map(|v| v.name.to_string()));
    for name in names {
        if EFFECTS.iter().any(|e| e.key == name) {
            continue;
        }
        match ELSEWHERE.iter().find(|(n, ..)| *n == name) {
            Some((_, file, mark)) => assert!(source(file).contains(mark), "{name}: {file}"),
            None => assert!(has_no_effect(&name), "'{name}' has no test"),
        }
    }
}

/// A project in a repository, and compilers that do nothing.
fn prepared(name: &str) -> Home {
    let home = Home::new(name);
    for tool in ["make", "cargo"] {
        let path = home.path().join("bin").join(tool);
        write(&path, "#!/bin/sh\nexit 0\n");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    std::fs::create_dir_all(home.project.join(".git")).unwrap();
    write(&home.project.join("Makefile"), "all:\n");
    write(
        &home.project.join("Cargo.toml"),
        "[package]\nname = \"p\"\nversion = \"0.1.0\"\n",
    );
    write(&home.project.join("more/large"), &"x".repeat(3_500_000));
    write(&home.project.join(".env"), "SECRET=1\n");
    // They are measured here, and would stay.
    let project = home.project.join(".rch/config.toml");
    write(&project, "[compilation]\nmin_local_time_ms = 0\n");
    home
}

/// What a dry run in the project's folder `more` says.
fn dry(home: &Home, command: &str, env: &[(&str, &str)]) -> String {
    let path = format!(
        "{}/bin:{}",
        home.path().display(),
        std::env::var("PATH").unwrap()
    );
    let mut cmd = home.rch(&["exec", "--"]);
    cmd.args(command.split(' '))
        .env("PATH", path)
        .env("RCH_DRY_RUN", "1")
        .envs(env.iter().copied())
        .current_dir(home.project.join("more"));
    String::from_utf8(cmd.output().unwrap().stderr).unwrap()
}

#[test]
fn settings_and_variables_do_what_they_say() {
    let home = prepared("effects");
    let config = home.path().join(".config/rch/config.toml");
    for e in EFFECTS {
        let without = dry(&home, e.command, &[]);
        assert!(!without.contains(e.said), "{} without it: {without}", e.key);
        let with = if e.key.starts_with("RCH_") {
            dry(&home, e.command, &[(e.key, e.value)])
        } else {
            said(&home, &["config", "set", e.key, e.value], &[]);
            dry(&home, e.command, &[])
        };
        assert!(with.contains(e.said), "{} = {}: {with}", e.key, e.value);
        let _ = std::fs::remove_file(&config);
    }
}

/// A slip in a variable that steers output kept every command here; one in a variable that keeps them
/// here still does.
#[test]
fn a_bad_value_in_the_environment_costs_no_build_its_worker() {
    let home = prepared("bad-variables");
    for (name, value) in [
        ("RCH_STREAM_MODE", "slow"),
        ("RCH_COMPRESSION", "99"),
        ("RCH_LOG_LEVEL", "loud"),
        ("RCH_PRIORITY", "urgent"),
        ("RCH_OUTPUT_FORMAT", "xml"),
    ] {
        let fault = format!("rch: warning: bad value for '{name}': expected ");
        let env = [(name, value), ("RCH_VERBOSE", "1")];
        let said = dry(&home, "make", &env);
        assert!(said.contains("rch: it would go to local"), "{name}: {said}");
        assert!(said.contains(&fault), "{name}: {said}");
        let quiet = dry(&home, "make", &env[..1]);
        assert!(!quiet.contains("warning"), "{name}: {quiet}");
        let validated = home.rch(&["config", "validate"]).env(name, value).output();
        let out = validated.unwrap();
        let text = String::from_utf8([out.stdout, out.stderr].concat()).unwrap();
        assert!(text.contains(&fault[14..]), "{name}: {text}");
        assert!(!out.status.success(), "{name}");
    }
    let said = dry(&home, "make", &[("RCH_ENABLED", "maybe")]);
    assert!(
        said.contains("running locally: bad value for 'RCH_ENABLED'"),
        "{said}"
    );
}

/// What a broken pattern was to keep here travelled.
#[test]
fn nothing_travels_past_a_pattern_that_is_no_glob() {
    let home = prepared("globs");
    let ignore = home.project.join(".rchignore");
    write(&ignore, "# large ones\n\nmore/{a,b\n");
    let said = dry(&home, "make", &[]);
    let fault = format!(
        "running locally: {}:3:1: 'more/{{a,b' is no glob: unclosed brace expansion at byte 5",
        ignore.display()
    );
    assert!(said.contains(&fault), "{said}");
    write(&ignore, "");
    let config = home.path().join(".config/rch/config.toml");
    write(&config, "[transfer]\nexclude_patterns = [\"*.[o\"]\n");
    let said = dry(&home, "make", &[]);
    let fault = "config.toml:2:20: bad value for 'transfer.exclude_patterns': '*.[o' is no glob";
    assert!(said.contains(fault), "{said}");
}

/// A job sees what the list lets through and nothing else of the agent's environment; the limit of a
/// test run ends it; whoever insists on a worker is not kept by measurements.
#[test]
fn settings_of_a_job_reach_it() {
    let home = Home::new("job-settings");
    let makefile =
        "show:\n\t@echo \"<$$LET_IN $$KEPT_OUT>\"\ntest:\n\t@echo begun; exec sleep 1000\n";
    write(&home.project.join("Makefile"), makefile);
    let config = home.path().join(".config/rch/config.toml");
    // What the shell had already when it was started is not the command's own.
    let show = |env: &[(&str, &str)]| {
        let mut cmd = home.command("sh");
        let rch = common::bin("rch").display().to_string();
        cmd.arg("-c")
            .arg(format!("{rch} exec -- make show; exit $?"));
        cmd.env("LET_IN", "yes")
            .env("KEPT_OUT", "no")
            .env("RCH_REQUIRE_REMOTE", "1");
        let output = cmd.envs(env.iter().copied()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(show(&[]), "< >\n");
    assert_eq!(show(&[("RCH_ENV_ALLOWLIST", "LET_IN")]), "<yes >\n");
    write(
        &config,
        "[environment]\nallowlist = [\"LET_IN\"]\n[compilation]\ntest_timeout_secs = 1\n",
    );
    assert_eq!(show(&[]), "<yes >\n");
    let over = home.rch(&["exec", "--", "make", "test"]).output().unwrap();
    assert_eq!(over.status.code(), Some(124), "{over:?}");
    // It was quick here once: from then on it stays, unless somebody insists.
    let local = [("RCH_LOCAL_ONLY", "1")];
    let plain = |env: &[(&str, &str)]| {
        let mut cmd = home.rch(&["exec", "--", "make", "show"]);
        assert!(
            cmd.envs(env.iter().copied())
                .output()
                .unwrap()
                .status
                .success()
        );
        home.status().totals.remote
    };
    let before = plain(&local);
    write(&config, "[general]\nforce_remote = true\n");
    assert_eq!(plain(&[]), before + 1);
}

/// The same project in two folders, sent at two levels.
#[test]
fn what_is_sent_is_packed_as_it_says() {
    let home = Home::new("level");
    // Words of a small language in no order: the harder one looks, the more is found.
    let mut dice = 1_u64;
    let mut word = || {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        format!("{:x} ", ((dice >> 33) % 499).pow(3))
    };
    let words: String = (0..40_000).map(|_| word()).collect();
    let sent = |folder: &str, level: &str| {
        let dir = home.project.with_file_name(folder);
        write(&dir.join("Makefile"), "all:\n\t@:\n");
        write(&dir.join("words"), &words);
        let mut cmd = home.rch(&["exec", "--", "make"]);
        cmd.env("RCH_REQUIRE_REMOTE", "1")
            .env("RCH_COMPRESSION", level);
        let made = cmd.current_dir(&dir).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        home.status().jobs[0].sent_bytes
    };
    let (fast, small) = (sent("fast", "1"), sent("small", "19"));
    assert!(small < fast, "{small} bytes at level 19, {fast} at level 1");
}

/// Two jobs at once need two sessions; the second is not kept longer than it says.
#[test]
fn an_idle_connection_is_kept_as_long_as_it_says() {
    let home = Home::new("persist");
    let makefile = "slow:\n\t@until [ -e $(GO) ]; do sleep 0.05; done\n";
    let go = std::env::temp_dir().join(format!("rch-go-persist-{}", std::process::id()));
    let other = home.project.with_file_name("other");
    write(
        &home.path().join(".config/rch/config.toml"),
        "[transfer]\nssh_control_persist_secs = 1\n[compilation]\nbuild_slots = 1\n",
    );
    write(
        &home.path().join(".config/rch/workers.toml"),
        "[[workers]]\nid = \"local\"\ntransport = \"local\"\ntotal_slots = 4\n",
    );
    let mut jobs = vec![];
    for dir in [&home.project, &other] {
        write(&dir.join("Makefile"), makefile);
        let mut cmd = home.rch(&["exec", "--", "make", "slow"]);
        cmd.arg(format!("GO={}", go.display()))
            .env("RCH_REQUIRE_REMOTE", "1");
        jobs.push(cmd.current_dir(dir).spawn().unwrap());
    }
    common::wait_for("two sessions", || {
        let socket = home.socket();
        (socket.exists() && home.status().workers[0].sessions == 2).then_some(())
    });
    write(&go, "");
    for mut job in jobs {
        assert!(job.wait().unwrap().success());
    }
    common::wait_for("the second session's end", || {
        (home.status().workers[0].sessions == 1).then_some(())
    });
    std::fs::remove_file(&go).unwrap();
}

/// ssh masters that are children of the daemon.
fn masters(home: &Home) -> usize {
    let parent = home.daemon_pid();
    let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
    let is_master = |pid: &&str| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.starts_with(b"ssh\0-M\0")
    };
    let children = children.unwrap();
    children.split_whitespace().filter(is_master).count()
}

/// The ninth session needs a second connection. It was kept for ever, with nobody going through it.
#[test]
fn an_ssh_connection_that_nobody_uses_is_closed() {
    let worker = Sshd::start("css", &shared_key());
    let home = Home::with("persist-ssh", &[&worker], 9);
    let config = home.path().join(".config/rch/config.toml");
    write(
        &config,
        "[transfer]\nssh_control_persist_secs = 0\n[compilation]\nbuild_slots = 1\n",
    );
    write(
        &home.project.join("Makefile"),
        "slow:\n\t@until [ -e /home/builder/go ]; do sleep 0.05; done\nquick:\n\t@echo done\n",
    );
    let jobs: Vec<_> = (0..9)
        .map(|n| {
            let mut cmd = home.rch(&["exec", "--", "make", "slow"]);
            cmd.arg(format!("N={n}")).env("RCH_REQUIRE_REMOTE", "1");
            cmd.spawn().unwrap()
        })
        .collect();
    common::wait_for("nine sessions", || {
        let there = home.socket().exists() && home.status().workers[0].sessions == 9;
        there.then_some(())
    });
    assert_eq!(masters(&home), 2);
    write(&worker.home().join("go"), "");
    for mut job in jobs {
        assert!(job.wait().unwrap().success());
    }
    // As with ssh, no time is for ever.
    assert_eq!((home.status().workers[0].sessions, masters(&home)), (9, 2));
    write(&config, "[transfer]\nssh_control_persist_secs = 1\n");
    said(&home, &["daemon", "reload"], &[]);
    common::wait_for("the second connection's end", || {
        let left = (home.status().workers[0].sessions, masters(&home));
        (left == (1, 1)).then_some(())
    });
    assert!(home.exec(&["make", "quick"]).status.success());
    let text = worker
        .entry(&home.key(), 9)
        .replace("\n\n", "\nenabled = false\n");
    write(&home.path().join(".config/rch/workers.toml"), &text);
    said(&home, &["daemon", "reload"], &[]);
    common::wait_for("the end of all connections to a disabled worker", || {
        (masters(&home) == 0).then_some(())
    });
    assert!(!home.log().contains("connecting again"), "{}", home.log());
}

#[test]
fn the_width_and_the_letters_of_tables_follow_the_environment() {
    let home = Home::new("looks");
    said(&home, &["daemon", "start"], &[]);
    // An address is shown where there is room for it.
    write(
        &home.path().join(".config/rch/workers.toml"),
        "[[workers]]\nid = \"css\"\nhost = \"css.example.org\"\nenabled = false\ntotal_slots = 4\n",
    );
    said(&home, &["daemon", "reload"], &[]);
    assert!(!said(&home, &["status"], &[]).contains("css.example.org"));
    let wide = said(&home, &["status"], &[("COLUMNS", "120")]);
    assert!(wide.contains("css.example.org"), "{wide}");
    let letters = |env: &[(&str, &str)]| said(&home, &["status"], env).is_ascii();
    assert!(letters(&[("LANG", "C")]));
    assert!(!letters(&[("LANG", "C"), ("LC_CTYPE", "C.UTF-8")]));
}
