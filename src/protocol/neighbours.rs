//! Looks for a byte by what it is and what stands behind it, sixteen at a time.

use wide::u8x16;

/// Which of sixteen bytes are meant, by them and those behind each: a byte of a block is set where it is.
pub trait Neighbours {
    /// The bytes that are meant, as all ones; `next` is the block from one byte on.
    fn blocks(block: u8x16, next: u8x16) -> u8x16;
    /// Whether one byte is meant; `next` is the one behind it, where there is one.
    fn bytes(byte: u8, next: Option<u8>) -> bool;
}

/// Whether each byte of a block is this one.
pub fn is(block: u8x16, byte: u8) -> u8x16 {
    block.simd_eq(u8x16::splat(byte))
}

/// Where the first byte stands that is meant.
pub fn find<N: Neighbours>(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(pairs) = bytes.get(at..at + 17) {
        let block = |from: usize| {
            let block: [u8; 16] = pairs[from..from + 16].try_into().unwrap_or_default();
            u8x16::from(block)
        };
        match N::blocks(block(0), block(1)).to_bitmask() {
            0 => at += 16,
            bits => return Some(at + bits.trailing_zeros() as usize),
        }
    }
    (at..bytes.len()).find(|at| N::bytes(bytes[*at], bytes.get(at + 1).copied()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct DoubledSlash;
    impl Neighbours for DoubledSlash {
        fn blocks(block: u8x16, next: u8x16) -> u8x16 {
            is(block, b'/') & is(next, b'/')
        }
        fn bytes(byte: u8, next: Option<u8>) -> bool {
            byte == b'/' && next == Some(b'/')
        }
    }

    proptest! {
        #[test]
        fn the_first_is_found_wherever_it_stands(text in "(a{0,40}/?){0,3}/{0,2}a{0,40}") {
            prop_assert_eq!(find::<DoubledSlash>(text.as_bytes()), text.find("//"));
        }
    }
}
