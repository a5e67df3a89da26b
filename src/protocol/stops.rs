//! Where in some bytes the next one stands that means something: 64 of them are looked at at once, and what was found in
//! them is kept, so that one look serves all short strings in them.
use std::marker::PhantomData;
use wide::{u8x16, u8x64};

/// Which bytes mean something.
pub(super) trait Meaning {
    /// A bit for each byte of a block, the first one lowest; a high bit in a byte of `is` says that it is one.
    fn find(block: u8x64) -> u64;
}

/// What can end a JSON string or stand for something else in it: a quote, a backslash, a control character.
#[derive(Clone, Debug)]
pub(super) struct InString;

impl Meaning for InString {
    #[inline]
    fn find(block: u8x64) -> u64 {
        let is = block.simd_eq(u8x64::splat(b'"'))
            | block.simd_eq(u8x64::splat(b'\\'))
            | block.simd_le(u8x64::splat(0x1F));
        is.to_bitmask()
    }
}

/// What opens or closes something in JSON, outside of strings.
#[derive(Clone, Debug)]
pub(super) struct OutsideStrings;

impl Meaning for OutsideStrings {
    #[inline]
    fn find(block: u8x64) -> u64 {
        // A brace is a bracket with one bit more, and nothing else is.
        let folded = block | u8x64::splat(0x20);
        let is = block.simd_eq(u8x64::splat(b'"'))
            | folded.simd_eq(u8x64::splat(b'{'))
            | folded.simd_eq(u8x64::splat(b'}'));
        is.to_bitmask()
    }
}

/// What ends a pair of a form string.
#[derive(Clone, Debug)]
pub(super) struct Ampersand;

impl Meaning for Ampersand {
    #[inline]
    fn find(block: u8x64) -> u64 {
        block.simd_eq(u8x64::splat(b'&')).to_bitmask()
    }
}

/// How many bytes at the begin are letters, digits, dots and underscores, which methods are mostly made of; of at most
/// `most` it is told.
#[inline]
pub(super) fn plain_begin(bytes: &[u8], most: usize) -> usize {
    const SIZE: usize = 16;
    let mut at = 0;
    while at < most
        && let Some(block) = bytes.get(at..).and_then(|rest| rest.first_chunk::<SIZE>())
    {
        let block = u8x16::from(*block);
        let within = |block: u8x16, first: u8, last: u8| {
            (block - u8x16::splat(first)).simd_le(u8x16::splat(last - first))
        };
        let plain = within(block | u8x16::splat(0x20), b'a', b'z')
            | within(block, b'0', b'9')
            | block.simd_eq(u8x16::splat(b'.'))
            | block.simd_eq(u8x16::splat(b'_'));
        let length = plain.to_bitmask().trailing_ones() as usize;
        at += length;
        if length < SIZE {
            return at.min(most);
        }
    }
    let is_plain = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_');
    let rest = bytes[at.min(bytes.len())..]
        .iter()
        .take(most.saturating_sub(at));
    (at + rest.take_while(is_plain).count()).min(most)
}

/// Who sees each block that is looked at.
pub(super) trait Watch: Default {
    /// Sees the block at `at`.
    fn see(&mut self, bytes: &[u8], at: usize, block: u8x64);
}

impl Watch for () {
    #[inline(always)]
    fn see(&mut self, _: &[u8], _: usize, _: u8x64) {}
}

/// Whether bytes are UTF-8, checked behind the search, while they are still near the processor, and only where they are
/// not ASCII. Of bytes that no block held it is taken for granted that they are ASCII.
#[derive(Clone, Debug, Default)]
pub(super) struct Utf8 {
    /// Up to here they are.
    checked: usize,
    /// Something behind that is not ASCII.
    high: bool,
    is_broken: bool,
}

impl Watch for Utf8 {
    #[inline(always)]
    fn see(&mut self, bytes: &[u8], at: usize, block: u8x64) {
        // Of any byte the highest bit.
        self.high |= block.any();
        if at - self.checked >= Self::STRETCH {
            self.check(bytes, at + SIZE);
        }
    }
}

impl Utf8 {
    /// So many bytes are checked together.
    const STRETCH: usize = 8 << 10;

    #[inline(never)]
    fn check(&mut self, bytes: &[u8], to: usize) {
        let to = to.min(bytes.len());
        let high = std::mem::take(&mut self.high);
        let checked = std::mem::replace(&mut self.checked, to);
        if high && let Err(error) = str::from_utf8(&bytes[checked..to]) {
            if error.error_len().is_none() && to < bytes.len() {
                // A character that ends behind it.
                self.checked = checked + error.valid_up_to();
                self.high = high;
            } else {
                self.is_broken = true;
            }
        }
    }
}

/// The bytes of one meaning, found from left to right.
#[derive(Clone, Debug)]
pub(super) struct Stops<M, W = ()> {
    /// Where the block that was looked at last ends.
    end: usize,
    found: u64,
    watch: W,
    meaning: PhantomData<M>,
}

