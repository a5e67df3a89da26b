//! Limits with clear answers, and a small, bounded house: whoever is slow, large or many harms nobody else.
//!
//! Two tests have a larger version that is run by hand with `B24_HEAVY=1`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::client::{Client, deprecated_call, get, post};
use crate::support::portal::Portal;
use crate::support::proxy::{self, Proxy};
use crate::support::time::{self, pause_ms, wait_for, wait_until, wait_until_or};
use crate::support::wire::PATIENCE;
use crate::support::{figure, ours};

const RESET: &str = "/rest/1/code/crm.lead.details.configuration.reset";
const MIB: usize = 1024 * 1024;

/// Whether the large versions are wanted.
fn heavy() -> bool {
    std::env::var_os("B24_HEAVY").is_some()
}

/// A refusal in shape, behind which the connection is closed.
fn is_refused(proxy: &Proxy, request: impl AsRef<[u8]>, status: u16, code: &str) {
    let mut client = proxy.connect();
    client.send(request);
    let answer = client.response("POST").expect("a refusal");
    assert_eq!(ours::check(&answer, status, code, false), Ok(()));
}

#[test]
fn a_head_that_is_too_large_is_told_which_limit_it_met() {
    let portal = Portal::plain();
    let limits = [
        "--max-head-size",
        "8KiB",
        "--max-head-fields",
        "20",
        "--max-target-size",
        "2KiB",
    ];
    let proxy = proxy::start(&portal, &limits);
    let head =
        |target: &str, fields: &str| format!("GET {target} HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
    let long = format!("/{}", "a".repeat(2_100));
    is_refused(&proxy, head(&long, ""), 414, "URI_TOO_LONG");
    is_refused(
        &proxy,
        head(&format!("/{}", "a".repeat(20_000)), ""),
        414,
        "URI_TOO_LONG",
    );
    let wide = format!("X-Wide: {}\r\n", "x".repeat(9_000));
    is_refused(
        &proxy,
        head("/a", &wide),
        431,
        "REQUEST_HEADER_FIELDS_TOO_LARGE",
    );
    let many = "X-Many: 1\r\n".repeat(20);
    is_refused(
        &proxy,
        head("/a", &many),
        431,
        "REQUEST_HEADER_FIELDS_TOO_LARGE",
    );
    let endless = format!("GET /a HTTP/1.1\r\nHost: h\r\nX: {}", "x".repeat(200_000));
    is_refused(&proxy, endless, 431, "REQUEST_HEADER_FIELDS_TOO_LARGE");
    assert_eq!(portal.request_count(), 0);
    let fits = format!("/{}", "a".repeat(2_000));
    assert_eq!(
        proxy
            .call(head(&fits, &"X-Many: 1\r\n".repeat(18)))
            .status(),
        200
    );
    assert!(proxy.metric("b24_proxy_head_errors_total{status=\"414\"}") >= 2.0);
    assert!(proxy.metric("b24_proxy_head_errors_total{status=\"431\"}") >= 3.0);
}

#[test]
fn a_target_of_sixty_kilobytes_passes_by_default() {
    let portal = Portal::plain();
    let proxy = proxy::start(&portal, &[]);
    let target = format!(
        "/rest/1/code/crm.deal.list?{}",
        "filter[>ID]=1&".repeat(4_200)
    );
    assert_eq!(proxy.call(get(&target)).status(), 200);
    assert!(portal.requests()[0].target().len() >= target.len());
}

#[test]
fn a_deprecated_call_over_the_limit_is_refused_and_others_have_none() {
    let portal = Portal::plain();
    let proxy = proxy::start(&portal, &["--max-rewrite-body", "64KiB"]);
    let large = format!("{{\"userId\":1,\"x\":\"{}\"}}", "x".repeat(70_000));
    let mut client = proxy.connect();
    // Its length says it: the refusal comes before the body.
    client.send(format!("POST {RESET} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", large.len()));
    let answer = client.response("POST").expect("a refusal");
    assert_eq!(
        ours::check(&answer, 413, "REQUEST_TOO_LARGE", false),
        Ok(())
    );
    let chunked = format!(
        "POST {RESET} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{large}\r\n0\r\n\r\n",
        large.len()
    );
    is_refused(&proxy, chunked, 413, "REQUEST_TOO_LARGE");
    is_refused(
        &proxy,
        post("/rest/1/code/batch", "application/json", &large),
        413,
        "REQUEST_TOO_LARGE",
    );
    let xml = proxy.call(post(&format!("{RESET}.xml"), "application/json", &large));
    assert_eq!(ours::check(&xml, 413, "REQUEST_TOO_LARGE", true), Ok(()));
    assert_eq!(
        portal.request_count(),
        0,
        "nothing of a refused call is executed"
    );
    let plain = proxy.call(post(
        "/rest/1/code/crm.deal.add",
        "application/json",
        &large,
    ));
    assert_eq!(
        plain.status(),
        200,
        "a call that is only forwarded has no limit"
    );
    let refused: Vec<_> = proxy
        .events()
        .into_iter()
        .filter(|event| event["reason"] == "too_large")
        .map(|event| event["event"].as_str().unwrap_or_default().to_owned())
        .collect();
    let mut told = ["deprecated_call"; 3].to_vec();
    // Of the batch nobody knows which methods it calls.
    told.insert(2, "unread_call");
    assert_eq!(refused, told);
}

#[test]
fn a_slow_head_is_408_and_a_silent_connection_is_closed_silently() {
    let portal = Portal::plain();
    let proxy = proxy::start(
        &portal,
        &["--header-timeout", "300ms", "--keep-alive-timeout", "300ms"],
    );
    let mut silent = proxy.connect();
    let mut slow = proxy.connect();
    slow.send("GET / HTTP/1.1\r\nHo");
    let begun = Instant::now();
    let answer = slow.response("GET").expect("an answer");
    assert_eq!(ours::check(&answer, 408, "REQUEST_TIMEOUT", false), Ok(()));
    assert!(
        begun.elapsed() >= Duration::from_millis(250),
        "{:?}",
        begun.elapsed()
    );
    assert!(slow.closed_within(Duration::from_secs(5)));
    assert!(silent.closed_within(Duration::from_secs(5)));
    assert!(
        silent.inbox.bytes.is_empty(),
        "nobody asked, nothing is said"
    );
    // Dripping does not help: the limit is for the whole head.
    let mut dripping = proxy.connect();
    let begun = Instant::now();
    for byte in get("/a/head/that/drips").bytes() {
        if begun.elapsed() > Duration::from_secs(5) || !dripping.send([byte]) {
            break;
        }
        pause_ms(20, "the head drips");
    }
    assert_eq!(dripping.response("GET").expect("an answer").status(), 408);
    let mut idle = proxy.connect();
    assert_eq!(idle.call(get("/")).expect("an answer").status(), 200);
    assert!(idle.closed_within(Duration::from_secs(5)));
    assert!(idle.inbox.bytes.is_empty());
}

#[test]
fn a_body_that_stalls_is_408_and_one_that_moves_may_take_its_time() {
    let portal = Portal::plain();
    let proxy = proxy::start(
        &portal,
        &["--body-timeout", "400ms", "--header-timeout", "400ms"],
    );
    for target in [RESET, "/rest/1/code/crm.deal.add", "/rest/1/code/batch"] {
        let whole = post(target, "application/json", "{\"scope\":\"P\"}");
        let mut stalls = proxy.connect();
        stalls.send(&whole.as_bytes()[..whole.len() - 3]);
        let begun = Instant::now();
        let answer = stalls.response("POST").expect("an answer");
        assert_eq!(
            ours::check(&answer, 408, "REQUEST_TIMEOUT", false),
            Ok(()),
            "{target}"
        );
        assert!(begun.elapsed() < Duration::from_secs(5));
        let mut moves = proxy.connect();
        let (start, end) = whole.split_at(whole.len() - 12);
        moves.send(start);
        for byte in end.bytes() {
            pause_ms(60, "the body drips, and is longer than the limit in all");
            moves.send([byte]);
        }
        assert_eq!(
            moves.response("POST").expect("an answer").status(),
            200,
            "{target}"
        );
    }
    assert_eq!(portal.request_count(), 3, "half a call is not a call");
}

#[test]
fn idle_connections_of_either_side_end_each_at_its_own_time() {
    let portal = Portal::start(|visit| {
        while let Some(request) = visit.request() {
            visit.answer_to(&request, 200, "", b"{}");
            let begun = Instant::now();
            visit.wait_closed(PATIENCE);
            visit.note(&begun.elapsed().as_millis().to_string());
        }
    });
    let limits = ["--pool-idle-timeout", "300ms", "--keep-alive-timeout", "1s"];
    let proxy = proxy::start(&portal, &limits);
    let mut client = proxy.connect();
    assert_eq!(client.call(get("/")).expect("an answer").status(), 200);
    let begun = Instant::now();
    let noted = |connection: &crate::support::portal::Connection| !connection.notes.is_empty();
    assert!(portal.wait_until(|all| all.iter().any(noted)));
    let connections = portal.connections();
    let note = connections.iter().find_map(|one| one.notes.first());
    let pooled: u64 = note.and_then(|note| note.parse().ok()).expect("a number");
    assert!((250..900).contains(&pooled), "{pooled} ms in the pool");
    assert!(client.closed_within(PATIENCE));
    let kept = begun.elapsed();
    assert!(
        kept > Duration::from_millis(900) && kept < Duration::from_secs(5),
        "{kept:?}"
    );
}

#[test]
fn a_connection_to_the_portal_is_idle_no_longer_than_the_portal_says() {
    let portal = Portal::start(|visit| {
        while let Some(request) = visit.request() {
            let told = request.one("x-timeout").unwrap_or_default();
            let field = format!("Keep-Alive: timeout={told}, max=100\r\n");
            visit.answer_to(&request, 200, &field, b"{}");
        }
    });
    let with_calls = || {
        let all = portal.connections();
        all.iter().filter(|one| !one.requests.is_empty()).count()
    };
    // How many connections two calls take, this time apart.
    let taken = |told: &str, apart: Duration, limit: &str| {
        let proxy = proxy::start(&portal, &["--pool-idle-timeout", limit, "--threads", "1"]);
        let before = with_calls();
        let call = format!("GET / HTTP/1.1\r\nHost: h\r\nX-Timeout: {told}\r\n\r\n");
        for pause in [apart, Duration::ZERO] {
            assert_eq!(proxy.call(&call).status(), 200);
            time::pause(pause, "only time ends an idle connection");
        }
        with_calls() - before
    };
    assert_eq!(taken("5", Duration::ZERO, "60s"), 1);
    assert_eq!(taken("1", Duration::ZERO, "60s"), 2);
    let later = Duration::from_millis(1100);
    assert_eq!(taken("2", later, "60s"), 2, "a second less than it says");
}

#[test]
fn a_portal_that_stops_taking_an_upload_is_504() {
    let portal = Portal::start(|visit| {
        visit.head();
        time::pause(Duration::from_secs(8), "it reads nothing");
    });
    let proxy = proxy::start(&portal, &["--response-timeout", "500ms"]);
    let mut client = proxy.connect();
    let socket = client.stream.socket();
    let _ = socket.set_write_timeout(Some(Duration::from_millis(500)));
    let begun = Instant::now();
    client.send("POST /upload HTTP/1.1\r\nHost: h\r\nContent-Length: 900000000\r\n\r\n");
    let block = vec![b'x'; MIB];
    // Until nobody takes it any more.
    while client.send(&block) && begun.elapsed() < PATIENCE {}
    let answer = client.response("POST").expect("an answer");
    assert_eq!(
        ours::check(&answer, 504, "INTERNAL_SERVER_ERROR", false),
        Ok(())
    );
    assert!(begun.elapsed() < Duration::from_secs(6));
}

#[test]
fn when_descriptors_run_out_accepting_pauses_says_so_once_and_goes_on_by_itself() {
    let portal = Portal::plain();
    let wanted =
        proxy::before(&portal.url()).with(&["--threads", "1", "--pool-idle-timeout", "50ms"]);
    let serve = wanted.command();
    let mut command = std::process::Command::new("prlimit");
    if command.arg("--version").output().is_err() {
        eprintln!("skipped: prlimit is not installed");
        return;
    }
    let mut command = std::process::Command::new("prlimit");
    command
        .arg("--nofile=60")
        .arg(serve.get_program())
        .args(serve.get_args());
    let proxy = wanted.start_as(command);
    let mut served = proxy.connect();
    assert_eq!(served.call(get("/")).expect("an answer").status(), 200);
    for _ in 0..3 {
        let many: Vec<Client> = (0..100).map(|_| proxy.connect()).collect();
        pause_ms(
            700,
            "those for whom there is no descriptor are to have been turned away",
        );
        // An eighth of them is kept back.
        assert!((52..58).contains(&proxy.descriptors()));
        assert_eq!(proxy.admin("/metrics").status(), 200);
        let rotated = proxy.log_path().with_extension("1");
        std::fs::rename(proxy.log_path(), rotated).expect("the log is there");
        wait_until("the log is not opened again", || proxy.log_path().exists());
        // The log's old descriptor is free until another client has it, and a connection to the portal may be first.
        let answer = wait_for("the portal is reached", || {
            pause_ms(300, "longer than an idle connection is kept");
            let answer = served.call(get("/")).expect("an answer");
            (answer.status() != 200).then_some(answer)
        });
        let checked = ours::check(&answer, 503, "PORTAL_UNREACHABLE", false);
        assert_eq!(checked, Ok(()));
        let why = answer.one("proxy-status").unwrap_or_default();
        assert!(why.contains("connection_limit_reached"), "{why}");
        drop(many);
        let answer = proxy.call(deprecated_call(1));
        assert_eq!(answer.status(), 200);
    }
    assert_eq!(served.call(get("/")).expect("an answer").status(), 200);
    let said = proxy.stderr.text();
    let alerts = said.matches("no connection can be accepted").count();
    assert_eq!(alerts, 1, "{said}");
    assert!(proxy.metric("b24_proxy_accept_pauses_total") >= 1.0);
    assert_eq!(proxy.metric("b24_proxy_accept_paused"), 0.0);
}

#[test]
fn others_are_served_at_once_beside_idle_and_dripping_clients() {
    let (idle, dripping) = (2_000, 200);
    let portal = Portal::plain();
    let proxy = proxy::start(&portal, &[]);
    let mut idlers: Vec<Client> = (0..idle).map(|_| proxy.connect()).collect();
    for client in idlers.iter_mut().step_by(4) {
        assert_eq!(client.call(get("/once")).expect("an answer").status(), 200);
    }
    let drippers: Vec<Client> = (0..dripping).map(|_| proxy.connect()).collect();
    let stop = AtomicBool::new(false);
    let slowest = std::thread::scope(|scope| {
        scope.spawn(|| drip(drippers, &stop));
        let mut slowest = Duration::ZERO;
        let until = Instant::now() + Duration::from_secs(2);
        let mut number = 0;
        while Instant::now() < until {
            let begun = Instant::now();
            let request = if number % 2 == 0 {
                get("/page")
            } else {
                deprecated_call(number)
            };
            assert_eq!(proxy.call(request).status(), 200);
            slowest = slowest.max(begun.elapsed());
            number += 1;
        }
        stop.store(true, Ordering::Relaxed);
        slowest
    });
    assert!(
        slowest < Duration::from_millis(500),
        "one waited {slowest:?}"
    );
    let resident = proxy.figure("VmRSS");
    figure(
        "2,000 idle and 200 dripping clients",
        format!("others waited {slowest:?} at the most, {resident} KiB in all"),
    );
    assert!(resident < 96 * 1024, "{resident} KiB for 2,200 clients");
}

#[test]
#[cfg(target_env = "gnu")]
fn what_many_connections_held_is_given_back_when_they_have_gone() {
    let portal = Portal::plain();
    let proxy = proxy::start(&portal, &[]);
    assert_eq!(proxy.call(get("/warm")).status(), 200);
    let before = proxy.figure("VmRSS");
    let mut clients: Vec<Client> = (0..2_000).map(|_| proxy.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.call(get("/once")).expect("an answer").status(), 200);
    }
    let with = proxy.figure("VmRSS");
    drop(clients);
    let allowed = before + (with - before) / 3;
    wait_until_or(
        || proxy.figure("VmRSS") <= allowed,
        || {
            let now = proxy.figure("VmRSS");
            format!("{before} KiB before, {with} with 2,000 connections, {now} after")
        },
    );
}

