//! Tables of heads that go on: what came, and all that goes out; and what holds for every head.

use crate::proxy::http::fields::Name;
use crate::proxy::http::forward::{BodyPlan, RequestPlan, ResponsePlan, request, response};
use crate::proxy::http::head::{Framing, Limits};
use crate::proxy::http::read::{read_request, read_response};
use bytes::Bytes;
use proptest::prelude::*;

const LIMITS: Limits = Limits {
    head: 4096,
    target: 1024,
    fields: 32,
};

/// Of a client at 192.0.2.7, for a portal that is called `portal.example`.
fn plan() -> RequestPlan<'static> {
    RequestPlan {
        target: None,
        host: Some(b"portal.example"),
        client: Some([192, 0, 2, 7].into()),
        scheme: "https",
        trusted: false,
        body: BodyPlan::AsItCame,
        upgrade: false,
        plain_answer: false,
        add: b"",
    }
}

/// The lines that go to the portal for these lines of a client.
fn sent(lines: &[&str], plan: &RequestPlan<'_>) -> Vec<String> {
    let came = format!("{}\r\n\r\n", lines.join("\r\n"));
    let head = read_request(Bytes::from(came), &LIMITS).expect("a head");
    let mut out = Vec::new();
    request(&head, plan, &mut out);
    lines_of(out)
}

/// The lines that go to the client for these lines of the portal.
fn answered(lines: &[&str], plan: &ResponsePlan<'_>) -> Vec<String> {
    let came = format!("{}\r\n\r\n", lines.join("\r\n"));
    let head = read_response(Bytes::from(came), &LIMITS, false).expect("a head");
    let mut out = Vec::new();
    response(&head, plan, &mut out);
    lines_of(out)
}

fn lines_of(out: Vec<u8>) -> Vec<String> {
    let text = String::from_utf8(out).expect("text");
    assert!(text.ends_with("\r\n"), "{text:?}");
    text.split_terminator("\r\n").map(str::to_owned).collect()
}

/// What the proxy says itself, at the end of every head.
const OURS: [&str; 3] = [
    "X-Forwarded-For: 192.0.2.7",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: h",
];

#[test]
// Long: one table, read from top to bottom.
fn heads_of_requests_and_what_goes_to_the_portal() {
    let rows: &[(&[&str], &[&str])] = &[
        // As it came: case, order, duplicates, spacing, any byte of a value.
        (
            &[
                "GET /a?b=%zz HTTP/1.1",
                "host: h",
                "aCCept:  x ",
                "X: 1",
                "x: 2",
                "Y:",
            ],
            &[
                "GET /a?b=%zz HTTP/1.1",
                "Host: portal.example",
                "aCCept:  x ",
                "X: 1",
                "x: 2",
                "Y:",
            ],
        ),
        // HTTP/1.0 goes on as HTTP/1.1; a missing Host is added.
        (
            &["GET / HTTP/1.0", "X: 1"],
            &["GET / HTTP/1.1", "X: 1", "Host: portal.example"],
        ),
        // An absolute target is its path.
        (
            &["GET http://other/p?q HTTP/1.1", "Host: h"],
            &["GET /p?q HTTP/1.1", "Host: portal.example"],
        ),
        // Fields of this hop.
        (
            &[
                "GET / HTTP/1.1",
                "Host: h",
                "Connection: keep-alive, X-Hop",
                "Keep-Alive: timeout=5",
                "Proxy-Connection: close",
                "Upgrade: h2c",
                "HTTP2-Settings: AAMA",
                "Expect: 100-continue",
                "X-Hop: 1",
                "X-Stays: 1",
            ],
            &["GET / HTTP/1.1", "Host: portal.example", "X-Stays: 1"],
        ),
        // What frames, routes or says how to read a message cannot be struck out.
        (
            &[
                "POST / HTTP/1.1",
                "Connection: content-length, Content-Type, host, Content-Encoding, X-Forwarded-For",
                "Host: h",
                "Content-Type: a/b",
                "Content-Encoding: gzip",
                "Content-Length: 3",
            ],
            &[
                "POST / HTTP/1.1",
                "Host: portal.example",
                "Content-Type: a/b",
                "Content-Encoding: gzip",
                "Content-Length: 3",
            ],
        ),
        (
            &[
                "POST / HTTP/1.1",
                "Host: h",
                "Transfer-Encoding: Chunked",
                "Trailer: X-Sum",
            ],
            &[
                "POST / HTTP/1.1",
                "Host: portal.example",
                "Transfer-Encoding: Chunked",
                "Trailer: X-Sum",
            ],
        ),
        // Only trailers of TE are of use.
        (
            &["GET / HTTP/1.1", "Host: h", "TE: gzip, Trailers;q=0.5"],
            &["GET / HTTP/1.1", "Host: portal.example"],
        ),
        // Who is not trusted says nothing of who it speaks for.
        (
            &[
                "GET / HTTP/1.1",
                "Host: h",
                "X-Forwarded-For: 203.0.113.9",
                "X-Forwarded-Proto: ftp",
                "X-Forwarded-Host: evil",
                "X-Forwarded-Port: 1",
                "X-Real-IP: 203.0.113.9",
                "Forwarded: for=203.0.113.9",
            ],
            &["GET / HTTP/1.1", "Host: portal.example"],
        ),
    ];
    for (came, goes) in rows {
        let no_host = came
            .iter()
            .all(|line| !line.to_ascii_lowercase().starts_with("host"));
        let mut wanted: Vec<&str> = goes.to_vec();
        wanted.extend(OURS);
        if no_host {
            wanted.pop();
            wanted.push("X-Forwarded-Host: ");
        }
        assert_eq!(sent(came, &plan()), wanted, "{came:?}");
    }
}

