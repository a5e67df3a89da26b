//! The way of one request, from its head to the head of its answer.

use crate::catalogue::{Mode, Rule, RuleKind};
use crate::protocol::address::Address;
use crate::protocol::answer::Format;
use crate::protocol::target::{self, Place};
use crate::protocol::{self, urlrewrite};
use crate::proxy::body::{ClientBody, RequestBody};
use crate::proxy::call::address;
use crate::proxy::call::client::Client;
use crate::proxy::call::collect::{Unread, collect, discard};
use crate::proxy::call::compare;
use crate::proxy::call::compare::Successor;
use crate::proxy::call::context::Context;
use crate::proxy::call::job::{Carried, Job, Moment, record_refusal};
use crate::proxy::call::limits::{Looked, QUERY_LIMIT_EXCEEDED, look_at_error};
use crate::proxy::call::preflight;
use crate::proxy::call::preflight::Preflight;
use crate::proxy::call::reply;
use crate::proxy::call::reply::{Additions, Reply};
use crate::proxy::call::room;
use crate::proxy::call::room::Reserved;
use crate::proxy::call::send::{Outgoing, blame, client_failed, send};
use crate::proxy::call::span;
use crate::proxy::call::span::Span;
use crate::proxy::call::turn::{Asking, Turn};
use crate::proxy::call::usage::{self, Batch};
use crate::proxy::error::{Failure, Kind as FailureKind};
use crate::proxy::http::forward::BodyPlan;
use crate::proxy::http::head::{Framing, Name, RequestHead};
use crate::proxy::net::background::Finish;
use crate::proxy::net::caught::{Panicked, caught};
use crate::proxy::net::link::BadRequest;
use crate::proxy::portal::Answer;
use crate::telemetry::caller::{Auth, Caller};
use crate::telemetry::metrics::{Kind, Outcome as Class, Sent};
use crate::translate::{self, Action, Call, DeprecatedUse, Encoding, Intake, Outcome};
use bytes::Bytes;
use std::cell::{Cell, OnceCell};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// Bytes of a body that is read for nothing but the caller who may stand in it.
const CALLER_BODY: u64 = 64 * 1024;

/// How long a small body that nobody looks at may take, before its connection is given up instead.
const DISCARDING: Duration = Duration::from_secs(1);

