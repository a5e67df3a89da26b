//! The events of the live view: who gets them, and what tells one run's versions from another's.

use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::sync::broadcast;
use tokio::time::Instant;

/// How far a watcher may fall behind before it is told to read the page again.
const MOST_BEHIND: usize = 16;

/// The events, and who gets them.
pub(super) struct Feed {
    pub(super) events: broadcast::Sender<Bytes>,
    /// The overview, and when it was made: it sums all rows up, so it is made once for all who watch.
    pub(super) overview: Mutex<Option<(Instant, String)>>,
    /// Tells this run of the proxy from an earlier one, whose versions mean nothing.
    run: String,
}

impl Feed {
    pub(super) fn new() -> Self {
        let started = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            events: broadcast::Sender::new(MOST_BEHIND),
            overview: Mutex::default(),
            run: format!("{:x}", started.as_nanos()),
        }
    }

    /// The id of a version, as events carry it and a page that is read brings it back.
    pub(super) fn id(&self, version: u64) -> String {
        format!("{}.{version}", self.run)
    }

    /// What was made before a change does not show it.
    pub(super) fn forget_overview(&self) {
        *self.overview.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The version of an id of this run.
    pub(super) fn version(&self, id: &str) -> Option<u64> {
        id.strip_prefix(self.run.as_str())?
            .strip_prefix('.')?
            .parse()
            .ok()
    }
}
