//! One client connection of HTTP/1: parked while idle, driven while it has requests, lingering when it ends.
//!
//! A parked connection holds a socket and a few small values. While it has requests, one boxed future reads a request,
//! has it answered, sends the answer and goes on to the next; nothing of it is shared with another task but the body of a
//! request that the portal has answered early.

use crate::proxy::body::ClientBody;
use crate::proxy::call::client::Client;
use crate::proxy::call::context::Context;
use crate::proxy::call::handle::handle;
use crate::proxy::call::reply::Reply;
use crate::proxy::call::span::Span;
use crate::proxy::client::registry::Registry;
use crate::proxy::client::tunnel;
use crate::proxy::config::Timeouts;
use crate::proxy::http::fields::Name;
use crate::proxy::http::head::{Framing, Minor, RequestHead};
use crate::proxy::http::message_out::{MessageOut, WrongLength};
use crate::proxy::net::client_io::{BodyReader, ClientIo, Next};
use crate::proxy::net::fault::Fault;
use crate::proxy::net::link::{BadRequest, Control, Handle, Link};
use crate::proxy::net::scratch::with_scratch;
use crate::proxy::net::stream::{Prefix, Stream, Switched};
use crate::proxy::net::watch::{Look, limit, watched};
use crate::proxy::portal::body::Truncated;
use crate::telemetry::metrics::{LocalMetrics, Phase};
use bytes::Bytes;
use hyper::body::{Body, Frame};
use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};

/// How long an idle connection keeps its buffers before it is parked.
const PARK_AFTER: Duration = Duration::from_millis(100);

/// How long a head may take that has begun to come, or is the first of a new connection, when the connection drains.
const HALF_HEAD_GRACE: Duration = Duration::from_secs(1);

/// How long an answer is waited for whose client has ended its sending side. It may have closed the connection, which
/// cannot be told apart before something is sent to it, or may only have nothing more to say (RFC 9112 §9.6).
const HALF_CLOSED: Duration = Duration::from_secs(3);

/// How long a closing connection reads what its client still sends, so that the client reads the answer and not a reset:
/// in all, and while nothing comes (nginx's `lingering_time` and `lingering_timeout`); and how much. It is read into the
/// thread's own buffer, and the connection counts towards the limits.
const LINGER: Duration = Duration::from_secs(30);
const LINGER_IDLE: Duration = Duration::from_secs(5);
const LINGER_BYTES: usize = 256 * 1024 * 1024;

/// Bytes of a body that nobody wants which are read away, so that the connection can be used again.
const UNREAD: u64 = 64 * 1024;

/// A client's socket and machines, shared with the body of the request in hand.
type Io = Rc<RefCell<ClientIo>>;

/// A request, or what is answered in place of one.
type Came = Result<(RequestHead, Option<Bytes>), BadRequest>;

/// Whoever answers requests.
trait Answers {
    type Counts: Counts;

    /// The answer to a request, or to what came in place of one, and who counts it.
    fn answer(
        &self,
        head: Result<RequestHead, BadRequest>,
        body: ClientBody,
    ) -> impl Future<Output = (Reply, Self::Counts)>;
}

/// Counts an answer on its way out.
trait Counts {
    fn sent(&self, data: &Bytes);
    fn broke_off(&self);
}

impl Counts for Rc<Span> {
    fn sent(&self, data: &Bytes) {
        Span::sent(self, data);
    }
    fn broke_off(&self) {
        Span::broke_off(self);
    }
}

/// The data path, for one client.
struct Calls {
    context: Rc<Context>,
    client: Rc<Client>,
}

impl Answers for Calls {
    type Counts = Rc<Span>;

    fn answer(
        &self,
        head: Result<RequestHead, BadRequest>,
        body: ClientBody,
    ) -> impl Future<Output = (Reply, Rc<Span>)> {
        handle(&self.context, &self.client, head, body)
    }
}

/// A connection that is served.
struct Served<A> {
    answers: A,
    io: Io,
    link: Rc<Link>,
    control: Rc<Control>,
}

/// How driving a connection ended.
enum Ended {
    /// It is silent.
    Park,
    /// Nothing more is read or written but what lingers.
    Close,
    /// It broke: nobody would read what is said.
    Broken,
    /// Both sides have switched protocols.
    Switched(Switched),
}

