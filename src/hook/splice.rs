//! JSON text changed towards a value, and left as it stands wherever the value says the same.
//!
//! A settings file is laid out by its owner: short lists on one line, tabs, an empty line between
//! groups. To print the value anew would undo all that. So the text is walked beside the value: what
//! is equal is copied byte for byte, what is new is put behind its neighbours as those are laid out.
//! It knows nothing of agents. What it makes is read again; if that is not the value that was wanted,
//! the value is printed after all.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// `text` with as few changes as make it mean `new`. It is JSON, or blank.
pub fn toward(text: &str, new: &Value) -> String {
    let body = text.trim();
    let style = Style::of(text);
    if !body.is_empty() {
        let at = place(text, body);
        let (before, behind) = (text.get(..at), text.get(at.saturating_add(body.len())..));
        let done = [
            before.unwrap_or(""),
            &style.changed(body, new),
            behind.unwrap_or(""),
        ]
        .concat();
        if serde_json::from_str::<Value>(&done).is_ok_and(|v| v == *new) {
            return done;
        }
    }
    format!("{}{}", style.printed(new, ""), style.newline)
}

/// How a file is laid out.
struct Style<'a> {
    text: &'a str,
    /// One step of indentation.
    unit: &'a str,
    newline: &'static str,
}

/// A member of an object or an item of a list, as slices of the text.
struct Part<'a> {
    /// What parts it from the one before, or from the bracket: blanks, and the comma.
    gap: &'a str,
    /// `"key": `; empty in a list.
    name: &'a str,
    key: String,
    value: &'a str,
}

