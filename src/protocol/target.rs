//! An address as the portal reads it: access, method, response format (PROTOCOL §1).
//!
//! The portal decodes a path (`%2F` becomes a slash), normalises it (doubled slashes, `.`, `..`) and only then matches it
//! against its templates. Every segment keeps its span of the raw target, so that a method can be replaced in place.
//! An ordinary address is read without allocating: nothing in it needs decoding.
//!
//! Where no template fits, [`super::unnamed`] finds the method in the parameters; [`super::urlrewrite`] makes the address
//! that counts in the place of the request's; [`super::address`] puts them together.
use super::mask::is_secret;
pub use super::mask::{mask, mask_code, mask_user};
use super::neighbours::{self, Neighbours, is};
pub use super::place::{Access, BATCH, Place, Written, query};
use super::utf8;
use super::{Secret, answer::Format};
use memchr::{memchr, memchr2, memchr2_iter};
use std::borrow::Cow;
use wide::u8x16;

/// Where the portal mounts its REST addresses: begins and ends with a slash, `/rest/` unless told otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestPath(String);

impl RestPath {
    /// Takes a path such as `/rest/`; slashes missing at its ends are added.
    ///
    /// # Errors
    /// Says what is wrong with a path that is empty, or holds a query, a fragment, an escape, a dot segment or a space.
    pub fn new(path: &str) -> Result<Self, String> {
        let inner = path.trim_matches('/');
        if inner.is_empty() {
            return Err(format!(
                "`{path}` is not a path that REST addresses can begin with, such as /rest/"
            ));
        }
        if let Some(bad) = inner
            .chars()
            .find(|c| "?#%\\".contains(*c) || c.is_whitespace() || c.is_control())
        {
            return Err(format!(
                "`{path}` holds {bad:?}; give the plain path that REST addresses begin with, such as /rest/"
            ));
        }
        if inner
            .split('/')
            .any(|segment| matches!(segment, "" | "." | ".."))
        {
            return Err(format!(
                "`{path}` is not normalised; give the plain path that REST addresses begin with, such as /rest/"
            ));
        }
        Ok(Self(format!("/{inner}/")))
    }

    /// The path, with a slash at both ends.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn segments(&self) -> impl Iterator<Item = &[u8]> {
        self.0.trim_matches('/').split('/').map(str::as_bytes)
    }
}

impl Default for RestPath {
    fn default() -> Self {
        Self("/rest/".into())
    }
}

/// Whether this `Host` leaves the portal no address, so that no template fits: it parses the address with the Host before
/// it.
pub fn leaves_no_address(host: &[u8]) -> bool {
    let port = match host {
        [b'[', ..] => memchr(b']', host).map_or(host.len(), |end| end + 1),
        _ => memchr(b':', host).unwrap_or(host.len()),
    };
    let digits = host.get(port + 1..).unwrap_or_default();
    let number = std::str::from_utf8(digits)
        .ok()
        .and_then(|digits| digits.parse::<u32>().ok());
    let is_port = digits.is_empty()
        || digits.len() <= 5 && number.is_some_and(|number| number <= u32::from(u16::MAX));
    port == 0 || !is_port
}

/// The place of an address whose `Host` leaves none ([`leaves_no_address`]).
pub fn without_templates(place: Place<'_>) -> Place<'_> {
    match place {
        Place::Elsewhere => Place::Elsewhere,
        _ => Place::Unnamed,
    }
}

/// Reads a request target in origin-form (`/path?query`), whatever bytes it is made of.
pub fn place<'t>(target: &'t [u8], rest: &RestPath) -> Place<'t> {
    if let Some(place) = plain_place(target, rest) {
        return place;
    }
    with_segments(target, |segments| classify(segments, rest))
}

/// The path of a target for a log: normalised, without its query, the webhook's code as `***`.
pub fn masked_path(target: &[u8], rest: &RestPath) -> String {
    with_segments(target, |segments| {
        let under = under_rest(segments, rest).unwrap_or_default();
        let first = segments.len() - under.len();
        let secret = {
            let at = first;
            match under {
                [_, index] if index.is_index() => None,
                // A webhook's, of v3 or of the login `api`.
                [api, _, _, _, ..] if api.text.as_ref() == b"api" => Some(at + 1..at + 3),
                [_, _, ..] => Some(at + 1..at + 2),
                _ => None,
            }
        };
        let secret = secret.unwrap_or_default();
        let mut path = String::new();
        for (at, segment) in segments.iter().enumerate() {
            path.push('/');
            let looks_like_one = at >= first && is_secret(&segment.text);
            path.push_str(&if secret.contains(&at) || looks_like_one {
                Cow::Borrowed("***")
            } else {
                utf8::text(&segment.text)
            });
        }
        if path.is_empty() {
            "/".into()
        } else {
            mask(path.as_bytes())
        }
    })
}

