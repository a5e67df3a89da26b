//! A credential that nothing can print.
use std::borrow::Cow;
use std::fmt;

/// A webhook's code, a token, a client's id: readable only by [`Secret::expose`], never by formatting.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret<'a>(Cow<'a, str>);

impl<'a> Secret<'a> {
    /// Keeps `text` from being printed.
    pub fn new(text: impl Into<Cow<'a, str>>) -> Self {
        Self(text.into())
    }

    /// The credential itself, for hashing it; never for a log, a metric or an error.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The same secret, independent of the bytes that it was read from.
    pub fn into_owned(self) -> Secret<'static> {
        Secret(Cow::Owned(self.0.into_owned()))
    }
}

impl fmt::Debug for Secret<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("***")
    }
}
