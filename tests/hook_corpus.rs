//! Every command of the corpus, with the places where something is inserted.
//!
//! The corpus was written from the rules and from how agents type, not from what the code answers.

use rch::classify::text;

/// The commands and the places that the corpus expects.
fn corpus() -> Vec<(String, Vec<usize>)> {
    let lines = include_str!("corpus/commands").lines();
    lines
        .filter(|l| !l.starts_with("//"))
        .map(|line| {
            let line = line.replace('⏎', "\n");
            let parts: Vec<&str> = line.split('»').collect();
            let mut at = 0;
            let mut places = Vec::new();
            for part in parts.iter().take(parts.len() - 1) {
                at += part.len();
                places.push(at);
            }
            (parts.concat(), places)
        })
        .collect()
}

#[test]
fn verdicts_and_places_are_as_written() {
    let corpus = corpus();
    assert!(corpus.len() >= 600, "{} commands", corpus.len());
    let mut wrong = String::new();
    for (command, expected) in &corpus {
        let got = text::read(command.as_bytes(), 0.85);
        let places = got
            .as_ref()
            .map_or_else(|_| Vec::new(), text::Reading::places);
        if places != *expected {
            wrong.push_str(&format!(
                "{command:?}: expected {expected:?}, got {places:?}: {got:?}\n"
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
