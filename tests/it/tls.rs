//! TLS towards clients over real sockets: versions, keys, names, protocols, resumption, and certificates that change.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, HandshakeKind, ProtocolVersion};

use crate::support::authority::{Authority, Issued, Kind, provider};
use crate::support::client::{self, Client};
use crate::support::figure;
use crate::support::portal::Portal;
use crate::support::proxy::{self, Proxy};
use crate::support::time::{pause_ms, wait_until, wait_until_or};
use crate::support::wire::{self, Inbox, PATIENCE, Stream};

type Version = &'static rustls::SupportedProtocolVersion;
const TLS12: Version = &rustls::version::TLS12;
const TLS13: Version = &rustls::version::TLS13;

/// A client's settings: whom it trusts, what it speaks.
fn speaks(authority: &Authority, versions: &[Version], protocols: &[&str]) -> Arc<ClientConfig> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .expect("versions")
        .with_root_certificates(authority.roots())
        .with_no_client_auth();
    config.alpn_protocols = protocols
        .iter()
        .map(|name| name.as_bytes().to_vec())
        .collect();
    Arc::new(config)
}

/// What a handshake agreed on.
struct Agreed {
    version: Option<ProtocolVersion>,
    protocol: Option<String>,
    leaf: CertificateDer<'static>,
    kind: Option<HandshakeKind>,
}

/// A connection whose handshake is done.
fn handshake(
    address: SocketAddr,
    name: &str,
    config: &Arc<ClientConfig>,
) -> std::io::Result<(Client, Agreed)> {
    let mut socket = wire::dial(address)?;
    let name = name.to_owned().try_into().expect("a name");
    let mut tls = rustls::ClientConnection::new(config.clone(), name).expect("a TLS client");
    while tls.is_handshaking() {
        tls.complete_io(&mut socket)?;
    }
    let agreed = Agreed {
        version: tls.protocol_version(),
        protocol: tls
            .alpn_protocol()
            .map(|name| String::from_utf8_lossy(name).into_owned()),
        leaf: tls.peer_certificates().expect("a chain")[0]
            .clone()
            .into_owned(),
        kind: tls.handshake_kind(),
    };
    let stream = Stream::Client(Box::new(rustls::StreamOwned::new(tls, socket)));
    Ok((
        Client {
            stream,
            inbox: Inbox::default(),
        },
        agreed,
    ))
}

/// A portal, an authority, its certificate for `localhost`, and a proxy that shows it.
struct Set {
    portal: Portal,
    authority: Authority,
    pair: Issued,
    proxy: Proxy,
}

fn set(kind: Kind, arguments: &[&str]) -> Set {
    let portal = Portal::plain();
    let wanted = proxy::before(&portal.url());
    let authority = Authority::new(wanted.folder(), "authority");
    let pair = authority.issue("shown", &["localhost"], kind);
    let proxy = wanted.with(&pair.arguments()).with(arguments).start();
    Set {
        portal,
        authority,
        pair,
        proxy,
    }
}

/// Handshakes are counted a moment after their clients see the end.
fn handshakes_become(proxy: &Proxy, result: &str, wanted: f64) {
    let sample = format!("b24_proxy_tls_handshakes_total{{result=\"{result}\"}}");
    wait_until_or(
        || proxy.metric(&sample) >= wanted,
        || format!("no {wanted} of {result}"),
    );
    assert_eq!(proxy.metric(&sample), wanted, "{result}");
}

fn works(client: &mut Client) {
    let answer = client.call(client::deprecated_call(1)).expect("an answer");
    assert_eq!(answer.status(), 200);
}

#[test]
fn both_versions_and_both_kinds_of_keys_are_spoken() {
    for kind in [Kind::Ecdsa, Kind::Rsa] {
        let set = set(kind, &[]);
        for (version, wanted) in [
            (TLS12, ProtocolVersion::TLSv1_2),
            (TLS13, ProtocolVersion::TLSv1_3),
        ] {
            let config = speaks(&set.authority, &[version], &[]);
            let (mut client, agreed) =
                handshake(set.proxy.address(), "localhost", &config).expect("a handshake");
            assert_eq!(agreed.version, Some(wanted), "{kind:?}");
            assert!(agreed.leaf == set.pair.leaf());
            works(&mut client);
            works(&mut client);
        }
        for request in set.portal.requests() {
            assert_eq!(request.one("x-forwarded-proto").as_deref(), Some("https"));
        }
        handshakes_become(&set.proxy, "ok", 2.0);
    }
}

