//! `rch status`: the page a person looks at all day.
//!
//! Views are pure: from the daemon's structs to text. Every line that tells of a problem has its
//! remedy below it; nothing is told by colour alone.

use std::time::Duration;

use serde_json::json;

use super::grid::{Cell, Row, bar, bytes, draw, fold};
use super::out::{Done, Format, Ink, Look, clean};
use super::parse::Call;
use super::{Outcome, jobs, link, watch};
use crate::time::human;
use crate::wire::client::Ask;
use crate::wire::status::{Daemon, Status, Totals, Worker};

/// Which parts are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    pub workers: bool,
    pub jobs: bool,
    pub stats: bool,
}

impl Parts {
    fn asked(call: &Call) -> Parts {
        let has = |name| call.given.has(name);
        Parts {
            workers: has("workers"),
            jobs: has("jobs"),
            stats: has("stats"),
        }
    }

    fn none(self) -> bool {
        !(self.workers || self.jobs || self.stats)
    }
}

pub fn main(call: &Call) -> Outcome {
    let look = Look::here(&call.given);
    let parts = Parts::asked(call);
    if call.given.has("watch") {
        return watch::run(&look, parts);
    }
    let mut daemon = link::connect(&look)?;
    let status: Status = link::ask(&mut daemon, &Ask::Status)?;
    Ok(Done::new(page(&look, &status, parts), json!(status)))
}

/// The page, or the parts of it that were asked for.
pub fn page(look: &Look, status: &Status, parts: Parts) -> String {
    if parts.none() {
        return overview(look, status);
    }
    let mut shown = vec![];
    if parts.workers {
        shown.push(in_full(look, &status.workers));
    }
    if parts.jobs {
        shown.push(jobs::all(look, &status.jobs));
    }
    if parts.stats {
        shown.push(totals(look, &status.totals));
    }
    shown.join("\n")
}

fn overview(look: &Look, status: &Status) -> String {
    let mut out = daemon(look, &status.daemon, &status.workers);
    out.push('\n');
    out.push_str(&workers(look, &status.workers));
    for part in [
        jobs::active(look, &status.jobs),
        jobs::recent(look, &status.jobs, 8),
    ] {
        if !part.is_empty() {
            out.push('\n');
            out.push_str(&part);
        }
    }
    out.push('\n');
    out.push_str(&totals(look, &status.totals));
    out
}

/// The daemon and the fleet in two lines.
pub fn daemon(look: &Look, daemon: &Daemon, workers: &[Worker]) -> String {
    let head = format!(
        "rchd {} is running for {} (pid {}, {}, {} of memory)\n",
        clean(&daemon.version),
        human(Duration::from_millis(daemon.uptime_ms)),
        daemon.pid,
        count(u64::from(daemon.clients), "client"),
        bytes(daemon.rss_kib * 1024),
    );
    let up = look.paint(Ink::Good, "running");
    let mut out = fold(&head, 0, 2, look.width).replacen("running", &up, 1);
    let online: Vec<&Worker> = workers.iter().filter(|w| is_online(w)).collect();
    let (used, total) = online
        .iter()
        .fold((0, 0), |(u, t), w| (u + w.slots_used, t + w.slots_total));
    out.push_str(&format!(
        "{} of {} online, {used} of {total} slots in use\n",
        online.len(),
        count(workers.len() as u64, "worker"),
    ));
    if daemon.version != crate::wire::VERSION {
        let text = format!(
            "this rch is {}; 'rch daemon restart' brings them together",
            crate::wire::VERSION
        );
        out.push_str(&look.hint("", &text));
    }
    out
}

fn is_online(w: &Worker) -> bool {
    matches!(w.state.as_str(), "up" | "trial")
}

/// `1 worker`, `3 workers`.
pub fn count(n: u64, noun: &str) -> String {
    if n == 1 {
        format!("1 {noun}")
    } else {
        format!("{n} {noun}s")
    }
}

/// The table of workers.
pub fn workers(look: &Look, workers: &[Worker]) -> String {
    let address = look.width >= 100;
    table(look, workers, |w| row(look, w, address))
}

/// The same with everything that is known of each.
fn in_full(look: &Look, workers: &[Worker]) -> String {
    table(look, workers, |w| {
        let mut row = row(look, w, false);
        let text = fold(&particulars(w), 4, 6, look.width);
        let text = format!("    {}\n", look.paint(Ink::Dim, &text));
        row.below.insert_str(0, &text);
        row
    })
}

/// `ssh builder@css.example.org [big], 2 sessions, 3 lanes, 41 jobs done, 1 failure`.
fn particulars(w: &Worker) -> String {
    let counts = [
        (u64::from(w.sessions), "session"),
        (u64::from(w.lanes), "lane"),
    ];
    let mut parts = vec![match w.address.as_str() {
        "" => address(w),
        _ => format!("{} {}", clean(&w.transport), address(w)),
    }];
    parts.extend(counts.map(|(n, noun)| count(n, noun)));
    parts.push(format!("{} done", count(w.jobs_done, "job")));
    parts.push(count(w.failures, "failure"));
    parts.join(", ")
}

fn table(look: &Look, workers: &[Worker], row: impl Fn(&Worker) -> Row) -> String {
    let mut out = look.heading("Workers");
    if workers.is_empty() {
        out.push_str("  none\n");
        let hint = "'rch config validate' shows what is wrong with workers.toml";
        out.push_str(&look.hint("  ", hint));
        return out;
    }
    let rows: Vec<Row> = workers.iter().map(row).collect();
    out.push_str(&draw(look, &rows, &[5, 0]));
    out
}

