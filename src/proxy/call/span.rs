//! What is counted and logged of one request, when its answer has gone.

use crate::protocol::target::Place;
use crate::protocol::{self, target};
use crate::proxy::call::client::Client;
use crate::proxy::call::context::Context;
use crate::proxy::call::request_id::RequestId;
use crate::proxy::call::response_body::ResponseBody;
use crate::proxy::call::usage::{self, Batch, Passing};
use crate::proxy::error::Failure;
use crate::proxy::http::fields::{Fields, Name};
use crate::proxy::http::head::{Framing, RequestHead, ResponseHead};
use crate::proxy::pacing::flow::Who;
use crate::proxy::portal::body::Truncated;
use crate::telemetry::access::AccessLine;
use crate::telemetry::metrics::{
    ErrorCode, Fault, Held, Kind, Label, Open, Outcome, RequestSeen, Sent, Usage,
};
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::cell::{Cell, OnceCell};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::{Duration, Instant, SystemTime};

/// One request, from its head to the end of its answer; counted when it is dropped.
pub struct Span {
    context: Rc<Context>,
    received: Rc<Cell<u64>>,
    /// Of the connection before the request, where its body's length is not known from its head.
    bytes_before: Option<u64>,
    /// Of the head, and of the body where its length is known.
    bytes_in: u64,
    bytes_out: Cell<u64>,
    began: Instant,
    kind: Kind,
    outcome: Cell<Outcome>,
    fault: Cell<Fault>,
    status: Cell<u16>,
    /// Waiting for the portal, or for the client's body.
    waited: Cell<Duration>,
    upstream: Cell<Option<Duration>>,
    /// Waiting for a turn before the portal's limit.
    held_back: Cell<Option<Duration>>,
    /// When the answer's head was ready.
    ready: Cell<Option<Instant>>,
    error: Cell<Option<ErrorCode>>,
    sent: Cell<Option<Sent>>,
    /// The request is on its way to the portal.
    begun: Cell<bool>,
    id: OnceCell<RequestId>,
    access: Option<Box<AccessFacts>>,
    /// Its answer, where its last bytes tell of the portal's time.
    passing: OnceCell<Box<Passing>>,
    /// A batch as it was sent.
    batch: Cell<Option<Box<Batch>>>,
    _open: Held,
}

/// What only the access log needs.
struct AccessFacts {
    timestamp: SystemTime,
    client_request_id: Option<String>,
    trace_id: Option<String>,
    method: String,
    path: String,
    user_agent: Option<String>,
    flow: Option<String>,
    client: Option<std::net::IpAddr>,
    scheme: &'static str,
    version: &'static str,
}

