//! The way there: from what the lane is believed to hold to what it shall hold.
//!
//! The difference is made by the crew, piece by piece, and written as fast as the link takes it; the
//! command follows it at once. Only a lane that turns out to hold something else is waited for.

use std::path::PathBuf;
use std::sync::Arc;

use super::Transfer;
use super::back::store;
use super::order::{Fed, FeedDone, Order, first_feed, next_feed};
use crate::config::{self, Retention};
use crate::conn::BACKLOG;
use crate::daemon::{Daemon, Report, start};
use crate::error::{Error, Result};
use crate::ids::{JobId, ManifestId};
use crate::job::Stage;
use crate::lanebook;
use crate::manifest::Manifest;
use crate::products::{self, MAX_LISTED, Memory};
use crate::wire::worker::{Base, Fault, Held, Keep, Open, Resync, ToWorker};

impl Daemon {
    /// Asks for the lane, and sends at once if it is known what it holds.
    pub(super) fn open_lane(&mut self, id: JobId) {
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
        let lasting = survey.config.worker.retention == Retention::Lane;
        let kin = || {
            self.lanes
                .kin(&attempt.worker, survey.lane)
                .map(|l| (l.key, l.number))
        };
        attempt.like = (lane.is_none() && lasting).then(kin).flatten();
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
            like: attempt.like,
            keep: keep(&survey.config.worker),
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
    pub(in crate::daemon) fn lane(
        &mut self,
        id: JobId,
        number: u16,
        base: Base,
        roots: &[PathBuf],
    ) {
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
        attempt.heard = true;
        if attempt.base.is_some() && base == Base::Holds {
            return;
        }
        // It is the lane that was asked for, but our own record of it could not be read.
        let unread = attempt.base.is_none() && attempt.lane == Some(number);
        let (worker, key) = (attempt.worker.clone(), survey.lane);
        // Whatever was prepared or sent for another content is void, here as on the worker.
        let resync = attempt.base.take().is_some();
        if let Some(old) = attempt.lane.replace(number) {
            self.lanes.free(id);
            self.lanes.forget(&worker, key, old);
        }
        attempt.number = fresh;
        attempt.manifest = survey.manifest.clone();
        attempt.transfer = Transfer::Idle;
        if base == Base::Stale || (unread && base == Base::Holds) {
            self.inherit(id);
            return self.ask_what_it_holds(id);
        }
        self.attempt(id).like = None;
        if resync {
            self.send(id, &ToWorker::Resync(Resync::Wipe));
        }
        match self.bulk(id, &worker, base) {
            true => self.start_rsync(id, roots.iter().cloned().enumerate().collect()),
            false => self.feed_all(id, None),
        }
    }

    /// A lane that is a copy of another is remembered as that one is, if it is.
    fn inherit(&mut self, id: JobId) {
        let job = &self.jobs[&id];
        let original = job.attempt.as_ref().and_then(|a| a.like);
        if let (Some((key, number)), Some(place)) = (original, job.place())
            && let Some(memory) = self.home.get(&(place.0.clone(), key, number))
        {
            let memory = Arc::new(Memory::clone(memory).of_copy());
            self.home.set(place, memory);
        }
    }

    fn feed_from_base(&mut self, id: JobId) {
        let order = self.order(id, true, None);
        self.prepare(id, order);
    }

    /// Everything, or the difference to what `known` says.
    pub(super) fn feed_all(&mut self, id: JobId, known: Option<Arc<Manifest>>) {
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
        let record = self.lanes.record(&attempt.worker, survey.lane, number);
        let place = (attempt.worker.clone(), survey.lane, number);
        // A copy has brought home what its original did.
        let (key, number) = attempt.like.unwrap_or((survey.lane, number));
        let path = self.lanes.path(&attempt.worker, key, number);
        let unknown = !self.home.holds(&place);
        let session = attempt.session.and_then(|s| self.sessions.get(&s));
        Order {
            project: survey.project.clone(),
            memory: unknown.then(|| lanebook::memory(&path)),
            base: attempt.base.filter(|_| from_base).map(|b| (record, b)),
            known,
            held: vec![],
            products: products::may_write_sources(&survey.accepted),
            manifest: attempt.manifest.clone(),
            digest: survey.sources,
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

    /// Nobody knows what the lane holds: the worker says it, and only what differs is sent.
    fn ask_what_it_holds(&mut self, id: JobId) {
        self.attempt(id).transfer = Transfer::Listing(vec![]);
        self.send(id, &ToWorker::Resync(Resync::List));
    }

    pub(in crate::daemon) fn holds(&mut self, id: JobId, mut files: Vec<Held>, last: bool) {
        let Some(attempt) = self.jobs.get_mut(&id).and_then(|j| j.attempt.as_mut()) else {
            return;
        };
        let Transfer::Listing(held) = &mut attempt.transfer else {
            return self.failed(id, Fault::Protocol, "a list that nobody asked for");
        };
        held.append(&mut files);
        if held.len() > MAX_LISTED {
            return self.failed(id, Fault::Protocol, "a list without end");
        }
        if last {
            let held = std::mem::take(held);
            let mut order = self.order(id, false, None);
            order.held = held;
            self.prepare(id, order);
        }
    }

    pub(in crate::daemon) fn fed(&mut self, id: JobId, number: u64, fed: Result<Fed>) {
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
        if let (Some(memory), Some(place)) = (fed.memory, job.place()) {
            let is_copy = job.attempt.as_ref().is_some_and(|a| a.like.is_some());
            let memory = if is_copy { memory.of_copy() } else { memory };
            if !self.home.holds(&place) {
                self.home.set(place, Arc::new(memory));
            }
        }
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
        // Else the lane is asked when it is known which it is.
        if attempt.heard {
            self.ask_what_it_holds(id);
        }
    }

    /// Lets the crew go on as soon as the link has taken most of what was prepared.
    pub(super) fn feed_on(&mut self, id: JobId) {
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
        job.remark_dropped();
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
        // Of a lane that is emptied after the job there is nothing to know.
        let lasting = survey.config.worker.retention == Retention::Lane;
        if lasting {
            self.lanes.set(&worker, key, lane, holds, id);
        }
        let cleans = self.send_clean(id);
        if (done.changed || done.surer) && lasting {
            let pen = self.lanes.pen(&worker, key, lane);
            let manifest = self.attempt(id).manifest.clone();
            self.crew.submit(move || store(pen, holds, &manifest));
        }
        if done.changed || cleans {
            self.send(id, &ToWorker::Commit(holds));
        }
        self.send(id, &ToWorker::Run(run));
    }
}

fn keep(config: &config::WorkerDefaults) -> Keep {
    Keep {
        ephemeral: config.retention == Retention::Ephemeral,
        max_age_secs: config.max_age_hours.saturating_mul(3600),
        min_free_mib: config.min_free_gb.saturating_mul(1024),
    }
}
