//! The deprecation log: whoever has an answer has a whole line, whatever ends the process, moves the file or fills the
//! disk, and a call that reached the portal is in it even if nobody waited for its answer.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::client::deprecated_call;
use crate::support::load::{Load, Mix, Outcome};
use crate::support::portal::Portal;
use crate::support::proxy::{self, events_in};
use crate::support::time::{pause, pause_ms, wait_for, wait_for_within, wait_until, wait_until_or};
use crate::support::wire::PATIENCE;
use crate::support::{figure, ours};

/// A deprecated call with this id.
fn call(id: &str) -> String {
    deprecated_call(1).replacen("\r\n", &format!("\r\nX-Request-ID: {id}\r\n"), 1)
}

/// How often each id stands in these logs; every line of them must be whole.
fn logged(paths: &[PathBuf]) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for path in paths {
        for event in events_in(&std::fs::read_to_string(path).expect("a log")) {
            if let Some(id) = event["client_request_id"].as_str() {
                *counts.entry(id.to_owned()).or_insert(0) += 1;
            }
        }
    }
    counts
}

/// Answered calls that are not in the log exactly once.
fn wrong(outcomes: &[Outcome], counts: &HashMap<String, usize>) -> Vec<String> {
    outcomes
        .iter()
        .filter(|one| one.deprecated && one.status.is_some())
        .filter(|one| counts.get(&one.id) != Some(&1))
        .map(|one| format!("{} is there {:?} times", one.id, counts.get(&one.id)))
        .collect()
}

#[test]
fn an_answered_call_is_in_the_log_whatever_kills_the_process() {
    const ROUNDS: usize = 25;
    let portal = Portal::plain();
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("deprecated.jsonl");
    let mut outcomes = Vec::new();
    for round in 0..ROUNDS {
        let mut proxy = proxy::before(&portal.url()).log(&log).start();
        let load = Load::start(proxy.address(), 6, &format!("r{round}"), Mix::Deprecated);
        load.wait_for(20 + 7 * round);
        proxy.kill();
        outcomes.extend(load.join());
    }
    // The kernel may cut a write short at a page's end for a signal that kills: a call whose line it was has no answer.
    let text = std::fs::read_to_string(&log).expect("a log");
    let is_whole = |line: &&str| serde_json::from_str::<serde::de::IgnoredAny>(line).is_ok();
    let whole: Vec<&str> = text.lines().filter(is_whole).collect();
    let torn = text.lines().filter(|line| !line.is_empty()).count() - whole.len();
    assert!(torn <= ROUNDS, "{torn} torn lines of {ROUNDS} kills");
    std::fs::write(&log, whole.join("\n")).expect("the whole lines");
    let counts = logged(&[log]);
    let answered = outcomes.iter().filter(|one| one.status.is_some()).count();
    let missing = wrong(&outcomes, &counts);
    figure(
        &format!("{ROUNDS} times kill -9 under load"),
        format!(
            "{answered} answered calls, {} without their line",
            missing.len()
        ),
    );
    assert_eq!(missing, Vec::<String>::new());
    assert!(
        counts.len() > ROUNDS * 20,
        "only {} calls were made",
        counts.len()
    );
}

#[test]
fn a_rotation_loses_and_tears_nothing() {
    let portal = Portal::plain();
    let proxy = proxy::start(&portal, &[]);
    let load = Load::start(proxy.address(), 6, "c", Mix::Deprecated);
    let mut files = vec![proxy.log_path().to_owned()];
    for rotation in 0..8 {
        load.wait_for(load.answered() + 100);
        let away = proxy.log_path().with_extension(rotation.to_string());
        std::fs::rename(proxy.log_path(), &away).expect("the file is moved");
        files.push(away);
        // As logrotate does it by either signal, and as one does it who knows of no signal.
        match rotation % 3 {
            0 => proxy.signal(Signal::HUP),
            1 => proxy.signal(Signal::USR1),
            _ => {}
        }
        wait_until_or(
            || proxy.log_path().exists(),
            || format!("rotation {rotation}: no new file"),
        );
    }
    load.wait_for(load.answered() + 100);
    let outcomes = load.stop();
    let counts = logged(&files);
    let missing = wrong(&outcomes, &counts);
    figure(
        "8 rotations under load",
        format!(
            "{} answered calls, {} without their line",
            outcomes.iter().filter(|one| one.status.is_some()).count(),
            missing.len()
        ),
    );
    assert_eq!(missing, Vec::<String>::new());
    for file in &files {
        assert!(
            std::fs::metadata(file).expect("a file").len() > 0,
            "{} is empty",
            file.display()
        );
    }
}

