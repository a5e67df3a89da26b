//! Real clients and real upstreams: curl over HTTP/1.1, HTTP/2 and TLS, through the proxy, to nginx and HAProxy.
//!
//! What is not installed is skipped, and said so.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::authority::{Authority, Issued, Kind};
use crate::support::client::{self, Client};
use crate::support::portal::Portal;
use crate::support::proxy::{self, Proxy};
use crate::support::time::wait_until_or;

/// Whether a program can be run; where not, the line that says that its test is skipped.
pub fn is_installed(program: &str) -> bool {
    let found = std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path)
            .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
            .any(|folder| folder.join(program).is_file())
    });
    if !found {
        eprintln!("skipped: {program} is not installed");
    }
    found
}

pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

/// A program that runs until it is dropped, and where it listens.
pub struct Running(Child, pub SocketAddr);

impl Running {
    pub fn start(program: &str, arguments: &[&str], port: u16) -> Self {
        let path = format!(
            "{}:/usr/sbin:/usr/local/sbin",
            std::env::var("PATH").unwrap_or_default()
        );
        let child = Command::new("env")
            .arg(format!("PATH={path}"))
            .arg(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        wait_until_or(
            || TcpStream::connect(address).is_ok(),
            || format!("{program} does not listen"),
        );
        Self(child, address)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// nginx as a portal's web server: static pages, and REST calls passed on to the portal behind it.
fn nginx(folder: &Path, pair: &Issued, behind: &Portal) -> Running {
    let (port, secure) = (free_port(), free_port());
    let config = format!(
        "daemon off; master_process off; pid {0}/nginx.pid; error_log {0}/nginx.err;\n\
         events {{ worker_connections 256; }}\n\
         http {{ access_log off; client_body_temp_path {0}/b; proxy_temp_path {0}/p; fastcgi_temp_path {0}/f;\n\
         uwsgi_temp_path {0}/u; scgi_temp_path {0}/s; client_max_body_size 64m; keepalive_requests 20;\n\
         server {{ listen 127.0.0.1:{port}; listen 127.0.0.1:{secure} ssl http2; server_name portal.example;\n\
         ssl_certificate {1}; ssl_certificate_key {2}; root {0}; gzip on; gzip_min_length 1; gzip_types *;\n\
         location /rest/ {{ proxy_pass http://{3}; proxy_http_version 1.1; }}\n\
         location /moved/ {{ return 302 $scheme://$http_host/page.txt; }} }} }}\n",
        folder.display(),
        pair.certificate.display(),
        pair.key.display(),
        behind.address,
    );
    let path = folder.join("nginx.conf");
    std::fs::write(&path, config).unwrap();
    std::fs::write(folder.join("page.txt"), "a page".repeat(100_000)).unwrap();
    let prefix = folder.to_str().unwrap();
    let started = Running::start("nginx", &["-p", prefix, "-c", path.to_str().unwrap()], port);
    std::fs::write(folder.join("secure"), secure.to_string()).unwrap();
    started
}

/// HAProxy in front of the portal behind it; the port speaks TLS with HTTP/2 when a pair is given.
fn haproxy(folder: &Path, pair: Option<&Issued>, behind: &Portal) -> Running {
    let port = free_port();
    let tls = pair.map_or_else(String::new, |pair| {
        let both = folder.join("both.pem");
        let text =
            [&pair.certificate, &pair.key].map(|file| std::fs::read_to_string(file).unwrap());
        std::fs::write(&both, text.concat()).unwrap();
        format!(" ssl crt {} alpn h2,http/1.1", both.display())
    });
    let config = format!(
        "defaults\n  mode http\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n\
         frontend in\n  bind 127.0.0.1:{port}{tls}\n  default_backend portal\n\
         backend portal\n  server one {}\n",
        behind.address
    );
    let path = folder.join("haproxy.cfg");
    std::fs::write(&path, config).unwrap();
    Running::start("haproxy", &["-db", "-f", path.to_str().unwrap()], port)
}

/// Runs curl; what it printed.
fn curl(arguments: &[&str]) -> String {
    let output = Command::new("curl")
        .args(["-sS", "--max-time", "20"])
        .args(arguments)
        .env_remove("http_proxy")
        .env_remove("https_proxy")
        .output()
        .expect("curl runs");
    assert!(
        output.status.success(),
        "curl {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

const CALL: &str = "/rest/1/code/crm.lead.details.configuration.reset";

/// The ways in: how curl speaks to a proxy with TLS and HTTP/2, and the version that it then says.
fn ways(proxy: &Proxy, authority: &Authority) -> Vec<(Vec<String>, String, &'static str)> {
    let trust = ["--cacert", authority.certificate.to_str().unwrap()].map(str::to_owned);
    let secure = format!("https://localhost:{}", proxy.addresses[0].port());
    let plain = format!("http://{}", proxy.addresses[1]);
    let with = |option: &str| [&trust[..], &[option.to_owned()]].concat();
    vec![
        (vec!["--http1.1".to_owned()], plain.clone(), "1.1"),
        (vec!["--http2-prior-knowledge".to_owned()], plain, "2"),
        (with("--http1.1"), secure.clone(), "1.1"),
        (with("--http2"), secure, "2"),
    ]
}

/// A proxy that curl can speak to in every way.
fn in_front_of(upstream: &str, folder: &Path, arguments: &[&str]) -> (Proxy, Authority) {
    let authority = Authority::new(folder, "front");
    let pair = authority.issue("front", &["localhost"], Kind::Ecdsa);
    let proxy = proxy::before(upstream)
        .own_listeners()
        .with(&[
            "--listen",
            "127.0.0.1:0",
            "--listen",
            "http://127.0.0.1:0",
            "--http2",
        ])
        .with(&pair.arguments())
        .with(arguments)
        .start();
    (proxy, authority)
}

fn calls_work(proxy: &Proxy, authority: &Authority, behind: &Portal) {
    let large = proxy.folder().join("large");
    std::fs::write(&large, "x".repeat(3_000_000)).unwrap();
    let upload = format!("@{}", large.display());
    let mut logged = proxy.events().len();
    for (options, base, version) in ways(proxy, authority) {
        let mut arguments: Vec<&str> = options.iter().map(String::as_str).collect();
        arguments.extend(["-w", " %{http_code} %{http_version}"]);
        let so_far = behind.request_count();
        let ask = |more: &[&str]| curl(&[&arguments[..], more].concat());
        let wanted = format!("{{\"result\":true}} 200 {version}");

        let form = ask(&["-d", "userId=7&scope=P", &format!("{base}{CALL}")]);
        assert_eq!(form, wanted);
        let multipart = ask(&["-F", "scope=C", &format!("{base}{CALL}.json")]);
        assert_eq!(multipart, wanted);
        let got = ask(&[&format!("{base}/rest/1/code/crm.lead.list?start=50")]);
        assert_eq!(got, wanted);
        let sent = ask(&[
            "-H",
            "Expect: 100-continue",
            "--data-binary",
            &upload,
            &format!("{base}/rest/1/code/disk.folder.uploadfile"),
        ]);
        assert_eq!(sent, wanted);
        let chunked = ask(&[
            "-H",
            "Transfer-Encoding: chunked",
            "-d",
            "scope=P",
            &format!("{base}{CALL}"),
        ]);
        assert_eq!(chunked, wanted, "chunked, {version}");

        let came = behind.requests_since(so_far);
        assert_eq!(came.len(), 5, "each once");
        for at in [0, 1, 4] {
            let target = String::from_utf8_lossy(came[at].target()).into_owned();
            assert!(
                target.contains("crm.item.details.configuration.reset"),
                "{target}"
            );
            assert!(
                came[at].text().contains("entityTypeId"),
                "{}",
                came[at].text()
            );
        }
        assert_eq!(came[2].target(), b"/rest/1/code/crm.lead.list?start=50");
        assert_eq!(came[3].body.len(), 3_000_000);
        logged += 4;
        assert_eq!(proxy.events().len(), logged);
    }
}

#[test]
fn curl_reaches_nginx_in_every_way() {
    if !is_installed("curl") || !is_installed("nginx") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let back = Authority::new(folder.path(), "back");
    let pair = back.issue("portal", &["portal.example"], Kind::Rsa);
    let behind = Portal::plain();
    let nginx = nginx(folder.path(), &pair, &behind);
    let secure = std::fs::read_to_string(folder.path().join("secure")).unwrap();
    let trust = back.certificate.to_str().unwrap();
    let dial = format!("127.0.0.1:{secure}");
    let by_tls = ["--upstream-ca", trust, "--upstream-connect", &dial];
    let by_http2 = [&by_tls[..], &["--upstream-http2"]].concat();
    let plain = format!("http://{}", nginx.1);
    for (upstream, arguments) in [
        (plain.as_str(), &[][..]),
        ("https://portal.example", &by_tls),
        ("https://portal.example", &by_http2),
    ] {
        let (proxy, authority) = in_front_of(upstream, folder.path(), arguments);
        calls_work(&proxy, &authority, &behind);
        for (options, base, _) in ways(&proxy, &authority) {
            let mut arguments: Vec<&str> = options.iter().map(String::as_str).collect();
            let page = format!("{base}/page.txt");
            arguments.push("--compressed");
            arguments.push(&page);
            assert_eq!(
                curl(&arguments).len(),
                600_000,
                "a page, compressed by nginx"
            );
            let moved = format!("{base}/moved/");
            *arguments.last_mut().unwrap() = &moved;
            arguments.extend(["-o", "/dev/null", "-w", "%{redirect_url}"]);
            assert_eq!(curl(&arguments), page, "a redirect stays with the proxy");
        }
        // nginx ends a connection after 20 requests: no call notices.
        let mut connection = Client::connect(proxy.addresses[1]);
        for user in 0..70 {
            let answer = connection
                .call(client::deprecated_call(user))
                .expect("an answer");
            assert_eq!(answer.status(), 200, "{user}");
        }
    }
}

#[test]
fn curl_reaches_haproxy_in_every_way() {
    if !is_installed("curl") || !is_installed("haproxy") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let back = Authority::new(folder.path(), "back");
    let pair = back.issue("portal", &["portal.example"], Kind::Ecdsa);
    let behind = Portal::plain();
    let plain = haproxy(folder.path(), None, &behind);
    let (proxy, authority) = in_front_of(&format!("http://{}", plain.1), folder.path(), &[]);
    calls_work(&proxy, &authority, &behind);

    let secure = haproxy(folder.path(), Some(&pair), &behind);
    let trust = back.certificate.to_str().unwrap();
    let dial = secure.1.to_string();
    for more in [&[][..], &["--upstream-http2"]] {
        let by_tls = [&["--upstream-ca", trust, "--upstream-connect", &dial], more].concat();
        let (proxy, authority) = in_front_of("https://portal.example", folder.path(), &by_tls);
        calls_work(&proxy, &authority, &behind);
    }
}

#[test]
fn haproxy_in_front_tells_who_its_clients_are() {
    if !is_installed("haproxy") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let portal = Portal::plain();
    // A listener of both families names clients over IPv4 as ::ffff:127.0.0.77.
    let binds = ["127.0.0.1", "::"];
    let versions = ["send-proxy", "send-proxy-v2"];
    let cases = binds.iter().flat_map(|bind| versions.map(|v| (bind, v)));
    for (bind, version) in cases {
        if *bind == "::" && TcpListener::bind("[::1]:0").is_err() {
            eprintln!("skipped: this machine has no IPv6");
            continue;
        }
        let arguments = ["--trusted-proxy", "127.0.0.1", "--accept-proxy-protocol"];
        let proxy = proxy::start(&portal, &arguments);
        let port = free_port();
        let both = if *bind == "::" { "v4v6" } else { "" };
        let config = format!(
            "defaults\n  mode http\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n\
             frontend in\n  bind {bind}:{port} {both}\n  default_backend b\n\
             backend b\n  server one {} {version} source 127.0.0.1\n",
            proxy.address()
        );
        let path = folder.path().join("front.cfg");
        std::fs::write(&path, config).unwrap();
        let front = Running::start("haproxy", &["-db", "-f", path.to_str().unwrap()], port);
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        let own: SocketAddr = "127.0.0.77:0".parse().unwrap();
        socket.bind(&own.into()).unwrap();
        socket.connect(&front.1.into()).unwrap();
        let mut client = Client {
            stream: crate::support::wire::Stream::Plain(socket.into()),
            inbox: crate::support::wire::Inbox::default(),
        };
        assert_eq!(
            client.call(client::deprecated_call(1)).unwrap().status(),
            200,
            "{bind} {version}"
        );
        assert_eq!(
            proxy.events()[0]["caller"]["address"],
            "127.0.0.77",
            "{bind} {version}"
        );
    }
}

#[test]
fn phps_streams_may_end_their_lines_in_lf_alone() {
    if !is_installed("php") {
        return;
    }
    let portal = Portal::plain();
    let proxy = proxy::start(&portal, &[]);
    let code = r#"
        $http = ['method' => 'POST', 'header' => "Content-Type: application/x-www-form-urlencoded\nX-One: 1\nX-Two: 2",
            'content' => 'userId=1'];
        echo file_get_contents($argv[1], false, stream_context_create(['http' => $http]));"#;
    let answer = Command::new("php")
        .args(["-r", code, &format!("http://{}{CALL}", proxy.address())])
        .output()
        .expect("PHP runs");
    assert!(
        answer.status.success() && answer.stderr.is_empty() && !answer.stdout.is_empty(),
        "{answer:?}"
    );
    let [got] = &portal.requests()[..] else {
        panic!("one request");
    };
    assert!(
        got.target()
            .ends_with(b"crm.item.details.configuration.reset")
    );
    assert_eq!(got.one("x-one").as_deref(), Some("1"));
    assert_eq!(got.one("x-two").as_deref(), Some("2"));
}
