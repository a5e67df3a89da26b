//! The same bytes for three readers: the engine of the data path, hyper, and the strict reader of the tests.
//!
//! Where the engine and hyper both read a message, they read the same. Where only one of them does, the strict reader must
//! leave it the choice: bytes that every recipient owes a reading are read by the engine, and what has no reading is not.
//! The fuzz targets `requests` and `answers` include this file as it is.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use b24_migration_proxy::proxy::readers::body_in::BodyIn;
use b24_migration_proxy::proxy::readers::head::{Framing, HeadError, Limits};
use b24_migration_proxy::proxy::readers::read::read_response;
use b24_migration_proxy::proxy::readers::request_in::{RequestIn, Taken};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::service::service_fn;

use super::strict::{self, Reading};

/// Beyond what the bytes of a run can hold, so that no limit is met but hyper's own.
const LIMITS: Limits = Limits {
    head: 64 * 1024,
    target: 64 * 1024,
    fields: 90,
};

/// A message as a reader took it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Taken1 {
    /// Method and target of a request, status of an answer.
    start: Vec<u8>,
    body: Vec<u8>,
}

/// All that a reader made of a connection: whole messages, and whether it stopped at something that it refuses.
#[derive(Debug, Default)]
struct Made {
    messages: Vec<Taken1>,
    refused: bool,
    /// A message said that none follows it.
    closed: bool,
}

/// An end of a connection in memory: bytes come in pieces, and then the end; what is written is forgotten.
struct Wire {
    come: VecDeque<Bytes>,
    /// Nothing comes before something was written: an answer follows its request.
    waits: bool,
    waker: Option<Waker>,
}

impl Wire {
    fn new(bytes: &[u8], piece: usize, waits: bool) -> Self {
        let come = bytes.chunks(piece.max(1)).map(Bytes::copy_from_slice);
        Self {
            come: come.collect(),
            waits,
            waker: None,
        }
    }
}

impl Read for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if self.waits {
            self.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        if let Some(mut piece) = self.come.pop_front() {
            let now = piece.split_to(piece.len().min(buffer.remaining()));
            buffer.put_slice(&now);
            if !piece.is_empty() {
                self.come.push_front(piece);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Write for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.waits = false;
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    runtime.expect("a runtime").block_on(future)
}

/// Reads a body from `at` on, which is moved to its end; `None` where the bytes end before it does.
fn body_of(
    framing: Framing,
    bytes: &[u8],
    at: &mut usize,
    piece: usize,
) -> Result<Option<Vec<u8>>, ()> {
    let mut body = BodyIn::begin(framing, Bytes::new());
    let mut data = Vec::new();
    loop {
        match body.next_frame() {
            Err(_) => return Err(()),
            Ok(Some(frame)) => {
                if let Ok(piece) = frame.into_data() {
                    data.extend_from_slice(&piece);
                }
            }
            Ok(None) if body.is_ended() => {
                *at -= body.take_rest().len();
                return Ok(Some(data));
            }
            Ok(None) if *at == bytes.len() => return Ok(body.close().then_some(data)),
            Ok(None) => {
                let end = bytes.len().min(*at + piece.max(1));
                body.feed(Bytes::copy_from_slice(&bytes[*at..end]));
                *at = end;
            }
        }
    }
}

/// What the engine makes of all that a client sends.
fn engine_requests(bytes: &[u8], piece: usize) -> Made {
    let mut made = Made::default();
    let mut requests = RequestIn::new(LIMITS);
    // What has been used up, and what has come.
    let (mut at, mut come) = (0, 0);
    while !made.closed {
        match requests.take(&bytes[at..come]) {
            Taken::Refused(error) => {
                made.refused = error != HeadError::TooLarge && error != HeadError::TargetTooLong;
                return made;
            }
            Taken::More(used) => {
                at += used;
                if come == bytes.len() {
                    return made;
                }
                come = bytes.len().min(come + piece.max(1));
            }
            Taken::Request { used, head, body } => {
                at += used;
                let start = [head.method(), b" ", head.target()].concat();
                let body = match body {
                    Some(whole) => Ok(Some(whole.to_vec())),
                    None => body_of(head.framing, bytes, &mut at, piece),
                };
                match body {
                    Err(()) => {
                        made.refused = true;
                        return made;
                    }
                    Ok(None) => return made,
                    Ok(Some(body)) => made.messages.push(Taken1 { start, body }),
                }
                come = come.max(at);
                made.closed = head.wants_close() || head.method() == b"CONNECT";
            }
        }
    }
    made
}

/// What hyper makes of all that a client sends.
fn hyper_requests(bytes: &[u8], piece: usize) -> Made {
    let made = Rc::new(RefCell::new(Made::default()));
    let inside = made.clone();
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let made = inside.clone();
        async move {
            let target = request
                .uri()
                .path_and_query()
                .map_or("", |target| target.as_str());
            let start = format!("{} {target}", request.method()).into_bytes();
            if let Ok(body) = request.into_body().collect().await {
                let body = body.to_bytes().to_vec();
                made.borrow_mut().messages.push(Taken1 { start, body });
            }
            Ok::<_, hyper::Error>(hyper::Response::new(Empty::<Bytes>::new()))
        }
    });
    let served = block_on(
        hyper::server::conn::http1::Builder::new()
            .half_close(true)
            .serve_connection(Wire::new(bytes, piece, false), service),
    );
    let mut made = made.take();
    made.refused = served.is_err_and(|error| error.is_parse() || error.is_body_write_aborted());
    made
}

