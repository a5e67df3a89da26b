//! A strict reader of HTTP/1 messages after RFC 9112, written apart from the proxy so that the two check each other.
//!
//! It takes whole byte strings, never guesses, and tells three things apart: what has one reading, what has none, and
//! what the RFC leaves to the recipient (refuse it, or read it in exactly one way).

/// One field line as it stood: the name in its own case, the value without the whitespace around it.
#[derive(Clone, PartialEq, Eq)]
pub struct Field {
    pub name: Vec<u8>,
    pub value: Vec<u8>,
}

impl std::fmt::Debug for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}: {}",
            super::shown(&self.name),
            super::shown(&self.value)
        )
    }
}

/// The first line of a message.
#[derive(Clone, PartialEq, Eq)]
pub enum Start {
    Request {
        method: Vec<u8>,
        /// As sent, whatever its form.
        target: Vec<u8>,
    },
    Response {
        status: u16,
        reason: Vec<u8>,
    },
}

/// Where a message's body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    None,
    Length,
    Chunked,
    /// A response that ends with its connection.
    UntilClose,
}

/// A message with exactly one reading.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    pub start: Start,
    /// The minor version: 0 or 1.
    pub minor: u8,
    pub fields: Vec<Field>,
    pub framing: Framing,
    pub body: Vec<u8>,
    pub trailers: Vec<Field>,
    /// How many bytes of the input it took.
    pub size: usize,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.start {
            Start::Request { method, target } => {
                write!(f, "{} {}", super::shown(method), super::shown(target))?;
            }
            Start::Response { status, reason } => write!(f, "{status} {}", super::shown(reason))?,
        }
        write!(f, " {:?} {:?}", self.fields, self.framing)?;
        write!(f, " {} {:?}", super::shown(&self.body), self.trailers)
    }
}

impl Message {
    /// The method of a request; empty in a response.
    pub fn method(&self) -> &[u8] {
        match &self.start {
            Start::Request { method, .. } => method,
            Start::Response { .. } => b"",
        }
    }

    /// The target of a request as sent; empty in a response.
    pub fn target(&self) -> &[u8] {
        match &self.start {
            Start::Request { target, .. } => target,
            Start::Response { .. } => b"",
        }
    }

    /// The status of a response; 0 in a request.
    pub fn status(&self) -> u16 {
        match &self.start {
            Start::Response { status, .. } => *status,
            Start::Request { .. } => 0,
        }
    }

    /// The values of the fields of that name, in their order.
    pub fn all(&self, name: &str) -> Vec<String> {
        self.fields
            .iter()
            .filter(|field| field.name.eq_ignore_ascii_case(name.as_bytes()))
            .map(|field| String::from_utf8_lossy(&field.value).into_owned())
            .collect()
    }

    /// The only value of that name; `None` when there is none or more than one.
    pub fn one(&self, name: &str) -> Option<String> {
        let mut all = self.all(name);
        if all.len() == 1 { all.pop() } else { None }
    }

    /// The members of the comma-separated fields of that name, lower-cased.
    pub fn list(&self, name: &str) -> Vec<String> {
        self.all(name)
            .iter()
            .flat_map(|value| value.split(','))
            .map(|member| member.trim().to_ascii_lowercase())
            .filter(|member| !member.is_empty())
            .collect()
    }

