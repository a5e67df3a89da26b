//! Texts for a log without the secrets that clients put into them (PROTOCOL §3). `User-Agent`, `Referer` and request ids
//! carry whole webhook addresses, written plainly or as part of another address, with escapes.
use super::credentials;

const MASK: &str = "***";

/// A text that a client sent without the secrets that such texts carry: the code of a webhook's address, the values of
/// parameters that hold credentials, and bearer tokens, each as `***`.
pub fn mask(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let secrets = secrets(&text);
    if secrets.is_empty() {
        return text.into_owned();
    }
    let mut masked = String::with_capacity(text.len());
    let mut at = 0;
    for (start, end) in secrets {
        // A secret inside another is gone with it.
        if start >= at {
            masked.push_str(&text[at..start]);
            masked.push_str(MASK);
            at = end;
        }
    }
    masked.push_str(&text[at..]);
    masked
}

/// Where secrets stand, in order.
fn secrets(text: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        let secret = if let Some(slash) = separator(rest, b'/') {
            webhook_code(text, at + slash)
        } else if let Some(equals) = separator(rest, b'=').or_else(|| separator(rest, b':')) {
            names_credential(&text[..at])
                .then(|| value(text, at + equals))
                .flatten()
        } else if rest[0] == b' ' && text[..at].len() >= 6 && ends_with(&text[..at], "bearer") {
            value(text, at + 1)
        } else {
            None
        };
        match secret {
            Some((start, end)) if end > start => {
                found.push((start, end));
                // What led here may stand inside: go on behind the mark, not behind the secret, but never back.
                at = if rest[0] == b'/' || rest[0] == b'%' {
                    at + 1
                } else {
                    end
                };
            }
            _ => at += 1,
        }
    }
    found.sort_unstable();
    found
}

/// The length of a separator at the begin of `bytes`, as itself or escaped up to twice.
fn separator(bytes: &[u8], byte: u8) -> Option<usize> {
    if bytes[0] == byte {
        return Some(1);
    }
    let escapes = |digits: &[u8]| {
        let text = [digits.first()?, digits.get(1)?].map(|b| (*b as char).to_digit(16));
        Some(text[0]? << 4 | text[1]?)
    };
    match bytes {
        [b'%', b'2', b'5', digits @ ..] if escapes(digits) == Some(u32::from(byte)) => Some(5),
        [b'%', digits @ ..] if escapes(digits) == Some(u32::from(byte)) => Some(3),
        _ => None,
    }
}

/// The code in `rest/USER/CODE`, where `at` is behind the slash that may begin that.
fn webhook_code(text: &str, at: usize) -> Option<(usize, usize)> {
    let (rest, next) = segment(text, at)?;
    // A portal knows it in lower case only; a mistyped address holds its secret all the same.
    if !rest.eq_ignore_ascii_case("rest") {
        return None;
    }
    let (mut user, mut next) = segment(text, next?)?;
    if user == "api" {
        (user, next) = segment(text, next?)?;
    }
    let start = next?;
    let (code, _) = segment(text, start).filter(|_| !user.is_empty())?;
    Some((start, start + code.len()))
}

/// The segment of an address at `at`, past doubled slashes, and where the next one begins.
fn segment(text: &str, at: usize) -> Option<(&str, Option<usize>)> {
    let bytes = text.as_bytes();
    let ends = |at: usize| {
        matches!(
            bytes[at],
            b'?' | b'#' | b'&' | b' ' | b'"' | b'\'' | b'<' | b'>' | b')' | b',' | b';'
        )
    };
    let end = (at..bytes.len()).find(|at| {
        ends(*at) || separator(&bytes[*at..], b'/').is_some() || is_escaped_end(&bytes[*at..])
    });
    let end = end.unwrap_or(bytes.len());
    let slash = bytes
        .get(end..)
        .filter(|rest| !rest.is_empty())
        .and_then(|rest| separator(rest, b'/'));
    (end > at).then(|| (&text[at..end], slash.map(|length| end + length)))
}

fn is_escaped_end(bytes: &[u8]) -> bool {
    bytes[0] == b'%'
        && [b'?', b'#', b'&', b' ', b'"']
            .iter()
            .any(|end| separator(bytes, *end).is_some())
}

