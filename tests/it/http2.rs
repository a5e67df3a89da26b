//! HTTP/2 from clients over real sockets: what it says is read as strictly as HTTP/1.1, and floods stay bounded.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::client;
use crate::support::figure;
use crate::support::portal::Portal;
use crate::support::proxy::{self, Proxy};
use crate::support::time::{pause_ms, wait_for_within};
use crate::support::wire::{self, PATIENCE};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame");
    let mut bytes = length.to_be_bytes()[1..].to_vec();
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// A field as HPACK writes it without tables and without Huffman codes (RFC 7541 §6.2.2).
fn field(name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0];
    for text in [name, value] {
        match u8::try_from(text.len()) {
            Ok(length @ ..127) => bytes.push(length),
            _ => {
                bytes.push(127);
                let mut rest = text.len() - 127;
                while rest >= 128 {
                    bytes.push(u8::try_from(rest % 128).expect("seven bits") | 128);
                    rest /= 128;
                }
                bytes.push(u8::try_from(rest).expect("seven bits"));
            }
        }
        bytes.extend_from_slice(text);
    }
    bytes
}

fn head(method: &str, path: &[u8], more: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut block = field(b":method", method.as_bytes());
    block.extend(field(b":scheme", b"http"));
    block.extend(field(b":authority", b"portal.example"));
    block.extend(field(b":path", path));
    for (name, value) in more {
        block.extend(field(name, value));
    }
    block
}

/// A client that sends the frames that it is told to.
struct Raw {
    socket: TcpStream,
    unread: Vec<u8>,
    /// Whether a GOAWAY has come, of whatever kind.
    told_to_leave: bool,
}

/// How a stream ended.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// The bytes of its header block, in which statuses can be told apart, and its body.
    Answer(Vec<u8>, Vec<u8>),
    Reset,
    Gone,
}

impl Raw {
    fn connect(proxy: &Proxy) -> Self {
        Self::with_settings(proxy, &[])
    }

    fn with_settings(proxy: &Proxy, settings: &[u8]) -> Self {
        let mut raw = Self {
            socket: wire::dial(proxy.address()).unwrap(),
            unread: Vec::new(),
            told_to_leave: false,
        };
        raw.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        raw.send(&frame(SETTINGS, 0, 0, settings));
        raw
    }

    /// False when the connection does not take it any more.
    fn send(&mut self, bytes: &[u8]) -> bool {
        self.socket.write_all(bytes).is_ok()
    }

    /// The next frame: kind, flags, stream, payload.
    fn next(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        loop {
            if let [a, b, c, kind, flags, s1, s2, s3, s4, rest @ ..] = &self.unread[..] {
                let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
                if rest.len() >= length {
                    let stream = u32::from_be_bytes([*s1, *s2, *s3, *s4]) & 0x7fff_ffff;
                    let found = (*kind, *flags, stream, rest[..length].to_vec());
                    self.unread.drain(..9 + length);
                    return Some(found);
                }
            }
            let mut block = [0; 16 * 1024];
            match self.socket.read(&mut block) {
                Ok(count @ 1..) => self.unread.extend_from_slice(&block[..count]),
                _ => return None,
            }
        }
    }

    fn outcome(&mut self, wanted: u32) -> Outcome {
        let (mut block, mut body) = (Vec::new(), Vec::new());
        loop {
            let Some((kind, flags, stream, payload)) = self.next() else {
                return Outcome::Gone;
            };
            self.told_to_leave |= kind == GOAWAY;
            match kind {
                SETTINGS if flags & 1 == 0 => {
                    self.send(&frame(SETTINGS, 1, 0, &[]));
                }
                GOAWAY if payload[4..8] != [0; 4] => return Outcome::Gone,
                RESET if stream == wanted => return Outcome::Reset,
                HEADERS | CONTINUATION if stream == wanted => block.extend(payload),
                DATA if stream == wanted => body.extend(payload),
                _ => {}
            }
            if stream == wanted && matches!(kind, HEADERS | DATA) && flags & END_STREAM != 0 {
                return Outcome::Answer(block, body);
            }
        }
    }

    fn ask(&mut self, stream: u32, block: &[u8]) -> Outcome {
        self.send(&frame(HEADERS, END_STREAM | END_HEADERS, stream, block));
        self.outcome(stream)
    }
}

