//! Just enough of a JSON writer for the lines of the logs: into a buffer that is reused, without an intermediate tree.
//! What comes out is always valid JSON, whatever a client put into a name.

use crate::digits;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The longest string of a client's that a line repeats, in bytes.
pub const LONGEST_TEXT: usize = 512;

/// `text` up to its first `limit` bytes, never ending inside a character.
pub fn cut(text: &str, limit: usize) -> &str {
    if text.len() <= limit {
        return text;
    }
    let mut end = limit;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// One object that is being written; [`Object::end`] closes it.
pub struct Object<'a> {
    out: &'a mut Vec<u8>,
    empty: bool,
}

impl<'a> Object<'a> {
    /// Opens an object at the end of `out`.
    pub fn begin(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, empty: true }
    }

    /// Goes on with an object that has members already.
    pub fn more(out: &'a mut Vec<u8>) -> Self {
        Self { out, empty: false }
    }

    /// Members that are written already, with the comma before them.
    pub fn members(&mut self, members: &[u8]) -> &mut Self {
        self.out.extend_from_slice(members);
        self
    }

    /// A member's name that is written already, with the comma before it: its value is to follow.
    #[inline]
    pub fn ready(&mut self, name: &'static str) -> &mut Vec<u8> {
        self.out.extend_from_slice(name.as_bytes());
        self.out
    }

    /// A word of ours, which needs no escapes.
    pub fn word(&mut self, name: &'static str, word: &'static str) -> &mut Self {
        let out = self.member(name);
        out.push(b'"');
        out.extend_from_slice(word.as_bytes());
        out.push(b'"');
        self
    }

    /// A member whose value the caller writes; `name` is ours and needs no escapes.
    #[inline]
    pub fn member(&mut self, name: &'static str) -> &mut Vec<u8> {
        let open: &[u8] = if self.empty { b"\"" } else { b",\"" };
        self.empty = false;
        // One look for room: a value follows.
        self.out.reserve(name.len() + 32);
        self.out.extend_from_slice(open);
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    /// A string, cut at [`LONGEST_TEXT`].
    pub fn text(&mut self, name: &'static str, value: &str) -> &mut Self {
        string(self.member(name), cut(value, LONGEST_TEXT));
        self
    }

    /// A string where there is one; nothing otherwise.
    pub fn text_if(&mut self, name: &'static str, value: Option<&str>) -> &mut Self {
        if let Some(value) = value {
            self.text(name, value);
        }
        self
    }

    /// A string that stands in pieces; it is not cut.
    pub fn joined(&mut self, name: &'static str, parts: &[&str]) -> &mut Self {
        let out = self.member(name);
        out.push(b'"');
        parts.iter().for_each(|part| inside(out, part));
        out.push(b'"');
        self
    }

    /// An address where there is one.
    pub fn address_if(&mut self, name: &'static str, value: Option<IpAddr>) -> &mut Self {
        if let Some(address) = value {
            let out = self.member(name);
            out.push(b'"');
            digits::address(out, address);
            out.push(b'"');
        }
        self
    }

    /// A whole number.
    pub fn number(&mut self, name: &'static str, value: u64) -> &mut Self {
        digits::decimal(self.member(name), value);
        self
    }

    /// A duration in milliseconds, with three digits after the point.
    pub fn milliseconds(&mut self, name: &'static str, value: Duration) -> &mut Self {
        milliseconds(self.member(name), value);
        self
    }

    /// A moment as RFC 3339 in UTC with milliseconds.
    pub fn moment(&mut self, name: &'static str, value: SystemTime) -> &mut Self {
        let out = self.member(name);
        out.push(b'"');
        timestamp(out, value);
        out.push(b'"');
        self
    }

    /// Closes the object.
    pub fn end(self) {
        self.out.push(b'}');
    }
}

/// `text` as a JSON string with its quotes.
pub fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    inside(out, text);
    out.push(b'"');
}

/// `text` as it stands between a JSON string's quotes.
fn inside(out: &mut Vec<u8>, text: &str) {
    // Nearly always there is nothing to escape, and a loop without a branch says so many bytes at a time.
    if text.bytes().fold(false, |any, byte| any | escapes(byte)) {
        escaped(out, text);
    } else {
        out.extend_from_slice(text.as_bytes());
    }
}

/// Whether a byte needs a closer look: it cannot stand in a JSON string as it is, should not reach a terminal, or is part of
/// a character that may not either.
fn escapes(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\' || byte >= 0x7f
}

/// Whether a character is written as an escape: controls (C1 too), line ends of JavaScript, and marks that turn the
/// direction of what a reader sees.
fn is_escaped(c: char) -> bool {
    matches!(
        c,
        '\0'..='\x1f' | '"' | '\\' | '\x7f'..='\u{9f}'
            | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

#[cold]
fn escaped(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut clean = 0;
    for (at, c) in text.char_indices().filter(|(_, c)| is_escaped(*c)) {
        out.extend_from_slice(&text.as_bytes()[clean..at]);
        clean = at + c.len_utf8();
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            _ => {
                let code = c as usize;
                out.extend_from_slice(b"\\u");
                out.extend([12, 8, 4, 0].map(|shift| HEX[code >> shift & 15]));
            }
        }
    }
    out.extend_from_slice(&text.as_bytes()[clean..]);
}

/// A duration in milliseconds, with three digits after the point.
pub fn milliseconds(out: &mut Vec<u8>, value: Duration) {
    let micros = u64::try_from(value.as_micros()).unwrap_or(u64::MAX);
    digits::decimal(out, micros / 1000);
    let rest = (micros % 1000) as u16;
    let digit = |value: u16| b'0' + (value % 10) as u8;
    out.extend_from_slice(&[b'.', digit(rest / 100), digit(rest / 10), digit(rest)]);
}

/// `moment` as `2026-11-25T01:25:17.042Z`. Moments before 1970 are shown as 1970, those after 9999 as its last.
pub fn timestamp(out: &mut Vec<u8>, moment: SystemTime) {
    /// The last millisecond that four digits of a year can say.
    const LAST: u64 = 253_402_300_799_999;
    let millis = moment
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(LAST))
        .min(LAST);
    let (seconds, millis) = (millis / 1000, millis % 1000);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let mut text = *b"0000-00-00T00:00:00.000Z";
    let pairs = [
        (0, year / 100),
        (2, year % 100),
        (5, month),
        (8, day),
        (11, second / 3600),
        (14, second / 60 % 60),
        (17, second % 60),
        (21, millis % 100),
    ];
    for (at, value) in pairs {
        text[at] = b'0' + (value / 10) as u8;
        text[at + 1] = b'0' + (value % 10) as u8;
    }
    text[20] = b'0' + (millis / 100) as u8;
    out.extend_from_slice(&text);
}

