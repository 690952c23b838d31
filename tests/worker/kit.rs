//! A daemon's half of a session, for tests.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rch::bytes::Malformed;
use rch::ids::{LaneKey, ManifestId};
use rch::sys::process::Exit;
use rch::wire::worker::{
    Base, Collect, Facts, Fault, FromWorker, Held, Keep, Kind, Name, Open, Present, Produced, Put,
    Resync, Run, ToWorker, Want,
};
use rch::wire::{self, CHUNK, PREAMBLE, PROTOCOL};

/// Where projects of tests stand "at home".
pub const HOME: &str = "/nonexistent-home/alice/proj";

/// A worker's home directory; removed with the value unless the test fails.
pub struct Place(pub PathBuf);

impl Place {
    pub fn new(name: &str) -> Place {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let (pid, n) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(format!("rch-wkr-{name}-{pid}-{n}"));
        fs::create_dir_all(&dir).unwrap();
        Place(dir)
    }

    /// `rch-wkr` with this home, and this machine's own toolchains.
    pub fn command(&self) -> Command {
        let real = std::env::var_os("HOME").map_or_else(|| "/root".into(), PathBuf::from);
        let or = |var: &str, dir: &str| {
            std::env::var_os(var).map_or_else(|| real.join(dir), PathBuf::from)
        };
        let mut cmd = Command::new(env!("CARGO_BIN_EXE_rch-wkr"));
        cmd.env("HOME", &self.0)
            .env("CARGO_HOME", or("CARGO_HOME", ".cargo"))
            .env("RUSTUP_HOME", or("RUSTUP_HOME", ".rustup"))
            .env_remove("XDG_CACHE_HOME");
        // What cargo sets for a test must not reach the job's own cargo.
        for (key, _) in std::env::vars_os() {
            let name = key.to_string_lossy();
            if name.starts_with("CARGO_") && name != "CARGO_HOME" || name.starts_with("RUST_") {
                cmd.env_remove(&key);
            }
        }
        cmd
    }

    pub fn session(&self) -> Session {
        Session::start(self.command().arg("serve"))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

pub struct Session {
    pub child: Child,
    pub to: Option<ChildStdin>,
    pub from: ChildStdout,
    buf: Vec<u8>,
    queue: std::collections::VecDeque<FromWorker>,
    /// What was said of lanes last, and how many times.
    pub lanes: Vec<(LaneKey, u16)>,
    pub told: usize,
    pub facts: Facts,
}

/// What `Fetch` brought.
pub type Fetched = BTreeMap<PathBuf, (Put, Vec<u8>)>;

/// What a job gave.
#[derive(Debug, Default)]
pub struct Outcome {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub exit: Option<Exit>,
    pub produced: Vec<Produced>,
    pub present: Vec<Present>,
    pub failed: Option<(Fault, String)>,
}

impl Outcome {
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into()
    }

    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into()
    }

    /// Panics with everything the job said unless it succeeded.
    pub fn ok(self) -> Outcome {
        assert_eq!(
            (self.exit, &self.failed),
            (Some(Exit::Code(0)), &None),
            "stdout: {}\nstderr: {}",
            self.out(),
            self.err()
        );
        self
    }

    pub fn paths(&self, changed: bool) -> Vec<String> {
        let mut paths: Vec<String> = self
            .produced
            .iter()
            .filter(|p| p.changed == changed)
            .map(|p| p.name.path.display().to_string())
            .collect();
        paths.sort();
        paths
    }
}

impl Session {
    /// Starts and greets.
    pub fn start(cmd: &mut Command) -> Session {
        let mut session = Session::raw(cmd);
        session.send(&ToWorker::Hello {
            protocol: PROTOCOL,
            version: wire::VERSION.into(),
            now: rch::time::now(),
            client: "test".into(),
        });
        session.preamble();
        match session.next() {
            FromWorker::Ready { facts, .. } => session.facts = facts,
            other => panic!("{other:?}"),
        }
        session
    }

    pub fn raw(cmd: &mut Command) -> Session {
        let mut child = cmd
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Session {
            to: child.stdin.take(),
            from: child.stdout.take().unwrap(),
            child,
            buf: Vec::new(),
            queue: Default::default(),
            lanes: vec![],
            told: 0,
            facts: Facts::default(),
        }
    }

