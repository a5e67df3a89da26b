//! A text without its escapes, of URLs and of JSON, that knows where each of its bytes stood.

/// How often a text is decoded: an address inside an address inside a JSON string.
const DEEPEST: usize = 4;

/// A text whose escapes are undone, and where each of its bytes stood.
pub struct Decoded {
    /// In lower case.
    pub bytes: Vec<u8>,
    /// Where each byte begins in the raw text, and at last where that ends.
    at: Vec<u32>,
}

impl Decoded {
    /// Undoes the escapes of a text, also of one inside another.
    pub fn of(raw: &[u8]) -> Self {
        let length = u32::try_from(raw.len()).unwrap_or(u32::MAX);
        let mut decoded = Self {
            bytes: raw.to_vec(),
            at: (0..=length).collect(),
        };
        let mut again = memchr::memchr2(b'%', b'\\', raw).is_some();
        for _ in 0..DEEPEST {
            if !again {
                break;
            }
            again = decoded.decode();
        }
        decoded.bytes.make_ascii_lowercase();
        decoded
    }

    /// Undoes escapes of one level: `%2F`, `%u002f`, `\u002f`, `&amp;`. Gives whether there were any.
    pub fn decode(&mut self) -> bool {
        let (mut from, mut to) = (0, 0);
        while from < self.bytes.len() {
            let (byte, length) = escape(&self.bytes[from..]).unwrap_or((self.bytes[from], 1));
            self.bytes[to] = byte;
            self.at[to] = self.at[from];
            from += length;
            to += 1;
        }
        self.at[to] = self.at[from];
        self.bytes.truncate(to);
        self.at.truncate(to + 1);
        from != to
    }

    /// The place of a decoded span in the raw text.
    pub fn raw(&self, start: usize, end: usize) -> (usize, usize) {
        (self.at[start] as usize, self.at[end] as usize)
    }

    /// Whether a byte stood as an escape.
    pub fn is_escaped(&self, at: usize) -> bool {
        self.at[at + 1] - self.at[at] > 1
    }
}

/// The byte that an escape at the begin stands for, and the escape's length.
fn escape(bytes: &[u8]) -> Option<(u8, usize)> {
    let hex = |digits: &[u8]| {
        digits.iter().try_fold(0, |value: u32, digit| {
            Some(value << 4 | (*digit as char).to_digit(16)?)
        })
    };
    let (code, length) = match bytes {
        [b'%' | b'\\', b'u' | b'U', digits @ ..] => (hex(digits.get(..4)?)?, 6),
        [b'\\', b'x', digits @ ..] | [b'%', digits @ ..] => {
            let length = if bytes[0] == b'%' { 3 } else { 4 };
            (hex(digits.get(..2)?)?, length)
        }
        [b'\\', escaped @ (b'/' | b'"' | b'\\'), ..] => (u32::from(*escaped), 2),
        _ => return None,
    };
    let byte = u8::try_from(code)
        .ok()
        .filter(|b| b.is_ascii() || length < 6);
    byte.map(|byte| (byte, length))
}
