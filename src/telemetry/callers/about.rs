//! What the callers file says of a name beside how to recognise it: who owns the caller, and how far its migration is (pure).

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

/// Milliseconds of a day.
const DAY: u64 = 86_400_000;

/// The longest text, in bytes.
const LONGEST: usize = 200;

/// Who is behind a name, and since when they know and are done. All keys are optional.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// Who owns the caller: a person or a team.
    pub owner: Option<String>,
    /// How to reach them.
    pub contact: Option<String>,
    /// Where the migration is tracked.
    pub ticket: Option<String>,
    /// The day on which the owner was told.
    pub told: Option<Day>,
    /// The day on which the owner said that it is done: from the day after, a call is a regression.
    pub migrated: Option<Day>,
}

/// A day of the UTC calendar, as days since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub u64);

/// How far the migration of a named caller is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Nobody was told yet.
    Open,
    /// The owner knows.
    Told,
    /// The owner said that it is done, and no call came since.
    Migrated,
    /// A deprecated call came after the day on which it was done.
    Regressed,
}

impl State {
    pub const ALL: [Self; 4] = [Self::Open, Self::Told, Self::Migrated, Self::Regressed];

    /// The word that metrics, reports and the page use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Told => "told",
            Self::Migrated => "migrated",
            Self::Regressed => "regressed",
        }
    }
}

impl About {
    /// The state on the day of `now`, where the last deprecated call came at `last`; both in milliseconds since 1970.
    pub fn state(&self, now: u64, last: Option<u64>) -> State {
        let today = Day::of(now);
        match (self.migrated, self.told) {
            (Some(migrated), _) if migrated <= today => {
                if last.is_some_and(|last| self.is_regression(last)) {
                    State::Regressed
                } else {
                    State::Migrated
                }
            }
            (_, Some(told)) if told <= today => State::Told,
            _ => State::Open,
        }
    }

    /// Whether a deprecated call at this moment comes after the migration: on a later day than it.
    pub fn is_regression(&self, at: u64) -> bool {
        self.migrated.is_some_and(|migrated| Day::of(at) > migrated)
    }

    /// Takes over one key. An error says what is wrong with its value, or that another entry of the name says otherwise.
    pub(super) fn set(&mut self, key: &str, value: Value) -> Result<(), String> {
        let (old, new) = match (key, value) {
            ("told" | "migrated", Value::Text(text)) => {
                let day = text.parse()?;
                return self.set(key, Value::Day(day));
            }
            ("told", Value::Day(day)) => return set(&mut self.told, day, key),
            ("migrated", Value::Day(day)) => return set(&mut self.migrated, day, key),
            (_, Value::Day(_)) => return Err(format!("`{key}` is to be a text")),
            ("owner", Value::Text(text)) => (&mut self.owner, text),
            ("contact", Value::Text(text)) => (&mut self.contact, text),
            (_, Value::Text(text)) => (&mut self.ticket, text),
        };
        if new.trim().is_empty() || new.len() > LONGEST || new.chars().any(char::is_control) {
            return Err(format!(
                "`{key}` has 1 to {LONGEST} bytes and no control characters"
            ));
        }
        set(old, new, key)
    }
}

/// A value of the file.
pub(super) enum Value {
    Text(String),
    Day(Day),
}

fn set<T: PartialEq + fmt::Display>(old: &mut Option<T>, new: T, key: &str) -> Result<(), String> {
    match old {
        Some(old) if *old != new => Err(format!(
            "`{key}` is \"{old}\" in another entry of this name; one name has one {key}"
        )),
        _ => {
            *old = Some(new);
            Ok(())
        }
    }
}

impl Day {
    /// The day of a moment, in milliseconds since 1970.
    pub fn of(millis: u64) -> Self {
        Self(millis / DAY)
    }

    /// Its first millisecond since 1970.
    pub fn begin(self) -> u64 {
        self.0 * DAY
    }

    /// The day after.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The day of a date; nothing for one before 1970.
    pub fn of_date(date: Date) -> Option<Self> {
        let begin = TimeZone::UTC
            .to_timestamp(date.to_datetime(Time::midnight()))
            .ok()?;
        let millis = u64::try_from(begin.as_millisecond()).ok()?;
        Some(Self::of(millis))
    }
}

impl FromStr for Day {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // jiff would also take a date with a time behind it.
        let date: Option<Date> = (text.len() == 10).then(|| text.parse().ok()).flatten();
        date.and_then(Self::of_date)
            .ok_or_else(|| format!("`{text}` is not a date such as 2026-12-01"))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let begin = i64::try_from(self.begin()).unwrap_or(i64::MAX);
        match Timestamp::from_millisecond(begin) {
            Ok(begin) => write!(f, "{}", TimeZone::UTC.to_datetime(begin).date()),
            Err(_) => f.write_str("a day beyond the calendar"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    #[test]
    fn a_day_is_read_and_shown_as_a_date() {
        assert_eq!(day("1970-01-02"), Day(1));
        assert_eq!(day("2026-12-01").to_string(), "2026-12-01");
        assert_eq!(
            Day::of(day("2026-12-01").next().begin() - 1),
            day("2026-12-01")
        );
        for wrong in [
            "",
            "2026-13-01",
            "2026-12-01T00:00:00Z",
            "yesterday",
            "1969-12-31",
        ] {
            assert!(wrong.parse::<Day>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_state_follows_from_the_dates_and_the_last_call() {
        let about = |told: Option<&str>, migrated: Option<&str>| About {
            told: told.map(day),
            migrated: migrated.map(day),
            ..About::default()
        };
        let now = day("2026-12-10").begin();
        let done = about(Some("2026-11-20"), Some("2026-12-01"));
        assert_eq!(about(None, None).state(now, Some(now)), State::Open);
        assert_eq!(
            about(Some("2026-11-20"), None).state(now, Some(now)),
            State::Told
        );
        assert_eq!(
            about(Some("2026-12-11"), None).state(now, None),
            State::Open
        );
        assert_eq!(done.state(now, None), State::Migrated);
        // A call on the day itself may have come before the change.
        let on_the_day = day("2026-12-02").begin() - 1;
        assert_eq!(done.state(now, Some(on_the_day)), State::Migrated);
        assert_eq!(done.state(now, Some(on_the_day + 1)), State::Regressed);
        // A day that has not come yet is a promise.
        let promised = about(Some("2026-11-20"), Some("2026-12-11"));
        assert_eq!(promised.state(now, Some(now)), State::Told);
    }
}
