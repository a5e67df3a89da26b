//! Upgrades over real sockets: tunnels outside of the REST path, and none that would lead round the translation.

use std::io::Read;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::client::{self, Client};
use crate::support::portal::{Portal, Visit};
use crate::support::proxy::{self, Proxy};
use crate::support::time::{pause_ms, wait_until};
use crate::support::tls;
use crate::support::wire::PATIENCE;

const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                      Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

fn asks(target: &str, protocol: &str, fields: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: portal.example\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n{fields}\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

/// Sends back what comes until the other side ends, then says `bye` and closes.
fn echo(visit: &mut Visit) {
    let mut block = [0; 32 * 1024];
    while let Some(stream) = visit.stream.as_mut() {
        let _ = stream.socket().set_read_timeout(Some(PATIENCE));
        match stream.read(&mut block) {
            Ok(count @ 1..) => {
                if !visit.write(&block[..count]) {
                    return;
                }
            }
            _ => break,
        }
    }
    visit.write("bye");
    visit.close();
}

/// A portal with push channels, which echo.
fn push_server() -> Portal {
    Portal::start(|visit| {
        while let Some(request) = visit.request() {
            if request.one("upgrade").is_none() {
                visit.answer_to(&request, 200, "", b"{\"result\":true}");
                continue;
            }
            visit.write(SWITCH);
            echo(visit);
            return;
        }
    })
}

fn read_exactly(client: &mut Client, count: usize) -> Vec<u8> {
    while client.inbox.bytes.len() < count && !client.inbox.ended {
        assert!(
            client.inbox.fill(&mut client.stream, PATIENCE),
            "nothing comes"
        );
    }
    let count = count.min(client.inbox.bytes.len());
    client.inbox.bytes.drain(..count).collect()
}

fn talks(client: &mut Client) {
    let request = asks("/sub/", "websocket", "Sec-WebSocket-Protocol: chat\r\n");
    let answer = client.call(request).expect("an answer");
    assert_eq!(answer.status(), 101);
    assert_eq!(answer.one("upgrade").as_deref(), Some("websocket"));
    assert_eq!(answer.list("connection"), ["upgrade"]);
    assert!(answer.one("sec-websocket-accept").is_some());
    for size in [1, 5, 70_000] {
        let said = vec![b'x'; size];
        assert!(client.send(&said));
        assert!(read_exactly(client, size) == said, "{size} bytes come back");
    }
    client.stream.shut_write();
    assert_eq!(client.rest(), b"bye", "what comes after our half-close");
}

fn open_tunnels(proxy: &Proxy) -> f64 {
    proxy.metric("b24_proxy_tunnels_open")
}

#[test]
fn a_websocket_talks_both_ways_and_ends_one_way_at_a_time() {
    let portal = push_server();
    let proxy = proxy::start(&portal, &[]);
    talks(&mut proxy.connect());
    let request = &portal.requests()[0];
    assert_eq!(request.list("connection"), ["upgrade"]);
    assert_eq!(request.one("upgrade").as_deref(), Some("websocket"));
    assert_eq!(
        request.one("sec-websocket-protocol").as_deref(),
        Some("chat")
    );
    wait_until("the tunnel is counted out", || open_tunnels(&proxy) == 0.0);
    assert_eq!(proxy.metric("b24_proxy_tunnels_total"), 1.0);
}

#[test]
fn a_websocket_goes_through_tls_on_both_sides() {
    let folder = tempfile::tempdir().unwrap();
    let pair = tls::pair(folder.path(), "both");
    let portal = Portal::start_tls(tls::server(&pair), |visit| {
        if visit.request().is_some() {
            visit.write(SWITCH);
            echo(visit);
        }
    });
    let (certificate, key) = (
        pair.certificate.to_str().unwrap(),
        pair.key.to_str().unwrap(),
    );
    let proxy = proxy::before(&format!("https://localhost:{}", portal.address.port()))
        .with(&[
            "--upstream-ca",
            certificate,
            "--tls-cert",
            certificate,
            "--tls-key",
            key,
        ])
        .start();
    talks(&mut Client::connect_tls(
        proxy.address(),
        tls::client(&[&pair]),
    ));
}

#[test]
fn what_either_side_says_together_with_its_head_is_not_lost() {
    let portal = Portal::start(|visit| {
        if visit.request().is_some() {
            visit.write(format!("{SWITCH}early "));
            echo(visit);
        }
    });
    let proxy = proxy::start(&portal, &[]);
    let mut client = proxy.connect();
    client.send(asks("/sub/", "websocket", ""));
    assert_eq!(client.response("GET").unwrap().status(), 101);
    client.send("ours");
    assert_eq!(read_exactly(&mut client, 10), b"early ours");
    client.stream.shut_write();
    assert_eq!(client.rest(), b"bye");
}

#[test]
fn the_portal_may_end_its_direction_first() {
    let portal = Portal::start(|visit| {
        if visit.request().is_some() {
            visit.write(SWITCH);
            visit.write("last");
            if let Some(stream) = visit.stream.as_mut() {
                stream.shut_write();
            }
            let got = visit.swallow(u64::MAX);
            assert_eq!(got, 4);
        }
    });
    let proxy = proxy::start(&portal, &[]);
    let mut client = proxy.connect();
    client.send(asks("/sub/", "websocket", ""));
    assert_eq!(client.response("GET").unwrap().status(), 101);
    assert_eq!(client.rest(), b"last");
    assert!(client.send("more"));
    client.stream.shut_write();
    wait_until("the tunnel has ended", || open_tunnels(&proxy) == 0.0);
    assert!(portal.wait_until(|all| all.iter().all(|one| !one.open)));
}

#[test]
fn other_protocols_are_tunnelled_too() {
    let portal = push_server();
    let proxy = proxy::start(&portal, &[]);
    let mut client = proxy.connect();
    client.send(asks("/bitrix/stream", "something-new/1", ""));
    assert_eq!(client.response("GET").unwrap().status(), 101);
    client.send("hello");
    assert_eq!(read_exactly(&mut client, 5), b"hello");
    let request = portal.requests().remove(0);
    assert_eq!(request.one("upgrade").as_deref(), Some("something-new/1"));
}

#[test]
fn a_portal_that_declines_an_upgrade_answers_as_usual() {
    let portal = Portal::plain();
    let proxy = proxy::start(&portal, &[]);
    let mut client = proxy.connect();
    for _ in 0..3 {
        assert_eq!(
            client
                .call(asks("/sub/", "websocket", ""))
                .unwrap()
                .status(),
            200
        );
    }
    assert_eq!(proxy.metric("b24_proxy_tunnels_total"), 0.0);
}

#[test]
fn a_rest_call_loses_its_upgrade_and_is_served() {
    let portal = push_server();
    let proxy = proxy::start(&portal, &[]);
    let targets = [
        "/rest/1/code/crm.lead.details.configuration.reset",
        "/rest/1/code/crm.lead.list?start=0",
        "/rest/profile",
        "/%72est/1/code/crm.lead.details.configuration.reset",
        "/x/../rest/1/code/crm.lead.details.configuration.reset",
    ];
    let mut connection = proxy.connect();
    let mut upgraded = Vec::new();
    for target in targets {
        let answer = connection
            .call(asks(target, "websocket", ""))
            .expect("an answer");
        if answer.status() != 200 {
            upgraded.push(target);
            connection = proxy.connect();
        }
    }
    assert!(
        upgraded.is_empty(),
        "a way round the translation: {upgraded:?}"
    );
    for request in portal.requests() {
        assert_eq!(request.one("upgrade"), None);
        assert!(!request.list("connection").contains(&"upgrade".to_owned()));
    }
    let targets: Vec<String> = portal
        .requests()
        .iter()
        .map(|request| String::from_utf8_lossy(request.target()).into_owned())
        .collect();
    assert_eq!(
        targets
            .iter()
            .filter(|target| target.contains("lead.details"))
            .count(),
        0,
        "the legacy method is translated in all of them: {targets:?}"
    );
}

#[test]
fn h2c_is_dropped_and_the_call_is_served() {
    let portal = push_server();
    let proxy = proxy::start(&portal, &[]);
    let mut client = proxy.connect();
    for target in ["/rest/1/code/profile", "/online/"] {
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: portal.example\r\nConnection: Upgrade, HTTP2-Settings\r\n\
             Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n"
        );
        assert_eq!(client.call(request).unwrap().status(), 200);
    }
    assert_eq!(
        client
            .call(asks("/online/", "h2c, websocket", ""))
            .unwrap()
            .status(),
        200
    );
    for request in portal.requests() {
        assert_eq!(request.one("upgrade"), None);
        assert_eq!(request.one("http2-settings"), None);
        assert!(request.list("connection").is_empty());
    }
}

