//! A connection to the portal and the one exchange that it carries at a time: a request out, an answer in.
//!
//! It has no task of its own: who waits for the answer drives it. So a call is handed to nobody, what was written of it is
//! known to the byte, and heads go out and come in as they are. (hyper's client has a task for each connection, two
//! channels for each exchange, and a form of heads in which their case and order are lost.)

use crate::proxy::body::RequestBody;
use crate::proxy::http::head::{Limits, ResponseHead};
use crate::proxy::net::fault::Fault;
use crate::proxy::net::own_ends::OwnEnd;
use crate::proxy::net::stream::Stream;
use crate::proxy::net::watch::is_over;
use crate::proxy::portal::answer_in::AnswerIn;
use crate::proxy::portal::request_out::{Asked, RequestOut};
use crate::telemetry::metrics::Held;
use bytes::Bytes;
use hyper::body::Frame;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::Sleep;

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
    request: RequestOut,
    answer: AnswerIn,
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
            request: RequestOut::none(now),
            answer: AnswerIn::none(),
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
        self.request.begin(asked, body, head);
        self.answer.begin(asked.to_head, asked.upgrade);
    }

    /// Whether the socket took a byte of the request.
    pub fn wrote(&self) -> bool {
        self.request.wrote()
    }

    /// When the socket last took bytes of the request.
    pub fn last_write(&self) -> Instant {
        self.request.last_write()
    }

    /// The body of a request of which nothing was written, to be sent elsewhere; `None` where a part of it is used up.
    pub fn take_back(&mut self) -> Option<RequestBody> {
        self.request.take_back()
    }

    /// It will not be sent again: what is held for that is given back before the answer's body has come.
    pub fn forget_body(&mut self) {
        self.request.forget_body();
    }

    /// The body, where it is held whole or there is none: to be sent again after an answer that says that nothing was
    /// executed.
    pub fn body_again(&mut self) -> Option<RequestBody> {
        self.request.body_again()
    }

    /// Whether the answer has come whole and the connection can carry another exchange.
    pub fn is_reusable(&self) -> bool {
        self.request.is_sent() && self.answer.leaves_reusable()
    }

    /// Gives back what an idle connection does not need. It may be idle for `limit`, or as long as the portal said.
    pub fn rest(&mut self, now: Instant, limit: Duration) {
        self.request.rest();
        self.answer.rest();
        self.idle_until = now + self.answer.kept_for().map_or(limit, |told| told.min(limit));
    }

    /// The socket of a connection whose protocol was switched, and what has come behind the answer's head.
    pub fn into_tunnel(mut self: Box<Self>) -> (Stream, Vec<u8>) {
        let rest = self.answer.body().take_rest().to_vec();
        (self.stream, rest)
    }

    /// Sends the request, and waits for the head of its answer. The answer may come before all is sent.
    ///
    /// # Errors
    /// What went wrong; whether the portal may know of the request is told by [`wrote`](Self::wrote).
    pub fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<ResponseHead, Fault>> {
        self.request.drive(&mut self.stream, cx)?;
        while self.request.wrote() {
            let (stream, limits) = (&mut self.stream, &self.limits);
            match self.answer.poll_head(stream, limits, cx) {
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
        self.answer.is_ended_well() && !self.request.is_sent() && !self.request.is_stuck()
    }

    /// Sends what is left of a request that is answered already.
    ///
    /// # Errors
    /// The client or the portal gave up.
    pub fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.request.drive(&mut self.stream, cx)?;
        if self.request.is_sent() {
            return Poll::Ready(Ok(()));
        }
        if self.request.is_stuck() {
            return Poll::Ready(Err(Fault::Closed));
        }
        self.look_at_time(cx)?;
        Poll::Pending
    }

    /// Whether nothing more of the answer's body is to come.
    pub fn is_ended(&self) -> bool {
        self.answer.is_ended()
    }

    /// The bytes that are left of the body, as far as that was told.
    pub fn length(&self) -> Option<u64> {
        self.answer.length()
    }

    /// The whole body, where it has come with the head.
    pub fn take_whole(&mut self) -> Option<Bytes> {
        self.answer.body().take_whole()
    }

    /// The next piece of the answer's body, while what is left of the request goes on.
    ///
    /// # Errors
    /// The answer broke off.
    pub fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        if let Err(fault) = self.request.drive(&mut self.stream, cx) {
            return Poll::Ready(Some(Err(fault)));
        }
        let polled = self.answer.poll_body(&mut self.stream, cx);
        if polled.is_pending()
            && let Err(fault) = self.look_at_time(cx)
        {
            return Poll::Ready(Some(Err(fault)));
        }
        polled
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
        if let Some(since) = request.write_wait() {
            Some((since + patience.response, Fault::WriteTimeout))
        } else if self.answer.is_awaited() {
            let begun = request.is_sent() || request.is_stuck();
            begun.then(|| (request.last_write() + patience.response, Fault::ReadTimeout))
        } else {
            let since = self.answer.read_wait()?;
            Some((since + patience.body, Fault::ReadTimeout))
        }
    }
}

#[cfg(test)]
mod scheduled;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::http::head::Framing;
    use crate::telemetry::metrics::{Metrics, Open};
    use hyper::HeaderMap;
    use proptest::prelude::*;
    use std::future::{Future, poll_fn};
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
}
