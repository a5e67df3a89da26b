//! The verdict on a call, made into work.

use crate::proxy::body::RequestBody;
use crate::proxy::call::address;
use crate::proxy::call::exchange::Exchange;
use crate::proxy::call::intake::{Read, counts_body, has_small_body};
use crate::proxy::call::job::{Job, record_refusal};
use crate::proxy::call::usage::Batch;
use crate::proxy::call::work::{Untouched, Work, moment};
use crate::proxy::error::Failure;
use crate::proxy::http::forward::BodyPlan;
use crate::proxy::http::head::{Framing, Name, RequestHead};
use crate::telemetry::caller::Caller;
use crate::telemetry::metrics::Outcome as Class;
use crate::translate::{self, Action, Call, Encoding, Outcome};
use bytes::Bytes;
use std::cell::{Cell, OnceCell};
use std::sync::Arc;

/// Translates a call.
pub fn translated(x: Exchange<'_>, head: RequestHead, read: Read) -> Result<Work, Failure> {
    let Exchange {
        context,
        client,
        span,
        at,
        ..
    } = x;
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
            record_refusal(context, &moment(x, &head), caller(), &uses, &error);
            if let Some(reason) = verdict.unread {
                let moment = moment(x, &head);
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
        let moment = moment(x, &head);
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
        moment: moment(x, &head),
        head,
        uses: verdict.uses,
        batch: verdict.batch,
        order: verdict.order,
        format: x.format(),
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
