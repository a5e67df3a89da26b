//! A parameter's name as PHP reads it (PROTOCOL §2): `extras[lead.customer.type]` is the key `lead.customer.type` in the
//! list `extras`, and `ENTITY.TYPE ID` is `ENTITY_TYPE_ID`.
use super::Layer;
use std::borrow::Cow;
use std::ops::Range;

/// PHP's `max_input_nesting_level`: more brackets than these remove the whole variable.
const MAX_BRACKETS: usize = 64;

/// A parameter's name: a key at the top, and those in brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The decoded name, with the underscores that PHP puts into its top-level part.
    text: Vec<u8>,
    keys: Vec<Key>,
    too_deep: bool,
}

/// One key of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Where it stands in the decoded name.
    pub span: Range<usize>,
    /// `[]`: the next free number.
    pub append: bool,
}

impl Name {
    /// Reads a decoded name; `None` where PHP drops the pair.
    pub fn read(decoded: &[u8]) -> Option<Self> {
        let end = memchr::memchr(0, decoded).unwrap_or(decoded.len());
        let start = decoded[..end].iter().position(|b| *b != b' ')?;
        let mut text = decoded[..end].to_vec();
        let mut open = (start..end).find(|at| text[*at] == b'[').unwrap_or(end);
        if open == start {
            return None;
        }
        if open < end && closing(&text, open).is_none() {
            open = end;
        }
        for byte in &mut text[start..open] {
            if matches!(byte, b' ' | b'.' | b'[') {
                *byte = b'_';
            }
        }
        let mut keys = vec![Key {
            span: start..open,
            append: false,
        }];
        while text.get(open) == Some(&b'[') {
            if keys.len() > MAX_BRACKETS {
                keys.truncate(1);
                return Some(Self {
                    text,
                    keys,
                    too_deep: true,
                });
            }
            let Some((key, close)) = closing(&text, open) else {
                break;
            };
            keys.push(key);
            open = close + 1;
        }
        Some(Self {
            text,
            keys,
            too_deep: false,
        })
    }

    /// All keys, the top-level one first.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// The text of the key at `depth`; `None` for `[]` and below the last.
    pub fn key(&self, depth: usize) -> Option<&[u8]> {
        let key = self.keys.get(depth).filter(|key| !key.append)?;
        Some(&self.text[key.span.clone()])
    }

    /// The name has more brackets than PHP bears, so that what stood under its top-level key is gone.
    pub fn is_too_deep(&self) -> bool {
        self.too_deep
    }
}

/// The key between the bracket at `open` and the next closing one, and where that stands.
fn closing(text: &[u8], open: usize) -> Option<(Key, usize)> {
    let start = open + 1;
    let blank = text
        .get(start)
        .is_some_and(|b| matches!(b, b' ' | b'\t'..=b'\r'));
    let from = start + usize::from(blank);
    let close = from + memchr::memchr(b']', text.get(from..)?)?;
    Some((
        Key {
            span: start..close,
            append: close == from,
        },
        close,
    ))
}

/// Top-level keys that are looked for among many.
#[derive(Clone, Debug)]
pub struct Wanted<'w> {
    keys: Vec<&'w [u8]>,
    in_any_case: bool,
    begins: Bytes,
}

/// A set of bytes: with which ones the raw name of a key that is looked for can begin.
#[derive(Clone, Copy, Debug, Default)]
struct Bytes([u64; 4]);

impl Bytes {
    fn insert(&mut self, byte: u8) {
        self.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }

    fn has(self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1
    }
}

impl<'w> Wanted<'w> {
    /// These keys, as they are spelled.
    pub fn keys(keys: impl IntoIterator<Item = &'w [u8]>) -> Self {
        let mut wanted = Self {
            keys: Vec::with_capacity(8),
            in_any_case: false,
            begins: Bytes::default(),
        };
        // A blank is dropped before a name, and an escape may be anything.
        for begin in b" +%" {
            wanted.begins.insert(*begin);
        }
        for key in keys {
            if let Some(first) = key.first() {
                wanted.begins.insert(*first);
                wanted.keys.push(key);
            }
        }
        wanted
    }

    /// This key, in any case of its letters.
    pub fn in_any_case(key: &'w [u8]) -> Self {
        let mut wanted = Self {
            in_any_case: true,
            ..Self::keys([key])
        };
        for begin in key
            .first()
            .iter()
            .flat_map(|b| [b.to_ascii_lowercase(), b.to_ascii_uppercase()])
        {
            wanted.begins.insert(begin);
        }
        wanted
    }

    /// Whether a key is one of these.
    pub fn has(&self, key: &[u8]) -> bool {
        let same = |wanted: &&[u8]| {
            if self.in_any_case {
                wanted.eq_ignore_ascii_case(key)
            } else {
                *wanted == key
            }
        };
        self.keys.iter().any(same)
    }

