//! The address that `urlrewrite.php` puts in the place of a request's (PROTOCOL §1): the value of the parameter
//! `SEF_APPLICATION_CUR_PAGE_URL`, or what stands behind `404;http://host` in the query.
use super::form::{self, Limit};
use super::name::Name;
use super::neighbours::{self, Neighbours, is};
use super::target::query;
use super::{Layer, batch, credentials, name};
use memchr::{memchr, memmem};
use std::borrow::Cow;
use std::ops::Range;
use wide::u8x16;

const PARAMETER: &[u8] = b"SEF_APPLICATION_CUR_PAGE_URL";

/// An address that takes a request's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// In origin-form. Of the parameters it has those that say which methods run, and who calls.
    pub target: Vec<u8>,
    /// All of these can be read: there are no more than the portal reads of one query.
    pub is_whole: bool,
}

/// What `urlrewrite.php` makes of a target; `None` where it leaves it alone, as nearly always.
#[inline]
pub fn made(target: &[u8]) -> Option<Made> {
    let mark = memchr(b'?', target)?;
    // Shorter ones hold neither the parameter nor an address.
    if target.len() - mark <= b"404;http://h/rest/".len() {
        return None;
    }
    look_into(target)
}

fn look_into(target: &[u8]) -> Option<Made> {
    let query = query(target);
    let bytes = &target[query.clone()];
    if memchr(b';', bytes).is_some()
        && let Some(target) = behind_marker(bytes)
    {
        return Some(Made {
            target,
            is_whole: true,
        });
    }
    let first = matches!(bytes.first(), Some(b'S' | b'%' | b'+' | b' '));
    if first || neighbours::find::<Begin>(bytes).is_some() {
        return of_parameter(target, query);
    }
    None
}

/// The end of a pair behind which the parameter can begin: its name can begin with a blank, and anything in it be escaped.
struct Begin;

impl Neighbours for Begin {
    fn blocks(block: u8x16, next: u8x16) -> u8x16 {
        let begin = is(next, b'S') | is(next, b'%') | is(next, b'+') | is(next, b' ');
        is(block, b'&') & begin
    }
    fn bytes(byte: u8, next: Option<u8>) -> bool {
        byte == b'&' && matches!(next, Some(b'S' | b'%' | b'+' | b' '))
    }
}

fn behind_marker(query: &[u8]) -> Option<Vec<u8>> {
    [&b"404;http://"[..], b"404;https://"]
        .into_iter()
        .find_map(|marker| {
            let host = memmem::find(query, marker)? + marker.len();
            let slash = host + memchr(b'/', &query[host..])?;
            Some(query[slash..].to_vec())
        })
}

fn of_parameter(target: &[u8], query: Range<usize>) -> Option<Made> {
    let mut found = None;
    let mut outer: Vec<(Cow<'_, [u8]>, &[u8])> = Vec::new();
    for pair in read(target, query) {
        let raw = &target[pair.split(target).0];
        // As the name of a pair can begin.
        if matches!(raw.first(), Some(b'S' | b'%' | b'+' | b' '))
            && name::top_level(raw).is_some_and(|key| *key == *PARAMETER)
        {
            found = Some(pair.clone());
        }
    }
    let (raw, value) = found?.split(target);
    let value = Layer::Form.decode(&target[value]);
    let is_text = Name::read(&Layer::Form.decode(&target[raw]))?.keys().len() == 1;
    if !is_text {
        return None;
    }
    let mark = memchr(b'?', &value).unwrap_or(value.len());
    let (path, inner) = (&value[..mark], value.get(mark + 1..).unwrap_or_default());
    let query = super::target::query(target);
    for pair in read(target, query) {
        let key = name::top_level(&target[pair.split(target).0]);
        outer.extend(key.map(|key| (key, &target[pair.whole])));
    }
    // The request's own parameters hide those of the address in its parameter.
    let hidden = |key: &[u8]| outer.iter().any(|(known, _)| **known == *key);
    let inner: Vec<&[u8]> = read(inner, 0..inner.len())
        .filter_map(|pair| {
            let key = name::top_level(&inner[pair.split(inner).0])?;
            (counts(&key) && !hidden(&key)).then(|| &inner[pair.whole])
        })
        .collect();
    let own = outer
        .iter()
        .filter(|(key, _)| counts(key))
        .map(|(_, pair)| *pair);
    let pairs: Vec<&[u8]> = own.chain(inner).collect();
    let mut made = escaped(path);
    made.push(b'?');
    made.extend(escaped(&pairs.join(&b'&')));
    Some(Made {
        target: made,
        is_whole: pairs.len() <= Limit::QUERY.pairs,
    })
}

fn read(bytes: &[u8], span: Range<usize>) -> impl Iterator<Item = form::Pair> + '_ {
    form::pairs(bytes, span, Limit::QUERY).take_while(|pair| pair.is_read)
}