/// Sends heads, then bodies, a byte now and then.
fn drip(mut clients: Vec<Client>, stop: &AtomicBool) {
    let request = post(
        "/rest/1/code/crm.deal.add",
        "application/json",
        &"x".repeat(2_000),
    );
    for byte in request.bytes() {
        for client in &mut clients {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            client.send([byte]);
        }
        pause_ms(10, "each body drips");
    }
}

/// A batch whose commands are batches, and so on, down to calls of a watched method; of at least so many bytes.
fn nested_batch(size: usize) -> String {
    let level = |inner: &str, count: usize| {
        let commands =
            vec![format!("cmd[]={}", inner.replace('%', "%25").replace('&', "%26")); count];
        format!("Batch?{}", commands.join("&"))
    };
    let inner = (0..3).fold("crm.lead.add".to_owned(), |inner, _| level(&inner, 50));
    let commands = vec![format!("\"{inner}\""); (size / inner.len()).clamp(1, 50)];
    format!("{{\"cmd\":[{}]}}", commands.join(","))
}

#[test]
fn a_batch_of_batches_takes_no_memory_for_each_of_its_commands() {
    let portal = Portal::plain();
    let proxy = proxy::start(&portal, &["--threads", "1"]);
    let body = nested_batch(24 * MIB);
    let call = |body: &str| proxy.call(post("/rest/1/code/batch", "application/json", body));
    assert_eq!(call("{}").status(), 200);
    let small = proxy.figure("VmRSS");
    proxy.reset_peak();
    let answer = call(&body);
    assert_eq!(answer.status(), 413);
    assert!(
        answer.text().contains("more than 5000 commands"),
        "{}",
        answer.text()
    );
    let more = proxy.figure("VmHWM").saturating_sub(small) as usize * 1024;
    // The body itself and what of it is unwrapped at a time.
    assert!(
        more < 3 * body.len(),
        "{more} bytes more for {}",
        body.len()
    );
    assert_eq!(portal.request_count(), 1);
    let events = proxy.events();
    assert_eq!(events.len(), 51);
    assert_eq!(events[49]["batch_key"], "0/0/0/49");
    assert_eq!(events[50]["reason"], "too_large");
    assert_eq!(events[50]["count"], 4_950);
}

