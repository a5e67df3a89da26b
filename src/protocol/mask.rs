//! Texts for a log without the secrets that clients put into them (PROTOCOL §3). `User-Agent`, `Referer` and request ids
//! carry whole webhook addresses, written plainly or as part of another address, with escapes.
//!
//! Secrets are looked for in the decoded text, so that no spelling hides one; the text keeps its bytes around them. Where
//! the place does not tell, the shape does: ten and more letters and digits beside a word such as `rest` or `token`.
use super::credentials;
use super::decoded::Decoded;

const MASK: &str = "***";

/// The fewest letters and digits in a row that may be a secret.
const SHORTEST_SECRET: usize = 10;

/// The fewest characters behind `Basic` that are credentials: base64 of a login and a password.
const SHORTEST_BASIC: usize = 8;

/// Bytes of a value that are looked at for its shape.
const LOOKED_AT: usize = 512;

/// Segments behind `rest` that are looked at for a user and a code.
const SEGMENTS: usize = 64;

/// A text that a client sent without the secrets that such texts carry: the code of a webhook's address, the values of
/// parameters that hold credentials, passwords before a host, and bearer tokens, each as `***`.
pub fn mask(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    if is_plain(text.as_bytes()) {
        return text.into_owned();
    }
    let decoded = Decoded::of(text.as_bytes());
    let mut secrets = Vec::new();
    decoded.find_in_paths(&mut secrets);
    decoded.find_values(&mut secrets);
    decoded.find_schemes(&mut secrets);
    decoded.find_passwords(&mut secrets);
    if secrets.is_empty() {
        return text.into_owned();
    }
    secrets.sort_unstable();
    let mut masked = String::with_capacity(text.len());
    let mut at = 0;
    for (start, end) in secrets {
        let (start, end) = decoded.raw(start, end);
        if start >= at {
            masked.push_str(&text[at..start]);
            masked.push_str(MASK);
        }
        at = at.max(end);
    }
    masked.push_str(&text[at..]);
    masked
}

/// The user of a webhook's address, who may be its code: people swap the two, or leave the user out. A login is no secret,
/// and whoever reads a log needs it: one of letters alone stays where what stands at the code's place looks like a code.
pub fn mask_user(user: &str, code: &str) -> String {
    let is_number = user.bytes().all(|b| b.is_ascii_digit());
    let is_login = user.bytes().all(|b| !b.is_ascii_digit()) && is_secret(code.as_bytes());
    if !is_number && !is_login && is_secret(user.as_bytes()) {
        MASK.to_owned()
    } else {
        mask(user.as_bytes())
    }
}

/// Whether a segment of an address that stands beside `rest` is a secret by its shape: one long word, or a long word with
/// digits in it. (Methods have long words: `crm.documentgenerator.template.list`.)
pub fn is_secret(segment: &[u8]) -> bool {
    let words = || {
        segment
            .split(|b| !b.is_ascii_alphanumeric())
            .filter(|word| !word.is_empty())
    };
    let alone = words().nth(1).is_none();
    words().any(|word| is_mixed(word) || alone && word.len() >= SHORTEST_SECRET)
}

/// Whether a word is long and has letters and digits, as codes and tokens have.
fn is_mixed(word: &[u8]) -> bool {
    let digits = word.iter().filter(|b| b.is_ascii_digit()).count();
    word.len() >= SHORTEST_SECRET && digits > 0 && digits < word.len()
}

/// A portal's error code without secrets. Its words say what is wrong, and a long one with digits in it says nothing.
pub fn mask_code(code: &str) -> String {
    let masked = mask(code.as_bytes());
    let is_mark = |c: char| !c.is_ascii_alphanumeric();
    let words = masked.split_inclusive(is_mark).map(|part| {
        let word = part.trim_end_matches(is_mark);
        match is_mixed(word.as_bytes()) {
            true => part.replace(word, MASK),
            false => part.to_owned(),
        }
    });
    words.collect()
}