#[test]
fn connect_and_trace_are_refused_and_reach_nobody() {
    let portal = Portal::plain();
    let proxy = proxy::start(&portal, &[]);
    for request in [
        "CONNECT portal.example:443 HTTP/1.1\r\nHost: portal.example:443\r\n\r\n",
        "TRACE / HTTP/1.1\r\nHost: portal.example\r\n\r\n",
        "TRACE /rest/1/code/profile HTTP/1.1\r\nHost: portal.example\r\nMax-Forwards: 1\r\n\r\n",
    ] {
        let mut client = proxy.connect();
        client.send(request);
        let answer = client
            .response("GET")
            .unwrap_or_else(|lost| panic!("{request}: {lost:?}"));
        assert!(
            matches!(answer.status(), 400 | 405),
            "{request}: {}",
            answer.status()
        );
        assert!(client.closed_within(PATIENCE), "and the connection ends");
    }
    assert_eq!(portal.request_count(), 0);
}

#[test]
fn an_unasked_101_is_a_broken_answer() {
    let portal = Portal::start(|visit| {
        if visit.request().is_some() {
            visit.write(SWITCH);
            echo(visit);
        }
    });
    let proxy = proxy::start(&portal, &[]);
    for request in [
        client::get("/online/"),
        client::get("/rest/1/code/profile"),
        client::deprecated_call(1),
        // It asked, but for a REST call nobody may.
        asks("/rest/1/code/profile", "websocket", ""),
    ] {
        let mut client = proxy.connect();
        let answer = client.call(&request).expect("an answer");
        assert_eq!(answer.status(), 502, "{request}");
        assert!(answer.text().contains("INTERNAL_SERVER_ERROR"));
        assert_eq!(client.call(client::get("/readyz")).unwrap().status(), 502);
    }
    assert_eq!(proxy.metric("b24_proxy_tunnels_total"), 0.0);
}