#[test]
// Long: one row for each part of a plan.
fn what_a_plan_says_of_a_request_goes_out() {
    let came = [
        "POST /old HTTP/1.1",
        "Host: h",
        "Content-Length: 3",
        "Accept-Encoding: gzip",
        "X: 1",
    ];
    let base = [
        "Host: portal.example",
        "Content-Length: 3",
        "Accept-Encoding: gzip",
        "X: 1",
    ];
    let with = |first: &str, lines: &[&str], ours: &[&str]| -> Vec<String> {
        let all = [&[first], lines, ours].concat();
        all.iter().map(|line| (*line).to_owned()).collect()
    };
    let target = RequestPlan {
        target: Some(b"/new"),
        ..plan()
    };
    assert_eq!(
        sent(&came, &target),
        with("POST /new HTTP/1.1", &base, &OURS)
    );
    let whole = RequestPlan {
        body: BodyPlan::Whole(12),
        ..plan()
    };
    let lines = [
        "Host: portal.example",
        "Content-Length: 12",
        "Accept-Encoding: gzip",
        "X: 1",
    ];
    assert_eq!(
        sent(&came, &whole),
        with("POST /old HTTP/1.1", &lines, &OURS)
    );
    let chunked = [
        "POST /old HTTP/1.1",
        "Host: h",
        "Transfer-Encoding: chunked",
    ];
    let lines = ["Host: portal.example", "Content-Length: 12"];
    assert_eq!(
        sent(&chunked, &whole),
        with("POST /old HTTP/1.1", &lines, &OURS)
    );
    // A body where none came.
    let ours = [&["Content-Length: 12"][..], &OURS].concat();
    assert_eq!(
        sent(&came[..2], &whole),
        with("POST /old HTTP/1.1", &lines[..1], &ours)
    );
    let plain = RequestPlan {
        plain_answer: true,
        ..plan()
    };
    let lines = ["Host: portal.example", "Content-Length: 3", "X: 1"];
    assert_eq!(
        sent(&came, &plain),
        with("POST /old HTTP/1.1", &lines, &OURS)
    );
    let own_host = RequestPlan {
        host: None,
        add: b"X-Request-Id: 7\r\n",
        ..plan()
    };
    let lines = [
        "Host: h",
        "Content-Length: 3",
        "Accept-Encoding: gzip",
        "X: 1",
    ];
    let ours = [&OURS[..], &["X-Request-Id: 7"]].concat();
    assert_eq!(
        sent(&came, &own_host),
        with("POST /old HTTP/1.1", &lines, &ours)
    );
    let upgrade = [
        "GET / HTTP/1.1",
        "Host: h",
        "Connection: Upgrade",
        "Upgrade: websocket",
    ];
    let ours = [&["Connection: Upgrade"][..], &OURS].concat();
    let lines = ["Host: portal.example", "Upgrade: websocket"];
    let plan = RequestPlan {
        upgrade: true,
        ..plan()
    };
    assert_eq!(sent(&upgrade, &plan), with("GET / HTTP/1.1", &lines, &ours));
}

