//! How text is wrapped where it travels: percent-escapes in a form, escapes in a JSON string, or not at all.
//!
//! A command of a batch is text inside such a wrapping, and so is a parameter's name. What has to change is found in the
//! unwrapped text; [`Layer::to_raw`] then says which raw bytes stand for it, so that all others stay as they came.
use super::stops;
use std::borrow::Cow;
use std::ops::Range;

/// One wrapping of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// The text itself.
    Plain,
    /// Percent-escapes, and `+` for a space.
    Form,
    /// The inside of a JSON string that is known to be valid.
    Json,
}

impl Layer {
    /// The text that `raw` stands for; borrowed where nothing in it is escaped.
    pub fn decode(self, raw: &[u8]) -> Cow<'_, [u8]> {
        let Some(first) = self.first_escape(raw) else {
            return Cow::Borrowed(raw);
        };
        let mut text = Vec::with_capacity(raw.len());
        text.extend_from_slice(&raw[..first]);
        let mut rest = &raw[first..];
        while !rest.is_empty() {
            let (unit, character) = self.unit(rest);
            match character {
                Unit::Byte(byte) => text.push(byte),
                Unit::Char(c) => text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
            rest = &rest[unit..];
            let plain = self.plain_run(rest);
            text.extend_from_slice(&rest[..plain]);
            rest = &rest[plain..];
        }
        Cow::Owned(text)
    }

    /// How many bytes stand for themselves before the next escape: of many a few, then as many as there are.
    fn plain_run(self, raw: &[u8]) -> usize {
        let near = &raw[..raw.len().min(16)];
        let near = match self {
            Layer::Plain => None,
            Layer::Form => near.iter().position(|b| matches!(b, b'%' | b'+')),
            Layer::Json => near.iter().position(|b| *b == b'\\'),
        };
        near.unwrap_or_else(|| {
            let far = raw.get(16..).and_then(|rest| self.first_escape(rest));
            far.map_or(raw.len(), |far| far + 16)
        })
    }

    /// Where the first byte stands that may not stand for itself.
    fn first_escape(self, raw: &[u8]) -> Option<usize> {
        match self {
            Layer::Plain => None,
            Layer::Form => memchr::memchr2(b'%', b'+', raw),
            // A key is mostly too short for a look at many bytes at once to pay.
            Layer::Json if raw.len() < 16 => raw.iter().position(|b| *b == b'\\'),
            Layer::Json => memchr::memchr(b'\\', raw),
        }
    }

    /// The text's begin in lower case, up to a byte of `stops`: into `text`, unless it is longer than `longest` bytes.
    pub fn begin(self, raw: &[u8], stops: &[u8], longest: usize, text: &mut Vec<u8>) -> Begin {
        text.clear();
        let mut at = 0;
        while at < raw.len() {
            let (unit, character) = self.unit(&raw[at..]);
            match character {
                Unit::Byte(byte) if stops.contains(&byte) => return Begin::StoppedBy(byte),
                Unit::Byte(byte) => text.push(byte.to_ascii_lowercase()),
                Unit::Char(c) if c.is_ascii() && stops.contains(&(c as u8)) => {
                    return Begin::StoppedBy(c as u8);
                }
                Unit::Char(c) => text
                    .extend_from_slice(c.to_ascii_lowercase().encode_utf8(&mut [0; 4]).as_bytes()),
            }
            if text.len() > longest {
                return Begin::TooLong;
            }
            at += unit;
        }
        Begin::Whole
    }

    /// How many bytes at the begin of `raw`, at most `longest`, are ones that stand for themselves in any wrapping:
    /// letters, digits, dots, underscores.
    pub fn plain_begin(raw: &[u8], longest: usize) -> usize {
        stops::plain_begin(raw, longest)
    }

    /// The raw bytes that stand for each of `spans` of the decoded text. The spans are in order and do not overlap.
    pub fn to_raw(
        self,
        raw: &[u8],
        spans: impl IntoIterator<Item = Range<usize>>,
    ) -> Vec<Range<usize>> {
        let mut walk = Walk {
            layer: self,
            raw,
            decoded: 0,
            at: 0,
        };
        // Up to the first escape the bytes are the text.
        let plain = self.first_escape(raw).unwrap_or(raw.len());
        walk.decoded = plain;
        walk.at = plain;
        let mut place = |at: usize| if at <= plain { at } else { walk.reach(at) };
        spans
            .into_iter()
            .map(|span| place(span.start)..place(span.end))
            .collect()
    }

