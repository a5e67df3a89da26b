//! Who still calls what, kept in memory for the status page and the API; rebuilt from the event log at the start.
//!
//! - [`used`] a use, of a call or of a line of the log
//! - [`row`] what is known of one caller's use of one method
//! - [`trend`] its calls a day and an hour
//! - [`sources`] where its calls came from
//! - [`group`] the rows that such entries make: one for each name of the callers file
//! - [`state`] all entries, and the changes of modes
//! - [`replay`] the state as an event log tells it

mod group;
mod replay;
mod row;
mod sources;
mod state;
#[cfg(test)]
mod tests;
mod trend;
mod used;

pub use replay::{MOST_READ, ReadPart, Rebuilt};
pub use row::{Behind, Row};
pub use state::Whose;

use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use tokio::sync::watch;

use super::callers::{Callers, Day};
use super::event::{DeprecationEvent, ModeChanged};
use super::json::{LONGEST_TEXT, cut};
use super::reader::Line;
use group::rows_of;
use state::State;
use used::{AddressText, Use};

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;

/// Days of a row's trend.
pub const DAYS: usize = 30;
/// Hours of a row's trend.
pub const HOURS: usize = 48;

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

/// The state, shared.
#[derive(Debug)]
pub struct Live {
    state: Mutex<State>,
    version: watch::Sender<u64>,
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
        if events.is_empty() {
            return;
        }
        let mut state = self.lock();
        state.version += 1;
        let mut address = AddressText::default();
        for (event, name) in events.iter().zip(names) {
            let used = Use::of(event, millis(event.timestamp), &mut address);
            let changes = event.changes.iter().map(|change| cut(change, LONGEST_TEXT));
            state.take(&event.rule.method, &event.caller.key, *name, &used, changes);
        }
        self.tell(state);
    }

    /// Shows the uses that a line of a log tells of.
    pub fn take_line(&self, line: &Line<'_>, name: Option<&str>) {
        let mut state = self.lock();
        state.version += 1;
        state.take_line(line, name);
        self.tell(state);
    }

    /// Shows changes of modes.
    pub fn modes_changed(&self, changes: &[ModeChanged]) {
        if changes.is_empty() {
            return;
        }
        let mut state = self.lock();
        state.version += 1;
        for change in changes {
            state.mode_changed(ModeChange {
                at: millis(change.timestamp),
                method: change.method.clone(),
                from: change.from.as_str().to_owned(),
                to: change.to.as_str().to_owned(),
                scope: change.scope.clone(),
                cause: change.cause.to_owned(),
            });
        }
        self.tell(state);
    }

    /// Gives all callers their names again, from another callers file, and what it says of them. Calls that came under one key from several callers,
    /// and were counted before the file told them apart, stay under their key.
    pub fn rename(&self, callers: &Callers) {
        let mut state = self.lock();
        state.rename(callers);
        self.tell(state);
    }

    /// Reads an event log, or its tail where it is large; names come from `callers`. What it tells is added to what is
    /// already known, in whatever order files are read. `regressed` is told on which days names had regressed.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn rebuild_from(
        &self,
        file: File,
        part: ReadPart,
        callers: &Callers,
        regressed: impl FnMut(Day, &str),
    ) -> io::Result<Rebuilt> {
        // Read apart from what is shown, so that the page is not held up.
        let (state, rebuilt) = replay::read(file, part, callers, regressed)?;
        let mut shown = self.lock();
        shown.merge(state);
        self.tell(shown);
        Ok(rebuilt)
    }

    /// Takes back what [`Live::set_note`] said, unless something else is said by now.
    pub fn take_note(&self, note: &str) {
        let mut state = self.lock();
        if state.note.as_deref() == Some(note) {
            state.version += 1;
            state.note = None;
        }
        self.tell(state);
    }

    /// Says on the page where its state comes from, for instance that the log goes to standard output.
    pub fn set_note(&self, note: impl Into<String>) {
        let mut state = self.lock();
        state.version += 1;
        state.note = Some(note.into());
        self.tell(state);
    }

    /// The version of the state: grows with each change.
    pub fn version(&self) -> u64 {
        *self.version.borrow()
    }

    /// Tells of each new version; versions that come faster than they are read are told of once.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// The whole state.
    pub fn snapshot(&self) -> Snapshot {
        self.snapshot_at(SystemTime::now())
    }

    fn snapshot_at(&self, now: SystemTime) -> Snapshot {
        let now = millis(now);
        let (mut snapshot, entries, about) = {
            let state = self.lock();
            let snapshot = Snapshot {
                version: state.version,
                now,
                rows: Vec::new(),
                last_use: state.last_use,
                known_since: state.known_since.unwrap_or(now),
                note: state.note.clone(),
                forgotten: state.forgotten,
                mode_changes: state.modes.iter().rev().cloned().collect(),
            };
            let entries = state.entries().cloned().collect();
            (snapshot, entries, Arc::clone(&state.about))
        };
        snapshot.rows = rows_of(entries, &about, now);
        snapshot
    }

    /// The rows that changed after `version`, those seen last first; nothing where whoever shows them has to read all of
    /// them again, for over `most` have changed or some may be gone.
    pub fn changed_since(&self, version: u64, most: usize) -> Option<Vec<Row>> {
        let (entries, about) = {
            let state = self.lock();
            let changed = state.changed_since(version, most)?;
            (changed, Arc::clone(&state.about))
        };
        Some(rows_of(entries, &about, millis(SystemTime::now())))
    }

    /// One row.
    pub fn row(&self, whose: Whose<'_>, method: &str) -> Option<Row> {
        let (entries, about) = {
            let state = self.lock();
            (state.entries_of(whose, method), Arc::clone(&state.about))
        };
        rows_of(entries, &about, millis(SystemTime::now()))
            .into_iter()
            .next()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, state: MutexGuard<'_, State>) {
        let version = state.version;
        drop(state);
        self.version.send_if_modified(|told| {
            let newer = version > *told;
            *told = version.max(*told);
            newer
        });
    }
}

fn millis(moment: SystemTime) -> u64 {
    moment
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}
