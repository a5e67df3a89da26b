//! Any bytes as the head of a portal's answer.
#![no_main]
use b24_migration_proxy::proxy::readers::head::{Framing, Limits};
use b24_migration_proxy::proxy::readers::read::read_response;
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits { head: 4096, target: 0, fields: 16 };

fuzz_target!(|bytes: &[u8]| {
    let read = |to_head| read_response(bytes.to_vec().into(), &LIMITS, to_head);
    if let Ok(head) = read(true) {
        assert_eq!(head.framing, Framing::None);
    }
    if let Ok(head) = read(false) {
        assert!((100..1000).contains(&head.status));
    }
});
