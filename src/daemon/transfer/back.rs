//! The way back: the worker lists, the crew chooses, the worker sends, the crew writes; only when the
//! last file stands is the job done.

use std::path::Path;
use std::sync::Arc;

use super::Transfer;
use crate::classify::Accepted;
use crate::config::Retention;
use crate::daemon::{Daemon, Report, start};
use crate::error::{Error, Result};
use crate::ids::{JobId, ManifestId};
use crate::landing::{self, Landing};
use crate::lanebook::{self, Pen};
use crate::manifest::{Entry, Kind, Manifest};
use crate::products::{self, MAX_LISTED, Memory};
use crate::roots::Project;
use crate::scan;
use crate::wire::patch;
use crate::wire::worker::{Collect, Fault, Name, Present, Produced, ToWorker, Want};

/// What the crew makes of what a worker lists.
pub(in crate::daemon) struct Chosen {
    files: Vec<landing::Chosen>,
    /// Sources that the job removed.
    gone: Vec<Name>,
    /// It left more than it listed.
    unlisted: bool,
}

pub(in crate::daemon) enum Landed {
    More(Box<Landing>),
    /// With what is left to be cleared away.
    Done(landing::Landed, Box<Landing>),
}

/// More sources that a job has written or removed are not named one by one.
const MOST_TOLD: usize = 20;

