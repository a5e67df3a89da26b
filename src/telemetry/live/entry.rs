//! An entry that calls of all threads count in: each has a lock of its own, so that a call which knows its entry touches
//! no other.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::row::Entry;
use super::used::Use;

/// The version of the state: grows with each change.
///
/// A change raises it while it holds what it changes, and a look reads it before it looks. So who has read a version waits
/// for the change that it stands for.
#[derive(Debug, Default)]
pub(super) struct Version(AtomicU64);

impl Version {
    /// The version of a change that is made under a lock that is held.
    pub(super) fn raise(&self) -> u64 {
        self.0.fetch_add(1, SeqCst) + 1
    }

    pub(super) fn now(&self) -> u64 {
        self.0.load(SeqCst)
    }
}

/// An entry, for whoever counts in it. It is shared with whoever looks at it, and copied when a call changes it meanwhile.
#[derive(Debug)]
pub struct SharedEntry {
    /// Its caller's name in the callers file.
    pub(super) name: Option<String>,
    held: Mutex<Held>,
}

#[derive(Debug)]
pub(super) struct Held {
    entry: Arc<Entry>,
    /// It was given up, or its calls have another name now: a call has to look for its entry anew.
    is_gone: bool,
}

/// What became of a use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Counted,
    /// The portal has let the caller in, which was not known before.
    NewlyLetIn,
    /// Not counted: the entry is gone.
    Gone,
}

impl SharedEntry {
    pub(super) fn new(entry: Entry) -> Arc<Self> {
        Arc::new(Self {
            name: entry.row.name.clone(),
            held: Mutex::new(Held {
                entry: Arc::new(entry),
                is_gone: false,
            }),
        })
    }

    /// The entry as it is now.
    pub(super) fn look(&self) -> Arc<Entry> {
        Arc::clone(&self.lock().entry)
    }

    /// Changes the entry.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Entry) -> T) -> T {
        change(Arc::make_mut(&mut self.lock().entry))
    }

    /// Counts a use.
    pub(super) fn take<'c>(
        &self,
        version: &Version,
        used: &Use<'_>,
        changes: impl Iterator<Item = &'c str> + Clone,
    ) -> Taken {
        let mut held = self.lock();
        if held.is_gone {
            return Taken::Gone;
        }
        let entry = Arc::make_mut(&mut held.entry);
        entry.row.version = version.raise();
        entry.take(used, changes);
        let is_new = used.is_let_in && !entry.is_let_in;
        entry.is_let_in |= used.is_let_in;
        if is_new {
            Taken::NewlyLetIn
        } else {
            Taken::Counted
        }
    }

    /// The entry as it was last: no call counts in it any more.
    pub(super) fn give_up(&self) -> Arc<Entry> {
        let mut held = self.lock();
        held.is_gone = true;
        Arc::clone(&held.entry)
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
