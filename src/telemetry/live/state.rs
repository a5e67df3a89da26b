//! All entries and all that is shown beside them, while it is counted.
//!
//! A look holds the lock for as long as it takes to copy pointers. Locks are taken in one order: the state's, then an
//! entry's.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::entry::{SharedEntry, Taken, Version};
use super::group::AboutNames;
use super::row::Entry;
use super::used::Use;
use crate::telemetry::callers::Callers;
use crate::telemetry::shown::{ModeChange, Whose};

/// The most entries that are kept. Of those that are too many, callers go first that the portal has not let in, then those
/// not seen for longest.
pub(super) const MOST_ROWS: usize = 5000;

/// The most changes of modes that are kept.
const MOST_MODE_CHANGES: usize = 50;

#[derive(Debug, Default)]
pub(super) struct State {
    /// By method, then by the caller's key; each of these under another name.
    methods: HashMap<String, HashMap<String, Vec<Arc<SharedEntry>>>>,
    rows: usize,
    /// Rows of an earlier version may be gone: whoever shows such has to read them all.
    whole_since: u64,
    /// When the calls were made whose entries were given up.
    pub(super) gone: Span,
    pub(super) note: Option<String>,
    pub(super) forgotten: u64,
    pub(super) modes: VecDeque<ModeChange>,
    pub(super) about: Arc<AboutNames>,
}

/// The first and the last of some moments, in milliseconds since 1970.
#[derive(Clone, Debug, Default)]
pub(super) struct Span {
    pub(super) first: Option<u64>,
    pub(super) last: Option<u64>,
}

