//! Who still calls what, kept in memory for the status page and the API; rebuilt from the event log at the start.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::caller::Caller;
use super::callers::Callers;
use super::event::{DeprecationEvent, MOST_CHANGES, ModeChanged, mode_word};
use super::json::{LONGEST_TEXT, cut, read_timestamp};
use crate::translate::Reason;

/// The most bytes that are read of an event log at the start; of a larger one its tail.
pub const MOST_READ: u64 = 4 << 30;

/// The most rows that are kept; those not seen for longest go first.
const MOST_ROWS: usize = 5000;

/// The most changes of modes that are kept.
const MOST_MODE_CHANGES: usize = 50;

/// No line of the log is longer, by far.
const LONGEST_LINE: u64 = 1 << 20;

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;

/// Days of a row's trend.
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

/// Which part of an event log is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadPart {
    /// Not beyond so many bytes from its begin: what was written since is known from the run itself.
    pub until: u64,
    /// Of that, the last so many bytes.
    pub most: u64,
}

impl Default for ReadPart {
    fn default() -> Self {
        Self {
            until: u64::MAX,
            most: MOST_READ,
        }
    }
}

/// The state, shared.
#[derive(Debug)]
pub struct Live {
    state: Mutex<State>,
    version: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    /// By method, then by the caller's key.
    methods: HashMap<String, HashMap<String, Entry>>,
    rows: usize,
    version: u64,
    last_use: Option<u64>,
    known_since: Option<u64>,
    note: Option<String>,
    forgotten: u64,
    modes: VecDeque<ModeChange>,
}