#[test]
fn the_real_logrotate_loses_nothing_with_the_example_for_it() {
    let Ok(version) = Command::new("logrotate").arg("--version").output() else {
        eprintln!("skipped: logrotate is not installed");
        return;
    };
    assert!(version.status.success());
    let portal = Portal::plain();
    let proxy = proxy::start(&portal, &[]);
    let folder = proxy.folder().to_owned();
    let rules = folder.join("rules");
    let state = folder.join("state");
    // The example as it stands, but for the log's place and how its process is found.
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/logrotate");
    let example = std::fs::read_to_string(example).expect("the example");
    let place = "/var/log/b24-migration-proxy/*.jsonl";
    let tell = example
        .lines()
        .find(|line| line.contains("--signal=USR1"))
        .expect("it tells the proxy");
    assert!(example.contains(place));
    let text = example
        .replace(place, &format!("{}/*.jsonl", folder.display()))
        .replace(tell, &format!("kill -USR1 {}", proxy.pid()));
    std::fs::write(&rules, text).expect("a file");
    let load = Load::start(proxy.address(), 4, "c", Mix::Deprecated);
    for _ in 0..3 {
        let begun = Instant::now();
        load.wait_for(load.answered() + 50);
        let run = Command::new("logrotate")
            .args(["--force", "--state"])
            .arg(&state)
            .arg(&rules)
            .output()
            .expect("logrotate runs");
        assert!(
            run.status.success(),
            "{}",
            String::from_utf8_lossy(&run.stderr)
        );
        let left = Duration::from_millis(1_100).saturating_sub(begun.elapsed());
        pause(left, "the names of what was rotated tell seconds apart");
    }
    load.wait_for(load.answered() + 50);
    let outcomes = load.stop();
    let names = std::fs::read_dir(&folder).expect("a folder");
    let rotated = names
        .map(|one| one.expect("a file").path())
        .filter(|path| path.display().to_string().contains(".jsonl-"));
    let mut files: Vec<PathBuf> = rotated.map(unpacked).collect();
    assert_eq!(files.len(), 3);
    files.push(proxy.log_path().to_owned());
    assert_eq!(wrong(&outcomes, &logged(&files)), Vec::<String>::new());
}

/// The file, unpacked where logrotate has compressed it.
fn unpacked(path: PathBuf) -> PathBuf {
    if path.extension().is_none_or(|extension| extension != "gz") {
        return path;
    }
    let run = Command::new("gzip").arg("-d").arg(&path).output();
    assert!(run.expect("gzip runs").status.success());
    path.with_extension("")
}

#[test]
fn a_call_whose_client_has_gone_is_logged_with_its_outcome() {
    // The portal answers each call only when its client has left.
    let portal = Portal::start(|visit| {
        while let Some(request) = visit.request() {
            if request
                .one("x-request-id")
                .is_some_and(|id| id.starts_with("gone"))
            {
                pause_ms(150, "the client is to have left");
            }
            visit.answer_to(
                &request,
                200,
                "X-Bitrix-Rest-Application: app.1\r\n",
                b"{\"result\":true}",
            );
        }
    });
    let proxy = proxy::start(&portal, &[]);
    for number in 0..8 {
        let mut client = proxy.connect();
        client.send(call(&format!("gone-{number}")));
        assert!(portal.wait_for_requests(number + 1));
        match number % 3 {
            0 => client.stream.shut_write(),
            1 => client.stream.reset_on_close(),
            _ => {}
        }
        drop(client);
    }
    wait_until_or(
        || proxy.events().len() >= 8,
        || format!("only {} are logged", proxy.events().len()),
    );
    for event in proxy.events() {
        assert_eq!(event["action"], "rewritten");
        assert_eq!(event["caller"]["auth"], "webhook");
        assert_eq!(event["status"], 200, "its outcome was awaited");
    }
    assert_eq!(portal.request_count(), 8);
    figure("calls whose client has gone", "8 of 8 in the log");
}

