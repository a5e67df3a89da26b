//! Sends a request to the portal: the one place where a request for it is planned.

use crate::proxy::body::RequestBody;
use crate::proxy::call::client::Client;
use crate::proxy::call::context::Context;
use crate::proxy::call::span::Span;
use crate::proxy::error::{Failure, Kind};
use crate::proxy::http::fields::Name;
use crate::proxy::http::forward::{self, BodyPlan, RequestPlan};
use crate::proxy::http::head::RequestHead;
use crate::proxy::net::fault::Fault;
use crate::proxy::portal::{Answer, Sending};
use crate::telemetry::metrics::Sent;
use std::time::Instant;

/// What of a request goes out otherwise than it came.
pub struct Outgoing<'a> {
    /// The target, if translation changed it.
    pub target: Option<&'a [u8]>,
    pub body: RequestBody,
    pub plan: BodyPlan,
    /// Pass `Upgrade` on.
    pub upgrade: bool,
    /// The answer has to be read: it must not be compressed.
    pub plain_answer: bool,
    /// From which of the source addresses, by number.
    pub source: usize,
    /// The portal may refuse it for its limit: it may have to be sent again.
    pub keep: bool,
}

impl<'a> Outgoing<'a> {
    pub fn new(target: Option<&'a [u8]>, body: RequestBody, plan: BodyPlan) -> Self {
        Outgoing {
            target,
            body,
            plan,
            upgrade: false,
            plain_answer: false,
            source: 0,
            keep: false,
        }
    }

    /// How the head for the portal is written; `add` are lines of ours.
    pub fn plan<'p>(&self, context: &'p Context, client: &Client, add: &'p [u8]) -> RequestPlan<'p>
    where
        'a: 'p,
    {
        RequestPlan {
            target: self.target,
            host: context.host.as_deref(),
            client: client.address,
            scheme: client.scheme,
            trusted: client.trusted,
            body: self.plan,
            upgrade: self.upgrade,
            plain_answer: self.plain_answer,
            add,
        }
    }

    /// How the request goes out, of which `write` writes the head.
    pub fn sending<'s>(
        &self,
        head: &'s RequestHead,
        write: &'s dyn Fn(&mut Vec<u8>),
        since: Instant,
    ) -> Sending<'s> {
        Sending {
            source: self.source,
            since,
            head: write,
            to_head: head.method() == b"HEAD",
            upgrade: self.upgrade,
            framing: self.plan.framing(head.framing),
            trailer: head.fields.first(Name::Trailer),
            keep: self.keep,
        }
    }
}

/// Sends a request to the portal and waits for the head of its answer.
pub async fn send(
    context: &Context,
    client: &Client,
    span: &Span,
    head: &RequestHead,
    outgoing: Outgoing<'_>,
) -> Result<Answer, Failure> {
    let id_line = span.id_line_if_asked();
    let since = Instant::now();
    span.begins_to_send();
    let plan = outgoing.plan(context, client, id_line.as_bytes());
    let write = |out: &mut Vec<u8>| forward::request(head, &plan, out);
    let sending = outgoing.sending(head, &write, since);
    let answer = context.upstream.send(&sending, outgoing.body).await;
    match &answer {
        Ok(answer) => {
            span.waited(answer.came - since);
            span.upstream(answer.after);
        }
        Err(_) => span.waited(since.elapsed()),
    }
    answer
}

/// A call that failed because its client did is the client's error.
pub fn blame(client: &Client, failure: Failure) -> Failure {
    match client.fault.get() {
        Some(
            fault @ (Fault::BadChunk(_) | Fault::ReadTimeout | Fault::Closed | Fault::Broken(_)),
        ) => client_failed(Some(fault), failure.sent),
        _ => failure,
    }
}

/// The failure of a client that did not send its body.
pub fn client_failed(fault: Option<Fault>, sent: Sent) -> Failure {
    match fault {
        Some(Fault::BadChunk(what)) => Failure::new(Kind::BadBody, what).with_sent(sent),
        Some(Fault::ReadTimeout) => Failure::body_timeout(sent),
        _ => Failure::from(Kind::ClientGone).with_sent(sent),
    }
}
