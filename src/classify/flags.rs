//! Reads one option at a time off a command's words, by the grammar of a table of flags.
//!
//! The rule that keeps the hook and `rch exec` of one mind: a word that the shell has yet to expand
//! counts only where every possible expansion would be read the same way. So `-j"$N"` and
//! `--target-dir="$D"` are options whose value is open; `"$X"` alone could be an option and stops
//! everything, unless it stands where an option's mandatory value must; `$X` without quotes could be
//! several words and stops everything before a `--` that ends the options. A flag that may or may
//! not have a value (cargo's `-p`) takes an open word only if that cannot begin with a dash.

use super::facts::Facts;
use super::{Refusal, Why, is};
use crate::shell::{Shape, Word};

/// How a flag's value is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    Nothing,
    /// Attached, or else the next word, whatever that is.
    Value,
    /// Attached, or the next word unless it begins with a dash.
    Maybe,
    /// Only attached, and may be left out.
    Attached,
    /// Attached, or the next word if it is a number.
    Count,
}

/// What a flag means to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    Plain,
    /// The command stays, for this reason.
    Veto(Why),
    /// The command stays if the value is `help`, `list` or `-`.
    NotHelp,
    /// It is likely to be all right.
    Unsure,
    Jobs,
    Release,
    Profile,
    Triple,
    TargetDir,
    OutDir,
    Manifest,
    Directory,
    Output,
    NoRun,
    /// Names a target of a build system.
    Target,
}

/// One row of a flag table.
#[derive(Debug)]
pub struct Flag {
    pub names: &'static [&'static str],
    pub takes: Takes,
    pub act: Act,
}

/// A value, as far as it is certain.
#[derive(Debug, Clone, Copy)]
pub struct Value<'a> {
    pub text: &'a [u8],
    /// Whether `text` is all of it.
    pub whole: bool,
}

impl Value<'_> {
    /// Whether the value is, or could still become, `what`.
    pub fn may_be(&self, what: &[u8]) -> bool {
        if self.whole {
            self.text == what
        } else {
            what.starts_with(self.text)
        }
    }
}

/// A flag as it was given.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    pub flag: &'static Flag,
    /// That one of the flag's names which was used.
    pub name: &'static str,
    pub value: Option<Value<'a>>,
}

/// What stands at the front of the words.
#[derive(Debug)]
pub enum Item<'a> {
    Option(Given<'a>),
    /// A word that is no option; the flag says whether it may be several.
    Operand(&'a Word<'a>),
    /// `--`.
    End,
}

/// The words still to be read, and the tables that explain them.
#[derive(Debug)]
pub struct Walk<'a> {
    words: &'a [Word<'a>],
    tables: &'static [&'static [Flag]],
    /// Letters of a cluster (`-kj8`) that are still to be read, and its word.
    cluster: Option<(&'a [u8], &'a Word<'a>)>,
}

fn unfixed(text: &[u8]) -> Refusal {
    Refusal::new(Why::Unfixed, text)
}

