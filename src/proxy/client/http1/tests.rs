//! A client's connection as a schedule drives it: every split, each moment of a close or a reset, slow readers and writers.

use super::*;
use crate::proxy::call::response_body::ResponseBody;
use crate::proxy::http::head::Limits;
use crate::proxy::http::request_in::{RequestIn, Taken};
use crate::proxy::net::scripted::{End, Schedule, Scripted, driven};
use http_body_util::BodyExt;
use hyper::StatusCode;
use proptest::prelude::*;

const LIMITS: Limits = Limits {
    head: 4096,
    target: 1024,
    fields: 32,
};

/// What whoever answers did with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// Reads the body to its end and sends it back.
    Echo,
    /// The same, in chunks.
    EchoInChunks,
    /// Answers without a look at the body.
    Early,
    /// Reads one piece of it and answers.
    Peek,
}

const MANNERS: [(&str, Manner); 4] = [
    ("/echo", Manner::Echo),
    ("/chunks", Manner::EchoInChunks),
    ("/early", Manner::Early),
    ("/peek", Manner::Peek),
];

/// A request that was answered: its target, and its body where that was read to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Whole(String, Vec<u8>),
    /// The body broke off, or nobody read all of it.
    Part(String),
    Refused,
}

struct Nothing;

impl Counts for Nothing {
    fn sent(&self, _: &Bytes) {}
    fn broke_off(&self) {}
}

/// Answers as the target says, and notes what it saw.
#[derive(Clone, Default)]
struct Answerer(Rc<RefCell<Vec<Seen>>>);

impl Answers for Answerer {
    type Counts = Nothing;

    async fn answer(
        &self,
        head: Result<RequestHead, BadRequest>,
        mut body: ClientBody,
    ) -> (Reply, Nothing) {
        let Ok(head) = head else {
            self.0.borrow_mut().push(Seen::Refused);
            return (
                reply(400, Framing::Length(3), b"bad".to_vec(), true),
                Nothing,
            );
        };
        let target = String::from_utf8_lossy(head.target()).into_owned();
        let manner = MANNERS.iter().find(|(name, _)| target.starts_with(name));
        let manner = manner.map_or(Manner::Echo, |(_, manner)| *manner);
        let at = self.0.borrow().len();
        self.0.borrow_mut().push(Seen::Part(target.clone()));
        let mut read = Vec::new();
        let mut is_whole = manner != Manner::Early;
        while is_whole {
            match body.frame().await {
                None => break,
                Some(Err(_)) => {
                    return (
                        reply(400, Framing::Length(5), b"broke".to_vec(), true),
                        Nothing,
                    );
                }
                Some(Ok(frame)) => {
                    read.extend_from_slice(&frame.into_data().unwrap_or_default());
                    is_whole = manner != Manner::Peek;
                }
            }
        }
        if is_whole {
            self.0.borrow_mut()[at] = Seen::Whole(target, read.clone());
        }
        let answer = match manner {
            Manner::Early | Manner::Peek => b"early".to_vec(),
            Manner::Echo | Manner::EchoInChunks => read,
        };
        let framing = match manner {
            Manner::EchoInChunks => Framing::Chunked,
            _ => Framing::Length(answer.len() as u64),
        };
        (reply(200, framing, answer, false), Nothing)
    }
}

fn reply(status: u16, framing: Framing, body: Vec<u8>, close: bool) -> Reply {
    let mut head = format!("HTTP/1.1 {status} Said\r\n").into_bytes();
    match framing {
        Framing::Chunked => head.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        _ => head.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes()),
    }
    let body = match framing {
        _ if body.is_empty() && framing != Framing::Chunked => ResponseBody::Empty,
        Framing::Chunked => ResponseBody::Unsized(Some(body.into())),
        _ => ResponseBody::Whole(Some(body.into())),
    };
    Reply {
        head,
        framing,
        status: StatusCode::from_u16(status).expect("a status"),
        body,
        close,
        trailer: None,
        tunnel: None,
    }
}