/// The same path as [`masked_path`] gives, for a webhook's call whose address is written plainly, as nearly all are;
/// `None` where that has to be looked at more closely.
pub fn masked_plain_call(target: &[u8], place: &Place<'_>) -> Option<String> {
    let Place::Call {
        access: Access::Webhook {
            user: Cow::Borrowed(user),
            ..
        },
        written: Written::Path,
        name,
        ..
    } = place
    else {
        return None;
    };
    let end = memchr2(b'?', b'#', target).unwrap_or(target.len());
    let path = std::str::from_utf8(target.get(..end)?).ok()?;
    let plain = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
    };
    let method = path.get(name.start..)?;
    let before = path.get(..name.start)?.strip_suffix('/')?;
    let to_user = &before[..memchr::memrchr(b'/', before.as_bytes())?];
    let prefix = to_user.strip_suffix(user)?;
    let has_rest = |text: &str| text.as_bytes().array_windows().any(|four| four == b"rest");
    let in_order = prefix.ends_with('/')
        && !prefix.as_bytes().array_windows().any(|two| two == b"//")
        && prefix.bytes().all(|b| b.is_ascii_lowercase() || b == b'/');
    // A user called like the path would be masked once more by what looks for addresses in texts.
    let distinct = !has_rest(user) && !has_rest(method);
    let distinct = distinct && !is_secret(user.as_bytes()) && !is_secret(method.as_bytes());
    (in_order && distinct && plain(user) && plain(method))
        .then(|| [to_user, "/***/", method].concat())
}

/// A segment of a path: decoded, as it came, and where that stood.
#[derive(Clone)]
struct Segment<'t> {
    text: Cow<'t, [u8]>,
    raw: &'t [u8],
    at: usize,
}

impl Segment<'_> {
    const EMPTY: Self = Segment {
        text: Cow::Borrowed(b""),
        raw: b"",
        at: 0,
    };

    fn is_index(&self) -> bool {
        self.text.as_ref() == b"index.php"
    }

    /// How many raw bytes make the first `length` decoded ones.
    fn raw_length(&self, length: usize) -> usize {
        let mut at = 0;
        for _ in 0..length {
            let escaped = matches!(self.raw[at..], [b'%', a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit());
            at += if escaped { 3 } else { 1 };
        }
        at
    }
}

/// As many separators as an ordinary address has at most; more of them cost an allocation.
const ORDINARY_SEPARATORS: usize = 11;

/// Splits a target's path, decodes and normalises it, and hands its segments on.
fn with_segments<'t, T>(target: &'t [u8], read: impl FnOnce(&[Segment<'t>]) -> T) -> T {
    let path = &target[..memchr2(b'?', b'#', target).unwrap_or(target.len())];
    let separators = memchr2_iter(b'/', b'%', path)
        .take(ORDINARY_SEPARATORS + 1)
        .count();
    if separators <= ORDINARY_SEPARATORS {
        let mut slots = [const { Segment::EMPTY }; ORDINARY_SEPARATORS + 1];
        let depth = fill(path, &mut slots);
        read(&slots[..depth])
    } else {
        let mut slots = vec![Segment::EMPTY; memchr2_iter(b'/', b'%', path).count() + 1];
        let depth = fill(path, &mut slots);
        read(&slots[..depth])
    }
}

/// Puts the normalised path's segments into `slots`, of which there are enough; gives their number.
fn fill<'t>(path: &'t [u8], slots: &mut [Segment<'t>]) -> usize {
    let mut depth: usize = 0;
    let mut start = 0;
    while start <= path.len() {
        let (end, next) = next_slash(path, start);
        let raw = &path[start..end];
        let text = decode(raw);
        match text.as_ref() {
            b"" | b"." => {}
            b".." => depth = depth.saturating_sub(1),
            _ => {
                slots[depth] = Segment {
                    text,
                    raw,
                    at: start,
                };
                depth += 1;
            }
        }
        start = next;
    }
    // A template's end matches before one last line feed.
    if let Some(last) = depth.checked_sub(1).map(|last| &mut slots[last])
        && last.at + last.raw.len() == path.len()
        && last.text.len() > 1
        && last.text.last() == Some(&b'\n')
    {
        match &mut last.text {
            Cow::Owned(text) => drop(text.pop()),
            Cow::Borrowed(text) => *text = &text[..text.len() - 1],
        }
    }
    depth
}

/// What stands before a line feed that is all of a path's last segment, which may end a template with a slash behind.
pub fn before_line_feed(target: &[u8]) -> Option<&[u8]> {
    let path = &target[..memchr2(b'?', b'#', target).unwrap_or(target.len())];
    let before = path
        .strip_suffix(b"\n")
        .or_else(|| path.strip_suffix(b"%0A"))
        .or_else(|| path.strip_suffix(b"%0a"))?;
    let is_all = [&b"/"[..], b"%2F", b"%2f"]
        .into_iter()
        .any(|slash| before.ends_with(slash));
    is_all.then_some(before)
}

/// The end of the segment that begins at `start`, and the begin of the next: a slash, raw or escaped.
fn next_slash(path: &[u8], start: usize) -> (usize, usize) {
    let mut at = start;
    while let Some(found) = memchr2(b'/', b'%', &path[at..]) {
        at += found;
        match path[at..] {
            [b'/', ..] => return (at, at + 1),
            [b'%', b'2', b'f' | b'F', ..] => return (at, at + 3),
            _ => at += 1,
        }
    }
    (path.len(), path.len() + 1)
}

fn decode(raw: &[u8]) -> Cow<'_, [u8]> {
    percent_encoding::percent_decode(raw).into()
}

