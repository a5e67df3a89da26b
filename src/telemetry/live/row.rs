//! A row: what is counted and remembered of one caller's use of one method (pure).

use std::net::IpAddr;

use serde::Serialize;

use super::trend::Trend;
use super::{DAY, DAYS, HOUR, HOURS};
use crate::catalogue::Mode;
use crate::telemetry::caller::Caller;
use crate::telemetry::event::{DeprecationEvent, MOST_CHANGES};
use crate::telemetry::json::{LONGEST_TEXT, cut};
use crate::translate::Reason;

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

/// A row while it is counted.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) row: Row,
    days: Trend<DAYS>,
    hours: Trend<HOURS>,
}

/// One use of a method as a row takes it in: of a call just made, or of a line of the log.
pub(super) struct Use<'a> {
    /// In milliseconds since 1970.
    pub(super) at: u64,
    /// How many uses it stands for, and how many of them were answered with an error code.
    pub(super) count: u64,
    pub(super) errors: u64,
    pub(super) action: &'a str,
    pub(super) in_batch: bool,
    pub(super) replacement: Option<&'a str>,
    pub(super) auth: &'a str,
    pub(super) user: Option<&'a str>,
    pub(super) fingerprint: Option<&'a str>,
    pub(super) application: Option<&'a str>,
    pub(super) address: Option<&'a str>,
    pub(super) user_agent: Option<&'a str>,
    pub(super) sdk: Option<&'a str>,
    pub(super) target: &'a str,
    pub(super) encoding: &'a str,
    pub(super) mode: Option<&'a str>,
    pub(super) reason: Option<&'a str>,
    pub(super) status: Option<u16>,
    pub(super) error: Option<&'a str>,
}

impl<'a> Use<'a> {
    /// The use of an event, which was made at `at`. `address` is room for the caller's address as text.
    pub(super) fn of(event: &'a DeprecationEvent, at: u64, address: &'a mut AddressText) -> Self {
        let caller = &*event.caller;
        Self {
            at,
            count: 1,
            errors: u64::from(event.error.is_some()),
            action: event.action.as_str(),
            in_batch: event.batch_key.is_some(),
            replacement: event.rule.replacement.as_deref(),
            auth: caller.auth.as_str(),
            user: caller.user.as_deref(),
            fingerprint: caller.fingerprint.as_deref(),
            application: caller.application.as_deref(),
            address: caller.address.and_then(|ip| address.write(ip)),
            user_agent: caller.user_agent.as_deref(),
            sdk: caller.sdk.as_deref(),
            target: cut(&event.target, LONGEST_TEXT),
            encoding: event.encoding.as_str(),
            mode: event.mode.map(Mode::as_str),
            reason: event.reason.map(Reason::as_str),
            status: event.status,
            error: event.error.as_deref(),
        }
    }
}

/// An address as text, without an allocation for each call.
#[derive(Default)]
pub(super) struct AddressText(Vec<u8>);

impl AddressText {
    fn write(&mut self, address: IpAddr) -> Option<&str> {
        self.0.clear();
        crate::digits::address(&mut self.0, address);
        std::str::from_utf8(&self.0).ok()
    }
}

impl Row {
    /// Takes over what a use shows of its call and caller. `changes` are in words; without any, the last ones stay.
    fn update<'c>(&mut self, used: &Use<'_>, changes: impl Iterator<Item = &'c str> + Clone) {
        set(&mut self.action, used.action);
        set_if(&mut self.replacement, used.replacement);
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
}

impl Entry {
    /// The row of a use that is the first of its caller and method.
    pub(super) fn new(method: &str, key: &str, at: u64) -> Self {
        Self {
            row: Row {
                key: key.to_owned(),
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
        if used.at >= row.last_seen {
            row.last_seen = used.at;
            row.update(used, changes);
        }
        let count = u32::try_from(used.count).unwrap_or(u32::MAX);
        self.days.add(used.at / DAY, count);
        self.hours.add(used.at / HOUR, count);
    }

    pub(super) fn merge(&mut self, other: Entry) {
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
    pub(super) fn caller(&self) -> Caller {
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

    pub(super) fn shown(&self, now: u64) -> Row {
        Row {
            days: self.days.until(now / DAY),
            hours: self.hours.until(now / HOUR),
            ..self.row.clone()
        }
    }
}

/// Copies into a string that is mostly the same already.
fn set(old: &mut String, new: &str) {
    if old != new {
        new.clone_into(old);
    }
}

pub(super) fn set_if(old: &mut Option<String>, new: Option<&str>) {
    if old.as_deref() != new {
        *old = new.map(str::to_owned);
    }
}