#[test]
fn a_drain_lets_a_tunnel_go_on_until_its_time_is_over() {
    let portal = push_server();
    let mut proxy = proxy::start(&portal, &["--drain-timeout", "2s"]);
    let mut client = proxy.connect();
    client.send(asks("/sub/", "websocket", ""));
    assert_eq!(client.response("GET").unwrap().status(), 101);
    wait_until("it is counted", || open_tunnels(&proxy) == 1.0);
    let told = Instant::now();
    proxy.signal(Signal::TERM);
    pause_ms(500, "well within the drain, which has begun");
    assert!(client.send("still"));
    assert_eq!(read_exactly(&mut client, 5), b"still");
    let status = proxy.wait();
    assert!(
        told.elapsed() >= Duration::from_millis(1900),
        "{:?}",
        told.elapsed()
    );
    assert!(client.closed_within(PATIENCE));
    assert_eq!(
        status.code(),
        Some(0),
        "a tunnel is no request that was cut"
    );
    let said = proxy.stderr.text();
    assert!(said.contains("\"tunnels_cut\":1"), "{said}");
}

#[test]
fn a_drain_ends_when_the_last_tunnel_has_ended() {
    let portal = push_server();
    let mut proxy = proxy::start(&portal, &["--drain-timeout", "30s"]);
    let mut client = proxy.connect();
    client.send(asks("/sub/", "websocket", ""));
    assert_eq!(client.response("GET").unwrap().status(), 101);
    proxy.signal(Signal::TERM);
    pause_ms(200, "the drain is to have begun");
    client.send("on");
    assert_eq!(read_exactly(&mut client, 2), b"on");
    let told = Instant::now();
    client.stream.shut_write();
    assert_eq!(client.rest(), b"bye");
    assert_eq!(proxy.wait().code(), Some(0));
    assert!(told.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_tunnel_on_which_nothing_moves_is_closed() {
    let portal = push_server();
    let proxy = proxy::start(&portal, &["--tunnel-idle-timeout", "600ms"]);
    let mut client = proxy.connect();
    client.send(asks("/sub/", "websocket", ""));
    assert_eq!(client.response("GET").unwrap().status(), 101);
    let began = Instant::now();
    for _ in 0..4 {
        pause_ms(250, "less than the idle time, four times more than it");
        client.send("x");
        assert_eq!(read_exactly(&mut client, 1), b"x");
    }
    assert!(
        began.elapsed() >= Duration::from_millis(1000),
        "one that moves stays"
    );
    assert!(client.closed_within(Duration::from_secs(5)));
    wait_until("it is counted out", || open_tunnels(&proxy) == 0.0);
}

#[test]
fn many_tunnels_stand_beside_calls() {
    let portal = push_server();
    let proxy = proxy::start(&portal, &[]);
    let mut tunnels: Vec<Client> = (0..60)
        .map(|_| {
            let mut client = proxy.connect();
            client.send(asks("/sub/", "websocket", ""));
            assert_eq!(client.response("GET").unwrap().status(), 101);
            client
        })
        .collect();
    let mut calls = proxy.connect();
    for (at, tunnel) in tunnels.iter_mut().enumerate() {
        assert_eq!(
            calls.call(client::deprecated_call(at)).unwrap().status(),
            200
        );
        let said = format!("tunnel {at:03}");
        tunnel.send(&said);
        assert_eq!(
            read_exactly(tunnel, said.len()),
            said.as_bytes(),
            "each its own"
        );
    }
    assert_eq!(open_tunnels(&proxy), 60.0);
    drop(tunnels);
    wait_until("all are counted out", || open_tunnels(&proxy) == 0.0);
    assert_eq!(calls.call(client::get("/online/")).unwrap().status(), 200);
}
