//! One reading of every message: what the strict reader says of a client's bytes is what the portal gets, or the
//! client is refused and nothing whole arrives.

use std::time::Duration;

use tempfile::TempDir;

use crate::interop::{Running, free_port, is_installed};
use crate::support::client::Client;
use crate::support::portal::Portal;
use crate::support::proxy::{self, Proxy};
use crate::support::strict::{self, Message, Reading};
use crate::support::wire::Lost;
use crate::support::{Dice, figure, shown};

mod answers;
mod written;

/// Fields that a proxy sets, replaces or takes out by itself.
pub const OURS: [&str; 8] = [
    "host",
    "expect",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "forwarded",
    "x-real-ip",
    "http2-settings",
];

/// Far beyond the limits of the proxies here.
const HANG: Duration = Duration::from_secs(5);

const SENTINEL: &str = "/sentinel/of/this/case";

/// What stands before the portal.
enum Front {
    Ours(Proxy),
    /// nginx or HAProxy, which answer in their own way.
    Theirs(
        Running,
        #[expect(dead_code, reason = "its configuration lies there while it runs")] TempDir,
    ),
}

/// A proxy with one thread before a portal that answers each request with the target that it got.
struct Lab {
    front: Front,
    portal: Portal,
}

/// A portal that answers each request with the target that it got.
fn echoing() -> Portal {
    Portal::start(|visit| {
        while let Some(request) = visit.request() {
            let target = strict::same_target(request.target());
            let echo = format!("X-Target: {}\r\n", String::from_utf8_lossy(&target));
            visit.answer_to(&request, 200, &echo, b"{\"result\":true}");
        }
    })
}

impl Lab {
    fn new() -> Self {
        let portal = echoing();
        let proxy = proxy::start(
            &portal,
            &[
                "--threads",
                "1",
                "--header-timeout",
                "1s",
                "--body-timeout",
                "1s",
            ],
        );
        Self {
            front: Front::Ours(proxy),
            portal,
        }
    }

    /// nginx as a reverse proxy that is to change as little as it can.
    fn of_nginx() -> Self {
        let (portal, folder, port) = (echoing(), tempfile::tempdir().unwrap(), free_port());
        let config = format!(
            "daemon off; master_process off; pid {0}/nginx.pid; error_log {0}/nginx.err;\n\
             events {{ worker_connections 256; }}\n\
             http {{ access_log off; client_body_temp_path {0}/b; proxy_temp_path {0}/p;\n\
             fastcgi_temp_path {0}/f; uwsgi_temp_path {0}/u; scgi_temp_path {0}/s;\n\
             large_client_header_buffers 4 64k; client_header_timeout 1s; client_body_timeout 1s;\n\
             underscores_in_headers on; ignore_invalid_headers off;\n\
             server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://{1};\n\
             proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Host $http_host;\n\
             proxy_request_buffering off; }} }} }}\n",
            folder.path().display(),
            portal.address,
        );
        let path = folder.path().join("nginx.conf");
        std::fs::write(&path, config).unwrap();
        let arguments = [
            "-p",
            folder.path().to_str().unwrap(),
            "-c",
            path.to_str().unwrap(),
        ];
        Self {
            front: Front::Theirs(Running::start("nginx", &arguments, port), folder),
            portal,
        }
    }

    fn of_haproxy() -> Self {
        let (portal, folder, port) = (echoing(), tempfile::tempdir().unwrap(), free_port());
        let config = format!(
            "defaults\n  mode http\n  timeout connect 5s\n  timeout client 2s\n  timeout server 5s\n\
               timeout http-request 1s\n  retries 0\n\
             frontend in\n  bind 127.0.0.1:{port}\n  default_backend portal\n\
             backend portal\n  server one {}\n",
            portal.address
        );
        let path = folder.path().join("haproxy.cfg");
        std::fs::write(&path, config).unwrap();
        let arguments = ["-db", "-f", path.to_str().unwrap()];
        Self {
            front: Front::Theirs(Running::start("haproxy", &arguments, port), folder),
            portal,
        }
    }

    fn is_ours(&self) -> bool {
        matches!(self.front, Front::Ours(_))
    }

    fn connect(&self) -> Client {
        match &self.front {
            Front::Ours(proxy) => proxy.connect(),
            Front::Theirs(running, _) => Client::connect(running.1),
        }
    }

