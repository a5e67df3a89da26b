//! One reading of every message: what the strict reader says of a client's bytes is what the portal gets, or the
//! client is refused and nothing whole arrives.

use std::time::Duration;

use crate::support::client::Client;
use crate::support::portal::Portal;
use crate::support::proxy::{self, Proxy};
use crate::support::strict::{self, Message, Reading};
use crate::support::wire::Lost;
use crate::support::{Dice, figure, shown};

mod answers;
mod written;

/// Fields that a proxy sets, replaces or takes out by itself.
pub const OURS: [&str; 8] = [
    "host",
    "expect",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "forwarded",
    "x-real-ip",
    "http2-settings",
];

/// Far beyond the limits of the proxies here.
const HANG: Duration = Duration::from_secs(5);

const SENTINEL: &str = "/sentinel/of/this/case";

/// A proxy with one thread before a portal that answers each request with the target that it got.
struct Lab {
    proxy: Proxy,
    portal: Portal,
}

impl Lab {
    fn new() -> Self {
        let portal = Portal::start(|visit| {
            while let Some(request) = visit.request() {
                let target = strict::same_target(request.target());
                let echo = format!("X-Target: {}\r\n", String::from_utf8_lossy(&target));
                visit.answer_to(&request, 200, &echo, b"{\"result\":true}");
            }
        });
        let proxy = proxy::start(
            &portal,
            &[
                "--threads",
                "1",
                "--header-timeout",
                "1s",
                "--body-timeout",
                "1s",
            ],
        );
        Self { proxy, portal }
    }

    /// Sends the bytes on a connection of their own and compares what client and portal see with the strict reading.
    fn judge(&self, bytes: &[u8], wait_out: bool) -> Result<(), String> {
        let before = self.portal.request_count();
        let mut client = self.proxy.connect();
        client.send(bytes);
        let mut owed = Vec::new();
        let mut refused = false;
        for reading in strict::requests(bytes) {
            match &reading {
                Reading::Valid(message) | Reading::EitherWay(message, _) => {
                    let method = String::from_utf8_lossy(message.method()).into_owned();
                    let answer = client
                        .response_within(&method, HANG)
                        .map_err(|lost| format!("{reading:?} has no answer: {lost:?}"))?;
                    if answer.status() == 200 {
                        let target = strict::same_target(&strict::origin_form(message.target()));
                        let echo = answer.one("x-target").unwrap_or_default();
                        if echo.as_bytes() != target {
                            return Err(format!("the answer is another request's: {echo}"));
                        }
                        owed.push(message.clone());
                        if closes(message) {
                            break;
                        }
                        continue;
                    }
                    refused = true;
                    self.refusal(&answer)?;
                    if matches!(reading, Reading::Valid(_)) && !may_be_refused(message) {
                        return Err(format!(
                            "a valid request is refused: {} {}",
                            answer.status(),
                            answer.text()
                        ));
                    }
                    if method != "CONNECT" && method != "TRACE" && !may_be_refused(message) {
                        self.closed(&mut client)?;
                    }
                }
                Reading::Invalid(reason) => {
                    refused = true;
                    let answer = client
                        .response_within("GET", HANG)
                        .map_err(|lost| format!("no refusal of {reason}: {lost:?}"))?;
                    self.refusal(&answer)
                        .map_err(|wrong| format!("{reason}: {wrong}"))?;
                    self.closed(&mut client)?;
                }
                Reading::Incomplete => {
                    refused = true;
                    if !wait_out {
                        client.stream.shut_write();
                    }
                    let head = owed.is_empty() && bytes.starts_with(b"HEAD ");
                    match client.response_within(if head { "HEAD" } else { "GET" }, HANG) {
                        Ok(answer) => self.refusal(&answer)?,
                        Err(Lost::Closed) => {}
                        Err(lost) => return Err(format!("half a request: {lost:?}")),
                    }
                    self.closed(&mut client)?;
                }
            }
            if refused {
                break;
            }
        }
        let mut sentinel = 0;
        if !refused && client.send(sentinel_request()) && client.response("GET").is_ok() {
            sentinel = 1;
        }
        self.portal
            .wait_until(|all| all.iter().all(|one| !(one.open && one.partial)));
        let got = self.portal.requests_since(before);
        if got.len() != owed.len() + sentinel {
            let lines: Vec<String> = got.iter().map(|one| shown(one.target())).collect();
            return Err(format!("the portal got {} requests: {lines:?}", got.len()));
        }
        for (owed, got) in owed.iter().zip(&got) {
            same(owed, got)?;
        }
        Ok(())
    }

