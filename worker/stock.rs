//! Which lanes there are, for daemons that remember more: they would choose this worker for what it has
//! no longer.
//!
//! It is said behind the first pong, which soon follows the greeting, and again when lanes have been
//! collected since, by whichever session. Nobody asks for it or waits for it.

use std::time::SystemTime;

use rch::ids::LaneKey;
use rch::wire::worker::{FromWorker, MAX_LANES};

use crate::state::State;
use crate::sweep;

#[derive(Debug, Default)]
pub struct Stock {
    /// As of which sweep it was said last; `None`: never.
    said: Option<Option<SystemTime>>,
}

impl Stock {
    /// What is to be said, if anything has changed.
    pub fn news(&mut self) -> Option<FromWorker> {
        let swept = sweep::last();
        if self.said.replace(swept) == Some(swept) {
            return None;
        }
        let lanes = lanes();
        (lanes.len() <= MAX_LANES).then_some(FromWorker::Lanes(lanes))
    }
}

/// Those that hold something, whatever it is: not what a power cut has left.
fn lanes() -> Vec<(LaneKey, u16)> {
    let all = sweep::lanes().into_iter();
    all.filter(|(_, lane)| !matches!(State::load(lane), Ok(None)))
        .filter_map(|(_, lane)| {
            let number = lane.file_name()?.to_str()?.parse().ok()?;
            let (_, key) = lane.parent()?.file_name()?.to_str()?.rsplit_once('-')?;
            Some((LaneKey::parse(key)?, number))
        })
        .collect()
}
