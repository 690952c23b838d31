//! Moves a job's files: there before it runs, back after it.
//!
//! There: the difference to what the lane holds, made by the crew and written to the session
//! without waiting for answers; a new lane of a large project is filled by rsync first, and one that
//! does not hold what we believed is emptied and filled anew. Back: the worker lists, the crew
//! chooses, the worker sends, the crew writes; only when the last file stands is the job done.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use super::survey::SCANNERS;
use super::{Daemon, Key, Report, start};
use crate::child::{Child, Pipes};
use crate::classify::Accepted;
use crate::conn::{BACKLOG, Conn};
use crate::error::{Error, Result};
use crate::feed::{self, Feed, Step};
use crate::ids::{JobId, ManifestId, WorkerId};
use crate::job::Stage;
use crate::landing::{self, Landing};
use crate::lanebook;
use crate::manifest::Manifest;
use crate::plan::rsync;
use crate::poll::Ready;
use crate::products::{self, Memory};
use crate::roots::Project;
use crate::scan;
use crate::wire::worker::{Base, Collect, Fault, Name, Open, Produced, ToWorker};

/// From this much content on, rsync fills a new lane.
const BULK: u64 = 32 << 20;
/// File content that may wait for the crew.
const PENDING: usize = 1 << 20;

/// Where a job's files are.
pub(super) enum Transfer {
    /// Nothing moves.
    Idle,
    /// The crew prepares what is sent next.
    Preparing,
    /// Prepared further than the link takes.
    Waiting(Box<Feed>),
    /// rsync fills the lane.
    Rsync(Box<Rsync>),
    /// `landing` is `None` while the crew has it.
    Landing {
        landing: Option<Box<Landing>>,
        pending: Vec<u8>,
        fetched: bool,
    },
}

/// A running rsync and the list of names it reads.
pub(super) struct Rsync {
    child: Child,
    list: Conn,
    /// Roots still to do, after this one.
    left: Vec<(usize, PathBuf)>,
}

/// What the crew fed: the feed for the next time, and the bytes to send.
pub(super) struct Fed {
    feed: Option<Box<Feed>>,
    bytes: Vec<u8>,
    done: Option<FeedDone>,
}

struct FeedDone {
    fed: feed::Fed,
    manifest: Arc<Manifest>,
    /// Whether anything was sent, so that the lane's name changes.
    changed: bool,
}

pub(super) enum Landed {
    More(Box<Landing>),
    Done(landing::Landed),
}

/// A second look after rsync: what changed while it ran.
pub(super) struct Rescan {
    manifest: Arc<Manifest>,
    before: Arc<Manifest>,
}

impl Transfer {
    pub(super) fn takes_files(&self) -> bool {
        match self {
            Transfer::Landing { pending, .. } => pending.len() < PENDING,
            _ => true,
        }
    }

    pub(super) fn note_rsync(&mut self, ready: Ready) {
        if let Transfer::Rsync(rsync) = self {
            rsync.child.note(ready);
            rsync.list.note(ready);
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Transfer::Rsync(rsync) => rsync.child.deadline(),
            _ => None,
        }
    }
}

/// What the crew needs to make a feed.
struct Order {
    project: Arc<Project>,
    /// The record of what the lane holds; `None`: nothing.
    base: Option<(PathBuf, ManifestId)>,
    /// Known already, instead of a record.
    known: Option<Arc<Manifest>>,
    manifest: Arc<Manifest>,
    offset: i64,
    level: i32,
}

impl Daemon {
    /// The session is there: asks for the lane, and sends at once if it is known what it holds.
    pub(super) fn begin_sync(&mut self, id: JobId) {
        let Ok(fresh) = start::random() else {
            return self.local(id, "no random numbers");
        };
        let job = self.jobs.get_mut(&id).expect("BUG: a sync without a job");
        let survey = job.survey.as_ref().expect("BUG: a sync without a survey");
        let attempt = job
            .attempt
            .as_mut()
            .expect("BUG: a sync without an attempt");
        attempt.holds = ManifestId(fresh);
        let lane = self.lanes.idle(&attempt.worker, survey.lane).cloned();
        let open = Open {
            key: survey.lane,
            project: survey.project.name.clone(),
            roots: survey
                .project
                .roots
                .iter()
                .map(|r| r.path.clone())
                .collect(),
            base: lane.as_ref().map(|l| (l.number, l.holds)),
        };
        let (worker, key) = (attempt.worker.clone(), survey.lane);
        if let Some(lane) = &lane {
            attempt.lane = Some(lane.number);
            attempt.base = Some(lane.holds);
            self.lanes.take(&worker, key, lane.number, id);
        }
        self.send(id, &ToWorker::Open(open));
        if lane.is_some() {
            self.feed_from_base(id);
        }
    }

