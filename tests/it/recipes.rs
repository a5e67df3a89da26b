//! The recipes of docs/OPERATIONS.md in the programs that they are for: no spelling of an address puts a code into a log.

use std::net::UdpSocket;
use std::path::Path;

use crate::interop::{Running, free_port, is_installed};
use crate::support::client::Client;
use crate::support::time::wait_for_within;
use crate::support::wire::PATIENCE;

const SECRET: &str = "a1B2c3D4e5F6g7H8";

/// Paths in which `§` stands for the code, and what is logged of them.
const PATHS: [(&str, &str); 21] = [
    ("/rest/1/§/crm.deal.list?x=1", "/rest/***/crm.deal.list"),
    ("/rest//1/§/m.x", "/rest/***/m.x"),
    ("/rest/1//§/m.x", "/rest/***/m.x"),
    ("/rest/./1/§/m.x", "/***"),
    ("//rest/1/§/", "/rest/***"),
    ("/rest/1/§", "/rest/***"),
    ("/rest/1/§.json", "/rest/***"),
    ("/rest/§.json", "/rest/***"),
    ("/rest/api/1/§/m.x", "/rest/***/m.x"),
    ("/rest/api/§/m.x", "/rest/***/m.x"),
    ("/restapi/1/§/m.x", "/rest/***/m.x"),
    ("/rest.php/1/§/m.x", "/rest/***/m.x"),
    ("/rest/§/1/m.x", "/rest/***/m.x"),
    ("/REST/1/§/m.x", "/rest/***/m.x"),
    ("/%72est/1/§/m.x", "/***"),
    ("/rest%2F1%2F§%2Fm.x", "/***"),
    ("/oauth/§/", "/rest/***"),
    ("/rest/1/§/profile", "/rest/***/profile"),
    ("/rest/m.x?auth=§", "/rest/***/m.x"),
    ("/a\\rest\\1\\§", "/***"),
    ("/online/?auth=§", "/online/"),
];

fn recipe(language: &str) -> &'static str {
    let text = include_str!("../../docs/OPERATIONS.md");
    let begin = text.split(&format!("```{language}\n")).nth(1);
    begin
        .and_then(|rest| rest.split("```").next())
        .expect("a recipe")
}

/// Sends each path, alone and with a secret in the user agent; gives the paths that are to be logged.
fn send_all(front: &Running) -> Vec<String> {
    let mut wanted = Vec::new();
    for (path, logged) in PATHS {
        for agent in ["x", "x /rest/1/§/", "Bearer §"] {
            let head = format!(
                "GET {path} HTTP/1.1\r\nHost: h\r\nUser-Agent: {agent}\r\nConnection: close\r\n\r\n"
            );
            let mut client = Client::connect(front.1);
            client.send(head.replace('§', SECRET));
            let _ = client.rest();
            wanted.push(format!("GET {logged} "));
        }
    }
    wanted
}

fn are_logged(log: &str, wanted: &[String]) {
    assert!(!log.contains(SECRET), "{log}");
    // Threads of a proxy log side by side: the order of lines is theirs.
    let request = |line: &str| {
        let at = line.find("GET /")?;
        let mut words = line[at..].split(' ');
        Some(format!("{} {} ", words.next()?, words.next()?))
    };
    let mut lines: Vec<String> = log.lines().filter_map(request).collect();
    let mut wanted = wanted.to_vec();
    lines.sort();
    wanted.sort();
    assert_eq!(lines, wanted, "{log}");
}

/// Reads until there is nothing more to come.
fn log_of(path: &Path, lines: usize) -> String {
    let mut text = String::new();
    wait_for_within(PATIENCE, || {
        text = std::fs::read_to_string(path).unwrap_or_default();
        (text.lines().count() >= lines).then_some(())
    });
    text
}

#[test]
fn nginx_logs_no_code_with_the_recipe() {
    if !is_installed("nginx") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (at, port) = (folder.path().display(), free_port());
    let server = recipe("nginx")
        .replace("listen 443 ssl;", &format!("listen 127.0.0.1:{port};"))
        .replace("/var/log/nginx", &at.to_string());
    let config = format!(
        "daemon off; master_process off; pid {at}/nginx.pid; error_log {at}/nginx.err crit;\nevents {{}}\n\
         http {{ client_body_temp_path {at}/b; proxy_temp_path {at}/p; fastcgi_temp_path {at}/f;\n\
         uwsgi_temp_path {at}/u; scgi_temp_path {at}/s;\n{server}}}\n"
    );
    let path = folder.path().join("nginx.conf");
    std::fs::write(&path, config).unwrap();
    let (prefix, path) = (at.to_string(), path.display().to_string());
    let front = Running::start("nginx", &["-p", &prefix, "-c", &path], port);
    let wanted = send_all(&front);
    are_logged(
        &log_of(&folder.path().join("b24.log"), wanted.len()),
        &wanted,
    );
}

#[test]
fn haproxy_logs_no_code_with_the_recipe() {
    if !is_installed("haproxy") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let log = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (to, port) = (log.local_addr().unwrap(), free_port());
    let server = recipe("haproxy").replace(
        "bind :443 ssl crt /etc/haproxy/rest.pem alpn http/1.1",
        &format!("bind 127.0.0.1:{port}"),
    );
    let config = format!(
        "global\n  log {to} local0\ndefaults\n  mode http\n  log global\n  timeout connect 5s\n  timeout client 30s\n\
         \x20 timeout server 30s\n{server}"
    );
    let path = folder.path().join("haproxy.cfg");
    std::fs::write(&path, config).unwrap();
    let front = Running::start("haproxy", &["-db", "-f", path.to_str().unwrap()], port);
    let wanted = send_all(&front);
    log.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut text, mut line) = (String::new(), [0; 4096]);
    while text.lines().filter(|line| line.contains("GET /")).count() < wanted.len() {
        let length = log.recv(&mut line).expect("a line of the log");
        text.push_str(&String::from_utf8_lossy(&line[..length]));
        text.push('\n');
    }
    are_logged(&text, &wanted);
}
