//! Beside programs that nobody here has written: curl as the client, nginx and HAProxy as the portal's front.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use crate::support::portal::Portal;
use crate::support::proxy::{self, Proxy};
use crate::support::time::{pause_ms, wait_until_or};

/// Whether a program is there; says so where it is not.
fn installed(program: &str, version: &str) -> bool {
    let there = Command::new(program).arg(version).output().is_ok();
    if !there {
        eprintln!("skipped: {program} is not installed");
    }
    there
}

/// A program that runs until dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(program: &str, arguments: &[&str]) -> Running {
    let child = Command::new(program)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    Running(child)
}

fn await_socket(path: &Path) {
    wait_until_or(
        || std::os::unix::net::UnixStream::connect(path).is_ok(),
        || format!("{} does not come up", path.display()),
    );
}

/// nginx on a socket file: it tells what it got, takes uploads, serves a large file.
fn nginx(folder: &Path) -> Running {
    let at = folder.display();
    std::fs::write(folder.join("large"), vec![b'x'; 3_000_000]).expect("a file");
    let configuration = format!(
        "daemon off; master_process off; error_log {at}/error.log; pid {at}/nginx.pid; user root;\n\
         events {{ worker_connections 256; }}\n\
         http {{ access_log off; client_body_temp_path {at}/body; proxy_temp_path {at}/proxy; fastcgi_temp_path {at}/f;\n\
         uwsgi_temp_path {at}/u; scgi_temp_path {at}/s; client_max_body_size 0; absolute_redirect off; keepalive_timeout 1s;\n\
         server {{ listen unix:{at}/nginx.sock; root {at};\n\
         location /told {{ default_type text/plain; return 200 \"$request_method $request_uri $http_x_test $content_length\\n\"; }}\n\
         location /rest/ {{ default_type application/json; return 200 '{{\"result\":\"$uri\"}}'; }}\n\
         location /large {{ }}\n\
         location /moved {{ return 301 /told; }} }} }}\n"
    );
    let path = folder.join("nginx.conf");
    std::fs::write(&path, configuration).expect("a file");
    let running = run(
        "nginx",
        &["-p", &at.to_string(), "-c", &path.display().to_string()],
    );
    await_socket(&folder.join("nginx.sock"));
    running
}