/// Whether an answer's status is 200: its entry in HPACK's static table.
fn is_ok(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Answer(block, _) if block.first() == Some(&0x88))
}

fn served(arguments: &[&str]) -> (Portal, Proxy) {
    let portal = Portal::plain();
    let proxy = proxy::start(&portal, &[&["--http2"], arguments].concat());
    (portal, proxy)
}

#[test]
fn a_deprecated_call_is_translated_and_logged_as_any_other() {
    let (portal, proxy) = served(&[]);
    let mut raw = Raw::connect(&proxy);
    let path = b"/rest/1/code/crm.lead.details.configuration.reset";
    let fields: [(&[u8], &[u8]); 3] = [
        (b"content-type", b"application/json"),
        (b"cookie", b"a=1"),
        (b"cookie", b"b=2"),
    ];
    raw.send(&frame(
        HEADERS,
        END_HEADERS,
        1,
        &head("POST", path, &fields),
    ));
    raw.send(&frame(DATA, 0, 1, b"{\"scope\""));
    raw.send(&frame(DATA, END_STREAM, 1, b":\"P\"}"));
    assert!(is_ok(&raw.outcome(1)));
    let request = portal.requests().remove(0);
    assert_eq!(
        request.target(),
        b"/rest/1/code/crm.item.details.configuration.reset"
    );
    assert!(request.text().contains("entityTypeId"));
    assert_eq!(request.all("cookie"), ["a=1; b=2"]);
    assert_eq!(
        request.one("x-forwarded-host").as_deref(),
        Some("portal.example")
    );
    assert_eq!(proxy.events()[0]["action"], "rewritten");
    assert!(is_ok(&raw.ask(3, &head("GET", b"/online/?a=1", &[]))));
}

#[test]
fn a_connection_of_short_calls_is_not_idle() {
    let (_portal, proxy) = served(&["--keep-alive-timeout", "1s"]);
    let mut raw = Raw::connect(&proxy);
    for call in 0..20 {
        pause_ms(
            100,
            "calls come steadily, for longer than an idle connection may stay",
        );
        let outcome = raw.ask(2 * call + 1, &head("GET", b"/", &[]));
        assert!(is_ok(&outcome), "call {call}: {outcome:?}");
        assert!(!raw.told_to_leave, "GOAWAY at call {call}");
    }
}

#[test]
fn without_the_option_http_2_is_not_spoken() {
    let portal = Portal::plain();
    let proxy = proxy::start(&portal, &[]);
    let mut raw = Raw::connect(&proxy);
    assert_eq!(raw.ask(1, &head("GET", b"/", &[])), Outcome::Gone);
    assert_eq!(portal.request_count(), 0);
}

#[test]
fn nothing_in_http_2_becomes_another_request_in_http_1() {
    let (portal, proxy) = served(&[]);
    type Case = (
        &'static str,
        &'static [u8],
        &'static [(&'static [u8], &'static [u8])],
    );
    let cases: &[Case] = &[
        ("GET", b"/", &[(b"x", b"1\r\nInjected: 1")]),
        ("GET", b"/", &[(b"x", b"1\nInjected: 1")]),
        ("GET", b"/", &[(b"x", b"1\0")]),
        ("GET", b"/", &[(b"x: 1\r\ninjected", b"1")]),
        ("GET", b"/", &[(b"x y", b"1")]),
        ("GET", b"/", &[(b"X-Upper", b"1")]),
        ("GET", b"/", &[(b"transfer-encoding", b"chunked")]),
        ("GET", b"/", &[(b"connection", b"keep-alive")]),
        ("GET", b"/", &[(b"upgrade", b"websocket")]),
        ("GET", b"/", &[(b"host", b"other.example")]),
        ("GET", b"/", &[(b"content-length", b"5")]),
        ("POST", b"/", &[(b"content-length", b"+1")]),
        ("GET", b"/ HTTP/1.1\r\nInjected: 1\r\n\r\n", &[]),
        ("GET", b"/a b", &[]),
        ("GET", b"", &[]),
        ("GET", b"no-slash", &[]),
        ("GET / HTTP/1.1\r\nInjected: 1\r\n\r\n", b"/", &[]),
        ("GET", b"/", &[(b":path", b"/other")]),
        ("GET", b"/", &[(b":made-up", b"1")]),
        ("CONNECT", b"/", &[]),
        ("TRACE", b"/", &[]),
    ];
    for (method, path, more) in cases {
        let mut raw = Raw::connect(&proxy);
        let outcome = raw.ask(1, &head(method, path, more));
        let shown = (method, path.escape_ascii().to_string());
        assert!(!is_ok(&outcome), "{shown:?} {more:?}");
    }
    for connection in portal.connections() {
        assert_eq!(connection.oddity, None);
        for request in connection.requests {
            assert!(request.all("injected").is_empty());
        }
    }
    assert_eq!(portal.request_count(), 0, "none of them is forwarded");
    assert!(is_ok(&Raw::connect(&proxy).ask(1, &head("GET", b"/", &[]))));
}

