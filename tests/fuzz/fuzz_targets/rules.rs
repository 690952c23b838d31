//! Any rules, policies and command lines of clients: read without panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rch::hook::rules::Rule;
use rch::hook::{gemini, invocation, permissions, starlark};

fuzz_target!(|bytes: &[u8]| {
    let started = invocation::read(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut rules: Vec<Rule> = started.deny;
    gemini::policy(text, &mut rules);
    rules.extend(Rule::parse(text));
    if let Some(read) = starlark::read(text) {
        rules.extend(read.deny);
        rules.extend(read.ask);
        rules.extend(read.allow);
    }
    let _ = permissions::catches(&rules, "cd a && X=1 timeout 9 cargo test 2>&1 | tail");
});
