//! The manual against the code: every flag, key, variable and status, and every byte of the protocol.
//!
//! The tables in the code are the truth; a page that lacks a row, or has one too many, fails here. The
//! message tables of rch-protocol(7) are interpreted: each message is encoded by the code and taken apart
//! by what the page says.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use rch::bytes::{Malformed, Parsed, Reader};
use rch::cli::data::SHAPES;
use rch::cli::out::ERROR_CODES;
use rch::cli::table::{COMMANDS, GLOBAL};
use rch::config::keys::KEYS;
use rch::config::vars::VARS;
use rch::config::workers::WORKER_KEYS;
use rch::exit::EXITS;
use rch::ids::{LaneKey, ManifestId};
use rch::sys::process::{Exit, Usage};
use rch::wire::client::{Ask, Exec, FromDaemon, ToDaemon};
use rch::wire::status::{self, Phase};
use rch::wire::worker::{
    Base, Collect, Facts, Fault, FromWorker, Held, Install, Keep, Kind, Name, Open, Present,
    Produced, Products, Program, Put, Resync, Run, Setting, ToWorker, Want,
};
use rch::wire::{self, Frame};

const PAGES: [&str; 5] = [
    "rch.1",
    "rch-config.5",
    "rch-protocol.7",
    "rch-wkr.8",
    "rchd.8",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn page(name: &str) -> String {
    std::fs::read_to_string(root().join("man").join(name)).unwrap()
}

/// What follows `mark` at the beginning of a line, the rest of the line.
fn after<'a>(page: &'a str, mark: &str) -> Vec<&'a str> {
    page.lines().filter_map(|l| l.strip_prefix(mark)).collect()
}

/// A section's text.
fn section<'a>(page: &'a str, title: &str) -> &'a str {
    let start = page
        .find(&format!(".Sh {title}\n"))
        .unwrap_or_else(|| panic!("no section {title}"));
    let text = &page[start + 4..];
    text.find("\n.Sh ").map_or(text, |end| &text[..end])
}

#[test]
fn the_pages_are_clean_and_whole() {
    for name in PAGES {
        let path = root().join("man").join(name);
        let Ok(output) = Command::new("mandoc")
            .args(["-T", "lint", "-W", "warning"])
            .arg(&path)
            .output()
        else {
            panic!("mandoc is not installed");
        };
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && said.is_empty(), "{said}");
        let page = page(name);
        for title in ["NAME", "DESCRIPTION", "SECURITY", "SEE ALSO"] {
            section(&page, title);
        }
        if name != "rch-protocol.7" {
            for title in ["EXIT STATUS", "FILES", "ENVIRONMENT", "EXAMPLES"] {
                section(&page, title);
            }
        }
    }
}

#[test]
fn every_command_and_flag_is_in_rch_1_and_no_other() {
    let page = page("rch.1");
    let mut want = BTreeSet::new();
    for command in COMMANDS {
        let head = format!(".It Cm {}", command.name());
        let entry = page
            .lines()
            .position(|l| l == head || l.starts_with(&format!("{head} ")));
        let entry = entry.unwrap_or_else(|| panic!("'{}' has no entry", command.name()));
        // Its flags stand before the next command.
        let below: Vec<&str> = page
            .lines()
            .skip(entry + 1)
            .take_while(|l| !l.starts_with(".It Cm"))
            .collect();
        assert!(
            below.contains(&format!("{}.", command.about).as_str()),
            "{}",
            command.name()
        );
        for flag in command.flags {
            let item = below
                .iter()
                .any(|l| l.starts_with(".It Fl") && l.contains(&format!("Fl -{}", flag.long)));
            assert!(item, "'{} --{}'", command.name(), flag.long);
        }
    }
    for flag in COMMANDS.iter().flat_map(|c| c.flags).chain(GLOBAL) {
        let short = flag.short.map_or(String::new(), |c| format!("{c} , Fl "));
        let value = flag.value.map_or(String::new(), |v| format!(" Ar {v}"));
        want.insert(format!("{short}-{}{value}", flag.long));
    }
    let have: BTreeSet<String> = after(&page, ".It Fl ")
        .iter()
        .map(|s| s.to_string())
        .collect();
    assert_eq!(have, want);
    let commands = after(&page, ".It Cm ").len();
    assert_eq!(commands, COMMANDS.len());
}

