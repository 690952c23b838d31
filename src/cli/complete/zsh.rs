//! The script for zsh: a function of its own kind, with what each word means beside it. bash's function
//! under zsh's emulation would do without that, and offers nothing on the first TAB of a session.

use std::fmt::Write;

use super::super::table::{Flag, GLOBAL, What};
use super::{asked, commands, groups, next, only_first, operands, spellings, valued};

/// `$words` and `CURRENT` are zsh's own: the command line, and which word of it is completed. So is
/// `$commands`, which a local of that name would hide from the completion behind `exec`.
const HEAD: &str = r#"#compdef rch
# zsh completion for rch, made by 'rch completions zsh'.
_rch() {
    local -a said below flags operands
    local -i i
    local flag=$words[CURRENT-1]
    if [[ -prefix --*= ]]; then
        flag=${PREFIX%%=*}
        compset -P '*='
    fi
"#;

/// Read by itself from `fpath` it is to complete at once; read by `source` it is to be known.
const FOOT: &str = r#"    esac
    if [[ $PREFIX == -* || -z $below$operands ]]; then
        _describe -o flag flags
    elif (( $#below )); then
        _describe command below
    else
        compadd -- $operands
    fi
}
if [[ $funcstack[1] == _rch ]]; then _rch "$@"; else compdef _rch rch; fi
"#;

pub fn script() -> String {
    let mut out = String::from(HEAD);
    out.push_str(&said());
    out.push_str("    case $flag in\n");
    for flag in valued() {
        let _ = writeln!(
            out,
            "        {}) {}; return ;;",
            spellings(flag).join("|"),
            value(flag)
        );
    }
    let _ = writeln!(
        out,
        "    esac\n    flags=({})\n    case \"$said\" in\n        '') below=({} {}) ;;",
        flags(GLOBAL),
        described(&next(&[])),
        item("help", "Show help")
    );
    for group in groups() {
        let _ = writeln!(
            out,
            "        {group}) below=({}) ;;",
            described(&next(&[group]))
        );
    }
    for command in commands().filter(|c| c.operands.what != What::Command) {
        let name = command.name();
        let _ = write!(out, "        '{name}'|'{name} '*) ");
        if !command.flags.is_empty() {
            let _ = write!(out, "flags+=({}); ", flags(command.flags));
        }
        if command.operands.what == What::Folder {
            out.push_str("[[ $PREFIX == -* ]] || { _files -/; return }; ");
        }
        if only_first(command) {
            let _ = write!(out, "[[ \"$said\" != '{name}' ]] || ");
        }
        let words = operands(command).join(" ");
        let _ = match asked(command) {
            Some(line) => writeln!(out, "operands=(${{(f)\"$({line})\"}}) ;;"),
            None if words.is_empty() => writeln!(out, "operands=() ;;"),
            None => writeln!(out, "operands=({words}) ;;"),
        };
    }
    out + FOOT
}

/// A word and its meaning, as `_describe` takes them.
fn item(word: &str, about: &str) -> String {
    format!("'{word}:{}'", about.replace('\'', r"'\''"))
}

fn described(words: &[(&str, String)]) -> String {
    let all: Vec<String> = words.iter().map(|(w, about)| item(w, about)).collect();
    all.join(" ")
}

fn flags(flags: &[Flag]) -> String {
    let each = |f: &Flag| {
        spellings(f)
            .into_iter()
            .map(|s| item(&s, f.help))
            .collect::<Vec<_>>()
    };
    flags.iter().flat_map(each).collect::<Vec<_>>().join(" ")
}

fn value(flag: &Flag) -> String {
    match flag.value {
        _ if !flag.choices.is_empty() => format!("compadd -- {}", flag.choices.join(" ")),
        Some("FILE") => "_files".into(),
        Some("PROGRAM") => "_command_names".into(),
        name => format!("_message {}", name.unwrap_or_default()),
    }
}

/// Collects the words that are no flags in `said`; what follows `exec` is another command's.
fn said() -> String {
    let valued: Vec<String> = valued().into_iter().flat_map(spellings).collect();
    let valued = valued.join("|");
    format!(
        r#"    for ((i = 2; i < CURRENT; i++)); do
        case $words[i] in
            {valued}) ((++i)) ;;
            -*) ;;
            *) said+=($words[i]); [[ "$said" == exec ]] && break ;;
        esac
    done
    if [[ "$said" == exec ]]; then
        ((++i))
        while ((i < CURRENT)) && [[ $words[i] == -* ]]; do ((++i)); done
        shift $((i - 1)) words
        ((CURRENT -= i - 1))
        _normal
        return
    fi
"#
    )
}
