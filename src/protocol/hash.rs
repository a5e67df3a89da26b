//! A hash for short names, eight bytes at a time. It keeps nobody from making names fall together: for tables whose
//! number of entries is small and fixed.

/// The hash of a name.
pub fn of(name: &[u8]) -> u64 {
    folded(name, 0)
}

/// A hash that is the same for all spellings of a name in upper and lower case.
pub fn in_any_case(name: &[u8]) -> u64 {
    // The bit in which they differ; other bytes that differ in it alone fall together, too.
    folded(name, u64::from_ne_bytes([0x20; 8]))
}

#[inline(always)]
fn folded(name: &[u8], fold: u64) -> u64 {
    let mix = |hash: u64, word: [u8; 8]| {
        (hash.rotate_left(5) ^ (u64::from_le_bytes(word) | fold))
            .wrapping_mul(0x517c_c1b7_2722_0a95)
    };
    let (words, rest) = name.as_chunks::<8>();
    // The last eight bytes, some of them once more, are quicker had than the rest alone.
    let last = name.last_chunk::<8>().copied().unwrap_or_else(|| {
        let mut last = [0; 8];
        for (byte, to) in rest.iter().zip(&mut last) {
            *to = *byte;
        }
        last
    });
    let hash = words
        .iter()
        .fold(name.len() as u64, |hash, word| mix(hash, *word));
    mix(hash, last)
}
