//! HTTP/2 from clients (`--http2`).
//!
//! A request's fields are written down as an HTTP/1.1 head and read by the same strict reader as all others, so that
//! nothing can be said in HTTP/2 that would read differently behind the proxy (RFC 9113 §10.3).

use crate::protocol::answer::Format;
use crate::proxy::body::ClientBody;
use crate::proxy::call::client::Client;
use crate::proxy::call::context::Context as Calls;
use crate::proxy::call::handle::handle;
use crate::proxy::call::reply;
use crate::proxy::call::reply::Reply;
use crate::proxy::call::response_body::ResponseBody;
use crate::proxy::call::span::{Span, SpannedBody};
use crate::proxy::client::admission::{Counted, Full};
use crate::proxy::client::frames::Frames;
use crate::proxy::client::registry::Registry;
use crate::proxy::error::{Failure, Kind as FailureKind};
use crate::proxy::http::head::{HeadError, RequestHead};
use crate::proxy::http::read::read_request;
use crate::proxy::net::link::{BadRequest, Control, Handle, Link};
use crate::proxy::net::stream::Prefix;
use crate::proxy::net::stream::Stream;
use crate::proxy::net::watch;
use crate::proxy::net::watch::Look;
use crate::proxy::portal::body::Truncated;
use crate::telemetry::metrics::{ConnectionRefused, Kind, LocalMetrics, Phase};
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{COOKIE, HeaderName, HeaderValue};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Streams that a client may have open at once (RFC 9113 §6.5.2).
pub const STREAMS: u32 = 100;
/// Bytes of a body that a client may send ahead, for a stream and for the connection.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 256 * 1024;
/// Bytes of answers that are held for a stream.
const SEND_BUFFER: usize = 64 * 1024;
/// Streams reset by the client, or by us for its errors, that are remembered before the connection ends
/// (CVE-2023-44487, CVE-2025-8671).
const RESETS: usize = 32;
/// Streams of a new connection that are handled at once. Each good answer lets one more in: a client that opens a hundred
/// and breaks off, again and again, must not cost the portal a hundred connections each time.
const FIRST_STREAMS: u32 = 8;
/// How long a stream waits for its turn at most.
const TURN: Duration = Duration::from_secs(1);
/// How often a connection looks at its time limits.
const TICK: Duration = Duration::from_millis(500);

/// Serves an HTTP/2 connection to its end; `peer` is whose limit it counts towards.
// Long: the settings of the connection, then its loop.
pub async fn serve(
    registry: Rc<Registry>,
    stream: Stream,
    prefix: Prefix,
    client: Client,
    link: Rc<Link>,
    peer: Option<IpAddr>,
) {
    let control = Rc::<Control>::default();
    let _registered = registry.register(Handle::new(control.clone(), link.clone()));
    let _open = registry.footprint.hold();
    let client = Rc::new(client);
    // Whether a stream came since the last look: it may have come and gone between two.
    let asked = Rc::new(Cell::new(false));
    let service = {
        let (registry, link, asked) = (registry.clone(), link.clone(), asked.clone());
        let turns = Rc::new(StreamTurns {
            room: Semaphore::new(FIRST_STREAMS as usize),
            size: Cell::new(FIRST_STREAMS),
            open: Cell::new(0),
            counted: RefCell::default(),
            peer,
        });
        service_fn(move |request| {
            asked.set(true);
            answer(
                registry.clone(),
                client.clone(),
                link.clone(),
                turns.clone(),
                request,
            )
        })
    };
    let timeouts = registry.context.config.timeouts;
    let tasks = Tasks {
        limit: timeouts.body,
        local: registry.context.local.clone(),
    };
    let mut builder = http2::Builder::new(tasks);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(RESETS)
        .max_header_list_size(u32::try_from(registry.context.config.max_head).unwrap_or(u32::MAX))
        .auto_date_header(false)
        .keep_alive_interval(Some(timeouts.keep_alive))
        .keep_alive_timeout(Duration::from_secs(20));
    let (frames, pace) = Frames::new(stream, prefix);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(frames), service));
    let idle = timeouts.keep_alive;
    let mut told = false;
    let mut late = false;
    let mut tick = tokio::time::interval(TICK.min(idle).min(timeouts.header));
    let mut quiet_since = Instant::now();
    let mut quiet_looks = 0;
    loop {
        tokio::select! {
            _ = connection.as_mut() => break,
            () = control.woken(), if !told => {}
            _ = tick.tick() => {}
        }
        if asked.take() || link.in_flight() > 0 {
            quiet_since = Instant::now();
            quiet_looks = 0;
        } else {
            quiet_looks += 1;
        }
        // Not at the first look: the last answer may still be on its way out.
        if control.is_cut() || late && quiet_looks > 1 {
            break;
        }
        if !late
            && pace
                .since()
                .is_some_and(|since| since.elapsed() > timeouts.header)
        {
            // There is no stream yet that could be answered; those that are get their answers.
            late = true;
            registry.context.local.head_error(408);
            registry.context.local.timeout(Phase::Header);
        }
        if !told && (late || control.is_draining() || quiet_since.elapsed() > idle) {
            told = true;
            connection.as_mut().graceful_shutdown();
        }
    }
}

