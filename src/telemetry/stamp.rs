//! What every line of the deprecation log gets behind its own fields: the instance that wrote it; and a bound to its length
//! (pure).

use serde_json::{Map, Value};

use super::json::Object;

/// The longest line, its line feed included: container runtimes split lines at 16 KiB.
pub const LONGEST_LINE: usize = 8 << 10;

/// The instance that writes, as it stands in lines.
#[derive(Clone, Debug)]
pub struct Stamp {
    instance: String,
    /// `,"instance":"NAME"}` and a line feed.
    end: Vec<u8>,
}

impl Stamp {
    /// The stamp of an instance.
    pub fn new(instance: &str) -> Self {
        let mut end = Vec::new();
        let mut object = Object::begin(&mut end);
        object.text("instance", instance);
        object.end();
        end[0] = b',';
        end.push(b'\n');
        Self {
            instance: instance.to_owned(),
            end,
        }
    }

    /// Stamps the line that begins at `begin` and ends `out`. Says whether there is still one.
    pub fn end(&self, out: &mut Vec<u8>, begin: usize) -> bool {
        let open = out.len() - 2;
        debug_assert!(out.ends_with(b"}\n"), "a line is an object");
        if open - begin + self.end.len() <= LONGEST_LINE {
            out.truncate(open);
            out.extend_from_slice(&self.end);
        } else {
            let line = out.split_off(begin);
            self.cut(&line[..line.len() - 1], out);
        }
        out.len() > begin
    }

    /// Copies whole lines of JSON objects, each with the stamp; one that would be too long is cut.
    pub fn copy(&self, lines: &[u8], out: &mut Vec<u8>) {
        out.reserve(lines.len() + self.end.len());
        let mut begin = 0;
        for feed in memchr::memchr_iter(b'\n', lines) {
            let line = &lines[begin..feed];
            begin = feed + 1;
            match line.strip_suffix(b"}") {
                Some(open) if open.len() + self.end.len() <= LONGEST_LINE => {
                    out.extend_from_slice(open);
                    out.extend_from_slice(&self.end);
                }
                _ => self.cut(line, out),
            }
        }
    }

    /// Writes the line with shorter texts and lists, and says so in it.
    #[cold]
    fn cut(&self, line: &[u8], out: &mut Vec<u8>) {
        let Ok(Value::Object(mut fields)) = serde_json::from_slice::<Value>(line) else {
            return;
        };
        fields.insert("truncated".to_owned(), Value::Bool(true));
        fields.insert("instance".to_owned(), self.instance.as_str().into());
        let mut longest = 256;
        loop {
            shorten(&mut fields, longest);
            // Serde writes DEL as it is, which is no more than a byte.
            let text = Value::Object(fields.clone()).to_string();
            if text.len() < LONGEST_LINE || longest == 0 {
                out.extend_from_slice(text.as_bytes());
                out.push(b'\n');
                return;
            }
            longest /= 2;
        }
    }
}

/// Cuts texts to so many bytes, and lists to so many entries as an eighth of it. What our own program wrote (the event, its
/// time, the rule) is shorter than the least of these.
fn shorten(fields: &mut Map<String, Value>, longest: usize) {
    const KEPT: &[&str] = &[
        "timestamp",
        "event",
        "rule",
        "method",
        "action",
        "instance",
        "first",
        "last",
    ];
    for (name, value) in fields
        .iter_mut()
        .filter(|(name, _)| !KEPT.contains(&name.as_str()))
    {
        match value {
            Value::String(text) => text.truncate(text.floor_char_boundary(longest.max(64))),
            Value::Array(list) => {
                list.truncate(longest / 8);
                for entry in list {
                    if let Value::String(text) = entry {
                        text.truncate(text.floor_char_boundary(longest.max(64)));
                    }
                }
            }
            Value::Object(inner) if name == "caller" => shorten(inner, longest),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn stamped(lines: &str) -> String {
        let mut out = Vec::new();
        Stamp::new("pod \"1\"").copy(lines.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_line_ends_with_the_instance() {
        assert_eq!(
            stamped("{\"a\":1}\n{\"b\":{\"c\":2}}\n"),
            "{\"a\":1,\"instance\":\"pod \\\"1\\\"\"}\n{\"b\":{\"c\":2},\"instance\":\"pod \\\"1\\\"\"}\n"
        );
        assert_eq!(stamped(""), "");
    }

    #[test]
    fn a_line_that_would_be_too_long_is_cut_and_says_so() {
        let long = "\u{1}\u{e9}".repeat(400);
        let line = json!({
            "schema": 1, "timestamp": "2026-11-26T00:25:17.042Z", "event": "deprecated_call", "method": "a.b",
            "changes": vec![long.clone(); 32], "error": long, "target": long, "batch_key": long,
            "caller": {"key": long, "user_agent": long, "sdk": long, "application": long, "user": long, "name": long},
            "status": 200,
        });
        let out = stamped(&format!("{line}\n"));
        assert!(out.len() <= LONGEST_LINE, "{}", out.len());
        let read: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(
            (&read["truncated"], &read["instance"]),
            (&json!(true), &json!("pod \"1\""))
        );
        assert_eq!(
            (&read["method"], &read["status"]),
            (&json!("a.b"), &json!(200))
        );
        // As much as has room stays.
        assert!(
            read["changes"]
                .as_array()
                .is_some_and(|list| list.len() >= 4),
            "{read}"
        );
        assert!(
            read["caller"]["key"]
                .as_str()
                .is_some_and(|key| key.len() >= 30)
        );
    }
}
