//! `rch status --watch`: the page, again every second.
//!
//! On a terminal it is drawn in place, on the alternate screen, so that what stood there before
//! stands there afterwards, and while it is stopped (Ctrl-Z); interrupting it is its normal end, as is `q`.
//! Anywhere else each page follows the one before, after an empty line; machine formats give one
//! envelope a second.

use std::io::Stdin;
use std::os::fd::AsFd;
use std::time::Duration;

use serde_json::json;

use super::out::{self, Done, Fail, Format, Look};
use super::status::{self, Parts};
use super::{Outcome, link};
use crate::client::Daemon;
use crate::error::Error;
use crate::sys::fd::{self, Watch, poll};
use crate::sys::process;
use crate::sys::signal::{self, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH, Signals};
use crate::sys::tty::{Keys, winsize};
use crate::wire::client::Ask;
use crate::wire::status::Status;

const PERIOD: Duration = Duration::from_secs(1);

const SIGNALS: [i32; 6] = [SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGTSTP, SIGWINCH];

/// Alternate screen, cursor hidden, long lines cut; and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";

/// A terminal that is drawn on, and as it was once this goes, whatever ends the watching.
struct Screen {
    /// `None` if keys come from elsewhere, or are another's.
    keys: Option<Keys<Stdin>>,
}

impl Screen {
    fn enter() -> Result<Screen, Fail> {
        let screen = Screen { keys: None };
        out::print(ENTER.as_bytes())?;
        Ok(screen)
    }

    /// As soon as they are ours: a shell may put us behind and fetch us again without a word.
    fn take_keys(&mut self) {
        if self.keys.is_none() {
            self.keys = Keys::take(std::io::stdin());
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = out::print(LEAVE.as_bytes());
    }
}

pub fn run(look: &Look, parts: Parts) -> Outcome {
    // The first answer comes before anything is drawn: without a daemon the screen stays as it is.
    let mut first = Some(ask(look)?);
    let mut signals = watched()?;
    let enter = || status::redraws(look).then(Screen::enter).transpose();
    let mut screen = enter()?;
    let mut look = *look;
    loop {
        let text = match first.take().map_or_else(|| ask(&look), Ok) {
            Ok(status) => frame(&look, &status, parts),
            Err(fail) => format!("rch: {}\n", fail.error),
        };
        if !show(&look, &text)? {
            break;
        }
        if let Some(screen) = &mut screen {
            screen.take_keys();
        }
        match pause(&signals, screen.as_ref().and_then(|s| s.keys.as_ref())) {
            Next::Page => {}
            Next::Resized => resize(&mut look),
            Next::Stop => {
                drop(screen.take());
                stop();
                signals = watched()?;
                screen = enter()?;
                resize(&mut look);
            }
            Next::Over => break,
        }
    }
    Ok(Done::default())
}

/// A new connection each time: the daemon may be restarted while we watch.
fn ask(look: &Look) -> Result<Status, Fail> {
    let quiet = Look {
        quiet: true,
        ..*look
    };
    let mut daemon: Daemon = link::connect(&quiet)?;
    link::ask(&mut daemon, &Ask::Status)
}

fn frame(look: &Look, status: &Status, parts: Parts) -> String {
    match look.format {
        Format::People => status::page(look, status, parts),
        format => {
            let envelope = json!({
                "api_version": "1", "command": "status", "success": true, "data": status,
            });
            out::machine(format, &envelope)
        }
    }
}

/// On a terminal, line over line, clearing what is left of each and all below; what does not fit
/// is cut, because a terminal that scrolls cannot be redrawn.
fn show(look: &Look, text: &str) -> Result<bool, Fail> {
    if !status::redraws(look) {
        return out::print(format!("{text}\n").as_bytes());
    }
    let rows = winsize(std::io::stdout()).map_or(24, |(_, rows)| usize::from(rows));
    out::print(redraw(text, rows).as_bytes())
}

/// The bytes that replace one page by the next.
pub fn redraw(text: &str, rows: usize) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    let rows = rows.max(1);
    let more = format!("({} more lines)", lines.len().saturating_sub(rows - 1));
    if lines.len() > rows {
        lines.truncate(rows - 1);
        lines.push(&more);
    }
    // Cleared before it is written: behind a full line the cursor stands on its last letter.
    let last = lines.pop().unwrap_or_default();
    let above: String = lines.iter().map(|l| format!("\x1b[K{l}\r\n")).collect();
    format!("\x1b[H{above}\x1b[J{last}")
}

/// What ends the time of a page.
enum Next {
    Page,
    /// The terminal has another size.
    Resized,
    /// The user wants to do something else meanwhile.
    Stop,
    Over,
}

/// Waits for the next page's time, or for what comes before it.
fn pause(signals: &Signals, keys: Option<&Keys<Stdin>>) -> Next {
    let watch = |fd| Watch {
        fd,
        read: true,
        write: false,
    };
    let fds = [Some(signals.as_fd()), keys.map(AsFd::as_fd)];
    let fds: Vec<Watch<'_>> = fds.into_iter().flatten().map(watch).collect();
    let Ok(ready) = poll(&fds, Some(PERIOD)) else {
        return Next::Over;
    };
    let pressed = ready.get(1).is_some_and(|keys| keys.readable);
    match signals.next() {
        None if pressed && is_over(keys) => Next::Over,
        None => Next::Page,
        Some(SIGWINCH) => Next::Resized,
        Some(SIGTSTP) => Next::Stop,
        Some(_) => Next::Over,
    }
}

/// Whether it was the key that ends pagers and tops, or the terminal has gone.
fn is_over(keys: Option<&Keys<Stdin>>) -> bool {
    let mut typed = [0; 64];
    let read = keys.map_or(Ok(0), |keys| fd::read(keys, &mut typed));
    read.map_or(true, |n| n == 0 || typed[..n].contains(&b'q'))
}

fn resize(look: &mut Look) {
    if let Some((columns, _)) = winsize(std::io::stdout()) {
        look.width = usize::from(columns).max(40);
    }
}

fn watched() -> Result<Signals, Fail> {
    Signals::new(&SIGNALS).map_err(|e| Fail::system(Error::os("cannot watch signals", &e)))
}

/// Stands still until SIGCONT. The signal is raised again rather than
/// obeyed: the kernel knows whether anybody is there to continue us.
fn stop() {
    signal::unblock_all();
    let _ = process::kill(process::getpid(), SIGTSTP);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_redrawn_without_scrolling() {
        assert_eq!(redraw("a\nb\n", 2), "\x1b[H\x1b[Ka\r\n\x1b[Jb");
        assert_eq!(
            redraw("a\nb\nc\n", 2),
            "\x1b[H\x1b[Ka\r\n\x1b[J(2 more lines)"
        );
        assert_eq!(redraw("", 0), "\x1b[H\x1b[J");
    }
}
