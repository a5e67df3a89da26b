//! The sandbox's answers as bytes: JSON or XML, with the member `time` (PROTOCOL §4).

use std::time::{Duration, SystemTime};

use super::json;
use super::outcome::{Failure, Success};
use super::php::{Array, Key, Value};
use super::reading::Format;

/// When a call began and ended.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// When its head had been read.
    pub start: SystemTime,
    /// When its result was there.
    pub finish: SystemTime,
}

impl Span {
    /// From `start` until now.
    pub fn since(start: SystemTime) -> Span {
        Span {
            start,
            finish: SystemTime::now(),
        }
    }

    /// How long it took.
    pub fn duration(&self) -> Duration {
        self.finish.duration_since(self.start).unwrap_or_default()
    }

    /// The member `time`.
    pub fn to_value(self) -> Value {
        let seconds = |time: SystemTime| {
            time.duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default()
        };
        let date = |time: SystemTime| {
            let whole = i64::try_from(seconds(time).as_secs()).unwrap_or_default();
            let moment = jiff::Timestamp::from_second(whole).unwrap_or_default();
            Value::from(
                moment
                    .strftime("%Y-%m-%dT%H:%M:%S+00:00")
                    .to_string()
                    .as_str(),
            )
        };
        let duration = self.duration().as_secs_f64();
        let in_ten_minutes =
            i64::try_from(seconds(self.finish).as_secs() + 600).unwrap_or_default();
        Value::Array(Array::of([
            ("start", Value::Float(seconds(self.start).as_secs_f64())),
            ("finish", Value::Float(seconds(self.finish).as_secs_f64())),
            ("duration", Value::Float(duration)),
            ("processing", Value::Float(duration)),
            ("date_start", date(self.start)),
            ("date_finish", date(self.finish)),
            ("operating_reset_at", Value::Int(in_ten_minutes)),
            ("operating", Value::Int(0)),
        ]))
    }
}

/// Status and body of an answer.
pub fn body(format: Format, answer: &Result<Success, Failure>, span: Span) -> (u16, String) {
    let (status, members) = match answer {
        Ok(success) => {
            let mut members = Array::of([("result", success.result.clone())]);
            if let Some(total) = success.total {
                members.set(Key::of(b"total"), Value::Int(total));
            }
            members.set(Key::of(b"time"), span.to_value());
            (200, members)
        }
        Err(failure) => {
            let members = [
                ("error", Value::from(failure.code)),
                (
                    "error_description",
                    Value::from(failure.description.as_str()),
                ),
            ];
            (failure.status, Array::of(members))
        }
    };
    let text = match format {
        Format::Json => json::encode(&Value::Array(members)),
        Format::Xml => xml(&members),
    };
    (status, text)
}

/// The Content-Type of a format.
pub fn content_type(format: Format) -> &'static str {
    match format {
        Format::Json => "application/json; charset=utf-8",
        Format::Xml => "text/xml; charset=utf-8",
    }
}

fn xml(members: &Array) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<response>");
    write_members(members, &mut out);
    out.push_str("</response>");
    out
}

fn write_members(members: &Array, out: &mut String) {
    for (key, value) in members.iter() {
        let name = element(key);
        out.push_str(&format!("<{name}>"));
        match value {
            Value::Null => {}
            Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
            Value::Int(number) => out.push_str(&number.to_string()),
            Value::Float(number) => out.push_str(&number.to_string()),
            Value::Text(text) => escape(&String::from_utf8_lossy(text), out),
            Value::Array(array) => write_members(array, out),
        }
        out.push_str(&format!("</{name}>"));
    }
}

/// A key as an element's name; what is none, a number above all, is an `item`.
fn element(key: &Key) -> String {
    let name = String::from_utf8_lossy(&key.to_bytes()).into_owned();
    let first = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    let rest = name
        .chars()
        .all(|next| next.is_ascii_alphanumeric() || matches!(next, '_' | '-' | '.'));
    if first && rest { name } else { "item".into() }
}

fn escape(text: &str, out: &mut String) {
    for character in text.chars() {
        match character {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            control if control < ' ' && !matches!(control, '\t' | '\n' | '\r') => {}
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_and_an_error_come_in_both_formats() {
        let span = Span {
            start: SystemTime::UNIX_EPOCH,
            finish: SystemTime::UNIX_EPOCH + Duration::from_millis(1500),
        };
        let list = Array::list([Value::from("a<b"), Value::Bool(true)]);
        let success = Ok(Success {
            result: Value::Array(list),
            total: Some(2),
        });
        let (status, text) = body(Format::Json, &success, span);
        assert_eq!(status, 200);
        assert!(
            text.starts_with(r#"{"result":["a<b",true],"total":2,"time":{"start":0,"finish":1.5,"#),
            "{text}"
        );
        assert!(
            text.contains(r#""date_finish":"1970-01-01T00:00:01+00:00""#),
            "{text}"
        );
        let (_, text) = body(Format::Xml, &success, span);
        assert!(
            text.contains(
                "<response><result><item>a&lt;b</item><item>true</item></result><total>2</total>"
            ),
            "{text}"
        );

        let failure = Err(Failure::new(400, "", "Access denied."));
        let (status, text) = body(Format::Json, &failure, span);
        assert_eq!(
            (status, text.as_str()),
            (400, r#"{"error":"","error_description":"Access denied."}"#)
        );
        let (_, text) = body(Format::Xml, &failure, span);
        assert!(text.ends_with("<response><error></error><error_description>Access denied.</error_description></response>"));
    }
}
