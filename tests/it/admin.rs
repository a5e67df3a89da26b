//! The admin address over real sockets: what it answers to whom, and what slow or many visitors can do to it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::client;
use crate::support::portal::Portal;
use crate::support::proxy::{self, Proxy};
use crate::support::strict::Message;

const TOKEN: &str = "a token of some length";

fn with_token(portal: &Portal, admin: &str, arguments: &[&str]) -> Proxy {
    let wanted = proxy::before(&portal.url());
    let token = wanted.folder().join("token");
    std::fs::write(&token, format!("{TOKEN}\n")).unwrap();
    wanted
        .admin_on(admin)
        .with(&["--admin-token-file", token.to_str().unwrap()])
        .with(arguments)
        .start()
}

fn ask(proxy: &Proxy, request: &str) -> Message {
    let address = SocketAddr::from(([127, 0, 0, 1], proxy.admin.port()));
    client::call(
        address,
        request.replacen("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1),
    )
}

fn get(proxy: &Proxy, path: &str, fields: &str) -> Message {
    let host = if fields.contains("Host:") {
        ""
    } else {
        "Host: localhost\r\n"
    };
    ask(proxy, &format!("GET {path} HTTP/1.1\r\n{host}{fields}\r\n"))
}

fn deprecated_call(proxy: &Proxy, user: usize) {
    let target = format!("/rest/{user}/abcdefgh12345678/crm.lead.details.configuration.reset");
    let answer = proxy.call(client::post(&target, "application/json", "{}"));
    assert_eq!(answer.status(), 200);
}

#[test]
fn every_address_answers_and_the_others_say_what_there_is() {
    let portal = Portal::plain();
    let proxy = proxy::start(&portal, &[]);
    for path in [
        "/",
        "/healthz",
        "/livez",
        "/readyz",
        "/metrics",
        "/api/",
        "/api/overview",
        "/api/callers",
        "/api/methods",
    ] {
        assert_eq!(get(&proxy, path, "").status(), 200, "{path}");
        let head = ask(
            &proxy,
            &format!("HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        );
        assert_eq!(head.status(), 200, "{path}");
    }
    for path in ["/nothing", "/api/nothing", "/healthz/", "/instructions"] {
        let answer = get(&proxy, path, "");
        assert_eq!(answer.status(), 404, "{path}");
        assert!(answer.text().len() > 20, "a hint");
    }
    let post = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n";
    let answer = ask(&proxy, post);
    assert_eq!(
        (answer.status(), answer.one("allow").as_deref()),
        (405, Some("GET, HEAD"))
    );
    let openmetrics = get(
        &proxy,
        "/metrics",
        "Accept: application/openmetrics-text; version=1.0.0\r\n",
    );
    assert!(
        openmetrics
            .one("content-type")
            .unwrap()
            .starts_with("application/openmetrics-text")
    );
    assert!(openmetrics.text().ends_with("# EOF\n"));
}

#[test]
fn the_api_tells_what_the_page_shows() {
    let portal = Portal::plain();
    let proxy = proxy::start(&portal, &[]);
    deprecated_call(&proxy, 5);
    let json =
        |path: &str| -> Value { serde_json::from_str(&get(&proxy, path, "").text()).unwrap() };
    let overview = json("/api/overview");
    assert_eq!(overview["days_since_last_use"], 0);
    assert_eq!(overview["callers_active"], 1);
    assert_eq!(overview["path"]["stage"], "serving");
    let row = json("/api/callers?q=webhook")["callers"][0].clone();
    assert_eq!(row["user"], "5");
    let (key, method) = (
        row["key"].as_str().unwrap(),
        row["method"].as_str().unwrap(),
    );
    let path = format!(
        "/api/instructions?key={}&method={method}",
        key.replace(':', "%3A")
    );
    let instructions = json(&path);
    assert_eq!(
        instructions["replacement"],
        "crm.item.details.configuration.reset"
    );
    assert!(instructions["snippets"].as_array().unwrap().len() >= 7);
    let markdown = get(&proxy, &format!("{path}&format=markdown"), "");
    assert!(markdown.text().starts_with("## Replace "));
    assert_eq!(json("/api/methods")["methods"][0]["rewritten"], 1);
    assert_eq!(
        get(&proxy, "/api/instructions?key=x&method=y", "").status(),
        404
    );
}

#[test]
fn a_web_page_with_a_name_of_its_own_cannot_read_along() {
    let portal = Portal::plain();
    let proxy = proxy::start(&portal, &[]);
    for path in ["/", "/api/callers", "/events", "/metrics", "/nothing"] {
        let answer = get(&proxy, path, "Host: attacker.example\r\n");
        assert_eq!(answer.status(), 403, "{path}");
        assert!(answer.text().contains("localhost"), "{}", answer.text());
    }
    assert_eq!(
        get(&proxy, "/readyz", "Host: 10.1.2.3:9090\r\n").status(),
        200
    );
}

#[test]
fn on_another_address_the_token_is_asked_for() {
    let portal = Portal::plain();
    let proxy = with_token(&portal, "0.0.0.0:0", &[]);
    for path in ["/", "/api/overview", "/events", "/instructions"] {
        assert_eq!(get(&proxy, path, "").status(), 403, "{path}");
        let wrong = get(&proxy, path, "Authorization: Bearer a wrong token\r\n");
        assert_eq!(wrong.status(), 403, "{path}");
        assert!(!wrong.text().contains(TOKEN));
    }
    for path in ["/healthz", "/livez", "/readyz", "/metrics"] {
        assert_eq!(get(&proxy, path, "").status(), 200, "{path}");
    }
    let bearer = format!("Authorization: Bearer {TOKEN}\r\n");
    assert_eq!(get(&proxy, "/api/overview", &bearer).status(), 200);
    let door = get(&proxy, "/", "Accept: text/html\r\n");
    assert_eq!(door.status(), 403);
    assert!(door.text().contains("<form"), "a browser gets the form");

    let post = |path: &str, fields: &str, body: &str| {
        ask(
            &proxy,
            &format!(
                "POST {path} HTTP/1.1\r\nHost: proxy:9090\r\n{fields}Content-Length: {}\r\n\r\n{body}",
                body.len()
            ),
        )
    };
    let form = format!("token={}", TOKEN.replace(' ', "+"));
    assert_eq!(
        post("/session", "Origin: http://attacker.example\r\n", &form).status(),
        403
    );
    let answer = post("/session", "Origin: http://proxy:9090\r\n", &form);
    assert_eq!(answer.status(), 303);
    let cookie = answer.one("set-cookie").unwrap();
    let session = cookie.split(';').next().unwrap();
    assert_eq!(
        get(&proxy, "/", &format!("Cookie: {session}\r\n")).status(),
        200
    );
    assert_eq!(
        post(
            "/session",
            "Origin: http://proxy:9090\r\n",
            &"x".repeat(5000)
        )
        .status(),
        413
    );
    let out = post(
        "/session/end",
        &format!("Origin: http://proxy:9090\r\nCookie: {session}\r\n"),
        "",
    );
    assert!(out.one("set-cookie").unwrap().contains("Max-Age=0"));
}

#[test]
fn protected_metrics_ask_for_the_token_and_health_never_does() {
    let portal = Portal::plain();
    let proxy = with_token(&portal, "127.0.0.1:0", &["--protect-metrics"]);
    assert_eq!(get(&proxy, "/metrics", "").status(), 403);
    let bearer = format!("Authorization: Bearer {TOKEN}\r\n");
    assert_eq!(get(&proxy, "/metrics", &bearer).status(), 200);
    assert_eq!(get(&proxy, "/healthz", "").status(), 200);
}

#[test]
fn nobody_keeps_a_probe_from_its_answer() {
    let portal = Portal::plain();
    let proxy = proxy::start(&portal, &[]);
    let mut idle: Vec<TcpStream> = (0..200)
        .map(|_| TcpStream::connect(proxy.admin).unwrap())
        .collect();
    for stream in &mut idle {
        // Half a head, and some that never read what they asked for.
        let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ");
    }
    let asked = Instant::now();
    assert_eq!(get(&proxy, "/healthz", "").status(), 200);
    assert!(asked.elapsed() < Duration::from_secs(5));
    assert!(
        proxy.descriptors() < 200 + 40,
        "those that gave way are closed"
    );
}

#[test]
fn an_event_stream_goes_on_where_it_broke() {
    let portal = Portal::plain();
    let proxy = proxy::start(&portal, &[]);
    let page = get(&proxy, "/", "").text();
    let version = page.split("data-version=\"").nth(1).unwrap();
    let version = version.split('"').next().unwrap().to_owned();
    let events = |since: &str, wanted: &str| {
        let mut stream = TcpStream::connect(proxy.admin).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        write!(
            stream,
            "GET /events?since={since} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        )
        .unwrap();
        let mut text = String::new();
        let mut piece = [0; 4096];
        while !text.contains(wanted) {
            let count = stream.read(&mut piece).unwrap();
            assert_ne!(count, 0, "{text}");
            text.push_str(&String::from_utf8_lossy(&piece[..count]));
        }
        text
    };
    assert!(events(&version, "event: change").contains("\"rows\":[]"));
    deprecated_call(&proxy, 8);
    let text = events(&version, "\"rows\":[{");
    assert!(text.contains("Webhook of user 8"), "{text}");
    assert!(events("another-run.5", "event: reset").contains("event: reset"));
}

#[test]
fn a_brownout_is_shown_and_whoever_has_the_token_ends_it_at_once() {
    const METHOD: &str = "crm.lead.details.configuration.reset";
    let portal = Portal::plain();
    let proxy = with_token(
        &portal,
        "127.0.0.1:0",
        &["--mode", &format!("{METHOD}=brownout")],
    );
    let target = format!("/rest/1/abcdefgh12345678/{METHOD}");
    let call = || {
        proxy
            .call(client::post(&target, "application/json", "{}"))
            .status()
    };
    assert_eq!(call(), 410);
    let page = get(&proxy, "/", "").text();
    let form = page
        .split("<form method=post action=/brownouts/stop>")
        .nth(1);
    let form = form
        .expect("the brownout has a button")
        .split("</form>")
        .next()
        .unwrap();
    let value = |name: &str| {
        let field = form.split(&format!("name={name} value=")).nth(1).unwrap();
        let field = field.trim_start_matches('"');
        field[..field.find(['"', '>']).unwrap()].to_owned()
    };
    let (entry, origin) = (value("entry"), value("origin"));
    let stop = |fields: &str, origin: &str| {
        let body = format!("entry={entry}&origin={}", origin.replace('=', "%3D"));
        ask(
            &proxy,
            &format!(
                "POST /brownouts/stop HTTP/1.1\r\nHost: localhost\r\n{fields}Content-Length: {}\r\n\r\n{body}",
                body.len()
            ),
        )
        .status()
    };
    let bearer = format!("Authorization: Bearer {TOKEN}\r\n");
    assert_eq!(
        stop("Origin: http://localhost\r\n", &origin),
        403,
        "on loopback too"
    );
    assert_eq!(stop(&bearer, "another entry"), 409);
    assert_eq!(call(), 410);
    assert_eq!(stop(&bearer, &origin), 303);
    assert_eq!(call(), 200);
    assert_eq!(stop(&bearer, &origin), 409, "it is over");
    assert!(!get(&proxy, "/", "").text().contains("Stop it now"));
    let told = super::reload::wait_for_event(&proxy, |event| event["event"] == "mode_changed");
    assert_eq!(told["cause"], "admin");
}
