//! No way round the log, the translation and `block`: every way in that a portal has, over real HTTP, before the sandbox
//! portal and a scripted one.

use b24_migration_proxy::sandbox::SandboxConfig;
use serde_json::Value;

use super::support::client::{get, post};
use super::support::portal::Portal;
use super::support::proxy::{self, Proxy};
use super::support::sandbox;
use super::support::strict::Message;

const M: &str = "crm.lead.details.configuration.reset";
const FORM: &str = "application/x-www-form-urlencoded";

/// Ways to call [`M`]: verb, target, Content-Type, body.
fn ways() -> Vec<(&'static str, String, &'static str, String)> {
    let escaped = "/rest/1/sandboxcode/M%3Fscope%3DC".replace('M', M);
    let of = |verb, target: &str| (verb, target.replace('M', M), "", String::new());
    let form = |target: &str, body: &str| ("POST", target.to_owned(), FORM, body.replace('M', M));
    vec![
        of("OPTIONS", "/rest/1/sandboxcode/M?scope=C"),
        of("OPTIONS", "/rest/1/sandboxcode/batch?cmd[a]=M"),
        of("GET", "/rest/x/y?method=M&auth=sandboxtoken"),
        of("GET", "/rest/1/2/3/4/5?method=M&auth=sandboxtoken"),
        of("GET", "/rest/?method=M.json&auth=sandboxtoken"),
        form("/rest/x/y", "method=M&auth=sandboxtoken"),
        form(
            "/rest/x/y?method=profile",
            "method=M&aplogin=1&ap=sandboxcode",
        ),
        form("/rest/x/y", "method=batch&cmd[a]=M&auth=sandboxtoken"),
        of(
            "GET",
            "/bitrix/services/rest/index.php?method=M&auth=sandboxtoken",
        ),
        of("GET", "/bitrix/services/rest/?method=M&auth=sandboxtoken"),
        of("GET", "/rest/api/x/M?auth=sandboxtoken"),
        of("GET", "/rest/1/sandboxcode/M%0A"),
        of("GET", "/rest/1/sandboxcode/M.json%0A"),
        of("GET", "/rest/1/sandboxcode/M/index.php%0A"),
        of("GET", "/rest/1/sandboxcode/M/%0A"),
        of(
            "GET",
            "/any?SEF_APPLICATION_CUR_PAGE_URL=/rest/1/sandboxcode/M%0A",
        ),
        of(
            "GET",
            &format!("/any/address?SEF_APPLICATION_CUR_PAGE_URL={escaped}"),
        ),
        of("GET", "/x?404;http://h/rest/1/sandboxcode/M?scope=C"),
    ]
}

fn request((verb, target, kind, body): &(&str, String, &str, String)) -> String {
    let kind = match *kind {
        "" => String::new(),
        kind => format!("Content-Type: {kind}\r\nContent-Length: {}\r\n", body.len()),
    };
    format!("{verb} {target} HTTP/1.1\r\nHost: b24\r\n{kind}\r\n{body}")
}

fn code(answer: &Message) -> String {
    let value: Value = serde_json::from_str(&answer.text()).unwrap_or_default();
    value["error"].as_str().unwrap_or_default().to_owned()
}

/// What the last event says under a name.
fn last(proxy: &Proxy, name: &str) -> String {
    let events = proxy.events();
    let last = events.last().expect("an event");
    last[name].as_str().unwrap_or_default().to_owned()
}

#[test]
fn every_way_in_is_blocked_and_logged() {
    let portal = sandbox::start(SandboxConfig::default());
    let proxy = proxy::before(&portal.sandbox.url())
        .with(&["--mode", "block"])
        .start();
    for (number, way) in ways().iter().enumerate() {
        let answer = proxy.call(request(way));
        if way.1.contains("batch") || way.3.contains("batch") {
            let text = answer.text();
            assert!(
                text.contains("DEPRECATED_METHOD_BLOCKED"),
                "{way:?}: {text}"
            );
        } else {
            assert_eq!(answer.status(), 410, "{way:?}");
        }
        let events = proxy.events();
        assert_eq!(events.len(), number + 1, "{way:?}");
        assert_eq!(events[number]["method"], M, "{way:?}");
        assert_eq!(events[number]["action"], "refused", "{way:?}");
        for recorded in portal.sandbox.take_received() {
            let details = |operation: &&b24_migration_proxy::sandbox::Operation| {
                operation.details().is_some()
            };
            assert_eq!(recorded.operations.iter().find(details), None, "{way:?}");
        }
    }
    let log = std::fs::read_to_string(proxy.log_path()).expect("a log");
    assert!(
        !log.contains("sandboxcode") && !log.contains("sandboxtoken"),
        "{log}"
    );
}