#[test]
fn a_body_that_is_not_as_long_as_it_says_is_no_whole_call() {
    let (portal, proxy) = served(&[]);
    for (said, sent) in [(b"9", &b"{}"[..]), (b"1", b"{\"scope\":\"C\"}")] {
        let mut raw = Raw::connect(&proxy);
        let path = b"/rest/1/code/crm.lead.details.configuration.reset";
        raw.send(&frame(
            HEADERS,
            END_HEADERS,
            1,
            &head("POST", path, &[(b"content-length", said)]),
        ));
        raw.send(&frame(DATA, END_STREAM, 1, sent));
        assert!(!is_ok(&raw.outcome(1)));
    }
    assert_eq!(portal.request_count(), 0);
}

/// How much memory a flood may cost, in KiB, and how long another client may wait meanwhile.
const MEMORY: u64 = 48 * 1024;
const WAIT: Duration = Duration::from_secs(10);

/// Runs a flood on several connections and looks at the proxy meanwhile.
fn flood(proxy: &Proxy, name: &str, attack: impl Fn(&Proxy, &AtomicBool) + Send + Sync) {
    let heavy = std::env::var_os("B24_HEAVY").is_some();
    let lasts = Duration::from_secs(if heavy { 20 } else { 1 });
    assert_eq!(proxy.call(client::get("/online/")).status(), 200);
    let before = proxy.figure("VmRSS");
    proxy.reset_peak();
    let stop = Arc::new(AtomicBool::new(false));
    let mut slowest = Duration::ZERO;
    let mut unserved = Vec::new();
    std::thread::scope(|scope| {
        for _ in 0..if heavy { 16 } else { 3 } {
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    attack(proxy, &stop);
                }
            });
        }
        let until = Instant::now() + lasts;
        while Instant::now() < until {
            let asked = Instant::now();
            // A failure must not leave the flood running.
            let answer = wire::dial(proxy.address())
                .map(|socket| client::Client::over(socket).call(client::deprecated_call(1)));
            slowest = slowest.max(asked.elapsed());
            if !matches!(&answer, Ok(Ok(answer)) if answer.status() == 200) {
                unserved.push(format!("{answer:?}"));
            }
            pause_ms(30, "calls come beside the flood, not instead of it");
        }
        stop.store(true, Ordering::SeqCst);
    });
    let more = proxy.figure("VmHWM").saturating_sub(before);
    figure(
        &format!("HTTP/2 flood: {name}"),
        format!("{more} KiB more, another client waited {slowest:?} at the most"),
    );
    assert!(unserved.is_empty(), "{name}: {unserved:?}");
    assert!(more <= MEMORY, "{name}: {more} KiB more");
    assert!(slowest <= WAIT, "{name}: another client waited {slowest:?}");
    assert!(
        is_ok(&Raw::connect(proxy).ask(1, &head("GET", b"/", &[]))),
        "{name}: it serves on"
    );
}

/// Sends until the connection is ended or the flood is over, without reading.
fn pour(proxy: &Proxy, settings: &[u8], stop: &AtomicBool, mut next: impl FnMut(u32) -> Vec<u8>) {
    let mut raw = Raw::with_settings(proxy, settings);
    let _ = raw
        .socket
        .set_write_timeout(Some(Duration::from_millis(200)));
    let mut stream = 1;
    while !stop.load(Ordering::SeqCst) && stream < 0x3fff_0000 {
        let mut bytes = Vec::new();
        while bytes.len() < 8 * 1024 {
            bytes.extend(next(stream));
            stream += 2;
        }
        if !raw.send(&bytes) {
            break;
        }
    }
}

