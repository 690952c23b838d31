//! Workers that cannot reach what cargo wants from the network.

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::compare::compare_with;
use common::home::{Home, shared_key};
use common::sshd::Sshd;
use common::{sample_crate, write};

fn run(program: &str, args: &[&str], dir: &Path) -> String {
    let out = Command::new(program)
        .args(args)
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(out.status.success(), "{program} {args:?}: {out:?}");
    String::from_utf8(out.stdout).unwrap()
}

/// A sparse registry with one crate, served until it is dropped.
struct Registry {
    port: u16,
    over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Registry {
    fn start(dir: &Path) -> Registry {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        publish(dir, port);
        let over = Arc::new(AtomicBool::new(false));
        let (stop, dir) = (over.clone(), dir.to_path_buf());
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                answer(stream.unwrap(), &dir);
            }
        });
        Registry {
            port,
            over,
            thread: Some(thread),
        }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

/// The files of the registry, as the Cargo book's "Registry Index" has them.
fn publish(dir: &Path, port: u16) {
    let name = "faraway-1.0.0";
    write(
        &dir.join(name).join("Cargo.toml"),
        "[package]\nname = \"faraway\"\nversion = \"1.0.0\"\nedition = \"2021\"\n",
    );
    write(
        &dir.join(name).join("src/lib.rs"),
        "pub fn f() -> &'static str { file!() }\n",
    );
    std::fs::create_dir_all(dir.join("dl/faraway/1.0.0")).unwrap();
    let krate = "dl/faraway/1.0.0/download";
    run("tar", &["czf", krate, name], dir);
    let sum = run("sha256sum", &[krate], dir);
    let sum = sum.split(' ').next().unwrap();
    write(
        &dir.join("fa/ra/faraway"),
        &format!(
            "{{\"name\":\"faraway\",\"vers\":\"1.0.0\",\"deps\":[],\"cksum\":\"{sum}\",\"features\":{{}},\"yanked\":false}}\n"
        ),
    );
    write(
        &dir.join("config.json"),
        &format!("{{\"dl\":\"http://127.0.0.1:{port}/dl\"}}"),
    );
}

fn answer(stream: TcpStream, dir: &Path) {
    let mut reader = BufReader::new(&stream);
    let mut first = String::new();
    let _ = reader.read_line(&mut first);
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|n| n > 2) {
        line.clear();
    }
    let path = first.split(' ').nth(1).unwrap_or("/");
    let found = std::fs::File::open(dir.join(&path[1..])).and_then(|mut f| {
        let mut body = vec![];
        f.read_to_end(&mut body).map(|_| body)
    });
    let (status, body) = match found {
        Ok(body) => ("200 OK", body),
        Err(_) => ("404 Not Found", vec![]),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let _ = (&stream).write_all(&[head.as_bytes(), &body].concat());
}

fn depends_on(dir: &Path, dependency: &str) {
    sample_crate(dir);
    write(
        &dir.join("Cargo.toml"),
        &format!(
            "[package]\nname = \"sample\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\n[dependencies]\n{dependency}\n\n[workspace]\n"
        ),
    );
    write(
        &dir.join("src/main.rs"),
        "fn main() { println!(\"{}\", faraway::f()) }\n",
    );
}

fn start(name: &str) -> (Sshd, Home) {
    let worker = Sshd::start("css", &shared_key());
    let home = Home::with(name, &[&worker], 4);
    (worker, home)
}

fn crates_of(worker: &Sshd) -> Vec<PathBuf> {
    let cache = worker.home().join(".cargo/registry/cache");
    let registries = std::fs::read_dir(cache).into_iter().flatten().flatten();
    let crates = registries.flat_map(|r| std::fs::read_dir(r.path()).unwrap().flatten());
    crates.map(|c| c.path()).collect()
}

fn binary(path: &Path) -> bool {
    let text = path.to_string_lossy();
    !text.starts_with("target/") || text == "target/debug/sample"
}

/// A crate of a private registry was downloaded here, and nobody can reach that registry now.
#[test]
fn a_worker_without_a_network_gets_its_crates_from_here() {
    let (worker, home) = start("offline");
    let registry = Registry::start(&home.path().join("registry"));
    let config = format!(
        "[registries.mine]\nindex = \"sparse+http://127.0.0.1:{}/\"\n",
        registry.port
    );
    let lay = |dir: &Path| {
        depends_on(dir, "faraway = { version = \"1\", registry = \"mine\" }");
        write(&dir.join(".cargo/config.toml"), &config);
    };
    lay(&home.project);
    let fetched = home.command("cargo").arg("fetch").output().unwrap();
    assert!(fetched.status.success(), "{fetched:?}");
    let lock = std::fs::read_to_string(home.project.join("Cargo.lock")).unwrap();
    drop(registry);
    let lay = |dir: &Path| {
        lay(dir);
        write(&dir.join("Cargo.lock"), &lock);
    };
    assert_eq!(crates_of(&worker).len(), 0);
    let done = compare_with(&home, &lay, &["cargo", "build"], &binary, &[]);
    assert_eq!(done.code, Some(0));
    assert_eq!(crates_of(&worker).len(), 1);
    let said = home.command("target/debug/sample").output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.contains("/alice/.cargo/registry/src/"), "{said}");
}

/// A git dependency that only this machine can reach: cargo fails there, and the agent gets a build.
#[test]
fn a_source_out_of_reach_there_means_local() {
    let (_worker, home) = start("git");
    let git = home.path().join("faraway.git");
    write(
        &git.join("Cargo.toml"),
        "[package]\nname = \"faraway\"\nversion = \"1.0.0\"\nedition = \"2021\"\n",
    );
    write(&git.join("src/lib.rs"), "pub fn f() -> u8 { 1 }\n");
    run("git", &["init", "-q"], &git);
    run("git", &["add", "."], &git);
    let who = ["-c", "user.name=a", "-c", "user.email=a@example.org"];
    run("git", &[&who[..], &["commit", "-qm", "1"]].concat(), &git);
    let dependency = format!("faraway = {{ git = \"file://{}\" }}", git.display());
    depends_on(&home.project, &dependency);
    let out = home
        .rch(&["exec", "--", "cargo", "build"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{}", home.story(&["cargo"], &out));
    let why = "rch: running locally: worker css: cargo cannot reach a registry there\n";
    assert_eq!(said.matches(why).count(), 1, "{said}");
    // Such an end is no fault of the worker, which stays in use.
    let status = home.status();
    assert_eq!(status.workers[0].failures, 0);
    assert!(home.project.join("target/debug/sample").exists());
}