impl<'a> Style<'a> {
    fn of(text: &'a str) -> Style<'a> {
        let lines = text.lines().filter(|l| l.trim_start().starts_with('"'));
        let unit = lines.map(blanks).find(|b| !b.is_empty());
        Style {
            text,
            unit: unit.unwrap_or("  "),
            newline: if text.contains("\r\n") { "\r\n" } else { "\n" },
        }
    }

    /// `body` is a part of the text.
    fn changed(&self, body: &'a str, new: &Value) -> String {
        if serde_json::from_str::<Value>(body).is_ok_and(|old| old == *new) {
            return body.into();
        }
        let parts = match new {
            Value::Object(_) => parts::<Members>(body),
            Value::Array(_) => parts::<Items>(body),
            _ => None,
        };
        match (parts, new) {
            (Some(parts), Value::Object(map)) => self.object(body, &parts, map),
            (Some(parts), Value::Array(list)) => self.list(body, &parts, list),
            _ => self.printed(new, self.indent(body)),
        }
    }

    fn object(
        &self,
        body: &str,
        parts: &[Part<'a>],
        new: &serde_json::Map<String, Value>,
    ) -> String {
        let mut out = Out::new(self, body, parts);
        for part in parts {
            if let Some(value) = new.get(&part.key) {
                out.keep(part, &self.changed(part.value, value));
            }
        }
        for (key, value) in new {
            if parts.iter().all(|p| p.key != *key) {
                out.add(Some(key), value);
            }
        }
        out.end()
    }

    fn list(&self, body: &str, parts: &[Part<'a>], new: &[Value]) -> String {
        let mut out = Out::new(self, body, parts);
        let mut wanted = new.iter().peekable();
        for (i, part) in parts.iter().enumerate() {
            let same =
                |v: &&&Value| serde_json::from_str::<Value>(part.value).is_ok_and(|p| p == ***v);
            let left = parts.len().saturating_sub(i);
            // With fewer to come than there are, this is one that went.
            if wanted.peek().filter(same).is_none() && left > wanted.len() {
                continue;
            }
            if let Some(value) = wanted.next() {
                out.keep(part, &self.changed(part.value, value));
            }
        }
        wanted.for_each(|value| out.add(None, value));
        out.end()
    }

    /// The blanks at the beginning of the line in which `body` begins.
    fn indent(&self, body: &str) -> &'a str {
        let above = self.text.get(..place(self.text, body)).unwrap_or("");
        blanks(above.rsplit('\n').next().unwrap_or(""))
    }

    /// In lines, each behind `indent`.
    fn printed(&self, value: &Value, indent: &str) -> String {
        let mut bytes = Vec::new();
        let format = serde_json::ser::PrettyFormatter::with_indent(self.unit.as_bytes());
        let mut to = serde_json::Serializer::with_formatter(&mut bytes, format);
        // Serialising a value into memory does not fail.
        let _ = serde::Serialize::serialize(value, &mut to);
        let text = String::from_utf8_lossy(&bytes);
        text.replace('\n', &format!("{}{indent}", self.newline))
    }
}

/// An object or a list while it is put together.
struct Out<'s, 'a> {
    style: &'s Style<'a>,
    text: String,
    empty: bool,
    /// What stands between the bracket and the first part.
    lead: String,
    /// From the last part to the bracket, that included.
    tail: String,
}

impl<'s, 'a> Out<'s, 'a> {
    fn new(style: &'s Style<'a>, body: &str, parts: &[Part<'a>]) -> Out<'s, 'a> {
        let (open, close) = (
            body.get(..1).unwrap_or(""),
            body.get(body.len().saturating_sub(1)..),
        );
        let close = close.unwrap_or("");
        let (lead, tail) = match (parts.first(), parts.last()) {
            (Some(first), Some(last)) => {
                let end = place(body, last.value).saturating_add(last.value.len());
                (first.gap.into(), body.get(end..).unwrap_or(close).into())
            }
            // All in one line stays so, unless it is nothing at all.
            _ if !style.text.trim().contains('\n') && style.text.trim() != body => {
                (String::new(), close.into())
            }
            _ => {
                let line = format!("{}{}", style.newline, style.indent(body));
                (format!("{line}{}", style.unit), format!("{line}{close}"))
            }
        };
        Out {
            style,
            text: open.into(),
            empty: true,
            lead,
            tail,
        }
    }

    fn keep(&mut self, part: &Part<'_>, value: &str) {
        let gap = if self.empty { &self.lead } else { part.gap };
        self.text.push_str(gap);
        self.text.push_str(part.name);
        self.text.push_str(value);
        self.empty = false;
    }

    fn add(&mut self, key: Option<&str>, value: &Value) {
        let lines = self.lead.contains('\n');
        if !self.empty {
            self.text.push_str(if lines { "," } else { ", " });
        }
        if self.empty || lines {
            self.text.push_str(&self.lead);
        }
        if let Some(key) = key {
            self.text.push_str(&format!("{}: ", Value::from(key)));
        }
        self.text.push_str(&match lines {
            true => self
                .style
                .printed(value, self.lead.rsplit('\n').next().unwrap_or("")),
            false => value.to_string(),
        });
        self.empty = false;
    }

    fn end(mut self) -> String {
        self.text.push_str(if self.empty {
            self.tail.trim_start()
        } else {
            &self.tail
        });
        self.text
    }
}

fn blanks(line: &str) -> &str {
    let end = line
        .len()
        .saturating_sub(line.trim_start_matches([' ', '\t']).len());
    line.get(..end).unwrap_or("")
}

/// Where `part`, a slice of `whole`, begins in it.
fn place(whole: &str, part: &str) -> usize {
    (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize)
}

/// The parts of an object or a list in the order of the text; `None` if it is not one.
fn parts<'a, T>(body: &'a str) -> Option<Vec<Part<'a>>>
where
    T: Deserialize<'a> + Into<Vec<(String, &'a RawValue)>>,
{
    let found: Vec<(String, &RawValue)> = serde_json::from_str::<T>(body).ok()?.into();
    let mut rest = body.get(1..)?;
    let mut parts = Vec::new();
    for (key, value) in found {
        let value = value.get();
        let gap = rest
            .len()
            .checked_sub(rest.trim_start_matches([' ', '\t', '\r', '\n', ',']).len())?;
        let (gap, behind) = rest.split_at_checked(gap)?;
        let (name, behind) = behind.split_at_checked(place(behind, value))?;
        rest = behind.get(value.len()..)?;
        parts.push(Part {
            gap,
            name,
            key,
            value,
        });
    }
    Some(parts)
}

/// An object's members, with the text of each value.
struct Members<'a>(Vec<(String, &'a RawValue)>);