#[test]
fn streaming_takes_no_memory() {
    let size = if heavy() { 1024 * MIB } else { 96 * MIB } as u64;
    let portal = Portal::start(move |visit| {
        while let Some(head) = visit.head() {
            if head.starts_with(b"PUT") {
                let came = visit.swallow(head.len() as u64 + size);
                visit.answer(200, "", (came - head.len() as u64).to_string().as_bytes());
            } else {
                visit.swallow(head.len() as u64);
                visit.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n"));
                let block = vec![b'x'; 256 * 1024];
                for _ in 0..size / (256 * 1024) {
                    visit.write(&block);
                }
            }
        }
    });
    let proxy = proxy::start(&portal, &["--threads", "1"]);
    assert_eq!(proxy.call(get("/nothing")).status(), 200);
    let small = proxy.figure("VmRSS");
    proxy.reset_peak();
    let mut up = proxy.connect();
    up.send(format!(
        "PUT /up HTTP/1.1\r\nHost: h\r\nContent-Length: {size}\r\n\r\n"
    ));
    let block = vec![b'x'; 256 * 1024];
    for _ in 0..size / (256 * 1024) {
        assert!(up.send(&block));
    }
    assert_eq!(
        up.response("PUT").expect("an answer").text(),
        size.to_string()
    );
    let mut down = proxy.connect();
    down.send(get("/down"));
    let mut came = 0;
    // Its head counts a little too.
    while came < size {
        assert!(down.inbox.fill(&mut down.stream, PATIENCE) && !down.inbox.ended);
        came += down.inbox.bytes.len() as u64;
        down.inbox.forget();
    }
    let more = proxy.figure("VmHWM").saturating_sub(small);
    let mib = size / MIB as u64;
    figure(
        &format!("streaming {mib} MiB each way"),
        format!("{more} KiB more"),
    );
    assert!(more < 8 * 1024, "{more} KiB more");
}

