//! Looks at the bytes of a head sixteen at a time: where a token, a target or a line ends (pure).

use wide::u8x16;

const TOKEN: u8 = 1;
const TARGET: u8 = 2;

/// What each byte may be part of: a token (RFC 9110 §5.6.2), a request target.
static CLASS: [u8; 256] = {
    let mut table = [0u8; 256];
    let mut b = 0;
    while b < 256 {
        let c = b as u8;
        let mut class = 0;
        if c.is_ascii_alphanumeric()
            || matches!(
                c,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            )
        {
            class |= TOKEN;
        }
        if (c.is_ascii_graphic() || c >= 0x80) && c != b'#' {
            class |= TARGET;
        }
        table[b] = class;
        b += 1;
    }
    table
};

/// Whether the byte may stand in a token.
pub fn is_token(byte: u8) -> bool {
    CLASS[byte as usize] & TOKEN != 0
}

/// Whether the byte may stand in a request target; a fragment does not belong to one.
fn is_target(byte: u8) -> bool {
    CLASS[byte as usize] & TARGET != 0
}

fn block(bytes: &[u8], at: usize) -> Option<u8x16> {
    let block: [u8; 16] = bytes.get(at..at + 16)?.try_into().ok()?;
    Some(u8x16::from(block))
}

fn within(block: u8x16, first: u8, last: u8) -> u8x16 {
    (block - u8x16::splat(first)).simd_le(u8x16::splat(last - first))
}

/// How many bytes at the begin are a token's.
pub fn token_length(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(block) = block(bytes, at) {
        // Letters, digits and dashes, as nearly all names are made of; another byte is looked up.
        let plain = within(block | u8x16::splat(0x20), b'a', b'z')
            | within(block, b'0', b'9')
            | block.simd_eq(u8x16::splat(b'-'));
        at += (!plain.to_bitmask()).trailing_zeros().min(16) as usize;
        match bytes.get(at) {
            Some(byte) if is_token(*byte) => at += 1,
            _ => return at,
        }
    }
    at + length_of(&bytes[at..], is_token)
}

/// How many bytes at the begin are a request target's.
pub fn target_length(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(block) = block(bytes, at) {
        let other = block.simd_le(u8x16::splat(b' '))
            | block.simd_eq(u8x16::splat(0x7f))
            | block.simd_eq(u8x16::splat(b'#'));
        match other.to_bitmask() {
            0 => at += 16,
            bits => return at + bits.trailing_zeros() as usize,
        }
    }
    at + length_of(&bytes[at..], is_target)
}

/// Where the first line feed stands.
pub fn line_feed(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    while at < 32
        && let Some(block) = block(bytes, at)
    {
        match block.simd_eq(u8x16::splat(b'\n')).to_bitmask() {
            0 => at += 16,
            bits => return Some(at + bits.trailing_zeros() as usize),
        }
    }
    memchr::memchr(b'\n', &bytes[at..]).map(|found| at + found)
}

fn length_of(bytes: &[u8], is: impl Fn(u8) -> bool) -> usize {
    bytes
        .iter()
        .position(|byte| !is(*byte))
        .unwrap_or(bytes.len())
}

/// Whether a token is this name, which is written in lower case.
pub fn is_name(token: &[u8], name: &[u8]) -> bool {
    // With 0x20 set, only letters of either case are taken for each other among the bytes that a token may have.
    const LOWER: u64 = u64::from_ne_bytes([0x20; 8]);
    let eight = |bytes: &[u8], at: usize| {
        let eight = bytes[at..at + 8].try_into().unwrap_or_default();
        u64::from_ne_bytes(eight) | LOWER
    };
    if token.len() != name.len() {
        return false;
    }
    let Some(last) = token.len().checked_sub(8) else {
        return token.eq_ignore_ascii_case(name);
    };
    (0..last)
        .step_by(8)
        .chain([last])
        .all(|at| eight(token, at) == eight(name, at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sixteen_at_a_time_they_end_where_they_end_byte_by_byte(
            plain in "[A-Za-z0-9!/?=-]{0,70}", other: u8, behind in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let bytes = [plain.as_bytes(), &[other], &behind].concat();
            for bytes in [&bytes[..], plain.as_bytes(), &behind] {
                prop_assert_eq!(token_length(bytes), length_of(bytes, is_token));
                prop_assert_eq!(target_length(bytes), length_of(bytes, is_target));
                prop_assert_eq!(line_feed(bytes), bytes.iter().position(|byte| *byte == b'\n'));
            }
        }

        #[test]
        fn a_name_is_itself_in_either_case_and_nothing_else(name in "[a-z0-9-]{1,30}", bits: u32, at in 0usize..30, byte: u8) {
            let mut token: Vec<u8> = name.bytes().collect();
            for (at, byte) in token.iter_mut().enumerate() {
                if bits >> at & 1 == 1 {
                    byte.make_ascii_uppercase();
                }
            }
            prop_assert!(is_name(&token, name.as_bytes()));
            let at = at % token.len();
            prop_assume!(is_token(byte));
            token[at] = byte;
            prop_assert_eq!(is_name(&token, name.as_bytes()), token.eq_ignore_ascii_case(name.as_bytes()));
        }
    }
}