/// A ClientHello that offers nothing above this version, as a client without any newer one sends it.
fn old_hello(minor: u8) -> Vec<u8> {
    let mut hello = vec![3, minor];
    hello.extend_from_slice(&[7; 32]);
    // No session; ECDHE with AES-GCM and, for older versions, AES-CBC; no compression.
    hello.extend_from_slice(&[0, 0, 6, 0xc0, 0x2f, 0xc0, 0x13, 0, 0x2f, 1, 0]);
    let extensions: &[&[u8]] = &[
        &[0, 0x0a, 0, 6, 0, 4, 0, 0x1d, 0, 0x17],
        &[0, 0x0b, 0, 2, 1, 0],
        &[0, 0x0d, 0, 8, 0, 6, 4, 1, 8, 4, 4, 3],
        // extended_master_secret, which goes with every TLS 1.2 of today.
        &[0, 0x17, 0, 0],
    ];
    let extensions = extensions.concat();
    hello.extend_from_slice(&[0, u8::try_from(extensions.len()).expect("few")]);
    hello.extend_from_slice(&extensions);
    let length = u8::try_from(hello.len()).expect("a short one");
    let mut record = vec![0x16, 3, 1, 0, length + 4, 1, 0, 0, length];
    record.append(&mut hello);
    record
}

