//! A connection to the portal and the one exchange that it carries at a time: a request out, an answer in.
//!
//! It has no task of its own: who waits for the answer drives it. So a call is handed to nobody, what was written of it is
//! known to the byte, and heads go out and come in as they are. (hyper's client has a task for each connection, two
//! channels for each exchange, and a form of heads in which their case and order are lost.)

use crate::proxy::body::RequestBody;
use crate::proxy::http::body_in::BodyIn;
use crate::proxy::http::fields::{Name, list_items};
use crate::proxy::http::head::{Framing, HeadError, Limits, ResponseHead};
use crate::proxy::http::message_out::{Left, MessageOut, Pending};
use crate::proxy::http::read::{EndFinder, read_response};
use crate::proxy::net::fault::Fault;
use crate::proxy::net::own_ends::OwnEnd;
use crate::proxy::net::scratch::with_scratch;
use crate::proxy::net::stream::Stream;
use crate::proxy::net::watch::is_over;
use crate::telemetry::metrics::Held;
use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Frame};
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// Bytes of an answer's body that are read at once, to begin with and at most.
const READ: usize = 16 * 1024;
const READ_MOST: usize = 512 * 1024;

/// How long the portal may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// From the last byte sent to the head of the answer, and for taking bytes.
    pub response: Duration,
    /// Between two pieces of an answer's body.
    pub body: Duration,
}

impl Patience {
    /// How often it is looked at at least.
    fn interval(&self) -> Duration {
        self.response.min(self.body).max(Duration::from_millis(10))
    }
}

/// What has to be known of a request to carry it.
pub struct Asked<'a> {
    /// How its body goes out.
    pub framing: Framing,
    /// It is a HEAD: its answer has no body.
    pub to_head: bool,
    /// It asks for another protocol.
    pub upgrade: bool,
    /// The value of its `Trailer`.
    pub trailer: Option<&'a [u8]>,
    /// A body that is whole is held until the answer's head: it may have to be sent again.
    pub keep: bool,
}

/// A connection to the portal.
pub struct Connection {
    stream: Stream,
    limits: Limits,
    patience: Patience,
    /// Wakes who drives the connection when a limit may have passed: one timer for all phases of all exchanges, set
    /// again only when it has fired.
    timer: Pin<Box<Sleep>>,
    /// Until when it may be in the pool.
    pub idle_until: Instant,
    pub counted: Held,
    _ends: Option<OwnEnd>,
    request: Request,
    answer: Answer,
}

/// The request on its way out.
struct Request {
    message: MessageOut,
    body: RequestBody,
    /// A body that is held whole, in case that it has to be sent on another connection.
    kept: Option<Bytes>,
    /// It is held beyond that, until the answer's head has come.
    keep: bool,
    /// Of a streamed body something was taken, its end or its failure too.
    begun: bool,
    /// The body was waited for once, so that its first piece goes out with the head.
    held: bool,
    wrote: bool,
    sent: bool,
    /// The portal takes no more of it, but may have answered.
    stuck: bool,
    last_write: Instant,
    write_wait: Option<Instant>,
}

/// The answer on its way in.
struct Answer {
    to_head: bool,
    upgrade: bool,
    awaited: bool,
    /// A head of which only a part has come.
    input: Vec<u8>,
    finder: EndFinder,
    body: BodyIn,
    keeps_alive: bool,
    /// How long the portal says that it keeps the connection, less the time that its close may be on its way.
    kept_for: Option<Duration>,
    buffer: BytesMut,
    read: usize,
    read_wait: Option<Instant>,
}

impl Connection {
    pub fn new(
        stream: Stream,
        limits: Limits,
        patience: Patience,
        counted: Held,
        ends: Option<OwnEnd>,
    ) -> Box<Self> {
        let now = Instant::now();
        Box::new(Connection {
            stream,
            limits,
            patience,
            timer: Box::pin(tokio::time::sleep(patience.interval())),
            idle_until: now,
            counted,
            _ends: ends,
            request: Request {
                message: MessageOut::default(),
                body: RequestBody::Empty,
                kept: None,
                keep: false,
                begun: false,
                held: false,
                wrote: false,
                sent: true,
                stuck: false,
                last_write: now,
                write_wait: None,
            },
            answer: Answer {
                to_head: false,
                upgrade: false,
                awaited: false,
                input: Vec::new(),
                finder: EndFinder::default(),
                body: BodyIn::default(),
                keeps_alive: true,
                kept_for: None,
                buffer: BytesMut::new(),
                read: READ,
                read_wait: None,
            },
        })
    }