    /// Sends the bytes on a connection of their own and compares what client and portal see with the strict reading.
    fn judge(&self, bytes: &[u8], wait_out: bool) -> Result<(), String> {
        let before = self.portal.request_count();
        let mut client = self.connect();
        client.send(bytes);
        let mut owed = Vec::new();
        let mut refused = false;
        for reading in strict::requests(bytes) {
            match &reading {
                Reading::Valid(message) | Reading::EitherWay(message, _) => {
                    let method = String::from_utf8_lossy(message.method()).into_owned();
                    let answer = client
                        .response_within(&method, HANG)
                        .map_err(|lost| format!("{reading:?} has no answer: {lost:?}"))?;
                    if answer.status() == 200 {
                        let target = strict::same_target(&strict::origin_form(message.target()));
                        let echo = answer.one("x-target").unwrap_or_default();
                        if echo.as_bytes() != target {
                            return Err(format!("the answer is another request's: {echo}"));
                        }
                        owed.push(message.clone());
                        if closes(message) {
                            break;
                        }
                        continue;
                    }
                    refused = true;
                    self.refusal(&answer)?;
                    if matches!(reading, Reading::Valid(_)) && !may_be_refused(message) {
                        return Err(format!(
                            "a valid request is refused: {} {}",
                            answer.status(),
                            answer.text()
                        ));
                    }
                    if method != "CONNECT" && method != "TRACE" && !may_be_refused(message) {
                        self.closed(&mut client)?;
                    }
                }
                Reading::Invalid(reason) => {
                    refused = true;
                    let head = owed.is_empty() && bytes.starts_with(b"HEAD ");
                    let answer = client
                        .response_within(if head { "HEAD" } else { "GET" }, HANG)
                        .map_err(|lost| format!("no refusal of {reason}: {lost:?}"))?;
                    self.refusal(&answer)
                        .map_err(|wrong| format!("{reason}: {wrong}"))?;
                    self.closed(&mut client)?;
                }
                Reading::Incomplete => {
                    refused = true;
                    if !wait_out {
                        client.stream.shut_write();
                    }
                    let head = owed.is_empty() && bytes.starts_with(b"HEAD ");
                    match client.response_within(if head { "HEAD" } else { "GET" }, HANG) {
                        Ok(answer) => self.refusal(&answer)?,
                        Err(Lost::Closed) => {}
                        Err(lost) => return Err(format!("half a request: {lost:?}")),
                    }
                    self.closed(&mut client)?;
                }
            }
            if refused {
                break;
            }
        }
        let mut sentinel = 0;
        if !refused && client.send(sentinel_request()) && client.response("GET").is_ok() {
            sentinel = 1;
        }
        self.portal
            .wait_until(|all| all.iter().all(|one| !(one.open && one.partial)));
        let got = self.portal.requests_since(before);
        if got.len() != owed.len() + sentinel {
            let lines: Vec<String> = got.iter().map(|one| shown(one.target())).collect();
            return Err(format!("the portal got {} requests: {lines:?}", got.len()));
        }
        for (owed, got) in owed.iter().zip(&got) {
            same(owed, got, self.is_ours())?;
        }
        Ok(())
    }

    fn refusal(&self, answer: &Message) -> Result<(), String> {
        let status = answer.status();
        if !self.is_ours() && status >= 400 {
            return Ok(());
        }
        if !(400..500).contains(&status) && status != 501 && status != 505 {
            return Err(format!("answered {status} {}", answer.text()));
        }
        if answer.one("access-control-allow-origin").as_deref() != Some("*") {
            return Err(format!("a {status} without CORS"));
        }
        Ok(())
    }

    fn closed(&self, client: &mut Client) -> Result<(), String> {
        if client.closed_within(Duration::from_secs(5)) {
            Ok(())
        } else {
            Err("the connection is not closed behind a refusal".to_owned())
        }
    }

    /// At the end of all cases: what reached the portal was strictly valid, or cut off before its end.
    fn oddities(&self) -> Vec<String> {
        let odd = |lost: Option<Lost>| match lost {
            Some(Lost::Malformed(reason, bytes)) => {
                Some(format!("the portal got {reason}: {}", shown(&bytes)))
            }
            _ => None,
        };
        let connections = self.portal.connections();
        connections
            .into_iter()
            .filter_map(|one| odd(one.oddity))
            .collect()
    }
}

