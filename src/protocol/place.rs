//! What an address is to the portal: a call with its method and credentials, other REST, or elsewhere.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr;

use super::Secret;
use super::answer::Format;

/// How a REST address says who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access<'t> {
    /// `/rest/METHOD`: OAuth token or session, elsewhere in the call.
    Token,
    /// `/rest/USER/CODE/METHOD`: both decoded.
    Webhook {
        /// An id or a login.
        user: Cow<'t, str>,
        /// The webhook's code.
        code: Secret<'t>,
    },
}

/// In what a method's name is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// The target's path.
    Path,
    /// The target's query: the value of `method`.
    Query,
    /// A form in the body, urlencoded: the value of `method`.
    Form,
    /// The same in a multipart body.
    Multipart,
}

/// What an address is to the portal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place<'t> {
    /// A REST call.
    Call {
        /// How the address says who calls.
        access: Access<'t>,
        /// The method: decoded, lower-cased, without the suffix that picks the format.
        method: Cow<'t, str>,
        /// What the suffix picked.
        format: Format,
        /// In what the method's name is written.
        written: Written,
        /// Where it stands there, raw and without its suffix.
        name: Range<usize>,
    },
    /// No template fits: the parameter `method` names the method, in the query or in a form.
    Unnamed,
    /// `/rest/api/…` (REST v3), or anything else under the REST path that is no call.
    OtherRest,
    /// Pages, uploads, push channels: the portal's own.
    Elsewhere,
}

/// The method that runs other calls as its commands.
pub const BATCH: &str = "batch";

impl Place<'_> {
    /// Whether this is a call of `batch`.
    pub fn is_batch(&self) -> bool {
        matches!(self, Self::Call { method, .. } if method == BATCH)
    }

    /// The format in which the portal answers here; JSON where no call picks another.
    pub fn format(&self) -> Format {
        match self {
            Self::Call { format, .. } => *format,
            Self::Unnamed | Self::OtherRest | Self::Elsewhere => Format::default(),
        }
    }
}

/// Where the query of a target stands, without its `?`: empty at the target's end where there is none.
/// A fragment is no part of it.
pub fn query(target: &[u8]) -> Range<usize> {
    let end = memchr(b'#', target).unwrap_or(target.len());
    match memchr(b'?', &target[..end]) {
        Some(mark) => mark + 1..end,
        None => end..end,
    }
}
