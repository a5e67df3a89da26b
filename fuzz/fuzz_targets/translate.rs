//! Any bytes as a call, in every mode: no panic, and what is only observed keeps its bytes.
#![no_main]
use b24_migration_proxy::catalogue::{Catalogue, Mode};
use b24_migration_proxy::protocol::address::Address;
use b24_migration_proxy::protocol::target::RestPath;
use b24_migration_proxy::protocol::urlrewrite;
use b24_migration_proxy::translate::{Call, Doubt, Outcome, intake, translate};
use b24_migration_proxy_fuzz::Request;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(Catalogue::builtin);

fuzz_target!(|bytes: &[u8]| {
    let Some(request) = Request::read(bytes) else { return };
    let Request { verb, target, content_type, content_encoding, body } = request;
    let made = urlrewrite::made(target);
    let at = Address::of_whole(verb, target, made.as_ref(), content_type, body, &RestPath::default());
    let doubt = at.is_made.then_some(Doubt::Address);
    let call = Call { verb, target: at.target, place: &at.place, content_type, content_encoding, body, doubt };
    for mode in [Mode::Observe, Mode::Rewrite, Mode::Brownout, Mode::Block] {
        intake(verb, &at.place, &CATALOGUE, &|_| mode);
        let verdict = translate(&call, &CATALOGUE, &|_| mode);
        assert!(mode != Mode::Observe || verdict.outcome == Outcome::Untouched);
    }
});
