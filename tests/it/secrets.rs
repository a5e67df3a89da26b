//! Marked credentials in every place where they can stand, and in broken and refused calls too: no output shows one.

use std::fmt::Write as _;
use std::process::Command;
use std::time::Duration;

use crate::support::authority::{Authority, Kind};
use crate::support::client::Client;
use crate::support::portal::{Portal, Visit};
use crate::support::proxy::{self, Proxy, Wanted};
use crate::support::strict::Message;

/// Stands in every credential; the number behind it tells the case.
const MARK: &str = "mArKeD";
const LEGACY: &str = "crm.lead.details.configuration.reset";
const NAMES: [&str; 9] = [
    "auth",
    "access_token",
    "refresh_token",
    "client_secret",
    "APP_SID",
    "application_token",
    "ap",
    "sessid",
    "AUTH",
];

/// Gives each credential a number of its own.
#[derive(Default)]
struct Cases(Vec<String>);

impl Cases {
    /// A request in which `§` stands for the credential.
    fn add(&mut self, request: &str) {
        let mark = format!("{MARK}{:04}abcd", self.0.len());
        self.0.push(request.replace('§', &mark));
    }

    fn get(&mut self, target: &str, fields: &str) {
        self.add(&format!(
            "GET {target} HTTP/1.1\r\nHost: portal.example\r\n{fields}\r\n"
        ));
    }

    fn post(&mut self, target: &str, kind: &str, body: &str) {
        // The mark is longer than what stands for it.
        let more = body.matches('§').count() * (MARK.len() + 8 - '§'.len_utf8());
        self.add(&format!(
            "POST {target} HTTP/1.1\r\nHost: portal.example\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len() + more
        ));
    }
}

/// Calls that hold one credential each, whole and broken ones.
fn cases() -> Vec<String> {
    let mut cases = Cases::default();
    for method in [
        LEGACY,
        "crm.lead.list",
        "user.current",
        "batch",
        "no.such.method",
    ] {
        in_path(&mut cases, method);
        in_parameters(&mut cases, method);
        in_fields(&mut cases, &format!("/rest/{method}"));
    }
    in_batches(&mut cases);
    broken(&mut cases);
    cases.0
}

fn in_path(cases: &mut Cases, method: &str) {
    for path in [
        format!("/rest/1/§/{method}"),
        format!("/rest/1/§/{method}.json"),
        format!("/rest/1/§/{method}.xml/"),
        format!("/rest/some.login/§/{method}"),
        format!("//rest//1//§//{method}"),
        format!("/./x/../rest/1/§/{method}"),
        format!("/%72est/1/§/{method}"),
        format!("/rest%2F1%2F§%2F{method}"),
        format!("/REST/1/§/{method}"),
        format!("/rest/1/§/{method}/index.php"),
        format!("/rest/api/1/§/{method}"),
        format!("http://portal.example/rest/1/§/{method}"),
        format!("/rest/1/§/{method}?start=1&filter[>ID]=5"),
    ] {
        cases.get(&path, "");
        cases.post(&path, "application/json", "{\"scope\":\"P\"}");
        cases.post(&path, "application/json", "{\"scope\":");
    }
    cases.get("/rest/1/§", "");
    cases.get("/rest/1/§/", "");
    for path in [
        format!("/rest/§/1/{method}"),
        format!("/rest/§/{method}"),
        format!("/rest/api/§/{method}"),
        "/rest/§.json".to_owned(),
        format!("/restapi/1/§/{method}"),
        format!("/rest.php/1/§/{method}"),
        "/bitrix/services/rest/index.php/§".to_owned(),
        "/oauth/§/".to_owned(),
        format!("/x/rest/./1/%2e/§/{method}"),
        format!("/rest/%201/§/{method}"),
    ] {
        cases.get(&path, "");
    }
}

fn in_parameters(cases: &mut Cases, method: &str) {
    let target = format!("/rest/{method}");
    for name in NAMES {
        cases.get(&format!("{target}?{name}=§"), "");
        cases.get(&format!("{target}?a=1&{name}[deep][er]=§&b=2"), "");
        cases.post(
            &target,
            "application/x-www-form-urlencoded",
            &format!("scope=P&{name}=§"),
        );
        cases.post(&target, "text/plain", &format!("scope=P&{name}=§"));
        cases.post(
            &target,
            "application/json",
            &format!("{{\"{name}\":\"§\",\"scope\":\"P\"}}"),
        );
        cases.post(
            &target,
            "application/json",
            &format!(
                "{{\"a\":[{{\"b\":{{\"{name}\":\"§\"}}}}],\"extras\":{{\"{name}\":[\"§\"]}}}}"
            ),
        );
        cases.post(
            &target,
            "application/json",
            &format!("{{\"scope\":\"P\",\"{name}\":\"§"),
        );
        cases.post(
            &target,
            "multipart/form-data; boundary=B",
            &format!(
                "--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n§\r\n--B--\r\n"
            ),
        );
        cases.post(
            &target,
            "multipart/form-data",
            &format!(
                "--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n§\r\n--B--\r\n"
            ),
        );
    }
    cases.get(&format!("{target}?%61uth=§"), "");
    cases.get(&format!("{target}?auth=%6D§"), "");
    cases.get(&format!("{target}#?auth=§"), "");
}