    /// The worker has given a lane.
    pub(super) fn lane(&mut self, id: JobId, number: u16, base: Base, roots: &[PathBuf]) {
        let fresh = self.number();
        let Some(job) = self
            .jobs
            .get_mut(&id)
            .filter(|j| j.stage() == Stage::Syncing)
        else {
            return;
        };
        let (Some(survey), Some(attempt)) = (&job.survey, &mut job.attempt) else {
            return;
        };
        if attempt.base.is_some() && base == Base::Holds {
            return;
        }
        let (worker, key) = (attempt.worker.clone(), survey.lane);
        // Whatever was prepared or sent for another content is void, here as on the worker.
        let resync = attempt.base.take().is_some() || base == Base::Stale;
        if let Some(old) = attempt.lane.replace(number) {
            self.lanes.free(id);
            self.lanes.forget(&worker, key, old);
        }
        attempt.number = fresh;
        attempt.manifest = survey.manifest.clone();
        attempt.transfer = Transfer::Idle;
        if resync {
            self.send(id, &ToWorker::Resync { wipe: true });
        }
        match self.bulk(id, &worker, base) {
            true => self.start_rsync(id, roots.iter().cloned().enumerate().collect()),
            false => self.feed_all(id, None),
        }
    }

    /// Whether rsync is worth it and possible on both sides.
    fn bulk(&self, id: JobId, worker: &WorkerId, base: Base) -> bool {
        let large = self.jobs[&id]
            .survey
            .as_ref()
            .is_some_and(|s| s.manifest.total_bytes() >= BULK);
        let facts = self
            .workers
            .iter()
            .find(|w| w.id() == worker)
            .and_then(|w| w.facts.as_ref());
        large
            && base == Base::New
            && facts.is_some_and(|f| !f.rsync.is_empty())
            && self.control_socket(worker).is_some()
            && have_rsync()
    }

    fn feed_from_base(&mut self, id: JobId) {
        let order = self.order(id, true, None);
        self.prepare(id, order);
    }

    /// Everything, or the difference to what `known` says.
    fn feed_all(&mut self, id: JobId, known: Option<Arc<Manifest>>) {
        let order = self.order(id, false, known);
        self.prepare(id, order);
    }

    fn order(&self, id: JobId, from_base: bool, known: Option<Arc<Manifest>>) -> Order {
        let job = &self.jobs[&id];
        let survey = job.survey.as_ref().expect("BUG: an order without a survey");
        let attempt = job
            .attempt
            .as_ref()
            .expect("BUG: an order without an attempt");
        let number = attempt.lane.expect("BUG: an order without a lane");
        let record = self.lanes.path(&attempt.worker, survey.lane, number);
        let session = attempt.session.and_then(|s| self.sessions.get(&s));
        Order {
            project: survey.project.clone(),
            base: attempt.base.filter(|_| from_base).map(|b| (record, b)),
            known,
            manifest: attempt.manifest.clone(),
            offset: session.map_or(0, crate::session::Session::offset),
            level: survey.config.transfer.compression_level,
        }
    }

    fn prepare(&mut self, id: JobId, order: Order) {
        let attempt = self.attempt(id);
        attempt.transfer = Transfer::Preparing;
        let number = attempt.number;
        self.crew
            .submit(move || Report::Fed(id, number, Box::new(first_feed(order))));
    }

    fn attempt(&mut self, id: JobId) -> &mut super::jobs::Attempt {
        let job = self
            .jobs
            .get_mut(&id)
            .expect("BUG: a transfer without a job");
        job.attempt
            .as_mut()
            .expect("BUG: a transfer without an attempt")
    }