    /// Whether an idle connection can carry a request: it is open, and nothing came on it that nobody asked for.
    pub fn is_usable(&mut self) -> bool {
        let mut byte = [0];
        let mut context = Context::from_waker(Waker::noop());
        let mut buffer = ReadBuf::new(&mut byte);
        Pin::new(&mut self.stream)
            .poll_read(&mut context, &mut buffer)
            .is_pending()
    }

    /// Begins an exchange: `head` writes the request's head without the empty line behind it.
    pub fn begin(&mut self, asked: &Asked<'_>, body: RequestBody, head: &dyn Fn(&mut Vec<u8>)) {
        let request = &mut self.request;
        request.message.reset();
        let out = request
            .message
            .begin(asked.framing, asked.trailer.unwrap_or(b""));
        head(out);
        out.extend_from_slice(b"\r\n");
        request.body = body;
        request.kept = None;
        request.keep = asked.keep;
        request.begun = false;
        request.held = false;
        request.wrote = false;
        request.sent = false;
        request.stuck = false;
        request.write_wait = None;
        self.answer.to_head = asked.to_head;
        self.answer.upgrade = asked.upgrade;
        self.answer.awaited = true;
        self.answer.read_wait = None;
    }

    /// Whether the socket took a byte of the request.
    pub fn wrote(&self) -> bool {
        self.request.wrote
    }

    /// When the socket last took bytes of the request.
    pub fn last_write(&self) -> Instant {
        self.request.last_write
    }

    /// The body of a request of which nothing was written, to be sent elsewhere; `None` where a part of it is used up.
    pub fn take_back(&mut self) -> Option<RequestBody> {
        let request = &mut self.request;
        if request.wrote || request.begun {
            return None;
        }
        Some(match request.kept.take() {
            Some(bytes) => RequestBody::Whole(Some(bytes)),
            None => std::mem::replace(&mut request.body, RequestBody::Empty),
        })
    }

    /// It will not be sent again: what is held for that is given back before the answer's body has come.
    pub fn forget_body(&mut self) {
        self.request.kept = None;
    }

    /// The body, where it is held whole or there is none: to be sent again after an answer that says that nothing was
    /// executed.
    pub fn body_again(&mut self) -> Option<RequestBody> {
        let request = &mut self.request;
        if request.begun {
            return None;
        }
        match (request.kept.take(), &mut request.body) {
            (Some(bytes), _) => Some(RequestBody::Whole(Some(bytes))),
            (None, RequestBody::Stream(_) | RequestBody::Whole(None)) => None,
            (None, body) => Some(std::mem::replace(body, RequestBody::Empty)),
        }
    }

    /// Whether the answer has come whole and the connection can carry another exchange.
    pub fn is_reusable(&self) -> bool {
        self.is_ended()
            && self.request.sent
            && self.answer.keeps_alive
            && self.answer.kept_for != Some(Duration::ZERO)
            && !self.answer.body.has_surplus()
            && !self.answer.body.is_failed()
            && !self.answer.upgrade
    }

    /// Gives back what an idle connection does not need. It may be idle for `limit`, or as long as the portal said.
    pub fn rest(&mut self, now: Instant, limit: Duration) {
        self.request.message.rest();
        self.request.body = RequestBody::Empty;
        self.request.kept = None;
        self.answer.buffer = BytesMut::new();
        self.answer.read = READ;
        self.idle_until = now + self.answer.kept_for.map_or(limit, |told| told.min(limit));
    }

    /// The socket of a connection whose protocol was switched, and what has come behind the answer's head.
    pub fn into_tunnel(mut self: Box<Self>) -> (Stream, Vec<u8>) {
        let rest = self.answer.body.take_rest().to_vec();
        (self.stream, rest)
    }

