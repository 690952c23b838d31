//! The command line that puts our `rch-wkr` on a worker, for a person to type.
//!
//! Exact enough to be pasted: with port, key and options of the worker. A program that runs cannot
//! be written over, so a newer one is put beside it and renamed.

use std::path::Path;

use super::ssh::REMOTE_PROGRAM;
use crate::config::{Transport, Worker};
use crate::shell::quoted;

/// Copies `program` to where sessions look for it. `again`: an older one is there.
pub fn line(worker: &Worker, program: &Path, again: bool) -> String {
    let program = quoted(&program.to_string_lossy());
    match &worker.transport {
        Transport::Local => "install rch, rchd and rch-wkr of one version into one folder".into(),
        Transport::Command(prefix) => {
            let prefix: Vec<String> = prefix.iter().map(|w| quoted(w)).collect();
            let there = format!(
                "mkdir -p ~/.local/bin && cat >~/{REMOTE_PROGRAM}.new && chmod 755 ~/{REMOTE_PROGRAM}.new && mv ~/{REMOTE_PROGRAM}.new ~/{REMOTE_PROGRAM}"
            );
            format!("{} sh -c '{there}' <{program}", prefix.join(" "))
        }
        Transport::Ssh => by_ssh(worker, &program, again),
    }
}

/// Runs `command`, which is relative to the home there.
pub fn there(worker: &Worker, command: &str) -> String {
    match &worker.transport {
        Transport::Local => format!("cd && {command}"),
        Transport::Command(prefix) => {
            let prefix: Vec<String> = prefix.iter().map(|w| quoted(w)).collect();
            format!("{} sh -c 'cd && {command}'", prefix.join(" "))
        }
        Transport::Ssh => format!(
            "ssh{} {} {command}",
            options(worker, "-p"),
            target(worker, false)
        ),
    }
}

fn by_ssh(worker: &Worker, program: &str, again: bool) -> String {
    let ssh = format!("ssh{} {}", options(worker, "-p"), target(worker, false));
    let scp = format!("scp{} {program}", options(worker, "-P"));
    let to = target(worker, true);
    if again {
        let new = format!("{REMOTE_PROGRAM}.new");
        return format!("{scp} {to}:{new} && {ssh} mv {new} {REMOTE_PROGRAM}");
    }
    format!("{ssh} mkdir -p .local/bin && {scp} {to}:{REMOTE_PROGRAM}")
}

/// ssh and scp name the port differently.
fn options(worker: &Worker, port: &str) -> String {
    let mut out = String::new();
    if worker.port != 0 {
        out.push_str(&format!(" {port} {}", worker.port));
    }
    if let Some(key) = &worker.identity_file {
        out.push_str(&format!(" -i {}", quoted(&key.to_string_lossy())));
    }
    for option in &worker.ssh_options {
        let words = option
            .split_once(' ')
            .filter(|(flag, _)| flag.starts_with('-'));
        out.push_str(&match words {
            Some((flag, value)) => format!(" {flag} {}", quoted(value.trim())),
            None if option.starts_with('-') => format!(" {}", quoted(option)),
            None => format!(" -o {}", quoted(option)),
        });
    }
    out
}

/// `USER@HOST`; scp wants an address with colons in brackets.
fn target(worker: &Worker, brackets: bool) -> String {
    let host = match worker.host.contains(':') && brackets {
        true => format!("[{}]", worker.host),
        false => worker.host.clone(),
    };
    match worker.user.as_str() {
        "" => host,
        user => format!("{user}@{host}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::WorkerId;

    fn worker(transport: Transport) -> Worker {
        Worker {
            id: WorkerId::new("css"),
            transport,
            host: "css.example".into(),
            user: "ci".into(),
            port: 2222,
            identity_file: Some("/k/my id".into()),
            total_slots: 8,
            priority: 100,
            tags: vec![],
            ssh_options: vec!["ProxyJump=gate".into()],
            enabled: true,
        }
    }

    #[test]
    fn the_line_can_be_pasted() {
        let program = Path::new("/home/ada/.local/bin/rch-wkr");
        let mut css = worker(Transport::Ssh);
        assert_eq!(
            line(&css, program, false),
            "ssh -p 2222 -i '/k/my id' -o 'ProxyJump=gate' ci@css.example mkdir -p .local/bin && \
             scp -P 2222 -i '/k/my id' -o 'ProxyJump=gate' /home/ada/.local/bin/rch-wkr \
             ci@css.example:.local/bin/rch-wkr"
        );
        css = Worker {
            host: "fe80::1".into(),
            user: String::new(),
            port: 0,
            identity_file: None,
            ssh_options: vec![],
            ..css
        };
        assert_eq!(
            line(&css, program, true),
            "scp /home/ada/.local/bin/rch-wkr [fe80::1]:.local/bin/rch-wkr.new && \
             ssh fe80::1 mv .local/bin/rch-wkr.new .local/bin/rch-wkr"
        );
        let prefix = ["docker", "exec", "-i", "box"].map(String::from).to_vec();
        let text = line(&worker(Transport::Command(prefix)), program, false);
        assert!(
            text.starts_with("docker exec -i box sh -c 'mkdir -p"),
            "{text}"
        );
        assert!(text.ends_with("' </home/ada/.local/bin/rch-wkr"), "{text}");
    }
}
