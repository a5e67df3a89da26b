//! A call as the fuzz targets take it: `VERB TARGET`, a line for each field, an empty line, the body. So the requests of
//! `tests/golden` are seeds as they are.

pub mod support;

/// A request; borrowed from the bytes that the fuzzer made.
pub struct Request<'a> {
    /// The HTTP method.
    pub verb: &'a [u8],
    /// The request target.
    pub target: &'a [u8],
    /// The Content-Type.
    pub content_type: Option<&'a [u8]>,
    /// The Content-Encoding.
    pub content_encoding: Option<&'a [u8]>,
    /// The body.
    pub body: &'a [u8],
}

impl<'a> Request<'a> {
    /// Reads a request; `None` for bytes that are none.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let end = bytes.windows(2).position(|two| two == b"\n\n");
        let (head, body) = match end {
            Some(end) => (&bytes[..end], &bytes[end + 2..]),
            None => (bytes, &b""[..]),
        };
        let mut lines = head.split(|b| *b == b'\n');
        let line = lines.next()?;
        let space = line.iter().position(|b| *b == b' ')?;
        let field = |name: &str| {
            lines.clone().find_map(|line| {
                let colon = line.iter().position(|b| *b == b':')?;
                line[..colon].eq_ignore_ascii_case(name.as_bytes()).then(|| line[colon + 1..].trim_ascii())
            })
        };
        Some(Self {
            verb: &line[..space],
            target: &line[space + 1..],
            content_type: field("content-type"),
            content_encoding: field("content-encoding"),
            body,
        })
    }
}
