//! Whatever breaks between proxy and portal: the caller gets a clear answer within its limit, which says whether
//! repeating is safe; the next call works; and no call reaches the portal twice.

use std::ffi::OsStr;
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::interop::{Running, free_port, is_installed};
use crate::support::client::{Client, deprecated_call, get, post};
use crate::support::portal::{Portal, Visit};
use crate::support::proxy::{self, Proxy};
use crate::support::strict::Message;
use crate::support::time::{pause_ms, wait_until};
use crate::support::wire::Lost;
use crate::support::{Dice, figure, ours, tls};

/// The limits of the proxies here; what a caller waits is this and what a busy machine adds.
const LIMIT: &str = "400ms";
const LATEST: Duration = Duration::from_secs(5);

/// Calls of every kind, each in its own path through the proxy; the marker line tells the portal what to do.
fn calls(marker: &str) -> Vec<(&'static str, String, bool)> {
    let marked = |request: String| request.replacen("\r\n", &format!("\r\n{marker}"), 1);
    let deprecated = "crm.lead.details.configuration.reset";
    let batch = format!("{{\"cmd\":{{\"a\":\"{deprecated}?userId=1\",\"b\":\"crm.deal.list\"}}}}");
    vec![
        (
            "a plain GET",
            marked(get("/rest/1/code/crm.deal.list")),
            false,
        ),
        (
            "a plain POST",
            marked(post("/rest/1/code/crm.deal.add", "application/json", "{}")),
            false,
        ),
        ("a page", marked(get("/company/")), false),
        (
            "a plain XML call",
            marked(get("/rest/1/code/crm.deal.list.xml")),
            true,
        ),
        ("a deprecated call", marked(deprecated_call(1)), false),
        (
            "a deprecated GET in XML",
            marked(get(&format!("/rest/1/code/{deprecated}.xml?userId=1"))),
            true,
        ),
        (
            "a batch",
            marked(post("/rest/1/code/batch", "application/json", &batch)),
            false,
        ),
    ]
}

/// What must come of a fault.
#[derive(Clone, Copy)]
enum Outcome {
    /// 502: it may have been executed.
    Broken,
    /// 504: no answer in time.
    Late,
    /// The head has gone to the client: it sees the rest missing. A call that is waited for whole may get 502 or 504.
    CutOff,
}

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";

const FAULTS: &[(&str, Outcome)] = &[
    ("close-on-request", Outcome::Broken),
    ("reset-on-request", Outcome::Broken),
    ("silence", Outcome::Late),
    ("half-head-close", Outcome::Broken),
    ("half-head-reset", Outcome::Broken),
    ("half-head-stall", Outcome::Late),
    ("bad-head", Outcome::Broken),
    ("unasked-101", Outcome::Broken),
    ("body-stall", Outcome::CutOff),
    ("body-close", Outcome::CutOff),
    ("body-reset", Outcome::CutOff),
    ("chunk-bad", Outcome::CutOff),
    ("chunk-close", Outcome::CutOff),
    ("chunk-stall", Outcome::CutOff),
];