    pub(super) fn fed(&mut self, id: JobId, number: u64, fed: Result<Fed>) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        if job.current(number).is_none() {
            return;
        }
        let fed = match fed {
            Ok(fed) => fed,
            Err(error) => return self.cannot_feed(id, &error),
        };
        let session = job.attempt.as_ref().and_then(|a| a.session);
        let Some(session) = session.and_then(|s| self.sessions.get_mut(&s)) else {
            return;
        };
        session.conn().out().extend_from_slice(&fed.bytes);
        job.moved.sent_bytes += fed.bytes.len() as u64;
        job.moved.content = fed
            .feed
            .as_ref()
            .map(|f| f.progress())
            .or(job.moved.content);
        match (fed.feed, fed.done) {
            (Some(feed), _) => {
                self.attempt(id).transfer = Transfer::Waiting(feed);
                self.feed_on(id);
            }
            (None, Some(done)) => self.feed_done(id, done),
            (None, None) => {}
        }
    }

    /// A record that is not what we believed is no reason to run locally.
    fn cannot_feed(&mut self, id: JobId, error: &Error) {
        let job = &self.jobs[&id];
        let had_base = job.attempt.as_ref().is_some_and(|a| a.base.is_some());
        if !had_base {
            return self.local(id, error.text());
        }
        warn!("job {id}: {}", error.text());
        let attempt = self.attempt(id);
        attempt.base = None;
        attempt.transfer = Transfer::Idle;
        self.send(id, &ToWorker::Resync { wipe: true });
        self.feed_all(id, None);
    }

    /// Lets the crew go on as soon as the link has taken most of what was prepared.
    fn feed_on(&mut self, id: JobId) {
        let Some(attempt) = self.jobs.get_mut(&id).and_then(|j| j.attempt.as_mut()) else {
            return;
        };
        let Transfer::Waiting(_) = attempt.transfer else {
            return;
        };
        let session = attempt.session.and_then(|s| self.sessions.get_mut(&s));
        if session.is_none_or(|s| s.conn().backlog() > BACKLOG) {
            return;
        }
        let Transfer::Waiting(feed) = std::mem::replace(&mut attempt.transfer, Transfer::Preparing)
        else {
            unreachable!("BUG: just seen")
        };
        let number = attempt.number;
        let manifest = attempt.manifest.clone();
        self.crew
            .submit(move || Report::Fed(id, number, Box::new(next_feed(*feed, manifest))));
    }

    /// All is on the way: the lane gets its new name, and the command is sent after it.
    fn feed_done(&mut self, id: JobId, done: FeedDone) {
        let Some(run) = self.run_message(id) else {
            return;
        };
        let job = self.jobs.get_mut(&id).expect("BUG: fed without a job");
        job.moved.sent_files += done.fed.files;
        let survey = job.survey.as_ref().expect("BUG: fed without a survey");
        let key = survey.lane;
        let attempt = job.attempt.as_mut().expect("BUG: fed without an attempt");
        attempt.transfer = Transfer::Idle;
        attempt.manifest = done.manifest;
        let (worker, lane) = (
            attempt.worker.clone(),
            attempt.lane.expect("BUG: fed into no lane"),
        );
        if !done.changed {
            attempt.holds = attempt
                .base
                .expect("BUG: nothing to send, and nothing there");
        }
        let holds = attempt.holds;
        self.lanes.set(&worker, key, lane, holds, id);
        let cleans = self.send_clean(id);
        if done.changed {
            let record = self.lanes.path(&worker, key, lane);
            let manifest = self.attempt(id).manifest.clone();
            self.store(record, holds, manifest);
        }
        if done.changed || cleans {
            self.send(id, &ToWorker::Commit(holds));
        }
        self.send(id, &ToWorker::Run(run));
    }

    fn store(&self, record: PathBuf, holds: ManifestId, manifest: Arc<Manifest>) {
        self.crew.submit(move || {
            if let Err(e) = lanebook::store(&record, holds, &manifest) {
                warn!("{}", e.text());
            }
            Report::Nothing
        });
    }

    /// Whatever moves by itself.
    pub(super) fn tend_transfer(&mut self, id: JobId) {
        let now = self.now;
        let Some(attempt) = self.jobs.get_mut(&id).and_then(|j| j.attempt.as_mut()) else {
            return;
        };
        match &mut attempt.transfer {
            Transfer::Waiting(_) => self.feed_on(id),
            Transfer::Rsync(rsync) => {
                rsync.list.flush();
                if rsync.list.backlog() == 0 {
                    rsync.list.close_output();
                }
                rsync.child.tend(now);
                if rsync.child.ended().is_some() {
                    self.rsync_ended(id);
                }
            }
            _ => {}
        }
    }

    /// One rsync per root, one after the other.
    fn start_rsync(&mut self, id: JobId, mut left: Vec<(usize, PathBuf)>) {
        if left.is_empty() {
            return self.rescan(id);
        }
        let (root, lane) = left.remove(0);
        match self.spawn_rsync(id, root, &lane) {
            Ok((child, list)) => {
                self.attempt(id).transfer = Transfer::Rsync(Box::new(Rsync { child, list, left }));
            }
            Err(error) => {
                warn!("job {id}: {}", error.text());
                self.feed_all(id, None);
            }
        }
    }

    fn spawn_rsync(
        &mut self,
        id: JobId,
        root: usize,
        lane: &std::path::Path,
    ) -> Result<(Child, Conn)> {
        let job = &self.jobs[&id];
        let (survey, attempt) = match (&job.survey, &job.attempt) {
            (Some(survey), Some(attempt)) => (survey, attempt),
            _ => return Err(Error::new("BUG: rsync for no job")),
        };
        let control = self
            .control_socket(&attempt.worker)
            .ok_or_else(|| Error::new("no connection"))?;
        let worker = self.workers.iter().find(|w| *w.id() == attempt.worker);
        let worker = worker.ok_or_else(|| Error::new("the worker is gone"))?;
        let home = &survey.project.roots[root].path;
        let mut cmd = Command::new("rsync");
        cmd.args(rsync::push(&worker.conf, &control, home, lane, false));
        let (child, Pipes { stdin, stdout }) =
            Child::spawn(&mut cmd).map_err(|e| Error::os("cannot start 'rsync'", &e))?;
        let mut list = Conn::new(stdout, stdin);
        for (name, _) in attempt
            .manifest
            .iter()
            .filter(|(n, _)| usize::from(n.root) == root)
        {
            list.out().extend_from_slice(b"./");
            list.out()
                .extend_from_slice(name.path.as_os_str().as_encoded_bytes());
            list.out().push(0);
        }
        let (rd, wr) = list.ends();
        let failed = |e| Error::os("cannot watch rsync", &e);
        self.poller.add(rd, Key::Rsync(id)).map_err(failed)?;
        if let Some(wr) = wr {
            self.poller.add(wr, Key::Rsync(id)).map_err(failed)?;
        }
        self.poller.add(&child, Key::Rsync(id)).map_err(failed)?;
        Ok((child, list))
    }

    fn rsync_ended(&mut self, id: JobId) {
        let attempt = self.attempt(id);
        let Transfer::Rsync(rsync) = std::mem::replace(&mut attempt.transfer, Transfer::Idle)
        else {
            return;
        };
        // 24: files vanished while it ran, which the second look finds.
        match rsync.child.ended().map(crate::sys::process::Exit::status) {
            Some(0 | 24) => self.start_rsync(id, rsync.left),
            status => {
                let said = rsync.child.said();
                let status = status.unwrap_or(-1);
                self.lose(
                    id,
                    &format!("rsync failed with status {status}: {said}"),
                    true,
                );
            }
        }
    }

    /// The tree may have changed while rsync read it.
    fn rescan(&mut self, id: JobId) {
        self.send(id, &ToWorker::Resync { wipe: false });
        let job = &self.jobs[&id];
        let (Some(survey), Some(attempt)) = (&job.survey, &job.attempt) else {
            return;
        };
        let (project, rules) = (survey.project.clone(), survey.rules.clone());
        let (before, number) = (attempt.manifest.clone(), attempt.number);
        self.crew.submit(move || {
            let rescan = scan::scan(&project, &rules, SCANNERS).map(|manifest| Rescan {
                manifest: Arc::new(manifest),
                before,
            });
            Report::Rescanned(id, number, Box::new(rescan))
        });
    }

    pub(super) fn rescanned(&mut self, id: JobId, number: u64, rescan: Result<Rescan>) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        let Some(attempt) = job.current(number) else {
            return;
        };
        match rescan {
            Ok(rescan) => {
                attempt.manifest = rescan.manifest;
                self.feed_all(id, Some(rescan.before));
            }
            Err(error) => self.local(id, error.text()),
        }
    }

    /// The worker lists what there is.
    pub(super) fn produced(&mut self, id: JobId, mut files: Vec<Produced>, last: bool) {
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
        if !last {
            return;
        }
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
        self.crew
            .submit(move || Report::Chosen(id, number, choice.choose()));
    }

    pub(super) fn chosen(&mut self, id: JobId, number: u64, files: Vec<Produced>) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        if job.current(number).is_none() {
            return;
        }
        if files.is_empty() {
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
        let reports = files
            .iter()
            .filter(|f| products::is_report(&survey.accepted, f, &survey.project));
        landing = landing.reports(reports.map(|f| f.name.clone()).collect());
        landing.expect(&files);
        let landing = Some(Box::new(landing));
        attempt.transfer = Transfer::Landing {
            landing,
            pending: vec![],
            fetched: false,
        };
        job.moved.back_files = u32::try_from(files.len()).unwrap_or(u32::MAX);
        let names: Vec<Name> = files.into_iter().map(|f| f.name).collect();
        // A list may be longer than a frame.
        for part in names.chunks(1000) {
            self.send(id, &ToWorker::Fetch(part.to_vec()));
        }
        self.attempt(id).fetches = names.len().div_ceil(1000);
    }

    /// File content has come.
    pub(super) fn files(&mut self, id: JobId, bytes: Vec<u8>) {
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

    pub(super) fn fetched(&mut self, id: JobId, missing: &[Name]) {
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
        self.crew.submit(move || {
            let landed = if bytes.is_empty() {
                landing.finish().map(Landed::Done)
            } else {
                landing.take(&bytes).map(|()| Landed::More(landing))
            };
            Report::Landed(id, number, Box::new(landed))
        });
    }

    pub(super) fn landed(&mut self, id: JobId, number: u64, landed: Result<Landed>) {
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
            Ok(Landed::Done(landed)) => self.brought(id, &landed),
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
        let (worker, lane) = (attempt.worker.clone(), attempt.lane.unwrap_or(0));
        let memory = self
            .home
            .entry((worker.clone(), survey.lane, lane))
            .or_default();
        Arc::make_mut(memory).note(&attempt.produced, &landed.written);
        // A source that the job wrote and that did not come home is sent again next time.
        let spoilt: Vec<Name> = attempt
            .produced
            .iter()
            .filter(|p| p.changed && attempt.manifest.get(&p.name).is_some())
            .filter(|p| !landed.written.iter().any(|(n, _)| *n == p.name))
            .map(|p| p.name.clone())
            .collect();
        let held = landed.settle(&attempt.manifest, &survey.rules, &survey.project);
        let manifest = Arc::new(held.updated(&[], &spoilt));
        if manifest != attempt.manifest {
            let record = self.lanes.path(&worker, survey.lane, lane);
            let holds = attempt.holds;
            attempt.manifest = manifest.clone();
            self.store(record, holds, manifest);
        }
        self.finish(id);
    }
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
    fn choose(self) -> Vec<Produced> {
        let home = |name: &Name| scan::at(&self.project, name);
        products::choose(
            &self.accepted,
            &self.collect,
            &self.project,
            &self.produced,
            &self.manifest,
            &self.memory,
            home,
        )
    }
}