fn under_rest<'s, 't>(segments: &'s [Segment<'t>], rest: &RestPath) -> Option<&'s [Segment<'t>]> {
    let mut under = segments;
    for part in rest.segments() {
        let (first, others) = under.split_first()?;
        if first.text.as_ref() != part {
            return None;
        }
        under = others;
    }
    Some(under)
}

/// What ends a path, or makes it one that needs decoding or normalising.
struct PathStop;

impl Neighbours for PathStop {
    fn blocks(block: u8x16, next: u8x16) -> u8x16 {
        let slash = is(block, b'/') & (is(next, b'/') | is(next, b'.'));
        is(block, b'?') | is(block, b'#') | is(block, b'%') | slash
    }
    fn bytes(byte: u8, next: Option<u8>) -> bool {
        matches!(
            (byte, next),
            (b'?' | b'#' | b'%', _) | (b'/', Some(b'/' | b'.'))
        )
    }
}

/// The path of a target where nothing in it needs decoding or normalising.
fn plain_path(target: &[u8]) -> Option<&[u8]> {
    match neighbours::find::<PathStop>(target) {
        None => Some(target),
        Some(at) if matches!(target[at], b'?' | b'#') => Some(&target[..at]),
        Some(_) => None,
    }
}

/// The place of an ordinary path, which needs no decoding and no normalising; `None` where it does.
fn plain_place<'t>(target: &'t [u8], rest: &RestPath) -> Option<Place<'t>> {
    let path = plain_path(target)?;
    if path.first() != Some(&b'/') || path.last() == Some(&b'\n') {
        return None;
    }
    let Some(under) = path.strip_prefix(rest.0.as_bytes()) else {
        // The REST path itself, without its last slash, and the script behind it are left to the careful way.
        let is_rest = path.len() + 1 >= rest.0.len() && rest.0.as_bytes().starts_with(path);
        return (!is_rest && !path.starts_with(b"/bitrix/services/rest"))
            .then_some(Place::Elsewhere);
    };
    let under = under.strip_suffix(b"/").unwrap_or(under);
    let mut segments = [const { Segment::EMPTY }; DEEPEST_CALL];
    let mut at = rest.0.len();
    let mut depth = 0;
    for raw in under.split(|b| *b == b'/') {
        let Some(slot) = segments.get_mut(depth) else {
            // Behind `api` one segment more makes a difference.
            return (segments[0].raw != b"api").then_some(Place::Unnamed);
        };
        *slot = Segment {
            text: Cow::Borrowed(raw),
            raw,
            at,
        };
        at += raw.len() + 1;
        depth += 1;
    }
    Some(if under.is_empty() {
        Place::Unnamed
    } else {
        call(&segments[..depth])
    })
}

/// The segments under the REST path of the deepest address of a call: user, code, method, `index.php`.
const DEEPEST_CALL: usize = 4;

fn classify<'t>(segments: &[Segment<'t>], rest: &RestPath) -> Place<'t> {
    match under_rest(segments, rest) {
        Some(under) => call(under),
        None if are_of_script(segments) => Place::Unnamed,
        None => Place::Elsewhere,
    }
}

/// Whether a target is the file behind the REST path, or its folder: asked directly, no template fits, and no other
/// address is put in its place.
pub fn is_script(target: &[u8]) -> bool {
    with_segments(target, |segments| are_of_script(segments))
}