#[test]
fn a_plain_call_whose_client_has_gone_ends_at_the_portal_too() {
    let portal = Portal::start(|visit| {
        visit.request();
        let began = Instant::now();
        visit.wait_closed(PATIENCE);
        visit.note(&began.elapsed().as_millis().to_string());
    });
    let proxy = proxy::start(&portal, &[]);
    // A reset is seen at once; a close might be a client that has nothing more to say.
    for (at, (reset, limit)) in [(true, 1_500), (false, 5_000)].into_iter().enumerate() {
        let mut client = proxy.connect();
        client.send(crate::support::client::get("/slow/page"));
        assert!(portal.wait_for_requests(at + 1));
        if reset {
            client.stream.reset_on_close();
        }
        drop(client);
        assert!(portal.wait_until(|all| !all[at].notes.is_empty()));
        let took: u64 = portal.connections()[at].notes[0].parse().unwrap();
        assert!(took < limit, "reset {reset}: {took} ms");
    }
}

#[test]
fn a_client_that_has_nothing_more_to_say_gets_its_answer() {
    let portal = Portal::start(|visit| {
        while let Some(request) = visit.request() {
            pause_ms(300, "the half-close is to come before the answer");
            if request.target() == b"/long" {
                // An answer that takes longer than its head was waited for.
                visit.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
                for _ in 0..10 {
                    pause_ms(400, "the answer takes longer than its head was waited for");
                    visit.write("x");
                }
            } else {
                visit.answer_to(&request, 200, "", b"{\"result\":true}");
            }
        }
    });
    let proxy = proxy::start(&portal, &[]);
    let get = crate::support::client::get;
    let chunked = "POST /upload HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n";
    let closing = get("/page").replacen("\r\n", "\r\nConnection: close\r\n", 1);
    for (requests, answers) in [
        (get("/page"), 1),
        (closing, 1),
        (call("half-closed"), 1),
        (chunked.to_owned(), 1),
        (get("/rest/1/code/profile"), 1),
        (get("/long"), 1),
        ([get("/one"), get("/two"), call("three")].concat(), 3),
        (format!("{}GET /half HTT", get("/page")), 1),
    ] {
        let mut client = proxy.connect();
        client.send(&requests);
        client.stream.shut_write();
        for _ in 0..answers {
            let answer = client.response("POST");
            assert_eq!(answer.map(|answer| answer.status()), Ok(200), "{requests}");
        }
        assert!(client.closed_within(PATIENCE));
    }
    assert_eq!(proxy.events().len(), 2);
}

#[test]
fn a_client_that_leaves_before_its_call_was_whole_executes_nothing() {
    let portal = Portal::plain();
    let proxy = proxy::start(&portal, &[]);
    let whole = call("half");
    for end in [whole.len() - 1, whole.len() - 20, 60] {
        let mut client = proxy.connect();
        client.send(&whole.as_bytes()[..end]);
        client.stream.shut_write();
        client.rest();
    }
    assert_eq!(proxy.call(call("whole")).status(), 200);
    assert_eq!(portal.request_count(), 1);
}

/// Waits until the file at the path has so many whole lines.
fn wait_for_lines(path: &Path, count: usize) -> Vec<Value> {
    let mut text = String::new();
    let found = wait_for_within(PATIENCE, || {
        text = std::fs::read_to_string(path).unwrap_or_default();
        let events = events_in(text.ends_with('\n').then_some(&text[..])?);
        (events.len() >= count).then_some(events)
    });
    found.unwrap_or_else(|| panic!("only {} lines of {count}", text.lines().count()))
}

