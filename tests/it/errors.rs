//! The rows of docs/ERRORS.md, provoked one by one: each answer is what its row says, and the access log says whether the
//! portal may have the request.

use std::cell::RefCell;
use std::net::TcpListener;

use serde_json::Value;

use crate::support::client::{Client, deprecated_call, get, post};
use crate::support::portal::{Portal, Visit};
use crate::support::proxy::{self, Proxy};
use crate::support::strict::Message;
use crate::support::time::wait_for;
use crate::support::tls;
use crate::support::wire::PATIENCE;

const PAGE: &str = include_str!("../../docs/ERRORS.md");

/// Rows that no test over sockets provokes, by a part of their line, and why.
const NOT_PROVOKED: &[(&str, &str)] = &[
    (
        "destination_ip_unroutable",
        "needs a machine without a route",
    ),
    (
        "no descriptor or port left",
        "needs a process without descriptors",
    ),
    (
        "cannot be written in HTTP/2",
        "the strict reader refuses such requests before",
    ),
    (
        "closed connections before a byte",
        "a race between two processes",
    ),
    (
        "of this client as it may have",
        "tests of HTTP/2 have it, over a real client",
    ),
    (
        "no memory for another large body",
        "tests of limits have it, with bodies of many MiB",
    ),
    (
        "a fault in the program",
        "only tests inside the program can ask for one",
    ),
    (
        "The proxy is stopping",
        "tests of pacing have it, with a proxy that ends",
    ),
];

struct Row {
    line: String,
    status: u16,
    code: String,
    text: String,
    proxy_status: String,
    sent: String,
}

fn rows() -> Vec<Row> {
    let table = PAGE.split_once("<!-- errors -->\n").expect("a table").1;
    let lines = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    lines
        .map(|line| {
            let cells: Vec<&str> = line.split(" | ").collect();
            let (status, code) = cells[0].trim_start_matches("| ").split_once(' ').unwrap();
            Row {
                line: line.to_owned(),
                status: status.parse().unwrap(),
                code: code.split('`').nth(1).unwrap().to_owned(),
                text: cells[1].to_owned(),
                proxy_status: cells[2].trim_matches('`').to_owned(),
                sent: cells[4].to_owned(),
            }
        })
        .collect()
}

/// Whether a text is the row's: `…` stands for anything.
fn fits(row: &Row, text: &str) -> bool {
    if row.text.starts_with("names the method") {
        return true;
    }
    match row.text.split_once('…') {
        Some((begin, end)) => text.starts_with(begin) && text.ends_with(end),
        None => text == row.text,
    }
}

/// The rows that were provoked.
#[derive(Default)]
struct Provoked(RefCell<Vec<String>>);

impl Provoked {
    /// Finds the answer's row; the access log's line of the request says the same.
    fn check(&self, proxy: &Proxy, answer: &Message, what: &str) {
        let body: Value = serde_json::from_str(&answer.text()).expect("JSON");
        let text = body["error_description"].as_str().expect("a text");
        let all = rows();
        let of_proxy_status =
            |row: &Row| Some(format!("b24-migration-proxy; error={}", row.proxy_status));
        let row = all.iter().find(|row| {
            row.status == answer.status()
                && body["error"] == row.code
                && answer.one("proxy-status") == of_proxy_status(row)
                && fits(row, text)
        });
        let row = row.unwrap_or_else(|| panic!("{what}: no row for {answer:?}"));
        if let Some(id) = answer.one("x-b24-proxy-request-id") {
            let line = access_line(proxy, &id);
            let sent = line["sent"].as_str().unwrap_or("absent");
            assert!(
                row.sent.contains(sent),
                "{what}: sent is {sent}, not {}",
                row.sent
            );
            assert_eq!(line["error.type"], row.code, "{what}");
        }
        self.0.borrow_mut().push(row.line.clone());
    }
}

/// The access log's line of a request; it is written when the answer has gone.
fn access_line(proxy: &Proxy, id: &str) -> Value {
    let path = proxy.folder().join("access.jsonl");
    wait_for(format!("no line of {id} in the access log"), || {
        let log = std::fs::read_to_string(&path).unwrap_or_default();
        let mut lines = log
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.find(|line| line["request_id"] == id)
    })
}

/// A proxy before this upstream, with short limits and an access log.
fn before(upstream: &str, more: &[&str]) -> Proxy {
    let wanted = proxy::before(upstream).with(&[
        "--threads",
        "1",
        "--header-timeout",
        "300ms",
        "--body-timeout",
        "300ms",
        "--response-timeout",
        "300ms",
        "--connect-timeout",
        "300ms",
        "--max-target-size",
        "4KiB",
        "--max-head-size",
        "8KiB",
        "--max-rewrite-body",
        "64KiB",
    ]);
    let access = wanted.folder().join("access.jsonl");
    wanted
        .with(&["--access-log", access.to_str().unwrap()])
        .with(more)
        .start()
}

