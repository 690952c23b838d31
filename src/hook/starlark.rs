//! The rules files of Codex: `prefix_rule(pattern = ["git", ["push", "pull"]], decision = "prompt")`.
//!
//! They are Starlark, a programming language. Only what people and Codex itself write there is read:
//! calls with named arguments of strings and lists, and comments. Any other statement could make rules
//! in ways that are not followed here, so a file that holds one is not understood.

use super::rules::{Rule, Rules};

enum Token<'a> {
    Name(&'a str),
    Text(String),
    Mark(u8),
}

enum Value {
    Text(String),
    List(Vec<Value>),
    Other,
}

/// Most rules that one pattern with alternatives may stand for.
const MOST: usize = 256;

/// Reads a file; `None` if it is not understood.
pub fn read(text: &str) -> Option<Rules> {
    let mut rules = Rules::default();
    let mut tokens = tokens(text)?.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            Token::Text(_) => {}
            Token::Name(name) => {
                let arguments = arguments(&mut tokens)?;
                if name == "prefix_rule" {
                    enter(arguments, &mut rules)?;
                }
            }
            Token::Mark(_) => return None,
        }
    }
    Some(rules)
}

fn tokens(text: &str) -> Option<Vec<Token<'_>>> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        rest = match first {
            c if c.is_whitespace() => rest.get(c.len_utf8()..)?,
            '#' => rest.split_once('\n').map_or("", |(_, after)| after),
            '"' | '\'' => {
                let (text, after) = string(rest.get(1..)?, first)?;
                found.push(Token::Text(text));
                after
            }
            '(' | ')' | '[' | ']' | '=' | ',' => {
                found.push(Token::Mark(u8::try_from(first).ok()?));
                rest.get(1..)?
            }
            c if name(c) => {
                let end = rest.find(|c| !name(c)).unwrap_or(rest.len());
                found.push(Token::Name(rest.get(..end)?));
                rest.get(end..)?
            }
            _ => return None,
        };
    }
    Some(found)
}

/// A string up to its quote, and what follows. Escapes other than of quotes and backslashes, and
/// strings over several lines, are not read.
fn string(text: &str, quote: char) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\n' => return None,
            '\\' => match chars.next()? {
                (_, c @ ('\\' | '"' | '\'')) => value.push(c),
                _ => return None,
            },
            c if c == quote => return Some((value, text.get(at.saturating_add(1)..)?)),
            c => value.push(c),
        }
    }
    None
}

type Tokens<'a> = std::iter::Peekable<std::vec::IntoIter<Token<'a>>>;

fn eat(tokens: &mut Tokens<'_>, mark: u8) -> Option<()> {
    let there = |t: &Token<'_>| matches!(t, Token::Mark(m) if *m == mark);
    tokens.next_if(there).map(|_| ())
}

/// `(name = value, …)`.
fn arguments<'a>(tokens: &mut Tokens<'a>) -> Option<Vec<(&'a str, Value)>> {
    let mut found = Vec::new();
    eat(tokens, b'(')?;
    while eat(tokens, b')').is_none() {
        let Token::Name(name) = tokens.next()? else {
            return None;
        };
        eat(tokens, b'=')?;
        found.push((name, value(tokens, 0)?));
        if eat(tokens, b',').is_none() {
            eat(tokens, b')')?;
            break;
        }
    }
    Some(found)
}

fn value(tokens: &mut Tokens<'_>, depth: u32) -> Option<Value> {
    match tokens.next()? {
        Token::Text(text) => Some(Value::Text(text)),
        Token::Name("True" | "False" | "None") => Some(Value::Other),
        Token::Mark(b'[') if depth < 4 => {
            let mut list = Vec::new();
            while eat(tokens, b']').is_none() {
                list.push(value(tokens, depth.saturating_add(1))?);
                if eat(tokens, b',').is_none() {
                    eat(tokens, b']')?;
                    break;
                }
            }
            Some(Value::List(list))
        }
        _ => None,
    }
}

/// Enters one `prefix_rule`.
fn enter(arguments: Vec<(&str, Value)>, rules: &mut Rules) -> Option<()> {
    let mut texts = None;
    let mut into = &mut rules.allow;
    for (name, value) in arguments {
        match (name, value) {
            ("pattern", Value::List(words)) => texts = Some(spelt_out(words)?),
            ("decision", Value::Text(decision)) => {
                into = match decision.as_str() {
                    "forbidden" => &mut rules.deny,
                    "prompt" => &mut rules.ask,
                    "allow" => &mut rules.allow,
                    _ => return None,
                }
            }
            ("pattern" | "decision", _) => return None,
            _ => {}
        }
    }
    into.extend(texts?.into_iter().map(Rule::beginning));
    Some(())
}

/// Every text that a pattern stands for: a word of it may be a list of alternatives.
fn spelt_out(words: Vec<Value>) -> Option<Vec<String>> {
    let mut texts = vec![String::new()];
    for word in words {
        let choices = match word {
            Value::Text(text) => vec![text],
            Value::List(list) => list
                .into_iter()
                .map(|v| match v {
                    Value::Text(text) => Some(text),
                    _ => None,
                })
                .collect::<Option<Vec<String>>>()?,
            Value::Other => return None,
        };
        let longer = |t: &String, c: &String| match t.is_empty() {
            true => c.clone(),
            false => format!("{t} {c}"),
        };
        let each = texts
            .iter()
            .flat_map(|t| choices.iter().map(move |c| longer(t, c)));
        texts = each.take(MOST.saturating_add(1)).collect();
        if texts.len() > MOST {
            return None;
        }
    }
    Some(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_codex_writes() {
        let rules = read(
            r#"
# Written by the client.
prefix_rule(pattern=["cargo", "test"], decision="allow")
prefix_rule(
    pattern = ["gh", ["pr", 'issue'], "view"],
    decision = "prompt",
    justification = "it's \"ours\"",
    match = [["gh", "pr", "view"], "gh issue view 1"],
)
prefix_rule(pattern = ["rm"], decision = "forbidden",)
prefix_rule(pattern = ["ls"])
host_executable(name = "git", paths = ["/usr/bin/git"])
"#,
        )
        .unwrap();
        let of = |texts: &[&str]| -> Vec<Rule> {
            texts.iter().map(|t| Rule::beginning((*t).into())).collect()
        };
        assert_eq!(rules.allow, of(&["cargo test", "ls"]));
        assert_eq!(rules.ask, of(&["gh pr view", "gh issue view"]));
        assert_eq!(rules.deny, of(&["rm"]));
    }

    #[test]
    fn a_program_is_not_understood() {
        for text in [
            "for x in [1]:\n  prefix_rule(pattern=[x])",
            "load(\"x\", \"y\")",
            "X = [\"rm\"]\nprefix_rule(pattern=X)",
            "prefix_rule(pattern=[\"a\" + \"b\"])",
            "prefix_rule([\"rm\"], \"forbidden\")",
            "prefix_rule(pattern=[\"rm\"], decision=\"never\")",
            "prefix_rule(pattern=[\"rm\"",
            "prefix_rule(decision=\"allow\")",
            "prefix_rule(pattern=[\"\"\"rm\"\"\"])",
            "prefix_rule(pattern=[\"r\\x6d\"])",
        ] {
            assert!(read(text).is_none(), "{text}");
        }
        assert!(read("# nothing\n").is_some());
    }
}
