//! All rows and all that is shown beside them, while it is counted (pure).

use std::collections::{HashMap, VecDeque};

use super::ModeChange;
use super::row::{Entry, Row};

/// The most rows that are kept; those not seen for longest go first.
pub(super) const MOST_ROWS: usize = 5000;

/// The most changes of modes that are kept.
const MOST_MODE_CHANGES: usize = 50;

#[derive(Debug, Default)]
pub(super) struct State {
    /// By method, then by the caller's key.
    methods: HashMap<String, HashMap<String, Entry>>,
    rows: usize,
    pub(super) version: u64,
    pub(super) last_use: Option<u64>,
    pub(super) known_since: Option<u64>,
    pub(super) note: Option<String>,
    pub(super) forgotten: u64,
    pub(super) modes: VecDeque<ModeChange>,
}

impl State {
    /// The entry of a method and a caller, made where there is none; notes that it was seen.
    pub(super) fn entry(&mut self, method: &str, key: &str, at: u64) -> &mut Entry {
        self.last_use = self.last_use.max(Some(at));
        self.known_since = Some(self.known_since.map_or(at, |since| since.min(at)));
        let known = self
            .methods
            .get(method)
            .is_some_and(|callers| callers.contains_key(key));
        if !known {
            self.make_room();
            self.rows += 1;
            self.methods
                .entry(method.to_owned())
                .or_default()
                .insert(key.to_owned(), Entry::new(method, key, at));
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

    pub(super) fn mode_changed(&mut self, change: ModeChange) {
        if self.modes.len() == MOST_MODE_CHANGES {
            self.modes.pop_front();
        }
        self.modes.push_back(change);
    }

    /// Adds what another state, read from a log, knows: of events before those of this one.
    pub(super) fn merge(&mut self, older: State) {
        self.version += 1;
        let version = self.version;
        self.last_use = self.last_use.max(older.last_use);
        self.known_since = match (self.known_since, older.known_since) {
            (Some(ours), Some(theirs)) => Some(ours.min(theirs)),
            (ours, theirs) => ours.or(theirs),
        };
        self.forgotten += older.forgotten;
        if older.note.is_some() {
            self.note = older.note;
        }
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

    pub(super) fn rows_at(&self, now: u64, wanted: impl Fn(&Row) -> bool) -> Vec<Row> {
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

    /// Every entry.
    pub(super) fn entries_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.methods.values_mut().flat_map(HashMap::values_mut)
    }

    /// One row, as it is at `now`.
    pub(super) fn row_at(&self, key: &str, method: &str, now: u64) -> Option<Row> {
        let entry = self.methods.get(method)?.get(key)?;
        Some(entry.shown(now))
    }
}
