//! Mode `compare`: after a legacy call was answered, a sample of them is also sent as its successor, and the two answers are
//! compared. Only for rules that only read.

use super::body::{RequestBody, peek};
use super::handle::Client;
use super::headers::{self, BodyPlan, RequestPlan};
use super::upstream::Sending;
use super::wire::head::RequestHead;
use super::worker::Worker;
use crate::catalogue::{Mode, Rule};
use crate::protocol::target::Place;
use crate::telemetry::metrics::Comparison;
use crate::translate::{self, Call, Outcome};
use bytes::Bytes;
use serde_json::Value;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

/// Bytes of each answer that are compared; longer ones are not.
pub const LIMIT: usize = 1024 * 1024;

/// The most differences that are named.
const NAMED: usize = 10;

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
        worker: &Worker,
        place: &Place<'_>,
        head: &RequestHead,
        body: &Bytes,
    ) -> Option<Self> {
        use super::wire::head::Name;
        let call = Call {
            verb: head.method(),
            target: head.target(),
            place,
            content_type: head.fields.first(Name::ContentType),
            content_encoding: head.fields.first(Name::ContentEncoding),
            body,
        };
        let policy = worker.shared.policy.load();
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
        worker: Rc<Worker>,
        client: Rc<Client>,
        head: RequestHead,
        status: u16,
        legacy: Bytes,
    ) {
        let Some(_turn) = worker.comparing() else {
            worker
                .shared
                .telemetry
                .metrics
                .compared(&self.rule.method, Comparison::Skipped);
            return;
        };
        let plan = RequestPlan {
            target: self.target.as_deref(),
            host: worker.host.as_deref(),
            client: client.address,
            scheme: client.scheme,
            trusted: client.trusted,
            body: self.plan,
            upgrade: false,
            plain_answer: true,
            add: b"",
        };
        let sending = Sending {
            since: Instant::now(),
            head: &|out| headers::request(&head, &plan, out),
            to_head: false,
            upgrade: false,
            framing: self.plan.framing(head.framing),
            trailer: None,
        };
        let body = if self.body.is_empty() {
            RequestBody::Empty
        } else {
            RequestBody::Whole(Some(self.body))
        };
        let result = match worker.upstream.send(&sending, body).await {
            Err(_) => Comparison::Failed,
            Ok(mut answer) => match peek(&mut answer.body, LIMIT).await {
                Ok((modern, true)) => {
                    let found = differences(status, &legacy, answer.head.status, &modern);
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
        worker
            .shared
            .telemetry
            .metrics
            .compared(&self.rule.method, result);
    }
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
                    _ => found.push(path.clone()),
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
        _ => found.push(if path.is_empty() {
            "the answer".into()
        } else {
            path.clone()
        }),
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
    }
}
