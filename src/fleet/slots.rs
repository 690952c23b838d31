//! Slots: what a worker has of them, and who holds which.
//!
//! Used and total are the two halves of one atomic number, so that a reservation and a change of the
//! total cannot pass each other by: what is granted fitted at that moment. A lease is the only way
//! to give slots back; it cannot be copied or made elsewhere, and dropping it is the only thing to
//! remember. The tests run every interleaving of the atomic operations (loom).

use std::sync::Arc;

#[cfg(test)]
use loom::sync::atomic::{AtomicU64, Ordering};
#[cfg(not(test))]
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug)]
pub struct Slots(AtomicU64);

/// The number, taken apart.
#[derive(Debug, Clone, Copy)]
struct Count {
    used: u32,
    total: u32,
}

impl Count {
    fn of(word: u64) -> Count {
        Count {
            used: word as u32,
            total: (word >> 32) as u32,
        }
    }

    fn word(self) -> u64 {
        u64::from(self.total) << 32 | u64::from(self.used)
    }
}

impl Slots {
    pub fn new(total: u32) -> Arc<Slots> {
        Arc::new(Slots(AtomicU64::new(Count { used: 0, total }.word())))
    }

    fn count(&self) -> Count {
        Count::of(self.0.load(Ordering::Acquire))
    }

    /// Replaces the number by what `next` makes of it, if it makes something; true if it did.
    fn update(&self, next: impl Fn(Count) -> Option<Count>) -> bool {
        let next = |word| next(Count::of(word)).map(Count::word);
        let done = self
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
        done.is_ok()
    }

    pub fn total(&self) -> u32 {
        self.count().total
    }

    /// A smaller total does not take slots from anybody; it is reached as leases end.
    pub fn set_total(&self, total: u32) {
        self.update(|c| Some(Count { total, ..c }));
    }

    pub fn used(&self) -> u32 {
        self.count().used
    }

    pub fn free(&self) -> u32 {
        let count = self.count();
        count.total.saturating_sub(count.used)
    }

    /// Takes `n` slots, or none.
    #[must_use]
    pub fn reserve(self: &Arc<Slots>, n: u32) -> Option<Lease> {
        let fits = |c: Count| {
            let used = c.used.checked_add(n).filter(|&sum| sum <= c.total)?;
            Some(Count { used, ..c })
        };
        self.update(fits).then(|| Lease {
            slots: self.clone(),
            n,
        })
    }
}

/// Slots held; dropping it gives them back.
#[derive(Debug)]
#[must_use]
pub struct Lease {
    slots: Arc<Slots>,
    n: u32,
}

impl Lease {
    pub fn slots(&self) -> u32 {
        self.n
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let n = self.n;
        self.slots.update(|c| {
            let used = c.used.checked_sub(n).expect("BUG: slots given back twice");
            Some(Count { used, ..c })
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use loom::thread;
    use std::sync::atomic::AtomicU32;

    #[test]
    fn leases_give_back_what_they_took() {
        loom::model(|| {
            let slots = Slots::new(4);
            let a = slots.reserve(3).unwrap();
            assert!(slots.reserve(2).is_none());
            assert!(slots.reserve(u32::MAX).is_none());
            let b = slots.reserve(1).unwrap();
            assert_eq!((slots.free(), a.slots()), (0, 3));
            slots.set_total(2);
            assert_eq!((slots.free(), slots.used()), (0, 4), "nobody loses any");
            drop(a);
            assert_eq!(slots.free(), 1);
            drop(b);
            assert_eq!((slots.free(), slots.used(), slots.total()), (2, 0, 2));
        });
    }

    /// Whoever holds slots counts them up beside; more than there are is more than one may hold. The
    /// count is the test's own, and no operation that could be interleaved.
    #[test]
    fn no_interleaving_grants_more_than_there_is_or_loses_one() {
        loom::model(|| {
            let slots = Slots::new(3);
            let held = Arc::new(AtomicU32::new(0));
            let taker = |n: u32| {
                let (slots, held) = (slots.clone(), held.clone());
                move || {
                    let lease = slots.reserve(n)?;
                    let sum = held.fetch_add(n, Ordering::AcqRel) + n;
                    assert!(sum <= 3, "{sum} of 3 are held");
                    assert!(slots.used() >= n, "what is held is used");
                    held.fetch_sub(n, Ordering::AcqRel);
                    drop(lease);
                    Some(())
                }
            };
            let other = thread::spawn(taker(2));
            let granted = [taker(2)(), other.join().unwrap()];
            assert!(granted.contains(&Some(())), "one of them is first");
            assert_eq!((slots.used(), slots.free()), (0, 3));
        });
    }

    /// Total and used were two atomics once: a reservation that had read the old total was granted
    /// after the new one was in force.
    #[test]
    fn no_interleaving_grants_by_a_total_that_has_gone() {
        loom::model(|| {
            let slots = Slots::new(2);
            let other = {
                let slots = slots.clone();
                thread::spawn(move || slots.reserve(2))
            };
            slots.set_total(1);
            let before = slots.used();
            let lease = other.join().unwrap();
            assert_eq!(lease.is_some(), before == 2, "granted after the fact");
            drop(lease);
            assert_eq!((slots.used(), slots.total()), (0, 1));
        });
    }

    /// A lease may end on any thread, while others are made and the total moves.
    #[test]
    fn no_interleaving_loses_a_release_or_a_total() {
        loom::model(|| {
            let slots = Slots::new(2);
            let lease = slots.reserve(2).unwrap();
            let gives = thread::spawn(move || drop(lease));
            slots.set_total(3);
            let third = slots.reserve(1).expect("it fits, given back or not");
            gives.join().unwrap();
            assert_eq!((slots.used(), slots.total()), (1, 3));
            drop(third);
            assert_eq!(slots.free(), 3);
        });
    }
}
