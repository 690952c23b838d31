//! One permission rule, in the client's notation: `Bash`, `Bash(cargo build)`, `Bash(cargo build:*)`,
//! `Bash(cargo *)`.

use crate::classify::wrappers;
use crate::shell::Word;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// The whole tool.
    Everything,
    /// Text in which `*` stands for anything; a trailing ` *` or `:*` for nothing too.
    Pattern { text: String, open: bool },
}

/// Everything that is set, from all sources.
#[derive(Debug, Default)]
pub struct Rules {
    pub deny: Vec<Rule>,
    pub ask: Vec<Rule>,
    pub allow: Vec<Rule>,
    /// The client's sandbox would keep `rch exec` from its socket.
    pub sandboxed: bool,
}

impl Rules {
    pub fn append(&mut self, mut more: Rules) {
        self.deny.append(&mut more.deny);
        self.ask.append(&mut more.ask);
        self.allow.append(&mut more.allow);
        self.sandboxed |= more.sandboxed;
    }
}

/// One simple command of a text.
#[derive(Debug)]
pub struct Part<'a> {
    pub text: &'a str,
    pub words: &'a [Word<'a>],
    pub assigns: &'a [Word<'a>],
    pub source: &'a str,
    pub writes: bool,
}

/// Variables that change nothing about what a command does.
const HARMLESS: &[&[u8]] = &[
    b"RUST_BACKTRACE",
    b"RUST_LOG",
    b"CI",
    b"TERM",
    b"NO_COLOR",
    b"LANG",
    b"TZ",
    b"FORCE_COLOR",
    b"LC_ALL",
];

impl Rule {
    /// Reads a rule; `None` if it is about another tool.
    pub fn parse(rule: &str) -> Option<Rule> {
        let rule = rule.trim();
        if matches!(rule, "Bash" | "*" | "Bash(*)" | "Bash()" | "Bash(:*)") {
            return Some(Rule::Everything);
        }
        let text = rule.strip_prefix("Bash(")?.strip_suffix(')')?.trim();
        let (text, open) = match text.strip_suffix(":*").or_else(|| text.strip_suffix(" *")) {
            Some(text) => (text, true),
            None => (text, false),
        };
        Some(Rule::Pattern {
            text: text.to_owned(),
            open,
        })
    }

    /// Whatever begins with `text`.
    pub fn beginning(text: String) -> Rule {
        Rule::Pattern { text, open: true }
    }

    fn matches(&self, command: &str, boundary: bool) -> bool {
        match self {
            Rule::Everything => true,
            Rule::Pattern { text, open: false } => glob(text.as_bytes(), command.as_bytes()),
            Rule::Pattern { text, open: true } => {
                let longer = format!("{text}{}*", if boundary { " " } else { "" });
                glob(text.as_bytes(), command.as_bytes())
                    || glob(longer.as_bytes(), command.as_bytes())
            }
        }
    }

    /// Whether the rule is about the text as a whole.
    pub fn covers_text(&self, text: &str) -> bool {
        self.matches(text.trim(), false)
    }

    /// For denials and questions: behind anything that may stand in front, at every word.
    pub fn catches(&self, part: &Part<'_>) -> bool {
        let end = part.words.last().map_or(0, |w| w.end);
        let from_word = |w: &Word<'_>| {
            part.source
                .get(w.start..end)
                .is_some_and(|t| self.matches(t, false))
        };
        let values = || {
            let words: Vec<_> = part
                .words
                .iter()
                .map(|w| String::from_utf8_lossy(&w.text))
                .collect();
            words.join(" ")
        };
        self.matches(part.text, false)
            || part.words.iter().any(from_word)
            || self.matches(&values(), false)
    }

    /// For permissions: past harmless assignments and plain wrappers only.
    pub fn permits(&self, part: &Part<'_>) -> bool {
        if self.matches(part.text, true) {
            return true;
        }
        let harmless =
            |w: &Word<'_>| HARMLESS.contains(&w.text.split(|&b| b == b'=').next().unwrap_or(b""));
        if !part.assigns.iter().all(harmless) {
            return false;
        }
        let end = part.words.last().map_or(0, |w| w.end);
        let inner = match part.words.first().and_then(Word::value) {
            Some(b"timeout" | b"time" | b"nice" | b"nohup" | b"stdbuf" | b"command") => {
                wrappers::unwrap(part.words).unwrap_or(part.words)
            }
            _ => part.words,
        };
        let through_env = || {
            part.words
                .iter()
                .any(|w| w.value().is_some_and(|v| v.ends_with(b"env")))
        };
        let text = |words: &[Word<'_>]| {
            words
                .first()
                .and_then(|w| part.source.get(w.start..end))
                .map(str::to_owned)
        };
        let direct = text(part.words).is_some_and(|t| self.matches(&t, true));
        direct || (!through_env() && text(inner).is_some_and(|t| self.matches(&t, true)))
    }
}

/// Whether `text` is `pattern`, in which `*` stands for any bytes.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0usize, 0usize);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match (pattern.get(p), text.get(t)) {
            (Some(b'*'), _) => {
                star = Some((p, t));
                p = p.saturating_add(1);
            }
            (Some(a), Some(b)) if a == b => {
                p = p.saturating_add(1);
                t = t.saturating_add(1);
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from.saturating_add(1)));
                    p = at.saturating_add(1);
                    t = from.saturating_add(1);
                }
                None => return false,
            },
        }
    }
    pattern
        .get(p..)
        .is_some_and(|rest| rest.iter().all(|&b| b == b'*'))
}
