//! Where clients come in and the portal is reached: Unix sockets, sockets handed over, other proxies in front, limits.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;

use crate::support::client::{self, Client};
use crate::support::portal::Portal;
use crate::support::proxy::{self, Proxy};
use crate::support::strict::{self, Message, Reading};
use crate::support::time::{pause_ms, wait_until};
use crate::support::wire::PATIENCE;

/// One request over a Unix socket, read to the end of the connection.
fn ask_unix(path: &Path, request: &str) -> Message {
    let mut stream = UnixStream::connect(path).expect("a listener");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = request.replacen("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1);
    stream.write_all(request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    match strict::response(&bytes, b"POST", true) {
        Reading::Valid(message) => message,
        other => panic!("{other:?}"),
    }
}

/// A portal on a Unix socket, which answers each connection's one request and gives what came.
fn unix_portal(path: &Path) -> std::sync::mpsc::Receiver<Message> {
    let listener = UnixListener::bind(path).unwrap();
    let (give, take) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, give) = (stream.unwrap(), give.clone());
            std::thread::spawn(move || {
                let mut bytes = Vec::new();
                let mut block = [0; 4096];
                loop {
                    if let Reading::Valid(message) = strict::request(&bytes) {
                        let _ = give.send(message);
                        break;
                    }
                    match stream.read(&mut block) {
                        Ok(count @ 1..) => bytes.extend_from_slice(&block[..count]),
                        _ => return,
                    }
                }
                let _ = stream.write_all(
                    b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\nConnection: close\r\n\r\n{\"result\":true}",
                );
            });
        }
    });
    take
}

#[test]
fn both_sides_may_be_unix_sockets() {
    let folder = tempfile::tempdir().unwrap();
    let (inside, outside) = (folder.path().join("portal"), folder.path().join("proxy"));
    let came = unix_portal(&inside);
    let mut proxy = proxy::before(&format!("unix:{}", inside.display()))
        .with(&["--listen", &format!("unix:{}", outside.display())])
        .start();
    for user in 0..3 {
        let answer = ask_unix(&outside, &client::deprecated_call(user));
        assert_eq!(answer.status(), 200);
    }
    let request = came.recv_timeout(PATIENCE).unwrap();
    assert_eq!(
        request.target(),
        b"/rest/1/code/crm.item.details.configuration.reset"
    );
    assert_eq!(
        request.one("host").as_deref(),
        Some("portal.example"),
        "the client's"
    );
    assert_eq!(request.one("x-forwarded-for").as_deref(), Some("unknown"));
    // A TCP listener beside it serves as well.
    assert_eq!(proxy.call(client::deprecated_call(9)).status(), 200);
    assert_eq!(proxy.events().len(), 4);
    // A second one does not take the socket away.
    let (said, code) = fails(
        &proxy,
        &[
            "--listen",
            &format!("unix:{}", outside.display()),
            "--admin-listen",
            "off",
        ],
    );
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("proxy"), "{said}");
    assert_eq!(
        ask_unix(&outside, &client::deprecated_call(5)).status(),
        200
    );
    assert_eq!(proxy.terminate().code(), Some(0));
    assert!(!outside.exists(), "its file is gone");
}

#[test]
fn the_portal_behind_a_unix_socket_is_told_the_name_that_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("portal");
    let came = unix_portal(&inside);
    let proxy = proxy::before(&format!("unix:{}", inside.display()))
        .with(&["--upstream-host", "crm.example"])
        .start();
    assert_eq!(proxy.call(client::get("/online/")).status(), 200);
    assert_eq!(
        came.recv_timeout(PATIENCE).unwrap().one("host").as_deref(),
        Some("crm.example")
    );
}

#[test]
fn a_socket_left_behind_by_a_kill_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let outside = folder.path().join("proxy");
    let portal = Portal::plain();
    let listen = format!("unix:{}", outside.display());
    let mut first = proxy::before(&portal.url())
        .with(&["--listen", &listen])
        .start();
    first.kill();
    assert!(outside.exists());
    let _second = proxy::before(&portal.url())
        .with(&["--listen", &listen])
        .start();
    assert_eq!(
        ask_unix(&outside, &client::deprecated_call(5)).status(),
        200
    );
}

