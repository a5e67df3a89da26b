//! What strangers, who have no credential, can do to the log, the page and the callers that have one: nothing much.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::client::{Client, post};
use crate::support::portal::Portal;
use crate::support::proxy;
use crate::support::time::pause_ms;

const METHOD: &str = "crm.lead.list";
const TRANSLATED: &str = "crm.lead.details.configuration.reset";

/// A portal that lets nobody in.
fn closed_portal() -> Portal {
    Portal::start(|visit| {
        while let Some(request) = visit.request() {
            visit.answer_to(&request, 401, "", b"{\"error\":\"INVALID_CREDENTIALS\"}");
        }
    })
}

#[test]
fn one_request_writes_at_most_fifty_lines_of_a_method_and_one_that_counts_the_rest() {
    for (method, mode, action) in [
        (METHOD, "observe", "observed"),
        (TRANSLATED, "rewrite", "rewritten"),
        (TRANSLATED, "block", "refused"),
    ] {
        let portal = closed_portal();
        let proxy = proxy::start(&portal, &["--mode", &format!("{method}={mode}")]);
        let inner = vec![format!("cmd[]={method}"); 50].join("&");
        let outer = vec![format!("\"Batch?{inner}\""); 50].join(",");
        let answer = proxy.call(post(
            "/rest/1/made-up/batch",
            "application/json",
            &format!("{{\"cmd\":[{outer}]}}"),
        ));
        // The answer is here, and so are the lines.
        let log = std::fs::read(proxy.log_path()).expect("a log");
        let events = proxy.events();
        assert_eq!(answer.status(), 401, "{mode}");
        assert_eq!(events.len(), 51, "{mode}");
        assert!(log.len() < 51 * 1200, "{mode}: {} bytes", log.len());
        for event in &events[..50] {
            assert_eq!(event["event"], "deprecated_call", "{mode}");
        }
        let (single, sum) = (&events[0], &events[50]);
        assert_eq!(sum["event"], "deprecated_calls", "{mode}");
        assert_eq!(sum["count"], 2450, "{mode}");
        assert_eq!(sum["action"], action, "{mode}");
        for shared in [
            "timestamp",
            "request_id",
            "method",
            "replacement",
            "mode",
            "reason",
            "encoding",
            "target",
            "caller",
            "status",
            "error",
            "documentation",
        ] {
            assert_eq!(sum[shared], single[shared], "{mode}: {shared}");
        }
        assert!(sum.get("batch_key").is_none(), "{mode}: {sum}");
        let total = format!(
            "b24_proxy_deprecated_calls_total{{method=\"{method}\",action=\"{action}\",caller=\"unnamed\"}}"
        );
        assert_eq!(proxy.metric(&total), 2500.0, "{mode}");
    }
}

/// A log of this many callers, of which only the last came just now.
fn log_of(callers: usize) -> String {
    let now = jiff::Timestamp::now();
    let line = |user: usize| {
        format!(
            "{{\"schema\":1,\"timestamp\":\"{}\",\"event\":\"deprecated_call\",\"method\":\"{METHOD}\",\"action\":\"observed\",\
             \"target\":\"/rest/{user}/***/{METHOD}\",\"caller\":{{\"key\":\"webhook:p:{user}:0123456789abcdef\",\
             \"auth\":\"webhook\",\"user\":\"{user}\",\"address\":\"192.0.2.1\",\"user_agent\":\"{}\"}},\"status\":200}}\n",
            now.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            "agent ".repeat(40)
        )
    };
    (1..=callers).map(line).collect()
}

fn livez(proxy: &proxy::Proxy) -> Duration {
    let asked = Instant::now();
    assert_eq!(proxy.admin("/livez").status(), 200);
    asked.elapsed()
}

#[test]
fn readers_of_events_that_take_nothing_take_little_memory_and_hold_up_no_probe() {
    let portal = Portal::plain();
    let wanted = proxy::before(&portal.url());
    std::fs::write(wanted.folder().join("deprecated.jsonl"), log_of(4_000)).expect("written");
    let proxy = wanted.start();
    let version = {
        let page = proxy.admin("/").text();
        let rest = page.split("data-version=\"").nth(1).expect("a version");
        rest.split('"').next().expect("its end").to_owned()
    };
    let (run, _) = version.split_once('.').expect("RUN.VERSION");
    let small = proxy.figure("VmRSS");
    proxy.reset_peak();
    let mut readers: Vec<TcpStream> = Vec::new();
    for _ in 0..32 {
        let mut reader = TcpStream::connect(proxy.admin).expect("connected");
        let request = format!("GET /events?since={run}.0 HTTP/1.1\r\nHost: localhost\r\n\r\n");
        reader.write_all(request.as_bytes()).expect("written");
        readers.push(reader);
    }
    let slowest = (0..10).map(|_| livez(&proxy)).max().expect("some");
    let mut first = [0; 4096];
    let read = readers[0].read(&mut first).expect("an answer");
    let more = readers[0].read(&mut first[read..]).unwrap_or(0);
    let told = String::from_utf8_lossy(&first[..read + more]).into_owned();
    assert!(told.contains("event: reset"), "{told}");
    // Calls of 300 made-up codes, of which nobody who watches takes anything.
    let mut client = Client::connect(proxy.address());
    for code in 0..300 {
        let call = post(
            &format!("/rest/1/made-up-{code}/{METHOD}"),
            "application/json",
            "{}",
        );
        assert_eq!(client.call(call).expect("an answer").status(), 200);
    }
    pause_ms(
        500,
        "the memory of one who reads nothing is to grow, if it does",
    );
    let slowest = slowest.max(livez(&proxy));
    let more = proxy.figure("VmHWM").saturating_sub(small);
    eprintln!("{more} KiB more, the slowest probe {slowest:?}");
    assert!(more < 64 * 1024, "{more} KiB more");
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
}

