//! Form strings as PHP reads them (PROTOCOL §2): query, urlencoded body, raw body, batch command.
//! Pairs are spans of the input, decoded only to compare names, so what no rule touches keeps its bytes.
use super::stops::{Ampersand, Stops};
use memchr::memchr;
use std::ops::Range;

/// How many pairs of a form string the portal reads: PHP's `max_input_vars`, as it counts for each kind of string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Pairs past these are dropped.
    pub pairs: usize,
    /// Whether an empty pair (`&&`) is one.
    pub counts_empty: bool,
}

impl Limit {
    /// A query, a batch command, a raw body; a multipart body's fields count alike.
    pub const QUERY: Self = Self {
        pairs: 1000,
        counts_empty: false,
    };
    /// An urlencoded body.
    pub const URLENCODED: Self = Self {
        pairs: 1001,
        counts_empty: true,
    };
}

/// One pair of a form string, as a span of what it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The whole pair, without the `&` around it.
    pub whole: Range<usize>,
    /// Its place within the limit: the portal reads it.
    pub is_read: bool,
}

impl Pair {
    /// The name and the value, raw; without a `=` the value is empty at the pair's end.
    pub fn split(&self, input: &[u8]) -> (Range<usize>, Range<usize>) {
        let Range { start, end } = self.whole;
        match memchr(b'=', &input[start..end]) {
            Some(length) => (start..start + length, start + length + 1..end),
            None => (start..end, end..end),
        }
    }
}

/// The pairs of a form string, in order; empty ones are passed over, counted where the portal counts them.
#[derive(Clone, Debug)]
pub struct Pairs<'a> {
    /// The input, up to the form string's end.
    input: &'a [u8],
    ampersands: Stops<Ampersand>,
    at: usize,
    limit: Limit,
    counted: usize,
}

/// The part of the form string at `span` that PHP sees: where it does not know the length, a NUL ends it.
pub fn seen(input: &[u8], span: Range<usize>, limit: Limit) -> Range<usize> {
    match memchr(0, &input[span.clone()]).filter(|_| limit != Limit::URLENCODED) {
        Some(length) => span.start..span.start + length,
        None => span,
    }
}

/// The pairs of the form string that stands at `span` of `input`.
pub fn pairs(input: &[u8], span: Range<usize>, limit: Limit) -> Pairs<'_> {
    let span = seen(input, span, limit);
    Pairs {
        input: &input[..span.end],
        ampersands: Stops::default(),
        at: span.start,
        limit,
        counted: 0,
    }
}

impl Pairs<'_> {
    /// How many pairs have been counted so far.
    pub fn counted(&self) -> usize {
        self.counted
    }
}

impl Iterator for Pairs<'_> {
    type Item = Pair;

    #[inline]
    fn next(&mut self) -> Option<Pair> {
        let empty = self.input[self.at..]
            .iter()
            .take_while(|b| **b == b'&')
            .count();
        if self.limit.counts_empty {
            self.counted += empty;
        }
        let start = self.at + empty;
        if start >= self.input.len() {
            self.at = start;
            return None;
        }
        let end = self.ampersands.next(self.input, start);
        self.at = (end + 1).min(self.input.len());
        self.counted += 1;
        Some(Pair {
            whole: start..end,
            is_read: self.counted <= self.limit.pairs,
        })
    }
}

/// The part of a raw body that is left when PHP has trimmed it.
pub fn trimmed(body: &[u8]) -> Range<usize> {
    let blank = |b: &u8| matches!(b, b' ' | b'\t' | b'\n' | b'\r' | 0 | 0x0B);
    let start = body.iter().position(|b| !blank(b)).unwrap_or(body.len());
    let end = body
        .iter()
        .rposition(|b| !blank(b))
        .map_or(start, |last| last + 1);
    start..end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &str, limit: Limit) -> Vec<(&str, &str, bool)> {
        pairs(input.as_bytes(), 0..input.len(), limit)
            .map(|pair| {
                let (name, value) = pair.split(input.as_bytes());
                (&input[name], &input[value], pair.is_read)
            })
            .collect()
    }

    #[test]
    fn a_form_string_is_split_into_spans() {
        assert_eq!(
            read("a=1&&b&=2&c==&", Limit::QUERY),
            [
                ("a", "1", true),
                ("b", "", true),
                ("", "2", true),
                ("c", "=", true)
            ]
        );
    }

    #[test]
    fn empty_pairs_count_in_an_urlencoded_body_only() {
        let limit = |counts_empty| Limit {
            pairs: 2,
            counts_empty,
        };
        assert_eq!(
            read("a&&b", limit(false)),
            [("a", "", true), ("b", "", true)]
        );
        assert_eq!(
            read("a&&b", limit(true)),
            [("a", "", true), ("b", "", false)]
        );
    }

    #[test]
    fn a_nul_ends_all_but_an_urlencoded_body() {
        assert_eq!(read("a=1\0x&b", Limit::QUERY), [("a", "1", true)]);
        assert_eq!(
            read("a=1\0x&b", Limit::URLENCODED),
            [("a", "1\0x", true), ("b", "", true)]
        );
    }

    #[test]
    fn a_raw_body_is_trimmed_as_php_trims() {
        assert_eq!(trimmed(b" \0\x0Ba=1\r\n"), 3..6);
        assert_eq!(trimmed(b" \n"), 2..2);
    }
}