    /// The body as text, for messages in failures and for JSON.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// What a strict reader says of the bytes at hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// It has one reading, and every recipient owes it.
    Valid(Message),
    /// A recipient may refuse it for the reason given, or read it in exactly this way.
    EitherWay(Message, &'static str),
    /// It has no reading.
    Invalid(&'static str),
    /// More bytes are wanted.
    Incomplete,
}

impl Reading {
    /// The message, where there is one.
    pub fn message(&self) -> Option<&Message> {
        match self {
            Self::Valid(message) | Self::EitherWay(message, _) => Some(message),
            Self::Invalid(_) | Self::Incomplete => None,
        }
    }
}

/// Why reading stopped before a message was had.
enum Stop {
    Invalid(&'static str),
    Incomplete,
}

impl From<Stop> for Reading {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Invalid(reason) => Self::Invalid(reason),
            Stop::Incomplete => Self::Incomplete,
        }
    }
}

/// Collects what a recipient may refuse; the first reason is the one that is told.
#[derive(Default)]
struct Doubts(Option<&'static str>);

impl Doubts {
    fn note(&mut self, reason: &'static str) {
        self.0.get_or_insert(reason);
    }
}

/// Reads the request at the start of `bytes`.
pub fn request(bytes: &[u8]) -> Reading {
    let mut doubts = Doubts::default();
    match read_request(bytes, &mut doubts) {
        Ok(message) => verdict(message, doubts),
        Err(_) if !has_whole_head(bytes) => Reading::Incomplete,
        Err(stop) => stop.into(),
    }
}

/// A head is judged when its empty line has come; a recipient may say earlier that nothing good can follow.
fn has_whole_head(bytes: &[u8]) -> bool {
    let mut at = 0;
    let mut begun = false;
    while let Ok(line) = next_line(bytes, &mut at, &mut Doubts::default()) {
        if line.is_empty() && begun {
            return true;
        }
        begun |= !line.is_empty();
    }
    false
}

/// Reads the response to a request with `method` at the start of `bytes`; `ended` says that the connection was
/// closed behind them.
pub fn response(bytes: &[u8], method: &[u8], ended: bool) -> Reading {
    let mut doubts = Doubts::default();
    match read_response(bytes, method, ended, &mut doubts) {
        Ok(message) => verdict(message, doubts),
        Err(stop) => stop.into(),
    }
}

/// Reads the final response: interim ones before it are passed over.
pub fn final_response(bytes: &[u8], method: &[u8], ended: bool) -> Reading {
    let mut doubt = None;
    let mut at = 0;
    loop {
        match response(&bytes[at..], method, ended) {
            Reading::Valid(message) if is_interim(&message) => at += message.size,
            Reading::EitherWay(message, reason) if is_interim(&message) => {
                doubt.get_or_insert(reason);
                at += message.size;
            }
            Reading::Valid(mut message) => {
                message.size += at;
                return match doubt {
                    None => Reading::Valid(message),
                    Some(reason) => Reading::EitherWay(message, reason),
                };
            }
            other => return other,
        }
    }
}

fn is_interim(message: &Message) -> bool {
    matches!(message.status(), 100 | 102..=199)
}

/// Whether the head of the final response is whole and right, whatever follows it.
pub fn has_right_head(mut bytes: &[u8]) -> bool {
    loop {
        let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else {
            return false;
        };
        match response(&bytes[..end + 4], b"GET", false) {
            Reading::Valid(message) if is_interim(&message) => bytes = &bytes[end + 4..],
            Reading::Valid(message) => return message.status() != 101,
            Reading::Incomplete => return true,
            Reading::EitherWay(..) | Reading::Invalid(_) => return false,
        }
    }
}

/// Reads requests one after the other until the bytes end or one has no reading; the last reading tells which.
/// A stream that ends behind a whole message has no reading for the rest.
pub fn requests(mut bytes: &[u8]) -> Vec<Reading> {
    let mut readings = Vec::new();
    while !bytes.is_empty() {
        let reading = request(bytes);
        let size = reading.message().map(|message| message.size);
        readings.push(reading);
        match size {
            Some(size) => bytes = &bytes[size..],
            None => break,
        }
    }
    readings
}

fn verdict(message: Message, doubts: Doubts) -> Reading {
    match doubts.0 {
        None => Reading::Valid(message),
        Some(reason) => Reading::EitherWay(message, reason),
    }
}

fn read_request(bytes: &[u8], doubts: &mut Doubts) -> Result<Message, Stop> {
    // CR, LF and CRLF are empty lines here.
    let is_end = |byte: &&u8| matches!(byte, b'\r' | b'\n');
    let mut at = bytes.iter().take_while(is_end).count();
    if at > 0 {
        doubts.note("an empty line before the request line");
    }
    let start = request_line(next_line(bytes, &mut at, doubts)?, doubts)?;
    let fields = field_lines(bytes, &mut at, doubts)?;
    let minor = start.2;
    check_host(&fields, minor, doubts)?;
    check_target(&start.0, &start.1, doubts)?;
    let codings = transfer_codings(&fields, doubts)?;
    let length = content_length(&fields, doubts)?;
    if codings && minor == 0 {
        doubts.note("Transfer-Encoding in HTTP/1.0");
    }
    if codings && length.is_some() {
        doubts.note("Content-Length beside Transfer-Encoding");
    }
    let mut message = Message {
        start: Start::Request {
            method: start.0,
            target: start.1,
        },
        minor,
        fields,
        framing: Framing::None,
        body: Vec::new(),
        trailers: Vec::new(),
        size: at,
    };
    if codings {
        message.framing = Framing::Chunked;
        chunks(bytes, &mut message, doubts)?;
    } else if let Some(length) = length {
        message.framing = Framing::Length;
        counted(bytes, length, &mut message)?;
    }
    Ok(message)
}

fn read_response(
    bytes: &[u8],
    method: &[u8],
    ended: bool,
    doubts: &mut Doubts,
) -> Result<Message, Stop> {
    let mut at = 0;
    let line = next_line(bytes, &mut at, doubts)?;
    let (status, reason, minor) = status_line(line, doubts)?;
    let fields = field_lines(bytes, &mut at, doubts)?;
    let mut message = Message {
        start: Start::Response { status, reason },
        minor,
        fields,
        framing: Framing::None,
        body: Vec::new(),
        trailers: Vec::new(),
        size: at,
    };
    let bodiless = method == b"HEAD" || matches!(status, 100..=199 | 204 | 304);
    let codings = transfer_codings(&message.fields, doubts);
    let length = content_length(&message.fields, doubts);
    if bodiless {
        // It ends with its head whatever its fields say (RFC 9112 §6.3); some are said where they must not be.
        let odd = codings.is_err()
            || length.is_err()
            || matches!((&codings, &length), (Ok(true), Ok(Some(_))));
        if odd || (matches!(codings, Ok(true)) && matches!(status, 100..=199 | 204)) {
            doubts.note("odd framing where no body can be");
        }
        return Ok(message);
    }
    let (codings, length) = (codings?, length?);
    if codings && length.is_some() {
        return Err(Stop::Invalid("Content-Length beside Transfer-Encoding"));
    }
    if codings && minor == 0 {
        doubts.note("Transfer-Encoding in HTTP/1.0");
    }
    if codings {
        message.framing = Framing::Chunked;
        chunks(bytes, &mut message, doubts)?;
    } else if let Some(length) = length {
        message.framing = Framing::Length;
        counted(bytes, length, &mut message)?;
    } else if ended {
        message.framing = Framing::UntilClose;
        message.body = bytes[at..].to_vec();
        message.size = bytes.len();
    } else {
        return Err(Stop::Incomplete);
    }
    Ok(message)
}

/// A line without its end. CRLF ends it; a bare LF may (RFC 9112 §2.2).
fn next_line<'a>(bytes: &'a [u8], at: &mut usize, doubts: &mut Doubts) -> Result<&'a [u8], Stop> {
    let rest = &bytes[*at..];
    let end = rest
        .iter()
        .position(|byte| *byte == b'\n')
        .ok_or(Stop::Incomplete)?;
    *at += end + 1;
    match rest[..end].strip_suffix(b"\r") {
        Some(line) => Ok(line),
        None => {
            doubts.note("a line that ends with a bare LF");
            Ok(&rest[..end])
        }
    }
}

