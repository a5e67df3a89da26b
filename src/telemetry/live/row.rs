//! What is counted and remembered of a caller's use of one method, and the row that shows it (pure).

use serde::Serialize;

use super::sources::{Source, Sources};
use super::trend::Trend;
use super::used::{Documentation, Use};
use super::{DAY, DAYS, HOUR, HOURS};
use crate::telemetry::caller::Caller;
use crate::telemetry::callers::{About, Callers, Day};
use crate::telemetry::event::MOST_CHANGES;
use crate::translate::sent::MOST_NAMES;

/// The use of one method by the callers of one name of the callers file, or by one caller without a name.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Row {
    /// The caller's key; of a row with a name, that of the last call.
    pub key: String,
    /// The caller's name in the callers file.
    pub name: Option<String>,
    /// What the callers file says of the name.
    pub owner: Option<String>,
    pub contact: Option<String>,
    pub ticket: Option<String>,
    pub told: Option<String>,
    pub migrated: Option<String>,
    /// How far the migration of the name is, as this row shows it: `regressed` where the method was called after it.
    pub state: Option<&'static str>,
    /// Whether the portal has let the caller in: it has answered one of its calls with anything but 401 or 403.
    pub let_in: bool,
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
    /// The names of the parameters and fields that the calls were seen to send, at most 64.
    pub parameters: Vec<String>,
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
    /// How many keys, libraries and addresses stand behind it. Of each key the last 32 pairs of a library and an address
    /// are known.
    pub keys: usize,
    pub libraries: usize,
    pub addresses: usize,
    pub behind: Behind,
}

/// Who stands behind a row, those seen last first; of many the first 32.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Behind {
    pub keys: Vec<String>,
    pub libraries: Vec<String>,
    pub addresses: Vec<String>,
}

/// The use of one method by one caller under one name, while it is counted.
#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    /// Of the row what is not made anew for each look: not the trends, and not what stands behind it.
    pub(super) row: Row,
    /// Whether the portal has let the caller in: it has answered one of its calls with anything but 401 or 403.
    pub(super) is_let_in: bool,
    pub(super) days: Trend<DAYS>,
    pub(super) hours: Trend<HOURS>,
    pub(super) sources: Sources,
}

impl Row {
    /// Takes over what a use shows of its call and caller. `changes` are in words; without any, the last ones stay.
    fn update<'c>(&mut self, used: &Use<'_>, changes: impl Iterator<Item = &'c str> + Clone) {
        set(&mut self.action, used.action);
        set_if(&mut self.replacement, used.replacement);
        match used.documentation {
            Documentation::Of(rule) if self.documentation.is_none() => {
                self.documentation = rule.documentation_url();
            }
            Documentation::Of(_) => {}
            Documentation::Text(text) => set_if(&mut self.documentation, text),
        }
        set(&mut self.auth, used.auth);
        set_if(&mut self.user, used.user);
        set_if(&mut self.fingerprint, used.fingerprint);
        set_if(&mut self.application, used.application);
        set_if(&mut self.address, used.address);
        set_if(&mut self.user_agent, used.user_agent);
        set_if(&mut self.sdk, used.sdk);
        set(&mut self.target, used.target);
        set(&mut self.encoding, used.encoding);
        set_if(&mut self.mode, used.mode);
        set_if(&mut self.reason, used.reason);
        self.status = used.status;
        set_if(&mut self.error, used.error);
        let mut changes = changes.take(MOST_CHANGES).peekable();
        if changes.peek().is_some() && !changes.clone().eq(self.changes.iter()) {
            self.changes = changes.map(str::to_owned).collect();
        }
    }

    /// Notes names of parameters that are not known yet.
    fn note<'n>(&mut self, names: impl Iterator<Item = &'n str>) {
        for name in names {
            if self.parameters.len() < MOST_NAMES && !self.parameters.iter().any(|n| n == name) {
                self.parameters.push(name.to_owned());
            }
        }
    }

    /// Takes over what the callers file says of the row's name.
    pub(super) fn introduce(&mut self, about: &About, now: u64) {
        let day = |day: Option<Day>| day.map(|day| day.to_string());
        self.owner.clone_from(&about.owner);
        self.contact.clone_from(&about.contact);
        self.ticket.clone_from(&about.ticket);
        self.told = day(about.told);
        self.migrated = day(about.migrated);
        self.state = Some(about.state(now, Some(self.last_seen)).as_str());
    }

    /// Adds what an older row of the same method counted.
    pub(super) fn add(&mut self, older: &Row) {
        self.rewritten += older.rewritten;
        self.observed += older.observed;
        self.refused += older.refused;
        self.batch += older.batch;
        self.errors += older.errors;
        self.first_seen = self.first_seen.min(older.first_seen);
        self.last_seen = self.last_seen.max(older.last_seen);
        self.version = self.version.max(older.version);
        if self.changes.is_empty() {
            self.changes.clone_from(&older.changes);
        }
        self.note(older.parameters.iter().map(String::as_str));
    }
}