/// Whether nothing in a text can lead to a secret, which one pass without a branch says of nearly all.
fn is_plain(text: &[u8]) -> bool {
    const WORDS: [&[u8; 4]; 6] = [b"rest", b"auth", b"toke", b"bear", b"basi", b"dige"];
    let words = WORDS.map(|word| u32::from_le_bytes(*word));
    let mut found = text.iter().fold(false, |any, b| {
        any | matches!(b, b'=' | b':' | b'%' | b'@' | b'\\')
    });
    for four in text.windows(4) {
        let four = u32::from_le_bytes([four[0], four[1], four[2], four[3]]) | 0x2020_2020;
        found = words.iter().fold(found, |any, word| any | (four == *word));
    }
    !found
}

/// The length of the longest row of letters and digits.
fn longest_word(text: &[u8]) -> usize {
    text.split(|b| !b.is_ascii_alphanumeric())
        .map(<[u8]>::len)
        .max()
        .unwrap_or(0)
}

/// Where a secret stands in a decoded text.
type Found = Vec<(usize, usize)>;

impl Decoded {
    /// Whether an address ends here. What stood as an escape is part of a segment, but for the marks that end a path.
    fn ends_path(&self, at: usize) -> bool {
        match self.bytes[at] {
            b'?' | b'#' | b'&' => true,
            b' ' | b'"' | b'\'' | b'<' | b'>' | b')' | b',' | b';' | 0x09..=0x0d => {
                !self.is_escaped(at)
            }
            _ => false,
        }
    }

    /// Whether a value ends here.
    fn ends_value(&self, at: usize) -> bool {
        match self.bytes[at] {
            b'&' | b'#' | b'"' | b'\'' => true,
            b' ' | b'<' | b'>' | b')' | b',' | b';' | b'}' | b']' | 0x09..=0x0d => {
                !self.is_escaped(at)
            }
            _ => false,
        }
    }

    /// Codes in addresses: behind `rest` by their place, and there and behind its like by their shape.
    fn find_in_paths(&self, found: &mut Found) {
        let mut segments: Vec<(usize, usize)> = Vec::new();
        let mut start = 0;
        for at in 0..=self.bytes.len() {
            let ends = at == self.bytes.len() || self.ends_path(at);
            if ends || matches!(self.bytes[at], b'/' | b'\\') {
                segments.push((start, at));
                start = at + 1;
            }
            if ends {
                self.find_in_segments(&segments, found);
                segments.clear();
            }
        }
    }

    fn find_in_segments(&self, segments: &[(usize, usize)], found: &mut Found) {
        let mut beside = false;
        for (index, &(start, end)) in segments.iter().enumerate() {
            if beside && is_secret(&self.bytes[start..end]) {
                found.push((start, end));
            }
            match anchor(&self.bytes[start..end]) {
                Anchor::None => {}
                Anchor::Beside => beside = true,
                Anchor::Rest => {
                    beside = true;
                    let behind = &segments[index + 1..];
                    let behind = &behind[..behind.len().min(SEGMENTS)];
                    found.extend(self.code(behind, false));
                    found.extend(self.code(behind, true));
                }
            }
        }
    }

    /// The code among the segments behind `rest`: the second of them, without a first `api`. With `folded`, of what is
    /// left when `..` has taken a segment.
    fn code(&self, behind: &[(usize, usize)], folded: bool) -> Option<(usize, usize)> {
        let mut path: Vec<(usize, usize)> = Vec::new();
        for &(start, end) in behind {
            match self.bytes[start..end].trim_ascii() {
                b"" | b"." => {}
                b".." if folded => drop(path.pop()),
                _ => path.push((start, end)),
            }
        }
        let text = |(start, end): (usize, usize)| self.bytes[start..end].trim_ascii();
        let under = match path.as_slice() {
            [api, under @ ..] if text(*api) == b"api" => under,
            under => under,
        };
        match under {
            [_, index] if text(*index) == b"index.php" => None,
            [_, code, ..] => Some(*code),
            _ => None,
        }
    }

    /// Values of parameters whose name says that they are credentials, and values by their shape behind names that sound
    /// like it.
    fn find_values(&self, found: &mut Found) {
        let mut from = 0;
        let mut at = 0;
        while at < self.bytes.len() {
            match self.bytes[at] {
                b'=' | b':' => {
                    let trust = trust(&self.bytes[from..at]);
                    from = at + 1;
                    if trust == Trust::Any {
                        at += 1;
                        continue;
                    }
                    let prose = self.bytes[at] == b':' && self.bytes.get(at + 1) == Some(&b' ');
                    let hidden = match trust {
                        Trust::Secret => true,
                        // Behind a colon and a blank may be a sentence.
                        _ => self.has_shape(at + 1, prose),
                    };
                    if let Some((start, end)) = self.value(at + 1).filter(|_| hidden) {
                        found.push((start, end));
                        // What stands inside is gone with it.
                        at = end;
                        continue;
                    }
                }
                b'&' | b'?' | b'#' | b',' | b';' | b'{' | b'(' | b'<' | b'\n' | b'\r' => {
                    from = at + 1;
                }
                _ => {}
            }
            at += 1;
        }
    }

