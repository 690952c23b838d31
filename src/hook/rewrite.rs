//! The rewritten text: the original with insertions, and nothing else.

use crate::shell::{Shape, Word};

pub use crate::shell::quoted;

/// `text` with `rch exec -- ` before each of `places`, which are ascending.
pub fn insert(text: &str, places: &[usize], rch: &str) -> Option<String> {
    let mut out = String::with_capacity(
        text.len()
            .saturating_add(places.len().saturating_mul(rch.len().saturating_add(10))),
    );
    let mut from = 0;
    for &place in places {
        out.push_str(text.get(from..place)?);
        out.push_str(rch);
        out.push_str(" exec -- ");
        from = place;
    }
    out.push_str(text.get(from..)?);
    Some(out)
}

/// The words' values, if all are certain.
pub fn values<'a>(words: &'a [Word<'_>]) -> Option<Vec<&'a [u8]>> {
    words
        .iter()
        .map(|w| (w.shape == Shape::Fixed).then_some(&*w.text))
        .collect()
}