/// A portal that does what the address asks for.
fn script(visit: &mut Visit) {
    while let Some(request) = visit.request() {
        let target = String::from_utf8_lossy(request.target()).into_owned();
        if target.contains("close") {
            return visit.close();
        } else if target.contains("silence") {
            visit.wait_closed(PATIENCE);
            return;
        } else if target.contains("garbage") {
            visit.write("HTTP/1.1 twohundred\r\n\r\n");
            return;
        } else if target.contains("breaks-off") {
            visit.write("HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{");
            return visit.close();
        }
        visit.answer_to(&request, 200, "", b"{\"result\":true}");
    }
}

const RESET: &str = "/rest/1/code/crm.lead.details.configuration.reset";

#[test]
fn each_row_is_provoked_and_the_access_log_says_whether_it_was_sent() {
    let provoked = Provoked::default();
    let portal = Portal::start(script);
    let proxy = before(&portal.url(), &[]);
    let call = |what: &str, request: &str| provoked.check(&proxy, &proxy.call(request), what);
    let json = |target: &str, body: &str| post(target, "application/json", body);

    call("a broken head", "GET / HTTP/1.1\r\nHost : a\r\n\r\n");
    call("a long address", &get(&format!("/{}", "a".repeat(5000))));
    call(
        "a large head",
        &format!(
            "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
            "x".repeat(9000)
        ),
    );
    call(
        "a coding",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    );
    call("a version", "GET / HTTP/3.0\r\nHost: a\r\n\r\n");
    call("a method", "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n");
    call("half a head", "GET / HTTP/1.1\r\nHost: a\r\n");
    call(
        "half a body",
        &format!(
            "POST {RESET} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{{"
        ),
    );
    call(
        "a bad chunk",
        &format!(
            "POST {RESET} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
        ),
    );
    call("broken JSON", &json(RESET, "{"));
    let multipart = format!(
        "--b\r\nContent-Disposition: form-data; name=\"a\"\r\nX: {}\r\n\r\n1\r\n--b--\r\n",
        "x".repeat(5000)
    );
    call(
        "a long line",
        &post(RESET, "multipart/form-data; boundary=b", &multipart),
    );
    call(
        "a large body",
        &json(RESET, &format!("{{\"a\":\"{}\"}}", "x".repeat(70_000))),
    );
    call(
        "a packed body",
        &format!(
            "POST {RESET} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{{}}"
        ),
    );
    call(
        "two types",
        &format!(
            "POST {RESET} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{{}}"
        ),
    );
    call(
        "an address in another",
        &get(&format!("/x?SEF_APPLICATION_CUR_PAGE_URL={RESET}")),
    );
    call(
        "two addresses in one",
        &get(&format!(
            "{RESET}?SEF_APPLICATION_CUR_PAGE_URL=/rest/1/S/crm.deal.list"
        )),
    );
    call("a closed connection", &get("/close"));
    call("silence", &get("/silence"));
    call("garbage", &get("/garbage"));
    call(
        "an answer that breaks off",
        &json(&format!("{RESET}?breaks-off"), "{}"),
    );
    let mut gone = proxy.connect();
    gone.send(format!("POST {RESET} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{{"));
    gone.stream.shut_write();
    provoked.check(
        &proxy,
        &gone.response("POST").expect("an answer"),
        "a client that has gone",
    );

    for (mode, what) in [
        ("block", "blocked"),
        ("brownout", "switched off for a while"),
    ] {
        let mode = format!("crm.lead.details.configuration.reset={mode}");
        let proxy = before(&portal.url(), &["--mode", &mode]);
        provoked.check(&proxy, &proxy.call(deprecated_call(1)), what);
    }
    unreachable(&provoked);
    full(&provoked, &portal);
    let missing: Vec<String> = rows()
        .into_iter()
        .map(|row| row.line)
        .filter(|line| !provoked.0.borrow().contains(line))
        .filter(|line| !NOT_PROVOKED.iter().any(|(part, _)| line.contains(part)))
        .collect();
    assert!(missing.is_empty(), "not provoked:\n{}", missing.join("\n"));
    for (part, _) in NOT_PROVOKED {
        assert!(PAGE.contains(part), "{part} is in no row");
    }
}

/// Portals that cannot be reached.
fn unreachable(provoked: &Provoked) {
    let check = |proxy: &Proxy, what: &str| provoked.check(proxy, &proxy.call(get("/a")), what);
    check(&before("http://portal.invalid", &[]), "an unknown name");
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = free.local_addr().expect("an address");
    drop(free);
    check(
        &before(&format!("http://{address}"), &[]),
        "a refused connection",
    );
    let folder = tempfile::tempdir().expect("a folder");
    let own = tls::server(&tls::pair(folder.path(), "portal"));
    let portal = Portal::start_tls(own, script);
    let url = format!("https://localhost:{}", portal.address.port());
    check(&before(&url, &[]), "an unknown certificate");
    let plain = Portal::start(|visit| {
        visit.raw(PATIENCE);
        visit.write("this is no TLS\r\n");
    });
    check(
        &before(&plain.url().replace("http://", "https://"), &[]),
        "no TLS",
    );
    let deaf = Portal::start(|visit| {
        visit.wait_closed(PATIENCE);
    });
    let url = deaf.url().replace("http://", "https://");
    check(
        &before(&url, &["--tls-handshake-timeout", "300ms"]),
        "a silent handshake",
    );
}

