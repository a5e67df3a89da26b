//! What is counted and remembered of a caller's use of one method (pure).

use std::sync::{Arc, Weak};

use super::sources::{Source, Sources};
use super::trend::{DAY, DAYS, HOUR, HOURS, Trend};
use super::used::{Documentation, Use};
use crate::catalogue::Rule;
use crate::telemetry::caller::Caller;
use crate::telemetry::callers::{About, Callers, Day};
use crate::telemetry::event::MOST_CHANGES;
use crate::telemetry::shown::Row;
use crate::translate::sent::MOST_NAMES;

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
    /// The rule and the caller that `row` and `sources` show since the last use.
    last: Option<(Weak<Rule>, Weak<Caller>)>,
}

impl Row {
    /// Takes over what a use shows of its call and caller. `changes` are in words; without any, the last ones stay.
    /// Of a use by the same rule and caller as the one before, only what is the call's own.
    fn update<'c>(
        &mut self,
        used: &Use<'_>,
        is_same: bool,
        changes: impl Iterator<Item = &'c str> + Clone,
    ) {
        if !is_same {
            self.introduce_caller(used);
        }
        set(&mut self.action, used.action);
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

    /// Takes over what a use shows of its rule and its caller.
    fn introduce_caller(&mut self, used: &Use<'_>) {
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
        set_if(&mut self.address, used.address.text().as_deref());
        set_if(&mut self.user_agent, used.user_agent);
        set_if(&mut self.sdk, used.sdk);
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
        let is_newest = used.at >= row.last_seen;
        let is_same = is_newest && used.who.is_some_and(|who| is_of(&self.last, who));
        if is_newest {
            row.last_seen = used.at;
            row.update(used, is_same, changes);
        }
        let count = u32::try_from(used.count).unwrap_or(u32::MAX);
        self.days.add(used.at / DAY, count);
        self.hours.add(used.at / HOUR, count);
        if is_same {
            self.sources.note_again(used.at);
        } else {
            self.sources.note(used, self.is_let_in || used.is_let_in);
            let who = used.who.filter(|_| is_newest);
            self.last = who.map(|(rule, caller)| (Arc::downgrade(rule), Arc::downgrade(caller)));
        }
    }

    /// Adds what another entry of the same caller and method counted.
    pub(super) fn merge(&mut self, mut other: Entry) {
        self.last = None;
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

/// Whether these are the very rule and caller of the last use. A weak pointer keeps their addresses from being given anew.
fn is_of(last: &Option<(Weak<Rule>, Weak<Caller>)>, who: (&Arc<Rule>, &Arc<Caller>)) -> bool {
    last.as_ref().is_some_and(|(rule, caller)| {
        std::ptr::eq(rule.as_ptr(), Arc::as_ptr(who.0))
            && std::ptr::eq(caller.as_ptr(), Arc::as_ptr(who.1))
    })
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