    /// Sends the request, and waits for the head of its answer. The answer may come before all is sent.
    ///
    /// # Errors
    /// What went wrong; whether the portal may know of the request is told by [`wrote`](Self::wrote).
    pub fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<ResponseHead, Fault>> {
        self.drive_request(cx)?;
        while self.request.wrote {
            match self.poll_head(cx) {
                // Interim answers without end leave no time to look at the timer.
                Poll::Ready(Ok(None)) => match self.limit() {
                    Some((at, fault)) if at <= Instant::now() => {
                        return Poll::Ready(Err(fault));
                    }
                    _ => {}
                },
                Poll::Ready(Ok(Some(head))) => return Poll::Ready(Ok(head)),
                Poll::Ready(Err(fault)) => return Poll::Ready(Err(fault)),
                Poll::Pending => break,
            }
        }
        self.look_at_time(cx)?;
        Poll::Pending
    }

    /// Whether the answer has come whole before its request was sent whole, and the portal still takes the request.
    pub fn is_early(&self) -> bool {
        self.is_ended()
            && !self.request.sent
            && !self.request.stuck
            && self.answer.keeps_alive
            && !self.answer.body.is_failed()
    }

    /// Sends what is left of a request that is answered already.
    ///
    /// # Errors
    /// The client or the portal gave up.
    pub fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.drive_request(cx)?;
        if self.request.sent {
            return Poll::Ready(Ok(()));
        }
        if self.request.stuck {
            return Poll::Ready(Err(Fault::Closed));
        }
        self.look_at_time(cx)?;
        Poll::Pending
    }

    /// Sends on. An error is not the end where the portal may have answered before it stopped reading.
    fn drive_request(&mut self, cx: &mut Context<'_>) -> Result<(), Fault> {
        if self.request.sent || self.request.stuck {
            return Ok(());
        }
        match self.request.poll_send(&mut self.stream, cx) {
            Poll::Pending => Ok(()),
            Poll::Ready(Ok(())) => {
                self.request.sent = true;
                Ok(())
            }
            Poll::Ready(Err(Fault::Broken(_))) if self.request.wrote => {
                self.request.stuck = true;
                Ok(())
            }
            Poll::Ready(Err(fault)) => Err(fault),
        }
    }

    /// Reads once; gives the answer's head when it is there.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<ResponseHead>, Fault>> {
        let (stream, answer, limits) = (&mut self.stream, &mut self.answer, &self.limits);
        with_scratch(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            ready!(Pin::new(stream).poll_read(cx, &mut buffer)).map_err(broken)?;
            let piece = buffer.filled();
            if piece.is_empty() {
                return Poll::Ready(Err(Fault::Closed));
            }
            // A head that comes whole, as nearly all do, is read where it stands.
            let mut input = std::mem::take(&mut answer.input);
            let is_first = input.is_empty();
            if !is_first {
                input.extend_from_slice(piece);
            }
            let come = if is_first { piece } else { &input };
            Poll::Ready(Ok(match answer.take_head(come, limits)? {
                Found::Head(head) => Some(head),
                Found::More(used) if is_first => {
                    answer.input = piece[used..].to_vec();
                    None
                }
                Found::More(used) => {
                    input.drain(..used);
                    answer.input = input;
                    None
                }
            }))
        })
    }

    /// Whether nothing more of the answer's body is to come.
    pub fn is_ended(&self) -> bool {
        self.answer.body.is_ended()
    }

    /// The bytes that are left of the body, as far as that was told.
    pub fn length(&self) -> Option<u64> {
        self.answer.body.length()
    }

    /// The whole body, where it has come with the head.
    pub fn take_whole(&mut self) -> Option<Bytes> {
        self.answer.body.take_whole()
    }

    /// The next piece of the answer's body, while what is left of the request goes on.
    ///
    /// # Errors
    /// The answer broke off.
    pub fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        if let Err(fault) = self.drive_request(cx) {
            return Poll::Ready(Some(Err(fault)));
        }
        loop {
            match self.answer.body.next_frame() {
                Ok(Some(frame)) => return Poll::Ready(Some(Ok(frame))),
                Ok(None) if self.is_ended() => return Poll::Ready(None),
                Ok(None) => {}
                Err(bad) => return Poll::Ready(Some(Err(Fault::BadChunk(bad.0)))),
            }
            match self.answer.poll_read(&mut self.stream, cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(fault)) => return Poll::Ready(Some(Err(fault))),
                Poll::Pending => {
                    if let Err(fault) = self.look_at_time(cx) {
                        return Poll::Ready(Some(Err(fault)));
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    /// Sets the timer to the next moment that can matter.
    fn look_at_time(&mut self, cx: &mut Context<'_>) -> Result<(), Fault> {
        while is_over(self.timer.as_mut(), cx) {
            let now = Instant::now();
            let next = now + self.patience.interval();
            let next = match self.limit() {
                Some((at, fault)) if at <= now => return Err(fault),
                Some((at, _)) => at.min(next),
                None => next,
            };
            self.timer.as_mut().reset(next.into());
        }
        Ok(())
    }

    /// When the present phase has taken too long.
    fn limit(&self) -> Option<(Instant, Fault)> {
        let (request, patience) = (&self.request, &self.patience);
        if let Some(since) = request.write_wait {
            Some((since + patience.response, Fault::WriteTimeout))
        } else if self.answer.awaited {
            let begun = request.sent || request.stuck;
            begun.then(|| (request.last_write + patience.response, Fault::ReadTimeout))
        } else {
            let since = self.answer.read_wait?;
            Some((since + patience.body, Fault::ReadTimeout))
        }
    }
}

impl Request {
    /// Writes all of the request.
    fn poll_send(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        loop {
            let waits = self.collect(cx)?;
            if self.message.is_written() {
                // What TLS holds back has to go too.
                ready!(Pin::new(&mut *stream).poll_flush(cx)).map_err(broken)?;
                return if waits {
                    Poll::Pending
                } else {
                    Poll::Ready(Ok(()))
                };
            }
            if waits && !self.wrote && !self.held {
                // The body is about to come: whoever brings it is polled in this same turn.
                self.held = true;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let written = {
                let stream = Pin::new(&mut *stream);
                match self.message.pending() {
                    Pending::One(bytes) => stream.poll_write(cx, bytes),
                    Pending::Slices(slices) => stream.poll_write_vectored(cx, &slices),
                }
            };
            match written {
                Poll::Ready(Ok(0)) => {
                    return Poll::Ready(Err(broken(io::ErrorKind::WriteZero.into())));
                }
                Poll::Ready(Ok(n)) => self.written(n),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(broken(error))),
                Poll::Pending => {
                    self.write_wait.get_or_insert_with(Instant::now);
                    return Poll::Pending;
                }
            }
        }
    }

    fn written(&mut self, n: usize) {
        self.wrote = true;
        // From now on it goes nowhere else, and what is written need not be held.
        if !self.keep {
            self.kept = None;
        }
        self.write_wait = None;
        self.last_write = Instant::now();
        self.message.written(n);
    }

    /// Takes of the body what can go out with the next write; whether more of it is waited for.
    fn collect(&mut self, cx: &mut Context<'_>) -> Result<bool, Fault> {
        while self.message.wants_body() {
            if let RequestBody::Whole(whole) = &mut self.body
                && let Some(whole) = whole.take()
            {
                self.message.data(&whole, true).map_err(|_| Fault::Closed)?;
                self.kept = Some(whole);
                continue;
            }
            let frame = match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Pending => return Ok(true),
                Poll::Ready(frame) => frame,
            };
            // Whatever came of it, it can be read no second time.
            self.begun = true;
            // It broke off, or is shorter than was said: the portal must not take what follows for its end.
            let done = match frame {
                Some(Err(_)) => return Err(Fault::Closed),
                None => self.message.end(None),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.message.data(&data, self.body.is_end_stream()),
                    Err(frame) => self.message.end(frame.into_trailers().ok().as_ref()),
                },
            };
            done.map_err(|_| Fault::Closed)?;
        }
        Ok(self.message.left() != Left::Nothing)
    }
}