/// Starts another one with these arguments, which must fail; what it says, and its status.
fn fails(running: &Proxy, arguments: &[&str]) -> (String, Option<i32>) {
    let output = Command::new(env!("CARGO_BIN_EXE_b24-migration-proxy"))
        .args(["serve", "--upstream", "http://127.0.0.1:9"])
        .args([
            "--deprecation-log",
            running.folder().join("other.jsonl").to_str().unwrap(),
        ])
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (said, output.status.code())
}

#[test]
fn a_second_one_on_the_same_port_fails_with_one_line() {
    let portal = Portal::plain();
    let proxy = proxy::start(&portal, &[]);
    let address = proxy.address().to_string();
    let (said, code) = fails(&proxy, &["--listen", &address, "--admin-listen", "off"]);
    assert_eq!(code, Some(3), "{said}");
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    assert!(said.contains(&address), "{said}");
    let admin = proxy.admin.to_string();
    let (said, code) = fails(
        &proxy,
        &["--listen", "127.0.0.1:0", "--admin-listen", &admin],
    );
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains(&admin), "{said}");
    assert_eq!(proxy.call(client::deprecated_call(1)).status(), 200);
}

#[test]
fn sockets_handed_over_are_served_and_hold_what_came_before() {
    let portal = Portal::plain();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // As systemd does it: the socket is there before the service, whose first calls wait in it.
    let mut early = Client::connect(address);
    early.send(client::deprecated_call(1));
    let wanted = proxy::before(&portal.url()).own_listeners();
    let inner = wanted.command();
    let mut command = Command::new("bash");
    let script = "exec 3<&$1; shift; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\"";
    command.args(["-c", script, "bash", &listener.as_raw_fd().to_string()]);
    command.arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    rustix::io::fcntl_setfd(&listener, rustix::io::FdFlags::empty()).unwrap();
    let proxy = wanted.start_as(command);
    assert_eq!(proxy.addresses, [address]);
    assert_eq!(early.response("POST").unwrap().status(), 200);
    assert_eq!(proxy.call(client::deprecated_call(2)).status(), 200);
}

#[test]
fn a_socket_handed_over_that_does_not_listen_is_refused_at_the_start() {
    let portal = Portal::plain();
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    socket.bind(&any.into()).unwrap();
    let wanted = proxy::before(&portal.url()).own_listeners();
    let inner = wanted.command();
    let mut command = Command::new("bash");
    let script = "exec 3<&$1; shift; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\"";
    command.args(["-c", script, "bash", &socket.as_raw_fd().to_string()]);
    command.arg(inner.get_program()).args(inner.get_args());
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::empty()).unwrap();
    let ended = command.output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(2), "{said}");
    assert!(said.contains("as descriptor 3 does not listen"), "{said}");
}

#[test]
fn ipv4_and_ipv6_listen_on_one_port_each_for_itself() {
    let portal = Portal::plain();
    let Ok(held) = TcpListener::bind("[::]:0") else {
        eprintln!("skipped: this machine has no IPv6");
        return;
    };
    let port = held.local_addr().unwrap().port();
    drop(held);
    let [four, six] = [format!("0.0.0.0:{port}"), format!("[::]:{port}")];
    for order in [[&four, &six], [&six, &four]] {
        let wanted = proxy::before(&portal.url()).own_listeners();
        let mut proxy = wanted
            .with(&["--listen", order[0], "--listen", order[1]])
            .start();
        let asked = [format!("127.0.0.1:{port}"), format!("[::1]:{port}")];
        for address in asked {
            let answer = client::call(address.parse().unwrap(), client::deprecated_call(1));
            assert_eq!(answer.status(), 200, "{address}");
        }
        let addresses = proxy.events();
        assert_eq!(addresses[0]["caller"]["address"], "127.0.0.1");
        assert_eq!(addresses[1]["caller"]["address"], "::1");
        proxy.terminate();
    }
    // Alone, it takes both, as everywhere.
    let wanted = proxy::before(&portal.url()).own_listeners();
    let proxy = wanted.with(&["--listen", &six]).start();
    let by_ipv4 = format!("127.0.0.1:{port}").parse().unwrap();
    let answer = client::call(by_ipv4, client::deprecated_call(1));
    assert_eq!(answer.status(), 200);
    assert_eq!(proxy.events()[0]["caller"]["address"], "127.0.0.1");
}

