//! What the crew does on the way there: from the order to messages, piece by piece.
//!
//! Reading a record, comparing two manifests and reading the files that differ takes from a
//! millisecond to minutes, which the loop does not have.

use std::path::PathBuf;
use std::sync::Arc;

use crate::error::Result;
use crate::feed::{self, Feed, Step, held};
use crate::ids::ManifestId;
use crate::lanebook::Record;
use crate::manifest::Manifest;
use crate::products::Memory;
use crate::roots::Project;
use crate::wire::worker::Held;

/// What the crew fed: the feed for the next time, and the bytes to send.
pub(in crate::daemon) struct Fed {
    pub(super) feed: Option<Box<Feed>>,
    pub(super) bytes: Vec<u8>,
    pub(super) done: Option<FeedDone>,
    /// What came home from this lane, if it had to be read from the disk.
    pub(super) memory: Option<Memory>,
}

pub(super) struct FeedDone {
    pub(super) fed: feed::Fed,
    pub(super) manifest: Arc<Manifest>,
    /// Whether anything was sent, so that the lane's name changes.
    pub(super) changed: bool,
    /// Whether the manifest is surer than the lane's record: what was racy has been read again.
    pub(super) surer: bool,
}

/// What the crew needs to make a feed.
pub(super) struct Order {
    pub(super) project: Arc<Project>,
    /// The record of what the lane holds; `None`: nothing.
    pub(super) base: Option<(Record, ManifestId)>,
    /// Known already, instead of a record.
    pub(super) known: Option<Arc<Manifest>>,
    /// What the worker says, instead of either.
    pub(super) held: Vec<Held>,
    /// The command's products may lie among its sources.
    pub(super) products: bool,
    /// Where it stands what came home, if that is not known.
    pub(super) memory: Option<PathBuf>,
    pub(super) manifest: Arc<Manifest>,
    /// The manifest's, where there is a `base`.
    pub(super) digest: [u8; 16],
    pub(super) offset: i64,
    pub(super) level: i32,
}

/// The difference, and the first of it. Runs on the crew.
pub(super) fn first_feed(order: Order) -> Result<Fed> {
    let memory = order.memory.as_ref().map(|path| {
        let bytes = std::fs::read(path).unwrap_or_default();
        Memory::decode(&bytes).unwrap_or_default()
    });
    begin_feed(order).map(|fed| Fed { memory, ..fed })
}

fn begin_feed(mut order: Order) -> Result<Fed> {
    if let (None, Some((record, holds))) = (&order.known, &order.base)
        && record.is_settled(*holds, order.digest)
    {
        return Ok(nothing_to_send(order.manifest, false));
    }
    let base = match (&order.known, &order.base) {
        (Some(known), _) => known.clone(),
        (None, Some((record, id))) => Arc::new(record.load(*id)?),
        (None, None) => {
            let held = std::mem::take(&mut order.held);
            let (project, manifest) = (&order.project, &order.manifest);
            Arc::new(held::known(
                project,
                manifest,
                held,
                order.offset,
                order.products,
            ))
        }
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
        let manifest = updated(order.manifest, feed.fed());
        let surer = manifest.racy() < base.racy();
        return Ok(nothing_to_send(manifest, surer));
    }
    next_feed(feed, order.manifest)
}

/// The lane holds what it shall.
fn nothing_to_send(manifest: Arc<Manifest>, surer: bool) -> Fed {
    Fed {
        feed: None,
        bytes: vec![],
        done: Some(FeedDone {
            fed: feed::Fed::default(),
            manifest,
            changed: false,
            surer,
        }),
        memory: None,
    }
}

/// The next of a feed. Runs on the crew.
pub(super) fn next_feed(mut feed: Feed, manifest: Arc<Manifest>) -> Result<Fed> {
    let mut bytes = Vec::new();
    match feed.next(&mut bytes)? {
        Step::More => Ok(Fed {
            feed: Some(Box::new(feed)),
            bytes,
            done: None,
            memory: None,
        }),
        Step::Done(fed) => {
            let manifest = updated(manifest, &fed);
            Ok(Fed {
                feed: None,
                bytes,
                done: Some(FeedDone {
                    fed,
                    manifest,
                    changed: true,
                    surer: false,
                }),
                memory: None,
            })
        }
    }
}

/// The manifest as it was fed.
fn updated(manifest: Arc<Manifest>, fed: &feed::Fed) -> Arc<Manifest> {
    if fed.fresh.is_empty() && fed.gone.is_empty() {
        return manifest;
    }
    Arc::new(manifest.updated(&fed.fresh, &fed.gone))
}
