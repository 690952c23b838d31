//! Any document: read without panic, and what is answered is JSON with only the command changed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rch::hook::{document, permissions, rules, worth_reading};

fuzz_target!(|bytes: &[u8]| {
    let _ = worth_reading(bytes);
    let Some(document) = document::read(bytes) else { return };
    let input = document.input_with("x").expect("the command stands in the input");
    let value: serde_json::Value = serde_json::from_str(&input).expect("still JSON");
    assert_eq!(value["command"], "x");
    let rules = rules::Rules {
        allow: rules::Rule::parse("Bash(cargo *)").into_iter().collect(),
        deny: rules::Rule::parse("Bash(rm:*)").into_iter().collect(),
        ..Default::default()
    };
    let _ = permissions::by_rules(&document.command, &rules, None);
});