/// Whether a parameter says which methods run, or who calls.
fn counts(key: &[u8]) -> bool {
    key == b"method" || key.eq_ignore_ascii_case(batch::CMD) || credentials::is_parameter(key)
}

/// The same bytes, where a `#` does not end an address.
fn escaped(bytes: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'#' => escaped.extend_from_slice(b"%23"),
            byte => escaped.push(*byte),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(target: &str) -> Option<String> {
        let made = made(target.as_bytes())?;
        assert!(made.is_whole);
        Some(String::from_utf8(made.target).unwrap())
    }

    #[test]
    fn the_parameters_value_is_the_address() {
        for (target, made) in [
            (
                "/any/address?SEF_APPLICATION_CUR_PAGE_URL=/rest/1/S/M%3Fauth%3DC",
                "/rest/1/S/M?auth=C",
            ),
            (
                "/x?auth=1&SEF.APPLICATION+CUR%5fPAGE_URL=/x&SEF_APPLICATION_CUR_PAGE_URL=%2Frest%2Fbatch%3Fcmd[a]%3DM%26auth%3D2",
                "/rest/batch?auth=1&cmd[a]=M",
            ),
            (
                "/x?%53EF_APPLICATION_CUR_PAGE_URL=/rest/x/y%3Fx=1%2526method%253Da%23%26method%3DM",
                "/rest/x/y?method=M",
            ),
            (
                "/x?SEF_APPLICATION_CUR_PAGE_URL=/rest/M#SEF_APPLICATION_CUR_PAGE_URL=/y",
                "/rest/M?",
            ),
        ] {
            assert_eq!(of(target).as_deref(), Some(made), "{target}");
        }
    }

    #[test]
    fn so_is_what_stands_behind_the_marker_of_a_lost_page() {
        for (target, made) in [
            ("/x?404;http://h/rest/1/S/M?scope=C", "/rest/1/S/M?scope=C"),
            ("/x?a=1&404;https://h:443/rest/M", "/rest/M"),
            (
                "/x?404;https://h/a&404;http://h/rest/M&SEF_APPLICATION_CUR_PAGE_URL=/y",
                "/rest/M&SEF_APPLICATION_CUR_PAGE_URL=/y",
            ),
        ] {
            assert_eq!(of(target).as_deref(), Some(made), "{target}");
        }
    }

    #[test]
    fn all_else_stays() {
        for target in [
            "/rest/1/S/M?SEF=/rest/1/S/M&filter%5BSEF_APPLICATION_CUR_PAGE_URL%5D=/rest/M",
            "/rest/1/S/M?sef_application_cur_page_url=/rest/1/S/M",
            "/rest/1/S/M?SEF_APPLICATION_CUR_PAGE_URL[]=/rest/1/S/M",
            "/SEF_APPLICATION_CUR_PAGE_URL=/rest/M",
            "/x?404;http:/h/rest/1/S/M&404;http://h&x=yyyyyyyyyyyyyyy",
            "/x",
        ] {
            assert_eq!(of(target), None, "{target}");
        }
    }

    #[test]
    fn more_parameters_than_are_read_of_one_query_are_told() {
        let outer: String = (0..999).map(|n| format!("&cmd[{n}]=x")).collect();
        let inner: String = (0..999).map(|n| format!("%26CMD[{n}]%3Dx")).collect();
        let target = format!("/x?SEF_APPLICATION_CUR_PAGE_URL=/rest/batch%3F{inner}{outer}");
        assert!(made(target.as_bytes()).is_some_and(|made| !made.is_whole));
    }
}