/// Year, month and day of a count of days since 1970-01-01 (Howard Hinnant's `civil_from_days`, for days ≥ 0).
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

/// The milliseconds since 1970 that an RFC 3339 timestamp in UTC as [`timestamp`] writes it stands for (with any number
/// of digits after the point, or none); nothing for another form.
pub fn read_timestamp(text: &str) -> Option<u64> {
    let bytes = text.as_bytes();
    let field = |from: usize, to: usize| -> Option<u64> {
        let mut value = 0;
        for &byte in bytes.get(from..to)? {
            value = value * 10 + u64::from(byte.is_ascii_digit().then(|| byte - b'0')?);
        }
        Some(value)
    };
    let punctuation = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if bytes.len() < 20
        || punctuation.iter().any(|&(at, sign)| bytes[at] != sign)
        || bytes[bytes.len() - 1] != b'Z'
    {
        return None;
    }
    let (year, month, day) = (field(0, 4)?, field(5, 7)?, field(8, 10)?);
    let (hour, minute, second) = (field(11, 13)?, field(14, 16)?, field(17, 19)?);
    if year < 1970
        || !(1..=12).contains(&month)
        || !(1..=31).contains(&day)
        || hour > 23
        || minute > 59
        || second > 60
    {
        return None;
    }
    let mut millis = 0;
    if bytes[19] == b'.' {
        let fraction = &bytes[20..bytes.len() - 1];
        for place in 0..3 {
            let digit = fraction.get(place).copied().unwrap_or(b'0');
            millis = millis * 10 + u64::from(digit.is_ascii_digit().then(|| digit - b'0')?);
        }
    } else if bytes.len() != 20 {
        return None;
    }
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let era = shifted_year / 400;
    let year_of_era = shifted_year % 400;
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60_000 + second * 1000 + millis)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(moment: SystemTime) -> String {
        let mut out = Vec::new();
        timestamp(&mut out, moment);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_moment_is_shown_in_utc_with_milliseconds() {
        assert_eq!(shown(UNIX_EPOCH), "1970-01-01T00:00:00.000Z");
        assert_eq!(
            shown(UNIX_EPOCH + Duration::from_millis(1_709_210_096_007)),
            "2024-02-29T12:34:56.007Z"
        );
        assert_eq!(
            shown(UNIX_EPOCH - Duration::from_secs(5)),
            "1970-01-01T00:00:00.000Z"
        );
        assert_eq!(
            shown(UNIX_EPOCH + Duration::from_secs(1 << 60)),
            "9999-12-31T23:59:59.999Z"
        );
    }

    #[test]
    fn what_could_turn_or_break_a_line_on_a_screen_is_escaped() {
        let mut out = Vec::new();
        let text = "\u{80}\u{9b}\u{9f}\u{61c}\u{200e}\u{200f}\u{2028}\u{2029}\u{202a}\u{202e}\u{2066}\u{2069}\u{7f}\0";
        string(&mut out, text);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#""\u0080\u009b\u009f\u061c\u200e\u200f\u2028\u2029\u202a\u202e\u2066\u2069\u007f\u0000""#
        );
        let mut out = Vec::new();
        string(&mut out, "\u{a0}\u{200d}\u{202f}\u{206a}Привет");
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "\"\u{a0}\u{200d}\u{202f}\u{206a}Привет\""
        );
    }

    proptest! {
        #[test]
        fn a_moment_is_what_jiff_says_and_reads_back(millis in 0u64..253_402_300_800_000) {
            let text = shown(UNIX_EPOCH + Duration::from_millis(millis));
            let theirs = jiff::Timestamp::from_millisecond(millis as i64).unwrap();
            prop_assert_eq!(&text, &format!("{theirs:.3}"));
            prop_assert_eq!(read_timestamp(&text), Some(millis));
        }

        #[test]
        fn any_text_is_a_json_string_that_reads_back(text in any::<String>()) {
            let mut out = Vec::new();
            string(&mut out, &text);
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
            prop_assert!(!out.contains(&b'\n'));
        }

        #[test]
        fn a_text_is_cut_between_characters(text in any::<String>(), limit in 0usize..40) {
            let short = cut(&text, limit);
            prop_assert!(text.starts_with(short) && short.len() <= limit && text.len().min(limit) - short.len() < 4);
        }

        #[test]
        fn reading_a_timestamp_never_panics(text in any::<String>(), digits in "[0-9TZ:.-]{0,30}") {
            let _ = (read_timestamp(&text), read_timestamp(&digits));
        }
    }
}