/// The longest id of a client's that is logged, in bytes.
const CLIENT_ID: usize = 128;

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
        Place::Call { method, .. } if method == "batch" => Kind::Batch,
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
    let guarded = guarded.then(|| context.caller(client, &at, &head, None));
    let is_cut = at.is_made && made.as_ref().is_some_and(|made| !made.is_whole);
    let answered = if is_cut || at.is_twofold {
        Err(FailureKind::Address.into())
    } else {
        answer(context, client, &span, head, &at, body).await
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

/// Reads away a small body that was not looked at. With any other the connection ends with the answer.
async fn end_body(client: &Client) {
    if let Some(body) = client.unread.take() {
        discard(body, CALLER_BODY, DISCARDING).await;
    }
}

fn fail(span: &Span, error: &Failure, format: Format, to_head: bool) -> Reply {
    span.failed(error);
    reply::error(error, format, to_head, span.id_line().as_bytes())
}

/// What has to be read of a request, with a rule of its own: rules may be swapped while it is carried out.
enum Taken {
    Stream,
    Observe(Arc<Rule>),
    Head,
    Body,
}

async fn answer(
    context: &Rc<Context>,
    client: &Rc<Client>,
    span: &Rc<Span>,
    head: RequestHead,
    at: &Address<'_>,
    body: ClientBody,
) -> Result<Reply, Failure> {
    #[cfg(test)]
    crate::proxy::net::caught::panic_if_asked(head.target(), "begun");
    if matches!(head.method(), b"CONNECT" | b"TRACE") {
        return Err(FailureKind::MethodNotAllowed.into());
    }
    if context.is_loop(client) {
        return Err(FailureKind::LoopDetected.into());
    }
    // The mode may depend on who calls, and that may stand in a body that is not read yet.
    let by_head = OnceCell::new();
    if preflight::is_one(&head) {
        return preflight(context, client, span, head, at, body).await;
    }
    let mode = |rule: &Rule| {
        context.fixed_mode(rule).unwrap_or_else(|| {
            let caller = by_head.get_or_init(|| context.caller(client, at, &head, None));
            match rule.kind {
                _ if caller.auth != Auth::None || !counts_body(&head) => context.mode(rule, caller),
                RuleKind::Exact => Mode::Rewrite,
                RuleKind::Watched => Mode::Observe,
            }
        })
    };
    let taken = {
        let policy = context.calls.policy.load();
        match translate::intake(head.method(), &at.place, policy.catalogue(), &mode) {
            Intake::Stream => Taken::Stream,
            Intake::Observe(rule) => Taken::Observe(rule.clone()),
            Intake::Head => Taken::Head,
            Intake::Body => Taken::Body,
        }
    };
    let work = match taken {
        Taken::Stream => untouched(context, client, span, at, head, body).await?,
        Taken::Observe(rule) => {
            let by_head = by_head.into_inner();
            let caller = by_head.unwrap_or_else(|| context.caller(client, at, &head, None));
            observe(context, client, span, head, at, &rule, caller, body).await?
        }
        Taken::Head => {
            // Nothing of the body counts, but it may tell who is refused: a token counts before all else.
            let tells = counts_body(&head)
                && has_small_body(&head)
                // Who waits for a go-ahead is refused without one.
                && !head.expects_continue
                && !protocol::credentials::is_told_by_head(&head.fields);
            let read = if tells {
                let bytes = read_small(span, client, body).await?;
                Read::Whole(bytes, None)
            } else {
                Read::Stream(body)
            };
            translated(context, client, span, head, at, read)?
        }
        Taken::Body => {
            let read = read_whole(context, client, span, &head, body).await?;
            match (&at.place, &read) {
                (Place::Unnamed, Read::Whole(bytes, _)) => {
                    let named = address::named(&head, at, bytes);
                    translated(context, client, span, head, &named, read)?
                }
                _ => translated(context, client, span, head, at, read)?,
            }
        }
    };
    let asking = Asking {
        context,
        client,
        span,
        at,
    };
    carry_out(asking, work).await
}

/// Sends a request when its turn has come, and again where the portal says that it refused it for its limit. A call waits
/// before it becomes something that goes on without its client, so that who leaves the queue is never executed.
async fn carry_out(asking: Asking<'_>, mut work: Work) -> Result<Reply, Failure> {
    let mut turn = match asking.take(work.head()).await {
        Ok(turn) => turn,
        Err(error) => return Err(work.not_sent(error)),
    };
    loop {
        work = match work {
            Work::Deprecated(job) => match Finish::new(job.carry_out(turn.source())).await? {
                Carried::Answered(reply) => return Ok(reply),
                Carried::Refused(job) => Work::Deprecated(job),
                Carried::RefusedForGood(reply, head) => {
                    asking.refused(&head, turn);
                    return Ok(reply);
                }
            },
            Work::Untouched(request) => match forward(asking, request, turn).await? {
                Forwarded::Answered(reply) => return Ok(reply),
                Forwarded::Refused(request) => Work::Untouched(*request),
            },
        };
        asking.refused(work.head(), turn);
        turn = match Box::pin(asking.take_again(work.head(), turn)).await {
            Ok(turn) => turn,
            Err(error) => return Err(work.not_sent(error)),
        };
    }
}

/// Answers a preflight whose address calls what is switched off, or forwards it.
async fn preflight(
    context: &Rc<Context>,
    client: &Rc<Client>,
    span: &Rc<Span>,
    head: RequestHead,
    at: &Address<'_>,
    body: ClientBody,
) -> Result<Reply, Failure> {
    let work = match preflight::look_into(context, client, &head, at) {
        Preflight::Answered(reply) => {
            span.outcome(Class::Refused);
            return Ok(*reply);
        }
        Preflight::Forwarded(None) => Work::Untouched(Untouched::streamed(head, body)),
        Preflight::Forwarded(Some((caller, uses))) => {
            span.outcome(Class::Observed);
            let batch = uses.iter().any(|used| used.batch_key.is_some());
            let body = streamed(&head, body);
            let mut job = as_it_came(context, client, span, head, at, caller, body);
            (job.batch, job.uses) = (batch, uses);
            Work::Deprecated(Box::new(job))
        }
    };
    let asking = Asking {
        context,
        client,
        span,
        at,
    };
    carry_out(asking, work).await
}

/// A call that goes on as it came; its uses are to be put in.
fn as_it_came(
    context: &Rc<Context>,
    client: &Rc<Client>,
    span: &Rc<Span>,
    head: RequestHead,
    at: &Address<'_>,
    caller: Arc<Caller>,
    body: RequestBody,
) -> Job {
    Job {
        context: context.clone(),
        client: client.clone(),
        span: span.clone(),
        moment: moment(context, span, &head, at),
        body,
        plan: BodyPlan::AsItCame,
        batch: false,
        order: None,
        format: format_of(&at.place),
        target: None,
        reserved: None,
        successor: None,
        head,
        uses: Vec::new(),
        caller,
        asked: None,
        recorded: Cell::new(false),
    }
}

fn streamed(head: &RequestHead, body: ClientBody) -> RequestBody {
    if head.framing == Framing::None {
        RequestBody::Empty
    } else {
        body.into()
    }
}

/// What is to be done for a request, once what has to be read of it is read.
#[expect(
    clippy::large_enum_variant,
    reason = "the large one is the frequent one"
)]
enum Work {
    /// It has deprecated uses.
    Deprecated(Box<Job>),
    /// Nothing of it is ours.
    Untouched(Untouched),
}