/// Method, target and minor version.
fn request_line(line: &[u8], doubts: &mut Doubts) -> Result<(Vec<u8>, Vec<u8>, u8), Stop> {
    let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let [method, target, version] = words[..] else {
        return Err(Stop::Invalid("a request line that is not three words"));
    };
    if !is_token(method) {
        return Err(Stop::Invalid("a method that is not a token"));
    }
    if target.is_empty() || target.iter().any(|byte| *byte <= 0x20 || *byte == 0x7f) {
        return Err(Stop::Invalid("a target that is empty or holds controls"));
    }
    let minor = minor_version(version, doubts)?;
    Ok((method.to_vec(), target.to_vec(), minor))
}

fn status_line(line: &[u8], doubts: &mut Doubts) -> Result<(u16, Vec<u8>, u8), Stop> {
    let version = line
        .get(..8)
        .ok_or(Stop::Invalid("a status line without a version"))?;
    let minor = minor_version(version, doubts)?;
    let rest = line[8..]
        .strip_prefix(b" ")
        .ok_or(Stop::Invalid("a status line without a space"))?;
    let code = rest
        .get(..3)
        .filter(|code| code.iter().all(u8::is_ascii_digit) && (b'1'..=b'9').contains(&code[0]))
        .ok_or(Stop::Invalid("a status that is not three digits"))?;
    let status = code
        .iter()
        .fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    let reason = match &rest[3..] {
        [] => {
            doubts.note("a status line without its last space");
            &[][..]
        }
        [b' ', reason @ ..] => reason,
        _ => return Err(Stop::Invalid("a status that is not three digits")),
    };
    if reason
        .iter()
        .any(|byte| (*byte < 0x20 && *byte != b'\t') || *byte == 0x7f)
    {
        return Err(Stop::Invalid("controls in a reason"));
    }
    Ok((status, reason.to_vec(), minor))
}

