//! What passes, passes to the byte: targets, heads in their case and order, bodies in every framing, statuses, trailers.

use std::io::Write;
use std::time::Duration;

use crate::support::client::{Client, deprecated_call, get, post};
use crate::support::portal::{Connection, Portal, Visit};
use crate::support::proxy::{self, Proxy};
use crate::support::strict::{self, Framing, Message};
use crate::support::time::pause_ms;
use crate::support::wire::PATIENCE;
use crate::support::{Dice, shown};

fn lines(message: &Message) -> Vec<String> {
    message
        .fields
        .iter()
        .map(|field| format!("{}: {}", shown(&field.name), shown(&field.value)))
        .collect()
}

/// The only request that the portal got.
fn only(portal: &Portal) -> Message {
    let mut all = portal.requests();
    assert_eq!(all.len(), 1);
    all.remove(0)
}

#[test]
fn the_head_of_a_request_keeps_case_order_duplicates_and_odd_values() {
    let portal = Portal::plain();
    let proxy = proxy::start(&portal, &[]);
    let answer = proxy.call(
        "GET /a HTTP/1.1\r\nuSeR-aGeNt: x\r\nHost: client.example:81\r\nX-B: 1\r\nx-a:2\r\nX-b:   3\t\r\nCookie: a=1; b=\"2\"\r\n\
         X-Empty:\r\nAccept: */*\r\nCookie: c=3\r\nX-Odd: \u{43f}: ,;\"\r\nX-B: 4\r\nDNT: 1\r\n\r\n",
    );
    assert_eq!(answer.status(), 200);
    let got = only(&portal);
    let wanted = [
        "uSeR-aGeNt: x",
        &format!("Host: {}", portal.address),
        "X-B: 1",
        "x-a: 2",
        "X-b: 3",
        "Cookie: a=1; b=\\\"2\\\"",
        "X-Empty: ",
        "Accept: */*",
        "Cookie: c=3",
        "X-Odd: \\xd0\\xbf: ,;\\\"",
        "X-B: 4",
        "DNT: 1",
    ];
    let (passed, added): (Vec<String>, Vec<String>) = lines(&got)
        .into_iter()
        .partition(|line| !line.starts_with("X-Forwarded-"));
    assert_eq!(passed, wanted);
    assert_eq!(
        added,
        [
            "X-Forwarded-For: 127.0.0.1",
            "X-Forwarded-Proto: http",
            "X-Forwarded-Host: client.example:81",
        ]
    );
}

#[test]
fn the_head_of_an_answer_keeps_case_order_and_duplicates_and_gains_nothing() {
    let portal = Portal::start(|visit| {
        while visit.request().is_some() {
            visit.write(
                "HTTP/1.1 200 Very Well\r\nset-COOKIE: a=1\r\nX-Two: 2\r\nSet-Cookie: b=2; Path=/\r\nx-bitrix-REST-time: 1\r\n\
                 X-Empty:\r\nSet-Cookie: c=3\r\nX-Odd: \u{43f} \"\r\nContent-Length: 2\r\nX-Two: 3\r\n\r\nok",
            );
        }
    });
    let proxy = proxy::start(&portal, &[]);
    let mut client = proxy.connect();
    for _ in 0..2 {
        let answer = client.call(get("/a")).expect("an answer");
        assert_eq!(
            lines(&answer),
            [
                "set-COOKIE: a=1",
                "X-Two: 2",
                "Set-Cookie: b=2; Path=/",
                "x-bitrix-REST-time: 1",
                "X-Empty: ",
                "Set-Cookie: c=3",
                "X-Odd: \\xd0\\xbf \\\"",
                "Content-Length: 2",
                "X-Two: 3",
            ]
        );
        assert_eq!(answer.body, b"ok");
    }
}