/// A bracket that closes in the wrong place reads as if the operand were part of the flags.
#[test]
fn the_usage_lines_of_rch_1_are_those_of_help() {
    let page = root().join("man/rch.1");
    let output = Command::new("mandoc")
        .args(["-T", "utf8", "-O", "width=300"])
        .arg(&page)
        .output()
        .expect("mandoc is not installed");
    let shown = String::from_utf8(output.stdout).unwrap();
    // Bold and underlined text is struck over itself.
    let mut plain = String::new();
    for c in shown.chars() {
        match c {
            '\u{8}' => drop(plain.pop()),
            c => plain.push(c),
        }
    }
    for command in COMMANDS {
        let usage = rch::cli::help::usage(command);
        let usage = usage.strip_prefix("rch ").unwrap();
        let usage = usage
            .replace("...", " ...")
            .replace('|', " | ")
            .replace('\'', "");
        // A short one shares its line with what is said of it.
        let found = |l: &str| l.trim() == usage || l.trim().starts_with(&format!("{usage}  "));
        assert!(plain.lines().any(found), "{usage}");
    }
}

#[test]
fn every_status_and_error_code_is_in_rch_1() {
    let page = page("rch.1");
    let have: Vec<String> = after(section(&page, "EXIT STATUS"), ".It ")
        .iter()
        .map(|s| s.to_string())
        .collect();
    let want: Vec<String> = EXITS.iter().map(|e| e.status.to_string()).collect();
    assert_eq!(have, want);
    let have: Vec<&str> = after(&page, ".It Li ");
    let want: Vec<&str> = ERROR_CODES.iter().map(|(code, _)| *code).collect();
    assert_eq!(have, want);
}

/// The words of `rch status` and of its JSON.
#[test]
fn every_state_is_in_rch_1() {
    let page = page("rch.1");
    let text = page.split_once(".Ss States\n").unwrap().1;
    let text = text.split("\n.Sh ").next().unwrap();
    let mut have: Vec<String> = vec![];
    for item in text.split("\n.It Sy ").skip(1) {
        let (state, doc) = item.split_once('\n').unwrap();
        let doc: Vec<&str> = doc.lines().take_while(|l| *l != ".El").collect();
        have.push(format!("{state}: {}", doc.join(" ").replace(". ", ".")));
    }
    let all = [status::WORKER_STATES, status::JOB_STATES].concat();
    let want: Vec<String> = all.iter().map(|(s, doc)| format!("{s}: {doc}.")).collect();
    assert_eq!(have, want);
}

/// `.Ss Data` of rch(1), as the table of the command line has it.
fn data_section() -> String {
    let mut out = String::new();
    for shape in SHAPES {
        let names = shape.commands.join(", ");
        out.push_str(&format!(
            ".It Sy {names}\n{}:\n.Bl -tag -width jobs[].returned_bytes -compact\n",
            shape.form
        ));
        for (field, doc) in shape.fields {
            out.push_str(&format!(".It Va {field}\n{doc}.\n"));
        }
        out.push_str(".El\n");
    }
    out
}

#[test]
fn every_field_of_the_data_is_in_rch_1() {
    let page = page("rch.1");
    let text = page.split_once(".Ss Data\n").expect("a section").1;
    let text = text.split("\n.Ss ").next().unwrap();
    let from = text.find(".It Sy ").unwrap_or(0);
    let want = data_section();
    assert_eq!(text[from..].trim_end(), format!("{want}.El"), "{want}");
    // Each command that says anything has one, and nothing else has.
    let mut named: Vec<&str> = SHAPES.iter().flat_map(|s| s.commands).copied().collect();
    let mut commands: Vec<String> = COMMANDS
        .iter()
        .map(|c| c.name())
        .filter(|n| n != "exec" && n != "hook session-start")
        .collect();
    named.sort_unstable();
    commands.sort_unstable();
    assert_eq!(named, commands);
}