#[test]
fn older_versions_are_refused() {
    let set = set(Kind::Rsa, &[]);
    let mut socket = wire::dial(set.proxy.address()).unwrap();
    socket.write_all(&old_hello(3)).unwrap();
    let mut kind = [0];
    socket.read_exact(&mut kind).unwrap();
    assert_eq!(kind, [0x16], "TLS 1.2 is answered with a handshake");
    drop(socket);
    for minor in [0, 1, 2] {
        let mut socket = wire::dial(set.proxy.address()).unwrap();
        socket.write_all(&old_hello(minor)).unwrap();
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        assert_eq!(
            answer.first(),
            Some(&0x15),
            "an alert to 3.{minor}: {answer:?}"
        );
        assert_eq!(answer.last(), Some(&70), "protocol_version");
    }
    // What is neither TLS nor HTTP meets no better fate, and nobody else notices.
    let mut socket = wire::dial(set.proxy.address()).unwrap();
    socket.write_all(b"\0\0no TLS\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "no answer in the clear");
    let config = speaks(&set.authority, &[TLS12, TLS13], &[]);
    works(
        &mut handshake(set.proxy.address(), "localhost", &config)
            .unwrap()
            .0,
    );
    handshakes_become(&set.proxy, "failed", 5.0);
}

#[test]
fn http_2_is_agreed_on_only_where_both_want_it() {
    for (arguments, offered, wanted) in [
        (&[][..], &["h2", "http/1.1"][..], Some("http/1.1")),
        (&[], &["http/1.1"], Some("http/1.1")),
        (&[], &[], None),
        (&["--http2"], &["h2", "http/1.1"], Some("h2")),
        (&["--http2"], &["http/1.1"], Some("http/1.1")),
        (&["--http2"], &[], None),
    ] {
        let set = set(Kind::Ecdsa, arguments);
        let config = speaks(&set.authority, &[TLS12, TLS13], offered);
        let (mut client, agreed) = handshake(set.proxy.address(), "localhost", &config).unwrap();
        assert_eq!(
            agreed.protocol.as_deref(),
            wanted,
            "{arguments:?} {offered:?}"
        );
        if wanted != Some("h2") {
            works(&mut client);
        }
    }
    let set = set(Kind::Ecdsa, &[]);
    let only = speaks(&set.authority, &[TLS13], &["h2"]);
    assert!(handshake(set.proxy.address(), "localhost", &only).is_err());
}

#[test]
fn the_certificate_is_chosen_by_name() {
    let portal = Portal::plain();
    let wanted = proxy::before(&portal.url());
    let authority = Authority::new(wanted.folder(), "authority");
    let first = authority.issue("first", &["localhost"], Kind::Ecdsa);
    let shop = authority.issue("shop", &["shop.example", "www.shop.example"], Kind::Rsa);
    let wild = authority.issue("wild", &["*.crm.example"], Kind::Ecdsa);
    let file: String = [&first, &shop, &wild]
        .map(|one| {
            format!(
                "[[certificate]]\ncert = {:?}\nkey = {:?}\n",
                one.certificate, one.key
            )
        })
        .concat();
    let path = wanted.folder().join("proxy.toml");
    std::fs::write(&path, file).unwrap();
    let proxy = wanted.with(&["--config", path.to_str().unwrap()]).start();
    for (name, of) in [
        ("localhost", &first),
        ("shop.example", &shop),
        ("www.shop.example", &shop),
        ("SHOP.example", &shop),
        ("a.crm.example", &wild),
    ] {
        for version in [TLS12, TLS13] {
            let config = speaks(&authority, &[version], &[]);
            let (mut client, agreed) = handshake(proxy.address(), name, &config).expect(name);
            assert!(agreed.leaf == of.leaf(), "{name}");
            works(&mut client);
        }
    }
    // A name of nobody gets the first one, which its client refuses.
    let config = speaks(&authority, &[TLS13], &[]);
    let refused = handshake(proxy.address(), "unknown.example", &config).err();
    assert!(refused.is_some_and(|error| error.to_string().contains("certificate")));
}

#[test]
fn a_chain_is_sent_whole() {
    let portal = Portal::plain();
    let wanted = proxy::before(&portal.url());
    let root = Authority::new(wanted.folder(), "root");
    let pair = root
        .below("between")
        .issue("leaf", &["localhost"], Kind::Ecdsa);
    let proxy = wanted.with(&pair.arguments()).start();
    let config = speaks(&root, &[TLS13], &[]);
    works(&mut handshake(proxy.address(), "localhost", &config).unwrap().0);
}

#[test]
fn a_client_that_comes_back_resumes_its_session() {
    let set = set(Kind::Ecdsa, &["--threads", "2"]);
    for version in [TLS12, TLS13] {
        let config = speaks(&set.authority, &[version], &[]);
        for round in 0..6 {
            let (mut client, agreed) =
                handshake(set.proxy.address(), "localhost", &config).unwrap();
            works(&mut client);
            if round > 0 {
                assert_eq!(
                    agreed.kind,
                    Some(HandshakeKind::Resumed),
                    "{version:?} {round}"
                );
            }
        }
    }
}

#[test]
fn a_listener_marked_http_stays_plain_beside_the_certificate() {
    let portal = Portal::plain();
    let wanted = proxy::before(&portal.url()).own_listeners();
    let authority = Authority::new(wanted.folder(), "authority");
    let pair = authority.issue("shown", &["localhost"], Kind::Ecdsa);
    let proxy = wanted
        .with(&["--listen", "127.0.0.1:0", "--listen", "http://127.0.0.1:0"])
        .with(&pair.arguments())
        .start();
    let config = speaks(&authority, &[TLS13], &[]);
    works(
        &mut handshake(proxy.addresses[0], "localhost", &config)
            .unwrap()
            .0,
    );
    works(&mut Client::connect(proxy.addresses[1]));
    let seen: Vec<_> = portal
        .requests()
        .iter()
        .map(|request| request.one("x-forwarded-proto").unwrap())
        .collect();
    assert_eq!(seen, ["https", "http"]);
}

#[test]
fn a_handshake_that_stalls_is_ended() {
    let set = set(Kind::Ecdsa, &["--tls-handshake-timeout", "400ms"]);
    let mut half = wire::dial(set.proxy.address()).unwrap();
    half.write_all(&[0x16, 3, 1, 1, 0, 1, 0]).unwrap();
    let mut silent = wire::dial(set.proxy.address()).unwrap();
    let began = Instant::now();
    let mut answer = Vec::new();
    let _ = half.read_to_end(&mut answer);
    let _ = silent.read_to_end(&mut answer);
    assert!(began.elapsed() < Duration::from_secs(5));
    handshakes_become(&set.proxy, "timed_out", 2.0);
}

#[test]
fn one_connection_too_many_is_told_so_behind_its_handshake() {
    let set = set(Kind::Ecdsa, &["--max-connections", "1", "--http2"]);
    let config = speaks(&set.authority, &[TLS12, TLS13], &["http/1.1"]);
    let address = set.proxy.address();
    let (mut held, _) = handshake(address, "localhost", &config).unwrap();
    works(&mut held);
    for versions in [[TLS12], [TLS13]] {
        let config = speaks(&set.authority, &versions, &["http/1.1"]);
        let (mut over, _) = handshake(address, "localhost", &config).unwrap();
        let answer = over.call(client::deprecated_call(1)).expect("an answer");
        assert_eq!(answer.status(), 503);
        assert_eq!(answer.one("retry-after").as_deref(), Some("2"));
        assert!(answer.text().contains("PROXY_BUSY"), "{}", answer.text());
        assert!(over.closed_within(PATIENCE));
    }
    if let Ok(curl) = std::process::Command::new("curl")
        .args([
            "-sS",
            "--http2",
            "--max-time",
            "10",
            "-w",
            " %{http_version} %{http_code}",
            "--cacert",
        ])
        .arg(&set.authority.certificate)
        .arg(format!(
            "https://localhost:{}/rest/1/code/profile",
            address.port()
        ))
        .args([
            "--resolve",
            &format!("localhost:{}:127.0.0.1", address.port()),
        ])
        .output()
    {
        let said = String::from_utf8_lossy(&curl.stdout).into_owned();
        assert!(
            said.contains("PROXY_BUSY") && said.ends_with(" 2 503"),
            "{curl:?}"
        );
    }
    works(&mut held);
    let refused = "b24_proxy_connections_refused_total{reason=\"total\"}";
    assert!(set.proxy.metric(refused) >= 2.0);
    // Those that say nothing are closed, and take no more than their share.
    let silent: Vec<_> = (0..300).map(|_| wire::dial(address).unwrap()).collect();
    works(&mut held);
    let mut closed = 0;
    for socket in &silent {
        socket
            .set_read_timeout(Some(Duration::from_millis(1)))
            .unwrap();
        closed += usize::from(matches!((&*socket).read(&mut [0]), Ok(0)));
    }
    assert!(closed >= 100, "{closed} of 300 were closed at once");
}

#[test]
fn a_handshake_that_fails_is_counted_as_a_connection_refused() {
    let set = set(Kind::Ecdsa, &[]);
    let mut plain = wire::dial(set.proxy.address()).unwrap();
    plain
        .write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        .unwrap();
    let _ = plain.read_to_end(&mut Vec::new());
    handshakes_become(&set.proxy, "failed", 1.0);
    let refused = "b24_proxy_connections_refused_total{reason=\"tls\"}";
    assert_eq!(set.proxy.metric(refused), 1.0);
}

#[test]
fn a_handshake_in_its_middle_at_a_drain_is_finished_or_counted() {
    for finishes in [true, false] {
        let mut set = set(Kind::Ecdsa, &["--drain-timeout", "20s"]);
        let config = speaks(&set.authority, &[TLS13], &[]);
        let mut socket = wire::dial(set.proxy.address()).unwrap();
        let name = "localhost".try_into().unwrap();
        let mut tls = rustls::ClientConnection::new(config, name).unwrap();
        // The first flight is out, the answer to it not read.
        tls.write_tls(&mut socket).unwrap();
        pause_ms(200, "nothing shows that the first flight has been read");
        let told = Instant::now();
        set.proxy.signal(Signal::TERM);
        pause_ms(200, "the drain is to have begun");
        if finishes {
            while tls.is_handshaking() {
                tls.complete_io(&mut socket).unwrap();
            }
            let stream = Stream::Client(Box::new(rustls::StreamOwned::new(tls, socket)));
            let mut client = Client {
                stream,
                inbox: Inbox::default(),
            };
            let answer = client.call(client::get("/late")).expect("an answer");
            assert_eq!(answer.status(), 200);
        }
        assert_eq!(set.proxy.wait().code(), Some(0));
        assert!(
            told.elapsed() < Duration::from_secs(6),
            "{:?}",
            told.elapsed()
        );
    }
}

/// Calls going on: over connections that stay, and over new ones.
struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    threads: Vec<std::thread::JoinHandle<Vec<String>>>,
}

