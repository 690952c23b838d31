//! What the daemon knows of a worker's fitness: slots, the circuit breaker, the pause between
//! connections. Pure: told what happened and when, asked what may be done.

mod backoff;
mod health;
mod slots;

pub use backoff::Backoff;
pub use health::{Circuit, Health, ONE_CAUSE};
pub use slots::{Lease, Slots};
