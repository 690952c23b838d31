//! workers.toml: which machines there are.
//!
//! The same table-driven reading as config.toml, and the checks that keep a worker's name from
//! becoming an ssh option or a shell word. A file with an error yields no fleet at all, because half
//! a fleet is a surprise; the daemon then keeps the one it had. What a worker's values
//! must not be stands in `objections`.

use std::path::{Path, PathBuf};

use toml_edit::{Item, Key as TomlKey, TableLike};

use super::file::{self, Places};
use super::objections;
use super::{Complaint, Each, Kind, Transport, Value, Worker};
use crate::ids::WorkerId;
use crate::nearest::nearest;

/// One key of a `[[workers]]` table.
pub struct WorkerKey {
    pub name: &'static str,
    pub kind: Kind,
    pub doc: &'static str,
}

const fn text(default: &'static str) -> Kind {
    Kind::Word {
        default,
        allowed: &[],
    }
}

const LIST: Kind = Kind::List {
    each: Each::Any,
    adds: false,
};

macro_rules! keys {
    ($($name:literal: $kind:expr, $doc:literal;)*) => {
        /// Every key of a worker, in the order of the manual.
        pub const WORKER_KEYS: &[WorkerKey] =
            &[$(WorkerKey { name: $name, kind: $kind, doc: $doc }),*];
    };
}

keys! {
    "id": text(""), "The worker's name here: letters, digits, '.', '_' and '-'; needed";
    "transport": Kind::Word { default: "ssh", allowed: &["ssh", "local", "command"] },
        "How it is reached: by ssh, as a process of this machine, or by the program in 'command'";
    "host": text(""), "Host name, address or alias of ssh_config(5); needed for ssh";
    "user": text(""), "Login name; without it ssh decides";
    "port": Kind::Int { default: 0, min: 1, max: 65_535 }, "Port of sshd; without it ssh decides";
    "identity_file": Kind::Path(""), "Private key; without it ssh decides";
    "ssh_options": LIST, "Options for ssh, each 'Name=value' as in ssh_config(5), or a flag such as '-4'";
    "command": LIST, "For the command transport: a program and arguments after which a command for the node may stand";
    "total_slots": Kind::Int { default: 0, min: 1, max: 4096 }, "How many slots it offers; without it as many as it has CPUs";
    "priority": Kind::Int { default: 100, min: 1, max: 10_000 }, "Its weight in the choice, in percent";
    "tags": LIST, "Words by which RCH_WORKERS can name several workers";
    "enabled": Kind::Bool(true), "Whether it is used at all";
}

/// What a file holds.
#[derive(Debug, Default)]
pub struct Fleet {
    pub workers: Vec<Worker>,
    /// With any of these, `workers` is not to be used.
    pub errors: Vec<Complaint>,
    /// Unknown keys: errors for `validate` alone.
    pub warnings: Vec<Complaint>,
}

/// `~/.config/rch/workers.toml`.
pub fn file() -> PathBuf {
    crate::paths::config_dir().join("workers.toml")
}

/// Reads a fleet; an absent file and one without workers are the fleet of this machine alone.
pub fn read(path: &Path) -> Fleet {
    let mut fleet = written(path);
    if fleet.errors.is_empty() && fleet.workers.is_empty() {
        fleet.workers.push(embedded());
    }
    fleet
}

/// Only what stands in the file.
pub fn written(path: &Path) -> Fleet {
    match file::text(path) {
        Ok(text) => parse(path, &text.unwrap_or_default()),
        Err(complaint) => Fleet {
            errors: vec![complaint],
            ..Fleet::default()
        },
    }
}

/// This machine, as a worker of its own: what there is without any other.
fn embedded() -> Worker {
    Worker {
        id: WorkerId::new("local"),
        transport: Transport::Local,
        host: String::new(),
        user: String::new(),
        port: 0,
        identity_file: None,
        total_slots: 0,
        priority: 100,
        tags: vec![],
        ssh_options: vec![],
        enabled: true,
    }
}

/// Reads the text of a workers.toml.
pub fn parse(path: &Path, text: &str) -> Fleet {
    let places = Places { path, text };
    let mut reading = Reading {
        places,
        fleet: Fleet::default(),
    };
    match places.parse() {
        Ok(document) => reading.root(document.as_table()),
        Err(complaint) => reading.fleet.errors.push(complaint),
    }
    reading.fleet.errors.sort_by_key(Complaint::place);
    reading.fleet
}

struct Reading<'a> {
    places: Places<'a>,
    fleet: Fleet,
}

/// A worker's values before they are put together, each with its place.
pub(super) struct Entry<'a> {
    table: &'a dyn TableLike,
    values: Vec<Value>,
}

