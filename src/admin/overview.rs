//! How far the migration is, in a few numbers: what the page shows on top and `/api/overview` answers (pure).

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use jiff::Timestamp;

use crate::catalogue::{Catalogue, RuleKind};
use crate::ladder::Policy;
use crate::telemetry::callers::State;
use crate::telemetry::shown::{Row, Snapshot};

/// Milliseconds of a day.
pub(super) const DAY: u64 = 24 * 60 * 60 * 1000;

/// Who has not called for so many days counts as gone quiet.
pub(super) const QUIET_DAYS: u64 = 7;

/// Over so many days the pace of a migration is measured.
const PACE_DAYS: u64 = 30;

/// The state of the migration at one moment. Times are milliseconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Overview {
    /// The moment.
    pub now: u64,
    /// Since when uses are known.
    pub known_since: u64,
    /// The last use of any deprecated method.
    pub last_use: Option<u64>,
    /// Who made it: the caller's name, or what its calls show of it.
    pub last_caller: Option<String>,
    /// Days of the UTC calendar since the day of the last use; nothing when there was none.
    pub days_since_last_use: Option<u64>,
    /// All callers that are known, and those that called within the last seven days.
    pub callers: usize,
    pub callers_active: usize,
    /// How many of the active ones the callers file does not name.
    pub callers_unnamed: usize,
    /// How many have called after the day on which their migration was done.
    pub callers_regressed: usize,
    /// All methods that were called, and those within the last seven days.
    pub methods: usize,
    pub methods_active: usize,
    /// How many methods the catalogue knows as deprecated, and how many of them it translates.
    pub methods_known: usize,
    pub methods_translated: usize,
    /// All calls, by what was done to them.
    pub rewritten: u64,
    pub observed: u64,
    pub refused: u64,
    /// Calls of the last 24 hours, and of the 24 hours before.
    pub calls_day: u64,
    pub calls_day_before: u64,
    /// Calls of the last 7 and 30 days (UTC), today included.
    pub calls_week: u64,
    pub calls_month: u64,
    /// When the last caller stops, if callers go on to stop as in the last 30 days; nothing where that cannot be known.
    pub done_by: Option<u64>,
    /// All callers' calls an hour, oldest first, and a day.
    pub hours: Vec<u64>,
    pub days: Vec<u64>,
    /// Where the state comes from, when it is not the whole log.
    pub note: Option<String>,
    /// How many rows were given up for lack of room.
    pub forgotten: u64,
}

impl Overview {
    /// Sums a snapshot up.
    pub fn of(snapshot: &Snapshot, catalogue: &Catalogue) -> Self {
        let rows = &snapshot.rows;
        let active = || rows.iter().filter(|row| is_active(row, snapshot.now));
        let hours = sum_of(rows, |row| &row.hours);
        let days = sum_of(rows, |row| &row.days);
        let last_day = |skip: usize| hours.iter().rev().skip(skip).take(24).sum();
        let last = rows.iter().max_by_key(|row| row.last_seen);
        Self {
            now: snapshot.now,
            known_since: snapshot.known_since,
            last_use: snapshot.last_use,
            last_caller: last.map(|row| row.name.clone().unwrap_or_else(|| identity(row))),
            days_since_last_use: snapshot
                .last_use
                .map(|last| (snapshot.now / DAY).saturating_sub(last / DAY)),
            callers: distinct(rows.iter().map(who)),
            callers_active: distinct(active().map(who)),
            callers_unnamed: distinct(active().filter(|row| row.name.is_none()).map(who)),
            callers_regressed: distinct(rows.iter().filter(|row| has_regressed(row)).map(who)),
            methods: distinct(rows.iter().map(|row| &*row.method)),
            methods_active: distinct(active().map(|row| &*row.method)),
            methods_known: catalogue.rules().len(),
            methods_translated: catalogue
                .rules()
                .iter()
                .filter(|rule| rule.kind == RuleKind::Exact)
                .count(),
            rewritten: rows.iter().map(|row| row.rewritten).sum(),
            observed: rows.iter().map(|row| row.observed).sum(),
            refused: rows.iter().map(|row| row.refused).sum(),
            calls_day: last_day(0),
            calls_day_before: last_day(24),
            calls_week: days.iter().rev().take(7).sum(),
            calls_month: days.iter().sum(),
            done_by: done_by(snapshot),
            days,
            hours,
            note: snapshot.note.clone(),
            forgotten: snapshot.forgotten,
        }
    }
}

