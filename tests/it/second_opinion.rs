//! The engine of the data path and hyper read the same connections alike, or the strict reader leaves them the choice. The
//! fuzz targets `requests` and `answers` ask the same of bytes that no generator makes.

use proptest::prelude::*;

use crate::support::differential::{answers_agree, answers_found, requests_agree, requests_found};

/// Bodies with their framing, right and nearly right.
fn framed() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(b"\r\n".to_vec()),
        Just(b"Content-Length: 5\r\n\r\nhello".to_vec()),
        Just(b"content-length: 0\r\n\r\n".to_vec()),
        Just(b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello".to_vec()),
        Just(b"Content-Length: 5, 5\r\n\r\nhello".to_vec()),
        Just(b"Content-Length: +5\r\n\r\nhello".to_vec()),
        Just(
            b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
                .to_vec()
        ),
        Just(b"Transfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n".to_vec()),
        Just(b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n".to_vec()),
        Just(b"Transfer-Encoding: CHUNKED\r\n\r\n5;a=b\r\nhello\r\n00\r\nX: 1\r\n\r\n".to_vec()),
        Just(b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n".to_vec()),
        Just(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_vec()),
        Just(b"Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n".to_vec()),
        Just(b"Transfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n".to_vec()),
    ]
}

fn fields() -> impl Strategy<Value = String> {
    let field = prop_oneof![
        Just("Host: h\r\n"),
        Just("host:h\r\n"),
        Just("Connection: close\r\n"),
        Just("Connection: keep-alive\r\n"),
        Just("Expect: 100-continue\r\n"),
        Just("X: \t y \r\n"),
        Just("X:\r\n"),
        Just("X : y\r\n"),
        Just(" folded\r\n"),
        Just("X: y\n"),
        Just("X\r\n"),
    ];
    proptest::collection::vec(field, 0..4).prop_map(|fields| fields.concat())
}

fn request() -> impl Strategy<Value = Vec<u8>> {
    let start = prop_oneof![
        4 => Just("POST /a?b HTTP/1.1\r\nHost: h\r\n"),
        1 => Just("GET http://h/a HTTP/1.1\r\nHost: h\r\n"),
        1 => Just("GET /a HTTP/1.0\r\n"),
        1 => Just("HEAD / HTTP/1.1\r\nHost: h\r\n"),
        1 => Just("\r\nGET /a%zz HTTP/1.1\r\n"),
        1 => Just("GET  /a HTTP/1.1\r\nHost: h\r\n"),
        1 => Just("OPTIONS * HTTP/1.1\r\nHost: h\r\n"),
        1 => Just("GET /a HTTP/1.2\r\nHost: h\r\n"),
        1 => Just("get /a HTTP/1.1\r\nHost: h\r\n"),
    ];
    (start, fields(), framed())
        .prop_map(|(start, fields, framed)| [start.as_bytes(), fields.as_bytes(), &framed].concat())
}

fn answer() -> impl Strategy<Value = Vec<u8>> {
    let start = prop_oneof![
        4 => Just("HTTP/1.1 200 OK\r\n"),
        1 => Just("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"),
        1 => Just("HTTP/1.1 103 Early\r\nLink: a\r\n\r\nHTTP/1.1 404 No\r\n"),
        1 => Just("HTTP/1.0 200 OK\r\n"),
        1 => Just("HTTP/1.1 204 None\r\n"),
        1 => Just("HTTP/1.1 304 Same\r\n"),
        1 => Just("HTTP/1.1 200\r\n"),
        1 => Just("HTTP/1.1 2000 OK\r\n"),
        1 => Just("HTTP/1.1 500 \r\n"),
        1 => Just("HTTP/1.1 101 Switch\r\nUpgrade: x\r\nConnection: upgrade\r\n"),
    ];
    (start, fields(), framed())
        .prop_map(|(start, fields, framed)| [start.as_bytes(), fields.as_bytes(), &framed].concat())
}

/// Bytes, perhaps with one of them changed, perhaps cut short.
fn spoilt(bytes: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let change = proptest::option::weighted(0.5, (any::<prop::sample::Index>(), any::<u8>()));
    let cut = proptest::option::weighted(0.3, any::<prop::sample::Index>());
    (bytes, change, cut).prop_map(|(mut bytes, change, cut)| {
        if let Some((at, byte)) = change {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        bytes
    })
}

fn many() -> ProptestConfig {
    ProptestConfig::with_cases(512)
}

proptest! {
    #![proptest_config(many())]

    #[test]
    fn requests_are_read_as_hyper_reads_them_or_the_strict_reader_leaves_the_choice(
        bytes in spoilt(proptest::collection::vec(request(), 1..3).prop_map(|all| all.concat())),
        piece in prop_oneof![1usize..40, Just(1000)],
    ) {
        if let Err(difference) = requests_agree(&bytes, piece) {
            prop_assert!(false, "{}\n{}", bytes.escape_ascii(), difference);
        }
    }

    #[test]
    fn answers_are_read_as_hyper_reads_them_or_the_strict_reader_leaves_the_choice(
        bytes in spoilt(answer()),
        method in prop_oneof![Just("GET"), Just("HEAD"), Just("POST")],
        piece in prop_oneof![1usize..40, Just(1000)],
    ) {
        if let Err(difference) = answers_agree(&bytes, method, piece) {
            prop_assert!(false, "{}\n{}", bytes.escape_ascii(), difference);
        }
    }
}

#[test]
fn all_three_readers_take_part() {
    let requests = b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello\
        POST /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n\
        GET /c HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    for piece in [1, 7, 1000] {
        assert_eq!(requests_found(requests, piece), [3, 3, 3], "{piece}");
        assert_eq!(
            requests_found(&requests[..requests.len() - 1], piece),
            [2, 2, 2]
        );
    }
    for (answer, found) in [
        (&b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"[..], 1),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}", 0),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            1,
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n",
            0,
        ),
        (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 OK\r\n\r\nuntil the end",
            1,
        ),
    ] {
        for piece in [1, 7, 1000] {
            assert_eq!(
                answers_found(answer, "GET", piece),
                [found; 3],
                "{}",
                answer.escape_ascii()
            );
        }
    }
}
