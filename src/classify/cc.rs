//! C and C++ compilers: flags by family, because single-dash words defeat the usual option grammar.
//!
//! There must be an input. Preprocessing, dependency listing and every kind of question stay; so do
//! standard input as source and response files, whose content argv does not tell.

use super::facts::{Facts, os};
use super::tables::cc::{FAMILIES, JOINED, PLAIN, SEPARATE, VETO, VETO_FAMILIES};
use super::{Kind, Refusal, Why};
use crate::shell::{Shape, Word};

fn starts(text: &[u8], names: &[&str]) -> bool {
    names.iter().any(|n| text.starts_with(n.as_bytes()))
}

fn is(text: &[u8], names: &[&str]) -> bool {
    names.iter().any(|n| text == n.as_bytes())
}

fn veto(text: &[u8]) -> Option<Why> {
    let whole = VETO.iter().find(|(n, _)| text == n.as_bytes());
    let family = || {
        VETO_FAMILIES
            .iter()
            .find(|(n, _)| text.starts_with(n.as_bytes()))
    };
    whole.or_else(family).map(|(_, why)| *why)
}

/// Whether an open word that begins with `text` is surely one flag with its value attached.
fn is_open_flag(word: &Word<'_>) -> bool {
    let text = &*word.text;
    let named = memchr::memchr(b'=', text).is_some() && starts(text, FAMILIES);
    let joined = JOINED.iter().any(|n| {
        let value = text.strip_prefix(n.as_bytes());
        value.is_some_and(|v| !v.is_empty() || (word.tail && word.shape == Shape::One))
    });
    (named || joined || text.starts_with(b"-Wl,")) && veto(text).is_none()
}

/// Reads the arguments of a C compiler.
///
/// # Errors
/// What keeps the command at home.
pub fn judge(words: &[Word<'_>], facts: &mut Facts) -> Result<Kind, Refusal> {
    let mut kind = Kind::Build;
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let text = &*word.text;
        let refuse = |why| Err(Refusal::new(why, text));
        match (text, word.shape) {
            (_, Shape::Any) | (b"" | b"-", Shape::One | Shape::Some | Shape::Number) => {
                return refuse(Why::Unfixed);
            }
            ([b'@', ..], _) => return refuse(Why::Unknown),
            ([b'-', ..], Shape::Fixed) => {
                if let Some(why) = veto(text) {
                    return refuse(why);
                }
                if is(text, SEPARATE) || is(text, JOINED) {
                    match words.next() {
                        None => return refuse(Why::Unknown),
                        Some(v) if v.shape >= Shape::Some => return refuse(Why::Unfixed),
                        Some(v) => note_value(text, v, facts),
                    }
                    continue;
                }
                if !(is(text, PLAIN) || starts(text, JOINED) || starts(text, FAMILIES)) {
                    return refuse(Why::Unknown);
                }
                if text == b"-fsyntax-only" {
                    kind = Kind::Check;
                }
                note_flag(text, facts);
            }
            ([b'-', ..], _) if is_open_flag(word) => note_flag(text, facts),
            ([b'-', ..], _) => return refuse(Why::Unfixed),
            _ => facts.operands.push(os(text)),
        }
    }
    if facts.operands.is_empty() {
        return Err(Refusal::new(Why::Query, b"no input file"));
    }
    Ok(kind)
}

fn note_value(flag: &[u8], value: &Word<'_>, facts: &mut Facts) {
    if flag == b"-o" {
        facts.outputs.push(os(&value.text));
    }
}

fn note_flag(text: &[u8], facts: &mut Facts) {
    facts.compile_only |= is(text, &["-c", "-S"]);
    facts.native |= text.starts_with(b"-m") && text.ends_with(b"=native");
    if let Some(output) = text.strip_prefix(b"-o") {
        facts.outputs.push(os(output));
    }
}
