//! A worker: a real sshd on loopback that is, for all a client can tell, another machine.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rch::sys::process::Pid;
use rch::sys::signal::SIGKILL;

use super::{Dir, script, write};

/// Users of workers; each has one of its own, so that what it leaves running can be found.
static NEXT_UID: AtomicU32 = AtomicU32::new(0);

pub struct Sshd {
    pub id: String,
    pub port: u16,
    pub uid: u32,
    dir: Dir,
    child: Child,
}

/// What may differ from a worker in good order.
#[derive(Default)]
pub struct Oddities {
    /// Text of the user's `.bashrc`.
    pub bashrc: String,
    /// No rch-wkr is installed.
    pub bare: bool,
    /// Size limit of the home's filesystem, in MiB.
    pub home_mib: Option<u32>,
    /// Its processor can something that the one here cannot.
    pub other_cpu: bool,
    /// `Sshd::reboot` may be called. Its jobs share the process numbers of the machine: where something
    /// covers a part of /proc, the kernel shows nobody another one.
    pub reboots: bool,
    /// What its only toolchain is called; it is the one that is the default here.
    pub toolchain: Option<String>,
}

/// Mounts that make the machine: $1 the worker's folder, $2 rustup's home, $3 cargo's bin, $4 mount options of the home,
/// $5 its owner, $6 the tests' folder, $7 a toolchain's name and $8 where it is.
const MOUNTS: &str = r#"
set -e
mount --make-rprivate /
mount --bind "$1/etc/passwd" /etc/passwd
mount --bind "$1/etc/group" /etc/group
mount --bind "$1/etc/shadow" /etc/shadow
if [ -e "$1/cpuinfo" ]; then mount --bind "$1/cpuinfo" /proc/cpuinfo; fi
boot=/proc/sys/kernel/random/boot_id
if [ -e "$1/boot_id" ]; then mount --bind "$1/boot_id" $boot; fi
if [ -n "$4" ]; then
  mount -t tmpfs -o "$4" tmpfs "$1/home/builder/.cache"
  chown "$5" "$1/home/builder/.cache"
fi
mount --rbind "$1/home" /home
if [ -n "$7" ]; then
  mkdir -p "/home/builder/.rustup/toolchains/$7" /home/builder/.rustup/update-hashes
  mount --bind "$8" "/home/builder/.rustup/toolchains/$7"
  echo 'version = "12"' > /home/builder/.rustup/settings.toml
elif [ -d "$2" ]; then mount --bind "$2" /home/builder/.rustup; fi
if [ -d "$3" ]; then mount --bind "$3" /home/builder/.cargo/bin; fi
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/sshd
mount -t tmpfs -o mode=700 tmpfs /root
mount -t tmpfs -o mode=1777 tmpfs "$6"
[ "$6" = /tmp ] || mount -t tmpfs -o mode=1777 tmpfs /tmp
cd /
exec /usr/sbin/sshd -D -e -f /home/sshd/config
"#;

impl Sshd {
    /// Starts one and waits until it listens.
    pub fn start(id: &str, key: &Path) -> Sshd {
        Sshd::odd(id, key, &Oddities::default())
    }

    pub fn odd(id: &str, key: &Path, odd: &Oddities) -> Sshd {
        // Distinct between test programs that run side by side.
        let uid =
            20_000 + (std::process::id() % 20_000) * 100 + NEXT_UID.fetch_add(1, Ordering::Relaxed);
        let dir = Dir::new(&format!("worker-{id}"));
        let port = free_port();
        lay_out(dir.path(), uid, port, key, odd);
        let child = boot(dir.path(), uid, odd);
        Sshd {
            id: id.into(),
            port,
            uid,
            dir,
            child,
        }
    }

    /// The home folder of the worker's user, as seen from here.
    pub fn home(&self) -> PathBuf {
        self.dir.path().join("home/builder")
    }