impl Daemon {
    /// The worker lists what there is.
    pub(in crate::daemon) fn produced(&mut self, id: JobId, mut files: Vec<Produced>, last: bool) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        let (Some(survey), Some(attempt)) = (&job.survey, &mut job.attempt) else {
            return;
        };
        if attempt.exit.is_none() {
            return self.failed(id, Fault::Protocol, "a list of products before the exit");
        }
        attempt.produced.append(&mut files);
        if attempt.produced.len() > MAX_LISTED {
            return self.failed(id, Fault::Protocol, "a list without end");
        }
        if !last {
            return;
        }
        let present = std::mem::take(&mut attempt.present);
        let place = (
            attempt.worker.clone(),
            survey.lane,
            attempt.lane.unwrap_or(0),
        );
        let memory = self.home.get(&place).cloned().unwrap_or_default();
        let choice = Choice {
            accepted: survey.accepted.clone(),
            collect: survey.collect.clone(),
            project: survey.project.clone(),
            manifest: attempt.manifest.clone(),
            produced: attempt.produced.clone(),
            memory,
        };
        let number = attempt.number;
        self.crew.submit(move || {
            let gone = products::gone(&present, &choice.manifest);
            let unlisted = products::is_unlisted(&present, &choice.produced, &choice.manifest);
            let files = choice.choose();
            Report::Chosen(
                id,
                number,
                Chosen {
                    files,
                    gone,
                    unlisted,
                },
            )
        });
    }

    /// The worker lists what stands where the job created or removed something.
    pub(in crate::daemon) fn present(&mut self, id: JobId, present: Present) {
        let Some(attempt) = self.jobs.get_mut(&id).and_then(|j| j.attempt.as_mut()) else {
            return;
        };
        if attempt.exit.is_none() {
            return self.failed(id, Fault::Protocol, "a list of names before the exit");
        }
        attempt.listed += present.names.len() + 1;
        attempt.present.push(present);
        if attempt.listed > MAX_LISTED {
            self.failed(id, Fault::Protocol, "a list without end");
        }
    }

    pub(in crate::daemon) fn chosen(&mut self, id: JobId, number: u64, chosen: Chosen) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        let Some(attempt) = job.current(number) else {
            return;
        };
        attempt.gone = chosen.gone;
        attempt.in_doubt = chosen.unlisted;
        let chosen = chosen.files;
        if chosen.is_empty() {
            return self.brought(id, &landing::Landed::default());
        }
        let (Some(survey), Some(attempt)) = (&job.survey, &mut job.attempt) else {
            return;
        };
        let session = attempt.session.and_then(|s| self.sessions.get(&s));
        let offset = session.map_or(0, crate::session::Session::offset);
        let sources = products::may_write_sources(&survey.accepted);
        let mut landing = Landing::new(&survey.project, attempt.manifest.clone(), offset, sources);
        landing = landing.foreign(products::is_foreign(&survey.project));
        landing = landing.beside(self.others.clone());
        let reports = chosen.iter().map(|c| &c.file);
        let reports = reports.filter(|f| products::is_report(&survey.accepted, f, &survey.project));
        landing = landing.reports(reports.map(|f| f.name.clone()).collect());
        landing.expect(&chosen);
        let landing = Some(Box::new(landing));
        attempt.transfer = Transfer::Landing {
            landing,
            pending: vec![],
            fetched: false,
        };
        job.moved.back_files = u32::try_from(chosen.len()).unwrap_or(u32::MAX);
        let wants = chosen.into_iter().map(|c| Want {
            name: c.file.name,
            had: c.had,
        });
        let wants: Vec<Want> = wants.collect();
        let parts = parts(wants);
        self.attempt(id).fetches = parts.len();
        for part in parts {
            self.send(id, &ToWorker::Fetch(part));
        }
    }

    /// File content has come.
    pub(in crate::daemon) fn files(&mut self, id: JobId, bytes: Vec<u8>) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        job.moved.back_bytes += bytes.len() as u64;
        let Some(attempt) = &mut job.attempt else {
            return;
        };
        let Transfer::Landing { pending, .. } = &mut attempt.transfer else {
            return self.failed(id, Fault::Protocol, "file content that nobody asked for");
        };
        pending.extend_from_slice(&bytes);
        self.land(id);
    }

    pub(in crate::daemon) fn fetched(&mut self, id: JobId, missing: &[Name]) {
        if let Some(name) = missing.first() {
            let text = format!("product '{}' cannot be read", name.path.display());
            return self.failed(id, Fault::System, &text);
        }
        let Some(attempt) = self.jobs.get_mut(&id).and_then(|j| j.attempt.as_mut()) else {
            return;
        };
        attempt.fetches = attempt.fetches.saturating_sub(1);
        if attempt.fetches == 0
            && let Transfer::Landing { fetched, .. } = &mut attempt.transfer
        {
            *fetched = true;
            self.land(id);
        }
    }

    /// Gives the crew what has come, or tells it that all has.
    fn land(&mut self, id: JobId) {
        let attempt = self.attempt(id);
        let number = attempt.number;
        let Transfer::Landing {
            landing,
            pending,
            fetched,
        } = &mut attempt.transfer
        else {
            return;
        };
        if pending.is_empty() && !*fetched {
            return;
        }
        let Some(mut landing) = landing.take() else {
            return;
        };
        let bytes = std::mem::take(pending);
        let survey = self.jobs[&id].survey.as_ref();
        let root = survey.map(|s| s.project.roots[0].path.clone());
        self.landings.insert((id, number), root.unwrap_or_default());
        self.crew.submit(move || {
            let landed = if bytes.is_empty() {
                landing.finish().map(|landed| Landed::Done(landed, landing))
            } else {
                landing.take(&bytes).map(|()| Landed::More(landing))
            };
            Report::Landed(id, number, Box::new(landed))
        });
    }

    /// Whether the crew still writes products of a job that was stopped into the project of `dir`. What
    /// is looked into meanwhile would be thought to have changed under its own job.
    pub(in crate::daemon) fn is_landing_astray(&mut self, dir: &Path) -> bool {
        let jobs = &mut self.jobs;
        let mut here = self
            .landings
            .iter()
            .filter(|(_, root)| dir.starts_with(root));
        here.any(|((id, number), _)| jobs.get_mut(id).and_then(|j| j.current(*number)).is_none())
    }

    pub(in crate::daemon) fn landed(&mut self, id: JobId, number: u64, landed: Result<Landed>) {
        self.landings.remove(&(id, number));
        self.look_into_waiting();
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        let Some(attempt) = job.current(number) else {
            return;
        };
        match landed {
            Ok(Landed::More(back)) => {
                if let Transfer::Landing { landing, .. } = &mut attempt.transfer {
                    *landing = Some(back);
                }
                self.land(id);
            }
            Ok(Landed::Done(landed, spent)) => {
                self.brought(id, &landed);
                self.crew.submit(move || {
                    drop(spent);
                    Report::Nothing
                });
            }
            Err(error) => self.cannot_land(id, &error),
        }
    }

    /// Without its products a success is none; a failure stays one.
    fn cannot_land(&mut self, id: JobId, error: &Error) {
        let job = self.jobs.get_mut(&id).expect("BUG: landed without a job");
        if job
            .attempt
            .as_ref()
            .and_then(|a| a.exit)
            .is_some_and(|e| !e.success())
        {
            job.note(error.text().into());
            return self.finish(id);
        }
        self.lose(id, error.text(), false);
    }

    /// All products stand. What the lane holds is written down, and the job is done.
    fn brought(&mut self, id: JobId, landed: &landing::Landed) {
        let job = self.jobs.get_mut(&id).expect("BUG: brought without a job");
        for (name, why) in &landed.kept {
            job.note(format!(
                "kept '{}' as it is here: {why}",
                name.path.display()
            ));
        }
        let (Some(survey), Some(attempt)) = (&job.survey, &mut job.attempt) else {
            return;
        };
        attempt.kept = landed.kept.iter().map(|(name, _)| name.clone()).collect();
        let stray = attempt.stray(&survey.rules, &survey.project);
        let written = attempt.spoilt(landed);
        let gone = std::mem::take(&mut attempt.gone);
        let writes = products::may_write_sources(&survey.accepted);
        // Sent again it would be younger than what it is made of: only the whole keeps its order.
        attempt.in_doubt |= writes && !(written.is_empty() && gone.is_empty());
        let told = if writes { &[] } else { &written[..] };
        let told = told.iter().map(|name| (name, "written"));
        let told = told.chain(gone.iter().map(|name| (name, "removed")));
        for (name, what) in told.take(MOST_TOLD) {
            let name = name.path.display();
            job.remark(format!(
                "'{name}' was {what} by the job, and is a source: it stays as it is here"
            ));
        }
        for name in stray.iter().take(MOST_TOLD) {
            let name = name.path.display();
            job.remark(format!(
                "'{name}' was made by the job, and may not come from a worker"
            ));
        }
        let spoilt = [written, gone].concat();
        self.write_down(id, landed, &spoilt, stray);
        self.finish(id);
    }

    /// Remembers what came home and what the lane holds now, and has the worker believe it: a lane
    /// whose daemon was killed before this is one in doubt.
    /// `stray` is what stands there and not here.
    fn write_down(
        &mut self,
        id: JobId,
        landed: &landing::Landed,
        spoilt: &[Name],
        stray: Vec<Name>,
    ) {
        let job = self.jobs.get_mut(&id).expect("BUG: brought without a job");
        let (Some(survey), Some(attempt)) = (&job.survey, &mut job.attempt) else {
            return;
        };
        if survey.config.worker.retention == Retention::Ephemeral {
            return;
        }
        let (worker, key) = (attempt.worker.clone(), survey.lane);
        let lane = attempt.lane.expect("BUG: brought from no lane");
        let record = self.lanes.path(&worker, key, lane);
        if !landed.written.is_empty() {
            let place = (worker.clone(), key, lane);
            let mut memory = self.home.get(&place).cloned().unwrap_or_default();
            // Not shared: it need not be copied.
            self.home.remove(&place);
            Arc::make_mut(&mut memory).note(&attempt.produced, &landed.written);
            self.home.set(place, memory.clone());
            self.crew.submit(move || remember(&record, &memory));
        }
        if attempt.in_doubt {
            return;
        }
        let mut written = landed.sources(&survey.rules, &survey.project);
        written.extend(
            stray
                .into_iter()
                .map(|name| (name, Entry::unlike_any(Kind::File))),
        );
        if !(written.is_empty() && spoilt.is_empty()) {
            let Ok(fresh) = start::random() else { return };
            attempt.holds = ManifestId(fresh);
            let (holds, manifest) = (attempt.holds, attempt.manifest.clone());
            let spoilt = spoilt.to_vec();
            self.lanes.set(&worker, key, lane, holds, id);
            let pen = self.lanes.pen(&worker, key, lane);
            // Of a large tree that takes a while.
            self.crew
                .submit(move || store(pen, holds, &manifest.updated(&written, &spoilt)));
        }
        let holds = attempt.holds;
        self.send(id, &ToWorker::Commit(holds));
    }
}