#[test]
fn floods_of_resets_cost_little_and_others_are_served() {
    let (_portal, proxy) = served(&[]);
    let block = head("GET", b"/online/", &[]);
    flood(&proxy, "rapid reset", |proxy, stop| {
        pour(proxy, &[], stop, |stream| {
            let mut bytes = frame(HEADERS, END_STREAM | END_HEADERS, stream, &block);
            bytes.extend(frame(RESET, 0, stream, &8u32.to_be_bytes()));
            bytes
        });
    });
    flood(&proxy, "resets made by the server", |proxy, stop| {
        pour(proxy, &[], stop, |stream| {
            let mut bytes = frame(HEADERS, END_HEADERS, stream, &block);
            // A window of nothing is a stream's error.
            bytes.extend(frame(WINDOW, 0, stream, &[0; 4]));
            bytes
        });
    });
    flood(&proxy, "streams without an end", |proxy, stop| {
        pour(proxy, &[], stop, |stream| {
            frame(HEADERS, END_HEADERS, stream, &block)
        });
    });
    flood(&proxy, "streams without an end, held", |proxy, stop| {
        let mut raw = Raw::connect(proxy);
        open_streams(&mut raw, 100);
        let stopped = || stop.load(Ordering::SeqCst).then_some(());
        wait_for_within(Duration::MAX / 4, stopped);
    });
}

/// Opens so many streams that have no end.
fn open_streams(raw: &mut Raw, count: u32) {
    for number in 0..count {
        let block = head("POST", b"/upload", &[]);
        raw.send(&frame(HEADERS, END_HEADERS, 2 * number + 1, &block));
    }
}

#[test]
fn a_connection_that_has_no_answer_yet_costs_the_portal_few_connections() {
    let (portal, proxy) = served(&["--threads", "1"]);
    // That of the start.
    assert!(portal.wait_until(|all| all.len() == 1));
    for _ in 0..5 {
        let mut raw = Raw::connect(&proxy);
        open_streams(&mut raw, 100);
        // The answer to a ping comes when the streams have been seen.
        raw.send(&frame(PING, 0, 0, b"12345678"));
        while raw.next().is_some_and(|(kind, ..)| kind != PING) {}
        pause_ms(100, "connections that should not be made are to be seen");
    }
    let more = portal.connection_count() - 1;
    assert!((1..=5 * 8).contains(&more), "{more} connections");
}

#[test]
fn streams_that_wait_for_their_turn_are_all_served_side_by_side() {
    const STREAMS: u32 = 100;
    let portal = Portal::start(|visit| {
        while let Some(request) = visit.request() {
            pause_ms(
                1500,
                "one after the other they would take 25 times the limit below",
            );
            visit.answer_to(&request, 200, "", b"{}");
        }
    });
    let proxy = proxy::start(&portal, &["--http2"]);
    let mut raw = Raw::connect(&proxy);
    let begun = Instant::now();
    for number in 0..STREAMS {
        let block = head("GET", b"/slow", &[]);
        let ends = END_STREAM | END_HEADERS;
        raw.send(&frame(HEADERS, ends, 2 * number + 1, &block));
    }
    let mut ended = 0;
    while ended < STREAMS {
        let (kind, flags, ..) = raw.next().expect("all are answered");
        assert!(kind != RESET && kind != GOAWAY);
        ended += u32::from(matches!(kind, HEADERS | DATA) && flags & END_STREAM != 0);
    }
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(portal.request_count(), STREAMS as usize);
}

