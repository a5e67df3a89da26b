//! The few fields of a certificate that ops ask for: version, names, dates (RFC 5280 §4.1; pure).
//!
//! An X.509 crate would bring a dozen others for them; the path to each is fixed, in certificates of every version.

/// The fields of one certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outline<'a> {
    /// 1, 2 or 3.
    pub version: u8,
    /// The issuer's name, as DER.
    pub issuer: &'a [u8],
    /// The subject's name, as DER.
    pub subject: &'a [u8],
    /// `notAfter`, in seconds since 1970.
    pub not_after: i64,
}

/// Reads a certificate; `None` where the bytes are none.
pub fn outline(der: &[u8]) -> Option<Outline<'_>> {
    let (certificate, _) = element(der, 0x30)?;
    let (mut tbs, _) = element(certificate, 0x30)?;
    let mut version = 1;
    if tbs.first() == Some(&0xa0) {
        let (explicit, rest) = element(tbs, 0xa0)?;
        let (number, _) = element(explicit, 0x02)?;
        version = number.last()?.checked_add(1)?;
        tbs = rest;
    }
    let at_issuer = skip(skip(tbs)?)?; // serial number, signature algorithm
    let (issuer, rest) = element(at_issuer, 0x30)?;
    let (validity, rest) = element(rest, 0x30)?;
    let (subject, _) = element(rest, 0x30)?;
    Some(Outline {
        version,
        issuer,
        subject,
        not_after: time(skip(validity)?)?,
    })
}

/// Seconds since 1970 of the certificate's `notAfter`; `None` where the bytes are no certificate.
pub fn not_after(der: &[u8]) -> Option<i64> {
    outline(der).map(|certificate| certificate.not_after)
}

/// The place of the first certificate, counted from 0, that did not issue the one before it.
pub fn break_in_chain<'a>(chain: impl IntoIterator<Item = &'a [u8]>) -> Option<usize> {
    let mut issuer = None;
    for (at, der) in chain.into_iter().enumerate() {
        let certificate = outline(der)?;
        if issuer.is_some_and(|issuer| issuer != certificate.subject) {
            return Some(at);
        }
        issuer = Some(certificate.issuer);
    }
    None
}

/// Seconds since 1970 of the time that `bytes` begin with.
fn time(bytes: &[u8]) -> Option<i64> {
    let tag = *bytes.first()?;
    let (text, _) = element(bytes, tag)?;
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

    #[test]
    fn a_chain_breaks_at_the_first_certificate_that_did_not_issue_the_one_before() {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = |name: &str| {
            let mut params = rcgen::CertificateParams::new(vec![]).unwrap();
            params
                .distinguished_name
                .push(rcgen::DnType::CommonName, name);
            params
        };
        let root = params("root").self_signed(&key).unwrap();
        let issuer = rcgen::Issuer::new(params("root"), &key);
        let leaf = params("leaf").signed_by(&key, &issuer).unwrap();
        let stranger = params("stranger").self_signed(&key).unwrap();
        let breaks = |chain: &[&rcgen::Certificate]| {
            break_in_chain(chain.iter().map(|one| one.der().as_ref()))
        };
        assert_eq!(breaks(&[&leaf]), None);
        assert_eq!(breaks(&[&leaf, &root]), None);
        assert_eq!(breaks(&[&leaf, &stranger, &root]), Some(1));
        assert_eq!(breaks(&[&leaf, &root, &leaf]), Some(2));
        assert_eq!(outline(leaf.der()).map(|leaf| leaf.version), Some(3));
    }
}