#[test]
fn what_a_full_disk_does_not_take_is_written_when_there_is_room_again() {
    let portal = Portal::plain();
    let wanted = proxy::before(&portal.url());
    // A file may hold 4 KiB and no byte more; the signal that goes with it (SIGXFSZ) would end a process.
    let mut command = Command::new("prlimit");
    let serve = wanted.command();
    command
        .arg("--fsize=4096")
        .arg(serve.get_program())
        .args(serve.get_args());
    if Command::new("prlimit").arg("--version").output().is_err() {
        eprintln!("skipped: prlimit is not installed");
        return;
    }
    let proxy = wanted.start_as(command);
    let mut client = proxy.connect();
    for number in 0..30 {
        let answer = client
            .call(call(&format!("c-{number}")))
            .expect("an answer");
        assert_eq!(answer.status(), 200, "calls go on: {answer:?}");
    }
    assert_eq!(proxy.admin("/readyz").status(), 200);
    let health = proxy.admin("/healthz");
    assert_eq!(health.status(), 200);
    assert!(
        health.text().contains("log"),
        "health tells of the log: {}",
        health.text()
    );
    assert!(proxy.metric("b24_proxy_deprecation_log_errors_total") >= 1.0);
    assert!(proxy.metric("b24_proxy_deprecation_log_queued_lines") >= 1.0);
    // Room again, in a new file each time, until nothing waits any more.
    let mut files: Vec<PathBuf> = Vec::new();
    let until = Instant::now() + PATIENCE;
    loop {
        let away = proxy.log_path().with_extension(files.len().to_string());
        std::fs::rename(proxy.log_path(), &away).expect("the file is moved");
        files.push(away);
        proxy.signal(Signal::HUP);
        let waits = proxy.metric("b24_proxy_deprecation_log_queued_lines");
        wait_until("the log is not opened again", || proxy.log_path().exists());
        pause_ms(50, "what waited goes into the new file");
        if waits == 0.0 {
            break;
        }
        assert!(Instant::now() < until, "{waits} events still wait");
    }
    files.push(proxy.log_path().to_owned());
    // The line at which the file was full may be torn; it stands whole in the next one.
    let mut counts: HashMap<String, usize> = HashMap::new();
    for file in &files {
        for line in std::fs::read_to_string(file).expect("a log").lines() {
            if let Ok(event) = serde_json::from_str::<Value>(line)
                && let Some(id) = event["client_request_id"].as_str()
            {
                *counts.entry(id.to_owned()).or_insert(0) += 1;
            }
        }
    }
    figure(
        "a full disk that has room again",
        format!("{} of 30 answered calls in the log", counts.len()),
    );
    for number in 0..30 {
        assert_eq!(
            counts.get(&format!("c-{number}")),
            Some(&1),
            "c-{number}: {counts:?}"
        );
    }
    assert_eq!(
        proxy.metric("b24_proxy_deprecation_log_lines_dropped_total"),
        0.0
    );
}

#[test]
fn what_the_memory_for_a_full_disk_does_not_take_is_dropped_counted_and_said() {
    let portal = Portal::plain();
    let proxy = proxy::before(&portal.url())
        .log(Path::new("/dev/full"))
        .start();
    let metric = |name: &str| proxy.metric(&format!("b24_proxy_deprecation_log_{name}"));
    // A portal reads fifty commands of a batch, and of each batch in it. Of one method no more than fifty have a line each.
    let commands: Vec<String> = include_str!("../../src/catalogue/watched.tsv")
        .lines()
        .filter_map(|line| line.split('\t').next().filter(|name| name.contains('.')))
        .take(50)
        .map(|method| format!("cmd[]={method}"))
        .collect();
    let inner = format!("\"Batch?{}\"", commands.join("&"));
    let batch = format!("{{\"cmd\":[{}]}}", vec![inner; 50].join(","));
    let batch = crate::support::client::post("/rest/1/code/batch", "application/json", &batch);
    let mut calls = 0.0;
    while metric("lines_dropped_total") == 0.0 {
        assert!(calls < 20.0, "nothing is dropped");
        assert_eq!(proxy.call(&batch).status(), 200, "calls go on");
        calls += 1.0;
    }
    // And the line of the start.
    assert_eq!(
        metric("queued_lines") + metric("lines_dropped_total"),
        calls * 2_500.0 + 1.0
    );
    let health = proxy.admin("/healthz");
    assert!(
        health.status() == 200 && health.text().contains("degraded"),
        "{}",
        health.text()
    );
    assert_eq!(proxy.admin("/readyz").status(), 200);
    let said = proxy.stderr.wait_for(|text| {
        text.lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter_map(|line| line["dropped"].as_u64())
            .find(|dropped| *dropped > 0)
    });
    assert!(said.is_some(), "{}", proxy.stderr.text());
}