/// The use of one method by all its callers. Times are milliseconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct MethodUse {
    /// The deprecated method.
    pub method: String,
    pub replacement: Option<String>,
    pub documentation: Option<String>,
    /// Whether its calls can be translated.
    pub translated: bool,
    /// The mode for callers that no entry of the configuration names; without a policy, that of its last call.
    pub mode: Option<String>,
    /// Modes for some callers: who, and which.
    pub exceptions: Vec<(String, String)>,
    /// Modes for some callers that are to come: who, which, and from when.
    pub planned: Vec<(String, String, String)>,
    /// The next change of the mode by itself: when, and which.
    pub next: Option<(String, String)>,
    /// The date (`YYYY-MM-DD`) by which the documentation marks it as deprecated.
    pub deprecated: Option<String>,
    /// The date (`YYYY-MM-DD`) from which its calls are refused.
    pub sunset: Option<String>,
    pub callers: usize,
    pub rewritten: u64,
    pub observed: u64,
    pub refused: u64,
    pub first_seen: u64,
    pub last_seen: u64,
    /// Calls a day, oldest first.
    pub days: Vec<u64>,
}

impl MethodUse {
    /// All calls.
    pub fn calls(&self) -> u64 {
        self.rewritten + self.observed + self.refused
    }

    /// The methods of a snapshot, those called most first, with their modes at its moment.
    pub fn of(snapshot: &Snapshot, policy: &Policy) -> Vec<Self> {
        let mut rows: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
        for row in &snapshot.rows {
            rows.entry(&row.method).or_default().push(row);
        }
        let now = i64::try_from(snapshot.now)
            .ok()
            .and_then(|now| Timestamp::from_millisecond(now).ok());
        let mut methods: Vec<Self> = rows
            .into_iter()
            .map(|(method, rows)| Self::of_rows(method, &rows, policy, now))
            .collect();
        methods.sort_by_key(|method| std::cmp::Reverse(method.calls()));
        methods
    }

    fn of_rows(method: &str, rows: &[&Row], policy: &Policy, now: Option<Timestamp>) -> Self {
        let rule = policy
            .catalogue()
            .find(method.to_ascii_lowercase().as_bytes());
        let standing = rule.zip(now).map(|(rule, now)| policy.standing(rule, now));
        let last = rows.iter().max_by_key(|row| row.last_seen);
        Self {
            method: method.to_owned(),
            replacement: last.and_then(|row| row.replacement.clone()),
            documentation: last.and_then(|row| row.documentation.clone()),
            translated: rule.is_some_and(|rule| rule.kind == RuleKind::Exact),
            mode: match &standing {
                Some(standing) => Some(standing.mode.as_str().to_owned()),
                None => last.and_then(|row| row.mode.clone()),
            },
            exceptions: standing
                .iter()
                .flat_map(|standing| &standing.exceptions)
                .map(|exception| (exception.scope.clone(), exception.mode.as_str().to_owned()))
                .collect(),
            planned: standing
                .iter()
                .flat_map(|standing| &standing.planned)
                .map(|planned| {
                    let mode = planned.mode.as_str().to_owned();
                    (planned.scope.clone(), mode, format!("{:.0}", planned.from))
                })
                .collect(),
            next: standing
                .as_ref()
                .and_then(|standing| standing.next)
                .map(|(at, mode)| (at.to_string(), mode.as_str().to_owned())),
            deprecated: rule.and_then(|rule| rule.deprecated.clone()),
            sunset: standing
                .as_ref()
                .and_then(|standing| standing.sunset)
                .map(|from| from.strftime("%Y-%m-%d").to_string())
                .or_else(|| rule.and_then(|rule| rule.sunset.clone())),
            callers: distinct(rows.iter().copied().map(who)),
            rewritten: rows.iter().map(|row| row.rewritten).sum(),
            observed: rows.iter().map(|row| row.observed).sum(),
            refused: rows.iter().map(|row| row.refused).sum(),
            first_seen: rows
                .iter()
                .map(|row| row.first_seen)
                .min()
                .unwrap_or_default(),
            last_seen: last.map_or(0, |row| row.last_seen),
            days: sum_of(rows.iter().copied(), |row| &row.days),
        }
    }
}

