//! `multipart/form-data` as PHP reads it (PROTOCOL §2), which is not how RFC 7578 has it: parts behind the closing
//! boundary count, a boundary matches as a prefix, lines may end in LF alone, the last `name=` wins, a part without
//! a name ends the reading. PHP's buffer of 5 KiB shows in what it does with long lines and cut bodies, so this
//! reader has one too.

use super::form::{register, until_nul};
use super::php::{Array, Value};

const BUFFER: usize = 5 * 1024;
const MAX_FIELDS: usize = 1_000;
const MAX_FILES: usize = 20;
const MAX_PARTS: usize = MAX_FIELDS + MAX_FILES;

/// What PHP found in a multipart body.
#[derive(Debug, Default, PartialEq)]
pub struct Multipart<'a> {
    /// `$_POST`.
    pub fields: Array,
    /// The names of `$_FILES`, as they were sent.
    pub files: Vec<Vec<u8>>,
    /// What was left unread, and so is what `php://input` still shows.
    pub rest: &'a [u8],
}

/// Read `body` under a Content-Type whose type is `multipart/form-data`. Without a usable boundary nothing is read.
pub fn read<'a>(content_type: &[u8], body: &'a [u8]) -> Multipart<'a> {
    let mut found = Multipart {
        rest: body,
        ..Multipart::default()
    };
    let Some(boundary) = boundary(content_type) else {
        return found;
    };
    let mut buffer = Buffer::new(boundary, body);
    read_parts(&mut buffer, &mut found);
    found.rest = &body[buffer.end..];
    found
}

fn boundary(content_type: &[u8]) -> Option<&[u8]> {
    let content_type = until_nul(content_type);
    let word = b"boundary";
    let exact = content_type
        .windows(word.len())
        .position(|window| window == word);
    let any_case = || {
        content_type
            .windows(word.len())
            .position(|window| window.eq_ignore_ascii_case(word))
    };
    let from = &content_type[exact.or_else(any_case)?..];
    let equals = from.iter().position(|byte| *byte == b'=')?;
    let value = &from[equals + 1..];
    let boundary = match value.strip_prefix(b"\"") {
        Some(quoted) => &quoted[..quoted.iter().position(|byte| *byte == b'"')?],
        None => value.split(|byte| matches!(byte, b',' | b';')).next()?,
    };
    (boundary.len() <= BUFFER - b"\r\n--".len()).then_some(boundary)
}

fn read_parts(buffer: &mut Buffer<'_>, found: &mut Multipart<'_>) {
    let (mut fields, mut files, mut parts) = (0, 0, 0);
    let mut skip_files = false;
    while !buffer.at_end() {
        let Some(headers) = buffer.headers() else {
            return;
        };
        let disposition = headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(b"Content-Disposition"));
        let Some((_, disposition)) = disposition else {
            continue;
        };
        parts += 1;
        if parts > MAX_PARTS {
            return;
        }
        match read_disposition(disposition) {
            (Some(name), None) => {
                let value = buffer.value();
                fields += 1;
                if fields <= MAX_FIELDS {
                    register(&mut found.fields, &name, Value::Text(value));
                }
            }
            (None, None) => return,
            (name, Some(filename)) => {
                let anonymous = || found.files.len().to_string().into_bytes();
                let name = name.unwrap_or_else(anonymous);
                skip_files = skip_files || files >= MAX_FILES || !balanced(&name);
                if skip_files {
                    continue;
                }
                if !filename.is_empty() {
                    buffer.value();
                    files += 1;
                }
                found.files.push(name);
            }
        }
    }
}

/// PHP takes no file whose name has brackets that do not pair up.
fn balanced(name: &[u8]) -> bool {
    let mut open = 0i32;
    for (at, byte) in name.iter().enumerate() {
        match byte {
            b'[' => open += 1,
            b']' => {
                open -= 1;
                if open < 0 || name.get(at + 1).is_some_and(|next| *next != b'[') {
                    return false;
                }
            }
            _ => {}
        }
    }
    open == 0
}