async fn answer(
    registry: Rc<Registry>,
    connection: Rc<Client>,
    link: Rc<Link>,
    turns: Rc<StreamTurns>,
    request: Request<Incoming>,
) -> Result<Response<StreamBody>, Infallible> {
    // A stream is a connection of its own to whoever handles it: its faults are not its neighbours'.
    let client = Rc::new(connection.stream());
    link.enter();
    let mut in_flight = InFlight(link, None);
    let (reply, span) = match turns.count_in(&registry) {
        Ok(counted) => {
            in_flight.1 = Some(counted);
            let turn = turns.take().await;
            let (head, body) = read(&registry, request);
            let stall = registry.context.config.timeouts.body;
            let body = ClientBody::http2(body, stall, client.fault.clone());
            let answered = handle(&registry.context, &client, head, body).await;
            drop(turn);
            turns.answered(&answered.0);
            answered
        }
        Err(full) => too_many(
            &registry.context,
            &client,
            full,
            request.method() == Method::HEAD,
        ),
    };
    let given = GIVEN.try_with(Rc::clone).unwrap_or_default();
    given.set(Some(Instant::now()));
    Ok(response(reply, |body| StreamBody {
        body: SpannedBody::new(body, span),
        given,
        _in_flight: in_flight,
    }))
}

/// Whose turn it is among the streams of a connection, and what they count.
struct StreamTurns {
    room: Semaphore,
    size: Cell<u32>,
    open: Cell<u32>,
    /// One for each open stream but one: that is the connection's own.
    counted: RefCell<Vec<Counted>>,
    peer: Option<IpAddr>,
}

impl StreamTurns {
    /// Counts a stream as a connection, unless it is the only one of its own.
    fn count_in(self: &Rc<Self>, registry: &Registry) -> Result<CountedStream, Full> {
        if self.open.get() > 0 {
            let counted = registry.admission.count_in(self.peer)?;
            self.counted.borrow_mut().push(counted);
        }
        self.open.set(self.open.get() + 1);
        Ok(CountedStream(self.clone()))
    }

    /// A turn, first come, first served; none where it was waited for long enough.
    async fn take(&self) -> Option<SemaphorePermit<'_>> {
        if let Ok(turn) = self.room.try_acquire() {
            return Some(turn);
        }
        let turn = Box::pin(tokio::time::timeout(TURN, self.room.acquire())).await;
        // hyper looks for a stream's end while it is waited for: one that has ended meanwhile goes no further.
        tokio::task::yield_now().await;
        turn.ok()?.ok()
    }

    fn answered(&self, reply: &Reply) {
        if reply.status.as_u16() < 400 && self.size.get() < STREAMS {
            self.size.set(self.size.get() + 1);
            self.room.add_permits(1);
        }
    }
}

/// A stream that counts as a connection for as long as this is held.
struct CountedStream(Rc<StreamTurns>);

impl Drop for CountedStream {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
        self.0.counted.borrow_mut().pop();
    }
}

/// Answers a stream that is one too many.
fn too_many(context: &Rc<Calls>, client: &Client, full: Full, to_head: bool) -> (Reply, Rc<Span>) {
    context
        .local
        .connection_refused(ConnectionRefused::from(full));
    let span = Span::begin(context, client, None, Kind::Other, Instant::now());
    let error = Failure::from(FailureKind::TooManyStreams);
    span.failed(&error);
    let reply = reply::error(&error, Format::Json, to_head, span.id_line().as_bytes());
    span.answered(reply.status.as_u16(), reply.head.len());
    (reply, span)
}

/// A stream that is counted until its answer has gone or it was reset.
struct InFlight(Rc<Link>, Option<CountedStream>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.leave();
    }
}

tokio::task_local! {
    /// Since when the client is waited for to take a piece of the stream's answer; `None` while there is none.
    static GIVEN: Rc<Cell<Option<Instant>>>;
}