/// What was found of an answer's head in what has come.
enum Found {
    Head(ResponseHead),
    /// Only a part of one, behind so many bytes of interim answers.
    More(usize),
}

impl Answer {
    /// Takes the head out of what has come. What has come behind it becomes `rest`.
    fn take_head(&mut self, all: &[u8], limits: &Limits) -> Result<Found, Fault> {
        let mut used = 0;
        loop {
            let buffer = &all[used..];
            let length = match self.finder.find(buffer).map_err(Fault::BadHead)? {
                Some(length) if length <= limits.head => length,
                None if buffer.len() < limits.head => return Ok(Found::More(used)),
                _ => return Err(Fault::BadHead(HeadError::TooLarge)),
            };
            let (raw, rest) = buffer.split_at(length);
            let head = read_response(Bytes::copy_from_slice(raw), limits, self.to_head)
                .map_err(Fault::BadHead)?;
            self.finder = EndFinder::default();
            if head.status == 101 && !self.upgrade {
                return Err(Fault::UnaskedUpgrade);
            }
            if head.status < 200 && head.status != 101 {
                // An interim answer: it says nothing that a proxy had to pass on (RFC 9110 §15.2).
                used += length;
                continue;
            }
            self.awaited = false;
            self.keeps_alive = head.keeps_alive;
            self.kept_for = head.fields.first(Name::KeepAlive).and_then(kept_for);
            self.body = BodyIn::begin(head.framing, Bytes::copy_from_slice(rest));
            return Ok(Found::Head(head));
        }
    }