#[test]
fn each_stream_waits_for_the_portals_limit_by_itself() {
    let (portal, proxy) = served(&["--portal-rate", "1:0.5"]);
    let mut raw = Raw::connect(&proxy);
    let call = |number: u32| {
        head(
            "GET",
            format!("/rest/1/code/a.b?n={number}").as_bytes(),
            &[],
        )
    };
    assert!(is_ok(&raw.ask(1, &call(1))));
    for stream in [3, 5] {
        raw.send(&frame(
            HEADERS,
            END_STREAM | END_HEADERS,
            stream,
            &call(stream),
        ));
    }
    let until = Instant::now() + Duration::from_secs(1);
    while proxy.metric("b24_proxy_pace_waiting") != 2.0 {
        assert!(Instant::now() < until, "both wait");
    }
    // What is no REST call passes them, and a stream that is reset leaves the queue.
    assert!(is_ok(&raw.ask(7, &head("GET", b"/online/", &[]))));
    raw.send(&frame(RESET, 0, 3, &8_u32.to_be_bytes()));
    assert!(is_ok(&raw.outcome(5)));
    let calls: Vec<Vec<u8>> = portal
        .requests()
        .iter()
        .map(|request| request.target().to_vec())
        .filter(|target| target.starts_with(b"/rest/"))
        .collect();
    assert_eq!(calls, [b"/rest/1/code/a.b?n=1", b"/rest/1/code/a.b?n=5"]);
}

#[test]
fn each_stream_counts_as_a_connection_where_those_are_limited() {
    for (option, reason) in [
        ("--max-connections", "total"),
        ("--max-connections-per-client", "per_client"),
    ] {
        let (portal, proxy) = served(&[option, "6"]);
        let mut raw = Raw::connect(&proxy);
        open_streams(&mut raw, 6);
        let path = b"/rest/1/code/crm.lead.details.configuration.reset";
        let Outcome::Answer(_, body) = raw.ask(13, &head("GET", path, &[])) else {
            panic!("no answer");
        };
        let body = String::from_utf8_lossy(&body).into_owned();
        assert!(body.contains("PROXY_BUSY"), "{body}");
        let refused = format!("b24_proxy_connections_refused_total{{reason=\"{reason}\"}}");
        assert_eq!(proxy.metric(&refused), 1.0);
        assert_eq!(portal.request_count(), 0);
        // Those that are open go on, and one that ends gives its room back.
        raw.send(&frame(DATA, END_STREAM, 1, b"{}"));
        assert!(is_ok(&raw.outcome(1)));
        assert!(is_ok(&raw.ask(15, &head("GET", path, &[]))));
    }
}

#[test]
fn floods_of_control_frames_cost_little_and_others_are_served() {
    let (_portal, proxy) = served(&[]);
    flood(&proxy, "settings", |proxy, stop| {
        pour(proxy, &[], stop, |_| {
            frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0xff, 0xff])
        });
    });
    flood(&proxy, "ping", |proxy, stop| {
        pour(proxy, &[], stop, |_| frame(PING, 0, 0, b"12345678"));
    });
    flood(&proxy, "priority", |proxy, stop| {
        pour(proxy, &[], stop, |stream| {
            frame(PRIORITY, 0, stream, &[0, 0, 0, 0, 1])
        });
    });
    flood(&proxy, "empty data", |proxy, stop| {
        let mut first = true;
        pour(proxy, &[], stop, |_| {
            let begins = std::mem::take(&mut first);
            let mut bytes = Vec::new();
            if begins {
                bytes.extend(frame(
                    HEADERS,
                    END_HEADERS,
                    1,
                    &head("POST", b"/upload", &[]),
                ));
            }
            bytes.extend(frame(DATA, 0, 1, &[]));
            bytes
        });
    });
}

#[test]
fn floods_of_fields_cost_little_and_others_are_served() {
    let (portal, proxy) = served(&[]);
    let seen = portal.request_count();
    let large = field(b"x", &[b'x'; 8_000]);
    flood(&proxy, "continuation", |proxy, stop| {
        let mut first = true;
        pour(proxy, &[], stop, |_| {
            if std::mem::take(&mut first) {
                return frame(HEADERS, END_STREAM, 1, &head("GET", b"/flood", &[]));
            }
            frame(CONTINUATION, 0, 1, &large)
        });
    });
    flood(&proxy, "empty continuation", |proxy, stop| {
        let mut first = true;
        pour(proxy, &[], stop, |_| {
            if std::mem::take(&mut first) {
                return frame(HEADERS, END_STREAM, 1, &head("GET", b"/flood", &[]));
            }
            frame(CONTINUATION, 0, 1, &[])
        });
    });
    // One field in the table, named ten thousand times (an HPACK bomb).
    flood(&proxy, "a bomb of references", |proxy, stop| {
        let mut block = head("GET", b"/flood", &[]);
        let mut stored = field(b"bomb", &[b'x'; 4_000]);
        stored[0] = 0x40;
        block.extend(stored);
        block.extend(vec![0xbe; 10_000]);
        pour(proxy, &[], stop, |stream| {
            frame(HEADERS, END_STREAM | END_HEADERS, stream, &block)
        });
    });
    let flooded = portal.requests_since(seen);
    assert!(
        flooded.iter().all(|request| request.target() != b"/flood"),
        "none is forwarded"
    );
}

