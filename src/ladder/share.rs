//! A share of the callers, always the same ones: a caller's place between 0 and 100 % is a hash of its fingerprint, so that
//! restarts and replicas agree, and a share that grows keeps those whom it had.

use std::fmt;

/// A share of the callers, in hundredths of a per cent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u16);

/// What the hash is for; part of every caller's place, never to be changed.
const CONTEXT: &str = "b24-migration-proxy 2026-11 canary share";

impl Share {
    /// Reads `10%` or `0.5 %`.
    ///
    /// # Errors
    /// Says what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a share such as 10% or 0.5%");
        let number = text.trim().strip_suffix('%').ok_or_else(wrong)?.trim_end();
        let (whole, parts) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(parts) || parts.len() > 2 || whole.len() > 3 {
            return Err(wrong());
        }
        let parts = format!("{parts:0<2}");
        let whole: u16 = whole.parse().map_err(|_| wrong())?;
        let parts: u16 = parts.parse().map_err(|_| wrong())?;
        match whole * 100 + parts {
            0 => Err("a share of nothing is not a share; leave the entry away".to_owned()),
            share if share <= 10_000 => Ok(Self(share)),
            _ => Err(format!("`{text}` is more than all")),
        }
    }

    /// Whether the caller with this fingerprint is in it.
    pub fn holds(self, fingerprint: &str) -> bool {
        place(fingerprint) < self.0
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, parts) = (self.0 / 100, self.0 % 100);
        if parts == 0 {
            write!(f, "{whole} %")
        } else {
            write!(f, "{whole}.{parts:02} %")
        }
    }
}

/// A caller's place, from 0 to 9,999.
fn place(fingerprint: &str) -> u16 {
    let hash = blake3::Hasher::new_derive_key(CONTEXT)
        .update(fingerprint.as_bytes())
        .finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&hash.as_bytes()[..8]);
    // Below 10,000, so that it fits.
    (u64::from_le_bytes(first) % 10_000) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_read_from_per_cent() {
        assert_eq!(Share::parse("10%"), Ok(Share(1000)));
        assert_eq!(Share::parse("0.5 %"), Ok(Share(50)));
        assert_eq!(Share::parse("100%"), Ok(Share(10_000)));
        assert_eq!(Share(1050).to_string(), "10.50 %");
        for wrong in ["10", "%", "-1%", "0%", "101%", "1.234%", "a%", "1.%"] {
            assert!(Share::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_callers_place_never_changes() {
        assert_eq!(place("6f0dd1f0a3b2c4d5"), 9270);
        let ten = Share(1000);
        let twenty = Share(2000);
        for caller in 0..2000 {
            let fingerprint = format!("{caller:016x}");
            assert!(!ten.holds(&fingerprint) || twenty.holds(&fingerprint));
        }
    }

    #[test]
    fn a_share_holds_about_as_many_callers_as_it_says() {
        let held = (0..10_000)
            .filter(|caller| Share(1000).holds(&format!("{caller:016x}")))
            .count();
        assert!((900..1100).contains(&held), "{held}");
    }
}
