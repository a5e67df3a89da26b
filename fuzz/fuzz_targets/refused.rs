//! Any bytes as a batch whose deprecated commands are refused: whichever of them the sandbox portal meets, and under
//! whatever spelling of `cmd`, its answer says our error in the place of the portal's.
#![no_main]
use b24_migration_proxy::catalogue::{Catalogue, Mode};
use b24_migration_proxy::protocol::answer::Format;
use b24_migration_proxy::protocol::target::{RestPath, place};
use b24_migration_proxy::sandbox::reading::{PortalConfig, Received, read};
use b24_migration_proxy::translate::answer::replace_refused;
use b24_migration_proxy::translate::{Action, BLOCKED_METHOD, Call, Outcome, translate};
use b24_migration_proxy_fuzz::Request;
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(Catalogue::builtin);
const NOT_FOUND: &str = "ERROR_METHOD_NOT_FOUND";

fuzz_target!(|bytes: &[u8]| {
    let Some(request) = Request::read(bytes) else { return };
    let place = place(request.target, &RestPath::default());
    let Request { verb, target, content_type, body, .. } = request;
    let call = Call { verb, target, place: &place, content_type, content_encoding: None, body, doubt: None };
    let verdict = translate(&call, &CATALOGUE, &|_| Mode::Block);
    let Outcome::Rewritten { target: new_target, body: new_body } = verdict.outcome else { return };
    let refused: Vec<(&str, &str, &str)> = verdict
        .uses
        .iter()
        .filter(|used| used.action == Action::Refused)
        .filter_map(|used| Some((used.batch_key.as_deref()?, "BLOCKED", "call another")))
        .collect();
    let sent = Received::new(verb, new_target.as_deref().unwrap_or(target), content_type, new_body.as_deref().unwrap_or(body));
    let mut errors = Map::new();
    for operation in read(&sent, &PortalConfig::default()).operations() {
        // Nested ones are the integration tests'; of long keys a log keeps the beginning.
        let key = operation.batch_key().filter(|key| operation.batch_keys.len() == 1 && key.len() < 500);
        if let Some(key) = key.filter(|_| operation.method == BLOCKED_METHOD.as_bytes()) {
            errors.insert(key, json!({"error": NOT_FOUND, "error_description": ""}));
        }
    }
    let met = errors.len();
    let answer = json!({"result": {"result": [], "result_error": errors}}).to_string();
    let replaced = replace_refused(answer.as_bytes(), Format::Json, &refused);
    let replaced: Value = serde_json::from_slice(replaced.as_deref().unwrap_or(answer.as_bytes())).expect("JSON");
    let errors = replaced["result"]["result_error"].as_object().expect("an object");
    assert!(errors.len() == met && errors.values().all(|error| error["error"] == "BLOCKED"));
});