/// An answer's body; it knows since when a piece of it waits for the client.
struct StreamBody {
    body: SpannedBody,
    given: Rc<Cell<Option<Instant>>>,
    _in_flight: InFlight,
}

impl Body for StreamBody {
    type Data = Bytes;
    type Error = Truncated;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Truncated>>> {
        let this = self.get_mut();
        // hyper asks for the next piece when the client's window has room for it.
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        this.given.set(polled.is_ready().then(Instant::now));
        polled
    }
    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// hyper's tasks, one for each stream, on the thread that they belong to. One whose client does not take its answer ends
/// with its stream reset.
#[derive(Clone)]
struct Tasks {
    limit: Duration,
    local: LocalMetrics,
}

impl<F: Future + 'static> hyper::rt::Executor<F> for Tasks {
    fn execute(&self, future: F) {
        let Tasks { limit, local } = self.clone();
        let given = Rc::<Cell<Option<Instant>>>::default();
        let watched = given.clone();
        tokio::task::spawn_local(GIVEN.scope(given, async move {
            let mut future = std::pin::pin!(future);
            let look = |now| match watched.get() {
                Some(since) if since + limit <= now => {
                    local.timeout(Phase::ClientWrite);
                    Look::End
                }
                Some(since) => Look::Until(since + limit),
                None => Look::Idle,
            };
            watch::watched(&mut future, limit.min(Duration::from_secs(1)), look).await;
        }));
    }
}

/// Writes the request's head as HTTP/1.1 and reads it strictly.
fn read(
    registry: &Registry,
    request: Request<Incoming>,
) -> (Result<RequestHead, BadRequest>, Incoming) {
    let (parts, body) = request.into_parts();
    let mut raw = Vec::with_capacity(1024);
    raw.extend_from_slice(parts.method.as_str().as_bytes());
    raw.push(b' ');
    raw.extend_from_slice(
        parts
            .uri
            .path_and_query()
            .map_or("/", |p| p.as_str())
            .as_bytes(),
    );
    raw.extend_from_slice(b" HTTP/1.1\r\n");
    let mut line = |name: &[u8], value: &[u8]| {
        raw.extend_from_slice(name);
        raw.extend_from_slice(b": ");
        raw.extend_from_slice(value);
        raw.extend_from_slice(b"\r\n");
    };
    let authority = parts.uri.authority().map(|a| a.as_str().as_bytes());
    match (authority, parts.headers.get(hyper::header::HOST)) {
        // RFC 9113 §8.3.1: where both are given they must agree.
        (Some(authority), Some(host)) if authority != host.as_bytes() => {
            return (
                Err(BadRequest::Head(HeadError::Malformed(
                    "Host and :authority differ",
                ))),
                body,
            );
        }
        (Some(authority), None) => line(b"host", authority),
        _ => {}
    }
    let mut cookies: Vec<&[u8]> = Vec::new();
    for (name, value) in &parts.headers {
        if name == COOKIE {
            cookies.push(value.as_bytes());
        } else if name != hyper::header::TRANSFER_ENCODING && name != hyper::header::CONNECTION {
            line(name.as_str().as_bytes(), value.as_bytes());
        }
    }
    if !cookies.is_empty() {
        // RFC 9113 §8.2.3: one field in HTTP/1.1.
        line(b"cookie", &cookies.join(&b"; "[..]));
    }
    if !body.is_end_stream() && !parts.headers.contains_key(hyper::header::CONTENT_LENGTH) {
        line(b"transfer-encoding", b"chunked");
    }
    raw.extend_from_slice(b"\r\n");
    if raw.len() > registry.limits.head + registry.limits.target {
        return (Err(BadRequest::Head(HeadError::TooLarge)), body);
    }
    (
        read_request(Bytes::from(raw), &registry.limits).map_err(BadRequest::Head),
        body,
    )
}

/// The reply's head as HTTP/2 fields: names in lower case, nothing of a connection.
pub fn response<B>(reply: Reply, body: impl FnOnce(ResponseBody) -> B) -> Response<B> {
    let mut response = Response::new(body(reply.body));
    *response.status_mut() = reply.status;
    for line in reply.head.split(|b| *b == b'\n').skip(1) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Some(colon) = line.iter().position(|b| *b == b':') else {
            continue;
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        else {
            continue;
        };
        if name != hyper::header::TRANSFER_ENCODING && name != hyper::header::CONNECTION {
            response.headers_mut().append(name, value);
        }
    }
    response
}