fn are_of_script(segments: &[Segment<'_>]) -> bool {
    match segments {
        [a, b, c, more @ ..] => {
            let folder = [(a, "bitrix"), (b, "services"), (c, "rest")];
            let is_folder = folder
                .iter()
                .all(|(segment, name)| segment.text.as_ref() == name.as_bytes());
            is_folder && more.first().is_none_or(Segment::is_index)
        }
        _ => false,
    }
}

/// What the segments under the REST path are.
fn call<'t>(mut under: &[Segment<'t>]) -> Place<'t> {
    if let Some((_, before)) = under.split_last().filter(|(last, _)| last.is_index()) {
        under = before;
    }
    let (access, method) = match under {
        // Of three segments `api` is a login.
        [api, _] | [api, _, _, _] if api.text.as_ref() == b"api" => return Place::OtherRest,
        [method] => (Access::Token, method),
        [user, code, method] => (
            Access::Webhook {
                user: text(&user.text),
                code: Secret::new(text(&code.text)),
            },
            method,
        ),
        _ => return Place::Unnamed,
    };
    let (length, format) = without_suffix(&method.text);
    let name = method.at..method.at + method.raw_length(length);
    Place::Call {
        access,
        method: lowered(text(&match &method.text {
            Cow::Borrowed(bytes) => Cow::Borrowed(&bytes[..length]),
            Cow::Owned(bytes) => Cow::Owned(bytes[..length].to_vec()),
        })),
        format,
        written: Written::Path,
        name,
    }
}