#[test]
fn every_key_and_variable_is_in_rch_config_5() {
    let page = page("rch-config.5");
    let settings = section(&page, "SETTINGS");
    let mut have = vec![];
    let mut inside = "";
    for line in settings.lines() {
        if let Some(name) = line.strip_prefix(".Ss [") {
            inside = name.trim_end_matches(']');
        } else if let Some(name) = line.strip_prefix(".It Ic ") {
            have.push(format!("{inside}.{name}"));
        }
    }
    let want: Vec<String> = KEYS.iter().map(|k| k.path()).collect();
    assert_eq!(have, want);
    for key in KEYS {
        let entry = entry(
            settings,
            &format!(".Ss [{}]", key.section),
            &format!(".It Ic {}", key.name),
        );
        let value = format!(
            "The value is {};\nthe default is\n.Li {} .",
            key.kind.expects(),
            key.kind.default()
        );
        assert!(entry.contains(&value), "{}: {value}", key.path());
        let alone = key.scope == rch::config::keys::Scope::UserOnly;
        assert_eq!(
            entry.contains("A project cannot set it."),
            alone,
            "{}",
            key.path()
        );
    }
    let have = after(section(&page, "WORKERS"), ".It Ic ");
    let want: Vec<&str> = WORKER_KEYS.iter().map(|k| k.name).collect();
    assert_eq!(have, want);
    let have = after(section(&page, "ENVIRONMENT"), ".It Ev ");
    let want: Vec<&str> = VARS.iter().map(|v| v.name).collect();
    assert_eq!(have, want);
}

/// The text of one list item below a subsection.
fn entry<'a>(text: &'a str, subsection: &str, item: &str) -> &'a str {
    let text = text
        .split_once(&format!("{subsection}\n"))
        .expect(subsection)
        .1;
    let text = text.split_once(&format!("{item}\n")).expect(item).1;
    text.find("\n.It").map_or(text, |end| &text[..end])
}

/// A key that nothing reads must be said to have no effect.
#[test]
fn what_has_no_effect_yet_is_said_to_have_none() {
    let page = page("rch-config.5");
    let begin = page.find("BEGIN not yet").unwrap();
    let listed = &page[begin..page.find("END not yet").unwrap()];
    let code = sources();
    // As `config.root`, which says too little to be found here.
    assert!(code.contains("narrow: config.root"));
    for key in KEYS {
        let path = key.path();
        // A long name is telling enough without its section, which code may have taken apart.
        let alone = key.name.len() > 8 && code.contains(&format!(".{}", key.name));
        let used = alone || code.contains(&format!(".{path}")) || path == "transfer.root";
        let said = listed.contains(&format!(".Ic {path} "));
        assert!(
            used != said,
            "'{path}': {}",
            if used {
                "it has an effect, and the page says it has none"
            } else {
                "it has no effect, and the page does not say so"
            }
        );
    }
    for var in VARS
        .iter()
        .filter(|v| v.key.is_empty() && v.name.starts_with("RCH_"))
    {
        let used = code.contains(&format!("\"{}\"", var.name));
        let said = listed.contains(&format!(".Ev {} ", var.name));
        assert!(used != said, "{}: used {used}, listed {said}", var.name);
    }
}

/// All code that could act on a setting: everything but the tables and the commands that only show
/// or explain them.
fn sources() -> String {
    let mut text = String::new();
    let mut dirs = vec![root().join("src"), root().join("worker")];
    let showing = [
        "config.rs",
        "doctor.rs",
        "machine.rs",
        "table.rs",
        "workers.rs",
    ];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() && !path.ends_with("src/config") {
                dirs.push(path);
            } else if path.is_file() && !showing.iter().any(|s| path.ends_with(format!("cli/{s}")))
            {
                let lines = std::fs::read_to_string(&path).unwrap();
                // rustfmt may put `.section` and `.name` on lines of their own.
                let code = lines.lines().map(str::trim_start);
                text.extend(code.filter(|l| !l.starts_with("//")));
            }
        }
    }
    text
}

#[test]
fn the_example_of_the_protocol_decodes_to_what_the_page_says() {
    let page = page("rch-protocol.7");
    let begin = page.find("BEGIN dump").unwrap();
    let dump = &page[begin..page.find("END dump").unwrap()];
    let lines = dump.lines().filter(|l| l.starts_with("0000"));
    let bytes: Vec<u8> = lines
        .flat_map(|l| l[8..].split_whitespace())
        .map(|hex| u8::from_str_radix(hex, 16).unwrap())
        .collect();
    let mut messages = vec![];
    let used = wire::each_frame(&bytes, |frame| {
        messages.push((frame.body.len(), ToDaemon::decode(frame)?));
        Parsed::Ok(())
    });
    assert_eq!(used, Ok(bytes.len()));
    let hello = ToDaemon::Hello {
        protocol: wire::PROTOCOL,
        version: "0.1.0".into(),
    };
    assert_eq!(messages, [(11, hello), (8, ToDaemon::Ask(Ask::Status))]);
    let version = format!("this page describes version {}.", wire::PROTOCOL);
    assert!(page.contains(&version), "not: {version}");
}

