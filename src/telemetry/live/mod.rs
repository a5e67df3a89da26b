//! Who still calls what, kept in memory for the status page and the API; rebuilt from the event log at the start.
//!
//! - [`used`] a use, of a call or of a line of the log
//! - [`row`] what is known of one caller's use of one method
//! - [`entry`] the same, for calls of all threads to count in
//! - [`trend`] its calls a day and an hour
//! - [`sources`] where its calls came from
//! - [`group`] the rows that such entries make: one for each name of the callers file
//! - [`state`] all entries, and the changes of modes
//! - [`replay`] the state as an event log tells it

mod entry;
mod group;
mod replay;
mod row;
mod sources;
mod state;
#[cfg(test)]
mod tests;
mod trend;
mod used;

pub use entry::SharedEntry;
pub use replay::{MOST_READ, ReadPart, Rebuilt};

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use super::callers::{Callers, Day};
use super::event::{DeprecationEvent, ModeChanged};
use super::json::{LONGEST_TEXT, cut};
use super::reader::Line;
use super::shown::{ModeChange, Row, Snapshot, Whose};
use entry::{Taken, Version};
use group::rows_of;
use state::State;
use used::Use;

/// The state, shared.
#[derive(Debug)]
pub struct Live {
    state: Mutex<State>,
    version: Version,
    /// Somebody waits to be told of a change.
    is_awaited: AtomicBool,
    told: watch::Sender<()>,
}

impl Default for Live {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            version: Version::default(),
            is_awaited: AtomicBool::new(false),
            told: watch::Sender::new(()),
        }
    }
}

impl Live {
    /// Shows a use. `entry` is that of its caller and method, once it is known: then no other is looked at. `name` is the
    /// caller's in the callers file.
    pub fn show(
        &self,
        entry: &mut Option<Arc<SharedEntry>>,
        event: &DeprecationEvent<'_>,
        name: Option<&str>,
    ) {
        let used = Use::of(event, millis(event.timestamp));
        let changes = event.changes.iter().map(|change| cut(change, LONGEST_TEXT));
        let (method, key) = (&event.rule.method, &event.caller.key);
        let taken = match entry {
            Some(entry) => entry.take(&self.version, &used, changes.clone()),
            None => Taken::Gone,
        };
        match taken {
            Taken::Counted => {}
            Taken::NewlyLetIn => self.lock().let_in(key),
            Taken::Gone => {
                let mut state = self.lock();
                *entry = Some(state.take(&self.version, method, key, name, &used, changes));
            }
        }
        self.tell();
    }

    /// Shows the uses that a line of a log tells of.
    pub fn take_line(&self, line: &Line<'_>, name: Option<&str>) {
        self.lock().take_line(&self.version, line, name);
        self.tell();
    }

    /// Shows changes of modes.
    pub fn modes_changed(&self, changes: &[ModeChanged]) {
        if changes.is_empty() {
            return;
        }
        let mut state = self.lock();
        self.version.raise();
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
        drop(state);
        self.tell();
    }

    /// Gives all callers their names again, from another callers file, and what it says of them. Calls that came under one key from several callers,
    /// and were counted before the file told them apart, stay under their key.
    pub fn rename(&self, callers: &Callers) {
        self.lock().rename(&self.version, callers);
        self.tell();
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
        self.lock().merge(&self.version, state);
        self.tell();
        Ok(rebuilt)
    }

    /// Takes back what [`Live::set_note`] said, unless something else is said by now.
    pub fn take_note(&self, note: &str) {
        let mut state = self.lock();
        if state.note.as_deref() == Some(note) {
            self.version.raise();
            state.note = None;
        }
        drop(state);
        self.tell();
    }

    /// Says on the page where its state comes from, for instance that the log goes to standard output.
    pub fn set_note(&self, note: impl Into<String>) {
        let mut state = self.lock();
        self.version.raise();
        state.note = Some(note.into());
        drop(state);
        self.tell();
    }

    /// The version of the state: grows with each change.
    pub fn version(&self) -> u64 {
        self.version.now()
    }

    /// Tells of new versions; those that come faster than they are asked for are told of once.
    pub fn watch(&self) -> Watcher<'_> {
        Watcher {
            live: self,
            told: self.told.subscribe(),
            seen: self.version(),
        }
    }

    /// The whole state.
    pub fn snapshot(&self) -> Snapshot {
        self.snapshot_at(SystemTime::now())
    }

    fn snapshot_at(&self, now: SystemTime) -> Snapshot {
        let now = millis(now);
        let version = self.version();
        let (mut snapshot, mut span, entries, about) = {
            let state = self.lock();
            let snapshot = Snapshot {
                version,
                now,
                note: state.note.clone(),
                forgotten: state.forgotten,
                mode_changes: state.modes.iter().rev().cloned().collect(),
                ..Snapshot::default()
            };
            let entries: Vec<_> = state.entries().cloned().collect();
            (
                snapshot,
                state.gone.clone(),
                entries,
                Arc::clone(&state.about),
            )
        };
        let entries: Vec<_> = entries.iter().map(|entry| entry.look()).collect();
        entries.iter().for_each(|entry| span.add_entry(entry));
        snapshot.last_use = span.last;
        snapshot.known_since = span.first.unwrap_or(now);
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
        let entries = entries.iter().map(|entry| entry.look()).collect();
        Some(rows_of(entries, &about, millis(SystemTime::now())))
    }

    /// One row.
    pub fn row(&self, whose: Whose<'_>, method: &str) -> Option<Row> {
        let (entries, about) = {
            let state = self.lock();
            (state.entries_of(whose, method), Arc::clone(&state.about))
        };
        let entries = entries.iter().map(|entry| entry.look()).collect();
        rows_of(entries, &about, millis(SystemTime::now()))
            .into_iter()
            .next()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes whoever waits for a change: to be called behind it.
    fn tell(&self) {
        if self.is_awaited.load(SeqCst) && self.is_awaited.swap(false, SeqCst) {
            self.told.send_replace(());
        }
    }
}

/// Waits for changes of the state.
pub struct Watcher<'a> {
    live: &'a Live,
    told: watch::Receiver<()>,
    seen: u64,
}

impl Watcher<'_> {
    /// Waits for a version that was not given yet. Nothing is lost where it is dropped before its end.
    pub async fn changed(&mut self) {
        loop {
            // First the wish, then the look: a change that the look misses sees the wish.
            self.live.is_awaited.store(true, SeqCst);
            if self.live.version() != self.seen {
                return;
            }
            if self.told.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// The version now: until it grows, nothing has changed.
    pub fn version(&mut self) -> u64 {
        self.seen = self.live.version();
        self.seen
    }
}

fn millis(moment: SystemTime) -> u64 {
    moment
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}
