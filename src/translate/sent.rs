//! The names of the parameters and fields that a call sends: names only, never values.
//!
//! A name is written as a form writes it, `fields[TITLE]`, `rows[][PRICE]`; a place in a list is `[]`. What does not look
//! like a name is left out with all that is in it, for it may be a value that stands at a name's place.

use super::batch;
use super::verdict::{Call, DeprecatedUse};
use crate::protocol::Layer;
use crate::protocol::call::{Body, read_body};
use crate::protocol::form::{self, Limit};
use crate::protocol::name::Name;
use crate::protocol::target::query;
use crate::protocol::{json, multipart};

/// So many names are kept of a call, and of a caller's use of a method.
pub const MOST_NAMES: usize = 64;

/// The largest body that is looked into.
const LARGEST: usize = 64 * 1024;

/// So many parts of a name are told.
const DEEPEST: usize = 5;

/// So many entries of a list are looked into.
const ENTRIES: usize = 8;

/// The longest part of a name.
const LONGEST: usize = 48;

/// What a call sends beside its parameters, in lower case.
const BESIDE: [&[u8]; 11] = [
    b"access_token",
    b"app_sid",
    b"auth",
    b"auth_id",
    b"bx24_request_id",
    b"bx24_sdk_type",
    b"bx24_sdk_ver",
    b"client_id",
    b"client_secret",
    b"refresh_token",
    b"sessid",
];

/// Notes in the uses of a call which names it sends, where `wants` says so.
pub fn note(
    call: &Call<'_>,
    uses: &mut [DeprecatedUse],
    mut wants: impl FnMut(&DeprecatedUse) -> bool,
) {
    let mut wanted: Vec<&mut DeprecatedUse> = uses.iter_mut().filter(|used| wants(used)).collect();
    match &mut wanted[..] {
        [] => {}
        [only] if only.batch_key.is_none() => only.parameters = names(call),
        _ => batch::commands(call, &mut |key, command| {
            let of_key = |used: &&mut &mut DeprecatedUse| used.batch_key.as_deref() == Some(key);
            if let Some(used) = wanted.iter_mut().find(of_key) {
                let mut sent = Sent::default();
                sent.take_form(command, query(command), Limit::QUERY);
                used.parameters = sent.0;
            }
        }),
    }
}

/// The names that a single call sends, in its query and in its body.
pub fn names(call: &Call<'_>) -> Vec<String> {
    let mut sent = Sent::default();
    sent.take_form(call.target, query(call.target), Limit::QUERY);
    let body = call.counting_body();
    if body.is_empty() || body.len() > LARGEST || call.has_packed_body() {
        return sent.0;
    }
    match read_body(call.content_type, body, |_| false) {
        Ok(Body::Json { top, .. }) => sent.take_json(body, &top, &mut Vec::new()),
        Ok(Body::Form { span, limit, .. }) => sent.take_form(body, span, limit),
        Ok(Body::Multipart { boundary }) => {
            for field in multipart::fields(body, boundary).filter(|field| field.is_read) {
                sent.take_field(&field.name.text);
            }
        }
        Ok(Body::Empty { .. }) | Err(_) => {}
    }
    sent.0
}

/// The names so far, each once.
#[derive(Default)]
struct Sent(Vec<String>);

impl Sent {
    fn is_full(&self) -> bool {
        self.0.len() >= MOST_NAMES
    }

    fn take_form(&mut self, bytes: &[u8], span: std::ops::Range<usize>, limit: Limit) {
        for pair in form::pairs(bytes, span, limit).take_while(|pair| pair.is_read) {
            let (name, value) = pair.split(bytes);
            // Without a `=` it may be anything.
            if value.start > name.end {
                self.take_field(&Layer::Form.decode(&bytes[name]));
            }
            if self.is_full() {
                return;
            }
        }
    }

    /// The name of a form's field.
    fn take_field(&mut self, decoded: &[u8]) {
        let Some(name) = Name::read(decoded).filter(|name| !name.is_too_deep()) else {
            return;
        };
        let depth = name.keys().len().min(DEEPEST);
        let parts: Option<Vec<String>> = (0..depth)
            .map(|at| part(name.key(at).unwrap_or_default(), at))
            .collect();
        self.put(parts.as_deref());
    }

