//! When a job's output is written: as it comes, all at the end, or only its end.
//!
//! Pure: bytes and moments in, pieces to write out. Whatever the mode, the order of the two streams
//! among each other is kept, and what is written is what the job wrote, save for escape sequences
//! where the user wants none. `max_latency_ms` holds back what follows a piece closely, so that a
//! burst becomes one write; a piece that comes alone never waits.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::ansi::Strip;
use crate::config::Output;

/// What `buffered` holds at most; beyond it output is passed on as it comes.
const MOST: usize = 8 << 20;
/// Held pieces of this size together are written, however soon.
const LARGE: usize = 64 << 10;
/// Lines that `summary` shows.
const LINES: usize = 20;
/// Longest part of a line that `summary` keeps: its end.
const LONGEST: usize = 16 << 10;

/// Bytes for stdout (1) or stderr (2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) stream: u8,
    pub(super) bytes: Vec<u8>,
}

/// What is left to write at the end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rest {
    pub(super) pieces: Vec<Piece>,
    /// Lines that are not among them.
    pub(super) omitted: u64,
}

enum Mode {
    /// Held for so long after a write.
    Realtime(Duration),
    Buffered,
    Summary {
        /// Whole lines and the one that goes on, each with its stream.
        last: VecDeque<Piece>,
        omitted: u64,
    },
}

pub(super) struct Sink {
    mode: Mode,
    strip: Option<[Strip; 2]>,
    held: Vec<Piece>,
    size: usize,
    /// When the last piece was written.
    wrote: Option<Instant>,
}

impl Sink {
    pub(super) fn new(output: &Output) -> Sink {
        let latency = Duration::from_millis(output.max_latency_ms);
        Sink {
            mode: match output.stream_mode.as_str() {
                "buffered" => Mode::Buffered,
                "summary" => Mode::Summary {
                    last: VecDeque::new(),
                    omitted: 0,
                },
                _ => Mode::Realtime(latency),
            },
            strip: (!output.preserve_colors).then(Default::default),
            held: vec![],
            size: 0,
            wrote: None,
        }
    }

    /// Takes what the job wrote; answers what is to be written now.
    pub(super) fn put(&mut self, stream: u8, bytes: Vec<u8>, now: Instant) -> Vec<Piece> {
        let bytes = match &mut self.strip {
            Some(strip) => strip[usize::from(stream != 1)].strip(&bytes),
            None => bytes,
        };
        if bytes.is_empty() {
            return vec![];
        }
        if let Mode::Summary { last, omitted } = &mut self.mode {
            keep(last, omitted, stream, &bytes);
            return vec![];
        }
        self.hold(stream, bytes);
        match self.mode {
            Mode::Realtime(_) if self.size >= LARGE => self.write(now),
            Mode::Realtime(_) => self.due(now),
            Mode::Buffered if self.size > MOST => {
                self.mode = Mode::Realtime(Duration::ZERO);
                self.write(now)
            }
            _ => vec![],
        }
    }

    fn hold(&mut self, stream: u8, mut bytes: Vec<u8>) {
        self.size += bytes.len();
        match self.held.last_mut() {
            Some(piece) if piece.stream == stream => piece.bytes.append(&mut bytes),
            _ => self.held.push(Piece { stream, bytes }),
        }
    }

    fn write(&mut self, now: Instant) -> Vec<Piece> {
        self.wrote = Some(now);
        self.take()
    }

    fn take(&mut self) -> Vec<Piece> {
        self.size = 0;
        std::mem::take(&mut self.held)
    }

    /// What has been held long enough.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Piece> {
        if self.held.is_empty() || self.deadline().is_some_and(|at| now < at) {
            return vec![];
        }
        match self.mode {
            Mode::Realtime(_) => self.write(now),
            _ => vec![],
        }
    }

    /// When something will be due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.mode {
            Mode::Realtime(latency) if !self.held.is_empty() => self.wrote.map(|at| at + latency),
            _ => None,
        }
    }

    /// What has to stand before a line of our own: whatever realtime has held back.
    pub(super) fn flush(&mut self) -> Vec<Piece> {
        match self.mode {
            Mode::Realtime(_) => self.take(),
            _ => vec![],
        }
    }

    /// The job is over. `void`: it will run again, so what was never shown is dropped.
    pub(super) fn end(&mut self, void: bool) -> Rest {
        let mut rest = Rest {
            pieces: self.take(),
            omitted: 0,
        };
        match &mut self.mode {
            Mode::Realtime(_) => return rest,
            Mode::Summary { last, omitted } => {
                rest.pieces = std::mem::take(last).into();
                rest.omitted = *omitted;
            }
            Mode::Buffered => {}
        }
        if void {
            rest.pieces.clear();
            rest.omitted = 0;
        }
        rest
    }
}