    /// `text`, wrapped.
    pub fn encode(self, text: &str) -> Cow<'_, str> {
        match self {
            Layer::Plain => Cow::Borrowed(text),
            Layer::Form => percent_encoding::utf8_percent_encode(text, FORM).into(),
            Layer::Json if text.bytes().all(|b| b >= b' ' && b != b'"' && b != b'\\') => {
                Cow::Borrowed(text)
            }
            Layer::Json => Cow::Owned(json_inside(text)),
        }
    }

    /// The first unit of `raw`, which is not empty: how long it is, and what it stands for.
    fn unit(self, raw: &[u8]) -> (usize, Unit) {
        match (self, raw) {
            (Layer::Form, [b'+', ..]) => (1, Unit::Byte(b' ')),
            (Layer::Form, [b'%', high, low, ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => (3, Unit::Byte(high << 4 | low)),
                _ => (1, Unit::Byte(b'%')),
            },
            (Layer::Json, [b'\\', b'u', ..]) => json_unicode(raw),
            (Layer::Json, [b'\\', escape, ..]) => (
                2,
                Unit::Byte(match escape {
                    b'b' => 8,
                    b'f' => 12,
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    other => *other,
                }),
            ),
            _ => (1, Unit::Byte(raw[0])),
        }
    }
}

/// What a unit of wrapped text stands for.
enum Unit {
    Byte(u8),
    Char(char),
}

/// A position in wrapped text, raw and decoded.
struct Walk<'r> {
    layer: Layer,
    raw: &'r [u8],
    decoded: usize,
    at: usize,
}

impl Walk<'_> {
    /// Goes on to a place of the decoded text; gives the raw one.
    fn reach(&mut self, decoded: usize) -> usize {
        while self.decoded < decoded && self.at < self.raw.len() {
            let (unit, stands_for) = self.layer.unit(&self.raw[self.at..]);
            self.at += unit;
            self.decoded += match stands_for {
                Unit::Byte(_) => 1,
                Unit::Char(c) => c.len_utf8(),
            };
        }
        self.at
    }
}

/// How the begin of a text ended ([`Layer::begin`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// With the text.
    Whole,
    /// Before this byte.
    StoppedBy(u8),
    /// It is longer than what was asked for.
    TooLong,
}

/// What a form string escapes of an ASCII text: all that means something in an address or a form.
const FORM: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
    .remove(b'.')
    .remove(b'-')
    .remove(b'_')
    .remove(b'*');

fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).map(|value| value as u8)
}

fn json_unicode(raw: &[u8]) -> (usize, Unit) {
    let code = |at: usize| -> Option<u32> {
        let [b'\\', b'u', digits @ ..] = raw.get(at..at + 6)? else {
            return None;
        };
        digits
            .iter()
            .try_fold(0, |code, digit| Some(code << 4 | u32::from(hex(*digit)?)))
    };
    let first = code(0).unwrap_or(0xFFFD);
    match code(6) {
        Some(second @ 0xDC00..=0xDFFF) if (0xD800..=0xDBFF).contains(&first) => {
            let scalar = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
            (
                12,
                Unit::Char(char::from_u32(scalar).unwrap_or(char::REPLACEMENT_CHARACTER)),
            )
        }
        _ => (
            raw.len().min(6),
            Unit::Char(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER)),
        ),
    }
}

/// `text` as the inside of a JSON string.
fn json_inside(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_unwrapped_as_php_does() {
        assert_eq!(Layer::Form.decode(b"a+b%2fc%zz%4").as_ref(), b"a b/c%zz%4");
        assert_eq!(
            Layer::Json.decode(br#"\u0061\/\n\ud83d\ude00\""#).as_ref(),
            "a/\n\u{1F600}\"".as_bytes()
        );
        assert!(matches!(Layer::Form.decode(b"plain"), Cow::Borrowed(_)));
    }

    #[test]
    fn spans_of_the_text_are_found_in_the_raw_bytes() {
        assert_eq!(
            Layer::Form.to_raw(b"%41b%43d", [0..1, 1..3, 4..4]),
            [0..3, 3..7, 8..8]
        );
        assert_eq!(
            Layer::Json.to_raw(br"\u00e9x\ny", [0..2, 3..4]),
            [0..6, 7..9]
        );
        assert_eq!(Layer::Plain.to_raw(b"abc", [0..0, 1..2]), [0..0, 1..2]);
    }

    #[test]
    fn the_begin_of_a_text_ends_at_a_stop_however_that_is_written() {
        let begin = |layer: Layer, raw: &str| {
            let mut text = Vec::new();
            let ended = layer.begin(raw.as_bytes(), b"?#", 5, &mut text);
            (ended, String::from_utf8(text).unwrap())
        };
        let stopped = |by: u8, text: &str| (Begin::StoppedBy(by), text.to_owned());
        assert_eq!(begin(Layer::Form, "a.B%3Fc"), stopped(b'?', "a.b"));
        assert_eq!(begin(Layer::Json, r"\u0041b\u0023c"), stopped(b'#', "ab"));
        assert_eq!(begin(Layer::Plain, "abC"), (Begin::Whole, "abc".to_owned()));
        assert_eq!(begin(Layer::Plain, "abcdef?").0, Begin::TooLong);
    }

    #[test]
    fn what_is_wrapped_unwraps_to_itself() {
        for layer in [Layer::Plain, Layer::Form, Layer::Json] {
            let text = "a=1&b[c.d]=\"\\?#%+ ";
            assert_eq!(
                layer.decode(layer.encode(text).as_bytes()).as_ref(),
                text.as_bytes()
            );
        }
    }
}
