//! JSON as PHP's `json_decode` reads it (PROTOCOL §2), as spans of the bytes that it came in.
//!
//! A scanner of our own: serde_json's `RawValue` gives spans too, but reads what PHP refuses (512 levels, escaped lone
//! surrogates), and a call whose body the portal would ignore must not be told apart by a second pass. It checks and
//! finds in one pass, without recursion, and copies nothing; duplicate keys, order and the spelling of numbers stay.
mod brackets;
mod members;
mod value;

use super::flaw::{Flaw, Unreadable};
use super::stops::{InString, Stops, Utf8};
use brackets::Brackets;
use std::ops::Range;

pub use members::{Members, members};
pub use value::{Kind, Member, Value, inside, key_is, text};

/// Checks a document, and gives what stands at its top; `member` gets each member or entry of that.
///
/// # Errors
/// Where PHP would refuse the document.
pub fn read(bytes: &[u8], member: impl FnMut(Member)) -> Result<Value, Unreadable> {
    struct Members<M>(M);
    impl<M: FnMut(Member)> Visit for Members<M> {
        fn member(&mut self, member: Member) {
            (self.0)(member);
        }
    }
    visit(bytes, &mut Members(member))
}

/// Who is told what stands in a document while it is checked: what was told of one that turns out unreadable counts for
/// nothing.
pub trait Visit {
    /// A member or entry of what stands at the top.
    fn member(&mut self, member: Member);

    /// Whether [`Visit::inner`] is to be told what is in the value under this key, which comes next.
    fn enters(&mut self, _key: &Range<usize>) -> bool {
        false
    }

    /// A member or entry of a value that was entered; the member that this is the value of is told after them.
    fn inner(&mut self, _member: Member) {}
}

/// Checks a document, tells what stands in it, and gives what stands at its top.
///
/// # Errors
/// Where PHP would refuse the document.
pub fn visit(bytes: &[u8], visitor: &mut impl Visit) -> Result<Value, Unreadable> {
    if bytes.starts_with(b"\xEF\xBB\xBF") {
        return Err(Unreadable {
            at: 0,
            fault: Flaw::ByteOrderMark,
        });
    }
    let mut scanner = Scanner {
        bytes,
        at: 0,
        stops: Stops::default(),
    };
    let read = scanner.document(visitor);
    // Outside of strings nothing but ASCII is read, and what is in strings has been searched.
    if read.is_ok() && scanner.stops.end_as_utf8(bytes) {
        return read;
    }
    match std::str::from_utf8(bytes) {
        Ok(_) => read,
        Err(error) => Err(Unreadable {
            at: error.valid_up_to(),
            fault: Flaw::Utf8,
        }),
    }
}

/// The document's checker: one pass, its only state a bit for each open bracket.
struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    stops: Stops<InString, Utf8>,
}

