//! The golden cases over sockets: the built proxy between a raw client and the sandbox portal. The portal gets what the case
//! says, the client the refusal that it says, and the log has a line for each use.

use super::{Sections, cases, folder, sections, split_head};
use crate::support::ours;
use crate::support::proxy::{self, Proxy, events_in};
use crate::support::sandbox::{self, Running};
use crate::support::shown;
use crate::support::strict::Message;
use b24_migration_proxy::sandbox::{Recorded, SandboxConfig};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// A case, with the file that it stands in.
struct Case {
    file: PathBuf,
    sections: Sections,
}

impl Case {
    /// The text of a section; empty where the case has none.
    fn section(&self, name: &str) -> &[u8] {
        let found = self.sections.iter().find(|(found, _)| found == name);
        found.map_or(&b""[..], |(_, text)| text)
    }

    fn mode(&self) -> String {
        match self.section("mode") {
            b"" => "rewrite".to_owned(),
            mode => String::from_utf8_lossy(mode).into_owned(),
        }
    }
}

/// A request as it travels: the case's lines, `Host`, and the length of a body.
fn as_sent(request: &[u8]) -> Vec<u8> {
    let (head, body) = split_head(request);
    let mut lines = head.split(|byte| *byte == b'\n');
    let mut bytes = lines.next().unwrap_or_default().to_vec();
    bytes.extend_from_slice(b" HTTP/1.1\r\nHost: portal.example\r\n");
    for line in lines {
        bytes.extend_from_slice(&[line, b"\r\n"].concat());
    }
    if !body.is_empty() {
        bytes.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    [&bytes, &b"\r\n"[..], body].concat()
}

/// How the portal's request differs from the one that the case expects: start line, the case's fields in their order, body.
fn difference(expected: &[u8], got: &Recorded) -> Option<String> {
    let (head, body) = split_head(expected);
    let mut lines = head.split(|byte| *byte == b'\n');
    let start = [&got.verb[..], b" ", &got.target].concat();
    if lines.next() != Some(&start[..]) {
        return Some(format!("the start line is {}", shown(&start)));
    }
    let mut fields = got.headers.iter();
    for line in lines {
        let (name, value) = line.split_at(line.iter().position(|byte| *byte == b':')?);
        let same =
            |(other, text): &(Vec<u8>, Vec<u8>)| other == name && text == value[1..].trim_ascii();
        if !fields.any(same) {
            return Some(format!(
                "the field {} is not there in its place",
                shown(line)
            ));
        }
    }
    (got.body != body).then(|| format!("the body is {}", shown(&got.body)))
}

/// The uses that the log has, as cases write them.
fn logged(events: &[Value]) -> Vec<String> {
    let word = |event: &Value, name: &str| event[name].as_str().unwrap_or_default().to_owned();
    let of = |event: &Value| {
        let key = match event.get("batch_key") {
            Some(key) => format!("[{}] ", key.as_str().unwrap_or_default()),
            None => String::new(),
        };
        let reason = match event.get("reason") {
            Some(Value::String(reason)) if event["action"] == "refused" => format!(" ({reason})"),
            _ => String::new(),
        };
        let (method, action) = (word(event, "method"), word(event, "action"));
        format!(
            "{key}{method} {action}{reason}, {}",
            word(event, "encoding")
        )
    };
    let is_a_use = |event: &&Value| event["event"] == "deprecated_call";
    events.iter().filter(is_a_use).map(of).collect()
}

/// What a case says of the log: its uses without their changes.
fn expected_uses(case: &Case) -> Vec<String> {
    let text = String::from_utf8_lossy(case.section("uses"));
    let of_a_use = |line: &&str| !line.starts_with(' ');
    text.lines().filter(of_a_use).map(str::to_owned).collect()
}

/// The deprecated methods that a case uses.
fn methods(case: &Case) -> Vec<String> {
    let of = |line: String| {
        let mut words = line.split(' ').map(str::to_owned);
        words.find(|word| !word.starts_with('['))
    };
    expected_uses(case).into_iter().filter_map(of).collect()
}

fn has_fragment(request: &[u8]) -> bool {
    let mut line = request.iter().take_while(|byte| **byte != b'\n');
    line.any(|byte| *byte == b'#')
}

/// How an answer is not the refusal `STATUS CODE`, line, description.
fn refused_otherwise(answer: &Message, refusal: &str) -> Option<String> {
    let (first, description) = refusal.split_once('\n')?;
    let (status, code) = first.split_once(' ')?;
    let is_xml = answer
        .one("content-type")
        .is_some_and(|kind| kind.starts_with("text/xml"));
    if let Err(fault) = ours::check(answer, status.parse().ok()?, code, is_xml) {
        return Some(fault);
    }
    if is_xml {
        return None;
    }
    let body: Value = serde_json::from_str(&answer.text()).ok()?;
    let said = body["error_description"].as_str().unwrap_or_default();
    // A proxy knows until when a brownout lasts.
    let (before, behind) = description
        .split_once("for a while")
        .unwrap_or((description, ""));
    (!said.starts_with(before) || !said.ends_with(behind))
        .then(|| format!("the description is {said}"))
}

/// Sends a case through the proxy; what is not as the case says.
fn wrong(case: &Case, proxy: &Proxy, portal: &Running, log: &mut usize) -> Option<String> {
    let request = case.section("request");
    let answer = proxy.call(as_sent(request));
    let got = portal.sandbox.take_received();
    let (expected, refusal) = match case.section("upstream") {
        b"untouched" => (request, None),
        refused if refused.starts_with(b"refused\n") => (&b""[..], Some(&refused[8..])),
        upstream => (upstream, None),
    };
    let fault = match (refusal, &got[..]) {
        // No client may send a fragment (RFC 9112 §3.2): the reader of heads is before the engine.
        _ if has_fragment(request) => {
            assert!(got.is_empty(), "{}", case.file.display());
            return (answer.status() != 400).then(|| format!("{} is not 400", answer.status()));
        }
        (Some(refusal), []) => refused_otherwise(&answer, &String::from_utf8_lossy(refusal)),
        (None, [got, successors @ ..]) => {
            let compared = case.mode() == "compare";
            match difference(expected, got) {
                None if successors.is_empty() || compared => None,
                None => Some(format!("the portal got {} requests", 1 + successors.len())),
                different => different,
            }
        }
        (_, got) => Some(format!("the portal got {} requests", got.len())),
    };
    let text = std::fs::read_to_string(proxy.log_path()).expect("a log");
    let uses = logged(&events_in(&text[*log..]));
    *log = text.len();
    let fault = fault.or_else(|| {
        let expected = expected_uses(case);
        (uses != expected).then(|| format!("the log has {uses:?}, not {expected:?}"))
    });
    fault.map(|fault| format!("{}:\n  {fault}", case.file.display()))
}

#[test]
fn what_the_portal_gets_over_sockets_is_what_each_golden_case_says() {
    let mut by_mode: BTreeMap<String, Vec<Case>> = BTreeMap::new();
    for file in cases(&folder()) {
        let sections = sections(&std::fs::read(&file).unwrap());
        let case = Case { file, sections };
        by_mode.entry(case.mode()).or_default().push(case);
    }
    let mut all_wrong = Vec::new();
    // A mode is of the whole proxy: one proxy, and one portal, for all the cases of a mode.
    for (mode, cases) in &by_mode {
        let mut config = SandboxConfig::default();
        config.users[0].webhook_code = "code".to_owned();
        let portal = sandbox::start(config);
        // By method: a brownout is never for all, and only what reads can be compared.
        let mut modes = vec!["--mode".to_owned(), "rewrite".to_owned()];
        if mode != "rewrite" {
            let methods: BTreeSet<String> = cases.iter().flat_map(methods).collect();
            for method in methods {
                modes.extend(["--mode".to_owned(), format!("{method}={mode}")]);
            }
        }
        let modes: Vec<&str> = modes.iter().map(String::as_str).collect();
        let proxy = proxy::before(&portal.sandbox.url()).with(&modes).start();
        let mut log = std::fs::read(proxy.log_path()).map_or(0, |log| log.len());
        all_wrong.extend(
            cases
                .iter()
                .filter_map(|case| wrong(case, &proxy, &portal, &mut log)),
        );
    }
    assert!(
        all_wrong.is_empty(),
        "over sockets it is otherwise:\n{}",
        all_wrong.join("\n")
    );
}