/// One row of a message table: kind, name, shape.
type Row = (u8, String, String);

/// The tables of a section, in order.
fn tables(page: &str, title: &str) -> Vec<Vec<Row>> {
    let text = section(page, title);
    let mut tables = vec![];
    for block in text.split(".Bd -literal\n").skip(1) {
        let block = block.split("\n.Ed").next().unwrap();
        if block.starts_with('1') {
            tables.push(rows(block));
        }
    }
    tables
}

fn rows(block: &str) -> Vec<Row> {
    let mut rows: Vec<Row> = vec![];
    for line in block.lines() {
        if line.starts_with(' ') {
            let shape = &mut rows.last_mut().unwrap().2;
            shape.push(' ');
            shape.push_str(line.trim());
            continue;
        }
        let mut words = line.splitn(3, ' ');
        let kind = words.next().unwrap().parse().unwrap();
        let name = words.next().unwrap().to_string();
        rows.push((kind, name, words.next().unwrap_or("").trim().to_string()));
    }
    rows
}

/// Takes a body apart by a shape as the page writes it.
fn take(r: &mut Reader<'_>, shape: &str) -> Parsed<()> {
    for part in parts(shape) {
        if let Some(inner) = part.strip_prefix("list(") {
            let (inner, _) = inner.rsplit_once(')').unwrap();
            r.list(|r| take(r, inner))?;
        } else if let Some(inner) = part.strip_prefix("option(") {
            let (inner, _) = inner.rsplit_once(')').unwrap();
            r.option(|r| take(r, inner))?;
        } else {
            one(r, part.split(' ').next().unwrap())?;
        }
    }
    Ok(())
}

/// Splits at commas outside of parentheses.
fn parts(shape: &str) -> Vec<&str> {
    let (mut depth, mut start, mut out) = (0, 0, vec![]);
    for (i, c) in shape.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                out.push(shape[start..i].trim());
                start = i + 1;
            }
            _ => {}
        }
    }
    out.push(shape[start..].trim());
    out.retain(|p| !p.is_empty());
    out
}

fn one(r: &mut Reader<'_>, word: &str) -> Parsed<()> {
    match word {
        "u8" => r.u8().map(|_| ()),
        "u16" => r.u16().map(|_| ()),
        "u32" => r.u32().map(|_| ()),
        "u64" => r.u64().map(|_| ()),
        "i64" => r.i64().map(|_| ()),
        "flag" => r.flag().map(|_| ()),
        "bytes" => r.bytes().map(|_| ()),
        "str" => r.str().map(|_| ()),
        "id" => r.raw(16).map(|_| ()),
        "name" => take(r, "u8 root, bytes path"),
        "exit" => take(r, "u8 how, u8 which"),
        "rest" => {
            r.rest();
            Ok(())
        }
        "json" => serde_json::from_slice::<serde_json::Value>(r.rest())
            .map(|_| ())
            .map_err(|_| Malformed),
        "put" => take(r, "name, u32 mode, i64 mtime, flag steady, kind"),
        "kind" => match r.u8()? {
            0 => take(r, "u64 size"),
            1 => Ok(()),
            2 => take(r, "bytes target"),
            _ => Err(Malformed),
        },
        other => panic!("the page does not say what '{other}' is"),
    }
}

/// Every encoded message must fit its row, and every row must have been met.
fn check(table: &[Row], messages: &[(String, Vec<u8>)]) {
    let mut met = BTreeSet::new();
    for (name, bytes) in messages {
        let (Frame { kind, body }, _) = wire::split(bytes).unwrap().unwrap();
        let row = table.iter().find(|(k, _, _)| *k == kind);
        let (_, named, shape) =
            row.unwrap_or_else(|| panic!("{name} (kind {kind}) is not in the table"));
        assert_eq!(name, named, "kind {kind}");
        let mut r = Reader::new(body);
        let taken = take(&mut r, shape).and_then(|()| r.end());
        assert_eq!(taken, Ok(()), "{name} is not '{shape}'");
        met.insert(kind);
    }
    let kinds: BTreeSet<u8> = table.iter().map(|(k, _, _)| *k).collect();
    assert_eq!(met, kinds);
}

