//! A shell at a terminal, made by script(1): what it reads on its stdin is typed there.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

pub struct Terminal {
    script: Child,
    pieces: Receiver<Vec<u8>>,
    /// Shown, and not yet asked about.
    seen: Vec<u8>,
}

impl Terminal {
    /// Runs `line` there, with the environment and the directory of `like`.
    pub fn start(like: &Command, line: &str) -> Terminal {
        let mut cmd = Command::new("script");
        cmd.args(["-qec", line, "/dev/null"])
            .env_clear()
            .current_dir(like.get_current_dir().unwrap());
        for (name, value) in like.get_envs() {
            cmd.env(name, value.unwrap_or_default());
        }
        let mut script = cmd
            .env("TERM", "xterm")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script(1) of util-linux is installed");
        let mut out = script.stdout.take().unwrap();
        let (tell, pieces) = channel();
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(n @ 1..) = out.read(&mut piece) {
                if tell.send(piece[..n].to_vec()).is_err() {
                    return;
                }
            }
        });
        Terminal {
            script,
            pieces,
            seen: vec![],
        }
    }

    pub fn keys(&mut self, keys: &str) {
        let stdin = self.script.stdin.as_mut().unwrap();
        stdin.write_all(keys.as_bytes()).unwrap();
    }

    /// What has been shown since the last call, up to the nth `mark`.
    pub fn until(&mut self, mark: &str, nth: usize) -> String {
        loop {
            let shown = String::from_utf8_lossy(&self.seen);
            if let Some((at, _)) = shown.match_indices(mark).nth(nth - 1) {
                let upto = shown[..at + mark.len()].to_string();
                let rest = shown[at + mark.len()..].as_bytes().to_vec();
                self.seen = rest;
                return upto;
            }
            // A bound for a machine that does much else, not a measure.
            match self.pieces.recv_timeout(Duration::from_secs(60)) {
                Ok(piece) => self.seen.extend(piece),
                Err(_) => panic!("no {mark:?} in {shown:?}"),
            }
        }
    }
}

impl Drop for Terminal {
    /// Without its terminal the shell ends, and all that runs in it.
    fn drop(&mut self) {
        let _ = self.script.kill();
        let _ = self.script.wait();
    }
}
