//! An error in the portal's shape, JSON or XML; the codes in what it sent (PROTOCOL §4, §5).
use super::json::{self, Kind, Value};
use super::{batch::full_key, xml};
use std::ops::Range;

/// The format in which a call asked to be answered: the last suffix of its method's name (PROTOCOL §1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `.json`, or no suffix.
    #[default]
    Json,
    /// `.xml`.
    Xml,
}

/// The Content-Type of an answer in `format`, as the portal sends it.
pub fn content_type(format: Format) -> &'static str {
    match format {
        Format::Json => "application/json; charset=utf-8",
        Format::Xml => "text/xml; charset=utf-8",
    }
}

/// The body of an error answer: a code for programs, a description for people.
pub fn error_body(format: Format, code: &str, description: &str) -> Vec<u8> {
    let members = error_members(format, code, description);
    match format {
        Format::Json => members.into_bytes(),
        Format::Xml => {
            format!("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<response>{members}</response>")
                .into_bytes()
        }
    }
}

/// An error as it stands in an answer, alone or under a command's key: an object in JSON, elements in XML.
pub fn error_members(format: Format, code: &str, description: &str) -> String {
    match format {
        Format::Json => {
            let quoted = |text: &str| serde_json::Value::from(text).to_string();
            format!(
                "{{\"error\":{},\"error_description\":{}}}",
                quoted(code),
                quoted(description)
            )
        }
        Format::Xml => {
            let (code, description) = (xml::escaped(code), xml::escaped(description));
            format!("<error>{code}</error><error_description>{description}</error_description>")
        }
    }
}

/// The code in an error answer of the portal, JSON or XML; `None` where there is none.
pub fn error_code(body: &[u8]) -> Option<String> {
    if let Some(top) = xml_top(body) {
        return xml_code(body, top);
    }
    json_code(body, &json::read(body, |_| {}).ok()?)
}

/// The codes of the commands that failed in a batch's answer, by the command's key; `outer/inner` in a batch inside a
/// batch.
pub fn batch_error_codes(body: &[u8]) -> Vec<(String, String)> {
    batch_errors(body)
        .into_iter()
        .map(|error| (error.key, error.code))
        .collect()
}

/// A command's error in a batch's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchError {
    /// The command's key. In XML a number is not told: `item` stands for it.
    pub key: String,
    /// The error's code.
    pub code: String,
    /// Where the error stands: in JSON the object, in XML what is inside the key's element.
    pub span: Range<usize>,
    /// How it is written.
    pub format: Format,
}

/// The errors of the commands in a batch's answer.
pub fn batch_errors(body: &[u8]) -> Vec<BatchError> {
    let mut errors = Vec::new();
    if let Some(top) = xml_top(body) {
        if let Some(result) = xml::element(body, top, "result") {
            collect_xml(body, result.inside, None, 0, &mut errors);
        }
    } else if let Ok(top) = json::read(body, |_| {})
        && let Some(result) = member(body, &top, b"result")
    {
        collect_json(body, &result, None, 0, &mut errors);
    }
    errors
}

/// A batch inside a batch is followed so far down, as the commands are.
const DEEPEST: usize = 4;

fn collect_json(
    body: &[u8],
    batch: &Value,
    outer: Option<&str>,
    depth: usize,
    errors: &mut Vec<BatchError>,
) {
    if let Some(failed) = member(body, batch, b"result_error") {
        for (key, value) in keyed(body, &failed) {
            if let Some(code) = json_code(body, &value) {
                errors.push(BatchError {
                    key: full_key(outer, &key),
                    code,
                    span: value.span,
                    format: Format::Json,
                });
            }
        }
        if let Some(results) = member(body, batch, b"result").filter(|_| depth < DEEPEST) {
            for (key, value) in keyed(body, &results) {
                collect_json(
                    body,
                    &value,
                    Some(&full_key(outer, &key)),
                    depth + 1,
                    errors,
                );
            }
        }
    }
}

fn collect_xml(
    body: &[u8],
    batch: Range<usize>,
    outer: Option<&str>,
    depth: usize,
    errors: &mut Vec<BatchError>,
) {
    let Some(failed) = xml::element(body, batch.clone(), "result_error") else {
        return;
    };
    let key_of = |name: Range<usize>| full_key(outer, &body[name]);
    for element in xml::elements(body, failed.inside) {
        if let Some(code) = xml_code(body, element.inside.clone()) {
            errors.push(BatchError {
                key: key_of(element.name),
                code,
                span: element.inside,
                format: Format::Xml,
            });
        }
    }
    if let Some(results) = xml::element(body, batch, "result").filter(|_| depth < DEEPEST) {
        for element in xml::elements(body, results.inside) {
            collect_xml(
                body,
                element.inside,
                Some(&key_of(element.name)),
                depth + 1,
                errors,
            );
        }
    }
}

