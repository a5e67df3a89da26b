//! The sandbox portal over real sockets: who is let in, how it answers, what it remembers.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use b24_migration_proxy::sandbox::{Effect, LeadType, SandboxConfig};

use crate::support::sandbox::{Running, start};

impl Running {
    /// Send raw bytes and read until the sandbox closes.
    fn raw(&self, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.sandbox.addr()).expect("the sandbox listens");
        stream.write_all(request).expect("the sandbox reads");
        let mut answer = Vec::new();
        stream
            .read_to_end(&mut answer)
            .expect("the sandbox answers and closes");
        String::from_utf8(answer).expect("text")
    }

    /// A POST with further header lines, on a connection of its own.
    fn post(&self, target: &str, headers: &str, body: &str) -> String {
        let length = body.len();
        let head = format!(
            "POST {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n"
        );
        self.raw(format!("{head}{headers}\r\n{body}").as_bytes())
    }
}

const METHOD: &str = "crm.lead.details.configuration.reset";

#[test]
fn each_kind_of_credential_is_checked() {
    let running = start(SandboxConfig::default());
    let call = |target: &str, headers: &str, body: &str| running.post(target, headers, body);
    for (target, headers, body, answer) in [
        ("/rest/1/sandboxcode/", "", "", "200 OK"),
        ("/rest/admin/sandboxcode/", "", "", "200 OK"),
        (
            "/rest/1/wrong/",
            "",
            "",
            "401 Unauthorized|INVALID_CREDENTIALS",
        ),
        (
            "/rest/2/sandboxcode/",
            "",
            "",
            "401 Unauthorized|INVALID_CREDENTIALS",
        ),
        ("/rest/", "", "aplogin=1&ap=sandboxcode", "200 OK"),
        (
            "/rest/",
            "Authorization: bearer sandboxtoken\r\n",
            "",
            "200 OK|X-Bitrix-Rest-Application: local",
        ),
        (
            "/rest/",
            "",
            "access_token=wrong&auth=sandboxtoken",
            "200 OK|X-Bitrix-Rest-Application: local",
        ),
        ("/rest/", "", "auth=wrong", "401 Unauthorized|invalid_token"),
        (
            "/rest/",
            "Cookie: a=b\r\nX-Bitrix-Csrf-Token: sandboxsession\r\n",
            "",
            "200 OK",
        ),
        (
            "/rest/",
            "Cookie: a=b\r\n",
            "",
            "401 Unauthorized|NO_AUTH_FOUND",
        ),
    ] {
        let got = call(&format!("{target}{METHOD}"), headers, body);
        for part in answer.split('|') {
            assert!(got.contains(part), "{target} {headers}{body}: {got}");
        }
        assert!(got.contains("Access-Control-Allow-Origin: *\r\n"), "{got}");
        assert!(got.contains("X-Bitrix-Rest-Time: "), "{got}");
    }
}

#[test]
fn webhooks_over_plain_http_can_be_refused_as_portals_do() {
    let running = start(SandboxConfig {
        https_required: true,
        ..SandboxConfig::default()
    });
    let target = format!("/rest/1/sandboxcode/{METHOD}.xml");
    let refused = running.post(&target, "", "");
    assert!(
        refused.contains(
            "<error>INVALID_REQUEST</error><error_description>Https required.</error_description>"
        ),
        "{refused}"
    );
    assert!(
        running
            .post(&target, "X-Forwarded-Proto: https\r\n", "")
            .contains("<result>true</result>")
    );
}

