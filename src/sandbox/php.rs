//! PHP's values as a portal handles them: ordered arrays, numeric keys, casts. What a call's parameters become
//! before any method sees them (PROTOCOL §2). All rules here were compared with PHP 8.2.

use std::collections::HashMap;
use std::fmt;

/// A key of a PHP array. A string that spells an integer *is* that integer.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// An integer, or a string that spells one in its shortest form.
    Int(i64),
    /// Any other string; bytes, since PHP asks for no encoding.
    Text(Vec<u8>),
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Int(number) => number.fmt(f),
            Key::Text(name) => fmt::Debug::fmt(&name.escape_ascii().to_string(), f),
        }
    }
}

impl Key {
    /// The key that PHP makes of `name`: `"7"` is the integer 7, `"07"`, `"-0"` and `"7 "` stay strings.
    pub fn of(name: &[u8]) -> Key {
        let digits = name.strip_prefix(b"-").unwrap_or(name);
        let shortest = match digits {
            [b'0'] => name.len() == 1,
            [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
            _ => false,
        };
        let integer = shortest
            .then(|| std::str::from_utf8(name).ok()?.parse().ok())
            .flatten();
        integer.map_or_else(|| Key::Text(name.to_vec()), Key::Int)
    }

    /// The key as bytes, as it would be printed.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Key::Int(number) => number.to_string().into_bytes(),
            Key::Text(name) => name.clone(),
        }
    }
}

/// A PHP value. Numbers are equal only within their type, as `===` has it.
#[derive(Clone, PartialEq)]
pub enum Value {
    /// JSON `null`: not set.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A 64-bit integer.
    Int(i64),
    /// A double.
    Float(f64),
    /// A string of bytes.
    Text(Vec<u8>),
    /// A list or map.
    Array(Array),
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("null"),
            Value::Bool(flag) => flag.fmt(f),
            Value::Int(number) => number.fmt(f),
            Value::Float(number) => number.fmt(f),
            Value::Text(text) => fmt::Debug::fmt(&text.escape_ascii().to_string(), f),
            Value::Array(array) => array.fmt(f),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.as_bytes().to_vec())
    }
}

impl Value {
    /// `(int) $value`: never fails; what has no number is 0, a non-empty array is 1.
    pub fn to_int(&self) -> i64 {
        match self {
            Value::Null => 0,
            Value::Bool(flag) => i64::from(*flag),
            Value::Int(number) => *number,
            Value::Float(number) => modular(*number),
            Value::Text(text) => match leading_number(text).0 {
                Some(Number::Int(number)) => number,
                Some(Number::Float(number)) => saturating(number),
                None => 0,
            },
            Value::Array(array) => i64::from(!array.is_empty()),
        }
    }

    /// `(bool) $value`: `""`, `"0"`, zero, `null` and `[]` are false, and nothing else.
    pub fn truthy(&self) -> bool {
        match self {
            Value::Null => false,
            Value::Bool(flag) => *flag,
            Value::Int(number) => *number != 0,
            Value::Float(number) => *number != 0.0,
            Value::Text(text) => !matches!(text.as_slice(), b"" | b"0"),
            Value::Array(array) => !array.is_empty(),
        }
    }

    /// What a parameter declared `int` makes of the value, or `None` where PHP throws a `TypeError`.
    pub fn as_int_parameter(&self) -> Option<i64> {
        let whole = |number: f64| {
            (number.is_finite() && (-9.223372036854776e18..9.223372036854776e18).contains(&number))
                .then_some(number as i64)
        };
        match self {
            Value::Null | Value::Array(_) => None,
            Value::Bool(flag) => Some(i64::from(*flag)),
            Value::Int(number) => Some(*number),
            Value::Float(number) => whole(*number),
            Value::Text(text) => match leading_number(text) {
                (Some(Number::Int(number)), true) => Some(number),
                (Some(Number::Float(number)), true) => whole(number),
                _ => None,
            },
        }
    }

    /// `is_numeric($value)`.
    pub fn is_numeric(&self) -> bool {
        match self {
            Value::Int(_) | Value::Float(_) => true,
            Value::Text(text) => matches!(leading_number(text), (Some(_), true)),
            _ => false,
        }
    }

    /// The array, if the value is one.
    pub fn as_array(&self) -> Option<&Array> {
        match self {
            Value::Array(array) => Some(array),
            _ => None,
        }
    }

