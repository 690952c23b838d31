//! `rch workers probe` and `benchmark`: what a worker is, how far away, how fast, and what could be
//! better about it.

use serde_json::json;

use super::grid::fold;
use super::out::{Done, Ink, Look, clean, mention};
use super::parse::Call;
use super::status::latency;
use super::workers::named;
use super::{Outcome, link, status};
use crate::config::Complaint;
use crate::wire::client::Ask;
use crate::wire::status::{Benchmark, Probe};

pub fn probe(call: &Call) -> Outcome {
    let look = Look::here(&call.given);
    let workers = named(call)?;
    let mut daemon = link::connect_or_start(&look)?;
    let mut probes: Vec<Probe> = vec![];
    link::ask_all(&mut daemon, &Ask::Probe { workers }, link::PROBE, |p| {
        probes.push(p)
    })?;
    let ok = probes.iter().all(|p| p.ok);
    let brief = call.given.has("latency");
    let line = |p: &Probe| {
        if brief {
            latency_line(&look, p)
        } else {
            probed(&look, p)
        }
    };
    let text: String = probes.iter().map(line).collect();
    let text = if look.quiet && ok {
        String::new()
    } else {
        text
    };
    Ok(Done::new(text, json!(probes)).answer(ok))
}

fn latency_line(look: &Look, p: &Probe) -> String {
    if p.ok {
        format!("{}: {}\n", clean(&p.id), latency(p.latency_ms))
    } else {
        probed(look, p)
    }
}

/// A blank at which no line is broken.
const TIE: &str = "\u{a0}";

/// One worker's line, and what is not ideal about it below.
pub fn probed(look: &Look, p: &Probe) -> String {
    let id = clean(&p.id);
    if !p.ok {
        let column = id.chars().count() + ": FAILED ".len();
        let mut out = format!(
            "{id}: {} {}\n",
            look.paint(Ink::Bad, "FAILED"),
            fold(&clean(&p.error), column, 4, look.width)
        );
        if !p.hint.is_empty() {
            out.push_str(&look.hint("  ", &clean(&p.hint)));
        }
        return out;
    }
    let mut facts = vec![
        format!("latency {}", latency(p.latency_ms).replace(' ', "")),
        status::count(u64::from(p.slots), "slot"),
    ];
    facts.extend(tools(&p.tools));
    facts.push(
        if p.paths_identical {
            "paths identical"
        } else {
            "paths mapped"
        }
        .into(),
    );
    let ok = look.paint(Ink::Good, "OK");
    let column = id.chars().count() + ": OK ".len();
    // A tool and its version stay together.
    let facts = format!("({})", facts.join(", "))
        .replace(' ', TIE)
        .replace(&format!(",{TIE}"), ", ");
    let facts = fold(&facts, column, 4, look.width).replace(TIE, " ");
    let mut out = format!("{id}: {ok} {facts}\n");
    if look.verbose {
        out.push_str(&format!("  {}\n", fold(&particulars(p), 2, 4, look.width)));
    }
    for (what, hint) in imperfections(p) {
        out.push_str(&format!("  {}\n", fold(&what, 2, 4, look.width)));
        out.push_str(&look.hint("  ", &hint));
    }
    out
}

/// What is as it should be, for who wants to know.
fn particulars(p: &Probe) -> String {
    let rsync = match p.rsync.as_str() {
        "" => "no rsync".into(),
        version => format!("rsync {}", clean(version)),
    };
    format!(
        "rch-wkr {}, {}, {rsync}, {} free, clock {:+.0} ms",
        clean(&p.version),
        status::count(u64::from(p.cpus), "CPU"),
        super::grid::bytes(p.free_mib << 20),
        p.clock_offset_ms,
    )
}

/// Each tool by its name and version, once: `gcc (Debian 12.2.0-14) 12.2.0 x86_64` is `gcc 12.2.0`.
pub fn tools(all: &[String]) -> Vec<String> {
    let mut out: Vec<String> = vec![];
    for text in all {
        let short = short_tool(&clean(text));
        if !out.contains(&short) {
            out.push(short);
        }
    }
    out
}

/// The version is the first word outside of parentheses that begins with a digit.
fn short_tool(text: &str) -> String {
    let mut depth = 0;
    let version = text.split_whitespace().find(|word| {
        let found = depth == 0 && word.starts_with(|c: char| c.is_ascii_digit());
        depth = (depth + word.matches('(').count()).saturating_sub(word.matches(')').count());
        found
    });
    match (text.split_whitespace().next(), version) {
        (Some(name), Some(version)) => format!("{name} {version}"),
        _ => text.into(),
    }
}

