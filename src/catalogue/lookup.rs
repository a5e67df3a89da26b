//! A hash for method names. Its table holds the catalogue alone, so nobody can fill it with names that collide; what
//! counts is that a look-up, which every REST call pays, is quick.
use std::hash::{BuildHasherDefault, Hasher};

/// Builds [`WordHasher`]s.
pub(super) type Words = BuildHasherDefault<WordHasher>;

/// Takes eight bytes at a time.
#[derive(Default)]
pub(super) struct WordHasher(u64);

impl Hasher for WordHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.write_u64(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.write_u64(u64::from_le_bytes(last));
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn finish(&self) -> u64 {
        // The table uses the highest and the lowest bits; a product's lowest bits hang on few of its factor's.
        self.0 ^ self.0 >> 32
    }
}