/// Encodes, and takes the variant's name from its debug form.
macro_rules! encoded {
    ($($message:expr),* $(,)?) => {
        [$({
            let message = $message;
            let mut out = vec![];
            message.encode(&mut out);
            let name = format!("{message:?}");
            (name.split(['(', ' ']).next().unwrap().to_string(), out)
        }),*]
    };
}

#[test]
fn client_and_daemon_speak_as_the_page_says() {
    let page = page("rch-protocol.7");
    let tables = tables(&page, "CLIENT AND DAEMON");
    let exec = Exec {
        argv: vec!["make".into(), "all".into()],
        cwd: "/w".into(),
        env: vec![("A".into(), "b".into())],
        own: vec!["A".into()],
        tty: (true, false),
        merged: true,
        require_remote: true,
    };
    let (protocol, version) = (1, String::from("0.1.0"));
    check(
        &tables[0],
        &encoded![
            ToDaemon::Hello {
                protocol,
                version: version.clone()
            },
            ToDaemon::Exec(Box::new(exec)),
            ToDaemon::Signal(2),
            ToDaemon::Ask(Ask::Logs { job: 17 }),
            ToDaemon::Hangup(1),
        ],
    );
    check(
        &tables[1],
        &encoded![
            FromDaemon::Hello { protocol, version },
            FromDaemon::Stdout(b"x".to_vec()),
            FromDaemon::Stderr(vec![]),
            FromDaemon::Exited(Exit::Signal(9)),
            FromDaemon::Local {
                reason: "r".into(),
                quiet: true
            },
            FromDaemon::Note("n".into()),
            FromDaemon::Remark("r".into()),
            FromDaemon::Progress(Phase::Scanning),
            FromDaemon::answer(&1),
            FromDaemon::End,
            FromDaemon::Error {
                text: "t".into(),
                hint: "h".into()
            },
            FromDaemon::RunHere {
                argv: vec!["a".into()],
                env: vec![("B".into(), "c".into())]
            },
        ],
    );
}

#[test]
fn every_question_of_the_page_is_one() {
    let page = page("rch-protocol.7");
    let text = section(&page, "CLIENT AND DAEMON");
    let block = text.split_once(".Ss Questions\n.Bd -literal\n").unwrap().1;
    let block = block.split("\n.Ed").next().unwrap();
    let mut named = BTreeSet::new();
    for line in block.lines() {
        let json = line.split("  ").next().unwrap();
        let ask: Ask = serde_json::from_str(json).unwrap_or_else(|e| panic!("{json}: {e}"));
        named.insert(
            format!("{ask:?}")
                .split([' ', '('])
                .next()
                .unwrap()
                .to_string(),
        );
    }
    let all = [
        "Benchmark",
        "Cancel",
        "Drain",
        "Logs",
        "Probe",
        "Reload",
        "Status",
        "Stop",
    ];
    assert!(all.iter().all(|a| named.contains(*a)), "{named:?}");
}

fn file(kind: Kind) -> Put {
    Put {
        name: name(),
        mode: 0o644,
        mtime: 1,
        steady: false,
        kind,
    }
}

fn name() -> Name {
    Name {
        root: 0,
        path: "a/b".into(),
    }
}

