//! Where a request goes, from the portal's side (PROTOCOL §1): `urlrewrite.php` first, then the templates of the REST
//! component, in their order.

use super::form::{parse_str, raw_url_decode};
use super::php::{Array, Key, Value};

/// What the address of a request comes to.
#[derive(Debug, PartialEq)]
pub enum Address {
    /// Not under the REST path.
    Elsewhere,
    /// REST v3.
    V3,
    /// A template fits.
    Template {
        /// `USER/CODE/`, where these stand in it.
        webhook: Option<(Vec<u8>, Vec<u8>)>,
        /// As written.
        method: Vec<u8>,
    },
    /// None fits: parameters tell.
    NoTemplate,
}

const OTHER_ADDRESS: &str = "SEF_APPLICATION_CUR_PAGE_URL";

/// The address of a request, and what is `$_GET` then.
pub fn read(target: &[u8], host: Option<&[u8]>, rest_path: &str) -> (Address, Array) {
    let (path, query) = split_target(target);
    let own_path = raw_url_decode(path);
    if is_script(&segments(&own_path)) {
        return (Address::NoTemplate, parse_str(query));
    }
    let (path, get) = rewritten(own_path, query);
    let below = match below(segments(&path), rest_path) {
        Some(below) => below,
        None => return (Address::Elsewhere, get),
    };
    let has_address = host.is_none_or(has_port_of_16_bits);
    let address = if has_address {
        template(&below)
    } else {
        Address::NoTemplate
    };
    (address, get)
}

/// Path and query of a target; an absolute one loses scheme and host, a fragment goes.
fn split_target(target: &[u8]) -> (&[u8], &[u8]) {
    let target = target
        .split(|byte| *byte == b'#')
        .next()
        .unwrap_or_default();
    let (whole, query) = cut(target, b"?");
    let (scheme, behind) = cut(whole, b"://");
    let is_absolute = scheme.len() < whole.len() && !whole.starts_with(b"/");
    let path = match behind.iter().position(|byte| *byte == b'/') {
        _ if !is_absolute => whole,
        Some(slash) => &behind[slash..],
        None => b"/",
    };
    (path, query)
}

/// What stands before and behind the first `mark`.
fn cut<'t>(text: &'t [u8], mark: &[u8]) -> (&'t [u8], &'t [u8]) {
    match text.windows(mark.len()).position(|window| window == mark) {
        Some(at) => (&text[..at], &text[at + mark.len()..]),
        None => (text, &[]),
    }
}

/// `urlrewrite.php`: path and parameters of the address that takes the request's place, or its own.
fn rewritten(own_path: Vec<u8>, query: &[u8]) -> (Vec<u8>, Array) {
    for marker in [&b"404;http://"[..], b"404;https://"] {
        let (before, behind) = cut(query, marker);
        let slash = behind.iter().position(|byte| *byte == b'/');
        if let Some(slash) = slash.filter(|_| before.len() < query.len()) {
            let (path, query) = cut(&behind[slash..], b"?");
            return (raw_url_decode(path), parse_str(query));
        }
    }
    let mut get = parse_str(query);
    let other = Key::of(OTHER_ADDRESS.as_bytes());
    let Some(value) = get.get(&other).cloned() else {
        return (own_path, get);
    };
    get.remove(&other);
    let Value::Text(address) = value else {
        return (Vec::new(), get);
    };
    let (path, query) = cut(&address, b"?");
    for (key, value) in parse_str(query).iter() {
        if *key != other && get.get(key).is_none() {
            get.set(key.clone(), value.clone());
        }
    }
    (path.to_vec(), get)
}

