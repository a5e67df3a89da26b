//! What is refused and what never is, over real HTTP: errors in the portal's shape, batches of which one command fails, and
//! calls that are only watched, whatever they are.

use std::path::Path;

use b24_migration_proxy::sandbox::SandboxConfig;
use serde_json::Value;

use super::support::client::post;
use super::support::portal::Portal;
use super::support::proxy::{self, Proxy};
use super::support::sandbox;
use super::support::strict::Message;
use super::support::wire::PATIENCE;
use crate::support::time::pause_ms;

const BLOCKED: &str = "crm.invoice.add";
const WATCHED: &str = "crm.lead.list";
const EXACT: &str = "crm.lead.details.configuration.set";

fn blocking(url: &str) -> Proxy {
    let mode = format!("{BLOCKED}=block");
    proxy::before(url).with(&["--mode", &mode]).start()
}

fn batch(format: &str, fields: &str, body: &str) -> String {
    format!(
        "POST /rest/1/sandboxcode/batch{format} HTTP/1.1\r\nHost: b24\r\nContent-Type: application/json\r\n{fields}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn json(answer: &Message) -> Value {
    serde_json::from_str(&answer.text()).unwrap_or_else(|why| panic!("{why}: {}", answer.text()))
}

#[test]
fn a_refusal_is_an_error_of_a_portal_in_the_calls_format_and_readable_for_browsers() {
    let portal = Portal::plain();
    let proxy = blocking(&portal.url());
    for (suffix, kind, begin, code) in [
        (
            "",
            "application/json",
            "{\"error\":",
            "\"DEPRECATED_METHOD_BLOCKED\"",
        ),
        (
            ".json",
            "application/json",
            "{\"error\":",
            "\"DEPRECATED_METHOD_BLOCKED\"",
        ),
        (
            ".xml",
            "text/xml",
            "<?xml ",
            "<error>DEPRECATED_METHOD_BLOCKED</error>",
        ),
    ] {
        let target = format!("/rest/1/code/{BLOCKED}{suffix}");
        let answer = proxy.call(post(&target, "application/x-www-form-urlencoded", "a=1"));
        assert_eq!(answer.status(), 410);
        let content_type = answer.one("content-type").unwrap_or_default();
        assert!(content_type.starts_with(kind), "{content_type}");
        assert_eq!(
            answer.one("access-control-allow-origin").as_deref(),
            Some("*")
        );
        let text = answer.text();
        assert!(text.starts_with(begin) && text.contains(code), "{text}");
        assert!(
            text.contains("Nothing was executed: call crm.item.add with entityTypeId=31; other"),
            "{text}"
        );
    }
    assert_eq!(portal.request_count(), 0);
}

#[test]
fn in_a_batch_all_other_commands_run_with_their_references_and_in_batches_inside_it() {
    let portal = sandbox::start(SandboxConfig::default());
    let proxy = blocking(&portal.sandbox.url());
    let inner = format!("Batch?cmd[i]={BLOCKED}&cmd[w]=user.current");
    let body = format!(
        r#"{{"halt":0,"cmd":{{"who":"user.current","no":"{BLOCKED}?x=$result[who][ID]","ref":"user.current?ID=$result[who][ID]","in":"{inner}"}}}}"#
    );
    let answer = proxy.call(batch("", "", &body));
    assert_eq!(answer.status(), 200);
    let (result, errors) = {
        let whole = json(&answer);
        (
            whole["result"]["result"].clone(),
            whole["result"]["result_error"].clone(),
        )
    };
    assert_eq!(result["who"]["ID"], "1");
    assert_eq!(result["ref"]["ID"], "1");
    assert_eq!(result["in"]["result"]["w"]["ID"], "1");
    let code = "DEPRECATED_METHOD_BLOCKED";
    assert_eq!(errors["no"]["error"], code);
    assert_eq!(result["in"]["result_error"]["i"]["error"], code);
    assert_eq!(errors.as_object().map(serde_json::Map::len), Some(1));
    let received = portal.sandbox.received();
    let sent = String::from_utf8_lossy(&received[0].body).into_owned();
    let blocked = "deprecated.method.blocked";
    assert_eq!(sent.matches(blocked).count(), 2, "{sent}");
    assert!(sent.contains("user.current?ID=$result[who][ID]"), "{sent}");
    let keys: Vec<_> = proxy
        .events()
        .iter()
        .map(|event| event["batch_key"].clone())
        .collect();
    assert_eq!(keys, ["no", "in/i"]);
}

#[test]
fn a_command_that_is_refused_under_two_spellings_of_cmd_is_answered_in_every_encoding() {
    let portal = sandbox::start(SandboxConfig::default());
    let proxy = blocking(&portal.sandbox.url());
    let nested = format!("Batch?cmd[a]={BLOCKED}&CMD[a]={BLOCKED}").replace('&', "%26");
    let form = format!(
        "cmd[a]={BLOCKED}&cmd[b]=user.current&CMD[a]={BLOCKED}&CMD[b]=user.current&CMD[in]={nested}&cmd[in]={nested}"
    );
    let part = |name: &str, value: &str| {
        format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let multipart = form.split('&').filter_map(|pair| pair.split_once('='));
    let multipart: String = multipart
        .map(|(name, value)| part(name, &value.replace("%26", "&")))
        .collect();
    let commands = format!(
        r#"{{"a":"{BLOCKED}","b":"user.current","in":"{}"}}"#,
        nested.replace("%26", "&")
    );
    let target = "/rest/1/sandboxcode/batch";
    for request in [
        post(
            target,
            "application/json",
            &format!(r#"{{"cmd":{commands},"CMD":{commands}}}"#),
        ),
        post(target, "application/x-www-form-urlencoded", &form),
        post(
            target,
            "multipart/form-data; boundary=B",
            &format!("{multipart}--B--\r\n"),
        ),
        post(
            &format!("{target}?{form}"),
            "application/json",
            &format!(r#"{{"CmD":{commands}}}"#),
        ),
        format!("GET {target}?{form} HTTP/1.1\r\nHost: b24\r\n\r\n"),
    ] {
        let whole = json(&proxy.call(&request));
        let code = "DEPRECATED_METHOD_BLOCKED";
        assert_eq!(
            whole["result"]["result_error"]["a"]["error"], code,
            "{request}"
        );
        assert_eq!(whole["result"]["result"]["b"]["ID"], "1", "{request}");
        let inner = &whole["result"]["result"]["in"]["result_error"]["a"]["error"];
        assert_eq!(inner, code, "{request}");
    }
}

#[test]
fn a_batch_that_halts_at_an_error_halts_at_a_refused_command() {
    let portal = sandbox::start(SandboxConfig::default());
    let proxy = blocking(&portal.sandbox.url());
    let body =
        format!(r#"{{"halt":1,"cmd":{{"a":"user.current","no":"{BLOCKED}","b":"user.current"}}}}"#);
    let whole = json(&proxy.call(batch("", "", &body)));
    let ran = |key: &str| whole["result"]["result"].get(key).is_some();
    assert!(ran("a") && !ran("b"), "{whole}");
    assert_eq!(
        whole["result"]["result_error"]["no"]["error"],
        "DEPRECATED_METHOD_BLOCKED"
    );
}

#[test]
fn a_batch_in_xml_tells_the_refusal_under_its_key() {
    let portal = sandbox::start(SandboxConfig::default());
    let proxy = blocking(&portal.sandbox.url());
    let body = format!(r#"{{"halt":0,"cmd":{{"no":"{BLOCKED}","who":"user.current"}}}}"#);
    let text = proxy.call(batch(".xml", "", &body)).text();
    for part in [
        "<who><ID>1</ID>",
        "<result_error><no><error>DEPRECATED_METHOD_BLOCKED</error><error_description>crm.invoice.add is deprecated",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn an_answer_is_asked_for_unpacked_only_where_it_is_changed_and_passes_where_it_cannot_be_read() {
    const PACKED: &[u8] = b"\x1f\x8b\x08packed whatever was asked for";
    let portal = Portal::start(|visit| {
        while let Some(request) = visit.request() {
            visit.answer_to(&request, 200, "Content-Encoding: gzip\r\n", PACKED);
        }
    });
    let proxy = blocking(&portal.url());
    let packed = "Accept-Encoding: gzip\r\n";
    for (method, asked) in [(BLOCKED, None), (WATCHED, Some("gzip"))] {
        let body = format!(r#"{{"cmd":{{"a":"{method}"}}}}"#);
        let answer = proxy.call(batch("", packed, &body));
        assert_eq!(answer.body, PACKED, "{method}");
        let request = portal.requests().pop().expect("a request");
        assert_eq!(request.one("accept-encoding").as_deref(), asked, "{method}");
    }
}

#[test]
fn what_is_only_observed_passes_whatever_it_is() {
    let portal = Portal::plain();
    let mode = format!("{EXACT}=observe");
    let proxy = proxy::start(&portal, &["--mode", &mode, "--max-rewrite-body", "1KiB"]);
    let long = "x".repeat(100_000);
    let mut sent = Vec::new();
    for method in [WATCHED, EXACT] {
        for (fields, body) in [
            ("Content-Type: application/json\r\n", "{\"broken\":"),
            (
                "Content-Type: application/json\r\nContent-Encoding: gzip\r\n",
                "no gzip",
            ),
            (
                "Content-Type: multipart/form-data; boundary=B\r\n",
                "--B\r\nno part",
            ),
            ("", long.as_str()),
        ] {
            let request = format!(
                "POST /rest/1/code/{method} HTTP/1.1\r\nHost: b24\r\n{fields}Content-Length: {}\r\n\r\n{body}",
                body.len()
            );
            assert_eq!(proxy.call(request).status(), 200, "{method} {fields}");
            sent.push(body.as_bytes());
        }
    }
    let received = portal.requests();
    assert_eq!(received.len(), sent.len());
    for (request, body) in received.iter().zip(&sent) {
        assert!(request.body == *body, "a body has changed");
    }
    let events = proxy.events();
    assert_eq!(events.len(), sent.len());
    assert!(events.iter().all(|event| event["action"] == "observed"));
}

#[test]
fn what_is_only_observed_goes_on_while_the_log_fails_and_calls_that_change_are_refused() {
    let portal = Portal::plain();
    let proxy = proxy::before(&portal.url())
        .log(Path::new("/dev/full"))
        .with(&["--on-log-failure", "refuse"])
        .start();
    let call = |method: &str| {
        let target = format!("/rest/1/code/{method}");
        proxy.call(post(&target, "application/json", "{}")).status()
    };
    // The first failure shows that the log cannot be written.
    for _ in 0..3 {
        assert_eq!(call(WATCHED), 200);
    }
    assert_eq!(call(EXACT), 503);
    assert_eq!(call(WATCHED), 200);
}

fn refused_head(framing: &str) -> String {
    format!(
        "POST /rest/1/code/{BLOCKED} HTTP/1.1\r\nHost: b24\r\nContent-Type: application/json\r\n{framing}\r\n\r\n"
    )
}

fn says_close(answer: &Message) -> bool {
    answer.list("connection").contains(&"close".to_owned())
}

#[test]
fn who_sends_all_before_it_reads_gets_its_refusal() {
    let portal = Portal::plain();
    let proxy = blocking(&portal.url());
    // All at once.
    let mut client = proxy.connect();
    let body = vec![b'x'; 24 * 1024 * 1024];
    assert!(client.send(refused_head(&format!("Content-Length: {}", body.len()))));
    assert!(client.send(&body), "all of it is taken");
    let answer = client.response("POST").expect("a refusal");
    assert_eq!((answer.status(), says_close(&answer)), (410, true));
    // Slowly.
    let mut client = proxy.connect();
    assert!(client.send(refused_head("Content-Length: 400000")));
    for _ in 0..16 {
        assert!(client.send([b'x'; 25_000]), "all of it is taken");
        pause_ms(190, "the body comes slowly");
    }
    let answer = client.response("POST").expect("a refusal");
    assert_eq!((answer.status(), says_close(&answer)), (410, true));
    // Chunks without end.
    let mut client = proxy.connect();
    assert!(client.send(refused_head("Transfer-Encoding: chunked")));
    let chunk = format!("4e20\r\n{}\r\n", "x".repeat(20_000));
    for _ in 0..100 {
        assert!(client.send(&chunk), "all of it is taken");
    }
    let answer = client.response("POST").expect("a refusal");
    assert_eq!((answer.status(), says_close(&answer)), (410, true));
    assert_eq!(portal.request_count(), 0);
}

#[test]
fn a_refusal_of_a_small_body_leaves_the_connection_usable() {
    let portal = Portal::plain();
    let proxy = blocking(&portal.url());
    let mut client = proxy.connect();
    for (framing, body) in [
        ("Content-Length: 65536", "x".repeat(65_536)),
        (
            "Transfer-Encoding: chunked",
            "5\r\nhello\r\n0\r\n\r\n".to_owned(),
        ),
        ("Content-Length: 2", "{}".to_owned()),
    ] {
        client.send(refused_head(framing));
        pause_ms(30, "not in one piece with the head");
        client.send(&body);
        let answer = client.response("POST").expect("a refusal");
        assert_eq!(
            (answer.status(), says_close(&answer)),
            (410, false),
            "{framing}"
        );
    }
    // Who waits for a go-ahead is refused without one.
    client.send(refused_head("Content-Length: 5\r\nExpect: 100-continue"));
    let answer = client.any_response("POST", PATIENCE).expect("a refusal");
    assert_eq!((answer.status(), says_close(&answer)), (410, true));
    assert_eq!(portal.request_count(), 0);
}

#[test]
fn an_upload_to_a_portal_that_is_not_there_gets_its_answer_too() {
    // Bound, so that nobody else has the port; but it does not listen.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let socket = socket.expect("a socket");
    let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    socket.bind(&any.into()).expect("a free port");
    let address = socket.local_addr().expect("an address");
    let address = address.as_socket().expect("an IP address");
    let proxy = proxy::before(&format!("http://{address}")).start();
    let mut client = proxy.connect();
    client.send("POST /upload HTTP/1.1\r\nHost: b24\r\nContent-Length: 8000000\r\n\r\n");
    assert!(client.send(vec![b'x'; 8_000_000]), "all of it is taken");
    let answer = client.response("POST").expect("an answer");
    assert_eq!((answer.status(), says_close(&answer)), (503, true));
}

#[test]
fn commands_with_numbers_for_keys_have_their_own_errors_in_xml() {
    let portal = sandbox::start(SandboxConfig::default());
    let proxy = proxy::before(&portal.sandbox.url())
        .with(&["--mode", "crm.deal.list=block"])
        .start();
    let codes = |body: &str| {
        let kind = "application/x-www-form-urlencoded";
        let answer = proxy.call(post("/rest/1/sandboxcode/batch.xml", kind, body));
        let text = answer.text();
        let found = text.split("<error>").skip(1);
        let code = |rest: &str| rest.split('<').next().unwrap_or_default().to_owned();
        found.map(code).collect::<Vec<_>>()
    };
    let (ours, missing) = ("DEPRECATED_METHOD_BLOCKED", "ERROR_METHOD_NOT_FOUND");
    for (body, expected) in [
        (
            "cmd[0]=crm.deal.list&cmd[1]=crm.deal.list",
            vec![ours, ours],
        ),
        (
            "cmd[0]=crm.deal.list&cmd[1]=crm.deal.list&halt=1",
            vec![ours],
        ),
        (
            "cmd[0]=nothing.such&cmd[1]=crm.deal.list",
            vec![missing, ours],
        ),
        (
            "cmd[0]=crm.deal.list&cmd[1]=nothing.such",
            vec![ours, missing],
        ),
        ("cmd[0]=profile&cmd[1]=crm.deal.list&halt=1", vec![ours]),
        (
            "cmd[0]=nothing.such&cmd[1]=crm.deal.list&halt=1",
            vec![missing],
        ),
        ("cmd[0]=Batch?cmd[x]=crm.deal.list", vec![ours]),
        // Which of the spellings runs is not sure: a name tells a command, a number does not.
        (
            "cmd[0]=crm.deal.list&cmd[1]=Batch%3Fcmd[0]%3Dprofile%26CMD[0]%3Dcrm.deal.list",
            vec![missing, ours],
        ),
        (
            "cmd[0]=crm.deal.list&cmd[1]=Batch%3Fcmd[a]%3Dcrm.deal.list%26CMD[a]%3Dcrm.deal.list",
            vec![ours, ours],
        ),
        (
            "cmd[0]=Batch?cmd[0]=crm.deal.list&cmd[1]=profile",
            vec![ours],
        ),
        (
            "cmd[]=profile&cmd[]=Batch%3Fcmd[7]%3Dcrm.deal.list%26cmd[8]%3Dprofile&cmd[a]=crm.deal.list",
            vec![ours, ours],
        ),
    ] {
        assert_eq!(codes(body), expected, "{body}");
    }
}
