//! TLS towards the portal over real sockets: whom it trusts, by which name, where it dials, and HTTP/2 where it is offered.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::support::authority::{Authority, Issued, Kind};
use crate::support::client;
use crate::support::portal::{Portal, Visit};
use crate::support::proxy::{self, Proxy, Wanted};
use crate::support::time::{pause_ms, wait_until, wait_until_or};

fn answers(visit: &mut Visit) {
    while let Some(request) = visit.request() {
        visit.answer_to(&request, 200, "", b"{\"result\":true}");
    }
}

/// A portal that shows this certificate, and a proxy in front of it that calls it by this name.
fn before(pair: &Issued, name: &str) -> (Portal, Wanted) {
    let portal = Portal::start_tls(pair.server(&[]), answers);
    let port = portal.address.port();
    let wanted = proxy::before(&format!("https://{name}:{port}"))
        .with(&["--upstream-connect", &format!("127.0.0.1:{port}")]);
    (portal, wanted)
}

fn trusting(wanted: Wanted, authority: &Authority) -> Proxy {
    wanted
        .with(&["--upstream-ca", authority.certificate.to_str().unwrap()])
        .start()
}

/// The portal is not trusted: no call reaches it, and this is said.
fn is_refused(portal: &Portal, proxy: &Proxy, why: &str) {
    for _ in 0..2 {
        let answer = proxy.call(client::deprecated_call(1));
        assert_eq!(answer.status(), 503);
        assert!(answer.text().contains("PORTAL_UNREACHABLE"));
        assert!(answer.text().contains(why), "{why}: {}", answer.text());
        assert!(answer.one("retry-after").is_some());
    }
    assert_eq!(
        portal.request_count(),
        0,
        "not a byte of a call goes to a stranger"
    );
    assert!(proxy.admin("/readyz").text().contains(why));
    assert!(proxy.metric("b24_proxy_upstream_connect_errors_total{cause=\"certificate\"}") >= 2.0);
    assert_eq!(proxy.events().len(), 2);
}

#[test]
fn a_portal_of_a_trusted_authority_is_served_by_its_own_name() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "authority");
    for kind in [Kind::Ecdsa, Kind::Rsa] {
        let pair = authority.issue("portal", &["portal.example"], kind);
        let (portal, wanted) = before(&pair, "portal.example");
        let proxy = trusting(wanted, &authority);
        for _ in 0..3 {
            assert_eq!(proxy.call(client::deprecated_call(1)).status(), 200);
        }
        let host = format!("portal.example:{}", portal.address.port());
        for request in portal.requests() {
            assert_eq!(request.one("host"), Some(host.clone()));
        }
    }
}

/// Notes the names that clients ask for.
#[derive(Debug)]
struct Names {
    key: Arc<CertifiedKey>,
    asked: Mutex<Vec<Option<String>>>,
}

impl ResolvesServerCert for Names {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.asked
            .lock()
            .unwrap()
            .push(hello.server_name().map(str::to_owned));
        Some(self.key.clone())
    }
}

#[test]
fn the_name_in_the_handshake_is_the_upstreams_whatever_is_dialled_and_asked() {
    use rustls::pki_types::PrivateKeyDer;
    use rustls::pki_types::pem::PemObject;
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "authority");
    let pair = authority.issue("portal", &["portal.example"], Kind::Ecdsa);
    let provider = crate::support::authority::provider();
    let key = PrivateKeyDer::from_pem_file(&pair.key).unwrap();
    let names = Arc::new(Names {
        key: Arc::new(CertifiedKey::from_der(vec![pair.leaf()], key, &provider).unwrap()),
        asked: Mutex::default(),
    });
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(names.clone());
    let portal = Portal::start_tls(Arc::new(config), answers);
    let port = portal.address.port();
    let wanted = proxy::before("https://portal.example").with(&[
        "--upstream-connect",
        &format!("localhost:{port}"),
        "--preserve-host",
    ]);
    let proxy = trusting(wanted, &authority);
    let request = "GET /online/ HTTP/1.1\r\nHost: asked.example\r\n\r\n";
    assert_eq!(proxy.call(request).status(), 200);
    assert_eq!(
        portal.requests()[0].one("host").as_deref(),
        Some("asked.example")
    );
    for name in names.asked.lock().unwrap().iter() {
        assert_eq!(name.as_deref(), Some("portal.example"));
    }
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "authority");
    let pair = authority.issue("portal", &["other.example"], Kind::Ecdsa);
    let (portal, wanted) = before(&pair, "portal.example");
    is_refused(&portal, &trusting(wanted, &authority), "another name");
}