fn in_fields(cases: &mut Cases, target: &str) {
    for field in [
        "Authorization: Bearer §",
        "Authorization: Basic §",
        "Authorization: §",
        "authorization:\tbearer §",
        "Cookie: PHPSESSID=§; BITRIX_SM_LOGIN=x",
        "X-Bitrix-Csrf-Token: §",
        "Proxy-Authorization: Basic §",
        "Referer: https://portal.example/rest/1/§/profile",
        "Referer: https://portal.example/page?auth=§",
        "User-Agent: script (https://portal.example/rest/1/§/profile)",
        "User-Agent: script auth=§",
        "X-Request-ID: https://portal.example/rest/1/§/profile",
        "X-Request-ID: auth=§",
        "X-Forwarded-For: §",
        "User-Agent: x https:\\/\\/h\\/rest\\/1\\/§\\/m",
        "User-Agent: rest//1//§/m",
        "User-Agent: x Bearer:\t§",
        "User-Agent: x Basic §",
        "User-Agent: https://u:§@host/",
        "User-Agent: access%5Ftoken%3d%20§",
        "User-Agent: auth[a][b]=§",
        "User-Agent: /rest/§/1/profile",
        "X-Request-ID: /rest//1/§/",
        "X-Request-ID: x%5Bauth%5D=§",
        "traceparent: 00-§-00f067aa0ba902b7-01",
    ] {
        cases.get(target, &format!("{field}\r\n"));
        cases.get(target, &format!("{field}\r\nTransfer-Encoding: odd\r\n"));
    }
}

fn in_batches(cases: &mut Cases) {
    for name in NAMES {
        for method in [LEGACY, "profile"] {
            let command = format!("{method}?scope=P&{name}=§");
            let body = format!("{{\"cmd\":{{\"one\":\"{command}\"}},\"{name}\":\"§\"}}");
            cases.post("/rest/batch", "application/json", &body);
            let encoded = command
                .replace('?', "%3F")
                .replace('&', "%26")
                .replace('=', "%3D");
            cases.post(
                "/rest/batch",
                "application/x-www-form-urlencoded",
                &format!("cmd[one]={encoded}"),
            );
            cases.get(&format!("/rest/batch?cmd[one]={encoded}"), "");
            let key = format!("{{\"cmd\":{{\"/rest/1/§/x\":\"{method}?scope=P\"}}}}");
            cases.post("/rest/batch", "application/json", &key);
            let nested = format!("{{\"cmd\":[\"Batch?cmd[a]={encoded}\"]}}");
            cases.post("/rest/batch", "application/json", &nested);
        }
    }
}

fn broken(cases: &mut Cases) {
    let target = format!("/rest/1/§/{LEGACY}");
    let json = "application/json";
    for body in [
        "",
        "[",
        "\u{feff}{}",
        "{\"auth\":\"§\"",
        "null",
        "\"§\"",
        "{\"a\":\"\\ud800\",\"auth\":\"§\"}",
    ] {
        cases.post(&target, json, body);
    }
    // Refused: too large to be rewritten, and encoded.
    cases.post(
        &target,
        json,
        &format!("{{\"auth\":\"§\",\"a\":\"{}\"}}", "x".repeat(100_000)),
    );
    let encoded = format!("{json}\r\nContent-Encoding: gzip");
    cases.post(&target, &encoded, "{\"auth\":\"§\"}");
    // Heads that cannot be read, or are too large.
    for field in [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "X : §\r\n",
        "X: §\0\r\n",
        "X: 1\r\n folded §\r\n",
        "§\r\n",
        "Host: §\r\n",
        "Expect: §\r\n",
    ] {
        cases.get(&target, field);
    }
    cases.get(&target, &format!("X: {}§\r\n", "x".repeat(70_000)));
    cases.get(&format!("/rest/1/§/{}", "x".repeat(70_000)), "");
    cases.get(&format!("/rest/1/§/{LEGACY} x"), "");
    cases.get(&format!("rest/1/§/{LEGACY}"), "");
    cases.add("CONNECT portal.example:443 HTTP/1.1\r\nHost: §\r\nCookie: §\r\n\r\n");
    cases.add(&format!(
        "TRACE {target} HTTP/1.1\r\nHost: portal.example\r\n\r\n"
    ));
    cases.add(&format!(
        "GET {target} HTTP/3.7\r\nHost: portal.example\r\n\r\n"
    ));
    cases.add(&format!("GET {target} HTTP/1.1\r\n\r\n"));
    cases.add(&format!(
        "POST {target} HTTP/1.1\r\nHost: portal.example\r\nContent-Type: {json}\r\nTransfer-Encoding: chunked\r\n\r\n§\r\n"
    ));
}

