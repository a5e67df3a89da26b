//! The machines under hostile splits: what is read does not depend on where the pieces end, and what one machine writes
//! the other reads.

use super::body_in::BodyIn;
use super::message_out::{Left, MessageOut, Pending, WrongLength};
use super::request_in::{RequestIn, Taken, WITH_HEAD};
use crate::proxy::http::head::{Framing, HeadError, Limits};
use bytes::Bytes;
use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use proptest::prelude::*;

const LIMITS: Limits = Limits {
    head: 4096,
    target: 1024,
    fields: 16,
};

/// What a connection said, message by message.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Request {
        target: Vec<u8>,
        body: Vec<u8>,
        trailers: usize,
    },
    Refused(HeadError),
    BadChunk,
    /// So many bytes are left that are no whole message.
    Part(usize),
}

/// Reads a connection that sends `bytes` in pieces of those lengths, as a driver would.
// Long: it drives both machines as a connection does.
fn read(bytes: &[u8], pieces: &[usize]) -> Vec<Said> {
    let mut said = Vec::new();
    let mut requests = RequestIn::new(LIMITS);
    let mut input: Vec<u8> = Vec::new();
    let mut body = BodyIn::default();
    let mut open: Option<(Vec<u8>, Vec<u8>, usize)> = None;
    let mut rest = bytes;
    let mut pieces = pieces.iter().copied().chain(std::iter::repeat(usize::MAX));
    let mut next = || {
        let n = pieces
            .next()
            .unwrap_or(usize::MAX)
            .clamp(1, rest.len().max(1));
        let (piece, behind) = rest.split_at(n.min(rest.len()));
        rest = behind;
        piece
    };
    loop {
        if let Some((target, data, trailers)) = &mut open {
            match body.next_frame() {
                Err(_) => {
                    said.push(Said::BadChunk);
                    return said;
                }
                Ok(Some(frame)) => match frame.into_data() {
                    Ok(piece) => data.extend_from_slice(&piece),
                    Err(frame) => *trailers += frame.into_trailers().map_or(0, |map| map.len()),
                },
                Ok(None) if body.is_ended() => {
                    said.push(Said::Request {
                        target: std::mem::take(target),
                        body: std::mem::take(data),
                        trailers: *trailers,
                    });
                    open = None;
                    input = body.take_rest().to_vec();
                }
                Ok(None) => {
                    let piece = next();
                    if piece.is_empty() {
                        said.push(Said::Part(data.len()));
                        return said;
                    }
                    body.feed(Bytes::copy_from_slice(piece));
                }
            }
            continue;
        }
        match requests.take(&input) {
            Taken::Refused(error) => {
                said.push(Said::Refused(error));
                return said;
            }
            Taken::Request {
                used,
                head,
                body: whole,
            } => {
                input.drain(..used);
                let framing = match whole {
                    Some(_) => Framing::None,
                    None => head.framing,
                };
                body = BodyIn::begin(framing, Bytes::from(std::mem::take(&mut input)));
                let data = whole.map_or_else(Vec::new, |whole| whole.to_vec());
                open = Some((head.target().to_vec(), data, 0));
            }
            Taken::More(used) => {
                input.drain(..used);
                let piece = next();
                if piece.is_empty() {
                    if !input.is_empty() {
                        said.push(Said::Part(input.len()));
                    }
                    return said;
                }
                input.extend_from_slice(piece);
            }
        }
    }
}

/// One request as it travels: its number is its target.
fn request() -> impl Strategy<Value = Vec<u8>> {
    let target = "/[a-z<>\"%]{0,12}";
    let body = proptest::collection::vec(any::<u8>(), 0..300);
    let sizes = proptest::collection::vec(1usize..80, 0..6);
    (target, body, sizes, 0u8..5).prop_map(|(target, body, sizes, kind)| {
        let mut bytes = format!("POST {target} HTTP/1.1\r\nHost: h\r\n").into_bytes();
        match kind {
            0 => bytes.extend_from_slice(b"\r\n"),
            1 | 2 => {
                bytes.extend_from_slice(
                    format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes(),
                );
                bytes.extend_from_slice(&body);
            }
            _ => {
                bytes.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
                let mut rest = &body[..];
                for size in sizes {
                    let (chunk, behind) = rest.split_at(size.min(rest.len()));
                    rest = behind;
                    if !chunk.is_empty() {
                        bytes.extend_from_slice(format!("{:X};x=y\r\n", chunk.len()).as_bytes());
                        bytes.extend_from_slice(chunk);
                        bytes.extend_from_slice(b"\r\n");
                    }
                }
                bytes.extend_from_slice(b"0\r\n");
                if kind == 4 {
                    bytes.extend_from_slice(b"X-Sum: 1\r\nX-Other: 2\r\n");
                }
                bytes.extend_from_slice(b"\r\n");
            }
        }
        bytes
    })
}