#[test]
fn an_expired_certificate_is_refused_and_one_of_the_future_too() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "authority");
    for (years, why) in [((2019, 2020), "expired"), ((2090, 2095), "not valid yet")] {
        let pair = authority.issue_for("portal", &["portal.example"], Kind::Ecdsa, years);
        let (portal, wanted) = before(&pair, "portal.example");
        is_refused(&portal, &trusting(wanted, &authority), why);
    }
}

#[test]
fn an_unknown_issuer_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "authority");
    let stranger = Authority::new(folder.path(), "stranger");
    let pair = stranger.issue("portal", &["portal.example"], Kind::Ecdsa);
    let (portal, wanted) = before(&pair, "portal.example");
    is_refused(&portal, &trusting(wanted, &authority), "unknown issuer");
    // Nor does the system know it, which is who is asked by default.
    let (portal, wanted) = before(&pair, "portal.example");
    is_refused(&portal, &wanted.start(), "certificate is not valid");
}

#[test]
fn insecure_takes_anything_and_says_so_loudly() {
    let folder = tempfile::tempdir().unwrap();
    let stranger = Authority::new(folder.path(), "stranger");
    let pair = stranger.issue_for("portal", &["other.example"], Kind::Rsa, (2019, 2020));
    let (_portal, wanted) = before(&pair, "portal.example");
    let proxy = wanted.with(&["--upstream-insecure"]).start();
    assert_eq!(proxy.call(client::deprecated_call(1)).status(), 200);
    let said = proxy.stderr.text();
    let loud = said.lines().any(|line| {
        (line.contains("\"WARN\"") || line.contains("\"ERROR\"")) && line.contains("insecure")
    });
    assert!(loud, "{said}");
}

#[test]
fn a_portal_that_speaks_no_tls_is_unreachable() {
    let portal = Portal::plain();
    let port = portal.address.port();
    let proxy = proxy::before(&format!("https://localhost:{port}"))
        .with(&[
            "--upstream-connect",
            &format!("127.0.0.1:{port}"),
            "--upstream-insecure",
        ])
        .start();
    let answer = proxy.call(client::deprecated_call(1));
    assert_eq!(answer.status(), 503, "{}", answer.text());
    assert_eq!(portal.request_count(), 0);
}

/// What a portal of HTTP/2 saw of a request.
#[derive(Clone, Debug)]
struct Seen {
    version: hyper::Version,
    target: String,
    host: Option<String>,
    body: Bytes,
}

/// A portal that speaks HTTP/2 where ALPN says so, else HTTP/1.1, on a thread of its own.
struct ModernPortal {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<Mutex<usize>>,
    _stop: tokio::sync::oneshot::Sender<()>,
}

async fn note(
    request: Request<Incoming>,
    seen: Arc<Mutex<Vec<Seen>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body
        .collect()
        .await
        .map(|all| all.to_bytes())
        .unwrap_or_default();
    seen.lock().unwrap().push(Seen {
        version: parts.version,
        target: parts
            .uri
            .path_and_query()
            .map(ToString::to_string)
            .unwrap_or_default(),
        host: parts
            .uri
            .authority()
            .map(ToString::to_string)
            .or_else(|| Some(parts.headers.get("host")?.to_str().ok()?.to_owned())),
        body,
    });
    let mut response = Response::new(Full::new(Bytes::from_static(b"{\"result\":true}")));
    let fields = response.headers_mut();
    fields.insert(
        "content-type",
        hyper::header::HeaderValue::from_static("application/json"),
    );
    fields.insert(
        "x-bitrix-rest-time",
        hyper::header::HeaderValue::from_static("0.5"),
    );
    Ok(response)
}

fn modern(pair: &Issued, protocols: &[&str]) -> ModernPortal {
    modern_on("127.0.0.1:0", pair, protocols)
}

