//! The fleet over real parts: several sshd workers, many clients, and everything that can die.

#[path = "../common/mod.rs"]
mod common;

mod death;
mod health;
mod kit;
mod orders;
mod queue;
mod sharing;
mod soak;
mod transports;
mod trouble;