    /// Whether a pair of a form string may have such a key: a quick look.
    pub fn may_be_in(&self, pair: &[u8]) -> bool {
        pair.first().is_some_and(|begin| self.begins.has(*begin))
    }

    /// The name of a pair of a form string, where its top-level key is one of these.
    pub fn read(&self, raw_name: &[u8]) -> Option<Name> {
        top_level(raw_name).filter(|key| self.has(key))?;
        Name::read(&Layer::Form.decode(raw_name))
    }
}

/// The top-level key of a name in a form string, cheaply where nothing in it is escaped; `None` where PHP drops the pair.
pub fn top_level(raw: &[u8]) -> Option<Cow<'_, [u8]>> {
    let plain = raw
        .iter()
        .position(|b| matches!(b, b'%' | b'+' | b'.' | b' ' | b'[' | 0))
        .unwrap_or(raw.len());
    let ends = match raw.get(plain) {
        None => plain > 0,
        Some(_) => plain > 0 && is_bracketed(&raw[plain..]),
    };
    if ends {
        return Some(Cow::Borrowed(&raw[..plain]));
    }
    let name = Name::read(&Layer::Form.decode(raw))?;
    name.key(0).map(|key| Cow::Owned(key.to_vec()))
}

/// Whether this begins with a bracket, escaped or not, that is closed before a NUL; if not, it has to be looked at more
/// closely.
fn is_bracketed(raw: &[u8]) -> bool {
    let mut inside = match raw {
        [b'[', inside @ ..] | [b'%', b'5', b'B' | b'b', inside @ ..] => inside,
        _ => return false,
    };
    loop {
        match inside {
            [b']', ..] | [b'%', b'5', b'D' | b'd', ..] => return true,
            [] | [0, ..] | [b'%', b'0', b'0', ..] => return false,
            [_, rest @ ..] => inside = rest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(name: &str) -> Option<Vec<String>> {
        Name::read(name.as_bytes()).map(|name| {
            (0..name.keys().len())
                .map(|depth| {
                    name.key(depth)
                        .map_or("[]".into(), |key| String::from_utf8_lossy(key).into_owned())
                })
                .collect()
        })
    }

    #[test]
    fn names_are_read_as_parse_str_reads_them() {
        let deep = format!("a{}", "[1]".repeat(64));
        for (name, expected) in [
            ("a", vec!["a"]),
            ("  ENTITY.TYPE ID", vec!["ENTITY_TYPE_ID"]),
            ("\ta", vec!["\ta"]),
            (
                "extras[lead.customer.type]",
                vec!["extras", "lead.customer.type"],
            ),
            ("a[b][c]", vec!["a", "b", "c"]),
            ("a[]", vec!["a", "[]"]),
            ("a[ ]", vec!["a", "[]"]),
            ("a[ x]", vec!["a", " x"]),
            ("a[b]x[c]", vec!["a", "b"]),
            ("a[b][c", vec!["a", "b"]),
            ("a[b.c[d", vec!["a_b_c_d"]),
            ("a[[b]", vec!["a", "[b"]),
            ("a]", vec!["a]"]),
            ("a\0b[c]", vec!["a"]),
            ("a[b\0c]", vec!["a_b"]),
        ] {
            assert_eq!(
                keys(name),
                Some(expected.iter().map(|s| (*s).to_owned()).collect()),
                "{name:?}"
            );
        }
        for dropped in ["", "   ", "[a", "[a]", " [a]", "\0a"] {
            assert_eq!(keys(dropped), None, "{dropped:?}");
        }
        assert_eq!(keys(&deep).map(|keys| keys.len()), Some(65));
        assert!(Name::read(format!("{deep}[2]").as_bytes()).is_some_and(|name| name.is_too_deep()));
    }

    #[test]
    fn the_quick_look_at_a_name_sees_the_same_key() {
        for name in [
            "a",
            "a[b]",
            "a[b",
            "a.b",
            "a%5Bb%5D",
            "a[b%5D",
            "",
            "=",
            "[a]",
            "a%00b",
            "+a",
            "a]b",
            "%41",
            "a%5bb",
            "a%5B]",
            "a%5B%00%5D",
            "a%5B%5D%00",
            "a%5B\0]",
            "a%5B %5d",
            "a%5B%5B",
            "%5Ba%5D",
            "a.b%5Bc%5D",
            "a%5Bb%5Dc%5B",
            "a%5%5B]",
            "a%5B%2500]",
            "a[\0]",
            "a[%00]",
        ] {
            let slow = Name::read(&Layer::Form.decode(name.as_bytes()))
                .and_then(|name| name.key(0).map(<[u8]>::to_vec));
            assert_eq!(
                top_level(name.as_bytes()).map(Cow::into_owned),
                slow,
                "{name}"
            );
        }
    }
}