    /// Where the value at `at` begins, past blanks and quotes.
    fn value_begin(&self, at: usize) -> Option<usize> {
        let skips = |b: u8| {
            b.is_ascii_whitespace() || matches!(b, b'"' | b'\'' | b'=' | b':' | b'>' | b'+' | b'\\')
        };
        (at..self.bytes.len()).find(|at| !skips(self.bytes[*at]))
    }

    /// Whether the value at `at` looks like a secret; with `digit`, only where one is in it.
    fn has_shape(&self, at: usize, digit: bool) -> bool {
        let Some(start) = self.value_begin(at) else {
            return false;
        };
        let end = (start..self.bytes.len().min(start + LOOKED_AT))
            .find(|at| self.ends_value(*at))
            .unwrap_or(self.bytes.len().min(start + LOOKED_AT));
        let value = &self.bytes[start..end];
        longest_word(value) >= SHORTEST_SECRET && (!digit || value.iter().any(u8::is_ascii_digit))
    }

    /// The value at `at`; a list or an object whole.
    fn value(&self, at: usize) -> Option<(usize, usize)> {
        let start = self.value_begin(at)?;
        if matches!(self.bytes[start], b'{' | b'[') {
            let mut depth = 0;
            for at in start..self.bytes.len() {
                match self.bytes[at] {
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => depth -= 1,
                    _ => {}
                }
                if depth == 0 {
                    return Some((start, at + 1));
                }
            }
            return Some((start, self.bytes.len()));
        }
        let end = (start..self.bytes.len())
            .find(|at| self.ends_value(*at))
            .unwrap_or(self.bytes.len());
        (end > start).then_some((start, end))
    }

    /// `Bearer` and a token, `Basic` and a login with its password; a word that sounds like it and a secret by its shape.
    fn find_schemes(&self, found: &mut Found) {
        let mut at = 0;
        while at < self.bytes.len() {
            let length = self.bytes[at..]
                .iter()
                .take_while(|b| b.is_ascii_alphanumeric())
                .count();
            let (word, behind) = (&self.bytes[at..at + length], at + length);
            let blank = self
                .bytes
                .get(behind)
                .is_some_and(|b| b.is_ascii_whitespace() || matches!(b, b'+' | b':' | b'='));
            let least = match word {
                b"bearer" => Some(1),
                b"basic" | b"digest" => Some(SHORTEST_BASIC),
                b"auth" | b"oauth" | b"token" => Some(SHORTEST_SECRET),
                _ => None,
            };
            let least = least.filter(|least| {
                blank && (*least < SHORTEST_SECRET || self.has_shape(behind, true))
            });
            if let Some((start, end)) = least.and_then(|least| {
                self.value(behind)
                    .filter(|(start, end)| end - start >= least)
            }) {
                found.push((start, end));
                at = end;
                continue;
            }
            at = behind + 1;
        }
    }

    /// `user:password@host`, and a token before a host.
    fn find_passwords(&self, found: &mut Found) {
        let mut from = 0;
        let mut colon = None;
        for (at, byte) in self.bytes.iter().enumerate() {
            match byte {
                b'/' | b'"' | b'\'' | b'<' | b'>' | b'(' | b'?' | b'&' | b'=' | b',' => {
                    (from, colon) = (at + 1, None);
                }
                byte if byte.is_ascii_whitespace() && !self.is_escaped(at) => {
                    (from, colon) = (at + 1, None);
                }
                b':' => colon = colon.or(Some(at)),
                b'@' => {
                    match colon {
                        Some(colon) if &self.bytes[from..colon] == b"mailto" => {}
                        Some(colon) if colon + 1 < at => found.push((colon + 1, at)),
                        None if is_secret(&self.bytes[from..at]) => found.push((from, at)),
                        _ => {}
                    }
                    (from, colon) = (at + 1, None);
                }
                _ => {}
            }
        }
    }
}