impl State {
    /// Counts a use of a method by the caller with this key and name. Gives the entry, in which more may be counted.
    pub(super) fn take<'c>(
        &mut self,
        version: &Version,
        method: &str,
        key: &str,
        name: Option<&str>,
        used: &Use<'_>,
        changes: impl Iterator<Item = &'c str> + Clone,
    ) -> Arc<SharedEntry> {
        let entry = self.entry(method, key, name, used.at);
        // Entries are given up under the lock of the state: this one is not gone.
        if entry.take(version, used, changes) == Taken::NewlyLetIn {
            self.let_in(key);
        }
        entry
    }

    /// The entry of a caller and a method, made where there is none at this time.
    fn entry(&mut self, method: &str, key: &str, name: Option<&str>, at: u64) -> Arc<SharedEntry> {
        let known = self
            .methods
            .get(method)
            .and_then(|callers| callers.get(key))
            .and_then(|entries| place_of(entries, name).map(|place| &entries[place]));
        if let Some(known) = known {
            return Arc::clone(known);
        }
        self.make_room();
        self.rows += 1;
        let mut entry = Entry::new(method, key, name, at);
        entry.is_let_in = self.is_let_in(key);
        let entry = SharedEntry::new(entry);
        let callers = self.methods.entry(method.to_owned()).or_default();
        let entries = callers.entry(key.to_owned()).or_default();
        entries.push(Arc::clone(&entry));
        entry
    }

    fn is_let_in(&self, key: &str) -> bool {
        let entries = self.methods.values().filter_map(|callers| callers.get(key));
        entries.flatten().any(|entry| entry.look().is_let_in)
    }

    /// The portal has let this caller in: all of its entries say so.
    pub(super) fn let_in(&self, key: &str) {
        let entries = self.methods.values().filter_map(|callers| callers.get(key));
        for entry in entries.flatten().filter(|entry| !entry.look().is_let_in) {
            entry.change(|entry| entry.is_let_in = true);
        }
    }

    /// Gives up an eighth of the entries when there are too many.
    fn make_room(&mut self) {
        if self.rows < MOST_ROWS {
            return;
        }
        let worth = |entry: &SharedEntry| {
            let entry = entry.look();
            (entry.is_let_in, entry.row.last_seen)
        };
        let mut worths: Vec<(bool, u64)> = self.entries().map(|entry| worth(entry)).collect();
        let (_, &mut limit, _) = worths.select_nth_unstable(MOST_ROWS / 8);
        let mut may_go = MOST_ROWS / 8;
        self.forgotten += may_go as u64;
        let mut gone = Span::default();
        for callers in self.methods.values_mut() {
            callers.retain(|_, entries| {
                entries.retain(|entry| {
                    let goes = may_go > 0 && worth(entry) <= limit;
                    if goes {
                        may_go -= 1;
                        gone.add_entry(&entry.give_up());
                    }
                    !goes
                });
                !entries.is_empty()
            });
        }
        self.gone.add(&gone);
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
    pub(super) fn rename(&mut self, version: &Version, callers: &Callers) {
        let version = version.raise();
        self.whole_since = version;
        let about = callers
            .all()
            .map(|(name, about)| (name.to_owned(), about.clone()));
        self.about = Arc::new(about.collect());
        for entries in self.methods.values_mut().flat_map(HashMap::values_mut) {
            let mut renamed: Vec<Arc<SharedEntry>> = Vec::with_capacity(entries.len());
            for mut entry in entries.drain(..) {
                let name = entry.look().name_in(callers).map(str::to_owned);
                if entry.name != name {
                    let mut moved = Arc::unwrap_or_clone(entry.give_up());
                    (moved.row.name, moved.row.version) = (name, version);
                    entry = SharedEntry::new(moved);
                }
                match place_of(&renamed, entry.name.as_deref()) {
                    Some(at) => {
                        let other = Arc::unwrap_or_clone(entry.give_up());
                        renamed[at].change(|entry| entry.merge(other));
                    }
                    None => renamed.push(entry),
                }
            }
            *entries = renamed;
        }
        self.rows = self.entries().count();
    }

    /// Adds what another state, read from a log, knows: of events before those of this one.
    pub(super) fn merge(&mut self, version: &Version, older: State) {
        let version = version.raise();
        self.whole_since = version;
        self.gone.add(&older.gone);
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
        for theirs in theirs.flatten() {
            let theirs = Arc::unwrap_or_clone(theirs.give_up());
            let row = &theirs.row;
            let (method, key, name) = (row.method.clone(), row.key.clone(), row.name.clone());
            let newly_let_in = theirs.is_let_in;
            let ours = self.entry(&method, &key, name.as_deref(), row.last_seen);
            ours.change(|ours| {
                ours.merge(theirs);
                ours.row.version = version;
            });
            if newly_let_in {
                self.let_in(&key);
            }
        }
    }

    /// Every entry.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Arc<SharedEntry>> {
        self.methods.values().flat_map(HashMap::values).flatten()
    }

    /// The entries of a row.
    pub(super) fn entries_of(&self, whose: Whose<'_>, method: &str) -> Vec<Arc<SharedEntry>> {
        let Some(callers) = self.methods.get(method) else {
            return Vec::new();
        };
        let name = match whose {
            Whose::Name(name) => name,
            Whose::Key(key) => {
                let entries = callers.get(key).map_or(&[][..], |entries| entries);
                let unnamed = place_of(entries, None).map(|at| &entries[at]);
                let last = unnamed.or_else(|| {
                    entries
                        .iter()
                        .max_by_key(|entry| entry.look().row.last_seen)
                });
                match last.map(|entry| entry.name.as_deref()) {
                    Some(Some(name)) => name,
                    _ => return last.into_iter().cloned().collect(),
                }
            }
        };
        let named = |entry: &&Arc<SharedEntry>| entry.name.as_deref() == Some(name);
        callers.values().flatten().filter(named).cloned().collect()
    }

    /// The entries of all rows that changed after `version`; nothing where it is better to read all of them, for there are
    /// over `most` or some may be gone.
    pub(super) fn changed_since(&self, version: u64, most: usize) -> Option<Vec<Arc<SharedEntry>>> {
        if version < self.whole_since {
            return None;
        }
        let mut changed: Vec<Arc<SharedEntry>> = Vec::new();
        let mut rows = 0;
        for (method, callers) in &self.methods {
            let mut names: Vec<&str> = Vec::new();
            let newer = |entry: &&Arc<SharedEntry>| entry.look().row.version > version;
            for entry in callers.values().flatten().filter(newer) {
                match entry.name.as_deref() {
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

impl Span {
    pub(super) fn add_entry(&mut self, entry: &Entry) {
        self.add(&Self {
            first: Some(entry.row.first_seen),
            last: Some(entry.row.last_seen),
        });
    }

    fn add(&mut self, other: &Self) {
        self.last = self.last.max(other.last);
        self.first = match (self.first, other.first) {
            (Some(ours), Some(theirs)) => Some(ours.min(theirs)),
            (ours, theirs) => ours.or(theirs),
        };
    }
}

fn place_of(entries: &[Arc<SharedEntry>], name: Option<&str>) -> Option<usize> {
    entries
        .iter()
        .position(|entry| entry.name.as_deref() == name)
}
