//! The verdict on a call, made into work.

use crate::proxy::body::RequestBody;
use crate::proxy::call::address;
use crate::proxy::call::exchange::Exchange;
use crate::proxy::call::intake::{Read, counts_body, has_small_body};
use crate::proxy::call::job::{Job, record_refusal};
use crate::proxy::call::room::Reserved;
use crate::proxy::call::usage::Batch;
use crate::proxy::call::work::{Untouched, Work, moment};
use crate::proxy::error::Failure;
use crate::proxy::http::fields::Name;
use crate::proxy::http::forward::BodyPlan;
use crate::proxy::http::head::{Framing, RequestHead};
use crate::telemetry::caller::Caller;
use crate::telemetry::metrics::Outcome as Class;
use crate::translate::{
    self, Action, Call, DeprecatedUse, Encoding, Outcome, Reason, Refusal, Verdict,
};
use bytes::Bytes;
use std::cell::{Cell, OnceCell};
use std::sync::Arc;

/// Translates a call.
pub fn translated(x: Exchange<'_>, head: RequestHead, read: Read) -> Result<Work, Failure> {
    let asked = Asked::new(x, &head, &read);
    let verdict = asked.verdict();
    let (target, new_body) = match verdict.outcome {
        Outcome::Untouched => (None, None),
        Outcome::Rewritten { target, body } => (target, body),
        Outcome::Refused(refusal) => {
            let error = asked.refused(refusal, verdict.uses, verdict.unread);
            keep_unread(x, &head, read);
            return Err(error);
        }
    };
    asked.tell_unread(verdict.unread);
    let is_told = !verdict.uses.is_empty() || x.context.asks_for_applications();
    let caller = is_told.then(|| asked.caller().clone());
    let (body, plan, reserved) = body_to_send(read, new_body, head.framing);
    if verdict.uses.is_empty() {
        return Ok(Work::Untouched(Untouched {
            head,
            target,
            body,
            plan,
            upgrade: false,
            caller,
            _reserved: reserved,
        }));
    }
    x.span.outcome(class_of(&verdict.uses));
    Ok(Work::Deprecated(Box::new(Job {
        context: x.context.clone(),
        client: x.client.clone(),
        span: x.span.clone(),
        moment: moment(x),
        head,
        uses: verdict.uses,
        batch: verdict.batch,
        order: verdict.order,
        format: x.format(),
        target,
        body,
        plan,
        caller: caller.unwrap_or_default(),
        asked: None,
        recorded: Cell::new(false),
        reserved,
        successor: None,
    })))
}

/// A call that is to be judged, with as much of its body as is read, and who makes it.
struct Asked<'a> {
    x: Exchange<'a>,
    head: &'a RequestHead,
    content_type: Option<&'a [u8]>,
    /// The body, where it was read whole.
    bytes: Bytes,
    is_whole: bool,
    is_too_large: bool,
    /// The caller as head and body tell it, once somebody has asked.
    known: OnceCell<Arc<Caller>>,
}

impl<'a> Asked<'a> {
    fn new(x: Exchange<'a>, head: &'a RequestHead, read: &Read) -> Self {
        Asked {
            x,
            head,
            content_type: head.fields.first(Name::ContentType),
            bytes: match read {
                Read::Whole(bytes, _) => bytes.clone(),
                _ => Bytes::new(),
            },
            is_whole: matches!(read, Read::Whole(..)),
            is_too_large: matches!(read, Read::TooLarge),
            known: OnceCell::new(),
        }
    }

