//! The daemon's and the worker's log: one line per event, level first, on a stream of the owner's choice.
//!
//! There is one writer per process and no buffering: a line that explains a crash must be on disk
//! when it happens. The hook and `rch exec` do not log; what they have to say goes to the agent's
//! stderr or nowhere.

use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::time;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    Error,
    Warn,
    Info,
    Debug,
}

impl Level {
    pub fn parse(text: &str) -> Option<Level> {
        [Level::Error, Level::Warn, Level::Info, Level::Debug]
            .into_iter()
            .find(|l| l.name() == text)
    }

    pub fn name(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info => "info",
            Level::Debug => "debug",
        }
    }
}

static LEVEL: AtomicU8 = AtomicU8::new(Level::Info as u8);
static OUT: Mutex<Option<Box<dyn Write + Send>>> = Mutex::new(None);

/// Sends the log to `out`, dropping what is more detailed than `level`. Before this it goes nowhere.
pub fn open(out: Box<dyn Write + Send>, level: Level) {
    set_level(level);
    if let Ok(mut slot) = OUT.lock() {
        *slot = Some(out);
    }
}

pub fn set_level(level: Level) {
    LEVEL.store(level as u8, Ordering::Relaxed);
}

pub fn enabled(level: Level) -> bool {
    level as u8 <= LEVEL.load(Ordering::Relaxed)
}

/// Writes one line. A log that cannot be written is not worth dying for.
pub fn write(level: Level, text: std::fmt::Arguments<'_>) {
    if !enabled(level) {
        return;
    }
    if let Ok(mut slot) = OUT.lock()
        && let Some(out) = slot.as_mut()
    {
        let line = format!("{} {:5} {text}\n", time::rfc3339(time::now()), level.name());
        let _ = out.write_all(line.as_bytes());
    }
}

#[macro_export]
macro_rules! error { ($($t:tt)*) => { $crate::log::write($crate::log::Level::Error, format_args!($($t)*)) } }
#[macro_export]
macro_rules! warn { ($($t:tt)*) => { $crate::log::write($crate::log::Level::Warn, format_args!($($t)*)) } }
#[macro_export]
macro_rules! info { ($($t:tt)*) => { $crate::log::write($crate::log::Level::Info, format_args!($($t)*)) } }
#[macro_export]
macro_rules! debug { ($($t:tt)*) => { $crate::log::write($crate::log::Level::Debug, format_args!($($t)*)) } }