fn break_down(visit: &mut Visit, fault: &str) {
    match fault {
        "close-on-request" => visit.close(),
        "reset-on-request" => visit.reset(),
        "silence" => {
            visit.wait_closed(LATEST);
        }
        "half-head-close" => {
            visit.write("HTTP/1.1 200 OK\r\nContent-");
        }
        "half-head-reset" => {
            visit.write("HTTP/1.1 200 OK\r\nContent-");
            visit.reset();
        }
        "half-head-stall" => {
            visit.write("HTTP/1.1 200 OK\r\nContent-");
            visit.wait_closed(LATEST);
        }
        "bad-head" => {
            visit.write("HTTP/1.1 twohundred\r\n\r\n");
            visit.wait_closed(LATEST);
        }
        "unasked-101" => {
            visit.write(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
            );
            visit.wait_closed(LATEST);
        }
        "body-stall" => {
            visit.write(format!("{HEAD}Content-Length: 99\r\n\r\n{{"));
            visit.wait_closed(LATEST);
        }
        "body-close" => {
            visit.write(format!("{HEAD}Content-Length: 99\r\n\r\n{{"));
        }
        "body-reset" => {
            visit.write(format!("{HEAD}Content-Length: 99\r\n\r\n{{"));
            pause_ms(
                50,
                "what was written is to arrive: a reset would overtake it",
            );
            visit.reset();
        }
        "chunk-bad" => {
            visit.write(format!(
                "{HEAD}Transfer-Encoding: chunked\r\n\r\n1\r\n{{\r\nzz\r\n"
            ));
            visit.wait_closed(LATEST);
        }
        "chunk-close" => {
            visit.write(format!(
                "{HEAD}Transfer-Encoding: chunked\r\n\r\n1\r\n{{\r\n"
            ));
        }
        "chunk-stall" => {
            visit.write(format!(
                "{HEAD}Transfer-Encoding: chunked\r\n\r\n1\r\n{{\r\n"
            ));
            visit.wait_closed(LATEST);
        }
        other => panic!("no fault {other}"),
    }
}

fn faulty_portal() -> Portal {
    Portal::start(|visit| {
        while let Some(request) = visit.request() {
            match request.one("x-fault") {
                Some(fault) => return break_down(visit, &fault),
                None => visit.answer_to(&request, 200, "", b"{\"result\":true}"),
            };
        }
    })
}

#[test]
fn every_fault_of_an_answer_is_told_clearly_and_the_next_call_works() {
    let portal = faulty_portal();
    let limits = [
        "--response-timeout",
        LIMIT,
        "--upstream-body-timeout",
        LIMIT,
    ];
    let proxy = proxy::start(&portal, &limits);
    let proxy = &proxy;
    let number = AtomicUsize::new(0);
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = FAULTS
            .iter()
            .map(|(fault, outcome)| {
                let number = &number;
                scope.spawn(move || {
                    let mut wrong = Vec::new();
                    for (name, request, xml) in calls(&format!("X-Fault: {fault}\r\n")) {
                        let id = number.fetch_add(1, Ordering::Relaxed);
                        let request = request.replacen("\r\n", &format!("\r\nX-Call: {id}\r\n"), 1);
                        if let Err(what) = fault_is_told(proxy, &request, *outcome, xml) {
                            wrong.push(format!("{fault}, {name}: {what}"));
                        }
                    }
                    wrong
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("it runs"))
            .collect()
    });
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    no_call_came_twice(&portal);
    figure(
        "faults of an answer",
        format!(
            "0 of {} calls without a clear answer in time, 0 doubled",
            number.load(Ordering::Relaxed)
        ),
    );
    let mut events = proxy.events();
    events.retain(|event| event["action"] == "rewritten");
    assert_eq!(
        events.len(),
        3 * FAULTS.len(),
        "each deprecated call has its event"
    );
}

fn fault_is_told(proxy: &Proxy, request: &str, outcome: Outcome, xml: bool) -> Result<(), String> {
    let begun = Instant::now();
    let mut client = proxy.connect();
    let answer = client.call(request);
    let took = begun.elapsed();
    match (outcome, &answer) {
        (Outcome::Broken, Ok(answer)) => ours::check(answer, 502, "INTERNAL_SERVER_ERROR", xml)?,
        (Outcome::Late, Ok(answer)) => ours::check(answer, 504, "INTERNAL_SERVER_ERROR", xml)?,
        (Outcome::CutOff, Err(Lost::Truncated(_))) => {}
        (Outcome::CutOff, Ok(answer)) if matches!(answer.status(), 502 | 504) => {
            ours::check(answer, answer.status(), "INTERNAL_SERVER_ERROR", xml)?;
        }
        (_, other) => return Err(format!("{other:?}")),
    }
    if took > LATEST {
        return Err(format!("it took {took:?}"));
    }
    match proxy.connect().call(get("/rest/1/code/crm.deal.list")) {
        Ok(next) if next.status() == 200 && next.text() == "{\"result\":true}" => Ok(()),
        other => Err(format!("the next call: {other:?}")),
    }
}

fn no_call_came_twice(portal: &Portal) {
    let mut ids: Vec<String> = portal
        .requests()
        .iter()
        .filter_map(|one| one.one("x-call"))
        .collect();
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), all, "a call came twice");
}

