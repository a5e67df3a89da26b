//! Mode `compare`: after a legacy call was answered, a sample of them is also sent as its successor, and the two answers are
//! compared. Only for rules that only read. One at a time in the whole process, and not too often; what is not compared is
//! counted as skipped.

use crate::catalogue::{Mode, Rule};
use crate::protocol::address::Address;
use crate::protocol::answer::Format;
use crate::protocol::target::Place;
use crate::proxy::body::RequestBody;
use crate::proxy::call::address;
use crate::proxy::call::client::Client;
use crate::proxy::call::context::Context;
use crate::proxy::call::send::Outgoing;
use crate::proxy::http::forward;
use crate::proxy::http::forward::BodyPlan;
use crate::proxy::http::head::RequestHead;
use crate::proxy::portal::body::peek;
use crate::telemetry::metrics::Comparison;
use crate::translate::{self, Call, Outcome};
use bytes::Bytes;
use serde_json::Value;
use std::borrow::Cow;
use std::io::Read;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

/// Bytes of each answer that are compared; longer ones are not.
pub const LIMIT: usize = 1024 * 1024;

/// The most differences that are named.
const NAMED: usize = 10;

/// So many bytes of a difference's path are named.
const NAMED_PATH: usize = 200;

/// The legacy answer.
pub struct Legacy {
    pub status: u16,
    /// Its `Content-Encoding` is gzip.
    pub is_gzip: bool,
    pub body: Bytes,
}

impl Legacy {
    /// Its body as the portal wrote it; nothing where that cannot be read or is too long.
    fn plain(&self) -> Option<Cow<'_, [u8]>> {
        if !self.is_gzip {
            return Some(Cow::Borrowed(&self.body));
        }
        let mut plain = Vec::new();
        let most = LIMIT as u64 + 1;
        let reader = flate2::read::MultiGzDecoder::new(&self.body[..]);
        reader.take(most).read_to_end(&mut plain).ok()?;
        (plain.len() <= LIMIT).then_some(Cow::Owned(plain))
    }
}

/// Whether an answer says that the portal has too much to do.
fn is_busy(status: u16) -> bool {
    matches!(status, 429 | 503)
}

/// The same call under its successor's name, to be sent once the legacy call is answered.
pub struct Successor {
    rule: Arc<Rule>,
    target: Option<Vec<u8>>,
    body: Bytes,
    plan: BodyPlan,
}

impl Successor {
    /// Translates the call; `None` where it cannot be.
    pub fn of(
        rule: &Arc<Rule>,
        context: &Context,
        at: &Address<'_>,
        head: &RequestHead,
        body: &Bytes,
    ) -> Option<Self> {
        use crate::proxy::http::fields::Name;
        // The answers are compared as JSON.
        if let Place::Call {
            format: Format::Xml,
            ..
        } = at.place
        {
            return None;
        }
        let call = Call {
            verb: head.method(),
            target: at.target,
            place: &at.place,
            content_type: head.fields.first(Name::ContentType),
            content_encoding: address::content_encoding(head),
            body,
            doubt: address::doubt(head, at, !body.is_empty()),
        };
        let policy = context.calls.policy.load();
        let verdict = translate::translate(&call, policy.catalogue(), &|_| Mode::Rewrite);
        let Outcome::Rewritten { target, body: new } = verdict.outcome else {
            return None;
        };
        let body = new.map_or_else(|| body.clone(), Bytes::from);
        let plan = BodyPlan::Whole(body.len() as u64);
        Some(Successor {
            rule: rule.clone(),
            target,
            body,
            plan,
        })
    }

    /// Sends it and compares its answer with the legacy one: status and body.
    pub async fn compare(
        self,
        context: Rc<Context>,
        client: Rc<Client>,
        head: RequestHead,
        legacy: Legacy,
    ) {
        let shared = context.calls.clone();
        // A portal in trouble is not asked once more.
        let is_asked = legacy.status < 500 && !is_busy(legacy.status);
        let Some(_turn) = is_asked.then(|| shared.comparing.take()).flatten() else {
            return self.skip(&context);
        };
        let paced = context.paces().then(|| shared.pacing.spare(0));
        let source = match paced {
            // Callers come first: a comparison is made only while half of the portal's limit is free.
            Some(None) => return self.skip(&context),
            Some(Some(grant)) => grant.source,
            None => 0,
        };
        let Some(plain) = legacy.plain() else {
            return self.skip(&context);
        };
        let body = if self.body.is_empty() {
            RequestBody::Empty
        } else {
            RequestBody::Whole(Some(self.body))
        };
        let outgoing = Outgoing {
            plain_answer: true,
            source,
            ..Outgoing::new(self.target.as_deref(), body, self.plan)
        };
        // Without the request's id: that is the call's own.
        let plan = outgoing.plan(&context, &client, b"");
        let write = |out: &mut Vec<u8>| forward::request(&head, &plan, out);
        let sending = outgoing.sending(&head, &write, Instant::now());
        let result = match context.upstream.send(&sending, outgoing.body).await {
            Err(_) => Comparison::Failed,
            Ok(answer) if is_busy(answer.head.status) => Comparison::Failed,
            Ok(mut answer) => match peek(&mut answer.body, LIMIT).await {
                Ok((modern, true)) => {
                    let found = differences(legacy.status, &plain, answer.head.status, &modern);
                    if found.is_empty() {
                        Comparison::Equal
                    } else {
                        tracing::warn!(
                            method = self.rule.method,
                            differences = found.join(", "),
                            "the successor answers otherwise"
                        );
                        Comparison::Different
                    }
                }
                _ => Comparison::Failed,
            },
        };
        shared.telemetry.metrics.compared(&self.rule.method, result);
    }