/// What a segment says of those behind it.
enum Anchor {
    None,
    /// A secret may follow, which its shape tells.
    Beside,
    /// A user and a code follow.
    Rest,
}

fn anchor(segment: &[u8]) -> Anchor {
    let end = segment.trim_ascii();
    let length = end
        .iter()
        .rev()
        .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_'))
        .count();
    match &end[end.len() - length..] {
        b"rest" | b"restapi" | b"rest.php" => Anchor::Rest,
        b"oauth" | b"auth" | b"token" => Anchor::Beside,
        _ => Anchor::None,
    }
}

/// What a parameter's name says of its value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// It is shown.
    Any,
    /// It is hidden where it has a secret's shape.
    Shape,
    Secret,
}

/// What a text that ends in a parameter's name says of the value: each key counts, of `a[auth][x]` all three.
fn trust(before: &[u8]) -> Trust {
    let is_name = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    let mut rest = before;
    let mut most = Trust::Any;
    loop {
        let closed = rest
            .iter()
            .rev()
            .take_while(|b| !is_name(b))
            .any(|b| *b == b']');
        let end = rest.iter().rposition(is_name).map_or(0, |at| at + 1);
        if end == 0 {
            return most;
        }
        let begin = rest[..end]
            .iter()
            .rposition(|b| !is_name(b))
            .map_or(0, |at| at + 1);
        match trust_of(&rest[begin..end]) {
            Trust::Any => {}
            Trust::Shape => most = Trust::Shape,
            Trust::Secret => return Trust::Secret,
        }
        // PHP reads a blank in a name as an underscore.
        if let [.., b' ' | b'+'] = rest[..begin]
            && let before = rest[..begin - 1].iter().rposition(|b| !is_name(b))
            && let words = &rest[before.map_or(0, |at| at + 1)..end]
            && credentials::is_secret(&name(words))
        {
            return Trust::Secret;
        }
        rest = &rest[..begin];
        let opens = matches!(rest, [.., b'['] | [.., b'[', b'"' | b'\'']);
        if !(closed || opens) {
            return most;
        }
    }
}

/// A name as PHP has it.
fn name(text: &[u8]) -> String {
    let plain = |b: &u8| match b {
        b'.' | b'-' | b' ' | b'+' => '_',
        other => char::from(*other),
    };
    text.iter().map(plain).collect()
}

