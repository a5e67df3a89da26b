//! Texts for a log without the secrets that clients put into them (PROTOCOL §3). `User-Agent`, `Referer` and request ids
//! carry whole webhook addresses, written plainly or as part of another address, with escapes.
//!
//! Secrets are looked for in the decoded text, so that no spelling hides one; the text keeps its bytes around them. Where
//! the place does not tell, the shape does: ten and more letters and digits beside a word such as `rest` or `token`.
use super::credentials;
use super::decoded::Decoded;
use super::utf8;

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
    let text = utf8::text(text);
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
    if segment.len() < SHORTEST_SECRET {
        return false;
    }
    let mut words = segment
        .split(|b| !b.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    // A method has several words and no digit, which its first two words and a look without an early end tell.
    let has_digit = segment
        .iter()
        .fold(false, |any, b| any | b.is_ascii_digit());
    let Some(first) = words.next() else {
        return false;
    };
    match words.next() {
        None => first.len() >= SHORTEST_SECRET,
        Some(second) => has_digit && (is_mixed(first) || is_mixed(second) || words.any(is_mixed)),
    }
}

/// Whether a word is long and has letters and digits, as codes and tokens have.
fn is_mixed(word: &[u8]) -> bool {
    if word.len() < SHORTEST_SECRET {
        return false;
    }
    let digits = word.iter().filter(|b| b.is_ascii_digit()).count();
    digits > 0 && digits < word.len()
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
mod tests;
