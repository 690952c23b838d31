//! Jobs: their lines in `rch status`, and `rch logs` and `rch cancel`.
//!
//! A job's row is one line in eighty columns whatever its command holds; control characters of the
//! agent's making never reach the terminal.

use std::io::{self, Write};
use std::time::Duration;

use serde_json::json;

use super::grid::{Cell, Row, bytes, draw, fold};
use super::out::{Done, Fail, Format, Ink, Look, clean};
use super::parse::Call;
use super::{Outcome, link};
use crate::error::{Error, cause};
use crate::ids::JobId;
use crate::sys::signal;
use crate::time::human;
use crate::wire::client::{Ask, FromDaemon};
use crate::wire::status::{Job, PlanWorker};

/// States of jobs that are not over.
const ACTIVE: [&str; 7] = [
    "scanning",
    "queued",
    "connecting",
    "syncing",
    "running",
    "returning",
    "cancelling",
];

fn is_active(job: &Job) -> bool {
    ACTIVE.contains(&job.state.as_str())
}

/// The jobs under way; empty if there are none.
pub fn active(look: &Look, jobs: &[Job]) -> String {
    let rows: Vec<Row> = jobs
        .iter()
        .filter(|j| is_active(j))
        .map(|j| row(look, j))
        .collect();
    table(look, "Active jobs", &rows)
}

/// The newest `most` finished ones; empty if there are none.
pub fn recent(look: &Look, jobs: &[Job], most: usize) -> String {
    let over = jobs.iter().filter(|j| !is_active(j)).take(most);
    let rows: Vec<Row> = over.map(|j| row(look, j)).collect();
    table(look, "Recent jobs", &rows)
}

/// Every job the daemon remembers.
pub fn all(look: &Look, jobs: &[Job]) -> String {
    let parts = [active(look, jobs), recent(look, jobs, usize::MAX)];
    let parts: Vec<String> = parts.into_iter().filter(|p| !p.is_empty()).collect();
    if parts.is_empty() {
        return format!("{}  none yet\n", look.heading("Jobs"));
    }
    parts.join("\n")
}

fn table(look: &Look, title: &str, rows: &[Row]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut out = look.heading(title);
    out.push_str(&draw(look, rows, &[3, 4, 5]));
    out
}

fn row(look: &Look, j: &Job) -> Row {
    let (word, ink) = state(j);
    // What it took here is not known, and what was tried before is told below.
    let (time, worker, moved) = match j.state.as_str() {
        "local" => Default::default(),
        _ => (
            human(Duration::from_millis(j.elapsed_ms)),
            clean(&j.worker),
            moved(j),
        ),
    };
    let mut cells = vec![
        Cell::new(JobId(j.id).to_string()).ink(Ink::Bold),
        Cell::new(word).ink(ink),
        Cell::new(time).right(),
        Cell::new(worker),
        Cell::new(clean(&j.command)),
        Cell::new(moved),
    ];
    if look.width >= 100 {
        cells.push(Cell::new(clean(&j.agent)).ink(Ink::Dim));
    }
    Row {
        cells,
        below: below(look, j),
    }
}

fn state(j: &Job) -> (String, Ink) {
    if let ("done", Some(signal)) = (j.state.as_str(), j.signal) {
        return match i32::from(signal) {
            signal::SIGINT => ("interrupted".into(), Ink::Warn),
            other => (format!("signal {other}"), Ink::Bad),
        };
    }
    match (j.state.as_str(), j.status) {
        ("done", Some(0) | None) => ("ok".into(), Ink::Good),
        ("done", Some(status)) => (format!("exit {status}"), Ink::Bad),
        ("local", _) => ("run here".into(), Ink::Warn),
        ("queued", _) => ("queued".into(), Ink::Warn),
        ("cancelled", _) => ("cancelled".into(), Ink::Dim),
        (active, _) => (active.into(), Ink::Good),
    }
}

fn moved(j: &Job) -> String {
    let mut parts = vec![];
    if j.sent_bytes > 0 {
        parts.push(format!("{} there", bytes(j.sent_bytes)));
    }
    if j.returned_bytes > 0 {
        parts.push(format!("{} back", bytes(j.returned_bytes)));
    }
    parts.join(", ")
}