impl Load {
    fn start(address: SocketAddr, config: &Arc<ClientConfig>) -> Self {
        let (stop, done) = (
            Arc::new(AtomicBool::new(false)),
            Arc::<AtomicUsize>::default(),
        );
        let threads = [true, true, false, false]
            .map(|stays| {
                let (stop, done, config) = (stop.clone(), done.clone(), config.clone());
                std::thread::spawn(move || {
                    let mut failures = Vec::new();
                    let mut connection: Option<Client> = None;
                    while !stop.load(Ordering::SeqCst) {
                        let mut client = match connection.take() {
                            Some(client) => client,
                            None => match handshake(address, "localhost", &config) {
                                Ok((client, _)) => client,
                                Err(error) => {
                                    failures.push(format!("handshake: {error}"));
                                    continue;
                                }
                            },
                        };
                        match client.call(client::deprecated_call(1)) {
                            Ok(answer) if answer.status() == 200 => {
                                done.fetch_add(1, Ordering::SeqCst);
                                connection = Some(client).filter(|_| stays);
                            }
                            other => failures.push(format!("call: {other:?}")),
                        }
                    }
                    failures
                })
            })
            .into();
        Self {
            stop,
            done,
            threads,
        }
    }

    fn wait_for(&self, more: usize) {
        let goal = self.done.load(Ordering::SeqCst) + more;
        wait_until("the load does not flow", || {
            self.done.load(Ordering::SeqCst) >= goal
        });
    }

