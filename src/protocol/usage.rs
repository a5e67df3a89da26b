//! What an answer tells of the portal's time (PROTOCOL §6): `time.operating` of a call, and of each command of a batch the
//! same in `result_time` and its error in `result_error`. Read from the answer's last bytes alone, so that a long answer
//! need not be held.

use super::json::{self, Kind, Value};
use memchr::memmem;

/// Bytes at the end of an answer in which all of it stands: fifty commands take 50 × 260.
pub const TAIL: usize = 16 * 1024;

/// A command of a batch, as the answer's end tells of it.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandUsage {
    /// The command's key.
    pub key: String,
    /// Seconds that its method has used in the last ten minutes.
    pub operating: Option<f64>,
    /// The code of its error.
    pub error: Option<String>,
}

/// Seconds that a call's method has used in the last ten minutes: `time.operating` of the whole answer.
pub fn operating(tail: &[u8]) -> Option<f64> {
    let tail = tail.trim_ascii_end();
    if tail.ends_with(b"</response>") {
        let time = &tail[memmem::rfind(tail, b"<time>")?..];
        let value = &time[memmem::find(time, b"<operating>")? + b"<operating>".len()..];
        return number(value);
    }
    // The answer's own time stands last in it, and holds no braces. Within a string its quotes would be escaped.
    let inside = tail.strip_suffix(b"}}")?;
    let open = memchr::memrchr(b'{', inside)?;
    if !inside[..open].ends_with(b"\"time\":") {
        return None;
    }
    let time = &inside[open + 1..];
    if memchr::memchr(b'}', time).is_some() {
        return None;
    }
    // Portals write it last.
    let last = memchr::memrchr(b':', time)?;
    if time[..last].ends_with(b"\"operating\"") {
        return number(&time[last + 1..]);
    }
    number(&time[memmem::find(time, b"\"operating\":")? + b"\"operating\":".len()..])
}

fn number(text: &[u8]) -> Option<f64> {
    let is_part = |byte: &&u8| byte.is_ascii_digit() || b".+-eE".contains(byte);
    let length = text.iter().take_while(is_part).count();
    let value: f64 = std::str::from_utf8(&text[..length]).ok()?.parse().ok()?;
    (value.is_finite() && value >= 0.0).then_some(value)
}

/// What the end of a batch's answer (JSON) tells of its commands; `None` where the end does not hold it.
pub fn of_batch(tail: &[u8]) -> Option<Vec<CommandUsage>> {
    let times = member(tail, b"\"result_time\":")?;
    let mut commands: Vec<CommandUsage> = Vec::new();
    for (key, value) in keyed(&times) {
        let operating =
            child(&times, &value, b"operating").and_then(|span| number(&times.bytes[span]));
        commands.push(CommandUsage {
            key,
            operating,
            error: None,
        });
    }
    if let Some(errors) = member(tail, b"\"result_error\":") {
        for (key, value) in keyed(&errors) {
            let Some(span) = child(&errors, &value, b"error") else {
                continue;
            };
            let text = match errors.bytes[span.clone()].first() {
                Some(b'"') => json::text(errors.bytes, &span).into_owned(),
                _ => errors.bytes[span].to_vec(),
            };
            let error = Some(String::from_utf8_lossy(&text).into_owned());
            match commands.iter_mut().find(|command| command.key == key) {
                Some(command) => command.error = error,
                None => commands.push(CommandUsage {
                    key,
                    operating: None,
                    error,
                }),
            }
        }
    }
    Some(commands)
}

/// A value that stands whole in the tail.
struct Part<'t> {
    bytes: &'t [u8],
    value: Value,
}

/// The last member of that name (with its quotes and colon), an object or a list.
fn member<'t>(tail: &'t [u8], name: &[u8]) -> Option<Part<'t>> {
    let at = memmem::rfind(tail, name)? + name.len();
    let bytes = &tail[at..][..closed(&tail[at..])?];
    let value = json::read(bytes, |_| {}).ok()?;
    Some(Part { bytes, value })
}

