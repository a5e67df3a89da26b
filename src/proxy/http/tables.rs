//! Tables of the readers: bytes in, what they mean or why they are refused out; and that any split reads the same.

use super::chunked::{Chunked, Event};
use super::head::{Framing, HeadError, Limits};
use super::peer::{Preface, preface};
use super::read::{read_request, read_response};
use bytes::Bytes;
use proptest::prelude::*;

mod forwarded;

const LIMITS: Limits = Limits {
    head: 256,
    target: 32,
    fields: 4,
};

/// What a head says in short, or the kind of its error.
fn request(head: &str) -> String {
    match read_request(Bytes::copy_from_slice(head.as_bytes()), &LIMITS) {
        Ok(head) => format!(
            "{} {} {:?}{}",
            String::from_utf8_lossy(head.method()),
            String::from_utf8_lossy(head.target()),
            head.framing,
            if head.wants_close() { " close" } else { "" }
        ),
        Err(error) => refused(error),
    }
}

fn response(head: &str) -> String {
    match read_response(Bytes::copy_from_slice(head.as_bytes()), &LIMITS, false) {
        Ok(head) => format!(
            "{} {:?}{}",
            head.status,
            head.framing,
            if head.keeps_alive { "" } else { " close" }
        ),
        Err(error) => refused(error),
    }
}

fn refused(error: HeadError) -> String {
    match error {
        HeadError::Malformed(_) | HeadError::Line(..) => "malformed".to_owned(),
        other => format!("{other:?}"),
    }
}

#[test]
fn request_heads_and_what_they_mean() {
    let long = "a".repeat(40);
    for (head, meaning) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / None"),
        ("GET / HTTP/1.0\r\n\r\n", "GET / None close"),
        (
            "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\n",
            "POST /a Length(7)",
        ),
        (
            "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n",
            "POST /a Chunked",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            "GET / None close",
        ),
        ("GET / HTTP/1.1\r\n\r\n", "malformed"),
        // Heads that are not whole.
        ("GET / HTTP/1.1\r\n", "malformed"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX", "malformed"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: 1", "malformed"),
        ("GET / HTTP/1.1\r\nHost: a\r\n", "malformed"),
        ("", "malformed"),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "malformed"),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", "malformed"),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "malformed"),
        ("GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", "malformed"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", "malformed"),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n",
            "malformed",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "malformed",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "malformed",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
            "TransferCoding",
        ),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", "Version"),
        (
            &format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"),
            "TargetTooLong",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 1\r\nC: 1\r\nD: 1\r\n\r\n",
            "TooLarge",
        ),
    ] {
        assert_eq!(request(head), meaning, "{head:?}");
    }
}

#[test]
fn response_heads_and_what_they_mean() {
    for (head, meaning) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
            "200 Length(2)",
        ),
        ("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "200 None"),
        ("HTTP/1.1 200 OK\r\n\r\n", "200 Close close"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "200 Chunked",
        ),
        (
            "HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n",
            "204 None",
        ),
        ("HTTP/1.1 304 Not Modified\r\n\r\n", "304 None"),
        (
            "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n",
            "200 Length(2) close",
        ),
        ("HTTP/1.1 200 OK\r\nX", "malformed"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", "malformed"),
        ("HTTP/1.1 twohundred\r\n\r\n", "malformed"),
        ("HTTP/1.1 2000 OK\r\n\r\n", "malformed"),
        ("HTTP/1.1 200 O\0K\r\n\r\n", "malformed"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
            "malformed",
        ),
        (
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "TransferCoding",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            "TransferCoding",
        ),
    ] {
        assert_eq!(response(head), meaning, "{head:?}");
    }
}

/// A chunked body that comes in pieces of those lengths: its data and how many bytes it took, or `None` where it is refused.
fn chunks(bytes: &[u8], pieces: &[usize]) -> Option<(Vec<u8>, Option<usize>)> {
    let (mut reader, mut data, mut done) = (Chunked::default(), Vec::new(), 0);
    let mut lengths = pieces.iter().copied().chain(std::iter::repeat(usize::MAX));
    while done < bytes.len() {
        let length = lengths
            .next()
            .unwrap_or(usize::MAX)
            .clamp(1, bytes.len() - done);
        let piece = &bytes[done..done + length];
        let mut from = 0;
        loop {
            match reader.next(piece, from).ok()? {
                Event::Data(range) => {
                    from = range.end;
                    data.extend_from_slice(&piece[range]);
                }
                Event::Trailers(at) => from = at,
                Event::More => break,
                Event::Ended(at) => return Some((data, Some(done + at))),
            }
        }
        done += length;
    }
    Some((data, None))
}

