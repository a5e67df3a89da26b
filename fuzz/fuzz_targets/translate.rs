//! Any bytes as a call, in every mode: no panic, and what is only observed keeps its bytes.
#![no_main]
use b24_migration_proxy::catalogue::{Catalogue, Mode};
use b24_migration_proxy::protocol::target::{RestPath, place};
use b24_migration_proxy::translate::{Call, Outcome, intake, translate};
use b24_migration_proxy_fuzz::Request;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(Catalogue::builtin);

fuzz_target!(|bytes: &[u8]| {
    let Some(request) = Request::read(bytes) else { return };
    let place = place(request.target, &RestPath::default());
    let Request { verb, target, content_type, content_encoding, body } = request;
    let call = Call { verb, target, place: &place, content_type, content_encoding, body };
    for mode in [Mode::Observe, Mode::Rewrite, Mode::Brownout, Mode::Block] {
        intake(verb, &place, &CATALOGUE, &|_| mode);
        let verdict = translate(&call, &CATALOGUE, &|_| mode);
        assert!(mode != Mode::Observe || verdict.outcome == Outcome::Untouched);
    }
});