/// How many whole requests the engine, hyper and the strict reader find.
pub fn requests_found(bytes: &[u8], piece: usize) -> [usize; 3] {
    let strict = strict::requests(bytes).into_iter();
    [
        engine_requests(bytes, piece).messages.len(),
        hyper_requests(bytes, piece).messages.len(),
        strict.filter(|reading| reading.message().is_some()).count(),
    ]
}

/// How many answers of the one that is due they find.
pub fn answers_found(bytes: &[u8], method: &str, piece: usize) -> [usize; 3] {
    let strict = strict::final_response(bytes, method.as_bytes(), true);
    [
        engine_answer(bytes, method.as_bytes(), piece)
            .messages
            .len(),
        hyper_answer(bytes, method, piece).messages.len(),
        usize::from(strict.message().is_some()),
    ]
}

/// Whether the engine and hyper read the requests of a client alike, as far as the strict reader says that they must.
///
/// # Errors
/// What differs.
pub fn requests_agree(bytes: &[u8], piece: usize) -> Result<(), String> {
    let ours = engine_requests(bytes, piece);
    let theirs = hyper_requests(bytes, piece);
    let mut strict = strict::requests(bytes).into_iter();
    let most = ours.messages.len().max(theirs.messages.len());
    for number in 0..most {
        let reading = strict.next().unwrap_or(Reading::Incomplete);
        let differs = |what: &str| {
            Err(format!(
                "request {number}: {what}\n  engine: {ours:?}\n  hyper: {theirs:?}\n  strict: {reading:?}"
            ))
        };
        let engine = ours.messages.get(number);
        let hyper = theirs.messages.get(number);
        if let Some(engine) = engine {
            match &reading {
                Reading::Invalid(_) | Reading::Incomplete => {
                    return differs("the engine reads what has no reading");
                }
                Reading::Valid(message) | Reading::EitherWay(message, _) => {
                    let start = [
                        message.method(),
                        b" ",
                        &strict::origin_form(message.target()),
                    ]
                    .concat();
                    if message.body != engine.body
                        || (message.method() != b"CONNECT" && start != engine.start)
                    {
                        return differs("the engine reads otherwise than the strict reader");
                    }
                }
            }
        }
        match (engine, hyper) {
            (Some(engine), Some(hyper)) if engine.body == hyper.body => {}
            (Some(_), Some(_)) => return differs("two bodies"),
            // hyper refuses more targets, and ends earlier.
            (Some(_), None) => return Ok(()),
            (None, _) if ours.closed || !ours.refused => return Ok(()),
            (None, _) => {
                if matches!(reading, Reading::Valid(_)) {
                    return differs("the engine refuses what every recipient owes a reading");
                }
                return Ok(());
            }
        }
    }
    Ok(())
}

