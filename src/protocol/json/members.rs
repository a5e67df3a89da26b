//! The members of a value of a document that was checked, one after the other.

use super::value::{Kind, Member, Value};
use crate::protocol::stops::{InString, OutsideStrings, Stops};
use wide::u8x16;

/// The members of an object or the entries of a list of a document that [`super::read`] has checked; none of another value.
pub fn members<'a>(bytes: &'a [u8], value: &Value) -> Members<'a> {
    let inside = match value.kind {
        Kind::Object | Kind::List => value.span.start + 1..value.span.end - 1,
        _ => value.span.end..value.span.end,
    };
    Members {
        bytes,
        keyed: value.kind == Kind::Object,
        at: inside.start,
        end: inside.end,
        in_string: Stops::default(),
        outside: Stops::default(),
    }
}

/// The members of an object, or the entries of a list.
#[derive(Clone, Debug)]
pub struct Members<'a> {
    bytes: &'a [u8],
    keyed: bool,
    at: usize,
    end: usize,
    in_string: Stops<InString>,
    outside: Stops<OutsideStrings>,
}

impl Iterator for Members<'_> {
    type Item = Member;

    fn next(&mut self) -> Option<Member> {
        let after = self.at;
        self.pass(|b| matches!(b, b' ' | b'\n' | b'\r' | b'\t' | b','));
        if self.at >= self.end {
            return None;
        }
        let mut key = self.at..self.at;
        if self.keyed {
            key.end = self.pass_string();
            self.pass(|b| matches!(b, b' ' | b'\n' | b'\r' | b'\t' | b':'));
        }
        let start = self.at;
        let kind = match self.bytes[start] {
            b'{' => Kind::Object,
            b'[' => Kind::List,
            b'"' => Kind::String,
            b'n' => Kind::Null,
            _ => Kind::Other,
        };
        match kind {
            Kind::Object | Kind::List => self.pass_brackets(),
            Kind::String => {
                self.pass_string();
            }
            _ => self.pass(|b| !matches!(b, b' ' | b'\n' | b'\r' | b'\t' | b',')),
        }
        Some(Member {
            key,
            value: Value {
                kind,
                span: start..self.at,
            },
            after,
        })
    }
}

/// How long a string is that ends within these sixteen bytes, where nothing in it is escaped.
fn plain_length(near: &[u8]) -> Option<usize> {
    let near = u8x16::from(<[u8; 16]>::try_from(near).ok()?);
    let quote = near.simd_eq(u8x16::splat(b'"')).to_bitmask();
    let escape = near.simd_eq(u8x16::splat(b'\\')).to_bitmask();
    let length = quote.trailing_zeros();
    (quote != 0 && length < escape.trailing_zeros()).then_some(length as usize)
}

impl Members<'_> {
    fn pass(&mut self, passes: impl Fn(u8) -> bool) {
        self.at += self.bytes[self.at..self.end]
            .iter()
            .take_while(|b| passes(**b))
            .count();
    }

    fn pass_string(&mut self) -> usize {
        self.at += 1;
        // Most keys end within sixteen bytes: for them no search begins.
        let near = self.bytes.get(self.at..self.at + 16);
        if let Some(length) = near.and_then(plain_length) {
            self.at += length + 1;
            return self.at;
        }
        loop {
            self.at = self.in_string.next(self.bytes, self.at);
            if self.bytes.get(self.at) != Some(&b'\\') {
                break;
            }
            // Of `\uXXXX` no more need be passed: what follows means nothing.
            self.at += 2;
        }
        self.at += 1;
        self.at
    }

    fn pass_brackets(&mut self) {
        let mut depth = 0usize;
        loop {
            self.at = self.outside.next(self.bytes, self.at);
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    self.pass_string();
                    continue;
                }
                Some(b'{' | b'[') => depth += 1,
                Some(_) => depth = depth.saturating_sub(1),
                None => return,
            }
            self.at += 1;
            if depth == 0 {
                return;
            }
        }
    }
}
