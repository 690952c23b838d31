//! What a setting may be: its type, range and default, and how it reads as TOML and as plain text.
//!
//! A `Kind` is part of the const tables in `keys` and `workers`; a `Value` is what a file, a variable
//! or a command line gave. Texts of complaints are made here, without a position; the reader of the
//! file puts `path:line:column:` in front.

use toml_edit::{Array, Item, Value as Toml};

use super::glob;

/// The type of a key, with its default and what is allowed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    Bool(bool),
    Int {
        default: i64,
        /// Of an explicit value; a default may lie below (0 for "decide yourself").
        min: i64,
        max: i64,
    },
    Float {
        default: f64,
        min: f64,
        max: f64,
    },
    /// One of `allowed`, or any text if that is empty.
    Word {
        default: &'static str,
        allowed: &'static [&'static str],
    },
    /// A path; a leading `~/` is the home directory.
    Path(&'static str),
    /// A list of texts. With `adds`, a project's list is added to the user's rather than put in its
    /// place.
    List {
        each: Each,
        adds: bool,
    },
}

/// What the texts of a list may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Each {
    Any,
    OneOf(&'static [&'static str]),
    Glob,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<String>),
}

impl Kind {
    pub fn default(&self) -> Value {
        match *self {
            Kind::Bool(b) => Value::Bool(b),
            Kind::Int { default, .. } => Value::Int(default),
            Kind::Float { default, .. } => Value::Float(default),
            Kind::Word { default, .. } | Kind::Path(default) => Value::Text(default.into()),
            Kind::List { .. } => Value::List(vec![]),
        }
    }

    /// What must stand there, for people: `an integer from 1 to 22`, `"rewrite" or "inline"`.
    pub fn expects(&self) -> String {
        match *self {
            Kind::Bool(_) => "true or false".into(),
            Kind::Int { min, max, .. } if max == i64::MAX => format!("an integer, at least {min}"),
            Kind::Int { min, max, .. } => format!("an integer from {min} to {max}"),
            Kind::Float { min, max, .. } => format!("a number from {min} to {max}"),
            Kind::Word { allowed: [], .. } => "a string".into(),
            Kind::Word { allowed, .. } => quoted(allowed, " or "),
            Kind::Path(_) => "a path".into(),
            Kind::List { each, .. } => match each {
                Each::Any => "a list of strings".into(),
                Each::OneOf(words) => format!("a list of {}", quoted(words, ", ")),
                Each::Glob => "a list of globs".into(),
            },
        }
    }

    /// Reads a TOML item.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn read(&self, item: &Item) -> Result<Value, String> {
        let value = match (self, item.as_value()) {
            (Kind::Bool(_), Some(Toml::Boolean(b))) => Value::Bool(*b.value()),
            (Kind::Int { .. }, Some(Toml::Integer(i))) => Value::Int(*i.value()),
            (Kind::Float { .. }, Some(Toml::Float(f))) => Value::Float(*f.value()),
            (Kind::Float { .. }, Some(Toml::Integer(i))) => Value::Float(*i.value() as f64),
            (Kind::Word { .. } | Kind::Path(_), Some(Toml::String(s))) => {
                Value::Text(s.value().clone())
            }
            (Kind::List { .. }, Some(Toml::Array(a))) => Value::List(self.texts(a)?),
            _ => return Err(self.mismatch(item.type_name())),
        };
        self.check(value)
    }

    fn texts(&self, array: &Array) -> Result<Vec<String>, String> {
        let text = |v: &Toml| match v {
            Toml::String(s) => Ok(s.value().clone()),
            other => Err(self.mismatch(&format!("a list with {}", article(other.type_name())))),
        };
        array.iter().map(text).collect()
    }

    fn mismatch(&self, found: &str) -> String {
        format!("expected {}, found {}", self.expects(), article(found))
    }

    /// Reads what a person typed or an environment variable holds: bare words, lists by commas.
    ///
    /// # Errors
    /// As `read`.
    pub fn parse(&self, text: &str) -> Result<Value, String> {
        let wrong = || format!("expected {}, found '{text}'", self.expects());
        let value = match self {
            Kind::Bool(_) => Value::Bool(truth(text).ok_or_else(wrong)?),
            Kind::Int { .. } => Value::Int(text.trim().parse().map_err(|_| wrong())?),
            Kind::Float { .. } => Value::Float(text.trim().parse().map_err(|_| wrong())?),
            Kind::Word { .. } | Kind::Path(_) => Value::Text(text.into()),
            Kind::List { each, .. } => {
                let parts: Vec<&str> = match each {
                    Each::Glob => glob::split(text),
                    Each::Any | Each::OneOf(_) => text.split(',').collect(),
                };
                let parts = parts.into_iter().map(str::trim);
                Value::List(parts.filter(|p| !p.is_empty()).map(String::from).collect())
            }
        };
        self.check(value)
    }

    /// Range and choice.
    fn check(&self, value: Value) -> Result<Value, String> {
        let found = |v: &dyn std::fmt::Display| format!("expected {}, found {v}", self.expects());
        match (self, &value) {
            (Kind::Int { min, max, .. }, Value::Int(i)) if i < min || i > max => Err(found(i)),
            (Kind::Float { min, max, .. }, Value::Float(f)) if !(*min..=*max).contains(f) => {
                Err(found(f))
            }
            (Kind::Word { allowed, .. }, Value::Text(t)) => self.choose(allowed, t),
            (Kind::List { each, .. }, Value::List(l)) => {
                l.iter().try_for_each(|t| self.check_each(*each, t))
            }
            (Kind::Path(_), Value::Text(t)) if t.is_empty() || t.contains('\0') => {
                Err(found(&format_args!("'{t}'")))
            }
            _ => Ok(()),
        }
        .map(|()| value)
    }

    fn check_each(&self, each: Each, text: &str) -> Result<(), String> {
        match each {
            Each::Any => Ok(()),
            Each::OneOf(words) => self.choose(words, text),
            Each::Glob => match glob::fault(text) {
                Some(why) => Err(format!("'{text}' is no glob: {why}")),
                None => Ok(()),
            },
        }
    }

    fn choose(&self, allowed: &[&str], text: &str) -> Result<(), String> {
        if allowed.is_empty() || allowed.contains(&text) {
            return Ok(());
        }
        Err(format!("expected {}, found '{text}'", self.expects()))
    }
}

