//! Answers of a portal that are wrong, odd or cut off: only the call that got one is harmed, and whoever comes next gets
//! an answer of its own.

use std::collections::HashMap;

use super::{OURS, written};
use crate::support::client::{Client, get};
use crate::support::portal::Portal;
use crate::support::proxy::{self, Proxy};
use crate::support::strict::{self, Message, Reading};
use crate::support::time::pause_ms;
use crate::support::wire::Lost;
use crate::support::{Dice, figure, shown};

/// What the portal does behind its bytes.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    Close,
    Reset,
    Stay,
}
use Then::{Close, Reset, Stay};

struct Kind {
    name: &'static str,
    method: &'static str,
    bytes: Vec<u8>,
    then: Then,
}

const OK: &str = "HTTP/1.1 200 OK\r\n";

fn kinds() -> Vec<Kind> {
    let mut kinds: Vec<Kind> = Vec::new();
    let mut add = |name, method, bytes: &[u8], then| {
        kinds.push(Kind {
            name,
            method,
            bytes: bytes.to_vec(),
            then,
        });
    };
    for (name, bytes, then) in HEADS {
        add(name, "GET", bytes, *then);
    }
    for (name, fields, body, then) in BODIES {
        let bytes = [OK.as_bytes(), *fields, b"\r\n", *body].concat();
        add(name, "GET", &bytes, *then);
    }
    for (name, fields, body, then) in BODIES.iter().take(4) {
        let bytes = [OK.as_bytes(), *fields, b"\r\n", *body].concat();
        add(name, "HEAD", &bytes, *then);
    }
    let long = format!(
        "{OK}X-Long: {}\r\nContent-Length: 0\r\n\r\n",
        "x".repeat(2_000_000)
    );
    add("a head of 2 MB", "GET", long.as_bytes(), Stay);
    let many = format!(
        "{OK}{}Content-Length: 0\r\n\r\n",
        "X-Many: 1\r\n".repeat(20_000)
    );
    add("a head of 20,000 fields", "GET", many.as_bytes(), Stay);
    let interim = "HTTP/1.1 102 Processing\r\n\r\n".repeat(50);
    let late = format!("{interim}{OK}Content-Length: 2\r\n\r\nok");
    add("fifty interim answers first", "GET", late.as_bytes(), Stay);
    let mut large = format!("{OK}Content-Length: 3000000\r\n\r\n").into_bytes();
    large.extend(std::iter::repeat_n(b'x', 1_000_000));
    add(
        "a third of a large body, then a close",
        "GET",
        &large,
        Close,
    );
    add(
        "a third of a large body, then a reset",
        "GET",
        &large,
        Reset,
    );
    kinds
}