#[test]
fn a_client_that_does_not_take_its_answer_holds_little_and_not_for_ever() {
    let portal = Portal::start(|visit| {
        while let Some(request) = visit.request() {
            if request.target() == b"/endless" {
                visit.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
                let block = [b"10000\r\n".as_slice(), &[b'x'; 65_536], b"\r\n"].concat();
                while visit.write(&block) {}
                return;
            }
            visit.answer_to(&request, 200, "", b"ok");
        }
    });
    let proxy = proxy::start(&portal, &["--body-timeout", "500ms"]);
    let small = proxy.figure("VmRSS");
    let mut deaf: Vec<Client> = (0..10).map(|_| proxy.connect()).collect();
    for client in &mut deaf {
        client.send(get("/endless"));
    }
    assert_eq!(proxy.call(get("/page")).status(), 200);
    // The portal's end goes when the proxy gives up on the client.
    assert!(portal.wait_until(|all| {
        let endless: Vec<_> = all
            .iter()
            .filter(|one| {
                one.requests
                    .iter()
                    .any(|request| request.target() == b"/endless")
            })
            .collect();
        endless.len() == 10 && endless.iter().all(|one| !one.open)
    }));
    let more = proxy.figure("VmHWM").saturating_sub(small);
    assert!(more < 24 * 1024, "{more} KiB for 10 deaf clients");
}

