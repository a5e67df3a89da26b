//! What a running proxy does when its configuration is read again, and what it tells whom about its life.

use crate::support::time::{wait_for, wait_for_within, wait_until};
use crate::support::wire::PATIENCE;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use super::support::client::{self, deprecated_call};
use super::support::portal::Portal;
use super::support::proxy::{self, Proxy};

const RULES: &str = r#"{ "rules": [{
    "method": "my.old.method",
    "successor": "my.new.method",
    "examples": [{ "says": "it is renamed", "call": { "target": "my.old.method" }, "becomes": { "target": "my.new.method" } }]
}] }"#;

const METHOD: &str = "crm.lead.details.configuration.reset";

/// A proxy whose modes stand in a file.
fn with_file(portal: &Portal, text: &str) -> Proxy {
    let wanted = proxy::before(&portal.url());
    let path = wanted.folder().join("proxy.toml");
    std::fs::write(&path, text).expect("written");
    let path = path.display().to_string();
    wanted.with(&["--config", &path]).start()
}

fn rewrite_file(proxy: &Proxy, text: &str) {
    std::fs::write(proxy.folder().join("proxy.toml"), text).expect("written");
    proxy.signal(Signal::HUP);
}

fn said(proxy: &Proxy, part: &str) -> String {
    let line = |text: &str| {
        text.lines()
            .find(|line| line.contains(part))
            .map(str::to_owned)
    };
    let found = proxy.stderr.wait_for(line);
    found.unwrap_or_else(|| panic!("{part}: {}", proxy.stderr.text()))
}

pub(super) fn wait_for_event(proxy: &Proxy, wanted: impl Fn(&Value) -> bool) -> Value {
    let found = wait_for_within(PATIENCE, || proxy.events().into_iter().find(&wanted));
    found.unwrap_or_else(|| panic!("no such event: {:?}", proxy.events()))
}

#[test]
fn a_mode_is_changed_by_one_line_and_a_signal() {
    let portal = Portal::plain();
    let proxy = with_file(&portal, "");
    assert_eq!(proxy.call(deprecated_call(1)).status(), 200);
    rewrite_file(&proxy, &format!("mode = ['{METHOD}=block']\n"));
    said(&proxy, "was read again and applied");
    let answer = proxy.call(deprecated_call(2));
    assert_eq!(answer.status(), 410);
    assert!(
        answer.text().contains("DEPRECATED_METHOD_BLOCKED"),
        "{}",
        answer.text()
    );
    let changed = wait_for_event(&proxy, |event| event["event"] == "mode_changed");
    assert_eq!(changed["method"], METHOD);
    assert_eq!(
        (&changed["from"], &changed["to"]),
        (&"rewrite".into(), &"block".into())
    );
    assert_eq!(changed["cause"], "reload");
    assert_eq!(portal.request_count(), 1);
}

#[test]
fn an_entry_for_many_methods_is_one_line_of_the_operational_log_and_an_event_for_each() {
    let portal = Portal::plain();
    let proxy = with_file(&portal, "");
    rewrite_file(
        &proxy,
        "[[mode]]\nmode = 'block'\nrule = 'crm.*.details.configuration.reset'\n",
    );
    said(&proxy, "was read again and applied");
    let lines: Vec<Value> = proxy
        .stderr
        .text()
        .lines()
        .filter(|line| line.contains("has changed"))
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(
        (&lines[0]["methods"], &lines[0]["to"]),
        (&4.into(), &"block".into())
    );
    let events = proxy.events();
    let changed: Vec<_> = events
        .iter()
        .filter(|event| event["event"] == "mode_changed")
        .collect();
    assert_eq!(changed.len(), 4);
    let origin = changed[0]["origin"].as_str().expect("an origin");
    assert!(origin.ends_with("proxy.toml:1:1: block"), "{origin}");
}

#[test]
fn two_reloads_within_a_second_are_two_changes_of_a_mode() {
    let portal = Portal::plain();
    let proxy = with_file(&portal, "");
    let began = std::time::Instant::now();
    for (round, mode) in ["block", "rewrite", "observe", "rewrite"]
        .into_iter()
        .enumerate()
    {
        rewrite_file(&proxy, &format!("mode = ['{METHOD}={mode}']\n"));
        let applied = |text: &str| {
            let times = text.matches("was read again and applied").count();
            (times > round).then_some(())
        };
        proxy.stderr.wait_for(applied).expect("a reload");
    }
    eprintln!("four reloads in {:?}", began.elapsed());
    let changes: Vec<_> = proxy
        .events()
        .into_iter()
        .filter(|event| event["event"] == "mode_changed")
        .map(|event| format!("{} to {}", event["from"], event["to"]).replace('"', ""))
        .collect();
    assert_eq!(
        changes,
        [
            "rewrite to block",
            "block to rewrite",
            "rewrite to observe",
            "observe to rewrite"
        ]
    );
}