const HEADS: &[(&str, &[u8], Then)] = &[
    ("nothing, then a close", b"", Close),
    ("nothing, then a reset", b"", Reset),
    ("nothing at all", b"", Stay),
    ("rubbish", b"rubbish\r\n\r\n", Close),
    ("rubbish without an end", b"\x15\x03\x01\x00\x02\x02\x0a", Stay),
    ("a body without a head", b"<html>hello</html>", Close),
    ("half a status line", b"HTTP/1.1 20", Close),
    ("half a status line, stalled", b"HTTP/1.1 20", Stay),
    ("half a head", b"HTTP/1.1 200 OK\r\nContent-Le", Close),
    ("half a head, stalled", b"HTTP/1.1 200 OK\r\nContent-Le", Stay),
    ("half a head, reset", b"HTTP/1.1 200 OK\r\nContent-Le", Reset),
    ("a status of two digits", b"HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok", Stay),
    ("a status of four digits", b"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok", Stay),
    ("a status of letters", b"HTTP/1.1 OK 200\r\nContent-Length: 2\r\n\r\nok", Stay),
    ("a status of zero", b"HTTP/1.1 000 No\r\nContent-Length: 2\r\n\r\nok", Stay),
    ("a status of 099", b"HTTP/1.1 099 No\r\nContent-Length: 2\r\n\r\nok", Stay),
    ("a negative status", b"HTTP/1.1 -20 OK\r\nContent-Length: 2\r\n\r\nok", Stay),
    ("a status with a plus", b"HTTP/1.1 +20 OK\r\nContent-Length: 2\r\n\r\nok", Stay),
    ("no status", b"HTTP/1.1\r\nContent-Length: 2\r\n\r\nok", Stay),
    ("no space behind the status", b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", Stay),
    ("an empty reason", b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok", Stay),
    ("a reason beyond ASCII", b"HTTP/1.1 200 \xd0\x9e\xd0\x9a\r\nContent-Length: 2\r\n\r\nok", Stay),
    ("a NUL in the reason", b"HTTP/1.1 200 O\0K\r\nContent-Length: 2\r\n\r\nok", Stay),
    ("two spaces before the status", b"HTTP/1.1  200 OK\r\nContent-Length: 2\r\n\r\nok", Stay),
    ("another protocol", b"ICY 200 OK\r\nContent-Length: 2\r\n\r\nok", Stay),
    ("HTTP/2 in a status line", b"HTTP/2 200 OK\r\nContent-Length: 2\r\n\r\nok", Stay),
    ("HTTP/1.0 with a length", b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", Stay),
    ("HTTP/1.0 until the close", b"HTTP/1.0 200 OK\r\n\r\nok", Close),
    ("HTTP/1.0 with chunks", b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", Close),
    ("an unasked change of protocols", b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nsecret", Stay),
    ("an unasked change of protocols, then an answer", b"HTTP/1.1 101 Switching Protocols\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", Stay),
    ("a go-ahead that nobody asked for", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", Stay),
    ("an interim answer alone", b"HTTP/1.1 100 Continue\r\n\r\n", Close),
    ("an interim answer alone, stalled", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", Stay),
    ("an interim answer that is broken", b"HTTP/1.1 103 Early Hints\r\nLink </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", Stay),
    ("no content with a body", b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok", Stay),
    ("not modified with a body", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\nok", Stay),
    ("not modified with a length and no body", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n", Stay),
    ("no content with chunks", b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", Stay),
    ("bare LFs", b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", Stay),
    ("a bare CR in a value", b"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 2\r\n\r\nok", Stay),
    ("a NUL in a value", b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nok", Stay),
    ("a folded line", b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok", Stay),
    ("a space before the colon", b"HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 2\r\n\r\nok", Stay),
    ("a line without a colon", b"HTTP/1.1 200 OK\r\nnothing\r\nContent-Length: 2\r\n\r\nok", Stay),
    ("a name with a space", b"HTTP/1.1 200 OK\r\nA B: 1\r\nContent-Length: 2\r\n\r\nok", Stay),
    ("an empty name", b"HTTP/1.1 200 OK\r\n: 1\r\nContent-Length: 2\r\n\r\nok", Stay),
    ("an empty line first", b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", Stay),
];

const BODIES: &[(&str, &[u8], &[u8], Then)] = &[
    ("a body", b"Content-Length: 2\r\n", b"ok", Stay),
    (
        "chunks and a trailer",
        b"Transfer-Encoding: chunked\r\nTrailer: X-T\r\n",
        b"2\r\nok\r\n0\r\nX-T: 1\r\n\r\n",
        Stay,
    ),
    (
        "a close behind an answer",
        b"Content-Length: 2\r\nConnection: close\r\n",
        b"ok",
        Close,
    ),
    (
        "a body that nobody may send to HEAD",
        b"Content-Length: 40\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nzz",
        Stay,
    ),
    ("a body until the close", b"", b"ok", Close),
    ("a body until a reset", b"", b"ok", Reset),
    ("a body without an end", b"", b"ok", Stay),
    (
        "a promised close that does not come",
        b"Content-Length: 2\r\nConnection: close\r\n",
        b"ok",
        Stay,
    ),
    (
        "surplus bytes behind a body",
        b"Content-Length: 2\r\n",
        b"oksurplus",
        Stay,
    ),
    (
        "a second answer behind a body",
        b"Content-Length: 2\r\n",
        b"okHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen",
        Stay,
    ),
    (
        "a second answer behind chunks",
        b"Transfer-Encoding: chunked\r\n",
        b"2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen",
        Stay,
    ),
    (
        "a second answer behind no body",
        b"Content-Length: 0\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen",
        Stay,
    ),
    (
        "less than the length",
        b"Content-Length: 20\r\n",
        b"ok",
        Close,
    ),
    (
        "less than the length, reset",
        b"Content-Length: 20\r\n",
        b"ok",
        Reset,
    ),
    (
        "less than the length, stalled",
        b"Content-Length: 20\r\n",
        b"ok",
        Stay,
    ),
    ("no byte of a length", b"Content-Length: 20\r\n", b"", Close),
    (
        "a length with a plus",
        b"Content-Length: +2\r\n",
        b"ok",
        Stay,
    ),
    (
        "a length with a minus",
        b"Content-Length: -2\r\n",
        b"ok",
        Stay,
    ),
    (
        "a length of letters",
        b"Content-Length: two\r\n",
        b"ok",
        Stay,
    ),
    ("an empty length", b"Content-Length:\r\n", b"ok", Close),
    (
        "a length beyond 64 bits",
        b"Content-Length: 99999999999999999999\r\n",
        b"ok",
        Close,
    ),
    (
        "two lengths that differ",
        b"Content-Length: 2\r\nContent-Length: 3\r\n",
        b"ok!",
        Stay,
    ),
    (
        "two lengths that agree",
        b"Content-Length: 2\r\nContent-Length: 2\r\n",
        b"ok",
        Stay,
    ),
    (
        "a list of lengths",
        b"Content-Length: 2, 2\r\n",
        b"ok",
        Stay,
    ),
    (
        "a length and chunks",
        b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        b"2\r\nok\r\n0\r\n\r\n",
        Stay,
    ),
    (
        "gzip, then chunked",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"2\r\nok\r\n0\r\n\r\n",
        Stay,
    ),
    (
        "chunked twice",
        b"Transfer-Encoding: chunked, chunked\r\n",
        b"2\r\nok\r\n0\r\n\r\n",
        Stay,
    ),
    (
        "chunked in two lines",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        b"2\r\nok\r\n0\r\n\r\n",
        Stay,
    ),
    (
        "chunked, then gzip",
        b"Transfer-Encoding: chunked, gzip\r\n",
        b"2\r\nok\r\n0\r\n\r\n",
        Close,
    ),
    ("identity", b"Transfer-Encoding: identity\r\n", b"ok", Close),
    (
        "a coding not known",
        b"Transfer-Encoding: frob\r\n",
        b"ok",
        Close,
    ),
    (
        "an empty coding",
        b"Transfer-Encoding:\r\nContent-Length: 2\r\n",
        b"ok",
        Stay,
    ),
    (
        "a chunk without a size",
        b"Transfer-Encoding: chunked\r\n",
        b"zz\r\nok\r\n0\r\n\r\n",
        Stay,
    ),
    (
        "a chunk with a bad size in the middle",
        b"Transfer-Encoding: chunked\r\n",
        b"2\r\nok\r\nxx\r\nok\r\n0\r\n\r\n",
        Stay,
    ),
    (
        "a chunk longer than its size",
        b"Transfer-Encoding: chunked\r\n",
        b"2\r\nokay\r\n0\r\n\r\n",
        Stay,
    ),
    (
        "a chunk size too large",
        b"Transfer-Encoding: chunked\r\n",
        b"fffffffffffffffff\r\nok",
        Close,
    ),
    (
        "a negative chunk",
        b"Transfer-Encoding: chunked\r\n",
        b"-2\r\nok\r\n0\r\n\r\n",
        Stay,
    ),
    (
        "a chunk with 0x",
        b"Transfer-Encoding: chunked\r\n",
        b"0x2\r\nok\r\n0\r\n\r\n",
        Stay,
    ),
    (
        "chunk lines with bare LFs",
        b"Transfer-Encoding: chunked\r\n",
        b"2\nok\n0\n\n",
        Close,
    ),
    (
        "a chunk extension",
        b"Transfer-Encoding: chunked\r\n",
        b"2;a=b\r\nok\r\n0\r\n\r\n",
        Stay,
    ),
    (
        "a NUL in a chunk extension",
        b"Transfer-Encoding: chunked\r\n",
        b"2;\0\r\nok\r\n0\r\n\r\n",
        Stay,
    ),
    (
        "chunks without the last",
        b"Transfer-Encoding: chunked\r\n",
        b"2\r\nok\r\n",
        Close,
    ),
    (
        "chunks without the last, reset",
        b"Transfer-Encoding: chunked\r\n",
        b"2\r\nok\r\n",
        Reset,
    ),
    (
        "chunks without the last, stalled",
        b"Transfer-Encoding: chunked\r\n",
        b"2\r\nok\r\n",
        Stay,
    ),
    (
        "half a chunk",
        b"Transfer-Encoding: chunked\r\n",
        b"20\r\nok",
        Close,
    ),
    (
        "half a last chunk",
        b"Transfer-Encoding: chunked\r\n",
        b"2\r\nok\r\n0\r\n",
        Close,
    ),
    (
        "a trailer without a colon",
        b"Transfer-Encoding: chunked\r\n",
        b"2\r\nok\r\n0\r\nnothing\r\n\r\n",
        Stay,
    ),
    (
        "a trailer with a bare CR",
        b"Transfer-Encoding: chunked\r\n",
        b"2\r\nok\r\n0\r\nX: a\rb\r\n\r\n",
        Stay,
    ),
];

#[test]
fn a_bad_answer_harms_only_its_own_call() {
    let kinds = kinds();
    assert!(kinds.len() >= 50);
    let scripts: HashMap<String, (Vec<u8>, Then)> = kinds
        .iter()
        .enumerate()
        .map(|(at, kind)| (format!("/bad/{at}"), (kind.bytes.clone(), kind.then)))
        .collect();
    let portal = Portal::start(move |visit| {
        while let Some(request) = visit.request() {
            let target = String::from_utf8_lossy(request.target()).into_owned();
            let Some((bytes, then)) = scripts.get(&target) else {
                visit.answer_to(&request, 200, "", target.as_bytes());
                continue;
            };
            visit.write(bytes);
            match then {
                Close => return,
                Reset => {
                    pause_ms(30, "what was written is to arrive: a reset overtakes it");
                    visit.reset();
                    return;
                }
                Stay => {}
            }
        }
    });
    let limits = [
        "--threads",
        "1",
        "--response-timeout",
        "300ms",
        "--upstream-body-timeout",
        "300ms",
    ];
    let proxy = proxy::start(&portal, &limits);
    let wrong: Vec<String> = kinds
        .iter()
        .enumerate()
        .filter_map(|(at, kind)| {
            let wrong = judge(&proxy, at, kind).err()?;
            Some(format!(
                "{} ({})\n   {}\n   {wrong}",
                kind.name,
                kind.method,
                shown(&kind.bytes)
            ))
        })
        .collect();
    figure(
        "kinds of bad answers",
        format!(
            "{} of {} harmed another call than their own",
            wrong.len(),
            kinds.len()
        ),
    );
    assert!(
        wrong.is_empty(),
        "{} wrong of {}:\n{}",
        wrong.len(),
        kinds.len(),
        wrong.join("\n")
    );
}

/// Right answers of every shape, to be mutated.
const SEEDS: &[&[u8]] = &[
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\nX-Bitrix-Rest-Time: 0.1\r\n\r\n{\"result\":true}",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nX-Sum: 1\r\n\r\n",
    b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\nConnection: keep-alive, x-drop\r\nX-Drop: 1\r\nX-Two: 1\r\nX-Two: 2\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the close",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes",
    b"HTTP/1.1 204 No Content\r\nX-Empty:\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 7\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nbody",
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
];

/// The mutated answer of that number, the same at each call.
fn mutated(number: usize) -> Vec<u8> {
    let seeds: Vec<Vec<u8>> = SEEDS.iter().map(|seed| seed.to_vec()).collect();
    written::mutated(&mut Dice::new(number as u64 + 77), &seeds)
}

#[test]
fn every_mutated_answer_has_one_reading_or_is_told_as_broken() {
    const CASES: usize = 2_000;
    const LABS: usize = 4;
    let lab = |first: usize| -> Vec<String> {
        let portal = Portal::start(|visit| {
            while let Some(request) = visit.request() {
                let target = String::from_utf8_lossy(request.target()).into_owned();
                let Some(number) = target
                    .strip_prefix("/bad/")
                    .and_then(|rest| rest.parse().ok())
                else {
                    visit.answer_to(&request, 200, "", target.as_bytes());
                    continue;
                };
                let bytes = mutated(number);
                visit.write(&bytes);
                // A right answer keeps the connection: its close would meet the next call by chance.
                let right = match strict::final_response(&bytes, b"GET", false) {
                    Reading::Valid(answer) => answer.size == bytes.len(),
                    // Odd framing where no body can be ends with the head all the same.
                    Reading::EitherWay(answer, _) if matches!(answer.status(), 204 | 304) => {
                        answer.size == bytes.len()
                    }
                    _ => false,
                };
                if !right {
                    return;
                }
            }
        });
        let proxy = proxy::start(&portal, &["--threads", "1"]);
        (first..CASES)
            .step_by(LABS)
            .filter_map(|at| {
                let bytes = mutated(at);
                let kind = Kind {
                    name: "mutated",
                    method: "GET",
                    bytes,
                    then: Close,
                };
                let wrong = judge(&proxy, at, &kind).err()?;
                Some(format!(
                    "mutation {at}\n   {}\n   {wrong}",
                    shown(&kind.bytes)
                ))
            })
            .collect()
    };
    let lab = &lab;
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..LABS)
            .map(|first| scope.spawn(move || lab(first)))
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("a lab runs to its end"))
            .collect()
    });
    let some = wrong[..wrong.len().min(20)].join("\n");
    assert!(
        wrong.is_empty(),
        "{} wrong of {CASES}:\n{some}",
        wrong.len()
    );
}

fn judge(proxy: &Proxy, at: usize, kind: &Kind) -> Result<(), String> {
    let mut client = proxy.connect();
    // A connection to the portal that has served before is what goes bad.
    own(&mut client, "/before")?;
    client.send(format!(
        "{} /bad/{at} HTTP/1.1\r\nHost: h\r\n\r\n",
        kind.method
    ));
    let got = client.response(kind.method);
    let ended = kind.then != Stay;
    let reading = match kind.then {
        // An answer that ends with its connection has not ended when that is reset.
        Reset => strict::final_response(&kind.bytes, kind.method.as_bytes(), false),
        _ => strict::final_response(&kind.bytes, kind.method.as_bytes(), ended),
    };
    match (&reading, &got) {
        (Reading::Valid(wanted), Ok(answer)) if wanted.status() != 101 && !oversized(wanted) => {
            equal(wanted, answer)?
        }
        (Reading::EitherWay(wanted, _), Ok(answer)) if !ours(answer) => equal(wanted, answer)?,
        (Reading::Invalid(_) | Reading::Incomplete, Ok(answer)) if ours(answer) => {}
        (Reading::EitherWay(..), Ok(answer)) if ours(answer) => {}
        (Reading::Valid(wanted), Ok(answer)) if wanted.status() == 101 && ours(answer) => {}
        (Reading::Valid(wanted), Ok(answer)) if oversized(wanted) && ours(answer) => {}
        (
            Reading::EitherWay(..) | Reading::Incomplete | Reading::Invalid(_),
            Err(Lost::Truncated(bytes)),
        ) if strict::has_right_head(&kind.bytes) && strict::has_right_head(bytes) => {}
        (reading, got) => return Err(format!("{reading:?} became {got:?}")),
    }
    let still_open = got.is_ok() && !client.inbox.ended;
    for next in 0..3 {
        own(&mut proxy.connect(), &format!("/next/{next}"))?;
    }
    // The same client goes on where its connection lives.
    if still_open
        && got.is_ok_and(|answer| !answer.list("connection").contains(&"close".to_owned()))
    {
        own(&mut client, "/after")?;
    }
    Ok(())
}

/// A call that must get its own answer.
fn own(client: &mut Client, target: &str) -> Result<(), String> {
    match client.call(get(target)) {
        Ok(answer) if answer.status() == 200 && answer.body == target.as_bytes() => Ok(()),
        other => Err(format!("{target} got {other:?}")),
    }
}

/// An error of the proxy about its portal.
fn ours(answer: &Message) -> bool {
    matches!(answer.status(), 502 | 504)
        && answer.one("proxy-status").is_some()
        && answer.one("access-control-allow-origin").as_deref() == Some("*")
        && answer.text().contains("\"INTERNAL_SERVER_ERROR\"")
        || (answer.status() == 502
            && answer.body.is_empty()
            && answer.one("proxy-status").is_some())
}

/// A head beyond what a proxy must take.
fn oversized(message: &Message) -> bool {
    let size: usize = message.fields.iter().map(|field| field.value.len()).sum();
    size > 60_000 || message.fields.len() > 120
}

fn equal(wanted: &Message, got: &Message) -> Result<(), String> {
    let (theirs, seen) = (
        strict::end_to_end(wanted, &OURS),
        strict::end_to_end(got, &OURS),
    );
    if wanted.start != got.start || wanted.body != got.body || theirs != seen {
        return Err(format!("{wanted:?} became {got:?}"));
    }
    Ok(())
}
