//! The one case in which an answer's body is changed: a refused command's error says what to call instead. The portal
//! itself could only say that it has no such method ([`super::BLOCKED_METHOD`]).
use super::edit::{Edit, splice};
use crate::protocol::answer::{BatchError, Format, batch_errors, error_members};

/// The code of the portal's error for a method that it has not.
const NOT_FOUND: &str = "ERROR_METHOD_NOT_FOUND";

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
    let mut edits = Vec::new();
    for (key, code, description) in refused {
        if let Some(error) = errors.iter().find(|error| error.key == *key) {
            edits.push(Edit::new(
                error.span.clone(),
                error_members(format, code, description),
            ));
        }
    }
    // XML does not tell numbers: such commands are known by their order, if there are as many as there should be.
    let is_numbered = |key: &str| {
        key.rsplit('/')
            .next()
            .is_some_and(|key| key.parse::<i64>().is_ok())
    };
    let numbered: Vec<_> = refused
        .iter()
        .filter(|(key, ..)| is_numbered(key))
        .collect();
    let items: Vec<_> = errors
        .iter()
        .filter(|error| error.key.rsplit('/').next() == Some("item"))
        .collect();
    if format == Format::Xml && numbered.len() == items.len() {
        for ((_, code, description), error) in numbered.iter().zip(items) {
            edits.push(Edit::new(
                error.span.clone(),
                error_members(format, code, description),
            ));
        }
    }
    splice(body, edits)
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