/// `1 true yes on`, `0 false no off`, in any case; empty is no answer.
pub fn truth(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Some(true),
        "0" | "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

impl Value {
    pub fn toml(&self) -> Toml {
        match self {
            Value::Bool(b) => (*b).into(),
            Value::Int(i) => (*i).into(),
            Value::Float(f) => (*f).into(),
            Value::Text(t) => t.as_str().into(),
            Value::List(l) => l.iter().map(String::as_str).collect::<Array>().into(),
        }
    }

    pub fn json(&self) -> serde_json::Value {
        match self {
            Value::Bool(b) => (*b).into(),
            Value::Int(i) => (*i).into(),
            Value::Float(f) => (*f).into(),
            Value::Text(t) => t.as_str().into(),
            Value::List(l) => l.clone().into(),
        }
    }

    /// As `config get` prints it: no quotes, a list one element a line.
    pub fn plain(&self) -> String {
        match self {
            Value::Text(t) => t.clone(),
            Value::List(l) => l.join("\n"),
            other => other.to_string(),
        }
    }
}

/// As it would stand in the file.
impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.toml().to_string().trim())
    }
}

pub(super) fn quoted(words: &[&str], between: &str) -> String {
    let words: Vec<String> = words.iter().map(|w| format!("\"{w}\"")).collect();
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{}{between}{last}", rest.join(", ")),
        _ => words.concat(),
    }
}

fn article(noun: &str) -> String {
    match noun {
        n if n.contains(' ') => n.into(),
        n if n.starts_with(['a', 'e', 'i', 'o', 'u']) => format!("an {n}"),
        n => format!("a {n}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOTS: Kind = Kind::Int {
        default: 4,
        min: 1,
        max: 64,
    };
    const MODE: Kind = Kind::Word {
        default: "a",
        allowed: &["a", "b", "c"],
    };
    const TEXTS: Kind = Kind::List {
        each: Each::Any,
        adds: false,
    };

    #[test]
    fn complaints_say_what_was_expected_and_found() {
        let err = |kind: Kind, text: &str| kind.parse(text).unwrap_err();
        assert_eq!(err(SLOTS, "0"), "expected an integer from 1 to 64, found 0");
        assert_eq!(
            err(SLOTS, "x"),
            "expected an integer from 1 to 64, found 'x'"
        );
        assert_eq!(err(MODE, "d"), "expected \"a\", \"b\" or \"c\", found 'd'");
        assert_eq!(
            err(Kind::Bool(true), "maybe"),
            "expected true or false, found 'maybe'"
        );
        let item: Item = "[1]".parse::<Toml>().unwrap().into();
        assert_eq!(
            TEXTS.read(&item).unwrap_err(),
            "expected a list of strings, found a list with an integer"
        );
    }

    #[test]
    fn text_and_toml_agree() {
        assert_eq!(SLOTS.parse(" 7 "), Ok(Value::Int(7)));
        assert_eq!(Kind::Bool(false).parse("YES"), Ok(Value::Bool(true)));
        let list = TEXTS.parse("a, b,,").unwrap();
        assert_eq!(list.to_string(), r#"["a", "b"]"#);
        assert_eq!(list.plain(), "a\nb");
        let nan = Kind::Float {
            default: 1.0,
            min: 0.0,
            max: 2.0,
        };
        assert!(nan.parse("nan").is_err());
    }
}