#[test]
fn visitors_who_take_no_page_hold_up_no_probe() {
    let portal = Portal::plain();
    let wanted = proxy::before(&portal.url());
    std::fs::write(wanted.folder().join("deprecated.jsonl"), log_of(2_000)).expect("written");
    let proxy = wanted.start();
    let mut visitors: Vec<TcpStream> = Vec::new();
    for path in ["/?all", "/api/callers"].repeat(8) {
        let mut visitor = TcpStream::connect(proxy.admin).expect("connected");
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        visitor.write_all(request.as_bytes()).expect("written");
        visitors.push(visitor);
    }
    let slowest = (0..10).map(|_| livez(&proxy)).max().expect("some");
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    // Who takes it gets it whole, and his connection ends with it.
    let mut page = String::new();
    visitors[0].read_to_string(&mut page).expect("a page");
    assert!(page.contains("connection: close"), "{}", &page[..500]);
    assert!(page.ends_with("</html>\n") || page.ends_with("</html>"));
}

#[test]
fn made_up_codes_push_nobody_off_the_page() {
    let portal = Portal::start(|visit| {
        while let Some(request) = visit.request() {
            let target = String::from_utf8_lossy(request.target()).into_owned();
            let known = target.contains("/real-code-");
            let status = if known { 200 } else { 401 };
            visit.answer_to(&request, status, "", b"{\"result\":true}");
        }
    });
    let proxy = proxy::start(&portal, &[]);
    let mut client = Client::connect(proxy.address());
    let mut call = |user: usize, code: &str| {
        let target = format!("/rest/{user}/{code}/{METHOD}");
        client
            .call(post(&target, "application/json", "{}"))
            .expect("an answer");
    };
    call(900_001, "real-code-1");
    for made_up in 0..5_100 {
        call(made_up, "made-up");
    }
    let rows = proxy.admin("/api/callers?q=900001").text();
    assert!(rows.contains("\"user\":\"900001\""), "{rows}");
}

#[test]
fn integrations_that_share_one_webhook_have_a_row_each() {
    let portal = Portal::plain();
    let wanted = proxy::before(&portal.url());
    let callers = wanted.folder().join("callers.toml");
    let entry = |name: &str| format!("[[caller]]\nname = \"{name}\"\nuser_agent = \"{name}/\"\n");
    std::fs::write(&callers, [entry("shop"), entry("erp")].concat()).expect("written");
    let proxy = wanted
        .with(&["--callers", callers.to_str().expect("UTF-8")])
        .start();
    for (user, agent) in [(1, "shop/1"), (1, "erp/2"), (2, "shop/3"), (1, "other")] {
        let call = post(
            &format!("/rest/{user}/abcdefgh12345678/{METHOD}"),
            "application/json",
            "{}",
        );
        let call = call.replacen("\r\n", &format!("\r\nUser-Agent: {agent}\r\n"), 1);
        assert_eq!(proxy.call(call).status(), 200);
    }
    let answer: serde_json::Value =
        serde_json::from_str(&proxy.admin("/api/callers?sort=first").text()).expect("JSON");
    let mut rows: Vec<_> = answer["callers"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| {
            (
                row["name"].as_str(),
                row["user"].as_str(),
                row["observed"].as_u64(),
                row["keys"].as_u64(),
                row["libraries"].as_u64(),
            )
        })
        .collect();
    rows.sort();
    assert_eq!(
        rows,
        [
            (None, Some("1"), Some(1), Some(1), Some(1)),
            (Some("erp"), Some("1"), Some(1), Some(1), Some(1)),
            (Some("shop"), Some("2"), Some(2), Some(2), Some(2)),
        ]
    );
    let letter = proxy
        .admin(&format!(
            "/api/instructions?name=shop&method={METHOD}&format=markdown"
        ))
        .text();
    assert!(letter.contains("shop"), "{letter}");
    let page = proxy.admin("/").text();
    assert!(
        page.contains("2 keys · 2 libraries"),
        "the row says who stands behind it"
    );
}