fn modern_on(address: &'static str, pair: &Issued, protocols: &[&str]) -> ModernPortal {
    let acceptor = tokio_rustls::TlsAcceptor::from(pair.server(protocols));
    let (seen, connections) = (
        Arc::<Mutex<Vec<Seen>>>::default(),
        Arc::<Mutex<usize>>::default(),
    );
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let (give, take) = std::sync::mpsc::channel();
    let (noted, counted) = (seen.clone(), connections.clone());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let accept = async move {
            let listener = tokio::net::TcpListener::bind(address).await.unwrap();
            give.send(listener.local_addr().unwrap()).unwrap();
            while let Ok((socket, _)) = listener.accept().await {
                let (acceptor, seen, counted) = (acceptor.clone(), noted.clone(), counted.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(socket).await else {
                        return;
                    };
                    *counted.lock().unwrap() += 1;
                    let modern = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                    let service = service_fn(move |request| note(request, seen.clone()));
                    let stream = TokioIo::new(stream);
                    if modern {
                        let builder =
                            hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                        let _ = builder.serve_connection(stream, service).await;
                    } else {
                        let builder = hyper::server::conn::http1::Builder::new();
                        let _ = builder.serve_connection(stream, service).await;
                    }
                });
            }
        };
        runtime.block_on(async {
            tokio::select! {
                () = accept => {}
                _ = stopped => {}
            }
        });
    });
    ModernPortal {
        address: take.recv().unwrap(),
        seen,
        connections,
        _stop: stop,
    }
}

fn through(protocols: &[&str], arguments: &[&str]) -> (Vec<Seen>, usize) {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "authority");
    let pair = authority.issue("portal", &["portal.example"], Kind::Ecdsa);
    let portal = modern(&pair, protocols);
    let wanted = proxy::before("https://portal.example")
        .with(&[
            "--upstream-connect",
            &portal.address.to_string(),
            "--threads",
            "1",
        ])
        .with(arguments);
    let proxy = trusting(wanted, &authority);
    let mut connection = proxy.connect();
    for user in 0..5 {
        let answer = connection
            .call(client::deprecated_call(user))
            .expect("an answer");
        assert_eq!(answer.status(), 200, "{}", answer.text());
        assert_eq!(answer.text(), "{\"result\":true}");
        assert_eq!(answer.one("x-bitrix-rest-time").as_deref(), Some("0.5"));
    }
    assert_eq!(
        connection
            .call(client::get("/online/?a=1&b=%2F"))
            .unwrap()
            .status(),
        200
    );
    let large = "x".repeat(300_000);
    let answer = connection.call(client::post(
        "/rest/1/code/disk.folder.uploadfile",
        "text/plain",
        &large,
    ));
    assert_eq!(answer.unwrap().status(), 200);
    assert_eq!(proxy.events().len(), 5);
    let seen = portal.seen.lock().unwrap().clone();
    let connections = *portal.connections.lock().unwrap();
    (seen, connections)
}

fn is_exact(seen: &[Seen], version: hyper::Version) {
    assert_eq!(seen.len(), 7);
    for (user, one) in seen[..5].iter().enumerate() {
        assert_eq!(one.version, version);
        assert_eq!(
            one.target,
            "/rest/1/code/crm.item.details.configuration.reset"
        );
        assert_eq!(one.host.as_deref(), Some("portal.example"));
        let body: serde_json::Value = serde_json::from_slice(&one.body).unwrap();
        assert_eq!(
            (&body["userId"], &body["entityTypeId"]),
            (&user.into(), &1.into())
        );
    }
    assert_eq!(seen[5].target, "/online/?a=1&b=%2F");
    assert_eq!(seen[6].body.len(), 300_000);
}

#[test]
fn http_2_is_spoken_to_the_portal_where_it_is_asked_for_and_offered() {
    let (seen, connections) = through(&["h2", "http/1.1"], &["--upstream-http2"]);
    is_exact(&seen, hyper::Version::HTTP_2);
    assert!(
        connections <= 2,
        "streams share a connection: {connections}"
    );
}

