//! Windows of time as data: `2026-12-01T09:00Z for 30m`, `every Tuesday 10:00 Europe/Berlin for 15m`, `every 2h for 5m`.
//! Whether one is open is a question about a moment that is handed in; nothing here looks at a clock.

use std::fmt;

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

/// A stretch of time, once or again and again. Its begin belongs to it, its end does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    text: String,
    when: When,
    length: SignedDuration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum When {
    Once(Timestamp),
    /// At this time of these days, by a zone's own clock: in the gap of a change to summer time it begins after the gap, in
    /// the fold of a change back at the first of the two.
    Weekly {
        days: Vec<Weekday>,
        at: Time,
        zone: TimeZone,
    },
    /// Counted from 1970-01-01T00:00Z.
    Every(SignedDuration),
}

/// An open window's bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its first moment.
    pub from: Timestamp,
    /// The first moment behind it.
    pub until: Timestamp,
}

const WEEK: [(&str, Weekday); 7] = [
    ("monday", Weekday::Monday),
    ("tuesday", Weekday::Tuesday),
    ("wednesday", Weekday::Wednesday),
    ("thursday", Weekday::Thursday),
    ("friday", Weekday::Friday),
    ("saturday", Weekday::Saturday),
    ("sunday", Weekday::Sunday),
];

/// No window is longer: what lasts longer is no brownout.
const LONGEST: SignedDuration = SignedDuration::from_hours(24 * 7);

impl Window {
    /// Reads a window.
    ///
    /// # Errors
    /// Says what is wrong and what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (when, length) = text
            .rsplit_once(" for ")
            .ok_or("a window ends in its length, as `2026-12-01T09:00Z for 30m`")?;
        let length = duration(length)?;
        if length > LONGEST {
            return Err("a window is at most 7 days long".to_owned());
        }
        let when = match when.trim().split_once(' ') {
            Some((every, rest)) if every.eq_ignore_ascii_case("every") => recurring(rest.trim())?,
            _ => When::Once(moment(when.trim())?),
        };
        let shortest_pause = match &when {
            When::Once(_) => None,
            When::Weekly { days, zone, .. } => Some(shortest_time_between(days, zone)),
            When::Every(period) => Some(*period),
        };
        if shortest_pause.is_some_and(|pause| length >= pause) {
            return Err(
                "it is open all the time; make it shorter than the time between".to_owned(),
            );
        }
        Ok(Self {
            text: text.trim().to_owned(),
            when,
            length,
        })
    }

    /// How long it is open at a time.
    pub fn length(&self) -> SignedDuration {
        self.length
    }

    /// The bounds of the window that is open at this moment, if one is.
    pub fn open_at(&self, now: Timestamp) -> Option<Span> {
        let from = self.last_begin(now)?;
        let span = self.span(from)?;
        (now < span.until).then_some(span)
    }

    /// The next window that begins after this moment, if there is one.
    pub fn next_after(&self, now: Timestamp) -> Option<Span> {
        let from = match &self.when {
            When::Once(from) => (*from > now).then_some(*from)?,
            When::Every(period) => {
                let period = period.as_secs();
                let begun = now.as_second().div_euclid(period);
                Timestamp::from_second((begun + 1) * period).ok()?
            }
            When::Weekly { days, at, zone } => {
                let today = zone.to_datetime(now).date();
                (-1..=8)
                    .filter_map(|ahead| {
                        begin(today.checked_add(ahead.days()).ok()?, days, *at, zone)
                    })
                    .find(|from| *from > now)?
            }
        };
        self.span(from)
    }

    fn last_begin(&self, now: Timestamp) -> Option<Timestamp> {
        match &self.when {
            When::Once(from) => (*from <= now).then_some(*from),
            When::Every(period) => {
                let period = period.as_secs();
                Timestamp::from_second(now.as_second().div_euclid(period) * period).ok()
            }
            When::Weekly { days, at, zone } => {
                let today = zone.to_datetime(now).date();
                (-1..=8)
                    .filter_map(|back| begin(today.checked_sub(back.days()).ok()?, days, *at, zone))
                    .find(|from| *from <= now)
            }
        }
    }

    fn span(&self, from: Timestamp) -> Option<Span> {
        let until = from.checked_add(self.length).ok()?;
        Some(Span { from, until })
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// When the window of this day begins, if it is one of the days.
fn begin(day: Date, days: &[Weekday], at: Time, zone: &TimeZone) -> Option<Timestamp> {
    if !days.contains(&day.weekday()) {
        return None;
    }
    zone.to_timestamp(day.to_datetime(at)).ok()
}

/// The shortest time from one of these days to the next, at the same time of day by this zone's clock.
fn shortest_time_between(days: &[Weekday], zone: &TimeZone) -> SignedDuration {
    let days: Vec<i64> = days
        .iter()
        .map(|day| day.to_monday_zero_offset().into())
        .collect();
    let ahead = |from: i64| {
        let others = days.iter().map(move |to| (to - from).rem_euclid(7));
        others.filter(|days| *days > 0).min().unwrap_or(7)
    };
    let least = days.iter().map(|day| ahead(*day)).min().unwrap_or(7);
    // The day on which the clock is put forward has 23 hours.
    let lost = i64::from(changes_its_clock(zone));
    SignedDuration::from_hours(24 * least - lost)
}

/// Whether a zone's clock is changed nowadays.
fn changes_its_clock(zone: &TimeZone) -> bool {
    let nowadays = jiff::civil::date(2026, 1, 1);
    let begin = zone.to_timestamp(nowadays.to_datetime(Time::midnight()));
    begin.is_ok_and(|begin| zone.following(begin).next().is_some())
}

/// What stands behind `every`.
fn recurring(text: &str) -> Result<When, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (days, at, zone) = match words.as_slice() {
        [days, at, zone] => (days, at, zone),
        [days, _] if days.starts_with(|c: char| c.is_ascii_alphabetic()) => {
            return Err(format!(
                "`every {text}` names no time zone; end it with UTC or one as Europe/Berlin"
            ));
        }
        _ => {
            let period = duration(text).map_err(|_| {
                format!(
                    "`every {text}` is not a time; write `every Tuesday 10:00 Europe/Berlin`, `every day 10:00 UTC` or `every 2h`"
                )
            })?;
            return Ok(When::Every(period));
        }
    };
    Ok(When::Weekly {
        days: weekdays(days)?,
        at: at
            .parse::<Time>()
            .map_err(|_| format!("`{at}` is not a time of day such as 10:00"))?,
        zone: time_zone(zone)?,
    })
}