impl Scanner<'_> {
    fn document(&mut self, visitor: &mut impl Visit) -> Result<Value, Unreadable> {
        self.blank();
        let start = self.at;
        let kind = self.begin_value()?;
        if let Kind::Object | Kind::List = kind {
            self.top(kind, visitor)?;
        }
        let span = start..self.at;
        self.blank();
        if self.at == self.bytes.len() {
            Ok(Value { kind, span })
        } else {
            self.syntax()
        }
    }

    /// Passes what stands between the brackets at the top, and the closing one.
    fn top(&mut self, kind: Kind, visitor: &mut impl Visit) -> Result<(), Unreadable> {
        let mut entries = Entries::of(kind, self.at);
        while let Some(key) = self.next_entry(&mut entries)? {
            let start = self.at;
            let enters = visitor.enters(&key);
            let kind = match self.peek() {
                Some(bracket @ (b'{' | b'[')) if enters => {
                    let kind = if bracket == b'{' {
                        Kind::Object
                    } else {
                        Kind::List
                    };
                    self.at += 1;
                    self.entered(kind, visitor)?;
                    kind
                }
                _ => self.value(1)?,
            };
            visitor.member(self.end_entry(&mut entries, key, kind, start));
        }
        Ok(())
    }

    /// The same in a value that was entered.
    fn entered(&mut self, kind: Kind, visitor: &mut impl Visit) -> Result<(), Unreadable> {
        let mut entries = Entries::of(kind, self.at);
        while let Some(key) = self.next_entry(&mut entries)? {
            let start = self.at;
            let kind = self.value(2)?;
            visitor.inner(self.end_entry(&mut entries, key, kind, start));
        }
        Ok(())
    }

    /// Goes to the next value between some brackets, and gives its key; passes the closing bracket behind the last one.
    #[inline(always)]
    fn next_entry(&mut self, entries: &mut Entries) -> Result<Option<Range<usize>>, Unreadable> {
        self.blank();
        match self.peek() {
            Some(byte) if byte == entries.closer => {
                self.at += 1;
                return Ok(None);
            }
            Some(b',') if !entries.is_first => self.at += 1,
            _ if entries.is_first => {}
            _ => return self.syntax(),
        }
        entries.is_first = false;
        let key = if entries.closer == b'}' {
            self.key()?
        } else {
            0..0
        };
        self.blank();
        Ok(Some(key))
    }

    /// The entry whose value has just been passed.
    #[inline(always)]
    fn end_entry(
        &self,
        entries: &mut Entries,
        key: Range<usize>,
        kind: Kind,
        start: usize,
    ) -> Member {
        let span = start..self.at;
        let after = std::mem::replace(&mut entries.after, self.at);
        let value = Value { kind, span };
        Member { key, value, after }
    }

    /// Passes a value, with all that is in it, that stands between this many brackets.
    #[inline(always)]
    fn value(&mut self, depth: usize) -> Result<Kind, Unreadable> {
        match self.peek() {
            Some(b'{') => self.nested(depth).map(|()| Kind::Object),
            Some(b'[') => self.nested(depth).map(|()| Kind::List),
            _ => self.begin_value(),
        }
    }

    /// Passes an object or a list.
    fn nested(&mut self, depth: usize) -> Result<(), Unreadable> {
        let mut open = Brackets::under(depth);
        'value: loop {
            self.blank();
            let start = self.at;
            let kind = self.begin_value()?;
            if let Kind::Object | Kind::List = kind {
                if !open.push(kind == Kind::Object) {
                    return Err(Unreadable {
                        at: start,
                        fault: Flaw::Depth,
                    });
                }
                self.blank();
                if self.peek() != Some(open.closer) {
                    if open.closer == b'}' {
                        self.key()?;
                    }
                    continue;
                }
                self.at += 1;
                open.pop();
            }
            while open.depth > depth {
                self.blank();
                match self.peek() {
                    Some(b',') => {
                        self.at += 1;
                        if open.closer == b'}' {
                            self.key()?;
                        }
                        continue 'value;
                    }
                    Some(byte) if byte == open.closer => {
                        self.at += 1;
                        open.pop();
                    }
                    _ => return self.syntax(),
                }
            }
            return Ok(());
        }
    }

    /// Passes a key and its colon.
    #[inline(always)]
    fn key(&mut self) -> Result<Range<usize>, Unreadable> {
        self.blank();
        let start = self.at;
        if self.peek() != Some(b'"') {
            return self.syntax();
        }
        self.string()?;
        let key = start..self.at;
        self.blank();
        if self.peek() != Some(b':') {
            return self.syntax();
        }
        self.at += 1;
        Ok(key)
    }

    /// Passes a scalar, or an opening bracket.
    #[inline(always)]
    fn begin_value(&mut self) -> Result<Kind, Unreadable> {
        match self.peek() {
            Some(b'{') => {
                self.at += 1;
                Ok(Kind::Object)
            }
            Some(b'[') => {
                self.at += 1;
                Ok(Kind::List)
            }
            Some(b'"') => self.string().map(|()| Kind::String),
            Some(b'-' | b'0'..=b'9') => self.number().map(|()| Kind::Other),
            Some(b't') => self.word(b"true").map(|()| Kind::Other),
            Some(b'f') => self.word(b"false").map(|()| Kind::Other),
            Some(b'n') => self.word(b"null").map(|()| Kind::Null),
            _ => self.syntax(),
        }
    }

    #[inline(always)]
    fn word<const LENGTH: usize>(&mut self, word: &[u8; LENGTH]) -> Result<(), Unreadable> {
        if self.bytes[self.at..].first_chunk() != Some(word) {
            return self.syntax();
        }
        self.at += LENGTH;
        Ok(())
    }

    #[inline(always)]
    fn number(&mut self) -> Result<(), Unreadable> {
        self.at += usize::from(self.peek() == Some(b'-'));
        match self.peek() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        match self.peek() {
            Some(b'.' | b'e' | b'E') => self.fraction(),
            _ => Ok(()),
        }
    }

    #[inline(never)]
    fn fraction(&mut self) -> Result<(), Unreadable> {
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
        }
        Ok(())
    }

    #[inline(always)]
    fn digits(&mut self) -> Result<(), Unreadable> {
        let length = self.bytes[self.at..]
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .count();
        self.at += length;
        if length == 0 { self.syntax() } else { Ok(()) }
    }

    #[inline(always)]
    fn string(&mut self) -> Result<(), Unreadable> {
        self.at = self.stops.next(self.bytes, self.at + 1);
        if self.peek() == Some(b'"') {
            self.at += 1;
            return Ok(());
        }
        self.rest_of_string()
    }

    /// Passes the rest of a string from its first escape on.
    #[inline(never)]
    fn rest_of_string(&mut self) -> Result<(), Unreadable> {
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                _ => return self.syntax(),
            }
            self.at = self.stops.next(self.bytes, self.at);
        }
    }

    /// Passes an escape.
    fn escape(&mut self) -> Result<(), Unreadable> {
        match self.bytes.get(self.at + 1) {
            Some(b'u') => self.unicode(),
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            _ => self.syntax(),
        }
    }

    fn unicode(&mut self) -> Result<(), Unreadable> {
        let start = self.at;
        match self.code_unit()? {
            0xD800..=0xDBFF if self.bytes[self.at..].starts_with(b"\\u") => {
                match self.code_unit()? {
                    0xDC00..=0xDFFF => Ok(()),
                    _ => Err(Unreadable {
                        at: start,
                        fault: Flaw::Surrogate,
                    }),
                }
            }
            0xD800..=0xDFFF => Err(Unreadable {
                at: start,
                fault: Flaw::Surrogate,
            }),
            _ => Ok(()),
        }
    }

    /// Passes `\uXXXX`.
    fn code_unit(&mut self) -> Result<u32, Unreadable> {
        let digits = self
            .bytes
            .get(self.at + 2..self.at + 6)
            .and_then(|digits| digits.first_chunk::<4>());
        let values = digits.map(|digits| digits.map(|digit| HEX[usize::from(digit)]));
        match values {
            Some([a, b, c, d]) if (a | b | c | d) < 16 => {
                self.at += 6;
                Ok(u32::from(a) << 12 | u32::from(b) << 8 | u32::from(c) << 4 | u32::from(d))
            }
            _ => self.syntax(),
        }
    }

    #[inline(always)]
    fn blank(&mut self) {
        if self.peek().is_some_and(|byte| byte <= b' ') {
            self.blanks();
        }
    }

    fn blanks(&mut self) {
        let is_blank = |byte: &u8| matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
        let rest = &self.bytes[self.at..];
        let mut length = usize::from(rest.first().is_some_and(is_blank));
        // An indentation is mostly made of spaces.
        while rest[length..].first_chunk() == Some(b"    ") {
            length += 4;
        }
        length += rest[length..]
            .iter()
            .take_while(|byte| is_blank(byte))
            .count();
        self.at += length;
    }

    #[inline(always)]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn syntax<T>(&self) -> Result<T, Unreadable> {
        Err(Unreadable {
            at: self.at,
            fault: Flaw::Syntax,
        })
    }
}

