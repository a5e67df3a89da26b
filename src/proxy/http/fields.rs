//! The fields of a head, in the order and the spelling in which they came, and the names that the data path knows (pure).

use crate::proxy::http::ends::is_name;
use bytes::Bytes;
use std::ops::Range;

/// The field names that the data path treats itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    Other,
    AccessControlExposeHeaders,
    Authorization,
    Connection,
    ContentEncoding,
    ContentLength,
    ContentType,
    Expect,
    Forwarded,
    Host,
    Http2Settings,
    KeepAlive,
    Location,
    ProxyConnection,
    Refresh,
    SetCookie,
    Te,
    Traceparent,
    Trailer,
    TransferEncoding,
    Upgrade,
    UserAgent,
    XBitrixRestApplication,
    XForwardedFor,
    XForwardedHost,
    XForwardedPort,
    XForwardedProto,
    XRealIp,
    XRequestId,
}

impl Name {
    pub(super) const fn bit(self) -> u32 {
        1 << self as u32
    }

    pub(super) fn of(name: &[u8]) -> Name {
        // Its length and first letter leave one candidate.
        let (text, candidate) = match (name.len(), name.first().map_or(0, |b| b | 0x20)) {
            (2, b't') => ("te", Name::Te),
            (4, b'h') => ("host", Name::Host),
            (6, b'e') => ("expect", Name::Expect),
            (7, b'u') => ("upgrade", Name::Upgrade),
            (7, b't') => ("trailer", Name::Trailer),
            (7, b'r') => ("refresh", Name::Refresh),
            (8, b'l') => ("location", Name::Location),
            (9, b'f') => ("forwarded", Name::Forwarded),
            (9, b'x') => ("x-real-ip", Name::XRealIp),
            (10, b'c') => ("connection", Name::Connection),
            (10, b'k') => ("keep-alive", Name::KeepAlive),
            (10, b's') => ("set-cookie", Name::SetCookie),
            (10, b'u') => ("user-agent", Name::UserAgent),
            (11, b't') => ("traceparent", Name::Traceparent),
            (12, b'c') => ("content-type", Name::ContentType),
            (12, b'x') => ("x-request-id", Name::XRequestId),
            (13, b'a') => ("authorization", Name::Authorization),
            (14, b'c') => ("content-length", Name::ContentLength),
            (14, b'h') => ("http2-settings", Name::Http2Settings),
            (15, b'x') => ("x-forwarded-for", Name::XForwardedFor),
            (16, b'c') => ("content-encoding", Name::ContentEncoding),
            (16, b'x') if name[12] | 0x20 == b'h' => ("x-forwarded-host", Name::XForwardedHost),
            (16, b'x') => ("x-forwarded-port", Name::XForwardedPort),
            (16, b'p') => ("proxy-connection", Name::ProxyConnection),
            (17, b't') => ("transfer-encoding", Name::TransferEncoding),
            (17, b'x') => ("x-forwarded-proto", Name::XForwardedProto),
            (25, b'x') => ("x-bitrix-rest-application", Name::XBitrixRestApplication),
            (29, b'a') => (
                "access-control-expose-headers",
                Name::AccessControlExposeHeaders,
            ),
            _ => return Name::Other,
        };
        if is_name(name, text.as_bytes()) {
            candidate
        } else {
            Name::Other
        }
    }
}

/// One field: spans of the head, the value without the white space around it.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    pub known: Name,
    pub(super) start: u32,
    pub(super) name_end: u32,
    pub(super) value: u32,
    pub(super) value_end: u32,
    /// Behind the field's line end.
    pub(super) end: u32,
}

/// The fields of a head, in the order and the spelling in which they came.
#[derive(Clone, Debug)]
pub struct Fields {
    pub(super) raw: Bytes,
    pub(super) list: Vec<Field>,
    /// A bit for each [`Name`] that is there.
    pub(super) names: u32,
}

impl Fields {
    /// All fields, in order.
    pub fn list(&self) -> &[Field] {
        &self.list
    }
    pub fn name(&self, field: &Field) -> &[u8] {
        &self.raw[field.start as usize..field.name_end as usize]
    }
    pub fn value(&self, field: &Field) -> &[u8] {
        &self.raw[field.value as usize..field.value_end as usize]
    }
    /// The values of a name that the data path knows.
    pub fn known(&self, name: Name) -> impl Iterator<Item = &[u8]> {
        self.list
            .iter()
            .filter(move |f| f.known == name)
            .map(|f| self.value(f))
    }
    /// The first value of a name that the data path knows.
    pub fn first(&self, name: Name) -> Option<&[u8]> {
        if self.has(name) {
            self.known(name).next()
        } else {
            None
        }
    }
    /// Whether a name is there that the data path knows.
    pub fn has(&self, name: Name) -> bool {
        self.names & name.bit() != 0
    }
    /// The values of any name, compared without regard to case.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.list
            .iter()
            .filter(move |f| self.name(f).eq_ignore_ascii_case(name.as_bytes()))
            .map(|f| self.value(f))
    }
    /// Whether a list-valued field of that name has the token (RFC 9110 §5.6.1).
    pub fn has_token(&self, name: Name, token: &str) -> bool {
        self.has(name)
            && self.known(name).any(|value| {
                list_items(value).any(|item| item.eq_ignore_ascii_case(token.as_bytes()))
            })
    }
    /// Where the field's line stands in the head's bytes, its line end included.
    pub fn span(&self, field: &Field) -> Range<usize> {
        field.start as usize..field.end as usize
    }
    /// The bytes of the head.
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }
}

/// The items of a comma-separated list, without the white space around them.
pub fn list_items(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|b| *b == b',')
        .map(|item| item.trim_ascii())
        .filter(|item| !item.is_empty())
}

/// A head's fields as the core asks for them.
impl crate::protocol::Fields for Fields {
    fn get(&self, lower_case_name: &str) -> Option<&[u8]> {
        match Name::of(lower_case_name.as_bytes()) {
            Name::Other => {
                let is = |name: &[u8]| name.eq_ignore_ascii_case(lower_case_name.as_bytes());
                let found = self.list.iter().find(|field| is(self.name(field)));
                found.map(|field| self.value(field))
            }
            known => self.first(known),
        }
    }
    fn all<'a>(&'a self, lower_case_name: &'a str) -> Box<dyn Iterator<Item = &'a [u8]> + 'a> {
        Box::new(self.named(lower_case_name))
    }
}
