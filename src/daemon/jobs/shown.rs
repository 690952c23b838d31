//! Texts that others made, cut to what people read.
//!
//! A command line may be megabytes long and hold anything; a row of `rch status` may not.

use crate::shell::quoted;
use crate::wire::client::Exec;

/// Characters of a command or of a worker's complaint that are shown and kept.
const SHOWN: usize = 500;
/// The command on one line, for people; a very long one in part.
pub(in crate::daemon) fn report_command(exec: &Exec) -> String {
    let mut line = String::new();
    for word in &exec.argv {
        // Four bytes make a character, at most.
        if line.len() > 4 * SHOWN {
            break;
        }
        let space = if line.is_empty() { "" } else { " " };
        line.push_str(space);
        line.push_str(&quoted(&word.to_string_lossy()));
    }
    let line: String = line
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    clip(&line)
}

/// What is kept of a text that others made, for people.
pub(in crate::daemon) fn clip(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_command_is_shown_in_part_and_on_one_line() {
        let exec = |argv: Vec<&str>| Exec {
            argv: argv.into_iter().map(Into::into).collect(),
            cwd: "/".into(),
            env: vec![],
            own: vec![],
            tty: (false, false),
            merged: false,
            require_remote: false,
        };
        assert_eq!(report_command(&exec(vec!["make", "a\tb\n"])), "make 'a b '");
        let long = report_command(&exec(vec!["é"; 100_000]));
        assert_eq!(long.chars().count(), SHOWN + 1);
        assert!(long.ends_with('…'), "{long}");
    }
}