#[test]
fn a_mode_that_came_and_went_while_the_machine_slept_is_told_with_its_times() {
    let portal = Portal::plain();
    let second = |ahead: i64| {
        let now = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(ahead);
        now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    };
    let (from, until) = (second(4), second(5));
    let proxy = with_file(
        &portal,
        &format!("[[mode]]\nmode = 'block from {from} until {until}'\nrule = '{METHOD}'\n"),
    );
    proxy.signal(rustix::process::Signal::STOP);
    wait_until("the time does not pass", || {
        jiff::Timestamp::now()
            .strftime("%Y-%m-%dT%H:%M:%SZ")
            .to_string()
            > until
    });
    proxy.signal(rustix::process::Signal::CONT);
    wait_for_event(&proxy, |event| event["to"] == "rewrite");
    let changes: Vec<_> = proxy
        .events()
        .into_iter()
        .map(|event| (event["timestamp"].to_string(), event["to"].to_string()))
        .collect();
    let told = |at: &str, mode: &str| {
        (
            format!("\"{}.000Z\"", at.trim_end_matches('Z')),
            format!("\"{mode}\""),
        )
    };
    assert_eq!(changes, [told(&from, "block"), told(&until, "rewrite")]);
}

#[test]
fn a_reload_with_a_mistake_changes_nothing_and_says_where_it_is() {
    let portal = Portal::plain();
    let proxy = with_file(&portal, &format!("mode = ['{METHOD}=block']\n"));
    rewrite_file(
        &proxy,
        &format!("\nmode = ['{METHOD}=observe']\nbody-timeot = '5s'\n"),
    );
    let line = said(&proxy, "was not applied");
    assert!(
        line.contains("proxy.toml:3:1") && line.contains("did you mean body-timeout?"),
        "{line}"
    );
    assert_eq!(proxy.call(deprecated_call(1)).status(), 410);
    assert!(proxy.metric("b24_proxy_config_last_reload_successful") < 0.5);
    rewrite_file(&proxy, &format!("mode = ['{METHOD}=observe']\n"));
    said(&proxy, "was read again and applied");
    assert_eq!(proxy.call(deprecated_call(2)).status(), 200);
    assert!(proxy.metric("b24_proxy_config_last_reload_successful") > 0.5);
}

#[test]
fn a_reload_names_what_waits_for_the_next_start() {
    let portal = Portal::plain();
    let proxy = with_file(&portal, "");
    rewrite_file(&proxy, "max-connections = 5\nhttp2 = true\n");
    said(&proxy, "was read again and applied");
    let text = proxy.stderr.text();
    let named: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("at the next start"))
        .collect();
    assert_eq!(named.len(), 2, "{text}");
    assert!(
        named[0].contains("http2") && named[1].contains("max-connections"),
        "{text}"
    );
}

#[test]
fn a_connection_that_is_open_survives_a_reload() {
    let portal = Portal::plain();
    let proxy = with_file(&portal, "");
    let mut client = proxy.connect();
    for user in 1..20 {
        assert_eq!(
            client
                .call(deprecated_call(user))
                .expect("an answer")
                .status(),
            200
        );
        if user % 5 == 0 {
            rewrite_file(&proxy, &format!("# {user}\n"));
        }
    }
}

#[test]
fn a_reload_names_callers_anew() {
    let portal = Portal::plain();
    let proxy = with_file(&portal, "");
    proxy.call(deprecated_call(1));
    let callers = proxy.folder().join("callers.toml");
    std::fs::write(
        &callers,
        "[[caller]]\nname = 'all of them'\naddress = '127.0.0.0/8'\n",
    )
    .expect("written");
    rewrite_file(&proxy, &format!("callers = '{}'\n", callers.display()));
    said(&proxy, "was read again and applied");
    proxy.call(deprecated_call(2));
    let last = proxy.events().pop().expect("an event");
    assert_eq!(last["caller"]["name"], "all of them");
}

#[test]
fn a_service_manager_is_told_of_start_reload_and_end() {
    let portal = Portal::plain();
    let wanted = proxy::before(&portal.url());
    let path = wanted.folder().join("notify.sock");
    let manager = UnixDatagram::bind(&path).expect("a socket");
    is_told(manager, path.as_os_str(), wanted);
}

#[test]
fn a_service_manager_without_a_socket_file_is_told_too() {
    use std::os::linux::net::SocketAddrExt;
    let portal = Portal::plain();
    let wanted = proxy::before(&portal.url());
    let name = format!("b24-notify-{}", wanted.folder().display());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).expect("a name");
    let manager = UnixDatagram::bind_addr(&address).expect("a socket");
    is_told(manager, std::ffi::OsStr::new(&format!("@{name}")), wanted);
}

