//! Values and members of a document, as spans of its bytes.

use crate::protocol::Layer;
use std::borrow::Cow;
use std::ops::Range;

/// What kind of value stands somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `{…}`
    Object,
    /// `[…]`
    List,
    /// `"…"`
    String,
    /// A number, `true` or `false`.
    Other,
    /// `null`: not set.
    Null,
}

/// A value: what it is, and where it stands. A string's span includes its quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// What kind of value it is.
    pub kind: Kind,
    /// Its bytes.
    pub span: Range<usize>,
}

/// A member of an object, or an entry of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The key with its quotes; empty in a list.
    pub key: Range<usize>,
    /// The value.
    pub value: Value,
    /// Where the value before it ends, or the opening bracket: from there on the bytes are this member's.
    pub after: usize,
}

/// Whether a key, given with its quotes, is `name`.
pub fn key_is(bytes: &[u8], key: &Range<usize>, name: &[u8]) -> bool {
    let inside = inside(key);
    inside.len() >= name.len() && text(bytes, key).as_ref() == name
}

/// The text of a string, given with its quotes.
#[inline]
pub fn text<'a>(bytes: &'a [u8], string: &Range<usize>) -> Cow<'a, [u8]> {
    let raw = &bytes[inside(string)];
    if raw.len() < 16 && !raw.contains(&b'\\') {
        return Cow::Borrowed(raw);
    }
    Layer::Json.decode(raw)
}

/// What stands between the quotes of a string's span.
pub fn inside(string: &Range<usize>) -> Range<usize> {
    if string.is_empty() {
        string.clone()
    } else {
        string.start + 1..string.end - 1
    }
}