/// Everything of an answer, as text.
fn whole(message: &Message) -> String {
    let mut text = format!("{}\n", message.status());
    for field in &message.fields {
        let (name, value) = (field.name.escape_ascii(), field.value.escape_ascii());
        let _ = writeln!(text, "{name}: {value}");
    }
    text + &message.text()
}

/// Sends all cases, a few at a time; what came back.
fn send_all(proxy: &Proxy, cases: &[String]) -> String {
    let share = cases.len().div_ceil(8);
    std::thread::scope(|scope| {
        let clients: Vec<_> = cases
            .chunks(share)
            .map(|cases| {
                scope.spawn(move || {
                    let mut answers = String::new();
                    for case in cases {
                        let mut client = Client::connect(proxy.address());
                        client.send(case);
                        if let Ok(answer) = client.response_within("GET", Duration::from_secs(3)) {
                            answers += &whole(&answer);
                        }
                    }
                    answers
                })
            })
            .collect();
        clients
            .into_iter()
            .map(|client| client.join().expect("a client"))
            .collect()
    })
}

/// Every output of the proxy but its answers.
fn outputs(proxy: &Proxy) -> Vec<(String, String)> {
    let mut outputs = vec![
        ("standard error".to_owned(), proxy.stderr.text()),
        ("standard output".to_owned(), proxy.stdout.text()),
    ];
    for file in ["deprecated.jsonl", "access.jsonl"] {
        let text = std::fs::read(proxy.folder().join(file)).unwrap_or_default();
        outputs.push((file.to_owned(), String::from_utf8_lossy(&text).into_owned()));
    }
    for path in [
        "/",
        "/metrics",
        "/healthz",
        "/readyz",
        "/api/overview",
        "/api/callers",
        "/api/methods",
    ] {
        outputs.push((path.to_owned(), whole(&proxy.admin(path))));
    }
    outputs
}

/// No output may show a mark. The first that does is shown with what stands around it.
fn are_clean(outputs: &[(String, String)]) {
    for (name, text) in outputs {
        let lower = text.to_ascii_lowercase();
        if let Some(at) = lower.find(&MARK.to_ascii_lowercase()) {
            let from = (0..=at.saturating_sub(300))
                .rev()
                .find(|at| text.is_char_boundary(*at))
                .unwrap_or(0);
            let to = (at + 100..)
                .find(|at| *at >= text.len() || text.is_char_boundary(*at))
                .unwrap_or(text.len());
            panic!(
                "{name} shows a credential: …{}…",
                &text[from..to.min(text.len())]
            );
        }
    }
}

fn loud(wanted: Wanted) -> Wanted {
    let access = wanted.folder().join("access.jsonl");
    wanted.with(&[
        "--log-level",
        "trace",
        "--access-log",
        access.to_str().unwrap(),
        "--max-rewrite-body",
        "64KiB",
        "--response-timeout",
        "1s",
        "--body-timeout",
        "1s",
        "--header-timeout",
        "1s",
    ])
}

fn try_all(wanted: Wanted) {
    let proxy = loud(wanted).start();
    let cases = cases();
    assert!(cases.len() > 500, "{}", cases.len());
    let answers = send_all(&proxy, &cases);
    let mut outputs = outputs(&proxy);
    assert!(proxy.events().len() > 50, "the calls are logged");
    assert!(
        outputs
            .iter()
            .any(|(name, text)| name == "access.jsonl" && text.lines().count() > 300)
    );
    outputs.push(("an answer".to_owned(), answers));
    are_clean(&outputs);
}

#[test]
fn no_output_shows_a_credential_of_a_call() {
    let portal = Portal::plain();
    try_all(proxy::before(&portal.url()));
}

#[test]
fn nor_when_calls_are_only_observed_or_refused() {
    let portal = Portal::plain();
    for mode in ["observe", "block"] {
        try_all(proxy::before(&portal.url()).with(&["--mode", mode]));
    }
}