fn sentinel_request() -> String {
    format!("GET {SENTINEL} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
}

fn closes(message: &Message) -> bool {
    let options = message.list("connection");
    options.contains(&"close".to_owned())
        || (message.minor == 0 && !options.contains(&"keep-alive".to_owned()))
}

/// Valid, but not served by this proxy.
fn may_be_refused(message: &Message) -> bool {
    matches!(message.method(), b"CONNECT" | b"TRACE")
        || message.target() == b"*"
        || message
            .list("expect")
            .iter()
            .any(|what| what != "100-continue")
}

/// Whether the portal got the request that the client sent; to the letter, or as far as its meaning goes.
fn same(sent: &Message, got: &Message, exactly: bool) -> Result<(), String> {
    let target = strict::same_target(&strict::origin_form(sent.target()));
    if sent.method() != got.method() || target != strict::same_target(got.target()) {
        return Err(format!(
            "sent {} {}, got {} {}",
            shown(sent.method()),
            shown(&target),
            shown(got.method()),
            shown(got.target())
        ));
    }
    if sent.body != got.body {
        return Err(format!(
            "the body {} became {}",
            shown(&sent.body),
            shown(&got.body)
        ));
    }
    let (ours, theirs) = (
        strict::end_to_end(sent, &OURS),
        strict::end_to_end(got, &OURS),
    );
    if ours.len() != theirs.len()
        || ours.iter().zip(&theirs).any(|(a, b)| {
            let names = if exactly {
                a.name == b.name
            } else {
                a.name.eq_ignore_ascii_case(&b.name)
            };
            !names || spaced(&a.value) != spaced(&b.value)
        })
    {
        return Err(format!("the fields {ours:?} became {theirs:?}"));
    }
    Ok(())
}

/// A folded line may be joined by one space or more.
fn spaced(value: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(value.len());
    for byte in value {
        let blank = matches!(byte, b' ' | b'\t');
        if !(blank && out.last() == Some(&b' ')) {
            out.push(if blank { b' ' } else { *byte });
        }
    }
    out
}

#[test]
fn every_written_request_has_one_reading_or_is_refused() {
    let cases = written::cases();
    assert!(cases.len() >= 150, "only {} cases", cases.len());
    let wrong: Vec<String> = in_labs(Lab::new, 4, cases.len(), |lab, at| {
        let (name, bytes) = &cases[at];
        lab.judge(bytes, true)
            .map_err(|wrong| format!("{name}\n   {}\n   {wrong}", shown(bytes)))
    });
    figure(
        "hand-written requests",
        format!("{} wrong of {}", wrong.len(), cases.len()),
    );
    assert!(
        wrong.is_empty(),
        "{} wrong of {}:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}

/// The same cases, for comparison: how nginx and HAProxy read them is theirs. By hand, with `B24_HEAVY=1`.
#[test]
fn the_written_requests_are_put_to_nginx_and_haproxy_too() {
    if std::env::var_os("B24_HEAVY").is_none() {
        return;
    }
    let cases = written::cases();
    for (name, make) in [
        ("nginx", Lab::of_nginx as fn() -> Lab),
        ("haproxy", Lab::of_haproxy),
    ] {
        if !is_installed(name) {
            continue;
        }
        let wrong: Vec<String> = in_labs(make, 4, cases.len(), |lab, at| {
            let (case, bytes) = &cases[at];
            let before = lab.oddities().len();
            let judged = lab.judge(bytes, true);
            match lab.oddities().get(before) {
                Some(odd) => Err(format!("{case}: {odd}")),
                None => judged.map_err(|wrong| format!("{case}: {wrong}")),
            }
        });
        for one in &wrong {
            eprintln!("{name}: {one}");
        }
        figure(
            &format!("hand-written requests put to {name}"),
            format!("{} wrong of {}", wrong.len(), cases.len()),
        );
    }
}

#[test]
fn every_mutated_request_has_one_reading_or_is_refused() {
    let seeds = written::seeds();
    let wrong: Vec<String> = in_labs(Lab::new, 4, 5_000, |lab, at| {
        let mut dice = Dice::new(at as u64 + 1);
        let bytes = written::mutated(&mut dice, &seeds);
        lab.judge(&bytes, false)
            .map_err(|wrong| format!("mutation {at}\n   {}\n   {wrong}", shown(&bytes)))
    });
    figure("mutated requests", format!("{} wrong of 5000", wrong.len()));
    assert!(
        wrong.is_empty(),
        "{} wrong of 5000:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(20)].join("\n")
    );
}

/// Runs the cases in a few labs side by side; what went wrong.
fn in_labs(
    make: fn() -> Lab,
    count: usize,
    cases: usize,
    judge: impl Fn(&Lab, usize) -> Result<(), String> + Sync,
) -> Vec<String> {
    let judge = &judge;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|first| {
                scope.spawn(move || {
                    let lab = make();
                    let mut wrong: Vec<String> = (first..cases)
                        .step_by(count)
                        .filter_map(|at| judge(&lab, at).err())
                        .collect();
                    if lab.is_ours() {
                        wrong.extend(lab.oddities());
                    }
                    wrong
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("a lab runs to its end"))
            .collect()
    })
}