#[test]
fn answers_that_nobody_takes_cost_little_and_others_are_served() {
    let body = vec![b'x'; 4 * 1024 * 1024];
    let portal = Portal::start(move |visit| {
        while let Some(request) = visit.request() {
            let large = request.target().starts_with(b"/large");
            if !visit.answer_to(&request, 200, "", if large { &body } else { b"{}" }) {
                break;
            }
        }
    });
    let proxy = proxy::start(&portal, &["--http2"]);
    let block = head("GET", b"/large", &[]);
    flood(&proxy, "small windows", |proxy, stop| {
        // SETTINGS_INITIAL_WINDOW_SIZE 1.
        let mut raw = Raw::with_settings(proxy, &[0, 4, 0, 0, 0, 1]);
        for stream in 0..20 {
            raw.send(&frame(
                HEADERS,
                END_STREAM | END_HEADERS,
                2 * stream + 1,
                &block,
            ));
        }
        while !stop.load(Ordering::SeqCst) {
            pause_ms(20, "the windows stay small");
            for stream in 0..20 {
                raw.send(&frame(WINDOW, 0, 2 * stream + 1, &[0, 0, 0, 1]));
            }
        }
    });
}

/// How long the proxy takes to end a connection on which nothing more comes; its other frames are read over.
fn ended_after(mut raw: Raw) -> Duration {
    let began = Instant::now();
    while raw.next().is_some() {}
    began.elapsed()
}

