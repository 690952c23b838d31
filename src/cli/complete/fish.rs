//! The script for fish: one `complete` for each word, with the condition under which it is offered.
//! fish's own conditions take the value of a flag for a command's word, so the script brings its own.

use std::fmt::Write;

use super::super::table::{Command, Flag, GLOBAL, What};
use super::{asked, commands, groups, next, only_first, operands, spellings, valued};

const FUNCTIONS: &str = r#"function __rch_at -d 'Whether these are all words so far'
    set -l said (__rch_said)
    test "$said" = "$argv"
end

function __rch_below -d 'Whether these are the first words so far'
    set -l said (__rch_said)
    string match -q -- "$argv *" "$said "
end

function __rch_command -d 'Completes the command behind exec'
    set -l words (commandline -opc)
    while set -q words[1]; and test "$words[1]" != exec
        set -e words[1]
    end
    set -e words[1]
    while string match -q -- '-*' "$words[1]"
        set -e words[1]
    end
    complete -C (string join ' ' -- (string escape -- $words) (commandline -ct))
end

complete -c rch -f
"#;

pub fn script() -> String {
    let mut out = String::from("# fish completion for rch, made by 'rch completions fish'.\n");
    out.push_str(&said());
    out.push_str(FUNCTIONS);
    for flag in GLOBAL {
        rule(&mut out, "not __rch_below exec", &described(flag));
    }
    for (word, about) in next(&[]) {
        rule(&mut out, "__rch_at", &offer(word, &about));
    }
    rule(&mut out, "__rch_at", &offer("help", "Show help"));
    for group in groups() {
        for (word, about) in next(&[group]) {
            rule(&mut out, &format!("__rch_at {group}"), &offer(word, &about));
        }
    }
    for command in commands() {
        below(&mut out, command);
    }
    out
}

/// What may stand behind a command's words.
fn below(out: &mut String, command: &Command) {
    let when = format!("__rch_below {}", command.name());
    for flag in command.flags {
        rule(out, &when, &described(flag));
    }
    let operands = operands(command).join(" ");
    let what = match (command.operands.what, asked(command)) {
        (What::Command, _) => "-a '(__rch_command)'".into(),
        (What::Folder, _) => "-a '(__fish_complete_directories)'".into(),
        (_, Some(line)) => format!("-a '({})'", escaped(line)),
        _ if operands.is_empty() => return,
        _ => format!("-a '{operands}'"),
    };
    let first = format!("__rch_at {}", command.name());
    let when = if only_first(command) { &first } else { &when };
    rule(out, when, &what);
}

fn rule(out: &mut String, when: &str, what: &str) {
    let _ = writeln!(out, "complete -c rch -n '{when}' {what}");
}

fn offer(word: &str, about: &str) -> String {
    format!("-a {word} -d '{}'", escaped(about))
}

fn described(flag: &Flag) -> String {
    let mut out = format!("-l {}", flag.long);
    if let Some(short) = flag.short {
        let _ = write!(out, " -s {short}");
    }
    match flag.value {
        None => {}
        _ if !flag.choices.is_empty() => {
            let _ = write!(out, " -x -a '{}'", flag.choices.join(" "));
        }
        Some("FILE") => out.push_str(" -r -F"),
        Some("PROGRAM") => out.push_str(" -x -a '(__fish_complete_command)'"),
        Some(_) => out.push_str(" -x"),
    }
    let _ = write!(out, " -d '{}'", escaped(flag.help));
    out
}

/// For the inside of single quotes.
fn escaped(text: &str) -> String {
    text.replace('\\', r"\\").replace('\'', r"\'")
}

/// Tells the words that are no flags; what follows `exec` is another command's.
fn said() -> String {
    let valued: Vec<String> = valued().into_iter().flat_map(spellings).collect();
    let valued = valued.join(" ");
    format!(
        r#"function __rch_said -d 'The words so far that are no flags'
    set -l value yes
    for word in (commandline -opc)
        if test -n "$value"
            set value
        else if contains -- $word {valued}
            set value yes
        else if not string match -q -- '-*' $word
            echo -- $word
            test $word = exec; and return
        end
    end
end

"#
    )
}