impl Entry<'_> {
    #[expect(
        clippy::expect_used,
        clippy::indexing_slicing,
        reason = "a bug of ours; the hook reads no worker"
    )]
    fn value(&self, name: &str) -> &Value {
        let at = WORKER_KEYS.iter().position(|k| k.name == name);
        &self.values[at.expect("BUG: not a worker's key")]
    }

    pub(super) fn text(&self, name: &str) -> String {
        match self.value(name) {
            Value::Text(t) => t.clone(),
            _ => String::new(),
        }
    }

    pub(super) fn list(&self, name: &str) -> Vec<String> {
        match self.value(name) {
            Value::List(l) => l.clone(),
            _ => vec![],
        }
    }

    fn number<T: TryFrom<i64> + Default>(&self, name: &str) -> T {
        match self.value(name) {
            Value::Int(i) => T::try_from(*i).unwrap_or_default(),
            _ => T::default(),
        }
    }

    fn span(&self, name: &str) -> Option<std::ops::Range<usize>> {
        let item = self.table.get(name).and_then(Item::span);
        item.or_else(|| {
            self.table
                .iter()
                .next()
                .and_then(|(k, _)| self.table.key(k)?.span())
        })
    }
}

impl Reading<'_> {
    fn root(&mut self, table: &dyn TableLike) {
        for (name, item) in table.iter() {
            let span = table.key(name).and_then(TomlKey::span).or(item.span());
            if name != "workers" {
                let text = format!("unknown key '{name}'");
                let hint = Some("each worker is a table headed [[workers]]");
                let complaint = self.places.complain(span, &text, hint);
                self.fleet.warnings.push(complaint);
            } else if let Some(tables) = item.as_array_of_tables() {
                tables.iter().for_each(|t| self.worker(t));
            } else if let Some(tables) = inline_tables(item) {
                tables.into_iter().for_each(|t| self.worker(t));
            } else {
                let hint = Some("write [[workers]] above each worker");
                self.error(span, "'workers' is not a list of tables", hint);
            }
        }
    }

    fn error(&mut self, span: Option<std::ops::Range<usize>>, text: &str, hint: Option<&str>) {
        let complaint = self.places.complain(span, text, hint);
        self.fleet.errors.push(complaint);
    }

    fn worker(&mut self, table: &dyn TableLike) {
        self.unknown(table);
        let before = self.fleet.errors.len();
        let values = WORKER_KEYS.iter().map(|k| self.value(table, k)).collect();
        let entry = Entry { table, values };
        for (name, text, hint) in objections::of(&entry) {
            self.error(entry.span(name), &text, hint.as_deref());
        }
        let id = entry.text("id");
        if self.fleet.workers.iter().any(|w| w.id.as_str() == id) {
            let text = format!("worker '{id}' is there twice");
            self.error(
                entry.span("id"),
                &text,
                Some("give each worker an id of its own"),
            );
        }
        if self.fleet.errors.len() == before {
            self.fleet.workers.push(built(&entry));
        }
    }

    fn unknown(&mut self, table: &dyn TableLike) {
        for (name, item) in table.iter() {
            if WORKER_KEYS.iter().any(|k| k.name == name) {
                continue;
            }
            let near = nearest(name, WORKER_KEYS.iter().map(|k| k.name));
            let hint = match near {
                Some(near) => format!("did you mean '{near}'?"),
                None => "rch-config(5) lists the keys".into(),
            };
            let span = table.key(name).and_then(TomlKey::span).or(item.span());
            let text = format!("unknown key '{name}'");
            let complaint = self.places.complain(span, &text, Some(&hint));
            self.fleet.warnings.push(complaint);
        }
    }

    fn value(&mut self, table: &dyn TableLike, key: &WorkerKey) -> Value {
        let Some(item) = table.get(key.name) else {
            return key.kind.default();
        };
        key.kind.read(item).unwrap_or_else(|why| {
            let text = format!("bad value for '{}': {why}", key.name);
            let hint = (key.name == "total_slots")
                .then_some("leave it out to use as many as the worker has CPUs");
            self.error(item.span(), &text, hint);
            key.kind.default()
        })
    }
}

fn inline_tables(item: &Item) -> Option<Vec<&dyn TableLike>> {
    let array = item.as_array()?;
    let table = |v: &'_ toml_edit::Value| v.is_inline_table();
    if !array.iter().all(table) {
        return None;
    }
    let tables = array.iter().filter_map(toml_edit::Value::as_inline_table);
    Some(tables.map(|t| t as &dyn TableLike).collect())
}