fn trust_of(word: &[u8]) -> Trust {
    const LONGEST: usize = 64;
    const ENDS: [&str; 5] = ["auth", "authorization", "token", "secret", "password"];
    let word = &word[word.len().saturating_sub(LONGEST)..];
    let name = name(word);
    let name = name.trim_matches('_');
    if credentials::is_secret(name) || name == "bearer" {
        return Trust::Secret;
    }
    let sounds = ENDS.iter().any(|end| name.ends_with(end))
        || name
            .split('_')
            .any(|part| matches!(part, "rest" | "restapi" | "oauth" | "auth" | "token"));
    if sounds { Trust::Shape } else { Trust::Any }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
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
        for part in [
            "/rest/1",
            "auth=",
            "%2F",
            "auth",
            "rest/",
            "bearer ",
            "&",
            "[a]=",
            "auth:{",
            "a[",
            "token ",
            "rest/./../",
            ":@",
        ] {
            assert!(mask(part.repeat(20_000).as_bytes()).len() <= 40_000 * 8);
        }
    }

    #[test]
    fn no_spelling_that_was_seen_hides_a_secret() {
        for (text, masked) in [
            ("/rest//1/s3cretc0de/m.x", "/rest//1/***/m.x"),
            ("/rest/1//s3cretc0de/m.x", "/rest/1//***/m.x"),
            ("/rest/./1/a/../s3cretc0de/m.x", "/rest/./1/***/../***/m.x"),
            ("rest/1/c0de/m.x", "rest/1/***/m.x"),
            ("u=rest/1/c0de/m.x", "u=rest/1/***/m.x"),
            (
                r#"{"u":"https:\/\/h\/rest\/1\/c0de\/m.x"}"#,
                r#"{"u":"https:\/\/h\/rest\/1\/***\/m.x"}"#,
            ),
            (
                r"\u002frest\u002F1\u002fc0de\u002fm.x",
                r"\u002frest\u002F1\u002f***\u002fm.x",
            ),
            ("/%72es%74/1/c0de/m.x", "/%72es%74/1/***/m.x"),
            ("/rest/%201/c0de/m.x", "/rest/%201/***/m.x"),
            ("/rest/api/s3cretc0de/m.x", "/rest/api/***/***"),
            ("/restapi/1/c0de/", "/restapi/1/***/"),
            ("/rest.php/1/c0de/m.x", "/rest.php/1/***/m.x"),
            (
                "/bitrix/services/rest/1/c0de/m.x",
                "/bitrix/services/rest/1/***/m.x",
            ),
            ("/rest/s3cretc0de/1/m.x", "/rest/***/***/m.x"),
            ("/rest/s3cretc0de/m.x", "/rest/***/***"),
            ("/rest/s3cretc0de", "/rest/***"),
            ("/rest/s3cretc0de.json", "/rest/***"),
            (
                "/rest/1/c0de/crm.documentgenerator.list",
                "/rest/1/***/crm.documentgenerator.list",
            ),
            ("/oauth/s3cretc0de/", "/oauth/***/"),
            ("Bearer: c0de", "Bearer: ***"),
            ("bearer\tc0de", "bearer\t***"),
            ("Basic czNjcmV0Og==", "Basic ***"),
            ("Visual Basic 6.0", "Visual Basic 6.0"),
            ("https://u:c0de@host/", "https://u:***@host/"),
            ("https://s3cretc0de@host/", "https://***@host/"),
            (
                "bot (mailto:me@host.example)",
                "bot (mailto:me@host.example)",
            ),
            ("auth%3dc0de", "auth%3d***"),
            ("auth=%20c0de&a", "auth=%20***&a"),
            ("access%5Ftoken=c0de", "access%5Ftoken=***"),
            ("access.token=c0de", "access.token=***"),
            ("access token=c0de", "access token=***"),
            ("auth[a][b]=c0de", "auth[a][b]=***"),
            ("x[auth]=c0de", "x[auth]=***"),
            (
                "x%5Baccess_token%5D%5B%5D=c0de",
                "x%5Baccess_token%5D%5B%5D=***",
            ),
            (r#"{"auth":{"a":"c0de"},"b":1}"#, r#"{"auth":***,"b":1}"#),
            (r#"{"auth":["c0de","d"],"b":1}"#, r#"{"auth":***,"b":1}"#),
            ("auth => c0de", "auth => ***"),
            ("my_token=s3cretc0de", "my_token=***"),
            ("token s3cretc0de", "token ***"),
            ("oauth=no", "oauth=no"),
            (
                "the token: permission denied",
                "the token: permission denied",
            ),
            ("author=administrator", "author=administrator"),
        ] {
            assert_eq!(mask(text.as_bytes()), masked, "{text}");
            assert_eq!(mask(masked.as_bytes()), masked, "again");
        }
        for (code, masked) in [
            ("QUERY_LIMIT_EXCEEDED", "QUERY_LIMIT_EXCEEDED"),
            ("ACCESSDENIED", "ACCESSDENIED"),
            ("ERROR_100_bad", "ERROR_100_bad"),
            ("s3cretc0de01", "***"),
            (
                "WRONG_TOKEN_s3cretc0de01, s3cretc0de02",
                "WRONG_TOKEN_***, ***",
            ),
            ("auth=s3cretc0de01", "auth=***"),
        ] {
            assert_eq!(mask_code(code), masked);
        }
        assert_eq!(mask_user("s3cretc0de", "s3cretc0de"), "***");
        assert_eq!(mask_user("some.login", "s3cretc0de"), "some.login");
        assert_eq!(mask_user("1", "s3cretc0de"), "1");
    }

    #[test]
    fn ordinary_texts_stay_as_they_are() {
        for text in [
            "curl/8.5.0",
            "b24-php-sdk-vendor-v-1.9.0-php-8.3.1",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
            "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
            "unirest-java/3.11.09",
            "rest-client/2.1.0 (linux x86_64) ruby/3.0.2p107",
            "Bitrix24 CRest PHP 1.36",
            "python-requests/2.31.0",
            "9c1f4e12-7b1a-4b1e-9b0a-000000000000",
            "NO_AUTH_FOUND",
            "expired_token",
            "/rest/crm.deal.list.json",
            "/rest/profile",
            "/rest/batch/index.php",
            "cannot read the admin token: configuration is missing",
        ] {
            assert_eq!(mask(text.as_bytes()), text);
        }
    }

    /// Escapes of some bytes of a text, each level as a writer of that kind makes them.
    fn written(text: &str, kind: u8, choice: u64) -> String {
        let mut out = String::new();
        for (at, byte) in text.bytes().enumerate() {
            let chosen = choice >> (at % 61) & 1 == 1;
            match kind {
                // What marks an escape is one itself.
                1 | 2 if byte == b'%' => out.push_str("%25"),
                3 | 4 if byte == b'\\' => out.push_str("\\\\"),
                1 if chosen => out.push_str(&format!("%{byte:02x}")),
                2 if chosen => out.push_str(&format!("%{byte:02X}")),
                3 if chosen => out.push_str(&format!("\\u{byte:04x}")),
                4 if byte == b'/' => out.push_str("\\/"),
                5 => out.push_str(&format!("%{byte:02x}")),
                _ => out.push(char::from(byte)),
            }
        }
        out
    }

    /// What any reader could undo: all escapes, to the bottom.
    fn undone(text: &str) -> String {
        let mut decoded = Decoded::of(text.as_bytes());
        while decoded.decode() {}
        String::from_utf8_lossy(&decoded.bytes).to_lowercase()
    }

    proptest! {
        #[test]
        fn no_spelling_hides_a_secret(
            secret in "[a-zA-Z0-9]{16}",
            before in prop::sample::select(vec!["", " ", "(", "x ", "https://h/", "https://h:8080/a/", "?u=", "a;b,", "{\"u\":\""]),
            (form, case) in (0..22usize, any::<bool>()),
            user in prop::sample::select(vec!["1", "admin", "some.login", "007"]),
            slash in prop::sample::select(vec!["/", "//", "/./", "///", "/x/../", "/./../x/../rest/"]),
            kinds in prop::collection::vec((0u8..6, any::<u64>()), 0..3),
            after in prop::sample::select(vec!["", "/", "/crm.deal.list", "/profile.json?a=b", " x", "\"}", "&b=2"]),
        ) {
            let s = &secret;
            let plain = match form {
                0 | 1 => format!("/rest{slash}{user}/{s}"),
                2 => format!("/rest/{user}{slash}{s}"),
                3 => format!("rest/{user}/{s}"),
                4 => format!("/rest/api/{user}/{s}"),
                5 => format!("/rest{slash}api/{s}/m.x"),
                6 => format!("/restapi/{user}/{s}"),
                7 => format!("/rest.php{slash}{user}/{s}"),
                8 => format!("/rest/{s}/{user}"),
                9 => format!("/rest/{s}"),
                10 => format!("auth={s}"),
                11 => format!("a=1&access_token={s}"),
                12 => format!("auth[a][b]={s}"),
                13 => format!("x[auth]={s}"),
                14 => format!("auth= {s}"),
                15 => format!("\"refresh_token\": \"{s}\""),
                16 => format!(" Bearer {s}"),
                17 => format!(" Bearer:\t{s}"),
                18 => format!(" Basic {s}"),
                19 => format!("//u:{s}@h/"),
                20 => format!("/oauth/{s}"),
                _ => format!("&my_token={s}"),
            };
            let plain = if case && !plain.contains("..") {
                plain.replace("rest", "REST").replace("auth", "Auth").replace("earer", "EARER")
            } else {
                plain
            };
            let mut text = format!("{plain}{after}");
            for (kind, choice) in kinds {
                text = written(&text, kind, choice);
            }
            let text = format!("{before}{text}");
            let masked = mask(text.as_bytes());
            prop_assert!(!undone(&masked).contains(&secret.to_lowercase()), "{} became {}", text, masked);
        }

        #[test]
        fn any_text_is_masked_without_a_panic_and_once(text in any::<String>(), spice in "[/%=:&\\[\\]{}@ restauh25fF.\\\\u0]{0,60}") {
            for text in [&text, &spice] {
                let once = mask(text.as_bytes());
                if is_plain(text.as_bytes()) {
                    prop_assert_eq!(&once, text);
                }
            }
        }
    }
}