#[test]
fn every_way_in_is_translated_or_refused() {
    let portal = sandbox::start(SandboxConfig::default());
    let proxy = proxy::before(&portal.sandbox.url()).start();
    for way in ways() {
        let answer = proxy.call(request(&way));
        let received = portal.sandbox.take_received();
        if way.1.contains("SEF_") || way.1.contains("404;") {
            assert_eq!(
                (answer.status(), code(&answer).as_str()),
                (400, "INVALID_ADDRESS"),
                "{way:?}"
            );
            assert!(received.is_empty(), "{way:?}");
            assert_eq!(last(&proxy, "reason"), "unreadable");
            continue;
        }
        assert_eq!(answer.status(), 200, "{way:?}: {}", answer.text());
        let [recorded] = &received[..] else {
            panic!("{way:?}: {received:?}")
        };
        let [operation] = &recorded.operations[..] else {
            panic!("{way:?}: {recorded:?}")
        };
        assert_eq!(
            operation.method, b"crm.item.details.configuration.reset",
            "{way:?}"
        );
        assert_eq!(
            operation.details().map(|details| details.entity_type),
            Some(1),
            "{way:?}"
        );
        assert_eq!(last(&proxy, "action"), "rewritten", "{way:?}");
    }
}

#[test]
fn of_two_addresses_nobody_knows_which_counts_and_nothing_is_sent() {
    let portal = Portal::plain();
    // More parameters than the portal reads: which of them are left, nobody knows.
    let many = "cmd[a]=M&".repeat(999);
    let many =
        format!("/x?{many}SEF_APPLICATION_CUR_PAGE_URL=/rest/1/code/batch%3Fauth=T%26method=M");
    let targets = [
        "/rest/1/code/M?SEF_APPLICATION_CUR_PAGE_URL=/rest/x/y%3Fmethod=M",
        "/rest/1/code/crm.lead.list?SEF_APPLICATION_CUR_PAGE_URL=/rest/1/code/M",
        "/rest/1/code/crm.lead.list/%0A?method=M",
        &many,
    ];
    for mode in ["block", "rewrite"] {
        let proxy = proxy::start(&portal, &["--mode", mode]);
        for target in &targets {
            let answer = proxy.call(get(&target.replace('M', M)));
            let told = (answer.status(), code(&answer));
            assert_eq!(told, (400, "INVALID_ADDRESS".to_owned()), "{target}");
        }
        let events = proxy.events();
        assert_eq!(events.len(), targets.len());
        for event in &events {
            let told = (&event["event"], &event["reason"], event.get("method"));
            assert_eq!(told, (&"unread_call".into(), &"unreadable".into(), None));
        }
        // One of the two calls nothing of ours.
        let named = "/rest/1/code/crm.lead.list?SEF_APPLICATION_CUR_PAGE_URL=/rest/1/code/profile";
        assert_eq!(proxy.call(get(named)).status(), 200);
        assert_eq!(last(&proxy, "action"), "observed");
    }
    assert_eq!(portal.request_count(), 2);
}

#[test]
fn the_kelvin_sign_is_a_k_in_addresses_and_batches() {
    let portal = Portal::plain();
    let proxy = proxy::start(&portal, &["--mode", "task.item.list=block"]);
    let answer = proxy.call(get("/rest/1/code/tas%E2%84%AA.item.list"));
    assert_eq!(answer.status(), 410);
    let body = "cmd[a]=tas%E2%84%AA.item.list%3FX%3D1&cmd[b]=Tas\u{212a}.Item.List";
    for (kind, body) in [
        (FORM, body),
        (
            "application/json",
            "{\"cmd\":[\"tas\\u212a.item.list\",\"tas\u{212a}.item.list\"]}",
        ),
    ] {
        proxy.call(post("/rest/1/code/batch", kind, body));
        let got = portal.requests().pop().expect("a request");
        let sent = String::from_utf8_lossy(&got.body).into_owned();
        assert_eq!(
            sent.matches("deprecated.method.blocked").count(),
            2,
            "{sent}"
        );
    }
    assert_eq!(proxy.events().len(), 5);
}