    /// Counts a call that is not compared.
    pub fn skip(&self, context: &Context) {
        skipped(context, &self.rule);
    }
}

/// Counts a call in mode `compare` that is not compared.
pub fn skipped(context: &Context, rule: &Rule) {
    let metrics = &context.calls.telemetry.metrics;
    metrics.compared(&rule.method, Comparison::Skipped);
}

/// Where two answers differ: paths, never values. What is said of `time` differs always and does not count.
fn differences(
    legacy_status: u16,
    legacy: &[u8],
    modern_status: u16,
    modern: &[u8],
) -> Vec<String> {
    let mut found = Vec::new();
    if legacy_status != modern_status {
        found.push("the status".into());
    }
    match (
        serde_json::from_slice::<Value>(legacy),
        serde_json::from_slice::<Value>(modern),
    ) {
        (Ok(mut legacy), Ok(mut modern)) => {
            for answer in [&mut legacy, &mut modern] {
                if let Some(object) = answer.as_object_mut() {
                    object.remove("time");
                }
            }
            walk(&legacy, &modern, &mut String::new(), &mut found);
        }
        (Err(_), Err(_)) if legacy == modern => {}
        _ => found.push("one answer is not JSON".into()),
    }
    found
}

/// Depth is bounded by serde_json's reader.
fn walk(legacy: &Value, modern: &Value, path: &mut String, found: &mut Vec<String>) {
    if found.len() >= NAMED {
        return;
    }
    let length = path.len();
    match (legacy, modern) {
        (Value::Object(a), Value::Object(b)) => {
            let keys = a.keys().chain(b.keys().filter(|key| !a.contains_key(*key)));
            for key in keys {
                path.push_str(if length == 0 { "" } else { "." });
                path.push_str(key);
                match (a.get(key), b.get(key)) {
                    (Some(a), Some(b)) => walk(a, b, path, found),
                    _ => found.push(named(path)),
                }
                path.truncate(length);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (at, (a, b)) in a.iter().zip(b).enumerate() {
                path.push_str(&format!("[{at}]"));
                walk(a, b, path, found);
                path.truncate(length);
            }
        }
        _ if legacy == modern => {}
        _ => found.push(named(path)),
    }
}

/// A path as it is named.
fn named(path: &str) -> String {
    match path {
        "" => "the answer".into(),
        _ if path.len() > NAMED_PATH => {
            format!("{}…", &path[..path.floor_char_boundary(NAMED_PATH)])
        }
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_time_may_differ() {
        let of = |a: &str, b: &str| differences(200, a.as_bytes(), 200, b.as_bytes());
        assert!(
            of(
                r#"{"result":[1,{"a":2}],"time":1}"#,
                r#"{"time":2,"result":[1,{"a":2}]}"#
            )
            .is_empty()
        );
        assert_eq!(
            of(
                r#"{"result":[1,{"a":2}]}"#,
                r#"{"result":[1,{"a":"2","b":0}]}"#
            ),
            ["result[1].a", "result[1].b"]
        );
        assert_eq!(of(r#"{"result":[1]}"#, r#"{"result":[]}"#), ["result"]);
        assert_eq!(differences(200, b"{}", 400, b"{}"), ["the status"]);
        let long = format!(r#"{{"{}":1}}"#, "x".repeat(1000));
        assert_eq!(of(&long, "{}")[0].chars().count(), NAMED_PATH + 1);
    }

    #[test]
    fn a_compressed_answer_is_read_up_to_the_limit() {
        use std::io::Write;
        let of = |text: &[u8]| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Default::default());
            encoder.write_all(text).unwrap();
            Legacy {
                status: 200,
                is_gzip: true,
                body: encoder.finish().unwrap().into(),
            }
        };
        assert_eq!(of(b"{}").plain().as_deref(), Some(&b"{}"[..]));
        assert_eq!(of(&vec![b' '; LIMIT + 1]).plain(), None);
        let mut broken = of(b"{}");
        broken.body.truncate(12);
        assert_eq!(broken.plain(), None);
    }
}