/// Before the portal can be reached at all: 503, and the same call works when it can.
fn is_unreachable(proxy: &Proxy, why: &str) {
    for (name, request, xml) in calls("") {
        let begun = Instant::now();
        let answer = proxy.call(&request);
        let checked = ours::check(&answer, 503, "PORTAL_UNREACHABLE", xml);
        assert_eq!(checked, Ok(()), "{why}, {name}");
        let said = answer.one("proxy-status").unwrap_or_default();
        assert!(said.contains(why), "{name}: {said} does not say {why}");
        assert!(
            begun.elapsed() < LATEST,
            "{why}, {name}: {:?}",
            begun.elapsed()
        );
    }
}

fn works(proxy: &Proxy) {
    for (name, request, _) in calls("") {
        assert_eq!(proxy.call(&request).status(), 200, "{name}");
    }
}

#[test]
fn a_refused_connection_is_503_until_the_portal_is_there() {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket
        .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .expect("a free port");
    let address = socket
        .local_addr()
        .expect("an address")
        .as_socket()
        .expect("an IP address");
    let proxy = proxy::before(&format!("http://{address}")).start();
    is_unreachable(&proxy, "connection_refused");
    assert!(
        proxy.admin("/readyz").status() == 200,
        "an unreachable portal is no reason not to be ready"
    );
    socket.listen(64).expect("it listens");
    serve(socket.into());
    works(&proxy);
}

#[test]
fn a_portal_that_does_not_take_connections_is_503_within_the_connect_timeout() {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket
        .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .expect("a free port");
    socket.listen(0).expect("it listens");
    let address = socket
        .local_addr()
        .expect("an address")
        .as_socket()
        .expect("an IP address");
    // The queue is full with these; further ones get no answer.
    let mut filling: Vec<TcpStream> = Vec::new();
    while let Ok(one) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
        filling.push(one);
    }
    let proxy = proxy::before(&format!("http://{address}"))
        .with(&["--connect-timeout", "300ms"])
        .start();
    is_unreachable(&proxy, "connection_timeout");
    serve(socket.into());
    drop(filling);
    // The kernel lets the next one in when it sends its SYN again.
    let until = Instant::now() + Duration::from_secs(10);
    while proxy.call(get("/")).status() != 200 {
        assert!(Instant::now() < until, "it is not reached again");
    }
}

/// Answers each request on this listener with 200.
fn serve(listener: TcpListener) {
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let Ok(mut socket) = socket else { continue };
            std::thread::spawn(move || {
                let mut inbox = crate::support::wire::Inbox::default();
                let mut stream =
                    crate::support::wire::Stream::Plain(socket.try_clone().expect("a socket"));
                while inbox
                    .message(
                        &mut stream,
                        Duration::from_secs(60),
                        crate::support::wire::as_request,
                    )
                    .is_ok()
                {
                    let _ = socket.write_all(
                        b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{\"result\":true}",
                    );
                }
            });
        }
    });
}

#[test]
fn a_name_that_does_not_resolve_is_503() {
    let proxy = proxy::before("http://no-such-portal.invalid").start();
    is_unreachable(&proxy, "dns");
}

#[test]
fn a_portal_to_which_no_route_leads_is_503() {
    // A group's address: no connection can be made to it.
    let proxy = proxy::before("http://224.0.0.1").start();
    is_unreachable(&proxy, "destination_ip_unroutable");
}