/// `name` and `filename` of a Content-Disposition.
fn read_disposition(value: &[u8]) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    let (mut name, mut filename) = (None, None);
    let mut rest = value.trim_ascii_start_c();
    while !rest.is_empty() {
        let (pair, behind) = word(rest, b';');
        rest = behind.trim_ascii_start_c();
        if !pair.contains(&b'=') {
            continue;
        }
        let (key, value) = word(pair, b'=');
        if key.eq_ignore_ascii_case(b"name") {
            name = Some(unquoted(value));
        } else if key.eq_ignore_ascii_case(b"filename") {
            filename = Some(unquoted(value));
        }
    }
    (name, filename)
}

/// C's `isspace` knows one more than `trim_ascii_start`: the vertical tab.
trait TrimStart {
    fn trim_ascii_start_c(&self) -> &Self;
}

fn is_space(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

impl TrimStart for [u8] {
    fn trim_ascii_start_c(&self) -> &[u8] {
        &self[self.iter().take_while(|byte| is_space(byte)).count()..]
    }
}

/// Up to `stop` outside quotes, and what stands behind it and its repetitions.
fn word(text: &[u8], stop: u8) -> (&[u8], &[u8]) {
    let mut at = 0;
    while at < text.len() && text[at] != stop {
        let quote = text[at];
        at += 1;
        if matches!(quote, b'"' | b'\'') {
            while at < text.len() && text[at] != quote {
                let escaped = text[at] == b'\\' && text.get(at + 1) == Some(&quote);
                at += if escaped { 2 } else { 1 };
            }
            if at < text.len() {
                at += 1;
            }
        }
    }
    let rest = &text[at..];
    let repeated = rest.iter().take_while(|byte| **byte == stop).count();
    (&text[..at], &rest[repeated..])
}

fn unquoted(text: &[u8]) -> Vec<u8> {
    let text = text.trim_ascii_start_c();
    let (text, quote) = match text.first() {
        Some(quote @ (b'"' | b'\'')) => (&text[1..], Some(*quote)),
        _ => (
            &text[..text.iter().take_while(|byte| !is_space(byte)).count()],
            None,
        ),
    };
    let mut plain = Vec::new();
    let mut at = 0;
    while at < text.len() && Some(text[at]) != quote {
        let next = text.get(at + 1).copied();
        if text[at] == b'\\' && next.is_some() && (next == Some(b'\\') || next == quote) {
            at += 1;
        }
        plain.push(text[at]);
        at += 1;
    }
    plain
}

type Header = (Vec<u8>, Vec<u8>);

/// PHP's window on the body.
struct Buffer<'a> {
    body: &'a [u8],
    begin: usize,
    end: usize,
    size: usize,
    /// `--boundary`, as a line of its own.
    line: Vec<u8>,
    /// `\n--boundary`, as the end of a value.
    stop: Vec<u8>,
}

impl<'a> Buffer<'a> {
    fn new(boundary: &[u8], body: &'a [u8]) -> Self {
        let size = BUFFER.max(boundary.len() + 6);
        let line = [b"--", boundary].concat();
        let stop = [b"\n--", boundary].concat();
        Buffer {
            body,
            begin: 0,
            end: 0,
            size,
            line,
            stop,
        }
    }