fn is_told(manager: UnixDatagram, socket: &std::ffi::OsStr, wanted: proxy::Wanted) {
    manager
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("set");
    let mut command = wanted.command();
    command
        .env("NOTIFY_SOCKET", socket)
        .env("WATCHDOG_USEC", "30000000");
    let mut proxy = wanted.start_as(command);
    wait_for_word(&manager, "READY=1");
    wait_for_word(&manager, "WATCHDOG=1");
    proxy.signal(Signal::HUP);
    wait_for_word(&manager, "RELOADING=1");
    wait_for_word(&manager, "READY=1");
    assert!(proxy.terminate().success());
    wait_for_word(&manager, "STOPPING=1");
}

fn wait_for_word(manager: &UnixDatagram, word: &str) {
    let mut message = [0; 4096];
    loop {
        let size = manager
            .recv(&mut message)
            .unwrap_or_else(|error| panic!("{word}: {error}"));
        let text = String::from_utf8_lossy(&message[..size]);
        if text.lines().any(|line| line == word) {
            return;
        }
    }
}

#[test]
fn sockets_passed_by_a_service_manager_are_served() {
    let activate = Path::new("/usr/bin/systemd-socket-activate");
    if !activate.exists() {
        println!("skipped: systemd-socket-activate is not installed");
        return;
    }
    let portal = Portal::plain();
    let wanted = proxy::before(&portal.url()).own_listeners();
    let path = wanted.folder().join("passed.sock");
    let ours = wanted.command();
    let mut command = std::process::Command::new(activate);
    command
        .arg("-l")
        .arg(&path)
        .arg(ours.get_program())
        .args(ours.get_args());
    let log = std::process::Stdio::null();
    let mut child = command
        .stdout(log)
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("it starts");
    let answer = call_by(&path);
    child.kill().expect("ended");
    child.wait().expect("gone");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

fn call_by(path: &Path) -> String {
    use std::io::{Read, Write};
    let mut stream = wait_for("nobody listens", || {
        std::os::unix::net::UnixStream::connect(path).ok()
    });
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n")
        .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn rules_of_ones_own_are_added_and_taken_away_by_a_reload() {
    let portal = Portal::plain();
    let proxy = with_file(&portal, "");
    let call = "GET /rest/1/code/my.old.method?a=1 HTTP/1.1\r\nHost: a\r\n\r\n";
    let last_target = || {
        let requests = portal.requests();
        String::from_utf8_lossy(requests.last().expect("a request").target()).into_owned()
    };
    let rules = proxy.folder().join("rules.json");
    std::fs::write(&rules, RULES).expect("written");
    rewrite_file(&proxy, &format!("rules = ['{}']\n", rules.display()));
    said(&proxy, "was read again and applied");
    proxy.call(call);
    assert_eq!(last_target(), "/rest/1/code/my.new.method?a=1");
    let event = proxy.events().pop().expect("an event");
    assert_eq!(
        (&event["method"], &event["action"]),
        (&"my.old.method".into(), &"rewritten".into())
    );

    std::fs::write(&rules, RULES.replace("my.new", "my.newer")).expect("written");
    proxy.signal(Signal::HUP);
    let until = Instant::now() + Duration::from_secs(5);
    while last_target() != "/rest/1/code/my.newer.method?a=1" {
        assert!(Instant::now() < until, "{}", last_target());
        proxy.call(call);
    }

    // A rule file with a mistake takes nothing away.
    std::fs::write(&rules, "{\"rules\":[{}]}").expect("written");
    proxy.signal(Signal::HUP);
    said(&proxy, "was not applied");
    proxy.call(call);
    assert_eq!(last_target(), "/rest/1/code/my.newer.method?a=1");
    rewrite_file(&proxy, "");
    let until = Instant::now() + Duration::from_secs(5);
    while last_target() != "/rest/1/code/my.old.method?a=1" {
        assert!(Instant::now() < until, "{}", last_target());
        proxy.call(call);
    }
}

#[test]
fn a_configuration_behind_a_swapped_symlink_is_taken_without_a_signal() {
    // As a kubelet lays out a ConfigMap: proxy.toml → ..data/proxy.toml, ..data → a folder, which is swapped.
    let portal = Portal::plain();
    let wanted = proxy::before(&portal.url());
    let folder = wanted.folder().to_owned();
    let swap = |version: &str, text: &str| {
        std::fs::create_dir(folder.join(version)).expect("a folder");
        std::fs::write(folder.join(version).join("proxy.toml"), text).expect("written");
        std::os::unix::fs::symlink(version, folder.join("..tmp")).expect("a link");
        std::fs::rename(folder.join("..tmp"), folder.join("..data")).expect("swapped");
    };
    swap("..1", "watch-config = true\n");
    std::os::unix::fs::symlink("..data/proxy.toml", folder.join("proxy.toml")).expect("a link");
    let path = folder.join("proxy.toml").display().to_string();
    let proxy = wanted.with(&["--config", &path]).start();
    assert_eq!(proxy.call(deprecated_call(1)).status(), 200);
    swap(
        "..2",
        &format!("watch-config = true\nmode = ['{METHOD}=block']\n"),
    );
    assert!(said(&proxy, "was read again and applied").contains("--watch-config"));
    assert_eq!(proxy.call(deprecated_call(2)).status(), 410);
    swap("..3", "watch-config = true\nmoode = []\n");
    assert!(said(&proxy, "was not applied").contains("did you mean mode?"));
    assert_eq!(proxy.call(deprecated_call(3)).status(), 410);
    let successful = proxy.metric("b24_proxy_config_last_reload_successful");
    assert_eq!(successful.to_bits(), 0f64.to_bits());
}

#[test]
fn a_post_with_the_token_reloads_and_says_what_check_says() {
    let portal = Portal::plain();
    let wanted = proxy::before(&portal.url());
    let (config, token) = (
        wanted.folder().join("proxy.toml"),
        wanted.folder().join("token"),
    );
    std::fs::write(&config, "").expect("written");
    std::fs::write(&token, "a token of some length\n").expect("written");
    let proxy = wanted
        .with(&["--config", &config.display().to_string()])
        .with(&["--admin-token-file", &token.display().to_string()])
        .start();
    let reload = |field: &str| {
        let request = format!(
            "POST /-/reload HTTP/1.1\r\nHost: localhost\r\n{field}Content-Length: 0\r\nConnection: close\r\n\r\n"
        );
        client::call(proxy.admin, request)
    };
    let bearer = "Authorization: Bearer a token of some length\r\n";
    std::fs::write(&config, format!("mode = ['{METHOD}=block']\nthreads = 3\n")).expect("written");
    assert_eq!(reload("").status(), 403);
    assert_eq!(
        reload("Authorization: Bearer another token\r\n").status(),
        403
    );
    assert_eq!(proxy.call(deprecated_call(1)).status(), 200);
    let answer = reload(bearer);
    assert_eq!(answer.status(), 200, "{}", answer.text());
    assert!(
        answer
            .text()
            .contains("threads: its new value takes effect at the next start")
    );
    assert_eq!(proxy.call(deprecated_call(2)).status(), 410);

    std::fs::write(&config, "moode = []\n").expect("written");
    let answer = reload(bearer);
    assert_eq!(answer.status(), 422);
    let check = std::process::Command::new(env!("CARGO_BIN_EXE_b24-migration-proxy"))
        .args(["check", "--upstream", &portal.url(), "--config"])
        .arg(&config)
        .output()
        .expect("it runs");
    assert_eq!(
        answer.text().trim_end(),
        String::from_utf8_lossy(&check.stderr).trim_end()
    );
    assert_eq!(proxy.call(deprecated_call(3)).status(), 410);
    assert!(said(&proxy, "was not applied").contains("/-/reload"));
}

#[test]
fn a_caller_that_is_renamed_where_it_is_named_and_where_it_is_blocked_is_never_let_through() {
    let portal = Portal::plain();
    let wanted = proxy::before(&portal.url());
    let callers = wanted.folder().join("callers.toml");
    let config = wanted.folder().join("proxy.toml");
    let write = |name: &str| {
        let caller = format!("[[caller]]\nname = '{name}'\nuser = 1\n");
        std::fs::write(&callers, caller).expect("written");
        let text = format!(
            "callers = '{}'\n[[mode]]\nmode = 'block'\ncaller = '{name}'\n",
            callers.display()
        );
        std::fs::write(&config, text).expect("written");
    };
    write("shop");
    let path = config.display().to_string();
    let proxy = wanted.with(&["--config", &path]).start();
    let is_over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let calling = scope.spawn(|| {
            let mut calls = 0;
            while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                assert_eq!(proxy.call(deprecated_call(1)).status(), 410);
                calls += 1;
            }
            calls
        });
        for round in 0..40 {
            write(if round % 2 == 0 { "store" } else { "shop" });
            proxy.signal(Signal::HUP);
            let applied = |text: &str| {
                let times = text.matches("was read again and applied").count();
                (times > round).then_some(())
            };
            if proxy.stderr.wait_for(applied).is_none() {
                break;
            }
        }
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(calling.join().expect("all were blocked") > 40);
    });
    assert_eq!(portal.request_count(), 0);
    let text = proxy.stderr.text();
    assert_eq!(
        text.matches("was read again and applied").count(),
        40,
        "{text}"
    );
}