    /// Puts a script in rch-wkr's place: `lines` set up what is odd, then the program itself is run by `run`,
    /// in which `$real` is its path.
    pub fn wrap(&self, lines: &str, run: &str) {
        let program = self.home().join(".local/bin/rch-wkr");
        std::fs::rename(&program, program.with_extension("real")).unwrap();
        let real = "/home/builder/.local/bin/rch-wkr.real";
        let text = format!("#!/bin/sh\nreal={real}\n{lines}\nexec {run} \"$@\"\n");
        script(&program, &text);
    }

    /// Every program of rch's there lives `skew` seconds away from here.
    pub fn shift(&self, skew: i64) {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clock/skew.c");
        run(Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(self.home().join("skew.so"))
            .arg(source));
        let lines = format!("export LD_PRELOAD=/home/builder/skew.so SKEW={skew}");
        self.wrap(&lines, "$real");
    }

    /// Its entry in workers.toml.
    pub fn entry(&self, key: &Path, slots: u32) -> String {
        format!(
            "[[workers]]\nid = \"{}\"\nhost = \"127.0.0.1\"\nuser = \"builder\"\nport = {}\nidentity_file = \"{}\"\ntotal_slots = {slots}\nssh_options = [\"StrictHostKeyChecking=no\", \"UserKnownHostsFile=/dev/null\", \"LogLevel=ERROR\", \"GlobalKnownHostsFile=/dev/null\"]\n\n",
            self.id,
            self.port,
            key.display()
        )
    }

    /// Processes of the worker's user: (pid, command line).
    pub fn processes(&self) -> Vec<(i32, String)> {
        let mut found = vec![];
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else {
                continue;
            };
            let status = std::fs::read_to_string(entry.path().join("status")).unwrap_or_default();
            let uid = status.lines().find_map(|l| {
                l.strip_prefix("Uid:")?
                    .split_whitespace()
                    .next()?
                    .parse()
                    .ok()
            });
            if uid == Some(self.uid) && !status.contains("State:\tZ") {
                let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
                found.push((pid, String::from_utf8_lossy(&line).replace('\0', " ")));
            }
        }
        found
    }

    /// Stops the whole machine, or lets it go on: only its kernel still takes bytes.
    pub fn freeze(&self, frozen: bool) {
        let mut tree = vec![self.child.id()];
        let mut at = 0;
        while at < tree.len() {
            let list = format!("/proc/{0}/task/{0}/children", tree[at]);
            let children = std::fs::read_to_string(list).unwrap_or_default();
            tree.extend(
                children
                    .split_whitespace()
                    .filter_map(|p| p.parse::<u32>().ok()),
            );
            at += 1;
        }
        let signal = if frozen { "-STOP" } else { "-CONT" };
        run(Command::new("kill")
            .arg(signal)
            .args(tree.iter().map(u32::to_string)));
    }

    /// No session or job runs any more, and the kernel is another boot's.
    pub fn reboot(&self) {
        let boot_id = self.dir.path().join("boot_id");
        let boot = std::fs::read_to_string(&boot_id).unwrap();
        // In place: it is this very file that is mounted.
        std::fs::write(&boot_id, format!("again-{boot}")).unwrap();
        // An sshd that finds its own children killed takes no more logins for a while.
        let mut running = self.processes();
        running.retain(|(_, line)| !line.contains("sshd"));
        for (pid, _) in &running {
            let _ = rch::sys::process::kill(Pid(*pid), SIGKILL);
        }
        super::wait_for("the end of the worker's processes", || {
            let left = self.processes();
            let ended = |old| !left.contains(old);
            running.iter().all(ended).then_some(())
        });
    }

    /// Processes that a job left behind: everything but sshd and an idle rch-wkr.
    pub fn leftovers(&self) -> Vec<(i32, String)> {
        let ours = |c: &str| c.contains("sshd") || c.contains("rch-wkr");
        self.processes()
            .into_iter()
            .filter(|(_, c)| !ours(c))
            .collect()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        // unshare's child is the first process of its namespace; with it goes everything.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn lay_out(dir: &Path, uid: u32, port: u16, key: &Path, odd: &Oddities) {
    let home = dir.join("home/builder");
    let user = format!("builder:x:{uid}:{uid}::/home/builder:/bin/bash\n");
    let append = |file: &str, line: &str| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        write(
            &dir.join(file.trim_start_matches('/')),
            &format!("{text}{line}"),
        );
    };
    append("/etc/passwd", &user);
    append("/etc/group", &format!("builder:x:{uid}:\n"));
    append("/etc/shadow", "builder:*:19000:0:99999:7:::\n");
    write(
        &dir.join("home/sshd/config"),
        &format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey /home/sshd/host\nAuthorizedKeysFile /home/sshd/keys\nPidFile none\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nStrictModes no\nMaxStartups 10:30:100\nMaxSessions 10\nSubsystem sftp internal-sftp\n"
        ),
    );
    run(Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(dir.join("home/sshd/host")));
    std::fs::copy(key.with_extension("pub"), dir.join("home/sshd/keys")).unwrap();
    for folder in [".rustup", ".cargo/bin", ".local/bin", ".cache"] {
        std::fs::create_dir_all(home.join(folder)).unwrap();
    }
    write(&home.join(".bashrc"), &odd.bashrc);
    if odd.other_cpu {
        let info = std::fs::read_to_string("/proc/cpuinfo").unwrap();
        let able = |name: &str, text: String| {
            text.replace(&format!("\n{name}\t"), &format!("\n{name}\t: strange "))
        };
        write(&dir.join("cpuinfo"), &able("Features", able("flags", info)));
    }
    if odd.reboots {
        write(&dir.join("boot_id"), "first\n");
    }
    if !odd.bare {
        std::fs::copy(super::bin("rch-wkr"), home.join(".local/bin/rch-wkr")).unwrap();
    }
    run(Command::new("chown")
        .args(["-R", &format!("{uid}:{uid}")])
        .arg(&home));
    for folder in [dir, &dir.join("home")] {
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let _ = symlink("/nowhere", home.join(".dangling"));
}

