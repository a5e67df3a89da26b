//! Sends a request in its turn, and passes the answer on.

use crate::protocol::target::Place;
use crate::proxy::body::RequestBody;
use crate::proxy::call::exchange::Exchange;
use crate::proxy::call::job::Carried;
use crate::proxy::call::limits::{Looked, QUERY_LIMIT_EXCEEDED, look_at_error};
use crate::proxy::call::reply;
use crate::proxy::call::reply::{Additions, Reply};
use crate::proxy::call::send::{Outgoing, blame, send};
use crate::proxy::call::turn::Turn;
use crate::proxy::call::usage;
use crate::proxy::call::work::{Untouched, Work};
use crate::proxy::error::Failure;
use crate::proxy::http::fields::Name;
use crate::proxy::net::background::Finish;
use crate::proxy::portal::Answer;
use bytes::Bytes;

/// Sends a request when its turn has come, and again where the portal says that it refused it for its limit. A call waits
/// before it becomes something that goes on without its client, so that who leaves the queue is never executed.
pub async fn carry_out(x: Exchange<'_>, mut work: Work) -> Result<Reply, Failure> {
    let mut turn = match x.take(work.head()).await {
        Ok(turn) => turn,
        Err(error) => return Err(work.not_sent(error)),
    };
    loop {
        work = match work {
            Work::Deprecated(job) => match Finish::new(job.carry_out(turn.source())).await? {
                Carried::Answered(reply) => return Ok(reply),
                Carried::Refused(job) => Work::Deprecated(job),
                Carried::RefusedForGood(reply, head) => {
                    x.refused(&head, turn);
                    return Ok(reply);
                }
            },
            Work::Untouched(request) => match forward(x, request, turn).await? {
                Forwarded::Answered(reply) => return Ok(reply),
                Forwarded::Refused(request) => Work::Untouched(*request),
            },
        };
        x.refused(work.head(), turn);
        turn = match Box::pin(x.take_again(work.head(), turn)).await {
            Ok(turn) => turn,
            Err(error) => return Err(work.not_sent(error)),
        };
    }
}

/// What became of a request without deprecated uses.
enum Forwarded {
    Answered(Reply),
    /// The portal refused it for its limit, and it can be sent again.
    Refused(Box<Untouched>),
}

/// Forwards a request without deprecated uses.
async fn forward(
    x: Exchange<'_>,
    mut request: Untouched,
    turn: Turn,
) -> Result<Forwarded, Failure> {
    let Exchange {
        context,
        client,
        span,
        at,
        ..
    } = x;
    let body = std::mem::replace(&mut request.body, RequestBody::Empty);
    let outgoing = Outgoing {
        upgrade: request.upgrade,
        source: turn.source(),
        keep: context.is_paced(&at.place),
        ..Outgoing::new(request.target.as_deref(), body, request.plan)
    };
    let answer = send(context, client, span, &request.head, outgoing).await;
    let mut answer = answer.map_err(|error| blame(client, error))?;
    let looked = match &at.place {
        Place::Elsewhere => None,
        _ if answer.head.status < 400 || request.head.method() == b"HEAD" => None,
        _ => Box::pin(look_at_error(context, &at.place, &mut answer)).await,
    };
    let read = match looked {
        None => None,
        Some(Looked { code, read }) => {
            let refused = answer.head.status == 503
                && code.as_deref() == Some(QUERY_LIMIT_EXCEEDED)
                && context.is_paced(&at.place);
            match answer.again.take().filter(|_| refused) {
                Some(body) => {
                    request.body = body;
                    return Ok(Forwarded::Refused(Box::new(request)));
                }
                None if refused => x.refused(&request.head, turn),
                None => {}
            }
            Some(read)
        }
    };
    Ok(Forwarded::Answered(pass_on(x, &request, answer, read)))
}

/// Passes on an answer to which nothing is added.
fn pass_on(
    x: Exchange<'_>,
    request: &Untouched,
    answer: Answer,
    read: Option<(Bytes, bool)>,
) -> Reply {
    let Exchange {
        context,
        client,
        span,
        at,
        ..
    } = x;
    let head = &request.head;
    if matches!(at.place, Place::Call { .. })
        && context.asks_for_applications()
        && let Some(application) = answer.head.fields.first(Name::XBitrixRestApplication)
    {
        let caller = request.caller.as_ref().unwrap_or_else(|| x.caller(head));
        context.calls.applications.learn(caller, application);
    }
    if let Place::Call { method, .. } = &at.place
        && head.method() != b"HEAD"
    {
        let caller = || {
            let caller = || request.caller.as_ref().unwrap_or_else(|| x.caller(head));
            usage::name_of(context, caller)
        };
        let whole = answer.whole(read.as_ref());
        span.passes(&answer.head, whole, method, caller, Vec::new);
    }
    let turn = |name: Name, value: &[u8]| context.turn_origin(client, head, name, value);
    let lines = span.id_line_if_asked();
    reply::pass_on(
        head,
        answer,
        Additions {
            origin: Some(&turn),
            lines: lines.as_bytes(),
            read,
            ..Additions::default()
        },
    )
}