/// What was seen of a client that sends this, and what the client got.
fn served(sends: &[u8], end: End, schedule: Schedule) -> (Vec<Seen>, Vec<u8>) {
    let wire = Scripted::new(sends.to_vec(), end, schedule);
    let answers = Answerer::default();
    let seen = answers.0.clone();
    let link = Rc::<Link>::default();
    let control = Rc::<Control>::default();
    let stream = Stream::Scripted(wire.clone());
    let io = ClientIo::new(
        stream,
        LIMITS,
        link.clone(),
        control.clone(),
        Vec::new(),
        None,
    );
    let io = Rc::new(RefCell::new(io));
    let served = Served {
        answers,
        io: io.clone(),
        link,
        control,
    };
    driven(async {
        let first = poll_fn(|cx| io.borrow_mut().poll_next(cx)).await;
        if let Some(first) = came(first) {
            busy(&served, first).await;
        }
    });
    let seen = seen.borrow().clone();
    (seen, wire.got())
}

/// The answers that a client got, the last of which may be cut short: status, body, whether it is the last.
fn answers(mut got: &[u8]) -> (Vec<(u16, Vec<u8>, bool)>, bool) {
    let mut all = Vec::new();
    while let Some(end) = memchr::memmem::find(got, b"\r\n\r\n") {
        let raw = Bytes::copy_from_slice(&got[..end + 4]);
        let wide = Limits {
            head: usize::MAX,
            ..LIMITS
        };
        let head = crate::proxy::http::read::read_response(raw, &wide, false).expect("a head");
        let rest = Bytes::copy_from_slice(&got[end + 4..]);
        if head.status == 100 {
            got = &got[end + 4..];
            continue;
        }
        let mut body = crate::proxy::http::body_in::BodyIn::begin(head.framing, rest);
        let mut data = Vec::new();
        while let Some(frame) = body.next_frame().expect("it reads") {
            data.extend_from_slice(&frame.into_data().unwrap_or_default());
        }
        if !body.is_ended() {
            return (all, true);
        }
        all.push((head.status, data, !head.keeps_alive));
        let left = body.take_rest().len();
        got = &got[got.len() - left..];
    }
    (all, !got.is_empty())
}

/// One request: how it is answered, its body, and the bytes.
#[derive(Clone, Debug)]
struct Sent {
    manner: Manner,
    target: String,
    body: Vec<u8>,
    bytes: Vec<u8>,
}

