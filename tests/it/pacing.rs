//! The portal's request limit: the sandbox that enforces it, the proxy before it, and the command that plays a log through
//! its model. Small by default; with `B24_HEAVY=1` for minutes and at a cloud portal's own rate.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use b24_migration_proxy::sandbox::{RequestLimit, SandboxConfig};

use crate::support::client;
use crate::support::ours;
use crate::support::portal::Portal;
use crate::support::proxy;
use crate::support::sandbox::{self, Running};
use crate::support::time::{self, pause_ms, wait_until};

const BINARY: &str = env!("CARGO_BIN_EXE_b24-migration-proxy");

/// A call of the sandbox's administrator; `id` tells it from others.
fn call(id: usize) -> String {
    format!(
        "GET /rest/1/sandboxcode/crm.item.details.configuration.get?entityTypeId=1&id={id} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
}

#[test]
fn the_sandbox_refuses_what_is_over_its_rate_as_a_portal_does() {
    let portal = sandbox::start(SandboxConfig {
        limit: Some(RequestLimit {
            depth: 3.0,
            per_second: 0.01,
        }),
        ..SandboxConfig::default()
    });
    let address = portal.sandbox.addr();
    let statuses: Vec<u16> = (0..5)
        .map(|id| client::call(address, call(id)).status())
        .collect();
    assert_eq!(statuses, [200, 200, 200, 503, 503]);
    let refused = client::call(address, call(9));
    assert!(
        refused.text().contains(r#""error":"QUERY_LIMIT_EXCEEDED""#),
        "{refused:?}"
    );
    let xml = client::call(
        address,
        "GET /rest/1/sandboxcode/crm.item.details.configuration.get.xml HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    );
    assert!(
        xml.text().contains("<error>QUERY_LIMIT_EXCEEDED</error>"),
        "{xml:?}"
    );
    // What is no REST is not counted and not refused.
    let page = client::call(
        address,
        "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    );
    assert_eq!(page.status(), 200);
    let executed = portal
        .sandbox
        .received()
        .iter()
        .filter(|r| !r.operations.is_empty())
        .count();
    assert_eq!(executed, 3);
}

/// A line of an access log.
fn line(second: u32, flow: Option<&str>, user: u32, outcome: &str) -> String {
    let flow = flow.map_or(String::new(), |flow| format!(r#""flow":"{flow}","#));
    format!(
        r#"{{"timestamp":"2026-11-30T10:00:{second:02}.000Z","event":"access","request_id":"x","http.request.method":"GET","url.scheme":"http","url.path":"/rest/{user}/***/crm.lead.list","network.protocol.version":"1.1","client.address":"192.0.2.1","user_agent.original":"curl/8",{flow}"http.request.size":1,"http.response.size":1,"outcome":"{outcome}","duration_ms":1.000}}"#
    ) + "\n"
}

fn pace(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(BINARY)
        .arg("pace")
        .args(arguments)
        .output()
        .expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn a_recorded_log_shows_who_would_have_waited_and_who_would_have_been_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("access.log");
    let mut log = String::from("no line of a log\n");
    for _ in 0..30 {
        log += &line(0, Some("aaaaaaaaaaaaaaaa"), 1, "forwarded");
    }
    log += &line(2, Some("bbbbbbbbbbbbbbbb"), 2, "forwarded");
    // Answered by the proxy: the portal never saw it.
    log += &line(2, Some("bbbbbbbbbbbbbbbb"), 2, "refused");
    std::fs::write(&path, &log).expect("a log");
    let path = path.to_str().expect("a name");
    let (status, out, err) = pace(&["--access-log", path, "--portal-rate", "10:2"]);
    assert_eq!((status, err.as_str()), (Some(0), ""));
    assert!(out.starts_with("31 calls of 2 callers"), "{out}");
    assert!(out.contains("10 would have gone at once, 9 would have waited (5.0s at most), 12 would have been refused (503)"), "{out}");
    assert!(
        out.contains("1 lines are no lines of an access log"),
        "{out}"
    );
    let row = out
        .lines()
        .find(|line| line.starts_with("aaaa"))
        .expect("the burst's row");
    assert_eq!(row.split_whitespace().nth(3), Some("30"), "{row}");
    // Two addresses take twice as much; standard input is read as well.
    let (status, out, _) = pace(&[
        "--access-log",
        path,
        "--portal-rate",
        "10:2",
        "--sources",
        "2",
    ]);
    assert_eq!(status, Some(0));
    assert!(
        out.contains("from 2 addresses") && out.contains(" 0 would have been refused"),
        "{out}"
    );
}

/// The number before these words.
fn number_before(text: &str, words: &str) -> f64 {
    let before = text.split(words).next().unwrap_or_default();
    let number = before.split_whitespace().last().unwrap_or_default();
    number.parse().unwrap_or_else(|_| panic!("{words}: {text}"))
}

#[test]
fn a_log_that_is_played_back_says_what_really_happened() {
    let (depth, rate, seconds) = scale();
    let limit = format!("{depth}:{rate}");
    let portal = portal(10_000.0, 10_000.0);
    let wanted = proxy::before(&portal.sandbox.url());
    let log = wanted.folder().join("access.log");
    let path = log.to_str().expect("a name").to_owned();
    let proxy = wanted
        .with(&["--portal-rate", &limit, "--access-log", &path])
        .start();
    let plan = nineteen_and_a_flood(rate, seconds, 0.9, 3);
    let calls = plan.len();
    carry_out(proxy.address(), plan);
    let text = || std::fs::read_to_string(&log).unwrap_or_default();
    wait_until("each call has its line", || text().lines().count() == calls);
    let text = text();
    let counted = |is_so: &dyn Fn(&str) -> bool| text.lines().filter(|line| is_so(line)).count();
    let refused = counted(&|line| line.contains("QUERY_LIMIT_EXCEEDED")) as f64;
    let waited =
        counted(&|line| line.contains("\"waited_ms\":") && !line.contains("QUERY_LIMIT_EXCEEDED"))
            as f64;
    assert!(waited > 20.0 && refused > 20.0, "{waited}, {refused}");
    let (status, out, _) = pace(&["--access-log", &path, "--portal-rate", &limit]);
    assert_eq!(status, Some(0));
    for (what, words, real) in [
        ("waited", " would have waited", waited),
        ("refused", " would have been refused", refused),
    ] {
        let played = number_before(&out, words);
        crate::support::figure(
            &format!("calls that {what}, played and real"),
            format!("{played} and {real}"),
        );
        assert!((played - real).abs() <= 0.05 * real, "{out}: {real}");
    }
}

#[test]
fn lines_of_older_logs_go_by_user_address_and_agent_and_the_result_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("access.log");
    let log: String = (0..6)
        .map(|n| line(n, None, n % 2 + 1, "forwarded"))
        .collect();
    std::fs::write(&path, log).expect("a log");
    let (status, out, _) = pace(&[
        "--access-log",
        path.to_str().expect("a name"),
        "--portal-rate",
        "cloud",
    ]);
    assert_eq!(status, Some(0));
    assert!(out.starts_with("6 calls of 2 callers"), "{out}");
    assert!(
        out.contains("6 of these calls are from older lines without a flow"),
        "{out}"
    );
}

#[test]
fn what_cannot_be_played_is_told_in_one_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let empty = folder.path().join("empty.log");
    std::fs::write(&empty, "").expect("a log");
    let empty = empty.to_str().expect("a name");
    for (arguments, status, told) in [
        (
            &["--access-log", empty, "--portal-rate", "cloud"][..],
            1,
            "holds no REST call",
        ),
        (
            &["--access-log", "/nowhere/x.log", "--portal-rate", "cloud"],
            2,
            "cannot read the access log /nowhere/x.log",
        ),
        (
            &["--access-log", empty, "--portal-rate", "auto"],
            2,
            "give a limit, as cloud",
        ),
        (
            &["--access-log", empty, "--portal-rate", "fast"],
            2,
            "write it as 50:2",
        ),
        (
            &["--access-log", empty, "--portal-rate", "50:0"],
            2,
            "0.01 to 100000",
        ),
        (
            &[
                "--access-log",
                empty,
                "--portal-rate",
                "cloud",
                "--sources",
                "0",
            ],
            2,
            "--sources",
        ),
        (
            &[
                "--access-log",
                empty,
                "--portal-rate",
                "cloud",
                "--queue-timeout",
                "5",
            ],
            2,
            "--queue-timeout",
        ),
    ] {
        let (code, _, err) = pace(arguments);
        assert_eq!(code, Some(status), "{arguments:?}: {err}");
        assert!(
            err.contains(told) && err.trim_end().lines().count() == 1,
            "{arguments:?}: {err}"
        );
    }
}

/// A portal that enforces this limit.
pub fn portal(depth: f64, per_second: f64) -> Running {
    sandbox::start(SandboxConfig {
        limit: Some(RequestLimit { depth, per_second }),
        remember: 1_000_000,
        ..SandboxConfig::default()
    })
}

/// One call of a client that knows nothing of limits.
#[derive(Clone, Debug)]
pub struct Planned {
    pub at: Duration,
    pub client: usize,
}

/// What it got.
#[derive(Clone)]
pub struct Got {
    pub client: usize,
    pub id: usize,
    pub status: u16,
    pub took: Duration,
    /// When it had its answer, from the plan's begin.
    pub ended: Duration,
    pub text: String,
}

/// A call with a client's own token, so that it is a caller of its own; the sandbox reads only the first of the two.
fn of_client(client: usize, id: usize) -> String {
    format!(
        "GET /rest/1/sandboxcode/crm.item.details.configuration.get?entityTypeId=1&id={id} HTTP/1.1\r\nHost: x\r\nUser-Agent: client-{client}\r\nConnection: close\r\n\r\n"
    )
}

/// The same without a webhook, so that address and library say who calls.
fn by_token(client: usize, id: usize) -> String {
    format!(
        "GET /rest/crm.item.details.configuration.get?entityTypeId=1&id={id}&access_token=sandboxtoken HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sandboxtoken\r\nUser-Agent: client-{client}\r\nConnection: close\r\n\r\n"
    )
}

/// A call whose caller is its address and User-Agent: the token stands in a body that is not read.
fn in_body(client: usize, id: usize) -> String {
    let body = format!("entityTypeId=1&id={id}&auth=sandboxtoken");
    format!(
        "POST /rest/crm.item.details.configuration.get?id={id} HTTP/1.1\r\nHost: x\r\nUser-Agent: client-{client}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

impl std::fmt::Debug for Got {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let said = self.text.split("\r\n\r\n").nth(1).unwrap_or_default();
        let (client, id, status, took) = (self.client, self.id, self.status, self.took);
        write!(
            f,
            "\n  client {client}, id {id}: {status} after {took:?} {}",
            if status == 200 { "" } else { said }
        )
    }
}

async fn make(address: SocketAddr, request: String) -> (u16, String) {
    let made = async {
        let mut stream = tokio::net::TcpStream::connect(address).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        std::io::Result::Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    let text = made.await.unwrap_or_default();
    let status = text.get(9..12).and_then(|status| status.parse().ok());
    (status.unwrap_or(0), text)
}

/// Carries a plan out, each call at its time whatever became of those before it.
fn carry_out(address: SocketAddr, plan: Vec<Planned>) -> Vec<Got> {
    carry_out_by(&[address], plan)
}

/// The same by several addresses: each client has one of them.
pub fn carry_out_by(addresses: &[SocketAddr], mut plan: Vec<Planned>) -> Vec<Got> {
    plan.sort_by_key(|planned| planned.at);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        let began = tokio::time::Instant::now();
        let mut calls = tokio::task::JoinSet::new();
        for (id, Planned { at, client }) in plan.into_iter().enumerate() {
            time::pause_until(began + at, "each call has its time").await;
            let address = addresses[client % addresses.len()];
            calls.spawn(async move {
                let since = Instant::now();
                let (status, text) = make(address, in_body(client, id)).await;
                Got {
                    client,
                    id,
                    status,
                    took: since.elapsed(),
                    ended: began.elapsed(),
                    text,
                }
            });
        }
        calls.join_all().await
    })
}

/// How often the portal executed each id.
fn executed(portal: &Running) -> BTreeMap<String, usize> {
    let mut by_id: BTreeMap<String, usize> = BTreeMap::new();
    for request in portal.sandbox.received() {
        if request.operations.is_empty() {
            continue;
        }
        let target = String::from_utf8_lossy(&request.target).into_owned();
        let id = target
            .split("id=")
            .last()
            .unwrap_or_default()
            .split('&')
            .next()
            .unwrap_or_default();
        *by_id.entry(id.to_owned()).or_default() += request.operations.len();
    }
    by_id
}

/// What a client was told it got, the portal executed once, and nothing else.
pub fn exactly_once(portal: &Running, got: &[Got]) {
    let executed = executed(portal);
    for call in got {
        let times = executed.get(&call.id.to_string()).copied().unwrap_or(0);
        assert_eq!(times, usize::from(call.status == 200), "{call:?}");
    }
}

/// Nineteen clients that together use this part of the rate in bursts of so many calls, and one that floods at three times the rate.
pub fn nineteen_and_a_flood(rate: f64, seconds: u64, part: f64, calls: u32) -> Vec<Planned> {
    let length = Duration::from_secs(seconds);
    // Bursts begin in the first four fifths of the time, so that the last one can be waited for.
    let bursts = part * rate * seconds as f64 * 0.8 / 19.0 / f64::from(calls);
    let bursts = bursts.floor().max(1.0) as u32;
    let mut plan = Vec::new();
    for client in 0..19 {
        for burst in 0..bursts {
            let at =
                length.mul_f64((f64::from(burst) + client as f64 / 19.0) / f64::from(bursts) * 0.8);
            plan.extend((0..calls).map(|_| Planned { at, client }));
        }
    }
    let flood = (3.0 * rate * seconds as f64) as u32;
    plan.extend((0..flood).map(|n| Planned {
        at: length.mul_f64(f64::from(n) / f64::from(flood)),
        client: 99,
    }));
    plan
}

/// What was granted while calls kept coming, of what the portal allows in that time: its count falls once a second, so that the
/// last second may not count yet.
pub fn used(got: &[Got], depth: f64, rate: f64, time: Duration) -> f64 {
    let granted = got
        .iter()
        .filter(|call| call.status == 200 && call.ended <= time);
    granted.count() as f64 / (depth + rate * (time.as_secs_f64() - 1.0))
}

/// The limit that the tests use and for how long: small, or a cloud portal's for minutes.
pub fn scale() -> (f64, f64, u64) {
    if std::env::var_os("B24_HEAVY").is_some() {
        (50.0, 2.0, 180)
    } else {
        (20.0, 10.0, 6)
    }
}

#[test]
fn nineteen_clients_lose_nothing_to_one_that_floods() {
    let (depth, rate, seconds) = scale();
    let portal = portal(depth, rate);
    let limit = if depth == 50.0 {
        "cloud".to_owned()
    } else {
        format!("{depth}:{rate}")
    };
    let proxy = proxy::before(&portal.sandbox.url())
        .with(&["--portal-rate", &limit])
        .start();
    let plan = nineteen_and_a_flood(rate, seconds, 0.6, 3);
    let got = carry_out(proxy.address(), plan.clone());
    let lost: Vec<&Got> = got
        .iter()
        .filter(|call| call.client != 99 && call.status != 200)
        .collect();
    assert!(lost.is_empty(), "{lost:?}");
    for refused in got.iter().filter(|call| call.status != 200) {
        assert!(
            refused.text.contains(r#""error":"QUERY_LIMIT_EXCEEDED""#),
            "{refused:?}"
        );
        assert!(refused.took <= Duration::from_millis(5_500), "{refused:?}");
    }
    exactly_once(&portal, &got);
    let used = used(&got, depth, rate, Duration::from_secs(seconds));
    crate::support::figure(
        "used of what the portal allows",
        format!("{:.1} %", 100.0 * used),
    );
    assert!(used >= 0.95, "{used}");
    assert_eq!(proxy.metric("b24_proxy_pace_waiting"), 0.0);

    // Sent directly, the nineteen lose most of their calls.
    let direct = self::portal(depth, rate);
    let got = carry_out(direct.sandbox.addr(), plan);
    let theirs: Vec<&Got> = got.iter().filter(|call| call.client != 99).collect();
    let lost = theirs.iter().filter(|call| call.status != 200).count();
    crate::support::figure(
        "lost of the nineteen's calls when sent directly",
        format!("{lost} of {}", theirs.len()),
    );
    assert!(lost * 2 > theirs.len(), "{lost} of {}", theirs.len());
}

#[test]
fn a_quiet_caller_among_twenty_floods_waits_for_a_second_at_most() {
    let portal = portal(20.0, 10.0);
    let proxy = proxy::before(&portal.sandbox.url())
        .with(&["--portal-rate", "20:10"])
        .start();
    let mut plan: Vec<Planned> = (0..20)
        .flat_map(|client| {
            (0..24).map(move |n| Planned {
                at: Duration::from_millis(n * 250),
                client,
            })
        })
        .collect();
    plan.extend((0..3).map(|n| Planned {
        at: Duration::from_millis(700 + n * 2_600),
        client: 77,
    }));
    let got = carry_out(proxy.address(), plan);
    for call in got.iter().filter(|call| call.client == 77) {
        assert_eq!(call.status, 200);
        assert!(call.took <= Duration::from_secs(1), "{call:?}");
    }
    exactly_once(&portal, &got);
}

#[test]
fn what_the_portal_refuses_for_its_limit_is_sent_again_when_its_body_is_at_hand() {
    // The proxy believes in five times what the portal has.
    let portal = portal(5.0, 5.0);
    let proxy = proxy::before(&portal.sandbox.url())
        .with(&["--portal-rate", "100:10"])
        .start();
    let plan = (0..10)
        .map(|client| Planned {
            at: Duration::ZERO,
            client,
        })
        .collect();
    let got = carry_out(proxy.address(), plan);
    assert!(got.iter().all(|call| call.status == 200), "{got:?}");
    exactly_once(&portal, &got);
    assert!(
        proxy.metric(r#"b24_proxy_paced_calls_total{caller="unnamed",what="refused_by_portal"}"#)
            >= 1.0
    );
    // A deprecated call has one line, whatever it took.
    let deprecated: Vec<u16> = (0..8)
        .map(|_| {
            proxy
                .call("POST /rest/1/sandboxcode/crm.lead.details.configuration.get HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                .status()
        })
        .collect();
    assert_eq!(deprecated, [200; 8]);
    let events = proxy.events();
    assert_eq!(events.len(), 8);
    assert!(
        events.iter().all(|event| event["status"] == 200),
        "{events:?}"
    );
    assert!(
        events.iter().any(|event| event["waited_ms"]
            .as_f64()
            .is_some_and(|waited| waited > 0.0)),
        "{events:?}"
    );
}

#[test]
fn a_streamed_body_is_not_sent_again_and_its_caller_gets_the_portals_error() {
    let portal = portal(1.0, 0.01);
    let proxy = proxy::before(&portal.sandbox.url())
        .with(&["--portal-rate", "100:10"])
        .start();
    assert_eq!(proxy.call(call(1)).status(), 200);
    let filler = "x".repeat(40_000);
    let body = format!("entityTypeId=1&filler={filler}");
    // A body that comes only when its head is on its way was not held.
    let mut stream = sent(
        proxy.address(),
        &format!(
            "POST /rest/1/sandboxcode/crm.item.details.configuration.get HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}",
            body.len(),
            &body[..100]
        ),
    );
    wait_until("the proxy has taken the head", || {
        proxy.metric("b24_proxy_requests_in_flight") == 1.0
    });
    pause_ms(
        100,
        "nothing shows that the head is on its way to the portal",
    );
    stream.write_all(&body.as_bytes()[100..]).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(
        !answer.contains("Proxy-Status"),
        "it is the portal's own: {answer}"
    );
    assert!(answer.contains("QUERY_LIMIT_EXCEEDED"));
    assert_eq!(portal.sandbox.received().len(), 2);
}

#[test]
fn a_refusal_of_ours_has_the_portals_shape_and_says_when_to_come_again() {
    let portal = portal(50.0, 10.0);
    let proxy = proxy::before(&portal.sandbox.url())
        .with(&["--portal-rate", "1:0.1"])
        .start();
    assert_eq!(proxy.call(call(1)).status(), 200);
    let began = Instant::now();
    for (target, xml) in [
        ("crm.item.details.configuration.get", false),
        ("crm.item.details.configuration.get.xml", true),
    ] {
        let answer = proxy.call(format!(
            "GET /rest/1/sandboxcode/{target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        ));
        ours::check(&answer, 503, "QUERY_LIMIT_EXCEEDED", xml).expect("our error");
        let after: u32 = answer
            .one("retry-after")
            .and_then(|after| after.parse().ok())
            .expect("a number");
        assert!((6..=10).contains(&after), "{after}");
    }
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "at once, not after the wait"
    );
    // A batch counts as one, REST v3 and other verbs as well; pages do not.
    for target in [
        "/rest/1/sandboxcode/batch?cmd[a]=x",
        "/rest/api/1/sandboxcode/x.y",
        "/rest/x/y/z/1/2",
    ] {
        for verb in ["GET", "OPTIONS"] {
            let answer = proxy.call(format!(
                "{verb} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            ));
            assert_eq!(answer.status(), 503, "{verb} {target}");
        }
    }
    let page = proxy.call("GET /company/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!(page.status(), 404);
    assert_eq!(executed(&portal).values().sum::<usize>(), 1);
    // A deprecated call that never got its turn has its line, with our status.
    let refused = proxy.call("GET /rest/1/sandboxcode/crm.lead.details.configuration.get HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!(refused.status(), 503);
    let events = proxy.events();
    assert_eq!(
        (events.len(), &events[0]["status"], &events[0]["error"]),
        (1, &503.into(), &"QUERY_LIMIT_EXCEEDED".into())
    );
}

/// Sends a request and keeps the connection.
fn sent(address: SocketAddr, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.write_all(request.as_bytes()).expect("it reads");
    stream
}

#[test]
fn clients_that_leave_the_queue_are_never_executed() {
    let portal = portal(50.0, 50.0);
    let proxy = proxy::before(&portal.sandbox.url())
        .with(&["--portal-rate", "1:0.2", "--queue-timeout", "30s"])
        .start();
    assert_eq!(proxy.call(call(0)).status(), 200);
    let waiting = || proxy.metric("b24_proxy_pace_waiting");
    // A reset is seen at once, whatever kind of call waits.
    let deprecated = "GET /rest/1/sandboxcode/crm.lead.details.configuration.get?id=1 HTTP/1.1\r\nHost: x\r\n\r\n";
    let leaving = [
        sent(proxy.address(), &call(1)),
        sent(proxy.address(), deprecated),
        sent(proxy.address(), &by_token(7, 1)),
    ];
    wait_until("they wait", || waiting() == 3.0);
    for stream in leaving {
        socket2::SockRef::from(&stream)
            .set_linger(Some(Duration::ZERO))
            .expect("a reset");
        drop(stream);
    }
    wait_until("they have left", || waiting() == 0.0);
    // An end of sending may mean no more than that: the client counts as gone after three seconds.
    let silent = sent(proxy.address(), &of_client(3, 3));
    silent.shutdown(Shutdown::Write).expect("an end");
    wait_until("it waits", || waiting() == 1.0);
    let since = Instant::now();
    wait_until("it has left", || waiting() == 0.0);
    assert!(
        since.elapsed() > Duration::from_secs(2),
        "{:?}",
        since.elapsed()
    );
    // Who stays is served, and nobody else was.
    let mut stays = sent(proxy.address(), &call(9));
    let mut answer = String::new();
    stays.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(executed(&portal).keys().collect::<Vec<_>>(), ["0", "9"]);
    assert!(proxy.events().is_empty(), "{:?}", proxy.events());
}

#[test]
fn a_body_is_not_read_while_its_call_waits() {
    let portal = portal(50.0, 50.0);
    let proxy = proxy::before(&portal.sandbox.url())
        .with(&["--portal-rate", "1:1"])
        .start();
    assert_eq!(proxy.call(call(0)).status(), 200);
    let mut stream = sent(
        proxy.address(),
        "POST /rest/1/sandboxcode/crm.item.details.configuration.get?id=1 HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 14\r\nConnection: close\r\n\r\n",
    );
    let since = Instant::now();
    let mut first = [0; 12];
    stream.read_exact(&mut first).expect("100 Continue");
    assert!(
        since.elapsed() > Duration::from_millis(400),
        "{:?}",
        since.elapsed()
    );
    assert_eq!(&first, b"HTTP/1.1 100");
    stream.write_all(b"entityTypeId=1").expect("it reads");
    let mut rest = String::new();
    stream.read_to_string(&mut rest).expect("an answer");
    assert!(rest.contains("HTTP/1.1 200"), "{rest}");
}

#[test]
fn by_default_nobody_is_held_back_before_the_portal_refuses_and_then_calls_wait() {
    let portal = portal(10.0, 4.0);
    let proxy = proxy::before(&portal.sandbox.url()).start();
    assert_eq!(proxy.metric("b24_proxy_pace_active"), 0.0);
    let plan = (0..12)
        .map(|client| Planned {
            at: Duration::ZERO,
            client,
        })
        .collect();
    let got = carry_out(proxy.address(), plan);
    assert!(got.iter().all(|call| call.status == 200), "{got:?}");
    exactly_once(&portal, &got);
    assert_eq!(proxy.metric("b24_proxy_pace_active"), 1.0);
    assert_eq!(proxy.metric("b24_proxy_pace_rate"), 2.0);
    assert!(
        proxy
            .stderr
            .text()
            .contains("calls are held back from now on")
    );
}

/// `time` of an answer whose method has used so many seconds.
fn time(operating: f64) -> String {
    format!(
        r#"{{"start":1.5,"finish":1.6,"duration":0.1,"operating_reset_at":1764500000,"operating":{operating}}}"#
    )
}

#[test]
fn answers_tell_the_portals_time_that_methods_have_used() {
    let single = format!(r#"{{"result":[],"total":0,"time":{}}}"#, time(401.5));
    let batch = format!(
        r#"{{"result":{{"result":{{"a":1}},"result_error":{{"c":{{"error":"OPERATION_TIME_LIMIT","error_description":"x"}}}},"result_total":[],"result_next":[],"result_time":{{"a":{},"b":{}}}}},"time":{}}}"#,
        time(77.0),
        time(0.25),
        time(0.0)
    );
    let portal = Portal::start(move |visit| {
        while let Some(request) = visit.request() {
            let is_batch = request.target().ends_with(b"/batch");
            let body = if is_batch { &batch } else { &single };
            // In two pieces, so that the end does not come at once.
            let (first, rest) = body.split_at(body.len() - 100);
            let length = body.len();
            visit.write(format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{first}"));
            pause_ms(20, "the two pieces are not to come as one");
            visit.write(rest);
        }
    });
    let proxy = proxy::before(&portal.url())
        .with(&["--operating-limit", "480s"])
        .start();
    let get = |method: &str| {
        let call =
            format!("GET /rest/1/c0de/{method} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        assert_eq!(proxy.call(call).status(), 200);
    };
    get("crm.item.list");
    get("crm.item.list");
    let commands =
        r#"{"halt":0,"cmd":{"a":"tasks.task.list?x=1","b":"user.get","c":"crm.deal.list"}}"#;
    let batch = format!(
        "POST /rest/1/c0de/batch HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{commands}",
        commands.len()
    );
    assert_eq!(proxy.call(batch).status(), 200);
    wait_until("the answers are counted", || {
        proxy.metric("b24_proxy_operating_answers_total{told=\"seen\"}") == 3.0
    });
    let seconds = |method: &str| {
        proxy.metric(&format!(
            "b24_proxy_operating_seconds{{method=\"{method}\"}}"
        ))
    };
    assert_eq!(seconds("crm.item.list"), 401.5);
    assert_eq!(seconds("tasks.task.list"), 77.0);
    assert_eq!(
        proxy.metric(
            "b24_proxy_method_limited_total{method=\"crm.deal.list\",code=\"OPERATION_TIME_LIMIT\"}"
        ),
        1.0
    );
    // The alert for limits looks at this one.
    let by_code = "b24_proxy_upstream_errors_total{code=\"OPERATION_TIME_LIMIT\"}";
    assert_eq!(proxy.metric(by_code), 1.0);
    // The same in a batch with a deprecated command, whose own refusal counts once as well.
    let mixed = r#"{"halt":0,"cmd":{"a":"crm.lead.list","b":"user.get","c":"crm.lead.list"}}"#;
    let mixed = format!(
        "POST /rest/1/c0de/batch HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{mixed}",
        mixed.len()
    );
    assert_eq!(proxy.call(mixed).status(), 200);
    wait_until("both are counted", || proxy.metric(by_code) == 2.0);
    let said = proxy.stderr.text();
    assert_eq!(
        said.matches("80 % of the portal's time").count(),
        1,
        "{said}"
    );
    let page = proxy.admin("/").text();
    assert!(page.contains("crm.item.list 402 s"), "{page}");
}

#[test]
fn switched_off_the_portals_refusals_pass_as_they_are() {
    let portal = portal(2.0, 0.01);
    let proxy = proxy::before(&portal.sandbox.url())
        .with(&["--portal-rate", "off"])
        .start();
    let statuses: Vec<u16> = (0..4).map(|id| proxy.call(call(id)).status()).collect();
    assert_eq!(statuses, [200, 200, 503, 503]);
    assert_eq!(portal.sandbox.received().len(), 4);
    assert_eq!(proxy.metric("b24_proxy_pace_active"), 0.0);
}

#[test]
fn a_reload_applies_the_rate_and_who_waits_goes_on_under_it() {
    let portal = portal(50.0, 50.0);
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("proxy.toml");
    std::fs::write(&config, "portal-rate = '1:0.05'\nqueue-timeout = '60s'").expect("written");
    let proxy = proxy::before(&portal.sandbox.url())
        .with(&["--config", config.to_str().expect("a name")])
        .start();
    assert_eq!(proxy.call(call(0)).status(), 200);
    let mut waits = sent(proxy.address(), &call(1));
    wait_until("it waits", || proxy.metric("b24_proxy_pace_waiting") == 1.0);
    std::fs::write(&config, "portal-rate = 'off'\nqueue-timeout = '60s'").expect("written");
    proxy.signal(Signal::HUP);
    let mut answer = String::new();
    waits.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(
        (2..8)
            .map(|id| proxy.call(call(id)).status())
            .collect::<Vec<_>>(),
        [200; 6]
    );
    std::fs::write(&config, "portal-rate = '1:0.05'\nqueue-timeout = '10ms'").expect("written");
    proxy.signal(Signal::HUP);
    wait_until("it paces again", || proxy.call(call(9)).status() == 503);
    // Where the store is and which addresses calls leave from waits for the next start, and is named.
    let more = "rate-store = 'redis://127.0.0.1:1'\negress = 'b'\nupstream-source = ['127.0.0.2']";
    std::fs::write(&config, more).expect("written");
    proxy.signal(Signal::HUP);
    for name in ["rate-store", "egress", "upstream-source"] {
        let told = format!(r#"takes effect at the next start","option":"{name}""#);
        wait_until(&told, || proxy.stderr.text().contains(&told));
    }
}

#[test]
fn at_the_end_of_a_drain_who_waits_is_told_that_nothing_was_executed() {
    let portal = portal(50.0, 50.0);
    let mut proxy = proxy::before(&portal.sandbox.url())
        .with(&[
            "--portal-rate",
            "1:0.05",
            "--queue-timeout",
            "60s",
            "--drain-timeout",
            "300ms",
        ])
        .start();
    assert_eq!(proxy.call(call(0)).status(), 200);
    let mut waits = sent(proxy.address(), &call(1));
    let mut deprecated = sent(
        proxy.address(),
        "GET /rest/1/sandboxcode/crm.lead.details.configuration.get?id=2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    );
    wait_until("they wait", || {
        proxy.metric("b24_proxy_pace_waiting") == 2.0
    });
    proxy.signal(Signal::TERM);
    for stream in [&mut waits, &mut deprecated] {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(
            answer.starts_with("HTTP/1.1 503") && answer.contains("Nothing was executed"),
            "{answer}"
        );
    }
    proxy.wait();
    let events = proxy.events();
    assert_eq!(events.len(), 1);
    assert!(events[0].get("status").is_none(), "{:?}", events[0]);
    assert_eq!(executed(&portal).keys().collect::<Vec<_>>(), ["0"]);
}

#[test]
fn three_addresses_carry_three_times_the_rate() {
    let portal = portal(10.0, 5.0);
    let proxy = proxy::before(&portal.sandbox.url())
        .with(&["--portal-rate", "10:5", "--queue-timeout", "1s"])
        .with(&[
            "--upstream-source",
            "127.0.0.2",
            "--upstream-source",
            "127.0.0.3",
            "--upstream-source",
            "127.0.0.4",
        ])
        .start();
    let plan = (0..250)
        .map(|n| Planned {
            at: Duration::from_millis(n * 16),
            client: n as usize % 12,
        })
        .collect();
    let got = carry_out(proxy.address(), plan);
    let used = used(&got, 30.0, 15.0, Duration::from_secs(4));
    assert!((0.9..=1.25).contains(&used), "{used}");
    exactly_once(&portal, &got);
    assert_eq!(proxy.metric("b24_proxy_pace_depth"), 30.0);
}