/// Whether a text ends in the name of a parameter that holds a credential, in quotes or not, as `auth`, `"auth"`,
/// `auth[x]`.
fn names_credential(before: &str) -> bool {
    const LONGEST: usize = 64;
    let tail = before.trim_end_matches([' ', '"', '\'']);
    let mut from = tail.len().saturating_sub(LONGEST);
    while !tail.is_char_boundary(from) {
        from += 1;
    }
    let tail = &tail[from..];
    let tail = match tail
        .rfind('[')
        .or_else(|| tail.rfind("%5B"))
        .or_else(|| tail.rfind("%5b"))
    {
        Some(open) if tail.ends_with([']', 'D', 'd']) => &tail[..open],
        _ => tail,
    };
    let length = tail
        .bytes()
        .rev()
        .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
        .count();
    let mut name = &tail[tail.len() - length..];
    // Behind an escape its digits are not of the name: `%26auth`, `%2526auth`.
    let escape = &tail[..tail.len() - length];
    if escape.ends_with('%') {
        let digits = if name.starts_with("25") { 4 } else { 2 };
        name = name.get(digits..).unwrap_or_default();
    }
    credentials::is_secret(name)
}

/// The value at `at`, past blanks and quotes.
fn value(text: &str, at: usize) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let start = (at..bytes.len()).find(|at| !matches!(bytes[*at], b' ' | b'"' | b'\''))?;
    let ends = |at: usize| {
        matches!(
            bytes[at],
            b'&' | b' '
                | b'"'
                | b'\''
                | b'#'
                | b'<'
                | b'>'
                | b')'
                | b','
                | b';'
                | b'}'
                | b'\r'
                | b'\n'
        )
    };
    let end = (start..bytes.len())
        .find(|at| ends(*at) || is_escaped_end(&bytes[*at..]))
        .unwrap_or(bytes.len());
    Some((start, end))
}

fn ends_with(text: &str, word: &str) -> bool {
    text.as_bytes()[text.len() - word.len()..].eq_ignore_ascii_case(word.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn webhook_codes_are_masked_however_the_address_is_written() {
        for (text, masked) in [
            (
                "https://x.bitrix24.com/rest/1/s3cret/crm.deal.list.json?a=b",
                "https://x.bitrix24.com/rest/1/***/crm.deal.list.json?a=b",
            ),
            ("/rest/admin/s3cret", "/rest/admin/***"),
            (
                "u=https%3A%2F%2Fx%2Frest%2F1%2Fs3cret%2Fa",
                "u=https%3A%2F%2Fx%2Frest%2F1%2F***%2Fa",
            ),
            (
                "%252Frest%252F1%252Fs3cret%252Fa",
                "%252Frest%252F1%252F***%252Fa",
            ),
            ("/rest/api/1/s3cret/main.get", "/rest/api/1/***/main.get"),
            (
                "(/rest/1/s3cret/) /rest/2/s3cret",
                "(/rest/1/***/) /rest/2/***",
            ),
            ("/rest/crm.deal.list?x", "/rest/crm.deal.list?x"),
            ("Mozilla/5.0 (X11)", "Mozilla/5.0 (X11)"),
        ] {
            assert_eq!(mask(text.as_bytes()), masked, "{text}");
        }
    }

    #[test]
    fn values_of_credentials_are_masked() {
        for (text, masked) in [
            ("?a=1&auth=s3cret&b=2", "?a=1&auth=***&b=2"),
            ("AUTH=s3cret", "AUTH=***"),
            ("oauth=no", "oauth=no"),
            (
                "x%26access_token%3Ds3cret%26y",
                "x%26access_token%3D***%26y",
            ),
            (
                "{\"refresh_token\": \"s3cret\", \"a\":1}",
                "{\"refresh_token\": \"***\", \"a\":1}",
            ),
            (
                "Authorization: Bearer s3cret, x",
                "Authorization: Bearer ***, x",
            ),
            ("auth%5Bcode%5D=s3cret", "auth%5Bcode%5D=***"),
            ("auth[access_token]=s3cret", "auth[access_token]=***"),
            ("/rest/1/s3cret/a?auth=s3cret", "/rest/1/***/a?auth=***"),
            ("ap=s3cret;map=no", "ap=***;map=no"),
        ] {
            assert_eq!(mask(text.as_bytes()), masked, "{text}");
        }
        assert_eq!(mask(b"\xFF"), "\u{FFFD}");
    }

    #[test]
    fn no_text_makes_it_slow() {
        for part in ["/rest/1", "auth=", "%2F", "auth", "rest/", "bearer ", "&"] {
            assert!(mask(part.repeat(20_000).as_bytes()).len() <= 40_000 * 8);
        }
    }
}
