//! Form strings as PHP reads them: a query, an urlencoded body, a raw body, the string of a batch command
//! (PROTOCOL §2).
//!
//! Written from PHP's documented and measured behaviour, not from the translator: the two check each other.

use super::php::{Array, Key, Value};

/// PHP's `max_input_vars`.
const MAX_PAIRS: usize = 1_000;
/// PHP's `max_input_nesting_level`.
const MAX_BRACKETS: usize = 64;

/// A query string, a raw body or a batch command's parameters: empty pairs do not count, a NUL ends it all, the
/// first 1,000 pairs are kept.
pub fn parse_str(text: &[u8]) -> Array {
    let text = until_nul(text);
    let pairs = text
        .split(|byte| *byte == b'&')
        .filter(|pair| !pair.is_empty());
    read(pairs.take(MAX_PAIRS))
}

/// An urlencoded body: empty pairs count, and one pair more is kept.
pub fn parse_urlencoded_body(body: &[u8]) -> Array {
    read(body.split(|byte| *byte == b'&').take(MAX_PAIRS + 1))
}

fn read<'a>(pairs: impl Iterator<Item = &'a [u8]>) -> Array {
    let mut variables = Array::default();
    for pair in pairs {
        let equals = pair.iter().position(|byte| *byte == b'=');
        let (name, value) = match equals {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &b""[..]),
        };
        register(
            &mut variables,
            &url_decode(name),
            Value::Text(url_decode(value)),
        );
    }
    variables
}

/// PHP's `urldecode`: `+` is a space, `%` before anything but two hex digits is itself.
pub fn url_decode(text: &[u8]) -> Vec<u8> {
    let mut decoded = percent_decode(text, true);
    decoded.shrink_to_fit();
    decoded
}

/// PHP's `rawurldecode`: `+` stays.
pub fn raw_url_decode(text: &[u8]) -> Vec<u8> {
    percent_decode(text, false)
}

fn percent_decode(text: &[u8], plus_is_space: bool) -> Vec<u8> {
    let hex = |at: usize| text.get(at).and_then(|byte| (*byte as char).to_digit(16));
    let mut decoded = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        match (text[at], hex(at + 1), hex(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high * 16 + low) as u8);
                at += 2;
            }
            (b'+', ..) if plus_is_space => decoded.push(b' '),
            (byte, ..) => decoded.push(byte),
        }
        at += 1;
    }
    decoded
}

/// `text` as a C string: a NUL ends it.
pub(crate) fn until_nul(text: &[u8]) -> &[u8] {
    text.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Where a name leads: an index, or `[]`, the next free one.
type Step = Option<Vec<u8>>;

/// Put `value` where a decoded `name` leads, brackets and all.
pub(crate) fn register(variables: &mut Array, name: &[u8], value: Value) {
    let name = until_nul(name);
    let name = &name[name.iter().take_while(|byte| **byte == b' ').count()..];
    let Some((steps, overflow)) = steps(name) else {
        return;
    };
    let (last, path) = steps.split_last().unwrap_or((&None, &[]));
    let Some(array) = innermost(variables, path, name) else {
        return;
    };
    match last {
        _ if overflow => {
            // The whole variable goes, earlier values included.
            let first = steps[0].as_deref().unwrap_or_default();
            variables.remove(&Key::of(first));
        }
        _ if forbidden(last, name) => {}
        Some(index) => array.set(Key::of(index), value),
        None => array.append(value),
    }
}

/// The array at the end of `path`, made where it is missing; `None` where PHP gives the pair up on the way.
fn innermost<'a>(variables: &'a mut Array, path: &[Step], name: &[u8]) -> Option<&'a mut Array> {
    let mut array = variables;
    for step in path {
        if forbidden(step, name) {
            return None;
        }
        let slot = match step {
            Some(index) => array.entry(Key::of(index)),
            None => array.appended()?,
        };
        if !matches!(slot, Value::Array(_)) {
            *slot = Value::Array(Array::default());
        }
        let Value::Array(inner) = slot else {
            return None;
        };
        array = inner;
    }
    Some(array)
}