/// The value of each hexadecimal digit; more than 15 for all other bytes.
const HEX: [u8; 256] = {
    let mut values = [0xF0; 256];
    let mut digit = 0;
    while digit < 16 {
        values[b"0123456789abcdef"[digit] as usize] = digit as u8;
        values[b"0123456789ABCDEF"[digit] as usize] = digit as u8;
        digit += 1;
    }
    values
};

/// What stands between two brackets, as far as it has been passed.
struct Entries {
    closer: u8,
    is_first: bool,
    /// Where the value before ends, or the opening bracket.
    after: usize,
}

impl Entries {
    /// Of an object or a list that begins before `at`.
    fn of(kind: Kind, at: usize) -> Self {
        Self {
            closer: if kind == Kind::Object { b'}' } else { b']' },
            is_first: true,
            after: at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(bytes: &[u8]) -> Option<Flaw> {
        read(bytes, |_| {}).err().map(|unreadable| unreadable.fault)
    }

    fn nested(levels: usize) -> Vec<u8> {
        [b"[".repeat(levels), b"]".repeat(levels)].concat()
    }

    #[test]
    fn what_php_reads_is_read() {
        for good in [
            "{}",
            "[]",
            " null ",
            "-0",
            "1E+5",
            "1.0e-3",
            r#""\u0000\/\ud83d\ude00""#,
            r#"{"a":[{"b":{}},[],""]}"#,
            "12345678901234567890",
            "\"\u{7f}\u{e9}\"",
            "{\n\"a\" :\t1 , \"a\":2}",
        ] {
            assert_eq!(fault(good.as_bytes()), None, "{good}");
        }
        assert_eq!(fault(&nested(511)), None);
    }

    #[test]
    fn what_php_refuses_is_refused() {
        for bad in [
            "",
            " ",
            "{",
            "[1,]",
            "{\"a\":1,}",
            "{a:1}",
            "01",
            "1.",
            "-",
            "1e",
            "TRUE",
            "nul",
            "[1] x",
            "[1]\0",
            "\"\t\"",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"abc",
            "{\"a\" 1}",
            "[}",
            "{]",
            "\u{b}1",
            "\"\\u123",
        ] {
            assert_eq!(fault(bad.as_bytes()), Some(Flaw::Syntax), "{bad:?}");
        }
        assert_eq!(fault(&nested(512)), Some(Flaw::Depth));
        assert_eq!(fault(&nested(200_000)), Some(Flaw::Depth));
        assert_eq!(fault(b"\xEF\xBB\xBF{}"), Some(Flaw::ByteOrderMark));
        assert_eq!(fault(b"\"\xFF\""), Some(Flaw::Utf8));
        for half in [
            r#""\ud800""#,
            r#""\udc00""#,
            r#""\ud800\u0041""#,
            r#""\ud800x""#,
        ] {
            assert_eq!(fault(half.as_bytes()), Some(Flaw::Surrogate), "{half}");
        }
    }

    #[test]
    fn members_are_spans_with_duplicates_and_in_order() {
        let text = r#" { "a" : 1.0 ,"b":{"c":[1,"}"]}, "a":null} "#;
        let bytes = text.as_bytes();
        let mut seen = Vec::new();
        let top = read(bytes, |member| seen.push(member)).unwrap();
        let shown: Vec<_> = seen
            .iter()
            .map(|m| (&text[m.key.clone()], &text[m.value.span.clone()]))
            .collect();
        assert_eq!(
            shown,
            [
                ("\"a\"", "1.0"),
                ("\"b\"", r#"{"c":[1,"}"]}"#),
                ("\"a\"", "null")
            ]
        );
        assert_eq!(seen, members(bytes, &top).collect::<Vec<_>>());
        assert_eq!(
            &text[seen[2].after..seen[2].value.span.end],
            r#", "a":null"#
        );
    }

    #[test]
    fn keys_are_compared_unescaped() {
        let key = br#""\u0061b""#;
        assert!(key_is(key, &(0..key.len()), b"ab"));
        assert!(!key_is(key, &(0..key.len()), b"abc"));
    }
}