#[test]
fn http_1_is_spoken_to_the_portal_where_either_side_wants_no_more() {
    for (protocols, arguments) in [
        (&["h2", "http/1.1"][..], &[][..]),
        (&["http/1.1"], &["--upstream-http2"]),
        (&[], &["--upstream-http2"]),
    ] {
        let (seen, _) = through(protocols, arguments);
        is_exact(&seen, hyper::Version::HTTP_11);
    }
}

#[test]
fn a_portal_by_its_ipv6_address_is_asked_by_it_over_tls_in_either_language() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        eprintln!("skipped: this machine has no IPv6");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "authority");
    let pair = authority.issue("portal", &["::1"], Kind::Ecdsa);
    for (protocols, version) in [
        (&["h2", "http/1.1"][..], hyper::Version::HTTP_2),
        (&["http/1.1"], hyper::Version::HTTP_11),
    ] {
        let portal = modern_on("[::1]:0", &pair, protocols);
        let own = portal.address.to_string();
        let wanted =
            proxy::before(&format!("https://{own}")).with(&["--upstream-http2", "--threads", "1"]);
        let proxy = trusting(wanted, &authority);
        assert_eq!(proxy.call(client::deprecated_call(1)).status(), 200);
        assert_eq!(proxy.call(client::get("/online/")).status(), 200);
        for one in portal.seen.lock().unwrap().iter() {
            assert_eq!(one.version, version);
            assert_eq!(one.host.as_deref(), Some(&*own));
        }
    }
}

#[test]
fn http_2_is_spoken_as_soon_as_the_portal_offers_it() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "authority");
    let pair = authority.issue("portal", &["portal.example"], Kind::Ecdsa);
    // A relay between the two, so that the portal can become another one at the same address.
    let (old, new) = (
        modern(&pair, &["http/1.1"]),
        modern(&pair, &["h2", "http/1.1"]),
    );
    let target = Arc::new(Mutex::new(old.address));
    let relay = relay(target.clone());
    let wanted = proxy::before("https://portal.example").with(&[
        "--upstream-connect",
        &relay.to_string(),
        "--upstream-http2",
        "--pool-idle-timeout",
        "100ms",
        "--threads",
        "1",
    ]);
    let proxy = trusting(wanted, &authority);
    let call = || assert_eq!(proxy.call(client::deprecated_call(1)).status(), 200);
    call();
    call();
    let before = old.seen.lock().unwrap().clone();
    assert_eq!(before.len(), 2);
    assert!(
        before
            .iter()
            .all(|one| one.version == hyper::Version::HTTP_11)
    );
    *target.lock().unwrap() = new.address;
    pause_ms(
        400,
        "an idle connection to the old portal is to be over its time",
    );
    call();
    call();
    let after = new.seen.lock().unwrap().clone();
    assert_eq!(after.len(), 2);
    assert!(
        after
            .iter()
            .all(|one| one.version == hyper::Version::HTTP_2)
    );
}

/// Copies connections to the address that stands there when they come.
fn relay(target: Arc<Mutex<std::net::SocketAddr>>) -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let Ok(portal) = std::net::TcpStream::connect(*target.lock().unwrap()) else {
                continue;
            };
            for (mut from, mut to) in [
                (client.try_clone().unwrap(), portal.try_clone().unwrap()),
                (portal, client),
            ] {
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Write);
                });
            }
        }
    });
    address
}

/// Runs openssl in this folder; `None` where there is none.
fn openssl(folder: &std::path::Path, arguments: &str) -> Option<()> {
    let done = std::process::Command::new("openssl")
        .current_dir(folder)
        .args(arguments.split(' '))
        .output();
    let Ok(done) = done else {
        eprintln!("skipped: openssl is not installed");
        return None;
    };
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "openssl {arguments}: {said}");
    Some(())
}

/// A server that we did not write, `openssl s_server -www`; ended when dropped.
struct Server(std::process::Child, u16);