fn minor_version(version: &[u8], doubts: &mut Doubts) -> Result<u8, Stop> {
    match version {
        b"HTTP/1.1" => Ok(1),
        b"HTTP/1.0" => Ok(0),
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9'] => {
            doubts.note("a minor version not known");
            Ok(1)
        }
        _ => Err(Stop::Invalid("a version that is not HTTP/1")),
    }
}

/// The field lines up to the empty line, which is taken too.
fn field_lines(bytes: &[u8], at: &mut usize, doubts: &mut Doubts) -> Result<Vec<Field>, Stop> {
    let mut fields: Vec<Field> = Vec::new();
    let mut wrong = None;
    loop {
        let line = next_line(bytes, at, doubts)?;
        if line.is_empty() {
            return match wrong {
                Some(reason) => Err(Stop::Invalid(reason)),
                None => Ok(fields),
            };
        }
        match field_line(line, &mut fields, doubts) {
            Ok(()) => {}
            Err(reason) => wrong = wrong.or(Some(reason)),
        }
    }
}

fn field_line(
    line: &[u8],
    fields: &mut Vec<Field>,
    doubts: &mut Doubts,
) -> Result<(), &'static str> {
    if matches!(line[0], b' ' | b'\t') {
        match fields.last_mut() {
            Some(field) => {
                doubts.note("an obsolete line folding");
                let mut value = std::mem::take(&mut field.value);
                value.push(b' ');
                value.extend_from_slice(trim(line));
                field.value = field_value(&value, doubts);
            }
            None => doubts.note("whitespace before the first field"),
        }
        return Ok(());
    }
    let colon = line
        .iter()
        .position(|byte| *byte == b':')
        .ok_or("a field line without a colon")?;
    let name = &line[..colon];
    if !is_token(name) {
        return Err("a field name that is not a token");
    }
    fields.push(Field {
        name: name.to_vec(),
        value: field_value(trim(&line[colon + 1..]), doubts),
    });
    Ok(())
}

/// CR and NUL are refused or become spaces, other controls are refused or kept (RFC 9110 §5.5).
fn field_value(value: &[u8], doubts: &mut Doubts) -> Vec<u8> {
    let value: Vec<u8> = value
        .iter()
        .map(|byte| match byte {
            b'\r' | 0 => {
                doubts.note("CR or NUL in a field value");
                b' '
            }
            0x01..=0x08 | 0x0a..=0x1f | 0x7f => {
                doubts.note("a control in a field value");
                *byte
            }
            _ => *byte,
        })
        .collect();
    trim(&value).to_vec()
}

fn check_host(fields: &[Field], minor: u8, doubts: &mut Doubts) -> Result<(), Stop> {
    let hosts: Vec<&Field> = fields
        .iter()
        .filter(|field| field.name.eq_ignore_ascii_case(b"host"))
        .collect();
    match hosts[..] {
        [] if minor == 0 => Ok(()),
        [] => Err(Stop::Invalid("no Host in HTTP/1.1")),
        [host] => authority(&host.value, doubts),
        _ => Err(Stop::Invalid("more than one Host")),
    }
}