    /// What is in an object or a list. `path` leads to it.
    fn take_json(&mut self, bytes: &[u8], value: &json::Value, path: &mut Vec<String>) {
        let is_list = value.kind == json::Kind::List;
        // At the top a list holds parameters by their places.
        let most = if is_list && !path.is_empty() {
            ENTRIES
        } else {
            usize::MAX
        };
        for (place, member) in json::members(bytes, value).take(most).enumerate() {
            if self.is_full() {
                return;
            }
            let named = match is_list {
                true => part(place.to_string().as_bytes(), path.len()),
                false => part(&json::text(bytes, &member.key), path.len()),
            };
            let Some(named) = named else { continue };
            path.push(named);
            let is_leaf = json::members(bytes, &member.value).next().is_none();
            if is_leaf || path.len() == DEEPEST {
                self.put(Some(path));
            } else {
                self.take_json(bytes, &member.value, path);
            }
            path.pop();
        }
    }

    fn put(&mut self, parts: Option<&[String]>) {
        let Some([first, inside @ ..]) = parts else {
            return;
        };
        let is_beside = |name: &&[u8]| first.as_bytes().eq_ignore_ascii_case(name);
        if self.is_full() || BESIDE.iter().any(is_beside) {
            return;
        }
        let mut name = first.clone();
        for part in inside {
            name.push('[');
            name.push_str(part);
            name.push(']');
        }
        if !self.0.contains(&name) {
            self.0.push(name);
        }
    }
}

/// A part of a name as it is told; nothing where it does not look like one. `at` is its place among the parts.
fn part(key: &[u8], at: usize) -> Option<String> {
    let is_place = key.iter().all(u8::is_ascii_digit);
    if is_place && at > 0 {
        return Some(String::new());
    }
    if is_place {
        return (1..=2).contains(&key.len()).then(|| text(key));
    }
    let is_operator = |byte: &u8| b"!@%<>=~*?-".contains(byte);
    let operator = key.iter().take_while(|byte| is_operator(byte)).count();
    let name = &key[operator..];
    let is_inside = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.".contains(byte);
    let begins = name
        .first()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_');
    let is_name = begins && name.iter().all(is_inside) && !looks_random(name);
    (is_name && operator <= 3 && key.len() <= LONGEST).then(|| text(key))
}

/// Whether a name looks like a key or a token: no word is that long and full of digits.
fn looks_random(name: &[u8]) -> bool {
    let digits = name.iter().filter(|byte| byte.is_ascii_digit()).count();
    let is_run = name.iter().all(u8::is_ascii_alphanumeric);
    is_run && name.len() >= 16 && digits >= 3 && !name.starts_with(b"ufCrm")
}

