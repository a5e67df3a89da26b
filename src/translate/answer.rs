//! The one case in which an answer's body is changed: a refused command's error says what to call instead. The portal
//! itself could only say that it has no such method ([`super::BLOCKED_METHOD`]).
use super::edit::{Edit, splice};
use crate::protocol::answer::{BatchError, Format, batch_errors, error_members};
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// The code of the portal's error for a method that it has not.
pub(super) const NOT_FOUND: &str = "ERROR_METHOD_NOT_FOUND";

/// A batch's answer with other errors for some of its commands, given as key, code and description; `None` where there
/// is nothing to replace, or the answer is not in `format` or cannot be read.
pub fn replace_refused(
    body: &[u8],
    format: Format,
    refused: &[(&str, &str, &str)],
) -> Option<Vec<u8>> {
    let errors: Vec<BatchError> = batch_errors(body)
        .into_iter()
        .filter(|error| error.format == format && error.code == NOT_FOUND)
        .collect();
    // Each error gives way once, though a key may have been refused under several spellings of `cmd`.
    let mut by_key: HashMap<&str, (&str, &str)> = HashMap::with_capacity(refused.len());
    let mut numbered = Vec::new();
    for (key, code, description) in refused {
        if let Entry::Vacant(free) = by_key.entry(key) {
            free.insert((code, description));
            if last_key(key).parse::<i64>().is_ok() {
                numbered.push((*code, *description));
            }
        }
    }
    let in_place_of = |error: &BatchError, (code, description): (&str, &str)| {
        Edit::new(error.span.clone(), error_members(format, code, description))
    };
    let mut edits = Vec::new();
    let mut items = Vec::new();
    for error in &errors {
        match by_key.get(error.key.as_str()) {
            Some(ours) => edits.push(in_place_of(error, *ours)),
            None if last_key(&error.key) == "item" => items.push(error),
            None => {}
        }
    }
    // XML does not tell numbers: such commands are known by their order, if there are as many as there should be.
    if format == Format::Xml && numbered.len() == items.len() {
        let edited = items.iter().zip(numbered);
        edits.extend(edited.map(|(error, ours)| in_place_of(error, ours)));
    }
    splice(body, edits)
}

/// The key of a command in its own batch.
fn last_key(key: &str) -> &str {
    key.rsplit('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::answer::batch_error_codes;
    use proptest::prelude::*;

    const REFUSED: [(&str, &str, &str); 2] =
        [("a", "BLOCKED", "call b"), ("1", "BLOCKED", "call c")];

    fn replaced(body: &str, format: Format) -> Option<String> {
        replace_refused(body.as_bytes(), format, &REFUSED)
            .map(|body| String::from_utf8(body).unwrap())
    }

    #[test]
    fn only_the_refused_commands_errors_are_replaced() {
        let error = r#"{"error":"ERROR_METHOD_NOT_FOUND","error_description":"Method not found!"}"#;
        let ours = |what| format!(r#"{{"error":"BLOCKED","error_description":"call {what}"}}"#);
        let body = |a: &str, b: &str, one: &str| {
            format!(
                r#"{{"result":{{"result":[],"result_error":{{"a":{a},"b" : {b},"1":{one}}}}},"time":{{"start":1.0}}}}"#
            )
        };
        assert_eq!(
            replaced(&body(error, error, error), Format::Json),
            Some(body(&ours("b"), error, &ours("c")))
        );
        assert_eq!(replaced(&body(error, error, error), Format::Xml), None);
        assert_eq!(replaced("{", Format::Json), None);
        assert_eq!(
            replaced(
                r#"{"result":{"result":{"a":1},"result_error":[]}}"#,
                Format::Json
            ),
            None
        );
    }

    #[test]
    fn xml_too() {
        let error = "<error>ERROR_METHOD_NOT_FOUND</error><error_description>Method not found!</error_description>";
        let ours = |what| {
            format!("<error>BLOCKED</error><error_description>call {what}</error_description>")
        };
        let body = |a: &str, item: &str| {
            format!(
                "<?xml version=\"1.0\"?>\n<response><result><result></result><result_error><a>{a}</a><item>{item}</item>\
                 </result_error></result></response>"
            )
        };
        assert_eq!(
            replaced(&body(error, error), Format::Xml),
            Some(body(&ours("b"), &ours("c")))
        );
    }

    #[test]
    fn a_key_that_was_refused_twice_is_replaced_once() {
        let error = r#"{"error":"ERROR_METHOD_NOT_FOUND","error_description":"Method not found!"}"#;
        let body = format!(r#"{{"result":{{"result":[],"result_error":{{"a":{error}}}}}}}"#);
        let twice = [("a", "BLOCKED", "call b"), ("a", "BLOCKED", "call c")];
        let replaced = replace_refused(body.as_bytes(), Format::Json, &twice).unwrap();
        let ours = r#"{"error":"BLOCKED","error_description":"call b"}"#;
        assert_eq!(
            String::from_utf8(replaced).unwrap(),
            body.replace(error, ours)
        );
    }

    const KEYS: &[&str] = &["a", "b", "0", "1", "-1", "item", "a/i", "item/0", ""];

    proptest! {
        #[test]
        fn whatever_keys_were_refused_their_errors_are_ours_and_no_others(
            refused in prop::collection::vec(prop::sample::select(KEYS), 0..9),
            failed in prop::collection::vec(prop::sample::select(&KEYS[..6]), 0..9),
            xml in any::<bool>(),
        ) {
            let format = if xml { Format::Xml } else { Format::Json };
            let members = error_members(format, NOT_FOUND, "");
            let errors: Vec<String> = failed.iter().map(|key| match format {
                Format::Xml => {
                    let name = if key.parse::<i64>().is_ok() { "item" } else { key };
                    format!("<{name}>{members}</{name}>")
                }
                Format::Json => format!("\"{key}\":{members}"),
            }).collect();
            let body = match format {
                Format::Xml => format!("<response><result><result_error>{}</result_error></result></response>", errors.concat()),
                Format::Json => format!("{{\"result\":{{\"result_error\":{{{}}}}}}}", errors.join(",")),
            };
            let ours: Vec<_> = refused.iter().map(|key| (*key, "BLOCKED", "call b")).collect();
            let replaced = replace_refused(body.as_bytes(), format, &ours);
            let after = batch_error_codes(replaced.as_deref().unwrap_or(body.as_bytes()));
            prop_assert_eq!(after.len(), failed.len());
            for (key, (_, code)) in failed.iter().zip(&after) {
                if key.parse::<i64>().is_err() && (!xml || *key != "item") {
                    prop_assert_eq!(code == "BLOCKED", refused.contains(key), "{}", key);
                }
            }
        }
    }
}