    /// What went wrong.
    fn end(self) -> Vec<String> {
        self.stop.store(true, Ordering::SeqCst);
        self.threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("a client"))
            .collect()
    }
}

fn shown_leaf(set: &Set) -> CertificateDer<'static> {
    // Without a session to resume: those show the certificate that they began with.
    let config = speaks(&set.authority, &[TLS13], &[]);
    handshake(set.proxy.address(), "localhost", &config)
        .expect("a handshake")
        .1
        .leaf
}

fn await_leaf(set: &Set, wanted: &Issued) {
    wait_until_or(
        || shown_leaf(set) == wanted.leaf(),
        || {
            format!(
                "the new certificate is not shown\n{}",
                set.proxy.stderr.text()
            )
        },
    );
}

#[test]
fn certificates_are_swapped_under_load_without_a_dropped_connection() {
    let set = set(Kind::Ecdsa, &[]);
    let others = [
        set.authority.issue("second", &["localhost"], Kind::Rsa),
        set.authority.issue("third", &["localhost"], Kind::Ecdsa),
    ];
    let config = speaks(&set.authority, &[TLS12, TLS13], &[]);
    let load = Load::start(set.proxy.address(), &config);
    load.wait_for(50);
    for round in 0..6 {
        let next = &others[round % 2];
        next.replace(&set.pair);
        // By a signal, and because the files have changed.
        if round < 4 {
            set.proxy.signal(Signal::HUP);
        }
        await_leaf(&set, next);
        load.wait_for(30);
    }
    let calls = load.done.load(Ordering::SeqCst);
    let failures = load.end();
    figure(
        "6 certificate swaps under load",
        format!("{} of more than {calls} calls failed", failures.len()),
    );
    assert!(failures.is_empty(), "{failures:?}");
}

#[test]
fn a_bad_new_pair_is_refused_and_the_old_one_stays() {
    let set = set(Kind::Ecdsa, &[]);
    let leaf = set.pair.leaf();
    let key = std::fs::read(&set.pair.key).unwrap();
    let certificate = std::fs::read(&set.pair.certificate).unwrap();
    let stranger = set.authority.issue("stranger", &["localhost"], Kind::Ecdsa);
    let config = speaks(&set.authority, &[TLS12, TLS13], &[]);
    let load = Load::start(set.proxy.address(), &config);
    let complaints = |file: &std::path::Path| {
        let name = file.display().to_string();
        set.proxy
            .stderr
            .text()
            .lines()
            .filter(|line| line.contains("\"ERROR\"") && line.contains(&name))
            .count()
    };
    // A file, what comes into it (the stranger's key where nothing is said), and what was good in it.
    type Bad<'a> = (&'a std::path::Path, Option<&'a [u8]>, &'a [u8]);
    let bad: [Bad; 4] = [
        (&set.pair.certificate, Some(b"no certificate"), &certificate),
        (&set.pair.key, Some(b""), &key),
        (&set.pair.key, None, &key),
        (
            &set.pair.certificate,
            Some(&certificate[..certificate.len() / 3]),
            &certificate,
        ),
    ];
    for (file, content, good) in bad {
        let before = complaints(file);
        match content {
            Some(content) => std::fs::write(file, content).unwrap(),
            None => {
                std::fs::copy(&stranger.key, file).unwrap();
            }
        }
        set.proxy.signal(Signal::HUP);
        wait_until_or(
            || complaints(file) != before,
            || format!("no complaint about {}", file.display()),
        );
        assert!(shown_leaf(&set) == leaf, "the old one stays");
        std::fs::write(file, good).unwrap();
    }
    load.wait_for(50);
    let failures = load.end();
    assert!(failures.is_empty(), "{failures:?}");
    stranger.replace(&set.pair);
    set.proxy.signal(Signal::HUP);
    await_leaf(&set, &stranger);
}