/// Whether a row's caller called within the last seven days.
pub(super) fn is_active(row: &Row, now: u64) -> bool {
    now.saturating_sub(row.last_seen) < QUIET_DAYS * DAY
}

/// All calls of a row.
pub(super) fn calls(row: &Row) -> u64 {
    row.rewritten + row.observed + row.refused
}

/// A row's calls of the last 24 hours, 7 days and 30 days.
pub(super) fn recent(row: &Row) -> [u64; 3] {
    let last = |trend: &[u32], count| {
        let calls = trend.iter().rev().take(count);
        calls.map(|&calls| u64::from(calls)).sum()
    };
    [
        last(&row.hours, 24),
        last(&row.days, 7),
        last(&row.days, 30),
    ]
}

/// When the last caller stops at the pace of the last 30 days. It takes three that stopped, and a log that reaches back so far.
fn done_by(snapshot: &Snapshot) -> Option<u64> {
    let quiet_since = snapshot.now.saturating_sub(QUIET_DAYS * DAY);
    let from = quiet_since.saturating_sub(PACE_DAYS * DAY);
    let mut last: BTreeMap<(bool, &str), u64> = BTreeMap::new();
    for row in &snapshot.rows {
        let seen = last.entry(who(row)).or_default();
        *seen = row.last_seen.max(*seen);
    }
    let active = last.values().filter(|&&seen| seen > quiet_since).count() as u64;
    let stopped = last
        .values()
        .filter(|&&seen| (from..=quiet_since).contains(&seen));
    let stopped = stopped.count() as u64;
    let is_known = snapshot.known_since <= from && snapshot.forgotten == 0;
    (is_known && active > 0 && stopped >= 3)
        .then(|| snapshot.now + (active * PACE_DAYS * DAY).div_ceil(stopped))
}

/// Who a caller is, by what its calls show.
pub(super) fn identity(row: &Row) -> String {
    match row.auth.as_str() {
        "webhook" => format!("Webhook of user {}", row.user.as_deref().unwrap_or("?")),
        "oauth" => match (&row.application, &row.fingerprint) {
            (Some(application), _) => format!("Application {application}"),
            (None, Some(fingerprint)) => format!("Application, fingerprint {fingerprint}"),
            (None, None) => "An application".to_owned(),
        },
        "session" => "Browser session".to_owned(),
        "none" => "No credentials".to_owned(),
        _ => "Credentials not seen".to_owned(),
    }
}

/// Whether its method was called after the day on which its caller's migration was done.
fn has_regressed(row: &Row) -> bool {
    row.state == Some(State::Regressed.as_str())
}

/// Whose row it is: those with a name are one caller, however many keys they have.
fn who(row: &Row) -> (bool, &str) {
    match &row.name {
        Some(name) => (true, name),
        None => (false, &row.key),
    }
}

fn distinct<T: Ord>(values: impl Iterator<Item = T>) -> usize {
    values.collect::<BTreeSet<_>>().len()
}