/// A list's items likewise; they have no keys.
struct Items<'a>(Vec<(String, &'a RawValue)>);

impl<'a> From<Members<'a>> for Vec<(String, &'a RawValue)> {
    fn from(all: Members<'a>) -> Self {
        all.0
    }
}

impl<'a> From<Items<'a>> for Vec<(String, &'a RawValue)> {
    fn from(all: Items<'a>) -> Self {
        all.0
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Seen;
        impl<'de> Visitor<'de> for Seen {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut all = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    all.push(entry);
                }
                Ok(Members(all))
            }
        }
        from.deserialize_map(Seen)
    }
}

impl<'de> Deserialize<'de> for Items<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let all = Vec::<&RawValue>::deserialize(from)?;
        Ok(Items(all.into_iter().map(|v| (String::new(), v)).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The text after `edit`.
    fn after(text: &str, edit: impl Fn(&mut Value)) -> String {
        let mut value = serde_json::from_str(text).unwrap();
        edit(&mut value);
        toward(text, &value)
    }

    #[test]
    fn what_is_new_is_laid_out_as_its_neighbours() {
        let add = |v: &mut Value| v["l"].as_array_mut().unwrap().push(json!({"k": [1]}));
        for (text, expected) in [
            ("{\"l\":[1,2]}", "{\"l\":[1,2, {\"k\":[1]}]}"),
            ("{\"l\":[]}\n", "{\"l\":[{\"k\":[1]}]}\n"),
            (
                "{\n\t\"a\" : 1.50,\r\n\t\"l\": [ 1 ]\n}",
                "{\n\t\"a\" : 1.50,\r\n\t\"l\": [ 1, {\"k\":[1]} ]\n}",
            ),
            (
                "{\n   \"l\": [\n      1\n   ],\n\n   \"z\": {\"b\":2}\n}\n",
                "{\n   \"l\": [\n      1,\n      {\n         \"k\": [\n            1\n         ]\n      }\n   ],\n\n   \"z\": {\"b\":2}\n}\n",
            ),
            (
                "{\n  \"l\": []\n}",
                "{\n  \"l\": [\n    {\n      \"k\": [\n        1\n      ]\n    }\n  ]\n}",
            ),
        ] {
            assert_eq!(after(text, add), expected);
            let back = |v: &mut Value| drop(v["l"].as_array_mut().unwrap().pop());
            assert_eq!(after(expected, back), text);
        }
    }

    #[test]
    fn members_come_and_go() {
        let add = |v: &mut Value| v["n"] = json!(true);
        let cut = |v: &mut Value| drop(v.as_object_mut().unwrap().shift_remove("n"));
        for text in [
            "{}",
            "{ \"a\": 1 }",
            "{\"a\":[{}],\"b\":null}",
            "{\n\"a\":1\n }\n\n",
        ] {
            let more = after(text, add);
            assert!(more.contains("\"n\": true"), "{more}");
            assert_eq!(after(&more, cut), text);
        }
        assert_eq!(after("{ \"n\": 1, \"a\": 2 }", cut), "{ \"a\": 2 }");
        assert_eq!(toward(" ", &json!({"a": 1})), "{\n  \"a\": 1\n}\n");
    }

    #[test]
    fn items_in_the_middle_go() {
        let text = "[\n 1,\n  [2, 3], 4\n]";
        assert_eq!(toward(text, &json!([1, 4])), "[\n 1, 4\n]");
        assert_eq!(toward(text, &json!([[3], 4])), "[\n [3], 4\n]");
    }

    /// A key that is there twice, and any other oddity: the value is what counts.
    #[test]
    fn the_value_is_right_whatever_the_text() {
        let new = json!({"a": [3], "b": {"c": 1}});
        for text in [
            "{\"a\":1,\"a\":[2]}",
            "{\"b\":[]}",
            "[]",
            "3",
            "{\"\\u0061\":[3]}",
        ] {
            let done: Value = serde_json::from_str(&toward(text, &new)).unwrap();
            assert_eq!(done, new, "{text}");
        }
    }
}
