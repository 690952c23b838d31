//! Help, from the table: all commands, one group, or one command.
//!
//! Nothing is written twice: what the table says of a flag is what help, completions and the manual's
//! test say of it.

use super::grid::fold;
use super::out::{Done, Fail, Ink, Look};
use super::parse::next_words;
use super::table::{COMMANDS, Command, Flag, GLOBAL};
use crate::error::Error;
use crate::nearest::nearest;

/// Help for the words given; for none of them, the overview.
pub fn show(look: &Look, words: &[String]) -> Result<Done, Fail> {
    let exact = COMMANDS.iter().find(|c| c.words == words);
    let group: Vec<&Command> = COMMANDS
        .iter()
        .filter(|c| c.words.len() >= words.len() && c.words.iter().zip(words).all(|(a, b)| a == b))
        .collect();
    let text = match (exact, group.as_slice()) {
        (Some(command), _) => one(look, command),
        (None, []) => return Err(unknown(words)),
        (None, _) if words.is_empty() => overview(look),
        (None, group) => listing(look, words, group),
    };
    Ok(Done::new(text.clone(), text.into()))
}

fn unknown(words: &[String]) -> Fail {
    let error = Error::new(format!("unknown command '{}'", words.join(" ")));
    let near = words.first().and_then(|w| nearest(w, next_words(&[])));
    Fail::usage(match near {
        Some(near) => error.hint(format!("did you mean 'rch {near}'?")),
        None => error.hint("'rch --help' lists the commands"),
    })
}

fn overview(look: &Look) -> String {
    let mut out = String::from(
        "rch sends the compile and test commands of coding agents to other machines.\n\n",
    );
    out.push_str(&look.heading("Usage"));
    out.push_str("  rch [FLAG...] COMMAND [ARG...]\n\n");
    out.push_str(&look.heading("Commands"));
    for command in COMMANDS.iter().filter(|c| c.is_for_people()) {
        out.push_str(&entry(&command.name(), command.about));
    }
    out.push('\n');
    out.push_str(&flags(look, "Flags", GLOBAL));
    out.push_str("\n'rch COMMAND --help' explains a command; rch(1) is the manual.\n");
    out
}

fn listing(look: &Look, words: &[String], group: &[&Command]) -> String {
    let mut out = look.heading("Usage");
    out.push_str(&format!("  rch {} COMMAND [ARG...]\n\n", words.join(" ")));
    out.push_str(&look.heading("Commands"));
    for command in group.iter().filter(|c| c.is_for_people()) {
        out.push_str(&entry(
            &command.words[words.len()..].join(" "),
            command.about,
        ));
    }
    out
}

/// How a command is written.
pub fn usage(command: &Command) -> String {
    let flags = if command.flags.is_empty() {
        ""
    } else {
        " [FLAG...]"
    };
    let line = format!("rch {}{flags} {}", command.name(), command.operands.shown);
    line.trim_end().into()
}

fn one(look: &Look, command: &Command) -> String {
    let mut out = format!("{}.\n", command.about);
    if !command.more.is_empty() {
        out.push('\n');
        out.push_str(&fold(command.more, 0, 0, look.width.min(80)));
        out.push('\n');
    }
    out.push('\n');
    out.push_str(&look.heading("Usage"));
    out.push_str(&format!("  {}\n", usage(command)));
    if !command.flags.is_empty() {
        out.push('\n');
        out.push_str(&flags(look, "Flags", command.flags));
    }
    if !command.examples.is_empty() {
        out.push('\n');
        out.push_str(&look.heading("Examples"));
        for (line, what) in command.examples {
            let what = look.paint(Ink::Dim, &format!("# {what}"));
            out.push_str(&format!("  {what}\n  {line}\n"));
        }
    }
    out.push_str("\nThe flags of every command are shown by 'rch --help'.\n");
    out
}

fn flags(look: &Look, title: &str, flags: &[Flag]) -> String {
    let mut out = look.heading(title);
    for flag in flags {
        out.push_str(&entry(&spelled(flag), flag.help));
    }
    out
}

/// `-n, --tail N`.
fn spelled(flag: &Flag) -> String {
    let short = flag.short.map_or("    ".into(), |c| format!("-{c}, "));
    let value = flag.value.map_or(String::new(), |v| format!(" {v}"));
    format!("{short}--{}{value}", flag.long)
}

/// Columns of names.
const NAMES: usize = 22;

/// A name and what it means, in two columns, or one below the other if the name is long.
fn entry(name: &str, what: &str) -> String {
    let column = NAMES + 4;
    let what = fold(what, column, column, 80);
    if name.chars().count() > NAMES {
        return format!("  {name}\n{}{what}\n", " ".repeat(column));
    }
    format!("  {name:NAMES$}  {what}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::parse::Given;

    fn plain() -> Look {
        Look::new(&Given::default(), &|_| None, None)
    }

    #[test]
    fn every_page_fits_in_eighty_columns() {
        let words = |c: &Command| c.words.iter().map(|w| w.to_string()).collect::<Vec<_>>();
        let mut pages: Vec<Vec<String>> = COMMANDS.iter().map(words).collect();
        pages.extend([vec![], vec!["workers".into()], vec!["daemon".into()]]);
        for page in pages {
            let text = show(&plain(), &page).unwrap().text;
            for line in text.lines() {
                assert!(line.chars().count() <= 80, "{page:?}: {line}");
            }
            assert!(text.contains("Usage"));
        }
    }

    #[test]
    fn help_for_nothing_we_know_is_an_error_with_a_remedy() {
        let fail = show(&plain(), &["satus".into()]).unwrap_err();
        assert_eq!(fail.error.remedy(), Some("did you mean 'rch status'?"));
    }
}