    pub fn preamble(&mut self) {
        let mut magic = [0; PREAMBLE.len()];
        self.from.read_exact(&mut magic).unwrap();
        assert_eq!(&magic, PREAMBLE);
    }

    pub fn send(&mut self, message: &ToWorker) {
        let mut out = Vec::new();
        message.encode(&mut out);
        // A session that has refused us may close first; what it said is still to be read.
        match self.to.as_mut().unwrap().write_all(&out) {
            Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => {}
            other => other.unwrap(),
        }
    }

    /// The next message, or `None` at the end. Of lanes a worker speaks unasked.
    pub fn maybe_next(&mut self) -> Option<FromWorker> {
        while let Some(message) = self.any_next() {
            let FromWorker::Lanes(lanes) = message else {
                return Some(message);
            };
            self.lanes = lanes;
            self.told += 1;
        }
        None
    }

    fn any_next(&mut self) -> Option<FromWorker> {
        while self.queue.is_empty() {
            let mut chunk = vec![0; 64 << 10];
            let n = self.from.read(&mut chunk).unwrap();
            if n == 0 {
                return None;
            }
            self.buf.extend_from_slice(&chunk[..n]);
            let queue = &mut self.queue;
            let used = wire::each_frame(&self.buf, |f| -> Result<(), Malformed> {
                queue.push_back(FromWorker::decode(f)?);
                Ok(())
            })
            .unwrap();
            self.buf.drain(..used);
        }
        self.queue.pop_front()
    }

    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> FromWorker {
        self.maybe_next().expect("the session ended")
    }

    pub fn open(&mut self, home: &str, base: Option<(u16, ManifestId)>) -> (u16, Base, PathBuf) {
        self.open_for(home, base, KEEP)
    }

    pub fn open_for(
        &mut self,
        home: &str,
        base: Option<(u16, ManifestId)>,
        keep: Keep,
    ) -> (u16, Base, PathBuf) {
        self.ask(home, base, keep);
        self.lane()
    }

    /// Asks for a lane and does not wait for it.
    pub fn ask(&mut self, home: &str, base: Option<(u16, ManifestId)>, keep: Keep) {
        self.send(&ToWorker::Open(Open {
            key: LaneKey([7; 16]),
            project: "proj/../x y".into(),
            roots: vec![home.into()],
            base,
            like: None,
            keep,
        }));
    }

    pub fn lane(&mut self) -> (u16, Base, PathBuf) {
        match self.next() {
            FromWorker::Lane {
                number,
                base,
                mut roots,
            } => (number, base, roots.remove(0)),
            other => panic!("{other:?}"),
        }
    }

    pub fn put(&mut self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) {
        self.put_at(path, content, 0o644, rch::time::now());
    }

    pub fn put_at(
        &mut self,
        path: impl AsRef<Path>,
        content: impl AsRef<[u8]>,
        mode: u32,
        mtime: i64,
    ) {
        let content = content.as_ref();
        self.send(&ToWorker::Put(Put {
            name: name(path),
            mode,
            mtime,
            steady: false,
            kind: Kind::File {
                size: content.len() as u64,
            },
        }));
        for chunk in content.chunks(CHUNK) {
            self.send(&ToWorker::Data(chunk.to_vec()));
        }
    }

    pub fn commit(&mut self, id: u8) {
        self.send(&ToWorker::Commit(ManifestId([id; 16])));
        assert_eq!(self.next(), FromWorker::Committed);
    }

    pub fn close(&mut self) {
        self.send(&ToWorker::Close);
        assert_eq!(self.next(), FromWorker::Closed);
    }

    pub fn run(&mut self, run: Run) -> Outcome {
        self.send(&ToWorker::Run(run));
        self.outcome()
    }