#[test]
fn a_portal_by_its_ipv6_address_is_asked_by_it_in_calls_comparisons_and_tunnels() {
    let script = |visit: &mut crate::support::portal::Visit| {
        while let Some(request) = visit.request() {
            if request.one("upgrade").is_some() {
                visit.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nbye");
                return;
            }
            let own = request.one("host").unwrap_or_default();
            let fields = format!("Location: http://{own}/y\r\nSet-Cookie: a=1; Domain=[::1]\r\n");
            visit.answer_to(&request, 200, &fields, b"{\"result\":[]}");
        }
    };
    let Some(portal) = Portal::start_on_ipv6(script) else {
        return;
    };
    let own = portal.address.to_string();
    assert!(own.starts_with("[::1]:"));
    let compared = "crm.lead.details.configuration.get=compare";
    let proxy = proxy::start(&portal, &["--mode", compared]);
    let answer = proxy.call(client::deprecated_call(1));
    assert_eq!(answer.status(), 200);
    assert_eq!(
        answer.one("location").as_deref(),
        Some("http://portal.example/y")
    );
    let get = "/rest/1/code/crm.lead.details.configuration.get";
    assert_eq!(proxy.call(client::get(get)).status(), 200);
    assert!(portal.wait_for_requests(3), "the call and its comparison");
    let mut tunnel = proxy.connect();
    tunnel.send(
        "GET /online/ HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    );
    assert!(tunnel.rest().ends_with(b"bye"));
    for request in portal.requests() {
        assert_eq!(request.one("host").as_deref(), Some(&*own));
    }
}

const CLAIMS: &str = "X-Forwarded-For: 203.0.113.5\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: claimed.example\r\n\
                      X-Forwarded-Port: 1\r\nForwarded: for=203.0.113.5\r\nX-Real-IP: 203.0.113.5\r\n";

fn claiming(fields: &str) -> String {
    client::deprecated_call(1).replacen("\r\n", &format!("\r\n{fields}"), 1)
}

#[test]
fn nobody_is_believed_who_is_not_trusted() {
    let portal = Portal::plain();
    let proxy = proxy::start(&portal, &["--trusted-proxy", "10.0.0.0/8"]);
    assert_eq!(proxy.call(claiming(CLAIMS)).status(), 200);
    // Nor can a client strike out what the proxy says.
    let strike = "Connection: X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, Host\r\n";
    assert_eq!(proxy.call(claiming(strike)).status(), 200);
    for request in portal.requests() {
        assert_eq!(request.all("x-forwarded-for"), ["127.0.0.1"]);
        assert_eq!(request.all("x-forwarded-proto"), ["http"]);
        assert_eq!(request.all("x-forwarded-host"), ["portal.example"]);
        for name in ["forwarded", "x-real-ip", "x-forwarded-port"] {
            assert!(request.all(name).is_empty(), "{name}");
        }
    }
    for event in proxy.events() {
        assert_eq!(event["caller"]["address"], "127.0.0.1");
    }
}

#[test]
fn a_trusted_peer_speaks_for_its_clients() {
    let portal = Portal::plain();
    let arguments = [
        "--trusted-proxy",
        "127.0.0.0/8",
        "--trusted-proxy",
        "198.51.100.0/24",
    ];
    let proxy = proxy::start(&portal, &arguments);
    let chains = [
        (
            "X-Forwarded-For: 203.0.113.5\r\n",
            "203.0.113.5",
            "203.0.113.5, 127.0.0.1",
        ),
        (
            "X-Forwarded-For: 6.6.6.6, 203.0.113.7, 198.51.100.2\r\n",
            "203.0.113.7",
            "6.6.6.6, 203.0.113.7, 198.51.100.2, 127.0.0.1",
        ),
        (
            "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 2001:db8::7\r\n",
            "2001:db8::7",
            "6.6.6.6, 2001:db8::7, 127.0.0.1",
        ),
        ("", "127.0.0.1", "127.0.0.1"),
        (
            "X-Forwarded-For: nobody\r\n",
            "127.0.0.1",
            "nobody, 127.0.0.1",
        ),
    ];
    for (at, (fields, address, on)) in chains.into_iter().enumerate() {
        let more =
            "X-Forwarded-Proto: https\r\nX-Forwarded-Host: crm.example\r\nX-Real-IP: 9.9.9.9\r\n";
        assert_eq!(
            proxy.call(claiming(&format!("{fields}{more}"))).status(),
            200
        );
        let request = &portal.requests()[at];
        assert_eq!(request.list("x-forwarded-for").join(", "), on);
        assert_eq!(request.all("x-forwarded-proto"), ["https"]);
        assert_eq!(request.all("x-forwarded-host"), ["crm.example"]);
        assert_eq!(proxy.events()[at]["caller"]["address"], address, "{fields}");
    }
}

#[test]
fn peers_of_a_unix_socket_are_believed_where_that_is_said() {
    let portal = Portal::plain();
    let more = "X-Forwarded-Proto: https\r\nX-Forwarded-Host: crm.example\r\n";
    let cases = [
        (
            "127.0.0.1",
            "X-Forwarded-For: 203.0.113.5\r\n",
            "unknown",
            None,
        ),
        (
            "unix",
            "X-Forwarded-For: 203.0.113.5\r\n",
            "203.0.113.5",
            Some("203.0.113.5"),
        ),
        (
            "unix",
            "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 203.0.113.7\r\n",
            "6.6.6.6, 203.0.113.7",
            Some("203.0.113.7"),
        ),
        ("unix", "", "unknown", None),
    ];
    for (trusted, fields, on, address) in cases {
        let wanted = proxy::before(&portal.url());
        let path = wanted.folder().join("proxy");
        let listen = format!("unix:{}", path.display());
        let proxy = wanted
            .with(&["--trusted-proxy", trusted, "--listen", &listen])
            .start();
        let answer = ask_unix(&path, &claiming(&format!("{fields}{more}")));
        assert_eq!(answer.status(), 200);
        let request = portal.requests().pop().unwrap();
        assert_eq!(request.list("x-forwarded-for").join(", "), on);
        let believed = trusted == "unix";
        let wanted = if believed {
            ["https", "crm.example"]
        } else {
            ["http", "portal.example"]
        };
        assert_eq!(request.all("x-forwarded-proto"), wanted[..1]);
        assert_eq!(request.all("x-forwarded-host"), wanted[1..]);
        assert_eq!(proxy.events()[0]["caller"]["address"].as_str(), address);
        // Peers with an address are no more trusted than before.
        assert_eq!(proxy.call(claiming(CLAIMS)).status(), 200);
        let request = portal.requests().pop().unwrap();
        let tcp = request.list("x-forwarded-for").join(", ");
        assert_eq!(tcp == "127.0.0.1", believed, "{tcp}");
    }
}

#[test]
fn a_proxy_header_over_a_unix_socket_names_the_client() {
    let portal = Portal::plain();
    let wanted = proxy::before(&portal.url());
    let path = wanted.folder().join("proxy");
    let listen = format!("unix:{}", path.display());
    let proxy = wanted
        .with(&[
            "--trusted-proxy",
            "unix",
            "--accept-proxy-protocol",
            "--listen",
            &listen,
        ])
        .start();
    let source = "PROXY TCP4 203.0.113.8 198.51.100.1 5000 443\r\n";
    let answer = ask_unix(&path, &format!("{source}{}", client::deprecated_call(1)));
    assert_eq!(answer.status(), 200);
    assert_eq!(proxy.events()[0]["caller"]["address"], "203.0.113.8");
    let mut without = UnixStream::connect(&path).unwrap();
    without.set_read_timeout(Some(PATIENCE)).unwrap();
    without
        .write_all(client::deprecated_call(2).as_bytes())
        .unwrap();
    let mut answer = Vec::new();
    let _ = without.read_to_end(&mut answer);
    assert_eq!(answer, b"", "who sends none is closed");
}

/// A PROXY header of version 2 for a TCP connection over IPv4.
fn version_2(command: u8, source: Ipv4Addr, extra: &[u8]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    let length = u16::try_from(12 + extra.len()).unwrap();
    header.extend_from_slice(&[0x20 | command, 0x11]);
    header.extend_from_slice(&length.to_be_bytes());
    header.extend_from_slice(&source.octets());
    header.extend_from_slice(&[198, 51, 100, 1, 0x13, 0x88, 1, 0xbb]);
    header.extend_from_slice(extra);
    header
}

#[test]
fn a_proxy_header_of_a_trusted_peer_names_the_client() {
    let portal = Portal::plain();
    let proxy = proxy::start(
        &portal,
        &["--trusted-proxy", "127.0.0.1/32", "--accept-proxy-protocol"],
    );
    let source = Ipv4Addr::new(203, 0, 113, 9);
    let mut headers: Vec<(Vec<u8>, &str)> = vec![
        (
            b"PROXY TCP4 203.0.113.8 198.51.100.1 5000 443\r\n".to_vec(),
            "203.0.113.8",
        ),
        (
            b"PROXY TCP6 2001:db8::1 2001:db8::2 5000 443\r\n".to_vec(),
            "2001:db8::1",
        ),
        (
            b"PROXY TCP6 ::ffff:203.0.113.8 ::1 5000 443\r\n".to_vec(),
            "203.0.113.8",
        ),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
        (version_2(1, source, b""), "203.0.113.9"),
        (version_2(1, source, &[4, 0, 2, 0, 0]), "203.0.113.9"),
        (version_2(0, source, b""), "127.0.0.1"),
    ];
    for (at, (header, address)) in headers.iter().enumerate() {
        let mut client = proxy.connect();
        client.send([&header[..], client::deprecated_call(1).as_bytes()].concat());
        assert_eq!(client.response("POST").unwrap().status(), 200, "{address}");
        assert_eq!(
            client.call(client::deprecated_call(2)).unwrap().status(),
            200
        );
        assert_eq!(proxy.events()[2 * at]["caller"]["address"], *address);
        assert_eq!(
            portal.requests()[2 * at].one("x-forwarded-for").as_deref(),
            Some(*address)
        );
    }
    // Byte by byte it is the same.
    let (header, address) = headers.remove(3);
    let mut client = proxy.connect();
    for byte in header {
        client.send([byte]);
        pause_ms(2, "each byte is to be read by itself");
    }
    assert_eq!(
        client.call(client::deprecated_call(1)).unwrap().status(),
        200
    );
    assert_eq!(proxy.events().last().unwrap()["caller"]["address"], address);
    // Without one, or with half a one, nobody is served.
    let calls = portal.request_count();
    for bad in [
        client::deprecated_call(1).into_bytes(),
        b"PROXY TCP4 nobody\r\n".to_vec(),
        b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c".to_vec(),
    ] {
        let mut client = proxy.connect();
        client.send(bad);
        assert!(client.closed_within(PATIENCE));
        assert!(client.inbox.bytes.is_empty());
    }
    assert_eq!(portal.request_count(), calls);
}

#[test]
fn a_proxy_header_of_anybody_else_is_no_request() {
    let portal = Portal::plain();
    let proxy = proxy::start(
        &portal,
        &["--trusted-proxy", "10.0.0.0/8", "--accept-proxy-protocol"],
    );
    let headers: [&[u8]; 2] = [
        b"PROXY TCP4 203.0.113.8 198.51.100.1 5000 443\r\n",
        &version_2(1, Ipv4Addr::new(203, 0, 113, 9), b""),
    ];
    for header in headers {
        let mut client = proxy.connect();
        client.send([header, client::deprecated_call(1).as_bytes()].concat());
        assert_eq!(client.response("POST").unwrap().status(), 400);
    }
    assert_eq!(portal.request_count(), 0);
    assert_eq!(
        proxy.call(client::deprecated_call(1)).status(),
        200,
        "the same peer without one"
    );
    assert_eq!(proxy.events()[0]["caller"]["address"], "127.0.0.1");
}

/// Waits until a new connection is served.
fn served_again(proxy: &Proxy) {
    wait_until("the room is not given back", || {
        proxy.call(client::get("/online/")).status() == 200
    });
}

#[test]
fn one_connection_too_many_is_told_so() {
    let portal = Portal::plain();
    for (option, reason) in [
        ("--max-connections", "total"),
        ("--max-connections-per-client", "per_client"),
    ] {
        let proxy = proxy::start(&portal, &[option, "10"]);
        let mut held: Vec<Client> = (0..10).map(|_| proxy.connect()).collect();
        for client in &mut held {
            assert_eq!(client.call(client::get("/online/")).unwrap().status(), 200);
        }
        for _ in 0..3 {
            let mut over = proxy.connect();
            over.send(client::deprecated_call(1));
            let answer = over.response("POST").expect("an answer");
            assert_eq!(answer.status(), 503);
            assert!(answer.one("retry-after").is_some());
            assert!(answer.text().contains("PROXY_BUSY"), "{}", answer.text());
            assert!(over.closed_within(PATIENCE));
        }
        for client in &mut held {
            assert_eq!(client.call(client::get("/online/")).unwrap().status(), 200);
        }
        let metrics = proxy.admin("/metrics").text();
        let counted = metrics.lines().find(|line| {
            line.starts_with("b24_proxy_connections_refused_total{") && line.contains(reason)
        });
        assert!(
            counted.is_some_and(|line| line.ends_with(" 3")),
            "{counted:?}"
        );
        held.clear();
        served_again(&proxy);
    }
}