#[test]
fn a_preface_or_a_head_that_comes_too_slowly_ends_the_connection_in_time() {
    let (portal, proxy) = served(&["--header-timeout", "600ms"]);
    let plain = |bytes: &[u8]| {
        let mut socket = wire::dial(proxy.address()).unwrap();
        socket.write_all(bytes).unwrap();
        Raw {
            socket,
            unread: Vec::new(),
            told_to_leave: false,
        }
    };
    let begun = |bytes: &[u8]| {
        let mut raw = Raw::connect(&proxy);
        raw.send(bytes);
        raw
    };
    let half = frame(HEADERS, END_STREAM, 1, &head("GET", b"/half", &[]));
    let cases = [
        ("half a preface", plain(b"PRI * HTTP/2.0\r\n\r\nSM")),
        (
            "a preface without settings",
            plain(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ),
        ("a head without its continuation", begun(&half)),
        ("half a frame of a head", begun(&half[..20])),
        ("half the head of a frame", begun(&[0, 0, 8])),
        (
            "half a continuation",
            begun(
                &[
                    &half[..],
                    &frame(CONTINUATION, END_HEADERS, 1, b"xxxxxxxx")[..12],
                ]
                .concat(),
            ),
        ),
    ];
    for (name, raw) in cases {
        let took = ended_after(raw);
        assert!(took < Duration::from_secs(3), "{name}: {took:?}");
    }
    // One byte at a time does not help.
    let mut raw = Raw::connect(&proxy);
    let began = Instant::now();
    for byte in half {
        if !raw.send(&[byte]) || began.elapsed() > Duration::from_secs(6) {
            break;
        }
        pause_ms(100, "the head drips");
    }
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    assert!(proxy.metric("b24_proxy_timeouts_total{phase=\"header\"}") >= 5.0);
    assert_eq!(portal.request_count(), 0);
    // A body, and a connection between two requests, have limits of their own.
    let mut raw = Raw::connect(&proxy);
    let path = b"/rest/1/code/profile";
    raw.send(&frame(HEADERS, END_HEADERS, 1, &head("POST", path, &[])));
    let body = frame(DATA, END_STREAM, 1, b"{\"a\":1}");
    raw.send(&body[..12]);
    pause_ms(1500, "longer than a head may take");
    raw.send(&body[12..]);
    assert!(is_ok(&raw.outcome(1)));
    pause_ms(1500, "longer than a head may take");
    assert!(is_ok(&raw.ask(3, &head("GET", b"/", &[]))));
}

#[test]
fn calls_in_flight_beside_a_slow_head_get_their_answers() {
    let portal = Portal::start(|visit| {
        while let Some(request) = visit.request() {
            if request.target() == b"/slow" {
                pause_ms(1500, "longer than a head may take");
            }
            visit.answer_to(&request, 200, "", b"{}");
        }
    });
    let proxy = proxy::start(&portal, &["--http2", "--header-timeout", "500ms"]);
    let mut raw = Raw::connect(&proxy);
    assert!(is_ok(&raw.ask(1, &head("GET", b"/", &[]))));
    let block = head("GET", b"/slow", &[]);
    raw.send(&frame(HEADERS, END_STREAM | END_HEADERS, 3, &block));
    raw.send(&frame(HEADERS, END_STREAM, 5, &block));
    assert!(is_ok(&raw.outcome(3)));
    assert!(ended_after(raw) < Duration::from_secs(3));
}

#[test]
fn an_answer_that_its_client_does_not_take_is_reset_alone() {
    let portal = Portal::start(|visit| {
        while let Some(request) = visit.request() {
            let large = request.target().starts_with(b"/large");
            let body = vec![b'x'; if large { 1024 * 1024 } else { 2 }];
            if !visit.answer_to(&request, 200, "", &body) {
                break;
            }
        }
    });
    let proxy = proxy::start(&portal, &["--http2", "--body-timeout", "700ms"]);
    let mut raw = Raw::connect(&proxy);
    let began = Instant::now();
    let block = head("GET", b"/large", &[]);
    raw.send(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &block));
    assert_eq!(raw.outcome(1), Outcome::Reset);
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(
        proxy.metric("b24_proxy_timeouts_total{phase=\"client_write\"}"),
        1.0
    );
    // The window of the connection is spent: it is given back, and the connection serves on.
    raw.send(&frame(WINDOW, 0, 0, &0x10_0000u32.to_be_bytes()));
    assert!(is_ok(&raw.ask(3, &head("GET", b"/small", &[]))));
}

#[test]
fn an_answer_that_a_drain_cuts_on_its_way_is_counted() {
    let portal = Portal::start(|visit| {
        visit.request();
        visit.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
        visit.wait_closed(PATIENCE);
    });
    let mut proxy = proxy::start(&portal, &["--http2", "--drain-timeout", "400ms"]);
    let mut raw = Raw::connect(&proxy);
    let block = head("GET", b"/", &[]);
    raw.send(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &block));
    while raw.next().is_some_and(|(kind, ..)| kind != DATA) {}
    assert_eq!(proxy.terminate().code(), Some(1));
}

#[test]
fn a_drain_says_goaway_and_ends_what_is_in_flight() {
    let portal = Portal::start(|visit| {
        while let Some(request) = visit.request() {
            if request.target().starts_with(b"/slow") {
                pause_ms(600, "the signal is to come while the call is in flight");
            }
            visit.answer_to(&request, 200, "", b"{}");
        }
    });
    let mut proxy = proxy::start(&portal, &["--http2"]);
    let mut raw = Raw::connect(&proxy);
    raw.send(&frame(
        HEADERS,
        END_STREAM | END_HEADERS,
        1,
        &head("GET", b"/slow", &[]),
    ));
    assert!(portal.wait_for_requests(1));
    let told = Instant::now();
    proxy.signal(rustix::process::Signal::TERM);
    let mut goaway = false;
    let mut answered = false;
    while let Some((kind, flags, stream, payload)) = raw.next() {
        goaway |= kind == GOAWAY && payload[4..8] == [0; 4];
        answered |= kind == DATA && stream == 1 && flags & END_STREAM != 0;
        if kind == PING && flags & 1 == 0 {
            raw.send(&frame(PING, 1, 0, &payload));
        }
    }
    assert!(goaway && answered, "GOAWAY {goaway}, answer {answered}");
    assert_eq!(proxy.wait().code(), Some(0));
    assert!(told.elapsed() < PATIENCE);
}
