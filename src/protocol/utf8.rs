//! Bytes as text: what is no UTF-8 becomes U+FFFD.

use std::borrow::Cow;

/// The text of bytes. `String::from_utf8_lossy` looks at each byte by itself; nearly all that clients send is UTF-8, which
/// is seen many bytes at a time.
pub(super) fn text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    }
}
