//! How long a worker that could not be reached is left alone.
//!
//! The pause doubles with each failure. A connection that came and went again at once is no sign of
//! health: only one that has stood for a while begins anew, or a worker that greets and dies would
//! be logged into for ever at the first pause.

use std::time::{Duration, Instant};

const FIRST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(300);
/// A connection that has stood so long has proved that the worker can be reached.
const PROVEN: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub struct Backoff {
    /// The last pause, if none has been proved needless since.
    pause: Option<Duration>,
    /// When it ends.
    until: Option<Instant>,
    /// Since when there is a connection.
    since: Option<Instant>,
}

impl Backoff {
    /// There is a connection, perhaps again.
    pub fn connected(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// There is none, or none can be made. When to try again.
    ///
    /// Connections that were in the making together fail together, and somebody may have asked for a
    /// try before its time: what fails within a pause does not make it longer.
    pub fn failed(&mut self, now: Instant) -> Instant {
        let stood = self.since.take().map(|at| now.duration_since(at));
        if let Some(until) = self.until.filter(|at| now < *at) {
            return until;
        }
        if stood.is_some_and(|stood| stood >= PROVEN) {
            self.pause = None;
        }
        let pause = self.pause.map_or(FIRST, |p| (p * 2).min(LONGEST));
        self.pause = Some(pause);
        *self.until.insert(now + pause)
    }

    /// Whatever failed was another thing: the next pause is the first.
    pub fn forget(&mut self) {
        *self = Backoff::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit_and_begin_anew_after_a_connection_that_stood() {
        let mut now = Instant::now();
        let mut b = Backoff::default();
        let pause = |b: &mut Backoff, now: &mut Instant| {
            let until = b.failed(*now);
            let pause = until.duration_since(*now).as_secs();
            *now = until;
            pause
        };
        let pauses: Vec<u64> = (0..9).map(|_| pause(&mut b, &mut now)).collect();
        assert_eq!(pauses, [2, 4, 8, 16, 32, 64, 128, 256, 300]);
        b.connected(now);
        now += PROVEN;
        // Another session of the same worker; what counts is since when it is reachable.
        b.connected(now);
        assert_eq!(b.failed(now), now + FIRST);
    }

    #[test]
    fn what_fails_together_counts_once() {
        let now = Instant::now();
        let mut b = Backoff::default();
        let until = b.failed(now);
        assert_eq!(b.failed(now), until);
        assert_eq!(b.failed(now + FIRST / 2), until);
        assert_eq!(b.failed(until), until + FIRST * 2);
        b.forget();
        assert_eq!(b.failed(now), now + FIRST);
    }

    /// It lets one in, and dies: each time the daemon began again with two seconds.
    #[test]
    fn a_worker_that_greets_and_dies_is_left_alone_for_longer_and_longer() {
        let mut now = Instant::now();
        let mut b = Backoff::default();
        let mut last = Duration::ZERO;
        for _ in 0..5 {
            b.connected(now);
            now += Duration::from_secs(1);
            let until = b.failed(now);
            let pause = until.duration_since(now);
            assert!(pause > last, "{pause:?} after {last:?}");
            (last, now) = (pause, until);
        }
    }
}
