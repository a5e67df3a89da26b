//! The string of a batch command as PHP's `parse_url` splits it (PROTOCOL §5).

/// Path and query of `url`: what the portal takes for method and parameters. Both empty where PHP sees no URL.
/// Control characters become `_`, a `#` cuts off all behind it, and what looks like a scheme or a host is lost.
pub fn path_and_query(url: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (path, query) = match path_start(url) {
        Some(start) => split(&url[start..]),
        None => Default::default(),
    };
    (without_controls(path), without_controls(query))
}

fn split(text: &[u8]) -> (&[u8], &[u8]) {
    let text = text.split(|byte| *byte == b'#').next().unwrap_or_default();
    match text.iter().position(|byte| *byte == b'?') {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, b""),
    }
}

fn without_controls(text: &[u8]) -> Vec<u8> {
    text.iter()
        .map(|byte| if byte.is_ascii_control() { b'_' } else { *byte })
        .collect()
}

/// Where the path starts; `None` for what `parse_url` refuses, and for a host alone.
fn path_start(url: &[u8]) -> Option<usize> {
    let relative = |from: usize| url[from..].starts_with(b"//");
    let Some(colon) = url.iter().position(|byte| *byte == b':') else {
        return if relative(0) {
            behind_host(url, 2, false)
        } else {
            Some(0)
        };
    };
    let tail = |byte: &u8| matches!(byte, b'?' | b'#');
    let tail = url.iter().position(tail).unwrap_or(url.len());
    let scheme = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    if colon == 0 || !url[..colon].iter().all(scheme) {
        return if colon == 0 || (colon + 1 < url.len() && colon < tail) {
            at_port(url, colon)
        } else if relative(0) {
            behind_host(url, 2, false)
        } else {
            Some(0)
        };
    }
    let rest = &url[colon + 1..];
    if rest.is_empty() {
        return None;
    }
    if rest[0] != b'/' {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let ends = matches!(rest.get(digits), None | Some(b'/'));
        return if ends && digits < 6 {
            at_port(url, colon)
        } else {
            Some(colon + 1)
        };
    }
    if rest.get(1) != Some(&b'/') {
        return Some(colon + 1);
    }
    let host = colon + 3;
    if url[..colon].eq_ignore_ascii_case(b"file") && url.get(host) == Some(&b'/') {
        let drive = url.get(colon + 5) == Some(&b':');
        return Some(if drive { colon + 4 } else { host });
    }
    behind_host(url, host, false)
}

/// The first colon may stand before a port.
fn at_port(url: &[u8], colon: usize) -> Option<usize> {
    let from = &url[colon + 1..];
    let digits = from
        .iter()
        .take(6)
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let relative = url.starts_with(b"//");
    if (1..6).contains(&digits) && matches!(from.get(digits), None | Some(b'/')) {
        let port: u32 = std::str::from_utf8(&from[..digits]).ok()?.parse().ok()?;
        let start = if relative { 2 } else { 0 };
        return (port <= 65_535)
            .then(|| behind_host(url, start, port != 0))
            .flatten();
    }
    if from.is_empty() {
        return None;
    }
    if relative {
        behind_host(url, 2, false)
    } else {
        Some(0)
    }
}

/// The end of the host that starts at `start`; `None` when it is empty, has a bad port, or ends the URL.
fn behind_host(url: &[u8], start: usize, port_known: bool) -> Option<usize> {
    let stop = |byte: &u8| matches!(byte, b'/' | b'?' | b'#');
    let end = url[start..]
        .iter()
        .position(stop)
        .map_or(url.len(), |at| start + at);
    let user = url[start..end].iter().rposition(|byte| *byte == b'@');
    let host = user.map_or(start, |at| start + at + 1);
    let name = &url[host..end];
    // PHP looks at the byte before the end, which stands before an empty host.
    let in_brackets = url.get(host) == Some(&b'[') && end > 0 && url[end - 1] == b']';
    let port = name
        .iter()
        .rposition(|byte| *byte == b':')
        .filter(|_| !in_brackets);
    if let Some(at) = port.filter(|_| !port_known) {
        let digits = &name[at + 1..];
        if digits.len() > 5 || !(digits.is_empty() || valid_port(digits)) {
            return None;
        }
    }
    let length = port.unwrap_or(name.len());
    (length > 0 && end < url.len()).then_some(end)
}

/// As C's `strtol` reads it: blanks and a sign may come first, anything may follow.
fn valid_port(text: &[u8]) -> bool {
    let text = text.trim_ascii_start();
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let count = digits
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let number: u32 = std::str::from_utf8(&digits[..count])
        .unwrap_or_default()
        .parse()
        .unwrap_or(u32::MAX);
    number <= if negative { 0 } else { 65_535 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_split_as_parse_url_splits_them() {
        for (url, path, query) in [
            ("crm.x?a=1#b", "crm.x", "a=1"),
            ("crm.x#b?a=1", "crm.x", ""),
            ("x:80?a=1", "80", "a=1"),
            ("http://h/p?q", "/p", "q"),
            ("//h/p?q", "/p", "q"),
            ("/p?q", "/p", "q"),
            ("crm.x?f=10:00", "crm.x", "f=10:00"),
            ("?a=1", "", "a=1"),
            ("crm.x?a\n=1", "crm.x", "a_=1"),
            ("x:?a=1", "", "a=1"),
            (":80", "", ""),
            ("x:80", "", ""),
            ("x:80/p?q", "/p", "q"),
            ("file:///p?q", "/p", "q"),
            ("x:123456?a", "123456", "a"),
            ("x://?a", "", ""),
            ("user:pass@h?x", "pass@h", "x"),
            ("x?y?z#", "x", "y?z"),
            ("///a", "", ""),
        ] {
            let (found_path, found_query) = path_and_query(url.as_bytes());
            assert_eq!(String::from_utf8_lossy(&found_path), path, "{url}");
            assert_eq!(String::from_utf8_lossy(&found_query), query, "{url}");
        }
    }
}
