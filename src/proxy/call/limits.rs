//! Refusals of the portal for its limits, in answers that pass by.

use crate::protocol::answer;
use crate::protocol::target::Place;
use crate::proxy::call::coding::Coding;
use crate::proxy::call::context::Context;
use crate::proxy::http::head::Framing;
use crate::proxy::portal::Answer;
use crate::proxy::portal::body::{ERROR_LIMIT, peek};
use bytes::Bytes;

/// The portal's code for what is over its request limit: nothing was executed.
pub const QUERY_LIMIT_EXCEEDED: &str = "QUERY_LIMIT_EXCEEDED";

/// What was read of an error that passes by.
pub struct Looked {
    pub code: Option<String>,
    /// What was read, and whether that is all of it.
    pub read: (Bytes, bool),
}

/// The code of an error that passes by, counted: how ops see that the portal refuses calls for its limits.
pub async fn look_at_error(
    context: &Context,
    place: &Place<'_>,
    answer: &mut Answer,
) -> Option<Looked> {
    let head = &answer.head;
    let small = match head.framing {
        Framing::Length(length) => length <= ERROR_LIMIT as u64,
        // Errors for limits may come without a length; of all others only the short ones are read.
        Framing::Chunked => matches!(head.status, 429 | 503),
        _ => false,
    };
    if !small {
        return None;
    }
    let coding = Coding::of(head);
    let read = peek(&mut answer.body, ERROR_LIMIT).await.ok()?;
    let plain = if read.1 {
        coding.plain(&read.0, ERROR_LIMIT)
    } else {
        None
    };
    let code = plain.and_then(|plain| answer::error_code(&plain));
    if let Some(code) = &code {
        context.local.portal_error(code);
        count_limit(context, place, code);
    }
    Some(Looked { code, read })
}

/// Counts by method what the portal refuses for the time that a method has used, or for overload.
fn count_limit(context: &Context, place: &Place<'_>, code: &str) {
    if let Place::Call { method, .. } = place {
        context.calls.telemetry.metrics.method_limited(method, code);
    }
}