    /// Everything up to the job's last word.
    pub fn outcome(&mut self) -> Outcome {
        let mut got = Outcome::default();
        loop {
            match self.next() {
                FromWorker::Started => {}
                FromWorker::Stdout(b) => got.stdout.extend(b),
                FromWorker::Stderr(b) => got.stderr.extend(b),
                FromWorker::Exited { exit, .. } => got.exit = Some(exit),
                FromWorker::Produced { files, last } => {
                    got.produced.extend(files);
                    if last {
                        return got;
                    }
                }
                FromWorker::Present(present) => got.present.push(present),
                FromWorker::Failed { fault, text } => {
                    got.failed = Some((fault, text));
                    return got;
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// All that the lane says it holds.
    pub fn list(&mut self) -> Vec<Held> {
        self.send(&ToWorker::Resync(Resync::List));
        let mut all = vec![];
        loop {
            match self.next() {
                FromWorker::Holds { files, last } => {
                    all.extend(files);
                    if last {
                        return all;
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// Fetched files by path, and the missing ones.
    pub fn fetch(&mut self, names: &[Name]) -> (Fetched, Vec<Name>) {
        let want = |name: &Name| Want {
            name: name.clone(),
            had: None,
        };
        self.send(&ToWorker::Fetch(names.iter().map(want).collect()));
        let mut files = BTreeMap::new();
        let mut last = PathBuf::new();
        loop {
            match self.next() {
                FromWorker::File(put) => {
                    last = put.name.path.clone();
                    files.insert(last.clone(), (put, Vec::new()));
                }
                FromWorker::Data(d) => files.get_mut(&last).unwrap().1.extend(d),
                FromWorker::Fetched { missing } => return (files, missing),
                other => panic!("{other:?}"),
            }
        }
    }

    /// Whether it has started a process that has not been reaped.
    pub fn has_children(&self) -> bool {
        let pid = self.child.id();
        let list = format!("/proc/{pid}/task/{pid}/children");
        !fs::read_to_string(list).unwrap().is_empty()
    }

    /// Ends the session as a lost connection does, and waits for the program's end.
    pub fn hang_up(mut self) -> std::process::ExitStatus {
        self.to = None;
        while self.maybe_next().is_some() {}
        self.child.wait().unwrap()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.to = None;
        if self.child.try_wait().unwrap().is_none() {
            let _ = self.child.kill();
            let status = self.child.wait().unwrap();
            assert!(status.signal().is_some() || status.code().is_some());
        }
    }
}

/// What `[worker]` says by default.
pub const KEEP: Keep = Keep {
    ephemeral: false,
    max_age_secs: 72 * 3600,
    min_free_mib: 10 << 10,
};

pub fn name(path: impl AsRef<Path>) -> Name {
    Name {
        root: 0,
        path: path.as_ref().into(),
    }
}

pub fn job(argv: &[&str]) -> Run {
    Run {
        argv: argv.iter().map(Into::into).collect(),
        cwd: HOME.into(),
        env: Vec::new(),
        merged: false,
        cargo_home: None,
        toolchain: None,
        cargo_config: None,
        needs: vec![],
        collect: Collect {
            changed: true,
            products: Vec::new(),
        },
        runner: Vec::new(),
        install: None,
    }
}

/// Whether a process runs that has `word` as one of its arguments.
pub fn runs(word: &str) -> bool {
    fs::read_dir("/proc").unwrap().flatten().any(|e| {
        let line = fs::read(e.path().join("cmdline")).unwrap_or_default();
        line.split(|b| *b == 0).any(|arg| arg == word.as_bytes())
    })
}

/// Resident memory of a process, in KiB.
pub fn rss_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    let kib = line.unwrap().trim().trim_end_matches(" kB");
    kib.parse().unwrap()
}

/// Whether a process and all below it sleep, one called `name` among them: what would go on is not
/// asleep, however long it waits for a processor.
pub fn rests(pid: u32, name: &str) -> bool {
    let all: Vec<Stat> = fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|e| stat(&e.path()))
        .collect();
    let mut tree: Vec<&Stat> = all.iter().filter(|s| s.pid == pid).collect();
    let mut at = 0;
    while at < tree.len() {
        let parent = tree[at].pid;
        tree.extend(all.iter().filter(|s| s.parent == parent));
        at += 1;
    }
    tree.iter().all(|s| s.state == "S") && tree.iter().any(|s| s.name == name)
}

struct Stat {
    pid: u32,
    name: String,
    state: String,
    parent: u32,
}

/// What proc(5) says of a process: `PID (NAME) STATE PARENT …`.
fn stat(dir: &Path) -> Option<Stat> {
    let text = fs::read_to_string(dir.join("stat")).ok()?;
    let (head, tail) = text.rsplit_once(") ")?;
    let (pid, name) = head.split_once(" (")?;
    let mut fields = tail.split(' ');
    Some(Stat {
        pid: pid.parse().ok()?,
        name: name.into(),
        state: fields.next()?.into(),
        parent: fields.next()?.parse().ok()?,
    })
}