/// `uri-host [":" port]` (RFC 3986 §3.2.2).
fn authority(value: &[u8], doubts: &mut Doubts) -> Result<(), Stop> {
    let wrong = Stop::Invalid("a Host that is not a host and port");
    if value.is_empty() {
        doubts.note("an empty Host");
        return Ok(());
    }
    let (host, port) = if value[0] == b'[' {
        let end = value
            .iter()
            .position(|byte| *byte == b']')
            .ok_or(Stop::Invalid("a Host that is not a host and port"))?;
        let inside = &value[1..end];
        if inside.is_empty()
            || !inside
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || b":.-_~!$&'()*+,;=%".contains(byte))
        {
            return Err(wrong);
        }
        if std::str::from_utf8(inside).is_ok_and(|text| text.parse::<std::net::Ipv6Addr>().is_err())
        {
            doubts.note("an IP literal of another kind than IPv6");
        }
        (&b""[..], &value[end + 1..])
    } else {
        match value.iter().position(|byte| *byte == b':') {
            Some(colon) => value.split_at(colon),
            None => (value, &b""[..]),
        }
    };
    if !host
        .iter()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%".contains(byte))
    {
        return Err(wrong);
    }
    if value[0] == b':' || host.iter().any(|byte| b"~!$&'()*+,;=%".contains(byte)) {
        doubts.note("a Host with characters that no name has");
    }
    match port {
        [] => Ok(()),
        [b':', digits @ ..] if digits.iter().all(u8::is_ascii_digit) => {
            if digits.is_empty() || digits.len() > 5 {
                doubts.note("a Host with an odd port");
            }
            if std::str::from_utf8(digits)
                .ok()
                .and_then(|digits| digits.parse::<u64>().ok())
                .is_some_and(|port| port > 65_535)
            {
                doubts.note("a Host with an odd port");
            }
            Ok(())
        }
        _ => Err(wrong),
    }
}

/// The four forms of RFC 9112 §3.2. Bytes that a URI would escape (`<`, `"`, not ASCII …) are taken as a path's own,
/// as web servers in front of portals take them; `#` is not.
fn check_target(method: &[u8], target: &[u8], doubts: &mut Doubts) -> Result<(), Stop> {
    if method == b"CONNECT" {
        return authority(target, doubts);
    }
    if target.contains(&b'#') {
        return Err(Stop::Invalid("a fragment in a target"));
    }
    if target == b"*" {
        if method != b"OPTIONS" {
            return Err(Stop::Invalid("* for another method than OPTIONS"));
        }
        return Ok(());
    }
    if target[0] == b'/' {
        return Ok(());
    }
    let rest =
        strip_scheme(target).ok_or(Stop::Invalid("a target that is not a path or http URL"))?;
    let end = rest
        .iter()
        .position(|byte| b"/?".contains(byte))
        .unwrap_or(rest.len());
    if end == 0 || rest[0] == b':' {
        return Err(Stop::Invalid("a URL without a host"));
    }
    authority(&rest[..end], doubts)
}

fn strip_scheme(target: &[u8]) -> Option<&[u8]> {
    ["http://", "https://"].iter().find_map(|scheme| {
        target
            .get(..scheme.len())
            .filter(|start| start.eq_ignore_ascii_case(scheme.as_bytes()))
            .map(|_| &target[scheme.len()..])
    })
}

/// The target in origin form: an absolute one without its scheme and host.
pub fn origin_form(target: &[u8]) -> Vec<u8> {
    let Some(rest) = strip_scheme(target) else {
        return target.to_vec();
    };
    match rest.iter().position(|byte| b"/?".contains(byte)) {
        None => b"/".to_vec(),
        Some(at) if rest[at] == b'?' => [b"/", &rest[at..]].concat(),
        Some(at) => rest[at..].to_vec(),
    }
}

