//! Any bytes from a portal: the engine, hyper and the strict reader of the tests read the same answer, or may refuse it.
#![no_main]
use b24_migration_proxy_fuzz::support::differential::answers_agree;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let [method, piece, bytes @ ..] = bytes else { return };
    let method = ["GET", "HEAD", "POST"][usize::from(*method) % 3];
    if let Err(difference) = answers_agree(bytes, method, usize::from(*piece)) {
        panic!("{}\n{difference}", bytes.escape_ascii());
    }
});
