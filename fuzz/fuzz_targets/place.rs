//! Any bytes as a request target: read, masked, and its method found where it is said to stand.
#![no_main]
use b24_migration_proxy::protocol::urlrewrite;
use b24_migration_proxy::protocol::target::{Place, RestPath, mask, masked_path, place};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|target: &[u8]| {
    let rest = RestPath::default();
    urlrewrite::made(target);
    if let Place::Call { name, .. } = place(target, &rest) {
        // What is put there is the method then.
        let renamed = [&target[..name.start], b"new.method".as_slice(), &target[name.end..]].concat();
        assert!(matches!(place(&renamed, &rest), Place::Call { method, .. } if method == "new.method"));
    }
    masked_path(target, &rest);
    mask(target);
});