/// A row while it is counted.
#[derive(Debug, Default)]
struct Entry {
    row: Row,
    days: Trend<DAYS>,
    hours: Trend<HOURS>,
    /// What the row's address shows; nothing for one that was read from a log.
    address: Option<IpAddr>,
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
        for (event, name) in events.iter().zip(names) {
            let at = millis(event.timestamp);
            let version = state.version;
            let entry = state.entry(&event.rule.method, &event.caller.key, at);
            entry.seen(
                at,
                event.action.as_str(),
                event.batch_key.is_some(),
                event.error.is_some(),
            );
            let row = &mut entry.row;
            row.version = version;
            if row.documentation.is_none() {
                row.documentation = event.rule.documentation_url();
            }
            set_if(&mut row.replacement, event.rule.replacement.as_deref());
            set_if(&mut row.name, *name);
            let caller = &*event.caller;
            set(&mut row.auth, caller.auth.as_str());
            set_if(&mut row.user, caller.user.as_deref());
            set_if(&mut row.fingerprint, caller.fingerprint.as_deref());
            set_if(&mut row.application, caller.application.as_deref());
            if entry.address != caller.address {
                entry.address = caller.address;
                row.address = caller.address.map(|address| address.to_string());
            }
            set_if(&mut row.user_agent, caller.user_agent.as_deref());
            set_if(&mut row.sdk, caller.sdk.as_deref());
            set(&mut row.target, cut(&event.target, LONGEST_TEXT));
            set(&mut row.encoding, event.encoding.as_str());
            set_if(&mut row.mode, event.mode.map(mode_word));
            set_if(&mut row.reason, event.reason.map(Reason::as_str));
            row.status = event.status;
            set_if(&mut row.error, event.error.as_deref());
            let changes = event
                .changes
                .iter()
                .take(MOST_CHANGES)
                .map(|change| cut(change, LONGEST_TEXT));
            if !event.changes.is_empty() && !changes.clone().eq(row.changes.iter()) {
                row.changes = changes.map(str::to_owned).collect();
            }
        }
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
                from: mode_word(change.from).to_owned(),
                to: mode_word(change.to).to_owned(),
                scope: change.scope.clone(),
                cause: change.cause.to_owned(),
            });
        }
        self.tell(state);
    }

    /// Gives all rows their names again, from another callers file.
    pub fn rename(&self, callers: &Callers) {
        let mut state = self.lock();
        state.version += 1;
        let version = state.version;
        for entry in state.methods.values_mut().flat_map(HashMap::values_mut) {
            let name = callers.name_of(&entry.caller()).map(str::to_owned);
            if entry.row.name != name {
                entry.row.name = name;
                entry.row.version = version;
            }
        }
        self.tell(state);
    }

    /// Reads an event log, or its tail where it is large; names come from `callers`. Events are added to what is
    /// already known, so rotated files can be read one after the other, the oldest first.
    ///
    /// # Errors
    /// The file cannot be read; one that does not exist is an empty one.
    pub fn rebuild_from(
        &self,
        path: &Path,
        part: ReadPart,
        callers: &Callers,
    ) -> io::Result<Rebuilt> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Rebuilt::default()),
            Err(error) => return Err(error),
        };
        if !file.metadata()?.is_file() {
            return Ok(Rebuilt::default());
        }
        let length = file.metadata()?.len().min(part.until);
        let skip = length.saturating_sub(part.most);
        file.seek(SeekFrom::Start(skip))?;
        let mut rebuilt = Rebuilt {
            tail: skip > 0,
            ..Rebuilt::default()
        };
        let mut reader = BufReader::with_capacity(1 << 20, file.take(length - skip));
        let mut line = Vec::new();
        if rebuilt.tail {
            rebuilt.bytes += reader.read_until(b'\n', &mut line)? as u64;
        }
        // Read apart from what is shown, so that the page is not held up.
        let mut state = State::default();
        loop {
            line.clear();
            // A line that never ends is no reason to hold all of it: the log's own are below this.
            let read = reader
                .by_ref()
                .take(LONGEST_LINE)
                .read_until(b'\n', &mut line)?;
            if read == 0 {
                break;
            }
            rebuilt.bytes += read as u64;
            match serde_json::from_slice(&line) {
                Ok(seen) if state.replay(&seen) => rebuilt.events += 1,
                _ if line.trim_ascii().is_empty() => {}
                _ => rebuilt.skipped += 1,
            }
        }
        for entry in state.methods.values_mut().flat_map(HashMap::values_mut) {
            entry.row.name = callers.name_of(&entry.caller()).map(str::to_owned);
        }
        let mut shown = self.lock();
        shown.merge(state);
        if rebuilt.tail {
            let read = length - skip;
            shown.note = Some(format!(
                "The event log is large: only its last {} MiB were read at the start.",
                read >> 20
            ));
        }
        self.tell(shown);
        Ok(rebuilt)
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
        let state = self.lock();
        Snapshot {
            version: state.version,
            now,
            rows: state.rows_at(now, |_| true),
            last_use: state.last_use,
            known_since: state.known_since.unwrap_or(now),
            note: state.note.clone(),
            forgotten: state.forgotten,
            mode_changes: state.modes.iter().rev().cloned().collect(),
        }
    }

    /// The rows that changed after `version`, those seen last first.
    pub fn changed_since(&self, version: u64) -> Vec<Row> {
        self.lock()
            .rows_at(millis(SystemTime::now()), |row| row.version > version)
    }

    /// One row.
    pub fn row(&self, key: &str, method: &str) -> Option<Row> {
        let now = millis(SystemTime::now());
        self.lock()
            .methods
            .get(method)?
            .get(key)
            .map(|entry| entry.shown(now))
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

impl State {
    /// The entry of a method and a caller, made where there is none; notes that it was seen.
    fn entry(&mut self, method: &str, key: &str, at: u64) -> &mut Entry {
        self.last_use = self.last_use.max(Some(at));
        self.known_since = Some(self.known_since.map_or(at, |since| since.min(at)));
        let known = self
            .methods
            .get(method)
            .is_some_and(|callers| callers.contains_key(key));
        if !known {
            self.make_room();
            self.rows += 1;
            let entry = Entry {
                row: Row {
                    key: key.to_owned(),
                    method: method.to_owned(),
                    first_seen: at,
                    last_seen: at,
                    ..Row::default()
                },
                ..Entry::default()
            };
            self.methods
                .entry(method.to_owned())
                .or_default()
                .insert(key.to_owned(), entry);
        }
        // Two look-ups more than needed, where a new key is rare and owned keys would cost each time.
        self.methods
            .get_mut(method)
            .and_then(|callers| callers.get_mut(key))
            .expect("made above")
    }

    /// Gives up an eighth of the rows, those not seen for longest, when there are too many: anybody can invent callers.
    fn make_room(&mut self) {
        if self.rows < MOST_ROWS {
            return;
        }
        let mut seen: Vec<u64> = self
            .methods
            .values()
            .flat_map(HashMap::values)
            .map(|entry| entry.row.last_seen)
            .collect();
        let (_, &mut limit, _) = seen.select_nth_unstable(MOST_ROWS / 8);
        let before = self.rows;
        let mut may_go = MOST_ROWS / 8;
        for callers in self.methods.values_mut() {
            callers.retain(|_, entry| {
                let goes = may_go > 0 && entry.row.last_seen <= limit;
                may_go -= usize::from(goes);
                !goes
            });
        }
        self.methods.retain(|_, callers| !callers.is_empty());
        self.rows = self.methods.values().map(HashMap::len).sum();
        self.forgotten += (before - self.rows) as u64;
    }

    fn mode_changed(&mut self, change: ModeChange) {
        if self.modes.len() == MOST_MODE_CHANGES {
            self.modes.pop_front();
        }
        self.modes.push_back(change);
    }

    /// A line of the log; false for one that is no event.
    fn replay(&mut self, seen: &Seen<'_>) -> bool {
        let Some(at) = read_timestamp(seen.timestamp) else {
            return false;
        };
        match seen.event {
            "deprecated_call" if !seen.method.is_empty() => {}
            "mode_changed" => {
                self.mode_changed(ModeChange {
                    at,
                    method: seen.method.to_string(),
                    from: seen.from.to_string(),
                    to: seen.to.to_string(),
                    scope: seen.scope.as_deref().map(str::to_owned),
                    cause: seen.cause.to_string(),
                });
                return true;
            }
            _ => return false,
        }
        let entry = self.entry(&seen.method, &seen.caller.key, at);
        entry.seen(
            at,
            seen.action,
            seen.batch_key.is_some(),
            seen.error.is_some(),
        );
        if at < entry.row.last_seen {
            return true;
        }
        let row = &mut entry.row;
        set_if(&mut row.replacement, seen.replacement.as_deref());
        set_if(&mut row.documentation, seen.documentation.as_deref());
        set(&mut row.auth, seen.caller.auth);
        set_if(&mut row.user, seen.caller.user.as_deref());
        set_if(&mut row.fingerprint, seen.caller.fingerprint.as_deref());
        set_if(&mut row.application, seen.caller.application.as_deref());
        set_if(&mut row.address, seen.caller.address.as_deref());
        set_if(&mut row.user_agent, seen.caller.user_agent.as_deref());
        set_if(&mut row.sdk, seen.caller.sdk.as_deref());
        set(&mut row.target, &seen.target);
        set(&mut row.encoding, seen.encoding);
        set_if(&mut row.mode, seen.mode.as_deref());
        set_if(&mut row.reason, seen.reason.as_deref());
        row.status = seen.status;
        set_if(&mut row.error, seen.error.as_deref());
        if !seen.changes.is_empty() {
            row.changes = seen
                .changes
                .iter()
                .take(MOST_CHANGES)
                .map(|change| change.to_string())
                .collect();
        }
        true
    }

    /// Adds what another state, read from a log, knows: of events before those of this one.
    fn merge(&mut self, older: State) {
        self.version += 1;
        let version = self.version;
        self.last_use = self.last_use.max(older.last_use);
        self.known_since = match (self.known_since, older.known_since) {
            (Some(ours), Some(theirs)) => Some(ours.min(theirs)),
            (ours, theirs) => ours.or(theirs),
        };
        self.forgotten += older.forgotten;
        for change in older.modes.into_iter().rev() {
            if self.modes.len() < MOST_MODE_CHANGES {
                self.modes.push_front(change);
            }
        }
        self.modes.make_contiguous().sort_by_key(|change| change.at);
        for theirs in older.methods.into_values().flat_map(HashMap::into_values) {
            let (method, key) = (theirs.row.method.clone(), theirs.row.key.clone());
            let at = theirs.row.last_seen;
            let ours = self.entry(&method, &key, at);
            ours.merge(theirs);
            ours.row.version = version;
        }
    }

    fn rows_at(&self, now: u64, wanted: impl Fn(&Row) -> bool) -> Vec<Row> {
        let entries = self
            .methods
            .values()
            .flat_map(HashMap::values)
            .filter(|entry| wanted(&entry.row));
        let mut rows: Vec<Row> = entries.map(|entry| entry.shown(now)).collect();
        rows.sort_by(|a, b| {
            b.last_seen
                .cmp(&a.last_seen)
                .then_with(|| (&a.method, &a.key).cmp(&(&b.method, &b.key)))
        });
        rows
    }
}

impl Entry {
    fn seen(&mut self, at: u64, action: &str, in_batch: bool, failed: bool) {
        let row = &mut self.row;
        match action {
            "rewritten" => row.rewritten += 1,
            "refused" => row.refused += 1,
            _ => row.observed += 1,
        }
        row.batch += u64::from(in_batch);
        row.errors += u64::from(failed);
        row.first_seen = row.first_seen.min(at);
        if at >= row.last_seen {
            set(&mut row.action, action);
        }
        row.last_seen = row.last_seen.max(at);
        self.days.add(at / DAY, 1);
        self.hours.add(at / HOUR, 1);
    }

    fn merge(&mut self, other: Entry) {
        self.days.merge(&other.days);
        self.hours.merge(&other.hours);
        let newer_is_theirs = other.row.last_seen > self.row.last_seen || self.row.auth.is_empty();
        let (newer, older) = if newer_is_theirs {
            (other.row, std::mem::take(&mut self.row))
        } else {
            (std::mem::take(&mut self.row), other.row)
        };
        self.row = Row {
            rewritten: newer.rewritten + older.rewritten,
            observed: newer.observed + older.observed,
            refused: newer.refused + older.refused,
            batch: newer.batch + older.batch,
            errors: newer.errors + older.errors,
            first_seen: newer.first_seen.min(older.first_seen),
            last_seen: newer.last_seen.max(older.last_seen),
            changes: if newer.changes.is_empty() {
                older.changes
            } else {
                newer.changes
            },
            ..newer
        };
    }

    /// As much of the caller as the callers file can ask for.
    fn caller(&self) -> Caller {
        Caller {
            user: self.row.user.clone(),
            fingerprint: self.row.fingerprint.clone(),
            application: self.row.application.clone(),
            address: self
                .row
                .address
                .as_ref()
                .and_then(|address| address.parse().ok()),
            user_agent: self.row.user_agent.clone(),
            key: self.row.key.clone(),
            ..Caller::default()
        }
    }

    fn shown(&self, now: u64) -> Row {
        Row {
            days: self.days.until(now / DAY),
            hours: self.hours.until(now / HOUR),
            ..self.row.clone()
        }
    }
}

/// Counts in the last `N` spans of time, each known by its number since 1970.
#[derive(Clone, Debug, PartialEq)]
struct Trend<const N: usize> {
    /// The span that `counts` ends with.
    newest: u64,
    counts: [u32; N],
}

impl<const N: usize> Default for Trend<N> {
    fn default() -> Self {
        Self {
            newest: 0,
            counts: [0; N],
        }
    }
}

impl<const N: usize> Trend<N> {
    fn add(&mut self, span: u64, count: u32) {
        if span > self.newest {
            self.move_to(span);
        }
        let back = usize::try_from(self.newest - span).unwrap_or(N);
        if back < N {
            let slot = &mut self.counts[N - 1 - back];
            *slot = slot.saturating_add(count);
        }
    }

    fn move_to(&mut self, span: u64) {
        let by = usize::try_from(span - self.newest).unwrap_or(N).min(N);
        self.counts.copy_within(by.., 0);
        self.counts[N - by..].fill(0);
        self.newest = span;
    }

    fn merge(&mut self, other: &Self) {
        for (back, &count) in other
            .counts
            .iter()
            .rev()
            .enumerate()
            .filter(|(_, count)| **count > 0)
        {
            self.add(other.newest.saturating_sub(back as u64), count);
        }
    }

    /// The counts of the `N` spans that end with `span`, oldest first.
    fn until(&self, span: u64) -> Vec<u32> {
        let mut moved = self.clone();
        if span > moved.newest {
            moved.move_to(span);
        }
        moved.counts.to_vec()
    }
}

/// A line of the log, as much of it as is shown; borrowed, for a log of a gigabyte is read in seconds.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Seen<'a> {
    #[serde(borrow)]
    event: &'a str,
    timestamp: &'a str,
    action: &'a str,
    encoding: &'a str,
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow)]
    replacement: Option<Cow<'a, str>>,
    #[serde(borrow)]
    documentation: Option<Cow<'a, str>>,
    #[serde(borrow)]
    reason: Option<Cow<'a, str>>,
    #[serde(borrow)]
    mode: Option<Cow<'a, str>>,
    #[serde(borrow)]
    batch_key: Option<Cow<'a, str>>,
    #[serde(borrow)]
    changes: Vec<Cow<'a, str>>,
    #[serde(borrow)]
    target: Cow<'a, str>,
    #[serde(borrow)]
    caller: SeenCaller<'a>,
    status: Option<u16>,
    #[serde(borrow)]
    error: Option<Cow<'a, str>>,
    #[serde(borrow)]
    from: Cow<'a, str>,
    #[serde(borrow)]
    to: Cow<'a, str>,
    #[serde(borrow)]
    scope: Option<Cow<'a, str>>,
    #[serde(borrow)]
    cause: Cow<'a, str>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SeenCaller<'a> {
    auth: &'a str,
    #[serde(borrow)]
    key: Cow<'a, str>,
    #[serde(borrow)]
    user: Option<Cow<'a, str>>,
    #[serde(borrow)]
    fingerprint: Option<Cow<'a, str>>,
    #[serde(borrow)]
    application: Option<Cow<'a, str>>,
    #[serde(borrow)]
    address: Option<Cow<'a, str>>,
    #[serde(borrow)]
    user_agent: Option<Cow<'a, str>>,
    #[serde(borrow)]
    sdk: Option<Cow<'a, str>>,
}