#[test]
fn every_status_passes_with_its_reason_and_body() {
    let portal = Portal::start(|visit| {
        while let Some(request) = visit.request() {
            let target = String::from_utf8_lossy(request.target()).into_owned();
            let status = target.trim_start_matches('/');
            let body = if matches!(status, "204" | "304") {
                ""
            } else {
                "Content-Length: 5\r\n"
            };
            visit.write(format!(
                "HTTP/1.1 {status} Reason of {status}\r\n{body}X-S: {status}\r\n\r\n"
            ));
            if !body.is_empty() {
                visit.write("hello");
            }
        }
    });
    let proxy = proxy::start(&portal, &[]);
    let mut client = proxy.connect();
    for status in 200..=599_u16 {
        let answer = client.call(get(&format!("/{status}"))).expect("an answer");
        assert_eq!(answer.status(), status);
        let strict::Start::Response { reason, .. } = &answer.start else {
            panic!("no response")
        };
        assert_eq!(shown(reason), format!("Reason of {status}"));
        assert_eq!(answer.one("x-s"), Some(status.to_string()));
        let wanted: &[u8] = if matches!(status, 204 | 304) {
            b""
        } else {
            b"hello"
        };
        assert_eq!(answer.body, wanted, "{status}");
    }
    assert!(
        portal.connection_count() <= 3,
        "connections were kept: {}",
        portal.connection_count()
    );
}

#[test]
fn an_answer_without_a_body_keeps_its_length_field_and_the_connection() {
    let portal = Portal::start(|visit| {
        while let Some(request) = visit.request() {
            let not_modified = request.target() == b"/304";
            let status = if not_modified {
                "304 Not Modified"
            } else {
                "200 OK"
            };
            visit.write(format!(
                "HTTP/1.1 {status}\r\nContent-Length: 12345\r\nETag: \"x\"\r\n\r\n"
            ));
        }
    });
    let proxy = proxy::start(&portal, &[]);
    let mut client = proxy.connect();
    for (method, target) in [
        ("HEAD", "/h"),
        ("GET", "/304"),
        ("HEAD", "/h2"),
        ("GET", "/304"),
    ] {
        let answer = client
            .call(format!("{method} {target} HTTP/1.1\r\nHost: h\r\n\r\n"))
            .expect("an answer");
        assert_eq!(
            answer.one("content-length").as_deref(),
            Some("12345"),
            "{method} {target}"
        );
        assert_eq!(answer.one("etag").as_deref(), Some("\"x\""));
        assert!(answer.body.is_empty() && client.inbox.bytes.is_empty());
    }
}

/// Answers with the body that came, framed as the target asks.
fn mirror(visit: &mut Visit) {
    while let Some(request) = visit.request() {
        let body = &request.body;
        if request.target() == b"/chunked" {
            visit.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            for piece in body.chunks(7_000) {
                visit.write(format!("{:x}\r\n", piece.len()));
                visit.write(piece);
                visit.write("\r\n");
            }
            visit.write("0\r\n\r\n");
        } else if request.target() == b"/close" {
            visit.write("HTTP/1.1 200 OK\r\n\r\n");
            visit.write(body);
            return;
        } else {
            visit.answer(200, "", body);
        }
    }
}

#[test]
fn bodies_of_every_size_and_framing_pass_both_ways() {
    let portal = Portal::start(mirror);
    let proxy = proxy::start(&portal, &[]);
    let mut dice = Dice::new(3);
    let mut client = proxy.connect();
    let sizes = [
        0, 1, 2, 100, 4_095, 4_096, 8_191, 8_192, 8_193, 16_383, 16_384, 16_385, 65_535, 65_536,
        65_537, 300_000, 1_048_577,
    ];
    for size in sizes {
        let body: Vec<u8> = (0..size)
            .map(|_| u8::try_from(dice.below(256)).unwrap_or(0))
            .collect();
        for target in ["/length", "/chunked", "/close"] {
            for chunked in [false, true] {
                let mut request = format!("PUT {target} HTTP/1.1\r\nHost: h\r\n").into_bytes();
                if chunked {
                    request.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
                    let mut rest = &body[..];
                    while !rest.is_empty() {
                        let (piece, behind) = rest.split_at(rest.len().min(1 + dice.below(60_000)));
                        let _ = write!(request, "{:X};x=y\r\n", piece.len());
                        request.extend_from_slice(piece);
                        request.extend_from_slice(b"\r\n");
                        rest = behind;
                    }
                    request.extend_from_slice(b"0\r\n\r\n");
                } else {
                    let _ = write!(request, "Content-Length: {size}\r\n\r\n");
                    request.extend_from_slice(&body);
                }
                if !client.send(&request) {
                    client = proxy.connect();
                    client.send(&request);
                }
                let answer = client.response("PUT").expect("an answer");
                assert!(
                    answer.body == body,
                    "{target}, {size} bytes, chunked: {chunked}"
                );
                if answer.list("connection").contains(&"close".to_owned())
                    || answer.framing == Framing::UntilClose
                {
                    client = proxy.connect();
                }
            }
        }
    }
    assert!(
        portal
            .requests()
            .iter()
            .all(|one| one.framing != Framing::None || one.body.is_empty())
    );
}