fn row(look: &Look, w: &Worker, with_address: bool) -> Row {
    let width = if look.width >= 100 { 20 } else { 10 };
    let (word, ink) = state(w);
    let up = is_online(w);
    let (slots, bar) = match w.slots_total {
        0 => Default::default(),
        total => (
            format!("{}/{total} slots", w.slots_used),
            bar(look, w.slots_used, total, width),
        ),
    };
    let cells = vec![
        Cell::new(clean(&w.id)).ink(Ink::Bold),
        Cell::new(word).ink(ink),
        Cell::new(bar),
        Cell::new(slots).right(),
        Cell::new(figures(w, up)),
        Cell::new(if with_address {
            address(w)
        } else {
            String::new()
        }),
    ];
    Row {
        cells,
        below: remedy(look, w),
    }
}

fn state(w: &Worker) -> (&str, Ink) {
    match w.state.as_str() {
        "up" => ("up", Ink::Good),
        "trial" => ("on trial", Ink::Warn),
        "down" => ("down", Ink::Bad),
        "unknown" => ("not seen yet", Ink::Dim),
        "drained" => ("drained", Ink::Warn),
        "disabled" => ("disabled", Ink::Dim),
        other => (other, Ink::Warn),
    }
}

/// Speed and latency, as far as they are known.
fn figures(w: &Worker, up: bool) -> String {
    let mut parts = vec![];
    if w.speed > 0.0 {
        parts.push(format!("speed {:.0}", w.speed));
    }
    if up && w.latency_ms > 0.0 {
        parts.push(latency(w.latency_ms));
    }
    if w.priority != 100 && w.priority != 0 {
        parts.push(format!("priority {}", w.priority));
    }
    parts.join(", ")
}

/// `0.4 ms`, `12 ms`.
pub fn latency(ms: f64) -> String {
    if ms < 9.95 {
        format!("{ms:.1} ms")
    } else {
        format!("{ms:.0} ms")
    }
}

fn address(w: &Worker) -> String {
    let mut text = if w.address.is_empty() {
        w.transport.clone()
    } else {
        w.address.clone()
    };
    if !w.tags.is_empty() {
        text.push_str(&format!(" [{}]", w.tags.join(" ")));
    }
    clean(&text)
}

/// Below a worker that takes no jobs: why, and what to do.
fn remedy(look: &Look, w: &Worker) -> String {
    let id = clean(&w.id);
    let mut out = String::new();
    if !w.reason.is_empty() && w.state != "up" && w.reason != w.state {
        let retry = w.retry_ms.map_or(String::new(), |ms| {
            format!("; tried again in {}", human(Duration::from_millis(ms)))
        });
        let text = format!("{}{retry}", clean(&w.reason));
        out.push_str(&format!("    {}\n", fold(&text, 4, 6, look.width)));
    }
    let hint = match w.state.as_str() {
        "down" => format!("'rch workers probe {id}' tries it again now"),
        "drained" => format!("'rch workers enable {id}' lets new jobs on"),
        "disabled" => "'enabled = true' in workers.toml puts it to use".to_string(),
        _ => return out,
    };
    out.push_str(&look.hint("    ", &hint));
    out
}

/// What came of all jobs so far.
pub fn totals(look: &Look, t: &Totals) -> String {
    let mut out = look.heading("Since the daemon started");
    let mut counts = vec![
        format!("{} sent away", t.remote),
        format!("{} run here", t.local),
    ];
    if t.deduplicated > 0 {
        counts.push(format!("{} shared with another", t.deduplicated));
    }
    if t.cancelled > 0 {
        counts.push(format!("{} cancelled", t.cancelled));
    }
    out.push_str(&format!("  jobs       {}\n", counts.join(", ")));
    out.push_str(&format!(
        "  moved      {} there, {} back\n",
        bytes(t.sent_bytes),
        bytes(t.returned_bytes)
    ));
    out.push_str(&format!("  time       {}\n", saved(t.saved_ms)));
    out.push_str(&reasons(look, t));
    out
}

/// Measured, or said to be unknown.
fn saved(ms: i64) -> String {
    let time = human(Duration::from_millis(ms.unsigned_abs()));
    match ms {
        0 => "nothing to compare yet: no command that ran there was measured here".into(),
        1.. => format!("{time} saved, where a command was measured here and there"),
        _ => format!("{time} lost, where a command was measured here and there"),
    }
}

fn reasons(look: &Look, t: &Totals) -> String {
    if t.local_reasons.is_empty() {
        return String::new();
    }
    let mut out = String::from("  run here because\n");
    let rows: Vec<Row> = t
        .local_reasons
        .iter()
        .map(|(reason, times)| Row {
            cells: vec![
                Cell::new("  "),
                Cell::new(times.to_string()).right(),
                Cell::new(clean(reason)),
            ],
            below: String::new(),
        })
        .collect();
    out.push_str(&draw(look, &rows, &[2]));
    out.push_str(&look.hint("  ", "'rch doctor' looks for causes and remedies"));
    out
}

/// Whether `--watch` may redraw.
pub fn redraws(look: &Look) -> bool {
    look.terminal && look.format == Format::People
}
