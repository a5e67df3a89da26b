//! Numbers and addresses as bytes, appended without the formatting machinery: they stand in every head and every line
//! of a log (pure).

use std::io::Write;
use std::net::IpAddr;

/// Appends a number in decimal.
pub fn decimal(out: &mut Vec<u8>, mut n: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends a number in hexadecimal.
pub fn hexadecimal(out: &mut Vec<u8>, n: u64) {
    let digits = (16 - n.leading_zeros() as usize / 4).max(1);
    for at in (0..digits).rev() {
        out.push(b"0123456789abcdef"[(n >> (4 * at)) as usize & 15]);
    }
}

/// Appends an address as it is written.
pub fn address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            for (at, octet) in address.octets().into_iter().enumerate() {
                if at > 0 {
                    out.push(b'.');
                }
                decimal(out, u64::from(octet));
            }
        }
        IpAddr::V6(address) => {
            // Writing to a Vec does not fail.
            let _ = write!(out, "{address}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_the_formatting_machinery_writes(n in any::<u64>(), ip in any::<IpAddr>(), bits in 0u32..64) {
            for n in [n, n >> bits, 0] {
                prop_assert_eq!(shown(|out| decimal(out, n)), n.to_string());
                prop_assert_eq!(shown(|out| hexadecimal(out, n)), format!("{n:x}"));
            }
            prop_assert_eq!(shown(|out| address(out, ip)), ip.to_string());
        }
    }
}