/// Serves a connection to its end.
pub async fn serve(
    registry: Rc<Registry>,
    stream: Stream,
    prefix: Prefix,
    client: Client,
    link: Rc<Link>,
) {
    let control = Rc::<Control>::default();
    let registered = registry.register(Handle::new(control.clone(), link.clone()));
    let _open = registry.footprint.hold();
    let mut io = ClientIo::new(
        stream,
        registry.limits,
        link.clone(),
        control.clone(),
        prefix.bytes,
        prefix.since,
    );
    io.late = prefix.late;
    let io = Rc::new(RefCell::new(io));
    let served = Served {
        answers: Calls {
            context: registry.context.clone(),
            client: Rc::new(client),
        },
        io: io.clone(),
        link,
        control,
    };
    let timeouts = registry.context.config.timeouts;
    let interval = timeouts
        .header
        .min(timeouts.keep_alive)
        .min(timeouts.body)
        .max(Duration::from_millis(10));
    let mut first = true;
    let ended = loop {
        let waited = wait_for_head(&io, &served.control, &timeouts, interval, first).await;
        let Some(came) = waited else {
            break Ended::Close;
        };
        first = false;
        let driven = {
            let _driven = registry.footprint.hold();
            let mut busy = Box::pin(busy(&served, came));
            let interval = interval.min(PARK_AFTER);
            watched(&mut busy, interval, |now| {
                look(&io, &served.link, &timeouts, &registry.context.local, now)
            })
            .await
        };
        match driven {
            Some(Ended::Park) => io.borrow_mut().rest(),
            Some(ended) => break ended,
            None => break Ended::Broken,
        }
    };
    let registered = matches!(ended, Ended::Switched(_)).then_some(registered);
    // The body of a request whose portal answered early, or whose call goes on without its client, reads no more.
    let is_read = io.borrow().is_read();
    if is_read {
        io.borrow_mut().fail_body(Fault::Closed);
    }
    drop(served);
    let Some(io) = Rc::into_inner(io) else {
        return;
    };
    let io = io.into_inner();
    match ended {
        Ended::Switched(tunnel) => {
            let (stream, rest) = io.into_parts();
            tunnel::run(&registry, stream, rest, tunnel).await;
            drop(registered);
        }
        Ended::Close => linger(io).await,
        Ended::Park | Ended::Broken => {}
    }
}

/// Waits until a head has come whole; `None` if the connection is to be closed.
async fn wait_for_head(
    io: &Io,
    control: &Control,
    timeouts: &Timeouts,
    interval: Duration,
    first: bool,
) -> Option<Came> {
    let idle_limit = if first {
        timeouts.header
    } else {
        timeouts.keep_alive
    };
    let opened = Instant::now();
    let mut grace: Option<Pin<Box<tokio::time::Sleep>>> = None;
    let mut waiting = Box::pin(poll_fn(|cx| {
        if control.is_cut() {
            return Poll::Ready(Next::End);
        }
        match io.borrow_mut().poll_next(cx) {
            Poll::Pending if control.is_draining() => {}
            Poll::Pending => {
                control.watch(cx);
                return Poll::Pending;
            }
            ready => return ready,
        }
        control.watch(cx);
        // Who has just connected may have sent a request that is still on its way.
        let new = first && opened.elapsed() < HALF_HEAD_GRACE;
        let is_quiet = io.borrow().partial_head.is_none();
        if is_quiet && !new && grace.is_none() {
            return Poll::Ready(Next::End);
        }
        let grace = grace.get_or_insert_with(|| Box::pin(tokio::time::sleep(HALF_HEAD_GRACE)));
        std::task::ready!(grace.as_mut().poll(cx));
        if is_quiet {
            return Poll::Ready(Next::End);
        }
        let mut io = io.borrow_mut();
        io.late = true;
        io.poll_next(cx)
    }));
    let look = |now| {
        let mut io = io.borrow_mut();
        match io.partial_head {
            Some(since) if since + timeouts.header <= now => {
                io.late = true;
                Look::Acted
            }
            Some(since) => Look::Until(since + timeouts.header),
            None => match limit(io.read_wait, idle_limit) {
                Some(at) if at <= now => Look::End,
                Some(at) => Look::Until(at),
                None => Look::Idle,
            },
        }
    };
    came(watched(&mut waiting, interval, look).await?)
}

fn came(next: Next) -> Option<Came> {
    match next {
        Next::Request(head, body) => Some(Ok((head, body))),
        Next::Refused(why) => Some(Err(why)),
        Next::End => None,
    }
}

/// Serves requests for as long as they follow each other.
async fn busy<A: Answers>(served: &Served<A>, first: Came) -> Ended {
    let mut next = first;
    loop {
        served.link.enter();
        let answered = exchange(served, next).await;
        served.link.leave();
        let followed = match answered {
            Ok(()) => follow(&served.io, &served.control).await,
            Err(ended) => Err(ended),
        };
        next = match followed {
            Ok(came) => came,
            Err(ended) => return ended,
        };
    }
}

