//! Form strings as PHP reads them (PROTOCOL §2): query, urlencoded body, raw body, batch command.
//! Pairs are spans of the input, decoded only to compare names, so what no rule touches keeps its bytes.
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

/// One pair of a form string, as spans of what it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The name, raw.
    pub name: Range<usize>,
    /// The value, raw; empty at the pair's end where there is no `=`.
    pub value: Range<usize>,
    /// Its place within the limit: the portal reads it.
    pub is_read: bool,
}

impl Pair {
    /// The whole pair, without the `&` around it.
    pub fn whole(&self) -> Range<usize> {
        self.name.start..self.value.end
    }
}

/// The pairs of a form string, in order; empty ones are passed over, counted where the portal counts them.
#[derive(Clone, Debug)]
pub struct Pairs<'a> {
    input: &'a [u8],
    end: usize,
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
        input,
        end: span.end,
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

    fn next(&mut self) -> Option<Pair> {
        while self.at < self.end {
            let start = self.at;
            let end = memchr(b'&', &self.input[start..self.end])
                .map_or(self.end, |length| start + length);
            self.at = end + 1;
            if end > start || self.limit.counts_empty {
                self.counted += 1;
            }
            if end > start {
                let equals = memchr(b'=', &self.input[start..end]).map(|length| start + length);
                return Some(Pair {
                    name: start..equals.unwrap_or(end),
                    value: equals.map_or(end, |equals| equals + 1)..end,
                    is_read: self.counted <= self.limit.pairs,
                });
            }
        }
        None
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
            .map(|pair| (&input[pair.name], &input[pair.value], pair.is_read))
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
