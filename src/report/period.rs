//! From when to when: dates, moments and `30d`, as options say them. Both ends are included.

use jiff::{SignedDuration, Timestamp};

use crate::ladder::window::duration;
use crate::telemetry::callers::Day;

/// A stretch of time in milliseconds since 1970; an end that is missing is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Period {
    /// Its first millisecond.
    pub since: Option<u64>,
    /// Its last millisecond.
    pub until: Option<u64>,
}

impl Period {
    /// Reads both ends. `now` is what `30d` is counted from.
    ///
    /// # Errors
    /// Says which option is wrong and what would be right.
    pub fn parse(since: Option<&str>, until: Option<&str>, now: u64) -> Result<Self, String> {
        let read = |option: &str, text: Option<&str>, pick: fn((u64, u64)) -> u64| {
            text.map(|text| moment(text, now).map(pick))
                .transpose()
                .map_err(|why| format!("--{option}: {why}"))
        };
        let period = Self {
            since: read("since", since, |(first, _)| first)?,
            until: read("until", until, |(_, last)| last)?,
        };
        if let (Some(since), Some(until)) = (period.since, period.until)
            && since > until
        {
            return Err("--since is later than --until; exchange them".to_owned());
        }
        Ok(period)
    }

    /// Whether a moment lies in it.
    pub fn holds(&self, at: u64) -> bool {
        self.since.is_none_or(|since| at >= since) && self.until.is_none_or(|until| at <= until)
    }
}

/// The first and the last millisecond that a text means: a whole day, one moment, or a length of time before `now`.
fn moment(text: &str, now: u64) -> Result<(u64, u64), String> {
    if let Ok(day) = text.parse::<Day>() {
        return Ok((day.begin(), day.next().begin() - 1));
    }
    if let Ok(moment) = text.parse::<Timestamp>() {
        let millis = u64::try_from(moment.as_millisecond())
            .map_err(|_| format!("`{text}` is before 1970"))?;
        return Ok((millis, millis));
    }
    let length: SignedDuration = duration(text).map_err(|_| {
        format!("`{text}` is not a date (2026-12-01), a moment (2026-12-01T09:30:00Z) or a length of time (30d)")
    })?;
    let millis = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
    let moment = now
        .checked_sub(millis)
        .ok_or_else(|| format!("`{text}` leads to before 1970"))?;
    Ok((moment, moment))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(text: &str) -> u64 {
        let moment: Timestamp = text.parse().unwrap();
        moment.as_millisecond().try_into().unwrap()
    }

    fn period(since: &str, until: &str) -> Result<(u64, u64), String> {
        let period = Period::parse(Some(since), Some(until), millis("2026-12-31T12:00:00Z"))?;
        Ok((period.since.unwrap(), period.until.unwrap()))
    }

    #[test]
    fn a_date_is_the_whole_day_at_both_ends() {
        let (since, until) = period("2026-12-01", "2026-12-01").unwrap();
        assert_eq!(since, millis("2026-12-01T00:00:00Z"));
        assert_eq!(until, millis("2026-12-01T23:59:59.999Z"));
    }

    #[test]
    fn a_moment_may_have_milliseconds_and_an_offset() {
        let (since, until) =
            period("2026-12-01T10:00:00+02:00", "2026-12-01T08:00:00.250Z").unwrap();
        assert_eq!(since, millis("2026-12-01T08:00:00Z"));
        assert_eq!(until, since + 250);
        let both = Period {
            since: Some(since),
            until: Some(until),
        };
        assert!(
            both.holds(since)
                && both.holds(until)
                && !both.holds(until + 1)
                && !both.holds(since - 1)
        );
    }

    #[test]
    fn a_length_of_time_is_counted_from_now() {
        let (since, until) = period("30d", "1h30m").unwrap();
        assert_eq!(since, millis("2026-12-01T12:00:00Z"));
        assert_eq!(until, millis("2026-12-31T10:30:00Z"));
    }

    #[test]
    fn what_cannot_be_meant_is_said_with_its_option() {
        let wrong = |since, until| period(since, until).unwrap_err();
        assert!(wrong("yesterday", "1d").starts_with("--since: `yesterday` is not a date"));
        assert!(wrong("1d", "2026-02-30").starts_with("--until: `2026-02-30` is not a date"));
        assert!(wrong("2026-12-02", "2026-12-01").contains("exchange them"));
        assert!(wrong("30000d", "1d").contains("before 1970"));
    }
}