/// The command, which sees these lines as its table of hosts; `None` where a machine does not allow that.
fn with_hosts(serve: &Command, hosts: &Path) -> Option<Command> {
    let bound = "mount --bind \"$0\" /etc/hosts && exec \"$@\"";
    let inside = |program: &OsStr| {
        let mut command = Command::new("unshare");
        command
            .args(["-rm", "sh", "-c", bound])
            .arg(hosts)
            .arg(program);
        command
    };
    let tried = inside(OsStr::new("true")).output();
    if !tried.is_ok_and(|tried| tried.status.success()) {
        eprintln!("skipped: no table of hosts of one's own (unshare)");
        return None;
    }
    let mut command = inside(serve.get_program());
    command.args(serve.get_args());
    Some(command)
}

#[test]
fn a_name_is_looked_up_for_each_connection_and_its_addresses_are_tried_in_turn() {
    let portal = Portal::plain();
    let moved_to = SocketAddr::from(([127, 0, 0, 3], portal.address.port()));
    let wanted = proxy::before(&format!("http://portal.test:{}", portal.address.port()))
        .with(&["--pool-idle-timeout", "50ms"]);
    // Nobody listens at the first two, whichever is tried first.
    let hosts = wanted.folder().join("hosts");
    std::fs::write(
        &hosts,
        "::1 portal.test\n127.0.0.2 portal.test\n127.0.0.1 portal.test\n",
    )
    .expect("a file");
    let Some(command) = with_hosts(&wanted.command(), &hosts) else {
        return;
    };
    let proxy = wanted.start_as(command);
    works(&proxy);
    assert!(
        portal
            .requests()
            .iter()
            .all(|one| one.one("host") == Some(format!("portal.test:{}", portal.address.port())))
    );
    // The name leads elsewhere: connections that are opened from now on go there.
    serve(TcpListener::bind(moved_to).expect("the same port of another address"));
    std::fs::write(&hosts, "127.0.0.2 portal.test\n127.0.0.3 portal.test\n").expect("a file");
    assert!(portal.wait_until(|all| all.iter().all(|one| !one.open)));
    let before = portal.request_count();
    works(&proxy);
    assert_eq!(portal.request_count(), before);
    std::fs::write(&hosts, "127.0.0.1 localhost\n").expect("a file");
    wait_until("a connection is kept for ever", || {
        pause_ms(100, "longer than an idle connection is kept");
        proxy.call(get("/")).status() != 200
    });
    is_unreachable(&proxy, "dns_error");
}

#[test]
fn a_socket_file_that_is_not_there_is_503_until_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("portal.sock");
    let proxy = proxy::before(&format!("unix:{}", path.display())).start();
    is_unreachable(&proxy, "connection_refused");
    let listener = std::os::unix::net::UnixListener::bind(&path).expect("a socket file");
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            std::thread::spawn(move || one_unix_answer(socket));
        }
    });
    works(&proxy);
}

fn one_unix_answer(mut socket: std::os::unix::net::UnixStream) {
    use std::io::Read;
    let mut seen = Vec::new();
    let mut block = [0; 4096];
    while let Ok(count @ 1..) = socket.read(&mut block) {
        seen.extend_from_slice(&block[..count]);
        if crate::support::strict::request(&seen).message().is_some() {
            let _ =
                socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{\"result\":true}");
            seen.clear();
        }
    }
}

