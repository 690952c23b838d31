//! Every error that the command line can give, in one table: what is typed, what is said, the status.
//!
//! The table is `tests/views/errors.txt`; `RCH_UPDATE_VIEWS=1 cargo test --test errors` writes it anew,
//! and the diff is for a person to look at. Each line is typed into a shell on a home of its own, made
//! ready by the commands before `;;`. The grammar of every text is checked besides: lower case, no full
//! stop, one remedy on a line of its own.

mod common;

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{Dir, bin};

const CONFIG: &str = "mkdir -p ~/.config/rch && cd ~/.config/rch && printf";

/// A title, and lines as they are typed: `preparation ;; command`.
const TABLE: &[(&str, &[&str])] = &[
    (
        "commands and flags",
        &[
            "rch statsu",
            "rch xyzzy",
            "rch workers prob",
            "rch workers xyzzy",
            "rch daemon",
            "rch help satus",
            "rch status --wach",
            "rch status --xyzzy",
            "rch status -x",
            "rch --jsn status",
            "rch status --watch=1",
            "rch status now",
            "rch status --color",
            "rch status --color=allways",
            "rch status --format xml",
            "rch logs",
            "rch logs seven",
            "rch cancel j0",
            "rch daemon logs --tail",
            "rch daemon logs --tail x",
            "rch daemon logs --tail=-1",
            "rch classify",
            "rch classify cargo build",
            "rch classify $'\\xff'",
            "rch completions tcsh",
            "rch completions bsh",
            "rch hook install --agent cluade",
            "rch hook install --agent codex --masquerade",
            "rch hook install here",
            "rch masquerade install a b",
            "rchd --nope",
            "rchd now",
        ],
    ),
    (
        "exec",
        &[
            "rch exec",
            "rch exec --",
            "rch exec -j4 make",
            "rch exec -- cargo fmt",
            "rch exec -- ls",
            "R=$(command -v rch); PATH=/nowhere RCH_LOCAL_ONLY=1 $R exec -- make",
            "mkdir bin && touch bin/make ;; R=$(command -v rch); PATH=$PWD/bin RCH_LOCAL_ONLY=1 $R exec -- make",
            "RCH_LOCAL_ONLY=1 RCH_REQUIRE_REMOTE=1 rch exec -- make",
            "RCH_ENABLED=0 RCH_REQUIRE_REMOTE=1 rch exec -- make",
            "ln -s $(command -v rch) cargo ;; PATH=$PWD ./cargo build",
        ],
    ),
    (
        "settings",
        &[
            "rch config get hook.moed",
            "rch config get build_slots",
            "rch config get xyzzy",
            "rch config set hook.mode",
            "rch config set hook.mode both",
            "rch config set general.enabled maybe",
            "rch config set compilation.build_slots four",
            "rch config set compilation.build_slots 0",
            "rch config set compilation.confidence_threshold 2",
            "rch config set compilation.local_kinds build,tset",
            "rch config set general.socket_path ''",
            "rch config set general.socket_path rch.sock",
            "rch config set transfer.exclude_patterns '*.o,{a,b'",
            "rch config set --project hook.mode inline",
            "rch config unset xyzzy",
            "CONFIG 'general = { enabled = true }\\n' > config.toml ;; rch config unset general.enabled",
            "CONFIG '[general\\n' > config.toml ;; rch config unset hook.mode",
            "rch config init ;; rch config init",
            "touch ~/.config ;; rch config init",
            "touch ~/.config ;; rch config set hook.mode inline",
            "mkdir -p ~/.config/rch/config.toml ;; rch config get hook.mode",
            "mkdir -p ~/.config/rch/config.toml ;; rch config set hook.mode inline",
            "CONFIG '[general\\n' > config.toml ;; rch config get hook.mode",
            "CONFIG '[general\\n' > config.toml ;; rch config set hook.mode inline",
            "CONFIG 'general = 1\\n' > config.toml ;; rch config set general.enabled false",
            "CONFIG '\\xff' > config.toml ;; rch config validate",
            "RCH_COMPRESSION=99 rch config get transfer.compression_level",
            "RCH_STREAM_MODE=slow rch config validate",
            "RCH_PRIORITY=urgent rch config validate",
            "RCH_OUTPUT_FORMAT=xml rch config get hook.mode",
        ],
    ),
    (
        "validate",
        &[
            "CONFIG '[genral]\\n[general]\\nenabeld = true\\nbuild_slots = 3\\n[hook]\\nmode = \"both\"\\n' > config.toml ;; rch config validate",
            "CONFIG 'hook = 3\\nforce_local = true\\nxyzzy = 1\\n[compilation]\\nbuild_slots = \"four\"\\nlocal_kinds = [1]\\n' > config.toml ;; rch config validate",
            "CONFIG '[general]\\nenabled = \\n' > config.toml ;; rch config validate",
            "CONFIG '[general]\\nforce_local = true\\nforce_remote = true\\npreferred_workers = [\"lcal\", \"css\"]\\nsocket_path = \"rch.sock\"\\n' > config.toml ;; rch config validate",
            "CONFIG '[transfer]\\nexclude_patterns = [\"*.[o\"]\\n' > config.toml ;; rch config validate",
            "printf '# mine\\n*.[o\\n' > .rchignore ;; rch config validate",
            "mkdir .rch && printf '[hook]\\npermissions = \"allow\"\\n' > .rch/config.toml ;; rch config validate",
            "CONFIG '[[workers]]\\nid = \"a\"\\n[[workers]]\\nhost = \"h\"\\n' > workers.toml ;; rch config validate",
            "CONFIG '[[workers]]\\nid = \"a\"\\nhost = \"h\"\\ntotal_slots = 0\\ntransport = \"rsh\"\\ntga = []\\n' > workers.toml ;; rch config validate",
            "CONFIG '[[workers]]\\nid = \"a\"\\nhost = \"h\"\\n[[workers]]\\nid = \"a\"\\nhost = \"u@i\"\\n' > workers.toml ;; rch config validate",
            "CONFIG '[[workers]]\\nid = \"a\"\\nhost = \"h\"\\nidentity_file = \"~/key\"\\n' > workers.toml ;; rch config validate",
            "touch ~/key && chmod 644 ~/key && CONFIG '[[workers]]\\nid = \"a\"\\nhost = \"h\"\\nidentity_file = \"~/key\"\\n' > workers.toml ;; rch config validate",
            "CONFIG 'workers = 3\\n' > workers.toml ;; rch config validate",
        ],
    ),
    (
        "workers",
        &[
            "rch workers probe nobody",
            "rch workers probe lcal",
            "rch workers probe --all local",
            "rch workers drain nobody",
            "rch workers add",
            "rch workers add css host:x",
            "rch workers add css host:99999",
            "rch workers add css",
            "rch workers add css 'a b'",
            "rch workers add css --transport rsh",
            "rch workers add css --transport command",
            "rch workers add css host --total-slots many",
            "rch workers add css host --ssh-options Jump",
            "rch workers add -- -x host",
            "rch workers add css -- -oProxyCommand=x",
            "rch workers add css h ;; rch workers add css h",
            "rch workers add css h ;; rch workers remove cs",
            "rch workers remove nobody",
            "touch ~/.config ;; rch workers add css h",
            "rch workers remove local",
            "CONFIG '[[workers]\\n' > workers.toml ;; rch workers list",
            "CONFIG '[[workers]\\n' > workers.toml ;; rch workers add css h",
            "CONFIG '[[workers]\\n' > workers.toml ;; rch workers remove css",
            "CONFIG 'workers = 3\\n' > workers.toml ;; rch workers add css h",
        ],
    ),
    (
        "no daemon",
        &[
            "rch status",
            "rch status --watch",
            "rch logs j1",
            "rch cancel j1",
            "rch daemon status",
            "rch daemon reload",
            "rch daemon logs",
            "CONFIG '[general]\\nsocket_path = \"rch.sock\"\\n' > config.toml ;; rch status",
            "cd / ;; HOME=here rch status",
            "env -u HOME rch hook install",
            "mkdir -p bin ~/.cache && cp $(command -v rch) bin ;; bin/rch daemon start",
            "touch ~/.cache ;; rch daemon start",
            "touch ~/.cache ;; rchd",
            "CONFIG '[general]\\nsocket_path = \"/%s/rch.sock\"\\n' $(printf 'x%.0s' $(seq 100)) > config.toml ;; rch daemon start",
            "CONFIG '[general]\\nsocket_path = \"/%s/rch.sock\"\\n' $(printf 'x%.0s' $(seq 100)) > config.toml ;; rch status",
        ],
    ),
    (
        "a daemon that is not in order",
        &[
            "garbled ;; rch status",
            "closing ;; rch status",
            "closing ;; rch daemon start",
            "silent ;; rch status",
            "foreign ;; rch status",
            "foreign ;; RCH_REQUIRE_REMOTE=1 rch exec -- make",
            "closing ;; RCH_REQUIRE_REMOTE=1 rch exec -- make",
        ],
    ),
    (
        "a daemon that refuses",
        &[
            "rch daemon start ;; rch cancel j99",
            "rch daemon start ;; rch logs j99",
            "rch daemon start ;; RCH_REQUIRE_REMOTE=1 RCH_WORKER=nobody rch exec -- make",
            "rch daemon start ;; RCH_REQUIRE_REMOTE=1 RCH_WORKER=locla rch exec -- make",
            "rch daemon start ;; RCH_REQUIRE_REMOTE=1 RCH_WORKERS=gpu rch exec -- make",
            "CONFIG '[[workers]\\n' > workers.toml ;; rch workers probe",
            "CONFIG '[[workers]\\n' > workers.toml ;; rch workers benchmark",
            "CONFIG '[[workers]\\n' > workers.toml ;; RCH_REQUIRE_REMOTE=1 rch exec -- make",
            "CONFIG '[[workers]\\n' > workers.toml && rch daemon start 2>/dev/null ;; rch daemon start 2>&1 >/dev/null",
            "rch daemon start ;; rchd",
            "rch daemon start && CONFIG '[[workers]]\\nid = \"a\"\\n' > workers.toml ;; rch daemon reload",
            "rch daemon start && CONFIG '[transfer]\\ncompression_level = 99\\n' > config.toml ;; rch daemon reload",
            "rch daemon start && CONFIG '[general\\n' > config.toml ;; rch daemon reload",
        ],
    ),
    (
        "agents",
        &[
            "mkdir ~/.claude && echo '{broken' > ~/.claude/settings.json ;; rch hook install",
            "mkdir ~/.claude && echo '[]' > ~/.claude/settings.json ;; rch hook install",
            "mkdir ~/.claude && echo '{\"hooks\":[]}' > ~/.claude/settings.json ;; rch hook install",
            "mkdir ~/.claude && echo '{broken' > ~/.claude/settings.json ;; rch hook status --agent claude",
            "mkdir ~/.claude && ln -s nowhere ~/.claude/settings.json ;; rch hook uninstall",
            "mkdir ~/.claude && echo '{}' > ~/.claude/settings.json && chmod 400 ~/.claude/settings.json ;; rch hook install",
            "touch ~/.claude ;; rch hook install",
            "touch bin ;; rch masquerade install bin",
            "mkdir bin && touch bin/cargo ;; rch masquerade install bin",
            "CLAUDE_ENV_FILE=/nowhere/env rch hook session-start",
        ],
    ),
    (
        "streams",
        &[
            "rch config show >&-",
            "rch config show > /dev/full",
            "rch --help > /dev/full",
            "rch statsu 2>&-",
            "rch hook test < /",
            "set -o pipefail; rch config show | head -n 1",
        ],
    ),
];