#[test]
fn with_refuse_no_use_goes_unlogged() {
    let portal = Portal::plain();
    let proxy = proxy::before(&portal.url())
        .log(Path::new("/dev/full"))
        .with(&["--on-log-failure", "refuse"])
        .start();
    // The first failure shows that the log cannot be written; from then on nothing is sent.
    let first = proxy.call(call("first"));
    assert!(matches!(first.status(), 200 | 503), "{first:?}");
    let before = portal.request_count();
    for number in 0..5 {
        let answer = proxy.call(call(&format!("c-{number}")));
        assert_eq!(
            ours::check(&answer, 503, "DEPRECATION_LOG_UNAVAILABLE", false),
            Ok(())
        );
    }
    assert_eq!(
        portal.request_count(),
        before,
        "a refused call reached the portal"
    );
    let plain = proxy.call(crate::support::client::get("/page"));
    assert_eq!(plain.status(), 200, "other calls go on");
}

#[test]
fn a_standard_output_that_nobody_reads_stalls_no_call() {
    let portal = Portal::plain();
    let wanted = proxy::before(&portal.url()).log_to_stdout();
    let pipe = wanted.folder().join("pipe");
    let made = Command::new("mkfifo")
        .arg(&pipe)
        .status()
        .expect("mkfifo runs");
    assert!(made.success());
    // Held open and never read: it is full after 64 KiB.
    let held = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&pipe)
        .expect("a pipe");
    let serve = wanted.command();
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(format!("exec \"$0\" \"$@\" >{}", pipe.display()))
        .arg(serve.get_program())
        .args(serve.get_args());
    let mut proxy = wanted.start_as(command);
    let mut client = proxy.connect();
    for number in 0..600 {
        let begun = Instant::now();
        let answer = client
            .call(call(&format!("c-{number}")))
            .expect("an answer");
        assert_eq!(answer.status(), 200);
        assert!(
            begun.elapsed() < Duration::from_secs(2),
            "call {number} took {:?}",
            begun.elapsed()
        );
    }
    assert!(proxy.metric("b24_proxy_deprecation_log_queued_lines") >= 1.0);
    proxy.signal(Signal::TERM);
    assert!(
        proxy.wait_within(Duration::from_secs(10)).is_some(),
        "it ends all the same"
    );
    drop(held);
}

/// A proxy whose standard output and error are pipes that the test may read, or not.
fn piped(wanted: &proxy::Wanted) -> std::process::Child {
    wanted
        .command()
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the binary starts")
}

fn address(path: &Path) -> String {
    format!("unix:{}", path.display())
}

/// A call over a Unix socket; how long its answer took.
fn call_unix(path: &Path, request: &str) -> Duration {
    use std::io::{Read, Write};
    let mut stream = wait_for("nobody listens", || {
        std::os::unix::net::UnixStream::connect(path).ok()
    });
    let request = request.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    let begun = Instant::now();
    stream.write_all(request.as_bytes()).expect("it is taken");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    begun.elapsed()
}

fn terminate(child: &std::process::Child) {
    let pid = i32::try_from(child.id()).ok();
    let pid = pid.and_then(rustix::process::Pid::from_raw).expect("a pid");
    rustix::process::kill_process(pid, Signal::TERM).expect("it is there");
}

#[test]
fn a_reload_that_is_asked_for_as_soon_as_the_socket_is_there_ends_no_proxy() {
    let portal = Portal::plain();
    for _ in 0..5 {
        let wanted = proxy::before(&portal.url());
        let socket = wanted.folder().join("proxy");
        let wanted = wanted
            .own_listeners()
            .with(&["--listen", &address(&socket)]);
        let mut child = piped(&wanted);
        let until = Instant::now() + PATIENCE;
        while std::os::unix::net::UnixStream::connect(&socket).is_err() {
            assert!(Instant::now() < until, "it listens");
            std::thread::yield_now();
        }
        let pid = i32::try_from(child.id()).ok();
        let pid = pid.and_then(rustix::process::Pid::from_raw).expect("a pid");
        rustix::process::kill_process(pid, Signal::HUP).expect("it is there");
        call_unix(&socket, &call("then"));
        terminate(&child);
        assert!(child.wait().expect("its end").success());
    }
}