#[test]
fn chunks_and_what_they_mean() {
    for (bytes, data) in [
        ("0\r\n\r\n", Some("")),
        ("3\r\nabc\r\n0\r\n\r\n", Some("abc")),
        ("A\r\n0123456789\r\n0\r\n\r\n", Some("0123456789")),
        ("1;a=b\r\nx\r\n0\r\nT: 1\r\n\r\n", Some("x")),
        ("zz\r\n", None),
        ("\r\n", None),
        ("-1\r\n", None),
        ("0x1\r\n", None),
        ("1\nx\r\n0\r\n\r\n", None),
        ("1\r\nxy\r\n0\r\n\r\n", None),
        ("1 \r\nx\r\n0\r\n\r\n", None),
        ("1;\0\r\nx\r\n0\r\n\r\n", None),
        ("FFFFFFFFFFFFFFFF1\r\n", None),
    ] {
        let read = chunks(bytes.as_bytes(), &[]);
        let wanted = data.map(|data| (data.as_bytes().to_vec(), Some(bytes.len())));
        assert_eq!(read, wanted, "{bytes:?}");
    }
}

#[test]
fn proxy_headers_that_are_cut_short_ask_for_more_and_broken_ones_are_refused() {
    let whole = b"PROXY TCP4 192.0.2.7 198.51.100.1 5000 443\r\n";
    for cut in 0..whole.len() {
        assert!(
            matches!(preface(&whole[..cut]), Preface::More { .. }),
            "{cut}"
        );
    }
    // 107 bytes, and one more, of which no split may take another view.
    let (most, more) = ([b"PROXY UNKNOWN", &b" "[..]].concat(), 107 - 16);
    let line = |spaces: usize| [&most[..], &b"x".repeat(spaces), b"\r\n"].concat();
    let length = line(more).len();
    assert_eq!(
        (length, preface(&line(more))),
        (
            107,
            Preface::Proxied {
                length,
                source: None
            }
        )
    );
    assert_eq!(preface(&line(more + 1)), Preface::Bad);
    for broken in [
        &b"PROXY TCP4 192.0.2.300 198.51.100.1 1 2\r\n"[..],
        b"PROXY TCP4\r\n",
        b"PROXY HTTP 192.0.2.7\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2\n",
        b"GET / HTTP/1.1\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x01\0",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff",
    ] {
        assert_eq!(preface(broken), Preface::Bad, "{}", broken.escape_ascii());
    }
}

proptest! {
    #[test]
    fn a_chunked_body_reads_the_same_however_it_is_split(
        bytes in prop_oneof![
            "([0-3]\r\n[a-z]{0,3}\r\n){0,4}0\r\n(T: 1\r\n)?\r\n[a-z]{0,4}".prop_map(String::into_bytes),
            "[0-9a-f;\r\n ]{0,24}".prop_map(String::into_bytes),
            proptest::collection::vec(any::<u8>(), 0..24),
        ],
        pieces in proptest::collection::vec(1usize..6, 0..40),
    ) {
        prop_assert_eq!(chunks(&bytes, &pieces), chunks(&bytes, &[]));
    }

    #[test]
    fn a_proxy_header_is_whole_only_at_its_end(
        bytes in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..40),
            "[ -~]{0,110}\r\n".prop_map(String::into_bytes),
        ],
        version in 0..2,
    ) {
        let begin: &[u8] = if version == 0 { b"PROXY TCP4 192.0.2.7 " } else { b"\r\n\r\n\0\r\nQUIT\n\x21\x11" };
        let bytes = [begin, &bytes].concat();
        if let Preface::Proxied { length, .. } = preface(&bytes) {
            prop_assert!(length <= bytes.len());
            prop_assert_eq!(preface(&bytes[..length]), preface(&bytes));
            for cut in 0..length {
                let is_more = matches!(preface(&bytes[..cut]), Preface::More { .. });
                prop_assert!(is_more);
            }
        }
    }

    #[test]
    fn a_head_that_is_not_whole_is_refused(
        fields in "([A-Z][a-z]{0,6}:[ -~]{0,12}\r\n){0,3}",
        cut in any::<prop::sample::Index>(),
    ) {
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let cut_short = &request[..cut.index(request.len())];
        prop_assert!(read_request(Bytes::copy_from_slice(cut_short.as_bytes()), &LIMITS).is_err());
        let answer = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
        let cut_short = &answer[..cut.index(answer.len())];
        prop_assert!(read_response(Bytes::copy_from_slice(cut_short.as_bytes()), &LIMITS, false).is_err());
    }

    #[test]
    fn no_head_panics_a_reader(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let _ = read_request(Bytes::copy_from_slice(&bytes), &LIMITS);
        if let Ok(head) = read_response(Bytes::from(bytes), &LIMITS, true) {
            prop_assert_eq!(head.framing, Framing::None);
        }
    }
}
