//! Any bytes as a portal's answer: codes are looked for, errors replaced.
#![no_main]
use b24_migration_proxy::protocol::answer::{Format, batch_error_codes, error_code};
use b24_migration_proxy::translate::answer::replace_refused;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    error_code(body);
    batch_error_codes(body);
    for format in [Format::Json, Format::Xml] {
        if let Some(replaced) = replace_refused(body, format, &[("a", "BLOCKED", "call b"), ("0", "BLOCKED", "call c")]) {
            assert!(batch_error_codes(&replaced).iter().any(|(_, code)| code == "BLOCKED"));
        }
    }
});