impl<'a> Walk<'a> {
    pub fn new(words: &'a [Word<'a>], tables: &'static [&'static [Flag]]) -> Walk<'a> {
        Walk {
            words,
            tables,
            cluster: None,
        }
    }

    /// What has not been read yet.
    pub fn rest(&self) -> &'a [Word<'a>] {
        self.words
    }

    /// Reads the next word as a plain one, whatever it looks like.
    pub fn word(&mut self) -> Option<&'a Word<'a>> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        Some(first)
    }

    /// The flag of this name, without a value.
    fn find(&self, name: &[u8]) -> Option<Given<'a>> {
        let named = |flag: &'static Flag| {
            let name = flag.names.iter().find(|n| is(name, n))?;
            let value = None;
            Some(Given { flag, name, value })
        };
        self.tables.iter().find_map(|t| t.iter().find_map(named))
    }

    /// The next option or operand; `None` at the end.
    ///
    /// # Errors
    /// The word that no table knows, or whose reading depends on its expansion.
    pub fn item(&mut self) -> Result<Option<Item<'a>>, Refusal> {
        if let Some((letters, word)) = self.cluster.take() {
            return self.letter(letters, word).map(Some);
        }
        let Some(word) = self.word() else {
            return Ok(None);
        };
        if word.shape == Shape::Any {
            return Err(unfixed(&word.text));
        }
        let item = match &*word.text {
            b"" | b"-" if word.shape != Shape::Fixed => return Err(unfixed(&word.text)),
            b"--" if word.shape == Shape::Fixed => Item::End,
            [b'-', b'-', ..] => self.long(word)?,
            [b'-', letters @ ..] if !letters.is_empty() => self.letter(letters, word)?,
            _ => Item::Operand(word),
        };
        Ok(Some(item))
    }

    /// `--name`, `--name=value`, `--name value`.
    fn long(&mut self, word: &'a Word<'a>) -> Result<Item<'a>, Refusal> {
        let text = &*word.text;
        let whole = word.shape == Shape::Fixed;
        let (name, attached) = match memchr::memchr(b'=', text) {
            Some(at) => {
                let (name, value) = text.split_at_checked(at).unwrap_or((text, b""));
                (name, value.get(1..))
            }
            None if whole => (text, None),
            None => return Err(unfixed(text)),
        };
        let unknown = || Refusal::new(Why::Unknown, text);
        let given = self.find(name).ok_or_else(unknown)?;
        let value = match attached {
            Some(_) if given.flag.takes == Takes::Nothing => return Err(unknown()),
            Some(text) => Some(Value { text, whole }),
            None => self.value(given.flag)?,
        };
        Ok(Item::Option(Given { value, ..given }))
    }

    /// One letter of `-x`, `-xVALUE`, `-x=VALUE`, `-abc`, `-x VALUE`.
    fn letter(&mut self, letters: &'a [u8], word: &'a Word<'a>) -> Result<Item<'a>, Refusal> {
        let shape = word.shape;
        let unknown = || Refusal::new(Why::Unknown, &word.text);
        let (&first, rest) = letters.split_first().ok_or_else(unknown)?;
        let given = self.find(&[b'-', first]).ok_or_else(unknown)?;
        let flag = given.flag;
        let whole = shape == Shape::Fixed;
        if flag.takes == Takes::Nothing {
            match (rest.is_empty(), whole) {
                (true, true) => {}
                (true, false) => return Err(unfixed(&word.text)),
                (false, _) => self.cluster = Some((rest, word)),
            }
            return Ok(Item::Option(given));
        }
        if rest.is_empty() && whole {
            let value = self.value(flag)?;
            return Ok(Item::Option(Given { value, ..given }));
        }
        let sure = shape == Shape::Number || (shape == Shape::One && word.tail);
        if rest.is_empty() && !sure && !(shape == Shape::One && self.survives_empty(flag)) {
            return Err(unfixed(&word.text));
        }
        let text = rest.strip_prefix(b"=").unwrap_or(rest);
        let value = Some(Value { text, whole });
        Ok(Item::Option(Given { value, ..given }))
    }

    /// Whether `-x"$V"` is still read alike with an empty `V`, when `-x` looks at the next word.
    fn survives_empty(&self, flag: &Flag) -> bool {
        let (next, after) = (self.words.first(), self.words.get(1));
        let dashed =
            |w: &Word<'_>| w.shape == Shape::Fixed && begins_with_dash(w) && &*w.text != b"--";
        // Swallowed as a value, the next word must not leave one of its own behind.
        let lone = |w: &Word<'_>| {
            self.find(&w.text)
                .is_some_and(|g| g.flag.takes == Takes::Nothing)
        };
        match flag.takes {
            Takes::Value => next.is_none_or(|w| dashed(w) && lone(w)) && after.is_none_or(dashed),
            Takes::Count => next.is_none_or(|w| w.shape == Shape::Fixed && !is_count(w)),
            _ => next.is_none_or(dashed),
        }
    }

    /// The value of a flag that stands alone in its word.
    fn value(&mut self, flag: &Flag) -> Result<Option<Value<'a>>, Refusal> {
        let next = self.words.first();
        let taken = match flag.takes {
            Takes::Nothing | Takes::Attached => false,
            Takes::Value => match next {
                None => false, // the tool's own error
                Some(w) if w.shape >= Shape::Some => return Err(unfixed(&w.text)),
                Some(_) => true,
            },
            Takes::Maybe => next.is_some_and(|w| !begins_with_dash(w)) && !open_start(next)?,
            Takes::Count => next.is_some_and(is_count) || open_start(next)?,
        };
        if !taken {
            return Ok(None);
        }
        Ok(self.word().map(|w| Value {
            text: &w.text,
            whole: w.shape == Shape::Fixed,
        }))
    }
}

fn begins_with_dash(word: &Word<'_>) -> bool {
    matches!(&*word.text, [b'-', _, ..])
}

fn is_count(word: &Word<'_>) -> bool {
    let digits = word.text.iter().all(|b| b.is_ascii_digit() || *b == b'.');
    match word.shape {
        Shape::Fixed => digits && !word.text.is_empty(),
        Shape::Number => digits,
        _ => false,
    }
}

/// False for a word whose reading as a value or not is certain.
///
/// # Errors
/// The word could be either.
fn open_start(word: Option<&Word<'_>>) -> Result<bool, Refusal> {
    match word {
        Some(w) if w.shape >= Shape::Some => Err(unfixed(&w.text)),
        Some(w) if w.shape == Shape::Number && w.text.starts_with(b"-") => Err(unfixed(&w.text)),
        Some(w) if w.shape == Shape::One => match &*w.text {
            [] | [b'-'] => Err(unfixed(&w.text)),
            [b'0'..=b'9' | b'.', ..] => Err(unfixed(&w.text)),
            _ => Ok(false),
        },
        _ => Ok(false),
    }
}

/// Enters what a flag says into the facts.
///
/// # Errors
/// The flag forbids sending the command away.
pub fn apply(given: Given<'_>, facts: &mut Facts) -> Result<(), Refusal> {
    let Given { flag, name, value } = given;
    let refuse = |why| Err(Refusal::new(why, name.as_bytes()));
    match flag.act {
        Act::Veto(why) => return refuse(why),
        Act::NotHelp => {
            let queries: [&[u8]; 3] = [b"help", b"list", b"-"];
            if value.is_some_and(|v| queries.iter().any(|q| v.may_be(q))) {
                return refuse(Why::Query);
            }
        }
        Act::Manifest if flag.names.contains(&"-f") && value.is_some_and(|v| v.may_be(b"-")) => {
            return refuse(Why::Stdin);
        }
        act => facts.note(act, value),
    }
    Ok(())
}
