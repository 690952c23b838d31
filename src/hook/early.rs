//! The hook's first microseconds: before any allocation, and for most commands all there is.
//!
//! The sieve looks only behind the document's first `"command"`: the paths in front of it are
//! often called after a tool. A tool name hidden in JSON escapes is missed, which costs a slow
//! build and nothing else.

use crate::classify::keywords;
use crate::sys::start;

/// Whether the document could be about a command of ours.
pub fn worth_reading(document: &[u8]) -> bool {
    keywords::behind(document, b"\"command\"").is_some_and(keywords::mentioned)
}

/// The whole hook. Returns only if standard input is a terminal.
pub fn early() {
    if start::isatty(0) {
        return;
    }
    if let Some(document) = start::slurp_stdin()
        && worth_reading(document)
    {
        // Not even a bug of ours may be seen by the agent.
        std::panic::set_hook(Box::new(|_| start::exit_now(0)));
        super::answer::print(document);
    }
    start::exit_now(0)
}