/// A target with the bytes escaped that may travel raw or as escapes: equal here is equal for the portal.
pub fn same_target(target: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(target.len());
    for byte in target {
        if byte.is_ascii() && !b"<>\"`".contains(byte) {
            out.push(*byte);
        } else {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    out
}

/// Whether the body is chunked. Any other coding has no reading here.
fn transfer_codings(fields: &[Field], doubts: &mut Doubts) -> Result<bool, Stop> {
    let values: Vec<&Field> = fields
        .iter()
        .filter(|field| field.name.eq_ignore_ascii_case(b"transfer-encoding"))
        .collect();
    if values.is_empty() {
        return Ok(false);
    }
    let mut codings = Vec::new();
    for field in values {
        for member in field.value.split(|byte| *byte == b',') {
            match trim(member) {
                [] => doubts.note("an empty list member in Transfer-Encoding"),
                coding => codings.push(coding),
            }
        }
    }
    match codings[..] {
        [coding] if coding.eq_ignore_ascii_case(b"chunked") => Ok(true),
        _ => Err(Stop::Invalid("a Transfer-Encoding that is not one chunked")),
    }
}

fn content_length(fields: &[Field], doubts: &mut Doubts) -> Result<Option<u64>, Stop> {
    let wrong = || Stop::Invalid("a Content-Length that is not a single length");
    let mut lengths: Vec<(&[u8], u64)> = Vec::new();
    let mut members = 0;
    for field in fields {
        if !field.name.eq_ignore_ascii_case(b"content-length") {
            continue;
        }
        for member in field.value.split(|byte| *byte == b',') {
            members += 1;
            let member = trim(member);
            if member.is_empty() && field.value.contains(&b',') {
                continue;
            }
            if member.is_empty() || !member.iter().all(u8::is_ascii_digit) {
                return Err(wrong());
            }
            let length = std::str::from_utf8(member)
                .ok()
                .and_then(|digits| digits.parse().ok())
                .ok_or_else(wrong)?;
            lengths.push((member, length));
        }
    }
    if members == 0 {
        return Ok(None);
    }
    let Some(first) = lengths.first() else {
        return Err(wrong());
    };
    if lengths.iter().any(|length| length.1 != first.1) {
        return Err(wrong());
    }
    if members > 1 {
        doubts.note("a Content-Length that is repeated");
    }
    Ok(Some(first.1))
}

fn counted(bytes: &[u8], length: u64, message: &mut Message) -> Result<(), Stop> {
    let rest = &bytes[message.size..];
    let length = usize::try_from(length).map_err(|_| Stop::Incomplete)?;
    let body = rest.get(..length).ok_or(Stop::Incomplete)?;
    message.body = body.to_vec();
    message.size += length;
    Ok(())
}

/// RFC 9112 §7.1. Only CRLF ends a line here: a bare LF in chunk framing is how requests are smuggled.
fn chunks(bytes: &[u8], message: &mut Message, doubts: &mut Doubts) -> Result<(), Stop> {
    let mut at = message.size;
    loop {
        let rest = &bytes[at..];
        let line = match rest.iter().position(|byte| *byte == b'\n') {
            Some(end) => rest[..end]
                .strip_suffix(b"\r")
                .ok_or(Stop::Invalid("a chunk line that ends with a bare LF"))?,
            None => return Err(unfinished_chunk_line(rest)),
        };
        at += line.len() + 2;
        let size = chunk_size(line, doubts)?;
        if size == 0 {
            break;
        }
        let rest = &bytes[at..];
        let size = usize::try_from(size).map_err(|_| Stop::Incomplete)?;
        let data = rest.get(..size).ok_or(Stop::Incomplete)?;
        message.body.extend_from_slice(data);
        at += size;
        match &bytes[at..] {
            [b'\r', b'\n', ..] => at += 2,
            [] | [b'\r'] => return Err(Stop::Incomplete),
            _ => return Err(Stop::Invalid("chunk data that is longer than its size")),
        }
    }
    let mut noted = Doubts::default();
    message.trailers = field_lines(bytes, &mut at, &mut noted)?;
    if noted.0 == Some("a line that ends with a bare LF") {
        return Err(Stop::Invalid("a trailer line that ends with a bare LF"));
    }
    if let Some(reason) = noted.0 {
        doubts.note(reason);
    }
    message.size = at;
    Ok(())
}

/// A chunk line whose end has not come: some cannot become right any more.
fn unfinished_chunk_line(rest: &[u8]) -> Stop {
    let digits = rest
        .iter()
        .take_while(|byte| byte.is_ascii_hexdigit())
        .count();
    match rest.get(digits) {
        Some(_) if digits == 0 => Stop::Invalid("a chunk without a size"),
        _ => Stop::Incomplete,
    }
}

fn chunk_size(line: &[u8], doubts: &mut Doubts) -> Result<u64, Stop> {
    let digits = line
        .iter()
        .take_while(|byte| byte.is_ascii_hexdigit())
        .count();
    if digits == 0 {
        return Err(Stop::Invalid("a chunk without a size"));
    }
    let (size, extension) = line.split_at(digits);
    let size = std::str::from_utf8(size).unwrap_or_default();
    if size.len() > 16 {
        doubts.note("a chunk size of many digits");
    }
    let size = size.trim_start_matches('0');
    let size = if size.is_empty() {
        0
    } else {
        u64::from_str_radix(size, 16).map_err(|_| Stop::Invalid("a chunk size too large"))?
    };
    if extension.contains(&b'\r') {
        return Err(Stop::Invalid("a bare CR in a chunk line"));
    }
    match trim(extension) {
        [] if extension.is_empty() => {}
        [] => doubts.note("whitespace behind a chunk size"),
        [b';', ..] if extension[0] == b';' && well_formed_extensions(extension) => {}
        [b';', ..] => doubts.note("a chunk extension out of form"),
        _ => return Err(Stop::Invalid("a chunk size with something behind it")),
    }
    Ok(size)
}

/// `*( ";" name [ "=" ( token / quoted-string ) ] )`, whitespace left out.
fn well_formed_extensions(extension: &[u8]) -> bool {
    let mut rest = extension;
    while let [b';', tail @ ..] = rest {
        let name = tail.iter().take_while(|byte| is_token_byte(**byte)).count();
        if name == 0 {
            return false;
        }
        rest = &tail[name..];
        if let [b'=', tail @ ..] = rest {
            let length = match tail {
                [b'"', quoted @ ..] => match quoted
                    .iter()
                    .position(|byte| *byte == b'"' || *byte == b'\\' || *byte >= 0x80)
                {
                    Some(end) if quoted[end] == b'"' => end + 2,
                    _ => return false,
                },
                _ => tail.iter().take_while(|byte| is_token_byte(**byte)).count(),
            };
            if length == 0 {
                return false;
            }
            rest = &tail[length..];
        }
    }
    rest.is_empty()
}

fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| is_token_byte(*byte))
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// The fields that go from end to end: without those of the hop (RFC 9110 §7.6.1), the ones that `Connection` names,
/// the framing, and `ours`, which a proxy sets itself (lower case).
pub fn end_to_end<'a>(message: &'a Message, ours: &[&str]) -> Vec<&'a Field> {
    let named = message.list("connection");
    let never_struck = ["host", "content-type"];
    message
        .fields
        .iter()
        .filter(|field| {
            let name = String::from_utf8_lossy(&field.name).to_ascii_lowercase();
            let hop = [
                "connection",
                "keep-alive",
                "proxy-connection",
                "proxy-authenticate",
                "proxy-authorization",
                "te",
                "trailer",
                "transfer-encoding",
                "content-length",
                "upgrade",
            ];
            !hop.contains(&name.as_str())
                && !ours.contains(&name.as_str())
                && (!named.contains(&name) || never_struck.contains(&name.as_str()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(bytes: &str) -> String {
        match request(bytes.as_bytes()) {
            Reading::Valid(_) => "valid".to_owned(),
            Reading::EitherWay(_, reason) => format!("either: {reason}"),
            Reading::Invalid(reason) => reason.to_owned(),
            Reading::Incomplete => "incomplete".to_owned(),
        }
    }

    fn head(fields: &str, body: &str) -> String {
        format!("POST /a HTTP/1.1\r\nHost: p\r\n{fields}\r\n{body}")
    }

    #[test]
    fn a_plain_request_is_read_to_its_end() {
        let bytes = head("Content-Length: 3\r\n", "abcGET");
        let reading = request(bytes.as_bytes());
        let message = reading.message().expect("a message");
        assert_eq!(message.body, b"abc");
        assert_eq!(message.size, bytes.len() - 3);
        assert_eq!(message.method(), b"POST");
        assert_eq!(message.target(), b"/a");
    }

    #[test]
    fn chunks_are_joined_and_trailers_kept_apart() {
        let bytes = head(
            "Transfer-Encoding: Chunked\r\n",
            "3;a=\"b\"\r\nabc\r\n0a\r\n0123456789\r\n0\r\nX-T: 1\r\n\r\n",
        );
        let Reading::Valid(message) = request(bytes.as_bytes()) else {
            panic!("not valid")
        };
        assert_eq!(message.body, b"abc0123456789");
        assert_eq!(message.trailers.len(), 1);
        assert_eq!(message.size, bytes.len());
    }

    #[test]
    fn what_has_no_reading_says_why() {
        for (bytes, expected) in [
            ("GET /\r\n\r\n", "a request line that is not three words"),
            ("GET / HTTP/1.1\r\n\r\n", "no Host in HTTP/1.1"),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
                "more than one Host",
            ),
            (
                "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
                "a Host that is not a host and port",
            ),
            (
                "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
                "a field name that is not a token",
            ),
            (
                "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
                "a fragment in a target",
            ),
            (
                "GET gopher://h/ HTTP/1.1\r\nHost: a\r\n\r\n",
                "a target that is not a path or http URL",
            ),
            (
                "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
                "a version that is not HTTP/1",
            ),
        ] {
            assert_eq!(reason(bytes), expected, "{bytes:?}");
        }
        for (fields, body, expected) in [
            (
                "Content-Length: 1\r\nContent-Length: 2\r\n",
                "",
                "a Content-Length that is not a single length",
            ),
            (
                "Content-Length: +1\r\n",
                "a",
                "a Content-Length that is not a single length",
            ),
            (
                "Transfer-Encoding: gzip, chunked\r\n",
                "",
                "a Transfer-Encoding that is not one chunked",
            ),
            (
                "Transfer-Encoding: chunked\r\n",
                "3\r\nabcd\r\n",
                "chunk data that is longer than its size",
            ),
            (
                "Transfer-Encoding: chunked\r\n",
                "0x3\r\nabc\r\n",
                "a chunk size with something behind it",
            ),
            (
                "Transfer-Encoding: chunked\r\n",
                "3\nabc\r\n",
                "a chunk line that ends with a bare LF",
            ),
            (
                "Transfer-Encoding: chunked\r\n",
                "-3\r\nabc\r\n",
                "a chunk without a size",
            ),
        ] {
            assert_eq!(reason(&head(fields, body)), expected, "{fields:?} {body:?}");
        }
    }

    #[test]
    fn what_the_rfc_leaves_open_is_told_apart() {
        for (bytes, expected) in [
            (
                "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
                "either: an empty line before the request line",
            ),
            (
                "GET / HTTP/1.1\nHost: a\n\n".to_owned(),
                "either: a line that ends with a bare LF",
            ),
            (
                head("X: a\r\n b\r\n", ""),
                "either: an obsolete line folding",
            ),
            (
                head("X: a\rb\r\n", ""),
                "either: CR or NUL in a field value",
            ),
            (
                head("Content-Length: 1, 1\r\n", "a"),
                "either: a Content-Length that is repeated",
            ),
            (
                head(
                    "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
                    "0\r\n\r\n",
                ),
                "either: Content-Length beside Transfer-Encoding",
            ),
        ] {
            assert_eq!(reason(&bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn every_prefix_of_a_valid_request_wants_more() {
        let bytes = head(
            "Transfer-Encoding: chunked\r\n",
            "3;x\r\nabc\r\n0\r\nT: 1\r\n\r\n",
        );
        for end in 0..bytes.len() {
            assert_eq!(
                request(&bytes.as_bytes()[..end]),
                Reading::Incomplete,
                "{end}"
            );
        }
    }

    #[test]
    fn a_response_without_a_length_ends_with_its_connection() {
        let bytes = b"HTTP/1.1 200 OK\r\n\r\nabc";
        assert_eq!(response(bytes, b"GET", false), Reading::Incomplete);
        let reading = response(bytes, b"GET", true);
        assert_eq!(reading.message().expect("a message").body, b"abc");
        let reading = response(
            b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nx",
            b"GET",
            false,
        );
        assert!(reading.message().expect("a message").body.is_empty());
    }
}
