//! All entries and all that is shown beside them, while it is counted (pure).
//!
//! An entry is shared with whoever looks at it, and copied when a call changes it meanwhile: a look holds the lock for as
//! long as it takes to copy pointers.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::ModeChange;
use super::group::AboutNames;
use super::row::Entry;
use super::used::Use;
use crate::telemetry::callers::Callers;

/// The most entries that are kept. Of those that are too many, callers go first that the portal has not let in, then those
/// not seen for longest.
pub(super) const MOST_ROWS: usize = 5000;

/// The most changes of modes that are kept.
const MOST_MODE_CHANGES: usize = 50;

/// Whose row is meant.
#[derive(Clone, Copy, Debug)]
pub enum Whose<'a> {
    /// Of the callers that the callers file gives this name.
    Name(&'a str),
    /// Of the caller with this key: without a name, else of the name under which it was seen last.
    Key(&'a str),
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// By method, then by the caller's key; each of these under another name.
    methods: HashMap<String, HashMap<String, Vec<Arc<Entry>>>>,
    rows: usize,
    pub(super) version: u64,
    /// Rows of an earlier version may be gone: whoever shows such has to read them all.
    whole_since: u64,
    pub(super) last_use: Option<u64>,
    pub(super) known_since: Option<u64>,
    pub(super) note: Option<String>,
    pub(super) forgotten: u64,
    pub(super) modes: VecDeque<ModeChange>,
    pub(super) about: Arc<AboutNames>,
}

impl State {
    /// Counts a use of a method by the caller with this key and name.
    pub(super) fn take<'c>(
        &mut self,
        method: &str,
        key: &str,
        name: Option<&str>,
        used: &Use<'_>,
        changes: impl Iterator<Item = &'c str> + Clone,
    ) {
        let version = self.version;
        let entry = self.entry(method, key, name, used.at);
        entry.take(used, changes);
        entry.row.version = version;
        if used.is_let_in && !entry.is_let_in {
            self.let_in(key);
        }
    }

    /// The entry of a caller and a method, made where there is none; notes that it was seen.
    fn entry(&mut self, method: &str, key: &str, name: Option<&str>, at: u64) -> &mut Entry {
        self.last_use = self.last_use.max(Some(at));
        self.known_since = Some(self.known_since.map_or(at, |since| since.min(at)));
        let known = self
            .methods
            .get(method)
            .and_then(|callers| callers.get(key))
            .and_then(|entries| place_of(entries, name));
        if known.is_none() {
            self.make_room();
            self.rows += 1;
            let entry = Entry {
                is_let_in: self.is_let_in(key),
                ..Entry::new(method, key, name, at)
            };
            let callers = self.methods.entry(method.to_owned()).or_default();
            let entries = callers.entry(key.to_owned()).or_default();
            entries.push(Arc::new(entry));
        }
        // Look-ups more than needed, where a new key is rare and owned keys would cost each time.
        let entries = self
            .methods
            .get_mut(method)
            .and_then(|callers| callers.get_mut(key))
            .expect("made above");
        let place = known.unwrap_or(entries.len() - 1);
        Arc::make_mut(&mut entries[place])
    }

    fn is_let_in(&self, key: &str) -> bool {
        let entries = self.methods.values().filter_map(|callers| callers.get(key));
        entries.flatten().any(|entry| entry.is_let_in)
    }

    fn let_in(&mut self, key: &str) {
        let entries = self
            .methods
            .values_mut()
            .filter_map(|callers| callers.get_mut(key));
        for entry in entries.flatten().filter(|entry| !entry.is_let_in) {
            Arc::make_mut(entry).is_let_in = true;
        }
    }

    /// Gives up an eighth of the entries when there are too many.
    fn make_room(&mut self) {
        if self.rows < MOST_ROWS {
            return;
        }
        let worth = |entry: &Entry| (entry.is_let_in, entry.row.last_seen);
        let mut worths: Vec<(bool, u64)> = self.entries().map(|entry| worth(entry)).collect();
        let (_, &mut limit, _) = worths.select_nth_unstable(MOST_ROWS / 8);
        let mut may_go = MOST_ROWS / 8;
        self.forgotten += may_go as u64;
        for callers in self.methods.values_mut() {
            callers.retain(|_, entries| {
                entries.retain(|entry| {
                    let goes = may_go > 0 && worth(entry) <= limit;
                    may_go -= usize::from(goes);
                    !goes
                });
                !entries.is_empty()
            });
        }
        self.forgotten -= may_go as u64;
        self.methods.retain(|_, callers| !callers.is_empty());
        self.rows = self.entries().count();
    }

    pub(super) fn mode_changed(&mut self, change: ModeChange) {
        if self.modes.len() == MOST_MODE_CHANGES {
            self.modes.pop_front();
        }
        self.modes.push_back(change);
    }

    /// Gives all callers their names again, from another callers file.
    pub(super) fn rename(&mut self, callers: &Callers) {
        self.version += 1;
        self.whole_since = self.version;
        let version = self.version;
        let about = callers
            .all()
            .map(|(name, about)| (name.to_owned(), about.clone()));
        self.about = Arc::new(about.collect());
        for entries in self.methods.values_mut().flat_map(HashMap::values_mut) {
            let mut renamed: Vec<Arc<Entry>> = Vec::with_capacity(entries.len());
            for mut entry in entries.drain(..) {
                let name = entry.name_in(callers);
                if entry.row.name.as_deref() != name {
                    let name = name.map(str::to_owned);
                    let row = &mut Arc::make_mut(&mut entry).row;
                    (row.name, row.version) = (name, version);
                }
                match place_of(&renamed, entry.row.name.as_deref()) {
                    Some(at) => Arc::make_mut(&mut renamed[at]).merge(Arc::unwrap_or_clone(entry)),
                    None => renamed.push(entry),
                }
            }
            *entries = renamed;
        }
        self.rows = self.entries().count();
    }

    /// Adds what another state, read from a log, knows: of events before those of this one.
    pub(super) fn merge(&mut self, older: State) {
        self.version += 1;
        self.whole_since = self.version;
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
        let theirs = older.methods.into_values().flat_map(HashMap::into_values);
        for theirs in theirs.flatten().map(Arc::unwrap_or_clone) {
            let row = &theirs.row;
            let (method, key, name) = (row.method.clone(), row.key.clone(), row.name.clone());
            let newly_let_in = theirs.is_let_in;
            let ours = self.entry(&method, &key, name.as_deref(), row.last_seen);
            ours.merge(theirs);
            ours.row.version = version;
            if newly_let_in {
                self.let_in(&key);
            }
        }
    }

    /// Every entry.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.methods.values().flat_map(HashMap::values).flatten()
    }

    /// The entries of a row.
    pub(super) fn entries_of(&self, whose: Whose<'_>, method: &str) -> Vec<Arc<Entry>> {
        let Some(callers) = self.methods.get(method) else {
            return Vec::new();
        };
        let name = match whose {
            Whose::Name(name) => name,
            Whose::Key(key) => {
                let entries = callers.get(key).map_or(&[][..], |entries| entries);
                let unnamed = place_of(entries, None).map(|at| &entries[at]);
                let last =
                    unnamed.or_else(|| entries.iter().max_by_key(|entry| entry.row.last_seen));
                match last.map(|entry| entry.row.name.as_deref()) {
                    Some(Some(name)) => name,
                    _ => return last.into_iter().cloned().collect(),
                }
            }
        };
        let named = |entry: &&Arc<Entry>| entry.row.name.as_deref() == Some(name);
        callers.values().flatten().filter(named).cloned().collect()
    }

    /// The entries of all rows that changed after `version`; nothing where it is better to read all of them, for there are
    /// over `most` or some may be gone.
    pub(super) fn changed_since(&self, version: u64, most: usize) -> Option<Vec<Arc<Entry>>> {
        if version < self.whole_since {
            return None;
        }
        let mut changed: Vec<Arc<Entry>> = Vec::new();
        let mut rows = 0;
        for (method, callers) in &self.methods {
            let mut names: Vec<&str> = Vec::new();
            let newer = |entry: &&Arc<Entry>| entry.row.version > version;
            for entry in callers.values().flatten().filter(newer) {
                match entry.row.name.as_deref() {
                    Some(name) if names.contains(&name) => continue,
                    Some(name) => names.push(name),
                    None => changed.push(Arc::clone(entry)),
                }
                rows += 1;
                if rows > most {
                    return None;
                }
            }
            for name in names {
                changed.extend(self.entries_of(Whose::Name(name), method));
            }
        }
        Some(changed)
    }
}

fn place_of(entries: &[Arc<Entry>], name: Option<&str>) -> Option<usize> {
    entries
        .iter()
        .position(|entry| entry.row.name.as_deref() == name)
}
