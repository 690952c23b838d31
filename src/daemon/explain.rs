//! What would happen to a command, without its happening (`RCH_DRY_RUN`).
//!
//! The command waits in the queue like any other until every worker that may take it has said what
//! it is. Then the choice is made as for a real job, and described instead of carried out: the
//! answer goes into the job's record, and its client is sent home.

use std::path::PathBuf;

use super::survey::{self, Survey};
use super::{Daemon, Report};
use crate::ids::{JobId, ManifestId};
use crate::lanebook::Record;
use crate::manifest::Manifest;
use crate::sched::{Candidate, Choice};
use crate::wire::client::FromDaemon;
use crate::wire::status::{Plan, PlanWorker};
use crate::wire::worker::Name;

/// How many files are named.
const NAMED: usize = 10;

impl Daemon {
    /// Describes the choice, as soon as it can be made.
    pub(super) fn explain(&mut self, id: JobId, candidates: &[Candidate], choice: &Choice) {
        let greeted = |c: &Candidate| {
            let worker = self.workers.iter().find(|w| *w.id() == c.id);
            worker.is_none_or(|w| w.facts.is_some())
        };
        if candidates
            .iter()
            .any(|c| c.refusal.is_empty() && !greeted(c))
        {
            return;
        }
        self.queue.remove(id);
        let Some(job) = self.jobs.get(&id) else {
            return;
        };
        let Some(survey) = &job.survey else { return };
        let mut plan = plan(survey, candidates, choice);
        plan.stays.clone_from(&job.reason);
        plan.amiss = survey.wanted.amiss(&self.names()).unwrap_or_default();
        let lane = match choice {
            Choice::Go(at, _) => self.lanes.idle(&candidates[*at].id, survey.lane).map(|l| {
                let worker = &candidates[*at].id;
                (self.lanes.record(worker, survey.lane, l.number), l.holds)
            }),
            _ => None,
        };
        let (manifest, project) = (survey.manifest.clone(), survey.project.clone());
        self.crew.submit(move || {
            let place = |name: &Name| project.roots[usize::from(name.root)].path.join(&name.path);
            Report::Planned(id, Box::new(with_files(plan, lane, &manifest, place)))
        });
    }

    pub(super) fn planned(&mut self, id: JobId, plan: &Plan) {
        if let Some(job) = self.jobs.get_mut(&id) {
            // A record that cannot be written leaves the plan unsaid; the command runs all the same.
            let _ = job.spool.append(&FromDaemon::answer(plan));
        }
        self.local(id, "RCH_DRY_RUN is set");
    }
}

/// What the choice was made from.
pub(super) fn terms(candidates: &[Candidate]) -> Vec<PlanWorker> {
    let worker = |c: &Candidate| PlanWorker {
        id: c.id.to_string(),
        refusal: c.refusal.clone(),
        score: c.score(),
        speed: c.speed,
        free: c.free,
        total: c.total,
        priority: c.priority,
        warm: c.warm,
        preferred: c.preferred.is_some(),
    };
    candidates.iter().map(worker).collect()
}

fn plan(survey: &Survey, candidates: &[Candidate], choice: &Choice) -> Plan {
    let roots = survey.project.roots.iter();
    let first_line = |text: &str| text.lines().next().unwrap_or_default().to_owned();
    Plan {
        kind: survey::kind_name(survey.accepted.kind).into(),
        roots: roots.map(|r| r.path.display().to_string()).collect(),
        tools: survey
            .identities
            .iter()
            .map(|i| first_line(&i.text))
            .collect(),
        wish: survey.wish,
        workers: terms(candidates),
        chosen: match choice {
            Choice::Go(at, _) => candidates[*at].id.to_string(),
            _ => String::new(),
        },
        busy: *choice == Choice::Busy,
        ..Plan::default()
    }
}

/// Adds what would be sent. Runs on the crew.
fn with_files(
    mut plan: Plan,
    lane: Option<(Record, ManifestId)>,
    manifest: &Manifest,
    place: impl Fn(&Name) -> PathBuf,
) -> Plan {
    let held = lane.and_then(|(record, holds)| record.peek(holds).ok());
    plan.whole = held.is_none();
    let changes = held.unwrap_or_default().changes(manifest);
    let is_dir = |n: &&Name| manifest.get(n).is_some_and(|e| e.is_dir());
    let files: Vec<&Name> = changes.puts.iter().filter(|n| !is_dir(n)).collect();
    let sizes = files.iter().filter_map(|n| manifest.get(n));
    plan.bytes = sizes.filter(|e| e.is_file()).map(|e| e.size).sum();
    plan.files = u32::try_from(files.len()).unwrap_or(u32::MAX);
    plan.deletes = u32::try_from(changes.deletes.len()).unwrap_or(u32::MAX);
    plan.names = files
        .iter()
        .take(NAMED)
        .map(|n| place(n).display().to_string())
        .collect();
    plan
}
