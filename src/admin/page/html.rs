//! Values of a query, numbers and times as HTML; texts as the owner's letter writes them. All that a client can invent goes
//! through [`Text`].

use std::fmt::{Display, Formatter, Result};

use jiff::Timestamp;

use crate::admin::overview::DAY;
pub(super) use crate::advice::markup::{Code, Text};

/// A value of a query.
pub(super) struct InQuery<'a>(pub(super) &'a str);

impl Display for InQuery<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> Result {
        percent_encoding::utf8_percent_encode(self.0, percent_encoding::NON_ALPHANUMERIC).fmt(out)
    }
}

/// A number with its thousands apart.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 call`, `2 calls`.
pub(super) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", number(count), if count == 1 { one } else { many })
}

/// A moment, as how long ago it is; hovering shows it in full. Milliseconds since 1970.
pub(super) fn moment(at: u64, now: u64) -> String {
    let Some(time) = i64::try_from(at)
        .ok()
        .and_then(|at| Timestamp::from_millisecond(at).ok())
    else {
        return String::new();
    };
    format!(
        "<time datetime=\"{}\" title=\"{} UTC\">{}</time>",
        time.strftime("%Y-%m-%dT%H:%M:%SZ"),
        time.strftime("%Y-%m-%d %H:%M:%S"),
        ago(now.saturating_sub(at))
    )
}

/// A moment that is still to come, as how long it takes. Milliseconds since 1970.
pub(super) fn to_come(at: u64, now: u64) -> String {
    let Some(time) = i64::try_from(at)
        .ok()
        .and_then(|at| Timestamp::from_millisecond(at).ok())
    else {
        return String::new();
    };
    let left = at.saturating_sub(now).div_ceil(60_000);
    let left = match left {
        0..=99 => format!("{left} min"),
        100..=2879 => format!("{} h", left / 60),
        _ => format!("{} days", left / 1440),
    };
    format!(
        "<span title=\"{} UTC\">ends in {left}</span>",
        time.strftime("%Y-%m-%d %H:%M:%S")
    )
}

/// The day of a moment in milliseconds since 1970, as `25 Nov 2026`.
pub(super) fn day(at: u64) -> String {
    i64::try_from(at)
        .ok()
        .and_then(|at| Timestamp::from_millisecond(at).ok())
        .map(|time| time.strftime("%-d %b %Y").to_string())
        .unwrap_or_default()
}

/// A moment in milliseconds since 1970, as `25 Nov 2026, 14:03 UTC`.
pub(super) fn minute(at: u64) -> String {
    i64::try_from(at)
        .ok()
        .and_then(|at| Timestamp::from_millisecond(at).ok())
        .map(|time| time.strftime("%-d %b %Y, %H:%M UTC").to_string())
        .unwrap_or_default()
}

/// Milliseconds as a person would say them. `script.js` has the same steps.
fn ago(elapsed: u64) -> String {
    match elapsed / 1000 {
        0..=4 => "now".to_owned(),
        s @ 5..=99 => format!("{s} s ago"),
        s @ 100..=5_399 => format!("{} min ago", s / 60),
        s @ 5_400..=172_799 => format!("{} h ago", (s + 1800) / 3600),
        _ => format!("{} days ago", elapsed / DAY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_a_query_ends_neither_the_query_nor_the_attribute() {
        assert_eq!(InQuery("a b&c='\"").to_string(), "a%20b%26c%3D%27%22");
    }

    #[test]
    fn numbers_and_times_are_said_as_people_say_them() {
        assert_eq!(number(0), "0");
        assert_eq!(number(1_234_567), "1,234,567");
        assert_eq!(counted(1, "call", "calls"), "1 call");
        for (elapsed, said) in [
            (0, "now"),
            (14, "14 s ago"),
            (120, "2 min ago"),
            (5_399, "89 min ago"),
            (5_400, "2 h ago"),
            (7200, "2 h ago"),
            (3 * 86400, "3 days ago"),
        ] {
            assert_eq!(ago(elapsed * 1000), said);
        }
        assert_eq!(
            moment(1_764_000_000_000, 1_764_000_014_000),
            "<time datetime=\"2025-11-24T16:00:00Z\" title=\"2025-11-24 16:00:00 UTC\">14 s ago</time>"
        );
    }
}
