//! A browser's preflight (Fetch §4.8): an OPTIONS that asks whether a call may be made. The portal does not tell it from a
//! call, and it keeps the call's address with its query, but never has a body or a cookie.

use crate::protocol::Fields;
use crate::proxy::call::address;
use crate::proxy::call::exchange::Exchange;
use crate::proxy::call::reply::Reply;
use crate::proxy::call::response_body::ResponseBody;
use crate::proxy::http::head::{Framing, RequestHead};
use crate::telemetry::caller::{Auth, Caller};
use crate::translate::{self, Call, DeprecatedUse, Encoding, Reason};
use std::sync::Arc;

/// Whether a request is a preflight.
pub fn is_one(head: &RequestHead) -> bool {
    head.method() == b"OPTIONS"
        && Fields::get(&head.fields, "origin").is_some()
        && Fields::get(&head.fields, "access-control-request-method").is_some()
}

/// What is done with a preflight.
pub enum Preflight {
    /// Answered here: its address calls what is switched off, and the portal would run it.
    Answered(Box<Reply>),
    /// Forwarded; where its address alone runs something deprecated, who calls, and what.
    Forwarded(Option<(Arc<Caller>, Vec<DeprecatedUse>)>),
}

/// Looks into a preflight.
pub fn look_into(x: Exchange<'_>, head: &RequestHead) -> Preflight {
    let Exchange {
        context,
        at: address,
        ..
    } = x;
    let policy = context.calls.policy.load();
    if !translate::concerns(&address.place, policy.catalogue()) {
        return Preflight::Forwarded(None);
    }
    let caller = x.caller(head).clone();
    let call = Call {
        verb: head.method(),
        target: address.target,
        place: &address.place,
        content_type: None,
        content_encoding: None,
        body: b"",
        doubt: address::doubt(head, address, false),
    };
    let verdict = translate::translate(&call, policy.catalogue(), &|rule| {
        context.mode_of(rule, &caller)
    });
    let is_off =
        |used: &DeprecatedUse| matches!(used.refusal, Some(Reason::Brownout | Reason::Blocked));
    if verdict.uses.iter().any(is_off) {
        return Preflight::Answered(Box::new(allowed(head)));
    }
    if caller.auth == Auth::None || verdict.uses.is_empty() {
        return Preflight::Forwarded(None);
    }
    let observed = |used: DeprecatedUse| DeprecatedUse {
        batch_key: used.batch_key,
        ..DeprecatedUse::observed(&used.rule, Encoding::Query)
    };
    let uses = verdict.uses.into_iter().map(observed).collect();
    Preflight::Forwarded(Some((caller, uses)))
}

/// The answer that lets the browser send its call, so that its page reads the refusal.
fn allowed(head: &RequestHead) -> Reply {
    let asked = |name| Fields::get(&head.fields, name).unwrap_or_default();
    let mut lines = b"HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\n".to_vec();
    for (name, value) in [
        (
            "Access-Control-Allow-Methods",
            asked("access-control-request-method"),
        ),
        (
            "Access-Control-Allow-Headers",
            asked("access-control-request-headers"),
        ),
    ] {
        if !value.is_empty() {
            lines.extend_from_slice(name.as_bytes());
            lines.extend_from_slice(b": ");
            lines.extend_from_slice(value);
            lines.extend_from_slice(b"\r\n");
        }
    }
    lines.extend_from_slice(b"Cache-Control: no-store\r\nContent-Length: 0\r\n");
    Reply {
        head: lines,
        framing: Framing::None,
        status: hyper::StatusCode::OK,
        body: ResponseBody::Empty,
        close: false,
        trailer: None,
        tunnel: None,
    }
}