/// PHP drops names that only mangling made look like a protected cookie.
fn forbidden(step: &Step, name: &[u8]) -> bool {
    let starts = |prefix: &[u8]| {
        step.as_deref().is_some_and(|step| step.starts_with(prefix)) && !name.starts_with(prefix)
    };
    starts(b"__Host-") || starts(b"__Secure-")
}

/// The steps of a name, and whether it has more brackets than PHP follows; `None` for a name that is no name.
fn steps(name: &[u8]) -> Option<(Vec<Step>, bool)> {
    let mangle = |part: &[u8]| -> Vec<u8> {
        let underscore = |byte: &u8| {
            if matches!(byte, b' ' | b'.' | b'[') {
                b'_'
            } else {
                *byte
            }
        };
        part.iter().map(underscore).collect()
    };
    let first = name
        .iter()
        .position(|byte| *byte == b'[')
        .unwrap_or(name.len());
    if first == 0 {
        return None;
    }
    let mut steps = vec![Some(mangle(&name[..first]))];
    let mut at = first;
    while name.get(at) == Some(&b'[') {
        if steps.len() > MAX_BRACKETS {
            return Some((steps, true));
        }
        let inside = &name[at + 1..];
        let blank = inside
            .first()
            .is_some_and(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c));
        let skipped = usize::from(blank);
        let Some(close) = inside[skipped..].iter().position(|byte| *byte == b']') else {
            if steps.len() == 1 {
                // An unclosed first bracket belongs to the name.
                steps = vec![Some(mangle(name))];
            }
            break;
        };
        let close = skipped + close;
        steps.push((close > skipped).then(|| inside[..close].to_vec()));
        at += 1 + close + 1;
    }
    Some((steps, false))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        super::super::json::encode(&Value::Array(parse_str(text.as_bytes())))
    }

    #[test]
    fn names_are_read_as_parse_str_reads_them() {
        for (text, json) in [
            ("a=1&b&=3&&c=%zz+d", r#"{"a":"1","b":"","c":"%zz d"}"#),
            (
                "a[b][c]=1&a[]=2&a[]=3",
                r#"{"a":{"b":{"c":"1"},"0":"2","1":"3"}}"#,
            ),
            ("ENTITY.TYPE%20ID=7", r#"{"ENTITY_TYPE_ID":"7"}"#),
            (
                "extras[lead.customer.type]=2",
                r#"{"extras":{"lead.customer.type":"2"}}"#,
            ),
            ("extras[x]lead[y]=2", r#"{"extras":{"x":"2"}}"#),
            ("a[b][c=1", r#"{"a":{"b":"1"}}"#),
            ("a[b.c d[e=1", r#"{"a_b_c_d_e":"1"}"#),
            ("a[%20]=1&a[%20b]=2", r#"{"a":{"0":"1"," b":"2"}}"#),
            (
                "%20+x=1&%09y=2&[z]=3&n%00m=4",
                r#"{"x":"1","\ty":"2","n":"4"}"#,
            ),
            ("a=1&a[b]=2", r#"{"a":{"b":"2"}}"#),
            ("a[b]=2&a=1", r#"{"a":"1"}"#),
            ("a[-5]=1&a[]=2", r#"{"a":{"-5":"1","-4":"2"}}"#),
            (
                "a[9223372036854775807]=1&a[]=2",
                r#"{"a":{"9223372036854775807":"1"}}"#,
            ),
        ] {
            assert_eq!(shown(text), json, "{text}");
        }
    }

    #[test]
    fn more_than_64_brackets_take_the_whole_variable_away() {
        assert_eq!(
            shown(&format!("a=1&a{}=2&b=3", "[x]".repeat(65))),
            r#"{"b":"3"}"#
        );
        assert_eq!(
            parse_str(format!("a{}=2", "[]".repeat(64)).as_bytes()).len(),
            1
        );
    }

    #[test]
    fn a_query_keeps_a_thousand_pairs_and_a_body_one_more() {
        let pairs: Vec<String> = (0..1_100).map(|at| format!("&a{at}=1")).collect();
        let text = pairs.concat();
        assert_eq!(parse_str(text.as_bytes()).len(), 1_000);
        // The pair before the first `&` is empty, and counts.
        assert_eq!(parse_urlencoded_body(text.as_bytes()).len(), 1_000);
        assert_eq!(parse_urlencoded_body(&text.as_bytes()[1..]).len(), 1_001);
    }
}
