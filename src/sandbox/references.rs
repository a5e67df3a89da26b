//! `$result[…]` in a command of a batch: what an earlier command gave (PROTOCOL §5, pure).

use super::php::{Array, Key, Value};

/// The parameters with each `$result[key][field]` in a value replaced by what it names.
pub(super) fn with_results(parameters: &Array, results: &Array) -> Array {
    let replaced = |value: &Value| match value {
        Value::Array(array) => Value::Array(with_results(array, results)),
        Value::Text(text) => replace_references(text, results),
        other => other.clone(),
    };
    parameters
        .iter()
        .map(|(key, value)| (key.clone(), replaced(value)))
        .collect()
}

fn replace_references(text: &[u8], results: &Array) -> Value {
    const MARK: &[u8] = b"$result";
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.windows(MARK.len()).position(|window| window == MARK) {
        let behind = &rest[at + MARK.len()..];
        let (keys, length) = reference_keys(behind);
        let found = lookup(&keys, results);
        if let (Some(value), true) = (found, at == 0 && out.is_empty() && length == behind.len()) {
            return value.clone();
        }
        out.extend_from_slice(&rest[..at]);
        match found {
            Some(value) => out.extend_from_slice(&printed(value)),
            None => out.extend_from_slice(&rest[at..at + MARK.len() + length]),
        }
        rest = &behind[length..];
    }
    out.extend_from_slice(rest);
    Value::Text(out)
}

/// The keys in `[a][b]…` at the start of `text`, and the length of that.
fn reference_keys(text: &[u8]) -> (Vec<Key>, usize) {
    let (mut keys, mut at) = (Vec::new(), 0);
    while text.get(at) == Some(&b'[') {
        let Some(length) = text[at + 1..]
            .iter()
            .position(|byte| *byte == b']')
            .filter(|length| *length > 0)
        else {
            break;
        };
        keys.push(Key::of(&text[at + 1..at + 1 + length]));
        at += length + 2;
    }
    (keys, at)
}

fn lookup<'a>(keys: &[Key], results: &'a Array) -> Option<&'a Value> {
    let (first, rest) = keys.split_first()?;
    let found = results.get(first)?;
    rest.iter()
        .try_fold(found, |value, key| value.as_array()?.get(key))
}

fn printed(value: &Value) -> Vec<u8> {
    match value {
        Value::Null | Value::Bool(false) => Vec::new(),
        Value::Bool(true) => b"1".to_vec(),
        Value::Int(number) => number.to_string().into_bytes(),
        Value::Float(number) => number.to_string().into_bytes(),
        Value::Text(text) => text.clone(),
        Value::Array(_) => b"Array".to_vec(),
    }
}