impl Server {
    fn start(folder: &std::path::Path, arguments: &str) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let child = std::process::Command::new("openssl")
            .current_dir(folder)
            .args(["s_server", "-quiet", "-www", "-accept", &port.to_string()])
            .args(arguments.split(' '))
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        wait_until_or(
            || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok(),
            || format!("s_server {arguments}"),
        );
        Self(child, port)
    }

    fn proxy(&self, arguments: &[&str]) -> Proxy {
        let connect = format!("127.0.0.1:{}", self.1);
        proxy::before(&format!("https://localhost:{}", self.1))
            .with(&["--upstream-connect", &connect])
            .with(arguments)
            .start()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An old root of X.509 version 1, a certificate of version 3 that it issued, and one of version 1 with a short key.
fn old_certificates(folder: &std::path::Path) -> Option<()> {
    std::fs::write(folder.join("v3"), "subjectAltName=DNS:localhost").unwrap();
    for command in [
        "genrsa -out root.key 2048",
        "req -new -key root.key -subj /CN=root -out root.csr",
        "x509 -req -in root.csr -signkey root.key -days 999 -out root.crt",
        "genrsa -out leaf.key 2048",
        "req -new -key leaf.key -subj /CN=localhost -out leaf.csr",
        "x509 -req -in leaf.csr -CA root.crt -CAkey root.key -CAcreateserial -days 999 -extfile v3 -out leaf.crt",
        "x509 -req -in leaf.csr -CA root.crt -CAkey root.key -CAcreateserial -days 999 -out one.crt",
        "genrsa -out short.key 1024",
        "req -new -key short.key -subj /CN=localhost -out short.csr",
        "x509 -req -in short.csr -signkey short.key -days 999 -out short.crt",
    ] {
        openssl(folder, command)?;
    }
    Some(())
}

#[test]
fn insecure_takes_version_1_and_short_keys_and_a_root_of_version_1_is_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    if old_certificates(at).is_none() {
        return;
    }
    let request = "GET /page HTTP/1.0\r\nHost: localhost\r\n\r\n";
    for version in ["-tls1_2", "-tls1_3"] {
        let short = "-cert short.crt -key short.key -cipher ALL:@SECLEVEL=0";
        let server = Server::start(at, &format!("{short} {version}"));
        let proxy = server.proxy(&["--upstream-insecure"]);
        assert_eq!(proxy.call(request).status(), 200, "{version}");
    }
    let root = at.join("root.crt");
    let server = Server::start(at, "-cert leaf.crt -key leaf.key");
    let proxy = server.proxy(&["--upstream-ca", root.to_str().unwrap()]);
    assert_eq!(proxy.call(request).status(), 200);
    let server = Server::start(at, "-cert one.crt -key leaf.key");
    let proxy = server.proxy(&["--upstream-ca", root.to_str().unwrap()]);
    let answer = proxy.call(request);
    assert_eq!(answer.status(), 503);
    assert!(
        answer.text().contains("X.509 version 1"),
        "{}",
        answer.text()
    );
}

#[test]
fn a_handshake_that_fails_says_which_part_did_not_agree_and_the_log_says_when_it_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    if old_certificates(at).is_none() {
        return;
    }
    let pair = "-cert leaf.crt -key leaf.key";
    for (arguments, why) in [
        ("-tls1_1 -cipher ALL:@SECLEVEL=0", "no version in common"),
        ("-tls1_2 -cipher AES128-SHA", "no cipher in common"),
        ("-tls1_3 -curves secp521r1", "no key exchange in common"),
    ] {
        let server = Server::start(at, &format!("{pair} {arguments}"));
        let proxy = server.proxy(&["--upstream-insecure"]);
        let answer = proxy.call(client::deprecated_call(1));
        assert_eq!(answer.status(), 503, "{arguments}");
        assert!(answer.text().contains(why), "{why}: {}", answer.text());
        let said = |wanted: &str| {
            let found = proxy
                .stderr
                .wait_for(|text| text.contains(wanted).then_some(()));
            assert!(found.is_some(), "{wanted}: {}", proxy.stderr.text());
        };
        said("the portal cannot be reached: the TLS handshake failed: ");
        if arguments.contains("tls1_3") {
            let port = server.1;
            drop(server);
            let again = std::process::Command::new("openssl")
                .current_dir(at)
                .args(["s_server", "-quiet", "-www", "-accept", &port.to_string()])
                .args(pair.split(' '))
                .stdin(std::process::Stdio::null())
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::null())
                .spawn();
            let _again = Server(again.unwrap(), port);
            wait_until("the portal is not reached again", || {
                proxy
                    .call("GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
                    .status()
                    == 200
            });
            said("the portal is reached again, after ");
        }
    }
}