/// A proxy without room, without a log, with the limit used up; one that calls itself; plain HTTP for TLS.
fn full(provoked: &Provoked, portal: &Portal) {
    let proxy = before(&portal.url(), &["--max-connections", "1"]);
    let mut first = proxy.connect();
    assert_eq!(first.call(get("/a")).expect("an answer").status(), 200);
    let mut second = proxy.connect();
    let answer = second.response("GET").expect("an answer");
    provoked.check(&proxy, &answer, "a connection too many");

    let limited = ["--portal-rate", "1:0.01", "--queue-timeout", "1s"];
    let proxy = before(&portal.url(), &limited);
    let answers: Vec<Message> = (0..3)
        .map(|_| proxy.call(get("/rest/1/code/crm.deal.list")))
        .collect();
    let refused = answers
        .iter()
        .find(|answer| answer.status() == 503)
        .expect("a refusal");
    provoked.check(&proxy, refused, "the portal's limit");

    let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = free.local_addr().expect("an address");
    drop(free);
    let wanted = proxy::before(&format!("http://127.1:{}", address.port())).own_listeners();
    let access = wanted.folder().join("access.jsonl");
    let proxy = wanted
        .with(&[
            "--listen",
            &address.to_string(),
            "--access-log",
            access.to_str().unwrap(),
        ])
        .start();
    let answer = crate::support::client::call(address, get("/a"));
    provoked.check(&proxy, &answer, "a loop");

    let folder = tempfile::tempdir().expect("a folder");
    let pair = tls::pair(folder.path(), "proxy");
    let (certificate, key) = (
        pair.certificate.to_str().unwrap(),
        pair.key.to_str().unwrap(),
    );
    let proxy = before(
        &portal.url(),
        &["--tls-cert", certificate, "--tls-key", key],
    );
    let answer = Client::connect(proxy.address())
        .call(get("/a"))
        .expect("an answer");
    provoked.check(&proxy, &answer, "plain HTTP");

    if std::path::Path::new("/dev/full").exists() {
        let wanted = proxy::before(&portal.url()).log(std::path::Path::new("/dev/full"));
        let access = wanted.folder().join("access.jsonl");
        let proxy = wanted
            .with(&[
                "--on-log-failure",
                "refuse",
                "--access-log",
                access.to_str().unwrap(),
            ])
            .start();
        proxy.call(deprecated_call(1));
        provoked.check(
            &proxy,
            &proxy.call(deprecated_call(2)),
            "a log that is full",
        );
    }
}

#[test]
fn the_event_says_whether_the_portal_may_have_the_call() {
    let portal = Portal::start(script);
    let proxy = before(&portal.url(), &[]);
    assert_eq!(proxy.call(deprecated_call(1)).status(), 200);
    let broken = post(&format!("{RESET}?close"), "application/json", "{}");
    assert_eq!(proxy.call(broken).status(), 502);
    assert_eq!(
        proxy.call(post(RESET, "application/json", "{")).status(),
        400
    );
    let sent: Vec<Value> = proxy
        .events()
        .iter()
        .map(|event| event["sent"].clone())
        .collect();
    assert_eq!(sent, [Value::Null, "perhaps".into(), "nothing".into()]);
    let unreachable = before("http://127.0.0.1:1", &[]);
    assert_eq!(unreachable.call(deprecated_call(1)).status(), 503);
    assert_eq!(unreachable.events()[0]["sent"], "nothing");
}

#[test]
fn the_access_log_says_so_of_an_answer_that_broke_off() {
    let portal = Portal::start(script);
    let proxy = before(&portal.url(), &["--request-id-header"]);
    let mut client = proxy.connect();
    client.send(get("/breaks-off"));
    let bytes = client.rest();
    let head = String::from_utf8_lossy(&bytes).to_lowercase();
    let id = head
        .split("x-b24-proxy-request-id: ")
        .nth(1)
        .expect("an id");
    let line = access_line(&proxy, id.split("\r\n").next().unwrap());
    assert_eq!(
        (&line["sent"], &line["http.response.status_code"]),
        (&"perhaps".into(), &400.into())
    );
    let whole = proxy.call(get("/a"));
    let id = whole.one("x-b24-proxy-request-id").expect("an id");
    assert_eq!(access_line(&proxy, &id)["sent"], Value::Null);
}