impl Work {
    fn head(&self) -> &RequestHead {
        match self {
            Work::Deprecated(job) => &job.head,
            Work::Untouched(request) => &request.head,
        }
    }

    /// It never got its turn: the portal does not get it, and what is logged of it says so.
    fn not_sent(self, error: Failure) -> Failure {
        if let Work::Deprecated(job) = self {
            job.not_sent(&error);
        }
        error
    }
}

/// A request without deprecated uses.
struct Untouched {
    head: RequestHead,
    /// The target, where what the portal reads of it stays the same.
    target: Option<Vec<u8>>,
    body: RequestBody,
    plan: BodyPlan,
    upgrade: bool,
    /// Who calls, where the body was read to know it.
    caller: Option<Arc<Caller>>,
    _reserved: Option<Reserved>,
}

impl Untouched {
    fn streamed(head: RequestHead, body: ClientBody) -> Self {
        Untouched {
            target: None,
            body: streamed(&head, body),
            plan: BodyPlan::AsItCame,
            upgrade: false,
            caller: None,
            _reserved: None,
            head,
        }
    }
}

/// A request in which nothing is looked for: nearly all traffic. Where callers are selected by their application, a small
/// body is read, since a token in it is known by the answer from then on.
async fn untouched(
    context: &Rc<Context>,
    client: &Rc<Client>,
    span: &Rc<Span>,
    at: &Address<'_>,
    head: RequestHead,
    body: ClientBody,
) -> Result<Work, Failure> {
    if matches!(at.place, Place::Call { .. })
        && counts_body(&head)
        && has_small_body(&head)
        && context.asks_for_applications()
    {
        let bytes = read_small(span, client, body).await?;
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

/// Reads the body of a call that is to be translated, when there is room for it.
async fn read_whole(
    context: &Rc<Context>,
    client: &Rc<Client>,
    span: &Rc<Span>,
    head: &RequestHead,
    body: ClientBody,
) -> Result<Read, Failure> {
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
        Unread::TooLarge => FailureKind::ClientGone.into(),
    }
}

/// The format that a call asked to be answered in.
fn format_of(place: &Place<'_>) -> Format {
    match place {
        Place::Call { format, .. } => *format,
        _ => Format::Json,
    }
}

/// Whether the portal reads a body of this request.
fn counts_body(head: &RequestHead) -> bool {
    head.method() == b"POST" && head.framing != Framing::None
}

/// Whether a body is so small that it is read only to see who calls.
fn has_small_body(head: &RequestHead) -> bool {
    matches!(head.framing, Framing::Length(length) if length <= CALLER_BODY)
}

/// Reads a small body.
async fn read_small(
    span: &Rc<Span>,
    client: &Rc<Client>,
    body: ClientBody,
) -> Result<Bytes, Failure> {
    let since = Instant::now();
    let collected = collect(body, CALLER_BODY, &client.fault, None).await;
    span.waited(since.elapsed());
    collected.map_err(unread_error)
}

/// Forwards a deprecated call as it came. Its body is read only where it is small and may say who calls.
#[allow(clippy::too_many_arguments)]
async fn observe(
    context: &Rc<Context>,
    client: &Rc<Client>,
    span: &Rc<Span>,
    head: RequestHead,
    at: &Address<'_>,
    rule: &Arc<Rule>,
    mut caller: Arc<Caller>,
    body: ClientBody,
) -> Result<Work, Failure> {
    let counts = counts_body(&head);
    let small = has_small_body(&head);
    let compares = |context: &Context, caller: &Caller| {
        rule.kind == RuleKind::Exact && context.mode_of(rule, caller) == Mode::Compare
    };
    let mut read = None;
    let body = if head.framing == Framing::None {
        read = Some(Bytes::new());
        RequestBody::Empty
    } else if counts
        && small
        && (!protocol::credentials::is_told_by_head(&head.fields) || compares(context, &caller))
    {
        let bytes = read_small(span, client, body).await?;
        let content_type = head.fields.first(Name::ContentType).unwrap_or(b"");
        caller = context.caller(client, at, &head, Some((content_type, &bytes)));
        let is_more = match (context.mode_of(rule, &caller), rule.kind) {
            (Mode::Brownout | Mode::Block, _) | (Mode::Rewrite, RuleKind::Exact) => true,
            (Mode::Observe | Mode::Compare | Mode::Rewrite, _) => false,
        };
        if is_more {
            let read = Read::Whole(bytes, None);
            return translated(context, client, span, head, at, read);
        }
        read = Some(bytes.clone());
        RequestBody::Whole(Some(bytes))
    } else {
        if counts && caller.auth == Auth::None {
            if context.refuses_whoever_calls(rule, &caller) {
                return translated(context, client, span, head, at, Read::Stream(body));
            }
            caller = Arc::new(Arc::unwrap_or_clone(caller).with_unread_body());
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
    let mut job = as_it_came(context, client, span, head, at, caller, body);
    (job.successor, job.uses) = (successor, uses);
    Ok(Work::Deprecated(Box::new(job)))
}

/// What was read of a request's body.
enum Read {
    /// Nothing: the portal does not read it either, or nobody needs to.
    Stream(ClientBody),
    Whole(Bytes, Option<Reserved>),
    TooLarge,
}

/// Translates a call.
fn translated(
    context: &Rc<Context>,
    client: &Rc<Client>,
    span: &Rc<Span>,
    head: RequestHead,
    at: &Address<'_>,
    read: Read,
) -> Result<Work, Failure> {
    let content_type = head.fields.first(Name::ContentType);
    let bytes = match &read {
        Read::Whole(bytes, _) => bytes.clone(),
        _ => Bytes::new(),
    };
    let call = Call {
        verb: head.method(),
        target: at.target,
        place: &at.place,
        content_type,
        content_encoding: address::content_encoding(&head),
        body: &bytes,
        doubt: address::doubt(&head, at, !bytes.is_empty()),
    };
    let is_packed = call.content_encoding.is_some() && !bytes.is_empty();
    let known = OnceCell::new();
    let caller = || -> &Arc<Caller> {
        known.get_or_init(|| {
            let body = Some((content_type.unwrap_or(b""), &bytes[..]));
            let body = body.filter(|(_, bytes)| !bytes.is_empty());
            let caller = context.caller(client, at, &head, body);
            if matches!(read, Read::Whole(..)) && !is_packed || !counts_body(&head) {
                return caller;
            }
            Arc::new(Arc::unwrap_or_clone(caller).with_unread_body())
        })
    };
    let policy = context.calls.policy.load_full();
    let catalogue = policy.catalogue();
    let mut verdict = match &read {
        Read::TooLarge => {
            let limit = usize::try_from(context.config.max_rewrite_body).unwrap_or(usize::MAX);
            translate::too_large(&call, catalogue, limit)
        }
        _ => translate::translate(&call, catalogue, &|rule| {
            context
                .fixed_mode(rule)
                .unwrap_or_else(|| context.mode(rule, caller()))
        }),
    };
    translate::sent::note(&call, &mut verdict.uses, |used| {
        context.looks_for_names(&used.rule, caller())
    });
    if verdict.batch {
        span.is_batch(Batch::of(&call, &bytes));
    }
    let (new_target, new_body) = match verdict.outcome {
        Outcome::Untouched => (None, None),
        Outcome::Rewritten { target, body } => (target, body),
        Outcome::Refused(refusal) => {
            span.outcome(Class::Refused);
            let refusal = match verdict.uses.first() {
                Some(used) => used
                    .switched_off(context.until(&used.rule, caller()))
                    .unwrap_or(refusal),
                None => refusal,
            };
            let mut uses = verdict.uses;
            if matches!(read, Read::Stream(_)) {
                let has_body = head.framing != Framing::None;
                let announced = Encoding::of(head.method(), content_type, has_body);
                uses.iter_mut().for_each(|used| used.encoding = announced);
            }
            let error = Failure::refused(refusal);
            record_refusal(
                context,
                &moment(context, span, &head, at),
                caller(),
                &uses,
                &error,
            );
            if let Some(reason) = verdict.unread {
                let moment = moment(context, span, &head, at);
                context.unread(&moment.unread(reason, caller().clone()));
            }
            // Who waits for a go-ahead sends no body.
            let is_small = has_small_body(&head) || head.framing == Framing::Chunked;
            if let Read::Stream(body) = read
                && is_small
                && !head.expects_continue
            {
                client.unread.set(Some(body));
            }
            return Err(error);
        }
    };
    if let Some(reason) = verdict.unread {
        let moment = moment(context, span, &head, at);
        context.unread(&moment.unread(reason, caller().clone()));
    }
    let is_told = !verdict.uses.is_empty() || context.asks_for_applications();
    let caller = is_told.then(|| caller().clone());
    let (body, plan, reserved) = match (read, new_body) {
        (Read::Whole(_, reserved), Some(new)) => {
            let plan = BodyPlan::Whole(new.len() as u64);
            (RequestBody::Whole(Some(new.into())), plan, reserved)
        }
        (Read::Whole(bytes, reserved), None) => match head.framing {
            Framing::None => (RequestBody::Empty, BodyPlan::AsItCame, reserved),
            Framing::Length(_) => (
                RequestBody::Whole(Some(bytes)),
                BodyPlan::AsItCame,
                reserved,
            ),
            _ => {
                let plan = BodyPlan::Whole(bytes.len() as u64);
                (RequestBody::Whole(Some(bytes)), plan, reserved)
            }
        },
        (Read::Stream(body), _) if head.framing != Framing::None => {
            (body.into(), BodyPlan::AsItCame, None)
        }
        _ => (RequestBody::Empty, BodyPlan::AsItCame, None),
    };
    if verdict.uses.is_empty() {
        return Ok(Work::Untouched(Untouched {
            head,
            target: new_target,
            body,
            plan,
            upgrade: false,
            caller,
            _reserved: reserved,
        }));
    }
    span.outcome(
        if verdict.uses.iter().any(|u| u.action == Action::Rewritten) {
            Class::Rewritten
        } else if verdict.uses.iter().any(|u| u.action == Action::Refused) {
            Class::Refused
        } else {
            Class::Observed
        },
    );
    Ok(Work::Deprecated(Box::new(Job {
        context: context.clone(),
        client: client.clone(),
        span: span.clone(),
        moment: moment(context, span, &head, at),
        head,
        uses: verdict.uses,
        batch: verdict.batch,
        order: verdict.order,
        format: format_of(&at.place),
        target: new_target,
        body,
        plan,
        caller: caller.unwrap_or_default(),
        asked: None,
        recorded: Cell::new(false),
        reserved,
        successor: None,
    })))
}

/// What became of a request without deprecated uses.
enum Forwarded {
    Answered(Reply),
    /// The portal refused it for its limit, and it can be sent again.
    Refused(Box<Untouched>),
}

/// Forwards a request without deprecated uses.
async fn forward(
    asking: Asking<'_>,
    mut request: Untouched,
    turn: Turn,
) -> Result<Forwarded, Failure> {
    let Asking {
        context,
        client,
        span,
        at,
    } = asking;
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
                None if refused => asking.refused(&request.head, turn),
                None => {}
            }
            Some(read)
        }
    };
    Ok(Forwarded::Answered(pass_on(
        context, client, span, at, &request, answer, read,
    )))
}