/// A body of so many bytes with one deprecated call's parameters in it.
fn large_body(size: usize) -> String {
    let mut body = String::with_capacity(size + 64);
    body.push_str("{\"userId\":1,\"extras\":{\"lead.customer.type\":2},\"data\":[");
    while body.len() < size - 64 {
        body.push_str("{\"name\":\"section\",\"title\":\"\\u0422\\u0435\\u043a\\u0441\\u0442\"},");
    }
    body.push_str("0]}");
    body
}

#[test]
fn many_large_bodies_to_be_rewritten_share_a_budget_and_give_it_back() {
    let (clients, size, most) = if heavy() {
        (40, 32 * MIB - 1000, 512)
    } else {
        (16, 3 * MIB, 64)
    };
    let (budget, limit) = if heavy() {
        ("256MiB", "32MiB")
    } else {
        ("24MiB", "4MiB")
    };
    // The portal keeps no bodies: only the proxy's memory counts, but the machine's is shared.
    let portal = Portal::start(|visit| {
        while let Some(head) = visit.head() {
            let text = String::from_utf8_lossy(&head).to_lowercase();
            let length: u64 = text
                .lines()
                .find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok())
                .unwrap_or(0);
            visit.swallow(head.len() as u64 + length);
            visit.answer(200, "", b"{\"result\":true}");
        }
    });
    let wait = if heavy() { "300s" } else { "60s" };
    let proxy = proxy::start(
        &portal,
        &[
            "--rewrite-memory",
            budget,
            "--max-rewrite-body",
            limit,
            "--rewrite-wait",
            wait,
            "--body-timeout",
            "300s",
        ],
    );
    let body = large_body(size);
    let request = post(RESET, "application/json", &body);
    let address = proxy.address();
    // Without the pages of the program itself, of which a debug build has 25 MiB.
    let at_rest = proxy.figure("RssAnon") / 1024;
    std::thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                // Bodies that come at the same moment may all wait for more: the youngest is told to come again, as clients do.
                loop {
                    let mut client = Client::connect(address);
                    let _ = client
                        .stream
                        .socket()
                        .set_write_timeout(Some(Duration::from_secs(300)));
                    assert!(client.send(&request));
                    let answer = client
                        .response_within("POST", Duration::from_secs(300))
                        .expect("an answer");
                    if answer.status() == 200 {
                        break;
                    }
                    assert_eq!(ours::check(&answer, 503, "PROXY_BUSY", false), Ok(()));
                    pause_ms(100, "who was told to come again takes a moment");
                }
            });
        }
    });
    let peak = proxy.figure("VmHWM") / 1024;
    assert!(peak < most, "{peak} MiB at the most");
    // For connections that are still there; what the bodies' pieces left free in the allocator was up to 9 MiB.
    let kept_at_most = at_rest + if heavy() { 6 } else { 3 };
    wait_until_or(
        || proxy.figure("RssAnon") / 1024 <= kept_at_most,
        || {
            format!(
                "{} MiB are kept, {at_rest} MiB were there at rest",
                proxy.figure("RssAnon") / 1024
            )
        },
    );
    let kept = proxy.figure("RssAnon") / 1024;
    figure(
        &format!(
            "{clients} bodies of {} MiB to be rewritten",
            size.div_ceil(MIB)
        ),
        format!("{peak} MiB at the most; {at_rest} MiB before, {kept} MiB afterwards"),
    );
    assert_eq!(proxy.events().len(), clients);
}