    fn window(&self) -> &'a [u8] {
        &self.body[self.begin..self.end]
    }

    fn fill(&mut self) {
        self.end = self.body.len().min(self.begin + self.size);
    }

    fn at_end(&mut self) -> bool {
        if self.begin == self.end {
            self.fill();
        }
        self.begin == self.end
    }

    fn next_line(&mut self) -> Option<&'a [u8]> {
        let window = self.window();
        match window.iter().position(|byte| *byte == b'\n') {
            Some(at) => {
                self.begin += at + 1;
                let line = &window[..at];
                Some(line.strip_suffix(b"\r").unwrap_or(line))
            }
            None if window.len() < self.size => None,
            None => {
                self.begin = self.end;
                Some(window)
            }
        }
    }

    fn line(&mut self) -> Option<&'a [u8]> {
        let line = self.next_line().or_else(|| {
            self.fill();
            self.next_line()
        });
        line.map(until_nul)
    }

    /// The headers of the next part, or `None` when no boundary comes any more.
    fn headers(&mut self) -> Option<Vec<Header>> {
        while self.line()? != self.line {}
        let mut headers: Vec<Header> = Vec::new();
        while let Some(line) = self.line().filter(|line| !line.is_empty()) {
            let colon = line
                .iter()
                .position(|byte| *byte == b':')
                .filter(|_| !is_space(&line[0]));
            match (colon, headers.last_mut()) {
                (Some(at), _) => {
                    let value = line[at + 1..].trim_ascii_start_c();
                    headers.push((line[..at].to_vec(), value.to_vec()));
                }
                (None, Some((_, value))) => value.extend_from_slice(line),
                (None, None) => {}
            }
        }
        Some(headers)
    }

    /// The bytes up to the next boundary, which stays.
    fn value(&mut self) -> Vec<u8> {
        let mut value = Vec::new();
        loop {
            if BUFFER > self.end - self.begin {
                self.fill();
            }
            let window = self.window();
            let stop = self.stop_in(window);
            let mut read = stop.unwrap_or(window.len()).min(BUFFER - 1);
            if stop.is_some() && read > 0 && window[read - 1] == b'\r' {
                read -= 1;
            }
            if read == 0 {
                return value;
            }
            value.extend_from_slice(&window[..read]);
            self.begin += read;
        }
    }

    /// Where the boundary begins, were it only with its first bytes at the end of the window.
    fn stop_in(&self, window: &[u8]) -> Option<usize> {
        let line_ends = window
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'\n');
        line_ends.map(|(at, _)| at).find(|at| {
            let rest = &window[*at..];
            let length = rest.len().min(self.stop.len());
            rest[..length] == self.stop[..length]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{json, php::Value};
    use super::*;

    fn shown(body: &str) -> String {
        let found = read(b"multipart/form-data; boundary=B", body.as_bytes());
        json::encode(&Value::Array(found.fields))
    }

    fn part(name: &str, value: &str) -> String {
        format!("--B\r\nContent-Disposition: form-data; name={name}\r\n\r\n{value}\r\n")
    }

    #[test]
    fn fields_are_read_with_any_quotes_and_line_ends() {
        let body =
            part("\"a[b.c]\"", "1") + &part("d", "2\r\n3") + &part("'e f'", "%41+") + "--B--\r\n";
        let json = r#"{"a":{"b.c":"1"},"d":"2\r\n3","e_f":"%41+"}"#;
        assert_eq!(shown(&body), json);
        assert_eq!(shown(&body.replace("\r\n", "\n")), json.replace("\\r", ""));
    }

    #[test]
    fn parts_behind_the_closing_boundary_count_and_a_missing_end_does_not_matter() {
        let body = part("a", "1") + "--B--\r\n" + &part("b", "2");
        assert_eq!(shown(&body), r#"{"a":"1","b":"2"}"#);
        assert_eq!(
            shown("--B\r\nContent-Disposition: form-data; name=a\r\n\r\nx"),
            r#"{"a":"x"}"#
        );
    }

    #[test]
    fn a_boundary_ends_a_value_as_a_prefix() {
        assert_eq!(
            shown(&(part("a", "1\r\n--Bogus") + &part("b", "2"))),
            r#"{"a":"1","b":"2"}"#
        );
    }

    #[test]
    fn a_part_without_a_name_ends_the_reading() {
        let body =
            part("a", "1") + "--B\r\nContent-Disposition: form-data\r\n\r\nx\r\n" + &part("b", "2");
        assert_eq!(shown(&body), r#"{"a":"1"}"#);
    }

    #[test]
    fn an_empty_filename_makes_a_file_and_the_last_name_counts() {
        let body = part("a; filename=\"\"", "1") + &part("a", "2") + &part("b; name=c", "3");
        let found = read(b"multipart/form-data; boundary=\"B\"; x", body.as_bytes());
        assert_eq!(found.files, [b"a".to_vec()]);
        assert_eq!(
            json::encode(&Value::Array(found.fields)),
            r#"{"a":"2","c":"3"}"#
        );
    }

    #[test]
    fn without_a_boundary_the_body_stays_unread() {
        assert_eq!(read(b"multipart/form-data", b"a=1").rest, b"a=1");
        assert_eq!(
            read(b"multipart/form-data; boundary=\"B", b"a=1").rest,
            b"a=1"
        );
        assert_eq!(read(b"multipart/form-data; boundary=B", b"a=1").rest, b"");
    }
}