    /// Reads more of the body.
    fn poll_read(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        let want = self.body.wanted().map_or(self.read, |wanted| {
            self.read.min(usize::try_from(wanted).unwrap_or(usize::MAX))
        });
        self.buffer.reserve(want);
        let room = self.buffer.capacity();
        match pin!(stream.read_buf(&mut self.buffer)).poll(cx) {
            Poll::Pending => {
                self.read_wait.get_or_insert_with(Instant::now);
                Poll::Pending
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(broken(error))),
            Poll::Ready(Ok(0)) => {
                if self.body.close() {
                    Poll::Ready(Ok(()))
                } else {
                    Poll::Ready(Err(Fault::Closed))
                }
            }
            Poll::Ready(Ok(n)) => {
                self.read_wait = None;
                if n == room {
                    self.read = (self.read * 2).min(READ_MOST);
                }
                self.body.feed(self.buffer.split().freeze());
                Poll::Ready(Ok(()))
            }
        }
    }
}

/// The `timeout=N` of `Keep-Alive` (RFC 2068 §19.7.1.1), less a second.
fn kept_for(field: &[u8]) -> Option<Duration> {
    let seconds = list_items(field).find_map(|item| {
        let (name, value) = std::str::from_utf8(item).ok()?.split_once('=')?;
        let named = name.trim().eq_ignore_ascii_case("timeout");
        named.then(|| value.trim().trim_matches('"').parse::<u32>().ok())?
    })?;
    Some(Duration::from_secs(seconds.saturating_sub(1).into()))
}