/// Where the object or list that begins here ends.
fn closed(bytes: &[u8]) -> Option<usize> {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

fn keyed(part: &Part<'_>) -> Vec<(String, Value)> {
    let is_list = part.value.kind == Kind::List;
    json::members(part.bytes, &part.value)
        .enumerate()
        .map(|(index, member)| {
            let key = if is_list {
                index.to_string()
            } else {
                String::from_utf8_lossy(&json::text(part.bytes, &member.key)).into_owned()
            };
            (key, member.value)
        })
        .collect()
}

fn child(part: &Part<'_>, value: &Value, name: &[u8]) -> Option<std::ops::Range<usize>> {
    json::members(part.bytes, value)
        .filter(|member| json::key_is(part.bytes, &member.key, name))
        .last()
        .map(|member| member.value.span)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: &str = r#"{"start":1.5,"finish":1.6,"duration":0.1,"processing":0.05,"date_start":"2026-11-30T10:00:00+00:00","date_finish":"2026-11-30T10:00:00+00:00","operating_reset_at":1764500000,"operating":3.25}"#;

    #[test]
    fn a_calls_seconds_stand_in_the_time_of_the_whole_answer() {
        let answer =
            format!(r#"{{"result":[{{"time":{{"operating":9}}}}],"total":5,"time":{TIME}}}"#);
        assert_eq!(operating(answer.as_bytes()), Some(3.25));
        assert_eq!(operating(&answer.as_bytes()[20..]), Some(3.25));
        assert_eq!(operating(format!("{answer}\n").as_bytes()), Some(3.25));
        let xml = "<?xml version=\"1.0\"?><response><result>1</result><time><start>1</start><operating>0.5</operating></time></response>\n";
        assert_eq!(operating(xml.as_bytes()), Some(0.5));
        for other in [
            r#"{"result":{"time":{"operating":9}}}"#,
            r#"{"result":"\"time\":{\"operating\":9}}"}"#,
            r#"{"result":1,"time":{"start":1}}"#,
            r#"{"result":1,"time":{"operating":"x"}}"#,
            "",
            "}",
        ] {
            assert_eq!(operating(other.as_bytes()), None, "{other}");
        }
    }

    fn batch(errors: &str, times: &str) -> String {
        format!(
            r#"{{"result":{{"result":{{"a":"]}}\"{{"}},"result_error":{errors},"result_total":[],"result_next":[],"result_time":{times}}},"time":{TIME}}}"#
        )
    }

    type Told = (String, Option<f64>, Option<String>);

    fn told(answer: &[u8]) -> Option<Vec<Told>> {
        let commands = of_batch(answer)?;
        Some(
            commands
                .into_iter()
                .map(|c| (c.key, c.operating, c.error))
                .collect(),
        )
    }

    #[test]
    fn a_batchs_commands_tell_their_seconds_and_their_errors() {
        let text = |text: &str| Some(text.to_owned());
        let answer = batch(
            r#"{"b":{"error":"OPERATION_TIME_LIMIT","error_description":"}"},"c":{"error":403}}"#,
            &format!(r#"{{"a":{TIME},"b":{{"start":1}}}}"#),
        );
        let expected = Some(vec![
            ("a".to_owned(), Some(3.25), None),
            ("b".to_owned(), None, text("OPERATION_TIME_LIMIT")),
            ("c".to_owned(), None, text("403")),
        ]);
        assert_eq!(told(answer.as_bytes()), expected);
        let list = batch("[]", &format!("[{TIME},{TIME}]"));
        assert_eq!(
            told(list.as_bytes()),
            Some(vec![
                ("0".into(), Some(3.25), None),
                ("1".into(), Some(3.25), None)
            ])
        );
        assert_eq!(told(batch("[]", "[]").as_bytes()), Some(vec![]));
    }

    #[test]
    fn fifty_commands_stand_in_the_tail_and_what_is_cut_off_is_not_guessed() {
        let times: Vec<String> = (0..50).map(|n| format!(r#""command{n}":{TIME}"#)).collect();
        let answer = batch("[]", &format!("{{{}}}", times.join(",")));
        let long = format!("{}{answer}", " ".repeat(100_000));
        let tail = &long.as_bytes()[long.len() - TAIL..];
        assert_eq!(of_batch(tail).map(|commands| commands.len()), Some(50));
        assert_eq!(of_batch(&long.as_bytes()[long.len() - 2_000..]), None);
        assert_eq!(of_batch(b"{\"result_time\":{\"a\":"), None);
        assert_eq!(of_batch(b"\"result_time\":x"), None);
    }
}