/// A method's name as the portal looks for it: PHP knows all letters, so that the KELVIN SIGN is a `k`, too.
pub(super) fn lowered(method: Cow<'_, str>) -> Cow<'_, str> {
    if method
        .bytes()
        .any(|b| b.is_ascii_uppercase() || !b.is_ascii())
    {
        Cow::Owned(method.to_lowercase())
    } else {
        method
    }
}

/// The length of a method's name without the suffix that picks the answer's format, and that format.
pub(super) fn without_suffix(method: &[u8]) -> (usize, Format) {
    for (suffix, format) in [(b".json".as_slice(), Format::Json), (b".xml", Format::Xml)] {
        if let Some(length) = method
            .len()
            .checked_sub(suffix.len())
            .filter(|length| *length > 0)
            && method[length..].eq_ignore_ascii_case(suffix)
        {
            return (length, format);
        }
    }
    (method.len(), Format::Json)
}

/// Decoded bytes as text. What is not UTF-8 is no method, and as a credential only compared with itself.
pub(super) fn text<'t>(bytes: &Cow<'t, [u8]>) -> Cow<'t, str> {
    match bytes {
        Cow::Borrowed(bytes) => utf8::text(bytes),
        Cow::Owned(bytes) => Cow::Owned(utf8::text(bytes).into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(target: &str) -> Option<(String, Format, String)> {
        match place(target.as_bytes(), &RestPath::default()) {
            Place::Call {
                method,
                format,
                name,
                ..
            } => Some((method.into_owned(), format, target[name].into())),
            _ => None,
        }
    }

    fn call(method: &str, format: Format, name: &str) -> Option<(String, Format, String)> {
        Some((method.into(), format, name.into()))
    }

    #[test]
    fn a_method_is_found_however_its_address_is_written() {
        use Format::{Json, Xml};
        assert_eq!(
            read("/rest/1/code/crm.deal.list.json?x=1"),
            call("crm.deal.list", Json, "crm.deal.list")
        );
        assert_eq!(
            read("/rest/CRM.Deal.List.xml"),
            call("crm.deal.list", Xml, "CRM.Deal.List")
        );
        assert_eq!(
            read("/rest//1/./code/x/../crm%2eGet%2Ejson/"),
            call("crm.get", Json, "crm%2eGet")
        );
        assert_eq!(read("//rest%2F1%2fcode%2Fa.b"), call("a.b", Json, "a.b"));
        assert_eq!(read("/rest/a.b/index.php?c"), call("a.b", Json, "a.b"));
        assert_eq!(
            read("/rest/1/code/a.b/index.php/"),
            call("a.b", Json, "a.b")
        );
        assert_eq!(
            read("/rest/1/code/a.json.xml"),
            call("a.json", Xml, "a.json")
        );
        assert_eq!(
            read("/x/../rest/1/code/b/c/d/e/f/g/h/../../../../../../../a"),
            call("a", Json, "a")
        );
    }

    #[test]
    fn the_quick_way_sees_what_the_careful_way_sees() {
        let rest = RestPath::default();
        let targets = [
            "/",
            "/rest",
            "/rest/",
            "/rest/a",
            "/rest/a/",
            "/rest/A.json",
            "/rest/1/code/a.xml?x=/../",
            "/rest/1/code/a/index.php/",
            "/rest/api/a",
            "/rest/1/code",
            "/rest/1/2/3/4",
            "/rest/1/2/3/4/5",
            "/res",
            "/restx/a",
            "/x/rest/a",
            "rest/a",
            "*",
            "",
            "/rest/1/code/a.b#c",
            "/rest/index.php",
            "/rest/.json",
            "/rest/api/1/2/3/index.php",
            "/rest/api/1/2/3/4",
            "/rest/1/2/3/4/index.php",
            "/bitrix/services/rest/index.php",
            "/bitrix/services/restx",
        ];
        for target in targets.map(str::as_bytes) {
            let careful = with_segments(target, |segments| classify(segments, &rest));
            if let Some(quick) = plain_place(target, &rest) {
                assert_eq!(quick, careful, "{}", String::from_utf8_lossy(target));
            }
        }
    }

    #[test]
    fn a_webhooks_code_is_masked_in_every_template() {
        let rest = RestPath::default();
        for target in [
            "/rest/api/s3cret/a.b?x",
            "/rest/api/1/s3cret/a.b",
            "/rest/1/s3cret/a.b%0A",
            "/rest/1/s3cret",
        ] {
            let masked = masked_path(target.as_bytes(), &rest);
            assert!(!masked.contains("s3cret"), "{target} became {masked}");
        }
    }

    #[test]
    fn a_host_with_an_impossible_port_leaves_no_address() {
        for (host, none) in [
            ("p:99999", true),
            ("p:65536", true),
            ("p:065535", true),
            ("[::1]:99999", true),
            (":80", true),
            ("", true),
            ("p:65535", false),
            ("p:", false),
            ("p", false),
            ("[::1]", false),
            ("[::1]:80", false),
        ] {
            assert_eq!(leaves_no_address(host.as_bytes()), none, "{host}");
        }
    }

    #[test]
    fn the_short_way_to_a_masked_path_leads_to_the_same() {
        let rest = RestPath::default();
        let mut plain = 0;
        for target in [
            "/rest/1/code/crm.deal.list.json?x=1",
            "/rest/1/code/crm.deal.list",
            "/rest/admin/c-o_d.e/CRM.Deal.List.xml#f",
            "/rest//1/code/crm.deal.list",
            "/rest/1/code/crm.deal.list/",
            "/rest/1/co%64e/crm.deal.list",
            "/rest/1/code/crm.deal.list/index.php",
            "/rest/crm.deal.list?auth=1",
            "/rest/./1/code/crm.deal.list",
            "/rest/1/code/x/../crm.deal.list",
            "/rest/rest/code/rest",
            "/rest/verysecretcode01/1/crm.deal.list",
            "/rest/1/code/verysecretcode01",
            "/rest/1/code/a.verysecretcode01",
        ] {
            let target = target.as_bytes();
            if let Some(short) = masked_plain_call(target, &place(target, &rest)) {
                plain += 1;
                assert_eq!(short, masked_path(target, &rest));
            }
        }
        assert!(plain >= 3, "{plain}");
    }

    #[test]
    fn what_is_no_call_is_told_apart() {
        let rest = RestPath::default();
        for other in [
            "/rest/api/crm.item.list",
            "/rest/api/crm.item.list/",
            "/rest/api/1/code/a",
            "/rest/api/1/code/a/index.php",
        ] {
            assert_eq!(place(other.as_bytes(), &rest), Place::OtherRest, "{other}");
        }
        for unnamed in [
            "/rest/",
            "/rest",
            "/rest/1/code",
            "/rest/1/2/3/4",
            "/rest/1/2/3/4/5/6",
            "/rest/api/1/code/a/b",
            "/bitrix/services/rest/",
            "/bitrix/./services/rest/index.php",
        ] {
            assert_eq!(
                place(unnamed.as_bytes(), &rest),
                Place::Unnamed,
                "{unnamed}"
            );
        }
        for elsewhere in [
            "/",
            "",
            "*",
            "/bitrix/rest/a",
            "/bitrix/services/rest/a.php",
            "/Rest/a",
            "/rest%252Fa",
            "/rest/../a",
        ] {
            assert_eq!(
                place(elsewhere.as_bytes(), &rest),
                Place::Elsewhere,
                "{elsewhere}"
            );
        }
    }
}