/// A home, and what a shell finds there.
struct Place {
    dir: Dir,
    /// Poses as the daemon.
    fake: Option<std::thread::JoinHandle<()>>,
}

impl Place {
    fn new() -> Place {
        let dir = Dir::new("errors");
        std::fs::create_dir_all(dir.path().join("home/work")).unwrap();
        Place { dir, fake: None }
    }

    fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    fn shell(&self, line: &str) -> Command {
        let programs = bin("rch").parent().unwrap().display().to_string();
        let mut cmd = Command::new("bash");
        cmd.env_clear()
            .env("PATH", format!("{programs}:/usr/bin:/bin"))
            .env("HOME", self.home())
            .env("LANG", "C.UTF-8")
            .current_dir(self.home().join("work"))
            .args(["--norc", "-c", line])
            .stdin(Stdio::null());
        cmd
    }

    fn prepare(&mut self, line: &str) {
        let manners = match line {
            "garbled" => Manners::Answers(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
            "closing" => Manners::Closes,
            "silent" | "foreign" => Manners::Silent,
            _ => {
                let line = line.replace("CONFIG", CONFIG);
                let done = self.shell(&line).output().unwrap();
                assert!(done.status.success(), "{line}: {done:?}");
                return;
            }
        };
        let socket = self.home().join(".cache/rch/rch.sock");
        std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
        let listener = UnixListener::bind(&socket).unwrap();
        if line == "foreign" {
            std::os::unix::fs::chown(&socket, Some(4711), None).unwrap();
        }
        self.fake = Some(std::thread::spawn(move || pose(&listener, manners)));
    }

    /// What a line says and answers, without what is of this place and moment only.
    fn typed(&mut self, line: &str) -> String {
        let command = match line.split_once(" ;; ") {
            Some((before, command)) => {
                self.prepare(before);
                command
            }
            None => line,
        };
        let done = self.shell(command).output().unwrap();
        let mut text = String::from_utf8_lossy(&done.stdout).into_owned();
        text.push_str(&String::from_utf8_lossy(&done.stderr));
        let status = done
            .status
            .code()
            .map_or("a signal".into(), |c| c.to_string());
        let text = text.replace(&self.home().display().to_string(), "/home/ada");
        format!("$ {line}\n{text}= {status}\n")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.fake.is_none() {
            let _ = self.shell("rch daemon stop").output();
        }
        if let Some(fake) = self.fake.take() {
            let socket = self.home().join(".cache/rch/rch.sock");
            let over = UnixStream::connect(socket).and_then(|mut s| s.write_all(b"over"));
            over.unwrap();
            fake.join().unwrap();
        }
    }
}

/// How something behaves that listens in the daemon's place.
#[derive(Clone, Copy)]
enum Manners {
    Answers(&'static [u8]),
    Closes,
    Silent,
}

/// Serves one connection after the other, each until its peer has gone; one that begins with `over` is
/// the last.
fn pose(listener: &UnixListener, manners: Manners) {
    loop {
        let (mut stream, _) = listener.accept().unwrap();
        let mut heard = [0; 4];
        if stream.read_exact(&mut heard).is_ok() && &heard == b"over" {
            return;
        }
        match manners {
            Manners::Answers(bytes) => drop(stream.write_all(bytes)),
            Manners::Closes => drop(stream.shutdown(Shutdown::Write)),
            Manners::Silent => {}
        }
        let _ = stream.read_to_end(&mut vec![]);
    }
}

/// What is wrong with the way that something is said.
fn grammar(entry: &str) -> Vec<String> {
    let mut faults = vec![];
    let mut before = "";
    for line in entry.lines().skip(1) {
        if let Some(text) = line.strip_prefix("rch: ").or(line.strip_prefix("rchd: ")) {
            let text = text.strip_prefix("warning: ").unwrap_or(text);
            if text.starts_with(|c: char| c.is_uppercase()) && !text.starts_with("RCH_") {
                faults.push(format!("begins with a capital: {line}"));
            }
            if text.contains("os error") || text.contains('"') && text.contains("Err(") {
                faults.push(format!("speaks Rust: {line}"));
            }
        }
        if let Some(hint) = line.strip_prefix("hint: ") {
            if before.starts_with("hint: ") {
                faults.push(format!("a second hint: {line}"));
            }
            if hint.starts_with(|c: char| c.is_uppercase()) && !hint.starts_with("RCH_") {
                faults.push(format!("begins with a capital: {line}"));
            }
        }
        if line.ends_with('.') && !line.ends_with("..") {
            faults.push(format!("ends in a full stop: {line}"));
        }
        if line.contains("panicked") || line.contains("BUG") {
            faults.push(format!("a panic: {line}"));
        }
        before = line;
    }
    faults
}

#[test]
fn every_error_text_stands_in_the_table() {
    let mut text = String::new();
    let mut faults = vec![];
    for (title, lines) in TABLE {
        text.push_str(&format!("# {title}\n\n"));
        for line in *lines {
            let entry = Place::new().typed(line);
            faults.extend(grammar(&entry));
            text.push_str(&entry);
            text.push('\n');
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/views/errors.txt");
    let was = std::fs::read_to_string(&path).unwrap_or_default();
    if std::env::var_os("RCH_UPDATE_VIEWS").is_some() {
        std::fs::write(&path, &text).unwrap();
    } else {
        let differ = was
            .split("\n\n")
            .zip(text.split("\n\n"))
            .find(|(a, b)| a != b);
        assert!(was == text, "it stands otherwise in the table: {differ:#?}");
    }
    assert!(faults.is_empty(), "{faults:#?}");
}
