//! Any bytes from a client: the engine, hyper and the strict reader of the tests read the same, or may refuse it.
#![no_main]
use b24_migration_proxy_fuzz::support::differential::requests_agree;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((piece, bytes)) = bytes.split_first() else { return };
    if let Err(difference) = requests_agree(bytes, usize::from(*piece)) {
        panic!("{}\n{difference}", bytes.escape_ascii());
    }
});
