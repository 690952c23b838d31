//! The script for bash. It needs no other; with bash-completion(1) there, `rch exec cargo b` goes on as
//! `cargo b` would.

use std::fmt::Write;

use super::super::table::{Flag, GLOBAL, What};
use super::{asked, commands, groups, next, only_first, operands, spellings, valued};

const HEAD: &str = r#"# bash completion for rch, made by 'rch completions bash'.
_rch() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words= flags= i c=
    COMPREPLY=()
    # bash takes '--flag=value' for three words.
    [[ $prev == = ]] && prev=${COMP_WORDS[COMP_CWORD-2]}
    [[ $cur == = ]] && cur=
"#;

const FOOT: &str = r#"    esac
    [[ $cur == -* || -z $words ]] && words=$flags
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -F _rch rch
"#;

pub fn script() -> String {
    let mut out = String::from(HEAD);
    out.push_str(&said());
    out.push_str("    case $prev in\n");
    for flag in valued() {
        let _ = writeln!(
            out,
            "        {}) {}return ;;",
            spellings(flag).join("|"),
            value(flag)
        );
    }
    let first: Vec<&str> = next(&[]).iter().map(|(w, _)| *w).collect();
    let _ = writeln!(
        out,
        "    esac\n    flags='{}'\n    case $c in\n        '') words='{} help' ;;",
        flags(GLOBAL),
        first.join(" ")
    );
    for group in groups() {
        let below: Vec<&str> = next(&[group]).iter().map(|(w, _)| *w).collect();
        let _ = writeln!(out, "        {group}) words='{}' ;;", below.join(" "));
    }
    for command in commands().filter(|c| c.operands.what != What::Command) {
        let name = command.name();
        let _ = write!(out, "        '{name}'|'{name} '*) ");
        if !command.flags.is_empty() {
            let _ = write!(out, "flags+=' {}'; ", flags(command.flags));
        }
        if command.operands.what == What::Folder {
            out.push_str(
                "[[ $cur == -* ]] || { COMPREPLY=($(compgen -d -- \"$cur\")); return; }; ",
            );
        }
        if only_first(command) {
            let _ = write!(out, "[[ $c != '{name}' ]] || ");
        }
        let words = operands(command).join(" ");
        let _ = match asked(command) {
            Some(line) => writeln!(out, "words=$({line}) ;;"),
            None if words.is_empty() => writeln!(out, "words= ;;"),
            None => writeln!(out, "words='{words}' ;;"),
        };
    }
    out + FOOT
}

fn flags(flags: &[Flag]) -> String {
    let long: Vec<String> = flags.iter().map(|f| format!("--{}", f.long)).collect();
    long.join(" ")
}

fn value(flag: &Flag) -> String {
    let how = match flag.value {
        _ if !flag.choices.is_empty() => format!("-W '{}'", flag.choices.join(" ")),
        Some("FILE") => "-f".into(),
        Some("PROGRAM") => "-c".into(),
        _ => return String::new(),
    };
    format!("COMPREPLY=($(compgen {how} -- \"$cur\")); ")
}

/// Collects the words that are no flags in `c`; what follows `exec` is another command's.
fn said() -> String {
    let valued: Vec<String> = valued().into_iter().flat_map(spellings).collect();
    let valued = valued.join("|");
    format!(
        r#"    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${{COMP_WORDS[i]}} in
            {valued}) ((++i)); [[ ${{COMP_WORDS[i]}} == = ]] && ((++i)) ;;
            -*) ;;
            *) c+="${{c:+ }}${{COMP_WORDS[i]}}"; [[ $c == exec ]] && break ;;
        esac
    done
    if [[ $c == exec ]]; then
        ((++i))
        while ((i < COMP_CWORD)) && [[ ${{COMP_WORDS[i]}} == -* ]]; do ((++i)); done
        if declare -F _command_offset >/dev/null; then _command_offset $i
        elif ((i < COMP_CWORD)); then COMPREPLY=($(compgen -f -- "$cur"))
        else COMPREPLY=($(compgen -c -- "$cur")); fi
        return
    fi
"#
    )
}
