//! The way of one request, from its head to the head of its answer.

use crate::protocol::answer::Format;
use crate::protocol::target::Place;
use crate::protocol::urlrewrite;
use crate::proxy::body::ClientBody;
use crate::proxy::call::address;
use crate::proxy::call::carry_out::carry_out;
use crate::proxy::call::client::Client;
use crate::proxy::call::collect::discard;
use crate::proxy::call::context::Context;
use crate::proxy::call::exchange::{Exchange, format_of};
use crate::proxy::call::intake::{
    CALLER_BODY, Read, Taken, counts_body, intake, read_caller, read_whole,
};
use crate::proxy::call::observe::{self, Preflighted, observe, untouched};
use crate::proxy::call::preflight;
use crate::proxy::call::reply;
use crate::proxy::call::reply::Reply;
use crate::proxy::call::span::Span;
use crate::proxy::call::translated::translated;
use crate::proxy::call::work::{Work, moment};
use crate::proxy::error::{Failure, Kind as FailureKind};
use crate::proxy::http::head::RequestHead;
use crate::proxy::net::caught::{Panicked, caught};
use crate::proxy::net::link::BadRequest;
use crate::telemetry::metrics::Kind;
use crate::translate::Reason;
use std::cell::OnceCell;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a small body that nobody looks at may take, before its connection is given up instead.
const DISCARDING: Duration = Duration::from_secs(1);

/// What has to be known of a request to answer it with an error.
struct Known {
    span: Rc<Span>,
    format: Format,
    to_head: bool,
}

/// Answers one request, whatever comes of it.
pub async fn handle(
    context: &Rc<Context>,
    client: &Rc<Client>,
    head: Result<RequestHead, BadRequest>,
    body: ClientBody,
) -> (Reply, Rc<Span>) {
    let began = Instant::now();
    let known = OnceCell::new();
    let answered = {
        let answering = pin!(answered(context, client, head, body, began, &known));
        caught(answering).await
    };
    answered.unwrap_or_else(|Panicked| {
        let known = known.into_inner().unwrap_or_else(|| Known {
            span: Span::begin(context, client, None, Kind::Other, began),
            format: Format::Json,
            to_head: false,
        });
        let Known { span, format, to_head } = known;
        tracing::error!(request_id = %span.id(), "a call was answered 502 for a fault in the program");
        let reply = fail(&span, &FailureKind::Panicked.into(), format, to_head);
        span.answered(reply.status.as_u16(), reply.head.len());
        (reply, span)
    })
}

async fn answered(
    context: &Rc<Context>,
    client: &Rc<Client>,
    head: Result<RequestHead, BadRequest>,
    body: ClientBody,
    began: Instant,
    known: &OnceCell<Known>,
) -> (Reply, Rc<Span>) {
    let head = match head {
        Ok(head) => head,
        Err(why) => {
            let error = match why {
                BadRequest::Head(error) => Failure::head(error),
                BadRequest::HeadTimeout => Failure::from(FailureKind::HeadTimeout),
            };
            let span = Span::begin(context, client, None, Kind::Other, began);
            context.local.head_error(error.row().status);
            let reply = fail(&span, &error, Format::Json, false);
            span.answered(reply.status.as_u16(), reply.head.len());
            return (reply, span);
        }
    };
    // The head goes along with a call that is finished without its client; what is read of its address borrows the bytes.
    let raw = head.fields.raw().clone();
    let came = &raw[head.target_span()];
    let made = urlrewrite::made(came);
    let at = address::of(context, &head, came, made.as_ref());
    let format = format_of(&at.place);
    let kind = match &at.place {
        place if place.is_batch() => Kind::Batch,
        Place::Call { .. } | Place::Unnamed => Kind::Call,
        _ => Kind::Other,
    };
    let to_head = head.method() == b"HEAD";
    let span = Span::begin(context, client, Some((&head, &at.place)), kind, began);
    let _ = known.set(Known {
        span: span.clone(),
        format,
        to_head,
    });
    let guarded = kind != Kind::Other && context.calls.policy.load().is_guarded();
    let by_head = OnceCell::new();
    let x = Exchange {
        context,
        client,
        span: &span,
        at: &at,
        by_head: &by_head,
    };
    let guarded = guarded.then(|| x.caller(&head).clone());
    let is_cut = at.is_made && made.as_ref().is_some_and(|made| !made.is_whole);
    let answered = if is_cut || at.is_twofold {
        log_unread(x, &head);
        Err(FailureKind::Address.into())
    } else {
        way(x, head, body).await
    };
    let by_portal = answered.is_ok();
    let reply = match answered {
        Ok(reply) => reply,
        Err(error) => {
            end_body(client).await;
            fail(&span, &error, format, to_head)
        }
    };
    span.answered(reply.status.as_u16(), reply.head.len());
    if let Some(caller) = guarded
        && by_portal
        && !span.is_refused()
    {
        context.guard(&caller, reply.status.as_u16());
    }
    (reply, span)
}