/// A list may be longer than a frame: cut so that each part is well below one. No name is longer than
/// a path may be (`wire`).
fn parts(wants: Vec<Want>) -> Vec<Vec<Want>> {
    const PART: usize = 256 << 10;
    let (mut parts, mut room) = (vec![], 0);
    for want in wants {
        let len = want.name.path.as_os_str().len() + 64;
        if parts.is_empty() || len > room {
            parts.push(vec![]);
            room = PART;
        }
        room = room.saturating_sub(len);
        parts.last_mut().expect("BUG: just pushed").push(want);
    }
    parts
}

/// Runs on the crew.
pub(super) fn store(pen: Pen, holds: ManifestId, manifest: &Manifest) -> Report {
    if let Err(e) = pen.store(holds, manifest) {
        warn!("{}", e.text());
    }
    Report::Nothing
}

/// Runs on the crew.
pub(in crate::daemon) fn remember(record: &Path, memory: &Memory) -> Report {
    if let Err(e) = lanebook::remember(record, &memory.encode()) {
        warn!("{}", e.text());
    }
    Report::Nothing
}

/// What decides about the products of a job.
struct Choice {
    accepted: Accepted,
    collect: Collect,
    project: Arc<Project>,
    manifest: Arc<Manifest>,
    produced: Vec<Produced>,
    memory: Arc<Memory>,
}

impl Choice {
    fn choose(self) -> Vec<landing::Chosen> {
        let home = |name: &Name| scan::at(&self.project, name);
        let files = products::choose(
            &self.accepted,
            &self.collect,
            &self.project,
            &self.produced,
            &self.manifest,
            &self.memory,
            home,
        );
        let with_base = |file: Produced| {
            let here = Some(&file).filter(|f| f.size >= patch::MIN_SIZE);
            let here = here.and_then(|f| home(&f.name));
            let had = here.and_then(|here| self.memory.base_of_patch(&file.name, &here));
            landing::Chosen { file, had }
        };
        files.into_iter().map(with_base).collect()
    }
}