/// What the engine makes of an answer to a request of this method: the final one, with its body.
fn engine_answer(bytes: &[u8], method: &[u8], piece: usize) -> Made {
    let mut made = Made::default();
    let mut at = 0;
    while let Some(end) = memchr::memmem::find(&bytes[at..], b"\r\n\r\n") {
        let raw = Bytes::copy_from_slice(&bytes[at..at + end + 4]);
        let Ok(head) = read_response(raw, &LIMITS, method == b"HEAD") else {
            made.refused = true;
            return made;
        };
        at += end + 4;
        if head.status < 200 && head.status != 101 {
            continue;
        }
        match body_of(head.framing, bytes, &mut at, piece) {
            Err(()) => made.refused = true,
            Ok(None) => {}
            Ok(Some(body)) => made.messages.push(Taken1 {
                start: head.status.to_string().into_bytes(),
                body,
            }),
        }
        made.closed = head.status == 101;
        return made;
    }
    made
}

/// What hyper makes of it.
fn hyper_answer(bytes: &[u8], method: &str, piece: usize) -> Made {
    let wire = Wire::new(bytes, piece, true);
    let request = hyper::Request::builder()
        .method(method)
        .uri("/")
        .header("host", "h")
        .body(Empty::<Bytes>::new())
        .expect("a request");
    block_on(async {
        let mut made = Made::default();
        let Ok((mut sender, connection)) = hyper::client::conn::http1::handshake(wire).await else {
            return made;
        };
        let asked = async {
            let answer = sender.send_request(request).await;
            drop(sender);
            let answer = answer?;
            let start = answer.status().as_str().as_bytes().to_vec();
            let body = answer.into_body().collect().await?.to_bytes().to_vec();
            Ok::<_, hyper::Error>(Taken1 { start, body })
        };
        let (asked, _) = tokio::join!(asked, connection);
        match asked {
            Ok(message) => made.messages.push(message),
            Err(error) => made.refused = error.is_parse(),
        }
        made
    })
}

/// Whether the engine and hyper read an answer alike, as far as the strict reader says that they must.
///
/// # Errors
/// What differs.
pub fn answers_agree(bytes: &[u8], method: &str, piece: usize) -> Result<(), String> {
    let ours = engine_answer(bytes, method.as_bytes(), piece);
    let theirs = hyper_answer(bytes, method, piece);
    let reading = strict::final_response(bytes, method.as_bytes(), true);
    let differs = |what: &str| {
        Err(format!(
            "{what}\n  engine: {ours:?}\n  hyper: {theirs:?}\n  strict: {reading:?}"
        ))
    };
    match (ours.messages.first(), &reading) {
        (Some(_), Reading::Invalid(_) | Reading::Incomplete) => {
            return differs("the engine reads what has no reading");
        }
        (Some(engine), Reading::Valid(message) | Reading::EitherWay(message, _)) => {
            if message.body != engine.body
                || message.status().to_string().as_bytes() != engine.start
            {
                return differs("the engine reads otherwise than the strict reader");
            }
        }
        (None, Reading::Valid(_)) if ours.refused => {
            return differs("the engine refuses what every recipient owes a reading");
        }
        (None, _) => {}
    }
    match (ours.messages.first(), theirs.messages.first()) {
        (Some(engine), Some(hyper)) if engine != hyper && !ours.closed => differs("two readings"),
        _ => Ok(()),
    }
}
