//! The progress line of `rch exec`: what is going on, on a terminal's last line, gone at the end.
//!
//! It is drawn on stderr only where that is a terminal, we are in its foreground, the cursor stands
//! at the beginning of a line, and the job has been silent for a moment; a job that is over at once
//! never shows one. Off a terminal nothing is ever written.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::cli::grid::{bytes, shorten};
use crate::cli::out::{Look, clean};
use crate::sys::tty;
use crate::time;
use crate::wire::status::Phase;

/// How often the line is drawn anew.
const PERIOD: Duration = Duration::from_millis(200);
/// How long a job and its output must have been silent before it is drawn.
const LULL: Duration = Duration::from_millis(100);

pub(super) struct Line {
    /// `None` where there is nothing to draw on.
    look: Option<Look>,
    /// What goes on, and since when.
    phase: Option<(Phase, Instant)>,
    drawn: bool,
    /// The cursor stands at the beginning of a line.
    fresh: bool,
    /// When the terminal was last written to by the job.
    busy: Instant,
    /// Whether stdout is the terminal too.
    both: bool,
}

impl Line {
    pub(super) fn new(look: Look) -> Line {
        let stderr = io::stderr();
        Line {
            look: (look.terminal && !look.quiet && stderr.is_terminal()).then_some(look),
            phase: None,
            drawn: false,
            fresh: true,
            busy: Instant::now(),
            both: io::stdout().is_terminal(),
        }
    }

    /// The daemon says what goes on.
    pub(super) fn phase(&mut self, phase: Phase, now: Instant) {
        let same = |old: &Phase| std::mem::discriminant(old) == std::mem::discriminant(&phase);
        let since = match &self.phase {
            Some((old, since)) if same(old) => *since,
            _ => now,
        };
        self.phase = Some((phase, since));
        if self.drawn {
            self.draw(now);
        }
    }

    /// Draws it, if it is time.
    pub(super) fn tick(&mut self, now: Instant) {
        if self.fresh && now >= self.busy + LULL {
            self.draw(now);
        }
    }

    /// When it wants to be drawn next.
    pub(super) fn deadline(&self, now: Instant) -> Option<Instant> {
        let after = if self.drawn { PERIOD } else { LULL };
        (self.look.is_some() && self.fresh).then(|| now + after)
    }

    fn draw(&mut self, now: Instant) {
        let (Some(look), Some((phase, since))) = (&self.look, &self.phase) else {
            return;
        };
        let stderr = io::stderr();
        if !tty::is_foreground(&stderr) {
            return;
        }
        let width = tty::winsize(&stderr).map_or(look.width, |(columns, _)| usize::from(columns));
        let text = render(look, phase, now.saturating_duration_since(*since));
        // One column is left free: a full line would wrap.
        let text = shorten(look, &text, width.saturating_sub(1));
        let _ = write!(stderr.lock(), "\r{text}\x1b[K");
        self.drawn = true;
    }

    /// The job writes: the line gives way.
    pub(super) fn make_room(&mut self, stream: u8, bytes: &[u8]) {
        if self.look.is_none() || (stream == 1 && !self.both) {
            return;
        }
        self.clear();
        self.fresh = bytes.ends_with(b"\n");
        self.busy = Instant::now();
    }

    pub(super) fn clear(&mut self) {
        if self.drawn {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
        self.drawn = false;
    }
}

/// The line's text.
fn render(look: &Look, phase: &Phase, elapsed: Duration) -> String {
    let dots = if look.ascii { "..." } else { "…" };
    let time = time::human(elapsed);
    match phase {
        Phase::Scanning => format!("Looking at the project{dots}  ({time})"),
        Phase::Queued { place, reason } => {
            let reason = match (reason.as_str(), place) {
                ("", _) => String::new(),
                (reason, 0 | 1) => format!(" {}", clean(reason)),
                (reason, place) => format!(" {}; number {place} in line", clean(reason)),
            };
            format!("Waiting for a worker{dots}{reason}  ({time})")
        }
        Phase::Syncing { done, total, .. } => {
            let sizes = match (*done, *total) {
                (0, total) => bytes(total),
                (done, total) => format!("{} / {}", bytes(done.min(total)), bytes(total)),
            };
            format!("Syncing project{dots}  {sizes}  ({time})")
        }
        Phase::Running { worker } => format!("Running on {}{dots}  ({time})", clean(worker)),
        // Which files come home is not known yet.
        Phase::Returning { files: 0, .. } => format!("Returning artifacts{dots}  ({time})"),
        Phase::Returning { files, .. } => {
            let plural = if *files == 1 { "" } else { "s" };
            format!("Returning artifacts{dots} {files} file{plural} ({time})")
        }
        Phase::Over(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::parse::Given;

    #[test]
    fn every_phase_has_its_words() {
        let mut look = Look::new(&Given::default(), &|_| None, Some(80));
        let worker = || String::from("css");
        let show = |look: &Look, phase| render(look, &phase, Duration::from_millis(1200));
        look.ascii = false;
        let syncing = Phase::Syncing {
            worker: worker(),
            done: 182_000_000,
            total: 182_000_000,
        };
        assert_eq!(
            show(&look, syncing),
            "Syncing project…  182 MB / 182 MB  (1.2s)"
        );
        let returning = Phase::Returning {
            worker: worker(),
            files: 14,
            done: 0,
            total: 0,
        };
        assert_eq!(
            show(&look, returning),
            "Returning artifacts… 14 files (1.2s)"
        );
        look.ascii = true;
        assert_eq!(
            show(&look, Phase::Running { worker: worker() }),
            "Running on css...  (1.2s)"
        );
        let queued = Phase::Queued {
            place: 2,
            reason: "1 of 4 slots free on css, 2 wanted".into(),
        };
        assert_eq!(
            show(&look, queued),
            "Waiting for a worker... 1 of 4 slots free on css, 2 wanted; number 2 in line  (1.2s)"
        );
    }
}
