//! Batches with refused commands, in every encoding, under every spelling of `cmd`, nested and in query and body at once:
//! whatever of them the portal runs, each refused command that it meets is answered by our error.

use b24_migration_proxy::catalogue::{Catalogue, Mode};
use b24_migration_proxy::protocol::answer::{Format, error_members};
use b24_migration_proxy::protocol::target::{RestPath, place};
use b24_migration_proxy::sandbox::reading::{PortalConfig, Received, read};
use b24_migration_proxy::translate::answer::replace_refused;
use b24_migration_proxy::translate::{Action, BLOCKED_METHOD, Call, Outcome, translate};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(Catalogue::builtin);

const SPELLINGS: &[&str] = &["cmd", "CMD", "Cmd", "cMD"];
const KEYS: &[&str] = &["a", "b", "0", "1", "item", "A"];
const COMMANDS: &[&str] = &[
    "crm.deal.list",
    "crm.lead.details.configuration.reset",
    "crm.item.list",
    "nothing.such",
    "Batch?cmd[a]=crm.deal.list&CMD[a]=crm.deal.list",
    "Batch?Cmd[a]=crm.item.list&CMD[b]=crm.lead.list&cmd[a]=crm.deal.list",
];

/// A spelling of `cmd`, a key, a command.
type Entry = (&'static str, &'static str, &'static str);

fn entries(most: usize) -> impl Strategy<Value = Vec<Entry>> {
    let entry = (
        prop::sample::select(SPELLINGS),
        prop::sample::select(KEYS),
        prop::sample::select(COMMANDS),
    );
    prop::collection::vec(entry, 0..most)
}

fn escaped(text: &str) -> String {
    let byte = |byte: u8| match byte {
        byte if byte.is_ascii_alphanumeric() || byte == b'.' => (byte as char).to_string(),
        byte => format!("%{byte:02x}"),
    };
    text.bytes().map(byte).collect()
}

fn form(entries: &[Entry]) -> String {
    let pairs = entries
        .iter()
        .map(|(cmd, key, command)| format!("{cmd}[{key}]={}", escaped(command)));
    pairs.collect::<Vec<_>>().join("&")
}

fn body(entries: &[Entry], encoding: usize) -> (Option<&'static [u8]>, String) {
    match encoding {
        0 => {
            let mut top = Map::new();
            for (cmd, key, command) in entries {
                top.entry(*cmd).or_insert_with(|| json!({}))[*key] = json!(command);
            }
            (Some(b"application/json"), Value::Object(top).to_string())
        }
        1 => (Some(b"application/x-www-form-urlencoded"), form(entries)),
        2 => (None, form(entries)),
        _ => {
            let part = |(cmd, key, command): &Entry| {
                format!(
                    "--B\r\nContent-Disposition: form-data; name=\"{cmd}[{key}]\"\r\n\r\n{command}\r\n"
                )
            };
            let parts: String = entries.iter().map(part).collect();
            (
                Some(b"multipart/form-data; boundary=B"),
                format!("{parts}--B--\r\n"),
            )
        }
    }
}

/// The portal's answer: an error for each command whose method it does not have.
fn answer(request: &Received) -> Value {
    let mut answer = json!({"result": {"result": {}, "result_error": {}}});
    for operation in read(request, &PortalConfig::default()).operations() {
        let Some(key) = operation.batch_key() else {
            continue;
        };
        if operation.method == BLOCKED_METHOD.as_bytes() {
            let (outer, inner) = key
                .split_once('/')
                .map_or((None, &*key), |(o, i)| (Some(o), i));
            let batch = match outer {
                Some(outer) => &mut answer["result"]["result"][outer],
                None => &mut answer["result"],
            };
            batch["result_error"][inner] = serde_json::from_str(&error_members(
                Format::Json,
                "ERROR_METHOD_NOT_FOUND",
                "Method not found!",
            ))
            .expect("JSON");
        }
    }
    answer
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_refused_command_that_the_portal_meets_is_answered_by_our_error(
        in_query in entries(4),
        in_body in entries(8),
        encoding in 0usize..4,
        mode in prop::sample::select(&[Mode::Block, Mode::Brownout][..]),
    ) {
        let target = format!("/rest/1/code/batch?{}", form(&in_query)).into_bytes();
        let (content_type, body) = body(&in_body, encoding);
        let place = place(&target, &RestPath::default());
        let call = Call {
            verb: b"POST",
            target: &target,
            place: &place,
            content_type,
            content_encoding: None,
            body: body.as_bytes(),
            doubt: None,
        };
        let verdict = translate(&call, &CATALOGUE, &|_| mode);
        let (new_target, new_body) = match verdict.outcome {
            Outcome::Rewritten { target, body } => (target, body),
            _ => (None, None),
        };
        let sent = Received::new(
            b"POST",
            new_target.as_deref().unwrap_or(&target),
            content_type,
            new_body.as_deref().unwrap_or(body.as_bytes()),
        );
        let answered = answer(&sent).to_string();
        let refused: Vec<(&str, &str, &str)> = verdict
            .uses
            .iter()
            .filter(|used| used.action == Action::Refused)
            .map(|used| (used.batch_key.as_deref().expect("a command"), "BLOCKED", "call another"))
            .collect();
        let replaced = replace_refused(answered.as_bytes(), Format::Json, &refused);
        let replaced = replaced.map_or_else(|| answered.clone(), |bytes| String::from_utf8(bytes).expect("text"));
        let failed = answered.matches("ERROR_METHOD_NOT_FOUND").count();
        prop_assert_eq!(replaced.matches("BLOCKED").count(), failed, "{}\n{}", body, replaced);
        prop_assert!(!replaced.contains("ERROR_METHOD_NOT_FOUND"), "{}\n{}", body, replaced);
        let read: Result<Value, _> = serde_json::from_str(&replaced);
        prop_assert!(read.is_ok(), "{}", replaced);
    }
}