#[test]
fn a_body_that_is_sent_is_not_held_while_its_answer_comes() {
    const CALLS: usize = 12;
    let portal = Portal::start(|visit| {
        if let Some(head) = visit.head() {
            let text = String::from_utf8_lossy(&head).to_lowercase();
            let length = text
                .lines()
                .find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok());
            visit.swallow(head.len() as u64 + length.unwrap_or(0));
            visit.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha");
            visit.wait_closed(Duration::from_secs(60));
        }
    });
    let limits = ["--rewrite-memory", "16MiB", "--max-rewrite-body", "8MiB"];
    let proxy = proxy::start(&portal, &[&limits[..], &["--threads", "1"]].concat());
    let small = proxy.figure("VmRSS");
    let request = post(RESET, "application/json", &large_body(8 * MIB - 1000));
    // Each answer has begun, so that its room is given to the next call, and none has ended.
    let begun: Vec<Client> = (0..CALLS)
        .map(|_| {
            let mut client = proxy.connect();
            assert!(client.send(&request));
            while !client.inbox.bytes.ends_with(b"\r\n\r\nha") {
                assert!(client.inbox.fill(&mut client.stream, PATIENCE) && !client.inbox.ended);
            }
            client
        })
        .collect();
    let more = proxy.figure("VmRSS").saturating_sub(small);
    assert!(more < 32 * 1024, "{more} KiB for {CALLS} bodies of 8 MiB");
    drop(begun);
}