fn fail(span: &Span, error: &Failure, format: Format, to_head: bool) -> Reply {
    span.failed(error);
    reply::error(error, format, to_head, span.id_line().as_bytes())
}

/// Logs a call of which nobody knows what it calls, for its address is not sure.
fn log_unread(x: Exchange<'_>, head: &RequestHead) {
    let mut caller = x.caller(head).clone();
    if counts_body(head) {
        caller = Arc::new(Arc::unwrap_or_clone(caller).with_unread_body());
    }
    let moment = moment(x);
    x.context
        .unread(&moment.unread(head, Reason::Unreadable, &caller));
}

/// The way of one call; the numbers are those of docs/ARCHITECTURE.md.
async fn way(x: Exchange<'_>, head: RequestHead, body: ClientBody) -> Result<Reply, Failure> {
    #[cfg(test)]
    crate::proxy::net::caught::panic_if_asked(head.target(), "begun");
    // 3. What is it? The address was read; some go no further.
    if matches!(head.method(), b"CONNECT" | b"TRACE") {
        return Err(FailureKind::MethodNotAllowed.into());
    }
    if x.context.is_loop(x.client) {
        return Err(FailureKind::LoopDetected.into());
    }
    let work = if preflight::is_one(&head) {
        match observe::preflight(x, head, body) {
            Preflighted::Answered(reply) => return Ok(*reply),
            Preflighted::Work(work) => work,
        }
    } else {
        // 4. What must be read?
        match intake(x, &head) {
            Taken::Stream => untouched(x, head, body).await?,
            Taken::Observe(rule) => observe(x, head, &rule, body).await?,
            Taken::Head => {
                let read = read_caller(x, &head, body).await?;
                // 5. Translate.
                translated(x, head, read)?
            }
            Taken::Body => {
                let read = read_whole(x, &head, body).await?;
                translated_as_named(x, head, read)?
            }
        }
    };
    // 6. Take a turn, 7. carry out, 8. send, 9. answer.
    carry_out(x, work).await
}

/// Translates a call whose method the body may name.
fn translated_as_named(x: Exchange<'_>, head: RequestHead, read: Read) -> Result<Work, Failure> {
    let (Place::Unnamed, Read::Whole(bytes, _)) = (&x.at.place, &read) else {
        return translated(x, head, read);
    };
    let at = address::named(&head, x.at, bytes);
    let by_head = OnceCell::new();
    let named = Exchange {
        at: &at,
        by_head: &by_head,
        ..x
    };
    translated(named, head, read)
}

/// Reads away a small body that was not looked at. With any other the connection ends with the answer.
async fn end_body(client: &Client) {
    if let Some(body) = client.unread.take() {
        discard(body, CALLER_BODY, DISCARDING).await;
    }
}
