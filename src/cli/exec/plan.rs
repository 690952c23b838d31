//! `RCH_DRY_RUN`: what would happen to a command, on stderr.
//!
//! The tiers are walked here, from the command's words; workers, scores and files are the daemon's
//! answer, because it alone knows them. Then the command runs here, as it would without rch.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, Write as _};

use crate::cli::grid::bytes;
use crate::cli::jobs::candidate;
use crate::cli::out::clean;
use crate::cli::status::count;
use crate::hook::walk;
use crate::shell::quoted;
use crate::wire::status::Plan;

/// Walks the command through the tiers.
pub(super) fn tiers(argv: &[OsString], threshold: f64) {
    let words: Vec<String> = argv.iter().map(|a| quoted(&a.to_string_lossy())).collect();
    // What of the environment keeps it here is said when it does.
    let walk = walk::walk(&words.join(" "), threshold, &|_| None).text();
    put(walk.lines().map(|l| format!("rch: {l}\n")).collect());
}

/// Shows the daemon's answer.
pub(super) fn show(json: &[u8]) {
    if let Ok(plan) = serde_json::from_slice::<Plan>(json) {
        put(text(&plan));
    }
}

fn put(text: String) {
    let _ = io::stderr().write_all(text.as_bytes());
}

fn text(plan: &Plan) -> String {
    let mut out = String::new();
    let mut line = |text: String| {
        let _ = writeln!(out, "rch: {text}");
    };
    line(format!(
        "a {} in {}, {} wanted, {}",
        clean(&plan.kind),
        clean(&plan.roots.join(" + ")),
        count(u64::from(plan.wish), "slot"),
        clean(&plan.tools.join(", ")),
    ));
    for worker in &plan.workers {
        let chosen = worker.id == plan.chosen;
        line(format!("worker {}", candidate(worker, chosen)));
    }
    if !plan.amiss.is_empty() {
        line(clean(&plan.amiss));
    }
    if !plan.stays.is_empty() {
        line(format!("it would stay: {}", clean(&plan.stays)));
        return out;
    }
    line(match plan.chosen.as_str() {
        "" if plan.busy => "none that could take it has enough free slots: it would wait".into(),
        "" => "no worker can take it: it would run here".into(),
        worker => format!("it would go to {}", clean(worker)),
    });
    if !plan.chosen.is_empty() {
        line(to_send(plan));
        for name in &plan.names {
            line(format!("  {}", clean(name)));
        }
    }
    out
}

fn to_send(plan: &Plan) -> String {
    let gone = match plan.deletes {
        0 => String::new(),
        n => format!(", {} to delete", u64::from(n)),
    };
    if plan.files == 0 && plan.deletes == 0 {
        return "nothing to send: the worker has it all".into();
    }
    let all = if plan.whole {
        "the whole project"
    } else {
        "what has changed"
    };
    let more = match plan.names.len() as u64 {
        0 => "",
        named if named < u64::from(plan.files) => ", among them:",
        _ => ":",
    };
    format!(
        "to send, {all}: {}, {}{gone}{more}",
        count(u64::from(plan.files), "file"),
        bytes(plan.bytes),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::status::PlanWorker;

    #[test]
    fn a_plan_names_scores_refusals_and_files() {
        let good = PlanWorker {
            id: "css".into(),
            score: 65.25,
            speed: 87.0,
            free: 16,
            total: 32,
            priority: 100,
            warm: true,
            ..PlanWorker::default()
        };
        let bad = PlanWorker {
            id: "old".into(),
            refusal: "drained".into(),
            ..PlanWorker::default()
        };
        let plan = Plan {
            kind: "build".into(),
            roots: vec!["/home/ada/app".into()],
            tools: vec!["rustc 1.95.0".into()],
            wish: 4,
            workers: vec![good, bad],
            chosen: "css".into(),
            files: 2,
            bytes: 4100,
            deletes: 1,
            names: vec!["src/main.rs".into()],
            ..Plan::default()
        };
        assert_eq!(
            text(&plan),
            "rch: a build in /home/ada/app, 4 slots wanted, rustc 1.95.0\n\
             rch: worker css: score 65.2 (speed 87, 16/32 slots free, warm), chosen\n\
             rch: worker old: refused: drained\n\
             rch: it would go to css\n\
             rch: to send, what has changed: 2 files, 4.1 kB, 1 to delete, among them:\n\
             rch:   src/main.rs\n"
        );
        let stays = "too short (29 ms here)".to_string();
        let said = text(&Plan { stays, ..plan });
        assert!(said.ends_with("refused: drained\nrch: it would stay: too short (29 ms here)\n"));
    }
}