#[test]
fn a_trusted_peer_is_extended_and_a_unix_socket_adds_nothing() {
    let came = [
        "GET / HTTP/1.1",
        "Host: h",
        "X-Forwarded-For: 203.0.113.9",
        "X-Forwarded-Proto: http",
        "x-forwarded-for: 198.51.100.1",
        "X-Forwarded-Host: seen.example",
        "Forwarded: for=203.0.113.9",
    ];
    for (client, list) in [
        (plan().client, "203.0.113.9, 198.51.100.1, 192.0.2.7"),
        (None, "203.0.113.9, 198.51.100.1"),
    ] {
        let plan = RequestPlan {
            trusted: true,
            client,
            ..plan()
        };
        let list = format!("X-Forwarded-For: {list}");
        let wanted = [
            "GET / HTTP/1.1",
            "Host: portal.example",
            "X-Forwarded-Proto: http",
            "X-Forwarded-Host: seen.example",
            "Forwarded: for=203.0.113.9",
            &list,
        ];
        assert_eq!(sent(&came, &plan), wanted);
    }
    let nobody = RequestPlan {
        client: None,
        ..plan()
    };
    assert_eq!(sent(&came[..2], &nobody)[2], "X-Forwarded-For: unknown");
}

#[test]
// Long: one table, read from top to bottom.
fn heads_of_answers_and_what_goes_to_the_client() {
    let turn = |name: Name, value: &[u8]| {
        (name == Name::Location && value == b"http://portal.example/x")
            .then(|| b"http://h/x".to_vec())
    };
    let as_it_came = ResponsePlan::default;
    let rows: &[(&[&str], ResponsePlan<'_>, &[&str])] = &[
        (
            &[
                "HTTP/1.1 200 Fine and  dandy",
                "set-COOKIE: a",
                "Set-Cookie: b",
                "Content-Length: 2",
                "X:  1 ",
            ],
            as_it_came(),
            &[
                "HTTP/1.1 200 Fine and  dandy",
                "set-COOKIE: a",
                "Set-Cookie: b",
                "Content-Length: 2",
                "X:  1 ",
            ],
        ),
        // Fields of this hop, and the framing that the client's connection has.
        (
            &[
                "HTTP/1.1 200 OK",
                "Connection: X-Hop",
                "X-Hop: 1",
                "Keep-Alive: timeout=5",
                "Transfer-Encoding: chunked",
            ],
            as_it_came(),
            &["HTTP/1.1 200 OK", "Transfer-Encoding: chunked"],
        ),
        (
            &["HTTP/1.0 200 OK"],
            as_it_came(),
            &["HTTP/1.1 200 OK", "Transfer-Encoding: chunked"],
        ),
        (
            &["HTTP/1.1 200 OK", "Transfer-Encoding: chunked"],
            ResponsePlan {
                http10: true,
                ..as_it_came()
            },
            &["HTTP/1.1 200 OK"],
        ),
        // A body that was replaced.
        (
            &["HTTP/1.1 400 Bad", "Content-Length: 9", "X: 1"],
            ResponsePlan {
                length: Some(12),
                add: b"Y: 2\r\n",
                ..as_it_came()
            },
            &["HTTP/1.1 400 Bad", "X: 1", "Y: 2", "Content-Length: 12"],
        ),
        // 304 and HEAD say the length of what they do not carry.
        (
            &["HTTP/1.1 304 Not Modified", "Content-Length: 9"],
            as_it_came(),
            &["HTTP/1.1 304 Not Modified", "Content-Length: 9"],
        ),
        (
            &[
                "HTTP/1.1 302 Found",
                "Location: http://portal.example/x",
                "Content-Length: 0",
            ],
            ResponsePlan {
                origin: Some(&turn),
                ..as_it_came()
            },
            &[
                "HTTP/1.1 302 Found",
                "Location: http://h/x",
                "Content-Length: 0",
            ],
        ),
        (
            &[
                "HTTP/1.1 302 Found",
                "Location: http://other/x",
                "Content-Length: 0",
            ],
            ResponsePlan {
                origin: Some(&turn),
                ..as_it_came()
            },
            &[
                "HTTP/1.1 302 Found",
                "Location: http://other/x",
                "Content-Length: 0",
            ],
        ),
        // What a browser may read of the answer.
        (
            &[
                "HTTP/1.1 200 OK",
                "Content-Length: 0",
                "Access-Control-Expose-Headers: A",
            ],
            ResponsePlan {
                expose: "Link",
                ..as_it_came()
            },
            &[
                "HTTP/1.1 200 OK",
                "Content-Length: 0",
                "Access-Control-Expose-Headers: A, Link",
            ],
        ),
        (
            &[
                "HTTP/1.1 200 OK",
                "Access-Control-Expose-Headers: *",
                "Content-Length: 0",
            ],
            ResponsePlan {
                expose: "Link",
                ..as_it_came()
            },
            &[
                "HTTP/1.1 200 OK",
                "Access-Control-Expose-Headers: *",
                "Content-Length: 0",
            ],
        ),
        (
            &["HTTP/1.1 200 OK", "Content-Length: 0"],
            ResponsePlan {
                expose: "Link",
                ..as_it_came()
            },
            &[
                "HTTP/1.1 200 OK",
                "Content-Length: 0",
                "Access-Control-Expose-Headers: Link",
            ],
        ),
        (
            &[
                "HTTP/1.1 101 Switching",
                "Connection: upgrade",
                "Upgrade: websocket",
            ],
            ResponsePlan {
                upgrade: true,
                ..as_it_came()
            },
            &[
                "HTTP/1.1 101 Switching",
                "Upgrade: websocket",
                "Connection: Upgrade",
            ],
        ),
        (
            &["HTTP/1.1 200 OK", "Upgrade: h2c", "Content-Length: 0"],
            as_it_came(),
            &["HTTP/1.1 200 OK", "Content-Length: 0"],
        ),
    ];
    for (came, plan, goes) in rows {
        assert_eq!(answered(came, plan), *goes, "{came:?}");
    }
}

/// Lines of fields, of which some are of this hop or name others as such.
fn fields() -> impl Strategy<Value = Vec<String>> {
    let name = prop_oneof![
        "(connection|Connection|CONNECTION)",
        "(keep-alive|te|TE|Trailer|upgrade|Expect|proxy-connection|X-Forwarded-For|Forwarded|Via|X-[A-C])",
    ];
    let value = prop_oneof![
        "(close|keep-alive|upgrade|te|x-a|X-B|host|content-length|transfer-encoding|trailers|,| ){1,6}",
        "[ -~]{0,12}",
    ];
    proptest::collection::vec((name, value), 0..8).prop_map(|lines| {
        let lines = lines.into_iter();
        lines
            .map(|(name, value)| format!("{name}: {value}"))
            .collect()
    })
}

fn framing() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just("X-None: 1"),
        Just("Content-Length: 5"),
        Just("Transfer-Encoding: chunked")
    ]
}