fn weekdays(text: &str) -> Result<Vec<Weekday>, String> {
    let all = |range: std::ops::Range<usize>| WEEK[range].iter().map(|(_, day)| *day).collect();
    match text.to_ascii_lowercase().as_str() {
        "day" => return Ok(all(0..7)),
        "weekday" => return Ok(all(0..5)),
        _ => {}
    }
    text.split(',')
        .map(|word| {
            let word = word.to_ascii_lowercase();
            WEEK.iter()
                .find(|(name, _)| *name == word || (word.len() == 3 && name.starts_with(&word)))
                .map(|(_, day)| *day)
                .ok_or_else(|| {
                    format!(
                        "`{word}` is not a day; write Tuesday, Tuesday,Thursday, weekday or day"
                    )
                })
        })
        .collect()
}

fn time_zone(name: &str) -> Result<TimeZone, String> {
    if matches!(name, "Z" | "UTC" | "utc") {
        return Ok(TimeZone::UTC);
    }
    TimeZone::get(name)
        .map_err(|_| format!("there is no time zone `{name}`; write UTC or one as Europe/Berlin"))
}

/// A moment: RFC 3339 with or without seconds, or a local time and its zone (`2026-12-01T09:00 Europe/Berlin`), or a date,
/// which is its first moment in UTC or in the zone named behind it.
///
/// # Errors
/// Says what is wrong and what would be right.
pub fn moment(text: &str) -> Result<Timestamp, String> {
    let wrong = || {
        format!(
            "`{text}` is not a moment; write 2026-12-01T09:00Z or 2026-12-01T09:00 Europe/Berlin"
        )
    };
    if let Some((local, zone)) = text.split_once(' ') {
        let local: DateTime = local.parse().map_err(|_| wrong())?;
        return time_zone(zone.trim())?
            .to_timestamp(local)
            .map_err(|_| wrong());
    }
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment);
    }
    if !text.contains(['T', 't']) {
        let date: Date = text.parse().map_err(|_| wrong())?;
        return TimeZone::UTC
            .to_timestamp(date.to_datetime(Time::midnight()))
            .map_err(|_| wrong());
    }
    if text.parse::<DateTime>().is_ok() {
        return Err(format!(
            "`{text}` names no time zone; end it with Z, +01:00 or one as Europe/Berlin"
        ));
    }
    Err(wrong())
}