/// One request and its answer.
///
/// # Errors
/// How the connection ends, where another request cannot follow.
async fn exchange<A: Answers>(served: &Served<A>, came: Came) -> Result<(), Ended> {
    let Served { io, control, .. } = served;
    let (head, body) = match came {
        Ok((head, Some(whole))) => (Ok(head), ClientBody::Whole(Some(whole))),
        Ok((head, None)) if io.borrow().body_ended() => (Ok(head), ClientBody::Whole(None)),
        Ok((head, None)) => (Ok(head), ClientBody::Http1(BodyReader::new(io))),
        Err(why) => (Err(why), ClientBody::Whole(None)),
    };
    let asked = Asked::of(head.as_ref().ok());
    let answering = pin!(served.answers.answer(head, body));
    let (mut reply, span) = attended(io, control, answering).await?;
    let keeps = asked.keeps_alive && !reply.close && reply.framing != Framing::Close;
    let keeps = keeps && !control.is_draining() && !io.borrow().is_abandoned(UNREAD);
    let switched = reply.tunnel.take();
    send(io, control, &asked, reply, &span, keeps).await?;
    drop(span);
    if let Some(tunnel) = switched {
        return Err(Ended::Switched(*tunnel));
    }
    if keeps {
        return Ok(());
    }
    uploaded(io, control).await;
    Err(Ended::Close)
}

/// What of a request decides on the form of its answer.
struct Asked {
    minor: Minor,
    keeps_alive: bool,
    takes_trailers: bool,
}

impl Asked {
    /// What cannot be read is answered as HTTP/1.1, and is the connection's last.
    fn of(head: Option<&RequestHead>) -> Self {
        match head {
            Some(head) => Asked {
                minor: head.minor,
                keeps_alive: !head.wants_close(),
                takes_trailers: head.fields.has_token(Name::Te, "trailers"),
            },
            None => Asked {
                minor: Minor::One,
                keeps_alive: false,
                takes_trailers: false,
            },
        }
    }
}

