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
        /// Where the method's name stands in the target, raw and without its suffix.
        name: Range<usize>,
    },
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
            Self::OtherRest | Self::Elsewhere => Format::default(),
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
