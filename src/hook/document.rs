//! The documents that agents' clients send, in their dialects.
//!
//! Only what is needed is read; everything unknown is ignored. The tool's input is kept as the bytes
//! it came in, and the command is replaced within them: no other field can be lost or changed.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// Whose document it is, which decides how the answer must look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Claude,
    Codex,
    Gemini,
}

#[derive(Debug, Deserialize)]
struct Outer<'a> {
    #[serde(borrow, default)]
    hook_event_name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    tool_name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    tool: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    tool_input: Option<&'a RawValue>,
    #[serde(borrow, default)]
    input: Option<&'a RawValue>,
    #[serde(borrow, default)]
    cwd: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    permission_mode: Option<Cow<'a, str>>,
    /// Codex alone sends this.
    #[serde(borrow, default)]
    turn_id: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
struct Inner<'a> {
    #[serde(borrow)]
    command: &'a RawValue,
}

#[derive(Debug)]
pub struct Document<'a> {
    pub dialect: Dialect,
    pub cwd: Option<Cow<'a, str>>,
    pub permission_mode: Option<Cow<'a, str>>,
    pub command: Cow<'a, str>,
    input: &'a str,
    /// Where the command's JSON string stands in `input`.
    place: (usize, usize),
}

/// Reads a document; `None` if it is not about a shell command, or broken.
pub fn read(bytes: &[u8]) -> Option<Document<'_>> {
    let outer: Outer<'_> = serde_json::from_slice(bytes).ok()?;
    let dialect = dialect(&outer)?;
    let input = outer.tool_input.or(outer.input)?.get();
    let inner: Inner<'_> = serde_json::from_str(input).ok()?;
    let raw = inner.command.get();
    let start = (raw.as_ptr() as usize).checked_sub(input.as_ptr() as usize)?;
    let end = start.checked_add(raw.len())?;
    let command: Text<'_> = serde_json::from_str(raw).ok()?;
    Some(Document {
        dialect,
        cwd: outer.cwd,
        permission_mode: outer.permission_mode,
        command: command.0,
        input,
        place: (start, end),
    })
}

/// A string, borrowed where it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

fn dialect(outer: &Outer<'_>) -> Option<Dialect> {
    let event = outer.hook_event_name.as_deref();
    match (outer.tool_name.as_deref().or(outer.tool.as_deref())?, event) {
        ("run_shell_command", Some("BeforeTool")) => Some(Dialect::Gemini),
        ("Bash", Some("PreToolUse") | None) if outer.turn_id.is_some() => Some(Dialect::Codex),
        ("Bash", Some("PreToolUse") | None) => Some(Dialect::Claude),
        _ => None,
    }
}

impl Document<'_> {
    /// The tool's input with another command.
    pub fn input_with(&self, command: &str) -> Option<String> {
        let mut out = String::with_capacity(self.input.len().saturating_add(command.len()));
        out.push_str(self.input.get(..self.place.0)?);
        out.push_str(&serde_json::to_string(command).ok()?);
        out.push_str(self.input.get(self.place.1..)?);
        Some(out)
    }
}