impl Span {
    pub fn begin(
        context: &Rc<Context>,
        client: &Client,
        head: Option<(&RequestHead, &Place<'_>)>,
        kind: Kind,
        began: Instant,
    ) -> Rc<Self> {
        let (head, place) = head.unzip();
        let head_length = head.map_or(0, |h| h.fields.raw().len() as u64);
        let body_length = match head.map(|h| h.framing) {
            None | Some(Framing::None) => Some(0),
            Some(Framing::Length(length)) => Some(length),
            Some(Framing::Chunked | Framing::Close) => None,
        };
        let access = context
            .calls
            .telemetry
            .access_log
            .as_ref()
            .map(|_| Box::new(AccessFacts::of(context, client, head, place)));
        Rc::new(Span {
            _open: context.local.open(Open::Request),
            context: context.clone(),
            received: client.received.clone(),
            bytes_before: body_length.is_none().then(|| client.received.get()),
            bytes_in: head_length + body_length.unwrap_or(0),
            bytes_out: Cell::new(0),
            began,
            kind,
            outcome: Cell::new(Outcome::Forwarded),
            fault: Cell::new(Fault::None),
            status: Cell::new(0),
            waited: Cell::default(),
            upstream: Cell::default(),
            held_back: Cell::default(),
            ready: Cell::default(),
            error: Cell::default(),
            sent: Cell::default(),
            begun: Cell::default(),
            id: OnceCell::new(),
            access,
            passing: OnceCell::new(),
            batch: Cell::default(),
        })
    }

    /// The request is a batch, and its answer may tell of its commands.
    pub fn is_batch(&self, batch: Option<Box<Batch>>) {
        self.batch.set(batch);
    }

    /// The answer may tell of the portal's time: at once where it is at hand `whole`, else when its end has passed. `counted`
    /// are keys of commands whose errors are counted already.
    pub fn passes(
        &self,
        head: &ResponseHead,
        whole: Option<&Bytes>,
        method: &str,
        caller: impl FnOnce() -> Option<Arc<str>>,
        counted: impl FnOnce() -> Vec<String>,
    ) {
        let batch = self.batch.take();
        if head.status != 200 {
            return;
        }
        if !usage::may_tell(head) || self.kind == Kind::Batch && batch.is_none() {
            self.context.local.usage(Usage::Unseen);
            return;
        }
        match whole {
            Some(whole) if batch.is_none() => {
                usage::of_whole(&self.context, method, whole, caller);
            }
            _ => {
                let passing = Passing::new(head.framing, method, caller(), batch, counted());
                let _ = self.passing.set(Box::new(passing));
            }
        }
    }

    pub fn began(&self) -> Instant {
        self.began
    }

    /// The line that tells our id of the request.
    pub fn id_line(&self) -> String {
        ["X-B24-Proxy-Request-Id: ", self.id().as_str(), "\r\n"].concat()
    }

    /// The line that tells our id, where ops ask for one.
    pub fn id_line_if_asked(&self) -> String {
        if self.context.config.request_id_header {
            self.id_line()
        } else {
            String::new()
        }
    }

    /// Time that was the client's or the portal's.
    pub fn waited(&self, time: Duration) {
        self.waited.set(self.waited.get() + time);
    }

    /// The portal's answer came this long after the last byte was sent to it.
    pub fn upstream(&self, time: Duration) {
        self.upstream.set(Some(time));
    }

    /// The call waited so long for its turn before the portal's limit.
    pub fn held_back(&self, time: Duration) {
        self.held_back
            .set(Some(self.held_back.get().unwrap_or_default() + time));
    }

    /// How long it waited for that, where it did.
    pub fn time_held_back(&self) -> Option<Duration> {
        self.held_back.get()
    }

    pub fn outcome(&self, outcome: Outcome) {
        self.outcome.set(outcome);
    }

    /// Our id of the request: always our own, whatever the client sent.
    pub fn id(&self) -> RequestId {
        *self.id.get_or_init(|| self.context.next_id())
    }

    /// Whether a deprecated call was refused.
    pub fn is_refused(&self) -> bool {
        self.outcome.get() == Outcome::Refused
    }

    /// The answer's head is ready.
    pub fn answered(&self, status: u16, head_length: usize) {
        self.bytes_out.set(head_length as u64);
        self.status.set(status);
        self.ready.set(Some(Instant::now()));
        if status >= 500 && self.fault.get() == Fault::None {
            self.fault.set(Fault::Portal);
        }
    }

    /// Bytes of the answer's body go out.
    pub fn sent(&self, bytes: &[u8]) {
        self.bytes_out
            .set(self.bytes_out.get() + bytes.len() as u64);
        if let Some(passing) = self.passing.get() {
            passing.bytes(bytes);
        }
    }

    /// The answer is an error of ours.
    pub fn failed(&self, failure: &Failure) {
        let row = failure.row();
        self.error.set(Some(row.code));
        self.sent.set(Some(failure.sent));
        self.fault.set(row.side);
        if self.outcome.get() != Outcome::Refused {
            self.outcome.set(Outcome::Error);
        }
        self.context.local.own_error(row.code);
        if let Some(phase) = row.phase {
            self.context.local.timeout(phase);
        }
    }

    /// The request is on its way to the portal.
    pub fn begins_to_send(&self) {
        self.begun.set(true);
    }

    /// The portal's answer broke off behind its head.
    pub fn broke_off(&self) {
        self.sent.set(Some(Sent::Perhaps));
    }

    /// Whether the portal may have the request, where the client got no whole answer of the portal.
    fn may_be_sent(&self) -> Option<Sent> {
        match self.sent.get() {
            None if self.status.get() == 0 && self.begun.get() => Some(Sent::Perhaps),
            None if self.status.get() == 0 => Some(Sent::Nothing),
            sent => sent,
        }
    }
}

impl AccessFacts {
    fn of(
        context: &Context,
        client: &Client,
        head: Option<&RequestHead>,
        place: Option<&Place<'_>>,
    ) -> Self {
        let text = |value: Option<&[u8]>| value.map(target::mask);
        let fields = head.map(|h| &h.fields);
        let address = head.map_or(client.address, |h| context.client_address(client, h));
        let is_rest = |place: &&Place<'_>| !matches!(place, Place::Elsewhere);
        let flow = head.zip(place.filter(is_rest)).map(|(head, place)| {
            let rest = &context.config.rest_path;
            let who = Who::of(place, rest, &head.fields, head.target(), address);
            context.calls.telemetry.fingerprints.of_bytes(&who.bytes())
        });
        AccessFacts {
            flow,
            timestamp: SystemTime::now(),
            client_request_id: fields.and_then(|f| text(protocol::Fields::get(f, "x-request-id"))),
            trace_id: fields.and_then(trace_id).map(str::to_owned),
            method: head.map_or_else(
                || "?".into(),
                |h| String::from_utf8_lossy(h.method()).into_owned(),
            ),
            path: head.map_or_else(
                || "?".into(),
                |h| target::masked_path(h.target(), &context.config.rest_path),
            ),
            user_agent: fields.and_then(|f| text(protocol::Fields::get(f, "user-agent"))),
            client: address,
            scheme: client.scheme,
            version: match head.map(|h| h.minor) {
                Some(crate::proxy::http::head::Minor::Zero) => "1.0",
                _ => client.version(),
            },
        }
    }
}

/// The trace id of W3C `traceparent`.
pub fn trace_id(fields: &Fields) -> Option<&str> {
    let value = fields.first(Name::Traceparent)?;
    let id = value.split(|b| *b == b'-').nth(1)?;
    let is_one = id.len() == 32 && id.iter().all(u8::is_ascii_hexdigit);
    str::from_utf8(id).ok().filter(|_| is_one)
}

impl Drop for Span {
    fn drop(&mut self) {
        let now = Instant::now();
        let total = now - self.began;
        let until_ready = self.ready.get().unwrap_or(now) - self.began;
        let of_body = self
            .bytes_before
            .map_or(0, |before| self.received.get().saturating_sub(before));
        let seen = RequestSeen {
            outcome: self.outcome.get(),
            kind: self.kind,
            fault: self.fault.get(),
            status: self.status.get(),
            total,
            own: until_ready.saturating_sub(self.waited.get()),
            upstream: self.upstream.get(),
            bytes_in: self.bytes_in + of_body,
            bytes_out: self.bytes_out.get(),
        };
        self.context.local.request(&seen);
        if let Some(passing) = self.passing.get() {
            passing.ended(&self.context);
        }
        if let Some(access) = &self.access {
            self.context.calls.telemetry.access(&AccessLine {
                timestamp: access.timestamp,
                request_id: self.id().as_str(),
                client_request_id: access.client_request_id.as_deref(),
                trace_id: access.trace_id.as_deref(),
                method: &access.method,
                path: &access.path,
                protocol_version: access.version,
                scheme: access.scheme,
                client_address: access.client,
                user_agent: access.user_agent.as_deref(),
                status: Some(seen.status).filter(|status| *status != 0),
                request_bytes: seen.bytes_in,
                response_bytes: seen.bytes_out,
                outcome: seen.outcome.as_str(),
                error: self.error.get().map(Label::as_str),
                sent: self.may_be_sent(),
                duration: total,
                flow: access.flow.as_deref(),
                waited: self.held_back.get(),
            });
        }
    }
}

/// An answer's body, with the request's span, which ends with it.
pub struct SpannedBody {
    body: ResponseBody,
    span: Rc<Span>,
}

impl SpannedBody {
    pub fn new(body: ResponseBody, span: Rc<Span>) -> Self {
        SpannedBody { body, span }
    }
}

impl Body for SpannedBody {
    type Data = Bytes;
    type Error = Truncated;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Truncated>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            self.span.sent(data);
        }
        if let Poll::Ready(Some(Err(Truncated))) = &polled {
            self.span.broke_off();
        }
        polled
    }
    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
