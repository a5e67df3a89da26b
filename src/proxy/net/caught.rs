//! A panic ends the call that met it, and nothing else: it is caught where the call is driven.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;

/// The work met a panic. What it held was dropped; `telemetry::panics` has counted it and logged its place.
#[derive(Debug, PartialEq, Eq)]
pub struct Panicked;

/// Drives work to its end or to its first panic. Takes a pin: moving the future in would double its size.
///
/// Asserting unwind safety is right here: what calls share (pools, counts, logs) is changed in steps that do not panic, or
/// behind locks whose poison is passed over, and the call's own state is not used again.
pub async fn caught<T>(mut work: Pin<&mut impl Future<Output = T>>) -> Result<T, Panicked> {
    poll_fn(
        |cx| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
            Ok(polled) => polled.map(Ok),
            Err(_) => std::task::Poll::Ready(Err(Panicked)),
        },
    )
    .await
}

/// Panics where a request of a test asks for it: `/…?panic=PLACE`.
#[cfg(test)]
pub fn panic_if_asked(target: &[u8], place: &str) {
    assert!(
        !target.ends_with(format!("panic={place}").as_bytes()),
        "as the test asked"
    );
}

#[cfg(test)]
mod tests {
    use crate::catalogue::Catalogue;
    use crate::ladder::Policy;
    use crate::protocol::target::RestPath;
    use crate::proxy::config::{Config, Listen, Portal, Timeouts};
    use crate::proxy::{Listening, Server, Shared};
    use crate::telemetry::Telemetry;
    use crate::telemetry::caller::Fingerprints;
    use crate::telemetry::log::{LogConfig, LogTarget};
    use crate::telemetry::run::Run;
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::path::Path;
    use std::sync::Arc;
    use std::time::Duration;

    fn config(portal: SocketAddr) -> Config {
        Config {
            listen: Vec::new(),
            portal: Portal::Tcp {
                tls: false,
                host: portal.ip().to_string(),
                port: portal.port(),
            },
            upstream_host: None,
            preserve_host: false,
            upstream_ca: None,
            upstream_insecure: false,
            upstream_connect: None,
            upstream_http2: false,
            upstream_sources: Vec::new(),
            pace: crate::pace::desk::Rules {
                rate: crate::pace::PortalRate::Auto,
                timeout: std::time::Duration::from_secs(5),
                calls: 1000,
            },
            operating_limit: None,
            rate_store: None,
            rest_path: RestPath::default(),
            max_rewrite_body: 1 << 20,
            rewrite_memory: 4 << 20,
            certificates: Vec::new(),
            http2: false,
            trusted_proxies: Vec::new(),
            trusts_unix: false,
            accept_proxy_protocol: false,
            max_head: 65_536,
            max_fields: 128,
            max_target: 65_536,
            max_connections: usize::MAX,
            max_connections_per_client: usize::MAX,
            rewrite_origin: false,
            deprecation_headers: false,
            parameter_names: false,
            request_id_header: false,
            threads: 1,
            timeouts: timeouts(),
        }
    }

    /// None of them ends anything here.
    fn timeouts() -> Timeouts {
        let long = Duration::from_secs(60);
        Timeouts {
            connect: long,
            tls_handshake: long,
            header: long,
            keep_alive: long,
            pool_idle: long,
            body: long,
            response: long,
            upstream_body: long,
            tunnel_idle: long,
            rewrite_wait: long,
            drain_delay: Duration::ZERO,
            drain: long,
        }
    }

    /// A portal that answers each request that has no body.
    fn portal() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        std::thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                std::thread::spawn(move || {
                    while read_head(&socket).is_some() {
                        let _ =
                            (&socket).write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
                    }
                });
            }
        });
        address
    }

    /// A server of one thread, and what it shares.
    fn server(log: &Path) -> (Server, SocketAddr, Arc<Shared>) {
        let catalogue = Catalogue::builtin();
        let telemetry = Telemetry::open(
            LogConfig::deprecation(LogTarget::Path(log.to_owned())),
            None,
            catalogue.rules(),
            Fingerprints::default(),
            Arc::default(),
            Run::now("test", std::time::Duration::from_secs(3600)),
        )
        .expect("a log");
        let shared = Shared::new(config(portal()), telemetry, Policy::usual(&catalogue));
        let shared = shared.expect("nothing to be wrong");
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listen = Listen::Tcp {
            address: any,
            plain: true,
        };
        let listening = Listening::bind(&listen, &[]);
        let listening = listening.expect("a free port");
        let address = listening.tcp_address().expect("an address");
        let server = Server::start(vec![listening], shared.clone()).expect("a thread");
        (server, address, shared)
    }

    /// A head, byte by byte; nothing at the end.
    fn read_head(mut socket: &TcpStream) -> Option<String> {
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            if socket.read(&mut byte).ok()? == 0 {
                return None;
            }
            head.push(byte[0]);
        }
        String::from_utf8(head).ok()
    }

    fn ask(mut socket: &TcpStream, target: &str) {
        let request = format!("GET {target} HTTP/1.1\r\nHost: b24\r\n\r\n");
        socket.write_all(request.as_bytes()).expect("it is taken");
    }

    fn rest_of(mut socket: &TcpStream) -> String {
        let mut rest = String::new();
        let _ = socket.read_to_string(&mut rest);
        rest
    }

    #[test]
    fn a_panic_costs_its_call_no_answer_and_others_of_the_thread_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("log");
        let (server, address, shared) = server(&log);
        crate::telemetry::panics::watch();
        let beside = TcpStream::connect(address).expect("it listens");
        ask(&beside, "/beside");
        assert!(read_head(&beside).expect("an answer").contains(" 200 "));
        let mut two = [0; 2];
        (&beside).read_exact(&mut two).expect("its body");

        let method = "crm.lead.details.configuration.get";
        let asked = [("begun", ""), ("sent", ""), ("sent", ".xml")].map(|(place, suffix)| {
            let client = TcpStream::connect(address).expect("it listens");
            ask(
                &client,
                &format!("/rest/1/code/{method}{suffix}?panic={place}"),
            );
            (suffix, read_head(&client), rest_of(&client))
        });
        // From here on a failure of this test is told as usual.
        drop(std::panic::take_hook());
        for (suffix, head, body) in asked {
            let head = head.expect("an answer");
            assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
            assert!(head.contains("Connection: close\r\n"), "{head}");
            let begin = match suffix {
                ".xml" => "<?xml ",
                _ => "{\"error\":\"INTERNAL_SERVER_ERROR\"",
            };
            assert!(body.starts_with(begin), "{body}");
            assert!(body.contains("may have been executed"), "{body}");
        }

        ask(&beside, "/beside");
        assert!(read_head(&beside).expect("an answer").contains(" 200 "));
        assert_eq!(crate::telemetry::panics::count(), 3);
        let (_, page) = shared.telemetry.metrics.render(None);
        assert!(page.contains("\nb24_proxy_panics_total 3"), "{page}");
        let events = std::fs::read_to_string(&log).expect("a log");
        assert_eq!(
            events
                .matches("\"error\":\"INTERNAL_SERVER_ERROR\"")
                .count(),
            2,
            "those that were sent are logged: {events}"
        );
        // Nothing is left behind for which a drain would wait.
        drop(beside);
        server.drain();
        let begun = std::time::Instant::now();
        assert_eq!(server.join(), crate::proxy::Cut::default());
        assert!(begun.elapsed() < std::time::Duration::from_secs(5));
    }
}