fn built(entry: &Entry<'_>) -> Worker {
    let key = entry.text("identity_file");
    Worker {
        id: WorkerId::new(&entry.text("id")),
        transport: match entry.text("transport").as_str() {
            "local" => Transport::Local,
            "command" => Transport::Command(entry.list("command")),
            _ => Transport::Ssh,
        },
        host: entry.text("host"),
        user: entry.text("user"),
        port: entry.number("port"),
        identity_file: (!key.is_empty()).then(|| crate::paths::expand(&key)),
        total_slots: entry.number("total_slots"),
        priority: entry.number("priority"),
        tags: entry.list("tags"),
        ssh_options: entry.list("ssh_options"),
        enabled: entry.value("enabled") == &Value::Bool(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(text: &str) -> Vec<String> {
        let fleet = parse(Path::new("/w.toml"), text);
        fleet.errors.into_iter().map(|c| c.text).collect()
    }

    #[test]
    fn a_full_worker_is_read_whole() {
        let text = r#"
            [[workers]]
            id = "css"
            host = "css.example.org"
            user = "builder"
            port = 2222
            identity_file = "/k"
            total_slots = 32
            priority = 150
            tags = ["big"]
            ssh_options = ["ProxyJump=gate"]
            [[workers]]
            id = "pod"
            transport = "command"
            command = ["kubectl", "exec", "-i", "pod", "--"]
            enabled = false
        "#;
        let fleet = parse(Path::new("/w.toml"), text);
        assert!(
            fleet.errors.is_empty() && fleet.warnings.is_empty(),
            "{fleet:?}"
        );
        let (css, pod) = (&fleet.workers[0], &fleet.workers[1]);
        assert_eq!((css.port, css.total_slots, css.priority), (2222, 32, 150));
        assert_eq!(css.identity_file.as_deref(), Some(Path::new("/k")));
        assert!(matches!(&pod.transport, Transport::Command(c) if c.len() == 5));
        assert!(!pod.enabled && css.enabled);
        assert_eq!(pod.priority, 100);
    }

    #[test]
    fn nothing_that_ssh_or_a_shell_would_misread_is_accepted() {
        let ssh = |host: &str| format!("[[workers]]\nid = \"a\"\nhost = {host}\n");
        for (host, why) in [
            ("\"-oProxyCommand=x\"", "it begins with '-'"),
            ("\"a b\"", "it holds ' '"),
            ("\"a;b\"", "it holds ';'"),
            ("\"$(x)\"", "it holds '$'"),
            ("\"a\\nb\"", "it holds '\\n'"),
            ("\"a\\u001bb\"", "it holds '\\u{1b}'"),
        ] {
            let found = errors(&ssh(host));
            assert_eq!(found.len(), 1, "{host}");
            assert!(found[0].contains(why), "{found:?}");
            assert!(found[0].starts_with("/w.toml:3:8: bad host"), "{found:?}");
        }
        assert!(errors(&ssh("\"[fe80::1%eth0]\"")).is_empty());
        assert!(errors(&ssh("\"u@h\""))[0].contains("belongs in 'user'"));
    }

    #[test]
    fn a_fleet_with_a_mistake_names_it() {
        let cases = [
            ("[[workers]]\nid = \"a\"\n", "2:1: worker 'a' has no 'host'"),
            (
                "[[workers]]\nhost = \"h\"\n",
                "2:1: a worker without an 'id'",
            ),
            (
                "[[workers]]\nid = \"a\"\nhost = \"h\"\ntotal_slots = 0\n",
                "4:15: bad value for 'total_slots'",
            ),
            (
                "[[workers]]\nid = \"a\"\ntransport = \"rsh\"\n",
                "3:13: bad value for 'transport'",
            ),
            (
                "[[workers]]\nid = \"a\"\ntransport = \"command\"\n",
                "worker 'a' has no 'command'",
            ),
            (
                "[[workers]]\nid = \"a\"\nhost = \"h\"\nssh_options = [\"Jump\"]\n",
                "4:15: bad ssh option 'Jump'",
            ),
            ("workers = 3\n", "1:1: 'workers' is not a list of tables"),
            (
                "[[workers]]\nid = \"a\"\nhost = \"h\"\n[[workers]]\nid = \"a\"\nhost = \"i\"\n",
                "5:6: worker 'a' is there twice",
            ),
        ];
        for (text, part) in cases {
            let found = errors(text);
            assert!(found.iter().any(|e| e.contains(part)), "{text}: {found:?}");
        }
    }

    #[test]
    fn an_unknown_key_warns_and_the_fleet_stands() {
        let fleet = parse(
            Path::new("/w"),
            "[[workers]]\nid = \"a\"\nhost = \"h\"\nslots = 3\ntag = []\n",
        );
        assert_eq!(fleet.workers.len(), 1);
        assert!(fleet.errors.is_empty());
        assert_eq!(
            fleet.warnings[1].text,
            "/w:5:1: unknown key 'tag'\nhint: did you mean 'tags'?"
        );
    }

    #[test]
    fn without_a_worker_this_machine_is_the_fleet() {
        let at = crate::scratch::Scratch::new();
        for text in [None, Some(""), Some("# none yet\n"), Some("workers = []\n")] {
            let file = at.0.join("workers.toml");
            if let Some(text) = text {
                std::fs::write(&file, text).unwrap();
            }
            let fleet = read(&file);
            assert_eq!(fleet.workers[0].transport, Transport::Local, "{text:?}");
            assert!(written(&file).workers.is_empty());
        }
        let file = at.file("workers.toml", "[[workers]]\nid = \"a\"\n");
        assert!(read(&file).workers.is_empty(), "a mistake is no fleet");
    }
}