#[test]
fn daemon_and_worker_speak_as_the_page_says() {
    let page = page("rch-protocol.7");
    let tables = tables(&page, "DAEMON AND WORKER");
    let run = Run {
        argv: vec!["make".into()],
        cwd: "/w".into(),
        env: vec![("A".into(), "b".into())],
        merged: false,
        cargo_home: Some("/c".into()),
        cargo_config: Some(b"x".to_vec()),
        toolchain: Some("/r/toolchains/t".into()),
        needs: vec!["mold".into()],
        collect: Collect {
            changed: true,
            products: vec![Products {
                dir: "/w/t".into(),
                deep: true,
            }],
        },
        runner: vec!["R".into()],
        install: Some(Install {
            dir: "/w".into(),
            id: [3; 16],
            isolated: true,
            modules: vec!["/w/node_modules".into()],
        }),
    };
    let open = Open {
        key: LaneKey([1; 16]),
        project: "p".into(),
        roots: vec!["/w".into()],
        base: Some((3, ManifestId([2; 16]))),
        like: Some((LaneKey([3; 16]), 4)),
        keep: Keep {
            ephemeral: true,
            max_age_secs: 1,
            min_free_mib: 2,
        },
    };
    let (protocol, version, now) = (wire::PROTOCOL, String::from("0.1.0"), 5);
    check(
        &tables[0],
        &encoded![
            ToWorker::Hello {
                protocol,
                version: version.clone(),
                now,
                client: "c".into()
            },
            ToWorker::Open(open),
            ToWorker::Resync(Resync::Wipe),
            ToWorker::Put(file(Kind::File { size: 1 })),
            ToWorker::Put(file(Kind::Symlink { target: "t".into() })),
            ToWorker::Data(vec![1]),
            ToWorker::Delete(name()),
            ToWorker::Commit(ManifestId([3; 16])),
            ToWorker::Run(run),
            ToWorker::Signal(2),
            ToWorker::Fetch(vec![Want {
                name: name(),
                had: Some(1)
            }]),
            ToWorker::Close,
            ToWorker::Ping,
            ToWorker::Hangup(2),
            ToWorker::Clean("/w/target".into()),
            ToWorker::Crates(vec!["c".into()]),
        ],
    );
    let facts = Facts {
        tools: vec![("gcc".into(), "12".into())],
        ..Facts::default()
    };
    let produced = Produced {
        name: name(),
        size: 1,
        mtime: 2,
        mode: 0o755,
        changed: true,
    };
    check(
        &tables[1],
        &encoded![
            FromWorker::Ready {
                protocol,
                version,
                now,
                facts
            },
            FromWorker::Lane {
                number: 1,
                base: Base::New,
                roots: vec!["r".into()]
            },
            FromWorker::Committed,
            FromWorker::Started,
            FromWorker::Stdout(vec![1]),
            FromWorker::Stderr(vec![2]),
            FromWorker::Exited {
                exit: Exit::Code(1),
                usage: Usage::default(),
                wall_ms: 4
            },
            FromWorker::Produced {
                files: vec![produced],
                last: true
            },
            FromWorker::File(file(Kind::Dir)),
            FromWorker::Data(vec![3]),
            FromWorker::Fetched {
                missing: vec![name()]
            },
            FromWorker::Closed,
            FromWorker::Failed {
                fault: Fault::Source,
                text: "t".into()
            },
            FromWorker::Pong { now },
            FromWorker::Holds {
                files: vec![Held {
                    name: name(),
                    mode: 0o644,
                    mtime: now,
                    kind: Kind::File { size: 1 },
                    hash: 2
                }],
                last: true
            },
            FromWorker::Patch(vec![1]),
            FromWorker::Lacks(vec!["c".into()]),
            FromWorker::Program(Program {
                argv: vec!["a".into()],
                env: vec![Setting {
                    name: "n".into(),
                    value: "v".into(),
                    front: true,
                }],
                libraries: vec!["/w/l.so".into()],
            }),
            FromWorker::Present(Present {
                root: 0,
                dir: "a".into(),
                names: vec![("n".into(), true)],
            }),
            FromWorker::Lanes(vec![(LaneKey([1; 16]), 2)]),
        ],
    );
}

/// Every command line in the README and in the examples of rch(1) is one that rch would take.
#[test]
fn every_command_line_of_the_readme_parses() {
    use rch::cli::parse::{Given, parse};
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let mut seen = 0;
    let examples = page("rch.1");
    let examples = section(&examples, "EXAMPLES");
    for line in readme.lines().chain(examples.lines()) {
        let line = line.trim_start_matches(".Dl ").trim_start_matches("$ ");
        let Some(rest) = line.strip_prefix("rch ") else {
            continue;
        };
        let rest = rest.split(" #").next().unwrap().split(" >").next().unwrap();
        let args = words(rest);
        let parsed = parse(&args, &mut Given::default());
        assert!(parsed.is_ok(), "{line}: {}", parsed.err().unwrap());
        seen += 1;
    }
    assert!(seen >= 10, "only {seen} command lines were found");
}

/// A command line's words, of which some are in single quotes.
fn words(line: &str) -> Vec<std::ffi::OsString> {
    let parts = line.split('\'').enumerate();
    let split = |(at, part): (usize, &'_ str)| match at % 2 {
        0 => part.split_whitespace().map(Into::into).collect(),
        _ => vec![part.into()],
    };
    parts.flat_map(split).collect::<Vec<_>>()
}
