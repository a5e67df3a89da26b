//! What the tests over sockets have and the fuzz targets use: the strict reader, and the law of three readers.
#![allow(dead_code, missing_docs, reason = "the tests use all of it")]

#[path = "../../tests/it/support/differential.rs"]
pub mod differential;
#[path = "../../tests/it/support/strict.rs"]
pub mod strict;

/// Bytes as a failure shows them.
pub fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}