    /// The string, if the value is one.
    pub fn as_text(&self) -> Option<&[u8]> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

enum Number {
    Int(i64),
    Float(f64),
}

/// PHP's `mb_strtolower`, which knows all letters. What is not UTF-8 is no name of a method.
pub(crate) fn lower_cased(name: &[u8]) -> Vec<u8> {
    match std::str::from_utf8(name) {
        Ok(text) => text
            .chars()
            .flat_map(char::to_lowercase)
            .collect::<String>()
            .into_bytes(),
        Err(_) => name.to_ascii_lowercase(),
    }
}

/// The number at the start of a string, and whether nothing but white space follows it.
fn leading_number(text: &[u8]) -> (Option<Number>, bool) {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c);
    let start = text.iter().take_while(|byte| blank(byte)).count();
    let text = &text[start..];
    let digits = |from: usize| {
        let rest = text.get(from..).unwrap_or_default();
        rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
    };
    let sign = usize::from(matches!(text.first(), Some(b'+' | b'-')));
    let mut end = sign + digits(sign);
    let mut integer = end > sign;
    if text.get(end) == Some(&b'.') && (integer || digits(end + 1) > 0) {
        end += 1 + digits(end + 1);
        integer = false;
    }
    if end == sign {
        return (None, false);
    }
    if matches!(text.get(end), Some(b'e' | b'E')) {
        let signed = usize::from(matches!(text.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits(end + 1 + signed);
        if exponent > 0 {
            end += 1 + signed + exponent;
            integer = false;
        }
    }
    let spelled = std::str::from_utf8(&text[..end]).unwrap_or_default();
    let number = match spelled.parse::<i64>() {
        Ok(number) if integer => Number::Int(number),
        _ => Number::Float(spelled.parse().unwrap_or_default()),
    };
    (Some(number), text[end..].iter().all(blank))
}

/// A float as `(int)` casts it: modulo 2^64, infinities and NaN are 0.
fn modular(number: f64) -> i64 {
    const TWO_TO_64: f64 = 18_446_744_073_709_551_616.0;
    if !number.is_finite() {
        return 0;
    }
    (number.trunc() % TWO_TO_64) as i128 as i64
}

/// A float from a string as `(int)` casts it: held at the ends, infinities are 0.
fn saturating(number: f64) -> i64 {
    if number.is_infinite() {
        0
    } else {
        number as i64
    }
}

/// A PHP array: keys in the order in which they first came, each once.
#[derive(Clone, Default)]
pub struct Array {
    entries: Vec<(Key, Value)>,
    /// Where each key stands; empty while the array is small.
    places: HashMap<Key, usize>,
    /// The greatest integer key there ever was: what `[]=` appends follows it.
    last: Option<i64>,
}

/// Up to this many entries are searched in a row.
const SMALL: usize = 16;

/// Parameters that carry credentials (PROTOCOL §3): their values are not printed.
const SECRET: [&str; 10] = [
    "auth",
    "access_token",
    "refresh_token",
    "ap",
    "aplogin",
    "sessid",
    "client_secret",
    "app_sid",
    "application_token",
    "code",
];

impl fmt::Debug for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = |key: &Key| {
            SECRET
                .iter()
                .any(|name| key.to_bytes().eq_ignore_ascii_case(name.as_bytes()))
        };
        let mut map = f.debug_map();
        for (key, value) in self.iter() {
            let value: &dyn fmt::Debug = if secret(key) { &"***" } else { value };
            map.entry(key, value);
        }
        map.finish()
    }
}

impl PartialEq for Array {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries
    }
}

impl FromIterator<(Key, Value)> for Array {
    fn from_iter<I: IntoIterator<Item = (Key, Value)>>(entries: I) -> Self {
        let mut array = Array::default();
        for (key, value) in entries {
            array.set(key, value);
        }
        array
    }
}

impl Array {
    /// An array from names and values; a name that spells an integer becomes one.
    pub fn of<const N: usize>(entries: [(&str, Value); N]) -> Self {
        entries
            .into_iter()
            .map(|(name, value)| (Key::of(name.as_bytes()), value))
            .collect()
    }

    /// A list: keys 0, 1, 2….
    pub fn list(values: impl IntoIterator<Item = Value>) -> Self {
        (0..).map(Key::Int).zip(values).collect()
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether the keys are 0, 1, 2… in this order.
    pub fn is_list(&self) -> bool {
        self.entries
            .iter()
            .zip(0..)
            .all(|((key, _), at)| *key == Key::Int(at))
    }

    /// Keys and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Value)> {
        self.entries.iter().map(|(key, value)| (key, value))
    }

    fn place(&self, key: &Key) -> Option<usize> {
        if self.entries.len() <= SMALL {
            return self.entries.iter().position(|(have, _)| have == key);
        }
        self.places.get(key).copied()
    }

    /// The value under `key`, `null` included.
    pub fn get(&self, key: &Key) -> Option<&Value> {
        self.place(key).map(|at| &self.entries[at].1)
    }

    /// The value under `name`, unless it is absent or `null`: PHP's `isset`.
    pub fn isset(&self, name: &str) -> Option<&Value> {
        self.get(&Key::of(name.as_bytes()))
            .filter(|value| **value != Value::Null)
    }