/// A decoded path, normalised.
fn segments(path: &[u8]) -> Vec<&[u8]> {
    let mut segments: Vec<&[u8]> = Vec::new();
    for segment in path.split(|byte| *byte == b'/') {
        match segment {
            b"" | b"." => {}
            b".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    // `$` in a template's expression stands before one last line feed, too.
    if !path.ends_with(b"/")
        && let Some(last) = segments.pop()
    {
        match last.strip_suffix(b"\n").unwrap_or(last) {
            b"" => {}
            last => segments.push(last),
        }
    }
    segments
}

/// The file behind the REST path, or the folder that it is the index of.
fn is_script(segments: &[&[u8]]) -> bool {
    let below = segments.strip_prefix(&[&b"bitrix"[..], b"services", b"rest"]);
    below.is_some_and(|below| matches!(below.first(), None | Some(&b"index.php")))
}

/// The segments below the REST path, without a last `index.php`.
fn below<'s>(segments: Vec<&'s [u8]>, rest_path: &'s str) -> Option<Vec<&'s [u8]>> {
    let mount: Vec<&[u8]> = rest_path
        .split('/')
        .filter(|segment| !segment.is_empty())
        .map(str::as_bytes)
        .collect();
    let mut below = segments.strip_prefix(mount.as_slice())?.to_vec();
    below.pop_if(|last| *last == b"index.php");
    Some(below)
}

fn template(below: &[&[u8]]) -> Address {
    let of = |webhook: Option<(&[u8], &[u8])>, method: &[u8]| Address::Template {
        webhook: webhook.map(|(user, code)| (user.to_vec(), code.to_vec())),
        method: method.to_vec(),
    };
    match below {
        [method] => of(None, method),
        [user, code, method] => of(Some((user, code)), method),
        [b"api", _, _, _] | [b"api", _] => Address::V3,
        _ => Address::NoTemplate,
    }
}

/// Whether PHP parses an address with this host before it: not with a port over 65535.
fn has_port_of_16_bits(host: &[u8]) -> bool {
    let name_ends = host.iter().rposition(|byte| *byte == b']').unwrap_or(0);
    let Some(colon) = host[name_ends..].iter().position(|byte| *byte == b':') else {
        return true;
    };
    let digits = &host[name_ends + colon + 1..];
    let number = digits.iter().fold(0_u64, |number, digit| {
        (number * 10).saturating_add(u64::from(digit.wrapping_sub(b'0')))
    });
    digits.len() <= 5 && number <= 65_535
}

#[cfg(test)]
mod tests {
    use super::*;

    fn method(target: &str) -> Option<String> {
        match read(target.as_bytes(), None, "/rest/").0 {
            Address::Template { method, .. } => Some(String::from_utf8(method).ok()?),
            _ => None,
        }
    }

    #[test]
    fn templates_are_tried_in_their_order() {
        for target in [
            "/rest/crm.x",
            "/rest/crm.x/index.php%0A",
            "/rest/1/code/crm.x%0A?a",
            "/rest/1/code/crm.x/%0A",
            "/a?SEF_APPLICATION_CUR_PAGE_URL=/rest/crm.x%0A",
            "/rest/api/code/crm.x",
            "/a?404;https://h/rest/crm.x?b",
            "/a?SEF.APPLICATION_CUR_PAGE_URL=%2Frest%2Fcrm.x%3Fb",
        ] {
            assert_eq!(method(target).as_deref(), Some("crm.x"), "{target}");
        }
        for (target, address) in [
            ("/rest/api/crm.x", Address::V3),
            ("/rest/api/1/code/crm.x", Address::V3),
            ("/rest/", Address::NoTemplate),
            ("/rest/1/crm.x", Address::NoTemplate),
            ("/rest/1/2/3/4/5", Address::NoTemplate),
            ("/bitrix/services/rest/index.php", Address::NoTemplate),
            ("/bitrix/services/rest/x.php", Address::Elsewhere),
            (
                "/rest/crm.x?SEF_APPLICATION_CUR_PAGE_URL=/y",
                Address::Elsewhere,
            ),
        ] {
            assert_eq!(
                read(target.as_bytes(), None, "/rest/").0,
                address,
                "{target}"
            );
        }
        assert_eq!(method("/rest/crm.x%0A%0A").as_deref(), Some("crm.x\n"));
        assert_eq!(method("/rest/crm.x%0A/").as_deref(), Some("crm.x\n"));
    }

    #[test]
    fn a_host_with_an_impossible_port_leaves_no_address() {
        for (host, fits) in [
            ("p:99999", false),
            ("p:65535", true),
            ("p", true),
            ("[::1]:70000", false),
        ] {
            let (address, _) = read(b"/rest/crm.x", Some(host.as_bytes()), "/rest/");
            assert_eq!(address != Address::NoTemplate, fits, "{host}");
        }
    }

    #[test]
    fn the_requests_own_parameters_hide_those_of_the_address_in_it() {
        let target = b"/x?a=1&SEF_APPLICATION_CUR_PAGE_URL=/rest/crm.x%3Fa%3D2%26b%3D3";
        let get = read(target, None, "/rest/").1;
        assert_eq!(
            get,
            Array::of([
                ("a", Value::Text(b"1".to_vec())),
                ("b", Value::Text(b"3".to_vec()))
            ])
        );
    }
}
