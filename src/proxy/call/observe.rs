//! Requests that go on as they came: unlooked at, observed, or asked for by a browser.

use crate::catalogue::{Mode, Rule, RuleKind};
use crate::protocol::credentials;
use crate::protocol::target::Place;
use crate::proxy::body::{ClientBody, RequestBody};
use crate::proxy::call::address;
use crate::proxy::call::compare;
use crate::proxy::call::compare::Successor;
use crate::proxy::call::context::Context;
use crate::proxy::call::exchange::Exchange;
use crate::proxy::call::intake::{Read, counts_body, has_small_body, read_small};
use crate::proxy::call::preflight;
use crate::proxy::call::preflight::Preflight;
use crate::proxy::call::reply::Reply;
use crate::proxy::call::translated::translated;
use crate::proxy::call::work::{Untouched, Work, as_it_came, streamed};
use crate::proxy::error::Failure;
use crate::proxy::http::fields::Name;
use crate::proxy::http::forward::BodyPlan;
use crate::proxy::http::head::{Framing, RequestHead};
use crate::telemetry::caller::{Auth, Caller};
use crate::telemetry::metrics::Outcome as Class;
use crate::translate::{self, Call, DeprecatedUse, Encoding};
use bytes::Bytes;
use std::sync::Arc;

/// A request in which nothing is looked for: nearly all traffic. Where callers are selected by their application, a small
/// body is read, since a token in it is known by the answer from then on.
pub async fn untouched(
    x: Exchange<'_>,
    head: RequestHead,
    body: ClientBody,
) -> Result<Work, Failure> {
    let Exchange {
        context,
        client,
        at,
        ..
    } = x;
    if matches!(at.place, Place::Call { .. })
        && counts_body(&head)
        && has_small_body(&head)
        && context.asks_for_applications()
    {
        let bytes = read_small(x, body).await?;
        let content_type = head.fields.first(Name::ContentType).unwrap_or(b"");
        let caller = context.caller(client, at, &head, Some((content_type, &bytes)));
        return Ok(Work::Untouched(Untouched {
            target: None,
            body: RequestBody::Whole(Some(bytes)),
            plan: BodyPlan::AsItCame,
            upgrade: false,
            caller: Some(caller),
            _reserved: None,
            head,
        }));
    }
    let upgrade = matches!(at.place, Place::Elsewhere)
        && head.wants_upgrade()
        && head.framing == Framing::None
        && !head.fields.has_token(Name::Upgrade, "h2c");
    Ok(Work::Untouched(Untouched {
        upgrade,
        ..Untouched::streamed(head, body)
    }))
}

/// Forwards a deprecated call as it came. Its body is read only where it is small and may say who calls.
pub async fn observe(
    x: Exchange<'_>,
    head: RequestHead,
    rule: &Arc<Rule>,
    body: ClientBody,
) -> Result<Work, Failure> {
    let Exchange {
        context,
        client,
        span,
        at,
        ..
    } = x;
    let counts = counts_body(&head);
    let small = has_small_body(&head);
    let compares = |context: &Context, caller: &Caller| {
        rule.kind == RuleKind::Exact && context.mode_of(rule, caller) == Mode::Compare
    };
    let mut read = None;
    let caller;
    let body = if head.framing == Framing::None {
        read = Some(Bytes::new());
        caller = x.caller(&head).clone();
        RequestBody::Empty
    } else if counts
        && small
        && (!credentials::is_told_by_head(&head.fields) || compares(context, x.caller(&head)))
    {
        let bytes = read_small(x, body).await?;
        let content_type = head.fields.first(Name::ContentType).unwrap_or(b"");
        caller = context.caller(client, at, &head, Some((content_type, &bytes)));
        let is_more = match (context.mode_of(rule, &caller), rule.kind) {
            (Mode::Brownout | Mode::Block, _) | (Mode::Rewrite, RuleKind::Exact) => true,
            (Mode::Observe | Mode::Compare | Mode::Rewrite, _) => false,
        };
        if is_more {
            let read = Read::Whole(bytes, None);
            return translated(x, head, read);
        }
        read = Some(bytes.clone());
        RequestBody::Whole(Some(bytes))
    } else {
        match caller_of_unread(x, &head, rule) {
            Some(by_head) => caller = by_head,
            None => return translated(x, head, Read::Stream(body)),
        }
        body.into()
    };
    let successor = if compares(context, &caller) {
        let made = read.and_then(|bytes| Successor::of(rule, context, at, &head, &bytes));
        if made.is_none() {
            compare::skipped(context, rule);
        }
        made
    } else {
        None
    };
    let content_type = head.fields.first(Name::ContentType);
    let encoding = Encoding::of(head.method(), content_type, head.framing != Framing::None);
    span.outcome(Class::Observed);
    let mut used = DeprecatedUse::observed(rule, encoding);
    if context.looks_for_names(rule, &caller) {
        used.parameters = translate::sent::names(&Call {
            verb: head.method(),
            target: at.target,
            place: &at.place,
            content_type,
            content_encoding: address::content_encoding(&head),
            body: body.whole(),
            doubt: None,
        });
    }
    let uses = vec![used];
    let mut job = as_it_came(x, head, caller, body);
    (job.successor, job.uses) = (successor, uses);
    Ok(Work::Deprecated(Box::new(job)))
}

/// Who calls, as far as the head tells it; nothing where the call is refused, whoever makes it.
fn caller_of_unread(x: Exchange<'_>, head: &RequestHead, rule: &Rule) -> Option<Arc<Caller>> {
    let by_head = x.caller(head).clone();
    if !counts_body(head) || by_head.auth != Auth::None {
        return Some(by_head);
    }
    if x.context.refuses_whoever_calls(rule, &by_head) {
        return None;
    }
    Some(Arc::new(Arc::unwrap_or_clone(by_head).with_unread_body()))
}

/// Answers a preflight whose address calls what is switched off; any other becomes work.
pub fn preflight(x: Exchange<'_>, head: RequestHead, body: ClientBody) -> Preflighted {
    let span = x.span;
    match preflight::look_into(x, &head) {
        Preflight::Answered(reply) => {
            span.outcome(Class::Refused);
            Preflighted::Answered(reply)
        }
        Preflight::Forwarded(None) => {
            Preflighted::Work(Work::Untouched(Untouched::streamed(head, body)))
        }
        Preflight::Forwarded(Some((caller, uses))) => {
            span.outcome(Class::Observed);
            let batch = uses.iter().any(|used| used.batch_key.is_some());
            let body = streamed(&head, body);
            let mut job = as_it_came(x, head, caller, body);
            (job.batch, job.uses) = (batch, uses);
            Preflighted::Work(Work::Deprecated(Box::new(job)))
        }
    }
}

/// What becomes of a preflight.
#[expect(
    clippy::large_enum_variant,
    reason = "it is taken apart where it is made"
)]
pub enum Preflighted {
    Answered(Box<Reply>),
    Work(Work),
}