/// A length of time: `30m`, `1h30m`, `1d`.
///
/// # Errors
/// Says what would be right.
pub fn duration(text: &str) -> Result<SignedDuration, String> {
    let text = text.trim();
    let wrong = || format!("`{text}` is not a length of time such as 30m, 1h30m or 1d");
    let (days, rest) = match text.split_once('d') {
        Some((days, rest)) if days.bytes().all(|b| b.is_ascii_digit()) && !days.is_empty() => {
            (days.parse::<i64>().map_err(|_| wrong())?, rest.trim())
        }
        _ => (0, text),
    };
    let rest = match rest {
        "" if days > 0 => SignedDuration::ZERO,
        rest => rest.parse::<SignedDuration>().map_err(|_| wrong())?,
    };
    let whole = days
        .checked_mul(24)
        .filter(|hours| *hours < 1_000_000)
        .map(SignedDuration::from_hours)
        .and_then(|days| days.checked_add(rest))
        .ok_or_else(wrong)?;
    if whole.as_secs() < 1 || whole.subsec_nanos() != 0 {
        return Err(wrong());
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(text: &str) -> Window {
        Window::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"))
    }

    fn at(text: &str) -> Timestamp {
        moment(text).unwrap_or_else(|why| panic!("{why}"))
    }

    fn open(window: &Window, moment: &str) -> Option<String> {
        window
            .open_at(at(moment))
            .map(|span| span.until.to_string())
    }

    #[test]
    fn a_single_window_is_open_from_its_begin_up_to_its_end() {
        let window = window("2026-12-01T09:00Z for 30m");
        assert_eq!(open(&window, "2026-12-01T08:59:59Z"), None);
        let end = Some("2026-12-01T09:30:00Z".to_owned());
        assert_eq!(open(&window, "2026-12-01T09:00Z"), end);
        assert_eq!(open(&window, "2026-12-01T09:29:59.999Z"), end);
        assert_eq!(open(&window, "2026-12-01T09:30Z"), None);
        assert_eq!(window.next_after(at("2026-12-01T09:00Z")), None);
    }

    #[test]
    fn a_weekly_window_follows_its_zones_clock_over_the_change_to_summer_time() {
        let window = window("every Tuesday 10:00 Europe/Berlin for 15m");
        // Winter: UTC+1. Summer from 2027-03-28: UTC+2.
        assert_eq!(
            open(&window, "2027-03-23T09:14Z").as_deref(),
            Some("2027-03-23T09:15:00Z")
        );
        assert_eq!(
            open(&window, "2027-03-30T08:14Z").as_deref(),
            Some("2027-03-30T08:15:00Z")
        );
        assert_eq!(open(&window, "2027-03-30T09:14Z"), None);
        assert_eq!(open(&window, "2027-03-24T09:14Z"), None);
        assert_eq!(
            window
                .next_after(at("2027-03-23T09:05Z"))
                .map(|span| span.from.to_string())
                .as_deref(),
            Some("2027-03-30T08:00:00Z")
        );
    }

    #[test]
    fn a_window_in_the_hour_that_a_change_skips_begins_after_it() {
        let window = window("every Sunday 02:30 Europe/Berlin for 15m");
        // On 2027-03-28 the clock goes from 02:00 to 03:00: 02:30 is 03:30 there, 01:30 in UTC.
        assert_eq!(
            open(&window, "2027-03-28T01:31Z").as_deref(),
            Some("2027-03-28T01:45:00Z")
        );
        // On 2026-10-25 02:30 comes twice: the first counts, 00:30 in UTC.
        assert_eq!(
            open(&window, "2026-10-25T00:31Z").as_deref(),
            Some("2026-10-25T00:45:00Z")
        );
        assert_eq!(open(&window, "2026-10-25T01:31Z"), None);
    }

    #[test]
    fn a_window_may_reach_over_midnight() {
        let window = window("every weekday 23:50 UTC for 20m");
        assert_eq!(
            open(&window, "2026-12-04T23:55Z").as_deref(),
            Some("2026-12-05T00:10:00Z")
        );
        assert_eq!(
            open(&window, "2026-12-05T00:05Z").as_deref(),
            Some("2026-12-05T00:10:00Z")
        );
        assert_eq!(open(&window, "2026-12-05T23:55Z"), None);
    }

    #[test]
    fn a_share_of_the_time_is_a_window_every_so_often() {
        let window = window("every 2h for 5m");
        assert_eq!(
            open(&window, "2026-12-01T10:04Z").as_deref(),
            Some("2026-12-01T10:05:00Z")
        );
        assert_eq!(open(&window, "2026-12-01T11:04Z"), None);
        assert_eq!(
            window
                .next_after(at("2026-12-01T10:00Z"))
                .map(|span| span.from.to_string())
                .as_deref(),
            Some("2026-12-01T12:00:00Z")
        );
    }

    #[test]
    fn a_window_may_be_nearly_as_long_as_the_time_between() {
        let long = window("every day 17:50 UTC for 23h40m");
        assert_eq!(
            open(&long, "2026-12-02T17:29Z").as_deref(),
            Some("2026-12-02T17:30:00Z")
        );
        assert_eq!(open(&long, "2026-12-02T17:30Z"), None);
        // No clock is changed there since 2014.
        window("every day 17:50 Europe/Moscow for 23h40m");
        window("every day 17:50 Europe/Berlin for 22h59m");
        window("every Mon,Wed 10:00 UTC for 47h");
        window("every Monday 10:00 UTC for 167h59m");
    }

    #[test]
    fn several_days_may_be_named() {
        let window = window("every Tue,Thursday 10:00 UTC for 15m");
        assert!(window.open_at(at("2026-12-01T10:01Z")).is_some());
        assert!(window.open_at(at("2026-12-03T10:01Z")).is_some());
        assert!(window.open_at(at("2026-12-02T10:01Z")).is_none());
    }

    #[test]
    fn what_is_wrong_is_said_with_what_would_be_right() {
        for (text, said) in [
            ("2026-12-01T09:00Z", "ends in its length"),
            ("2026-12-01T09:00 for 30m", "names no time zone"),
            ("2026-13-01T09:00Z for 30m", "is not a moment"),
            ("2026-12-01T09:00Z for soon", "not a length of time"),
            ("2026-12-01T09:00Z for 0m", "not a length of time"),
            ("2026-12-01T09:00Z for 8d", "at most 7 days"),
            ("every Tuesday 10:00 for 15m", "names no time zone"),
            ("every Tusday 10:00 UTC for 15m", "`tusday` is not a day"),
            ("every Tuesday 25:00 UTC for 15m", "not a time of day"),
            (
                "every Tuesday 10:00 Europe/Berln for 15m",
                "no time zone `Europe/Berln`",
            ),
            ("every moon for 15m", "is not a time"),
            ("every 5m for 5m", "open all the time"),
            ("every day 10:00 UTC for 1d", "open all the time"),
            ("every day 10:00 Europe/Berlin for 23h", "open all the time"),
            (
                "every Mon,Tue 10:00 Europe/Berlin for 23h30m",
                "open all the time",
            ),
            ("every Mon,Wed 10:00 UTC for 2d", "open all the time"),
        ] {
            let why = Window::parse(text).expect_err(text);
            assert!(why.contains(said), "{text}: {why}");
        }
    }

    #[test]
    fn a_moment_may_be_a_date_or_a_local_time() {
        assert_eq!(at("2027-03-01").to_string(), "2027-03-01T00:00:00Z");
        assert_eq!(
            at("2027-03-01T09:00 Europe/Berlin").to_string(),
            "2027-03-01T08:00:00Z"
        );
        assert_eq!(
            at("2027-03-01T09:00+02:00").to_string(),
            "2027-03-01T07:00:00Z"
        );
        assert_eq!(duration("1d").map(|d| d.as_hours()), Ok(24));
        assert_eq!(duration("1h30m").map(|d| d.as_mins()), Ok(90));
    }
}