impl<M, W: Default> Default for Stops<M, W> {
    fn default() -> Self {
        Self {
            end: 0,
            found: 0,
            watch: W::default(),
            meaning: PhantomData,
        }
    }
}

impl<M> Stops<M, Utf8> {
    /// Ends the search at the end of what was searched; says whether all of it is UTF-8.
    pub fn end_as_utf8(&mut self, bytes: &[u8]) -> bool {
        self.watch.check(bytes, bytes.len());
        !self.watch.is_broken
    }
}

impl<M: Meaning, W: Watch> Stops<M, W> {
    /// The first byte from `at` on that means something, or the end. It is not asked for a place before one that it was
    /// asked for earlier, nor about other bytes.
    #[inline(always)]
    pub fn next(&mut self, bytes: &[u8], at: usize) -> usize {
        if at < self.end {
            let left = self.found >> (at + SIZE - self.end);
            if left != 0 {
                return at + left.trailing_zeros() as usize;
            }
            return self.look(bytes, self.end);
        }
        self.look(bytes, at)
    }

    /// The same, where nothing is known of the byte at `at`.
    #[inline(never)]
    fn look(&mut self, bytes: &[u8], mut at: usize) -> usize {
        while let Some(block) = bytes.get(at..).and_then(|rest| rest.first_chunk::<SIZE>()) {
            let block = u8x64::from(*block);
            let found = M::find(block);
            self.watch.see(bytes, at, block);
            if found != 0 {
                return self.keep(at, found);
            }
            at += SIZE;
        }
        let rest = bytes.get(at..).unwrap_or_default();
        let block = last(rest);
        self.watch.see(bytes, at, block);
        self.keep(at, M::find(block) | u64::MAX << rest.len())
    }

    #[inline]
    fn keep(&mut self, at: usize, found: u64) -> usize {
        self.end = at + SIZE;
        self.found = found;
        at + found.trailing_zeros() as usize
    }
}

/// Less than a block, and zeros behind it.
#[cold]
#[inline(never)]
fn last(rest: &[u8]) -> u8x64 {
    let mut block = [0; SIZE];
    block[..rest.len()].copy_from_slice(rest);
    u8x64::from(block)
}

/// How many bytes are looked at at once.
const SIZE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stop_is_found_wherever_it_stands() {
        for length in [0, 1, 63, 64, 65, 200] {
            for stop in 0..length {
                for byte in [b'"', b'\\', 0, 0x1F] {
                    let mut bytes = vec![b'x'; length];
                    bytes[stop] = byte;
                    for from in 0..=stop {
                        let mut stops = Stops::<InString>::default();
                        assert_eq!(stops.next(&bytes, from), stop);
                        assert_eq!(stops.next(&bytes, stop), stop);
                        assert_eq!(stops.next(&bytes, stop + 1), length);
                    }
                }
            }
        }
    }

    #[test]
    fn utf8_is_checked_across_all_seams() {
        let search = |bytes: &[u8]| {
            let mut stops = Stops::<InString, Utf8>::default();
            assert_eq!(stops.next(bytes, 0), bytes.len());
            stops.end_as_utf8(bytes)
        };
        for character in ["é", "€", "😀"] {
            for before in (0..140).chain(Utf8::STRETCH - 70..Utf8::STRETCH + 140) {
                let mut bytes = "x".repeat(before).into_bytes();
                bytes.extend_from_slice(character.as_bytes());
                let whole = bytes.len();
                assert!(search(&bytes), "{character} behind {before}");
                bytes.extend_from_slice(&b"x".repeat(100));
                assert!(search(&bytes), "{character} behind {before}");
                assert!(
                    !search(&bytes[..whole - 1]),
                    "a part of {character} behind {before}"
                );
                bytes.remove(whole - 1);
                assert!(!search(&bytes), "a part of {character} behind {before}");
            }
        }
    }

    #[test]
    fn a_plain_begin_ends_where_something_else_stands() {
        for byte in 0..=u8::MAX {
            let plain = byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'_';
            for length in [1, 15, 16, 17, 40] {
                for at in 0..length {
                    let mut bytes = vec![b'x'; length];
                    bytes[at] = byte;
                    let found = if plain { length } else { at };
                    for most in [0, 5, 16, 20, 50] {
                        assert_eq!(plain_begin(&bytes, most), found.min(most), "{byte} {at}");
                    }
                }
            }
        }
    }

    #[test]
    fn nothing_but_what_means_something_stops() {
        let means = |bytes: &[u8; SIZE], kind: fn(u8x64) -> u64| kind(u8x64::from(*bytes)) & 1 == 1;
        for byte in 0..=u8::MAX {
            let mut bytes = [b'x'; SIZE];
            bytes[0] = byte;
            let in_string = byte < 0x20 || byte == b'"' || byte == b'\\';
            assert_eq!(means(&bytes, InString::find), in_string, "{byte}");
            let outside = b"\"{}[]".contains(&byte);
            assert_eq!(means(&bytes, OutsideStrings::find), outside, "{byte}");
        }
    }
}
