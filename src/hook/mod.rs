//! The agent's hook: one JSON document in, an answer or silence out.
//!
//! Every shell command an agent runs passes through here, so the way out for what is none of our
//! business comes first and touches neither heap nor file. The hook decides from its input and the
//! user's settings alone; it never talks to the daemon. Whatever goes wrong, it says nothing and
//! exits 0, so that the command runs as it would have without us.

// What the hook runs cannot panic.
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::unreachable,
        clippy::arithmetic_side_effects
    )
)]

pub mod answer;
mod codex;
pub mod document;
mod early;
pub mod gemini;
pub mod inline;
pub mod install;
pub mod invocation;
pub mod masquerade;
pub mod permissions;
pub mod rewrite;
pub mod rules;
pub mod settings;
mod splice;
pub mod starlark;
pub mod verbs;
pub mod walk;

pub use early::{early, worth_reading};
