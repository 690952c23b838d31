//! Collecting lanes that nobody has used for long, or for whose space there is need.
//!
//! It happens after a job, when its lane has been given back and nobody waits. A lane is removed only
//! under its own lock, and moved away first, so that whoever opens its number meanwhile gets a new
//! one; what a crash leaves of the moved ones goes with the next sweep.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rch::sys::fs::free_bytes;
use rch::time::{self, Stamp};

use rch::wire::worker::Keep;

use crate::lane::{lanes_dir, last_use, take};

/// Of lanes removed for want of space, none that was in use so recently.
const MIN_AGE: Duration = Duration::from_hours(1);

/// Between two sweeps.
const PAUSE: Duration = Duration::from_mins(10);

/// What is being removed.
const TRASH: &str = ".trash";

/// Sweeps if one is due. Nothing that goes wrong here concerns a job.
pub fn sweep(keep: Keep) {
    if last().is_some_and(|t| t.elapsed().is_ok_and(|age| age < PAUSE)) {
        return;
    }
    // One at a time: a session that sweeps answers nobody meanwhile.
    let lock = fs::File::create(lanes_dir().join(".sweeping"));
    if !lock.as_ref().is_ok_and(|lock| lock.try_lock().is_ok()) {
        return;
    }
    let _ = fs::remove_dir_all(lanes_dir().join(TRASH));
    let now = time::now();
    for (used, lane) in lanes() {
        let short = free_bytes(&lane).is_ok_and(|free| free >> 20 < keep.min_free_mib);
        let max_age = Duration::from_secs(keep.max_age_secs);
        if is_due(now, used, max_age, short) {
            remove(&lane);
        }
    }
    // Only now: one that was cut short is done again.
    let _ = fs::write(mark(), "");
}

/// When a sweep came to its end last.
pub fn last() -> Option<SystemTime> {
    fs::metadata(mark()).and_then(|m| m.modified()).ok()
}

fn mark() -> PathBuf {
    lanes_dir().join(".swept")
}

fn is_due(now: Stamp, used: Stamp, max_age: Duration, short_of_space: bool) -> bool {
    let age = Duration::from_nanos(u64::try_from(now - used).unwrap_or(0));
    age > max_age || (short_of_space && age > MIN_AGE)
}

/// Every lane there is, the one longest unused first.
pub fn lanes() -> Vec<(Stamp, PathBuf)> {
    let below = |dir: &Path| fs::read_dir(dir).into_iter().flatten().flatten();
    let mut lanes: Vec<(Stamp, PathBuf)> = below(&lanes_dir())
        .filter(|project| !project.file_name().as_encoded_bytes().starts_with(b"."))
        .flat_map(|project| below(&project.path()))
        .map(|lane| (last_use(&lane.path()), lane.path()))
        .collect();
    lanes.sort_unstable();
    lanes
}

fn remove(lane: &Path) {
    let Ok(Some(_lock)) = take(lane) else {
        return;
    };
    let trash = lanes_dir().join(TRASH);
    let place = trash.join(format!("{}", time::now()));
    if fs::create_dir_all(&trash).is_ok() && fs::rename(lane, &place).is_ok() {
        let _ = fs::remove_dir_all(&place);
        // The project's folder, if this was its last lane.
        let _ = lane.parent().map(fs::remove_dir);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn age_and_need_decide() {
        let hour = 3_600_000_000_000;
        let max = Duration::from_hours(72);
        assert!(!is_due(100 * hour, 99 * hour, max, true));
        assert!(is_due(100 * hour, 98 * hour, max, true));
        assert!(!is_due(100 * hour, 98 * hour, max, false));
        assert!(is_due(100 * hour, 27 * hour, max, false));
        // A clock that was set back makes nothing old.
        assert!(!is_due(0, hour, max, true));
    }
}