/// Where the toolchain is that is the default here.
fn sysroot() -> String {
    let mut rustc = Command::new("rustc");
    let asked = rustc.args(["--print", "sysroot"]).current_dir("/");
    let output = asked.env_remove("RUSTUP_TOOLCHAIN").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().into()
}

fn boot(dir: &Path, uid: u32, odd: &Oddities) -> Child {
    let rustup = home_of("RUSTUP_HOME", ".rustup");
    let cargo = home_of("CARGO_HOME", ".cargo").join("bin");
    let size = odd
        .home_mib
        .map_or(String::new(), |mib| format!("size={mib}m,mode=755"));
    let mut cmd = Command::new("unshare");
    cmd.args([
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "sh",
        "-c",
        MOUNTS,
        "sh",
    ])
    .args([dir, &rustup, &cargo])
    .args([size, format!("{uid}:{uid}")])
    .arg(std::env::temp_dir())
    .arg(odd.toolchain.as_deref().unwrap_or_default())
    .arg(sysroot())
    .env_clear()
    .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
    .process_group(0)
    .stdin(Stdio::null())
    .stdout(Stdio::null())
    .stderr(Stdio::piped());
    let mut child = cmd
        .spawn()
        .expect("unshare (util-linux) is needed to make a worker");
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut said = String::new();
    loop {
        let Some(Ok(line)) = lines.next() else {
            panic!("sshd did not start (is this root?):\n{said}")
        };
        said.push_str(&line);
        said.push('\n');
        if line.contains("Server listening") {
            break;
        }
    }
    // Somebody must go on reading what sshd says.
    let log = dir.join("sshd.log");
    std::thread::spawn(move || {
        let mut file = std::fs::File::create(log).unwrap();
        for line in lines.map_while(Result::ok) {
            let _ = writeln!(file, "{line}");
        }
    });
    child
}

pub fn home_of(var: &str, fallback: &str) -> PathBuf {
    std::env::var_os(var).map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap()).join(fallback),
        Into::into,
    )
}

fn run(cmd: &mut Command) {
    let status = cmd.status().unwrap_or_else(|e| panic!("{cmd:?}: {e}"));
    assert!(status.success(), "{cmd:?}: {status}");
}

/// A key pair to log in with; answers the private one's path.
pub fn key(dir: &Path) -> PathBuf {
    let key = dir.join("login");
    if !key.exists() {
        run(Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(&key));
    }
    key
}
