//! When a certificate ends: the one field of it that ops ask for (RFC 5280 §4.1.2.5; pure).
//!
//! An X.509 crate would bring a dozen others for these two dates; the path to them is fixed.

/// Seconds since 1970 of the certificate's `notAfter`; `None` where the bytes are no certificate.
pub fn not_after(der: &[u8]) -> Option<i64> {
    let (certificate, _) = element(der, 0x30)?;
    let (mut tbs, _) = element(certificate, 0x30)?;
    if tbs.first() == Some(&0xa0) {
        tbs = skip(tbs)?; // version
    }
    let after_issuer = skip(skip(skip(tbs)?)?)?; // serial number, signature algorithm, issuer
    let (validity, _) = element(after_issuer, 0x30)?;
    let rest = skip(validity)?; // notBefore
    let tag = *rest.first()?;
    let (text, _) = element(rest, tag)?;
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (century, digits) = match tag {
        // UTCTime: two digits of the year, 1950 to 2049.
        0x17 if text.len() == 12 => (
            if text.as_bytes()[0] < b'5' {
                2000
            } else {
                1900
            },
            text,
        ),
        0x18 if text.len() == 14 => (text.get(..2)?.parse::<i16>().ok()? * 100, text.get(2..)?),
        _ => return None,
    };
    let pair = |at: usize| digits.get(at..at + 2)?.parse::<i8>().ok();
    let date = jiff::civil::Date::new(century + i16::from(pair(0)?), pair(2)?, pair(4)?).ok()?;
    let time = jiff::civil::Time::new(pair(6)?, pair(8)?, pair(10)?, 0).ok()?;
    let moment = jiff::tz::TimeZone::UTC
        .to_timestamp(date.to_datetime(time))
        .ok()?;
    Some(moment.as_second())
}

/// The content of the first element, which must have that tag, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = bytes.split_first()?;
    if *first != tag {
        return None;
    }
    let (length, rest) = match rest.split_first()? {
        (short @ 0..0x80, rest) => (usize::from(*short), rest),
        (long, rest) => {
            let count = usize::from(long & 0x7f);
            if count == 0 || count > 4 || rest.len() < count {
                return None;
            }
            (
                rest[..count]
                    .iter()
                    .fold(0, |n, b| n << 8 | usize::from(*b)),
                &rest[count..],
            )
        }
    };
    (length <= rest.len()).then(|| rest.split_at(length))
}

fn skip(bytes: &[u8]) -> Option<&[u8]> {
    element(bytes, *bytes.first()?).map(|(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_certificate_is_read() {
        let mut params = rcgen::CertificateParams::new(vec!["proxy.example".into()]).unwrap();
        for (year, seconds) in [(2031, 1_924_992_000), (2055, 2_682_374_400)] {
            params.not_after = rcgen::date_time_ymd(year, 1, 1);
            let key = rcgen::KeyPair::generate().unwrap();
            let certificate = params.clone().self_signed(&key).unwrap();
            assert_eq!(not_after(certificate.der()), Some(seconds));
        }
        assert_eq!(not_after(b"\x30\x03abc"), None);
    }
}
