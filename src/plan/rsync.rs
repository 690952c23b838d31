//! How rsync is called: outbound only, for a lane's first copy and for its repair.
//!
//! The names come from our own manifest, NUL-separated and each with `./` in front (rsync drops
//! names that begin with `#` or `;`, and says nothing); no pattern language is involved, so both
//! ways of sending agree on what goes. Deletions are not rsync's business. Times: a first copy
//! keeps ours; a repair compares contents and lets what it rewrites have the worker's own time.

use std::ffi::OsString;
use std::path::Path;

use crate::config::Worker;
use crate::plan::ssh;

/// Seconds without a byte after which rsync gives up (it takes up to twice as long).
const TIMEOUT: u64 = 30;

/// Sends the names on stdin from `root` to `lane` (a directory on the worker).
pub fn push(
    worker: &Worker,
    control: &Path,
    root: &Path,
    lane: &Path,
    repair: bool,
) -> Vec<OsString> {
    let mut args: Vec<OsString> = [
        "-rlpE",
        "--from0",
        "--files-from=-",
        "--no-implied-dirs",
        "--compress",
    ]
    .map(OsString::from)
    .into();
    args.push(format!("--timeout={TIMEOUT}").into());
    args.push(if repair { "--checksum" } else { "--times" }.into());
    // The list names directories too; their contents are listed for themselves.
    args.push("--no-recursive".into());
    args.push("--dirs".into());
    args.extend(["-e".into(), ssh::for_rsync(worker, control)]);
    args.push("--".into());
    args.push(root.join("").into());
    let mut target = OsString::from(&worker.host);
    target.push(":");
    target.push(lane.join(""));
    args.push(target);
    args
}