#[test]
fn any_segmentation_of_a_request_is_the_same_request() {
    let portal = Portal::start(mirror);
    let proxy = proxy::start(&portal, &[]);
    let request = b"POST /a?f[>ID]=5 HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n3;e=1\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\n\r\n";
    let mut client = proxy.connect();
    for byte in request {
        client.send([*byte]);
    }
    assert_eq!(client.response("POST").expect("an answer").body, b"abcde");
    for cut in 1..request.len() {
        client.send(&request[..cut]);
        client.send(&request[cut..]);
        assert_eq!(
            client.response("POST").expect("an answer").body,
            b"abcde",
            "cut at {cut}"
        );
    }
    let first = portal.requests()[0].clone();
    for other in portal.requests() {
        assert_eq!(
            (other.target(), lines(&other)),
            (first.target(), lines(&first))
        );
    }
}

#[test]
fn trailers_pass_both_ways() {
    let portal = Portal::start(|visit| {
        while visit.request().is_some() {
            visit.write(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, X-More\r\n\r\n\
                 2\r\nok\r\n0\r\nX-Sum: 12\r\nX-More: 3\r\n\r\n",
            );
        }
    });
    let proxy = proxy::start(&portal, &[]);
    let answer = proxy.call(
        "POST /t HTTP/1.1\r\nHost: h\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\nTrailer: X-Up\r\n\r\n\
         1\r\na\r\n0\r\nX-Up: 7\r\n\r\n",
    );
    let names = |message: &Message| -> Vec<String> {
        message
            .trailers
            .iter()
            .map(|field| {
                format!(
                    "{}: {}",
                    shown(&field.name).to_lowercase(),
                    shown(&field.value)
                )
            })
            .collect()
    };
    assert_eq!(names(&answer), ["x-sum: 12", "x-more: 3"]);
    assert_eq!(names(&only(&portal)), ["x-up: 7"]);
}

#[test]
fn an_expectation_is_answered_when_the_body_is_wanted_and_not_passed_on() {
    let portal = Portal::start(mirror);
    let proxy = proxy::start(&portal, &[]);
    let deprecated = "/rest/1/code/crm.lead.details.configuration.reset";
    for target in ["/length", deprecated] {
        let mut client = proxy.connect();
        client.send(format!(
            "POST {target} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: 12\r\n\r\n"
        ));
        let interim = client.any_response("POST", PATIENCE).expect("a go-ahead");
        assert_eq!(interim.status(), 100);
        client.send("{\"userId\":1}");
        assert_eq!(client.response("POST").expect("an answer").status(), 200);
    }
    assert!(
        portal
            .requests()
            .iter()
            .all(|one| one.one("expect").is_none())
    );
}

