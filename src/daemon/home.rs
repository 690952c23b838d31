//! What lanes brought home, so that it is not brought again; of those used last. Pure.
//!
//! Of the others it stands on the disk (`lanebook::memory`), and the next job there reads it.

use std::collections::HashMap;
use std::sync::Arc;

use crate::ids::{LaneKey, WorkerId};
use crate::products::Memory;

/// Of how many lanes it is held: more than have jobs at once, each a few kilobytes as a rule.
const LANES: usize = 256;

/// A lane of a worker.
pub(super) type Place = (WorkerId, LaneKey, u16);

#[derive(Debug, Default)]
pub(super) struct Home {
    /// Each with when it was used, as `uses` counts.
    lanes: HashMap<Place, (u64, Arc<Memory>)>,
    uses: u64,
}

impl Home {
    /// Whether it need not be read from the disk.
    pub(super) fn holds(&self, place: &Place) -> bool {
        self.lanes.contains_key(place)
    }

    pub(super) fn get(&mut self, place: &Place) -> Option<&Arc<Memory>> {
        self.uses += 1;
        let (used, memory) = self.lanes.get_mut(place)?;
        *used = self.uses;
        Some(memory)
    }

    pub(super) fn set(&mut self, place: Place, memory: Arc<Memory>) {
        self.uses += 1;
        self.lanes.insert(place, (self.uses, memory));
        if self.lanes.len() > LANES {
            let oldest = self.lanes.iter().min_by_key(|(_, (used, _))| *used);
            let oldest = oldest.map(|(place, _)| place.clone());
            oldest.and_then(|place| self.lanes.remove(&place));
        }
    }

    pub(super) fn remove(&mut self, place: &Place) {
        self.lanes.remove(place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The daemon held what had come home from every lane that it had ever used.
    #[test]
    fn of_many_lanes_those_used_last_are_held() {
        let worker = WorkerId::new("css");
        let place = |number: usize| (worker.clone(), LaneKey([1; 16]), number as u16);
        let mut home = Home::default();
        for number in 0..LANES + 100 {
            home.set(place(number), Arc::default());
            assert!(home.get(&place(0)).is_some(), "used all the time");
        }
        assert_eq!(home.lanes.len(), LANES);
        assert!(!home.holds(&place(1)) && home.holds(&place(LANES + 99)));
        home.remove(&place(0));
        assert!(home.get(&place(0)).is_none());
    }
}
