//! Why a body cannot be read, or not in one way alone.

use std::fmt;

/// PHP refuses a document nested this deep.
pub(super) const TOO_DEEP: usize = 512;

/// Why PHP would not read a document, or why that is not sure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The byte at which it shows.
    pub at: usize,
    /// What is wrong there.
    pub fault: Flaw,
}

/// What can be wrong with a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// No JSON.
    Syntax,
    /// 512 levels or more.
    Depth,
    /// Bytes that are not UTF-8.
    Utf8,
    /// `\ud800` without its other half.
    Surrogate,
    /// A byte order mark.
    ByteOrderMark,
    /// A line of a multipart head that PHP may read in pieces ([`super::multipart::LONGEST_LINE`]).
    LongLine,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at;
        match self.fault {
            Flaw::Syntax => write!(out, "is not valid JSON (byte {at})"),
            Flaw::Depth => write!(out, "is nested {TOO_DEEP} levels deep or more (byte {at})"),
            Flaw::Utf8 => write!(out, "is not UTF-8 (byte {at})"),
            Flaw::Surrogate => write!(out, "escapes half of a surrogate pair (byte {at})"),
            Flaw::ByteOrderMark => write!(out, "begins with a byte order mark"),
            Flaw::LongLine => write!(
                out,
                "has a line of over {} bytes beside the values of its fields (byte {at})",
                super::multipart::LONGEST_LINE
            ),
        }
    }
}