#[test]
fn an_answer_before_the_end_of_an_upload_reaches_the_client() {
    let portal = Portal::start(|visit| {
        if let Some(head) = visit.head() {
            if head.starts_with(b"POST /large") {
                visit.answer(413, "Connection: close\r\n", b"too large");
                visit.swallow(u64::MAX);
                return;
            }
            while let Some(request) = visit.request() {
                visit.answer_to(&request, 200, "", b"ok");
            }
        }
    });
    let proxy = proxy::start(&portal, &[]);
    let mut client = proxy.connect();
    client.send("POST /large HTTP/1.1\r\nHost: h\r\nContent-Length: 50000000\r\n\r\n");
    client.send([b'x'; 100_000]);
    let answer = client.response("POST").expect("the early answer");
    assert_eq!(
        (answer.status(), answer.text().as_str()),
        (413, "too large")
    );
    // What the client still sends belongs to the old request: never to a new one.
    client.send(get("/smuggled"));
    assert_eq!(proxy.call(get("/next")).status(), 200);
    assert!(
        portal
            .requests()
            .iter()
            .all(|one| one.target() != b"/smuggled")
    );
}

#[test]
fn an_upload_that_is_answered_early_goes_on_and_both_connections_serve_on() {
    const LENGTH: usize = 8_000_000;
    let portal = Portal::start(|visit| {
        while let Some(head) = visit.head() {
            visit.answer(200, "", b"early");
            if head.starts_with(b"POST /large") {
                let all = head.len() + LENGTH;
                if visit.swallow(all as u64) == all as u64 {
                    visit.note("all of it");
                }
            }
        }
    });
    let proxy = proxy::start(&portal, &["--threads", "1"]);
    let mut client = proxy.connect();
    // As many libraries do: all is sent before anything is read.
    client.send(format!(
        "POST /large HTTP/1.1\r\nHost: h\r\nContent-Length: {LENGTH}\r\n\r\n"
    ));
    client.send(vec![b'x'; LENGTH]);
    assert_eq!(client.response("POST").expect("an answer").text(), "early");
    let noted = |connections: &[Connection]| {
        connections
            .iter()
            .any(|one| one.notes.contains(&"all of it".to_owned()))
    };
    assert!(portal.wait_until(noted), "the portal got all of it");
    client.send(get("/next"));
    assert_eq!(client.response("GET").expect("an answer").text(), "early");
}

#[test]
fn an_upload_that_stalls_behind_its_early_answer_ends_and_is_never_read_as_a_request() {
    let portal = Portal::start(|visit| {
        if visit.head().is_some() {
            visit.answer(200, "", b"early");
            visit.wait_closed(PATIENCE);
        }
    });
    let proxy = proxy::start(&portal, &["--body-timeout", "1500ms"]);
    let mut client = proxy.connect();
    client.send("POST /large HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nhalf");
    assert_eq!(client.response("POST").expect("an answer").text(), "early");
    pause_ms(
        1200,
        "an idle connection would be parked by now; this one is in the middle of a body",
    );
    client.send(get("/smuggled"));
    assert!(client.closed_within(PATIENCE));
    let asked = |target: &[u8]| portal.requests().iter().any(|one| one.target() == target);
    assert!(!asked(b"/smuggled"));
    assert!(client.rest().is_empty(), "no second answer");
}

#[test]
fn a_client_of_http_1_0_is_served_in_its_own_way() {
    let portal = Portal::start(mirror);
    let proxy = proxy::start(&portal, &[]);
    let mut client = proxy.connect();
    client.send("POST /chunked HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc");
    let answer = client.response("POST").expect("an answer");
    assert_eq!(answer.body, b"abc");
    assert_ne!(
        answer.framing,
        Framing::Chunked,
        "HTTP/1.0 knows no chunks: {answer:?}"
    );
    assert!(client.closed_within(Duration::from_secs(5)));
    let got = only(&portal);
    assert_eq!((got.minor, got.all("host").len()), (1, 1));

    let mut kept = proxy.connect();
    for _ in 0..2 {
        kept.send(
            "POST /length HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc",
        );
        let answer = kept.response("POST").expect("an answer");
        assert_eq!(answer.list("connection"), ["keep-alive"], "{answer:?}");
    }
}

