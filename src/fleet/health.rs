//! Whether a worker can be trusted with a job: the circuit breaker. Pure, given `now`.
//!
//! It has one truth per worker: three infrastructure failures in a row, or half of at least five
//! within a minute, open it; when its time is up one job may try; two successes close it. Compile
//! errors and failing tests never get here.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Failures in a row that open the circuit.
const IN_A_ROW: u32 = 3;
/// How far back outcomes count, and how many there must be for the share to mean something.
const WINDOW: Duration = Duration::from_secs(60);
const ENOUGH: usize = 5;
/// Failures so close together have one cause (a connection that carried eight jobs), and count once.
pub const ONE_CAUSE: Duration = Duration::from_secs(1);
/// First pause of an open circuit; each failed trial doubles it.
const PAUSE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_secs(480);
/// Successes that close a half-open circuit.
const PROOF: u32 = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Circuit {
    /// Jobs go there.
    Closed,
    /// None do until the given moment; the pause that led there.
    Open { until: Instant, pause: Duration },
    /// One job at a time may try; how many have succeeded, and the pause if one fails.
    HalfOpen { good: u32, pause: Duration },
}

#[derive(Debug)]
pub struct Health {
    circuit: Circuit,
    in_a_row: u32,
    failed_at: Option<Instant>,
    /// (when, whether it was a failure), within the window.
    recent: VecDeque<(Instant, bool)>,
    /// The last failure, for people.
    reason: String,
}

impl Default for Health {
    fn default() -> Health {
        Health {
            circuit: Circuit::Closed,
            in_a_row: 0,
            failed_at: None,
            recent: VecDeque::new(),
            reason: String::new(),
        }
    }
}

impl Health {
    /// The circuit as it stands at `now`.
    pub fn circuit(&mut self, now: Instant) -> Circuit {
        if let Circuit::Open { until, pause } = self.circuit
            && now >= until
        {
            self.circuit = Circuit::HalfOpen { good: 0, pause };
        }
        self.circuit
    }

    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Transport and worker did their part of a job.
    pub fn success(&mut self, now: Instant) {
        self.record(now, false);
        self.in_a_row = 0;
        if let Circuit::HalfOpen { good, pause } = self.circuit(now) {
            self.circuit = match good + 1 {
                PROOF => Circuit::Closed,
                good => Circuit::HalfOpen { good, pause },
            };
        }
        if self.circuit == Circuit::Closed {
            self.reason.clear();
        }
    }

    /// They did not. True if this has opened the circuit.
    pub fn failure(&mut self, now: Instant, reason: &str) -> bool {
        reason.clone_into(&mut self.reason);
        let same = |at: Instant| now.duration_since(at) < ONE_CAUSE;
        if self.failed_at.is_some_and(same) {
            return false;
        }
        self.failed_at = Some(now);
        self.record(now, true);
        self.in_a_row += 1;
        let pause = match self.circuit(now) {
            Circuit::Open { .. } => return false,
            Circuit::HalfOpen { pause, .. } => (pause * 2).min(LONGEST_PAUSE),
            Circuit::Closed if self.is_failing() => PAUSE,
            Circuit::Closed => return false,
        };
        self.circuit = Circuit::Open {
            until: now + pause,
            pause,
        };
        self.recent.clear();
        true
    }

    fn is_failing(&self) -> bool {
        let bad = self.recent.iter().filter(|(_, failed)| *failed).count();
        self.in_a_row >= IN_A_ROW || (self.recent.len() >= ENOUGH && bad * 2 >= self.recent.len())
    }

    fn record(&mut self, now: Instant, failed: bool) {
        self.recent.push_back((now, failed));
        while self
            .recent
            .front()
            .is_some_and(|(at, _)| now.duration_since(*at) > WINDOW)
        {
            self.recent.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_circuit_opens_tries_and_closes() {
        let t = Instant::now();
        let mut h = Health::default();
        assert!(!h.failure(t, "a"));
        assert!(!h.failure(t + ONE_CAUSE, "b"));
        let t = t + ONE_CAUSE * 2;
        assert!(h.failure(t, "c"));
        assert_eq!(
            h.circuit(t),
            Circuit::Open {
                until: t + PAUSE,
                pause: PAUSE
            }
        );
        assert_eq!(h.reason(), "c");
        let t = t + PAUSE;
        assert_eq!(
            h.circuit(t),
            Circuit::HalfOpen {
                good: 0,
                pause: PAUSE
            }
        );
        assert!(h.failure(t, "d"), "a failed trial opens it for longer");
        let t = t + PAUSE * 2;
        h.success(t);
        assert_eq!(
            h.circuit(t),
            Circuit::HalfOpen {
                good: 1,
                pause: PAUSE * 2
            }
        );
        h.success(t);
        assert_eq!((h.circuit(t), h.reason()), (Circuit::Closed, ""));
    }

    /// One connection broke, and took eight jobs with it: the worker is not written off.
    #[test]
    fn failures_of_one_cause_count_once() {
        let t = Instant::now();
        let mut h = Health::default();
        for _ in 0..8 {
            assert!(!h.failure(t, "the connection was closed"));
        }
        assert_eq!(h.circuit(t), Circuit::Closed);
    }

    #[test]
    fn half_of_five_within_a_minute_opens_it_but_not_over_an_hour() {
        let t = Instant::now();
        for (step, opens) in [
            (Duration::from_secs(1), true),
            (Duration::from_secs(600), false),
        ] {
            let mut h = Health::default();
            let outcomes = [true, false, true, false, true];
            let opened = outcomes.iter().enumerate().any(|(i, &bad)| {
                let now = t + step * i as u32;
                if bad {
                    return h.failure(now, "x");
                }
                h.success(now);
                false
            });
            assert_eq!(opened, opens);
        }
    }
}