/// The difference, and the first of it. Runs on the crew.
fn first_feed(order: Order) -> Result<Fed> {
    let base = match (&order.known, &order.base) {
        (Some(known), _) => known.clone(),
        (None, Some((path, id))) => Arc::new(lanebook::load(path, *id)?),
        (None, None) => Arc::default(),
    };
    let changes = base.changes(&order.manifest);
    let mut feed = Feed::new(
        &order.project,
        order.manifest.clone(),
        changes,
        order.offset,
        order.level,
    );
    if feed.calm(&base) && order.base.is_some() {
        let done = FeedDone {
            fed: feed::Fed::default(),
            manifest: order.manifest,
            changed: false,
        };
        return Ok(Fed {
            feed: None,
            bytes: vec![],
            done: Some(done),
        });
    }
    next_feed(feed, order.manifest)
}

/// The next of a feed. Runs on the crew.
fn next_feed(mut feed: Feed, manifest: Arc<Manifest>) -> Result<Fed> {
    let mut bytes = Vec::new();
    match feed.next(&mut bytes)? {
        Step::More => Ok(Fed {
            feed: Some(Box::new(feed)),
            bytes,
            done: None,
        }),
        Step::Done(fed) => {
            let manifest = if fed.fresh.is_empty() && fed.gone.is_empty() {
                manifest
            } else {
                Arc::new(manifest.updated(&fed.fresh, &fed.gone))
            };
            Ok(Fed {
                feed: None,
                bytes,
                done: Some(FeedDone {
                    fed,
                    manifest,
                    changed: true,
                }),
            })
        }
    }
}

fn have_rsync() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join("rsync").is_file())
}
