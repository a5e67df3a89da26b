//! The law on any bytes: the sandbox portal does the same for a call and for its translation.
#![no_main]
use b24_migration_proxy::catalogue::{Catalogue, Mode};
use b24_migration_proxy::protocol::address::Address;
use b24_migration_proxy::protocol::target::RestPath;
use b24_migration_proxy::protocol::urlrewrite;
use b24_migration_proxy::sandbox::reading::{PortalConfig, Received, read};
use b24_migration_proxy::translate::{Action, Call, Doubt, Outcome, translate};
use b24_migration_proxy_fuzz::Request;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(Catalogue::builtin);

fuzz_target!(|bytes: &[u8]| {
    let Some(request) = Request::read(bytes) else { return };
    let Request { verb, target, content_type, body, .. } = request;
    let made = urlrewrite::made(target);
    let at = Address::of_whole(verb, target, made.as_ref(), content_type, body, &RestPath::default());
    let doubt = at.is_made.then_some(Doubt::Address);
    let call =
        Call { verb, target: at.target, place: &at.place, content_type, content_encoding: None, body, doubt };
    let verdict = translate(&call, &CATALOGUE, &|_| Mode::Rewrite);
    if let Outcome::Rewritten { target: new_target, body: new_body } = &verdict.outcome
        && verdict.uses.iter().all(|used| used.action != Action::Refused)
    {
        let effects = |target: &[u8], body: &[u8]| {
            read(&Received::new(verb, target, content_type, body), &PortalConfig::default()).effects()
        };
        let after = effects(new_target.as_deref().unwrap_or(target), new_body.as_deref().unwrap_or(body));
        assert_eq!(effects(target, body), after);
    }
});
