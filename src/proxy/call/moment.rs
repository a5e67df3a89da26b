//! When a request came and what it is called, as its events say it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use crate::protocol::target::{self, mask};
use crate::proxy::call::request_id::RequestId;
use crate::proxy::call::span;
use crate::proxy::http::fields::Name;
use crate::proxy::http::head::RequestHead;
use crate::telemetry::caller::Caller;
use crate::telemetry::event::UnreadCall;
use crate::translate::Reason;

/// The longest id of a client's that is logged, in bytes.
const CLIENT_ID: usize = 128;

/// When a request's head came, by both clocks, and what it is called.
pub struct Moment {
    pub began: Instant,
    pub timestamp: SystemTime,
    pub request_id: RequestId,
    /// The path, with its secrets masked.
    pub target: String,
}

impl Moment {
    /// The event of a call of which nobody knows what it calls.
    pub fn unread<'a>(
        &'a self,
        head: &'a RequestHead,
        reason: Reason,
        caller: &Arc<Caller>,
    ) -> UnreadCall<'a> {
        UnreadCall {
            timestamp: self.timestamp,
            request_id: self.request_id.as_str().into(),
            client_request_id: client_request_id(head),
            trace_id: span::trace_id(&head.fields).map(Cow::Borrowed),
            reason,
            target: self.target.as_str().into(),
            caller: caller.clone(),
        }
    }
}

/// What the client calls the request: `X-Request-ID`, else what the SDKs put into the query.
pub fn client_request_id(head: &RequestHead) -> Option<Cow<'_, str>> {
    let in_query = || {
        let target = head.target();
        let query = &target[target::query(target)];
        query
            .split(|b| *b == b'&')
            .find_map(|pair| pair.strip_prefix(b"bx24_request_id="))
    };
    let id = head.fields.first(Name::XRequestId).or_else(in_query)?;
    // An id of letters, digits and dashes, as nearly all are, has nothing to mask.
    let plain = |id: &[u8]| {
        // No early end: so many bytes are looked at together.
        id.iter().fold(true, |all, b| {
            all & (b.is_ascii_alphanumeric() | (*b == b'-'))
        })
    };
    let text = std::str::from_utf8(id).ok();
    if let Some(text) = text.filter(|_| id.len() <= CLIENT_ID && plain(id)) {
        return Some(text.into()).filter(|_| !id.is_empty());
    }
    let visible = id.iter().copied().filter(u8::is_ascii_graphic);
    let visible: Vec<u8> = visible.take(CLIENT_ID).collect();
    Some(mask(&visible).into()).filter(|id: &Cow<'_, str>| !id.is_empty())
}