#[test]
fn a_call_that_finds_no_room_is_told_to_come_again_and_small_ones_never_wait() {
    let portal = Portal::plain();
    let limits = [
        "--rewrite-memory",
        "4MiB",
        "--max-rewrite-body",
        "1MiB",
        "--rewrite-wait",
        "300ms",
    ];
    let proxy = proxy::start(&portal, &limits);
    // These take all the room and do not send their bodies.
    let body = large_body(MIB - 1000);
    let request = post(RESET, "application/json", &body);
    let mut holders: Vec<Client> = (0..4).map(|_| proxy.connect()).collect();
    for client in &mut holders {
        client.send(&request.as_bytes()[..request.len() / 2]);
    }
    let until = Instant::now() + PATIENCE;
    loop {
        let mut client = proxy.connect();
        client.send(&request);
        let answer = client.response("POST").expect("an answer");
        if answer.status() == 503 {
            assert_eq!(ours::check(&answer, 503, "PROXY_BUSY", false), Ok(()));
            break;
        }
        assert!(Instant::now() < until, "there is always room");
    }
    let begun = Instant::now();
    assert_eq!(proxy.call(deprecated_call(1)).status(), 200);
    let batch = format!(
        "{{\"cmd\":{{\"a\":\"crm.deal.list\",\"b\":\"{}\"}}}}",
        "x".repeat(50_000)
    );
    assert_eq!(
        proxy
            .call(post("/rest/1/code/batch", "application/json", &batch))
            .status(),
        200
    );
    assert_eq!(proxy.call(get("/page")).status(), 200);
    assert!(begun.elapsed() < Duration::from_secs(2));
    drop(holders);
    let until = Instant::now() + PATIENCE;
    while proxy.call(&request).status() != 200 {
        assert!(Instant::now() < until, "the room is not given back");
    }
}