/// curl with these arguments behind `-sS -g` and the address before `path`.
fn curl(proxy: &Proxy, path: &str, arguments: &[&str]) -> Output {
    let output = Command::new("curl")
        .args(["-sS", "-g", "--max-time", "20"])
        .args(arguments)
        .arg(format!("http://{}{path}", proxy.address()))
        .output()
        .expect("curl runs");
    assert!(
        output.status.success(),
        "{path} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn curl_and_nginx_talk_through_the_proxy() {
    if !installed("curl", "--version") || !installed("nginx", "-v") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let _nginx = nginx(folder.path());
    let proxy = proxy::before(&format!("unix:{}/nginx.sock", folder.path().display())).start();
    let raw = "/told?filter[>ID]=5&q=\"a\"";
    let output = told(&curl(&proxy, raw, &["-H", "X-Test: Yes"]));
    assert!(
        output
            .replace("%3E", ">")
            .replace("%22", "\"")
            .starts_with(&format!("GET {raw} Yes")),
        "{output}"
    );
    let upload = folder.path().join("large").display().to_string();
    let sent = told(&curl(&proxy, "/told", &["-T", &upload]));
    assert_eq!(sent, "PUT /told  3000000\n");
    // 100-continue, chunks, multipart, HEAD, a redirect, a range, several calls on one connection.
    assert!(
        told(&curl(
            &proxy,
            "/told",
            &["-H", "Expect: 100-continue", "-d", "a=1"]
        ))
        .starts_with("POST")
    );
    assert!(
        told(&curl(
            &proxy,
            "/told",
            &["-H", "Transfer-Encoding: chunked", "-d", "a=1"]
        ))
        .starts_with("POST")
    );
    assert!(
        told(&curl(
            &proxy,
            "/told",
            &["-F", "a=1", "-F", &format!("f=@{upload}")]
        ))
        .starts_with("POST")
    );
    assert!(told(&curl(&proxy, "/large", &["-I"])).contains("3000000"));
    assert!(told(&curl(&proxy, "/moved", &["-L"])).starts_with("GET /told"));
    assert_eq!(
        curl(&proxy, "/large", &["-r", "5-14"]).stdout,
        b"xxxxxxxxxx"
    );
    assert_eq!(curl(&proxy, "/large", &[]).stdout.len(), 3_000_000);
    assert_eq!(
        curl(&proxy, "/large", &["--http1.0"]).stdout.len(),
        3_000_000
    );
    let url = format!("http://{}/told?second", proxy.address());
    let both = told(&curl(&proxy, "/told?first", &[&url]));
    assert!(both.contains("first") && both.contains("second"), "{both}");
}

#[test]
fn the_documentations_curl_calls_reach_the_successor_behind_nginx() {
    if !installed("curl", "--version") || !installed("nginx", "-v") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let _nginx = nginx(folder.path());
    let proxy = proxy::before(&format!("unix:{}/nginx.sock", folder.path().display())).start();
    let hook = "/rest/1/code/crm.lead.details.configuration.reset";
    let json = r#"{"scope":"P","userId":1,"extras":{"leadCustomerType":2}}"#;
    let calls: [(&str, Vec<&str>); 4] = [
        (
            hook,
            vec![
                "-X",
                "POST",
                "-H",
                "Content-Type: application/json",
                "-H",
                "Accept: application/json",
                "-d",
                json,
            ],
        ),
        (
            "/rest/crm.lead.details.configuration.reset",
            vec![
                "-X",
                "POST",
                "-H",
                "Content-Type: application/json",
                "-d",
                r#"{"scope":"P","auth":"token"}"#,
            ],
        ),
        (hook, vec!["-F", "scope=P", "-F", "userId=1"]),
        (
            "/rest/1/code/CRM.Lead.details.configuration.reset.json?scope=C",
            vec![],
        ),
    ];
    for (path, arguments) in &calls {
        let answer = told(&curl(&proxy, path, arguments));
        assert!(
            answer.contains("crm.item.details.configuration.reset"),
            "{path}: {answer}"
        );
    }
    assert_eq!(proxy.events().len(), calls.len());
}

#[test]
fn an_nginx_that_closes_idle_connections_costs_no_call() {
    if !installed("nginx", "-v") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let _nginx = nginx(folder.path());
    let proxy = proxy::before(&format!("unix:{}/nginx.sock", folder.path().display())).start();
    let mut client = proxy.connect();
    let call = crate::support::client::get("/told");
    for _ in 0..2 {
        for _ in 0..20 {
            assert_eq!(client.call(&call).expect("an answer").status(), 200);
        }
        pause_ms(
            1_300,
            "nginx keeps a connection for one second here, the proxy would for four",
        );
    }
    assert_eq!(client.call(&call).expect("an answer").status(), 200);
}

#[test]
fn haproxy_before_the_portal_changes_nothing() {
    if !installed("haproxy", "-v") {
        return;
    }
    let portal = Portal::start(|visit| {
        while let Some(request) = visit.request() {
            let target = request.target().to_vec();
            visit.answer_to(&request, 200, "", &target);
        }
    });
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("haproxy.sock");
    let configuration = format!(
        "global\n  maxconn 100\ndefaults\n  mode http\n  timeout connect 5s\n  timeout client 20s\n  timeout server 20s\n\
         frontend f\n  bind unix@{}\n  option accept-invalid-http-request\n  default_backend b\nbackend b\n  http-reuse always\n  server s {}\n",
        socket.display(),
        portal.address
    );
    let path = folder.path().join("haproxy.cfg");
    std::fs::write(&path, configuration).expect("a file");
    let _haproxy = run("haproxy", &["-db", "-f", &path.display().to_string()]);
    await_socket(&socket);
    let proxy = proxy::before(&format!("unix:{}", socket.display())).start();
    let mut client = proxy.connect();
    for number in 0..50 {
        let answer = client
            .call(crate::support::client::get(&format!(
                "/page/{number}?a[]=%3E"
            )))
            .expect("an answer");
        assert_eq!(answer.text(), format!("/page/{number}?a[]=%3E"));
        let answer = client
            .call(crate::support::client::deprecated_call(number))
            .expect("an answer");
        assert!(answer.text().contains("crm.item."), "{answer:?}");
    }
    let body = "x".repeat(300_000);
    let answer = client
        .call(crate::support::client::post("/up", "text/plain", &body))
        .expect("an answer");
    assert_eq!(answer.status(), 200);
    assert_eq!(
        portal.requests().pop().expect("a request").body.len(),
        300_000
    );
    assert_eq!(proxy.events().len(), 50);
}
