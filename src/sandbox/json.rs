//! JSON as PHP's `json_decode($text, true)` reads it, and as `json_encode` writes it (PROTOCOL §2).
//!
//! Not serde_json: PHP refuses lone surrogates and 512 levels, and makes integers of some keys and doubles of long integers.

use super::php::{Array, Key, Value};

/// The deepest nesting that PHP's `json_decode` reads by default.
const MAX_LEVELS: usize = 511;

/// The value of a JSON text, or `None` where PHP reports an error: invalid, empty, 512 levels, a byte order mark,
/// invalid UTF-8, a lone surrogate.
pub fn decode(text: &[u8]) -> Option<Value> {
    let mut reader = Reader {
        text,
        at: 0,
        level: 0,
    };
    let value = reader.value()?;
    reader.blank();
    (reader.at == text.len()).then_some(value)
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    level: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn value(&mut self) -> Option<Value> {
        self.blank();
        match self.peek()? {
            b'{' => self.nested(Reader::object),
            b'[' => self.nested(Reader::list),
            b'"' => self.string().map(Value::Text),
            b'-' | b'0'..=b'9' => self.number(),
            _ => self.literal(),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Option<Array>) -> Option<Value> {
        self.level += 1;
        if self.level > MAX_LEVELS {
            return None;
        }
        self.at += 1;
        let array = read(self)?;
        self.level -= 1;
        Some(Value::Array(array))
    }

    fn object(&mut self) -> Option<Array> {
        let mut array = Array::default();
        self.blank();
        if self.take(b'}').is_some() {
            return Some(array);
        }
        loop {
            self.blank();
            let name = self.string()?;
            self.blank();
            self.take(b':')?;
            let value = self.value()?;
            array.set(Key::of(&name), value);
            self.blank();
            if self.take(b',').is_none() {
                return self.take(b'}').map(|()| array);
            }
        }
    }

    fn list(&mut self) -> Option<Array> {
        let mut array = Array::default();
        self.blank();
        if self.take(b']').is_some() {
            return Some(array);
        }
        loop {
            let value = self.value()?;
            array.append(value);
            self.blank();
            if self.take(b',').is_none() {
                return self.take(b']').map(|()| array);
            }
        }
    }

    fn literal(&mut self) -> Option<Value> {
        let words = [
            (&b"true"[..], Value::Bool(true)),
            (b"false", Value::Bool(false)),
            (b"null", Value::Null),
        ];
        let rest = &self.text[self.at..];
        let found = words.into_iter().find(|(word, _)| rest.starts_with(word));
        let (word, value) = found?;
        self.at += word.len();
        Some(value)
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        self.at - start
    }

    fn number(&mut self) -> Option<Value> {
        let start = self.at;
        let _ = self.take(b'-');
        if self.take(b'0').is_none() && self.digits() == 0 {
            return None;
        }
        let mut integer = true;
        let before = self.at;
        if self.take(b'.').is_some() {
            if self.digits() == 0 {
                self.at = before;
            } else {
                integer = false;
            }
        }
        let before = self.at;
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if self.digits() == 0 {
                self.at = before;
            } else {
                integer = false;
            }
        }
        let spelled = std::str::from_utf8(&self.text[start..self.at]).ok()?;
        match spelled.parse() {
            Ok(number) if integer => Some(Value::Int(number)),
            _ => spelled.parse().ok().map(Value::Float),
        }
    }

    fn string(&mut self) -> Option<Vec<u8>> {
        self.take(b'"')?;
        let mut text = Vec::new();
        loop {
            let start = self.at;
            while !matches!(self.peek()?, b'"' | b'\\' | 0..=0x1f) {
                self.at += 1;
            }
            text.extend_from_slice(
                std::str::from_utf8(&self.text[start..self.at])
                    .ok()?
                    .as_bytes(),
            );
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Some(text);
                }
                b'\\' => {
                    self.at += 1;
                    self.escape(&mut text)?;
                }
                _ => return None,
            }
        }
    }

    fn escape(&mut self, text: &mut Vec<u8>) -> Option<()> {
        let kind = self.peek()?;
        self.at += 1;
        let byte = match kind {
            b'"' | b'\\' | b'/' => kind,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let mut code = self.four_hex()?;
                if (0xd800..0xdc00).contains(&code) {
                    self.take(b'\\')?;
                    self.take(b'u')?;
                    let low = self
                        .four_hex()
                        .filter(|low| (0xdc00..0xe000).contains(low))?;
                    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                }
                let character = char::from_u32(code)?;
                text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                return Some(());
            }
            _ => return None,
        };
        text.push(byte);
        Some(())
    }

    fn four_hex(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        self.at += 4;
        let hex = |code: u32, byte: &u8| Some(code * 16 + (*byte as char).to_digit(16)?);
        digits.iter().try_fold(0, hex)
    }
}

/// The value as JSON: lists as `[…]`, other arrays as `{…}`, an empty one as `[]`; bytes that are no UTF-8 as U+FFFD.
pub fn encode(value: &Value) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Int(number) => out.push_str(&number.to_string()),
        Value::Float(number) if number.is_finite() => out.push_str(&number.to_string()),
        Value::Float(_) => out.push('0'),
        Value::Text(text) => write_string(text, out),
        Value::Array(array) if array.is_list() => {
            out.push('[');
            for (at, (_, value)) in array.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write(value, out);
            }
            out.push(']');
        }
        Value::Array(array) => {
            out.push('{');
            for (at, (key, value)) in array.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_string(&key.to_bytes(), out);
                out.push(':');
                write(value, out);
            }
            out.push('}');
        }
    }
}

fn write_string(text: &[u8], out: &mut String) {
    out.push('"');
    for character in String::from_utf8_lossy(text).chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => out.push(other),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_php_refuses_is_refused() {
        for text in [
            "",
            " ",
            "{",
            "[1,]",
            "{\"a\":1,}",
            "01",
            "1.",
            ".5",
            "+1",
            "1e",
            "'a'",
            "\u{feff}{}",
            "{} x",
            "nul",
            "TRUE",
            "\"\t\"",
            "\"\\x\"",
            "\"\\ud800\"",
            "\"\\udc00\"",
            "\"\\ud800\\u0041\"",
            "{a:1}",
            "\"a",
            "-",
            "[\0]",
        ] {
            assert_eq!(decode(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(decode(b"\"\xff\""), None);
        assert_eq!(decode(b"\"\xed\xa0\x80\""), None);
    }

    #[test]
    fn values_are_read_as_php_reads_them() {
        for (text, value) in [
            (" true\n", Value::Bool(true)),
            ("-0", Value::Int(0)),
            ("-0e1", Value::Float(-0.0)),
            ("-7", Value::Int(-7)),
            ("9223372036854775808", Value::Float(9.223372036854776e18)),
            ("-9223372036854775808", Value::Int(i64::MIN)),
            ("1E400", Value::Float(f64::INFINITY)),
            ("1.0", Value::Float(1.0)),
            (r#""\ud83d\ude00\u0000""#, Value::from("😀\0")),
            (
                r#"{"1":2,"1":3}"#,
                Value::Array(Array::of([("1", Value::Int(3))])),
            ),
        ] {
            assert_eq!(decode(text.as_bytes()), Some(value), "{text}");
        }
    }

    #[test]
    fn nesting_is_read_to_511_levels() {
        let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        assert!(decode(nested(511).as_bytes()).is_some());
        assert!(decode(nested(512).as_bytes()).is_none());
        assert!(decode("[".repeat(100_000).as_bytes()).is_none());
    }
}