    /// The first of `names` that is set.
    pub fn first_set(&self, names: &[&str]) -> Option<&Value> {
        names.iter().find_map(|name| self.isset(name))
    }

    /// Put `value` under `key`: a key that is there keeps its place.
    pub fn set(&mut self, key: Key, value: Value) {
        *self.entry(key) = value;
    }

    /// Put `value` behind the greatest integer key; dropped when there is no greater one.
    pub fn append(&mut self, value: Value) {
        if let Some(slot) = self.appended() {
            *slot = value;
        }
    }

    /// The slot of `key`, made (as `null`) where it is missing.
    pub(crate) fn entry(&mut self, key: Key) -> &mut Value {
        let at = self.place(&key).unwrap_or_else(|| self.push(key));
        &mut self.entries[at].1
    }

    /// A new slot behind the greatest integer key.
    pub(crate) fn appended(&mut self) -> Option<&mut Value> {
        let key = self.last.map_or(Some(0), |last| last.checked_add(1))?;
        let at = self.push(Key::Int(key));
        Some(&mut self.entries[at].1)
    }

    fn push(&mut self, key: Key) -> usize {
        if let Key::Int(number) = key {
            self.last = Some(self.last.map_or(number, |last| last.max(number)));
        }
        let at = self.entries.len();
        self.entries.push((key, Value::Null));
        if at == SMALL {
            self.index();
        } else if at > SMALL {
            self.places.insert(self.entries[at].0.clone(), at);
        }
        at
    }

    fn index(&mut self) {
        self.places.clear();
        if self.entries.len() > SMALL {
            let places = self.entries.iter().enumerate();
            self.places = places.map(|(at, (key, _))| (key.clone(), at)).collect();
        }
    }

    /// Take `key` out; the others keep their order.
    pub fn remove(&mut self, key: &Key) {
        if let Some(at) = self.place(key) {
            self.entries.remove(at);
            self.index();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_that_spells_an_integer_in_its_shortest_form_is_an_integer_key() {
        for (name, integer) in [
            ("0", 0),
            ("7", 7),
            ("-3", -3),
            ("9223372036854775807", i64::MAX),
        ] {
            assert_eq!(Key::of(name.as_bytes()), Key::Int(integer));
        }
        for name in [
            "",
            "-",
            "-0",
            "07",
            "7 ",
            "+7",
            "1.0",
            "9223372036854775808",
        ] {
            assert_eq!(Key::of(name.as_bytes()), Key::Text(name.into()));
        }
    }

    #[test]
    fn strings_become_integers_as_php_casts_them() {
        for (text, integer) in [
            ("12345678901234567890", i64::MAX),
            ("-12345678901234567890", i64::MIN),
            ("1e1000", 0),
            ("1e19", i64::MAX),
            (" 12 ", 12),
            ("\n\t12abc", 12),
            ("0x1A", 0),
            ("-1e3x", -1000),
            (".5", 0),
            ("1.9", 1),
            ("+5", 5),
            ("--5", 0),
            ("\u{b}7", 7),
            ("\0 7", 0),
            ("e5", 0),
            (".", 0),
        ] {
            assert_eq!(Value::from(text).to_int(), integer, "{text:?}");
        }
        assert_eq!(Value::Float(1e20).to_int(), 7_766_279_631_452_241_920);
        assert_eq!(Value::Float(-1e19).to_int(), 8_446_744_073_709_551_616);
        assert_eq!(Value::Float(-3.99).to_int(), -3);
    }

    #[test]
    fn an_int_parameter_refuses_what_is_no_number() {
        for text in ["5", "5 ", " 5", "5.0", "5.5"] {
            assert_eq!(Value::from(text).as_int_parameter(), Some(5), "{text:?}");
        }
        for text in ["", "abc", "5abc", "0x1A", "12345678901234567890"] {
            assert_eq!(Value::from(text).as_int_parameter(), None, "{text:?}");
        }
        assert_eq!(Value::Array(Array::default()).as_int_parameter(), None);
    }

    #[test]
    fn an_array_keeps_the_first_place_and_the_last_value() {
        let mut array: Array = (0..40).map(|at| (Key::Int(at), Value::Int(at))).collect();
        array.set(Key::Int(3), Value::Null);
        array.remove(&Key::Int(0));
        array.append(Value::Bool(true));
        assert_eq!(array.get(&Key::Int(3)), Some(&Value::Null));
        assert_eq!(array.isset("3"), None);
        assert_eq!(array.get(&Key::Int(40)), Some(&Value::Bool(true)));
        assert_eq!(array.iter().nth(2).map(|(key, _)| key), Some(&Key::Int(3)));
        assert!(!array.is_list());
    }
}