fn requests() -> impl Strategy<Value = Vec<Sent>> {
    let body = prop_oneof![
        Just(Vec::new()),
        proptest::collection::vec(any::<u8>(), 0..60),
        (100usize..40_000).prop_map(|length| vec![b'x'; length]),
    ];
    let one = (
        0..MANNERS.len(),
        body,
        any::<bool>(),
        any::<bool>(),
        1usize..5000,
    );
    proptest::collection::vec(one, 1..5).prop_map(|all| {
        let sent = |(number, (manner, body, chunked, waits, size)): (
            usize,
            (usize, Vec<u8>, bool, bool, usize),
        )| {
            let (name, manner) = MANNERS[manner];
            let target = format!("{name}/{number}");
            let expect = if waits {
                "Expect: 100-continue\r\n"
            } else {
                ""
            };
            let mut bytes = format!("POST {target} HTTP/1.1\r\nHost: h\r\n{expect}").into_bytes();
            if chunked {
                bytes.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
                for piece in body.chunks(size) {
                    bytes.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
                    bytes.extend_from_slice(piece);
                    bytes.extend_from_slice(b"\r\n");
                }
                bytes.extend_from_slice(b"0\r\n\r\n");
            } else {
                bytes.extend_from_slice(
                    format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes(),
                );
                bytes.extend_from_slice(&body);
            }
            Sent {
                manner,
                target,
                body,
                bytes,
            }
        };
        all.into_iter().enumerate().map(sent).collect()
    })
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![Just(End::Half), Just(End::Reset)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn whatever_the_schedule_each_request_is_seen_whole_and_answered_in_its_order(
        sent in requests(),
        cut in proptest::option::of(any::<prop::sample::Index>()),
        end in end(),
        schedule in Schedule::any(),
    ) {
        let all: Vec<u8> = sent.iter().flat_map(|one| one.bytes.clone()).collect();
        let cut = cut.map_or(all.len(), |cut| cut.index(all.len() + 1));
        let (seen, got) = served(&all[..cut], end, schedule);
        let (answers, is_cut) = answers(&got);

        // What was seen is what was sent, in its order, and nothing that did not come whole was taken for whole.
        let mut at = 0;
        prop_assert!(seen.len() <= sent.len());
        for (seen, one) in seen.iter().zip(&sent) {
            at += one.bytes.len();
            match seen {
                Seen::Whole(target, body) => {
                    prop_assert_eq!((target, body), (&one.target, &one.body));
                    prop_assert!(at <= cut, "its end had not come");
                }
                Seen::Part(target) => prop_assert_eq!(target, &one.target),
                Seen::Refused => prop_assert!(false, "nothing sent here is refused"),
            }
        }
        // The client gets the answers in their order, each whole but the last, and never one that it did not ask for.
        prop_assert!(answers.len() <= seen.len());
        for (number, ((status, body, is_last), one)) in answers.iter().zip(&sent).enumerate() {
            match (&seen[number], one.manner) {
                (Seen::Whole(_, read), Manner::Echo | Manner::EchoInChunks) => {
                    prop_assert_eq!((*status, body), (200, read));
                }
                (_, Manner::Early | Manner::Peek) => prop_assert!(body == b"early" || *status == 400),
                _ => prop_assert_eq!(*status, 400),
            }
            prop_assert!(!is_last || number + 1 == answers.len(), "nothing follows the last answer");
        }
        // Who reads on gets all: each request that came whole is answered, unless an answer was the last before it.
        if end == End::Half {
            prop_assert!(!is_cut, "the client gets whole answers");
            let mut came = 0;
            let whole = sent.iter().take_while(|one| { came += one.bytes.len(); came <= cut }).count();
            let last = answers.iter().any(|(_, _, is_last)| *is_last);
            prop_assert!(answers.len() >= whole || last, "{} of {whole} are answered", answers.len());
        }
    }

    #[test]
    fn whatever_the_schedule_hostile_bytes_are_refused_alike(
        sent in requests(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        schedule in Schedule::any(),
    ) {
        let mut all: Vec<u8> = sent.iter().flat_map(|one| one.bytes.clone()).collect();
        let at = at.index(all.len());
        all[at] = byte;
        let (at_once, got_at_once) = served(&all, End::Half, Schedule::default());
        let (slowly, got_slowly) = served(&all, End::Half, schedule);
        prop_assert!(at_once.iter().zip(&slowly).all(|(a, b)| a == b), "{at_once:?}\n{slowly:?}");
        // Fewer are seen only behind an answer that closes: what is left of a body that nobody reads may not be known.
        let (fewer, more) = match at_once.len() < slowly.len() {
            true => (got_at_once, got_slowly),
            false => (got_slowly, got_at_once),
        };
        let closes = answers(&fewer).0.last().is_some_and(|(_, _, is_last)| *is_last);
        prop_assert!(at_once.len() == slowly.len() || closes, "{at_once:?}\n{slowly:?}");
        answers(&more);
    }
}

#[test]
fn the_engine_is_driven_as_the_reader_of_requests_reads() {
    let bytes = b"POST /echo/0 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi";
    assert!(matches!(
        RequestIn::new(LIMITS).take(bytes),
        Taken::Request { .. }
    ));
    let (seen, got) = served(bytes, End::Half, Schedule::default());
    assert_eq!(seen, [Seen::Whole("/echo/0".to_owned(), b"hi".to_vec())]);
    assert_eq!(answers(&got), (vec![(200, b"hi".to_vec(), false)], false));
}