/// What comes of `work`; `None` if the client's connection breaks before, or is cut.
async fn attended<T>(
    io: &Io,
    control: &Control,
    mut work: Pin<&mut impl Future<Output = T>>,
) -> Result<T, Ended> {
    poll_fn(|cx| {
        if control.is_cut() {
            return Poll::Ready(Err(Ended::Broken));
        }
        if let Poll::Ready(done) = work.as_mut().poll(cx) {
            return Poll::Ready(Ok(done));
        }
        control.watch(cx);
        match io.borrow_mut().poll_broken(cx) {
            Poll::Ready(()) => Poll::Ready(Err(Ended::Broken)),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Sends an answer whole.
///
/// # Errors
/// The client's connection or the portal's answer broke off: the client is to see it cut.
async fn send(
    io: &Io,
    control: &Control,
    asked: &Asked,
    reply: Reply,
    counts: &impl Counts,
    keeps: bool,
) -> Result<(), Ended> {
    let Reply {
        head,
        framing,
        status,
        body,
        trailer,
        ..
    } = reply;
    {
        let mut io = io.borrow_mut();
        let trailer = trailer.as_deref().filter(|_| asked.takes_trailers);
        let out = io.begin_answer(framing, trailer.unwrap_or(b""));
        out.extend_from_slice(&head);
        if status.as_u16() == 101 {
        } else if !keeps {
            out.extend_from_slice(b"Connection: close\r\n");
        } else if asked.minor == Minor::Zero {
            out.extend_from_slice(b"Connection: keep-alive\r\n");
        }
        out.extend_from_slice(b"\r\n");
    }
    let mut body = pin!(body);
    poll_fn(|cx| {
        if control.is_cut() {
            return Poll::Ready(Err(Ended::Broken));
        }
        loop {
            let mut broken = false;
            let mut waits = false;
            while !waits && !broken && io.borrow_mut().out().wants_body() {
                match body.as_mut().poll_frame(cx) {
                    Poll::Pending => waits = true,
                    Poll::Ready(frame) => {
                        let mut io = io.borrow_mut();
                        broken = add(io.out(), frame, body.is_end_stream(), counts).is_err();
                    }
                }
            }
            let mut io = io.borrow_mut();
            match io.poll_write(cx) {
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Ended::Broken)),
                Poll::Ready(Ok(())) if broken => return Poll::Ready(Err(Ended::Broken)),
                Poll::Ready(Ok(())) if io.out().is_done() => {
                    io.answered(Instant::now());
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(Ok(())) if !waits => continue,
                Poll::Ready(Ok(())) | Poll::Pending => {}
            }
            control.watch(cx);
            if io.poll_broken(cx).is_ready() {
                return Poll::Ready(Err(Ended::Broken));
            }
            return Poll::Pending;
        }
    })
    .await
}

/// Adds to the answer what came next of its body.
///
/// # Errors
/// The body broke off, or does not have the length that its head says.
fn add(
    out: &mut MessageOut,
    frame: Option<Result<Frame<Bytes>, Truncated>>,
    is_last: bool,
    counts: &impl Counts,
) -> Result<(), WrongLength> {
    let Some(frame) = frame else {
        return out.end(None);
    };
    let frame = frame.map_err(|Truncated| {
        counts.broke_off();
        WrongLength
    })?;
    match frame.into_data() {
        Ok(data) => {
            counts.sent(&data);
            out.data(&data, is_last)
        }
        Err(frame) => out.end(frame.into_trailers().ok().as_ref()),
    }
}

/// Waits while the body of a request that is answered already is read on: its client may read the answer only when it
/// has sent all.
async fn uploaded(io: &Io, control: &Control) {
    poll_fn(|cx| {
        control.watch(cx);
        let io = io.borrow();
        if control.is_cut() || io.body_ended() || io.body_failed() || !io.is_read() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await
}

/// The next request of a connection that is busy.
///
/// # Errors
/// How the connection ends, where there is none.
async fn follow(io: &Io, control: &Control) -> Result<Came, Ended> {
    poll_fn(|cx| {
        if control.is_cut() {
            return Poll::Ready(Err(Ended::Broken));
        }
        control.watch(cx);
        let mut io = io.borrow_mut();
        if io.body_failed() {
            return Poll::Ready(Err(Ended::Close));
        }
        // An answer may come before the end of its request. Whoever reads it goes on; else a little is read away.
        while !io.body_ended() {
            if io.is_read() {
                return Poll::Pending;
            }
            if io.is_abandoned(UNREAD) {
                return Poll::Ready(Err(Ended::Close));
            }
            if let Some(Err(_)) = std::task::ready!(io.poll_body(cx)) {
                return Poll::Ready(Err(Ended::Close));
            }
        }
        match io.poll_next(cx) {
            Poll::Ready(next) => Poll::Ready(came(next).ok_or(Ended::Close)),
            Poll::Pending if control.is_draining() && io.partial_head.is_none() => {
                Poll::Ready(Err(Ended::Close))
            }
            // Half a head gets its grace there.
            Poll::Pending if control.is_draining() => Poll::Ready(Err(Ended::Park)),
            Poll::Pending if io.may_park => Poll::Ready(Err(Ended::Park)),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// The time limits of a connection that is busy.
fn look(io: &Io, link: &Link, timeouts: &Timeouts, local: &LocalMetrics, now: Instant) -> Look {
    let mut io = io.borrow_mut();
    if let Some(since) = io.write_wait {
        // The client does not take its answer.
        let at = since + timeouts.body;
        if at > now {
            return Look::Until(at);
        }
        local.timeout(Phase::ClientWrite);
        link.set_fault(Fault::WriteTimeout);
        return Look::End;
    }
    if let Some(since) = io.partial_head {
        let at = since + timeouts.header;
        if at > now {
            return Look::Until(at);
        }
        io.late = true;
        return Look::Acted;
    }
    if let Some(since) = io.half_closed
        && !io.is_answering()
    {
        let at = since + HALF_CLOSED;
        return if at > now { Look::Until(at) } else { Look::End };
    }
    let Some(since) = io.read_wait else {
        return Look::Idle;
    };
    // Also behind an answer that came before the end of its request.
    if !io.body_ended() {
        let at = since + timeouts.body;
        if at > now {
            return Look::Until(at);
        }
        io.fail_body(Fault::ReadTimeout);
        return Look::Acted;
    }
    if link.in_flight() > 0 {
        return Look::Idle;
    }
    if since + timeouts.keep_alive <= now {
        local.timeout(Phase::KeepAlive);
        return Look::End;
    }
    if since + PARK_AFTER <= now {
        io.may_park = true;
        return Look::Acted;
    }
    Look::Until(since + PARK_AFTER)
}

/// Ends a connection so that the client can read the answer that came before the end.
async fn linger(io: ClientIo) {
    let unread = io.has_unread();
    let (mut stream, _) = io.into_parts();
    if unread || stream.says_its_end() {
        let _ = stream.shutdown().await;
    }
    if !unread {
        return;
    }
    let _ = tokio::time::timeout(LINGER, async {
        let mut total = 0;
        while total < LINGER_BYTES {
            let read = poll_fn(|cx| {
                with_scratch(|scratch| {
                    let mut buffer = ReadBuf::new(scratch);
                    let polled = Pin::new(&mut stream).poll_read(cx, &mut buffer);
                    polled.map_ok(|()| buffer.filled().len())
                })
            });
            match tokio::time::timeout(LINGER_IDLE, read).await {
                Ok(Ok(read @ 1..)) => total += read,
                _ => break,
            }
        }
    })
    .await;
}

#[cfg(test)]
mod tests;