#[test]
fn a_portal_whose_tls_fails_is_503_and_says_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let (trusted, other) = (
        tls::pair(folder.path(), "trusted"),
        tls::pair(folder.path(), "other"),
    );
    let authority = trusted.certificate.to_str().expect("UTF-8").to_owned();
    let before = |url: &str| {
        proxy::before(url)
            .with(&[
                "--upstream-ca",
                &authority,
                "--tls-handshake-timeout",
                LIMIT,
            ])
            .start()
    };
    let answer = |visit: &mut Visit| {
        while let Some(request) = visit.request() {
            visit.answer_to(&request, 200, "", b"{\"result\":true}");
        }
    };

    let stranger = Portal::start_tls(tls::server(&other), answer);
    is_unreachable(
        &before(&format!("https://{}", stranger.address)),
        "tls_certificate_error",
    );
    assert!(
        stranger.requests().is_empty(),
        "not a byte of a call goes to a stranger"
    );

    let plain = Portal::start(|visit| {
        visit.write("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        visit.wait_closed(LATEST);
    });
    is_unreachable(
        &before(&format!("https://{}", plain.address)),
        "tls_protocol_error",
    );

    let silent = Portal::start(|visit| {
        visit.wait_closed(LATEST);
    });
    is_unreachable(&before(&format!("https://{}", silent.address)), "timeout");

    let closing = Portal::start(|visit| visit.close());
    is_unreachable(
        &before(&format!("https://{}", closing.address)),
        "tls_protocol_error",
    );

    let right = Portal::start_tls(tls::server(&trusted), answer);
    works(&before(&format!("https://{}", right.address)));
    works(&before(&format!(
        "https://localhost:{}",
        right.address.port()
    )));
}

