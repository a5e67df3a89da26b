//! What must be read of a request before it goes on, and the reading of it.

use crate::catalogue::{Mode, Rule, RuleKind};
use crate::protocol::credentials;
use crate::proxy::body::ClientBody;
use crate::proxy::call::collect::{Unread, collect};
use crate::proxy::call::exchange::Exchange;
use crate::proxy::call::room::{self, Reserved};
use crate::proxy::call::send::client_failed;
use crate::proxy::error::{Failure, Kind};
use crate::proxy::http::head::{Framing, RequestHead};
use crate::telemetry::caller::Auth;
use crate::telemetry::metrics::Sent;
use crate::translate::{self, Intake};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Instant;

/// Bytes of a body that is read for nothing but the caller who may stand in it.
pub const CALLER_BODY: u64 = 64 * 1024;

/// What has to be read of a request, with a rule of its own: rules may be swapped while it is carried out.
pub enum Taken {
    Stream,
    Observe(Arc<Rule>),
    Head,
    Body,
}

/// Decides by the head alone. The mode may depend on who calls, and that may stand in a body that is not read yet.
pub fn intake(x: Exchange<'_>, head: &RequestHead) -> Taken {
    let Exchange { context, at, .. } = x;
    let mode = |rule: &Rule| {
        context.fixed_mode(rule).unwrap_or_else(|| {
            let caller = x.caller(head);
            match rule.kind {
                _ if caller.auth != Auth::None || !counts_body(head) => context.mode(rule, caller),
                RuleKind::Exact => Mode::Rewrite,
                RuleKind::Watched => Mode::Observe,
            }
        })
    };
    let policy = context.calls.policy.load();
    match translate::intake(head.method(), &at.place, policy.catalogue(), &mode) {
        Intake::Stream => Taken::Stream,
        Intake::Observe(rule) => Taken::Observe(rule.clone()),
        Intake::Head => Taken::Head,
        Intake::Body => Taken::Body,
    }
}

/// What was read of a request's body.
pub enum Read {
    /// Nothing: the portal does not read it either, or nobody needs to.
    Stream(ClientBody),
    Whole(Bytes, Option<Reserved>),
    TooLarge,
}

/// Reads nothing, but for a small body that may tell who is refused: a token counts before all else.
pub async fn read_caller(
    x: Exchange<'_>,
    head: &RequestHead,
    body: ClientBody,
) -> Result<Read, Failure> {
    let tells = counts_body(head)
        && has_small_body(head)
        // Who waits for a go-ahead is refused without one.
        && !head.expects_continue
        && !credentials::is_told_by_head(&head.fields);
    if !tells {
        return Ok(Read::Stream(body));
    }
    let bytes = read_small(x, body).await?;
    Ok(Read::Whole(bytes, None))
}

/// Reads the body of a call that is to be translated, when there is room for it.
pub async fn read_whole(
    x: Exchange<'_>,
    head: &RequestHead,
    body: ClientBody,
) -> Result<Read, Failure> {
    let Exchange {
        context,
        client,
        span,
        ..
    } = x;
    let length = match head.framing {
        Framing::None => Some(0),
        Framing::Length(length) => Some(length),
        _ => None,
    };
    let limit = context.config.max_rewrite_body;
    if length.is_some_and(|length| length > limit) {
        return Ok(Read::TooLarge);
    }
    if head.framing == Framing::None {
        return Ok(Read::Whole(Bytes::new(), None));
    }
    let since = Instant::now();
    let mut reserved = length.is_none_or(|length| length > room::FREE).then(|| {
        let (shared, wait) = (&context.calls, context.config.timeouts.rewrite_wait);
        let address = context.client_address(client, head);
        Reserved::nothing(&shared.rewrite_room, &context.local, address, wait)
    });
    let collected = collect(body, limit, &client.fault, reserved.as_mut()).await;
    span.waited(since.elapsed());
    match collected {
        Ok(bytes) => Ok(Read::Whole(bytes, reserved)),
        Err(Unread::TooLarge) => Ok(Read::TooLarge),
        Err(unread) => Err(unread_error(unread)),
    }
}

/// The answer to a call whose body was not read whole. Nothing of it was sent.
fn unread_error(unread: Unread) -> Failure {
    match unread {
        Unread::Client(fault) => client_failed(fault, Sent::Nothing),
        Unread::TooSlow => Failure::body_timeout(Sent::Nothing),
        Unread::NoRoom(error) => error,
        Unread::TooLarge => Kind::ClientGone.into(),
    }
}

/// Whether the portal reads a body of this request.
pub fn counts_body(head: &RequestHead) -> bool {
    head.method() == b"POST" && head.framing != Framing::None
}

/// Whether a body is so small that it is read only to see who calls.
pub fn has_small_body(head: &RequestHead) -> bool {
    matches!(head.framing, Framing::Length(length) if length <= CALLER_BODY)
}

/// Reads a small body.
pub async fn read_small(x: Exchange<'_>, body: ClientBody) -> Result<Bytes, Failure> {
    let since = Instant::now();
    let collected = collect(body, CALLER_BODY, &x.client.fault, None).await;
    x.span.waited(since.elapsed());
    collected.map_err(unread_error)
}