proptest! {
    #[test]
    fn every_head_that_goes_on_reads_back_with_its_framing_and_none_of_this_hop(
        before in fields(),
        framing in framing(),
        after in fields(),
        trusted: bool,
    ) {
        let lines = [vec!["POST /t HTTP/1.1".to_owned()], before, vec![framing.to_owned(), "Host: h".to_owned()], after].concat();
        let came = format!("{}\r\n\r\n", lines.join("\r\n"));
        let Ok(head) = read_request(Bytes::from(came), &LIMITS) else {
            return Ok(());
        };
        let mut out = Vec::new();
        request(&head, &RequestPlan { trusted, ..plan() }, &mut out);
        out.extend_from_slice(b"\r\n");
        let wide = Limits { fields: 64, ..LIMITS };
        let back = read_request(out.into(), &wide);
        let back = back.expect("what is written reads back");
        prop_assert_eq!((back.framing, back.target()), (head.framing, head.target()));
        prop_assert!(back.fields.first(Name::Expect).is_none() && back.fields.first(Name::KeepAlive).is_none());
        let options: Vec<&[u8]> = back.fields.known(Name::Connection).collect();
        prop_assert!(options.is_empty() || options == [b"TE"], "{:?}", options);
        prop_assert_eq!(back.fields.known(Name::XForwardedFor).count(), 1);
    }

    #[test]
    fn every_answer_that_goes_on_reads_back_with_a_framing_that_its_client_can_read(
        before in fields(),
        framing in framing(),
        after in fields(),
        status in prop_oneof![Just(200u16), Just(204), Just(304), Just(404)],
        http10: bool,
    ) {
        let lines = [vec![format!("HTTP/1.1 {status} Said")], before, vec![framing.to_owned()], after].concat();
        let came = format!("{}\r\n\r\n", lines.join("\r\n"));
        let Ok(head) = read_response(Bytes::from(came), &LIMITS, false) else {
            return Ok(());
        };
        let mut out = Vec::new();
        response(&head, &ResponsePlan { http10, ..ResponsePlan::default() }, &mut out);
        out.extend_from_slice(b"\r\n");
        let back = read_response(out.into(), &LIMITS, false).expect("what is written reads back");
        let wanted = match head.framing {
            Framing::Chunked | Framing::Close if http10 => Framing::Close,
            Framing::Close => Framing::Chunked,
            same => same,
        };
        prop_assert_eq!((back.framing, back.status), (wanted, status));
        prop_assert!(back.fields.first(Name::Connection).is_none() && back.fields.first(Name::KeepAlive).is_none());
    }
}