/// Copies into a string that is mostly the same already.
fn set(old: &mut String, new: &str) {
    if old != new {
        new.clone_into(old);
    }
}

fn set_if(old: &mut Option<String>, new: Option<&str>) {
    if old.as_deref() != new {
        *old = new.map(str::to_owned);
    }
}

fn millis(moment: SystemTime) -> u64 {
    moment
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{Catalogue, Mode};
    use crate::telemetry::caller::Auth;
    use crate::translate::{Action, Encoding};
    use std::sync::Arc;
    use std::time::Duration;

    const NOON: u64 = 1_795_694_400_000;

    fn event(user: usize, at: u64, action: Action) -> DeprecationEvent {
        DeprecationEvent {
            timestamp: UNIX_EPOCH + Duration::from_millis(at),
            request_id: "r".into(),
            client_request_id: None,
            trace_id: None,
            rule: Catalogue::builtin().rules()[0].clone(),
            action,
            reason: (action == Action::Refused).then_some(Reason::Blocked),
            mode: Some(Mode::Rewrite),
            encoding: Encoding::Form,
            batch_key: (user == 2).then(|| "k".to_owned()),
            changes: if action == Action::Rewritten {
                vec!["a is set".to_owned()]
            } else {
                Vec::new()
            },
            target: "/rest/1/***/x".into(),
            caller: Arc::new(Caller {
                auth: Auth::Webhook,
                user: Some(user.to_string()),
                key: format!("webhook:{user}"),
                address: "192.0.2.7".parse().ok(),
                user_agent: Some("<script>".to_owned()),
                ..Caller::default()
            }),
            status: Some(200),
            error: None,
            duration: Duration::ZERO,
        }
    }

    fn events() -> Vec<DeprecationEvent> {
        vec![
            event(1, NOON - DAY, Action::Rewritten),
            event(1, NOON - 2 * HOUR, Action::Refused),
            event(1, NOON, Action::Observed),
            event(2, NOON - 40 * DAY, Action::Rewritten),
        ]
    }

    fn callers() -> Callers {
        Callers::parse("[[caller]]\nname = \"shop\"\nuser = 1\n").unwrap()
    }

    fn record(live: &Live, events: &[DeprecationEvent]) {
        let callers = callers();
        for event in events {
            live.record(
                std::slice::from_ref(event),
                &[callers.name_of(&event.caller)],
            );
        }
    }

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(NOON)
    }

    #[test]
    fn a_row_counts_what_a_caller_does_with_a_method() {
        let live = Live::default();
        record(&live, &events());
        let snapshot = live.snapshot_at(now());
        let [first, second] = &snapshot.rows[..] else {
            panic!("{snapshot:?}")
        };
        assert_eq!(
            (first.key.as_str(), first.name.as_deref()),
            ("webhook:1", Some("shop"))
        );
        assert_eq!(
            (first.rewritten, first.refused, first.observed, first.batch),
            (1, 1, 1, 0)
        );
        assert_eq!((first.first_seen, first.last_seen), (NOON - DAY, NOON));
        assert_eq!(
            (first.action.as_str(), &first.changes[..]),
            ("observed", &["a is set".to_owned()][..])
        );
        assert_eq!((first.days.len(), first.hours.len()), (DAYS, HOURS));
        assert_eq!(first.days[DAYS - 2..], [1, 2]);
        assert_eq!(
            (
                first.hours[HOURS - 1],
                first.hours[HOURS - 3],
                first.hours[HOURS - 25]
            ),
            (1, 1, 1)
        );
        assert_eq!((second.batch, second.name.as_deref()), (1, None));
        assert_eq!(
            second.days.iter().sum::<u32>(),
            0,
            "too long ago for the trend"
        );
        assert_eq!(
            (snapshot.last_use, snapshot.known_since),
            (Some(NOON), NOON - 40 * DAY)
        );
    }

    #[test]
    fn a_state_read_from_the_log_is_the_one_that_was_lost() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut lines = Vec::new();
        for event in events() {
            event.write_line(None, &mut lines);
        }
        lines.extend_from_slice(b"\n{\"event\":\"depre\nnoise\n{\"event\":\"other\"}\n");
        let change = ModeChanged {
            timestamp: now(),
            method: "m".to_owned(),
            from: Mode::Rewrite,
            to: Mode::Block,
            scope: None,
            cause: "reload",
            origin: None,
        };
        change.write_line(&mut lines);
        std::fs::write(&path, &lines).unwrap();

        let before = Live::default();
        record(&before, &events());
        before.modes_changed(std::slice::from_ref(&change));
        let after = Live::default();
        let rebuilt = after
            .rebuild_from(&path, ReadPart::default(), &callers())
            .unwrap();
        assert_eq!(
            rebuilt,
            Rebuilt {
                events: 5,
                skipped: 3,
                bytes: lines.len() as u64,
                tail: false
            }
        );
        let plain = |live: &Live| {
            let mut snapshot = live.snapshot_at(now());
            snapshot.version = 0;
            snapshot.rows.iter_mut().for_each(|row| row.version = 0);
            snapshot
        };
        assert_eq!(plain(&after), plain(&before));

        // What came in while the log was read is added to, not lost.
        let meanwhile = Live::default();
        record(&meanwhile, &[event(1, NOON + HOUR, Action::Rewritten)]);
        meanwhile
            .rebuild_from(&path, ReadPart::default(), &callers())
            .unwrap();
        record(&before, &[event(1, NOON + HOUR, Action::Rewritten)]);
        assert_eq!(plain(&meanwhile), plain(&before));
    }

    #[test]
    fn of_a_large_log_the_tail_is_read_and_the_page_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut lines = Vec::new();
        for event in events() {
            event.write_line(None, &mut lines);
        }
        std::fs::write(&path, &lines).unwrap();
        let live = Live::default();
        let part = ReadPart {
            most: lines.len() as u64 / 2,
            ..ReadPart::default()
        };
        let rebuilt = live.rebuild_from(&path, part, &callers()).unwrap();
        assert!(
            rebuilt.tail && rebuilt.events < 4 && rebuilt.skipped == 0,
            "{rebuilt:?}"
        );
        assert!(live.snapshot().note.unwrap().contains("only its last"));

        let whole = ReadPart {
            until: lines.iter().position(|byte| *byte == b'\n').unwrap() as u64 + 1,
            ..ReadPart::default()
        };
        assert_eq!(
            Live::default()
                .rebuild_from(&path, whole, &callers())
                .unwrap()
                .events,
            1
        );
        let nothing =
            Live::default().rebuild_from(&dir.path().join("none"), ReadPart::default(), &callers());
        assert_eq!(nothing.unwrap(), Rebuilt::default());
    }

    #[test]
    fn watchers_are_told_of_changes_and_get_only_the_rows_that_changed() {
        let live = Live::default();
        let mut watcher = live.subscribe();
        record(&live, &events()[..1]);
        assert!(watcher.has_changed().unwrap());
        let version = *watcher.borrow_and_update();
        assert_eq!(version, live.version());
        assert_eq!(live.changed_since(version), []);
        record(&live, &events()[3..]);
        let changed = live.changed_since(version);
        assert_eq!(
            changed
                .iter()
                .map(|row| row.key.as_str())
                .collect::<Vec<_>>(),
            ["webhook:2"]
        );
        let row = live.row("webhook:1", &changed[0].method).unwrap();
        assert_eq!(row.user_agent.as_deref(), Some("<script>"));
        assert_eq!(live.row("webhook:1", "none"), None);

        let version = live.version();
        live.rename(&Callers::default());
        assert_eq!(live.changed_since(version).len(), 1, "one had a name");
    }

    #[test]
    fn callers_that_somebody_invents_push_out_those_not_seen_for_longest() {
        let live = Live::default();
        for user in 0..2 * MOST_ROWS {
            record(&live, &[event(user, NOON + user as u64, Action::Observed)]);
        }
        let snapshot = live.snapshot();
        assert!(snapshot.rows.len() <= MOST_ROWS && snapshot.rows.len() > MOST_ROWS / 2);
        assert_eq!(
            snapshot.forgotten + snapshot.rows.len() as u64,
            2 * MOST_ROWS as u64
        );
        assert_eq!(
            snapshot.rows[0].key,
            format!("webhook:{}", 2 * MOST_ROWS - 1)
        );
    }

    #[test]
    fn a_trend_takes_events_out_of_order() {
        let mut trend = Trend::<4>::default();
        for span in [100, 98, 101, 90, 101] {
            trend.add(span, 1);
        }
        assert_eq!(trend.until(101), [1, 0, 1, 2]);
        assert_eq!(trend.until(103), [1, 2, 0, 0]);
        assert_eq!(trend.until(500), [0; 4]);
        let mut other = Trend::<4>::default();
        other.add(102, 5);
        other.merge(&trend);
        assert_eq!(other.until(102), [0, 1, 2, 5]);
    }
}
