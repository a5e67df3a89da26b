//! The heads of messages, read: spans of the bytes that came, how the body is delimited, why a head is refused (pure).

use crate::proxy::http::fields::{Fields, Name};
use std::ops::Range;

/// How large a head may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of the whole head.
    pub head: usize,
    /// Bytes of the request target.
    pub target: usize,
    /// Number of fields.
    pub fields: usize,
}

/// Why a head cannot be read; the text says what is wrong and never quotes the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadError {
    /// Not HTTP/1, or readable in more than one way.
    Malformed(&'static str),
    /// The same of one line: what is wrong with it, and its number, the request line being the first.
    Line(&'static str, u32),
    /// The request target is over the limit (414).
    TargetTooLong,
    /// The head, or the number of its fields, is over the limit (431).
    TooLarge,
    /// A transfer coding other than one `chunked` (501, RFC 9112 §6.1).
    TransferCoding,
    /// A major version other than 1 (505).
    Version,
}

/// How a message's body is delimited (RFC 9112 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// No body.
    None,
    /// A body of that many bytes.
    Length(u64),
    /// The chunked coding.
    Chunked,
    /// Until the connection closes (answers only).
    Close,
}

/// The minor version of HTTP/1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Minor {
    Zero,
    One,
}

/// The head of a request.
#[derive(Clone, Debug)]
pub struct RequestHead {
    pub fields: Fields,
    pub(super) method: Range<u32>,
    pub(super) target: Range<u32>,
    pub minor: Minor,
    pub framing: Framing,
    /// `Expect: 100-continue` on HTTP/1.1.
    pub expects_continue: bool,
}

impl RequestHead {
    pub fn method(&self) -> &[u8] {
        &self.fields.raw()[self.method.start as usize..self.method.end as usize]
    }
    /// The target in origin-form (path and query): an absolute-form one without its scheme and authority. `*` for OPTIONS.
    pub fn target(&self) -> &[u8] {
        &self.fields.raw()[self.target.start as usize..self.target.end as usize]
    }
    /// Where [`target`](Self::target) stands in the head's bytes.
    pub fn target_span(&self) -> Range<usize> {
        self.target.start as usize..self.target.end as usize
    }
    /// Whether the client asks for the connection to end after this exchange (RFC 9112 §9.3).
    pub fn wants_close(&self) -> bool {
        match self.minor {
            Minor::One => self.fields.has_token(Name::Connection, "close"),
            Minor::Zero => {
                !self.fields.has_token(Name::Connection, "keep-alive")
                    || self.fields.has_token(Name::Connection, "close")
            }
        }
    }
    /// Whether the client asks for another protocol on this connection (RFC 9110 §7.8).
    pub fn wants_upgrade(&self) -> bool {
        self.minor == Minor::One
            && self.fields.first(Name::Upgrade).is_some()
            && self.fields.has_token(Name::Connection, "upgrade")
    }
}

/// The head of an answer.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    pub fields: Fields,
    pub status: u16,
    pub(super) reason: Range<u32>,
    pub framing: Framing,
    /// Whether the connection can carry another exchange afterwards.
    pub keeps_alive: bool,
}

impl ResponseHead {
    /// The reason phrase, as it came.
    pub fn reason(&self) -> &[u8] {
        &self.fields.raw()[self.reason.start as usize..self.reason.end as usize]
    }
}