fn pieces() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![
        proptest::collection::vec(1usize..4, 0..200),
        proptest::collection::vec(1usize..90, 0..60),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_is_read_does_not_depend_on_where_pieces_end(
        requests in proptest::collection::vec(request(), 1..5),
        pieces in pieces(),
        cut in 0usize..40,
    ) {
        let mut bytes = requests.concat();
        bytes.truncate(bytes.len().saturating_sub(if cut < 20 { 0 } else { cut }));
        prop_assert_eq!(read(&bytes, &pieces), read(&bytes, &[]));
    }

    #[test]
    fn what_cannot_be_read_is_refused_alike_however_it_comes(
        requests in proptest::collection::vec(request(), 1..3),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        pieces in pieces(),
    ) {
        let mut bytes = requests.concat();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let (whole, split) = (read(&bytes, &[]), read(&bytes, &pieces));
        // A part of a head may be refused before its end has come; what came before it is the same.
        let same = whole.iter().zip(&split).take_while(|(a, b)| a == b).count();
        let ends = |said: &[Said]| matches!(said, [] | [Said::Refused(_) | Said::Part(_) | Said::BadChunk]);
        prop_assert!(
            (same == whole.len() && same == split.len()) || (ends(&whole[same..]) && ends(&split[same..])),
            "whole: {:?}\nsplit: {:?}", whole, split
        );
    }

    #[test]
    fn what_goes_out_is_read_as_what_was_said(
        data in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..30_000), 0..4),
        kind in 0u8..3,
        trailers in any::<bool>(),
        writes in proptest::collection::vec(1usize..50_000, 1..40),
        surplus in proptest::collection::vec(any::<u8>(), 0..20),
    ) {
        let whole: Vec<u8> = data.concat();
        let framing = match kind {
            0 => Framing::Length(whole.len() as u64),
            1 => Framing::Chunked,
            _ => Framing::Close,
        };
        let mut map = HeaderMap::new();
        map.insert(HeaderName::from_static("x-sum"), HeaderValue::from_static("1"));
        map.insert(HeaderName::from_static("content-length"), HeaderValue::from_static("9"));
        let mut out = MessageOut::default();
        out.begin(framing, b"X-Sum, Content-Length").extend_from_slice(b"head");
        let mut wire: Vec<u8> = Vec::new();
        let mut data = data.iter();
        let mut writes = writes.iter().copied().cycle();
        while !out.is_done() {
            while out.wants_body() {
                match data.next() {
                    Some(data) => out.data(&Bytes::from(data.clone()), false).expect("it fits"),
                    None => out.end(trailers.then_some(&map)).expect("it is whole"),
                }
            }
            let asked = writes.next().unwrap_or(1);
            let before = wire.len();
            match out.pending() {
                Pending::One(bytes) => wire.extend_from_slice(&bytes[..asked.min(bytes.len())]),
                Pending::Slices(slices) => {
                    for slice in slices {
                        let left = asked - (wire.len() - before);
                        wire.extend_from_slice(&slice[..left.min(slice.len())]);
                    }
                }
            }
            let n = wire.len() - before;
            out.written(n);
        }
        prop_assert!(wire.starts_with(b"head"));
        let close = framing == Framing::Close;
        if !close {
            wire.extend_from_slice(&surplus);
        }
        let mut body = BodyIn::begin(framing, Bytes::new());
        let (mut read, mut read_trailers) = (Vec::new(), HeaderMap::new());
        let mut rest = &wire[4..];
        loop {
            match body.next_frame().expect("it reads") {
                Some(frame) => match frame.into_data() {
                    Ok(data) => read.extend_from_slice(&data),
                    Err(frame) => read_trailers = frame.into_trailers().unwrap_or_default(),
                },
                None if body.is_ended() => break,
                None if rest.is_empty() => prop_assert!(body.close(), "only such a body ends with its connection"),
                None => {
                    let most = body.wanted().map_or(usize::MAX, |n| n as usize);
                    let n = writes.next().unwrap_or(1).min(rest.len()).min(most);
                    body.feed(Bytes::copy_from_slice(&rest[..n]));
                    rest = &rest[n..];
                }
            }
        }
        prop_assert_eq!(&read, &whole);
        // Only what was announced, and what frames nothing.
        let expected = usize::from(trailers && kind == 1);
        prop_assert_eq!(read_trailers.len(), expected);
        let left = [&body.take_rest()[..], rest].concat();
        prop_assert_eq!(left, if close { Vec::new() } else { surplus });
    }
}