/// Adds output to the last lines, and drops the first of them when there are too many.
fn keep(last: &mut VecDeque<Piece>, omitted: &mut u64, stream: u8, bytes: &[u8]) {
    for part in bytes.split_inclusive(|&b| b == b'\n') {
        let open = last
            .iter_mut()
            .rfind(|p| p.stream == stream)
            .filter(|p| !p.bytes.ends_with(b"\n"));
        let line = match open {
            Some(line) => line,
            None => {
                last.push_back(Piece {
                    stream,
                    bytes: vec![],
                });
                last.back_mut().expect("BUG: just pushed")
            }
        };
        line.bytes.extend_from_slice(part);
        let over = line.bytes.len().saturating_sub(LONGEST);
        line.bytes.drain(..over);
        if last.len() > LINES {
            last.pop_front();
            *omitted += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sink(mode: &str, latency: u64) -> Sink {
        Sink::new(&Output {
            stream_mode: mode.into(),
            preserve_colors: true,
            max_latency_ms: latency,
        })
    }

    fn text(pieces: &[Piece]) -> String {
        let one = |p: &Piece| format!("{}:{} ", p.stream, String::from_utf8_lossy(&p.bytes));
        pieces.iter().map(one).collect()
    }

    #[test]
    fn a_piece_alone_never_waits_and_a_burst_becomes_one_write() {
        let (t, ms) = (Instant::now(), Duration::from_millis);
        let mut sink = sink("realtime", 50);
        assert_eq!(text(&sink.put(1, b"a".to_vec(), t)), "1:a ");
        assert_eq!(text(&sink.put(1, b"b".to_vec(), t + ms(1))), "");
        assert_eq!(text(&sink.put(1, b"c".to_vec(), t + ms(2))), "");
        assert_eq!(text(&sink.put(2, b"e".to_vec(), t + ms(3))), "");
        assert_eq!(sink.deadline(), Some(t + ms(50)));
        assert_eq!(text(&sink.due(t + ms(49))), "");
        assert_eq!(text(&sink.due(t + ms(50))), "1:bc 2:e ");
        assert_eq!(sink.deadline(), None);
        assert_eq!(text(&sink.put(2, b"f".to_vec(), t + ms(200))), "2:f ");
        sink.put(1, b"g".to_vec(), t + ms(201));
        let large = vec![b'x'; LARGE];
        assert_eq!(sink.put(1, large, t + ms(202)).len(), 1);
    }

    #[test]
    fn without_latency_nothing_is_held() {
        let t = Instant::now();
        let mut sink = sink("realtime", 0);
        for _ in 0..3 {
            assert_eq!(text(&sink.put(1, b"a".to_vec(), t)), "1:a ");
        }
    }

    #[test]
    fn buffered_output_comes_at_the_end_or_not_at_all_or_when_it_is_too_much() {
        let t = Instant::now();
        let mut held = sink("buffered", 50);
        assert!(held.put(1, b"a\n".to_vec(), t).is_empty());
        assert!(held.put(2, b"b\n".to_vec(), t).is_empty());
        assert_eq!(held.deadline(), None);
        assert!(held.flush().is_empty());
        assert_eq!(text(&held.end(false).pieces), "1:a\n 2:b\n ");
        held.put(1, b"a\n".to_vec(), t);
        assert!(held.end(true).pieces.is_empty());
        held.put(1, b"a\n".to_vec(), t);
        let all: usize = held
            .put(1, vec![b'x'; MOST], t)
            .iter()
            .map(|p| p.bytes.len())
            .sum();
        assert_eq!(all, MOST + 2);
        assert_eq!(text(&held.put(1, b"y".to_vec(), t)), "1:y ");
    }

    #[test]
    fn a_summary_is_the_last_lines_of_both_streams_and_a_count() {
        let t = Instant::now();
        let mut sink = sink("summary", 50);
        for n in 0..30 {
            sink.put(1, format!("line {n}").into_bytes(), t);
            sink.put(2, b"err\n".to_vec(), t);
            sink.put(1, b" end\n".to_vec(), t);
        }
        let rest = sink.end(false);
        assert_eq!((rest.pieces.len(), rest.omitted), (20, 40));
        assert_eq!(text(&rest.pieces[18..]), "1:line 29 end\n 2:err\n ");
        sink.put(1, vec![b'x'; 10 * LONGEST], t);
        assert!(
            sink.end(false)
                .pieces
                .iter()
                .all(|p| p.bytes.len() <= LONGEST)
        );
    }
}