fn text(key: &[u8]) -> String {
    String::from_utf8_lossy(key).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{Catalogue, Mode};
    use crate::protocol::target::{RestPath, place};

    fn call<T>(
        target: &str,
        content_type: &str,
        body: &str,
        with: impl FnOnce(&Call<'_>) -> T,
    ) -> T {
        let place = place(target.as_bytes(), &RestPath::default());
        with(&Call {
            verb: b"POST",
            target: target.as_bytes(),
            place: &place,
            content_type: Some(content_type.as_bytes()),
            content_encoding: None,
            body: body.as_bytes(),
            doubt: None,
        })
    }

    fn sent(target: &str, content_type: &str, body: &str) -> Vec<String> {
        call(target, content_type, body, names)
    }

    const ADD: &str = "/rest/1/code/crm.lead.add";
    const FORM: &str = "application/x-www-form-urlencoded";

    #[test]
    fn names_are_the_same_in_every_encoding() {
        let expected = [
            "fields[TITLE]",
            "fields[PHONE][][VALUE]",
            "params[REGISTER_SONET_EVENT]",
        ];
        let form = "fields[TITLE]=a&fields%5BPHONE%5D[0][VALUE]=1&fields[PHONE][1][VALUE]=2&params[REGISTER_SONET_EVENT]=Y";
        let json = r#"{"fields":{"TITLE":"a","PHONE":[{"VALUE":"1"},{"VALUE":"2"}]},"params":{"REGISTER_SONET_EVENT":"Y"}}"#;
        let field = |name: &str| {
            format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\nv\r\n")
        };
        let multipart: String = [
            "fields[TITLE]",
            "fields[PHONE][0][VALUE]",
            "params[REGISTER_SONET_EVENT]",
        ]
        .iter()
        .map(|name| field(name))
        .collect();
        assert_eq!(sent(ADD, FORM, form), expected);
        assert_eq!(sent(&format!("{ADD}?{form}"), FORM, ""), expected);
        assert_eq!(sent(ADD, "application/json", json), expected);
        assert_eq!(
            sent(
                ADD,
                "multipart/form-data; boundary=b",
                &format!("{multipart}--b--\r\n")
            ),
            expected
        );
    }

    #[test]
    fn parameters_by_their_place_keep_it() {
        assert_eq!(
            sent(
                "/rest/1/code/task.item.list",
                "application/json",
                r#"[{"ID":"asc"},{">CREATED_DATE":"2026-01-01","RESPONSIBLE_ID":[1,2]},{"NAV_PARAMS":{"iNumPage":2}},[]]"#
            ),
            [
                "0[ID]",
                "1[>CREATED_DATE]",
                "1[RESPONSIBLE_ID][]",
                "2[NAV_PARAMS][iNumPage]",
                "3"
            ]
        );
    }

    #[test]
    fn no_value_and_no_credential_is_told() {
        let json = r#"{"auth":"s3cret","fields":{"TITLE":"s3cret","ann@example.com":"x","12 High Street":1,"a1b2c3d4e5f6g7h8i9":1,
            "Иван":{"x":1},"UF_CRM_1612345678901":"s3cret"},"select":["s3cret"],"access_token":{"a":"s3cret"}}"#;
        let told = sent(
            "/rest/1/code/crm.lead.add?s3cret&auth=s3cret&start=50&s3cret%00=1&=s3cret",
            "application/json",
            json,
        );
        assert_eq!(
            told,
            [
                "start",
                "s3cret",
                "fields[TITLE]",
                "fields[UF_CRM_1612345678901]",
                "select[]"
            ]
        );
    }

    #[test]
    fn of_many_names_the_first_are_told() {
        let many: String = (0..200).map(|n| format!("filter[F_{n}]=1&")).collect();
        assert_eq!(sent(ADD, FORM, &many).len(), MOST_NAMES);
        let many: Vec<String> = (0..200).map(|n| format!("\"F_{n}\":1")).collect();
        let json = format!("{{{}}}", many.join(","));
        assert_eq!(sent(ADD, "application/json", &json).len(), MOST_NAMES);
        let large = format!("{{\"a\":\"{}\"}}", "x".repeat(LARGEST));
        assert!(sent(ADD, "application/json", &large).is_empty());
    }

    #[test]
    fn each_command_of_a_batch_has_its_own_names() {
        let body = r#"{"cmd":{"a":"crm.deal.list?filter[%3EID]=1&select[]=ID","b":"crm.lead.add?fields[TITLE]=x","c":"user.current"}}"#;
        let catalogue = Catalogue::builtin();
        let uses = call("/rest/1/code/batch", "application/json", body, |call| {
            let mut uses = super::super::translate(call, &catalogue, &|_| Mode::Observe).uses;
            note(call, &mut uses, |used| {
                used.batch_key.as_deref() != Some("x")
            });
            uses
        });
        let told: Vec<(Option<&str>, &[String])> = uses
            .iter()
            .map(|used| (used.batch_key.as_deref(), &used.parameters[..]))
            .collect();
        assert_eq!(
            told,
            [
                (
                    Some("a"),
                    &["filter[>ID]".to_owned(), "select[]".to_owned()][..]
                ),
                (Some("b"), &["fields[TITLE]".to_owned()][..]),
            ]
        );
    }
}