#[test]
fn requests_at_once_are_answered_in_their_order() {
    let portal = Portal::start(|visit| {
        while let Some(request) = visit.request() {
            let target = request.target().to_vec();
            visit.answer_to(&request, 200, "", &target);
        }
    });
    let proxy = proxy::start(&portal, &[]);
    let mut client = proxy.connect();
    let all: String = (0..50).map(|number| get(&format!("/{number}"))).collect();
    client.send(all);
    for number in 0..50 {
        let answer = client.response("GET").expect("an answer");
        assert_eq!(answer.text(), format!("/{number}"));
    }
}

#[test]
fn connections_to_the_portal_are_used_again() {
    let portal = Portal::plain();
    let proxy = proxy::start(&portal, &["--threads", "1"]);
    let mut client = proxy.connect();
    for number in 0..300 {
        let request = match number % 3 {
            0 => get("/page"),
            1 => deprecated_call(number),
            _ => post("/rest/1/code/crm.deal.add", "application/json", "{}"),
        };
        assert_eq!(client.call(request).expect("an answer").status(), 200);
    }
    assert!(
        portal.connection_count() <= 2,
        "{} connections",
        portal.connection_count()
    );
}

fn seen_host(
    proxy: &Proxy,
    portal: &Portal,
    request: &str,
) -> (String, Option<String>, Option<String>) {
    let before = portal.request_count();
    assert_eq!(proxy.call(request).status(), 200);
    let got = &portal.requests_since(before)[0];
    let said = |name: &str| got.one(name);
    (
        said("host").unwrap_or_default(),
        said("x-forwarded-for"),
        said("x-forwarded-host"),
    )
}

#[test]
fn host_and_forwarding_fields_are_ours_unless_a_trusted_proxy_says_them() {
    let portal = Portal::plain();
    let forged = get("/a").replacen(
        "\r\n",
        "\r\nX-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Host: evil\r\nForwarded: for=1.1.1.1\r\nX-Real-IP: 1.1.1.1\r\n",
        1,
    );
    let plain = proxy::start(&portal, &[]);
    let (host, from, named) = seen_host(&plain, &portal, &forged);
    assert_eq!(host, portal.address.to_string());
    assert_eq!(
        (from.as_deref(), named.as_deref()),
        (Some("127.0.0.1"), Some("portal.example"))
    );

    let came = portal.requests().pop().expect("a request");
    assert_eq!((came.one("forwarded"), came.one("x-real-ip")), (None, None));

    let kept = proxy::start(&portal, &["--preserve-host"]);
    assert_eq!(seen_host(&kept, &portal, &forged).0, "portal.example");

    let named = proxy::start(&portal, &["--upstream-host", "inside.example"]);
    assert_eq!(seen_host(&named, &portal, &forged).0, "inside.example");

    let trusting = proxy::start(&portal, &["--trusted-proxy", "127.0.0.0/8"]);
    let (_, from, named) = seen_host(&trusting, &portal, &forged);
    assert_eq!(from.as_deref(), Some("203.0.113.9, 127.0.0.1"));
    assert_eq!(named.as_deref(), Some("evil"));
    assert_eq!(
        trusting
            .call(deprecated_call(1).replacen("\r\n", "\r\nX-Forwarded-For: 203.0.113.9\r\n", 1))
            .status(),
        200
    );
    assert_eq!(trusting.events()[0]["caller"]["address"], "203.0.113.9");
}