impl Entry {
    /// The entry of a use that is the first of its kind.
    pub(super) fn new(method: &str, key: &str, name: Option<&str>, at: u64) -> Self {
        Self {
            row: Row {
                key: key.to_owned(),
                name: name.map(str::to_owned),
                method: method.to_owned(),
                first_seen: at,
                last_seen: at,
                ..Row::default()
            },
            ..Self::default()
        }
    }

    /// Counts a use, and shows it unless a later one was shown already.
    pub(super) fn take<'c>(
        &mut self,
        used: &Use<'_>,
        changes: impl Iterator<Item = &'c str> + Clone,
    ) {
        let row = &mut self.row;
        match used.action {
            "rewritten" => row.rewritten += used.count,
            "refused" => row.refused += used.count,
            _ => row.observed += used.count,
        }
        row.batch += if used.in_batch { used.count } else { 0 };
        row.errors += used.errors;
        row.first_seen = row.first_seen.min(used.at);
        row.note(used.parameters.iter().copied());
        if used.at >= row.last_seen {
            row.last_seen = used.at;
            row.update(used, changes);
        }
        let count = u32::try_from(used.count).unwrap_or(u32::MAX);
        self.days.add(used.at / DAY, count);
        self.hours.add(used.at / HOUR, count);
        self.sources.note(used, self.is_let_in || used.is_let_in);
    }

    /// Adds what another entry of the same caller and method counted.
    pub(super) fn merge(&mut self, mut other: Entry) {
        self.days.merge(&other.days);
        self.hours.merge(&other.hours);
        self.is_let_in |= other.is_let_in;
        if other.row.last_seen > self.row.last_seen || self.row.auth.is_empty() {
            std::mem::swap(&mut self.row, &mut other.row);
        }
        self.row.add(&other.row);
        self.sources.merge(other.sources, self.is_let_in);
    }

    /// The name that the callers file gives to all of its calls; nothing where they would have several, for whose they
    /// were cannot be told any more.
    pub(super) fn name_in<'c>(&self, callers: &'c Callers) -> Option<&'c str> {
        let mut names = self
            .sources
            .iter()
            .map(|source| callers.name_of(&self.caller(source)));
        let first = names.next()??;
        names.all(|name| name == Some(first)).then_some(first)
    }

    /// As much of a caller as the callers file can ask for.
    fn caller(&self, source: &Source) -> Caller {
        Caller {
            user: self.row.user.clone(),
            fingerprint: self.row.fingerprint.clone(),
            application: self.row.application.clone(),
            address: source
                .address
                .as_ref()
                .and_then(|address| address.parse().ok()),
            user_agent: source.user_agent.clone(),
            sdk: source.sdk.clone(),
            key: self.row.key.clone(),
            ..Caller::default()
        }
    }
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