/// Passes on an answer to which nothing is added.
fn pass_on(
    context: &Context,
    client: &Client,
    span: &Span,
    at: &Address<'_>,
    request: &Untouched,
    answer: Answer,
    read: Option<(Bytes, bool)>,
) -> Reply {
    let head = &request.head;
    if matches!(at.place, Place::Call { .. })
        && context.asks_for_applications()
        && let Some(application) = answer.head.fields.named("x-bitrix-rest-application").next()
    {
        let by_head = || context.caller(client, at, head, None);
        let caller = request.caller.clone().unwrap_or_else(by_head);
        context.calls.applications.learn(&caller, application);
    }
    if let Place::Call { method, .. } = &at.place
        && head.method() != b"HEAD"
    {
        let name = usage::name_of(context, || match &request.caller {
            Some(caller) => caller.clone(),
            None => context.caller(client, at, head, None),
        });
        span.passes(&answer.head, method, name, Vec::new());
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

/// When the request came and how it is called, for its events.
fn moment(context: &Context, span: &Span, head: &RequestHead, at: &Address<'_>) -> Moment {
    Moment {
        began: span.began(),
        timestamp: SystemTime::now(),
        request_id: span.id().clone(),
        client_request_id: client_request_id(head),
        trace_id: span::trace_id(&head.fields).map(Into::into),
        target: target::masked_plain_call(at.target, &at.place)
            .unwrap_or_else(|| target::masked_path(at.target, &context.config.rest_path))
            .into(),
    }
}

/// What the client calls the request: `X-Request-ID`, else what the SDKs put into the query.
fn client_request_id(head: &RequestHead) -> Option<Arc<str>> {
    let target = head.target();
    let in_query = || {
        target[target::query(target)]
            .split(|b| *b == b'&')
            .find_map(|pair| pair.strip_prefix(b"bx24_request_id="))
    };
    let id = protocol::Fields::get(&head.fields, "x-request-id").or_else(in_query)?;
    // An id of letters, digits and dashes, as nearly all are, has nothing to mask.
    let plain = |b: &u8| b.is_ascii_alphanumeric() || *b == b'-';
    let text = std::str::from_utf8(id).ok();
    if let Some(text) = text.filter(|_| id.len() <= CLIENT_ID && id.iter().all(plain)) {
        return Some(text.into()).filter(|_| !id.is_empty());
    }
    let visible = id.iter().copied().filter(u8::is_ascii_graphic);
    let visible: Vec<u8> = visible.take(CLIENT_ID).collect();
    Some(target::mask(&visible).into()).filter(|id: &Arc<str>| !id.is_empty())
}