/// What works, and could work better.
pub fn imperfections(p: &Probe) -> Vec<(String, String)> {
    let mut out: Vec<(String, String)> = vec![];
    if !p.paths_identical {
        let why = if p.no_namespace.is_empty() {
            "unknown".into()
        } else {
            clean(&p.no_namespace)
        };
        out.push((
            format!("jobs do not see the project at its own path: {why}"),
            "allow user namespaces there; rch-wkr(8) tells how".into(),
        ));
    }
    if p.rsync.is_empty() {
        out.push((
            "no rsync there: first copies are slower".into(),
            "install rsync on the worker".into(),
        ));
    } else if old_rsync(&p.rsync) {
        out.push((
            format!("rsync {} there has known holes", clean(&p.rsync)),
            "install rsync 3.4.0 or newer on the worker".into(),
        ));
    }
    if p.free_mib < 10 * 1024 {
        out.push((
            format!("{} free on its disk", super::grid::bytes(p.free_mib << 20)),
            "free some space there".into(),
        ));
    }
    if p.clock_offset_ms.abs() > 60_000.0 {
        let secs = (p.clock_offset_ms.abs() / 1000.0).round();
        let off = crate::time::human(std::time::Duration::from_secs(secs as u64));
        let way = if p.clock_offset_ms > 0.0 {
            "ahead"
        } else {
            "behind"
        };
        out.push((
            format!("its clock is {off} {way}"),
            "run an NTP client there".into(),
        ));
    }
    if p.version != crate::wire::VERSION && !p.version.is_empty() {
        out.push((
            format!(
                "rch-wkr {} there, rch {} here",
                clean(&p.version),
                crate::wire::VERSION
            ),
            match p.hint.as_str() {
                "" => "copy this version's rch-wkr to the worker".into(),
                line => clean(line),
            },
        ));
    }
    out
}

/// Before 3.4.0, where a hostile peer could do harm.
pub fn old_rsync(version: &str) -> bool {
    let mut numbers = version.split('.').map(|n| n.parse::<u32>().unwrap_or(0));
    let (major, minor) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    (major, minor) < (3, 4)
}

pub fn benchmark(call: &Call) -> Outcome {
    let look = Look::here(&call.given);
    let workers = named(call)?;
    let mut daemon = link::connect_or_start(&look)?;
    let mut all: Vec<Benchmark> = vec![];
    let env = std::env::vars_os()
        .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
        .collect();
    let ask = Ask::Benchmark { workers, env };
    link::ask_all(&mut daemon, &ask, link::BENCHMARK, |b: Benchmark| {
        mention(&look, &format!("{} is measured", clean(&b.id)));
        all.push(b);
    })?;
    let ok = all.iter().all(|b| b.ok);
    let text: String = all.iter().map(|b| benchmarked(&look, b)).collect();
    Ok(Done::new(text, json!(all)).answer(ok))
}

pub fn benchmarked(look: &Look, b: &Benchmark) -> String {
    let id = clean(&b.id);
    if !b.ok {
        let bad = look.paint(Ink::Bad, "FAILED");
        let column = id.chars().count() + ": FAILED ".len();
        let error = fold(&clean(&b.error), column, 4, look.width);
        let hint = remedy(&id, &b.error).map_or(String::new(), |hint| look.hint("  ", &hint));
        return format!("{id}: {bad} {error}\n{hint}");
    }
    let times = if b.remote_ms > 0.0 {
        b.local_ms / b.remote_ms
    } else {
        0.0
    };
    format!(
        "{id}: speed {:.0} of 100 ({times:.1} times this machine)\n",
        b.speed
    )
}

/// What helps where a job did not go to a worker, or was lost there: by the words of the reason.
pub fn remedy(id: &str, reason: &str) -> Option<String> {
    let has = |words: &str| reason.contains(words);
    Some(match () {
        // Before all words, which may stand in the file.
        () if Complaint::new(reason).place().is_some() => {
            "correct it; 'rch config validate' shows every mistake".into()
        }
        () if has("drained") => format!("rch workers enable {id}"),
        () if has("disabled") && !has("rch is disabled") => {
            "'enabled = true' in workers.toml puts it to use".into()
        }
        () if has("like ours") => {
            "the same version must be there; 'rch workers probe' shows what it has".into()
        }
        () if has("rch is disabled") || has("force_local") => {
            "'rch config show --sources' tells which file or variable says so".into()
        }
        () if has("compilation.local_kinds") => {
            "'rch config set compilation.local_kinds \"\"' lets every kind go".into()
        }
        () if has("no space left") || has("disk is full") => "free some space there".into(),
        () if has("free slots") => "it is busy: 'rch status' shows with what".into(),
        () if has("paused after failures") => {
            "'rch daemon logs' tells what failed; it is tried again by itself".into()
        }
        () if has("no C compiler here") => "install gcc".into(),
        () => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_are_named_shortly() {
        let all = [
            "rust 1.95.0",
            "rust 1.95.0",
            "gcc (Debian 12.2.0-14+deb12u1) 12.2.0 x86_64-linux-gnu",
            "make GNU Make 4.3",
            "cmake version 3.25.1",
            "odd",
        ];
        assert_eq!(
            tools(&all.map(String::from)),
            [
                "rust 1.95.0",
                "gcc 12.2.0",
                "make 4.3",
                "cmake 3.25.1",
                "odd"
            ]
        );
    }
}
