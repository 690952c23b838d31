//! Typed names for the things that have one, so that a job's number is never taken for a session's.
//!
//! They are plain numbers and bytes inside, public because the wire formats write them.

use std::fmt;
use std::sync::Arc;

/// A job of this daemon's lifetime; printed as `j17`, which is what people type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(pub u64);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "j{}", self.0)
    }
}

impl JobId {
    /// Reads `j17` or `17`.
    pub fn parse(text: &str) -> Option<JobId> {
        text.strip_prefix('j')
            .unwrap_or(text)
            .parse()
            .ok()
            .map(JobId)
    }
}

/// A worker's `id` in workers.toml. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerId(pub Arc<str>);

impl WorkerId {
    pub fn new(id: &str) -> WorkerId {
        WorkerId(Arc::from(id))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One live `rch-wkr serve`, for the daemon's lifetime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

/// One connected client, for the daemon's lifetime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(pub u64);

/// Names one state of a lane's sources. Chosen at random by the daemon at each commit and kept by
/// the worker beside the lane, so that equality means "nobody else has written there since".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ManifestId(pub [u8; 16]);

/// Names a project's lanes on a worker: a digest of the client's id and the project's directory, and one
/// of its other roots, eight bytes each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LaneKey(pub [u8; 16]);

/// What the lanes of one project have in common, whatever its other roots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Family([u8; 8]);

impl LaneKey {
    /// Reads what `Display` writes.
    pub fn parse(text: &str) -> Option<LaneKey> {
        let digits = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let number = u128::from_str_radix(text, 16).ok().filter(|_| digits);
        number.map(|n| LaneKey(n.to_be_bytes()))
    }

    pub fn family(self) -> Family {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        Family([a, b, c, d, e, f, g, h])
    }
}

impl fmt::Display for ManifestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(f, &self.0)
    }
}

impl fmt::Display for LaneKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(f, &self.0)
    }
}

fn hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|b| write!(f, "{b:02x}"))
}