    fn refusal(&self, answer: &Message) -> Result<(), String> {
        let status = answer.status();
        if !(400..500).contains(&status) && status != 501 && status != 505 {
            return Err(format!("answered {status} {}", answer.text()));
        }
        if answer.one("access-control-allow-origin").as_deref() != Some("*") {
            return Err(format!("a {status} without CORS"));
        }
        Ok(())
    }

    fn closed(&self, client: &mut Client) -> Result<(), String> {
        if client.closed_within(Duration::from_secs(5)) {
            Ok(())
        } else {
            Err("the connection is not closed behind a refusal".to_owned())
        }
    }

    /// At the end of all cases: what reached the portal was strictly valid, or cut off before its end.
    fn oddities(&self) -> Vec<String> {
        let odd = |lost: Option<Lost>| match lost {
            Some(Lost::Malformed(reason, bytes)) => {
                Some(format!("the portal got {reason}: {}", shown(&bytes)))
            }
            _ => None,
        };
        let connections = self.portal.connections();
        connections
            .into_iter()
            .filter_map(|one| odd(one.oddity))
            .collect()
    }
}

fn sentinel_request() -> String {
    format!("GET {SENTINEL} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
}

fn closes(message: &Message) -> bool {
    let options = message.list("connection");
    options.contains(&"close".to_owned())
        || (message.minor == 0 && !options.contains(&"keep-alive".to_owned()))
}

/// Valid, but not served by this proxy.
fn may_be_refused(message: &Message) -> bool {
    matches!(message.method(), b"CONNECT" | b"TRACE")
        || message.target() == b"*"
        || message
            .list("expect")
            .iter()
            .any(|what| what != "100-continue")
}

/// Whether the portal got the request that the client sent.
fn same(sent: &Message, got: &Message) -> Result<(), String> {
    let target = strict::same_target(&strict::origin_form(sent.target()));
    if sent.method() != got.method() || target != strict::same_target(got.target()) {
        return Err(format!(
            "sent {} {}, got {} {}",
            shown(sent.method()),
            shown(&target),
            shown(got.method()),
            shown(got.target())
        ));
    }
    if sent.body != got.body {
        return Err(format!(
            "the body {} became {}",
            shown(&sent.body),
            shown(&got.body)
        ));
    }
    let (ours, theirs) = (
        strict::end_to_end(sent, &OURS),
        strict::end_to_end(got, &OURS),
    );
    if ours.len() != theirs.len()
        || ours
            .iter()
            .zip(&theirs)
            .any(|(a, b)| a.name != b.name || spaced(&a.value) != spaced(&b.value))
    {
        return Err(format!("the fields {ours:?} became {theirs:?}"));
    }
    Ok(())
}

/// A folded line may be joined by one space or more.
fn spaced(value: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(value.len());
    for byte in value {
        let blank = matches!(byte, b' ' | b'\t');
        if !(blank && out.last() == Some(&b' ')) {
            out.push(if blank { b' ' } else { *byte });
        }
    }
    out
}

#[test]
fn every_written_request_has_one_reading_or_is_refused() {
    let cases = written::cases();
    assert!(cases.len() >= 150, "only {} cases", cases.len());
    let wrong: Vec<String> = in_labs(4, cases.len(), |lab, at| {
        let (name, bytes) = &cases[at];
        lab.judge(bytes, true)
            .map_err(|wrong| format!("{name}\n   {}\n   {wrong}", shown(bytes)))
    });
    figure(
        "hand-written requests",
        format!("{} wrong of {}", wrong.len(), cases.len()),
    );
    assert!(
        wrong.is_empty(),
        "{} wrong of {}:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}

#[test]
fn every_mutated_request_has_one_reading_or_is_refused() {
    let seeds = written::seeds();
    let wrong: Vec<String> = in_labs(4, 5_000, |lab, at| {
        let mut dice = Dice::new(at as u64 + 1);
        let bytes = written::mutated(&mut dice, &seeds);
        lab.judge(&bytes, false)
            .map_err(|wrong| format!("mutation {at}\n   {}\n   {wrong}", shown(&bytes)))
    });
    figure("mutated requests", format!("{} wrong of 5000", wrong.len()));
    assert!(
        wrong.is_empty(),
        "{} wrong of 5000:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(20)].join("\n")
    );
}

/// Runs the cases in a few labs side by side; what went wrong.
fn in_labs(
    count: usize,
    cases: usize,
    judge: impl Fn(&Lab, usize) -> Result<(), String> + Sync,
) -> Vec<String> {
    let judge = &judge;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|first| {
                scope.spawn(move || {
                    let lab = Lab::new();
                    let mut wrong: Vec<String> = (first..cases)
                        .step_by(count)
                        .filter_map(|at| judge(&lab, at).err())
                        .collect();
                    wrong.extend(lab.oddities());
                    wrong
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("a lab runs to its end"))
            .collect()
    })
}
