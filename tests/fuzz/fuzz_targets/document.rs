//! Any document: read without panic, and what is answered is JSON with only the command changed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rch::hook::{document, permissions, rules, worth_reading};

fuzz_target!(|bytes: &[u8]| {
    let _ = worth_reading(bytes);
    let Some(document) = document::read(bytes) else { return };
    let input = document.input_with("x").expect("the command stands in the input");
    let Ok(value) = serde_json::from_str::<serde_json::Value>(&input) else {
        // What the client wrote and serde cannot hold (half a surrogate pair) is passed on as it came.
        assert!(serde_json::from_slice::<serde_json::Value>(bytes).is_err(), "no longer JSON");
        return;
    };
    assert_eq!(value["command"], "x");
    let rules = rules::Rules {
        allow: rules::Rule::parse("Bash(cargo *)").into_iter().collect(),
        deny: rules::Rule::parse("Bash(rm:*)").into_iter().collect(),
        ..Default::default()
    };
    let _ = permissions::by_rules(&document.command, &rules, None);
});
