//! Any bytes as a PROXY header: it is whole only at its end, and nothing behind it counts.
#![no_main]
use b24_migration_proxy::proxy::readers::peer::{Preface, preface};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Preface::Proxied { length, .. } = preface(bytes) {
        assert!(length <= bytes.len());
        assert_eq!(preface(&bytes[..length]), preface(bytes));
        for cut in 0..length {
            assert!(matches!(preface(&bytes[..cut]), Preface::More { .. }));
        }
    }
});
