//! Files that would give something away: keys, passwords, tokens.
//!
//! A name is enough where it says so by itself. `id_*`, `.npmrc` and `.git/config` are looked into,
//! because a source called `id_map.rs` or a harmless registry setting must not be lost: what begins
//! like a private key is one, whatever its name goes on with.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// How much of a doubtful file is read.
const HEAD: u64 = 64 << 10;

/// Names that ssh-keygen(1) gives to private keys.
const SSH_KEYS: [&str; 7] = [
    "id_rsa",
    "id_dsa",
    "id_ecdsa",
    "id_ecdsa_sk",
    "id_ed25519",
    "id_ed25519_sk",
    "id_xmss",
];

/// Whether the file at `path` (beneath its root), to be read at `full`, must stay here.
pub fn is_secret(path: &Path, full: &dyn Fn() -> PathBuf) -> bool {
    let name = last(path);
    // Nearly every file of a tree passes here.
    may_be(name) && (is_secret_name(path) || is_secret_text(name, path, &full()))
}

fn last(path: &Path) -> &[u8] {
    let whole = path.as_os_str().as_encoded_bytes();
    &whole[memchr::memrchr(b'/', whole).map_or(0, |at| at + 1)..]
}

/// False for names that no rule below is about.
fn may_be(name: &[u8]) -> bool {
    matches!(name.first(), Some(b'.' | b'_' | b'c' | b'i')) || has_secret_ending(name)
}

/// Keys as OpenSSL, browsers and Java keep them.
fn has_secret_ending(name: &[u8]) -> bool {
    let endings: [&[u8]; 4] = [b".pem", b".key", b".p12", b".pfx"];
    endings.iter().any(|ending| name.ends_with(ending))
}

/// Whether the name alone says so.
pub fn is_secret_name(path: &Path) -> bool {
    let name = last(path);
    let is_in = |dir: &str| {
        let parent = path.parent().and_then(Path::file_name);
        parent.is_some_and(|name| name == dir)
    };
    match name {
        b".env.example" => false,
        b".env" | b".netrc" | b"_netrc" | b".git-credentials" | b".pgpass" => true,
        b"credentials" => is_in(".cargo") || is_in(".aws"),
        b"credentials.toml" => is_in(".cargo"),
        _ => {
            name.starts_with(b".env.")
                || has_secret_ending(name)
                || SSH_KEYS.iter().any(|key| key.as_bytes() == name)
        }
    }
}

fn is_secret_text(name: &[u8], path: &Path, full: &Path) -> bool {
    let has = |words: &[&[u8]]| {
        let text = head(full, HEAD);
        words
            .iter()
            .any(|w| memchr::memmem::find(&text, w).is_some())
    };
    match name {
        b".npmrc" => has(&[b"_authToken", b"_auth", b"_password"]),
        b"config" if path.iter().any(|part| part == ".git") => {
            has(&[b"extraheader", b"extraHeader", b"password"]) || has_login(&head(full, HEAD))
        }
        _ => name.starts_with(b"id_") && is_private_key(&head(full, 4096)),
    }
}

fn is_private_key(text: &[u8]) -> bool {
    text.starts_with(b"-----BEGIN ") && memchr::memmem::find(text, b"PRIVATE KEY").is_some()
}

/// Whether a URL in `text` carries a password or token (`https://user:word@host`, `https://word@host`).
/// `ssh://git@host` names a user and nothing secret.
fn has_login(text: &[u8]) -> bool {
    memchr::memmem::find_iter(text, b"://").any(|at| {
        let rest = &text[at + 3..];
        let end = rest
            .iter()
            .position(|b| b" \t\r\n/\"".contains(b))
            .unwrap_or(rest.len());
        let login = memchr::memrchr(b'@', &rest[..end]).map(|i| &rest[..i]);
        login.is_some_and(|l| {
            l.contains(&b':') || text[..at].ends_with(b"http") || text[..at].ends_with(b"https")
        })
    })
}

/// The first bytes of a file; none if it cannot be read (the feed will say so). A pipe that took
/// the file's place is not waited for.
pub(super) fn head(path: &Path, limit: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    if std::fs::metadata(path).is_ok_and(|m| m.is_file())
        && let Ok(file) = File::open(path)
    {
        let _ = file.take(limit).read_to_end(&mut bytes);
    }
    bytes
}