/// Adds the rows' trends up, each of which ends at the same moment.
fn sum_of<'a>(
    rows: impl IntoIterator<Item = &'a Row>,
    trend: impl Fn(&'a Row) -> &'a Vec<u32>,
) -> Vec<u64> {
    let mut sums: Vec<u64> = Vec::new();
    for row in rows {
        let trend = trend(row);
        if trend.len() > sums.len() {
            let missing = trend.len() - sums.len();
            sums.splice(0..0, std::iter::repeat_n(0, missing));
        }
        for (sum, &calls) in sums.iter_mut().rev().zip(trend.iter().rev()) {
            *sum += u64::from(calls);
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_764_000_000_000;

    fn row(key: &str, method: &str, ago: u64, calls: u32) -> Row {
        Row {
            key: key.into(),
            method: method.into(),
            rewritten: u64::from(calls),
            first_seen: NOW - 30 * DAY,
            last_seen: NOW - ago,
            days: vec![0, calls],
            hours: [vec![0; 24], vec![calls; 24]].concat(),
            ..Row::default()
        }
    }

    fn snapshot() -> Snapshot {
        let mut named = row("a", "m.one", 1000, 2);
        named.name = Some("shop".into());
        Snapshot {
            now: NOW,
            last_use: Some(NOW - 1000),
            rows: vec![
                named,
                row("b", "m.one", 3 * DAY, 3),
                row("b", "m.two", 8 * DAY, 5),
            ],
            ..Snapshot::default()
        }
    }

    #[test]
    fn the_overview_counts_callers_and_methods_once() {
        let overview = Overview::of(&snapshot(), &Catalogue::builtin());
        assert_eq!((overview.callers, overview.callers_active), (2, 2));
        assert_eq!(overview.callers_unnamed, 1);
        assert_eq!((overview.methods, overview.methods_active), (2, 1));
        assert_eq!(overview.rewritten, 10);
        assert_eq!(overview.days_since_last_use, Some(0));
        assert_eq!(overview.last_caller.as_deref(), Some("shop"));
        assert_eq!(overview.days, [0, 10]);
        assert_eq!((overview.calls_day, overview.calls_day_before), (240, 0));
    }

    #[test]
    fn without_a_use_there_are_no_days_since_it() {
        let overview = Overview::of(&Snapshot::default(), &Catalogue::builtin());
        assert_eq!(overview.days_since_last_use, None);
        assert_eq!(overview.last_caller, None);
    }

    #[test]
    fn days_since_the_last_use_are_days_of_the_calendar() {
        let days = |now, last| {
            let snapshot = Snapshot {
                now,
                last_use: Some(last),
                ..Snapshot::default()
            };
            Overview::of(&snapshot, &Catalogue::builtin()).days_since_last_use
        };
        let midnight = 20_000 * DAY;
        // A minute before midnight, and a minute after.
        assert_eq!(days(midnight + 60_000, midnight - 60_000), Some(1));
        assert_eq!(days(midnight + DAY - 1, midnight), Some(0));
        assert_eq!(days(midnight + 2 * DAY, midnight + DAY - 1), Some(2));
        // A clock that was set back.
        assert_eq!(days(midnight, midnight + DAY), Some(0));
    }

    #[test]
    fn the_end_is_foretold_only_where_enough_callers_have_stopped_and_the_log_reaches_back() {
        let key = |at: u64| format!("caller {at}");
        let stopped = |at| row(&key(at), "m.one", (10 + at) * DAY, 1);
        let mut snapshot = snapshot();
        snapshot.rows.extend((0..4).map(stopped));
        snapshot.known_since = NOW - 40 * DAY;
        // Two go on, four have stopped within 30 days: fifteen days more.
        let done = Overview::of(&snapshot, &Catalogue::builtin()).done_by;
        assert_eq!(done, Some(NOW + 15 * DAY));
        snapshot.known_since = NOW - 20 * DAY;
        assert_eq!(Overview::of(&snapshot, &Catalogue::builtin()).done_by, None);
        snapshot.known_since = NOW - 40 * DAY;
        snapshot.rows.truncate(5);
        assert_eq!(Overview::of(&snapshot, &Catalogue::builtin()).done_by, None);
    }

    #[test]
    fn a_rows_calls_are_told_for_a_day_a_week_and_a_month() {
        let mut row = row("a", "m.one", 0, 3);
        row.days = [vec![1; 30], vec![3]].concat();
        assert_eq!(recent(&row), [72, 9, 32]);
    }

    #[test]
    fn methods_are_summed_over_their_callers() {
        let methods = MethodUse::of(&snapshot(), &Policy::usual(&Catalogue::builtin()));
        let said: Vec<_> = methods
            .iter()
            .map(|m| (m.method.as_str(), m.calls(), m.callers))
            .collect();
        assert_eq!(said, [("m.one", 5, 2), ("m.two", 5, 1)]);
    }
}
