//! Things in a text that change what the rest of it means, or shows.
//!
//! The rewrite must not be visible to the text itself: a shell that traces (`set -x`), prints what it
//! reads, or looks at its own history would show our insertion.

use super::{names, wrappers};
use crate::shell::{Script, Word};

/// Names the first such thing.
pub fn change(src: &[u8], script: &Script<'_>) -> Option<&'static str> {
    if memchr::memmem::find(src, b"BASH_COMMAND").is_some() {
        return Some("BASH_COMMAND shows commands as they are written");
    }
    if script.functions.iter().any(|f| shadows(f)) {
        return Some("a function called like a tool");
    }
    let mut commands = script.commands.iter();
    commands.find_map(|c| by_command(script.assigns(c), script.words(c)))
}

fn shadows(name: &[u8]) -> bool {
    let builtin = |n: &[u8]| matches!(n, b"nproc" | b"cd" | b"set" | b"command_not_found_handle");
    names::tool(name).is_some() || wrappers::find(name).is_some() || builtin(name)
}

fn by_command(assigns: &[Word<'_>], words: &[Word<'_>]) -> Option<&'static str> {
    let ifs = |w: &Word<'_>| {
        matches!(
            &*w.text,
            [b'I', b'F', b'S', b'=', ..] | [b'I', b'F', b'S', b'+', b'=', ..]
        )
    };
    if assigns.iter().any(ifs) || words.iter().any(ifs) {
        return Some("another IFS");
    }
    let (first, args) = words.split_first()?;
    match first.value()? {
        b"alias" | b"unalias" => Some("aliases"),
        b"shopt" | b"enable" | b"hash" | b"bind" => Some("shell options"),
        b"set" if !is_usual_set(args) => Some("shell options"),
        b"exec" if args.is_empty() => Some("exec without a command"),
        b"trap"
            if args
                .iter()
                .any(|w| matches!(&*w.text, b"DEBUG" | b"RETURN")) =>
        {
            Some("a debug trap")
        }
        _ => None,
    }
}

/// `set -euo pipefail` and its like, or positional parameters.
fn is_usual_set(args: &[Word<'_>]) -> bool {
    let mut named = false;
    for word in args {
        let Some(text) = word.value() else {
            return false;
        };
        match text {
            b"--" => return true,
            b"pipefail" | b"errexit" | b"nounset" | b"errtrace" | b"noclobber" | b"allexport"
                if named =>
            {
                named = false
            }
            _ if named => return false,
            [b'-' | b'+', letters @ ..] if !letters.is_empty() => {
                if !letters.iter().all(|l| b"euoEaC".contains(l)) {
                    return false;
                }
                named = letters.contains(&b'o');
            }
            _ => return false,
        }
    }
    true
}