#[test]
fn the_proxy_protocol_names_the_client_where_it_is_believed() {
    let portal = Portal::plain();
    let proxy = proxy::start(
        &portal,
        &["--trusted-proxy", "127.0.0.1", "--accept-proxy-protocol"],
    );
    let mut first = proxy.connect();
    first.send(format!(
        "PROXY TCP4 203.0.113.7 127.0.0.1 5555 80\r\n{}",
        deprecated_call(1)
    ));
    assert_eq!(first.response("POST").expect("an answer").status(), 200);
    let mut second = proxy.connect();
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    header.extend_from_slice(&[203, 0, 113, 8, 127, 0, 0, 1, 0x15, 0xb3, 0, 80]);
    header.extend_from_slice(deprecated_call(2).as_bytes());
    second.send(header);
    assert_eq!(second.response("POST").expect("an answer").status(), 200);
    let addresses: Vec<String> = proxy
        .events()
        .iter()
        .filter_map(|event| event["caller"]["address"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(addresses, ["203.0.113.7", "203.0.113.8"]);
    assert_eq!(
        portal.requests()[0].one("x-forwarded-for").as_deref(),
        Some("203.0.113.7")
    );

    let strict = proxy::start(&portal, &[]);
    let mut stranger = strict.connect();
    stranger.send(format!(
        "PROXY TCP4 203.0.113.7 127.0.0.1 5555 80\r\n{}",
        get("/")
    ));
    assert_eq!(stranger.response("GET").expect("a refusal").status(), 400);
}

#[test]
fn what_names_the_portals_origin_is_turned_to_the_proxy() {
    let portal = Portal::start(|visit| {
        while let Some(request) = visit.request() {
            let own = request.one("host").unwrap_or_default();
            let fields = format!(
                "Location: http://{own}/next?x=1\r\nRefresh: 5; url=http://{own}/soon\r\nSet-Cookie: a=1; Domain=127.0.0.1; Path=/\r\n\
                 Link: <http://elsewhere.example/>\r\n"
            );
            visit.answer_to(&request, 302, &fields, b"");
        }
    });
    let asked = get("/a");
    let turning = proxy::start(&portal, &[]).call(&asked);
    assert_eq!(
        turning.one("location").as_deref(),
        Some("http://portal.example/next?x=1")
    );
    assert_eq!(
        turning.one("refresh").as_deref(),
        Some("5; url=http://portal.example/soon")
    );
    let cookie = turning.one("set-cookie").unwrap_or_default();
    assert!(
        !cookie.contains("127.0.0.1") && cookie.starts_with("a=1;"),
        "{cookie}"
    );
    assert_eq!(
        turning.one("link").as_deref(),
        Some("<http://elsewhere.example/>")
    );

    let leaving = proxy::start(&portal, &["--no-rewrite-origin"]).call(&asked);
    let own = format!("http://{}/next?x=1", portal.address);
    assert_eq!(leaving.one("location"), Some(own));
    assert_eq!(
        leaving.one("set-cookie").as_deref(),
        Some("a=1; Domain=127.0.0.1; Path=/")
    );
}

#[test]
fn the_portals_origin_is_each_name_that_it_is_known_by() {
    let portal = Portal::start(|visit| {
        while let Some(request) = visit.request() {
            let wanted = request.one("x-answer").unwrap_or_default();
            let fields = wanted.replace('|', "\r\n") + "\r\n";
            visit.answer_to(&request, 302, &fields, b"");
        }
    });
    let port = portal.address.port();
    let proxy = proxy::start(&portal, &["--upstream-host", "crm.example"]);
    let asked = |host: &str, answer: &str| {
        let request = format!("GET /a HTTP/1.1\r\nHost: {host}\r\nX-Answer: {answer}\r\n\r\n");
        proxy.call(request)
    };
    for its in [
        "http://crm.example/y".into(),
        "https://crm.example:443/y".into(),
        "//crm.example/y".into(),
        format!("http://127.0.0.1:{port}/y"),
        format!("http://crm.example:{port}/y"),
    ] {
        let answer = asked("proxy.example", &format!("Location: {its}"));
        let scheme = if its.starts_with("//") { "" } else { "http:" };
        let wanted = format!("{scheme}//proxy.example/y");
        assert_eq!(answer.one("location"), Some(wanted), "{its}");
        let answer = asked("proxy.example", &format!("Refresh: 3, {its}"));
        let wanted = format!("3, {scheme}//proxy.example/y");
        assert_eq!(answer.one("refresh"), Some(wanted), "{its}");
    }
    for other in [
        "http://127.0.0.1/y",
        "https://crm.example:1/y",
        "//other.example/y",
    ] {
        let answer = asked("proxy.example", &format!("Location: {other}"));
        assert_eq!(answer.one("location").as_deref(), Some(other));
    }
    let cookie = "Set-Cookie: a=1; Domain=\"crm.example\"; Path=/";
    for (host, wanted) in [
        ("proxy.example", "a=1; Domain=proxy.example; Path=/"),
        ("192.0.2.7:8080", "a=1; Path=/"),
        ("[2001:db8::7]", "a=1; Path=/"),
    ] {
        let answer = asked(host, cookie);
        assert_eq!(answer.one("set-cookie").as_deref(), Some(wanted), "{host}");
    }
}

#[test]
fn a_location_elsewhere_is_left_alone() {
    let portal = Portal::start(|visit| {
        while let Some(request) = visit.request() {
            visit.answer_to(
                &request,
                302,
                "Location: https://renamed.bitrix24.com/rest/1/x/\r\n",
                b"",
            );
        }
    });
    let answer = proxy::start(&portal, &[]).call(get("/a"));
    assert_eq!(
        answer.one("location").as_deref(),
        Some("https://renamed.bitrix24.com/rest/1/x/")
    );
}

#[test]
fn the_length_is_right_behind_a_rewrite_and_the_rest_keeps_its_bytes() {
    let portal = Portal::plain();
    let proxy = proxy::start(&portal, &[]);
    let body = "{ \"userId\" : 1.0 , \"scope\":\"\\u0043\",\t\"extras\":{\"lead.customer.type\":2,\"n\":12345678901234567890}, \"a\":1, \"a\":2 }";
    let request = post(
        "/rest/1/code/crm.lead.details.configuration.reset.json?x[>y]=%zz",
        "application/json",
        body,
    );
    assert_eq!(proxy.call(request).status(), 200);
    let got = only(&portal);
    assert_eq!(
        shown(&strict::same_target(got.target())),
        "/rest/1/code/crm.item.details.configuration.reset.json?x[%3Ey]=%zz"
    );
    assert_eq!(got.one("content-length"), Some(got.body.len().to_string()));
    let text = got.text();
    for kept in [
        "\"userId\" : 1.0 ",
        "\"scope\":\"\\u0043\",\t",
        "\"n\":12345678901234567890",
        "\"a\":1, \"a\":2",
    ] {
        assert!(text.contains(kept), "{text}");
    }
    assert!(
        text.contains("leadCustomerType") && text.contains("entityTypeId"),
        "{text}"
    );
}

#[test]
fn options_passes_untouched_and_other_verbs_lose_no_body() {
    let portal = Portal::plain();
    let proxy = proxy::start(&portal, &[]);
    let target = "/rest/1/code/crm.lead.details.configuration.reset";
    let preflight = format!(
        "OPTIONS {target} HTTP/1.1\r\nHost: h\r\nOrigin: https://a.example\r\nAccess-Control-Request-Method: POST\r\n\r\n"
    );
    assert_eq!(proxy.call(preflight).status(), 200);
    let got = only(&portal);
    assert_eq!(shown(got.target()), target);
    assert_eq!(got.one("origin").as_deref(), Some("https://a.example"));
    for method in ["PUT", "PATCH", "DELETE", "GET", "QUERY"] {
        let request = format!("{method} /x HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody");
        assert_eq!(proxy.call(request).status(), 200);
        let got = portal.requests().pop().expect("a request");
        assert_eq!(
            (shown(got.method()), got.body.as_slice()),
            (method.to_owned(), &b"body"[..])
        );
    }
}

#[test]
fn unix_sockets_serve_on_either_side() {
    let portal = Portal::plain();
    let folder = tempfile::tempdir().expect("a folder");
    let front = folder.path().join("front.sock");
    let listen = format!("unix:{}", front.display());
    let proxy = proxy::before(&portal.url())
        .with(&["--listen", &listen])
        .start();
    let behind = proxy::before(&listen).start();
    let mut client: Client = behind.connect();
    assert_eq!(
        client.call(deprecated_call(1)).expect("an answer").status(),
        200
    );
    assert_eq!(client.call(get("/page")).expect("an answer").status(), 200);
    let got = portal.requests();
    assert!(shown(got[0].target()).contains("crm.item."));
    assert_eq!(behind.events().len(), 1);
    drop(proxy);
}