#[test]
fn surplus_bytes_on_an_idle_connection_reach_nobody() {
    let written = Arc::new(AtomicUsize::new(0));
    let count = written.clone();
    let portal = Portal::start(move |visit| {
        while let Some(request) = visit.request() {
            let target = String::from_utf8_lossy(request.target()).into_owned();
            visit.answer_to(&request, 200, "", target.as_bytes());
            pause_ms(
                5,
                "the answer is to be over before more comes, else it is one with a surplus",
            );
            visit.write("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen");
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    let proxy = proxy::start(&portal, &["--threads", "1"]);
    let mut client = proxy.connect();
    for number in 0..50 {
        let target = format!("/own/{number}");
        let answer = client.call(get(&target)).expect("an answer");
        assert_eq!((answer.status(), answer.text()), (200, target));
        while written.load(Ordering::SeqCst) <= number {
            std::thread::yield_now();
        }
    }
    assert_eq!(portal.connection_count(), 50 + usize::from(probed(&portal)));
}

/// Whether the proxy has tried its portal at the start, with a connection that brought nothing.
fn probed(portal: &Portal) -> bool {
    portal.connections().iter().any(|one| one.bytes.is_empty())
}

#[test]
fn a_post_that_meets_the_close_of_a_pooled_connection_is_never_sent_twice() {
    const RACES: usize = 300;
    let wait = Arc::new(AtomicUsize::new(0));
    let close_after = wait.clone();
    let portal = Portal::start(move |visit| {
        while let Some(request) = visit.request() {
            visit.answer_to(&request, 200, "", b"{\"result\":true}");
            let micros = close_after.load(Ordering::SeqCst) as u64;
            if micros > 0 {
                spin(Duration::from_micros(micros));
                return;
            }
        }
    });
    let proxy = proxy::start(&portal, &["--threads", "1"]);
    let mut client = proxy.connect();
    let mut dice = Dice::new(7);
    let mut outcomes: Vec<(usize, u16)> = Vec::new();
    for race in 0..RACES {
        // The portal closes its connection about when the POST is on its way to it.
        wait.store(1 + dice.below(600), Ordering::SeqCst);
        let first = client.call(get("/warm")).expect("an answer");
        assert!(matches!(first.status(), 200 | 502), "{first:?}");
        spin(Duration::from_micros(dice.below(600) as u64));
        let request = post("/rest/1/code/crm.deal.add", "application/json", "{}").replacen(
            "\r\n",
            &format!("\r\nX-Call: {race}\r\n"),
            1,
        );
        let answer = client.call(request).expect("an answer, whatever happens");
        match answer.status() {
            200 => {}
            502 => assert_eq!(
                ours::check(&answer, 502, "INTERNAL_SERVER_ERROR", false),
                Ok(())
            ),
            503 => assert_eq!(
                ours::check(&answer, 503, "PORTAL_UNREACHABLE", false),
                Ok(())
            ),
            other => panic!("{other}: {answer:?}"),
        }
        outcomes.push((race, answer.status()));
    }
    no_call_came_twice(&portal);
    let came = portal.requests();
    for (race, status) in &outcomes {
        let executed = came.iter().filter(|one| is_call(one, *race)).count();
        match status {
            200 => assert_eq!(executed, 1, "race {race}"),
            503 => assert_eq!(executed, 0, "race {race}: said to be safe to repeat"),
            _ => assert!(executed <= 1, "race {race}"),
        }
    }
    let lost = outcomes.iter().filter(|(_, status)| *status != 200).count();
    figure(
        &format!("{RACES} POSTs against the closing of a pooled connection"),
        format!("0 doubled, {lost} met the close"),
    );
}

/// A portal that takes the second request on each connection and closes it without an answer.
fn executing_portal() -> Portal {
    Portal::start(|visit| {
        while let Some(request) = visit.request() {
            if request.target() != b"/warm" && visit.number_of_requests() > 1 {
                return visit.close();
            }
            visit.answer_to(&request, 200, "", b"{\"result\":true}");
        }
    })
}

/// Has calls meet the end of the connection that they were written to; how many came to the portal more than once, and
/// the statuses of all.
fn meet_the_end(address: SocketAddr, portal: &Portal, method: &str) -> (usize, Vec<u16>) {
    const CALLS: usize = 20;
    let mut client = Client::connect(address);
    let mut statuses = Vec::new();
    for id in 0..CALLS {
        assert_eq!(client.call(get("/warm")).expect("an answer").status(), 200);
        let call = format!(
            "{method} /rest/1/code/crm.deal.add?fields[TITLE]=a HTTP/1.1\r\nHost: h\r\nX-Call: {method}-{id}\r\nContent-Length: 0\r\n\r\n"
        );
        // HAProxy may close without an answer, for the client to repeat the call: 0.
        let answer = client.call(&call);
        statuses.push(answer.as_ref().map_or(0, Message::status));
        if !answer.is_ok_and(|answer| answer.list("connection") != ["close"]) {
            client = Client::connect(address);
        }
    }
    let came = portal.requests();
    let times = |id: usize| {
        let name = format!("{method}-{id}");
        came.iter()
            .filter(|one| one.one("x-call").as_deref() == Some(&*name))
            .count()
    };
    ((0..CALLS).filter(|id| times(*id) > 1).count(), statuses)
}

#[test]
fn a_call_that_the_portal_has_taken_is_not_sent_again_whatever_its_method() {
    let portal = executing_portal();
    let proxy = proxy::start(&portal, &["--threads", "1"]);
    for method in ["GET", "POST", "PUT", "DELETE"] {
        let (doubled, statuses) = meet_the_end(proxy.address(), &portal, method);
        assert_eq!(doubled, 0, "{method}");
        assert!(statuses.iter().all(|status| *status == 502), "{statuses:?}");
    }
}

/// The same, for comparison, with connections to the portal that are kept. By hand, with `B24_HEAVY=1`.
#[test]
fn calls_that_the_portal_has_taken_are_put_to_nginx_and_haproxy_too() {
    if std::env::var_os("B24_HEAVY").is_none() {
        return;
    }
    for name in ["nginx", "haproxy"] {
        if !is_installed(name) {
            continue;
        }
        let (portal, folder, port) = (
            executing_portal(),
            tempfile::tempdir().expect("a folder"),
            free_port(),
        );
        let (place, path) = (folder.path().display(), folder.path().join("configuration"));
        let nginx = format!(
            "daemon off; master_process off; pid {place}/pid; error_log {place}/err;\n\
             events {{ worker_connections 256; }}\n\
             http {{ access_log off; client_body_temp_path {place}/b; proxy_temp_path {place}/p;\n\
             fastcgi_temp_path {place}/f; uwsgi_temp_path {place}/u; scgi_temp_path {place}/s;\n\
             upstream portal {{ server {0}; keepalive 8; }}\n\
             server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://portal;\n\
             proxy_http_version 1.1; proxy_set_header Connection \"\"; }} }} }}\n",
            portal.address
        );
        let haproxy = format!(
            "defaults\n  mode http\n  timeout connect 5s\n  timeout client 5s\n  timeout server 5s\n\
               http-reuse always\n\
             frontend in\n  bind 127.0.0.1:{port}\n  default_backend portal\n\
             backend portal\n  server one {}\n",
            portal.address
        );
        let text = if name == "nginx" { nginx } else { haproxy };
        std::fs::write(&path, text).expect("a file");
        let path = path.to_str().expect("UTF-8");
        let arguments: &[&str] = match name {
            "nginx" => &["-p", folder.path().to_str().expect("UTF-8"), "-c", path],
            _ => &["-db", "-f", path],
        };
        let running = Running::start(name, arguments, port);
        for method in ["GET", "POST", "PUT", "DELETE"] {
            let (doubled, statuses) = meet_the_end(running.1, &portal, method);
            figure(
                &format!("{method} that the portal has taken, put to {name}"),
                format!("{doubled} of {} doubled", statuses.len()),
            );
        }
    }
}

fn is_call(request: &Message, id: usize) -> bool {
    request.one("x-call") == Some(id.to_string())
}

/// Waits exactly: a sleep of the system's would be far too long.
fn spin(wait: Duration) {
    let until = Instant::now() + wait;
    while Instant::now() < until {
        std::hint::spin_loop();
    }
}

#[test]
fn a_connection_closed_before_the_call_is_written_costs_nobody_an_answer() {
    // The portal ends each connection behind its first answer without saying so beforehand.
    let portal = Portal::start(|visit| {
        if let Some(request) = visit.request() {
            visit.answer_to(&request, 200, "", b"{\"result\":true}");
        }
    });
    let proxy = proxy::start(&portal, &["--threads", "1"]);
    let mut client = proxy.connect();
    for number in 0..20 {
        let answer = client.call(deprecated_call(number)).expect("an answer");
        assert_eq!(answer.status(), 200, "{answer:?}");
        let wanted = number + 1;
        assert!(portal.wait_until(|all| all.iter().filter(|one| !one.open).count() >= wanted));
        pause_ms(
            20,
            "the proxy learns of the close when the kernel has told it",
        );
    }
    assert_eq!(portal.request_count(), 20);
}

#[test]
fn a_proxy_that_is_its_own_portal_says_so_at_once() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = free.local_addr().expect("an address");
    drop(free);
    // A name that only the resolver knows to be this very listener's.
    let proxy = proxy::before(&format!("http://127.1:{}", address.port()))
        .own_listeners()
        .with(&["--listen", &address.to_string()])
        .start();
    for (name, request, xml) in calls("") {
        let answer = crate::support::client::call(address, &request);
        let checked = ours::check(&answer, 508, "LOOP_DETECTED", xml);
        assert_eq!(checked, Ok(()), "{name}");
    }
    assert!(
        proxy.descriptors() < 100,
        "{} descriptors",
        proxy.descriptors()
    );
}

#[test]
fn a_flood_of_interim_answers_ends_with_the_response_timeout() {
    let portal = Portal::start(|visit| {
        visit.head();
        let flood = "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n".repeat(2_000);
        while visit.write(&flood) {}
    });
    let proxy = proxy::start(&portal, &["--response-timeout", "500ms", "--threads", "1"]);
    let begun = Instant::now();
    let answer = proxy.call(get("/flood"));
    assert_eq!(
        ours::check(&answer, 504, "INTERNAL_SERVER_ERROR", false),
        Ok(())
    );
    let took = begun.elapsed();
    assert!(
        took >= Duration::from_millis(450) && took < Duration::from_secs(5),
        "{took:?}"
    );
}