#[test]
fn a_body_goes_along_with_its_head_up_to_64_kib() {
    for (length, whole) in [(WITH_HEAD, true), (WITH_HEAD + 1, false)] {
        let mut bytes = format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n");
        bytes.push_str(&"x".repeat(length));
        let Taken::Request { used, body, .. } = RequestIn::new(LIMITS).take(bytes.as_bytes())
        else {
            panic!("a request");
        };
        assert_eq!(body.is_some(), whole, "{length}");
        assert_eq!(used == bytes.len(), whole, "{length}");
    }
}

#[test]
fn a_body_of_another_length_than_the_head_says_is_an_error() {
    let mut out = MessageOut::default();
    out.begin(Framing::Length(3), b"")
        .extend_from_slice(b"head");
    assert_eq!(
        out.data(&Bytes::from_static(b"four"), true),
        Err(WrongLength)
    );
    let mut out = MessageOut::default();
    out.begin(Framing::Length(3), b"")
        .extend_from_slice(b"head");
    assert_eq!(out.data(&Bytes::from_static(b"ab"), false), Ok(()));
    assert_eq!(out.left(), Left::Length(1));
    assert_eq!(out.end(None), Err(WrongLength));
}

#[test]
fn only_a_body_until_the_close_ends_with_its_connection() {
    for (framing, may) in [
        (Framing::None, true),
        (Framing::Close, true),
        (Framing::Length(1), false),
        (Framing::Chunked, false),
    ] {
        assert_eq!(
            BodyIn::begin(framing, Bytes::new()).close(),
            may,
            "{framing:?}"
        );
    }
}

/// What becomes of a head that has come so far.
fn taken(come: &[u8]) -> Result<Option<Vec<u8>>, HeadError> {
    match RequestIn::new(LIMITS).take(come) {
        Taken::Request { head, .. } => Ok(Some(head.fields.raw().to_vec())),
        Taken::More(_) => Ok(None),
        Taken::Refused(error) => Err(error),
    }
}

#[test]
fn a_line_of_a_head_may_end_in_lf_alone_and_goes_on_with_crlf() {
    let clean = b"GET /a HTTP/1.1\r\nHost: h\r\nX: 1\r\n\r\n";
    for come in [
        &b"GET /a HTTP/1.1\nHost: h\nX: 1\n\n"[..],
        b"GET /a HTTP/1.1\r\nHost: h\nX: 1\r\n\r\n",
        b"GET /a HTTP/1.1\nHost: h\r\nX: 1\r\n\n",
        b"GET /a HTTP/1.1\r\nHost: h\r\nX: 1\n\r\n",
        b"\n\r\n\rGET /a HTTP/1.1\r\nHost: h\r\nX: 1\r\n\r\n",
        // What follows belongs to nobody here, whatever it looks like.
        b"GET /a HTTP/1.1\nHost: h\nX: 1\n\nGET /b HTTP/1.1\r\n\r\n",
    ] {
        let read = taken(come).expect("it reads").expect("it is whole");
        assert_eq!(read, clean, "{:?}", String::from_utf8_lossy(come));
    }
}

#[test]
fn a_head_that_can_become_none_is_refused_before_its_end() {
    let line = |number| {
        Err(HeadError::Line(
            "a field's name is not a token, or has no colon",
            number,
        ))
    };
    assert_eq!(
        taken(b"GET /a HTTP/1.1\r\nHost: h\r\nno colon\r\nX: "),
        line(3)
    );
    assert_eq!(taken(b"GET /a HTTP/1.1\nno colon\nX: "), line(2));
    for come in [
        &b"GET /a HTTP/1.1\r\nHost: h\r\nX: \0"[..],
        b"GET /a HTTP/1.1\r\nHost: h\rX",
        b"GET /a\r\nHost: h\r\n",
        b"\x16\x03\x01",
    ] {
        assert!(taken(come).is_err(), "{:?}", String::from_utf8_lossy(come));
    }
    for come in [
        &b""[..],
        b"\r",
        b"G",
        b"GET /a HTTP/1.1\r",
        b"GET /a HTTP/1.1\r\nHo",
        b"GET /a HTTP/1.1\r\nX: 1\r\n\r",
    ] {
        assert_eq!(taken(come), Ok(None), "{:?}", String::from_utf8_lossy(come));
    }
}

#[test]
fn empty_lines_before_a_request_count_towards_the_limit_of_its_head() {
    let mut requests = RequestIn::new(LIMITS);
    for _ in 0..LIMITS.head / 2 {
        assert!(matches!(requests.take(b"\r\n"), Taken::More(2)));
    }
    assert!(matches!(
        requests.take(b"\n"),
        Taken::Refused(HeadError::TooLarge)
    ));
}
