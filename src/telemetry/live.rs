//! Who still calls what, kept in memory for the status page and the API; rebuilt from the event log at the start.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use tokio::sync::watch;

use super::callers::Callers;
use super::event::{DeprecationEvent, ModeChanged};

/// The most bytes that are read of an event log at the start; of a larger one its tail.
pub const MOST_READ: u64 = 4 << 30;

/// The most rows that are kept; those not seen for longest go first.
const MOST_ROWS: usize = 5000;

/// Days and hours of a row's trend.
pub const DAYS: usize = 30;
/// Hours of a row's trend.
pub const HOURS: usize = 48;

/// One caller's use of one method.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Row {
    /// The caller's key.
    pub key: String,
    /// The caller's name in the callers file.
    pub name: Option<String>,
    /// The legacy method.
    pub method: String,
    pub replacement: Option<String>,
    pub documentation: Option<String>,
    /// `webhook`, `oauth`, `session`, `none` or `unknown`.
    pub auth: String,
    pub user: Option<String>,
    pub fingerprint: Option<String>,
    pub application: Option<String>,
    /// Of the last call, like all that follows.
    pub address: Option<String>,
    pub user_agent: Option<String>,
    pub sdk: Option<String>,
    /// The path, its code as `***`.
    pub target: String,
    pub encoding: String,
    pub mode: Option<String>,
    pub action: String,
    pub reason: Option<String>,
    pub status: Option<u16>,
    pub error: Option<String>,
    /// What was changed in the last call that was changed, in words.
    pub changes: Vec<String>,
    /// How many calls, by what was done to them.
    pub rewritten: u64,
    pub observed: u64,
    pub refused: u64,
    /// How many of them were commands of a batch.
    pub batch: u64,
    /// How many were answered with an error code.
    pub errors: u64,
    /// In milliseconds since 1970.
    pub first_seen: u64,
    pub last_seen: u64,
    /// Calls a day (UTC) and an hour, oldest first; the last one is that of the snapshot's time.
    pub days: Vec<u32>,
    pub hours: Vec<u32>,
    /// The version of the state at which the row last changed.
    pub version: u64,
}

/// A change of a mode, as the page shows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ModeChange {
    /// In milliseconds since 1970.
    pub at: u64,
    pub method: String,
    pub from: String,
    pub to: String,
    pub scope: Option<String>,
    pub cause: String,
}

/// The whole state at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Snapshot {
    /// Grows with each change.
    pub version: u64,
    /// In milliseconds since 1970.
    pub now: u64,
    /// All rows, those seen last first.
    pub rows: Vec<Row>,
    /// The last use of any deprecated method, in milliseconds since 1970.
    pub last_use: Option<u64>,
    /// Since when uses are known: the first event read, or the start. In milliseconds since 1970.
    pub known_since: u64,
    /// What the page says about where its state comes from: nothing when all of the log was read.
    pub note: Option<String>,
    /// How many rows were given up for lack of room.
    pub forgotten: u64,
    /// The last changes of modes, newest first.
    pub mode_changes: Vec<ModeChange>,
}

/// What was read at the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rebuilt {
    pub events: u64,
    /// Lines that are no events: torn by a crash, or not ours.
    pub skipped: u64,
    pub bytes: u64,
    /// Whether only the log's tail was read.
    pub tail: bool,
}

/// The state, shared.
#[derive(Debug)]
pub struct Live {
    state: Mutex<State>,
    version: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    _rows: HashMap<String, HashMap<String, Row>>,
    _modes: VecDeque<ModeChange>,
}

impl Default for Live {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            version: watch::Sender::new(0),
        }
    }
}

impl Live {
    /// Shows the events of one request. `names` are their callers' in the callers file.
    pub fn record(&self, events: &[DeprecationEvent], names: &[Option<&str>]) {
        let _ = (events, names, MOST_ROWS, self.lock());
    }

    /// Shows changes of modes.
    pub fn modes_changed(&self, changes: &[ModeChanged]) {
        let _ = changes;
    }

    /// Gives all rows their names again, from another callers file.
    pub fn rename(&self, callers: &Callers) {
        let _ = callers;
    }

    /// Reads an event log, or of one over `most` bytes its tail.
    ///
    /// # Errors
    /// The file cannot be read; one that does not exist is an empty one.
    pub fn rebuild_from(&self, path: &Path, most: u64, callers: &Callers) -> io::Result<Rebuilt> {
        let _ = (path, most, callers);
        Ok(Rebuilt::default())
    }

    /// Says on the page where its state comes from, for instance that the log goes to standard output.
    pub fn set_note(&self, note: impl Into<String>) {
        let _: String = note.into();
    }

    /// The version of the state: grows with each change.
    pub fn version(&self) -> u64 {
        *self.version.borrow()
    }

    /// Tells of each new version.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// The whole state.
    pub fn snapshot(&self) -> Snapshot {
        self.snapshot_at(SystemTime::now())
    }

    fn snapshot_at(&self, now: SystemTime) -> Snapshot {
        let now = now
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_millis() as u64);
        Snapshot {
            now,
            ..Snapshot::default()
        }
    }

    /// The rows that changed after `version`, those seen last first.
    pub fn changed_since(&self, version: u64) -> Vec<Row> {
        let _ = version;
        Vec::new()
    }

    /// One row.
    pub fn row(&self, key: &str, method: &str) -> Option<Row> {
        let _ = (key, method);
        None
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