#[test]
fn requests_are_remembered_byte_for_byte_even_with_a_raw_target_and_in_chunks() {
    let running = start(SandboxConfig::default());
    let target = "/rest/1/sandboxcode/crm.lead.list?filter[>ID]=5&x=\"a b\"";
    let answer = running.raw(
        format!("POST {target} HTTP/1.1\r\nhOst:  x\r\nX-Two: 2\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3;x=y\r\na=1\r\n2\r\n&b\r\n0\r\nX-Trailer: 1\r\n\r\n").as_bytes(),
    );
    assert!(
        answer.contains(r#"{"result":[],"total":0,"time":{"#),
        "{answer}"
    );
    let received = running.sandbox.take_received();
    assert_eq!(received.len(), 1);
    assert_eq!(
        received[0].target.escape_ascii().to_string(),
        target.replace('"', "\\\"")
    );
    assert_eq!(received[0].headers[0], (b"hOst".to_vec(), b"x".to_vec()));
    assert_eq!(received[0].body, b"a=1&b");
    assert!(running.sandbox.received().is_empty());
}

#[test]
fn a_connection_carries_several_calls_and_head_has_no_body() {
    let running = start(SandboxConfig::default());
    let get = "GET /rest/1/sandboxcode/profile HTTP/1.1\r\nHost: x\r\n\r\n";
    let head = "HEAD /rest/1/sandboxcode/profile HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answer = running.raw(format!("{get}{get}{head}").as_bytes());
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 3);
    assert_eq!(answer.matches(r#"{"result":{"ID":"1","#).count(), 2);
    assert!(
        running
            .raw(b"nonsense\r\n\r\n")
            .starts_with("HTTP/1.1 400 ")
    );
}

#[test]
fn what_was_executed_is_recorded_with_its_effect() {
    let running = start(SandboxConfig::default());
    let body = r#"{"extras":{"lead.customer.type":2}}"#;
    let headers = "Content-Type: application/json\r\n";
    running.post(&format!("/rest/1/sandboxcode/{METHOD}"), headers, body);
    let modern = r#"{"entityTypeId":1,"extras":{"leadCustomerType":2}}"#;
    running.post(
        "/rest/1/sandboxcode/crm.item.details.configuration.reset.json/",
        headers,
        modern,
    );
    let received = running.sandbox.received();
    let effects: Vec<Effect> = received
        .iter()
        .flat_map(|seen| &seen.operations)
        .map(|done| done.effect())
        .collect();
    assert_eq!(effects[0], effects[1]);
    let executed: Vec<_> = received
        .iter()
        .filter_map(|seen| seen.operations[0].details()?.lead_type)
        .collect();
    assert_eq!(
        executed,
        [LeadType::Simple, LeadType::Repeat],
        "the portal's code does not read the documented name"
    );
}

#[test]
fn a_record_shows_no_secret() {
    let running = start(SandboxConfig::default());
    running.post(
        &format!("/rest/1/sandboxcode/{METHOD}"),
        "Authorization: Bearer sandboxtoken\r\n",
        "auth=sandboxtoken",
    );
    running.post(
        "/rest/crm.contact.list",
        "",
        "auth=sandboxtoken&filter[auth]=sandboxtoken",
    );
    let shown = format!("{:?} {:?}", running.sandbox, running.sandbox.received());
    assert!(
        !shown.contains("sandboxcode") && !shown.contains("sandboxtoken"),
        "{shown}"
    );
}

#[test]
fn curl_reads_the_answers_of_a_batch_in_json_and_in_xml() {
    let running = start(SandboxConfig::default());
    let curl = |suffix: &str| {
        let url = format!("{}/rest/1/sandboxcode/batch{suffix}", running.sandbox.url());
        let command =
            "cmd[reset]=crm.item.details.configuration.reset%3FentityTypeId%3D1%26scope%3DC";
        let output = Command::new("curl")
            .args([
                "-s",
                "-g",
                "--max-time",
                "10",
                "-d",
                command,
                "-d",
                "cmd[no]=deprecated.method.blocked",
                "-d",
                "halt=0",
                &url,
            ])
            .output();
        output
            .ok()
            .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let Some(json) = curl("") else {
        let _ = writeln!(
            std::io::stderr(),
            "skipped: the command curl is not installed"
        );
        return;
    };
    let members = [
        r#"{"result":{"result":{"reset":true},"result_error":{"no":{"error":"ERROR_METHOD_NOT_FOUND","error_description":"Method not found!"}},"#,
        r#""result_total":[],"result_next":[],"result_time":{"reset":{"start":"#,
    ];
    for member in members {
        assert!(json.contains(member), "{json}");
    }
    let xml = curl(".xml").unwrap_or_default();
    assert!(xml.contains("<result><result><reset>true</reset></result><result_error><no><error>ERROR_METHOD_NOT_FOUND</error>"), "{xml}");
}