#[test]
fn a_pair_that_does_not_match_or_cannot_be_read_keeps_it_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "authority");
    let (one, other) = (
        authority.issue("one", &["localhost"], Kind::Ecdsa),
        authority.issue("other", &["localhost"], Kind::Ecdsa),
    );
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIH=\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nMIH=\n\
               -----END RSA PRIVATE KEY-----\n";
    let (encrypted, old) = (file("encrypted.key", encrypted), file("old.key", old));
    let empty = file("empty.pem", "");
    let text = |path: &std::path::Path| std::fs::read_to_string(path).unwrap().replace('\r', "");
    let (chain, secret) = (text(&one.certificate), text(&one.key));
    let joined = file("joined.crt", &format!("{}{chain}", chain.trim_end()));
    let in_one_line = file("in-one-line.key", &secret.replace('\n', "\\n"));
    let nowhere = std::path::PathBuf::from(secret.lines().nth(1).unwrap());
    for (certificate, key, name, why) in [
        (&one.certificate, &other.key, "other.key", "is not the key"),
        (
            &one.certificate,
            &encrypted,
            "encrypted.key",
            "encrypted; decrypt it first",
        ),
        (
            &one.certificate,
            &old,
            "old.key",
            "encrypted; decrypt it first",
        ),
        (
            &one.certificate,
            &empty,
            "empty.pem",
            "no private key in PEM form",
        ),
        (
            &one.certificate,
            &one.certificate,
            "one",
            "no private key in PEM form",
        ),
        (&empty, &one.key, "empty.pem", "no certificate in PEM form"),
        (&joined, &one.key, "joined.crt", "a line end is missing"),
        (
            &one.certificate,
            &in_one_line,
            "in-one-line.key",
            ":1:1: the line holds ----- and begins no block; its line ends are written as \\n",
        ),
        (
            &one.certificate,
            &nowhere,
            "cannot read the private key: ",
            "; give the path of its file",
        ),
    ] {
        let pair = [
            "--tls-cert",
            certificate.to_str().unwrap(),
            "--tls-key",
            key.to_str().unwrap(),
        ];
        let wanted = proxy::before("http://127.0.0.1:9").with(&pair);
        let serve = wanted.command();
        let mut check = std::process::Command::new(serve.get_program());
        check
            .args(["check", "--upstream", "http://127.0.0.1:9"])
            .args(pair);
        for mut command in [serve, check] {
            let output = command.output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{said}");
            assert!(said.contains(name) && said.contains(why), "{said}");
            assert_eq!(said.trim_end().lines().count(), 1, "{said}");
            let content = secret.lines().nth(1).unwrap().as_bytes();
            let shows = |part: &[u8]| said.contains(str::from_utf8(part).unwrap());
            let numbers = content[..4].iter().map(|b| format!("{b}, "));
            assert!(!content.windows(8).any(shows), "{said}");
            assert!(!said.contains(&numbers.collect::<String>()), "{said}");
            assert!(output.stdout.is_empty());
        }
    }
}

#[test]
fn a_chain_that_does_not_lead_on_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "authority");
    let stranger = Authority::new(folder.path(), "stranger");
    let pair = authority.issue("leaf", &["localhost"], Kind::Ecdsa);
    let chain = std::fs::read_to_string(&pair.certificate).unwrap();
    let other = std::fs::read_to_string(&stranger.certificate).unwrap();
    std::fs::write(&pair.certificate, format!("{chain}{other}")).unwrap();
    let proxy = proxy::before("http://127.0.0.1:9")
        .with(&pair.arguments())
        .start();
    let wanted = "certificate 3 did not issue certificate 2 before it";
    let warns = |text: &str| {
        let is = |line: &&str| line.contains("\"WARN\"") && line.contains(wanted);
        text.lines().find(is).map(drop)
    };
    assert!(proxy.stderr.wait_for(warns).is_some());
    let check = std::process::Command::new(proxy::before("x").command().get_program())
        .args(["check", "--quiet", "--upstream", "http://127.0.0.1:9"])
        .args(pair.arguments())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&check.stderr);
    assert!(
        said.starts_with("warning: ") && said.contains(wanted),
        "{said}"
    );
    assert_eq!(check.status.code(), Some(0));
}