#[test]
fn nor_when_the_portal_cannot_be_reached() {
    try_all(proxy::before("http://127.0.0.1:9"));
}

/// Answers that cannot be read, with a credential in each of their parts.
fn broken_answer(visit: &mut Visit) {
    let answers = [
        "HTTP/1.1 200 mArKeD\0\r\n\r\n",
        "mArKeD\r\n\r\n",
        "HTTP/1.1 200 OK\r\nSet-Cookie mArKeD\r\n\r\n",
        "HTTP/1.1 200 OK\r\nSet-Cookie: a=mArKeD\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nmArKeD",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nmArKeD\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: mArKeD\r\nConnection: Upgrade\r\n\r\n",
        "",
    ];
    if visit.request().is_some() {
        visit.write(answers[visit.number % answers.len()]);
    }
}

#[test]
fn nor_when_the_portals_answer_cannot_be_read() {
    let portal = Portal::start(broken_answer);
    let proxy = loud(proxy::before(&portal.url())).start();
    let cases: Vec<String> = cases().into_iter().step_by(7).collect();
    send_all(&proxy, &cases);
    are_clean(&outputs(&proxy));
}

#[test]
fn nor_what_the_portal_sends_in_redirects_cookies_and_error_codes() {
    let portal = Portal::start(|visit| {
        while let Some(request) = visit.request() {
            let fields = "Set-Cookie: PHPSESSID=mArKeD; Path=/\r\nLocation: /rest/1/mArKeD/profile?auth=mArKeD\r\n";
            visit.answer_to(
                &request,
                302,
                fields,
                b"{\"error\":\"EXPIRED_mArKeD0123456\",\"auth\":\"mArKeD\"}",
            );
        }
    });
    let proxy = loud(proxy::before(&portal.url())).start();
    let cases: Vec<String> = cases().into_iter().step_by(7).collect();
    send_all(&proxy, &cases);
    are_clean(&outputs(&proxy));
}

#[test]
fn nor_what_comes_in_the_clear_to_a_listener_of_tls() {
    let portal = Portal::plain();
    let wanted = proxy::before(&portal.url());
    let authority = Authority::new(wanted.folder(), "authority");
    let pair = authority.issue("shown", &["localhost"], Kind::Ecdsa);
    let proxy = loud(wanted).with(&pair.arguments()).start();
    for case in cases().iter().step_by(50) {
        let mut client = Client::connect(proxy.address());
        client.send(case);
        client.closed_within(Duration::from_secs(5));
    }
    are_clean(&outputs(&proxy));
}

#[test]
fn nor_what_comes_over_http_2() {
    let portal = Portal::plain();
    let proxy = loud(proxy::before(&portal.url()))
        .with(&["--http2"])
        .start();
    let base = format!("http://{}", proxy.address());
    let curl = |arguments: &[&str]| {
        Command::new("curl")
            .args([
                "-sS",
                "--max-time",
                "5",
                "--http2-prior-knowledge",
                "-o",
                "/dev/null",
            ])
            .args(arguments)
            .status()
    };
    if curl(&[
        &format!("{base}/rest/1/mArKeD/{LEGACY}"),
        "-d",
        "auth=mArKeD",
    ])
    .is_err()
    {
        eprintln!("skipped: curl is not installed");
        return;
    }
    let fields = [
        "-H",
        "Authorization: Bearer mArKeD",
        "-H",
        "Cookie: PHPSESSID=mArKeD",
        "-H",
        "X-Bitrix-Csrf-Token: mArKeD",
    ];
    let _ = curl(&[&fields[..], &[&format!("{base}/rest/{LEGACY}?auth=mArKeD")]].concat());
    let _ = curl(&[
        &format!("{base}/rest/profile?access_token=mArKeD"),
        "-H",
        "Host: mArKeD",
    ]);
    assert!(portal.request_count() >= 2);
    are_clean(&outputs(&proxy));
}

#[test]
fn nor_a_password_in_the_upstreams_address() {
    for upstream in [
        "https://user:mArKeD@portal.example",
        "https://portal.example/rest/1/mArKeD/",
        "https://portal.example/?auth=mArKeD",
    ] {
        for command in ["serve", "check"] {
            let output = Command::new(env!("CARGO_BIN_EXE_b24-migration-proxy"))
                .args([command, "--upstream", upstream])
                .output()
                .unwrap();
            assert_eq!(output.status.code(), Some(2), "{command} {upstream}");
            let said = [output.stdout, output.stderr].concat();
            are_clean(&[(
                command.to_owned(),
                String::from_utf8_lossy(&said).into_owned(),
            )]);
        }
    }
}