    fn call(&self) -> Call<'_> {
        let at = self.x.at;
        Call {
            verb: self.head.method(),
            target: at.target,
            place: &at.place,
            content_type: self.content_type,
            content_encoding: address::content_encoding(self.head),
            body: &self.bytes,
            doubt: address::doubt(self.head, at, !self.bytes.is_empty()),
        }
    }

    /// Who calls. Where a body that may tell it was not read, the caller says so.
    fn caller(&self) -> &Arc<Caller> {
        self.known.get_or_init(|| {
            let Exchange {
                context,
                client,
                at,
                ..
            } = self.x;
            let body = (self.content_type.unwrap_or(b""), &self.bytes[..]);
            let body = Some(body).filter(|(_, bytes)| !bytes.is_empty());
            let caller = context.caller(client, at, self.head, body);
            let is_packed =
                !self.bytes.is_empty() && address::content_encoding(self.head).is_some();
            if self.is_whole && !is_packed || !counts_body(self.head) {
                return caller;
            }
            Arc::new(Arc::unwrap_or_clone(caller).with_unread_body())
        })
    }

    fn verdict(&self) -> Verdict {
        let context = self.x.context;
        let call = self.call();
        let policy = context.calls.policy.load_full();
        let catalogue = policy.catalogue();
        let mut verdict = if self.is_too_large {
            let limit = usize::try_from(context.config.max_rewrite_body).unwrap_or(usize::MAX);
            translate::too_large(&call, catalogue, limit)
        } else {
            translate::translate(&call, catalogue, &|rule| {
                context
                    .fixed_mode(rule)
                    .unwrap_or_else(|| context.mode(rule, self.caller()))
            })
        };
        translate::sent::note(&call, &mut verdict.uses, |used| {
            context.looks_for_names(&used.rule, self.caller())
        });
        if verdict.batch {
            self.x.span.is_batch(Batch::of(&call, &self.bytes));
        }
        verdict
    }

    /// Logs a call that is not sent, and gives what the client is told.
    fn refused(
        &self,
        refusal: Refusal,
        mut uses: Vec<DeprecatedUse>,
        unread: Option<Reason>,
    ) -> Failure {
        let Exchange { context, span, .. } = self.x;
        span.outcome(Class::Refused);
        let switched_off = uses
            .first()
            .and_then(|used| used.switched_off(context.until(&used.rule, self.caller())));
        if !self.is_whole && !self.is_too_large {
            let has_body = self.head.framing != Framing::None;
            let announced = Encoding::of(self.head.method(), self.content_type, has_body);
            uses.iter_mut().for_each(|used| used.encoding = announced);
        }
        let error = Failure::refused(switched_off.unwrap_or(refusal));
        let moment = moment(self.x);
        record_refusal(context, &moment, self.head, self.caller(), &uses, &error);
        self.tell_unread(unread);
        error
    }

    /// Logs that nobody knows what the call calls.
    fn tell_unread(&self, reason: Option<Reason>) {
        if let Some(reason) = reason {
            let moment = moment(self.x);
            let event = moment.unread(self.head, reason, self.caller());
            self.x.context.unread(&event);
        }
    }
}

/// A short body of a refused call is read to its end, so that its connection lasts. Who waits for a go-ahead sends none.
fn keep_unread(x: Exchange<'_>, head: &RequestHead, read: Read) {
    let is_small = has_small_body(head) || head.framing == Framing::Chunked;
    if let Read::Stream(body) = read
        && is_small
        && !head.expects_continue
    {
        x.client.unread.set(Some(body));
    }
}

/// The body for the portal, how it is framed, and the room that it takes.
fn body_to_send(
    read: Read,
    new: Option<Vec<u8>>,
    framing: Framing,
) -> (RequestBody, BodyPlan, Option<Reserved>) {
    match (read, new) {
        (Read::Whole(_, reserved), Some(new)) => {
            let plan = BodyPlan::Whole(new.len() as u64);
            (RequestBody::Whole(Some(new.into())), plan, reserved)
        }
        (Read::Whole(bytes, reserved), None) => match framing {
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
        (Read::Stream(body), _) if framing != Framing::None => {
            (body.into(), BodyPlan::AsItCame, None)
        }
        _ => (RequestBody::Empty, BodyPlan::AsItCame, None),
    }
}

/// What a call with deprecated uses counts as.
fn class_of(uses: &[DeprecatedUse]) -> Class {
    let has = |action| uses.iter().any(|used| used.action == action);
    if has(Action::Rewritten) {
        Class::Rewritten
    } else if has(Action::Refused) {
        Class::Refused
    } else {
        Class::Observed
    }
}