#[test]
fn what_was_announced_and_has_not_come_holds_nobody_up() {
    let portal = Portal::plain();
    let proxy = proxy::start(&portal, &["--rewrite-wait", "300ms"]);
    let head = |framing: &str| {
        format!(
            "POST /rest/batch HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n{framing}\r\n\r\n"
        )
    };
    let chunked = head("Transfer-Encoding: chunked") + "1\r\n{\r\n";
    let long = head("Content-Length: 33552384") + "{";
    let held: Vec<Client> = [&chunked, &chunked, &chunked, &long, &long, &long]
        .iter()
        .map(|request| {
            let mut client = proxy.connect();
            client.send(request);
            client
        })
        .collect();
    let commands = "x".repeat(3 * MIB);
    let batch = format!("{{\"cmd\":{{\"a\":\"crm.deal.list\",\"b\":\"{commands}\"}}}}");
    for _ in 0..3 {
        let answer = proxy.call(post("/rest/1/code/batch", "application/json", &batch));
        assert_eq!(answer.status(), 200);
    }
    assert_eq!(proxy.metric("b24_proxy_rewrite_memory_bytes"), 0.0);
    drop(held);
}

#[test]
fn an_address_that_holds_all_the_room_gives_way_to_another() {
    let portal = Portal::plain();
    let limits = [
        "--rewrite-memory",
        "4MiB",
        "--max-rewrite-body",
        "1MiB",
        "--trusted-proxy",
        "127.0.0.1",
    ];
    let proxy = proxy::start(&portal, &limits);
    let body = large_body(MIB - 1000);
    let from = |address: &str| {
        let field = format!("\r\nX-Forwarded-For: {address}\r\n");
        post(RESET, "application/json", &body).replacen("\r\n", &field, 1)
    };
    let strangers = from("203.0.113.1");
    let mut held: Vec<Client> = Vec::new();
    for number in 1..=2 {
        let mut client = proxy.connect();
        client.send(&strangers[..strangers.len() - 1]);
        held.push(client);
        let taken = f64::from(number) * 2.0 * (MIB - 2000) as f64;
        wait_until_or(
            || proxy.metric("b24_proxy_rewrite_memory_bytes") >= taken,
            || format!("{number} do not hold their room"),
        );
    }
    // Well below --rewrite-wait, and below the least rate.
    let begun = Instant::now();
    assert_eq!(proxy.call(from("198.51.100.1")).status(), 200);
    assert!(begun.elapsed() < Duration::from_secs(8));
    let answer = held[1].response("POST").expect("an answer");
    assert_eq!(ours::check(&answer, 503, "PROXY_BUSY", false), Ok(()));
    held[0].send(&strangers[strangers.len() - 1..]);
    let answer = held[0].response("POST").expect("an answer");
    assert_eq!(answer.status(), 200, "half of the room was its own");
    assert_eq!(portal.request_count(), 2);
}

#[test]
fn where_all_bodies_that_hold_room_wait_for_more_the_youngest_is_told_to_come_again() {
    let portal = Portal::plain();
    let limits = ["--rewrite-memory", "1MiB", "--max-rewrite-body", "1MiB"];
    let proxy = proxy::start(&portal, &limits);
    // Of chunks, so that nobody knows how much is to come.
    let body = large_body(600 * 1024);
    let (first, rest) = body.split_at(200 * 1024);
    let begin = format!(
        "POST {RESET} HTTP/1.1\r\nHost: b24\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n\
         {:x}\r\n{first}\r\n",
        first.len()
    );
    let end = format!("{:x}\r\n{rest}\r\n0\r\n\r\n", rest.len());
    let (mut older, mut younger) = (proxy.connect(), proxy.connect());
    for (number, client) in [(1, &mut older), (2, &mut younger)] {
        // Twice 256 KiB each.
        client.send(&begin);
        let taken = f64::from(number) * 512.0 * 1024.0;
        wait_until_or(
            || proxy.metric("b24_proxy_rewrite_memory_bytes") == taken,
            || format!("{number} do not hold their room"),
        );
    }
    older.send(&end);
    younger.send(&end);
    let answer = younger.response("POST").expect("an answer");
    assert_eq!(ours::check(&answer, 503, "PROXY_BUSY", false), Ok(()));
    assert_eq!(older.response("POST").expect("an answer").status(), 200);
    assert_eq!(portal.request_count(), 1);
}