/// The members of an object by key, the entries of a list by number.
fn keyed<'a>(body: &'a [u8], value: &Value) -> impl Iterator<Item = (Vec<u8>, Value)> + use<'a> {
    let is_list = value.kind == Kind::List;
    json::members(body, value)
        .enumerate()
        .map(move |(index, member)| {
            let key = if is_list {
                index.to_string().into_bytes()
            } else {
                json::text(body, &member.key).into_owned()
            };
            (key, member.value)
        })
}

fn member(body: &[u8], object: &Value, name: &[u8]) -> Option<Value> {
    json::members(body, object)
        .filter(|member| json::key_is(body, &member.key, name))
        .last()
        .map(|member| member.value)
}

fn json_code(body: &[u8], object: &Value) -> Option<String> {
    let error = member(body, object, b"error")?;
    let text = |span: &Range<usize>| String::from_utf8_lossy(&json::text(body, span)).into_owned();
    match error.kind {
        Kind::String => Some(text(&error.span)),
        Kind::Other => Some(String::from_utf8_lossy(&body[error.span]).into_owned()),
        _ => None,
    }
}

/// What is inside the result of an XML answer to a batch.
pub fn xml_batch(body: &[u8]) -> Option<Range<usize>> {
    let top = xml_top(body)?;
    xml::element(body, top, "result").map(|result| result.inside)
}

/// What is inside the `response` of an XML answer.
fn xml_top(body: &[u8]) -> Option<Range<usize>> {
    body.trim_ascii_start().starts_with(b"<").then_some(())?;
    xml::element(body, 0..body.len(), "response").map(|response| response.inside)
}

/// The code of an error whose members stand at `span`.
pub fn xml_code(body: &[u8], span: Range<usize>) -> Option<String> {
    xml::element(body, span, "error").map(|error| xml::text(&body[error.inside]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_written_and_its_code_read_in_both_formats() {
        for format in [Format::Json, Format::Xml] {
            let body = error_body(format, "A<\"&B", "what\n\"to\" do");
            assert_eq!(
                error_code(&body).as_deref(),
                Some("A<\"&B"),
                "{}",
                String::from_utf8_lossy(&body)
            );
        }
        assert_eq!(
            error_code(br#"{"error":"","error_description":"Access denied."}"#).as_deref(),
            Some("")
        );
        for other in [
            r#"{"result":{"error":"x"}}"#,
            "",
            "[]",
            "<html><error>x</error></html>",
            "{",
        ] {
            assert_eq!(error_code(other.as_bytes()), None, "{other}");
        }
    }

    fn codes(body: &str) -> Vec<(String, String)> {
        batch_error_codes(body.as_bytes())
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected
            .iter()
            .map(|(key, code)| ((*key).into(), (*code).into()))
            .collect()
    }

    #[test]
    fn the_codes_of_a_batchs_commands_are_found_by_key() {
        let nested = r#"{"result":{"result":{"o":{"result":[],"result_error":{"i":{"error":"I"}}},"x":5},
            "result_error":{"a":{"error":"A","error_description":""},"b\u002f":{"error":403}}},"time":{}}"#;
        assert_eq!(
            codes(nested),
            pairs(&[("a", "A"), ("b/", "403"), ("o/i", "I")])
        );
        assert_eq!(
            codes(r#"{"result":{"result":[],"result_error":[{"error":"Z"}]}}"#),
            pairs(&[("0", "Z")])
        );
        assert_eq!(
            codes(r#"{"result":{"result":{"a":1},"result_error":[]}}"#),
            []
        );
        assert_eq!(codes("<html>"), []);
        let xml = "<?xml version=\"1.0\"?><response><result><result><o><result></result><result_error><i><error>I</error></i>\
            </result_error></o></result><result_error><a><error>A</error></a><item><error>Z</error></item></result_error></result></response>";
        assert_eq!(
            codes(xml),
            pairs(&[("a", "A"), ("item", "Z"), ("o/i", "I")])
        );
    }
}
