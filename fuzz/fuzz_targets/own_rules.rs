//! The law for rules of one's own on any bytes: a rule file, a line `---`, a call of one of its methods. The portal gets the
//! parameters that the rule's words say.
#![no_main]
use b24_migration_proxy::catalogue::{Catalogue, Mode, file};
use b24_migration_proxy::protocol::address::Address;
use b24_migration_proxy::protocol::target::RestPath;
use b24_migration_proxy::protocol::urlrewrite;
use b24_migration_proxy::sandbox::reading::Received;
use b24_migration_proxy::translate::{Action, Call, Doubt, Outcome, translate};
use b24_migration_proxy_fuzz::Request;
use libfuzzer_sys::fuzz_target;

#[path = "../../tests/it/support/spoken.rs"]
mod spoken;

fuzz_target!(|bytes: &[u8]| {
    const LINE: &[u8] = b"\n---\n";
    let Some(at) = bytes.windows(LINE.len()).position(|window| window == LINE) else { return };
    let Ok(text) = str::from_utf8(&bytes[..at]) else { return };
    let Some(request) = Request::read(&bytes[at + LINE.len()..]) else { return };
    let Ok(own) = file::read(text) else { return };
    let Ok(said) = serde_json::from_str::<serde_json::Value>(text) else { return };
    let catalogue = Catalogue::with(own.into_iter().map(|own| own.rule));
    let Request { verb, target, content_type, body, .. } = request;
    let made = urlrewrite::made(target);
    let at = Address::of_whole(verb, target, made.as_ref(), content_type, body, &RestPath::default());
    let doubt = at.is_made.then_some(Doubt::Address);
    let call =
        Call { verb, target: at.target, place: &at.place, content_type, content_encoding: None, body, doubt };
    let verdict = translate(&call, &catalogue, &|_| Mode::Rewrite);
    let ([used], Outcome::Rewritten { target: new_target, body: new_body }) = (&verdict.uses[..], &verdict.outcome) else {
        return;
    };
    let rules = said.as_array().or_else(|| said["rules"].as_array());
    let rule = rules.into_iter().flatten().find(|rule| rule["method"] == used.rule.method.as_str());
    let (Some(rule), true) = (rule, used.action == Action::Rewritten) else { return };
    let received = |target: &[u8], body: &[u8]| Received::new(verb, target, content_type, body);
    let after = received(new_target.as_deref().unwrap_or(target), new_body.as_deref().unwrap_or(body));
    let (Some((_, before)), Some((_, found))) = (spoken::operation(&received(target, body)), spoken::operation(&after))
    else {
        return;
    };
    assert_eq!(found.plain(), spoken::Rule(rule.clone()).applied(&before));
});