#[test]
fn a_standard_error_that_nobody_reads_stalls_no_call_and_says_later_what_was_dropped() {
    use std::io::Read;
    let portal = Portal::plain();
    let wanted = proxy::before(&portal.url());
    let (socket, config) = (
        wanted.folder().join("proxy"),
        wanted.folder().join("config"),
    );
    // Each reload is said in the operational log.
    std::fs::write(&config, "mode = 'observe'\n").expect("written");
    let wanted = wanted.own_listeners().with(&[
        "--listen",
        &address(&socket),
        "--config",
        config.to_str().expect("UTF-8"),
    ]);
    let mut child = piped(&wanted);
    let pid = i32::try_from(child.id()).ok();
    let pid = pid.and_then(rustix::process::Pid::from_raw).expect("a pid");
    call_unix(&socket, &call("first"));
    let mut stderr = child.stderr.take().expect("a pipe");
    let mut block = vec![0; 32 * 1024];
    let until = Instant::now() + PATIENCE;
    // Signals that come close together are one; and when the pipe is full, some more are said to nobody.
    let (mut round, mut full, mut before) = (0, 0, 0);
    while full < 200 {
        assert!(Instant::now() < until, "the pipe fills");
        rustix::process::kill_process(pid, Signal::HUP).expect("it is there");
        pause_ms(2, "signals that come close together are one");
        let waits = rustix::io::ioctl_fionread(&stderr).expect("a pipe");
        full += i32::from(waits > 32 * 1024 && waits == before);
        before = waits;
        if round % 100 == 0 {
            let took = call_unix(&socket, &call(&format!("c-{round}")));
            assert!(took < Duration::from_secs(2), "{took:?}");
        }
        round += 1;
    }
    stderr.read_exact(&mut block).expect("the pipe was full");
    rustix::process::kill_process(pid, Signal::HUP).expect("it is there");
    pause_ms(200, "the signal before the last is to be read by itself");
    terminate(&child);
    let mut said = String::from_utf8(block).expect("text");
    stderr.read_to_string(&mut said).expect("text");
    assert!(child.wait().expect("its end").success());
    let lines: Vec<Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")))
        .collect();
    assert!(
        lines.iter().any(|line| line["lost"].as_u64() > Some(0)),
        "{said}"
    );
}

#[test]
fn what_waits_is_written_at_the_end_if_the_log_works_again_and_else_said_to_be_lost() {
    use std::io::Read;
    let portal = Portal::plain();
    for reads in [true, false] {
        let wanted = proxy::before(&portal.url()).log_to_stdout();
        let socket = wanted.folder().join("proxy");
        let wanted = wanted
            .own_listeners()
            .with(&["--listen", &address(&socket)]);
        let mut child = piped(&wanted);
        for number in 0..400 {
            call_unix(&socket, &call(&format!("c-{number}")));
        }
        let mut stdout = child.stdout.take().expect("a pipe");
        terminate(&child);
        let mut text = String::new();
        if reads {
            stdout.read_to_string(&mut text).expect("text");
            assert_eq!(events_in(&text).len(), 400);
        }
        let mut said = String::new();
        let mut stderr = child.stderr.take().expect("a pipe");
        stderr.read_to_string(&mut said).expect("text");
        assert!(child.wait().expect("its end").success(), "{said}");
        if !reads {
            stdout.read_to_string(&mut text).expect("text");
        }
        // The start and the stop have a line each.
        let written = text.lines().count();
        let lost = said.lines().find_map(|line| {
            let line: Value = serde_json::from_str(line).expect("JSON");
            line["lost"].as_u64()
        });
        assert_eq!(lost.unwrap_or(0) + written as u64, 402, "{said}");
        assert_eq!(lost.is_some(), !reads, "{said}");
    }
}

#[test]
fn a_log_that_cannot_be_opened_is_said_at_the_start() {
    let portal = Portal::plain();
    let wanted = proxy::before(&portal.url()).log(Path::new("/nowhere/at/all.jsonl"));
    let output = wanted.command().output().expect("it runs");
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("/nowhere/at/all.jsonl"), "{said}");
}

#[test]
fn with_sync_each_answered_call_is_in_the_file() {
    let portal = Portal::plain();
    let proxy = proxy::start(&portal, &["--deprecation-log-sync"]);
    let mut client = proxy.connect();
    for number in 0..10 {
        assert_eq!(
            client
                .call(call(&format!("c-{number}")))
                .expect("an answer")
                .status(),
            200
        );
        assert_eq!(
            wait_for_lines(proxy.log_path(), number + 1).len(),
            number + 1
        );
    }
}