#[test]
fn a_host_that_leaves_no_address_leaves_the_parameter() {
    let portal = Portal::plain();
    let proxy = proxy::start(&portal, &["--mode", "block", "--preserve-host"]);
    let call = |host: &str| {
        let target = format!("/rest/1/code/profile?method={M}&auth=T");
        proxy
            .call(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
            .status()
    };
    assert_eq!(call("p:99999"), 410);
    assert_eq!(call("p:65535"), 200);
    assert_eq!(proxy.events().len(), 1);
}

#[test]
fn a_preflight_of_what_is_switched_off_is_answered_here() {
    let portal = Portal::plain();
    let mode = format!("{M}=block");
    let proxy = proxy::start(&portal, &["--mode", &mode]);
    let preflight = |target: &str| {
        proxy.call(format!(
            "OPTIONS {target} HTTP/1.1\r\nHost: b24\r\nOrigin: https://a.example\r\n\
             Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type, x-y\r\n\r\n"
        ))
    };
    for target in [
        format!("/rest/1/code/{M}"),
        format!("/rest/{M}"),
        format!("/rest/1/code/batch?cmd[a]={M}"),
    ] {
        let answer = preflight(&target);
        assert_eq!(answer.status(), 200);
        let field = |name| answer.one(name).unwrap_or_default();
        assert_eq!(field("access-control-allow-origin"), "*");
        assert_eq!(field("access-control-allow-methods"), "POST");
        assert_eq!(field("access-control-allow-headers"), "content-type, x-y");
        assert_eq!(portal.request_count(), 0, "{target}");
    }
    assert_eq!(
        proxy.events().len(),
        0,
        "a preflight that is answered here is not a call"
    );
    // Its address alone would run it.
    let watched = "/rest/1/code/crm.lead.list?filter[ID]=1";
    assert_eq!(preflight(watched).status(), 200);
    assert_eq!(last(&proxy, "action"), "observed");
    let translated = "/rest/1/code/crm.deal.details.configuration.reset";
    assert_eq!(preflight(translated).status(), 200);
    assert_eq!(last(&proxy, "action"), "observed");
    let got: Vec<String> = portal
        .requests()
        .iter()
        .map(|got| String::from_utf8_lossy(got.target()).into_owned())
        .collect();
    assert_eq!(got, [watched, translated], "forwarded as they came");
    // This one calls nothing: whoever calls stands in the call's body.
    assert_eq!(preflight("/rest/crm.lead.list").status(), 200);
    assert_eq!(proxy.events().len(), 2);
    assert_eq!(portal.request_count(), 3);
}

#[test]
fn what_is_no_coding_hides_nothing_and_a_packed_batch_is_told() {
    let portal = Portal::plain();
    let proxy = proxy::start(&portal, &["--max-rewrite-body", "16KiB"]);
    let send = |target: &str, coding: &str, body: &str| {
        proxy.call(format!(
            "POST /rest/1/code/{target} HTTP/1.1\r\nHost: b24\r\nContent-Type: {FORM}\r\n{coding}Content-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    };
    for coding in [
        "utf-8",
        "none",
        "binary",
        "8bit",
        "identity",
        "",
        "utf-8, none",
    ] {
        let coding = format!("Content-Encoding: {coding}\r\n");
        assert_eq!(send(M, &coding, "scope=C").status(), 200, "{coding}");
        assert_eq!(send("batch", &coding, &format!("cmd[a]={M}")).status(), 200);
        let sent = portal.requests().pop().expect("a request").body;
        assert!(sent.starts_with(b"cmd[a]=crm.item."), "{coding}");
    }
    let before = proxy.events().len();
    assert_eq!(before, 14);
    for coding in [
        "Content-Encoding: gzip\r\n",
        "Content-Encoding: X-GZIP\r\n",
        "Content-Encoding: utf-8\r\nContent-Encoding: identity, br\r\n",
    ] {
        assert_eq!(send(M, coding, "scope=C").status(), 415, "{coding}");
        assert_eq!(send("batch", coding, "packed").status(), 200, "{coding}");
        let event = proxy.events().pop().expect("an event");
        assert_eq!(event["event"], "unread_call", "{coding}");
        assert_eq!(event["reason"], "encoding");
        assert_eq!(event["target"], "/rest/1/***/batch");
        assert_eq!(event["caller"]["auth"], "webhook");
        assert_eq!(event.get("method"), None);
    }
    assert_eq!(proxy.events().len(), before + 6);
    // PHP does not look at it, and runs what reads plainly.
    let gzip = "Content-Encoding: gzip\r\n";
    assert_eq!(
        send("batch", gzip, &format!("cmd[a]={M}&auth=T")).status(),
        200
    );
    let sent = portal.requests().pop().expect("a request").body;
    assert!(sent.starts_with(b"cmd[a]=crm.item."), "{sent:?}");
    let event = proxy.events().pop().expect("an event");
    assert_eq!(
        (&event["action"], &event["caller"]["auth"]),
        (&"rewritten".into(), &"oauth".into())
    );
    // The method, too, may stand in a packed body.
    for target in ["x/y/z/code", "x/y/z/code?method=profile"] {
        assert_eq!(send(target, gzip, "packed").status(), 200);
        let event = proxy.events().pop().expect("an event");
        assert_eq!(
            (&event["event"], &event["reason"]),
            (&"unread_call".into(), &"encoding".into())
        );
    }
    assert_eq!(send("x/y/z/code?method=profile", "", "x=1").status(), 200);
    assert_eq!(proxy.events().len(), before + 9);
    let large = format!("cmd[a]={M}?x={}", "x".repeat(20_000));
    assert_eq!(send("batch", "", &large).status(), 413);
    let event = proxy.events().pop().expect("an event");
    assert_eq!(
        (&event["event"], &event["reason"]),
        (&"unread_call".into(), &"too_large".into())
    );
}

#[test]
fn two_content_types_that_differ_change_nothing() {
    let portal = Portal::plain();
    let proxy = proxy::start(&portal, &[]);
    let send = |target: &str, one: &str, other: &str, body: &str| {
        proxy.call(format!(
            "POST /rest/1/code/{target} HTTP/1.1\r\nHost: b24\r\nContent-Type: {one}\r\nContent-Type: {other}\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    };
    let json = "application/json";
    for (target, one, other) in [
        (M, json, FORM),
        (M, "text/plain", "application/x+json"),
        ("batch", json, FORM),
        (M, "multipart/form-data", "a; boundary=B"),
    ] {
        let answer = send(target, one, other, "{\"scope\":\"C\"}");
        assert_eq!(
            (answer.status(), code(&answer).as_str()),
            (400, "INVALID_CONTENT_TYPE"),
            "{one}, {other}"
        );
    }
    assert_eq!(portal.request_count(), 0);
    // Of the batch nobody knows what it calls.
    let events = proxy.events();
    let event = events.iter().find(|event| event["event"] == "unread_call");
    assert_eq!(event.expect("one")["reason"], "unreadable");
    assert_eq!(last(&proxy, "reason"), "unreadable");
    // The same both ways, and what nobody changes.
    assert_eq!(send(M, FORM, json, "scope=C").status(), 200);
    assert_eq!(send("crm.lead.list", json, FORM, "{}").status(), 200);
    assert_eq!(send("crm.item.list", json, FORM, "{}").status(), 200);
    assert_eq!(portal.request_count(), 3);
}

#[test]
fn a_token_tells_who_calls_before_a_webhook_does() {
    let portal = Portal::start(|visit| {
        while let Some(request) = visit.request() {
            visit.answer_to(
                &request,
                200,
                "X-Bitrix-Rest-Application: local.1\r\n",
                b"{\"result\":1}",
            );
        }
    });
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("proxy.toml");
    let entry = "[[mode]]\nmode = \"block\"\nrule = \"crm.lead.list\"\napplication = \"local.1\"\n";
    std::fs::write(&file, entry).expect("a file");
    let proxy = proxy::start(&portal, &["--config", &file.display().to_string()]);
    let hidden = "/rest/1/made-up/crm.lead.list?auth=T&client_id=local.1";
    assert_eq!(proxy.call(get(hidden)).status(), 410);
    assert_eq!(proxy.events()[0]["caller"]["auth"], "oauth");
    assert_eq!(proxy.events()[0]["caller"]["application"], "local.1");
    let in_form = post(
        "/rest/1/made-up/crm.lead.list",
        FORM,
        "auth=T&client_id=local.1",
    );
    assert_eq!(proxy.call(in_form).status(), 410);
    // A form's token takes the place of the query's.
    let other_in_query = post(
        "/rest/crm.lead.list?auth=made-up&client_id=local.2",
        FORM,
        "auth=T&client_id=local.1",
    );
    assert_eq!(proxy.call(other_in_query).status(), 410);
    // As CRest calls: the token in a form. The answer to any call of it tells its application.
    let crest = |method: &str| {
        proxy.call(post(
            &format!("/rest/{method}.json"),
            FORM,
            "auth=hour-1&x=1",
        ))
    };
    assert_eq!(crest("crm.deal.list").status(), 200);
    assert_eq!(crest("crm.lead.list").status(), 410);
    assert_eq!(crest("batch").status(), 200);
    let second = |method: &str| {
        proxy.call(post(
            &format!("/rest/{method}"),
            FORM,
            "cmd[a]=profile&auth=hour-2",
        ))
    };
    assert_eq!(second("batch").status(), 200);
    assert_eq!(second("crm.lead.list").status(), 410);
}