/// Why it is where it is, and who else waits for it.
fn below(look: &Look, j: &Job) -> String {
    let mut out = String::new();
    let telling = matches!(j.state.as_str(), "queued" | "local" | "cancelled");
    if telling && !j.reason.is_empty() {
        let wasted = match (j.state.as_str(), j.sent_bytes) {
            ("local", 1..) => format!("; {} had been sent there", bytes(j.sent_bytes)),
            _ => String::new(),
        };
        let text = format!("{}{wasted}", clean(&j.reason));
        out.push_str(&format!("    {}\n", fold(&text, 4, 4, look.width)));
    }
    if look.verbose {
        out.push_str(&terms(look, j));
    }
    if j.subscribers > 1 {
        out.push_str(&format!("    shared by {} clients\n", j.subscribers));
    }
    out
}

/// What its worker was chosen from, with `--verbose`.
fn terms(look: &Look, j: &Job) -> String {
    let line = |w: &PlanWorker| {
        let text = candidate(w, w.id == j.worker);
        format!("    {}\n", fold(&text, 4, 6, look.width))
    };
    j.candidates.iter().map(line).collect()
}

/// A worker as the choice saw it: its score and what that is made of, or why it was refused.
pub fn candidate(w: &PlanWorker, chosen: bool) -> String {
    let id = clean(&w.id);
    if !w.refusal.is_empty() {
        return format!("{id}: refused: {}", clean(&w.refusal));
    }
    let mark = if chosen { ", chosen" } else { "" };
    let preferred = if w.preferred { ", preferred" } else { "" };
    let warm = if w.warm { ", warm" } else { "" };
    let priority = match w.priority {
        100 => String::new(),
        other => format!(", priority {other}"),
    };
    format!(
        "{id}: score {:.1} (speed {:.0}, {}/{} slots free{priority}{warm}{preferred}){mark}",
        w.score, w.speed, w.free, w.total,
    )
}

fn job(call: &Call) -> Result<JobId, Fail> {
    let text = call.operand(0).unwrap_or_default();
    JobId::parse(text).ok_or_else(|| {
        let error = Error::new(format!("'{text}' is no job"));
        Fail::usage(error.hint("jobs are named j1, j2, …; 'rch status --jobs' lists them"))
    })
}

pub fn cancel(call: &Call) -> Outcome {
    let (look, id) = (Look::here(&call.given), job(call)?);
    let mut daemon = link::connect(&look)?;
    link::order(&mut daemon, &Ask::Cancel { job: id.0 })?;
    Ok(Done::new(
        said(&look, &format!("{id} is cancelled\n")),
        json!({ "job": id.0 }),
    ))
}

/// What a command says when it has worked; nothing with `--quiet`.
pub fn said(look: &Look, text: &str) -> String {
    if look.quiet {
        String::new()
    } else {
        text.into()
    }
}

/// Copies a job's output to our own streams; for machines it is one document instead.
pub fn logs(call: &Call) -> Outcome {
    let (look, id) = (Look::here(&call.given), job(call)?);
    let mut daemon = link::connect(&look)?;
    daemon.ask(&Ask::Logs { job: id.0 }).map_err(link::silent)?;
    let live = look.format == Format::People;
    let (mut out, mut err, mut notes, mut status) = (vec![], vec![], vec![], None);
    loop {
        match link::streamed(&mut daemon)? {
            FromDaemon::Stdout(bytes) if live => copy(&mut io::stdout(), &bytes)?,
            FromDaemon::Stderr(bytes) if live => copy(&mut io::stderr(), &bytes)?,
            FromDaemon::Stdout(bytes) => out.extend(bytes),
            FromDaemon::Stderr(bytes) => err.extend(bytes),
            FromDaemon::Note(text) | FromDaemon::Remark(text) if live => {
                copy(
                    &mut io::stderr(),
                    format!("rch: {}\n", clean(&text)).as_bytes(),
                )?;
            }
            FromDaemon::Note(text) | FromDaemon::Remark(text) => notes.push(text),
            FromDaemon::Exited(exit) => {
                status = Some(exit.status());
                break;
            }
            FromDaemon::End => break,
            _ => {}
        }
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let data = json!({
        "job": id.0, "stdout": text(&out), "stderr": text(&err), "notes": notes, "status": status
    });
    Ok(Done::new("", data))
}

fn copy(to: &mut dyn Write, bytes: &[u8]) -> Result<(), Fail> {
    to.write_all(bytes).and_then(|()| to.flush()).map_err(|e| {
        Fail::system(Error::new(format!(
            "cannot write the output: {}",
            cause(&e)
        )))
    })
}