/// `cp -p`, or a tool that restores times: the new files have the size and the times of the old ones.
#[test]
fn a_swap_that_keeps_sizes_and_times_is_seen() {
    let set = set(Kind::Ecdsa, &[]);
    let files = [&set.pair.certificate, &set.pair.key];
    let times = files.map(|file| std::fs::metadata(file).unwrap().modified().unwrap());
    let next = set.authority.issue("second", &["localhost"], Kind::Ecdsa);
    let sizes =
        |of: &Issued| [&of.certificate, &of.key].map(|file| std::fs::metadata(file).unwrap().len());
    // Of one size, for blanks may stand behind the last block; written in place, so that the inodes stay.
    let size: Vec<_> = std::iter::zip(sizes(&set.pair), sizes(&next))
        .map(|(old, new)| usize::try_from(old.max(new)).unwrap() + 1)
        .collect();
    for ((old, new), size) in files
        .into_iter()
        .zip([&next.certificate, &next.key])
        .zip(size)
    {
        let mut text = std::fs::read_to_string(new).unwrap();
        text.push_str(&" ".repeat(size - text.len()));
        std::fs::write(old, text).unwrap();
    }
    for (file, time) in files.into_iter().zip(times) {
        let open = std::fs::File::options().append(true).open(file).unwrap();
        open.set_modified(time).unwrap();
    }
    await_leaf(&set, &next);
}

#[test]
fn a_certificate_behind_a_swapped_symlink_is_taken() {
    // As a kubelet mounts a Secret of cert-manager: tls.crt → ..data/tls.crt, ..data → a folder, which is swapped.
    let portal = Portal::plain();
    let wanted = proxy::before(&portal.url());
    let folder = wanted.folder().to_owned();
    let authority = Authority::new(&folder, "authority");
    let [first, next] =
        ["first", "next"].map(|name| authority.issue(name, &["localhost"], Kind::Ecdsa));
    let swap = |version: &str, issued: &Issued| {
        std::fs::create_dir(folder.join(version)).unwrap();
        std::fs::copy(&issued.certificate, folder.join(version).join("tls.crt")).unwrap();
        std::fs::copy(&issued.key, folder.join(version).join("tls.key")).unwrap();
        std::os::unix::fs::symlink(version, folder.join("..tmp")).unwrap();
        std::fs::rename(folder.join("..tmp"), folder.join("..data")).unwrap();
    };
    swap("..1", &first);
    let [certificate, key] = ["tls.crt", "tls.key"].map(|name| {
        std::os::unix::fs::symlink(format!("..data/{name}"), folder.join(name)).unwrap();
        folder.join(name).display().to_string()
    });
    let proxy = wanted
        .with(&["--tls-cert", &certificate, "--tls-key", &key])
        .start();
    let set = Set {
        portal,
        authority,
        pair: first,
        proxy,
    };
    await_leaf(&set, &set.pair);
    swap("..2", &next);
    await_leaf(&set, &next);
}

#[test]
fn plain_http_on_a_port_of_tls_is_answered_400_and_said_in_the_log() {
    let set = set(Kind::Ecdsa, &[]);
    let answer = client::call(set.proxy.address(), client::deprecated_call(1));
    assert_eq!(answer.status(), 400);
    assert!(answer.text().contains("https://"), "{}", answer.text());
    assert_eq!(answer.one("connection").as_deref(), Some("close"));
    assert_eq!(set.portal.request_count(), 0);
    handshakes_become(&set.proxy, "failed", 1.0);
    let wanted =
        "TLS handshakes of clients failed: 1 times plain HTTP came to a port that speaks TLS";
    let said = set
        .proxy
        .stderr
        .wait_for(|text| text.contains(wanted).then_some(()));
    assert!(said.is_some(), "{}", set.proxy.stderr.text());
}
