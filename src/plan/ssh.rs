//! How ssh is called: once as a master per up to eight sessions, then per session through it.
//!
//! The options come from ssh_config(5). A session must never make a connection of its own when its
//! master is gone (ssh does, silently, and meets MaxStartups): its ProxyCommand is `false`. The
//! liveness options stand on the master, where alone they work. What is run on the worker is named
//! by its path, because a login shell may print, and its PATH is bare.

use std::ffi::OsString;
use std::path::Path;

use crate::config::Worker;

/// Where `rch-wkr` lies on a worker, from the login directory.
pub const REMOTE_PROGRAM: &str = ".local/bin/rch-wkr";

/// sshd allows ten sessions on a connection (`MaxSessions`); one is left for rsync, one for luck.
pub const SESSIONS_PER_MASTER: usize = 8;

/// Longest path for a control socket: a socket address holds 107 bytes, and ssh appends 17.
pub const CONTROL_PATH_MAX: usize = 90;

/// What every call needs, whoever is called.
const ALWAYS: &[&str] = &[
    "-T",
    "-oBatchMode=yes",
    "-oConnectTimeout=5",
    "-oForwardAgent=no",
    "-oForwardX11=no",
    "-oClearAllForwardings=yes",
    "-oEscapeChar=none",
];

fn common(worker: &Worker, control: &Path) -> Vec<OsString> {
    let mut args: Vec<OsString> = ALWAYS.iter().map(OsString::from).collect();
    args.extend(["-S".into(), control.into()]);
    if worker.port != 0 {
        args.push(format!("-p{}", worker.port).into());
    }
    if !worker.user.is_empty() {
        args.push(format!("-l{}", worker.user).into());
    }
    if let Some(key) = &worker.identity_file {
        args.extend(["-oIdentitiesOnly=yes".into(), "-i".into(), key.into()]);
    }
    for option in &worker.ssh_options {
        args.extend(option_words(option));
    }
    args
}

/// `-o Name=value`, `-oName=value`, `Name=value` and `-4` are all understood.
fn option_words(option: &str) -> Vec<OsString> {
    match option.split_once(' ') {
        Some((flag, value)) if flag.starts_with('-') => vec![flag.into(), value.trim().into()],
        _ if option.starts_with('-') => vec![option.into()],
        _ => vec!["-o".into(), option.into()],
    }
}

/// The master: it opens the connection, says `ready` on stdout when others may use it, and stays.
pub fn master(worker: &Worker, control: &Path, alive_interval: u64) -> Vec<OsString> {
    let mut args = vec!["-M".into(), "-N".into()];
    args.extend([
        format!("-oServerAliveInterval={}", alive_interval.max(1)).into(),
        "-oServerAliveCountMax=3".into(),
        "-oControlPersist=no".into(),
        "-oPermitLocalCommand=yes".into(),
        "-oLocalCommand=echo ready".into(),
    ]);
    args.extend(common(worker, control));
    args.extend(["--".into(), worker.host.as_str().into()]);
    args
}

/// Options of a call through the master: never a connection of its own.
fn through(worker: &Worker, control: &Path) -> Vec<OsString> {
    let mut args: Vec<OsString> = [
        "-oControlMaster=no",
        "-oPermitLocalCommand=no",
        "-oProxyCommand=false",
        "-oLogLevel=ERROR",
    ]
    .map(OsString::from)
    .into();
    args.extend(common(worker, control));
    args
}

/// One session that serves jobs.
pub fn session(worker: &Worker, control: &Path) -> Vec<OsString> {
    let mut args = through(worker, control);
    args.extend([
        "--".into(),
        worker.host.as_str().into(),
        format!("exec {REMOTE_PROGRAM} serve").into(),
    ]);
    args
}

/// What rsync takes as its remote shell (`-e`): one string, split by rsync at blanks, with single
/// quotes understood.
pub fn for_rsync(worker: &Worker, control: &Path) -> OsString {
    let mut text = OsString::from("ssh");
    for arg in through(worker, control) {
        text.push(" '");
        // rsync knows no escape inside quotes but the doubled quote.
        text.push(arg.to_string_lossy().replace('\'', "''"));
        text.push("'");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Transport;
    use crate::ids::WorkerId;

    fn worker() -> Worker {
        Worker {
            id: WorkerId::new("css"),
            transport: Transport::Ssh,
            host: "css.example".into(),
            user: "ci".into(),
            port: 2222,
            identity_file: Some("/k/id".into()),
            total_slots: 8,
            priority: 100,
            tags: vec![],
            ssh_options: vec![
                "-o StrictHostKeyChecking=yes".into(),
                "Compression=no".into(),
                "-4".into(),
            ],
            enabled: true,
        }
    }

    fn line(args: &[OsString]) -> String {
        args.iter()
            .map(|a| a.to_string_lossy())
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn a_session_never_connects_by_itself() {
        let args = line(&session(&worker(), Path::new("/c")));
        assert!(
            args.contains("-oControlMaster=no") && args.contains("-oProxyCommand=false"),
            "{args}"
        );
        assert!(
            args.ends_with("-- css.example exec .local/bin/rch-wkr serve"),
            "{args}"
        );
    }

    #[test]
    fn the_master_carries_liveness_and_the_users_options() {
        let args = line(&master(&worker(), Path::new("/c"), 5));
        for part in [
            "-oServerAliveInterval=5",
            "-S /c -p2222 -lci",
            "-i /k/id",
            "-o StrictHostKeyChecking=yes -o Compression=no -4 -- css.example",
        ] {
            assert!(args.contains(part), "{part} in {args}");
        }
    }
}