fn broken(error: io::Error) -> Fault {
    Fault::Broken(error.kind())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::{Metrics, Open};
    use hyper::HeaderMap;
    use proptest::prelude::*;
    use std::future::poll_fn;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream as Peer;
    use tokio::net::UnixStream;

    const LIMITS: Limits = Limits {
        head: 4096,
        target: 0,
        fields: 32,
    };

    /// A connection, and the portal's end of it. The portal reads and writes without waiting.
    fn connection() -> (Box<Connection>, Peer) {
        let (ours, portal) = Peer::pair().expect("a pair of sockets");
        ours.set_nonblocking(true).expect("it does not block");
        let stream = Stream::Unix(UnixStream::from_std(ours).expect("a runtime"));
        let patience = Patience {
            response: Duration::from_secs(60),
            body: Duration::from_secs(60),
        };
        let counted = Metrics::new(&[]).local().open(Open::PoolBusy);
        let connection = Connection::new(stream, LIMITS, patience, counted, None);
        (connection, portal)
    }

    fn run<T>(test: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(test)
    }

    fn ask(connection: &mut Connection, body: RequestBody, framing: Framing) {
        let asked = Asked {
            framing,
            to_head: false,
            upgrade: false,
            trailer: None,
            keep: false,
        };
        connection.begin(&asked, body, &|out| {
            out.extend_from_slice(b"POST / HTTP/1.1\r\n");
        });
    }

    /// What a caller gets of an answer that comes in these pieces: its body, its trailers, or that it broke off.
    async fn answered(pieces: &[&[u8]]) -> (Result<(Vec<u8>, HeaderMap), Fault>, bool) {
        let (mut connection, mut portal) = connection();
        ask(&mut connection, RequestBody::Empty, Framing::None);
        let mut pieces = pieces.iter();
        // Whenever nothing more can be read, the portal says its next piece; after the last it closes.
        let mut portal_speaks = |cx: &mut Context<'_>| {
            match pieces.next() {
                Some(piece) => portal.write_all(piece).expect("the piece is taken"),
                None => drop(portal.shutdown(std::net::Shutdown::Write)),
            }
            cx.waker().wake_by_ref();
        };
        let head = poll_fn(|cx| {
            let polled = connection.poll_answer(cx);
            if polled.is_pending() {
                portal_speaks(cx);
            }
            polled
        })
        .await;
        let read = match head {
            Err(fault) => Err(fault),
            Ok(_) => match connection.take_whole() {
                Some(whole) => Ok((whole.to_vec(), HeaderMap::new())),
                None => poll_body_to_its_end(&mut connection, &mut portal_speaks).await,
            },
        };
        let reusable = read.is_ok() && connection.is_reusable();
        (read, reusable)
    }

    async fn poll_body_to_its_end(
        connection: &mut Connection,
        portal_speaks: &mut impl FnMut(&mut Context<'_>),
    ) -> Result<(Vec<u8>, HeaderMap), Fault> {
        let (mut body, mut trailers) = (Vec::new(), HeaderMap::new());
        loop {
            let frame = poll_fn(|cx| {
                let polled = connection.poll_body(cx);
                if polled.is_pending() {
                    portal_speaks(cx);
                }
                polled
            });
            match frame.await.transpose()? {
                None => return Ok((body, trailers)),
                Some(frame) => match frame.into_data() {
                    Ok(data) => body.extend_from_slice(&data),
                    Err(frame) => trailers = frame.into_trailers().unwrap_or_default(),
                },
            }
        }
    }

    /// An answer's bytes, its body, and whether the connection can be used again.
    fn answers() -> impl Strategy<Value = (Vec<u8>, Vec<u8>, bool)> {
        let body = prop::collection::vec(any::<u8>(), 0..200);
        (body, 0..4u8, 1usize..50, any::<bool>()).prop_map(|(body, form, chunk, trailers)| {
            let mut raw = b"HTTP/1.1 200 OK\r\n".to_vec();
            match form {
                0 => raw.extend(format!("Content-Length: {}\r\n\r\n", body.len()).bytes()),
                1 => raw.extend_from_slice(b"\r\n"),
                _ => raw.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n"),
            }
            if form < 2 {
                raw.extend_from_slice(&body);
                return (raw, body, form == 0);
            }
            for piece in body.chunks(chunk) {
                raw.extend(format!("{:x};x=y\r\n", piece.len()).bytes());
                raw.extend_from_slice(piece);
                raw.extend_from_slice(b"\r\n");
            }
            raw.extend_from_slice(if trailers {
                b"0\r\nX-Sum: 1\r\n\r\n"
            } else {
                b"0\r\n\r\n"
            });
            (raw, body, true)
        })
    }

    fn cut<'a>(raw: &'a [u8], at: &[prop::sample::Index]) -> Vec<&'a [u8]> {
        let mut at: Vec<usize> = at.iter().map(|at| at.index(raw.len() + 1)).collect();
        at.sort_unstable();
        at.dedup();
        let mut pieces = Vec::new();
        let mut from = 0;
        for to in at.into_iter().chain([raw.len()]) {
            if to > from {
                pieces.push(&raw[from..to]);
            }
            from = to;
        }
        pieces
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn an_answer_is_the_same_in_whatever_pieces_it_comes(
            (raw, body, reusable) in answers(),
            at in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let (read, reused) = run(answered(&cut(&raw, &at)));
            let (got, _) = read.expect("it is whole");
            prop_assert_eq!(got, body);
            prop_assert_eq!(reused, reusable);
        }

        #[test]
        fn an_answer_that_ends_too_soon_is_never_taken_for_whole(
            (raw, body, delimited) in answers(),
            at in any::<prop::sample::Index>(),
        ) {
            let short = &raw[..at.index(raw.len())];
            let (read, reusable) = run(answered(&[short]));
            prop_assert!(!reusable);
            match read {
                Err(_) => {}
                // Until the connection closes: whatever came is the body.
                Ok((got, _)) => prop_assert!(!delimited && body.starts_with(&got)),
            }
        }
    }

    #[test]
    fn interim_answers_are_left_out_in_whatever_pieces_they_come() {
        let raw = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        let single: Vec<&[u8]> = raw.chunks(1).collect();
        for pieces in [
            &[&raw[..]][..],
            &[&raw[..30], &raw[30..75], &raw[75..]],
            &single,
        ] {
            let (read, reusable) = run(answered(pieces));
            assert_eq!(
                (read.expect("it is whole").0, reusable),
                (b"ok".to_vec(), true)
            );
        }
    }

    #[test]
    fn what_comes_behind_an_answer_makes_its_connection_useless() {
        for raw in [
            &b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n"[..],
            b"HTTP/1.1 204 No Content\r\n\r\nx",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nx",
        ] {
            let (read, reusable) = run(answered(&[raw]));
            assert!(read.is_ok() && !reusable, "{}", raw.escape_ascii());
        }
    }

    #[test]
    fn trailers_come_behind_the_data() {
        let raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\nX-Sum: 2\r\n\r\n";
        for pieces in [&[&raw[..]][..], &[&raw[..60], &raw[60..]]] {
            let (read, reusable) = run(answered(pieces));
            let (body, trailers) = read.expect("it is whole");
            let sums: Vec<_> = trailers.get_all("x-sum").iter().collect();
            assert_eq!((&body[..], sums.len(), reusable), (&b"ok"[..], 2, true));
        }
    }

    #[test]
    fn a_whole_body_goes_out_with_its_head_and_can_be_taken_back_until_a_byte_is_written() {
        run(async {
            let (mut connection, mut portal) = connection();
            let body = Bytes::from_static(b"{\"a\":1}");
            let whole = || RequestBody::Whole(Some(body.clone()));
            ask(&mut connection, whole(), Framing::Length(7));
            let again = connection.take_back();
            assert!(matches!(again, Some(RequestBody::Whole(Some(bytes))) if bytes == body));

            ask(&mut connection, whole(), Framing::Length(7));
            poll_fn(|cx| {
                assert!(connection.poll_answer(cx).is_pending());
                if connection.wrote() {
                    return Poll::Ready(());
                }
                cx.waker().wake_by_ref();
                Poll::Pending
            })
            .await;
            let mut sent = [0; 100];
            let n = portal.read(&mut sent).expect("all in one piece");
            assert_eq!(&sent[..n], b"POST / HTTP/1.1\r\n\r\n{\"a\":1}");
            assert!(connection.wrote() && connection.take_back().is_none());
        });
    }

    #[test]
    fn a_body_too_large_to_join_goes_out_behind_its_head() {
        run(async {
            let (mut connection, mut portal) = connection();
            let body = Bytes::from(vec![b'x'; 48 * 1024]);
            let length = body.len() as u64;
            let body = RequestBody::Whole(Some(body));
            ask(&mut connection, body, Framing::Length(length));
            let reader = std::thread::spawn(move || {
                let mut sent = vec![0; 19 + 48 * 1024];
                portal.read_exact(&mut sent).expect("all of it");
                portal
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                    .expect("the answer is taken");
                sent
            });
            let head = poll_fn(|cx| connection.poll_answer(cx)).await;
            assert_eq!(head.expect("an answer").status, 200);
            let sent = reader.join().expect("it has read");
            assert!(sent[19..].iter().all(|b| *b == b'x'));
            assert!(connection.take_whole().is_some() && connection.is_reusable());
        });
    }

    #[test]
    fn a_portal_that_has_closed_or_spoken_unasked_is_not_used() {
        run(async {
            let (mut connection, mut portal) = connection();
            assert!(connection.is_usable());
            portal.write_all(b"HTTP/1.1 408 ").expect("it is taken");
            tokio::task::yield_now().await;
            assert!(!connection.is_usable());

            let (mut connection, portal) = self::connection();
            drop(portal);
            tokio::task::yield_now().await;
            assert!(!connection.is_usable());
        });
    }

    #[test]
    fn the_portals_own_limit_is_a_second_shorter_than_it_says() {
        let seconds = |count| Some(Duration::from_secs(count));
        for (field, wanted) in [
            ("timeout=5, max=1000", seconds(4)),
            ("max=7,Timeout = \"20\"", seconds(19)),
            ("timeout=1", seconds(0)),
            ("timeout=0", seconds(0)),
            ("max=5", None),
            ("timeout=", None),
            ("timeout=-1", None),
            ("timeout", None),
            ("", None),
        ] {
            assert_eq!(kept_for(field.as_bytes()), wanted, "{field}");
        }
    }
}
